"""Private repositories: a deploy key over a real sshd, a token over git's own http-backend; and neither leaves a trace."""
import base64
import http.server
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import ROOT, Repository, free_port, wait_until

TOKEN = "tok-4f9c2d" + "e1" * 12
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")


class SshServer:
    """sshd on a port of its own, with its own host key; the user `git` may fetch and nothing else."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-sshd-", dir="/var/lib"))
        self.dir.chmod(0o755)
        self.port, self.process = free_port(), None
        self.keys = self.dir / "authorized_keys"
        self.keys.write_text("")
        self.keys.chmod(0o644)
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        for name in ("sshd", "git"):
            try:
                pwd.getpwnam(name)
            except KeyError:
                home = "/run/sshd" if name == "sshd" else str(self.dir)
                shell = "/usr/sbin/nologin" if name == "sshd" else "/usr/bin/git-shell"
                subprocess.run(["useradd", "--system", "--no-create-home", "--home-dir", home, "--shell", shell, "--password", "*", name], check=True)
        self.new_host_key()
        self.start()

    def new_host_key(self):
        for name in ("host", "host.pub"):
            (self.dir / name).unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.dir / "host"], check=True)

    def start(self):
        settings = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": self.dir / "host", "AuthorizedKeysFile": self.keys, "PidFile": "none", "UsePAM": "no",
            "PasswordAuthentication": "no", "AllowUsers": "git", "StrictModes": "no", "X11Forwarding": "no", "LogLevel": "ERROR",
        }
        (self.dir / "config").write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
        self.process = subprocess.Popen([SSHD, "-D", "-e", "-f", self.dir / "config"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.dir / "log", "ab"))
        wait_until(self.listens, 10)

    def listens(self):
        assert self.process.poll() is None, (self.dir / "log").read_text()
        return subprocess.run(["ssh-keyscan", "-T", "2", "-p", str(self.port), "127.0.0.1"], capture_output=True).stdout

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def repository(self, name, files):
        (self.dir / "www").mkdir(exist_ok=True)
        (self.dir / ".gitconfig").write_text("[safe]\n\tdirectory = *\n")  # ours, and user git's, who only reads
        return Repository(self, name, files)

    def url(self, name):
        return f"ssh://git@127.0.0.1:{self.port}{self.dir}/www/{name}.git"

    def close(self):
        self.stop()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def ssh():
    if not ROOT or not SSHD:
        pytest.skip("needs root and openssh-server")
    server = SshServer()
    yield server
    server.close()


class Watch:
    """Reads every command line and environment of the machine, over and over, looking for secrets."""

    def __init__(self, secrets):
        self.secrets, self.found, self.seen, self.ended = [s.encode() for s in secrets], set(), 0, False
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.ended:
            for entry in os.listdir("/proc"):
                if not entry.isdigit() or int(entry) == os.getpid():
                    continue
                for what in ("cmdline", "environ"):
                    try:
                        with open(f"/proc/{entry}/{what}", "rb") as f:
                            text = f.read()
                    except OSError:
                        continue
                    self.seen += 1
                    if any(s in text for s in self.secrets):
                        self.found.add((what, text[:300]))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()


def test_the_watch_sees_what_it_looks_for():
    for argv, env in ((["sleep", "0.5"], {"X": TOKEN}), (["python3", "-c", "import time; time.sleep(0.5)", TOKEN], {})):
        with Watch([TOKEN]) as watch:
            subprocess.run(argv, env={"PATH": os.environ["PATH"], **env})
        assert watch.found


def everywhere(platform, secrets):
    """What holds one of the secrets in clear: files of the platform, its log, answers of the API, output of the CLI."""
    held = []
    for path in [*platform.state.rglob("*"), *platform.run.rglob("*"), platform.log]:
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes()
            held += [(str(path), s) for s in secrets if s.encode() in text]
    names = [p["name"] for p in platform.api("GET", "/projects")["items"]]
    paths = ["/projects", "/audit?limit=200", "/tasks?limit=200", "/tokens"]
    paths += [f"/projects/{n}{p}" for n in names for p in ("", "/env", "/logs?tail=1000", "/releases", "/events", "/hooks", "/tasks")]
    paths += [f"/tasks/{t['id']}" for t in platform.api("GET", "/tasks?limit=200")["items"]]
    for path in paths:
        text = platform.call("GET", "/api/v1" + path).body
        held += [(path, s) for s in secrets if s.encode() in text]
    for words in [("info", names[0]), ("tasks", names[0]), ("logs", names[0])]:
        held += [(words, s) for s in secrets if s in platform.cli(*words, expect=None).stdout]
    return held


def test_a_deploy_key_over_ssh(platform, ssh):
    repo = ssh.repository("secret", {"index.html": "v1"})
    shown = platform.cli("create", "keyed", "--git", ssh.url("secret"), "--branch", "main").stdout
    key = re.search(r"ssh-ed25519 \S+ \S+", shown).group()
    assert key == platform.api("GET", "/projects/keyed")["deploy_key"]
    assert key in platform.cli("info", "keyed").stdout
    # before it is authorised: which key, where
    task = platform.deploy("keyed", expect="failed")
    error = task["error"]
    assert "deploy key" in error["message"] and "127.0.0.1" in error["message"] and "secret" in error["message"], error
    assert key in error["hint"] and "127.0.0.1" in error["hint"], error
    assert key in platform.cli("deploy", "keyed", expect=1).stdout
    # authorised, it may fetch and nothing else
    ssh.keys.write_text(f"restrict {key}\n")
    with Watch(["BEGIN OPENSSH PRIVATE KEY"]) as watch:
        platform.deploy("keyed")
    assert platform.get("keyed.localhost").body == b"v1"
    assert not watch.found and watch.seen > 100
    repo.commit({"index.html": "v2"})
    platform.deploy("keyed")
    assert platform.get("keyed.localhost").body == b"v2"
    assert everywhere(platform, ["OPENSSH PRIVATE KEY", "b3BlbnNzaC1rZXktdjEA"]) == []


def test_a_changed_host_key_is_refused(platform, ssh):
    repo = ssh.repository("pinned", {"index.html": "v1"})
    made = platform.create("pinned", ssh.url("pinned"))
    ssh.keys.write_text(ssh.keys.read_text() + f"restrict {made['deploy_key']}\n")
    platform.deploy("pinned")
    repo.commit({"index.html": "v2"})
    ssh.stop()
    # nobody there
    error = platform.deploy("pinned", expect="failed")["error"]
    assert "could not reach 127.0.0.1" in error["message"] and str(ssh.port) in error["message"], error
    ssh.new_host_key()
    ssh.start()
    error = platform.deploy("pinned", expect="failed")["error"]
    assert "host key" in error["message"] and "pinned" in error["message"] and "source" in error["hint"], error
    assert platform.get("pinned.localhost").body == b"v1"
    # the way out that the hint names
    platform.api("PATCH", "/projects/pinned", {"source": {"type": "git", "url": ssh.url("pinned"), "ref": "main"}})
    platform.deploy("pinned")
    assert platform.get("pinned.localhost").body == b"v2"


def test_another_address_gets_no_key_of_the_project(platform, ssh, git):
    """A deploy from another address brings no credentials, and does not change what is pinned."""
    ssh.repository("own", {"index.html": "own"})
    made = platform.create("own", ssh.url("own"))
    ssh.keys.write_text(ssh.keys.read_text() + f"restrict {made['deploy_key']}\n")
    platform.deploy("own")
    error = platform.deploy("own", expect="failed", url=ssh.url("secret"))["error"]
    assert "asks for a key" in error["message"], error
    other = git.repository("other", {"index.html": "other"})
    platform.deploy("own", url=other.url)
    assert platform.get("own.localhost").body == b"other"
    platform.deploy("own", force=True)
    assert platform.get("own.localhost").body == b"own"


# --- a token over http ----------------------------------------------------------------------------------------------------------------


class Backend:
    """git's smart protocol through `git http-backend`, behind basic authentication."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-backend-"))
        (self.dir / "www").mkdir()
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def answer(self):
                outer.asked.append((self.path, self.headers.get("Authorization")))
                said = self.headers.get("Authorization", "")
                user, _, password = base64.b64decode(said[6:]).decode().partition(":") if said.startswith("Basic ") else ("", "", "")
                if password != TOKEN:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                env = {
                    "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": str(outer.dir / "www"), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path, "QUERY_STRING": query, "REMOTE_USER": user,
                    "REQUEST_METHOD": self.command, "CONTENT_TYPE": self.headers.get("Content-Type", ""), "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
                }
                out = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True).stdout
                head, _, rest = out.partition(b"\r\n\r\n")
                lines = [l.split(": ", 1) for l in head.decode().split("\r\n")]
                status = next((int(v.split()[0]) for k, v in lines if k == "Status"), 200)
                self.send_response(status)
                for k, v in lines:
                    if k != "Status":
                        self.send_header(k, v)
                self.send_header("Content-Length", str(len(rest)))
                self.end_headers()
                self.wfile.write(rest)

            do_GET = do_POST = answer

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def backend():
    server = Backend()
    yield server
    server.close()


def test_a_token_over_http(platform, backend):
    repo = Repository(backend, "closed", {"index.html": "v1"})
    platform.create("closed", repo.url)
    error = platform.deploy("closed", expect="failed")["error"]
    assert "asks for a login" in error["message"] and "127.0.0.1" in error["message"] and "token" in error["hint"], error
    wrong = "wrong-" + "77" * 10
    platform.api("PATCH", "/projects/closed", {"https_token": wrong})
    error = platform.deploy("closed", expect="failed")["error"]
    assert "does not accept the project's token" in error["message"] and "closed" in error["message"], error
    platform.api("PATCH", "/projects/closed", {"https_token": TOKEN})
    with Watch([TOKEN, base64.b64encode(b"git:" + TOKEN.encode()).decode()]) as watch:
        platform.deploy("closed")
    assert platform.get("closed.localhost").body == b"v1"
    assert not watch.found and watch.seen > 100
    repo.commit({"index.html": "v2"})
    platform.deploy("closed")
    assert platform.get("closed.localhost").body == b"v2"
    # by the CLI, from standard input
    platform.cli("create", "closed2", "--git", repo.url, "--token-stdin", stdin=TOKEN + "\n")
    platform.cli("deploy", "closed2")
    assert everywhere(platform, [TOKEN, wrong, base64.b64encode(TOKEN.encode()).decode().rstrip("=")[:-2]]) == []
    # taken away again
    platform.api("PATCH", "/projects/closed", {"https_token": None})
    repo.commit({"index.html": "v3"})
    assert "asks for a login" in platform.deploy("closed", expect="failed")["error"]["message"]
    assert platform.api("GET", "/projects/closed")["https_token"] is False


def test_a_token_goes_to_its_own_address_only(platform, backend):
    repo = Repository(backend, "mine", {"index.html": "x"})
    platform.create("mine", repo.url, https_token=TOKEN)
    platform.deploy("mine")
    other = Backend()
    try:
        stolen = Repository(other, "mine", {"index.html": "y"})
        error = platform.deploy("mine", expect="failed", url=stolen.url)["error"]
        assert "asks for a login" in error["message"], error
        assert other.asked and all(TOKEN not in base64.b64decode((a or "")[6:]).decode() for _, a in other.asked)
    finally:
        other.close()


def test_a_name_below_localhost_is_this_machine(platform, git):
    """RFC 6761: whatever a resolver says, or when there is none."""
    repo = git.repository("looped", {"index.html": "x"})
    platform.create("looped", repo.url.replace("127.0.0.1", "git.example.localhost"))
    started = time.monotonic()
    platform.deploy("looped")
    assert platform.get("looped.localhost").body == b"x" and time.monotonic() - started < 10
    platform.create("nowhere", repo.url.replace("127.0.0.1", "localhost.example.invalid"))
    assert "could not find the address" in platform.deploy("nowhere", expect="failed")["error"]["message"]


def test_a_damaged_mirror_is_begun_anew(platform, git):
    repo = git.repository("damaged", {"index.html": "v1"})
    platform.create("damaged", repo.url)
    platform.deploy("damaged")
    for path in (platform.state / "projects/damaged/mirror/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"rubbish")
    repo.commit({"index.html": "v2"})
    platform.deploy("damaged")
    assert platform.get("damaged.localhost").body == b"v2"
