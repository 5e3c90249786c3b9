"""What Debian's own kernel adds: limits through control groups v2, disk quotas, and its Landlock. Runs in the machine of vm.sh, which puts it there;
everything is ten times slower in it."""
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
sys.path.insert(0, str(TOP / "tests/e2e"))
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


DISK = 24 << 20
FILL = """
import errno, os, sys
os.chdir(os.environ["SLIPWAY_DATA_DIR"] if sys.argv[1] == "data" else sys.argv[1])
wrote = 0
try:
    for i in range(int(sys.argv[2])):
        with open(f"part{i}", "wb") as f:
            wrote += f.write(bytes(1 << 20))
except OSError as e:
    print(f"{errno.errorcode[e.errno]} after {wrote >> 20} MB", flush=True)
    os.kill(os.getpid(), 6)  # what it wrote stays
print("wrote", wrote >> 20, "MB")
"""


def quotas():
    """User number -> (KB used, KB allowed), as the tool of another project reads them."""
    rows = subprocess.run(["repquota", "-nuv", "/"], check=True, capture_output=True, text=True).stdout
    return {int(n): (int(used), int(hard)) for n, used, hard in re.findall(r"^#(\d+)\s+\S+\s+(\d+)\s+\d+\s+(\d+)", rows, re.M)}


def quota_of(p, name):
    return quotas().get((p.state / "projects" / name / "cache").stat().st_uid, (0, 0))


def fill(p, name, megabytes):
    return p.cli("run", name, "--", "python3", "-c", FILL, "data", str(megabytes), expect=None).stdout.splitlines()


@pytest.fixture(scope="module")
def full(platform, git):
    """A project with 24 MB of disk, 20 of which its data holds."""
    repo = git.repository("full", {"fill.py": FILL, **apps.with_version(apps.socket_app(), "v1")})
    platform.create("full", repo.url, limits={"disk_bytes": DISK})
    task = platform.wait_task(platform.api("POST", "/projects/full/deploys", {})["task"], 600)
    assert task["state"] == "done", task["error"]
    assert fill(platform, "full", 20) == ["wrote 20 MB"]
    return repo


def test_the_disk_limit_is_a_quota(platform, full):
    assert re.search(r"keeper started .*quota=1", platform.log_text()) and "no_quota" not in platform.log_text()
    assert platform.api("GET", "/projects/full")["disk_quota"] is True
    assert re.search(r"disk_bytes 25165824 \(quota\)", platform.cli("info", "full").stdout)
    used, allowed = quota_of(platform, "full")
    assert allowed == DISK >> 10 and used >= 20 << 10, (used, allowed)
    assert quota_of(platform, "caged")[1] == 0, "who has no disk limit has no quota"


def test_a_build_that_passes_it_fails_and_names_it(platform, full):
    """It writes 12 MB, which is below the limit alone: only the file system knows of the data beside it."""
    slow = apps.with_version(apps.socket_app(), "v2")
    full.commit({**slow, "slipway.yaml": slow["slipway.yaml"] + "build: [[python3, fill.py, ., '12']]\n"})
    task = platform.wait_task(platform.api("POST", "/projects/full/deploys", {})["task"], 600)
    error = task["error"]
    print(error)
    assert task["state"] == "failed" and error["step"] == "build", task
    assert "disk limit allows (24 MB for all files of the project's user)" in error["message"] and "limits.disk" in error["hint"], error
    assert "EDQUOT" in json.dumps(platform.api("GET", "/projects/full/logs?tail=50"))
    assert platform.get("full.localhost", "/version").body == b"v1"


def test_a_process_that_passes_it_gets_edquot_and_the_neighbour_writes_on(platform, full):
    shown = fill(platform, "full", 40)
    print(shown)
    assert re.fullmatch(r"EDQUOT after 2[0-4] MB", shown[0]), shown
    used, allowed = quota_of(platform, "full")
    assert allowed - 8 <= used <= allowed, (used, allowed)
    assert fill(platform, "caged", 30) == ["wrote 30 MB"]
    platform.cli("restart", "full")  # no room for a file of its own, and it starts all the same
    wait_until(lambda: platform.get("full.localhost", "/version").status == 200, 60, 0.5)
    assert platform.get("full.localhost", "/version").body == b"v1" and platform.get("caged.localhost", "/version").status == 200


def test_the_quota_follows_the_limit_and_goes_with_the_project(platform, full):
    number = (platform.state / "projects/full/cache").stat().st_uid
    platform.api("PATCH", "/projects/full", {"limits": {"disk_bytes": 2 * DISK}})
    full.commit(apps.with_version(apps.socket_app(), "v3"))
    task = platform.wait_task(platform.api("POST", "/projects/full/deploys", {})["task"], 600)
    assert task["state"] == "done", task["error"]
    assert quota_of(platform, "full")[1] == 2 * DISK >> 10
    platform.cli("destroy", "full", "--yes")
    wait_until(lambda: not (platform.state / "projects/full").exists() and quotas().get(number, (0, 0)) == (0, 0), 60, 0.5)


SET = """
import ctypes, os
block = (ctypes.c_uint64 * 9)(1000, 0, 0, 0, 0, 0, 0, 0, 1)  # struct if_dqblk: a hard limit of 1,000 KB, and that it is one
rc = ctypes.CDLL(None, use_errno=True).syscall(443, os.open("/var/lib/slipway", os.O_RDONLY), 0x800008 << 8, 60001, block)
print("set" if rc == 0 else os.strerror(ctypes.get_errno()))
"""


def test_the_helpers_unit_needs_what_setup_gives_it():
    """Closed in as its unit is, it may not set a quota; with what `slipway setup` adds where there are quotas, it may."""
    unit = (TOP / "share/units/slipway-helper.service.in").read_text()
    closed = re.findall(r"^((?:Cap|NoNew|Protect|ReadWrite|Private|Lock|Memory|Restrict|SystemCall)\w*=.*)$", unit, re.M)
    added = re.findall(r'"(\w+=\w+)\\n"', (TOP / "src/setup/quota.c").read_text())
    assert len(closed) > 15 and len(added) == 2, (closed, added)
    for folder in ("/var/lib/slipway", "/run/slipway"):
        Path(folder).mkdir(exist_ok=True)

    def tries(rights):
        argv = [word for right in rights for word in ("-p", right)]
        return subprocess.run(["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *argv, "/usr/bin/python3", "-c", SET], check=True, capture_output=True, text=True).stdout.strip()

    assert tries(closed) == "Operation not permitted"
    assert tries(closed + added) == "set" and quotas()[60001][1] == 1000


def test_no_group_is_left(platform):
    group = group_of(platform, "caged")
    platform.cli("destroy", "caged", "--yes")
    wait_until(lambda: not group.exists(), 60, 0.2)
