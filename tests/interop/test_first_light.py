#!/usr/bin/env python3
"""tests/interop/test_first_light.py -- from packets of real hosts on a real
Open vSwitch to what flow.query says about them.

The hosts' kernels are the judges: what "ip -s link" and /proc/net/snmp count
is what must come out.
"""
# timeout: 420

import os
import sys

from harness import (HERE, Daemon, Failure, Lab, Ovs, Process, equal, main,
                     wait_until)

TRAFFIC = os.path.join(HERE, "traffic.py")
PORT = 5001
UDP = 300               # Datagrams of one run of the sender,
SIZE = 700              # and their octets.
PROTOCOLS = ("netflow", "sflow", "ipfix")
ALL_THREE = {"export": {"policy": [{
    "name": "all",
    "netflow": {"active_timeout": 2},
    "sflow": {"sampling": 1, "polling": 1},
    "ipfix": {"sampling": 1}}]}}
# What venturid and libopenvswitch say when a database goes away.
OVSDB_GONE = (r"ovsdb\|WARN", r"reconnect\|WARN", r"jsonrpc\|WARN",
              r"stream\w*\|WARN", r"ovsdb_cs\|WARN", r"ovsdb_idl\|WARN")


class Site:
    """A lab with Open vSwitch, a bridge and two hosts, not plugged in yet."""

    def __init__(self):
        self.lab = Lab()
        self.ovs = Ovs(self.lab)
        self.ovs.add_bridge("br0")
        # Flows are reported when the datapath forgets them: soon.
        self.ovs.vsctl("set", "Open_vSwitch", ".",
                       "other_config:max-idle=1000")
        self.a = self.ovs.add_host(1)
        self.b = self.ovs.add_host(2)
        self.server = None

    def daemon(self, config=None, **kwargs):
        return Daemon(self.lab, self.ovs.remote, config, **kwargs)

    def plug(self):
        self.a.plug()
        self.b.plug()
        self.server = Process(
            "server", [sys.executable, TRAFFIC, "serve", str(PORT)],
            os.path.join(self.lab.dir, "server.out"), self.b.name)
        wait_until(lambda: self.server.check()
                   or "ready" in self.server.text(), what="the server")

    def send(self, address):
        """Datagrams and a TCP connection from host a to host b."""
        self.a.run("ping", "-q", "-c", "2", "-i", "0.2", address)
        self.a.run(sys.executable, TRAFFIC, "send", address, str(PORT),
                   "--udp", str(UDP), "--size", str(SIZE), "--tcp", "200000",
                   "--rate", "1500")

    def sent(self):
        """What both hosts have sent."""
        links = [self.a.link(), self.b.link()]
        ipv4 = [self.a.sent_ipv4(), self.b.sent_ipv4()]
        return {"packets": sum(link["tx_packets"] for link in links),
                "l2_bytes": sum(link["tx_bytes"] for link in links),
                "ipv4": tuple(map(sum, zip(*ipv4)))}


def status(daemon, bridge="br0"):
    """{protocol: status} of a bridge."""
    return {s["protocol"]: s for s in daemon.export_status()
            if s["bridge"] == bridge}


def wait_state(daemon, states, bridge="br0", protocols=PROTOCOLS, timeout=30):
    """Waits until each of the protocols has one of the states."""
    def reached():
        now = status(daemon, bridge)
        return all(now.get(p, {}).get("state") in states for p in protocols)
    wait_until(reached, timeout,
               lambda: "%s: %s" % (states, status(daemon, bridge)))


IN_PLACE = ("in-sync", "receiving", "silent")


def settled(site, daemon, timeout=30):
    """Waits until what came in equals what was sent, in each protocol;
    returns what was sent."""
    last = [None]

    def same():
        before = site.sent()
        got = daemon.observed()
        last[0] = (before, got)
        if site.sent() != before or not all(p in got for p in PROTOCOLS):
            return None
        layer2 = (before["packets"], before["l2_bytes"])
        ok = (got["netflow"]["packets"], got["netflow"]["bytes"]) \
            == before["ipv4"]
        for p in ("sflow", "ipfix"):
            ok = ok and (got[p]["packets"], got[p]["l2_bytes"]) == layer2
        return before if ok else None
    return wait_until(same, timeout, lambda: "sent %s, counted %s" % last[0],
                      interval=0.2)


def test_three_exports_agree_with_the_hosts():
    site = Site()
    daemon = site.daemon(ALL_THREE)
    wait_state(daemon, IN_PLACE)
    site.plug()
    site.send(site.b.ipv4)
    site.send(site.b.ipv6)
    total = settled(site, daemon)
    wait_state(daemon, ("receiving",))

    # One packet is one packet, however often it was reported.
    row = daemon.flows(metrics=["packets", "l2_bytes"])[0]
    equal((row["packets"], row["l2_bytes"]),
          (total["packets"], total["l2_bytes"]), "canonical totals")

    # The datagrams, as the sender knows them: header 8, IPv4 20, IPv6 40.
    rows = daemon.flows(by=["src_addr"], metrics=["packets", "bytes"],
                        filter="proto udp and dst port %d" % PORT)
    got = {r["src_addr"]: (r["packets"], r["bytes"]) for r in rows}
    equal(got.get(site.a.ipv4), (UDP, UDP * (SIZE + 28)), "UDP over IPv4")
    equal(got.get(site.a.ipv6), (UDP, UDP * (SIZE + 48)), "UDP over IPv6")

    # IPFIX reports a packet once more as it leaves: to host b, which is known.
    rows = daemon.flows(
        by=["out_if_name"], metrics=["packets"], observations="all",
        filter="proto udp and dst port %d and export_protocol ipfix and "
               "direction egress" % PORT)
    equal({r["out_if_name"]: r["packets"] for r in rows},
          {site.b.port: 2 * UDP}, "UDP leaving the bridge")
    daemon.stop()


def test_across_a_patch_port():
    """Two bridges, each with three protocols, and a packet that crosses both:
    still one packet.  NetFlow numbers its output as the other bridge does, so
    no name is put on that; with the engine id in the numbers, names are
    found."""
    lab = Lab()
    ovs = Ovs(lab)
    for bridge in ("br0", "br1"):
        ovs.add_bridge(bridge)
    for here, there, bridge in (("p0", "p1", "br0"), ("p1", "p0", "br1")):
        ovs.vsctl("add-port", bridge, here, "--", "set", "Interface", here,
                  "type=patch", "options:peer=" + there)
    ovs.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=1000")
    a, b = ovs.add_host(1, "br0"), ovs.add_host(2, "br1")
    c = ovs.add_host(3, "br1")
    policy = dict(ALL_THREE["export"]["policy"][0], netflow={
        "active_timeout": 2, "add_id_to_interface": True})
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [policy]}})
    for bridge in ("br0", "br1"):
        wait_state(daemon, IN_PLACE, bridge)
    for host in (a, b, c):
        host.plug()
    a.run("ping", "-q", "-c", "40", "-i", "0.02", b.ipv4)
    c.run("ping", "-q", "-c", "30", "-i", "0.02", b.ipv4)

    def seen(filter, **kwargs):
        return daemon.flows(metrics=["packets"], filter=filter, **kwargs)

    def each_protocol():
        rows = seen("proto icmp and not direction egress",
                    by=["export_protocol"], observations="all")
        return {r["export_protocol"]: r["packets"] for r in rows} \
            == {"netflow5": 140, "sflow": 140, "ipfix": 140}
    wait_until(each_protocol, 30, lambda: "140 echoes: %s" % seen(
        "proto icmp", by=["export_protocol", "direction"],
        observations="all"))
    equal(seen("proto icmp")[0]["packets"], 140, "each packet once")
    equal({(r["src_addr"], r["dst_addr"]): r["packets"] for r in seen(
        "proto icmp", by=["src_addr", "dst_addr"])}, {
            (a.ipv4, b.ipv4): 40, (b.ipv4, a.ipv4): 40,
            (c.ipv4, b.ipv4): 30, (b.ipv4, c.ipv4): 30}, "each direction once")
    rows = seen("proto icmp and export_protocol netflow5", by=[
        "bridge", "in_if_name", "out_if_name"], observations="all")
    equal({(r["bridge"], r["in_if_name"], r["out_if_name"]): r["packets"]
           for r in rows},
          {("br0", a.port, None): 40, ("br1", b.port, None): 70,
           ("br1", c.port, None): 30}, "ports that NetFlow names")
    daemon.stop()


def test_default_policy_respects_others():
    site = Site()
    ovs = site.ovs
    ovs.add_bridge("br-foreign")
    ovs.vsctl("--", "--id=@s", "create", "sFlow", "sampling=7",
              'targets="127.0.0.1:7777"', "agent=lo", "--",
              "set", "Bridge", "br-foreign", "sflow=@s")
    foreign = ovs.rows("sFlow")
    daemon = site.daemon()
    wait_state(daemon, IN_PLACE, protocols=("sflow",))
    rows = ovs.rows("sFlow")
    equal([r for r in rows if r["sampling"] == 7], foreign,
          "the foreign row")
    equal(len(rows), 2, "rows of sFlow")
    ours = next(r for r in rows if r["sampling"] != 7)
    for key in ("venturi-owner", "venturi-policy", "venturi-hash"):
        if key not in ours["external_ids"]:
            raise Failure("our row lacks external_ids:%s: %s" % (key, ours))
    equal((ovs.rows("NetFlow"), ovs.rows("IPFIX")), ([], []), "other rows")
    wait_state(daemon, ("conflict",), "br-foreign", ("sflow",))
    if not status(daemon, "br-foreign")["sflow"]["reason"]:
        raise Failure("no reason for the conflict")

    # A bridge that comes later is served, one that offloads is not.
    ovs.add_bridge("br1")
    wait_state(daemon, IN_PLACE, "br1", ("sflow",))
    daemon.stop()


def test_default_policy_respects_offload():
    site = Site()
    site.ovs.vsctl("set", "Open_vSwitch", ".",
                   "other_config:hw-offload=true")
    daemon = site.daemon()

    def said():
        state = status(daemon).get("sflow")
        return state and "offload" in (state["reason"] or "")
    wait_until(said, what="a word about offload")
    equal(site.ovs.rows("sFlow"), [], "rows of sFlow")
    daemon.stop()


def test_open_vswitch_restarts():
    site = Site()
    daemon = site.daemon(ALL_THREE, expect=OVSDB_GONE)
    wait_state(daemon, IN_PLACE)
    site.plug()
    site.send(site.b.ipv4)
    settled(site, daemon)

    site.ovs.stop_server()
    wait_until(lambda: daemon.rpc("system.health")["status"] != "ok",
               what="system.health to say that the database is gone")
    site.ovs.start_server()
    wait_until(lambda: daemon.rpc("system.health")["status"] == "ok", 30,
               what="system.health to be well again")
    # What changes after that is seen.
    site.ovs.add_bridge("br1")
    wait_state(daemon, IN_PLACE, "br1")

    site.ovs.stop_vswitchd()
    site.ovs.start_vswitchd()
    before = daemon.observed()
    site.send(site.b.ipv4)
    wait_until(lambda: all(
        daemon.observed()[p]["packets"] >= before[p]["packets"] + UDP
        for p in PROTOCOLS), 30,
        lambda: "more after the restart than %s: %s" % (before,
                                                        daemon.observed()))
    daemon.stop()


def test_venturid_starts_before_open_vswitch():
    lab = Lab()
    ovs = Ovs(lab, start=False)
    daemon = Daemon(lab, ovs.remote, ALL_THREE, expect=OVSDB_GONE)
    wait_until(lambda: daemon.rpc("system.health")["status"] != "ok",
               what="system.health to say that there is no database")
    ovs.start_server()
    ovs.vsctl("--no-wait", "init")
    ovs.start_vswitchd()
    ovs.add_bridge("br0")
    wait_state(daemon, IN_PLACE)
    daemon.stop()


def test_venturid_restarts():
    site = Site()
    daemon = site.daemon(ALL_THREE)
    wait_state(daemon, IN_PLACE)
    site.plug()
    site.send(site.b.ipv4)
    settled(site, daemon)
    before = daemon.flows(metrics=["packets", "bytes"])
    rows = [site.ovs.rows(t) for t in ("NetFlow", "sFlow", "IPFIX")]
    daemon.stop()

    daemon.start()
    equal(daemon.flows(metrics=["packets", "bytes"]), before,
          "flows after the restart")
    wait_state(daemon, IN_PLACE)
    equal([site.ovs.rows(t) for t in ("NetFlow", "sFlow", "IPFIX")], rows,
          "export rows after the restart")
    # OVS sends its templates every ten minutes: the next datagram must do.
    got = daemon.observed()
    site.send(site.b.ipv4)
    wait_until(lambda: all(
        daemon.observed()[p]["packets"] >= got[p]["packets"] + UDP
        for p in PROTOCOLS), 30, "more flows after the restart")
    equal(sum(e["counters"]["no_template"]
              for e in daemon.rpc("exporter.list")["exporters"]), 0,
          "data without a template")
    daemon.stop()


def test_export_remove_takes_back_what_is_ours():
    site = Site()
    daemon = site.daemon(ALL_THREE)
    wait_state(daemon, IN_PLACE)
    daemon.rpc("export.remove")
    wait_until(lambda: not any(site.ovs.rows(t)
                               for t in ("NetFlow", "sFlow", "IPFIX")),
               what="our rows to go")
    daemon.rpc("export.apply")
    wait_state(daemon, IN_PLACE)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "ip", "ethtool", "ping", "venturid"))
