"""The way of a push: a signed event, a static release, served by the edge."""
import json
import subprocess
import threading

PAGE = "<h1>release {}</h1>"


def test_signed_push_becomes_a_served_site(platform, git):
    repo = git.repository("site", {"index.html": PAGE.format(1), "deep/er.txt": "deep", "404.html": "nothing here"})
    platform.create("site", repo.url)
    secret = platform.hook("site", "site-push")
    answer = platform.push("site-push", secret, repo.git("rev-parse", "HEAD"))
    assert answer.status == 202, answer
    task = platform.wait_task(platform.task_of(answer))
    assert task["state"] == "done", task
    page = platform.get("site.localhost")
    assert (page.status, page.body) == (200, b"<h1>release 1</h1>")
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert platform.get("site.localhost", "/deep/er.txt").body == b"deep"
    assert platform.get("site.localhost", "/absent").status == 404


def test_repeat_is_answered_with_the_first_id(platform, git):
    repo = git.repository("again", {"index.html": PAGE.format(1)})
    platform.create("again", repo.url)
    secret = platform.hook("again", "again-push")
    head = repo.git("rev-parse", "HEAD")
    first = platform.push("again-push", secret, head, delivery="d-1")
    assert first.status == 202
    repeats = []
    threads = [threading.Thread(target=lambda: repeats.append(platform.push("again-push", secret, head, delivery="d-1"))) for _ in range(20)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert {(a.status, a.json["event"]) for a in repeats} == {(200, first.json["event"])}
    platform.wait_task(platform.task_of(first))
    assert len(platform.api("GET", "/projects/again/releases")["items"]) == 1


def test_push_of_what_is_live_is_up_to_date_and_a_new_commit_is_not(platform, git):
    repo = git.repository("fresh", {"index.html": PAGE.format(1)})
    platform.create("fresh", repo.url)
    secret = platform.hook("fresh", "fresh-push", sender="generic")
    head = repo.git("rev-parse", "HEAD")
    for _ in range(2):
        platform.wait_task(platform.task_of(platform.push("fresh-push", secret, head, sender="generic")))
    assert len(platform.api("GET", "/projects/fresh/releases")["items"]) == 1
    new = repo.commit({"index.html": PAGE.format(2)})
    platform.wait_task(platform.task_of(platform.push("fresh-push", secret, new, before=head, sender="generic")))
    assert platform.get("fresh.localhost").body == b"<h1>release 2</h1>"


def test_unsigned_forged_and_malformed_are_refused(platform, git):
    repo = git.repository("guard", {"index.html": "x"})
    platform.create("guard", repo.url)
    secret = platform.hook("guard", "guard-push")
    head = repo.git("rev-parse", "HEAD")
    assert platform.push("guard-push", "wrong", head).status == 401
    assert platform.push("guard-push", secret, head, signature="").status == 401
    assert platform.push("guard-push", secret, head, signature="sha1=" + "0" * 40).status == 401
    assert platform.push("guard-push", secret, head, raw=b'{"ref": ').status == 400
    assert platform.push("guard-push", secret, head, raw=b'{"ref": "refs/heads/../x"}').status == 400
    assert platform.push("no-such-hook", secret, head).status == 404
    assert platform.api("GET", "/projects/guard/tasks")["items"] == []


def test_other_branches_and_deleted_refs_are_stored_and_ignored(platform, git):
    repo = git.repository("branchy", {"index.html": "x"})
    platform.create("branchy", repo.url)
    secret = platform.hook("branchy", "branchy-push", branch="main")
    other = platform.push("branchy-push", secret, repo.git("rev-parse", "HEAD"), branch="feature/x")
    assert other.status == 202 and "task" not in other.json
    gone = platform.push("branchy-push", secret, "0" * 40)
    assert gone.status == 202 and "task" not in gone.json


def test_unknown_host_is_404_and_never_a_project(platform):
    for host in ("nobody.localhost", "127.0.0.1", "example.org"):
        assert platform.get(host).status == 404


def test_archive_upload_through_the_cli(platform, tmp_path):
    (tmp_path / "index.html").write_text("from a folder")
    (tmp_path / "big.log").write_text("ignored")
    (tmp_path / ".gitignore").write_text("*.log\n")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    platform.cli("create", "folder", "--kind", "static")
    shown = platform.cli("deploy", "folder", "--dir", tmp_path)
    assert "live at" in shown.stdout
    assert platform.get("folder.localhost").body == b"from a folder"
    assert platform.get("folder.localhost", "/big.log").status == 404


def test_a_link_out_of_the_tree_is_refused(platform, git):
    repo = git.repository("escape", {"index.html": "x"})
    (repo.work / "leak").symlink_to("/etc/passwd")
    repo.commit({}, "a link")
    platform.create("escape", repo.url)
    task = platform.deploy("escape", expect="failed")
    assert "leak" in json.dumps(task)
    assert platform.get("escape.localhost").status in (404, 502, 503)
