"""Every check of `slipway validate` and `slipway audit` against a fault planted in a machine that a sample project runs on. Part of
test_server.py, which has the machine."""
import json

import planted

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
    return before


def validate_finds_each_fault(server):
    plant(server, "validate", planted.VALIDATE, {"fail": 1})
    is_clean(server, "validate")
    as_other = server.run("runuser", "-u", "nobody", "--", "slipway", "validate", expect=None)
    assert as_other.returncode == 1 and "root" in as_other.stderr, as_other
    # Nobody stands at the door of a stopped daemon for long: its sockets wake it.
    server.run("systemctl stop slipwayd.socket slipwayd-edge.socket slipwayd-http.socket slipwayd.service")
    levels, code, _ = look(server, "validate")
    server.run("systemctl start slipwayd.socket slipwayd-edge.socket slipwayd-http.socket slipwayd.service")
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
