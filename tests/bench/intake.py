#!/usr/bin/env python3
"""Durable hook intake beside its peers, in one run: GitHub-signed 8 KB push bodies, unique delivery ids, 64 connections.

Peers: nginx answering the same POST with an empty 200 (a worker per core, no access log), and Debian's `webhook` package running
/bin/true for each. Slipway twice: while it deploys what was pushed, one fetch after another (the daemon's own processor time
then has the drain into tasks in it), and while one build is under way, so that every push folds into the task that waits.
Prints one line each and the ratios, the best of ROUNDS. The generator's own limit is shown as its rate on nginx's empty GET."""
import hashlib
import hmac
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from _measure import BUILD, GitServer, Platform, cpu_seconds, free_port, load, machine, median, pss_mb, wait_until

SECONDS = float(os.environ.get("SECONDS_EACH", "4"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
LONG_BUILD = {"index.html": "x", "slipway.yaml": "kind: static\nbuild: [[sleep, '3000']]\n"}


def body_file(folder):
    body = json.dumps({"ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "deleted": False, "commits": [{"message": "x" * 100}] * 65})
    body = (body + " " * 8192)[:8192].encode()
    path = Path(folder) / "body.json"
    path.write_bytes(body)
    return path, body


def disk(folder, seconds=1.0):
    """What the disk itself gives at this moment: groups of sixteen 8 KB records written over in a file that is there already, each
    group synced. Rate in records and the median of a sync: a busy disk slows what is durable and nothing else here."""
    group, path = b"x" * (16 * 8192), Path(folder) / "slipway-bench-disk"
    took, begun = [], time.monotonic()
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for at in range(64):
        os.pwrite(fd, group, at * len(group))
    os.fsync(fd)
    while time.monotonic() - begun < seconds:
        one = time.monotonic()
        os.pwrite(fd, group, len(took) % 64 * len(group))
        os.fdatasync(fd)
        took.append(time.monotonic() - one)
    os.close(fd)
    path.unlink()
    return {"rate": 16 * len(took) / (time.monotonic() - begun), "p50_us": median(took) * 1e6}


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


def signed(secret, path, body):
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return [
        *("--body", path, "--header", "Content-Type: application/json", "--header", "X-GitHub-Event: push"),
        *("--header", "X-Hub-Signature-256: " + signature, "--unique", "X-GitHub-Delivery"),
    ]


def counters(platform):
    lines = platform.call("GET", "/metrics").body.decode().splitlines()
    return {p[0]: int(p[1]) for p in (line.split() for line in lines) if len(p) == 2 and p[1].isdigit()}


def accepted(platform, name, args, **more):
    """One load on a hook, with what it cost the daemon."""
    pid = platform.process.pid
    before, commits = cpu_seconds([pid]), counters(platform)
    row = load(platform.http_port, "--post", "/hooks/" + name, *args, **more)
    after = counters(platform)
    row["cpu_s"] = (cpu_seconds([pid]) - before) / row["ok"] * 10000
    row["pss_mb"] = pss_mb(pid)
    row["group"] = (after["slipway_store_units_total"] - commits["slipway_store_units_total"]) / max(after["slipway_store_commits_total"] - commits["slipway_store_commits_total"], 1)
    return row


def project(platform, git, name, files):
    repo = git.repository(name, files)
    platform.create(name, repo.url)
    return repo, platform.hook(name, name + "-push")


def measure(platform, git, nginx, folder):
    path, body = body_file(folder)
    repo, secret = project(platform, git, "deploying", {"index.html": "x"})
    _, held_secret = project(platform, git, "held", LONG_BUILD)
    live = signed(secret, path, body)
    held = signed(held_secret, path, body)
    task = platform.api("POST", "/projects/held/deploys", {})["task"]
    wait_until(lambda: platform.api("GET", f"/tasks/{task}")["current_step"] == "build", 60)
    rows = {"disk": [], "nginx": [], "webhook": [], "deploying": [], "held": []}
    alone = {"nginx": [], "deploying": [], "held": []}
    load(platform.http_port, "--post", "/hooks/held-push", *held, seconds=1)
    for _ in range(ROUNDS):
        rows["disk"].append(disk("/var/lib" if os.geteuid() == 0 else folder))
        rows["nginx"].append(load(nginx.port, "--post", "/", *live, seconds=SECONDS))
        rows["held"].append(accepted(platform, "held-push", held, seconds=SECONDS))
        alone["held"].append(accepted(platform, "held-push", held, connections=1, seconds=1))
        rows["deploying"].append(accepted(platform, "deploying-push", live, seconds=SECONDS))
        alone["deploying"].append(accepted(platform, "deploying-push", live, connections=1, seconds=1))
        alone["nginx"].append(load(nginx.port, "--post", "/", *live, connections=1, seconds=1))
    webhook = Webhook(folder, secret)  # last: what it starts goes on after its answers
    rows["webhook"] = [load(webhook.port, "--post", "/hooks/x", *live, seconds=SECONDS / 2) for _ in range(2)]
    webhook.stop()
    return rows, alone


def report(rows, alone):
    disks = rows.pop("disk")
    print(f"disk       {max(d['rate'] for d in disks):8.0f}/s  records of 8 KB in synced groups of 16, a sync {min(d['p50_us'] for d in disks) / 1000:.2f} to {max(d['p50_us'] for d in disks) / 1000:.2f} ms at the median")
    best = {name: max(r, key=lambda x: x["rate"]) for name, r in rows.items()}
    for name, r in best.items():
        print(f"{name:10} {r['rate']:8.0f}/s  p50 {r['p50_us'] / 1000:6.2f} ms  p99 {r['p99_us'] / 1000:6.2f} ms  failed {r['failed']}", end="")
        if "cpu_s" in r:
            print(f"  {min(x['cpu_s'] for x in rows[name]):.2f} CPU-s per 10,000, {max(x['pss_mb'] for x in rows[name]):.1f} MB, {r['group']:.1f} units a commit", end="")
        print()
    for name in ("held", "deploying"):
        ratios = [a["rate"] / b["rate"] for a, b in zip(rows[name], rows["nginx"])]
        print(
            f"{name:10} / nginx {best[name]['rate'] / best['nginx']['rate']:.3f} of the bests, {median(ratios):.3f} median of pairs (bar 0.10 with SQLite alone)"
            f"   / webhook {best[name]['rate'] / max(best['webhook']['rate'], 1):.1f} (bar 5)"
            f"   p99 beyond nginx's {(best[name]['p99_us'] - best['nginx']['p99_us']) / 1000:.1f} ms (bar 10)"
        )
    print("one client alone, p50: " + ", ".join(f"{name} {min(r['p50_us'] for r in runs):.0f} µs" for name, runs in alone.items()) + " (bar 200)")


def main():
    folder = tempfile.mkdtemp(prefix="slipway-bench-")
    os.chmod(folder, 0o755)
    nginx = Nginx(folder)
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    print(machine())
    try:
        empty = load(nginx.port, "--get", "/", seconds=2)
        rows, alone = measure(platform, git, nginx, folder)
        report(rows, alone)
        print(f"generator on nginx's empty GET: {empty['rate']:.0f}/s, {empty['rate'] / max(r['rate'] for r in rows['nginx']):.2f} of nginx on the POST")
    finally:
        platform.close()
        git.close()
        nginx.stop()


main()
