#!/usr/bin/env python3
"""What venturi-gen sends is what flow.query answers: to the last octet."""

import time

from generator import PROTOCOLS, generate
from harness import Daemon, Failure, Lab, equal, main, wait_until

COUNT = 20000
RATE = 40000            # Slow enough for a machine that does other things.
EVERYTHING = ("packets", "bytes", "raw_packets", "raw_bytes")
SCALED = ("packets", "bytes", "l2_bytes")


def metrics_of(protocol):
    """OVS scales in the exporter; without its database nobody knows the
    rate, so raw numbers are not to be had.  NetFlow knows no frames."""
    return {"ipfix-ovs": SCALED,
            "sflow": EVERYTHING + ("l2_bytes",)}.get(protocol, EVERYTHING)


def flows_of(daemon, **kwargs):
    """Number of flow records in the store."""
    rows = daemon.flows(metrics=["flows"], **kwargs)
    return rows[0]["flows"] or 0 if rows else 0


def await_flows(daemon, count, timeout=30):
    wait_until(lambda: flows_of(daemon) >= count, timeout,
               lambda: "%d flows, there are %d; exporters: %s" % (
                   count, flows_of(daemon), daemon.rpc("exporter.list")))


def compare(daemon, sums, by, metrics, scope):
    """Grouped by one column, the answer is the generator's list."""
    rows = daemon.flows(by=[by], metrics=("flows",) + metrics, limit=100000,
                        filter=scope) if scope else daemon.flows(
                            by=[by], metrics=("flows",) + metrics,
                            limit=100000)
    got = {row[by]: [row["flows"]] + [row[m] for m in metrics]
           for row in rows}
    expected = {s[by]: [s["records"]] + [s[m] for m in metrics]
                for s in sums}
    if got != expected:
        wrong = [(key, got.get(key), expected.get(key))
                 for key in sorted(set(got) | set(expected), key=str)
                 if got.get(key) != expected.get(key)]
        raise Failure("by %s: %d of %d differ, such as %s: got %s, expected "
                      "%s" % ((by, len(wrong), len(expected)) + wrong[0]))


def check_all(daemon, sent, metrics):
    compare(daemon, sent["by_ip_version"], "ip_version", metrics, None)
    compare(daemon, sent["by_proto"], "proto", metrics, None)
    compare(daemon, sent["top_src_addr"], "src_addr", metrics, None)
    compare(daemon, sent["top_dst_addr"], "dst_addr", metrics, None)
    compare(daemon, sent["exporters"], "exporter", metrics, None)
    first = sent["exporters"][0]
    compare(daemon, first["top_src_addr"], "src_addr", metrics,
            "exporter %s" % first["exporter"])


def check_exporters(daemon, sent, domains):
    """exporter.list knows every stream and misses nothing."""
    exporters = daemon.rpc("exporter.list")["exporters"]
    per_exporter = {}
    for e in exporters:
        counters = e["counters"]
        for name in ("lost", "no_template", "malformed", "ring_full",
                     "store_lost", "reordered"):
            equal(counters[name], 0, "%s of %s" % (name, e["exporter"]))
        n = per_exporter.setdefault(e["exporter"], [0, 0, 0])
        n[0] += counters["flow_records"]
        n[1] += counters["datagrams"]
        n[2] += counters["octets"]
    equal(per_exporter,
          {e["exporter"]: [e["records"], e["datagrams"], e["octets"]]
           for e in sent["exporters"]}, "exporters' counters")
    if len(exporters) < len(sent["exporters"]) * domains:
        raise Failure("%d exporters are listed" % len(exporters))


def check(protocol, *args):
    lab = Lab()
    daemon = Daemon(lab)
    sent = generate(protocol, "--count", COUNT, "--rate", RATE, "--exporters",
                    3, "--domains", 2, "--top", 100000, *args,
                    netns=lab.name)
    equal(sent["records"], COUNT, "records sent")
    await_flows(daemon, COUNT)
    check_all(daemon, sent, metrics_of(protocol))
    check_exporters(daemon, sent, 2)
    daemon.stop()


def test_netflow5():
    check("netflow5")


def test_netflow5_sampling():
    check("netflow5", "--sampling", 64)


def test_netflow9():
    check("netflow9")


def test_netflow9_sampling():
    check("netflow9", "--sampling", 64)


def test_ipfix():
    check("ipfix")


def test_ipfix_sampling():
    check("ipfix", "--sampling", 64)


def test_ipfix_ovs():
    check("ipfix-ovs")


def test_ipfix_ovs_virtual_obs_id():
    check("ipfix-ovs", "--virtual-obs-id", "host-1/br0", "--tunnel", 20)


def test_ipfix_ovs_both_directions():
    """A packet that comes in and goes out is counted once, unless all is
    asked for."""
    lab = Lab()
    daemon = Daemon(lab)
    sent = generate("ipfix-ovs", "--count", 5000, "--rate", RATE,
                    "--egress", 50, netns=lab.name)
    wait_until(lambda: flows_of(daemon, observations="all") == 5000)
    by_direction = {s["direction"]: s for s in sent["by_direction"]}
    rows = daemon.flows(metrics=["flows", "packets", "bytes"])
    equal([rows[0][m] for m in ("flows", "packets", "bytes")],
          [by_direction[0][m] for m in ("records", "packets", "bytes")],
          "what came in")
    rows = daemon.flows(metrics=["packets"], observations="all")
    equal(rows[0]["packets"], sent["packets"], "everything")


def test_sflow():
    check("sflow", "--vlan", 30)


def test_all_at_once_over_a_restart():
    """Five protocols, then SIGTERM at once: nothing received is lost, and it
    is all there after a restart."""
    lab = Lab()
    daemon = Daemon(lab)
    sent = [generate(p, "--count", 5000, "--rate", RATE, "--ipv6", 0,
                     netns=lab.name) for p in PROTOCOLS]
    total = sum(s["records"] for s in sent)
    wait_until(lambda: sum(e["counters"]["flow_records"] for e in
                           daemon.rpc("exporter.list")["exporters"]) == total,
               what="all records to arrive")
    daemon.stop()
    daemon.start()
    equal(flows_of(daemon), total, "flows after the restart")
    rows = {r["export_protocol"]: r["bytes"] for r in
            daemon.flows(by=["export_protocol"], metrics=["bytes"])}
    for s in sent:
        if not s["protocol"].startswith("ipfix"):
            equal(rows[s["protocol"]], s["bytes"], s["protocol"])
    equal(rows["ipfix"], sum(s["bytes"] for s in sent
                             if s["protocol"].startswith("ipfix")), "ipfix")
    daemon.stop()


def test_lone_flow():
    """A lone flow can be queried soon; how soon, tests/bench says."""
    lab = Lab()
    daemon = Daemon(lab)
    start = time.monotonic()
    generate("netflow5", "--count", 1, netns=lab.name)
    await_flows(daemon, 1, 10)
    print("visible after %.2f s" % (time.monotonic() - start))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
