#!/usr/bin/env python3
"""The cost of a deploy with 10, 1,000 and (MANY_MAX=10000) 10,000 projects present, each made through the API with a release on
disk, a vhost in the running edge, a hook and an environment; what making and removing one costs along the way; nginx's own
reload and memory beside it; the start of the daemon with all of them and EVENTS (1,000,000) events in its store."""
import os
import signal
import sqlite3
import time
from pathlib import Path

from _measure import BUILD, GitServer, Platform, duration_of, machine, median, populate, processes, pss_mb, site, wait_until

import at_rest
import switch

ROUNDS = int(os.environ.get("ROUNDS", "9"))
MANY_MAX = int(os.environ.get("MANY_MAX", "1000"))
RELEASED = int(os.environ.get("RELEASED", MANY_MAX))  # how many get a release and a vhost; all of them, or it says so
PARALLEL = os.environ.get("PARALLEL", "8")
EVENTS = int(os.environ.get("EVENTS", "1000000"))


def deploy_ms(platform, repo, name):
    """A new commit, deployed: milliseconds of its steps up to the switch, and of the API call that asks for it."""
    repo.commit({"index.html": f"<p>{time.time_ns()}</p>"})
    begun = time.monotonic()
    ask = platform.api("POST", f"/projects/{name}/deploys", {})
    asked = (time.monotonic() - begun) * 1000
    task = platform.wait_task(ask["task"])
    assert task["state"] == "done", task
    return sum(s["duration_ms"] for s in task["steps"] if s["name"] != "drain"), asked


def deploys(platform, few, repo):
    """Here and on the platform with ten projects in turn, so that whatever else the machine does slows both."""
    here, there, asks = [], [], []
    for _ in range(ROUNDS):
        ms, ask = deploy_ms(platform, repo, "watched")
        here.append(ms)
        asks.append(ask)
        there.append(deploy_ms(few, repo, "watched")[0])
    return here, there, median(asks)


def one_more(platform, repo, at):
    """Making and removing one project beside the others: milliseconds, and how much of that the vhost took."""
    made, vhosts, removed = [], [], []
    for i in range(3):
        name = f"extra{at}-{i}"
        begun = time.monotonic()
        vhosts.append(duration_of(site(platform, repo, name), "switch"))
        made.append((time.monotonic() - begun) * 1000)
        begun = time.monotonic()
        answer = platform.api("DELETE", f"/projects/{name}")
        platform.wait_task(answer["task"])
        removed.append((time.monotonic() - begun) * 1000)
    return median(made), median(vhosts), median(removed)


def reload_ms(platform):
    """nginx's reload by itself: from the signal until workers of the new generation are the only ones."""
    master = next(p for p in processes(platform)["nginx"] if Path(f"/proc/{p}/cmdline").read_bytes().startswith(b"nginx: master"))

    def workers():
        return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())

    old = workers()
    begun = time.monotonic()
    os.kill(master, signal.SIGHUP)
    wait_until(lambda: workers() and not workers() & old, 60, 0.002)
    return (time.monotonic() - begun) * 1000


def insert_events(platform, count):
    """Straight into the stopped daemon's store: served events of half a year, with bodies of 200 bytes."""
    db = sqlite3.connect(platform.state / "slipway.db", isolation_level=None)
    hooks = db.execute("SELECT id, project_id FROM hook ORDER BY id LIMIT 1000").fetchall()
    now = int(time.time() * 1000)
    db.execute("BEGIN")
    first = db.execute("SELECT coalesce(max(id), 0) + 1 FROM event").fetchone()[0]
    db.executemany(
        "INSERT INTO event(id, hook_id, project_id, delivery_key, received_ms, kind, ref, before_commit, after_commit, outcome)"
        " VALUES (?, ?, ?, ?, ?, 'push', 'main', '', '', 'served')",
        ((first + i, *hooks[i % len(hooks)], f"bench-{i}", now - (count - i) * 10) for i in range(count)),
    )
    db.executemany("INSERT INTO event_body(event_id, body) VALUES (?, ?)", ((first + i, b"x" * 200) for i in range(count)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def start_times(platform):
    """Milliseconds from exec to the first answer of the API, and to the end of the comparison of what runs with what should."""
    before = platform.log_text().count(" daemon ready ms=")
    begun = time.monotonic()
    platform.start(wait=False)
    wait_until(platform.answers, 60, 0.002)
    serves = (time.monotonic() - begun) * 1000
    wait_until(lambda: platform.answers() and platform.log_text().count(" daemon ready ms=") > before, 300, 0.05)
    return serves, (time.monotonic() - begun) * 1000


def starts(platform, what):
    platform.kill()
    killed = start_times(platform)
    platform.stop()
    wait_until(lambda: not processes(platform)["keeper"], 30)
    cold = start_times(platform)
    print(
        f"{what}: API serves {killed[0]:.0f} ms after kill -9, all compared at {killed[1]:.0f} ms;"
        f" from cold {cold[0]:.0f} ms (bar 1000), all compared and the edge up at {cold[1]:.0f} ms",
        flush=True,
    )


def looks(platform, count):
    """What people and dashboards ask for: median and worst of 50, one after another."""
    paths = ("/health", "/projects?limit=50", "/projects/watched", "/projects/watched/processes", "/projects/watched/events?limit=50", "/tasks?limit=50", "/audit?limit=50", "/metrics")
    for path in paths:
        took = []
        for _ in range(50):
            begun = time.monotonic()
            answer = platform.call("GET", path if path == "/metrics" else "/api/v1" + path)
            took.append((time.monotonic() - begun) * 1000)
            assert answer.status == 200, (path, answer)
        print(f"{count:6} projects: GET {path:34} {median(took):6.1f} ms median {max(took):6.1f} ms worst", flush=True)


def step(platform, few, repo, other, count):
    here, there, ask = deploys(platform, few, repo)
    made, vhost, removed = one_more(platform, other, count)
    nginx = sum(pss_mb(p) for p in processes(platform)["nginx"])
    print(
        f"{count:6} projects: deploy {min(here):.0f} ms best {median(here):.0f} ms median (asking {ask:.1f} ms), in turn with 10 projects"
        f" {min(there):.0f} and {median(there):.0f} ms: {median(here) / median(there):.2f} (bar 1.2); one more made and deployed {made:6.0f} ms"
        f" (its switch with the vhost {vhost:5.0f}), removed {removed:6.0f} ms; nginx reload {reload_ms(platform):5.0f} ms, {nginx:.0f} MB",
        flush=True,
    )


def main():
    git = GitServer()
    platform, few = (Platform(build=BUILD, extra=["--log", "info", "--parallel", PARALLEL]).start() for _ in range(2))
    print(machine())
    try:
        repo = git.repository("watched", {"index.html": "<p>0</p>"})
        other = git.repository("other", {"index.html": "<p>x</p>"})
        for each in (few, platform):
            each.create("watched", repo.url)
            each.deploy("watched")
        populate(few, other, 1, 10)
        present = 1
        for count in [c for c in (10, 100, 1000, 2000, 5000, 10000) if c <= MANY_MAX]:
            took = populate(platform, other, present, count, int(PARALLEL) + 16, RELEASED)
            bare = max(0, count - max(present, RELEASED))
            what = f"{count - present}, {bare} without a release or vhost," if bare else count - present
            print(f"{count:6} projects: made {what} in {took:.1f} s, {took / (count - present) * 1000:.0f} ms each, {PARALLEL} at once", flush=True)
            present = count
            step(platform, few, repo, other, count)
        switch.report(present, *switch.measure(platform, repo))
        at_rest.measure(platform, present, 24)
        starts(platform, f"start with {present} projects")
        platform.stop()
        wait_until(lambda: not processes(platform)["keeper"], 30)
        insert_events(platform, EVENTS)
        platform.start()
        starts(platform, f"start with {present} projects and {EVENTS} events")
        looks(platform, present)
    finally:
        platform.close()
        few.close()
        git.close()


main()
