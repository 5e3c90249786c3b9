"""R8: deploys and rollbacks under load lose nothing. SLIPWAY_LONG=1: twenty deploys and at least 50,000 connections."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest

import apps
import rounds
from harness import BUILD, Platform, wait_until

LONG = bool(os.environ.get("SLIPWAY_LONG"))
DEPLOYS = 20 if LONG else 6
RATE = 300 if LONG else 200


@pytest.fixture(scope="module")
def fast():
    """The release build: this is about the edge and the engine, and load."""
    p = Platform(build=BUILD, extra=["--parallel", "4"])
    try:
        p.start()
        yield p
    finally:
        for process in Load.running:
            process.kill()
        p.close()


class Load:
    """The generator against one project: every second request a POST of its id, each on a new connection, never retried."""

    running = []

    def __init__(self, platform, project, static=False, rate=RATE):
        self.ids, self.values = platform.dir / f"{project}.acked", platform.dir / f"{project}.values"
        kind = ["--get", "/version.txt"] if static else ["--mixed", "--get", "/version", "--post", "/append"]
        self.process = subprocess.Popen(
            [BUILD / "tests" / "load", "--port", str(platform.edge_port), "--host", f"{project}.localhost", "--close", "--connections", "200",
             "--rate", str(rate), "--seconds", "900" if LONG else "240", "--ids", self.ids, "--values", self.values, *kind],
            stdout=subprocess.PIPE, text=True,
        )
        self.running.append(self.process)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        result = json.loads(self.process.communicate(timeout=60)[0])
        result["values"] = self.seen()
        return result

    def seen(self):
        """The versions that answered, with how often; while it runs with 1 each."""
        lines = self.values.read_text().splitlines() if self.values.exists() else []
        return {line.split(" ", 1)[1]: int(line.split(" ", 1)[0]) for line in lines}

    def sees(self, version):
        """Until that version has answered it, however quickly the next could come."""
        wait_until(lambda: version in self.seen(), 30)

    def acknowledged(self):
        return self.ids.read_text().split() if self.ids.exists() else []


def data_lines(platform, project):
    path = platform.state / "projects" / project / "data" / "ids"
    return path.read_text().split() if path.exists() else []


def check_each_once(platform, project, load):
    rounds.each_once(load.acknowledged(), data_lines(platform, project))


def deploy_and_roll_back(platform, repos, files, times, loads):
    """Each odd turn a new version of all projects at once, each even one a rollback of all; every load has seen a version before the next one comes."""
    for load in loads.values():
        load.sees("v1")
    for turn in range(times):
        tasks = []
        for name, repo in repos.items():
            if turn % 2 == 0:
                repo.commit(apps.with_version(files[name], f"v{turn + 2}") if name != "rs" else {"version.txt": f"v{turn + 2}"})
                tasks.append(platform.api("POST", f"/projects/{name}/deploys", {})["task"])
            else:
                tasks.append(platform.api("POST", f"/projects/{name}/rollback", {})["task"])
        for task in tasks:
            ended = platform.wait_task(task, 180)
            assert ended["state"] == "done", json.dumps(ended, indent=1)
        for load in loads.values() if turn % 2 == 0 else ():
            load.sees(f"v{turn + 2}")


def test_nothing_is_lost_over_deploys_and_rollbacks(fast, git):
    files = {"rd": apps.DJANGO, "rn": apps.NODE}
    repos = {name: git.repository(name, apps.with_version(f, "v1")) for name, f in files.items()}
    repos["rs"] = git.repository("rs", {"version.txt": "v1", "index.html": "x"})
    for name, repo in repos.items():
        fast.create(name, repo.url)
        fast.deploy(name)
    loads = {name: Load(fast, name, static=name == "rs") for name in repos}
    deploy_and_roll_back(fast, repos, files, DEPLOYS, loads)
    if LONG:
        wait_until(lambda: sum(int(fast.dir.joinpath(f"{n}.acked").exists() and len(l.acknowledged())) for n, l in loads.items()) > 17000, 300, 1)
    results = {name: load.stop() for name, load in loads.items()}
    print(json.dumps(results))
    total = sum(r["requests"] for r in results.values())
    assert {n: r["failed"] for n, r in results.items()} == {n: 0 for n in results}, results
    assert total >= (50000 if LONG else 1500), total
    for name in files:
        check_each_once(fast, name, loads[name])
        assert len(results[name]["values"]) == 1 + DEPLOYS // 2, results[name]["values"]


STUBBORN = {
    "exits": "signal.signal(signal.SIGTERM, lambda *_: os._exit(0))",
    "ignores": "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    "late": "time.sleep(%d)" % (15 if LONG else 4),
}


@pytest.mark.parametrize("name", STUBBORN)
def test_stubborn_programs_lose_nothing(fast, git, name):
    files = apps.socket_app(STUBBORN[name])
    files["slipway.yaml"] = files["slipway.yaml"].replace("listen: socket}", "listen: socket, stop_timeout: 1s}")
    repo = git.repository("st" + name, apps.with_version(files, "v1"))
    fast.create("st" + name, repo.url)
    fast.deploy("st" + name)
    load = Load(fast, "st" + name)
    deploy_and_roll_back(fast, {"st" + name: repo}, {"st" + name: files}, 4, {"st" + name: load})
    result = load.stop()
    assert result["failed"] == 0, result
    assert result["requests"] > 100
    check_each_once(fast, "st" + name, load)
    assert {"v1", "v2", "v4"} <= set(result["values"])


def test_without_drain_the_same_test_fails(fast, git):
    """The control: a drain of one millisecond and slow answers must be seen as losses."""
    files = apps.socket_app(STUBBORN["exits"], manifest="drain: 1ms\n")
    files["serve.py"] = files["serve.py"].replace('path == b"/slow"', 'path == b"/version"')
    repo = git.repository("nodrain", apps.with_version(files, "v1"))
    fast.create("nodrain", repo.url)
    fast.deploy("nodrain")
    load = Load(fast, "nodrain")
    deploy_and_roll_back(fast, {"nodrain": repo}, {"nodrain": files}, 4, {})
    assert load.stop()["failed"] > 0


def test_a_download_and_a_websocket_live_through_a_switch(fast, git):
    import socket

    files = apps.socket_app()
    repo = git.repository("long", apps.with_version(files, "v1"))
    fast.create("long", repo.url)
    fast.deploy("long")
    pieces = 600 if LONG else 60  # ten a second
    got = []
    thread = threading.Thread(target=lambda: got.append(fast.get("long.localhost", f"/download/{pieces}", timeout=120)))
    thread.start()
    ws = socket.create_connection(("127.0.0.1", fast.edge_port))
    ws.sendall(b"GET /ws HTTP/1.1\r\nHost: long.localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
    assert b"101" in ws.recv(4096)
    repo.commit({"VERSION": "v2"})
    task = fast.api("POST", "/projects/long/deploys", {})["task"]
    wait_until(lambda: fast.get("long.localhost", "/version").body == b"v2", 60)
    ws.sendall(b"still there")
    assert ws.recv(4096) == b"still there"
    thread.join()
    assert got[0].status == 200 and len(got[0].body) == pieces * 1000
    ws.close()
    assert fast.wait_task(task, 150)["state"] == "done"
