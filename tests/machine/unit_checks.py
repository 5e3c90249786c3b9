"""Processes of projects as units of systemd: where they are, how closed in, what a stranger gets at the supply socket, what comes back
after a kill, and which limit a greedy build met. Part of test_server.py, which has the machine."""
import re
import time

from server import TOP  # noqa: F401  (first: it makes the e2e tests known)

import apps

# Asks as slipway-exec does (launch/supply.h); says what came back.
ASK = """import socket, struct, sys
op, key = int(sys.argv[1]), int(sys.argv[2], 16)
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(10)
s.connect('/run/slipway-helper/supply.sock')
s.send(struct.pack('=IIQiIQQ', 0x59505553, op, key, 0, 0, 0, 0))
print(len(s.recv(4096)))
"""


def unit_of(server, project, process="web"):
    """The unit of the newest instance of that process."""
    names = server.run(f"systemctl list-units --plain --no-legend --state=active 'slipway-{project}.{process}@*'").split("\n")
    units = [line.split()[0] for line in names if line.strip()]
    assert units, (project, process, server.run("systemctl list-units --all 'slipway-*'"))
    return units[-1]


def show(server, unit, *properties):
    wanted = [f"--property={p}" for p in properties]
    return dict(line.split("=", 1) for line in server.run("systemctl", "show", *wanted, "--", unit).strip().split("\n"))


def exposure(server, unit):
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", server.run("systemd-analyze", "security", "--no-pager", "--", unit)).group(1))


def processes_are_units(server):
    unit = unit_of(server, "guestbook")
    seen = show(server, unit, "User", "Slice", "NoNewPrivileges", "MemoryMax", "TasksMax", "MainPID", "CapabilityBoundingSet", "PrivateTmp", "ProtectSystem")
    assert (seen["User"], seen["Slice"]) == ("sw-guestbook", "slipway-guestbook.slice"), seen
    assert (seen["NoNewPrivileges"], seen["PrivateTmp"], seen["ProtectSystem"], seen["CapabilityBoundingSet"]) == ("yes", "yes", "strict", ""), seen
    # Every process of the project, and nothing else, is in its slice.
    for line in server.run("ps -o pid= -u sw-guestbook").split():
        groups = server.run("cat", f"/proc/{line}/cgroup")
        assert "/slipway.slice/slipway-guestbook.slice/" + unit in groups, groups
    assert "slipway-guestbook" not in server.run("cat /proc/$(systemctl show -P MainPID slipway-helper)/cgroup")
    level = exposure(server, unit)
    print("exposure of", unit, level)
    assert level <= 1.5


def put_project(server, name, files):
    """FILES as a folder of the server."""
    folder = f"/srv/{name}"
    for path, text in apps.with_version(files, "v1").items():
        server.run(f"mkdir -p $(dirname {folder}/{path}) && cat >{folder}/{path}", stdin=text)
    return folder


WSGI = "kind: django\nhealth: {path: /version, interval: 100ms}\nprocesses: {web: {wsgi: site1.wsgi, server: mod_wsgi}}\n"
KINDS = {"page": {"index.html": "a page", "version": "v1"}, "node": apps.NODE, "wsgi": {**apps.DJANGO, "slipway.yaml": WSGI}}
PROGRAMS = {"page": None, "node": "node", "wsgi": "apache2"}


def kinds_are_as_closed_in(server):
    """S20 of static, Node and mod_wsgi (Django with gunicorn and port programs: above and below): each answers while it is measured."""
    for name, files in KINDS.items():
        server.slipway("create", name, "--path", put_project(server, name, files))
        server.slipway("deploy", name)
        answers = lambda: server.wait_get(f"{name}.localhost", "/version") == "v1"  # noqa: B023, E731
        assert answers()
        users = {tuple(line.split()) for line in server.run(f"ps -o user:32=,comm= -u sw-{name}", expect=None).stdout.splitlines()}
        units = server.run(f"systemctl list-units --plain --no-legend --state=active 'slipway-{name}.*@*' | cut -d' ' -f1").split()
        if PROGRAMS[name] is None:  # nothing of its own runs: the edge, which is measured where it is closed in, serves its files
            assert (users, units) == (set(), []), (users, units)
        else:
            assert (f"sw-{name}", PROGRAMS[name]) in users and len(units) == 2, (users, units)
            assert server.run(f"pgrep -x {PROGRAMS[name]} -u root,www-data", expect=None).stdout == "", "a project's program is its user's alone"
        for unit in units:
            assert show(server, unit, "User")["User"] == f"sw-{name}"
            level = exposure(server, unit)
            print("exposure of", unit, level)
            assert level <= 1.5 and answers()
        server.slipway("destroy", name, "--yes")
        server.run("rm", "-r", f"/srv/{name}")


def strangers_get_nothing(server):
    """The socket is open to all tenants; only the instance's own process, and only once, is answered; only root may tell an end."""
    unit = unit_of(server, "guestbook")
    key, pid = unit.rsplit(".", 2)[1], show(server, unit, "MainPID")["MainPID"]
    server.run("cat >/srv/ask.py", stdin=ASK)
    for user in ("sw-guestbook", "nobody", "slipway", "root"):
        assert server.run("runuser", "-u", user, "--", "python3", "/srv/ask.py", "1", key).strip() == "0", user
    for user in ("sw-guestbook", "nobody", "slipway"):
        assert server.run("runuser", "-u", user, "--", "python3", "/srv/ask.py", "2", key).strip() == "0", user
    assert server.run("runuser -u nobody -- python3 /srv/ask.py 1 ffff").strip() == "0"
    assert show(server, unit, "MainPID")["MainPID"] == pid
    refused = server.run("journalctl -q -o cat -u slipway-helper | grep -c 'refused op=supply'")
    assert int(refused) >= 8, refused
    assert server.get("guestbook.localhost", "/healthz")[0] == 200


def what_is_killed_comes_back(server):
    unit = unit_of(server, "guestbook")
    server.run("systemctl", "kill", "--signal=SIGKILL", "--", unit)
    server.wait_get("guestbook.localhost", "/healthz")
    assert "signal=9" in server.run("journalctl -q -o cat -u slipway-helper | grep 'ended project=guestbook process=web' | tail -1")


GREEDY = {
    "memory": ("x = [bytearray(1 << 20) for _ in range(4000)]", "{memory: 512M, build: {memory: 64M}}", "ran out of memory"),
    "tasks": ("import os, time\nfor i in range(400):\n    if os.fork() == 0:\n        time.sleep(30)\n        os._exit(0)", "{tasks: 40}", "limits.tasks"),
    "time": ("import time\ntime.sleep(600)", "{build: {time: 1500ms}}", "limits.build.time"),
    "disk": ("f = open('large', 'wb')\nfor _ in range(400):\n    f.write(bytes(1 << 20))", "{disk: 16M}", "limits.disk"),
}


def greedy_builds_name_their_limit(server):
    for what, (program, limits, words) in GREEDY.items():
        folder, name = f"/srv/greedy-{what}", f"greedy-{what}"
        server.run(f"mkdir {folder} && cat >{folder}/greedy.py", stdin=program + "\nprint('no limit met')\n")
        server.run(f"cat >{folder}/slipway.yaml", stdin=f"kind: static\nlimits: {limits}\nbuild: [[python3, -u, greedy.py]]\n")
        server.run(f"echo x >{folder}/index.html")
        server.slipway("create", name, "--path", folder)
        done = server.slipway("deploy", name, "-v", expect=None)
        said = done.stdout + done.stderr
        assert done.returncode != 0 and words in said and "no limit met" not in said, (what, said, server.journal())
        assert server.run(f"pgrep -u sw-{name}", expect=None).stdout == "", what
        server.slipway("destroy", name, "--yes")
        assert server.run(f"ls /run/systemd/system | grep {name}", expect=None).stdout == ""
        server.run("rm", "-r", folder)
    assert server.get("guestbook.localhost", "/healthz")[0] == 200


def backups_come_back(server):
    """As units of systemd: what is packed leaves, and what is unpacked enters, by the one descriptor that a job is handed."""
    data = "/var/lib/slipway/projects/porty-eu/data"
    server.run(f"echo one >{data}/file && chown --reference={data} {data}/file")
    assert "entries" in server.slipway("backup", "porty-eu")
    server.run(f"rm {data}/file && echo two >{data}/other")
    server.slipway("restore", "porty-eu", "--yes")
    assert server.run(f"ls -A {data} && cat {data}/file").split() == ["file", "one"]
    assert "it is served" in server.wait_get("porty-eu.localhost")
    assert "slipway restore porty-eu" in server.slipway("destroy", "porty-eu", "--yes")
    server.slipway("restore", "porty-eu", "--yes")
    assert server.run(f"cat {data}/file") == "one\n" and "it is served" in server.wait_get("porty-eu.localhost")
    assert server.run("find /var/lib/slipway/backups/p* ! -user slipway -o ! -perm 0600 -a ! -perm 0700") == ""


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def sleeps_and_wakes(server, project):
    """Both units are gone while it sleeps; the first request has both again, and loses nothing."""
    count = lambda: server.run(f"systemctl list-units --plain --no-legend --state=active 'slipway-{project}.*@*' | wc -l").strip()
    until(lambda: count() == "0")
    assert "asleep" in server.slipway("status", project)
    assert server.get(project + ".localhost")[0] == 200
    assert count() == "2"


def ports_are_their_projects(server, name):
    """Nobody else's program gets a connection at a project's port, root's neither; and nobody else may listen there."""
    port = re.search(r"127\.0\.0\.1:(2\d{4}) ", server.run("ss -Hltn")).group(1)
    ask = f"curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:{port}/"
    answers = {user: server.run("runuser", "-u", user, "--", "sh", "-c", ask, expect=None).stdout for user in ("root", "nobody", "sw-guestbook", "sw-" + name)}
    assert answers == {"root": "000", "nobody": "000", "sw-guestbook": "000", "sw-" + name: "200"}, answers
    first = int(port) // 10 * 10
    for project, allow in ((name, f"tcp{first}-{first + 9}"), ("guestbook", "")):  # as systemd shows what it read: without the colon
        binds = show(server, unit_of(server, project, "web"), "SocketBindAllow", "SocketBindDeny")
        assert (binds.get("SocketBindAllow", ""), binds["SocketBindDeny"]) == (allow, "tcp20000-31999"), binds


def port_programs_have_a_relay(server):
    server.run("mkdir /srv/porty && cat >/srv/porty/Procfile", stdin="web: python3 -m http.server $PORT --bind 127.0.0.1\n")
    server.run("cat >/srv/porty/slipway.yaml", stdin="sleep: 6s\n")
    server.run("echo it is served >/srv/porty/index.html")
    server.slipway("create", "porty-eu", "--path", "/srv/porty", "--kind", "command")
    server.slipway("deploy", "porty-eu")
    assert "it is served" in server.wait_get("porty-eu.localhost")
    for process in ("web", "relay.web"):
        server.wait_get("porty-eu.localhost")  # awake
        unit = unit_of(server, "porty-eu", process)
        assert show(server, unit, "Slice")["Slice"] == "slipway-porty\\x2deu.slice"
        level = exposure(server, unit)
        print("exposure of", unit, level)
        assert level <= 1.5
    ports_are_their_projects(server, "porty-eu")
    sleeps_and_wakes(server, "porty-eu")
    backups_come_back(server)
    # A dash nests slices: nobody stops `porty-eu` by way of a `porty`.
    assert server.run("systemctl list-units --plain --no-legend 'slipway-porty.slice'").strip() == ""
    server.slipway("destroy", "porty-eu", "--yes")
    server.run("rm", "-r", "/srv/porty")
    assert server.run("ls /run/systemd/system | grep porty", expect=None).stdout == ""
    until(lambda: server.run("systemctl list-units --all --plain --no-legend 'slipway-porty*'; find /sys/fs/cgroup -name '*porty*'") == "")
