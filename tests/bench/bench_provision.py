#!/usr/bin/env python3
"""Provisioning: many bridges in one database, many databases, drift, memory;
the peer is a shell loop of ovs-vsctl against the same server.  The parts of
Open vSwitch are real but for ovs-vswitchd, which has nothing to do with how
fast rows are in place."""

import common

import json
import os
import shlex
import socket
import statistics
import subprocess
import time

import harness
from harness import Lab, Ovs, wait_until
from ovsdb_driver import Driver

BRIDGES = 1000
SERVERS, BRIDGES_EACH = 50, 20
DRIFTS = 41
LOOP = 50                       # Bridges that the shell loop does.
ALL = "netflow sflow ipfix"
TABLES = {"netflow": "NetFlow", "sflow": "sFlow", "ipfix": "IPFIX"}


class Rival:
    """Another client, over a connection of its own."""

    def __init__(self, ovs):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(ovs.socket)
        self.buffer = ""

    def transact(self, operation):
        self.socket.sendall(json.dumps({
            "id": 1, "method": "transact",
            "params": ["Open_vSwitch", operation]}).encode())
        while True:
            try:
                reply, end = json.JSONDecoder().raw_decode(self.buffer)
                self.buffer = self.buffer[end:].lstrip()
                return reply["result"][0]
            except ValueError:
                self.buffer += self.socket.recv(1 << 20).decode()

    def sampling(self, uuid):
        return self.transact({
            "op": "select", "table": "sFlow", "columns": ["sampling"],
            "where": [["_uuid", "==", ["uuid", uuid]]]})["rows"][0][
                "sampling"]

    def set_sampling(self, uuid, value):
        self.transact({
            "op": "update", "table": "sFlow", "row": {"sampling": value},
            "where": [["_uuid", "==", ["uuid", uuid]]]})


class Server(Ovs):
    """A database without ovs-vswitchd."""

    def __init__(self, lab):
        super().__init__(lab, start=False)
        self.start_server()
        self.vsctl("--no-wait", "init")

    def add_bridges(self, n, prefix="b"):
        args = []
        for i in range(n):
            args += ["--", "add-br", "%s%d" % (prefix, i)]
        self.vsctl("--no-wait", *args, timeout=120)


def done(driver, n):
    """n protocols of bridges are as they should be, and nothing is left."""
    fields = driver("count")[0]
    return int(fields[0]) == n and int(fields[1]) == 0


def provision(driver, policy, n):
    """Seconds from a policy to all its rows in place, as the server has
    answered."""
    start = time.monotonic()
    driver("policy " + policy)
    wait_until(lambda: done(driver, n), 120, "all rows", interval=0.002)
    return time.monotonic() - start


def shell_loop(ovs, names):
    """The same by hand, one bridge after the other, three rows each; seconds
    per bridge."""
    script = "for b in %s; do " % " ".join(names)
    for protocol, table, port in (("netflow", "NetFlow", 2055),
                                  ("sflow", "sFlow", 6343),
                                  ("ipfix", "IPFIX", 4739)):
        script += ("ovs-vsctl --no-wait --db=%s -- --id=@r create %s "
                   "'targets=\"127.0.0.1:%d\"' -- set Bridge $b %s=@r "
                   ">/dev/null || exit 1; " % (
                       shlex.quote(ovs.remote), table, port, protocol))
    start = time.monotonic()
    subprocess.run(["sh", "-c", script + "done"], check=True)
    return (time.monotonic() - start) / len(names)


def many_bridges(lab, runs):
    ovs = Server(lab)
    ovs.add_bridges(BRIDGES)
    took, again = [], []
    for _ in range(runs):
        driver = Driver(lab, ovs.remote)
        driver("policy none")
        wait_until(lambda: done(driver, 0), 60, "a clean start",
                   interval=0.01)
        took.append(provision(driver, ALL, 3 * BRIDGES))
        size = os.path.getsize(ovs.database)
        driver("apply")
        time.sleep(0.3)
        again.append(os.path.getsize(ovs.database) - size)
        driver("policy none")
        wait_until(lambda: done(driver, 0), 60, "removal", interval=0.01)
        driver.stop()
    common.row("%d bridges, 3 protocols each" % BRIDGES,
               "%s, %s" % (common.spread(took, "s", 2),
                           common.goal(statistics.median(took), 1, "s")))
    common.row("written by a second apply", "%d bytes" % max(again))
    peer = shell_loop(ovs, ["b%d" % i for i in range(LOOP)])
    common.row("a loop of ovs-vsctl", "%.1f s (%.0f ms for each of %d "
               "bridges): %.0f times as long" % (
                   peer * BRIDGES, 1000 * peer, LOOP,
                   peer * BRIDGES / statistics.median(took)))


def anonymous_bytes(pid):
    """Resident memory without the pages of the program itself."""
    with open("/proc/%d/status" % pid, encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f
                    if line.startswith("RssAnon:"))


# What ovs-vswitchd says of a netdev, every few seconds.
STATISTICS = " ".join("%s=%d" % item for item in {
    "collisions": 0, "rx_bytes": 1234567, "rx_crc_err": 0, "rx_dropped": 0,
    "rx_errors": 0, "rx_frame_err": 0, "rx_missed_errors": 0,
    "rx_over_err": 0, "rx_packets": 4321, "tx_bytes": 7654321,
    "tx_dropped": 0, "tx_errors": 0, "tx_packets": 9876}.items())


def add_statistics(ovs, n):
    """Of each bridge's interface, none like another."""
    args = []
    for i in range(n):
        args += ["--", "set", "Interface", "b%d" % i,
                 "mac_in_use=\"02:00:00:00:%02x:%02x\"" % (i >> 8, i & 255),
                 "ofport=65534", "ifindex=%d" % (i + 10)]
        args += ["statistics:" + s for s in STATISTICS.split()]
        args += ["--", "set", "Bridge", "b%d" % i,
                 "datapath_id=%016x" % (i + 1)]
    ovs.vsctl("--no-wait", *args, timeout=120)


def memory(lab, policy, n_rows, statistics_=False):
    """What a bridge costs: the difference between two processes that are the
    same but for their databases."""
    size = []
    for n in (0, BRIDGES):
        ovs = Server(lab)
        if n:
            ovs.add_bridges(n)
            if statistics_:
                add_statistics(ovs, n)
        driver = Driver(lab, ovs.remote)
        driver.await_connected()
        driver("policy " + policy)
        wait_until(lambda: done(driver, n_rows * n), 60, "rows")
        time.sleep(12)          # What is free is given back by then.
        size.append(anonymous_bytes(driver.popen.pid))
        driver.stop()
        ovs.stop_server()
    each = (size[1] - size[0]) / BRIDGES / 1000
    common.row("memory per bridge, policy \"%s\"%s" % (
        policy, ", all known" if statistics_ else ""), "%.1f kB, %s" % (each, common.goal(each, 8, "kB")))


def drift(lab):
    """From the moment that the rival knows of its commit to the moment that it
    finds its work undone."""
    ovs = Server(lab)
    ovs.add_bridges(20)
    driver = Driver(lab, ovs.remote)
    provision(driver, "sflow", 20)
    rival = Rival(ovs)
    uuids = [r["_uuid"] for r in ovs.rows("sFlow")]
    wanted = rival.sampling(uuids[0])
    took = []
    for i in range(DRIFTS):
        # Another row each time: the same again and again is a fight.
        uuid = uuids[i % len(uuids)]
        rival.set_sampling(uuid, 7777 + i)
        start = time.monotonic()
        wait_until(lambda u=uuid: rival.sampling(u) == wanted, 10,
                   "a repair", interval=0)
        took.append(1000 * (time.monotonic() - start))
        time.sleep(0.02)
    driver.stop()
    common.row("drift repaired", "%s, %s" % (
        common.spread(took, "ms", 1),
        common.goal(statistics.median(took), 50, "ms")))


def many_servers(lab, runs):
    servers = []
    for _ in range(SERVERS):
        servers.append(Server(lab))
        servers[-1].add_bridges(BRIDGES_EACH)
    took = []
    for _ in range(runs):
        start = time.monotonic()
        driver = Driver(lab, *(s.remote for s in servers))
        driver("policy sflow")
        wait_until(lambda: done(driver, SERVERS * BRIDGES_EACH), 60,
                   "all rows", interval=0.01)
        took.append(time.monotonic() - start)
        driver("policy none")
        wait_until(lambda: done(driver, 0), 60, "removal", interval=0.01)
        driver.stop()
    common.row("%d databases with %d bridges each" % (SERVERS, BRIDGES_EACH),
               "%s, %s, from the start of the program" % (
                   common.spread(took, "s", 2),
                   common.goal(statistics.median(took), 3, "s")))


def main():
    harness.check_needs(("root", "ovs"))
    harness.install_signal_handlers()
    runs = common.arguments.runs or 5
    common.header("Provisioning")
    lab = Lab()
    many_bridges(lab, runs)
    drift(lab)
    memory(lab, "sflow", 1)
    memory(lab, ALL, 3)
    memory(lab, ALL, 3, statistics_=True)
    many_servers(lab, max(runs // 2, 1))
    harness.cleanup()


if __name__ == "__main__":
    main()
