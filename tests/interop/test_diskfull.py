#!/usr/bin/env python3
"""The disk fills up: receiving goes on, what is lost is counted, and writing
resumes by itself."""

import os

from generator import generate
from harness import (Daemon, Failure, Lab, equal, fill_disk, main, on_cleanup,
                     run, wait_until)

SIZE = "16m"
RATE = 20000


def counters(daemon, name):
    return sum(e["counters"][name]
               for e in daemon.rpc("exporter.list")["exporters"])


def store_check(daemon):
    return next(c for c in daemon.rpc("system.health")["checks"]
                if c["name"] == "store")


def flows_of(daemon):
    rows = daemon.flows(metrics=["flows"])
    return rows[0]["flows"] or 0 if rows else 0


def send(lab, count=10000):
    return generate("netflow5", "--count", count, "--rate", RATE, "--top", 0,
                    netns=lab.name)["records"]


def test_diskfull():
    lab = Lab()
    daemon = Daemon(lab, start=False, expect=[".*"])
    run("mount", "-t", "tmpfs", "-o", "size=" + SIZE, "tmpfs",
        daemon.state_dir)
    on_cleanup(run, "umount", "-l", daemon.state_dir)
    daemon.start()
    sent = send(lab, 5000)
    wait_until(lambda: flows_of(daemon) == sent, what="the first flows")

    ballast = fill_disk(daemon.state_dir)
    while store_check(daemon)["status"] == "ok":
        sent += send(lab)       # Room within the file is used up first.
        if sent > 2000000:
            raise Failure("two million flows, and the disk is not full")
    print("full after %d flows: %s" % (sent, store_check(daemon)["reason"]))
    equal(daemon.rpc("system.health")["status"], "degraded", "health")

    # Receiving goes on, and nothing is lost in silence.
    before = counters(daemon, "flow_records")
    for _ in range(60):
        sent += send(lab, 20000)
        if counters(daemon, "store_lost") + counters(daemon, "ring_full"):
            break
    else:
        raise Failure("nothing is counted as lost")
    wait_until(lambda: counters(daemon, "flow_records") == sent,
               what="all records to be decoded")
    equal(counters(daemon, "flow_records") > before, True, "receiving")
    flows_of(daemon)            # Queries are answered, too.

    os.unlink(ballast)
    wait_until(lambda: store_check(daemon)["reason"].startswith("writing"), 30,
               lambda: "the store to write again: %s" % store_check(daemon))
    added = send(lab, 3000)
    sent += added

    def accounted():
        lost = counters(daemon, "store_lost") + counters(daemon, "ring_full")
        return flows_of(daemon) + lost == sent
    wait_until(accounted, 30, lambda: "sent %d, stored %d, lost %d + %d" % (
        sent, flows_of(daemon), counters(daemon, "store_lost"),
        counters(daemon, "ring_full")))
    print("sent %d, stored %d, counted as lost %d" % (
        sent, flows_of(daemon), sent - flows_of(daemon)))
    there = flows_of(daemon)
    daemon.stop()
    daemon.start()
    equal(flows_of(daemon), there, "flows after a restart")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
