#!/usr/bin/env python3
"""Records of captures of two dozen vendors, value by value, beside tshark.

tshark shows each field of each record under a name; FIELDS says which column
has the same.  Where the two write a value differently, RULES translate; that
is all that may differ.
"""
# timeout: 600

import datetime
import json
import os
import struct
import subprocess
import xml.etree.ElementTree

from harness import (BUILDDIR, Failure, SRCDIR, Skip, main,
                     scratch_dir)

CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))
PUBLIC = os.path.join(CORPORA, "public")
VENTURICTL = os.path.join(BUILDDIR, "venturictl")

CASES = (
    "logstash-01-netflow-5-valid-01", "logstash-04-netflow-9-valid-01",
    "logstash-07-netflow-9-cisco-asa",
    "logstash-08-netflow-9-multiple-netflow-exporters",
    "logstash-13-ipfix-openbsd-pflow", "logstash-14-netflow5-mikrotik",
    "logstash-16-netflow-9-ipt-netflow-reduced-size-encoding",
    "logstash-19-netflow-9-palo-alto-1-flowset-in-large-zero-filled",
    "logstash-20-netflow-9-h3c-netstream-with-varstring",
    "logstash-25-ipfix-procera",
    "logstash-26-ipfix-barracuda-extended-uniflow-template-256",
    "logstash-28-netflow-9-nprobe-dpi-l7",
    "logstash-29-netflow-9-fortigate-fortios-5-2-1",
    "logstash-33-ipfix-vmware-virtual-distributed-switch",
    "logstash-38-netflow-9-field-layer2segmentid",
    "logstash-44-netflow-9-cisco-1941-k9-release-15-1",
    "logstash-45-netflow-9-cisco-asr1001-x",
    "logstash-47-ipfix-viptela-with-vpn-id",
    "logstash-extra-ipfix_test_ixia_tpldata271", "opennms-nms-13006",
    "opennms-nms-14130", "telegraf-ipfix_pen_35632",
    "telegraf-netflow_v5_example", "akvorado-ipfix-mpls", "akvorado-v9-nat",
    "pmacct-101-NFv9-CISCO-cust_primitives-traffic-00-flow",
    "pmacct-104-IPFIXv10-IPv6-CISCO-sampling_option-traffic-00-flow",
    "pmacct-111-IPFIXv10-NFv9-IPv6-IPv4-mix_sources-traffic-01-flow",
    "pmacct-401-IPFIXv10-BMP-IPv6-CISCO-MPLS-multiple-sources-traffic-00-flow",
    "scapy-netflowv9", "ovs-netflow5-active-expiration",
    "ovs-ipfix-bridge-tunnel-mixed", "softflowd-ipfix-mixed-ether-micro",
    "softflowd-v5-mixed",
)
AT_LEAST = 25000                # Values compared.

# tshark's name (without "cflow."): column.
FIELDS = {
    "srcaddr": "src_addr", "srcaddrv6": "src_addr",
    "dstaddr": "dst_addr", "dstaddrv6": "dst_addr",
    "nexthop": "next_hop", "nexthopv6": "next_hop",
    "bgpnexthop": "bgp_next_hop", "bgpnexthopv6": "bgp_next_hop",
    "srcmask": "src_prefix_length", "srcmaskv6": "src_prefix_length",
    "dstmask": "dst_prefix_length", "dstmaskv6": "dst_prefix_length",
    "protocol": "proto", "tos": "tos", "tcpflags": "tcp_flags",
    "inputint": "in_if", "outputint": "out_if", "if_name": "in_if_name",
    "srcas": "src_as", "dstas": "dst_as",
    "peer_srcas": "src_peer_as", "peer_dstas": "dst_peer_as",
    "ip_ttl": "ttl", "ttl_min": "ttl", "ttl_max": "ttl_max",
    "ip_version": "ip_version", "ipv6flowlabel": "flow_label",
    "srcmac": "src_mac", "dstmac": "dst_mac", "post_dstmac": "post_dst_mac",
    "ethernet_type": "ether_type", "vlanid": "vlan_id",
    "dot1q_vlan_id": "vlan_id", "dot1q_priority": "vlan_priority",
    "dot1q_customer_vlan_id": "customer_vlan_id",
    "post_vlanid": "post_vlan_id", "layer2_segment_id": "vni",
    "mpls_label": "mpls_label", "mpls_exp": "mpls_exp",
    "toplabeladdr": "mpls_fec_addr",
    "ingress_vrfid": "in_vrf", "egress_vrfid": "out_vrf",
    "octets": "raw_bytes", "packets": "raw_packets",
    "layer2_octet_delta_count": "l2_bytes",
    "drop_packets": "dropped_packets", "drop_octets": "dropped_bytes",
    "post_natsource_ipv4_address": "nat_src_addr",
    "post_natdestination_ipv4_address": "nat_dst_addr",
    "post_naptsource_transport_port": "nat_src_port",
    "post_naptdestination_transport_port": "nat_dst_port",
    "fw_ext_event": "firewall_ext_event", "flow_id": "flow_id",
    "observation_point_id": "observation_point_id",
    "icmp_ipv4_type": "icmp_type", "icmp_ipv4_code": "icmp_code",
    "icmp_ipv6_type": "icmp_type", "icmp_ipv6_code": "icmp_code",
    "srcport": "src_port", "dstport": "dst_port",
    "direction": "direction", "flow_end_reason": "flow_end_reason",
    "nat_event": "nat_event", "firewall_event": "firewall_event",
    "forwarding_status": "forwarding_status", "is_multicast": "multicast",
    "abstimestart": "flow_start", "abstimeend": "flow_end",
    "ingress_acl_id": "acl_in", "egress_acl_id": "acl_out",
    "aaa_username": "user_name",
}
WORDS = {
    "direction": {0: "ingress", 1: "egress"},
    "flow_end_reason": {1: "idle-timeout", 2: "active-timeout",
                        3: "end-of-flow", 4: "forced-end",
                        5: "lack-of-resources"},
    "nat_event": {1: "create", 2: "delete"},
    "firewall_event": {1: "created", 2: "deleted", 3: "denied", 4: "alert",
                       5: "update"},
}
NO_ADDRESS = ("0.0.0.0", "::")


def number(text):
    """As an integer, if it is one."""
    try:
        return int(str(text), 0)
    except ValueError:
        return str(text).lower()


def icmp_ports(row):
    """Destination ports that mean this type and code."""
    kind, code = row.get("icmp_type"), row.get("icmp_code")
    if kind is None:
        return ()
    return (kind << 8 | code, kind) if code == 0 else (kind << 8 | code,)


def same_time(shown, ours):
    """Whether that is the time; of two elements for it tshark's first may be
    the one in whole seconds, or the one that is zero."""
    wanted = datetime.datetime.strptime(shown[:-len("000 UTC")],
                                        "%b %d, %Y %H:%M:%S.%f")
    text = ours.rstrip("Z")
    found = datetime.datetime.strptime(
        text, "%Y-%m-%dT%H:%M:%S" + (".%f" if "." in text else ""))
    if not wanted.microsecond:
        found = found.replace(microsecond=0)
    return found == wanted or wanted.year == 1970


def same(name, shown, row, record):
    """Whether a column says what tshark shows."""
    column = FIELDS[name]
    ours = row.get(column)
    icmp = row.get("proto") in (1, 58)
    if name in ("srcport", "dstport") and icmp:
        # ICMP has no ports: the upper one is type and code.
        return ours is None and (name == "srcport" or "icmp_type" not in row
                                 or number(shown) in icmp_ports(row)
                                 or any("icmp" in key for key in record))
    if column.startswith("icmp_") and not icmp:
        return ours is None and number(shown) == 0
    if name in ("abstimestart", "abstimeend"):
        return same_time(shown, ours)
    if name in WORDS:
        return ours == WORDS[name].get(number(shown))
    if name in ("ingress_acl_id", "egress_acl_id"):
        digits = shown.replace(":", "")
        return ours == (digits if digits.strip("0") else None)
    if name == "aaa_username":
        return (ours or "") == shown
    if name == "is_multicast":
        return ours == (number(shown) != 0)
    if name == "forwarding_status":
        return number(shown) in (ours, ours >> 6)
    if column.endswith(("_addr", "_hop")):
        if shown.startswith("::ffff:"):
            shown = shown[len("::ffff:"):]
        # Both families have a field in every record: the other one counts.
        return ours == shown or shown in NO_ADDRESS
    if column.endswith("_prefix_length"):
        both = ("srcmask", "srcmaskv6") if column.startswith("src") else (
            "dstmask", "dstmaskv6")
        return ours in [number(record[key]) for key in both if key in record]
    return number(shown) == number(ours)


def capture_of(case, kinds, directory):
    """A capture of the case: the only one that it is, or one made of its
    datagrams."""
    files = [os.path.join(PUBLIC, name) for name in case["files"]]
    if kinds[case["files"][0]] == "pcap":
        return files[0]
    path = os.path.join(directory, "case.pcap")
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 101))
        for second, name in enumerate(files):
            with open(name, "rb") as datagram:
                data = datagram.read()
            packet = struct.pack(
                ">BBHHHBBH4s4sHHHH", 0x45, 0, 28 + len(data), 1, 0, 64, 17, 0,
                b"\x0a\0\0\1", b"\x0a\0\0\2", 4000, 2055, 8 + len(data), 0)
            packet += data
            f.write(struct.pack("<IIII", 1700000000 + second, 0, len(packet),
                                len(packet)) + packet)
    return path


def tshark_records(path):
    """Data records as tshark shows them, of options, too: {name: first
    value}."""
    text = subprocess.run(
        ["tshark", "-n", "-r", path, "-d", "udp.port==1-65535,cflow",
         "-Y", "cflow", "-T", "pdml"], check=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, timeout=120).stdout
    records = []
    for proto in xml.etree.ElementTree.fromstring(text).iter("proto"):
        for field in proto.iter("field"):
            if not field.get("show", "").startswith(("Flow ", "pdu ")):
                continue
            record = {}
            for part in field.iter("field"):
                name = part.get("name", "")
                if name.startswith("cflow."):
                    record.setdefault(name[len("cflow."):], part.get("show"))
            if not any(name.startswith("scope") for name in record):
                records.append(record)
    return records


def our_records(path):
    text = subprocess.run([VENTURICTL, "decode", path], check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=120).stdout
    return [row for row in map(json.loads, text.splitlines())
            if "flow_start" in row]


def about_flows(records):
    return [r for r in records
            if r.keys() & {"octets", "packets", "permanent_octets", "srcaddr",
                           "srcaddrv6", "srcmac"}]


def test_value_by_value():
    path = os.path.join(PUBLIC, "manifest.json")
    if not os.path.exists(path):
        raise Skip("no %s (set VENTURI_CORPORA)" % path)
    with open(path, encoding="utf-8") as f:
        manifest = json.load(f)
    kinds = {f["path"]: f["kind"] for f in manifest["files"]}
    cases = {case["id"]: case for case in manifest["cases"]}
    directory, wrong, compared = scratch_dir(), [], 0
    for name in CASES:
        capture = capture_of(cases[name], kinds, directory)
        theirs, ours = tshark_records(capture), our_records(capture)
        if len(theirs) != len(ours):
            theirs = about_flows(theirs)
        if len(theirs) != len(ours) or not ours:
            wrong.append("%s: %d records, %d expected" % (
                name, len(ours), len(theirs)))
            continue
        for i, (record, row) in enumerate(zip(theirs, ours)):
            for field in record.keys() & FIELDS.keys():
                compared += 1
                if not same(field, record[field], row, record):
                    wrong.append("%s: record %d: %s is %s, %s is %s" % (
                        name, i, field, record[field], FIELDS[field],
                        row.get(FIELDS[field])))
    print("%d values compared" % compared)
    if wrong or compared < AT_LEAST:
        raise Failure("%d values compared, %d differ\n%s" % (
            compared, len(wrong), "\n".join(wrong[:40])))


if __name__ == "__main__":
    main(needs=("venturictl",))
