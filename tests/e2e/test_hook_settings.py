"""What a hook takes, set with the command line: addresses, events, paths, fields, how much, how long an old secret."""
import http.client
import json
import uuid

import pytest

from harness import Platform, wait_until
from senders import SENDERS

GITHUB = next(s for s in SENDERS if s.label == "github")
COMMIT = "5" * 40


@pytest.fixture(scope="module")
def site(platform, git):
    repo = git.repository("site", {"index.html": "one"})
    platform.create("site", repo.url, kind="static")
    return repo


def make(platform, hook, *flags):
    return json.loads(platform.cli("hooks", "create", "site", hook, "--json", *flags).stdout)["secret"]


def push(platform, hook, secret, edge=False, more=None, event="push", headers=None):
    body = json.dumps({"ref": "refs/heads/main", "before": "6" * 40, "after": COMMIT, **(more or {})}).encode()
    signed = {**GITHUB.request(secret, body, str(uuid.uuid4())), "X-GitHub-Event": event, **(headers or {})}
    if edge:
        return platform.get("slipway.localhost", "/hooks/" + hook, "POST", body, signed)
    return platform.call("POST", "/hooks/" + hook, body, token="", headers=signed)


def test_where_it_comes_from(platform, site):
    """Directly and through the edge; nobody says for himself where he is."""
    here = make(platform, "here", "--from", "127.0.0.0/8")
    there = make(platform, "there", "--from", "github", "--from", "203.0.113.0/24")
    for edge in (False, True):
        for claim in ({}, {"X-Forwarded-For": "203.0.113.9"}, {"X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}):
            assert push(platform, "here", here, edge, headers=claim).status == 202
            assert push(platform, "there", there, edge, headers=claim).status == 403
    assert "203.0.113.0/24" in platform.cli("hooks", "show", "site", "there").stdout
    listed = [line.split()[:2] for line in platform.cli("hooks", "list", "site").stdout.splitlines()]
    assert listed[0] == ["HOOK", "SENDER"] and ["here", "github"] in listed and ["there", "github"] in listed
    platform.cli("hooks", "set", "site", "there", "--from", "any")
    assert push(platform, "there", there).status == 202
    platform.cli("hooks", "set", "site", "there", "--from", "10.0.0.1/8", expect=65)


def test_an_old_secret_is_good_for_a_while(platform, site):
    old = make(platform, "rotated")
    new = json.loads(platform.cli("hooks", "rotate", "site", "rotated", "--json").stdout)
    assert new["secret"] != old and new["old_secret_until"]
    assert [push(platform, "rotated", s).status for s in (old, new["secret"])] == [202, 202]
    platform.stop()
    platform.start()
    assert [push(platform, "rotated", s).status for s in (old, new["secret"], old[:-1] + "x")] == [202, 202, 401]
    third = json.loads(platform.cli("hooks", "rotate", "site", "rotated", "--keep", "0s", "--json").stdout)
    assert third["old_secret_until"] is None
    assert [push(platform, "rotated", s).status for s in (old, new["secret"], third["secret"])] == [401, 401, 202]
    fourth = json.loads(platform.cli("hooks", "rotate", "site", "rotated", "--keep", "1s", "--secret-stdin", "--json", stdin="the sender's own secret\n").stdout)
    assert fourth["secret"] == "the sender's own secret"
    platform.cli("hooks", "rotate", "site", "rotated", "--keep", "31d", expect=64)
    import time

    time.sleep(1.1)
    assert [push(platform, "rotated", s).status for s in (third["secret"], fourth["secret"])] == [401, 202]


def test_a_secret_of_the_senders_own(platform, site):
    made = json.loads(platform.cli("hooks", "create", "site", "own", "--sender", "stripe", "--secret-stdin", "--json", stdin="whsec_of_the_sender_itself\n").stdout)
    assert made["secret"] == "whsec_of_the_sender_itself"
    stripe = next(s for s in SENDERS if s.label == "stripe")
    body = stripe.body("main", COMMIT)
    assert platform.call("POST", "/hooks/own", body, token="", headers=stripe.request(made["secret"], body)).status == 202


def test_how_much(platform, site):
    secret = make(platform, "slow", "--limit", "2/3")
    answers = [push(platform, "slow", secret) for _ in range(5)]
    assert [a.status for a in answers] == [202] * 3 + [429] * 2, answers
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 30
    platform.cli("hooks", "set", "site", "slow", "--limit", "none")
    assert push(platform, "slow", secret).status == 202


def test_who_fails_too_often(platform, site):
    """429 instead of 401; who proves himself from the same address is served all the same, and the log does not grow."""
    secret = make(platform, "forged")
    answers = [push(platform, "forged", "not the secret of it") for _ in range(200)]
    seen = [a.status for a in answers]
    assert set(seen) == {401, 429} and 20 <= seen.count(401) <= 60, seen
    assert answers[-1].status == 429 and int(answers[-1].headers["Retry-After"]) >= 1
    assert push(platform, "forged", secret).status == 202
    assert push(platform, "nobodys", secret).status == 429
    refused = [line for line in platform.log_text().splitlines() if " hooks refused " in line]
    assert len(refused) < 150 and not any(secret in line for line in refused)
    platform.stop()
    platform.start()


def test_what_it_is_about(platform, site):
    secret = make(platform, "picky", "--event", "push", "--path", "src/**", "--path", "*.md", "--field", "/repository/full_name=anna/*")
    anna = {"repository": {"full_name": "anna/shop"}}

    def commits(*files):
        return {**anna, "commits": [{"added": [], "modified": list(files), "removed": []}]}

    assert "note" not in push(platform, "picky", secret, more=commits("src/a/b.c")).json
    assert "note" not in push(platform, "picky", secret, more=commits("docs/x", "README.md")).json
    assert push(platform, "picky", secret, more=commits("docs/x.md")).json["note"] == "no file that the hook is for"
    assert "note" not in push(platform, "picky", secret, more={**commits("docs/x.md"), "forced": True}).json
    bob = {**commits("src/a"), "repository": {"full_name": "bob/shop"}}
    assert push(platform, "picky", secret, more=bob).json["note"] == "a field does not fit"
    platform.cli("hooks", "set", "site", "picky", "--event", "release", "--path", "any", "--field", "any")
    assert push(platform, "picky", secret).json["note"] == "the hook does not take this event"
    platform.cli("hooks", "set", "site", "picky", "--event", "any")
    assert "note" not in push(platform, "picky", secret).json
    platform.cli("hooks", "set", "site", "picky", expect=64)
    platform.cli("hooks", "create", "site", "no", "--sender", "bitbucket", "--path", "src/**", expect=65)


def test_a_pause(platform, site):
    secret = make(platform, "resting")
    assert "paused" in platform.cli("hooks", "pause", "site", "resting").stdout
    assert push(platform, "resting", secret).json["note"] == "the hook is paused"
    assert "paused" not in platform.cli("hooks", "resume", "site", "resting").stdout
    assert "note" not in push(platform, "resting", secret).json


@pytest.mark.parametrize("sender", sorted({s.name for s in SENDERS}))
def test_ping(platform, site, sender):
    """A real signed request, that the daemon then takes as it would the sender's; what to do there is said."""
    made = json.loads(platform.cli("hooks", "create", "site", "ping-" + sender, "--sender", sender, "--json").stdout)
    assert made["steps"] and made["content_type"] and "--public-url" in made["warnings"][0]
    shown = platform.cli("hooks", "show", "site", "ping-" + sender).stdout
    assert made["steps"] in shown and made["warnings"][0] in shown and made["secret"] not in shown
    assert "answered 202" in platform.cli("hooks", "test", "site", "ping-" + sender).stdout
    newest = wait_until(lambda: [e for e in platform.api("GET", "/projects/site/events")["items"] if e["hook"] == "ping-" + sender])[0]
    assert newest["outcome"] == "ignored"
    assert platform.api("POST", f"/projects/site/hooks/ping-{sender}/test", {})["arrived"]
    platform.cli("hooks", "set", "site", "ping-" + sender, "--limit", "1/1")
    assert "answered 20" in platform.cli("hooks", "test", "site", "ping-" + sender).stdout
    said = platform.cli("hooks", "test", "site", "ping-" + sender, expect=1).stdout
    assert "answered 429" in said and "more came than the hook takes" in said and "--from" not in said, said
    platform.cli("hooks", "set", "site", "ping-" + sender, "--limit", "none", "--from", "203.0.113.0/24")
    said = platform.cli("hooks", "test", "site", "ping-" + sender, expect=1).stdout
    assert "answered 403" in said and "which --from may leave out" in said, said


@pytest.mark.parametrize("url,way", [("http://slipway.localhost", True), ("http://nobody.example.org", False)])
def test_ping_through_the_edge(git, url, way):
    """By the host name that senders are told; where the edge does not know it, that is what the test says."""
    with_edge = Platform(extra=["--public-url", url])
    try:
        with_edge.start()
        wait_until(with_edge.edge_listens, 30)
        with_edge.create("site", git.repository("edge" + str(way), {"index.html": "one"}).url, kind="static")
        made = json.loads(with_edge.cli("hooks", "create", "site", "site", "--json").stdout)
        assert ("--public-url" in made["warnings"][0]) == way and (way or "https" in made["warnings"][0])
        said = with_edge.cli("hooks", "test", "site", "site", expect=None)
        assert ("answered 202 by way of slipway.localhost" in said.stdout) == way and (said.returncode == 0) == way, said
    finally:
        with_edge.close()


def from_address(platform, source, hook, secret, claim):
    """A delivery through the edge by somebody at another address of this machine."""
    body = json.dumps({"ref": "refs/heads/main", "before": "6" * 40, "after": COMMIT}).encode()
    signed = {**GITHUB.request(secret, body, str(uuid.uuid4())), "Content-Type": "application/json", "Host": "slipway.localhost"}
    connection = http.client.HTTPConnection("127.0.0.1", platform.edge_port, timeout=30, source_address=(source, 0))
    try:
        connection.request("POST", "/hooks/" + hook, body, {**signed, **({"X-Forwarded-For": claim} if claim else {})})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("edge", ["nginx", "apache"])
def test_behind_a_proxy_that_is_trusted(git, edge):
    """Whom it has at its other end is who sends; what that one claims about himself, or anybody who is no such proxy, is not believed."""
    proxy, stranger, sender, other = "127.0.0.2", "127.0.0.3", "203.0.113.9", "198.51.100.1"
    p = Platform(extra=["--trusted-proxies", "127.0.0.2, 192.0.2.0/24"], edge_server=edge)
    try:
        p.start()
        p.create("site", git.repository("proxied-" + edge, {"index.html": "one"}).url, kind="static")
        there, near = make(p, "there", "--from", "203.0.113.0/24"), make(p, "near", "--from", stranger)
        assert p.get("slipway.localhost", "/health").status == 200
        for source, claim, status in (
            (proxy, sender, 202),
            (proxy, other, 403),
            (proxy, f"{other}, {sender}", 202),
            (proxy, f"{sender}, {other}", 403),  # the sender's own claim in front of what the proxy saw
            (proxy, f"{sender}, 192.0.2.7", 202),  # two proxies
            (proxy, None, 403),
            (stranger, sender, 403),
            (stranger, f"{sender}, {proxy}", 403),
            (stranger, None, 403),
        ):
            assert from_address(p, source, "there", there, claim) == status, (source, claim)
        for source, claim, status in ((stranger, sender, 202), (stranger, None, 202), (proxy, sender, 403), (proxy, stranger, 202)):
            assert from_address(p, source, "near", near, claim) == status, (source, claim)
    finally:
        p.close()
