#!/usr/bin/env python3
"""Flows get the routes that a real BIRD announced: path, communities, next hop,
prefix; after a change new flows have the new path and old ones keep theirs."""

import os
import shutil
import socket
import struct
import subprocess
import time

from harness import (BUILDDIR, Daemon, Lab, Process, Skip, equal, main,
                     wait_until)

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
    route 203.0.113.0/24 blackhole {
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
    def __init__(self, lab, transit):
        program("bird")
        self.lab = lab
        self.conf = os.path.join(lab.dir, "bird.conf")
        self.ctl = os.path.join(lab.dir, "bird.ctl")
        self.write(transit)
        self.process = Process(
            "bird", [program("bird"), "-f", "-c", self.conf, "-s", self.ctl,
                     "-P", os.path.join(lab.dir, "bird.pid")],
            os.path.join(lab.dir, "bird.log"), lab.name)

    def write(self, transit):
        with open(self.conf, "w", encoding="ascii") as f:
            f.write(BIRD % ("bgp_path.prepend(%d);" % transit, BGP_PORT))

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


def path_is(daemon, path):
    routes = lookup(daemon, "203.0.113.7")
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


if __name__ == "__main__":
    main()
