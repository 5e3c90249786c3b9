"""tools/rolling-update over two servers: the second is touched only when the check has passed on the first."""
import os
import subprocess
import sys

import pytest

from harness import SANITIZED, TOP, Platform

PAGE = "<h1>{}</h1>"


@pytest.fixture(scope="module")
def servers(git):
    both = [Platform(), Platform()]
    try:
        for n, p in enumerate(both):
            p.start()
            both[0].cli("login", f"http://127.0.0.1:{p.http_port}", "--name", f"server{n + 1}", "--token-file", p.state / "owner.token", env={"SLIPWAY_SOCKET": ""})
        yield both
    finally:
        for p in both:
            p.close()


def rolling(servers, check, code):
    done = subprocess.run(
        [sys.executable, TOP / "tools/rolling-update", "site", "-s", "server1", "-s", "server2", "--wait", "3", "--", *check],
        env={"PATH": os.environ["PATH"], "HOME": str(servers[0].dir), "SLIPWAY_CLI": str(SANITIZED / "src/slipway")},
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == code, done
    return done.stdout


def test_the_second_server_waits_for_the_check_of_the_first(servers, git):
    repo = git.repository("site", {"index.html": PAGE.format(1)})
    for p in servers:
        p.create("site", repo.url)
        p.deploy("site")
    port = {f"server{n + 1}": p.edge_port for n, p in enumerate(servers)}
    # the check: the page that the edge of that server gives holds no word of trouble
    check = [sys.executable, "-c", f"""
import sys, urllib.request
port = {port!r}[sys.argv[1]]
page = urllib.request.urlopen(urllib.request.Request("http://127.0.0.1:%d/" % port, headers={{"Host": "site.localhost"}})).read()
sys.exit(b"trouble" in page)""", "{server}"]

    def pages():
        return [p.get("site.localhost").body.decode() for p in servers]

    repo.commit({"index.html": PAGE.format(2)})
    out = rolling(servers, check, 0)
    assert pages() == [PAGE.format(2)] * 2
    assert out.index("server1: release 2 passed") < out.index("server2: release 2 passed")
    repo.commit({"index.html": PAGE.format("trouble")})
    out = rolling(servers, check, 1)
    assert pages() == [PAGE.format(2)] * 2
    assert "server1: the check failed; back to release 2" in out and "server2: not touched" in out
    assert len(servers[1].api("GET", "/projects/site/releases")["items"]) == 2
    # a release that does not even build stops at the first as well
    repo.commit({"slipway.yaml": "checks: [{name: never, run: [\"false\"]}]\n"})
    assert "the deploy failed" in rolling(servers, check, 1)
    assert pages() == [PAGE.format(2)] * 2
