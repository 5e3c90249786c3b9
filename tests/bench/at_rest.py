#!/usr/bin/env python3
"""The control plane at rest, with one project and with MANY (1,000): PSS of slipwayd and of the keeper, and their processor time
over 20 s in which nobody asks anything. nginx is shown, not counted."""
import os
import sys
import time
from pathlib import Path

from _measure import BUILD, GitServer, Platform, cpu_seconds, machine, populate, processes, pss_mb

SECONDS = float(os.environ.get("SECONDS_EACH", "20"))
MANY = int(os.environ.get("MANY", "1000"))


def biggest(pid, count=6):
    """The largest mappings of a process: where to look first."""
    sizes = {}
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        fields = line.split()
        if "-" in fields[0] and not fields[0].endswith(":"):
            name = fields[5].rsplit("/", 1)[-1] if len(fields) > 5 else "anonymous"
        elif fields[0] == "Pss:":
            sizes[name] = sizes.get(name, 0) + int(fields[1])
    return ", ".join(f"{name} {kb / 1024:.1f}" for name, kb in sorted(sizes.items(), key=lambda x: -x[1])[:count])


def measure(platform, count, bar, verbose=False):
    time.sleep(3)
    found = processes(platform)
    mine = found["daemon"] + found["keeper"]
    before = cpu_seconds(mine)
    time.sleep(SECONDS)
    used = (cpu_seconds(mine) - before) / SECONDS * 100
    daemon, keeper = (sum(pss_mb(p) for p in found[role]) for role in ("daemon", "keeper"))
    nginx = sum(pss_mb(p) for p in found["nginx"])
    print(
        f"{count:6} projects: slipwayd {daemon:5.1f} MB + slipway-helper {keeper:4.1f} MB = {daemon + keeper:5.1f} MB (bar {bar}), "
        f"{used:.2f} % of a processor (bar 0.1); nginx {nginx:.1f} MB",
        flush=True,
    )
    if verbose:
        for role in ("daemon", "keeper"):
            for pid in found[role]:
                print(f"  {role} {pid}: {biggest(pid)}")


def main():
    verbose = "-v" in sys.argv
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    print(machine())
    try:
        repo = git.repository("rest", {"index.html": "<p>x</p>"})
        populate(platform, repo, 0, 1)
        measure(platform, 1, 10, verbose)
        if MANY <= 1:
            return
        populate(platform, repo, 1, MANY)
        measure(platform, MANY, 24, verbose)
        platform.kill()
        platform.start()
        print("the daemon killed and started again:")
        measure(platform, MANY, 24, verbose)
    finally:
        platform.close()
        git.close()


if __name__ == "__main__":
    main()
