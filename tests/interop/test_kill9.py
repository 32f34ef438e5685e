#!/usr/bin/env python3
"""kill -9 while flows come in: at most the last second is missing.

VENTURI_KILLS=50 kills so often, at random moments, instead of a few times."""
# exclusive

import os
import random
import signal
import subprocess
import time

from generator import command, generate
from harness import (Daemon, Failure, Lab, Process, equal, in_netns, main,
                     wait_until)

SLACK_S = 1.5           # The promise is a second; the clock here is coarse.


def flows_of(daemon):
    rows = daemon.flows(metrics=["flows"])
    return rows[0]["flows"] or 0 if rows else 0


def received(daemon):
    return sum(e["counters"]["flow_records"]
               for e in daemon.rpc("exporter.list")["exporters"])


def generator(lab, rate):
    return Process("venturi-gen", command(
        "sflow", "--rate", rate, "--count", 0, "--records-per-datagram", 4),
        os.path.join(lab.dir, "gen.json"), lab.name)


def kill_in_turns(rate, turns):
    """Kills a daemon that gets 'rate' records per second."""
    lab = Lab()
    daemon = Daemon(lab, expect=[".*"])
    total = 0
    for turn in range(turns):
        source = generator(lab, rate)
        enough = received(daemon) + random.uniform(0.3, 2.5) * rate
        wait_until(lambda n=enough: received(daemon) > n, 30,
                   what="flows of a random time")
        before = received(daemon)       # All that surely had arrived.
        at = time.monotonic()
        daemon.stop(signal.SIGKILL, check=False)
        source.stop(signal.SIGINT)
        elapsed = time.monotonic() - at
        daemon.start()
        there = flows_of(daemon)
        lost = total + before - there
        print("turn %d: %d had arrived, %d missing (%.2f s of them)"
              % (turn, before, max(lost, 0), max(lost, 0) / rate))
        if lost > rate * SLACK_S:
            raise Failure("%d records missing, a second has %d"
                          % (lost, rate))
        if there > total + before + rate * (elapsed + 1):
            raise Failure("%d records, more than were sent" % there)
        total = there
        equal(daemon.rpc("system.health")["status"], "ok", "health")
    # And it goes on: what comes now is added.
    sent = generate("netflow5", "--count", 3000, "--rate", 20000,
                    netns=lab.name)
    wait_until(lambda: flows_of(daemon) == total + sent["records"],
               what=lambda: "%d flows, there are %d" % (
                   total + sent["records"], flows_of(daemon)))
    daemon.stop()


def test_kill9():
    kill_in_turns(4000, 3)


def test_kill9_under_load():
    seed = int.from_bytes(os.urandom(4), "big")
    random.seed(seed)
    kills = int(os.environ.get("VENTURI_KILLS", "2"))
    print("%d kills, seed %d" % (kills, seed))
    kill_in_turns(60000 if kills < 10 else 30000, kills)


def test_kill9_at_the_first_breath():
    """Killed again and again while it starts, it starts."""
    lab = Lab()
    daemon = Daemon(lab, expect=[".*"])
    sent = generate("netflow5", "--count", 2000, "--rate", 20000,
                    netns=lab.name)
    wait_until(lambda: flows_of(daemon) == sent["records"], what="flows")
    daemon.stop(signal.SIGKILL, check=False)
    for delay_ms in (1, 5, 10, 20, 40, 80, 160):
        process = subprocess.Popen(in_netns(lab.name, daemon.command),
                                   stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        time.sleep(delay_ms / 1000)
        process.kill()
        process.wait()
    daemon.start()
    equal(flows_of(daemon), sent["records"], "flows")
    equal(daemon.rpc("system.health")["status"], "ok", "health")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
