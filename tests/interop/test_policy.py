#!/usr/bin/env python3
"""tests/interop/test_policy.py -- export.policy.*, export.bridge.* and what
venturictl makes of them: the tasks of every how-to, in one line each."""
# timeout: 180

import json
import os
import subprocess

from harness import (BUILDDIR, Daemon, Failure, Lab, Ovs, RpcError, equal,
                     main, wait_until)

RESTART = (r"ovsdb\|WARN", r"reconnect\|WARN", r"jsonrpc\|WARN")


def venturictl(daemon, *args, status=0):
    """What it prints; it must end with that status."""
    result = subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    equal(result.returncode, status, "%s: %s" % (args, result.stdout))
    return result.stdout


def row_of(ovs, bridge, table):
    """The row that a bridge refers to, or None."""
    reference = ovs.vsctl("get", "Bridge", bridge, table.lower()).strip()
    for row in ovs.rows(table, "_uuid", "targets", "external_ids",
                        *(("sampling",) if table != "NetFlow" else ())):
        if row["_uuid"] == reference:
            return row
    return None


def wait_row(ovs, bridge, table, **expected):
    """Waits until the bridge's row has these columns; none: until it has no
    row."""
    def there():
        row = row_of(ovs, bridge, table)
        if not expected:
            return row is None
        return row and all(row[k] == v for k, v in expected.items())
    wait_until(there, what=lambda: "%s %s: %s; got %s" % (
        bridge, table, expected, row_of(ovs, bridge, table)))


def refused(daemon, method, member, text, **params):
    """The call must fail with that member at fault and that text."""
    try:
        daemon.rpc(method, **params)
    except RpcError as error:
        data = error.data or {}
        if data.get("member") != member or text not in str(error):
            raise Failure("%s: got %s" % (member, error)) from None
        return
    raise Failure("%s %s was taken" % (method, params))


def test_one_liners():
    """Create, list and remove NetFlow, sFlow and IPFIX on a bridge."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.add_bridge("br1")
    daemon = Daemon(lab, ovs.remote)
    wait_row(ovs, "br0", "sFlow", targets="127.0.0.1:6343")
    wait_row(ovs, "br1", "sFlow", targets="127.0.0.1:6343")
    venturictl(daemon, "export", "add", "sflow", "br0", "--sampling", "64",
               "--polling", "5", "--target", "10.0.0.1:6343")
    wait_row(ovs, "br0", "sFlow", targets="10.0.0.1:6343", sampling=64)
    venturictl(daemon, "export", "add", "netflow", "br0",
               "targets=10.0.0.1:2055,10.0.0.2:2055", "active_timeout=30")
    wait_row(ovs, "br0", "NetFlow",
             targets=["10.0.0.1:2055", "10.0.0.2:2055"])
    venturictl(daemon, "export", "add", "ipfix", "br0", "--obs-domain-id",
               "123", "--obs-point-id", "456", "--cache-active-timeout", "20",
               "--cache-max-flows", "50", "sampling=1", "virtual_obs_id=7",
               "enable-tunnel-sampling=false")
    wait_row(ovs, "br0", "IPFIX", targets="127.0.0.1:4739", sampling=1)
    # The other exports of the bridge stayed, and so did the other bridge.
    wait_row(ovs, "br0", "sFlow", targets="10.0.0.1:6343", sampling=64)
    wait_row(ovs, "br1", "sFlow", targets="127.0.0.1:6343")
    text = venturictl(daemon, "export", "list")
    for word in ("10.0.0.1:6343", "10.0.0.2:2055", "127.0.0.1:4739"):
        if word not in text:
            raise Failure("no %s in:\n%s" % (word, text))
    equal(venturictl(daemon, "--csv", "export", "list", "ipfix")
          .count("\n"), 2, "lines about IPFIX")
    venturictl(daemon, "export", "remove", "sflow", "br0")
    wait_row(ovs, "br0", "sFlow")
    venturictl(daemon, "export", "remove", "netflow", "br0")
    wait_row(ovs, "br0", "NetFlow")
    wait_row(ovs, "br0", "IPFIX", targets="127.0.0.1:4739", sampling=1)
    wait_row(ovs, "br1", "sFlow", targets="127.0.0.1:6343")
    # From a bridge that a policy for all of them exports.
    venturictl(daemon, "export", "remove", "sflow", "br1")
    wait_row(ovs, "br1", "sFlow")
    for args in (("remove", "netflow", "br0"), ("add", "sflow", "nosuch"),
                 ("add", "netstream", "br0"),
                 ("add", "sflow", "br0", "--sampling", "0"),
                 ("add", "sflow", "br0", "--target", "nonsense")):
        venturictl(daemon, "export", *args, status=1)
    venturictl(daemon, "export", "add", "sflow", status=2)
    venturictl(daemon, "export", "add", "sflow", "br0", "polling", status=2)
    # It is all in the file, and holds after a restart.
    before = daemon.rpc("export.policy.list")["policies"]
    daemon.stop()
    daemon.start()
    equal(daemon.rpc("export.policy.list")["policies"], before, "policies")
    wait_row(ovs, "br0", "IPFIX", targets="127.0.0.1:4739", sampling=1)
    daemon.stop()


def test_policies():
    """Set, order, replace, delete; and what is refused changes nothing."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    daemon = Daemon(lab, ovs.remote)
    result = daemon.rpc("export.policy.list")
    equal(result["builtin"], True, "built in")
    default = result["policies"][0]["name"]
    refused(daemon, "export.policy.delete", "name", "built in", name=default)
    daemon.rpc("export.policy.set", policy={
        "name": "a", "match": {"bridges": ["br*"]}, "sflow": {"sampling": 7}})
    wait_row(ovs, "br0", "sFlow", sampling=7)

    def names():
        return [p["name"] for p in
                daemon.rpc("export.policy.list")["policies"]]
    equal(names(), ["a", default], "the built-in one is kept")
    daemon.rpc("export.policy.set", policy={
        "name": "b", "match": {"bridges": ["br0"]},
        "sflow": {"sampling": 8}}, position=2)
    equal(names(), ["a", "b", default], "position")
    daemon.rpc("export.policy.set", before="a", policy={
        "name": "b", "match": {"bridges": ["br0"]},
        "sflow": {"sampling": 9}})
    equal(names(), ["b", "a", default], "before")
    wait_row(ovs, "br0", "sFlow", sampling=9)
    daemon.rpc("export.policy.set", policy={
        "name": "b", "match": {"bridges": ["br0"]}, "netflow": {}})
    wait_row(ovs, "br0", "sFlow")       # Replaced, not merged.
    wait_row(ovs, "br0", "NetFlow", targets="127.0.0.1:2055")
    good = daemon.rpc("config.get", defaults=False)
    for member, text, policy in (
            ("policy/sflow/sampling", "4294967295",
             {"name": "x", "sflow": {"sampling": 4294967296}}),
            ("policy/sflow/header", "14", {"name": "x",
                                           "sflow": {"header": 3}}),
            ("policy/sflow/colour", "", {"name": "x",
                                         "sflow": {"colour": 3}}),
            ("policy/name", "name", {"sflow": {}}),
            ("policy/name", "name", {"name": "a b", "sflow": {}}),
            ("policy/foreign", "respect", {"name": "x",
                                           "foreign": "maybe"})):
        refused(daemon, "export.policy.set", member, text, policy=policy)
    refused(daemon, "export.policy.set", "position", "1 to 4",
            policy={"name": "x"}, position=9)
    refused(daemon, "export.policy.set", "before", "no policy zz",
            policy={"name": "x"}, before="zz")
    refused(daemon, "export.policy.delete", "name", "no policy", name="zz")
    equal(daemon.rpc("config.get", defaults=False), good, "nothing changed")
    # By the command line.
    venturictl(daemon, "export", "policy", "delete", "b")
    equal(names(), ["a", default], "after delete")
    path = os.path.join(lab.dir, "c.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump({"match": {"bridges": ["br0"]},
                   "ipfix": {"sampling": 5}}, f)
    venturictl(daemon, "export", "policy", "set", "c", path)
    wait_row(ovs, "br0", "IPFIX", sampling=5)
    if "local" not in venturictl(daemon, "export", "policy", "list"):
        raise Failure("no targets in the list")
    for name in ("c", "a", default):
        venturictl(daemon, "export", "policy", "delete", name)
    equal(daemon.rpc("export.policy.list")["builtin"], True, "built in")
    wait_row(ovs, "br0", "sFlow", targets="127.0.0.1:6343")
    # A file that somebody edits at the same time wins.
    config = daemon.rpc("config.get", defaults=False)["config"]
    with open(daemon.config_file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    refused(daemon, "export.policy.set", None, "changed since",
            policy={"name": "x"})
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid", "venturictl"))
