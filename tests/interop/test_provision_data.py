#!/usr/bin/env python3
"""tests/interop/test_provision_data.py -- data of every protocol arrives after
everything that could keep it away: a fresh start, our restart, restarts of
both halves of Open vSwitch, a change of the policy; and export.status says so,
for each Flow_Sample_Collector_Set as well."""
# timeout: 300

import os

from harness import Failure, equal, main, wait_until
from test_first_light import OVSDB_GONE, PROTOCOLS, Site

KINDS = PROTOCOLS + ("flow-sample",)
SETS = (7, 8)                   # Of br0; 7 on br1, too.


def policy(**sflow):
    return {"export": {"policy": [{
        "name": "all",
        "netflow": {"active_timeout": 2},
        "sflow": dict({"sampling": 1, "polling": 1}, **sflow),
        "ipfix": {"sampling": 1},
        "flow-sample": [{"id": s, "ipfix": {}} for s in SETS]}]}}


def sample(site, bridge="br0", sets=(7,)):
    """What OpenFlow tells this bridge to sample; both bridges, and both sets,
    under the same domain."""
    actions = "".join("sample(probability=65535,collector_set_id=%d,"
                      "obs_domain_id=77,obs_point_id=5)," % s for s in sets)
    path = "%s/%s.mgmt" % (site.ovs.dir, bridge)
    wait_until(lambda: os.path.exists(path), 20, path)
    site.lab.run("ovs-ofctl", "add-flow", "unix:" + path,
                 "priority=9,ip,actions=%sNORMAL" % actions)


def status(daemon, bridge="br0"):
    """{protocol, or (protocol, id): status}"""
    return {(s["protocol"], s["id"]) if "id" in s else s["protocol"]: s
            for s in daemon.export_status() if s["bridge"] == bridge}


WANTED = PROTOCOLS + (("flow-sample", 7),)


def in_place(daemon):
    wait_until(lambda: all(
        status(daemon).get(w, {}).get("state") in ("in-sync", "receiving",
                                                   "silent")
        for w in WANTED), 30, lambda: status(daemon))


def data_arrives(site, daemon, after):
    """Everything that is wanted sends something new, and status knows."""
    before = {w: status(daemon)[w]["records"] for w in WANTED}
    site.send(site.b.ipv4)

    def arrived():
        now = status(daemon)
        return all(now[w]["records"] > before[w]
                   and now[w]["state"] == "receiving" for w in WANTED)
    wait_until(arrived, 30, lambda: "data after %s: %s, before: %s" % (
        after, {w: (s["records"], s["state"], s["reason"])
                for w, s in status(daemon).items()}, before), interval=0.2)


def test_data_arrives():
    site = Site()
    daemon = site.daemon(policy(), expect=OVSDB_GONE)
    in_place(daemon)
    sample(site)
    site.plug()
    data_arrives(site, daemon, "a fresh start")

    daemon.stop()
    daemon.start()
    in_place(daemon)
    data_arrives(site, daemon, "our restart")

    site.ovs.stop_server()
    wait_until(lambda: not daemon.rpc("export.status")["remotes"][0][
        "connected"], what="the database to be gone")
    site.ovs.start_server()
    wait_until(lambda: daemon.rpc("export.status")["remotes"][0][
        "connected"], 30, "the database to be back")
    in_place(daemon)
    data_arrives(site, daemon, "a restart of ovsdb-server")

    site.ovs.stop_vswitchd()
    site.ovs.start_vswitchd()
    sample(site)                # Flows died with ovs-vswitchd.
    data_arrives(site, daemon, "a restart of ovs-vswitchd")

    p = policy(polling=3, header=96)["export"]["policy"][0]
    p["ipfix"]["cache_active_timeout"] = 1
    p["ipfix"]["cache_max_flows"] = 100
    p["netflow"]["active_timeout"] = 3
    p["flow-sample"][0]["ipfix"] = {"cache_max_flows": 10,
                                    "cache_active_timeout": 1}
    daemon.rpc("export.policy.set", policy=p)
    wait_until(lambda: site.ovs.rows("sFlow")[0]["header"] == 96, 10,
               "the new policy")
    in_place(daemon)
    data_arrives(site, daemon, "a change of the policy")
    equal(sum(e["counters"]["no_template"]
              for e in daemon.rpc("exporter.list")["exporters"]), 0,
          "data without a template")
    daemon.stop()


def test_sets_are_told_apart():
    """Two sets and two bridges under one observation domain: each record
    belongs to one of them, none counts twice."""
    site = Site()
    site.ovs.add_bridge("br1")
    daemon = site.daemon(policy())
    in_place(daemon)
    sample(site, "br0", sets=(7,))
    sample(site, "br1", sets=(8,))
    site.plug()
    data_arrives(site, daemon, "a start")
    # br0 has a set 8 that nothing feeds, br1 has no hosts at all.
    for bridge, number in (("br0", 8), ("br1", 7), ("br1", 8)):
        equal(status(daemon, bridge)[("flow-sample", number)]["records"], 0,
              "records of %s, %d" % (bridge, number))
    rows = daemon.flows(by=["bridge", "virtual_obs_id"], metrics=["packets"],
                        observations="all",
                        filter="observation_domain_id 77")
    names = {(r["bridge"], (r["virtual_obs_id"] or "").rsplit("/", 2)[-2:][0],
              (r["virtual_obs_id"] or "").rsplit("/", 1)[-1]) for r in rows}
    equal(names, {("br0", "br0", "7")}, "who made these records")
    # sFlow is what totals count: samples of OpenFlow's choice are not added.
    rows = daemon.flows(metrics=["packets"],
                        filter="observation_domain_id 77")
    if rows and rows[0]["packets"]:
        raise Failure("flow-samples are counted in totals: %s" % rows)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "ip", "ethtool", "ping", "venturid"))
