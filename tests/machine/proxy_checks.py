"""Proxies in front of the web server, `slipway setup --trusted-proxies`: whom it believes about a visitor's address, in its log and for a hook that takes
some addresses only. Part of test_server.py, which has the machine; needs edge_checks.plain."""
import json
import secrets
import uuid

import unit_checks
from senders import SENDERS  # of the e2e tests, which server.py makes known

GITHUB = next(s for s in SENDERS if s.label == "github")
PROXY, BEHIND, STRANGER, CLIENT, OTHER = "127.0.0.2", "192.0.2.7", "127.0.0.3", "203.0.113.9", "198.51.100.1"
SAID, LIST = "127.0.0.2, 192.0.2.0/24", "127.0.0.2,192.0.2.0/24"
BAD = ("10.0.0.1/8", "127.0.0.2,", "127.0.0.2 ::1", " ", "127.0.0.2,none", "127.0.0.2/32\n", "::1," * 260 + "::1", "proxy.example.org")
HELPER = "slipway-helper.service"


def conf(server):
    return server.run("cat /etc/slipway/server.conf")


def pids(server):
    return server.run("systemctl show -P MainPID slipwayd slipway-helper")


def told(server):
    """What the helper of now was started with; right after its start it is systemd's copy for a moment."""
    read = lambda: server.run(f"cat /proc/$(systemctl show -P MainPID {HELPER})/cmdline", expect=None).stdout.split("\0")  # noqa: E731
    unit_checks.until(lambda: "--keeper" in read(), 10)
    argv = read()
    return argv[argv.index("--trusted-proxies") + 1]


def seen(server, source, claim):
    """Whose address the web server's log has, of a request that comes from `source` and says that it is somebody else's."""
    mark = secrets.token_hex(8)
    found = lambda: server.run(f"grep -F {mark} /var/lib/slipway/edge/log/access.log", expect=None).stdout  # noqa: E731
    server.run(f"curl -s -o /dev/null --interface {source} -H 'Host: plain.localhost' -H 'X-Forwarded-For: {claim}' http://127.0.0.1/{mark}")
    unit_checks.until(found, 10)
    return json.loads(found())["remote"]


def push(server, hook, source, claim):
    """The status of a signed delivery."""
    body = json.dumps({"ref": "refs/heads/elsewhere", "before": "6" * 40, "after": "5" * 40})
    host, path = hook["url"].removeprefix("http://").split("/", 1)
    headers = {"Host": host, "X-Forwarded-For": claim, **GITHUB.request(hook["secret"], body.encode(), str(uuid.uuid4()))}
    flags = [part for h in headers.items() for part in ("-H", ": ".join(h))]
    return int(server.run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--interface", source, *flags, "--data-binary", "@-", "http://127.0.0.1/" + path, stdin=body))


def bad_lists_are_refused(server):
    before = conf(server), pids(server)
    for bad in BAD:
        refused = server.slipway("setup", "--yes", "--trusted-proxies", bad, expect=None)
        assert refused.returncode in (64, 65) and "--trusted-proxies" in refused.stderr, (bad, refused)
    assert "203.0.113.0/24" in refused.stderr, refused  # the hint
    assert (conf(server), pids(server)) == before


def proxies_are_believed(server, edge="slipway-edge.service"):
    """Shown before it is done; kept by a setup that is not told of it; taken away again. The web server serves on."""
    master = lambda: server.run("systemctl", "show", "-P", "MainPID", edge)  # noqa: E731
    before, pid = conf(server), master()
    assert "\nSLIPWAY_TRUSTED_PROXIES=\n" in before and told(server) == "" and seen(server, PROXY, CLIENT) == PROXY
    shown = server.run("slipway", "setup", "--trusted-proxies", SAID, expect=None, stdin="")
    assert shown.returncode == 64 and f"believing the proxies {LIST}" in shown.stdout and conf(server) == before, shown
    name = "behind-" + secrets.token_hex(3)
    hook = server.api("hooks", "create", "plain", name, "--sender", "github", "--from", "203.0.113.0/24")
    assert push(server, hook, PROXY, CLIENT) == 403
    server.slipway("setup", "--yes", "--trusted-proxies", SAID)
    assert f"\nSLIPWAY_TRUSTED_PROXIES={LIST}\n" in conf(server) and told(server) == LIST
    unit_checks.until(lambda: seen(server, PROXY, CLIENT) == CLIENT)
    for source, claim, who in ((PROXY, f"{OTHER}, {CLIENT}, {BEHIND}", CLIENT), (PROXY, f"{CLIENT}, {OTHER}", OTHER), (STRANGER, CLIENT, STRANGER)):
        assert seen(server, source, claim) == who, (source, claim)
        assert (push(server, hook, source, claim) < 300) == (who == CLIENT), (source, claim)
    assert "nothing was done" in server.slipway("setup")
    server.slipway("setup", "--yes", "--tls", "strict")
    assert f"\nSLIPWAY_TRUSTED_PROXIES={LIST}\n" in conf(server) and seen(server, PROXY, CLIENT) == CLIENT
    server.slipway("setup", "--yes", "--tls", "intermediate", "--trusted-proxies", "none")
    assert conf(server) == before and told(server) == ""
    unit_checks.until(lambda: seen(server, PROXY, CLIENT) == PROXY)
    assert push(server, hook, PROXY, CLIENT) == 403 and master() == pid
    server.slipway("hooks", "delete", "plain", name, "--yes")


def settings_of_before_name_none(server):
    """A server.conf that an earlier version wrote: the helper starts with it. Setup adds the line."""
    before = conf(server)
    server.run(f"sed -i /TRUSTED_PROXIES/d /etc/slipway/server.conf && systemctl restart {HELPER}")
    assert told(server) == ""
    unit_checks.until(lambda: server.get("plain.localhost")[0] == 200)
    server.slipway("setup", "--yes")
    assert conf(server) == before
