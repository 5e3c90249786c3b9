"""Kinds, rollback, scale, restart, stop, start, environment, logs, one-off commands, teardown: through CLI and API."""
import io
import json
import re
import os
import sqlite3
import subprocess
import tarfile
import time

import pytest

import apps
from harness import ROOT, wait_until


def test_django_end_to_end(platform, git):
    repo = git.repository("dj", apps.with_version(apps.DJANGO, "v1"))
    platform.create("dj", repo.url)
    platform.deploy("dj")
    assert platform.get("dj.localhost", "/version").body == b"v1"
    assert platform.get("dj.localhost", "/append", "POST", b"hello").body == b"ok"
    assert (platform.state / "projects/dj/data/ids").read_text() == "hello\n"
    repo.commit({"VERSION": "v2"})
    platform.deploy("dj")
    assert platform.get("dj.localhost", "/version").body == b"v2"
    shown = platform.cli("rollback", "dj")
    assert platform.get("dj.localhost", "/version").body == b"v1", shown.stdout
    assert "warning: release 2 ran its release command" in shown.stderr, shown.stderr
    assert (platform.state / "projects/dj/data/ids").read_text() == "hello\n"


def test_back_at_once(platform, git):
    """What a rollback starts again is not blamed for its end a moment ago."""
    repo = git.repository("quick", apps.with_version(apps.socket_app(), "v1"))
    platform.create("quick", repo.url)
    platform.deploy("quick")
    platform.deploy("quick", force=True)
    for _ in range(6):
        platform.cli("rollback", "quick", 1)
        platform.cli("rollback", "quick", 2)


def test_a_rollback_says_before_what_it_does_not_undo(platform, git):
    repo = git.repository("warned", {"index.html": "1", "slipway.yaml": "kind: static\n"})
    platform.create("warned", repo.url)
    assert platform.api("GET", "/projects/warned/rollback", expect=409)["hint"] == "slipway deploy warned"
    platform.deploy("warned")
    assert "no earlier release" in platform.api("GET", "/projects/warned/rollback", expect=409)["detail"]
    repo.commit({"index.html": "2"})
    platform.deploy("warned")
    plan = platform.api("GET", "/projects/warned/rollback")
    assert (plan["from"], plan["to"], plan["warning"]) == (2, 1, None)
    repo.commit({"index.html": "3", "slipway.yaml": "kind: static\nrelease: [touch, /tmp/migrated]\n"})
    platform.deploy("warned")
    assert "does not undo" in platform.api("GET", "/projects/warned/rollback?release=1")["warning"]
    assert platform.api("GET", "/projects/warned/rollback?release=9", expect=404)["errors"][0]["pointer"] == "/release"
    assert platform.api("GET", "/projects/warned/rollback?release=0x1", expect=400)
    tasks = len(platform.api("GET", "/projects/warned/tasks")["items"])
    assert tasks == 3  # looking orders nothing
    assert "warning: release 3" in platform.cli("rollback", "warned").stderr
    assert platform.get("warned.localhost", "/").body == b"2"
    # What is live and stopped is started, not gone back to; another release may be.
    platform.cli("stop", "warned")
    refused = platform.api("POST", "/projects/warned/rollback", {"release": 2}, expect=409)
    assert "live already, and stopped" in refused["detail"] and refused["hint"] == "slipway start warned", refused
    assert platform.api("GET", "/projects/warned/rollback?release=2", expect=409)["hint"] == "slipway start warned"
    platform.cli("rollback", "warned", 1)
    assert platform.get("warned.localhost", "/").body == b"1"


def test_the_source_can_be_changed(platform, git):
    first, second = git.repository("moved", {"index.html": "first"}), git.repository("moved2", {"index.html": "second"})
    platform.create("moved", first.url)
    platform.deploy("moved")
    assert first.url in platform.cli("source", "moved").stdout
    shown = platform.cli("source", "moved", "--git", second.url, "--branch", "main")
    assert second.url in shown.stdout and "next: slipway deploy moved" in shown.stdout
    platform.cli("deploy", "moved")
    assert platform.get("moved.localhost", "/").body == b"second"
    platform.cli("source", "moved", "--token-stdin", stdin="ghp_secret\n")
    assert platform.api("GET", "/projects/moved")["https_token"] is True
    assert "ghp_secret" not in platform.cli("source", "moved", "--json").stdout
    platform.cli("source", "moved", "--no-token")
    assert platform.api("GET", "/projects/moved")["https_token"] is False
    assert "deploy key   ssh-ed25519 " in platform.cli("source", "moved", "--git", "git@example.org:a/b.git").stdout
    platform.cli("source", "moved", "--git", second.url, "--path", "/x", expect=64)
    platform.cli("source", "moved", "--git", "ext::sh -c id", expect=65)
    platform.cli("source", "moved", "--upload")
    assert platform.api("GET", "/projects/moved")["source"]["type"] == "archive"


def test_what_the_helper_did_is_in_the_trail(platform, git):
    """Each operation that changes something: a line of the helper's at once, and by the second in the chain."""
    platform.create("trail", git.repository("trail", apps.with_version(apps.socket_app(), "v1")).url)
    platform.deploy("trail")
    platform.cli("restart", "trail")

    def told():
        rows = [r for r in platform.api("GET", "/audit?limit=200")["items"] if r["action"] == "helper.performed"]
        return [one for r in reversed(rows) for one in r["detail"].split("; ") if re.match(r"\S+ trail\b", one)]

    did = [line for line in platform.log_text().splitlines() if re.search("helper performed .*project=trail ", line)]
    wait_until(lambda: any(one.startswith("stop trail/1 web.1") for one in told()), 5)
    shown = told()
    for one in ("project-ensure trail", "release-prepare trail/1", "start trail/1 fetch.1", "start trail/1 web.1", "release-seal trail/1", "vhost-set trail", "stop trail/1 web.1"):
        assert one in shown, (one, shown)
    # those that the helper's lines name by project, in their order
    names = [re.search(r"op=(\S+)", line).group(1) for line in did]
    assert [one.split()[0] for one in shown if one.split()[0] not in ("signal", "stop")] == names, (shown, names)


def test_node_behind_the_relay(platform, git):
    repo = git.repository("nd", apps.with_version(apps.NODE, "v1"))
    platform.create("nd", repo.url)
    platform.deploy("nd")
    assert platform.get("nd.localhost", "/version").body == b"v1"
    repo.commit({"VERSION": "v2"})
    platform.deploy("nd")
    assert platform.get("nd.localhost", "/version").body == b"v2"


def test_procfile_and_workers(platform, git):
    files = apps.with_version(apps.socket_app(), "v1")
    files["Procfile"] = "web: python3 serve.py\nworker: GREETING='hello there' python3 -u worker.py \"$GREETING\" ${NAME:-nobody}\n"
    files["slipway.yaml"] = "processes:\n  web: {run: [python3, serve.py], listen: socket}\nhealth: {path: /version, interval: 100ms}\n"
    del files["slipway.yaml"]
    files["Procfile"] = files["Procfile"].replace("web: python3 serve.py", "web: python3 app.py")
    files["app.py"] = "import http.server, os\nhttp.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n"
    files["worker.py"] = "import sys, time\nprint('worker says', *sys.argv[1:])\ntime.sleep(1000)\n"
    repo = git.repository("proc", files)
    platform.create("proc", repo.url)
    platform.deploy("proc")
    wait_until(lambda: "worker says hello there nobody" in platform.cli("logs", "proc").stdout, 20)


def test_what_listens_nowhere_is_not_said_to_be_anywhere(platform, git):
    files = {"loop.py": "import time\ntime.sleep(1000)\n", "slipway.yaml": "processes: {loop: {run: [python3, loop.py]}}\n"}
    repo = git.repository("nowhere", files)
    platform.create("nowhere", repo.url)
    first = platform.cli("deploy", "nowhere").stdout
    assert "none that listens" in first and "live at" not in first and first.splitlines()[-1].startswith("done in "), first
    repo.commit({"loop.py": "import time\ntime.sleep(2000)\n"})
    again = platform.cli("deploy", "nowhere").stdout.splitlines()[-1]
    assert again.startswith("done in ") and again.endswith("    undo: slipway rollback nowhere"), again
    platform.cli("destroy", "nowhere", "--yes")


def test_scale_restart_stop_start(platform, git):
    files = apps.with_version(apps.socket_app("print('pid', os.getpid(), flush=True)"), "v1")
    repo = git.repository("life", files)
    platform.create("life", repo.url)
    platform.deploy("life")

    def running():
        items = platform.api("GET", "/projects/life/processes")["items"]
        return sum(1 for p in items for i in p.get("instances", []) if i.get("state") == "running")

    assert running() == 1
    platform.cli("scale", "life", "web=3")
    assert running() == 3
    assert all(platform.get("life.localhost", "/version").status == 200 for _ in range(30))
    platform.cli("scale", "life", "web=1")
    assert running() == 1
    platform.cli("restart", "life")
    assert platform.get("life.localhost", "/version").body == b"v1"
    platform.cli("stop", "life")
    stopped = platform.get("life.localhost", "/version")
    assert stopped.status == 503 and b"<" in stopped.body
    platform.cli("start", "life")
    assert platform.get("life.localhost", "/version").body == b"v1"


def test_environment_is_sealed_and_reaches_the_process(platform, git):
    repo = git.repository("envy", apps.with_version(apps.socket_app("print('I got', os.environ.get('SECRET_THING'), os.environ.get('PLAIN'), flush=True)"), "v1"))
    platform.create("envy", repo.url)
    platform.cli("env", "set", "envy", "SECRET_THING=-", stdin="s3cr3t-" + "x" * 20 + "%$\"'\n")
    platform.cli("env", "set", "--plain", "envy", "PLAIN=open sesame")
    platform.deploy("envy")
    wait_until(lambda: "open sesame" in platform.cli("logs", "envy").stdout, 20)
    assert "I got s3cr3t-" in platform.cli("logs", "envy").stdout
    listed = platform.cli("env", "list", "envy").stdout
    assert "SECRET_THING" in listed and "s3cr3t" not in listed
    everything = subprocess.run(["grep", "-rlaF", "s3cr3t-", platform.state], capture_output=True, text=True).stdout.split()
    assert [p for p in everything if "/logs/" not in p] == []


def test_one_off_run(platform, git):
    repo = git.repository("oneoff", apps.with_version(apps.socket_app(), "v1"))
    platform.create("oneoff", repo.url)
    platform.deploy("oneoff")
    result = platform.cli("run", "oneoff", "--", "python3", "-c", "import os; print('in', os.environ['SLIPWAY_PROJECT']); raise SystemExit(7)", expect=7)
    assert "in oneoff" in result.stdout


def test_destroy_leaves_nothing(platform, git):
    repo = git.repository("gone", apps.with_version(apps.socket_app(), "v1"))
    platform.create("gone", repo.url)
    platform.deploy("gone")
    if ROOT:
        assert "sw-gone" in open("/etc/passwd").read()
    assert platform.cli("destroy", "gone", expect=64, stdin="").returncode == 64
    shown = platform.cli("destroy", "gone", "--yes")
    assert "gone" in shown.stdout
    assert platform.get("gone.localhost").status == 404
    assert not (platform.state / "projects/gone").exists()
    assert not (platform.run / "gone").exists()
    assert not (platform.state / "logs/gone").exists()
    if ROOT:
        assert "sw-gone" not in open("/etc/passwd").read()
    platform.cli("info", "gone", expect=65)


def test_cancel_a_build_and_rollback_overtakes(platform, git):
    files = apps.with_version(apps.socket_app(), "v1")
    repo = git.repository("slow", files)
    platform.create("slow", repo.url)
    platform.deploy("slow")
    repo.commit({"VERSION": "v2"})
    platform.deploy("slow")
    manifest = files["slipway.yaml"] + "build: [[python3, -c, \"import time; time.sleep(300)\"]]\n"
    repo.commit({"VERSION": "v3", "slipway.yaml": manifest})
    task = platform.api("POST", "/projects/slow/deploys", {})["task"]
    wait_until(lambda: platform.api("GET", f"/tasks/{task}").get("step") == "build" or platform.api("GET", f"/tasks/{task}").get("current_step") == "build", 30)
    started = time.monotonic()
    platform.cli("rollback", "slow")
    assert time.monotonic() - started < 30
    assert platform.wait_task(task)["state"] == "cancelled"
    assert platform.get("slow.localhost", "/version").body == b"v1"
    left = subprocess.run(["pgrep", "-f", "time.sleep(300)"], capture_output=True, text=True).stdout
    assert left == ""


def test_declared_folders_of_data_are_served(platform, git):
    save = """
os.umask(0o027)
top, version = os.environ["SLIPWAY_DATA_DIR"] + "/", open("VERSION").read()
os.makedirs(top + "media/sub", exist_ok=True)
for name in ("secret", "media/" + version, "media/sub/" + version):
    with open(top + name, "w") as f:
        f.write("kept")
if not os.path.islink(top + "media/link"):
    os.symlink("../secret", top + "media/link")
os.chmod(top + "secret", 0o644)
"""
    files = apps.socket_app(save)
    repo = git.repository("media", apps.with_version(files, "v1"))
    platform.create("media", repo.url)
    platform.deploy("media")
    assert platform.get("media.localhost", "/media/v1").body == b"v1"  # not declared: the program answers
    repo.commit({"VERSION": "v2", "slipway.yaml": files["slipway.yaml"] + "static: {/media: {data: media}, /deep: {data: a/b}}\n"})
    platform.deploy("media")
    for version in ("v1", "v2"):
        for path in (version, "sub/" + version):
            answer = platform.get("media.localhost", "/media/" + path)
            assert (answer.status, answer.body) == (200, b"kept"), (path, answer)
    data = platform.state / "projects/media/data"
    for path in ("/media/link", "/media/../secret", "/media/..%2fsecret", "/media../secret", "/media/", "/media/sub/", "/media/none"):
        answer = platform.get("media.localhost", path)
        assert b"kept" not in answer.body, (path, answer)
    assert platform.get("media.localhost", "/media/link").status in (403, 404)
    (data / "a/b/late").write_text("late")
    (data / "a/b/late").chmod(0o640)
    assert platform.get("media.localhost", "/deep/late").body == b"late"
    if ROOT:
        as_web = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups"]
        assert subprocess.run([*as_web, "ls", data], capture_output=True).returncode != 0
        assert subprocess.run([*as_web, "ls", data / "a"], capture_output=True).returncode != 0
        assert (data / "media").stat().st_mode & 0o7777 == 0o2750 and data.stat().st_mode & 0o7777 == 0o710
    platform.cli("destroy", "media", "--yes")


def test_plan_does_nothing(platform, git):
    repo = git.repository("planned", apps.with_version(apps.DJANGO, "v1"))
    platform.create("planned", repo.url)
    shown = platform.cli("plan", "planned").stdout
    assert "django" in shown and "manage.py" in shown
    assert platform.api("GET", "/projects/planned/releases")["items"] == []


def test_an_upload_goes_with_its_task(platform):
    """Only what waits counts; two tasks of one upload both find it; destroy leaves none."""
    spool, out = platform.state / "spool", io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        info = tarfile.TarInfo("index.html")
        info.size = 5
        t.addfile(info, io.BytesIO(b"hello"))

    def upload():
        return platform.api("POST", "/projects/sent/archives", out.getvalue(), headers={"Content-Type": "application/gzip"})["archive"]

    platform.create("sent", kind="static", source={"type": "archive"})
    for _ in range(17):
        assert platform.wait_task(platform.api("POST", "/projects/sent/plan", {"archive": upload()})["task"])["state"] == "done"
    archive = upload()
    key = {"Idempotency-Key": "the-same"}
    tasks = [platform.api("POST", "/projects/sent/deploys", {"archive": archive}, headers=h)["task"] for h in (key, {})]
    assert [platform.wait_task(t)["state"] for t in tasks] == ["done", "done"]
    assert platform.get("sent.localhost").body == b"hello"
    assert not list(spool.iterdir())
    assert platform.api("POST", "/projects/sent/deploys", {"archive": archive}, headers=key)["task"] == tasks[0]
    gone = platform.call("POST", "/api/v1/projects/sent/deploys", {"archive": archive})
    assert gone.status == 404 and "upload it again" in gone.body.decode(), gone
    platform.cli("restart", "sent")
    upload()
    (spool / "cut.part").touch()
    platform.kill()
    platform.start()
    assert [f.suffix for f in spool.iterdir()] == [".tar"]
    assert "uploaded archives" in platform.cli("destroy", "sent", "--yes", "--purge").stdout
    assert not list(spool.iterdir())


def test_a_project_with_many_events_goes(platform, git):
    """They go in portions, with the last of them the project."""
    platform.create("busy", git.repository("busy", {"index.html": "x"}).url, kind="static")
    platform.deploy("busy")
    secret = platform.hook("busy", "busy-push")
    platform.push("busy-push", secret, "1" * 40, branch="other")
    wait_until(lambda: platform.api("GET", "/projects/busy/events")["items"], 20)
    wait_until(lambda: all(e["outcome"] != "waiting" for e in platform.api("GET", "/projects/busy/events")["items"]), 20)
    platform.stop()
    with sqlite3.connect(platform.state / "slipway.db") as db:
        columns = "hook_id, project_id, received_ms, kind, ref, before_commit, after_commit, outcome"
        db.execute("INSERT INTO event(id, delivery_key, " + columns + ") SELECT -n, 'many-' || n, " + columns + " FROM event,"
                   " (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 4500) SELECT n FROM c)"
                   " WHERE id = (SELECT max(id) FROM event WHERE project_id = (SELECT id FROM project WHERE name = 'busy' AND removed_ms = 0))")
    db.close()
    platform.start()
    shown = platform.cli("destroy", "busy", "--yes", "--purge").stdout
    assert "settings, environment" in shown, shown
    assert platform.call("GET", "/api/v1/projects/busy").status == 404
    platform.stop()
    db = sqlite3.connect(platform.state / "slipway.db")
    assert db.execute("SELECT count(*) FROM event WHERE delivery_key LIKE 'many-%'").fetchone() == (0,)
    db.close()
    platform.start()


def test_a_domain_belongs_to_the_first(platform, git):
    repo = git.repository("dom", {"index.html": "mine"})
    platform.create("dom-a", repo.url, domains=["shop.test"])
    platform.deploy("dom-a")
    assert platform.get("shop.test").body == b"mine"
    answer = platform.call("POST", "/api/v1/projects", {"name": "dom-b", "source": {"type": "git", "url": repo.url}, "domains": ["shop.test"]})
    assert answer.status == 409, answer


@pytest.mark.parametrize("name", ("p", "e", "notify"))
def test_a_project_may_be_called_as_what_is_ours(platform, git, name):
    """In RUN, where each project has a folder of its name, what is the platform's begins with a dot or has one."""
    ours = [f.name for f in platform.run.iterdir() if "." not in f.name]
    assert set(ours) <= {p["name"] for p in platform.api("GET", "/projects")["items"]}, ours
    platform.create(name, git.repository("called-" + name, apps.with_version(apps.socket_app(), "v1")).url)
    platform.deploy(name)
    assert platform.get(name + ".localhost", "/version").body == b"v1"
    platform.cli("destroy", name, "--yes")
