#!/usr/bin/env python3
"""acceptance.py [--requests N] [--database sqlite|postgresql] [--connections N] [--registrations N] [--late MS]: the requests of the
report's simulation, through the edge of a real platform, with five deploys, each of another version, and one rollback in the middle.
No answer may be wrong, none may fail, none may take longer than the simulator's 0.3 s, memory may not grow. Prints what was
measured and ends with 1 when something was not so."""
import argparse
import os
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))
import minitwit_project as minitwit  # noqa: E402
from harness import BUILD, GitServer, Platform, free_port  # noqa: E402
from postgres import Postgres  # noqa: E402

REQUESTS = 12150558
STEPS = ["2.0", "3.0", "4.0", None, "5.0", "6.0"]


def arguments():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--requests", type=int, default=REQUESTS)
    p.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    p.add_argument("--connections", type=int, default=16)
    p.add_argument("--persons", type=int, default=1000, help="who are there before the first request")
    p.add_argument("--registrations", type=int, default=5, help="of 10,000 requests")
    p.add_argument("--late", type=int, default=300, help="an answer that takes longer, in ms, is late")
    return p.parse_args()


def start_database(platform, kind):
    """The server, started and told to the project; None for SQLite, which needs neither."""
    if kind == "sqlite":
        return None
    server = Postgres(fsync=True, port=free_port())
    platform.cli("env", "set", minitwit.NAME, "DATABASE_URL=" + server.database("minitwit"))
    return server


def interrupted(*_):
    raise KeyboardInterrupt


def main():
    o = arguments()
    for s in (signal.SIGINT, signal.SIGTERM):  # also where a script put it in the background: everything is taken down
        signal.signal(s, interrupted)
    git, platform, server = GitServer(), Platform(build=BUILD, extra=["--log", "warn"]).start(), None
    try:
        project = minitwit.Project(platform, git)
        server = start_database(platform, o.database)
        project.deploy("1.0")
        print(f"{o.requests} requests, {o.database}, load {os.getloadavg()[0]:.1f}, {time.strftime('%F %T', time.gmtime())} UTC", flush=True)
        seen, load = minitwit.run(platform, project, o.requests, STEPS, "--connections", o.connections, "--persons", o.persons, "--registrations", o.registrations, "--late", o.late)
        print(load.text)
        print(f"memory of each release's process at most: {seen['memory_mb']} MB; load {os.getloadavg()[0]:.1f}, {time.strftime('%F %T', time.gmtime())} UTC")
        found = minitwit.faults(seen, project, o.requests)
        print("accepted" if not found else "NOT accepted: " + "; ".join(found))
    finally:
        platform.close()
        git.close()
        if server:
            server.close()
    return 1 if found else 0


sys.exit(main())
