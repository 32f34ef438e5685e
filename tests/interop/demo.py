#!/usr/bin/env python3
"""tests/interop/demo.py -- what ./quickstart shows, once Venturi is built.

usage: demo.py --builddir DIR [--once] [--system [--yes] [--socket PATH]]
       demo.py --clean

See ./quickstart --help.  Made of the same parts as the tests (harness.py).
"""

import argparse
import os
import signal
import socket
import sys
import time

os.environ.setdefault("LC_ALL", "C.UTF-8")

import harness
from harness import (Client, Daemon, Failure, Lab, Ovs, Process, free_port,
                     run, scratch_dir, wait_until)

LIMIT = 90                      # Seconds for a first answer.
SYSTEM_SOCKET = "/var/run/openvswitch/db.sock"
PROTOCOLS = ("netflow", "sflow", "ipfix")
TITLES = {"netflow": "NetFlow v5", "sflow": "sFlow v5", "ipfix": "IPFIX"}
TRAFFIC = os.path.join(harness.HERE, "traffic.py")
PORT = 5001

# Every packet is sampled, so that numbers can be compared; a real policy would
# leave the rate to venturid ("auto").
POLICY = {
    "name": "quickstart",
    "match": {"bridges": ["br0"]},
    "netflow": {"active_timeout": 2, "targets": ["local"]},
    "sflow": {"sampling": 1, "polling": 2, "targets": ["local"]},
    "ipfix": {"sampling": 1, "targets": ["local"]},
}


def say(text=""):
    print(text, flush=True)


def heading(text):
    say()
    say("== " + text)


def table(rows, left=1):
    """Prints rows of texts in columns; 'left' of them are words."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [cell.ljust(width) if i < left or i == len(row) - 1
                 else cell.rjust(width)
                 for i, (cell, width) in enumerate(zip(row, widths))]
        say("  " + "  ".join(cells).rstrip())


class Watchdog:
    """Ends the program when the first answer takes too long."""

    def __init__(self, seconds):
        self.doing = "starting"
        self.seconds = seconds
        signal.signal(signal.SIGALRM, self._alarm)
        signal.alarm(seconds)

    def _alarm(self, _signum, _frame):
        raise Failure("no complete answer within %d s; it was still %s"
                      % (self.seconds, self.doing))

    def step(self, doing):
        self.doing = doing

    def off(self):
        signal.alarm(0)


def venturictl(daemon, *args):
    """What the command line tool says, for people."""
    return run(os.path.join(harness.BUILDDIR, "venturictl"), "--api",
               "unix:" + daemon.api, *args).rstrip()


def ctl_line(daemon, *args):
    """The same as a command to copy."""
    path = os.path.relpath(os.path.join(harness.BUILDDIR, "venturictl"))
    if not path.startswith("."):
        path = "./" + path
    return " ".join([path, "--api", "unix:" + daemon.api] + list(args))


def export_status(daemon):
    """{(bridge, protocol): the status object}"""
    return {(s["bridge"], s["protocol"]): s
            for s in daemon.export_status()}


def show_status(daemon):
    heading("Export (venturictl export status)")
    say(venturictl(daemon, "export", "status"))


def say_more(daemon):
    heading("Ask more, in another terminal")
    for args in (("flows", "--last", "10m", "--by", "src_addr,dst_addr,proto",
                  "--top", "10"),
                 ("flows", "--last", "10m", "--by", "dst_port", "'proto",
                  "udp'"),
                 ("export", "status"), ("export", "plan"), ("exporters",),
                 ("info",), ("call", "flow.columns", "'{}'")):
        say("  " + ctl_line(daemon, *args))


# --- The private laboratory ------------------------------------------------

def provision(dog, lab, ovs):
    """Bridge, hosts that are not up yet, venturid with export in place."""
    dog.step("waiting for Open vSwitch")
    ovs.add_bridge("br0")
    # Flows are reported when the datapath forgets them: after 1 s, not 10.
    ovs.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=1000")
    hosts = [ovs.add_host(1), ovs.add_host(2)]
    dog.step("waiting for venturid")
    daemon = Daemon(lab, ovs.remote, config={"export": {"policy": [POLICY]}})
    dog.step("waiting for the export rows to be in place")

    def in_place():
        status = export_status(daemon)
        return all(status.get(("br0", p), {}).get("state") in
                   ("in-sync", "receiving", "silent") for p in PROTOCOLS)
    wait_until(in_place, 30, "export rows in place: %s"
               % daemon.rpc("export.status"))
    return hosts, daemon


def make_traffic(dog, lab, hosts):
    """Real traffic between the hosts; it ends before this returns."""
    dog.step("making traffic")
    a, b = hosts
    a.plug()
    b.plug()
    server = Process("traffic", [sys.executable, TRAFFIC, "serve", str(PORT)],
                     os.path.join(lab.dir, "server.out"), b.name)
    wait_until(lambda: server.check() or "ready" in server.text(),
               what="the traffic server")
    for address in (b.ipv4, b.ipv6):
        a.run("ping", "-q", "-c", "5", "-i", "0.2", "-W", "5", address)
        a.run(sys.executable, TRAFFIC, "send", address, str(PORT), "--udp",
              "400", "--size", "600", "--tcp", "400000")


def sent(hosts):
    """What the hosts' kernels say that they have sent."""
    links = [host.link() for host in hosts]
    ipv4 = [host.sent_ipv4() for host in hosts]
    return {"link": (sum(link["tx_packets"] for link in links),
                     sum(link["tx_bytes"] for link in links)),
            "ipv4": tuple(map(sum, zip(*ipv4)))}


def compare(daemon, hosts):
    """(what the hosts sent, what each export counted, venturid's totals, and
    whether all of that agrees)"""
    before = sent(hosts)
    got = {p: (c["packets"], c["bytes"], c["l2_bytes"])
           for p, c in daemon.observed().items()}
    row = daemon.flows(metrics=["packets", "l2_bytes"])[0]
    total = (row["packets"], row["l2_bytes"])
    same = (sent(hosts) == before
            and all(p in got for p in PROTOCOLS)
            and got["sflow"][::2] == before["link"]
            and got["ipfix"][::2] == before["link"]
            and got["netflow"][:2] == before["ipv4"]
            and total == before["link"])
    return before, got, total, same


def show_comparison(daemon, numbers):
    hosts, got, total, same = numbers
    states = {p: s["state"] for (_, p), s in export_status(daemon).items()}
    none = ("-", "-", "-")
    rows = [["", "", "packets", "octets", ""],
            ["both hosts sent", "", *hosts["link"],
             "Ethernet octets (ip -s link)"]]
    for p in ("sflow", "ipfix"):
        packets, _, l2 = got.get(p, none)
        rows.append(["  " + TITLES[p], states[p], packets, l2,
                     "every packet that came in"])
    rows.append(["  venturid's totals", "", *total,
                 "each packet once, though all three report it"])
    rows.append(["both hosts sent, IPv4", "", *hosts["ipv4"],
                 "IP octets (/proc/net/snmp and netstat)"])
    packets, octets, _ = got.get("netflow", none)
    rows.append(["  " + TITLES["netflow"], states["netflow"], packets, octets,
                 "NetFlow v5 knows only IPv4"])
    heading("What the hosts really sent, and what each export says of it")
    table(rows, left=2)
    if not same:
        say("  These differ: packets that passed just now may still be on "
            "their way.")


def lab_demo(options):
    """Returns the exit status."""
    start = time.monotonic()
    dog = Watchdog(LIMIT)
    dog.step("making namespaces")
    lab = Lab()
    ovs = Ovs(lab)
    hosts, daemon = provision(dog, lab, ovs)
    version = ovs.appctl("version").split()[3]
    say("A private Open vSwitch %s runs in %s, with bridge br0" % (
        version, ovs.dir))
    say("and two hosts, %s and %s (%s and %s)." % (
        hosts[0].ipv4, hosts[1].ipv4, hosts[0].ipv6, hosts[1].ipv6))
    say("venturid has put NetFlow, sFlow and IPFIX on br0; the hosts now "
        "ping each other")
    say("and send UDP and TCP, over IPv4 and IPv6.")
    make_traffic(dog, lab, hosts)

    dog.step("waiting for each export to be \"receiving\"")

    def receiving():
        status = export_status(daemon)
        return all(status[("br0", p)]["state"] == "receiving"
                   for p in PROTOCOLS)
    wait_until(receiving, LIMIT, lambda: "receiving: %s" % {
        p: (s["state"], s.get("reason"))
        for (_, p), s in export_status(daemon).items()})

    dog.step("waiting for the counts to be complete")
    end = time.monotonic() + 25
    numbers = compare(daemon, hosts)
    while not numbers[-1] and time.monotonic() < end:
        time.sleep(0.2)
        numbers = compare(daemon, hosts)
    dog.off()

    show_status(daemon)
    show_comparison(daemon, numbers)
    heading("Top flows (venturictl flows)")
    say(venturictl(daemon, "flows", "--last", "10m", "--by",
                   "src_addr,dst_addr,proto,dst_port", "--top", "8"))
    if not numbers[-1] and options.once:
        raise Failure("what was counted differs from what was sent")
    if options.once:
        say()
        say("Complete after %.1f s; all of it agrees with the hosts, packet "
            "for packet." % (time.monotonic() - start))
        return 0
    say_more(daemon)
    say("  ip netns exec %s ping %s      (traffic of your own)"
        % (hosts[0].name, hosts[1].ipv4))
    return stay(daemon, lab, hosts)


def stay(daemon, lab=None, hosts=None):
    """Until Ctrl-C; in the laboratory with a little traffic going on."""
    processes = [daemon.process]
    with UntilInterrupt():
        if hosts:
            for address in (hosts[1].ipv4, hosts[1].ipv6):
                processes.append(Process(
                    "ping", ["ping", "-q", "-i", "1", address],
                    os.path.join(lab.dir, "ping.out"), hosts[0].name))
        say()
        say("It goes on until Ctrl-C, and then removes everything it made.")
        while True:
            for process in processes:
                process.check()
            time.sleep(0.5)
    return 0


class UntilInterrupt:
    """Ctrl-C ends the block, and is not an error."""

    def __enter__(self):
        def stop(_signum, _frame):
            raise KeyboardInterrupt
        self.before = signal.signal(signal.SIGINT, stop)

    def __exit__(self, kind, _value, _trace):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if kind is KeyboardInterrupt:
            say()
            say("Removing what was made.")
            return True
        return False


# --- The machine's own Open vSwitch ------------------------------------------

class Here:
    """Stands for the machine itself where a Lab would."""
    name = None

    def __init__(self):
        self.dir = scratch_dir()


def listen_config():
    """Our usual ports, or free ones where somebody else listens."""
    config = {}
    for protocol, port in (("netflow", 2055), ("sflow", 6343),
                           ("ipfix", 4739)):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                port = free_port()
        config[protocol] = {"listen": ["127.0.0.1:%d" % port]}
    return config


def confirm(options):
    """Whether the first write may happen."""
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise Failure("nothing was written: that needs a yes; say --yes")
    say()
    try:
        answer = input("Write this to the database? [y/N] ")
    except EOFError:
        answer = ""
    return answer.strip().lower() in ("y", "yes")


def system_demo(options):
    """Returns the exit status."""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(options.socket)
    except OSError as error:
        raise Failure(
            "no Open vSwitch answers at %s (%s); start it (systemctl start "
            "openvswitch-switch), or leave out --system for a private one"
            % (options.socket, error.strerror)) from None
    dog = Watchdog(LIMIT)
    dog.step("starting venturid")
    here = Here()
    daemon = Daemon(here, "unix:" + options.socket,
                    config={"export": {"mode": "plan"},
                            "collector": listen_config()})
    dog.step("reading Open vSwitch's database")
    wait_until(lambda: daemon.rpc("export.plan").get("plans"), 30,
               "a plan for %s" % options.socket)
    heading("What would be written (venturictl export plan)")
    say(venturictl(daemon, "export", "plan"))
    dog.off()
    if not confirm(options):
        say("Nothing was written.")
        return 0

    dog = Watchdog(LIMIT)
    dog.step("writing the export rows")
    harness.note_foreign_rows(here.dir, "unix:" + options.socket)
    harness.on_cleanup(take_back, daemon)
    daemon.rpc("export.apply")

    def settled():
        return all(s["state"] != "pending"
                   for s in export_status(daemon).values())
    wait_until(settled, 30, "the rows to be in place")
    dog.step("waiting for data")
    wait_for_data(daemon)
    dog.off()
    show_status(daemon)
    heading("Top flows (venturictl flows)")
    say(venturictl(daemon, "flows", "--last", "10m", "--top", "10"))
    if options.once:
        return 0
    say_more(daemon)
    return stay(daemon)


def wait_for_data(daemon):
    """Counter samples come even from idle bridges; a quiet one may stay
    silent, which is an answer, too."""
    def arrived():
        states = [s["state"] for s in export_status(daemon).values()]
        return "receiving" in states or "in-sync" not in states
    try:
        wait_until(arrived, 15)
    except Failure:
        say("  Nothing has arrived so far; the states below say why.")


def take_back(daemon):
    """Removes what was written, before venturid is stopped."""
    if not daemon.process.alive():
        daemon.start()
    n = Client(daemon.api).call("export.remove")["removed"]
    say("Taken back from Open vSwitch: %d row%s." % (n, "s"[n == 1:]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--builddir", default=".")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--system", action="store_true")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--socket", default=SYSTEM_SOCKET)
    parser.add_argument("--clean", action="store_true")
    options = parser.parse_args()
    harness.BUILDDIR = os.path.abspath(options.builddir)
    harness.install_signal_handlers()
    harness.remove_stale()
    if options.clean:
        return 0
    harness.start_janitor()
    try:
        for need in ("root", "ovs", "ip", "ethtool", "ping", "venturid",
                     "venturictl"):
            reason = harness.missing(need)
            if reason and not (options.system and need == "ethtool"):
                raise Failure(reason)
        return system_demo(options) if options.system else lab_demo(options)
    except Failure as reason:
        sys.stdout.flush()
        print("quickstart: %s" % reason, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
