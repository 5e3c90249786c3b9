"""Every check of `slipway validate` and `slipway audit` against a fault planted in a machine that a sample project runs on. Part of
test_server.py, which has the machine."""
import json

import planted
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
    # as the timer does it
    server.slipway("notify", "add", "admins", "mail", "--platform", "--target", "root@example.org", "--events", "server.*")
    server.run("systemctl start slipway-audit.service")
    assert server.api("notify", "deliveries", "--platform", "admins")["items"] == []
    server.run("chmod o+r /var/lib/slipway/keys/seal.key")
    server.run("systemctl start slipway-audit.service", expect=1)
    server.run("chmod o= /var/lib/slipway/keys/seal.key && systemctl reset-failed")
    told = server.api("notify", "deliveries", "--platform", "admins")["items"]
    assert [d["event"] for d in told] == ["server.critical"], told
    shown = server.slipway("notify", "delivery", "--platform", "admins", str(told[0]["id"]))
    print(shown)
    server.slipway("notify", "delete", "--platform", "admins", "--yes")
    report = server.run("cat $(ls /var/log/slipway/security-check-*.log | tail -1)")
    assert "CRITICAL everybody may read /var/lib/slipway/keys/seal.key" in report, report
    assert server.run("stat -c %a /var/log/slipway /var/log/slipway/*").split()[:2] == ["700", "600"]
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
