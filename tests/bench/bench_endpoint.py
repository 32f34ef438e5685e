#!/usr/bin/env python3
"""Who is behind an address, over the API: endpoints told in bulk, each call
answered when it is on disk, and asked for, now and at times past."""

import json
import os
import random
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from harness import Daemon, Lab, main
from front import request

QUIET = {name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}
LIVE = int(os.environ.get("VENTURI_LIVE", "200000"))
PAST = int(os.environ.get("VENTURI_PAST", "400000"))
BATCH, WINDOW, ASKED = 5000, 3, 2000
HOUR = 3600


def cpu(daemon):
    with open("/proc/%d/stat" % daemon.process.pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def address(i):
    return "10.%d.%d.%d" % (i >> 16 & 255, i >> 8 & 255, i & 255)


def endpoint(i, ident, **more):
    return dict({"id": ident, "name": "vm-%d" % i, "tenant": "t%d" % (
        i // 1000), "network": "net-%d" % (i // 250), "host": "node-%d" % (
        i % 1000), "addresses": [address(i)], "macs": [
        "02:00:00:%02x:%02x:%02x" % (i >> 16 & 255, i >> 8 & 255, i & 255)]},
        **more)


def tell(daemon, endpoints):
    """Batches, some under way at a time; what was told a second, of wall and of
    venturid's CPU time."""
    texts = [json.dumps(request("endpoint.upsert", {
        "source": "bench", "endpoints": endpoints[i:i + BATCH]})).encode()
             + b"\n" for i in range(0, len(endpoints), BATCH)]
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.api)
    lines = s.makefile("rb")
    begin, used, sent = time.monotonic(), cpu(daemon), 0
    for done in range(len(texts)):
        while sent < len(texts) and sent - done < WINDOW:
            s.sendall(texts[sent])
            sent += 1
        answer = json.loads(lines.readline())
        if "error" in answer or answer["result"]["refused"] \
                or not answer["result"]["durable"]:
            raise SystemExit("refused: %.300r" % answer)
    wall, used = time.monotonic() - begin, cpu(daemon) - used
    s.close()
    return len(endpoints) / wall, len(endpoints) / used


def ask(daemon, questions):
    """Milliseconds that each takes, one after the other."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.api)
    lines, took = s.makefile("rb"), []
    for params, name in questions:
        text = json.dumps(request("endpoint.lookup", params)).encode()
        begin = time.perf_counter()
        s.sendall(text + b"\n")
        line = lines.readline()
        took.append((time.perf_counter() - begin) * 1000)
        names = [m["name"] for m in json.loads(line)["result"]["matches"]]
        if name not in names:
            raise SystemExit("%r: %r instead of %r" % (params, names, name))
    s.close()
    return took


def show(what, took):
    took.sort()
    common.row(what, "median %.2f ms, 99 %% %.2f ms, most %.1f ms" % (
        statistics.median(took), took[len(took) * 99 // 100], took[-1]))


def test_endpoints():
    common.header("Endpoints over the API (unix socket, %d in a call)" % BATCH)
    daemon = Daemon(Lab(), config={"collector": QUIET,
                                   "api": {"rate-limit": 0}})
    now = int(time.time())
    live = [endpoint(i, "live-%d" % i) for i in range(LIVE)]
    rates = tell(daemon, live)
    common.row("%d live, told and on disk (wanted: 100000)" % LIVE,
               "%.0f/s; %.0f per CPU second" % rates)
    rates = tell(daemon, live)
    common.row("the same again, nothing new", "%.0f/s; %.0f per CPU second"
               % rates)
    # Each address had others before, an hour each, days ago.
    times = PAST // LIVE
    past = [endpoint(i, "past-%d-%d" % (k, i), name="old-%d-%d" % (k, i),
                     valid_from=now - (50 + k) * HOUR,
                     valid_to=now - (49 + k) * HOUR)
            for k in range(times) for i in range(LIVE)]
    rates = tell(daemon, past)
    common.row("%d intervals of the past" % len(past),
               "%.0f/s; %.0f per CPU second" % rates)
    pick = random.Random(7)
    chosen = [pick.randrange(LIVE) for _ in range(ASKED)]
    show("lookup, now (wanted: 1)", ask(daemon, [
        ({"address": address(i)}, "vm-%d" % i) for i in chosen]))
    asked = [(i, pick.randrange(times)) for i in chosen]
    show("lookup, at a time past (wanted: 1)", ask(daemon, [
        ({"address": address(i), "at": str(now - (50 + k) * HOUR + 1800)},
         "old-%d-%d" % (k, i)) for i, k in asked]))
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        common.row("memory of venturid", "%.0f MB" % (
            int(f.read().split()[1]) * 4096 / 1e6))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
