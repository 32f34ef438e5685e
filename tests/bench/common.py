"""tests/bench/common.py -- what the benchmarks share.

Import it first: it reads --builddir and lets tests/interop/harness.py know.
Each benchmark prints the machine, medians with their spread, and the peer that
it measured in the same run."""

import argparse
import ctypes
import os
import platform
import socket
import statistics
import sys

_parser = argparse.ArgumentParser()
_parser.add_argument("--builddir", default=".")
_parser.add_argument("--runs", type=int, default=0,
                     help="repetitions; 0: what the benchmark likes")
arguments, _rest = _parser.parse_known_args()
os.environ["VENTURI_BUILDDIR"] = os.path.abspath(arguments.builddir)
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))), "interop"))
sys.argv[1:] = _rest

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_TICK = os.sysconf("SC_CLK_TCK")


def machine():
    """One line about where this runs."""
    model, memory = platform.machine(), 0
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        for line in f:
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
                break
    with open("/proc/meminfo", encoding="ascii") as f:
        memory = int(f.readline().split()[1]) / 1048576
    return "%s, %d CPUs, %.1f GiB, Linux %s, load %.1f" % (
        model, os.cpu_count(), memory, platform.release(),
        os.getloadavg()[0])


def header(title):
    print("%s\n  machine: %s" % (title, machine()))
    sys.stdout.flush()


def spread(values, unit, digits=0):
    """"median (lowest to highest, n runs)"."""
    number = "%%.%df" % digits
    return "%s %s (%s to %s, %d runs)" % (
        number % statistics.median(values), unit, number % min(values),
        number % max(values), len(values))


def row(what, text):
    print("  %-46s %s" % (what, text))
    sys.stdout.flush()


def goal(value, limit, unit):
    return "%s the goal of %g %s" % ("within" if value < limit else
                                     "BEYOND", limit, unit)


def cpu_seconds(pid):
    """User and system time of a process with all its threads."""
    with open("/proc/%d/stat" % pid, encoding="ascii") as f:
        words = f.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def rss_bytes(pid):
    with open("/proc/%d/statm" % pid, encoding="ascii") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def udp_socket(netns):
    """A UDP socket that lives in a network namespace."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open("/run/netns/" + netns, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        finally:
            if _libc.setns(here, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
    finally:
        os.close(here)
        os.close(there)
