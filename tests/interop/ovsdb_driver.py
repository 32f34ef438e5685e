"""tests/interop/ovsdb_driver.py -- talks to the program ovsdb_driver."""

import os
import subprocess
import time

import harness
from harness import Failure, wait_until

PROGRAM = os.path.join(harness.BUILDDIR, "tests", "interop", "ovsdb_driver")


def need_driver():
    if not os.access(PROGRAM, os.X_OK):
        raise harness.Skip("needs " + PROGRAM)


class Driver:
    """The OVSDB thread alone; see ovsdb_driver.c."""

    def __init__(self, lab, *remotes, apply=True, owner="driver-1",
                 options=(), prefix=()):
        need_driver()
        self.log = os.path.join(lab.dir, harness.unique("driver-"))
        command = [*prefix, PROGRAM]
        command += ["--apply"] if apply else []
        command += ["--owner", owner, *options, *remotes]
        with open(self.log, "wb") as log:
            self.popen = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True)
        harness.on_cleanup(self.kill)

    def __call__(self, line):
        """Sends a command; returns its lines, split at the tabs."""
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()
        out = []
        while True:
            got = self.popen.stdout.readline()
            if not got:
                raise Failure("the driver died:\n" + self.text()[-3000:])
            if got == ".\n":
                return [fields.split("\t") for fields in out]
            out.append(got.rstrip("\n"))

    def text(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def status(self):
        """{(bridge, protocol): (state, reason)}"""
        return {(f[0], f[1]): (f[2], f[4]) for f in self("status")}

    def state(self, bridge, protocol):
        return self.status().get((bridge, protocol), ("none", ""))[0]

    def reason(self, bridge, protocol):
        return self.status().get((bridge, protocol), ("none", ""))[1]

    def await_state(self, bridge, protocol, state, timeout=15):
        """Waits for a state; returns the seconds that took."""
        start = time.monotonic()
        wait_until(lambda: self.state(bridge, protocol) == state, timeout,
                   lambda: "%s of %s to be %s, not %s" % (
                       protocol, bridge, state, self.status()),
                   interval=0.005)
        return time.monotonic() - start

    def plan(self):
        """{(bridge, protocol): (action, reason)}"""
        return {(f[0], f[1]): (f[2], f[3]) for f in self("plan")}

    def connected(self):
        lines = self("snapshot")
        return bool(lines) and lines[0][1] == "1"

    def trouble(self):
        """Why the first database is not connected."""
        lines = self("snapshot")
        return lines[0][4] if lines else ""

    def await_connected(self, timeout=15):
        wait_until(self.connected, timeout, "a connection to the database")

    def stop(self):
        """Ends it in good order."""
        self.popen.stdin.close()
        if self.popen.wait(20):
            raise Failure("the driver ended with %d:\n%s" % (
                self.popen.returncode, self.text()[-3000:]))

    def kill(self):
        if self.popen.poll() is None:
            self.popen.kill()
        self.popen.wait()
