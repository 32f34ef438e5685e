#!/usr/bin/env python3
"""tests/interop/test_restart.py -- no blind window: what was learned before a
restart reads the first datagram after it."""
# timeout: 120

import os
import signal
import socket
import struct
import time

from harness import Daemon, Failure, Lab, equal, main, run, wait_until

PORT = {9: 2055, 10: 4739}
# Source and destination address, ports, protocol, octets, packets.
FIELDS = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4))


class Sender:
    """One exporter: NetFlow 9 or IPFIX, templates only when told."""

    def __init__(self, lab, version):
        self.lab, self.version, self.seq = lab, version, 0
        self.path = os.path.join(lab.dir, "datagram")

    def send(self, *sets):
        body = b"".join(sets)
        now = int(time.time())
        if self.version == 9:
            data = struct.pack("!HHIIII", 9, len(sets), 1000000, now,
                               self.seq, 5) + body
        else:
            data = struct.pack("!HHIII", 10, 16 + len(body), now, self.seq,
                               5) + body
        self.seq += 1
        with open(self.path, "wb") as f:
            f.write(data)
        self.lab.run("socat", "-u", "FILE:" + self.path,
                     "UDP4-SENDTO:127.0.0.1:%d" % PORT[self.version])

    def template(self):
        fields = b"".join(struct.pack("!HH", *f) for f in FIELDS)
        return self.set(0 if self.version == 9 else 2,
                        struct.pack("!HH", 300, len(FIELDS)) + fields)

    def options(self, rate):
        """1 in 'rate' packets is looked at, says an options record."""
        if self.version == 9:
            template = self.set(1, struct.pack("!HHHHHHHHH", 301, 4, 8, 1, 4,
                                               34, 4, 35, 1))
        else:
            template = self.set(3, struct.pack("!HHHHHHHHH", 301, 3, 1, 149,
                                               4, 34, 4, 35, 1))
        return template, self.set(301, struct.pack("!IIB", 5, rate, 1))

    @staticmethod
    def set(number, body):
        body += bytes(-len(body) % 4)
        return struct.pack("!HH", number, 4 + len(body)) + body

    def flow(self, port):
        """A flow of 1,000 octets to that port."""
        return self.set(300, struct.pack(
            "!4s4sHHBII", socket.inet_aton("192.0.2.1"),
            socket.inet_aton("192.0.2.2"), 1000, port, 6, 1000, 1))


def wait_flow(daemon, port, rate):
    """Waits for the flow to that port; it must be scaled by the rate."""
    def flows():
        return {row["dst_port"]: row["bytes"]
                for row in daemon.flows(by=["dst_port"])}
    wait_until(lambda: port in flows(), what=lambda: "port %d in %s; %s" % (
        port, flows(), daemon.rpc("exporter.list")))
    equal(flows()[port], 1000 * rate, "octets to port %d" % port)


def kept(daemon):
    path = os.path.join(daemon.state_dir, "meta", "templates")
    return os.path.exists(path) and os.path.getsize(path) > 100


def no_template(daemon):
    return sum(e["counters"]["no_template"]
               for e in daemon.rpc("exporter.list")["exporters"])


def restart(version, how):
    lab = Lab()
    daemon = Daemon(lab)
    sender = Sender(lab, version)
    sender.send(sender.template(), *sender.options(10))
    sender.send(sender.flow(1111))
    wait_flow(daemon, 1111, 10)
    if how == signal.SIGKILL:
        wait_until(lambda: kept(daemon), what="a file of templates")
        daemon.process.popen.send_signal(signal.SIGKILL)
        daemon.process.popen.wait()
    else:
        daemon.stop()
        if not kept(daemon):
            raise Failure("no templates were kept at the end")
    daemon.start()
    sender.send(sender.flow(2222))
    wait_flow(daemon, 2222, 10)
    equal(no_template(daemon), 0, "data sets without template")
    daemon.stop()


def test_netflow9():
    restart(9, signal.SIGTERM)


def test_ipfix():
    restart(10, signal.SIGTERM)


def test_kill9():
    restart(10, signal.SIGKILL)


def test_damaged_file():
    """A file that is damaged, or somebody else's idea of one, costs the
    templates and nothing else."""
    lab = Lab()
    daemon = Daemon(lab, start=False)
    path = os.path.join(daemon.state_dir, "meta", "templates")
    os.mkdir(os.path.dirname(path))
    for junk in (b"", b"junk" * 1000, b"venttpl\n\0\0\0\1" + b"\xff" * 200):
        with open(path, "wb") as f:
            f.write(junk)
        daemon.start()
        sender = Sender(lab, 9)
        sender.send(sender.flow(1))
        wait_until(lambda: no_template(daemon) == 1, what="one without")
        daemon.stop()
    os.unlink(path)
    os.symlink("/etc/passwd", path)     # Not followed.
    before = run("cat", "/etc/passwd")
    daemon.start()
    sender.send(sender.template())
    daemon.stop()
    equal(run("cat", "/etc/passwd"), before, "the other end of the link")


if __name__ == "__main__":
    main(needs=("root", "venturid", "socat"))
