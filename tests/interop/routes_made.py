"""BGP and BMP messages, MRT records and captures of TCP, made by hand."""

import ipaddress
import socket
import struct

TIME = 1790000000
FLAGS = {1: 0x40, 2: 0x40, 3: 0x40, 4: 0x80, 5: 0x40, 14: 0x80, 15: 0x80}
NO_ESI = bytes(10)
RD = struct.pack(">HHI", 0, 65000, 1)


def octets(address):
    return ipaddress.ip_address(address).packed


def host_bits(network):
    """Octets of a prefix without its length."""
    n = ipaddress.ip_network(network)
    return n.prefixlen, n.network_address.packed[:(n.prefixlen + 7) // 8]


# ---- BGP. ----


def prefix(network):
    length, bits = host_bits(network)
    return bytes([length]) + bits


def label(value, bottom=True):
    return (value << 4 | bottom).to_bytes(3, "big")


def vpn(network, value=100):
    length, bits = host_bits(network)
    return bytes([88 + length]) + label(value) + RD + bits


def labeled(network, *values):
    length, bits = host_bits(network)
    stack = b"".join(label(v, v == values[-1]) for v in values)
    return bytes([8 * len(stack) + length]) + stack + bits


def evpn(kind, body):
    return bytes([kind, len(RD + body)]) + RD + body


def evpn_all():
    """Types 1 to 5, and one that nobody knows."""
    tag, vni = bytes(4), b"\0\x27\x10"
    mac = b"\x30\2\0\0\0\0\1"
    return (evpn(1, NO_ESI + tag + vni)
            + evpn(2, NO_ESI + tag + mac + b"\0" + vni)
            + evpn(2, NO_ESI + tag + mac + b"\x20" + octets("10.6.0.1") + vni)
            + evpn(2, NO_ESI + tag + mac + b"\x80" + octets("2001:db8::6")
                   + vni)
            + evpn(3, tag + b"\x20" + octets("192.0.2.9"))
            + evpn(4, NO_ESI + b"\x20" + octets("192.0.2.9"))
            + evpn(5, NO_ESI + tag + b"\x10" + octets("10.9.0.0") + bytes(4)
                   + vni)
            + evpn(5, NO_ESI + tag + b"\x30" + octets("2001:db8:9::")
                   + bytes(16) + vni)
            + evpn(77, b"abc"))


def attribute(code, value):
    flags = FLAGS.get(code, 0xc0)
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, code, len(value)) + value
    return struct.pack(">BBB", flags, code, len(value)) + value


def attributes(ases=(64500, 64501), hop="192.0.2.1", width="I"):
    path = struct.pack(">BB%d%s" % (len(ases), width), 2, len(ases), *ases)
    return (attribute(1, b"\0") + attribute(2, path)
            + (attribute(3, octets(hop)) if hop else b""))


def reach(afi, safi, hop, nlri):
    return attribute(14, struct.pack(">HBB", afi, safi, len(hop)) + hop
                     + b"\0" + nlri)


def unreach(afi, safi, nlri):
    return attribute(15, struct.pack(">HB", afi, safi) + nlri)


def message(kind, body=b""):
    return b"\xff" * 16 + struct.pack(">HB", 19 + len(body), kind) + body


def update(attrs=b"", nlri=b""):
    return message(2, struct.pack(">HH", 0, len(attrs)) + attrs + nlri)


def bgp_open():
    caps = b"\x41\4" + struct.pack(">I", 64500) + b"\1\4\0\1\0\1"
    return message(1, struct.pack(">BHH", 4, 64500, 180)
                   + octets("192.0.2.1") + bytes([len(caps) + 2, 2, len(caps)])
                   + caps)


KEEPALIVE = message(4)


def updates(n):
    return [update(attributes(), prefix("10.%d.0.0/16" % i))
            for i in range(n)]


# ---- BMP. ----


def bmp(kind, body, version=3):
    return struct.pack(">BIB", version, 6 + len(body), kind) + body


def bmp_peer(kind=0):
    address = bytes(16) if kind == 3 else bytes(12) + octets("192.0.2.1")
    return (bytes([kind, 0]) + bytes(8) + address
            + struct.pack(">I", 64500) + octets("10.0.0.1")
            + struct.pack(">II", TIME, 5))


def tlv(kind, value):
    return struct.pack(">HH", kind, len(value)) + value


def indexed_tlv(kind, index, value):
    return struct.pack(">HHH", kind, len(value), index) + value


def bmp_up(information=b"", kind=0, version=3):
    return bmp(3, bmp_peer(kind) + bytes(12) + octets("192.0.2.2")
               + struct.pack(">HH", 179, 40000) + bgp_open() + bgp_open()
               + information, version)


# ---- MRT. ----


def record(kind, subtype, body):
    return struct.pack(">IHHI", TIME, kind, subtype, len(body)) + body


def index(peers=(("192.0.2.1", 64500), ("2001:db8::2", 64501))):
    body = octets("10.0.0.1") + struct.pack(">HH", 0, len(peers))
    for address, asn in peers:
        body += (bytes([2 | (":" in address)]) + octets("10.0.0.2")
                 + octets(address) + struct.pack(">I", asn))
    return record(13, 1, body)


def entry(attrs, peer=0, path_id=None):
    return (struct.pack(">HI", peer, TIME - 100)
            + (b"" if path_id is None else struct.pack(">I", path_id))
            + struct.pack(">H", len(attrs)) + attrs)


def rib(subtype, destination, *entries):
    return record(13, subtype, bytes(4) + destination
                  + struct.pack(">H", len(entries)) + b"".join(entries))


def generic(afi, safi, nlri, *entries, subtype=6):
    return rib(subtype, struct.pack(">HB", afi, safi) + nlri, *entries)


def bgp4mp(subtype, body, peer="192.0.2.1", micro=None, width="I"):
    local = octets("2001:db8::2" if ":" in peer else "192.0.2.2")
    body = (struct.pack(">%s%s" % (width, width), 64500, 64999)
            + struct.pack(">HH", 0, 2 if ":" in peer else 1)
            + octets(peer) + local + body)
    if micro is None:
        return record(16, subtype, body)
    return record(17, subtype, struct.pack(">I", micro) + body)


def table_dump(subtype, network, attrs, peer="192.0.2.1", width="H"):
    n = ipaddress.ip_network(network)
    return record(12, subtype, struct.pack(">HH", 0, 1)
                  + n.network_address.packed + bytes([n.prefixlen, 1])
                  + struct.pack(">I", TIME - 50) + octets(peer)
                  + struct.pack(">" + width, 64500)
                  + struct.pack(">H", len(attrs)) + attrs)


# ---- Captures. ----

SYN, FIN, RST, PSH, ACK = 2, 1, 4, 8, 16


def capture(frames):
    data = struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1)
    for i, frame in enumerate(frames):
        data += struct.pack("<IIII", TIME, i, len(frame), len(frame)) + frame
    return data


def segment(data, seq, port=179, flags=PSH | ACK):
    tcp = struct.pack(">HHIIBBHHH", 40000, port, seq & 0xffffffff, 1, 0x50,
                      flags, 65535, 0, 0)
    ip = (struct.pack(">BBHHHBBH", 0x45, 0, 40 + len(data), 1, 0, 64, 6, 0)
          + socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2"))
    words = sum(struct.unpack(">10H", ip))
    words = (words & 0xffff) + (words >> 16)
    words = (words & 0xffff) + (words >> 16)
    ip = ip[:10] + struct.pack(">H", words ^ 0xffff) + ip[12:]
    return b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + ip + tcp + data


def stream(data, size=1000, seq=1000, port=179):
    """Segments of one direction: SYN, pieces of 'size' octets, FIN."""
    return ([segment(b"", seq - 1, port, SYN)]
            + [segment(data[i:i + size], seq + i, port)
               for i in range(0, len(data), size)]
            + [segment(b"", seq + len(data), port, FIN | ACK)])
