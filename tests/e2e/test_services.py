"""Databases for projects on a real PostgreSQL, as a person uses them: a Django project that finds its own by DATABASE_URL,
over deploys, crashes, a destroy and its restore; by the command line; and what nobody sees of it."""
import contextlib
import getpass
import json
import os
import signal
import sqlite3
import subprocess
import time

import apps
import pytest
from harness import ROOT, Platform, free_port, wait_until
from postgres import Postgres

SETTINGS = """
from urllib.parse import urlsplit
u = urlsplit(os.environ.get("DATABASE_URL", "postgresql://none"))
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": u.hostname, "PORT": u.port, "USER": u.username,
    "PASSWORD": u.password, "NAME": u.path[1:]}}
"""
URLS = """import os
from django.http import HttpResponse
from django.urls import path
from app.models import Thing
VERSION = open(os.path.join(os.path.dirname(__file__), "..", "VERSION")).read()
def add(request):
    Thing.objects.create(name="x")
    return HttpResponse(str(Thing.objects.count()))
urlpatterns = [path("version", lambda r: HttpResponse(VERSION)), path("add", add), path("count", lambda r: HttpResponse(str(Thing.objects.count())))]
"""
ROLE = "slipway" if ROOT else getpass.getuser()


def django(version, services="services: {db: postgres}\n"):
    files = {**apps.DJANGO, "site1/urls.py": URLS}
    files["site1/settings.py"] += SETTINGS
    files["slipway.yaml"] += "release: [python3, manage.py, migrate, --noinput]\n" + services
    return apps.with_version(files, version)


def page(more=""):
    """A project that is made in a moment and has a database all the same."""
    return {"index.html": "page", "slipway.yaml": "kind: static\nservices: {db: postgres}\n" + more}


@pytest.fixture(scope="module")
def postgres():
    p = Postgres(port=free_port(), as_packaged=True)
    try:
        p.run("createuser", "-h", p.dir, "-p", str(p.port), "-U", "postgres", "--createdb", "--createrole", ROLE)
        yield p
    finally:
        p.close()


@pytest.fixture(scope="module")
def platform(postgres):
    p = Platform(extra=["--postgres", f"postgresql:///postgres?host={postgres.dir}&port={postgres.port}"])
    try:
        yield p.start()
    finally:
        p.close()


def ask(postgres, sql, database="postgres"):
    """What the superuser is told."""
    done = subprocess.run([postgres.bin / "psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", postgres.dir, "-p", str(postgres.port), "-U", "postgres", database, "-c", sql],
                          cwd=postgres.dir, capture_output=True, text=True, timeout=60, **postgres.user)
    assert done.returncode == 0, done
    return done.stdout.strip()


def enters(postgres, credentials, database):
    """As a program with those credentials: None, or why not."""
    done = subprocess.run([postgres.bin / "psql", "-X", "-h", credentials["host"], "-p", str(credentials["port"]), "-U", credentials["user"], database, "-c", "SELECT 1"],
                          env={"PGPASSWORD": credentials["password"]}, capture_output=True, text=True, timeout=60)
    return None if done.returncode == 0 else done.stderr


def databases(postgres, project):
    return ask(postgres, f"SELECT datname FROM pg_database WHERE datname LIKE 'sw-{project}\\_%' ORDER BY 1").split()


def credentials(platform, project, service="db"):
    return platform.api("POST", f"/projects/{project}/services/{service}/credentials", {})


def count(platform, name):
    answer = platform.get(name + ".localhost", "/count")
    assert answer.status == 200, answer
    return int(answer.body)


def step(task, name):
    return next(s for s in task["steps"] if s["name"] == name)


def test_a_django_project_over_its_life(platform, postgres, git):
    repo = git.repository("shop", django("v1"))
    platform.create("shop", repo.url)
    task = platform.deploy("shop")
    assert "postgres 'db' made" in step(task, "provision")["detail"], task["steps"]
    assert platform.get("shop.localhost", "/add").body == b"1"
    repo.commit({"VERSION": "v2"})
    task = platform.deploy("shop")
    assert "made" not in step(task, "provision")["detail"]
    assert platform.get("shop.localhost", "/version").body == b"v2" and count(platform, "shop") == 1
    platform.kill()
    platform.start()
    assert count(platform, "shop") == 1
    platform.cli("restart", "shop")
    assert count(platform, "shop") == 1
    # It is the project's own, and the project is no more than that.
    assert ask(postgres, "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'sw-shop_db'") == "sw-shop_db"
    assert ask(postgres, "SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = 'sw-shop_db'") == "f"
    # An archive has a dump, and a restore in place brings its rows back while others came.
    assert "1 database dumped by PostgreSQL" in platform.cli("services", "backup", "shop").stdout
    assert platform.get("shop.localhost", "/add").body == b"2"
    platform.cli("restore", "shop", "--yes")
    assert count(platform, "shop") == 1
    assert databases(postgres, "shop") == ["sw-shop_db"]
    # Destroyed, nothing of it is left there, and the receipt says so; the archive that is kept brings all of it back.
    shown = platform.cli("destroy", "shop", "--yes").stdout
    assert "postgres 'sw-shop_db'" in shown and "removed" in shown, shown
    assert databases(postgres, "shop") == [] and ask(postgres, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'sw-shop%'") == "0"
    platform.cli("restore", "shop", "--yes")
    assert count(platform, "shop") == 1 and platform.get("shop.localhost", "/add").body == b"2"
    platform.cli("destroy", "shop", "--yes", "--purge")


def test_a_restore_that_fails_leaves_what_was(platform, postgres, git):
    """The dump cannot be brought back: the database that serves is as it was, and nothing lies beside it."""
    platform.create("kept", git.repository("kept", page()).url)
    platform.deploy("kept")
    mine = credentials(platform, "kept")
    run = [postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", mine["url"], "-c"]
    subprocess.run([*run, "CREATE TABLE t AS SELECT 1 AS x"], check=True, timeout=60)
    platform.cli("backup", "kept")
    subprocess.run([*run, "UPDATE t SET x = 2"], check=True, timeout=60)
    # Whoever made the archive's rows may not make them here: a limit of the role that pg_restore meets.
    ask(postgres, "ALTER ROLE \"sw-kept_db\" SET default_transaction_read_only = on")
    failed = platform.cli("restore", "kept", "--yes", expect=1)
    assert "the database of 'db' could not be brought back" in failed.stdout + failed.stderr, failed
    ask(postgres, "ALTER ROLE \"sw-kept_db\" RESET default_transaction_read_only")
    assert ask(postgres, "SELECT x FROM t", "sw-kept_db") == "2" and databases(postgres, "kept") == ["sw-kept_db"]
    platform.cli("restore", "kept", "--yes")
    assert ask(postgres, "SELECT x FROM t", "sw-kept_db") == "1" and databases(postgres, "kept") == ["sw-kept_db"]
    # Data alone, too; and an archive that was made elsewhere is still one.
    subprocess.run([*run, "UPDATE t SET x = 3"], check=True, timeout=60)
    platform.cli("restore", "kept", "--yes", "--data-only")
    assert ask(postgres, "SELECT x FROM t", "sw-kept_db") == "1"
    platform.cli("destroy", "kept", "--yes", "--purge")


DEAF = """processes: {deaf: {run: [sh, -c, "trap '' TERM; while :; do sleep 1; done"], stop_timeout: 4s}}\n"""


def test_one_that_comes_while_its_project_is_destroyed(platform, postgres, git):
    """Refused; and what came all the same, before the rest is dropped or while it is, goes as well."""
    repo = git.repository("late", page(DEAF))
    platform.create("late", repo.url)
    platform.deploy("late")
    platform.cli("services", "add", "late", "postgres", "--name", "more")
    assert databases(postgres, "late") == ["sw-late_db", "sw-late_more"]

    def store(sql, *rows):
        with contextlib.closing(sqlite3.connect(platform.state / "slipway.db", timeout=20)) as db, db:
            return db.executemany(sql, rows) if rows else db.execute(sql).fetchall()

    first, second = store("SELECT s.* FROM service s JOIN project p ON p.id = s.project_id WHERE p.name = 'late' ORDER BY s.name")
    back = f"INSERT INTO service VALUES ({', '.join('?' * len(first))})"
    store("DELETE FROM service WHERE project_id = ?", first[:1])
    task = platform.api("DELETE", "/projects/late?purge=true")["task"]

    def at(name):
        return any(s["name"] == name and s["state"] == "running" for s in platform.api("GET", f"/tasks/{task}")["steps"])

    wait_until(lambda: at("stop"))
    refused = platform.call("POST", "/api/v1/projects/late/services", {"type": "postgres", "name": "third"})
    assert refused.status == 409 and refused.json["detail"] == "'late' is being destroyed", refused
    store(back, first)
    os.kill(postgres.process.pid, signal.SIGSTOP)
    try:
        wait_until(lambda: at("remove"))
        time.sleep(0.5)
        assert (platform.state / "projects" / "late" / "releases").exists(), "what cannot be dropped stops the rest"
        store(back, second)
    finally:
        os.kill(postgres.process.pid, signal.SIGCONT)
    task = platform.wait_task(task)
    assert task["state"] == "done", task
    assert [r["what"] for r in task["result"]["receipt"] if r["what"].startswith("postgres")] == ["postgres 'sw-late_db'", "postgres 'sw-late_more'"], task
    assert databases(postgres, "late") == []


def test_nobody_sees_the_password(platform, postgres, git):
    repo = git.repository("quiet", page("build: [[python3, -c, 'import os; assert not [k for k in os.environ if \"PG\" in k or \"DATABASE\" in k]']]\n"))
    platform.create("quiet", repo.url)
    platform.deploy("quiet")
    repo.commit({"more.html": "the database is there by now"})
    platform.deploy("quiet")  # the build would fail if it saw any
    secret = credentials(platform, "quiet")["password"]
    assert len(secret) == 43
    platform.shows_nowhere("quiet", secret)
    assert secret not in (postgres.dir / "log").read_text()
    audit = platform.api("GET", "/audit?project=quiet")["items"]
    assert any(a["action"] == "service.credentials" and a["target"] == "db" for a in audit), audit
    platform.cli("destroy", "quiet", "--yes", "--purge")


def test_by_the_command_line(platform, postgres):
    platform.create("plain", source={"type": "archive"})
    assert "no services" in platform.cli("services", "list", "plain").stdout
    added = json.loads(platform.cli("services", "add", "plain", "postgres", "--json").stdout)
    assert added["made"] and added["called"] == "sw-plain_db" and added["variables"][0] == "DATABASE_URL" and "DB_URL" in added["variables"]
    assert json.loads(platform.cli("services", "add", "plain", "postgres", "--json").stdout)["name"] == "db"  # again: the same
    platform.cli("services", "add", "plain", "postgres", "--name", "reports")
    listed = json.loads(platform.cli("services", "list", "plain", "--json").stdout)["items"]
    assert [(s["name"], s["variables"]) for s in listed][1] == ("reports", ["REPORTS_URL"])
    mine = json.loads(platform.cli("services", "credentials", "plain", "db", "--json").stdout)
    assert platform.cli("services", "credentials", "plain", "db").stdout.strip() == mine["url"]
    assert enters(postgres, mine, "sw-plain_db") is None
    assert enters(postgres, {**mine, "password": "wrong"}, "sw-plain_db")
    # Another's database is closed to it, the same project's other one too.
    platform.create("rival", source={"type": "archive"})
    platform.cli("services", "add", "rival", "postgres")
    theirs = credentials(platform, "rival")
    assert "permission denied for database" in enters(postgres, theirs, "sw-plain_db")
    assert "permission denied for database" in enters(postgres, mine, "sw-plain_reports")
    # Refusals.
    refused = platform.cli("services", "add", "plain", "rabbitmq", expect=65).stderr
    assert "has no RabbitMQ for projects" in refused and "rabbitmq-plugins enable rabbitmq_management" in refused and "--rabbitmq" in refused, refused
    assert "service name" in platform.cli("services", "add", "plain", "postgres", "--name", 'a";b', expect=65).stderr
    platform.cli("services", "credentials", "plain", "absent", expect=65)
    platform.cli("services", "remove", "plain", "reports", expect=64)  # nobody to ask
    assert "reports is gone" in platform.cli("services", "remove", "plain", "reports", "--yes").stdout
    assert ask(postgres, "SELECT count(*) FROM pg_database WHERE datname = 'sw-plain_reports'") == "0"
    actions = [a["action"] for a in platform.api("GET", "/audit?project=plain")["items"]]
    assert actions.count("service.add") == 2 and "service.remove" in actions
    for name in ("plain", "rival"):
        platform.cli("destroy", name, "--yes", "--purge")
    assert ask(postgres, "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'sw-%'") == "0"


def test_where_there_is_no_broker(platform, git):
    platform.create("bare", git.repository("bare", {"index.html": "page", "slipway.yaml": "kind: static\nservices: {queue: rabbitmq}\n"}).url)
    error = platform.deploy("bare", expect="failed")["error"]
    assert "this server has no RabbitMQ for projects" in error["message"] and "slipwayd's --rabbitmq" in error["hint"], error
    platform.cli("destroy", "bare", "--yes", "--purge")


def test_a_server_that_is_away(platform, postgres, git):
    repo = git.repository("away", page())
    platform.create("away", repo.url)
    platform.deploy("away")
    postgres.kill()
    try:
        task = platform.deploy("away", expect="failed", force=True)
        assert task["error"]["step"] == "provision" and "could not connect to PostgreSQL" in task["error"]["message"], task["error"]
        assert "createuser" in task["error"]["hint"]
        # One that was asked for meanwhile is no trap: it can be forgotten, on request.
        assert "not there yet" in platform.cli("services", "add", "away", "postgres", "--name", "other", expect=75).stderr
        assert "services remove away other --purge" in platform.cli("services", "remove", "away", "other", "--yes", expect=75).stderr
        platform.cli("services", "remove", "away", "other", "--yes", "--purge")
        assert [s["name"] for s in platform.api("GET", "/projects/away/services")["items"]] == ["db"]
        told = next(a for a in platform.api("GET", "/audit?project=away")["items"] if a["action"] == "service.remove")
        assert told["target"] == "other" and "could not be reached" in told["detail"], told
        shown = platform.cli("destroy", "away", "--yes", "--purge").stdout
        assert "stayed" in shown and "sw-away_db" in shown, shown
    finally:
        postgres.start()
    # What stayed is another project's nobody: the mark tells, and it is left alone.
    platform.create("away", repo.url)
    task = platform.deploy("away", expect="failed")
    assert "a role 'sw-away_db' that is not this project's" in task["error"]["message"], task["error"]
    ask(postgres, 'DROP DATABASE "sw-away_db" WITH (FORCE)')
    ask(postgres, 'DROP ROLE "sw-away_db"')
    platform.deploy("away")
    platform.cli("destroy", "away", "--yes", "--purge")
