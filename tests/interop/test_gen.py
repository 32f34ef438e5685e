#!/usr/bin/env python3
"""Independent decoders agree with what venturi-gen says that it sent."""

import collections
import os
import re
import socket
import struct
import subprocess
import time

import generator
from generator import generate
from harness import (Failure, Process, SRCDIR, Skip, equal, free_port, main,
                     run, scratch_dir, wait_until)
import shutil

CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))
OVS_CAPTURE = os.path.join(CORPORA, "public", "openvswitch+ovs",
                           "_captures-3.1.0", "ipfix-bridge-tunnel-mixed.pcap")


def need(program):
    if not shutil.which(program):
        raise Skip("needs the program " + program)


# --- nfdump ----------------------------------------------------------------

def bound(port):
    """Whether a UDP socket of this namespace has the port."""
    with open("/proc/net/udp", encoding="ascii") as f:
        return any(line.split()[1].endswith(":%04X" % port)
                   for line in f.readlines()[1:])


def capture(program, protocol, *args):
    """Sends to nfcapd or sfcapd.  Returns the generator's totals and what
    "nfdump -I" says."""
    need(program)
    need("nfdump")
    directory, port = scratch_dir(), free_port()
    collector = Process(program, [
        program, "-w", directory, "-b", "127.0.0.1", "-p", str(port),
        "-t", "3600", "-B", "8000000"], os.path.join(directory, "log"))
    wait_until(lambda: collector.check() or bound(port), what=program)
    sent = generate(protocol, "-p", port, "--rate", 100000, *args)
    # It writes at the end only, so that its queue shows when it is done.
    wait_until(lambda: queue(port) == 0, what="%s to read all" % program)
    time.sleep(0.1)
    collector.stop()
    files = [os.path.join(directory, name) for name in os.listdir(directory)
             if name.startswith("nfcapd.") and "current" not in name]
    equal(len(files), 1, "files of " + program)
    info = dict(re.findall(r"^([\w ]+): (\d+)$",
                           run("nfdump", "-r", files[0], "-I"), re.M))
    return sent, {key: int(value) for key, value in info.items()}, files[0]


def queue(port):
    """Octets that wait in the receive queue of a port."""
    with open("/proc/net/udp", encoding="ascii") as f:
        for line in f.readlines()[1:]:
            words = line.split()
            if words[1].endswith(":%04X" % port):
                return int(words[4].split(":")[1], 16)
    return 0


def check_nfdump(protocol, *args, raw=False):
    sent, info, path = capture("nfcapd", protocol, "--count", 20000, *args)
    prefix = "raw_" if raw else ""
    equal(info["Flows"], sent["records"], "flows")
    equal(info["Packets"], sent[prefix + "packets"], "packets")
    equal(info["Bytes"], sent[prefix + "bytes"], "bytes")
    equal(info["Sequence failures"], 0, "sequence failures")
    top = run("nfdump", "-q", "-r", path, "-n", "10", "-s", "srcip/bytes",
              "-o", "csv")
    rows = [line.split(",") for line in top.splitlines() if "." in line]
    got = [(r[4], int(r[5]), int(r[9])) for r in rows if len(r) > 10][:10]
    equal(got, [(t["src_addr"], t["records"], t[prefix + "bytes"])
                for t in sent["top_src_addr"]], "top sources")


def test_nfcapd_netflow5():
    check_nfdump("netflow5", "--exporters", 3, "--domains", 2)


def test_nfcapd_netflow5_sampling():
    check_nfdump("netflow5", "--sampling", 100)


def test_nfcapd_netflow9():
    check_nfdump("netflow9", "--exporters", 2, "--domains", 3)


def test_nfcapd_ipfix():
    check_nfdump("ipfix", "--exporters", 3, "--domains", 2)


def test_nfcapd_ipfix_ovs():
    """nfdump 1.7 takes OVS's running totals of octets for those of the flow:
    compared are flows and packets."""
    sent, info, _ = capture("nfcapd", "ipfix-ovs", "--count", 20000)
    equal(info["Flows"], sent["records"], "flows")
    equal(info["Sequence failures"], 0, "sequence failures")


def test_sfcapd():
    """nfdump's bytes of sFlow are those of the frame with its checksum."""
    sent, info, _ = capture("sfcapd", "sflow", "--count", 20000,
                            "--sampling", 200)
    equal(info["Flows"], sent["records"], "flows")
    equal(info["Packets"], sent["packets"], "packets")
    equal(info["Bytes"], sent["l2_bytes"] + 4 * sent["packets"], "bytes")
    equal(info["Sequence failures"], 0, "sequence failures")


# --- tshark ----------------------------------------------------------------

def tshark(path, *fields):
    """Rows of lists of values of fields, one row for each datagram."""
    need("tshark")
    out = subprocess.run(
        ["tshark", "-r", path, "-T", "fields", "-E", "occurrence=a",
         "-o", "cflow.max_template_fields:0", "-o", "ip.check_checksum:TRUE",
         "-o", "udp.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
         "-d", "udp.port==2055,cflow", "-d", "udp.port==4739,cflow"]
        + [arg for field in fields for arg in ("-e", field)],
        capture_output=True, text=True, check=True, timeout=120).stdout
    return [[value.split(",") if value else [] for value in line.split("\t")]
            for line in out.splitlines()]


def numbers(rows, column):
    return [int(v, 0) for row in rows for v in row[column]]


def pcap(protocol, *args):
    path = os.path.join(scratch_dir(), "gen.pcap")
    return generate(protocol, "--pcap", path, "--count", 5000, *args), path


def by_proto(sent):
    return {s["proto"]: s["records"] for s in sent["by_proto"]}


def check_cflow(protocol, *args):
    sent, path = pcap(protocol, *args)
    rows = tshark(path, "cflow.packets", "cflow.octets", "cflow.protocol",
                  "cflow.srcaddr", "cflow.srcaddrv6", "_ws.malformed",
                  "udp.checksum.status")
    equal(len(rows), sent["datagrams"], "datagrams")
    equal(sum(numbers(rows, 0)), sent["raw_packets"], "packets")
    equal(sum(numbers(rows, 1)), sent["raw_bytes"], "bytes")
    equal(collections.Counter(numbers(rows, 2)), by_proto(sent), "protocols")
    v4 = sum(len(row[3]) for row in rows)
    v6 = sum(len(row[4]) for row in rows)
    equal({4: v4, 6: v6} if v6 else {4: v4},
          {s["ip_version"]: s["records"] for s in sent["by_ip_version"]},
          "IP versions")
    equal([row[5] for row in rows if row[5]], [], "malformed")
    equal({status for row in rows for status in row[6]}, {"1"},
          "UDP checksums")


def test_tshark_netflow5():
    check_cflow("netflow5", "--exporters", 2)


def test_tshark_netflow9():
    check_cflow("netflow9", "--exporters", 2, "--domains", 2, "--sampling",
                64)


def test_tshark_ipfix():
    check_cflow("ipfix", "--exporters", 2, "--domains", 2, "--sampling", 64)


def test_tshark_ipv6_target():
    check_cflow("ipfix", "-t", "::1")


def test_tshark_ipfix_sampling():
    """The options record says 1 packet, then 63 that are left out."""
    _, path = pcap("ipfix", "--sampling", 64)
    rows = tshark(path, "cflow.sampling_packet_interval",
                  "cflow.sampling_packet_space")
    equal((rows[0][0], rows[0][1]), (["1"], ["63"]), "sampling")


def test_tshark_ipfix_ovs():
    sent, path = pcap("ipfix-ovs", "--virtual-obs-id", "host-1/br0",
                      "--tunnel", 30, "--exporters", 2, "--egress", 40)
    rows = tshark(path, "cflow.packets", "cflow.octets",
                  "cflow.layer2_octet_delta_count", "cflow.protocol",
                  "cflow.direction", "_ws.malformed")
    equal(len(rows), sent["datagrams"], "datagrams")
    equal(sum(numbers(rows, 0)), sent["packets"], "packets")
    equal(sum(numbers(rows, 1)), sent["bytes"], "bytes")
    equal(sum(numbers(rows, 2)), sent["l2_bytes"], "frame octets")
    equal(collections.Counter(numbers(rows, 3)), by_proto(sent), "protocols")
    equal(collections.Counter(numbers(rows, 4)),
          {s["direction"]: s["records"] for s in sent["by_direction"]},
          "directions")
    equal([row[5] for row in rows if row[5]], [], "malformed")


def test_tshark_sflow():
    sent, path = pcap("sflow", "--exporters", 2, "--vlan", 30)
    rows = tshark(path, "sflow.flow_sample.sampling_rate",
                  "sflow_245.header.frame_length",
                  "sflow_245.header.payload_stripped",
                  "ip.checksum.status", "tcp.checksum.status",
                  "udp.checksum.status", "_ws.malformed")
    equal(len(rows), sent["datagrams"], "datagrams")
    equal(set(numbers(rows, 0)), {400}, "rates")
    stripped = sum(numbers(rows, 2))
    equal(stripped, 4 * sent["records"], "stripped")
    equal((sum(numbers(rows, 1)) - stripped) * 400, sent["l2_bytes"],
          "frame octets")
    # 0 is "bad", 1 good, 2 not checked: most packets are cut off.
    statuses = collections.Counter(numbers(rows, 3) + numbers(rows, 4)
                                   + numbers(rows, 5))
    equal(statuses[0], 0, "bad checksums")
    if statuses[1] < 2 * sent["datagrams"]:
        raise Failure("hardly a checksum was verified: %s" % statuses)
    equal([row[6] for row in rows if row[6]], [], "malformed")


# --- Open vSwitch ----------------------------------------------------------

def payloads(path):
    """UDP payloads of a little-endian pcap file of Ethernet and IPv4."""
    with open(path, "rb") as f:
        data = f.read()
    out, at = [], 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        out.append(data[at + 16 + 42:at + 16 + size])
        at += 16 + size
    return out


def template_sets(path):
    """Sets 2 and 3: templates and options templates."""
    return [p[16:] for p in payloads(path) if p[16:18] in (b"\0\2", b"\0\3")]


def test_ovs_templates():
    """Octet for octet what Open vSwitch 3.1 sent."""
    if not os.path.exists(OVS_CAPTURE):
        raise Skip("needs " + OVS_CAPTURE)
    _, path = pcap("ipfix-ovs", "--virtual-obs-id", "x")
    equal(template_sets(path), template_sets(OVS_CAPTURE), "templates")


# --- The generator's own promises ------------------------------------------

def test_seed():
    def contents(*args):
        _, path = pcap(*args, "--start-time", "2026-01-01T00:00:00Z")
        with open(path, "rb") as f:
            return f.read()
    for protocol in generator.PROTOCOLS:
        first = contents(protocol, "--seed", 3)
        if contents(protocol, "--seed", 3) != first:
            raise Failure("%s: the same seed, another file" % protocol)
        if contents(protocol, "--seed", 4) == first:
            raise Failure("%s: another seed, the same file" % protocol)


def test_loopback_exporters():
    """Each exporter has its own address, and its totals are right."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        s.bind(("127.0.0.1", 0))
        s.setblocking(False)
        sent = generate("netflow5", "-p", s.getsockname()[1], "--exporters",
                        5, "--count", 3000, "--rate", 20000)
        got = collections.defaultdict(lambda: [0, 0, 0])
        while True:
            try:
                data, (address, _) = s.recvfrom(2000)
            except BlockingIOError:
                break
            count = struct.unpack_from(">H", data, 2)[0]
            got[address][0] += 1
            got[address][1] += count
            got[address][2] += sum(
                struct.unpack_from(">I", data, 24 + 48 * i + 20)[0]
                for i in range(count))
    equal(dict(got), {e["exporter"]: [e["datagrams"], e["records"],
                                      e["bytes"]]
                      for e in sent["exporters"]}, "exporters")
    equal(sorted(got), ["127.1.0.%d" % i for i in range(1, 6)], "addresses")
    equal(sum(e["records"] for e in sent["exporters"]), sent["records"],
          "records")


def test_rate_and_duration():
    sent = generate("netflow5", "-p", free_port(), "--rate", 3000,
                    "--duration", "700ms")
    if not 300 <= sent["records"] <= 2400:      # Less if the machine is busy.
        raise Failure("%d records in 0.7 s at 3000/s" % sent["records"])


def test_errors():
    """Refusals go to standard error, with status 2."""
    for args in (["--protocol", "netflow8"], ["--rate", "fast"], ["extra"]):
        result = subprocess.run(generator.command("netflow5") + args,
                                capture_output=True, text=True)
        equal(result.returncode, 2, args)
        equal(result.stdout, "", args)
        equal(bool(result.stderr), True, args)
    result = subprocess.run(
        generator.command("netflow5", "--pcap", "/nonexistent/x"),
        capture_output=True, text=True)
    equal(result.returncode, 1, "status")


if __name__ == "__main__":
    main(needs=("venturi-gen",))
