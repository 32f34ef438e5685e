"""tests/interop/nfcapd.py -- files of nfcapd and sfcapd, and what nfdump says
is in them, in the words of our columns."""

import collections
import datetime
import ipaddress
import json
import os
import re
import shutil
import signal
import subprocess

from generator import generate
from harness import Process, Skip, in_netns, run, scratch_dir, wait_until

PORT = 29995
# Ours by theirs, where both say the same.
FIELDS = {
    "first": "flow_start", "last": "flow_end", "received": "received",
    "in_packets": "packets", "in_bytes": "bytes", "proto": "proto",
    "src_port": "src_port", "dst_port": "dst_port", "src_tos": "tos",
    "icmp_type": "icmp_type", "icmp_code": "icmp_code",
    "src4_addr": "src_addr", "src6_addr": "src_addr",
    "dst4_addr": "dst_addr", "dst6_addr": "dst_addr",
    "input_snmp": "in_if", "output_snmp": "out_if",
    "src_mask": "src_prefix_length", "dst_mask": "dst_prefix_length",
    "src_as": "src_as", "dst_as": "dst_as",
    "ip4_router": "exporter", "ip6_router": "exporter",
    "ip4_next_hop": "next_hop", "ip6_next_hop": "next_hop",
    "bgp4_next_hop": "bgp_next_hop", "bgp6_next_hop": "bgp_next_hop",
    "src_vlan": "vlan_id", "dst_vlan": "post_vlan_id",
    "in_src_mac": "src_mac", "in_dst_mac": "dst_mac",
    "out_src_mac": "post_src_mac", "out_dst_mac": "post_dst_mac",
    "src4_xlt_ip": "nat_src_addr", "dst4_xlt_ip": "nat_dst_addr",
    "src_xlt_port": "nat_src_port", "dst_xlt_port": "nat_dst_port",
    "fwd_status": "forwarding_status", "ingress_vrf": "in_vrf",
    "egress_vrf": "out_vrf", "tcp_flags": "tcp_flags",
    "next_as": "dst_peer_as", "prev_as": "src_peer_as",
}
# Of the way back of a record that counts both.
TURNED = (("src_addr", "dst_addr"), ("src_port", "dst_port"),
          ("in_if", "out_if"), ("src_as", "dst_as"),
          ("src_prefix_length", "dst_prefix_length"), ("src_mac", "dst_mac"),
          ("in_vrf", "out_vrf"), ("nat_src_addr", "nat_dst_addr"),
          ("nat_src_port", "nat_dst_port"), ("src_peer_as", "dst_peer_as"))
TIMES = {"flow_start", "flow_end", "received"}
# Both leave these where they have nothing.
NOTHING = (None, 0, "", "0.0.0.0", "::", "00:00:00:00:00:00", "........")


def need():
    for program in ("nfcapd", "sfcapd", "nfdump"):
        if not shutil.which(program):
            raise Skip("%s is not here" % program)


def collect(lab, send, *options, program="nfcapd"):
    """The file that a collector makes of what send() sends to PORT."""
    directory = scratch_dir()
    collector = Process(program, [
        program, "-w", directory, "-b", "127.0.0.1", "-p", str(PORT),
        "-t", "3600", "-B", "8000000", *options],
        os.path.join(directory, "log"), lab.name)

    def queue():
        for line in lab.read("/proc/net/udp").splitlines()[1:]:
            words = line.split()
            if words[1].endswith(":%04X" % PORT):
                return int(words[4].split(":")[1], 16)
        return None
    wait_until(lambda: collector.check() or queue() is not None,
               what=program)
    send()
    wait_until(lambda: queue() == 0, what=program + " to read all")
    collector.stop(signal.SIGTERM)
    names = [n for n in os.listdir(directory) if n.startswith("nfcapd.2")]
    return os.path.join(directory, names[0])


def generated(lab, protocol, *args, options=()):
    """The same of venturi-gen."""
    return collect(lab, lambda: generate(protocol, "-p", PORT, "--rate", 50000,
                                         *args, netns=lab.name), *options,
                   program="sfcapd" if protocol == "sflow" else "nfcapd")


def payloads(path):
    """The UDP payloads of a capture."""
    text = subprocess.run(["tshark", "-r", path, "-Y", "udp", "-T", "fields",
                           "-e", "udp.payload"], capture_output=True,
                          text=True, check=True).stdout
    return [bytes.fromhex(word.split(",")[0].replace(":", ""))
            for word in text.split()]


SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i, line in enumerate(sys.stdin):
    s.sendto(bytes.fromhex(line.strip()), ("127.0.0.1", int(sys.argv[1])))
    if i % 20 == 19:
        time.sleep(0.01)
"""


def send_payloads(lab, data):
    subprocess.run(in_netns(lab.name, ["python3", "-c", SENDER, str(PORT)]),
                   input="\n".join(p.hex() for p in data), text=True,
                   check=True)


def totals(path):
    """Flows, packets and bytes, as nfdump counts."""
    info = dict(re.findall(r"^([\w ]+): (\d+)$",
                           run("nfdump", "-r", path, "-I"), re.M))
    return tuple(int(info[k]) for k in ("Flows", "Packets", "Bytes"))


def _ms(text):
    moment = datetime.datetime.fromisoformat(text.replace("Z", "") + "+00:00")
    return round(moment.timestamp() * 1000)


def _flags(text):
    """"...AP.S." as the number that it is."""
    return sum(1 << bit for bit, letter in enumerate(reversed(text))
               if letter != ".")


def _addr(column, value):
    """An address as Python writes it."""
    if column and column.endswith(("_addr", "_hop")) or column == "exporter":
        address = ipaddress.ip_address(value)
        value = str(getattr(address, "ipv4_mapped", None) or address)
    return value


def theirs(path):
    """Records as nfdump tells them, a multiset of our columns."""
    text = run("nfdump", "-r", path, "-o", "json", "-6", timeout=120)
    # nfdump does not escape what is in user names.
    records = json.loads(re.sub(r"[\x00-\x1f]", " ", text), strict=False) \
        if text.strip("[] \n") else []
    result = []
    for record in records:
        row = {}
        for name, value in record.items():
            column = FIELDS.get(name)
            if "6_addr" in name and record.get(
                    name.replace("6", "4")) not in NOTHING:
                column = None   # Zeros of a template that has both.
            if column in TIMES:
                value = _ms(value)
            elif column == "tcp_flags":
                value = _flags(value)
            elif isinstance(value, str) and value.isdigit():
                value = int(value)
            value = _addr(column, value)
            if column and value not in NOTHING:
                row[column] = value
        result.append(row)
        back = {"packets": record.get("out_packets", 0),
                "bytes": record.get("out_bytes", 0)}
        if any(back.values()):
            result.append(_turned(row, back))
    return result


def _turned(row, counts):
    names = dict(TURNED) | {b: a for a, b in TURNED}
    result = {names.get(k, k): v for k, v in row.items()
              if k not in ("packets", "bytes", "tcp_flags")}
    return result | {k: v for k, v in counts.items() if v}


def ours(daemon):
    """All records of a store."""
    result, cursor = [], None
    while True:
        params = {"from": "2000-01-01", "to": "+1d", "limit": 5000,
                  "observations": "all", "timeout_ms": 60000}
        if cursor:
            params["cursor"] = cursor
        page = daemon.rpc("flow.records", **params)
        names = [column["name"] for column in page["columns"]]
        for values in page["rows"]:
            row = {}
            for name, value in zip(names, values):
                if name in TIMES:
                    value = _ms(value)
                if value not in NOTHING and name in FIELDS.values():
                    row[name] = _addr(name, value)
            result.append(row)
        cursor = page["cursor"]
        if not cursor:
            return result


def zeros_printed(rows):
    """Of records that have addresses of both families, one of them all zeros,
    nfdump prints the zeros: there it cannot tell whether we are right."""
    return any("src_addr" not in row and "dst_addr" not in row
               for row in rows)


def multiset(rows, without=()):
    return collections.Counter(
        tuple(sorted((k, v) for k, v in row.items() if k not in without))
        for row in rows)
