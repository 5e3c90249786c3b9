#!/usr/bin/env python3
"""Durable hook intake beside its peers, in one run: GitHub-signed 8 KB push bodies, unique delivery ids, 64 connections.

Peers: nginx answering the same POST with an empty 200 (a worker per core, no access log), and Debian's `webhook` package running
/bin/true for each. Prints one line each, and the ratios. The generator is checked first: it must reach twice nginx's rate on an
empty GET."""
import hashlib
import hmac
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import BUILD, GitServer, Platform, free_port, wait_until  # noqa: E402

SECONDS = float(os.environ.get("SECONDS_EACH", "6"))
LOAD = BUILD / "tests" / "load"


def body_file(folder):
    body = json.dumps({"ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "deleted": False, "commits": [{"message": "x" * 100}] * 65})
    body = (body + " " * 8192)[:8192].encode()
    path = Path(folder) / "body.json"
    path.write_bytes(body)
    return path, body


def load(port, *args, connections=64, seconds=SECONDS):
    out = subprocess.run([LOAD, "--port", str(port), "--connections", str(connections), "--seconds", str(seconds), *map(str, args)], check=True, capture_output=True, text=True)
    return json.loads(out.stdout)


def cpu_of(pids):
    total = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def memory_of(pid):
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


class Nginx:
    def __init__(self, folder):
        self.port = free_port()
        conf = Path(folder) / "nginx.conf"
        temp = " ".join(f"{k}_temp_path {folder}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        conf.write_text(
            f"daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.err; events {{ worker_connections 2048; }}\n"
            f"http {{ access_log off; {temp} client_body_buffer_size 64k; keepalive_requests 100000000;\n"
            f"server {{ listen 127.0.0.1:{self.port} backlog=1024; location / {{ return 200; }} }} }}\n"
        )
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-c", conf])
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Webhook:
    def __init__(self, folder, secret):
        self.port = free_port()
        hooks = Path(folder) / "hooks.json"
        rule = {"match": {"type": "payload-hmac-sha256", "secret": secret, "parameter": {"source": "header", "name": "X-Hub-Signature-256"}}}
        hooks.write_text(json.dumps([{"id": "x", "execute-command": "/bin/true", "trigger-rule": rule}]))
        self.process = subprocess.Popen(["webhook", "-hooks", hooks, "-ip", "127.0.0.1", "-port", str(self.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def main():
    folder = tempfile.mkdtemp(prefix="slipway-bench-")
    os.chmod(folder, 0o755)
    path, body = body_file(folder)
    nginx = Nginx(folder)
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    try:
        empty = load(nginx.port, "--get", "/", seconds=2)
        repo = git.repository("bench", {"index.html": "x"})
        platform.create("bench", repo.url)
        secret = platform.hook("bench", "bench-push")
        signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        signed = ["--body", path, "--header", "Content-Type: application/json", "--header", "X-GitHub-Event: push", "--header", "X-Hub-Signature-256: " + signature, "--unique", "X-GitHub-Delivery"]
        load(platform.http_port, "--post", "/hooks/bench-push", *signed, seconds=1)
        rows = {}
        for turn in range(2):
            rows.setdefault("nginx", []).append(load(nginx.port, "--post", "/", *signed))
            pid = platform.process.pid
            before = cpu_of([pid])
            mine = load(platform.http_port, "--post", "/hooks/bench-push", *signed)
            mine["cpu_s_per_10k"] = (cpu_of([pid]) - before) / mine["ok"] * 10000
            mine["pss_mb"] = memory_of(pid)
            rows.setdefault("slipway", []).append(mine)
        alone = load(platform.http_port, "--post", "/hooks/bench-push", *signed, connections=1, seconds=2)
        nginx_alone = load(nginx.port, "--post", "/", *signed, connections=1, seconds=2)
        webhook = Webhook(folder, secret)
        rows["webhook"] = [load(webhook.port, "--post", "/hooks/x", *signed, seconds=SECONDS / 2)]
        webhook.stop()
        best = {name: max(r, key=lambda x: x["rate"]) for name, r in rows.items()}
        for name, r in best.items():
            print(f"{name:8} {r['rate']:10.0f}/s  p50 {r['p50_us']:6.0f} µs  p99 {r['p99_us']:7.0f} µs  failed {r['failed']}", end="")
            print(f"  {r['cpu_s_per_10k']:.2f} CPU-s per 10,000  {r['pss_mb']:.1f} MB" if "cpu_s_per_10k" in r else "")
        print(f"one client alone: slipway p50 {alone['p50_us']:.0f} µs, nginx {nginx_alone['p50_us']:.0f} µs")
        print(f"generator on nginx's empty GET: {empty['rate']:.0f}/s, {empty['rate'] / best['nginx']['rate']:.2f} of nginx on the POST")
        print(f"slipway / nginx  {best['slipway']['rate'] / best['nginx']['rate']:.3f}")
        print(f"slipway / webhook  {best['slipway']['rate'] / max(best['webhook']['rate'], 1):.1f}")
        count = platform.api("GET", "/health")
        assert count is not None
    finally:
        platform.close()
        git.close()
        nginx.stop()


main()
