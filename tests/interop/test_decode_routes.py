#!/usr/bin/env python3
"""BGP, BMP and MRT that nobody here wrote, through "venturictl decode": what
the corpora's manifest says of them must come out, fact by fact, or there is a
reason in EXCEPTIONS."""
# timeout: 900

import json

from harness import Failure, equal, main
from test_decode_corpora import decode, manifest, path_of, summary

# Where we differ: file (or its end), fact, our number, and why it is right.
TCPDUMP = "the-tcpdump-group+tcpdump/tests/"
BARE = "osrg+gobgp/_literals/pkg__server__fsm_test.go__L1260_raw.bgp.bin"
WITHDRAW = ("NetGauze+NetGauze/_literals/crates__bgp-pkt__src__wire__tests__"
            "update.rs__L301_bad_withdraw_length_short_wire.bgp.bin")
STATISTICS = ("pmacct+pmacct/tests/208-BMP-mem-leak-test/"
              "bmp-multi-sources-stats.pcap")
OPEN_LENGTH = ("seladb+PcapPlusPlus/Tests/Packet++Test/PacketExamples/"
               "Bgp_open_malformed_opt_param_len.dat")
FRAGMENT = ("a single fragment of a packet: what is missing is not guessed")
THREE = "three connections with one message each; tshark takes them for one"
JUNK = ("a test of readers: after the first broken message tshark stops, we "
        "go on at the next marker")
SNAPPED = "the packet is cut short; tshark reads the fragment otherwise"
NO_LENGTH = ("lengths of withdrawn routes and attributes do not fit: the "
             "session ends (RFC 7606 section 3 b), nothing is read")
EXCEPTIONS = {
    STATISTICS: {"stats_tlv_types": (
        {"0": 3298, "1": 3195, "2": 3343, "3": 3298, "4": 3335, "5": 3306,
         "6": 3122, "7": 3382, "8": 3626, "9": 14990, "10": 21917,
         "11": 3172, "14": 126, "15": 3122, "16": 189, "17": 15169,
         "65531": 176},
        "after a TLV of type 65531 tshark does not read on, and misses the "
        "two behind it in 176 messages")},
    TCPDUMP + "bgp-bgp_capabilities_print-oobr-1.pcap": {
        "bgp_messages": ({}, FRAGMENT), "capabilities": ({}, FRAGMENT)},
    TCPDUMP + "bgp-bgp_capabilities_print-oobr-2.pcap": {
        "bgp_messages": ({}, FRAGMENT), "capabilities": ({}, FRAGMENT)},
    TCPDUMP + "bgp-shutdown-msg-variations.pcap": {
        "bgp_messages": ({"NOTIFICATION": 3}, THREE),
        "notification_major": ({"6": 3}, THREE)},
    TCPDUMP + "bgp-ub.pcap": {
        "bgp_messages": ({"UPDATE": 22}, JUNK),
        "path_attributes": (None, JUNK),
        "mp_reach": ({"vpnv4-unicast": 3, "ipv4-mcast-vpn": 2}, JUNK)},
    TCPDUMP + "bgp_mp_reach_nlri-oobr.pcap": {
        "bgp_messages": ({"UPDATE": 6}, JUNK)},
    TCPDUMP + "bgp_mvpn_6_and_7_oobr.pcap": {
        "bgp_messages": ({"UPDATE": 1}, SNAPPED),
        "path_attributes": ({}, SNAPPED)},
    OPEN_LENGTH: {"capabilities": (
        {"255": 1}, "of the second capability there is one octet")},
    WITHDRAW: {"nlri_ipv4": (0, NO_LENGTH), "withdrawn_ipv4": (0, NO_LENGTH),
               "path_attributes": ({}, NO_LENGTH)},
    BARE: {"path_attributes": (
        {"1": 1, "2": 1, "3": 1},
        "of the last attribute there is one octet; tshark reads on in the "
        "routes")},
    "bgpkit+bgpkit-parser/tests/fixtures/ripe/rrc00/2000.03/"
    "updates.20000325.0345.gz": {"W": (
        2, "the fourth record is not what it says; bgpdump takes its octets "
        "for 2042 withdrawals")},
    "t2mune+mrtparse/samples/bird_bgp": {"A": (
        14, "messages with path identifiers in records that do not say so; "
        "bgpdump takes those for default routes")},
    "t2mune+mrtparse/samples/bird6_bgp": {"A": (14, "the same")},
    "t2mune+mrtparse/samples/openbgpd_bgp": {"A": (
        99, "bgpdump does not know VPNv4")},
}

PLAIN = {"nlri_ipv4": "nlri", "withdrawn_ipv4": "withdrawn",
         "mp_reach_ipv4_prefixes": "mp_reach_ipv4",
         "mp_reach_ipv6_prefixes": "mp_reach_ipv6",
         "mp_unreach_ipv4_prefixes": "mp_unreach_ipv4",
         "mp_unreach_ipv6_prefixes": "mp_unreach_ipv6",
         "path_ids": "path_ids", "large_communities": "large_communities",
         "flowspec_nlri": "flowspec_nlri", "messages": "messages"}
TABLES = {"bgp_messages": "types", "path_attributes": "path_attributes",
          "capabilities": "capabilities", "mp_reach": "mp_reach",
          "mp_unreach": "mp_unreach", "notification_major": "notifications",
          "evpn_route_types": "evpn_route_types",
          "bgpls_nlri_types": "bgpls_nlri_types"}
BMP_TABLES = {"bmp_messages": "types", "peer_types": "peer_types",
              "peer_down_reasons": "peer_down_reasons",
              "stats_tlv_types": "statistics"}
# A prefix count of tshark is worth nothing where it found frames malformed: it
# knows neither add-path of a session nor the state of a BMP peer.
UNSURE = {"nlri_ipv4", "withdrawn_ipv4", "mp_reach_ipv4_prefixes",
          "mp_reach_ipv6_prefixes", "mp_unreach_ipv4_prefixes",
          "mp_unreach_ipv6_prefixes", "path_ids", "large_communities",
          "evpn_route_types"}


def bgp_facts(expected, got, prefix=""):
    unsure = UNSURE if expected.get("tshark_malformed_frames") else ()
    for fact, member in PLAIN.items():
        if fact in expected and fact not in unsure:
            yield prefix + fact, expected[fact], got.get(member, 0)
    for fact, member in TABLES.items():
        if fact in expected and fact not in unsure:
            yield prefix + fact, expected[fact], got.get(member, {})


def bmp_facts(expected, got):
    for fact, member in BMP_TABLES.items():
        if fact in expected:
            yield fact, expected[fact], got.get(member, {})
    inner = dict(expected.get("inner", {}))
    inner["tshark_malformed_frames"] = expected.get(
        "tshark_malformed_frames", 0)
    yield from bgp_facts(inner, got.get("bgp", {}), "inner ")


def mrt_facts(expected, got):
    types = dict(expected["mrt_type_subtype"])
    types.pop("BAD", None)
    yield "mrt_type_subtype", types, got["types"]
    yield "mrt_records", sum(types.values()), got["records"]
    yield "trailing", expected["trailing_bytes"], got["trailing_octets"]
    kinds = {}
    for name, count in expected["bgpdump_by_type"].items():
        kind = name.split("/")[1]
        kinds[kind] = kinds.get(kind, 0) + count
    bgp = got["bgp"]
    ours = {
        "A": bgp["nlri"] + bgp["mp_reach_ipv4"] + bgp["mp_reach_ipv6"],
        "W": bgp["withdrawn"] + bgp["mp_unreach_ipv4"]
        + bgp["mp_unreach_ipv6"],
        "STATE": got["states"], "B": got["table_routes"]}
    for kind, count in ours.items():
        yield kind, kinds.get(kind, 0), count


def hex_frame(path):
    with open(path, "rb") as f:
        text = f.read()
    return bytes.fromhex("".join(text.decode("ascii").split()))


def summary_of(entry):
    path = path_of(entry["path"])
    if entry["kind"].startswith("hex text"):
        return summary("-", stdin=hex_frame(path), status=(0, 1))
    return summary(path, status=(0, 1))


def entries():
    for entry in manifest()["files"]:
        expected = entry.get("expected") or {}
        if entry["kind"] != "expected-output" and (
                "tshark_bgp" in expected or "tshark_bmp" in expected
                or "bgpdump" in expected):
            yield entry, expected


# tshark's families, where they are not ours with another sign between.
FAMILIES = {"ipv4/labeled": "ipv4-labeled-unicast",
            "ipv6/labeled": "ipv6-labeled-unicast",
            "ipv4/vpn": "vpnv4-unicast", "ipv6/vpn": "vpnv6-unicast",
            "bgp-ls/bgp-ls": "bgp-ls"}


def as_ours(fact, value):
    if "mp_" not in fact or not isinstance(value, dict):
        return value
    return {FAMILIES.get(name, name.replace("/", "-")): n
            for name, n in value.items()}


def test_facts():
    used, compared, wrong = set(), 0, []
    for entry, expected in entries():
        said = summary_of(entry)
        facts = []
        if "tshark_bgp" in expected:
            facts += bgp_facts(expected["tshark_bgp"], said.get("bgp", {}))
        if "tshark_bmp" in expected:
            facts += bmp_facts(expected["tshark_bmp"], said.get("bmp", {}))
        if "bgpdump" in expected:
            facts += mrt_facts(expected["bgpdump"], said["mrt"])
        exceptions = EXCEPTIONS.get(entry["path"], {})
        for fact, value, got in facts:
            value = as_ours(fact, value)
            if fact in exceptions:
                known = exceptions[fact][0]
                value = got if known is None else known
                used.add((entry["path"], fact))
            compared += 1
            if got != value:
                wrong.append("%s: %s: expected %s, found %s; errors %s" % (
                    entry["path"], fact, value, got, said["errors"]))
    listed = {(name, fact) for name, exceptions in EXCEPTIONS.items()
              for fact in exceptions}
    if wrong or compared < 700 or used != listed:
        raise Failure("%d facts compared, not used %s\n%s" % (
            compared, listed - used, "\n".join(wrong)))


def test_every_file():
    """Lines and counts agree, and each line is JSON of its own."""
    n, lines_seen = 0, 0
    for entry, _expected in entries():
        if entry["kind"].startswith("hex text"):
            continue
        path = path_of(entry["path"])
        said = summary(path, status=(0, 1))
        kinds = {"bgp": 0, "bmp": 0, "mrt": 0}
        for line in decode(path, status=(0, 1)).splitlines():
            kind = json.loads(line).get("record")
            if kind in kinds:
                kinds[kind] += 1
        mrt = said.get("mrt", {})
        # One that does not even have a whole header is counted only.
        equal((kinds["bmp"], kinds["mrt"]),
              (said.get("bmp", {}).get("messages", 0),
               mrt.get("table_routes", 0) - mrt.get("bad_routes", 0)
               + mrt.get("table_multicast", 0)
               + mrt.get("messages", 0) + mrt.get("states", 0)
               + mrt.get("types", {}).get("13/1", 0)), entry["path"])
        if kinds["bgp"] > said.get("bgp", {}).get("messages", 0):
            raise Failure(entry["path"])
        n += 1
        lines_seen += sum(kinds.values())
    if n < 150 or lines_seen < 100000:
        raise Failure("%d files, %d lines" % (n, lines_seen))


if __name__ == "__main__":
    main()
