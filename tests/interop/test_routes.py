#!/usr/bin/env python3
"""Flows get the routes that a real BIRD announced: path, communities, next hop,
prefix; after a change new flows have the new path and old ones keep theirs."""

import os
import shutil
import socket
import struct
import subprocess
import time

import ipfix
from harness import (BUILDDIR, Daemon, Host, Lab, Ovs, Process, Skip, equal,
                     main, wait_until)

BGP_PORT = 1790
CONFIG = {
    "collector": {"netflow": {"listen": ["127.0.0.1:2055"]}},
    "bgp": {"local-as": 65000, "router-id": "10.0.0.1",
            "listen": ["127.0.0.1:%d" % BGP_PORT],
            "neighbor": [{"address": "127.0.0.2", "remote-as": 64500,
                          "passive": True, "description": "border"}]},
}
BIRD = """
router id 10.0.0.2;
protocol device {}
protocol static s4 {
    ipv4;
    route %s blackhole {
        bgp_path.prepend(15169);
        %s
        bgp_community.add((65000,100));
        bgp_large_community.add((65000,1,2));
        bgp_ext_community.add((rt,65000,7));
    };
    route 198.51.100.0/25 blackhole;
}
protocol bgp v {
    local 127.0.0.2 as 64500;
    neighbor 127.0.0.1 port %d as 65000;
    multihop;
    connect delay time 1;
    ipv4 { import none; export filter { bgp_med = 7; accept; };
           next hop self; };
}
"""


def program(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if not path:
        raise Skip("needs the program " + name)
    return path


class Bird:
    def __init__(self, lab, transit, prefix="203.0.113.0/24"):
        program("bird")
        self.lab = lab
        self.prefix = prefix
        self.conf = os.path.join(lab.dir, "bird.conf")
        self.ctl = os.path.join(lab.dir, "bird.ctl")
        self.write(transit)
        self.process = Process(
            "bird", [program("bird"), "-f", "-c", self.conf, "-s", self.ctl,
                     "-P", os.path.join(lab.dir, "bird.pid")],
            os.path.join(lab.dir, "bird.log"), lab.name)

    def write(self, transit):
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(BIRD % (self.prefix, "bgp_path.prepend(%d);" % transit,
                            BGP_PORT))

    def change(self, transit):
        self.write(transit)
        self.lab.run(program("birdc"), "-s", self.ctl, "configure")


def netflow5(sock, count, source, destination):
    """One datagram of 'count' flows of different ports."""
    now = int(time.time())
    data = struct.pack("!HHIIIIBBH", 5, count, 600000, now, 0,
                       netflow5.sequence, 0, 0, 0)
    netflow5.sequence += count
    for i in range(count):
        data += struct.pack(
            "!4s4s4sHHIIIIHHBBBBHHBBH", socket.inet_aton(source),
            socket.inet_aton(destination), socket.inet_aton("10.9.9.9"),
            1, 2, 10, 1000, 500000, 590000, 40000 + i, 443, 0, 0x1b, 6, 0,
            0, 0, 0, 0, 0)
    sock.sendto(data, ("127.0.0.1", 2055))


netflow5.sequence = 0


def send(lab, count, source, destination):
    """Sends from within the lab's namespace."""
    code = ("import sys; sys.path.insert(0, %r); import test_routes as t; "
            "import socket; t.netflow5.sequence = %d; t.netflow5("
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM), %d, %r, %r)"
            % (os.path.dirname(os.path.abspath(__file__)),
               netflow5.sequence, count, source, destination))
    lab.run("python3", "-c", code)
    netflow5.sequence += count


BY = ["as_path", "communities", "dst_as", "dst_prefix_length", "dst_peer_as",
      "dst_med", "dst_origin", "bgp_next_hop", "dst_route_peer",
      "dst_route_view", "src_as", "src_prefix_length", "src_as_path"]


def paths(daemon):
    return {row["as_path"]: row for row in
            daemon.flows(by=BY, metrics=["flows"])}


def lookup(daemon, address, **kwargs):
    return daemon.rpc("route.lookup", address=address, **kwargs)["routes"]


def path_is(daemon, path, address="203.0.113.7"):
    routes = lookup(daemon, address)
    return routes and routes[0]["as_path"] == path


def test_flows_have_the_route_of_their_time():
    lab = Lab()
    daemon = Daemon(lab, config=CONFIG)
    bird = Bird(lab, 64501)
    wait_until(lambda: path_is(daemon, "64500 64501 15169"), 30,
               "the route in the RIB")
    route = lookup(daemon, "203.0.113.7")[0]
    equal(route["prefix"], "203.0.113.0/24", "prefix")
    equal(route["communities"], ["65000:100"], "communities")
    equal(route["large_communities"], ["65000:1:2"], "large communities")
    equal(route["ext_communities"], ["rt:65000:7"], "extended communities")
    equal((route["peer"], route["med"], route["best"]), ("border", 7, True),
          "peer, MED, best")
    equal(lookup(daemon, "192.0.2.1"), [], "routes of what has none")
    equal([r["prefix"] for r in lookup(daemon, "0.0.0.0/0", match="more")],
          ["198.51.100.0/25", "203.0.113.0/24"], "all routes")

    send(lab, 10, "198.51.100.9", "203.0.113.7")
    wait_until(lambda: paths(daemon), what="flows")
    old = paths(daemon)["64500 64501 15169"]
    expected = {
        "communities": "65000:100 65000:1:2 rt:65000:7", "dst_as": 15169,
        "dst_prefix_length": 24, "dst_peer_as": 64500, "dst_med": 7,
        "dst_origin": "igp", "bgp_next_hop": "127.0.0.2",
        "dst_route_peer": "border", "dst_route_view": "best",
        "src_as": 64500, "src_prefix_length": 25, "src_as_path": "64500",
        "flows": 10,
    }
    equal({name: old[name] for name in expected}, expected, "the flows")

    bird.change(64777)
    wait_until(lambda: path_is(daemon, "64500 64777 15169"), 30,
               "the new path in the RIB")
    send(lab, 5, "198.51.100.9", "203.0.113.7")
    wait_until(lambda: len(paths(daemon)) == 2, what="flows with a new path")
    equal({path: row["flows"] for path, row in paths(daemon).items()},
          {"64500 64501 15169": 10, "64500 64777 15169": 5},
          "flows by path")
    # It stays so, and after the session has gone there is no route.
    daemon.stop()
    daemon.start()
    equal({path: row["flows"] for path, row in paths(daemon).items()},
          {"64500 64501 15169": 10, "64500 64777 15169": 5},
          "flows by path after a restart")
    wait_until(lambda: path_is(daemon, "64500 64777 15169"), 60,
               "the route after a restart")
    bird.process.stop()
    wait_until(lambda: not lookup(daemon, "203.0.113.7"), 30,
               "no route without its peer")
    shown = subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", "unix:" + daemon.api,
         "route", "203.0.113.7"], capture_output=True, text=True, timeout=30,
        check=True)
    equal(shown.stdout, "no route\n", "venturictl route")
    daemon.stop()


# --- Flows of real exporters -----------------------------------------------

OLD, NEW = "64500 64501 15169", "64500 64777 15169"
OLD_PORT, NEW_PORT = 40001, 40002


def packets_by_path(daemon):
    """{(port, path): packets} of what was sent."""
    rows = daemon.flows(by=["dst_port", "as_path"], metrics=["packets"],
                        filter="proto udp and dst port in [%d, %d]" % (
                            OLD_PORT, NEW_PORT))
    return {(r["dst_port"], r["as_path"]): r["packets"] for r in rows}


def send_packets(host, address, port, count):
    sock = ipfix.udp(host.name)
    for _ in range(count):
        sock.sendto(b"x" * 100, (address, port))


def old_and_new(daemon, bird, host, address, told=lambda: None):
    """Packets under way before and after the peer changes the path."""
    for port, path, count in ((OLD_PORT, OLD, 30), (NEW_PORT, NEW, 20)):
        if path == NEW:
            bird.change(64777)
        wait_until(lambda: path_is(daemon, path, address), 30,
                   "%s in the RIB" % path)
        send_packets(host, address, port, count)
        told()
        wait_until(lambda: packets_by_path(daemon).get((port, path)) == count,
                   60, lambda: "%d packets by %s: %s" % (
                       count, path, packets_by_path(daemon)))
    equal(packets_by_path(daemon), {(OLD_PORT, OLD): 30, (NEW_PORT, NEW): 20},
          "old flows by the old path, new ones by the new")
    row = daemon.flows(by=["communities", "dst_as", "dst_route_peer"],
                       metrics=["packets"], filter="dst port %d and community"
                       " 65000:100 and not src as 15169" % NEW_PORT)
    equal([(r["communities"], r["dst_as"], r["dst_route_peer"], r["packets"])
           for r in row],
          [("65000:100 65000:1:2 rt:65000:7", 15169, "border", 20)],
          "the rest of the route")


def softflowd(version):
    """A real softflowd sees the packets of a host."""
    program("softflowctl")
    lab = Lab()
    host = Host(lab, 1)
    lab.run("ip", "address", "add", "10.77.0.254/24", "dev", "host1")
    host.plug()
    host.run("ip", "route", "add", "203.0.113.0/24", "via", "10.77.0.254")
    config = dict(CONFIG, collector={
        "netflow": {"listen": ["127.0.0.1:2055"]},
        "ipfix": {"listen": ["127.0.0.1:4739"]}})
    daemon = Daemon(lab, config=config)
    bird = Bird(lab, 64501)
    control = os.path.join(lab.dir, "ctl")
    exporter = Process(
        "softflowd", [program("softflowd"), "-d", "-i", "host1", "-n",
                      "127.0.0.1:%d" % (4739 if version == "10" else 2055),
                      "-v", version, "-c", control, "-p",
                      os.path.join(lab.dir, "pid"), "udp"],
        os.path.join(lab.dir, "softflowd.log"), lab.name,
        env=dict(os.environ, LD_PRELOAD=os.path.join(
            BUILDDIR, "probe", "softflowd-now.so")))
    wait_until(lambda: exporter.check() or len(
        lab.read("/proc/net/packet").splitlines()) > 1, what="softflowd")

    def statistics():
        return lab.run("softflowctl", "-c", control, "statistics")

    def told():
        """It has seen all of them; it tells now."""
        wait_until(lambda: "Packets processed: %d" % told.sent
                   in statistics(), what=statistics)
        told.sent += 20
        lab.run("softflowctl", "-c", control, "expire-all")
    told.sent = 30
    old_and_new(daemon, bird, host, "203.0.113.7", told)
    exporter.stop()
    bird.process.stop()
    daemon.stop()


def test_softflowd_netflow9():
    softflowd("9")


def test_softflowd_ipfix():
    softflowd("10")


def test_open_vswitch():
    """A bridge's own IPFIX, toward a network that BIRD announces."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    hosts = [ovs.add_host(1), ovs.add_host(2)]
    config = dict(CONFIG, collector={"ipfix": {"listen": ["127.0.0.1:4739"]}},
                  export={"policy": [{"name": "all",
                                      "ipfix": {"sampling": 1}}]})
    daemon = Daemon(lab, ovs.remote, config)
    bird = Bird(lab, 64501, hosts[1].ipv4 + "/32")
    for host in hosts:
        host.plug()
    wait_until(lambda: [s["state"] for s in daemon.export_status()
                        if s["protocol"] == "ipfix"][0:1] in (
                            ["in-sync"], ["receiving"], ["silent"]), 30,
               lambda: str(daemon.export_status()))
    hosts[0].run("ping", "-q", "-c", "2", "-i", "0.2", hosts[1].ipv4)
    old_and_new(daemon, bird, hosts[0], hosts[1].ipv4)
    bird.process.stop()
    daemon.stop()


if __name__ == "__main__":
    main()
