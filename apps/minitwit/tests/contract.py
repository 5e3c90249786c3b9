#!/usr/bin/env python3
"""What MiniTwit promises: the course's own tests of the application and of the simulator's API, written anew, and what the course only
says in words. Needs nothing but Python.

    contract.py PROGRAM [PROCESSES]     starts PROGRAM (so many processes, each request goes to the next one) on free ports with
                                        data of its own, runs every test below, ends with 1 when one failed

This is the quality gate of slipway.yaml; tests/e2e/test_minitwit.py runs the same functions under pytest on both databases."""
import http.client
import http.cookies
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
from pathlib import Path

AUTH = {"Authorization": "Basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh", "Connection": "close", "Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.body[:500]!r}"


class Browser:
    """Cookies and redirects; one per person."""

    def __init__(self, site, headers=None):
        self.site, self.cookies, self.headers = site, {}, headers or {}

    def send(self, method, path, fields=None, headers=None, follow=True):
        headers = {**self.headers, **(headers or {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        body = None
        if fields is not None:
            headers.update(FORM)
            body = urllib.parse.urlencode(fields)
        answer = self.site.send(method, path, body, headers)
        for line in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(line).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        if follow and answer.status == 302:
            return self.send("GET", answer.headers["Location"])
        return answer

    def get(self, path, **more):
        return self.send("GET", path, **more)

    def post(self, path, **fields):
        return self.send("POST", path, fields)

    def register(self, username, password="default", password2=None, email=None):
        return self.post("/register", username=username, password=password, password2=password if password2 is None else password2, email=username + "@example.com" if email is None else email)

    def login(self, username, password="default"):
        return self.post("/login", username=username, password=password)

    def enter(self, username):
        self.register(username)
        return self.login(username)

    def say(self, text):
        answer = self.post("/add_message", text=text)
        if text:
            assert "Your message was recorded" in answer.text, answer
        return answer


class Site:
    def __init__(self, program, processes=1, env=None):
        self.program, self.env = Path(program), env or {}
        self.dir = tempfile.TemporaryDirectory(prefix="minitwit-")
        self.processes, self.turn, self.names = [], 0, 0
        for _ in range(processes):
            self.start()

    @property
    def data(self):
        return Path(self.dir.name)

    def environment(self):
        return {"PATH": "/usr/bin:/bin", "MINITWIT_DATA": self.dir.name, **{k: v for k, v in os.environ.items() if "SAN_OPTIONS" in k}, **self.env}

    def start(self):
        port = free_port()
        log = open(self.data / "log", "ab")
        process = subprocess.Popen([self.program], env={**self.environment(), "PORT": str(port)}, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        self.processes.append((process, port))
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process
            except OSError:
                if process.poll() is not None:
                    raise AssertionError("minitwit ended at once: " + self.log()) from None
                time.sleep(0.02)
        raise AssertionError("minitwit does not listen: " + self.log())

    def end(self, index=0, how=signal.SIGTERM):
        process, _ = self.processes.pop(index)
        process.send_signal(how)
        process.wait(30)
        return process.returncode

    def close(self):
        codes = [self.end() for _ in list(self.processes)]
        log = self.log()
        self.dir.cleanup()
        for word in ("AddressSanitizer", "runtime error:", "LeakSanitizer"):
            assert word not in log, log[-4000:]
        assert all(code == 0 for code in codes), (codes, log[-2000:])

    def log(self):
        return (self.data / "log").read_text(errors="replace")

    def send(self, method, path, body=None, headers=None, index=None):
        if index is None:
            index = self.turn = (self.turn + 1) % len(self.processes)
        connection = http.client.HTTPConnection("127.0.0.1", self.processes[index][1], timeout=30)
        try:
            connection.request(method, path, body.encode() if isinstance(body, str) else body, headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def browser(self, **headers):
        return Browser(self, headers)

    def name(self, stem="user"):
        self.names += 1
        return f"{stem}{self.names}{os.urandom(3).hex()}"

    # The simulator's API.
    def api(self, method, path, body=None, expect=None, auth=True, **query):
        if query:
            path += "?" + urllib.parse.urlencode(query)
        headers = dict(AUTH)
        if not auth:
            del headers["Authorization"]
        answer = self.send(method, path, None if body is None else json.dumps(body), headers)
        if expect is not None:
            assert answer.status == expect, (method, path, answer)
        return answer

    def user(self, stem="user", **query):
        name = self.name(stem)
        self.api("POST", "/register", {"username": name, "email": name + "@a.b", "pwd": "p"}, expect=204, **query)
        return name

    def latest(self):
        return self.api("GET", "/latest", auth=False).json["latest"]


# --- the application: the course's minitwit_tests.py ---


def test_register(site):
    name, b = site.name(), site.browser()
    assert "You were successfully registered and can login now" in b.register(name).text
    assert "The username is already taken" in b.register(name).text
    assert "You have to enter a username" in b.register("").text
    assert "You have to enter a password" in b.register("meh", "").text
    assert "The two passwords do not match" in b.register("meh", "x", "y").text
    assert "You have to enter a valid email address" in b.register("meh", "foo", email="broken").text


def test_login_logout(site):
    name, b = site.name(), site.browser()
    b.register(name)
    assert "You were logged in" in b.login(name).text
    assert "You were logged out" in b.get("/logout").text
    assert "Invalid password" in b.login(name, "wrongpassword").text
    assert "Invalid username" in b.login(name + "x", "wrongpassword").text


def test_message_recording(site):
    b = site.browser()
    b.enter(site.name())
    b.say("test message 1")
    b.say("<test message 2>")
    page = b.get("/").text
    assert "test message 1" in page
    assert "&lt;test message 2&gt;" in page
    assert "<test message" not in page


def test_timelines(site):
    foo, bar, b = site.name("foo"), site.name("bar"), site.browser()
    b.enter(foo)
    b.say("the message by " + foo)
    b.get("/logout")
    b.enter(bar)
    b.say("the message by " + bar)
    both = ["the message by " + foo, "the message by " + bar]

    def seen(path):
        page = b.get(path).text
        return [text in page for text in both]

    assert seen("/public") == [True, True]
    assert seen("/") == [False, True]
    assert f"You are now following &#34;{foo}&#34;" in b.get(f"/{foo}/follow").text
    assert seen("/") == [True, True]
    assert seen("/" + bar) == [False, True]
    assert seen("/" + foo) == [True, False]
    assert f"You are no longer following &#34;{foo}&#34;" in b.get(f"/{foo}/unfollow").text
    assert seen("/") == [False, True]


# --- the application: what the course says in words ---


def test_who_may_what(site):
    name, b = site.name(), site.browser()
    site.browser().register(name)
    assert b.send("GET", "/", follow=False).headers["Location"] == "/public"
    for path in (f"/{name}/follow", f"/{name}/unfollow"):
        assert b.get(path).status == 401
    assert b.post("/add_message", text="x").status == 401
    assert b.get("/" + name + "nobody").status == 404
    assert b.get("/add_message").status == 404
    b.login(name)
    assert b.get(f"/{name}nobody/follow").status == 404
    assert "This is you!" in b.get("/" + name).text
    before = b.get("/").text
    b.say("")
    assert b.get("/").text == before


def test_redirects_are_the_original_s(site):
    name, other, b = site.name(), site.name(), site.browser()
    site.browser().register(other)
    steps = [
        ("POST", "/register", {"username": name, "email": "a@b", "password": "p", "password2": "p"}, "/login"),
        ("POST", "/login", {"username": name, "password": "p"}, "/"),
        ("GET", "/login", None, "/"),
        ("POST", "/add_message", {"text": "x"}, "/"),
        ("GET", f"/{other}/follow", None, "/" + other),
        ("GET", f"/{other}/unfollow", None, "/" + other),
        ("GET", "/logout", None, "/public"),
    ]
    for method, path, fields, to in steps:
        answer = b.send(method, path, fields, follow=False)
        assert (answer.status, answer.headers["Location"]) == (302, to), (path, answer)


def test_thirty_a_page_newest_first(site):
    b, name = site.browser(), site.name()
    b.enter(name)
    for i in range(33):
        site.api("POST", "/msgs/" + name, {"content": f"number {i}."}, expect=204)
    found = re.findall(r"number (\d+)\.", b.get("/" + name).text)
    assert found == [str(i) for i in range(32, 2, -1)]
    assert re.findall(r"number (\d+)\.", b.get(f"/{name}?p=1").text) == ["2", "1", "0"]
    assert re.findall(r"number (\d+)\.", b.get("/").text) == [str(i) for i in range(32, 2, -1)]


def test_look_of_a_message(site):
    b, name = site.browser(), site.name()
    b.register(name, email=" MyEmailAddress@example.com ".strip())
    b.login(name)
    b.say("Quotes \" and ' and & stay text")
    page = b.get("/" + name).text
    assert "https://www.gravatar.com/avatar/0bc83cb571cd1c50ba6f3e8a78ef1346?d=identicon&amp;s=48" in page
    assert "Quotes &#34; and &#39; and &amp; stay text" in page
    assert time.strftime("%Y-%m-%d @ %H:", time.gmtime()) in page
    for word in ("class=page", "class=navigation", "class=body", "class=messages", "class=followstatus"):
        assert word in page, word


def test_names_that_need_care(site):
    b = site.browser()
    for name in ("Roger Histand", "Ærøskøbing/1", "a?b#c%25", "<script>alert(1)</script>", "..", "'; DROP TABLE message; --"):
        name += site.name()
        b.register(name)
        b.login(name)
        b.say("by " + name)
        page = b.get("/" + urllib.parse.quote(name, safe="")).text
        assert "This is you!" in page, name
        assert "<script>" not in page
        b.get("/logout")
    for word in ("public", "login", "msgs", "metrics", "static"):
        assert "The username is already taken" in b.register(word).text


def test_session_cookies(site):
    b, name = site.browser(), site.name()
    b.register(name)
    planted = "A" * 43
    b.cookies["session"] = planted
    answer = b.send("POST", "/login", {"username": name, "password": "default"}, follow=False)
    line = [x for x in answer.headers.get_all("Set-Cookie") if x.startswith("session=")][0]
    assert "HttpOnly" in line and "SameSite=Lax" in line and "Secure" not in line, line
    assert b.cookies["session"] != planted
    line = b.send("POST", "/login", {"username": name, "password": "default"}, {"X-Forwarded-Proto": "https"}, follow=False).headers["Set-Cookie"]
    assert "Secure" in line
    token = b.cookies["session"]
    b.get("/logout")
    b.cookies["session"] = token
    assert b.send("GET", "/", follow=False).headers["Location"] == "/public", "a session that was ended opens nothing"


def test_forged_requests(site):
    name, other, b = site.name(), site.name(), site.browser()
    site.browser().register(other)
    b.enter(name)
    host = f"127.0.0.1:{site.processes[0][1]}"
    token = re.search(r'name=csrf value="(\w+)"', b.get("/").text).group(1)
    foreign = [{"Origin": "http://evil.example"}, {"Referer": "http://evil.example/x"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "null"}, {"Origin": f"http://{host}.evil.example"}]
    own = [{"Origin": "http://" + host}, {"Referer": f"http://{host}/x"}, {"Sec-Fetch-Site": "same-origin"}]

    def post(headers, **fields):
        return b.send("POST", "/add_message", fields, {"Host": host, **headers}, follow=False).status

    for headers in foreign:
        assert post(headers, text="forged") == 403, headers
        assert post(headers, text="forged", csrf=token) == 403, headers
        for path in (f"/{other}/follow", f"/{other}/unfollow", "/logout"):
            assert b.send("GET", f"{path}?csrf={token}", None, {"Host": host, **headers}, follow=False).status == 403, (path, headers)
    for headers in own:
        assert post(headers, text="forged") == 403, "no token"
        assert post(headers, text="forged", csrf="0" * 32) == 403
        assert post(headers, text="genuine", csrf=token) == 302
        assert b.send("GET", f"/{other}/follow?csrf={token}", None, {"Host": host, **headers}, follow=False).status == 302
    page = b.get("/" + name).text
    assert "forged" not in page and page.count("genuine") == len(own)
    thief = site.browser()
    thief.enter(site.name())
    thief_token = re.search(r'name=csrf value="(\w+)"', thief.get("/").text).group(1)
    assert post(own[0], text="forged", csrf=thief_token) == 403, "another session's token"
    for path, fields in (("/login", {"username": name, "password": "default"}), ("/register", {"username": site.name(), "email": "a@b", "password": "p", "password2": "p"})):
        assert site.browser().send("POST", path, fields, foreign[0]).status == 403


def test_headers_of_every_page(site):
    for path in ("/public", "/login", "/register", "/nobody"):
        headers = site.send("GET", path).headers
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-MiniTwit-Version"]
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"


# --- the simulator's API: the course's minitwit_sim_api_test.py ---


def test_latest(site):
    site.api("POST", "/register", {"username": site.name("test"), "email": "test@test", "pwd": "foo"}, expect=204, latest=1337)
    assert site.latest() == 1337


def test_api_register(site):
    name = site.user(latest=1)
    assert site.latest() == 1
    for body, says in (
        ({"username": "", "email": "a@b", "pwd": "x"}, "You have to enter a username"),
        ({"username": "x", "email": "ab", "pwd": "x"}, "You have to enter a valid email address"),
        ({"username": "x", "email": "a@b", "pwd": ""}, "You have to enter a password"),
        ({"username": name, "email": "a@b", "pwd": "x"}, "The username is already taken"),
        ({}, "You have to enter a username"),
    ):
        assert site.api("POST", "/register", body, expect=400).json == {"status": 400, "error_msg": says}


def test_api_messages(site):
    a = site.user("a")
    assert site.api("POST", "/msgs/" + a, {"content": "Blub!"}, expect=204, latest=2).body == b""
    assert site.latest() == 2
    for path in ("/msgs/" + a, "/msgs"):
        got = site.api("GET", path, expect=200, no=20, latest=3).json
        assert [m for m in got if m["content"] == "Blub!" and m["user"] == a and abs(m["pub_date"] - time.time()) < 60]
    assert site.latest() == 3


def test_api_follow(site):
    a, b, c = site.user("a"), site.user("b"), site.user("c")
    site.api("POST", "/fllws/" + a, {"follow": b}, expect=204, latest=7)
    site.api("POST", "/fllws/" + a, {"follow": c}, expect=204, latest=8)
    assert site.api("GET", "/fllws/" + a, expect=200, no=20, latest=9).json == {"follows": [b, c]}
    assert site.latest() == 9
    site.api("POST", "/fllws/" + a, {"unfollow": b}, expect=204, latest=10)
    assert site.api("GET", "/fllws/" + a, expect=200, no=20, latest=11).json == {"follows": [c]}
    assert site.latest() == 11


# --- the simulator's API: what the contract says beside it ---


def test_api_refusals(site):
    a = site.user()
    refused = {"status": 403, "error_msg": "You are not authorized to use this resource!"}
    paths = [("GET", "/msgs", None), ("GET", "/msgs/" + a, None), ("POST", "/msgs/" + a, {"content": "x"}), ("GET", "/fllws/" + a, None), ("POST", "/fllws/" + a, {"follow": a})]
    for n, (method, path, body) in enumerate(paths):
        for wrong in (None, "basic c2ltdWxhdG9yOnN1cGVyX3NhZmUh", "Basic c2ltdWxhdG9yOnN1cGVyX3NhZmU=", ""):
            headers = {**AUTH, "Authorization": wrong} if wrong is not None else {k: v for k, v in AUTH.items() if k != "Authorization"}
            answer = site.send(method, f"{path}?latest={100 + n}", None if body is None else json.dumps(body), headers)
            assert (answer.status, answer.json) == (403, refused), (path, wrong, answer)
        assert site.latest() == 100 + n, "latest is noted before anybody is asked who they are"
    nobody = site.name("nobody")
    for method, path, body in (("GET", "/msgs/", None), ("POST", "/msgs/", {"content": "x"}), ("GET", "/fllws/", None), ("POST", "/fllws/", {"follow": a}), ("POST", "/fllws/", {"unfollow": a})):
        site.api(method, path + nobody, body, expect=404, latest=200)
        assert site.latest() == 200
    site.api("POST", "/fllws/" + a, {"follow": nobody}, expect=404)
    site.api("POST", "/fllws/" + a, {"unfollow": nobody}, expect=404)
    site.api("GET", "/msgs/", expect=404)
    for body in ("", "{", "[1]", '{"content": 1}', "{}"):
        assert site.send("POST", "/msgs/" + a, body, AUTH).status == 400, body
        assert site.send("POST", "/fllws/" + a, body, AUTH).status == 400, body
    assert site.send("DELETE", "/msgs", None, AUTH).status == 405
    assert site.send("PUT", "/msgs/" + a, "{}", AUTH).status == 405


def test_api_latest_is_what_was_sent(site):
    for sent, then in ((5, 5), ("x", 5), (-1, 5), ("", 5), (-7, -7), (12150558, 12150558), ("1.5", 12150558)):
        site.api("GET", "/msgs", auth=False, expect=403, latest=sent)
        assert site.latest() == then, sent
    site.api("GET", "/msgs", expect=200)
    assert site.latest() == 12150558


def test_api_counts(site):
    a = site.user()
    for i in range(105):
        site.api("POST", "/msgs/" + a, {"content": str(i)}, expect=204)
    for no, many in (({}, 100), ({"no": "x"}, 100), ({"no": 0}, 0), ({"no": 3}, 3), ({"no": -1}, 105), ({"no": 1000000}, 105)):
        got = [m["content"] for m in site.api("GET", "/msgs/" + a, expect=200, **no).json]
        assert got == [str(i) for i in range(104, 104 - many, -1)], no
    newest = [m["content"] for m in site.api("GET", "/msgs", expect=200, no=50).json]
    assert newest == [str(i) for i in range(104, 54, -1)]
    assert len(site.api("GET", "/msgs", expect=200).json) == 100
    assert site.api("GET", "/msgs", expect=200, no=0).json == []
    assert len(site.api("GET", "/msgs", expect=200, no=-1).json) >= 105


def test_api_text_and_names(site):
    name = site.name("Roger Histand Ø ")
    site.api("POST", "/register", {"username": name, "email": "r@h", "pwd": "ø"}, expect=204)
    text = "blå 漢字 🐦 \" \\ \n\t end </script>"
    quoted = urllib.parse.quote(name)
    site.api("POST", "/msgs/" + quoted, {"content": text}, expect=204)
    site.api("POST", "/msgs/" + quoted, {"content": ""}, expect=204)
    got = site.api("GET", "/msgs/" + quoted, expect=200).json
    assert [(m["content"], m["user"]) for m in got] == [("", name), (text, name)]
    site.api("POST", "/fllws/" + quoted, {"follow": name}, expect=204)
    assert site.api("GET", "/fllws/" + quoted, expect=200).json == {"follows": [name]}


def test_api_following_twice_is_following_once(site):
    a, b = site.user(), site.user()
    for _ in range(2):
        site.api("POST", "/fllws/" + a, {"follow": b}, expect=204)
    assert site.api("GET", "/fllws/" + a, expect=200).json == {"follows": [b]}
    for _ in range(2):
        site.api("POST", "/fllws/" + a, {"unfollow": b}, expect=204)
    assert site.api("GET", "/fllws/" + a, expect=200).json == {"follows": []}
    site.api("POST", "/fllws/" + a, {"follow": b, "unfollow": b}, expect=204)
    assert site.api("GET", "/fllws/" + a, expect=200).json == {"follows": [b]}, "follow wins"


def test_kept_answers_are_true(site):
    """Every write is read back at once and in full, beyond the hundred that an answer holds, with texts that look like answers."""
    a, others = site.user(), [site.user() for _ in range(6)]
    said, follows = [], []
    for i in range(240):
        if i % 2 == 0:
            text = ['plain', ',{"content":"x","pub_date":1,"user":"y"}', '"}]', "\\", ""][i % 5] + str(i)
            site.api("POST", "/msgs/" + a, {"content": text}, expect=204)
            said.insert(0, text)
        elif i % 3 == 0 and follows:
            gone = follows.pop(i % len(follows))
            site.api("POST", "/fllws/" + a, {"unfollow": gone}, expect=204)
        else:
            new = others[i % 6]
            site.api("POST", "/fllws/" + a, {"follow": new}, expect=204)
            if new not in follows:
                follows.append(new)
        if i % 7:
            assert [m["content"] for m in site.api("GET", "/msgs/" + a, expect=200).json] == said[:100], i
            assert site.api("GET", "/fllws/" + a, expect=200).json == {"follows": follows}, i
            assert [m["content"] for m in site.api("GET", "/msgs", expect=200, no=10).json if m["user"] == a] == said[:10], i


def test_page_and_api_are_one(site):
    """The course's team had two databases."""
    name, b = site.name(), site.browser()
    site.api("POST", "/register", {"username": name, "email": name + "@a.b", "pwd": "default"}, expect=204)
    assert "You were logged in" in b.login(name).text
    b.say("from the page")
    site.api("POST", "/msgs/" + name, {"content": "from the simulator"}, expect=204)
    assert [m["content"] for m in site.api("GET", "/msgs/" + name, expect=200).json] == ["from the simulator", "from the page"]
    assert [m["content"] for m in site.api("GET", "/msgs", expect=200, no=2).json] == ["from the simulator", "from the page"]
    page = b.get("/public").text
    assert page.index("from the simulator") < page.index("from the page")


def test_health_and_metrics(site):
    site.user()
    assert site.send("GET", "/health").status == 200
    text = "".join(site.send("GET", "/metrics", index=i).text for i in range(len(site.processes)))
    assert 'http_requests_total{handler="/register",method="POST",status="204"}' in text
    assert "http_request_duration_seconds_bucket" in text and "http_response_size_bytes_sum" in text


# --- processes come and go ---


def test_everything_outlives_the_processes(site):
    a, b, browser = site.user(), site.user(), site.browser()
    browser.enter(site.name())
    site.api("POST", "/msgs/" + a, {"content": "kept"}, expect=204, latest=4711)
    site.api("POST", "/fllws/" + a, {"follow": b}, expect=204, latest=4712)
    for how in (signal.SIGTERM, signal.SIGKILL):
        many = len(site.processes)
        for _ in range(many):
            site.end(0, how)
        for _ in range(many):
            site.start()
        assert site.latest() == 4712
        assert site.api("GET", "/msgs/" + a, expect=200).json[0]["content"] == "kept"
        assert site.api("GET", "/fllws/" + a, expect=200).json == {"follows": [b]}
        assert "sign out" in browser.get("/public").text
    board = site.data / "minitwit.board"
    time.sleep(0.3)  # latest reaches the store a tenth of a second later
    many = len(site.processes)
    for _ in range(many):
        site.end(0)
    board.unlink()
    for _ in range(many):
        site.start()
    assert site.latest() == 4712, "also from the store alone"


def test_what_one_process_wrote_the_other_shows_at_once(site):
    site.start()
    try:
        a, b = site.user(), site.user()
        for i in range(200):
            writer, reader = (i % 2, 1 - i % 2)
            assert site.send("POST", "/msgs/" + a, json.dumps({"content": str(i)}), AUTH, index=writer).status == 204
            for path in ("/msgs?no=1", f"/msgs/{a}?no=1"):
                assert json.loads(site.send("GET", path, None, AUTH, index=reader).body)[0]["content"] == str(i)
            change = {"follow": b} if i % 4 < 2 else {"unfollow": b}
            assert site.send("POST", "/fllws/" + a, json.dumps(change), AUTH, index=writer).status == 204
            assert json.loads(site.send("GET", "/fllws/" + a, None, AUTH, index=reader).body)["follows"] == ([b] if i % 4 < 2 else [])
    finally:
        assert site.end(len(site.processes) - 1) == 0


def main():
    program, processes = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    failed = []
    site = Site(program, processes)
    try:
        for name, test in tests:
            try:
                test(site)
                print("ok    ", name, flush=True)
            except Exception:  # noqa: BLE001: every failure is reported
                failed.append(name)
                print("FAILED", name)
                traceback.print_exc(file=sys.stdout)
    finally:
        site.close()
    print(f"{len(tests) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
