"""tests/interop/generator.py -- venturi-gen for the tests."""

import json
import os
import subprocess

from harness import BUILDDIR, Failure, in_netns

PROTOCOLS = ("netflow5", "netflow9", "ipfix", "ipfix-ovs", "sflow")
PORTS = {"netflow5": 2055, "netflow9": 2055, "ipfix": 4739,
         "ipfix-ovs": 4739, "sflow": 6343}


def command(protocol, *args):
    """The command line that sends 'protocol' and prints JSON."""
    return [os.path.join(BUILDDIR, "venturi-gen"), "--protocol", protocol,
            "--json"] + [str(arg) for arg in args]


def generate(protocol, *args, netns=None, timeout=120):
    """Runs venturi-gen to its end; returns the totals that it prints."""
    result = subprocess.run(in_netns(netns, command(protocol, *args)),
                            stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=timeout)
    if result.returncode:
        raise Failure("venturi-gen: %s" % result.stderr.strip())
    return json.loads(result.stdout)
