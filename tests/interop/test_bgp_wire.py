#!/usr/bin/env python3
"""What BGP and BMP agree on, octet by octet on the wire: each RFC that real
peers use too rarely to rely on them here."""
# timeout: 300

import os
import socket
import ssl
import struct

from bgp_peer import (AS4, CAPS, GOOD, KEEPALIVE, MP4, MP6, NET,
                      NEXT_HOP, NOTIFICATION, OPEN, ORIGIN, OURS, REFRESH,
                      UPDATE, BgpLab, Peer, attribute, await_state, daemon,
                      message, neighbor, open_body, routes, update)
from harness import Client, equal, main, wait_until

EDGE = {"address": "10.0.0.2", "remote-as": 65001, "passive": True}
END_OF_RIB = message(UPDATE, b"\0\0\0\0")


def capability(code, value=b""):
    return bytes((code, len(value))) + value


def lookup(venturid, address, **kwargs):
    return venturid.rpc("route.lookup", address=address, **kwargs)["routes"]


def nets(n, first=11):
    """NLRI of so many /24."""
    return b"".join(bytes((24, first + (i >> 16), i >> 8 & 255, i & 255))
                    for i in range(n))


def collide(lab, listener, ident):
    """Two connections at once, OPENs of 'ident' on both; the one that
    venturid made, and the one that it got."""
    theirs, _ = listener.accept()
    theirs.settimeout(20)
    out = Peer.__new__(Peer)
    out.socket, out.rest = theirs, b""
    equal(out.receive()[0], OPEN, "its OPEN")
    into = Peer(lab)
    into.send(message(OPEN, open_body(caps=AS4, ident=ident)))
    equal(into.receive()[0], OPEN, "its OPEN on the other")
    equal(into.receive()[0], KEEPALIVE, "it agrees on the one that it got")
    out.send(message(OPEN, open_body(caps=AS4, ident=ident)))
    return out, into


def test_collision():
    """RFC 4271 section 6.8: of two connections the one stays that the side
    with the higher identifier made."""
    lab = BgpLab()
    listener = lab.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("10.0.0.2", 179))
    listener.listen(5)
    listener.settimeout(20)
    venturid = daemon(lab, [dict(EDGE, passive=False, **{
        "source-address": OURS, "connect-retry": 1})])
    # 10.0.0.1 is ours: the peer's is higher, then lower.
    for ident, keeps_ours in (("10.0.0.2", False), ("9.0.0.1", True)):
        out, into = collide(lab, listener, ident)
        loser, winner = (into, out) if keeps_ours else (out, into)
        equal(loser.verdict(), (6, 7, b""), "the one that goes")
        winner.send(message(KEEPALIVE))
        await_state(venturid, "10.0.0.2")
        winner.send(update(GOOD, NET))
        routes(venturid, "10.0.0.2", 1)
        equal(neighbor(venturid, "10.0.0.2")["counters"]["collisions"],
              1 + keeps_ours, "collisions")
        venturid.rpc("bgp.reset", address="10.0.0.2")
        equal(winner.verdict()[:2], (6, 4), "reset")
        out.close()
        into.close()
    venturid.stop()


def test_capabilities():
    """Extended messages, next hops of IPv6 for IPv4, hostname, role, OTC,
    an AS that does not fit, and what nobody knows."""
    lab = BgpLab()
    asn = 4200000001
    venturid = daemon(lab, [dict(EDGE, **{"remote-as": asn,
                                          "role": "customer"})])
    caps = (MP4 + MP6 + capability(65, struct.pack(">I", asn))
            + capability(6) + capability(5, struct.pack(">HHH", 1, 1, 2))
            + capability(9, b"\0") + capability(73, b"\x04edge\x03net")
            + capability(200, b"whatever"))
    peer = Peer(lab)
    # RFC 6793: AS_TRANS stands where four octets have no room.
    peer.send(message(OPEN, open_body(asn=23456, caps=caps))
              + message(KEEPALIVE))
    entry = await_state(venturid, "10.0.0.2")
    equal((entry["remote_as"], entry["extended_messages"]), (asn, True),
          "agreed")
    told = entry["capabilities"]
    equal((told["hostname"], told["domain"], told["role"], told["unknown"]),
          ("edge", "net", "provider", 1), "capabilities")
    # RFC 8654: 60,000 octets.
    path = attribute(0x40, 2, struct.pack(">BBI", 2, 1, asn))
    big = update(ORIGIN + path + NEXT_HOP, nets(14900))
    equal(len(big) > 59000, True, "size")
    peer.send(big)
    routes(venturid, "10.0.0.2", 14900)
    # RFC 8950, and RFC 9234: OTC.
    hop = socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    peer.send(update(ORIGIN + path + attribute(
        0x80, 14, b"\0\x01\x01\x10" + hop + b"\0" + NET)
        + attribute(0xc0, 35, struct.pack(">I", asn))))
    routes(venturid, "10.0.0.2", 14901)
    route = lookup(venturid, "203.0.113.9")[0]
    equal((route["next_hop"], route["only_to_customer"], route["origin_as"]),
          ("2001:db8::1", asn, asn), "next hop of IPv6")
    # Unknown attributes are kept or skipped.
    peer.send(update(ORIGIN + path + NEXT_HOP + attribute(0xc0, 250, b"x")
                     + attribute(0x80, 251, b"y"), bytes((8, 12))))
    routes(venturid, "10.0.0.2", 14902)
    equal(neighbor(venturid, "10.0.0.2")["counters"]["attributes_unknown"], 2,
          "unknown attributes")
    # RFC 9003: why, in its own words, be they good UTF-8 or not.
    peer.send(message(NOTIFICATION, b"\x06\x02\x0bsee you \xc3\xbc\xff"))
    error = wait_until(lambda: neighbor(venturid, "10.0.0.2")["last_error"])
    equal(error["text"],
          "Cease: Administrative Shutdown (see you \u00fc?)", "why")
    equal(error["sent"], False, "who said so")
    venturid.stop()


def test_two_octets():
    """A peer without four-octet AS numbers: AS4_PATH is put together."""
    lab = BgpLab()
    venturid = daemon(lab, [EDGE])
    peer = Peer(lab)
    peer.send(message(OPEN, open_body()) + message(KEEPALIVE))
    entry = await_state(venturid, "10.0.0.2")
    equal(entry["four_octet_as"], False, "two octets")
    peer.send(update(ORIGIN + NEXT_HOP + attribute(
        0x40, 2, struct.pack(">BBHHH", 2, 3, 65001, 23456, 23456))
        + attribute(0xc0, 17, struct.pack(">BBII", 2, 2, 4200000001,
                                          4200000002)), NET))
    routes(venturid, "10.0.0.2", 1)
    equal(lookup(venturid, "203.0.113.1")[0]["as_path"],
          "65001 4200000001 4200000002", "path")
    venturid.stop()


def test_refresh():
    """RFC 7313: what is not told again between the marks goes; a refresh
    that we ask for has the right form."""
    lab = BgpLab()
    venturid = daemon(lab, [EDGE])
    peer = Peer(lab)
    peer.establish(CAPS + capability(70))
    peer.send(update(GOOD, NET + bytes((8, 11))) + END_OF_RIB)
    routes(venturid, "10.0.0.2", 2)
    venturid.rpc("bgp.refresh", address="10.0.0.2")
    got = peer.receive()
    while got[0] != REFRESH:
        got = peer.receive()
    equal(got[1], b"\0\x01\0\x01", "what is asked for")
    peer.send(message(REFRESH, b"\0\x01\x01\x01"))      # It begins.
    wait_until(lambda: lookup(venturid, "11.0.0.1")[0]["stale"],
               what="stale")
    peer.send(update(GOOD, NET))
    routes(venturid, "10.0.0.2", 2)
    peer.send(message(REFRESH, b"\0\x01\x02\x01"))      # It ends.
    routes(venturid, "10.0.0.2", 1)
    equal(lookup(venturid, "11.0.0.1"), [], "the other")
    equal(neighbor(venturid, "10.0.0.2")["state"], "Established", "state")
    peer.close()
    venturid.stop()


def test_long_lived():
    """RFC 4724 and 9494: routes of one who went wait a while, stale, and then
    for the long-lived time; one that says NO_LLGR does not."""
    lab = BgpLab()
    venturid = daemon(lab, [EDGE])
    caps = (CAPS + capability(64, b"\0\x01" + b"\0\x01\x01\x80")
            + capability(71, b"\0\x01\x01\x80\0\x0e\x10"))
    peer = Peer(lab)
    peer.establish(caps)
    no_llgr = attribute(0xc0, 8, b"\xff\xff\x00\x07")
    peer.send(update(GOOD, NET) + update(GOOD + no_llgr, bytes((8, 11)))
              + END_OF_RIB)
    routes(venturid, "10.0.0.2", 2)
    peer.close()
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["state"]
               != "Established")
    # Its restart time was one second.
    routes(venturid, "10.0.0.2", 1)
    stale = lookup(venturid, "203.0.113.1")[0]
    equal(stale["stale"], True, "stale")
    peer = Peer(lab)
    peer.establish(caps)
    peer.send(update(GOOD, bytes((8, 12))) + END_OF_RIB)
    wait_until(lambda: lookup(venturid, "203.0.113.1") == []
               and len(lookup(venturid, "12.0.0.1")) == 1,
               what="the new ones alone")
    peer.close()
    venturid.stop()


def test_leaks():
    """RFC 9234: ONLY_TO_CUSTOMER from a customer, or from a peer that did not
    put it there, marks a leak, which comes after all other routes."""
    lab = BgpLab()
    venturid = daemon(lab, [
        dict(EDGE, role="provider"),
        {"address": "10.0.0.3", "remote-as": 65003, "passive": True,
         "role": "peer"},
        {"address": "10.0.0.4", "remote-as": 65004, "passive": True}])

    def path(*numbers):
        return attribute(0x40, 2, struct.pack(">BB%dI" % len(numbers), 2,
                                              len(numbers), *numbers))

    def otc(asn):
        return attribute(0xc0, 35, struct.pack(">I", asn))
    peers = {}
    for last in (2, 3, 4):
        address, asn = "10.0.0.%d" % last, 65001 if last == 2 else 65000 + last
        peer = peers[last] = Peer(lab, address)
        peer.send(message(OPEN, open_body(
            asn=asn, ident=address,
            caps=MP4 + capability(65, struct.pack(">I", asn))))
                  + message(KEEPALIVE))
        await_state(venturid, address)
    first, second = bytes((24, 11, 0, 0)), bytes((24, 11, 0, 1))
    peers[4].send(update(ORIGIN + path(65004, 9, 8, 7) + NEXT_HOP, first))
    routes(venturid, "10.0.0.4", 1)
    # A customer: any OTC. No OTC is no leak.
    peers[2].send(update(ORIGIN + path(65001) + NEXT_HOP + otc(65001), first)
                  + update(ORIGIN + path(65001) + NEXT_HOP, second))
    # A peer: another AS than its own.
    peers[3].send(update(ORIGIN + path(65003) + NEXT_HOP + otc(65003), second)
                  + update(ORIGIN + path(65003) + NEXT_HOP + otc(64777),
                           first))
    routes(venturid, "10.0.0.2", 2)
    routes(venturid, "10.0.0.3", 2)

    def found(address):
        return [(r["as_path"], r.get("leak", False), r["best"])
                for r in lookup(venturid, address)]
    equal(sorted(found("11.0.0.1")), [
        ("65001", True, False), ("65003", True, False),
        ("65004 9 8 7", False, True)], "the longer one that is no leak")
    equal(sorted(found("11.0.1.1")), [
        ("65001", False, True), ("65003", False, False)], "no leaks")
    equal([neighbor(venturid, "10.0.0.%d" % i)["counters"]["leaks"]
           for i in (2, 3, 4)], [1, 1, 0], "counted")

    def told():
        return [text for text in map(str, venturid.rpc(
            "event.list", kinds=["bgp.warning"])["events"])
                if "ONLY_TO_CUSTOMER" in text]
    wait_until(lambda: len(told()) == 2, what=lambda: str(told()))
    # Its only route: it is what there is.
    peers[4].send(update(withdrawn=first))
    peers[3].send(update(withdrawn=first))
    wait_until(lambda: found("11.0.0.1") == [("65001", True, True)], 20,
               lambda: str(found("11.0.0.1")))
    # The history has it, and that a route became one.
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]["leaks"]
               == 1)
    peers[2].send(END_OF_RIB
                  + update(ORIGIN + path(65001) + NEXT_HOP, first)
                  + update(ORIGIN + path(65001) + NEXT_HOP + otc(65001),
                           first))
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]["leaks"]
               == 2)

    def changes():
        return [(c["before"].get("leak"), c["after"].get("leak"),
                 "leak" in c["changed"])
                for c in venturid.rpc("route.history", kinds=["change"],
                                      prefix="11.0.0.0/24",
                                      peer="10.0.0.2")["changes"]]
    wait_until(lambda: sorted(changes(), key=str) == [
        (None, True, True), (True, None, True)], 20, lambda: str(changes()))
    venturid.stop()


def gtsm(v6):
    lab = BgpLab()
    ours, theirs = ("fd00::1", "fd00::2") if v6 else (OURS, "10.0.0.2")
    family = socket.AF_INET6 if v6 else socket.AF_INET
    venturid = daemon(lab, [dict(EDGE, address=theirs,
                                 **{"ttl-security": 1})])

    def connect(hops):
        s = lab.socket(family)
        if v6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, hops)
        else:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)
        s.bind((theirs, 0))
        s.settimeout(20)
        s.connect((ours, 179))
        peer = Peer.__new__(Peer)
        peer.socket, peer.rest = s, b""
        return peer
    far = connect(254)
    far.socket.settimeout(1)
    try:
        far.send(message(OPEN, open_body(caps=CAPS)) + message(KEEPALIVE))
    except OSError:
        pass                    # It is closed already.
    equal(far.receive(), None, "an answer to one who is far")
    near = connect(255)
    near.establish()
    entry = await_state(venturid, theirs)
    equal(entry["ttl_security"], 1, "ttl_security")
    equal(entry["counters"]["opens_in"], 1, "OPENs that were read")
    venturid.stop()


def test_gtsm():
    """RFC 5082: who is further away than said does not even connect."""
    gtsm(False)


def test_gtsm_ipv6():
    gtsm(True)


def test_table_full():
    """More prefixes than there is memory for: refused and counted, and
    everybody else goes on."""
    lab = BgpLab()
    venturid = daemon(lab, [dict(EDGE, **{"max-prefixes": 4000000})],
                      expect=[r"\|WARN\|"])
    venturid.rpc("config.edit", config={"venturi:venturi": {
        "routes": {"memory": "16MiB"}}})
    peer = Peer(lab)
    peer.establish(CAPS + capability(6))
    peer.send(update(GOOD, bytes((8, 9))))
    n = 16000
    for i in range(40):                 # 640,000 of them.
        path = attribute(0x40, 2, struct.pack(">BBII", 2, 2, 65001, 1 + i))
        peer.send(update(ORIGIN + path + NEXT_HOP,
                         b"".join(bytes((24, 16 + (k >> 16), k >> 8 & 255,
                                         k & 255))
                                  for k in range(i * n, i * n + n))))
    peer.send(END_OF_RIB)
    entry = wait_until(lambda: neighbor(venturid, "10.0.0.2")["complete"]
                       and neighbor(venturid, "10.0.0.2"), 60, "End-of-RIB")
    equal(entry["counters"]["announced"], 640001, "announced")
    have = entry["routes"]["ipv4-unicast"]
    equal(10000 < have < 600000, True, "%d routes" % have)
    equal(len(lookup(venturid, "9.1.2.3")), 1, "the first")
    equal(entry["state"], "Established", "state")
    venturid.stop()


# ---- BMP. ----

def bmp(kind, body, version=3):
    return struct.pack(">BIB", version, 6 + len(body), kind) + body


def tlv(kind, value):
    return struct.pack(">HH", kind, len(value)) + value


def per_peer(kind=0, flags=0, address="192.0.2.1", asn=65001):
    return (struct.pack(">BB8s", kind, flags, b"") + b"\0" * 12
            + socket.inet_aton(address) + struct.pack(">I", asn)
            + socket.inet_aton(address) + struct.pack(">II", 1700000000, 0))


def peer_up(header):
    opens = message(OPEN, open_body(caps=CAPS))
    return bmp(3, header + b"\0" * 12 + socket.inet_aton("192.0.2.254")
               + struct.pack(">HH", 179, 4000) + opens + opens)


def certificate(lab):
    key, cert = os.path.join(lab.dir, "key.pem"), os.path.join(lab.dir,
                                                               "cert.pem")
    lab.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=router", "-addext", "subjectAltName=IP:10.0.0.1", "-keyout",
            key, "-out", cert)
    os.chmod(key, 0o644)
    os.chmod(lab.dir, 0o755)
    return key, cert


def test_no_descriptors():
    """Without a file descriptor to accept with, listeners rest instead of being
    told of the same connection in each turn of the loop; then they go on."""
    lab = BgpLab()
    venturid = daemon(lab, [EDGE], bmp={"listen": [OURS + ":11019"]},
                      expect=[".*"], start=False)
    venturid.command = ["prlimit", "--nofile=200:200", "--", *venturid.command]
    venturid.start()
    client = venturid.client

    def refused():
        return client.call("system.info")["counters"]["api"]["no_descriptor"]
    others = []
    while not refused():
        others.append(Client(venturid.api))

    def failed():
        return (client.call("bgp.neighbors")["counters"]["bad_sockets"],
                client.call("bmp.routers")["counters"]["bad_sockets"])
    peer = Peer(lab)
    router = lab.socket()
    router.settimeout(20)
    router.connect((OURS, 11019))
    router.sendall(bmp(4, tlv(2, b"r1")))
    before = wait_until(lambda: all(failed()) and failed(),
                        what="both to be in need")
    for _ in range(100):
        after = failed()
    equal([b - a < 50 for a, b in zip(before, after)], [True, True],
          "they rest: %s %s" % (before, after))
    for other in others:
        other.close()
    peer.establish()
    await_state(venturid, "10.0.0.2")
    wait_until(lambda: [r for r in client.call("bmp.routers")["routers"]
                        if r["name"] == "r1"], what="the BMP router")
    router.close()
    venturid.stop()


def test_bmp_tls():
    """BMP over TLS with a certificate of the router's, all messages and all
    five tables; who has no certificate, or talks no TLS, gets nowhere."""
    lab = BgpLab()
    key, cert = certificate(lab)
    venturid = daemon(lab, bmp={
        "views": ["in-pre", "in-post", "out-pre", "out-post", "local"],
        "tls": {"listen": [OURS + ":11020"], "certificate": cert,
                "private-key": key, "ca": cert}}, expect=[r"\|WARN\|"])

    def connect(with_certificate=True):
        context = ssl.create_default_context(cafile=cert)
        context.check_hostname = True
        if with_certificate:
            context.load_cert_chain(cert, key)
        raw = lab.socket()
        raw.settimeout(20)
        raw.connect((OURS, 11020))
        return context.wrap_socket(raw, server_hostname="10.0.0.1")

    def ended(stream):
        try:
            while stream.recv(4096):
                pass
        except OSError:
            pass
    plain = lab.socket()
    plain.settimeout(20)
    plain.connect((OURS, 11020))
    plain.sendall(bmp(4, tlv(2, b"plain")))
    ended(plain)
    try:
        nobody = connect(with_certificate=False)
        nobody.sendall(bmp(4, tlv(2, b"nobody")))
        ended(nobody)
    except (ssl.SSLError, OSError):
        pass
    equal(venturid.rpc("bmp.routers")["routers"], [], "refused")
    router = connect()
    route = update(GOOD, NET)
    router.sendall(bmp(4, tlv(1, b"a router") + tlv(2, b"r1")))
    router.sendall(peer_up(per_peer()))
    for flags in (0, 0x40, 0x10, 0x50):
        router.sendall(bmp(0, per_peer(flags=flags) + route))
    # RFC 9069: a Loc-RIB, with its name.
    local = per_peer(kind=3, address="0.0.0.0", asn=65000)
    opens = message(OPEN, open_body(asn=65000, caps=CAPS))
    router.sendall(bmp(3, local + b"\0" * 20 + opens + opens
                       + tlv(3, b"global")))
    router.sendall(bmp(0, local + route))
    router.sendall(bmp(1, per_peer() + struct.pack(">I", 2)
                       + tlv(7, struct.pack(">Q", 42))
                       + tlv(999, b"what")))
    router.sendall(bmp(6, per_peer() + tlv(0, route) + tlv(1, b"\0\0")))

    def tables():
        found = {}
        for r in venturid.rpc("bmp.routers")["routers"]:
            for p in r["peers"]:
                found.update({(p["address"], view): n["ipv4-unicast"]
                              for view, n in p["routes"].items()
                              if n.get("ipv4-unicast")})
        return found
    wait_until(lambda: len(tables()) == 5, what=lambda: str(
        venturid.rpc("bmp.routers")))
    entry = wait_until(lambda: [
        r for r in venturid.rpc("bmp.routers")["routers"]
        if r["counters"]["mirrored"]], what=lambda: str(
            venturid.rpc("bmp.routers")))[0]
    equal(entry["name"], "r1", "name")
    # The routes of all tables, by name.
    equal(len({(r["peer"]) for r in lookup(venturid, "203.0.113.1")}) >= 4,
          True, "routes of all tables")
    # Version 4: what is around a BGP message is passed over.
    router.sendall(bmp(0, per_peer() + tlv(9, b"zz") + tlv(1, update(
        GOOD, bytes((8, 13)))), version=4))
    # Octets that are none end it, after what was good.
    router.sendall(b"\xff" * 64)
    ended(router)
    wait_until(lambda: not [r for r in venturid.rpc("bmp.routers")["routers"]
                            if r.get("state") == "up"
                            and r["peers"]
                            and any(p["state"] == "up" for p in r["peers"])],
               what=lambda: str(venturid.rpc("bmp.routers")))
    wait_until(lambda: lookup(venturid, "203.0.113.1") == [],
               what="its routes are gone")
    venturid.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
