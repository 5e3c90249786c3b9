"""Certificates on a server with systemd: pebble as a unit of the machine, with its DNS server; a hook program that root named, within the daemon's
sandbox; orders, renewals, what is served, and all away again. The machine has a public address, of nobody else's in its network. Part of
provided_test.py."""
import json
import os
import re
import time

import unit_checks

HOST, OWN, ADDRESS = "paas.example.org", "shop.example.net", "45.33.32.156"
AUTHORITY, HOOK, KEY = "https://localhost:14000/dir", "/usr/local/sbin/dns-hook", "/etc/dns-hook.key"
PROGRAM = r"""#!/usr/bin/python3
import json, os, sys, urllib.request
what, name, value = sys.argv[1:]
assert open("/etc/dns-hook.key").read() == "a-key-of-the-provider\n" and "HOME" not in os.environ
path, body = ("set-txt", {"host": name + ".", "value": value}) if what == "add" else ("clear-txt", {"host": name + "."})
urllib.request.urlopen("http://127.0.0.1:8055/" + path, json.dumps(body).encode()).read()
"""
MAKE = """
umask 022; mkdir -p /srv/ca; cd /srv/ca
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -subj /CN=test -days 3
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.csr -subj /CN=localhost
echo subjectAltName=DNS:localhost >ext
openssl x509 -req -in own.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3 -extfile ext -out own.pem
cp ca.pem /usr/local/share/ca-certificates/test.crt; update-ca-certificates
systemd-run --unit=dns pebble-challtestsrv -defaultIPv4 %s -defaultIPv6 '' -dns01 127.0.0.1:8053 -http01 '' -https01 '' -tlsalpn01 '' -management 127.0.0.1:8055
systemd-run --unit=pebble -E PEBBLE_VA_NOSLEEP=1 -E PEBBLE_WFE_NONCEREJECT=0 -E PEBBLE_AUTHZREUSE=0 pebble -config /srv/ca/pebble.json -dnsserver 127.0.0.1:8053
""" % ADDRESS
CONFIG = {"pebble": {"listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "certificate": "/srv/ca/own.pem", "privateKey": "/srv/ca/own.key",
                     "httpPort": 80, "tlsPort": 443, "ocspResponderURL": ""}}


def authority(server):
    server.run("mkdir -p /srv/ca; cat >/srv/ca/pebble.json", stdin=json.dumps(CONFIG))
    server.run("sh", "-ec", MAKE)
    unit_checks.until(lambda: server.run("curl -skf https://localhost:15000/roots/0 >/srv/ca/root.pem", expect=None).returncode == 0)
    server.run(f"ip addr add {ADDRESS}/32 dev lo; echo '{ADDRESS} {HOST} {OWN}' >>/etc/hosts")


def shown(server, *which):
    return json.loads(server.slipway("certs", "show", *which, "--json"))


def served(server, name, path="/"):
    """By a certificate that the authority's root vouches for: status and serial."""
    at = f"{name}:443:127.0.0.1"
    status = server.run(f"curl -s -o /dev/null -w '%{{http_code}}' --cacert /srv/ca/root.pem --resolve {at} https://{name}{path}", expect=None).stdout
    serial = server.run(f"echo | openssl s_client -connect 127.0.0.1:443 -servername {name} 2>/dev/null | openssl x509 -noout -serial")
    return int(status or 0), serial.strip().split("=")[1]


def told_to_stay(server, name, path="/", trusted=True):
    """What HTTPS tells browsers of staying with it; None where the answer says nothing of it."""
    how = ("--cacert", "/srv/ca/root.pem") if trusted else ("-k",)
    head = server.run("curl", "-s", "-D-", "-o", "/dev/null", *how, "--resolve", f"{name}:443:127.0.0.1", f"https://{name}{path}")
    assert re.match(r"HTTP/2 200", head), head
    found = re.findall(r"(?im)^strict-transport-security: (.*?)\r?$", head)
    assert len(found) < 2, head
    return found[0] if found else None


def the_hook_is_roots(server):
    """Setup names none that others may change, and none without a host's name; it says what to do."""
    server.run(f"cat >{HOOK}; chmod 755 {HOOK}", stdin=PROGRAM)
    server.run(f"umask 077; echo a-key-of-the-provider >{KEY}; chown root:slipway {KEY}; chmod 640 {KEY}")
    before = server.run("cat /etc/slipway/server.conf")
    for spoil, mend in ((f"chmod g+w {HOOK}", f"chmod 755 {HOOK}"), (f"chown slipway {HOOK}", f"chown root {HOOK}"), (f"chmod 644 {HOOK}", f"chmod 755 {HOOK}")):
        server.run(spoil)
        refused = server.run("slipway", "setup", "--yes", "--dns-hook", HOOK, expect=None)
        server.run(mend)
        assert refused.returncode == 64 and ("root's alone" in refused.stderr or "of a program" in refused.stderr), (spoil, refused)
    assert server.run("cat /etc/slipway/server.conf") == before


def one_serves_all_names_below(server):
    server.slipway("create", "page", "--path", "/srv/page")
    server.slipway("deploy", "page")
    # by the certificate that signs itself
    assert told_to_stay(server, HOST, "/health", trusted=False) is told_to_stay(server, "page.localhost", trusted=False) is None
    server.slipway("setup", "--yes", "--acme", AUTHORITY, "--dns-hook", HOOK)
    # the host's was tried before anybody had named this authority, and waits
    server.slipway("certs", "issue", "--platform")
    unit_checks.until(lambda: all(shown(server, w)["origin"] == "acme" for w in ("--wildcard", "--platform")))
    assert shown(server, "--wildcard")["names"] == ["*." + HOST]
    for name in ("page." + HOST, HOST):
        unit_checks.until(lambda: served(server, name, "/health" if name == HOST else "/")[0] == 200)
    assert served(server, "page." + HOST)[1] == shown(server, "--wildcard")["serial"]
    assert told_to_stay(server, HOST, "/health") == told_to_stay(server, "page." + HOST) == "max-age=31536000"
    assert told_to_stay(server, "page.localhost", trusted=False) is None
    pids = server.run("systemctl show -P MainPID slipwayd slipway-helper")
    assert "nothing was done" in server.slipway("setup") and server.run("systemctl show -P MainPID slipwayd slipway-helper") == pids


def by_the_clock(server):
    """Two thirds of their lives are over at once."""
    server.run("systemctl stop slipwayd.service slipwayd.socket slipwayd-edge.socket slipwayd-http.socket")
    server.run("runuser -u slipway -- python3 -", stdin="""import sqlite3
with sqlite3.connect("/var/lib/slipway/slipway.db") as db:
    for table in ("own_certificate", "certificate"):
        assert db.execute(f"UPDATE {table} SET renew_ms = 1").rowcount > 0, table
""")
    server.run("systemctl start slipwayd.socket slipwayd-edge.socket slipwayd-http.socket slipwayd.service")


def each_is_renewed(server):
    """The wildcard, the host's and a project's own: another one is served. With SLIPWAY_LONG first by command, too."""
    server.slipway("domains", "add", "page", OWN)
    server.slipway("certs", "issue", "page")
    names = {"--wildcard": "page." + HOST, "--platform": HOST, "page": OWN}
    serials = {w: {served(server, n)[1]} for w, n in names.items()}
    for which, name in names.items() if os.environ.get("SLIPWAY_LONG") else ():
        server.slipway("certs", "renew", which)
        serials[which].add(served(server, name)[1])
        assert len(serials[which]) == 2 and shown(server, which)["failures"] == 0, (which, serials, shown(server, which))
    by_the_clock(server)
    end = time.monotonic() + 60
    while not all(served(server, n)[1] not in serials[w] for w, n in names.items()):
        failed = {w: s for w, s in ((w, shown(server, w)) for w in names) if s["failures"]}
        assert time.monotonic() < end and not failed, (failed, serials, server.journal())
        time.sleep(0.3)


def they_are_deleted(server):
    """Files of certbot, too; a project's go with it."""
    acme = "/var/lib/slipway/acme/config"
    server.slipway("certs", "delete", "--wildcard", "--yes")
    assert server.run(f"ls {acme}/live {acme}/archive {acme}/renewal | grep wildcard", expect=None).stdout == ""
    receipt = server.slipway("destroy", "page", "--yes", "--purge")
    assert receipt.count("stayed") == 1, receipt
    assert server.run(f"ls {acme}/live {acme}/archive {acme}/renewal | grep page", expect=None).stdout == ""


def without_the_hook_names_end(server):
    server.slipway("create", "page", "--path", "/srv/page")
    server.slipway("deploy", "page")
    assert "page." + HOST in server.slipway("info", "page", "--json")
    server.slipway("setup", "--yes", "--dns-hook", "none")
    assert "SLIPWAY_DNS_HOOK=\n" in server.run("cat /etc/slipway/server.conf")
    unit_checks.until(lambda: server.get("page." + HOST)[0] == 404)
    assert server.get("page.localhost")[0] == 200
    server.slipway("destroy", "page", "--yes", "--purge")


ALL = (the_hook_is_roots, one_serves_all_names_below, each_is_renewed, they_are_deleted, without_the_hook_names_end)
