#!/usr/bin/env python3
"""The operator's guide, as a newcomer reads it: each command of its first
section is run, in its order, and does what it says."""

import os
import shlex
import subprocess

from harness import (BUILDDIR, SRCDIR, Daemon, Failure, Lab, Ovs, in_netns,
                     main, wait_until)

GUIDE = os.path.join(SRCDIR, "doc", "operators-guide.md")


def commands():
    """Those between the first heading and the second."""
    with open(GUIDE, encoding="utf-8") as f:
        section = f.read().split("\n## ")[1]
    return [line.strip()[2:] for line in section.split("\n")
            if line.startswith("    $ ")]


def test_guide():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.vsctl("add-br", "br0", "--", "set", "Bridge", "br0",
              "datapath_type=netdev")
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[
        r"peer", r"\|export\|", r"\|ovsdb\|WARN"])
    env = dict(os.environ, VENTURI_API=daemon.api)
    lines = commands()
    if len(lines) < 25:
        raise Failure("only %d commands" % len(lines))
    for line in lines:
        words = shlex.split(line)
        if words[:2] == ["venturictl", "who"]:
            wait_until(lambda: daemon.rpc("endpoint.list")["total"] == 1)
        result = subprocess.run(
            in_netns(lab.name, [os.path.join(BUILDDIR, words[0])] + words[1:]),
            env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        # Of a laboratory, doctor and health may have something to say.
        may_fail = words[1] in ("doctor", "health")
        if result.returncode > (1 if may_fail else 0):
            raise Failure("\"%s\" (%d): %s" % (line, result.returncode,
                                               result.stdout.strip()))
        if not result.stdout.strip():
            raise Failure("\"%s\" says nothing" % line)
        print("$ %s\n%s" % (line, "\n".join(
            result.stdout.rstrip().split("\n")[:6])))
        if words[0] == "venturi-gen":
            wait_until(lambda: sum(e["counters"]["flow_records"] for e in
                                   daemon.rpc("exporter.list")["exporters"])
                       >= 1000, what="what was sent")
            wait_until(lambda: daemon.flows(
                by=["export_protocol"], metrics=["flows"], observations="all",
                filter="export_protocol %s" % (
                    "netflow5" if "netflow5" in line else "sflow"),
                **{"to": "+1h"}), what="flows that can be asked for")
        if words[1] == "flows" and "src_addr" in line \
                and "No flows" in result.stdout:
            raise Failure("%s: %s" % (line, result.stdout))
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid", "venturictl", "venturi-gen"))
