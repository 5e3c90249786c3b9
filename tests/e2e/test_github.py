"""GitHub: what it could not deliver is asked for again. Every request of ours, and every answer of the test's GitHub, is checked against
GitHub's published OpenAPI description (@octokit/openapi), by ajv."""
import base64
import hashlib
import hmac
import http.server
import json
import re
import sqlite3
import threading
import time
import uuid

import pytest

from github import DESCRIBED, GitHub, TOKEN, verdicts
from harness import Platform, UnixConnection, wait_until

PAGE = "index.html"


@pytest.fixture(scope="module")
def near():
    """A platform that may ask GitHub here."""
    p = Platform(extra=["--outbound-allow", "127.0.0.0/8", "--retries", "0s,300ms,500ms,1s,2s"])
    p.extra += ["--public-url", f"http://127.0.0.1:{p.http_port}"]
    try:
        p.start()
        yield p
    finally:
        p.close()


SEEN = []  # of every GitHub here; the last test looks at all of it


@pytest.fixture
def hub():
    made = []

    def make(**more):
        made.append(GitHub(**more))
        return made[-1]

    yield make
    for one in made:
        one.close()
        SEEN.extend(one.seen)


def push(commit, branch="main"):
    return json.dumps({"ref": "refs/heads/" + branch, "before": "0" * 40, "after": commit, "deleted": False}).encode()


def made(near, hub, name, repo, **more):
    near.create(name, repo.url)
    secret = near.hook(name, name)
    number = hub.hook(f"http://127.0.0.1:{near.http_port}/hooks/{name}", secret)
    near.api("PATCH", f"/projects/{name}/hooks/{name}", {"github": {"repository": "anna/shop", "token": TOKEN, "api": hub.api, **more}})
    return number


def state(near, name, fits=lambda s: s["state"] != "due", seconds=30):
    def look():
        now = near.api("GET", f"/projects/{name}/hooks/{name}")["github"]
        return now if fits(now) else None

    return wait_until(look, seconds)


def events(near, name):
    return near.api("GET", f"/projects/{name}/events?limit=200")["items"]


def again(near):
    """Away and back; the pause between two looks is over."""
    near.kill()
    near.start()


def test_what_could_not_be_delivered_arrives(near, hub, git):
    """Over three pages, with what came after all, what we refused and what is too old among it; each once."""
    there = hub(page=3)
    repo = git.repository("missed", {PAGE: "v1"})
    number = made(near, there, "missed", repo)
    first = state(near, "missed")
    assert (first["error"], first["hook_id"], first["asked"]) == (None, number, 0), first
    arrived = "came-after-all"
    assert there.send(push(repo.commit({PAGE: "v1"})), guid=arrived) == 202
    assert there.send(push("1" * 40), guid="wrong-secret", secret="another's") == 401
    near.kill()
    commit = repo.commit({PAGE: "v2"})
    assert there.send(push("1" * 40), guid="too-old", at=time.time() - 3.5 * 86400) == 502
    there.deliveries.insert(0, there.deliveries.pop())
    assert there.send(push("2" * 40), guid=arrived) == 502  # we have it: whatever GitHub thinks
    sent = [f"missed-{n}" for n in range(7)]
    assert {there.send(push(commit), guid=guid) for guid in sent} == {502}
    near.start()
    ended = state(near, "missed", lambda s: s["asked"] == 7 and s["state"] == "idle")
    assert (ended["found"], ended["error"]) == (7, None), ended
    wait_until(lambda: {e["delivery"] for e in events(near, "missed")} >= set(sent), 30)
    assert "wrong-secret" not in {e["delivery"] for e in events(near, "missed")}
    assert len(there.asked("POST", "/attempts")) == 7
    order = [next(d["guid"] for d in there.deliveries if f'/{d["id"]}/' in s["path"]) for s in there.asked("POST", "/attempts")]
    assert order == sent  # the oldest first
    assert len([s for s in there.asked("GET", "/deliveries") if "cursor=v1_" in s["path"]]) >= 2
    wait_until(lambda: near.get("missed.localhost").body == b"v2", 60)
    audited = [a for a in near.api("GET", "/audit?project=missed&limit=200")["items"] if a["action"] == "hook.catch_up"]
    assert [(a["operator"], a["outcome"]) for a in audited] == [("schedule", "ok")] and "7 of 7" in audited[0]["detail"], audited

    # somebody asks: nothing is missing any more; with --refused what we said no to is asked for, and refused again
    shown = near.cli("hooks", "catch-up", "missed", "missed", "--since", "1h").stdout
    assert "0 of 0 failed deliveries asked for again" in shown, shown
    near.cli("hooks", "catch-up", "missed", "missed", "--since", "1h", "--refused")
    assert len(there.asked("POST", "/attempts")) == 8
    wait_until(lambda: len([d for d in there.deliveries if d["guid"] == "wrong-secret"]) == 2, 30)
    shown = near.cli("hooks", "show", "missed", "missed").stdout
    assert "anna/shop: 1 of 1 failed deliveries asked for again" in shown and TOKEN not in shown, shown
    assert TOKEN not in near.log_text() and TOKEN not in json.dumps(near.api("GET", "/audit?project=missed&limit=200"))
    assert TOKEN.encode() not in (near.state / "slipway.db").read_bytes()


def test_after_a_clock_that_was_ahead(near, hub, git):
    """How far it was looked is of a time to come: what is missing since is found all the same."""
    there = hub()
    repo = git.repository("ahead", {PAGE: "v1"})
    made(near, there, "ahead", repo)
    state(near, "ahead")
    near.kill()
    with sqlite3.connect(near.state / "slipway.db") as db:
        db.execute("UPDATE catch_up SET since_ms = ? WHERE hook_id = (SELECT id FROM hook WHERE name = 'ahead')", (int(time.time() * 1000) + 3600_000,))
    db.close()
    assert there.send(push(repo.commit({PAGE: "v2"})), guid="ahead-1") == 502
    near.start()
    ended = state(near, "ahead", lambda s: s["asked"] == 1 and s["state"] == "idle")
    assert (ended["found"], ended["error"]) == (1, None), ended


def test_its_allowance_is_kept_to(near, hub, git):
    """Used up in the middle: nothing is asked until it is there again, then the rest, each once."""
    there = hub()
    made(near, there, "bounded", git.repository("bounded", {PAGE: "v1"}), hook_id=4711)
    state(near, "bounded")
    near.kill()
    assert {there.send(push("1" * 40), guid=f"bounded-{n}") for n in range(5)} == {502}
    reset = int(time.time()) + 8
    there.allowance = [4, reset]  # the list, and three of them
    near.start()
    held = state(near, "bounded", lambda s: s["asked"] > 0 and s["due_at"] and s["error"])
    there.allowance = None
    assert held["asked"] == 3 and "no more requests" in held["error"], held
    ended = state(near, "bounded", lambda s: s["state"] == "idle")
    assert (ended["found"], ended["asked"]) == (5, 5), ended
    asked = there.asked("POST", "/attempts")
    assert len({s["path"] for s in asked}) == len(asked) == 5
    assert asked[3]["at"] >= reset and asked[3]["at"] - asked[2]["at"] >= 0.9


def test_a_hook_that_was_made_again_is_found(near, hub, git):
    """Deleted at GitHub and made again, at the same address: it has another number; once it is nowhere, that is said."""
    there = hub()
    number = made(near, there, "anew", git.repository("anew", {PAGE: "v1"}))
    assert state(near, "anew")["hook_id"] == number
    near.kill()
    there.hooks[0]["id"] = number + 1
    assert there.send(push("1" * 40), guid="anew") == 502
    near.start()
    ended = state(near, "anew", lambda s: s["state"] != "due" and s["asked"])
    assert (ended["state"], ended["error"], ended["hook_id"], ended["asked"]) == ("idle", None, number + 1, 1), ended
    wait_until(lambda: [e["delivery"] for e in events(near, "anew")] == ["anew"], 30)
    there.hooks[0]["id"] = number + 2
    there.hooks[0]["config"]["url"] += "-elsewhere"
    before = len(there.seen)
    assert "no hook of anna/shop sends to" in near.cli("hooks", "catch-up", "anew", "anew", expect=1).stdout
    assert [s["path"].split("?")[0].split("/shop/")[1] for s in there.seen[before:]] == [f"hooks/{number + 1}/deliveries", "hooks"]


def test_it_asks_us_to_wait(near, hub, git):
    there = hub()
    there.answers["/deliveries"] = [(403, {"Retry-After": "2"}, {"message": "You have exceeded a secondary rate limit"})]
    made(near, there, "waits", git.repository("waits", {PAGE: "v1"}), hook_id=4711)
    ended = state(near, "waits", lambda s: s["state"] == "idle")
    first, second = there.asked("GET", "/deliveries")
    assert second["at"] - first["at"] >= 1.9 and ended["error"] is None, ended


@pytest.mark.parametrize("status,said,hint", [
    (401, "Bad credentials", "--github-token-stdin"), (403, "Resource not accessible", "admin:repo_hook"), (404, "Not Found", "admin:repo_hook"),
    (301, "Moved Permanently", "name of today")])
def test_what_is_wrong_is_said(near, hub, git, status, said, hint):
    name = f"wrong{status}"
    there = hub()
    there.answers["/deliveries"] = [(status, {"Location": "http://127.0.0.1:1/"}, {"message": said + "\n\x1b[2J"})]
    made(near, there, name, git.repository(name, {PAGE: "v1"}), hook_id=4711)
    failed = state(near, name)
    assert failed["state"] == "failed" and said in failed["error"] and hint in failed["error"] and "\x1b" not in failed["error"], failed
    shown = near.cli("hooks", "show", name, name).stdout
    assert said in shown and hint in shown
    there.answers["/deliveries"] = [(status, {}, {"message": said})]
    assert hint in near.cli("hooks", "catch-up", name, name, expect=1).stdout
    assert near.cli("hooks", "catch-up", name, name).returncode == 0
    assert len(there.asked("GET", "/deliveries")) == 3
    audited = [a["outcome"] for a in near.api("GET", f"/audit?project={name}&limit=200")["items"] if a["action"] == "hook.catch_up" and a["operator"] == "schedule"]
    assert audited == ["failed", "failed"], audited
    near.cli("hooks", "set", name, name, "--github", "none")
    assert "github" not in near.api("GET", f"/projects/{name}/hooks/{name}")
    assert "no token" in near.cli("hooks", "catch-up", name, name, expect=None).stderr


def test_what_cannot_be_is_said(near, hub, git):
    there = hub()
    repo = git.repository("cannot", {PAGE: "v1"})
    near.create("cannot", repo.url)
    secret = near.hook("cannot", "cannot")
    there.hook("https://elsewhere.example/hooks/other", secret)

    def refused(body, pointer):
        answer = near.api("PATCH", "/projects/cannot/hooks/cannot", {"github": body}, expect=400)
        assert answer["errors"][0]["pointer"] == pointer, answer

    refused({"token": TOKEN}, "/github/repository")  # the project is not at github.com
    refused({"token": TOKEN, "repository": "anna/../shop"}, "/github/repository")
    refused({"repository": "anna/shop"}, "/github/token")
    refused({"repository": "anna/shop", "token": "two\nlines"}, "/github/token")
    refused({"repository": "anna/shop", "token": TOKEN, "api": "file:///etc"}, "/github/api")
    near.hook("cannot", "lab", "gitlab")
    answer = near.api("PATCH", "/projects/cannot/hooks/lab", {"github": {"repository": "anna/shop", "token": TOKEN}}, expect=400)
    assert answer["errors"][0]["pointer"] == "/github", answer
    said = near.cli("hooks", "set", "cannot", "cannot", "--github", "anna/shop", "--github-api", there.api, "--github-token-stdin", stdin=TOKEN)
    assert TOKEN not in said.stdout
    none = state(near, "cannot")
    assert "no hook of anna/shop sends to" in none["error"] and "--github-hook" in none["error"], none
    # what is malformed is tried again, and said meanwhile
    there.answers["/deliveries"] = [(200, {}, "[{}]")]
    near.cli("hooks", "set", "cannot", "cannot", "--github-hook", "4711")
    odd = state(near, "cannot", lambda s: s["error"] and "malformed" in s["error"])
    assert odd["state"] == "due", odd
    there.seen[-1]["answer"] = ""  # the test's own fault
    near.api("DELETE", "/projects/cannot/hooks/cannot")


def test_nobody_inside_is_asked(platform, git, hub):
    """Without leave an address of this machine is none for a token."""
    there = hub()
    repo = git.repository("inside", {PAGE: "v1"})
    platform.create("inside", repo.url)
    platform.hook("inside", "inside")
    platform.api("PATCH", "/projects/inside/hooks/inside", {"github": {"repository": "anna/shop", "hook_id": 1, "token": TOKEN, "api": there.api}})
    blocked = state(platform, "inside")
    assert blocked["state"] == "failed" and "--outbound-allow" in blocked["error"], blocked
    assert not there.seen


def opened_in_a_browser(p, url, begin, end="done"):
    """Asked for a password, then text: the steps and what they printed."""
    path, token = url.split(str(p.http_port), 1)[1], (p.state / "owner.token").read_text().strip()
    asked = p.call("GET", path, token="")
    assert asked.status == 401 and 'Basic realm="' in str(asked.headers), asked
    page = p.call("GET", path, token="", headers={"Authorization": "Basic " + base64.b64encode(f"anna:{token}".encode()).decode()})
    text = page.body.decode()
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/plain") and page.headers["X-Content-Type-Options"] == "nosniff"
    assert text.startswith(begin) and re.search(r"^\S+  fetch +done", text, re.M) and f"\n{end}\n" in text, text
    assert p.cli("tasks", "log", re.search(r"tasks/(\d+)/log", url).group(1)).stdout == text
    return text


def told(near, name, count):
    def look():
        seen = near.api("GET", f"/projects/{name}/channels/hub/deliveries?limit=200")["items"]
        return len(seen) >= count and all(d["state"] != "waiting" for d in seen) and seen

    return wait_until(look, 60)


def gate(receiver):
    return f"kind: static\nbuild: [[python3, -c, 'import urllib.request; urllib.request.urlopen(\"{receiver}\").read()']]\n"


@pytest.fixture
def held():
    """An address that answers when it is let go: a build waits for it."""
    go = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            go.wait(60)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    go.url = f"http://127.0.0.1:{server.server_address[1]}/"
    yield go
    go.set()
    server.shutdown()
    server.server_close()


def test_deploys_are_told_as_statuses_and_deployments(near, hub, git, held):
    """pending and in_progress while it runs, then success or failure, with the log and the project's address."""
    there = hub()
    repo = git.repository("shown", {PAGE: "v1", "slipway.yaml": gate(held.url)})
    near.create("shown", repo.url)
    said = near.cli("notify", "add", "shown", "hub", "github", "--target", there.api + "/repos/anna/shop", "--deployments", "yes", "--secret-stdin", stdin=TOKEN)
    assert "deployments" in said.stdout
    first = repo.git("rev-parse", "HEAD")
    task = near.api("POST", "/projects/shown/deploys", {})["task"]
    wait_until(lambda: there.statuses and there.deployments and there.deployments[0]["states"], 60)
    assert [(sha, s["state"]) for sha, s in there.statuses] == [(first, "pending")]
    assert [s["state"] for s in there.deployments[0]["states"]] == ["in_progress"]
    held.set()
    assert near.wait_task(task)["state"] == "done"
    told(near, "shown", 4)
    assert [(sha, s["state"]) for sha, s in there.statuses] == [(first, "pending"), (first, "success")]
    (one,) = there.deployments
    assert (one["sha"], one["task"], one["environment"]) == (first, f"deploy:{task}", "shown"), one
    assert [s["state"] for s in one["states"]] == ["in_progress", "success"], one
    log = f"http://127.0.0.1:{near.http_port}/api/v1/tasks/{task}/log"
    assert {s["log_url"] for s in one["states"]} == {log} == {s["target_url"] for _, s in there.statuses}
    opened_in_a_browser(near, log, f"task {task}: deploy of shown, main at {first}")
    assert "shown.localhost" in one["states"][-1]["environment_url"] and "environment_url" not in one["states"][0]
    made = json.loads(there.asked("POST", "/deployments")[0]["body"])
    assert made["auto_merge"] is False and made["required_contexts"] == []

    # a failure; of which the first answers are lost: one deployment all the same
    broken = repo.commit({"slipway.yaml": "kind: static\nbuild: [[python3, -c, 'print(chr(27), 7 * \"no \"); raise SystemExit(1)']]\n"})
    real, lost = there.of_deployments, []

    def losing(method, path, query, said):
        status, headers, answer = real(method, path, query, said)
        if method == "POST" and len(path) == 1 and not lost:
            lost.append(answer)
            return 502, {}, {"message": "lost"}
        return status, headers, answer

    there.of_deployments = losing
    task = near.api("POST", "/projects/shown/deploys", {})["task"]
    assert near.wait_task(task)["state"] == "failed"
    told(near, "shown", 8)
    assert there.statuses[-1][0] == broken and there.statuses[-1][1]["state"] == "failure"
    text = opened_in_a_browser(near, there.statuses[-1][1]["target_url"], f"task {task}: deploy of shown, main at {broken}", "failed")
    assert re.search(r"^\S+  build      \\x1b no no no no no no no$", text, re.M) and chr(27) not in text and "ended with status 1\n" in text, text
    second = there.deployments[1]
    assert len(there.deployments) == 2 and lost and second["sha"] == broken and second["states"][-1]["state"] == "failure", there.deployments

    # back to the first release, live already or not: its own deployment
    repo.commit({PAGE: "v3", "slipway.yaml": "kind: static\n"})
    near.deploy("shown")
    near.wait_task(near.api("POST", "/projects/shown/rollback", {})["task"])
    wait_until(lambda: there.deployments[-1]["sha"] == first and there.deployments[-1]["states"], 60)
    assert [s["state"] for s in there.deployments[-1]["states"]] == ["success"]
    near.cli("notify", "set", "shown", "hub", "--deployments", "no")
    count = len(there.deployments)
    near.deploy("shown")
    wait_until(lambda: there.statuses[-1][1]["state"] == "success" and len(told(near, "shown", 1)), 30)
    assert len(there.deployments) == count
    refused = near.call("POST", "/api/v1/projects/shown/channels", {"name": "team", "type": "mail", "target": "a@example.org", "deployments": True})
    assert refused.status == 400 and refused.json["errors"][0]["pointer"] == "/deployments", refused


LISTED = ["192.30.252.0/22", "185.199.108.0/22", "2a0a:a440::/29"]


def from_github(p, name, secret, address):
    """A push that comes from there: the edge's socket says whom it has at its other end."""
    body = push("1" * 40)
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    connection = UnixConnection(p.run / "edge-api.sock")
    connection.request("POST", "/hooks/" + name, body, {
        "Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": str(uuid.uuid4()), "X-Hub-Signature-256": signature,
        "X-Forwarded-For": address})
    return connection.getresponse().status


def test_the_list_of_addresses_is_kept_fresh(hub, git):
    """Asked for when a hook wants it, kept over a restart; a broken or hostile answer changes nothing."""
    there = hub()
    there.meta = {"verifiable_password_authentication": False, "hooks": LISTED, "web": ["192.30.252.0/22"] * 9000}
    p = Platform(extra=["--outbound-allow", "127.0.0.0/8", "--github-api", there.api])
    try:
        p.start()
        p.create("listed", git.repository("listed", {PAGE: "v1"}).url)
        secret = p.hook("listed", "listed")
        assert not there.asked("GET", "/meta")  # nobody wants it

        def known():
            return p.api("GET", "/projects/listed/hooks/listed").get("github_addresses")

        assert known() is None
        p.cli("hooks", "set", "listed", "listed", "--from", "github")
        wait_until(lambda: known()["fetched_at"], 30)
        assert known()["ranges"] == len(LISTED) and known()["error"] is None
        assert f"github: {len(LISTED)} ranges, as GitHub said" in p.cli("hooks", "show", "listed", "listed").stdout
        assert from_github(p, "listed", secret, "192.30.253.1") == 202
        assert from_github(p, "listed", secret, "2a0a:a440::9") == 202
        assert from_github(p, "listed", secret, "140.82.115.1") == 403  # of the list built in, not of this one
        (asked,) = there.asked("GET", "/meta")
        assert "authorization" not in asked["headers"] and len(asked["answer"]) > 100_000

        # over a restart it is there before it is asked for again, which is not due
        p.kill()
        p.start()
        assert from_github(p, "listed", secret, "192.30.253.1") == 202 and from_github(p, "listed", secret, "140.82.115.1") == 403

        hostile = [
            (200, {}, json.dumps({"hooks": ["140.82.112.0/20", "0.0.0.0/0"]})), (500, {}, ""), (302, {"Location": there.api + "/meta"}, ""),
            (200, {}, json.dumps({"hooks": ["140.82.112.0/20"], "web": ["192.30.252.0/22"] * 80000}))]  # cut at 1 MB
        for n, answer in enumerate(hostile):
            there.answers["/meta"] = [answer]
            due(p)
            wait_until(lambda: len(there.asked("GET", "/meta")) == n + 2, 30)
            wait_until(lambda: known()["error"], 30)
            assert known()["ranges"] == len(LISTED), (answer[2][:80], known())
            assert from_github(p, "listed", secret, "140.82.115.1") == 403 and from_github(p, "listed", secret, "192.30.253.1") == 202
        assert "the last try changed nothing" in p.cli("hooks", "show", "listed", "listed").stdout

        # not changed, and changed
        due(p)
        before = known()["fetched_at"]
        wait_until(lambda: known()["fetched_at"] != before, 30)
        assert known()["error"] is None and (there.seen[-1]["status"], there.seen[-1]["headers"].get("if-none-match")) == (304, there.etag)
        there.meta, there.etag = {"verifiable_password_authentication": False, "hooks": ["140.82.112.0/20"]}, '"2"'
        due(p)
        wait_until(lambda: known()["ranges"] == 1, 30)
        assert from_github(p, "listed", secret, "140.82.115.1") == 202 and from_github(p, "listed", secret, "192.30.253.1") == 403
        there.seen = [s for s in there.seen if s["status"] not in (302, 500) and (s["status"] == 304 or "verifiable" in s["answer"])]
    finally:
        p.close()


def due(p):
    """A day later: the daemon is away, the row says that it is due."""
    p.stop()
    with sqlite3.connect(p.state / "slipway.db") as db:
        db.execute("UPDATE github_list SET due_ms = 1, error = ''")
    db.close()
    p.start()


def test_each_request_is_as_described():
    """And the control: requests that GitHub would not understand, and answers that it would not give, are found."""
    if not DESCRIBED:
        pytest.skip("the libraries of tests/verifiers are not there (tools/install-verifiers)")
    headers = {"user-agent": "x", "accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28", "authorization": "Bearer x"}
    good = {"method": "GET", "path": "/repos/a/b/hooks/1/deliveries?per_page=100&status=failure", "headers": headers, "body": "", "status": 200, "answer": "[]"}
    make = {"method": "POST", "path": "/repos/a/b/deployments", "headers": {**headers, "content-type": "application/json"}, "body": '{"ref": "main", "required_contexts": []}', "status": 201, "answer": ""}
    status = {"method": "POST", "path": "/repos/a/b/statuses/" + "1" * 40, "headers": {**headers, "content-type": "application/json"}, "body": '{"state": "success"}', "status": 201, "answer": ""}
    planted = [
        {**good, "path": "/repos/a/b/hooks/1/delivery"}, {**good, "method": "POST"}, {**good, "path": "/repos/a/b/hooks/one/deliveries"},
        {**good, "path": good["path"].replace("failure", "failed")}, {**good, "path": good["path"] + "&page=2"},
        {**good, "headers": {**headers, "authorization": ""}}, {**good, "headers": {**headers, "user-agent": ""}},
        {**good, "answer": '[{"id": 1}]'}, {**good, "status": 204}, {**good, "body": "{}"},
        {**status, "body": '{"state": "done"}'}, {**status, "body": '{"state": "success", "contxt": "x"}'}, {**status, "body": "{}"}, {**status, "body": ""},
        {**status, "headers": headers}, {**make, "body": '{"required_contexts": []}'}, {**make, "body": '{"ref": "main", "required_contexts": "none"}'},
        {**make, "body": '{"ref": "main", "automerge": false}'}, {**make, "path": "/repos/a/b/deployments/1/status"}]
    found = verdicts([good, status, make, *planted, *SEEN])
    assert [v["wrong"] for v in found[:3]] == [[], [], []]
    assert all(v["wrong"] for v in found[3:3 + len(planted)]), found[3:3 + len(planted)]
    for one, verdict in zip(SEEN, found[3 + len(planted):], strict=True):
        assert not verdict["wrong"], (one, verdict)
    of = sorted({v["operation"] for v in found[3 + len(planted):]})
    print(f"{len(SEEN)} requests of ours and their answers are as GitHub describes them ({', '.join(of)}); {len(planted)} planted faults found")
