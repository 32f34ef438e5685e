#!/usr/bin/env python3
# exclusive
# timeout: 1800
"""The Debian package: built, looked at by lintian, installed in a root of its
own and run: two minutes on a quiet machine."""

import glob
import os
import shutil

from harness import SRCDIR, Failure, Skip, main, run, scratch_dir

PACKAGING = os.path.join(SRCDIR, "packaging")


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip("needs the program " + program)


def test_deb():
    """dpkg-buildpackage, lintian, install, run, purge."""
    need("dpkg-buildpackage", "dh", "chrpath", "lintian", "curl")
    out = scratch_dir()
    run(os.path.join(PACKAGING, "debian", "build"), out, timeout=1500)
    deb, = [p for p in glob.glob(os.path.join(out, "venturi_*.deb"))]
    said = run("lintian", "--allow-root", "--fail-on", "error,warning", deb,
               timeout=200)
    if "E:" in said or "W:" in said:
        raise Failure("lintian: " + said)
    listed = run("dpkg-deb", "--contents", deb)
    for path in ("/usr/sbin/venturid", "/usr/bin/venturictl",
                 "/lib/systemd/system/venturid.service",
                 "/usr/share/venturi/prometheus/venturi.rules.yml",
                 "/usr/share/venturi/grafana/venturi.json",
                 "/usr/share/man/man1/venturictl.1.gz",
                 "/usr/share/man/man5/venturi.json.5.gz",
                 "/usr/share/man/man7/venturi-filter.7.gz",
                 "/usr/share/man/man8/venturid.8.gz"):
        if path not in listed:
            raise Failure("%s is not in the package" % path)
    said = run(os.path.join(PACKAGING, "debian", "try"), deb, timeout=200)
    if "installs, runs and goes" not in said:
        raise Failure(said)


if __name__ == "__main__":
    main(needs=("root",))
