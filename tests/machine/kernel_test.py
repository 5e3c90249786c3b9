"""What Debian's own kernel adds: limits through control groups v2, and its Landlock. Runs in the machine of vm.sh, which puts it there;
everything is ten times slower in it."""
import json
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
import apps  # noqa: E402
from harness import GitServer, Platform, wait_until  # noqa: E402

LIMITS = "limits: {memory: 96M, cpu: 0.5, tasks: 48}\n"


@pytest.fixture(scope="module")
def git():
    server = GitServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def platform(git):
    p = Platform()
    try:
        p.start()
        p.create("caged", git.repository("caged", apps.with_version(apps.socket_app(manifest=LIMITS), "v1")).url)
        p.wait_task(p.api("POST", "/projects/caged/deploys", {})["task"], 600)
        yield p
    finally:
        p.close()


def group_of(p, name):
    pid = next(i["pid"] for q in p.api("GET", f"/projects/{name}/processes")["items"] for i in q["instances"] if i["pid"])
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    assert len(lines) == 1 and lines[0].startswith("0::/"), lines  # v2, and nothing else
    return Path("/sys/fs/cgroup" + lines[0][3:])


def test_limits_are_in_the_control_group(platform):
    group = group_of(platform, "caged")
    found = {name: (group / name).read_text().split() for name in ("memory.max", "pids.max", "cpu.max")}
    print(found)
    assert found == {"memory.max": [str(96 << 20)], "pids.max": ["48"], "cpu.max": ["50000", "100000"]}


def test_who_eats_too_much_ends_and_the_limit_is_named(platform, git):
    hog = apps.with_version(apps.socket_app("x = [bytearray(1 << 20) for _ in range(400)]\n", LIMITS), "v2")
    platform.create("hog", git.repository("hog", hog).url)
    task = platform.wait_task(platform.api("POST", "/projects/hog/deploys", {})["task"], 600)
    assert task["state"] == "failed" and "memory" in json.dumps(task["error"]), task
    assert platform.get("caged.localhost", "/version").status == 200  # the neighbour serves on


LANDLOCK = """
import errno, os
os.chdir(os.environ["SLIPWAY_DATA_DIR"])
os.makedirs("a", exist_ok=True); os.makedirs("b", exist_ok=True)
open("a/f", "w").close()
os.rename("a/f", "b/f")  # Landlock's second version has a right for this
for path in ("/srv/open/note", "/root/slipway/tools/check"):
    try:
        open(path).read()
        print("READ", path)
    except OSError as e:
        print(errno.errorcode[e.errno], path)
"""


def test_landlock_is_this_kernels(platform):
    told = re.search(r"keeper started .*landlock=(\d+)", platform.log_text())
    assert int(told.group(1)) >= 2, told.group(0)
    note = Path("/srv/open/note")
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("for everybody's eyes")
    note.parent.chmod(0o755)
    note.chmod(0o644)
    shown = platform.cli("run", "caged", "--", "python3", "-c", LANDLOCK).stdout
    assert shown.splitlines() == ["EACCES /srv/open/note", "EACCES /root/slipway/tools/check"], shown


def test_no_group_is_left(platform):
    group = group_of(platform, "caged")
    platform.cli("destroy", "caged", "--yes")
    wait_until(lambda: not group.exists(), 60, 0.2)
