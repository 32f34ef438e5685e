#!/usr/bin/env python3
"""Files that the real nfcapd and sfcapd have written, imported: totals and
every field as nfdump says; once only; damage, old flows, a file cut short, an
import that is cancelled or killed."""
# timeout: 600

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time

import nfcapd
from harness import (BUILDDIR, Client, Daemon, Failure, Lab, RpcError,
                     SRCDIR, Skip, equal, main, run, scratch_dir,
                     wait_until)

VENTURICTL = os.path.join(BUILDDIR, "venturictl")
CORPORA = os.environ.get("VENTURI_CORPORA",
                         os.path.join(SRCDIR, "..", "shared", "corpora"))


def venturictl(daemon, *args, status=0):
    result = subprocess.run([VENTURICTL, "--api", daemon.api, *args],
                            capture_output=True, text=True, timeout=120)
    if result.returncode != status:
        raise Failure("venturictl %s: exit status %d: %s%s" % (
            " ".join(args), result.returncode, result.stdout, result.stderr))
    return result.stdout


def imported(daemon, *args, status=0):
    """The reports of an import."""
    return json.loads(venturictl(daemon, "import", "--json", *args,
                                 status=status))["files"]


def stored(daemon):
    """Flows, packets and bytes in the store."""
    rows = daemon.flows(metrics=["flows", "packets", "bytes"],
                        **{"from": "2000-01-01", "to": "+1d"})
    return (rows[0]["flows"], rows[0]["packets"] or 0, rows[0]["bytes"] or 0)


def compare(lab, path, without=()):
    """Every field of a file in a fresh store is what nfdump says."""
    daemon = Daemon(lab)
    want = nfcapd.totals(path)
    report, = imported(daemon, path)
    equal(tuple(report["file_totals"][k]
                for k in ("flows", "packets", "bytes")), want,
          "totals in the file")
    equal(report["damage"], [], "damage")
    n = report["counters"]
    equal((n["records"], n["packets"], n["bytes"]), want, "what was read")
    equal(stored(daemon), (n["rows"], *want[1:]), "totals of " + path)
    theirs = nfcapd.theirs(path)
    if nfcapd.zeros_printed(theirs):
        without = (*without, "src_addr", "dst_addr")
    theirs = nfcapd.multiset(theirs, without)
    ours = nfcapd.multiset(nfcapd.ours(daemon), without)
    if theirs != ours:
        raise Failure("%s: %d records differ, such as\n%s\n%s" % (
            path, sum((theirs - ours).values()),
            list(theirs - ours)[:1], list(ours - theirs)[:1]))
    daemon.stop()
    return report


def test_fields():
    """venturi-gen's flows in each compression."""
    nfcapd.need()
    lab = Lab()
    for protocol, options, args, compression in (
            ("netflow5", (), ("--sampling", 100), "none"),
            ("netflow9", ("-y",), ("--exporters", 2, "--domains", 2), "lz4"),
            ("ipfix", ("-z",), (), "lzo"),
            ("netflow9", ("-j",), ("--sampling", 64), "bz2")):
        path = nfcapd.generated(lab, protocol, "--count", 3000, *args,
                                options=options)
        report = compare(lab, path)
        equal(report["compression"], compression, "compression")


def test_sflow():
    """sfcapd calls the destination of the frame out_dst_mac."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "sflow", "--count", 500)
    compare(lab, path, without=("dst_mac", "post_dst_mac"))


def test_corpora():
    """Exporters that nobody here wrote: firewalls, MPLS, NAT, biflows."""
    nfcapd.need()
    manifest = os.path.join(CORPORA, "public", "manifest.json")
    if not os.path.exists(manifest):
        raise Skip("no corpora here")
    with open(manifest, encoding="utf-8") as f:
        content = json.load(f)
    kinds = {f["path"]: f["kind"] for f in content["files"]}
    lab = Lab()
    n = 0
    for case in content["cases"]:
        if (case["protocol"] not in ("netflow5", "netflow9", "ipfix")
                or case["transport"] != "udp" or n >= 40):
            continue
        data = []
        for name in case["files"]:
            path = os.path.join(CORPORA, "public", name)
            if kinds.get(name) == "pcap":
                data += nfcapd.payloads(path)
            else:
                with open(path, "rb") as f:
                    data.append(f.read())
        data = [d for d in data if 0 < len(d) < 65000][:500]
        path = nfcapd.collect(lab, lambda d=data: nfcapd.send_payloads(lab, d),
                              ("-y", "-z", "-j")[n % 3])
        if nfcapd.totals(path)[0]:
            # Recorded years ago and sent today: times are corrected, and
            # that is in test_fields.
            compare(lab, path, without=("flow_start", "flow_end"))
            n += 1
    if not n:
        raise Failure("no case was compared")
    print("%d cases" % n)


def set_of(number, body):
    """A set of NetFlow v9."""
    body += bytes(-len(body) % 4)
    return struct.pack("!HH", number, 4 + len(body)) + body


def message(domain, *sets):
    return struct.pack("!HHIIII", 9, len(sets), 1000000, int(time.time()), 0,
                       domain) + b"".join(sets)


def test_interface_names():
    """Names that an exporter tells in options, after its first flows."""
    nfcapd.need()
    lab = Lab()
    fields = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (2, 4), (1, 4),
              (10, 4), (14, 4), (22, 4), (21, 4))
    flow_template = set_of(0, struct.pack("!HH", 256, len(fields)) + b"".join(
        struct.pack("!HH", *f) for f in fields))
    name_template = set_of(1, struct.pack("!9H", 257, 4, 8, 1, 4, 10, 4, 83,
                                          32))
    names = set_of(257, b"".join(
        struct.pack("!II32s", 1, number, name) for number, name in (
            (9, b"uplink"), (3, "gr\u00f6\u00dfe 0/3".encode()),
            (7, b"x" * 32))))

    def flow(in_if, out_if):
        return set_of(256, struct.pack(
            "!4s4sHHBIIIIII", b"\x0a\0\0\x01", b"\x0a\0\0\x02", 1234, 80, 6,
            5, 500, in_if, out_if, 999000, 999500))
    first = message(7, flow_template, flow(3, 9), flow(9, 3), flow(7, 5))
    other = message(8, flow_template, flow(3, 9))
    last = message(7, name_template, names, flow(9, 9))
    for data, told in (((first, last), True), ((first, other, last), False)):
        path = nfcapd.collect(lab, lambda d=data: nfcapd.send_payloads(lab,
                                                                       d))
        theirs = [tuple(line.split(";")) for line in run(
            "nfdump", "-q", "-r", path, "-o",
            "fmt:%in;%inam;%out;%onam").splitlines()]
        theirs = sorted((int(a), b.strip(), int(c), d.strip())
                        for a, b, c, d in theirs)
        daemon = Daemon(lab)
        imported(daemon, path)
        ours = sorted(
            (r["in_if"], r["in_if_name"], r["out_if"], r["out_if_name"])
            for r in daemon.flows(
                by=["in_if", "in_if_name", "out_if", "out_if_name"],
                metrics=["flows"], **{"from": "2000-01-01", "to": "+1d"}))
        equal({row[::2] for row in ours}, {row[::2] for row in theirs},
              "interfaces")
        if told:
            # nfdump gives names to the flows after them.
            equal(ours[-1], theirs[-1], "nfdump's names")
            equal([row[1::2] for row in ours], [
                ("größe 0/3", "uplink"), ("x" * 31, None),
                ("uplink", "größe 0/3"), ("uplink", "uplink")], "names")
        else:
            equal({n for row in ours for n in row[1::2]}, {None},
                  "names that are nobody's")
        daemon.stop()


def test_once():
    """The same flows again, by whatever name and compression; a directory."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "netflow9", "--count", 2000,
                            options=("-y",))
    daemon = Daemon(lab)
    want = nfcapd.totals(path)
    directory = scratch_dir()
    os.makedirs(os.path.join(directory, "2026", "11"))
    for name in ("2026/11/nfcapd.202611230700", "nfcapd.202611230705"):
        shutil.copy(path, os.path.join(directory, name))
    subprocess.run(["nfdump", "-r", os.path.join(
        directory, "nfcapd.202611230705"), "-J", "2"], check=True,
        stdout=subprocess.DEVNULL)
    check, other = imported(daemon, "--check", directory)
    equal((check["status"], check["stored"], other["compression"]),
          ("checked", 0, "bz2"), "check")
    first, second = imported(daemon, directory, status=1)
    equal((first["status"], first["stored"]), ("stored", want[0]), "first")
    equal((second["status"], second["allow"]), ("known", "again"), "second")
    equal(stored(daemon), want, "the store")
    table = venturictl(daemon, "import", path, status=1)
    if "--again" not in table or "known" not in table:
        raise Failure("the table does not say why: " + table)
    daemon.stop()
    # The journal is for good.
    daemon.start()
    equal(imported(daemon, path, status=1)[0]["status"], "known", "restart")
    imported(daemon, "--again", path)
    equal(stored(daemon), tuple(2 * v for v in want), "twice")
    daemon.stop()


def damage(path, at, data):
    copy = os.path.join(scratch_dir(), "nfcapd.202611230800")
    shutil.copy(path, copy)
    with open(copy, "r+b") as f:
        f.seek(at)
        f.write(data)
    return copy


def test_bad_files():
    """Refused as a whole, with the place; what is readable on demand."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "netflow9", "--count", 60000,
                            options=("-y",))
    daemon = Daemon(lab)
    bad = damage(path, 300, b"\xff" * 64)
    report, = imported(daemon, bad, status=1)
    equal((report["status"], report["allow"]), ("damaged", "damaged"),
          "damaged")
    if "at byte 40" not in report["error"]:
        raise Failure("no place: " + report["error"])
    equal(stored(daemon)[0], 0, "flows of a refused file")
    report, = imported(daemon, "--damaged", bad)
    n = report["stored"]
    if not 0 < n < 60000:
        raise Failure("%d flows of a damaged file" % n)
    equal(stored(daemon)[0], n, "the flows that could be read")

    cut = damage(path, 0, b"")
    os.truncate(cut, os.path.getsize(path) // 2)
    report, = imported(daemon, cut, status=1)
    equal(report["status"], "damaged", "cut")

    text = os.path.join(scratch_dir(), "text")
    with open(text, "w", encoding="ascii") as f:
        f.write("nothing of the kind\n" * 10)
    report, = imported(daemon, text, status=1)
    equal(report["status"], "refused", "text")
    for name, word in (("/dev/null", "regular file"),
                       ("/nonexistent", "No such file")):
        result = subprocess.run([VENTURICTL, "--api", daemon.api, "import",
                                 name], capture_output=True, text=True)
        if not result.returncode or word not in result.stdout + result.stderr:
            raise Failure("%s: %s%s" % (name, result.stdout, result.stderr))
    old = damage(path, 2, b"\x01")
    report, = imported(daemon, old, status=1)
    if "nfdump 1.6" not in report["error"]:
        raise Failure(report["error"])
    # Without a file, and with one for a method that wants none.
    try:
        daemon.rpc("flow.import")
        raise Failure("an import without a file")
    except RpcError as error:
        equal(error.code, -32602, str(error))
    with open(path, "rb") as f:
        socket.send_fds(daemon.client.socket, [
            b'{"jsonrpc":"2.0","id":"x","method":"system.info"}\n'],
            [f.fileno()])
    equal(daemon.client.receive()["id"], "x", "answer")
    files = os.listdir("/proc/%d/fd" % daemon.process.pid)
    wait_until(lambda: not any(
        os.path.realpath("/proc/%d/fd/%s" % (daemon.process.pid, fd)) == path
        for fd in files), what="the daemon to close what nobody wanted")
    daemon.stop()


def test_expired():
    """Flows that the store would not keep are told, and not taken."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "netflow9", "--count", 500)
    daemon = Daemon(lab, config={"store": {"retention": {"raw": "1s"}}})
    time.sleep(1.2)
    report, = imported(daemon, path, status=1)
    equal((report["status"], report["allow"], report["expired"]),
          ("expired", "expired", 500), "expired")
    equal(stored(daemon)[0], 0, "flows")
    equal(imported(daemon, "--expired", path)[0]["stored"], 500, "all the same")
    daemon.stop()


def start_import(daemon, path, **params):
    """An import on a connection of its own, until it is under way."""
    client = Client(daemon.api)
    with open(path, "rb") as f:
        socket.send_fds(client.socket, [json.dumps({
            "jsonrpc": "2.0", "id": 7, "method": "flow.import",
            "params": dict(params, progress=True)}).encode() + b"\n"],
            [f.fileno()])
    while True:
        news = client.receive()
        if news.get("method") != "progress":
            raise Failure("no progress: %s" % json.dumps(news)[:500])
        equal(news["params"]["id"], 7, "id of progress")
        if not 0 <= news["params"]["part"] <= 1:
            raise Failure("progress: %s" % news)
        if news["params"]["stage"] == "store":
            return client


def test_cancel_and_kill():
    """What was cut short goes on where it ended: no flow twice, none
    missing."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "netflow9", "--count", 250000, "--flows",
                            200000)
    want = nfcapd.totals(path)
    daemon = Daemon(lab)
    client = start_import(daemon, path)
    client.send_text(json.dumps({"jsonrpc": "2.0", "id": 8, "method":
                                 "rpc.cancel", "params": {"id": 7}}))
    answers = {}
    while len(answers) < 2:
        news = client.receive()
        if "id" in news:
            answers[news["id"]] = news
    equal(answers[8]["result"]["cancelled"], True, "rpc.cancel")
    equal(answers[7]["error"]["code"], -32003, "the import")
    n = answers[7]["error"]["data"]["report"]["stored"]
    equal(stored(daemon)[0], n, "flows of a cancelled import")
    if n >= want[0]:
        print("too quick to be cancelled")
    client.close()

    # The client goes away.
    if n < want[0]:
        start_import(daemon, path).close()
        wait_until(lambda: "is running" not in subprocess.run(
            [VENTURICTL, "--api", daemon.api, "import", "/dev/null"],
            capture_output=True, text=True).stdout, what="the import to end")
    reports = imported(daemon, path, status=0)
    equal(reports[0]["stored"] + reports[0]["resumed"], want[0], "the rest")
    equal(stored(daemon), want, "all of it, once")

    # One at a time; a daemon that ends has ended the import.
    client = start_import(daemon, path, again=True)
    with open(path, "rb") as f:
        socket.send_fds(daemon.client.socket, [
            b'{"jsonrpc":"2.0","id":9,"method":"flow.import"}\n'],
            [f.fileno()])
    equal(daemon.client.receive()["error"]["code"], -32001, "a second one")
    daemon.stop()
    client.close()


HEAVY = {"from": "-1d", "tier": "raw", "totals": True,
         "by": ["src_addr", "dst_addr", "src_port", "dst_port"],
         "metrics": ["bytes", "distinct(dst_as)", "distinct(src_as)"]}


def cancelled(daemon):
    return daemon.rpc("system.info")["counters"]["rpc"]["cancelled"]


def test_progress():
    """Questions tell how far they are, and end when they are told to, by
    whatever way."""
    nfcapd.need()
    lab = Lab()
    path = nfcapd.generated(lab, "netflow9", "--count", 200000, "--flows",
                            200000)
    daemon = Daemon(lab)
    for _ in range(4):
        imported(daemon, "--again", path)
    client = Client(daemon.api)
    client.send_text(json.dumps({
        "jsonrpc": "2.0", "id": 5, "method": "flow.query",
        "params": dict(HEAVY, progress=True)}))
    parts = []
    while True:
        news = client.receive()
        if "method" not in news:
            break
        equal((news["method"], news["params"]["id"]), ("progress", 5), "news")
        parts.append(news["params"]["part"])
    elapsed = news["result"]["stats"]["elapsed_ms"]
    equal(parts, sorted(parts), "parts")
    if (not parts and elapsed > 600) or any(not 0 <= p <= 1 for p in parts):
        raise Failure("%g ms, progress %s" % (elapsed, parts))
    # Nobody is told who did not ask.
    client.send_text(json.dumps({"jsonrpc": "2.0", "id": 6, "method":
                                 "flow.query", "params": HEAVY}))
    equal(client.receive()["id"], 6, "without progress")

    client.send_text(json.dumps({"jsonrpc": "2.0", "id": 7, "method":
                                 "flow.query", "params": HEAVY}))
    client.send_text('{"jsonrpc":"2.0","id":8,"method":"rpc.cancel",'
                     '"params":{"id":7}}')
    answers = {}
    while len(answers) < 2:
        news = client.receive()
        answers[news["id"]] = news
    equal(answers[8]["result"]["cancelled"], True, "rpc.cancel")
    equal(answers[7]["error"]["code"], -32003, "the query")
    equal(client.call("rpc.cancel", id=99)["cancelled"], False, "nothing")

    # Ctrl-C.
    before = cancelled(daemon)
    process = subprocess.Popen(
        [VENTURICTL, "--api", daemon.api, "flows", "--by",
         ",".join(HEAVY["by"]), "--metrics", ",".join(HEAVY["metrics"]),
         "--last", "1d"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: process.poll() is not None or "socket:" in " ".join(
        os.readlink(os.path.join("/proc/%d/fd" % process.pid, fd))
        for fd in os.listdir("/proc/%d/fd" % process.pid)),
        what="venturictl to ask")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    if process.returncode == 130:
        wait_until(lambda: cancelled(daemon) > before,
                   what="the daemon to hear of Ctrl-C")
    else:
        print("venturictl: exit status %d" % process.returncode)

    # A daemon that does not answer.
    daemon.process.popen.send_signal(signal.SIGSTOP)
    result = subprocess.run([VENTURICTL, "--api", daemon.api, "--timeout",
                             "300ms", "info"], capture_output=True, text=True,
                            timeout=20)
    daemon.process.popen.send_signal(signal.SIGCONT)
    equal(result.returncode, 3, result.stderr)
    if "in time" not in result.stderr:
        raise Failure(result.stderr)
    client.close()
    daemon.stop()


if __name__ == "__main__":
    main()
