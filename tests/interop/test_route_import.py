#!/usr/bin/env python3
"""MRT files in the place of sessions: routes equal to what bgpdump shows, by
peer; again, damaged, removed; the API answers meanwhile."""

import bz2
import gzip
import ipaddress
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import time

from harness import (BUILDDIR, Client, Daemon, Failure, Lab, SRCDIR, Skip,
                     equal, main, wait_until)

CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))
QUIET = {"collector": {"netflow": {"listen": ["none"]},
                       "ipfix": {"listen": ["none"]},
                       "sflow": {"listen": ["none"]}}}


def ctl(daemon, *args, status=0):
    done = subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", "unix:" + daemon.api,
         *args], capture_output=True, text=True, timeout=120, check=False)
    equal(done.returncode, status, "%s: %s%s" % (args, done.stdout,
                                                 done.stderr))
    return done.stdout + done.stderr


def record(kind, subtype, body):
    return struct.pack(">IHHI", 1790000000, kind, subtype, len(body)) + body


def attributes(origin):
    path = struct.pack(">BBII", 2, 2, 64500, origin)
    return (bytes((0x40, 1, 1, 0, 0x40, 2, len(path))) + path
            + bytes((0x40, 3, 4)) + socket.inet_aton("192.0.2.1"))


def table(routes, peers=(("192.0.2.1", 64500), ("192.0.2.2", 64501))):
    """A TABLE_DUMP_V2; routes: prefix (of 24 bits) to a list of (peer,
    origin)."""
    index = (socket.inet_aton("10.0.0.1") + struct.pack(">HH", 0, len(peers)))
    for address, asn in peers:
        index += (b"\2" + socket.inet_aton(address) * 2
                  + struct.pack(">I", asn))
    data = [record(13, 1, index)]
    for number, (prefix, entries) in enumerate(routes.items()):
        body = struct.pack(">IB", number, 24) + socket.inet_aton(prefix)[:3]
        body += struct.pack(">H", len(entries))
        for peer, origin in entries:
            a = attributes(origin)
            body += struct.pack(">HIH", peer, 1789999999, len(a)) + a
        data.append(record(13, 2, body))
    return b"".join(data)


def write(lab, name, data):
    path = os.path.join(lab.dir, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def routes(daemon, **kwargs):
    """(prefix, peer, path, path id) of all."""
    found, cursor = [], {}
    while cursor is not None:
        page = daemon.rpc("route.table", limit=1000, **kwargs, **cursor)
        found += [(r["prefix"], r["peer"], r["as_path"], r.get("path_id", 0))
                  for r in page["routes"]]
        cursor = {"cursor": page["cursor"]} if page["cursor"] else None
    return sorted(found)


def test_tables():
    lab = Lab()
    daemon = Daemon(lab, config=dict(QUIET, routes={"default-view": ["rv"]}))
    first = {"203.0.113.0": [(0, 15169), (1, 15169)],
             "198.51.100.0": [(0, 64499)], "192.0.2.0": [(1, 64498)]}
    path = write(lab, "rv.20261123.bz2", bz2.compress(table(first)))
    said = ctl(daemon, "route", "import", path)
    equal(said, "rv: 4 routes of 2 peers\n", "route import")
    equal(routes(daemon), [
        ("192.0.2.0/24", "rv 192.0.2.2", "64500 64498", 0),
        ("198.51.100.0/24", "rv 192.0.2.1", "64500 64499", 0),
        ("203.0.113.0/24", "rv 192.0.2.1", "64500 15169", 0),
        ("203.0.113.0/24", "rv 192.0.2.2", "64500 15169", 0)], "routes")
    # Another table in its place: one route changes, one goes, a peer goes.
    second = {"203.0.113.0": [(0, 15169)], "198.51.100.0": [(0, 64000)]}
    data = gzip.compress(table(second, (("192.0.2.1", 64500),)))
    path = write(lab, "later.gz", data[:len(data) // 2])
    said = ctl(daemon, "route", "import", path, "--name", "rv", status=1)
    if "ends too early" not in said and "nothing was imported" not in said:
        raise Failure(said)
    equal(len(routes(daemon)), 4, "routes after a damaged file")
    path = write(lab, "later.gz", data)
    # More time than usual, for a large file on a slow machine.
    said = ctl(daemon, "--timeout", "30m", "route", "import", path, "--name",
               "rv")
    equal(said, "rv: 2 routes of 1 peers, in the place of those from "
          "before\n", "again")
    equal(routes(daemon), [
        ("198.51.100.0/24", "rv 192.0.2.1", "64500 64000", 0),
        ("203.0.113.0/24", "rv 192.0.2.1", "64500 15169", 0)],
          "routes of the second")
    changes = daemon.rpc("route.history", kinds=["announce", "change",
                                                 "withdraw", "expire"])
    equal([(c["kind"], c["prefix"], c["changed"]) for c in
           changes["changes"]],
          [("change", "198.51.100.0/24", ["as_path", "origin_as"])],
          "the difference")
    # Others beside it; what is no file of that kind.
    path = write(lab, "other.mrt", table(first))
    ctl(daemon, "route", "import", path)
    equal(len(routes(daemon)), 6, "routes of both")
    equal([i["name"] for i in daemon.rpc("route.imports")["imports"]],
          ["rv", "other"], "imports")
    for data, word in ((b"", "is no MRT file"), (b"hello, world" * 9,
                                                 "is no MRT file"),
                       (os.urandom(5000), "is no MRT file"),
                       (table(first)[:-3], "ends inside a record")):
        said = ctl(daemon, "route", "import", write(lab, "bad", data),
                   status=1)
        if word not in said:
            raise Failure("%r: %s" % (word, said))
    said = ctl(daemon, "route", "import", write(
        lab, "bad", table(first)[:-3]), "--damaged")
    equal(said, "bad: 3 routes of 2 peers; the file ends inside a record\n",
          "a damaged file")
    ctl(daemon, "route", "import", path, "--name", "a b", status=1)
    ctl(daemon, "route", "import", "/nowhere", status=1)
    said = ctl(daemon, "route", "imports")
    if "bad 192.0.2.1" not in said:
        raise Failure(said)
    for name in ("bad", "other"):
        ctl(daemon, "route", "forget", name)
    ctl(daemon, "route", "forget", "other", status=1)
    wait_until(lambda: len(routes(daemon)) == 2, 30, "only rv's routes")
    ctl(daemon, "route", "forget", "rv")
    wait_until(lambda: not routes(daemon), 30, "no route")
    daemon.stop()


def test_pieces():
    """A slice of time that ends with the last record of a piece: it goes on."""
    lab = Lab()
    daemon = Daemon(lab, config=QUIET)
    n = 268
    peers = [("192.0.%d.%d" % (2 + k // 250, 1 + k % 250), 64500 + k)
             for k in range(n)]
    # Sixteen records fill a piece (more than 128 KiB), and no fewer.
    path = write(lab, "pieces.mrt", table(
        {"10.0.%d.0" % i: [(k, 1 + i * n + k) for k in range(n)]
         for i in range(160)}, peers))
    said = ctl(daemon, "route", "import", path)
    equal(said, "pieces: %d routes of %d peers\n" % (160 * n, n),
          "route import")
    daemon.stop()


def public(name):
    path = os.path.join(CORPORA, "public", name)
    if not os.path.exists(path):
        raise Skip("no corpora here")
    return path


def canonical(prefix):
    return str(ipaddress.ip_network(prefix, strict=False))


def test_like_bgpdump():
    program = shutil.which("bgpdump")
    if not program:
        raise Skip("needs the program bgpdump")
    lab = Lab()
    daemon = Daemon(lab, config=QUIET)
    compared = 0
    for name in ("t2mune+mrtparse/samples/quagga_rib",
                 "t2mune+mrtparse/samples/bird-mrtdump_rib",
                 "t2mune+mrtparse/samples/bird6-mrtdump_rib"):
        path = public(name)
        ctl(daemon, "route", "import", path, "--name", "x")
        shown = subprocess.run([program, "-m", path], capture_output=True,
                               text=True, check=True).stdout
        expected = set()
        for line in shown.splitlines():
            fields = line.split("|")
            # With a path identifier before the path.
            at = 7 if fields[0].endswith("_AP") else 6
            expected.add((canonical(fields[5]), "x " + fields[3],
                          fields[at]))
        got = {(canonical(prefix), peer, as_path)
               for prefix, peer, as_path, _path_id in routes(daemon)}
        equal(got, expected, name)
        compared += len(got)
    if compared < 15:
        raise Failure("%d routes compared" % compared)
    # A table of the first kind, of 115521 routes.
    name = [e["path"] for e in json.load(open(public("manifest.json"),
                                              encoding="utf-8"))["files"]
            if "mrt:12/1" in e.get("features", [])][0]
    slowest, over = [0.0], threading.Event()

    def ask():
        client = Client(daemon.api)
        while not over.is_set():
            begin = time.monotonic()
            client.call("system.info")
            slowest[0] = max(slowest[0], time.monotonic() - begin)
        client.close()
    asker = threading.Thread(target=ask)
    asker.start()
    try:
        ctl(daemon, "route", "import", public(name), "--name", "x")
    finally:
        over.set()
        asker.join()
    print("  slowest answer meanwhile: %.1f ms" % (slowest[0] * 1000))
    shown = subprocess.run([program, "-m", public(name)],
                           capture_output=True, text=True, check=True).stdout
    lines = {}
    for line in shown.splitlines():
        fields = line.split("|")
        lines[(canonical(fields[5]), "x " + fields[3])] = fields[6]
    total = daemon.rpc("route.imports")["imports"][0]["routes"]
    equal(total, len(lines), "routes of the large table")
    for prefix, peer in list(lines)[::997]:
        found = [r["as_path"] for r in daemon.rpc(
            "route.lookup", address=prefix, match="exact")["routes"]
                 if r["peer"] == peer]
        equal([p.replace("{", "").replace("}", "") for p in found],
              [lines[(prefix, peer)].replace("{", "").replace("}", "")],
              prefix)
    daemon.stop()


def bgp4mp(subtype, body, peer="192.0.2.1"):
    return record(16, subtype, struct.pack(">IIHH", 64500, 64999, 0, 1)
                  + socket.inet_aton(peer) + socket.inet_aton("192.0.2.9")
                  + body)


def test_flaps():
    """A file whose peer comes and goes all the time waits until what it left
    is cleared up: the main loop never walks all tables at once."""
    lab = Lab()
    daemon = Daemon(lab, config=QUIET)
    many = {"%d.%d.%d.0" % (20 + (i >> 16), i >> 8 & 255, i & 255):
            [(0, 64496)] for i in range(100000)}
    ctl(daemon, "route", "import", write(lab, "many", table(many)))
    equal(daemon.rpc("route.table", limit=1)["total"], 100000, "routes")
    a = attributes(15169)
    update = (struct.pack(">HH", 0, len(a)) + a + b"\x18"
              + socket.inet_aton("203.0.113.0")[:3])
    update = b"\xff" * 16 + struct.pack(">HB", 19 + len(update), 2) + update
    flap = bgp4mp(4, update) + bgp4mp(5, struct.pack(">HH", 6, 1))
    ctl(daemon, "route", "import",
        write(lab, "flaps", flap * 3000 + bgp4mp(4, update)))
    equal(daemon.rpc("route.table", limit=1)["total"], 100001,
          "routes, the last announcement alone")
    got = daemon.rpc("route.table", limit=1)["counters"]
    equal(got["long_sweeps"], 0, "tables walked at once")
    if got["swept"] < 20:
        raise Failure("swept: %s" % got)
    daemon.stop()


if __name__ == "__main__":
    main()
