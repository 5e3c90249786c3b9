"""A Django project in Apache's mod_wsgi: an Apache of the project's own user, two processes of four threads, switched without a loss."""
import json
import os
from pathlib import Path

import pytest

import apps
from harness import BUILD, ROOT, Platform
from test_switch import Load, check_each_once, deploy_and_roll_back

pytestmark = pytest.mark.skipif(not os.path.exists("/usr/lib/apache2/modules/mod_wsgi.so"), reason="mod_wsgi is not there")
WHO = """
import os
def who(r):
    return HttpResponse("%d %d %s" % (os.getpid(), os.getuid(), r.META["mod_wsgi.process_group"]))
urlpatterns.append(path("who", who))
"""
FILES = {
    **apps.DJANGO,
    "slipway.yaml": "kind: django\nhealth: {path: /version, interval: 100ms}\nprocesses: {web: {wsgi: site1.wsgi, server: mod_wsgi}}\n",
}
FILES["site1/urls.py"] += WHO


@pytest.fixture(scope="module", params=["nginx", "apache"])
def shop(request, git):
    p = Platform(build=BUILD, edge_server=request.param)
    try:
        p.start()
        repo = git.repository("shop-" + request.param, apps.with_version(FILES, "v1"))
        p.create("shop", repo.url)
        p.deploy("shop")
        yield p, repo
    finally:
        p.close()


def processes(user):
    """Command lines of this user's programs."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if int(lines["Uid"].split()[1]) == user:
                found.append(status.parent.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode())
        except (OSError, ValueError):
            continue
    return found


def test_it_runs_as_the_project(shop):
    p, _ = shop
    answers = {tuple(p.get("shop.localhost", "/who").body.decode().split()) for _ in range(20)}
    users = {int(a[1]) for a in answers}
    assert {a[2] for a in answers} == {"web"} and len(users) == 1
    assert len({a[0] for a in answers}) <= 2
    if ROOT:
        assert users != {0} and min(users) >= 70000
        own = [c for c in processes(users.pop()) if c.startswith("/usr/sbin/apache2")]
        assert len(own) == 4, own  # its master, one that listens, two with the application
        assert all("processes=2 threads=4 maximum-requests=1000" in c for c in own)


def test_nothing_is_lost_over_a_deploy_and_a_rollback(shop):
    p, repo = shop
    load = Load(p, "shop", rate=100)
    try:
        deploy_and_roll_back(p, {"shop": repo}, {"shop": FILES}, 2, {"shop": load})
        result = load.stop()
    finally:
        load.process.kill()
    assert result["failed"] == 0, json.dumps(result)
    check_each_once(p, "shop", load)
    assert {"v1", "v2"} <= set(result["values"])


def test_a_module_that_is_not_there(shop, git):
    p, _ = shop
    files = {**FILES, "slipway.yaml": FILES["slipway.yaml"].replace("site1.wsgi", "site2.wsgi")}
    repo = git.repository(f"none-{p.edge_server}", apps.with_version(files, "v1"))
    p.create("none", repo.url)
    task = p.wait_task(p.api("POST", "/projects/none/deploys", {})["task"], 60)
    assert task["state"] == "failed" and "there is no site2/wsgi.py" in json.dumps(task), task
