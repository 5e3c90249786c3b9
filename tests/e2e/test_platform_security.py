"""The security assessment of the platform's own routes (S30, docs/platform-security.md): every route is reached, with a token and without,
and each field of its path, query, body and headers is given SQL, script and line breaks; what changes something is asked for by another
site. Each probe must first find the hole that front.Front tears open before the same platform. SLIPWAY_LONG=1 adds nmap, sqlmap and
wapiti on every route with a token, on the platform and on the holes, and prints what was reached."""
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from front import INDEX, Front
from harness import Platform
from surface import HOOK_TEST, HOOKS, World, in_source
from test_minitwit_security import Page

LONG = bool(os.environ.get("SLIPWAY_LONG"))
NO_TOOLS = not LONG or not all(shutil.which(t) for t in ("nmap", "sqlmap", "wapiti"))
SCRIPTS = ("\"'><probe x=1>", "<probe>", "<img src=x onprobe=1>", "javascript:probe//", "</title><svg/onprobe=1>")
SQL = ("' OR '1'='1", "\"'\\", "'", "\"", "1 OR 1=1", "1; DROP TABLE project; --", "' UNION SELECT 1,2,3 --", "\\", "$1")
PAIRS = (("' AND '1'='1", "' AND '1'='2"), (" AND 1=1", " AND 1=2"))
LINES = ("x\r\nX-Probe: 1", "x\nSet-Cookie: probe=1")
TEXTS = (*SQL, *SCRIPTS, *LINES) if LONG else (*SQL[:2], SCRIPTS[0], LINES[0])
TOLD = re.compile(r"sqlite3?[._ :]|SQL logic|syntax error|unrecognized token|no such (table|column)|SQLSTATE|sanitizer|\bsrc/\w", re.I)
MARKUP = re.compile(r"html|xml|svg", re.I)
CHANGES = ("POST", "PUT", "PATCH", "DELETE")
SITE = "https://evil.example"


@pytest.fixture(scope="module")
def world(git):
    p = Platform()
    try:
        yield World(p.start(), git)
    finally:
        p.close()


def opened(world, **how):
    front = Front(world, **how)
    yield front
    front.close()


@pytest.fixture(scope="module")
def front(world):
    yield from opened(world)


@pytest.fixture(scope="module")
def stranger(world):
    yield from opened(world, token=False)


@pytest.fixture(scope="module")
def holes(world):
    yield from opened(world, torn=True)


def judged(route, label, text, status, headers, body):
    """What is wrong with one answer to a probe."""
    where = f"{route} {label} {text!r}: {status}"
    said = dict(line.lower().split(": ", 1) for line in "\n".join(f"{k}: {v}" for k, v in headers).splitlines() if ": " in line)
    plain = body.decode("utf-8", "replace")
    if TOLD.search(plain) and not TOLD.search(text):
        return f"{where} tells {TOLD.search(plain).group(0)!r}"
    if status >= 500 and status != 503:  # which is somebody else's: no mail server, no authority
        return where
    if MARKUP.search(said.get("content-type", "html" if body else "")) and Page(plain).broken:
        return f"{where} is script"
    if body and said.get("x-content-type-options") != "nosniff":
        return f"{where} may be taken for something else"
    if "x-probe" in said or "set-cookie" in said or "probe" in said.get("location", ""):
        return f"{where} made a header"
    return None


def ask(front, route, label, text):
    try:
        return front.send(route, {label: text})
    except ValueError:
        return None  # two lines in a header: no client sends them


def differ(front, route, field):
    """A field whose text is part of a condition: a true one changes nothing, a false one does."""
    base = front.send(route)
    for true, false in PAIRS:
        yes = ask(front, route, field.label, field.base + true)
        no = ask(front, route, field.label, field.base + false)
        if yes and no and (yes[0], yes[2]) == (base[0], base[2]) and (no[0], no[2]) != (base[0], base[2]) and base[0] < 300:
            yield f"{route} {field.label} {false!r} is a condition"


def probe(front, route, texts):
    for field in route.fields:
        for text in texts:
            answer = ask(front, route, field.label, text)
            yield judged(route, field.label, text, *answer) if answer else None
        if field.where in ("path", "query") and not route.stream and route.method == "GET":
            yield from differ(front, route, field)


def probes(front, routes, texts=TEXTS):
    """What every text in every field told."""
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return [t for told in pool.map(lambda r: [t for t in probe(front, r, texts) if t], routes) for t in told]


def kinds(told):
    return {k for t in told for k in ("tells", "is script", "made a header", "is a condition") if k in t}


def test_every_route_is_reached(world, front, stranger):
    """Those of the two tables, each with values that it takes; without a token none but what is public, and what proves itself."""
    rows, hooks = in_source()
    assert hooks == sorted([*HOOKS, HOOK_TEST]), "a route for hooks that nobody assesses"
    assert len(world.routes) == rows + len(hooks), "a route of the API that nobody assesses"
    seen, public = collections.Counter(), []
    for route in world.routes:
        with_token, without = front.send(route)[0], stranger.send(route)[0]
        print(f"{with_token} {without} {route}", *(f.label for f in route.fields))
        assert with_token not in (401, 403, 405) and with_token < 500, (route, with_token)
        seen[with_token // 100] += 1
        if without != 401:
            public.append(str(route))
    print(f"{len(world.routes)} routes, {sum(len(r.fields) for r in world.routes)} fields; answers with a token {dict(seen)}")
    proven = [f"POST {path}" for path in HOOKS] + [f"GET {HOOK_TEST}"]
    assert sorted(public) == sorted(["GET /api/v1/version", "GET /api/v1/health", "GET /health", "GET /api/v1/openapi.json", *proven]), public
    assert seen[2] > len(world.routes) * 2 // 3, seen


def test_no_field_becomes_a_statement_script_or_header(world, front):
    told = probes(front, world.routes)
    assert told == []
    missed = [(r, f.label) for r in world.routes for f in r.fields if f.label not in front.seen[r.number]]
    assert missed == []
    names = [p["name"] for p in world.platform.api("GET", "/projects")["items"]]
    assert {"victim", "empty"} <= set(names), "the tables are there"


def test_nor_without_a_token(world, stranger):
    assert probes(stranger, world.routes) == []


def torn(world):
    """The routes that front.Front tears holes into."""
    return [r for r in world.routes if str(r) in ("GET /api/v1/projects", "GET /api/v1/projects/{project}") or r.path.endswith("/logs")]


def test_the_probes_find_planted_holes(world, holes):
    assert kinds(probes(holes, torn(world))) == {"tells", "is script", "made a header", "is a condition"}


def forged(front, world):
    """What a page of another site could do with a reader who may everything: no header that needs its leave (CORS), no body but a form's or text."""
    done = []
    for route in world.routes:
        if route.method not in CHANGES or route.path in HOOKS:
            continue
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            status, headers, _ = front.send(route, more=(("Origin", SITE), ("Content-Type", kind), ("Sec-Fetch-Site", "cross-site"), ("Cookie", f"token={world.token}; session={world.token}")), token=False)
            done += [f"{route}: {status} for a {kind}"] if status < 400 else []
            done += [f"{route}: lets other sites read" for k, _ in headers if k.lower().startswith("access-control-")]
    return done


def test_nothing_changes_because_another_site_asks(world, front, holes):
    assert forged(front, world) == []
    for route in world.routes:  # asked for leave, it gives none; nor may another site read what a token opens
        _, path, _, _ = route.request()
        status, headers, _ = front.ask("OPTIONS", path, None, {"Origin": SITE, "Access-Control-Request-Method": route.method, "Access-Control-Request-Headers": "authorization,content-type"})
        assert status in (404, 405) and not any(k.lower().startswith("access-control-") for k, _ in headers), (route, status, headers)
        if route.method == "GET":
            _, headers, _ = front.send(route, more=(("Origin", SITE),))
            assert not any(k.lower().startswith("access-control-") for k, _ in headers), (route, headers)
    assert forged(holes, world), "the probes find nothing where whoever asks is let in"


# --- the report's tools ---


def run(*argv, seconds):
    return subprocess.run(list(map(str, argv)), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds).stdout


def missed(front, world):
    return [f"{r} {f.label}" for r in world.routes for f in r.fields if f.label not in front.seen[r.number]]


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_nmap_finds_the_ports_that_were_asked_for(world):
    out = run("nmap", "-n", "-Pn", "-sT", "-p-", "127.0.0.1", seconds=300)
    own = {world.platform.http_port, world.platform.edge_port, world.platform.https_port}
    pids = {p for p in run("pgrep", "-f", world.platform.run, seconds=10).split()}
    listening = {int(m[1]) for m in re.finditer(r"127\.0\.0\.1:(\d+) .*?pid=(\d+)", run("ss", "-Htlnp", seconds=10)) if m[2] in pids}
    found = set(map(int, re.findall(r"^(\d+)/tcp +open", out, re.M)))
    assert own <= found and listening <= own, (found, listening, own)


def sqlmap_one(front, route, names):
    values = "&".join(f"{f.label}={f.base}" for f in route.fields)
    with tempfile.TemporaryDirectory() as folder:
        out = run(
            "sqlmap", "-u", f"http://127.0.0.1:{front.port}{INDEX}{route.number}", "--data", values, "-p", ",".join(names), "--batch", "--flush-session", "--disable-coloring", "--level=2",
            "--risk=3" if route.method == "DELETE" else "--risk=1", "--dbms=sqlite", "--technique=BEU", "--ignore-code=*", "--timeout=30", "--retries=1", "--threads=2", "--output-dir", folder,
            seconds=1800,
        )
    return [f"{route} {name}" for name in re.findall(r"^Parameter: (\S+)", out, re.M)]


def sqlmap(front, routes):
    """What sqlmap says is injectable."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(lambda r: sqlmap_one(front, r, [f.label for f in r.fields]), [r for r in routes if r.fields])
        return [f for some in found for f in some]


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_sqlmap_finds_the_planted_injection_alone(world, holes):
    planted = [r for r in world.routes if str(r) == "GET /api/v1/projects"]
    assert sqlmap(holes, planted) == ["GET /api/v1/projects query:after"]
    fresh = Front(world)
    try:
        assert sqlmap(fresh, world.routes) == []
        assert missed(fresh, world) == []
    finally:
        fresh.close()


def wapiti(front, seconds):
    """Kinds of vulnerability that wapiti reports, with how many."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "report.json"
        said = run(
            "wapiti", "-u", f"http://127.0.0.1:{front.port}{INDEX}", "--scope", "folder", "-m", "xss,permanentxss,sql,crlf,exec,file,redirect", "-l", 2, "--max-links-per-page", 1000, "--max-files-per-dir", 1000,
            "--max-parameters", 200, "--store-session", folder, "--flush-session", "--no-bugreport", "--max-scan-time", 120, "--max-attack-time", seconds, "-v", 1, "-f", "json", "-o", out, seconds=8 * seconds + 300,
        )
        assert not re.search(r"Max (scan|attack) time", said), "wapiti did not get to its end"
        return {kind: len(rows) for kind, rows in json.loads(out.read_text())["vulnerabilities"].items() if rows}


@pytest.mark.skipif(NO_TOOLS, reason="nmap, sqlmap and wapiti take minutes: SLIPWAY_LONG=1")
def test_wapiti_finds_the_planted_holes_alone(world):
    holes = Front(world, torn=True, offered=torn(world))
    try:
        planted = wapiti(holes, 600)
    finally:
        holes.close()
    assert {"Cross Site Scripting", "SQL Injection"} <= set(planted), planted
    fresh = Front(world)
    try:
        assert wapiti(fresh, 3600) == {}
        assert missed(fresh, world) == []
    finally:
        fresh.close()
