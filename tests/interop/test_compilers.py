#!/usr/bin/env python3
"""The other compiler takes every source too, without a warning."""

import os
import re
import shutil
import subprocess

from harness import BUILDDIR, SRCDIR, Failure, Skip, main, scratch_dir


def configured():
    """Where this build has Open vSwitch's sources and DuckDB from."""
    with open(os.path.join(BUILDDIR, "config.log"), encoding="utf-8") as f:
        line = next(l for l in f if re.match(r"  \$ .*configure", l))
    return re.findall(r"--with-[a-z]+-?[a-z]*=[^ ']+", line)


def test_clang():
    if not shutil.which("clang"):
        raise Skip("needs the program clang")
    build = scratch_dir()
    for command in (
            [os.path.join(os.path.abspath(SRCDIR), "configure"),
             "--silent", "--enable-werror", "CC=clang", "CFLAGS=-O0"]
            + configured(),
            ["make", "-s", "-k", "all"]):
        said = subprocess.run(
            command, cwd=build, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, check=False)
        if said.returncode:
            raise Failure("%s: %s" % (command[0], "\n".join(
                [l for l in said.stdout.split("\n") if "error" in l][:20]
                or [said.stdout[-3000:]])))


if __name__ == "__main__":
    main()
