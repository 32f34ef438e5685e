#!/usr/bin/env python3
"""tests/interop/test_store_faults.py -- flows survive a kill -9 and a full
disk, as far as they can.
"""
# timeout: 300

import json
import os
import shutil
import signal
import time

from harness import (BUILDDIR, Daemon, Failure, Lab, Process, equal, main,
                     on_cleanup, run, wait_until)

GEN = os.path.join(BUILDDIR, "venturi-gen")


def flows(daemon):
    """Records that can be queried now."""
    rows = daemon.flows(metrics=["flows"], all_observations=True)
    return rows[0]["flows"] if rows else 0


def generate(lab, count, *args):
    """Sends 'count' NetFlow v9 records; returns their totals."""
    text = lab.run(GEN, "-t", "127.0.0.1", "-p", "2055", "--protocol",
                   "netflow9", "--count", str(count), "--rate", "20000",
                   "--json", *args)
    return json.loads(text)


def test_killed_while_idle_loses_nothing():
    lab = Lab()
    daemon = Daemon(lab)
    generate(lab, 5000)
    wait_until(lambda: flows(daemon) == 5000,
               what=lambda: "5000 records: %d" % flows(daemon))
    daemon.stop(signal.SIGKILL, check=False)
    daemon.start()
    equal(flows(daemon), 5000, "records after kill -9")
    generate(lab, 1000, "--seed", "2")
    wait_until(lambda: flows(daemon) == 6000, what="1000 more")
    daemon.stop()


def test_killed_while_busy_loses_a_second_at_most():
    lab = Lab()
    daemon = Daemon(lab)
    rate = 2000
    sender = Process("venturi-gen", [
        GEN, "-t", "127.0.0.1", "-p", "2055", "--protocol", "netflow9",
        "--count", "0", "--rate", str(rate)],
        os.path.join(lab.dir, "gen.out"), lab.name)
    wait_until(lambda: flows(daemon) > 2 * rate, what="flows to come in")
    received = sum(e["counters"]["flow_records"]
                   for e in daemon.rpc("exporter.list")["exporters"])
    daemon.stop(signal.SIGKILL, check=False)
    sender.kill()
    daemon.start()
    # "A second" and what the machine needs to commit it.
    if flows(daemon) < received - 2 * rate:
        raise Failure("%d of %d received records survived"
                      % (flows(daemon), received))
    daemon.stop()


def test_end_loses_nothing():
    lab = Lab()
    daemon = Daemon(lab)
    for n in range(3):
        generate(lab, 3000, "--seed", str(n + 1))
        wait_until(lambda: sum(
            e["counters"]["flow_records"]
            for e in daemon.rpc("exporter.list")["exporters"]) == 3000,
            what="all to be received")
        daemon.stop()               # At once: most is in memory still.
        daemon.start()
        equal(flows(daemon), 3000 * (n + 1), "records after the restart")
    daemon.stop()


def test_full_disk_is_survived():
    lab = Lab()
    daemon = Daemon(lab, start=False, expect=(r"store\|(WARN|ERR)",
                                              r"query\|(WARN|ERR)"))
    # A disk of its own, small enough to fill.
    os.mkdir(daemon.state_dir)
    run("mount", "-t", "tmpfs", "-o", "size=40m,mode=0777", "tmpfs",
        daemon.state_dir)
    on_cleanup(run, "umount", "-l", daemon.state_dir)
    daemon.start()
    generate(lab, 2000)
    wait_until(lambda: flows(daemon) == 2000, what="the first flows")

    ballast = os.path.join(daemon.state_dir, "ballast")
    free = shutil.disk_usage(daemon.state_dir).free
    with open(ballast, "wb") as f:
        f.write(b"\0" * free)

    def degraded():
        generate(lab, 2000, "--hosts", "5000", "--seed",
                 str(int(time.monotonic() * 1000)))
        return daemon.rpc("system.health")["status"] == "degraded"
    wait_until(degraded, 60, "system.health to say that the disk is full")
    lost = wait_until(
        lambda: sum(e["counters"]["store_lost"] + e["counters"]["ring_full"]
                    for e in daemon.rpc("exporter.list")["exporters"]),
        30, "the loss to be counted")
    os.unlink(ballast)
    wait_until(lambda: daemon.rpc("system.health")["status"] == "ok", 60,
               "writing to resume")
    before = flows(daemon)
    generate(lab, 1000, "--seed", "77")
    wait_until(lambda: flows(daemon) >= before + 1000, 30,
               lambda: "new flows: %d, then %d; %d were lost"
               % (before, flows(daemon), lost))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ip", "mount", "venturid", "venturi-gen"))
