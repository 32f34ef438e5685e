#!/usr/bin/env python3
"""Who is behind an address, as OVN's databases say it: real OVN with two chassis,
tenants with the same addresses, a port that moves; and why a packet was
sampled."""

import json
import os
import struct
import time

import ipfix
from harness import Daemon, Failure, Lab, equal, main, run, wait_until
from ipfix import BYTES, DST, PACKETS, SRC, udp
from ovn import SCHEMAS, Chassis, Database, Ovn

PROJECT = {"blue": "11" * 16, "red": "22" * 16}


def who(daemon, address, **more):
    return daemon.rpc("endpoint.lookup", address=address, **more)["matches"]


def listed(daemon, source):
    return daemon.rpc("endpoint.list", source=source,
                      limit=1000)["endpoints"]


def config(ovn, **more):
    return dict({"ovn": {"southbound": [ovn.sb.remote],
                         "northbound": [ovn.nb.remote]}}, **more)


def add_tenant(ovn, tenant):
    """A switch with two ports of the same addresses as any other tenant's."""
    ovn.nbctl("ls-add", tenant, "--", "set", "Logical_Switch", tenant,
              "external_ids:neutron\\:network_name=%s-net" % tenant)
    for i in (1, 2):
        name = "%s-%d" % (tenant, i)
        ovn.nbctl(
            "lsp-add", tenant, name, "--", "lsp-set-addresses", name,
            mac_of(tenant, i) + " 10.0.0.%d" % i, "--", "set",
            "Logical_Switch_Port", name,
            "external_ids:neutron\\:port_name=%s-vm%d" % (tenant, i),
            "external_ids:neutron\\:project_id=" + PROJECT[tenant],
            'external_ids:neutron\\:device_owner="compute:nova"')


def mac_of(tenant, i):
    return "02:00:00:%s:00:0%d" % ("0b" if tenant == "blue" else "0e", i)


def test_two_chassis():
    lab = Lab()
    ovn = Ovn(lab)
    chassis = [Chassis(ovn, 1), Chassis(ovn, 2)]
    for tenant in PROJECT:
        add_tenant(ovn, tenant)
    guests = {}
    for tenant in PROJECT:
        for i in (1, 2):
            guests[tenant, i] = chassis[i - 1].plug(
                "%s%d" % (tenant, i), "%s-%d" % (tenant, i),
                mac_of(tenant, i), "10.0.0.%d/24" % i)
    daemon = Daemon(lab, ovsdb=[c.ovs.remote for c in chassis],
                    config=config(ovn, export={"mode": "plan"}, collector={
                        "ipfix": {"listen": ["192.0.2.1:4739"]}}),
                    expect=["."])
    wait_until(lambda: len([e for e in listed(daemon, "ovn-sb")
                            if e["type"] == "vm" and e["host"]]) == 4, 40,
               lambda: listed(daemon, "ovn-sb"))
    # The three databases connect in any order.
    wait_until(lambda: [
        (m["said_by"].get("name"), m["said_by"].get("port"))
        for m in who(daemon, "10.0.0.1")] == [("ovn-nb", "ovsdb")] * 2, 20,
               lambda: who(daemon, "10.0.0.1"))
    found = who(daemon, "10.0.0.1")
    equal(sorted((m["name"], m["tenant"], m["network"], m["host"], m["type"],
                  m["source"]) for m in found),
          [(t + "-vm1", PROJECT[t], t + "-net", "node-1", "vm", "ovn-sb")
           for t in ("blue", "red")], "both tenants'")
    # Who says what: names are Northbound's, the port Open vSwitch's.
    blue = next(m for m in found if m["tenant"] == PROJECT["blue"])
    equal({k: blue["said_by"][k] for k in ("name", "host", "port")},
          {"name": "ovn-nb", "host": "ovn-sb", "port": "ovsdb"},
          "provenance")
    equal((blue["bridge"], blue["port"]), ("br-int", "blue1"), "port")
    equal([m["type"] for m in who(daemon, "192.0.2.11")][:1], ["host"],
          "a host's tunnel address")

    # Real packets of both, through the tunnel: told apart in flows.
    for tenant in PROJECT:
        wait_until(lambda: "1 received" in guests[tenant, 1].run(
            "ping", "-c1", "-W1", "10.0.0.2", check=False), 40,
            "a ping of " + tenant)
    for tenant in PROJECT:
        guests[tenant, 1].run("ping", "-c3", "-i0.2", "10.0.0.2")
    # Both chassis export to the lab: each tenant's packets are its own.
    for c in chassis:
        c.ovs.vsctl("clear", "Bridge", "br-int", "sflow", "--", "--id=@x",
                    "create", "IPFIX", 'targets="192.0.2.1:4739"',
                    "sampling=1", "--", "set", "Bridge", "br-int",
                    "ipfix=@x")
    keys = ["src_endpoint", "src_tenant", "src_network", "dst_endpoint"]

    def rows():
        for tenant in PROJECT:
            guests[tenant, 1].run("ping", "-c1", "-W1", "10.0.0.2",
                                  check=False)
        return sorted({tuple(r[k] for k in keys) for r in daemon.flows(
            by=keys, metrics=["packets"], observations="all",
            filter="src host 10.0.0.1 and dst host 10.0.0.2")})
    wanted = sorted((t + "-vm1", PROJECT[t], t + "-net", t + "-vm2")
                    for t in PROJECT)
    wait_until(lambda: [r for r in rows() if r in wanted] == wanted, 40, rows)
    wrong = [r for r in rows() if r[0] and r not in wanted]
    equal(wrong, [], "nobody is taken for another one")

    # What OVN 23.03 drops says so, and in which switch.
    for c in chassis:
        c.ovs.vsctl("clear", "Bridge", "br-int", "ipfix", "--", "--id=@b",
                    "get", "Bridge", "br-int", "--", "--id=@x", "create",
                    "IPFIX", 'targets="192.0.2.1:4739"', "--", "create",
                    "Flow_Sample_Collector_Set", "id=123", "bridge=@b",
                    "ipfix=@x")
    ovn.nbctl("set", "NB_Global", ".", "options:debug_drop_domain_id=1",
              "options:debug_drop_collector_set=123")

    def drops():
        for tenant in PROJECT:
            guests[tenant, 1].run("ip", "neigh", "replace", "10.0.0.99",
                                  "lladdr", "02:00:00:00:00:99", "dev",
                                  "eth0")
            guests[tenant, 1].run("ping", "-c1", "-W1", "10.0.0.99",
                                  check=False)
        return sorted({(r["why_network"], r["src_endpoint"])
                       for r in daemon.flows(
                           by=["why_network", "src_endpoint"],
                           metrics=["packets"], observations="all",
                           filter="why drop and dst host 10.0.0.99")})
    wait_until(lambda: drops() == [("blue-net", "blue-vm1"),
                                   ("red-net", "red-vm1")], 40, drops)

    # The port moves to the other chassis: one endpoint all the time.
    moved = time.time()
    run("ip", "-n", chassis[0].name, "link", "delete", "blue1")
    chassis[0].ovs.vsctl("del-port", "br-int", "blue1")
    chassis[1].plug("blue1m", "blue-1", mac_of("blue", 1), "10.0.0.1/24")

    def hosts(**at):
        return [m["host"] for m in who(daemon, "10.0.0.1",
                                       tenant=PROJECT["blue"], **at)
                if m["source"] == "ovn-sb"]
    wait_until(lambda: hosts() == ["node-2"], 30, hosts)
    equal(hosts(at="%.6f" % moved), ["node-1"], "before it moved")
    wait_until(lambda: who(daemon, "10.0.0.1", tenant=PROJECT["blue"])[0]
               ["port"] == "blue1m", 20)
    daemon.stop()


def databases(lab):
    """OVN's databases and northd, without chassis."""
    return Ovn(lab)


def test_names_addresses_and_restarts():
    lab = Lab()
    ovn = databases(lab)
    add_tenant(ovn, "blue")
    ovn.nbctl("ls-add", "public", "--", "lr-add", "r1", "--",
              "set", "Logical_Router", "r1",
              "external_ids:neutron\\:router_name=edge")
    for switch, lrp, mac, net in (
            ("blue", "r1-blue", "02:00:00:00:01:01", "10.0.0.254/24"),
            ("public", "r1-public", "02:00:00:00:01:02", "203.0.113.1/24")):
        ovn.nbctl("lrp-add", "r1", lrp, mac, net, "--",
                  "lsp-add", switch, switch + "-r", "--",
                  "lsp-set-type", switch + "-r", "router", "--",
                  "lsp-set-addresses", switch + "-r", "router", "--",
                  "lsp-set-options", switch + "-r", "router-port=" + lrp)
    ovn.nbctl("lr-nat-add", "r1", "snat", "203.0.113.1", "10.0.0.0/24", "--",
              "lr-nat-add", "r1", "dnat_and_snat", "203.0.113.9", "10.0.0.1",
              "blue-1", "02:00:00:00:01:09")
    ovn.nbctl("lb-add", "lb0", "203.0.113.80:80", "10.0.0.1:8080,10.0.0.2:8080",
              "--", "set", "Load_Balancer", "lb0",
              "external_ids:k8s.ovn.org/owner=shop/cart",
              "external_ids:k8s.ovn.org/kind=Service")
    ovn.nbctl("lsp-add", "blue", "shop_cart-7", "--",
              "lsp-set-addresses", "shop_cart-7",
              "0a:58:00:00:00:07 10.0.0.7 fd00::7", "--",
              "set", "Logical_Switch_Port", "shop_cart-7",
              "external_ids:namespace=shop", "external_ids:pod=true")
    daemon = Daemon(lab, config=config(ovn), expect=["."])

    def name(address, kind=None):
        return sorted((m["name"], m["type"]) for m in who(daemon, address)
                      if not kind or m["type"] == kind)
    wait_until(lambda: name("10.0.0.7") == [("cart-7", "pod")], 20,
               lambda: who(daemon, "10.0.0.7"))
    equal([m["tenant"] for m in who(daemon, "fd00::7")], ["shop"], "pod's")
    wait_until(lambda: name("10.0.0.254") == [("edge", "router")], 20,
               lambda: who(daemon, "10.0.0.254"))
    equal(name("203.0.113.9"), [("blue-vm1", "nat")], "floating address")
    equal(name("203.0.113.80"), [("cart", "service")], "load balancer")
    if ("edge", "nat") not in name("203.0.113.1"):
        raise Failure(who(daemon, "203.0.113.1"))
    keys = {e["name"]: e["vnis"] for e in listed(daemon, "ovn-sb")
            if e["type"] == "network"}
    equal(sorted(keys), ["blue-net", "public"], "networks, by their tunnel keys")

    # Learned: a neighbour of the router, and a MAC address behind a port.
    port, = json.loads(ovn.sbctl("--format=json", "--columns=datapath,"
                                 "tunnel_key", "find", "Port_Binding",
                                 "logical_port=blue-2"))["data"]
    lrp, = json.loads(ovn.sbctl("--format=json", "--columns=datapath", "find",
                                "Port_Binding",
                                "logical_port=r1-public"))["data"]
    ovn.sb.transact(
        {"op": "insert", "table": "MAC_Binding", "row": {
            "logical_port": "r1-public", "ip": "203.0.113.77",
            "mac": "02:aa:00:00:00:77", "datapath": lrp[0]}},
        {"op": "insert", "table": "FDB", "row": {
            "mac": "02:aa:00:00:00:02", "dp_key": keys["blue-net"][0],
            "port_key": port[1]}})
    wait_until(lambda: len(who(daemon, "203.0.113.77")) == 1, 10)
    learned, = who(daemon, "203.0.113.77")
    equal((learned["source"], learned["network"], learned["type"],
           learned["trust"]), ("ovn-learned", "public", "neighbour", 180),
          "neighbour")
    behind = daemon.rpc("endpoint.lookup", mac="02:aa:00:00:00:02")["matches"]
    equal([(m["name"], m["source"]) for m in behind],
          [("blue-vm2", "ovn-learned")], "behind a port")

    # A name changes; a port is deleted and made again at once.
    ovn.nbctl("set", "Logical_Switch_Port", "blue-1",
              "external_ids:neutron\\:port_name=renamed")
    wait_until(lambda: name("10.0.0.1") == [("renamed", "vm")], 15)
    first = time.time()
    ovn.nbctl("lsp-del", "shop_cart-7")
    ovn.nbctl("lsp-add", "blue", "shop_new-8", "--", "lsp-set-addresses", "shop_new-8",
              "0a:58:00:00:00:08 10.0.0.7", "--",
              "set", "Logical_Switch_Port", "shop_new-8",
              "external_ids:namespace=shop", "external_ids:pod=true")
    wait_until(lambda: name("10.0.0.7") == [("new-8", "pod")], 15)
    equal([m["name"] for m in who(daemon, "10.0.0.7", at="%.6f" % first)],
          ["cart-7"], "then")

    # Both databases are lost for a while.
    for db in (ovn.nb, ovn.sb):
        db.server.stop()
    wait_until(lambda: not any(
        s["connected"] for s in daemon.rpc("endpoint.databases")["databases"]),
        15)
    equal(name("10.0.0.7"), [("new-8", "pod")], "is kept")
    lost = time.time()
    for db in (ovn.nb, ovn.sb):
        db.start()
    wait_until(lambda: [m["gap"] for m in who(daemon, "10.0.0.7",
                                              at="%.6f" % lost)] == [True],
               30)
    equal(name("10.0.0.7"), [("new-8", "pod")], "goes on")
    ovn.nbctl("lsp-del", "shop_new-8")
    wait_until(lambda: name("10.0.0.7") == [], 20)

    # Without the Southbound database the Northbound one tells addresses.
    daemon.write_config({"ovn": {"northbound": [ovn.nb.remote]}})
    os.kill(daemon.process.pid, 1)
    wait_until(lambda: [m["source"] for m in who(daemon, "10.0.0.254")]
               == ["ovn-nb"], 20, lambda: who(daemon, "10.0.0.254"))
    equal(name("10.0.0.1"), [("renamed", "vm")], "Northbound alone")
    daemon.stop()


def sampling_schema(lab):
    """Debian's Northbound schema with the sampling tables of OVN 24.09."""
    with open(SCHEMAS + "/ovn-nb.ovsschema", encoding="utf-8") as f:
        schema = json.load(f)
    ref = {"key": {"type": "uuid", "refTable": "Sample"}, "min": 0, "max": 1}
    tables = schema["tables"]
    tables["ACL"]["columns"].update(sample_new=ref, sample_est=ref)
    tables["Sample"] = {"isRoot": True, "columns": {
        "metadata": {"type": {"key": {"type": "integer"}}}}}
    tables["Sampling_App"] = {"isRoot": True, "columns": {
        "type": {"type": "string"}, "id": {"type": "integer"}}}
    for column in ("sample_new", "sample_est"):
        tables["ACL"]["columns"][column] = {"type": ref}
    schema.pop("cksum", None)
    path = os.path.join(lab.dir, "nb-sampling.ovsschema")
    with open(path, "w", encoding="utf-8") as f:
        json.dump(schema, f)
    return path


DOMAIN_FIELDS = (SRC, DST, BYTES, PACKETS, (138, 8))


def send(lab, domain, points):
    records = [struct.pack("!4s4sQQQ", bytes((10, 0, 0, 1)),
                           bytes((10, 0, 0, 2)), 100, 1, p) for p in points]
    udp(lab.name).sendto(
        ipfix.message(ipfix.template(fields=DOMAIN_FIELDS),
                      ipfix.data(*records), domain=domain),
        ("127.0.0.1", 4739))


WHY = ["why", "why_name", "why_action", "why_policy", "why_network",
       "src_endpoint", "observation_point_id"]


def test_why():
    lab = Lab()
    nb = Database(lab, sampling_schema(lab), "OVN_Northbound")
    sb = Database(lab, SCHEMAS + "/ovn-sb.ovsschema", "OVN_Southbound")

    def named(name):
        return ["named-uuid", name]
    ids = ["map", [["k8s.ovn.org/name", "allow-web"]]]
    nb.transact(
        {"op": "insert", "table": "Sampling_App", "row": {
            "type": "acl-new", "id": 42}},
        {"op": "insert", "table": "Sampling_App", "row": {
            "type": "drop", "id": 43}},
        {"op": "insert", "table": "Sample", "uuid-name": "s1",
         "row": {"metadata": 1001}},
        {"op": "insert", "table": "Sample", "uuid-name": "s2",
         "row": {"metadata": 4294967295}},
        {"op": "insert", "table": "ACL", "uuid-name": "a1", "row": {
            "priority": 1001, "direction": "to-lport", "match": "tcp",
            "action": "allow-related", "name": "web", "external_ids": ids,
            "sample_new": named("s1")}},
        {"op": "insert", "table": "ACL", "uuid-name": "a2", "row": {
            "priority": 1, "direction": "to-lport", "match": "ip4",
            "action": "drop", "sample_new": named("s2")}},
        {"op": "insert", "table": "ACL", "uuid-name": "a3", "row": {
            "priority": 2, "direction": "from-lport", "match": "udp",
            "action": "allow", "name": "labelled", "label": 777}},
        {"op": "insert", "table": "Port_Group", "row": {
            "name": "pg_db", "acls": ["set", [named("a2"), named("a3")]]}},
        {"op": "insert", "table": "Logical_Switch", "row": {
            "name": "blue", "acls": named("a1")}})
    sb.transact(
        {"op": "insert", "table": "Datapath_Binding", "uuid-name": "d", "row": {
            "tunnel_key": 5,
            "external_ids": ["map", [["name", "blue"],
                                     ["logical-switch", "x"]]]}},
        {"op": "insert", "table": "Datapath_Binding", "uuid-name": "e", "row": {
            "tunnel_key": 6, "external_ids": ["map", [
                ["name", "red"], ["logical-switch", "y"]]]}},
        *({"op": "insert", "table": "Port_Binding", "row": {
            "logical_port": name, "tunnel_key": 1, "datapath": named(dp),
            "mac": "02:00:00:00:00:0%d 10.0.0.1" % i}}
          for i, (name, dp) in enumerate((("b1", "d"), ("r1", "e")))))
    daemon = Daemon(lab, config={
        "ovn": {"southbound": [sb.remote], "northbound": [nb.remote]},
        "alert": {"rule": [{"name": "drops", "by": ["src_endpoint"],
                            "filter": "why drop", "metric": "flows",
                            "above": "0.1"}]}})
    wait_until(lambda: all(
        d["connected"] for d in daemon.rpc("endpoint.databases")["databases"])
        and len(who(daemon, "10.0.0.1")) == 2, 15)
    # A message has its time in whole seconds: the next one is theirs.
    told = time.time()
    wait_until(lambda: int(time.time()) > told)

    def rows(where, **more):
        return daemon.flows(by=WHY, metrics=["flows"], observations="all",
                            filter=where, **more)

    def said():
        send(lab, 42 << 24 | 5, [1001, 4294967295])
        return {r["why_name"] for r in rows("why acl")} >= {
            "web", "to-lport 1 ip4"}
    wait_until(said, 20, lambda: rows("any"), interval=0.5)
    send(lab, 43 << 24 | 6, [0xdeadbeef])
    send(lab, 5, [777, 778])            # ACL.label, and nobody's.
    send(lab, 42 << 24 | 5, [9])        # A Sample that is gone.
    send(lab, 44 << 24 | 5, [1001])     # Another application.
    wait_until(lambda: len(rows("observation_point_id 9")) == 1
               and len(rows("why_name labelled")) == 1
               and len(rows("observation_domain_id 738197509")) == 1
               and len(rows("why drop")) == 1, 20, lambda: rows("any"))
    got = {(r["why_name"], r["observation_point_id"]):
           [r[k] for k in WHY[:6]] for r in rows("any")}
    expected = {
        ("web", 1001): ["acl", "web", "allow-related", "allow-web", "blue",
                        "b1"],
        ("to-lport 1 ip4", 4294967295): ["acl", "to-lport 1 ip4", "drop",
                                         "pg_db", "blue", "b1"],
        ("labelled", 777): ["acl", "labelled", "allow", "pg_db", "blue",
                            "b1"],
        (None, 778): [None] * 6,
        (None, 9): ["acl", None, None, None, "blue", "b1"],
        (None, 0xdeadbeef): ["drop", None, None, None, "red", "r1"],
        (None, 1001): [None] * 6,
    }
    equal(got, expected, "why")
    alert, = wait_until(lambda: daemon.rpc("alert.list")["alerts"])
    equal((alert["rule"], alert["subject"], alert["detail"]["why"]),
          ("drops", "r1", {"why": "drop", "why_network": "red"}),
          "why in an alert")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("ovsdb-server", "ovs-vsctl", "ovn-northd", "ovn-controller",
                "ovn-nbctl", "ovn-sbctl", "root"))
