#!/usr/bin/env python3
"""venturictl top and --watch on a real terminal: tmux."""

import os
import subprocess

from generator import generate
from harness import (BUILDDIR, Daemon, Failure, Lab, main, on_cleanup, run,
                     scratch_dir, unique, wait_until)

CTL = os.path.join(BUILDDIR, "venturictl")


class Terminal:
    """A command in a terminal of tmux, with a server of its own."""

    def __init__(self, *command, width=80, height=24):
        self.socket = os.path.join(scratch_dir(), unique("tmux"))
        self.tmux("new-session", "-d", "-x", str(width), "-y", str(height),
                  "sh", "-c", "trap : INT; %s; echo status $?; exec sleep 1000"
                  % " ".join("'%s'" % c for c in command))
        on_cleanup(self.kill)

    def tmux(self, *args):
        env = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm-256color")
        result = subprocess.run(["tmux", "-f", "/dev/null", "-u", "-S",
                                 self.socket, *args], env=env, text=True,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, timeout=30,
                                check=False)
        if result.returncode:
            raise Failure("tmux %s: %s" % (args, result.stdout))
        return result.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def shows(self, *words):
        """Waits until the screen has all these words."""
        def found():
            text = self.screen()
            return text if all(w in text for w in words) else None
        try:
            return wait_until(found, what=str(words))
        except Failure as error:
            raise Failure("%s\n%s" % (error, self.screen())) from error

    def kill(self):
        try:
            self.tmux("kill-server")
        except Failure:
            pass


def start():
    lab = Lab()
    daemon = Daemon(lab)
    daemon.rpc("endpoint.upsert", source="t", endpoints=[
        {"id": "1", "name": "w\u00e9b-\u4e2d", "tenant": "blue",
         "addresses": ["10.0.0.1"], "valid_from": "-1h"}])
    generate("netflow5", "--count", "200", "--flows", "40", "--target",
             "127.0.0.1", netns=lab.name)
    wait_until(lambda: daemon.flows(by=[], metrics=["flows"], **{
        "from": "-1h", "to": "+1h"})[0]["flows"] >= 40, what="flows")
    return daemon


def ordered(text):
    """Titles and lines between them and the last one."""
    lines = text.rstrip("\n").split("\n")
    return lines[1], [line for line in lines[2:-1] if line.strip()]


def test_top():
    """Views, keys, sizes, and what comes when the daemon goes."""
    daemon = start()
    term = Terminal(CTL, "--to", daemon.api, "top", "--last", "3600",
                    "--interval", "0.5")
    text = term.shows("venturi flows", "bit/s", "source", "q quit")
    for line in text.split("\n"):
        if len(line) > 80:
            raise Failure("wider than the terminal: %r" % line)
    _, rows = ordered(term.shows("tcp"))
    if len(rows) < 20:
        raise Failure("%d rows on 24 lines" % len(rows))
    term.keys("r")
    wait_until(lambda: ordered(term.screen())[1] != rows, what="reversed")
    term.keys("r")
    term.keys("Down")
    wait_until(lambda: ordered(term.screen())[1][0] == rows[1],
               what="one row down")
    term.keys("NPage")
    wait_until(lambda: rows[1] not in term.screen(), what="a page down")
    term.keys("Home")
    wait_until(lambda: ordered(term.screen())[1][0] == rows[0], what="home")
    term.keys("d")
    term.shows("by endpoint")
    term.keys("x")
    # Rates need two answers: then there are numbers.
    term.shows("venturi exporters", "record/s", "127.0.0.1", "netflow5")
    wait_until(lambda: ordered(term.screen())[1][0].split()[-3:]
               == ["0", "0", "0"], what="rates of an exporter that is quiet")
    term.keys("e")
    term.shows("venturi endpoints sent", "tenant")
    term.keys("d")
    term.shows("received")
    term.keys("h")
    term.shows("the other way round")
    term.keys("h")
    term.keys("Space")
    term.shows("PAUSED")
    term.keys("Space")
    term.keys("f")
    term.shows("venturi flows")
    # Another size: what does not fit goes, and comes back.
    term.tmux("resize-window", "-x", "40", "-y", "10")
    wait_until(lambda: max(map(len, term.screen().split("\n"))) <= 40
               and "flows" not in term.screen().split("\n")[1], what="narrow")
    term.tmux("resize-window", "-x", "120", "-y", "30")
    term.shows("packet/s", "flows")
    # It lives on while the daemon is away.
    daemon.stop()
    term.shows("cannot connect")
    daemon.start()
    term.shows("venturi flows", "q quit", "tcp")
    term.keys("q")
    term.shows("status 0")
    term.kill()
    daemon.stop()


def test_top_options():
    """Filters, counts, Ctrl-C; bad usage and no terminal."""
    daemon = start()
    term = Terminal(CTL, "--to", daemon.api, "top", "--view", "exporters",
                    "--count", "2", "-i", "0.2")
    term.shows("status 0")
    term.kill()
    term = Terminal(CTL, "--to", daemon.api, "top", "--last", "3600",
                    "proto", "udp", "and", "port", "1")
    term.shows('"proto udp and port 1"', "Nothing yet")
    term.keys("C-c")
    term.shows("status 0")
    term.kill()
    term = Terminal(CTL, "--to", daemon.api, "top", "proto", "nonsense")
    term.shows("not a value of proto")
    term.keys("q")
    term.shows("status 1")
    term.kill()
    for args, said in ((["--view", "x"], "flows, endpoints or exporters"),
                       (["--interval", "0"], "seconds"),
                       ([], "needs a terminal")):
        text = run(CTL, "--to", daemon.api, "top", *args, check=False)
        if said not in text:
            raise Failure("%r: %s" % (args, text))
    daemon.stop()


def test_watch_option():
    """--watch, on a terminal and into a pipe."""
    daemon = start()
    term = Terminal(CTL, "--to", daemon.api, "--watch", "0.3", "exporters")
    first = term.shows("every 0.3 s", "netfl").split("\n")[0]
    wait_until(lambda: term.screen().split("\n")[0] != first, what="again")
    term.keys("C-c")
    term.shows("status 130")
    term.kill()
    text = subprocess.run(
        ["timeout", "-s", "INT", "2", CTL, "--to", daemon.api, "--watch",
         "0.2", "--ndjson", "exporters"], stdout=subprocess.PIPE, text=True,
        check=False).stdout
    if text.count("netflow5") < 2 or "\033" in text:
        raise Failure("not again and again: %r" % text[:500])
    text = run(CTL, "--to", daemon.api, "--watch", "1", "watch",
               check=False)
    if "cannot be asked" not in text:
        raise Failure(text)
    daemon.stop()


if __name__ == "__main__":
    main(needs=("root", "tmux"))
