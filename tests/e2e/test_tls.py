"""TLS from the first second: every name has a certificate at once, which signs itself; the presets."""
import http.client
import re
import socket
import ssl
import stat
import subprocess

import pytest

from harness import ROOT, Platform, wait_until


@pytest.fixture(scope="module")
def platform():
    p = Platform()
    try:
        p.start()
        wait_until(p.edge_listens)
        site = p.dir / "site"
        site.mkdir()
        (site / "index.html").write_text("hello")
        p.cli("create", "shop", "--kind", "static")
        p.cli("deploy", "shop", "--dir", site)
        yield p
    finally:
        p.close()


def handshake(p, name, *more):
    """(openssl's words, names of the certificate) of a handshake with this server name."""
    said = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{p.https_port}", "-servername", name, "-alpn", "h2,http/1.1", *more],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=20)
    text = said.stdout + said.stderr
    if "BEGIN CERTIFICATE" not in text:
        return text, []
    shown = subprocess.run(["openssl", "x509", "-noout", "-ext", "subjectAltName"], input=said.stdout, capture_output=True, text=True, check=True)
    return text, re.findall(r"DNS:([^,\s]+)", shown.stdout)


class Https(http.client.HTTPSConnection):
    """To the edge, whatever the name; nobody vouches for its certificate."""

    def __init__(self, p, name):
        super().__init__(name, timeout=20, context=ssl._create_unverified_context())
        self.to = ("127.0.0.1", p.https_port)

    def connect(self):
        self.sock = self._context.wrap_socket(socket.create_connection(self.to, 20), server_hostname=self.host)


def get(p, name, path="/"):
    connection = Https(p, name)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_from_the_first_second(platform):
    text, names = handshake(platform, "shop.localhost")
    assert names == ["shop.localhost"]
    assert "ALPN protocol: h2" in text and "TLSv1.3" in text and "X25519" in text, text[-2000:]
    status, headers, body = get(platform, "shop.localhost")
    assert (status, body) == (200, "hello")
    plain = platform.get("shop.localhost", "/")
    # nobody vouches for it yet: http stays, and no browser is told to stay with https
    assert plain.status == 200 and "Strict-Transport-Security" not in headers


def test_names_that_nobody_has(platform):
    _, names = handshake(platform, "nobody.example.org")
    assert names == ["default.invalid"]
    assert get(platform, "nobody.example.org")[0] == 404
    assert handshake(platform, "../shop.localhost")[1] in (["default.invalid"], [])


def test_the_platforms_own_host(platform):
    assert handshake(platform, "slipway.localhost")[1] == ["slipway.localhost"]
    status, headers, body = get(platform, "slipway.localhost", "/health")
    assert status == 200 and "ok" in body and "Strict-Transport-Security" not in headers


def test_older_and_newer_versions(platform):
    assert "Cipher is ECDHE-ECDSA" in handshake(platform, "shop.localhost", "-tls1_2")[0]
    assert handshake(platform, "shop.localhost", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0")[1] == []
    assert "ALPN" in handshake(platform, "shop.localhost", "-groups", "P-256")[0]


def key_files(p):
    return {f.name: f for f in (p.state / "edge" / "certs" / "self").iterdir()}


def test_keys_are_the_edges_alone(platform):
    files = key_files(platform)
    assert set(files) == {"_", "slipway.localhost", "shop.localhost"}
    for f in files.values():
        assert stat.S_IMODE(f.stat().st_mode) == 0o640 and "PRIVATE KEY" in f.read_text()
        if ROOT:
            assert (f.owner(), f.group()) == ("root", "www-data")
    if ROOT:
        for user in ("slipway", "sw-shop"):
            assert subprocess.run(["setpriv", f"--reuid={user}", "--clear-groups", "cat", files["shop.localhost"]], capture_output=True).returncode != 0
    keys = {f.read_text().split("-----BEGIN CERT")[0] for f in files.values()}
    assert len(keys) == 3


def test_another_name_another_certificate(platform):
    platform.cli("domains", "add", "shop", "shop.example.org")
    wait_until(lambda: handshake(platform, "shop.example.org")[1] == ["shop.localhost", "shop.example.org"])
    platform.cli("domains", "remove", "shop", "shop.example.org")
    wait_until(lambda: handshake(platform, "shop.example.org")[1] == ["default.invalid"])
    assert handshake(platform, "shop.localhost")[1] == ["shop.localhost"]


def test_destroy_takes_it_away(platform):
    platform.cli("create", "gone", "--kind", "static")
    platform.cli("deploy", "gone", "--dir", platform.dir / "site")
    assert handshake(platform, "gone.localhost")[1] == ["gone.localhost"] and "gone.localhost" in key_files(platform)
    receipt = platform.cli("destroy", "gone", "--yes").stdout
    assert re.search(r"removed +virtual host and certificates", receipt), receipt
    assert "gone.localhost" not in key_files(platform)
    assert handshake(platform, "gone.localhost")[1] == ["default.invalid"]


def test_strict():
    """As the webhook service's document has it: no name, no handshake; two curves; then off."""
    p = Platform(extra=["--tls", "strict"])
    try:
        p.start()
        wait_until(p.edge_listens)
        text, names = handshake(p, "slipway.localhost")
        assert names == ["slipway.localhost"] and re.search("P-521|secp521r1", text), text[-1500:]
        assert handshake(p, "slipway.localhost", "-groups", "X25519:P-256")[1] == []
        assert "Cipher is ECDHE-ECDSA-AES256-GCM-SHA384" in handshake(p, "slipway.localhost", "-tls1_2")[0]
        assert handshake(p, "slipway.localhost", "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256")[1] == []
        # Apache cannot end the handshake of a name that nobody has: it shows a certificate of nobody's
        assert handshake(p, "nobody.example.org")[1] == (["default.invalid"] if p.edge_server == "apache" else [])
        assert p.stop() == 0
        p.extra = ["--https", "none"]
        p.start()
        wait_until(p.edge_listens)
        assert handshake(p, "slipway.localhost")[1] == [] and p.get("slipway.localhost", "/health").status == 200
    finally:
        p.close()
