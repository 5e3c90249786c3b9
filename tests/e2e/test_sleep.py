"""`sleep: 2s`: what nobody asks of ends, its socket stays, and the first request starts it again; no request is lost meanwhile."""
import concurrent.futures

import apps
import pytest

from harness import wait_until

SLEEP = "sleep: 2s\n"
PORT = {
    "serve.py": """import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = open("VERSION").read().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
""",
    "slipway.yaml": "kind: command\nprocesses:\n  web: {run: [python3, serve.py], listen: port}\nhealth: {path: /version, interval: 100ms}\n" + SLEEP,
}


def instances(p, name):
    return {f"{i['process']}.{i['instance']}": i for i in flat(p.api("GET", f"/projects/{name}/processes"))}


def flat(processes):
    return [{**i, "process": x["name"]} for x in processes["items"] for i in x["instances"]]


def states(p, name):
    return {i["state"] for i in instances(p, name).values()}


def wait_asleep(p, name):
    wait_until(lambda: states(p, name) == {"asleep"}, 60, 0.05)


def version(p, name, path="/version"):
    answer = p.get(f"{name}.localhost", path)
    return answer.status, answer.body


@pytest.fixture(scope="module")
def sleepers(platform, git):
    """One that takes the socket, one behind a relay, deployed at once so that they get tired together."""
    for name, files in (("taker", apps.socket_app(manifest=SLEEP)), ("ported", PORT)):
        repo = git.repository(name, apps.with_version(files, "v1"))
        platform.create(name, repo.url)
        platform.deploy(name)
        platform.repos = {**getattr(platform, "repos", {}), name: repo}
    return platform


@pytest.mark.parametrize("name", ["taker", "ported"])
def test_it_sleeps_and_wakes(sleepers, name):
    p = sleepers
    assert version(p, name) == (200, b"v1")
    before = instances(p, name)["web.1"]
    wait_asleep(p, name)
    assert "web          0 of 1 running, asleep until the next request" in p.cli("status", name).stdout
    assert not instances(p, name)["web.1"]["pid"]
    assert version(p, name) == (200, b"v1")
    after = instances(p, name)["web.1"]
    assert after["pid"] != before["pid"] and after["starts"] == before["starts"] == 1


@pytest.mark.parametrize("name", ["taker", "ported"])
def test_many_knock_as_it_falls_asleep(sleepers, name):
    """From the moment in which it is told to end: every request is answered, each once."""
    p = sleepers
    wait_until(lambda: states(p, name) - {"running"}, 60, 0.001)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: version(p, name), range(64)))
    assert answers == [(200, b"v1")] * 64


def test_whoever_is_connected_keeps_it_awake(sleepers):
    p = sleepers
    assert version(p, "taker") == (200, b"v1")
    begun = instances(p, "taker")["web.1"]["pid"]
    answer = p.get("taker.localhost", "/download/60", timeout=60)  # 6 s
    assert answer.status == 200 and len(answer.body) == 60000
    assert instances(p, "taker")["web.1"]["pid"] == begun


def test_nobody_needs_the_daemon_to_wake(sleepers):
    p = sleepers
    wait_asleep(p, "taker")
    wait_asleep(p, "ported")
    p.kill()
    assert version(p, "taker") == version(p, "ported") == (200, b"v1")
    p.start()
    assert version(p, "taker") == (200, b"v1")
    wait_asleep(p, "taker")


def test_what_is_done_to_a_sleeper(sleepers):
    """Deploy, restart, scale, rollback, stop, start, destroy: as if it were awake."""
    p = sleepers
    wait_asleep(p, "taker")
    p.cli("restart", "taker")
    assert version(p, "taker") == (200, b"v1")
    wait_asleep(p, "taker")
    p.repos["taker"].commit({"VERSION": "v2"})
    p.deploy("taker")
    assert version(p, "taker") == (200, b"v2")
    wait_asleep(p, "taker")
    p.cli("scale", "taker", "web=2")
    assert {version(p, "taker") for _ in range(4)} == {(200, b"v2")}
    wait_asleep(p, "taker")
    p.cli("rollback", "taker")
    assert version(p, "taker") == (200, b"v1")
    wait_asleep(p, "taker")
    p.cli("stop", "taker")
    assert version(p, "taker")[0] == 503
    p.cli("start", "taker")
    assert version(p, "taker") == (200, b"v1")
    wait_asleep(p, "taker")
    p.cli("destroy", "taker", "--yes")
    assert version(p, "taker")[0] == 404


def test_who_does_not_sleep(platform, git):
    """Without `sleep`, and workers never."""
    both = "web: {run: [python3, serve.py], listen: socket}\n  worker: {run: [sleep, '600']}"
    platform.create("hybrid", git.repository("hybrid", apps.with_version(apps.socket_app(manifest=SLEEP, run=both), "v1")).url)
    platform.deploy("hybrid")
    platform.create("lively", git.repository("lively", apps.with_version(apps.socket_app(), "v1")).url)
    platform.deploy("lively")
    wait_until(lambda: instances(platform, "hybrid")["web.1"]["state"] == "asleep", 60, 0.05)
    assert instances(platform, "hybrid")["worker.1"]["state"] == "running"
    assert states(platform, "lively") == {"running"}
