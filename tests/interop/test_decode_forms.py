#!/usr/bin/env python3
"""Forms of BGP, BMP and MRT that the corpora have not, made by hand, through
"venturictl decode": what bgpdump reads, too, must be equal; captures whose TCP
segments come twice, late, in pieces, or from the midst of a session."""

import json
import random
import subprocess
import tempfile

from harness import Failure, equal, main
from routes_made import (ACK, KEEPALIVE, RD, RST, attributes,
                         attribute, bgp4mp, bgp_open, bmp, bmp_peer, bmp_up,
                         capture, entry, evpn, evpn_all, generic, index,
                         indexed_tlv, label, labeled, message, octets, prefix,
                         reach, record, rib, segment, stream, table_dump, tlv,
                         unreach, update, updates, vpn)
from test_decode_corpora import decode, summary

V6 = octets("2001:db8::1")
VPN_HOP = bytes(8) + octets("192.0.2.7")
VPN6_HOP = bytes(8) + V6
NO_HOP = attributes(hop=None)


def with_file(data, use):
    with tempfile.NamedTemporaryFile() as f:
        f.write(data)
        f.flush()
        return use(f.name)


def lines(data, kind, status=(0,)):
    text = with_file(data, lambda path: decode(path, status=status))
    found = [json.loads(line) for line in text.splitlines()]
    return [line for line in found if line["record"] == kind]


def counts(data, status=(0,)):
    return with_file(data, lambda path: summary(path, status=status))


def bgpdump(path):
    done = subprocess.run(["bgpdump", "-m", path], capture_output=True,
                          text=True, timeout=60, check=True)
    return [line.split("|") for line in done.stdout.splitlines()]


def route(line):
    return (line["prefix"], line.get("path_id"), line["next_hop"])


# ---- MRT. ----


def test_table_dump_v1():
    """Both families, AS numbers of two and four octets."""
    short = attributes(width="H", hop=None)
    data = (table_dump(1, "10.1.0.0/16", attributes(width="H"))
            + table_dump(2, "2001:db8:1::/48",
                         short + reach(2, 1, V6, prefix("2001:db8:1::/48")),
                         peer="2001:db8::9")
            + table_dump(3, "10.2.0.0/16", attributes(), width="I"))
    # bgpdump takes the peer of the last for one of IPv4, and fails on it.
    last = table_dump(4, "2001:db8:2::/48",
                      NO_HOP + attribute(14, bytes([16]) + V6),
                      peer="2001:db8::9", width="I")
    ours = lines(data + last, "mrt")
    theirs = with_file(data, bgpdump)
    equal([(x["prefix"], x["peer_address"], str(x["peer_as"]), x["as_path"],
            x["next_hop"]) for x in ours[:3]],
          [(x[5], x[3], x[4], x[6], x[8]) for x in theirs])
    equal((len(theirs), ours[3]["prefix"], ours[3]["peer_address"],
           ours[3]["next_hop"]),
          (3, "2001:db8:2::/48", "2001:db8::9", "2001:db8::1"))


def test_tables_with_subtypes():
    short_hop = NO_HOP + attribute(14, bytes([16]) + V6)
    data = (index()
            + rib(2, prefix("10.0.0.0/8"), entry(attributes()),
                  entry(attributes(), 1))
            + rib(3, prefix("10.3.0.0/16"), entry(attributes()))
            + rib(4, prefix("2001:db8::/32"), entry(short_hop, 1))
            + rib(5, prefix("ff0e::/16"), entry(short_hop, 1))
            + rib(8, prefix("10.4.0.0/16"), entry(attributes(), 0, 7),
                  entry(attributes(), 0, 8)))
    ours = lines(data, "mrt")[1:]
    theirs = with_file(data, bgpdump)   # Does not know the multicast ones.
    equal([(x["prefix"], x["peer_address"], x["next_hop"]) for x in ours
           if "unicast" in x["family"]],
          [(x[5], x[3], x[-7] if "AP" in x[0] else x[8]) for x in theirs])
    equal([x["family"] for x in ours],
          ["ipv4-unicast"] * 2 + ["ipv4-multicast", "ipv6-unicast",
                                  "ipv6-multicast"] + ["ipv4-unicast"] * 2)
    said = counts(data + rib(2, prefix("10.0.0.0/8"),
                             entry(attributes(), 9)))["mrt"]
    equal((said["table_routes"], said["table_multicast"], said["no_peer"]),
          (6, 2, 1))


def test_generic_tables():
    """Next hops alone as RFC 6396 has it, and whole attributes as GoBGP writes
    them; types and families that are passed over are counted."""
    net = vpn("10.5.0.0/16")
    net6 = vpn("2001:db8:5::/48")
    mac = evpn(2, bytes(14) + b"\x30\2\0\0\0\0\1\0\0\x27\x10")
    kept = [
        generic(1, 128, net, entry(NO_HOP + attribute(14, b"\x0c" + VPN_HOP))),
        generic(1, 128, net, entry(NO_HOP + reach(1, 128, VPN_HOP, net))),
        generic(2, 128, net6,
                entry(NO_HOP + attribute(14, b"\x18" + VPN6_HOP))),
        generic(1, 4, labeled("10.7.0.0/16", 17, 18), entry(attributes())),
        generic(2, 1, prefix("2001:db8:9::/48"), entry(
            NO_HOP + reach(2, 1, V6, prefix("2001:db8:9::/48")))),
        generic(25, 70, mac, entry(NO_HOP + reach(
            25, 70, octets("192.0.2.7"), mac))),
        generic(1, 2, prefix("10.8.0.0/16"), entry(attributes())),
    ]
    skipped = [
        generic(25, 70, evpn(1, bytes(17)), entry(attributes())),
        generic(25, 70, evpn(4, bytes(10) + b"\x20" + bytes(4)),
                entry(attributes()), entry(attributes(), 1)),
        generic(1, 133, b"\3\1\x18\x0a", entry(attributes())),
        generic(16388, 71, b"\0\1\0\0", entry(attributes())),
    ]
    data = index() + b"".join(kept + skipped)
    found = lines(data, "mrt")[1:]
    equal([(x["prefix"], x["family"], x["next_hop"]) for x in found], [
        ("10.5.0.0/16", "vpnv4-unicast", "192.0.2.7"),
        ("10.5.0.0/16", "vpnv4-unicast", "192.0.2.7"),
        ("2001:db8:5::/48", "vpnv6-unicast", "2001:db8::1"),
        ("10.7.0.0/16", "ipv4-labeled-unicast", "192.0.2.1"),
        ("2001:db8:9::/48", "ipv6-unicast", "2001:db8::1"),
        (None, "l2vpn-evpn", "192.0.2.7"),
        ("10.8.0.0/16", "ipv4-multicast", "192.0.2.1")])
    said = counts(data)
    mrt = said["mrt"]
    equal((said["errors"], mrt["table_routes"], mrt["table_multicast"],
           mrt["skipped_families"]), ({}, 6, 1, 5))


def test_generic_path_identifiers():
    """In front of the destination (RFC 8050), or in each entry (GoBGP,
    OpenBGPD)."""
    nets = [(1, 128, vpn("10.5.0.0/16")), (1, 1, prefix("10.8.0.0/16")),
            (2, 1, prefix("::/0")), (1, 1, prefix("0.0.0.0/0")),
            (25, 70, evpn(3, bytes(4) + b"\x20" + octets("192.0.2.9")))]
    for afi, safi, net in nets:
        data = (index()
                + generic(afi, safi, b"\0\0\0\5" + net, entry(attributes()),
                          entry(attributes(), 1), subtype=12)
                + generic(afi, safi, net, entry(attributes(), 0, 6),
                          entry(attributes(), 1, 7), subtype=12))
        equal([x["path_id"] for x in lines(data, "mrt")[1:]], [5, 5, 6, 7],
              net)
        equal(counts(data)["errors"], {})


def test_messages_with_microseconds():
    one = update(attributes(), prefix("10.10.0.0/16"))
    narrow = update(attributes(width="H"), prefix("10.11.0.0/16"))
    paths = update(attributes(), b"\0\0\0\1" + prefix("10.12.0.0/16"))
    data = (bgp4mp(4, one, micro=123456)
            + bgp4mp(1, narrow, micro=1, width="H")
            + bgp4mp(4, one, peer="2001:db8::1", micro=999999)
            + bgp4mp(9, paths, micro=5) + bgp4mp(7, one, micro=7)
            + bgp4mp(5, b"\0\5\0\6", micro=8) + bgp4mp(4, bgp_open())
            + bgp4mp(4, KEEPALIVE) + bgp4mp(4, message(5, b"\0\1\1\1"))
            + bgp4mp(4, message(3, b"\6\2\5hello")))
    ours = lines(data, "mrt")
    theirs = with_file(data, bgpdump)
    updates_seen = [x for x in ours if x.get("message") == "UPDATE"]
    equal([(x["announced"][0]["prefix"], x["peer_address"],
            x["attributes"]["as_path"], x["received"][-7:-1].lstrip(".0"))
           for x in updates_seen],
          [(x[5], x[3], x[7 if "AP" in x[0] else 6],
            x[1].split(".")[1].lstrip("0"))
           for x in theirs if x[2] == "A"])
    equal((ours[5]["old_state"], ours[5]["new_state"]),
          ("OpenConfirm", "Established"))
    equal([x.get("message") for x in ours[6:]],
          ["OPEN", "KEEPALIVE", "ROUTE-REFRESH", "NOTIFICATION"])
    equal((ours[8]["subtype"], ours[8]["refresh_subtype"], ours[9]["text"]),
          ("MESSAGE_AS4", 1, "Cease: Administrative Shutdown (hello)"))


def test_records_that_are_none():
    """Other protocols, types that nobody knows and broken ones are counted, and
    what follows is read."""
    one = update(attributes(), prefix("10.10.0.0/16"))
    good = index() + rib(2, prefix("10.0.0.0/8"), entry(attributes()))
    others = (record(11, 0, bytes(20)) + record(48, 0, bytes(20))
              + record(32, 0, bytes(27)) + record(33, 0, bytes(27))
              + record(13, 7, bytes(20)) + record(16, 2, bytes(20))
              + record(16, 77, bytes(20)) + record(13, 99, b""))
    bad = (record(17, 4, b"\0\0") + record(13, 2, bytes(3))
           + bgp4mp(4, b"") + bgp4mp(4, one[:-1]) + record(16, 0, bytes(4))
           + generic(1, 1, b"\x40", entry(attributes())))
    said = counts(others + bad + good)["mrt"]
    equal((said["records"], said["other_records"], said["bad_records"],
           said["table_routes"]), (16, 8, 6, 1))
    # A file that ends anywhere says so, and tells what was whole.
    data = good + bgp4mp(4, one)
    for size in range(len(good), len(data)):
        end = counts(data[:size], status=(0, 1))["mrt"]
        equal((end["table_routes"], end["messages"], end["trailing_octets"]),
              (1, 0, size - len(good)), size)


# ---- BMP. ----


def test_bmp_kinds():
    one = update(attributes(), prefix("10.10.0.0/16"))
    peer = bmp_peer()
    data = (bmp(4, tlv(1, b"descr") + tlv(2, b"name") + tlv(99, b"?"))
            + bmp_up(tlv(0, b"spoken of"))
            + bmp_up(tlv(3, b"global"), kind=3) + bmp(0, bmp_peer(3) + one)
            + bmp(6, peer + tlv(1, b"\0\1") + tlv(0, one)
                  + tlv(0, bgp_open()) + tlv(77, b"zz"))
            + bmp(2, bmp_peer(3) + b"\6" + tlv(3, b"vrf")) + bmp(9, b"abc")
            + bmp(5, tlv(1, b"\0\1")))
    said = counts(data)
    equal(said["errors"], {})
    equal(said["bmp"]["types"], {
        "initiation": 1, "peer-up": 2, "route-monitoring": 1,
        "route-mirroring": 1, "peer-down": 1, "termination": 1, "9": 1})
    found = lines(data, "bmp")
    equal([x["information"][0]["text"] for x in (found[1], found[2],
                                                 found[5])],
          ["spoken of", "global", "vrf"])
    equal((found[4]["mirror_information"], said["bmp"]["bgp"]["types"]),
          (1, {"OPEN": 5, "UPDATE": 2}))


def test_bmp_version_4():
    """A message in a TLV with an index, with others beside it; one as version 3
    had it, with TLVs behind."""
    one = update(attributes(), prefix("10.10.0.0/16"))
    peer = bmp_peer()
    data = (bmp(4, tlv(1, b"d"), 4) + bmp_up(version=4)
            + bmp(0, peer + indexed_tlv(4, 0, one), 4)
            + bmp(0, peer + indexed_tlv(3, 0, b"\0\1")
                  + indexed_tlv(4, 0, one)
                  + indexed_tlv(0x8002, 1, bytes(8)), 4)
            + bmp(0, peer + one + indexed_tlv(2, 0, b"vrf1"), 4)
            + bmp(6, peer + tlv(0, one), 4)
            + bmp(6, peer + indexed_tlv(0, 0, one), 4)
            + bmp(2, peer + b"\4" + indexed_tlv(0, 0, b"x"), 4))
    said = counts(data)
    equal((said["errors"], said["bmp"]["bgp"]["nlri"],
           said["bmp"]["bgp"]["types"]), ({}, 5, {"OPEN": 2, "UPDATE": 5}))
    # Something without a marker is no message.
    broken = bmp(6, peer + tlv(0, bytes(30)), 4)
    said = counts(data + broken + bmp(0, peer + one))
    equal((said["errors"], said["bmp"]["bgp"]["nlri"]),
          ({"bmp_malformed": 1}, 6))


# ---- BGP. ----


def test_families():
    """Kept ones are told route by route; of others the message is, and the rest
    of the session is read."""
    hop, ls = octets("192.0.2.9"), struct_ls()
    kept = [
        (reach(25, 70, hop, evpn_all()), "l2vpn-evpn", 6),
        (unreach(25, 70, evpn_all()), "l2vpn-evpn", 6),
        (reach(2, 128, VPN6_HOP, vpn("2001:db8:7::/48")), "vpnv6-unicast", 1),
        (reach(2, 128, VPN6_HOP + bytes(8) + octets("fe80::1"),
               vpn("2001:db8:7::/48")), "vpnv6-unicast", 1),
        (unreach(2, 128, vpn("2001:db8:7::/48", 0x80000)), "vpnv6-unicast", 1),
        (reach(1, 128, VPN_HOP, vpn("10.0.0.0/8") + vpn("0.0.0.0/0")),
         "vpnv4-unicast", 2),
        (reach(1, 128, VPN6_HOP, vpn("10.0.0.0/8")), "vpnv4-unicast", 1),
        (reach(1, 4, hop, labeled("10.0.0.0/8", 1, 2, 3)),
         "ipv4-labeled-unicast", 1),
        (reach(2, 4, V6, labeled("2001:db8::/32", 5)),
         "ipv6-labeled-unicast", 1),
        (reach(1, 2, hop, prefix("10.0.0.0/8")), "ipv4-multicast", 1),
        (reach(2, 1, V6 + octets("fe80::1"), prefix("2001:db8::/32")),
         "ipv6-unicast", 1),
        (reach(1, 1, V6, prefix("10.0.0.0/8")), "ipv4-unicast", 1),
    ]
    others = [
        (reach(1, 133, b"", b"\7\1\x18\x0a\0\0\3\x81\6"), "ipv4-flowspec"),
        (unreach(1, 133, b"\5\1\x18\x0a\0\0"), "ipv4-flowspec"),
        (reach(2, 133, b"", b"\7\1\x20\0\x20\1\x0d\xb8"), "ipv6-flowspec"),
        (reach(1, 134, b"", b"\x0e" + RD + b"\1\x18\x0a\0\0\0"),
         "ipv4-flowspec-vpn"),
        (reach(1, 73, hop, b"\x60" + bytes(8) + hop), "ipv4-sr-policy"),
        (reach(2, 73, V6, b"\xc0" + bytes(8) + V6), "ipv6-sr-policy"),
        (reach(16388, 71, hop, ls), "bgp-ls"),
        (reach(1, 132, hop, b"\x60" + bytes(12)), "ipv4-rtc"),
        (reach(1, 5, hop, b"\1\x0c" + RD + hop), "ipv4-mcast-vpn"),
        (reach(25, 65, hop, b"\0\x11" + RD + bytes(9)), "l2vpn-vpls"),
        (reach(1, 85, hop, b"\1\0\1\4abcd"), "ipv4-mup"),
        (reach(99, 99, b"zz", b"abc"), "99-99"),
    ]
    messages = [update(NO_HOP + x[0]) for x in kept + others]
    data = bgp_open() + KEEPALIVE + b"".join(messages) + updates(1)[0]
    said = counts(data)
    equal(said["errors"], {})
    found = lines(data, "bgp")[2:]
    for line, (_attrs, family, n) in zip(found, kept):
        equal((line.get("mp_reach") or line.get("mp_unreach"),
               len(line["announced"]) + len(line["withdrawn"])), (family, n))
    for line, (_attrs, family) in zip(found[len(kept):], others):
        equal((line.get("mp_reach") or line.get("mp_unreach"),
               line["announced"], line["withdrawn"], line.get("error")),
              (family, [], [], None))
    equal(found[-1]["announced"][0]["prefix"], "10.0.0.0/16")
    equal([x["prefix"] for x in found[0]["announced"]],
          [None, "10.6.0.1/32", "2001:db8::6/128", "192.0.2.9/32",
           "10.9.0.0/16", "2001:db8:9::/48"])
    bgp = said["bgp"]
    equal((bgp["evpn_route_types"], bgp["flowspec_nlri"],
           bgp["bgpls_nlri_types"]),
          ({"1": 2, "2": 6, "3": 2, "4": 2, "5": 4, "77": 2}, 4, {"1": 1}))
    equal(label(100, False)[2] & 1, 0)


def struct_ls():
    """A node of BGP-LS (RFC 9552)."""
    return b"\0\1\0\x15\2" + bytes(8) + b"\1\0\0\x08\2\0\0\4\0\0\0\1"


# ---- Captures. ----


def seen(frames, kind="bgp"):
    said = counts(capture(frames), status=(0, 1))
    return said.get(kind, {"messages": 0})["messages"], said["errors"]


def test_segments():
    data = bgp_open() + KEEPALIVE + b"".join(updates(200))
    whole = (202, {})
    frames = stream(data)
    shuffled = frames[1:-1]
    random.Random(1).shuffle(shuffled)
    overlapping = [segment(data[max(0, i - 300):i + 700],
                           1000 + max(0, i - 300))
                   for i in range(0, len(data), 700)]
    probes = [x for i, frame in enumerate(frames[1:-1]) for x in (
        frame, segment(b"\0", 999 + min(1000 * (i + 1), len(data)),
                       flags=ACK))]
    for what, made in (
            ("in order", frames),
            ("each twice", [x for f in frames for x in (f, f)]),
            ("in any order", frames[:1] + shuffled + frames[-1:]),
            ("overlapping", frames[:1] + overlapping + frames[-1:]),
            ("with probes of one octet", frames[:1] + probes + frames[-1:]),
            ("of three octets", stream(data, 3)),
            ("over the end of sequence numbers", stream(data, seq=-500)),
            ("to another port", stream(data, 3, port=5000)),
            ("FIN before the last", frames[:-2] + [frames[-1], frames[-2]]),
            ("sent again after FIN", frames + frames[-2:] + frames[3:4]),
            ("ended by RST", frames[:-1] + [segment(b"", 0, flags=RST)])):
        equal(seen(made), whole, what)
    for what, made in (
            ("a second connection", frames + stream(data, seq=77777)),
            ("one after none that ended", frames[:-1]
             + stream(data, seq=77777)),
            ("one of which the SYN is missing", frames
             + stream(data, seq=77777)[1:])):
        equal(seen(made), (404, {}), what)
    for made, least in ((frames[3:], 155), (frames[:4] + frames[5:], 178),
                        (frames[:3] + [frames[3][:-400]] + frames[4:], 178)):
        n, errors = seen(made)
        if not least <= n < 202 or not errors.get("bgp_not_framed"):
            raise Failure("%d messages, %s" % (n, errors))
    equal(counts(capture(frames[:4] + frames[5:]))["errors"]["bgp_gaps"], 1)


def test_bmp_segments():
    """Messages of BMP have those of BGP inside: in the midst of a stream it must
    not be taken for BGP."""
    data = (bmp(4, tlv(1, b"d") + tlv(2, b"n")) + bmp_up()
            + b"".join(bmp(0, bmp_peer() + u) for u in updates(200)))
    for port in (11019, 5000):
        frames = stream(data, port=port)
        for made in (frames, [x for f in frames for x in (f, f)],
                     stream(data, 3, port=port)):
            equal(seen(made, "bmp"), (202, {}), port)
        for first in range(2, 6):
            said = counts(capture(frames[first:]), status=(0, 1))
            n = said["bmp"]["messages"]
            left = 202 - 1000 * (first - 1) // 100
            if "bgp" in said or not left - 12 <= n <= left + 12:
                raise Failure("%d: %s" % (first, said))


def test_cut_and_changed():
    """Every input cut anywhere or with an octet changed is read without a crash
    and with an answer that is JSON."""
    rng = random.Random(7)
    inputs = [
        index() + generic(1, 128, vpn("10.5.0.0/16"),
                          entry(NO_HOP + attribute(14, b"\x0c" + VPN_HOP)),
                          subtype=12)
        + table_dump(2, "2001:db8:1::/48", attributes(width="H")),
        bmp_up(tlv(0, b"x")) + bmp(6, bmp_peer() + indexed_tlv(
            0, 0, updates(1)[0]), 4) + bmp(0, bmp_peer(3) + updates(1)[0]),
        bgp_open() + update(NO_HOP + reach(25, 70, V6, evpn_all())),
        capture(stream(bgp_open() + b"".join(updates(3)), 50)),
    ]
    for data in inputs:
        for _ in range(12):
            cut = data[:rng.randrange(1, len(data))]
            counts(cut, status=(0, 1))
            broken = bytearray(data)
            for _ in range(3):
                broken[rng.randrange(len(data))] = rng.randrange(256)
            counts(bytes(broken), status=(0, 1))


if __name__ == "__main__":
    main()
