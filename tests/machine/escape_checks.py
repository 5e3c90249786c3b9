"""The escape kit on a server, where the sandbox is the directives of systemd's units: from one project's running program, from a command of
it and from its build, what is another's and what is the platform's. Nothing succeeds; who does, and so shows that each way is one, is
in e2e/escape_kit.py. Part of test_server.py, which has the machine."""
import json
import os
import re
import shutil
import tempfile
from pathlib import Path

from server import BUILD
from unit_checks import show, unit_of, until

from escape_kit import APP, MANIFEST, NOBODY, OTHERS, PLATFORM, SANDBOX, SERVER, SHARED, SIDE, TRACER, told, yes

KIT = "/srv/escape"  # of a mode that lets every user run it
BUILD_STEP = 'build: [[sh, -c, "./escape $(cat kit) >found"]]\n'


def landlock(server):
    return int(server.run("python3 -c 'import ctypes; print(ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1))'"))


def landlock_is_there_for_all(server):
    """What the kernel has the helper has, and the daemon: where a unit's filter refuses it, slipway-cert and slipway-outbound go without."""
    told = re.search(r"landlock=(\d+)", server.run("journalctl -q -o cat -u slipway-helper | grep 'keeper started' | tail -1")).group(1)
    assert int(told) == max(landlock(server), 0)
    for unit in ("slipwayd.service", "slipway-helper.service"):
        allowed = set(show(server, unit, "SystemCallFilter")["SystemCallFilter"].split())
        assert {"seccomp", "landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"} <= allowed, unit


def put_source(server, name, kit=()):
    folder = Path(tempfile.mkdtemp(prefix="slipway-escape-"))
    try:
        files = {"app.py": APP, "side.py": SIDE, "slipway.yaml": MANIFEST % name + (BUILD_STEP if kit else ""), "kit": " ".join(kit)}
        for file, text in files.items():
            (folder / file).write_text(text)
        shutil.copy(BUILD / "tests/escape", folder / "escape")
        os.chmod(folder, 0o755)
        server.put(folder, f"/srv/escape-{name}")
    finally:
        shutil.rmtree(folder)
    server.run(f"chmod 755 /srv/escape-{name}/escape && cp /srv/escape-{name}/escape {KIT}")
    server.slipway("create", name, "--path", f"/srv/escape-{name}")
    server.slipway("deploy", name)


def what_to_try(server):
    """On bob."""
    about = json.loads(server.wait_get("bob.localhost"))
    groups = (line.split(":", 2) for line in server.run("cat", f"/proc/{about['pid']}/cgroup").splitlines())
    places = [f"/sys/fs/cgroup/{kind.split('=')[-1] or part}{path}/cgroup.procs" for _, kind, path in groups if "slipway-bob" in path for part in ("unified", "")]
    about["group"] = next(p for p in places if server.run("test", "-e", p, expect=None).returncode == 0)
    state, unit = "/var/lib/slipway", unit_of(server, "bob")
    port = f"{state}/projects/bob/data/port"
    until(lambda: server.run("cat", port, expect=None).stdout)
    about.update(port=server.run("cat", port), live="/run/slipway/bob/1/web.1.sock", log=f"{state}/logs/bob/web.log", store=f"{state}/slipway.db")
    about.update(api="/run/slipway/api.sock", front="/run/slipway/edge-api.sock", keeper="/run/slipway/keeper.sock")
    about.update(events=f"{state}/journal", seal=f"{state}/keys/seal.key", saved=f"{state}/helper")
    about.update(manager="/run/systemd/private", journal="{/run,/var}/log/journal/*/system.journal")
    about.update(supply="/run/slipway-helper/supply.sock:" + unit.rsplit(".", 2)[1])
    about.update(queue="escape-bob", key=server.run("runuser", "-u", "sw-bob", "--", KIT, "hold", "escape-bob").strip())
    return [f"{k}={v}" for k, v in about.items()]


def inside(server, name, kit):
    body = json.dumps(kit)
    return told(server.run("curl", "-sS", "-m", "30", "-H", f"Host: {name}.localhost", "--data-binary", "@-", "http://127.0.0.1/", stdin=body))


def nothing_succeeds(server, kit):
    ways = OTHERS | SANDBOX | TRACER | PLATFORM | SERVER | NOBODY
    state = "/var/lib/slipway/projects/eve/releases"
    seen = {"program": inside(server, "eve", kit), "command": told(server.slipway("run", "eve", "--", "./escape", *kit)), "build": told(server.run(f"cat {state}/1/found"))}
    print(seen)
    lacks = set() if landlock(server) >= 6 else {"abstract"}
    for where, found in seen.items():
        assert set(found) == ways, (where, found)
        assert not yes(found) - lacks, (where, found)


def each_way_is_one(server, kit):
    found = inside(server, "bob", kit)
    assert yes(found) == OTHERS, found
    found = told(server.run("runuser", "-u", "sw-eve", "--", KIT, *kit))
    assert SANDBOX | {"abstract"} <= yes(found), found
    pid = dict(pair.split("=", 1) for pair in kit)["pid"]
    found = told(server.run("nsenter", "--target", pid, "--mount", "--ipc", "--", "runuser", "-u", "sw-eve", "--", KIT, *kit))
    assert SHARED | {"tmp"} <= yes(found), found
    found = told(server.run(KIT, *(pair for pair in kit if not pair.startswith("supply="))))
    assert PLATFORM | TRACER | SERVER <= yes(found), found


def ended(server):
    return server.run("journalctl -q -o cat -u slipway-helper | grep -c 'ended project=bob process=web'", expect=None).stdout.strip()


def only_root_tells_an_end(server, kit):
    """Everybody above tried it, too, and bob ran on."""
    assert ended(server) == "0"
    server.run(KIT, next(pair for pair in kit if pair.startswith("supply=")))
    until(lambda: ended(server) != "0")


def escapes(server):
    landlock_is_there_for_all(server)
    try:
        put_source(server, "bob")
        kit = what_to_try(server)
        unit, pid = unit_of(server, "bob"), show(server, unit_of(server, "bob"), "MainPID")
        put_source(server, "eve", kit)
        nothing_succeeds(server, kit)
        each_way_is_one(server, kit)
        assert (unit_of(server, "bob"), show(server, unit, "MainPID")) == (unit, pid)
        only_root_tells_an_end(server, kit)
    finally:
        for name in ("bob", "eve"):
            server.slipway("destroy", name, "--yes", "--purge", expect=None)
        server.run(f"rm -rf {KIT} /srv/escape-bob /srv/escape-eve /dev/mqueue/escape-bob")
    until(lambda: server.run("systemctl list-units --all --plain --no-legend 'slipway-bob*' 'slipway-eve*'") == "")
