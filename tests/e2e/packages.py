"""A package index and registry of the tests' own, and programs that use what comes from it."""
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
import zipfile
from pathlib import Path

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

    def wheel(self, name, version, code, requires=()):
        """A wheel made by hand: a module, its metadata and the record; returns its SHA-256."""
        folder = self.dir / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        info, file = f"{name}-{version}.dist-info", f"{name}-{version}-py3-none-any.whl"
        files = {
            f"{name}.py": code, f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {r}\n" for r in requires),
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
        (self.dir / name / "-").mkdir(parents=True, exist_ok=True)
        (self.dir / name / "-" / f"{name}-{version}.tgz").write_bytes(out.getvalue())
        url, integrity = f"{self.url}/{name}/-/{name}-{version}.tgz", "sha512-" + base64.b64encode(hashlib.sha512(out.getvalue()).digest()).decode()
        dist = {"tarball": url, "integrity": integrity, "shasum": hashlib.sha1(out.getvalue()).hexdigest()}
        (self.dir / name / "index.html").write_text(json.dumps({"name": name, "dist-tags": {"latest": version}, "versions": {version: {"name": name, "version": version, "dist": dist}}}))
        return url, integrity

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.dir, ignore_errors=True)


def use(platform, project, url):
    platform.cli("env", "set", project, "--plain", "--build", f"PIP_INDEX_URL={url}/simple", "PIP_TRUSTED_HOST=127.0.0.1", "PIP_RETRIES=0")


def build_words(platform, task):
    return json.dumps(task) + platform.cli("tasks", "show", str(task["id"])).stdout + platform.cli("logs", task["project"], "--tail", "300").stdout
