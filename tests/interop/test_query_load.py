#!/usr/bin/env python3
"""Questions that are too many, too heavy or wrong: each gets an answer that says
what is the matter; memory is bounded, the API answers and nothing that arrives
is lost meanwhile."""
# exclusive

import json
import os
import resource
import select
import subprocess
import time

from generator import command, generate
from harness import (Client, Daemon, Failure, Lab, RpcError, equal, in_netns,
                     main, sanitized, wait_until)

FLOWS = 100000
QUERIES = 1000
RATE = 5000
GROWTH = 900 << 20      # The database may have 256 MB, results 128 MB each.
INVALID, BUSY, TIMEOUT, TOO_LARGE = -32602, -32001, -32002, -32000


def rss(daemon):
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def stored(daemon):
    return daemon.rpc("system.info")["store"]["counters"]["rows"]


def error_of(client, method, **params):
    try:
        client.call(method, **params)
    except RpcError as error:
        return error
    raise Failure("%s took %.200r" % (method, params))


def test_bad_filters():
    """Each says the code, the member and the position."""
    lab = Lab()
    daemon = Daemon(lab)
    before = rss(daemon)
    long = "proto tcp or " * 80000          # A megabyte.
    for name, text in (
            ("a megabyte of terms", long + "proto udp"),
            ("a megabyte of one word", "x" * (1 << 20)),
            ("a megabyte of a string", 'bridge "' + "x" * (1 << 20) + '"'),
            ("a megabyte of comment", "proto #" + "x" * (1 << 20)),
            ("10,000 parentheses", "(" * 10000 + "any" + ")" * 10000),
            ("10,000 negations", "not " * 10000 + "proto tcp"),
            ("10,000 in a list", "port in [" + "80 " * 10000),
            ("nested lists", "port in " + "[" * 10000)):
        for method, params in (("flow.query", {}), ("flow.series", {}),
                               ("flow.records", {}), ("flow.subscribe", {}),
                               ("channel.add", {"profile": "classic",
                                                "name": "x"})):
            error = error_of(daemon.client, method, filter=text, **params)
            equal((error.code, error.data["member"]), (INVALID, "filter"),
                  "%s, %s" % (method, name))
            if not 0 <= error.data["position"] <= len(text):
                raise Failure("%s: position %r" % (name,
                                                   error.data["position"]))
            if not error.data["message"]:
                raise Failure(name + ": no reason is given")
    # Every byte value, alone, within a word and within a string: right or
    # wrong, it is answered, and what is wrong has a place.
    for byte in range(1, 256):
        for text in ("%s", "proto t%sp", 'bridge "a%sb"', "port 80 %s"):
            text = text % chr(byte)
            answer = daemon.rpc("flow.filter.check", filter=text,
                                cursor=len(text))
            if answer["valid"] != (answer["error"] is None):
                raise Failure("%r: %r" % (text, answer))
            if not answer["valid"]:
                error = error_of(daemon.client, "flow.query", filter=text)
                equal((error.code, error.data["position"]),
                      (INVALID, answer["error"]["position"]), repr(text))
    error = error_of(daemon.client, "flow.query", filter="proto tcp\0")
    equal((error.code, error.data["member"]), (INVALID, "filter"), "byte 0")
    if not sanitized() and rss(daemon) - before > 64 << 20:
        raise Failure("grew by %d MB" % ((rss(daemon) - before) >> 20))
    daemon.stop()


def test_bad_questions():
    lab = Lab()
    daemon = Daemon(lab)
    for method, params, member in (
            ("flow.query", {"by": ["nothing"]}, "by[0]"),
            ("flow.query", {"by": ["bytes"]}, "by[0]"),
            ("flow.query", {"by": ["flow_end"]}, "by[0]"),
            ("flow.query", {"by": ["src_addr/129"]}, "by[0]"),
            ("flow.query", {"by": ["proto/8"]}, "by[0]"),
            ("flow.query", {"by": ["proto", "x" * 100000]}, "by[1]"),
            ("flow.query", {"limit": 0}, "limit"),
            ("flow.query", {"limit": -1}, "limit"),
            ("flow.query", {"limit": 10 ** 12}, "limit"),
            ("flow.query", {"limit": 1.5}, "limit"),
            ("flow.records", {"limit": 10 ** 12}, "limit"),
            ("flow.series", {"top": 0}, "top"),
            ("flow.series", {"top": 10 ** 12}, "top"),
            ("flow.query", {"from": "-1h", "to": "-2h"}, "to"),
            ("flow.series", {"from": "-1h", "to": "-2h"}, "to"),
            ("flow.records", {"from": 100, "to": 100}, "to"),
            ("channel.series", {"profile": "classic", "from": "-1h",
                                "to": "-2h"}, "to"),
            ("flow.query", {"metrics": ["max(proto)"]}, "metrics[0]"),
            ("flow.query", {"metrics": ["distinct(bytes)"]}, "metrics[0]"),
            ("flow.query", {"metrics": ["p95(p95(bytes))"]}, "metrics[0]"),
            ("flow.query", {"order": "-nothing"}, "order"),
            ("flow.query", {"bucket": "-5m"}, "bucket"),
            ("flow.query", {"compare": "yesterday"}, "compare"),
            ("flow.query", {"p95_bucket": "0s"}, "p95_bucket"),
            ("flow.query", {"tier": "2m"}, "tier"),
            ("flow.series", {"from": "-30d", "bucket": "1s"}, "bucket"),
            ("flow.records", {"cursor": "n1"}, "cursor"),
            ("flow.records", {"fields": ["nothing"]}, "fields[0]")):
        error = error_of(daemon.client, method, **params)
        what = "%s %.60r" % (method, params)
        equal(error.code, INVALID, what)
        equal(error.data["member"], member, what)
    daemon.stop()


class Latency:
    """How long an easy question to the API takes, again and again."""

    def __init__(self, daemon):
        self.client = Client(daemon.api)
        self.worst = self.n = 0

    def measure(self):
        start = time.monotonic()
        self.client.call("exporter.list", limit=1)
        self.worst = max(self.worst, time.monotonic() - start)
        self.n += 1


def answers_of(clients, daemon, between):
    """Waits for one answer per client; counts codes, 0 for results."""
    codes, peak = {}, 0
    waiting = {c.socket.fileno(): c for c in clients}
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    end = time.monotonic() + 120
    while waiting:
        if time.monotonic() > end:
            raise Failure("%d queries without an answer" % len(waiting))
        for fd, _ in poll.poll(50):
            poll.unregister(fd)
            reply = waiting.pop(fd).receive()
            error = (reply or {}).get("error")
            code = error["code"] if error else 0
            if error and not error["message"]:
                raise Failure("an error without a message")
            codes[code] = codes.get(code, 0) + 1
        between()
        peak = max(peak, rss(daemon))
    return codes, peak


def test_many_heavy_queries():
    lab = Lab()
    daemon = Daemon(lab, config={"collector": {"receive-buffer": "16MiB"}})
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (min(limit[1], 4 * QUERIES), limit[1]))
    generate("netflow9", "--count", FLOWS, "--flows", FLOWS, "--hosts", 20000,
             "--rate", 50000, netns=lab.name)
    wait_until(lambda: stored(daemon) >= FLOWS, 60,
               lambda: "%d flows" % stored(daemon))
    # A page of records is not made of everything there is.  Where blocks end is
    # a matter of time: at one of the two ends the first look may be in vain.
    read = []
    for order in ("newest", "oldest"):
        page = daemon.rpc("flow.records", limit=100, order=order,
                          observations="all")
        equal(len(page["rows"]), 100, "records")
        read.append(page["stats"]["rows_scanned"])
    if min(read) > 3 * FLOWS / 4:
        raise Failure("%s records were read for 100" % read)
    clients = [Client(daemon.api, 120) for _ in range(QUERIES)]
    latency = Latency(daemon)
    latency.measure()
    easy, before = latency.worst, rss(daemon)
    more = 8 * RATE
    generator = subprocess.Popen(
        in_netns(lab.name, command("netflow5", "--count", more, "--rate",
                                   RATE)), stdout=subprocess.DEVNULL)
    question = json.dumps({
        "jsonrpc": "2.0", "id": 1, "method": "flow.query", "params": {
            "by": ["src_addr", "dst_addr", "src_port", "dst_port"],
            "metrics": ["bytes", "distinct(tos)", "max(packets)"],
            "observations": "all", "limit": 50000, "timeout_ms": 20000}})
    for client in clients:
        client.send_text(question + "\n")
    codes, peak = answers_of(clients, daemon, latency.measure)
    generator.wait(60)
    wait_until(lambda: stored(daemon) >= FLOWS + more, 30,
               lambda: "%d of %d flows" % (stored(daemon), FLOWS + more))
    exporters = daemon.rpc("exporter.list")["exporters"]
    lost = sum(e["counters"]["ring_full"] + e["counters"]["store_lost"]
               + e["counters"]["lost"] for e in exporters)
    print("%d heavy queries at once: %s; peak %+.0f MB; of %d easy ones "
          "meanwhile the slowest took %.0f ms (alone %.1f ms); %d of %d "
          "records that arrived were lost" % (
              QUERIES, ", ".join("%d with %s" % (n, code or "a result")
                                 for code, n in sorted(codes.items())),
              (peak - before) / 1e6, latency.n, latency.worst * 1000,
              easy * 1000, lost, more))
    equal(sum(codes.values()), QUERIES, "answers")
    equal(set(codes) <= {0, BUSY, TIMEOUT, TOO_LARGE}, True, "codes %r"
          % codes)
    equal(codes.get(0, 0) > 0 and codes.get(BUSY, 0) > 0, True,
          "some were answered, others refused: %r" % codes)
    equal(lost, 0, "records lost")
    if not sanitized() and peak - before > GROWTH:
        raise Failure("grew by %d MB" % ((peak - before) >> 20))
    # Gone again, and who asks now is served.
    for client in clients:
        client.close()
    rows = daemon.flows(metrics=["flows"], observations="all")
    equal(rows[0]["flows"], FLOWS + more, "flows in the end")
    # Clients that go away take their queries with them.
    clients = [Client(daemon.api, 120) for _ in range(20)]
    for client in clients:
        client.send_text(question + "\n")
        client.close()
    wait_until(lambda: daemon.rpc("system.info")["clients"] <= 2, 30)
    daemon.flows(metrics=["flows"])
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
