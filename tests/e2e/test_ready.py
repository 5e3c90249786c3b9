"""Programs that say of themselves that they are ready and alive (sd_notify(3)): a release is switched to once all have said so, and one
that falls silent is killed and started anew."""
import os
import subprocess
import time

import pytest

from faults import LONG
from harness import ROOT, wait_until

PROGRAM = """import http.server, os, socket, threading, time
silent = threading.Event()

def say(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])

def alive():
    while not silent.wait(int(os.environ["WATCHDOG_USEC"]) / 4e6):
        say("STATUS=well\\nWATCHDOG=1\\n")

class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/hang":
            silent.set()
        body = {"/env": os.environ.get("NOTIFY_SOCKET", "none"), "/pid": str(os.getpid())}.get(self.path) or open("VERSION").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

def ready():
    say("READY=10\\nSTATUS=READY=1")
    time.sleep(float(open("DELAY").read()))
    say("STATUS=ready\\nREADY=1")

if "NOTIFY_SOCKET" in os.environ:
    threading.Thread(target=ready, daemon=True).start()
if os.environ.get("WATCHDOG_PID") == str(os.getpid()):
    threading.Thread(target=alive, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", 0))), H).serve_forever()
"""
MANIFEST = """kind: command
processes:
  web: {run: [python3, serve.py], listen: port%s}
%shealth: {path: /version, interval: 50ms, timeout: %s}
"""
WORKER = "  worker: {run: [python3, serve.py], notify: true}\n"


def files(version, says="", delay="0", more="", timeout="3s"):
    return {"serve.py": PROGRAM, "DELAY": delay, "slipway.yaml": MANIFEST % (says, more, timeout), "VERSION": version}


def body(p, path="/version", name="speaker"):
    answer = p.get(f"{name}.localhost", path)
    return answer.body.decode() if answer.status == 200 else answer.status


def web(p, name="speaker"):
    """Its newest instance, as the API shows it."""
    found = [i for x in p.api("GET", f"/projects/{name}/processes")["items"] if x["name"] == "web" for i in x["instances"]]
    return max(found, key=lambda i: (i["release"], i["state"] != "ended"))


@pytest.fixture(scope="module")
def speaker(platform, git):
    platform.speaker = git.repository("speaker", files("one", ", notify: true, watchdog: 1s"))
    platform.create("speaker", platform.speaker.url)
    platform.deploy("speaker")
    return platform


def test_a_release_serves_once_it_says_so(speaker):
    assert body(speaker) == "one"
    speaker.speaker.commit(files("two", ", notify: true", delay="1.5"))
    task = speaker.api("POST", "/projects/speaker/deploys", {})["task"]
    wait_until(lambda: web(speaker)["state"] == "starting", 30, 0.02)
    assert body(speaker) == "one"  # it answers already, and is not asked
    speaker.wait_task(task)
    assert body(speaker) == "two" and web(speaker)["state"] == "running"


def test_one_that_never_says_so_is_not_switched_to(speaker):
    speaker.speaker.commit(files("three", ", notify: true", delay="60"))
    failed = speaker.deploy("speaker", expect="failed")
    assert "did not say in time that it is ready" in str(failed), failed
    assert body(speaker) == "two"


def test_one_that_falls_silent_is_started_anew(speaker):
    speaker.speaker.commit(files("four", ", watchdog: 1s"))
    speaker.deploy("speaker")
    pid = body(speaker, "/pid")
    time.sleep(2.5)
    assert body(speaker, "/pid") == pid, "one that speaks was killed"
    assert body(speaker, "/hang") == "four"
    wait_until(lambda: body(speaker, "/pid") not in (pid, 502, 503, 504), 20, 0.1)
    assert "watchdog project=speaker process=web" in speaker.log_text()
    assert "slipway: did not say that it is alive" in speaker.cli("logs", "speaker").stdout


def test_workers_are_waited_for(speaker):
    """They start behind the switch; one that never says so undoes it."""
    before = body(speaker)
    speaker.speaker.commit(files("never", delay="60", more=WORKER))
    failed = speaker.deploy("speaker", expect="failed")
    assert "worker.1 did not say in time that it is ready" in str(failed) and body(speaker) == before, failed
    if LONG:  # longer than any worker is watched
        speaker.speaker.commit(files("late", ", watchdog: 1s", delay="12", more=WORKER, timeout="30s"))
        begun = time.monotonic()
        speaker.deploy("speaker")
        assert time.monotonic() - begun >= 12 and body(speaker) == "late"


def test_nobody_else_speaks_for_it(speaker):
    path = body(speaker, "/env")
    assert path.startswith("/") and len(path) < 108, path
    try_it = f"import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'WATCHDOG=1', '{path}')"
    if ROOT:
        other = subprocess.run(["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "/usr/bin/python3", "-c", try_it], capture_output=True, text=True)
        assert "PermissionError" in other.stderr, other
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_who_is_not_asked_has_no_socket(speaker):
    path = body(speaker, "/env")
    speaker.speaker.commit(files("five"))
    speaker.deploy("speaker")
    assert body(speaker, "/env") == "none"
    wait_until(lambda: not os.path.exists(path), 20)
    assert os.listdir(os.path.dirname(path)) == []
