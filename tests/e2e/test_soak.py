"""Deploy after deploy, nothing piles up: descriptors, memory, dead processes, temporary files, control groups, run folders, releases.
SLIPWAY_LONG=1: 200 deploys."""
import os
import time
from pathlib import Path

import apps
from harness import BUILD, Platform, wait_until

LONG = bool(os.environ.get("SLIPWAY_LONG"))
DEPLOYS = 200 if LONG else 30
WARM = 20 if LONG else 10
KEEP = 3
CONNECTIONS = 6  # one writes, five read
MANIFEST = f"""kind: command
keep_releases: {KEEP}
release: [python3, -c, "print(1)"]
processes:
  web: {{run: [python3, serve.py], listen: socket}}
health: {{path: /version, interval: 100ms}}
"""


def status(pid):
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)


def own_kb(pid):
    """What is the process's own: how much of a library counts as its own depends on who else runs."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("Pss_Anon:")).split()[1])


def pids():
    return [int(p) for p in os.listdir("/proc") if p.isdigit()]


def descends(pid, top):
    try:
        while pid > 1 and pid != top:
            pid = int(status(pid)["PPid"])
    except (OSError, KeyError):
        return False
    return pid == top


def keeper_of(platform):
    for pid in pids():
        try:
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"--keeper" in line and str(platform.run).encode() in line:
            return pid
    raise AssertionError("there is no keeper")


def look(platform, project):
    """What there is now, by name."""
    keeper, daemon = keeper_of(platform), platform.process.pid
    zombies = 0
    for pid in pids():
        try:
            zombies += status(pid)["State"].startswith("Z") and (descends(pid, keeper) or descends(pid, daemon))
        except OSError:
            continue
    top = platform.state / "projects" / project
    return {
        "descriptors of the daemon": len(os.listdir(f"/proc/{daemon}/fd")),
        "descriptors of the keeper": len(os.listdir(f"/proc/{keeper}/fd")),
        "threads of the daemon": int(status(daemon)["Threads"]),
        "dead processes": zombies,
        "children of the keeper": sum(descends(p, keeper) for p in pids()),
        "control groups": sum(sum(q.is_dir() for q in p.iterdir()) for p in Path("/sys/fs/cgroup").glob("**/slipway-*") if p.is_dir() and keeper_of_group(p, keeper)),
        "run folders": sum(p.is_dir() and not p.is_symlink() for p in (platform.run / project).iterdir()),
        "sockets": len(list((platform.run / project).glob("*/*.sock"))),
        "temporary folders": len(list((top / "tmp").iterdir())),
        "public folders": len(list((top / "public").iterdir())),
        "spool": len(list((platform.state / "spool").iterdir())),
        "half-written files": len([p for p in platform.state.glob("**/.tmp-*")]) + len(list((platform.state / "edge" / "test").glob("job.*"))),
    }


def keeper_of_group(folder, keeper):
    """Whether one of the keeper's own instances is in a group below this folder."""
    for file in folder.glob("*/cgroup.procs"):
        try:
            if any(descends(int(p), keeper) for p in file.read_text().split()):
                return True
        except OSError:
            continue
    return False


def memory(platform):
    return {"daemon": own_kb(platform.process.pid), "keeper": own_kb(keeper_of(platform))}


def database_kb(platform):
    return (platform.state / "slipway.db").stat().st_size // 1024


def settled(platform, project):
    """The last leavings of what has just ended are taken away in the background."""
    last = [look(platform, project)]

    def same():
        time.sleep(0.3)
        now = look(platform, project)
        equal, last[0] = now == last[0], now
        return equal

    wait_until(same, 20)
    return last[0]


def test_deploys_leave_nothing_behind(git):
    platform = Platform(build=BUILD)
    try:
        platform.start()
        files = apps.socket_app(manifest=MANIFEST)
        repo = git.repository("soak", apps.with_version(files, "v0"))
        platform.create("soak", repo.url)

        def deploy(n):
            if n % 5 == 4:  # one that comes to nothing
                repo.commit({"VERSION": f"v{n}", "slipway.yaml": MANIFEST.replace("print(1)", "raise SystemExit(3)")})
                platform.deploy("soak", expect="failed")
            else:
                repo.commit({"VERSION": f"v{n}", "slipway.yaml": MANIFEST})
                platform.deploy("soak")

        for n in range(WARM):
            deploy(n)
        before, used, stored = settled(platform, "soak"), memory(platform), database_kb(platform)
        for n in range(WARM, WARM + DEPLOYS):
            deploy(n)
        after, uses = settled(platform, "soak"), memory(platform)
        print(used, uses, after)
        assert after == before
        # Each connection keeps pages of the database, up to its cache's size: the records of what was done are no leak.
        kept = CONNECTIONS * (database_kb(platform) - stored)
        assert uses["daemon"] <= used["daemon"] * 1.10 + kept, (used, uses, kept)
        assert uses["keeper"] <= used["keeper"] * 1.10 + 32, (used, uses)
        trees = list((platform.state / "projects/soak/releases").iterdir())
        assert len(trees) <= KEEP + 1, trees
        assert after["dead processes"] == 0 and after["run folders"] <= 2, after
    finally:
        platform.close()
