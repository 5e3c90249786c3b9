#!/usr/bin/env python3
"""MiniTwit beside the same API in Flask + PostgreSQL under gunicorn and in Node + SQLite, on the simulator's mix, in one run, every answer
checked. Each through one nginx that proxies as the platform's edge does (a connection per request, as the simulator's `Connection: close`
wants), the same with 5 % registrations, and without nginx on kept connections. Node twice: as better-sqlite3 sets SQLite up, where a
power cut may take what was answered, and with every commit synced, as the others do. Prints requests/s, as a share of nginx's empty
200, latencies, processor seconds per 10,000 requests (the program's and its database's; nginx and generator apart), memory."""
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from _measure import BUILD, cpu_seconds, free_port, load, machine, median, pss_mb, wait_until
from postgres import Postgres

SECONDS = float(os.environ.get("SECONDS_EACH", "4"))
ROUNDS = int(os.environ.get("ROUNDS", "2"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "32"))
ONLY = os.environ.get("ONLY", "").split()
HERE = Path(__file__).resolve().parent / "minitwit"
MODES = {
    "edge": ["--late", 300],
    "edge, 5 % register": ["--registrations", 500],
    "kept, no nginx": ["--keep"],
}
TIMELINES = ("messages", "public", "follows")  # as the generator calls what is read
# Gives the socket that came as descriptor N to a program as systemd would.
PASS = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1'); os.execv(sys.argv[2], sys.argv[2:])"


def tree(pid):
    """The process and all below it."""
    children = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit():
                children.setdefault(int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
        except OSError:
            continue
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


class Contestant:
    """Some processes behind a socket; `folder` is its own."""

    def __init__(self, folder, name):
        self.folder, self.name, self.processes, self.watched = Path(folder) / name.replace(" ", "-"), name, [], []
        self.folder.mkdir()
        self.port = free_port()

    def spawn(self, argv, env=None, **more):
        log = open(self.folder / "log", "ab")
        process = subprocess.Popen([str(a) for a in argv], env={"PATH": os.environ["PATH"], "HOME": str(self.folder), **{k: str(v) for k, v in (env or {}).items()}}, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **more)
        log.close()
        self.processes.append(process)
        return process

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as s:
                s.sendall(b"GET /latest HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return s.recv(15).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def ready(self):
        wait_until(self.answers, 30)
        return self

    def pids(self):
        return [p for process in self.processes + self.watched for p in tree(process.pid)]

    def cpu(self):
        total = 0
        for pid in self.pids():
            try:
                total += cpu_seconds([pid])
            except OSError:
                continue
        return total

    def memory(self):
        return sum(pss_mb(pid) for pid in self.pids())

    def close(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(30)


class MiniTwit(Contestant):
    def __init__(self, folder, name, processes=1, server=None):
        super().__init__(folder, name)
        with socket.create_server(("127.0.0.1", self.port), backlog=1024) as passed:
            env = {"MINITWIT_DATA": self.folder}
            if server:
                self.watched.append(server.process)
                env["DATABASE_URL"] = server.database("minitwit")
            for _ in range(processes):
                self.spawn([sys.executable, "-c", PASS, passed.fileno(), BUILD / "apps/minitwit/minitwit"], env, pass_fds=[passed.fileno()])
                self.ready()


class Flask(Contestant):
    def __init__(self, folder, name, server):
        super().__init__(folder, name)
        self.watched.append(server.process)
        env = {"DSN": server.database("flask"), "LATEST": self.folder / "latest", "PYTHONPATH": HERE / "peers/flask"}
        made = self.spawn(["/usr/bin/python3", HERE / "peers/flask/app.py"], env)
        assert made.wait() == 0, (self.folder / "log").read_text()
        self.processes.clear()
        # gunicorn's page: 2 × processors + 1 workers behind a proxy that buffers
        workers = 2 * os.cpu_count() + 1
        self.spawn(["/usr/bin/gunicorn", "--workers", workers, "--bind", f"127.0.0.1:{self.port}", "--backlog", 2048, "--worker-tmp-dir", "/dev/shm", "app:app"], env)
        self.ready()


class Node(Contestant):
    def __init__(self, folder, name, synchronous):
        super().__init__(folder, name)
        env = {"SYNCHRONOUS": synchronous, "PORT": self.port, "DATABASE": self.folder / "db", "LATEST": self.folder / "latest", "WORKERS": os.cpu_count(), "NODE_ENV": "production"}
        self.spawn(["node", HERE / "peers/node/server.js"], env)
        self.ready()


class Nginx(Contestant):
    """An empty 200, and what the platform's edge does for each of the others and for that."""

    def __init__(self, folder, others):
        super().__init__(folder, "nginx")
        temp = " ".join(f"{k}_temp_path {self.folder}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.edges = {o.name: free_port() for o in [*others, self]}
        proxied = "".join(
            f"upstream u{o.port} {{ server 127.0.0.1:{o.port} max_fails=0; }}\n"
            f"server {{ listen 127.0.0.1:{self.edges[o.name]} backlog=1024; location / {{ proxy_pass http://u{o.port}; }} }}\n"
            for o in [*others, self]
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off; worker_processes auto; pid {self.folder}/pid; error_log {self.folder}/error; events {{ worker_connections 4096; }}\n"
            f"http {{ access_log off; {temp} keepalive_requests 100000000; proxy_http_version 1.1; proxy_next_upstream off; proxy_set_header Host $host;\n"
            "proxy_set_header Connection close; proxy_buffer_size 16k; proxy_buffers 8 16k; proxy_busy_buffers_size 32k;\n"
            f"server {{ listen 127.0.0.1:{self.port} backlog=1024; location / {{ return 200; }} }}\n{proxied} }}\n"
        )
        self.spawn(["/usr/sbin/nginx", "-c", self.folder / "nginx.conf"])
        self.ready()


def simulate(contestant, nginx, mode, folder):
    """One run of the generator; what it measured with what it cost."""
    port = contestant.port if "no nginx" in mode else nginx.edges[contestant.name]
    out = Path(folder) / "load.json"
    cpu = {}
    done = subprocess.Popen(
        [BUILD / "tests/bench/minitwit/minitwit-load", "--port", str(port), "--persons", "20", "--connections", str(CONNECTIONS), "--seconds", str(SECONDS), "--progress", "--json", out, *map(str, MODES[mode])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    for line in done.stderr:
        if line.strip() in ("begun", "ended"):
            cpu[line.strip()] = contestant.cpu(), nginx.cpu()
    text, row = done.stdout.read(), json.loads(out.read_text())
    assert done.wait() in (0, 1) and row["wrong"] == 0 and row["right"] > 0, (contestant.name, mode, text, (contestant.folder / "log").read_text()[-2000:])
    row["cpu_s"], row["nginx_cpu_s"] = ((b - a) / row["requests"] * 10000 for a, b in zip(cpu["begun"], cpu["ended"]))
    row["pss_mb"] = contestant.memory()
    return row


def rounds(contestants, nginx, folder):
    rows, empty = {}, {"close": [], "kept": [], "edge": []}
    for _ in range(ROUNDS):
        empty["close"].append(load(nginx.port, "--get", "/", "--close", connections=CONNECTIONS, seconds=2)["rate"])
        empty["edge"].append(load(nginx.edges[nginx.name], "--get", "/", "--close", connections=CONNECTIONS, seconds=2)["rate"])
        empty["kept"].append(load(nginx.port, "--get", "/", connections=CONNECTIONS, seconds=2)["rate"])
        for mode in MODES:
            for c in contestants:
                rows.setdefault((mode, c.name), []).append(simulate(c, nginx, mode, folder))
    return rows, empty


def worst(run, kinds):
    """The highest p99 of these kinds of requests."""
    return max(run["kinds"][k]["p99_ms"] for k in kinds)


def report_delay(rows, names):
    """What people who register cost those who read, in the same minute: hashing is to delay no timeline."""
    print("-- timelines (p99 of the slowest kind) without and with 5 % who register")
    for name in names:
        without, beside = (min(worst(run, TIMELINES) for run in rows[mode, name]) for mode in ("edge", "edge, 5 % register"))
        registered = min(worst(run, ("register",)) for run in rows["edge, 5 % register", name])
        print(f"{name:24} {without:7.2f} ms, {beside:7.2f} ms: {beside / without:.1f} times; a registration {registered:.2f} ms")


def report(rows, empty, names):
    print(f"nginx's empty 200: {max(empty['close']):.0f}/s on a connection each, {max(empty['kept']):.0f}/s on kept ones; the edge before it {max(empty['edge']):.0f}/s: more than that no program behind it can answer")
    for mode in MODES:
        base = max(empty["kept" if "kept" in mode else "close"])
        print(f"-- {mode}")
        for name in names:
            runs = rows[mode, name]
            best = max(runs, key=lambda r: r["rate"])
            print(
                f"{name:24} {best['rate']:8.0f}/s  {best['rate'] / base:.3f} of nginx  p50 {best['all']['p50_ms']:6.2f} p99 {best['all']['p99_ms']:7.2f} ms"
                f"  {min(r['cpu_s'] for r in runs):6.2f} CPU-s per 10,000 (nginx {min(r['nginx_cpu_s'] for r in runs):.2f})  {max(r['pss_mb'] for r in runs):6.1f} MB"
                f"  late {sum(r['late'] for r in runs)}, failed {sum(r['failed'] for r in runs)}, wrong {sum(r['wrong'] for r in runs)} of {sum(r['requests'] for r in runs)}"
            )
        for ours in names:
            for peer, bar in (("flask + postgresql", 20), ("node + sqlite", 3), ("node + sqlite, durable", 3)):
                if ours.startswith("minitwit") and peer in names:
                    pairs = [(a["rate"] / b["rate"], b["cpu_s"] / a["cpu_s"]) for a, b in zip(rows[mode, ours], rows[mode, peer])]
                    print(f"  {ours} / {peer}: {median([p[0] for p in pairs]):.1f} × the rate (bar {bar}), {median([p[1] for p in pairs]):.1f} × per processor second")


def main():
    node = (HERE / "peers/node/node_modules/better-sqlite3/build/Release/better_sqlite3.node").exists()
    if not node:
        print("without Node: tools/install-peers has not put better-sqlite3 into tests/bench/minitwit/peers/node")
    folder = tempfile.mkdtemp(prefix="slipway-bench-")
    os.chmod(folder, 0o755)
    servers = {name: Postgres(fsync=True) for name in ("minitwit", "flask")}
    contestants, nginx = [], None
    make = {
        "minitwit": lambda n: MiniTwit(folder, n),
        "minitwit, 2 processes": lambda n: MiniTwit(folder, n, 2),
        "minitwit + postgresql": lambda n: MiniTwit(folder, n, 1, servers["minitwit"]),
        "flask + postgresql": lambda n: Flask(folder, n, servers["flask"]),
        "node + sqlite": lambda n: Node(folder, n, "NORMAL"),
        "node + sqlite, durable": lambda n: Node(folder, n, "FULL"),
    }
    names = [n for n in make if (node or "node" not in n) and (not ONLY or any(w in n for w in ONLY))]
    print(machine())
    try:
        contestants += [make[n](n) for n in names]
        nginx = Nginx(folder, contestants)
        rows, empty = rounds(contestants, nginx, folder)
        report(rows, empty, names)
        report_delay(rows, names)
        print(machine())
    finally:
        for one in [*contestants, *([nginx] if nginx else [])]:
            one.close()
        for server in servers.values():
            server.close()


main()
