#!/usr/bin/env python3
"""BIRD, FRR, GoBGP and ExaBGP as BGP neighbours, FRR and GoBGP as BMP
senders: what they announce is what venturid has, route for route."""
# timeout: 600

import json
import os
import re
import shutil

from bgp_peer import OURS, BgpLab, await_state, daemon, neighbor, routes
from harness import (Failure, Process, Skip, equal, main, run, wait_until)

BIRD = "/usr/sbin/bird"
FRR = "/usr/lib/frr"
GOBGPD = "/usr/bin/gobgpd"
EXABGP = "/usr/sbin/exabgp"


def need(path):
    if not os.path.exists(path):
        raise Skip("no %s (packaging/deps/debian.sh test)" % path)


def write(lab, name, text):
    path = os.path.join(lab.dir, name)
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path


class Bird:
    """A BIRD of AS 65002 at 10.0.0.2."""

    def __init__(self, lab, v4, v6=(), extra="", channel=""):
        need(BIRD)
        self.lab = lab
        self.control = os.path.join(lab.dir, "bird.ctl")
        self.conf = os.path.join(lab.dir, "bird.conf")
        self.extra, self.channel = extra, channel
        self.write(v4, v6)
        self.start()

    def start(self):
        self.process = Process("bird", [
            BIRD, "-f", "-c", self.conf, "-s", self.control,
            "-P", self.control + ".pid"], self.control + ".log",
            self.lab.name)

    def write(self, v4, v6=()):
        lines = ["router id 10.0.0.2;", "protocol device {}",
                 "protocol static s4 { ipv4;"]
        lines += ["route %s blackhole { bgp_large_community.add((65002, 1, "
                  "2)); bgp_community.add((65002, 7)); };" % p for p in v4]
        lines += ["}", "protocol static s6 { ipv6;"]
        lines += ["route %s blackhole;" % p for p in v6]
        lines += ["}", "protocol bgp venturi { local 10.0.0.2 as 65002; "
                  "neighbor %s as 65000; multihop; connect delay time 1; "
                  "graceful restart on; strict bind yes; %s"
                  "ipv4 { export all; import none; next hop self; %s }; "
                  "ipv6 { export all; import none; next hop address "
                  "fd00::2; }; }" % (OURS, self.extra, self.channel)]
        write(self.lab, "bird.conf", "\n".join(lines) + "\n")

    def ctl(self, *command):
        return self.lab.run("birdc", "-s", self.control, *command)

    def reconfigure(self, v4, v6=()):
        self.write(v4, v6)
        self.ctl("configure")

    def exported(self):
        """Prefixes that BIRD says it exports."""
        text = self.ctl("show", "route", "export", "venturi")
        return set(re.findall(r"^([0-9a-f.:]+/\d+)", text, re.M))

    def table(self, v6=False):
        """The same, as table() has it: communities are in its words, path
        and next hop what it puts in when it exports."""
        text = self.ctl("show", "route", "table",
                        "master6" if v6 else "master4", "export", "venturi",
                        "all")
        found, prefix = {}, None
        for line in text.splitlines():
            match = re.match(r"([0-9a-f.:]+/\d+)\s", line)
            if match:
                prefix = match.group(1)
                found[prefix] = [[], []]
            for i, name in enumerate(("community", "large_community")):
                match = re.match(r"\s+BGP.%s: (.*)" % name, line)
                if match:
                    found[prefix][i] = [
                        c.replace(", ", ":").replace(",", ":") for c in
                        re.findall(r"\(([0-9, ]+)\)", match.group(1))]
        hop = "fd00::2" if v6 else "10.0.0.2"
        return {p: [("65002", hop, tuple(sorted(c)), tuple(sorted(large)))]
                for p, (c, large) in found.items()}


def table(venturid, peer, family="ipv4-unicast"):
    """What we have of a peer: for each prefix path, next hop, communities."""
    found, cursor = {}, None
    while True:
        answer = venturid.rpc("route.table", peer=peer, family=family,
                              limit=1000, **({"cursor": cursor} if cursor
                                             else {}))
        for route in answer["routes"]:
            found.setdefault(route["prefix"], []).append((
                route["as_path"], route["next_hop"],
                tuple(sorted(route["communities"])),
                tuple(sorted(route["large_communities"]))))
        cursor = answer["cursor"]
        if not cursor:
            return {p: sorted(routes) for p, routes in found.items()}


def same(ours, theirs, what):
    """Route for route."""
    for prefix in sorted(set(ours) | set(theirs)):
        equal(ours.get(prefix), theirs.get(prefix), "%s: %s" % (what, prefix))


def details(venturid, peer, family="ipv4-unicast"):
    """More of each route than table(): path, next hop, MED, LOCAL_PREF,
    ORIGIN, communities."""
    answer = venturid.rpc("route.table", peer=peer, family=family, limit=1000)
    return {r["prefix"]: (r["as_path"], r["next_hop"], r.get("med"),
                          r.get("local_pref"), r["origin"],
                          tuple(sorted(r["communities"])),
                          tuple(sorted(r["large_communities"])))
            for r in answer["routes"]}


def nets(n):
    return ["10.%d.%d.0/24" % (100 + i // 256, i % 256) for i in range(n)]


NEIGHBOR = {"address": "10.0.0.2", "remote-as": 65002,
            "source-address": OURS, "connect-retry": 1}


def test_bird():
    """IPv4 and IPv6, thousands of withdrawals, refresh, resets, restart."""
    lab = BgpLab()
    v6 = ["2001:db8:%x::/48" % i for i in range(100)]
    bird = Bird(lab, nets(5000), v6)
    venturid = daemon(lab, [NEIGHBOR])
    await_state(venturid, "10.0.0.2")
    routes(venturid, "10.0.0.2", 5000)
    routes(venturid, "10.0.0.2", 100, "ipv6-unicast")
    equal(len(bird.exported()), 5100, "what BIRD exports")
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["complete"]
               == ["ipv4-unicast", "ipv6-unicast"], what="both complete")
    entry = neighbor(venturid, "10.0.0.2")
    equal(entry["enhanced_refresh"], True, "enhanced refresh")
    same(table(venturid, "10.0.0.2"), bird.table(), "BIRD")
    same(table(venturid, "10.0.0.2", "ipv6-unicast"), bird.table(True),
         "BIRD, IPv6")
    bird.reconfigure(nets(17), v6[:3])
    routes(venturid, "10.0.0.2", 17)
    routes(venturid, "10.0.0.2", 3, "ipv6-unicast")
    equal(neighbor(venturid, "10.0.0.2")["counters"]["withdrawn"], 5080,
          "withdrawals")
    # Refresh: all again, and none is lost.
    before = neighbor(venturid, "10.0.0.2")["counters"]
    venturid.rpc("bgp.refresh", address="10.0.0.2")
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]
               ["announced"] == before["announced"] + 20)
    routes(venturid, "10.0.0.2", 17)
    equal(neighbor(venturid, "10.0.0.2")["counters"]["flaps"], 0, "flaps")
    # A reset from either side.
    venturid.rpc("bgp.reset", address="10.0.0.2")
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["counters"]
               ["established"] == 2, 30)
    routes(venturid, "10.0.0.2", 17)
    bird.ctl("disable", "venturi")
    wait_until(lambda: (neighbor(venturid, "10.0.0.2")["last_error"] or {})
               .get("text", "").startswith(
                   "Cease: Administrative Shutdown"))
    bird.ctl("enable", "venturi")
    await_state(venturid, "10.0.0.2")
    routes(venturid, "10.0.0.2", 17)
    # Its end without a word: the routes wait for it.
    bird.process.popen.kill()
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["state"]
               != "Established")
    equal(neighbor(venturid, "10.0.0.2")["routes"]["ipv4-unicast"], 17,
          "routes of one that restarts")
    bird.process.popen.wait()
    bird.write(nets(11), v6[:3])
    bird.start()
    await_state(venturid, "10.0.0.2")
    routes(venturid, "10.0.0.2", 11)
    venturid.stop()


def test_bird_md5():
    """TCP-MD5 both ways, and with the wrong key nothing."""
    lab = BgpLab()
    Bird(lab, nets(3), extra='password "secret"; ')
    venturid = daemon(lab, [dict(NEIGHBOR, password="secret")])
    routes(venturid, "10.0.0.2", 3)
    equal(neighbor(venturid, "10.0.0.2")["md5"], True, "md5")
    config = {"bgp": {"neighbor": [dict(NEIGHBOR, password="other")]}}
    venturid.rpc("config.edit", config={"venturi:venturi": config})
    wait_until(lambda: neighbor(venturid, "10.0.0.2")["state"]
               != "Established")
    config["bgp"]["neighbor"][0]["password"] = "secret"
    config["bgp"]["neighbor"][0]["passive"] = True
    venturid.rpc("config.edit", config={"venturi:venturi": config})
    await_state(venturid, "10.0.0.2", timeout=60)       # It connects.
    routes(venturid, "10.0.0.2", 3)
    venturid.stop()


def test_bird_gtsm():
    lab = BgpLab()
    Bird(lab, nets(3), extra="ttl security on; ")
    venturid = daemon(lab, [dict(NEIGHBOR, **{"ttl-security": 1})])
    routes(venturid, "10.0.0.2", 3)
    venturid.stop()


def test_bird_gtsm_ipv6():
    lab = BgpLab()
    conf = write(lab, "bird6.conf", """
router id 10.0.0.2;
protocol device {}
protocol static { ipv6; route 2001:db8::/48 blackhole; }
protocol bgp v { local fd00::2 as 65002; neighbor fd00::1 as 65000;
    multihop; connect delay time 1; ttl security on; strict bind yes;
    ipv6 { import none; export all; next hop self; }; }
""")
    control = os.path.join(lab.dir, "bird.ctl")
    Process("bird", [BIRD, "-f", "-c", conf, "-s", control, "-P",
                     control + ".pid"], control + ".log", lab.name)
    venturid = daemon(lab, [{
        "address": "fd00::2", "remote-as": 65002, "connect-retry": 1,
        "source-address": "fd00::1", "ttl-security": 1}])
    routes(venturid, "fd00::2", 1, "ipv6-unicast")
    venturid.stop()


def test_bird_add_path():
    """Two routes of each prefix, told apart by their path identifiers; one of
    them goes, and the other stays."""
    lab = BgpLab()
    bird = Bird(lab, nets(5), channel="add paths tx;")
    wait_until(lambda: os.path.exists(bird.control), what="BIRD")

    def second(n):
        """Another protocol with the same prefixes, and its own community."""
        bird.write(nets(5))
        with open(bird.conf, "a", encoding="ascii") as f:
            f.write("protocol static again { ipv4 { preference 50; }; %s }\n"
                    % "".join("route %s blackhole { bgp_community.add((65002,"
                              " 8)); bgp_path.prepend(64999); };" % p
                              for p in nets(n)))
        bird.ctl("configure")
    second(5)
    venturid = daemon(lab, [NEIGHBOR])
    await_state(venturid, "10.0.0.2")
    equal(neighbor(venturid, "10.0.0.2")["add_path"], ["ipv4-unicast"],
          "add-path")
    routes(venturid, "10.0.0.2", 10)
    one = ("65002", "10.0.0.2", ("65002:7",), ("65002:1:2",))
    two = ("65002 64999", "10.0.0.2", ("65002:8",), ())
    same(table(venturid, "10.0.0.2"), {p: [one, two] for p in nets(5)},
         "both")
    ids = {r["path_id"] for r in venturid.rpc(
        "route.lookup", address="10.100.0.1")["routes"]}
    equal(len(ids), 2, "path identifiers: %s" % ids)
    second(2)
    routes(venturid, "10.0.0.2", 7)
    same(table(venturid, "10.0.0.2"), {
        p: [one, two] if p in nets(2) else [one] for p in nets(5)},
         "three second ones less")
    venturid.stop()


def test_frr():
    """FRR: ADD-PATH, and BMP of what GoBGP tells it."""
    need(FRR + "/bgpd")
    need(GOBGPD)
    lab = BgpLab()
    vty = os.path.join(lab.dir, "vty")
    os.mkdir(vty)
    shutil.chown(vty, "frr", "frr")
    os.chmod(lab.dir, 0o777)
    conf = write(lab, "bgpd.conf", """
hostname frr
router bgp 65003
 bgp router-id 10.0.0.3
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.0.0.1 remote-as 65000
 neighbor 10.0.0.1 ebgp-multihop
 neighbor 10.0.0.1 update-source 10.0.0.3
 neighbor 10.0.0.1 timers connect 1
 neighbor 10.0.0.1 password frr's
 bgp graceful-restart
 neighbor 10.0.0.4 remote-as 65004
 neighbor 10.0.0.4 ebgp-multihop
 neighbor 10.0.0.4 update-source 10.0.0.3
 neighbor 10.0.0.4 passive
 address-family ipv4 unicast
  network 203.0.113.0/24
  network 198.51.100.0/25
  neighbor 10.0.0.1 addpath-tx-all-paths
  neighbor 10.0.0.4 soft-reconfiguration inbound
 exit-address-family
 address-family ipv6 unicast
  network 2001:db8:1::/48
  neighbor 10.0.0.1 activate
 exit-address-family
 bmp targets venturi
  bmp connect 10.0.0.1 port 11019 min-retry 200 max-retry 1000
  bmp monitor ipv4 unicast pre-policy
  bmp monitor ipv4 unicast post-policy
  bmp stats interval 1000
 exit
""")
    venturid = daemon(lab, [{"address": "10.0.0.3", "remote-as": 65003,
                             "source-address": OURS, "connect-retry": 1,
                             "password": "frr's"}],
                      bmp={"listen": [OURS + ":11019"]})
    Process("bgpd", [FRR + "/bgpd", "-f", conf, "-Z", "-S", "-n", "-l",
                     "10.0.0.3", "-M", "bmp", "--vty_socket", vty, "-i",
                     os.path.join(lab.dir, "bgpd.pid"), "-P", "0", "--log",
                     "stdout", "-u", "frr", "-g", "frr"],
            os.path.join(lab.dir, "bgpd.log"), lab.name)
    await_state(venturid, "10.0.0.3", timeout=40)
    routes(venturid, "10.0.0.3", 2)
    routes(venturid, "10.0.0.3", 1, "ipv6-unicast")
    entry = neighbor(venturid, "10.0.0.3")
    equal("ipv4-unicast" in entry["add_path"], True, "add-path")
    equal(entry["capabilities"]["hostname"], "frr", "hostname")
    equal(entry["md5"], True, "md5")
    equal("graceful-restart" in entry["capabilities"]["names"], True,
          str(entry["capabilities"]))
    # GoBGP tells FRR, FRR tells us: by BGP and by BMP.
    gobgp = Gobgp(lab, "10.0.0.4", 65004, "10.0.0.3", 65003)
    for net in ("192.0.2.0/24", "198.51.100.0/24"):
        gobgp.ctl("global", "rib", "add", net, "nexthop", "10.0.0.4",
                  "community", "65004:9")
    routes(venturid, "10.0.0.3", 4, timeout=60)

    def vtysh(command):
        return json.loads(lab.run("vtysh", "--vty_socket", vty, "-c",
                                  command + " json"))

    def advertised(family):
        """As vtysh says: path, MED, ORIGIN of what it tells us; communities
        of the route in its table.  The next hop it puts in when it sends."""
        sent = vtysh("show bgp %s neighbors 10.0.0.1 advertised-routes"
                     % family)["advertisedRoutes"]
        found = {}
        for p, r in sent.items():
            entry = vtysh("show bgp %s %s" % (family, p))["paths"][0]
            found[p] = (
                ("65003 " + r["path"]).strip(), r.get("metric"),
                {"IGP": "igp", "EGP": "egp"}.get(entry["origin"],
                                                 "incomplete"),
                tuple(sorted(entry.get("community", {}).get("list", []))),
                tuple(sorted(entry.get("largeCommunity", {}).get("list",
                                                                 []))))
        return found

    def ours(family):
        return {p: (path, med, origin, communities, large)
                for p, (path, _, med, _, origin, communities, large)
                in details(venturid, "10.0.0.3", family).items()}

    for family, name in (("ipv4 unicast", "ipv4-unicast"),
                         ("ipv6 unicast", "ipv6-unicast")):
        same(ours(name), advertised(family), "FRR, " + name)
    # FRR leaves another's next hop as it is, or not: it depends on when.
    equal({r[1] for r in details(venturid, "10.0.0.3").values()}
          - {"10.0.0.4"}, {"10.0.0.3"}, "next hops")

    def peer():
        for router in venturid.rpc("bmp.routers")["routers"]:
            for entry in router["peers"]:
                if entry["address"] == "10.0.0.4":
                    return entry
        return None
    wait_until(lambda: peer() and peer()["routes"].get("in-pre", {}).get(
        "ipv4-unicast") == 2 and peer()["routes"].get("in-post", {}).get(
            "ipv4-unicast") == 2, 40, lambda: str(peer()))
    equal((peer()["state"], peer()["as"]), ("up", 65004), "peer by BMP")
    wait_until(lambda: peer()["statistics"], 20, "statistics")
    gobgp.ctl("global", "rib", "del", "192.0.2.0/24")
    wait_until(lambda: peer()["routes"]["in-pre"]["ipv4-unicast"] == 1, 20)
    routes(venturid, "10.0.0.3", 3)
    gobgp.process.stop()
    wait_until(lambda: peer()["state"] == "down", 60, lambda: str(peer()))
    venturid.stop()


class Gobgp:
    def __init__(self, lab, address, asn, other, other_as, bmp="",
                 password=""):
        need(GOBGPD)
        self.lab = lab
        conf = write(lab, "gobgp-%d.toml" % asn, """
[global.config]
  as = %d
  router-id = "%s"
  local-address-list = ["%s"]
[[neighbors]]
  [neighbors.config]
    neighbor-address = "%s"
    peer-as = %d
    auth-password = "%s"
  [neighbors.transport.config]
    local-address = "%s"
  [neighbors.timers.config]
    connect-retry = 5
    idle-hold-time-after-reset = 1
  [neighbors.ebgp-multihop.config]
    enabled = true
    multihop-ttl = 10
  [neighbors.graceful-restart.config]
    enabled = true
    restart-time = 20
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv4-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "ipv6-unicast"
    [neighbors.afi-safis.mp-graceful-restart.config]
      enabled = true
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "l3vpn-ipv4-unicast"
  [[neighbors.afi-safis]]
    [neighbors.afi-safis.config]
      afi-safi-name = "l2vpn-evpn"
%s""" % (asn, address, address, other, other_as, password, address, bmp))
        self.api = "%s:50051" % address
        self.conf = conf
        self.start()

    def start(self, *args):
        self.process = Process("gobgpd", [
            GOBGPD, "-f", self.conf, "--api-hosts", self.api,
            "--pprof-disable", *args], self.conf + ".log", self.lab.name)
        wait_until(lambda: "as" in self.ctl("global", check=False).lower()
                   and "error" not in self.ctl("global", check=False), 20,
                   lambda: self.process.text()[-1000:])

    def ctl(self, *args, check=True):
        host, port = self.api.split(":")
        return self.lab.run("gobgp", "-u", host, "-p", port, *args,
                            check=check)


def test_gobgp():
    """GoBGP by BGP and by BMP at the same time."""
    lab = BgpLab()
    venturid = daemon(lab, [{"address": "10.0.0.5", "remote-as": 65005,
                             "source-address": OURS, "connect-retry": 1,
                             "password": "go", "families": [
                                 "ipv4-unicast", "ipv6-unicast",
                                 "vpnv4-unicast", "l2vpn-evpn"]}],
                      bmp={"listen": [OURS + ":11019"],
                           "views": ["in-pre", "in-post", "local"]})
    gobgp = Gobgp(lab, "10.0.0.5", 65005, OURS, 65000, password="go", bmp="""
[[bmp-servers]]
  [bmp-servers.config]
    address = "10.0.0.1"
    port = 11019
    route-monitoring-policy = "local-rib"
""")
    await_state(venturid, "10.0.0.5", timeout=60)
    for i in range(20):
        gobgp.ctl("global", "rib", "add", "10.50.%d.0/24" % i, "nexthop",
                  "10.0.0.5", "med", str(i), "community", "65005:%d" % i,
                  "large-community", "65005:%d:7" % i)
    gobgp.ctl("global", "rib", "add", "-a", "ipv6", "2001:db8:5::/48",
              "nexthop", "fd00::5")
    routes(venturid, "10.0.0.5", 20)
    routes(venturid, "10.0.0.5", 1, "ipv6-unicast")
    equal(neighbor(venturid, "10.0.0.5")["md5"], True, "md5")

    def sent(family):
        """What gobgp says it told us."""
        text = gobgp.ctl("neighbor", OURS, "adj-out", "-a", family, "-j")
        found = {}
        for path in [p for paths in json.loads(text).values()
                     for p in paths]:
            attrs = {a["type"]: a for a in path["attrs"]}
            numbers = [n for s in attrs[2]["as_paths"] for n in s["asns"]]
            hop = attrs[3 if 3 in attrs else 14]["nexthop"]
            found[path["nlri"]["prefix"]] = (
                " ".join(map(str, numbers)), hop,
                attrs.get(4, {}).get("metric"), attrs.get(5, {}).get("value"),
                ("igp", "egp", "incomplete")[attrs[1]["value"]],
                tuple(sorted("%d:%d" % (c >> 16, c & 0xffff) for c in
                             attrs.get(8, {}).get("communities", []))),
                tuple(sorted("%d:%d:%d" % (c["ASN"], c["LocalData1"],
                                           c["LocalData2"]) for c in
                             attrs.get(32, {}).get("value", []))))
        return found

    for family, name in (("ipv4", "ipv4-unicast"), ("ipv6", "ipv6-unicast")):
        same(details(venturid, "10.0.0.5", name), sent(family), "GoBGP")
    # VPNs and EVPN: route distinguishers and targets are kept, and an
    # address is found in all of them.
    gobgp.ctl("global", "rib", "add", "-a", "vpnv4", "10.51.0.0/16", "label",
              "77", "rd", "65005:1", "rt", "65005:2", "nexthop", "10.0.0.5")
    gobgp.ctl("global", "rib", "add", "-a", "evpn", "macadv",
              "02:00:00:00:00:01", "10.51.0.9", "etag", "5", "label", "900",
              "rd", "65005:3", "rt", "65005:4", "encap", "vxlan")
    gobgp.ctl("global", "rib", "add", "-a", "evpn", "prefix", "10.51.0.0/24",
              "gw", "10.51.0.1", "etag", "5", "label", "901", "rd",
              "65005:5", "rt", "65005:6", "encap", "vxlan")
    gobgp.ctl("global", "rib", "add", "-a", "evpn", "multicast", "10.0.0.5",
              "etag", "5", "rd", "65005:7", "rt", "65005:8", "encap",
              "vxlan", "pmsi", "ingress-repl", "900", "10.0.0.5")
    routes(venturid, "10.0.0.5", 1, "vpnv4-unicast")
    routes(venturid, "10.0.0.5", 3, "l2vpn-evpn")
    found = {(r["family"], r["rd"], r["prefix"], r.get("evpn_type"),
              r.get("label"), [c for c in r["ext_communities"]
                               if c.startswith("rt:")][0])
             for r in venturid.rpc("route.lookup", address="10.51.0.9")
             ["routes"]}
    equal(found, {
        ("vpnv4-unicast", "65005:1", "10.51.0.0/16", None, 77, "rt:65005:2"),
        ("l2vpn-evpn", "65005:3", "10.51.0.9/32", 2, 900, "rt:65005:4"),
        ("l2vpn-evpn", "65005:5", "10.51.0.0/24", 5, 901, "rt:65005:6")},
          "10.51.0.9")
    wait_until(lambda: venturid.rpc("bmp.routers")["routers"], 30,
               "GoBGP by BMP")

    def local():
        # Its own routes; it calls itself no Loc-RIB.
        return [table["ipv4-unicast"]
                for r in venturid.rpc("bmp.routers")["routers"]
                for p in r["peers"] for table in p["routes"].values()
                if "ipv4-unicast" in table]
    wait_until(lambda: local() == [20], 30,
        lambda: str(venturid.rpc("bmp.routers")))
    for i in range(15):
        gobgp.ctl("global", "rib", "del", "10.50.%d.0/24" % i)
    routes(venturid, "10.0.0.5", 5)
    gobgp.ctl("neighbor", OURS, "reset")
    wait_until(lambda: neighbor(venturid, "10.0.0.5")["counters"]
               ["established"] == 2, 60)
    routes(venturid, "10.0.0.5", 5)
    # It ends without a word: its routes wait for it, and what it does not
    # tell again when it is back goes with its End-of-RIB.
    gobgp.process.popen.kill()
    gobgp.process.popen.wait()
    wait_until(lambda: neighbor(venturid, "10.0.0.5")["state"]
               != "Established", what="the end of the session")
    entry = neighbor(venturid, "10.0.0.5")
    equal((entry["routes"]["ipv4-unicast"], "ipv4-unicast" in entry["stale"]),
          (5, True), "routes of one that restarts")
    gobgp.start("-r")
    gobgp.ctl("global", "rib", "add", "10.50.17.0/24", "nexthop", "10.0.0.5")
    await_state(venturid, "10.0.0.5", timeout=60)
    routes(venturid, "10.0.0.5", 1, timeout=60)
    equal(neighbor(venturid, "10.0.0.5")["stale"], [], "stale families")
    venturid.stop()


def test_exabgp():
    """ExaBGP: ADD-PATH, communities of all kinds."""
    need(EXABGP)
    lab = BgpLab()
    lines = ["route 10.60.%d.0/24 next-hop 10.0.0.6 community [65006:1] "
             "large-community [65006:1:2] extended-community "
             "[target:65006:3] path-information 0.0.0.%d;" % (i, k)
             for i in range(10) for k in (1, 2)]
    lines += ["route 2001:db8:6:%d::/64 next-hop fd00::6;" % i
              for i in range(1, 6)]
    conf = write(lab, "exabgp.conf", """
neighbor 10.0.0.1 {
  router-id 10.0.0.6;
  local-address 10.0.0.6;
  local-as 65006;
  peer-as 65000;
  md5-password "exa";
  capability { add-path send/receive; route-refresh enable;
               graceful-restart 30; }
  family { ipv4 unicast; ipv6 unicast; }
  static { %s }
}
""" % "\n".join(lines))
    venturid = daemon(lab, [{"address": "10.0.0.6", "remote-as": 65006,
                             "passive": True, "password": "exa"}])
    exabgp = Process("exabgp", ["env", "exabgp.daemon.user=root",
                       "exabgp.api.cli=false", "exabgp.log.destination="
                       "stdout", "exabgp.tcp.port=179",
                       "exabgp.daemon.drop=false", EXABGP, conf],
            os.path.join(lab.dir, "exabgp.log"), lab.name)
    await_state(venturid, "10.0.0.6", timeout=60)
    routes(venturid, "10.0.0.6", 20)
    routes(venturid, "10.0.0.6", 5, "ipv6-unicast")
    entry = neighbor(venturid, "10.0.0.6")
    equal(entry["add_path"][0], "ipv4-unicast", "add-path")
    equal(entry["md5"], True, "md5")
    same(table(venturid, "10.0.0.6"), {
        "10.60.%d.0/24" % i: 2 * [("65006", "10.0.0.6", ("65006:1",),
                                   ("65006:1:2",))] for i in range(10)},
         "ExaBGP")
    same(table(venturid, "10.0.0.6", "ipv6-unicast"), {
        "2001:db8:6:%d::/64" % i: [("65006", "fd00::6", (), ())]
        for i in range(1, 6)}, "ExaBGP, IPv6")
    venturid.rpc("bgp.reset", address="10.0.0.6")
    wait_until(lambda: neighbor(venturid, "10.0.0.6")["counters"]
               ["established"] == 2, 60)
    routes(venturid, "10.0.0.6", 20)
    # It dies: its routes wait for it.
    exabgp.popen.kill()
    wait_until(lambda: neighbor(venturid, "10.0.0.6")["state"]
               != "Established")
    equal(neighbor(venturid, "10.0.0.6")["routes"]["ipv4-unicast"], 20,
          "routes of one that restarts")
    venturid.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
