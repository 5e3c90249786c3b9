"""Hostile values in every field: what is a name is refused, naming the field; what is free text arrives byte for byte (S1)."""
import concurrent.futures
import http.client
import json
import os
import re
import subprocess
import urllib.parse

import pytest

import apps
import hostile
from harness import BUILD, UnixConnection, wait_until

# What a process was given, as JSON lists of hexadecimal numbers, into data/dump-NAME.
DUMP = """import json, os, sys
name = sys.argv[1]
out = {"argv": [os.fsencode(a).hex() for a in sys.argv[2:]], "env": {os.fsencode(k).hex(): os.fsencode(v).hex() for k, v in os.environ.items()}}
path = (os.environ["SLIPWAY_DATA_DIR"] + "/dump-" + name) if name != "built" else name
open(path + "~", "w").write(json.dumps(out))
os.rename(path + "~", path)
"""
WORKER = "import time\nexec(open('dump.py').read())\ntime.sleep(1000)\n"
SERVER = "import http.server, os\nhttp.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), http.server.SimpleHTTPRequestHandler).serve_forever()\n"


@pytest.fixture(scope="module", autouse=True)
def nothing_was_executed():
    if os.path.exists(hostile.PWNED):
        os.remove(hostile.PWNED)
    yield
    assert not os.path.exists(hostile.PWNED)


# What no message, table or log line may hold: control characters (but the line's end and tabs), and marks that reorder text.
UNFIT = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Api:
    """One kept connection to the API: thousands of calls."""

    def __init__(self, platform):
        self.platform, self.connection = platform, None

    def call(self, method, path, body=None):
        if not self.connection:
            self.connection = UnixConnection(self.platform.run / "api.sock")
        data = None if body is None else json.dumps(body).encode()
        try:
            self.connection.request(method, "/api/v1" + path, data, {"Content-Type": "application/json"} if data else {})
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise
        if answer.getheader("Connection", "").lower() == "close":
            self.connection.close()
            self.connection = None
        return answer.status, text


@pytest.fixture(scope="module")
def victim(platform, git):
    """A deployed project whose settings the values are thrown at."""
    repo = git.repository("victim", {"index.html": "untouched"})
    platform.create("victim", repo.url)
    platform.deploy("victim")
    return "victim"


def quoted(value):
    return urllib.parse.quote(value.encode(), safe="")


URL = "https://127.0.0.1:1/x.git"


def source(**more):
    return {"name": "hostile-p", "source": {"type": "git", "url": URL, **more}}


# label: (method, path, body of the value, words one of which the message must hold). {} in a path is the value, quoted.
REFUSED = {
    "project name": ("POST", "/projects", lambda v: {"name": v, "source": {"type": "archive"}}, ["project name", "/name"]),
    "kind": ("POST", "/projects", lambda v: {**source(), "kind": v}, ["kind"]),
    "source type": ("POST", "/projects", lambda v: source(type=v), ["source"]),
    "source url": ("POST", "/projects", lambda v: source(url=v), ["address", "url", "server"]),
    "source path": ("POST", "/projects", lambda v: {"name": "hostile-p", "source": {"type": "path", "path": "rel" + v}}, ["path"]),
    "domain": ("POST", "/projects", lambda v: {**source(), "domains": [v]}, ["domain"]),
    "domain in part": ("POST", "/projects/victim/domains", lambda v: {"domain": v + ".example.org"}, ["domain"]),
    "domain of a project": ("POST", "/projects/victim/domains", lambda v: {"domain": v}, ["domain"]),
    "hook name": ("POST", "/projects/victim/hooks", lambda v: {"name": v}, ["hook name", "/name"]),
    "hook sender": ("POST", "/projects/victim/hooks", lambda v: {"name": "x", "sender": v}, ["sender"]),
    "operator name": ("POST", "/operators", lambda v: {"name": v}, ["operator name", "/name"]),
    "operator role": ("POST", "/operators", lambda v: {"name": "eve", "role": v}, ["role"]),
    "grant's operator": ("POST", "/grants", lambda v: {"operator": v, "project": "victim", "role": "viewer"}, ["operator"]),
    "grant's project": ("POST", "/grants", lambda v: {"operator": "eve", "project": v, "role": "viewer"}, ["project"]),
    "grant's role": ("POST", "/grants", lambda v: {"operator": "eve", "project": "victim", "role": v}, ["role"]),
    "token's operator": ("POST", "/tokens", lambda v: {"operator": v}, ["operator"]),
    "token's end": ("POST", "/tokens", lambda v: {"expires_at": v}, ["expires_at"]),
    "variable name": ("PUT", "/projects/victim/env", lambda v: {v: {"value": "x"}}, ["variable name"]),
    "variable to unset": ("DELETE", "/projects/victim/env/{}", None, ["variable"]),
    "archive": ("POST", "/projects/victim/deploys", lambda v: {"archive": v}, ["archive"]),
    "address of a deploy": ("POST", "/projects/victim/deploys", lambda v: {"url": v}, ["address", "url", "server"]),
    "process to restart": ("POST", "/projects/victim/restart", lambda v: {"process": v}, ["process"]),
    "process to scale": ("PUT", "/projects/victim/processes/{}", lambda v: {"count": 1}, ["process"]),
    "kind, changed": ("PATCH", "/projects/victim", lambda v: {"kind": v}, ["kind"]),
    "url, changed": ("PATCH", "/projects/victim", lambda v: {"source": {"type": "git", "url": v}}, ["address", "url", "server"]),
    "release": ("POST", "/projects/victim/rollback", lambda v: {"release": v}, ["release"]),
    "project in a path": ("GET", "/projects/{}", None, ["project"]),
    "release in a path": ("GET", "/projects/victim/releases/{}", None, ["release"]),
    "hook in a path": ("GET", "/projects/victim/hooks/{}", None, ["hook"]),
    "domain in a path": ("DELETE", "/projects/victim/domains/{}", None, ["domain"]),
    "event in a path": ("GET", "/projects/victim/events/{}", None, ["event"]),
    "task in a path": ("GET", "/tasks/{}", None, ["task"]),
    "operator in a path": ("DELETE", "/operators/{}", None, ["operator"]),
    "token in a path": ("DELETE", "/tokens/{}", None, ["token"]),
    "grant in a path": ("DELETE", "/grants/{}/victim", None, ["operator", "grant", "role"]),
    "process of logs": ("GET", "/projects/victim/logs?process={}", None, ["process"]),
    "release of logs": ("GET", "/projects/victim/logs?release={}", None, ["release"]),
    "number of lines": ("GET", "/projects/victim/logs?tail={}", None, ["tail"]),
    "since": ("GET", "/projects/victim/logs?since={}", None, ["since"]),
    "page": ("GET", "/projects?after={}", None, ["after"]),
    "limit": ("GET", "/projects?limit={}", None, ["limit"]),
    "state": ("GET", "/projects/victim/tasks?state={}", None, ["state"]),
    "project of the audit trail": ("GET", "/audit?project={}", None, ["project"]),
    "unknown member": ("PATCH", "/projects/victim", lambda v: {"x" + v: 1}, ["x"]),
}
# What is right in a field after all ("null" is a fine name): an oracle of its own, written from the documentation.
NAME, OPERATOR, PROCESS = r"[a-z]([a-z0-9-]{0,27}[a-z0-9])?", r"[a-z][a-z0-9._-]{0,31}", r"[a-z][a-z0-9]{0,15}"
ADDRESS = r"/[^\x00-\x20\x7f]*|https?://(\[::1\]|[\w.-]+)(:\d+)?/.+|[\w.]+:[^\x00-\x20\x7f:/-][^\x00-\x20\x7f]*"
RIGHT = {
    "project name": NAME, "hook name": NAME, "operator name": OPERATOR, "variable name": r"[A-Za-z_][A-Za-z0-9_]*",
    "domain in part": r"(?a:[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)", "source url": ADDRESS, "address of a deploy": ADDRESS, "url, changed": ADDRESS, "page": r".*", "process of logs": PROCESS,
}


@pytest.mark.parametrize("label", REFUSED)
def test_names_are_refused_and_the_field_is_named(platform, victim, label):
    method, path, body, words = REFUSED[label]
    right = re.compile(RIGHT.get(label, r"(?!)"), re.S | re.A)
    values = [v for v in hostile.ALL if not right.fullmatch(v)]
    api, wrong = Api(platform), []
    for value in values:
        status, text = api.call(method, path.replace("{}", quoted(value)), body and body(value))
        answer = json.loads(text)
        said = answer.get("detail", "") + str(answer.get("errors", ""))
        if status not in (400, 404, 409, 413, 422) or not any(w in said for w in [*words, "is not JSON"]):
            wrong.append((value, status, text[:300]))
        elif UNFIT.search(answer["detail"]):
            wrong.append((value, "not fit to be shown", answer["detail"]))
    assert not wrong, (len(wrong), wrong[:40])
    assert len(values) >= 120 or label == "page"


# --- the same through the CLI ------------------------------------------------------------------------------------------------------

BYTES = [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"a\x80b", b"\xfe\xff"]
CLI_REFUSED = {
    "create": lambda v: ["create", "--", v] if v.startswith(b"-") else ["create", v],
    "url": lambda v: ["create", "hostile-q", b"--git=rel ative" + v],
    "kind": lambda v: ["create", "hostile-q", b"--kind=" + v],
    "domain": lambda v: ["create", "hostile-q", b"--domain=" + v],
    "domains add": lambda v: ["domains", "add", "victim", v],
    "variable": lambda v: ["env", "set", "victim", v + b"=1"],
    "hook": lambda v: ["hooks", "create", "victim", v],
    "operator": lambda v: ["operators", "create", v],
    "project": lambda v: ["info", v],
    "task": lambda v: ["tasks", "show", v],
    "release": lambda v: ["rollback", "victim", v],
    "scale": lambda v: ["scale", "victim", v + b"=2"],
}
CLI_RIGHT = {"create": NAME, "hook": NAME, "operator": OPERATOR, "variable": r"(?s:[A-Za-z_][A-Za-z0-9_]*(=.*)?)", "project": NAME, "domain": r"(?!)"}


@pytest.mark.parametrize("label", CLI_REFUSED)
def test_the_cli_refuses_them_too(platform, victim, label):
    right = re.compile(CLI_RIGHT.get(label, r"(?!)").encode())
    env = {"PATH": os.environ["PATH"], "HOME": str(platform.dir), "LANG": "C.UTF-8", "SLIPWAY_SOCKET": str(platform.run / "api.sock")}

    def one(value):
        words = CLI_REFUSED[label](value)
        done = subprocess.run([BUILD / "src/slipway", *words], env=env, capture_output=True, timeout=60, cwd=platform.dir, stdin=subprocess.DEVNULL)
        shown = done.stdout + done.stderr
        fits = not UNFIT.search(shown.decode("utf-8", "surrogateescape").replace("\n", "")) and not re.search(rb"\xff|\xfe|\xed\xa0", shown)
        return None if done.returncode in (64, 65, 77, 78) and done.stderr and fits else (words, done.returncode, shown[:300])

    values = [v for v in [*(t.encode() for t in hostile.TEXTS[::2]), *BYTES] if not right.fullmatch(v) and v not in (b"-h", b"--help")]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        wrong = [w for w in pool.map(one, values) if w]
    assert not wrong, (len(wrong), wrong[:30])


# --- free text -----------------------------------------------------------------------------------------------------------------------


def dumped(platform, project, name):
    path = platform.state / "projects" / project / "data" / f"dump-{name}"
    wait_until(path.exists, 30)
    return json.loads(path.read_text())


def quote_procfile(value):
    return "'" + value.replace("'", "'\\''") + "'"


@pytest.fixture(scope="module")
def free(platform, git):
    """A project that is told every value in every way, and writes down what arrived."""
    lines = [v for v in hostile.TEXTS if not re.search(r"[\n\x01-\x03]", v) and len(v) < 400]
    manifest = "kind: command\nenv:\n" + "".join(f"  M{i:03}: {hostile.yaml(v)}\n" for i, v in enumerate(hostile.TEXTS))
    manifest += "processes:\n  manifest: {run: [python3, worker.py, manifest, " + ", ".join(map(hostile.yaml, hostile.TEXTS)) + "]}\n"
    manifest += "build: [[python3, dump.py, built, " + ", ".join(map(hostile.yaml, hostile.TEXTS)) + "]]\n"
    procfile = "procfile: python3 worker.py procfile " + " ".join(map(quote_procfile, lines)) + "\nweb: python3 server.py\n"
    repo = git.repository("free", {"dump.py": DUMP, "worker.py": WORKER, "server.py": SERVER, "slipway.yaml": manifest, "Procfile": procfile})
    platform.create("free", repo.url)
    values = {f"E{i:03}": {"value": v, "secret": i % 2 == 0} for i, v in enumerate(hostile.TEXTS)}
    platform.api("PUT", "/projects/free/env", values)
    task = platform.api("POST", "/projects/free/deploys", {})["task"]

    def serves():  # the deploy itself goes on watching its workers for ten seconds
        assert platform.api("GET", f"/tasks/{task}")["state"] in ("waiting", "running", "done")
        return platform.get("free.localhost", "/built").status == 200

    wait_until(serves, 60)
    return lines


def test_words_of_manifest_and_procfile_arrive(platform, free):
    assert len(hostile.TEXTS) >= 120 and len(free) >= 120
    expected = [v.encode().hex() for v in hostile.TEXTS]
    assert dumped(platform, "free", "manifest")["argv"] == expected
    assert dumped(platform, "free", "procfile")["argv"] == [v.encode().hex() for v in free]
    built = json.loads(platform.get("free.localhost", "/built").body)
    assert built["argv"] == expected


def test_values_of_variables_arrive(platform, free):
    env = {bytes.fromhex(k).decode(): bytes.fromhex(v) for k, v in dumped(platform, "free", "manifest")["env"].items()}
    for i, value in enumerate(hostile.TEXTS):
        assert env[f"E{i:03}"] == value.encode(), value
        assert env[f"M{i:03}"] == value.encode(), value
    shown = {v["key"]: v["value"] for v in platform.api("GET", "/projects/free/env")["items"]}
    assert all(shown[f"E{i:03}"] == (value if i % 2 else None) for i, value in enumerate(hostile.TEXTS))
    # by the CLI, one word each
    platform.cli("env", "set", "free", "--plain", *(f"C{i:03}={v}" for i, v in enumerate(hostile.TEXTS[:150]) if v != "-"))
    shown = {v["key"]: v["value"] for v in platform.api("GET", "/projects/free/env")["items"]}
    assert all(shown[f"C{i:03}"] == v for i, v in enumerate(hostile.TEXTS[:150]) if v != "-")
    table = platform.cli("env", "list", "free").stdout
    assert not UNFIT.search(table.replace("\n", "")) and len(table.splitlines()) == len(shown) + 1
    assert platform.call("PUT", "/api/v1/projects/free/env", {"X": {"value": "a\0b"}}).status == 400


def test_words_of_a_one_off_command_arrive(platform, free):
    platform.cli("run", "free", "--", "python3", "dump.py", "run", *hostile.TEXTS)
    assert dumped(platform, "free", "run")["argv"] == [v.encode().hex() for v in hostile.TEXTS]


def test_names_of_files_arrive(platform, git):
    names = hostile.file_names()
    repo = git.repository("names", {name: name.encode().hex() for name in names})
    platform.create("names", repo.url, kind="static")
    platform.deploy("names")
    wrong = []
    for name in names:
        page = platform.get("names.localhost", "/" + quoted(name))
        want = {(200, name.encode().hex().encode())}
        if name.startswith("."):  # never served: .env and its like
            want |= {(404, page.body)}
        elif platform.edge_server == "apache" and "?" in name:  # docs/edge.md, "Where they differ"
            want = {(403, page.body)}
        if (page.status, page.body) not in want:
            wrong.append((name, page))
    assert not wrong, (len(wrong), wrong[:20])
    assert sum(not n.startswith(".") for n in names) >= 120


def test_static_paths_arrive(platform, git):
    names = [n for n in hostile.file_names() if len(n) < 100][:128]
    repo = git.repository("paths", {f"{n}/f.txt": f"{i}" for i, n in enumerate(names)})
    platform.create("paths", repo.url)
    for at in range(0, len(names), 16):
        part = list(enumerate(names))[at:at + 16]
        manifest = "kind: static\nstatic:\n" + "".join(f"  /s{i}: {hostile.yaml(n)}\n" for i, n in part)
        repo.commit({"slipway.yaml": manifest})
        platform.deploy("paths")
        for i, n in part:
            page = platform.get("paths.localhost", f"/s{i}/f.txt")
            assert (page.status, page.body) == (200, f"{i}".encode()), (n, page)


def import_commits(repo, commits):
    """One commit per (branch, message, author), each with a page that holds its number, exactly as given."""
    out = bytearray()
    for i, (branch, message, author) in enumerate(commits):
        page, text = str(i).encode(), message.encode()
        out += b"commit refs/heads/" + branch.encode() + b"\nauthor " + author.encode() + b" <a@localhost> 1700000000 +0000\n"
        out += b"committer C <c@localhost> 1700000000 +0000\ndata %d\n" % len(text) + text + b"\n"
        out += b"M 100644 inline index.html\ndata %d\n" % len(page) + page + b"\n\n"
    subprocess.run(["git", "--git-dir", repo.bare, "fast-import", "--quiet", "--force"], input=bytes(out), check=True)
    subprocess.run(["git", "--git-dir", repo.bare, "update-server-info"], check=True)


def subject_of(message):
    """What git calls the subject: the first paragraph on one line."""
    lines = message.lstrip("\n").split("\n")
    first = []
    for line in lines:
        if not line.strip(" \t\r\v\f") :
            if first:
                break
            continue
        first.append(line)
    return " ".join(first).rstrip(" ")


def test_branches_messages_and_authors_arrive(platform, git):
    branches = hostile.branches()[:112]
    messages = [v for v in hostile.TEXTS if v.strip() and v.isprintable()][:112]
    authors = [re.sub(r"[<>\n\0]", "", v).strip(" .,:;<>\"\\'\t\r\x0b\x0c\x01\x02\x03\x07\x08\x1b\x1f") for v in hostile.TEXTS]
    authors = list(dict.fromkeys(a for a in authors if a))[:112]
    commits = list(zip(branches, messages, authors))
    assert len(commits) >= 100
    repo = git.repository("words", {"index.html": "x"})
    import_commits(repo, commits)
    projects = [f"words{n}" for n in range(4)]
    for name in projects:
        platform.create(name, repo.url)

    def some(n):
        for i in range(n, len(commits), len(projects)):
            branch, message, author = commits[i]
            task = platform.deploy(projects[n], ref=branch)
            release = platform.api("GET", f"/projects/{projects[n]}/releases?limit=1")["items"][0]
            assert task["ref"] == branch and release["ref"] == branch, (branch, task, release)
            assert release["subject"] == subject_of(message)[:3900], (message, release)
            assert release["author"].encode()[:3900] == f"{author} <a@localhost>".encode()[:3900], (author, release)
            assert platform.get(f"{projects[n]}.localhost").body == str(i).encode()

    with concurrent.futures.ThreadPoolExecutor(len(projects)) as pool:
        list(pool.map(some, range(len(projects))))
    shown = subprocess.run([platform.build / "src/slipway", "releases", "words0"], env={"SLIPWAY_SOCKET": str(platform.run / "api.sock"), "LANG": "C.UTF-8"}, capture_output=True).stdout
    assert not UNFIT.search(shown.decode().replace("\n", ""))


def test_odd_commits_are_deployed(platform, git):
    """Bytes that are no text where git lets them be: the deploy works and nothing breaks the answer."""
    repo = git.repository("bytes", {"index.html": "x"})
    platform.create("bytes", repo.url)
    for i, raw in enumerate([b"\xff\xfe bad", b"\x1b[31mred \xe2\x80\xae", b"", b"x" * 9000, b"\xc3"]):
        tree = repo.git("write-tree")
        body = b"tree " + tree.encode() + b"\nauthor \xff" + raw[:20] + b" <\xfe@x> 1700000000 +0000\ncommitter c <c@x> %d +0000\n\n" % (1700000000 + i) + raw
        commit = subprocess.run(["git", "hash-object", "-t", "commit", "-w", "--literally", "--stdin"], cwd=repo.work, input=body, capture_output=True, check=True).stdout.decode().strip()
        repo.git("push", "-q", "--force", str(repo.bare), f"{commit}:refs/heads/main")
        subprocess.run(["git", "--git-dir", repo.bare, "update-server-info"], check=True)
        platform.deploy("bytes")
        release = platform.api("GET", "/projects/bytes/releases?limit=1")["items"][0]
        assert release["commit"] == commit
        assert not UNFIT.search(platform.cli("releases", "bytes").stdout.replace("\n", ""))


def test_labels_and_searches_are_free_text(platform, free):
    api = Api(platform)
    made = 0
    for value in hostile.TEXTS:
        status, text = api.call("POST", "/tokens", {"label": value})
        if len(value.encode()) > 100:
            assert status == 400 and "label" in json.loads(text)["detail"]
            continue
        assert status == 201 and json.loads(text)["label"] == value
        made += 1
        status, text = api.call("GET", "/projects/free/logs?contains=" + quoted(value))
        assert status == 200, (value, text)
    assert made >= 120
    shown = platform.cli("tokens", "list").stdout
    assert len(shown.splitlines()) == made + 2 and not UNFIT.search(shown.replace("\n", ""))


# --- what arrives from outside, and what programs print -----------------------------------------------------------------------


def test_hook_payloads_and_headers(platform, victim):
    secret = platform.hook("victim", "outside", sender="generic")
    before = len(platform.api("GET", "/projects/victim/tasks?limit=200")["items"])
    kept = 0
    for i, value in enumerate(hostile.ALL):
        body = json.dumps({"ref": "refs/heads/" + value, "before": value, "after": value, "commits": [{"message": value, "author": {"name": value}}]}).encode()
        answer = platform.push("outside", secret, "x", raw=body, delivery=f"d{i}", sender="generic")
        assert answer.status in (202, 400), (value, answer)
        kept += answer.status == 202
        header = value.encode()
        if len(value) < 200 and not re.search(rb"[\r\n\0]", header):
            body = json.dumps({"ref": "refs/heads/other", "before": "0" * 40, "after": "1" * 40}).encode()
            try:
                answer = platform.push("outside", secret, "x", raw=body, delivery=header, sender="generic")
            except (OSError, http.client.HTTPException):
                continue
            assert answer.status in (200, 202, 400), (value, answer)
            kept += answer.status == 202

    def found():  # a delivery is answered when it is durable, and listed when it is drained
        count, after = 0, ""
        while after is not None:
            page = platform.api("GET", "/projects/victim/events?limit=200" + (f"&after={after}" if after else ""))
            count, after = count + len(page["items"]), page["next"]
        return count

    wait_until(lambda: found() >= kept, 10, 0.05)
    assert found() == kept and kept >= 100
    shown = platform.cli("events", "list", "victim").stdout
    assert not UNFIT.search(shown.replace("\n", "")), shown
    for line in platform.log_text().split("\n"):
        assert not UNFIT.search(line), line


def test_printed_lines_arrive_escaped(platform, git):
    lines = [v.encode() for v in hostile.ALL if not re.search("[\n\r]", v) and v] + [b"\xff\xfe", b"\xed\xa0\x80", b"ok \xe2\x80\xae end", b"\x9b0m"]
    lines = [b"line%03d:" % i + v for i, v in enumerate(lines)]
    printer = f"import sys\nsys.stdout.buffer.write(b'\\n'.join({lines!r}) + b'\\n')\nsys.stdout.flush()\nsys.stderr = open('/dev/null', 'w')\n" + SERVER
    repo = git.repository("printer", {"printer.py": printer, "slipway.yaml": "kind: command\nprocesses:\n  web: {run: [python3, printer.py]}\nhealth: {interval: 100ms}\n"})
    platform.create("printer", repo.url)
    platform.deploy("printer")
    wait_until(lambda: f"line{len(lines) - 1:03}" in platform.cli("logs", "printer").stdout, 20)
    items = [i for i in platform.api("GET", "/projects/printer/logs?process=web&tail=1000")["items"]]
    assert [i["text"][:8] for i in items] == [f"line{n:03}:" for n in range(len(lines))]
    assert not [i for i in items if UNFIT.search(i["text"].replace("\t", ""))]
    raw = subprocess.run([platform.build / "src/slipway", "logs", "printer", "--process", "web", "--tail", "1000"], env={"SLIPWAY_SOCKET": str(platform.run / "api.sock"), "LANG": "C.UTF-8"}, capture_output=True).stdout
    shown = raw.decode().removesuffix("\n").split("\n")
    assert len(shown) == len(lines) and not [l for l in shown if UNFIT.search(l.replace("\t", ""))]


def test_a_failed_deploy_shows_them_escaped(platform, git):
    """The last lines of a bad program, a hostile name in the tree and in the manifest: in messages, tables and the log."""
    bad = "import sys\nsys.stdout.write('\\x1b]0;owned\\x07 \\u202e gnp.exe \\x9b31m\\n')\nsys.exit(1)\n"
    repo = git.repository("failing", {"bad.py": bad, "slipway.yaml": "kind: command\nbuild: [[python3, bad.py]]\nprocesses:\n  worker: {run: [python3, bad.py]}\n"})
    platform.create("failing", repo.url)

    def failed():
        task = platform.deploy("failing", expect="failed")
        shown = platform.cli("tasks", "show", str(task["id"])).stdout + platform.cli("deploy", "failing", "--force", expect=1).stdout
        assert not UNFIT.search(shown.replace("\n", "").replace("\t", "")), shown
        return shown

    assert "gnp.exe" in failed()
    repo.commit({"slipway.yaml": "kind: static\n\"x\\e[31m\\u202e\": 1\n"})
    assert "unknown key" in failed()
    (repo.work / "\x1b[31m\u202eleak").symlink_to("/etc/\x1b[2Jpasswd")
    repo.commit({"slipway.yaml": "kind: static\n"})
    assert "leak" in failed()
