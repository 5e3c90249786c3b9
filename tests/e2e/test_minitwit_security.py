"""The report's security assessment of MiniTwit, repeated on ours (docs/minitwit-security.md): every URL and form is reached, logged in
and not, and given script and SQL; what changes something is asked for by another site. Each probe must first find a hole that `Holes`
tears open before the same program. SLIPWAY_LONG=1 adds nmap, sqlmap and wapiti, on the program and on the holes."""
import html.parser
import http.server
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import urllib.parse
from pathlib import Path

import pytest

from harness import SANITIZED, TOP

spec = importlib.util.spec_from_file_location("contract", TOP / "apps/minitwit/tests/contract.py")
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)

SCRIPTS = (
    "<probe>", "\"><probe x='", "'><probe>", "<img src=x onprobe=1>", "\" onprobe=1 \"", "</title><probe>", "<svg/onprobe=1>", "javascript:probe//", "&lt;probe&gt;<probe",
)
SQL = ("'", "\"", "' OR '1'='1", "1 OR 1=1", "1; DROP TABLE message; --", "' UNION SELECT 1,2,3,4,5 --", "1 AND (SELECT 1 FROM user)", "\\", "%27", "$1", "$name")
ROWS = 30  # of a page
LONG = bool(os.environ.get("SLIPWAY_LONG"))
NO_TOOLS = not LONG or not all(shutil.which(t) for t in ("nmap", "sqlmap", "wapiti"))


class Page(html.parser.HTMLParser):
    """Links, forms, and whatever of a probe has become markup."""

    def __init__(self, text):
        super().__init__()
        self.links, self.forms, self.broken = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "a" and given.get("href", "").startswith(("/", "?")):
            self.links.add(given["href"])
        if tag == "form":
            self.forms.append((given["action"], given.get("method", "get").upper(), {}))
        if tag == "input" and given.get("name") and self.forms:
            self.forms[-1][2][given["name"]] = given.get("value") or ""
        if "probe" in tag or any("probe" in (name or "") for name in given) or any((given.get(k) or "").startswith("javascript:") for k in ("href", "src", "action")):
            self.broken.append(self.get_starttag_text())


class Holes(http.server.ThreadingHTTPServer):
    """Before the same program: texts are no longer escaped on the public timeline, its ?p= becomes part of a statement and is echoed, and forms
    come from anywhere. Not `torn` it only lets nobody sign out, because Debian's wapiti cannot leave a link alone (its -x fails on
    Python 3.11)."""

    def __init__(self, site, torn=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.site, self.torn, self.port = site, torn, self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def send(self, method, path, body=None, headers=None):
        connection = contract.http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            return contract.Answer(connection.getresponse())
        finally:
            connection.close()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def injected(self, number):
        with sqlite3.connect(f"file:{self.server.site.data}/minitwit.db?mode=ro", uri=True) as db:
            return "".join(f"<li>{row[0]}" for row in db.execute("SELECT text FROM message WHERE author_id >= " + number + " LIMIT 40"))

    def do_GET(self):
        length = int(self.headers.get("Content-Length") or 0)
        signs = ("Origin", "Referer", "Sec-Fetch-Site") if self.server.torn else ()
        headers = {k: v for k, v in self.headers.items() if k not in (*signs, "Connection")}
        url = urllib.parse.urlsplit(self.path)
        path = "/public" if url.path == "/public" and self.server.torn else "/nobody" if url.path == "/logout" else self.path
        answer = self.server.site.send(self.command, path, self.rfile.read(length), headers)
        body, status = answer.body, answer.status
        if url.path == "/public" and status == 200 and self.server.torn:
            number = urllib.parse.parse_qs(url.query).get("p", [""])[0]
            body = html.unescape(answer.text).encode()
            try:
                body += self.injected(number).encode() if number else b""
            except sqlite3.Error as error:
                body = f"<p>There is no page {number} (sqlite3.OperationalError: {error})".encode()
        self.send_response(status)
        for name, value in answer.headers.items():
            if name not in ("Content-Length", "Connection") and not (self.server.torn and name == "Content-Security-Policy"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET


@pytest.fixture(scope="module")
def site():
    site = contract.Site(SANITIZED / "apps/minitwit/minitwit")
    b = site.browser()
    for name in ("anna", "berta"):
        b.enter(name)
        for i in range(32):  # more than a page
            site.api("POST", "/msgs/" + name, {"content": f"number {i}"}, expect=204)
    yield site
    site.close()


@pytest.fixture(scope="module")
def holes(site):
    holes = Holes(site)
    yield holes
    holes.shutdown()
    holes.server_close()


def person(target, name="anna"):
    b = contract.Browser(target)
    assert "You were logged in" in b.login(name).text
    return b


def crawl(b, starts=("/", "/public", "/login", "/register")):
    """Every page that links lead to, once; how they look and what they offer. Signing out is seen and left."""
    waiting, pages = list(starts), {}
    while waiting:
        path = waiting.pop()
        shape = re.sub(r"csrf=\w+", "csrf=…", path)
        if shape in pages or path.startswith("/logout"):
            continue
        answer = b.get(path)
        assert answer.status < 500, (path, answer)
        pages[shape] = page = Page(answer.text)
        waiting += [urllib.parse.urljoin(path, link) for link in sorted(page.links)]
        page.changes = sorted(link for link in page.links if re.search(r"/(un)?follow|^/logout", link))
    return pages


def forms_of(pages):
    return {action: (method, fields) for page in pages.values() for action, method, fields in page.forms}


def run(*argv, seconds=900):
    return subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds).stdout


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_nmap_finds_one_port(site):
    out = run("nmap", "-n", "-Pn", "-sT", "-p-", "127.0.0.1")
    assert re.findall(r"^(\d+)/tcp +open", out, re.M) == [str(site.processes[0][1])], out


def test_every_page_and_form_is_reached(site):
    pages = crawl(person(site))
    assert {"/", "/public", "/public?p=1", "/anna", "/berta", "/?p=1", "/anna?p=1"} <= set(pages)
    assert any(re.match(r"/berta/(un)?follow", link) for page in pages.values() for link in page.changes)
    assert set(forms_of(pages)) == {"/add_message"}
    assert set(forms_of(crawl(site.browser()))) == {"/login", "/register"}


def script_probes(target):
    """What of all probes, in every field of every form and in every path and query, became markup on some page."""
    broken = []
    for who in (contract.Browser(target), person(target)):
        for action, (method, fields) in sorted(forms_of(crawl(who)).items()):
            for name in fields:
                for text in SCRIPTS:
                    given = {**fields, **{k: "a@b" for k in fields if k != "csrf"}, name: text}
                    broken += Page(who.send(method, action, given).text).broken
                    if "password" in name:
                        break  # shown nowhere, and each takes a hash
        for text in SCRIPTS:
            quoted = urllib.parse.quote(text, safe="")
            for path in ("/" + quoted, "/public?p=" + quoted, "/login?" + quoted, f"/{quoted}/follow"):
                broken += Page(who.get(path).text).broken
        for page in crawl(who).values():
            broken += page.broken
    return broken


def test_script_is_shown_as_text_everywhere(site, holes):
    assert script_probes(site) == []
    assert script_probes(holes), "the probes find nothing where texts are not escaped"


def sql_probes(target):
    """Answers that tell an injected one from a harmless one: errors, or more than was asked for."""
    told, b = [], person(target)
    for text in SQL:
        quoted = urllib.parse.quote(text, safe="")
        for path in ("/public?p=" + quoted, "/anna?p=" + quoted, "/?p=" + quoted, "/" + quoted, f"/{quoted}/follow", "/msgs?no=" + quoted, "/msgs/anna?no=" + quoted, "/msgs/" + quoted, "/fllws/" + quoted, "/latest?latest=" + quoted):
            answer = b.get(path, headers=contract.AUTH)
            told += [(path, answer.status)] if answer.status >= 500 or answer.text.count("<li>") > ROWS else []
        for path, fields in (("/login", {"username": text, "password": text}), ("/register", {"username": text, "email": text + "@", "password": text, "password2": ""}), ("/add_message", {"text": text})):
            answer = contract.Browser(target).send("POST", path, fields)
            told += [(path, text, answer.status)] if answer.status >= 500 or "You were logged in" in answer.text else []
    return told


def test_no_statement_is_made_of_what_was_sent(site, holes):
    assert sql_probes(site) == []
    assert site.browser().get("/anna").status == 200, "the tables are there"
    assert sql_probes(holes), "the probes find nothing where a statement is made of text"


def forged(target):
    """What another site's page could do in the name of somebody who is logged in."""
    done, b = [], person(target)
    pages = crawl(b)
    for headers in ({"Origin": "https://evil.example"}, {"Referer": "https://evil.example/"}, {"Sec-Fetch-Site": "cross-site"}):
        for action, (method, fields) in {**forms_of(pages), **forms_of(crawl(contract.Browser(target)))}.items():
            answer = b.send(method, action, {**fields, **{k: "forged@x" for k in fields if k != "csrf"}}, headers, follow=False)
            done += [(action, headers, answer.status)] if answer.status != 403 else []
        for link in sorted({link for page in pages.values() for link in page.changes}):
            answer = b.send("GET", link, None, headers, follow=False)
            done += [(link, headers, answer.status)] if answer.status != 403 else []
    return done


def test_nothing_changes_because_another_site_asks(site, holes):
    assert forged(site) == []
    assert forged(holes), "the probes find nothing where forms come from anywhere"


# --- the report's tools ---


def cookies_of(b):
    return "; ".join(f"{k}={v}" for k, v in b.cookies.items())


def sqlmap(port, b):
    """What sqlmap says is injectable."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        usual = ("--batch", "--flush-session", "--disable-coloring", "--level=2", "--dbms=sqlite", "--technique=BEU", "--threads=4", "--output-dir", folder)
        base = f"http://127.0.0.1:{port}"
        for url, more in (
            ("/public?p=1", ("-p", "p")), ("/anna?p=1", ("-p", "p")), ("/anna*", ()), ("/msgs?no=5", ("-p", "no")), ("/msgs/anna?no=5&latest=1", ("-p", "no,latest")),
            ("/login", ("--data=username=anna&password=x", "-p", "username")), ("/add_message", ("--data=text=hello", "-p", "text")),
        ):
            out = run("sqlmap", "-u", base + url, "--cookie", cookies_of(b), "-H", "Authorization: " + contract.AUTH["Authorization"], *usual, *more)
            found += [url] if re.search(r"^Parameter: ", out, re.M) else []
    return found


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_sqlmap_finds_the_planted_injection_alone(site, holes):
    assert sqlmap(holes.port, person(holes)) == ["/public?p=1"]
    assert sqlmap(site.processes[0][1], person(site)) == []


def wapiti(port, b):
    """Kinds of vulnerability that wapiti reports, with how many."""
    with tempfile.TemporaryDirectory() as folder:
        jar, out = Path(folder) / "cookies.json", Path(folder) / "report.json"
        jar.write_text(json.dumps({"127.0.0.1": {"/": {k: {"version": 0, "value": v, "secure": False, "expires": None, "port": None} for k, v in b.cookies.items()}}}))
        run(
            "wapiti", "-u", f"http://127.0.0.1:{port}/", "-s", f"http://127.0.0.1:{port}/public?p=1", "-s", f"http://127.0.0.1:{port}/login", "-c", jar,
            "-m", "xss,permanentxss,sql,crlf,exec,file,redirect", "--store-session", folder, "--flush-session", "--no-bugreport", "--max-scan-time", 60, "--max-attack-time", 40, "-f", "json", "-o", out,
        )
        return {kind: len(rows) for kind, rows in json.loads(out.read_text())["vulnerabilities"].items() if rows}


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_wapiti_finds_the_planted_holes_alone(site, holes):
    planted = wapiti(holes.port, person(holes))
    assert {"Cross Site Scripting", "SQL Injection"} <= set(planted), planted
    front = Holes(site, torn=False)
    try:
        assert wapiti(front.port, person(front)) == {}
    finally:
        front.shutdown()
        front.server_close()
