#!/usr/bin/env python3
"""tests/interop/test_probe.py -- a real softflowd on a real Linux bridge, which
comes and goes."""
# timeout: 180

import os
import re
import shutil
import signal
import subprocess
import tempfile

from harness import (BUILDDIR, Daemon, Failure, Lab, Netns, RpcError, Skip, equal,
                     main, on_cleanup, run, wait_until)

NET_RAW = 1 << 13


class Site:
    """A lab with a Linux bridge br-lan and two hosts on it."""

    def __init__(self):
        self.lab = Lab()
        self.hosts = []
        # What is not installed is found here, by an ordinary user, too.
        # (The scratch directory may be closed to that one.)
        libdir = tempfile.mkdtemp(prefix="venturi-lib-", dir="/tmp")
        on_cleanup(shutil.rmtree, libdir, True)
        os.chmod(libdir, 0o755)
        shutil.copy(os.path.join(BUILDDIR, "probe", "softflowd-now.so"),
                    libdir)
        os.environ["VENTURI_LIBDIR"] = libdir
        self.add_bridge()

    def add_bridge(self):
        try:
            self.lab.run("ip", "link", "add", "br-lan", "type", "bridge")
        except Exception as error:
            raise Skip("this kernel has no bridges: %s" % error) from None
        self.lab.run("ip", "link", "set", "br-lan", "up")

    def add_host(self):
        number = len(self.hosts) + 1
        host = Netns("venturi-host-")
        port = "port%d" % number
        run("ip", "link", "add", "eth0", "netns", host.name, "type", "veth",
            "peer", "name", port, "netns", self.lab.name)
        host.run("ip", "address", "add", "10.78.0.%d/24" % number, "dev",
                 "eth0")
        host.run("ip", "link", "set", "eth0", "up")
        self.lab.run("ip", "link", "set", port, "master", "br-lan", "up")
        self.hosts.append(host)
        return host


def probes(daemon):
    return {p["interface"]: p for p in daemon.rpc("probe.status")["probes"]}


def wait_probe(daemon, interface, state, **kwargs):
    """Waits for that state (None: gone) and returns the probe."""
    def there():
        probe = probes(daemon).get(interface)
        if state is None:
            return probe is None
        return probe if probe and probe["state"] == state and all(
            probe[k] == v for k, v in kwargs.items()) else None
    return wait_until(there, 20, lambda: "%s %s; got %s" % (
        interface, state, probes(daemon)))


def gone(pid):
    """Whether the process has ended."""
    try:
        with open("/proc/%d/stat" % pid, encoding="ascii") as f:
            return f.read().split(") ")[1].startswith("Z")
    except OSError:
        return True


def command_line(pid):
    with open("/proc/%d/cmdline" % pid, encoding="ascii") as f:
        return f.read()


def config(**softflowd):
    softflowd.setdefault("active-timeout", "2s")
    return {"probe": {"softflowd": softflowd}}


def test_bridge_exports():
    """Flows of a bridge arrive, and only what is needed is allowed."""
    site = Site()
    a, _ = site.add_host(), site.add_host()
    daemon = Daemon(site.lab, None, config())
    probe = wait_probe(daemon, "br-lan", "running", kind="bridge")
    equal(set(probes(daemon)), {"br-lan"}, "probes")
    wait_until(lambda: "softflowd" in command_line(probe["pid"]),
               what="softflowd itself")
    with open("/proc/%d/status" % probe["pid"], encoding="ascii") as f:
        status = f.read()
    for name in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
        equal(int(re.search(name + r":\s*(\w+)", status).group(1), 16),
              NET_RAW, name)
    if re.search(r"Uid:\s+0\s", status):
        raise Failure("softflowd runs as root")
    with open("/proc/%d/status" % daemon.process.pid,
              encoding="ascii") as f:
        effective = re.search(r"CapEff:\s*(\w+)", f.read()).group(1)
    equal(int(effective, 16) & NET_RAW, 0, "venturid's own CAP_NET_RAW")

    # A traffic of two packets: nothing fills a buffer here.
    def flows():
        a.run("ping", "-q", "-c", "2", "-i", "0.2", "10.78.0.2")
        return [f for f in daemon.flows(by=["src_addr", "dst_addr", "proto",
                                            "in_if"])
                if f["src_addr"] == "10.78.0.1"]
    flow = wait_until(flows, 40, "flows of the bridge")[0]
    equal(flow["in_if"], probe["ifindex"], "interface")
    # The way back, which softflowd calls "egress", is in the totals, too.
    wait_until(lambda: [f for f in daemon.flows(by=["src_addr"])
                        if f["src_addr"] == "10.78.0.2"
                        and f["packets"] >= 2], 20, "the replies")
    result = subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api,
         "probes"], stdout=subprocess.PIPE, text=True, check=True,
        timeout=30)
    if "br-lan" not in result.stdout or "running" not in result.stdout:
        raise Failure("venturictl probes: " + result.stdout)
    if flow["packets"] < 2 or flow["bytes"] != 84 * flow["packets"]:
        raise Failure("pings look like %s" % flow)
    daemon.stop()
    wait_until(lambda: gone(probe["pid"]), what="the end of softflowd")


def test_comes_and_goes():
    """It follows the bridge, the configuration, and is started again."""
    site = Site()
    daemon = Daemon(site.lab, None, config(exclude=["br-no*"]))
    first = wait_probe(daemon, "br-lan", "running")
    site.lab.run("ip", "link", "add", "br-none", "type", "bridge")
    site.lab.run("ip", "link", "add", "br-two", "type", "bridge")
    wait_probe(daemon, "br-two", "down")
    site.lab.run("ip", "link", "set", "br-two", "up")
    wait_probe(daemon, "br-two", "running")
    if "br-none" in probes(daemon):
        raise Failure("an excluded bridge has a probe")
    site.lab.run("ip", "link", "set", "br-two", "down")
    wait_probe(daemon, "br-two", "down")
    # Killed by somebody.
    os.kill(first["pid"], signal.SIGKILL)
    wait_until(lambda: gone(first["pid"]), what="its end")
    second = wait_probe(daemon, "br-lan", "running", starts=2)
    # The bridge is made anew.
    site.lab.run("ip", "link", "delete", "br-lan")
    wait_probe(daemon, "br-lan", None)
    wait_until(lambda: gone(second["pid"]), what="the end of softflowd")
    site.add_bridge()
    third = wait_probe(daemon, "br-lan", "running", starts=1)
    # Another command line, then none at all.
    daemon.rpc("config.edit", config={"venturi:venturi": config(sampling=5)})
    wait_until(lambda: gone(third["pid"]), what="the end of softflowd")
    fourth = wait_probe(daemon, "br-lan", "running", starts=2)
    wait_until(lambda: "\0-s\0005\0" in command_line(fourth["pid"]),
               what=lambda: "sampling in " + command_line(fourth["pid"]))
    daemon.rpc("config.edit", config={"venturi:venturi": {"probe": None}})
    wait_probe(daemon, "br-lan", None)
    wait_until(lambda: gone(fourth["pid"]), what="the end of softflowd")
    daemon.stop()


def policies(*members):
    """A configuration of policies, of which softflowd's are quick."""
    for policy in members:
        if policy.get("probe"):
            policy["probe"]["softflowd"]["active-timeout"] = "2s"
    return {"export": {"policy": list(members)}}


def refused(daemon, method, **params):
    try:
        daemon.rpc(method, **params)
    except RpcError as error:
        return error
    raise Failure("%s %s was not refused" % (method, params))


def status_of(daemon, bridge):
    rows = [s for s in daemon.rpc("export.status")["status"]
            if s["bridge"] == bridge]
    equal(len(rows), 1, "rows of " + bridge)
    return rows[0]


def cli(daemon, *args):
    return subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, *args],
        stdout=subprocess.PIPE, text=True, check=True, timeout=30).stdout


def plan_keeps_what_runs(daemon, tree):
    """With "mode": "plan" another command line waits for export.apply."""
    def edit(**export):
        daemon.rpc("config.edit", config={"venturi:venturi": {
            "export": export}})

    def plan():
        return {p["interface"]: p for p in daemon.rpc("export.plan")["probes"]
                if p["action"] != "none"}
    edit(mode="apply")          # And back: nothing is applied any more.
    edit(mode="plan")
    before = wait_probe(daemon, "br-two", "running")
    slow = tree["export"]["policy"][1]
    slow["probe"]["softflowd"]["sampling"] = 16
    edit(policy=[slow])
    two = wait_until(lambda: plan().get("br-two"), what="a plan of br-two")
    equal((two["action"], two["reason"]), (
        "restart", "another command line; not before export.apply"), "plan")
    if " -s 16 " not in two["command"]:
        raise Failure("command line " + two["command"])
    equal(wait_probe(daemon, "br-two", "running")["pid"], before["pid"],
          "process before export.apply")
    daemon.rpc("export.apply", bridge="br-two")
    wait_until(lambda: probes(daemon)["br-two"]["pid"]
               not in (0, None, before["pid"]), what="another process")
    equal(plan(), {}, "plan after export.apply")


def test_policy():
    """A policy's probes: planned, applied, proven by data, removed by hand and
    over a restart, applied again.  No OVSDB is needed for that."""
    site = Site()
    a, _ = site.add_host(), site.add_host()
    site.lab.run("ip", "link", "add", "br-two", "type", "bridge")
    site.lab.run("ip", "link", "set", "br-two", "up")
    site.lab.run("ip", "link", "add", "br-no", "type", "bridge")
    site.lab.run("ip", "link", "set", "br-no", "up")
    tree = policies(
        {"name": "none", "match": {"bridges": ["br-no"]}, "probe": {}},
        {"name": "slow", "match": {"bridges": ["br-two"]},
         "probe": {"softflowd": {"protocol": "ipfix", "sampling": 8}}},
        {"name": "linux", "match": {"bridges": ["br-*"]},
         "probe": {"softflowd": {}}})
    tree["export"]["mode"] = "plan"
    daemon = Daemon(site.lab, None, tree)

    held = wait_probe(daemon, "br-lan", "held", policy="linux")
    equal(held["reason"], "not before export.apply", "reason")
    plan = daemon.rpc("export.plan")
    equal({(p["interface"], p["action"], p["policy"])
           for p in plan["probes"]},
          {("br-lan", "start", "linux"), ("br-two", "start", "slow")}, "plan")
    equal(plan["pending"], 2, "what is to be done")
    two = [p for p in plan["probes"] if p["interface"] == "br-two"][0]
    if " -v 10 " not in two["command"] or " -s 8 " not in two["command"]:
        raise Failure("command line " + two["command"])
    words = cli(daemon, "export", "plan")
    if "br-two probe: start (policy slow asks for it" not in words:
        raise Failure("venturictl export plan:\n" + words)
    equal(status_of(daemon, "br-lan")["state"], "pending", "state")

    daemon.rpc("export.apply", bridge="br-lan")
    probe = wait_probe(daemon, "br-lan", "running")
    wait_probe(daemon, "br-two", "held")
    daemon.rpc("export.apply")
    wait_probe(daemon, "br-two", "running", policy="slow")
    if "br-no" in probes(daemon):
        raise Failure("a policy says that br-no gets none")
    plan_keeps_what_runs(daemon, tree)

    # Data proves it, and carries the bridge's name.
    def received():
        a.run("ping", "-q", "-c", "2", "-i", "0.2", "10.78.0.2")
        return status_of(daemon, "br-lan")["state"] == "receiving"
    wait_until(received, 40, lambda: "receiving: %s" % status_of(daemon,
                                                               "br-lan"))
    row = status_of(daemon, "br-lan")
    equal((row["protocol"], row["policy"], row["ours"]),
          ("probe", "linux", True), "status")
    if not row["records"] or row["targets"] == ["local"]:
        raise Failure("status: %s" % row)
    flows = wait_until(lambda: daemon.flows(
        by=["bridge", "in_if_name", "src_addr"], filter="bridge br-lan"),
        what="flows of bridge br-lan")
    equal({(f["bridge"], f["in_if_name"]) for f in flows},
          {("br-lan", "br-lan")}, "bridge of the flows")
    # The bridge itself may say something (IPv6).
    two = status_of(daemon, "br-two")
    if two["state"] not in ("in-sync", "receiving"):
        raise Failure("br-two: %s" % two)

    # Removed by hand: also over a restart, until it is applied again.
    equal(daemon.rpc("export.remove", policy="linux"),
          {"removed": 0, "probes": 1}, "answer")
    wait_probe(daemon, "br-lan", "held")
    wait_until(lambda: gone(probe["pid"]), what="the end of softflowd")
    wait_probe(daemon, "br-two", "running")
    daemon.stop()
    tree["export"]["mode"] = "apply"
    daemon.write_config(tree)
    daemon.start()
    wait_probe(daemon, "br-two", "running")
    held = wait_probe(daemon, "br-lan", "held")
    if "removed" not in held["reason"]:
        raise Failure(held["reason"])
    equal(status_of(daemon, "br-lan")["state"], "off", "state")
    daemon.rpc("export.apply", policy="linux")
    wait_probe(daemon, "br-lan", "running")
    daemon.stop()


def test_policy_meets_subtree():
    """What no policy decides is for the subtree probe; what goes with Open
    vSwitch alone, and what could never decide, is refused."""
    site = Site()
    site.lab.run("ip", "link", "add", "br-two", "type", "bridge")
    site.lab.run("ip", "link", "set", "br-two", "up")
    tree = policies({"name": "linux", "match": {"bridges": ["br-two"]},
                     "probe": {"softflowd": {"sampling": 9}}},
                    # For Open vSwitch, so that it hides nothing here.
                    {"name": "ovs", "sflow": {}})
    tree.update(config())
    daemon = Daemon(site.lab, None, tree)
    wait_probe(daemon, "br-lan", "running", policy=None)
    two = wait_probe(daemon, "br-two", "running", policy="linux")
    wait_until(lambda: "\0-s\0009\0" in command_line(two["pid"]),
               what=lambda: "sampling in " + command_line(two["pid"]))
    softflowd = {"softflowd": {}}
    for match, member, word in (
            ({"external-ids": ["a"]}, "probe", "external-ids"),
            ({"datapath-type": "netdev"}, "probe", "datapath-type")):
        error = refused(daemon, "export.policy.set", policy={
            "name": "bad", "match": match, "probe": softflowd})
        equal(error.data["member"], "policy/" + member, "member")
        if word not in str(error):
            raise Failure(str(error))
    for member, value, allowed in (("sampling", 0, "1"),
                                   ("sampling", 65536, "65535"),
                                   ("max-flows", 0, "1"),
                                   ("active-timeout", "2h", "1h"),
                                   ("target", "nowhere", "local"),
                                   ("protocol", "sflow", "netflow9")):
        error = refused(daemon, "export.policy.set", policy={
            "name": "bad", "match": {"bridges": ["x"]},
            "probe": {"softflowd": {member: value}}})
        equal(error.data["member"], "policy/probe/softflowd/" + member,
              "member")
        if allowed not in str(error):
            raise Failure(str(error))
    daemon.rpc("export.policy.delete", name="linux")
    daemon.rpc("export.policy.set", policy={"name": "all",
                                            "probe": softflowd})
    wait_probe(daemon, "br-lan", "running", policy="all")
    error = refused(daemon, "export.policy.set", position=2, policy={
        "name": "late", "match": {"bridges": ["br-l*"]}, "probe": softflowd})
    if "collides with policy all" not in str(error):
        raise Failure(str(error))
    equal([p["name"] for p in daemon.rpc("export.policy.list")["policies"]],
          ["all", "ovs"], "policies")
    daemon.stop()


def test_parent_is_killed():
    """After kill -9 nothing runs on."""
    site = Site()
    daemon = Daemon(site.lab, None, config())
    probe = wait_probe(daemon, "br-lan", "running")
    daemon.process.popen.send_signal(signal.SIGKILL)
    wait_until(lambda: gone(probe["pid"]), what="the end of softflowd")


def test_failures_say_why():
    """No program; no right because nobody asked for it at the start."""
    site = Site()
    daemon = Daemon(site.lab, None, config(program="/nonexistent/softflowd"))
    probe = wait_probe(daemon, "br-lan", "failed")
    if "not installed" not in probe["reason"]:
        raise Failure(probe["reason"])
    line = [c for c in daemon.rpc("system.doctor")["checks"]
            if c["check"] == "probe"][0]
    equal(line["status"], "fail", str(line))
    daemon.stop()
    daemon = Daemon(site.lab, None)
    equal(probes(daemon), {}, "probes")
    daemon.rpc("config.edit", config={"venturi:venturi": config()})
    probe = wait_probe(daemon, "br-lan", "failed")
    if "CAP_NET_RAW" not in probe["reason"]:
        raise Failure(probe["reason"])
    daemon.stop()
    daemon.start()
    wait_probe(daemon, "br-lan", "running")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturictl", "softflowd"))
