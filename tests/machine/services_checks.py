"""PostgreSQL and RabbitMQ as Debian has them, units of the machine, allowed by the README's own lines; a program that uses both from within
its sandbox. Part of provided_test.py, which has the machine."""
import json
import re

import unit_checks
from server import TOP

import apps  # noqa: E402 I001 (found by server's path)

APP = apps.AMQP + """
import psycopg2
def queue(word):
    c, ch = channel()
    if word:
        ch.basic_publish(amqp.Message(word, delivery_mode=2), routing_key="jobs")
        said = "put"
    else:
        message = ch.basic_get("jobs", no_ack=True)
        said = message.body if message else "none"
    c.close()
    return said
def database(word):
    with psycopg2.connect(os.environ["DATABASE_URL"]) as db, db.cursor() as q:
        q.execute("CREATE TABLE IF NOT EXISTS word(w text)")
        if word:
            q.execute("INSERT INTO word VALUES (%s)", (word,))
        q.execute("SELECT coalesce(string_agg(w, ' ' ORDER BY w), '') FROM word")
        return q.fetchone()[0]
def answer(path):
    what, _, word = path[1:].partition("/")
    return database(word) if what == "db" else queue(word) if what == "queue" else "up"
""" + apps.ANSWERING
MANIFEST = "kind: command\nprocesses:\n  web: {run: [python3, app.py], listen: socket}\nhealth: {path: /up, interval: 100ms}\n"
CONF = "/etc/slipway/server.conf"
RABBITMQ = "http://slipway@127.0.0.1:15672"


def readme(word):
    """The lines of the README's block that has this word, as an administrator would paste them."""
    blocks = re.findall(r"^```\w*\n(.*?)^```$", (TOP / "README.md").read_text(), re.M | re.S)
    block = next(b for b in blocks if word in b)
    assert "sudo apt install" in block
    # setup asks; who pastes says yes
    return "\n".join(line.replace("slipway setup", "slipway setup --yes") for line in block.splitlines() if "apt install" not in line)


def psql(server, sql, database="postgres"):
    return server.run("sudo", "-u", "postgres", "psql", "-XAtq", database, "-c", sql, stdin="").split()


def ask_rabbitmq(server, path):
    """With the password that the README has an administrator make."""
    return json.loads(server.run(f"curl -sf -K - http://127.0.0.1:15672/api/{path}", stdin=f'user = "slipway:{server.broker_password}"'))


def of_projects(server):
    """What the two servers have of projects."""
    roles = psql(server, "SELECT rolname FROM pg_roles WHERE rolname LIKE 'sw-%' ORDER BY 1")
    databases = psql(server, "SELECT datname FROM pg_database WHERE datname LIKE 'sw-%' ORDER BY 1")
    return roles, databases, *([o["name"] for o in ask_rabbitmq(server, what) if o["name"].startswith("sw-")] for what in ("vhosts", "users"))


def has_all(name):
    return [f"sw-{name}_db"], [f"sw-{name}_db"], [f"sw-{name}_queue"], [f"sw-{name}_queue"]


def get(server, name, path):
    status, body = server.get(name + ".localhost", path)
    assert status == 200, (path, status, body, server.slipway("logs", name), server.journal())
    return body


def is_refused_before_it_is_allowed(server):
    """PostgreSQL knows nobody of that name yet, and there is no broker: each says what to do."""
    server.run("mkdir -p /srv/words && cat >/srv/words/app.py", stdin=APP)
    server.run("cat >/srv/words/slipway.yaml", stdin=MANIFEST)
    server.slipway("create", "words", "--path", "/srv/words")
    for kind, words in (("postgres", ("slipway", "createuser --createdb --createrole slipway")), ("rabbitmq", ("no RabbitMQ", "slipway setup --rabbitmq"))):
        done = server.run("slipway", "services", "add", "words", kind, expect=None)
        assert done.returncode != 0 and all(w in done.stderr for w in words), done
    server.slipway("services", "remove", "words", "db", "--yes", "--purge")


def allowed_by_the_readme(server):
    for word in ("createuser", "rabbitmq-plugins"):
        server.run("sh", "-ec", readme(word), stdin="")
    assert f"SLIPWAY_RABBITMQ={RABBITMQ}\n" in server.run("cat", CONF)
    assert "nothing was done" in server.slipway("setup")
    assert "11 of 11 checks pass" in server.slipway("validate")
    secret = "/var/lib/slipway/keys/rabbitmq.password"
    assert server.run("stat", "-c", "%U %a", secret).strip() == "slipway 600"
    server.broker_password = server.run("cat", secret).strip()


def a_program_uses_both(server):
    server.slipway("services", "add", "words", "postgres")
    server.slipway("services", "add", "words", "rabbitmq")
    server.slipway("deploy", "words")
    assert get(server, "words", "/db/one") == "one" and get(server, "words", "/db/two") == "one two"
    assert get(server, "words", "/queue/first") == "put"
    server.slipway("deploy", "words", "--force")
    assert get(server, "words", "/queue") == "first" and get(server, "words", "/queue") == "none"
    assert get(server, "words", "/db") == "one two"
    assert of_projects(server) == has_all("words")


def nobody_reads_the_passwords(server):
    """Not in units, on command lines, in the journal, in files that others may read; and nobody else's process comes in without one."""
    secrets = [json.loads(server.slipway("services", "credentials", "words", s, "--json"))["password"] for s in ("db", "queue")]
    unit = unit_checks.unit_of(server, "words")
    seen = server.run("systemctl", "show", unit) + server.run("ps -eww -o args") + server.run("journalctl -q -o cat") + server.run("cat", CONF)
    assert not [s for s in secrets if s in seen]
    for secret in secrets:
        found = server.run("grep", "-rlsF", secret, "/var/lib/slipway", "/run", "/etc", "/var/log", expect=None).stdout
        assert found == "", found
    done = server.run("runuser -u sw-words -- psql -w -h 127.0.0.1 -U sw-words_db sw-words_db -c 'SELECT 1'", expect=None)
    assert done.returncode != 0 and "no password supplied" in done.stderr, done


def a_database_is_archived(server):
    """pg_dump and pg_restore from within a job's sandbox, by way of Debian's wrappers."""
    assert "1 database dumped by PostgreSQL" in server.slipway("backup", "words")
    assert get(server, "words", "/db/three") == "one three two"
    server.slipway("restore", "words", "--yes")
    assert get(server, "words", "/db") == "one two"
    assert of_projects(server) == has_all("words")


def setup_keeps_and_changes(server):
    """What setup is not told stays, also what was written by hand; a wrong address changes nothing; `none` takes one away."""
    before = server.run("cat", CONF)
    for option, value, words in (
        ("--postgres", "mysql://x", "postgresql://"), ("--postgres", "postgresql://u:p@127.0.0.1/d", "password"), ("--postgres", "postgresql:///d?password=x", "password"),
        ("--postgres", "", "empty"), ("--postgres", "postgresql:///a b", "postgresql://"), ("--rabbitmq", "http://a:b@127.0.0.1", "RabbitMQ"),
        ("--rabbitmq", "http://a@elsewhere.example", "RabbitMQ"), ("--rabbitmq", "http://127.0.0.1", "RabbitMQ"), ("--rabbitmq", "http://a@127.0.0.1:0", "RabbitMQ"),
        ("--rabbitmq", "amqp://a@127.0.0.1", "RabbitMQ"), ("--rabbitmq", "http://a@127.0.0.1\nX=1", "RabbitMQ"), ("--rabbitmq-ca", "ca.pem", "absolute"),
    ):
        refused = server.run("slipway", "setup", "--yes", option, value, expect=None)
        assert refused.returncode == 64 and words in refused.stderr, (option, value, refused)
    assert server.run("cat", CONF) == before
    # somebody's lines at the end, as an earlier README had one: for systemd the last one counts
    server.slipway("setup", "--yes", "--rabbitmq", "none")
    done = server.run("slipway", "services", "add", "words", "rabbitmq", "--name", "other", expect=None)
    assert done.returncode != 0 and "no RabbitMQ" in done.stderr, done
    server.run(f"echo SLIPWAY_RABBITMQ=http://nobody@127.0.0.1:1 >>{CONF}; echo SLIPWAY_RABBITMQ={RABBITMQ} >>{CONF}")
    server.slipway("setup", "--yes", "--postgres", "postgresql:///postgres?host=/run/postgresql")
    now = server.run("cat", CONF)
    assert now == before.replace("SLIPWAY_POSTGRES=\n", "SLIPWAY_POSTGRES=postgresql:///postgres?host=/run/postgresql\n"), now
    assert "host=/run/postgresql" in server.run("tr '\\0' ' ' </proc/$(systemctl show -P MainPID slipwayd)/cmdline")
    assert "nothing was done" in server.slipway("setup")
    server.slipway("deploy", "words", "--force")
    assert get(server, "words", "/db") == "one two" and get(server, "words", "/queue/x") == "put"
    server.slipway("setup", "--yes", "--postgres", "none")
    assert server.run("cat", CONF) == before


def destroyed_nothing_is_left(server):
    shown = server.slipway("destroy", "words", "--yes", "--purge")
    assert re.findall(r"^ +stayed +(.*)", shown, re.M) == ["tasks and audit records: they are the history of who did what"], shown
    for word in ("removed    postgres 'sw-words_db'", "removed    rabbitmq 'sw-words_queue'", "removed    logs"):
        assert word in shown, shown
    assert of_projects(server) == ([], [], [], [])
    assert server.run("ls /var/lib/slipway/logs /var/lib/slipway/projects /run/slipway | grep words", expect=None).stdout == ""


ALL = (is_refused_before_it_is_allowed, allowed_by_the_readme, a_program_uses_both, nobody_reads_the_passwords, a_database_is_archived, setup_keeps_and_changes,
       destroyed_nothing_is_left)


def left_for_undo(server):
    """Two projects with both; somebody has taken one's role over."""
    for name in ("gone", "kept"):
        server.slipway("create", name, "--kind", "static")
        server.slipway("services", "add", name, "postgres")
        server.slipway("services", "add", name, "rabbitmq")
    psql(server, "COMMENT ON ROLE \"sw-kept_db\" IS 'theirs'")


def undone_nothing_is_left(server, receipt):
    """The receipt says what went and what stayed, and it is so."""
    for word in ("postgres 'sw-gone_db'\n", "rabbitmq 'sw-gone_queue'\n", "rabbitmq 'sw-kept_queue'\n", "postgres 'sw-kept_db' stayed: PostgreSQL has a role 'sw-kept_db' that is not this project's"):
        assert f"databases   {word}" in receipt, receipt
    assert of_projects(server) == (["sw-kept_db"], ["sw-kept_db"], [], [])
