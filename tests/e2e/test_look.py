"""What was pushed while the daemon was away is found, and a branch is looked at by the clock where no hook can reach us."""
import json

from harness import wait_until

PAGE = "index.html"


def looks(platform, project):
    return [t for t in platform.api("GET", f"/projects/{project}/tasks")["items"] if t["requested_by"] == "schedule"]


def looked(platform, project):
    """The look that ended; there is one after each start that follows on a kill."""
    return wait_until(lambda: next((t for t in looks(platform, project) if t["state"] not in ("waiting", "running")), None), 30)


def away(platform):
    platform.kill()
    platform.start()


def away_and_looked(platform, project):
    """What the look of that start said."""
    seen = platform.api("GET", f"/projects/{project}/tasks")["items"][0]["id"]
    away(platform)
    look = wait_until(lambda: next((t for t in looks(platform, project) if t["id"] > seen and t["state"] not in ("waiting", "running")), None), 30)
    return platform.api("GET", f"/tasks/{look['id']}")


def push(platform, project, secret, commit, branch="main"):
    """As GitHub tells it, which says what the repository's own branch is; the task that it made has ended."""
    body = {"ref": "refs/heads/" + branch, "before": "0" * 40, "after": commit, "deleted": False, "repository": {"default_branch": "main"}}
    answer = platform.push(project, secret, commit, raw=json.dumps(body).encode())
    assert answer.status == 202, answer
    task = wait_until(lambda: next((t for t in platform.api("GET", f"/projects/{project}/tasks")["items"] if t["requested_by"] == "hook"), None), 30)
    return platform.wait_task(task["id"])


def roll_back(platform, project):
    first = platform.api("GET", f"/projects/{project}/releases")["items"][-1]["number"]
    platform.wait_task(platform.api("POST", f"/projects/{project}/rollback", {"release": first})["task"])


def test_what_came_while_we_were_away_is_found(platform, git):
    repo = git.repository("absent", {PAGE: "v1"})
    platform.create("absent", repo.url)
    platform.hook("absent", "absent")
    platform.deploy("absent")
    platform.kill()
    repo.commit({PAGE: "v2"})
    platform.start()
    wait_until(lambda: platform.get("absent.localhost").body == b"v2", 30)
    assert platform.wait_task(looks(platform, "absent")[0]["id"])["state"] == "done"
    assert "was_away" in platform.log_text()

    # a rollback stays, however often we were away; what failed is not tried again by a look
    roll_back(platform, "absent")
    before = len(looks(platform, "absent"))
    away(platform)
    wait_until(lambda: len([t for t in looks(platform, "absent") if t["state"] == "done"]) == before + 1, 30)
    assert platform.get("absent.localhost").body == b"v1"
    repo.commit({"slipway.yaml": "kind: nonsense\n"})
    platform.deploy("absent", expect="failed")
    seen = platform.api("GET", "/projects/absent/tasks")["items"][0]["id"]
    away(platform)
    last = wait_until(lambda: next((t for t in looks(platform, "absent") if t["id"] > seen and t["state"] != "waiting" and t["state"] != "running"), None), 30)
    assert last["state"] == "done" and platform.api("GET", f"/tasks/{last['id']}")["result"]["up_to_date"]
    assert platform.get("absent.localhost").body == b"v1"


def test_a_rollback_stays_where_no_branch_is_named(platform, git):
    repo = git.repository("nameless", {PAGE: "v1"})
    platform.create("nameless", repo.url, branch="")
    secret = platform.hook("nameless", "nameless")
    platform.deploy("nameless")
    commit = repo.commit({PAGE: "v2"})
    assert push(platform, "nameless", secret, commit)["state"] == "done"
    assert platform.get("nameless.localhost").body == b"v2"
    roll_back(platform, "nameless")
    assert platform.get("nameless.localhost").body == b"v1"
    assert away_and_looked(platform, "nameless")["result"].get("up_to_date")
    assert platform.get("nameless.localhost").body == b"v1"


def test_a_look_goes_for_the_branch_of_the_hook(platform, git):
    repo = git.repository("staged", {PAGE: "main"})
    repo.git("checkout", "-q", "-b", "release")
    commit = repo.commit({PAGE: "r1"}, branch="release")
    platform.create("staged", repo.url)
    secret = platform.hook("staged", "staged", branch="release")
    assert push(platform, "staged", secret, commit, "release")["state"] == "done"
    assert away_and_looked(platform, "staged")["result"].get("up_to_date")
    assert platform.get("staged.localhost").body == b"r1"
    platform.kill()
    repo.commit({PAGE: "r2"}, branch="release")
    platform.start()
    wait_until(lambda: platform.get("staged.localhost").body == b"r2", 30)


def test_a_branch_is_looked_at_by_the_clock(platform, git):
    repo = git.repository("clocked", {PAGE: "v1"})
    shown = platform.cli("create", "clocked", "--git", repo.url, "--branch", "main", "--poll", "10s")
    assert "clocked was made" in shown.stdout
    assert "every 10 s" in platform.cli("info", "clocked").stdout
    wait_until(lambda: platform.get("clocked.localhost").body == b"v1", 60, 0.1)
    repo.commit({PAGE: "v2"})
    wait_until(lambda: platform.get("clocked.localhost").body == b"v2", 60, 0.1)
    assert "every" not in platform.cli("source", "clocked", "--poll", "off").stdout
    assert platform.api("GET", "/projects/clocked")["poll_ms"] == 0


def test_what_cannot_be_looked_at_is_said(platform):
    assert "duration" in platform.cli("create", "wrong", "--git", "https://git.example/x.git", "--poll", "often", expect=64).stderr
    refused = platform.call("POST", "/api/v1/projects", {"name": "wrong", "source": {"type": "git", "url": "https://git.example/x.git"}, "poll_ms": 500})
    assert refused.status == 400 and "10 s" in refused.json["detail"], refused
    refused = platform.call("POST", "/api/v1/projects", {"name": "wrong", "source": {"type": "archive"}, "poll_ms": 60000})
    assert refused.status == 400 and "git" in refused.json["detail"], refused
