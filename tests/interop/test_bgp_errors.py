#!/usr/bin/env python3
"""A BGP peer that does everything wrong, on the wire: each class of error of
RFC 4271 section 6 and RFC 7606 gets the answer that is right, and a peer that
floods, stalls or flaps does not keep others from their session."""
# timeout: 600

import os
import re
import shutil
import struct
import time

from bgp_peer import (AS4, AS_PATH, BgpLab, CAPS, GOOD, KEEPALIVE, MARKER,
                      MP4, NET, NEXT_HOP, OPEN, ORIGIN, OURS, Peer, REFRESH, UPDATE,
                      attribute, await_state, daemon, message, neighbor,
                      open_body, routes, update)
from harness import Failure, Process, Skip, equal, main, wait_until

BAD = {"address": "10.0.0.2", "remote-as": 65001, "passive": True}
BIRD, FRR = "/usr/sbin/bird", "/usr/lib/frr"
OTHER = {"address": "10.0.0.3", "remote-as": 65003, "passive": True}


def calm(venturid):
    """Flaps of before are forgiven: they are what is tested here."""
    venturid.rpc("bgp.reset", address="10.0.0.2")


def test_open():
    """OPEN and header errors."""
    lab = BgpLab()
    venturid = daemon(lab, [dict(BAD, role="customer")])
    header = b"\xfe" + MARKER[1:]
    cases = [
        ("marker", header + struct.pack(">HB", 19, 4), (1, 1, b"")),
        ("length", MARKER + struct.pack(">HB", 18, 4), (1, 2, b"\0\x12")),
        ("long", MARKER + struct.pack(">HB", 4097, 2), (1, 2, b"\x10\x01")),
        ("keepalive", MARKER + struct.pack(">HB", 20, 4) + b"x",
         (1, 2, b"\0\x14")),
        ("type", MARKER + struct.pack(">HB", 19, 9), (1, 3, b"\x09")),
        ("version", message(OPEN, open_body(version=3)), (2, 1, b"\0\x04")),
        ("AS", message(OPEN, open_body(asn=65009)), (2, 2, b"")),
        ("AS 0", message(OPEN, open_body(asn=0)), (2, 2, b"")),
        ("id", message(OPEN, open_body(ident="0.0.0.0")), (2, 3, b"")),
        ("option", message(OPEN, open_body()[:-1] + b"\x02\x01\0"),
         (2, 4, b"")),
        ("hold", message(OPEN, open_body(hold=2)), (2, 6, b"")),
        ("malformed", message(OPEN, open_body(caps=b"\x41\x02\0\0")),
         (2, 0, b"")),
        ("family", message(OPEN, open_body(caps=bytes((1, 4, 0, 25, 0, 70)))),
         (2, 7, bytes((1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1)))),
        ("role", message(OPEN, open_body(caps=bytes((9, 1, 4)))),
         (2, 11, b"")),
        ("keepalive first", message(KEEPALIVE), (5, 1, b"")),
        ("update first", update(GOOD, NET), (5, 1, b"")),
        ("two opens", 2 * message(OPEN, open_body(caps=AS4)), (5, 2, b"")),
    ]
    for what, data, wanted in cases:
        peer = Peer(lab)
        peer.send(data)
        equal(peer.verdict(), wanted, what)
        equal(peer.receive(), None, "after " + what)
        peer.close()
    error = neighbor(venturid, "10.0.0.2")["last_error"]
    equal(error["text"], "Finite State Machine Error: Unexpected Message in "
          "OpenConfirm State", "last error")
    equal(error["sent"], True, "sent")
    venturid.stop()


MP = bytes((0, 2, 1))

# What ends a session: RFC 4271 section 6 and what RFC 7606 leaves of it; with
# code, subcode and data of the answer.
RESETS = {
    "marker": (b"\0" + MARKER[1:] + struct.pack(">HB", 19, 4), (1, 1, b"")),
    "length 18": (MARKER + struct.pack(">HB", 18, 4), (1, 2, b"\0\x12")),
    "length 4097": (MARKER + struct.pack(">HB", 4097, 2),
                    (1, 2, b"\x10\x01")),
    "OPEN of 28": (message(OPEN, b"\4" + 8 * b"\0"), (1, 2, b"\0\x1c")),
    "UPDATE of 22": (message(UPDATE, b"\0\0\0"), (1, 2, b"\0\x16")),
    "NOTIFICATION of 20": (message(3, b"\6"), (1, 2, b"\0\x14")),
    "KEEPALIVE of 20": (message(KEEPALIVE, b"x"), (1, 2, b"\0\x14")),
    "type 0": (message(0), (1, 3, b"\0")),
    "type 9": (message(9), (1, 3, b"\x09")),
    "withdrawn too long": (message(UPDATE, b"\0\x05\0\0"), (3, 1, b"")),
    "attributes too long": (message(UPDATE, b"\0\0\0\x05"), (3, 1, b"")),
    "unknown well-known": (update(GOOD + attribute(0x40, 247, b""), NET),
                           (3, 2, attribute(0x40, 247, b""))),
    "prefix of 33": (update(GOOD, bytes((33, 1, 2, 3, 4, 5))),
                     (3, 10, b"")),
    "cut prefix": (update(GOOD, bytes((24, 1, 2))), (3, 10, b"")),
    "withdrawn of 33": (update(withdrawn=bytes((33, 1, 2, 3, 4, 5))),
                        (3, 10, b"")),
    "MP_UNREACH twice": (update(2 * attribute(0x80, 15, MP)),
                         (3, 1, attribute(0x80, 15, MP))),
    "MP_REACH twice": (update(GOOD + 2 * attribute(
        0x80, 14, MP + b"\x10" + 16 * b"\x20" + b"\0")), (
            3, 1, attribute(0x80, 14, MP + b"\x10" + 16 * b"\x20" + b"\0"))),
    "MP next hop of 3": (update(GOOD + attribute(0x80, 14,
                                                 MP + b"\x03abc\0")),
                         (3, 9, attribute(0x80, 14, MP + b"\x03abc\0"))),
    "MP_REACH of 2": (update(GOOD + attribute(0x80, 14, b"\0\x02")),
                      (3, 9, attribute(0x80, 14, b"\0\x02"))),
    "MP_UNREACH of 2": (update(attribute(0x80, 15, b"\0\x02")),
                        (3, 9, attribute(0x80, 15, b"\0\x02"))),
    "MP prefix of 129": (update(GOOD + attribute(
        0x80, 14, MP + b"\x10" + 16 * b"\x20" + b"\0\x81" + 17 * b"x")),
                         (3, 9, b"")),
    "nothing to withdraw": (update(attribute(0x40, 1, b"\x07")),
                            (3, 6, attribute(0x40, 1, b"\x07"))),
    "OPEN again": (message(OPEN, open_body(caps=CAPS)), (5, 3, b"")),
    "ROUTE-REFRESH of 22": (message(REFRESH, b"\0\x01\0"),
                            (7, 1, message(REFRESH, b"\0\x01\0"))),
}

# (venturid, BIRD, FRR) where they differ: of those two Debian has 2.0.12 and
# 8.4.4.
OTHERWISE = {
    # RFC 4271 section 6.1 checks lengths before the state; BIRD does not check
    # that of KEEPALIVE.
    "OPEN of 28": ((1, 2), (5, 3), (1, 2)),
    "KEEPALIVE of 20": ((1, 2), "kept", (1, 2)),
    # 6.3: Unrecognized Well-known Attribute, with which words both disagree.
    "unknown well-known": ((3, 2), "withdrawn", (3, 1)),
    "cut prefix": ((3, 10), (3, 1), (3, 10)),
    # RFC 7606 section 3 g, 7.11: both end it, other subcodes; a next hop that
    # cannot be BIRD passes over.
    "MP_REACH twice": ((3, 1), (3, 1), (3, 10)),
    "MP next hop of 3": ((3, 9), "kept", (3, 1)),
    "MP_REACH of 2": ((3, 9), (3, 9), (3, 1)),
    "MP_UNREACH of 2": ((3, 9), (3, 9), (3, 1)),
    "MP prefix of 129": ((3, 9), (3, 10), (3, 9)),
    # 5.2
    "nothing to withdraw": ((3, 6), (3, 1), "kept"),
    # RFC 6608; RFC 7313 section 5, which both do not follow here.
    "OPEN again": ((5, 3), (5, 3), "closed"),
    "ROUTE-REFRESH of 22": ((7, 1), (1, 2), (1, 2)),
    # 7.1 to 7.3: withdrawn; that FRR loses the place of the routes then.
    "ORIGIN 5": ("withdrawn", "withdrawn", (3, 10)),
    "ORIGIN of 0": ("withdrawn", "withdrawn", (3, 10)),
    "ORIGIN of 2": ("withdrawn", "withdrawn", (3, 10)),
    "ORIGIN optional": ("withdrawn", "withdrawn", (3, 10)),
    "AS_PATH too short": ("withdrawn", "withdrawn", (3, 10)),
    "AS_PATH with a rest": ("withdrawn", "withdrawn", (3, 10)),
    "AS_PATH type 9": ("withdrawn", "withdrawn", (3, 10)),
    "AS_PATH empty segment": ("withdrawn", "withdrawn", (3, 10)),
    # RFC 7607; a NEXT_HOP that is no host: RFC 4271 section 6.3, 7606 7.3.
    "AS_PATH AS 0": ("withdrawn", "kept", "withdrawn"),
    "NEXT_HOP 0.0.0.0": ("withdrawn", "withdrawn", (3, 8)),
    "NEXT_HOP 224.0.0.1": ("withdrawn", "kept", (3, 8)),
    # 4
    "longer than all": ("withdrawn", "withdrawn", (3, 5)),
    "no room for a length": ("withdrawn", "withdrawn", (3, 5)),
    # 3 g, 7.9, 7.10
    "ORIGIN twice": ("kept", "kept", (3, 1)),
    "ORIGINATOR_ID from outside": ("kept", "kept", "withdrawn"),
    "CLUSTER_LIST from outside": ("kept", "kept", "withdrawn"),
}

# Attributes whose route is treated as withdrawn (RFC 7606).
WITHDRAWN = {
    "ORIGIN 5": attribute(0x40, 1, b"\x05") + AS_PATH + NEXT_HOP,
    "ORIGIN of 0": attribute(0x40, 1, b"") + AS_PATH + NEXT_HOP,
    "ORIGIN of 2": attribute(0x40, 1, b"\0\0") + AS_PATH + NEXT_HOP,
    "ORIGIN optional": attribute(0xc0, 1, b"\0") + AS_PATH + NEXT_HOP,
    "no ORIGIN": AS_PATH + NEXT_HOP,
    "no AS_PATH": ORIGIN + NEXT_HOP,
    "no NEXT_HOP": ORIGIN + AS_PATH,
    "AS_PATH too short": ORIGIN + attribute(
        0x40, 2, b"\x02\x02\0\0\xfd\xe9") + NEXT_HOP,
    "AS_PATH with a rest": ORIGIN + attribute(
        0x40, 2, b"\x02\x01\0\0\xfd\xe9\x02") + NEXT_HOP,
    "AS_PATH type 9": ORIGIN + attribute(
        0x40, 2, b"\x09\x01\0\0\xfd\xe9") + NEXT_HOP,
    "AS_PATH empty segment": ORIGIN + attribute(0x40, 2, b"\x02\0") + NEXT_HOP,
    "AS_PATH AS 0": ORIGIN + attribute(0x40, 2, b"\x02\x01\0\0\0\0")
    + NEXT_HOP,
    "NEXT_HOP of 3": ORIGIN + AS_PATH + attribute(0x40, 3, b"\x0a\0\0"),
    "NEXT_HOP 0.0.0.0": ORIGIN + AS_PATH + attribute(0x40, 3, b"\0\0\0\0"),
    "NEXT_HOP 224.0.0.1": ORIGIN + AS_PATH + attribute(0x40, 3,
                                                       b"\xe0\0\0\1"),
    "MED of 1": GOOD + attribute(0x80, 4, b"\0"),
    "MED transitive": GOOD + attribute(0xc0, 4, b"\0\0\0\1"),
    "COMMUNITIES of 3": GOOD + attribute(0xc0, 8, b"\0\0\0"),
    "COMMUNITIES of 0": GOOD + attribute(0xc0, 8, b""),
    "EXTENDED_COMMUNITIES of 9": GOOD + attribute(0xc0, 16, b"\0" * 9),
    "LARGE_COMMUNITIES of 11": GOOD + attribute(0xc0, 32, b"\0" * 11),
    "ONLY_TO_CUSTOMER of 1": GOOD + attribute(0xc0, 35, b"\0"),
    "longer than all": GOOD + b"\x80\x04\xff",
    "no room for a length": GOOD + b"\x80\x04",
}

# Attributes that are left out, and their route is kept.
DISCARDED = {
    "ATOMIC_AGGREGATE of 1": GOOD + attribute(0x40, 6, b"x"),
    "AGGREGATOR of 5": GOOD + attribute(0xc0, 7, b"\0" * 5),
    "AGGREGATOR AS 0": GOOD + attribute(0xc0, 7, b"\0\0\0\0\xc0\0\2\1"),
    "ORIGIN twice": GOOD + attribute(0x40, 1, b"\x01"),
    "LOCAL_PREF from outside": GOOD + attribute(0x40, 5, b"x"),
    "ORIGINATOR_ID from outside": GOOD + attribute(0x80, 9, b"x"),
    "CLUSTER_LIST from outside": GOOD + attribute(0x80, 10, b"x"),
    "AS4_PATH to one with four octets": GOOD + attribute(
        0xc0, 17, b"\x02\x01\0\0\xfd\xe9"),
}


def test_resets():
    """What ends a session, and with which words."""
    lab = BgpLab()
    venturid = daemon(lab, [BAD])
    for what, (data, wanted) in RESETS.items():
        calm(venturid)
        peer = Peer(lab)
        peer.establish()
        peer.send(data)
        equal(peer.verdict(), wanted, what)
        peer.close()
    # A NOTIFICATION that nobody knows is not answered, but it is the end.
    calm(venturid)
    peer = Peer(lab)
    peer.establish()
    peer.send(message(3, b"\x63\x63"))
    equal(peer.verdict(), None, "an unknown NOTIFICATION")
    equal(neighbor(venturid, "10.0.0.2")["last_error"]["text"],
          "Unknown Error: Unknown", "last error")
    venturid.stop()


def test_no_resets():
    """RFC 7606: what must not end a session."""
    lab = BgpLab()
    venturid = daemon(lab, [BAD])
    peer = Peer(lab)
    peer.establish()
    await_state(venturid, "10.0.0.2")
    for what, attributes in (WITHDRAWN | DISCARDED).items():
        peer.send(update(GOOD, NET))
        routes(venturid, "10.0.0.2", 1)
        peer.send(update(attributes, NET) + update(withdrawn=b"\x08\x0b"))
        routes(venturid, "10.0.0.2", 1 if what in DISCARDED else 0)
    # A discarded attribute leaves the route as it was: nothing to wait for
    # but the counter.
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]
               ["attributes_discarded"] >= len(DISCARDED))
    counters = neighbor(venturid, "10.0.0.2")["counters"]
    equal(counters["treated_as_withdrawn"], len(WITHDRAWN), "withdrawn")
    equal(counters["attributes_discarded"], len(DISCARDED), "discarded")
    # Only MP_UNREACH_NLRI, with wrong flags: what it withdraws is clear.
    peer.send(update(attribute(0xc0, 15, MP)))
    # RFC 4271 section 6.3: a prefix of no sense is left out.
    peer.send(update(GOOD, NET + bytes((8, 239, 24, 224, 0, 0, 3, 224))))
    routes(venturid, "10.0.0.2", 2)
    counters = neighbor(venturid, "10.0.0.2")["counters"]
    equal(counters["treated_as_withdrawn"], len(WITHDRAWN) + 1, "withdrawn")
    equal(counters["routes_skipped"], 2, "multicast")
    equal(counters["flaps"], 0, "flaps")
    peer.close()
    venturid.stop()


class Other:
    """A real router of AS 65000 that gets the same messages."""

    def __init__(self, lab):
        self.lab = lab

    def has(self, net):
        text = self.ask(net)
        return net in text and not re.search(r"not in table|not found", text)


class Bird(Other):
    name, address = "BIRD", "10.0.0.8"

    def __init__(self, lab):
        super().__init__(lab)
        self.control = os.path.join(lab.dir, "bird.ctl")
        conf = os.path.join(lab.dir, "bird.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("router id 10.0.0.8; protocol device {} protocol bgp p { "
                    "local 10.0.0.8 as 65000; neighbor 10.0.0.2 as 65001; "
                    "multihop; passive; strict bind; error wait time 1, 1; "
                    "ipv4 { import all; import table; export none; }; "
                    "ipv6 { import all; export none; }; }\n")
        Process("bird", [BIRD, "-f", "-c", conf, "-s", self.control, "-P",
                         self.control + ".pid"], self.control + ".log",
                lab.name)

    def ask(self, net):
        return self.lab.run("sh", "-c", "birdc -s %s show route import table "
                            "p.ipv4 %s || true" % (self.control, net))


class Frr(Other):
    name, address = "FRR", "10.0.0.9"

    def __init__(self, lab):
        super().__init__(lab)
        self.vty = os.path.join(lab.dir, "vty")
        os.mkdir(self.vty)
        shutil.chown(self.vty, "frr", "frr")
        os.chmod(lab.dir, 0o777)
        conf = os.path.join(lab.dir, "bgpd.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("""
router bgp 65000
 bgp router-id 10.0.0.9
 no bgp ebgp-requires-policy
 neighbor 10.0.0.2 remote-as 65001
 neighbor 10.0.0.2 ebgp-multihop
 neighbor 10.0.0.2 update-source 10.0.0.9
 neighbor 10.0.0.2 passive
 address-family ipv4 unicast
  neighbor 10.0.0.2 soft-reconfiguration inbound
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.0.2 activate
 exit-address-family
""")
        os.chmod(conf, 0o644)
        Process("bgpd", [FRR + "/bgpd", "-f", conf, "-Z", "-S", "-n", "-l",
                         "10.0.0.9", "--vty_socket", self.vty, "-i",
                         os.path.join(lab.dir, "bgpd.pid"), "-P", "0",
                         "--log", "file:" + os.path.join(self.vty, "log")],
                os.path.join(lab.dir, "bgpd.log"), lab.name)

    def ask(self, net):
        return self.lab.run(
            "sh", "-c", "vtysh --vty_socket %s -c 'show bgp ipv4 unicast "
            "neighbors 10.0.0.2 received-routes' || true" % self.vty)


class Ours(Other):
    name, address = "venturid", OURS

    def __init__(self, lab):
        super().__init__(lab)
        self.venturid = daemon(lab, [BAD])

    def ask(self, net):
        answer = self.venturid.rpc("route.table", limit=1000)
        return " ".join(r["prefix"] for r in answer["routes"])


def session_with(router):
    """A session, as soon as it wants one again."""
    def try_it():
        peer = None
        try:
            peer = Peer(router.lab, to=router.address)
            peer.socket.settimeout(2)
            peer.establish()
            return peer
        except (OSError, TypeError):    # Refused, or closed before.
            if peer:
                peer.close()
            return None
    return wait_until(try_it, 60, "a session with " + router.name)


def outcome(router, peer, data):
    """What becomes of a message: (code, subcode), "closed", "kept" or
    "withdrawn"."""
    net, mark = "203.0.113.0/24", "198.51.100.0/24"
    mark_nlri = bytes((24, 198, 51, 100))
    peer.socket.settimeout(20)
    peer.send(update(GOOD, NET) + update(withdrawn=mark_nlri))
    wait_until(lambda: router.has(net) and not router.has(mark), 20,
               lambda: "%s of %s: %s" % (net, router.name, router.ask(net)))
    peer.send(data)
    try:
        peer.send(update(GOOD, mark_nlri))
    except OSError:
        pass

    def end():
        peer.socket.settimeout(0.02)
        try:
            while True:
                got = peer.receive()
                if got is None:
                    return "closed"
                if got[0] == 3:
                    return tuple(got[1][:2])
        except TimeoutError:
            return None

    def seen():
        return end() or (router.has(mark)
                         and ("kept" if router.has(net) else "withdrawn"))
    return wait_until(seen, 20, "what becomes of it")


def test_as_others():
    """The same messages to BIRD and to FRR: the same answers, but for what is
    listed here."""
    for program in (BIRD, FRR + "/bgpd"):
        if not os.path.exists(program):
            raise Skip(program + " is not here")
    messages = {what: data for what, (data, _) in RESETS.items()}
    messages.update({what: update(attributes, NET) for what, attributes in
                     (WITHDRAWN | DISCARDED).items()})
    found = {}
    for cls in (Ours, Bird, Frr):
        router, peer = cls(BgpLab()), None
        for what, data in messages.items():
            if isinstance(router, Ours) and not peer:
                calm(router.venturid)
            peer = peer or session_with(router)
            got = outcome(router, peer, data)
            found.setdefault(what, []).append(got)
            if got not in ("kept", "withdrawn"):
                peer.close()
                peer = None
    wrong = ["%s: %s" % (what, got) for what, got in found.items()
             if tuple(got) != OTHERWISE.get(what, (got[0],) * 3)]
    equal(wrong, [], "others")


def test_bad_company():
    """One floods, one stalls, one flaps; a good one is served."""
    lab = BgpLab()
    venturid = daemon(lab, [dict(BAD, **{"max-prefixes": 1000}), OTHER,
                            dict(BAD, address="10.0.0.4"),
                            dict(BAD, address="10.0.0.5")])
    good = Peer(lab, "10.0.0.3")
    good.send(message(OPEN, open_body(asn=65003, ident="10.0.0.3",
                                      caps=MP4 + bytes((65, 4)) +
                                      struct.pack(">I", 65003)))
              + message(KEEPALIVE))
    await_state(venturid, "10.0.0.3")
    # Too many prefixes: Cease, and it may not come back.
    flood = Peer(lab)
    flood.establish()
    for i in range(30):
        nlri = b"".join(bytes((24, 11, i, k)) for k in range(200))
        try:
            flood.send(update(GOOD, nlri))
        except OSError:
            break
    code, subcode, data = flood.verdict()
    equal((code, subcode, data), (6, 1, b"\0\x01\x01" + struct.pack(
        ">I", 1000)), "too many prefixes")
    equal(Peer(lab).verdict()[:2], (6, 5), "not again")
    entry = neighbor(venturid, "10.0.0.2")
    equal(entry["waiting"], "it sent too many prefixes", "waiting")
    # One who asks and asks, and does not read the answers.
    stall = Peer(lab, "10.0.0.4", buffer=4096)
    stall.establish()
    ask = message(REFRESH, b"\0\x01\0\x01") * 1000
    with_end = time.monotonic() + 60
    try:
        while time.monotonic() < with_end:
            stall.send(ask)
    except OSError:
        pass
    wait_until(lambda: neighbor(venturid, "10.0.0.4")["state"]
               != "Established")
    equal(neighbor(venturid, "10.0.0.4")["last_error"]["text"],
          "the peer does not read", "why")
    # One who comes and goes: soon it is told to wait.
    last = None
    for _ in range(12):
        flap = Peer(lab, "10.0.0.5")
        flap.send(message(OPEN, open_body(caps=CAPS)) + message(KEEPALIVE))
        kind, body = flap.receive()
        last = (kind, body[:2])
        flap.close()
        wait_until(lambda: neighbor(venturid, "10.0.0.5")["state"]
                   in ("Idle", "Connect", "Active"))
        if kind == 3:
            break
    equal(last, (3, bytes((6, 5))), "the one who flaps")
    # Strangers.
    stranger = Peer(lab, "10.0.0.9")
    equal(stranger.verdict()[:2], (6, 5), "a stranger")
    good.send(update(ORIGIN + attribute(0x40, 2, struct.pack(
        ">BBI", 2, 1, 65003)) + NEXT_HOP, NET))
    routes(venturid, "10.0.0.3", 1)
    equal(neighbor(venturid, "10.0.0.3")["counters"]["flaps"], 0, "flaps")
    venturid.stop()


def test_configuration():
    """Neighbours come, change and go; the others notice nothing."""
    lab = BgpLab()
    venturid = daemon(lab, [OTHER])
    good = Peer(lab, "10.0.0.3")
    good.send(message(OPEN, open_body(asn=65003, ident="10.0.0.3"))
              + message(KEEPALIVE))
    await_state(venturid, "10.0.0.3")

    def edit(neighbors, **more):
        venturid.rpc("config.edit", config={"venturi:venturi": {
            "bgp": dict({"neighbor": neighbors}, **more)}})

    equal(Peer(lab).verdict()[:2], (6, 5), "not configured")
    edit([BAD])
    peer = Peer(lab)
    peer.establish()
    await_state(venturid, "10.0.0.2")
    edit([dict(BAD, description="edge")])
    equal(neighbor(venturid, "10.0.0.2")["state"], "Established", "renamed")
    edit([dict(BAD, shutdown=True, **{"shutdown-message": "good night"})])
    equal(peer.verdict(), (6, 2, b"\x0agood night"), "shut down")
    edit([dict(BAD, shutdown=False)])
    peer = Peer(lab)
    peer.establish()
    venturid.rpc("bgp.reset", address="10.0.0.2")
    equal(peer.verdict()[:2], (6, 4), "reset")
    # A range, with AS numbers.
    edit([], range=[{"prefix": "10.0.0.4/30", "remote-as": "65001-65002"}])
    peer = Peer(lab, "10.0.0.5")
    peer.establish()
    equal(await_state(venturid, "10.0.0.5")["dynamic"], True, "dynamic")
    wrong = Peer(lab, "10.0.0.6")
    wrong.send(message(OPEN, open_body(asn=65003)))
    equal(wrong.verdict()[:2], (2, 2), "AS out of range")
    entry = neighbor(venturid, "10.0.0.3")
    equal((entry["state"], entry["counters"]["flaps"]), ("Established", 0),
          "the other one")
    try:
        venturid.rpc("bgp.reset", address="10.9.9.9")
    except Exception as error:          # What the harness raises.
        equal("no neighbour" in str(error), True, "reset of nobody")
    else:
        raise Failure("reset of nobody")
    venturid.stop()
    equal(peer.verdict()[:2], (6, 3), "goodbye")


if __name__ == "__main__":
    main(needs=("root", "venturid"))
