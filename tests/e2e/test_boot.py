"""After a boot: RUN is empty, as /run is then, no process is there, and all that was live answers again without a deploy."""
import shutil

import apps
from harness import Platform, wait_until


def answer_of(platform, host, path):
    try:
        answer = platform.get(host, path)
    except OSError:  # the edge comes up with the first project that is back
        return None
    return answer.body if answer.status == 200 else None


def test_projects_answer_after_a_boot(git):
    platform = Platform()
    try:
        platform.start()
        socket = apps.with_version(apps.socket_app(), "v1")
        platform.create("booted", git.repository("booted", socket).url)
        platform.create("still", git.repository("still", {"index.html": "still here"}).url)
        for name in ("booted", "still"):
            platform.deploy(name)
        assert platform.stop() == 0
        for entry in platform.run.iterdir():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        platform.start()
        assert wait_until(lambda: answer_of(platform, "booted.localhost", "/version"), 30) == b"v1"
        assert wait_until(lambda: answer_of(platform, "still.localhost", "/"), 10) == b"still here"
        assert len(platform.api("GET", "/projects/booted/releases")["items"]) == 1
    finally:
        platform.close()
