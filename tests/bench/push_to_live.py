#!/usr/bin/env python3
"""From a signed push to the first answer of the new release, a static project of 100 files, beside `git clone` and `cp -r` of
the same tree in the same run; then the redeploy of what is live already, static and WSGI, and the program's own start."""
import os
import shutil
import subprocess
import tempfile
import time

from _measure import BUILD, GitServer, Platform, duration_of, machine, median, wait_until

ROUNDS = int(os.environ.get("ROUNDS", "7"))
WSGI = {
    "wsgi.py": "def application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'hello']\n",
    "slipway.yaml": "kind: wsgi\n",
}


def clone_and_copy(url, folder):
    begun = time.monotonic()
    subprocess.run(["git", "clone", "-q", url, folder + "/clone"], check=True)
    subprocess.run(["cp", "-r", folder + "/clone", folder + "/copy"], check=True)
    took = time.monotonic() - begun
    shutil.rmtree(folder + "/clone")
    shutil.rmtree(folder + "/copy")
    return took * 1000


def push(platform, project, secret, commit, page=None):
    """A push; the milliseconds to its page (None: to its task's end) and the task."""
    begun = time.monotonic()
    answer = platform.push(project + "-push", secret, commit)
    assert answer.status in (200, 202), answer
    if page is not None:
        wait_until(lambda: platform.get(project + ".localhost").body == page, 60, 0.001)
        took = time.monotonic() - begun
    task = platform.wait_task(platform.task_of(answer))
    if page is None:
        took = time.monotonic() - begun
    assert task["state"] == "done", task
    return took * 1000, task


def report(name, values, tasks=()):
    print(f"{name:34} {min(values):7.0f} ms best {median(values):7.0f} ms median", end="")
    if tasks:
        steps = {s["name"]: median([duration_of(t, s["name"]) for t in tasks]) for s in tasks[0]["steps"]}
        print("   " + ", ".join(f"{name} {ms:.0f}" for name, ms in steps.items()), end="")
    print(flush=True)


def static_rounds(platform, git, folder):
    files = {f"d{i % 10}/f{i}.html": f"{i}" * 1000 for i in range(99)}
    repo = git.repository("site", {**files, "index.html": "0"})
    platform.create("site", repo.url)
    secret = platform.hook("site", "site-push")
    first, _ = push(platform, "site", secret, repo.git("rev-parse", "HEAD"), b"0")
    clones, lives, tasks = [], [], []
    for i in range(1, ROUNDS + 1):
        clones.append(clone_and_copy(repo.url, folder))
        took, task = push(platform, "site", secret, repo.commit({"index.html": str(i)}), str(i).encode())
        lives.append(took)
        tasks.append(task)
    head = repo.git("rev-parse", "HEAD")
    report("git clone + cp -r", clones)
    print(f"{'first deploy (with its vhost)':34} {first:7.0f} ms")
    report("push to live, static", lives, tasks)
    same = [push(platform, "site", secret, head) for _ in range(ROUNDS)]
    report("push of what is live, static", [s[0] for s in same], [s[1] for s in same])
    redeploys("static", platform, "site")
    print(f"push to live - (clone + cp): {min(lives) - min(clones):.0f} ms best, {median([a - b for a, b in zip(lives, clones)]):.0f} ms median (bar 100)")


def redeploys(kind, platform, project):
    """The same commit once more, by force: to the end of the switch."""
    tasks = [platform.deploy(project, force=True) for _ in range(ROUNDS)]
    report(f"redeploy to the switch, {kind}", [sum(s["duration_ms"] for s in t["steps"] if s["name"] != "drain") for t in tasks], tasks)


def own_start(folder):
    """What the program itself needs from exec to its first answer."""
    gunicorn = shutil.which("gunicorn")
    if gunicorn is None:
        return None
    with open(folder + "/wsgi.py", "w") as f:
        f.write(WSGI["wsgi.py"])
    path = folder + "/own.sock"
    begun = time.monotonic()
    process = subprocess.Popen([gunicorn, "--chdir", folder, "-b", "unix:" + path, "wsgi:application"], stderr=subprocess.DEVNULL)
    wait_until(lambda: subprocess.run(["curl", "-sf", "--unix-socket", path, "http://x/"], capture_output=True).returncode == 0, 30, 0.005)
    took = time.monotonic() - begun
    process.terminate()
    process.wait()
    return took * 1000


def main():
    folder = tempfile.mkdtemp(prefix="slipway-bench-")
    git = GitServer()
    platform = Platform(build=BUILD, extra=["--log", "warn"]).start()
    print(machine())
    try:
        static_rounds(platform, git, folder)
        repo = git.repository("app", WSGI)
        platform.create("app", repo.url)
        secret = platform.hook("app", "app-push")
        head = repo.git("rev-parse", "HEAD")
        push(platform, "app", secret, head)
        same = [push(platform, "app", secret, head) for _ in range(ROUNDS)]
        report("push of what is live, wsgi", [s[0] for s in same], [s[1] for s in same])
        redeploys("wsgi", platform, "app")
        starts = [own_start(folder) for _ in range(3)]
        if starts[0] is not None:
            report("gunicorn's own start", starts)
    finally:
        platform.close()
        git.close()
        shutil.rmtree(folder)


main()
