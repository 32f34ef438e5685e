#!/usr/bin/env python3
"""Who is behind an address, over the API: endpoints told in bulk, each call
answered when it is on disk, and asked for, now and at times past."""

import itertools
import json
import os
import random
import signal
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from harness import Daemon, Lab, main
from front import request

QUIET = {name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}
LIVE = int(os.environ.get("VENTURI_LIVE", "1000000"))
PAST = int(os.environ.get("VENTURI_PAST", "10000000"))
BATCH, WINDOW, CALLS, ASKED = 5000, 3, 100, 2000
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


def calls(endpoints):
    """The calls that tell them, as bytes."""
    while batch := list(itertools.islice(endpoints, BATCH)):
        yield json.dumps(request("endpoint.upsert", {
            "source": "bench", "endpoints": batch})).encode() + b"\n"


def tell(daemon, endpoints):
    """Batches, some under way at a time; what was told a second, of wall and of
    venturid's CPU time.  Calls are made a hundred at a time, while no clock
    runs: making them costs more than answering them."""
    texts, n, wall, used = calls(endpoints), 0, 0, 0
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.api)
    lines = s.makefile("rb")
    while some := list(itertools.islice(texts, CALLS)):
        begin, before, sent = time.monotonic(), cpu(daemon), 0
        for done in range(len(some)):
            while sent < len(some) and sent - done < WINDOW:
                s.sendall(some[sent])
                sent += 1
            result = json.loads(lines.readline()).get("result")
            if not result or result["refused"] or not result["durable"]:
                raise SystemExit("refused: %.300r" % result)
            n += result["accepted"]
        wall += time.monotonic() - begin
        used += cpu(daemon) - before
    s.close()
    return n / wall, n / used


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


class Meanwhile:
    """What a process of its own does again and again."""

    def __init__(self, what):
        self.pid = os.fork()
        if not self.pid:
            try:
                while True:
                    what()
            finally:
                os._exit(1)

    def __enter__(self):
        return self

    def __exit__(self, *_unused):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def memory(daemon, what):
    """Of its own, and mapped files of which the kernel may take pages back."""
    with open("/proc/%d/status" % daemon.process.pid, encoding="ascii") as f:
        kb = {line.split(":")[0]: line.split()[1] for line in f
              if line.startswith(("VmHWM", "Rss"))}
    common.row("memory, " + what, "%.0f MB of its own, %.0f MB of files, most "
               "%.0f MB" % tuple(int(kb[k]) * 1.024 / 1000 for k in (
                   "RssAnon", "RssFile", "VmHWM")))


def on_disk(daemon):
    folder = os.path.join(daemon.state_dir, "identity")
    sizes = [os.path.getsize(os.path.join(folder, f))
             for f in os.listdir(folder) if f.startswith("past")]
    return "%d files of the past, %.0f MB" % (len(sizes), sum(sizes) / 1e6)


def test_endpoints():
    common.header("Endpoints over the API (unix socket, %d in a call)" % BATCH)
    daemon = Daemon(Lab(), config={"collector": QUIET,
                                   "api": {"rate-limit": 0}})
    now = int(time.time())
    memory(daemon, "empty")
    rate = "%.0f/s; %.0f per CPU second"
    live = [endpoint(i, "live-%d" % i) for i in range(LIVE)]
    common.row("%d live, told and on disk (wanted: 100000)" % LIVE,
               rate % tell(daemon, iter(live)))
    memory(daemon, "%d live" % LIVE)
    common.row("the same again, nothing new", rate % tell(daemon, iter(live)))
    del live
    memory(daemon, "told twice")
    # Each address had others before, an hour each, days ago.
    times = PAST // LIVE
    past = (endpoint(i, "past-%d-%d" % (k, i), name="old-%d-%d" % (k, i),
                     valid_from=now - (50 + k) * HOUR,
                     valid_to=now - (49 + k) * HOUR)
            for k in range(times) for i in range(LIVE))
    common.row("%d of the past" % (times * LIVE), rate % tell(daemon, past))
    memory(daemon, "with the past (wanted: 400)")
    common.row("on disk", on_disk(daemon))
    pick = random.Random(7)
    chosen = [pick.randrange(LIVE) for _ in range(ASKED)]
    now_asked = [({"address": address(i)}, "vm-%d" % i) for i in chosen]
    show("lookup, now (wanted: 1)", ask(daemon, now_asked))
    past = [({"address": address(i), "at": str(now - (50 + k) * HOUR + 1800)},
             "old-%d-%d" % (k, i)) for i, k in (
                 (i, pick.randrange(times)) for i in chosen)]
    show("lookup, at a time past (wanted: 1)", ask(daemon, past))
    with Meanwhile(lambda: ask(daemon, past)):
        show("lookup, now, while others ask of the past",
             ask(daemon, now_asked * 5))
    some = [endpoint(i, "live-%d" % i) for i in range(min(LIVE, 200000))]
    with Meanwhile(lambda: tell(daemon, iter(some))):
        show("lookup, now, while others tell", ask(daemon, now_asked * 5))
    memory(daemon, "after the lookups (wanted: 400)")
    daemon.stop(signal.SIGKILL, check=False)
    begin = time.monotonic()
    daemon.start(timeout=300)
    common.row("started again after kill -9", "%.1f s" % (
        time.monotonic() - begin))
    show("lookup, at a time past", ask(daemon, past))
    memory(daemon, "started again (wanted: 400)")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
