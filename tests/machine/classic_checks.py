"""secureops, the classic command line: each flag's success, refusal and exit code, against what it changed. Part of
test_server.py; flags that need a broker: test_by_the_classic_flags in tests/e2e/test_rabbitmq.py."""
import re


def ops(server, *args, expect=0, user=None):
    command = ["secureops", *args] if user is None else ["runuser", "-u", user, "--", "secureops", *args]
    done = server.run(*command, expect=None)
    assert done.returncode == expect, (args, done)
    return done.stdout + done.stderr


def users(server):
    return set(re.findall(r"^sw-(\S+?):", server.run("cat /etc/passwd"), re.M))


def live(server, name="guestbook"):
    return next(r["number"] for r in server.api("releases", name)["items"] if r["live"])


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
    before, release = users(server), live(server)
    for args in (("-c", "opusclassic"), ("-d", "opusguestbook"), ("-r",), ("-k", "opusguestbook"), ("-y", "opusguestbook"), ("-s", "opusguestbook", "/", "-T"), ("-i", "opusguestbook", "p", "r")):
        ops(server, *args, expect=1, user="nobody")
    assert users(server) == before and live(server) == release and server.get("guestbook.localhost")[0] == 200


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


def the_database_is_migrated(server):
    server.slipway("run", "guestbook", "--", "python3", "manage.py", "migrate", "notes", "zero")
    said = ops(server, "-y", "opusguestbook", "/usr/bin/python3", "/usr/bin/django-admin")
    assert "Applying notes.0001_initial" in said, said
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    assert "No migrations to apply" in ops(server, "-y", "opusguestbook")


def requirements_come_with_a_release(server):
    before = live(server)
    ops(server, "-i", "opusguestbook", "/usr/bin/pip", "/srv/requirements.txt")
    assert live(server) > before


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
    a_user_comes_and_goes,
    processes_stop_start_and_restart,
    the_web_server_reads_anew,
    the_database_is_migrated,
    requirements_come_with_a_release,
    a_broker_that_is_not_there,
    slipway_must_be_beside_it,
)
