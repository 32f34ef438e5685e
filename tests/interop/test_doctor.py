#!/usr/bin/env python3
"""tests/interop/test_doctor.py -- system.doctor and "venturictl doctor" against
a real Open vSwitch in every state that they should recognize."""
# timeout: 240

import os
import re
import signal
import subprocess
import sys

from harness import (BUILDDIR, Daemon, Failure, Lab, Ovs, Process, equal,
                     main, on_cleanup, run, wait_until)

OVSDB_GONE = (r"ovsdb\|WARN", r"reconnect\|WARN", r"jsonrpc\|WARN",
              r"stream\w*\|WARN", r"ovsdb_cs\|WARN", r"ovsdb_idl\|WARN")


def doctor(daemon, check=None, status=None, subject=""):
    """The lines of a check, with a status and a subject if told."""
    result = daemon.rpc("system.doctor", all=True)
    return [line for line in result["checks"]
            if check in (None, line["check"])
            and status in (None, line["status"])
            and subject in line["subject"]]


def wait_line(daemon, check, status, message, remedy="", subject="",
              timeout=20):
    """Waits for a line that says so and returns it."""
    def found():
        for line in doctor(daemon, check, status, subject):
            if re.search(message, line["message"]) \
                    and re.search(remedy, line["remedy"] or ""):
                return line
        return None
    return wait_until(found, timeout, lambda: "%s %s %s; got %s" % (
        check, status, message, doctor(daemon, check)), interval=0.1)


def venturictl(daemon, *args):
    """(exit status, output)."""
    result = subprocess.run(
        [os.path.join(BUILDDIR, "venturictl"), "--api", daemon.api, *args],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=30, check=False)
    return result.returncode, result.stdout


def test_no_server():
    """The socket is not there, then nobody listens on it, then all is well."""
    lab = Lab()
    ovs = Ovs(lab, start=False)
    daemon = Daemon(lab, ovs.remote, expect=OVSDB_GONE)
    wait_line(daemon, "socket", "fail", "there is no .*db.sock",
              "systemctl start")
    wait_line(daemon, "ovsdb", "fail", "not connected", "socket")
    status, text = venturictl(daemon, "doctor")
    equal(status, 1, "exit status:\n" + text)
    if "-> systemctl start openvswitch-switch" not in text:
        raise Failure("no remedy in:\n" + text)
    ovs.start_server()
    wait_line(daemon, "socket", "pass", "open")
    ovs.vsctl("--no-wait", "init")
    wait_line(daemon, "ovsdb", "pass", "Open vSwitch")
    ovs.server.popen.kill()             # It leaves its socket behind.
    ovs.server.popen.wait()
    wait_line(daemon, "socket", "fail", "nobody listens", "restart")
    daemon.stop()


def test_wrong_rights():
    """Whoever we are, the socket is somebody else's alone."""
    lab = Lab()
    ovs = Ovs(lab)
    os.chown(ovs.socket, 1, 1)
    os.chmod(ovs.socket, 0o600)
    daemon = Daemon(lab, ovs.remote, expect=OVSDB_GONE + (
        r"running as root, as told",), user="root", start=False)
    # Without capabilities root is a user like any other.
    daemon.command = ["setpriv", "--bounding-set=-all",
                      "--inh-caps=-all"] + daemon.command
    daemon.start()
    line = wait_line(daemon, "socket", "fail", "user \"root\" may not open .* "
                     "with mode 0600", "chgrp root .*chmod")
    # Literally what the remedy says.
    lab.run("sh", "-c", line["remedy"].split("restarted: ")[1])
    wait_line(daemon, "socket", "pass", "open; user")
    wait_line(daemon, "ovsdb", "pass", "Open vSwitch")
    daemon.stop()


def test_remote_by_network():
    """Why a server behind tcp: or ssl: is not reached."""
    lab = Lab()
    code = ("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 6641))\n"
            "s.listen()\nprint('listening', flush=True)\n"
            "while True:\n    s.accept()[0].close()\n")
    closing = Process("closing", [sys.executable, "-c", code],
                      os.path.join(lab.dir, "closing.out"), lab.name)
    wait_until(lambda: "listening" in closing.text(), what="a server")
    remotes = ["tcp:127.0.0.1:6640", "tcp:127.0.0.1:6641",
               "tcp:198.51.100.1:6640", "ssl:127.0.0.1:6641"]
    missing = "/nonexistent/no-such-key.pem"
    daemon = Daemon(lab, remotes, {"ovsdb": {"tls": {
        "private-key": missing, "certificate": missing, "ca": missing}}},
        expect=OVSDB_GONE)
    for remote, reason, remedy in zip(remotes, (
            "nobody listens on that port", "the server closes the connection",
            "knows no way", re.escape(missing) + ": No such file"), (
            "set-manager ptcp:6640", "write ssl: instead of tcp:",
            "ip route get", "set ovsdb/tls/private-key")):
        wait_line(daemon, "ovsdb", "fail", reason, remedy, subject=remote)
    daemon.stop()


def test_remote_that_is_silent():
    """Packets vanish on the way, as behind a firewall that drops them; a
    server that is there does not speak TLS."""
    lab = Lab()
    # At the other end of that wire nobody has the address.
    lab.run("ip", "link", "add", "sink0", "type", "veth", "peer", "name",
            "sink1")
    lab.run("ip", "address", "add", "203.0.113.1/24", "dev", "sink0")
    for name in ("sink0", "sink1"):
        lab.run("ip", "link", "set", name, "up")
    lab.run("ip", "neigh", "replace", "203.0.113.2", "lladdr",
            "02:00:00:00:00:02", "dev", "sink0")
    pem = [os.path.join(lab.dir, name) for name in ("key.pem", "cert.pem")]
    run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
        "2", "-subj", "/CN=venturi-test", "-keyout", pem[0], "-out", pem[1])
    for name in pem:
        os.chmod(name, 0o644)
    code = ("import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 6642))\n"
            "s.listen()\nprint('listening', flush=True)\nwhile True:\n"
            "    c = s.accept()[0]\n    c.recv(1)\n"
            "    c.sendall(b'HTTP/1.0 400 Bad Request\\r\\n\\r\\n')\n"
            "    c.close()\n")
    server = Process("no-tls", [sys.executable, "-c", code],
                     os.path.join(lab.dir, "no-tls.out"), lab.name)
    wait_until(lambda: "listening" in server.text(), what="a server")
    remotes = ["tcp:203.0.113.2:6640", "ssl:127.0.0.1:6642"]
    daemon = Daemon(lab, remotes, {"ovsdb": {"tls": {
        "private-key": pem[0], "certificate": pem[1], "ca": pem[1]}}},
        expect=OVSDB_GONE)
    wait_line(daemon, "ovsdb", "fail", "no answer", "firewall",
              subject=remotes[0], timeout=60)
    wait_line(daemon, "ovsdb", "fail", "TLS handshake failed",
              "set ovsdb/tls/ca .*use tcp:",
              subject=remotes[1], timeout=60)
    daemon.stop()


def test_foreign_row_and_targets():
    """Somebody else's rows: whose, where to, by which agent."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.vsctl("--", "--id=@s", "create", "sFlow", "agent=nosuch0",
              'targets="127.0.0.1:9995"', "external_ids:who=me", "--", "set",
              "Bridge", "br0", "sflow=@s")
    daemon = Daemon(lab, ovs.remote)
    wait_line(daemon, "row", "warn", "", "foreign.*append", "br0 sflow")
    wait_line(daemon, "agent", "fail", "nosuch0 is neither", "agent=")
    line = wait_line(daemon, "target", "fail",
                     "nothing listens on 127.0.0.1:9995", "config edit")
    status, _ = venturictl(daemon, "doctor")
    equal(status, 1, "exit status")
    # Somebody listens there.
    listener = Process("listener", [
        "socat", "-u", "UDP4-RECV:9995,bind=127.0.0.1", "/dev/null"],
        os.path.join(lab.dir, "listener.out"), lab.name)
    wait_line(daemon, "target", "pass", "another program listens")
    listener.stop()
    wait_line(daemon, "target", "fail", "nothing listens")
    # The remedy, as it stands.
    json_text = re.search(r"config edit '(.*)'", line["remedy"]).group(1)
    status, text = venturictl(daemon, "config", "edit", json_text)
    equal(status, 0, text)
    wait_line(daemon, "target", "pass", "our collector, 127.0.0.1:9995")
    # An interface without an address, then with one.
    lab.run("ip", "link", "add", "nosuch0", "type", "veth")
    lab.run("ip", "link", "set", "nosuch0", "up")
    wait_line(daemon, "agent", "fail", "without an IPv4 address")
    lab.run("ip", "address", "add", "192.0.2.77/24", "dev", "nosuch0")
    wait_line(daemon, "agent", "pass", "interface")
    # Far away: not judged.
    ovs.vsctl("set", "sFlow", ".", 'targets="198.51.100.1:6343"')
    wait_line(daemon, "target", "pass", "not on this host")
    daemon.stop()


def test_vswitchd_gone():
    """Rows are written, and nobody takes them up."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    ovs.stop_vswitchd()
    daemon = Daemon(lab, ovs.remote)
    wait_line(daemon, "vswitchd", "fail", "next_cfg", "restart")
    ovs.start_vswitchd()
    wait_line(daemon, "vswitchd", "pass", "every change")
    daemon.stop()


def test_all_is_well():
    """Traffic flows: nothing fails, and each stage says so."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    a, b = ovs.add_host(1), ovs.add_host(2)
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [{
        "name": "p", "sflow": {"sampling": 1, "polling": 1}}]}})
    a.plug()
    b.plug()
    a.run("ping", "-q", "-c", "3", "-i", "0.2", b.ipv4)
    wait_line(daemon, "data", "pass", "the last record came",
              subject="br0 sflow")
    wait_line(daemon, "listen", "pass", r"\d+ datagrams, none dropped",
              subject="sflow")
    for check in ("socket", "ovsdb", "columns", "vswitchd", "row", "target",
                  "decode", "template", "sampling", "store", "files"):
        bad = [line for line in doctor(daemon, check)
               if line["status"] == "fail"]
        equal(bad, [], check)
    status, text = venturictl(daemon, "doctor")
    equal(status, 0, "exit status:\n" + text)
    for format_ in ("--json", "--csv"):
        status, text = venturictl(daemon, format_, "doctor")
        equal(status, 0, "exit status:\n" + text)
    daemon.stop()


def test_silent_sflow():
    """Open vSwitch sends no more, and says nothing."""
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    daemon = Daemon(lab, ovs.remote, {"export": {"policy": [{
        "name": "p", "sflow": {"sampling": 1, "polling": 1,
                               "agent": "nosuch0"}}]}})
    # Open vSwitch takes the route to the target instead of such an agent.
    wait_line(daemon, "data", "pass", "counter samples arrive|may take")
    wait_line(daemon, "agent", "pass", "its data arrives")
    ovs.vswitchd.popen.send_signal(signal.SIGSTOP)
    on_cleanup(ovs.vswitchd.popen.send_signal, signal.SIGCONT)
    wait_line(daemon, "data", "fail", "not even counter samples", "grep",
              timeout=90)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "ovs", "venturid", "venturictl", "socat", "setpriv",
                "openssl"))
