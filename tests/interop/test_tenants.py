#!/usr/bin/env python3
"""Who is confined to tenants sees their flows alone, and of the other ends no
names, however it asks."""

import json
import os
import struct
import subprocess
import sys
import time

import ipfix
from front import (Http, Stream, WebSocket, connect, make_certificates,
                   secure, tls_config)
from harness import (BUILDDIR, Daemon, Failure, Lab, RpcError, equal, main,
                     run, scratch_dir, wait_until)
from ipfix import BYTES, DST, PACKETS, SRC, udp

HTTP, TCP = 8780, 8782
START, END = (152, 8), (153, 8)
USER = (371, 12)                # userName, of the source.
FIELDS = (SRC, DST, BYTES, PACKETS, START, END, USER)
# Name, tenant, address.
WHO = [("web", "blue", (10, 0, 1, 1)), ("db", "blue", (10, 0, 1, 2)),
       ("shop", "red", (10, 0, 2, 1)), ("vault", "red", (10, 0, 2, 2)),
       ("mail", "green", (10, 0, 3, 1)), (None, None, (192, 0, 2, 9))]
SECRETS = ["shop", "vault", "mail", "red", "green", "10.0.2.", "10.0.3.",
           "host-red", "host-green", "secret-red", "secret-green"]
# Who told whom how much; each sum says which flows are in it.
FLOWS = [(a, b, 1 << i) for i, (a, b) in enumerate(
    (a, b) for a in range(6) for b in range(6) if a != b)]
RANGE = {"from": "-10m", "to": "+1m", "observations": "all"}


def is_blue(flow):
    return WHO[flow[0]][1] == "blue" or WHO[flow[1]][1] == "blue"


def seen(end, tenants=("blue",)):
    """The name and tenant of an end, as far as they are told."""
    name, tenant, _ = WHO[end]
    return (name, tenant) if tenant in tenants else (None, None)


def made(now):
    """The flows' records."""
    return [struct.pack("!4s4sQQQQ12s", bytes(WHO[a][2]), bytes(WHO[b][2]), n,
                        1, now, now, ("secret-%s" % WHO[a][1]).encode())
            for a, b, n in FLOWS]


def prepare(lab, daemon):
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        {"id": name, "name": name, "tenant": tenant,
         "network": "net-" + tenant, "host": "host-" + tenant,
         "labels": {"secret-" + tenant: "1"}, "valid_from": "-1h",
         "addresses": [".".join(map(str, address))]}
        for name, tenant, address in WHO if name])
    now = int(time.time() * 1000)
    records = made(now)
    udp(lab.name).sendto(ipfix.message(ipfix.template(fields=FIELDS),
                                       ipfix.data(*records)),
                         ("127.0.0.1", 4739))
    wait_until(lambda: sum(r["flows"] for r in daemon.flows(
        by=["src_endpoint"], metrics=["flows"], **RANGE)) == len(FLOWS),
               what="flows stored")
    wait_until(lambda: sum(r["flows"] for r in daemon.flows(
        by=["src_tenant"], metrics=["flows"], filter="src tenant blue",
        **RANGE)) == 10, what="flows named")


def start():
    lab = Lab()
    daemon = Daemon(lab, config={"api": {"tcp": {
        "listen": ["127.0.0.1:%d" % TCP]}}})
    prepare(lab, daemon)
    token = daemon.rpc("token.create", name="blue", role="viewer",
                       tenants=["blue"])["token"]
    return lab, daemon, token


class Confined:
    """Asks over HTTP; whatever is answered tells nothing of others."""

    def __init__(self, lab, token):
        self.web = Http(connect(lab, HTTP), token)
        self.asked = 0

    def reply(self, method, **params):
        self.asked += 1
        _, reply = self.web.call(method, **params)
        if reply is None:
            raise Failure("no answer to %s" % method)
        # What is asked for may come back as an error's text.
        text = json.dumps(reply.get("result"))
        if method == "rpc.discover":
            return reply
        mine = json.dumps(params)
        for secret in SECRETS:
            if secret in text and not (
                    secret.startswith("10.") or secret in mine):
                raise Failure("%s %r tells %r: %s" % (method, params, secret,
                                                      text[:400]))
        return reply

    def call(self, method, **params):
        reply = self.reply(method, **params)
        if "error" in reply:
            raise Failure("%s %r: %r" % (method, params, reply["error"]))
        return reply["result"]

    def rows(self, **params):
        return self.call("flow.query", **{**RANGE, "limit": 1000,
                                          **params})["rows"]


BLUE = [f for f in FLOWS if is_blue(f)]
ALL_BLUE = sum(n for _, _, n in BLUE)


def grouped(key, flows=None):
    sums = {}
    for flow in BLUE if flows is None else flows:
        k = key(flow)
        sums[k] = sums.get(k, 0) + flow[2]
    return sorted(([*k, n] if isinstance(k, tuple) else [k, n]
                   for k, n in sums.items()), key=str)


def test_queries():
    """Groups, sums, totals, counts, series, records: of blue's flows."""
    lab, daemon, token = start()
    ask = Confined(lab, token)
    equal(ask.call("session.get")["tenants"], ["blue"], "who asks")
    equal(ask.rows(metrics=["bytes", "flows"]), [[ALL_BLUE, len(BLUE)]])
    for side, end in (("src", 0), ("dst", 1)):
        for column, at in (("endpoint", 0), ("tenant", 1)):
            equal(sorted(ask.rows(by=["%s_%s" % (side, column)],
                                  metrics=["bytes"]), key=str),
                  grouped(lambda f, e=end, a=at: seen(f[e])[a]),
                  "%s_%s" % (side, column))
        for column in ("network", "host", "labels"):
            equal(sorted(ask.rows(by=["%s_%s" % (side, column)],
                                  metrics=["bytes"]), key=str),
                  grouped(lambda f, e=end, c=column: seen(f[e])[1] and {
                      "network": "net-blue", "host": "host-blue",
                      "labels": "secret-blue=1"}[c]), column)
    # Of either end; whom one may not see is nobody.
    for column, at in (("endpoint", 0), ("tenant", 1)):
        equal(sorted(ask.rows(by=[column], metrics=["bytes"]), key=str),
              grouped(lambda f: f[0], [
                  (who, None, f[2]) for f in BLUE
                  for who in {seen(f[0])[at], seen(f[1])[at]}]), column)
    both = sorted(ask.rows(by=["src_endpoint", "dst_endpoint"],
                           metrics=["bytes"]), key=str)
    equal(both, grouped(lambda f: (seen(f[0])[0], seen(f[1])[0])))
    # Distinct counts, shares, totals, others, both directions, before.
    equal(ask.rows(metrics=["distinct(src_tenant)", "distinct(dst_endpoint)",
                            "distinct(src_addr)", "distinct(src_labels)"]),
          [[1, 2, 6, 1]])
    result = ask.call("flow.query", by=["src_endpoint"], limit=1, totals=True,
                      metrics=["bytes", "share(bytes)"], **RANGE)
    equal((result["totals"], result["rows"][0][1] + result["other"][0]),
          ([ALL_BLUE, 1.0], ALL_BLUE), "totals and the rest")
    equal(sorted(result["stats"]), ["elapsed_ms", "tier"],
          "how much all have is not told")
    pairs = ask.rows(by=["src_endpoint", "dst_endpoint"], bidirectional=True,
                     metrics=["bytes"])
    equal(sum(r[-1] for r in pairs), ALL_BLUE, "both directions")
    result = ask.rows(metrics=["bytes", "previous(bytes)"], compare="5s",
                      **{"from": "-1s", "to": "+1m"})
    if max(result[0]) > ALL_BLUE:
        raise Failure("the period before tells of others: %r" % result)
    equal(ask.rows(metrics=["p95(bytes)", "max(bytes)"])[0][1],
          max(n for _, _, n in BLUE))
    equal(ask.rows(by=["src_addr"], metrics=["error(bytes)"])[0][1], 0)
    # A series, its total and what is not shown.
    for by, at in ((["src_endpoint"], 0), (["dst_tenant"], 1), ([], 0)):
        series = ask.call("flow.series", by=by, top=1, bucket="1m",
                          metrics=["bytes"], **RANGE)
        equal(sum(series["total"]["bytes"]), ALL_BLUE, "total of a series")
        shown = [sum(s["values"]["bytes"]) for s in series["series"]]
        if by:
            equal(sum(shown) + sum(series["other"]["bytes"]), ALL_BLUE)
            sums = {k: n for k, n in grouped(
                lambda f, s=by[0], a=at: seen(f[s[0] == "d"])[a])}
            equal([(s["key"][0], sum(s["values"]["bytes"]))
                   for s in series["series"]],
                  [max(sums.items(), key=lambda x: x[1])], "largest group")
    # Records, all columns, page by page, from both ends.
    for order in ("newest", "oldest"):
        records, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = ask.call("flow.records", limit=7, order=order, **more,
                            **RANGE)
            names = [c["name"] for c in page["columns"]]
            records += [dict(zip(names, row)) for row in page["rows"]]
            cursor = page["cursor"]
            if not cursor:
                break
        equal(sorted(r["bytes"] for r in records),
              sorted(n for _, _, n in BLUE), "records, " + order)
        by_bytes = {n: (a, b) for a, b, n in FLOWS}
        for r in records:
            a, b = by_bytes[r["bytes"]]
            equal(((r["src_endpoint"], r["src_tenant"]),
                   (r["dst_endpoint"], r["dst_tenant"])), (seen(a), seen(b)))
    # A cursor of one who sees all is worth nothing more.
    wide = daemon.rpc("flow.records", limit=3, **RANGE)["cursor"]
    page = ask.call("flow.records", limit=1000, cursor=wide,
                    fields=["bytes"], **RANGE)
    if not {r[1] for r in page["rows"]} <= {n for _, _, n in BLUE}:
        raise Failure("a cursor lets others' flows in")
    daemon.stop()


ESCAPES = [
    "user_name secret-red", "user_name is null", "user_name != secret-red",
    "user_name 'secret-blue'",
    "any", "not tenant blue", "not (tenant blue)", "any or tenant red",
    "tenant red", "src tenant red and dst tenant red", "tenant red or any",
    "not any or any", "src tenant is null and dst tenant is null",
    "src_tenant is not null", "not (src tenant blue or dst tenant blue)",
    "src_tenant != blue and dst_tenant != blue", "tenant != blue",
    "(tenant blue) or (not tenant blue)", "bytes > 0", "not bytes > 0",
    "src net 10.0.2.0/24 and dst net 10.0.3.0/24", "host 10.0.2.1",
    "tenant in [red green]", "tenant 'blue' or 1 = 1", "tenant \"blue' OR '1\"",
    "endpoint vault", "not endpoint vault", "src_endpoint vault",
    "src_endpoint != vault", "src_host host-red", "not src_host host-red",
    "dst_labels 'secret-red=1'", "network net-green", "src_tenant is null",
    "dst_endpoint is not null", "not (dst_endpoint is null)",
    "not not tenant red", "duration >= 0", "flows > 0",
]


def matches(flow, text):
    """What a filter says of a flow as it is seen: the few that ESCAPES has,
    in Python."""
    a, b = seen(flow[0]), seen(flow[1])
    name = lambda e: a[0] == e or b[0] == e
    tenant = lambda e: a[1] == e or b[1] == e
    return {
        "not tenant blue": False, "not (tenant blue)": False,
        "tenant red": False, "src tenant red and dst tenant red": False,
        "src tenant is null and dst tenant is null": False,
        "src_tenant is not null": a[1] is not None,
        "not (src tenant blue or dst tenant blue)": False,
        "src_tenant != blue and dst_tenant != blue": False,
        "tenant != blue": False, "tenant \"blue' OR '1\"": False, "not bytes > 0": False,
        "src net 10.0.2.0/24 and dst net 10.0.3.0/24": False,
        "host 10.0.2.1": 2 in flow[:2], "tenant in [red green]": False,
        "endpoint vault": name("vault"), "src_endpoint vault": False,
        "src_host host-red": False, "dst_labels 'secret-red=1'": False,
        "network net-green": False, "src_tenant is null": a[1] is None,
        "dst_endpoint is not null": b[0] is not None,
        "not (dst_endpoint is null)": b[0] is not None,
        "not not tenant red": tenant("red"),
        "user_name secret-red": False, "user_name is null": a[1] is None,
        "user_name 'secret-blue'": a[1] is not None,
    }.get(text, True)


def test_filters():
    """No filter gets around it, nor finds out whom others have."""
    lab, daemon, token = start()
    ask = Confined(lab, token)
    for text in ESCAPES:
        reply = ask.reply("flow.query", metrics=["bytes"], filter=text,
                          **RANGE)
        if "error" in reply:
            equal(reply["error"]["code"], -32602, text)
            continue
        want = sum(f[2] for f in BLUE if matches(f, text))
        equal(reply["result"]["rows"], [[want]], text)
        records = ask.call("flow.records", fields=["bytes"], filter=text,
                           limit=1000, **RANGE)["rows"]
        equal(sum(r[1] for r in records), want, "records: " + text)
        series = ask.call("flow.series", metrics=["bytes"], filter=text,
                          bucket="10m", **RANGE)
        equal(sum(series["total"]["bytes"]), want, "series: " + text)
    # One in a thousand terms.
    long = " or ".join("port %d" % i for i in range(1000)) + " or any"
    equal(ask.rows(metrics=["bytes"], filter=long), [[ALL_BLUE]], "long")
    # Whoever sees all still does.
    equal(daemon.flows(metrics=["bytes"], **RANGE)[0]["bytes"],
          sum(n for _, _, n in FLOWS))
    daemon.stop()


def test_methods():
    """What is not about the tenants' flows is refused."""
    lab, daemon, token = start()
    ask = Confined(lab, token)
    table = ask.call("rpc.discover")["methods"]
    mine = {"flow.query", "flow.series", "flow.records", "flow.columns",
            "flow.filter.check", "flow.subscribe", "subscription.cancel",
            "subscription.list", "session.get", "session.login",
            "rpc.discover", "rpc.cancel", "endpoint.lookup", "endpoint.list"}
    for method in table:
        if method["name"] in mine:
            continue
        params = method["examples"][0]["params"]
        reply = ask.reply(method["name"], **{p["name"]: p["value"]
                                             for p in params})
        equal(reply["error"]["code"], -32008, method["name"])
    equal({m["name"] for m in table if m["x-confined"]}, mine)
    web = Http(connect(lab, HTTP), token)
    equal(web.ask("GET", "/metrics")[0], 403, "/metrics")
    # Endpoints.
    equal({e["name"] for e in ask.call("endpoint.list")["endpoints"]},
          {"web", "db"}, "endpoint.list")
    equal(ask.call("endpoint.list")["total"], None)
    for more in ({"tenant": "red"}, {"source": "nova", "network": "net-red"}):
        equal(ask.call("endpoint.list", **more)["endpoints"], [])
    for _, tenant, address in WHO:
        text = ".".join(map(str, address))
        found = ask.call("endpoint.lookup", address=text)["matches"]
        equal(len(found), int(tenant == "blue"), "endpoint.lookup " + text)
    equal(ask.call("endpoint.lookup", address="10.0.2.1",
                   tenant="red")["matches"], [])
    # Only viewers can be confined; sets have names.
    for params in ({"role": "admin"}, {"role": "operator"},
                   {"role": "orchestrator"}, {"tenants": []},
                   {"tenants": [""]}, {"tenants": ["a"] * 17},
                   {"tenants": ["a\0b"]}, {"tenants": [1]}):
        reply = None
        try:
            reply = daemon.rpc("token.create", **{
                "name": "x", "role": "viewer", "tenants": ["blue"], **params})
        except RpcError as error:
            equal(error.code, -32602, str(params))
        equal(reply, None, str(params))
    daemon.stop()


def test_restart_and_two():
    """Tokens are confined after a restart, too; two tenants are one set; a
    damaged set is no token at all."""
    lab, daemon, token = start()
    two = daemon.rpc("token.create", name="two", role="viewer",
                     tenants=["red", "blue"])["token"]
    daemon.stop()
    daemon.start()
    want = sum(n for a, b, n in FLOWS
               if {WHO[a][1], WHO[b][1]} & {"red", "blue"})
    equal(Confined(lab, token).rows(metrics=["bytes"]), [[ALL_BLUE]])
    web = Http(connect(lab, HTTP), two)
    equal(web.call("flow.query", metrics=["bytes"], **RANGE)[1]["result"]
          ["rows"], [[want]], "two tenants")
    daemon.stop()


def test_subscriptions():
    """flow.subscribe, over TCP and WebSocket; it ends with who may."""
    lab, daemon, token = start()
    stream = Stream(connect(lab, TCP))
    equal(stream.call("session.login", token=token)["result"]["tenants"],
          ["blue"])
    fields = ["bytes", "src_endpoint", "src_tenant", "dst_endpoint",
              "dst_tenant"]
    stream.call("flow.subscribe", fields=fields, observations="all",
                filter="any or tenant red", rate=1000)
    web = WebSocket(connect(lab, HTTP),
                    headers=[("Authorization", "Bearer " + token)])
    web.call("flow.subscribe", fields=fields, observations="all",
             filter="src_endpoint is null", rate=1000)
    prepare_again(lab)
    got = []
    while len(got) < len(BLUE):
        got += stream.receive()["params"]["result"]["rows"]
    by_bytes = {n: (a, b) for a, b, n in FLOWS}
    equal(sorted(r[0] for r in got), sorted(n for _, _, n in BLUE))
    for n, *rest in got:
        a, b = by_bytes[n]
        equal(rest, [*seen(a), *seen(b)], "a row of flow.subscribe")
    want = sorted(n for a, b, n in BLUE if seen(a)[0] is None)
    got = []
    while len(got) < len(want):
        got += web.receive()["params"]["result"]["rows"]
    equal(sorted(r[0] for r in got), want, "masked in the filter")
    # Revoked: told so, and nothing more comes.
    daemon.rpc("token.revoke", token="blue")
    for client in (stream, web):
        message = client.receive()
        while message and message.get("method") == "subscription.data":
            message = client.receive()
        equal(message["method"], "subscription.end")
    daemon.stop()


def test_expired_and_changed():
    """A subscription ends when its token does, and when another logs in."""
    lab, daemon, token = start()
    short = daemon.rpc("token.create", name="short", role="viewer",
                       lifetime="3s")["token"]
    stream = Stream(connect(lab, TCP))
    stream.call("session.login", token=short)
    stream.call("flow.subscribe", filter="bytes > 1t")
    equal(stream.receive()["method"], "subscription.end", "expired")
    wide = daemon.rpc("token.create", name="wide", role="viewer")["token"]
    stream = Stream(connect(lab, TCP))
    stream.call("session.login", token=wide)
    stream.call("flow.subscribe", filter="bytes > 1t")
    equal(stream.call("session.login", token=token)["method"],
          "subscription.end", "confined now")
    daemon.stop()


def prepare_again(lab):
    now = int(time.time() * 1000)
    records = made(now)
    udp(lab.name).sendto(ipfix.message(ipfix.template(fields=FIELDS),
                                       ipfix.data(*records)),
                         ("127.0.0.1", 4739))


def test_rules():
    """Users of the unix socket and names of a proxy, confined by rules."""
    lab = Lab()
    daemon = Daemon(lab, config={"api": {
        "http": {"trusted-proxy": ["127.0.0.1"]},
        "access": [{"name": "t", "role": "viewer", "tenant": ["blue"],
                    "proxy-user": ["blue-*"]},
                   {"name": "all", "role": "viewer", "proxy-user": ["*"]}]}})
    prepare(lab, daemon)
    for user, want in (("blue-1", ALL_BLUE),
                       ("else", sum(n for _, _, n in FLOWS))):
        web = Http(connect(lab, HTTP))
        status, _, body = web.ask(
            body={"jsonrpc": "2.0", "id": 1, "method": "flow.query",
                  "params": {"metrics": ["bytes"], **RANGE}},
            headers={"X-Remote-User": user})
        equal((status, json.loads(body)["result"]["rows"]), (200, [[want]]),
              user)
    path = os.path.join(scratch_dir(), "bad.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"venturi:venturi": {"api": {"access": [
            {"name": "x", "role": "admin", "tenant": ["blue"],
             "user": ["nobody"]}]}}}, f)
    said = run(os.path.join(BUILDDIR, "venturid"), "--check-config",
               "--config", path, check=False)
    if "access[name='x']/tenant" not in said:
        raise Failure("not refused: %s" % said)
    daemon.stop()


AS_USER = """
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.stdin.buffer.read() + b"\\n")
sys.stdout.write(s.makefile().readline())
"""


def open_way(path):
    """Lets other users go down to 'path'."""
    while path not in ("/", ""):
        os.chmod(path, os.stat(path).st_mode | 0o001)
        path = os.path.dirname(path)


def ask(method, **params):
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def test_certificate_and_user():
    """The rules of names in certificates, and of users of the unix socket."""
    lab = Lab()
    directory = scratch_dir()
    make_certificates(directory)
    for path in (directory, lab.dir):
        open_way(path)
    daemon = Daemon(lab, config={"api": {
        "tls": tls_config(directory, listen=["127.0.0.1:8781"]),
        "https": {"listen": ["127.0.0.1:8783"]},
        "access": [
            {"name": "c", "role": "viewer", "tenant": ["blue"],
             "certificate": ["robot-*"]},
            {"name": "u", "role": "viewer", "tenant": ["blue"],
             "user": ["12345"]},
            {"name": "all", "role": "viewer", "certificate": ["nobody"],
             "user": ["12346"]}]}})
    prepare(lab, daemon)
    open_way(daemon.run_dir)
    everything = sum(n for _, _, n in FLOWS)
    calls = [ask("session.get"), ask("flow.query", metrics=["bytes"], **RANGE),
             ask("endpoint.lookup", address="10.0.2.1"),
             ask("exporter.list")]

    def by_user(uid, call):
        said = subprocess.run(
            [sys.executable, "-c", AS_USER, daemon.api, str(uid)],
            input=json.dumps(call), capture_output=True, text=True,
            check=True, timeout=30).stdout
        return json.loads(said)

    def by_tls(name, call):
        stream = Stream(secure(lab, directory, 8781, name))
        stream.send(call)
        return stream.receive()

    def by_https(name, call):
        web = Http(secure(lab, directory, 8783, name))
        return json.loads(web.ask(body=call)[2])

    for way, confined, free in ((by_tls, "robot-1", "nobody"),
                                (by_https, "robot-1", "nobody"),
                                (by_user, 12345, 12346)):
        who, rows, red, exporters = [way(confined, call) for call in calls]
        equal(who["result"]["tenants"], ["blue"], "%s: tenants" % way)
        equal(rows["result"]["rows"], [[ALL_BLUE]], "%s: flows" % way)
        if "shop" in json.dumps(red):
            raise Failure("%s: another tenant's endpoint: %s" % (way, red))
        equal(exporters["error"]["code"], -32008, "%s: exporters" % way)
        who, rows, red, exporters = [way(free, call) for call in calls]
        equal((who["result"]["tenants"], rows["result"]["rows"],
               "shop" in json.dumps(red), "result" in exporters),
              (None, [[everything]], True, True), "%s: not confined" % way)
    daemon.stop()


if __name__ == "__main__":
    main()
