"""S23: every answer of the platform's own, whatever the route and the status, carries the document's headers or better ones, once; what the
edge answers by itself, too. Projects get nosniff and a referrer policy, and their own headers win."""
import collections
import json
import re
import socket

import pytest

from harness import Platform, free_port, wait_until

# As the webhook service's document lists them; ours may be stricter, and HSTS is said over TLS only (RFC 6797, 7.2).
EXACT = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "X-XSS-Protection": "1; mode=block"}
ONCE = [*EXACT, "Referrer-Policy", "Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy", "Cache-Control"]
HOST = "slipway.localhost"


def check(status, headers, where):
    """headers: a list of pairs."""
    names = collections.Counter(name.lower() for name, _ in headers)
    for name in ONCE:
        assert names[name.lower()] == 1, (where, status, name, headers)
    said = {name.lower(): value for name, value in headers}
    for name, value in EXACT.items():
        assert said[name.lower()] == value, (where, status, name)
    assert said["referrer-policy"] in ("no-referrer", "strict-origin-when-cross-origin"), (where, said)
    policy = {part.split()[0]: part.split()[1:] for part in said["content-security-policy"].split(";")}
    assert policy["default-src"] == ["'self'"] and policy["frame-ancestors"] == ["'none'"] and policy["object-src"] == ["'none'"], policy
    assert "unsafe" not in said["content-security-policy"] and "data:" not in said["content-security-policy"]
    assert "strict-transport-security" not in said  # this is plain HTTP


def raw(port, data):
    """One exchange as bytes: status and header pairs. For what no client library would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        s.sendall(data)
        got = b""
        while b"\r\n\r\n" not in got:
            more = s.recv(65536)
            if not more:
                break
            got += more
    head = got.split(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    return int(head[0].split()[1]), [tuple(line.split(": ", 1)) for line in head[1:]]


@pytest.fixture(scope="module")
def both(platform):
    wait_until(platform.edge_listens)
    return platform


def ways(p):
    return {"direct": p.http_port, "edge": p.edge_port}


def ask(port, method, path, headers=(), body=b""):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", "Connection: close", f"Content-Length: {len(body)}", *headers]
    return raw(port, "\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def test_every_route(both):
    """Each path of the OpenAPI document and each path of hooks, by every method: refused or not, the headers are there."""
    token = "Authorization: Bearer " + (both.state / "owner.token").read_text().strip()
    document = both.call("GET", "/api/v1/openapi.json").json
    prefix = document["servers"][0]["url"] if document.get("servers") else ""
    paths = {re.sub(r"\{[^}]*\}", "1", path) for path in document["paths"]}
    paths = {path if path.startswith(("/api", "/health", "/metrics")) else prefix + path for path in paths}
    paths |= {"/hooks/none", "/github-webhook", "/webhook", "/webhook/particle", "/webhooks/1/", "/webhooks/1/test/", "/health", "/", "/nothing", "/.slipway/404.html"}
    seen = collections.Counter()
    for way, port in ways(both).items():
        for path in sorted(paths):
            for method in ("GET", "POST", "DELETE"):
                if path.endswith("/stream"):
                    continue
                for said in ([], [token]):
                    status, headers = ask(port, method, path, said)
                    check(status, headers, (way, method, path))
                    seen[status] += 1
    print(f"{sum(seen.values())} answers, statuses {sorted(seen)}")
    assert len(paths) > 40 and {200, 400, 401, 404, 405} <= set(seen), seen


def test_every_error(both, git):
    seen = {}

    def look(way, *exchange):
        status, headers = raw(*exchange)
        check(status, headers, way)
        seen.setdefault(way, set()).add(status)
        return status

    for way, port in ways(both).items():
        host = f"Host: {HOST}\r\n".encode()
        look(way, port, b"GET / HTTP/1.1\r\n\r\n")  # no host: 400
        look(way, port, b"BREW / HTTP/1.1\r\n" + host + b"\r\n")
        look(way, port, b"GET /health HTTP/1.1\r\n" + host + b"X: \0\r\n\r\n")
        look(way, port, b"GET / HTTP/9.9\r\n" + host + b"\r\n")
        look(way, port, b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n" + host + b"\r\n")
        look(way, port, b"GET / HTTP/1.1\r\n" + host + b"X: " + b"a" * 70000 + b"\r\n\r\n")
        look(way, port, b"POST /hooks/x HTTP/1.1\r\n" + host + b"Content-Length: 99999999999\r\n\r\n")
        look(way, port, b"POST /hooks/x HTTP/1.1\r\n" + host + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        look(way, port, b"POST /hooks/x HTTP/1.1\r\n" + host + b"Transfer-Encoding: cow\r\n\r\n")
        look(way, port, b"POST /api/v1/projects HTTP/1.1\r\n" + host + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}")
        assert {400, 401, 413} <= seen[way], seen
    # Refused for what others did, and a content type that nobody takes.
    both.create("site", git.repository("site", {"index.html": "1"}).url)
    secret = both.hook("site", "noisy")
    for _ in range(60):
        answer = both.push("noisy", "wrong" * 8, "1" * 40)
        check(answer.status, list(answer.headers.items()), "noisy")
    assert answer.status == 429 and answer.headers["Retry-After"]
    answer = both.call("POST", "/hooks/noisy", b"x", token="", headers={"Content-Type": "text/plain", **signature(secret, b"x")})
    assert answer.status == 415
    check(415, list(answer.headers.items()), "type")
    answer = both.push("noisy", secret, "1" * 40)
    assert answer.status == 202
    check(202, list(answer.headers.items()), "accepted")


def signature(secret, body):
    import hashlib
    import hmac

    return {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), "X-GitHub-Event": "push", "X-GitHub-Delivery": "t1"}


def test_projects_have_their_own(both, git):
    both.create("page", git.repository("page", {"index.html": "1"}).url)
    both.deploy("page")
    for path, status in (("/", 200), ("/nothing", 404)):
        answer = both.get("page.localhost", path)
        assert answer.status == status and answer.headers["X-Content-Type-Options"] == "nosniff", answer
        assert answer.headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        assert answer.headers["Content-Security-Policy"] is None and answer.headers["X-Frame-Options"] is None


PROGRAM = """import http.server, os, socket
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response({"/gone": 404, "/away": 302, "/broken": 500}.get(self.path, 200))
        if self.path == "/away":
            self.send_header("Location", "/")
        if self.path == "/own":
            for pair in (("X-Frame-Options", "SAMEORIGIN"), ("Content-Security-Policy", "default-src https:"), ("X-XSS-Protection", "0"),
                         ("Referrer-Policy", "origin"), ("X-Content-Type-Options", "nosniff")):
                self.send_header(*pair)
        self.send_header("Content-Length", "0")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""
STRICT = {**EXACT, "Referrer-Policy": "strict-origin-when-cross-origin", "Content-Security-Policy": "default-src 'self'"}
BASIC = {name: STRICT[name] for name in ("X-Content-Type-Options", "Referrer-Policy")}


def said(p, name, path, status):
    got, headers = raw(p.edge_port, f"GET {path} HTTP/1.1\r\nHost: {name}.localhost\r\nConnection: close\r\n\r\n".encode())
    assert got == status, (path, got, headers)
    return sorted((n, v) for n, v in headers if n in STRICT or n == "Strict-Transport-Security")


def test_a_project_asks_for_the_rest(both, git):
    """`headers: strict`: the document's set on every answer, each once, the program's own value first; taken back by the next release."""
    ways = {"/": 200, "/gone": 404, "/away": 302, "/broken": 500, "/files/a.txt": 200, "/files/none": 404}
    manifest = "kind: command\nprocesses: {web: {run: [python3, serve.py], listen: port}}\nstatic: {/files: files}\n"
    repo = git.repository("strict", {"serve.py": PROGRAM, "files/files/a.txt": "a", "files/a.txt": "a", "slipway.yaml": manifest + "headers: strict\n"})
    both.create("strict", repo.url)
    both.deploy("strict")
    for path, status in ways.items():
        assert said(both, "strict", path, status) == sorted(STRICT.items()), path
    own = {"X-Frame-Options": "SAMEORIGIN", "Content-Security-Policy": "default-src https:", "X-XSS-Protection": "0", "Referrer-Policy": "origin", "X-Content-Type-Options": "nosniff"}
    assert said(both, "strict", "/own", 200) == sorted(own.items())
    both.cli("scale", "strict", "web=0")  # closed for maintenance: the edge answers
    wait_until(lambda: both.get("strict.localhost").status == 503)
    assert said(both, "strict", "/", 503) == sorted(STRICT.items())
    both.cli("scale", "strict", "web=1")
    wait_until(lambda: both.get("strict.localhost").status == 200)
    repo.commit({"slipway.yaml": manifest})
    both.deploy("strict")
    for path, status in ways.items():
        assert said(both, "strict", path, status) == sorted(BASIC.items()), path
    assert said(both, "strict", "/own", 200) == sorted(own.items())


def test_a_daemon_that_is_gone(git):
    """The edge's own answer: 502 of nginx, 503 of Apache."""
    p = Platform()
    try:
        p.start()
        wait_until(p.edge_listens)
        p.kill()
        status, headers = ask(p.edge_port, "GET", "/health")
        assert status == (503 if p.edge_server == "apache" else 502)
        check(status, headers, "gone")
        p.start()
    finally:
        p.close()
