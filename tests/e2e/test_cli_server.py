"""The command against a server of the test's own: certificates and their pins, tokens, hostile answers, uploads."""
import hashlib
import http.server
import io
import json
import os
import ssl
import subprocess
import tarfile
import threading

import pytest

from harness import SANITIZED

PROGRAM = SANITIZED / "src" / "slipway"


class Server:
    """Answers by path from a table; keeps what it was asked."""

    def __init__(self, folder=None):
        self.answers, self.asked = {}, []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.asked.append((self.command, self.path, dict(self.headers), body))
                status, value = outer.answers.get(self.path.split("?")[0], (404, {"type": "urn:slipway:problem:not-found", "detail": "nothing here"}))
                text = value if isinstance(value, bytes) else json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        if folder:
            self.fingerprint = self.renew(folder)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
            self.context = context
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def renew(self, folder):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
             "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=slipway"],
            check=True, capture_output=True,
        )
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert((folder / "cert.pem").read_text())).hexdigest()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def slipway(tmp_path):
    def run(*args, code=0, stdin="", cwd=None, **env):
        result = subprocess.run(
            [PROGRAM, *map(str, args)], env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8", **env},
            capture_output=True, timeout=60, input=stdin.encode(), cwd=cwd or tmp_path,
        )
        result.stdout, result.stderr = result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")
        assert result.returncode == code, (args, result.returncode, result.stdout[-2000:], result.stderr[-2000:])
        return result

    return run


@pytest.fixture
def plain():
    server = Server()
    yield server
    server.close()


def logged_in(slipway, server):
    server.answers.update({"/api/v1/version": (200, {"version": "1"}), "/api/v1/whoami": (200, {"name": "anna"})})
    slipway("login", f"http://127.0.0.1:{server.port}", "--name", "test", "--token-stdin", stdin="slw_secret\n")


def test_a_self_signed_certificate_is_pinned(slipway, tmp_path):
    server = Server(tmp_path)
    url = f"https://127.0.0.1:{server.port}"
    try:
        server.answers = {"/api/v1/version": (200, {"version": "1"}), "/api/v1/whoami": (200, {"name": "anna"}), "/api/v1/projects": (200, {"items": [], "next": None})}
        refused = slipway("login", url, "--token-stdin", stdin="slw_x", code=64)
        assert server.fingerprint in refused.stderr.replace(":", "").lower()
        assert "somebody may be listening" in slipway("login", url, "--token-stdin", "--fingerprint", "00" * 32, stdin="slw_x", code=77).stderr
        assert server.asked == [], "nothing may be said to a server that is not trusted"
        slipway("login", url, "--token-stdin", "--fingerprint", server.fingerprint, stdin="slw_x\n")
        kept = tmp_path / ".config/slipway/servers.json"
        assert kept.stat().st_mode & 0o777 == 0o600
        slipway("list")
        assert server.asked[-1][2]["Authorization"] == "Bearer slw_x"
        assert "slw_x" not in slipway("login").stdout + slipway("login", "--json").stdout
        # Another key at the same address: nothing is sent.
        before = len(server.asked)
        server.renew(tmp_path)
        server.context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
        assert "another key" in slipway("list", code=77).stderr
        assert len(server.asked) == before
        slipway("login", "forget", "127.0.0.1")
        assert "slw_x" not in kept.read_text()
    finally:
        server.close()


def test_answers_of_a_hostile_server_do_not_reach_the_terminal(slipway, plain):
    logged_in(slipway, plain)
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\r\n"
    plain.answers["/api/v1/projects"] = (200, {"items": [{"name": evil, "kind": evil, "running": True, "live": 1, "urls": [evil]}], "next": None})
    plain.answers["/api/v1/projects/x"] = (403, {"type": "urn:slipway:problem:forbidden", "detail": evil, "hint": evil})
    for shown in (slipway("list"), slipway("info", "x", code=77)):
        for bad in ("\x1b", "\x07", "\u202e", "\r"):
            assert bad not in shown.stdout + shown.stderr
    assert len(slipway("list").stdout.splitlines()) == 2


@pytest.mark.parametrize(
    "status, body, code",
    [
        (400, {"type": "urn:slipway:problem:invalid", "detail": "d"}, 65),
        (401, {"type": "urn:slipway:problem:unauthorized", "detail": "d"}, 77),
        (403, {"type": "urn:slipway:problem:forbidden", "detail": "d"}, 77),
        (404, {"type": "urn:slipway:problem:not-found", "detail": "d"}, 65),
        (409, {"type": "urn:slipway:problem:conflict", "detail": "d"}, 65),
        (429, {"type": "urn:slipway:problem:rate", "detail": "d"}, 75),
        (503, {"type": "urn:slipway:problem:unavailable", "detail": "d"}, 75),
        (502, b"<html>bad gateway", 75),
        (200, b"{not json", 65),
        (302, b"", 65),
    ],
)
def test_problems_become_exit_codes(slipway, plain, status, body, code):
    logged_in(slipway, plain)
    plain.answers["/api/v1/projects/x"] = (status, body)
    assert slipway("info", "x", code=code).stderr.startswith("slipway: ")


def test_names_are_encoded_into_paths(slipway, plain):
    logged_in(slipway, plain)
    slipway("hooks", "show", "shop", "../../x?y#z", code=65)
    assert plain.asked[-1][1] == "/api/v1/projects/shop/hooks/..%2F..%2Fx%3Fy%23z"
    slipway("hooks", "events", "shop", "--hook", "a b&c", code=65)
    assert plain.asked[-1][1] == "/api/v1/projects/shop/events?hook=a%20b%26c&limit=50"


def uploaded(slipway, plain, folder, *more):
    logged_in(slipway, plain)
    plain.answers["/api/v1/projects/shop/archives"] = (201, {"archive": "A1", "size_bytes": 1})
    plain.answers["/api/v1/projects/shop/deploys"] = (202, {"task": 3})
    slipway("deploy", "shop", folder, "--no-wait", *more)
    (upload,) = [a for a in plain.asked if a[1].endswith("/archives")]
    assert json.loads(plain.asked[-1][3]) == {"archive": "A1"} and plain.asked[-1][2]["Idempotency-Key"]
    return tarfile.open(fileobj=io.BytesIO(upload[3]))


def test_a_directory_is_uploaded_without_what_git_ignores(slipway, plain, tmp_path):
    folder = tmp_path / "work"
    (folder / "sub").mkdir(parents=True)
    for name in ("a b", "sub/ü.txt", "ignored.log", "run.sh"):
        (folder / name).write_text(name)
    (folder / "run.sh").chmod(0o755)
    (folder / "gone").write_text("x")
    (folder / "link").symlink_to("sub")
    (folder / ".gitignore").write_text("*.log\n")
    marker = tmp_path / "ran"
    git = ["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "gone"], check=True)
    subprocess.run([*git, "config", "core.fsmonitor", f"touch {marker}"], check=True)
    (folder / "gone").unlink()
    archive = uploaded(slipway, plain, folder)
    assert archive.getnames() == [".gitignore", "a b", "link", "run.sh", "sub/ü.txt"]
    assert archive.getmember("run.sh").mode == 0o755 and archive.getmember("a b").mode == 0o644
    assert archive.getmember("link").linkname == "sub" and archive.getmember("a b").uid == 0
    assert not marker.exists()


def test_a_directory_that_is_no_checkout_is_uploaded_whole(slipway, plain, tmp_path):
    folder = tmp_path / "site"
    (folder / ".git").mkdir(parents=True)
    (folder / ".git" / "config").write_text("[core]")
    (folder / "index.html").write_text("x")
    assert uploaded(slipway, plain, folder).getnames() == ["index.html"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "loop"])
def test_links_that_lead_out_are_refused(slipway, plain, tmp_path, target):
    folder = tmp_path / "site"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "outside").write_text("secret")
    (folder / "loop").symlink_to("loop" if target == "loop" else "sub")
    (folder / "link").symlink_to(target)
    logged_in(slipway, plain)
    assert "points out of the directory" in slipway("deploy", "shop", folder, code=65).stderr
    assert not [a for a in plain.asked if a[0] == "POST"]
