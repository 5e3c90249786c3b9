"""MiniTwit: its contract on every store and number of processes, what is beside the contract (imported passwords, hiding, releases that
overlap), and MiniTwit as a project that a signed push deploys."""
import hashlib
import importlib.util
import json
import os
import signal
import sqlite3
import subprocess
import threading

import pytest

import browser
import minitwit_project
from harness import SANITIZED, TOP, wait_until
from postgres import Postgres

spec = importlib.util.spec_from_file_location("contract", TOP / "apps/minitwit/tests/contract.py")
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)

PROGRAM = SANITIZED / "apps/minitwit/minitwit"
FLAG_TOOL = SANITIZED / "apps/minitwit/flag_tool"
CONTRACT = [name for name in dir(contract) if name.startswith("test_")]


@pytest.fixture(scope="module")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="module", params=[("sqlite", 1), ("sqlite", 2), ("postgresql", 1), ("postgresql", 2)], ids=lambda p: f"{p[0]}, {p[1]} process(es)")
def site(request):
    store, processes = request.param
    env = {"DATABASE_URL": request.getfixturevalue("postgres").database(f"site{processes}")} if store == "postgresql" else {}
    site = contract.Site(PROGRAM, processes, env)
    yield site
    site.close()


@pytest.fixture
def alone():
    site = contract.Site(PROGRAM)
    yield site
    site.close()


@pytest.mark.parametrize("name", CONTRACT)
def test_contract(site, name):
    getattr(contract, name)(site)


def stored(site):
    return sqlite3.connect(f"file:{site.data}/minitwit.db?mode=ro", uri=True)


def test_passwords_are_argon2id_and_never_in_clear(alone):
    alone.browser().register("anna", "correct horse battery")
    with stored(alone) as db:
        [(hash,)] = db.execute("SELECT pw_hash FROM user")
    assert hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    for path in alone.data.iterdir():
        assert b"correct horse" not in path.read_bytes()


@pytest.mark.parametrize(
    "hash",
    [
        "pbkdf2:sha256:1000$saltsalt$" + hashlib.pbkdf2_hmac("sha256", b"default", b"saltsalt", 1000).hex(),
        "scrypt:32768:8:1$saltsalt$" + hashlib.scrypt(b"default", salt=b"saltsalt", n=32768, r=8, p=1, dklen=64, maxmem=64 << 20).hex(),
    ],
    ids=["werkzeug 2", "werkzeug 3"],
)
def test_a_werkzeug_hash_opens_once_and_is_replaced(alone, hash):
    alone.browser().register("anna")
    alone.end()
    with sqlite3.connect(alone.data / "minitwit.db") as db:
        db.execute("UPDATE user SET pw_hash = ?", (hash,))
    alone.start()
    assert "Invalid password" in alone.browser().login("anna", "wrong").text
    with stored(alone) as db:
        assert db.execute("SELECT pw_hash FROM user").fetchall() == [(hash,)]
    assert "You were logged in" in alone.browser().login("anna").text
    with stored(alone) as db:
        [(now,)] = db.execute("SELECT pw_hash FROM user")
    assert now.startswith("$argon2id$")
    assert "You were logged in" in alone.browser().login("anna").text


def flag_tool(site, *args, code=0):
    run = subprocess.run([FLAG_TOOL, *args], env=site.environment(), capture_output=True, text=True, timeout=60)
    assert run.returncode == code, run
    return run.stdout


def test_flag_tool_hides_at_once_from_every_process(site):
    a = site.user()
    for text in ("good", "bad'); DROP TABLE message; --"):
        site.api("POST", "/msgs/" + a, {"content": text}, expect=204)
    for path in ("/msgs", "/msgs/" + a):  # in memory everywhere
        for index in range(len(site.processes)):
            assert "bad" in site.send("GET", path, None, contract.AUTH, index=index).text
    line = [x for x in flag_tool(site, "-i").splitlines() if ",bad')" in x][-1]
    assert line.endswith(",0")
    number = line.split(",")[0]
    assert flag_tool(site, number) == f"Flagged entry: {number}\n"
    for index in range(len(site.processes)):
        for path in ("/msgs", "/msgs/" + a, "/public", "/" + a):
            text = site.send("GET", path, None, contract.AUTH, index=index).text
            assert "good" in text and "DROP TABLE" not in text, (index, path)
    assert flag_tool(site, "-h").startswith("usage: flag_tool")
    flag_tool(site, "1; DELETE FROM message", code=64)
    flag_tool(site, "999999999", code=65)


def test_releases_that_overlap_lose_nothing(alone):
    """As in a switch: the new process starts beside the old one, requests move over, the old one drains. Writers never stop."""
    a = alone.user()
    accepted, wrong, stop = [], [], threading.Event()
    live, told = [alone.processes[0]], [0] * 4

    def write(n):
        i = 0
        while not stop.is_set():
            i += 1
            text = f"{n}-{i}"
            connection = contract.http.client.HTTPConnection("127.0.0.1", live[0][1], timeout=30)
            try:
                connection.request("POST", f"/msgs/{a}?latest={i}", json.dumps({"content": text}), contract.AUTH)
                answer = connection.getresponse()
                (accepted if answer.status == 204 else wrong).append((text, answer.status))
            except OSError as error:
                wrong.append((text, error))
            finally:
                connection.close()
                told[n] = i

    def each_goes_on(more):
        before = list(told)
        wait_until(lambda: all(now >= was + more for now, was in zip(told, before)) or wrong, 60)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    [t.start() for t in threads]
    for _ in range(6):
        each_goes_on(5)
        alone.start()
        each_goes_on(3)
        live[0] = alone.processes[-1]
        each_goes_on(1)  # whoever had connected to the old one was answered
        assert alone.end(0) == 0
    stop.set()
    [t.join() for t in threads]
    assert not wrong, wrong[:5]
    got = [m["content"] for m in alone.api("GET", "/msgs/" + a, expect=200, no=-1).json]
    assert sorted(got) == sorted(text for text, _ in accepted) and len(got) >= 6 * 4 * 9


def kills(what, accepted, more=20):
    """Once so many more were accepted, in the midst of others."""
    enough = len(accepted) + more

    def watch():
        try:
            wait_until(lambda: len(accepted) >= enough, 60, 0.003)
        finally:
            what()

    killer = threading.Thread(target=watch)
    killer.start()
    return killer


def test_killed_while_writing_loses_nothing_accepted(alone):
    a = alone.user()
    accepted = []
    for round in range(4):
        port = alone.processes[0][1]
        killer = kills(lambda: alone.end(0, signal.SIGKILL), accepted)
        try:
            for i in range(100000):
                connection = contract.http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                text = f"{round}-{i}"
                connection.request("POST", "/msgs/" + a, json.dumps({"content": text}), contract.AUTH)
                if connection.getresponse().status == 204:
                    accepted.append(text)
        except (OSError, contract.http.client.HTTPException):
            pass
        killer.join()
        alone.start()
        got = {m["content"] for m in alone.api("GET", "/msgs/" + a, expect=200, no=-1).json}
        assert set(accepted) <= got
    assert len(accepted) >= 80


def test_a_killed_database_loses_nothing_accepted():
    """PostgreSQL with fsync ends in the middle, as in a power cut: MiniTwit ends with 75, and what it had accepted is there afterwards."""
    server = Postgres(fsync=True)
    try:
        site = contract.Site(PROGRAM, 1, {"DATABASE_URL": server.database("kill")})
        a, accepted = site.user(), []
        for round in range(3):
            killer = kills(server.kill, accepted)
            try:
                for i in range(100000):
                    text = f"{round}-{i}"
                    status = site.api("POST", "/msgs/" + a, {"content": text}).status
                    if status == 204:
                        accepted.append(text)
            except (OSError, contract.http.client.HTTPException):
                pass
            killer.join()
            process, _ = site.processes.pop()
            assert process.wait(20) == 75
            server.start()
            site.start()
            got = [m["content"] for m in site.api("GET", "/msgs/" + a, expect=200, no=-1).json]
            assert set(accepted) <= set(got) and len(got) <= len(accepted) + round + 1, (len(accepted), len(got))
        assert len(accepted) >= 60
        site.close()
    finally:
        server.close()


def visit(url, other):
    """What a person does on the pages, with a browser that sends what browsers send; `other` is somebody to follow."""
    b = browser.Browser()
    try:
        name = "Anna " + os.urandom(3).hex()
        b.go(url + "/register")
        for field, value in (("username", name), ("email", "anna@example.com"), ("password", "correct horse"), ("password2", "correct horse")):
            b.type(f"input[name={field}]", value)
        b.click(".actions input")
        b.sees("successfully registered")
        b.type("input[name=username]", name)
        b.type("input[name=password]", "correct horse")
        b.click(".actions input")
        b.sees("You were logged in")
        b.type("input[name=text]", "<img src=x onerror=document.title='broken'> hello")
        b.click(".twitbox input[type=submit]")
        b.sees("Your message was recorded")
        b.sees("<img src=x")
        assert b.run("return document.title") == "My Timeline | MiniTwit"
        b.go(url + "/" + other)
        b.click("a.follow")
        b.sees(f'You are now following "{other}"')
        b.sees("currently following")
        b.click("a.unfollow")
        b.sees(f'You are no longer following "{other}"')
        # the page is dressed, and another site's form is not taken
        assert b.run("return getComputedStyle(document.querySelector('.page h1')).backgroundColor") == "rgb(110, 204, 204)"
        b.go("data:text/html,<form method=post action='" + url + "/add_message'><input name=text value=forged><input type=submit></form>")
        b.click("input[type=submit]")
        b.sees("You have to sign in first.")  # the cookie does not even travel
        b.go(url + "/" + name.replace(" ", "%20"))
        b.sees("This is you!")
        assert "forged" not in b.text()
        b.click(".navigation a[href^='/logout']")
        b.sees("You were logged out")
    finally:
        b.close()


@pytest.mark.skipif(not browser.installed(), reason="chromium and chromium-driver are not there (300 MB, so install-deps leaves them to `work`)")
def test_pages_in_a_browser(alone):
    visit(f"http://localhost:{alone.processes[0][1]}", alone.user("other"))


# --- as a project ---


def judged(load, at_least, stop=False):
    """The load's end: every answer was right, none failed."""
    seen = load.end(stop)
    assert (seen["wrong"], seen["failed"]) == (0, 0) and seen["right"] == seen["requests"] >= at_least, (load.text, seen)
    return seen


def test_a_signed_push_deploys_minitwit_and_its_checks_are_a_gate(platform, git):
    project = minitwit_project.Project(platform, git)
    assert project.made["kind"] in ("auto", "make"), project.made
    project.deploy("1.0")
    host = minitwit_project.HOST

    def api(method, path, body=None):
        return platform.get(host, path, method, None if body is None else json.dumps(body), contract.AUTH)

    assert api("POST", "/register?latest=1", {"username": "anna", "email": "a@b", "pwd": "x"}).status == 204
    assert api("POST", "/msgs/anna?latest=2", {"content": "over the edge"}).status == 204
    assert "over the edge" in platform.get(host, "/public").body.decode()
    if browser.installed():
        visit(f"http://{host}:{platform.edge_port}", "anna")
    # The acceptance (tests/bench/minitwit) in small: a deploy and a rollback under the simulator, and no answer is wrong; each comes
    # from the version that is live. How long answers take is no matter here, beside a compiler and with sanitizers.
    load = minitwit_project.Load(platform.edge_port, "--seconds", 900, "--rate", 600, "--persons", 50, "--late", 60000)
    load.wait_for(1000)
    project.deploy("2.0")
    load.wait_for(load.sent + 1000)
    project.rollback()
    load.wait_for(load.sent + 1000)
    seen = judged(load, 3000, stop=True)
    assert [v["version"] for v in seen["versions"]] == project.live == ["1.0", "2.0", "1.0"], seen["versions"]
    # two instances: what one has written, whoever is asked next shows
    platform.cli("scale", "minitwit", "web=2")
    judged(minitwit_project.Load(platform.edge_port, "--count", 2000, "--persons", 20, "--late", 60000), 2000)
    # the gate: a version that forgets the order of timelines does not go live
    data = project.files["apps/minitwit/data.c"].decode()
    worse = data.replace("m.pub_date DESC, m.message_id DESC LIMIT $limit OFFSET $offset", "m.pub_date, m.message_id LIMIT $limit OFFSET $offset")
    assert worse != data
    task = project.push({"apps/minitwit/data.c": worse}, expect="failed")
    assert "contract" in json.dumps(task), task
    assert platform.get(host, "/latest").headers["X-MiniTwit-Version"] == "1.0"
