"""What a person sees on a real terminal: steps with colour, detaching, a terminal for one-off commands."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from harness import wait_until


class Terminal:
    """The command on a pseudo terminal of 24 by 90."""

    def __init__(self, platform, *args, **env):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 90, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [platform.build / "src" / "slipway", *args],
            stdin=slave, stdout=slave, stderr=slave, preexec_fn=own_terminal, cwd=platform.dir,
            env={"PATH": os.environ["PATH"], "HOME": str(platform.dir), "LANG": "C.UTF-8", "TERM": "xterm", "SLIPWAY_SOCKET": str(platform.run / "api.sock"), **env},
        )
        os.close(slave)
        self.seen = ""

    def read(self, seconds=0.1):
        while select.select([self.master], [], [], seconds)[0]:
            try:
                got = os.read(self.master, 65536)
            except OSError:
                return False
            if not got:
                return False
            self.seen += got.decode(errors="replace")
            seconds = 0
        return True

    def expect(self, pattern, seconds=60):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.seen, re.S):
            assert time.monotonic() < end, self.seen
            if not self.read() and not re.search(pattern, self.seen, re.S):
                raise AssertionError("ended: " + self.seen)

    def type(self, text):
        os.write(self.master, text.encode())

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def end(self, seconds=60):
        limit = time.monotonic() + seconds
        while self.read():
            if self.process.poll() is not None or time.monotonic() > limit:
                break
        self.read()
        code = self.process.wait(10)
        os.close(self.master)
        return code


WEB = {"Procfile": "web: python3 -m http.server $PORT\n", "index.html": "here\n"}


@pytest.fixture(scope="module")
def shop(platform, git):
    repository = git.repository("terminal", WEB)
    platform.create("shop", repository.url, kind="command")
    return repository


def test_steps_with_colour_and_without(platform, shop):
    t = Terminal(platform, "deploy", "shop")
    t.expect(r"\x1b\[32m✓\x1b\[0m switch .*live at http://shop\.localhost")
    assert t.end() == 0
    t = Terminal(platform, "deploy", "shop", "--force", NO_COLOR="1")
    t.expect(r"  ✓ switch .*live at .*undo: slipway rollback shop")
    assert t.end() == 0 and "\x1b[32m" not in t.seen
    t = Terminal(platform, "rollback", "shop", LANG="C", LC_ALL="C")
    t.expect(r"ok switch ")
    assert t.end() == 0


def test_a_rollback_over_a_migration_asks(platform, git):
    repository = git.repository("asking", {"index.html": "1"})
    platform.create("asking", repository.url)
    platform.cli("deploy", "asking")
    repository.commit({"slipway.yaml": "kind: static\nrelease: ['true']\n"})
    platform.cli("deploy", "asking")
    t = Terminal(platform, "rollback", "asking")
    t.expect(r"warning: release 2 ran its release command.*type yes: ")
    t.type("no\n")
    assert t.end() == 1 and "nothing was done" in t.seen
    assert platform.api("GET", "/projects/asking")["live"] == 2
    t = Terminal(platform, "rollback", "asking")
    t.expect(r"type yes: ")
    t.type("yes\n")
    assert t.end() == 0
    assert platform.api("GET", "/projects/asking")["live"] == 1


def test_ctrl_c_detaches_and_the_work_goes_on(platform, shop):
    shop.commit({"slipway.yaml": "build: [[sleep, '3']]\n"}, "slow")
    t = Terminal(platform, "deploy", "shop")
    t.expect("build ")
    t.type("\x03")
    t.expect(r"detached: task (\d+) goes on")
    assert t.end() == 130
    task = int(re.search(r"detached: task (\d+)", t.seen)[1])
    assert platform.wait_task(task)["state"] == "done"
    assert f"slipway cancel {task}" in t.seen


def test_a_stream_that_breaks_is_taken_up(platform, shop):
    shop.commit({"slipway.yaml": "build: [[sleep, '4']]\n"}, "slower")
    t = Terminal(platform, "deploy", "shop")
    t.expect("build ")
    platform.kill()
    platform.start()
    t.expect(r"✓.*switch .*live at ")
    assert t.end() == 0
    assert t.seen.count("from ") == 1, t.seen


def test_destroy_asks_for_the_name(platform, git):
    platform.create("asked", git.repository("asked", {"index.html": "x"}).url)
    t = Terminal(platform, "destroy", "asked")
    t.expect("Type the project's name")
    t.type("wrong\n")
    t.expect("nothing was done")
    assert t.end() == 1
    t = Terminal(platform, "destroy", "asked")
    t.expect("Type the project's name")
    t.type("asked\n")
    assert t.end() == 0
    wait_until(lambda: platform.call("GET", "/api/v1/projects/asked").status == 404)


def test_a_terminal_for_a_command(platform, shop):
    t = Terminal(platform, "run", "shop", "--", "sh", "-c", "stty size; read line; echo got $line; stty size; read more; exit 9")
    t.expect("24 90")
    t.resize(31, 101)
    t.type("hello\n")
    t.expect("got hello.*31 101")
    t.type("\n")
    assert t.end() == 9


def test_ctrl_c_reaches_the_command(platform, shop):
    t = Terminal(platform, "run", "shop", "--", "sh", "-c", "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done")
    t.expect("ready")
    t.type("\x03")
    t.expect("caught")
    assert t.end() == 5
