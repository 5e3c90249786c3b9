"""Dependencies: Python packages from an index of our own, Node packages from a lock file; cached by their hash; clear when they fail."""
import base64
import functools
import hashlib
import http.server
import io
import json
import shutil
import tarfile
import tempfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

from harness import free_port

SERVER = """import http.server, os
import {module}
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = {module}.hello().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
"""
MANIFEST = "kind: command\nprocesses:\n  web: {run: [python3, app.py]}\nhealth: {interval: 100ms}\n"


class Index:
    """PEP 503: /simple/NAME/ lists the wheels of NAME. Counts what is asked."""

    def __init__(self):
        self.dir, self.asked = Path(tempfile.mkdtemp(prefix="slipway-index-")), []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                asked.append(self.path)
                super().do_GET()

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(self.dir)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wheel(self, name, version, code):
        """A wheel made by hand: a module, its metadata and the record."""
        folder = self.dir / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
        files = {
            f"{name}.py": code, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        record = "".join(f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()).decode().rstrip('=')},{len(t)}\n" for n, t in files.items())
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
            for n, t in {**files, f"{info}/RECORD": record + f"{info}/RECORD,,\n"}.items():
                z.writestr(n, t)
        (folder / file).write_bytes(out.getvalue())
        digest = hashlib.sha256(out.getvalue()).hexdigest()
        (folder / "index.html").write_text("".join(f'<a href="{p.name}">{p.name}</a>' for p in folder.glob("*.whl")))
        return digest

    def package(self, name, version, code):
        """A Node package as a registry serves it; returns its address and integrity."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as t:
            for n, text in {"package/package.json": json.dumps({"name": name, "version": version, "main": "index.js"}), "package/index.js": code}.items():
                info = tarfile.TarInfo(n)
                info.size = len(text)
                t.addfile(info, io.BytesIO(text.encode()))
        (self.dir / f"{name}-{version}.tgz").write_bytes(out.getvalue())
        return f"{self.url}/{name}-{version}.tgz", "sha512-" + base64.b64encode(hashlib.sha512(out.getvalue()).digest()).decode()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


@pytest.fixture(scope="module")
def index():
    i = Index()
    yield i
    i.close()


def use(platform, project, url):
    platform.cli("env", "set", project, "--plain", "--build", f"PIP_INDEX_URL={url}/simple", "PIP_TRUSTED_HOST=127.0.0.1", "PIP_RETRIES=0")


def build_words(platform, task):
    return json.dumps(task) + platform.cli("tasks", "show", str(task["id"])).stdout + platform.cli("logs", task["project"], "--tail", "300").stdout


def test_requirements_come_from_the_index_and_stay_cached(platform, git, index):
    index.wheel("slwhello", "1.0", "def hello():\n    return 'hello one'\n")
    repo = git.repository("pip", {"app.py": SERVER.format(module="slwhello"), "requirements.txt": "slwhello==1.0\n", "slipway.yaml": MANIFEST})
    platform.create("pip", repo.url)
    use(platform, "pip", index.url)
    platform.deploy("pip")
    assert platform.get("pip.localhost").body == b"hello one"
    assert any("slwhello-1.0" in path for path in index.asked)
    # the same requirements: from the cache, without a word to the index, and it says so
    asked = len(index.asked)
    repo.commit({"README": "x"})
    task = platform.deploy("pip")
    assert len(index.asked) == asked and "cached environment" in build_words(platform, task)
    # a lock with hashes is held to them
    digest = index.wheel("slwlocked", "1.0", "def hello():\n    return 'locked'\n")
    repo.commit({"requirements.txt": f"slwlocked==1.0 --hash=sha256:{digest}\n", "app.py": SERVER.format(module="slwlocked")})
    platform.deploy("pip")
    assert platform.get("pip.localhost").body == b"locked"
    repo.commit({"requirements.txt": f"slwlocked==1.0 --hash=sha256:{'0' * 64}\n"})
    text = json.dumps(platform.deploy("pip", expect="failed"))
    assert "slwlocked" in text and "hash" in text.lower(), text
    assert platform.get("pip.localhost").body == b"locked"


def test_a_missing_package_is_named(platform, git, index):
    repo = git.repository("piless", {"app.py": "x", "requirements.txt": "slwnowhere>=3\n", "slipway.yaml": MANIFEST})
    platform.create("piless", repo.url)
    use(platform, "piless", index.url)
    error = platform.deploy("piless", expect="failed")["error"]
    assert "slwnowhere" in error["message"], error
    index.wheel("slwold", "1.0", "")
    repo.commit({"requirements.txt": "slwold==9.9\n"})
    shown = platform.cli("deploy", "piless", expect=1).stdout
    assert "slwold" in shown and "9.9" in shown


def test_no_index_and_the_system_has_it_all(platform, git):
    """`pip` is a package of the system's; nothing listens at the index."""
    repo = git.repository("piout", {"app.py": SERVER.format(module="pip").replace("pip.hello()", "pip.__name__"), "requirements.txt": "pip\n", "slipway.yaml": MANIFEST})
    platform.create("piout", repo.url)
    use(platform, "piout", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    task = platform.deploy("piout")
    assert platform.get("piout.localhost").body == b"pip" and time.monotonic() - started < 60
    assert "no package index answers" in build_words(platform, task) and "packages of the system" in build_words(platform, task)
    repo.commit({"requirements.txt": "slwnowhere\n"})
    error = platform.deploy("piout", expect="failed")["error"]
    assert "no package index answers" in error["message"] and "slwnowhere" in json.dumps(error), error


@pytest.mark.parametrize("manifest,words", [
    ('kind: wsgi\npython: {version: "3.99"}\n', ["Python 3.99", "there is 3."]),
    ('kind: node\nnode: {version: "99"}\n', ["Node 99", "on this machine is"]),
])
def test_a_version_that_is_not_there(platform, git, manifest, words):
    name = "ver" + manifest[6:10]
    repo = git.repository(name, {"wsgi.py": "application = None\n", "server.js": "", "slipway.yaml": manifest})
    platform.create(name, repo.url)
    error = platform.deploy(name, expect="failed")["error"]
    assert all(w in error["message"] for w in words), error


def test_npm_ci_from_a_lock_file(platform, git, index):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("needs npm")
    url, integrity = index.package("slw-hello", "1.0.0", "module.exports = () => 'hello from npm'\n")
    package = {"name": "n", "version": "1.0.0", "dependencies": {"slw-hello": "1.0.0"}, "scripts": {"start": "node server.js"}}
    lock = {"name": "n", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {
        "": {"name": "n", "version": "1.0.0", "dependencies": {"slw-hello": "1.0.0"}}, "node_modules/slw-hello": {"version": "1.0.0", "resolved": url, "integrity": integrity}}}
    server = "const hello = require('slw-hello');\nrequire('http').createServer((q, r) => r.end(hello())).listen(Number(process.env.PORT), '127.0.0.1');\n"
    repo = git.repository("npm", {"package.json": json.dumps(package), "package-lock.json": json.dumps(lock), "server.js": server})
    platform.create("npm", repo.url)
    platform.cli("env", "set", "npm", "--plain", "--build", f"npm_config_registry={index.url}/", "npm_config_fetch_retries=0")
    platform.deploy("npm")
    assert platform.get("npm.localhost").body == b"hello from npm"
    # from npm's own cache, kept with the project
    asked = len(index.asked)
    repo.commit({"README": "x"})
    platform.deploy("npm")
    assert len([p for p in index.asked[asked:] if p.endswith(".tgz")]) == 0
    # a tarball that is not what the lock file says
    lock["packages"]["node_modules/slw-hello"]["integrity"] = "sha512-" + base64.b64encode(b"0" * 64).decode()
    repo.commit({"package-lock.json": json.dumps(lock)})
    text = json.dumps(platform.deploy("npm", expect="failed"))
    assert "npm ci" in text and "integrity" in text.lower(), text
    assert platform.get("npm.localhost").body == b"hello from npm"
