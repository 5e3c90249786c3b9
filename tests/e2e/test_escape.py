"""The escape kit: from inside one project it tries what is another's and what is the platform's (tests/tools/escape.c). Nothing
succeeds. Each way is one: as the other project, outside of the sandbox, or as root, the same program succeeds in it (escape_kit.py)."""
import json
import os
import re
import subprocess
import sys

import pytest

from escape_kit import APP, MANIFEST, OTHERS, PLATFORM, SANDBOX, SHARED, SIDE, TRACER, told, yes
from harness import BUILD, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="without root every project is one user")

GUARDED = subprocess.run(["nft", "list", "ruleset"], capture_output=True).returncode == 0
guarded = pytest.mark.skipif(not GUARDED, reason="this kernel, or this machine's root, has no nftables")

@pytest.fixture(scope="module")
def kit(platform, git):
    """Two projects of one program; what to try on the second."""
    for name in ("eve", "bob"):
        files = {"app.py": APP, "side.py": SIDE, "slipway.yaml": MANIFEST % name}
        repo = git.repository("escape-" + name, files)
        (repo.work / "escape").write_bytes((BUILD / "tests/escape").read_bytes())
        (repo.work / "escape").chmod(0o755)
        repo.commit({})
        platform.create(name, repo.url)
        platform.deploy(name)
    about = json.loads(wait_until(lambda: platform.get("bob.localhost").body, 30))
    groups = (line.split(":") for line in open(f"/proc/{about['pid']}/cgroup").read().splitlines())
    group = next(f"/sys/fs/cgroup/{kind.split('=')[-1] or 'unified'}{path}" for _, kind, path in groups if "slipway-" in path)
    if not os.path.isdir(group):  # v2 alone
        group = group.replace("/unified", "")
    about.update(api=platform.run / "api.sock", keeper=platform.run / "keeper.sock", group=group + "/cgroup.procs")
    port = platform.state / "projects/bob/data/port"
    about.update(port=wait_until(lambda: port.exists() and port.read_text(), 30))
    about.update(live=platform.run / "bob/1/web.1.sock", log=platform.state / "logs/bob/web.log", store=platform.state / "slipway.db")
    about.update(front=platform.run / "edge-api.sock", events=platform.state / "journal", seal=platform.state / "keys/seal.key")
    about.update(queue="escape-bob", key=outside(platform, "bob", "hold", "escape-bob").strip())
    return [f"{k}={v}" for k, v in about.items()]


def outside(platform, name, *args):
    """The kit as a project's user, but in no sandbox."""
    user = str((platform.state / f"projects/{name}/cache").stat().st_uid)
    return subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--", BUILD / "tests/escape", *args], check=True, capture_output=True, text=True).stdout


def inside(platform, name, kit):
    return told(platform.get(name + ".localhost", method="POST", body=json.dumps(kit).encode()).body.decode())


def test_from_another_project_nothing_succeeds(platform, kit):
    found, landlock = inside(platform, "eve", kit), int(re.search(r"keeper started .*landlock=(\d+)", platform.log_text()).group(1))
    print(found)
    assert set(found) == OTHERS | SANDBOX | TRACER | PLATFORM
    lacks = set() if GUARDED else {"port"}
    lacks |= set() if landlock >= 6 else {"abstract"}  # before Linux 6.12 every process of a network reaches its abstract sockets
    assert not yes(found) - lacks, found


def test_the_project_itself_succeeds_in_what_is_its_own(platform, kit):
    found = inside(platform, "bob", kit)
    assert yes(found) == OTHERS, found


def test_outside_of_the_sandbox_what_it_claims_succeeds(platform, kit):
    user = str((platform.state / "projects/eve/cache").stat().st_uid)
    if subprocess.run(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--", "unshare", "--user", "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets no user make namespaces")
    found = told(outside(platform, "eve", *kit))
    assert SANDBOX | {"abstract"} <= yes(found), found
    found = told(outside(platform, "bob", *kit))
    assert TRACER <= yes(found), found


def test_in_its_namespaces_another_user_succeeds(platform, kit):
    """What is in its own /dev/shm and of its own keys is kept from others by nothing else."""
    pid, eve = dict(pair.split("=", 1) for pair in kit)["pid"], str((platform.state / "projects/eve/cache").stat().st_uid)
    enter = ["nsenter", "--target", pid, "--mount", "--ipc", "--", "setpriv", "--reuid", eve, "--regid", eve, "--clear-groups", "--"]
    found = told(subprocess.run([*enter, BUILD / "tests/escape", *kit], check=True, capture_output=True, text=True).stdout)
    assert SHARED <= yes(found), found


def test_root_succeeds_in_what_is_the_platforms(platform, kit):
    wait_until((platform.state / "logs/bob/web.log").exists, 30)
    found = told(subprocess.run([BUILD / "tests/escape", *kit], check=True, capture_output=True, text=True).stdout)
    assert PLATFORM | TRACER <= yes(found), found


def as_tenant(platform, name, code, *args):
    user = str((platform.state / f"projects/{name}/cache").stat().st_uid)
    return subprocess.Popen(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--", sys.executable, "-c", code, *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


LISTEN = "import socket, sys; s = socket.create_server(('127.0.0.1', int(sys.argv[1]))); print('listens', flush=True); s.accept()"
CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=1); print('connected')"


@guarded
@pytest.mark.parametrize("owner, answered", (("bob", True), ("eve", False)))
def test_who_listens_in_anothers_place_answers_nobody(platform, kit, owner, answered):
    """A port of bob's that his program does not use: what eve puts there gets no connection of his relay's."""
    free = int(dict(pair.split("=", 1) for pair in kit)["port"]) // 10 * 10 + 7
    there = as_tenant(platform, owner, LISTEN, free)
    try:
        assert there.stdout.readline() == "listens\n"
        caller = as_tenant(platform, "bob", CONNECT, free)
        assert (caller.communicate(timeout=20)[0] == "connected\n") == answered
    finally:
        there.kill()
        there.communicate()


@guarded
def test_ports_go_with_their_project(platform, kit):
    def table():
        return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout

    port = int(dict(pair.split("=", 1) for pair in kit)["port"]) // 10 * 10
    assert f"{port}-{port + 9}" in table()
    platform.wait_task(platform.api("DELETE", "/projects/bob")["task"])
    wait_until(lambda: f"{port}-{port + 9}" not in table(), 20)
    assert re.search(r"set owners .*?elements = ", table(), re.S), "eve has hers"
