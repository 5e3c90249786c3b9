"""Every program that the platform starts, seen by strace: argv exactly as the template, never a shell, no value where an option
could stand (S1). What a project's own argv names is the tenant's business and is told apart by its ancestry."""
import io
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path

import pytest

import apps
import hostile
from harness import BUILD, ROOT, GitServer, Platform, wait_until
from test_hostile import import_commits

STRACE = shutil.which("strace")
CALL = re.compile(r'execve\("((?:\\x..)*)", \[(.*?)\], \[.*\]\) = 0$')
BIRTH = re.compile(r"(?:clone|clone3|fork|vfork)\(.* = (\d+)$")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')


def text(hexes):
    return bytes.fromhex(hexes.replace("\\x", "")).decode("utf-8", "surrogateescape")


class Run:
    def __init__(self, pid, path, argv, tenant):
        self.pid, self.path, self.argv, self.tenant = pid, path, argv, tenant

    @property
    def name(self):
        return os.path.basename(self.path)

    def __repr__(self):
        return f"{self.path} {self.argv}"


def read_trace(folder, first):
    """Walks from the first process to its children; marks what runs after slipway-exec has given way to a tenant's program."""
    lines = {int(p.name.split(".")[-1]): p.read_text().splitlines() for p in folder.iterdir()}
    runs, todo, seen = [], [(first, False, "")], set()
    while todo:
        pid, tenant, program = todo.pop(0)
        if pid in seen or pid not in lines:
            continue
        seen.add(pid)
        for line in lines[pid]:
            call, birth = CALL.search(line), BIRTH.search(line)
            if call:
                assert "..." not in STRING.sub("", call.group(2)), line[:300]
                path, argv = text(call.group(1)), [text(s) for s, _ in STRING.findall(call.group(2))]
                tenant = tenant or (program == "slipway-exec" and os.path.basename(path) != "slipway-tree")
                program = os.path.basename(path)
                runs.append(Run(pid, path, argv, tenant))
            elif birth:
                todo.append((int(birth.group(1)), tenant, program))
    return runs, set(lines) - seen


# --- the templates ----------------------------------------------------------------------------------------------------------------

N, NAME, HEX = r"\d+", r"[a-z][a-z0-9-]*", r"[0-9a-f]+"
ABSOLUTE = r"/[A-Za-z0-9_./~-]+"  # a path of the platform's own
ANY = r"(?s:.*)"  # what a person chose: only behind an option that takes it, or behind the end of options


class Template:
    """Words in order; a list means any of its options, each with its value, in any order."""

    def __init__(self, *words):
        self.words = words

    def fits(self, argv):
        i = 0
        for w in self.words:
            if isinstance(w, list):
                while i < len(argv) and (found := self.option(w, argv, i)):
                    i += found
            elif i < len(argv) and re.fullmatch(w, argv[i]):
                i += 1
            else:
                return False
        return i == len(argv)

    @staticmethod
    def option(table, argv, i):
        for o in table:
            name, value = o if isinstance(o, tuple) else (o, None)
            if re.fullmatch(name, argv[i]) and (value is None or (i + 1 < len(argv) and re.fullmatch(value, argv[i + 1]))):
                return 1 if value is None else 2
        return 0


GIT_SETTINGS = [("-c", r"[a-z]+(\.[A-Za-z]+)+=[^\n]*")]
GIT = ["git", GIT_SETTINGS, "--git-dir", "mirror"]
FETCH = [r"--quiet|--force|--no-[a-z-]+|--update-shallow", ("--depth", "1")]
TREE = [("--release|--bytes-max|--files-max", N), ("--url|--ref|--path|--known-hosts|--user", ANY), ("--unless|--retry-while", HEX), "--allow-private", "--submodules"]
SANDBOX = [
    "--sandbox=(run|build|fetch)", f"--project-dir={ABSOLUTE}", f"--release={N}", "--process=[a-z0-9]+", f"--instance={N}", "--key=[0-9a-f-]+", "--subdir=(?s:.*)", "--tmp=[A-Za-z0-9._-]+",
    f"--port={N}", f"--program={ABSOLUTE}", "--relay", "--listen", "--argv", "--env", "--secret",
]
NUMBERED = [("--uid|--gid", N), "--no-create-home|--no-log-init", ("--home-dir", "/nonexistent"), ("--shell", "/usr/sbin/nologin"), ("--key", "[A-Z_]+=[0-9]+")]
TEMPLATES = {
    "slipwayd": [Template(ABSOLUTE, [("--state|--run|--libexec|--http|--https|--edge|--edge-server", r"[A-Za-z0-9/][A-Za-z0-9_./:~-]*"), ("--outbound-allow", r"[0-9./]+")])],
    "slipway-helper": [Template(f"{ABSOLUTE}|slipway-helper", ["--keeper", (r"--[a-z-]+", r"[A-Za-z0-9/][A-Za-z0-9_./:~-]*")])],
    "slipway-monitor": [Template(ABSOLUTE, N)],
    "slipway-exec": [Template(f"{ABSOLUTE}|slipway-exec", SANDBOX)],
    "slipway-cert": [Template("slipway-cert", "self|pair")],
    "slipway-outbound": [Template(ABSOLUTE, [("--ca", ABSOLUTE), ("--allow", r"[0-9a-f.:]+/[0-9]+")])],
    "slipway-tree": [
        Template("slipway-tree", "fetch-git", TREE), Template("slipway-tree", "unpack", TREE), Template("slipway-tree", "scan", TREE),
        Template("slipway-tree", "restore-release|data-(stage|swap|back|drop)", "--release", N),
        Template("slipway-tree", "pack|service-load", "--release", N, [("--top", ANY), ("--service", "[a-z][a-z0-9]*")]),
        Template(ABSOLUTE, [("-p", N), ("-o", "SendEnv=GIT_PROTOCOL"), "-[46]"], r"[A-Za-z0-9_.@-]+", r"git-upload-pack '.*'"),  # as git's ssh
        Template(ABSOLUTE, r"(Username|Password) for '.*': "),  # as git's askpass
    ],
    "git": [
        Template(*GIT, "fetch", FETCH, "--end-of-options", ANY, r"\+?[^\n]*:refs/slipway/[^\n]*", [r"\+refs/tags/\*:refs/slipway/tags/\*"]),
        Template(*GIT, "ls-remote", "--heads", "--quiet", "--end-of-options", ANY),
        Template(*GIT, "log", "-1", "--no-color", "--no-notes", "--encoding=UTF-8", r"--format=(?s:.*)", "--end-of-options", r"refs/slipway/head\^\{commit\}"),
        Template(*GIT, "ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", HEX),
        Template(*GIT, "--work-tree", f"{ABSOLUTE}/releases/{N}", "-c", "core.bare=false", "read-tree", "--reset", "-u", "--end-of-options", HEX),
        Template(*GIT, "update-ref", "--no-deref", "--end-of-options", "refs/slipway/head", HEX),
        # what git starts of its own
        Template(f"git|{ABSOLUTE}", "remote-https?", ANY, ANY),
        Template(f"git|{ABSOLUTE}", "index-pack|unpack-objects|fetch-pack|rev-list", [r"--?[A-Za-z0-9=_,.:/ -]+"], [ABSOLUTE, r"mirror/[a-z0-9/._-]+"]),
        Template(f"git|{ABSOLUTE}", "http-fetch", [r"--?[A-Za-z0-9=_-]+"], ANY),
    ],
    "git-remote-http": [Template(ABSOLUTE + "|git-remote-http", ANY, ANY)],
    "ssh": [Template("ssh", [("-F", "/dev/null"), ("-p", N), r"-T|-o[A-Za-z]+=[A-Za-z0-9_./:\[\]-]*"], "--", r"[A-Za-z0-9_.@-]+", r"git-upload-pack '.*'")],
    "nginx": [Template(ABSOLUTE + "|nginx", [("-e|-p|-c", f"{ABSOLUTE}|stderr"), "-q|-t"])],
    "groupadd": [Template(ABSOLUTE, NUMBERED, f"sw-{NAME}")],
    "useradd": [Template(ABSOLUTE, NUMBERED, f"sw-{NAME}")],
    "userdel": [Template(ABSOLUTE, f"sw-{NAME}")],
    "groupdel": [Template(ABSOLUTE, f"sw-{NAME}")],
}
SHELLS = {"sh", "bash", "dash", "ash", "zsh", "ksh", "busybox", "env", "xargs", "perl", "system"}


def test_templates_refuse_what_they_should():
    """The oracle itself: a value where an option could stand fits nothing."""
    def fits(*argv):
        return any(t.fits(list(argv)) for t in TEMPLATES[argv[0]])

    good = ["git", "-c", "core.fsmonitor=false", "--git-dir", "mirror", "ls-remote", "--heads", "--quiet", "--end-of-options", "--upload-pack=id"]
    assert fits(*good)
    assert not fits(*[w for w in good if w != "--end-of-options"])
    assert not fits(*good[:-2], good[-1], good[-2])
    assert fits("slipway-tree", "fetch-git", "--release", "1", "--url", "--ref", "--ref", "; id") and not fits("slipway-tree", "fetch-git", "--release", "1", "; id")
    assert not fits("slipway-tree", "fetch-git", "--upload-pack", "x")
    assert fits("ssh", "-F", "/dev/null", "-p", "22", "--", "git@x", "git-upload-pack '/a'") and not fits("ssh", "-F", "/dev/null", "git@x", "git-upload-pack '/a'")
    assert not fits("ssh", "-oProxyCommand=id;x", "--", "git@x", "git-upload-pack '/a'")


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as t:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content.encode())
            t.addfile(info, io.BytesIO(content.encode()))
    return out.getvalue()


@pytest.fixture(scope="module")
def traced():
    """The whole life of two projects under strace, told hostile values wherever one is taken."""
    if not ROOT or not STRACE:
        pytest.skip("needs root and strace")
    folder = Path(tempfile.mkdtemp(prefix="slipway-strace-"))
    prefix = [STRACE, "-D", "-ff", "-qq", "--seccomp-bpf", "-v", "-xx", "-s", "100000", "-e", "signal=none", "-e", "trace=execve,execveat,clone,clone3,fork,vfork", "-o", str(folder / "t")]
    platform, git = Platform(build=BUILD, prefix=prefix, extra=["--outbound-allow", "127.0.0.0/8"]), GitServer()
    try:
        platform.start()
        live(platform, git)
        first = platform.process.pid
    finally:
        git.close()
        platform.close()
    wait_until(lambda: not os.path.exists(f"/proc/{first}"), 20)
    yield read_trace(folder, first)
    shutil.rmtree(folder, ignore_errors=True)


def live(platform, git):
    repo = git.repository("traced", {"index.html": "x"})
    branches = hostile.branches()[:6] + [b for b in hostile.branches() if "upload-pack" in b][:2]
    import_commits(repo, [(b, v, "A") for b, v in zip(branches, hostile.SHELL)])
    platform.create("traced", repo.url)
    platform.api("PUT", "/projects/traced/env", {f"E{i}": {"value": v, "build": True} for i, v in enumerate(hostile.TEXTS)})
    for branch in branches:
        platform.deploy("traced", ref=branch)
    platform.deploy("traced", expect="failed", ref="no-$(id)-such")
    platform.deploy("traced", expect="failed", url="ssh://x@127.0.0.1:1/$(id);'--upload-pack=id'")
    platform.deploy("traced", expect="failed", url="x@127.0.0.1:$(id);'--upload-pack=id'")
    platform.deploy("traced", expect="failed", url=f"http://127.0.0.1:{git.port}/$(touch${{IFS}}/tmp/slipway-pwned);--upload-pack=id")
    platform.api("POST", "/projects/traced/channels", {"name": "out", "type": "webhook", "target": "http://127.0.0.1:1/$(id);--proxy=x"})
    platform.api("POST", "/projects/traced/channels/out/test", {})
    wait_until(lambda: platform.api("GET", "/projects/traced/channels/out/deliveries")["items"][0]["tries"], 20)
    secret = platform.hook("traced", "traced-push")
    for value in hostile.OPTIONS:
        platform.push("traced-push", secret, value, branch=value)
    platform.cli("rollback", "traced")
    files = apps.with_version(apps.socket_app(), "v1")
    files.update({name: "x" for name in hostile.file_names()[:60]})
    files["slipway.yaml"] += "build: [[python3, -c, pass, " + ", ".join(map(hostile.yaml, hostile.TEXTS)) + "]]\ndomains: [traced.example.org]\n"
    platform.api("POST", "/projects", {"name": "packed", "source": {"type": "archive"}, "root": ""})
    made = platform.api("POST", "/projects/packed/archives", archive(files), headers={"Content-Type": "application/gzip"})
    platform.deploy("packed", archive=made["archive"])
    assert platform.get("traced.example.org", "/version").body == b"v1"
    platform.cli("run", "packed", "--", "sh", "-c", "true", *hostile.OPTIONS)
    platform.cli("scale", "packed", "web=2")
    for name in ("traced", "packed"):
        platform.cli("destroy", name, "--yes")


def test_only_templates_run(traced):
    runs, lost = traced
    assert not lost, lost
    ours = [r for r in runs if not r.tenant]
    wrong = [r for r in ours if not any(t.fits(r.argv) for t in TEMPLATES.get(r.name, []))]
    assert not wrong, (len(wrong), wrong[:12])
    names = {r.name for r in ours}
    assert {"slipwayd", "slipway-helper", "slipway-monitor", "slipway-exec", "slipway-tree", "slipway-cert", "slipway-outbound", "git", "nginx", "groupadd", "useradd", "userdel"} <= names, names
    assert len([r for r in ours if r.name == "git"]) >= 20 and len(ours) >= 60


def test_no_shell_and_nothing_of_a_tenant_outside(traced):
    runs, _ = traced
    assert not [r for r in runs if not r.tenant and (r.name in SHELLS or not r.path.startswith("/"))]
    tenants = [r for r in runs if r.tenant]
    assert {r.name for r in tenants} >= {"python3", "sh"}, {r.name for r in tenants}  # sh: our own `slipway run -- sh`
    assert len([r for r in tenants if r.name == "sh"]) == 1
    assert not os.path.exists(hostile.PWNED)


def test_programs_get_their_settings(traced):
    """What must be said to every git and every ssh."""
    runs, _ = traced
    for r in runs:
        if r.name == "git" and "--git-dir" in r.argv and not r.tenant and "mirror" in r.argv:
            said = {r.argv[i + 1] for i, w in enumerate(r.argv[:-1]) if w == "-c"}
            for must in ("core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.ext.allow=never", "http.followRedirects=false", "credential.helper="):
                assert must in said, r
        if r.name == "ssh":
            for must in ("-oBatchMode=yes", "-oProxyCommand=none", "-oPermitLocalCommand=no", "-oIdentitiesOnly=yes"):
                assert must in r.argv, r
