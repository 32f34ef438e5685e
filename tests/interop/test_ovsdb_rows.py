#!/usr/bin/env python3
"""Rows in a real database: made, kept, shared with others, taken away."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
from harness import Failure, Lab, Ovs, equal, main, wait_until
from ovsdb_driver import Driver

ALL = ("netflow", "sflow", "ipfix")
TABLES = {"netflow": "NetFlow", "sflow": "sFlow", "ipfix": "IPFIX"}


def row(ovs, bridge, protocol):
    """The row that the bridge refers to, or None."""
    uuid = ovs.vsctl("get", "Bridge", bridge, protocol).strip()
    if uuid == "[]":
        return None
    return next(r for r in ovs.rows(TABLES[protocol]) if r["_uuid"] == uuid)


def external_ids(ovs, bridge, protocol):
    return dict(row(ovs, bridge, protocol)["external_ids"])


def as_list(value):
    return value if isinstance(value, list) else [value]


def foreign_sflow(ovs, bridge, target="192.0.2.1:6343", sampling=64):
    ovs.vsctl("--", "--id=@s", "create", "sFlow", "targets=\"%s\"" % target,
              "sampling=%d" % sampling, "external_ids:made-by=hand",
              "--", "set", "Bridge", bridge, "sflow=@s")


def config_number(ovs):
    return int(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"))


def test_new_bridge():
    """A bridge that somebody adds has its rows a moment later, each with an
    identity of its own."""
    lab = Lab()
    ovs = Ovs(lab)
    driver = Driver(lab, ovs.remote)
    driver.await_connected()
    driver("policy netflow sflow ipfix")
    took = []
    for i in range(5):
        name = "br%d" % i
        ovs.vsctl("--no-wait", "add-br", name, "--", "set", "Bridge", name,
                  "datapath_type=netdev")
        start = time.monotonic()
        wait_until(lambda: all(row(ovs, name, p) for p in ALL), 5,
                   "rows of " + name, interval=0)
        took.append(time.monotonic() - start)
    print("rows in place after %s ms (with the looking)"
          % ", ".join("%.0f" % (1000 * t) for t in took))
    engines = {(r["engine_type"], r["engine_id"]) for r in
               ovs.rows("NetFlow")}
    equal(len(engines), 5, "engine ids")
    equal(len({r["agent"] for r in ovs.rows("sFlow")}), 5, "agents")
    equal(len({r["obs_domain_id"] for r in ovs.rows("IPFIX")}), 5, "domains")
    for r in ovs.rows("sFlow"):
        equal(dict(r["external_ids"])["venturi-owner"], "driver-1", "owner")
    for p in ALL:
        driver.await_state("br4", p, "in-sync")
    driver.stop()


def test_second_run_writes_nothing():
    lab = Lab()
    ovs = Ovs(lab)
    for i in range(3):
        ovs.add_bridge("br%d" % i)
    driver = Driver(lab, ovs.remote)
    driver("policy netflow sflow ipfix")
    for i in range(3):
        driver.await_state("br%d" % i, "ipfix", "in-sync")
    driver.stop()
    before = config_number(ovs), os.path.getsize(ovs.database)
    rows = {p: ovs.rows(TABLES[p]) for p in ALL}

    driver = Driver(lab, ovs.remote, apply=False)
    driver.await_connected()
    driver("policy netflow sflow ipfix")
    driver("apply")
    for i in range(3):
        driver.await_state("br%d" % i, "ipfix", "in-sync")
    driver.stop()
    equal((config_number(ovs), os.path.getsize(ovs.database)), before,
          "next_cfg and the size of the database")
    for p in ALL:
        equal(sorted(r["_uuid"] for r in ovs.rows(TABLES[p])),
              sorted(r["_uuid"] for r in rows[p]), p)


def test_plan_mode():
    """Without apply nothing is written, and the plan says what would be."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    before = config_number(ovs)
    driver = Driver(lab, ovs.remote, apply=False)
    driver.await_state("br0", "sflow", "pending")
    equal(driver.plan()["br0", "sflow"][0], "create", "plan")
    equal(config_number(ovs), before, "next_cfg")
    equal(ovs.rows("sFlow"), [], "rows")
    if "export.apply" not in driver.reason("br0", "sflow"):
        raise Failure("no hint: " + driver.reason("br0", "sflow"))
    driver("apply")
    driver.await_state("br0", "sflow", "in-sync")
    equal(len(ovs.rows("sFlow")), 1, "rows")


def test_drift():
    """Whatever is done to a row of ours is undone."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver("policy sflow ipfix")
    driver.await_state("br0", "ipfix", "in-sync")
    agent = row(ovs, "br0", "sflow")["agent"]
    for change in (["set", "sFlow", ".", "sampling=1"],
                   ["clear", "sFlow", ".", "agent"],
                   ["clear", "Bridge", "br0", "sflow"],
                   ["remove", "IPFIX", ".", "other_config", "virtual_obs_id"],
                   ["set", "IPFIX", ".", "targets=\"192.0.2.9:1\""],
                   ["clear", "Bridge", "br0", "ipfix"]):
        if change[2] == ".":
            change[2] = ovs.rows(change[1])[0]["_uuid"]
        ovs.vsctl("--no-wait", *change)
        start = time.monotonic()

        def repaired():
            s, x = row(ovs, "br0", "sflow"), row(ovs, "br0", "ipfix")
            return (s and x and s["sampling"] == 512 and s["agent"] == agent
                    and dict(x["other_config"]).get("virtual_obs_id")
                    and x["targets"] == "127.0.0.1:4739")
        wait_until(repaired, 5, " ".join(change), interval=0)
        print("%s: repaired after %.0f ms" % (
            " ".join(change[:1] + change[3:]),
            1000 * (time.monotonic() - start)))
    driver.stop()


def test_foreign_respected():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    foreign_sflow(ovs, "br0")
    before = row(ovs, "br0", "sflow"), config_number(ovs)
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "conflict")
    for part in ("made-by=hand", "192.0.2.1:6343"):
        if part not in driver.reason("br0", "sflow"):
            raise Failure("the reason lacks %s: %s" % (
                part, driver.reason("br0", "sflow")))
    equal(driver("remove"), [["0"]], "removed")
    equal((row(ovs, "br0", "sflow"), config_number(ovs)), before,
          "the foreign row")
    # It goes: ours comes.
    driver("apply")
    ovs.vsctl("clear", "Bridge", "br0", "sflow")
    driver.await_state("br0", "sflow", "in-sync")
    driver.stop()


def test_foreign_append():
    """Only our target comes and goes; what others write meanwhile stays."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    foreign_sflow(ovs, "br0")
    before = row(ovs, "br0", "sflow")
    driver = Driver(lab, ovs.remote)
    driver("policy sflow append")
    driver.await_state("br0", "sflow", "in-sync")
    now = row(ovs, "br0", "sflow")
    equal(sorted(now["targets"]), ["127.0.0.1:6343", "192.0.2.1:6343"],
          "targets")
    equal((now["_uuid"], now["sampling"], now["agent"]),
          (before["_uuid"], 64, before["agent"]), "the rest")
    ids = dict(now["external_ids"])
    equal((ids.get("made-by"), ids.get("venturi-owner")), ("hand", None),
          "external_ids")

    # Its owner adds a target and changes the rate.
    ovs.vsctl("--", "add", "sFlow", now["_uuid"], "targets",
              "\"192.0.2.2:6343\"", "--", "set", "sFlow", now["_uuid"],
              "sampling=32")
    driver.await_state("br0", "sflow", "in-sync")
    # Its owner throws ours out: it comes again.
    ovs.vsctl("set", "sFlow", now["_uuid"], "targets=\"192.0.2.2:6343\"")
    wait_until(lambda: "127.0.0.1:6343" in row(ovs, "br0",
                                               "sflow")["targets"],
               what="our target")
    driver.await_state("br0", "sflow", "in-sync")
    equal(driver("remove"), [["1"]], "removed")
    now = row(ovs, "br0", "sflow")
    equal((now["_uuid"], as_list(now["targets"]), now["sampling"]),
          (before["_uuid"], ["192.0.2.2:6343"], 32), "afterwards")
    equal(dict(now["external_ids"]), {"made-by": "hand"}, "external_ids")
    driver.stop()


def test_foreign_replace():
    """The displaced row comes back, with all that was in it."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.vsctl("--", "--id=@i", "create", "IPFIX",
              "targets=[\"192.0.2.1:4739\",\"192.0.2.2:4739\"]",
              "sampling=7", "obs_domain_id=123", "cache_max_flows=9",
              "external_ids:made-by=\"a & b = c\"",
              "other_config:enable-input-sampling=false",
              "other_config:unheard-of=1",
              "--", "set", "Bridge", "br0", "ipfix=@i")
    before = row(ovs, "br0", "ipfix")
    driver = Driver(lab, ovs.remote)
    driver("policy ipfix replace")
    driver.await_state("br0", "ipfix", "in-sync")
    equal(len(ovs.rows("IPFIX")), 1, "rows")
    equal(row(ovs, "br0", "ipfix")["targets"], "127.0.0.1:4739", "targets")
    equal(driver("remove"), [["1"]], "removed")
    after = row(ovs, "br0", "ipfix")
    for r in (before, after):
        del r["_uuid"]
    equal(after, before, "the row that came back")
    driver.stop()


def test_remove_only_ours():
    lab = Lab()
    ovs = Ovs(lab)
    for i in range(3):
        ovs.add_bridge("br%d" % i)
    foreign_sflow(ovs, "br1")
    driver = Driver(lab, ovs.remote)
    driver("policy netflow sflow ipfix")
    for i in range(3):
        driver.await_state("br%d" % i, "netflow", "in-sync")
    equal(driver("remove br0"), [["3"]], "removed from br0")
    equal([row(ovs, "br0", p) for p in ALL], [None] * 3, "rows of br0")
    equal(driver.state("br0", "sflow"), "off", "state")
    # Nothing comes back before apply, even if something changes.
    ovs.add_bridge("br3")
    driver.await_state("br3", "sflow", "in-sync")
    equal(row(ovs, "br0", "sflow"), None, "row of br0")
    equal(driver("remove"), [["8"]], "removed")
    equal(len(ovs.rows("sFlow")), 1, "sFlow rows left")
    equal(dict(ovs.rows("sFlow")[0]["external_ids"]), {"made-by": "hand"},
          "whose")
    equal(ovs.rows("IPFIX") + ovs.rows("NetFlow"), [], "other rows left")
    driver("apply")
    driver.await_state("br0", "ipfix", "in-sync")
    driver.stop()


def test_offload():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.vsctl("set", "Open_vSwitch", ".", "other_config:hw-offload=true")
    driver = Driver(lab, ovs.remote)
    wait_until(lambda: "offload" in driver.reason("br0", "sflow"),
               what="a reason")
    equal(driver.state("br0", "sflow"), "off", "state")
    equal(ovs.rows("sFlow"), [], "rows")
    driver("policy sflow force")
    driver.await_state("br0", "sflow", "in-sync")
    driver("policy sflow")
    driver.await_state("br0", "sflow", "off")
    equal(ovs.rows("sFlow"), [], "rows")
    driver.stop()


def test_shared_row():
    """Bridges that share a row can't be told apart: ours is not shared."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.add_bridge("br1")
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    driver.await_state("br1", "sflow", "in-sync")
    uuid = row(ovs, "br0", "sflow")["_uuid"]
    ovs.vsctl("--no-wait", "set", "Bridge", "br1", "sflow=" + uuid)
    wait_until(lambda: row(ovs, "br1", "sflow")["_uuid"] != uuid,
               what="a row of its own")
    driver.await_state("br1", "sflow", "in-sync")
    equal(row(ovs, "br0", "sflow")["_uuid"], uuid, "row of br0")
    equal(len({r["agent"] for r in ovs.rows("sFlow")}), 2, "agents")
    driver.stop()


def test_orphan_bridge():
    """A Bridge row that only a Flow_Sample_Collector_Set keeps alive is not
    one of the switch's bridges."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.vsctl("--", "--id=@b", "get", "Bridge", "br0", "--", "create",
              "Flow_Sample_Collector_Set", "id=1", "bridge=@b")
    harness.run("ovsdb-client", "transact", ovs.remote, json.dumps(
        ["Open_vSwitch", {"op": "update", "table": "Open_vSwitch",
                          "where": [], "row": {"bridges": ["set", []]}}]))
    equal(len(ovs.rows("Bridge")), 1, "orphans")
    ovs.add_bridge("br1")
    driver = Driver(lab, ovs.remote)
    driver.await_state("br1", "sflow", "in-sync")
    equal(set(b for b, _ in driver.status()), {"br1"}, "bridges")
    equal(len(ovs.rows("sFlow")), 1, "rows")
    driver.stop()


def test_without_vswitchd():
    """Written is not applied: only ovs-vswitchd can say so."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.stop_vswitchd()
    driver = Driver(lab, ovs.remote)
    wait_until(lambda: ovs.rows("sFlow"), what="a row")
    wait_until(lambda: "ovs-vswitchd" in driver.reason("br0", "sflow"),
               what="a reason")
    equal(driver.state("br0", "sflow"), "pending", "state")
    ovs.start_vswitchd()
    driver.await_state("br0", "sflow", "in-sync")
    driver.stop()


def test_interfaces():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.add_host(1)
    driver = Driver(lab, ovs.remote, apply=False)

    def seen():
        return {f[1]: f[2] for f in driver("snapshot")[1:]}
    wait_until(lambda: len(seen()) == 2, what="both interfaces")
    for name, ofport in seen().items():
        equal(ofport, ovs.vsctl("get", "Interface", name, "ofport").strip(),
              "ofport of " + name)
    driver.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs"))
