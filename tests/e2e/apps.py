"""Small projects for the tests: each answers GET /version with its version and appends the body of POST /append to data/ids."""

DJANGO = {
    "manage.py": """import os, sys
from django.core.management import execute_from_command_line
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
execute_from_command_line(sys.argv)
""",
    "site1/__init__.py": "",
    "site1/settings.py": """import os
SECRET_KEY = "test"
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["app"]
ROOT_URLCONF = "site1.urls"
WSGI_APPLICATION = "site1.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.environ.get("SLIPWAY_DATA_DIR", "."), "db.sqlite3"), "OPTIONS": {"timeout": 20}}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
""",
    "site1/wsgi.py": """import os
from django.core.wsgi import get_wsgi_application
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site1.settings")
application = get_wsgi_application()
""",
    "site1/urls.py": """import os
from django.http import HttpResponse
from django.urls import path
VERSION = open(os.path.join(os.path.dirname(__file__), "..", "VERSION")).read()
def append(request):
    with open(os.path.join(os.environ["SLIPWAY_DATA_DIR"], "ids"), "ab", buffering=0) as f:
        f.write(request.body + b"\\n")
    return HttpResponse("ok")
urlpatterns = [path("version", lambda r: HttpResponse(VERSION)), path("append", append), path("", lambda r: HttpResponse("home"))]
""",
    "app/__init__.py": "",
    "app/models.py": "from django.db import models\nclass Thing(models.Model):\n    name = models.CharField(max_length=9)\n",
    "app/migrations/__init__.py": "",
    "app/migrations/0001_initial.py": """from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    operations = [migrations.CreateModel(name="Thing", fields=[("id", models.BigAutoField(primary_key=True)), ("name", models.CharField(max_length=9))])]
""",
    "slipway.yaml": "kind: django\nhealth: {path: /version, interval: 100ms}\n",
}

NODE = {
    "package.json": '{"name": "n", "version": "1.0.0", "scripts": {"start": "node server.js"}}',
    "server.js": """const http = require('http'), fs = require('fs');
const version = fs.readFileSync(__dirname + '/VERSION', 'utf8');
const ids = process.env.SLIPWAY_DATA_DIR + '/ids';
const server = http.createServer((q, r) => {
  if (q.url === '/append') {
    let body = '';
    q.on('data', d => body += d).on('end', () => { fs.appendFileSync(ids, body + '\\n'); r.end('ok'); });
  } else r.end(version);
});
server.listen(Number(process.env.PORT), '127.0.0.1');
""",
    "slipway.yaml": "kind: node\nprocesses:\n  web: {run: [node, server.js]}\nhealth: {path: /version, interval: 100ms}\n",
}

# Behind a project's own `def answer(path)`: a program that takes the passed socket and answers each GET with what that says.
ANSWERING = """
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        said = answer(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said.encode())
    def log_message(self, *args):
        pass
server = HTTPServer(("", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=3)
server.serve_forever()
"""

# In front of one: `channel()`, a connection to the project's broker and a channel of it, with the queue "jobs".
AMQP = """import os
from urllib.parse import unquote, urlsplit
import amqp
def channel():
    u = urlsplit(os.environ["AMQP_URL"])
    c = amqp.Connection(f"{u.hostname}:{u.port}", userid=unquote(u.username), password=unquote(u.password), virtual_host=unquote(u.path[1:]), connect_timeout=10)
    c.connect()
    c.channel().queue_declare("jobs", durable=True, auto_delete=False)
    return c, c.channel(1)
"""

# A program of the standard library alone that takes the passed socket. %s: what SIGTERM does, and what it does before it serves.
SOCKET = """import os, signal, socket, threading, time
%s
listener = socket.socket(fileno=3)
version = open("VERSION").read()
ids = os.path.join(os.environ["SLIPWAY_DATA_DIR"], "ids")

def serve(c):
    data = b""
    while b"\\r\\n\\r\\n" not in data:
        more = c.recv(65536)
        if not more:
            return c.close()
        data += more
    head, _, body = data.partition(b"\\r\\n\\r\\n")
    length = next((int(l.split(b":")[1]) for l in head.split(b"\\r\\n") if l.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += c.recv(65536)
    path = head.split(b" ")[1]
    if path == b"/append":
        fd = os.open(ids, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, body + b"\\n")
        os.close(fd)
    if path == b"/slow":
        time.sleep(0.3)
    if path.startswith(b"/download/"):
        count = int(path.rsplit(b"/", 1)[1])
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %%d\\r\\nConnection: close\\r\\n\\r\\n" %% (count * 1000))
        for _ in range(count):
            c.sendall(b"x" * 1000)
            time.sleep(0.1)
        return c.close()
    if b"upgrade: websocket" in head.lower():
        c.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n\\r\\n")
        while True:
            data = c.recv(65536)
            if not data:
                return c.close()
            c.sendall(data)
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %%d\\r\\nConnection: close\\r\\n\\r\\n%%s" %% (len(version), version.encode()))
    c.close()

"""
ENDLESS = """while True:
    c, _ = listener.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
"""
# On SIGTERM what is begun is finished, as a restart asks of a program.
POLITE = """leaving = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: leaving.set())
listener.settimeout(0.05)
running = []
while not leaving.is_set():
    try:
        c, _ = listener.accept()
    except TimeoutError:
        running = [t for t in running if t.is_alive()]
        continue
    c.settimeout(None)
    running.append(threading.Thread(target=serve, args=(c,), daemon=True))
    running[-1].start()
for t in running:
    t.join(10)
"""


def socket_app(prelude="", manifest="", run="web: {run: [python3, serve.py], listen: socket}"):
    return {
        "serve.py": SOCKET % prelude + ENDLESS,
        "slipway.yaml": "kind: command\nprocesses:\n  " + run + "\nhealth: {path: /version, interval: 100ms}\n" + manifest,
    }


def polite_app():
    files = socket_app()
    return {**files, "serve.py": SOCKET % "" + POLITE}


def with_version(files, version):
    return {**files, "VERSION": version}
