#!/usr/bin/env python3
"""tests/interop/test_quickstart_demo.py -- the quickstart: what it says, and
that it leaves nothing behind however it ends.
"""
# timeout: 420

import glob
import os
import signal
import subprocess
import sys
import tempfile

from harness import (BUILDDIR, HERE, SRCDIR, Failure, Lab, Ovs, Process,
                     Skip, equal, main, run, wait_until)

QUICKSTART = os.path.join(SRCDIR, "quickstart")
DEMO = [sys.executable, os.path.join(HERE, "demo.py"), "--builddir", BUILDDIR]


def call(*command, **kwargs):
    """(exit status, what it printed)"""
    result = subprocess.run(command, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=150, **kwargs)
    return result.returncode, result.stdout


def contains(text, *parts):
    for part in parts:
        if part not in text:
            raise Failure("no \"%s\" in:\n%s" % (part, text))


def left_by(pid):
    """Namespaces and directories of a demonstration that had this id."""
    names = run("ip", "netns", "list").split()
    return ([n for n in names if "-%d-" % pid in n]
            + glob.glob("%s/v-%d-*" % (tempfile.gettempdir(), pid)))


def start_demo(lab, *args):
    """A demonstration in the background; returns when it is complete."""
    demo = Process("demo", DEMO + list(args),
                   os.path.join(lab.dir, "demo.out"))
    wait_until(lambda: demo.check() or "until Ctrl-C" in demo.text(), 100,
               demo.text)
    return demo


def test_options():
    status, text = call(QUICKSTART, "--help")
    equal(status, 0, "exit status of --help")
    contains(text, "--once", "--system", "--yes", "check", "build", "clean")
    for wrong in (["--what"], ["check", "--once"], ["--yes"],
                  ["build", "--system"]):
        status, text = call(QUICKSTART, *wrong)
        equal(status, 1, "exit status of %s" % wrong)
        contains(text, wrong[-1])


def test_without_root():
    nobody = ("setpriv", "--reuid=nobody", "--clear-groups")
    if call(*nobody, "test", "-x", QUICKSTART)[0]:
        raise Skip("another user cannot reach the source tree")
    status, text = call(*nobody, QUICKSTART, "--once")
    equal(status, 1, "exit status")
    contains(text, "sudo ./quickstart --once")


def test_once():
    status, text = call(*DEMO, "--once")
    if status:
        raise Failure("exit status %d:\n%s" % (status, text))
    contains(text, "NetFlow", "sFlow", "IPFIX", "receiving", "Top flows",
             "agrees with the hosts")


def test_ctrl_c_removes_everything():
    lab = Lab()
    demo = start_demo(lab)
    contains(demo.text(), "venturictl", "--api unix:/")
    if not left_by(demo.pid):
        raise Failure("nothing to remove? " + demo.text())
    equal(demo.stop(signal.SIGINT), 0, "exit status after Ctrl-C")
    equal(left_by(demo.pid), [], "left after Ctrl-C")


def test_other_signals_remove_everything():
    lab = Lab()
    for sig in (signal.SIGTERM, signal.SIGHUP):
        demo = Process("demo", DEMO, os.path.join(lab.dir, "demo.out"))
        wait_until(lambda pid=demo.pid: left_by(pid), 20, "a beginning")
        equal(demo.stop(sig), 128 + sig, "exit status after a signal")
        equal(left_by(demo.pid), [], "left after signal %d" % sig)


def test_kill_9_leaves_nothing():
    lab = Lab()
    demo = start_demo(lab)
    demo.popen.kill()
    demo.popen.wait()
    wait_until(lambda: not left_by(demo.pid), 20,
               lambda: "left after kill -9: %s" % left_by(demo.pid))
    equal([line for line in run("ps", "-eo", "args").splitlines()
           if "/v-%d-" % demo.pid in line], [], "processes")


def test_system():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    system = DEMO + ["--system", "--socket", ovs.socket]

    # Nobody says yes: nothing is written.
    status, text = call(*system)
    equal(status, 1, "exit status without a yes")
    contains(text, "br0", "sflow", "--yes")
    equal(ovs.rows("sFlow"), [], "rows without a yes")

    status, text = call(*system, "--yes", "--once")
    if status:
        raise Failure("exit status %d:\n%s" % (status, text))
    contains(text, "br0", "Taken back")
    equal(ovs.rows("sFlow"), [], "rows afterwards")

    # Killed without mercy, it leaves no row in a database that is not its own.
    demo = Process("demo", system + ["--yes"],
                   os.path.join(lab.dir, "demo.out"))
    wait_until(lambda: ovs.rows("sFlow"), 60, "the row: %s" % demo.text())
    demo.popen.kill()
    wait_until(lambda: not ovs.rows("sFlow"), 30,
               "the row of a killed demonstration to be taken back")

    status, text = call(*system[:-1], os.path.join(lab.dir, "none"))
    equal(status, 1, "exit status without Open vSwitch")
    contains(text, "no Open vSwitch answers")


if __name__ == "__main__":
    main(needs=("root", "ovs", "ip", "ethtool", "ping", "ps",
                "setpriv", "venturid", "venturictl"))
