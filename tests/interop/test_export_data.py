#!/usr/bin/env python3
"""Flows into files: Parquet, CSV, NDJSON have what the store has, to the last
byte; names and large numbers survive; in the daemon's directory by hour, into a
file of the client's, by schedule; cancelled."""
# timeout: 300

import csv
import io
import json
import os
import socket
import struct
import subprocess

import ipfix
import parquet
from generator import generate
from harness import (BUILDDIR, Client, Daemon, Failure, Lab, RpcError, equal,
                     main, scratch_dir, wait_until)
from ipfix import BYTES, DST, PACKETS, SRC, udp

VENTURICTL = os.path.join(BUILDDIR, "venturictl")
NAME = "a \"quoted\", name\nof two lines; \u00fcml\u00e4ut \u4e2d"
LARGE = (1 << 63) + 12345


def venturictl(daemon, *args, status=0, text=True):
    result = subprocess.run([VENTURICTL, "--api", daemon.api, *args],
                            capture_output=True, timeout=120)
    if result.returncode != status:
        raise Failure("venturictl %s: exit status %d: %s" % (
            " ".join(args), result.returncode, result.stderr.decode()))
    return result.stdout.decode() if text else result.stdout


def totals(daemon, **kwargs):
    row = daemon.flows(metrics=["flows", "packets", "bytes"],
                       observations="all", **{"from": "2000-01-01",
                                              "to": "+1d", **kwargs})[0]
    return row["flows"], row["packets"] or 0, row["bytes"] or 0


def sums(rows):
    return (len(rows), sum(int(r["packets"]) for r in rows),
            sum(int(r["bytes"]) for r in rows))


def start(lab, count=5000, **config):
    daemon = Daemon(lab, config=config)
    generate("netflow9", "--count", count, "--rate", 20000, netns=lab.name)
    wait_until(lambda: totals(daemon)[0] == count,
               what=lambda: "flows: %d" % totals(daemon)[0])
    return daemon


def test_formats():
    lab = Lab()
    daemon = start(lab)
    want = totals(daemon)
    columns = [c["name"] for c in daemon.rpc("flow.columns")["columns"]
               if c["name"] != "flows"]
    path = os.path.join(scratch_dir(), "flows.parquet")
    venturictl(daemon, "export-data", "-o", path)
    rows, names, groups = parquet.footer(path)
    equal((rows, sum(groups)), (want[0], want[0]), "rows of Parquet")
    equal(sorted(names), sorted(columns), "columns of Parquet")
    text = venturictl(daemon, "export-data", "--format", "csv", "-o", "-")
    rows = list(csv.DictReader(io.StringIO(text)))
    equal(sums(rows), want, "CSV")
    equal(sorted(rows[0]), sorted(columns), "columns of CSV")
    text = venturictl(daemon, "export-data", "--format", "ndjson", "-o", "-")
    equal(sums([json.loads(line) for line in text.splitlines()]), want,
          "NDJSON")
    text = venturictl(daemon, "export-data", "--format", "ndjson", "-o", "-",
                      "proto", "udp")
    equal(len(text.splitlines()), totals(daemon, filter="proto udp")[0],
          "filtered")
    # The name tells the format.
    other = os.path.join(scratch_dir(), "flows.csv")
    venturictl(daemon, "export-data", "-o", other)
    with open(other, encoding="utf-8") as f:
        equal(sums(list(csv.DictReader(f))), want, "flows.csv")
    # What goes wrong leaves nothing behind.
    venturictl(daemon, "export-data", "-o", path + "2", "prot udp", status=1)
    equal(os.listdir(os.path.dirname(path)), ["flows.parquet"], "files")
    equal(os.listdir(os.path.join(daemon.state_dir, "flows", "tmp")), [],
          "scratch")
    daemon.stop()


def test_directory():
    """Of each hour a file; a second export replaces it; nobody says where."""
    lab = Lab()
    daemon = start(lab)
    result = daemon.rpc("flow.export", **{"from": "-2h"})
    equal(result["rows"], totals(daemon)[0], "rows")
    n = 0
    for entry in result["files"]:
        path = os.path.join(result["directory"], entry["path"])
        equal(parquet.footer(path)[0], entry["rows"], entry["path"])
        equal(os.path.getsize(path), entry["bytes"], entry["path"])
        n += entry["rows"]
    equal(n, result["rows"], "rows of all files")
    again = daemon.rpc("flow.export", **{"from": "-2h", "partition": "day"})
    equal(again["rows"], result["rows"], "by day")
    if "hour" in again["files"][0]["path"]:
        raise Failure("by hour: %s" % again["files"])
    for name in ("dir", "directory", "path", "file"):
        try:
            daemon.rpc("flow.export", **{name: "/etc"})
            raise Failure("%s was taken" % name)
        except RpcError as error:
            equal(error.code, -32602, name)
    table = venturictl(daemon, "export-data")
    if "flows.parquet" not in table:
        raise Failure(table)
    equal(daemon.rpc("flow.export", **{"from": "2000-01-01",
                                       "to": "2000-01-02"})["rows"], 0,
          "where there is nothing")
    daemon.stop()


def test_names_and_numbers():
    """What CSV must quote, and numbers that a double cannot hold, in every
    way out."""
    lab = Lab()
    daemon = Daemon(lab)
    name = NAME.encode()
    fields = (SRC, DST, BYTES, PACKETS, (371, 65535))
    record = (struct.pack("!4s4sQQB", b"\x0a\0\0\x01", b"\x0a\0\0\x02", LARGE,
                          1, len(name)) + name)
    udp(lab.name).sendto(ipfix.message(ipfix.template(fields=fields),
                                       ipfix.data(record)),
                         ("127.0.0.1", 4739))
    wait_until(lambda: totals(daemon)[0] == 1, what="the flow")

    def check(row, what):
        equal(row["user_name"], NAME, what + ": name")
        equal(int(row["bytes"]), LARGE, what + ": number")
    args = ("--by", "user_name", "--metrics", "bytes")
    for command in (("flows", *args), ("records", "--fields",
                                       "user_name,bytes")):
        row = json.loads(venturictl(daemon, *command, "--ndjson"))
        check(row, command[0] + " --ndjson")
        o = json.loads(venturictl(daemon, *command, "--json"))
        row = dict(zip((c["name"] for c in o["columns"]), o["rows"][0]))
        check(row, command[0] + " --json")
        text = venturictl(daemon, *command, "--csv", text=False).decode()
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        equal(len(rows), 1, "rows of CSV")
        check(rows[0], command[0] + " --csv")
    o = daemon.rpc("flow.series", by=["user_name"], metrics=["bytes"])
    equal((o["series"][0]["key"], sum(o["total"]["bytes"])),
          ([NAME], LARGE), "series")
    text = venturictl(daemon, "series", "--by", "user_name", "--metrics",
                      "bytes", "--csv", text=False).decode()
    rows = [r for r in csv.DictReader(io.StringIO(text, newline=""))
            if r["series"] == NAME]
    equal(sum(int(r["bytes"]) for r in rows), LARGE, "series --csv")
    for form, read in (("csv", lambda t: list(csv.DictReader(
            io.StringIO(t, newline=""))))  , ("ndjson", lambda t: [
            json.loads(line) for line in t.splitlines()])):
        text = venturictl(daemon, "export-data", "-o", "-", "--format", form,
                          text=False).decode()
        check(read(text)[0], "export-data " + form)
    daemon.stop()


def test_schedule():
    """The hour before, at the start already; once."""
    lab = Lab()
    daemon = Daemon(lab)
    generate("netflow9", "--count", 1000, "--rate", 20000, "--start-time",
             "-1h", "--span", "1s", netns=lab.name)
    wait_until(lambda: totals(daemon)[0] == 1000, what="flows")
    daemon.stop()
    daemon.write_config({"store": {"export": {
        "schedule": "hourly", "format": "csv", "delay": "0s"}}})
    daemon.start()
    exported = os.path.join(daemon.state_dir, "export")

    def files():
        return [os.path.join(d, f) for d, _, names in os.walk(exported)
                for f in names if f == "flows.csv"]
    wait_until(lambda: files() and os.path.exists(
        os.path.join(exported, ".exported")) or None, timeout=60,
        what="the file of the hour before")
    rows = []
    for path in files():
        with open(path, encoding="utf-8", newline="") as f:
            rows += list(csv.DictReader(f))
    if len(rows) < 1 or len(rows) > 1000:
        raise Failure("%d rows" % len(rows))
    daemon.stop()


def test_cancel():
    lab = Lab()
    daemon = start(lab, 50000)
    client = Client(daemon.api)
    path = os.path.join(scratch_dir(), "flows.ndjson")
    with open(path, "w+b") as f:
        socket.send_fds(client.socket, [json.dumps({
            "jsonrpc": "2.0", "id": 1, "method": "flow.export",
            "params": {"format": "ndjson"}}).encode()], [f.fileno()])
    client.send_text('{"jsonrpc":"2.0","id":2,"method":"flow.export"}')
    client.send_text('{"jsonrpc":"2.0","id":3,"method":"rpc.cancel",'
                     '"params":{"id":1}}')
    answers = {}
    while len(answers) < 3:
        answer = client.receive()
        answers[answer["id"]] = answer
    if "error" in answers[1]:
        equal(answers[1]["error"]["code"], -32003, "cancelled")
        equal(answers[2]["error"]["code"], -32001, "a second one")
        equal(answers[3]["result"]["cancelled"], True, "rpc.cancel")
    else:
        print("too quick to be cancelled")
    wait_until(lambda: os.listdir(os.path.join(
        daemon.state_dir, "flows", "tmp")) == [], what="the scratch to be "
        "empty")
    client.close()
    daemon.stop()


if __name__ == "__main__":
    main()
