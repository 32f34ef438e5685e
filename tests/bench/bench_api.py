#!/usr/bin/env python3
"""The API: small calls a second over the unix socket and over HTTP keep-alive,
how long they take while flows come in, idle WebSockets, a large
configuration.

Calls per second of a core: calls over the daemon's own CPU time, so that who
asks does not count."""

import json
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common
from harness import (BUILDDIR, Daemon, Lab, in_netns, main, wait_until)
from front import Http, WebSocket, connect, request

QUIET = {name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}
HTTP = 8780


def cpu(daemon):
    """CPU seconds that the daemon has used."""
    with open("/proc/%d/stat" % daemon.process.pid, encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(daemon):
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * resource.getpagesize()


def start(lab, **api):
    api = dict({"rate-limit": 0}, **api)
    return Daemon(lab, config={"collector": QUIET, "api": api})


def unix_calls(daemon, n, window):
    """Asks 'n' times, so many at a time."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.api)
    text = json.dumps(request("session.get")).encode() + b"\n"
    done, sent, got = 0, 0, b""
    begin, used = time.monotonic(), cpu(daemon)
    while done < n:
        if sent - done < window // 2:
            s.sendall(text * (window - (sent - done)))
            sent += window - (sent - done)
        got = s.recv(1 << 18)
        done += got.count(b"\n")
        if b'"error"' in got:
            raise SystemExit("refused: %r" % got[:300])
    wall, used = time.monotonic() - begin, cpu(daemon) - used
    s.close()
    return done / wall, done / used


def bench_unix():
    daemon = start(Lab())
    runs = [unix_calls(daemon, 60000, 16) for _ in range(3)]
    common.row("unix socket, 16 under way", common.spread(
        [r[0] for r in runs], "calls/s"))
    common.row("  per CPU second of venturid (wanted: 20000)", common.spread(
        [r[1] for r in runs], "calls/s"))
    daemon.stop()


def bench_http():
    lab = Lab()
    daemon = start(lab)
    token = daemon.rpc("token.create", name="t", role="viewer")["token"]
    if not shutil.which("wrk"):
        print("  wrk is not installed: HTTP is not measured")
        return
    script = os.path.join(lab.dir, "post.lua")
    with open(script, "w", encoding="ascii") as f:
        f.write('wrk.method = "POST"\nwrk.body = %s\n'
                'wrk.headers["Content-Type"] = "application/json"\n'
                'wrk.headers["Authorization"] = "Bearer %s"\n'
                % (json.dumps(json.dumps(request("session.get"))), token))
    rates, per_cpu = [], []
    for _ in range(3):
        used = cpu(daemon)
        out = subprocess.run(in_netns(lab.name, [
            "wrk", "-t1", "-c16", "-d3s", "--latency", "-s", script,
            "http://127.0.0.1:%d/rpc" % HTTP]), capture_output=True,
            text=True, check=True).stdout
        used = cpu(daemon) - used
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        if "Non-2xx" in out:
            raise SystemExit("wrk was refused:\n" + out)
        rates.append(float(re.search(r"Requests/sec:\s+([\d.]+)",
                                     out).group(1)))
        per_cpu.append(requests / used)
    common.row("HTTP keep-alive, 16 connections (wrk)",
               common.spread(rates, "calls/s"))
    common.row("  per CPU second of venturid (wanted: 10000)",
               common.spread(per_cpu, "calls/s"))
    daemon.stop()


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def bench_latency():
    """One call after the other while records come as fast as they can."""
    lab = Lab()
    daemon = Daemon(lab, config={"api": {"rate-limit": 0}},
                    expect=[r"cannot keep up", r"the kernel dropped"])
    generator = subprocess.Popen(in_netns(lab.name, [
        os.path.join(BUILDDIR, "venturi-gen"), "--duration", "60s"]),
        stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: daemon.rpc("exporter.list")["exporters"])
        took, end = [], time.monotonic() + 8
        while time.monotonic() < end:
            begin = time.monotonic()
            daemon.rpc("session.get")
            took.append((time.monotonic() - begin) * 1000)
            time.sleep(0.001)
        rows = daemon.rpc("system.info")["store"]["counters"]["rows"]
    finally:
        generator.kill()
        generator.wait()
    common.row("a call while %d flows were stored" % rows,
               "median %.2f ms, p99 %.2f ms (wanted: 5), longest %.1f ms"
               % (statistics.median(took), percentile(took, .99), max(took)))
    daemon.stop()


def bench_idle():
    lab = Lab()
    daemon = start(lab)
    token = daemon.rpc("token.create", name="t", role="viewer")["token"]
    head = [("Authorization", "Bearer " + token)]
    first = WebSocket(connect(lab, HTTP), headers=head)
    first.call("flow.subscribe")
    before = memory(daemon)
    clients, subscribed = [], 1
    for _ in range(1000):
        w = WebSocket(connect(lab, HTTP), headers=head)
        subscribed += "result" in w.call("flow.subscribe")
        clients.append(w)
    grown = memory(daemon) - before
    common.row("1000 idle WebSockets (wanted: below 30 MB)",
               "%.1f MB more; %.1f MB in all; %d flow.subscribe"
               % (grown / 1e6, memory(daemon) / 1e6, subscribed))
    for w in clients:
        w.close()
    daemon.stop()


def bench_reload():
    daemon = start(Lab())
    sources = [{"name": "exporter-%d" % i, "sampling": 100,
                "address": "10.%d.%d.1" % (i // 250, i % 250)}
               for i in range(2000)]
    config = {"collector": dict(QUIET, source=sources),
              "api": {"rate-limit": 0}}
    daemon.write_config(config)
    with open(daemon.config_file, encoding="utf-8") as f:
        lines = len(f.read().splitlines())
    took, used = [], []
    for i in range(5):
        sources[0]["sampling"] = 200 + i
        daemon.write_config(config)
        current = daemon.rpc("config.history")["current"]
        begin, cpu_before = time.monotonic(), cpu(daemon)
        os.kill(daemon.process.pid, 1)
        wait_until(lambda: daemon.rpc("config.history", limit=1)["current"]
                   > current, interval=0.002)
        took.append((time.monotonic() - begin) * 1000)
        used.append((cpu(daemon) - cpu_before) * 1000)
    common.row("reload of %d lines (wanted: 200 ms)" % lines,
               common.spread(took, "ms"))
    common.row("  CPU", common.spread(used, "ms"))
    daemon.stop()


def test_api():
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    common.header("The API")
    bench_unix()
    bench_http()
    bench_latency()
    bench_idle()
    bench_reload()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
