#!/usr/bin/env python3
"""tests/interop/test_provision_traps.py -- traps of provisioning in which the
whole venturid takes part; doc/provisioning.md lists them all."""
# timeout: 300

import os
import re
import shutil
import subprocess
import time

from harness import (BUILDDIR, Daemon, Failure, Lab, Ovs, RpcError, equal, main,
                     wait_until)

DAC_OVERRIDE = 1 << 1


def refused(daemon, method, **params):
    try:
        daemon.rpc(method, **params)
    except RpcError as error:
        return error
    raise Failure("%s %s was not refused" % (method, params))


def status(daemon, bridge, protocol="sflow"):
    for s in daemon.export_status():
        if s["bridge"] == bridge and s["protocol"] == protocol:
            return s
    return {"state": None, "reason": "no such line"}


def await_state(daemon, bridge, *states, protocol="sflow", timeout=20):
    return wait_until(
        lambda: status(daemon, bridge, protocol)["state"] in states
        and status(daemon, bridge, protocol), timeout,
        lambda: "%s %s; got %s" % (bridge, states, status(daemon, bridge,
                                                        protocol)))


PLACED = ("in-sync", "receiving", "silent")


def test_adoption():
    """The state directory is lost: rows of the venturid that was are somebody
    else's, until one says that they are ours; then they are kept, and go."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    policy = {"name": "all", "sflow": {}, "ipfix": {},
              "flow-sample": [{"id": 7, "ipfix": {}}]}
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [policy]}})
    await_state(daemon, "br0", *PLACED)
    await_state(daemon, "br0", *PLACED, protocol="flow-sample")
    lost = daemon.rpc("system.info")["owner"]
    daemon.stop()
    before = ovs.rows("sFlow"), ovs.rows("IPFIX")
    shutil.rmtree(daemon.state_dir)
    os.mkdir(daemon.state_dir)
    daemon.start()

    # Safe by default: nothing happens, and the reason tells the way out.
    wait_until(lambda: "another venturid" in status(daemon, "br0")["reason"],
               what="a reason")
    row = status(daemon, "br0")
    equal(row["ours"], False, "ours")
    if "export adopt " + lost not in row["reason"]:
        raise Failure("reason: " + row["reason"])
    await_state(daemon, "br0", "conflict", protocol="flow-sample")
    equal((ovs.rows("sFlow"), ovs.rows("IPFIX")), before, "rows")
    error = refused(daemon, "export.adopt", owner="no-such-owner")
    if lost not in str(error):
        raise Failure("it does not say whose rows there are: %s" % error)
    mine = daemon.rpc("system.info")["owner"]
    refused(daemon, "export.adopt", owner=mine)
    equal((ovs.rows("sFlow"), ovs.rows("IPFIX")), before, "rows")

    equal(daemon.rpc("export.adopt", owner=lost)["rows"], 3, "rows adopted")
    for protocol in ("sflow", "ipfix", "flow-sample"):
        await_state(daemon, "br0", *PLACED, protocol=protocol)
    for table in ("sFlow", "IPFIX", "Flow_Sample_Collector_Set"):
        for row in ovs.rows(table):
            equal(row["external_ids"]["venturi-owner"], mine, table)
    # The same rows, not new ones: nobody's data had a gap.
    equal({r["_uuid"] for r in ovs.rows("sFlow")},
          {r["_uuid"] for r in before[0]}, "the row")
    # Kept in the configuration, so that late rows are ours, too.
    tree = daemon.rpc("config.get")["config"]["venturi:venturi"]
    equal(tree["export"]["adopt"], [lost], "configuration")
    equal(daemon.rpc("export.remove")["removed"], 3, "rows removed")
    equal((ovs.rows("sFlow"), ovs.rows("Flow_Sample_Collector_Set")),
          ([], []), "rows")
    daemon.stop()


def test_labels_per_database():
    """Two hosts looked after from one place have different labels."""
    lab = Lab()
    one, two = Ovs(lab), Ovs(lab)
    one.add_bridge("br-one")
    two.add_bridge("br-two")

    def tree(first, second):
        return {
            "ovsdb": {"remote": [one.remote, two.remote],
                      "labels": ["all"],
                      "host": [{"remote": one.remote, "labels": first},
                               {"remote": two.remote, "labels": second}]},
            "export": {"policy": [
                {"name": "edge", "match": {"host-labels": ["rack=*", "all"]},
                 "sflow": {"sampling": 64}},
                {"name": "rest", "ipfix": {}}]}}
    daemon = Daemon(lab, [one.remote, two.remote],
                    tree(["rack=7"], ["core"]))
    await_state(daemon, "br-one", *PLACED)
    await_state(daemon, "br-two", *PLACED, protocol="ipfix")
    equal((len(one.rows("sFlow")), len(one.rows("IPFIX"))), (1, 0), "one")
    equal((len(two.rows("sFlow")), len(two.rows("IPFIX"))), (0, 1), "two")
    # The other way round, at run time.
    daemon.rpc("config.edit", config={
        "venturi:venturi": tree(["core"], ["rack=8"])})
    wait_until(lambda: (len(one.rows("sFlow")), len(one.rows("IPFIX")),
                        len(two.rows("sFlow")), len(two.rows("IPFIX")))
               == (0, 1, 1, 0), what="rows by the new labels")
    error = refused(daemon, "config.edit", config={"venturi:venturi": {
        "ovsdb": {"host": [{"remote": "unix:/nowhere", "labels": ["x"]}]}}})
    if "not one of ovsdb/remote" not in str(error):
        raise Failure(str(error))
    daemon.stop()


def test_order_that_cannot_be_kept():
    """What a restart would undo is refused, and not done by halves."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovs.remote)
    await_state(daemon, "br0", *PLACED)
    daemon.announce(r"export\.(remove|apply) was refused")
    for name in ("orders", "orders-probes"):
        path = os.path.join(daemon.state_dir, "meta", name)
        # A directory that is not empty can't be replaced by a file.
        os.makedirs(os.path.join(path, "in-the-way"))
        error = refused(daemon, "export.remove", bridge="br0")
        if "nothing was changed" not in str(error):
            raise Failure(str(error))
        equal(len(ovs.rows("sFlow")), 1, "rows")
        shutil.rmtree(path)
    equal(daemon.rpc("export.remove", bridge="br0")["removed"], 1, "removed")
    equal(ovs.rows("sFlow"), [], "rows")
    daemon.stop()


def test_rights_of_threads():
    """Where root alone may open db.sock, no thread keeps the right to do so in
    effect; and a new connection is made all the same."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    os.chmod(ovs.socket, 0o700)
    os.chown(ovs.socket, 0, 0)
    daemon = Daemon(lab, ovs.remote)
    await_state(daemon, "br0", *PLACED)

    def effective():
        found, tasks = {}, "/proc/%d/task" % daemon.process.pid
        for task in os.listdir(tasks):
            with open("%s/%s/status" % (tasks, task), encoding="ascii") as f:
                text = f.read()
            name = re.search(r"Name:\s*(\S+)", text).group(1)
            caps = int(re.search(r"CapEff:\s*(\w+)", text).group(1), 16)
            if caps & DAC_OVERRIDE:
                found[name] = hex(caps)
        return found
    equal(effective(), {}, "threads with CAP_DAC_OVERRIDE in effect")
    ovs.stop_server()
    ovs.start_server()
    os.chmod(ovs.socket, 0o700)
    wait_until(lambda: daemon.rpc("export.status")["remotes"][0]["connected"],
               20, "a new connection")
    equal(effective(), {}, "threads with CAP_DAC_OVERRIDE in effect")
    daemon.stop()


def test_no_rights_is_no_storm():
    """Missing rights on the socket: one line in the log, one of the doctor's,
    and no try more often than each second."""
    lab = Lab()
    ovs = Ovs(lab)
    os.chmod(ovs.socket, 0o600)
    os.chown(ovs.socket, 1, 1)
    # Without capabilities root is a user like any other.
    daemon = Daemon(lab, ovs.remote, user="root", start=False,
                    expect=(r"running as root, as told",
                            r"not connected: .*Permission denied"))
    daemon.command = ["setpriv", "--bounding-set=-all",
                      "--inh-caps=-all"] + daemon.command
    daemon.start()
    line = wait_until(lambda: [
        c for c in daemon.rpc("system.doctor")["checks"]
        if c["check"] == "socket" and c["status"] == "fail"],
        what="a line of the doctor's")[0]
    if "may not open" not in line["message"] or not line["remedy"]:
        raise Failure("doctor: %s" % line)

    def cpu():
        with open("/proc/%d/stat" % daemon.process.pid,
                  encoding="ascii") as f:
            fields = f.read().rsplit(") ", 1)[1].split()
        return int(fields[11]) + int(fields[12])
    before, until = cpu(), time.monotonic() + 4
    wait_until(lambda: time.monotonic() > until, what="a while")
    if cpu() - before > 60:     # Of 400 ticks: no storm.
        raise Failure("%d ticks of CPU for waiting" % (cpu() - before))
    with open(daemon.log, encoding="utf-8") as f:
        told = [text for text in f if "not connected" in text]
    equal(len(told), 1, "lines of the log: %s" % told)
    daemon.stop()


def venturictl(daemon, *args):
    return subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=30, check=False).stdout


def test_what_is_told():
    """A policy without a bridge is told of by who takes it, and in the plan in
    words; a plan for one bridge or policy counts only that; "apply" says what
    it writes, however fast it is written."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.add_bridge("br1")
    daemon = Daemon(lab, ovs.remote, {"export": {"mode": "plan", "policy": [
        {"name": "one", "match": {"bridges": ["br1"]}, "netflow": {}},
        {"name": "rest", "sflow": {}, "flow-sample": [
            {"id": 7, "ipfix": {}}]}]}})
    wait_until(lambda: daemon.rpc("export.plan")["pending"] == 3,
               what="a plan")
    for scope, n in (("br0", 2), ("br1", 1)):
        equal(daemon.rpc("export.plan", bridge=scope)["pending"], n, scope)
    for scope, n in (("one", 1), ("rest", 2)):
        equal(daemon.rpc("export.plan", policy=scope)["pending"], n, scope)
    idle = "policy idle matches no bridge here"
    told = daemon.rpc("export.policy.set", policy={
        "name": "idle", "match": {"bridges": ["zz*"]}, "sflow": {}})
    equal(told["warnings"], [idle], "warnings")
    text = venturictl(daemon, "export", "policy", "set", "idle",
                      '{"match": {"bridges": ["zz*"]}, "ipfix": {}}')
    if "warning: " + idle not in text:
        raise Failure(text)
    text = venturictl(daemon, "export", "plan")
    if "  warning: " + idle not in text:
        raise Failure(text)
    text = venturictl(daemon, "export", "policy", "list")
    if not re.search(r"^policy .* flow-sample +probe$", text, re.M) \
       or not re.search(r"^rest .* 7 +-$", text, re.M):
        raise Failure(text)
    # What would be wrong then is the policy behind, and it is named.
    error = refused(daemon, "export.policy.set", policy={
        "name": "late", "match": {"bridges": ["zz*"]}, "sflow": {}})
    if "policy idle/match: collides with policy late" not in str(error):
        raise Failure(str(error))
    text = venturictl(daemon, "export", "apply", "--policy", "one")
    if ": 1 to write" not in text or "br1 netflow: create" not in text:
        raise Failure(text)
    await_state(daemon, "br1", *PLACED, protocol="netflow")
    equal(ovs.rows("sFlow"), [], "rows of the other policy")
    text = venturictl(daemon, "export", "apply", "--bridge", "br0")
    if ": 2 to write" not in text:
        raise Failure(text)
    await_state(daemon, "br0", *PLACED)
    equal(venturictl(daemon, "export", "remove", "--policy", "one"),
          "1 row removed\n", "remove")
    equal((len(ovs.rows("NetFlow")), len(ovs.rows("sFlow"))), (0, 1), "rows")
    daemon.stop()


def test_silent_sample():
    """A Flow_Sample_Collector_Set that nothing feeds is silent, with the
    reason, and not receiving because its bridge is."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [
        {"name": "all", "flow-sample": [{"id": 7, "ipfix": {}}]}]}})
    await_state(daemon, "br0", "in-sync", protocol="flow-sample")
    row = await_state(daemon, "br0", "silent", protocol="flow-sample",
                      timeout=60)
    if "sample(" not in row["reason"] and "collector_set_id" not in \
            row["reason"]:
        raise Failure("reason: " + row["reason"])
    equal(row["records"], 0, "records")
    daemon.stop()


# What Open vSwitch's own documentation and code allow; beyond, it takes the
# value and does something else.
RANGES = {
    "netflow": {"engine_type": (0, 255), "engine_id": (0, 255),
                "active_timeout": (1, 2147483647)},
    "sflow": {"sampling": (1, 4294967295), "polling": (0, 86400),
              "header": (14, 1400)},
    "ipfix": {"sampling": (1, 4294967295), "obs_domain_id": (0, 4294967295),
              "obs_point_id": (0, 4294967295),
              "cache_active_timeout": (0, 4200),
              "cache_max_flows": (0, 4294967295),
              "template_interval": (1, 3600), "stats_interval": (1, 3600)},
}
TEXTS = {"sflow": {"agent": 255}, "ipfix": {"virtual_obs_id": 254}}


def test_bad_policy():
    """Everything out of its range is refused before anything is written, with
    the member and what it may be; what is in range is taken."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [
        {"name": "all", "match": {"bridges": ["br*"]}, "sflow": {}}]}})
    await_state(daemon, "br0", *PLACED)
    before = ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg")
    listed = daemon.rpc("export.policy.list")

    def bad(member, policy, *words):
        error = refused(daemon, "export.policy.set", policy=policy)
        equal((error.data or {}).get("member"), "policy/" + member,
              "member for %s: %s" % (policy, error))
        for word in words:
            if word not in str(error):
                raise Failure("%s is not in: %s" % (word, error))

    def of(protocol, **options):
        return {"name": "x", "match": {"bridges": ["x"]}, protocol: options}

    for protocol, options in RANGES.items():
        for name, (low, high) in options.items():
            member = "%s/%s" % (protocol, name)
            for value in (low - 1, high + 1, 1 << 40, -1 << 40):
                bad(member, of(protocol, **{name: value}), str(low),
                    str(high))
            for value in ("many", [], {}, 1.5, True):
                error = refused(daemon, "export.policy.set",
                                policy=of(protocol, **{name: value}))
                if name not in str(error):
                    raise Failure("%s: %s" % (member, error))
    for protocol, options in TEXTS.items():
        for name, longest in options.items():
            bad("%s/%s" % (protocol, name),
                of(protocol, **{name: "x" * (longest + 1)}), str(longest))
    for protocol in RANGES:
        for target in ("", "nobody", "192.0.2.1:0", "192.0.2.1:65536",
                       "host.example:2055", ":2055", "[::1:2055"):
            bad(protocol + "/targets", of(protocol, targets=[target]))
        error = refused(daemon, "export.policy.set",
                        policy=of(protocol, no_such_option=1))
        if "no_such_option" not in str(error):
            raise Failure(str(error))
    for policy, word in (
            ({"name": "a b", "sflow": {}}, "not a name"),
            ({"name": "", "sflow": {}}, "name"),
            ({"name": "x" * 65, "sflow": {}}, "64"),
            ({"name": "x", "foreign": "adopt", "sflow": {}}, "respect"),
            ({"name": "x", "offload": "yes", "sflow": {}}, "force"),
            ({"name": "x", "match": {"bridges": ["a"], "exclude": ["*"]},
              "sflow": {}}, "no bridge"),
            ({"name": "x", "match": {"external-ids": ["=v"]}, "sflow": {}},
             "key"),
            ({"name": "x", "match": {"bridge": ["br0"]}, "sflow": {}},
             "bridge"),
            ({"name": "x", "flow-sample": [{"id": 4294967296,
                                            "ipfix": {}}]}, "4294967295"),
            ({"name": "x", "flow-sample": [{"id": 1, "ipfix": {}},
                                           {"id": 1, "ipfix": {}}]}, "1")):
        error = refused(daemon, "export.policy.set", policy=policy)
        if word not in str(error):
            raise Failure("%s is not in: %s" % (word, error))
    # Two that collide: the later one could never decide.
    error = refused(daemon, "export.policy.set", position=2, policy={
        "name": "twin", "match": {"bridges": ["br*"]}, "ipfix": {}})
    if "collides with policy all" not in str(error):
        raise Failure(str(error))
    error = refused(daemon, "export.adopt", owner="no id; at all")
    # Nothing of all that has left a trace.
    equal(daemon.rpc("export.policy.list"), listed, "policies")
    equal(ovs.vsctl("get", "Open_vSwitch", ".", "next_cfg"), before,
          "next_cfg")
    for protocol, options in RANGES.items():
        for edge in (0, 1):
            daemon.rpc("export.policy.set", policy=of(
                protocol, **{n: r[edge] for n, r in options.items()}))
    # A policy that matches nothing at the moment is not wrong, and told of.
    plan = daemon.rpc("export.plan")["plans"][0]
    if not [w for w in plan["warnings"] if "x matches no bridge" in w]:
        raise Failure("warnings: %s" % plan["warnings"])
    daemon.stop()


def test_plan_warns():
    """Everything that an operator should know before it happens."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge()
    ovs.vsctl("--no-wait", "set", "Open_vSwitch", ".",
              "other_config:hw-offload=true")
    tree = {"export": {"mode": "plan", "policy": [
        {"name": "all", "offload": "force",
         "netflow": {}, "sflow": {"sampling": 1, "agent": "no-such-device"},
         "ipfix": {"sampling": 1, "template_interval": 60}}]}}
    daemon = Daemon(lab, ovs.remote, tree)
    plan = wait_until(lambda: daemon.rpc("export.plan")["plans"],
                      what="a plan")[0]
    told = {c["protocol"]: " / ".join(c["warnings"])
            for c in plan["changes"]}
    for protocol, word in (("netflow", "megaflow"), ("sflow", "offload"),
                           ("sflow", "sampling 1"),
                           ("sflow", "no-such-device"),
                           ("ipfix", "offload"), ("ipfix", "sampling 1"),
                           ("ipfix", "template_interval")):
        if word not in told[protocol]:
            raise Failure("%s: nothing about %s in: %s" % (
                protocol, word, told[protocol]))
    for c in plan["changes"]:
        for member in ("records_per_second", "bytes_per_second"):
            if member not in c:
                raise Failure("no %s in %s" % (member, c))
        # Sampling 1, 128 octets of each packet; in and out.
        equal((c["records_per_100000_packets"],
               c["bytes_per_100000_packets"]), {
            "netflow": (None, None), "sflow": (100000, 27800000),
            "ipfix": (200000, 60000000)}[c["protocol"]], c["protocol"])
    equal([ovs.rows(t) for t in ("NetFlow", "sFlow", "IPFIX")],
          [[], [], []], "rows")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid", "venturictl"))
