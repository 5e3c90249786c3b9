"""A throw-away server with systemd for the tests: machine.sh, with Slipway installed as `make install` or the package does it."""
import json
import os
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLIPWAY_BUILD", TOP / "build"))
SCRIPT = TOP / "tests/machine/machine.sh"
DAEMON = "slipwayd.socket slipwayd-edge.socket slipwayd-http.socket slipwayd.service"  # stopped with its sockets: they would wake it
sys.path.insert(0, str(TOP / "tests/e2e"))


class NoMachine(Exception):
    """This host cannot run one: a reason to skip, not a fault of Slipway's."""


class Server:
    """A fresh machine, of a name that no other run of the tests has."""

    def __init__(self, kind="base"):
        self.name = "t" + secrets.token_hex(4)
        if os.geteuid() != 0:
            raise NoMachine("needs root")
        if subprocess.run([SCRIPT, "have", kind]).returncode != 0:
            raise NoMachine("the base is not there: tests/machine/machine.sh base " + kind)
        up = self.script("up", kind, check=False)
        if up.returncode != 0:
            raise NoMachine("a machine does not boot here: " + up.stderr[-300:])

    def script(self, verb, *more, check=True):
        done = subprocess.run([SCRIPT, verb, self.name, *more], capture_output=True, text=True, timeout=300)
        assert not check or done.returncode == 0, (verb, done.stdout[-2000:], done.stderr[-2000:])
        return done

    def run(self, *command, expect=0, stdin=None, timeout=300):
        """A command in the machine, as root; its output. One string is a line for its shell."""
        argv = ["sh", "-c", command[0]] if len(command) == 1 else [str(c) for c in command]
        done = subprocess.run([SCRIPT, "in", self.name, *argv], capture_output=True, text=True, input=stdin, timeout=timeout)
        if expect is not None:
            assert done.returncode == expect, (command, done.returncode, done.stdout[-3000:], done.stderr[-3000:], self.journal())
        return done.stdout if expect is not None else done

    def journal(self):
        return subprocess.run(
            [SCRIPT, "in", self.name, "journalctl", "-q", "--no-pager", "-n", "40", "-o", "cat", "-u", "slipway*"], capture_output=True, text=True, timeout=60
        ).stdout[-4000:]

    def put(self, folder, into):
        """What lies in a folder here goes into a folder there."""
        self.run("mkdir", "-p", into)
        packed = subprocess.Popen(["tar", "-c", "--owner=0", "--group=0", "-C", folder, "."], stdout=subprocess.PIPE)
        subprocess.run([SCRIPT, "in", self.name, "tar", "-x", "--no-overwrite-dir", "-C", into], stdin=packed.stdout, check=True, timeout=300)
        assert packed.wait() == 0

    def install(self):
        """`make install`, by way of DESTDIR."""
        there = tempfile.mkdtemp(prefix="slipway-install-")
        try:
            os.chmod(there, 0o755)
            subprocess.run(["ninja", "-C", BUILD, "--quiet", "installed"], check=True, capture_output=True)
            subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--quiet", "--destdir", there], check=True, capture_output=True)
            self.put(there, "/")
        finally:
            shutil.rmtree(there)
        self.run("systemctl", "daemon-reload")

    def put_file(self, path, into):
        with open(path, "rb") as f:
            subprocess.run([SCRIPT, "in", self.name, "sh", "-c", f"cat >{into}"], stdin=f, check=True, timeout=60)

    def hand_over(self, path, other):
        """A file of this machine in the other one's /root, nobody else's; its path there."""
        there = "/root/" + Path(path).name
        read = subprocess.Popen([SCRIPT, "in", self.name, "cat", path], stdout=subprocess.PIPE)
        subprocess.run([SCRIPT, "in", other.name, "sh", "-c", f"umask 077; cat >{there}"], stdin=read.stdout, check=True, timeout=60)
        assert read.wait() == 0
        return there

    def slipway(self, *args, expect=0, stdin=None):
        return self.run("slipway", *args, expect=expect, stdin=stdin)

    def api(self, *args):
        return json.loads(self.slipway(*args, "--json"))

    def get(self, host, path="/", port=80, more=""):
        """(status, body) by the edge; status 0 when nobody answers."""
        done = self.run(f"curl -s -m 20 -o /tmp/body -w '%{{http_code}}' -H 'Host: {host}' {more} 'http://127.0.0.1:{port}{path}'; echo; cat /tmp/body; rm -f /tmp/body", expect=None)
        status, _, body = done.stdout.partition("\n")
        return int(status or 0), body

    def wait_get(self, host, path="/", want=200, seconds=30):
        end = time.monotonic() + seconds
        while True:
            answer = self.get(host, path)
            if answer[0] == want:
                return answer[1]
            assert time.monotonic() < end, (host, path, answer, self.journal())
            time.sleep(0.1)

    def background(self, *command):
        return subprocess.Popen([SCRIPT, "in", self.name, *map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def reboot(self):
        self.script("reboot")

    def close(self):
        if not os.environ.get("SLIPWAY_CHECK_KEEP"):
            self.script("down", check=False)


def sample_repository(name):
    """share/samples/NAME as a bare git repository in a folder of its own; the folder above it."""
    folder = tempfile.mkdtemp(prefix="slipway-sample-")
    work, bare = Path(folder, "work"), Path(folder, "srv", name + ".git")
    shutil.copytree(TOP / "share/samples" / name, work)
    bare.parent.mkdir()
    environment = {"PATH": os.environ["PATH"], "HOME": folder, "GIT_CONFIG_NOSYSTEM": "1"}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {f"GIT_{who}_NAME": "Sample", f"GIT_{who}_EMAIL": "sample@localhost"}
    for line in ("init -q -b main", "add -A", "commit -q -m Hello", f"clone -q --bare . {bare}", f"--git-dir {bare} update-server-info"):
        subprocess.run(["git", *shlex.split(line)], cwd=work, env=environment, check=True)
    os.chmod(folder, 0o755)
    return Path(folder)
