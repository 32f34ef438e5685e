"""tests/interop/front.py -- clients of the API's transports, made of Python's
standard library: streams, HTTP and WebSocket, all in a lab's namespace."""

import base64
import hashlib
import http.client
import json
import os
import socket
import ssl
import struct
import subprocess

from ipfix import make_in


def connect(lab, port, host="127.0.0.1", timeout=30):
    """A TCP connection, made inside the lab."""
    def make():
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.settimeout(timeout)
        s.connect((host, port))
        return s
    return make_in(lab.name, make)


def request(method, params=None, number=1):
    message = {"jsonrpc": "2.0", "id": number, "method": method}
    if params is not None:
        message["params"] = params
    return message


class Stream:
    """JSON texts over a connected socket."""

    def __init__(self, sock):
        self.socket = sock
        self.buffer = b""

    def send(self, *messages):
        self.socket.sendall(b"".join(json.dumps(m).encode() + b"\n"
                                     for m in messages))

    def receive(self):
        while b"\n" not in self.buffer:
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self.buffer += data
        line, self.buffer = self.buffer.split(b"\n", 1)
        return json.loads(line)

    def call(self, method, **params):
        self.send(request(method, params))
        return self.receive()

    def close(self):
        self.socket.close()


class Http(http.client.HTTPConnection):
    """http.client over a socket that was made elsewhere."""

    def __init__(self, sock, token=None):
        super().__init__("localhost", 80)
        self.sock = sock
        self.token = token

    def ask(self, method="POST", path="/rpc", body=None, headers=None):
        """(status, headers, body) of one request."""
        head = {}
        if body is not None:
            head["Content-Type"] = "application/json"
        if self.token:
            head["Authorization"] = "Bearer " + self.token
        head.update(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        self.request(method, path, body=body, headers=head)
        response = self.getresponse()
        return response.status, response.headers, response.read()

    def call(self, method, **params):
        status, _, body = self.ask(body=request(method, params))
        return status, json.loads(body) if body else None


class WebSocket:
    """RFC 6455, as little of it as a test needs, and all that is wrong with
    it that a test wants."""

    def __init__(self, sock, path="/rpc", headers=(), **other):
        self.socket = sock
        key = base64.b64encode(os.urandom(16)).decode()
        head = {"Upgrade": "websocket", "Connection": "Upgrade",
                "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13"}
        head.update((name.replace("_", "-"), value)
                    for name, value in other.items())
        lines = ["GET %s HTTP/1.1" % path, "Host: localhost"]
        lines += ["%s: %s" % header
                  for header in list(head.items()) + list(headers)
                  if header[1] is not None]
        sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            data = sock.recv(65536)
            if not data:
                break
            self.buffer += data
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        self.head = head.decode()
        self.status = int(head.split()[1]) if head else 0
        if self.status == 101:
            want = base64.b64encode(hashlib.sha1((
                key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode())
                .digest()).decode()
            assert want in head.decode(), head

    def send_frame(self, opcode, data, fin=True):
        head = struct.pack("!B", opcode | (0x80 if fin else 0))
        if len(data) < 126:
            head += struct.pack("!B", 0x80 | len(data))
        elif len(data) < 65536:
            head += struct.pack("!BH", 0x80 | 126, len(data))
        else:
            head += struct.pack("!BQ", 0x80 | 127, len(data))
        mask = os.urandom(4)
        whole = mask * (len(data) // 4 + 1)
        masked = (int.from_bytes(data, "big")
                  ^ int.from_bytes(whole[:len(data)], "big")
                  ).to_bytes(len(data), "big")
        self.socket.sendall(head + mask + masked)

    def _take(self, n):
        while len(self.buffer) < n:
            data = self.socket.recv(1 << 20)
            if not data:
                return None
            self.buffer += data
        taken, self.buffer = self.buffer[:n], self.buffer[n:]
        return taken

    def receive_frame(self):
        """(opcode, data, fin), or None at the end."""
        head = self._take(2)
        if not head:
            return None
        n = head[1] & 0x7f
        if n == 126:
            n = struct.unpack("!H", self._take(2))[0]
        elif n == 127:
            n = struct.unpack("!Q", self._take(8))[0]
        return head[0] & 0xf, self._take(n) if n else b"", head[0] & 0x80

    def receive(self):
        """The next text message as JSON; pings are answered; the code of a
        close frame as an integer; None at the end."""
        text = b""
        while True:
            frame = self.receive_frame()
            if frame is None:
                return None
            opcode, data, fin = frame
            if opcode == 9:
                self.send_frame(10, data)
            elif opcode == 8:
                return struct.unpack("!H", data[:2])[0] if data else 0
            elif opcode in (0, 1):
                text += data
                if fin:
                    return json.loads(text)

    def call(self, method, **params):
        self.send_frame(1, json.dumps(request(method, params)).encode())
        return self.receive()

    def close(self):
        self.socket.close()


def openssl(directory, *args):
    subprocess.run(("openssl",) + args, cwd=directory, check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(directory):
    for ca in ("ca", "other-ca"):
        openssl(directory, "req", "-x509", "-newkey", "rsa:2048", "-nodes",
                "-keyout", ca + ".key", "-out", ca + ".pem", "-days", "2",
                "-subj", "/CN=" + ca)
    for name, ca in (("server", "ca"), ("robot-1", "ca"), ("nobody", "ca"),
                     ("robot-2", "other-ca")):
        with open(os.path.join(directory, "ext"), "w", encoding="ascii") as f:
            f.write("subjectAltName=IP:127.0.0.1,DNS:%s.example\n" % name)
        openssl(directory, "req", "-newkey", "rsa:2048", "-nodes", "-keyout",
                name + ".key", "-out", name + ".csr", "-subj", "/CN=" + name)
        openssl(directory, "x509", "-req", "-in", name + ".csr", "-CA",
                ca + ".pem", "-CAkey", ca + ".key", "-CAcreateserial",
                "-days", "2", "-extfile", "ext", "-out", name + ".pem")
    for name in os.listdir(directory):
        os.chmod(os.path.join(directory, name), 0o644)


def tls_config(directory, **more):
    def path(name):
        return os.path.join(directory, name)
    return dict({"certificate": path("server.pem"),
                 "private-key": path("server.key"), "ca": path("ca.pem")},
                **more)


def secure(lab, directory, port, identity=None, version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(os.path.join(directory, "ca.pem"))
    if version:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
        context.set_ciphers("ALL:@SECLEVEL=0")
    if identity:
        context.load_cert_chain(os.path.join(directory, identity + ".pem"),
                                os.path.join(directory, identity + ".key"))
    return context.wrap_socket(connect(lab, port))
