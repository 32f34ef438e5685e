#!/usr/bin/env python3
"""Queries, series, records and channels agree with each other and with what
venturi-gen sent; and with nfdump on the same flows, filter by filter."""

import os
import shutil
import signal
import subprocess
import tempfile
import time

from generator import generate
from harness import (BUILDDIR, Client, Daemon, Failure, Lab, RpcError, equal,
                     in_netns, main, wait_until)

COUNT = 5000
NFCAPD_PORT = 29995

# What nfdump(1) describes, over columns that NetFlow v5 has.  ICMP has no ports
# here, but type and code; nfdump takes them for ports.
FILTERS = (
    "any", "proto tcp", "proto udp or proto icmp", "not proto tcp",
    "dst port 443", "port in [53 80 443]", "port > 1024 and not proto icmp",
    "src port < 1024 and (proto tcp or proto udp)",
    "src net 10.0.0.0/9", "dst net 10.0.0.0/12 and proto tcp",
    "bytes > 1k", "packets > 10", "packets < 3 and bytes > 100",
    "flags S", "flags SA", "flags S and not flags AFRPU", "not flags FA",
    "bpp > 500", "bps > 10k", "pps > 10", "duration > 1000",
    "duration = 0", "bps = 0", "tos 0", "in if 1", "out if 2", "if 3",
    "ipv4", "inet6",
    "(proto udp and port 53) or (proto tcp and (port 80 or port 443))",
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


def nfdump_count(directory, scope):
    out = subprocess.run(["nfdump", "-R", directory, "-q", "-o", "csv",
                          scope], capture_output=True, text=True,
                         check=True).stdout
    return sum(1 for line in out.splitlines() if line[:2] == "20")


def check_nfdump(daemon, lab):
    if not shutil.which("nfcapd") or not shutil.which("nfdump"):
        print("no nfdump here: not compared")
        return
    with tempfile.TemporaryDirectory() as directory:
        nfcapd = subprocess.Popen(
            in_netns(lab.name, ["nfcapd", "-w", directory, "-l", directory, "-p",
             str(NFCAPD_PORT), "-b", "127.0.0.1"]),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(1)
            generate("netflow5", "--count", COUNT, "--rate", 20000, "--port",
                     NFCAPD_PORT, netns=lab.name)
            time.sleep(1)
        finally:
            nfcapd.send_signal(signal.SIGTERM)
            nfcapd.wait(20)
        wrong = []
        for scope in FILTERS:
            theirs, ours = nfdump_count(directory, scope), count(daemon,
                                                                 scope)
            if theirs != ours:
                wrong.append("%s: %d, nfdump %d" % (scope, ours, theirs))
        if wrong:
            raise Failure("other answers than nfdump's: " + "; ".join(wrong))


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
    generate("netflow5", "--count", COUNT, "--rate", 20000, netns=lab.name)
    wait_until(lambda: count(daemon, "") >= COUNT, 30,
               lambda: "%d flows" % count(daemon, ""))
    check_series(daemon)
    check_records(daemon)
    check_channels(daemon)
    check_nfdump(daemon, lab)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
