#!/usr/bin/env python3
"""A BGP peer that does everything wrong, on the wire: each class of error of
RFC 4271 section 6 and RFC 7606 gets the answer that is right, and a peer that
floods, stalls or flaps does not keep others from their session."""
# timeout: 300

import struct
import time

from bgp_peer import (AS4, AS_PATH, BgpLab, CAPS, GOOD, KEEPALIVE, MARKER,
                      MP4, NET, NEXT_HOP, OPEN, ORIGIN, Peer, REFRESH, UPDATE,
                      attribute, await_state, daemon, message, neighbor,
                      open_body, routes, update)
from harness import Failure, equal, main, wait_until

BAD = {"address": "10.0.0.2", "remote-as": 65001, "passive": True}
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


def test_resets():
    """What ends a session, and with which words."""
    lab = BgpLab()
    venturid = daemon(lab, [BAD])
    mp = bytes((0, 2, 1))
    cases = [
        ("lengths", message(UPDATE, b"\0\x05\0\0"), (3, 1, b"")),
        ("well-known", update(GOOD + attribute(0x40, 247, b""), NET),
         (3, 2, attribute(0x40, 247, b""))),
        ("prefix", update(GOOD, bytes((33, 1, 2, 3, 4, 5))), (3, 10, b"")),
        ("cut prefix", update(GOOD, bytes((24, 1, 2))), (3, 10, b"")),
        ("withdrawn", update(withdrawn=bytes((33, 1, 2, 3, 4, 5))),
         (3, 10, b"")),
        ("MP twice", update(2 * attribute(0x80, 15, mp)),
         (3, 1, attribute(0x80, 15, mp))),
        ("MP next hop", update(GOOD + attribute(0x80, 14, mp + b"\x03abc\0")),
         (3, 9, attribute(0x80, 14, mp + b"\x03abc\0"))),
        ("MP short", update(attribute(0x80, 15, b"\0\x02")),
         (3, 9, attribute(0x80, 15, b"\0\x02"))),
        ("nothing to withdraw", update(attribute(0x40, 1, b"\x07")),
         (3, 6, attribute(0x40, 1, b"\x07"))),
        ("open again", message(OPEN, open_body(caps=CAPS)), (5, 3, b"")),
        ("refresh", message(REFRESH, b"\0\x01\0"),
         (7, 1, message(REFRESH, b"\0\x01\0"))),
    ]
    for what, data, wanted in cases:
        calm(venturid)
        peer = Peer(lab)
        peer.establish()
        peer.send(data)
        equal(peer.verdict(), wanted, what)
        peer.close()
    venturid.stop()


def test_no_resets():
    """RFC 7606: what must not end a session."""
    lab = BgpLab()
    venturid = daemon(lab, [BAD])
    peer = Peer(lab)
    peer.establish()
    await_state(venturid, "10.0.0.2")
    path = AS_PATH
    withdraw = [
        attribute(0x40, 1, b"\x05") + path + NEXT_HOP,
        attribute(0x40, 1, b"") + path + NEXT_HOP,
        attribute(0xc0, 1, b"\0") + path + NEXT_HOP,
        path + NEXT_HOP, ORIGIN + NEXT_HOP, ORIGIN + path,
        ORIGIN + attribute(0x40, 2, b"\x02\x02\0\0\xfd\xe9") + NEXT_HOP,
        ORIGIN + attribute(0x40, 2, b"\x09\x01\0\0\xfd\xe9") + NEXT_HOP,
        ORIGIN + attribute(0x40, 2, b"\x02\0") + NEXT_HOP,
        ORIGIN + path + attribute(0x40, 3, b"\x0a\0\0"),
        ORIGIN + path + attribute(0x40, 3, b"\0\0\0\0"),
        GOOD + attribute(0x80, 4, b"\0"),
        GOOD + attribute(0xc0, 8, b"\0\0\0"),
        GOOD + attribute(0xc0, 16, b"\0" * 9),
        GOOD + attribute(0xc0, 32, b"\0" * 11),
        GOOD + attribute(0xc0, 35, b"\0"),
        GOOD + b"\x80\x04\xff",
    ]
    discard = [
        GOOD + attribute(0x40, 6, b"x"),
        GOOD + attribute(0xc0, 7, b"\0" * 5),
        GOOD + attribute(0x40, 1, b"\x01"),
        GOOD + attribute(0x40, 5, b"x"),
        GOOD + attribute(0x80, 9, b"x"),
        GOOD + attribute(0x80, 10, b"x"),
        GOOD + attribute(0xc0, 17, b"\x02\x01\0\0\xfd\xe9"),
    ]
    for attributes in withdraw + discard:
        peer.send(update(GOOD, NET))
        routes(venturid, "10.0.0.2", 1)
        peer.send(update(attributes, NET) + update(withdrawn=b"\x08\x0b"))
        wanted = 1 if attributes in discard else 0

        routes(venturid, "10.0.0.2", wanted)
    # A discarded attribute leaves the route as it was: nothing to wait for
    # but the counter.
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]
               ["attributes_discarded"] >= len(discard))
    counters = neighbor(venturid, "10.0.0.2")["counters"]
    equal(counters["treated_as_withdrawn"], len(withdraw), "withdrawn")
    equal(counters["attributes_discarded"], len(discard), "discarded")
    equal(counters["flaps"], 0, "flaps")
    peer.close()
    venturid.stop()


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
