"""Every sender against a running daemon: real requests, signed here, end in a task, or in an event that says why not."""
import hashlib
import http.client
import json
import time
import uuid

import pytest

from harness import Answer, wait_until
from senders import SENDERS, SIGNED, hub_push

NO_PUSHES = {"particle", "stripe", "alertmanager"}
SITE = {"index.html": "one"}


def send(platform, hook, body, headers):
    """Each hook's from an address of its own: refusals are counted by address."""
    here = "127.1." + ".".join(map(str, hashlib.sha256(hook.encode()).digest()[:2]))
    connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=60, source_address=(here, 0))
    try:
        connection.request("POST", "/hooks/" + hook, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def event_of(platform, project, answer):
    def there():
        seen = platform.call("GET", f"/api/v1/projects/{project}/events/{answer.json['event']}")
        return seen.json if seen.status == 200 else None

    return wait_until(there, 30)


@pytest.fixture(scope="module")
def site(platform, git):
    repo = git.repository("site", SITE)
    platform.create("site", repo.url, kind="static")
    return repo


@pytest.mark.parametrize("sender", SENDERS, ids=lambda s: s.label)
def test_sender(platform, site, sender):
    hook = "site-" + sender.label
    made = platform.hook("site", hook, sender.name, **({"secret": sender.secret} if sender.secret else {}))
    commit = site.git("rev-parse", "main").strip()
    body, sent = sender.body("main", commit), str(uuid.uuid4())

    # nothing, another's secret, a changed body: nothing happens
    assert send(platform, hook, body, {"Content-Type": sender.type}).status == 401
    other = sender.secret[:-4] + "AAAA" if sender.secret else made[:-4] + "AAAA"
    assert send(platform, hook, body, sender.request(other, body, sent)).status == 401
    proof = sender.request(made, body, sent)
    if sender.label in SIGNED:
        altered = body[:-1] + bytes([body[-1] ^ 1])
        assert send(platform, hook, altered, proof).status == 401
    if sender.timed:
        for at in (time.time() - 320, time.time() + 320):
            stale = send(platform, hook, body, sender.request(made, body, sent, at=int(at)))
            assert stale.status == 401 and "5 minutes" in stale.json["detail"], stale
    names = [e["hook"] for e in platform.api("GET", "/projects/site/events")["items"]]
    assert hook not in names

    # the real one, and again
    first = send(platform, hook, body, proof)
    assert first.status == 202, first
    assert ("note" in first.json) == (sender.name in NO_PUSHES), first
    again = send(platform, hook, body, sender.request(made, body, sent))
    assert again.status == 200 and again.json["event"] == first.json["event"] and again.json["repeated"], again

    event = event_of(platform, "site", first)
    assert event["kind"] == sender.kind and event["hook"] == hook
    if sender.name in NO_PUSHES:
        assert event["outcome"] == "ignored" and event["ref"] in (None, "")
        return
    assert event["ref"] == "main" and event["after"] == commit
    task = platform.wait_task(platform.task_of(first))
    assert task["state"] == "done", task
    tag = sender.body("main", commit).replace(b"refs/heads/main", b"refs/tags/v1").replace(b"refs%2Fheads%2Fmain", b"refs%2Ftags%2Fv1")
    if tag != body:
        answer = send(platform, hook, tag, sender.request(made, tag))
        assert answer.status == 202 and answer.json["note"] == "not a branch", answer


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_senders_without_ids_over_a_restart(platform, site, end):
    """What was acknowledged is known again by its body, also when the journal was not drained yet."""
    quiet = [s for s in SENDERS if not s.ids]
    proofs = {}
    for sender in quiet:
        hook = f"again-{end}-{sender.label}"
        secret = platform.hook("site", hook, sender.name)
        body = sender.body("other", "3" * 40)
        proofs[hook] = (body, sender.request(secret, body))
    answers = {hook: send(platform, hook, *proof) for hook, proof in proofs.items()}
    assert {a.status for a in answers.values()} == {202}, answers
    getattr(platform, end)()
    platform.start()
    for hook, proof in proofs.items():
        again = send(platform, hook, *proof)
        assert again.status == 200 and again.json["event"] == answers[hook].json["event"], (hook, again)


def test_one_push_of_several_branches(platform, site):
    secret = platform.hook("site", "several", "bitbucket", branch="main")
    sender = next(s for s in SENDERS if s.label == "bitbucket")
    commit = site.git("rev-parse", "main").strip()
    changes = sender.push("feature/x", "4" * 40)["push"]["changes"] + sender.push("main", commit)["push"]["changes"]
    body = json.dumps({"push": {"changes": changes}}).encode()
    answer = send(platform, "several", body, sender.request(secret, body))
    assert answer.status == 202 and "note" not in answer.json, answer
    assert event_of(platform, "site", answer)["ref"] == "main"


def test_the_projects_branch(platform, git):
    """A hook without a branch is for the project's own, which may be the one that the repository's HEAD names, and may change."""
    repo = git.repository("heads", SITE)
    platform.api("POST", "/projects", {"name": "heads", "kind": "static", "source": {"type": "git", "url": repo.url}})
    commit = repo.git("rev-parse", "main").strip()
    repo.git("branch", "-f", "feature/x", "main")
    repo.publish("feature/x")

    def push(hook, secret, branch):
        return platform.push(hook, secret, commit, branch, raw=json.dumps({**hub_push(branch, commit), "repository": {"default_branch": "main"}}).encode())

    secret = platform.hook("heads", "heads")
    assert push("heads", secret, "feature/x").json["note"] == "another branch"
    main = push("heads", secret, "main")
    assert "note" not in main.json and platform.wait_task(platform.task_of(main))["state"] == "done"
    for sender in ("bitbucket", "bitbucket-server", "generic", "bearer", "standard"):
        refused = platform.api("POST", "/projects/heads/hooks", {"name": "mute", "sender": sender}, expect=400)
        assert refused["errors"][0]["pointer"] == "/branch", refused
    platform.hook("heads", "named", "bitbucket", branch="main")
    platform.hook("heads", "events", "stripe")
    platform.api("PATCH", "/projects/heads", {"branch": "feature/x"})
    assert push("heads", secret, "main").json["note"] == "another branch"
    moved = push("heads", secret, "feature/x")
    assert "note" not in moved.json and platform.wait_task(platform.task_of(moved))["state"] == "done"
    assert platform.api("GET", "/projects/heads/releases?limit=1")["items"][0]["ref"] == "feature/x"


def test_no_such_sender(platform, site):
    refused = platform.api("POST", "/projects/site/hooks", {"name": "nobody", "sender": "mercurial"}, expect=400)
    for sender in SENDERS:
        assert sender.name in refused["hint"], sender.name
    bad = platform.api("POST", "/projects/site/hooks", {"name": "nobody", "sender": "standard", "secret": "not of that form at all"}, expect=400)
    assert bad["errors"][0]["pointer"] == "/secret", bad
