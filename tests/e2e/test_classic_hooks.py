"""The paths of the programs that were here before. POST /github-webhook answers as durhack's deployer did: 204; 400 without a signature, 403
for a wrong one, however it is written, or from elsewhere; JSON errors, 405 too. /webhooks/SECRET/ answers as WebOps did, and its /test/; /webhook and /webhook/particle."""
import collections
import json
import re
import secrets
import socket
import uuid

import pytest

from harness import Platform, wait_until
from senders import SENDERS

GITHUB = next(s for s in SENDERS if s.label == "github")


@pytest.fixture(scope="module")
def site(platform, git):
    repo = git.repository("site", {"index.html": "one"})
    platform.create("site", repo.url, kind="static")
    return repo


def post(platform, body, headers, edge):
    headers = {"Content-Type": "application/json", **headers}
    if edge:
        return platform.get("slipway.localhost", "/github-webhook", "POST", body, headers)
    return platform.call("POST", "/github-webhook", body, token="", headers=headers)


def counted(platform):
    """webhook_requests_total by method, path, sender and status."""
    found = re.findall(r'^webhook_requests_total\{method="(.*?)",endpoint="(.*?)",source_type="(.*?)",status_code="(.*?)"\} (\d+)$', platform.call("GET", "/metrics").body.decode(), re.M)
    return collections.Counter({tuple(labels): int(n) for *labels, n in found})


def said(answer, status, message):
    assert answer.status == status and answer.json["status"] == status and answer.json["message"] == message and answer.json["description"], answer


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_as_the_deployer(platform, site, edge):
    said(post(platform, b"{}", GITHUB.request("x" * 20, b"{}"), edge), 404, "Not Found")
    secret = platform.hook("site", "github-webhook")
    commit = site.git("rev-parse", "main").strip()
    body = GITHUB.body("main", commit)
    signed = GITHUB.request(secret, body, str(uuid.uuid4()))
    said(post(platform, body, {}, edge), 400, "Bad Request")
    said(post(platform, body, {**signed, "X-Hub-Signature-256": "sha256=zz"}, edge), 403, "Forbidden")
    said(post(platform, body, {**signed, "X-Hub-Signature-256": ""}, edge), 403, "Forbidden")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = webops(platform, "/github-webhook", edge=edge, method=method)
        assert (answer.status, answer.json, answer.headers["Allow"]) == (405, {"status": 405, "message": "Method Not Allowed"}, "POST"), (method, answer)
    said(post(platform, body, GITHUB.request(secret + "x", body), edge), 403, "Forbidden")
    broken = b'{"ref":'
    said(post(platform, broken, GITHUB.request(secret, broken), edge), 400, "Bad Request")
    for _ in range(2):  # a known id is ignored
        answer = post(platform, body, signed, edge)
        assert answer.status == 204 and answer.body == b"", answer
    event = wait_until(lambda: [e for e in platform.api("GET", "/projects/site/events")["items"] if e["hook"] == "github-webhook"])
    assert len(event) == 1 and event[0]["ref"] == "main"
    ping = {**GITHUB.request(secret, b"{}", str(uuid.uuid4())), "X-GitHub-Event": "ping"}
    assert post(platform, b"{}", ping, edge).status == 204
    wait_until(lambda: [e for e in platform.api("GET", "/projects/site/events")["items"] if e["kind"] == "ping"])
    platform.api("PATCH", "/projects/site/hooks/github-webhook", {"from": ["github"]})
    said(post(platform, body, GITHUB.request(secret, body), edge), 403, "Forbidden")
    platform.cli("hooks", "delete", "site", "github-webhook", "--yes")


def webops(platform, path, body=None, headers=None, edge=False, method="POST"):
    headers = {"Content-Type": "application/json", **(headers or {})}
    if edge:
        return platform.get("slipway.localhost", path, method, body, headers)
    return platform.call(method, path, body, token="", headers=headers)


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_as_webops(platform, site, edge):
    secret, name = secrets.token_hex(32), f"classic-{int(edge)}"
    platform.cli("hooks", "create", "site", name, "--branch", "main", "--secret-stdin", stdin=secret + "\n")
    path = f"/webhooks/{secret}/"
    commit = site.git("rev-parse", "main")
    push = GITHUB.body("main", commit)

    def post(body, event="push", key=secret, at=path, **more):
        headers = {**GITHUB.request(key, body, str(uuid.uuid4())), "X-GitHub-Event": event, **more}
        answer = webops(platform, at, body, headers, edge)
        return answer.status, answer.json

    assert post(push) == (200, {"status": "success", "message": "Deployment triggered for branch main"})
    topic = GITHUB.body("feature/x", commit)  # the whole name, not its last part
    assert post(topic) == (400, {"status": "error", "message": "Branch feature/x doesn't match filter"})
    assert post(b"{}", "ping") == (200, {"status": "success", "message": "Pong! Webhook is configured correctly."})
    assert post(b"{}", "issues") == (200, {"status": "ignored", "message": "Event type 'issues' not supported"})
    assert post(b"{}", "a'\"b") == (200, {"status": "ignored", "message": "Event type 'a'\"b' not supported"})
    assert post(b'{"ref":') == (400, {"error": "Invalid JSON"})
    assert post(push, key="0" * 64) == (400, {"status": "error", "message": "Invalid signature"})
    assert webops(platform, path, push, {"X-GitHub-Event": "push", "X-GitHub-Delivery": "1"}, edge).status == 400  # who knows the address proves nothing
    other = "0" * 63 + str(int(edge))
    assert post(push, key=other, at=f"/webhooks/{other}/") == (404, {"error": "Webhook not found"})
    for method in ("GET", "PUT", "DELETE"):
        answer = webops(platform, path, edge=edge, method=method)
        assert (answer.status, answer.body, answer.headers["Allow"]) == (405, b"", "POST"), (method, answer)
    told = webops(platform, path + "test/", edge=edge, method="GET")
    assert (told.status, {**told.json, "message": ""}) == (200, {"status": "success", "webhook": name, "name": name, "deployment": "site", "is_active": True, "message": ""})
    platform.cli("hooks", "pause", "site", name)
    assert post(push) == (400, {"status": "error", "message": "Webhook is paused"})
    assert webops(platform, path + "test/", edge=edge, method="GET").json["is_active"] is False
    assert webops(platform, f"/webhooks/{other}/test/", edge=edge, method="GET").json == {"error": "Webhook not found"}
    events = wait_until(lambda: [e for e in platform.api("GET", "/projects/site/events")["items"] if e["hook"] == name and e["task"]])
    assert len(events) == 1 and events[0]["ref"] == "main"
    for log in (platform.log_text(), *(p.read_text(errors="replace") for p in (platform.state / "edge" / "log").iterdir())):
        assert secret not in log and other not in log
    platform.cli("hooks", "resume", "site", name)
    new = json.loads(platform.cli("hooks", "rotate", "site", name, "--json").stdout)["secret"]  # old and new address are both good for a while
    pong = (200, {"status": "success", "message": "Pong! Webhook is configured correctly."})
    assert re.fullmatch("[0-9a-f]{64}", new) and new != secret
    assert post(b"{}", "ping") == post(b"{}", "ping", new, f"/webhooks/{new}/") == post(b"{}", "ping", new) == pong
    third = json.loads(platform.cli("hooks", "rotate", "site", name, "--keep", "1s", "--json").stdout)["secret"]
    assert post(b"{}", "ping", third, f"/webhooks/{third}/") == pong
    gone = (404, {"error": "Webhook not found"})
    wait_until(lambda: post(b"{}", "ping", new, f"/webhooks/{new}/") == gone, 10)
    assert post(b"{}", "ping") == gone and post(b"{}", "ping", third, f"/webhooks/{third}/") == pong
    platform.cli("hooks", "delete", "site", name, "--yes")


def test_the_secret_of_an_address_is_in_no_log():
    """Whatever is answered, by whatever name the edge is called, and where the daemon says all that it can."""
    p = Platform(extra=["--log", "debug"]).start()
    try:
        p.create("quiet", "https://git.example.org/quiet.git", kind="static")
        secret = secrets.token_hex(32)
        p.cli("hooks", "create", "quiet", "classic", "--branch", "main", "--secret-stdin", stdin=secret + "\n")
        seen = set()
        for path in (f"/webhooks/{secret}/", f"/webhooks/{secret}", f"/webhooks/{secret}/test/", f"/webhooks/{secret}/x?a={secret}", f"/webhooks/{secret}/?key={secret}"):
            for method in ("GET", "POST", "PUT"):
                body = b"{}" if method != "GET" else None
                seen.add(webops(p, path, body, {"X-GitHub-Event": "ping"}, method=method).status)
                for host in ("slipway.localhost", "127.0.0.1", "nobody.example.org"):
                    seen.add(p.get(host, path, method, body, {"Content-Type": "application/json", "X-GitHub-Event": "ping"}).status)
        p.kill()  # nobody is behind the edge
        for path in (f"/webhooks/{secret}/", f"//webhooks//{secret}/"):
            seen.add(p.get("slipway.localhost", path, "POST", b"{}").status)
        print(sorted(seen))
        assert {200, 400, 404, 405} <= seen and seen & {502, 503}
        assert "path=/webhooks/ " in p.log_text()
        p.start()
        p.stop()
        held = [str(f) for top in (p.state, p.run) for f in top.rglob("*") if f.is_file() and secret.encode() in f.read_bytes()]
        assert not held and secret not in p.log_text(), held
    finally:
        p.close()


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_as_the_webhook_service(platform, site, edge):
    generic = next(s for s in SENDERS if s.label == "generic")
    particle = next(s for s in SENDERS if s.label == "particle")
    made = {n: platform.hook("site", n, sender=s) for n, s in (("webhook", "generic"), ("webhook-particle", "particle"))}
    commit = site.git("rev-parse", "main")
    body = generic.body("main", commit)
    before = counted(platform)
    assert webops(platform, "/webhook", body, generic.request(made["webhook"], body, str(uuid.uuid4())), edge).status == 202
    assert webops(platform, "/webhook", body, generic.request("x" * 20, body), edge).status == 401
    form = particle.body("main", commit) + b"&n=%d" % edge
    bot = {"User-Agent": "ParticleBot/1.1 (https://docs.particle.io/webhooks)", **particle.request(made["webhook-particle"], form)}
    assert webops(platform, "/webhook", form, bot, edge).status == 202
    assert webops(platform, "/webhook/particle", form + b"1", particle.request(made["webhook-particle"], form), edge).status == 202
    assert webops(platform, "/webhook/particle", form, particle.request("x" * 20, form), edge).status == 401
    assert +(counted(platform) - before) == {
        ("POST", "/webhook", "generic", "202"): 1,
        ("POST", "/webhook", "generic", "401"): 1,
        ("POST", "/webhook", "particle", "202"): 1,
        ("POST", "/webhook/particle", "particle", "202"): 1,
        ("POST", "/webhook/particle", "particle", "401"): 1,
    }
    health = webops(platform, "/health", edge=edge, method="GET")
    assert (health.status, health.json) == (200, {"status": "ok"})
    for name in made:
        platform.cli("hooks", "delete", "site", name, "--yes")


def test_figures_name_the_path(platform, site):
    """Also of what no hook is behind, and of what never came to one: a body that is announced too large."""
    before = counted(platform)
    assert post(platform, b"{}", {}, False).status == 404
    for path, method in (("/webhooks/0/", "POST"), ("/webhooks/0/test/", "GET"), ("/webhook", "POST"), ("/webhook/particle", "POST"), ("/hooks/none", "POST")):
        assert webops(platform, path, b"{}" if method == "POST" else None, method=method).status == 404
    with socket.create_connection(("127.0.0.1", platform.http_port)) as s:
        s.sendall(b"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99000000\r\n\r\n")
        assert s.recv(4096).startswith(b"HTTP/1.1 413 ")
    paths = ("/github-webhook", "/webhooks/{secret}/", "/webhook", "/webhook/particle", "/hooks/{hook}")
    assert +(counted(platform) - before) == {
        **{("POST", path, "unknown", "404"): 1 for path in paths},
        ("GET", "/webhooks/{secret}/test/", "unknown", "404"): 1,
        ("POST", "/webhook", "unknown", "413"): 1,
    }
