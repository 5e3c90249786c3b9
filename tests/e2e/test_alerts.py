"""The four alerts of share/alerts with a real Prometheus, a real Alertmanager and a real SMTP server: each fires, resolves, and its mail
arrives both times. The files are used as they are shipped, but for addresses, and every duration in them divided by SCALE (so what must
hold for 5 minutes must hold for 2.5 s); what makes them fire is real: refused signatures, a full disk, a slow one, a daemon that is gone."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import ROOT, TOP, Platform, free_port, wait_until
from senders import SENDERS

ALERTS = TOP / "share" / "alerts"
SCALE = 120
MS = {"h": 3600000, "m": 60000, "s": 1000}
TOOLS = [shutil.which(t) for t in ("prometheus", "prometheus-alertmanager", "strace")]
pytestmark = pytest.mark.skipif(not all(TOOLS) or not ROOT, reason="needs root, prometheus, prometheus-alertmanager and strace")


def scaled(text):
    """Every duration, and nothing else that looks like one: behind a colon, or a range in brackets."""
    short = lambda m: m[1] + str(max(int(m[2]) * MS[m[3]] // SCALE, 1 if int(m[2]) else 0)) + "ms" + m[4]
    return re.sub(r"(: |\[)(\d+)([hms])(\]|$)", short, text, flags=re.M)


class Box:
    """Mail that arrived, as (alert, status)."""

    def __init__(self):
        from aiosmtpd.controller import Controller
        from aiosmtpd.smtp import AuthResult

        self.mails, self.lock = [], threading.Lock()
        self.controller = Controller(
            self, hostname="127.0.0.1", port=free_port(), auth_required=True, auth_require_tls=False, auth_exclude_mechanism=["LOGIN"],
            authenticator=lambda server, session, envelope, mechanism, data: AuthResult(success=data.password == b"the password", handled=False))
        self.controller.start()
        self.address = f"127.0.0.1:{self.controller.port}"

    async def handle_DATA(self, server, session, envelope):
        import email
        import email.policy

        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        body = mail.get_body(("plain",)).get_content()
        with self.lock:
            self.mails.append((mail["Subject"].removeprefix("Webhook Service Alert - "), re.search(r"Status: (\w+)", body)[1], body))
        return "250 taken"

    def arrived(self, alert, status):
        with self.lock:
            return [body for a, s, body in self.mails if (a, s) == (alert, status)]


def programs(folder, configuration, *commands):
    for name, text in configuration.items():
        (folder / name).write_text(text)
    started = []
    for command in commands:
        log = open(folder / f"{len(started)}.log", "wb")
        started.append(subprocess.Popen(command, stdout=log, stderr=log, env={"PATH": os.environ["PATH"]}))
    return started


@pytest.fixture(scope="module")
def watched(git, tmp_path_factory):
    folder = tmp_path_factory.mktemp("alerts")
    metrics, prometheus, manager = free_port(), free_port(), free_port()
    box, started = Box(), []
    p = Platform(extra=["--metrics", f"127.0.0.1:{metrics}"])
    p.box, p.folder = box, folder
    try:
        p.start()
        p.create("seen", git.repository("seen", {"index.html": "1"}).url)
        p.secret = p.hook("seen", "seen", sender="generic", branch="other")
        p.deployer, p.webops = p.hook("seen", "github-webhook"), "5" * 64
        p.cli("hooks", "create", "seen", "classic", "--branch", "main", "--secret-stdin", stdin=p.webops + "\n")
        mail = scaled((ALERTS / "alertmanager.yml").read_text()).replace("smtp.example.org:587", box.address)
        mail = mail.replace("global:\n", "global:\n  smtp_require_tls: false\n")
        look = (ALERTS / "prometheus.yml").read_text().replace("127.0.0.1:9093", f"127.0.0.1:{manager}").replace("127.0.0.1:9100", f"127.0.0.1:{metrics}")
        look = re.sub(r"_interval: 15s", "_interval: 100ms", look)
        rules = scaled((ALERTS / "webhook-service.rules.yml").read_text())
        assert "[2500ms]" in rules and "for: 500ms" in rules and "[7500ms]" in rules and "for: 0ms" in rules
        started = programs(
            folder, {"alertmanager.yml": mail, "prometheus.yml": look, "webhook-service.rules.yml": rules, "slo.rules.yml": ""},
            [TOOLS[0], f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{prometheus}",
             "--rules.alert.resend-delay=1s"],
            [TOOLS[1], f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am", f"--web.listen-address=127.0.0.1:{manager}", "--cluster.listen-address="])
        p.prometheus = f"http://127.0.0.1:{prometheus}/api/v1/"
        wait_until(lambda: asked(p, 'up{job="webhook-service"}') == [1.0], 60, 0.1)
        yield p
    finally:
        for program in started:
            program.terminate()
            program.wait(30)
        p.close()
        box.controller.stop()


def asked(p, expression):
    try:
        with urllib.request.urlopen(p.prometheus + "query?" + urllib.parse.urlencode({"query": expression}), timeout=10) as answer:
            return [float(r["value"][1]) for r in json.load(answer)["data"]["result"]]
    except OSError:
        return []


def state(p, alert):
    with urllib.request.urlopen(p.prometheus + "alerts", timeout=10) as answer:
        return [a["state"] for a in json.load(answer)["data"]["alerts"] if a["labels"]["alertname"] == alert]


def push(p, secret=None):
    key = str(time.monotonic_ns())
    return p.push("seen", secret or p.secret, "x", raw=b'{"ref":"refs/heads/main"}', delivery=key, sender="generic").status


class Injected:
    """strace bound to the threads that write the journal, its own and the loop's, as long as the block lasts."""

    def __init__(self, p, what):
        tasks = f"/proc/{p.process.pid}/task"
        thread = next(t for t in os.listdir(tasks) if open(f"{tasks}/{t}/comm").read() == "journal\n")
        self.command = [TOOLS[2], "-q", "-p", thread, "-p", str(p.process.pid), "-o", "/dev/null", "-e", "trace=pwrite64,fdatasync", "-e", "inject=" + what]
        self.status = f"{tasks}/{thread}/status"

    def __enter__(self):
        self.strace = subprocess.Popen(self.command, stderr=subprocess.DEVNULL)
        wait_until(lambda: "TracerPid:\t0" not in open(self.status).read() or self.strace.poll() is not None, 20)
        if self.strace.poll() is not None:
            pytest.skip("strace may not attach to processes here")

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.wait(20)


def fires_and_resolves(p, alert, cause, over=lambda: None):
    """`cause` is repeated until the alert fires and its mail is there, `over` until both are so of its end."""
    wait_until(lambda: (cause(), state(p, alert) == ["firing"])[1], 60, 0.05)
    wait_until(lambda: (cause(), p.box.arrived(alert, "firing"))[1], 30, 0.05)
    return lambda: (wait_until(lambda: (over(), not state(p, alert))[1], 60, 0.1), wait_until(lambda: p.box.arrived(alert, "resolved"), 30, 0.05))


def test_promises_rouse_when_they_are_broken():
    """Each of the other set's alerts fires for what it is meant for and for nothing else; slo.test.yml says when."""
    checked = subprocess.run(["promtool", "test", "rules", TOP / "tests" / "e2e" / "slo.test.yml"], capture_output=True, text=True)
    assert checked.returncode == 0 and "SUCCESS" in checked.stdout, checked
    wanted = set(re.findall(r"alertname=\"(\w+)\"", (TOP / "tests" / "e2e" / "slo.test.yml").read_text()))
    assert wanted == set(re.findall(r"alert: (\w+)", (ALERTS / "slo.rules.yml").read_text()))


def full_in_classic_words(p):
    """A full disk, said by the addresses of the programs that were here before."""
    github = next(s for s in SENDERS if s.label == "github")
    body = github.body("main", "1" * 40)
    for path, secret, words in (
        ("/github-webhook", p.deployer, {"status": 503, "message": "Service Unavailable"}),
        (f"/webhooks/{p.webops}/", p.webops, {"error": "Internal server error"}),
    ):
        answer = p.call("POST", path, body, token="", headers={"Content-Type": "application/json", **github.request(secret, body, path)})
        said = {k: v for k, v in answer.json.items() if k != "description"}
        assert (answer.status, said) == (503, words) and int(answer.headers["Retry-After"]) == 30, answer


def test_promtool_finds_nothing():
    checked = subprocess.run(["promtool", "check", "rules", ALERTS / "webhook-service.rules.yml"], capture_output=True, text=True)
    assert checked.returncode == 0 and "4 rules found" in checked.stdout, checked
    checked = subprocess.run(["promtool", "check", "rules", ALERTS / "slo.rules.yml"], capture_output=True, text=True)
    assert checked.returncode == 0 and "25 rules found" in checked.stdout, checked
    names = [re.findall(r"alert: (\w+)", (ALERTS / f"{n}.rules.yml").read_text()) for n in ("webhook-service", "slo")]
    assert len(names[1]) == 13 == len(set(names[1])) and not set(names[0]) & set(names[1])
    checked = subprocess.run(["promtool", "check", "config", ALERTS / "prometheus.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked
    checked = subprocess.run(["amtool", "check-config", ALERTS / "alertmanager.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked


def test_each_fires_and_resolves(watched):
    p = watched
    assert not any(state(p, a) for a in ("WebhookServiceDown", "HighErrorRate", "HighResponseTime", "AuthenticationFailures"))
    for _ in range(30):
        assert push(p, "wrong" * 8) == 401
    refused = fires_and_resolves(p, "AuthenticationFailures", lambda: None)
    with Injected(p, "pwrite64:error=ENOSPC"):
        full = fires_and_resolves(p, "HighErrorRate", lambda: push(p) == 503)
        full_in_classic_words(p)
    assert push(p) == 202  # it has room again
    full()
    slow_ones = []

    def slow():  # a few at a time: each takes its second and more
        slow_ones[:] = [t for t in slow_ones if t.is_alive()]
        if len(slow_ones) < 3:
            slow_ones.append(threading.Thread(target=push, args=(p,)))
            slow_ones[-1].start()

    with Injected(p, "fdatasync:delay_exit=1200000"):
        slowly = fires_and_resolves(p, "HighResponseTime", slow)
        for t in slow_ones:
            t.join()
    slowly()
    refused()
    p.kill()
    down = fires_and_resolves(p, "WebhookServiceDown", lambda: None)
    p.start()
    down()
    words = "".join(p.box.arrived("AuthenticationFailures", "firing"))
    assert "Multiple authentication failures" in words and "Severity: critical" in words and "in the last 15 minutes" in words
    assert "Instance: 127.0.0.1:" in words and p.secret not in words
