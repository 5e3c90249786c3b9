"""A server of one's own: `make install` and `slipway setup` on a machine with systemd, a signed push, load over a restart of the daemon,
a reboot, and everything away again. One machine; the tests follow each other."""
import json
import re
import shutil
import tempfile
import time
from pathlib import Path

import admin_checks
import boot_checks
import classic_checks
import devices_checks
import edge_checks
import escape_checks
import gone_checks
import hostile_checks
import inspect_checks
import keep_checks
import proxy_checks
import pytest
import reader_checks
import unit_checks
from server import BUILD, TOP, NoMachine, Server, sample_repository

GIT = "http://127.0.0.1:9418"
DOMAIN = "paas.example.org"


@pytest.fixture(scope="module")
def server():
    try:
        s = Server()
    except NoMachine as why:
        pytest.skip(str(why))
    try:
        yield s
    finally:
        s.close()


def look(s):
    """What may not differ after everything was taken away."""
    return s.run(
        "cut -d: -f1 /etc/passwd /etc/group | sort; systemctl list-unit-files --state=enabled --no-legend | sort;"
        "find / -xdev \\( -path /proc -o -path /sys -o -path /usr/local -o -path /var/log/journal \\) -prune -o"
        " \\( -iname '*slipway*' -o -name 'sw-*' \\) -print | grep -v systemd/private | sort; ls -A /tmp /var/tmp /etc /var/lib /opt /srv /home | grep -vE '^(systemd-private-|namespace-dev-)'"
    )


def at_a_terminal(server, answer):
    """`slipway setup` as somebody sits before it: one question, which this answers."""
    done = server.run("script", "-qec", f"slipway setup --domain {DOMAIN}", "/dev/null", stdin=answer + "\n", expect=None)
    assert done.stdout.count("Type 'yes' to do what is marked with +: ") == done.stdout.count("Type ") == 1, done
    return done


def test_setup_shows_asks_and_does(server):
    server.bare = look(server)
    server.run("slipway", "setup", expect=127)  # it is not there yet
    server.install()
    server.installed = look(server)
    shown = server.run("slipway", "setup", "--domain", DOMAIN, expect=None)
    assert shown.returncode == 64 and "--yes" in shown.stderr, shown
    assert re.findall(r"^  \+ (\w+(?: \w+)?)", shown.stdout, re.M) == ["user", "settings", "folders", "web server", "services"]
    assert look(server) == server.installed, "showing changed something"
    done = at_a_terminal(server, "no")
    assert done.returncode == 1 and "nothing was done" in done.stdout and look(server) == server.installed, done
    done = at_a_terminal(server, "yes")
    assert done.returncode == 0 and "Slipway runs on this server" in done.stdout, done
    assert server.run("systemctl", "is-system-running").strip() == "running"
    assert json.loads(server.run("curl", "-sS", "-H", f"Host: {DOMAIN}", "http://127.0.0.1/health"))["status"] == "ok"
    assert json.loads(server.run("curl", "-sSk", "--resolve", f"{DOMAIN}:443:127.0.0.1", f"https://{DOMAIN}/health"))["status"] == "ok"


def test_setup_again_does_nothing(server):
    pids = server.run("systemctl show -P MainPID slipwayd slipway-helper")
    again = server.slipway("setup")
    assert "nothing was done" in again and "+" not in re.findall(r"^  (.)", again, re.M), again
    assert server.run("systemctl show -P MainPID slipwayd slipway-helper") == pids


def test_setup_keeps_what_it_is_not_told(server):
    conf = lambda: server.run("cat /etc/slipway/server.conf")  # noqa: E731
    before, url = conf(), "postgresql:///postgres?host=/run/elsewhere"
    server.slipway("setup", "--yes", "--postgres", url)
    server.slipway("setup", "--yes", "--tls", "strict")
    assert f"\nSLIPWAY_POSTGRES={url}\n" in conf() and "\nSLIPWAY_TLS=strict\n" in conf()
    server.slipway("setup", "--yes", "--postgres", "none", "--tls", "intermediate")
    assert conf() == before
    refused = server.slipway("setup", "--yes", "--postgres", "postgresql://me:secret@db/", expect=None)
    assert refused.returncode != 0 and "passfile" in refused.stderr and conf() == before, refused


def test_setup_leaves_alone_who_is_not_in_its_way(server):
    """On a port of its own, beside the distribution's web server on port 80: done again, it takes its own edge for nobody else's."""
    server.slipway("setup", "--yes", "--http", "8080")
    server.run("systemctl start nginx")
    assert "nothing was done" in server.slipway("setup")
    assert server.run("systemctl is-active nginx slipway-edge").split() == ["active", "active"]
    server.run("systemctl stop nginx")
    server.slipway("setup", "--yes", "--http", "80")
    server.wait_get(DOMAIN, "/health")


def test_setup_without_https(server):
    ports = lambda: {line.split()[3].rsplit(":", 1)[1] for line in server.run("ss -Hltn").splitlines()} & {"80", "443"}  # noqa: E731
    assert ports() == {"80", "443"}
    server.slipway("setup", "--yes", "--https", "none")
    unit_checks.until(lambda: ports() == {"80"})
    server.wait_get(DOMAIN, "/health")
    assert "nothing was done" in server.slipway("setup") and ports() == {"80"}
    server.slipway("setup", "--yes", "--https", "443")
    unit_checks.until(lambda: ports() == {"80", "443"})


def test_setup_refuses_what_it_cannot_do(server):
    for args, words in ((("--domain", "no_host"), "host"), (("--http", "70000"), "--http"), (("--address", "::1"), "IPv4")):
        refused = server.slipway("setup", "--yes", *args, expect=None)
        assert refused.returncode != 0 and words in refused.stderr, refused
    as_other = server.run("runuser", "-u", "nobody", "--", "slipway", "setup", "--yes", expect=None)
    assert as_other.returncode != 0 and "root" in as_other.stderr, as_other


@pytest.mark.parametrize("check", hostile_checks.SETUP, ids=lambda c: c.__name__)
def test_hostile_settings(server, check):
    check(server)


@pytest.mark.parametrize("check", reader_checks.ALL, ids=lambda c: c.__name__)
def test_units_by_systemd(server, check):
    check(server)


def test_fresh_install_gives_nothing_away(server):
    """S29: no default credential, no secret readable by others, outside loopback only the web server's ports."""
    listeners = [line.split() for line in server.run("ss -Hltun").splitlines()]
    outside = {(kind, at.rsplit(":", 1)[1]) for kind, _, _, _, at, *_ in listeners if not re.match(r"(127\.|\[::1\])", at)}
    assert outside == {("tcp", "80"), ("tcp", "443")}, outside
    readable = server.run("find /var/lib/slipway /run/slipway /etc/slipway -xdev -type f -perm /o+r | sort").split()
    public = ("/var/lib/slipway/edge/", "/etc/slipway/", "/run/slipway/.acme/.well-known/")  # the last for a moment only: what an authority asks for
    assert all(f.startswith(public) for f in readable), readable
    assert server.run("stat -c '%U %a' /var/lib/slipway/owner.token /var/lib/slipway/keys/seal.key").split("\n")[:2] == ["slipway 600"] * 2
    assert server.run("getent", "shadow", "slipway").split(":")[1].startswith("!")
    assert server.run("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/api/v1/projects") == "401"
    operators = server.api("operators", "list")["items"]
    assert [o["name"] for o in operators] == ["owner"], operators


def documented(server, **names):
    """The rows of docs/directories.md, each with these names in their places; the machine says the same."""
    rows = re.findall(r"^\| `(/(?:etc|var/lib|run)/slipway[^`]*)` \| ([A-Za-z-]+):([A-Za-z-]+) \| (\d+) \|", (TOP / "docs/directories.md").read_text(), re.M)
    rows = [row for row in rows if bool(names) == ("NAME" in row[0])]
    for name, value in names.items():
        rows = [[re.sub(rf"\b{name}\b", value, field) for field in row] for row in rows]
    for path, user, group, mode in rows:
        assert server.run("stat", "-c", "%U:%G %a", path).strip() == f"{user}:{group} {int(mode)}", path
    return {(p, u, g, int(m)) for p, u, g, m in rows}


def test_folders_are_as_documented(server):
    """docs/directories.md, slipway.tmpfiles and the machine say the same."""
    made = re.findall(r"^d (\S+) (\d+) (\S+) (\S+)", (TOP / "share/units/slipway.tmpfiles").read_text(), re.M)
    assert documented(server) == {(p, u, g, int(m)) for p, m, u, g in made}


def test_units_are_closed_in(server):
    """S20 of our own services: systemd's own measure, on the live units."""
    for unit, most in (("slipwayd.service", 1.3), ("slipway-helper.service", 1.6), ("slipway-edge.service", 2.5)):
        level = unit_checks.exposure(server, unit)
        print("exposure of", unit, level)
        assert level <= most


def serve_git(server):
    server.run("systemd-run --quiet --unit=git-server python3 -m http.server --bind 127.0.0.1 --directory /srv/git 9418")
    unit_checks.until(lambda: server.run("curl -s -o /dev/null http://127.0.0.1:9418/", expect=None).returncode == 0)


def deploy_the_sample(server):
    """A signed push through the web server, as GitHub would send it."""
    folder = sample_repository("guestbook")
    try:
        server.put(folder / "srv", "/srv/git")
    finally:
        shutil.rmtree(folder)
    server.put(TOP / "tools", "/srv/tools")
    serve_git(server)
    server.slipway("create", "guestbook", "--git", f"{GIT}/guestbook.git", "--branch", "main")
    made = server.api("hooks", "create", "guestbook", "guestbook-push", "--sender", "github")
    assert made["url"] == f"http://{DOMAIN}/hooks/guestbook-push"
    server.run("umask 077; cat >/srv/secret", stdin=made["secret"])
    server.run(f"grep -q {DOMAIN} /etc/hosts || echo '127.0.0.1 {DOMAIN}' >>/etc/hosts")
    answer = json.loads(server.run("python3", "/srv/tools/send-push", made["url"], "/srv/secret", "/srv/git/guestbook.git", "main"))
    server.slipway("events", "show", "guestbook", str(answer["event"]), "--follow")
    assert "Guestbook" in server.wait_get("guestbook.localhost")


def test_signed_push_is_served(server):
    deploy_the_sample(server)
    user = server.run("ps -o user:32= -C gunicorn,python3 | sort -u").split()
    assert "sw-guestbook" in user, user


def test_folders_of_a_project_are_as_documented(server):
    live = server.run("readlink /var/lib/slipway/projects/guestbook/live").strip().rsplit("/", 1)[-1]
    assert len(documented(server, NAME="guestbook", N=live)) == 5


def test_processes_are_units(server):
    unit_checks.processes_are_units(server)


def test_kinds_are_as_closed_in(server):
    unit_checks.kinds_are_as_closed_in(server)


def test_strangers_get_nothing_from_the_helper(server):
    unit_checks.strangers_get_nothing(server)


def test_port_programs_have_a_relay(server):
    unit_checks.port_programs_have_a_relay(server)


def test_greedy_builds_name_their_limit(server):
    unit_checks.greedy_builds_name_their_limit(server)


def test_what_is_killed_comes_back(server):
    unit_checks.what_is_killed_comes_back(server)


def test_devices_are_opened_by_grant(server):
    devices_checks.grants_open_exactly_their_nodes(server)


def test_escape_kit(server):
    escape_checks.escapes(server)


@pytest.mark.parametrize("check", admin_checks.ALL, ids=lambda c: c.__name__)
def test_admin(server, check):
    check(server)


@pytest.mark.parametrize("check", classic_checks.ALL, ids=lambda c: c.__name__)
def test_secureops(server, check):
    check(server)


def test_validate_finds_each_fault(server):
    inspect_checks.validate_finds_each_fault(server)


def test_audit_finds_each_fault(server):
    inspect_checks.audit_finds_each_fault(server)


def test_audit_mails_what_is_critical(server):
    inspect_checks.the_timer_mails_what_is_critical(server)


def test_advice_changes_nothing(server):
    inspect_checks.advice_without_sshd(server)


def load_begin(server, host="guestbook.localhost", path="/healthz"):
    """Requests over new connections until load_end."""
    folder = Path(tempfile.mkdtemp())
    shutil.copy(BUILD / "tests/load", folder)
    server.put(folder, "/srv/load")
    shutil.rmtree(folder)
    return server.background(
        "/srv/load/load", "--port", "80", "--connections", "8", "--seconds", 300, "--close", "--get", path, "--host", host
    )


def load_end(server, load):
    """Not one request failed."""
    assert load.poll() is None, "the requests ended before what they were to see"
    server.run("pkill", "-TERM", "-x", "load")
    seen = json.loads(load.communicate(timeout=120)[0])
    print(seen)
    assert seen["ok"] >= 500 and seen["ok"] == seen["requests"], seen


def test_daemon_restarts_under_load_and_a_deploy(server):
    """R8's little sister: new connections all the time over a deploy and two restarts of the daemon; hooks are heard meanwhile."""
    load = load_begin(server)
    server.slipway("deploy", "guestbook", "--force")
    for _ in range(2):
        server.run("systemctl", "restart", "slipwayd")
        assert server.run("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8000/health") == "200"
    load_end(server, load)


def test_killed_daemon_comes_back(server):
    pid = server.run("systemctl show -P MainPID slipwayd").strip()
    server.run("kill", "-9", pid)
    assert server.get("guestbook.localhost", "/healthz")[0] == 200
    assert server.api("info", "guestbook")["name"] == "guestbook"  # waits in the socket until it is back
    assert server.run("systemctl show -P MainPID slipwayd").strip() != pid


def test_a_daemon_that_hangs_is_started_anew(server):
    """By systemd's watchdog, here within seconds; projects serve meanwhile."""
    folder = "/run/systemd/system/slipwayd.service.d"
    server.run(f"mkdir {folder} && cat >{folder}/soon.conf && systemctl daemon-reload && systemctl restart slipwayd", stdin="[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n")
    pid = server.run("systemctl show -P MainPID slipwayd").strip()
    time.sleep(5)
    assert server.run("systemctl show -P MainPID slipwayd").strip() == pid, "one that turns is left alone"
    server.run("kill", "-STOP", pid)
    assert server.get("guestbook.localhost", "/healthz")[0] == 200
    unit_checks.until(lambda: server.run("systemctl show -P MainPID slipwayd").strip() not in ("0", pid))
    assert "watchdog" in server.run("journalctl -q -o cat -u slipwayd | grep -i watchdog").lower()
    assert server.api("info", "guestbook")["name"] == "guestbook"
    server.run(f"rm -r {folder} && systemctl daemon-reload && systemctl restart slipwayd")
    assert server.run("systemctl show -P WatchdogUSec slipwayd").strip() == "1min"


def test_edge_is_a_unit(server):
    edge_checks.plain(server)
    edge_checks.the_helper_is_closed_in(server)


def test_edge_believes_proxies(server):
    proxy_checks.bad_lists_are_refused(server)
    proxy_checks.proxies_are_believed(server)
    proxy_checks.settings_of_before_name_none(server)


def test_edge_serves_without_the_helper(server):
    edge_checks.serves_without_the_helper(server, load_begin, load_end)


def test_projects_run_on_without_the_helper(server):
    keep_checks.projects_run_on(server, load_begin, load_end)


@pytest.mark.parametrize("check", keep_checks.ALL, ids=lambda c: c.__name__)
def test_next_helper(server, check):
    check(server)


def test_edge_reloads_lose_nothing(server):
    edge_checks.reloads_lose_nothing(server, load_begin, load_end)
    edge_checks.comes_back_when_killed(server)


def test_edge_certificates_are_installed(server):
    edge_checks.certificates_are_installed(server)
    edge_checks.the_helper_is_closed_in(server)


def test_edge_tells_bad_sites_by_line(server):
    edge_checks.bad_sites_are_told_by_line(server)


def test_edge_says_that_its_port_is_taken(server):
    edge_checks.a_taken_port_is_said(server)


@pytest.mark.parametrize("check", hostile_checks.ALL, ids=lambda c: c.__name__)
def test_hostile_values(server, check):
    check(server)


@pytest.mark.parametrize("check", boot_checks.ALL, ids=lambda c: c.__name__)
def test_boot_without_the_daemon(server, check):
    check(server)


def test_serves_after_a_reboot(server):
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    # one more may be under way: branches are looked at after a time away
    assert len([r for r in server.api("releases", "guestbook")["items"] if r["state"] not in ("building", "failed", "pruned")]) == 3
    assert server.run("systemctl", "is-system-running").strip() == "running"


@pytest.mark.parametrize("check", hostile_checks.AFTER, ids=lambda c: c.__name__)
def test_hostile_values_after_a_reboot(server, check):
    check(server)


def test_apache_takes_over(server):
    """The other web server: the same projects over TLS, a deploy, all checks; and it stays so when everything is taken away."""
    shown = server.run("slipway", "setup", "--edge", "apache", "--nginx-sites", "yes", expect=64, stdin="")
    assert "Apache" not in shown
    server.slipway("setup", "--yes", "--edge", "apache", "--nginx-sites", "no")
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    answer = server.run("curl", "-sSk", "-D", "-", "--resolve", "guestbook.localhost:443:127.0.0.1", "https://guestbook.localhost/")
    assert answer.startswith("HTTP/2 200") and "Guestbook" in answer and re.search(r"^server: ", answer, re.M | re.I), answer
    assert server.run("pgrep", "-cx", "nginx", expect=None).stdout.strip() == "0" and int(server.run("pgrep", "-cx", "apache2")) >= 2
    assert "nothing was done" in server.slipway("setup")
    serve_git(server)  # the reboot ended it
    server.slipway("deploy", "guestbook", "--force")
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    server.slipway("validate")
    assert server.run("systemctl", "is-system-running").strip() == "running"


def test_apache_is_a_unit(server):
    apache = "slipway-edge-apache.service"
    server.wait_get("plain.localhost", seconds=60)
    proxy_checks.proxies_are_believed(server, apache)
    edge_checks.serves_without_the_helper(server, load_begin, load_end, apache)
    edge_checks.reloads_lose_nothing(server, load_begin, load_end)
    edge_checks.comes_back_when_killed(server, apache)
    edge_checks.the_helper_is_closed_in(server, apache, "apache2")
    edge_checks.gone(server)


def test_undo_leaves_nothing(server):
    server.run("rm", "-rf", "/srv/git", "/srv/tools", "/srv/load", "/srv/secret", "/srv/ask.py")
    gone_checks.one_listens_on_a_port(server)
    receipt = server.slipway("setup", "--undo", "--yes")
    for word in ("user sw-guestbook", "user sw-ported", "/var/lib/slipway", "/run/slipway", "/etc/slipway", "nginx.service runs again", "stopped and disabled"):
        assert word in receipt, receipt
    assert look(server) == server.installed
    gone_checks.nothing_is_left(server, units_stay=True)
    assert server.get("guestbook.localhost")[0] == 200  # the welcome page of the distribution's nginx
    assert "nothing to take away" in server.slipway("setup", "--undo", "--yes")
