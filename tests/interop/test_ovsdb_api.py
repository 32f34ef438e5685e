#!/usr/bin/env python3
"""Provisioning through venturid and its API: flow-samples, one policy at a
time, policies that are refused, predictions, TLS."""

import os
import signal
import socket
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
from harness import Daemon, Failure, Lab, Ovs, RpcError, equal, main, \
    wait_until
from test_ovsdb_races import make_certificates


def policies(*list_):
    return {"export": {"policy": list(list_)}}


def states(client, bridge="br0"):
    """{protocol, or "flow-sample-ID": state}"""
    return {"%s-%d" % (s["protocol"], s["id"]) if "id" in s
            else s["protocol"]: s["state"]
            for s in client.call("export.status")["status"]
            if s["bridge"] == bridge}


def test_flow_sample():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovsdb=ovs.remote, config=policies(
        {"name": "p", "flow-sample": [
            {"id": 7, "ipfix": {"cache_max_flows": 3}},
            {"id": 8, "local_group_id": 1}]}))
    client = daemon.client
    wait_until(lambda: states(client).get("flow-sample-7") == "in-sync", 15,
               lambda: states(client))
    # Open vSwitch 3.1 has no local_group_id: that is said, not written.
    status = next(s for s in client.call("export.status")["status"]
                  if s.get("id") == 8)
    equal(status["state"], "error", "state of 8")
    if "local_group_id" not in status["reason"]:
        raise Failure(status["reason"])
    plan = client.call("export.plan", all=True)["plans"][0]["changes"]
    equal([c["action"] for c in plan if c.get("id") == 7], ["none"], "plan")
    equal(client.call("export.remove", policy="p"), {"removed": 1, "probes": 0},
          "removed")
    equal(ovs.rows("Flow_Sample_Collector_Set"), [], "rows")
    daemon.stop()


def test_one_policy():
    lab = Lab()
    ovs = Ovs(lab)
    for name in ("br-a", "br-b"):
        ovs.add_bridge(name)
    config = policies(
        {"name": "a", "match": {"bridges": ["br-a"]}, "sflow": {}},
        {"name": "b", "match": {"bridges": ["br-b"]}, "ipfix": {}},
        {"name": "c", "match": {"bridges": ["nobody"]}, "sflow": {}})
    config["export"]["mode"] = "plan"
    daemon = Daemon(lab, ovsdb=ovs.remote, config=config)
    client = daemon.client
    wait_until(lambda: client.call("export.plan")["pending"] == 2, 15,
               "two changes")
    plan = client.call("export.plan")["plans"][0]
    equal(plan["warnings"], ["policy c matches no bridge here"], "warnings")
    if "records_per_second" not in plan["changes"][0]:
        raise Failure("no prediction: %s" % plan["changes"][0])
    only = client.call("export.plan", policy="b")["plans"][0]["changes"]
    equal([c["bridge"] for c in only], ["br-b"], "bridges of policy b")
    client.call("export.apply", policy="b")
    wait_until(lambda: ovs.rows("IPFIX"), 5, "the row of policy b")
    equal(ovs.rows("sFlow"), [], "the row of policy a")
    client.call("export.apply", bridge="br-a")
    wait_until(lambda: ovs.rows("sFlow"), 5, "the row of br-a")
    equal(client.call("export.remove", policy="b"), {"removed": 1, "probes": 0},
          "removed")
    equal((len(ovs.rows("sFlow")), ovs.rows("IPFIX")), (1, []), "rows left")
    try:
        client.call("export.apply", policy="nope")
        raise Failure("a policy that is not there was applied")
    except RpcError as error:
        print(error)
    daemon.stop()


def test_removed_over_restart():
    """What was removed by hand stays away over a restart and a kill -9, until
    export.apply; a bridge applied since then is not held."""
    lab = Lab()
    ovs = Ovs(lab)
    for name in ("br-a", "br-b"):
        ovs.add_bridge(name)
    daemon = Daemon(lab, ovsdb=ovs.remote, config=policies(
        {"name": "a", "sflow": {}}))
    orders = os.path.join(daemon.state_dir, "meta", "orders")
    sflows = lambda: len(ovs.rows("sFlow"))
    state = lambda bridge: states(daemon.client, bridge).get("sflow")
    planned = lambda: all(
        any(s["bridge"] == bridge for s in daemon.export_status())
        for bridge in ("br-a", "br-b"))
    wait_until(lambda: sflows() == 2, 15, "two rows")
    equal(daemon.rpc("export.remove")["removed"], 2, "removed")
    for sig in (signal.SIGTERM, signal.SIGKILL):
        daemon.stop(sig, check=sig == signal.SIGTERM)
        daemon.start()
        # Reconnected, planned, and all that is new with a bridge is seen:
        # the rows would have been written by then.
        ovs.add_bridge("br-%d" % sig)
        wait_until(planned, 15, daemon.export_status)
        wait_until(lambda: "br-%d" % sig in
                   [s["bridge"] for s in daemon.export_status()], 15,
                   daemon.export_status)
        for bridge in ("br-a", "br-b", "br-%d" % sig):
            reason = [s["reason"] for s in daemon.export_status()
                      if s["bridge"] == bridge]
            if "removed on request" not in str(reason):
                raise Failure("%s: %s" % (bridge, reason))
        equal(daemon.rpc("export.plan")["pending"], 0, "pending")
        equal(sflows(), 0, "rows")
        ovs.vsctl("del-br", "br-%d" % sig)
    # One bridge again: it alone, also after a restart.
    daemon.rpc("export.apply", bridge="br-a")
    wait_until(lambda: sflows() == 1, 5, "the row of br-a")
    daemon.stop()
    ovs.vsctl("clear", "Bridge", "br-a", "sflow")
    daemon.start()
    wait_until(lambda: state("br-a") == "in-sync", 15, daemon.export_status)
    equal(sflows(), 1, "rows")
    equal(os.path.exists(orders), True, "the file")
    # All again.
    daemon.rpc("export.apply")
    wait_until(lambda: sflows() == 2, 5, "both rows")
    equal(os.path.exists(orders), False, "the file")
    # A damaged file may have named any bridge.
    daemon.stop()
    ovs.vsctl("clear", "Bridge", "br-b", "sflow")
    with open(orders, "w", encoding="utf-8") as f:
        f.write("venturi-orders 1\nremove =br")
    daemon.announce("meta/orders: damaged")
    daemon.start()
    wait_until(lambda: state("br-b") == "pending", 15, daemon.export_status)
    equal(sflows(), 1, "rows")
    daemon.rpc("export.apply")
    wait_until(lambda: sflows() == 2, 5, "both rows")
    equal(os.path.exists(orders), False, "the file")
    daemon.stop()


def test_refused():
    """Nothing is written for a configuration that is refused."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovsdb=ovs.remote, config=policies(
        {"name": "a", "match": {"bridges": ["br*"]}, "sflow": {}}))
    client = daemon.client
    wait_until(lambda: ovs.rows("sFlow"), 15, "a row")
    before = ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg")
    for policy, words in (
            ({"name": "b", "match": {"bridges": ["br*"]}, "sflow": {}},
             ("policy[name='b']/match", "collides with policy a")),
            ({"name": "b", "match": {"bridges": ["x"], "exclude": ["x"]}},
             ("policy[name='b']/match", "match no bridge")),
            ({"name": "a", "sflow": {"header": 5}},
             ("sflow/header", "14 to 1400")),
            ({"name": "a", "sflow": {"headers": 5}}, ("headers",)),
            ({"name": "a", "sflow": {"targets": [""]}}, ("sflow/targets",)),
            ({"name": "a", "flow-sample": [{"id": 1}]},
             ("flow-sample[1]", "ipfix or local_group_id"))):
        try:
            client.call("config.edit", config={
                "venturi:venturi": policies(policy)}, merge=True)
        except RpcError as error:
            for word in words:
                if word not in str(error):
                    raise Failure("%s: %s" % (word, error)) from None
            continue
        raise Failure("accepted: %s" % policy)
    equal(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"), before,
          "next_cfg")
    daemon.stop()


def test_tls():
    """A remote behind TLS, with the files of ovsdb/tls."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    path = make_certificates(lab.dir)
    os.chmod(path("client.key"), 0o644)     # venturid is not root for long.
    port = harness.free_port(socket.SOCK_STREAM)
    ovs.stop_vswitchd()
    ovs.stop_server()
    harness.Process("ovsdb-server", [
        "ovsdb-server", ovs.database, "--remote=punix:" + ovs.socket,
        "--remote=pssl:%d:127.0.0.1" % port, "--no-chdir",
        "--unixctl=" + os.path.join(ovs.dir, "tls.ctl"),
        "-vconsole:warn", "-vsyslog:off", "-vfile:off",
        "--private-key=" + path("server.key"),
        "--certificate=" + path("server.pem"),
        "--ca-cert=" + path("ca.pem")], os.path.join(lab.dir, "tls.out"),
        lab.name)
    daemon = Daemon(lab, ovsdb="ssl:127.0.0.1:%d" % port, config={
        "ovsdb": {"tls": {"private-key": path("client.key"),
                          "certificate": path("client.pem"),
                          "ca": path("ca.pem")}}})
    wait_until(lambda: ovs.rows("sFlow"), 15, "a row")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid"))
