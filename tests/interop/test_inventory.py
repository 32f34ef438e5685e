#!/usr/bin/env python3
"""Lists of networks in files and behind URLs, and containers of an engine:
followed as they change, and named in flows."""

import http.server
import json
import os
import shutil
import socketserver
import sys
import tempfile
import threading
import time

from harness import (BUILDDIR, Daemon, Lab, Process, Skip, equal, main,
                     on_cleanup, run, wait_until)


def open_dir():
    """A directory that venturid's user can look into; the runner's own is
    closed to it."""
    path = tempfile.mkdtemp(prefix="venturi-inventory-", dir="/tmp")
    on_cleanup(shutil.rmtree, path, True)
    os.chmod(path, 0o755)
    return path


def who(daemon, address):
    found = daemon.rpc("endpoint.lookup", address=address)["matches"]
    return [(m["name"], m["source"]) for m in found]


def sources(daemon):
    return {s["source"]: s for s in daemon.rpc("endpoint.sources")["sources"]}


def config(lists=(), sockets=()):
    containers = {"socket": list(sockets)} if sockets else {"enabled": False}
    result = {"containers": containers}
    if lists:
        result["list"] = list(lists)
    return {"inventory": result}


def write(path, text):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.rename(path + ".new", path)


def await_who(daemon, address, expected, what):
    wait_until(lambda: who(daemon, address) == expected,
               what="%s: %s is %s, was %s"
               % (what, address, expected, who(daemon, address)))


def test_clock():
    """A list was told while the clock was a day ahead; now it is right again."""
    path = os.path.join(open_dir(), "sites.csv")
    write(path, "prefix,name\n10.1.0.0/16,one\n")
    daemon = Daemon(Lab(), config=config([
        {"name": "sites", "location": path, "interval": "1s"}]))
    await_who(daemon, "10.1.0.1", [("one", "list:sites")], "read")
    daemon.rpc("endpoint.upsert", source="list:sites", endpoints=[
        {"id": "ahead", "name": "ahead", "addresses": ["10.9.0.1"]}],
               generation=int((time.time() + 86400) * 1e6))
    await_who(daemon, "10.9.0.1", [("ahead", "list:sites")], "told ahead")
    write(path, "prefix,name\n10.1.0.0/16,other\n")
    await_who(daemon, "10.1.0.1", [("other", "list:sites")], "read again")
    equal(who(daemon, "10.9.0.1"), [], "what is not in it has ended")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "inventory": {"list": None}}}, merge=True)
    await_who(daemon, "10.1.0.1", [], "no longer configured")
    daemon.stop()


def test_file():
    lab = Lab()
    path = os.path.join(open_dir(), "sites.csv")
    write(path, "prefix,name,tenant,site\n"
                "10.0.0.0/8,ten,blue,ams\n10.1.0.0/16,ten-one,blue,\n")
    entry = {"name": "sites", "location": path, "interval": "1s"}
    daemon = Daemon(lab, config=config([entry]))
    await_who(daemon, "10.1.2.3", [("ten-one", "list:sites")], "read")
    equal(who(daemon, "10.2.0.1"), [("ten", "list:sites")], "the other")
    match = daemon.rpc("endpoint.lookup", address="10.2.0.1")["matches"][0]
    equal((match["tenant"], match["labels"], match["trust"]),
          ("blue", {"site": "ams"}, 150), "members")

    write(path, "prefix,name\n10.1.0.0/16,new\n")
    await_who(daemon, "10.1.2.3", [("new", "list:sites")], "changed")
    equal(who(daemon, "10.2.0.1"), [], "what is gone has ended")

    # A mistake in one line is told, and ends nobody.
    daemon.announce("inventory .*sites.csv: line 2: ")
    write(path, "prefix,name\n10.1.0.0/33,new\n10.3.0.0/16,three\n")
    await_who(daemon, "10.3.0.1", [("three", "list:sites")], "right line")
    equal(who(daemon, "10.1.2.3"), [("new", "list:sites")], "stays")
    state = sources(daemon)["list:sites"]
    equal((state["state"], state["refused"]), ("error", 1), "state")
    assert state["error"].startswith("line 2: prefixes[0]"), state

    # What is no list at all, or gone, changes nothing.
    daemon.announce("inventory .*sites.csv: the first line must name")
    write(path, "nonsense\n")
    wait_until(lambda: "first line" in sources(daemon)["list:sites"]["error"],
               what="it is told that it is none")
    daemon.announce("inventory .*sites.csv: No such file")
    os.unlink(path)
    wait_until(lambda: "No such" in sources(daemon)["list:sites"]["error"],
               what="it is told that it is gone")
    equal(who(daemon, "10.3.0.1"), [("three", "list:sites")], "stays")

    write(path, '{"10.4.0.0/16": "four"}')
    await_who(daemon, "10.4.0.1", [("four", "list:sites")], "JSON now")
    equal(who(daemon, "10.3.0.1"), [], "ended")

    # Out of the configuration: what it told ends, also over a restart.
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "inventory": {"list": None}}}, merge=True)
    await_who(daemon, "10.4.0.1", [], "no longer configured")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "inventory": {"list": [entry]}}}, merge=True)
    await_who(daemon, "10.4.0.1", [("four", "list:sites")], "again")
    daemon.stop()
    daemon.write_config(config())
    daemon.start()
    await_who(daemon, "10.4.0.1", [], "removed while it did not run")
    daemon.stop()


SERVER = """
import http.server, os, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = open(sys.argv[1], "rb").read()
        tag = '"%d"' % os.stat(sys.argv[1]).st_mtime_ns
        with open(sys.argv[2], "a") as f:
            f.write("hit\\n")
        if self.path != "/nets":
            self.send_error(404); return
        if self.headers.get("If-None-Match") == tag:
            self.send_response(304); self.end_headers(); return
        self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        with open(sys.argv[2], "a") as f:
            f.write("sent\\n")
http.server.HTTPServer(("127.0.0.1", 8008), H).serve_forever()
"""


def test_url():
    lab = Lab()
    path, log = (os.path.join(lab.dir, n) for n in ("nets.json", "hits"))
    write(path, '[{"prefix": "10.0.0.0/8", "name": "ten"}]')
    Process("http", [sys.executable, "-c", SERVER, path, log],
            os.path.join(lab.dir, "http.log"), netns=lab.name)
    run("bash", "-c", "until : 2>/dev/null >/dev/tcp/127.0.0.1/8008; do "
        ":; done", netns=lab.name)
    url = "http://127.0.0.1:8008/"
    daemon = Daemon(lab, config=config([
        {"name": "nets", "location": url + "nets", "interval": "1s",
         "tenant": "acme"},
        {"name": "lost", "location": url + "lost", "interval": "1s"}]),
        expect=["inventory .*/lost: HTTP status 404"])
    await_who(daemon, "10.0.0.1", [("ten", "list:nets")], "fetched")
    equal(daemon.rpc("endpoint.lookup", address="10.0.0.1")
          ["matches"][0]["tenant"], "acme", "tenant of all of it")

    def count(what):
        with open(log, encoding="utf-8") as f:
            return f.read().split().count(what)
    hits = count("hit")
    wait_until(lambda: count("hit") > hits + 4, what="it is asked again")
    equal(count("sent"), 1, "and sent once, as it is the same")
    write(path, '[{"prefix": "10.0.0.0/8", "name": "other"}]')
    await_who(daemon, "10.0.0.1", [("other", "list:nets")], "changed")
    wait_until(lambda: sources(daemon).get("list:lost", {}).get("error")
               == "HTTP status 404", what="the error is told")
    daemon.stop()


class Engine(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """As much of Docker's API as is used, over a unix socket."""
    daemon_threads = True

    def __init__(self, path):
        self.containers, self.changed = {}, threading.Condition()
        self.n_events = self.lists = self.changed_at = 0
        super().__init__(path, Answer)
        os.chmod(path, 0o666)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def set(self, **containers):
        with self.changed:
            self.containers = containers
            self.n_events += 1
            self.changed_at = time.time()
            self.changed.notify_all()


class Answer(http.server.BaseHTTPRequestHandler):
    def address_string(self):
        return "unix"

    def log_message(self, *_args):
        pass

    def do_GET(self):
        engine = self.server
        if self.path == "/containers/json":
            with engine.changed:
                engine.lists += 1
                body = json.dumps([
                    {"Id": ident * 16, "Names": ["/" + name], "Image": "img",
                     "Labels": {"com.docker.compose.project": "shop"},
                     "NetworkSettings": {"Networks": {"front": {
                         "IPAddress": address, "MacAddress": ""}}}}
                    for name, (ident, address)
                    in engine.containers.items()]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif self.path.startswith("/events?since="):
            self.send_response(200)
            self.end_headers()
            with engine.changed:
                # As an engine does: also what was before it is asked.
                since = float(self.path.split("=")[1].split("&")[0])
                n = engine.n_events
                while engine.n_events == n and engine.changed_at < since:
                    if not engine.changed.wait(60):
                        return
            try:
                self.wfile.write(b'{"Type":"container"}\n')
            except OSError:
                pass


def test_containers():
    lab = Lab()
    directory = open_dir()
    path = os.path.join(directory, "docker.sock")
    missing = os.path.join(directory, "none.sock")
    source = "containers:" + path
    engine = Engine(path)
    engine.set(web=("a1", "172.18.0.2"), db=("b2", "172.18.0.3"))
    daemon = Daemon(lab, config=config(sockets=[path, missing]))
    await_who(daemon, "172.18.0.2", [("web", source)], "listed")
    match = daemon.rpc("endpoint.lookup", address="172.18.0.3")["matches"][0]
    equal((match["type"], match["tenant"], match["network"], match["labels"]
           ["image"]), ("container", "shop", "front", "img"), "members")
    lists = engine.lists
    began = time.time()
    engine.set(db=("b2", "172.18.0.2"))
    await_who(daemon, "172.18.0.2", [("db", source)], "told by an event")
    assert time.time() - began < 30, "not by looking each minute"
    equal(who(daemon, "172.18.0.3"), [], "it has moved")
    assert engine.lists > lists
    state = sources(daemon)
    equal((state[source]["state"], state[source]["endpoints"]),
          ("read", 1), "state of the engine")
    equal(state.get("containers:" + missing, {}).get("state"), "absent",
          "an engine that is not there is no error")
    out = run(os.path.join(BUILDDIR, "venturictl"), "--api",
              "unix:" + daemon.api, "endpoint", "sources")
    assert source in out and "absent" in out, out
    daemon.stop()
    engine.shutdown()


STORAGE = """[storage]
driver = "vfs"
runroot = "%(dir)s/run"
graphroot = "%(dir)s/graph"
"""
CONTAINERS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
cgroups = "disabled"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
tmp_dir = "%(dir)s/tmp"
static_dir = "%(dir)s/static"
volume_path = "%(dir)s/volumes"
[network]
network_backend = "netavark"
network_config_dir = "%(dir)s/networks"
"""
# Podman's own namespace of mounts: crun takes no mix of cgroups, and goes
# without any if there are none.
IN_MOUNTS = ("mount --make-rprivate / && mount -t tmpfs none /sys/fs/cgroup && "
             "exec \"$@\"")


class Podman:
    """An engine with nothing in common with that of the machine."""

    def __init__(self, lab):
        for program in ("podman", "crun", "iptables", "nsenter", "unshare", "cc"):
            if not shutil.which(program):
                raise Skip("%s is not installed" % program)
        self.dir = open_dir()
        self.socket = os.path.join(self.dir, "podman.sock")
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.dir,
                        TMPDIR=self.dir)
        for variable, name, text in (
                ("CONTAINERS_STORAGE_CONF", "storage.conf", STORAGE),
                ("CONTAINERS_CONF", "containers.conf", CONTAINERS)):
            self.env[variable] = os.path.join(self.dir, name)
            write(self.env[variable], text % {"dir": self.dir})
        os.mkdir(os.path.join(self.dir, "tmp"))
        # "ip netns exec" has another /sys, without cgroups.
        self.service = Process(
            "podman", ["nsenter", "--net=/run/netns/" + lab.name, "unshare",
                       "-m", "sh", "-c", IN_MOUNTS, "sh", "podman", "system",
                       "service", "--time=0", "unix:" + self.socket],
            os.path.join(lab.dir, "podman.log"), env=self.env)
        on_cleanup(self.podman, "rm", "-fa", "-t", "0")
        wait_until(lambda: os.path.exists(self.socket), what="podman listens")
        os.chmod(self.socket, 0o666)

    def podman(self, *args, check=True):
        """In the namespaces of the service, or joining networks fails."""
        return run("nsenter", "-t", str(self.service.pid), "-m", "-n",
                   "podman", *args, env=self.env, timeout=120, check=check)

    def make_image(self):
        root = os.path.join(self.dir, "root")
        os.mkdir(root)
        source = os.path.join(self.dir, "pause.c")
        write(source, "#include <unistd.h>\n"
                      "int main(void) { for (;;) pause(); }\n")
        run("cc", "-static", "-o", os.path.join(root, "pause"), source)
        tar = os.path.join(self.dir, "image.tar")
        run("tar", "-C", root, "-cf", tar, ".")
        self.podman("import", tar, "venturi-test:1")


def test_podman():
    """The same of a real engine, as far as it runs here."""
    lab = Lab()
    podman = Podman(lab)
    podman.make_image()
    podman.podman("network", "create", "--subnet", "10.99.77.0/24", "front")
    daemon = Daemon(lab, config=config(sockets=[podman.socket]))
    source = "containers:" + podman.socket
    wait_until(lambda: sources(daemon).get(source, {}).get("state") == "read",
               what="the engine answers")
    looked = sources(daemon)[source]["looked"]
    out = podman.podman(
        "run", "-d", "--network", "front", "--ip", "10.99.77.5", "--name",
        "web", "--label", "tier=f", "--label",
        "io.podman.compose.project=shop", "venturi-test:1", "/pause",
        check=False)
    if "Error: " in out:
        raise Skip("containers do not run here: " + out.strip()[-200:])
    wait_until(lambda: who(daemon, "10.99.77.5") == [("web", source)],
               timeout=45, what="a container is told by an event")
    assert sources(daemon)[source]["looked"] != looked
    match = daemon.rpc("endpoint.lookup", address="10.99.77.5")["matches"][0]
    equal((match["type"], match["tenant"], match["network"],
           match["labels"]["tier"], match["labels"]["image"]),
          ("container", "shop", "front", "f", "localhost/venturi-test:1"),
          "members")
    podman.podman("rm", "-f", "-t", "0", "web")
    wait_until(lambda: who(daemon, "10.99.77.5") == [],
               timeout=45, what="it is gone")
    daemon.stop()


if __name__ == "__main__":
    main()
