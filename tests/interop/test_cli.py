#!/usr/bin/env python3
"""venturictl as people and scripts meet it: the help and the example of every
command, tables that fit the terminal, colours only on one, JSON, NDJSON and
CSV that others can read, and exit statuses."""

import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import select
import shlex
import signal
import struct
import subprocess
import termios
import time

from harness import BUILDDIR, Daemon, Failure, Lab, Ovs, equal, in_netns, \
    main, scratch_dir, wait_until
from test_alerts import Sender

CTL = os.path.join(BUILDDIR, "venturictl")
ESCAPE = "\x1b["
# Commands that run until they are stopped, or want a terminal.
ENDLESS = {"watch", "top"}


def ctl(daemon, *args, env=None, **kwargs):
    done = subprocess.run([CTL, "--api", "unix:" + daemon.api, *args],
                          text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=60,
                          env=dict(os.environ, **(env or {})), **kwargs)
    return done.returncode, done.stdout, done.stderr


def on_terminal(daemon, columns, *args, env=None):
    """(status, what a terminal of that width gets)."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ,
                struct.pack("HHHH", 40, columns, 0, 0))
    environment = dict(os.environ, TERM="xterm", **(env or {}))
    environment.pop("COLUMNS", None)
    with subprocess.Popen([CTL, "--api", "unix:" + daemon.api, *args],
                          stdin=follower, stdout=follower, stderr=follower,
                          env=environment, start_new_session=True) as process:
        os.close(follower)
        data = b""
        while select.select([leader], [], [], 60)[0]:
            try:
                more = os.read(leader, 65536)
            except OSError:     # The end of a terminal.
                break
            if not more:
                break
            data += more
        os.close(leader)
        return process.wait(timeout=60), data.decode().replace("\r\n", "\n")


def commands(lab):
    """The beginnings of the lines about commands in --help."""
    said = subprocess.run(in_netns(lab.name, [CTL, "--help"]), text=True,
                          capture_output=True, check=True).stdout
    names = []
    for line in said[said.index("Commands:"):said.index("Options:")] \
            .splitlines()[1:]:
        match = re.match(r"  ((?:[a-z-]+ )+)", line + " ")
        if match:
            names.append(match.group(1))
    return names


def known_commands():
    """(name, arguments of the example) of all, by their help."""
    lab = Lab()
    found = []
    for words in commands(lab):
        words = words.split()
        # A summary may follow after one blank: the longest name that is one.
        for n in range(len(words), 0, -1):
            name = " ".join(words[:n])
            done = subprocess.run([CTL, *words[:n], "--help"], text=True,
                                  capture_output=True, check=False)
            if done.returncode == 0 and "usage: venturictl %s" % name \
                    in done.stdout:
                break
        else:
            raise Failure("no help about " + " ".join(words))
        example = re.search(r"^Examples?:\n((?:  .*\n)+)", done.stdout, re.M)
        if not example:
            raise Failure("%s has no example" % name)
        line = example.group(1).strip().splitlines()[0].strip()
        found.append((name, line, done.stdout))
    if len({name for name, _, _ in found}) < 60:
        raise Failure("only %d commands" % len(found))
    return found


def prepare():
    lab = Lab()
    ovs = Ovs(lab)
    ovs.add_bridge("br0")
    daemon = Daemon(lab, ovsdb=ovs.remote, expect=[r"\|WARN\|"],
                    config={"export": {"mode": "plan"}})
    daemon.rpc("endpoint.upsert", source="nova", endpoints=[
        {"id": "%d" % i, "name": "a-workload-with-a-long-name-%d" % i,
         "addresses": ["2001:db8:1234:5678:9abc:def0:1234:%x" % i],
         "tenant": "a-tenant", "host": "a-node.example.net",
         "labels": {"role": "web", "owner": "somebody"}}
        for i in range(5)])
    sender = Sender(lab)
    for i in range(20):
        sender.flow((10, 0, i, 5), 1000 * i + 60)
    wait_until(lambda: daemon.flows(by=["dst_addr"]), what="flows")
    return lab, daemon


def readable(name, line):
    """The example without what changes things or never ends; None: none."""
    words = shlex.split(line, comments=True)
    if words[0] != "venturictl" or any(w in ("|", ">", "<", "&&")
                                       for w in words):
        return None
    first = name.split()[0]
    asks = {"flows", "records", "series", "columns", "exporters", "counters",
            "accuracy", "who", "info", "health", "whoami", "probes", "audit",
            "doctor"}
    last = name.split()[-1]
    if name in asks or last in ("list", "status", "plan", "kinds", "table",
                                "history", "neighbors", "routers", "imports",
                                "sources", "databases") \
            or name in ("config get", "filter check", "discover"):
        return words[1:] if first not in ENDLESS else None
    return None


def test_help_and_example():
    """Each command has a help that fits 80 columns where it can, an example
    that is a call of it, and options of which each is told."""
    for name, line, text in known_commands():
        if not line.startswith("venturictl ") and "venturictl " + \
                name.split()[0] not in line:
            raise Failure("%s: its example is %s" % (name, line))
        if name not in line:
            raise Failure("%s: its example is of another: %s" % (name, line))
        for wanted in ("usage:", "--json", "--watch", "--to"):
            if wanted not in text:
                raise Failure("%s --help has no %s" % (name, wanted))
        # Twice the same, and options that are none.
        status = subprocess.run([CTL, *name.split(), "--no-such-option"],
                                capture_output=True, text=True, check=False)
        equal(status.returncode, 2, name + " --no-such-option")
        if "--no-such-option" not in status.stderr or status.stdout:
            raise Failure("%s: %r" % (name, status.stderr))


def test_tables_and_formats():
    """Tables fit terminals of 60 and 80 columns; what is piped has no
    colour and no limit, and is JSON, NDJSON or CSV if one asks."""
    _, daemon = prepare()
    tried, problems = 0, []
    for name, line, _ in known_commands():
        words = readable(name, line)
        if words is None:
            continue
        tried += 1
        options = [w for w in words if w not in ("--json", "--csv", "-j",
                                                 "-c", "--ndjson")]
        for flag in ("--watch", "--to", "--token-file", "--ca"):
            if flag in options:
                i = options.index(flag)
                del options[i:i + 2]
        for columns in (60, 80):
            status, text = on_terminal(daemon, columns, *options)
            if status not in (0, 1):
                problems.append("%s: exit %d: %s" % (name, status, text))
            plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
            # A message, and a word that is longer, the terminal wraps.
            wide = [l for l in plain.splitlines() if len(l) > columns
                    and re.search(r"\S  +\S", l)
                    and max(map(len, l.split())) < 40]
            if wide and not plain.lstrip().startswith(("{", "[")):
                problems.append("%s: %d columns of %d: %s" % (
                    name, len(wide[0]), columns, wide[0]))
            if re.search(r"\x1b(?!\[[0-9;]*m)", text):
                problems.append("%s: other escapes: %r" % (name, text[:200]))
        status, text = on_terminal(daemon, 80, *options, env={"NO_COLOR": "1"})
        if ESCAPE in text:
            problems.append(name + ": colours with NO_COLOR")
        _, out, err = ctl(daemon, *options)
        if ESCAPE in out + err:
            problems.append(name + ": colours into a pipe")
        for flag in ("--json", "--ndjson", "--csv"):
            status, out, err = ctl(daemon, *options, flag)
            if status == 2 and "has no table" in err:
                continue
            if status not in (0, 1) or (status and not out and not err):
                problems.append("%s %s: exit %d: %s" % (name, flag, status,
                                                        err))
                continue
            if not out:
                continue
            try:
                if flag == "--json":
                    json.loads(out)
                elif flag == "--ndjson":
                    for row in out.splitlines():
                        json.loads(row)
                elif not out.startswith(("{", "[")):
                    rows = list(csv.reader(io.StringIO(out)))
                    if len({len(r) for r in rows if r}) > 1:
                        problems.append("%s --csv: rows of %s cells" % (
                            name, sorted({len(r) for r in rows})))
            except ValueError as error:
                problems.append("%s %s: %s: %s" % (name, flag, error,
                                                   out[:200]))
    if problems:
        raise Failure("%d of %d:\n%s" % (len(problems), tried,
                                         "\n".join(problems)))
    if tried < 25:
        raise Failure("only %d commands were tried" % tried)
    print("    %d commands" % tried)
    daemon.stop()


def test_exit_statuses():
    """0, 1, 2, 3 and 130 as the manual says, with the message on stderr."""
    lab, daemon = prepare()
    gone = os.path.join(lab.dir, "nobody.sock")
    for args, want in (
            (["info"], 0), (["filter", "check", "proto tcp"], 0),
            (["filter", "check", "proto tcp and"], 1),
            (["who", "192.0.2.99"], 1),
            (["token", "revoke", "none-such"], 1),
            (["route", "203.0.113.0/24"], None),
            (["flows", "--by", "no_such_column"], 1),
            (["flows", "no such filter"], 1),
            (["no-such-command"], 2), ([], 2), (["flows", "--last"], 2),
            (["flows", "--top", "many"], 2),
            (["--timeout", "soon", "info"], 2),
            (["--watch", "-1", "info"], 2),
            (["--api", "unix:" + gone, "info"], 3),
            (["--to", "tcp://127.0.0.1:1", "info"], 3)):
        status, out, err = ctl(daemon, *args)
        if want is not None:
            equal(status, want, "%s: %s%s" % (args, out, err))
        if status > 1 and (out or not err):
            raise Failure("%s: %r, %r" % (args, out, err))
    process = subprocess.Popen([CTL, "--api", "unix:" + daemon.api, "watch"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    sender = Sender(lab)

    def shows_something():
        sender.flow((10, 0, 0, 99), 1000)
        return select.select([process.stdout], [], [], 0.2)[0]
    wait_until(shows_something, timeout=30, what="a flow that watch shows")
    process.send_signal(signal.SIGINT)
    equal(process.wait(timeout=30), 130, "watch after Ctrl-C")
    process.stdout.close()
    process.stderr.close()
    # Nobody reads any more: no noise, no signal's death reported as a crash.
    said = subprocess.run(
        ["sh", "-c", "%s --api unix:%s discover | head -c 10" % (
            CTL, daemon.api)], capture_output=True, text=True, check=False)
    equal(said.stderr, "", "a reader that has gone")
    daemon.stop()


def test_watch_option():
    """--watch with --json gives one JSON text after the other."""
    _, daemon = prepare()
    with subprocess.Popen([CTL, "--api", "unix:" + daemon.api, "--watch",
                           "0.1", "--ndjson", "health"], text=True,
                          stdout=subprocess.PIPE) as process:
        lines = [process.stdout.readline() for _ in range(3)]
        for line in lines:
            json.loads(line)
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 30
        while process.poll() is None and time.monotonic() < deadline:
            process.stdout.readline()
        equal(process.wait(timeout=30), 130, "its end")
    daemon.stop()


BASH = """
source <("$1" completion bash)
COMP_WORDS=("$1" "${@:2}")
COMP_CWORD=$(($# - 1))
_venturictl
printf '%s\\n' "${COMPREPLY[@]}"
"""


def zsh_completes(home, setup, line):
    """What becomes of a line in an interactive zsh after a tabulator."""
    done = os.path.join(home, "done")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(done)
    with open(os.path.join(home, ".zshrc"), "w", encoding="ascii") as f:
        f.write("PS1='ready '; path=(%s $path); autoload -U compinit; %s\n"
                "show() { zle complete-word; print -rn -- \"$BUFFER\" > %s; "
                "exit }\nzle -N show; bindkey '^I' show; cd %s\n"
                % (os.path.dirname(CTL), setup, done, home))
    leader, follower = pty.openpty()
    with subprocess.Popen(["zsh", "-i"], stdin=follower, stdout=follower,
                          stderr=follower, start_new_session=True,
                          env=dict(os.environ, ZDOTDIR=home, HOME=home,
                                   TERM="xterm")) as shell:
        os.close(follower)
        said, typed = b"", False
        while select.select([leader], [], [], 60)[0]:
            try:
                more = os.read(leader, 65536)
            except OSError:     # The end of a terminal.
                break
            said += more
            if not typed and b"ready " in said:
                typed = True
                os.write(leader, line.encode() + b"\t")
        os.close(leader)
        shell.kill()
    if not os.path.exists(done):
        raise Failure("zsh: %s" % said.decode(errors="replace"))
    with open(done, encoding="utf-8") as f:
        return f.read()


def test_completion():
    """bash and zsh really complete."""
    for words, has in ((["fl"], "flows"), (["flows", "--l"], "--last"),
                       (["flows", "--by", "src_a"], "src_addr"),
                       (["export", "po"], "policy")):
        said = subprocess.run(["bash", "-c", BASH, "bash", CTL, *words],
                              text=True, capture_output=True, check=True)
        got = said.stdout.split("\n")
        if not any(word.strip() == has for word in got):
            raise Failure("%s: %s%s" % (words, said.stdout, said.stderr))
    home = scratch_dir()
    with open(os.path.join(home, "_venturictl"), "w", encoding="ascii") as f:
        subprocess.run([CTL, "completion", "zsh"], check=True, stdout=f)
    with open(os.path.join(home, "a-file.csv"), "w", encoding="ascii"):
        pass
    # By the line in .zshrc that the manual shows, and as packages install it.
    for setup in ("compinit -D -u; source <(venturictl completion zsh)",
                  "fpath=(%s $fpath); compinit -D -u" % home):
        for typed, becomes in (
                ("flo", "flows "), ("flows --la", "flows --last "),
                ("flows --by src_addr,dst_ad", "flows --by src_addr,dst_addr "),
                ("export policy se", "export policy set "),
                ("flows proto tc", "flows proto tcp "),
                ("flows 'proto tc", "flows 'proto tcp' "),
                ('flows --last 1h "proto tc', 'flows --last 1h "proto tcp" '),
                ("import a-f", "import a-file.csv "),
                ("nothing of th", "nothing of th")):
            equal(zsh_completes(home, setup, "venturictl " + typed),
                  "venturictl " + becomes, setup)


if __name__ == "__main__":
    main()
