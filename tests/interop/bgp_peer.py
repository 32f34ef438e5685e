"""tests/interop/bgp_peer.py -- a BGP peer by hand, for what no real one does;
and a lab with addresses for real ones."""

import socket
import struct

from harness import Daemon, Failure, Lab, _libc, wait_until

CLONE_NEWNET = 0x40000000
OPEN, UPDATE, NOTIFICATION, KEEPALIVE, REFRESH = range(1, 6)
OURS = "10.0.0.1"
MARKER = b"\xff" * 16


class BgpLab(Lab):
    """A lab whose loopback has 10.0.0.1 (venturid) to 10.0.0.9 and
    fd00::1 to fd00::9."""

    def __init__(self):
        super().__init__()
        for i in range(1, 10):
            self.run("ip", "address", "add", "10.0.0.%d/32" % i, "dev", "lo")
            self.run("ip", "address", "add", "fd00::%d/128" % i, "dev", "lo")

    def socket(self, family=socket.AF_INET):
        """A TCP socket in the namespace."""
        with open("/proc/self/ns/net", "rb") as here, \
                open("/var/run/netns/" + self.name, "rb") as there:
            if _libc.setns(there.fileno(), CLONE_NEWNET):
                raise Failure("setns")
            try:
                return socket.socket(family, socket.SOCK_STREAM)
            finally:
                _libc.setns(here.fileno(), CLONE_NEWNET)


def daemon(lab, neighbors=(), bgp=None, bmp=None, **kwargs):
    """A venturid that listens for BGP on port 179 of 10.0.0.1 and fd00::1."""
    config = {
        "bgp": {"local-as": 65000, "router-id": OURS,
                "listen": [OURS + ":179", "[fd00::1]:179"],
                **({"neighbor": list(neighbors)} if neighbors else {}),
                **(bgp or {})},
        "collector": {"netflow": {"listen": ["none"]},
                      "ipfix": {"listen": ["none"]},
                      "sflow": {"listen": ["none"]}}}
    if bmp:
        config["bmp"] = bmp
    return Daemon(lab, config=config, **kwargs)


def neighbor(venturid, address):
    """What bgp.neighbors says about one."""
    for entry in venturid.rpc("bgp.neighbors")["neighbors"]:
        if entry["address"] == address:
            return entry
    return None


def await_state(venturid, address, state="Established", timeout=30):
    def reached():
        entry = neighbor(venturid, address)
        return entry if entry and entry["state"] == state else None
    return wait_until(reached, timeout, lambda: "%s of %s, not %s" % (
        state, address, neighbor(venturid, address)))


def routes(venturid, address, count, family="ipv4-unicast", timeout=30):
    """Waits until the neighbour has so many routes."""
    def have():
        entry = neighbor(venturid, address)
        return entry and entry["routes"].get(family) == count
    wait_until(have, timeout, lambda: "%d routes of %s: %s" % (
        count, address, neighbor(venturid, address)["routes"]))


def message(kind, body=b""):
    return MARKER + struct.pack(">HB", 19 + len(body), kind) + body


def open_body(asn=65001, hold=90, ident="10.0.0.2", caps=b"", version=4):
    """Capabilities are whole: code, length, value."""
    params = struct.pack("BB", 2, len(caps)) + caps if caps else b""
    return struct.pack(">BHH4sB", version, asn, hold,
                       socket.inet_aton(ident), len(params)) + params


AS4 = struct.pack(">BBI", 65, 4, 65001)
MP4 = bytes((1, 4, 0, 1, 0, 1))
MP6 = bytes((1, 4, 0, 2, 0, 1))
REFRESHES = bytes((2, 0, 70, 0))
CAPS = MP4 + MP6 + REFRESHES + AS4


def attribute(flags, code, value):
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, code, len(value)) + value
    return struct.pack("BBB", flags, code, len(value)) + value


ORIGIN = attribute(0x40, 1, b"\0")
AS_PATH = attribute(0x40, 2, struct.pack(">BBII", 2, 2, 65001, 65002))
NEXT_HOP = attribute(0x40, 3, socket.inet_aton("10.0.0.2"))
GOOD = ORIGIN + AS_PATH + NEXT_HOP
NET = bytes((24, 203, 0, 113))          # 203.0.113.0/24


def update(attributes=b"", nlri=b"", withdrawn=b""):
    return message(UPDATE, struct.pack(">H", len(withdrawn)) + withdrawn
                   + struct.pack(">H", len(attributes)) + attributes + nlri)


class Peer:
    """A connection to venturid (or to another) from an address of the lab."""

    def __init__(self, lab, source="10.0.0.2", buffer=None, to=OURS):
        self.socket = lab.socket()
        if buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                   buffer)
        self.socket.settimeout(20)
        self.socket.bind((source, 0))
        self.socket.connect((to, 179))
        self.rest = b""

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next message: its type and what follows the header; None when
        the connection ends."""
        while True:
            if len(self.rest) >= 19:
                size, kind = struct.unpack_from(">HB", self.rest, 16)
                if len(self.rest) >= size:
                    body, self.rest = self.rest[19:size], self.rest[size:]
                    return kind, body
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self.rest += data

    def establish(self, caps=CAPS):
        self.send(message(OPEN, open_body(caps=caps)) + message(KEEPALIVE))
        while self.receive()[0] != KEEPALIVE:
            pass

    def verdict(self):
        """(code, subcode, data) of the NOTIFICATION, or None if the
        connection just ends."""
        while True:
            got = self.receive()
            if got is None:
                return None
            if got[0] == NOTIFICATION:
                return got[1][0], got[1][1], got[1][2:]

    def close(self):
        self.socket.close()
