#!/usr/bin/env python3
"""tests/interop/traffic.py -- TCP and UDP traffic of known size.

usage: traffic.py serve PORT
       traffic.py send ADDRESS PORT [--udp N] [--size BYTES] [--tcp BYTES]
                       [--rate PACKETS_PER_SECOND]

"serve" takes everything on UDP and TCP, IPv4 and IPv6, prints "ready", and
answers each TCP connection, at its end, with the number of octets it got.
"send" sends N datagrams of so many octets, then so many octets over TCP, waits
until the other side has them, and prints what it sent as JSON.
"""

import argparse
import json
import socket
import threading
import time


def serve_connection(connection):
    total = 0
    with connection:
        while True:
            data = connection.recv(65536)
            if not data:
                break
            total += len(data)
        connection.sendall(b"%d\n" % total)


def serve(port):
    listener = socket.create_server(("::", port), family=socket.AF_INET6,
                                    dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", port))

    def drain():
        while True:
            udp.recv(65536)
    threading.Thread(target=drain, daemon=True).start()
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_connection, args=(connection,),
                         daemon=True).start()


def send_udp(options):
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.connect((options.address, options.port))
        start = time.monotonic()
        for i in range(options.udp):
            ahead = i / options.rate - (time.monotonic() - start)
            if ahead > 0:
                time.sleep(ahead)
            s.send(b"v" * options.size)
        return s.getsockname()[1]


def send_tcp(options):
    with socket.create_connection((options.address, options.port),
                                  timeout=30) as s:
        left, chunk = options.tcp, b"v" * 1400
        start, sent = time.monotonic(), 0
        while left:
            n = s.send(chunk[:min(left, len(chunk))])
            left -= n
            sent += n
            ahead = sent / 1400 / options.rate - (time.monotonic() - start)
            if ahead > 0:
                time.sleep(ahead)
        port = s.getsockname()[1]
        s.shutdown(socket.SHUT_WR)
        got = s.makefile().readline()
    if int(got) != options.tcp:
        raise SystemExit("TCP: %s of %d octets arrived" % (got, options.tcp))
    return port


def main():
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command", required=True)
    server = commands.add_parser("serve")
    server.add_argument("port", type=int)
    sender = commands.add_parser("send")
    sender.add_argument("address")
    sender.add_argument("port", type=int)
    sender.add_argument("--udp", type=int, default=0)
    sender.add_argument("--size", type=int, default=500)
    sender.add_argument("--tcp", type=int, default=0)
    sender.add_argument("--rate", type=float, default=2000.0)
    options = parser.parse_args()
    if options.command == "serve":
        serve(options.port)
        return
    udp_port = send_udp(options) if options.udp else None
    tcp_port = send_tcp(options) if options.tcp else None
    print(json.dumps({"udp_packets": options.udp, "udp_size": options.size,
                      "udp_port": udp_port, "tcp_bytes": options.tcp,
                      "tcp_port": tcp_port}))


if __name__ == "__main__":
    main()
