#!/usr/bin/env python3
"""Machines of a real libvirtd (its driver for tests, which is part of it): known
while they run, told apart, and given the names that nova has for them."""

import os
import shutil
import socket
import struct
import tempfile
import threading

from harness import (Daemon, Lab, Process, Skip, equal, main, on_cleanup, run,
                     wait_until)

URI = "test:///default"
PORT = "99999999-aaaa-bbbb-cccc-dddddddddddd"

NOVA = """
<domain type='test'>
  <name>instance-00000001</name>
  <uuid>11111111-2222-3333-4444-%(n)012d</uuid>
  <metadata>
    <nova:instance xmlns:nova="http://openstack.org/xmlns/libvirt/nova/1.1">
      <nova:name>shop &amp; web</nova:name>
      <nova:flavor name="m1.tiny"/>
      <nova:owner>
        <nova:user uuid="u">someone</nova:user>
        <nova:project uuid="p-1">blue</nova:project>
      </nova:owner>
      <nova:ports>
        <nova:port uuid="%(port)s">
          <nova:ip type="fixed" address="%(address)s" ipVersion="4"/>
        </nova:port>
      </nova:ports>
    </nova:instance>
  </metadata>
  <memory unit='KiB'>1024</memory>
  <os><type arch='i686'>hvm</type></os>
  <devices>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:%(n)02x'/>
      <source bridge='br-int'/>
      <virtualport type='openvswitch'>
        <parameters interfaceid='%(port)s'/>
      </virtualport>
      <target dev='tap-one'/>
    </interface>
  </devices>
</domain>
"""


def open_dir():
    path = tempfile.mkdtemp(prefix="venturi-libvirt-", dir="/tmp")
    on_cleanup(shutil.rmtree, path, True)
    os.chmod(path, 0o755)
    return path


class Libvirtd:
    """One without drivers other than those that are part of it."""

    def __init__(self, lab):
        program = shutil.which("libvirtd")
        if not program or not shutil.which("virsh"):
            raise Skip("libvirtd or virsh is not installed")
        self.dir, self.lab = open_dir(), lab
        self.ro = os.path.join(self.dir, "libvirt-sock-ro")
        self.uri = "test+unix:///default?socket=%s/libvirt-sock" % self.dir
        os.mkdir(os.path.join(self.dir, "drivers"))
        with open(os.path.join(self.dir, "conf"), "w",
                  encoding="utf-8") as f:
            f.write('unix_sock_dir = "%s"\nunix_sock_ro_perms = "0777"\n'
                    'auth_unix_ro = "none"\nauth_unix_rw = "none"\n'
                    % self.dir)
        self.command = [program, "-f", os.path.join(self.dir, "conf"), "-p",
                        os.path.join(self.dir, "pid")]

    def start(self):
        env = dict(os.environ,
                   LIBVIRT_DRIVER_DIR=os.path.join(self.dir, "drivers"))
        self.process = Process("libvirtd", self.command,
                               os.path.join(self.lab.dir, "libvirtd.log"),
                               self.lab.name, env=env)

        def listens():
            self.process.check()
            return os.path.exists(self.ro)
        wait_until(listens, what="libvirtd listens")

    def virsh(self, *args):
        return run("virsh", "-q", "-c", self.uri, *args, netns=self.lab.name)

    def create(self, **facts):
        path = os.path.join(self.dir, "domain.xml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(NOVA % facts)
        self.virsh("create", path)


def config(*sockets, uri=URI):
    return {"inventory": {"containers": {"enabled": False},
                          "libvirt": {"socket": list(sockets), "uri": uri}}}


def who(daemon, **what):
    found = daemon.rpc("endpoint.lookup", **what)["matches"]
    return [m["name"] for m in found if m["source"] == "libvirt"]


def source(daemon):
    for s in daemon.rpc("endpoint.sources")["sources"]:
        if s["source"] == "libvirt":
            return s
    return {}


def await_who(daemon, address, names, what):
    wait_until(lambda: who(daemon, address=address) == names, what=what)


def test_machines():
    lab = Lab()
    libvirtd = Libvirtd(lab)
    daemon = Daemon(lab, config=config(libvirtd.dir + "/none", libvirtd.ro))
    wait_until(lambda: source(daemon).get("state") == "absent",
               what="a socket that is not there is no error")
    libvirtd.start()
    # Wakes the one who looks once a minute.
    daemon.rpc("config.edit", config={"venturi:venturi": config(
        libvirtd.ro)}, merge=True)
    lease = libvirtd.virsh("domifaddr", "test").split()[3].split("/")[0]
    await_who(daemon, lease, ["test"], "the address of its lease")
    match = daemon.rpc("endpoint.lookup", address=lease)["matches"][0]
    equal((match["type"], match["network"], match["port"], match["trust"]),
          ("vm", "default", "testnet0", 120), "members")
    equal(match["labels"]["domain"], "test", "label")
    equal(source(daemon)["state"], "read", "state")

    # One that nova made; told by an event, not by looking each minute.
    looked = source(daemon)["looked"]
    libvirtd.create(n=1, port=PORT, address="10.0.0.5")
    wait_until(lambda: who(daemon, address="10.0.0.5") == ["shop & web"],
               timeout=30, what="nova's name, after an event")
    assert source(daemon)["looked"] != looked
    match = daemon.rpc("endpoint.lookup", address="10.0.0.5")["matches"][0]
    equal((match["tenant"], match["bridge"], match["port"],
           match["interface"], match["labels"]),
          ("blue", "br-int", "tap-one", PORT,
           {"domain": "instance-00000001", "flavor": "m1.tiny",
            "project_id": "p-1",
            "uuid": "11111111-2222-3333-4444-000000000001"}), "members")
    equal(who(daemon, mac="52:54:00:00:00:01"), ["shop & web"], "MAC")
    libvirtd.virsh("destroy", "instance-00000001")
    await_who(daemon, "10.0.0.5", [], "it has ended")
    equal(who(daemon, address=lease), ["test"], "the other has not")

    # A libvirtd that goes ends nobody: machines outlive it.
    daemon.announce("inventory .*libvirt-sock-ro: ")
    libvirtd.process.stop()
    wait_until(lambda: source(daemon)["state"] in ("absent", "error"),
               what="it is gone")
    equal(who(daemon, address=lease), ["test"], "stays")
    # It is back, twice, without a hand: what it has now is known, by events too.
    for n in (2, 3):
        libvirtd.start()
        # The driver for tests forgets machines when nobody is connected.
        wait_until(lambda: source(daemon)["state"] == "read", timeout=40,
                   what="it is connected again")
        address = "10.0.0.%d" % n
        libvirtd.create(n=n, port=PORT, address=address)
        wait_until(lambda: who(daemon, address=address) == ["shop & web"],
                   timeout=30, what="it is asked again")
        libvirtd.virsh("destroy", "instance-00000001")
        wait_until(lambda: who(daemon, address=address) == [], timeout=30,
                   what="and tells of changes")
        libvirtd.process.kill()
        wait_until(lambda: source(daemon)["state"] in ("absent", "error"),
                   what="it is gone again")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "inventory": {"libvirt": {"enabled": False}}}}, merge=True)
    await_who(daemon, lease, [], "no longer configured")
    daemon.stop()


def reply(serial, body=b"", status=0, kind=1, program=0x20008086):
    data = struct.pack(">6I", program, 1, 0, kind, serial, status) + body
    return struct.pack(">I", len(data) + 4) + data


def text(s):
    return struct.pack(">I", len(s)) + s + b"\0" * (-len(s) % 4)


# What a daemon says to a caller of AUTH_LIST, and what is told of it.
WRONG = {
    "not libvirt's protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "auth_unix_ro must be": reply(1, struct.pack(">2I", 1, 2)),
    "Connection reset by peer": reply(1)[:20],
    "libvirt: no way": reply(1, struct.pack(">3I", 38, 7, 1)
                             + text(b"no way"), status=1),
}


def test_wrong_daemons():
    for number, (expected, answer) in enumerate(WRONG.items()):
        lab = Lab()
        path = os.path.join(open_dir(), "sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen(4)

        def serve(listener=listener, answer=answer):
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                peer.recv(4096)
                peer.sendall(answer)
                peer.close()
        threading.Thread(target=serve, daemon=True).start()
        daemon = Daemon(lab, config=config(path),
                        expect=["inventory .*/sock: "])
        wait_until(lambda d=daemon, e=expected:
                   e in (source(d).get("error") or ""),
                   what="case %d: %s is told" % (number, expected))
        daemon.stop()
        listener.close()


if __name__ == "__main__":
    main()
