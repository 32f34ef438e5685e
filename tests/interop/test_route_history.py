#!/usr/bin/env python3
"""route.history with a real BIRD: what changed when traffic moved; over a
restart and kill -9; a full table that costs next to nothing; ten thousand
changes; bad questions."""

import os
import signal
import struct
import subprocess

import bgp_peer as bgp
from bgp_peer import BgpLab
from harness import (BUILDDIR, Daemon, Failure, Lab, equal, fill_disk, main,
                     on_cleanup, run, wait_until)
from test_routes import CONFIG, Bird, path_is

ROUTES = ["announce", "change", "withdraw", "expire"]


def history(daemon, **kwargs):
    return daemon.rpc("route.history", **kwargs)["changes"]


def ctl(daemon, *args):
    return subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", "unix:" + daemon.api,
         *args], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_what_changed_when_traffic_moved():
    lab = Lab()
    daemon = Daemon(lab, config=CONFIG)
    bird = Bird(lab, 64501)
    wait_until(lambda: path_is(daemon, "64500 64501 15169"), 30, "the route")
    # Of a first table there is no more than a number.
    wait_until(lambda: [c for c in history(daemon) if c["kind"] == "table"],
               30, "the end of the first table")
    changes = history(daemon, prefix="203.0.113.0/24")
    equal([c["kind"] for c in changes], ["start", "peer-up", "table"],
          "before anything changed")
    equal((changes[2]["routes"], changes[2]["peer"], changes[2]["family"]),
          (2, "border", "ipv4-unicast"), "its table")

    bird.change(64777)
    wait_until(lambda: path_is(daemon, "64500 64777 15169"), 30,
               "the new path")
    changes = history(daemon, prefix="203.0.113.7", kinds=ROUTES)
    equal(len(changes), 1, "changes")
    moved = changes[0]
    equal((moved["kind"], moved["prefix"], moved["peer"], moved["best"],
           moved["changed"]),
          ("change", "203.0.113.0/24", "border", True, ["as_path"]),
          "what moved")
    equal((moved["before"]["as_path"], moved["after"]["as_path"]),
          ("64500 64501 15169", "64500 64777 15169"), "paths")
    equal(moved["before"]["communities"], ["65000:100"], "communities")
    equal(moved["before"]["large_communities"], ["65000:1:2"], "large ones")
    shown = ctl(daemon, "route", "history", "203.0.113.0/24", "--last", "1d",
                "--kinds", "change")
    if "as_path 64500 64501 15169 -> 64500 64777 15169" not in shown:
        raise Failure("venturictl route history:\n" + shown)

    # Killed, it knows it still; the session's end is what is missing.
    before = history(daemon, kinds=ROUTES)
    daemon.stop(signal.SIGKILL, check=False)
    daemon.start()
    equal(history(daemon, kinds=ROUTES), before, "after kill -9")
    wait_until(lambda: path_is(daemon, "64500 64777 15169"), 60,
               "the route after kill -9")
    # A prefix that is withdrawn, and one inside of it that appears.
    text = open(bird.conf, encoding="ascii").read()
    with open(bird.conf, "w", encoding="ascii") as f:
        f.write(text.replace(
            "route 198.51.100.0/25 blackhole;",
            "route 203.0.113.64/26 blackhole;"))
    lab.run("/usr/sbin/birdc", "-s", bird.ctl, "configure")
    wait_until(lambda: len(history(daemon, kinds=["withdraw"])) == 1
               and len(history(daemon, prefix="203.0.113.0/24", match="more",
                               kinds=["announce"])) == 1, 30,
               lambda: "both: %s" % history(daemon))
    gone = history(daemon, kinds=["withdraw"])[0]
    equal((gone["prefix"], gone["before"]["as_path"], gone["after"]),
          ("198.51.100.0/25", "64500", None), "what was withdrawn")
    equal([c["prefix"] for c in history(
        daemon, prefix="203.0.113.70", kinds=ROUTES, match="longest")],
          ["203.0.113.64/26"], "by longest match")
    equal([c["prefix"] for c in history(
        daemon, prefix="203.0.113.70", kinds=ROUTES)],
          ["203.0.113.0/24", "203.0.113.64/26"], "all that cover it")
    equal(history(daemon, prefix="203.0.113.0/24", peer="nobody",
                  kinds=ROUTES), [], "of nobody")
    equal(len(history(daemon, prefix="203.0.113.0/24", peer="127.0.0.2",
                      kinds=ROUTES)), 1, "of its peer, by address")
    equal(history(daemon, to="-1h", **{"from": "-2h"}), [],
          "before all that")

    bird.process.stop()
    wait_until(lambda: [c for c in history(daemon, prefix="203.0.113.0/24")
                        if c["kind"] == "peer-down"], 30, "the session's end")
    down = history(daemon, prefix="203.0.113.0/24")[-1]
    # The session went with its routes: why, if the peer has no route now.
    equal((down["kind"], down["peer"], down["routes"]),
          ("peer-down", "border", 2), "the last word")
    for params, member in (({"prefix": "10.0.0.0/33"}, "prefix"),
                           ({"match": "exact"}, "match"),
                           ({"kinds": ["gone"]}, "kinds"),
                           ({"cursor": "x"}, "cursor"),
                           ({"from": "now", "to": "-1h"}, "from"),
                           ({"limit": 1001}, "limit")):
        try:
            history(daemon, **params)
        except Failure as error:
            if member not in str(error):
                raise
        else:
            raise Failure("taken: %s" % params)
    daemon.stop()


def nets(first, count):
    return b"".join(struct.pack(">B", 24) + struct.pack(
        ">I", (10 << 24) + (i << 8))[:3] for i in range(first, first + count))


def attributes(origin):
    return bgp.ORIGIN + bgp.attribute(
        0x40, 2, struct.pack(">BBII", 2, 2, 65001, origin)) + bgp.NEXT_HOP


def feed(peer, count, origin=65002):
    for first in range(0, count, 500):
        peer.send(bgp.update(attributes(origin), nets(first, 500)))


def on_disk(daemon):
    directory = os.path.join(daemon.state_dir, "routes")
    return sum(os.path.getsize(os.path.join(directory, name))
               for name in os.listdir(directory))


def test_a_table_and_many_changes():
    lab = BgpLab()
    daemon = bgp.daemon(lab, [{"address": "10.0.0.2", "remote-as": 65001,
                               "passive": True}])
    peer = bgp.Peer(lab)
    peer.establish()
    feed(peer, 60000)
    peer.send(bgp.message(bgp.UPDATE, b"\0\0\0\0"))     # End-of-RIB.
    bgp.routes(daemon, "10.0.0.2", 60000)
    table = [c for c in history(daemon) if c["kind"] == "table"]
    equal([c["routes"] for c in table], [60000], "the table")
    if on_disk(daemon) > 4096:
        raise Failure("a first table takes %d octets" % on_disk(daemon))
    # Told again the same: nothing.
    feed(peer, 10000)
    feed(peer, 10000, 65003)
    wait_until(lambda: history(daemon, prefix="10.39.15.0/24",
                               kinds=["change"]), 30, "the last change")
    found, cursor, pages = 0, {}, 0
    while cursor is not None:
        page = daemon.rpc("route.history", kinds=["change"], limit=1000,
                          **cursor)
        found += len(page["changes"])
        pages += 1
        cursor = {"cursor": page["cursor"]} if page["cursor"] else None
    equal((found, pages), (10000, 10), "changes, pages")
    if on_disk(daemon) > 400000:
        raise Failure("10000 changes take %d octets" % on_disk(daemon))
    # Gone at once: one record, not one for each.
    peer.close()
    wait_until(lambda: [c for c in history(daemon)
                        if c["kind"] == "peer-down"], 30, "the end")
    equal(history(daemon, kinds=["withdraw"]), [], "withdrawals")
    # Off means off.
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "routes": {"history": {"enabled": False}}}})
    peer = bgp.Peer(lab)
    peer.establish()
    feed(peer, 500)
    bgp.routes(daemon, "10.0.0.2", 500)
    equal(history(daemon)[-1]["kind"], "peer-down", "the last record")
    daemon.stop()


def test_disk_full():
    """What cannot be written is counted, and a record says so once there is
    room again; routes and sessions do not mind."""
    lab = BgpLab()
    daemon = bgp.daemon(lab, [{"address": "10.0.0.2", "remote-as": 65001,
                               "passive": True}], start=False, expect=[".*"])
    run("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", daemon.state_dir)
    on_cleanup(run, "umount", "-l", daemon.state_dir)
    daemon.start()
    peer = bgp.Peer(lab)
    peer.establish()
    feed(peer, 5000)
    peer.send(bgp.message(bgp.UPDATE, b"\0\0\0\0"))
    bgp.routes(daemon, "10.0.0.2", 5000)
    feed(peer, 500, 65003)
    wait_until(lambda: len(history(daemon, kinds=["change"], limit=1000))
               == 500, 30, "the first changes")
    equal([c["status"] for c in daemon.rpc("system.health")["checks"]
           if c["name"] == "route-history"], ["ok"], "health")
    ballast = fill_disk(daemon.state_dir)

    def lost():
        return daemon.rpc("system.info")["counters"]["route_history"][
            "lost"]
    # Other paths each time, until there is no room for more.
    asn = 65100
    while not lost():
        feed(peer, 5000, asn)
        asn += 1
        if asn > 65200:
            raise Failure("half a million changes, and the disk is not full")
        wait_until(lambda: bgp.neighbor(daemon, "10.0.0.2")["counters"]
                   ["announced"] >= 5500 + (asn - 65100) * 5000, 30,
                   "the changes")
    equal(bgp.neighbor(daemon, "10.0.0.2")["state"], "Established", "session")

    def health():
        return [c for c in daemon.rpc("system.health")["checks"]
                if c["name"] == "route-history"][0]
    equal(health()["status"], "degraded", "health")
    equal(health()["reason"].endswith(": it cannot be written"), True,
          health())
    route = daemon.rpc("route.lookup", address="10.0.0.1")["routes"]
    equal(len(route), 1, "a route")
    history(daemon)             # Questions are answered, too.
    os.unlink(ballast)
    feed(peer, 500, 65201)

    def told():
        return [c for c in history(daemon, kinds=["lost"])]
    wait_until(told, 30, "a record of what was lost")
    wait_until(lambda: sum(c["routes"] for c in told()) == lost(), 30,
               lambda: "lost %d; told %s" % (lost(), told()))
    wait_until(lambda: len(history(daemon, kinds=["change"], limit=1000,
                                   **{"from": told()[-1]["time"]})) == 500, 30,
               "changes after that")
    daemon.stop()


def events(daemon, **kwargs):
    return daemon.rpc("event.list", **kwargs)["events"]


def kinds(daemon):
    return [e["kind"] for e in events(daemon)]


def test_events_of_sessions_and_routes():
    lab = Lab()
    config = dict(CONFIG, routes={"watch": ["203.0.113.0/24"]})
    config["bgp"] = dict(CONFIG["bgp"], neighbor=[
        dict(CONFIG["bgp"]["neighbor"][0], **{"max-prefixes": 2})])
    daemon = Daemon(lab, config=config)
    bird = Bird(lab, 64501)
    wait_until(lambda: "bgp.up" in kinds(daemon), 30, "bgp.up")
    wait_until(lambda: [c for c in history(daemon) if c["kind"] == "table"],
               30, "the first table")
    # Two of at most two routes.
    wait_until(lambda: "bgp.warning" in kinds(daemon), 30, "bgp.warning")
    bird.change(64777)
    wait_until(lambda: "route.changed" in kinds(daemon), 30,
               lambda: "route.changed: %s" % events(daemon))
    changed = [e for e in events(daemon) if e["kind"] == "route.changed"]
    equal(len(changed), 1, "changes; a first table is none")
    equal((changed[0]["subject"], changed[0]["detail"]["change"],
           changed[0]["detail"]["peer"], changed[0]["detail"]["before"],
           changed[0]["detail"]["after"]),
          ("203.0.113.0/24", "changed", "border",
           "64500 64501 15169 via 127.0.0.2",
           "64500 64777 15169 via 127.0.0.2"), "what changed")
    bird.process.stop()
    wait_until(lambda: "bgp.down" in kinds(daemon), 30, "bgp.down")
    down = [e for e in events(daemon) if e["kind"] == "bgp.down"][-1]
    equal((down["subject"], down["detail"]["name"], down["detail"]["as"]),
          ("127.0.0.2", "border", 64500), "whose session")
    if not down["detail"]["reason"]:
        raise Failure("no reason: %s" % down)
    daemon.stop()


if __name__ == "__main__":
    main()
