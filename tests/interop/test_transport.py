#!/usr/bin/env python3
"""IPFIX over TCP and TLS, IPv6, multicast, who may send, and names."""

import os
import re
import socket
import ssl
import struct
import subprocess
import time

import ipfix
from harness import (BUILDDIR, Daemon, Failure, Lab, RpcError, equal, main,
                     run, sanitized, scratch_dir, wait_until)
from ipfix import data, message, record, template

BASE = {"netflow": {"listen": ["none"]}, "sflow": {"listen": ["none"]}}
PORT = 4740
IP_PKTINFO = 8          # Of ip(7); the socket module does not have it.


def collector(**more):
    return {"collector": dict(BASE, **more)}


def total(daemon, **kwargs):
    """Packets and flows of all records."""
    rows = daemon.flows(metrics=["packets", "flows"], observations="all",
                        **kwargs)
    return (rows[0]["packets"] or 0, rows[0]["flows"] or 0) if rows else (0, 0)


def listener(daemon, transport):
    return [entry for entry in daemon.rpc("system.info")["listen"]
            if entry["transport"] == transport][0]


def await_total(daemon, packets, flows):
    wait_until(lambda: total(daemon) == (packets, flows), what=lambda:
               "%d packets in %d flows; there are %s" % (packets, flows,
                                                         total(daemon)))


def source_sum(daemon, counter):
    return sum(e["counters"][counter]
               for e in daemon.rpc("exporter.list")["exporters"])


# --- TCP -------------------------------------------------------------------

def test_tcp():
    """Messages in any pieces; templates belong to their session."""
    lab = Lab()
    daemon = Daemon(lab, config=collector(
        ipfix={"listen": ["none"], "tcp": {"listen": [
            "127.0.0.1:%d" % PORT, "[::1]:%d" % PORT]}}))
    stream = message(template()) + b"".join(
        message(data(record(sport=i), record(sport=i, packets=3)), seq=2 * i)
        for i in range(100))
    one = ipfix.connect(lab.name, PORT)
    for size in (1, 3, 700, 70000):
        while stream and size < 70000 and len(stream) > 5000 // size:
            one.sendall(stream[:size])
            stream = stream[size:]
            if size == 1 and len(stream) % 500 == 0:
                break
    one.sendall(stream)
    await_total(daemon, 400, 200)

    # Another session of the same address and domain, at the same time: the
    # same template id means something else there.
    fields = tuple(reversed(ipfix.USUAL))
    two = ipfix.connect(lab.name, PORT)
    two.sendall(message(template(fields=fields)))
    two.sendall(message(data(record(sport=7777, packets=5, fields=fields))))
    one.sendall(message(data(record(sport=8888, packets=6)), seq=200))
    await_total(daemon, 411, 202)
    equal({r["src_port"]: r["packets"] for r in daemon.flows(
        by=["src_port"], metrics=["packets"], limit=1000)
        if r["src_port"] >= 7777}, {7777: 5, 8888: 6}, "both sessions")
    equal(sorted(e["session"] for e in
                 daemon.rpc("exporter.list")["exporters"]), [1, 2],
          "sessions")

    # A new session starts without templates, even with the old number.
    one.close()
    wait_until(lambda: connections(daemon) == 1, what="the end of a session")
    three = ipfix.connect(lab.name, PORT)
    three.sendall(message(data(record())))
    wait_until(lambda: source_sum(daemon, "no_template") == 1,
               what="a set without template")
    three.close()
    wait_until(lambda: connections(daemon) == 1, what="the end of a session")
    four = ipfix.connect(lab.name, PORT)        # Does not get its record.
    four.sendall(message(template(), data(record(packets=2))))
    await_total(daemon, 413, 203)
    six = ipfix.connect(lab.name, PORT, source="::1", address="::1")
    six.sendall(message(template(), data(record(packets=2))))
    wait_until(lambda: {"127.0.0.1", "::1"} == {
        r["exporter"] for r in daemon.flows(by=["exporter"])},
        what="an exporter over IPv6")
    equal(source_sum(daemon, "lost"), 0, "lost records")
    daemon.stop()


def connections(daemon):
    """TCP connections that venturid holds."""
    count = 0
    fds = "/proc/%d/fd" % daemon.process.pid
    inodes = set()
    for fd in os.listdir(fds):
        try:
            target = os.readlink(os.path.join(fds, fd))
        except OSError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    for name in ("tcp", "tcp6"):
        with open("/proc/%d/net/%s" % (daemon.process.pid, name),
                  encoding="ascii") as f:
            for line in f.readlines()[1:]:
                words = line.split()
                count += words[3] != "0A" and words[9] in inodes
    return count


def test_tcp_hostile():
    """What is no IPFIX ends that session only; slow and silent sessions, and
    too many of one peer, too; nobody else notices."""
    lab = Lab()
    daemon = Daemon(lab, config=collector(ipfix={
        "listen": ["none"], "tcp": {"listen": ["127.0.0.1:%d" % PORT]},
        "max-sessions": 200, "idle-timeout": "3s"}),
        expect=[r"no IPFIX: closed", r"too many sessions", r"silent for"])
    good = ipfix.connect(lab.name, PORT)
    good.sendall(message(template()))
    sent = 0

    def still_good():
        nonlocal sent
        sent += 1
        good.sendall(message(data(record()), seq=sent - 1))
        await_total(daemon, sent, sent)

    still_good()
    bad = (b"GET / HTTP/1.0\r\n\r\n", b"\0\x0a\0\0", b"\0\x0a\0\x01",
           b"\0\x0a\0\x0f", b"\xff" * 70000, message(template())[:-1] + b"xy",
           message() + b"\0\x09\0\x10")
    for i, payload in enumerate(bad):
        s = ipfix.connect(lab.name, PORT, source="127.3.0.%d" % (i + 1))
        try:
            s.sendall(payload)
            s.shutdown(socket.SHUT_WR)
            while s.recv(1000):
                pass
        except OSError:
            pass                # It was closed before all was sent.
        s.close()
    wait_until(lambda: listener(daemon, "tcp")["tcp_broken"] == len(bad),
               what=lambda: "broken sessions: %s" % listener(daemon, "tcp"))
    still_good()

    # The largest lengths, never sent: memory grows with what is sent only.
    before = rss(daemon)
    slow = []
    for i in range(400):
        s = ipfix.connect(lab.name, PORT,
                          source="127.4.%d.1" % (i // 20 + 1))
        try:
            s.sendall(b"\0\x0a\xff\xff" + b"x" * 10)
        except OSError:
            pass
        slow.append(s)
    wait_until(lambda: listener(daemon, "tcp")["tcp_accepted"]
               + listener(daemon, "tcp")["tcp_refused"] == 1 + len(bad) + 400,
               what="every session")
    entry = listener(daemon, "tcp")
    # 16 of each of 20 peers, and 200 in all.
    if entry["tcp_refused"] < 400 - 200:
        raise Failure("refused: %s" % entry)
    check_growth(daemon, before, 16 << 20)
    still_good()
    ended = 400 - entry["tcp_refused"]

    def silent_gone():
        still_good()
        return listener(daemon, "tcp")["tcp_timed_out"] == ended
    wait_until(silent_gone, what="the end of %d silent sessions" % ended,
               interval=0.5)
    equal(connections(daemon), 1, "sessions left")
    for s in slow:
        s.close()
    # Template floods: the share of a source is a bound.
    flood = ipfix.connect(lab.name, PORT, source="127.5.0.1")
    for number in range(256, 8000):
        flood.sendall(message(template(number, ipfix.USUAL * 10)))
    fields = b"\0\x01\0\x04" * 16400
    flood.sendall(message(b"\0\x02\xff\xe0" + b"\x01\0\xff\xff"
                          + fields[:65496]))
    wait_until(lambda: daemon.rpc("system.info")["counters"]["decoder"]
               ["bad_template"] > 0, what="a template of 65,535 fields")
    counters = daemon.rpc("system.info")["counters"]["decoder"]
    if not counters["template_limit"]:
        raise Failure("no limit of templates: %s" % counters)
    still_good()
    check_growth(daemon, before, 64 << 20)
    daemon.stop()


def rss(daemon):
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def check_growth(daemon, before, limit):
    """Sanitizers' quarantines and shadows say nothing about us."""
    grown = rss(daemon) - before
    if grown > limit and not sanitized():
        raise Failure("grew by %d kB" % (grown >> 10))


# --- TLS -------------------------------------------------------------------

def openssl(directory, *args):
    subprocess.run(("openssl",) + args, cwd=directory, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(directory):
    """A CA, another one, and identities that they signed."""
    for ca in ("ca", "other-ca"):
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-keyout", ca + ".key", "-out", ca + ".pem", "-days", "2",
                "-subj", "/CN=" + ca)
    for name, ca in (("server", "ca"), ("exporter", "ca"),
                     ("stranger", "other-ca")):
        openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout",
                name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA",
                ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
                "-days", "2", "-out", name + ".pem")
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)


def tls_session(lab, directory, identity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(directory, "ca.pem"))
    if identity:
        context.load_cert_chain(os.path.join(directory, identity + ".pem"),
                                os.path.join(directory, identity + ".key"))
    return context.wrap_socket(ipfix.connect(lab.name, PORT))


def is_refused(lab, directory, identity):
    """Whether the peer closes the session.  With TLS 1.3 a client learns that
    when it reads."""
    try:
        s = tls_session(lab, directory, identity)
        s.sendall(message(template(), data(record())))
        return s.recv(1) == b""
    except (ssl.SSLError, ConnectionError):
        return True


def test_tls():
    """Exporters with a certificate of the CA are let in, others are not."""
    lab = Lab()
    directory = scratch_dir()
    make_certificates(directory)

    def path(name):
        return os.path.join(directory, name)

    tls = {"listen": ["127.0.0.1:%d" % PORT], "certificate":
           path("server.pem"), "private-key": path("server.key"),
           "ca": path("ca.pem")}
    daemon = Daemon(lab, config=collector(
        ipfix={"listen": ["none"], "tls": tls}), expect=[r"TLS with .* failed"])
    s = tls_session(lab, directory, "exporter")
    stream = message(template()) + b"".join(
        message(data(*(record(sport=k) for k in range(1, 1000))),
                seq=999 * i) for i in range(20))
    s.sendall(stream)
    await_total(daemon, 999 * 20, 999 * 20)
    for identity in ("stranger", None):
        equal(is_refused(lab, directory, identity), True,
              "refusal of %s" % identity)
    plain = ipfix.connect(lab.name, PORT)
    plain.sendall(message(template(), data(record())))
    wait_until(lambda: listener(daemon, "tls")["tcp_tls_failed"] == 3,
               what=lambda: "failures: %s" % listener(daemon, "tls"))
    s.sendall(message(data(record()), seq=999 * 20))
    await_total(daemon, 999 * 20 + 1, 999 * 20 + 1)
    if "exporter" not in "".join(open(daemon.log, encoding="utf-8")):
        raise Failure("the log does not name the exporter's certificate")

    # Without the duty to show a certificate; at run time.
    daemon.rpc("config.edit", config={"venturi:venturi": {"collector": {
        "ipfix": {"tls": {"require-client-certificate": False}}}}})
    t = tls_session(lab, directory, None)
    t.sendall(message(template(), data(record())))
    await_total(daemon, 999 * 20 + 2, 999 * 20 + 2)
    daemon.stop()


HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"      # A begin.


def test_half_handshakes():
    """Handshakes that never end take all sessions: an exporter with a name
    gets one all the same, and what is left of them costs little memory."""
    lab = Lab()
    directory = scratch_dir()
    make_certificates(directory)
    tls = {"listen": ["127.0.0.1:%d" % PORT],
           "certificate": os.path.join(directory, "server.pem"),
           "private-key": os.path.join(directory, "server.key"),
           "ca": os.path.join(directory, "ca.pem")}
    daemon = Daemon(lab, config=collector(
        ipfix={"listen": ["none"], "tls": tls, "max-sessions": 100},
        source=[{"name": "good", "address": "127.0.0.1"}]),
        expect=[r"TLS with .* failed", r"too many sessions"])
    before = rss(daemon)
    half = []
    for i in range(200):
        s = ipfix.connect(lab.name, PORT, source="127.4.%d.1" % (i // 10))
        try:
            s.sendall(HELLO[:1 + i % len(HELLO)])
        except OSError:
            pass                # Refused already.
        half.append(s)
    wait_until(lambda: (listener(daemon, "tls")["tcp_accepted"],
                        listener(daemon, "tls")["tcp_refused"]) == (100, 100),
               what=lambda: "100 sessions: %s" % listener(daemon, "tls"))
    check_growth(daemon, before, 16 << 20)
    good = tls_session(lab, directory, "exporter")
    good.sendall(message(template(), data(record())))
    await_total(daemon, 1, 1)
    for s in half:
        s.close()
    wait_until(lambda: connections(daemon) == 1, what="the end of the others")
    good.sendall(message(data(record()), seq=1))
    await_total(daemon, 2, 2)
    daemon.stop()


# --- UDP -------------------------------------------------------------------

def test_multicast_and_ipv6():
    lab = Lab()
    lab.run("ip", "link", "add", "vm0", "type", "veth", "peer", "vm1")
    lab.run("ip", "link", "set", "vm1", "up")
    lab.run("ip", "addr", "add", "192.0.2.1/24", "dev", "vm0")
    lab.run("ip", "addr", "add", "2001:db8::1/64", "dev", "vm0", "nodad")
    lab.run("ip", "link", "set", "vm0", "up")
    daemon = Daemon(lab, config=collector(
        ipfix={"listen": ["239.1.2.3:4739", "[ff05::123]:4739",
                          "[::1]:4739"]},
        **{"multicast-interface": "vm0", "workers": 3}))
    four = ipfix.udp(lab.name)
    four.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF,
                    socket.inet_aton("192.0.2.1"))
    index = ipfix.make_in(lab.name, lambda: socket.if_nametoindex("vm0"))
    six = ipfix.udp(lab.name, family=socket.AF_INET6)
    six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    payload = message(template(), data(record()))
    for _ in range(20):
        four.sendto(payload, ("239.1.2.3", 4739))
        six.sendto(payload, ("ff05::123", 4739))
        six.sendto(payload, ("::1", 4739))
    await_total(daemon, 60, 60)         # Each once, whatever the workers.
    equal({r["exporter"] for r in daemon.flows(by=["exporter"])},
          {"192.0.2.1", "2001:db8::1", "::1"}, "exporters")
    daemon.stop()


def test_allowed_and_named():
    """Who may send; names and rates for those who do not tell theirs."""
    lab = Lab()
    daemon = Daemon(lab, config=collector(
        ipfix={"tcp": {"listen": ["127.0.0.1:%d" % PORT]}},
        allow=["127.1.0.0/16", "127.2.0.1"],
        source=[{"name": "edge", "address": "127.1.0.9", "sampling": 100},
                {"name": "core", "address": "127.2.0.1"}]),
        expect=[r"is not among collector/allow"])
    payload = message(template(), data(record()))
    for source in ("127.0.0.1", "127.1.0.9", "127.2.0.1", "127.2.0.2"):
        ipfix.udp(lab.name, source).sendto(payload, ("127.0.0.1", 4739))
    await_total(daemon, 101, 2)
    equal({e["exporter"]: (e["name"], e["sampling"], e["sampling_origin"])
           for e in daemon.rpc("exporter.list")["exporters"]},
          {"127.1.0.9": ("edge", 100, "config"),
           "127.2.0.1": ("core", None, None)}, "exporters")
    wait_until(lambda: listener(daemon, "udp")["not_allowed"] == 2,
               what="datagrams that are not allowed")
    stranger = ipfix.connect(lab.name, PORT, source="127.3.0.1")
    equal(stranger.recv(1), b"", "what a stranger receives")
    equal(listener(daemon, "tcp")["not_allowed"], 1, "strangers")

    text = run(os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api,
               "exporters")
    for name, address in (("edge", "127.1.0.9"), ("core", "127.2.0.1")):
        if not re.search(r"%s +%s " % (re.escape(address), name), text):
            raise Failure("venturictl exporters: " + text)

    # Renamed at run time.
    daemon.rpc("config.edit", config={"venturi:venturi": {"collector": {
        "source": [{"name": "core", "address": "127.2.0.1",
                    "sampling": 7}]}}})
    ipfix.udp(lab.name, "127.2.0.1").sendto(payload, ("127.0.0.1", 4739))
    await_total(daemon, 108, 3)
    daemon.stop()


def netflow5(seq, n=2):
    record = struct.pack(">IIIHHIIIIHHBBBBHHBBH", 0x0a000001, 0x0a000002, 0,
                         1, 2, 1, 100, 0, 0, 1000, 80, 0, 0, 6, 0, 0, 0, 0, 0,
                         0)
    return struct.pack(">HHIIIIBBH", 5, n, 1000, int(time.time()), 0, seq, 1,
                       2, 0) + record * n


def netflow9(seq, more=b"", age=0):
    """A template (source, octets), a record, and more sets."""
    return struct.pack(
        ">HHIIII" "HHHHHHHH" "HHII", 9, 2, 1000, int(time.time()) - age, seq,
        7, 0, 16, 256, 2, 8, 4, 1, 4, 256, 12, 0x0a000001, 100) + more


def sflow(seq):
    return struct.pack(">IIIIIII", 5, 1, 0x0a000009, 3, seq, 1000, 0)


def test_losses():
    """What is missing or wrong, and why, exporter by exporter."""
    lab = Lab()
    daemon = Daemon(lab)
    send = {
        # Four flows, one datagram (and one late), seven records, two
        # datagrams are missing.
        "127.0.0.5": (2055, [netflow5(q) for q in (0, 2, 4, 10)]),
        "127.0.0.9": (2055, [netflow9(q) for q in (1, 2, 5, 4, 6)]),
        "127.0.0.10": (4739, [
            message(template(), data(record(), record())),
            message(data(record()), seq=2), message(data(record()), seq=10)]),
        "127.0.0.11": (6343, [sflow(q) for q in (5, 6, 9)]),
        # A clock that is two hours late.
        "127.0.0.12": (2055, [netflow9(1, age=7200)]),
        # A set beyond the datagram, a template beyond its set, less than a
        # record, a template that nobody knows.
        "127.0.0.13": (2055, [netflow9(1 + i, struct.pack(f, *v)) for i, (
            f, v) in enumerate(((">HH", (256, 9999)),
                                (">HHHH", (0, 8, 256, 600)),
                                (">HHI", (256, 8, 5)),
                                (">HHI", (300, 8, 5))))]),
    }
    expected = {
        "127.0.0.5": {"lost": 4},
        "127.0.0.9": {"lost": 2, "reordered": 1},
        "127.0.0.10": {"lost": 7},
        "127.0.0.11": {"lost": 2},
        "127.0.0.12": {},
        "127.0.0.13": {"malformed": 3, "bad_set": 1, "bad_template": 1,
                       "bad_record": 1, "no_template": 1},
    }
    reasons = ("lost", "reordered", "restarts", "no_template", "malformed",
               "bad_header", "bad_set", "bad_template", "bad_record",
               "bad_sample", "template_limit")
    for source, (port, datagrams) in send.items():
        s = ipfix.udp(lab.name, source)
        for datagram in datagrams:
            s.sendto(datagram, ("127.0.0.1", port))

    def exporters():
        return {e["exporter"]: e
                for e in daemon.rpc("exporter.list")["exporters"]}

    def all_there():
        found = exporters()
        return all(found.get(source, {"counters": {"datagrams": 0}})
                   ["counters"]["datagrams"] == len(datagrams)
                   for source, (_, datagrams) in send.items())
    wait_until(all_there, what=exporters)
    found = exporters()
    equal({source: {name: e["counters"][name] for name in reasons
                    if e["counters"][name]} for source, e in found.items()},
          expected, "what is missing or wrong")
    for source, e in found.items():
        late = 7200 if source == "127.0.0.12" else 0
        skew = e["clock_skew_ms"]
        if source == "127.0.0.11":      # sFlow does not tell the time.
            equal(skew, None, "clock of sFlow")
        elif not -60000 < skew + late * 1000 <= 1000:
            raise Failure("clock of %s: %s ms" % (source, skew))
    daemon.stop()


def test_elements():
    """Fields that no column takes are kept, or fill one, as configured."""
    lab = Lab()
    daemon = Daemon(lab, config=collector(extra=True, element=[
        {"enterprise": 0, "id": 30001, "column": "in_vrf"},
        {"enterprise": 4242, "id": 7, "column": "application"},
        {"enterprise": 4242, "id": 8, "column": "next_hop"}]))
    fields = struct.pack("!HH", 257, len(ipfix.USUAL) + 5) + b"".join(
        struct.pack("!HH", *field) for field in ipfix.USUAL + (
            (30001, 3), (30002, 2))) + b"".join(
        struct.pack("!HHI", 0x8000 | number, size, 4242)
        for number, size in ((7, 65535), (8, 16), (9, 65535)))
    payload = record() + struct.pack("!I", 77)[1:] + b"\xab\xcd" \
        + b"\x03web" + socket.inet_pton(socket.AF_INET6, "2001:db8::9") \
        + b"\x02\x01\x02"
    exporter = ipfix.udp(lab.name, "127.0.0.1")
    exporter.sendto(message(ipfix.a_set(2, fields), data(payload, number=257)),
                    ("127.0.0.1", 4739))
    await_total(daemon, 1, 1)
    by = ["in_vrf", "application", "next_hop", "extra"]
    rows = daemon.flows(by=by, metrics=["flows"])
    equal([[row[name] for name in by] for row in rows],
          [[77, "web", "2001:db8::9", "0/30002=abcd 4242/9=0102"]], "columns")
    # Not any more; elements are for the start.
    daemon.rpc("config.edit", config={"venturi:venturi": {"collector": {
        "extra": False}}})
    exporter.sendto(message(data(payload, number=257), seq=1),
                    ("127.0.0.1", 4739))
    await_total(daemon, 2, 2)
    equal(sorted(str(row["extra"]) for row in daemon.flows(
        by=["extra"], metrics=["flows"])),
        ["0/30002=abcd 4242/9=0102", "None"], "extra")
    try:
        daemon.rpc("config.edit", config={"venturi:venturi": {"collector": {
            "element": [{"enterprise": 4242, "id": 9, "column": "url"}]}}})
        raise Failure("elements changed at run time")
    except RpcError as error:
        if "collector/element" not in str(error):
            raise
    daemon.stop()


def test_spoofed_exporters():
    """Exporters beyond the limit are counted; the known one is unaffected."""
    lab = Lab()
    daemon = Daemon(lab, config=dict(collector(
        **{"max-sources": 1000, "receive-buffer": "64MiB"})))
    known = ipfix.udp(lab.name, "127.0.0.1")
    known.sendto(message(template(), data(record())), ("127.0.0.1", 4739))
    await_total(daemon, 1, 1)
    before = rss(daemon)
    spoof = ipfix.udp(lab.name)
    payload = message(template(), data(record()))
    n = 100000
    counters = {}

    def dropped():
        return sum(entry["kernel_drops"] for entry in
                   daemon.rpc("system.info")["listen"])

    for i in range(n):
        address = bytes([127, 10 + (i >> 16), i >> 8 & 255, i & 255])
        pktinfo = b"\0\0\0\0" + address + b"\0\0\0\0"
        spoof.sendmsg([payload], [(socket.IPPROTO_IP, IP_PKTINFO, pktinfo)], 0, ("127.0.0.1", 4739))
        if i % 2000 == 0:       # As fast as it reads.
            wait_until(lambda: daemon.rpc("system.info")["counters"]
                       ["decoder"]["datagrams"] + dropped() > i)
    known.sendto(message(data(record()), seq=1), ("127.0.0.1", 4739))

    def all_there():
        counters.update(daemon.rpc("system.info")["counters"]["decoder"])
        return counters["datagrams"] + dropped() == n + 2
    wait_until(all_there, what=lambda: "every datagram: %s" % counters)
    equal(dropped(), 0, "datagrams dropped by the kernel")
    equal(counters["source_limit"], n - 999, "datagrams of too many sources")
    equal(daemon.rpc("exporter.list", limit=1)["total"], 1000, "exporters")
    wait_until(lambda: [r["flows"] for r in daemon.flows(
        by=["exporter"], metrics=["flows"], limit=2000)
        if r["exporter"] == "127.0.0.1"] == [2],
        what="both flows of the known exporter")
    grown = rss(daemon) - before
    print("%d spoofed exporters: resident memory %+.1f MB" % (n, grown / 1e6))
    check_growth(daemon, before, 64 << 20)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "openssl"))
