"""What the benches share: the load generator, processes' memory and processor time, many projects."""
import concurrent.futures
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from harness import BUILD, GitServer, Platform, free_port, wait_until  # noqa: E402, F401
from loads import load, pss_mb  # noqa: E402, F401

TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids):
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS


def processes(platform):
    """Its processes by role: daemon, keeper (with its monitor), nginx."""
    found = {"daemon": [platform.process.pid], "keeper": [], "nginx": []}
    children = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        children.setdefault(int(rest.split()[1]), []).append((int(entry.name), name))
        if name == "slipway-helper" and str(platform.run).encode() in command:
            found["keeper"].append(int(entry.name))
    # what the keeper forks for a moment is none
    found["keeper"] = [pid for pid in found["keeper"] if not any(pid == child for k in found["keeper"] for child, _ in children.get(k, []))]
    found["keeper"] += [pid for k in found["keeper"] for pid, name in children.get(k, []) if name == "slipway-monitor"]
    waiting = list(found["keeper"])
    while waiting:
        for pid, name in children.get(waiting.pop(), []):
            if name == "nginx":
                found["nginx"].append(pid)
                waiting.append(pid)
    return found


def median(values):
    return statistics.median(values)


def machine():
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) / 1024 / 1024
    return f"{os.cpu_count()} processors, {memory:.0f} GB, kernel {os.uname().release.split('-')[0]}, load {os.getloadavg()[0]:.1f}"


def duration_of(task, step):
    return next((s["duration_ms"] for s in task["steps"] if s["name"] == step), 0)


def site(platform, repo, name, release=True, every=0.03):
    """A project as the bar wants it: a release on disk, a vhost in the running edge, a hook, an environment. Without `release`
    the first two are left out."""
    platform.create(name, repo.url)
    platform.api("PUT", f"/projects/{name}/env", {"GREETING": {"value": "hello"}, "TOKEN": {"value": "s3cret", "secret": True}})
    platform.hook(name, name + "-push")
    if not release:
        return None
    # many at once: asking for them all every 30 ms would be most of the work
    task = platform.wait_task(platform.api("POST", f"/projects/{name}/deploys", {})["task"], 600, every)
    assert task["state"] == "done", task
    return task


def populate(platform, repo, first, last, at_once=8, released=None):
    """Projects pFIRST … p(LAST-1), those below pRELEASED with a release; the seconds it took."""
    begun = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda i: site(platform, repo, f"p{i:05d}", released is None or i < released, 0.3), range(first, last)))
    return time.monotonic() - begun
