"""Lock files: what they say is installed, exactly that, and nothing that they cannot vouch for."""
import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import TOP
from packages import MANIFEST, SERVER, Index, build_words, use

spec = importlib.util.spec_from_file_location("lock", TOP / "src/tree/lock.py")
lock = importlib.util.module_from_spec(spec)
spec.loader.exec_module(lock)

A, B = "a" * 64, "b" * 64


@pytest.fixture(scope="module")
def index():
    i = Index()
    yield i
    i.close()


# --- the reader by itself -----------------------------------------------------------------------------------------------------------


def uv(*packages, python=">=3.8", depends="{ name = 'one' }"):
    return "\n".join([f'version = 1\nrequires-python = "{python}"\n[[package]]\nname = "root"\nversion = "0"\nsource = {{ virtual = "." }}\ndependencies = [{depends}]\n', *packages])


def uv_package(name, version="1.0", digest=A, source='registry = "https://pypi.org/simple"', more=""):
    wheel = f'wheels = [{{ url = "https://x/{name}.whl", hash = "sha256:{digest}", size = 1 }}]\n' if digest else ""
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\nsource = {{ {source} }}\n{more}\n{wheel}'


def poetry(*packages, version="2.1", python=">=3.8", more=""):
    return "\n".join([*packages, f'[metadata]\nlock-version = "{version}"\npython-versions = "{python}"\ncontent-hash = "x"\n{more}'])


def poetry_package(name, version="1.0", digest=A, more=""):
    files = f'files = [{{file = "{name}.whl", hash = "sha256:{digest}"}}]' if digest else "files = []"
    return f'[[package]]\nname = "{name}"\nversion = "{version}"\noptional = false\npython-versions = "*"\n{files}\n{more}\n'


MAIN, DEV = 'groups = ["main"]', 'groups = ["dev"]'
PYPROJECT = '[tool.poetry.dependencies]\npython = "^3.8"\none = {version = "^1.0", extras = ["more"]}\n[tool.poetry.group.dev.dependencies]\ndev = "*"\n'


def pipfile(default, python="", sources=()):
    requires = {"python_version": python} if python else {}
    return json.dumps({"_meta": {"requires": requires, "sources": list(sources)}, "default": default, "develop": {"dev": {"version": "==9"}}})


def pip(version="==1.0", **more):
    return {"version": version, "hashes": [f"sha256:{A}"], **more}


# label: (file, text, what is installed, more files)
READ = {
    "uv, one of two versions": ("uv.lock", uv(uv_package("one", "1.0"), uv_package("one", "2.0"), depends="{ name = 'one', version = '1.0', marker = \"python_version < '3'\" }, { name = 'one', version = '2.0', marker = \"python_version >= '3'\" }"), ["one==2.0"], {}),
    "poetry 2": ("poetry.lock", poetry(poetry_package("one", more=MAIN), poetry_package("dev", more=DEV), poetry_package("win", more=MAIN + "\nmarkers = \"sys_platform == 'win32'\""),
                                       poetry_package("both", more='groups = ["main", "dev"]\nmarkers = {main = "python_version >= \'3\'"}')), ["both==1.0", "one==1.0"], {}),
    "poetry 1, by what pyproject.toml asks for": ("poetry.lock", poetry(
        poetry_package("one", more="[package.dependencies]\nTwo_x = \">=1\"\nthree = {version = \"*\", optional = true, markers = \"extra == 'more'\"}\nfour = {version = \"*\", optional = true}\n[package.extras]\nmore = [\"three (>=1)\"]\n"),
        poetry_package("two-x"), poetry_package("three"), poetry_package("four"), poetry_package("dev"), version="2.0", python="^3.8"), ["one==1.0", "three==1.0", "two-x==1.0"], {"pyproject.toml": PYPROJECT}),
    "poetry 1.1, hashes at the end": ("poetry.lock", poetry(poetry_package("one", digest="").replace("files = []\n", ""), version="1.1", more=f'[metadata.files]\none = [{{file = "one.whl", hash = "sha256:{A}"}}]\n'), ["one==1.0"], {"pyproject.toml": PYPROJECT}),
    "Pipfile": ("Pipfile.lock", pipfile({"one": pip(), "win": pip(markers="sys_platform == 'win32'")}), ["one==1.0"], {}),
}
UV = uv(uv_package("one", more="dependencies = [{ name = 'two', marker = \"python_version >= '3'\" }, { name = 'win', marker = \"sys_platform == 'win32'\" }, { name = 'three', extra = ['x'] }]"),
        uv_package("two", digest=B), uv_package("win"), uv_package("stray"), uv_package("four"),
        uv_package("three") + "[package.optional-dependencies]\nx = [{ name = 'four' }]\n")
READ["uv"] = ("uv.lock", UV, ["four==1.0", "one==1.0", "three==1.0", "two==1.0"], {})

# label: (file, text, words of the refusal, more files)
REFUSED = {
    "uv, git": ("uv.lock", uv(uv_package("one", source='git = "https://h/o/r?rev=1#1"')), ["'one' comes from git"], {}),
    "uv, a path": ("uv.lock", uv(uv_package("one", source='directory = "../x"')), ["'one' comes from directory"], {}),
    "uv, an index that is a path": ("uv.lock", uv(uv_package("one", source='registry = "./wheels"')), ["'one' comes from path"], {}),
    "uv, no hash": ("uv.lock", uv(uv_package("one", digest="")), ["'one' has no hash"], {}),
    "uv, a weak hash": ("uv.lock", uv(uv_package("one").replace("sha256:" + A, "md5:" + A[:32])), ["'one' has no hash"], {}),
    "uv, another Python": ("uv.lock", uv(uv_package("one"), python=">=3.99"), ["asks for Python >=3.99", "this is Python 3."], {}),
    "uv, a workspace": ("uv.lock", 'version = 1\n[[package]]\nname = "m"\nsource = { editable = "packages/m" }\n', ["no package for this folder"], {}),
    "uv, another format": ("uv.lock", "version = 9\n", ["format 9"], {}),
    "uv, broken": ("uv.lock", "version = = 1\n", ["cannot be read", "line 1"], {}),
    "uv, a name that is an option": ("uv.lock", uv(uv_package("--pre"), depends="{ name = '--pre' }"), ["no name of a package"], {}),
    "uv, a package that is not there": ("uv.lock", uv(), ["'one' is there 0 times"], {}),
    "poetry, git": ("poetry.lock", poetry(poetry_package("one", more=MAIN + '\n[package.source]\ntype = "git"\nurl = "https://h/o/r"\n')), ["'one' comes from git"], {}),
    "poetry, no hash": ("poetry.lock", poetry(poetry_package("one", digest="", more=MAIN)), ["'one' has no hash"], {}),
    "poetry, another Python": ("poetry.lock", poetry(poetry_package("one", more=MAIN), python="~3.7 || ^2.7"), ["asks for Python ~3.7"], {}),
    "poetry 1, alone": ("poetry.lock", poetry(poetry_package("one"), version="2.0"), ["pyproject.toml"], {}),
    "Pipfile, git": ("Pipfile.lock", pipfile({"one": {"git": "https://h/o/r", "ref": "1"}}), ["'one' comes from git"], {}),
    "Pipfile, a path": ("Pipfile.lock", pipfile({"one": {"path": ".", "editable": True}}), ["'one' comes from path"], {}),
    "Pipfile, no hash": ("Pipfile.lock", pipfile({"one": {"version": "==1.0"}}), ["'one' has no hash"], {}),
    "Pipfile, another Python": ("Pipfile.lock", pipfile({"one": pip()}, python="2.7"), ["asks for Python 2.7"], {}),
    "Pipfile, broken": ("Pipfile.lock", "{", ["cannot be read"], {}),
    "Pipfile, a list": ("Pipfile.lock", "[]", ["cannot be read"], {}),
}


def read(folder, row, capsys):
    """The lists that come of it, or None; and what was said."""
    file, text, _, more = row
    for name, content in {file: text, **more}.items():
        (folder / name).write_text(content)
    code = lock.run([file, str(folder)])
    said = capsys.readouterr().out
    return (folder / "lock-requirements.txt").read_text() if code == 0 else None, said


@pytest.mark.parametrize("label", READ)
def test_a_lock_file_is_read(tmp_path, monkeypatch, capsys, label):
    monkeypatch.chdir(tmp_path)
    lines, said = read(tmp_path, READ[label], capsys)
    assert lines is not None, said
    assert [line.split(" ")[0] for line in lines.splitlines()] == READ[label][2]
    assert all(" --hash=sha256:" in line for line in lines.splitlines())
    assert (tmp_path / "lock-constraints.txt").read_text().split() == READ[label][2]


@pytest.mark.parametrize("label", REFUSED)
def test_a_lock_file_is_refused(tmp_path, monkeypatch, capsys, label):
    monkeypatch.chdir(tmp_path)
    lines, said = read(tmp_path, REFUSED[label], capsys)
    assert lines is None and said.count("\n") == 1 and all(word in said for word in REFUSED[label][2]), (lines, said)


def test_an_index_that_the_lock_names_is_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    lines, _ = read(tmp_path, ("uv.lock", uv(uv_package("one", source='registry = "https://own.example.org/simple"')), None, {}), capsys)
    assert lines.splitlines()[0] == "--extra-index-url https://own.example.org/simple"


@pytest.mark.parametrize("constraint,version,holds", [
    ("^3.8", "3.11.2", True), ("^3.8", "4.0", False), ("^0.2.3", "0.2.9", True), ("^0.2.3", "0.3.0", False), ("^0.0.3", "0.0.4", False), ("~3.11", "3.11.9", True), ("~3.11", "3.12.0", False),
    ("~3", "3.12", True), (">=3.8,<3.12", "3.11.2", True), (">=3.8 <3.11", "3.11.2", False), ("3.11.*", "3.11.2", True), ("*", "1", True), ("~=4.2", "4.9", True), ("<2 || >=3", "3.1", True),
    ("!=1.5", "1.5", False), ("1.0", "1.0", True),
])
def test_versions_in_poetrys_words(constraint, version, holds):
    assert lock.allows(constraint, version) == holds


# --- the whole way ------------------------------------------------------------------------------------------------------------------


def locks(index, name, digest):
    source = f'registry = "{index.url}/simple"'
    return {
        "uv.lock": uv(uv_package(name, digest=digest, source=source), uv_package("slwdev", source=source), depends=f"{{ name = '{name}' }}"),
        "poetry.lock": poetry(poetry_package(name, digest=digest, more=MAIN), poetry_package("slwdev", more=DEV)),
        "Pipfile.lock": pipfile({name: {"version": "==1.0", "hashes": [f"sha256:{digest}"]}}),
    }


@pytest.mark.parametrize("file", ["uv.lock", "poetry.lock", "Pipfile.lock"])
def test_a_lock_file_is_installed_and_cached(platform, git, index, file):
    module = "slw" + file.split(".")[0].lower()
    digest = index.wheel(module, "1.0", f"def hello():\n    return '{file}'\n", requires=["slwundeclared"])
    index.wheel(module, "2.0", "def hello():\n    return 'the newest'\n")
    repo = git.repository(module, {"app.py": SERVER.format(module=module), file: locks(index, module, digest)[file], "requirements.txt": f"{module}==2.0\n", "slipway.yaml": MANIFEST})
    platform.create(module, repo.url)
    use(platform, module, index.url)
    plan = platform.cli("plan", module).stdout
    assert f"Python packages from {file}" in plan and f"requirements.txt is not read beside {file}" in plan, plan
    task = platform.deploy(module)
    assert platform.get(module + ".localhost").body == file.encode()
    assert "1 package for Python 3." in build_words(platform, task)
    assert not any("slwdev" in path or "slwundeclared" in path for path in index.asked)
    asked = len(index.asked)
    repo.commit({"README": "x"})
    task = platform.deploy(module)
    assert len(index.asked) == asked and "cached environment" in build_words(platform, task)
    # another file than what was locked
    repo.commit({file: locks(index, module, "0" * 64)[file]})
    text = json.dumps(platform.deploy(module, expect="failed"))
    assert module in text and "hash" in text.lower(), text
    # the other file, when it is asked for
    repo.commit({"slipway.yaml": MANIFEST + "python: {from: requirements.txt}\n"})
    platform.deploy(module)
    assert platform.get(module + ".localhost").body == b"the newest"


def test_a_lock_that_cannot_be_followed_says_why(platform, git, index):
    repo = git.repository("lockgit", {"app.py": "x", "uv.lock": uv(uv_package("one", source='git = "https://h/o/r"')), "slipway.yaml": MANIFEST})
    platform.create("lockgit", repo.url)
    use(platform, "lockgit", index.url)
    error = platform.deploy("lockgit", expect="failed")["error"]
    assert "uv.lock: 'one' comes from git" in error["message"] and "python: {from: FILE}" in error["hint"], error


def test_what_a_kind_needs_beside_the_lock_does_not_move_it(platform, git, index):
    """A server that is installed in a second run; it may not bring a locked package to another version."""
    server = SERVER.replace("{module}.hello()", "importlib.import_module('app').app").replace("import {module}", "import importlib, socket, sys; sys.path.insert(0, '.')")
    server = server.replace('http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()',
                            's = http.server.ThreadingHTTPServer(("", 0), H, False); s.socket.close(); s.socket = socket.socket(fileno=3); s.get_request = lambda: (s.socket.accept()[0], ("", 0)); s.serve_forever()')
    digest = index.wheel("slwfixed", "1.0", "value = 'fixed'\n")
    index.wheel("slwfixed", "2.0", "value = 'moved'\n")
    index.wheel("gunicorn", "99.1", server, requires=["slwfixed"])
    app = "import slwfixed\napplication = None\napp = slwfixed.value\n"
    repo = git.repository("beside", {"app.py": app, "uv.lock": locks(index, "slwfixed", digest)["uv.lock"], "slipway.yaml": "kind: wsgi\n"})
    platform.create("beside", repo.url)
    use(platform, "beside", index.url)
    platform.deploy("beside")
    assert platform.get("beside.localhost").body == b"fixed"
    index.wheel("gunicorn", "99.2", server, requires=["slwfixed>=2"])
    (index.dir / "simple/gunicorn/gunicorn-99.1-py3-none-any.whl").unlink()
    index.wheel("gunicorn", "99.2", server, requires=["slwfixed>=2"])
    repo.commit({"uv.lock": locks(index, "slwfixed", digest)["uv.lock"] + "# again\n"})
    text = json.dumps(platform.deploy("beside", expect="failed"))
    assert "gunicorn" in text and "slwfixed" in text, text
    assert platform.get("beside.localhost").body == b"fixed"


# --- Node ---------------------------------------------------------------------------------------------------------------------------

NODE = {"package.json": json.dumps({"name": "n", "version": "1.0.0", "dependencies": {"slw-y": "1.0.0"}, "scripts": {"start": "node server.js"}}),
        "server.js": "const hello = require('slw-y');\nrequire('http').createServer((q, r) => r.end(hello())).listen(Number(process.env.PORT), '127.0.0.1');\n"}
YARN_1 = "# yarn lockfile v1\n\n\nslw-y@1.0.0:\n  version \"1.0.0\"\n  resolved \"{url}\"\n  integrity {integrity}\n"
YARN_2 = "__metadata:\n  version: 8\n  cacheKey: 10c0\n"
PNPM = """lockfileVersion: '9.0'
settings: {{autoInstallPeers: true, excludeLinksFromLockfile: false}}
importers:
  .:
    dependencies:
      slw-y: {{specifier: 1.0.0, version: 1.0.0}}
packages:
  slw-y@1.0.0:
    resolution: {{integrity: {integrity}}}
snapshots:
  slw-y@1.0.0: {{}}
"""


def there(*names):
    return any((Path(d) / n).exists() for n in names for d in ("/usr/local/bin", "/usr/bin", "/bin"))


@pytest.mark.parametrize("file,text,words", [
    ("yarn.lock", YARN_1, ["Yarn 1", "yarnpkg"]), ("yarn.lock", YARN_2, ["Yarn 2 or later", "corepack"]), ("pnpm-lock.yaml", PNPM, ["pnpm", "npm install --global pnpm"]),
], ids=["yarn1", "yarn2", "pnpm"])
def test_a_tool_that_is_missing_is_named(platform, git, file, text, words):
    name = "not" + words[0][:6].lower().replace(" ", "")
    repo = git.repository(name, {**NODE, file: text})
    platform.create(name, repo.url)
    platform.cli("env", "set", name, "--plain", "--build", "PATH=/nowhere")
    error = platform.deploy(name, expect="failed")["error"]
    said = error["message"] + " / " + error["hint"]
    assert f"{file} is a lock file of {words[0]}, which is not on this machine" in said and words[1] in said, error


def test_a_tool_of_another_generation_is_not_let_loose(platform, git):
    repo = git.repository("yarnold", {**NODE, "yarn.lock": YARN_1})
    repo.commit({"tool/yarn": "#!/bin/sh\necho 4.1.0\n"})
    (repo.work / "tool/yarn").chmod(0o755)
    repo.commit({})
    platform.create("yarnold", repo.url)
    platform.cli("env", "set", "yarnold", "--plain", "--build", "PATH=tool:/usr/bin:/bin")
    error = platform.deploy("yarnold", expect="failed")["error"]
    assert "on this machine is yarn 4" in error["message"], error


def yarn_4_lock(folder, index, env):
    """Its lock file holds the hash of an archive that it makes itself: only it can write one."""
    for name, text in NODE.items():
        (folder / name).write_text(text)
    (folder / "yarn.lock").write_text("")
    made = subprocess.run(["yarn", "install", "--no-immutable"], cwd=folder, env=env, capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return (folder / "yarn.lock").read_text()


@pytest.mark.parametrize("file,text,names", [("yarn.lock", YARN_1, ["yarn", "yarnpkg"]), ("yarn.lock", None, ["yarn4"]), ("pnpm-lock.yaml", PNPM, ["pnpm"])], ids=["yarn", "yarn4", "pnpm"])
def test_packages_by_another_tool_than_npm(platform, git, index, tmp_path, file, text, names):
    yarn_4 = os.environ.get("SLIPWAY_TEST_YARN") if text is None else None
    if not shutil.which("node") or not (yarn_4 if text is None else there(*names)):
        pytest.skip(f"needs {names[0]}")
    url, integrity = index.package("slw-y", "1.0.0", f"module.exports = () => 'hello from {names[0]}'\n")
    path, settings = (yarn_4 + ":" if yarn_4 else "") + "/usr/local/bin:/usr/bin:/bin", [f"npm_config_registry={index.url}/", "npm_config_fetch_retries=0"]
    if yarn_4:
        settings = [f"YARN_NPM_REGISTRY_SERVER={index.url}", "YARN_UNSAFE_HTTP_WHITELIST=127.0.0.1", "YARN_NPM_MINIMAL_AGE_GATE=0", "PATH=" + path]
        text = yarn_4_lock(tmp_path, index, {"HOME": str(tmp_path), "YARN_ENABLE_TELEMETRY": "0", **dict(s.split("=", 1) for s in settings)}).replace("{", "{{").replace("}", "}}")
    repo = git.repository(names[0], {**NODE, file: text.format(url=url, integrity=integrity)})
    platform.create(names[0], repo.url)
    platform.cli("env", "set", names[0], "--plain", "--build", *settings)
    assert f"Node packages from {file}" in platform.cli("plan", names[0]).stdout
    platform.deploy(names[0])
    assert platform.get(names[0] + ".localhost").body == f"hello from {names[0]}".encode()
    # no file of the release is one of the tool's store
    files = [p for p in (platform.state / f"projects/{names[0]}/releases/1/node_modules").rglob("index.js") if p.is_file() and not p.is_symlink()]
    assert files and all(p.stat().st_nlink == 1 for p in files)
    # held to the lock file: what it does not know is not installed, nor what is not what it says
    index.package("slw-more", "1.0.0", "")
    repo.commit({"package.json": NODE["package.json"].replace('"slw-y": "1.0.0"', '"slw-y": "1.0.0", "slw-more": "1.0.0"')})
    error = platform.deploy(names[0], expect="failed")["error"]
    assert "lockfile" in error["message"].lower(), error
    assert platform.get(names[0] + ".localhost").body == f"hello from {names[0]}".encode()
