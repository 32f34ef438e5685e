#!/usr/bin/env python3
"""Who is behind a port, as the keys of each orchestrator in a real
ovsdb-server say it."""

import os
import signal
import time

from harness import Daemon, Failure, Lab, Ovs, equal, main, wait_until

A, B = "11111111-2222-4333-8444-55555555%04x", "aaaaaaaa-bbbb-4ccc-8ddd-%012x"

# name: (external_ids of Interface, of Port, other_config of Port, what
#        endpoint.list shall say)
KEYS = {
    "libvirt0": (
        {"iface-id": A % 1, "attached-mac": "52:54:00:00:00:01",
         "vm-id": A % 2, "iface-status": "active"}, {}, {},
        {"interface": A % 1, "macs": ["52:54:00:00:00:01"], "type": "vm",
         "labels": {"vm-id": A % 2}, "host": "node-1", "bridge": "br0"}),
    "nova0": (
        {"iface-id": A % 3, "attached-mac": "fa:16:3e:00:00:02",
         "vm-uuid": A % 4, "iface-status": "active"}, {},
        {"net_uuid": B % 1, "network_type": "vxlan", "segmentation_id": "77",
         "physical_network": "None", "tag": "3"},
        {"interface": A % 3, "type": "vm", "network": B % 1,
         "labels": {"vm-id": A % 4, "network-type": "vxlan",
                    "segmentation-id": "77", "local-vlan": "3",
                    "physical-network": "None"}}),
    "qr0": (
        {"iface-id": A % 5, "attached-mac": "fa:16:3e:00:00:03",
         "iface-status": "active"}, {},
        {"net_uuid": B % 1, "network_type": "vxlan", "segmentation_id": "77"},
        {"interface": A % 5, "network": B % 1, "name": A % 5}),
    "ovnk0": (
        {"iface-id": "shop_cart-7", "attached_mac": "0a:58:0a:f4:00:05",
         "iface-id-ver": A % 6, "ip_addresses": "10.244.0.5/24,fd00:10::5/64",
         "sandbox": "5b0c", "k8s.ovn.org/nad": "default"}, {}, {},
        {"name": "cart-7", "tenant": "shop", "type": "pod",
         "addresses": ["10.244.0.5", "fd00:10::5"],
         "macs": ["0a:58:0a:f4:00:05"],
         "labels": {"pod-uid": A % 6, "container-id": "5b0c",
                    "nad": "default"}}),
    "udn0": (
        {"iface-id": "blue.net_shop_cart-8", "sandbox": "5b0d",
         "attached_mac": "0a:58:0a:f4:00:06", "ip_addresses": "10.244.0.6/24",
         "k8s.ovn.org/network": "blue"}, {}, {},
        {"name": "cart-8", "tenant": "shop", "network": "blue"}),
    "kube0": (
        {"iface-id": "web.default", "pod_name": "web",
         "pod_namespace": "default", "ip": "10.16.0.7",
         "pod_netns": "/run/netns/x", "vendor": "kube-ovn"}, {}, {},
        {"name": "web", "tenant": "default", "addresses": ["10.16.0.7"],
         "type": "pod", "labels": {"netns": "/run/netns/x",
                                   "vendor": "kube-ovn"}}),
    "antrea0": (
        {}, {"antrea-type": "container", "container-id": "c0ffee",
             "pod-name": "db-0", "pod-namespace": "prod",
             "ip-address": "10.10.1.5", "attached-mac": "aa:bb:cc:dd:ee:05",
             "if-dev": "eth0"}, {},
        {"name": "db-0", "tenant": "prod", "addresses": ["10.10.1.5"],
         "macs": ["aa:bb:cc:dd:ee:05"], "type": "pod",
         "labels": {"antrea-type": "container", "container-id": "c0ffee",
                    "interface": "eth0"}}),
    "docker0": (
        {"container_id": "web-1", "container_iface": "eth1"}, {}, {},
        {"name": "docker0", "type": "container", "network": "br0",
         "labels": {"container-id": "web-1", "interface": "eth1"}}),
    "xen0": (
        {"iface-id": "xs-1", "attached-mac": "02:00:00:00:00:09",
         "xs-vm-uuid": A % 7, "xs-network-uuid": B % 2, "xs-vif-uuid": A % 8,
         "iface-status": "active"}, {}, {},
        {"type": "vm", "network": B % 2, "interface": "xs-1",
         "labels": {"vm-id": A % 7, "xs-vif-uuid": A % 8}}),
    # Not anybody, or not here.
    "tun0": ({}, {"antrea-type": "tunnel", "node-name": "node-9"}, {}, None),
    "plain0": ({}, {}, {}, None),
    "coming0": ({"iface-id": "x", "attached-mac": "02:00:00:00:00:0a",
                 "iface-status": "inactive"}, {}, {}, None),
}


def columns(name, ids, port_ids, other):
    out = []
    for table, record, column, values in (
            ("Interface", name, "external_ids", ids),
            ("Port", name, "external_ids", port_ids),
            ("Port", name, "other_config", other)):
        for key, value in values.items():
            out += ["--", "set", table, record, "%s:%s=%s" % (
                column, quoted(key), quoted(value))]
    return out


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


def add(ovs, name, ids, port_ids=None, other=None, bridge="br0"):
    ovs.vsctl("add-port", bridge, name, "--", "set", "Interface", name,
              "type=internal", *columns(name, ids, port_ids or {},
                                        other or {}))


def server_only(lab):
    ovs = Ovs(lab, start=False)
    ovs.start_server()
    ovs.vsctl("--no-wait", "init")
    ovs.vsctl("--no-wait", "set", "Open_vSwitch", ".",
              "external_ids:hostname=node-1", "external_ids:system-id=sys-1")
    ovs.vsctl("--no-wait", "add-br", "br0")
    return ovs


class NoWait:
    """ovs-vsctl without ovs-vswitchd."""

    def __init__(self, ovs):
        self.ovs = ovs

    def vsctl(self, *args):
        return self.ovs.vsctl("--no-wait", *args)


def told(daemon, source="ovsdb"):
    return {e["port"] or e["name"]: e
            for e in daemon.rpc("endpoint.list", source=source,
                                limit=1000)["endpoints"]}


def who(daemon, address, **more):
    return daemon.rpc("endpoint.lookup", address=address, **more)["matches"]


def names(daemon, address, **more):
    return [m["name"] for m in who(daemon, address, **more)]


def test_keys_of_each_orchestrator():
    lab = Lab()
    ovs = server_only(lab)
    for name, (ids, port_ids, other, _) in KEYS.items():
        add(NoWait(ovs), name, ids, port_ids, other)
    ovs.vsctl("--no-wait", "set", "Open_vSwitch", ".",
              "external_ids:ovn-encap-ip=192.0.2.11")
    daemon = Daemon(lab, ovsdb=ovs.remote, config={"export": {
        "mode": "plan"}})
    wanted = {n: k[3] for n, k in KEYS.items() if k[3]}
    wait_until(lambda: set(wanted) <= set(told(daemon)), 15,
               lambda: told(daemon))
    got = told(daemon)
    for name, members in wanted.items():
        for member, value in members.items():
            have = got[name][member]
            equal(sorted(have) if isinstance(have, list) else have, value, "%s: %s" % (name, member))
    equal(sorted(set(got) - set(wanted)), sorted(["node-1", B % 1]),
          "nobody else but the host and the network")
    equal(got[B % 1]["vnis"], [77], "VNI of a network, told once")
    host, = who(daemon, "192.0.2.11")
    equal((host["name"], host["type"], host["source"]),
          ("node-1", "host", "ovsdb"), "the host")
    daemon.stop()


def test_changes():
    lab = Lab()
    ovs = server_only(lab)
    nowait = NoWait(ovs)
    daemon = Daemon(lab, ovsdb=ovs.remote, config={"export": {
        "mode": "plan"}}, expect=[r"127\.0\.0\.1|ovsdb|not connected"])
    ids = {"iface-id": "p_a", "sandbox": "1", "ip_addresses": "10.0.0.5/24"}
    add(nowait, "a", ids)
    wait_until(lambda: names(daemon, "10.0.0.5") == ["a"], 10,
               lambda: who(daemon, "10.0.0.5"))
    # The address goes to another interface at once.
    first = time.time()
    add(nowait, "b", dict(ids, **{"iface-id": "p_b"}))
    ovs.vsctl("--no-wait", "del-port", "a")
    wait_until(lambda: names(daemon, "10.0.0.5") == ["b"], 10)
    equal(names(daemon, "10.0.0.5", at="%.6f" % first), ["a"], "then")
    # Again, many times within a moment: the last one counts.
    for i in range(20):
        ovs.vsctl("--no-wait", "--if-exists", "del-port", "r%d" % (i - 1),
                  "--", "--if-exists", "del-port", "b", "--",
                  "add-port", "br0", "r%d" % i, "--",
                  *columns("r%d" % i, dict(ids, **{
                      "iface-id": "p_r%d" % i}), {}, {})[1:])
    wait_until(lambda: names(daemon, "10.0.0.5") == ["r19"], 10)
    # A key changes; a bridge's port is moved; a status turns inactive.
    ovs.vsctl("--no-wait", "set", "Interface", "r19",
              "external_ids:iface-id=shop_new")
    wait_until(lambda: names(daemon, "10.0.0.5") == ["new"], 10)
    equal(who(daemon, "10.0.0.5")[0]["tenant"], "shop", "tenant")
    ovs.vsctl("--no-wait", "add-br", "br1")
    port = ovs.vsctl("get", "Port", "r19", "_uuid").strip()
    ovs.vsctl("--no-wait", "remove", "Bridge", "br0", "ports", port, "--",
              "add", "Bridge", "br1", "ports", port)
    wait_until(lambda: told(daemon)["r19"]["bridge"] == "br1", 10)
    equal(told(daemon)["r19"]["network"], "br1", "network")
    ovs.vsctl("--no-wait", "set", "Port", "r19", "tag=12")
    wait_until(lambda: told(daemon)["r19"]["network"] == "br1.12", 10)
    ovs.vsctl("--no-wait", "set", "Interface", "r19",
              "external_ids:iface-status=inactive")
    wait_until(lambda: names(daemon, "10.0.0.5") == [], 10)
    ovs.vsctl("--no-wait", "remove", "Interface", "r19", "external_ids",
              "iface-status")
    wait_until(lambda: names(daemon, "10.0.0.5") == ["new"], 10)

    # The database is lost, and changes meanwhile: a gap.
    before = time.time()
    ovs.stop_server()
    daemon.announce("not connected")
    time_lost = wait_lost(daemon)
    ovs.start_server()
    ovs.vsctl("--no-wait", "del-port", "r19")
    wait_until(lambda: names(daemon, "10.0.0.5") == [], 20)
    during = who(daemon, "10.0.0.5", at="%.6f" % time_lost)
    equal([(m["name"], m["gap"]) for m in during], [("new", True)],
          "in the gap")
    equal([m["gap"] for m in who(daemon, "10.0.0.5", at="%.6f" % before)],
          [False], "before it")

    # Our restart: what is gone meanwhile is gone, what stays goes on.
    add(nowait, "stays", dict(ids, **{"iface-id": "p_stays"}))
    add(nowait, "goes", dict(ids, **{"iface-id": "p_goes",
                                     "ip_addresses": "10.0.0.6/24"}))
    wait_until(lambda: names(daemon, "10.0.0.6") == ["goes"], 10)
    since = who(daemon, "10.0.0.5")[0]["valid_from"]
    daemon.stop(signal.SIGKILL, check=False)
    ovs.vsctl("--no-wait", "del-port", "goes")
    daemon.start()
    wait_until(lambda: names(daemon, "10.0.0.6") == [], 10)
    equal([(m["name"], m["valid_from"]) for m in who(daemon, "10.0.0.5")],
          [("stays", since)], "goes on")
    daemon.stop()


def wait_lost(daemon):
    def lost():
        return [s for s in daemon.rpc("endpoint.databases")["databases"]
                if s["source"] == "ovsdb" and not s["connected"]]
    wait_until(lost, 10)
    time.sleep(0.002)
    return time.time()


def test_rules_and_hostile_keys():
    lab = Lab()
    ovs = server_only(lab)
    nowait = NoWait(ovs)
    odd = 'we"b \u00e9\u4e2d, =\\1'
    daemon = Daemon(lab, ovsdb=ovs.remote, config={
        "export": {"mode": "plan"},
        "identity": {"rule": [
            {"table": "Interface", "column": "external_ids",
             "key": "team", "attribute": "tenant", "type": "appliance"},
            {"table": "Interface", "column": "external_ids", "key": "fqdn",
             "attribute": "name"},
            {"table": "Interface", "column": "external_ids", "key": "rack",
             "attribute": "label", "label": "where"},
            {"table": "Port", "column": "other_config", "key": "addr",
             "attribute": "address"}]}})
    add(nowait, "mine", {"team": "blue", "fqdn": odd, "rack": odd},
        other={"addr": "192.0.2.1 192.0.2.2"})
    wait_until(lambda: names(daemon, "192.0.2.2") == [odd], 10,
               lambda: told(daemon))
    found, = who(daemon, "192.0.2.2")
    equal((found["tenant"], found["type"], found["labels"]),
          ("blue", "appliance", {"where": odd}), "rules")

    # Names of 4 kB and more, addresses that are none, too many of them.
    long_ = "\u00e9" * 2048
    add(nowait, "l0", {"iface-id": "l0", "fqdn": long_,
                       "ip_addresses": "10.9.0.1"})
    add(nowait, "l1", {"iface-id": "l1", "fqdn": "x" + long_ * 3,
                       "rack": "y" * 60000, "ip_addresses": "10.9.0.2"})
    add(nowait, "bad", {
        "iface-id": "bad", "attached-mac": "not a mac",
        "ip_addresses": "10.9.0.3/24,10.9.0.300,::,fe80::zz," + "9" * 500})
    many = ",".join("10.8.%d.%d" % (i >> 8, i & 255) for i in range(1, 2000))
    add(nowait, "many", {"iface-id": "many", "ip_addresses": many})
    wait_until(lambda: len(names(daemon, "10.8.0.1")) == 1, 10)
    equal(names(daemon, "10.9.0.1"), [long_], "4 kB")
    cut, = who(daemon, "10.9.0.2")
    equal(cut["name"], "x" + "\u00e9" * 2047, "cut between two characters")
    equal([m["port"] for m in who(daemon, "10.9.0.3")], ["bad"],
          "what is right of it")
    equal(len(told(daemon)["many"]["addresses"]), 900, "at most so many")
    equal(names(daemon, "10.8.4.0"), [], "those beyond")
    counters = daemon.rpc("endpoint.databases")["databases"][0]["counters"]
    for counter in ("cut", "bad_address", "too_many", "events"):
        if not counters[counter]:
            raise Failure("%s is not counted: %s" % (counter, counters))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("ovsdb-server", "ovs-vsctl"))
