#!/usr/bin/env python3
"""A change of the configuration touches what it is about, and nothing else;
what cannot be applied is taken back."""

import json
import signal
import socket
import struct
import threading
import time

import ipfix
from front import Stream, connect
from harness import Daemon, Failure, Lab, RpcError, equal, main, wait_until

PORT = 4739


def edit(daemon, **collector):
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "collector": collector}})


def refused(daemon, config, *words):
    try:
        daemon.rpc("config.edit", config={"venturi:venturi": config})
    except RpcError as error:
        if not all(w in str(error) for w in words):
            raise Failure("refused with other words: %s" % error) from error
        return
    raise Failure("not refused: %r" % config)


def config_of(daemon):
    return daemon.rpc("config.get")["config"]["venturi:venturi"]


def total(daemon):
    rows = daemon.flows(by=[], metrics=["flows"], observations="all",
                        **{"from": "-1h", "to": "+1h"})
    return rows[0]["flows"]


def record(n):
    return struct.pack("!4s4sQQHHB", bytes((10, 0, 0, 1)),
                       bytes((10, 0, 0, 2)), n, 1, 1, 2, 17)


class Flood(threading.Thread):
    """Datagrams, one record each, from one socket until told to stop."""

    def __init__(self, lab):
        super().__init__()
        self.socket = ipfix.udp(lab.name)
        self.sent = 0
        self.over = False

    def run(self):
        whole = [ipfix.message(ipfix.template(fields=ipfix.USUAL),
                               ipfix.data(record(1)), seq=i)
                 for i in range(1000)]
        while not self.over:
            self.socket.sendto(whole[self.sent % 1000], ("127.0.0.1", PORT))
            self.sent += 1
            time.sleep(0.0005)

    def stop(self):
        self.over = True
        self.join()


def test_listeners():
    """Sessions and datagrams go on while other listeners come and go; a port
    that somebody has is refused, and nothing has changed."""
    lab = Lab()
    daemon = Daemon(lab, config={"collector": {
        "workers": 2, "netflow": {"listen": ["127.0.0.1:2055"]},
        "ipfix": {"tcp": {"listen": ["127.0.0.1:%d" % PORT]}}}})
    session = ipfix.connect(lab.name, PORT)
    session.sendall(ipfix.message(ipfix.template(fields=ipfix.USUAL)))
    other = ipfix.make_in(lab.name, lambda: taken(7777))
    flood = Flood(lab)
    flood.start()
    told = 0
    before = config_of(daemon)
    for i in range(6):
        edit(daemon, sflow={"listen": ["127.0.0.1:6343",
                                       "127.0.0.1:%d" % (7000 + i)]})
        session.sendall(ipfix.message(ipfix.data(record(1))))
        told += 1
        refused(daemon, {"collector": {"sflow": {
            "listen": ["127.0.0.1:%d" % (7000 + i), "127.0.0.1:7777"]}}},
                "7777", "/venturi:venturi/collector")
        addresses = [l["address"] for l in daemon.rpc("system.info")["listen"]]
        if "127.0.0.1:%d" % (7000 + i) not in addresses \
                or len(addresses) != 5:
            raise Failure("listens on %r" % addresses)
    flood.stop()
    wait_until(lambda: total(daemon) == flood.sent + told,
               what="every datagram and record")
    drops = sum(l["kernel_drops"] for l in daemon.rpc("system.info")["listen"])
    equal(drops, 0, "dropped")
    session.sendall(ipfix.message(ipfix.data(record(1))))
    wait_until(lambda: total(daemon) == flood.sent + told + 1,
               what="a session that is still there")
    # What has to close before it can open: all is opened anew.
    edit(daemon, sflow={"listen": ["0.0.0.0:6343"]})
    edit(daemon, sflow={"listen": ["127.0.0.1:6343"]})
    now = config_of(daemon)
    now["collector"]["sflow"] = before["collector"]["sflow"]
    equal(now, before, "the rest")
    other.close()
    daemon.stop()


def taken(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", port))
    return s


def test_all_or_nothing():
    """One edit with something good everywhere and one thing that cannot be:
    API, BGP, and collector stay as they were."""
    lab = Lab()
    daemon = Daemon(lab, config={"api": {"tcp": {"listen": [
        "127.0.0.1:8782"]}}, "bgp": {"local-as": 65000,
                                     "router-id": "10.0.0.1",
                                     "listen": ["127.0.0.1:1179"]}})
    client = Stream(connect(lab, 8782))
    other = ipfix.make_in(lab.name, lambda: taken(7777))
    before = json.dumps(daemon.rpc("config.get"), sort_keys=True)
    with open(daemon.config_file, encoding="utf-8") as f:
        text = f.read()
    listen = daemon.rpc("system.info")["listen"]
    good = {"api": {"tcp": {"listen": ["127.0.0.1:8782", "127.0.0.1:8790"]}},
            "bgp": {"neighbor": [{"address": "127.0.0.9",
                                  "remote-as": 65009}]},
            "store": {"retention": {"raw": "3d"}}}
    for bad, words in (
            ({"collector": {"netflow": {"listen": ["127.0.0.1:7777"]}}},
             ["7777"]),
            ({"bgp": {"neighbor": [
                {"address": "127.0.0.9", "remote-as": 65009},
                {"address": "127.0.0.9", "remote-as": 65010}]}}, []),
            ({"api": {"tcp": {"listen": ["127.0.0.1:8782"]}, "tls": {
                "listen": ["127.0.0.1:8781"], "certificate": "/nowhere",
                "private-key": "/nowhere"}}}, ["nowhere"])):
        refused(daemon, {**good, **bad}, *words)
        equal(json.dumps(daemon.rpc("config.get"), sort_keys=True), before,
              "the configuration")
        with open(daemon.config_file, encoding="utf-8") as f:
            equal(f.read(), text, "the file")
        equal([l["address"] for l in daemon.rpc("system.info")["listen"]],
              [l["address"] for l in listen], "the collector")
        try:
            connect(lab, 8790)
            raise Failure("8790 was left open")
        except ConnectionError:
            pass
        equal(daemon.rpc("bgp.neighbors")["neighbors"], [], "neighbours")
        equal(client.call("session.get")["id"], 1, "a session of the API")
    daemon.rpc("config.edit", config={"venturi:venturi": good})
    connect(lab, 8790).close()
    equal(len(daemon.rpc("bgp.neighbors")["neighbors"]), 1)
    equal(client.call("session.get")["id"], 1, "a session of the API")
    other.close()
    daemon.stop()


def test_by_hand():
    """The file is edited by hand between two edits over the API: neither is
    lost without a word."""
    lab = Lab()
    daemon = Daemon(lab)
    with open(daemon.config_file, encoding="utf-8") as f:
        mine = json.load(f)
    mine["venturi:venturi"]["store"] = {"retention": {"raw": "4d"}}
    daemon.write_config(mine["venturi:venturi"])
    refused(daemon, {"query": {"timeout": "20s"}}, "changed since it was read")
    with open(daemon.config_file, encoding="utf-8") as f:
        equal(json.load(f), mine, "what was written by hand")
    daemon.process.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: config_of(daemon)["store"]["retention"]["raw"] == "4d",
               what="the file in effect")
    daemon.rpc("config.edit", config={"venturi:venturi": {
        "query": {"timeout": "20s"}}})
    got = config_of(daemon)
    equal((got["store"]["retention"]["raw"], got["query"]["timeout"]),
          ("4d", "20s"), "both")
    daemon.stop()


if __name__ == "__main__":
    main()
