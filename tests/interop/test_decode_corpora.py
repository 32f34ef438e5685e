#!/usr/bin/env python3
"""Captures that nobody here wrote, through "venturictl decode".

Every file and every case of the corpora's manifest is replayed; what it says
about flow, options and counter records and datagrams must come out, or there is
a reason in EXCEPTIONS.  Inputs of fuzzers, torn files and the captures of other
protocols must neither crash nor hang, and the next good input must decode.
"""
# timeout: 900

import functools
import gzip
import json
import os
import re
import subprocess

from harness import (BUILDDIR, Failure, SRCDIR, Skip, equal, main,
                     scratch_dir)

CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))
PUBLIC = os.path.join(CORPORA, "public")
VENTURICTL = os.path.join(BUILDDIR, "venturictl")
FLOW_PROTOCOLS = ("netflow1", "netflow5", "netflow7", "netflow9", "ipfix",
                  "sflow5")
# What the sanitizers exit with; 0 and 1 are ours.
SANITIZER_EXIT = 23

# Where we differ from the manifest: the fact, our number, and why it is right.
EXCEPTIONS = {
    "logstash-11-ipfix": {
        "flow_records": (12, "the tools read the first message only"),
        "datagrams": (3, "the file is a stream of three messages")},
    "opennms-netflow9_test_juniper_data_b4_tmpl": {
        "flow_records": (15, "data before their template are kept until it "
                         "comes")},
    "ovs-ipfix-flow-sample-tunnels": {
        "flow_records": (24, "Open vSwitch's templates are built in")},
    "vermont-correct_variable_length_template_and_data": {
        "flow_records": (3, "the manifest's note: three records by RFC 7011 "
                         "section 7")},
    "tcpdump-sflow_multiple_counter_30_pdus": {
        "flow_records": (7, "seven NetFlow v5 records came to the sFlow port; "
                         "sflowtool cannot read them")},
    "lit-NetGauze-crates__flow-pkt__src__wire__tests__netflow.rs__L774_"
    "good_template_wire.nfv9": {
        "options_records": (0, "the template in force needs 2563 bytes, the "
                            "set has 260")},
}

# Kinds of files that "decode" is for.
INPUT = ("pcap", "udp-datagram", "ethernet-frame",
         "ipfix-stream (concatenated messages, TCP or file)")
# Kinds of files that are not for "decode": texts about the others.
NO_INPUT = ("expected-output", "licence", "json", "vectors (JSON)",
            "OVSDB schema")


@functools.lru_cache(maxsize=None)
def manifest():
    path = os.path.join(PUBLIC, "manifest.json")
    if not os.path.exists(path):
        raise Skip("no %s (set VENTURI_CORPORA)" % path)
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def decode(*args, status=(0,), stdin=None):
    """What "venturictl decode" prints; Failure for a crash or a hang."""
    env = dict(os.environ)
    env["ASAN_OPTIONS"] = "exitcode=%d:%s" % (
        SANITIZER_EXIT, env.get("ASAN_OPTIONS", ""))
    env["UBSAN_OPTIONS"] = "halt_on_error=1:exitcode=%d:%s" % (
        SANITIZER_EXIT, env.get("UBSAN_OPTIONS", ""))
    try:
        done = subprocess.run([VENTURICTL, "decode", *args], env=env,
                              input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60,
                              check=False)
    except subprocess.TimeoutExpired as error:
        raise Failure("%s hangs" % (args,)) from error
    if done.returncode not in status:
        raise Failure("%s: exit status %d\n%s" % (
            args, done.returncode, done.stderr.decode(errors="replace")))
    return done.stdout


def summary(*args, status=(0,), stdin=None):
    return json.loads(decode("--summary", *args, status=status, stdin=stdin))


def path_of(name):
    manifest()          # Or there is nothing to do.
    return os.path.join(PUBLIC, name)


def facts(expected):
    """What the manifest has settled about a case."""
    result = {key: expected[key] for key in
              ("datagrams", "flow_records", "options_records")
              if isinstance(expected.get(key), int)}
    tool = expected.get("sflowtool")
    if tool:
        samples = tool["samples"]
        result["datagrams"] = tool["datagrams"]
        result["flow_records"] = (samples.get("flow", 0)
                                  + samples.get("expanded-flow", 0)
                                  + samples.get("discarded-packet", 0))
        result["counter_records"] = (samples.get("counters", 0)
                                     + samples.get("expanded-counters", 0))
    return result


def test_cases():
    used, compared, wrong = set(), 0, []
    for case in manifest()["cases"]:
        if case["protocol"] not in FLOW_PROTOCOLS:
            continue
        exceptions = EXCEPTIONS.get(case["id"], {})
        said = summary(*map(path_of, case["files"]))
        for fact, value in facts(case["expected"]).items():
            if fact in exceptions:
                value = exceptions[fact][0]
                used.add((case["id"], fact))
            compared += 1
            if said[fact] != value:
                wrong.append("%s: %s: %d expected, %d found; errors %s" % (
                    case["id"], fact, value, said[fact], said["errors"]))
    listed = {(name, fact) for name, exceptions in EXCEPTIONS.items()
              for fact in exceptions}
    if compared < 500 or wrong:
        raise Failure("%d facts compared\n%s" % (compared, "\n".join(wrong)))
    equal(used, listed, "exceptions in use")


def test_every_file():
    """Files one by one, as records and summed up: the two agree, and each
    line is JSON of its own."""
    n, others = 0, {"options": 0, "counters": 0}
    for entry in manifest()["files"]:
        if entry["kind"] in NO_INPUT or "transcript" in entry["kind"]:
            continue
        path = path_of(entry["path"])
        # A table dump, say, is neither a capture nor a datagram.
        status = (0,) if entry["kind"] in INPUT else (0, 1)
        said = summary(path, status=status)
        lines = decode(path, status=status).splitlines()
        records = [json.loads(line) for line in lines]
        back = sum(e["counters"]["reverse_flows"] for e in said["exporters"])
        kinds = [record.get("record", "flow") for record in records]
        equal(kinds.count("flow"), said["flow_records"] + back, entry["path"])
        equal(kinds.count("options"), said["options_records"], entry["path"])
        equal(kinds.count("counters"), said["counter_records"],
              entry["path"])
        others["options"] += kinds.count("options")
        others["counters"] += kinds.count("counters")
        for record in records:
            if record.get("record") in ("bgp", "bmp", "mrt"):
                continue        # test_decode_routes.py
            if None in record.values() or "exporter" not in record:
                raise Failure("%s: %s" % (entry["path"], record))
        n += 1
    if n < 400 or min(others.values()) < 100:
        raise Failure("only %d files, %s" % (n, others))


# Our names of the counters that sflowtool prints, in its order; None: not kept
# as a number, or as another one.
IF = ("if_index if_type if_speed if_direction if_status in_octets in_unicast "
      "in_multicast in_broadcast in_discards in_errors in_unknown_protos "
      "out_octets out_unicast out_multicast out_broadcast out_discards "
      "out_errors promiscuous")
COUNTERS = {
    1: IF, 2: "alignment_errors fcs_errors single_collisions "
    "multiple_collisions sqe_test_errors deferred late_collisions "
    "excessive_collisions mac_transmit_errors carrier_sense_errors too_long "
    "mac_receive_errors symbol_errors",
    5: "vlan vlan_octets vlan_unicast vlan_multicast vlan_broadcast "
    "vlan_discards",
    7: "lacp_actor_system lacp_partner_system lacp_aggregator - - - - lacp_rx "
    "lacp_marker_rx lacp_marker_response_rx lacp_unknown_rx lacp_illegal_rx "
    "lacp_tx lacp_marker_tx lacp_marker_response_tx",
    1004: "datapath_id of_port", 1005: "name",
    2000: "name uuid machine_type os_name os_release",
    2003: "load_1m_milli load_5m_milli load_15m_milli processes_running "
    "processes cpus cpu_mhz uptime_s cpu_user_ms cpu_nice_ms cpu_system_ms "
    "cpu_idle_ms cpu_wait_ms cpu_interrupt_ms cpu_soft_ms interrupts contexts",
    2004: "mem_total mem_free mem_shared mem_buffers mem_cached swap_total "
    "swap_free pages_in pages_out swaps_in swaps_out",
    2005: "disk_total disk_free disk_fullest disk_reads disk_read_octets "
    "disk_read_ms disk_writes disk_written_octets disk_write_ms",
    2006: "host_in_octets host_in_packets host_in_errors host_in_drops "
    "host_out_octets host_out_packets host_out_errors host_out_drops",
    2203: "user_time_ms system_time_ms memory_used memory_max files_open "
    "files_max connections_open connections_max",
    2207: "dp_hits dp_misses dp_lost dp_mask_hits dp_flows dp_masks",
}


def sflowtool_counters(text):
    """Of each counter sample the values by our names, and the adapters."""
    samples, names, values, adapters = [], [], None, None
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name in ("startSample", "endSample", "endDatagram"):
            if values is not None:
                samples.append((values, adapters))
            values, adapters, names = None, [], []
        elif name == "sampleType" and value.startswith("COUNTERS"):
            values = {}
        elif name == "counterBlock_tag":
            enterprise, number = map(int, value.split(":"))
            names = [] if enterprise else COUNTERS.get(number, "").split()
        elif name.startswith("adaptor_"):
            if "_MAC_" in name:
                adapters.append(value)
        elif names and values is not None:
            values[names.pop(0)] = value
    return samples


def as_we_say(name, value):
    """A value of sflowtool's, as ours is; None: not counted."""
    if name in ("name", "os_release"):
        return value
    if name == "uuid":
        return value.replace("-", "")
    if name.startswith("load_"):
        return round(float(value) * 1000)
    if name == "disk_fullest":
        return round(float(value) * 100)
    if name == "datapath_id" or name.endswith("_system"):
        return int(value, 16)
    return None if int(value) in (2**32 - 1, 2**64 - 1) else int(value)


def test_counter_samples():
    """Every counter sample of the captures, beside what sflowtool says."""
    compared, seen = 0, set()
    for case in manifest()["cases"]:
        path = path_of("expected/sflowtool/%s.txt" % case["id"])
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8", errors="replace") as f:
            theirs = sflowtool_counters(f.read())
        lines = decode(*map(path_of, case["files"])).splitlines()
        ours = [r for r in map(json.loads, lines)
                if r.get("record") == "counters"]
        equal(len(ours), len(theirs), case["id"])
        for our, (values, adapters) in zip(ours, theirs):
            for name, value in values.items():
                if name != "-":
                    equal(our.get(name), as_we_say(name, value),
                          "%s: %s" % (case["id"], name))
                    compared += 1
            equal([a["mac"].replace(":", "") for a in our.get("adapters",
                                                              [])],
                  adapters, case["id"])
            seen.update(our["structures"])
    if compared < 4500 or not seen >= set(COUNTERS):
        raise Failure("only %d values, structures %s" % (compared, seen))


def test_other_records():
    """What is no flow record, by name and type."""
    lines = decode(path_of("openvswitch+ovs/_captures-3.1.0/"
                           "sflow-basic-ipv4.pcap")).splitlines()
    counters = [r for r in map(json.loads, lines)
                if r.get("record") == "counters"]
    port = [r for r in counters if r.get("name") == "p1"][0]
    equal({name: port.get(name) for name in (
        "data_source", "if_index", "if_speed", "in_octets", "out_octets",
        "of_port", "datapath_id", "structures", "in_multicast")}, {
            "data_source": 1004, "if_index": 1004, "if_speed": 100000000,
            "in_octets": 148, "out_octets": 202, "of_port": 1,
            "datapath_id": 18364758544493064720,
            "structures": [2, 1004, 1005, 1],
            "in_multicast": None}, "counters of a port")
    name = path_of("irino+softflowd/_captures-1.1.0/ipfix-mixed-milli.pcap")
    options = [r for r in map(json.loads, decode(name).splitlines())
               if r.get("record") == "options"]
    equal((options[0]["template"], list(options[0]["scope"]),
           options[0]["fields"]["samplingPacketInterval"],
           options[0]["fields"]["interfaceName"]),
          (256, ["meteringProcessId"], 1, "sf/mixed.pcap"), "options")
    flows = [json.loads(line)
             for line in decode("--flows", name).splitlines()]
    equal(len(flows), summary(name)["flow_records"], "flows only")
    equal([r for r in flows if "record" in r], [], "others")


def test_elements():
    """Fields that no column takes: kept, or taken for one."""
    found = None
    for entry in manifest()["files"]:
        if entry["kind"] not in INPUT or entry["protocol"] != "ipfix":
            continue
        for line in decode("--flows", "--extra", path_of(entry["path"]),
                           status=(0, 1)).splitlines():
            extra = json.loads(line).get("extra", "")
            # A number of four bytes that is not 0.
            match = re.search(r"(?:^| )(\d+/\d+)=([0-9a-f]{8})(?: |$)", extra)
            if match and int(match.group(2), 16):
                found = (path_of(entry["path"]), match.group(1),
                         int(match.group(2), 16))
                break
        if found:
            break
    if not found:
        raise Failure("no field without a column in any file")
    name, element, value = found
    values = {json.loads(line).get("in_vrf") for line in
              decode("--flows", "--element", element + "=in_vrf",
                     name).splitlines()}
    if value not in values:
        raise Failure("%s of %s: %s" % (element, name, values))
    for wrong in ("x", "1/2", "1/70000=in_vrf", "1/2=bytes", "1/2=nothing",
                  "1/2=in_vrf;"):
        decode("--element", wrong, name, status=(2,))


def test_fuzz_inputs():
    """Each hostile input, then a good one in the same run."""
    good = path_of("irino+softflowd/_captures-1.1.0/v9-vlan.pcap")
    alone = summary(good)
    equal(alone["flow_records"], 6, "flow records of v9-vlan.pcap")
    n = 0
    for entry in manifest()["files"]:
        if entry["kind"] == "fuzz-input" or entry["protocol"] == "malformed":
            bad = path_of(entry["path"])
            before, both = summary(bad), summary(bad, good)
            equal(both["flow_records"] - before["flow_records"],
                  alone["flow_records"], entry["path"])
            n += 1
    if not n:
        raise Skip("no inputs of fuzzers")


def test_torn_files():
    """A capture cut off anywhere, and with bytes changed."""
    with open(path_of("openvswitch+ovs/_captures-3.1.0/"
                      "sflow-basic-ipv4.pcap"), "rb") as f:
        capture = f.read()
    last = 0
    for size in range(0, len(capture), 37):
        said = summary("-", stdin=capture[:size], status=(0, 1))
        if said["flow_records"] < last and size > 24:
            raise Failure("%d bytes: fewer records" % size)
        last = said["flow_records"] if size > 24 else 0
    for at in range(0, len(capture), 61):
        changed = bytearray(capture)
        changed[at] ^= 0xff
        summary("-", stdin=bytes(changed), status=(0, 1))


def test_packings():
    """gzip, the standard input, pcapng: the same answer."""
    directory = scratch_dir()
    name = path_of("irino+softflowd/_captures-1.1.0/ipfix-mixed-milli.pcap")
    with open(name, "rb") as f:
        data = f.read()
    wanted = summary(name)
    packed = os.path.join(directory, "c.pcap.gz")
    with gzip.open(packed, "wb") as f:
        f.write(data)
    equal(summary(packed), wanted, "gzip")
    equal(summary("-", stdin=data), wanted, "standard input")
    ng = os.path.join(directory, "c.pcapng")
    if subprocess.run(["editcap", "-F", "pcapng", name, ng], check=False,
                      stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode == 0:
        equal(summary(ng), wanted, "pcapng")
        equal(decode(ng), decode(name), "records of pcapng")


def test_usage():
    directory = scratch_dir()
    missing = os.path.join(directory, "missing")
    equal(summary(missing, status=(1,))["errors"], {"not_readable": 1},
          "errors of a file that is missing")
    equal(summary(directory, status=(1,))["errors"], {"not_readable": 1},
          "errors of a directory")
    decode(status=(2,))
    decode("--protocol", "bgp", "-", status=(2,), stdin=b"")
    name = path_of("irino+softflowd/_captures-1.1.0/v9-vlan.pcap")
    equal(summary("--protocol", "netflow", name)["flow_records"], 6,
          "flow records of a protocol that was given")
    said = summary("--protocol", "ipfix", name)
    equal(said["flow_records"], 0, "flow records of another protocol")
    equal(set(said["errors"]), {"other_protocol"}, "errors")
    huge = os.path.join(directory, "huge")
    with open(huge, "wb") as f:
        f.truncate(1 << 20)
    equal(summary(huge, status=(1,))["errors"], {"not_readable": 1},
          "errors of a file that is nothing")


if __name__ == "__main__":
    main(needs=("venturictl",))
