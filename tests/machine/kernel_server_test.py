"""A server of one's own on Debian's own kernel: installed and set up, its projects are units in control groups v2 that have all their controllers, which the
machines of test_server.py do not have. Runs in the machine of vm.sh; everything is ten times slower in it."""
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
from harness import wait_until  # noqa: E402
from test_processors import BURN, MANIFEST, OURS, SERVE, WAIT, allowed  # noqa: E402

GROUPS = Path("/sys/fs/cgroup/slipway.slice/slipway-greedy.slice")
FOLDER = Path("/srv/greedy")
NOTES = Path("/run/systemd/system.control")


def run(*argv, expect=0):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=600)
    assert expect is None or done.returncode == expect, (argv, done.returncode, done.stdout[-3000:], done.stderr[-3000:], journal())
    return done.stdout


def journal():
    return subprocess.run(["journalctl", "-q", "--no-pager", "-n", "60", "-o", "cat", "-u", "slipway*"], capture_output=True, text=True).stdout[-6000:]


def files(**more):
    FOLDER.mkdir(exist_ok=True)
    for name, text in {"serve.py": SERVE, "burn.py": BURN, "wait.py": WAIT, "slipway.yaml": MANIFEST + "limits: {cpu: 0.2, memory: 96M, tasks: 48}\n", **more}.items():
        (FOLDER / name).write_text(text)


def group(part):
    found = [g for g in GROUPS.iterdir() if g.is_dir() and part in g.name] if GROUPS.is_dir() else []
    return found[0] if len(found) == 1 else None


@pytest.fixture(scope="module")
def server():
    run("tar", "-x", "--no-overwrite-dir", "-C", "/", "-f", TOP / "root.tar")
    run("systemctl", "daemon-reload")
    run("slipway", "setup", "--yes", "--domain", "paas.example.org")
    files()
    run("slipway", "create", "greedy", "--path", FOLDER)
    run("slipway", "deploy", "greedy")
    yield
    run("slipway", "setup", "--undo", "--yes")


def test_limits_are_in_the_units_group(server):
    g = group(".web@")
    found = {name: (g / name).read_text().split() for name in ("memory.max", "memory.swap.max", "pids.max", "cpu.max")}
    assert found == {"memory.max": [str(96 << 20)], "memory.swap.max": ["0"], "pids.max": ["48"], "cpu.max": ["20000", "100000"]}


def test_who_uses_up_its_limit_is_confined_until_it_is_calm(server):
    user = str(Path("/var/lib/slipway/projects/greedy/cache").stat().st_uid)
    flag, g = Path("/var/lib/slipway/projects/greedy/data/burn"), group(".web@")
    wait_until(lambda: allowed(user, "burn.py") == [OURS], 60, 0.2)
    flag.touch()
    wait_until(lambda: allowed(user, "burn.py") == [OURS[-1:]], 60, 0.2)
    assert (g / "cpuset.cpus.effective").read_text().strip() == str(OURS[-1])
    answer = run("curl", "-s", "-m", "60", "-H", "Host: greedy.localhost", "http://127.0.0.1/")
    assert answer == "still here", answer
    pid = run("systemctl", "show", "-P", "MainPID", g.name)
    run("systemctl", "restart", "slipway-helper")
    time.sleep(3)
    assert run("systemctl", "show", "-P", "MainPID", g.name) == pid, "the next helper goes on with it"
    flag.unlink()
    wait_until(lambda: allowed(user, "burn.py") == [OURS], 120, 0.2)


def test_a_build_leaves_the_first_processor_alone(server):
    files(**{"slipway.yaml": (FOLDER / "slipway.yaml").read_text() + "build: [[python3, wait.py]]\n"})
    deploy = subprocess.Popen(["slipway", "deploy", "greedy"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    user = str(Path("/var/lib/slipway/projects/greedy/cache").stat().st_uid)
    wait_until(lambda: allowed(user, "wait.py") != [], 120, 0.2)
    assert allowed(user, "wait.py") == [OURS[1:]] and all(where == OURS for where in allowed(user, "serve.py"))
    g = group(".build@") or group(".build.")
    assert g is None or (g / "cpu.weight").read_text().strip() == "25", g
    task = next(t for t in json.loads(run("slipway", "tasks", "--json"))["items"] if t["state"] == "running")
    run("slipway", "cancel", task["id"])
    deploy.wait(300)


def test_nothing_is_left(server):
    assert NOTES.is_dir() and any("greedy" in p.name for p in NOTES.iterdir()), "systemd notes what it is told"
    run("slipway", "destroy", "greedy", "--yes")
    wait_until(lambda: not GROUPS.exists(), 60, 0.2)
    assert not [p for p in NOTES.iterdir() if "greedy" in p.name], list(NOTES.iterdir())
    assert not re.search(r"greedy", " ".join(os.listdir("/run/systemd/system")))
