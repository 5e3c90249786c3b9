"""nginx-site projects: a repository of sites and snippets becomes the edge's configuration; a bad push changes nothing and says which
line; deleted sites go with their certificates; names, rules, rollback, a certificate per site; who may make one."""
import http.client
import json
import os
import re
import socket
import ssl

import pytest

from harness import ROOT, Platform, wait_until
from test_notify import Receiver, channel

API = 'location /api { return 200 "api of $host\\n"; }'


def site(p, name, says, more="", names=None):
    """As durhack's repository writes them, at the edge's own ports."""
    return f"""# {name}
server {{
    server_name {names or name};
    include /etc/nginx/snippets/api.conf;
    location = /none {{ return 404; }}
    location / {{ return 200 "{says}\\n"; }}
    {more}
    listen 127.0.0.1:{p.https_port} ssl;
    ssl_certificate /etc/letsencrypt/live/{name}/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/{name}/privkey.pem;
    include /etc/letsencrypt/options-ssl-nginx.conf;
    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem;
}}
server {{
    server_name {names or name};
    if ($request_uri = /gone) {{ return 404; }}
    if ($host = {name}) {{
        return 301 https://$host$request_uri;
    }}
    return 404;
    listen 127.0.0.1:{p.edge_port};
}}
"""


def path(name, ending="nginxconf"):
    return f"production/[{name}].{ending}"


def https(p, name, path="/", roots=None):
    """(status, body); roots None: whatever certificate."""
    context = ssl._create_unverified_context() if roots is None else ssl.create_default_context(cadata=roots)
    with socket.create_connection(("127.0.0.1", p.https_port), timeout=20) as raw, context.wrap_socket(raw, server_hostname=name) as s:
        s.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: s.recv(65536), b""))
    head, body = answer.split(b"\r\n\r\n", 1)
    return int(head.split()[1]), body.decode().strip()


@pytest.fixture(scope="module")
def github():
    r = Receiver(lambda request, body: 201)
    yield r
    r.close()


@pytest.fixture(scope="module")
def p(github):
    one = Platform(extra=["--outbound-allow", "127.0.0.0/8"])
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture(scope="module")
def edge(p, git, github):
    """A project `web` of two sites and a snippet, pushed by hook."""
    repo = git.repository("web", {"snippets/api.conf": API + "\n", path("a.example.org"): site(p, "a.example.org", "A1"), path("b.example.org"): site(p, "b.example.org", "B1")})
    p.create("web", repo.url, kind="nginx-site", sites=QUIET)
    repo.secret = p.hook("web", "web")
    channel(p, "web", "state", "github", target=github.url + "/repos/anna/web", secret="ghp_1", events="deploy.*")
    return repo


def push(p, repo, files, expect="done"):
    commit = repo.head = repo.commit(files)
    task = p.wait_task(p.task_of(p.push("web", repo.secret, commit)))
    assert task["state"] == expect, (task, p.log_text()[-3000:])
    return task


def step(p, task, name):
    return next(s for s in p.api("GET", f"/tasks/{task['id']}")["steps"] if s["name"] == name)["detail"]


def states(github, commit):
    return [json.loads(m[4])["state"] for m in github.seen if commit in m[2]]


def told(github, commit, state):
    wait_until(lambda: states(github, commit)[-1:] == [state])
    return states(github, commit)


def inodes(p, name="web"):
    return {f.name: f.stat().st_ino for f in (p.state / f"edge/sites/{name}/enabled").iterdir()}


def test_first_push(p, edge, github):
    task = push(p, edge, {})
    assert step(p, task, "switch").startswith("2 sites: 3 new, 0 changed, 0 gone; reloaded"), step(p, task, "switch")
    for name, says in (("a.example.org", "A1"), ("b.example.org", "B1")):
        assert https(p, name) == (200, says)
        assert https(p, name, "/api") == (200, f"api of {name}")
        assert p.get(name, "/gone").status == 404 and p.get(name).status == 301 and p.get(name).headers["Location"] == f"https://{name}/"
        # what a block answers by itself is its own, not the platform's page
        status, body = https(p, name, "/none")
        assert status == 404 and "nginx" in body and "nothing at this address" not in body, body
    # the platform's own host, and names that nobody has
    assert p.get("slipway.localhost", "/health").status == 200 and p.get("nobody.example.org").status == 404
    assert told(github, edge.head, "success") == ["pending", "success"]
    info = p.api("GET", "/projects/web")
    assert info["detected_kind"] == "nginx-site" and info["urls"] == [], info


def test_only_what_changed(p, edge):
    before = inodes(p)
    task = push(p, edge, {path("b.example.org"): site(p, "b.example.org", "B2")})
    assert step(p, task, "switch").startswith("2 sites: 0 new, 1 changed, 0 gone; reloaded"), step(p, task, "switch")
    assert https(p, "b.example.org") == (200, "B2") and https(p, "a.example.org") == (200, "A1")
    after = inodes(p)
    assert after["[a.example.org].nginxconf"] == before["[a.example.org].nginxconf"]
    assert after["[b.example.org].nginxconf"] != before["[b.example.org].nginxconf"]


def test_nothing_changed(p, edge):
    generation = (p.state / "edge/generation.conf").read_text()
    task = push(p, edge, {"README.md": "words"})
    assert step(p, task, "switch").startswith("2 sites: as they were, nothing reloaded"), step(p, task, "switch")
    assert (p.state / "edge/generation.conf").read_text() == generation


QUIET = {"certificates": False}  # no authority is asked: it could not be reached
SITES = ("a.example.org", "b.example.org")
BAD = {
    "a word that nginx does not know": (lambda p: {path("a.example.org"): site(p, "a.example.org", "A2", more="frobnicate on;")}, r'unknown directive "frobnicate" in production/\[a\.example\.org\]\.nginxconf:7\b'),
    "a snippet": (lambda p: {"snippets/api.conf": API + "\n\nproxy_pass http://x;\n"}, r'"proxy_pass" directive is not allowed here in snippets/api\.conf:3\b'),
    "a brace too few": (lambda p: {path("b.example.org"): "server {\n  listen 127.0.0.1:%d;\n" % p.edge_port}, r"production/\[b\.example\.org\]\.nginxconf:3\b"),
    "a brace too many": (lambda p: {path("b.example.org"): "}\nload_module x.so;\n"}, r'unexpected "}" in production/\[b\.example\.org\]\.nginxconf:1\b'),
    "a module": (lambda p: {path("c.example.org"): "load_module modules/x.so;\n"}, r'"load_module" directive is not allowed here in production/\[c\.example\.org\]\.nginxconf:1\b'),
    "somebody else's certificate": (lambda p: {path("c.example.org"): site(p, "c.example.org", "C").replace("live/c.", "live/z.")}, r"production/\[c\.example\.org\]\.nginxconf:9 names the certificate of 'z\.example\.org'"),
    "one of a site that goes": (lambda p: {path("a.example.org"): site(p, "a.example.org", "A2").replace("live/a.", "live/b."), path("b.example.org"): None}, r"production/\[a\.example\.org\]\.nginxconf:9 names the certificate of 'b\.example\.org'"),
    "the default server": (lambda p: {path("c.example.org"): f"server {{ listen 127.0.0.1:{p.edge_port} default_server; }}\n"}, r"duplicate default server .* in production/\[c\.example\.org\]\.nginxconf:1\b"),
    "a name of another's": (lambda p: {path("c.example.org"): site(p, "c.example.org", "C", names="c.example.org taken.example.org")}, r"site c\.example\.org: domain 'taken\.example\.org' belongs to another project"),
    "an address that is taken": (lambda p: {path("c.example.org"): f"server {{ listen 127.0.0.1:{p.http_port}; }}\n"}, r"bind\(\) to 127\.0\.0\.1:\d+ failed"),
    "two files of one site": (lambda p: {path("a.example.org", "conf"): "# again\n"}, r"site 'a\.example\.org' has two files"),
    "a link out of the way": (lambda p: {path("c.example.org"): "include snippets/none.conf;\n"}, r'open\(\) "snippets/none\.conf" failed .* in production/\[c\.example\.org\]\.nginxconf:1\b'),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_push(p, edge, github, what):
    """Nothing changes, the old one serves, and what nginx said is told in the repository's words."""
    if not any(x["name"] == "other" for x in p.api("GET", "/projects")["items"]):
        p.create("other", kind="static", source={"type": "archive"}, domains=["taken.example.org"])
    files, words = BAD[what][0](p), BAD[what][1]
    old = {name: (edge.work / name).read_text() if (edge.work / name).exists() else None for name in files}
    before, live, served = inodes(p), p.api("GET", "/projects/web")["live"], [https(p, n) for n in SITES]
    try:
        task = push(p, edge, files, expect="failed")
        said = task["error"]["message"]
        assert re.search(words, said), said
        assert f"release {live} is still serving" in task["error"]["serving"], task["error"]
        assert [https(p, n) for n in SITES] == served and p.get("slipway.localhost", "/health").status == 200
        assert inodes(p) == before and p.api("GET", "/projects/web")["live"] == live
        assert sorted(f.name for f in (p.state / "edge/certs/sites/web").iterdir()) == sorted(SITES)
        assert list((p.state / "edge/staged").iterdir()) == []
        assert told(github, edge.head, "failure") == ["pending", "failure"]
    finally:
        edge.write(old)


def test_after_bad_ones(p, edge):
    """What was left of them is in nobody's way."""
    task = push(p, edge, {path("c.example.org"): site(p, "c.example.org", "C1")})
    assert step(p, task, "switch").startswith("3 sites: 1 new, 0 changed, 0 gone"), step(p, task, "switch")
    assert https(p, "c.example.org") == (200, "C1")


def test_deleted_and_disabled(p, edge):
    certs = p.state / "edge/certs/sites/web"
    assert (certs / "c.example.org").exists()
    edge.git("mv", path("b.example.org"), path("b.example.org") + ".disabled")
    task = push(p, edge, {path("c.example.org"): None})
    assert step(p, task, "switch").startswith("1 site: 0 new, 0 changed, 2 gone"), step(p, task, "switch")
    assert sorted(f.name for f in certs.iterdir()) == ["a.example.org"]
    for name in ("b.example.org", "c.example.org"):
        assert p.get(name).status == 404
    assert https(p, "a.example.org") == (200, "A1")


def test_rollback(p, edge):
    before = p.api("GET", "/projects/web")["previous"]
    p.cli("rollback", "web", before)
    assert https(p, "b.example.org") == (200, "B2") and https(p, "c.example.org") == (200, "C1")
    assert p.api("GET", "/projects/web")["live"] == before
    p.cli("rollback", "web")
    edge.git("mv", path("b.example.org") + ".disabled", path("b.example.org"))
    push(p, edge, {})


def test_older_release_that_names_what_it_does_not_bring(p, edge):
    """No push may; one that includes in a roundabout way does, as releases of before did. What is served can be loaded again, always."""
    a, b = site(p, "a.example.org", "A3"), (edge.work / path("b.example.org")).read_text()
    borrowed = re.sub(r"ssl_certificate .*\n.*", "include snippets/../snippets/b.conf;", a)
    lines = "\n".join(f"ssl_certificate{key} /etc/letsencrypt/live/b.example.org/{pem}.pem;" for key, pem in (("", "fullchain"), ("_key", "privkey")))
    certs, old = p.state / "edge/certs/sites/web", (edge.work / path("a.example.org")).read_text()

    push(p, edge, {path("a.example.org"): borrowed, "snippets/b.conf": lines, path("b.example.org"): None})
    live = p.api("GET", "/projects/web")["live"]
    assert (certs / "b.example.org").exists()
    push(p, edge, {"snippets/free.conf": "# reloads\n"})
    assert https(p, "a.example.org") == (200, "A3")
    push(p, edge, {path("a.example.org"): old, "snippets/b.conf": None})
    assert sorted(f.name for f in certs.iterdir()) == ["a.example.org"]
    push(p, edge, {path("b.example.org"): b})
    p.cli("rollback", "web", live)
    assert sorted(f.name for f in certs.iterdir()) == sorted(SITES)
    p.cli("stop", "web")
    p.cli("start", "web")
    assert https(p, "a.example.org") == (200, "A3") and p.get("b.example.org").status == 404
    push(p, edge, {path("a.example.org"): old, path("b.example.org"): b, "snippets/free.conf": None})
    assert sorted(f.name for f in certs.iterdir()) == sorted(SITES)


def test_rules(p, edge):
    """In slipway.yaml; the project's own setting wins."""
    rules = "kind: nginx-site\nsites:\n  rules:\n    - include: '*'\n    - exclude: [a.example.org]\n"
    push(p, edge, {"slipway.yaml": rules})
    assert p.get("a.example.org").status == 404 and https(p, "b.example.org") == (200, "B2")
    p.cli("sites", "web", "--rule", "exclude=*", "--rule", "include=a.example.org,c.example.org")
    assert json.loads(p.cli("info", "web", "--json").stdout)["sites"]["rules"] == [{"exclude": ["*"]}, {"include": ["a.example.org", "c.example.org"]}]
    p.deploy("web", force=True)
    assert https(p, "a.example.org") == (200, "A1") and p.get("b.example.org").status == 404
    shown = p.cli("plan", "web").stdout
    assert "site" in shown and "a.example.org" in shown and "1 left out by the rules" in shown, shown
    for bad in (("--rule", "perhaps=*"), ("--rule", "include=../x"), ("--folder", "/etc")):
        assert p.cli("sites", "web", *bad, expect=None).returncode != 0, bad
    p.cli("sites", "web", "--rule", "none")
    push(p, edge, {"slipway.yaml": None})
    assert https(p, "a.example.org") == (200, "A1") and https(p, "b.example.org") == (200, "B2")


def test_a_backup_brings_the_rules_back(p, edge):
    p.cli("backup", "web")
    saved = p.api("GET", "/projects/web/backups")["items"][0]["id"]
    p.cli("sites", "web", "--rule", "include=b.example.org")
    p.deploy("web", force=True)
    assert p.get("a.example.org").status == 404
    p.cli("restore", "web", saved, "--yes")
    assert p.api("GET", "/projects/web")["sites"] == QUIET
    assert https(p, "a.example.org") == (200, "A1") and https(p, "b.example.org") == (200, "B2")


HOSTILE = ["[..].conf", "[.].conf", "[a b].conf", "[a;b].conf", "[-x].conf", "[a\nb].conf", "[a].b.conf\t].conf", "[../../x].conf", "[" + "a" * 220 + "].conf", "[*].conf", "[${x}].conf", "['x'].conf"]


def test_hostile_names(p, git):
    repo = git.repository("odd", {"production/[ok.example.org].conf": f"server {{ listen 127.0.0.1:{p.edge_port}; server_name ok.example.org; return 200 ok; }}\n"})
    p.create("odd", repo.url, kind="nginx-site", sites=QUIET)
    p.deploy("odd")
    assert p.get("ok.example.org").status == 200
    refused = 0
    for name in HOSTILE:
        if "/" in name:
            continue
        repo.commit({f"production/{name}": "# nothing\n"})
        task = p.wait_task(p.api("POST", "/projects/odd/deploys", {})["task"])
        assert task["state"] == "failed" and "production/" in task["error"]["message"], (name, task)
        refused += 1
        repo.write({f"production/{name}": None})
    assert refused >= 10
    # a link is not followed
    (repo.work / "production/[link.example.org].conf").symlink_to("[ok.example.org].conf")
    repo.commit({})
    task = p.wait_task(p.api("POST", "/projects/odd/deploys", {})["task"])
    assert task["state"] == "failed" and "[link.example.org].conf" in task["error"]["message"], task
    assert p.get("ok.example.org").status == 200 and sorted(inodes(p, "odd")) == ["[ok.example.org].conf"]


def test_who_may(p, git, edge):
    made = p.api("POST", "/operators", {"name": "dora", "role": "deployer"})
    token = p.api("POST", "/tokens", {"operator": "dora", "label": "t"})["token"]
    repo = git.repository("sly", {"slipway.yaml": "kind: nginx-site\n", path("sly.example.org"): site(p, "sly.example.org", "no")})
    assert made["name"] == "dora"
    p.create("sly", repo.url)
    task = p.wait_task(p.api("POST", "/projects/sly/deploys", {})["task"])
    assert task["state"] == "failed" and "was not made as one" in task["error"]["message"] and "--kind nginx-site" in task["error"]["hint"], task
    assert p.call("PATCH", "/api/v1/projects/sly", {"kind": "nginx-site"}).status == 409
    assert p.call("PATCH", "/api/v1/projects/web", {"kind": "static"}).status == 409
    for project in ("sly", "web"):
        p.api("POST", "/grants", {"operator": "dora", "project": project, "role": "admin"})
    body = {"name": "mine", "kind": "nginx-site", "source": {"type": "git", "url": "https://git.example.org/x.git"}}
    assert p.call("POST", "/api/v1/projects", body, token=token).status == 403
    assert p.call("POST", "/api/v1/projects", {**body, "kind": "static"}, token=token).status == 201, "any other kind"
    for change in ({"source": {"type": "git", "url": "https://git.example.org/x.git"}}, {"sites": {"rules": []}}, {"root": "elsewhere"}):
        assert p.call("PATCH", "/api/v1/projects/web", change, token=token).status == 403, change
    assert p.call("POST", "/api/v1/projects/web/deploys", {"url": "https://git.example.org/x.git"}, token=token).status == 403
    assert p.call("PATCH", "/api/v1/projects/web", {"branch": "main"}, token=token).status == 200


DURHACK = """server {
    server_name durhack.example.net;

    include /etc/nginx/snippets/api.conf;
    location / {
        proxy_pass http://127.0.0.1:%d$request_uri;
    }

    listen 443 ssl http2;
    listen [::]:443 ssl http2;
    ssl_certificate /etc/letsencrypt/live/durhack.example.net/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/durhack.example.net/privkey.pem;
    include /etc/letsencrypt/options-ssl-nginx.conf;
    ssl_dhparam /etc/letsencrypt/ssl-dhparams.pem;
}

server {
    server_name durhack.example.net;

    if ($host = durhack.example.net) {
        return 301 https://$host$request_uri;
    }

    return 404;

    listen 80;
    listen [::]:80;
}
"""


def test_as_it_stands_in_durhacks_repository(git):
    """Ports 80 and 443, certbot's paths, links into /etc/nginx/snippets: nothing of it changed."""
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside" or not ROOT:
        pytest.skip("ports 80 and 443 need root and a network of their own")
    p = Platform()
    try:
        p.start()
        repo = git.repository("durhack", {"snippets/api.conf": API, path("durhack.example.net"): DURHACK % p.edge_port, "production/catch-all.nginxconf": "server { listen 80 default_server; }"})
        p.create("durhack", repo.url, kind="nginx-site", sites=QUIET)
        p.deploy("durhack")
        p.https_port = 443
        assert https(p, "durhack.example.net", "/api") == (200, "api of durhack.example.net")
        status, body = https(p, "durhack.example.net", "/behind")  # what the edge says of a name that nobody has
        assert status == 404 and "nothing at this address" in body
        connection = http.client.HTTPConnection("127.0.0.1", 80, timeout=20)
        connection.request("GET", "/x", headers={"Host": "durhack.example.net"})
        answer = connection.getresponse()
        assert (answer.status, answer.headers["Location"]) == (301, "https://durhack.example.net/x")
    finally:
        p.close()


def test_where_the_platform_listens(p, edge):
    """The neutral way: its ports, whatever they are; live/ and snippets/ of the project."""
    text = """server {
    server_name neutral.example.org;
    include server.conf;
    ssl_certificate live/neutral.example.org/fullchain.pem;
    ssl_certificate_key live/neutral.example.org/privkey.pem;
    include snippets/api.conf;
    location / { return 200 "neutral\\n"; }
}
"""
    push(p, edge, {path("neutral.example.org"): text})
    assert https(p, "neutral.example.org") == (200, "neutral") and p.get("neutral.example.org", "/api").body == b"api of neutral.example.org\n"
    push(p, edge, {path("neutral.example.org"): None})


def test_stop_start_and_a_new_daemon(p, edge):
    p.cli("stop", "web")
    assert p.get("a.example.org").status == 404 and (p.state / "edge/certs/sites/web/a.example.org").exists()
    p.cli("start", "web")
    assert https(p, "a.example.org") == (200, "A1")
    before = inodes(p)
    assert p.stop() == 0
    p.start()
    wait_until(p.edge_listens)
    wait_until(lambda: https(p, "a.example.org") == (200, "A1"))
    assert inodes(p) == before


def test_a_site_that_keeps_nginx_from_starting(p, edge):
    """Something beyond the platform changes: the others are served all the same, and its certificate waits for it."""
    extra = p.dir / "beyond.conf"
    extra.write_text("# fine\n")
    push(p, edge, {path("d.example.org"): site(p, "d.example.org", "D") + f"include {extra};\n"})
    pair = p.state / "edge/certs/sites/web/d.example.org/pair.pem"
    had = pair.stat().st_ino
    assert sorted(f.name for f in pair.parent.iterdir()) == ["cert.pem", "chain.pem", "fullchain.pem", "pair.pem", "privkey.pem"]
    assert p.stop() == 0
    extra.unlink()
    p.start()
    wait_until(lambda: p.edge_listens() and p.get("ok.example.org").status == 200)
    assert p.get("slipway.localhost", "/health").status == 200
    push(p, edge, {"README.md": "again", path("e.example.org"): site(p, "e.example.org", "E")}, expect="failed")
    assert pair.stat().st_ino == had and not (pair.parent.parent / "e.example.org").exists()
    extra.write_text("# fine\n")
    push(p, edge, {path("e.example.org"): None})
    assert https(p, "d.example.org") == (200, "D") and pair.stat().st_ino == had
    push(p, edge, {path("d.example.org"): None})
    assert https(p, "a.example.org") == (200, "A1")


def test_destroy(p, edge):
    said = p.cli("destroy", "web", "--yes").stdout
    assert re.search("removed +virtual host and certificates", said), said
    assert p.get("a.example.org").status == 404
    left = [f for f in p.state.glob("edge/**/web*")]
    assert left == [], left
