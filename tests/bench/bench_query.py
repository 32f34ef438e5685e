#!/usr/bin/env python3
"""What questions cost: CPU time and wall time of flow.query beside nfdump on
the same flows, cold (nothing of the files in memory, a daemon that has just
started) and warm.

    bench_query.py [--flows N] [--keep DIR] [--rate N] [--only WORD]

Both collectors get the same stream of venturi-gen, spread over nearly a day.
With --keep both stores stay in DIR and are used again by the next run;
--refill writes ours again (the peer's is kept)."""

import common

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import time

import harness
from generator import generate
from harness import Daemon, Lab, Process, run, scratch_dir, wait_until

HOSTS = 200000
SPAN = 85500                    # A day, less what sending it may take.
BUFFER = 64 << 20
PORT, PEER_PORT = 2055, 12055

# What is asked, of us and of nfdump.  A series is not among nfdump's answers;
# beside it stands its cheapest single pass over the same flows, which any way
# to make a series with it must exceed.
QUESTIONS = (
    ("top 10 by one key",
     {"by": ["src_addr"]}, ["-s", "srcip/bytes", "-n", "10"], 3, 0.5),
    ("top 10 by two high-cardinality keys",
     {"by": ["src_addr", "dst_addr"]},
     ["-A", "srcip,dstip", "-O", "bytes", "-n", "10"], 1, 1.0),
    ("by AS",
     {"by": ["src_as"]}, ["-s", "srcas/bytes", "-n", "10"], 10, 0.5),
    ("by protocol",
     {"by": ["proto"]}, ["-s", "proto/bytes", "-n", "10"], 10, 0.5),
    ("filter of 5 %, one number",
     {"filter": "dst port 22 or src port 22"},
     ["-s", "proto/bytes", "-n", "10", "dst port 22 or src port 22"],
     10, 0.5),
    ("filter of 5 %, top 10 by one key",
     {"filter": "dst port 22 or src port 22", "by": ["src_addr"]},
     ["-s", "srcip/bytes", "-n", "10", "dst port 22 or src port 22"],
     10, 0.5),
    ("a day at 5 minutes",
     {"bucket": "5m", "limit": 400}, ["-s", "proto/bytes", "-n", "1"],
     1, 0.5),
    ("one hour of the day, top 10 by one key",
     {"by": ["src_addr"], "hour": True},
     ["-s", "srcip/bytes", "-n", "10"], 1, 0.1),
)


def parse():
    p = argparse.ArgumentParser()
    p.add_argument("--flows", type=int, default=10000000)
    p.add_argument("--rate", type=int, default=60000)
    p.add_argument("--keep")
    p.add_argument("--refill", action="store_true")
    p.add_argument("--only", default="")
    return p.parse_args()


def task_seconds(pid):
    """CPU time of all threads, in nanoseconds' resolution."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, task),
                  encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total / 1e9


def forget(directory):
    """Drops what the page cache has of the files below."""
    os.sync()
    for path, _, files in os.walk(directory):
        for name in files:
            fd = os.open(os.path.join(path, name), os.O_RDONLY)
            try:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)


def size_of(directory):
    return sum(os.path.getsize(os.path.join(path, name))
               for path, _, files in os.walk(directory) for name in files)


class Bench:
    def __init__(self, args, directory):
        self.args = args
        self.lab = Lab()
        self.dir = directory
        self.ours = os.path.join(directory, "venturi")
        self.peer = os.path.join(directory, "nfdump")
        self.note = os.path.join(directory, "note.json")
        self.start = int(time.time()) - SPAN - 600
        if os.path.exists(self.note):
            with open(self.note, encoding="ascii") as f:
                note = json.load(f)
            self.start = note["start"]
            args.flows = note["flows"]
        self.daemon = None

    def start_daemon(self):
        self.daemon = Daemon(self.lab, expect=[".*"], start=False, config={
            "collector": {"receive-buffer": "%dMiB" % (BUFFER >> 20)},
            # A day in one hour of arrival is nothing to add up.
            "store": {"retention": {"raw": "3650d"}, "rollups": False}})
        i = self.daemon.command.index("--state-dir") + 1
        self.daemon.command[i] = self.ours
        self.daemon.start(60)
        self.daemon.client.socket.settimeout(300)

    def ask(self, **question):
        last = {"from": self.start - 3600, "to": self.start + SPAN + 3600}
        if question.pop("hour", False):
            last = {"from": self.start + 36000, "to": self.start + 39600}
        return self.daemon.rpc("flow.query", observations="all",
                               timeout_ms=300000, **last, **question)

    def send(self, port):
        sent = generate(
            "netflow9", "-p", port, "--count", self.args.flows, "--flows",
            self.args.flows, "--hosts", HOSTS, "--zipf", "0.9", "--rate",
            self.args.rate, "--exporters", 4, "--top", 0, "--span",
            "%ds" % SPAN, "--start-time", time.strftime(
                "%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.start)),
            netns=self.lab.name, timeout=7200)
        return sent["records"]

    def fill_ours(self):
        shutil.rmtree(self.ours, True)
        os.mkdir(self.ours)
        os.chmod(self.ours, 0o777)
        self.start_daemon()
        cpu = task_seconds(self.daemon.process.pid)
        sent = self.send(PORT)
        rows, since = -1, time.monotonic()
        while time.monotonic() - since < 5 and rows < sent:
            now = self.ask(metrics=["flows"])["rows"][0][0] or 0
            if now != rows:
                rows, since = now, time.monotonic()
            time.sleep(0.2)
        cpu = task_seconds(self.daemon.process.pid) - cpu
        self.daemon.stop(check=False)
        common.row("venturid: stored", "%d of %d records, %.2f CPU s per "
                   "million" % (rows, sent, cpu * 1e6 / max(rows, 1)))

    def fill_peer(self):
        shutil.rmtree(self.peer, True)
        os.mkdir(self.peer)
        log = os.path.join(self.dir, "nfcapd.log")
        p = Process("nfcapd", [
            "nfcapd", "-w", self.peer, "-p", str(PEER_PORT), "-b",
            "127.0.0.1", "-t", "7200", "-y", "-B", str(BUFFER)], log,
            self.lab.name)
        wait_until(lambda: ":%04X" % PEER_PORT
                   in self.lab.read("/proc/net/udp"), what="nfcapd")
        sent = self.send(PEER_PORT)
        wait_until(lambda: re.search(r":%04X .*? 00000000:00000000 "
                                     % PEER_PORT,
                                     self.lab.read("/proc/net/udp")), 60)
        p.stop(timeout=60)
        common.row("nfcapd -y: stored", "%s of %d records" % (
            re.search(r"^Flows: (\d+)$", self.nfdump("-I")[0],
                      re.M).group(1), sent))

    def fill(self):
        if not os.path.exists(self.note):
            self.fill_ours()
            self.fill_peer()
        elif self.args.refill:
            self.start = int(time.time()) - SPAN - 600
            self.fill_ours()
            self.fill_peer()
        else:
            return
        with open(self.note, "w", encoding="ascii") as f:
            json.dump({"start": self.start, "flows": self.args.flows}, f)

    def nfdump(self, *args):
        """What it printed, CPU seconds and wall seconds."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        start = time.monotonic()
        text = subprocess.run(["nfdump", "-R", self.peer, *args],
                              stdin=subprocess.DEVNULL, check=True, text=True,
                              capture_output=True).stdout
        wall = time.monotonic() - start
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return text, (after.ru_utime + after.ru_stime - before.ru_utime
                      - before.ru_stime), wall

    def ours_once(self, question):
        cpu = task_seconds(self.daemon.process.pid)
        start = time.monotonic()
        result = self.ask(**question)
        wall = time.monotonic() - start
        # The thread that answers has put its work aside by then.
        return result, task_seconds(self.daemon.process.pid) - cpu, wall

    def peer_args(self, question, args):
        if "hour" not in question:
            return args
        window = [time.strftime("%Y/%m/%d.%H:%M:%S", time.localtime(
            self.start + offset)) for offset in (36000, 39600)]
        return ["-t", "-".join(window)] + args

    def compare_one(self, name, question, peer_args, factor, seconds):
        runs = common.arguments.runs or 3
        peer_args = self.peer_args(question, peer_args)
        forget(self.ours)
        forget(self.peer)
        self.start_daemon()
        cold = self.ours_once(question)
        peer_cold = self.nfdump(*peer_args)
        warm = [self.ours_once(question) for _ in range(runs)]
        peer = [self.nfdump(*peer_args) for _ in range(runs)]
        self.daemon.stop(check=False)

        def median(samples, i):
            return statistics.median(s[i] for s in samples)
        cpu, wall = median(warm, 1), median(warm, 2)
        ratio = median(peer, 1) / max(cpu, 1e-9)
        common.row(name, "CPU %.3f s, nfdump %.3f s: %.1f x less%s; wall "
                   "%.3f s%s, nfdump %.3f s" % (
                       cpu, median(peer, 1), ratio,
                       "" if ratio >= factor else
                       " (BELOW the goal of %g x)" % factor,
                       wall, "" if wall <= seconds else
                       " (BEYOND the goal of %g s)" % seconds,
                       median(peer, 2)))
        common.row("  cold", "CPU %.3f s, nfdump %.3f s: %.1f x less; wall "
                   "%.3f s, nfdump %.3f s; tier %s" % (
                       cold[1], peer_cold[1],
                       peer_cold[1] / max(cold[1], 1e-9), cold[2],
                       peer_cold[2], cold[0]["stats"]["tier"]))

    def check(self):
        """Both have the same flows: else there is nothing to compare."""
        self.start_daemon()
        ours = dict(zip(("bytes", "packets", "flows"), self.ask(
            metrics=["bytes", "packets", "flows"])["rows"][0]))
        self.daemon.stop(check=False)
        text = self.nfdump("-I")[0]
        for name, word in (("flows", "Flows"), ("packets", "Packets"),
                           ("bytes", "Bytes")):
            theirs = int(re.search(r"^%s: (\d+)$" % word, text,
                                   re.M).group(1))
            if theirs != ours[name]:
                print("  NOT THE SAME %s: %d, nfdump %d" % (
                    name, ours[name], theirs))
        flows = max(ours["flows"], 1)
        size, peer = size_of(os.path.join(self.ours, "flows")), size_of(
            self.peer)
        common.row("bytes per flow", "%.1f, nfcapd -y %.1f: %.0f %%" % (
            size / flows, peer / flows, 100 * size / peer))


def main():
    args = parse()
    harness.check_needs(("root", "venturid", "venturi-gen", "nfcapd",
                         "nfdump"))
    harness.install_signal_handlers()
    directory = args.keep or scratch_dir()
    os.makedirs(directory, exist_ok=True)
    common.header("Questions (%d flows, %d hosts; medians of %d warm runs)"
                  % (args.flows, HOSTS, common.arguments.runs or 3))
    bench = Bench(args, directory)
    bench.fill()
    bench.check()
    for name, question, peer_args, factor, seconds in QUESTIONS:
        if args.only in name:
            bench.compare_one(name, question, peer_args, factor, seconds)


if __name__ == "__main__":
    main()
