"""Who intake is measured beside: one process group each, started and ended here. A peer that cannot be had (no package, no network)
is None, and the bench says so."""
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from _measure import BUILD, free_port, wait_until
from postgres import Postgres
from rabbitmq import Rabbitmq

HERE = Path(__file__).resolve().parent


def prefer(pid):
    """A session of the kernel's automatic groups gets as much of a crowded machine as each other one, whatever runs in it. What is
    measured asks for more, each peer as much as the other, so that compilers of others beside it do not decide who is faster."""
    try:
        Path(f"/proc/{pid}/autogroup").write_text("-19")
    except OSError:
        pass  # no such groups, or not ours to ask


class Peer:
    def __init__(self, argv, port=None, **more):
        out = subprocess.DEVNULL if port else subprocess.PIPE
        self.process = subprocess.Popen(list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL, text=True, start_new_session=True, **more)
        prefer(self.process.pid)
        self.port = port or int(self.process.stdout.readline())
        if port:
            time.sleep(0.5)

    def pids(self):
        """With its children, nginx's workers."""
        own = self.process.pid
        return [own, *map(int, Path(f"/proc/{own}/task/{own}/children").read_text().split())]

    def settle(self):
        """Waits until what it began after its answers is done."""

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


def nginx(folder):
    """Answers the same POST with an empty 200: a worker per processor, no log."""
    port = free_port()
    conf = Path(folder) / "nginx.conf"
    temp = " ".join(f"{k}_temp_path {folder}/{k};" for k in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    conf.write_text(
        f"daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.err; events {{ worker_connections 2048; }}\n"
        f"http {{ access_log off; {temp} client_body_buffer_size 64k; keepalive_requests 100000000;\n"
        f"server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200; }} }} }}\n"
    )
    return Peer(["/usr/sbin/nginx", "-c", conf], port)


def responder():
    """Looks at lengths and at nothing else: what generator and kernel can do."""
    return Peer([BUILD / "tests" / "responder"])


def webhook(folder, secret):
    """Debian's package, running /bin/true for each."""
    if not shutil.which("webhook"):
        return None
    port = free_port()
    hooks = Path(folder) / "hooks.json"
    hooks.write_text(
        '[{"id": "x", "execute-command": "/bin/true", "trigger-rule": {"match": {"type": "payload-hmac-sha256", "secret": "%s",'
        ' "parameter": {"source": "header", "name": "X-Hub-Signature-256"}}}}]' % secret
    )
    return Peer(["webhook", "-hooks", hooks, "-ip", "127.0.0.1", "-port", port], port)


def node(kind, folder, secret):
    """receiver/receiver.mjs, `sqlite` or `log`. Its package comes from its lock file."""
    where = HERE / "receiver"
    if not shutil.which("node"):
        return None
    if kind == "sqlite" and not (where / "node_modules").is_dir():
        return None
    own = Path(folder) / kind
    own.mkdir()
    return Peer(["node", where / "receiver.mjs", secret, kind, own])


def go(kind, folder, secret):
    """receiver/receiver.go, `sqlite` or `log`, as tools/bench built it from Debian's packages."""
    program = BUILD / "receiver-go"
    if not program.exists():
        return None
    own = Path(folder) / ("go-" + kind)
    own.mkdir()
    return Peer([program, secret, kind, own])


def below(pid):
    """The process and all that came from it."""
    found = [pid]
    for one in found:
        try:
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        except OSError:
            continue
    return found


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
        return True
    except OSError:
        return False


class Documents:
    """receiver/documents.py: gunicorn, Celery, and a PostgreSQL and a RabbitMQ of their own."""

    def __init__(self, folder, secret):
        self.port, processors = free_port(), os.cpu_count()
        self.database, self.broker = Postgres(fsync=True, settings=("shared_buffers=1GB", "wal_compression=on", "max_wal_size=4GB")), Rabbitmq(management=False)
        workers, threads = 2 * processors + 1, 16
        env = {
            "PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(HERE / "receiver"),
            "DSN": self.database.database("documents"), "BROKER": self.broker.url, "SECRET": secret, "THREADS": str(threads),
        }
        subprocess.run(["/usr/bin/python3", HERE / "receiver/documents.py"], env=env, check=True)
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": env, "cwd": folder, "start_new_session": True}
        self.own = [
            subprocess.Popen(["/usr/bin/python3", "-m", "celery", "-A", "documents:queue", "worker", "--concurrency", str(processors), "--without-gossip", "--without-mingle", "--without-heartbeat"], **quiet),
            subprocess.Popen(
                ["/usr/bin/gunicorn", "--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads), "--keep-alive", "75", "--backlog", "2048", "--bind", f"127.0.0.1:{self.port}",
                 "--worker-tmp-dir", "/dev/shm", "documents:app"], **quiet,
            ),
        ]
        for p in [*self.own, self.database.process, *self.broker.processes]:
            prefer(p.pid)
        wait_until(lambda: listens(self.port), 60)

    def pids(self):
        return [pid for p in [*self.own, self.database.process, *self.broker.processes] for pid in below(p.pid)]

    def count(self, where):
        out = subprocess.run([self.database.bin / "psql", "-h", self.database.dir, "-U", "postgres", "-At", "-c", "SELECT count(*) FROM delivery WHERE " + where, "documents"], capture_output=True, text=True, check=True)
        return int(out.stdout)

    def settle(self):
        wait_until(lambda: self.count("NOT done") == 0, 300, every=0.2)

    def stop(self):
        for p in reversed(self.own):
            os.killpg(p.pid, signal.SIGTERM)
        for p in self.own:
            try:
                p.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(p.pid, signal.SIGKILL)
                p.wait()
        self.broker.close()
        self.database.close()


def documents(folder, secret):
    """None where a package is missing."""
    there = all(os.path.exists(p) for p in ("/usr/bin/gunicorn", "/usr/lib/rabbitmq/bin/rabbitmq-server"))
    if not there or subprocess.run(["/usr/bin/python3", "-c", "import celery, flask, psycopg2"], capture_output=True).returncode != 0:
        return None
    return Documents(folder, secret)
