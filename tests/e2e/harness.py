"""The real programs, started the way a person starts them, for the end-to-end tests.

A Platform is one slipwayd with its keeper and nginx in folders of its own, on free ports. Started as root (inside
tools/in-namespace) its tenants are real users."""
import contextlib
import hashlib
import hmac
import http.client
import http.server
import json
import os
import random
import re
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("SLIPWAY_BUILD", TOP / "build"))
SANITIZED = Path(os.environ.get("SLIPWAY_SANITIZED", BUILD))
ROOT = os.geteuid() == 0
EDGE_SERVER = os.environ.get("SLIPWAY_EDGE_SERVER", "nginx")  # the same tests against Apache, by hand or by test_apache.py


def free_port():
    """Of those that no outgoing connection is given, as it may be needed again after a restart."""
    above = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.SystemRandom().randrange(10000, above) if above > 12000 else 0
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return s.getsockname()[1]


def wait_until(what, seconds=30, every=0.02):
    """Calls `what` until it is true; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:600]!r}"


class Platform:
    def __init__(self, build=SANITIZED, extra=(), prefix=(), edge_server=None):
        self.edge_server = edge_server or EDGE_SERVER
        self.build, self.extra, self.prefix = Path(build), list(extra), list(prefix)
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-e2e-", dir="/var/lib" if ROOT else "/tmp"))
        self.dir.chmod(0o755)
        self.state = self.dir / "state"
        self.run = Path(tempfile.mkdtemp(prefix="slw-", dir="/run" if ROOT else "/tmp"))
        self.run.chmod(0o755)
        self.http_port, self.edge_port, self.https_port = free_port(), free_port(), free_port()
        self.process, self.edge_seen = None, False
        self.log = self.dir / "slipwayd.log"
        self.libexec = self.dir / "libexec"
        self.libexec.mkdir()
        for name in ("slipway-helper", "slipway-monitor", "slipway-exec", "slipway-tree", "slipway-cert", "slipway-outbound"):
            shutil.copy(self.build / "src" / name, self.libexec / name)
        if ROOT:
            try:
                pwd.getpwnam("slipway")
            except KeyError:
                subprocess.run(["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", "slipway"], check=True)

    def start(self, wait=True):
        self.edge_seen = False
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    *self.prefix,
                    self.build / "src" / "slipwayd",
                    *("--state", self.state, "--run", self.run, "--libexec", self.libexec),
                    *("--http", f"127.0.0.1:{self.http_port}", "--edge", f"127.0.0.1:{self.edge_port}"),
                    *("--https", str(self.https_port), "--edge-server", self.edge_server),
                    *self.extra,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_until(self.answers, 30)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError("slipwayd ended:\n" + self.log_text()[-4000:])
        try:
            return self.call("GET", "/health").status == 200
        except OSError:
            return False

    def edge_listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.edge_port), timeout=5).close()
            return True
        except OSError:
            return False

    def kill(self):
        """kill -9 of the daemon alone; the keeper and all projects stay."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)
        return self.process.returncode if self.process else None

    def close(self):
        try:
            self.stop()
            text = self.log_text()
            for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
                assert word not in text, text[-6000:]
        finally:
            self.kill_all("slipway-helper --keeper .*", signal.SIGTERM)  # which takes its rules for ports away
            with contextlib.suppress(AssertionError):
                wait_until(lambda: not self.pids("slipway-helper --keeper .*"), 5)
            self.kill_all("", signal.SIGKILL)
            if not os.environ.get("SLIPWAY_CHECK_KEEP"):
                shutil.rmtree(self.dir, ignore_errors=True)
                shutil.rmtree(self.run, ignore_errors=True)

    def pids(self, words):
        """Processes that name this platform's sockets, behind these words."""
        found = subprocess.run(["pgrep", "-f", words + str(self.run)], capture_output=True, text=True).stdout.split()
        return [int(pid) for pid in found if int(pid) != os.getpid()]

    def kill_all(self, words, number):
        for pid in self.pids(words):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # The API, over the Unix socket (as owner) or with a token over TCP.
    def refusals(self):
        """Requests to hooks that were refused so far, by reason."""
        text = self.call("GET", "/metrics").body.decode()
        return {m[0]: int(m[1]) for m in re.findall(r'^slipway_hook_refusals_total\{reason="(\w+)"\} (\d+)', text, re.M)}

    def call(self, method, path, body=None, token=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60) if token is not None else UnixConnection(self.run / "api.sock")
        headers = dict(headers or {})
        if token:
            headers["Authorization"] = "Bearer " + token
        data = body
        if body is not None and not isinstance(body, bytes):
            data = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, data, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def api(self, method, path, body=None, expect=None, **more):
        answer = self.call(method, "/api/v1" + path, body, **more)
        if expect is None:
            assert answer.status < 300, (method, path, answer)
        else:
            assert answer.status == expect, (method, path, answer)
        return answer.json if answer.body else None

    def cli(self, *args, expect=0, stdin=None, env=None, cwd=None, program="slipway"):
        result = subprocess.run(
            [self.build / "src" / program, *map(str, args)],
            env={"PATH": os.environ["PATH"], "HOME": str(self.dir), "LANG": "C.UTF-8", "SLIPWAY_SOCKET": str(self.run / "api.sock"), **(env or {})},
            capture_output=True, text=True, timeout=300, input=stdin, cwd=cwd or self.dir,
        )
        if expect is not None:
            assert result.returncode == expect, (args, result.returncode, result.stdout[-3000:], result.stderr[-3000:])
        return result

    def shows_nowhere(self, project, *words):
        """No answer about the project has one of these words, nor has the log; what is stored has not the first, nor any program's arguments."""
        for word in words:
            for path in ("", "/services", "/env", "/releases/1", "/tasks", "/logs"):
                assert word not in self.call("GET", f"/api/v1/projects/{project}{path}").body.decode(), path
        assert words[0] not in self.log_text()
        for name in ("slipway.db", "slipway.db-wal"):
            assert words[0].encode() not in (self.state / name).read_bytes()
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                assert words[0].encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()

    # Projects.
    def create(self, name, repo=None, branch="main", **more):
        body = {"name": name, **more}
        if repo is not None:
            body["source"] = {"type": "git", "url": repo, "ref": branch}
        return self.api("POST", "/projects", body)

    def hook(self, project, name, sender="github", **more):
        made = self.api("POST", f"/projects/{project}/hooks", {"name": name, "sender": sender, **more})
        return made["secret"]

    def push(self, hook, secret, commit, branch="main", before=None, delivery=None, sender="github", raw=None, signature=None):
        body = raw if raw is not None else json.dumps({"ref": "refs/heads/" + branch, "before": before or "0" * 40, "after": commit, "deleted": False}).encode()
        signature = signature if signature is not None else "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        delivery = delivery or str(uuid.uuid4())
        if sender == "github":
            headers = {"X-GitHub-Event": "push", "X-GitHub-Delivery": delivery, "X-Hub-Signature-256": signature}
        else:
            headers = {"X-Slipway-Event": "push", "X-Slipway-Delivery": delivery, "X-Slipway-Signature-256": signature}
        headers["Content-Type"] = "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request("POST", "/hooks/" + hook, body, headers)
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def task_of(self, answer, seconds=30):
        """The task of a push's answer. With a journal the event tells it a moment after the answer."""
        if answer.json.get("task"):
            return answer.json["task"]
        event = answer.json["event"]

        def told():
            for project in self.api("GET", "/projects")["items"]:
                seen = self.call("GET", f"/api/v1/projects/{project['name']}/events/{event}")
                if seen.status == 200:
                    return seen.json["task"]
            return None

        return wait_until(told, seconds, 0.005)

    def wait_task(self, task, seconds=120, every=0.03):
        def ended():
            t = self.api("GET", f"/tasks/{task}")
            return t if t["state"] not in ("waiting", "running") else None

        return wait_until(ended, seconds, every)

    def deploy(self, project, expect="done", **body):
        """An explicit deploy; returns the ended task."""
        task = self.wait_task(self.api("POST", f"/projects/{project}/deploys", body)["task"])
        assert task["state"] == expect, (json.dumps(task, indent=1), self.log_text()[-3000:])
        return task

    def get(self, host, path="/", method="GET", body=None, headers=None, timeout=30):
        if not self.edge_seen:  # it comes a moment after the daemon
            wait_until(self.edge_listens, 30)
            self.edge_seen = True
        connection = http.client.HTTPConnection("127.0.0.1", self.edge_port, timeout=timeout)
        try:
            connection.request(method, path, body, {"Host": host, **(headers or {})})
            return Answer(connection.getresponse())
        finally:
            connection.close()


class Repository:
    """A git repository served over HTTP, as a tenant reaches it."""

    def __init__(self, server, name, files):
        self.server, self.name = server, name
        self.work, self.bare = server.dir / "work" / name, server.dir / "www" / (name + ".git")
        self.work.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("init", "-q", "--bare", "-b", "main", str(self.bare))
        self.commit(files, "first")

    def git(self, *args):
        environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.server.dir), "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in (("NAME", "Ada"), ("EMAIL", "ada@localhost"))},
        }
        return subprocess.run(["git", *args], cwd=self.work, env=environment, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, files):
        for path, content in files.items():
            target = self.work / path
            if content is None:
                target.unlink()
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files, message="change", branch="main", force=False):
        self.write(files)
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.publish(branch)

    def publish(self, branch="main"):
        self.git("push", "-q", "--force", str(self.bare), f"HEAD:refs/heads/{branch}")
        subprocess.run(["git", "--git-dir", self.bare, "update-server-info"], check=True)
        return self.git("rev-parse", "HEAD")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.port}/{self.name}.git"


class GitServer:
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-git-"))
        (self.dir / "www").mkdir()
        directory = str(self.dir / "www")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *args):
                super().__init__(*args, directory=directory)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def repository(self, name, files):
        return Repository(self, name, files)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)
