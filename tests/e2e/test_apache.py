"""Apache as the edge: the tests of TLS and headers as they are, and a switch under load. Any other file here runs against it with
SLIPWAY_EDGE_SERVER=apache."""
import json
import subprocess

import pytest

import apps
import harness
from harness import BUILD, Platform, wait_until
from test_tls import *  # noqa: F401,F403  (first: its keys are all there are)
from test_tls import platform  # noqa: F401
from test_security_headers import both, test_a_daemon_that_is_gone, test_every_error, test_every_route, test_projects_have_their_own  # noqa: F401
from test_nginx_site import API, site
from test_switch import Load, check_each_once, deploy_and_roll_back


@pytest.fixture(scope="module", autouse=True)
def apache():
    before, harness.EDGE_SERVER = harness.EDGE_SERVER, "apache"
    yield
    harness.EDGE_SERVER = before


def test_it_is_apache(platform):
    assert platform.get("nobody.example.org", "/").headers["Server"] == "Apache"


@pytest.mark.skipif(not harness.ROOT, reason="workers of another user need root")
def test_keys_are_the_masters_alone(platform):
    """What a link in a project's folder could make a worker read holds no key."""
    key = platform.state / "edge" / "certs" / "self" / "_"
    as_worker = ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", "cat", key]
    assert "PRIVATE KEY" in key.read_text() and subprocess.run(as_worker, capture_output=True).returncode != 0


def test_nginx_sites_are_refused(platform, git):
    repo = git.repository("sites", {"production/[a.example.org].nginxconf": site(platform, "a.example.org", "hello"), "production/snippets/api.conf": API})
    platform.create("sites", repo.url, kind="nginx-site")
    task = platform.wait_task(platform.api("POST", "/projects/sites/deploys", {})["task"], 60)
    assert task["state"] == "failed" and "need nginx, and this server's edge is Apache" in json.dumps(task), task
    # what the helper would not do is in the audit trail, chained with everything else
    refused = lambda: [a for a in platform.api("GET", "/audit?limit=100")["items"] if a["action"] == "helper.sites-set"]  # noqa: E731
    harness.wait_until(lambda: refused(), 5)
    assert refused()[0]["outcome"] == "refused" and refused()[0]["target"] == "sites" and "need nginx" in refused()[0]["detail"], refused()


def test_nothing_is_lost_under_load(git):
    """R8 in short: a program and a site, deployed, rolled back and scaled (which reloads the edge) under load."""
    files = {"rn": apps.NODE}
    p = Platform(build=BUILD)
    loads = {}
    try:
        p.start()
        repos = {name: git.repository(name, apps.with_version(f, "v1")) for name, f in files.items()}
        repos["rs"] = git.repository("rs", {"version.txt": "v1", "index.html": "x"})
        for name, repo in repos.items():
            p.create(name, repo.url)
            p.deploy(name)
        loads = {name: Load(p, name, static=name == "rs") for name in repos}
        deploy_and_roll_back(p, repos, files, 2, loads)
        for count in (2, 1):
            p.cli("scale", "rn", f"web={count}")
        results = {name: load.stop() for name, load in loads.items()}
        print(json.dumps(results))
        assert {n: r["failed"] for n, r in results.items()} == {n: 0 for n in results}, results
        assert sum(r["requests"] for r in results.values()) >= 500, results
        for name in files:
            check_each_once(p, name, loads[name])
            assert {"v1", "v2"} <= set(results[name]["values"])
    finally:
        for load in loads.values():
            load.process.kill()
        p.close()
