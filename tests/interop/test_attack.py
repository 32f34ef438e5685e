#!/usr/bin/env python3
"""Good exporters beside those who flood: exporters with names lose nothing, of
others no loss is silent, memory is bounded, what is refused is counted."""
# exclusive

import json
import os
import subprocess

from generator import command
from harness import (BUILDDIR, Daemon, Failure, Lab, equal, main, on_cleanup,
                     sanitized, wait_until)

FLOOD = os.path.join(BUILDDIR, "tests", "interop", "flood")
GOOD = ["127.1.0.%d" % i for i in (1, 2, 3, 4)]     # venturi-gen's addresses.
RECORDS = 4000
SECONDS = 1.5
GROWTH = 400 << 20      # Bytes: batches under way, the dictionary, templates.
# What must have been counted of a kind; the others are decoded.
REFUSED = {"garbage": "unknown_version", "empty": "too_short",
           "byte": "too_short", "long": "bad_header",
           "templates": "template_limit", "wide": "bad_template",
           "512": "template_limit", "sets": "no_template",
           "release": "no_template", "domains": "source_limit"}


def rss(daemon):
    with open("/proc/%d/statm" % daemon.process.pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def start(lab, **collector):
    return Daemon(lab, config={"collector": dict(
        {"receive-buffer": "16MiB"}, **collector)}, expect=[".*"])


def named():
    return [{"name": "good-%d" % i, "address": address}
            for i, address in enumerate(GOOD)]


def flood(lab, kind, seconds=SECONDS, count=0, sources=1, port=2055):
    """Begins to send; finish() says how many went."""
    process = subprocess.Popen(
        ["ip", "netns", "exec", lab.name, FLOOD, str(port), kind,
         str(seconds), str(count), str(sources)], stdout=subprocess.PIPE,
        text=True)
    on_cleanup(process.kill)
    return process


def finish(process):
    sent = int(process.communicate(timeout=120)[0])
    equal(process.returncode, 0, "flood")
    if not sent:
        raise Failure("nothing was sent")
    return sent


def begin_good(lab, records=RECORDS):
    """Good exporters begin to send; end_good() says what went."""
    return subprocess.Popen(
        ["ip", "netns", "exec", lab.name]
        + command("netflow9", "-p", 2055, "--rate", RECORDS, "--count",
                  records, "--top", 0, "--exporters", len(GOOD)),
        stdout=subprocess.PIPE, text=True)


def end_good(process):
    totals = json.loads(process.communicate(timeout=120)[0])
    equal(process.returncode, 0, "venturi-gen")
    return totals


def send_good(lab):
    return end_good(begin_good(lab))


def listening(daemon, member):
    return sum(entry[member] for entry in daemon.rpc("system.info")["listen"])


def received(daemon):
    """Datagrams that were decoded, dropped by the kernel, or refused."""
    return (daemon.rpc("system.info")["counters"]["decoder"]["datagrams"]
            + listening(daemon, "kernel_drops")
            + listening(daemon, "not_allowed"))


def good_flows(daemon):
    return sum(r["flows"] for r in daemon.flows(
        by=["exporter"], metrics=["flows"], limit=10000,
        filter="exporter 127.1.0.0/16"))


def good_counters(daemon):
    """Of each good exporter, where there are few others."""
    return [e["counters"] for e in daemon.rpc("exporter.list")["exporters"]
            if e["exporter"] in GOOD]


def await_all(daemon, sent):
    """Until each datagram is accounted for."""
    wait_until(lambda: received(daemon) >= sent, 60, lambda:
               "%d datagrams, there are %d" % (sent, received(daemon)))


def attack(kind, seconds=SECONDS, **how):
    """A flood beside exporters that are known by name."""
    lab = Lab()
    daemon = start(lab, source=named())
    before = rss(daemon)
    process = flood(lab, kind, seconds, **how)
    good = send_good(lab)
    sent = finish(process)
    await_all(daemon, sent + good["datagrams"])
    wait_until(lambda: good_flows(daemon) == good["records"], 60, lambda:
               "%s: %d flows of known exporters, there are %d"
               % (kind, good["records"], good_flows(daemon)))
    counters = daemon.rpc("system.info")["counters"]["decoder"]
    name = REFUSED.get(kind)
    if name and not counters[name]:
        raise Failure("%s: %s is not counted: %s" % (kind, name, counters))
    grown = rss(daemon) - before
    print("%s: %d datagrams, %d dropped; resident memory %+.1f MB" % (
        kind, sent, listening(daemon, "kernel_drops"), grown / 1e6))
    if grown > GROWTH and not sanitized():
        raise Failure("%s: grew by %d MB" % (kind, grown >> 20))
    daemon.stop()


def test_lengths():
    for kind in ("empty", "byte", "long", "garbage"):
        attack(kind)


def test_templates():
    for kind in ("templates", "churn", "wide", "512", "withdraw"):
        attack(kind)


def test_sets():
    for kind in ("sets", "release", "names", "records"):
        attack(kind)


def test_flows():
    """Good flows, too many of them, and times of other years."""
    for kind in ("flows", "future"):
        attack(kind)


def test_million_sources():
    """A million addresses with a good flow each, then agents and domains
    without end: those who are known find their places."""
    attack("flow", seconds=120, count=1000000, sources=1000000)
    attack("agents")
    attack("domains")


def test_not_allowed():
    """Who may not send is refused by the kernel, and counted: even exporters
    without names lose nothing."""
    lab = Lab()
    daemon = start(lab, allow=["127.1.0.0/16"])
    process = flood(lab, "flows")
    good = send_good(lab)
    sent = finish(process)
    wait_until(lambda: listening(daemon, "not_allowed") == sent, what=lambda:
               "%d refusals, there are %d" % (
                   sent, listening(daemon, "not_allowed")))
    wait_until(lambda: good_flows(daemon) == good["records"],
               what="all good flows")
    equal(listening(daemon, "kernel_drops"), 0, "kernel drops")
    equal(daemon.rpc("exporter.list")["total"], 4, "exporters")
    daemon.stop()


def test_loss_is_told():
    """Exporters without names share buffers with the flood: what they lose is
    told by their sequence numbers, and by the kernel's drops."""
    lab = Lab()
    daemon = start(lab, **{"receive-buffer": "64KiB"})
    process = begin_good(lab, 5 * RECORDS)
    wait_until(lambda: len(good_counters(daemon)) == len(GOOD),
               what="their first datagrams")
    sent = finish(flood(lab, "flows", seconds=1, sources=64))
    await_all(daemon, sent)     # Gaps end with what comes after.
    good = end_good(process)
    await_all(daemon, sent + good["datagrams"])

    def told():
        c = good_counters(daemon)
        return (sum(e["datagrams"] + e["lost"] for e in c)
                == good["datagrams"]
                and good_flows(daemon) == sum(
                    e["flow_records"] - e["ring_full"] - e["store_lost"]
                    for e in c))
    wait_until(told, what=lambda: "%d datagrams accounted for: %s" % (
        good["datagrams"], good_counters(daemon)))
    lost = sum(e["lost"] for e in good_counters(daemon))
    print("%d of %d datagrams lost, all told" % (lost, good["datagrams"]))
    if lost > listening(daemon, "kernel_drops"):
        raise Failure("more are missing than the kernel dropped")
    daemon.stop()


def test_named_later():
    """An exporter that gets its name while the flood lasts."""
    lab = Lab()
    daemon = start(lab)
    process = flood(lab, "churn", seconds=20)
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "collector": {"source": named()}}})
    good = send_good(lab)
    wait_until(lambda: good_flows(daemon) == good["records"],
               what="all good flows")
    process.kill()
    process.communicate()
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen", "tests/interop/flood"))
