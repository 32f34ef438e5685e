#!/usr/bin/env python3
"""Late and future flows, and exporters whose clocks are wrong by years: each is
found by its own time, or, where that cannot be, by its arrival and with a
word; nothing falls outside of what a question of the last day covers."""

import struct
import time

import ipfix
from harness import Daemon, Lab, equal, main, wait_until
from ipfix import BYTES, DST, PACKETS, SRC, udp

START, END = (152, 8), (153, 8)         # Milliseconds since 1970.
FIELDS = (SRC, DST, BYTES, PACKETS, START, END)
HOUR = 3600
# Name, seconds from now, and whether that can be.
CASES = (
    ("now", 0, True), ("4 minutes ahead", 240, True),
    ("an hour ago", -HOUR, True), ("23 hours ago", -23 * HOUR, True),
    ("an hour ahead", HOUR, False), ("2 days ago", -48 * HOUR, False),
    ("10 years ahead", 10 * 365 * 86400, False),
    ("1970", None, False), ("the last moment", "last", False),
)


def milliseconds(now, offset):
    if offset is None:
        return 0
    if offset == "last":
        return (1 << 64) - 1
    return int((now + offset) * 1000)


def test_flows():
    lab = Lab()
    daemon = Daemon(lab)
    now = time.time()
    records = []
    for i, (_, offset, _) in enumerate(CASES):
        ms = milliseconds(now, offset)
        records.append(struct.pack("!4B4sQQQQ", 10, 0, 0, i + 1,
                                   b"\x0a\x01\0\1", 100, 1, ms, ms))
    udp(lab.name).sendto(ipfix.message(ipfix.template(fields=FIELDS),
                                       ipfix.data(*records)),
                         ("127.0.0.1", 4739))

    def count(**kwargs):
        return daemon.flows(metrics=["flows"], observations="all",
                            **kwargs)[0]["flows"]
    wait_until(lambda: count(**{"from": "-24h", "to": "+5m"}) == len(CASES),
               what="all flows in a day and five minutes")
    equal(count(**{"from": "1970-01-01", "to": "9999-01-01"}), len(CASES),
          "no flow twice")
    for i, (name, offset, possible) in enumerate(CASES):
        where = "src host 10.0.0.%d" % (i + 1)
        page = daemon.rpc("flow.records", **{
            "from": "-24h", "to": "+5m", "filter": where,
            "observations": "all", "fields": ["quality"]})
        (end, quality), = page["rows"]
        equal("time-corrected" in quality, not possible, name)
        center = now + (offset if possible else 0)
        # By its own time, to the second; elsewhere not.
        equal(count(filter=where, **{"from": center - 30, "to": center + 30}),
              1, "%s: at its time, %s" % (name, end))
        equal(count(filter=where, **{"from": center + 30, "to": "9999-01-01"}),
              0, name + ": later")
    counters = daemon.rpc("exporter.list")["exporters"][0]["counters"]
    equal(counters["time_corrected"],
          sum(not possible for _, _, possible in CASES), "time_corrected")
    # Also after a restart, when only the files tell.
    daemon.stop()
    daemon.start()
    equal(count(**{"from": "-24h", "to": "+5m"}), len(CASES), "restarted")
    equal(count(**{"from": now - 23 * HOUR - 30, "to": now - 22 * HOUR}), 1,
          "23 hours ago, restarted")
    daemon.stop()


if __name__ == "__main__":
    main()
