#!/usr/bin/env python3
"""Alerts: a spike is told within two seconds, with who is behind it, to
subscribers, a webhook, a program and syslog; mutes, acknowledgements, restarts;
rules and receivers that are wrong or hang."""

import http.server
import json
import os
import signal
import socket
import stat
import struct
import threading
import time

from harness import BUILDDIR, Client, Daemon, Failure, Lab, RpcError, equal, \
    main, on_cleanup, run, wait_until
from ipfix import BYTES, DST, DST_PORT, PACKETS, PROTO, SRC, SRC_PORT, \
    data, make_in, message, template, udp

START, END = (152, 8), (153, 8)
FIELDS = (SRC, DST, BYTES, PACKETS, SRC_PORT, DST_PORT, PROTO, START, END)
CTL = os.path.join(BUILDDIR, "venturictl")


class Sender:
    def __init__(self, lab):
        self.socket = udp(lab.name)
        self.flow((10, 0, 0, 1), 100)

    def flow(self, dst, octets, n=1, src=(192, 0, 2, 1)):
        now = int(time.time() * 1000)
        record = struct.pack("!4s4sQQHHBQQ", bytes(src), bytes(dst), octets,
                             1, 53, 4000, 17, now, now)
        for _ in range(n):
            self.socket.sendto(message(template(fields=FIELDS),
                                       data(record)), ("127.0.0.1", 4739))


def rule(name, **more):
    return dict({"name": name, "by": ["dst_addr"], "above": "1M",
                 "clear": "2s"}, **more)


def config(*rules, **more):
    return {"alert": dict({"rule": list(rules)}, **more)}


def active(daemon):
    return daemon.rpc("alert.list")["alerts"]


def events(daemon, kind):
    return daemon.rpc("event.list", kinds=[kind])["events"]


def test_a_spike_and_what_is_behind_it():
    lab = Lab()
    daemon = Daemon(lab, config=config(rule("flood")))
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        {"id": "1", "name": "web-1", "addresses": ["10.0.0.5"],
         "tenant": "blue", "host": "node-7", "valid_from": "-1h"}])
    client = Client(daemon.api)
    client.call("event.subscribe", kinds=["alert.*"])
    sender = Sender(lab)
    sender.flow((10, 0, 0, 9), 1000, 5)
    begin = time.monotonic()
    sender.flow((10, 0, 0, 5), 100000, 5)       # 4 Mbit.
    event, = client.receive()["params"]["result"]["events"]
    took = time.monotonic() - begin
    assert took < 2.5, "told after %.2f s" % took
    equal((event["kind"], event["severity"], event["subject"]),
          ("alert.raised", "warning", "flood 10.0.0.5"), "what it is")
    context = event["detail"]["context"]
    equal(context["key"], {"dst_addr": "10.0.0.5"}, "the key")
    equal([context["who"][k] for k in ("address", "endpoint", "tenant",
                                       "host")],
          ["10.0.0.5", "web-1", "blue", "node-7"], "who")
    assert "since" in context["who"], context
    equal(context["where"]["exporter"], "127.0.0.1", "where")
    top = context["top"][0]
    equal((top["src_addr"], top["src_port"], top["dst_addr"], top["share"]),
          ("192.0.2.1", 53, "10.0.0.5", 1.0), "what makes it up")
    assert "web-1, tenant blue" in event["message"], event
    # The links work as they are.
    wait_until(lambda: daemon.rpc("flow.query", **context["query"])["rows"],
               what="flows of the query")
    command = context["command"].replace(
        "venturictl", CTL + " --api unix:" + daemon.api, 1)
    assert "192.0.2.1" in run("sh", "-c", command), command
    alert, = active(daemon)
    equal((alert["state"], alert["id"]), ("raised",
                                          event["detail"]["alert"]), "listed")
    event, = client.receive()["params"]["result"]["events"]
    equal(event["kind"], "alert.cleared", "and it is over")
    equal(active(daemon), [], "nothing is raised")
    equal(len(daemon.rpc("alert.list", state="all")["alerts"]), 1, "but was")
    daemon.stop()


class Hook:
    """Receives what a webhook posts."""

    def __init__(self, lab, status=200):
        self.got = []
        self.status = status
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.got.append((dict(self.headers), json.loads(body)))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args):
                pass

        self.server = make_in(lab.name, lambda: http.server.HTTPServer(
            ("127.0.0.1", 0), Handler))
        self.port = self.server.server_address[1]
        thread = threading.Thread(target=self.server.serve_forever,
                                  daemon=True)
        thread.start()
        on_cleanup(self.server.shutdown)

    def url(self):
        return "http://127.0.0.1:%d/hook" % self.port


def program(daemon_dir, text):
    path = os.path.join(daemon_dir, "receive")
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def open_dir(lab, name):
    """A directory that others may write to, outside of closed ones."""
    path = os.path.join("/tmp", lab.name + "-" + name)
    os.mkdir(path)
    os.chmod(path, 0o777 | stat.S_ISVTX)
    on_cleanup(run, "rm", "-rf", path)
    return path


def test_deliveries():
    lab = Lab()
    here = open_dir(lab, "exec")
    hook = Hook(lab)
    log = make_in(lab.name, lambda: socket.socket(socket.AF_INET,
                                                  socket.SOCK_DGRAM))
    log.bind(("127.0.0.1", 0))
    log.settimeout(20)
    out = os.path.join(here, "out")
    path = program(here, "cat > %s.tmp; id -u > %s.id; grep Cap "
                   "/proc/self/status > %s.cap; mv %s.tmp %s\n"
                   % (out, out, out, out, out))
    daemon = Daemon(lab, config=config(
        rule("flood", severity="error"),
        delivery=[
            {"name": "hook", "type": "webhook", "url": hook.url(),
             "header": ["Authorization: Bearer secret"]},
            {"name": "run", "type": "exec", "command": [path]},
            {"name": "log", "type": "syslog",
             "server": "127.0.0.1:%d" % log.getsockname()[1]},
            {"name": "never", "type": "webhook", "url": hook.url() + "2",
             "severity": "critical"}]))
    Sender(lab).flow((10, 0, 0, 5), 200000, 5)
    wait_until(lambda: hook.got, what="the webhook")
    headers, alert = hook.got[0]
    equal((headers["Content-Type"], headers["Authorization"],
           alert["rule"], alert["subject"], alert["state"]),
          ("application/json", "Bearer secret", "flood", "10.0.0.5",
           "raised"), "what was posted")
    line = log.recv(4096).decode()
    assert line.startswith("<27>1 ") and "flood: 10.0.0.5" in line, line
    wait_until(lambda: os.path.exists(out), what="the program")
    with open(out, encoding="utf-8") as f:
        equal(json.load(f)["subject"], "10.0.0.5", "on standard input")
    with open(out + ".id", encoding="utf-8") as f:
        assert f.read().strip() != "0", "not as root"
    with open(out + ".cap", encoding="utf-8") as f:
        for text in f:
            if not text.startswith("CapBnd"):
                equal(int(text.split()[1], 16), 0, text)
    wait_until(lambda: len(hook.got) >= 2, what="that it is over")
    equal(hook.got[1][1]["state"], "cleared", "the second")
    daemon.stop()


def test_receivers_that_fail():
    lab = Lab()
    here = open_dir(lab, "hang")
    hook = Hook(lab, status=500)
    silent = make_in(lab.name, lambda: socket.create_server(("127.0.0.1", 0)))
    path = program(here, "echo $$ > %s/pid; sleep 1000 & sleep 1000\n" % here)
    daemon = Daemon(lab, config=config(
        rule("flood"),
        delivery=[
            {"name": "refuses", "type": "webhook", "url": hook.url(),
             "retries": 1},
            {"name": "silent", "type": "webhook", "timeout": "1s",
             "retries": 0, "url": "http://127.0.0.1:%d/"
             % silent.getsockname()[1]},
            {"name": "hangs", "type": "exec", "command": [path],
             "timeout": "1s", "retries": 0},
            {"name": "missing", "type": "exec", "retries": 0,
             "command": ["/nonexistent/program"]},
            {"name": "nobody", "type": "syslog", "retries": 0,
             "server": "/nonexistent/log"}]))
    Sender(lab).flow((10, 0, 0, 5), 200000, 5)
    wait_until(lambda: {e["subject"] for e in events(daemon,
                                                     "alert.delivery")}
               == {"refuses", "silent", "hangs", "missing", "nobody"},
               what="all of them failed", timeout=30)
    reasons = {e["subject"]: e["detail"]["reason"]
               for e in events(daemon, "alert.delivery")}
    assert "500" in reasons["refuses"], reasons
    assert "longer than its timeout" in reasons["hangs"], reasons
    assert "cannot be run" in reasons["missing"], reasons
    equal(len(hook.got) >= 2, True, "tried again")
    with open(os.path.join(here, "pid"), encoding="utf-8") as f:
        pid = f.read().strip()
    wait_until(lambda: not os.path.exists("/proc/" + pid),
               what="the program's end")
    failed = {d["name"]: d["failed"]
              for d in daemon.rpc("alert.list")["deliveries"]}
    assert all(failed.values()), failed
    daemon.stop()


def test_mute_acknowledge_restart():
    lab = Lab()
    hook = Hook(lab)
    daemon = Daemon(lab, config=config(
        rule("flood", clear="600s"),
        delivery=[{"name": "hook", "type": "webhook", "url": hook.url()}]))
    daemon.rpc("alert.mute", rule="flood", subject="10.0.1.*",
               duration="1h", comment="maintenance")
    sender = Sender(lab)
    sender.flow((10, 0, 1, 7), 200000, 5)
    sender.flow((10, 0, 0, 5), 200000, 5)
    wait_until(lambda: len(active(daemon)) == 2, what="both are listed")
    wait_until(lambda: hook.got, what="one is delivered")
    equal({a["subject"]: a["muted"] for a in active(daemon)},
          {"10.0.0.5": False, "10.0.1.7": True}, "one is muted")
    ident = next(a["id"] for a in active(daemon)
                 if a["subject"] == "10.0.0.5")
    reply = daemon.rpc("alert.acknowledge", alert=ident, comment="I know")
    equal(reply["comment"], "I know", "acknowledged")
    for sig in (signal.SIGTERM, signal.SIGKILL):
        if sig == signal.SIGKILL:       # What was learned is on disk.
            path = os.path.join(daemon.state_dir, "alerts", "learned")
            before = os.stat(path).st_mtime_ns
            daemon.rpc("alert.acknowledge", alert=ident, comment="I know")
            assert before, path
        daemon.stop(sig, check=sig == signal.SIGTERM)
        daemon.start()
        kept = {a["subject"]: a for a in active(daemon)}
        equal(sorted(kept), ["10.0.0.5", "10.0.1.7"], "raised still")
        equal((kept["10.0.0.5"]["comment"], kept["10.0.0.5"]["id"]),
              ("I know", ident), "and known")
        mute, = daemon.rpc("alert.list")["mutes"]
        equal((mute["subject"], mute["comment"]),
              ("10.0.1.*", "maintenance"), "and muted")
    Sender(lab).flow((10, 0, 0, 5), 200000, 5)
    # Something else is told after it: then it was not told again.
    Sender(lab).flow((10, 0, 0, 6), 200000, 5)
    wait_until(lambda: len(active(daemon)) == 3, what="another alert")
    wait_until(lambda: len(hook.got) >= 2, what="its delivery")
    equal([a["subject"] for _, a in hook.got], ["10.0.0.5", "10.0.0.6"],
          "each once")
    equal(daemon.rpc("alert.mute", rule="flood", subject="10.0.1.*",
                     duration="0s")["mutes"], [], "no mute any more")
    daemon.stop()


def test_rules():
    lab = Lab()
    daemon = Daemon(lab)

    def ctl(*args):
        return run(CTL, "--api", "unix:" + daemon.api, *args)
    names = [r["name"] for r in daemon.rpc("alert.rule.list")["rules"]]
    assert "traffic-spike" in names and "exporter-silent" in names, names
    ctl("alert", "rule", "set", "dns", "--filter", "proto udp and src port "
        "53", "--by", "dst_addr", "--metric", "pps", "--above", "3",
        "--severity", "error")
    assert "above 3 pps" in ctl("alert", "rule", "list")
    assert "No alerts." in ctl("alert", "list")
    Sender(lab).flow((10, 0, 0, 5), 100, 20)
    wait_until(lambda: active(daemon), what="an alert of the new rule")
    ident = active(daemon)[0]["id"]
    assert "10.0.0.5" in ctl("alert", "list")
    raised = active(daemon)[0]["raised"]
    assert raised[:19] + "Z " in ctl("alert", "list"), raised
    assert raised + "," in ctl("--csv", "alert", "list"), raised
    assert "venturictl flows" in ctl("alert", "show", str(ident))
    assert "known" in ctl("alert", "acknowledge", str(ident), "--comment",
                          "a test")
    assert "10.0.0.*" in ctl("alert", "mute", "1h", "--subject", "10.0.0.*")
    ctl("alert", "rule", "delete", "dns")
    equal(active(daemon), [], "with its rule")
    # What keeps a rule from being written is not the rule.
    os.rename(daemon.config_file, daemon.config_file + ".away")
    os.mkdir(daemon.config_file)
    try:
        daemon.rpc("alert.rule.set", rule={"name": "x", "type": "threshold",
                                           "metric": "pps", "above": 1})
    except RpcError as e:
        assert daemon.config_file in str(e), e
    else:
        raise AssertionError("a rule was written to a directory")
    os.rmdir(daemon.config_file)
    os.rename(daemon.config_file + ".away", daemon.config_file)
    # A built-in one can be another, or off; without it, it is back.
    daemon.rpc("alert.rule.set", rule={"name": "traffic-spike",
                                       "enabled": False})
    equal([r["enabled"] for r in daemon.rpc("alert.rule.list")["rules"]
           if r["name"] == "traffic-spike"], [False], "off")
    daemon.rpc("alert.rule.delete", name="traffic-spike")
    equal([r["enabled"] for r in daemon.rpc("alert.rule.list")["rules"]
           if r["name"] == "traffic-spike"], [True], "on again")
    for bad, member in ((rule("x", filter="proto udp and"), "filter"),
                        (rule("x", by=["bytes"]), "by"),
                        (rule("x", by=["no_such"]), "by"),
                        (rule("x", by=["src_addr", "dst_addr", "next_hop",
                                       "exporter"]), "by"),
                        (rule("x", by=["proto"] * 5), ""),
                        (rule("x", above="much"), "above"),
                        (rule("x", above="0"), "above"),
                        ({"name": "x"}, "above"),
                        ({"name": "x", "type": "baseline"}, "minimum"),
                        ({"name": "x", "type": "baseline", "minimum": "1M",
                          "ratio": "1"}, "ratio"),
                        ({"name": "x", "type": "new"}, "by"),
                        (rule("x", keys=1000000000), "keys"),
                        (rule("x", hold="10w"), "hold"),
                        (rule("x", deliver=["nobody"]), "deliver"),
                        (rule("x" * 100), ""), (rule("a b"), ""),
                        ({}, "name"), (rule("x", what="?"), "")):
        try:
            daemon.rpc("alert.rule.set", rule=bad)
        except RpcError as e:
            equal(e.code, -32602, str(bad))
            assert member in str(e.data), (bad, e.data)
        else:
            raise Failure("%s was taken" % bad)
    for method, params in (("alert.rule.delete", {"name": "nothing"}),
                           ("alert.rule.delete", {"name": "packet-flood"}),
                           ("alert.acknowledge", {"alert": 999}),
                           ("alert.mute", {"duration": "1h"}),
                           ("alert.mute", {"rule": "x", "duration": "9999d"})):
        try:
            daemon.rpc(method, **params)
        except RpcError:
            pass
        else:
            raise Failure("%s was taken" % params)
    for i in range(255):
        daemon.rpc("alert.mute", rule="r%d" % i, duration="1h")
    try:
        daemon.rpc("alert.mute", rule="one-more", duration="1h")
    except RpcError as e:
        equal(e.code, -32001, "too many")
    daemon.stop()


def saved(daemon):
    for name, text in (("alerts/alerts.json", "exporter-silent"),
                       ("events/exporters", "127.0.0.1")):
        path = os.path.join(daemon.state_dir, name)
        yield os.path.exists(path) and text in open(
            path, encoding="utf-8").read()


def test_silence():
    lab = Lab()
    daemon = Daemon(lab, config={"event": {"exporter-silence": "10s"}})
    sender = Sender(lab)
    wait_until(lambda: [a["rule"] for a in active(daemon)]
               == ["exporter-silent"], timeout=30, what="silence")
    wait_until(lambda: all(saved(daemon)), what="all of it is on disk")
    daemon.stop(signal.SIGKILL, check=False)
    daemon.start()
    equal([a["rule"] for a in active(daemon)], ["exporter-silent"],
          "over a restart")
    sender.flow((10, 0, 0, 1), 100)
    wait_until(lambda: not active(daemon), what="that it returned")
    daemon.stop()


if __name__ == "__main__":
    main()
