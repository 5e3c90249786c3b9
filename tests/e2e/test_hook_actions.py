"""What follows from a hook's events beyond a deploy: check, notify, forward, run; in order, each retried by itself, each visible; pull
requests, a stranger's without secrets; a crash in between."""
import json
import re
import subprocess
import uuid

import pytest

from harness import Platform, wait_until
from senders import SENDERS, mac
from test_notify import Receiver, channel, signed

GITHUB = next(s for s in SENDERS if s.label == "github")
PARTICLE = next(s for s in SENDERS if s.label == "particle")
MANIFEST = "kind: static\nchecks: [{name: tests, run: [python3, check.py]}]\n"
# Says what a check can see: the environment, and whether the cache that later builds trust can be written.
CHECK = """import os
told = [k for k in ("OPEN", "BUILD_TOKEN", "RUN_TOKEN") if k in os.environ]
try:
    open(os.path.join(os.environ["SLIPWAY_DATA_DIR"], "..", "cache", "poison"), "w").close()
    told.append("cache")
except OSError:
    pass
print("seen", *told, "passed")
raise SystemExit({code})
"""
# Appends what it was given to a file outside of the release, once per line, and waits where a file says so.
RUN = """import os, sys, time
data = os.environ["SLIPWAY_DATA_DIR"]
body = sys.stdin.read()
with open(data + "/got", "a") as f:
    f.write(os.environ["SLIPWAY_EVENT_KIND"] + " " + body.replace("\\n", " ") + "\\n")
while os.path.exists(data + "/wait"):
    time.sleep(0.02)
"""
FILES = {"index.html": "one", "slipway.yaml": MANIFEST, "check.py": CHECK.format(code=0), "run.py": RUN}


@pytest.fixture(scope="module")
def site():
    p = Platform(extra=["--outbound-allow", "127.0.0.0/8", "--retries", "0s,100ms,200ms"])
    try:
        p.start()
        yield p
    finally:
        p.close()


@pytest.fixture(scope="module")
def crm():
    seen = {"fail": 0}

    def answer(request, body):
        seen["fail"] -= 1
        return 500 if seen["fail"] >= 0 else 200

    r = Receiver(answer)
    r.fail = lambda n: seen.update(fail=n)
    yield r
    r.close()


@pytest.fixture(scope="module")
def github_api():
    r = Receiver(lambda request, body: 201)
    yield r
    r.close()


@pytest.fixture(scope="module")
def shop(site, git, crm, github_api):
    repo = git.repository("shop", FILES)
    site.create("shop", repo.url)
    repo.secrets = {c: channel(site, "shop", c, "webhook", target=crm.url + "/" + c, events="project.destroyed")["secret"] for c in ("crm", "team")}
    channel(site, "shop", "state", "github", target=github_api.url + "/repos/anna/shop", secret="ghp_1", events="deploy.* check.*")
    site.deploy("shop")
    return repo


def hook(p, name, *actions, project="shop", sender="github", more=()):
    said = [part for a in actions for part in ("--action", a)]
    return json.loads(p.cli("hooks", "create", project, name, "--sender", sender, "--json", *said, *more).stdout)


def send(p, name, secret, body, event="push", delivery=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
               "X-Hub-Signature-256": "sha256=" + mac(secret, body).hexdigest()}
    return p.call("POST", "/hooks/" + name, body, token="", headers=headers)


def event(p, number, project="shop"):
    answer = p.call("GET", f"/api/v1/projects/{project}/events/{number}")
    return answer.json if answer.status == 200 else None


def settled(p, answer, project="shop", seconds=60, attempt=1):
    """The event once everything that follows from it has ended, deliveries too."""
    assert answer.status in (200, 202), answer

    def look():
        e = event(p, answer.json["event"], project)
        return e and e["attempt"] >= attempt and e["outcome"] != "waiting" and all(a["state"] != "running" for a in e["actions"]) and e

    return wait_until(look, seconds)


def states(e):
    return [(a["type"], a["state"]) for a in e["actions"]]


def got(p, project="shop"):
    path = p.state / "projects" / project / "data" / "got"
    return path.read_text().splitlines() if path.exists() else []


def live(p, project="shop"):
    return p.api("GET", f"/projects/{project}")["live"]


def test_what_is_too_large_to_be_handed_on_is_said(site, shop, crm):
    """More than 1 MiB is stored, and is the commands' input; whom it was to be handed on to hears nothing, and the event says so."""
    made, at_most = hook(site, "big", "forward=crm", "run=python3 run.py"), 1 << 20
    for size, state in ((at_most, "done"), (at_most + 1, "failed")):
        crm.fail(0)
        crm.seen.clear()
        body = json.dumps({"ref": "refs/heads/main", "pad": ""}).encode()
        body = body[:-2] + b"x" * (size - len(body)) + body[-2:]
        e = settled(site, send(site, "big", made["secret"], body))
        assert states(e) == [("forward", state), ("run", "done")], {**e, "body": ""}
        assert [len(sent) for _, _, _, _, sent, _ in crm.seen] == [size] * (state == "done")
        told = e["actions"][0]["deliveries"][0]
        assert told["error"] == (None if state == "done" else "the event is too large to be handed on"), told
        assert site.call("GET", f"/api/v1/projects/shop/events/{e['id']}").json["body"] == body.decode()
    assert "the event is too large to be handed on" in site.cli("events", "show", "shop", str(e["id"])).stdout
    (site.state / "projects" / "shop" / "data" / "got").unlink()
    site.cli("hooks", "delete", "shop", "big", "--yes")


def test_in_order_each_by_itself(site, shop, crm):
    made = hook(site, "all", "check", "deploy", "notify=team", "forward=crm", "run=python3 run.py")
    assert [a["type"] for a in made["actions"]] == ["check", "deploy", "notify", "forward", "run"]
    before, crm.seen[:] = live(site), []
    crm.fail(1)  # the first try of the first that is told
    commit = shop.commit({"index.html": "two"})
    body = json.dumps({"ref": "refs/heads/main", "before": "0" * 40, "after": commit}, indent=1).encode()
    answer = send(site, "all", made["secret"], body)
    e = settled(site, answer)
    assert states(e) == [("check", "done"), ("deploy", "done"), ("notify", "done"), ("forward", "done"), ("run", "done")], e
    assert e["outcome"] == "served" and live(site) != before
    check, deploy, notify, forward, run = e["actions"]
    kinds = [site.api("GET", f"/tasks/{a['task']}")["kind"] for a in (check, deploy, run)]
    assert kinds == ["check", "deploy", "run"] and check["task"] < deploy["task"] < run["task"]
    assert [d["channel"] for d in notify["deliveries"] + forward["deliveries"]] == ["team", "crm"]
    assert sum(d["attempts"] for d in notify["deliveries"] + forward["deliveries"]) == 3  # one was tried twice
    assert got(site) == ["push " + body.decode().replace("\n", " ")]
    told = {path.rsplit("/")[-1]: (headers, sent) for _, _, path, headers, sent, status in crm.seen if status == 200}
    headers, sent = told["crm"]
    assert sent == body and signed(shop.secrets["crm"], headers, sent)  # the event itself, under our own signature
    assert headers["X-Slipway-Event"] == "push" and headers["X-Slipway-Hook"] == "all"
    headers, sent = told["team"]
    assert signed(shop.secrets["team"], headers, sent) and json.loads(sent)["type"] == "hook.received"
    shown = site.cli("events", "show", "shop", answer.json["event"]).stdout
    assert re.search(r"action 4 +forward +done.*\n +crm +delivered", shown), shown
    again = send(site, "all", made["secret"], body, delivery=e["delivery"])
    assert again.status == 200 and again.json["event"] == e["id"] and got(site) == got(site)[:1]
    assert re.search(rf"^ *{e['id']} +all ", site.cli("hooks", "events", "shop", "--hook", "all").stdout, re.M)
    replay = site.cli("hooks", "replay", "shop", e["id"])
    assert "begin again" in replay.stdout
    wait_until(lambda: len(got(site)) == 2 and event(site, e["id"])["outcome"] == "served")
    listed = site.cli("hooks", "show", "shop", "all").stdout
    assert "run python3 run.py" in listed and "forward to crm" in listed


def test_a_failure_stops_what_comes_after(site, shop, crm, github_api):
    made = hook(site, "gate", "check", "deploy", "run=python3 run.py")
    before, ran = live(site), len(got(site))
    commit = shop.commit({"check.py": CHECK.format(code=3)})
    delivery = str(uuid.uuid4())
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": commit}
    e = settled(site, send(site, "gate", made["secret"], push, delivery=delivery))
    assert states(e) == [("check", "failed"), ("deploy", "skipped"), ("run", "skipped")] and e["outcome"] == "failed", e
    task = site.api("GET", f"/tasks/{e['actions'][0]['task']}")
    assert task["error"]["step"] == "check" and "status 3" in task["error"]["message"], task
    assert live(site) == before and len(got(site)) == ran
    assert not [r for r in site.api("GET", "/projects/shop/releases")["items"] if r["commit"] == commit]
    wait_until(lambda: [json.loads(b)["state"] for _, _, path, _, b, _ in github_api.seen if commit in path][-1:] == ["failure"])
    # The sender tells it again once it can go well: a further attempt of the same event.
    shop.commit({"check.py": CHECK.format(code=0)})
    e2 = settled(site, send(site, "gate", made["secret"], push, delivery=delivery), attempt=2)
    assert e2["id"] == e["id"] and e2["attempt"] == 2 and [s for _, s in states(e2)] == ["done"] * 3, e2
    assert live(site) != before and len(got(site)) == ran + 1


def test_whatever_comes(site, shop, crm):
    """Particle's events push no branch: notify, forward and run follow all the same; deploy is refused."""
    made = hook(site, "door", "notify=team", "run=python3 run.py", sender="particle")
    ran = len(got(site))
    body = PARTICLE.body("main", "5" * 40)
    answer = site.call("POST", "/hooks/door", body, token="", headers=PARTICLE.request(made["secret"], body))
    e = settled(site, answer)
    assert states(e) == [("notify", "done"), ("run", "done")], e
    assert len(got(site)) == ran + 1 and got(site)[-1].startswith("temperature ")
    ping = site.cli("hooks", "test", "shop", "door")
    assert "answered" in ping.stdout and len(got(site)) == ran + 1
    site.cli("hooks", "create", "shop", "no", "--sender", "particle", "--action", "deploy", expect=65)
    site.cli("hooks", "create", "shop", "no", "--action", "forward=nobody", expect=65)
    site.cli("hooks", "create", "shop", "no", "--action", "forward=state", expect=65)
    site.cli("hooks", "create", "shop", "no", "--action", "sing", expect=65)
    site.cli("hooks", "create", "shop", "no", "--action", "deploy=twice", expect=64)
    said = site.cli("hooks", "create", "shop", "no", "--action", 'run=["a",', expect=65).stderr
    assert "is not JSON" in said and "--action run=[" in said, said
    site.cli("hooks", "set", "shop", "door", "--action", "forward=crm")
    e = settled(site, site.call("POST", "/hooks/door", b"event=gone&data=1", token="", headers={**PARTICLE.request(made["secret"], body)}))
    assert states(e) == [("forward", "done")] and json.loads(crm.seen[-1][4]) == {"event": "gone", "data": "1"}


def pull(number, head, action="opened", fork=False, base="main"):
    return {"action": action, "number": number, "pull_request": {
        "number": number, "head": {"ref": "topic", "sha": head, "repo": {"id": 2 if fork else 1}}, "base": {"ref": base, "repo": {"id": 1}}}}


def offer(shop, number, files):
    """A pull request's head, as GitHub has it, and the branch as it was."""
    shop.write(files)
    shop.git("checkout", "-q", "--detach")
    shop.git("add", "-A")
    shop.git("commit", "-q", "--allow-empty", "-m", f"pull {number}")
    head = shop.git("rev-parse", "HEAD")
    shop.git("push", "-q", "--force", str(shop.bare), f"HEAD:refs/pull/{number}/head")
    subprocess.run(["git", "--git-dir", shop.bare, "update-server-info"], check=True)
    shop.git("checkout", "-q", "--force", "main")
    return head


def told_states(github_api, commit):
    return [(json.loads(b)["state"], json.loads(b)["context"]) for _, _, path, _, b, _ in github_api.seen if f"/statuses/{commit}" in path]


def check_log(p, task):
    return [line["text"] for line in p.api("GET", "/projects/shop/logs?process=check&tail=50")["items"] if line["text"].startswith("seen")][-1]


def test_pull_requests(site, shop, github_api):
    for key in ("OPEN", "BUILD_TOKEN", "RUN_TOKEN"):
        site.api("PUT", "/projects/shop/env", {key: {"value": "x", "secret": key != "OPEN", "build": key == "BUILD_TOKEN"}})
    made = hook(site, "pulls", "check")
    before = live(site)
    head = offer(shop, 7, {"index.html": "theirs"})
    e = settled(site, send(site, "pulls", made["secret"], pull(7, head), event="pull_request"))
    assert states(e) == [("check", "done")] and e["ref"] == "refs/pull/7/head" and e["after"] == head, e
    wait_until(lambda: told_states(github_api, head)[-1:] == [("success", "slipway/shop/checks")])
    assert check_log(site, e["task"]) == "seen OPEN BUILD_TOKEN cache passed"
    assert live(site) == before and not [r for r in site.api("GET", "/projects/shop/releases")["items"] if r["commit"] == head]
    fork = offer(shop, 8, {"check.py": CHECK.format(code=0) + "# a stranger's\n"})
    answer = send(site, "pulls", made["secret"], pull(8, fork, fork=True), event="pull_request")
    assert answer.json["note"] == "a pull request from another repository"
    site.cli("hooks", "set", "shop", "pulls", "--action", "check=forks")
    e = settled(site, send(site, "pulls", made["secret"], pull(8, fork, "synchronize", fork=True), event="pull_request"))
    assert states(e) == [("check", "done")], (e, site.api("GET", f"/tasks/{e['task']}"))
    assert check_log(site, e["task"]) == "seen OPEN passed"  # neither secrets nor the cache
    wait_until(lambda: told_states(github_api, fork)[-1:] == [("success", "slipway/shop/checks")])
    bad = offer(shop, 9, {"check.py": CHECK.format(code=1)})
    e = settled(site, send(site, "pulls", made["secret"], pull(9, bad), event="pull_request"))
    assert states(e) == [("check", "failed")]
    wait_until(lambda: told_states(github_api, bad)[-1:] == [("failure", "slipway/shop/checks")])
    assert send(site, "pulls", made["secret"], pull(9, bad, "closed"), event="pull_request").json["note"] == "not a push"
    plain = hook(site, "plain", "default")
    answer = send(site, "plain", plain["secret"], pull(9, bad), event="pull_request")
    assert answer.json["note"] == "not a push"
    wait_until(lambda: event(site, answer.json["event"]))
    site.cli("events", "replay", "shop", answer.json["event"], expect=65)  # names no branch that could be deployed
    assert live(site) == before


def test_a_crash_in_between(site, shop, crm):
    """kill -9 while the check runs: it goes on and each action has one effect; while the command runs: it is not run again."""
    made = hook(site, "crash", "check", "forward=crm", "run=python3 run.py")
    gate = site.state / "projects" / "shop" / "data" / "wait"
    shop.commit({"check.py": "import time\nprint('checking', flush=True)\ntime.sleep(0.5)\n"})
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": shop.git("rev-parse", "HEAD")}
    ran, crm.seen[:] = len(got(site)), []
    gate.touch()
    answer = send(site, "crash", made["secret"], push)

    def at(position, state):
        e = event(site, answer.json["event"])
        return e and e["actions"] and e["actions"][position]["state"] == state

    wait_until(lambda: at(0, "running"))
    site.kill()
    site.start()
    wait_until(lambda: at(2, "running") and len(got(site)) == ran + 1)
    assert len({headers["webhook-id"] for _, _, path, headers, _, _ in crm.seen if path.endswith("/crm")}) == 1
    site.kill()
    site.start()
    e = settled(site, answer)
    assert states(e) == [("check", "done"), ("forward", "done"), ("run", "failed")] and e["outcome"] == "failed", e
    task = site.api("GET", f"/tasks/{e['actions'][2]['task']}")
    assert "never run twice" in task["error"]["message"], task
    gate.unlink()
    # Told again by its sender, the command that had begun is not begun again; a person may want it.
    again = settled(site, send(site, "crash", made["secret"], push, delivery=e["delivery"]), attempt=2)
    assert states(again)[2] == ("run", "failed") and len(got(site)) == ran + 1
    site.cli("events", "replay", "shop", e["id"])
    wait_until(lambda: len(got(site)) == ran + 2 and event(site, e["id"])["outcome"] == "served")
