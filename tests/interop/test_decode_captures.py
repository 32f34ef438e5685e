#!/usr/bin/env python3
"""Captures made here, through "venturictl decode": link types, tunnels, kinds
of files, fragments, streams out of order and layouts of messages that the
shared captures do not hold.  Each holds the same few records, which must come
out, all of them and no more."""

import gzip
import json
import os
import struct
import subprocess

from harness import BUILDDIR, Failure, main

VENTURICTL = os.path.join(BUILDDIR, "venturictl")


def be(*pairs):
    """Values and their sizes, in network byte order."""
    return b"".join(value.to_bytes(size, "big") for value, size in pairs)


# ---- Messages. ----

FIELDS = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (6, 1), (2, 4), (1, 4))


def fields_template(fields, number=256):
    return be((number, 2), (len(fields), 2), *(
        part for element, size in fields
        for part in ((element, 2), (size, 2))))


TEMPLATE = fields_template(FIELDS)


def flowset(number, body, pad=True):
    body += b"\0" * (-len(body) % 4 if pad else 0)
    return be((number, 2), (len(body) + 4, 2)) + body


def record(i):
    return bytes([10, 0, 0, i, 10, 0, 1, i]) + be(
        (1000 + i, 2), (80, 2), (6, 1), (2, 1), (i + 1, 4), (100 * i + 40, 4))


def netflow9(sequence, *sets, count=None):
    return be((9, 2), (len(sets) if count is None else count, 2),
              (100000, 4), (1700000000, 4), (sequence, 4), (1, 4)
              ) + b"".join(sets)


def ipfix(sequence, *sets):
    body = b"".join(sets)
    return be((10, 2), (16 + len(body), 2), (1700000000, 4), (sequence, 4),
              (1, 4)) + body


V9 = (netflow9(1, flowset(0, TEMPLATE)),
      netflow9(2, flowset(256, record(1) + record(2) + record(3))),
      netflow9(3, flowset(256, record(4))))
IPFIX = (ipfix(0, flowset(2, TEMPLATE)),
         ipfix(0, flowset(256, record(1) + record(2) + record(3))),
         ipfix(3, flowset(256, record(4))))
STREAM = b"".join(IPFIX)
ALL = (3, 4, 0)                 # Datagrams, flow and options records.

# ---- Packets. ----

MACS = b"\2\0\0\0\0\1\2\0\0\0\0\2"


def checksum(data):
    total = sum(struct.unpack("!%dH" % (len(data) // 2), data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff & ~total


def ipv4(payload, proto=17, fragment=0, ident=7, options=b""):
    head = be((0x45 + len(options) // 4, 1), (0, 1),
              (20 + len(options) + len(payload), 2), (ident, 2),
              (fragment, 2), (64, 1), (proto, 1), (0, 2)
              ) + bytes([192, 0, 2, 1, 192, 0, 2, 2]) + options
    return head[:10] + be((checksum(head), 2)) + head[12:] + payload


def ipv6(payload, proto=17):
    return be((6 << 28, 4), (len(payload), 2), (proto, 1), (64, 1)
              ) + bytes(15) + b"\1" + bytes(15) + b"\2" + payload


def udp(payload, port=2055, size=None):
    return be((50000, 2), (port, 2),
              (8 + len(payload) if size is None else size, 2), (0, 2)
              ) + payload


def tcp(payload, sequence, flags=0x18):
    return be((50000, 2), (4739, 2), (sequence % 2 ** 32, 4), (1, 4),
              (0x50, 1), (flags, 1), (1000, 2), (0, 2), (0, 2)) + payload


def ethernet(packet, ether_type=0x0800):
    return MACS + be((ether_type, 2)) + packet


PACKETS = tuple(ipv4(udp(message)) for message in V9)
FRAMES = tuple(ethernet(packet) for packet in PACKETS)

# ---- Files. ----


def pcap(frames, link=1, order="<", magic=0xa1b2c3d4, snaplen=65535):
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    for i, frame in enumerate(frames):
        out += struct.pack(order + "IIII", 1700000000 + i, 5,
                           len(frame[:snaplen]), len(frame))
        out += frame[:snaplen]
    return out


def padded(data):
    return data + b"\0" * (-len(data) % 4)


class Pcapng:
    """Blocks in one byte order."""
    def __init__(self, order):
        self.order = order

    def block(self, kind, body):
        size = struct.pack(self.order + "I", len(padded(body)) + 12)
        return struct.pack(self.order + "I", kind) + size + padded(
            body) + size

    def option(self, code, value):
        return struct.pack(self.order + "HH", code,
                           len(value)) + padded(value)

    def section(self):
        return self.block(0x0a0d0d0a, struct.pack(
            self.order + "IHHq", 0x1a2b3c4d, 1, 0, -1))

    def interface(self, link, options=b""):
        return self.block(1, struct.pack(self.order + "HHI", link, 0, 65535)
                          + options)

    def packet(self, interface, time, frame, options=b""):
        return self.block(6, struct.pack(
            self.order + "IIIII", interface, time >> 32, time & 0xffffffff,
            len(frame), len(frame)) + padded(frame) + options)

    def simple(self, frame):
        return self.block(3, struct.pack(self.order + "I", len(frame))
                          + frame)

    def obsolete(self, frame):
        return self.block(2, struct.pack(
            self.order + "HHIIII", 0, 0, 1, 1, len(frame), len(frame))
            + frame)


# ---- What comes out. ----


def summary(data):
    done = subprocess.run([VENTURICTL, "decode", "--summary", "-"],
                          input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60, check=False)
    if done.returncode:
        raise Failure("exit status %d: %s" % (done.returncode, done.stderr))
    return json.loads(done.stdout)


def check(cases):
    """Pairs of a name and a file, or of that and what is in it."""
    wrong = []
    for name, data, *wanted in cases:
        said = summary(data)
        got = (said["datagrams"], said["flow_records"],
               said["options_records"])
        if got != (wanted[0] if wanted else ALL):
            wrong.append("%s: %s, errors %s" % (name, got, said["errors"]))
    if wrong:
        raise Failure("\n".join(wrong))


def framed(head, packets=PACKETS, **kwargs):
    return pcap([head + packet for packet in packets], **kwargs)


def test_link_layers():
    snap = b"\xaa\xaa\3\0\0\0\x08\0"
    wlan = bytes(21) + b"\0\0"
    check([("link %d" % link, framed(head, link=link)) for link, head in (
        (10, b"\x50" + MACS + snap),
        (109, struct.pack("<III", 2, 0, 0)),
        (205, b"\0\x0f\0\x08\0"), (206, b"\0\x18\x41\x03\xcc"),
        (240, b"\1\2\3\4" + MACS + b"\x08\0"),
        (241, b"\1\2\3\4" + b"\x55" * 7 + b"\xd5" + MACS + b"\x08\0"),
        (274, b"\x55" * 7 + b"\xd5" + MACS + b"\x08\0"),
        (105, b"\x08" + wlan + snap),
        (105, b"\x88" + wlan + b"\0\0" + snap),
        (105, b"\x08\3" + bytes(28) + snap),
        (127, b"\0\0\x09\0\0\0\0\0\0\x08" + wlan + snap),
        (276, be((0x8100, 2), (0, 2), (1, 4), (1, 2), (0, 1), (6, 1))
         + bytes(8) + be((5, 2), (0x800, 2))),
        (1 | 0x24000000, MACS + b"\x08\0"))])
    # Encrypted, or without data.
    for head in (b"\x08\x40" + bytes(22) + snap, b"\x48" + wlan + snap):
        check([("no data", framed(head, link=105), (0, 0, 0))])


def test_frames():
    check([("tag %x" % tag, framed(MACS + be((tag, 2), (5, 2), (0x800, 2))))
           for tag in (0x8100, 0x88a8, 0x9100, 0x9200, 0x9300)])
    inner = MACS + b"\x08\0"
    check([
        ("IP options", pcap([ethernet(ipv4(udp(m), options=b"\1" * 8))
                             for m in V9])),
        ("frames padded", pcap([frame + bytes(10) for frame in FRAMES])),
        ("provider backbone", framed(MACS + be((0x88e7, 2), (0x100, 4))
                                     + inner)),
        ("QinQ and PPPoE", framed(MACS + be(
            (0x88a8, 2), (5, 2), (0x8100, 2), (6, 2), (0x8864, 2),
            (0x1100, 2), (1, 2), (0, 2), (0x21, 2)))),
        ("pseudowire", framed(MACS + be((0x8847, 2), (0x00010140, 4))
                              + inner)),
        ("pseudowire with control word", framed(MACS + be(
            (0x8847, 2), (0x00010140, 4), (0, 4)) + inner)),
        ("IPv6 options", pcap([ethernet(ipv6(
            bytes([17, 0, 5, 2, 0, 0, 1, 0]) + udp(m), 0), 0x86dd)
            for m in V9])),
        ("IPv6 AH", pcap([ethernet(ipv6(
            bytes([17, 4]) + bytes(22) + udp(m), 51), 0x86dd) for m in V9])),
        ("no UDP length", pcap([ethernet(ipv4(udp(m, size=0)))
                                for m in V9])),
        ("no IP length", pcap([f[:16] + b"\0\0" + f[18:] for f in FRAMES])),
    ])


def test_tunnels():
    def gre(head):
        return pcap([ethernet(ipv4(head + packet, 47)) for packet in PACKETS])

    def over_udp(port, head):
        return pcap([ethernet(ipv4(udp(head + frame, port)))
                     for frame in FRAMES])
    inner = MACS + b"\x08\0"
    check([
        ("IP in IP", pcap([ethernet(ipv4(p, 4)) for p in PACKETS])),
        ("6 in 4", pcap([ethernet(ipv4(ipv6(udp(m)), 41)) for m in V9])),
        ("4 in 6", pcap([ethernet(ipv6(p, 4), 0x86dd) for p in PACKETS])),
        ("GRE", gre(be((0, 2), (0x800, 2)))),
        ("GRE, all options", gre(be((0xb000, 2), (0x800, 2), (0, 4), (9, 4),
                                    (1, 4)))),
        ("GRE, Ethernet", gre(be((0x2000, 2), (0x6558, 2), (9, 4)) + inner)),
        ("ERSPAN I", gre(be((0, 2), (0x88be, 2)) + inner)),
        ("ERSPAN II", gre(be((0x1000, 2), (0x88be, 2), (9, 4),
                             (0x1001, 2), (0, 6)) + inner)),
        ("ERSPAN III", gre(be((0x1000, 2), (0x22eb, 2), (9, 4)) + bytes(11)
                           + b"\1" + bytes(8) + inner)),
        ("VXLAN", over_udp(4789, be((0x08000000, 4), (0x500, 4)))),
        ("Geneve", over_udp(6081, be((0x0200, 2), (0x6558, 2), (0x500, 4),
                                     (0, 8)))),
        ("GRE of PPTP", gre(be((1, 2), (0x800, 2))), (0, 0, 0)),
        # An export to a tunnel's port is one.
        ("NetFlow to VXLAN's port", pcap([ethernet(ipv4(udp(m, 4789)))
                                          for m in V9])),
    ])
    # Nested deeper than anybody does.
    packet = PACKETS[0]
    for _ in range(40):
        packet = ipv4(packet, 4)
    check([("40 headers", pcap([ethernet(packet)]), (0, 0, 0))])


def test_files():
    cases = [("big endian", pcap(FRAMES, order=">")),
             ("nanoseconds", pcap(FRAMES, magic=0xa1b23c4d)),
             ("nanoseconds, big endian",
              pcap(FRAMES, order=">", magic=0xa1b23c4d)),
             ("gzip", gzip.compress(pcap(FRAMES))),
             ("IPFIX file", STREAM), ("IPFIX file, gzip",
                                      gzip.compress(STREAM)),
             ("frame", FRAMES[0], (1, 0, 0))]
    for order in "<>":
        f = Pcapng(order)
        start = f.section() + f.interface(1)
        cases += [
            ("pcapng", start + b"".join(f.packet(0, 1, x) for x in FRAMES)),
            ("options", f.section() + f.interface(
                1, f.option(2, b"eth0") + f.option(9, b"\x09")
                + f.option(0, b"")) + b"".join(
                    f.packet(0, 1700000000 * 10 ** 9, x,
                             f.option(2, b"\0\0\0\1") + f.option(0, b""))
                    for x in FRAMES)),
            ("two interfaces", f.section() + f.interface(101) + f.interface(
                1, f.option(9, b"\x83"))
             + f.packet(1, 1700000000 * 8, FRAMES[0])
             + f.packet(0, 1700000000 * 10 ** 6, PACKETS[1])
             + f.block(5, bytes(12))
             + f.packet(1, 1700000000 * 8, FRAMES[2])),
            ("simple packets", start + b"".join(map(f.simple, FRAMES))),
            ("obsolete packets", start + b"".join(map(f.obsolete, FRAMES))),
            ("unknown blocks", f.section() + f.block(0xbad, b"x" * 40)
             + f.interface(1) + f.block(10, b"k" * 70000)
             + b"".join(f.packet(0, 1, x) for x in FRAMES))]
    little, big = Pcapng("<"), Pcapng(">")
    cases.append(("two sections", little.section() + little.interface(1)
                  + little.packet(0, 1, FRAMES[0])
                  + little.packet(0, 1, FRAMES[1])
                  + big.section() + big.interface(101)
                  + big.packet(0, 1, PACKETS[2])))
    check(cases)


def fragments(ident, payload, is_v6=False):
    result, size = [], 16
    for at in range(0, len(payload), size):
        more = at + size < len(payload)
        part = payload[at:at + size]
        if is_v6:
            result.append(ethernet(ipv6(be(
                (17, 1), (0, 1), (at | more, 2), (ident, 4)) + part, 44),
                0x86dd))
        else:
            result.append(ethernet(ipv4(
                part, fragment=more << 13 | at // 8, ident=ident)))
    return result


def test_fragments():
    cases = []
    for is_v6 in (False, True):
        pieces = [fragments(i, udp(m), is_v6) for i, m in enumerate(V9)]
        cases += [("in order", pcap(sum(pieces, []))),
                  ("backwards", pcap([f for p in pieces for f in p[::-1]])),
                  ("mixed", pcap([p[i] for i in range(20) for p in pieces
                                  if i < len(p)]))]
    # Of a tunnel whose packets are in pieces, too.
    outer = [fragments(9 + i, udp(be((0x08000000, 4), (0x500, 4)) + frame,
                                  4789))
             for i, frame in enumerate(sum((fragments(i, udp(m))
                                            for i, m in enumerate(V9)), []))]
    cases.append(("in a tunnel", pcap(sum(outer, []))))
    check(cases)


def pieces_of(*cuts):
    ends = (0,) + cuts + (len(STREAM),)
    return [(a, STREAM[a:b]) for a, b in zip(ends, ends[1:])]


def connection(pieces, start=1000, syn=True):
    segments = [tcp(b"", start - 1, 2)] if syn else []
    segments += [tcp(data, start + at) for at, data in pieces]
    segments.append(tcp(b"", start + len(STREAM), 0x11))
    return pcap([ethernet(ipv4(segment, 6)) for segment in segments])


def test_streams():
    p = pieces_of(10, 30, 50, 80)
    check([
        ("cut anywhere", connection(p)),
        ("byte by byte", connection(pieces_of(*range(1, len(STREAM))))),
        ("no SYN", connection(pieces_of(44), syn=False)),
        ("out of order", connection([p[0], p[2], p[1], p[4], p[3]])),
        ("sent again", connection([
            p[0], p[0], p[1], (25, STREAM[25:45]), p[2], p[2], p[3], p[4]])),
        ("keepalive", connection([p[0], (9, b"\0")] + p[1:])),
        ("numbers wrap", connection(p, start=2 ** 32 - 20)),
        ("data with FIN", pcap([ethernet(ipv4(segment, 6)) for segment in (
            tcp(b"", 999, 2), tcp(STREAM, 1000, 0x19))])),
    ])


def exports(*messages):
    return pcap([ethernet(ipv4(udp(message))) for message in messages])


def test_layouts():
    options9 = be((512, 2), (4, 2), (8, 2), (1, 2), (4, 2), (34, 2), (4, 2),
                  (35, 2), (1, 2))
    options = be((512, 2), (3, 2), (1, 2), (149, 2), (4, 2), (34, 2), (4, 2),
                 (35, 2), (1, 2))
    told = be((1, 4), (100, 4), (2, 1))
    check([
        ("v9 without padding", exports(netflow9(
            1, flowset(0, TEMPLATE), flowset(
                256, record(1) + record(2) + record(3), pad=False))),
            (1, 3, 0)),
        ("v9, wrong count", exports(netflow9(
            1, flowset(0, TEMPLATE), flowset(256, record(1)), count=99)),
            (1, 1, 0)),
        ("two templates in a set", exports(netflow9(
            1, flowset(0, TEMPLATE + fields_template(FIELDS, 257)),
            flowset(257, record(1)), flowset(256, record(2)))), (1, 2, 0)),
        ("data before templates", exports(V9[1], V9[0], V9[2])),
        ("bytes after v9", exports(V9[0] + bytes(4), V9[1] + b"ab"),
         (2, 3, 0)),
        ("bytes after IPFIX", exports(IPFIX[0] + bytes(4), IPFIX[1] + b"ab"),
         (2, 3, 0)),
        ("messages in one datagram", exports(STREAM), (1, 4, 0)),
        ("v9 options", exports(netflow9(
            1, flowset(1, options9), flowset(512, told)), V9[0], V9[1]),
            (3, 3, 1)),
        ("v9 options before their template", exports(
            netflow9(1, flowset(512, told)),
            netflow9(2, flowset(1, options9)), V9[0], V9[1]), (4, 3, 1)),
        ("options", exports(ipfix(0, flowset(3, options), flowset(512, told)),
                            IPFIX[0], IPFIX[1]), (3, 3, 1)),
        ("variable lengths", exports(ipfix(0, flowset(2, fields_template(
            FIELDS + ((82, 65535), (371, 65535)))), flowset(
                256, record(1) + b"\4eth0\xff\0\3abc" + record(2) + b"\0\0"))),
            (1, 2, 0)),
        ("withdrawn and used again", exports(
            ipfix(0, flowset(2, TEMPLATE)),
            ipfix(0, flowset(2, be((256, 2), (0, 2))),
                  flowset(2, fields_template(FIELDS[:2])),
                  flowset(256, bytes(16)))), (2, 2, 0)),
        ("an enterprise", exports(ipfix(0, flowset(2, be(
            (256, 2), (2, 2), (8, 2), (4, 2), (0x8001, 2), (4, 2),
            (2636, 4))), flowset(256, bytes(16)))), (1, 2, 0)),
    ])


def test_cut_short():
    """A capture with a small snaplen holds records that are whole."""
    v5 = be((5, 2), (3, 2), (1000, 4), (1700000000, 4), (0, 4), (0, 4),
            (0, 4)) + b"".join(bytes([10, 0, 0, i]) + bytes(44)
                               for i in range(3))
    v5 = pcap([ethernet(ipv4(udp(v5)))], snaplen=42 + 24 + 2 * 48 + 7)
    v9 = pcap([FRAMES[0], FRAMES[1]], snaplen=42 + 20 + 4 + 2 * 22 + 3)
    cut = pcap([ethernet(ipv4(udp(message))) for message in IPFIX[:2]],
               snaplen=42 + 16 + 4 + 2 * 22 + 10)
    check([("v5", v5, (1, 2, 0)), ("v9", v9, (2, 2, 0)),
           ("IPFIX", cut, (2, 2, 0))])
    for data in (v5, v9, cut):
        if not summary(data)["errors"].get("cut_short"):
            raise Failure("not told")
    # A datagram that says more than it is, and was not cut, is refused.
    whole = be((5, 2), (5, 2)) + bytes(20) + bytes(96)
    check([("count", exports(whole), (1, 0, 0))])


if __name__ == "__main__":
    main(needs=("venturictl",))
