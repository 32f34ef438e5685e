#!/usr/bin/env python3
"""Who is behind an address: an orchestrator tells, flows are named for their
own time, and what was acknowledged survives kill -9."""

import json
import os
import signal
import struct
import time

import ipfix
from harness import BUILDDIR, Daemon, Lab, RpcError, equal, main, run, \
    wait_until
from ipfix import BYTES, DST, PACKETS, SRC, udp

START, END = (152, 8), (153, 8)         # Milliseconds since 1970.
SRC_MAC = (56, 6)
FIELDS = (SRC, DST, BYTES, PACKETS, START, END, SRC_MAC)
KEYS = ["src_addr", "src_endpoint", "src_tenant", "src_network", "src_host",
        "src_labels", "dst_endpoint"]


def send(lab, flows):
    records = [struct.pack("!4s4sQQQQ6s", bytes(src), bytes((192, 0, 2, 1)),
                           100, 1, int(at * 1000), int(at * 1000), mac)
               for src, at, mac in flows]
    udp(lab.name).sendto(ipfix.message(ipfix.template(fields=FIELDS),
                                       ipfix.data(*records)),
                         ("127.0.0.1", 4739))


def endpoint(ident, address, **more):
    return dict({"id": ident, "name": ident, "addresses": [address]}, **more)


def who(daemon, address, at=None, **more):
    if at:
        more["at"] = "%.6f" % at
    found = daemon.rpc("endpoint.lookup", address=address, **more)["matches"]
    return [m["name"] for m in found]


def named(daemon, where, n):
    def rows():
        return daemon.flows(by=KEYS, metrics=["flows"], observations="all",
                            **{"from": "-2h", "to": "+1h", "filter": where})
    wait_until(lambda: sum(r["flows"] for r in rows()) == n,
               what="%d flows of %s" % (n, where))
    return rows()


def test_flows_are_named_for_their_time():
    lab = Lab()
    daemon = Daemon(lab)
    now = time.time()
    odd = 'we"b \u00e9\u4e2d, 1'
    reply = daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        endpoint("old", "10.0.0.5", tenant="blue",
                 valid_from="%.3f" % (now - 3600),
                 valid_to="%.3f" % (now - 1800)),
        endpoint("new", "10.0.0.5", name=odd, tenant="red", network="red-net",
                 host="node-1", labels={"role": "db", "a=b": "c,d"},
                 valid_from="%.3f" % (now - 1790)),
    ])
    equal(reply, {"accepted": 2, "refused": 0, "ended": 0, "durable": True,
                  "error": None}, "endpoint.upsert")
    none = bytes(6)
    send(lab, [((10, 0, 0, 5), now - 2400, none),
               ((10, 0, 0, 5), now - 1700, none),
               ((10, 0, 0, 5), now - 4000, none)])
    got = {r["src_endpoint"]: r for r in named(daemon, "src host 10.0.0.5", 3)}
    equal(sorted(got, key=str), sorted(["old", odd, None], key=str),
          "each flow has the endpoint of its time")
    equal([got[odd][k] for k in KEYS[2:6]],
          ["red", "red-net", "node-1", "a\\=b=c\\,d,role=db"], "members")
    equal(got["old"]["src_tenant"], "blue", "tenant of then")
    # By name in a filter.
    for where in ('src_tenant "red"', "tenant red", "src network red-net",
                  "endpoint '%s'" % odd, "not tenant blue and tenant red"):
        rows = daemon.flows(by=["src_endpoint"], metrics=["flows"],
                            observations="all", filter=where,
                            **{"from": "-2h", "to": "+1h"})
        equal([r["src_endpoint"] for r in rows], [odd], where)
    # By label, also with what is special in labels.
    for where in ("label.role db", "src label.role = db", "src_label.role db",
                  "label.role in [web db]", "not label.role web and tenant red",
                  "label.role != web and tenant red"):
        rows = daemon.flows(by=["src_label.role", "src_label.a=b",
                                "dst_label.role"],
                            metrics=["flows"], observations="all",
                            filter=where, **{"from": "-2h", "to": "+1h"})
        equal([list(r.values()) for r in rows], [["db", "c,d", None, 1]],
              where)
    for where in ("label.role d", "dst label.role db", "label.rol db",
                  "label.role web"):
        equal(daemon.flows(metrics=["flows"], observations="all",
                           filter=where, **{"from": "-2h", "to": "+1h"})
              [0]["flows"], 0, where)
    series = daemon.rpc("flow.series", by=["src_label.role"], bucket="5m",
                        metrics=["flows"], observations="all",
                        **{"from": "-2h", "to": "+1h", "top": 3})
    assert "db" in str(series), series
    daemon.stop()


def test_resolve_anew():
    """What was told after a flow came names it, if that is asked for."""
    lab = Lab()
    daemon = Daemon(lab)
    now = time.time()
    none = bytes(6)
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        endpoint("a", "10.0.0.5", tenant="blue",
                 valid_from="%.3f" % (now - 30000))])
    send(lab, [((10, 0, 0, 5), now - 20000, none),      # Long ago
               ((10, 0, 0, 5), now - 600, none),
               ((10, 0, 0, 6), now - 600, none)])       # Nobody's, as yet
    span = {"from": "-1d", "to": "+1h", "observations": "all"}

    def names(resolve=None, **more):
        rows = daemon.flows(by=["src_addr", "src_endpoint", "src_label.role"],
                            metrics=["flows"], **dict(
                                span, **more,
                                **({"resolve": resolve} if resolve else {})))
        return sorted([r["src_addr"], r["src_endpoint"], r["src_label.role"],
                       r["flows"]] for r in rows)
    wait_until(lambda: sum(r[3] for r in names()) == 3, what="three flows")
    stored = [["10.0.0.5", "a", None, 2], ["10.0.0.6", None, None, 1]]
    equal(names(), stored, "as they came")
    equal(names("then"), stored, "nothing was told since")

    # Late knowledge: .6 was there all the time; .5 was another's before.
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        endpoint("b", "10.0.0.6", labels={"role": "db"},
                 valid_from="%.3f" % (now - 3000)),
        endpoint("z", "10.0.0.5", valid_from="%.3f" % (now - 50000),
                 valid_to="%.3f" % (now - 30001))])
    daemon.rpc("endpoint.delete", source="nova", ids=["a"],
               at="%.3f" % (now - 10))
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        endpoint("c", "10.0.0.5", valid_from="%.3f" % (now - 5))])
    equal(names(), stored, "stored stays")
    then = [["10.0.0.5", "a", None, 2], ["10.0.0.6", "b", "db", 1]]
    equal(names("then"), then, "then")
    equal(names("now"), [["10.0.0.5", "c", None, 2],
                         ["10.0.0.6", "b", "db", 1]], "now")
    # Filters look at what is resolved, not at what blocks have.
    for resolve, where, n in (
            ("stored", "endpoint b", 0), ("then", "endpoint b", 1),
            ("then", "label.role db", 1), ("now", "endpoint a", 0),
            ("now", "src endpoint c", 2), ("then", "not endpoint a", 1),
            ("then", "src_tenant blue", 2), ("now", "tenant blue", 0),
            ("now", "src host 10.0.0.5", 2)):
        got = daemon.flows(metrics=["flows"], resolve=resolve, filter=where,
                           **span)
        equal(got[0]["flows"], n, "%s, %s" % (resolve, where))
    records = daemon.rpc("flow.records", fields=["src_addr", "src_endpoint"],
                         resolve="now", **span)
    equal(sorted(set(map(str, (row[-1] for row in records["rows"])))),
          ["b", "c"], "records")
    series = daemon.rpc("flow.series", by=["src_endpoint"], metrics=["flows"],
                        bucket="1h", resolve="now", **span)
    assert '"c"' in json.dumps(series), series
    # After a restart, and when the past is in files.
    daemon.stop()
    daemon.start()
    equal(names("then"), then, "after a restart")
    try:
        names("tomorrow")
    except RpcError as e:
        equal((e.code, e.data["member"]), (-32602, "resolve"), "a wrong word")
    else:
        raise AssertionError("accepted")
    daemon.stop()


def test_two_tenants_with_one_address():
    lab = Lab()
    daemon = Daemon(lab)
    macs = [bytes((2, 0, 0, 0, 0, i)) for i in (1, 2, 3)]
    daemon.rpc("endpoint.upsert", source="k8s", endpoints=[
        endpoint(tenant, "10.0.0.9", tenant=tenant, network=tenant + "-net",
                 macs=[mac.hex(":")], valid_from="-1h")
        for tenant, mac in zip(("blue", "red"), macs)])
    now = time.time()
    send(lab, [((10, 0, 0, 9), now, mac) for mac in macs])
    rows = named(daemon, "src host 10.0.0.9", 3)
    equal(sorted(r["src_tenant"] or "-" for r in rows),
          ["-", "blue", "red"], "told apart by MAC address, or not at all")
    equal(sorted(who(daemon, "10.0.0.9")), ["blue", "red"], "both are shown")
    equal(who(daemon, "10.0.0.9", tenant="red"), ["red"], "of one tenant")
    daemon.stop()


def test_kill_and_generations():
    lab = Lab()
    daemon = Daemon(lab)
    before = None
    for round_ in range(int(os.environ.get("VENTURI_KILLS", "20"))):
        n = 200
        daemon.rpc("endpoint.upsert", source="k8s", generation=round_ + 1,
                   complete=True, endpoints=[
                       endpoint("pod-%d-%d" % (round_, i), "10.1.0.%d" % i)
                       for i in range(n)])
        told = time.time()
        daemon.stop(signal.SIGKILL, check=False)
        daemon.start()
        equal(daemon.rpc("endpoint.list", limit=1)["total"], n,
              "those of this generation, and no more")
        equal(who(daemon, "10.1.0.7"), ["pod-%d-7" % round_], "now")
        equal(who(daemon, "10.1.0.7", told), ["pod-%d-7" % round_], "then")
        if round_:
            equal(who(daemon, "10.1.0.7", before),
                  ["pod-%d-7" % (round_ - 1)], "before")
        before = told
    # Of the time between, also where nobody is known.
    gap, = daemon.rpc("endpoint.lookup", address="10.77.0.1",
                      at="%.6f" % (told + 0.001))["gaps"]
    equal(gap["source"], None, "nobody listened to anybody")
    equal(daemon.rpc("endpoint.lookup", address="10.77.0.1")["gaps"], [],
          "now somebody does")
    out = run(os.path.join(BUILDDIR, "venturictl"), "--api",
              "unix:" + daemon.api, "who", "10.1.0.7", "--at",
              "%.6f" % (told + 0.001))
    assert "nobody listened: it may" in out, out
    # A synchronisation that was not completed, over two restarts.
    generation = round_ + 1
    for i in range(20):
        generation += 1
        daemon.rpc("endpoint.upsert", source="k8s", generation=generation,
                   endpoints=[endpoint("pod-%d-%d" % (round_, i),
                                       "10.1.0.%d" % i)])
    for _ in range(2):
        daemon.stop()
        daemon.start()
        equal(daemon.rpc("endpoint.list", limit=1)["total"], n, "all of them")
    stale = daemon.rpc("endpoint.upsert", source="k8s", generation=2,
                       endpoints=[endpoint("x", "10.1.0.1")])
    equal(stale["refused"], 1, "an older generation")
    assert "older" in stale["error"], stale
    seen, cursor = set(), None
    while True:
        page = daemon.rpc("endpoint.list", limit=17,
                          **({"cursor": cursor} if cursor else {}))
        seen |= {e["id"] for e in page["endpoints"]}
        cursor = page["next"]
        if not cursor:
            break
    equal(len(seen), 200, "every page together")
    daemon.stop()


def test_wrong():
    lab = Lab()
    daemon = Daemon(lab)
    cases = (
        ({"addresses": ["10.0.0.5x"]}, "endpoints[0].addresses[0]"),
        ({"addresses": "10.0.0.5"}, "endpoints[0].addresses"),
        ({"prefixes": ["10.0.0.0/33"]}, "endpoints[0].prefixes[0]"),
        ({"macs": ["zz"]}, "endpoints[0].macs[0]"),
        ({"vnis": [-1]}, "endpoints[0].vnis[0]"),
        ({"colour": "red"}, "endpoints[0].colour"),
        ({"name": "x" * 4097}, "endpoints[0].name"),
        ({"name": 5}, "endpoints[0].name"),
        ({"labels": {"a": 5}}, "endpoints[0].labels"),
        ({"labels": {str(i): "" for i in range(65)}}, "endpoints[0].labels"),
        ({"valid_from": "2026-01-02", "valid_to": "2026-01-01"},
         "endpoints[0].valid_to"),
        ({"valid_from": "yesterday"}, "endpoints[0].valid_from"),
        ({"addresses": ["10.%d.%d.1" % (i >> 8, i & 255)
                        for i in range(1025)]}, "endpoints[0].addresses"),
    )
    for more, member in cases:
        try:
            daemon.rpc("endpoint.upsert", source="s",
                       endpoints=[dict({"id": "1"}, **more)])
        except RpcError as e:
            equal(e.data["member"], member, str(more)[:60])
            equal(e.code, -32602, member)
        else:
            raise AssertionError("accepted: %s" % more)
    equal(daemon.rpc("endpoint.list")["total"], 0, "nothing was told")
    for method, params, member in (
            ("endpoint.upsert", {"endpoints": [], "complete": True},
             "generation"),
            ("endpoint.upsert", {"endpoints": [], "generation": -1},
             "generation"),
            ("endpoint.delete", {"ids": ["a", "a\0b"]}, "ids[1]"),
            ("endpoint.delete", {"ids": ["x" * 4097]}, "ids[0]"),
            ("endpoint.delete", {"ids": [""]}, "ids[0]"),
            ("endpoint.delete", {"ids": [1]}, "ids[0]")):
        try:
            daemon.rpc(method, source="s", **params)
        except RpcError as e:
            equal((e.code, e.data["member"]), (-32602, member), str(params))
        else:
            raise AssertionError("accepted: %s" % params)
    daemon.rpc("endpoint.upsert", source="s", endpoints=[], generation=9,
               complete=True)
    stale = daemon.rpc("endpoint.upsert", source="s", endpoints=[],
                       generation=8, complete=True)
    equal(stale["refused"], 1, "a generation that goes back")
    assert stale["error"].startswith("complete: its generation"), stale
    daemon.stop()


if __name__ == "__main__":
    main()
