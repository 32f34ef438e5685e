#!/usr/bin/env python3
"""How many flow records per second reach the store without loss, and what a
million of them costs in CPU time; beside it nfcapd (sfcapd) -y on the same
stream of venturi-gen, which runs on the same machine."""

import common

import os
import re
import shutil
import statistics
import time

import harness
from generator import generate
from harness import Daemon, Lab, Process, run, scratch_dir, wait_until

RUNS = common.arguments.runs or 3
SECONDS = 2                     # At each rate that is tried.
# CPU time is taken over more: a collector runs for days, and what one costs
# once (about 0.1 s; of what, is a guess: the first use of its memory, the last
# transaction) says nothing of a record.
CPU_SECONDS = 10
BUFFER = 32 << 20
CPU_RATE = 200000               # Records/s at which CPU time is measured.
SUSTAINED = {"ipfix-ovs": (300000, 20)}         # Datagrams/s, for so long.
RATES = (50000, 100000, 200000, 300000, 400000, 600000, 800000, 1000000,
         1500000, 2000000)
STREAMS = (("netflow9", 2055, "nfcapd"), ("sflow", 6343, "sfcapd"),
           ("ipfix-ovs", 4739, "nfcapd"))


class Venturid:
    name = "venturid"

    def __init__(self, lab, _protocol, port, _program):
        self.port = port
        self.daemon = Daemon(lab, expect=[".*"], config={
            "collector": {"receive-buffer": "%dMiB" % (BUFFER >> 20)}})
        self.pid = self.daemon.process.pid
        self.before = common.cpu_seconds(self.pid)

    def _rows(self):
        info = self.daemon.rpc("system.info")
        return info["store"]["counters"]["rows"]

    def finish(self, sent):
        """Records that arrived in the store.  CPU time is taken before they
        are asked for, as nfcapd's is before nfdump reads its file."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < 2:
            rows = self._rows()
            if rows >= sent:
                break
            if rows != last:
                last, since = rows, time.monotonic()
            time.sleep(0.05)
        self.cpu = common.cpu_seconds(self.pid) - self.before
        return self.daemon.flows(metrics=["flows"])[0]["flows"] or 0

    def stop(self):
        self.daemon.stop()


class Nfcapd:
    def __init__(self, lab, _protocol, port, program):
        self.name = program + " -y"
        self.port = port + 10000
        self.dir = scratch_dir()
        self.process = Process(program, [
            program, "-w", self.dir, "-p", str(self.port), "-b", "127.0.0.1",
            "-t", "3600", "-y", "-B", str(BUFFER)],
            os.path.join(self.dir, "log"), lab.name)
        self.pid = self.process.pid
        self.lab = lab

        def listens():
            self.process.check()
            return self._queue() is not None
        wait_until(listens, what=program + " to listen")

    def finish(self, sent):
        """It says what it got at the end only; one stream per process."""
        wait_until(lambda: not self._queue(), what="the queue to drain")
        time.sleep(0.1)
        self.cpu = common.cpu_seconds(self.pid)
        self.process.stop()
        path = next(os.path.join(self.dir, f) for f in os.listdir(self.dir)
                    if f.startswith("nfcapd."))
        info = run("nfdump", "-r", path, "-I")
        return int(re.search(r"^Flows: (\d+)$", info, re.M).group(1))

    def _queue(self):
        for line in self.lab.read("/proc/net/udp").splitlines()[1:]:
            words = line.split()
            if words[1].endswith(":%04X" % self.port):
                return int(words[4].split(":")[1], 16)
        return None

    def stop(self):
        self.process.kill()


def stream(collector_class, protocol, port, program, rate, duration=SECONDS):
    """Sends for a while.  Returns records sent, records that arrived, CPU
    seconds of the collector, and seconds of sending."""
    lab = Lab()
    collector = collector_class(lab, protocol, port, program)
    sent = generate(protocol, "-p", collector.port, "--rate", rate, "--count",
                    rate * duration, "--top", 0, "--exporters", 4,
                    netns=lab.name)
    got = collector.finish(sent["records"])
    collector.stop()
    harness.cleanup()
    return sent["records"], got, collector.cpu, sent["elapsed_s"]


def highest_rate(*args):
    """The highest rate of RATES that was kept up and lost nothing, found by
    halving the list."""
    low, high, best = 0, len(RATES), 0
    while low < high:
        middle = (low + high) // 2
        sent, got, _, seconds = stream(*args, RATES[middle])
        if got >= sent:
            best = max(best, sent / seconds)
        # The generator may be at its end, too.
        if got >= sent and sent / seconds > RATES[middle] * 0.9:
            low = middle + 1
        else:
            high = middle
    return best


def cpu_per_million(*args):
    sent, got, cpu, _ = stream(*args, CPU_RATE, CPU_SECONDS)
    return cpu * 1e6 / max(got, 1), got / sent


def sustained(name, args, rate, seconds):
    """A rate that is to be kept up for longer than buffers can help."""
    sent, got, _, took = stream(*args, rate, seconds)
    common.row("%s: %s for %d s" % (args[1], name, seconds),
               "%.0f/s offered (%d wanted), lost %.3f %%" % (
                   sent / took, rate, 100 * (1 - got / sent)))


def main():
    harness.check_needs(("root", "venturid", "venturi-gen"))
    harness.install_signal_handlers()
    common.header("Ingest (%d runs of %d s; CPU time of %d s at %d records/s)"
                  % (RUNS, SECONDS, CPU_SECONDS, CPU_RATE))
    for protocol, port, program in STREAMS:
        medians = []
        classes = [Venturid]
        if shutil.which(program) and shutil.which("nfdump"):
            classes.append(Nfcapd)
        for cls in classes:
            args = (cls, protocol, port, program)
            costs = [cpu_per_million(*args) for _ in range(RUNS)]
            cpu = [c[0] for c in costs]
            rates = [highest_rate(*args) for _ in range(RUNS)]
            name = "venturid" if cls is Venturid else program + " -y"
            loss = 100 * (1 - min(c[1] for c in costs))
            common.row("%s: %s" % (protocol, name), "%s without loss; %s per "
                       "million%s" % (
                           common.spread(rates, "records/s"),
                           common.spread(cpu, "CPU s", 2),
                           "; lost %.2f %%" % loss if loss else ""))
            if protocol in SUSTAINED:
                sustained(name, args, *SUSTAINED[protocol])
            medians.append((statistics.median(rates),
                            statistics.median(cpu)))
        if len(medians) == 2:
            (rate, cpu), (peer_rate, peer_cpu) = medians
            common.row("  ratio to " + program, "rate %.2f, CPU %.2f" % (
                rate / max(peer_rate, 1), cpu / max(peer_cpu, 1e-9)))


if __name__ == "__main__":
    main()
