#!/usr/bin/env python3
"""flow.query's and flow.series' numbers, each against a computation of its own
here, over the single flows that flow.records tells."""

import ipaddress
import math
import time

from generator import generate
from harness import Daemon, Failure, Lab, equal, main, wait_until

COUNT = 6000
SPAN = 1800                     # Seconds; then twice as long again.
FIELDS = ["src_addr", "dst_addr", "src_port", "dst_port", "proto", "bytes",
          "packets", "raw_bytes", "raw_packets", "flow_start", "exporter",
          "in_if", "out_if", "src_as", "dst_as", "tos", "tcp_flags"]
PROTO = {1: "icmp", 6: "tcp", 17: "udp", 47: "gre", 58: "icmp6",
         132: "sctp"}
SERVICE = {443: "https", 53: "dns", 80: "http", 22: "ssh", 25: "smtp",
           123: "ntp", 993: "imaps", 3306: "mysql"}


def micros(text):
    """RFC 3339 to microseconds, without going through a float."""
    whole, _, rest = text.rstrip("Z").partition(".")
    base = int(time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S"))
               - time.timezone)
    return base * 1000000 + int(rest.ljust(6, "0") or 0)


def read_flows(daemon, start, end):
    flows, cursor = [], None
    while True:
        params = {"fields": FIELDS, "limit": 10000, "observations": "all",
                  "from": start, "to": end}
        if cursor:
            params["cursor"] = cursor
        page = daemon.rpc("flow.records", **params)
        names = [c["name"] for c in page["columns"]]
        flows += [dict(zip(names, row)) for row in page["rows"]]
        cursor = page["cursor"]
        if not cursor:
            break
    for flow in flows:
        flow["end"] = micros(flow["flow_end"])
        flow["start"] = micros(flow["flow_start"])
    return flows


# --- The same, computed here. ---

def prefix(address, v4, v6=64):
    if address is None:
        return None
    a = ipaddress.ip_address(address)
    return str(ipaddress.ip_network((a, v4 if a.version == 4 else v6),
                                    False))


def is_reply(f):
    """From the server: its port is lower, or its address higher."""
    a, b = f["src_port"] or 0, f["dst_port"] or 0
    if a != b:
        return a < b

    def number(address):
        a = ipaddress.ip_address(address)
        return int(a) + (0xffff << 32 if a.version == 4 else 0)
    return number(f["src_addr"]) > number(f["dst_addr"])


KEYS = {
    "src_addr/24": lambda f: prefix(f["src_addr"], 24),
    "dst_addr/16/48": lambda f: prefix(f["dst_addr"], 16, 48),
    "src_addr/0": lambda f: prefix(f["src_addr"], 0),
    "proto_name": lambda f: PROTO.get(f["proto"], str(f["proto"])),
}


def key_of(f, by, bucket=None):
    key = tuple(KEYS[k](f) if k in KEYS else f[k] for k in by)
    return ((f["end"] // bucket * bucket,) if bucket else ()) + key


def rate(total, seconds, octets):
    """Rounded down, as whole units a second."""
    us = round(seconds * 1000000)
    return total * (8000000 if octets else 1000000) // us


def p95(flows, start, end, bucket, what):
    """Nearest rank of the sums of all buckets, empty ones included."""
    first = start // bucket
    n = math.ceil((end - start) / bucket)
    sums = {}
    for f in flows:
        i = f["end"] // bucket - first
        sums[i] = sums.get(i, 0) + f[what]
    values = sorted(list(sums.values()) + [0] * (n - len(sums)))
    return values[math.ceil(0.95 * n) - 1]


class Asked:
    """One question: asks, and computes."""

    def __init__(self, daemon, flows, start, end):
        self.daemon, self.start, self.end = daemon, start, end
        self.flows = [f for f in flows
                      if start * 1000000 <= f["end"] < end * 1000000]

    def ask(self, method="flow.query", **params):
        params.setdefault("observations", "all")
        return self.daemon.rpc(method, **{"from": self.start, "to": self.end},
                               **params)

    def groups(self, by, bucket=None, flows=None):
        groups = {}
        for f in self.flows if flows is None else flows:
            groups.setdefault(key_of(f, by, bucket), []).append(f)
        return groups

    def compare(self, by, metrics, compute, bucket=None, **params):
        """All groups: 'compute' makes the metrics of a list of flows."""
        if bucket:
            params["bucket"] = "%ds" % (bucket // 1000000)
        answer = self.ask(by=by, metrics=metrics, limit=100000, **params)
        expected = {k: compute(g) for k, g in
                    self.groups(by, bucket).items()}
        n = len(by) + bool(bucket)
        got = {}
        for row in answer["rows"]:
            key = tuple(row[:n])
            if bucket:
                key = (micros(key[0]),) + key[1:]
            got[key] = row[n:]
        equal(len(got), len(expected), "groups by %r" % (by,))
        for key, values in expected.items():
            if got.get(key) != values:
                raise Failure("by %r, %r: %r, expected %r" % (
                    by, key, got.get(key), values))
        return answer


def total(flows, what):
    return sum(f[what] for f in flows)


def check_groups(asked):
    """Keys of every kind, sums, averages, extremes, times, distinct."""
    seconds = asked.end - asked.start
    metrics = ["bytes", "packets", "flows", "raw_bytes", "raw_packets", "bps",
               "pps", "fps", "min(bytes)", "max(packets)", "first", "last",
               "distinct(src_addr)", "distinct(dst_port)"]

    def compute(g):
        return [total(g, "bytes"), total(g, "packets"), len(g),
                total(g, "raw_bytes"), total(g, "raw_packets"),
                rate(total(g, "bytes"), seconds, True),
                rate(total(g, "packets"), seconds, False),
                rate(len(g), seconds, False),
                min(f["bytes"] for f in g), max(f["packets"] for f in g),
                min(g, key=lambda f: f["start"])["flow_start"],
                max(g, key=lambda f: f["end"])["flow_end"],
                len({f["src_addr"] for f in g}),
                len({f["dst_port"] for f in g} - {None})]
    for by in (["src_addr/24"], ["dst_addr/16/48", "proto"], ["src_addr/0"],
               ["proto_name"], ["exporter"], ["in_if", "out_if"],
               ["src_as", "dst_as"], ["tos", "tcp_flags"],
               ["src_addr", "dst_addr", "src_port", "dst_port", "proto"]):
        asked.compare(by, metrics, compute)
    # Averages of buckets are over the bucket.
    asked.compare(["exporter"], ["bytes", "pps"], lambda g: [
        total(g, "bytes"), rate(total(g, "packets"), 60, False)],
        bucket=60000000)


def check_names(asked):
    """Services by name: what is not known is its number."""
    rows = asked.ask(by=["dst_service"], metrics=["flows"],
                     limit=100000)["rows"]
    expected = {}
    for f in asked.flows:
        port = f["dst_port"]
        if port in SERVICE:
            expected[SERVICE[port]] = expected.get(SERVICE[port], 0) + 1
    got = {row[0]: row[1] for row in rows if row[0] in SERVICE.values()}
    equal(got, expected, "services by name")
    equal(sum(row[1] for row in rows), len(asked.flows), "all services")


def check_shares(asked):
    """Totals, shares, the rest, order and limit."""
    answer = asked.ask(by=["src_as"], metrics=["bytes", "share(bytes)",
                                               "flows"], totals=True, limit=7,
                       order="-flows")
    groups = asked.groups(["src_as"])
    order = sorted(groups, key=lambda k: (-len(groups[k]), k))[:7]
    everything = total(asked.flows, "bytes")
    expected = [[k[0], total(groups[k], "bytes"),
                 total(groups[k], "bytes") / everything, len(groups[k])]
                for k in order]
    got = answer["rows"]
    equal([row[0] for row in got], [row[0] for row in expected], "order")
    for a, b in zip(got, expected):
        equal((a[1], a[3]), (b[1], b[3]), "row of AS %d" % a[0])
        if abs(a[2] - b[2]) > 1e-6:
            raise Failure("share of AS %d: %r, expected %r" % (
                a[0], a[2], b[2]))
    equal(answer["truncated"], len(groups) > 7, "truncated")
    equal([answer["totals"][0], answer["totals"][2]],
          [everything, len(asked.flows)], "totals")
    equal([answer["other"][0], answer["other"][2]],
          [everything - sum(row[1] for row in expected),
           len(asked.flows) - sum(row[3] for row in expected)], "the rest")
    if abs(answer["other"][1] + sum(row[2] for row in got) - 1) > 1e-5:
        raise Failure("shares do not add up to 1")
    # The smallest first, and by a key.
    for order, key in (("flows", lambda k: (len(groups[k]), k)),
                       ("-src_as", lambda k: -k[0])):
        rows = asked.ask(by=["src_as"], metrics=["bytes", "flows"], limit=5,
                         order=order)["rows"]
        equal([row[0] for row in rows],
              [k[0] for k in sorted(groups, key=key)[:5]], order)


def check_totals(asked):
    """Totals are those of all flows, and sums are added up in the pass that
    adds up the groups."""
    for by, metrics, extra in (
            (["src_addr", "dst_addr"], ["bytes", "flows"], {}),
            (["proto"], ["raw_bytes", "packets", "bps"], {}),
            (["src_as"], ["flows"], {"filter": "proto tcp"}),
            (["src_as"], ["flows", "bytes"], {"filter": "proto 99"}),
            (["dst_port"], ["flows"], {"bucket": "1m"})):
        proto = {"proto tcp": 6, "proto 99": 99}.get(extra.get("filter"))
        flows = [f for f in asked.flows if proto in (None, f["proto"])]
        seconds = asked.end - asked.start
        expected = [len(flows) if m == "flows"
                    else rate(total(flows, "bytes"), seconds, True)
                    if m == "bps" else total(flows, m) for m in metrics]
        answer = asked.ask(by=by, metrics=metrics, limit=3, totals=True,
                           **extra)
        equal(answer["totals"], expected, "totals by %r" % by)
        alone = asked.ask(by=by, metrics=metrics, limit=3, **extra)
        equal(answer["stats"]["rows_scanned"], alone["stats"]["rows_scanned"],
              "flows that were read by %r" % by)


def check_p95(asked):
    start, end = asked.start * 1000000, asked.end * 1000000
    for bucket in (60, 300, 7):
        us = bucket * 1000000
        asked.compare(["exporter"], ["p95(bytes)", "p95(bps)", "p95(packets)",
                                     "bytes"],
                      lambda g: [p95(g, start, end, us, "bytes"),
                                 rate(p95(g, start, end, us, "bytes"), bucket,
                                      True),
                                 p95(g, start, end, us, "packets"),
                                 total(g, "bytes")],
                      p95_bucket="%ds" % bucket)


def check_previous(asked, flows):
    """The period just before, and one of another length before."""
    seconds = asked.end - asked.start
    for compare, shift in (("previous", seconds), ("10m", 600)):
        def window(shift_s):
            return [f for f in flows if (asked.start - shift_s) * 1000000
                    <= f["end"] < (asked.end - shift_s) * 1000000]
        now = asked.groups(["exporter"], flows=window(0))
        before = asked.groups(["exporter"], flows=window(shift))
        answer = asked.ask(by=["exporter"], metrics=["bytes", "flows", "bps"],
                           compare=compare, limit=1000)
        equal([c["name"] for c in answer["columns"]],
              ["exporter", "bytes", "flows", "bps", "previous(bytes)",
               "previous(flows)", "previous(bps)"], "columns")
        got = {row[0]: row[1:] for row in answer["rows"]}
        for key in set(now) | set(before):
            a, b = now.get(key, []), before.get(key, [])
            equal(got[key[0]],
                  [total(a, "bytes"), len(a),
                   rate(total(a, "bytes"), seconds, True), total(b, "bytes"),
                   len(b), rate(total(b, "bytes"), seconds, True)],
                  "%s of %s" % (compare, key[0]))


def check_directions(asked):
    """Both directions of a conversation are one row, from the client."""
    answer = asked.ask(
        by=["src_addr", "dst_addr", "dst_port", "proto"], limit=100000,
        metrics=["bytes", "flows", "reverse(bytes)", "reverse(flows)"],
        bidirectional=True)
    groups = {}
    for f in asked.flows:
        back = is_reply(f)
        key = (f["dst_addr"], f["src_addr"], f["src_port"], f["proto"]) \
            if back else (f["src_addr"], f["dst_addr"], f["dst_port"],
                          f["proto"])
        g = groups.setdefault(key, [0, 0, 0, 0])
        for i, value in enumerate((f["bytes"], 1)):
            g[i] += value
            g[2 + i] += value if back else 0
    got = {tuple(row[:4]): [v or 0 for v in row[4:]]
           for row in answer["rows"]}
    equal(len(got), len(groups), "conversations")
    for key, values in groups.items():
        equal(got.get(key), values, "conversation %r" % (key,))
    if not any(v[2] for v in groups.values()):
        raise Failure("no flow goes back: nothing was tested")


def check_ends(asked):
    """Keys of either end: a flow counts for both, once if they are equal."""
    def addr(f, end):
        return f[end + "_addr"]
    ends = {"addr": addr, "port": lambda f, end: f[end + "_port"],
            "as": lambda f, end: f[end + "_as"],
            "addr/8": lambda f, end: prefix(addr(f, end), 8),
            "addr/0/0": lambda f, end: prefix(addr(f, end), 0, 0)}
    for by in (["addr"], ["addr/8"], ["addr/0/0"], ["port", "as"], ["as"],
               ["addr", "port", "proto"]):
        expected = {}
        for f in asked.flows:
            for key in {tuple(ends[k](f, end) if k in ends else f[k]
                              for k in by) for end in ("src", "dst")}:
                g = expected.setdefault(key, [])
                g.append(f)
        for metrics in (["bytes", "flows"], ["flows", "distinct(dst_port)"]):
            answer = asked.ask(by=by, metrics=metrics, limit=100000,
                               totals=True)
            equal([c["name"] for c in answer["columns"][:len(by)]], by,
                  "columns")
            got = {tuple(row[:len(by)]): row[len(by):]
                   for row in answer["rows"]}
            equal(len(got), len(expected), "groups by %r" % (by,))
            for key, g in expected.items():
                equal(got.get(key), [
                    total(g, "bytes") if m == "bytes" else len(g)
                    if m == "flows" else len({f["dst_port"] for f in g}
                                             - {None}) for m in metrics],
                    "by %r, %r" % (by, key))
            equal(answer["totals"][metrics.index("flows")],
                  len(asked.flows), "each flow once in the totals")
            equal(answer["other"], [None, None], "nothing is left")


def check_series(asked):
    answer = asked.ask("flow.series", by=["proto_name"], metrics=["bytes",
                                                                  "pps"],
                       bucket="1m", top=2)
    groups = asked.groups(["proto_name"], 60000000)
    top = sorted(asked.groups(["proto_name"]).items(),
                 key=lambda g: -total(g[1], "bytes"))[:2]
    start = micros(answer["start"])
    equal([s["key"] for s in answer["series"]], [list(k) for k, _ in top],
          "largest groups")
    for s, (key, _) in zip(answer["series"], top):
        for i in range(answer["buckets"]):
            g = groups.get((start + i * 60000000,) + key, [])
            equal((s["values"]["bytes"][i], s["values"]["pps"][i]),
                  (total(g, "bytes"), rate(total(g, "packets"), 60, False)),
                  "%s in step %d" % (key[0], i))
    for i in range(answer["buckets"]):
        g = [f for f in asked.flows
             if f["end"] // 60000000 * 60000000 == start + i * 60000000]
        equal(answer["total"]["bytes"][i], total(g, "bytes"),
              "total of step %d" % i)
        equal(answer["other"]["bytes"][i], total(g, "bytes") - sum(
            s["values"]["bytes"][i] for s in answer["series"]),
            "rest of step %d" % i)


def check_series_of_ends(asked):
    """A flow is in the groups of both of its ends, once where they are the
    same, and once in the total."""
    by = ["addr/16", "in_if"]
    answer = asked.ask("flow.series", by=by, metrics=["bytes", "flows"],
                       bucket="1m", top=5)
    groups = {}
    for f in asked.flows:
        for key in {(prefix(f[end + "_addr"], 16), f["in_if"])
                    for end in ("src", "dst")}:
            groups.setdefault(key, []).append(f)
    largest = sorted(groups.values(), key=lambda g: -total(g, "bytes"))[:5]
    equal([sum(s["values"]["bytes"]) for s in answer["series"]],
          [total(g, "bytes") for g in largest], "largest groups of ends")
    start = micros(answer["start"])
    for s in answer["series"]:
        for i in range(answer["buckets"]):
            g = [f for f in groups[tuple(s["key"])]
                 if f["end"] // 60000000 * 60000000 == start + i * 60000000]
            equal((s["values"]["bytes"][i], s["values"]["flows"][i]),
                  (total(g, "bytes"), len(g)), "%r in step %d" % (s["key"], i))
    equal(sum(answer["total"]["flows"]), len(asked.flows),
          "each flow once in the total")
    equal(answer["other"], None, "nothing is left")


def check_series_without_rest(asked):
    """What does not add up has no rest, and of nothing there is no largest."""
    answer = asked.ask("flow.series", by=["proto_name"], bucket="10s", top=2,
                       metrics=["flows", "max(bytes)", "min(bytes)",
                                "distinct(src_addr)"])
    start = micros(answer["start"])
    empty = 0
    for s in answer["series"]:
        for i in range(answer["buckets"]):
            g = [f for f in asked.flows if PROTO[f["proto"]] == s["key"][0]
                 and f["end"] // 10000000 * 10000000 == start + i * 10000000]
            octets = [f["bytes"] for f in g]
            equal([s["values"][m][i] for m in (
                "flows", "max(bytes)", "min(bytes)", "distinct(src_addr)")],
                [len(g), max(octets, default=None), min(octets, default=None),
                 len({f["src_addr"] for f in g})],
                "%s in step %d" % (s["key"][0], i))
            empty += not g
    if not empty:
        raise Failure("no step is empty")
    for m in ("max(bytes)", "min(bytes)", "distinct(src_addr)"):
        equal(set(answer["other"][m]), {None}, "rest of " + m)
    equal(sum(answer["other"]["flows"]) + sum(
        sum(s["values"]["flows"]) for s in answer["series"]),
        len(asked.flows), "rest of flows")


def check_pages(asked):
    """Page by page in both orders: of all, of many, of few, of none."""
    fields = ["src_addr", "dst_addr", "src_port", "dst_port", "bytes"]
    counts = {}
    for f in asked.flows:
        counts[f["src_addr"]] = counts.get(f["src_addr"], 0) + 1
    rare = min(counts, key=lambda a: (counts[a], a))
    for scope, picks, limit in (
            ("any", lambda f: True, 400),
            ("proto udp", lambda f: f["proto"] == 17, 50),
            ("src host " + rare, lambda f: f["src_addr"] == rare, 1),
            ("src host 192.0.2.77", lambda f: False, 5)):
        expected = sorted(f["end"] for f in asked.flows if picks(f))
        everything = [[f["flow_end"]] + [f[k] for k in fields]
                      for f in asked.flows if picks(f)]
        for order in ("newest", "oldest"):
            rows, params = [], {"filter": scope, "fields": fields,
                                "limit": limit, "order": order}
            while True:
                page = asked.ask("flow.records", **params)
                rows += page["rows"]
                if not page["cursor"]:
                    break
                equal(len(page["rows"]), limit, "a page that is not the last")
                params["cursor"] = page["cursor"]
            what = "%s, %s first" % (scope, order)
            equal([micros(r[0]) for r in rows],
                  expected[::-1] if order == "newest" else expected, what)
            equal(sorted(rows, key=str), sorted(everything, key=str), what)


def test_values():
    lab = Lab()
    daemon = Daemon(lab)
    end = int(time.time()) // 3600 * 3600 - 3600
    start = end - SPAN
    generate("netflow9", "--count", COUNT, "--rate", 20000, "--exporters", 3,
             "--hosts", 60, "--flows", 400, "--sampling", 10, "--span",
             "%ds" % (2 * SPAN), "--start-time", time.strftime(
                 "%Y-%m-%dT%H:%M:%SZ", time.gmtime(start - SPAN)),
             netns=lab.name)
    wait_until(lambda: (daemon.flows(
        metrics=["flows"], observations="all",
        **{"from": start - 2 * SPAN})[0]["flows"] or 0) >= COUNT, 30)
    flows = read_flows(daemon, start - 2 * SPAN, end + 600)
    equal(len(flows), COUNT, "single flows")
    asked = Asked(daemon, flows, start, end)
    if len(asked.flows) < COUNT // 3 or len({":" in f["src_addr"]
                                             for f in asked.flows}) < 2:
        raise Failure("too few flows to say anything")
    check_groups(asked)
    check_names(asked)
    check_shares(asked)
    check_totals(asked)
    check_p95(asked)
    check_previous(asked, flows)
    check_directions(asked)
    check_ends(asked)
    check_series(asked)
    check_series_of_ends(asked)
    check_series_without_rest(asked)
    check_pages(asked)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
