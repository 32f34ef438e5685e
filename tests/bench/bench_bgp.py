#!/usr/bin/env python3
"""Full tables over TCP: a million IPv4 prefixes from each of four peers, to
venturid and to BIRD: time, CPU seconds, memory; how long the main loop's turns
are meanwhile; and ten thousand route changes a second beside ingest."""

import common

import os
import re
import struct
import subprocess
import threading
import time

import harness
from bgp_peer import OURS, BgpLab
from generator import command as gen_command
from harness import Client, Daemon, Process, in_netns, wait_until

ROUTES = int(os.environ.get("BENCH_ROUTES", 1000000))
PEERS = 4
CHANGES = 10000
CHURN_S = int(os.environ.get("BENCH_CHURN_S", 60))
FLOW_RATES = (400000, 300000, 200000, 100000, 50000, 25000)
BIRD = "/usr/sbin/bird"


def quiet(pid):
    """With BENCH_REALTIME set the main thread goes before all others: then the
    length of its turns does not tell what else this machine does.  The kernel
    stops it for 50 ms if it is busy for 950: a turn just above 50 ms is
    that."""
    if os.environ.get("BENCH_REALTIME"):
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))


class Feed:
    """A peer: 10.0.0.(2 + i) of AS 65001 + i."""

    def __init__(self, lab, i, routes=ROUTES):
        self.address = "10.0.0.%d" % (2 + i)
        self.popen = subprocess.Popen(in_netns(lab.name, [
            os.path.join(harness.BUILDDIR, "tests/bench/bgp_feed"),
            self.address, OURS, str(65001 + i), str(routes)]),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        harness.on_cleanup(self.stop)

    def read(self):
        words = self.popen.stdout.readline().split()
        if not words:
            raise harness.Failure("the feeder ended")
        return words

    def tell(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def stop(self):
        if self.popen.poll() is None:
            self.popen.stdin.close()
            self.popen.wait(20)


class Venturid:
    name = "venturid"
    interval = 0.02

    def __init__(self, lab):
        self.daemon = Daemon(lab, expect=[".*"], config={
            "bgp": {"local-as": 65000, "router-id": OURS,
                    "listen": [OURS + ":179"], "neighbor": [
                        {"address": "10.0.0.%d" % (2 + i),
                         "remote-as": 65001 + i, "passive": True,
                         "max-prefixes": 3000000} for i in range(PEERS)]},
            "collector": {"receive-buffer": "32MiB"}})
        self.pid = self.daemon.process.pid

    def complete(self, i):
        for entry in self.daemon.rpc("bgp.neighbors")["neighbors"]:
            if entry["address"] == "10.0.0.%d" % (2 + i):
                return "ipv4-unicast" in entry["complete"] \
                    and entry["routes"]["ipv4-unicast"] >= ROUTES
        return False

    def stop(self):
        self.daemon.stop()


class Bird:
    name = "BIRD"
    interval = 0.2                      # birdc is a process each time.

    def __init__(self, lab):
        self.lab = lab
        self.control = os.path.join(lab.dir, "bird.ctl")
        conf = os.path.join(lab.dir, "bird.conf")
        with open(conf, "w", encoding="ascii") as f:
            f.write("router id %s;\nprotocol device {}\n" % OURS)
            for i in range(PEERS):
                f.write("protocol bgp p%d { local %s as 65000; neighbor "
                        "10.0.0.%d as %d; passive on; multihop; strict bind "
                        "yes; allow local as 10; ipv4 { import all; export "
                        "none; }; }\n" % (i, OURS, 2 + i, 65001 + i))
        self.process = Process("bird", [
            BIRD, "-f", "-c", conf, "-s", self.control,
            "-P", self.control + ".pid"], self.control + ".log", lab.name)
        self.pid = self.process.pid
        wait_until(lambda: os.path.exists(self.control))

    def complete(self, i):
        text = self.lab.run("birdc", "-s", self.control, "show", "protocols",
                            "all", "p%d" % i)
        # It refuses those in 127.0.0.0/8.
        found = re.search(r"Import updates:\s+(\d+)", text)
        return found and int(found.group(1)) >= ROUTES

    def stop(self):
        self.process.kill()


class Watch(threading.Thread):
    """Calls the API again and again; how long answers took, and the longest
    turn of the main loop."""

    def __init__(self, path, calls):
        super().__init__(daemon=True)
        self.client, self.calls = Client(path), calls
        self.took, self.turn_us, self.going = [], 0, True

    def run(self):
        looked = 0
        while self.going:
            for method, params in self.calls:
                start = time.monotonic()
                self.client.call(method, **params)
                self.took.append(time.monotonic() - start)
            if time.monotonic() - looked > 1:
                looked = time.monotonic()
                loop = self.client.call("system.info")["loop"]
                self.turn_us = max(self.turn_us, loop["longest_us"])
            time.sleep(0.002)

    def finish(self):
        self.going = False
        self.join()
        self.client.close()
        took = sorted(self.took)
        return ("%d calls, median %.2f ms, 99 %% %.2f ms, longest %.1f ms; "
                "longest turn of the main loop %.1f ms" % (
                    len(took), took[len(took) // 2] * 1e3,
                    took[len(took) * 99 // 100] * 1e3, took[-1] * 1e3,
                    self.turn_us / 1e3))


def settled(pid):
    """CPU seconds, once it is idle: what is cleared up counts, too."""
    for _ in range(20):
        before = common.cpu_seconds(pid)
        time.sleep(0.3)
        if common.cpu_seconds(pid) - before < 0.03:
            break
    return common.cpu_seconds(pid)


def load(server):
    """All tables.  Returns rows of (seconds until complete since the feed
    began, and since it was sent; CPU seconds; memory)."""
    rows, feeds = [], [Feed(server.lab, i) for i in range(PEERS)]
    for feed in feeds:
        feed.read()
    for i, feed in enumerate(feeds):
        cpu = common.cpu_seconds(server.pid)
        start = time.monotonic()
        feed.tell("table")
        sent = float(feed.read()[1])
        wait_until(lambda peer=i: server.complete(peer), 300,
                   interval=server.interval)
        took = time.monotonic() - start
        rows.append((took, took - sent, settled(server.pid) - cpu,
                     common.rss_bytes(server.pid)))
    return rows, feeds


def report(name, before, rows):
    for i, (took, after, cpu, rss) in enumerate(rows):
        common.row("%s, peer %d" % (name, i + 1),
                   "complete %.2f s after the feed began, %.2f s after its "
                   "end; CPU %.2f s; %.0f MB more than before" % (
                       took, after, cpu, (rss - before) / 1e6))
    common.row("%s, all four" % name, "CPU %.2f s, %.0f MB resident" % (
        sum(r[2] for r in rows), rows[-1][3] / 1e6))


def tables(cls, watched=False):
    """All tables; if it is watched, CPU time is not told, and it is kept."""
    lab = BgpLab()
    server = cls(lab)
    server.lab = lab
    before = common.rss_bytes(server.pid)
    watch = None
    if watched:
        watch = Watch(server.daemon.api, [
            ("route.lookup", {"address": "100.64.1.1"}),
            ("bgp.neighbors", {})])
        watch.start()
        quiet(server.pid)
    rows, feeds = load(server)
    if watch:
        common.row("venturid again, API meanwhile", watch.finish())
        return server, feeds
    report(server.name, before, rows)
    for feed in feeds:
        feed.stop()
    server.stop()
    harness.cleanup()
    return rows


def stored(venturid):
    rows = venturid.flows(metrics=["flows"])
    return rows[0]["flows"] or 0 if rows else 0


def settle(venturid, start, expected):
    """What came to the store since 'start', when all is there or no more
    comes."""
    last, since = -1, time.monotonic()
    while time.monotonic() - since < 3:
        now = stored(venturid) - start
        if now >= expected:
            break
        if now != last:
            last, since = now, time.monotonic()
        time.sleep(0.3)
    return now


def churn(server, feeds):
    """Route changes beside ingest, at the first rate of flows that this
    machine takes without changes."""
    venturid = server.daemon

    def flows(rate, seconds):
        return subprocess.Popen(in_netns(server.lab.name, gen_command(
            "netflow9", "-p", 2055, "--rate", rate, "--count",
            rate * seconds, "--top", 0)), stdout=subprocess.PIPE, text=True)

    for rate in FLOW_RATES:
        start = stored(venturid)
        flows(rate, 5).wait()
        if settle(venturid, start, 5 * rate) >= 5 * rate:
            break
    start = stored(venturid)
    watch = Watch(venturid.api, [
        ("route.lookup", {"address": "100.64.1.1"}),
        ("bgp.neighbors", {}), ("exporter.list", {})])
    watch.start()
    cpu = common.cpu_seconds(server.pid)
    sender = flows(rate, CHURN_S)
    feeds[0].tell("churn %d %d" % (CHANGES, CHURN_S))
    _, n, late = feeds[0].read()
    sender.wait()
    text = watch.finish()
    got = settle(venturid, start, rate * CHURN_S)
    cpu = common.cpu_seconds(server.pid) - cpu
    common.row("%d route changes/s for %d s" % (CHANGES, CHURN_S),
               "%s changes, sent at most %.0f ms late; beside %d flows/s: %d "
               "of %d stored; CPU %.1f s" % (
                   n, float(late) * 1e3, rate, got, rate * CHURN_S, cpu))
    common.row("API meanwhile", text)


def mrt_table(path, n):
    """A TABLE_DUMP_V2 of 'n' /24 from two peers, five prefixes a path."""
    def record(subtype, body):
        return struct.pack(">IHHI", 1790000000, 13, subtype, len(body)) + body
    peers = struct.pack(">IHH", 0x0a000001, 0, 2)
    for i in (1, 2):
        peers += struct.pack(">BIII", 2, 0xc0000200 + i, 0xc0000200 + i,
                             64500 + i)
    with open(path, "wb") as f:
        f.write(record(1, peers))
        for i in range(n):
            body = struct.pack(">IB", i, 24) + struct.pack(
                ">I", 0x01000000 + (i << 8))[:3] + struct.pack(">H", 2)
            for peer in (0, 1):
                attrs = struct.pack(
                    ">BBBBBBBBBIIIBBBI", 0x40, 1, 1, 0, 0x40, 2, 14, 2, 3,
                    64501 + peer, 3356 + i % 50, 100000 + i // 5, 0x40, 3, 4,
                    0xc0000201 + peer)
                body += struct.pack(">HIH", peer, 1789999999,
                                    len(attrs)) + attrs
            f.write(record(2, body))


def imported():
    """How the API answers while a table comes from a file."""
    lab = BgpLab()
    server = Venturid(lab)
    path = os.path.join(lab.dir, "table.mrt")
    mrt_table(path, ROUTES)
    watch = Watch(server.daemon.api, [
        ("route.lookup", {"address": "1.2.3.4"}), ("bgp.neighbors", {})])
    watch.start()
    quiet(server.pid)
    cpu, start = common.cpu_seconds(server.pid), time.monotonic()
    said = subprocess.run(
        [os.path.join(harness.BUILDDIR, "venturictl"), "--api",
         "unix:" + server.daemon.api, "route", "import", path],
        capture_output=True, text=True, check=True).stdout.strip()
    took = time.monotonic() - start
    common.row("import of a file", "%s; %.1f s, CPU %.1f s" % (
        said, took, common.cpu_seconds(server.pid) - cpu))
    common.row("API meanwhile", watch.finish())
    server.stop()
    harness.cleanup()


def main():
    harness.check_needs(("root", "venturid", "venturi-gen"))
    harness.install_signal_handlers()
    common.header("Full tables: %d peers of %d routes over TCP" % (
        PEERS, ROUTES))
    if os.path.exists(BIRD):
        version = subprocess.run([BIRD, "--version"], capture_output=True,
                                 text=True, check=False).stderr.strip()
        common.row("the peer", version)
        tables(Bird)
    tables(Venturid)
    server, feeds = tables(Venturid, watched=True)
    churn(server, feeds)
    for feed in feeds:
        feed.stop()
    server.stop()
    harness.cleanup()
    imported()


if __name__ == "__main__":
    main()
