"""slipway-tree itself, on real repositories, archives and folders: what it fetches, and what hostile ones cannot make it do."""
import base64
import functools
import http.server
import io
import os
import subprocess
import tarfile
import threading
import time
import zipfile
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TREE = Path(os.environ.get("SLIPWAY_BUILD", TOP / "build")) / "src" / "slipway-tree"
GIT_ENV = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent",
           "GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.org", "GIT_COMMITTER_NAME": "Ann",
           "GIT_COMMITTER_EMAIL": "ann@example.org", "GIT_ALLOW_PROTOCOL": "file:http"}


def git(where, *words, stdin=None, check=True):
    done = subprocess.run(["git", "-C", str(where), *words], env=GIT_ENV, input=stdin, capture_output=True, check=check)
    return done.stdout.decode().strip()


class Project:
    """A project's directory, as the platform lays it out, and the program run in it."""

    def __init__(self, top):
        self.top, self.number = top, 0
        for name in ("mirror", "cache", "releases", "tmp"):
            (top / name).mkdir(parents=True)

    def run(self, command, *words, stdin=b"", secret=None, env=None):
        self.number += 1
        self.release = self.top / "releases" / str(self.number)
        self.release.mkdir()
        full = {"PATH": "/usr/bin:/bin", "TMPDIR": str(self.top / "tmp"), **(env or {})}
        fds = ()
        if secret:
            r, w = os.pipe()
            os.write(w, secret)
            os.close(w)
            fds = (r,)
            full["SLIPWAY_SECRET_FD"] = str(r)
        done = subprocess.run([str(TREE), command, "--release", str(self.number), *words], cwd=self.top, env=full, input=stdin,
                              capture_output=True, pass_fds=fds, timeout=120)
        for fd in fds:
            os.close(fd)
        return done

    def fetch(self, url, *words, **more):
        return self.run("fetch-git", "--url", str(url), "--allow-private", *words, **more)

    def files(self):
        return {str(p.relative_to(self.release)) for p in self.release.rglob("*") if not p.is_dir() or p.is_symlink()}


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture
def repo(tmp_path):
    where = tmp_path / "repo"
    where.mkdir()
    git(where, "init", "-q", "-b", "main")
    (where / "index.html").write_text("hi\n")
    git(where, "add", ".")
    git(where, "commit", "-qm", "Fix cart total")
    return where


def commit(repo, message="more"):
    git(repo, "add", "-A")
    git(repo, "commit", "-qm", message, "--allow-empty")
    return git(repo, "rev-parse", "HEAD")


def refused(done, kind, *words):
    text = done.stderr.decode()
    assert done.returncode == 1, text
    assert f"slipway-tree: {kind}: " in text, text
    for word in words:
        assert word in text, text
    assert done.stdout == b""


class Served:
    """A folder over HTTP, plain files or git's own backend, perhaps behind a password."""

    def __init__(self, root, backend=False, login=None, redirect=None):
        served = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def guard(self):
                served.seen.append((self.path, self.headers.get("Authorization"), self.headers.get("Host")))
                if redirect:
                    self.send_response(302)
                    self.send_header("Location", redirect + self.path)
                    self.end_headers()
                    return False
                want = login and "Basic " + base64.b64encode(login.encode()).decode()
                if want and self.headers.get("Authorization") != want:
                    self.send_response(401)
                    self.send_header("WWW-Authenticate", 'Basic realm="git"')
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return False
                return True

            def do_GET(self):
                if self.guard():
                    self.backend() if backend else super().do_GET()

            def do_POST(self):
                if self.guard():
                    self.backend()

            def backend(self):
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                env = {**GIT_ENV, "GIT_PROJECT_ROOT": str(root), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
                       "QUERY_STRING": query, "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
                       "CONTENT_TYPE": self.headers.get("Content-Type", ""), "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                       "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                       "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
                out = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True).stdout
                head, _, content = out.partition(b"\r\n\r\n")
                lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
                self.send_response(int(lines.pop("Status", "200").split()[0]))
                for key, value in lines.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.seen = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(root)))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve():
    open_servers = []

    def start(*args, **more):
        open_servers.append(Served(*args, **more))
        return open_servers[-1]

    yield start
    for s in open_servers:
        s.close()


# --- what it fetches ---------------------------------------------------------------------------------------------------------------


def test_head_branch_tag_commit(project, repo):
    first = git(repo, "rev-parse", "HEAD")
    git(repo, "tag", "-a", "v1", "-m", "one")
    git(repo, "checkout", "-qb", "dev")
    (repo / "dev.txt").write_text("d")
    second = commit(repo, "On dev\n\nBody")
    git(repo, "checkout", "-q", "main")
    done = project.fetch(repo)
    assert done.returncode == 0, done.stderr
    assert f"C {first}\n" in done.stdout.decode() and "S 14\nFix cart total\n" in done.stdout.decode()
    assert "A 21\nAnn <ann@example.org>\n" in done.stdout.decode()
    assert project.files() == {"index.html"}
    for ref, want, files in (("dev", second, {"index.html", "dev.txt"}), ("v1", first, {"index.html"}),
                             (second, second, {"index.html", "dev.txt"}), ("refs/heads/main", first, {"index.html"})):
        done = project.fetch(repo, "--ref", ref)
        assert done.returncode == 0 and f"C {want}\n" in done.stdout.decode(), (ref, done.stderr)
        assert project.files() == files


def test_forced_push_back_is_followed(project, repo):
    old = git(repo, "rev-parse", "HEAD")
    (repo / "new").write_text("n")
    new = commit(repo)
    assert f"C {new}" in project.fetch(repo, "--ref", "main").stdout.decode()
    git(repo, "reset", "-q", "--hard", old)
    assert f"C {old}" in project.fetch(repo, "--ref", "main").stdout.decode()
    assert project.files() == {"index.html"}


def test_unless_and_retry_while(project, repo):
    head = git(repo, "rev-parse", "HEAD")
    done = project.fetch(repo, "--unless", head)
    assert done.returncode == 0 and done.stdout.decode().endswith("U\nE 0 0\n") and project.files() == set()

    def push():
        time.sleep(1.0)
        (repo / "late").write_text("l")
        commit(repo)

    pusher = threading.Thread(target=push)
    pusher.start()
    done = project.fetch(repo, "--retry-while", head)
    pusher.join()
    assert project.files() == {"index.html", "late"}, done.stderr


def test_wrong_branch_names_the_others(project, repo):
    git(repo, "branch", "dev")
    refused(project.fetch(repo, "--ref", "mian"), "ref", "'mian'", "dev, main")
    empty = repo.parent / "empty"
    empty.mkdir()
    git(empty, "init", "-q", "-b", "main")
    refused(project.fetch(empty), "ref", "empty")


def test_plain_http_files_and_smart_http(project, repo, serve):
    git(repo, "update-server-info")
    done = project.fetch(serve(repo.parent).url + "/repo/.git", "--ref", "main")
    assert done.returncode == 0, done.stderr
    assert project.files() == {"index.html"}
    other = Project(project.top.parent / "other")
    smart = serve(repo.parent, backend=True)
    done = other.fetch(smart.url + "/repo", "--ref", "main")
    assert done.returncode == 0, done.stderr
    assert other.files() == {"index.html"}
    old = git(repo, "rev-parse", "HEAD")
    (repo / "two").write_text("2")
    commit(repo)
    assert other.fetch(smart.url + "/repo", "--ref", old).returncode == 0
    assert other.files() == {"index.html"}


def test_token_goes_through_askpass_only(project, repo, serve):
    server = serve(repo.parent, backend=True, login="bot:geheim")
    url = server.url + "/repo"
    done = project.fetch(url, "--user", "bot", secret=b"geheim")
    assert done.returncode == 0, done.stderr
    assert b"geheim" not in done.stdout + done.stderr
    done = project.fetch(url, "--user", "bot", secret=b"falsch")
    assert done.returncode == 1 and b"Authentication failed" in done.stderr and b"falsch" not in done.stderr
    done = project.fetch(url)
    assert done.returncode == 1 and b"could not read Username" in done.stderr
    for name in project.top.rglob("*"):
        assert name.is_dir() or b"geheim" not in name.read_bytes()


def test_redirections_are_not_followed(project, repo, serve):
    target = serve(repo.parent, backend=True)
    done = project.fetch(serve(repo.parent, redirect=target.url).url + "/repo")
    assert done.returncode == 1 and target.seen == []


def test_private_addresses_are_closed_by_default(project, repo, serve):
    server = serve(repo.parent)
    for url in (server.url + "/repo", f"http://localhost:{server.port}/repo", f"http://[::1]:{server.port}/repo",
                f"http://0x7f000001:{server.port}/repo", f"http://[::ffff:127.0.0.1]:{server.port}/repo", "http://10.1.2.3/r",
                "ssh://git@127.0.0.1/r", "git@192.168.0.1:r"):
        refused(project.run("fetch-git", "--url", url), "address")
    refused(project.fetch("http://169.254.169.254/latest"), "address")
    assert server.seen == []


def test_connections_go_to_the_checked_address(project, repo, serve):
    server = serve(repo.parent, backend=True)
    done = project.fetch(f"http://localhost:{server.port}/repo", env={"http_proxy": "http://127.0.0.1:9", "ALL_PROXY": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
    assert {host for _, _, host in server.seen} == {f"localhost:{server.port}"}


# --- hostile repositories ----------------------------------------------------------------------------------------------------------


def mktree(repo, *lines):
    tree = git(repo, "mktree", "--missing", "-z", stdin=b"".join(line + b"\0" for line in lines))
    head = git(repo, "commit-tree", tree, "-m", "made by hand")
    git(repo, "update-ref", "refs/heads/main", head)
    return head


def blob(repo, text):
    return git(repo, "hash-object", "-w", "--stdin", stdin=text).encode()


def test_entries_named_dot_git(project, repo):
    inner = git(repo, "mktree", stdin=b"100644 blob " + blob(repo, b"[core]\n") + b"\tconfig\n").encode()
    for name in (b".git", b".GIT", b".Git"):
        mktree(repo, b"040000 tree " + inner + b"\t" + name)
        done = project.fetch(repo)
        assert done.returncode == 1 and project.files() == set(), done.stderr
        assert b".git" in done.stderr.lower()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "a/../../../outside", "up/../../outside"])
def test_links_out_of_the_tree(project, repo, target):
    (repo / "a").mkdir()
    (repo / "a" / "keep").write_text("")
    (repo / "a" / "up").symlink_to("..")
    (repo / "a" / "link").symlink_to(target)
    commit(repo)
    refused(project.fetch(repo), "link", "a/link", target)


def test_links_inside_are_kept(project, repo):
    (repo / "a").mkdir()
    (repo / "a" / "link").symlink_to("../index.html")
    (repo / "dangling").symlink_to("not/there")
    commit(repo)
    assert project.fetch(repo).returncode == 0
    assert os.readlink(project.release / "a" / "link") == "../index.html"


def test_nothing_of_the_repository_runs(project, repo, tmp_path):
    """Hooks, filters, fsmonitor, templates, in the repository's files, its own settings and its attributes."""
    proof = tmp_path / "proof"
    script = tmp_path / "evil"
    script.write_text(f"#!/bin/sh\necho $0 $* >> {proof}\ncat\n")
    script.chmod(0o755)
    (repo / ".gitattributes").write_text("* filter=evil diff=evil merge=evil ident eol=lf\n*.html export-subst working-tree-encoding=UTF-8\n")
    (repo / ".gitconfig").write_text(f'[core]\n\tfsmonitor = {script}\n[filter "evil"]\n\tsmudge = {script}\n\tprocess = {script}\n')
    (repo / ".lfsconfig").write_text("[lfs]\n\turl = http://127.0.0.1:1\n")
    (repo / "hooks").mkdir()
    for hook in ("post-checkout", "post-index-change", "reference-transaction", "post-merge"):
        for where in (repo / "hooks", repo / ".git" / "hooks"):
            (where / hook).write_text(script.read_text())
            (where / hook).chmod(0o755)
    commit(repo)
    proof.unlink(missing_ok=True)
    for key, value in (("core.fsmonitor", script), ("filter.evil.smudge", script), ("uploadpack.packObjectsHook", script),
                       ("core.sshCommand", script), ("core.alternateRefsCommand", script)):
        git(repo, "config", key, str(value))
    done = project.fetch(repo)
    assert done.returncode == 0, done.stderr
    assert not proof.exists(), proof.read_text()
    assert (project.release / "index.html").read_text() == "hi\n"


def test_a_poisoned_mirror_is_cleaned(project, repo, tmp_path):
    """A build may write the mirror; the next fetch must not run what it left there, nor read elsewhere through it."""
    proof, script = tmp_path / "proof", tmp_path / "evil"
    script.write_text(f"#!/bin/sh\necho $0 >> {proof}\n")
    script.chmod(0o755)
    assert project.fetch(repo).returncode == 0
    mirror = project.top / "mirror"
    (mirror / "config").write_text(
        f"[core]\n\tbare = true\n\tfsmonitor = {script}\n\tsshCommand = {script}\n\thooksPath = {mirror}/hooks\n\tgitProxy = {script}\n"
        f'[filter "evil"]\n\tsmudge = {script}\n\trequired = true\n[url "ext::{script}"]\n\tinsteadOf = {repo}\n[credential]\n\thelper = {script}\n'
        f"[include]\n\tpath = {script}\n[extensions]\n\tworktreeConfig = true\n")
    (mirror / "config.worktree").write_text(f"[core]\n\tfsmonitor = {script}\n")
    (mirror / "hooks").mkdir()
    for hook in ("reference-transaction", "post-checkout", "post-index-change"):
        (mirror / "hooks" / hook).write_text(script.read_text())
        (mirror / "hooks" / hook).chmod(0o755)
    (mirror / "info").mkdir()
    (mirror / "info" / "attributes").write_text("* filter=evil\n")
    (mirror / "objects" / "info").mkdir(exist_ok=True)
    (mirror / "objects" / "info" / "alternates").write_text("/etc\n")
    (mirror / "shallow.lock").write_text("")
    (mirror / "HEAD").unlink()
    (mirror / "HEAD").symlink_to("/etc/passwd")
    (repo / "two").write_text("2")
    commit(repo)
    done = project.fetch(repo)
    assert done.returncode == 0, done.stderr
    assert project.files() == {"index.html", "two"} and not proof.exists()


def test_a_broken_mirror_is_made_anew(project, repo):
    assert project.fetch(repo).returncode == 0
    for pack in (project.top / "mirror" / "objects" / "pack").iterdir():
        pack.chmod(0o644)
        pack.write_bytes(b"garbage")
    (repo / "two").write_text("2")
    commit(repo)
    done = project.fetch(repo)
    assert done.returncode == 0, done.stderr
    assert project.files() == {"index.html", "two"}


def test_options_in_names(project, repo):
    for ref in ("--upload-pack=touch /tmp/x", "-x", "a..b", "a b", "a\nb"):
        done = project.fetch(repo, "--ref", ref)
        assert done.returncode == 1 and b"not valid" in done.stderr
    for url in ("--upload-pack=x", "ext::sh -c id", "file:///etc", "-oProxyCommand=x:y"):
        done = project.run("fetch-git", "--url", url)
        assert done.returncode == 1 and b"slipway-tree: settings:" in done.stderr


def test_caps(project, repo):
    for i in range(30):
        (repo / f"f{i}").write_text("x" * 100)
    commit(repo)
    refused(project.fetch(repo, "--files-max", "20"), "size", "more than 20 files")
    assert project.files() == set()
    refused(project.fetch(repo, "--bytes-max", "2000"), "size", "2000 bytes")
    assert project.files() == set()


def test_many_names_fit_the_report(project, repo):
    same = blob(repo, b"x").decode()
    names = [f"100644 blob {same}\tn{i:06d}".encode() for i in range(20000)]
    tree = git(repo, "mktree", "-z", stdin=b"".join(n + b"\0" for n in names))
    git(repo, "update-ref", "refs/heads/main", git(repo, "commit-tree", tree, "-m", "many"))
    done = project.fetch(repo)
    assert done.returncode == 0 and done.stdout.endswith(b"E 20000 20000\n")
    assert 0 < done.stdout.count(b"\nF ") <= 4096


def test_submodules(project, repo, tmp_path, serve):
    lib = tmp_path / "lib"
    lib.mkdir()
    git(lib, "init", "-q", "-b", "main")
    (lib / "lib.c").write_text("int x;\n")
    commit(lib)
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../lib", "vendor/lib")
    commit(repo)
    assert project.fetch(repo).returncode == 0
    assert project.files() == {"index.html", ".gitmodules"}
    done = project.fetch(repo, "--submodules")
    assert done.returncode == 0, done.stderr
    assert project.files() == {"index.html", ".gitmodules", "vendor/lib/lib.c"}
    # served over the network, it may not name a folder of the machine
    git(repo, "config", "-f", ".gitmodules", "submodule.vendor/lib.url", str(lib))
    commit(repo)
    done = project.fetch(serve(tmp_path, backend=True).url + "/repo", "--submodules")
    refused(done, "entry", "folder of this machine")
    # nor a transport that runs programs
    git(repo, "config", "-f", ".gitmodules", "submodule.vendor/lib.url", "ext::sh -c 'touch /tmp/x'")
    commit(repo)
    refused(project.fetch(repo, "--submodules"), "entry")


def test_a_submodules_host_never_gets_the_token(project, repo, tmp_path, serve):
    lib = tmp_path / "lib"
    lib.mkdir()
    git(lib, "init", "-q", "-b", "main")
    commit(lib)
    thief = serve(tmp_path, backend=True, login="bot:never")
    git(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", "../lib", "lib")
    git(repo, "config", "-f", ".gitmodules", "submodule.lib.url", thief.url + "/lib")
    commit(repo)
    server = serve(tmp_path, backend=True, login="bot:geheim")
    done = project.fetch(server.url + "/repo", "--submodules", "--user", "bot", secret=b"geheim")
    assert done.returncode == 1
    assert thief.seen and all(auth is None for _, auth, _ in thief.seen)


# --- folders and archives ----------------------------------------------------------------------------------------------------------


def test_copy_path(project, repo, tmp_path):
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o4755)
    (repo / "link").symlink_to("index.html")
    done = project.run("copy-path", "--path", str(repo))
    assert done.returncode == 0, done.stderr
    assert project.files() == {"index.html", "run.sh", "link"}
    assert (project.release / "run.sh").stat().st_mode & 0o7777 == 0o755
    (repo / "out").symlink_to("/etc/passwd")
    refused(project.run("copy-path", "--path", str(repo)), "link", "/etc/passwd")
    refused(project.run("copy-path", "--path", str(project.top)), "entry", "copied into")
    refused(project.run("copy-path", "--path", str(tmp_path / "absent")), "denied", "no folder")
    os.mkfifo(repo / "pipe")
    (repo / "out").unlink()
    refused(project.run("copy-path", "--path", str(repo)), "entry", "pipe")


def tar(*members, mode="w"):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.mode = 0o6777
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = value
                t.addfile(info)
            else:
                info.size = len(value)
                t.addfile(info, io.BytesIO(value))
    return out.getvalue()


FILE, DIR, LINK, HARD = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


def test_unpack(project):
    plain = (("./", DIR, b""), ("./a/", DIR, b""), ("./a/b.txt", FILE, b"b"), ("c.txt", FILE, b"c"), ("l", LINK, "a/b.txt"),
             ("h", HARD, "c.txt"))
    for mode in ("w", "w:gz", "w:xz"):
        done = project.run("unpack", stdin=tar(*plain, mode=mode))
        assert done.returncode == 0, done.stderr
        assert project.files() == {"a/b.txt", "c.txt", "l", "h"}
        assert (project.release / "c.txt").stat().st_mode & 0o7777 == 0o755
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.writestr("a/b.txt", "b" * 1000)
    done = project.run("unpack", stdin=out.getvalue())
    assert done.returncode == 0 and project.files() == {"a/b.txt"}, done.stderr


@pytest.mark.parametrize("members,kind", [
    ((("../out", FILE, b"x"),), "entry"),
    ((("/tmp/slipway-out", FILE, b"x"),), "entry"),
    ((("a/../../out", FILE, b"x"),), "entry"),
    ((("l", LINK, "/etc"), ), "link"),
    ((("l", LINK, "../.."), ("l/out", FILE, b"x")), "link"),
    ((("a", LINK, "."), ("b", LINK, "a/..")), "link"),
    ((("a/.git/config", FILE, b"x"),), "entry"),
    ((("dev", tarfile.CHRTYPE, b""),), "entry"),
    ((("fifo", tarfile.FIFOTYPE, b""),), "entry"),
    ((("h", HARD, "../../../etc/passwd"),), "entry"),
    ((("h", HARD, "absent"),), "link"),
])
def test_hostile_archives(project, members, kind):
    before = {p for p in project.top.parent.rglob("*") if "releases" not in str(p)}
    done = project.run("unpack", stdin=tar(*members))
    refused(done, kind)
    assert {p for p in project.top.parent.rglob("*") if "releases" not in str(p)} == before
    assert not Path("/tmp/slipway-out").exists()


def test_links_of_an_archive_are_not_walked_through(project):
    """The folder of a later entry is a link that an earlier one made: inside the tree, and yet never followed."""
    done = project.run("unpack", stdin=tar(("d/", DIR, b""), ("l", LINK, "d"), ("l/x", FILE, b"x")))
    assert done.returncode == 1 and not (project.release / "d" / "x").exists()


def test_archives_that_are_none_or_too_large(project):
    refused(project.run("unpack", stdin=b"no archive at all" * 100), "archive")
    refused(project.run("unpack", stdin=b""), "archive")
    refused(project.run("unpack", stdin=tar(("a", FILE, b"x" * 5000))[:2000]), "archive")
    bomb = tar(("a", FILE, b"\0" * (8 << 20)), mode="w:gz")
    refused(project.run("unpack", "--bytes-max", "1000000", stdin=bomb), "size")
    many = tar(*((f"f{i}", FILE, b"") for i in range(50)))
    refused(project.run("unpack", "--files-max", "20", stdin=many), "size")


def test_scan_reads_what_tells_a_kind(project, repo):
    (repo / "slipway.yaml").write_text("kind: static\n")
    (repo / "node_modules").mkdir()
    (repo / "node_modules" / "package.json").write_text("{}")
    done = project.run("copy-path", "--path", str(repo))
    assert b"F 12 13 13\nslipway.yamlkind: static\n\n" in done.stdout
    assert b"node_modules/package.json" not in done.stdout
    again = project.run("scan")
    assert again.returncode == 0 and again.stdout == b"E 0 0\n"


def test_scan_says_what_it_drops(project, tmp_path):
    """Of files of interest; that other names are beyond its list is nobody's loss."""
    many = tmp_path / "many"
    many.mkdir()
    for i in range(4000):
        (many / f"name-{i}").touch()
    assert project.run("copy-path", "--path", str(many)).stdout.endswith(b"\nE 4000 0\n")
    for i in range(4100):
        (many / f"[{i}.example.org].conf").touch()
    said = project.run("copy-path", "--path", str(many)).stdout
    told = said.count(b"\nF ") + said.startswith(b"F ")
    assert told == 4096 and said.rsplit(b"\n", 2)[1].startswith(b"E 8100 0 "), said[-100:]
    sites = said.count(b".example.org].conf\n")
    assert said.endswith(b" %d\n" % (4100 - sites)), (sites, said[-100:])


# --- Python environments -----------------------------------------------------------------------------------------------------------


def wheel(folder, name, code):
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as z:
        z.writestr(f"{name}.py", code)
        z.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        z.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{name}-1.0.dist-info/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        z.writestr(f"{name}-1.0.dist-info/RECORD", "")


def python_env(project, *words, env=None):
    project.number += 1
    project.release = project.top / "releases" / str(project.number)
    project.release.mkdir()
    return lambda: subprocess.run([str(TREE), "python-env", "--top", "../..", *words], cwd=project.release, capture_output=True,
                                  env={"PATH": "/usr/bin:/bin", "TMPDIR": str(project.top / "tmp"), "HOME": str(project.top / "tmp"), **env})


def test_python_environments(project, serve, tmp_path):
    index = tmp_path / "index"
    wheel(tmp_path / "wheels", "slipwaydemo", "def main():\n    print('demo runs')\n")
    (index / "simple" / "slipwaydemo").mkdir(parents=True)
    server = serve(tmp_path)
    (index / "simple" / "slipwaydemo" / "index.html").write_text(
        f'<a href="{server.url}/wheels/slipwaydemo-1.0-py3-none-any.whl">slipwaydemo-1.0-py3-none-any.whl</a>')
    env = {"PIP_INDEX_URL": server.url + "/index/simple", "PIP_TRUSTED_HOST": "127.0.0.1"}
    first = python_env(project, "--requirements", "requirements.txt", env=env)
    (project.release / "requirements.txt").write_text("-r more.txt\n")
    (project.release / "more.txt").write_text("slipwaydemo==1.0\n")
    done = first()
    assert done.returncode == 0, done.stderr
    script = project.release / ".venv" / "bin" / "slipwaydemo"
    assert subprocess.run([script], capture_output=True).stdout == b"demo runs\n"
    assert str(project.release) in script.read_text() and "cache" not in script.read_text()
    # a second release takes it from the cache, without the index, and shares no file with it
    asked = len(server.seen)
    second = python_env(project, "--requirements", "requirements.txt", env=env)
    (project.release / "requirements.txt").write_text("-r more.txt\n")
    (project.release / "more.txt").write_text("slipwaydemo==1.0\n")
    done = second()
    assert done.returncode == 0 and len(server.seen) == asked and b"cached environment" in done.stderr
    assert all(p.stat().st_nlink == 1 for p in (project.release / ".venv").rglob("*.py"))
    # other requirements are another environment; a package that is nowhere is a clear failure
    third = python_env(project, "--requirements", "requirements.txt", env=env)
    (project.release / "requirements.txt").write_text("slipwaynowhere\n")
    done = third()
    assert done.returncode == 1 and b"slipway-tree: python: pip could not install" in done.stderr
    # pyproject.toml
    fourth = python_env(project, "--project", "pyproject.toml", env=env)
    (project.release / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1"\ndependencies = ["slipwaydemo"]\n')
    done = fourth()
    assert done.returncode == 0, done.stderr
    assert (project.release / ".venv" / "bin" / "slipwaydemo").exists()


def test_without_an_index_the_system_counts(project):
    env = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0"}
    job = python_env(project, "--requirements", "requirements.txt", env=env)
    have = subprocess.run(["/usr/bin/python3", "-c", "import gunicorn"], capture_output=True).returncode == 0
    (project.release / "requirements.txt").write_text("gunicorn\n" if have else "pip\n")
    done = job()
    assert done.returncode == 0, done.stderr
    assert b"no package index answers" in done.stderr
    job = python_env(project, "--requirements", "requirements.txt", env=env)
    (project.release / "requirements.txt").write_text("slipwaynowhere\n")
    done = job()
    assert done.returncode == 1 and b"the system's packages are not enough" in done.stderr


def test_a_version_that_is_not_there(project):
    done = python_env(project, "--python", "3.1", env={})()
    assert done.returncode == 1 and b"Python 3.1 is asked for and not on this machine; there is 3." in done.stderr


def test_need_node(project):
    run = lambda v: subprocess.run([str(TREE), "need-node", "--also", v], capture_output=True, env={"PATH": "/usr/bin:/bin"})
    if not Path("/usr/bin/node").exists():
        assert run("20").returncode == 1
        return
    have = subprocess.run(["/usr/bin/node", "--version"], capture_output=True).stdout.decode().strip().lstrip("v")
    assert run(have.split(".")[0]).returncode == 0
    assert run(have).returncode == 0
    done = run("1")
    assert done.returncode == 1 and b"Node 1 is asked for" in done.stderr
