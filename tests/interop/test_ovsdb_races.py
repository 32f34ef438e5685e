#!/usr/bin/env python3
"""Servers that come and go, rivals, locks, refusals, many bridges."""

import json
import os
import signal
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness
from harness import Failure, Lab, Ovs, equal, main, wait_until
from ovsdb_driver import Driver


class Rival:
    """A client of OVSDB that says what it is told, without looking."""

    def __init__(self, ovs):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(ovs.socket)
        self.socket.settimeout(20)
        self.buffer = ""

    def send(self, *operations):
        self.socket.sendall(json.dumps({
            "id": 1, "method": "transact",
            "params": ["Open_vSwitch", *operations]}).encode())

    def receive(self):
        while True:
            try:
                reply, end = json.JSONDecoder().raw_decode(self.buffer)
                self.buffer = self.buffer[end:]
                return reply
            except ValueError:
                self.buffer += self.socket.recv(65536).decode()

    def transact(self, *operations):
        self.send(*operations)
        reply = self.receive()
        if reply["error"] or any("error" in r for r in reply["result"]):
            raise Failure("the rival's transaction: %s" % reply)


def insert_sflow(bridge, target):
    """Operations that give a bridge a row of somebody else."""
    return ({"op": "insert", "table": "sFlow", "uuid-name": "s",
             "row": {"targets": target, "sampling": 64}},
            {"op": "update", "table": "Bridge",
             "where": [["name", "==", bridge]],
             "row": {"sflow": ["named-uuid", "s"]}})


def comments(ovs):
    """The log of the database."""
    return harness.run("ovsdb-tool", "-mm", "show-log", ovs.database)


def test_absent_at_start():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.stop_vswitchd()
    ovs.stop_server()
    driver = Driver(lab, ovs.remote)
    wait_until(lambda: "No such file" in driver.trouble(),
               what="a reason")
    ovs.start_server()
    ovs.start_vswitchd()
    took = driver.await_state("br0", "sflow", "in-sync", 20)
    print("in sync %.1f s after the server came" % took)
    driver.stop()


def test_restart():
    """The rows stay when the server restarts, and nothing is written; what
    changed meanwhile is repaired."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    before = ovs.rows("sFlow"), ovs.vsctl("get", "Open_vSwitch", ".",
                                          "next_cfg")
    for _ in range(2):
        ovs.server.stop(signal.SIGKILL)
        wait_until(lambda: not driver.connected(), what="a lost connection")
        # What was known is still told.
        equal(driver.state("br0", "sflow"), "in-sync", "state")
        ovs.start_server()
        driver.await_connected(20)
        driver.await_state("br0", "sflow", "in-sync")
        equal((ovs.rows("sFlow"), ovs.vsctl("get", "Open_vSwitch", ".",
                                            "next_cfg")), before, "rows")
    ovs.vsctl("--no-wait", "clear", "Bridge", "br0", "sflow")
    wait_until(lambda: ovs.rows("sFlow"), 5, "the row again")
    driver.stop()


def waiting_octets(ovs):
    """What clients have written that the stopped server has not read yet."""
    total = 0
    # These sockets are in the namespace of who has connected.
    lines = harness.run("ss", "-xnH", "src", ovs.socket).splitlines()
    for line in lines:
        fields = line.split()
        if fields[1] == "ESTAB":
            total += int(fields[2])
    return total


def await_waiting(ovs, before):
    """Waits for more than 'before' octets to wait for the server."""
    wait_until(lambda: waiting_octets(ovs) > before, 10,
               "a transaction on its way to the server")


def settled(lab, ovs, policy):
    """A driver that holds the lock and has written an IPFIX row: its next
    transaction goes out at once, by what it knows now.  (Its first one waits
    for the lock, and the first "auto" makes it read the database anew: with
    that it would have heard of the rival.)"""
    driver = Driver(lab, ovs.remote)
    driver(policy)
    wait_until(lambda: ovs.rows("IPFIX") and all(
        action == "none" for action, _ in driver.plan().values()), 10,
        "a row, and nothing left to do")
    return driver


def test_lost_update():
    """A rival writes while our decision is on its way: its row must stay."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.stop_vswitchd()
    for turn in range(10):
        rival = Rival(ovs)
        driver = settled(lab, ovs, "policy ipfix")
        ovs.server.popen.send_signal(signal.SIGSTOP)
        rival.send(*insert_sflow("br0", "192.0.2.1:%d" % (7000 + turn)))
        before = waiting_octets(ovs)
        driver("policy sflow")          # Decides by what it knows.
        await_waiting(ovs, before)      # Its transaction is in the socket.
        ovs.server.popen.send_signal(signal.SIGCONT)
        rival.receive()
        driver.await_state("br0", "sflow", "conflict")
        equal([r["targets"] for r in ovs.rows("sFlow")],
              ["192.0.2.1:%d" % (7000 + turn)], "the rival's row")
        driver.stop()
        rival.transact({"op": "update", "table": "Bridge", "where": [],
                        "row": {"sflow": ["set", []]}})
        rival.socket.close()


def test_lost_content():
    """The row that we are to displace is changed while our decision is on its
    way: what comes back later is what its owner wrote last."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.stop_vswitchd()
    for turn in range(5):
        rival = Rival(ovs)
        rival.transact(*insert_sflow("br0", "192.0.2.1:7000"))
        driver = settled(lab, ovs, "policy ipfix replace")
        ovs.server.popen.send_signal(signal.SIGSTOP)
        last = "192.0.2.1:%d" % (7001 + turn)
        rival.send({"op": "update", "table": "sFlow", "where": [],
                    "row": {"targets": last}})
        before = waiting_octets(ovs)
        driver("policy sflow replace")  # Decides by what it knows.
        await_waiting(ovs, before)      # Its transaction is in the socket.
        ovs.server.popen.send_signal(signal.SIGCONT)
        rival.receive()
        wait_until(lambda: [r["targets"] for r in ovs.rows("sFlow")]
                   == ["127.0.0.1:6343"], 10, "our row")
        equal(driver("remove"), [["1"]], "removed")
        equal([r["targets"] for r in ovs.rows("sFlow")], [last],
              "what its owner wrote last")
        driver.stop()
        ovs.vsctl("--no-wait", "clear", "Bridge", "br0", "sflow")
        rival.socket.close()


def test_lost_bridge():
    """The bridge goes while a set for it is on its way: the set comes too
    late, which is no error.  (A set that somebody else keeps on that bridge
    would make ours an orphan, too.)"""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.stop_vswitchd()
    rival = Rival(ovs)
    driver = settled(lab, ovs, "policy ipfix")
    bridge = ovs.rows("Bridge", "_uuid")[0]["_uuid"]
    ovs.server.popen.send_signal(signal.SIGSTOP)
    rival.send({"op": "mutate", "table": "Open_vSwitch", "where": [],
                "mutations": [["bridges", "delete", ["uuid", bridge]]]})
    before = waiting_octets(ovs)
    driver("policy ipfix sample=7")     # Decides by what it knows.
    await_waiting(ovs, before)          # Its transaction is in the socket.
    ovs.server.popen.send_signal(signal.SIGCONT)
    rival.receive()
    wait_until(lambda: not any(bridge for bridge, _ in driver.plan()), 10,
               lambda: "news of the bridge: %s" % driver.plan())
    equal(ovs.rows("Flow_Sample_Collector_Set") + ovs.rows("Bridge"), [],
          "rows")
    if "was refused" in driver.text():
        raise Failure("it was not verified:\n" + driver.text()[-1500:])
    driver.stop()


def test_fight():
    """A rival that changes our row again and again: we stop, and say so."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    rival = Rival(ovs)
    rounds = 0
    while driver.state("br0", "sflow") != "conflict":
        rounds += 1
        if rounds > 20:
            raise Failure("it never gave up")
        rival.transact({"op": "update", "table": "sFlow", "where": [],
                        "row": {"sampling": rounds}})
        wait_until(lambda: ovs.rows("sFlow")[0]["sampling"] == 512
                   or driver.state("br0", "sflow") == "conflict", 5,
                   "a repair or a conflict")
    print("gave up after %d rounds: %s" % (rounds,
                                           driver.reason("br0", "sflow")))
    before = ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg")
    rival.transact({"op": "update", "table": "sFlow", "where": [],
                    "row": {"sampling": 77}})
    time.sleep(0.3)
    equal(ovs.rows("sFlow")[0]["sampling"], 77, "sampling")
    equal(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"), before,
          "next_cfg")
    # Other bridges are looked after.
    ovs.add_bridge("br1")
    driver.await_state("br1", "sflow", "in-sync")
    driver("apply")
    driver.await_state("br0", "sflow", "in-sync")
    driver.stop()


def test_slow_fight():
    """A rival that rewrites our row ten times a minute, as some agents do."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    rival = Rival(ovs)
    start = time.monotonic()
    for turn in range(10):
        rival.transact(*insert_sflow("br0", "192.0.2.1:6343"),
                       {"op": "update", "table": "sFlow", "where": [],
                        "row": {"external_ids": [
                            "map", [["venturi-owner", "driver-1"]]]}})
        wait_until(lambda: driver.state("br0", "sflow") == "conflict"
                   or ovs.rows("sFlow")[0]["targets"] == "127.0.0.1:6343", 5,
                   "a repair or a conflict")
        if driver.state("br0", "sflow") == "conflict":
            break
        time.sleep(max(0, start + 6 * (turn + 1) - time.monotonic()))
    reason = driver.reason("br0", "sflow")
    print("after %.0f s: %s" % (time.monotonic() - start, reason))
    if "6 times within a minute" not in reason \
       or "set targets to 192.0.2.1:6343" not in reason:
        raise Failure("who, and how often: " + reason)
    equal(driver.text().count("|WARN|"), 1, "warnings")
    driver.stop()


def test_lock():
    """A second daemon with our id waits; one with another id does not."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    first = Driver(lab, ovs.remote, owner="4f0c-1.a")
    first.await_state("br0", "sflow", "in-sync")
    second = Driver(lab, ovs.remote, owner="4f0c-1.a")
    second.await_connected()
    second("policy sflow ipfix")
    second.await_state("br0", "ipfix", "error")
    if "lock venturi_4f0c_1_a" not in second.reason("br0", "ipfix"):
        raise Failure(second.reason("br0", "ipfix"))
    other = Driver(lab, ovs.remote, owner="other")
    other("policy netflow")
    other.await_state("br0", "netflow", "in-sync")
    equal(ovs.rows("IPFIX"), [], "rows of the second")
    first.stop()
    second.await_state("br0", "ipfix", "in-sync")
    second.stop()
    other.stop()


def edit_schema(lab, edit):
    """A server whose schema is not quite the real one."""
    with open(harness.OVS_SCHEMA, encoding="utf-8") as f:
        schema = json.load(f)
    edit(schema["tables"])
    path = os.path.join(lab.dir, harness.unique("schema-"))
    with open(path, "w", encoding="utf-8") as f:
        json.dump(schema, f)
    ovs = Ovs(lab, start=False)
    os.unlink(ovs.database)
    harness.run("ovsdb-tool", "create", ovs.database, path)
    ovs.start_server()
    ovs.vsctl("--no-wait", "init")
    ovs.vsctl("--no-wait", "add-br", "br0")
    return ovs


def test_refused():
    """What the server refuses is said, and not tried at full speed."""
    lab = Lab()

    def edit(tables):
        tables["IPFIX"]["columns"]["sampling"]["type"]["key"][
            "maxInteger"] = 10
    ovs = edit_schema(lab, edit)
    driver = Driver(lab, ovs.remote)
    driver("policy ipfix")
    driver.await_state("br0", "ipfix", "error")
    reason = driver.reason("br0", "ipfix")
    print(reason)
    if "refused" not in reason or "constraint" not in reason:
        raise Failure("the reason does not tell: " + reason)
    size = os.path.getsize(ovs.database)
    time.sleep(0.5)
    equal(os.path.getsize(ovs.database), size, "size of the database")
    if driver.text().count("was refused") > 2:
        raise Failure("it is in a hurry:\n" + driver.text())
    driver("policy ipfix ipfix.sampling=5")
    wait_until(lambda: ovs.rows("IPFIX"), 5, "a row after a better policy")
    driver.stop()


def test_missing_columns():
    """An older server: the columns it lacks are left out."""
    lab = Lab()

    def edit(tables):
        del tables["IPFIX"]["columns"]["obs_point_id"]
        del tables["IPFIX"]["columns"]["cache_max_flows"]
    ovs = edit_schema(lab, edit)
    driver = Driver(lab, ovs.remote)
    driver("policy ipfix sflow ipfix.cache_max_flows=5")

    def ipfix():                # ovs-vsctl complains of missing columns, too.
        return ovs.rows("IPFIX", "_uuid", "sampling")
    wait_until(lambda: ipfix() and ovs.rows("sFlow"), 5, "rows")
    wait_until(lambda: driver.plan()["br0", "ipfix"][0] == "none", 5,
               lambda: "nothing left to do: %s" % driver.plan())
    ovs.vsctl("--no-wait", "set", "IPFIX", ipfix()[0]["_uuid"],
              "sampling=9")
    wait_until(lambda: ipfix()[0]["sampling"] == 512, 5,
               "the repair, which verifies every column that is there")
    driver.stop()


def test_slow_server():
    """A server that stops answering stops nothing else."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    ovs.server.popen.send_signal(signal.SIGSTOP)
    try:
        driver("policy sflow netflow")
        start = time.monotonic()
        for _ in range(20):
            driver("status")
            driver("plan")
        if time.monotonic() - start > 2:
            raise Failure("status and plan waited for the server")
        driver.await_state("br0", "netflow", "pending", 2)
    finally:
        ovs.server.popen.send_signal(signal.SIGCONT)
    driver.await_state("br0", "netflow", "in-sync")
    ovs.server.popen.send_signal(signal.SIGSTOP)
    try:
        driver("policy sflow")
        start = time.monotonic()
        driver.stop()
        if time.monotonic() - start > 5:
            raise Failure("it waited for the server to end")
    finally:
        ovs.server.popen.send_signal(signal.SIGCONT)


def test_no_permission():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    os.chmod(ovs.socket, 0o700)
    os.chmod(lab.dir, 0o755)
    os.chmod(ovs.dir, 0o755)
    driver = Driver(lab, ovs.remote,
                    prefix=("setpriv", "--reuid=65534", "--clear-groups"))
    try:
        wait_until(lambda: "Permission denied" in driver.trouble(),
                   5, lambda: "a reason: " + driver.trouble())
    except Failure as error:
        if "died" in str(error):
            raise harness.Skip("another user may not run the driver") \
                from None
        raise
    driver.stop()


def test_two_databases():
    lab = Lab()
    one, two = Ovs(lab), Ovs(lab)
    one.add_bridge("br-one")
    driver = Driver(lab, one.remote, two.remote)
    driver.await_state("br-one", "sflow", "in-sync")
    one.stop_vswitchd()
    one.stop_server()
    # The one that is gone does not hold up the other.
    two.vsctl("--no-wait", "add-br", "br-two")
    wait_until(lambda: two.rows("sFlow"), 5, "a row in the second database")
    driver.stop()


def make_certificates(directory):
    """A CA, and a certificate of it for each side: {name: (key, cert)}"""
    def path(name):
        return os.path.join(directory, name)

    def openssl(*args):
        harness.run("openssl", *args)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=test ca", "-keyout", path("ca.key"),
            "-out", path("ca.pem"))
    for name in ("server", "client"):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj",
                "/CN=" + name, "-keyout", path(name + ".key"),
                "-out", path(name + ".csr"))
        openssl("x509", "-req", "-days", "2", "-in", path(name + ".csr"),
                "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
                "-CAcreateserial", "-out", path(name + ".pem"))
    return path


def test_tls():
    """A remote behind TLS, with certificates on both sides."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    path = make_certificates(lab.dir)
    port = harness.free_port(socket.SOCK_STREAM)
    ovs.stop_vswitchd()
    ovs.stop_server()
    harness.Process("ovsdb-server", [
        "ovsdb-server", ovs.database, "--remote=punix:" + ovs.socket,
        "--remote=pssl:%d:127.0.0.1" % port, "--no-chdir",
        "--unixctl=" + os.path.join(ovs.dir, "server.ctl"),
        "-vconsole:warn", "-vsyslog:off", "-vfile:off",
        "--private-key=" + path("server.key"),
        "--certificate=" + path("server.pem"),
        "--ca-cert=" + path("ca.pem")], os.path.join(lab.dir, "tls.out"))
    remote = "ssl:127.0.0.1:%d" % port
    driver = Driver(lab, remote, options=(
        "--tls", path("client.key"), path("client.pem"), path("ca.pem")))
    driver.await_connected(20)
    wait_until(lambda: ovs.rows("sFlow"), 5, "a row")
    driver.stop()
    stranger = Driver(lab, remote, owner="stranger")
    wait_until(lambda: stranger.trouble() not in ("", "connecting"), 10,
               "a reason")
    print("without a certificate: " + stranger.trouble())
    equal(stranger.connected(), False, "the stranger's connection")
    stranger.stop()


def test_many_bridges():
    """Many bridges at once: all rows in place, nothing on a second look."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.stop_vswitchd()
    n = 300
    args = []
    for i in range(n):
        args += ["--", "add-br", "b%d" % i]
    driver = Driver(lab, ovs.remote)
    driver("policy netflow sflow ipfix")
    driver.await_connected()
    ovs.vsctl("--no-wait", *args)
    start = time.monotonic()
    wait_until(lambda: sum(a == "none" for a, _ in driver.plan().values())
               == 3 * n, 30, "all rows", interval=0.01)
    print("%d bridges: %d rows in place after %.0f ms" % (
        n, 3 * n, 1000 * (time.monotonic() - start)))
    engines = {(r["engine_type"], r["engine_id"]) for r in
               ovs.rows("NetFlow")}
    equal(len(engines), n, "engine ids")
    before = int(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"))
    driver("apply")
    driver("status")
    # One more is the only one that is written.
    ovs.vsctl("--no-wait", "add-br", "one-more")
    wait_until(lambda: driver.plan().get(("one-more", "sflow"),
                                         ("", ""))[0] == "none", 30,
               "rows of one more")
    equal(int(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg")), before + 1,
          "next_cfg")
    driver.stop()


def test_comment():
    """The database's own log says who did what."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    driver = Driver(lab, ovs.remote)
    driver.await_state("br0", "sflow", "in-sync")
    driver.stop()
    text = "venturid driver-1: create sFlow on bridge br0, policy default"
    if text not in comments(ovs):
        raise Failure("not in the log of the database: " + text)


if __name__ == "__main__":
    main(needs=("root", "ovs"))
