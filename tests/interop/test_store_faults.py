#!/usr/bin/env python3
"""What can happen to files: the file system turns read-only while flows come in,
or was at the start; bits of a segment are flipped.  What can be read is
answered, what cannot is told."""
# exclusive

import errno
import glob
import os
import subprocess
import time

from generator import generate
from test_clock import Clock
from harness import (Daemon, Failure, Lab, Skip, equal, main, on_cleanup,
                     run, wait_until)

RATE = 20000


def store_check(daemon):
    return next(c for c in daemon.rpc("system.health")["checks"]
                if c["name"] == "store")


def counters(daemon, name):
    return sum(e["counters"][name]
               for e in daemon.rpc("exporter.list")["exporters"])


def total(daemon, metric="flows", **more):
    rows = daemon.flows(metrics=[metric], **more)
    return rows[0][metric] or 0 if rows else 0


def send(lab, count):
    return generate("netflow5", "--count", count, "--rate", RATE, "--top", 0,
                    netns=lab.name)["records"]


def mount_disk(lab, directory):
    """A file system of its own, on a device of its own; its name."""
    image = os.path.join(lab.dir, "disk")
    with open(image, "wb") as f:
        f.truncate(128 << 20)
    run("mkfs.ext4", "-q", image)
    result = subprocess.run(
        ["mount", "-o", "loop,errors=remount-ro", image, directory],
        capture_output=True, text=True, check=False)
    if result.returncode:
        raise Skip("no loop device: " + result.stderr.strip())
    on_cleanup(run, "umount", "-l", directory)
    device = next(line.split()[0] for line in open(
        "/proc/mounts", encoding="ascii") if line.split()[1] == directory)
    trigger = "/sys/fs/ext4/%s/trigger_fs_error" % os.path.basename(device)
    if not os.path.exists(trigger):
        raise Skip("the kernel has no trigger_fs_error")
    return trigger


def is_read_only(directory):
    """Kernels differ in whether they say so before somebody writes."""
    path = os.path.join(directory, "probe")
    try:
        with open(path, "wb"):
            os.unlink(path)
    except OSError as e:
        return e.errno == errno.EROFS
    return False


def test_read_only():
    lab = Lab()
    daemon = Daemon(lab, start=False, expect=[".*"])
    trigger = mount_disk(lab, daemon.state_dir)
    os.chmod(daemon.state_dir, 0o777)
    daemon.start()
    sent = send(lab, 5000)
    wait_until(lambda: total(daemon) == sent, what="the first flows")

    # The kernel finds an error in the file system, as it says.
    with open(trigger, "w", encoding="ascii") as f:
        f.write("a test")
    wait_until(lambda: is_read_only(daemon.state_dir), what="read-only")
    before = counters(daemon, "flow_records")
    more = send(lab, 5000)
    wait_until(lambda: store_check(daemon)["status"] != "ok", 30,
               what="health to say so")
    reason = store_check(daemon)["reason"]
    print("health: " + reason)
    if "ead-only" not in reason:
        raise Failure("no word of a read-only file system: " + reason)
    wait_until(lambda: counters(daemon, "flow_records") == before + more,
               what="receiving to go on")
    equal(total(daemon), sent, "flows of before")
    daemon.stop(check=False)

    # And at the start: what was written is answered, and that nothing can be
    # added is told.
    daemon.start()
    equal(total(daemon), sent, "flows of before, at the start")
    send(lab, 100)
    wait_until(lambda: store_check(daemon)["status"] != "ok", 30,
               what="health at the start")
    reason = store_check(daemon)["reason"]
    print("health at the start: " + reason)
    if "ead-only" not in reason:
        raise Failure("no word of a read-only file system: " + reason)
    daemon.stop(check=False)


def flip(path, at):
    with open(path, "r+b") as f:
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))


def test_flipped_bits():
    lab = Lab()
    daemon = Daemon(lab, expect=[".*"])
    sent = send(lab, 300000)
    wait_until(lambda: total(daemon) == sent, 60, what="flows")
    answer = {m: total(daemon, m) for m in ("bytes", "packets")}
    daemon.stop()
    path = max(glob.glob(os.path.join(daemon.state_dir, "flows", "*.flows")),
               key=os.path.getsize)
    size = os.path.getsize(path)
    for percent in range(50, 98, 6):    # Of the second half of its blocks.
        flip(path, size * percent // 100)
    daemon.start()
    # Whatever column it is in: each is asked for.
    names = [c["name"] for c in daemon.rpc("flow.columns")["columns"]
             if c.get("group_by", True)]
    least = sent
    for name in names:
        try:
            least = min(least, total(daemon, by=[name], limit=1)
                        and sum(r["flows"] for r in daemon.flows(
                            by=[name], metrics=["flows"], limit=100000)))
        except Exception as e:          # Not a key.
            print("%s: %s" % (name, e))
    for m, value in answer.items():
        print("%s: %d of %d" % (m, total(daemon, m), value))
    print("the least that a column answers: %d of %d" % (least, sent))
    if not sent / 3 < least < sent:
        raise Failure("a column answers %d of %d" % (least, sent))
    print("health: %s" % store_check(daemon))
    if "damage" not in store_check(daemon)["reason"]:
        raise Failure("no word of damage: " + store_check(daemon)["reason"])
    # It goes on writing.
    added = send(lab, 1000)
    start = time.time() - 5
    wait_until(lambda: total(daemon, **{"from": start - 60}) >= added,
               what="new flows")
    daemon.stop(check=False)


def test_flipped_bits_of_sums():
    """In each block of the sums by minute and hour, in turn: answers are what
    flows say, and a note tells why."""
    clock = Clock()
    daemon = clock.daemon
    daemon.announce(".*")
    clock.set(-7200)
    daemon.start()
    clock.send(60000)
    daemon.stop()
    clock.set(0)
    daemon.start()
    now = int(time.time())

    def ask(tier, by):
        answer = daemon.rpc("flow.query", by=by, metrics=["bytes", "flows"],
                            limit=10000, tier=tier, observations="all",
                            order=by[0],
                            **{"from": now // 3600 * 3600 - 3 * 3600})
        return answer["rows"], answer["stats"]
    wait_until(lambda: "1" in ask("auto", ["proto"])[1]["tier"],
               what="sums")
    daemon.stop()
    flipped = noted = 0
    for path in glob.glob(os.path.join(daemon.state_dir, "flows", "rollups",
                                       "*.duckdb")):
        with open(path, "rb") as f:
            whole = f.read()
        for at in range(3 * 4096 + 1000, len(whole), 262144):
            flip(path, at)
            daemon.start()
            for by in (["proto"], ["in_if"], ["exporter"]):
                rows, stats = ask("auto", by)
                equal(rows, ask("raw", by)[0], "%s, byte %d: by %s" % (
                    os.path.basename(path), at, by[0]))
                noted += "are damaged" in stats.get("note", "")
            daemon.stop(check=False)
            flipped += 1
            with open(path, "wb") as f:     # As it was.
                f.write(whole)
    print("%d bits, %d notes" % (flipped, noted))
    if not noted:
        raise Failure("no block was damaged that is read")


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
