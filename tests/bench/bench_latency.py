#!/usr/bin/env python3
"""How long until something that happened can be seen.

1. From a datagram's arrival to its flow in the answer of flow.query; beside it
   nfcapd with the shortest interval that it takes, and nfdump.
2. From another client's write of a bridge to its export rows in place; beside
   it a shell loop of ovs-vsctl that looks once a second."""

import common

import json
import os
import shutil
import socket
import statistics
import struct
import time

import harness
from harness import Daemon, Lab, Ovs, Process, scratch_dir, wait_until

RUNS = common.arguments.runs or 15
PEER_RUNS = max(3, RUNS // 5)
QUERY_GOAL_S = 1.5
BRIDGE_GOAL_MS = 200
NFCAPD_INTERVAL_S = 2

OLD_WAY = r"""
while :; do
    for b in $(ovs-vsctl --db="$DB" list-br); do
        if [ "$(ovs-vsctl --db="$DB" get Bridge "$b" sflow)" = "[]" ]; then
            ovs-vsctl --db="$DB" -- --id=@s create sFlow agent=lo \
                target='"127.0.0.1:6343"' header=128 sampling=64 polling=10 \
                -- set Bridge "$b" sflow=@s > /dev/null
        fi
    done
    sleep 1
done
"""


def datagram(i):
    """A NetFlow v5 datagram with one record, from 10.99.x.y."""
    now = time.time()
    return (struct.pack(">HHIIIIBBH", 5, 1, 3600000, int(now),
                        int(now % 1 * 1e9), i, 0, 0, 0)
            + socket.inet_aton("10.99.%d.%d" % (i >> 8, i & 255))
            + socket.inet_aton("10.98.0.1")
            + struct.pack(">IHHIIIIHHBBBBHHBBH", 0, 1, 2, 3, 300, 3599000,
                          3600000, 1234, 80, 0, 27, 6, 0, 0, 0, 24, 24, 0))


def query_latency(lab):
    daemon = Daemon(lab)
    times = []
    with common.udp_socket(lab.name) as s:
        for i in range(1, RUNS + 2):
            address = "10.99.%d.%d" % (i >> 8, i & 255)
            start = time.monotonic()
            s.sendto(datagram(i), ("127.0.0.1", 2055))
            wait_until(lambda: [r for r in daemon.flows(
                metrics=["flows"], filter="src host " + address)
                if r["flows"]], what="the flow", interval=0.01)
            times.append(time.monotonic() - start)
            time.sleep(0.05 * (i % 7))  # Not in step with the writer.
    daemon.stop()
    return times[1:]            # The first one opens the segment.


def nfcapd_latency(lab):
    """The time until nfdump shows a flow."""
    if not shutil.which("nfcapd") or not shutil.which("nfdump"):
        return None
    directory = scratch_dir()
    collector = Process("nfcapd", [
        "nfcapd", "-w", directory, "-p", "9995", "-b", "127.0.0.1", "-t",
        str(NFCAPD_INTERVAL_S), "-y"], os.path.join(lab.dir, "nfcapd.log"),
        lab.name)
    time.sleep(1)
    collector.check()
    times = []
    with common.udp_socket(lab.name) as s:
        for i in range(PEER_RUNS):
            address = "10.99.%d.%d" % (i >> 8, i & 255)
            start = time.monotonic()
            s.sendto(datagram(i), ("127.0.0.1", 9995))
            wait_until(lambda: address in harness.run(
                "nfdump", "-q", "-R", directory, "src ip " + address,
                check=False), what="the flow", interval=0.02)
            times.append(time.monotonic() - start)
    collector.stop()
    return times


class Ovsdb:
    """A plain OVSDB client (RFC 7047)."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(path)
        self.buffer = ""
        self.last_id = 0

    def send(self, method, *params):
        self.last_id += 1
        self.socket.sendall(json.dumps({
            "method": method, "params": list(params),
            "id": self.last_id}).encode())
        return self.last_id

    def receive(self):
        decoder = json.JSONDecoder()
        while True:
            text = self.buffer.lstrip()
            if text:
                try:
                    value, end = decoder.raw_decode(text)
                    self.buffer = text[end:]
                except ValueError:
                    pass
                else:
                    if value.get("method") != "echo":
                        return value
                    self.socket.sendall(json.dumps({
                        "id": value["id"], "result": value["params"],
                        "error": None}).encode())
                    continue
            self.buffer += self.socket.recv(1 << 16).decode()

    def add_bridge(self, name):
        """One transaction, as ovs-vsctl add-br makes it; not awaited."""
        named = lambda what: ["named-uuid", what]
        return self.send(
            "transact", "Open_vSwitch",
            {"op": "insert", "table": "Interface", "uuid-name": "i",
             "row": {"name": name, "type": "internal"}},
            {"op": "insert", "table": "Port", "uuid-name": "p",
             "row": {"name": name, "interfaces": named("i")}},
            {"op": "insert", "table": "Bridge", "uuid-name": "b",
             "row": {"name": name, "ports": named("p"),
                     "datapath_type": "netdev"}},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["bridges", "insert", named("b")]]})


def bridge_latency(ovs, runs, prefix):
    """Seconds from the write of a bridge to a Bridge row with sFlow."""
    db = Ovsdb(ovs.socket)
    db.send("monitor", "Open_vSwitch", None,
            {"Bridge": {"columns": ["name", "sflow"]}})
    db.receive()
    times = []
    for i in range(runs):
        name = "%s%d" % (prefix, i)
        start = time.monotonic()
        request = db.add_bridge(name)
        done = False
        while not done:
            message = db.receive()
            if message.get("id") == request:
                bad = [r for r in message["result"] if r and "error" in r]
                if bad:
                    raise harness.Failure("insert: %s" % bad)
            for update in (message.get("params") or [None, {}])[1].get(
                    "Bridge", {}).values():
                row = update.get("new", {})
                if row.get("name") == name and row["sflow"] != ["set", []]:
                    done = True
        times.append(time.monotonic() - start)
        ovs.vsctl("--no-wait", "del-br", name)
        time.sleep(0.3 + 0.1 * (i % 5))
    return times


def bridges(lab):
    ovs = Ovs(lab)
    loop = Process("sh", ["sh", "-c", OLD_WAY],
                   os.path.join(lab.dir, "loop.log"), lab.name,
                   dict(ovs.env, DB=ovs.remote))
    old = bridge_latency(ovs, RUNS, "old")
    loop.kill()
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[".*"])
    wait_until(lambda: daemon.rpc("system.info")["ovsdb"][0]["connected"],
               what="venturid to connect to OVSDB")
    new = bridge_latency(ovs, RUNS, "new")
    daemon.stop()
    return new, old


def main():
    harness.check_needs(("root", "ovs", "venturid"))
    harness.install_signal_handlers()
    common.header("Latency")
    lab = Lab()
    times = query_latency(lab)
    median = statistics.median(times)
    common.row("datagram to flow.query", "%s, %s" % (
        common.spread(times, "s", 2), common.goal(median, QUERY_GOAL_S, "s")))
    peer = nfcapd_latency(lab)
    if peer:
        common.row("  nfcapd -t %d, then nfdump" % NFCAPD_INTERVAL_S,
                   "%s, ratio %.1f" % (common.spread(peer, "s", 2),
                                       statistics.median(peer) / median))
    new, old = bridges(lab)
    new, old = [t * 1000 for t in new], [t * 1000 for t in old]
    median = statistics.median(new)
    common.row("bridge added to export rows in place", "%s, %s" % (
        common.spread(new, "ms", 1),
        common.goal(median, BRIDGE_GOAL_MS, "ms")))
    common.row("  shell loop of ovs-vsctl, once a second",
               "%s, ratio %.1f" % (common.spread(old, "ms"),
                                   statistics.median(old) / median))


if __name__ == "__main__":
    main()
