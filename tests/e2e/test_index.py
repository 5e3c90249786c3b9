"""Dependencies: Python packages from an index of our own, Node packages from a lock file; cached by their hash; clear when they fail."""
import base64
import json
import shutil
import time

import pytest

from harness import free_port
from packages import MANIFEST, SERVER, Index, build_words, use


@pytest.fixture(scope="module")
def index():
    i = Index()
    yield i
    i.close()


def test_requirements_come_from_the_index_and_stay_cached(platform, git, index):
    index.wheel("slwhello", "1.0", "def hello():\n    return 'hello one'\n")
    repo = git.repository("pip", {"app.py": SERVER.format(module="slwhello"), "requirements.txt": "slwhello==1.0\n", "slipway.yaml": MANIFEST})
    platform.create("pip", repo.url)
    use(platform, "pip", index.url)
    platform.deploy("pip")
    assert platform.get("pip.localhost").body == b"hello one"
    assert any("slwhello-1.0" in path for path in index.asked)
    # the same requirements: from the cache, without a word to the index, and it says so
    asked = len(index.asked)
    repo.commit({"README": "x"})
    task = platform.deploy("pip")
    assert len(index.asked) == asked and "cached environment" in build_words(platform, task)
    # a lock with hashes is held to them
    digest = index.wheel("slwlocked", "1.0", "def hello():\n    return 'locked'\n")
    repo.commit({"requirements.txt": f"slwlocked==1.0 --hash=sha256:{digest}\n", "app.py": SERVER.format(module="slwlocked")})
    platform.deploy("pip")
    assert platform.get("pip.localhost").body == b"locked"
    repo.commit({"requirements.txt": f"slwlocked==1.0 --hash=sha256:{'0' * 64}\n"})
    text = json.dumps(platform.deploy("pip", expect="failed"))
    assert "slwlocked" in text and "hash" in text.lower(), text
    assert platform.get("pip.localhost").body == b"locked"


def test_a_missing_package_is_named(platform, git, index):
    repo = git.repository("piless", {"app.py": "x", "requirements.txt": "slwnowhere>=3\n", "slipway.yaml": MANIFEST})
    platform.create("piless", repo.url)
    use(platform, "piless", index.url)
    error = platform.deploy("piless", expect="failed")["error"]
    assert "slwnowhere" in error["message"], error
    index.wheel("slwold", "1.0", "")
    repo.commit({"requirements.txt": "slwold==9.9\n"})
    shown = platform.cli("deploy", "piless", expect=1).stdout
    assert "slwold" in shown and "9.9" in shown


def test_no_index_and_the_system_has_it_all(platform, git):
    """`pip` is a package of the system's; nothing listens at the index."""
    repo = git.repository("piout", {"app.py": SERVER.format(module="pip").replace("pip.hello()", "pip.__name__"), "requirements.txt": "pip\n", "slipway.yaml": MANIFEST})
    platform.create("piout", repo.url)
    use(platform, "piout", f"http://127.0.0.1:{free_port()}")
    started = time.monotonic()
    task = platform.deploy("piout")
    assert platform.get("piout.localhost").body == b"pip" and time.monotonic() - started < 60
    assert "no package index answers" in build_words(platform, task) and "packages of the system" in build_words(platform, task)
    repo.commit({"requirements.txt": "slwnowhere\n"})
    error = platform.deploy("piout", expect="failed")["error"]
    assert "no package index answers" in error["message"] and "slwnowhere" in json.dumps(error), error


@pytest.mark.parametrize("manifest,words", [
    ('kind: wsgi\npython: {version: "3.99"}\n', ["Python 3.99", "there is 3."]),
    ('kind: node\nnode: {version: "99"}\n', ["Node 99", "on this machine is"]),
])
def test_a_version_that_is_not_there(platform, git, manifest, words):
    name = "ver" + manifest[6:10]
    repo = git.repository(name, {"wsgi.py": "application = None\n", "server.js": "", "slipway.yaml": manifest})
    platform.create(name, repo.url)
    error = platform.deploy(name, expect="failed")["error"]
    assert all(w in error["message"] for w in words), error


def test_npm_ci_from_a_lock_file(platform, git, index):
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("needs npm")
    url, integrity = index.package("slw-hello", "1.0.0", "module.exports = () => 'hello from npm'\n")
    package = {"name": "n", "version": "1.0.0", "dependencies": {"slw-hello": "1.0.0"}, "scripts": {"start": "node server.js"}}
    lock = {"name": "n", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {
        "": {"name": "n", "version": "1.0.0", "dependencies": {"slw-hello": "1.0.0"}}, "node_modules/slw-hello": {"version": "1.0.0", "resolved": url, "integrity": integrity}}}
    server = "const hello = require('slw-hello');\nrequire('http').createServer((q, r) => r.end(hello())).listen(Number(process.env.PORT), '127.0.0.1');\n"
    repo = git.repository("npm", {"package.json": json.dumps(package), "package-lock.json": json.dumps(lock), "server.js": server})
    platform.create("npm", repo.url)
    platform.cli("env", "set", "npm", "--plain", "--build", f"npm_config_registry={index.url}/", "npm_config_fetch_retries=0")
    platform.deploy("npm")
    assert platform.get("npm.localhost").body == b"hello from npm"
    # from npm's own cache, kept with the project
    asked = len(index.asked)
    repo.commit({"README": "x"})
    platform.deploy("npm")
    assert len([p for p in index.asked[asked:] if p.endswith(".tgz")]) == 0
    # a tarball that is not what the lock file says
    lock["packages"]["node_modules/slw-hello"]["integrity"] = "sha512-" + base64.b64encode(b"0" * 64).decode()
    repo.commit({"package-lock.json": json.dumps(lock)})
    text = json.dumps(platform.deploy("npm", expect="failed"))
    assert "npm ci" in text and "integrity" in text.lower(), text
    assert platform.get("npm.localhost").body == b"hello from npm"
