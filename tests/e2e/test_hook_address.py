"""What a hook's address is worth to its senders is said when it is made, and when it is tried."""
import http.server
import os
import ssl
import subprocess
import threading

import pytest

from harness import Platform, wait_until

NAME = "hooks.example.org"


@pytest.fixture
def server(open_folder):
    """HTTPS under that name, with a certificate that signs itself."""
    if os.environ.get("SLIPWAY_NAMESPACE") != "inside":
        pytest.skip("a name for the address needs an /etc/hosts of its own")
    with open("/etc/hosts", "a") as hosts:
        hosts.write(f"127.0.0.1 {NAME}\n")
    top = open_folder
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", top / "key", "-out", top / "cert", "-days", "2",
                    "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"], check=True, capture_output=True)
    (top / "cert").chmod(0o644)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(top / "cert", top / "key")
    made.socket = context.wrap_socket(made.socket, server_side=True)
    threading.Thread(target=made.serve_forever, daemon=True).start()
    made.url, made.cert = f"https://{NAME}:{made.server_address[1]}", top / "cert"
    yield made
    made.shutdown()
    made.server_close()


def said(server, git, name, *more):
    p = Platform(extra=["--public-url", server.url, "--outbound-allow", "127.0.0.0/8", *more])
    try:
        p.start()
        wait_until(p.edge_listens)
        p.create("shop", git.repository(name, {"index.html": "one"}).url)
        made = p.cli("hooks", "create", "shop", "shop").stdout
        tried = p.api("POST", "/projects/shop/hooks/shop/test", {})
        # this machine's own edge answers under slipway.localhost only
        return made, tried["untrusted"], p.cli("hooks", "test", "shop", "shop", expect=None).stdout
    finally:
        p.close()


def test_a_certificate_that_senders_do_not_trust_is_warned_of(server, git):
    made, untrusted, tried = said(server, git, "one")
    assert "certificate that senders do not trust" in made and untrusted and "mind: the certificate" in tried, (made, tried)
    for part in (server.url + "/hooks/shop", "shown once", "application/json", "at the sender"):
        assert part in made, made
    made, untrusted, tried = said(server, git, "two", "--outbound-ca", str(server.cert))
    assert "certificate" not in made and not untrusted and "mind" not in tried, (made, tried)


def test_a_private_address_is_warned_of(platform, git):
    platform.create("here", git.repository("here", {"index.html": "one"}).url)
    made = platform.cli("hooks", "create", "here", "here").stdout
    assert "senders outside cannot reach this address" in made and "--public-url" in made, made
