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
