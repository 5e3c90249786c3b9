"""Archives of projects: made while they serve, brought back in place, on another machine, after a destroy, over a kill -9."""
import hashlib
import os
import shutil
import sqlite3
import subprocess
import threading
from pathlib import Path

import apps
import pytest
from harness import BUILD, Platform, wait_until

URLS = """import os
from django.http import HttpResponse
from django.urls import path
from app.models import Thing
VERSION = open(os.path.join(os.path.dirname(__file__), "..", "VERSION")).read()
def add(request):
    Thing.objects.create(name="x")
    return HttpResponse(str(Thing.objects.count()))
urlpatterns = [path("version", lambda r: HttpResponse(VERSION)), path("add", add),
    path("count", lambda r: HttpResponse(str(Thing.objects.count()))), path("env", lambda r: HttpResponse(os.environ.get("TOLD", "-")))]
"""
PASSPHRASE = "correct horse battery\n"


def django(version):
    return apps.with_version({**apps.DJANGO, "site1/urls.py": URLS, "slipway.yaml": apps.DJANGO["slipway.yaml"] + "static: {/media: {data: media}}\n"}, version)


def deployed(platform, git, name, version="v1"):
    repo = git.repository(name, django(version))
    platform.create(name, repo.url)
    platform.api("PUT", f"/projects/{name}/env", {"TOLD": {"value": "first"}})
    platform.deploy(name)
    return repo


def data_of(platform, name):
    return platform.state / "projects" / name / "data"


def run_in(platform, name, *argv):
    return platform.cli("run", name, "--", *argv)


def text(platform, name, path):
    answer = platform.get(name + ".localhost", path)
    assert answer.status == 200, answer
    return answer.body.decode()


def sums(folder):
    """Every file's hash, mode and time, every link's target."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        if path.name.startswith("db.sqlite3"):
            continue
        st = path.lstat()
        kind = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[str(path.relative_to(folder))] = (kind, oct(st.st_mode), st.st_mtime_ns if path.is_file() else 0)
    return found


FILL = """import os, socket
d = os.environ["SLIPWAY_DATA_DIR"]
os.makedirs(d + "/a/b", exist_ok=True)
open(d + "/a/b/\\u00fcn\\u00ef", "w").write("name")
os.chmod(d + "/a/b/\\u00fcn\\u00ef", 0o640)
os.utime(d + "/a/b/\\u00fcn\\u00ef", ns=(1500000000123456789,) * 2)
os.symlink("b/\\u00fcn\\u00ef", d + "/a/link")
with open(d + "/sparse", "wb") as f:
    f.seek(40 << 20); f.write(b"end")
open(d + "/media/page.txt", "w").write("page")
os.chmod(d + "/a/b", 0o750)
os.mkfifo(d + "/pipe")
"""


def fill(platform, name):
    run_in(platform, name, "python3", "-c", FILL)


class Writer:
    """Adds rows until told to stop; what was answered is in the database."""

    def __init__(self, platform, name):
        self.platform, self.name, self.added, self.stop = platform, name, 0, threading.Event()
        self.thread = threading.Thread(target=self.write)

    def write(self):
        while not self.stop.is_set():
            self.added = max(self.added, int(text(self.platform, self.name, "/add")))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_in_place_while_it_is_written(platform, git, tmp_path):
    repo = deployed(platform, git, "shop")
    fill(platform, "shop")
    with Writer(platform, "shop") as writer:
        wait_until(lambda: writer.added >= 5)
        before = writer.added
        shown = platform.cli("backup", "shop")
        after = writer.added
    assert "1 database copied by SQLite" in shown.stdout and after >= before, shown.stdout
    want = sums(data_of(platform, "shop"))
    made = platform.api("GET", "/projects/shop/backups")["items"]
    assert len(made) == 1 and made[0]["databases"] == 1 and made[0]["left_out"] == 1 and made[0]["release"] == 1
    assert not made[0]["passphrase"] and made[0]["until"] is None

    # Everything changes: data, environment, release.
    run_in(platform, "shop", "python3", "-c", "import os,shutil; d=os.environ['SLIPWAY_DATA_DIR']; shutil.rmtree(d+'/a'); os.remove(d+'/sparse'); open(d+'/new','w').write('n')")
    for _ in range(3):
        text(platform, "shop", "/add")
    platform.api("PUT", "/projects/shop/env", {"TOLD": {"value": "second"}, "MORE": {"value": "1"}})
    repo.commit({"VERSION": "v2"})
    platform.deploy("shop")
    assert text(platform, "shop", "/version") == "v2" and text(platform, "shop", "/env") == "second"

    platform.cli("restore", "shop", "--yes")
    assert text(platform, "shop", "/version") == "v1" and text(platform, "shop", "/env") == "first"
    assert before <= int(text(platform, "shop", "/count")) <= after + 1
    got = sums(data_of(platform, "shop"))
    assert got == {k: v for k, v in want.items() if k != "pipe"}
    assert (data_of(platform, "shop") / "sparse").stat().st_blocks * 512 < 8 << 20
    assert {v["key"] for v in platform.api("GET", "/projects/shop/env")["items"]} == {"TOLD"}
    assert text(platform, "shop", "/media/page.txt") == "page"  # the edge may read what came back
    with sqlite3.connect(f"file:{data_of(platform, 'shop')}/db.sqlite3?mode=ro", uri=True) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_who_may_what(platform, git):
    repo = git.repository("mine", {"index.html": "mine"})
    platform.create("mine", repo.url)
    platform.deploy("mine")
    platform.create("other", repo.url)
    platform.cli("backup", "mine")
    archive = platform.api("GET", "/projects/mine/backups")["items"][0]["id"]
    tokens = {}
    for who, project, role in (("vera", "mine", "viewer"), ("dora", "mine", "deployer"), ("olga", "other", "admin")):
        platform.cli("operators", "create", who)
        platform.cli("grants", "set", who, project, role)
        tokens[who] = platform.api("POST", "/tokens", {"operator": who, "label": "test"})["token"]

    def status(who, method, path, body=None):
        return platform.call(method, "/api/v1" + path, body, token=tokens[who]).status

    one = f"/projects/mine/backups/{archive}"
    assert status("vera", "GET", "/projects/mine/backups") == 200 and status("vera", "POST", "/projects/mine/backups", {}) == 403
    assert status("dora", "POST", "/projects/mine/backups", {}) == 202
    for method, path, body in (("GET", one + "/content", None), ("DELETE", one, None), ("POST", one + "/restore", {})):
        assert status("dora", method, path, body) == 403 and status("olga", method, path, body) == 404
    assert status("olga", "GET", "/projects/mine/backups") == 404 and status("olga", "GET", f"/projects/other/backups/{archive}") == 404
    assert status("olga", "GET", "/backups") == 403 and status("olga", "POST", "/backups", {"project": "other", "destroyed": archive}) == 403


def test_what_is_the_platforms_to_say_stays(platform, git):
    """A project's admin brings an archive back: limits and a source that only the platform's admins may set are as now."""
    first, second = git.repository("said-1", {"index.html": "one"}), git.repository("said-2", {"index.html": "two"})
    platform.create("said", first.url, limits={"memory_bytes": 1 << 30}, root="")
    platform.deploy("said")
    platform.cli("domains", "add", "said", "said.example.org")
    platform.cli("backup", "said")
    archive = platform.api("GET", "/projects/said/backups")["items"][0]["id"]
    platform.api("PATCH", "/projects/said", {"limits": {"memory_bytes": 64 << 20}, "source": {"type": "git", "url": second.url, "ref": "main"}})
    platform.cli("domains", "remove", "said", "said.example.org")
    platform.cli("operators", "create", "paula")
    platform.cli("grants", "set", "paula", "said", "admin")
    token = platform.api("POST", "/tokens", {"operator": "paula", "label": "test"})["token"]

    def restored(**who):
        answer = platform.call("POST", f"/api/v1/projects/said/backups/{archive}/restore", {}, **who)
        assert answer.status == 202, answer
        task = platform.wait_task(answer.json["task"])
        assert task["state"] == "done", task
        now = platform.api("GET", "/projects/said")
        return now["limits"]["memory_bytes"], now["source"]["url"], task["result"].get("warning") or ""

    assert platform.call("PATCH", "/api/v1/projects/said", {"limits": {"memory_bytes": 1 << 30}}, token=token).status == 403
    memory, url, warning = restored(token=token)
    assert (memory, url) == (64 << 20, second.url), (memory, url)
    assert "limits stayed as now" in warning and "the source stayed as now" in warning, warning
    assert [d["domain"] for d in platform.api("GET", "/projects/said/domains")["items"]] == ["said.example.org"], "the rest is back"
    assert restored() == (1 << 30, first.url, "")
    assert restored(token=token) == (1 << 30, first.url, ""), "nothing to leave out"


def test_what_is_no_file_of_its_own_is_refused(platform, git):
    platform.api("GET", "/projects/mine/backups/../../seal.key", expect=404)
    platform.api("GET", "/projects/mine/backups/20260101T000000Z-000000", expect=404)
    platform.api("POST", "/projects/mine/backups", {"passphrase": "short"}, expect=400)


@pytest.fixture(scope="module")
def elsewhere():
    """An empty machine: another state, another sealing key."""
    p = Platform()
    try:
        p.start()
        yield p
    finally:
        p.close()


def test_on_an_empty_machine(platform, elsewhere, git, tmp_path):
    deployed(platform, git, "moved")
    fill(platform, "moved")
    platform.hook("moved", "movedhook")
    text(platform, "moved", "/add")
    file = tmp_path / "moved.backup"
    platform.cli("backup", "moved", "--passphrase-stdin", "--output", file, stdin=PASSPHRASE)
    assert file.stat().st_mode & 0o777 == 0o600
    sealed = file.read_bytes()
    assert b"first" not in sealed and b"page" not in sealed and b"SQLite" not in sealed
    assert PASSPHRASE.strip().encode() not in subprocess.run(["cat", str(platform.state / "slipway.db"), str(platform.state / "slipway.db-wal")], capture_output=True).stdout

    wrong = elsewhere.cli("restore", "moved", "--from", file, "--passphrase-stdin", "--yes", stdin="another one\n", expect=None)
    assert wrong.returncode != 0 and "not the right one" in wrong.stderr and "destroy moved --purge" in wrong.stderr
    assert "does not open" in elsewhere.cli("restore", "moved", "--from", file, "--yes", expect=None).stderr
    cut = tmp_path / "cut.backup"
    cut.write_bytes(sealed[:-1])
    assert "damaged" in elsewhere.cli("restore", "moved", "--from", cut, "--passphrase-stdin", "--yes", stdin=PASSPHRASE, expect=None).stderr
    assert not elsewhere.api("GET", "/projects/moved/backups")["items"]

    elsewhere.cli("restore", "moved", "--from", file, "--passphrase-stdin", "--yes", stdin=PASSPHRASE)
    assert text(elsewhere, "moved", "/version") == "v1" and text(elsewhere, "moved", "/count") == "1" and text(elsewhere, "moved", "/env") == "first"
    assert text(elsewhere, "moved", "/media/page.txt") == "page"
    want = sums(data_of(platform, "moved"))
    assert sums(data_of(elsewhere, "moved")) == {k: v for k, v in want.items() if k != "pipe"}
    assert elsewhere.api("GET", "/projects/moved")["source"]["type"] == "git"
    assert [h["name"] for h in elsewhere.api("GET", "/projects/moved/hooks")["items"]] == ["movedhook"]


def small(platform, git, name, prelude=""):
    """Something that starts faster than Django: what it is sent stands in data/ids."""
    repo = git.repository(name, apps.with_version(apps.socket_app(prelude), "v1"))
    platform.create(name, repo.url)
    platform.deploy(name)
    append(platform, name, b"one")
    return repo


def append(platform, name, body):
    assert platform.get(name + ".localhost", "/append", "POST", body).status == 200


def ids(platform, name):
    return (data_of(platform, name) / "ids").read_text().split()


def test_destroyed_and_brought_back(platform, git):
    small(platform, git, "parted")
    platform.cli("backup", "parted")
    by_hand, = platform.api("GET", "/projects/parted/backups")["items"]
    shown = platform.cli("destroy", "parted", "--yes")
    assert "slipway restore parted" in shown.stdout and "backups made before" in shown.stdout, shown.stdout
    assert not list((platform.state / "backups").glob(f"*/{by_hand['id']}*"))
    kept = [b for b in platform.api("GET", "/backups")["items"] if b["project"] == "parted"]
    assert len(kept) == 1 and kept[0]["reason"] == "destroy" and kept[0]["until"]
    assert not (platform.state / "projects/parted").exists()
    # A new project of that name does not see it, and with --purge nothing is kept.
    platform.create("parted", source={"type": "archive"})
    assert platform.api("GET", "/projects/parted/backups")["items"] == []
    platform.cli("destroy", "parted", "--yes", "--purge")
    assert len([b for b in platform.api("GET", "/backups")["items"] if b["project"] == "parted"]) == 1
    platform.cli("restore", "parted", "--yes")
    assert text(platform, "parted", "/version") == "v1" and ids(platform, "parted") == ["one"]
    append(platform, "parted", b"two")


def test_what_does_not_start_leaves_what_was(platform, git):
    """And with --data-only the release stays, whichever it is."""
    broken = "if os.path.exists(os.environ['SLIPWAY_DATA_DIR'] + '/broken'): raise SystemExit(1)"
    repo = small(platform, git, "back")
    run_in(platform, "back", "python3", "-c", "import os; open(os.environ['SLIPWAY_DATA_DIR'] + '/broken', 'w').write('1')")
    platform.cli("backup", "back")
    run_in(platform, "back", "python3", "-c", "import os; os.remove(os.environ['SLIPWAY_DATA_DIR'] + '/broken')")
    repo.commit(apps.with_version(apps.socket_app(broken), "v2"))
    platform.deploy("back")
    append(platform, "back", b"two")
    failed = platform.cli("restore", "back", "--data-only", "--yes", expect=1)
    assert "release 2" in failed.stdout + failed.stderr
    assert text(platform, "back", "/version") == "v2" and ids(platform, "back") == ["one", "two"]
    assert not (data_of(platform, "back") / "broken").exists() and not (data_of(platform, "back") / ".slipway-restore").exists()
    platform.cli("backup", "back")
    append(platform, "back", b"three")
    platform.cli("restore", "back", "--data-only", "--yes")
    assert text(platform, "back", "/version") == "v2" and ids(platform, "back") == ["one", "two"]


def test_killed_during_a_restore(platform, git):
    small(platform, git, "killed")
    platform.cli("backup", "killed")
    archive = platform.api("GET", "/projects/killed/backups")["items"][0]["id"]
    for step in ("unpack", "restore", "verify"):
        append(platform, "killed", b"two")
        task = platform.api("POST", f"/projects/killed/backups/{archive}/restore", {})["task"]
        wait_until(lambda: any(s["name"] == step for s in platform.api("GET", f"/tasks/{task}")["steps"]), every=0.001)
        platform.kill()
        platform.start()
        ended = platform.wait_task(task)
        assert ended["state"] == "done", ended
        assert text(platform, "killed", "/version") == "v1" and ids(platform, "killed") == ["one"]
        assert not (data_of(platform, "killed") / ".slipway-restore").exists()


def tree(*args, cwd, stdin=None, prefix=()):
    return subprocess.run([*prefix, BUILD / "src" / "slipway-tree", *args], cwd=cwd, stdin=stdin, capture_output=True, text=True, env={"TMPDIR": str(cwd), "PATH": os.environ["PATH"]})


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not there")
def test_a_swap_that_is_killed_anywhere_goes_on(tmp_path):
    """The job alone, ended before each of its renames in turn: run again it ends as if nothing had been, both ways."""
    release, data = tmp_path / "p/releases/1", tmp_path / "p/data"
    release.mkdir(parents=True)
    data.mkdir()
    (data / "b").write_text("archived")
    (data / "c").mkdir()
    stream = tmp_path / "stream"
    with open(stream, "w+b") as f:
        assert tree("pack", cwd=release, stdin=f).returncode == 0

    def now():
        return {p.name: p.read_text() if p.is_file() else "" for p in data.iterdir() if p.name != ".slipway-restore"}

    for command, want in (("data-swap", {"b": "archived", "c": ""}), ("data-back", {"a": "of before", "b": "of before"})):
        for after in range(1, 12):
            subprocess.run(["rm", "-rf", data])
            data.mkdir()
            for name in ("a", "b"):
                (data / name).write_text("of before")
            with open(stream, "rb") as f:
                assert tree("data-stage", cwd=release, stdin=f).returncode == 0
            if command == "data-back":
                assert tree("data-swap", cwd=release).returncode == 0
            killed = tree(command, cwd=release, prefix=["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject=renameat,syncfs:signal=KILL:when={after}"])
            assert tree(command, cwd=release).returncode == 0
            assert now() == want, (command, after)
            if killed.returncode == 0:
                break
        assert after > 4, command
    assert tree("data-drop", cwd=release).returncode == 0


def test_where_only_the_store_came_back(platform, git):
    """On a new machine the store (`slipway admin restore`) knows releases whose files are not there."""
    small(platform, git, "lost")
    platform.cli("backup", "lost")
    platform.cli("stop", "lost")
    subprocess.run(["rm", "-rf", platform.state / "projects/lost"], check=True)
    platform.cli("restore", "lost", "--yes")
    assert text(platform, "lost", "/version") == "v1" and ids(platform, "lost") == ["one"]
    assert [r["state"] for r in platform.api("GET", "/projects/lost/releases")["items"]] == ["sealed"]


def test_more_at_once_than_are_sealed_at_once(platform, git):
    names = ["many" + c for c in "abcd"]
    repo = git.repository("many", {"index.html": "many"})
    for name in names:
        platform.create(name, repo.url)
        platform.deploy(name)
    tasks = [platform.api("POST", f"/projects/{name}/backups", {})["task"] for name in names]
    assert [platform.wait_task(task)["state"] for task in tasks] == ["done"] * 4
    assert all(len(platform.api("GET", f"/projects/{name}/backups")["items"]) == 1 for name in names)
