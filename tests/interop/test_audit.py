#!/usr/bin/env python3
"""The audit log: who has changed what, how it was before and how it is after,
for every method that changes something; and what was refused."""

import json
import os
import socket

import nfcapd
from bgp_peer import OURS, BgpLab, Peer, await_state
from harness import BUILDDIR, Client, Daemon, Failure, Ovs, RpcError, equal, main, run, \
    wait_until
from test_alerts import Sender, active, rule
from test_route_import import table

# Methods above a viewer that change nothing.
ASK_ONLY = {"token.list", "audit.list"}


def send_file(daemon, method, path, **params):
    """The result of a method that wants an open file."""
    with open(path, "rb") as f:
        socket.send_fds(daemon.client.socket, [json.dumps({
            "jsonrpc": "2.0", "id": "file", "method": method,
            "params": params}).encode() + b"\n"], [f.fileno()])
    while True:
        reply = daemon.client.receive()
        if reply.get("id") == "file":
            return reply["result"]


class Log:
    """Calls methods; keeps what must be found in the log."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.seen = set()

    def newest(self):
        return self.daemon.rpc("audit.list", limit=2)["entries"][1]

    def check(self, method, before, after, **params):
        """'before' and 'after' are None, or a function of what is there that
        says whether it is right."""
        # audit.list is itself in the log: the newest but one.
        entry = next(e for e in self.daemon.rpc("audit.list", limit=5)[
            "entries"] if e["method"] not in ASK_ONLY)
        equal((entry["method"], entry["outcome"], entry["who"], entry["role"],
               entry["transport"]),
              (method, "done", "user root", "admin", "unix"), method)
        if not entry["time"] or not entry["from"]:
            raise Failure("%s: when, from where: %s" % (method, entry))
        if params:
            equal(entry["params"], params, method)
        for what, want in (("before", before), ("after", after)):
            have = entry[what]
            if (have is None if want is None else have is not None
                    and want(have)):
                continue
            raise Failure("%s: %s is %s" % (method, what, json.dumps(have)))
        self.seen.add(method)

    def call(self, method, before, after, **params):
        result = self.daemon.rpc(method, **params)
        self.check(method, before, after, **params)
        return result


def has(**members):
    return lambda o: {k: o.get(k) for k in members} == members


def edits(path, value):
    """A change of the configuration of that path to (from) that value."""
    return lambda o: any(k.endswith(path) and v == value
                         for k, v in o.items())


def test_every_change():
    """Each method of a role above viewer: who, what, before, after."""
    lab = BgpLab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.add_bridge("br1")
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[r"\|WARN\|"], config={
        "export": {"mode": "plan"}, "store": {"retention": {"raw": "15d"}},
        "alert": {"rule": [rule("flood", clear="1h")]},
        "bgp": {"local-as": 65000, "router-id": OURS,
                "listen": [OURS + ":179"], "neighbor": [
                    {"address": "10.0.0.2", "remote-as": 65001,
                     "passive": True}]}})
    log = Log(daemon)
    call = log.call
    wait_until(lambda: any(s["bridge"] == "br0"
                           for s in daemon.export_status()), what="br0")

    # The configuration, and what ends in it.
    raw = "store/retention/raw"
    call("config.edit", edits(raw, "15d"), edits(raw, "9d"), config={
        "venturi:venturi": {"store": {"retention": {"raw": "9d"}}}})
    now = daemon.rpc("config.history")["current"]
    call("config.rollback", edits(raw, "9d"), edits(raw, "15d"),
         revision=now - 1)
    mine = {"name": "mine", "match": {"bridges": ["br0"]},
            "sflow": {"sampling": 64}}

    def mentions(text):
        return lambda o: text in json.dumps(o)

    call("export.policy.set", lambda o: not mentions('"mine"')(o),
         mentions("mine"), policy=mine)
    call("export.policy.delete", mentions("mine"),
         lambda o: not mentions('"mine"')(o), name="mine")
    call("export.bridge.add", lambda o: True, mentions("br0"), bridge="br0",
         protocol="netflow")
    call("export.bridge.remove", mentions("br0"), lambda o: True,
         bridge="br0", protocol="netflow")
    new = rule("more", above="5M")
    call("alert.rule.set", lambda o: True, mentions("more"), rule=new)
    call("alert.rule.delete", mentions("more"), lambda o: True, name="more")

    # Rows of the database.
    def column(old):
        return lambda o: (mentions("br0/")(o)
                          and any(v is not None if old is None else v == old
                                  for remote in o.values()
                                  for part in remote.values()
                                  for v in part.values()))
    call("export.apply", mentions("br0/"), column(None), bridge="br0")
    wait_until(lambda: all(s["state"] not in ("pending", "off")
                           for s in daemon.export_status()
                           if (s["protocol"], s["bridge"]) == (
                               "sflow", "br0")), what="rows")
    call("export.remove", mentions('"br0/sflow": "in'), has(removed=1),
         bridge="br0")
    # A row of a venturid whose state was lost.
    lost = "11111111-2222-3333-4444-555555555555"
    ovs.vsctl("--", "--id=@s", "create", "sFlow", 'targets="192.0.2.1:6343"',
              "external_ids:venturi-owner=" + lost, "--", "set", "Bridge",
              "br1", "sflow=@s")
    wait_until(lambda: any("export adopt " + lost in (row["reason"] or "")
                           for row in daemon.export_status()),
               what="the row of another")
    call("export.adopt", edits("export/adopt", None), mentions(lost), owner=lost)

    # Profiles.
    call("profile.add", None, has(name="p"), name="p")
    call("channel.add", None, has(name="c", filter="proto tcp"), profile="p",
         name="c", filter="proto tcp")
    call("channel.edit", has(filter="proto tcp", order=1),
         has(filter="proto udp", order=7), profile="p", name="c",
         filter="proto udp", order=7)
    call("channel.delete", has(filter="proto udp"), None, profile="p",
         name="c")
    call("profile.delete", has(name="p"), None, name="p")

    # Endpoints.
    web = {"id": "1", "name": "web", "addresses": ["10.1.0.1"]}
    call("endpoint.upsert", has(**{"1": None}),
         lambda o: o["1"]["name"] == "web", source="nova", endpoints=[web])
    call("endpoint.upsert", lambda o: o["1"]["name"] == "web",
         lambda o: o["1"]["name"] == "db", source="nova",
         endpoints=[dict(web, name="db")])
    call("endpoint.delete", lambda o: o["1"]["name"] == "db",
         has(**{"1": None}), source="nova", ids=["1"])

    # Tokens.
    call("token.create", None, has(name="t", role="viewer"), name="t",
         role="viewer")
    call("token.revoke", has(name="t", role="viewer"), None, token="t")

    # BGP and routes from files.
    peer = Peer(lab)
    peer.establish()
    await_state(daemon, "10.0.0.2")
    call("bgp.refresh", has(state="Established"), has(state="Established"),
         address="10.0.0.2")
    call("bgp.reset", has(state="Established"),
         lambda o: o["state"] != "Established", address="10.0.0.2")
    path = os.path.join(lab.dir, "rv.mrt")
    for before, replaced in ((None, False),
                             (has(name="rv", routes=1), True)):
        with open(path, "wb") as f:
            f.write(table({"203.0.113.0": [(0, 15169)]}))
        send_file(daemon, "route.import", path, name="rv")
        log.check("route.import", before, has(name="rv", replaced=replaced),
                  name="rv")
    call("route.forget", has(name="rv", routes=1), None, name="rv")

    # Alerts.
    sender = Sender(lab)
    sender.flow((10, 0, 0, 5), 100000, 5)
    alert, = wait_until(lambda: active(daemon), what="an alert")
    call("alert.acknowledge", lambda o: not mentions("seen it")(o),
         mentions("seen it"), alert=alert["id"], comment="seen it")
    call("alert.mute", lambda o: o == [],
         lambda o: o[0]["subject"] == "10.0.0.5", subject="10.0.0.5",
         duration="1h")

    # Flows out to files, and in.
    wait_until(lambda: daemon.flows(by=["dst_addr"]), what="flows")
    call("flow.export", None, lambda o: o["rows"] >= 1 and o["files"],
         format="csv", **{"from": "-1h"})
    path = nfcapd_file(lab)
    send_file(daemon, "flow.import", path)
    log.check("flow.import", None, lambda o: o["stored"] > 0)

    # No method was left out.
    changing = {m["name"] for m in daemon.rpc("rpc.discover")["methods"]
                if m["x-role"] not in ("viewer", "anybody")} - ASK_ONLY
    equal(sorted(changing - log.seen), [], "methods that were not tried")
    daemon.stop()


def nfcapd_file(lab):
    nfcapd.need()
    return nfcapd.generated(lab, "netflow9", "--count", 50)


def test_refused_and_failed():
    """What was above a role, and what went wrong, is there; whom nobody knows
    is called nobody; no token and no parameter of another's is shown."""
    lab = BgpLab()
    daemon = Daemon(lab)
    secret = daemon.rpc("token.create", name="low", role="viewer")["token"]
    low = Client(daemon.api)
    low.call("session.login", token=secret)
    try:
        low.call("config.edit", config={})
        raise Failure("a viewer edits")
    except RpcError as error:
        equal(error.code, -32008)
    try:
        daemon.rpc("token.revoke", token="none-such")
    except RpcError as error:
        equal(error.code, -32004)
    newest = daemon.rpc("audit.list", limit=3)["entries"]
    equal([(e["method"], e["outcome"], e["who"]) for e in newest[:2]],
          [("token.revoke", "failed", "user root"),
           ("config.edit", "refused", "token low")])
    text = ""
    for name in ("audit.log", "audit.log.refused"):
        with open(os.path.join(daemon.state_dir, "meta", name),
                  encoding="utf-8") as f:
            text += f.read()
    with open(daemon.log, encoding="utf-8") as f:
        text += f.read()
    if secret in text:
        raise Failure("the token itself is in a log")
    said = run(os.path.join(BUILDDIR, "venturictl"), "--api",
               "unix:" + daemon.api, "audit", "--limit", "3")
    if "config.edit" not in said:
        raise Failure(said)
    daemon.stop()


def test_floods_hide_nothing():
    """Whoever asks for what he may not, as often as he likes, or tells of
    endpoints all the time, pushes no change out of the log."""
    lab = BgpLab()
    daemon = Daemon(lab, config={"collector": {
        name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}})
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "log": {"level": ["info"]}}})
    low = Client(daemon.api)
    low.call("session.login", token=daemon.rpc(
        "token.create", name="low", role="viewer")["token"])
    teller = Client(daemon.api)
    long_text = "x" * 60000
    call = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "config.edit",
                       "params": {"config": {"a": long_text}}}).encode()
    tell = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "endpoint.upsert",
                       "params": {"source": "t", "endpoints": [
                           {"id": "vm-%d" % i, "labels": {"a": "b" * 200},
                            "addresses": ["10.0.0.%d" % i]}
                           for i in range(200)]}}).encode()
    for text, client, files in ((call, low, 5), (tell, teller, 1)):
        for _ in range(files * (16 << 20) // 50000 // 20 + 2):
            client.socket.sendall(20 * (text + b"\n"))
            for _ in range(20):
                reply = client.receive()
                if (text is tell) != ("result" in reply):
                    raise Failure("%s" % reply)
    meta = os.path.join(daemon.state_dir, "meta")
    for kind in ("refused.4", "endpoints.1"):
        if not os.path.exists(os.path.join(meta, "audit.log." + kind)):
            raise Failure("no flood: %s" % os.listdir(meta))
    size = sum(os.path.getsize(os.path.join(meta, name))
               for name in os.listdir(meta) if name.startswith("audit"))
    if size > 11 * (16 << 20):
        raise Failure("%d bytes are kept" % size)
    with open(os.path.join(meta, "audit.log"), encoding="utf-8") as f:
        methods = [json.loads(line)["method"] for line in f]
    equal(methods, ["config.edit", "token.create"], "what was changed")
    equal(daemon.rpc("audit.list", limit=1)["entries"][0]["method"],
          "endpoint.upsert", "the newest of all")
    daemon.stop()


if __name__ == "__main__":
    main()
