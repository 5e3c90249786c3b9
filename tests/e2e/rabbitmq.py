"""A RabbitMQ of the test's own, from the installed package: in a temporary folder, on ports, with an epmd and a node name of its own, as an
unprivileged user. Its management plugin has an administrator "maker", whose password is "made"."""
import base64
import http.client
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from harness import free_port, wait_until

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


class Rabbitmq:
    def __init__(self, management=True):
        assert os.path.exists(SERVER), "RabbitMQ is not installed: tools/install-deps test"
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-mq-"))
        self.port, self.http_port, self.names, self.nodes = (free_port() for _ in range(4))
        self.user, self.processes = {}, []
        if os.geteuid() == 0:
            p = pwd.getpwnam("rabbitmq")
            os.chown(self.dir, p.pw_uid, p.pw_gid)
            self.user = {"user": p.pw_uid, "group": p.pw_gid, "extra_groups": []}
        (self.dir / "plugins").write_text("[rabbitmq_management].\n" if management else "[].\n")
        (self.dir / "rabbit.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\ndefault_user = maker\ndefault_pass = made\nlog.console = false\nlog.file = rabbit.log\nlog.file.level = {'debug' if management else 'warning'}\n"
            + (f"management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {self.http_port}\n" if management else "")
        )
        self.management = management
        self.start()

    def start(self):
        env = {
            "PATH": os.environ["PATH"], "HOME": str(self.dir), "LANG": "C.UTF-8", "ERL_EPMD_PORT": str(self.names), "ERL_EPMD_ADDRESS": "127.0.0.1", "RABBITMQ_NODENAME": f"slipway{self.nodes}@localhost",
            "RABBITMQ_DIST_PORT": str(self.nodes), "RABBITMQ_MNESIA_BASE": str(self.dir), "RABBITMQ_LOG_BASE": str(self.dir), "RABBITMQ_PID_FILE": str(self.dir / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.dir / "plugins"), "RABBITMQ_CONFIG_FILE": str(self.dir / "rabbit.conf"), "RABBITMQ_CONF_ENV_FILE": str(self.dir / "none"),
            "RABBITMQ_FEATURE_FLAGS_FILE": str(self.dir / "flags"),
        }
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": self.dir, "env": env, "start_new_session": True, **self.user}
        self.processes = [subprocess.Popen(["epmd", "-port", str(self.names), "-address", "127.0.0.1"], **quiet)]
        wait_until(lambda: self.listens(self.names))
        self.processes.append(subprocess.Popen([SERVER], **quiet))
        for port in (self.port, *([self.http_port] if self.management else [])):
            wait_until(lambda: self.listens(port), 120)

    @staticmethod
    def listens(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.connect()
            return True
        except OSError:
            return False
        finally:
            connection.close()

    @property
    def url(self):
        return f"amqp://maker:made@127.0.0.1:{self.port}//"

    def ask(self, method, path, body=None):
        """What the administrator is told; None where there is no such thing."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        headers = {"Authorization": "Basic " + base64.b64encode(b"maker:made").decode(), "Content-Type": "application/json"}
        try:
            connection.request(method, "/api/" + path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300 or answer.status == 404, (method, path, answer.status, text)
        return None if answer.status == 404 else json.loads(text) if text else {}

    def kill(self):
        for p in reversed(self.processes):
            os.killpg(p.pid, signal.SIGKILL)
            p.wait(30)
        self.processes = []

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
