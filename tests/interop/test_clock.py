#!/usr/bin/env python3
"""The clock of the host is set, far ahead, back, far back: no flow is lost or
uncounted, nothing expires, sums and channels go on."""

import glob
import os
import time

from generator import generate
from harness import (BUILDDIR, Daemon, Failure, Lab, equal, main, sanitized,
                     wait_until)

SHIFT = os.path.join(BUILDDIR, "tests", "interop", "clock_shift.so")
HOUR, DAY = 3600, 86400
ALWAYS = {"from": "1970-01-01", "to": "9999-01-01"}


class Clock:
    """A venturid whose clock we set."""

    def __init__(self):
        self.lab = Lab()
        self.file = os.path.join(self.lab.dir, "shift")
        self.fd = os.open(self.file, os.O_WRONLY | os.O_CREAT)
        self.set(0)
        self.daemon = Daemon(self.lab, start=False,
                             expect=["the clock has jumped far ahead"],
                             config={"store": {"retention": {"raw": "30d"}}})
        preload = [SHIFT]
        if sanitized():                 # It wants to be the first.
            preload = ["libasan.so.8"] + preload
        self.daemon.command = [
            "env", "LD_PRELOAD=" + ":".join(preload),
            "CLOCK_SHIFT=" + self.file] + self.daemon.command
        self.sent = 0

    def set(self, seconds):
        os.pwrite(self.fd, b"%-30d" % seconds, 0)       # At once.
        self.shift = seconds

    def now(self):
        return time.time() + self.shift

    def stored(self, **asked):
        asked = asked or ALWAYS
        return self.daemon.rpc("flow.query", metrics=["flows"],
                               observations="all", tier="raw",
                               **asked)["rows"][0][0] or 0

    def send(self, count, rate=20000):
        """All that was sent is there, at once and for all times."""
        generate("netflow9", "--count", count, "--rate", rate, "--top", 0,
                 netns=self.lab.name)
        self.sent += count
        wait_until(lambda: self.stored() == self.sent, 15, lambda:
                   "%d of %d with the clock %+d s" % (self.stored(), self.sent,
                                                      self.shift))

    def channel(self, bucket):
        series = self.daemon.rpc("channel.series", **{
            "profile": "live", "name": "all", "from": self.now() - HOUR + 60,
            "to": self.now() + 60, "bucket": bucket})
        return sum(series["channels"][0]["flows"])


def test_set_at_run_time():
    clock = Clock()
    daemon = clock.daemon
    daemon.start()
    for shift in (0, 40 * DAY, 0, -2 * HOUR, -3 * DAY, 3650 * DAY,
                  -50 * 365 * DAY, -1800, 0):
        clock.set(shift)
        clock.send(1000)
        # By the daemon's own clock it has just been.
        if clock.stored(**{"from": "-10m"}) < 1000:
            raise Failure("not of the last ten minutes, with %+d s" % shift)
    daemon.stop()
    daemon.start()
    equal(clock.stored(), clock.sent, "after a restart")
    counters = daemon.rpc("exporter.list")["exporters"][0]["counters"]
    equal([counters[n] for n in ("ring_full", "store_lost")], [0, 0], "lost")
    daemon.stop()


def test_channels():
    """What was counted while the clock was wrong neither stands in the way of
    what is counted then, nor does it stop the writing."""
    clock = Clock()
    daemon = clock.daemon
    clock.set(-600)
    daemon.start()
    daemon.rpc("profile.add", name="live")
    daemon.rpc("channel.add", profile="live", name="all", filter="any")

    def files():
        return [(p, os.stat(p).st_mtime_ns) for p in sorted(glob.glob(
            os.path.join(daemon.state_dir, "meta", "channels", "*minutes")))]
    clock.send(1000, 1000)
    wait_until(files, what="files of a channel")
    # The same places in the files, and in the hour in memory.
    clock.set(90 * DAY)
    before = files()
    clock.send(2000, 500)
    wait_until(lambda: files() != before, 10, "a channel to be written")
    equal(clock.channel("1s"), 2000, "seconds, ahead")
    clock.set(-3)
    clock.send(3000, 600)
    equal(clock.channel("1m"), 4000, "minutes, back again")
    equal(clock.channel("1s"), 4000, "seconds, back again")
    daemon.stop()
    daemon.start()
    equal(clock.channel("1m"), 4000, "minutes, restarted")
    daemon.stop()


def test_sums_outlive_a_wrong_clock():
    """Sums are all that is left of an hour; the clock is years ahead for a
    while, also at a start."""
    clock = Clock()
    daemon = clock.daemon
    clock.set(-3 * HOUR)
    daemon.start()
    clock.send(3000)
    hour = int(clock.now()) // HOUR * HOUR
    daemon.stop()
    clock.set(0)
    daemon.start()

    def sums():
        answer = daemon.rpc("flow.query", metrics=["flows"], by=["proto"],
                            **{"from": hour - HOUR, "to": hour + HOUR})
        return ("1" in answer["stats"]["tier"]
                and sum(row[-1] for row in answer["rows"]))
    wait_until(lambda: sums() == 3000, what="sums of the hour")
    clock.send(1000)                    # There is a later segment.
    daemon.stop()
    for path in glob.glob(os.path.join(daemon.state_dir, "flows", "%s.*" %
                                       time.strftime("%Y-%m-%dT%H",
                                                     time.gmtime(hour)))):
        os.unlink(path)
    clock.sent -= 3000
    clock.set(4000 * DAY)
    daemon.start()
    equal(clock.stored(), clock.sent, "flows, years ahead")
    clock.send(1000)
    wait_until(lambda: daemon.rpc("system.info"), what="an answer")
    daemon.stop()
    clock.set(0)
    daemon.start()
    equal(clock.stored(), clock.sent, "flows, back again")
    wait_until(lambda: sums() == 3000, 10, "sums of what is gone")
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "venturid", "venturi-gen"))
