#!/usr/bin/env python3
"""The unit's hardening, and the rpm's spec, as far as Debian goes; the Debian
package is test_deb.py."""

import fnmatch
import os
import shutil
import subprocess

from harness import (BUILDDIR, SRCDIR, Failure, Skip, equal, main, run,
                     scratch_dir)

PACKAGING = os.path.join(SRCDIR, "packaging")


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip("needs the program " + program)


def test_unit():
    """What systemd says of the hardening, and whether the unit is right."""
    need("systemd-analyze")
    unit = os.path.join(BUILDDIR, "packaging", "systemd", "venturid.service")
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager",
         "--threshold=30", unit], stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False)
    if said.returncode:
        raise Failure(said.stdout[-3000:])
    print(said.stdout.strip().split("\n")[-1])


def test_rpm_spec():
    """It can be read, and what is installed is in the package: rpmbuild
    refuses files that no pattern names."""
    need("rpmspec")
    said = run("rpmspec", "-P", os.path.join(PACKAGING, "rpm",
                                             "venturi.spec"))
    for word in ("Name:           venturi", "%install", "venturid.service"):
        if word.replace(" ", "") not in said.replace(" ", ""):
            raise Failure("%s is not in the spec: %s" % (word, said[:500]))
    patterns = [line for line in said.split("%files")[1].splitlines()
                if line.startswith("/")]
    root = scratch_dir()
    run("make", "-s", "-C", BUILDDIR, "install", "DESTDIR=" + root,
        "prefix=/usr", "libdir=/usr/lib", "sysconfdir=/etc",
        "localstatedir=/var", timeout=300)
    unused = set(patterns)
    for directory, _, files in os.walk(root):
        for name in files:
            path = os.path.join(directory, name)[len(root):]
            fits = [p for p in patterns if fnmatch.fnmatchcase(
                path, p + "*" if p.endswith("/") else p)]
            if not fits and not name.endswith(".la"):
                raise Failure("%s is in no list of the spec" % path)
            unused -= set(fits)
    equal(unused, set(), "lists of the spec that nothing is in")


if __name__ == "__main__":
    main()
