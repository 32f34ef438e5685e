#!/usr/bin/env python3
"""Each primitive of nfdump's manual, in nfdump and in our language, over the
same flows: a file of nfcapd that is imported."""

import random
import re
import struct
import subprocess
import time

import nfcapd
from harness import Daemon, Failure, Lab, RpcError, equal, main
from test_import import imported, message, set_of

FLOWS = 400
# Elements of NetFlow v9 and of how many octets, per kind of exporter.
BASE4 = ((8, 4), (12, 4))
BASE6 = ((27, 16), (28, 16))
COMMON = ((7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4), (22, 4), (21, 4))
KINDS = (
    BASE4 + COMMON + ((5, 1), (10, 4), (14, 4), (16, 4), (17, 4), (9, 1),
                      (13, 1), (15, 4), (18, 4), (61, 1), (89, 1), (58, 2),
                      (59, 2), (128, 4), (129, 4)),
    BASE6 + COMMON + ((5, 1), (10, 4), (14, 4), (16, 4), (17, 4), (29, 1),
                      (30, 1), (62, 16), (63, 16), (61, 1)),
    BASE4 + COMMON + ((56, 6), (57, 6), (80, 6), (81, 6), (70, 3), (71, 3),
                      (72, 3), (58, 2), (59, 2)),
    BASE4 + COMMON + ((225, 4), (226, 4), (227, 2), (228, 2), (230, 1),
                      (234, 4), (235, 4), (361, 2), (362, 2), (363, 2)),
    BASE4 + COMMON + ((225, 4), (226, 4), (227, 2), (228, 2), (233, 1),
                      (33002, 2), (33000, 12), (33001, 12), (40000, 20)),
    # ICMP tells type and code.
    BASE4 + ((4, 1), (2, 4), (1, 4), (22, 4), (21, 4), (32, 2)),
)
# What a field may be, so that each filter finds some flows and not others.
VALUES = {
    8: (b"\x0a\0\0\x01", b"\x0a\0\0\x02", b"\x0a\x09\0\x01",
        b"\xc0\0\2\x07"),
    27: tuple(bytes.fromhex("20010db8000%x" % i) + bytes(9) + b"\x01"
              for i in range(1, 4)),
    7: (53, 80, 443, 1025, 5000, 40000), 6: range(64), 5: (8, 184, 3),
    2: (1, 2, 10, 2000), 1: (40, 100, 1500, 20000, 3000000),
    10: (1, 2, 3), 16: (64500, 64501, 4200000000, 3320), 9: (8, 16, 24),
    29: (32, 48, 64), 15: (b"\x0a\0\0\xfe", b"\x0a\0\0\xfd"),
    62: (bytes.fromhex("20010db8ffff") + bytes(9) + b"\x01",
         bytes.fromhex("20010db8fffe") + bytes(9) + b"\x01"),
    61: (0, 1), 89: (64, 66, 128), 58: (100, 200, 4095),
    56: tuple(bytes((2, 0, 0, 0, 0, i)) for i in range(1, 5)),
    70: tuple(struct.pack("!I", label << 4 | exp << 1 | eos)[1:]
              for label in (16, 1000) for exp in (0, 5) for eos in (0,)),
    72: tuple(struct.pack("!I", label << 4 | exp << 1 | 1)[1:]
              for label in (16, 1000) for exp in (0, 5)),
    227: (1024, 2000, 60000), 230: (1, 2), 234: (1, 7, 300),
    361: (1024, 2048), 362: (1535, 2559), 363: (1, 4), 233: (1, 2, 3, 5),
    33002: (1001, 1002, 1003, 1004, 2000),
    33000: tuple(struct.pack("!III", a, a + 1, a + 2) for a in (7, 100)),
    40000: (b"alice" + bytes(15), b"bob" + bytes(17)),
    32: (0x0800, 0x0000, 0x0301), 4: (6, 17, 47, 132, 50),
}
LIKE = {12: 8, 225: 8, 226: 8, 28: 27, 11: 7, 14: 10, 17: 16, 13: 9, 30: 29,
        18: 15, 63: 62, 59: 58, 57: 56, 80: 56, 81: 56, 71: 70,
        228: 227, 235: 234, 33001: 33000, 128: 16, 129: 16}

# By section of the manual: those that both answer alike.
EQUAL = """
any; not any; inet; ipv4; inet6; ipv6; proto tcp; proto 17; proto ah;
proto esp; proto ipip; proto sctp; proto gre; ip 10.0.0.1; src ip 10.0.0.1;
dst ip 10.0.0.2; host 192.0.2.7; dst host 10.9.0.1; ip 2001:db8:1::1;
src ip 2001:db8:2::1; src and dst ip 10.0.0.1; src or dst ip 10.0.0.1;
ip in [10.0.0.1 192.0.2.7]; ip in [10.0.0.1, 192.0.2.7];
dst ip in [10.9.0.0/16 2001:db8:1::/48];
ip in [ 2001:db8:1::1 2001:db8:2::1 ]; net 10.9.0.0 255.255.0.0;
src net 10.0.0.0 255.255.255.0; dst net 10.0.0.0/24; net 192.0.2.0/24;
net 2001:db8:1::/48; src net 2001:db8::/32; net 10.9/16; port 53; port = 53;
port == 53; port eq 53; port < 1024 and not proto icmp;
port > 1024 and not proto icmp; port gt 1024 and not proto icmp;
port lt 1024 and not proto icmp; port >= 5000; port <= 53 and not proto icmp;
port ge 5000; port le 53 and not proto icmp; src port 443; dst port > 5000;
src port in [53 80]; dst port in [53, 443]; port in [ 53 80 443 ];
not port in [53 80]; icmp-type 8; icmp-code 1; icmp-type 3 and icmp-code 1;
engine-type 3; engine-id 3; if 1; in if 1; out if 2; not in if 3; mask 24;
src mask 8; dst mask 64; vlan 100; src vlan 200; dst vlan 4095; flags A;
flags S; flags SA; flags FSRPAU; flags X; flags S and not flags AFRPU;
not flags RU; flags F; flags 2; flags = 18; flags > 8; flags AU;
flags PU and not flags S; router ip 127.0.0.1; router ip 192.0.2.1;
next ip 10.0.0.254; next ip 2001:db8:ffff::1; bgpnext ip 10.0.0.253;
bgpnext ip 2001:db8:fffe::1; mac 02:00:00:00:00:01; in mac 02:00:00:00:00:02;
in src mac 02:00:00:00:00:03; in dst mac 02:00:00:00:00:04;
out mac 02:00:00:00:00:01; out src mac 02:00:00:00:00:02;
out dst mac 02:00:00:00:00:03; src mac 02:00:00:00:00:01;
dst mac 02:00:00:00:00:01; mpls label1 16; mpls label1 = 1000;
mpls label1 > 16; mpls label2 16; mpls label3 = 1000; mpls eos 1; mpls eos 16;
mpls exp1 5; packets > 1; in packets 10; packets < 2k; packets ge 10;
bytes > 1k; in bytes = 1500; bytes < 1m; bytes > 2m; bytes le 100; flows = 1;
tos 8; tos 184; src tos 3; tos > 8; flowdir egress; flowdir 1;
duration > 1000; duration = 0; duration < 20; duration >= 5000; pps > 1;
pps < 10; bps > 1k; bps > 1m; bps < 100; bpp > 100; bpp < 50; bpp = 40;
observation point id 3; asa event deny; asa event = 5;
asa event denied ingress; asa event denied egress; asa event denied interface;
asa event denied nosyn; asa xevent 1001; asa xevent > 1001; xip 10.0.0.1;
src xip 10.0.0.2; dst xip 192.0.2.7; xport 1024; src xport 2000;
dst xport > 2000; xnet 10.0.0.0/24; src xnet 10.9.0.0/16;
dst xnet 192.0.2.0/24; ingress acl 7; ingress ace 8; ingress xace 9;
nip 10.0.0.1; src nip 10.0.0.2; dst nip 192.0.2.7; nport 1024; src nport 2000;
dst nport 60000; ingress vrf 7; ingress vrf 300; egress vrf 7;
pblock start 1024; pblock start > 1024; pblock end 1535; pblock end > 1535;
fwdstat 64; fwdstat 128; tunip 10.0.0.1; src tunip 10.0.0.1;
dst tunip 10.0.0.1;
proto tcp and (src port 80 or dst port 443) and not src net 10.9.0.0/16;
PROTO TCP AND SRC PORT 80; (proto tcp or proto udp) # a comment
"""
# What this nfdump does not take, or answers only with a database of places,
# though its manual has it; and what must then come to the same.
OURS = (
    ("as 64500", "src_as = 64500 or dst_as = 64500"),
    ("src as 64501", "src_as = 64501"), ("dst as = 3320", "dst_as = 3320"),
    ("as > 64500", "src_as > 64500 or dst_as > 64500"),
    ("prev as 64500", "src_peer_as = 64500"),
    ("next as > 64500", "dst_peer_as > 64500"),
    ("as in [64500 3320]", "as 64500 or as 3320"),
    ("src as in [4200000000, 3320]", "src as 4200000000 or src as 3320"),
    ("prev as in [64500 3320]", "src_peer_as in [64500 3320]"),
    ("next as in [64500]", "dst_peer_as = 64500"),
    ("src in ip [10.0.0.1 10.0.0.2]", "src ip in [10.0.0.1 10.0.0.2]"),
    ("dst ip [10.0.0.1 10.0.0.2]", "dst ip in [10.0.0.1 10.0.0.2]"),
    ("src ip in [10.0.0.1,192.0.2.0/24]", "src ip 10.0.0.1 or src net "
                                          "192.0.2.0/24"),
    ("flow = 1", "any"), ("icmp-code = 1", "icmp-code 1"),
    ("egress acl 100", "acl_out = 000000640000006500000066"),
    ("ingress acl 7 and egress ace 101", "ingress acl 7 and egress acl 100"),
    # nfdump keeps both events as one number, and 0 where there is none.
    ("asa event create or nat event 1", None, "asa event 1"),
    ("asa event > 1 or nat event > 1", None, "nat event > 1"),
    # It has no domains of NetFlow v9, and no direction is "ingress".
    ("observation domain id 7", "any"),
    ("not flowdir egress", None, "flowdir 0"),
    ("exporter 127.0.0.1", None, "ident none"),
)
# What no record here says, and a word of the reason.
REFUSED = (
    ("mpls exp2 = 0", "no record"), ("out packets > 0", "record of its own"),
    ("out bytes > 0", "record of its own"), ("dst tos 3", "no column"),
    ("ingress acl > 7", "only = and !="), ("pblock step 4", "no record"),
    ("port in pblock", "unexpected"), ("client latency > 1", "latencies"),
    ("server latency = 5", "latencies"), ("tun proto tcp", "tunnel_type"),
    ("count < 10", "numbers of their own"), ("sysid 1", "exporter"),
    ("geo US", "countries"), ("payload content 'x'", "payload"),
    ("payload regex 'x'", "payload"), ("payload ja3 defined", "payload"),
    ("@include file", "included"),
)

def make():
    """Datagrams of all kinds of flows."""
    rnd = random.Random(5)
    sets = []
    for i, fields in enumerate(KINDS):
        sets.append(message(7, set_of(0, struct.pack(
            "!HH", 256 + i, len(fields)) + b"".join(
                struct.pack("!HH", *f) for f in fields))))
    for n in range(FLOWS):
        i = n % len(KINDS)
        body = b""
        start = 990000 + rnd.randrange(5000)
        for element, size in KINDS[i]:
            if element == 22:
                value = start
            elif element == 21:
                value = start + rnd.choice((0, 10, 999, 1000, 4999))
            elif element == 4 and (32, 2) in KINDS[i]:
                value = 1
            else:
                value = rnd.choice(VALUES[LIKE.get(element, element)])
            body += value if isinstance(value, bytes) \
                else value.to_bytes(size, "big")
        sets.append(message(7, set_of(256 + i, body)))
    return sets


def theirs(path, scope):
    result = subprocess.run(["nfdump", "-r", path, "-q", "-o", "csv", scope],
                            capture_output=True, text=True, check=False)
    if result.returncode:
        return None
    return sum(1 for line in result.stdout.splitlines() if line[:2] == "20")


def ours(daemon, scope):
    return daemon.flows(metrics=["flows"], filter=scope, observations="all",
                        **{"from": "2000-01-01", "to": "+1d"})[0]["flows"]


def answer(daemon, scope):
    """What ours() says, or the error."""
    try:
        return ours(daemon, scope)
    except RpcError as error:
        return error.data["message"]


def test_manual():
    nfcapd.need()
    lab = Lab()
    path = nfcapd.collect(lab, lambda: nfcapd.send_payloads(lab, make()))
    equal(nfcapd.totals(path)[0], FLOWS, "flows")
    daemon = Daemon(lab)
    imported(daemon, path)
    filters = [f.strip() for f in re.split(r"[;\n]", EQUAL.strip())
               if f.strip()]
    pairs = [(f, answer(daemon, f), theirs(path, f)) for f in filters]
    for scope, same, *asked in OURS:
        pairs.append((scope, answer(daemon, scope),
                      theirs(path, asked[0]) if asked
                      else answer(daemon, same)))
    for scope, reason in REFUSED:
        told = answer(daemon, scope)
        pairs.append((scope, reason in str(told) or told, True))
    wrong = ["%s: %s, not %s" % p for p in pairs if p[1] != p[2]]
    if wrong:
        raise Failure("; ".join(wrong))
    some = sum(0 < p[1] < FLOWS for p in pairs[:len(filters)])
    print("%d filters, of which %d find some flows and not others" % (
        len(pairs), some))
    if some < 100:
        raise Failure("the flows do not tell filters apart")
    daemon.stop()


if __name__ == "__main__":
    main()
