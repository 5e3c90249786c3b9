"""Many pushes to one branch while a deploy is under way, over HTTP: each is acknowledged and stored, and all of them together become one
deploy, of the newest commit. 5,000 signed pushes over 8 connections that are kept."""
import hashlib
import hmac
import http.client
import json
import threading
import time

from harness import wait_until

PUSHES, CONNECTIONS = 5000, 8
HELD = "kind: static\nbuild: [[sleep, '300']]\n"


def send(platform, secret, commits, answers):
    """One connection; answers: (status, event) of each."""
    connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=60)
    try:
        for commit in commits:
            body = json.dumps({"ref": "refs/heads/main", "before": "0" * 40, "after": commit, "deleted": False}).encode()
            signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            connection.request("POST", "/hooks/many", body, {
                "Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": commit, "X-Hub-Signature-256": signature})
            answer = connection.getresponse()
            answers.append((answer.status, json.loads(answer.read()).get("event")))
    finally:
        connection.close()


def events(platform):
    listed, after = [], ""
    while after is not None:
        page = platform.api("GET", f"/projects/many/events?hook=many&limit=200{after and '&after=' + after}")
        listed += page["items"]
        after = page["next"]
    return listed


def test_five_thousand_pushes_are_one_deploy(platform, git):
    repo = git.repository("many", {"index.html": "one"})
    platform.create("many", repo.url, kind="static")
    secret = platform.hook("many", "many")
    platform.deploy("many")
    repo.commit({"slipway.yaml": HELD})
    held = platform.task_of(platform.push("many", secret, repo.git("rev-parse", "main").strip()))
    wait_until(lambda: [s for s in platform.api("GET", f"/tasks/{held}")["steps"] if s["name"] == "build" and s["state"] == "running"])

    repo.commit({"slipway.yaml": "kind: static\n", "index.html": "newest"})
    newest = repo.git("rev-parse", "main").strip()
    commits = [hashlib.sha1(b"%d" % i).hexdigest() for i in range(PUSHES - 1)] + [newest]
    answers, began = [], time.monotonic()
    threads = [threading.Thread(target=send, args=(platform, secret, commits[n::CONNECTIONS], answers)) for n in range(CONNECTIONS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.monotonic() - began
    assert [s for s, _ in answers] == [202] * PUSHES and len({e for _, e in answers}) == PUSHES
    wait_until(lambda: platform.api("GET", "/projects/many/events?hook=many&limit=1")["items"][0]["id"] >= max(e for _, e in answers), 60, 0.05)
    platform.api("POST", f"/tasks/{held}/cancel", {}, expect=202)

    wait_until(lambda: not [t for t in platform.api("GET", "/projects/many/tasks")["items"] if t["state"] in ("waiting", "running")], 60, 0.05)
    first, cancelled, *further = sorted(platform.api("GET", "/projects/many/tasks")["items"], key=lambda t: t["id"])
    assert cancelled["id"] == held and cancelled["state"] == "cancelled" and len(further) == 1 and further[0]["state"] == "done", further
    live = platform.api("GET", "/projects/many")["live"]
    released = next(r for r in platform.api("GET", "/projects/many/releases")["items"] if r["number"] == live)
    assert released["commit"] == newest and platform.get("many.localhost").body == b"newest"
    told = [e for e in events(platform) if e["task"] != held]
    assert len(told) == PUSHES and {e["task"] for e in told} == {further[0]["id"]} and {e["outcome"] for e in told} == {"served"}
    print(f"{PUSHES} pushes acknowledged in {took:.1f} s")
