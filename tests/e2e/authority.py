"""A certificate authority of the test's own: pebble with its DNS server, both Debian's, on free ports."""
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request

from harness import free_port, wait_until


def openssl(*args, **more):
    return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True, **more).stdout


class Authority:
    """Validates by HTTP on the port given; every name leads to 127.0.0.1."""

    def __init__(self, folder, http_port):
        self.dir, self.process, self.dns = folder, None, None
        self.dir.mkdir(exist_ok=True)
        self.port, self.management, self.dns_port, self.dns_management = (free_port() for _ in range(4))
        self.ca = self.dir / "ca.pem"
        key = self.dir / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", self.ca, "-subj", "/CN=test", "-days", "3")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.dir / "own.key", "-out", self.dir / "own.csr", "-subj", "/CN=localhost")
        (self.dir / "ext").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        openssl("x509", "-req", "-in", self.dir / "own.csr", "-CA", self.ca, "-CAkey", key, "-CAcreateserial", "-days", "3", "-extfile", self.dir / "ext", "-out", self.dir / "own.pem")
        self.ca.chmod(0o644)
        (self.dir / "pebble.json").write_text(json.dumps({"pebble": {
            "listenAddress": f"127.0.0.1:{self.port}", "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": str(self.dir / "own.pem"), "privateKey": str(self.dir / "own.key"), "httpPort": http_port, "tlsPort": free_port(), "ocspResponderURL": "",
        }}))
        self.url = f"https://localhost:{self.port}/dir"

    def start(self):
        log = open(self.dir / "log", "ab")
        env = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
        self.dns = subprocess.Popen(
            ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{self.dns_port}", "-http01", "", "-https01", "", "-tlsalpn01", "",
             "-management", f"127.0.0.1:{self.dns_management}"], stdout=log, stderr=log, env=env)
        self.process = subprocess.Popen(["pebble", "-config", self.dir / "pebble.json", "-dnsserver", f"127.0.0.1:{self.dns_port}"], stdout=log, stderr=log, env=env)
        wait_until(self.answers, 20)
        return self

    def answers(self):
        try:
            for port in (self.port, self.management, self.dns_management):
                socket.create_connection(("127.0.0.1", port), 5).close()
            return True
        except OSError:
            return False

    def stop(self):
        for p in (self.process, self.dns):
            if p:
                p.kill()
                p.wait()
        self.process = self.dns = None

    def root(self):
        """What its certificates are trusted by: new at each start."""
        with urllib.request.urlopen(f"https://localhost:{self.management}/roots/0", context=ssl._create_unverified_context(), timeout=10) as answer:
            return answer.read().decode()

    def status_of(self, serial):
        with urllib.request.urlopen(f"https://localhost:{self.management}/cert-status-by-serial/{serial}", context=ssl._create_unverified_context(), timeout=10) as answer:
            return json.load(answer)["Status"]


def own_pair(folder, name, days=90):
    """(chain, key) as files: one of a person's own authority."""
    folder.mkdir(exist_ok=True)
    ca, ca_key = folder / "own-ca.pem", folder / "own-ca.key"
    if not ca.exists():
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", ca_key, "-out", ca, "-subj", "/CN=our own", "-days", "30")
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    openssl("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", folder / "csr", "-subj", f"/CN={name}")
    (folder / "ext").write_text(f"subjectAltName=DNS:{name}\n")
    chain.write_bytes(openssl("x509", "-req", "-in", folder / "csr", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-days", days, "-extfile", folder / "ext") + ca.read_bytes())
    return chain, key
