#!/usr/bin/env python3
"""Flow_Sample_Collector_Sets, selectors, one bridge or policy at a time,
sampling by budget, transactions that fail, newer and clustered servers."""

import json
import os
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
from harness import Failure, Lab, Ovs, Process, equal, main, wait_until
from ovsdb_driver import Driver

FSCS = "Flow_Sample_Collector_Set"


def sets(ovs):
    """{id: row} of Flow_Sample_Collector_Set."""
    return {r["id"]: r for r in ovs.rows(FSCS)}


def drop_bridges(ovs):
    """What a tool does that has never heard of Flow_Sample_Collector_Set."""
    harness.run("ovsdb-client", "transact", ovs.remote, json.dumps(
        ["Open_vSwitch", {"op": "update", "table": "Open_vSwitch",
                          "where": [], "row": {"bridges": ["set", []]}}]))


def foreign_set(ovs, bridge, number):
    ovs.vsctl("--", "--id=@b", "get", "Bridge", bridge, "--", "--id=@i",
              "create", "IPFIX", "targets=\"192.0.2.1:4739\"", "--",
              "create", FSCS, "id=%d" % number, "bridge=@b", "ipfix=@i")


def next_cfg(ovs):
    return int(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"))


def test_sample():
    """A set of ours comes, is kept as it is, and goes with all it had."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver("policy sample=7 sample=8")
    driver.await_state("br0", "flow-sample-7", "in-sync")
    driver.await_state("br0", "flow-sample-8", "in-sync")
    equal(sorted(sets(ovs)), [7, 8], "ids")
    equal(dict(sets(ovs)[7]["external_ids"])["venturi-owner"], "driver-1",
          "owner")
    rows = {r["_uuid"]: r for r in ovs.rows("IPFIX")}
    ipfix = rows[sets(ovs)[7]["ipfix"]]
    equal((ipfix["targets"], ipfix["obs_domain_id"]),
          ("127.0.0.1:4739", []), "its IPFIX row")
    before = next_cfg(ovs)
    driver("apply")
    driver.await_state("br0", "flow-sample-8", "in-sync")
    equal(next_cfg(ovs), before, "next_cfg")
    # Somebody changes it, empties it, deletes it.
    ovs.vsctl("--no-wait", "set", "IPFIX", ipfix["_uuid"],
              "targets=\"192.0.2.9:1\"")
    wait_until(lambda: all(r["targets"] == "127.0.0.1:4739"
                           for r in ovs.rows("IPFIX")), 5, "our target")
    ovs.vsctl("--no-wait", "clear", FSCS, sets(ovs)[7]["_uuid"], "ipfix")
    wait_until(lambda: sets(ovs)[7]["ipfix"] != [], 5, "our IPFIX row")
    ovs.vsctl("--no-wait", "destroy", FSCS, sets(ovs)[7]["_uuid"])
    wait_until(lambda: 7 in sets(ovs), 5, "our set")
    driver("policy sample=8")
    wait_until(lambda: list(sets(ovs)) == [8], 5, "set 7 to go")
    equal(driver("remove"), [["1"]], "removed")
    equal((sets(ovs), ovs.rows("IPFIX")), ({}, []), "rows left")
    driver.stop()


def test_sample_goes_with_its_bridge():
    """A set would keep the row of a bridge that has gone, and nobody could add
    it again."""
    lab = Lab()
    ovs = Ovs(lab)
    driver = Driver(lab, ovs.remote)
    driver("policy sample=7 sflow")
    for turn in range(3):
        ovs.add_bridge()
        driver.await_state("br0", "flow-sample-7", "in-sync")
        drop_bridges(ovs)
        start = time.monotonic()
        wait_until(lambda: not ovs.rows("Bridge"), 5, "the orphan to go",
                   interval=0)
        print("turn %d: no orphan after %.0f ms (with the looking)" % (
            turn, 1000 * (time.monotonic() - start)))
        equal(ovs.rows(FSCS) + ovs.rows("IPFIX") + ovs.rows("sFlow"), [],
              "rows left")
    # What was orphaned while we were away goes at the start.
    ovs.add_bridge()
    driver.await_state("br0", "flow-sample-7", "in-sync")
    driver.stop()
    drop_bridges(ovs)
    equal(len(ovs.rows("Bridge")), 1, "orphans")
    driver = Driver(lab, ovs.remote)
    wait_until(lambda: not ovs.rows("Bridge"), 5, "the orphan to go")
    driver.stop()


def test_sample_of_others():
    """An id that somebody else uses is theirs; so are their orphans."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    foreign_set(ovs, "br0", 7)
    before = sets(ovs)[7]
    driver = Driver(lab, ovs.remote)
    driver("policy sample=7 sample=8 replace")
    driver.await_state("br0", "flow-sample-8", "in-sync")
    equal(driver.state("br0", "flow-sample-7"), "conflict", "state")
    driver("remove")
    equal(sets(ovs), {7: before}, "sets")
    drop_bridges(ovs)
    wait_until(lambda: "can't be added" in str(driver("plan")), 5,
               "a warning about the orphan")
    equal(sets(ovs), {7: before}, "sets")
    driver.stop()


def test_selectors():
    lab = Lab()
    ovs = Ovs(lab)
    for name in ("br-a1", "br-a2", "br-b1"):
        ovs.add_bridge(name)
    driver = Driver(lab, ovs.remote)

    def exporting():
        return {b for (b, p), (s, _) in driver.status().items()
                if p == "sflow" and s == "in-sync"}
    for policy, bridges in (
            ("sflow match=br-a* exclude=br-a2", {"br-a1"}),
            ("sflow ids=tenant=b*", set()),
            ("sflow label=rack=7", set()),
            ("sflow label=rack=? host-label=rack=7", {"br-a1", "br-a2",
                                                      "br-b1"}),
            ("none match=br-a1 / sflow match=br-a*", {"br-a2"}),
            ("sflow host-ids=site=x", set())):
        driver("policy " + policy)
        wait_until(lambda want=bridges: exporting() == want, 5,
                   lambda: "%s: %s" % (policy, driver.status()))
    # What they select by may change.
    ovs.vsctl("set", "Open_vSwitch", ".", "external_ids:site=x")
    wait_until(lambda: len(exporting()) == 3, 5, "the host's external_ids")
    driver("policy sflow ids=tenant=b* ids=on")
    ovs.vsctl("set", "Bridge", "br-b1", "external_ids:tenant=blue")
    equal(exporting() - {"br-a1", "br-a2"}, set(), "without the other key")
    ovs.vsctl("set", "Bridge", "br-b1", "external_ids:on=1")
    wait_until(lambda: exporting() == {"br-b1"}, 5, "the bridge's ids")
    ovs.vsctl("remove", "Bridge", "br-b1", "external_ids", "on")
    wait_until(lambda: exporting() == set(), 5, "nothing")
    driver("policy sflow match=nope / sflow match=br-a*")
    wait_until(lambda: ["", "plan", "warning", "policy p matches no bridge "
                        "here", "-1", "-1", ""] in driver("plan"), 5,
               lambda: "a warning: %s" % driver("plan"))
    driver.stop()


def test_one_at_a_time():
    """export.apply and export.remove for a bridge, for a policy."""
    lab = Lab()
    ovs = Ovs(lab)
    for name in ("br-a", "br-b", "br-c"):
        ovs.add_bridge(name)
    driver = Driver(lab, ovs.remote, apply=False)
    driver.await_connected()
    driver("policy sflow match=br-a / sflow match=br-b match=br-c")

    def agents():
        return {b: ovs.vsctl("get", "Bridge", b, "sflow").strip() != "[]"
                for b in ("br-a", "br-b", "br-c")}

    def expect(a, b, c):
        wait_until(lambda: agents() == {"br-a": a, "br-b": b, "br-c": c}, 5,
                   lambda: "rows: %s" % agents())
    driver("apply-to bridge br-b")
    expect(False, True, False)
    driver("apply-to policy p")
    expect(True, True, False)
    driver("apply-to policy q")
    expect(True, True, True)
    equal(driver("remove-policy q"), [["2"]], "removed")
    expect(True, False, False)
    driver("apply-to bridge br-c")
    expect(True, False, True)
    equal(driver("remove br-a"), [["1"]], "removed")
    expect(False, False, True)
    driver("apply")
    expect(True, True, True)
    driver.stop()


def edited(lab, edit, bridges=("br0",)):
    """A server whose schema is not quite that of this Open vSwitch."""
    with open(harness.OVS_SCHEMA, encoding="utf-8") as f:
        schema = json.load(f)
    edit(schema["tables"])
    path = os.path.join(lab.dir, harness.unique("schema-"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(schema, f)
    ovs = Ovs(lab, start=False)
    os.unlink(ovs.database)
    harness.run("ovsdb-tool", "create", ovs.database, path)
    ovs.start_server()
    ovs.vsctl("--no-wait", "init")
    for name in bridges:
        ovs.vsctl("--no-wait", "add-br", name)
    return ovs


def test_all_or_nothing():
    """If one row of a bridge is refused, the bridge gets none; and the others
    do not wait for it."""
    lab = Lab()

    def edit(tables):
        tables["IPFIX"]["columns"]["sampling"]["type"]["key"][
            "maxInteger"] = 10
    ovs = edited(lab, edit, ("br0", "br1"))
    driver = Driver(lab, ovs.remote)
    driver("policy none")
    wait_until(lambda: not ovs.rows("sFlow"), 5, "a clean start")
    driver("policy sflow netflow ipfix match=br0 / sflow netflow")
    driver.await_state("br0", "ipfix", "error")
    wait_until(lambda: ovs.vsctl("get", "Bridge", "br1", "sflow").strip()
               != "[]", 5, "the row of the other bridge")
    equal([ovs.vsctl("get", "Bridge", "br0", p).strip()
           for p in ("netflow", "sflow", "ipfix")], ["[]"] * 3,
          "rows of the bridge that was refused")
    for protocol in ("sflow", "netflow"):
        equal(driver.state("br0", protocol), "error", protocol)
    driver.stop()


def test_newer_server():
    """Columns that our libopenvswitch has never heard of are written where the
    server has them."""
    lab = Lab()
    number = {"type": {"key": {"type": "integer", "minInteger": 0,
                               "maxInteger": 4294967295}, "min": 0,
                       "max": 1}}

    def edit(tables):
        tables["IPFIX"]["columns"]["template_interval"] = number
        tables[FSCS]["columns"]["local_group_id"] = number
    ovs = edited(lab, edit)
    driver = Driver(lab, ovs.remote)
    policy = "policy ipfix ipfix.template_interval=60 sample=3 group=9"
    driver(policy)
    wait_until(lambda: ovs.rows(FSCS), 5, "rows")

    def column(table, name):
        out = json.loads(harness.run("ovsdb-client", "transact", ovs.remote,
                                     json.dumps(["Open_vSwitch", {
                                         "op": "select", "table": table,
                                         "where": []}])))
        return [r[name] for r in out[0]["rows"]]
    equal(sorted(map(str, column("IPFIX", "template_interval"))),
          ["60", "['set', []]"], "template_interval")
    equal(column(FSCS, "local_group_id"), [9], "local_group_id")
    driver.stop()
    # And left out where it does not.
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver(policy)
    driver.await_state("br0", "flow-sample-3", "in-sync")
    driver.await_state("br0", "ipfix", "in-sync")
    driver.stop()


def test_vswitchd_killed():
    """ovs-vswitchd dies while rows are written, and comes again."""
    lab = Lab()
    ovs = Ovs(lab)
    n = 30
    for i in range(n):
        ovs.vsctl("--no-wait", "add-br", "b%d" % i, "--", "set", "Bridge",
                  "b%d" % i, "datapath_type=netdev")
    driver = Driver(lab, ovs.remote)
    driver.await_connected()
    driver("policy netflow sflow ipfix")
    ovs.vswitchd.stop(signal.SIGKILL)
    wait_until(lambda: len(ovs.rows("IPFIX")) == n, 10, "all rows")
    equal((len(ovs.rows("NetFlow")), len(ovs.rows("sFlow"))), (n, n),
          "rows")
    wait_until(lambda: any("ovs-vswitchd" in reason for _, reason
                           in driver.status().values()), 5, "a reason")
    ovs.start_vswitchd()
    for i in range(n):
        driver.await_state("b%d" % i, "netflow", "in-sync", 30)
    driver.stop()


def test_budget():
    """What passed the bridges decides on "auto": the busy one gets coarser,
    the other stays."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.add_bridge("br1")
    driver = Driver(lab, ovs.remote)
    driver("policy sflow budget=1000")
    driver.await_state("br0", "sflow", "in-sync")
    driver.await_state("br1", "sflow", "in-sync")
    ovs.stop_vswitchd()             # From here on we are its counters.
    start = time.monotonic()

    def sampling(bridge):
        uuid = ovs.vsctl("get", "Bridge", bridge, "sflow").strip()
        return int(ovs.vsctl("get", "sFlow", uuid, "sampling"))

    def count():
        s = time.monotonic() - start
        for bridge, rate in (("br0", 4000000), ("br1", 1000)):
            ovs.vsctl("--no-wait", "set", "Interface", bridge,
                      "statistics=rx_packets=%d,tx_packets=0"
                      % (1 + s * rate))
        return sampling("br0") != 512
    wait_until(count, 40, "another rate", interval=0.2)
    print("after %.1f s br0 has 1 in %d" % (time.monotonic() - start,
                                            sampling("br0")))
    if sampling("br0") not in (4096, 8192):
        raise Failure("1 in %d is not what the budget says"
                      % sampling("br0"))
    equal(sampling("br1"), 512, "the quiet bridge")
    driver("policy sflow sflow.polling=11 budget=1000")
    before = sampling("br0")
    plan = {f[0]: f for f in driver("plan") if f[1] == "sflow"}
    print("plan: %s" % plan["br0"])
    if not 300 < int(plan["br0"][4]) < 2000:
        raise Failure("records/s: %s" % plan["br0"])
    # A restart changes nothing.
    driver.stop()
    driver = Driver(lab, ovs.remote, apply=False)
    driver.await_connected()
    driver("policy sflow sflow.polling=11 budget=1000")
    driver("apply")
    wait_until(lambda: driver.plan()["br0", "sflow"][0] == "none", 5,
               "nothing left to do")
    equal(sampling("br0"), before, "sampling")
    driver.stop()


def test_relay():
    """A cluster of one, and a relay in front of it that we talk to."""
    lab = Lab()
    ovs = Ovs(lab, start=False)
    os.unlink(ovs.database)
    harness.run("ovsdb-tool", "create-cluster", ovs.database,
                harness.OVS_SCHEMA, "unix:" + os.path.join(ovs.dir, "raft"))
    ovs.start_server()
    ovs.vsctl("--no-wait", "init")
    ovs.vsctl("--no-wait", "add-br", "br0")
    relay = os.path.join(ovs.dir, "relay.sock")
    Process("relay", [
        "ovsdb-server", "relay:Open_vSwitch:" + ovs.remote, "--no-chdir",
        "--remote=punix:" + relay, "--unixctl=" + os.path.join(ovs.dir,
                                                               "relay.ctl"),
        "-vconsole:warn", "-vsyslog:off", "-vfile:off"],
        os.path.join(lab.dir, "relay.out"), env=ovs.env)
    wait_until(lambda: os.path.exists(relay), what="the relay")
    driver = Driver(lab, "unix:" + relay)
    driver.await_connected()
    wait_until(lambda: ovs.rows("sFlow"), 10, "a row, through the relay")
    ovs.vsctl("--no-wait", "clear", "Bridge", "br0", "sflow")
    wait_until(lambda: ovs.rows("sFlow"), 10, "the row again")
    driver.stop()


def test_follower():
    """A cluster of two; we know only the one that does not lead."""
    lab = Lab()
    leader, follower = Ovs(lab, start=False), Ovs(lab, start=False)
    raft = ["unix:" + os.path.join(o.dir, "raft") for o in (leader, follower)]
    os.unlink(leader.database)
    os.unlink(follower.database)
    harness.run("ovsdb-tool", "create-cluster", leader.database,
                harness.OVS_SCHEMA, raft[0])
    leader.start_server()
    leader.vsctl("--no-wait", "init")
    harness.run("ovsdb-tool", "join-cluster", follower.database,
                "Open_vSwitch", raft[1], raft[0])
    follower.start_server()
    leader.vsctl("--no-wait", "add-br", "br0")
    driver = Driver(lab, follower.remote)
    driver.await_connected()
    wait_until(lambda: leader.rows("sFlow"), 15, "a row, by the follower")
    leader.vsctl("--no-wait", "clear", "Bridge", "br0", "sflow")
    wait_until(lambda: leader.rows("sFlow"), 15, "the row again")
    driver.stop()


def test_renamed():
    """What people call renaming: another bridge with the old one's ports, in
    one transaction.  The new one has rows of its own, the old ones are gone,
    and its set does not keep the old bridge alive."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    driver = Driver(lab, ovs.remote)
    driver("policy sflow ipfix sample=7")
    driver.await_state("br0", "flow-sample-7", "in-sync")
    driver.await_state("br0", "ipfix", "in-sync")
    old = {r["_uuid"] for t in ("sFlow", "IPFIX", FSCS) for r in ovs.rows(t)}
    for number in range(3):
        was, now = "br%d" % number, "br%d" % (number + 1)
        uuid = ovs.vsctl("get", "Bridge", was, "_uuid").strip()
        harness.run("ovsdb-client", "transact", ovs.remote, json.dumps([
            "Open_vSwitch",
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["bridges", "delete", ["uuid", uuid]]]},
            {"op": "insert", "table": "Bridge", "uuid-name": "b",
             "row": {"name": now, "datapath_type": "netdev"}},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["bridges", "insert", ["named-uuid", "b"]]]}]))
        driver.await_state(now, "flow-sample-7", "in-sync")
        driver.await_state(now, "ipfix", "in-sync")
        driver.await_state(now, "sflow", "in-sync")
        wait_until(lambda: [r["name"] for r in ovs.rows("Bridge")]
                   == [now], what="the old bridge to be gone")
        rows = {r["_uuid"] for t in ("sFlow", "IPFIX", FSCS)
                for r in ovs.rows(t)}
        equal((len(rows), rows & old), (4, set()), "rows")
        ids = [r["other_config"]["virtual_obs_id"] for r in ovs.rows("IPFIX")]
        if not all(now in i for i in ids):
            raise Failure("identities of %s: %s" % (now, ids))
        old = rows
    driver.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs"))
