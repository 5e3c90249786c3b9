"""Telling people: real mail over STARTTLS with a password, signed webhooks, chats, commit statuses; receivers that fail, that are
gone, that are slow, that redirect; what is inside is not asked. R14: 5,000 messages to a receiver that fails half the time
(SLIPWAY_LONG=1; else 300)."""
import base64
import collections
import hashlib
import hmac
import http.server
import json
import os
import random
import re
import ssl
import subprocess
import threading
import time

import pytest

from harness import free_port, Platform, wait_until

LONG = os.environ.get("SLIPWAY_LONG") == "1"
RETRIES = "0s,200ms,300ms,400ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms,500ms"


class Receiver:
    """A web server of others; `answer(handler, body)` gives the status, or (status, headers)."""

    def __init__(self, answer=lambda request, body: 200):
        self.seen = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                told = answer(self, body)
                status, headers = told if isinstance(told, tuple) else (told, {})
                outer.seen.append((time.monotonic(), self.command, self.path, dict(self.headers.items()), body, status))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_POST = do_PUT = handle_one

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.request_queue_size = 256
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/in"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    made = []

    def make(*args):
        made.append(Receiver(*args))
        return made[-1]

    yield make
    for r in made:
        r.close()


@pytest.fixture(scope="module")
def mail_server(open_folder):
    """A real SMTP server: STARTTLS demanded before anything, a password before mail."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    top = open_folder
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", top / "key", "-out", top / "cert", "-days", "2",
                    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(top / "cert", top / "key")

    class Box:
        def __init__(self):
            self.mails, self.refuse, self.unknown = [], None, set()

        async def handle_RCPT(self, server, session, envelope, address, options):
            if address in self.unknown:
                return "550 no such user"
            envelope.rcpt_tos.append(address)
            return "250 taken"

        async def handle_DATA(self, server, session, envelope):
            if self.refuse:
                return self.refuse
            self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content.decode(), session.ssl is not None))
            return "250 taken"

    box = Box()
    box.port = free_port()
    controller = Controller(
        box, hostname="localhost", port=box.port, tls_context=context, require_starttls=True, auth_required=True, auth_require_tls=True,
        authenticator=lambda server, session, envelope, mechanism, data: AuthResult(success=(data.login, data.password) == (b"slipway", b"s3cret"), handled=False))
    controller.start()
    box.cert = top / "cert"
    (top / "cert").chmod(0o644)
    yield box
    controller.stop()


@pytest.fixture(scope="module")
def told(mail_server):
    p = Platform(extra=["--outbound-allow", "127.0.0.0/8", "--outbound-allow", "::1", "--outbound-ca", str(mail_server.cert), "--retries", RETRIES])
    try:
        p.start()
        p.cli("mail", "set", "--host", "localhost", "--port", mail_server.port, "--from", "slipway@example.org", "--user", "slipway", "--password-stdin", stdin="s3cret")
        yield p
    finally:
        p.close()


def channel(p, project, name, kind, **more):
    return p.api("POST", f"/projects/{project}/channels" if project else "/channels", {"name": name, "type": kind, **more})


def deliveries(p, project, name):
    top = f"/projects/{project}/channels/{name}" if project else f"/channels/{name}"
    found, after = [], 0
    while True:
        page = p.api("GET", f"{top}/deliveries?limit=200" + (f"&after={after}" if after else ""))
        found += page["items"]
        if not page["next"]:
            return found
        after = page["next"]


def ended(p, project, name, count, seconds=60):
    def look():
        now = deliveries(p, project, name)
        return len(now) >= count and all(d["state"] != "waiting" for d in now) and now

    return wait_until(look, seconds)


def signed(secret, headers, body):
    key = base64.b64decode(secret.removeprefix("whsec_"))
    over = f'{headers["webhook-id"]}.{headers["webhook-timestamp"]}.'.encode() + body
    return "v1," + base64.b64encode(hmac.new(key, over, hashlib.sha256).digest()).decode() == headers["webhook-signature"]


def test_a_deploy_is_told_everywhere(told, git, receiver, mail_server):
    # a build that takes long enough for "started" to be told before "succeeded"
    repo = git.repository("news", {"index.html": "1", "slipway.yaml": "kind: static\nbuild: [[python3, -c, 'import time; time.sleep(2)']]\n"})
    told.create("news", repo.url)
    web, chat, hub, platform = receiver(), receiver(), receiver(lambda r, b: 201), receiver()
    secret = channel(told, "news", "web", "webhook", target=web.url)["secret"]
    channel(told, "news", "chat", "slack", secret=chat.url, events="deploy.succeeded")
    channel(told, "news", "state", "github", target=hub.url, secret="ghp_token")
    channel(told, None, "all", "webhook", target=platform.url, events="project.* deploy.failed")
    channel(told, "news", "team", "mail", target="anna@example.org bo@example.org", events="deploy.succeeded deploy.failed")
    told.deploy("news")
    for name, count in (("web", 2), ("chat", 1), ("state", 2), ("team", 2)):
        assert all(d["state"] == "delivered" for d in ended(told, "news", name, count)), (name, deliveries(told, "news", name))
    assert [json.loads(b)["type"] for _, _, _, _, b, _ in web.seen] == ["deploy.started", "deploy.succeeded"]
    assert all(signed(secret, h, b) and not signed(secret, h, b + b" ") for _, _, _, h, b, _ in web.seen)
    assert "release 1 is live" in json.loads(chat.seen[0][4])["text"]
    states = [(json.loads(b)["state"], path.rsplit("/", 1)[1], h["Authorization"]) for _, _, path, h, b, _ in hub.seen]
    assert states == [("pending", repo.git("rev-parse", "HEAD"), "Bearer ghp_token"), ("success", repo.git("rev-parse", "HEAD"), "Bearer ghp_token")]
    assert sorted(to[0] for _, to, _, _ in mail_server.mails) == ["anna@example.org", "bo@example.org"]  # each its own
    sender, to, text, tls = mail_server.mails[-1]
    assert (sender, len(to), tls) == ("slipway@example.org", 1, True) and f"To: <{to[0]}>" in text
    assert "Subject: news: release 1 is live" in text
    assert "http://news.localhost" in base64.b64decode(text.split("\r\n\r\n", 1)[1]).decode()
    # A failure, with the program's last words.
    repo.commit({"slipway.yaml": "kind: static\nbuild: [[python3, -c, 'raise SystemExit(\"no such module\")']]\n"})
    told.api("POST", "/projects/news/deploys", {})
    wait_until(lambda: any("the deploy failed at build" in m[2] for m in mail_server.mails), 30)
    failed = json.loads(wait_until(lambda: [b for _, _, _, _, b, _ in platform.seen], 30)[0])
    assert failed["data"]["title"] == "news: the deploy failed at build" and "no such module" in failed["data"]["text"]
    assert "release 1 is still serving" in failed["data"]["text"]
    assert json.loads(wait_until(lambda: len(hub.seen) == 4 and hub.seen, 30)[3][4])["state"] == "failure"
    told.cli("destroy", "news", "--yes")
    assert json.loads(wait_until(lambda: len(platform.seen) == 2 and platform.seen, 30)[1][4])["type"] == "project.destroyed"
    # No secret stands anywhere.
    log = told.log_text()
    for word in (secret, "ghp_token", "s3cret", chat.url.rsplit("/", 1)[0] + "/in?"):
        assert word not in log


def test_an_alert_reads_as_one(told, receiver, mail_server):
    """What Alertmanager sends (its documentation's version 4), to people: by a hook of that sender whose action is notify."""
    told.create("watched", "https://git.example.org/watched.git", kind="static")
    web, chat = receiver(), receiver()
    channel(told, "watched", "web", "webhook", target=web.url, events="alert.*")
    channel(told, "watched", "chat", "slack", secret=chat.url, events="alert.firing")
    channel(told, "watched", "team", "mail", target="anna@example.org", events="alert.*")
    channel(told, "watched", "other", "webhook", target=receiver().url, events="hook.received")
    shown = told.cli("hooks", "create", "watched", "pager", "--sender", "alertmanager", "--action", "notify").stdout
    assert "webhook_configs" in shown and "credentials" in shown, shown
    secret = json.loads(told.cli("hooks", "rotate", "watched", "pager", "--json").stdout)["secret"]
    one = {
        "status": "firing",
        "labels": {"alertname": "HighErrorRate", "severity": "critical", "instance": "a"},
        "annotations": {"summary": "High error rate\r\nBcc: eve@example.org", "description": "7 % of <b>requests</b> fail"},
        "startsAt": "2026-11-28T05:00:00Z",
        "endsAt": "0001-01-01T00:00:00Z",
    }
    body = {
        "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "slipway", "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {"alertname": "HighErrorRate", "severity": "critical"}, "commonAnnotations": one["annotations"], "externalURL": "http://alerts", "alerts": [one, one, one],
    }  # fmt: skip

    def send(body, token=secret):
        return told.call("POST", "/hooks/pager", body, token="", headers={"Authorization": "Bearer " + token}).status

    assert send(body, "x" * 20) == 401 and send(body) == 202 and send({**body, "status": "resolved", "alerts": [one]}) == 202
    assert send({"version": "4", "status": "resolved", "alerts": [None], "commonLabels": 7, "commonAnnotations": []}) == 202 and send({"status": "else"}) == 400
    for name, count in (("web", 3), ("chat", 1), ("team", 3)):
        assert all(d["state"] == "delivered" for d in ended(told, "watched", name, count)), (name, deliveries(told, "watched", name))
    said = {json.loads(b)["data"]["title"]: (json.loads(b)["type"], json.loads(b)["data"]["text"]) for _, _, _, _, b, _ in web.seen}
    assert set(said) == {"watched: HighErrorRate (critical) fires", "watched: HighErrorRate (critical) is over", "watched: an alert is over"}, said
    kind, text = said["watched: HighErrorRate (critical) fires"]
    assert kind == "alert.firing" and text.endswith(" and 2 more\n7 % of <b>requests</b> fail\nsince 2026-11-28T05:00:00Z"), text
    kind, text = said["watched: HighErrorRate (critical) is over"]
    assert kind == "alert.resolved" and " more" not in text, text
    assert "HighErrorRate (critical) fires" in json.loads(chat.seen[0][4])["text"] and "<b>" not in json.loads(chat.seen[0][4])["text"]
    mails = [m for m in mail_server.mails if "Subject: watched: " in m[2]]
    assert len(mails) == 3 and any("Subject: watched: HighErrorRate (critical) fires" in m[2] for m in mails) and not any("eve@" in m[2].split("\r\n\r\n")[0] for m in mails)
    assert deliveries(told, "watched", "other") == []


def test_what_a_mail_server_refuses(told, mail_server, git):
    told.create("refused", git.repository("refused", {"index.html": "1"}).url)
    channel(told, "refused", "team", "mail", target="anna@example.org")
    mail_server.refuse = "554 no thanks"
    told.api("POST", "/projects/refused/channels/team/test", {})
    d = ended(told, "refused", "team", 1)[0]
    assert (d["state"], d["tries"], d["status"]) == ("failed", 1, 554)
    mail_server.refuse = "451 later"
    told.api("POST", "/projects/refused/channels/team/test", {})
    wait_until(lambda: deliveries(told, "refused", "team")[0]["tries"] >= 2, 20)
    mail_server.refuse = None
    assert ended(told, "refused", "team", 2)[0]["state"] == "delivered"
    # A wrong password is the server's no; the words say so.
    told.api("PUT", "/mail-server", {"host": "localhost", "port": mail_server.port, "from": "slipway@example.org", "user": "slipway", "password": "wrong"})
    told.api("POST", "/projects/refused/channels/team/test", {})
    assert "535" in ended(told, "refused", "team", 3)[0]["error"]


def test_one_address_that_is_refused(told, mail_server, git):
    """The others have their mail, once; the one has failed, by name."""
    told.create("several", git.repository("several", {"index.html": "1"}).url)
    told.api("PUT", "/mail-server", {"host": "localhost", "port": mail_server.port, "from": "slipway@example.org", "user": "slipway", "password": "s3cret"})
    channel(told, "several", "team", "mail", target="anna@example.org gone@example.org ben@example.org")
    mail_server.unknown, before = {"gone@example.org"}, len(mail_server.mails)
    told.api("POST", "/projects/several/channels/team/test", {})
    done = {d["recipient"]: d for d in ended(told, "several", "team", 3)}
    assert {to: d["state"] for to, d in done.items()} == {"anna@example.org": "delivered", "gone@example.org": "failed", "ben@example.org": "delivered"}
    assert done["gone@example.org"]["status"] == 550 and done["gone@example.org"]["tries"] == 1
    came = mail_server.mails[before:]
    assert sorted(to for _, recipients, _, _ in came for to in recipients) == ["anna@example.org", "ben@example.org"]
    assert all("gone@" not in text for _, _, text, _ in came)
    assert "gone@example.org" in told.cli("notify", "deliveries", "several", "team").stdout


def test_a_mail_server_without_starttls_hears_nothing(told, mail_server, git):
    """Neither password nor mail: whoever stands between could have taken the offer out."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Plain:
        mails, passwords = [], []

        async def handle_DATA(self, server, session, envelope):
            self.mails.append(envelope.content)
            return "250 taken"

    def authenticator(server, session, envelope, mechanism, data):
        Plain.passwords.append(data)
        return AuthResult(success=True)

    controller = Controller(Plain(), hostname="localhost", port=free_port(), authenticator=authenticator, auth_require_tls=False)
    controller.start()
    try:
        told.create("plain", git.repository("plain", {"index.html": "1"}).url)
        channel(told, "plain", "team", "mail", target="anna@example.org")
        told.api("PUT", "/mail-server", {"host": "localhost", "port": controller.port, "from": "slipway@example.org", "user": "slipway", "password": "s3cret"})
        told.api("POST", "/projects/plain/channels/team/test", {})
        tried = wait_until(lambda: (d := deliveries(told, "plain", "team")) and d[0]["tries"] and d[0], 30)
        assert tried["state"] != "delivered" and "TLS" in tried["error"], tried
        assert not Plain.mails and not Plain.passwords
    finally:
        controller.stop()


def test_tries_follow_the_schedule(told, receiver, git):
    told.create("tries", git.repository("tries", {"index.html": "1"}).url)
    left = [4]

    def answer(request, body):
        left[0] -= 1
        return 200 if left[0] < 0 else 503

    r = receiver(answer)
    channel(told, "tries", "web", "webhook", target=r.url)
    told.api("POST", "/projects/tries/channels/web/test", {})
    d = ended(told, "tries", "web", 1)[0]
    assert (d["state"], d["tries"]) == ("delivered", 5)
    at = [s[0] for s in r.seen]
    for i, wait in enumerate((0.2, 0.3, 0.4, 0.5)):
        assert wait * 0.9 - 0.01 <= at[i + 1] - at[i] <= wait * 1.1 + 1.5, (i, at)
    assert len({s[3]["webhook-id"] for s in r.seen}) == 1  # the same news, the same id
    shown = told.cli("notify", "delivery", "tries", "web", d["id"]).stdout
    assert shown.count("the receiver answered 503") == 4 and "state        delivered" in shown
    # Once more, under the same id.
    told.cli("notify", "replay", "tries", "web", d["id"])
    wait_until(lambda: len(r.seen) == 6, 20)
    assert r.seen[5][3]["webhook-id"] == r.seen[0][3]["webhook-id"]


def test_receivers_that_answer_otherwise(told, receiver, git):
    told.create("odd", git.repository("odd", {"index.html": "1"}).url)
    inner = receiver()
    away = receiver(lambda r, b: (302, {"Location": inner.url}))
    gone, other = receiver(lambda r, b: 410), receiver()
    first = [True]

    def later(request, body):
        if first.pop() if first else False:
            return 429, {"Retry-After": "2"}
        return 200

    slow = receiver(later)
    channel(told, "odd", "away", "webhook", target=away.url, events="deploy.started")
    channel(told, "odd", "gone", "webhook", target=gone.url, events="*")
    channel(told, "odd", "other", "webhook", target=other.url, events="channel.disabled")
    channel(told, "odd", "slow", "webhook", target=slow.url, events="test")
    for name in ("away", "gone", "slow"):
        told.api("POST", f"/projects/odd/channels/{name}/test", {})
    assert ended(told, "odd", "slow", 1)[0]["state"] == "delivered"
    assert slow.seen[1][0] - slow.seen[0][0] >= 2  # asked to wait longer than the schedule
    assert told.api("GET", "/projects/odd/channels/gone")["disabled"] == "the receiver answered 410: it is gone"
    assert json.loads(wait_until(lambda: other.seen, 20)[0][4])["type"] == "channel.disabled"
    told.api("POST", "/projects/odd/channels/gone/test", {}, expect=409)
    told.cli("notify", "resume", "odd", "gone")
    assert told.api("GET", "/projects/odd/channels/gone")["disabled"] is None
    d = ended(told, "odd", "away", 1)[0]
    assert (d["state"], d["tries"]) == ("failed", 16) and "redirections are not followed" in d["error"]
    assert not inner.seen


def test_inside_is_not_asked(git, receiver):
    """Without --outbound-allow an address of this machine gets no packet."""
    r = receiver()
    p = Platform()
    try:
        p.start()
        p.create("inside", git.repository("inside", {"index.html": "1"}).url)
        for i, url in enumerate((r.url, r.url.replace("127.0.0.1", "2130706433"), r.url.replace("127.0.0.1", "localhost"), r.url.replace("127.0.0.1", "[::ffff:127.0.0.1]"))):
            channel(p, "inside", f"c{i}", "webhook", target=url)
            p.api("POST", f"/projects/inside/channels/c{i}/test", {})
            d = ended(p, "inside", f"c{i}", 1)[0]
            assert (d["state"], d["tries"]) == ("failed", 1) and "this machine" in d["error"], d
        assert not r.seen
    finally:
        p.close()


def test_half_fail_and_one_is_dead(told, receiver, git):
    """R14. Each message arrives, under one id; a receiver that never answers delays nobody."""
    count = 5000 if LONG else 300
    told.create("r14", git.repository("r14", {"index.html": "1"}).url)
    chance = random.Random(14)
    taken = collections.Counter()
    lock = threading.Lock()

    def answer(request, body):
        with lock:
            if chance.random() < 0.5:
                return 500
            taken[request.headers["webhook-id"]] += 1
        return 200

    half, quick = receiver(answer), receiver()
    dead = receiver(lambda r, b: time.sleep(20) or 200)
    for name, r in (("half", half), ("dead", dead), ("quick", quick)):
        channel(told, "r14", name, "webhook", target=r.url, events="test")
    for _ in range(12):
        told.api("POST", "/projects/r14/channels/dead/test", {})
    begun = time.monotonic()
    for _ in range(count):
        told.api("POST", "/projects/r14/channels/half/test", {})
    told.api("POST", "/projects/r14/channels/quick/test", {})
    wait_until(lambda: quick.seen, 10)
    told.kill()  # what was under way is sent again
    told.start()
    done = ended(told, "r14", "half", count, 600 if LONG else 60)
    states = collections.Counter(d["state"] for d in done)
    tries = sum(d["tries"] for d in done)
    print(f"R14: {count} messages, {tries} tries, {dict(states)}, {len(taken)} ids taken, {sum(taken.values()) - len(taken)} repeats, {time.monotonic() - begun:.0f} s")
    assert states == {"delivered": count}
    assert len(taken) == count
    assert tries > count * 1.5  # the receiver did fail


def test_states_of_a_commit_come_in_turn(told, receiver, git):
    """A receiver that takes its time for `pending` hears `success` behind it, not beside it."""
    under_way, most = collections.Counter(), collections.Counter()
    lock = threading.Lock()

    def answer(request, body):
        context = json.loads(body)["context"]
        with lock:
            under_way[context] += 1
            most[context] = max(most[context], under_way[context])
        time.sleep(1.5)
        with lock:
            under_way[context] -= 1
        return 201

    r = receiver(answer)
    repository = git.repository("turns", {"index.html": "1"})
    told.create("turns", repository.url)
    channel(told, "turns", "quick", "webhook", target=receiver().url, events="test")
    channel(told, "turns", "state", "github", target=r.url.replace("/in", "/repos/o/turns"), secret="t0ken")
    for _ in range(2):  # it has earned more than one place by the second
        told.deploy("turns")
        done = ended(told, "turns", "state", 2)
        repository.commit({"index.html": str(time.time())})
    states = [json.loads(s[4])["state"] for s in r.seen]
    assert max(most.values()) == 1 and states[-1] == "success", (most, states)
    assert {d["state"] for d in done} <= {"delivered", "superseded"}


def test_many_that_hang(told, receiver, git):
    """Each has one place; who answers is not held up by forty of them."""
    quick, dead = receiver(), receiver(lambda r, b: time.sleep(30) or 200)
    for project in ("hang", "hang2"):  # a project has 32 channels at most
        told.create(project, git.repository(project, {"index.html": "1"}).url)
    channel(told, "hang", "quick", "webhook", target=quick.url, events="test")
    told.api("POST", "/projects/hang/channels/quick/test", {})
    wait_until(lambda: quick.seen, 10)
    for n in range(40):
        channel(told, ("hang", "hang2")[n % 2], f"dead{n}", "webhook", target=dead.url, events="test")
        for _ in range(4):
            told.api("POST", f"/projects/{('hang', 'hang2')[n % 2]}/channels/dead{n}/test", {})
    begun = time.monotonic()
    for n in range(20):
        told.api("POST", "/projects/hang/channels/quick/test", {})
    wait_until(lambda: len(quick.seen) == 21, 10)
    assert time.monotonic() - begun < 8
    for n in range(40):
        told.api("DELETE", f"/projects/{('hang', 'hang2')[n % 2]}/channels/dead{n}")


def test_names_limits_and_rights(told, git):
    told.create("limits", git.repository("limits", {"index.html": "1"}).url)
    def bad(pointer, **body):
        answer = told.api("POST", "/projects/limits/channels", {"name": "x", "type": "mail", "target": "a@b.example", **body}, expect=400)
        assert answer["errors"][0]["pointer"] == pointer, answer
    bad("/name", name="../x")
    bad("/type", type="pigeon")
    bad("/target", target="nobody")
    bad("/events", events="deploy.fail")
    bad("/secret", type="webhook", target="https://x.example", secret="short")
    bad("/target", type="webhook", target="https://u:p@x.example")
    for i in range(32):
        channel(told, "limits", f"c{i}", "mail", target="a@b.example")
    told.api("POST", "/projects/limits/channels", {"name": "more", "type": "mail", "target": "a@b.example"}, expect=409)
    assert re.search(r"c31 +mail +a@b.example +\* +on", told.cli("notify", "list", "limits").stdout)
    told.cli("notify", "pause", "limits", "c1")
    assert re.search(r"c1 +mail +a@b.example +\* +paused", told.cli("notify", "list", "limits").stdout)
    told.cli("notify", "delete", "limits", "c1", expect=64)
    told.cli("notify", "delete", "limits", "c1", "--yes")
    told.api("GET", "/projects/limits/channels/c1", expect=404)
    assert "deploy.failed" in told.cli("notify", "events").stdout
