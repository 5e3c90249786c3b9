"""A boot without the daemon: what was live serves, by the helper alone; what was stopped does not; then the daemon finds all of it running. What
is kept for that tells nothing to who has no key, and what was spoiled is not believed. Part of test_server.py, which has the machine."""
import os
import re

import hostile_checks
import unit_checks

KEPT = "/var/lib/slipway/helper/boot"
OFF = "/etc/systemd/system/slipwayd.service.d"
APP = """import os, socket
s = socket.socket(fileno=3)
while True:
    c, _ = s.accept()
    c.recv(4096)
    c.sendall(b'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n' + os.environ['WORD'].encode())
    c.close()
"""
WORD = "kept-for-the-next-boot-8841"
MANY = 100 if os.environ.get("SLIPWAY_LONG") else 0
NAMES = ("boot-page", "boot-app", "boot-off", "boot-spoiled")


def put_app(server, name):
    server.run(f"mkdir -p /srv/{name} && cat >/srv/{name}/app.py", stdin=APP)
    server.run(f"cat >/srv/{name}/slipway.yaml", stdin="kind: command\nprocesses:\n  web: {run: [python3, app.py], listen: socket}\n")
    server.slipway("create", name, "--path", f"/srv/{name}")
    server.slipway("env", "set", name, "WORD=" + WORD)
    server.slipway("deploy", name)
    assert server.wait_get(name + ".localhost") == WORD


def put_many(server):
    """One after the other by the CLI, in one call."""
    server.run(f"for i in $(seq {MANY}); do slipway create boot-many-$i --path /srv/boot-app && slipway env set boot-many-$i WORD={WORD} && slipway deploy boot-many-$i || exit 1; done >/dev/null")
    assert len([f for f in kept(server) if f.startswith("boot-many-")]) == MANY


def many_serve(server):
    seen = server.run(f"for i in $(seq {MANY}); do curl -s --retry 20 --retry-delay 1 --retry-all-errors -f -H \"Host: boot-many-$i.localhost\" http://127.0.0.1/; echo; done")
    assert seen == f"{WORD}\n" * MANY, seen
    at = [float(line.split()[0]) for line in server.run("journalctl -b -q -o short-unix | grep -E 'keeper started|Started slipway-boot-many-'").splitlines()]
    print(f"{MANY} more have started {max(at) - min(at):.1f} s after the helper" if MANY else "")
    server.run(f"for i in $(seq {MANY}); do slipway destroy boot-many-$i --yes --purge || exit 1; done >/dev/null")


def kept(server):
    return server.run("ls", KEPT).split()


def of(server, name):
    return [f for f in kept(server) if f.startswith(name + ".")]


def prepare(server):
    server.run("mkdir -p /srv/boot-page && echo 'a page' >/srv/boot-page/index.html")
    server.slipway("create", "boot-page", "--path", "/srv/boot-page")
    server.slipway("deploy", "boot-page")
    for name in NAMES[1:]:
        put_app(server, name)
        assert of(server, name) == [f"{name}.1.web.1.0"]
    put_many(server)
    server.slipway("deploy", "boot-app", "--force")
    unit_checks.until(lambda: of(server, "boot-app") == ["boot-app.2.web.1.0"])
    server.slipway("scale", "boot-app", "web=3")
    assert len(of(server, "boot-app")) == 3
    server.slipway("scale", "boot-app", "web=2")
    unit_checks.until(lambda: len(of(server, "boot-app")) == 2)
    server.slipway("restart", "boot-app")  # a second of each, and the first of each gone: kept once, under the same name
    assert of(server, "boot-app") == ["boot-app.2.web.1.0", "boot-app.2.web.2.0"]
    server.slipway("stop", "boot-off")
    assert of(server, "boot-off") == []
    assert set(server.run(f"stat -c '%U %a' {KEPT} {KEPT}/*").split("\n")[:-1]) == {"root 700", "root 600"}
    assert server.run(f"grep -rlE '{WORD}|{hostile_checks.MARK}' {KEPT}", expect=1) == ""


def spoil(server):
    """A byte that changed; another project's in its place; what a helper was at when it ended."""
    server.run(f"printf x | dd of={KEPT}/boot-spoiled.1.web.1.0 bs=1 seek=200 conv=notrunc status=none")
    server.run(f"cp {KEPT}/boot-app.2.web.1.0 {KEPT}/boot-off.1.web.1.0 && cp {KEPT}/boot-app.2.web.1.0 {KEPT}/.new && mkdir {KEPT}/folder")


def boot_without_the_daemon(server):
    server.run(f"mkdir {OFF} && cat >{OFF}/not.conf", stdin="[Unit]\nConditionPathExists=/nowhere\n")
    server.reboot()


def serves(server):
    assert "Guestbook" in server.wait_get("guestbook.localhost")
    assert server.wait_get("boot-page.localhost") == "a page\n"
    assert server.wait_get("boot-app.localhost") == WORD
    hostile_checks.they_arrive_after_a_boot(server)
    assert server.run("systemctl is-active slipwayd", expect=3).strip() == "inactive"
    running = set(server.run("systemctl list-units --plain --no-legend --state=active 'slipway-*.*@*' | cut -d. -f1 | sort -u").split())
    assert {"slipway-boot-app", "slipway-guestbook"} <= running and not {"slipway-boot-off", "slipway-boot-spoiled"} & running, running
    assert server.get("boot-off.localhost")[0] in (502, 503) and server.get("boot-spoiled.localhost")[0] in (502, 503)
    said = server.run("journalctl -b -q -o cat -u slipway-helper | grep -E 'brought_back|not_brought_back'")
    print(said)
    assert server.run("journalctl -b -q -o cat -u slipway-helper | grep -c 'performed op=start project=boot-app release=2 '").strip() == "2"
    assert said.count("not_brought_back") == 3 and "failed=3" in said, said
    assert of(server, "boot-spoiled") == [] and of(server, "boot-off") == [] and not server.run(f"ls -A {KEPT} | grep '^[.]' || true")
    made = server.run("cd /run/slipway && stat -c '%U:%G %a %n' boot-app boot-app/2 boot-app/2/web.1.sock boot-page/1").split("\n")
    assert made[:-1] == ["slipway:www-data 2750 boot-app", "slipway:www-data 2750 boot-app/2", "slipway:www-data 660 boot-app/2/web.1.sock", "slipway:www-data 2750 boot-page/1"], made


def pids(server):
    return server.run("systemctl show -P MainPID $(systemctl list-units --plain --no-legend --state=active 'slipway-*.*@*' | cut -d' ' -f1 | grep -v boot-spoiled)").split()


def the_daemon_finds_it(server):
    """Nothing that runs is started anew; what could not be brought back is, and what was stopped stays so."""
    before = pids(server)
    assert len(before) >= 5, before
    server.run(f"rm -r {OFF} && systemctl daemon-reload && systemctl start slipwayd")
    assert server.wait_get("boot-spoiled.localhost") == WORD
    unit_checks.until(lambda: of(server, "boot-spoiled") == ["boot-spoiled.1.web.1.0"])
    assert pids(server) == before
    assert server.get("boot-off.localhost")[0] in (502, 503)
    server.slipway("start", "boot-off")
    assert server.wait_get("boot-off.localhost") == WORD and len(of(server, "boot-off")) == 1
    server.slipway("deploy", "boot-app", "--force")
    assert server.wait_get("boot-app.localhost") == WORD
    many_serve(server)
    for name in NAMES:
        server.slipway("destroy", name, "--yes", "--purge")
        assert of(server, name) == []
    server.run("rm -r /srv/boot-*")
    assert server.run("systemctl", "is-system-running").strip() == "running"


ALL = (prepare, spoil, boot_without_the_daemon, serves, the_daemon_finds_it)
