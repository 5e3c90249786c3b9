"""Who intake is measured beside: one process group each, started and ended here. A peer that cannot be had (no package, no network)
is None, and the bench says so."""
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from _measure import BUILD, free_port

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
