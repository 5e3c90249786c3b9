"""Figures: promtool finds nothing wrong with them, what happened is counted once, and a real Prometheus answers every expression of a
webhook service's dashboard and alert rules."""
import http.server
import json
import os
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from harness import TOP, Platform, free_port, wait_until

PROMETHEUS = shutil.which("prometheus")
EXPRESSIONS = [
    "rate(webhook_requests_total[5m])",
    "histogram_quantile(0.95, rate(webhook_request_duration_seconds_bucket[5m]))",
    "histogram_quantile(0.50, rate(webhook_request_duration_seconds_bucket[5m]))",
    "increase(webhook_auth_failures_total[1h])",
    'rate(notification_delivery_total{status="success"}[5m]) / rate(notification_delivery_total[5m]) * 100',
    'rate(webhook_requests_total{status_code=~"5.."}[5m])',
    'up{job="webhook-service"}',
]


@pytest.fixture(scope="module")
def measured(git):
    port = free_port()
    p = Platform(extra=["--metrics", f"127.0.0.1:{port}", "--outbound-allow", "127.0.0.0/8"])
    p.metrics = f"http://127.0.0.1:{port}/metrics"
    try:
        p.start()
        p.create("seen", git.repository("seen", {"index.html": "1"}).url)
        yield p
    finally:
        p.close()


@pytest.fixture
def receiver():
    """A web server that takes whatever it is told."""

    class Taker(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Taker)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/in"
    server.shutdown()
    server.server_close()


def figures(p):
    with urllib.request.urlopen(p.metrics, timeout=10) as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        text = answer.read().decode()
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? ([0-9.]+)", line).groups()
        key = (name, frozenset(re.findall(r'([a-z_]+)="([^"]*)"', labels or "")))
        assert key not in found, line
        found[key] = float(value)
    return found, text


LABELS = {  # the document's, exactly; of a histogram's series beside `le`
    "webhook_requests_total": {"method", "endpoint", "status_code", "source_type"},
    "webhook_request_duration_seconds_bucket": {"endpoint", "source_type", "le"},
    "webhook_request_duration_seconds_sum": {"endpoint", "source_type"},
    "webhook_request_duration_seconds_count": {"endpoint", "source_type"},
    "webhook_auth_failures_total": {"source_type", "failure_reason"},
    "notification_delivery_total": {"delivery_method", "status"},
    "webhook_active_connections": set(),
}


def of(found, name, **labels):
    return sum(v for (n, l), v in found.items() if n == name and set(labels.items()) <= l)


def test_what_happened_is_counted_once(measured):
    secret = measured.hook("seen", "seen-push", sender="github")
    before, _ = figures(measured)
    zeros = [l for (n, l), v in before.items() if n == "webhook_auth_failures_total" and v == 0]
    assert len(zeros) >= 6  # shown before the first failure, so that an alert sees it rise
    body = json.dumps({"ref": "refs/heads/main", "before": "0" * 40, "after": "1" * 40}).encode()
    answers = [measured.push("seen-push", secret, "x", raw=body, delivery="d1").status for _ in range(2)]
    assert answers == [202, 200]
    for _ in range(3):
        assert measured.push("seen-push", "wrong" * 8, "x", raw=body, delivery="d2").status == 401
    assert measured.push("nowhere", secret, "x", raw=body, delivery="d3").status == 404
    after, text = figures(measured)
    for status, count in (("202", 1), ("200", 1), ("401", 3)):
        assert of(after, "webhook_requests_total", method="POST", endpoint="/hooks/{hook}", source_type="github", status_code=status) == count
    assert of(after, "webhook_requests_total", source_type="unknown", status_code="404") == 1
    assert of(after, "webhook_auth_failures_total", source_type="github", failure_reason="invalid_signature") == 3
    assert of(after, "webhook_auth_failures_total") == 4
    assert of(after, "webhook_request_duration_seconds_count", source_type="github") == 5
    assert of(after, "webhook_request_duration_seconds_bucket", source_type="github", le="+Inf") == 5
    assert 0 < of(after, "webhook_request_duration_seconds_sum", source_type="github") < 5
    assert of(after, "webhook_active_connections") == 0
    named = {(n, frozenset(k for k, _ in l)) for n, l in after if n.startswith(("webhook_", "notification_"))}
    assert named == {(n, frozenset(labels)) for n, labels in LABELS.items()}, named
    assert secret not in text and "seen" not in text  # neither secrets nor names of projects


def test_what_visitors_asked(measured):
    """By project for who has a token; the sum for everybody."""
    measured.deploy("seen")
    for path, count in (("/", 3), ("/nothing", 2)):
        for _ in range(count):
            measured.get("seen.localhost", path)
    named = lambda: measured.api("GET", "/projects/seen")["requests"]
    wait_until(lambda: named()["total"] == 5, 30)
    assert named()["failed"] == 0 and named()["last_at"]
    assert re.search(r"requests +5 since the platform started, 0 failed", measured.cli("status", "seen").stdout)
    asked = urllib.request.Request(f"http://127.0.0.1:{measured.http_port}/metrics", headers={"Authorization": f"Bearer {(measured.state / 'owner.token').read_text().strip()}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        text = answer.read().decode()
    assert 'slipway_project_requests_total{project="seen",status="2xx"} 3' in text and 'project="seen",status="4xx"} 2' in text
    everybody, _ = figures(measured)
    assert of(everybody, "slipway_project_requests_total", status="2xx") == 3 and of(everybody, "slipway_edge_log_odd_total") == 0


def test_a_deploy_tells_what_visitors_noticed(measured, tmp_path):
    (tmp_path / "index.html").write_text("2")
    (tmp_path / "slipway.yaml").write_text("kind: static\nchecks:\n  - {name: slow, run: [sleep, '3']}\n")
    over = threading.Event()

    def visit():
        while not over.wait(0.02):
            measured.get("seen.localhost", "/")

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        said = measured.cli("deploy", "seen", "--dir", tmp_path).stdout
    finally:
        over.set()
        visitor.join()
    counted = re.search(r"drain .* (\d+) requests meanwhile, 0 failed", said)
    assert counted and int(counted[1]) > 10, said


def test_only_figures_are_there(measured):
    for path in ("/api/v1/projects", "/", "/hooks/seen-push"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(measured.metrics.replace("/metrics", path), timeout=10)
        assert refused.value.code == 404
    # and they are nowhere else without a token
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{measured.http_port}/metrics", timeout=10)
    assert refused.value.code == 401


@pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not there")
def test_promtool_finds_nothing(measured):
    checked = subprocess.run(["promtool", "check", "metrics"], input=figures(measured)[1], capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stderr == "", checked.stderr
    broken = subprocess.run(["promtool", "check", "metrics"], input="a_total 1\na_total 2\n", capture_output=True, text=True)
    assert broken.returncode != 0  # the control


@pytest.mark.skipif(not PROMETHEUS, reason="prometheus is not there")
def test_every_expression_of_the_dashboard_has_data(measured, receiver, tmp_path):
    dashboard = json.loads((TOP / "share/alerts/dashboard.json").read_text())
    assert {t["expr"] for panel in dashboard["panels"] for t in panel["targets"]} == set(EXPRESSIONS[:5])
    port = free_port()
    target = urllib.parse.urlsplit(measured.metrics).netloc
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: webhook-service\n  static_configs: [{targets: ['" + target + "']}]\n")
    log = open(tmp_path / "log", "wb")
    server = subprocess.Popen(
        [PROMETHEUS, f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=log, stderr=log, env={"PATH": os.environ["PATH"]})

    def ask(expression):
        url = f"http://127.0.0.1:{port}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                result = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return [float(r["value"][1]) for r in result if r["value"][1] != "NaN"]

    try:
        wait_until(lambda: ask('up{job="webhook-service"}') == [1.0], 60, 0.2)
        measured.api("POST", "/projects/seen/channels", {"name": "all", "type": "webhook", "target": receiver})
        secret = measured.hook("seen", "seen-load", sender="generic")

        def busy():  # something happens between one scrape and the next
            measured.push("seen-load", secret, "x", raw=b'{"ref":"refs/heads/other"}', delivery=str(time.monotonic_ns()), sender="generic")
            measured.push("seen-load", "wrong" * 8, "x", raw=b"{}", delivery="w", sender="generic")
            measured.api("POST", "/projects/seen/channels/all/test", {})
            answers = {e: ask(e) for e in EXPRESSIONS}
            return answers if all(answers.values()) and sum(answers[EXPRESSIONS[0]]) > 0 and sum(answers[EXPRESSIONS[3]]) > 0 else None

        answers = wait_until(busy, 60, 0.3)
        assert max(answers[EXPRESSIONS[1]]) < 1  # seconds
    finally:
        server.terminate()
        server.wait(30)
