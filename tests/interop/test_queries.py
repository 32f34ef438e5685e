#!/usr/bin/env python3
"""Queries, series, records and channels agree with each other and with what
venturi-gen sent; and with nfdump on the same flows, filter by filter."""

import datetime
import os
import re
import shutil
import subprocess
import tempfile
import time

from generator import generate
from harness import (BUILDDIR, Client, Daemon, Failure, Lab, Process, RpcError,
                     equal, main, wait_until)

COUNT = 5000
NFCAPD_PORT = 29995
SENT = ("--count", COUNT // 2, "--rate", 20000, "--hosts", 50, "--flows",
        1000)

# What nfdump(1) describes, term by term, over flows of NetFlow v5 and v9.  ICMP
# has no ports here, but type and code; nfdump takes them for ports.
FILTERS = (
    # Protocols, versions, and how terms are put together.
    "any", "not any", "proto tcp", "proto udp or proto icmp", "not proto tcp",
    "proto 6", "proto 17", "proto TCP", "PROTO udp", "proto gre",
    "proto sctp", "proto icmp6", "proto 47", "proto 132", "ipv4", "inet",
    "ipv6", "inet6", "not ipv6", "inet and proto udp",
    "proto tcp and not ipv6", "(proto tcp) and (ipv4)",
    "proto tcp && ipv4", "proto tcp || proto udp", "! proto tcp",
    "!(proto tcp or proto udp)", "not (not proto tcp)",
    "proto tcp or proto udp and port 53",
    "(proto tcp or proto udp) and port 53",
    "not proto tcp and not proto udp", "not proto tcp or ipv6",
    "(proto udp and port 53) or (proto tcp and (port 80 or port 443))",
    "proto tcp # a comment",
    # Hosts and networks.
    "ip HOST", "host HOST", "src ip HOST", "dst ip HOST", "src host HOST",
    "dst host HOST", "src or dst ip HOST", "not host HOST",
    "src ip HOST or dst ip HOST", "ip in [HOST OTHER]",
    "src ip in [HOST OTHER]", "dst ip in [HOST OTHER]",
    "ip in [HOST 198.18.0.0/16]", "src ip in [10.0.0.0/9]",
    "not src ip in [HOST OTHER]", "host HOST6", "src ip HOST6",
    "ip in [HOST HOST6]",
    "net 10.0.0.0/8", "src net 10.0.0.0/9", "dst net 10.0.0.0/12",
    "src net 10.0.0.0 255.128.0.0", "dst net 198.18.0.0 255.254.0.0",
    "net 198.18.0.0/15", "not net 198.18.0.0/15", "src net 2001:db8:10::/48",
    "dst net 2001:db8::/32", "net 2001:db8:ffff::/48",
    "dst net 10.0.0.0/12 and proto tcp", "src net 10/8",
    "src net 10.0.0.0/8 and dst net 10.0.0.0/8",
    # Ports.
    "port 53", "dst port 443", "src port 443", "port = 443", "port == 443",
    "port eq 443", "port in [53 80 443]", "src port in [53 80]",
    "dst port in [53 80]", "not port in [53 80 443]",
    "port > 1024 and not proto icmp and not proto icmp6",
    "port < 1024 and not proto icmp and not proto icmp6",
    "dst port > 40000", "dst port gt 40000", "src port < 500 and proto tcp",
    "src port lt 500 and proto tcp", "dst port >= 40000",
    "dst port <= 443 and proto tcp", "src or dst port 53",
    "src port < 1024 and (proto tcp or proto udp)",
    # Numbers.
    "bytes > 1k", "bytes > 1000", "bytes = 40", "bytes < 100", "bytes >= 1k",
    "bytes <= 100", "bytes gt 10k", "bytes lt 1k", "bytes eq 40",
    "bytes > 1m", "bytes > 1g", "packets > 10", "packets = 1",
    "packets 1", "packets >= 2", "packets < 3 and bytes > 100",
    "packets > 1k", "bpp > 500", "bpp < 100", "bpp = 40", "bps > 10k",
    "bps < 1000", "bps = 0", "bps > 1m", "pps > 10", "pps = 0", "pps < 5",
    "duration > 1000", "duration = 0", "duration < 100",
    "duration >= 10000", "duration 0",
    # Flags.
    "flags S", "flags SA", "flags A", "flags F", "flags P", "flags R",
    "flags U", "flags X", "flags AS", "flags APF",
    "flags S and not flags AFRPU", "flags S and not flags A",
    "not flags FA", "not flags S", "flags = 27", "flags 2",
    "not flags RUA", "proto tcp and flags SAPF", "flags > 2", "proto tcp and flags < 16",
    "flags 27 and port 443",
    # Interfaces, type of service, masks, VLANs, next hops, ICMP.  (Of AS numbers
    # this nfdump only knows more with a database of places.)
    "in if 1", "out if 2", "if 3", "not if 1", "in if 1 and out if 2",
    "tos 0", "tos 184", "src tos 0", "tos > 0", "not tos 0",
    "src mask 9", "vlan 100", "next ip 10.0.0.1",
    "icmp-type 8", "icmp-type 0 and proto icmp", "icmp-code 0 and proto icmp",
    "icmp-type 8 and icmp-code 0",
    "engine-type 0", "engine-id 0",
)


def count(daemon, scope, **kwargs):
    rows = daemon.flows(metrics=["flows"], filter=scope,
                        observations="all", **kwargs)
    return rows[0]["flows"] or 0


def check_series(daemon):
    total = count(daemon, "")
    series = daemon.rpc("flow.series", **{
        "by": ["proto_name", "dst_addr/16"], "metrics": ["flows"], "top": 3,
        "bucket": "1m", "observations": "all"})
    if len(series["total"]["flows"]) != series["buckets"]:
        raise Failure("the series is not dense")
    equal(sum(series["total"]["flows"]), total, "flows of the series")
    parts = [s["values"]["flows"] for s in series["series"]]
    for step, n in enumerate(series["total"]["flows"]):
        equal(sum(p[step] for p in parts) + series["other"]["flows"][step], n,
              "series and rest in step %d" % step)


def check_records(daemon):
    n, cursor = 0, None
    while True:
        params = {"fields": ["bytes"], "limit": 1000, "observations": "all"}
        if cursor:
            params["cursor"] = cursor
        page = daemon.rpc("flow.records", **params)
        n += len(page["rows"])
        cursor = page["cursor"]
        if not cursor:
            break
    equal(n, count(daemon, ""), "records of all pages")


def channel_flows(daemon, name):
    series = daemon.rpc("channel.series", **{
        "profile": "test", "name": name, "from": "-50m", "bucket": "1m"})
    return sum(series["channels"][0]["flows"])


def check_channels(daemon):
    """Live, and filled: both are what the store says."""
    equal([len(p["channels"]) for p in
           daemon.rpc("profile.list")["profiles"] if p["name"] == "classic"],
          [21], "classic channels")
    daemon.rpc("channel.add", **{"profile": "test", "name": "filled",
                               "filter": "proto tcp", "start": "-1h"})
    stored = daemon.flows(metrics=["flows"], filter="proto tcp",
                          **{"from": "-50m"})[0]["flows"]
    wait_until(lambda: channel_flows(daemon, "filled") == stored
               and channel_flows(daemon, "live") == stored, 20,
               lambda: "the store has %d flows, live %d, filled %d" % (
                   stored, channel_flows(daemon, "live"),
                   channel_flows(daemon, "filled")))


def check_profile_list(daemon):
    """What "nfsen -l" told: size, and when it was updated."""
    def channels():
        profile, = daemon.rpc("profile.list", name="test")["profiles"]
        return {c["name"]: c for c in profile["channels"]}
    daemon.rpc("channel.add", **{"profile": "test", "name": "none",
                               "filter": "not any"})
    wait_until(lambda: channels()["live"]["updated"], what="its numbers")
    listed = channels()
    now = time.time()
    for name in ("live", "filled"):
        updated = datetime.datetime.fromisoformat(
            listed[name]["updated"].replace("Z", "+00:00")).timestamp()
        if not now - 600 < updated <= now + 1:
            raise Failure("%s: updated %s" % (name, listed[name]["updated"]))
        if not 4096 <= listed[name]["disk_bytes"] < 1 << 20:
            raise Failure("%s: %d bytes" % (name, listed[name]["disk_bytes"]))
    equal((listed["none"]["updated"], listed["none"]["disk_bytes"]), (None, 0),
          "a channel that has counted nothing")
    table = subprocess.run([
        os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, "--csv",
        "profile", "list", "test"], stdout=subprocess.PIPE, check=True,
        text=True).stdout.splitlines()
    equal(table[0], "profile,channel,sign,colour,order,start,updated,size,"
          "filling,filter", "columns")
    equal(len(table), 1 + len(listed), "lines")


def check_profile_start(daemon):
    """Channels of a profile with a past start begin then, as nfsen's did; one
    that is wrong in part changes nothing."""
    added = daemon.rpc("profile.add", name="since", start="-1h")
    channel = daemon.rpc("channel.add", profile="since", name="tcp",
                         filter="proto tcp")
    equal(channel["start"], added["start"], "start")
    stored = daemon.flows(metrics=["flows"], filter="proto tcp",
                          **{"from": "-50m"})[0]["flows"]

    def filled():
        series = daemon.rpc("channel.series", profile="since", name="tcp",
                            bucket="1m", **{"from": "-50m"})
        return sum(series["channels"][0]["flows"])
    wait_until(lambda: filled() == stored, 20, lambda: "filled %d of %d" % (
        filled(), stored))
    for wrong in ({"colour": "red"}, {"order": 1 << 40}, {"filter": "proto"}):
        try:
            daemon.rpc("channel.edit", profile="since", name="tcp",
                       **{"filter": "any", "sign": "-", **wrong})
            raise Failure("%r was taken" % wrong)
        except RpcError as error:
            if error.code == -32602:
                equal(error.data["member"], next(iter(wrong)), "member")
    profile, = daemon.rpc("profile.list", name="since")["profiles"]
    equal([(c["filter"], c["sign"]) for c in profile["channels"]],
          [("proto tcp", "+")], "after refusals")
    daemon.rpc("profile.delete", name="since")


def nfdump_count(directory, scope):
    """How many flows nfdump finds; None if it does not know the filter."""
    result = subprocess.run(["nfdump", "-R", directory, "-q", "-o", "csv",
                             scope], capture_output=True, text=True,
                            check=False)
    if result.returncode:
        return None
    return sum(1 for line in result.stdout.splitlines() if line[:2] == "20")


def check_nfdump(daemon, lab):
    if not shutil.which("nfcapd") or not shutil.which("nfdump"):
        print("no nfdump here: not compared")
        return
    hosts = [row["src_addr"] for row in daemon.flows(
        by=["src_addr"], metrics=["flows"], limit=1000, observations="all")]
    v4 = [h for h in hosts if ":" not in h]
    names = (("HOST6", next(h for h in hosts if ":" in h)), ("HOST", v4[0]),
             ("OTHER", v4[3]))
    with tempfile.TemporaryDirectory() as directory:
        nfcapd = Process("nfcapd", [
            "nfcapd", "-w", directory, "-l", directory, "-p",
            str(NFCAPD_PORT), "-b", "127.0.0.1"],
            os.path.join(lab.dir, "nfcapd.log"), lab.name)
        wait_until(lambda: ":%04X" % NFCAPD_PORT in lab.read("/proc/net/udp"),
                   what="nfcapd's socket")
        for protocol in ("netflow5", "netflow9"):
            generate(protocol, *SENT, "--port", NFCAPD_PORT, netns=lab.name)
        wait_until(lambda: re.search(
            r":%04X .*? 00000000:00000000 " % NFCAPD_PORT,
            lab.read("/proc/net/udp")), what="nfcapd to read all")
        nfcapd.stop()
        wrong, compared, unknown = [], 0, []
        for scope in FILTERS:
            for name, value in names:
                scope = scope.replace(name, value)
            theirs = nfdump_count(directory, scope)
            if theirs is None:
                unknown.append(scope)
                continue
            compared += 1
            try:
                ours = count(daemon, scope)
            except RpcError as error:
                ours = error.data["message"]
            if theirs != ours:
                wrong.append("%s: %s, nfdump %d" % (scope, ours, theirs))
        print("%d filters compared with nfdump; it does not know: %s" % (
            compared, "; ".join(unknown) or "-"))
        if wrong:
            raise Failure("other answers than nfdump's: " + "; ".join(wrong))
        if compared < 100:
            raise Failure("nfdump answered only %d filters" % compared)


def news(client, until):
    """Results of subscription.data until until(rows, skipped) is true."""
    rows, skipped = [], 0
    while not until(rows, skipped):
        message = client.receive()
        if message is None:
            raise Failure("the connection was closed")
        if message.get("method") == "subscription.data":
            rows += message["params"]["result"]["rows"]
            skipped += message["params"]["result"]["skipped"]
    return rows, skipped


def test_subscribe():
    """Live flows: all that match, or as many as wanted and how many not."""
    lab = Lab()
    daemon = Daemon(lab)
    all_of_them, some, slow = (Client(daemon.api) for _ in range(3))
    answer = all_of_them.call("flow.subscribe", **{
        "filter": "proto tcp", "fields": ["proto", "bytes", "exporter"],
        "rate": 10000})
    equal([c["name"] for c in answer["columns"]],
          ["proto", "bytes", "exporter"], "columns")
    some.call("flow.subscribe", filter="proto tcp", rate=10)
    # Never reads: it must not hurt anybody.
    slow.call("flow.subscribe", rate=10000)
    for params, code, member in (
            ({"filter": "proto"}, -32602, "filter"),
            ({"fields": ["nothing"]}, -32602, "fields[0]"),
            ({"rate": 0}, -32602, "rate"), ({"rate": 10 ** 12}, -32602,
                                            "rate"),
            ({"observations": "x"}, -32602, "observations")):
        try:
            daemon.rpc("flow.subscribe", **params)
            raise Failure("%r was taken" % params)
        except RpcError as error:
            equal(error.code, code, repr(params))
            equal(error.data["member"], member, repr(params))
    generate("netflow5", "--count", COUNT, "--rate", 4000, netns=lab.name)
    wait_until(lambda: count(daemon, "") >= COUNT, 30)
    stored = daemon.flows(metrics=["flows", "bytes"], filter="proto tcp")[0]
    rows, skipped = news(all_of_them, lambda rows, skipped:
                         len(rows) + skipped >= stored["flows"])
    equal((len(rows), skipped), (stored["flows"], 0), "live flows")
    equal(sum(row[1] for row in rows), stored["bytes"], "their bytes")
    equal({row[0] for row in rows}, {6}, "their protocol")
    rows, skipped = news(some, lambda rows, skipped:
                         len(rows) + skipped >= stored["flows"])
    equal(len(rows) + skipped, stored["flows"], "told and skipped")
    if not 10 <= len(rows) <= 60:
        raise Failure("%d rows at 10 a second" % len(rows))
    # Everybody is answered, whoever does not read.
    counters = daemon.rpc("system.info")["counters"]["subscribers"]
    equal(counters["flows"], COUNT, "flows that were looked at")
    equal(counters["taken"] + counters["skipped_rate"]
          + counters["skipped_slow"] >= COUNT, True, "all accounted for")
    some.close()                # Ends with the connection.
    ident = answer["subscription"]
    equal(all_of_them.call("subscription.cancel", subscription=ident)
          is not None, True, "cancelled")
    watch_cli(daemon, lab)
    daemon.stop()


def watch_cli(daemon, lab):
    """venturictl watch ends after --count records."""
    watch = subprocess.Popen([
        os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, "--csv",
        "watch", "--count", "3", "--fields", "proto,src_addr", "proto", "tcp"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    equal(watch.stdout.readline().strip(), "proto,src_addr", "the header")
    generate("netflow5", "--count", 1000, "--rate", 5000, netns=lab.name)
    out, _ = watch.communicate(timeout=30)
    equal(watch.returncode, 0, "exit status")
    lines = out.split()
    equal([line[:2] for line in lines], ["6,"] * 3, "records")


def test_queries():
    lab = Lab()
    daemon = Daemon(lab)
    daemon.rpc("profile.add", **{"name": "test"})
    daemon.rpc("channel.add", **{"profile": "test", "name": "live",
                               "filter": "proto tcp", "colour": "#305FFF"})
    try:
        daemon.rpc("channel.add", **{"profile": "test", "name": "ahead",
                                   "filter": "any", "start": "+1h"})
        raise Failure("a start in the future was taken")
    except RpcError as error:
        equal((error.code, error.data["member"]), (-32602, "start"),
              "a start in the future")
    for protocol in ("netflow5", "netflow9"):
        generate(protocol, *SENT, netns=lab.name)
    wait_until(lambda: count(daemon, "") >= COUNT, 30,
               lambda: "%d flows" % count(daemon, ""))
    check_series(daemon)
    check_records(daemon)
    check_channels(daemon)
    check_profile_list(daemon)
    check_profile_start(daemon)
    check_nfdump(daemon, lab)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
