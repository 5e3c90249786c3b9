"""`make run` as a person meets it: from a clone below a private directory and behind a long path, as an ordinary user and as root."""
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness import BUILD, ROOT, TOP, free_port, wait_until

PROGRAMS = ("slipway", "slipwayd", "slipway-helper", "slipway-monitor", "slipway-exec", "slipway-tree", "slipway-cert", "slipway-outbound")


def clone(top):
    """The committed tree and the built programs, as a person would have them."""
    names = subprocess.run(["git", "-C", TOP, "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0")
    for name in ("tools", "share"):
        for path in [n for n in names if n.startswith(name + "/") and (TOP / n).exists()]:
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(TOP / path, top / path)
    (top / "build/src").mkdir(parents=True)
    for program in PROGRAMS:
        shutil.copy2(BUILD / "src" / program, top / "build/src" / program)


@pytest.fixture(params=["user", "root"])
def person(request, tmp_path):
    """A user with a private home directory and a clone in it."""
    if request.param == "root" and not ROOT:
        pytest.skip("not root")
    uid = 0
    home = Path("/tmp") / f"slipway-home-{os.getpid()}"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    if not ROOT:
        uid = os.getuid()
    elif request.param == "user":
        subprocess.run(["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/bash", "visitor"], check=True)
        uid = pwd.getpwnam("visitor").pw_uid
    top = home / ("a-rather-long-name-of-a-folder-" * 3) / ("and another with blanks, " * 2).strip() / "slipway"
    assert len(str(top)) > 120
    top.mkdir(parents=True)
    clone(top)
    if ROOT and uid:
        subprocess.run(["chown", "-R", f"{uid}:{uid}", home], check=True)
    person = Person(uid, home, top)
    yield person
    if (top / "var").exists():  # a test that failed
        person.call("clean-run")
    shutil.rmtree(home, ignore_errors=True)
    if ROOT and uid:
        subprocess.run(["userdel", "visitor"], check=False)


class Person:
    def __init__(self, uid, home, top):
        self.uid, self.home, self.top = uid, home, top
        self.http, self.edge, self.https = free_port(), free_port(), free_port()
        self.users = Path("/etc/passwd").read_text()
        self.run_dirs = self.run_directories()

    def run_directories(self):
        """Where platforms of this user keep their sockets; another platform's may be there."""
        return set(Path("/tmp").glob(f"slipway-{self.uid}-*"))

    def command(self, name, *args):
        change = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"] if ROOT and self.uid else []
        return [*change, str(self.top / "tools" / name), *args]

    def environment(self):
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8",
            "SLIPWAY_HTTP_PORT": str(self.http), "SLIPWAY_EDGE_PORT": str(self.edge), "SLIPWAY_HTTPS_PORT": str(self.https),
        }

    def start(self):
        out = open(self.top / "output", "wb")
        return subprocess.Popen(
            self.command("run", "build"), cwd="/", env=self.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )

    def call(self, name, *args):
        return subprocess.run(self.command(name, *args), cwd="/", env=self.environment(), capture_output=True, text=True, timeout=60)

    def shell(self, words):
        change = self.command("run")[:-1]
        return subprocess.run([*change, "sh", "-c", words], cwd="/", env=self.environment(), capture_output=True, text=True, timeout=60)

    def output(self):
        return (self.top / "output").read_text()

    def get(self, host):
        shown = subprocess.run(["curl", "-sS", "-m", "5", "-H", f"Host: {host}.localhost:{self.edge}", f"http://127.0.0.1:{self.edge}/"], capture_output=True, text=True)
        secure = subprocess.run(["curl", "-sSk", "-m", "5", "--resolve", f"{host}.localhost:{self.https}:127.0.0.1", f"https://{host}.localhost:{self.https}/"], capture_output=True, text=True)
        return shown.stdout if shown.stdout == secure.stdout else f"not the same: {secure}"

    def left(self):
        """Processes of this platform, by what they were started with."""
        shown = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout.splitlines()
        return [line for line in shown if str(self.top) in line or "slipway-dev-" in line]


def test_run_again_and_end(person):
    process = person.start()

    def ready():
        assert process.poll() is None, person.output()
        return "Ctrl-C ends everything" in person.output()

    try:
        wait_until(ready, 50, 0.1)
        said = person.output()
        assert "<" in person.get("pages") and "<" in person.get("guestbook"), said
        assert "✗" not in said and "!!" not in said, said
        assert said.count("live at") == 3
        before = person.left()
        again = person.call("run", "build")
        assert again.returncode == 0 and "running already" in again.stdout, again
        assert [line.split()[0] for line in person.left() if "worker" not in line] == [line.split()[0] for line in before if "worker" not in line]
        assert "<" in person.get("pages")
        tried = said.split("  try        ")[1].split("\n")[:2]
        listed = person.shell(tried[0].split("   ")[0] + " && " + tried[1])
        assert "guestbook" in listed.stdout, listed
        # what stands between the daemon and the helper dies: the daemon ends for it, and comes back; projects are served all the time
        helper = next(line.split()[0] for line in person.left() if "slipway-helper --keeper" in line)
        subprocess.run(["pkill", "-KILL", "-P", helper, "slipway-monitor"], check=True)
        assert "<" in person.get("guestbook")
        wait_until(lambda: "started anew" in person.output(), 20, 0.1)
        wait_until(lambda: "guestbook" in person.shell(tried[0].split("   ")[0] + " && " + tried[1]).stdout, 20, 0.2)
        assert "<" in person.get("guestbook") and process.poll() is None, person.output()
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGINT)
        code = process.wait(30)
    assert code == 0, person.output()
    deadline = time.monotonic() + 5
    while person.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert person.left() == []

    cleaned = person.call("clean-run")
    assert cleaned.returncode == 0, cleaned
    assert not (person.top / "var").exists() and not (person.top / "var").is_symlink()
    assert Path("/etc/passwd").read_text() == person.users, cleaned.stdout
    assert person.run_directories() <= person.run_dirs
    assert list(person.home.glob(".local/state/*")) == []
    if not person.uid:
        assert cleaned.stdout.count("removed user sw-") == 3 and not Path(said.split("token      ")[1].split("/owner.token")[0]).exists()
