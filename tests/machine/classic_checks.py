"""secureops, the classic command line: each flag's success, refusal and exit code, against what it changed. Part of
test_server.py; flags that need a broker: test_by_the_classic_flags in tests/e2e/test_rabbitmq.py."""
import re

from server import DAEMON

PROJECTS = "/var/lib/slipway/projects"
MINE = f"{PROJECTS}/guestbook"


def ops(server, *args, expect=0, user=None):
    command = ["secureops", *args] if user is None else ["runuser", "-u", user, "--", "secureops", *args]
    done = server.run(*command, expect=None)
    assert done.returncode == expect, (args, done)
    return done.stdout + done.stderr


def users(server):
    return set(re.findall(r"^sw-(\S+?):", server.run("cat /etc/passwd"), re.M))


def live(server, name="guestbook"):
    return next(r["number"] for r in server.api("releases", name)["items"] if r["live"])


def each(user):
    """Every flag that is about a project that is there."""
    return [(flag, user) for flag in ("-d", "-e", "-b", "-k", "-y")] + [("-i", user, "pip", "r.txt")] + [("-s", user, "/srv", act) for act in ("-S", "-T", "-H")]


def seen(server):
    """All that a flag could have changed: accounts, projects, releases and which is live, data, processes of the project's and of the web server's."""
    assert server.get("guestbook.localhost")[0] == 200
    return server.run(
        f"cat /etc/passwd /etc/group; ls {PROJECTS} {MINE}/releases; readlink {MINE}/live; ls -ln {MINE}/data; sha256sum {MINE}/data/*;"
        " pgrep -u sw-guestbook | sort; pgrep -f '^nginx: (master|worker process$)' | sort"
    )


def services(server):
    return server.api("services", "list", "guestbook")["items"]


def names_are_judged_by_every_flag(server):
    before = users(server)
    for flag, more in (("-c", ()), ("-d", ()), ("-e", ()), ("-b", ()), ("-k", ()), ("-y", ()), ("-s", ("/srv", "-T")), ("-i", ("pip", "r.txt"))):
        for user in ("root", "slipway", "opus", "sw-", "opusNo", "opusa_b", "opus../x", "opus--yes", "opus--help"):
            said = ops(server, flag, user, *more, expect=1)
            assert "secureops: " in said, said
        assert "usage: " in ops(server, flag, expect=1)
    for wrong in ((), ("-x",), ("-s", "opusguestbook", "/srv"), ("-s", "opusguestbook", "/srv", "-X"), ("-r", "opusguestbook"), ("-i", "opusguestbook", "pip")):
        ops(server, *wrong, expect=1)
    assert users(server) == before and server.get("guestbook.localhost")[0] == 200
    assert server.run("stat -c '%U %a' $(command -v secureops)").split() == ["root", "755"], "it has no rights of its own"


def strangers_may_nothing(server):
    before = seen(server)
    for args in (("-c", "opusclassic"), ("-c", "opusguestbook", "/etc/passwd"), ("-r",), *each("opusguestbook")):
        assert "'nobody' is not in the group 'slipway'" in ops(server, *args, expect=1, user="nobody"), args
        assert seen(server) == before, args
    assert services(server) == []


def projects_that_are_not_there(server):
    before = seen(server)
    for args in each("opusnone"):
        assert "there is no project 'none'" in ops(server, *args, expect=1), args
        assert seen(server) == before, args


def a_daemon_that_is_stopped(server):
    """Each flag says so at once; what serves goes on."""
    before = seen(server)
    server.run(f"systemctl stop {DAEMON}")
    try:
        for args in (("-c", "opusclassic"), ("-r",), *each("opusguestbook")):
            assert "cannot reach slipwayd" in ops(server, *args, expect=1), args
            assert seen(server) == before, args
    finally:
        server.run(f"systemctl start {DAEMON}")
    assert services(server) == [] and seen(server) == before


def a_user_comes_and_goes(server):
    ops(server, "-c", "opusclassic")
    assert "classic" in users(server)
    ops(server, "-c", "sw-classic")  # it is there
    data = "/var/lib/slipway/projects/classic/data"
    server.run(f"echo x >{data}/own && chown sw-classic {data}/own && chmod 660 {data}/own && cp {data}/own {data}/open && chown sw-classic {data}/open && chmod 664 {data}/open"
               f" && ln -s /etc/shadow {data}/link && mkfifo {data}/pipe && chown -h sw-classic {data}/link {data}/pipe")
    ops(server, "-c", "opusclassic", f"{data}/own", data)
    shadow = server.run("stat -c '%U %G %a' /etc/shadow")
    said = ops(server, "-c", "opusclassic", f"{data}/own", "/etc/shadow", f"{data}/link", f"{data}/pipe", f"{data}/open", "/none", expect=2)
    assert said.count("secureops: ") == 5 and "/own" not in said, said
    assert server.run("stat -c '%U %G %a' /etc/shadow") == shadow and server.run(f"stat -c '%U %a' {data}/open") == "sw-classic 664\n"
    ops(server, "-d", "opusclassic")
    assert "classic" not in users(server) and server.run(f"ls {data}", expect=None).returncode != 0
    ops(server, "-d", "opusclassic", expect=1)


def processes_stop_start_and_restart(server):
    def pids():
        return set(server.run("pgrep", "-u", "sw-guestbook", expect=None).stdout.split())

    first = pids()
    ops(server, "-s", "opusguestbook", "/anywhere", "-H")
    second = pids()
    assert second and not first & second
    ops(server, "-s", "opusguestbook", "/anywhere", "-T")
    assert not pids() and server.get("guestbook.localhost", "/healthz")[0] != 200
    ops(server, "-s", "opusguestbook", "/anywhere", "-S", expect=1, user="nobody")
    assert not pids(), "a stranger started it"
    ops(server, "-s", "opusguestbook", "/anywhere", "-S")
    assert pids() and server.get("guestbook.localhost", "/healthz")[0] == 200
    ops(server, "-k", "opusguestbook")
    assert not pids()
    ops(server, "-s", "opusguestbook", "/anywhere", "-S")
    server.wait_get("guestbook.localhost", "/healthz")


def the_web_server_reads_anew(server):
    def nginx(kind):
        return set(server.run(f"pgrep -f '^nginx: {kind}'").split())

    masters, workers = nginx("master"), nginx("worker")
    assert "read anew" in ops(server, "-r")
    assert nginx("master") == masters and not nginx("worker process$") & workers


def a_web_server_that_refuses(server):
    vhost = "/var/lib/slipway/edge/vhosts/guestbook.conf"
    before = seen(server)
    server.run(f"cp -p {vhost} /srv/was && echo 'gzip maybe;' >>{vhost}")
    try:
        said = ops(server, "-r", expect=1)
        assert "refused to reload" in said and '"gzip"' in said and f"{vhost}:" in said, said
        assert seen(server) == before
    finally:
        server.run(f"cp -p /srv/was {vhost} && rm /srv/was")
    ops(server, "-r")
    assert seen(server) != before, "its workers are others"


def the_database_is_migrated(server):
    server.slipway("run", "guestbook", "--", "python3", "manage.py", "migrate", "notes", "zero")
    said = ops(server, "-y", "opusguestbook", "/usr/bin/python3", "/usr/bin/django-admin")
    assert "Applying notes.0001_initial" in said, said
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    assert "No migrations to apply" in ops(server, "-y", "opusguestbook")


def a_migration_that_fails(server):
    """The table that it makes is there: nothing of it stays, and what is live serves on."""
    statement = f"import sqlite3; sqlite3.connect('{MINE}/data/guestbook.sqlite3').execute('%s TABLE notes_note%s')"
    run = ("run", "guestbook", "--", "python3")
    server.slipway(*run, "manage.py", "migrate", "notes", "zero")
    server.slipway(*run, "-c", statement % ("CREATE", " (id)"))
    here = server.run(f"sha256sum {MINE}/data/*; readlink {MINE}/live; pgrep -u sw-guestbook")
    said = ops(server, "-y", "opusguestbook", expect=1)
    assert 'table "notes_note" already exists' in said, said
    assert server.run(f"sha256sum {MINE}/data/*; readlink {MINE}/live; pgrep -u sw-guestbook") == here
    server.slipway(*run, "-c", statement % ("DROP", ""))
    assert "Applying notes.0001_initial" in ops(server, "-y", "opusguestbook")
    assert server.get("guestbook.localhost")[0] == 200


def requirements_come_with_a_release(server):
    before = live(server)
    ops(server, "-i", "opusguestbook", "/usr/bin/pip", "/srv/requirements.txt")
    assert live(server) > before


def requirements_that_nobody_has(server):
    """The deploy fails while it builds: the release of before serves on, by the same processes, and the failed one is away from the disk."""
    bare, push = "/srv/git/guestbook.git", "git push -q {} && git --git-dir /srv/git/guestbook.git update-server-info"
    before = seen(server)
    server.run(f"cd /srv && git clone -q {bare} broken && cd broken && echo slipway-no-such-package==1 >requirements.txt && git add -A"
               f" && git -c user.name=anna -c user.email=anna@localhost commit -q -m Broken && {push.format('')}")
    try:
        said = ops(server, "-i", "opusguestbook", "/usr/bin/pip", "/srv/requirements.txt", expect=1)
        assert "No matching distribution found for slipway-no-such-package" in said and "is still serving" in said, said
        assert seen(server) == before
        assert server.api("releases", "guestbook")["items"][0]["state"] == "failed"
    finally:
        server.run(f"cd /srv/broken && {push.format('--force origin HEAD~:main')} && rm -r /srv/broken")


def a_broker_that_is_not_there(server):
    said = ops(server, "-e", "opusguestbook", expect=1)
    assert "rabbitmq" in said.lower(), said
    ops(server, "-b", "opusguestbook", expect=2)


def slipway_must_be_beside_it(server):
    server.run("cp $(command -v secureops) /srv/")
    assert server.run("/srv/secureops", "-r", expect=None).returncode == 255
    server.run("rm /srv/secureops")


ALL = (
    names_are_judged_by_every_flag,
    strangers_may_nothing,
    projects_that_are_not_there,
    a_daemon_that_is_stopped,
    a_user_comes_and_goes,
    processes_stop_start_and_restart,
    the_web_server_reads_anew,
    a_web_server_that_refuses,
    the_database_is_migrated,
    a_migration_that_fails,
    requirements_come_with_a_release,
    requirements_that_nobody_has,
    a_broker_that_is_not_there,
    slipway_must_be_beside_it,
)
