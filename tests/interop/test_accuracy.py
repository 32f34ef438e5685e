#!/usr/bin/env python3
"""tests/interop/test_accuracy.py -- counters of interfaces over time, and
estimates beside them.

Real Open vSwitch samples traffic of known size.  Its own counters, as sFlow and
as OVSDB tell them, must be what the hosts' kernels count, exactly; what
sampled flows estimate must be as near as the confidence interval says.
"""
# timeout: 300

import os
import re
import struct
import sys
import time

from harness import (BUILDDIR, HERE, Daemon, Failure, Lab, Ovs, Process,
                     equal, free_port, main, run, wait_until)
from ipfix import udp

TRAFFIC = os.path.join(HERE, "traffic.py")
PORT = 5001
UDP = 4000
SIZE = 900


class Site:
    """A bridge with two hosts that exports sFlow to a venturid."""

    def __init__(self, sampling):
        self.lab = Lab()
        self.ovs = Ovs(self.lab)
        self.ovs.add_bridge("br0")
        self.a = self.ovs.add_host(1)
        self.b = self.ovs.add_host(2)
        self.started = time.time()
        self.daemon = Daemon(self.lab, self.ovs.remote, {
            "collector": {"counters": {"interval": "1s"}},
            "export": {"policy": [{"name": "all", "sflow": {
                "sampling": sampling, "polling": 1}}]}})
        # Before anything is sent, so that all of it is in between.
        wait_until(lambda: sum(
            len(i["points"]) > 1 for i in self.counters(fields=["in_octets"])
            if i["name"] in (self.a.port, self.b.port)) == 4, 60,
            "counters of both hosts, by sFlow and by OVSDB")
        self.a.plug()
        self.b.plug()
        server = Process(
            "server", [sys.executable, TRAFFIC, "serve", str(PORT)],
            os.path.join(self.lab.dir, "server.out"), self.b.name)
        wait_until(lambda: server.check() or "ready" in server.text(),
                   what="the server")

    def counters(self, **params):
        params.setdefault("from", self.started)
        return self.daemon.rpc("exporter.counters", **params)["interfaces"]

    def counted(self):
        """{(origin, port of a host): (octets in, octets out)}, the latest."""
        return {(i["origin"], i["name"]): tuple(i["points"][-1][1:])
                for i in self.counters(fields=["in_octets", "out_octets"])
                if i["name"] in (self.a.port, self.b.port)
                and len(i["fields"]) == 2}

    def send(self):
        self.a.run("ping", "-q", "-c", "1", self.b.ipv4)
        self.a.run(sys.executable, TRAFFIC, "send", self.b.ipv4, str(PORT),
                   "--udp", str(UDP), "--size", str(SIZE), "--rate", "2000")

    def truth(self):
        """The octets that went into and out of each port of the bridge."""
        result = {}
        for host in (self.a, self.b):
            link = host.link()
            result[host.port] = (link["tx_bytes"], link["rx_bytes"])
        return result

    def settled(self):
        """Waits until the switch's counters say what the kernels count."""
        last = [None]

        def same():
            truth, got = self.truth(), self.counted()
            last[0] = (truth, got)
            return self.truth() == truth and truth if all(
                got.get((origin, port)) == octets
                for port, octets in truth.items()
                for origin in ("sflow", "ovsdb")) else None
        return wait_until(same, 60, lambda: "%s; counters %s" % last[0],
                          interval=0.5)

    def accuracy(self):
        """{(origin, port, direction): summed up} since the start, when all
        that was counted is covered."""
        truth = self.truth()
        result = {}

        def covered():
            result.clear()
            said = self.daemon.rpc("exporter.accuracy", step="1h", **{
                "from": self.started})
            equal(said["truncated"], False, "truncated")
            for i in said["interfaces"]:
                if i["name"] not in truth:
                    continue
                key = (i["origin"], i["name"], i["direction"])
                if key in result:       # The hour was over.
                    for name in ("counted", "estimated", "samples"):
                        i[name] += result[key][name]
                    i["error"] = (i["error"] ** 2
                                  + result[key]["error"] ** 2) ** .5
                result[key] = i
            # Hosts ask for each other's addresses now and then.
            return all(
                -1 < result.get((origin, port, d), {"counted": 0})["counted"]
                - octets < 5000
                for port, both in truth.items()
                for d, octets in zip(("in", "out"), both)
                for origin in ("sflow", "ovsdb"))
        wait_until(covered, 60, lambda: "%s; accuracy %s" % (truth, result),
                   interval=0.5)
        return result


def test_everything_is_exact():
    """Without sampling the estimate is the count, without any error."""
    site = Site(1)
    site.send()
    site.settled()
    for key, i in site.accuracy().items():
        if i["direction"] == "in" and i["origin"] == "sflow":
            equal((i["estimated"], i["error"], i["agrees"]),
                  (i["counted"], 0, True), key)
        elif i["counted"] > 5000:
            # OVSDB is read less often; of what went to all ports sFlow does
            # not say where it went.
            equal((abs(i["counted"] - i["estimated"]) < 5000, i["agrees"]),
                  (True, True), key)
    site.daemon.stop()


def test_sampled():
    site = Site(8)
    site.send()
    site.settled()
    got = site.accuracy()
    site.daemon.process.check()
    print({k: {n: v[n] for n in ("counted", "estimated", "error", "samples",
                                 "ratio", "low", "high")}
           for k, v in got.items()})
    for origin in ("sflow", "ovsdb"):
        i = got[origin, site.a.port, "in"]
        equal((i["protocol"], i["layer"]), ("sflow", 2), "what was compared")
        # About 500 samples; five standard deviations either way.
        if not 390 < i["samples"] < 610:
            raise Failure("samples: %s" % i)
        if not 0.05 < i["error"] / i["counted"] < 0.15:
            raise Failure("error: %s" % i)
        # The interval is of 1.96 standard deviations; here four will do, lest
        # one run in twenty fail.
        if abs(i["estimated"] - i["counted"]) > i["error"] / 1.96 * 4:
            raise Failure("too far: %s" % i)
    site.daemon.stop()


def test_time_series():
    """What is kept over time, also over a restart."""
    site = Site(64)
    site.send()
    site.settled()
    by_name = {i["name"]: i for i in site.counters() if i["origin"] == "sflow"
               and i["name"]}
    port = by_name[site.a.port]
    for field in ("in_octets", "if_speed", "of_port", "datapath_id",
                  "fcs_errors"):
        if field not in port["fields"]:
            raise Failure("no %s: %s" % (field, port["fields"]))
    octets = 1 + port["fields"].index("in_octets")
    values = [p[octets] for p in port["points"]]
    if len(values) < 3 or values != sorted(values) or not values[-1]:
        raise Failure("octets: %s" % values)
    equal(port["points"][-1][1 + port["fields"].index("of_port")],
          int(site.ovs.vsctl("get", "Interface", site.a.port, "ofport")),
          "OpenFlow port")
    # The agent itself and its datapath: 2203 and 2207.
    others = {f for i in site.counters() for f in i["fields"]}
    for field in ("user_time_ms", "memory_used", "dp_hits", "dp_flows"):
        if field not in others:
            raise Failure("no %s: %s" % (field, others))
    few = site.counters(interface=site.a.port, step="1h",
                        fields=["in_octets"])
    equal({tuple(i["fields"]) for i in few}, {("in_octets",)}, "fields")
    if any(len(i["points"]) > 2 for i in few):
        raise Failure("steps: %s" % few)
    until = time.time()
    before = site.counters(interface=site.a.port, to=until)
    site.daemon.stop()
    site.daemon.start()
    equal(site.counters(interface=site.a.port, to=until), before,
          "after a restart")
    equal(site.counters(interface=site.a.port, to=until,
                        exporter="192.0.2.1"), [], "another exporter")
    site.daemon.stop()


def structure(number, *words):
    body = struct.pack(">%dI" % len(words), *words)
    return struct.pack(">II", number, len(body)) + body


def host_datagram(sequence, name, memory):
    """What an agent on a host says of it: sFlow's structures 2000 to 2010."""
    description = (struct.pack(">I", len(name)) + name.encode()
                   + b"\0" * (-len(name) % 4) + bytes(range(16))
                   + struct.pack(">III", 3, 2, 0))
    parts = [
        struct.pack(">II", 2000, len(description)) + description,
        structure(2003, 0x3f800000, 0, 0, *range(1, 15)),
        structure(2004, *[0, memory] * 7, 1, 2, 3, 4),
        structure(2009, *range(100, 115)),
        structure(2010, *range(200, 207)),
    ]
    sample = struct.pack(">III", sequence, 2 << 24 | 1, len(parts)) \
        + b"".join(parts)
    return struct.pack(">IIIIIIIII", 5, 1, 0x0a000001, 100, sequence, 1000,
                       1, 2, len(sample)) + sample


def test_hosts():
    """Counters of hosts: more than 64 of them in one reading, kept, asked for,
    the same after a restart."""
    lab = Lab()
    port = free_port()
    daemon = Daemon(lab, config={"collector": {
        "counters": {"interval": "1s"},
        "sflow": {"listen": ["127.0.0.1:%d" % port]}}})
    sock = udp(lab.name)
    sent = [0]

    def points():
        sent[0] += 1
        sock.sendto(host_datagram(sent[0], "node1", 1 << 30),
                    ("127.0.0.1", port))
        found = daemon.rpc("exporter.counters")["interfaces"]
        return found and len(found[0]["points"]) > 2 and found[0]

    def check(host):
        equal((host["name"], host["agent"], host["data_source"],
               host["if_index"]), ("node1", "10.0.0.1", 2 << 24 | 1, None),
              "a host")
        equal(len(host["fields"]), 2 + 17 + 11 + 15 + 7, "fields")
        last = dict(zip(host["fields"], host["points"][-1][1:]))
        equal([last[f] for f in (
            "machine_type", "load_1m_milli", "cpus", "contexts", "mem_total",
            "swap_free", "swaps_out", "tcp_established",
            "udp_in_checksum_errors")],
            [3, 1000, 3, 14, 1 << 30, 1 << 30, 4, 108, 206], "values")

    check(wait_until(points, 30, "three readings", interval=0.3))
    text = run(os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api,
               "counters", "--points", "--fields", "cpus,mem_total", "node1")
    if not re.search(r"node1 .*\b3 +1073741824\b", text):
        raise Failure("venturictl counters: " + text)
    daemon.stop()
    daemon.start()
    check(daemon.rpc("exporter.counters")["interfaces"][0])
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid"))
