"""What runs goes on while the helper is restarted, killed or missing: sockets, pipes and the list of instances are systemd's to keep.
Part of test_server.py, which has the machine."""
import time

import unit_checks

HELPER, NAME, PATH = "slipway-helper.service", "kept", "/srv/kept"
PROGRAM = """import http.server, os, socket, sys, threading, time
def speak():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ['NOTIFY_SOCKET'])
        s.send(b'READY=1')
        while True:
            s.send(b'WATCHDOG=1')
            time.sleep(0.3)
threading.Thread(target=speak, daemon=True).start()
class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        if self.path == '/say':
            print('it speaks', flush=True)
        self.send_response(200)
        self.send_header('Content-Length', '5')
        self.end_headers()
        self.wfile.write(b'kept\\n')
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()
"""

MANIFEST = "kind: command\nprocesses: {web: {run: [python3, -u, server.py], listen: port, notify: true, watchdog: 1500ms}}\n"


def helper_pid(server):
    return server.run("systemctl", "show", "-P", "MainPID", HELPER).strip()


def pids(server, *projects):
    """Of all processes of these projects."""
    return {name: set(server.run("pgrep", "-u", "sw-" + name).split()) for name in projects}


def restart(server):
    server.run("systemctl", "restart", HELPER)


def kill(server):
    pid = helper_pid(server)
    server.run("systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", HELPER)
    unit_checks.until(lambda: helper_pid(server) not in ("0", pid))


def said(server, words):
    return server.run(f"journalctl -q -o cat -u slipway-helper | grep -c -- '{words}'", expect=None).stdout.strip()


def connected(server):
    """The daemon has the helper of now, and the edge is its own again."""
    unit_checks.until(lambda: server.slipway("deploy", NAME, "--force", expect=None).returncode == 0)


def begin(server):
    server.run(f"mkdir {PATH} && cat >{PATH}/server.py", stdin=PROGRAM)
    server.run(f"cat >{PATH}/slipway.yaml", stdin=MANIFEST)
    server.slipway("create", NAME, "--path", PATH)
    server.slipway("deploy", NAME)
    assert server.wait_get("kept.localhost") == "kept\n"


def projects_run_on(server, load_begin, load_end):
    """Restarted and killed under load, each three times: the same processes, and no request failed. One of them is to say that it is alive, and the
    helper of the moment hears it."""
    begin(server)
    before = pids(server, "guestbook", NAME)
    for path, host in (("/healthz", "guestbook.localhost"), ("/", "kept.localhost")):
        load = load_begin(server, host, path)
        for change in (restart, kill, restart):
            told = int(said(server, "adopted"))
            change(server)
            unit_checks.until(lambda: int(said(server, "adopted")) > told)  # one that goes before that has taken nothing over
            time.sleep(0.3)
        unit_checks.until(lambda: server.slipway("logs", "guestbook", expect=None).returncode == 0)
        load_end(server, load)
    time.sleep(2)
    assert pids(server, "guestbook", NAME) == before
    assert int(said(server, "adopted instances=[3-9] lost=0")) >= 6 and said(server, "adopted.*lost=[1-9]") == "0", server.journal()


def they_are_the_new_ones_own(server):
    """It reads what they say, starts what ends, knows what ended while there was none, and stops them for a deploy."""
    server.get("kept.localhost", "/say")
    unit_checks.until(lambda: "it speaks" in server.slipway("logs", NAME))
    unit = unit_checks.unit_of(server, "guestbook")
    server.run(f"systemctl stop slipwayd; systemctl kill --signal=SIGSTOP --kill-who=main {HELPER}; systemctl kill --signal=SIGKILL -- '{unit}'")
    server.run(f"systemctl kill --signal=SIGKILL --kill-who=main {HELPER}; systemctl start slipwayd")
    assert "guestbook" in server.wait_get("guestbook.localhost").lower()
    old = pids(server, NAME)[NAME]
    connected(server)
    assert not pids(server, NAME)[NAME] & old and server.get("kept.localhost") == (200, "kept\n")


def sleepers_wake(server):
    server.run(f"cat >>{PATH}/slipway.yaml", stdin="sleep: 2s\n")
    server.slipway("deploy", NAME, "--force")
    unit_checks.until(lambda: "asleep" in server.slipway("status", NAME))
    restart(server)
    assert server.get("kept.localhost") == (200, "kept\n")


def a_table_that_kills_is_left(server):
    """Helpers that die soon after each other may die of what they take over: the fourth begins anew, and ends what the others left."""
    before = pids(server, "guestbook")["guestbook"]
    for _ in range(4):
        told = int(said(server, "adopted"))
        kill(server)
        unit_checks.until(lambda: int(said(server, "adopted")) > told)  # one that is killed before that has taken nothing over
    assert said(server, "not_adopted") != "0"
    server.wait_get("guestbook.localhost", "/healthz", seconds=60)
    assert not before & pids(server, "guestbook")["guestbook"]


def a_stop_ends_all(server):
    """One that is no restart. The daemon, which has it started anew when it is gone, is stopped before."""
    server.run(f"systemctl stop slipwayd && systemctl stop {HELPER}")
    assert server.run("pgrep -u sw-guestbook; pgrep -u sw-kept", expect=None).stdout == ""
    server.run("systemctl start slipway-helper slipwayd")
    server.wait_get("guestbook.localhost", "/healthz", seconds=60)


def end(server):
    server.slipway("destroy", NAME, "--yes")
    server.run("rm", "-r", PATH)


ALL = (they_are_the_new_ones_own, sleepers_wake, a_table_that_kills_is_left, a_stop_ends_all, end)
