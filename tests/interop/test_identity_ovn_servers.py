#!/usr/bin/env python3
"""OVN's databases as they are run: behind TLS, as a cluster whose members fail,
through relays that only read; and a real live migration."""

import json
import os
import time

from harness import Daemon, Failure, Lab, Process, equal, main, run, \
    unique, wait_until
from ovn import SCHEMAS, Chassis, Database, Ovn
from test_identity_ovn import add_tenant, config, listed, mac_of, who
from test_ovsdb_races import make_certificates

QUIET = ["--no-chdir", "-vconsole:off", "-vsyslog:off", "-vfile:off"]


def port_row(i):
    """A datapath and a port on it, as northd would write them."""
    return [
        {"op": "insert", "table": "Datapath_Binding", "uuid-name": "d",
         "row": {"tunnel_key": i, "external_ids": ["map", [
             ["name", "net-%d" % i], ["logical-switch", "x"]]]}},
        {"op": "insert", "table": "Port_Binding", "row": {
            "logical_port": "port-%d" % i, "tunnel_key": 1,
            "datapath": ["named-uuid", "d"],
            "mac": "02:00:00:00:00:%02x 10.0.0.%d" % (i, i)}}]


def transact(remote, *operations, options=()):
    out = run("ovsdb-client", *options, "transact", remote,
              json.dumps(["OVN_Southbound"] + list(operations)))
    for reply in json.loads(out):
        if reply and "error" in reply:
            raise AssertionError(reply)


def names(daemon):
    return sorted(e["name"] for e in listed(daemon, "ovn-sb")
                  if e["name"] and e["name"].startswith("port-"))


def ports(n):
    return sorted("port-%d" % i for i in range(1, n + 1))


def status(daemon):
    return next(d for d in daemon.rpc("endpoint.databases")["databases"]
                if d["source"] == "ovn-sb")


def test_tls():
    lab = Lab()
    path = make_certificates(lab.dir)
    db = Database(lab, SCHEMAS + "/ovn-sb.ovsschema", "OVN_Southbound")
    db.server.stop()

    def serve():
        return Process("ovsdb-server", [
            "ovsdb-server", db.file, "--remote=punix:" + db.socket,
            "--remote=pssl:6642:127.0.0.1",
            "--unixctl=" + os.path.join(db.dir, "ctl"),
            "--private-key=" + path("server.key"),
            "--certificate=" + path("server.pem"),
            "--ca-cert=" + path("ca.pem")] + QUIET,
            os.path.join(db.dir, "tls"), lab.name)
    server = serve()
    daemon = Daemon(lab, config={
        "ovsdb": {"tls": {"private-key": path("client.key"),
                          "certificate": path("client.pem"),
                          "ca": path("ca.pem")}},
        "ovn": {"southbound": ["ssl:127.0.0.1:6642"]}}, expect=["."])
    wait_until(lambda: status(daemon)["connected"], 20,
               lambda: status(daemon))
    db.transact(*port_row(1))
    wait_until(lambda: names(daemon) == ports(1), 10)
    server.stop()
    wait_until(lambda: not status(daemon)["connected"], 15)
    server = serve()
    wait_until(lambda: status(daemon)["connected"], 30,
               lambda: status(daemon))
    db.transact(*port_row(2))
    wait_until(lambda: names(daemon) == ports(2), 10)
    daemon.stop()
    # Without a key it says why, and tells nothing.
    stranger = Daemon(lab, config={
        "ovn": {"southbound": ["ssl:127.0.0.1:6642"]}}, expect=["."])
    wait_until(lambda: status(stranger)["reason"] not in ("", "connecting"),
               20, lambda: status(stranger))
    equal((names(stranger), status(stranger)["connected"]), ([], False),
          "a stranger's")
    stranger.stop()


class Member:
    """A server of a cluster."""

    def __init__(self, lab, index, first=None):
        self.lab = lab
        self.dir = os.path.join(lab.dir, unique("raft-"))
        os.mkdir(self.dir)
        self.file = os.path.join(self.dir, "db")
        self.ctl = os.path.join(self.dir, "ctl")
        self.raft = "tcp:127.0.0.1:%d" % (6650 + index)
        self.remote = "tcp:127.0.0.1:%d" % (6640 + index)
        self.listen = "ptcp:%d:127.0.0.1" % (6640 + index)
        if first:
            run("ovsdb-tool", "join-cluster", self.file, "OVN_Southbound",
                self.raft, first.raft)
        else:
            run("ovsdb-tool", "create-cluster", self.file,
                SCHEMAS + "/ovn-sb.ovsschema", self.raft)
        self.start()

    def start(self):
        self.server = Process("ovsdb-server", [
            "ovsdb-server", self.file, "--remote=" + self.listen,
            "--unixctl=" + self.ctl] + QUIET,
            os.path.join(self.dir, "out"), self.lab.name)

    def state(self):
        try:
            return run("ovs-appctl", "-t", self.ctl, "cluster/status",
                       "OVN_Southbound")
        except Failure:
            return ""

    def ready(self):
        self.server.check()
        text = self.state()
        return "Status: cluster member" in text \
            and "Leader: unknown" not in text

    def clients(self):
        """How many connections that are established there are to it."""
        port = ":%s" % self.remote.split(":")[2]
        out = self.lab.run("ss", "-Htn", "state", "established", "sport",
                           "= " + port)
        return len(out.strip().splitlines())


def test_cluster():
    lab = Lab()
    first = Member(lab, 1)
    wait_until(first.ready, 20, first.state)
    members = [first] + [Member(lab, i, first) for i in (2, 3)]
    for m in members:
        wait_until(m.ready, 30, m.state)
    remotes = [m.remote for m in members]

    def write(i):
        def done():
            try:
                lab.run("ovsdb-client", "--timeout=10", "transact",
                        ",".join(remotes), json.dumps(
                            ["OVN_Southbound"] + port_row(i)))
                return True
            except Failure:
                return False    # While a leader is elected.
        wait_until(done, 40)
    write(1)
    daemon = Daemon(lab, config={"ovn": {"southbound": remotes}},
                    expect=["."])
    wait_until(lambda: names(daemon) == ports(1), 20,
               lambda: status(daemon))
    equal(status(daemon)["connected"], True, "one of them")
    address = "10.0.0.1"
    told = [(m["id"], m["valid_from"]) for m in who(daemon, address)]
    n = 1
    for _ in range(3):
        victim = next(m for m in members if m.server.alive()
                      and m.clients())
        gaps = status(daemon)["counters"]["gaps"]
        victim.server.kill()
        n += 1
        write(n)
        wait_until(lambda: names(daemon) == ports(n), 60,
                   lambda: (names(daemon), status(daemon)))
        # Nobody came or went because of that.
        equal([(m["id"], m["valid_from"]) for m in who(daemon, address)],
              told, "goes on")
        equal(status(daemon)["counters"]["gaps"] > gaps, True, "a gap")
        victim.start()
        wait_until(victim.ready, 40, victim.state)
    equal(len(listed(daemon, "ovn-sb")), 2 * n, "ports and networks, once")
    daemon.stop()


def test_relay():
    lab = Lab()
    db = Database(lab, SCHEMAS + "/ovn-sb.ovsschema", "OVN_Southbound")
    directory = os.path.join(lab.dir, unique("relay-"))
    os.mkdir(directory)

    def serve():
        return Process("ovsdb-server", [
            "ovsdb-server", "relay:OVN_Southbound:" + db.remote,
            "--remote=ptcp:6642:127.0.0.1",
            "--unixctl=" + os.path.join(directory, "ctl")] + QUIET,
            os.path.join(directory, "out"), lab.name)
    relay = serve()
    db.transact(*port_row(1))
    daemon = Daemon(lab, config={"ovn": {
        "southbound": ["tcp:127.0.0.1:6642"]}}, expect=["."])
    wait_until(lambda: names(daemon) == ports(1), 20,
               lambda: status(daemon))
    db.transact(*port_row(2))
    wait_until(lambda: names(daemon) == ports(2), 10)
    # What is behind the relay goes and comes: nobody ends.
    db.server.kill()
    db.start()
    db.transact(*port_row(3))
    wait_until(lambda: names(daemon) == ports(3), 40,
               lambda: (names(daemon), status(daemon)))
    relay.kill()
    wait_until(lambda: not status(daemon)["connected"], 20)
    equal(names(daemon), ports(3), "kept")
    db.transact(*port_row(4))
    db.transact({"op": "delete", "table": "Port_Binding",
                 "where": [["logical_port", "==", "port-1"]]})
    relay = serve()
    wait_until(lambda: names(daemon) == ports(4)[1:], 40,
               lambda: (names(daemon), status(daemon)))
    daemon.stop()


def test_live_migration():
    """A port that two chassis have for a while (requested-chassis)."""
    lab = Lab()
    ovn = Ovn(lab)
    chassis = [Chassis(ovn, 1), Chassis(ovn, 2)]
    add_tenant(ovn, "blue")
    chassis[0].plug("blue1", "blue-1", mac_of("blue", 1), "10.0.0.1/24")
    daemon = Daemon(lab, ovsdb=[c.ovs.remote for c in chassis],
                    config=config(ovn, export={"mode": "plan"}), expect=["."])

    def of_port():
        return [e for e in listed(daemon, "ovn-sb")
                if "10.0.0.1" in e.get("addresses", [])]

    def where():
        return [(e["host"], e["labels"].get("moving-to"))
                for e in of_port()]
    ovn.nbctl("lsp-set-options", "blue-1", "requested-chassis=node-1")
    wait_until(lambda: where() == [("node-1", None)], 40, where)
    ident = of_port()[0]["id"]
    ovn.nbctl("lsp-set-options", "blue-1",
              "requested-chassis=node-1,node-2")
    chassis[1].plug("blue1", "blue-1", mac_of("blue", 1), "10.0.0.1/24")
    wait_until(lambda: where() == [("node-1", "node-2")], 40, of_port)
    equal({m["said_by"].get("label.moving-to")
           for m in who(daemon, "10.0.0.1")}, {"ovn-sb"}, "who says so")
    # In both places it is one machine.
    equal({(m["name"], m["host"]) for m in who(daemon, "10.0.0.1")},
          {("blue-vm1", "node-1")}, "while it moves")
    moved = time.time()
    ovn.nbctl("lsp-set-options", "blue-1", "requested-chassis=node-2")
    run("ip", "-n", chassis[0].name, "link", "delete", "blue1")
    chassis[0].ovs.vsctl("del-port", "br-int", "blue1")
    wait_until(lambda: where() == [("node-2", None)], 40, where)
    equal([e["id"] for e in of_port()], [ident], "the same one")
    equal({m["host"] for m in who(daemon, "10.0.0.1",
                                  at="%.6f" % moved)}, {"node-1"}, "before")
    wait_until(lambda: {(m["name"], m["host"])
                        for m in who(daemon, "10.0.0.1")}
               == {("blue-vm1", "node-2")}, 20,
               lambda: who(daemon, "10.0.0.1"))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("ovsdb-server", "ovs-vsctl", "ovn-northd", "ovn-controller",
                "ovn-nbctl", "ovn-sbctl", "openssl", "root"))
