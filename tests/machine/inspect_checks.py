"""Every check of `slipway validate` and `slipway audit` against a fault planted in a machine that a sample project runs on. Part of
test_server.py, which has the machine."""
import email
import json
import re

import planted
import unit_checks
from server import DAEMON

CLEAN = {"validate": "pass", "audit": "INFO"}


def look(server, command):
    """({check: level}, exit status)."""
    more = ["--no-report"] if command == "audit" else []
    done = server.slipway(command, "--json", *more, expect=None)
    checks = json.loads(done.stdout)
    return {c["check"]: c["level"] for c in checks}, done.returncode, checks


def is_clean(server, command):
    levels, code, checks = look(server, command)
    dirty = [c for c in checks if c["level"] != CLEAN[command]]
    assert not dirty and code == 0, (dirty, code)
    assert len(levels) == {"validate": 11, "audit": 10}[command]
    return levels


def plant(server, command, rows, exits):
    before = is_clean(server, command)
    for number, level, how, back in rows:
        done = server.run(how, expect=None)
        try:
            levels, code, checks = look(server, command)
            assert levels.pop(number) == level, (how, done.stderr, checks[number - 1])
            assert levels == {n: l for n, l in before.items() if n != number}, (how, checks)
            assert code == exits.get(level, 0), (how, code)
        finally:
            server.run(back)
    assert server.run("systemctl --failed --no-legend") == ""
    return before


def validate_finds_each_fault(server):
    plant(server, "validate", planted.VALIDATE, {"fail": 1})
    is_clean(server, "validate")
    as_other = server.run("runuser", "-u", "nobody", "--", "slipway", "validate", expect=None)
    assert as_other.returncode == 1 and "root" in as_other.stderr, as_other
    server.run(f"systemctl stop {DAEMON}")
    levels, code, _ = look(server, "validate")
    server.run(f"systemctl start {DAEMON}")
    assert {n: l for n, l in levels.items() if l != "pass"} == {9: "warn"} and code == 0, levels
    shown = server.slipway("validate")
    assert "11 of 11 checks pass" in shown, shown


def audit_finds_each_fault(server):
    plant(server, "audit", planted.AUDIT, planted.EXIT)
    report = "ls /var/log/slipway/security-check-*.log | tail -1"
    before = server.run(report, expect=None).stdout
    server.run("systemctl start slipway-audit.service")
    assert server.run(report) != before
    assert server.run("stat -c %a /var/log/slipway /var/log/slipway/*").split()[:2] == ["700", "600"]


SINK = """
import asyncore, smtpd
class Sink(smtpd.SMTPServer):
    def process_message(self, peer, sender, to, data, **more):
        with open("/srv/mails/" + to[0], "ab") as f:
            f.write(data + b"\\n")
Sink(("9.9.9.9", 25), None)
asyncore.loop()
"""
POST = (  # another machine, as far as the daemon can tell: it mails to none of its own addresses
    "mkdir /srv/mails && cat >/srv/sink.py && ip netns add post && ip link add post type veth peer name eth0 netns post && ip addr add 9.9.9.1/24 dev post && ip link set post up"
    " && ip -n post addr add 9.9.9.9/24 dev eth0 && ip -n post link set eth0 up && echo 9.9.9.9 smtp.example.org >>/etc/hosts"
    " && systemd-run -q --unit=sink ip netns exec post python3 -W ignore /srv/sink.py && " + planted.until("ip netns exec post ss -Hltn sport = 25 | grep -q .")
)
NO_POST = "systemctl stop sink; ip link del post; ip netns del post; sed -i '/smtp.example.org/d' /etc/hosts; rm -r /srv/sink.py /srv/mails"
SOON = "[Timer]\nOnCalendar=\nOnActiveSec=1s\nAccuracySec=100ms\nRandomizedDelaySec=0\n"


def the_timer_mails_what_is_critical(server):
    """The timer itself, a day shorter: nothing is told of what is fine, and of what is critical the mail that arrives names it."""
    server.run(POST, stdin=SINK)
    server.slipway("mail", "set", "--host", "smtp.example.org", "--port", "25", "--tls", "none", "--from", "slipway@example.org")
    server.slipway("notify", "add", "admins", "mail", "--platform", "--target", "root@example.org", "--events", "server.*")
    server.run("systemctl start slipway-audit.service")
    assert server.api("notify", "deliveries", "--platform", "admins")["items"] == []
    drop_in = "/run/systemd/system/slipway-audit.timer.d"
    server.run("chmod o+r /var/lib/slipway/keys/seal.key")
    server.run(f"mkdir {drop_in} && cat >{drop_in}/soon.conf && systemctl daemon-reload && systemctl restart slipway-audit.timer", stdin=SOON)
    try:
        unit_checks.until(lambda: server.run("cat /srv/mails/root@example.org", expect=None).stdout.endswith("\n"))
        unit_checks.until(lambda: server.run("systemctl is-failed slipway-audit.service", expect=None).stdout == "failed\n")  # shows it as well
    finally:
        server.run(f"chmod o= /var/lib/slipway/keys/seal.key; rm -r {drop_in}; systemctl daemon-reload; systemctl restart slipway-audit.timer; systemctl reset-failed")
    mail = email.message_from_string(server.run("cat /srv/mails/root@example.org"))
    server.run(NO_POST)
    words, report = mail.get_payload(decode=True).decode(), server.run("ls /var/log/slipway/security-check-*.log | tail -1").strip()
    assert mail["Subject"] == "the server's audit found something critical" and mail["To"] == "<root@example.org>", mail
    finding = re.search(r"^everybody may read /var/lib/slipway/keys/seal\.key .*", words, re.M)[0]
    assert report in words and f"CRITICAL {finding}" in server.run("cat", report), words
    assert [(d["event"], d["state"]) for d in server.api("notify", "deliveries", "--platform", "admins")["items"]] == [("server.critical", "delivered")]
    server.slipway("notify", "delete", "--platform", "admins", "--yes")
    server.slipway("mail", "remove")
    assert server.run("systemctl show -P NextElapseUSecRealtime slipway-audit.timer").strip()


# ---- slipway audit --advice ----


def advice(server):
    """({item: level}, {item: what the commands are})."""
    done = server.slipway("audit", "--advice", "--json")
    items = json.loads(done)
    for i in items:
        assert i["reason"] and i["benchmark"] and i["findings"], i
        assert (i["level"] == "fine") == (not any("command" in f for f in i["findings"])) or "nobody knows" in i["findings"][0]["words"], i
    return {i["name"]: i["level"] for i in items}, {i["name"]: [f["command"] for f in i["findings"] if "command" in f] for i in items}


def all_but(levels, *names):
    return {n: l for n, l in levels.items() if n not in names}


def type_it(server, commands):
    """As printed. The packages are there already: apt-get finds so without an archive."""
    for command in dict.fromkeys(commands):
        server.run(command)


def advice_mends(server, item, *more):
    """What it says to type is typed; the item is fine then, and all the others say what they said."""
    before, commands = advice(server)
    assert before[item] != "fine", before
    type_it(server, commands[item])
    after, _ = advice(server)
    assert after[item] == "fine", (item, commands[item], after)
    assert all_but(after, item, *more) == all_but(before, item, *more), (item, before, after)


def advice_finds_each_fault(server, rows, *more):
    before, _ = advice(server)
    for item, level, how, *back in rows:
        server.run(how)
        planted_levels, commands = advice(server)
        assert planted_levels[item] == level, (how, planted_levels)
        assert all_but(planted_levels, item, *more) == all_but(before, item, *more), (how, before, planted_levels)
        if back:
            server.run(back[0])
            assert advice(server)[0] == before, (how, back)
        else:
            type_it(server, commands[item])
            assert advice(server)[0] == before, (how, commands[item])


def state_of(server):
    """What advice is about: every file of /etc with its owner and mode, the kernel's settings, rules, units, mounts."""
    return server.run(
        "find /etc -xdev -printf '%p %u %g %m %l %T@\\n' | sort; find /etc -xdev -type f -print0 | sort -z | xargs -0 sha256sum;"
        "sysctl -a 2>/dev/null | grep -E '^(net\\.ipv[46]\\.(conf|tcp_syn)|fs\\.(suid|protected)|kernel\\.(kptr|dmesg|randomize|yama|core))' | sort;"
        "nft -s list ruleset; systemctl list-unit-files --no-legend | sort; systemctl list-units --all --no-legend --plain | awk '{print $1, $2, $3}' |"
        " grep -vE '^(run-|session-|user|systemd-(tmpfiles|hostnamed|timedated))' | sort; findmnt -rno TARGET,OPTIONS | grep -vE '^/(proc|sys|run/user)' | sort; dpkg -l"
    ).splitlines()


def advice_changes_nothing(server):
    before = state_of(server)
    shown = server.slipway("audit", "--advice")
    server.slipway("audit", "--advice", "--json")
    server.slipway("audit", "--no-report", expect=None)
    assert state_of(server) == before
    return shown


def setup_hardens_nothing(server, *args):
    """Nor does setup: of what there is for advice to look at only Slipway's own is new."""

    def others():
        ours = ("slipway", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")
        folders = ("/etc ", "/etc/systemd/system ", "/etc/systemd/system/")
        return [line for line in state_of(server) if not any(o in line for o in ours) and not line.startswith(folders)]

    before = others(), advice(server)[0]
    done = server.slipway("setup", "--yes", *args)
    after = others(), advice(server)[0]
    assert after == before, sorted(set(before[0]) ^ set(after[0]))
    assert "slipway audit --advice" in done, done


def advice_without_sshd(server):
    """On a server with a project, with next to nothing of what it is about; advice_test.py has the rest."""
    shown = advice_changes_nothing(server)
    assert "there is no sshd on this machine" in shown, shown
    levels, commands = advice(server)
    assert {levels[n] for n in levels if n.startswith("ssh ") or n == "bans"} == {"fine"}, levels
    assert commands["firewall"] == ["apt-get install -y ufw && ufw allow 80/tcp && ufw allow 443/tcp && ufw --force enable"]
    assert commands["updates"] == ["apt-get install -y unattended-upgrades"]
