"""The packaged Chromium without a screen, driven over the W3C WebDriver protocol by its own chromedriver; nothing but the standard library."""
import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import free_port

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


def installed():
    return bool(shutil.which("chromedriver") and shutil.which("chromium"))


class Browser:
    def __init__(self):
        self.dir = tempfile.TemporaryDirectory(prefix="slipway-browser-", ignore_cleanup_errors=True)
        self.base = f"http://127.0.0.1:{free_port()}"
        self.driver = subprocess.Popen(
            ["chromedriver", "--port=" + self.base.rsplit(":", 1)[1], "--allowed-ips=127.0.0.1"],
            env={"PATH": "/usr/bin:/bin", "HOME": self.dir.name, "TMPDIR": self.dir.name}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            try:
                self.call("GET", "/status")
                break
            except OSError:
                time.sleep(0.05)
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=900,900", f"--user-data-dir={self.dir.name}/profile"]
        self.session = ""
        self.session = "/session/" + self.call("POST", "/session", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": {"args": arguments}}}})["sessionId"]

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + getattr(self, "session", "") + path, None if body is None else json.dumps(body).encode(), {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {json.load(error)['value'].get('message', '')[:300]}") from None

    def go(self, url):
        self.call("POST", "/url", {"url": url})

    def find(self, css):
        return next(iter(self.call("POST", "/element", {"using": "css selector", "value": css}).values()))

    def type(self, css, text):
        element = self.find(css)
        self.call("POST", f"/element/{element}/clear", {})
        self.call("POST", f"/element/{element}/value", {"text": text})

    def click(self, css):
        self.call("POST", f"/element/{self.find(css)}/click", {})

    def text(self, css="body"):
        return self.call("GET", f"/element/{self.find(css)}/text")

    def sees(self, text, seconds=15):
        """Waits until the page says so: a click returns before the next page is there."""
        end = time.monotonic() + seconds
        while True:
            try:
                page = self.text()
            except AssertionError as between:
                page = str(between)
            if text in page:
                return
            assert time.monotonic() < end, f"{text!r} is not on the page: {page[:500]!r}"
            time.sleep(0.05)

    def run(self, script):
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def shot(self, path):
        Path(path).write_bytes(base64.b64decode(self.call("GET", "/screenshot")))

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(20)
            self.dir.cleanup()
