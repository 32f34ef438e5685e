#!/usr/bin/env python3
"""What happened: kept, listed, told to those who listen; over restarts."""

import json
import os
import signal
import subprocess

from harness import BUILDDIR, Client, Daemon, Failure, Lab, Ovs, RpcError, \
    equal, main, on_cleanup, run, wait_until
from ipfix import message, template, udp

CTL = os.path.join(BUILDDIR, "venturictl")
EXPORTER = ("127.0.0.1", 4739)


def hello(lab):
    udp(lab.name).sendto(message(template()), EXPORTER)


def events(daemon, **params):
    return daemon.rpc("event.list", **params)["events"]


def kinds(daemon, **params):
    return [e["kind"] for e in events(daemon, **params)]


def follow(daemon, *args):
    """venturictl events --follow; its lines, as they come."""
    p = subprocess.Popen([CTL, "--api", "unix:" + daemon.api, "--ndjson",
                          "events", "--follow", *args],
                         stdout=subprocess.PIPE, text=True)
    on_cleanup(p.kill)
    return p


def test_exporters_come_and_go():
    lab = Lab()
    daemon = Daemon(lab, config={"event": {"exporter-silence": "10s"}})
    client = Client(daemon.api)
    reply = client.call("event.subscribe", kinds=["exporter.*"])
    hello(lab)
    got = client.receive()
    equal(got["method"], "subscription.data", "news")
    equal(got["params"]["subscription"], reply["subscription"], "ours")
    event, = got["params"]["result"]["events"]
    equal((event["kind"], event["severity"], event["subject"],
           event["detail"]["protocol"], got["params"]["result"]["skipped"]),
          ("exporter.new", "notice", "127.0.0.1", "ipfix", 0), "who is new")
    event, = client.receive()["params"]["result"]["events"]
    equal((event["kind"], event["severity"]), ("exporter.silent", "warning"),
          "then silent")
    hello(lab)
    event, = client.receive()["params"]["result"]["events"]
    equal(event["kind"], "exporter.returned", "then back")
    daemon.stop(signal.SIGKILL, check=False)
    daemon.start()
    hello(lab)
    wait_until(lambda: daemon.rpc("exporter.list")["exporters"],
               what="an exporter")
    newest = events(daemon, limit=1)[0]["id"]
    assert newest >= 5, newest
    told = kinds(daemon)
    equal(told.count("daemon.started"), 2, "two starts")
    equal([k for k in told if k.startswith("exporter.")],
          ["exporter.returned", "exporter.silent", "exporter.new"],
          "the newest first; not new again")
    client = Client(daemon.api)
    client.call("event.subscribe", after=newest - 1)
    event, = client.receive()["params"]["result"]["events"]
    equal(event["id"], newest, "what is in memory is told again")
    daemon.stop()


def test_bridges_databases_configuration():
    lab = Lab()
    ovs = Ovs(lab)
    daemon = Daemon(lab, ovs.remote, config={
        "store": {"retention": {"raw": "2d"}}})
    wait_until(lambda: "ovsdb.connected" in kinds(daemon), what="connected")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "store": {"retention": {"raw": "3d"}}}})
    event, = events(daemon, kinds=["config.changed"])
    assert "store/retention/raw" in event["subject"], event
    assert "3d" not in json.dumps(event), "no values"
    daemon.announce("connection", "not connected")
    ovs.stop_server()
    wait_until(lambda: "ovsdb.lost" in kinds(daemon), what="lost")
    ovs.start_server()
    wait_until(lambda: kinds(daemon).count("ovsdb.connected") == 2,
               what="connected again")
    daemon.stop()
    daemon.start()
    assert "daemon.stopped" in kinds(daemon), "kept before it ended"
    daemon.stop()


def test_pages_and_bad_parameters():
    lab = Lab()
    daemon = Daemon(lab)
    for i in range(25):
        daemon.rpc("config.edit", config={"venturi:venturi": {
            "store": {"retention": {"raw": "%dd" % (i + 1)}}}})
    wait_until(lambda: kinds(daemon, limit=1000).count("config.changed")
               == 25, what="25 changes")
    ids, before = [], None
    while True:
        page = daemon.rpc("event.list", limit=7, kinds=["config.*"],
                          **({"before": before} if before else {}))
        assert len(page["events"]) <= 7, page
        ids += [e["id"] for e in page["events"]]
        before = page["next"]
        if before is None:
            break
    equal(len(ids), 25, "all, once")
    equal(ids, sorted(set(ids), reverse=True), "the newest first")
    equal(events(daemon, to="-1h"), [], "nothing an hour ago")
    equal(events(daemon, subject="*store*", limit=1)[0]["id"], max(ids),
          "by subject")
    for params, member in (({"kinds": ["exporter.nothing"]}, "kinds[0]"),
                           ({"severity": "bad"}, "severity"),
                           ({"limit": 0}, "limit"),
                           ({"limit": 1001}, "limit"),
                           ({"from": "yesterday-ish"}, "from"),
                           ({"before": -1}, "before"),
                           ({"subject": "x" * 300}, "subject")):
        try:
            daemon.rpc("event.list", **params)
        except RpcError as e:
            equal(e.data["member"], member, str(params))
        else:
            raise Failure("%s was taken" % params)
    daemon.stop()


def test_command_line():
    lab = Lab()
    daemon = Daemon(lab)

    def ctl(*args):
        return run(CTL, "--api", "unix:" + daemon.api, *args)
    wait_until(lambda: "daemon.started" in ctl("events"), what="the start")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "event": {"retention": "3d"}}})
    wait_until(lambda: "config.changed" in ctl("events"), what="a change")
    p = follow(daemon, "--kind", "exporter.*,config.*", "--count", "1")
    line = json.loads(p.stdout.readline())
    equal(line["kind"], "config.changed", "the past comes first")
    hello(lab)
    event = json.loads(p.stdout.readline())
    equal(event["kind"], "exporter.new", "followed")
    equal(p.wait(10), 0, "and ends after one")
    assert "exporter.silent" in ctl("event", "kinds")
    assert "Nothing has happened." in ctl("events", "--to", "-1d")
    assert "protocol: ipfix" in ctl("events", "--kind", "exporter.new",
                                    "--detail")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("ovs",))
