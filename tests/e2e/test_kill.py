"""R1: kill -9 of the daemon, each fourth time of the monitor between it and the helper, at random moments and at each step of a deploy, while signed
events arrive.

The client keeps its own record of what was acknowledged. The effect is outside the store: the project's release command appends its
release and commit to a file in data/. SLIPWAY_LONG=1: 200 kills, 20,000 events."""
import collections
import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
import uuid

import apps
from harness import BUILD, Platform, wait_until

LONG = bool(os.environ.get("SLIPWAY_LONG"))
KILLS = 200 if LONG else 24
EVENTS = 20000 if LONG else 1500
PER_STEP = 5 if LONG else 1
STEPS = ["fetch", "build", "check", "release", "start", "verify", "drain"]

SLOW = "import time; time.sleep(0.25)"
MANIFEST = f"""build: [[python3, -c, "{SLOW}"]]
checks:
  - {{name: slow, run: [python3, -c, "{SLOW}"]}}
release: [python3, migrate.py]
"""
MIGRATE = """import os, time
with open(os.environ["SLIPWAY_DATA_DIR"] + "/effects", "a") as f:
    f.write(os.environ["SLIPWAY_RELEASE"] + " " + os.environ["SLIPWAY_COMMIT"] + "\\n")
time.sleep(0.25)
"""


class Senders:
    """Threads that post pushes with unique ids, and remember which were acknowledged and with which event."""

    def __init__(self, platform, secret, head):
        self.platform, self.secret, self.head = platform, secret, head
        self.acknowledged, self.attempted = {}, 0
        self.lock, self.stop = threading.Lock(), False
        self.threads = [threading.Thread(target=self.send) for _ in range(6)]
        [t.start() for t in self.threads]

    def send(self):
        while not self.stop:
            with self.lock:
                if self.attempted >= EVENTS:
                    return
                self.attempted += 1
            delivery = str(uuid.uuid4())
            while not self.stop:  # a sender tries the same delivery again until it is answered
                try:
                    answer = self.platform.push("kill-push", self.secret, self.head[0], delivery=delivery)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.05)
                    continue
                if answer.status in (200, 202):
                    with self.lock:
                        self.acknowledged[delivery] = answer.json["event"]
                    break
                assert answer.status == 503, answer
                time.sleep(0.05)
            time.sleep(0.01)

    def finish(self):
        [t.join() for t in self.threads]


def running_step(platform):
    try:
        for task in platform.api("GET", "/projects/kill/tasks?limit=5")["items"]:
            if task["state"] == "running":
                return task.get("step") or task.get("current_step")
    except (OSError, AssertionError, json.JSONDecodeError, http.client.HTTPException):
        pass
    return None


def kill_and_restart(platform, monitor):
    if monitor:  # the daemon does not go on without it
        keepers = ",".join(str(pid) for pid in platform.pids("slipway-helper --keeper .*"))
        found = subprocess.run(["pgrep", "-P", keepers, "slipway-monitor"], capture_output=True, text=True).stdout.split()
        if found:
            os.kill(int(found[0]), signal.SIGKILL)
            assert platform.process.wait(60) == 75
    if platform.process.poll() is None:
        platform.kill()
    platform.start()


def test_kills_lose_nothing_and_do_nothing_twice(git):
    platform = Platform(build=BUILD)
    try:
        platform.start()
        files = apps.socket_app(manifest=MANIFEST)
        files["migrate.py"] = MIGRATE
        repo = git.repository("kill", apps.with_version(files, "v0"))
        platform.create("kill", repo.url)
        secret = platform.hook("kill", "kill-push")
        platform.deploy("kill")
        head = [repo.git("rev-parse", "HEAD")]
        senders = Senders(platform, secret, head)
        kills, at_step, version = 0, collections.Counter(), 0
        end = time.monotonic() + (3000 if LONG else 120)
        while (kills < KILLS or any(at_step[s] < PER_STEP for s in STEPS)) and time.monotonic() < end:
            version += 1
            head[0] = repo.commit({"VERSION": f"v{version}"})
            platform.push("kill-push", secret, head[0])  # the senders may be through with their events
            wanted = [s for s in STEPS if at_step[s] < PER_STEP]
            target = random.choice(wanted) if wanted and random.random() < 0.7 else None
            seen = None
            limit = time.monotonic() + (8 if target else random.uniform(0.05, 0.8))
            while time.monotonic() < limit and (target is None or seen != target):
                time.sleep(0.005)
                seen = running_step(platform)
            at_step[seen or "idle"] += 1
            kill_and_restart(platform, monitor=kills % 4 == 3)
            kills += 1
        senders.finish()
        last = repo.commit({"VERSION": "last"})
        head[0] = last
        answer = platform.push("kill-push", secret, last)
        assert answer.status == 202
        wait_until(lambda: platform.get("kill.localhost", "/version").body == b"last", 400, 0.2)  # a fetch that a kill broke is tried again after a pause
        print(f"{kills} kills, {len(senders.acknowledged)} events acknowledged, at {dict(at_step)}")

        # what was acknowledged is in the journal; the store has it once the journal has drained so far, in order
        wait_until(lambda: platform.call("GET", f"/api/v1/projects/kill/events/{answer.json['event']}").status == 200, 120, 0.1)
        stored, after = {}, ""
        while True:
            page = platform.api("GET", f"/projects/kill/events?limit=200{after}")
            for event in page["items"]:
                assert event["delivery"] not in stored if "delivery" in event else True
                stored[event.get("delivery") or event["delivery_key"]] = event["id"]
            if not page.get("next"):
                break
            after = f"&after={page['next']}"
        lost = {d: i for d, i in senders.acknowledged.items() if stored.get(d) != i}
        assert not lost, f"{len(lost)} acknowledged events are gone"
        effects = (platform.state / "projects/kill/data/effects").read_text().splitlines()
        releases = [line.split()[0] for line in effects]
        assert len(set(releases)) == len(releases), "a release command ran twice"
        if LONG:
            assert kills >= KILLS and all(at_step[s] >= PER_STEP for s in STEPS), (kills, at_step)
        assert kills >= 8, kills  # the short form takes what two minutes give on a crowded machine
        assert len(senders.acknowledged) >= EVENTS
        # nothing of the broken tasks is left behind
        wait_until(lambda: not [t for t in platform.api("GET", "/projects/kill/tasks?limit=200")["items"] if t["state"] in ("running", "waiting")], 60, 0.2)
    finally:
        platform.close()
