"""A daemon that is started while the keeper of the one before is still ending waits for it, and serves."""
import apps
from harness import wait_until


def serves(platform):
    try:
        return platform.get("again.localhost", "/version").body == b"v1"
    except OSError:  # the edge is still starting
        return False


def test_start_right_after_the_end(platform, git):
    files = apps.socket_app("signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), os._exit(0)))")
    repo = git.repository("again", apps.with_version(files, "v1"))
    platform.create("again", repo.url)
    platform.deploy("again")
    for _ in range(3):
        platform.process.terminate()
        platform.process.wait(30)
        platform.start()
        wait_until(lambda: serves(platform), 30, 0.1)
    assert "keeper_lost" not in platform.log_text()
