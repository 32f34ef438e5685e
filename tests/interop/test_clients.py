#!/usr/bin/env python3
"""Clients that nobody here wrote: curl, jq, wrk, Python's standard library, and
the WebSockets of npm's ws and of Node itself, which is that of browsers."""

import gzip
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request

from front import request
from harness import Daemon, Failure, Lab, Skip, equal, in_netns, main, \
    wait_until
from ipfix import make_in
from test_alerts import Sender

HTTP = 8780
URL = "127.0.0.1:%d/rpc" % HTTP


def start(lab, **api):
    daemon = Daemon(lab, config={"api": api})
    token = daemon.rpc("token.create", name="v", role="viewer")["token"]
    return daemon, token


def need(program):
    path = shutil.which(program)
    if not path:
        raise Skip("no %s here; packaging/deps/debian.sh test" % program)
    return path


def tool(lab, *command, status=0, **kwargs):
    done = subprocess.run(in_netns(lab.name, command), text=True,
                          capture_output=True, timeout=60, check=False,
                          **kwargs)
    equal(done.returncode, status, "%s: %s" % (command[0], done.stderr))
    return done.stdout


def test_curl_and_jq():
    """One connection for several calls, gzip, and what curl says of errors."""
    need("curl")
    need("jq")
    lab = Lab()
    daemon, token = start(lab)
    many = len(daemon.rpc("rpc.discover")["methods"])

    def curl(body, *more, key=token, status=0):
        head = ["-H", "Authorization: Bearer " + key] if key else []
        return tool(lab, "curl", "-sS", *head, "-H",
                    "Content-Type: application/json", "-d", json.dumps(body),
                    *more, "http://" + URL, status=status)

    answer = curl(request("rpc.discover"), "--fail", "--compressed")
    equal(tool(lab, "jq", "-r", ".result.methods | length", input=answer),
          "%d\n" % many, "jq")
    names = tool(lab, "jq", "-r", ".result.methods[].name", input=answer)
    equal(len(set(names.split())), many, "names")
    code = ("-o", "/dev/null", "-w", "%{http_code} %{content_type}\n")
    equal(curl(request("session.get"), *code), "200 application/json\n")
    equal(curl(request("session.get"), *code, key="wrong").split()[0], "401")
    equal(curl(request("token.list"), *code).split()[0], "403")
    curl(request("token.list"), "--fail", status=22)
    # Two transfers, one connection.
    said = tool(lab, "curl", "-sS", "-o", "/dev/null", "-o", "/dev/null", "-w",
                "%{num_connects}\n", "http://127.0.0.1:%d/healthz" % HTTP,
                "http://127.0.0.1:%d/readyz" % HTTP)
    equal(said, "1\n0\n", "connections of each transfer")
    # "Expect: 100-continue", which curl sends before a large body; a body in
    # chunks is not taken.
    large = request("flow.filter.check", {"filter": "port 1 or " * 9000
                                          + "port 2"})
    reply = json.loads(curl(large, "-H", "Expect: 100-continue"))
    equal("result" in reply or reply["error"]["code"] == -32602, True,
          str(reply)[:200])
    equal(curl(request("session.get"), *code, "-H",
               "Transfer-Encoding: chunked").split()[0], "501",
          "a body in chunks, which is documented")
    daemon.stop()


def test_written_by_a_stranger():
    """A client that is made of nothing but the OpenRPC document and Python's
    standard library: each method of a viewer, by its described example."""
    lab = Lab()
    daemon, token = start(lab, **{"rate-limit": 0})
    sender = Sender(lab)
    sender.flow((10, 0, 0, 5), 1000, 20)
    wait_until(lambda: daemon.flows(by=["dst_addr"]), what="flows")

    def post(text):
        r = urllib.request.Request("http://" + URL, text.encode(), {
            "Content-Type": "application/json", "Accept-Encoding": "gzip",
            "Authorization": "Bearer " + token})
        with make_in(lab.name, lambda: urllib.request.urlopen(
                r, timeout=60)) as f:
            data = f.read()
            if f.headers["Content-Encoding"] == "gzip":
                data = gzip.decompress(data)
            return json.loads(data)

    class Venturi:
        """A method for each that is described; its parameters are checked
        against the description before anything is sent."""

        def __init__(self):
            document = post(json.dumps(request("rpc.discover")))["result"]
            equal(document["openrpc"].split(".")[0], "1", "OpenRPC")
            self.methods = {m["name"]: m for m in document["methods"]}

        def __getattr__(self, name):
            method = self.methods[name.replace("__", ".")]
            known = {p["name"]: p for p in method["params"]}

            def call(**params):
                for name, p in known.items():
                    if p.get("required") and name not in params:
                        raise Failure("%s wants %s" % (method["name"], name))
                if set(params) - set(known):
                    raise Failure("%s knows no %s" % (
                        method["name"], set(params) - set(known)))
                return post(json.dumps({
                    "jsonrpc": "2.0", "id": method["name"],
                    "method": method["name"], "params": params}))
            return call

    venturi = Venturi()
    asked = 0
    for name, method in venturi.methods.items():
        if method["x-role"] not in ("viewer", "anybody"):
            continue
        params = {p["name"]: p["value"]
                  for p in method["examples"][0]["params"]}
        try:
            reply = getattr(venturi, name.replace(".", "__"))(**params)
        except urllib.error.HTTPError as error:
            reply = json.loads(error.read())
        equal(reply["id"], name, "id")
        if ("result" in reply) == ("error" in reply):
            raise Failure("%s: %s" % (name, reply))
        if "error" in reply and reply["error"]["code"] in (-32601, -32603,
                                                           -32700, -32600):
            raise Failure("%s: %s" % (name, reply))
        asked += 1
    if asked < 30:
        raise Failure("only %d were asked" % asked)
    row = venturi.flow__query(by=["dst_addr"], metrics=["bytes", "flows"],
                              **{"from": "-1h"})["result"]["rows"]
    equal(row, [["10.0.0.5", 20000, 20], ["10.0.0.1", 100, 1]], "flow.query")
    daemon.stop()


# Logs in, asks for something large, subscribes, gets news, closes in order.
SCRIPT = """
const [url, token] = process.argv.slice(1);
const ws = new WebSocket(url);
let n = 0, subscription;
const ask = (method, params) => ws.send(JSON.stringify(
    {jsonrpc: "2.0", id: ++n, method, params}));
const fail = (what) => { console.log("failed: " + what); process.exit(1); };
setTimeout(() => fail("too slow"), 30000).unref();
ws.onopen = () => ask("session.login", {token});
ws.onmessage = (event) => {
    const m = JSON.parse(event.data);
    if (m.error) fail(event.data);
    if (m.id === 1) ask("rpc.discover");
    else if (m.id === 2) {
        console.log("methods", m.result.methods.length);
        ask("event.subscribe", {});
    } else if (m.id === 3) {
        subscription = m.result.subscription;
        console.log("subscribed");
    } else if (m.params && m.params.result.events) {
        if (m.params.subscription !== subscription) fail(event.data);
        console.log("news");
        ws.close(1000);
    } else fail(event.data);
};
ws.onclose = (event) => { console.log("closed", event.code, event.wasClean);
                          process.exit(0); };
ws.onerror = (event) => fail(event.message);
"""


def talk(lab, daemon, token, *command, env=None):
    """Runs SCRIPT; makes an event once it listens."""
    many = len(daemon.rpc("rpc.discover")["methods"])
    with subprocess.Popen(in_netns(lab.name, [*command, "ws://" + URL,
                                              token]), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, **(env or {}))) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("subscribed"):
                daemon.rpc("config.edit", config={"venturi:venturi": {
                    "query": {"timeout": "21s"}}})
        process.wait(timeout=30)
    equal(lines, ["methods %d" % many, "subscribed", "news",
                  "closed 1000 true"], " ".join(command[:1]))


def test_npm_ws():
    """The client of npm's ws, with permessage-deflate as it offers it."""
    node = need("node")
    env = {"NODE_PATH": "/usr/share/nodejs:/usr/lib/node_modules"}
    if subprocess.run([node, "-e", "require('ws')"], check=False,
                      env=dict(os.environ, **env),
                      capture_output=True).returncode:
        raise Skip("no node-ws here; packaging/deps/debian.sh test")
    lab = Lab()
    daemon, token = start(lab)
    talk(lab, daemon, token, node, "-e",
         'const WebSocket = require("ws");' + SCRIPT, env=env)
    daemon.stop()


def test_node_websocket():
    """The WebSocket of the browser's standard, as Node has it."""
    node = need("node")
    flags = [f for f in ([], ["--experimental-websocket"])
             if subprocess.run([node, *f, "-e", "WebSocket"], check=False,
                               capture_output=True).returncode == 0]
    if not flags:
        raise Skip("this Node has no WebSocket")
    lab = Lab()
    daemon, token = start(lab)
    talk(lab, daemon, token, node, *flags[0], "-e", SCRIPT)
    daemon.stop()


def test_wrk():
    """A load: nothing is refused or lost, and what was asked is what was
    counted.  How fast it is, make bench says."""
    need("wrk")
    lab = Lab()
    daemon, token = start(lab, **{"rate-limit": 0})
    script = os.path.join(lab.dir, "post.lua")
    with open(script, "w", encoding="ascii") as f:
        f.write('wrk.method = "POST"\nwrk.body = %s\n'
                'wrk.headers["Content-Type"] = "application/json"\n'
                'wrk.headers["Authorization"] = "Bearer %s"\n'
                % (json.dumps(json.dumps(request("session.get"))), token))

    def calls():
        return daemon.rpc("system.info")["counters"]["rpc"]["requests"]

    before = calls()
    said = tool(lab, "wrk", "-t1", "-c64", "-d2s", "-s", script,
                "http://" + URL)
    asked = int(re.search(r"(\d+) requests in", said).group(1))
    if "Non-2xx" in said or "Socket errors" in said or asked < 100:
        raise Failure(said)
    # wrk leaves what is under way at the end: one a connection at most.
    counted = calls() - before
    if not asked <= counted <= asked + 64 + 1:
        raise Failure("%d asked, %d counted" % (asked, counted))
    daemon.stop()


if __name__ == "__main__":
    main()
