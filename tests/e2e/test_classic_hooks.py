"""POST /github-webhook answers as durhack's deployer did: 204; 400 without a signature, 403 for a wrong one or from elsewhere; JSON errors."""
import json
import uuid

import pytest

from harness import wait_until
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


def said(answer, status, message):
    assert answer.status == status and answer.json["status"] == status and answer.json["message"] == message and answer.json["description"], answer


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_as_the_deployer(platform, site, edge):
    said(post(platform, b"{}", GITHUB.request("x" * 20, b"{}"), edge), 404, "Not found")
    secret = platform.hook("site", "github-webhook")
    commit = site.git("rev-parse", "main").strip()
    body = GITHUB.body("main", commit)
    signed = GITHUB.request(secret, body, str(uuid.uuid4()))
    said(post(platform, body, {}, edge), 400, "Bad Request")
    said(post(platform, body, {**signed, "X-Hub-Signature-256": "sha256=zz"}, edge), 400, "Bad Request")
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
