"""Who may run where: a build and a one-off command leave the first processor alone; a service that uses up its processor limit is kept to as
few processors as that is worth, and let go once it is calm, and no other one is. Needs root, cpusets and two processors."""
import os
import subprocess
from pathlib import Path

import pytest

import apps
from harness import wait_until

OURS = sorted(os.sched_getaffinity(0))
CPUSET = [Path("/sys/fs/cgroup/cpuset/cgroup.procs"), Path("/sys/fs/cgroup/cgroup.subtree_control")]
pytestmark = pytest.mark.skipif(os.geteuid() != 0 or len(OURS) < 2 or not any(os.access(f, os.W_OK) for f in CPUSET), reason="needs root, cpusets and two processors")

SERVE = """import subprocess
subprocess.Popen(["python3", "burn.py"])
def answer(path):
    return "still here"
""" + apps.ANSWERING
BURN = """
import os, time
flag = os.path.join(os.environ["SLIPWAY_DATA_DIR"], "burn")
while True:
    if os.path.exists(flag):
        pass
    else:
        time.sleep(0.05)
"""
WAIT = "import time\ntime.sleep(600)\n"
MANIFEST = "kind: command\nprocesses:\n  web: {run: [python3, serve.py], listen: socket}\n"


def allowed(user, words):
    """Where each process of that user whose command line has the words may run."""
    pids = subprocess.run(["pgrep", "-U", user, "-f", words], capture_output=True, text=True).stdout.split()
    found = []
    for pid in pids:
        try:
            found.append(sorted(os.sched_getaffinity(int(pid))))
        except OSError:
            pass
    return found


def throttled(platform, name):
    return [i["throttled"] for p in platform.api("GET", f"/projects/{name}/processes")["items"] for i in p["instances"]] == [True]


def user_of(platform, name):
    return str((platform.state / f"projects/{name}/cache").stat().st_uid)


def deployed(platform, git, name, limits):
    repo = git.repository(name, {"serve.py": SERVE, "burn.py": BURN, "slipway.yaml": MANIFEST + limits})
    platform.create(name, repo.url)
    platform.deploy(name)
    return repo


def test_who_uses_up_its_limit_is_confined_until_it_is_calm(platform, git):
    deployed(platform, git, "greedy", "limits: {cpu: 0.2}\n")
    deployed(platform, git, "free", "")
    greedy, free = user_of(platform, "greedy"), user_of(platform, "free")
    flags = [platform.state / f"projects/{name}/data/burn" for name in ("greedy", "free")]
    wait_until(lambda: allowed(greedy, "burn.py") == allowed(free, "burn.py") == [OURS])
    for flag in flags:
        flag.touch()
    wait_until(lambda: allowed(greedy, "burn.py") == [OURS[-1:]], 30)
    assert allowed(free, "burn.py") == [OURS], "nobody bounds it"
    assert throttled(platform, "greedy") and not throttled(platform, "free")
    assert "running, at its cpu limit" in platform.cli("ps", "greedy").stdout and "limit" not in platform.cli("ps", "free").stdout
    assert platform.get("greedy.localhost").body == platform.get("free.localhost").body == b"still here"
    for flag in flags:
        flag.unlink()
    wait_until(lambda: allowed(greedy, "burn.py") == [OURS], 60)
    wait_until(lambda: not throttled(platform, "greedy"))
    assert f"confined project=greedy process=web instance=1 processors={OURS[-1]}-{OURS[-1]}" in platform.log_text()


def test_what_is_confined_stays_so_when_it_starts_again(platform, git):
    deployed(platform, git, "again", "limits: {cpu: 0.2}\n")
    user = user_of(platform, "again")
    (platform.state / "projects/again/data/burn").touch()
    wait_until(lambda: allowed(user, "burn.py") == [OURS[-1:]], 30)
    killed = subprocess.run(["pgrep", "-U", user, "-f", "serve.py"], check=True, capture_output=True, text=True).stdout.split()
    subprocess.run(["kill", "-KILL", *killed], check=True)
    wait_until(lambda: allowed(user, "serve.py") != [] and not any(Path("/proc", pid).exists() for pid in killed), 30)
    assert allowed(user, "serve.py") == [OURS[-1:]]
    platform.api("DELETE", "/projects/again")
    wait_until(lambda: not allowed(user, "burn.py"), 30)


def test_a_build_leaves_the_first_processor_alone(platform, git):
    repo = deployed(platform, git, "builds", "")
    user = user_of(platform, "builds")
    manifest = (repo.work / "slipway.yaml").read_text()
    repo.commit({"wait.py": WAIT, "slipway.yaml": manifest + "build: [[python3, wait.py]]\n"})
    task = platform.api("POST", "/projects/builds/deploys", {})["task"]
    wait_until(lambda: allowed(user, "wait.py") != [], 30)
    assert allowed(user, "wait.py") == [OURS[1:]]
    assert allowed(user, "serve.py") == [OURS]
    platform.api("POST", f"/tasks/{task}/cancel", {})
    platform.wait_task(task)
