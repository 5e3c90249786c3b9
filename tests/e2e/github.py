"""A GitHub for tests: hooks with their deliveries, which it really sends, signed; commit statuses; deployments; its list of addresses.
Whatever it is asked, and whatever it answers, is kept, and `check` holds all of it against GitHub's published OpenAPI description."""
import hashlib
import hmac
import http.client
import http.server
import itertools
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import uuid
from pathlib import Path

VERIFIERS = Path(__file__).resolve().parent.parent / "verifiers"
DESCRIBED = bool(shutil.which("node")) and (VERIFIERS / "node_modules" / "@octokit" / "openapi").is_dir() and (VERIFIERS / "node_modules" / "ajv-formats").is_dir()
TOKEN = "ghp_" + "t" * 36
NOBODY = {"login": "slipway", "id": 1, "node_id": "x", "gravatar_id": "", "type": "User", "site_admin": False} | {
    name: "https://api.github.com/users/slipway"
    for name in (
        "avatar_url", "url", "html_url", "followers_url", "following_url", "gists_url", "starred_url", "subscriptions_url", "organizations_url",
        "repos_url", "events_url", "received_events_url")}


def stamp(at):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))


def verdicts(seen):
    """For each request what is wrong with it, or with its answer, by the description."""
    lines = "".join(json.dumps(one) + "\n" for one in seen)
    run = subprocess.run(["node", VERIFIERS / "openapi.mjs"], input=lines, capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in run.stdout.splitlines()]


class GitHub:
    """`page` deliveries to a page. `answers` come first: (status, headers, body) for the next requests whose path ends so."""

    def __init__(self, page=100):
        self.seen, self.deliveries, self.statuses, self.deployments, self.answers, self.hooks = [], [], [], [], {}, []
        self.page, self.secret, self.allowance, self.meta, self.etag = page, None, None, {}, '"1"'
        self.ids, self.lock, self.threads = itertools.count(190371542843392000), threading.Lock(), []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
                with outer.lock:
                    status, headers, told = outer.answer(self, body)
                    text = json.dumps(told) if not isinstance(told, str) else told
                    outer.seen.append({
                        "method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body,
                        "status": status, "answer": text if status != 304 else "", "at": time.time()})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if status != 304:
                    self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                if status != 304:
                    self.wfile.write(text.encode())

            do_GET = do_POST = handle_one

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.api = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        for thread in self.threads:
            thread.join(30)

    # What is asked.
    def answer(self, request, body):
        url = urllib.parse.urlsplit(request.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        for end, waiting in self.answers.items():
            if url.path.endswith(end) and waiting:
                return waiting.pop(0)
        limits = {}
        if self.allowance:
            self.allowance[0] -= 1
            limits = {"X-RateLimit-Remaining": str(self.allowance[0]), "X-RateLimit-Reset": str(self.allowance[1])}
        if url.path == "/meta":
            if request.headers.get("If-None-Match") == self.etag:
                return 304, {"ETag": self.etag}, ""
            return 200, {"ETag": self.etag, "Cache-Control": "public, max-age=60"}, self.meta
        if request.headers.get("Authorization") != "Bearer " + TOKEN:
            return 401, {}, {"message": "Bad credentials"}
        path = url.path.split("/")[2:]
        if path[:2] != ["anna", "shop"]:
            return 404, {}, {"message": "Not Found"}
        status, headers, told = self.of_repository(request.command, path[2:], query, body)
        return status, {**headers, **limits}, told

    def of_repository(self, method, path, query, body):
        if method == "GET" and path == ["hooks"]:
            return 200, {}, self.hooks
        if path[0] == "hooks" and path[1] != str(self.hooks[0]["id"]):
            return 404, {}, {"message": "Not Found"}
        if method == "GET" and path[0] == "hooks":
            return self.list_deliveries(query)
        if method == "POST" and path[-1] == "attempts":
            return self.redeliver(int(path[3]))
        if method == "POST" and path[0] == "statuses":
            said = json.loads(body)
            self.statuses.append((path[1], said))
            made = {"url": "", "avatar_url": "", "id": 1, "node_id": "x", "created_at": stamp(0), "updated_at": stamp(0), "creator": NOBODY}
            return 201, {}, made | {k: said.get(k) for k in ("state", "description", "target_url", "context")}
        if path[0] == "deployments":
            return self.of_deployments(method, path, query, json.loads(body) if body else None)
        return 404, {}, {"message": "Not Found"}

    def of_deployments(self, method, path, query, said):
        if method == "GET":
            wanted = {"sha": query.get("sha"), "task": query.get("task"), "environment": query.get("environment")}
            fits = [d for d in reversed(self.deployments) if all(d[k] == v for k, v in wanted.items() if v)]
            return 200, {}, [{k: v for k, v in d.items() if k != "states"} for d in fits[:int(query.get("per_page", 30))]]
        at = {"created_at": stamp(0), "updated_at": stamp(0), "creator": NOBODY, "url": "https://api.github.com/x", "repository_url": "https://api.github.com/x", "node_id": "x"}
        if len(path) == 1:
            made = at | {
                "id": next(self.ids), "sha": said["ref"], "ref": said["ref"], "task": said.get("task", "deploy"), "payload": {}, "original_environment": "x",
                "environment": said.get("environment", "production"), "description": said.get("description"), "statuses_url": "https://api.github.com/x"}
            self.deployments.append(made | {"states": []})
            return 201, {}, made
        found = next((d for d in self.deployments if str(d["id"]) == path[1]), None)
        if not found:
            return 404, {}, {"message": "Not Found"}
        found["states"].append(said)
        return 201, {}, at | {
            "id": 1, "state": said["state"], "description": said.get("description", ""), "environment": found["environment"], "target_url": said.get("log_url", ""),
            "log_url": said.get("log_url", ""), "deployment_url": "https://api.github.com/x"} | {k: said[k] for k in ("environment_url",) if k in said}

    def hook(self, url, secret):
        """A hook of anna/shop; returns its number."""
        self.secret = secret
        self.hooks = [{
            "type": "Repository", "id": 4711, "name": "web", "active": True, "events": ["push"], "config": {"url": url, "content_type": "json", "insecure_ssl": "0", "secret": "********"},
            "updated_at": stamp(0), "created_at": stamp(0), "url": "https://api.github.com/x", "test_url": "https://api.github.com/x", "ping_url": "https://api.github.com/x",
            "deliveries_url": "https://api.github.com/x", "last_response": {"code": None, "status": "unused", "message": None}}]
        return self.hooks[0]["id"]

    def list_deliveries(self, query):
        listed = [d for d in reversed(self.deliveries) if "status" not in query or (d["status_code"] // 100 == 2) == (query["status"] == "success")]
        first = int(query["cursor"].removeprefix("v1_")) if "cursor" in query else 0
        size = min(int(query.get("per_page", 30)), self.page)
        headers = {}
        if first + size < len(listed):
            to = f"https://api.github.com/repositories/1/hooks/1/deliveries?per_page={size}&cursor=v1_{first + size}"
            headers["Link"] = f'<{to}>; rel="next", <https://elsewhere.example/?cursor=v1_0>; rel="first"'
        return 200, headers, [{k: v for k, v in d.items() if k != "body"} for d in listed[first:first + size]]

    # What it sends.
    def send(self, body, event="push", guid=None, at=None, redelivery=False, port=None, path=None, secret=None):
        """One try of a delivery, kept with its outcome, which is returned: HTTP's status, or 502 when nobody answered."""
        guid = guid or str(uuid.uuid4())
        to = urllib.parse.urlsplit(self.hooks[0]["config"]["url"])
        signature = "sha256=" + hmac.new((secret or self.secret).encode(), body, hashlib.sha256).hexdigest()
        try:
            connection = http.client.HTTPConnection(to.hostname, to.port, timeout=30)
            connection.request("POST", to.path, body, {
                "Content-Type": "application/json", "X-GitHub-Event": event, "X-GitHub-Delivery": guid, "X-Hub-Signature-256": signature})
            status = connection.getresponse().status
            connection.close()
        except OSError:
            status = 502
        with self.lock:
            self.deliveries.append({
                "id": next(self.ids), "guid": guid, "delivered_at": stamp(at or time.time()), "redelivery": redelivery, "duration": 0.1,
                "status": "OK" if status // 100 == 2 else "failed to connect to host", "status_code": status, "event": event, "action": None,
                "installation_id": None, "repository_id": 1, "throttled_at": None, "body": body})
        return status

    def redeliver(self, number):
        found = next((d for d in self.deliveries if d["id"] == number), None)
        if not found:
            return 422, {}, {"message": "Validation Failed"}
        thread = threading.Thread(target=self.send, args=(found["body"],), kwargs={"guid": found["guid"], "redelivery": True}, daemon=True)
        self.threads.append(thread)
        thread.start()
        return 202, {}, {}

    # What was asked.
    def asked(self, method, end):
        return [s for s in self.seen if s["method"] == method and urllib.parse.urlsplit(s["path"]).path.endswith(end)]
