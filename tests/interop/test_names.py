#!/usr/bin/env python3
"""Names that are long, quoted, of any script or hostile: nothing of them is lost
on the way to columns, filters and alerts, and no alert is without its links."""

import json
import os
import signal
import struct
import time

from harness import Daemon, Lab, RpcError, equal, main, run, wait_until
from ipfix import BYTES, DST, DST_PORT, PACKETS, PROTO, SRC, SRC_PORT, \
    data, message, template, udp
from test_alerts import CTL, Hook, active, config, events, open_dir, \
    program, rule

START, END = (152, 8), (153, 8)
FIELDS = (SRC, DST, BYTES, PACKETS, SRC_PORT, DST_PORT, PROTO, START, END,
          (82, 16))
SPAN = {"from": "-1h", "to": "+1h"}
# Of 4096 octets each, the last two.
NAMES = ("plain", "we\"b 'x' \\ back\\\\slash", "caf\u00e9 \u4e2d\u6587 "
         "\U0001f600", "a,b=c;d|e&f(g)[h]{i}#%", "line\nbreak\ttab\x01\x7f",
         "not and or", "-1", "*?", "\u202eright to left", " spaced ",
         "x" * 4096, "\u00e9" * 2048, "\"\\" * 2048)
MEMBERS = ("name", "tenant", "network", "host")
COLUMN = {"name": "endpoint"}
SPAN["observations"] = "all"


def send(lab, src, dst, name=b"eth0", octets=1000, n=1):
    now = int(time.time() * 1000)
    record = struct.pack("!4s4sQQHHBQQ16s", bytes(src), bytes(dst), octets, 1,
                         53, 4000, 17, now, now, name)
    out = udp(lab.name)
    for _ in range(n):
        out.sendto(message(template(fields=FIELDS), data(record)),
                   ("127.0.0.1", 4739))


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def endpoint(i, name):
    return {"id": str(i), "addresses": ["10.1.0.%d" % i], "name": name,
            "tenant": name, "network": name, "host": name,
            "labels": {"role": name[:1300], "odd \"k\u00e9y\", =": "v%d" % i}}


def test_names_are_columns():
    lab = Lab()
    daemon = Daemon(lab)
    for i, name in enumerate(NAMES):
        reply = daemon.rpc("endpoint.upsert", source="s",
                           endpoints=[endpoint(i, name)])
        equal(reply["accepted"], 1, name[:40])
        found, = daemon.rpc("endpoint.lookup",
                            address="10.1.0.%d" % i)["matches"]
        equal([found[m] for m in MEMBERS], [name] * 4, "who")
        equal(found["labels"], endpoint(i, name)["labels"], "labels")
        send(lab, (10, 1, 0, i), (10, 9, 0, 1))
        send(lab, (10, 9, 0, 1), (10, 1, 0, i))
    wait_until(lambda: daemon.flows(metrics=["flows"], **SPAN)[0]["flows"]
               == 2 * len(NAMES), what="all flows")

    def flows(where, by):
        return sorted(([r[b] for b in by] + [r["flows"]]
                       for r in daemon.flows(by=by, metrics=["flows"],
                                             limit=100, filter=where,
                                             **SPAN)),
                      key=str)
    for i, name in enumerate(NAMES):
        for member in MEMBERS:
            column = COLUMN.get(member, member)
            by = ["src_" + column, "dst_" + column]
            for where, want in (
                    ("src %s", [[name, None, 1]]),
                    ("src_%s", [[name, None, 1]]),
                    ("dst %s", [[None, name, 1]]),
                    ("%s", [[name, None, 1], [None, name, 1]])):
                equal(flows("%s %s" % (where % column, quoted(name)), by),
                      sorted(want, key=str), (where % column, name[:40]))
        role, odd = name[:1300], "odd \"k\u00e9y\", ="
        for where in ("label.role %s", "src label.role %s",
                      "src_label.role %s"):
            rows = flows(where % quoted(role), ["src_label.role"])
            equal([r for r in rows if r[0]], [[role, 1]], name[:40])
        rows = flows("src host 10.1.0.%d" % i, ["src_label." + odd])
        equal(rows, [["v%d" % i, 1]], "a label's name that is odd")
    # As records, and what a label selects.
    got = daemon.rpc("flow.records", limit=100, filter="src net 10.1.0.0/16",
                     fields=["src_tenant", "src_endpoint", "src_labels"],
                     **SPAN)
    names = [c["name"] for c in got["columns"]]
    equal(sorted(r[names.index("src_tenant")] for r in got["rows"]),
          sorted(NAMES), "records")
    equal(sorted(r[names.index("src_endpoint")] for r in got["rows"]),
          sorted(NAMES), "records")
    # Of either end: each has a flow there and one back, as has who is none.
    # The endpoint and the tenant of a row are of the same end.
    both = [[name, 2] for name in NAMES] + [[None, 2 * len(NAMES)]]
    for by in ("tenant", "endpoint", "network", "host"):
        equal(flows("any", [by]), sorted(both, key=str), by)
    equal(flows("any", ["label.role"]),
          sorted([[name[:1300], 2] for name in NAMES]
                 + [[None, 2 * len(NAMES)]], key=str), "label.role")
    equal(flows("any", ["tenant", "endpoint"]),
          sorted([[name, name, 2] for name in NAMES]
                 + [[None, None, 2 * len(NAMES)]], key=str), "of one end")
    try:
        daemon.rpc("flow.query", by=["tenant"], metrics=["flows"],
                   bidirectional=True, **SPAN)
    except RpcError as e:
        assert "src_" in str(e), e
    else:
        raise AssertionError("a conversation by a key of either end")
    # A series of each: names with whatever is in them, and none.
    series = daemon.rpc("flow.series", by=["tenant", "label.role"],
                        metrics=["flows"], bucket="1h", top=100, **SPAN)
    equal(sorted([s["key"] + [sum(s["values"]["flows"])]
                  for s in series["series"]], key=str),
          sorted([[name, name[:1300], 2] for name in NAMES]
                 + [[None, None, 2 * len(NAMES)]], key=str), "series")
    equal(sum(series["total"]["flows"]), 2 * len(NAMES), "total of a series")
    # On a terminal nothing of a name is obeyed.
    out = run(CTL, "--api", "unix:" + daemon.api, "flows", "--last", "1h",
              "--by", "src_tenant")
    assert "\x01" not in out and "\x7f" not in out, out
    daemon.stop()


def test_alerts_about_names():
    """Each alert has its context, though names are long; state is read again;
    receivers get all of it."""
    lab = Lab()
    here = open_dir(lab, "names")
    hook = Hook(lab)
    out = os.path.join(here, "out")
    path = program(here, "cat > %s.tmp && mv %s.tmp %s.$$\n"
                   % (out, out, out))
    rules = [rule(name, by=[by]) for name, by in (
        ("a", "dst_tenant"), ("b", "dst_endpoint"), ("c", "dst_addr"),
        ("d", "in_if_name"), ("e", "dst_addr/24"), ("f", "dst_labels"))]
    daemon = Daemon(lab, config=config(
        *rules, delivery=[
            {"name": "hook", "type": "webhook", "url": hook.url()},
            {"name": "run", "type": "exec", "command": [path]}]))
    big = "\x01\"" * 2048
    daemon.rpc("endpoint.upsert", source="s", endpoints=[
        dict(endpoint(i, big), labels={"k": "\x02" * 4000})
        for i in range(2)])
    daemon.rpc("alert.mute", rule="z", duration="1h", comment="kept")
    send(lab, (10, 1, 0, 0), (10, 1, 0, 1), b"\xff\xfe bad \x80", 300000, 3)
    wait_until(lambda: len(active(daemon)) == len(rules), what="all alerts")
    found = {a["rule"]: a for a in active(daemon)}
    equal(found["a"]["subject"], big, "all of the name")
    wait_until(lambda: len(events(daemon, "alert.raised")) == len(rules),
               what="events")
    for event in events(daemon, "alert.raised"):
        context = event["detail"]["context"]
        equal(sorted(found["a"]["detail"]), sorted(
            k for k in context if k != "shortened"), "no member is left out")
        assert context["who"]["endpoint"].startswith("\x01\""), context
        assert context["where"]["in_if_name"], context
    for name, alert in found.items():
        if name != "d":         # No filter can say what is not UTF-8.
            wait_until(lambda: daemon.rpc(
                "flow.query", **alert["detail"]["query"])["rows"],
                what="flows of " + name)
    wait_until(lambda: len(hook.got) >= len(rules), what="the webhook")
    wait_until(lambda: len([f for f in os.listdir(here)
                            if f.startswith("out.")
                            and not f.endswith("tmp")]) >= len(rules),
               what="the program")
    for name in os.listdir(here):
        if name.startswith("out.") and not name.endswith("tmp"):
            with open(os.path.join(here, name), encoding="utf-8") as f:
                assert json.load(f)["subject"], name
    state = os.path.join(daemon.state_dir, "alerts", "alerts.json")
    wait_until(lambda: os.path.exists(state) and json.load(
        open(state, encoding="utf-8"))["alerts"], what="it is on disk")
    daemon.stop(signal.SIGKILL, check=False)
    daemon.start()
    listed = daemon.rpc("alert.list", state="all")
    equal([m["comment"] for m in listed["mutes"]], ["kept"], "mutes")
    equal({a["rule"] for a in listed["alerts"]}, set(found), "alerts")
    daemon.stop()


def test_each_column_has_its_query():
    """A rule by any column: its alert's query and command work."""
    lab = Lab()
    daemon = Daemon(lab, config={"alert": {"builtin": False}})

    def tell(daemon):
        daemon.rpc("endpoint.upsert", source="s", endpoints=[
            {"id": str(i), "name": "n%d" % i, "addresses": ["10.1.0.%d" % i],
             "tenant": "t", "network": "n", "host": "h", "labels": {"a": "b"}}
            for i in range(2)])
    columns = [c["name"] for c in daemon.rpc("flow.columns")["columns"]
               if c["group_by"]]
    keys = []
    for column in columns:
        try:
            daemon.rpc("config.validate", config={"venturi:venturi": config(
                rule("x", by=[column]))})
            keys.append(column)
        except RpcError:
            pass
    assert len(keys) > 50, (keys, columns)
    daemon.stop()
    for at in range(0, len(keys), 60):
        some = keys[at:at + 60]
        daemon = Daemon(lab, config={"alert": dict(config(*[
            rule("r-" + k.replace(".", "-"), by=[k], clear="60s")
            for k in some])["alert"], builtin=False)})
        tell(daemon)
        send(lab, (10, 1, 0, 0), (10, 1, 0, 1), b"eth0", 300000, 3)
        wait_until(lambda: len(active(daemon)) == len(some),
                   what="an alert each")
        for alert in active(daemon):
            query = alert["detail"]["query"]
            wait_until(lambda: daemon.rpc("flow.query", **query)["rows"],
                       what="rows of %s" % query)
        daemon.stop()


def test_rules_and_mutes_that_end():
    lab = Lab()
    hook = Hook(lab)
    daemon = Daemon(lab, config=dict(config(
        rule("flood", clear="600s"),
        delivery=[{"name": "hook", "type": "webhook", "url": hook.url()}]),
        event={"exporter-silence": "10s"}))
    daemon.rpc("alert.mute", rule="flood", duration="3s")
    send(lab, (10, 1, 0, 0), (10, 1, 0, 1), b"eth0", 300000, 3)
    wait_until(lambda: [a["muted"] for a in active(daemon)] == [True],
               what="a muted alert")
    # Nobody was told; when the mute ends, it is.
    wait_until(lambda: hook.got, what="that it is told then")
    equal((hook.got[0][1]["state"], hook.got[0][1]["muted"]),
          ("raised", False), "what is told")
    equal([a["muted"] for a in active(daemon)], [False], "listed")
    wait_until(lambda: "exporter-silent" in [a["rule"] for a in
                                             active(daemon)],
               timeout=40, what="silence")
    daemon.rpc("alert.rule.set", rule={"name": "exporter-silent",
                                       "type": "silence",
                                       "enabled": False})
    equal([a["rule"] for a in active(daemon)], ["flood"],
          "nobody says that it is silent any more")
    daemon.stop()


if __name__ == "__main__":
    main()
