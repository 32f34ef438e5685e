"""A private OVN: databases, northd, and chassis with an Open vSwitch each, all in
the namespaces of the test."""

import json
import os
import shutil

from harness import Netns, Ovs, Process, run, unique, wait_until

SCHEMAS = "/usr/share/ovn"


class Database:
    """An ovsdb-server with one database of OVN."""

    def __init__(self, lab, schema, name, listen=None):
        self.lab = lab
        self.dir = os.path.join(lab.dir, unique("ovn-"))
        os.mkdir(self.dir)
        self.file = os.path.join(self.dir, "db")
        self.socket = os.path.join(self.dir, "sock")
        self.remote = "unix:" + self.socket
        self.listen = listen
        self.name = name
        self.server = None
        run("ovsdb-tool", "create", self.file, schema)
        self.start()

    def start(self):
        command = ["ovsdb-server", self.file, "--remote=punix:" + self.socket,
                   "--unixctl=" + os.path.join(self.dir, "ctl"), "--no-chdir",
                   "-vconsole:off", "-vsyslog:off", "-vfile:off"]
        if self.listen:
            command.append("--remote=ptcp:" + self.listen)
        self.server = Process("ovsdb-server", command,
                              os.path.join(self.dir, "out"), self.lab.name)

        def ready():
            self.server.check()
            if not os.path.exists(self.socket):
                return False
            os.chmod(self.socket, 0o777)
            return True
        wait_until(ready, what="the socket of " + self.name)

    def transact(self, *operations):
        out = run("ovsdb-client", "transact", self.remote,
                  json.dumps([self.name] + list(operations)))
        replies = json.loads(out)
        for reply in replies:
            if reply and "error" in reply:
                raise AssertionError(reply)
        return replies


def plain(netns, device):
    netns.run("ethtool", "-K", device, "tx", "off", "tso", "off", "gso", "off",
              "gro", "off", check=False)


class Chassis(Netns):
    """A hypervisor: a namespace with an Open vSwitch and an
    ovn-controller."""

    def __init__(self, ovn, index):
        super().__init__("venturi-chassis-")
        self.ovn = ovn
        self.dir = ovn.lab.dir
        self.name_of_host = "node-%d" % index
        self.address = "192.0.2.1%d" % index
        link = "vch%d-%d" % (index, os.getpid() % 100000)
        run("ip", "link", "add", link, "netns", ovn.lab.name, "type", "veth",
            "peer", "name", "under0", "netns", self.name)
        ovn.lab.run("ip", "link", "set", link, "master", "under")
        ovn.lab.run("ip", "link", "set", link, "up")
        self.run("ip", "link", "set", "under0", "up")
        # The netdev datapath takes no packets larger than the MTU.
        plain(self, "under0")
        plain(ovn.lab, link)
        self.ovs = Ovs(self)
        # Tunnels of the netdev datapath leave through a bridge that has their
        # address.
        self.ovs.vsctl("add-br", "br-phys", "--", "set", "Bridge", "br-phys",
                       "datapath_type=netdev", "--", "add-port", "br-phys",
                       "under0")
        self.run("ip", "addr", "add", self.address + "/24", "dev", "br-phys")
        self.run("ip", "link", "set", "br-phys", "up")
        self.ovs.vsctl(
            "set", "Open_vSwitch", ".",
            "external_ids:system-id=" + self.name_of_host,
            "external_ids:hostname=" + self.name_of_host,
            "external_ids:ovn-remote=tcp:192.0.2.1:6642",
            "external_ids:ovn-encap-type=geneve",
            "external_ids:ovn-encap-ip=" + self.address,
            "external_ids:ovn-bridge-datapath-type=netdev")
        self.controller = Process("ovn-controller", [
            "ovn-controller", self.ovs.remote, "--no-chdir",
            "-vconsole:off", "-vsyslog:off", "-vfile:info",
            "--log-file=" + os.path.join(self.ovs.dir, "ovn.log")],
            os.path.join(self.ovs.dir, "ovn.out"), self.name,
            dict(self.ovs.env, OVN_RUNDIR=self.ovs.dir,
                 OVN_LOGDIR=self.ovs.dir))
        wait_until(self._integrated, 60, lambda: self.controller.text())

    def _integrated(self):
        self.controller.check()
        return "br-int" in self.ovs.vsctl("list-br")

    def plug(self, port, iface_id, mac, address, **external_ids):
        """A machine in a namespace of its own."""
        guest = Netns("venturi-vm-")
        guest.link = port
        run("ip", "link", "add", port, "netns", self.name, "type", "veth",
            "peer", "name", "eth0", "netns", guest.name)
        self.run("ip", "link", "set", port, "up")
        plain(guest, "eth0")
        guest.run("ip", "link", "set", "eth0", "address", mac)
        guest.run("ip", "addr", "add", address, "dev", "eth0")
        guest.run("ip", "link", "set", "eth0", "up")
        guest.run("ip", "link", "set", "lo", "up")
        self.ovs.vsctl("add-port", "br-int", port, "--", "set", "Interface",
                       port, "external_ids:iface-id=" + iface_id,
                       "external_ids:attached-mac=\"%s\"" % mac,
                       *("external_ids:%s=%s" % kv
                         for kv in external_ids.items()))
        return guest


class Ovn:
    def __init__(self, lab):
        self.lab = lab
        lab.run("ip", "link", "add", "under", "type", "bridge")
        lab.run("ip", "addr", "add", "192.0.2.1/24", "dev", "under")
        lab.run("ip", "link", "set", "under", "up")
        plain(lab, "under")
        self.nb = Database(lab, SCHEMAS + "/ovn-nb.ovsschema",
                           "OVN_Northbound")
        self.sb = Database(lab, SCHEMAS + "/ovn-sb.ovsschema",
                           "OVN_Southbound", "6642:192.0.2.1")
        self.northd = Process("ovn-northd", [
            "ovn-northd", "--ovnnb-db=" + self.nb.remote,
            "--ovnsb-db=" + self.sb.remote, "--no-chdir",
            "--unixctl=" + os.path.join(self.nb.dir, "northd.ctl"),
            "-vconsole:off", "-vsyslog:off", "-vfile:off"],
            os.path.join(self.nb.dir, "northd.out"), lab.name)

    def nbctl(self, *args):
        return run("ovn-nbctl", "--db=" + self.nb.remote, "--timeout=20",
                   *args)

    def sbctl(self, *args):
        return run("ovn-sbctl", "--db=" + self.sb.remote, "--timeout=20",
                   *args)


def available():
    return all(shutil.which(p) for p in ("ovn-northd", "ovn-controller",
                                         "ovn-nbctl", "ovn-sbctl"))
