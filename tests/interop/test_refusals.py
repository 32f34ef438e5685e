#!/usr/bin/env python3
"""What comes to the front door and is refused: each with the right code, and
one line in the log that says so; nothing of it does anything."""

import contextlib
import json
import os
import re
import socket
import ssl
import struct

from front import (Http, Stream, WebSocket, connect, make_certificates,
                   request, secure, tls_config)
from harness import (Daemon, Failure, Lab, equal, main, scratch_dir,
                     wait_until)

HTTP, HTTPS, TCP = 8780, 8783, 8782
QUIET = {name: {"listen": ["none"]} for name in ("netflow", "ipfix", "sflow")}
SAY = request("session.get")
BODY = json.dumps(SAY)


class Front:
    """A daemon, and the lines that it logs.  With the directory of
    certificates HTTP is spoken over TLS."""

    def __init__(self, directory=None, **api):
        self.lab = Lab()
        self.directory = directory
        if directory:
            api.update(tls=tls_config(directory),
                       https={"listen": ["127.0.0.1:%d" % HTTPS]})
        api.setdefault("tcp", {"listen": ["127.0.0.1:%d" % TCP]})
        self.daemon = Daemon(self.lab, config={"collector": QUIET, "api": api},
                             expect=[r"refused"])
        self.viewer = self.token("viewer")
        self.at = len(self.log())

    def token(self, role, **more):
        name = role + more.get("lifetime", "")
        return self.daemon.rpc("token.create", name=name, role=role,
                               **more)["token"]

    def log(self):
        with open(self.daemon.log, encoding="utf-8") as f:
            return f.read()

    def told(self, what, *words):
        """The one line since the last look, which has these words."""
        wait_until(lambda: len(self.log()) > self.at,
                   what=what + ": a line in the log")
        # The answer is there: a second line would be, too.
        self.daemon.rpc("system.info")
        lines = self.log()[self.at:].splitlines()
        self.at = len(self.log())
        if len(lines) != 1 or not all(w in lines[0] for w in words):
            raise Failure("%s: in the log: %s" % (what, lines))

    def said_nothing(self, what):
        self.daemon.rpc("system.info")
        if self.log()[self.at:]:
            raise Failure("%s: in the log: %s" % (what,
                                                  self.log()[self.at:]))

    def connect(self, **more):
        """To HTTP."""
        return (secure(self.lab, self.directory, HTTPS, **more)
                if self.directory else connect(self.lab, HTTP, **more))

    def raw(self, text, end=b""):
        """Sends bytes; what comes until the other side closes."""
        s = self.connect()
        data = b""
        try:
            s.sendall(text)
            while not end or end not in data:
                more = s.recv(1 << 20)
                if not more:
                    break
                data += more
        except ConnectionError:
            pass
        except socket.timeout as error:
            raise Failure("not closed; it said %r" % data[:200]) from error
        s.close()
        return data

    def post(self, *headers, body=BODY, line="POST /rpc HTTP/1.1",
             eol="\r\n"):
        """The bytes of a request that would be taken without 'headers'."""
        lines = [line, "Host: a", "Authorization: Bearer " + self.viewer,
                 "Content-Type: application/json", *headers]
        return (eol.join(lines) + eol * 2 + body).encode("latin-1")

    def stop(self):
        equal(self.daemon.rpc("system.health")["status"], "ok")
        self.daemon.stop()


LENGTH = "Content-Length: %d" % len(BODY)
HIDDEN = "POST /rpc HTTP/1.1\r\nHost: a\r\n\r\n"

# What, the request's headers (or more of it), the status, a word of the log.
HEADS = (
    ("length and chunks", {"headers": (LENGTH, "Transfer-Encoding: chunked")},
     501, "Transfer-Encoding"),
    ("chunks with extensions", {"headers": ("Transfer-Encoding: chunked",),
     "body": "2;a=\"\r\n\"\r\n{}\r\n0\r\n\r\n"}, 501, "Transfer-Encoding"),
    ("chunks after a tabulator", {"headers": (
        LENGTH, "Transfer-Encoding:\tchunked")}, 501, "Transfer-Encoding"),
    ("two codings", {"headers": (LENGTH, "Transfer-Encoding: identity",
                                 "Transfer-Encoding: chunked")}, 400, "twice"),
    ("a blank before the colon", {"headers": (
        LENGTH, "Transfer-Encoding : chunked")}, 400, "proper name"),
    ("two lengths", {"headers": (LENGTH, "Content-Length: 3")}, 400,
     "two Content-Lengths"),
    ("the same length twice", {"headers": (LENGTH, LENGTH.lower())}, 400,
     "two Content-Lengths"),
    ("a list of lengths", {"headers": ("Content-Length: 2, 2",)}, 400,
     "bad Content-Length"),
    ("a signed length", {"headers": ("Content-Length: +47",)}, 400,
     "bad Content-Length"),
    ("a folded header", {"headers": ("X-a: b", " Transfer-Encoding: chunked",
                                     LENGTH)}, 400, "folded"),
    ("a folded length", {"headers": ("Content-Length:", "\t47")}, 400,
     "folded"),
    ("lines that end with LF", {"headers": (LENGTH,), "eol": "\n"}, 400,
     "not HTTP"),
    ("one line that ends with LF", {"headers": (
        "X-a: b\nTransfer-Encoding: chunked", LENGTH)}, 400, "CR LF"),
    ("a bare CR", {"headers": ("X-a: b\rTransfer-Encoding: chunked",
                               LENGTH)}, 400, "control character"),
    ("a NUL", {"headers": ("X-a: b\0c", LENGTH)}, 400, "control character"),
    ("two hosts", {"headers": ("Host: b", LENGTH)}, 400, "twice"),
    ("two tokens", {"headers": ("Authorization: Bearer x", LENGTH)}, 400,
     "twice"),
    ("the URI of a proxy", {"headers": (LENGTH,),
     "line": "POST http://b/rpc HTTP/1.1"}, 400, "path"),
    ("no path", {"headers": (), "line": "OPTIONS * HTTP/1.1"}, 400, "path"),
    ("HTTP/2 by Upgrade", {"headers": (LENGTH, "Connection: Upgrade",
                                       "Upgrade: h2c")}, 400, "websocket only"),
    ("another Upgrade", {"headers": (LENGTH, "Upgrade: irc/6.9")}, 400,
     "websocket only"),
    ("no version", {"headers": (LENGTH,), "line": "POST /rpc"}, 400,
     "METHOD PATH"),
    ("version 2", {"headers": (LENGTH,), "line": "POST /rpc HTTP/2.0"}, 505,
     "HTTP/1.1"),
    ("another method", {"headers": (LENGTH,), "line": "TRACE /rpc HTTP/1.1"},
     405, "not done here"),
    ("a long header", {"headers": ("X-a: " + "b" * 9000, LENGTH)}, 431,
     "too long"),
    ("a long path", {"headers": (LENGTH,),
                     "line": "POST /%s HTTP/1.1" % ("a" * 9000)}, 414,
     "too long"),
    ("no length", {"headers": ()}, 411, "no Content-Length"),
    ("100 MB told", {"headers": ("Content-Length: 100000000",)}, 413,
     "may have"),
    ("a body that is no JSON", {"headers": ("Content-Length: 3",),
     "body": "{]}"}, 400, "-32700"),
    ("invalid UTF-8", {"headers": ("Content-Length: 4",),
     "body": "\"\xff\xfe\""}, 400, "UTF-8"),
    ("deep nesting", {"headers": ("Content-Length: 200",),
     "body": "[" * 100 + "]" * 100}, 413, "-32000"),
    ("a text as Content-Type", {"headers": (LENGTH,), "type": 1}, 415,
     "application/json"),
    ("another page's", {"headers": (LENGTH, "Origin: http://evil.example")},
     403, "origin"),
    ("a forged proxy header", {"headers": (LENGTH, "X-Remote-User: root")},
     403, "trusted proxy"),
)


def certificates():
    directory = scratch_dir()
    os.chmod(directory, 0o755)
    make_certificates(directory)
    return directory


def check_heads(directory=None):
    front = None
    for i, (what, how, status, word) in enumerate(HEADS):
        if i % 5 == 0:          # More of a kind are told as a number.
            if front:
                front.stop()
            front = Front(directory)
        text = front.post(*how["headers"], body=how.get("body", BODY),
                          line=how.get("line", "POST /rpc HTTP/1.1"),
                          eol=how.get("eol", "\r\n"))
        if "type" in how:
            text = text.replace(b"application/json", b"text/plain")
        before = front.daemon.rpc("system.info")["counters"]
        # Behind a body that was read it would be a request of its own.
        hidden = b"" if "-32" in word or word == "UTF-8" else HIDDEN.encode()
        answer = front.raw(text + hidden, end=b"" if hidden else b'"id":null}')
        counters = front.daemon.rpc("system.info")["counters"]
        equal((answer.split()[1:2], answer.count(b"HTTP/1.1 ")),
              ([b"%d" % status], 1), what)
        equal(json.loads(answer.split(b"\r\n\r\n", 1)[1])["error"]["code"] < 0,
              True, what)
        if hidden:
            equal(b"Connection: close" in answer, True, what)
            equal(counters["api"]["http_refused"]
                  - before["api"]["http_refused"], 1, what + " is counted")
        front.told(what, word, "127.0.0.1:")
    front.stop()


def test_heads():
    """One by one, on the wire; what stands behind each is never looked at."""
    check_heads()


def test_heads_over_tls():
    """The same."""
    check_heads(certificates())


def check_pieces(directory=None):
    front = Front(directory)
    whole = front.post(LENGTH, "Connection: close")
    s = front.connect()
    for i in range(len(whole)):
        s.sendall(whole[i:i + 1])
    equal(s.makefile("rb").read().split()[1], b"200", "byte by byte")
    # Bytes whose line goes wrong after many pieces.
    s = front.connect()
    for part in (b"GET /healthz HTTP", b"/1.1\r\nHost: ", b"a\r\nX-a : b\r\n"):
        s.sendall(part)
    equal(s.makefile("rb").read().split()[1], b"400", "wrong at last")
    front.told("wrong at last", "400")
    # The first is answered, and says that it was the last.
    answer = front.raw(front.post(LENGTH) + front.post(LENGTH))
    equal((answer.count(b"HTTP/1.1 200"), answer.count(b"HTTP/1.1 "),
           b"Connection: close" in answer), (1, 1, True), "two at once")
    web = Http(front.connect(), front.viewer)
    for _ in range(20):
        equal(web.call("session.get")[0], 200, "kept alive")
    # A second head, on a connection that was good until then.
    web.sock.sendall(front.post("Transfer-Encoding : chunked", LENGTH))
    equal(web.sock.makefile("rb").read().split()[1], b"400", "a later head")
    front.told("a later head", "400")
    front.said_nothing("good requests")
    front.stop()


def test_pieces():
    """A head may come byte by byte; more than one request is no head."""
    check_pieces()


def test_pieces_over_tls():
    """Each byte is a record; and what a client says that goes on."""
    directory = certificates()
    check_pieces(directory)
    front = Front(directory)
    # Half of a head and the end, in TLS's words and without them.
    for end in ("unwrap", "shutdown"):
        half = front.connect()
        half.sendall(b"POST /rpc HTTP/1.1\r\n")
        if end == "shutdown":
            socket.socket.shutdown(half, socket.SHUT_WR)
            equal(half.recv(1000).split()[1], b"400", "half and the end")
        else:                   # It has an answer, but does not expect one.
            with contextlib.suppress(ssl.SSLError):
                half.unwrap()
        front.told("half and the end", "half of a request")
    slow = front.connect()
    slow.sendall(b"POST /rpc HTTP/1.1\r\nHost: a\r\nX-a: ")
    silent = connect(front.lab, HTTPS)
    equal(slow.makefile("rb").read().split()[1], b"408", "a slow head")
    equal(silent.recv(100), b"", "no handshake")
    wait_until(lambda: len(front.log()[front.at:].splitlines()) == 2)
    lines = front.log()[front.at:]
    if "408" not in lines or "no TLS handshake" not in lines:
        raise Failure("in the log: %s" % lines)
    # Those who go before it is over are forgotten at once.
    front.at = len(front.log())
    before = front.daemon.rpc("system.info")["counters"]["api"]
    for text in (b"", b"\x16\x03\x01\x02\x00\x01"):
        gone = connect(front.lab, HTTPS)
        gone.sendall(text)
        gone.shutdown(socket.SHUT_WR)
        equal(gone.recv(100), b"", "gone")
    counters = front.daemon.rpc("system.info")["counters"]["api"]
    equal((counters["http_unasked"] - before["http_unasked"],
           counters["strangers"] - before["strangers"]), (2, 0))
    if "NOTICE" in front.log()[front.at:]:
        raise Failure("in the log: %s" % front.log()[front.at:])
    web = Http(front.connect(), front.viewer)
    equal(web.ask(body=BODY[:-1] + " " * 7000000 + "}")[0], 200, "7 MB")
    wait_until(lambda: front.daemon.rpc("system.info")["clients"] == 2,
               what="all to be gone but one")
    front.stop()


def test_half_open():
    """Half of a head: closed after ten seconds, told once each; connections
    without a word are not worth a line of that level."""
    front = Front()
    begun = front.daemon.rpc("system.info")["counters"]["api"]
    gone = connect(front.lab, HTTP)
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                    struct.pack("ii", 1, 0))
    gone.close()                        # Reset, without a word.
    silent = connect(front.lab, HTTP)
    silent.shutdown(socket.SHUT_WR)     # Nobody will ever ask.
    silent.settimeout(5)
    equal(silent.recv(100), b"", "the end and no word")
    half = connect(front.lab, HTTP)     # We have said all: half of one.
    half.sendall(b"POST /rpc HTTP/1.1\r\n")
    half.shutdown(socket.SHUT_WR)
    equal(half.makefile("rb").read().split()[1], b"400", "half and the end")
    lines = [x for x in front.log()[front.at:].splitlines() if "NOTICE" in x]
    if len(lines) != 1 or "half of a request" not in lines[0]:
        raise Failure("in the log: %s" % lines)
    front.at = len(front.log())
    slow = connect(front.lab, HTTP, timeout=0.5)
    slow.sendall(b"POST /rpc HTTP/1.1\r\nHost: a\r\nX-a: ")
    answer = b""
    while True:                         # A byte now and then does not help.
        with contextlib.suppress(socket.timeout, BrokenPipeError):
            slow.sendall(b"a")
            answer = slow.recv(1000)
            break
    equal(answer.split()[1], b"408", "a slow head")
    front.told("a slow head", "408", "in time")
    counters = front.daemon.rpc("system.info")["counters"]["api"]
    equal(counters["slow_requests"] - begun["slow_requests"], 1)
    wait_until(lambda: front.daemon.rpc("system.info")["clients"] == 1,
               what="all to be gone")
    front.stop()


def test_tokens():
    """Revoked, expired, guessed, or not for that: over each transport."""
    front = Front()
    daemon = front.daemon
    revoked = front.token("viewer", lifetime="1h")
    daemon.rpc("token.revoke", token="viewer1h")
    expired = front.token("viewer", lifetime="1s")
    wait_until(lambda: [t for t in daemon.rpc("token.list")["tokens"]
                        if t["expired"]], what="the end of a token")
    front.at = len(front.log())
    for what, token in (("revoked", revoked), ("expired", expired)):
        def say():
            if what == "expired":
                front.told(what, "the token viewer1s has expired")
            elif transport == "http":
                front.told(what, "a token that is nobody's")
            else:               # Of more from there the tenth is told.
                front.said_nothing(what)
        transport = "http"
        status, reply = Http(connect(front.lab, HTTP), token).call(
            "session.get")
        equal((status, reply["error"]["code"]), (401, -32009), what)
        say()
        transport = "ws"
        w = WebSocket(connect(front.lab, HTTP),
                      headers=[("Authorization", "Bearer " + token)])
        equal(w.status, 401, what + ", WebSocket")
        say()
        transport = "tcp"
        reply = Stream(connect(front.lab, TCP)).call("session.login",
                                                     token=token)
        equal(reply["error"]["code"], -32009, what + ", TCP")
        say()
    # Guessing: after the tenth none is looked at, and nothing more is told.
    guess = "venturi_" + "0" * 12 + "_" + "0" * 64
    stream = Stream(connect(front.lab, TCP))
    for number in range(7, 11):
        front.said_nothing("guess %d" % number)
        equal(stream.call("session.login", token=guess)["error"]["code"],
              -32009)
    front.told("the tenth", "refused 10 tokens", "tcp 127.0.0.1:")
    equal([Http(connect(front.lab, HTTP), guess).call("session.get")[0],
           Http(connect(front.lab, HTTP), front.viewer).call("session.get")[0],
           stream.call("session.login", token=front.viewer)["error"]["code"]],
          [429, 429, -32001], "after ten")
    front.said_nothing("after ten")
    wait_until(lambda: Http(connect(front.lab, HTTP), front.viewer).call(
        "session.get")[0] == 200, what="one to be looked at again")
    front.at = len(front.log())
    # Above the role: reading, and changing (which the audit log has, too).
    web = Http(connect(front.lab, HTTP), front.viewer)
    for method, params in (("token.list", {}), ("config.edit",
                                                {"config": {}})):
        status, reply = web.call(method, **params)
        equal((status, reply["error"]["code"]), (403, -32008), method)
        front.told(method, method, "token viewer", "role")
    web.close()
    ws = WebSocket(connect(front.lab, HTTP),
                   headers=[("Authorization", "Bearer " + front.viewer)])
    stream.call("session.login", token=front.viewer)
    front.said_nothing("a good token")
    for client, name, method, params in (
            (ws, "ws", "token.create", {"name": "a", "role": "admin"}),
            (stream, "tcp", "audit.list", {})):
        equal(client.call(method, **params)["error"]["code"], -32008)
        front.told(method + " over " + name, method, name + ",", "role")
    stranger = Stream(connect(front.lab, TCP))
    equal(stranger.call("system.info")["error"]["code"], -32009)
    front.told("a stranger", "system.info", "viewer")
    entry = daemon.rpc("audit.list", limit=1)["entries"][0]
    equal((entry["method"], entry["outcome"]), ("audit.list", "refused"))
    front.stop()


def test_streams():
    """What is no JSON, too deep, too long, over TCP and WebSocket."""
    front = Front(**{"max-request": "200kB"})
    auth = [("Authorization", "Bearer " + front.viewer)]
    for what, text, code in (("no JSON", b"{]\n", -32700),
                             ("invalid UTF-8", b"\"\xff\"\n", -32700),
                             ("deep nesting", b"[" * 100, -32000),
                             ("a long text", b"\"" + b"a" * 300000, -32000)):
        s = Stream(connect(front.lab, TCP))
        equal(s.call("session.login", token=front.viewer)["result"]["role"],
              "viewer")
        s.socket.sendall(text)
        equal(s.receive()["error"]["code"], code, what)
        front.told(what, str(code), "tcp")
        s.close()
    for what, opcode, data, code in (
            ("binary", 2, b"{}", 1003),
            ("invalid UTF-8", 1, b"\"\xff\"", 1007),
            ("too long", 1, b"x" * 300000, 1009)):
        w = WebSocket(connect(front.lab, HTTP), headers=auth)
        with contextlib.suppress(OSError):
            w.send_frame(opcode, data)
        equal(w.receive(), code, what)
        front.told(what, str(code), "ws")
    front.stop()


def test_flood():
    """A thousand refusals: a few lines, the rest is a number."""
    front = Front()
    for _ in range(1000):
        front.raw(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    lines = front.log()[front.at:].splitlines()
    equal(front.daemon.rpc("system.info")["counters"]["api"]["http_refused"],
          1000, "counted")
    if not 1 <= len(lines) <= 15 or not all("404" in x for x in lines):
        raise Failure("in the log: %d lines, %s" % (len(lines), lines[:3]))
    size = os.path.getsize(front.daemon.log)
    if size > 20000 or not re.search("refused", lines[0]):
        raise Failure("the log has %d bytes" % size)
    front.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid"))
