"""tests/interop/harness.py -- a laboratory for tests with real Open vSwitch.

Standard library only.  A test script looks like this:

    from harness import Lab, Ovs, Daemon, main, wait_until

    def test_something():
        lab = Lab()
        ovs = Ovs(lab)
        ...

    if __name__ == "__main__":
        main(needs=("root", "ovs", "venturid"))

main() runs the functions test_*, each in a scratch directory of its own, and
takes away everything they made, whatever happens: processes, namespaces,
files.  A Lab is a network namespace in which Open vSwitch and venturid run:
bridges, ports and listeners of parallel tests, and those of the machine, do not
meet.  Nothing here sleeps for a fixed time: wait_until() looks again and again.
"""

import atexit
import contextlib
import ctypes
import inspect
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
SRCDIR = os.environ.get("VENTURI_SRCDIR",
                        os.path.dirname(os.path.dirname(HERE)))
BUILDDIR = os.environ.get("VENTURI_BUILDDIR", SRCDIR)
SKIP = 77
OVS_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OVS_VSWITCHD = ("/usr/lib/openvswitch-switch/ovs-vswitchd",
                "/usr/sbin/ovs-vswitchd")
# Lines of venturid's log, and of libopenvswitch's.
BAD_LOG = re.compile(r"\|(WARN|ERR|EMER)\|")


class Failure(Exception):
    """A test failed, for the reason given."""


class Skip(Exception):
    """A test cannot run here, for the reason given."""


# --- Cleaning up -----------------------------------------------------------

_cleanups = []
_counter = 0


def on_cleanup(function, *args):
    """Calls function(*args) at the end, last come, first served."""
    _cleanups.append((function, args))


def cleanup(down_to=0):
    """Takes away what was made since there were 'down_to' entries."""
    while len(_cleanups) > down_to:
        function, args = _cleanups.pop()
        try:
            function(*args)
        except Exception as error:      # The rest must go, too.
            print("cleanup: %s" % error, file=sys.stderr)


def install_signal_handlers():
    """SIGTERM, SIGHUP and SIGINT end the program with a cleanup."""
    def stop(signum, _frame):
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(sig, signal.SIG_IGN)  # Once is enough.
        sys.exit(128 + signum)
    for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(sig, stop)
    atexit.register(cleanup)


def start_janitor():
    """A child that cleans up after us if we are killed with -9.  (That of us
    which dies with its parent, see Process, is not enough: the kernel forgets
    that wish when venturid changes its user.)"""
    parent = os.getpid()
    end, _end_of_parent = os.pipe()     # The other end lives as long as we.
    if os.fork():
        os.close(end)
        return
    try:
        os.setsid()
        for sig in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(sig, signal.SIG_IGN)
        os.close(_end_of_parent)
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):            # Whoever reads our output is free.
            os.dup2(null, fd)
        os.read(end, 1)
        remove_stale(parent)
    finally:
        os._exit(0)


def unique(prefix, limit=64):
    """A name that nobody else on the machine has; see also 'limit'."""
    global _counter
    _counter += 1
    name = "%s%d-%d" % (prefix, os.getpid(), _counter)
    assert len(name) <= limit, name
    return name


def scratch_dir():
    """A new directory, gone at the end.  Others may look into it: a venturid
    that gave up root has to."""
    path = tempfile.mkdtemp(prefix="v-%d-" % os.getpid())
    os.chmod(path, 0o755)
    on_cleanup(shutil.rmtree, path, True)
    return path


def fill_disk(directory):
    """Somebody else's file that takes all that is left; its path."""
    path = os.path.join(directory, "ballast")
    with open(path, "wb", buffering=0) as f, contextlib.suppress(OSError):
        while f.write(b"\0" * 4096):
            pass
    return path


def _kill_users_of(directory):
    """Kills the processes that were started with this scratch directory."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                words = f.read()
            if os.fsencode(directory + "/") in words:
                os.kill(int(pid), signal.SIGKILL)


def note_foreign_rows(directory, remote):
    """Says in a scratch directory that the venturid whose state is below it
    writes to a database that is not of our making."""
    with open(os.path.join(directory, "remote"), "w", encoding="utf-8") as f:
        f.write(remote)


def _take_back_rows(directory):
    """Removes from such a database what that venturid left in it."""
    try:
        with open(os.path.join(directory, "remote"), encoding="utf-8") as f:
            db = "--db=" + f.read()
        owner = None
        for path, _, files in os.walk(directory):
            if os.path.basename(path) == "meta" and "owner" in files:
                with open(os.path.join(path, "owner"), encoding="ascii") as f:
                    owner = f.read().strip()
        if not owner:
            return
        vsctl = ["ovs-vsctl", "--no-wait", "--timeout=10", db]
        for bridge in run(*vsctl, "list-br").split():
            for column in ("netflow", "sflow", "ipfix"):
                row = run(*vsctl, "get", "bridge", bridge, column).strip()
                if row != "[]" and owner in run(
                        *vsctl, "get", column, row, "external_ids"):
                    run(*vsctl, "clear", "bridge", bridge, column)
    except (OSError, Failure, subprocess.SubprocessError):
        pass                    # No such directory, or no such server now.


def remove_stale(only=None):
    """Removes what programs left behind that were killed with -9, or only
    what the one with the process id 'only' left: processes, namespaces,
    directories."""
    def dead(pid):
        return int(pid) == only if only else \
            not os.path.exists("/proc/%s" % pid)

    tmp = tempfile.gettempdir()
    for name in os.listdir(tmp):
        match = re.fullmatch(r"v-(\d+)-\w+", name)
        path = os.path.join(tmp, name)
        if match and dead(match.group(1)) and os.lstat(path).st_uid == 0:
            _kill_users_of(path)
            _take_back_rows(path)
            shutil.rmtree(path, ignore_errors=True)
    names = run("ip", "netns", "list", check=False)
    for name, pid in re.findall(r"^(venturi-\w+-(\d+)-\d+)", names, re.M):
        if dead(pid):
            run("ip", "netns", "delete", name, check=False)


# --- Processes -------------------------------------------------------------

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    """Runs in a child before exec: it dies with us, and a Ctrl-C on the
    terminal is for us alone."""
    os.setpgid(0, 0)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def in_netns(netns, command):
    """The command that runs 'command' there; as it is if 'netns' is None."""
    if not netns:
        return list(command)
    return ["ip", "netns", "exec", netns] + list(command)


def run(*command, netns=None, env=None, timeout=30, check=True):
    """Runs a command to its end and returns what it printed."""
    result = subprocess.run(in_netns(netns, command), env=env,
                            stdin=subprocess.DEVNULL, timeout=timeout,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, errors="replace")
    if check and result.returncode:
        raise Failure("\"%s\" failed (%d): %s" % (
            " ".join(command), result.returncode, result.stdout.strip()))
    return result.stdout


class Process:
    """A program in the background, its output in a file."""

    def __init__(self, name, command, log, netns=None, env=None):
        self.name = name
        self.log = log
        with open(log, "ab") as out:
            self.popen = subprocess.Popen(
                in_netns(netns, command), env=env, stdin=subprocess.DEVNULL,
                stdout=out, stderr=out, preexec_fn=_die_with_parent)
        on_cleanup(self.kill)

    @property
    def pid(self):
        return self.popen.pid           # "ip netns exec" execs: the same.

    def alive(self):
        return self.popen.poll() is None

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def check(self):
        """Raises Failure if it ended by itself."""
        if not self.alive():
            raise Failure("%s ended with status %d:\n%s" % (
                self.name, self.popen.returncode, self.text()[-2000:]))

    def stop(self, sig=signal.SIGTERM, timeout=20):
        """Ends it and returns its exit status (negative: signal)."""
        if self.alive():
            self.popen.send_signal(sig)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
                raise Failure("%s did not end within %d s of signal %d"
                              % (self.name, timeout, sig)) from None
        return self.popen.returncode

    def kill(self):
        if self.alive():
            self.popen.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.popen.wait(5)
        if self.alive():
            self.popen.kill()
            self.popen.wait()


def wait_until(condition, timeout=15, what=None, interval=0.02):
    """Waits until condition() is true and returns its value.  'what' is said
    if that takes too long: text, or a function that makes it."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            if callable(what):
                what = what()
            raise Failure("waited %g s in vain: %s"
                          % (timeout, what or inspect.getsource(condition)))
        time.sleep(interval)


def equal(got, expected, what=""):
    """Fails unless the two are equal."""
    if got != expected:
        raise Failure("%s: got %r, expected %r" % (what, got, expected))


def free_port(kind=socket.SOCK_DGRAM, address="127.0.0.1"):
    """A port nobody listens on, in the namespace of this process.  (In a Lab
    all ports are free.)"""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as s:
        s.bind((address, 0))
        return s.getsockname()[1]


# --- Namespaces ------------------------------------------------------------

class Netns:
    """A network namespace."""

    def __init__(self, prefix="venturi-"):
        self.name = unique(prefix)
        # A signal between the two, or while ip works, would leave it behind.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, (
            signal.SIGTERM, signal.SIGHUP, signal.SIGINT))
        try:
            on_cleanup(self.delete)
            run("ip", "netns", "add", self.name)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
        self.run("ip", "link", "set", "lo", "up")

    def delete(self):
        run("ip", "netns", "delete", self.name, check=False)

    def run(self, *command, **kwargs):
        return run(*command, netns=self.name, **kwargs)

    def read(self, path):
        return self.run("cat", path)


class Lab(Netns):
    """Where Open vSwitch and venturid run, with a directory for both."""

    def __init__(self, prefix="venturi-lab-"):
        super().__init__(prefix)
        self.dir = scratch_dir()


class Host(Netns):
    """A host on a bridge: a namespace with an interface eth0, the other end
    of which, 'port', is in the lab.  It is not up before plug(), so that the
    kernel's counters say what it has sent on a bridge that was ready."""

    def __init__(self, lab, index, prefix="venturi-host-"):
        super().__init__(prefix)
        self.index = index
        self.ipv4 = "10.77.0.%d" % index
        self.ipv6 = "fd77::%x" % index
        self.port = "host%d" % index
        run("ip", "link", "add", "eth0", "netns", self.name, "type", "veth",
            "peer", "name", self.port, "netns", lab.name)
        # Real packets, as on a wire: no 64 kB segments, and checksums that
        # are there, because nobody behind the switch would fill them in.
        self.run("ethtool", "-K", "eth0", "tx", "off", "gso", "off", "gro",
                 "off")
        self.run("ip", "link", "set", "eth0", "gso_max_segs", "1")
        lab.run("ethtool", "-K", self.port, "tx", "off", "gro", "off")
        self.run("ip", "address", "add", self.ipv4 + "/24", "dev", "eth0")
        self.run("ip", "address", "add", self.ipv6 + "/64", "dev", "eth0",
                 "nodad")
        lab.run("sysctl", "-qw",
                "net.ipv6.conf.%s.disable_ipv6=1" % self.port)
        lab.run("ip", "link", "set", self.port, "up")

    def plug(self):
        self.run("ip", "link", "set", "eth0", "up")

    def link(self):
        """What "ip -s link" counts: Ethernet octets without the checksum."""
        stats = json.loads(self.run("ip", "-j", "-s", "link", "show",
                                    "eth0"))[0]["stats64"]
        return {"tx_packets": stats["tx"]["packets"],
                "tx_bytes": stats["tx"]["bytes"],
                "rx_packets": stats["rx"]["packets"],
                "rx_bytes": stats["rx"]["bytes"]}

    def sent_ipv4(self):
        """(packets, IP octets) that its IPv4 stack has sent."""
        snmp = _paired(self.read("/proc/net/snmp"))
        netstat = _paired(self.read("/proc/net/netstat"))
        return (snmp["Ip"]["OutRequests"], netstat["IpExt"]["OutOctets"])

    def sent_ipv6(self):
        """(packets, IP octets) that its IPv6 stack has sent."""
        values = dict(line.split()
                      for line in self.read("/proc/net/snmp6").splitlines())
        return int(values["Ip6OutRequests"]), int(values["Ip6OutOctets"])


def _paired(text):
    """Lines "Ip: names..." and "Ip: numbers..." of /proc/net/snmp."""
    tables, lines = {}, text.splitlines()
    for names, numbers in zip(lines[::2], lines[1::2]):
        table, names = names.split(":")
        tables[table] = dict(zip(names.split(),
                                 map(int, numbers.split(":")[1].split())))
    return tables


# --- Open vSwitch ----------------------------------------------------------

class Ovs:
    """A private Open vSwitch: an ovsdb-server and an ovs-vswitchd that have
    never heard of the machine's."""

    def __init__(self, lab, start=True):
        self.lab = lab
        self.dir = os.path.join(lab.dir, unique("ovs-"))
        os.mkdir(self.dir)
        self.database = os.path.join(self.dir, "conf.db")
        self.socket = os.path.join(self.dir, "db.sock")
        self.remote = "unix:" + self.socket
        self.env = dict(os.environ, OVS_RUNDIR=self.dir, OVS_LOGDIR=self.dir,
                        OVS_DBDIR=self.dir, OVS_SYSCONFDIR=self.dir)
        self.server = self.vswitchd = None
        run("ovsdb-tool", "create", self.database, OVS_SCHEMA)
        if start:
            self.start_server()
            self.vsctl("--no-wait", "init")
            self.start_vswitchd()

    def start_server(self):
        self.server = Process("ovsdb-server", [
            "ovsdb-server", self.database, "--remote=punix:" + self.socket,
            "--unixctl=" + os.path.join(self.dir, "server.ctl"),
            "--no-chdir", "-vconsole:off", "-vsyslog:off", "-vfile:info",
            "--log-file=" + os.path.join(self.dir, "ovsdb-server.log")],
            os.path.join(self.dir, "ovsdb-server.out"), self.lab.name,
            self.env)
        self._await_socket()

    def _await_socket(self):
        def connects():
            self.server.check()
            with socket.socket(socket.AF_UNIX) as s:
                try:
                    s.connect(self.socket)
                except OSError:
                    return False
            # A venturid that gave up root may come in; this is a private
            # database in a directory that lives for minutes.
            os.chmod(self.socket, 0o777)
            return True
        wait_until(connects, what="ovsdb-server's socket")

    def start_vswitchd(self):
        program = next((p for p in OVS_VSWITCHD if os.path.exists(p)),
                       "ovs-vswitchd")
        self.vswitchd = Process("ovs-vswitchd", [
            program, self.remote, "--disable-system", "--no-chdir",
            "--unixctl=" + os.path.join(self.dir, "vswitchd.ctl"),
            "-vconsole:off", "-vsyslog:off", "-vfile:info",
            "--log-file=" + os.path.join(self.dir, "ovs-vswitchd.log")],
            os.path.join(self.dir, "ovs-vswitchd.out"), self.lab.name,
            self.env)

    def stop_server(self):
        self.server.stop()

    def stop_vswitchd(self):
        self.vswitchd.stop()

    def vsctl(self, *args, timeout=30):
        return run("ovs-vsctl", "--db=" + self.remote,
                   "--timeout=%d" % (timeout - 5), *args, env=self.env,
                   timeout=timeout)

    def appctl(self, *args):
        return run("ovs-appctl", "-t",
                   os.path.join(self.dir, "vswitchd.ctl"), *args,
                   env=self.env)

    def rows(self, table, *columns):
        """Rows of a table, each a dictionary of plain values."""
        args = ["--format=json", "list", table]
        if columns:
            args.insert(1, "--columns=" + ",".join(columns))
        data = json.loads(self.vsctl(*args))
        return [dict(zip(data["headings"], map(_plain, row)))
                for row in data["data"]]

    def add_bridge(self, name="br0", **columns):
        """A bridge of the userspace datapath."""
        self.vsctl("add-br", name, "--", "set", "Bridge", name,
                   "datapath_type=netdev",
                   *("%s=%s" % item for item in columns.items()))

    def add_host(self, index, bridge="br0"):
        """A new Host on the bridge, not plugged in yet."""
        host = Host(self.lab, index)
        self.vsctl("add-port", bridge, host.port)
        wait_until(lambda: self.vsctl("get", "Interface", host.port,
                                      "ofport").strip() not in ("[]", "-1"),
                   what="an ofport for " + host.port)
        return host

    def log(self):
        with open(os.path.join(self.dir, "ovs-vswitchd.log"),
                  encoding="utf-8", errors="replace") as f:
            return f.read()


def _plain(value):
    """JSON of RFC 7047 section 5.1 as Python has it."""
    if isinstance(value, list) and len(value) == 2:
        kind, inner = value
        if kind == "uuid":
            return inner
        if kind == "set":
            return [_plain(v) for v in inner]
        if kind == "map":
            return {k: _plain(v) for k, v in inner}
    return value


# --- venturid --------------------------------------------------------------

class RpcError(Failure):
    """An error that the API answered with."""

    def __init__(self, method, error):
        super().__init__("%s: %s" % (method, json.dumps(error)))
        self.code = error.get("code")
        self.data = error.get("data")


class Client:
    """One connection to the API."""

    def __init__(self, path, timeout=30):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.buffer = b""
        self.last_id = 0

    def close(self):
        self.socket.close()

    def send_text(self, text):
        self.socket.sendall(text if isinstance(text, bytes)
                            else text.encode())

    def receive(self):
        """The next JSON text, or None at the end of the connection."""
        decoder = json.JSONDecoder()
        while True:
            text = self.buffer.decode(errors="replace").lstrip()
            if text:
                with contextlib.suppress(ValueError):
                    value, end = decoder.raw_decode(text)
                    self.buffer = text[end:].encode()
                    return value
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self.buffer += data

    def call(self, method, **params):
        """The result of a method; RpcError if it says no."""
        self.last_id += 1
        self.send_text(json.dumps({"jsonrpc": "2.0", "id": self.last_id,
                                   "method": method, "params": params})
                       + "\n")
        while True:
            reply = self.receive()
            if reply is None:
                raise Failure("%s: the connection was closed" % method)
            if reply.get("id") == self.last_id:
                break
        if "error" in reply:
            raise RpcError(method, reply["error"])
        return reply["result"]


class Daemon:
    """A venturid with directories of its own.

    'config' is the inside of the configuration's "venturi:venturi".  A line
    at WARN or ERR in its log that matches none of 'expect' (regular
    expressions; see also announce()) fails the test in stop()."""

    def __init__(self, lab, ovsdb=None, config=None, expect=(),
                 user="nobody", args=(), start=True):
        self.lab = lab
        self.dir = os.path.join(lab.dir, unique("venturid-"))
        self.state_dir = os.path.join(self.dir, "state")
        self.run_dir = os.path.join(self.dir, "run")
        self.config_file = os.path.join(self.dir, "venturi.json")
        self.api = os.path.join(self.run_dir, "api.sock")
        self.log = os.path.join(self.dir, "venturid.log")
        self.expect = list(expect)
        self.process = None
        self.client = None
        os.mkdir(self.dir)
        os.mkdir(self.state_dir)        # venturid makes what is in there.
        self.write_config(config or {})
        if ovsdb is None:
            remotes = ["none"]
        else:
            remotes = [ovsdb] if isinstance(ovsdb, str) else list(ovsdb)
        self.command = [
            os.path.join(BUILDDIR, "venturid"), "--foreground",
            "--config", self.config_file, "--state-dir", self.state_dir,
            "--run-dir", self.run_dir, "--api", "unix:" + self.api,
            "--user", user]
        for remote in remotes:
            self.command += ["--ovsdb", remote]
        self.command += list(args)
        if start:
            self.start()

    def write_config(self, config):
        with open(self.config_file, "w", encoding="utf-8") as f:
            json.dump({"venturi:venturi": config}, f, indent=2)

    def announce(self, *patterns):
        """From now on log lines like these are expected."""
        self.expect += patterns

    def start(self, timeout=20):
        self.process = Process("venturid", self.command, self.log,
                               self.lab.name)

        def answers():
            self.process.check()
            try:
                self.client = Client(self.api)
                self.client.call("system.info")
            except OSError:
                return False
            return True
        wait_until(answers, timeout, "an answer of venturid's API")

    def rpc(self, method, **params):
        """The result of a method."""
        try:
            return self.client.call(method, **params)
        except OSError as error:
            self.process.check()
            raise Failure("%s: %s" % (method, error)) from error

    def flows(self, by=(), metrics=("packets", "bytes", "l2_bytes"), **kwargs):
        """Rows of flow.query, each a dictionary."""
        kwargs.setdefault("from", "-1h")
        result = self.rpc("flow.query", by=list(by), metrics=list(metrics),
                          **kwargs)
        names = [column["name"] for column in result["columns"]]
        return [dict(zip(names, row)) for row in result["rows"]]

    def export_status(self):
        """A list, one object per bridge and protocol."""
        return self.rpc("export.status")["status"]

    def observed(self, egress=False):
        """What each export says: {"netflow": {"packets", "bytes",
        "l2_bytes"}, ...}.  OVS's IPFIX reports packets coming in and going
        out; 'egress' selects which."""
        metrics = ("packets", "bytes", "l2_bytes")
        result = {}
        for row in self.flows(by=["export_protocol", "direction"],
                              metrics=metrics, observations="all"):
            name = re.match("[a-z]+", row["export_protocol"]).group(0)
            if (row["direction"] == "egress") == egress:
                have = result.setdefault(name, dict.fromkeys(metrics, 0))
                for metric in metrics:
                    have[metric] += row[metric] or 0
        return result

    def check_log(self):
        """Fails on lines that nobody announced."""
        if not os.path.exists(self.log):
            return
        with open(self.log, encoding="utf-8", errors="replace") as f:
            bad = [line.rstrip() for line in f if BAD_LOG.search(line)
                   and not any(re.search(p, line) for p in self.expect)]
        if bad:
            raise Failure("unexpected log lines:\n" + "\n".join(bad[:20]))

    def stop(self, sig=signal.SIGTERM, check=True):
        """Ends it; with 'check' it must end well and have logged nothing
        unexpected."""
        if self.client:
            self.client.close()
            self.client = None
        status = self.process.stop(sig)
        if check:
            equal(status, 0, "venturid's exit status")
            self.check_log()
        return status


def sanitized():
    """Whether venturid was built with sanitizers: slower, and larger."""
    try:
        with open(os.path.join(BUILDDIR, "venturid"), "rb") as f:
            program = f.read()
            return b"__asan_init" in program or b"__tsan_init" in program
    except OSError:
        return False


# --- Running tests ---------------------------------------------------------

def missing(need):
    """Why a test that needs this cannot run here, or None."""
    if need == "root":
        return None if os.geteuid() == 0 else "needs root"
    if need == "ovs":
        for program in ("ovsdb-server", "ovsdb-tool", "ovs-vsctl"):
            if not shutil.which(program):
                return "needs Open vSwitch: no %s" % program
        if not os.path.exists("/dev/net/tun"):
            return "needs /dev/net/tun for bridges"
        return None
    if need in ("venturid", "venturictl", "venturi-gen",
                "tests/interop/flood"):
        path = os.path.join(BUILDDIR, need)
        return None if os.access(path, os.X_OK) else "needs " + path
    return None if shutil.which(need) else "needs the program " + need


def check_needs(needs):
    """Ends the program with 77 if something is not there."""
    for need in needs:
        reason = missing(need)
        if reason:
            print(reason)
            sys.exit(SKIP)


def _run_test(name, function):
    """'passed', 'failed' or 'skipped'."""
    start = time.monotonic()
    mark = len(_cleanups)
    try:
        function()
        outcome, detail = "passed", ""
    except Skip as reason:
        outcome, detail = "skipped", ": %s" % reason
    except Exception as error:
        outcome, detail = "failed", ": %s" % error
        if not isinstance(error, Failure):
            traceback.print_exc()
        else:
            frames = traceback.extract_tb(error.__traceback__)
            where = [f for f in frames if f.filename != __file__]
            if where:
                detail += " (line %d)" % where[-1].lineno
    if outcome == "failed":
        _show_logs(mark)
    cleanup(mark)
    print("%s %s (%.1f s)%s" % ({"passed": "PASS", "failed": "FAIL",
                                "skipped": "SKIP"}[outcome], name,
                               time.monotonic() - start, detail))
    sys.stdout.flush()
    return outcome


def _show_logs(mark):
    """The ends of the logs of what a failed test has started."""
    for function, _ in _cleanups[mark:]:
        process = getattr(function, "__self__", None)
        if isinstance(process, Process) and process.name == "venturid":
            print("--- %s's log:" % process.name)
            print("\n".join(process.text().splitlines()[-40:]))


def main(needs=()):
    """Runs the functions test_* of the calling script; arguments select some
    by parts of their names."""
    check_needs(needs)
    install_signal_handlers()
    start_janitor()
    module = sys.modules["__main__"]
    tests = [(name, value) for name, value in vars(module).items()
             if name.startswith("test_") and callable(value)]
    wanted = sys.argv[1:]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, function in tests:
        if not wanted or any(part in name for part in wanted):
            counts[_run_test(name, function)] += 1
    print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped"
          % counts)
    sys.exit(1 if counts["failed"] else 0)
