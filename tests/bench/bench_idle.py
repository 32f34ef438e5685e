#!/usr/bin/env python3
"""What venturid costs while nothing happens: resident memory and CPU over 30 s
beside an Open vSwitch with one bridge that it has provisioned; the peer is
one nfcapd and one sfcapd, which together listen to the same."""

import common

import os
import shutil
import time

import harness
from harness import Daemon, Lab, Ovs, Process, scratch_dir, wait_until

SECONDS = 30
MEMORY_GOAL_MB = 60
CPU_GOAL = 0.5          # Percent of a core.


def measure(pids):
    """Megabytes and percent of a core over a while."""
    cpu = sum(common.cpu_seconds(pid) for pid in pids)
    start = time.monotonic()
    rss = []
    while time.monotonic() - start < SECONDS:
        time.sleep(1)
        rss.append(sum(common.rss_bytes(pid) for pid in pids) / 1e6)
    cpu = sum(common.cpu_seconds(pid) for pid in pids) - cpu
    return max(rss), 100 * cpu / (time.monotonic() - start)


def peers(lab):
    out = []
    for program, port in (("nfcapd", "9995"), ("sfcapd", "9996")):
        if shutil.which(program):
            directory = scratch_dir()
            out.append(Process(program, [
                program, "-w", directory, "-p", port, "-b", "127.0.0.1"],
                os.path.join(directory, "log"), lab.name))
    return out


def main():
    harness.check_needs(("root", "ovs", "venturid"))
    harness.install_signal_handlers()
    common.header("Idle")
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[".*"])
    wait_until(lambda: ovs.vsctl("get", "Bridge", "br0", "sflow").strip()
               != "[]", what="export rows")
    old = peers(lab)
    time.sleep(5)               # Everything that starting needs is done.
    memory, cpu = measure([daemon.process.pid])
    common.row("venturid, resident", "%.1f MB, %s" % (
        memory, common.goal(memory, MEMORY_GOAL_MB, "MB")))
    common.row("venturid, CPU over %d s" % SECONDS, "%.2f %% of a core, %s" % (
        cpu, common.goal(cpu, CPU_GOAL, "%")))
    if old:
        peer_memory, peer_cpu = measure([p.pid for p in old])
        names = " and ".join(p.name for p in old)
        common.row("  " + names, "%.1f MB, %.2f %% of a core, memory ratio "
                   "%.2f" % (peer_memory, peer_cpu, memory / peer_memory))
    daemon.stop()


if __name__ == "__main__":
    main()
