#!/usr/bin/env python3
"""What reaches the store of four good exporters while somebody floods the
collector as fast as one core can: without names, and named in the
configuration.  Collector and senders share the machine."""

import common

import json
import subprocess
import time

import harness
from generator import command
from harness import BUILDDIR, Daemon, Lab, on_cleanup, wait_until

KINDS = ("empty", "byte", "garbage", "long", "templates", "churn", "wide",
         "512", "sets", "release", "withdraw", "domains", "names", "records",
         "flow", "flows", "future", "agents")
RATE = 20000            # Good records/s.
SECONDS = 4
ADDRESSES = ["127.1.0.%d" % i for i in (1, 2, 3, 4)]


def in_lab(lab, args):
    process = subprocess.Popen(["ip", "netns", "exec", lab.name] + args,
                               stdout=subprocess.PIPE, text=True)
    on_cleanup(process.kill)
    return process


def good_flows(daemon):
    return sum(r["flows"] for r in daemon.flows(
        by=["exporter"], metrics=["flows"], limit=10000,
        filter="exporter 127.1.0.0/16"))


def settled(daemon):
    """When nothing more comes."""
    last = None
    while True:
        counters = daemon.rpc("system.info")
        now = (counters["store"]["counters"]["rows"],
               counters["counters"]["decoder"]["datagrams"])
        if now == last:
            return
        last = now
        time.sleep(0.5)


def attack(kind, names):
    lab = Lab()
    collector = {"receive-buffer": "16MiB"}
    if names:
        collector["source"] = [{"name": a, "address": a} for a in ADDRESSES]
    daemon = Daemon(lab, config={"collector": collector}, expect=[".*"])
    pid = daemon.process.pid
    memory, cpu = common.rss_bytes(pid), common.cpu_seconds(pid)
    flood = in_lab(lab, [BUILDDIR + "/tests/interop/flood", "2055", kind,
                         str(SECONDS + 2)])
    wait_until(lambda: daemon.rpc("system.info")["counters"]["decoder"]
               ["datagrams"], what="the flood")
    good = in_lab(lab, command("netflow9", "-p", 2055, "--rate", RATE,
                               "--count", RATE * SECONDS, "--top", 0,
                               "--exporters", len(ADDRESSES)))
    sent = json.loads(good.communicate(timeout=120)[0])
    n = int(flood.communicate(timeout=120)[0])
    settled(daemon)
    cpu = common.cpu_seconds(pid) - cpu
    memory = common.rss_bytes(pid) - memory
    kept = good_flows(daemon) / sent["records"]
    drops = sum(entry["kernel_drops"]
                for entry in daemon.rpc("system.info")["listen"])
    harness.cleanup()
    return n / (SECONDS + 2), kept, drops, memory, cpu


def main():
    harness.check_needs(("root", "venturid", "venturi-gen",
                         "tests/interop/flood"))
    harness.install_signal_handlers()
    common.header("Beside a flood (good: %d records/s, %d s)"
                  % (RATE, SECONDS))
    for kind in KINDS:
        for names in (False, True):
            rate, kept, drops, memory, cpu = attack(kind, names)
            common.row("%s, %s" % (kind, "named" if names else "without name"),
                       "%.1f %% kept; %d datagrams/s offered, %d dropped; "
                       "%+.0f MB, %.1f CPU s" % (
                           100 * kept, rate, drops, memory / 1e6, cpu))


if __name__ == "__main__":
    main()
