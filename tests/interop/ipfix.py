"""tests/interop/ipfix.py -- IPFIX messages byte by byte, and sockets in
namespaces, for the tests."""

import ctypes
import os
import socket
import struct
import threading
import time

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# Elements: number and size.
SRC, DST, BYTES, PACKETS = (8, 4), (12, 4), (1, 8), (2, 8)
SRC_PORT, DST_PORT, PROTO = (7, 2), (11, 2), (4, 1)
USUAL = (SRC, DST, BYTES, PACKETS, SRC_PORT, DST_PORT, PROTO)


def make_in(netns, make):
    """make(), on a thread that is in the namespace.  What it makes stays
    there."""
    result = []

    def enter():
        fd = os.open("/run/netns/" + netns, os.O_RDONLY)
        try:
            if _libc.setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            result.append(make())
        except Exception as error:      # For the caller.
            result.append(error)
        finally:
            os.close(fd)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if isinstance(result[0], Exception):
        raise result[0]
    return result[0]


def connect(netns, port, source="127.0.0.1", address="127.0.0.1"):
    """A TCP connection."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET

    def make():
        s = socket.socket(family, socket.SOCK_STREAM)
        s.settimeout(20)
        s.bind((source, 0))
        s.connect((address, port))
        return s
    return make_in(netns, make)


def udp(netns, source=None, family=socket.AF_INET):
    """A UDP socket."""
    def make():
        s = socket.socket(family, socket.SOCK_DGRAM)
        if source:
            s.bind((source, 0))
        return s
    return make_in(netns, make)


def message(*sets, seq=0, domain=1, when=None):
    body = b"".join(sets)
    return struct.pack("!HHIII", 10, 16 + len(body),
                       int(when or time.time()), seq, domain) + body


def a_set(number, body):
    return struct.pack("!HH", number, 4 + len(body)) + body


def template(number=256, fields=USUAL):
    return a_set(2, struct.pack("!HH", number, len(fields)) + b"".join(
        struct.pack("!HH", *field) for field in fields))


def record(src="10.0.0.1", dst="10.0.0.2", octets=100, packets=1, sport=1000,
           dport=80, proto=6, fields=USUAL):
    values = {SRC: socket.inet_aton(src), DST: socket.inet_aton(dst),
              BYTES: struct.pack("!Q", octets),
              PACKETS: struct.pack("!Q", packets),
              SRC_PORT: struct.pack("!H", sport),
              DST_PORT: struct.pack("!H", dport), PROTO: bytes([proto])}
    return b"".join(values[field] for field in fields)


def data(*records, number=256):
    return a_set(number, b"".join(records))
