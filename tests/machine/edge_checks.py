"""The web server as a unit of systemd: closed in, the helper's by systemctl only, serving on while helper and daemon are replaced, refusing
what it cannot read by file and line. Part of test_server.py, which has the machine."""
import time

import unit_checks

EDGE, HELPER = "slipway-edge.service", "slipway-helper.service"
PATH = "/srv/plain"


def main_pid(server, unit=EDGE):
    return server.run("systemctl", "show", "-P", "MainPID", unit).strip()


def plain(server):
    """A project without a process of its own: what serves it is the edge alone."""
    server.run(f"mkdir -p {PATH} && echo plain page >{PATH}/index.html")
    server.slipway("create", "plain", "--path", PATH)
    server.slipway("deploy", "plain")
    assert "plain page" in server.wait_get("plain.localhost")


def the_helper_is_closed_in(server, edge=EDGE, name="nginx"):
    """While it works: no network, nobody else's process to be seen, its children all its own."""
    for unit, most in ((HELPER, 1.6), (edge, 2.5)):
        level = unit_checks.exposure(server, unit)
        print("exposure of", unit, level)
        assert level <= most
    helper = main_pid(server, HELPER)
    assert server.run("readlink", f"/proc/{helper}/ns/net") != server.run("readlink /proc/1/ns/net")
    assert server.run("awk", "/^CapBnd/{print $2}", f"/proc/{helper}/status").strip() == "00000000000000df"
    inside = f"/proc/{main_pid(server, edge)}/cgroup"
    assert edge in server.run("cat", inside) and HELPER not in server.run("cat", inside)
    parent = server.run("ps", "-o", "ppid=", "-p", main_pid(server, edge)).strip()
    children = server.run(f"ps -o comm= --ppid {helper}", expect=None).stdout.split()
    assert parent == "1" and children.count("slipway-monitor") == 1 and children.count("slipway-helper") in (1, 2) and len(children) < 4, children
    monitor = server.run("pgrep", "-P", helper, "slipway-monitor").strip()
    rights = dict(line.split(":\t") for line in server.run("cat", f"/proc/{monitor}/status").splitlines())
    assert int(rights["CapPrm"], 16) == int(rights["CapEff"], 16) == 0 and rights["Seccomp"] == "2" and rights["NoNewPrivs"] == "1", rights
    assert server.run("ps", "-o", "comm=", "-p", main_pid(server, edge)).strip() == name


def serves_without_the_helper(server, load_begin, load_end, edge=EDGE):
    """It is restarted, and killed, with requests all the time: none fails, and the server is the same process."""
    pid = main_pid(server, edge)
    load = load_begin(server, "plain.localhost", "/")
    server.run("systemctl", "restart", HELPER)
    helper = main_pid(server, HELPER)
    adopted(server)
    server.run("systemctl kill --signal=SIGKILL --kill-who=main slipway-helper")
    unit_checks.until(lambda: main_pid(server, HELPER) not in ("0", helper))
    adopted(server)
    load_end(server, load)
    assert main_pid(server, edge) == pid
    server.wait_get("guestbook.localhost", "/healthz", seconds=60)


def adopted(server):
    """The helper of now has the edge: it reloads it for a deploy."""
    server.run(f"date +%N >{PATH}/index.html")
    unit_checks.until(lambda: server.slipway("deploy", "plain", "--force", expect=None).returncode == 0)
    assert server.get("plain.localhost")[1].strip() == server.run("cat", f"{PATH}/index.html").strip()


def reloads_lose_nothing(server, load_begin, load_end):
    """Projects come and go under load, each with a vhost tested by a unit and a reload."""
    load = load_begin(server, "plain.localhost", "/")
    for name in ("one", "two"):
        server.slipway("create", name, "--path", PATH)
        server.slipway("deploy", name)
        assert server.get(name + ".localhost")[0] == 200
        server.slipway("destroy", name, "--yes")
        assert server.get(name + ".localhost")[0] == 404
    load_end(server, load)


def comes_back_when_killed(server, edge=EDGE):
    pid = main_pid(server, edge)
    server.run("systemctl", "kill", "--signal=SIGKILL", "--kill-who=main", edge)
    server.wait_get("plain.localhost", seconds=30)
    assert main_pid(server, edge) not in ("0", pid)
    assert server.run("systemctl", "is-system-running").strip() == "running"


SITE = """server {
    server_name site.example.org;
    location / { return 200 "%s\\n"; }
    listen 80;
}
"""


def site(server, text):
    server.run("cat >'/srv/sites/production/[site.example.org].nginxconf'", stdin=text)


def bad_sites_are_told_by_line(server):
    """--nginx-sites yes by way of systemd: the whole configuration is tested by a unit, and what it says comes back."""
    pid = main_pid(server)
    server.slipway("setup", "--yes", "--nginx-sites", "yes")
    assert main_pid(server) == pid, "other settings are no reason to end the web server"
    server.run("mkdir -p /srv/sites/production")
    site(server, SITE % "first")
    server.slipway("create", "web", "--path", "/srv/sites", "--kind", "nginx-site")
    server.slipway("deploy", "web")
    assert server.get("site.example.org")[1] == "first\n"
    site(server, SITE % "second" + "gzip maybe;\n")
    done = server.slipway("deploy", "web", expect=None)
    said = done.stdout + done.stderr
    assert done.returncode != 0 and "[site.example.org].nginxconf:6" in said and '"gzip"' in said, said
    assert server.get("site.example.org")[1] == "first\n"
    assert server.run("systemctl --failed --no-legend") == ""
    site(server, SITE % "third")
    server.slipway("deploy", "web")
    assert server.get("site.example.org")[1] == "third\n"
    server.slipway("destroy", "web", "--yes")
    assert server.get("site.example.org")[1] != "third\n"
    server.run("rm", "-r", "/srv/sites")


def certificates_are_installed(server):
    """One from outside: judged as nobody, tested with its vhost, served."""
    server.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=shop.example.org -addext subjectAltName=DNS:shop.example.org"
        " -keyout /srv/key.pem -out /srv/chain.pem 2>/dev/null"
    )
    server.slipway("domains", "add", "plain", "shop.example.org")
    server.slipway("certs", "import", "plain", "--chain", "/srv/chain.pem", "--key", "/srv/key.pem")
    wanted = server.run("openssl x509 -noout -fingerprint -in /srv/chain.pem")
    ask = "echo | openssl s_client -connect 127.0.0.1:443 -servername shop.example.org 2>/dev/null | openssl x509 -noout -fingerprint"
    assert server.run(ask) == wanted
    server.slipway("certs", "delete", "plain", "--yes")
    assert server.run(ask) != wanted
    server.run("rm /srv/key.pem /srv/chain.pem")


def a_taken_port_is_said(server):
    """Somebody else's program on the edge's port: said as before, with what to do."""
    server.run("systemctl stop slipwayd slipway-helper slipway-edge")
    server.run("systemd-run --quiet --unit=thief python3 -m http.server 80")
    unit_checks.until(lambda: server.run("curl -s -o /dev/null http://127.0.0.1/", expect=None).returncode == 0)
    server.run("systemctl start slipway-helper slipwayd")
    unit_checks.until(lambda: "another program already does" in server.run("journalctl -q -o cat -u slipwayd -u slipway-helper -n 50"))
    server.run("systemctl stop thief; systemctl restart slipwayd")
    server.wait_get("plain.localhost", seconds=60)


def gone(server):
    server.slipway("destroy", "plain", "--yes")
    server.run("rm", "-r", PATH)
