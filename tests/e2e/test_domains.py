"""Whose a domain is, whichever way it is asked for: by a manifest, a site or an archive; what a deploy that fails gives back."""
import pytest
from harness import Platform, wait_until

HOST = "plat.test"


@pytest.fixture(scope="module")
def p():
    one = Platform(extra=["--host", HOST, "--dns-hook", "/bin/true"])
    try:
        yield one.start()
    finally:
        one.close()


def page(says, *domains, more=""):
    return {"index.html": says, "slipway.yaml": "kind: static\n" + (f"domains: [{', '.join(domains)}]\n" if domains else "") + more}


def deployed(p, git, name, files, **more):
    """The task of another commit."""
    if name not in git.__dict__.setdefault("made", {}):
        git.made[name] = git.repository(name, files)
        p.create(name, git.made[name].url, **more)
    else:
        git.made[name].commit(files)
    return p.wait_task(p.api("POST", f"/projects/{name}/deploys", {})["task"])


def domains(p, name):
    return [d["domain"] for d in p.api("GET", f"/projects/{name}/domains")["items"]]


def test_names_of_the_platform_are_nobodys(p, git):
    """Neither its host nor what another project has below it, even one that is yet to come."""
    assert deployed(p, git, "bob", page("bob"))["state"] == "done"
    assert p.get("bob." + HOST).body == b"bob"
    for name, why in ((HOST, "is the platform's own"), ("bob." + HOST, "belongs to the project of that name"), ("carol." + HOST, "belongs to the project of that name")):
        task = deployed(p, git, "ann", page("ann", "ann.example.org", name))
        assert task["state"] == "failed" and task["error"]["step"] == "plan" and task["error"]["message"] == f"'{name}' {why}", task
        assert p.call("POST", "/api/v1/projects/ann/domains", {"domain": name}).json["detail"] == task["error"]["message"]
    assert p.get("bob." + HOST).body == b"bob" and domains(p, "ann") == []
    assert deployed(p, git, "ann", page("ann", "ann." + HOST))["state"] == "done"
    assert p.get("ann." + HOST).body == b"ann"


def test_nor_a_sites(p, git):
    def site(name):
        return {"production/[one].conf": f"server {{ listen 127.0.0.1:{p.edge_port}; server_name {name}; return 200 site; }}\n"}

    for name in (HOST, "bob." + HOST):
        task = deployed(p, git, "web", site(name), kind="nginx-site", sites={"certificates": False})
        assert task["state"] == "failed" and f"site one: '{name}' " in task["error"]["message"], task


def test_nor_an_archives(p, git):
    """Made where nobody minded: before names below the host were projects'."""
    p.stop()
    p.extra = ["--host", "other.test"]
    p.start()
    assert deployed(p, git, "dan", page("dan", "bob." + HOST, HOST, "dan.example.org"))["state"] == "done"
    saved = p.wait_task(p.api("POST", "/projects/dan/backups", {})["task"])["result"]["backup"]
    for name in domains(p, "dan"):
        p.api("DELETE", f"/projects/dan/domains/{name}")
    p.stop()
    p.extra = ["--host", HOST, "--dns-hook", "/bin/true"]
    p.start()
    task = p.wait_task(p.api("POST", f"/projects/dan/backups/{saved}/restore", {})["task"])
    assert task["state"] == "done" and domains(p, "dan") == ["dan.example.org"], (task, domains(p, "dan"))
    for said in (f"domain '{HOST}' is the platform's own", f"domain 'bob.{HOST}' belongs to the project of that name"):
        assert said in task["result"]["warning"], task
    assert p.get("bob." + HOST).body == b"bob"


def started(p, name):
    task = p.api("POST", f"/projects/{name}/deploys", {})["task"]

    def step():
        shown = p.api("GET", f"/tasks/{task}")
        return next((s["name"] for s in shown.get("steps", []) if s["state"] == "running"), None)

    return task, step


CHECK = "checks: [{name: no, run: [sh, -c, 'sleep %d; exit 1']}]\n"
WORKER = "processes: {work: {run: [sh, -c, 'sleep %d; exit 1']}}\n"


@pytest.mark.parametrize("how", ["check", "killed", "worker"])
def test_a_deploy_that_fails_gives_back(p, git, how):
    """Whatever it had claimed is nobody's again, is not served by the release of before, and another may have it."""
    name, host = "try-" + how, how + ".example.org"
    assert deployed(p, git, name, page("before", "kept.example.org" if how == "check" else name + "." + HOST))["state"] == "done"
    kept = domains(p, name)
    bad = page("after", host, more=WORKER % 3 if how == "worker" else CHECK % (4 if how == "killed" else 1))
    git.made[name].commit(bad)
    task, step = started(p, name)
    if how == "killed":
        wait_until(lambda: step() == "check")
        assert host in domains(p, name)
        p.kill()
        p.start()
    task = p.wait_task(task)
    assert task["state"] == "failed" and task["error"]["step"] == ("drain" if how == "worker" else "check"), task
    assert domains(p, name) == kept and p.get(name + ".localhost").body == b"before"
    assert p.get(host).status == 404
    assert deployed(p, git, "heir-" + how, page("heir", host))["state"] == "done"
    assert p.get(host).body == b"heir"
