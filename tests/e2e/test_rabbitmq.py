"""Brokers for projects on a real RabbitMQ, as a person uses them: a program that finds its own by AMQP_URL, publishes and consumes over deploys,
crashes, a destroy and its restore; by the command line; killed at each request; and what nobody sees of it."""
import http.client
import http.server
import json
import os
import pwd
import threading

import apps
import pytest
from harness import ROOT, Platform, wait_until
from rabbitmq import SERVER, Rabbitmq
from test_cli_terminal import Terminal

amqp = pytest.importorskip("amqp", reason="RabbitMQ is not there")
if not os.path.exists(SERVER):
    pytest.skip("RabbitMQ is not there", allow_module_level=True)

APP = apps.AMQP + """
VERSION = open("VERSION").read()
def answer(path):
    if path == "/version":
        return VERSION
    c, ch = channel()
    said = VERSION
    if path == "/take":
        m = ch.basic_get("jobs", no_ack=True)
        said = m.body if m else "none"
    else:
        ch.basic_publish(amqp.Message(path[5:], delivery_mode=2), routing_key="jobs")
    c.close()
    return said
""" + apps.ANSWERING
NOTHING = "import os; assert not [k for k in os.environ if k.startswith((\"AMQP\", \"CELERY\", \"QUEUE\"))]"


def program(version):
    manifest = "kind: command\nprocesses:\n  web: {run: [python3, app.py], listen: socket}\nhealth: {path: /version, interval: 100ms}\n" f"build: [[python3, -c, '{NOTHING}']]\nservices: {{queue: rabbitmq}}\n"
    return apps.with_version({"app.py": APP, "slipway.yaml": manifest}, version)


def page(more=""):
    """A project that is made in a moment and has a broker all the same."""
    return {"index.html": "page", "slipway.yaml": "kind: static\nservices: {queue: rabbitmq}\n" + more}


class Between:
    """Between the platform and the broker's API. At the n-th request, once the broker has done it, the platform is ended before it hears so."""

    def __init__(self, port):
        between, self.platform, self.left = self, None, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request(self.command, self.path, body, {k: v for k, v in self.headers.items() if k in ("Authorization", "Content-Type")})
                answer = connection.getresponse()
                text = answer.read()
                connection.close()
                between.left -= 1
                if between.left == 0:
                    between.platform.kill()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                if answer.status != 204:
                    self.wfile.write(text)

            do_GET = do_PUT = do_DELETE = pass_on

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def broker():
    b = Rabbitmq()
    try:
        yield b
    finally:
        b.close()


@pytest.fixture(scope="module")
def between(broker):
    b = Between(broker.http_port)
    yield b
    b.server.shutdown()
    b.server.server_close()


@pytest.fixture(scope="module")
def platform(broker, between):
    p = between.platform = Platform(extra=["--rabbitmq", f"http://maker@127.0.0.1:{between.port}"])
    try:
        p.start()
        path = p.state / "keys" / "rabbitmq.password"
        path.touch(0o600)
        path.write_text("made\n")
        if ROOT:
            user = pwd.getpwnam("slipway")
            os.chown(path, user.pw_uid, user.pw_gid)
        yield p
    finally:
        p.close()


def credentials(platform, project, service="queue"):
    return platform.api("POST", f"/projects/{project}/services/{service}/credentials", {})


def enters(mine, vhost=None):
    """As a program with those credentials: its connection."""
    c = amqp.Connection(f"{mine['host']}:{mine['port']}", userid=mine["user"], password=mine["password"], virtual_host=vhost or mine["vhost"], connect_timeout=10)
    c.connect()
    return c


def left_of(broker, project):
    """What the broker has of it."""
    return [(kind, x["name"]) for kind in ("vhosts", "users") for x in broker.ask("GET", kind) if x["name"].startswith(f"sw-{project}_")]


def both(project, service="queue"):
    return [("vhosts", f"sw-{project}_{service}"), ("users", f"sw-{project}_{service}")]


def said(platform, name, path):
    answer = platform.get(name + ".localhost", path)
    assert answer.status == 200, answer
    return answer.body.decode()


def step(task, name):
    return next(s for s in task["steps"] if s["name"] == name)


def test_a_program_over_its_life(platform, broker, git):
    repo = git.repository("shop", program("v1"))
    platform.create("shop", repo.url)
    task = platform.deploy("shop")  # the build would fail if it saw any of it
    assert "rabbitmq 'queue' made" in step(task, "provision")["detail"], task["steps"]
    said(platform, "shop", "/put/one")
    repo.commit({"VERSION": "v2"})
    task = platform.deploy("shop")
    assert "made" not in step(task, "provision")["detail"] and said(platform, "shop", "/version") == "v2"
    assert said(platform, "shop", "/take") == "one" and said(platform, "shop", "/take") == "none"
    platform.kill()
    platform.start()
    platform.cli("restart", "shop")
    said(platform, "shop", "/put/two")
    # An archive has nothing of it, and says so; a restore in place leaves what waits.
    assert "without what waits in 'queue'" in platform.cli("services", "backup", "shop").stdout
    platform.cli("restore", "shop", "--yes")
    assert said(platform, "shop", "/take") == "two"
    said(platform, "shop", "/put/three")
    # Destroyed, nothing of it is left there, who was connected is out, and the receipt says so; the archive brings it back, empty.
    inside = enters(credentials(platform, "shop"))
    shown = platform.cli("destroy", "shop", "--yes").stdout
    assert "rabbitmq 'sw-shop_queue'" in shown and "removed" in shown, shown
    assert left_of(broker, "shop") == []
    with pytest.raises((amqp.exceptions.AMQPError, OSError)):
        inside.channel().queue_declare("jobs", passive=True)
    platform.cli("restore", "shop", "--yes")
    assert left_of(broker, "shop") == both("shop") and said(platform, "shop", "/take") == "none"
    platform.cli("destroy", "shop", "--yes", "--purge")
    assert left_of(broker, "shop") == []


def test_by_the_command_line(platform, broker):
    platform.create("plain", source={"type": "archive"})
    added = json.loads(platform.cli("services", "add", "plain", "rabbitmq", "--json").stdout)
    assert added["made"] and added["called"] == "sw-plain_queue" and sorted(added["variables"]) == ["AMQP_URL", "CELERY_BROKER_URL", "QUEUE_URL"], added
    assert json.loads(platform.cli("services", "add", "plain", "rabbitmq", "--json").stdout)["name"] == "queue"  # again: the same
    platform.cli("services", "add", "plain", "rabbitmq", "--name", "events")
    listed = json.loads(platform.cli("services", "list", "plain", "--json").stdout)["items"]
    assert [(s["name"], s["type"], s["variables"]) for s in listed][1] == ("events", "rabbitmq", ["EVENTS_URL"])
    mine = json.loads(platform.cli("services", "credentials", "plain", "queue", "--json").stdout)
    assert mine["vhost"] == "sw-plain_queue" and "database" not in mine
    assert platform.cli("services", "credentials", "plain", "queue").stdout.strip() == mine["url"] == f"amqp://{mine['user']}:{mine['password']}@127.0.0.1:{broker.port}/sw-plain_queue"
    enters(mine).close()
    with pytest.raises(amqp.exceptions.AccessRefused):
        enters({**mine, "password": "wrong"})
    # Another's vhost is closed to it, the same project's other one and everybody's, too.
    platform.create("rival", source={"type": "archive"})
    platform.cli("services", "add", "rival", "rabbitmq")
    for who, where in ((credentials(platform, "rival"), "sw-plain_queue"), (mine, "sw-plain_events"), (mine, "/")):
        with pytest.raises(amqp.exceptions.NotAllowed):
            enters(who, where)
    # Refusals.
    assert "service name" in platform.cli("services", "add", "plain", "rabbitmq", "--name", 'a";b', expect=65).stderr
    assert "is a rabbitmq already" in platform.cli("services", "add", "plain", "postgres", "--name", "queue", expect=65).stderr
    platform.cli("services", "remove", "plain", "events", expect=64)  # nobody to ask
    t = Terminal(platform, "services", "remove", "plain", "events")
    t.expect("This deletes the broker of plain with all that waits in its queues; no archive has a")
    t.type("wrong\n")
    assert t.end() == 1
    assert "events is gone" in platform.cli("services", "remove", "plain", "events", "--yes").stdout
    assert left_of(broker, "plain") == both("plain")
    for name in ("plain", "rival"):
        platform.cli("destroy", name, "--yes", "--purge")
    assert left_of(broker, "plain") == left_of(broker, "rival") == []


def test_by_the_classic_flags(platform, broker):
    """secureops -e and -b; its other flags are tested in a machine (tests/machine/classic_checks.py)."""
    platform.create("classic", source={"type": "archive"})
    platform.cli("-b", "opusclassic", program="secureops", expect=2)
    made = platform.cli("-e", "opusclassic", program="secureops")
    mine = credentials(platform, "classic")
    assert made.stdout == mine["password"] + "\n" and mine["password"] not in made.stderr
    enters(mine).close()
    assert platform.cli("-e", "opusclassic", program="secureops").stdout == made.stdout  # again: the same
    for flag, user in (("-e", "opusnobody"), ("-b", "opusnobody"), ("-e", "classic"), ("-b", "classic")):
        assert platform.cli(flag, user, program="secureops", expect=1).stdout == ""
    assert left_of(broker, "classic") == both("classic")
    platform.cli("-b", "opusclassic", program="secureops")
    assert left_of(broker, "classic") == []
    platform.cli("-b", "opusclassic", program="secureops", expect=2)
    platform.cli("destroy", "classic", "--yes", "--purge")


def test_nobody_sees_the_password(platform, broker, git):
    platform.create("quiet", git.repository("quiet", page()).url)
    platform.deploy("quiet")
    secret = credentials(platform, "quiet")["password"]
    assert len(secret) == 43
    platform.shows_nowhere("quiet", secret, "made\n")
    log = (broker.dir / "rabbit.log").read_text()
    assert "sw-quiet_queue" in log and secret not in log
    audit = platform.api("GET", "/audit?project=quiet")["items"]
    assert any(a["action"] == "service.credentials" and a["target"] == "queue" for a in audit), audit
    platform.cli("destroy", "quiet", "--yes", "--purge")


def test_what_is_somebody_elses_is_left_alone(platform, broker, git):
    broker.ask("PUT", "vhosts/sw-theirs_queue", {"description": "theirs"})
    broker.ask("PUT", "queues/sw-theirs_queue/kept", {"durable": True})
    platform.create("theirs", git.repository("theirs", page()).url)
    task = platform.deploy("theirs", expect="failed")
    assert task["error"]["step"] == "provision" and "a vhost 'sw-theirs_queue' that is not this project's" in task["error"]["message"], task["error"]
    shown = platform.cli("destroy", "theirs", "--yes", "--purge").stdout
    assert "stayed" in shown and "sw-theirs_queue" in shown, shown
    assert broker.ask("GET", "queues/sw-theirs_queue/kept") and left_of(broker, "theirs") == [("vhosts", "sw-theirs_queue")]
    broker.ask("DELETE", "vhosts/sw-theirs_queue")


def ended(platform, between, done):
    """The platform was ended at the request that was chosen, and is back; or `done` came true before."""

    def looks():
        try:
            return between.left > 0 and done()
        except OSError:
            return False

    wait_until(lambda: between.left <= 0 or looks())
    if between.left > 0:
        between.left = 0
        return False
    platform.process.wait()
    platform.start()
    return True


def test_killed_at_each_request_of_making(platform, broker, between, git):
    """Whatever the broker was asked last, the next daemon goes on from there."""
    platform.create("killed", git.repository("killed", page()).url)
    requests, killed = 0, True
    while killed:
        for kind, name in left_of(broker, "killed"):
            broker.ask("DELETE", f"{kind}/{name}")
        requests += 1
        between.left = requests
        task = platform.api("POST", "/projects/killed/deploys", {"force": True})["task"]
        killed = ended(platform, between, lambda: platform.api("GET", f"/tasks/{task}")["state"] == "done")
        assert platform.wait_task(task)["state"] == "done" and left_of(broker, "killed") == both("killed")
        enters(credentials(platform, "killed")).close()
    assert requests == 10, requests
    platform.cli("destroy", "killed", "--yes", "--purge")


def test_killed_at_each_request_of_dropping(platform, broker, between, git):
    repo = git.repository("dropped", page())
    requests, killed = 0, True
    while killed:
        platform.create("dropped", repo.url)
        platform.deploy("dropped")
        requests += 1
        between.left = requests
        platform.api("DELETE", "/projects/dropped?purge=true")

        def gone():
            return platform.call("GET", "/api/v1/projects/dropped").status == 404

        killed = ended(platform, between, gone)
        wait_until(gone)
        assert left_of(broker, "dropped") == []
    assert requests == 5, requests


def test_a_broker_that_is_away(platform, broker, git):
    repo = git.repository("away", program("v1"))
    platform.create("away", repo.url)
    platform.deploy("away")
    platform.cli("backup", "away")
    repo.commit({"VERSION": "v2"})
    broker.kill()
    try:
        task = platform.deploy("away", expect="failed")
        assert task["error"]["step"] == "provision" and "RabbitMQ" in task["error"]["message"], task["error"]
        assert said(platform, "away", "/version") == "v1"
        platform.cli("restore", "away", "--yes")  # which needs nothing of it
        assert said(platform, "away", "/version") == "v1"
        # One that was asked for meanwhile is no trap: it can be forgotten, on request.
        assert "not there yet" in platform.cli("services", "add", "away", "rabbitmq", "--name", "other", expect=75).stderr
        assert "services remove away other --purge" in platform.cli("services", "remove", "away", "other", "--yes", expect=75).stderr
        platform.cli("services", "remove", "away", "other", "--yes", "--purge")
        assert [s["name"] for s in platform.api("GET", "/projects/away/services")["items"]] == ["queue"]
    finally:
        broker.start()
    platform.deploy("away")
    assert said(platform, "away", "/version") == "v2"
    platform.cli("destroy", "away", "--yes", "--purge")
    assert left_of(broker, "away") == []
