"""The nine commands of `slipway admin`, each with what it shows or changes, and what it refuses. Part of test_server.py."""
import re
import time

from server import Server

STATE = "/var/lib/slipway"
WORDS = ("status", "shell", "run -- true", "fix-permissions", "logs", "sudo-audit", "validate", "deployments", "backup", "restore")


def each_is_for_root(server):
    for words in WORDS:
        done = server.run(f"runuser -u nobody -- slipway admin {words} </dev/null", expect=None)
        assert done.returncode != 0 and "root" in done.stderr, (words, done)


def what_is_shown(server):
    status = server.slipway("admin", "status")
    for word in ("(slipway)", "slipwayd", "slipway-helper.service", "slipway-guestbook.slice", STATE + "/slipway.db"):
        assert word in status, (word, status)
    deployments = server.slipway("admin", "deployments")
    assert re.search(r"^guestbook +release \d+ +running \([1-9]", deployments, re.M) and "1 projects" in deployments, deployments
    audit = server.slipway("admin", "sudo-audit")
    assert re.search(r"\d+ performed, [1-9]\d* refused", audit) and re.search(r"^ +\d+  start$", audit, re.M) and "op=supply" in audit, audit
    assert "11 of 11 checks pass" in server.slipway("admin", "validate")


def acts_as_the_daemon(server):
    assert server.slipway("admin", "run", "--", "id", "-un").strip() == "slipway"
    assert server.run("slipway admin run -- sh -c 'exit 7'", expect=7) == ""
    assert server.run("slipway admin run", expect=64) == ""
    assert server.run("echo 'id -un; pwd; echo $HOME' | slipway admin shell").split() == ["slipway", STATE, STATE]


def logs(server):
    listed = server.slipway("admin", "logs")
    assert "slipway-helper" in listed and "guestbook/" in listed, listed
    assert "performed op=" in server.slipway("admin", "logs", "slipway-helper")
    assert "performed op=" in server.run("journalctl -q -o cat -u slipway-helper SYSLOG_FACILITY=10")  # authpriv
    name = re.search(r"guestbook/\S+", listed).group(0)
    assert server.slipway("admin", "logs", name)
    for wrong in ("nginx", "../slipway.db", "/etc/shadow", "guestbook/none.log"):
        assert server.run("slipway", "admin", "logs", wrong, expect=None).returncode != 0, wrong
    # a name that the daemon planted leads nowhere that he may not go
    server.run(f"ln -s /etc/shadow {STATE}/logs/x")
    assert "root:" not in server.run("slipway", "admin", "logs", "x", expect=None).stdout
    server.run(f"rm {STATE}/logs/x")


def permissions_come_back(server):
    server.run(f"chmod 777 {STATE}/keys {STATE}/logs && chown -R nobody {STATE}/backups {STATE}/keys && chmod 644 {STATE}/keys/seal.key {STATE}/owner.token {STATE}/slipway.db")
    # what the daemon could plant: a link, and a second name of a file that is not his
    server.run(f"echo x >/srv/mine && chmod 644 /srv/mine && ln -s /srv/mine {STATE}/logs/link && cp /srv/mine {STATE}/edge/second && ln {STATE}/edge/second {STATE}/logs/second")
    assert server.run("slipway validate", expect=None).returncode == 1
    before = server.run(f"stat -c '%n %U:%G %a' {STATE}/projects/guestbook/releases/*")
    server.slipway("admin", "fix-permissions")
    assert server.run(f"stat -c '%U:%G %a' /srv/mine {STATE}/edge/second").split("\n")[:2] == ["root:root 644"] * 2
    server.run(f"rm /srv/mine {STATE}/logs/link {STATE}/logs/second {STATE}/edge/second")
    assert "11 of 11 checks pass" in server.slipway("validate")
    assert server.run(f"stat -c '%n %U:%G %a' {STATE}/projects/guestbook/releases/*") == before
    assert "; 0 files" in server.slipway("admin", "fix-permissions")


def backup_is_restored(server):
    state, keys = server.slipway("admin", "backup").split()
    assert server.run(f"stat -c '%U %a' {state} {keys} {STATE}/backups/manual").split("\n")[:3] == ["slipway 600", "slipway 600", "slipway 700"]
    projects = server.api("list")
    assert [p["name"] for p in projects["items"]] == ["guestbook"]
    server.slipway("env", "set", "guestbook", "LATER=1")
    server.run(f"mv {state} {keys} /root && head -c 1000 /root/{state.split('/')[-1]} >/root/cut.tar.gz && chmod 600 /root/*.tar.gz")
    state, keys = (f"/root/{path.split('/')[-1]}" for path in (state, keys))
    restore = ("slipway", "admin", "restore", "--state", state, "--keys", keys)
    assert "has projects" in server.run(*restore, expect=None).stderr
    for wrong in (("--state", "/root/cut.tar.gz", "--keys", keys), ("--state", keys, "--keys", state), ("--state", "/root/none", "--keys", keys)):
        assert server.run("slipway", "admin", "restore", "--yes", *wrong, expect=None).returncode != 0, wrong
    assert "LATER" in server.slipway("env", "list", "guestbook")
    shown = server.run(*restore, "--yes")
    assert "backups/manual/state-" in shown and "LATER" not in server.slipway("env", "list", "guestbook")
    assert server.run("ls -d /var/lib/slipway-restore-*", expect=None).stdout == "" and "11 of 11 checks pass" in server.slipway("validate")
    server.run("rm /root/*.tar.gz")
    assert server.api("list")["items"][0]["name"] == "guestbook"
    assert "sealed" not in server.slipway("env", "list", "guestbook")
    server.wait_get("guestbook.localhost", "/healthz")
    server.run(f"rm -r {STATE}/backups/manual")


def moves_to_an_empty_machine(server):
    """docs/backups.md: the server's own two archives and the project's on a second machine that knew nothing; no passphrase, the key moves with it."""
    environment = lambda s: {v["key"]: v.get("value") for v in s.api("env", "list", "guestbook")["items"]}  # noqa: E731
    data, ask = f"{STATE}/projects/guestbook/data", "stat -c '%U %a' {0}/moved; cat {0}/moved"
    server.slipway("env", "set", "guestbook", "MOVED=as-it-was")
    server.run(f"echo of before >{data}/moved && chown sw-guestbook: {data}/moved && chmod 600 {data}/moved")
    want = server.run(ask.format(data)), environment(server)
    server.slipway("backup", "guestbook", "-o", "/root/guestbook.backup")
    state, keys = server.slipway("admin", "backup").split()
    second = Server()
    try:
        second.install()
        second.slipway("setup", "--yes", "--domain", "second.example.org")
        state, keys, archive = (server.hand_over(path, second) for path in (state, keys, "/root/guestbook.backup"))
        second.slipway("admin", "restore", "--state", state, "--keys", keys)
        assert [p["name"] for p in second.api("list")["items"]] == ["guestbook"] and second.get("guestbook.localhost")[0] != 200
        second.slipway("restore", "guestbook", "--from", archive, "--yes")
        assert "Guestbook" in second.wait_get("guestbook.localhost")
        assert second.run(ask.format(data)) == want[0]
        assert environment(second) == want[1] and "MOVED" in want[1]
        assert second.slipway("run", "guestbook", "--", "printenv", "MOVED").split() == ["as-it-was"], "it was unsealed"
        assert "sw-guestbook" in second.run("ps -o user:32= -C gunicorn,python3 | sort -u").split()
        assert [h["name"] for h in second.api("hooks", "list", "guestbook")["items"]] == ["guestbook-push"]
        assert "11 of 11 checks pass" in second.slipway("validate")
        second.reboot()
        assert "Guestbook" in second.wait_get("guestbook.localhost")
    finally:
        second.close()
    server.slipway("env", "unset", "guestbook", "MOVED")
    server.run(f"rm -r {STATE}/backups/manual /root/guestbook.backup {data}/moved")
    for one in server.api("backups", "list", "guestbook")["items"]:
        server.slipway("backups", "delete", "guestbook", str(one["id"]), "--yes")


def daemon_goes_on_after_a_backup(server):
    """Asked all the time, it answers all the time, if later."""
    asking = server.background("sh", "-c", "for i in $(seq 40); do curl -s -o /dev/null -w '%{http_code}\\n' http://127.0.0.1:8000/health; sleep 0.05; done")
    time.sleep(0.3)
    server.slipway("admin", "backup")
    codes = asking.communicate(timeout=60)[0].split()
    assert codes == ["200"] * 40, codes
    server.run(f"rm -r {STATE}/backups/manual")


ALL = (each_is_for_root, what_is_shown, acts_as_the_daemon, logs, permissions_come_back, daemon_goes_on_after_a_backup, backup_is_restored,
       moves_to_an_empty_machine)
