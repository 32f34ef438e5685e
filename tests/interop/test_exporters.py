#!/usr/bin/env python3
"""Real exporters: what went over the wire, what they say they sent, and what
flow.query answers are the same numbers."""
# timeout: 400

import os
import re
import shutil
import signal
import socket
import time

import generator
import ipfix
from harness import (Daemon, Failure, Host, Lab, Process, Skip, equal, main,
                     run, scratch_dir, wait_until)

PORT = 9999                     # Of the traffic.
SIZE = 200                      # Octets of UDP payload.
FLOWS, PER_FLOW = 20, 25
PACKETS = FLOWS * PER_FLOW
IP_SIZE = 20 + 8 + SIZE
# softflowd and fprobe read the kernel's capture buffer in blocks of 256 kB and
# do not see the rest: enough for many, and what they say has to be believed.
BLOCKS_PER_FLOW = 1000
FILTER = "udp and dst port %d" % PORT
COLLECTOR = {"collector": {"ipfix": {"tcp": {"listen": ["127.0.0.1:4739"]}}}}


def need(program):
    if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
        raise Skip("needs the program " + program)


class Wire:
    """A host that sends, the lab that sees it on the interface host1, and a
    venturid there."""

    def __init__(self):
        self.lab = Lab()
        self.host = Host(self.lab, 1)
        self.lab.run("ip", "address", "add", "10.77.0.254/24", "dev", "host1")
        self.host.plug()
        self.daemon = Daemon(self.lab, config=COLLECTOR)
        self.process = None

    def exporter(self, *command):
        """Starts one, and waits until it sees packets."""
        self.process = Process(command[0], command,
                               os.path.join(self.lab.dir, "exporter.log"),
                               self.lab.name)

        def captures():
            self.process.check()
            return len(self.lab.read("/proc/net/packet").splitlines()) > 1
        wait_until(captures, what=command[0] + " to capture")
        time.sleep(0.3)         # From its socket to its loop.
        return self.process

    def traffic(self, per_flow=PER_FLOW):
        """Packets of known size, in FLOWS."""
        sockets = [ipfix.udp(self.host.name) for _ in range(FLOWS)]
        for _ in range(per_flow):
            for s in sockets:
                s.sendto(b"x" * SIZE, ("10.77.0.254", PORT))
            time.sleep(0.002)

    def result(self):
        rows = self.daemon.flows(
            metrics=["packets", "bytes", "flows", "raw_packets"],
            filter="dst port %d" % PORT, observations="all")
        return rows[0] if rows else {}

    def check(self, flows=FLOWS, protocol=None, packets=PACKETS):
        """Every packet and octet is there, in so many flows."""
        wait_until(lambda: (self.result().get("packets") or 0) >= packets,
                   timeout=30, what=lambda: "%d packets: %s" % (
                       packets, self.result()))
        row = self.result()
        equal((row["packets"], row["bytes"]), (packets, packets * IP_SIZE),
              "packets and octets")
        if flows:
            equal(row["flows"], flows, "flows")
        exporters = self.daemon.rpc("exporter.list")["exporters"]
        if protocol:
            equal({e["protocol"] for e in exporters}, {protocol}, "protocols")
        for counter in ("lost", "malformed", "no_template"):
            equal(sum(e["counters"][counter] for e in exporters), 0, counter)
        addresses = self.daemon.flows(by=["src_addr", "dst_addr", "proto"],
                                      filter="dst port %d" % PORT)
        equal([(r["src_addr"], r["dst_addr"], r["proto"]) for r in addresses],
              [("10.77.0.1", "10.77.0.254", 17)], "who sent to whom")
        return exporters


# --- softflowd -------------------------------------------------------------

def softflowd(version, protocol, *args):
    need("softflowd")
    need("softflowctl")
    wire = Wire()
    control = os.path.join(wire.lab.dir, "ctl")
    target = "127.0.0.1:%d" % (4739 if version == "10" else 2055)
    process = wire.exporter(
        "softflowd", "-d", "-i", "host1", "-n", target, "-v", version, "-c",
        control, "-p", os.path.join(wire.lab.dir, "pid"), *args, FILTER)
    wire.traffic(BLOCKS_PER_FLOW)

    def control_says(what):
        return wire.lab.run("softflowctl", "-c", control, what)

    def number(pattern):
        found = re.search(pattern, control_says("statistics"))
        if not found:
            raise Failure(control_says("statistics"))
        return int(found.group(1))
    wait_until(lambda: number(r"libpcap: (\d+)") == FLOWS * BLOCKS_PER_FLOW,
               what=lambda: control_says("statistics"))
    time.sleep(0.5)
    control_says("expire-all")
    wait_until(lambda: number(r"active flows: (\d+)") == 0,
               what=lambda: control_says("statistics"))
    packets = number(r"Packets processed: (\d+)")
    equal(packets > FLOWS * BLOCKS_PER_FLOW // 2, True,
          "enough packets: %d" % packets)
    exporters = wire.check(protocol=protocol, packets=packets)
    equal(number(r"Flows exported: (\d+)"), FLOWS, "flows it says")
    equal(sum(e["counters"]["datagrams"] for e in exporters),
          number(r"in (\d+) packets"), "datagrams it says")
    process.stop()
    wire.daemon.stop()
    return exporters


def test_softflowd_netflow5():
    softflowd("5", "netflow5")


def test_softflowd_netflow9():
    softflowd("9", "netflow9")


def test_softflowd_ipfix():
    softflowd("10", "ipfix")


def test_softflowd_ipfix_tcp():
    exporters = softflowd("10", "ipfix", "-P", "tcp")
    equal({e["session"] for e in exporters}, {1}, "TCP sessions")


def both_ways(version, protocol):
    """A probe calls one way "egress": it counts all the same."""
    need("softflowd")
    need("softflowctl")
    wire = Wire()
    control = os.path.join(wire.lab.dir, "ctl")
    process = wire.exporter(
        "softflowd", "-d", "-i", "7:host1", "-n", "127.0.0.1:%d" % (
            4739 if version == "10" else 2055), "-v", version, "-c", control,
        "-p", os.path.join(wire.lab.dir, "pid"), "udp and port %d" % PORT)

    def server():
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(10)
        s.bind(("10.77.0.254", PORT))
        return s
    server, client = ipfix.make_in(wire.lab.name, server), ipfix.udp(
        wire.host.name)
    for _ in range(3 * BLOCKS_PER_FLOW):
        client.sendto(b"x" * SIZE, ("10.77.0.254", PORT))
        data, address = server.recvfrom(2048)
        server.sendto(data, address)

    def number(pattern):
        return int(re.search(pattern, wire.lab.run(
            "softflowctl", "-c", control, "statistics")).group(1))
    wait_until(lambda: number(r"libpcap: (\d+)") >= 6 * BLOCKS_PER_FLOW,
               what="softflowd to see the packets")
    time.sleep(0.5)
    wire.lab.run("softflowctl", "-c", control, "expire-all")

    def ways(**kwargs):
        return {r["src_addr"]: r["packets"] for r in wire.daemon.flows(
            by=["src_addr"], metrics=["packets"],
            filter="port %d" % PORT, **kwargs)}
    wait_until(lambda: len(ways(observations="all")) == 2, timeout=30,
               what="flows of both ways")
    equal(ways(), ways(observations="all"), "what totals count")
    equal(sum(ways().values()), number(r"Packets processed: (\d+)"),
          "packets it says")
    equal({e["protocol"] for e in
           wire.daemon.rpc("exporter.list")["exporters"]}, {protocol},
          "protocols")
    process.stop()
    wire.daemon.stop()


def test_softflowd_both_ways():
    both_ways("9", "netflow9")
    both_ways("10", "ipfix")


# --- pmacctd ---------------------------------------------------------------

def pmacctd(protocol, **settings):
    need("pmacctd")
    wire = Wire()
    name = os.path.join(wire.lab.dir, "pmacctd.conf")
    settings = dict({"daemonize": "false", "pcap_interface": "host1",
                     "pcap_filter": "%s or udp dst port %d"
                     % (FILTER, PORT + 1), "snaplen": "300"}, **settings)
    with open(name, "w", encoding="ascii") as f:
        for key, value in settings.items():
            f.write("%s: %s\n" % (key, value))
    process = wire.exporter("pmacctd", "-f", name)
    if "sfprobe" in settings["plugins"]:
        # What it captures before its plugin listens is lost: others first.
        first = ipfix.udp(wire.host.name)

        def listens():
            first.sendto(b"x", ("10.77.0.254", PORT + 1))
            return wire.daemon.flows(metrics=["packets"], observations="all",
                                     filter="dst port %d" % (PORT + 1))
        wait_until(lambda: (listens() or [{}])[0].get("packets"),
                   what="the first sample", interval=.2)
    wire.traffic()
    if "sfprobe" in settings["plugins"]:
        # It sends samples as they come, and what is left each second.  On a
        # busy machine it does not see every packet, and does not say so: its
        # sequence numbers say that none of its samples is missing here.
        def packets():
            process.check()
            return wire.result().get("packets") or 0

        def told():
            return "most of %d packets: %s of %s; pmacctd: %s" % (
                PACKETS, packets(),
                wire.daemon.flows(by=["dst_port"], metrics=["packets"],
                                  observations="all"),
                process.text()[-600:])
        settled = quiet(packets)
        wait_until(lambda: packets() >= PACKETS * .8, timeout=30, what=told)
        wait_until(lambda: packets() == PACKETS or settled(), timeout=30,
                   what="pmacctd to end")
        wire.check(flows=None, protocol=protocol, packets=packets())
        process.popen.send_signal(signal.SIGINT)
        process.kill()
        wire.daemon.stop()
        return
    time.sleep(1)               # It has no word for "I have seen them all".
    process.popen.send_signal(signal.SIGINT)    # Exports what it has.
    wire.check(flows=FLOWS, protocol=protocol)
    process.kill()
    wire.daemon.stop()


def nfprobe(version, protocol, port):
    pmacctd(protocol, plugins="nfprobe", nfprobe_version=version,
            nfprobe_receiver="127.0.0.1:%d" % port,
            aggregate="src_host,dst_host,src_port,dst_port,proto,tos")


def test_pmacctd_netflow5():
    nfprobe("5", "netflow5", 2055)


def test_pmacctd_netflow9():
    nfprobe("9", "netflow9", 2055)


def test_pmacctd_ipfix():
    nfprobe("10", "ipfix", 4739)


def test_pmacctd_sflow():
    pmacctd("sflow", plugins="sfprobe", sfprobe_receiver="127.0.0.1:6343",
            sfprobe_agentip="127.0.0.1", sampling_rate="1")


# --- fprobe ----------------------------------------------------------------

def test_fprobe():
    need("fprobe")
    wire = Wire()
    process = wire.exporter("fprobe", "-i", "host1", "-f", FILTER, "-n", "5",
                            "-s", "1", "-d", "2", "-e", "60", "-l", "2",
                            "127.0.0.1:2055")
    wire.traffic(BLOCKS_PER_FLOW)

    def packets():
        return wire.result().get("packets") or 0
    wait_until(packets, timeout=30, what="the first flows")
    wait_until(quiet(packets), timeout=30, what="fprobe to end")
    # It does not say how many it has seen; its sequence numbers say that
    # nothing is missing, and the sizes are known.
    wire.check(flows=None, protocol="netflow5", packets=packets())
    process.kill()
    wire.daemon.stop()


def quiet(number):
    """A condition: it has been the same for three seconds."""
    last = [None, 0]

    def condition():
        value = number()
        if value != last[0]:
            last[:] = value, time.monotonic()
        return time.monotonic() - last[1] > 3
    return condition


# --- nfreplay --------------------------------------------------------------

def nfreplay(version, protocol, *kind):
    """Flows that nfcapd has kept, sent again."""
    for program in ("softflowd", "nfcapd", "nfreplay", "nfdump", "tshark"):
        need(program)
    lab = Lab()
    directory = scratch_dir()
    kept = os.path.join(directory, "kept")
    os.mkdir(kept)
    collector = Process("nfcapd", ["nfcapd", "-w", kept, "-b", "127.0.0.1",
                                   "-p", "9995", "-t", "3600"],
                        os.path.join(directory, "log"), lab.name)
    wait_until(lambda: ":270B" in lab.read("/proc/net/udp"), what="nfcapd")
    sent = generator.generate("netflow9", "-p", 9995, "--rate", 2000,
                              "--count", 2000, *kind, netns=lab.name)
    time.sleep(0.5)
    collector.stop()
    name = [os.path.join(kept, n) for n in os.listdir(kept)
            if n.startswith("nfcapd.2")][0]
    info = dict(re.findall(r"^([\w ]+): (\d+)$",
                           run("nfdump", "-r", name, "-I"), re.M))
    equal(int(info["Flows"]), sent["records"], "flows that nfcapd has")
    daemon = Daemon(lab)
    # At most so many flows, so that the kernel's buffer holds them.
    lab.run("nfreplay", "-r", name, "-H", "127.0.0.1", "-p", "2055", "-v",
            version, "-d", "200")

    def result():
        rows = daemon.flows(metrics=["flows", "packets", "bytes"],
                            observations="all")
        return rows[0] if rows else {"flows": 0}
    wait_until(lambda: result()["flows"] == sent["records"], timeout=30,
               what=lambda: "%d flows: %s" % (sent["records"], result()))
    equal((result()["packets"], result()["bytes"]),
          (int(info["Packets"]), int(info["Bytes"])), "packets and octets")
    exporters = daemon.rpc("exporter.list")["exporters"]
    equal({e["protocol"] for e in exporters}, {protocol}, "protocols")
    daemon.stop()


def test_nfreplay_netflow5():
    nfreplay("5", "netflow5", "--ipv6", 0)


def test_nfreplay_netflow9():
    nfreplay("9", "netflow9")


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
