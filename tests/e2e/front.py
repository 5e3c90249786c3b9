"""Between scanners that know forms and the platform's API: a page with a form for each route, whose fields become its path, query, body or
headers; the answer is the platform's own. It counts what was sent to whom. With `torn` it tears holes, so that whoever probes can be
shown to find them: a statement made of text, script that is not escaped, a header made of text, and a token for whoever asks."""
import collections
import html
import http.client
import http.server
import json
import sqlite3
import threading
import urllib.parse

from surface import NONE

LISTEN = 0.05  # seconds of a stream
INDEX = "/assess/"


class Front(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, world, token=True, torn=False, offered=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.world, self.torn, self.port = world, torn, self.server_address[1]
        self.token, self.offered = world.token if token else None, offered or world.routes  # offered: those with a form on the page
        self.seen, self.lock, self.local = collections.defaultdict(set), threading.Lock(), threading.local()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()

    def note(self, route, given):
        """Fields that were sent something else than their own value."""
        with self.lock:
            self.seen[route.number] |= {f.label for f in route.fields if given.get(f.label, f.base) != f.base}

    def index(self):
        rows = []
        for r in self.offered:
            inputs = "".join(f'<input type="hidden" name="{html.escape(f.label)}" value="{html.escape(f.base)}">' for f in r.fields)
            rows.append(f'<form method="post" action="{INDEX}{r.number}"><p>{html.escape(repr(r))}</p>{inputs}<input type="submit"></form>')
        return ("<!doctype html><title>routes</title>" + "\n".join(rows)).encode()

    def ask(self, method, path, body, headers, stream=False):
        """Status, headers and body of the platform's answer; of a stream what comes at once."""
        kept = getattr(self.local, "connection", None)
        if kept is None:
            kept = self.local.connection = http.client.HTTPConnection("127.0.0.1", self.world.platform.http_port, timeout=60)
        try:
            kept.request(method, path, body, headers)
            sock, answer = kept.sock, kept.getresponse()
            if not stream or answer.status != 200:
                if answer.status == 101:
                    raise http.client.HTTPException("became something else")
                return answer.status, list(answer.headers.items()), answer.read()
            sock.settimeout(LISTEN)
            text = b""
            try:
                while more := answer.read1(65536):
                    text += more
            except TimeoutError:
                pass
            headers, status = list(answer.headers.items()), answer.status
            self.drop()
            return status, headers, text
        except http.client.RemoteDisconnected:  # kept for too long
            self.drop()
            return self.ask(method, path, body, headers, stream)
        except (OSError, ValueError, http.client.HTTPException):  # ValueError: what no client sends, a header of two lines
            self.drop()
            raise

    def drop(self):
        self.local.connection.close()
        self.local.connection = None

    def send(self, route, given=None, more=(), token=True, **how):
        """The route with these values, as the form sends them; through the holes."""
        given = given or {}
        self.note(route, given)
        method, path, body, headers = route.request(given, **how)
        headers |= dict(more)
        if self.token and token or self.torn and "Origin" in headers:
            headers["Authorization"] = "Bearer " + self.token
        answer = self.ask(method, path, body, headers, route.stream)
        return self.tear(route, given, *answer) if self.torn else answer

    def tear(self, route, given, status, headers, body):
        if repr(route) == "GET /api/v1/projects":
            with sqlite3.connect(f"file:{self.world.platform.state}/slipway.db?mode=ro", uri=True) as db:
                try:
                    rows = db.execute("SELECT name FROM project WHERE name > '" + given.get("query:after", NONE) + "' ORDER BY name").fetchall()
                    return 200, headers, json.dumps({"items": [r[0] for r in rows]}).encode()
                except (sqlite3.Error, sqlite3.Warning) as error:
                    return 500, headers, json.dumps({"detail": f"sqlite3.OperationalError: {error}"}).encode()
        if repr(route) == "GET /api/v1/projects/{project}" and status == 404:
            headers = [(k, "text/html" if k == "Content-Type" else v) for k, v in headers if k not in ("Content-Security-Policy", "X-Content-Type-Options")]
            return status, headers, f"<h1>No project {given.get('path:project')}</h1>".encode()
        if route.path == "/api/v1/projects/{project}/logs" and "query:process" in given:
            return status, [*headers, ("X-Process", given["query:process"])], body
        return status, headers, body


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is two writes, and a client that waits to acknowledge the first makes each 40 ms

    def log_message(self, *args):
        pass

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "connection", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        if url.path == INDEX:
            return self.answer(200, [("Content-Type", "text/html; charset=utf-8")], self.server.index())
        number = url.path.removeprefix(INDEX)
        if not number.isdigit() or int(number) >= len(self.server.world.routes):
            return self.answer(404, [("Content-Type", "text/plain")], b"")
        given = dict(urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        try:
            return self.answer(*self.server.send(self.server.world.routes[int(number)], given))
        except (OSError, ValueError, http.client.HTTPException) as error:  # what cannot be sent, such as a header of two lines
            return self.answer(400, [("Content-Type", "text/plain")], type(error).__name__.encode())

    do_POST = do_GET
