#!/usr/bin/env python3
"""Hostile datagrams and requests: refused or counted, and nothing breaks."""
# exclusive

import contextlib
import json
import os
import random
import resource
import struct
import subprocess
import sys

from generator import PORTS, PROTOCOLS, command, generate
from harness import (Client, Daemon, Failure, Lab, RpcError, equal, main,
                     sanitized, scratch_dir, wait_until)

SEED = 20261123
GROWTH = 64 << 20       # Bytes that hostile input may make the daemon grow.
CLIENTS = 1000


def rss(daemon):
    """Resident bytes."""
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_growth(daemon, before, what):
    if sanitized():
        return          # Quarantines and shadows say nothing about us.
    grown = rss(daemon) - before
    print("%s: resident memory %+.1f MB" % (what, grown / 1e6))
    if grown > GROWTH:
        raise Failure("%s: grew by %d MB" % (what, grown >> 20))


def decoder_counters(daemon):
    return daemon.rpc("system.info")["counters"]["decoder"]


def written(daemon):
    """Whether all that was decoded is in the store."""
    exporters = daemon.rpc("exporter.list")["exporters"]
    kept = sum(e["counters"]["flow_records"] - e["counters"]["ring_full"]
               - e["counters"]["store_lost"] for e in exporters)
    return daemon.rpc("system.info")["store"]["counters"]["rows"] == kept


def flows_of(daemon):
    rows = daemon.flows(metrics=["flows"])
    return rows[0]["flows"] or 0 if rows else 0


def good_flows(daemon):
    """Flows of the exporters that only send good datagrams."""
    return sum(r["flows"] for r in daemon.flows(by=["exporter"],
                                                metrics=["flows"],
                                                limit=10000)
               if r["exporter"].startswith("127.1."))


def check_still_works(lab, daemon):
    """Good datagrams of each protocol, from 127.1.x.y, are decoded to the last
    record, and good requests answered."""
    expected = good_flows(daemon)
    for protocol in PROTOCOLS:
        expected += generate(protocol, "--count", 200, "--exporters", 2,
                             "--rate", 5000, netns=lab.name)["records"]
    wait_until(lambda: good_flows(daemon) == expected, what=lambda:
               "%d flows, there are %d" % (expected, good_flows(daemon)))
    equal(daemon.rpc("system.health")["status"] in ("ok", "degraded"), True,
          "health")


SENDER = r"""
import socket, sys, struct
# Lines of "port hex" to datagrams; from 127.0.0.1.
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i, line in enumerate(sys.stdin):
    port, data = line.split(" ")
    s.sendto(bytes.fromhex(data.strip()), ("127.0.0.1", int(port)))
    if i % 64 == 63:
        import time
        time.sleep(0.001)
print(i + 1)
"""


def send(lab, datagrams):
    """Sends (port, bytes) in the lab."""
    text = "".join("%d %s\n" % (port, data.hex()) for port, data in datagrams)
    result = subprocess.run(
        ["ip", "netns", "exec", lab.name, sys.executable, "-c", SENDER],
        input=text, capture_output=True, text=True, timeout=120)
    equal(result.returncode, 0, "sender: " + result.stderr)
    return len(datagrams)


def samples(protocol, count=60):
    """Good datagrams of a protocol."""
    path = os.path.join(scratch_dir(), "gen.pcap")
    generate(protocol, "--pcap", path, "--count", count, "--tunnel", 20,
             "--sampling", 100)
    with open(path, "rb") as f:
        data = f.read()
    out, at = [], 24
    while at < len(data):
        size = struct.unpack_from("<I", data, at + 8)[0]
        out.append(data[at + 16 + 42:at + 16 + size])
        at += 16 + size
    return out


def mutate(rng, data):
    """A datagram with a few octets or 16-bit numbers changed: lengths that
    lie, ids that do not exist."""
    d = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(max(1, len(d) - 1))
        kind = rng.randrange(3)
        if kind == 0:
            d[at] = rng.randrange(256)
        elif kind == 1:
            struct.pack_into(">H", d, min(at, len(d) - 2),
                             rng.choice((0, 1, 3, 4, 5, 0x7fff, 0x8000,
                                         0xfffe, 0xffff)))
        else:
            struct.pack_into(">I", d, max(0, min(at & ~3, len(d) - 4)),
                             rng.choice((0, 1, 0x7fffffff, 0xffffffff)))
    return bytes(d)


def arrived(daemon, count):
    wait_until(lambda: decoder_counters(daemon)["datagrams"] >= count, 60,
               lambda: "%d datagrams to arrive: %s" % (
                   count, decoder_counters(daemon)))


def start(lab):
    return Daemon(lab, expect=[".*"])   # Warnings about the input are right.


def test_datagrams():
    lab = Lab()
    daemon = start(lab)
    rng = random.Random(SEED)
    good = {p: samples(p) for p in PROTOCOLS}
    ports = sorted(set(PORTS.values()))
    check_still_works(lab, daemon)
    before = rss(daemon)
    count = decoder_counters(daemon)["datagrams"]

    # Every truncation of one good datagram of each, on its own port.
    cut = [(PORTS[p], d[:n]) for p in PROTOCOLS for d in good[p][-1:]
           for n in range(len(d))]
    # Anything, anywhere; empty ones, and those that pretend a version.
    junk = [(rng.choice(ports), rng.randbytes(rng.randrange(1500)))
            for _ in range(3000)]
    for version in (0, 1, 5, 7, 9, 10, 65535):
        junk += [(port, struct.pack(">H", version)
                  + rng.randbytes(rng.randrange(1400)))
                 for port in ports for _ in range(100)]
        junk += [(port, struct.pack(">HH", version, 65535)) for port in ports]
    junk += [(port, struct.pack(">I", 5) + rng.randbytes(rng.randrange(300)))
             for port in ports for _ in range(100)]
    junk += [(port, b"") for port in ports]
    junk += [(port, b"\xff" * 65000) for port in ports]
    lies = [(PORTS[p], mutate(rng, d)) for p in PROTOCOLS for d in good[p]
            for _ in range(600 // len(good[p]))]
    # Many of the lies are records that the store buffers: memory is level
    # when the first turns are over, or it leaks.
    bad = cut + junk + lies
    for turn in range(6):
        count += send(lab, bad)
        arrived(daemon, count)
        wait_until(lambda: written(daemon), what="the writer")
        if turn < 3:
            before = max(before, rss(daemon))
    check_growth(daemon, before, "6 x %d bad datagrams" % len(bad))

    counters = decoder_counters(daemon)
    for name in ("too_short", "unknown_version", "bad_header"):
        if not counters[name]:
            raise Failure("%s was not counted: %s" % (name, counters))
    malformed = sum(e["counters"]["malformed"] + e["counters"]["no_template"]
                    for e in daemon.rpc("exporter.list")["exporters"])
    if not malformed:
        raise Failure("no exporter has malformed datagrams")
    check_still_works(lab, daemon)
    daemon.stop()


def test_template_flood():
    """Templates without end, in domains without end: shares, not memory."""
    lab = Lab()
    daemon = start(lab)
    before = rss(daemon)
    datagrams = []
    for i in range(6000):
        fields = b"".join(struct.pack(">HH", 1 + j, 8) for j in range(300))
        body = struct.pack(">HHHH", 2, 8 + len(fields), 256 + i % 60000, 300)
        message = body + fields
        datagrams.append((4739, struct.pack(
            ">HHIII", 10, 16 + len(message), 1800000000, i, i // 20)
            + message))
    send(lab, datagrams)
    arrived(daemon, 6000)
    check_growth(daemon, before, "6,000 templates")
    check_still_works(lab, daemon)
    daemon.stop()


def call_text(daemon, text, timeout=30):
    """The answer to a text, on a connection of its own."""
    client = Client(daemon.api, timeout)
    try:
        client.send_text(text)
        return client.receive()
    finally:
        client.close()


def expect_error(daemon, text, code):
    reply = call_text(daemon, text)
    equal((reply or {}).get("error", {}).get("code"), code,
          "error code for %.80r" % text)
    if not reply["error"].get("message"):
        raise Failure("an error without a message for %.80r" % text)


def request(method, params=None, **more):
    r = dict({"jsonrpc": "2.0", "id": 1, "method": method}, **more)
    if params is not None:
        r["params"] = params
    return json.dumps(r) + "\n"


def test_requests():
    lab = Lab()
    daemon = start(lab)
    for text in ('{"jsonrpc": "2.0", "method": }\n', "hello\n", "{]\n",
                 '{"a" 1}\n', '"\\ud800\n'):
        expect_error(daemon, text, -32700)
    for text in ("[]\n", "1\n", '"text"\n', "{}\n", "null\n",
                 '{"jsonrpc": "1.0", "id": 1, "method": "system.info"}\n',
                 '{"jsonrpc": "2.0", "id": {}, "method": "system.info"}\n',
                 '{"jsonrpc": "2.0", "id": 1, "method": 7}\n',
                 '{"jsonrpc": "2.0", "id": 1, "method": "system.info", '
                 '"params": 3}\n'):
        expect_error(daemon, text, -32600)
    for method in ("", "system", "flow.drop", "x" * 10000):
        expect_error(daemon, request(method), -32601)
    for params in ({"by": 7}, {"by": ["nonsense"]}, {"limit": "ten"},
                   {"limit": -1}, {"limit": 10 ** 12}, {"from": "yesterday"},
                   {"metrics": ["proto"]}, {"metrics": [[]]},
                   {"order": "nothing"}, {"filter": "proto ("},
                   {"filter": 1}, {"unknown": 1}, {"by": ["proto"] * 100},
                   {"timeout_ms": -5}, {"bucket": "soon"},
                   {"from": "-1h", "to": "-2h"}):
        params.setdefault("metrics", ["bytes"])
        expect_error(daemon, request("flow.query", params), -32602)
    # No text of a client is SQL.
    for text in ("'; DROP TABLE flows; --", "bytes) FROM flows; --"):
        expect_error(daemon, request("flow.query", {"metrics": [text]}),
                     -32602)
        expect_error(daemon, request("flow.query",
                                     {"metrics": ["bytes"], "by": [text]}),
                     -32602)
    info = daemon.rpc("system.info")["counters"]["rpc"]
    if not (info["parse_errors"] and info["invalid_requests"]
            and info["unknown_methods"] and info["invalid_params"]):
        raise Failure("not counted: %s" % info)
    check_still_works(lab, daemon)
    daemon.stop()


def nested(opening, closing, depth):
    return ('{"jsonrpc":"2.0","id":1,"method":"system.info","params":'
            + opening * depth + closing * depth + "}\n")


def test_deep_nesting():
    lab = Lab()
    daemon = start(lab)
    before = rss(daemon)
    for depth in (100, 10000, 1000000):
        reply = call_text(daemon, nested("[", "]", depth))
        equal("error" in (reply or {}), True, "depth %d" % depth)
    check_growth(daemon, before, "deep nesting")
    check_still_works(lab, daemon)
    daemon.stop()


def test_large_request():
    """100 MB of request, in one string and in many members: refused while it
    comes, without keeping it; others are served meanwhile."""
    lab = Lab()
    daemon = start(lab)
    before = rss(daemon)
    head = (b'{"jsonrpc":"2.0","id":1,"method":"flow.query",'
            b'"params":{"filter":"')
    for chunk in (b"x" * (1 << 20), b'","a":"b' * (1 << 17)):
        client = Client(daemon.api, 60)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.send_text(head)
            for _ in range((100 << 20) // len(chunk)):
                client.send_text(chunk)
            client.send_text(b'"}}\n')
        reply = None
        with contextlib.suppress(ConnectionResetError):
            reply = client.receive()
        equal((reply or {}).get("error", {}).get("code"), -32000,
              "error code")
        daemon.rpc("system.info")
        client.close()
    check_growth(daemon, before, "100 MB requests")
    check_still_works(lab, daemon)
    daemon.stop()


def test_many_clients():
    """1,000 clients at once, each is answered; those who do not read and
    those who never finish a request hold nobody up."""
    lab = Lab()
    daemon = start(lab)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (min(limit[1], 4 * CLIENTS + 200), limit[1]))
    before = rss(daemon)
    clients = [Client(daemon.api) for _ in range(CLIENTS)]
    for client in clients:
        client.send_text(request("system.info"))
    for client in clients:
        equal("result" in client.receive(), True, "an answer")
    for i, client in enumerate(clients):
        if i % 3 == 0:          # Asks a lot, reads nothing.
            client.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.send_text(request("rpc.discover") * 20)
        elif i % 3 == 1:        # Never ends.
            client.send_text('{"jsonrpc": "2.0", "id": 1, "method": "sys')
    equal(daemon.rpc("system.info")["clients"], CLIENTS + 1, "clients")
    check_still_works(lab, daemon)
    for client in clients:
        client.close()
    wait_until(lambda: daemon.rpc("system.info")["clients"] == 1,
               what="all clients to be gone")
    check_growth(daemon, before, "%d clients" % CLIENTS)
    daemon.stop()


def test_too_many_clients():
    """Beyond max-clients new ones are turned away, old ones are served."""
    lab = Lab()
    daemon = Daemon(lab, config={"api": {"max-clients": 20}}, expect=[".*"])
    clients = []
    refused = 0
    for _ in range(40):
        client = Client(daemon.api, 10)
        clients.append(client)
        try:
            client.send_text(request("system.info"))
            reply = client.receive()
            refused += not (reply and "result" in reply)
        except (BrokenPipeError, ConnectionResetError):
            refused += 1
    equal(refused, 21, "clients turned away")   # One is the test's own.
    equal(daemon.rpc("system.info")["counters"]["api"]["refused"], 21,
          "counter")
    for client in clients:
        client.close()
    wait_until(lambda: daemon.rpc("system.info")["clients"] == 1,
               what="all clients to be gone")
    daemon.stop()


def test_generator_flood():
    """As fast as it goes: what does not fit is counted somewhere."""
    lab = Lab()
    daemon = start(lab)
    before = rss(daemon)
    sent = subprocess.run(
        ["ip", "netns", "exec", lab.name]
        + command("sflow", "--count", 0, "--duration", "2s", "--top", 0),
        capture_output=True, text=True, check=True, timeout=60)
    sent = json.loads(sent.stdout)

    def accounted():
        info = daemon.rpc("system.info")
        drops = sum(s["kernel_drops"] for s in info["listen"])
        counters = [e["counters"] for e in
                    daemon.rpc("exporter.list")["exporters"]]
        seen = sum(c["datagrams"] for c in counters)
        kept = (sum(c["flow_records"] - c["ring_full"] - c["store_lost"]
                    for c in counters))
        return (seen + drops >= sent["datagrams"]
                and flows_of(daemon) == kept)
    wait_until(accounted, 60, lambda: "every datagram to be accounted for: "
               "sent %d; %s; %s; %d flows" % (
                   sent["datagrams"], daemon.rpc("system.info")["listen"],
                   daemon.rpc("exporter.list")["exporters"],
                   flows_of(daemon)))
    print("%d records in 2 s; resident memory %+.1f MB"
          % (sent["records"], (rss(daemon) - before) / 1e6))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
