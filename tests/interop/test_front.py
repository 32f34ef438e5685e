#!/usr/bin/env python3
"""The API over TCP, TLS, HTTP and WebSocket: who may what, and what is
refused."""

import contextlib
import gzip
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys

from front import (Http, Stream, WebSocket, connect, make_certificates,
                   request, secure, tls_config)
from harness import (BUILDDIR, SRCDIR, Daemon, Failure, Lab, RpcError, equal,
                     in_netns, main, scratch_dir, wait_until)

HTTP, TCP, TLS, HTTPS = 8780, 8782, 8781, 8783
QUIET = {name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}


def start(lab, expect=(), **api):
    return Daemon(lab, config={"collector": QUIET, "api": api}, expect=expect)


def token(daemon, role, name=None, **more):
    return daemon.rpc("token.create", name=name or role, role=role,
                      **more)["token"]


def code(reply):
    return reply.get("error", {}).get("code") if reply else None


def counter(daemon, name, table="api"):
    return daemon.rpc("system.info")["counters"][table][name]


def closed(sock, timeout=30):
    """Whether the other side closes, and what it said before."""
    sock.settimeout(timeout)
    data = b""
    try:
        while True:
            more = sock.recv(1 << 20)
            if not more:
                return data
            data += more
    except ConnectionError:
        return data
    except socket.timeout as error:
        raise Failure("not closed; it said %r" % data[:200]) from error


# --- HTTP ------------------------------------------------------------------

def test_http():
    """Statuses, keep-alive, gzip, notifications, batches."""
    lab = Lab()
    daemon = start(lab)
    viewer = token(daemon, "viewer")
    web = Http(connect(lab, HTTP), viewer)
    status, reply = web.call("session.get")
    before = counter(daemon, "connections")
    equal((status, reply["result"]["role"], reply["result"]["name"],
           reply["result"]["transport"]),
          (200, "viewer", "token viewer", "http"))
    status, _, body = web.ask(body={"jsonrpc": "2.0", "method": "system.info"})
    equal((status, body), (204, b""))
    status, _, body = web.ask(body=[request("session.get", None, i)
                                    for i in (1, "two", None)])
    equal((status, sorted(str(r["id"]) for r in json.loads(body))),
          (200, ["1", "None", "two"]))
    status, head, body = web.ask(body=request("rpc.discover"),
                                 headers={"Accept-Encoding": "gzip"})
    equal((status, head["Content-Encoding"]), (200, "gzip"))
    packed, plain = len(body), gzip.decompress(body)
    if packed * 4 > len(plain):
        raise Failure("%d of %d bytes is not compressed" % (packed,
                                                            len(plain)))
    equal(web.ask(body=request("rpc.discover"))[2], plain, "without gzip")
    for accepted, want in (("deflate, GZIP;q=0.5", "gzip"), ("gzip;q=0", None),
                           ("gzip; q=0.000, br", None), ("br", None)):
        head = web.ask(body=request("rpc.discover"),
                       headers={"Accept-Encoding": accepted})[1]
        equal(head["Content-Encoding"], want, accepted)
    # Who waits to be told to go on with its body is told, once.
    web.sock.sendall(b"POST /rpc HTTP/1.1\r\nHost: a\r\nExpect: 100-continue"
                     b"\r\nContent-Type: application/json\r\nAuthorization: "
                     b"Bearer %s\r\nContent-Length: 49\r\n\r\n"
                     % viewer.encode())
    equal(web.sock.recv(1000), b"HTTP/1.1 100 Continue\r\n\r\n")
    web.sock.sendall(b'{"jsonrpc":"2.0","method":"session.get","id":123}')
    equal(web.sock.recv(15), b"HTTP/1.1 200 OK")
    web.close()
    web = Http(connect(lab, HTTP), viewer)
    equal(web.call("session.get")[0], 200)      # Now it counts.
    before = counter(daemon, "connections")
    # A method's error is no error of HTTP; a caller's is.
    for method, params, status, error in (
            ("flow.query", {"by": ["nothing"]}, 200, -32602),
            ("no.such", {}, 200, -32601), ("token.list", {}, 403, -32008)):
        got, reply = web.call(method, **params)
        equal((got, code(reply)), (status, error), method)
    status, _, body = web.ask(body="{")
    equal((status, code(json.loads(body))), (400, -32700))
    equal(counter(daemon, "connections") - before, 0, "all on one connection")
    web.close()

    for path, method, body, headers, status in (
            ("/rpc", "POST", request("session.get"),
             {"Content-Type": "text/plain"}, 415),
            ("/rpc", "GET", None, {}, 405), ("/rpc", "PUT", None, {}, 405),
            ("/rpc", "DELETE", None, {}, 405), ("/", "GET", None, {}, 404),
            ("/other", "POST", "{}", {}, 404),
            ("/healthz", "GET", None, {}, 200),
            ("/healthz", "HEAD", None, {}, 200),
            ("/readyz", "GET", None, {}, 200)):
        web = Http(connect(lab, HTTP), viewer)
        got = web.ask(method, path, body, headers)
        equal(got[0], status, "%s %s" % (method, path))
        web.close()
    web = Http(connect(lab, HTTP))
    status, head, body = web.ask(body=request("session.get"))
    equal((status, head["WWW-Authenticate"], code(json.loads(body))),
          (401, "Bearer", -32009))
    daemon.stop()


def test_cors():
    """Pages of other origins may not ask, unless configured."""
    lab = Lab()
    daemon = start(lab, http={"cors-origin": ["https://good.example"]})
    viewer = token(daemon, "viewer")
    for origin, status, allowed in (
            ("https://good.example", 200, "https://good.example"),
            ("http://localhost", 200, None),
            ("https://bad.example", 403, None), ("null", 403, None)):
        web = Http(connect(lab, HTTP), viewer)
        got, head, _ = web.ask(body=request("session.get"),
                               headers={"Origin": origin})
        equal((got, head["Access-Control-Allow-Origin"]), (status, allowed),
              origin)
        web = Http(connect(lab, HTTP))
        got, head, _ = web.ask("OPTIONS", headers={
            "Origin": origin, "Access-Control-Request-Method": "POST"})
        equal((got, head["Access-Control-Allow-Origin"]),
              (204 if allowed else 403, allowed), "preflight of " + origin)
        equal(WebSocket(connect(lab, HTTP), headers=[("Origin", origin)])
              .status, 101 if status == 200 else 403, "WebSocket of " + origin)
    daemon.stop()


def test_metrics():
    """Prometheus can read it; who may."""
    lab = Lab()
    daemon = start(lab)
    status, head, body = Http(connect(lab, HTTP)).ask("GET", "/metrics")
    equal((status, head["Content-Type"].split(";")[0]), (200, "text/plain"))
    kinds, seen = {}, set()
    sample = re.compile(r'^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)*\})? '
                        r'(-?[0-9.eE+-]+)$')
    for line in body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            if name in kinds:
                raise Failure("two families " + name)
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = sample.match(line)
            if not match or match.group(1) not in kinds:
                raise Failure("not a sample: " + line)
            if (match.group(1), match.group(2)) in seen:
                raise Failure("twice: " + line)
            seen.add((match.group(1), match.group(2)))
    for name, kind in kinds.items():
        if (kind == "counter") != name.endswith("_total"):
            raise Failure("%s is a %s" % (name, kind))
        if "octets" in name:
            raise Failure("%s: the unit is bytes" % name)
    for name in ("venturi_store_rows_total", "venturi_rpc_requests_total",
                 "process_cpu_seconds_total", "venturi_api_bytes_in_total"):
        if name not in kinds:
            raise Failure("there is no " + name)
    for args, text in ((["check", "metrics"], body),
                       (["check", "rules", os.path.join(
                           SRCDIR, "packaging", "prometheus",
                           "venturi.rules.yml")], b"")):
        tool = subprocess.run(["promtool"] + args, input=text,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if tool.returncode:
            raise Failure("promtool %s: %s" % (args[1],
                                               tool.stdout.decode()[:2000]))
    equal(Http(connect(lab, HTTP)).ask("GET", "/metrics", headers={
        "X-Forwarded-For": "192.0.2.1"})[0], 401, "through a proxy")
    # A page whose name leads to this address by a DNS of its own.
    for host, want in (("127.0.0.1:8780", 200), ("[::1]:8780", 200),
                       ("LOCALHOST:8780", 200), (socket.gethostname(), 200),
                       ("evil.example:8780", 401), ("127.0.0.1.evil", 401),
                       ("localhost.evil.example", 401)):
        equal(Http(connect(lab, HTTP)).ask("GET", "/metrics", headers={
            "Host": host})[0], want, "as " + host)
    daemon.rpc("config.edit", config={"venturi:venturi": {"api": {"http": {
        "metrics": "viewer"}}}})
    equal(Http(connect(lab, HTTP)).ask("GET", "/metrics")[0], 401)
    equal(Http(connect(lab, HTTP), token(daemon, "viewer"))
          .ask("GET", "/metrics")[0], 200)
    daemon.stop()


def test_ready_made():
    """Alert rules and the dashboard name metrics that there are; the
    container's configuration is valid."""
    packaging = os.path.join(SRCDIR, "packaging")
    wanted = set()
    for name in ("prometheus/venturi.rules.yml", "grafana/venturi.json"):
        with open(os.path.join(packaging, name), encoding="utf-8") as f:
            wanted |= set(re.findall(r"\b(?:venturi|process)_[a-z_]+",
                                     f.read()))
    if len(wanted) < 10:
        raise Failure("only %s are named" % wanted)
    lab = Lab()
    daemon = Daemon(lab, ovsdb="unix:/nonexistent", expect=[r"\|WARN\|"])
    subprocess.run(in_netns(lab.name, [
        os.path.join(BUILDDIR, "venturi-gen"), "--count", "100"]),
        stdout=subprocess.DEVNULL, check=True)
    wait_until(lambda: daemon.rpc("exporter.list")["exporters"])
    body = Http(connect(lab, HTTP)).ask("GET", "/metrics")[2].decode()
    there = {line.split()[2] for line in body.splitlines()
             if line.startswith("# TYPE")}
    if wanted - there:
        raise Failure("there are no " + ", ".join(sorted(wanted - there)))
    daemon.stop()
    subprocess.run([os.path.join(BUILDDIR, "venturid"), "--check-config",
                    "--config", os.path.join(packaging, "container",
                                             "venturi.json"),
                    "--user", "nobody"], check=True,
                   stdout=subprocess.DEVNULL)


# --- Who asks --------------------------------------------------------------

def test_tokens():
    """Created, hashed at rest, listed, used, expired, revoked, kept."""
    lab = Lab()
    daemon = start(lab, tcp={"listen": ["127.0.0.1:%d" % TCP]})
    viewer, admin = token(daemon, "viewer"), token(daemon, "admin")
    short = token(daemon, "viewer", "short", lifetime="1s")
    with contextlib.suppress(RpcError):
        token(daemon, "viewer")
        raise Failure("two tokens of one name")
    listed = daemon.rpc("token.list")["tokens"]
    equal(sorted(t["name"] for t in listed), ["admin", "short", "viewer"])
    file = os.path.join(daemon.state_dir, "meta", "tokens.json")
    equal(os.stat(file).st_mode & 0o777, 0o600, "mode of the file")
    with open(file, encoding="utf-8") as f:
        kept = f.read()
    for text in (viewer, admin):
        secret = text.split("_")[2]
        if secret in kept or secret in json.dumps(listed):
            raise Failure("a secret is kept")

    stream = Stream(connect(lab, TCP))
    equal(code(stream.call("system.info")), -32009, "nobody")
    equal(stream.call("session.get")["result"]["role"], None)
    equal(code(stream.call("session.login", token=viewer[:-1] + "x")), -32009)
    equal(stream.call("session.login", token=viewer)["result"]["role"],
          "viewer")
    equal(code(stream.call("token.list")), -32008, "a viewer")
    socket_ = WebSocket(connect(lab, HTTP),
                        headers=[("Authorization", "Bearer " + viewer)])
    equal(socket_.call("session.get")["result"]["name"], "token viewer")
    web = Http(connect(lab, HTTP), viewer)
    equal(web.call("system.info")[0], 200)

    wait_until(lambda: Http(connect(lab, HTTP), short)
               .call("session.get")[0] == 401, 10, "the end of a token")
    # An admin from afar revokes it: who is here by it has lost his role.
    far = Http(connect(lab, HTTP), admin)
    equal(far.call("token.revoke", token="viewer")[0], 200)
    equal(code(stream.call("system.info")), -32009, "TCP, revoked")
    equal(code(socket_.call("system.info")), -32009, "WebSocket, revoked")
    equal(web.call("system.info")[0], 401, "HTTP, revoked")
    daemon.stop()
    daemon.start()
    equal(Http(connect(lab, HTTP), admin).call("token.list")[0], 200,
          "after a restart")
    equal(Http(connect(lab, HTTP), viewer).call("session.get")[0], 401,
          "replayed after a restart")
    # Guessing does not pay.
    statuses = [Http(connect(lab, HTTP), "venturi_" + 12 * "0" + "_"
                     + 64 * "0").call("session.get")[0] for _ in range(15)]
    equal(set(statuses), {401, 429}, "guesses")
    daemon.stop()


def test_tls():
    """Certificates give roles; TLS 1.2 at least; large answers."""
    lab = Lab()
    directory = scratch_dir()
    os.chmod(directory, 0o755)
    make_certificates(directory)
    daemon = start(lab, tls=tls_config(directory,
                                       listen=["127.0.0.1:%d" % TLS]),
                   https={"listen": ["127.0.0.1:%d" % HTTPS]},
                   access=[{"name": "robots", "role": "operator",
                            "certificate": ["robot-*"]},
                           {"name": "by alternative name", "role": "viewer",
                            "certificate": ["nobody.example"]}])
    stream = Stream(secure(lab, directory, TLS, "robot-1"))
    who = stream.call("session.get")["result"]
    equal((who["role"], who["name"]), ("operator", "certificate robot-1"))
    plain = daemon.rpc("rpc.discover")
    equal(stream.call("rpc.discover")["result"], plain, "a large answer")
    equal(stream.call("flow.columns", **{})["result"],
          daemon.rpc("flow.columns"))
    who = Stream(secure(lab, directory, TLS, "nobody")).call("session.get")
    equal(who["result"]["role"], "viewer", "by its alternative name")
    stream = Stream(secure(lab, directory, TLS))
    equal(stream.call("session.get")["result"]["role"], None, "no certificate")
    equal(stream.call("session.login", token=token(daemon, "admin"))
          ["result"]["role"], "admin")
    status, reply = Http(secure(lab, directory, HTTPS, "robot-1")).call(
        "session.get")
    equal((status, reply["result"]["role"]), (200, "operator"), "https")
    ws = WebSocket(secure(lab, directory, HTTPS, "robot-1"))
    equal(ws.call("rpc.discover")["result"], plain, "wss")

    before = counter(daemon, "handshakes_failed")
    with contextlib.suppress(OSError):
        s = Stream(secure(lab, directory, TLS, "robot-2"))
        raise Failure("another CA's: %s" % s.call("session.get"))
    wait_until(lambda: counter(daemon, "handshakes_failed") > before,
               what="a refused certificate")
    for port in (TLS, HTTPS):
        with contextlib.suppress(OSError):
            secure(lab, directory, port, version=ssl.TLSVersion.TLSv1_1)
            raise Failure("TLS 1.1 is spoken")
        s = connect(lab, port)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        closed(s)
    daemon.stop()


def test_renewed_certificate():
    """Who comes gets the new one; who is here stays, also who asked for it."""
    lab = Lab()
    directory = scratch_dir()
    os.chmod(directory, 0o755)
    make_certificates(directory)
    daemon = start(lab, tls=tls_config(directory),
                   https={"listen": ["127.0.0.1:%d" % HTTPS]})
    admin = token(daemon, "admin")
    auth = [("Authorization", "Bearer " + admin)]
    web = Http(secure(lab, directory, HTTPS), admin)
    ws = WebSocket(secure(lab, directory, HTTPS), headers=auth)
    for asks, name in ((web, "robot-1"), (ws, "nobody"), (web, "server")):
        reply = asks.call("config.edit", config={"venturi:venturi": {"api": {
            "tls": {"certificate": os.path.join(directory, name + ".pem"),
                    "private-key": os.path.join(directory, name + ".key")}}}})
        reply = reply[1] if asks is web else reply
        if "result" not in reply:
            raise Failure("%s: %s" % (name, reply))
        subject = secure(lab, directory, HTTPS).getpeercert()["subject"]
        equal(subject, ((("commonName", name),),))
    # The same files with something else in them, as certbot does it.
    for end in (".pem", ".key"):
        shutil.copyfile(os.path.join(directory, "robot-1" + end),
                        os.path.join(directory, "server" + end))
    daemon.process.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: secure(lab, directory, HTTPS).getpeercert()["subject"]
               == ((("commonName", "robot-1"),),), what="the renewed one")
    equal(web.call("session.get")[0], 200, "https goes on")
    equal(ws.call("session.get")["result"]["name"], "token admin",
          "wss goes on")
    daemon.stop()


AS_USER = """
import json, os, socket, sys
os.setgroups([int(g) for g in sys.argv[3].split(",") if g])
os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"session.get"}')
print(json.loads(s.makefile().readline())["result"]["role"])
"""


def role_of(daemon, uid, groups=""):
    """The role on the unix socket; "refused" if it can't be opened."""
    r = subprocess.run([sys.executable, "-c", AS_USER, daemon.api, str(uid),
                        groups], capture_output=True, text=True, check=False)
    return "refused" if "PermissionError" in r.stderr else r.stdout.strip()


def test_unix_roles():
    """By user, by group, root, strangers."""
    lab = Lab()
    os.chmod(lab.dir, 0o755)
    daemon = start(lab)
    for directory in (daemon.dir, daemon.run_dir):
        os.chmod(directory, 0o755)
    outer = os.path.dirname(lab.dir)
    while outer not in ("/", ""):       # The scratch directory is closed.
        os.chmod(outer, os.stat(outer).st_mode | 0o001)
        outer = os.path.dirname(outer)
    equal(role_of(daemon, 12345), "refused", "without rules")
    daemon.rpc("config.edit", config={"venturi:venturi": {"api": {"access": [
        {"name": "u", "role": "viewer", "user": ["12345"]},
        {"name": "g", "role": "operator", "group": ["daemon"]}]}}})
    equal(role_of(daemon, 12345), "viewer", "by user")
    equal(role_of(daemon, 12346, "1"), "operator", "by group")
    equal(role_of(daemon, 12347), "None", "a stranger")
    equal(role_of(daemon, 0), "admin", "root")
    daemon.rpc("config.edit", config={"venturi:venturi": {"api": {
        "access": None}}})
    equal(role_of(daemon, 12345), "refused", "rules are gone")
    daemon.stop()


def test_proxy():
    """A header counts from a trusted proxy, and from nobody else."""
    lab = Lab()
    daemon = start(lab, http={"trusted-proxy": ["127.0.0.1/32"],
                              "listen": ["127.0.0.1:%d" % HTTP,
                                         "[::1]:%d" % HTTP]},
                   access=[{"name": "p", "role": "operator",
                            "proxy-user": ["ops-*"]}])
    for host, user, status, role in (
            ("127.0.0.1", "ops-ann", 200, "operator"),
            ("127.0.0.1", "eve", 403, None), ("127.0.0.1", "", 403, None),
            ("::1", "ops-ann", 403, None)):
        status_, reply = Http(connect(lab, HTTP, host)).ask(
            body=request("session.get"), headers={"X-Remote-User": user})[::2]
        equal(status_, status, "%s from %s" % (user, host))
        equal(json.loads(reply).get("result", {}).get("role"), role)
    # A proxy that adds its header to one of the client's.
    answer = raw(lab, "POST /rpc HTTP/1.1\r\nHost: a\r\nX-Remote-User: ops-b"
                 "\r\nContent-Type: application/json\r\nx-remote-user: eve"
                 "\r\nContent-Length: 2\r\n\r\n{}")
    equal((answer.split()[1], b"came twice" in answer), (b"400", True))
    # Forged besides a good token: the token does not help.
    viewer = token(daemon, "viewer")
    equal(Http(connect(lab, HTTP, "::1"), viewer).ask(
        body=request("session.get"), headers={"X-REMOTE-USER": "ops-a"})[0],
        403)
    daemon.stop()


# --- WebSocket -------------------------------------------------------------

def test_websocket():
    """Messages of any size and cut; what is not one; subscriptions."""
    lab = Lab()
    daemon = start(lab, **{"max-request": "200kB"})
    auth = [("Authorization", "Bearer " + token(daemon, "viewer"))]

    def ws():
        return WebSocket(connect(lab, HTTP), headers=auth)

    w = ws()
    equal(w.call("session.get")["result"]["transport"], "ws")
    equal(w.call("rpc.discover")["result"], daemon.rpc("rpc.discover"))
    long = json.dumps(request("system.info", {"x": "y" * 150000})).encode()
    w.send_frame(1, long)
    equal(code(w.receive()), -32602, "a long message")
    for i in range(0, len(long), 50000):
        w.send_frame(1 if i == 0 else 0, long[i:i + 50000],
                     i + 50000 >= len(long))
    equal(code(w.receive()), -32602, "in fragments")
    w.send_frame(9, b"ping")
    opcode, data, _ = w.receive_frame()
    equal((opcode, data), (10, b"ping"))
    w.send_frame(1, b"[1,2")
    equal(code(w.receive()), -32700)
    for i in range(50):                 # All at once.
        w.send_frame(1, json.dumps(request("session.get", None, i)).encode())
    equal(sorted(w.receive()["id"] for _ in range(50)), list(range(50)))
    w.send_frame(8, b"\x03\xe8")
    equal(w.receive(), 1000)

    for opcode, data, want in ((2, b"{}", 1003), (1, b"\"\xff\xfe\"", 1007),
                               (1, b"x" * 300000, 1009)):
        w = ws()
        with contextlib.suppress(OSError):
            w.send_frame(opcode, data)
        equal(w.receive(), want, "opcode %d, %r" % (opcode, data[:4]))
    equal(WebSocket(connect(lab, HTTP), "/other", auth).status, 404)
    for what, want in (({"Sec_WebSocket_Version": "12"}, 426),
                       ({"Sec_WebSocket_Version": None}, 426),
                       ({"Sec_WebSocket_Key": None}, 400),
                       ({"Sec_WebSocket_Key": "eA=="}, 400),
                       ({"Connection": "keep-alive"}, 400),
                       ({"Sec_WebSocket_Protocol": "soap"}, 400),
                       ({"Upgrade": "h2c"}, 400)):
        w = WebSocket(connect(lab, HTTP), headers=auth, **what)
        body = w.buffer + w.socket.makefile("rb").read()
        equal((w.status, "Sec-WebSocket-Version: 13" in w.head,
               code(json.loads(body))), (want, want == 426, -32600), str(what))
    w = WebSocket(connect(lab, HTTP), headers=auth, Connection="a, upgrade",
                  Upgrade="WebSocket", Sec_WebSocket_Protocol="soap, jsonrpc")
    equal((w.status, "jsonrpc" in w.head), (101, True))
    equal(w.call("session.get")["result"]["transport"], "ws")
    equal(WebSocket(connect(lab, HTTP), headers=[
        ("Authorization", "Bearer x")]).status, 401)
    equal(code(WebSocket(connect(lab, HTTP)).call("system.info")), -32009)
    equal(daemon.rpc("system.health")["status"], "ok")
    daemon.stop()


def test_clients_that_go():
    """Whoever closes, with an answer or without, is forgotten at once."""
    lab = Lab()
    daemon = start(lab)
    viewer = token(daemon, "viewer")
    for _ in range(30):
        client = Http(connect(lab, HTTP), viewer)
        equal(client.call("system.info")[0], 200)
        client.close()
        half = connect(lab, HTTP)
        half.sendall(b"GET / HT")
        half.close()
        WebSocket(connect(lab, HTTP), headers=[
            ("Authorization", "Bearer " + viewer)]).close()
    wait_until(lambda: daemon.rpc("system.info")["clients"] == 1, 10,
               what="the end of all")
    daemon.stop()


def test_subscribe():
    """News over WebSocket and TCP, none over HTTP."""
    lab = Lab()
    daemon = start(lab, tcp={"listen": ["127.0.0.1:%d" % TCP]})
    viewer = token(daemon, "viewer")
    w = WebSocket(connect(lab, HTTP),
                  headers=[("Authorization", "Bearer " + viewer)])
    s = Stream(connect(lab, TCP))
    s.call("session.login", token=viewer)
    for client in (w, s):
        reply = client.call("flow.subscribe")
        number = reply["result"]["subscription"]
        equal([x["subscription"] for x in
               client.call("subscription.list")["result"]["subscriptions"]],
              [number])
    equal(code(Http(connect(lab, HTTP), viewer).call("flow.subscribe")[1]),
          -32005)
    equal(code(w.call("subscription.cancel", subscription=number)), -32004,
          "another connection's")
    w.close()
    s.close()
    wait_until(lambda: daemon.rpc("system.info")["clients"] == 1,
               what="the end of both")
    daemon.stop()


# --- Changes ---------------------------------------------------------------

def test_history():
    """Revisions, rollback, what was changed by hand; the log of it all."""
    lab = Lab()
    daemon = start(lab)

    def edit(raw):
        daemon.rpc("config.edit", config={"venturi:venturi": {
            "store": {"retention": {"raw": raw}}}})

    def raw():
        return daemon.rpc("config.get")["config"]["venturi:venturi"][
            "store"]["retention"]["raw"]

    first = daemon.rpc("config.history")["current"]
    edit("30d")
    edit("40d")
    edit("40d")                         # Changes nothing: no revision.
    got = daemon.rpc("config.history")
    equal((got["current"], [r["revision"] for r in got["revisions"]]),
          (first + 2, list(range(first + 2, 0, -1))))
    newest = got["revisions"][0]
    equal(newest["changes"], [{
        "path": "/venturi:venturi/store/retention/raw", "before": "30d",
        "after": "40d"}])
    equal((newest["how"], newest["who"].split(",")[0]),
          ("edit", "user root (unix"))
    daemon.rpc("config.rollback", revision=first + 1)
    equal(raw(), "30d", "after the rollback")
    equal(daemon.rpc("config.history", limit=1)["revisions"][0]["how"],
          "rollback to %d" % (first + 1))
    daemon.rpc("config.rollback", revision=first)
    equal(raw(), "15d", "the first")
    whole = daemon.rpc("config.history", revision=first + 2)["revisions"][0]
    equal(whole["config"]["venturi:venturi"]["store"]["retention"]["raw"],
          "40d")
    try:
        daemon.rpc("config.rollback", revision=999)
        raise Failure("a revision that is none")
    except RpcError as error:
        equal(error.code, -32004)

    # What is written by hand: not overwritten, and a revision once read.
    with open(daemon.config_file, encoding="utf-8") as f:
        config = json.load(f)
    config["venturi:venturi"]["store"] = {"retention": {"raw": "77d"}}
    with open(daemon.config_file, "w", encoding="utf-8") as f:
        json.dump(config, f)
    for method, params in (("config.rollback", {"revision": first}),
                           ("config.edit", {"config": {}})):
        try:
            daemon.rpc(method, **params)
            raise Failure(method + " wrote over a file edited by hand")
        except RpcError as error:
            equal(error.code, -32006, method)
    os.kill(daemon.process.pid, 1)
    wait_until(lambda: raw() == "77d", what="the file to be read")
    last = daemon.rpc("config.history", limit=1)["revisions"][0]
    equal((last["how"], last["changes"][0]["after"]), ("file", {"raw": "77d"})
          if last["changes"][0]["path"].endswith("retention")
          else ("file", last["changes"][0]["after"]))
    newest = daemon.rpc("config.history")["current"]
    daemon.stop()
    daemon.start()
    equal(daemon.rpc("config.history")["current"], newest, "after a restart")

    viewer = Http(connect(lab, HTTP), token(daemon, "viewer"))
    equal(viewer.call("config.rollback", revision=first)[0], 403)
    entries = daemon.rpc("audit.list")["entries"]
    done = [(e["method"], e["outcome"], e["who"]) for e in entries]
    equal(done[:2], [("config.rollback", "refused", "token viewer"),
                     ("token.create", "done", "user root")])
    edits = [e for e in entries if e["method"] == "config.edit"
             and e["outcome"] == "done" and e["before"]]
    equal((edits[0]["before"], edits[0]["after"]), (
        {"/venturi:venturi/store/retention/raw": "30d"},
        {"/venturi:venturi/store/retention/raw": "40d"}))
    equal(os.stat(os.path.join(daemon.state_dir, "meta", "audit.log")).st_mode
          & 0o777, 0o600)
    daemon.stop()


def test_venturictl():
    """It asks other hosts, over each transport, by token and certificate."""
    lab = Lab()
    directory = scratch_dir()
    os.chmod(directory, 0o755)
    make_certificates(directory)
    daemon = start(lab, tls=tls_config(directory,
                                       listen=["127.0.0.1:%d" % TLS]),
                   tcp={"listen": ["127.0.0.1:%d" % TCP]},
                   https={"listen": ["127.0.0.1:%d" % HTTPS]},
                   access=[{"name": "robots", "role": "operator",
                            "certificate": ["robot-*"]}])

    def ctl(*args, **env):
        command = [os.path.join(BUILDDIR, "venturictl"), *args]
        return subprocess.run(in_netns(lab.name, command), text=True,
                              env=dict(os.environ, **env), timeout=30,
                              stdin=subprocess.DEVNULL, check=False,
                              capture_output=True)

    r = ctl("--to", daemon.api, "token", "create", "far", "viewer",
            "--lifetime", "1h")
    equal(r.returncode, 0, r.stderr)
    far = r.stdout.strip()
    file = os.path.join(directory, "token")
    with open(file, "w", encoding="ascii") as f:
        f.write(far + "\n")
    ca = os.path.join(directory, "ca.pem")
    for to in ("tcp://127.0.0.1:%d" % TCP, "tls://127.0.0.1:%d" % TLS,
               "http://127.0.0.1:%d" % HTTP, "https://127.0.0.1:%d" % HTTPS):
        r = ctl("--to", to, "--token-file", file, "--ca", ca, "whoami")
        equal((r.returncode, r.stderr), (0, ""), to)
        equal(json.loads(r.stdout)["name"], "token far", to)
        r = ctl("--to", to, "--ca", ca, "columns", VENTURI_TOKEN=far)
        equal(r.returncode, 0, to)
        r = ctl("--to", to, "--token-file", file, "--ca", ca, "token", "list")
        equal((r.returncode, "Forbidden" in r.stderr), (1, True), to)
        r = ctl("--to", to, "--ca", ca, "info")
        equal((r.returncode, "Unauthenticated" in r.stderr), (1, True), to)
    r = ctl("--to", "tls://127.0.0.1:%d" % TLS, "--ca", ca, "--cert",
            os.path.join(directory, "robot-1.pem"), "--key",
            os.path.join(directory, "robot-1.key"), "whoami")
    equal(json.loads(r.stdout)["name"], "certificate robot-1")
    r = ctl("--to", "tls://127.0.0.1:%d" % TLS, "whoami")
    equal((r.returncode, "TLS" in r.stderr), (3, True), "an unknown CA")
    for to, reason in (("tls://localhost:%d" % TLS, "hostname mismatch"),
                       ("https://localhost:%d" % HTTPS, "hostname mismatch"),
                       ("tls://127.0.0.1:%d" % HTTP, "wrong version"),
                       ("https://127.0.0.1:%d" % HTTP, "wrong version")):
        r = ctl("--to", to, "--ca", ca, "whoami")
        equal((r.returncode, "TLS: " + reason in r.stderr,
               "Does --ca" in r.stderr), (3, True, "name" in reason), to)
    r = ctl("--to", "https://127.0.0.1:%d" % HTTPS, "--ca",
            os.path.join(directory, "other-ca.pem"), "whoami")
    equal((r.returncode, "Does --ca" in r.stderr), (3, True),
          "another CA: " + r.stderr)
    r = ctl("--to", "tls://127.0.0.1:%d" % TLS, "--ca", "/nope", "whoami")
    equal((r.returncode, "/nope: No such file" in r.stderr), (3, True))
    r = ctl("--to", daemon.api, "config", "edit", json.dumps(
        {"venturi:venturi": {"api": {"tls": {"certificate": "/nope"}}}}))
    equal((r.returncode, "/nope: No such file" in r.stderr), (1, True))
    r = ctl("--to", daemon.api, "token", "list")
    equal("far" in r.stdout, True)
    equal(ctl("--to", daemon.api, "token", "revoke", "far").returncode, 0)
    r = ctl("--to", "tcp://127.0.0.1:%d" % TCP, "--token-file", file, "info")
    equal((r.returncode, "nobody has this token" in r.stderr), (3, True))
    r = ctl("--to", "smtp://example.net", "info")
    equal((r.returncode, "not an address" in r.stderr), (3, True))
    daemon.stop()


# --- Where it listens ------------------------------------------------------

def listening(lab):
    """Local addresses of listening TCP and bound UDP sockets."""
    found = []
    for kind in ("tcp", "udp"):
        for line in lab.read("/proc/net/" + kind).splitlines()[1:]:
            fields = line.split()
            if kind == "udp" or fields[3] == "0A":
                found.append(fields[1].split(":")[0])
        for line in lab.read("/proc/net/%s6" % kind).splitlines()[1:]:
            fields = line.split()
            if kind == "udp" or fields[3] == "0A":
                found.append(fields[1].split(":")[0])
    return found


def test_loopback_only():
    """Without configuration nothing is open to others."""
    lab = Lab()
    daemon = Daemon(lab)
    found = listening(lab)
    if len(found) < 4:
        raise Failure("only %s listen" % found)
    for address in found:
        if address not in ("0100007F", "0" * 24 + "01000000"):
            raise Failure("open to others: " + address)
    # A second one finds the port taken: it goes on without HTTP.
    other = Daemon(lab, config={"collector": QUIET})
    equal(other.rpc("system.health")["status"], "ok")
    with open(other.log, encoding="utf-8") as f:
        if "no HTTP" not in f.read():
            raise Failure("nothing was said about the port")
    other.stop()
    daemon.stop()


def test_listen_changes():
    """An edit opens and closes what differs; the rest stays; a port in use
    changes nothing."""
    lab = Lab()
    daemon = start(lab, tcp={"listen": ["127.0.0.1:%d" % TCP]})
    viewer = token(daemon, "viewer")
    stream = Stream(connect(lab, TCP))
    stream.call("session.login", token=viewer)
    web = Http(connect(lab, HTTP), viewer)
    equal(web.call("session.get")[0], 200)

    def edit(**api):
        daemon.rpc("config.edit",
                   config={"venturi:venturi": {"api": api}})

    edit(tcp={"listen": ["127.0.0.1:%d" % TCP, "127.0.0.1:9001"]})
    Stream(connect(lab, 9001)).close()
    edit(http={"listen": ["127.0.0.1:%d" % HTTP, "[::1]:%d" % HTTP]})
    Stream(connect(lab, HTTP, "::1")).close()
    # From one address to all: the port is ours already.
    edit(tcp={"listen": ["0.0.0.0:9001"]})
    Stream(connect(lab, 9001)).close()
    with contextlib.suppress(ConnectionRefusedError):
        connect(lab, TCP)
        raise Failure("still listening")
    equal(stream.call("session.get")["result"]["role"], "viewer",
          "a connection of a closed port")

    def occupy():
        s = socket.socket()
        s.bind(("127.0.0.1", 9002))
        s.listen()
        return s
    from ipfix import make_in
    taken = make_in(lab.name, occupy)
    before = daemon.rpc("config.get", defaults=False)
    try:
        edit(tcp={"listen": ["127.0.0.1:9003", "127.0.0.1:9002"]})
        raise Failure("a port in use was taken")
    except RpcError as error:
        if "9002" not in error.data["reason"]:
            raise
    equal(daemon.rpc("config.get", defaults=False), before, "the old holds")
    Stream(connect(lab, 9001)).close()
    with contextlib.suppress(ConnectionRefusedError):
        connect(lab, 9003)
        raise Failure("half of an edit was kept")
    taken.close()
    equal(web.call("session.get")[0], 200, "the connection from before")
    edit(http={"listen": ["none"]})
    with contextlib.suppress(ConnectionRefusedError):
        connect(lab, HTTP)
        raise Failure("HTTP still listens")
    daemon.stop()


# --- Bad input -------------------------------------------------------------

def raw(lab, text, port=HTTP):
    """What HTTP says to some bytes."""
    s = connect(lab, port)
    s.sendall(text if isinstance(text, bytes) else text.encode())
    return closed(s)


def test_smuggling():
    """No doubt about where a request ends: refused, and the connection is
    closed before what follows is taken for a request."""
    lab = Lab()
    daemon = start(lab)
    viewer = token(daemon, "viewer")
    hidden = ("POST /rpc HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
              "Content-Type: application/json\r\nContent-Length: 46\r\n\r\n"
              '{"jsonrpc":"2.0","id":7,"method":"system.info"}' % viewer)

    def post(*headers, body="{}", line="POST /rpc HTTP/1.1"):
        lines = [line, "Host: a", "Authorization: Bearer " + viewer,
                 "Content-Type: application/json", *headers]
        return "\r\n".join(lines) + "\r\n\r\n" + body

    requests = counter(daemon, "requests", "rpc")
    for what, text, statuses in (
            ("length and chunks", post("Content-Length: 4",
             "Transfer-Encoding: chunked", body="0\r\n\r\n" + hidden), (501,)),
            ("chunks", post("Transfer-Encoding: chunked",
             body="0\r\n\r\n" + hidden), (501,)),
            ("odd chunks", post("Transfer-Encoding: xchunked",
             "Content-Length: 2", body="{}" + hidden), (501,)),
            ("two lengths", post("Content-Length: 2", "Content-Length: 300",
             body="{}" + hidden), (400,)),
            ("a list of lengths", post("Content-Length: 2, 2",
             body="{}" + hidden), (400,)),
            ("a signed length", post("Content-Length: +2",
             body="{}" + hidden), (400,)),
            ("a negative length", post("Content-Length: -1",
             body="{}" + hidden), (400,)),
            ("a hexadecimal length", post("Content-Length: 0x2",
             body="{}" + hidden), (400,)),
            ("an endless length", post("Content-Length: " + "9" * 30), (400,)),
            ("no length", post(body=hidden), (411,)),
            ("a GET with a body", post("Content-Length: %d" % len(hidden),
             body=hidden, line="GET /healthz HTTP/1.1"), (400,)),
            ("no host", "GET /healthz HTTP/1.1\r\n\r\n", (400,)),
            ("h2c", "GET /rpc HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, "
             "HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ"
             "\r\n\r\n", (400, 405))):
        answer = raw(lab, text)
        status = int(answer.split()[1]) if answer else 0
        if status not in statuses or answer.count(b"HTTP/1.1 ") != 1:
            raise Failure("%s: %r" % (what, answer[:300]))
    for text in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + 500 * b"a",
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 5000,
                 b"A" * 20000, b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n\r\n",
                 b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
                 + b"X: " + b"y" * 20000 + b"\r\n\r\n",
                 b'{"jsonrpc":"2.0","id":1,"method":"system.info"}\r\n\r\n'):
        answer = raw(lab, text)
        if b" 200 " in answer.split(b"\r\n")[0]:
            raise Failure("%r: %r" % (text[:20], answer))
    equal(counter(daemon, "requests", "rpc") - requests, 1,
          "requests that got through: mine alone")
    equal(daemon.rpc("system.health")["status"], "ok")
    daemon.stop()


def memory(daemon):
    return daemon.rpc("system.info")["memory_bytes"]


def test_large_and_deep():
    """100 MB, deep nesting, bytes that are no text: refused, never kept."""
    lab = Lab()
    daemon = start(lab, expect=[r"client .*: closed"],
                   tcp={"listen": ["127.0.0.1:%d" % TCP]})
    viewer = token(daemon, "viewer")
    before = memory(daemon)
    s = connect(lab, HTTP)
    s.sendall(("POST /rpc HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n"
               "Content-Type: application/json\r\nContent-Length: 100000000"
               "\r\n\r\n" % viewer).encode())
    with contextlib.suppress(OSError):
        for _ in range(100):
            s.sendall(b" " * 1000000)
    equal(b"413" in closed(s)[:20], True, "100 MB over HTTP")
    s = Stream(connect(lab, TCP))
    s.call("session.login", token=viewer)
    with contextlib.suppress(OSError):
        for _ in range(100):
            s.socket.sendall(b"[" + b"1," * 499999)
    equal(b"-32000" in closed(s.socket), True, "100 MB over TCP")
    for text, want in (("[" * 100000, -32000), ("[" * 33 + "]" * 33, -32000),
                       ('{"jsonrpc":"2.0","id":1,"method":"\xff"}', -32700)):
        status, _, body = Http(connect(lab, HTTP), viewer).ask(
            body=text.encode("latin-1"))
        equal((status, code(json.loads(body))),
              (413 if want == -32000 else 400, want), text[:10])
    if memory(daemon) > before + 20e6:
        raise Failure("memory grew from %d to %d" % (before, memory(daemon)))
    equal(daemon.rpc("system.health")["status"], "ok")
    daemon.stop()


def test_slow():
    """Those who hardly send, or say nothing, go; others do not notice."""
    lab = Lab()
    daemon = start(lab, tcp={"listen": ["127.0.0.1:%d" % TCP]})
    viewer = token(daemon, "viewer")
    slow = [connect(lab, HTTP) for _ in range(200)]
    for s in slow:
        s.sendall(b"POST /rpc HTTP/1.1\r\nHost: a\r\nX-a: ")
    silent = [connect(lab, HTTP), connect(lab, TCP)]
    strangers = WebSocket(connect(lab, HTTP))
    web = Http(connect(lab, HTTP), viewer)
    equal(web.call("session.get")[0], 200, "beside slow ones")
    left = [s.fileno() for s in slow]
    for s in slow + silent + [strangers.socket]:
        with contextlib.suppress(OSError):
            s.sendall(b"a") if s in slow else None
        closed(s, 40)
    equal(web.call("session.get")[0], 200, "after slow ones")
    equal(len(left), 200)
    wait_until(lambda: daemon.rpc("system.info")["clients"] <= 2,
               what="all to be gone")
    equal(counter(daemon, "strangers") > 0, True, "strangers are counted")
    daemon.stop()


def test_rate_limit():
    """So many requests a second and no more; not on the unix socket."""
    lab = Lab()
    daemon = start(lab, **{"rate-limit": 5})
    web = Http(connect(lab, HTTP), token(daemon, "viewer"))
    statuses = [web.call("session.get")[0] for _ in range(30)]
    equal(statuses[:10], [200] * 10, "a burst of twice as many")
    if 429 not in statuses:
        raise Failure("30 at once: %s" % statuses)
    wait_until(lambda: web.call("session.get")[0] == 200, what="a pause")
    for _ in range(50):
        daemon.rpc("session.get")
    equal(counter(daemon, "rate_limited") > 0, True)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "openssl", "promtool"))
