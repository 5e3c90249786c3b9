"""`slipway restart`: whoever listens gets a second beside itself and ends after its last connection, so that no request is lost, also by
programs that end at SIGTERM at once, with what they were answering."""
import threading

import apps
import pytest
from loads import load

from harness import wait_until

HEALTH = "health: {path: /version, interval: 50ms, timeout: 5s}\n"
# each request takes a while, and nothing is done about SIGTERM
PORT = """import http.server, os, time
if os.path.exists(os.environ["SLIPWAY_DATA_DIR"] + "/broken"):
    raise SystemExit(3)
if os.path.exists(os.environ["SLIPWAY_DATA_DIR"] + "/slow"):
    open(os.environ["SLIPWAY_DATA_DIR"] + "/seen", "w").close()
    time.sleep(600)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        time.sleep(4 if self.path == "/slow" else 0.02)
        body = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 256
S(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""
SOCKET = PORT.replace('S(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()', """import socket
s = S(("", 0), H, bind_and_activate=False)
s.socket = socket.socket(fileno=3)
s.serve_forever()""")
WORKER = "import os, time\nprint('worker', os.getpid(), flush=True)\ntime.sleep(1000)\n"
LISTENS = {"port": PORT, "socket": SOCKET}


def files(listen):
    return {
        "serve.py": LISTENS[listen],
        "worker.py": WORKER,
        "slipway.yaml": f"kind: command\nprocesses:\n  web: {{run: [python3, serve.py], listen: {listen}}}\n  worker: {{run: [python3, worker.py]}}\n" + HEALTH,
    }


def instances(p, name):
    """Those that are not over, by name: each once. What a restart gave up is forgotten a moment after its task's end."""
    listed = lambda: [(f"{x['name']}.{i['instance']}", i) for x in p.api("GET", f"/projects/{name}/processes")["items"] for i in x["instances"]]  # noqa: E731
    return wait_until(lambda: (found := listed()) and len(found) == len(dict(found)) and dict(found), 5)


def pids(p, name):
    return {which: i["pid"] for which, i in instances(p, name).items()}


def left_beside(p, name):
    return [f.name for f in (p.run / name).glob("*/.*.sock")]


@pytest.fixture(scope="module")
def projects(platform, git):
    """One of each, deployed at once: a deploy looks at a new worker for 10 s."""
    tasks = {}
    for listen in LISTENS:
        name = "roll-" + listen
        platform.create(name, git.repository(name, files(listen)).url)
        tasks[name] = platform.api("POST", f"/projects/{name}/deploys", {})["task"]
    assert all(platform.wait_task(task)["state"] == "done" for task in tasks.values())


@pytest.fixture(scope="module", params=list(LISTENS))
def project(projects, request):
    return f"roll-{request.param}"


def test_no_request_is_lost(platform, project):
    platform.cli("scale", project, "web=2")
    before = pids(platform, project)
    over, runs = threading.Event(), []

    def ask():
        while not over.is_set():
            runs.append(load(platform.edge_port, "--get", "/", "--host", f"{project}.localhost", "--close", "--rate", 150, connections=32, seconds=2))

    loader = threading.Thread(target=ask)
    loader.start()
    try:
        wait_until(lambda: runs, 30)
        for _ in range(3):
            told = platform.cli("restart", project).stdout
            after = pids(platform, project)
            assert before.keys() == after.keys() and all(before[which] != after[which] for which in after), (before, after)
            before = after
            assert "3 restarted" in told and " requests meanwhile, 0 failed" in told, told
    finally:
        over.set()
        loader.join()
    asked = sum(run["requests"] for run in runs)
    print(f"restart of {project}, two instances and a worker, three times: {asked} requests, p99 at most {max(run['p99_us'] for run in runs) / 1000:.0f} ms")
    assert asked > 300 and all(run["ok"] == run["requests"] for run in runs), runs
    assert left_beside(platform, project) == []


def test_one_process_alone(platform, project):
    before = pids(platform, project)
    platform.api("POST", f"/projects/{project}/restart", {"process": "worker"})
    wait_until(lambda: pids(platform, project)["worker.1"] not in (before["worker.1"], None), 30)
    after = pids(platform, project)
    assert [which for which in after if after[which] != before[which]] == ["worker.1"]


@pytest.mark.parametrize("how", ["broken", "slow"])
def test_what_is_not_well_takes_nobody_s_place(platform, project, how):
    before = pids(platform, project)
    flag = platform.state / "projects" / project / "data" / how
    flag.touch()
    try:
        told = platform.cli("restart", project, expect=1)
    finally:
        flag.unlink()
    why = {"broken": "web.1 ended with status 3 before it was healthy", "slow": "web.1 did not become healthy"}[how]
    assert why in told.stdout and "release 1 is still serving" in told.stdout, told
    assert platform.get(f"{project}.localhost").status == 200
    assert pids(platform, project) == before and left_beside(platform, project) == []


def begun(platform, project):
    """A restart whose second web.1 is not well for a while."""
    data = platform.state / "projects" / project / "data"
    (data / "slow").touch()
    (data / "seen").unlink(missing_ok=True)
    task = platform.api("POST", f"/projects/{project}/restart", {"process": "web"})["task"]
    wait_until((data / "seen").exists, 10)
    (data / "slow").unlink()
    assert left_beside(platform, project)
    return task


def test_it_can_be_cancelled(platform, project):
    before = pids(platform, project)
    task = begun(platform, project)
    platform.api("POST", f"/tasks/{task}/cancel", {})
    assert platform.wait_task(task)["state"] == "cancelled"
    assert pids(platform, project) == before and left_beside(platform, project) == []
    assert platform.get(f"{project}.localhost").status == 200


def test_a_killed_daemon_goes_on_with_it(platform, project):
    before = pids(platform, project)
    task = begun(platform, project)
    platform.kill()
    platform.start()
    assert platform.wait_task(task)["state"] == "done"
    after = pids(platform, project)
    assert {which for which in after if after[which] == before[which]} == {"worker.1"}, (before, after)
    assert left_beside(platform, project) == []
    assert platform.get(f"{project}.localhost").status == 200


def test_a_killed_daemon_and_then_one_that_is_not_well(platform, project):
    """What the earlier life had started does not stay, although this one gets no further."""
    before = pids(platform, project)
    flag = platform.state / "projects" / project / "data/broken"
    task = begun(platform, project)
    platform.kill()
    flag.touch()
    try:
        platform.start()
        assert platform.wait_task(task)["state"] == "failed"
    finally:
        flag.unlink()
    assert pids(platform, project) == before and left_beside(platform, project) == []
    assert platform.get(f"{project}.localhost").status == 200


def test_a_daemon_killed_while_the_old_one_still_answers(platform, project):
    """The old one's last connection is waited for by the next life, too; then one is left."""
    before, answer = pids(platform, project), {}
    platform.cli("scale", project, "web=1")
    reader = threading.Thread(target=lambda: answer.update(it=platform.get(f"{project}.localhost", "/slow")))
    reader.start()
    task = platform.api("POST", f"/projects/{project}/restart", {"process": "web"})["task"]
    wait_until(lambda: list((platform.run / project).glob("*/.web.1.old.sock")), 10)
    platform.kill()
    platform.start()
    assert platform.wait_task(task)["state"] == "done"
    reader.join()
    assert answer["it"].status == 200 and int(answer["it"].body) == before["web.1"]
    after = pids(platform, project)
    assert after["web.1"] != before["web.1"] and left_beside(platform, project) == []
    assert int(platform.get(f"{project}.localhost").body) == after["web.1"]


def test_without_a_port_for_a_second_it_is_started_again_in_its_place(platform, git):
    with_ten = files("port")
    with_ten["slipway.yaml"] = "kind: command\nprocesses:\n  web: {run: [python3, serve.py], listen: port}\n" + HEALTH
    platform.create("ten", git.repository("ten", with_ten).url)
    platform.deploy("ten")
    platform.cli("scale", "ten", "web=10")
    before = pids(platform, "ten")
    platform.cli("restart", "ten")
    after = instances(platform, "ten")
    assert len(after) == 10 and all(i["pid"] != before[which] and i["starts"] == 2 for which, i in after.items())
