"""A bad release never takes the old one's place, and the message says what the program said and what to do."""
import json

import pytest

import apps

BAD = {
    "crash": ("import sys; print('cannot find the flux capacitor', flush=True); sys.exit(3)", "flux capacitor"),
    "hang": ("time.sleep(600)", ""),
    "fail500": ("", ""),
    "late_exit": ("time.sleep(2); print('out of luck', flush=True); os._exit(9)", "out of luck"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_release_leaves_the_old_one(platform, git, name):
    prelude, words = BAD[name]
    project = "bad" + name.replace("_", "")
    good = apps.socket_app()
    repo = git.repository(project, apps.with_version(good, "v1"))
    platform.create(project, repo.url)
    platform.deploy(project)
    bad = apps.socket_app(prelude)
    health = "{path: /version, interval: 100ms, timeout: 4s}"
    if name == "fail500":
        bad["serve.py"] = bad["serve.py"].replace("200 OK", "500 Broken")
    if name == "late_exit":
        health = "{path: /version, interval: 1500ms, timeout: 10s}"
    bad["slipway.yaml"] = bad["slipway.yaml"].replace("{path: /version, interval: 100ms}", health)
    repo.commit(apps.with_version(bad, "v2"))
    task = platform.deploy(project, expect="failed")
    text = json.dumps(task)
    assert words in text
    assert "release 1 is still serving" in text or "still serving" in text
    assert platform.get(project + ".localhost", "/version").body == b"v1"
    shown = platform.cli("deploy", project, "--force", expect=1)
    assert words in shown.stdout + shown.stderr
    # and the way back to good is one commit
    repo.commit(apps.with_version(good, "v3"))
    platform.deploy(project)
    assert platform.get(project + ".localhost", "/version").body == b"v3"


def test_wrong_port_says_so(platform, git):
    files = {
        "server.py": "import http.server\nhttp.server.HTTPServer(('127.0.0.1', 1), None)\n".replace("1)", "59999)").replace("None", "http.server.BaseHTTPRequestHandler") + "import time; time.sleep(600)\n",
        "slipway.yaml": "kind: command\nprocesses:\n  web: {run: [python3, server.py], listen: port}\nhealth: {timeout: 3s, interval: 100ms}\n",
    }
    repo = git.repository("wrongport", files)
    platform.create("wrongport", repo.url)
    text = json.dumps(platform.deploy("wrongport", expect="failed"))
    assert "PORT" in text, text


def test_failing_check_blocks(platform, git):
    files = apps.with_version(apps.socket_app(manifest="checks:\n  - {name: gate, run: [python3, gate.py]}\n"), "v1")
    files["gate.py"] = "print('all well')"
    repo = git.repository("gate", files)
    platform.create("gate", repo.url)
    platform.deploy("gate")
    repo.commit({"gate.py": "import sys; print('3 tests failed'); sys.exit(1)", "VERSION": "v2"})
    task = platform.deploy("gate", expect="failed")
    assert "3 tests failed" in json.dumps(task) and "gate" in json.dumps(task)
    assert platform.get("gate.localhost", "/version").body == b"v1"


def test_failing_release_command_blocks_and_runs_once(platform, git):
    files = apps.with_version(apps.socket_app(manifest="release: [python3, migrate.py]\n"), "v1")
    files["migrate.py"] = "import os; open(os.environ['SLIPWAY_DATA_DIR'] + '/migrations', 'a').write('one\\n')"
    repo = git.repository("migr", files)
    platform.create("migr", repo.url)
    platform.deploy("migr")
    count = platform.state / "projects/migr/data/migrations"
    assert count.read_text() == "one\n"
    repo.commit({"migrate.py": files["migrate.py"] + "; raise SystemExit('no such column')", "VERSION": "v2"})
    task = platform.deploy("migr", expect="failed")
    assert "no such column" in json.dumps(task)
    assert count.read_text() == "one\none\n"
    assert platform.get("migr.localhost", "/version").body == b"v1"


BAD_INPUT = {
    "yaml": ({"index.html": "x", "slipway.yaml": "kind: static\nprocesess: {}\n"}, ["slipway.yaml:2:1", "processes"]),
    "shell": ({"Procfile": "web: python3 a.py | tee log\n"}, ["Procfile", "column", "|"]),
    "nothing": ({"README.txt": "hello"}, ["kind"]),
}


@pytest.mark.parametrize("name", BAD_INPUT)
def test_bad_input_is_named_with_its_place(platform, git, name):
    files, words = BAD_INPUT[name]
    repo = git.repository("input" + name, files)
    platform.create("input" + name, repo.url)
    text = json.dumps(platform.deploy("input" + name, expect="failed"))
    for word in words:
        assert word in text, (word, text)


def test_wrong_branch_and_unreadable_repository(platform, git):
    repo = git.repository("branches", {"index.html": "x"})
    platform.create("wrongbranch", repo.url, branch="no-such-branch")
    text = json.dumps(platform.deploy("wrongbranch", expect="failed"))
    assert "no-such-branch" in text
    platform.create("norepo", repo.url.replace("branches", "absent"))
    text = json.dumps(platform.deploy("norepo", expect="failed"))
    assert "absent" in text
