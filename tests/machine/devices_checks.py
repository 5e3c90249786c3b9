"""Devices of the server that a project was granted: its programs open exactly those nodes, by their own /dev, group and control group, and
nobody else does. The nodes stand for a driver that every kernel has (10:229 opens for who may), under the names of graphics cards.
Part of test_server.py, which has the machine."""
import json
import subprocess

from server import SCRIPT
from unit_checks import show, unit_of

FOLDER = "/srv/gfx"
# path below /dev: (kind, major, minor, mode, owner, whether the grant opens it)
NODES = {
    "nvidia0": ("c", 10, 229, "660", "root:video", True),  # by its group
    "nvidiactl": ("c", 10, 229, "666", "root:root", True),
    "dri/renderD128": ("c", 10, 229, "660", "root:video", True),
    "dri/card0": ("c", 10, 229, "666", "root:root", False),  # a display's
    "nvidia-modeset": ("c", 10, 229, "666", "root:root", False),
    "nvidia2": ("c", 10, 229, "666", "nobody:nogroup", False),  # not root's
    "nvidia3": ("b", 7, 0, "666", "root:root", False),
    "nvidia99999": ("c", 10, 229, "666", "root:root", False),  # no such name
    "gpu": ("c", 10, 229, "666", "root:root", False),
    "fuse": ("c", 10, 229, "666", "root:root", False),  # that very device by its own name
    "log-of-the-kernel": ("c", 1, 11, "666", "root:root", False),
}
LINK = "nvidia1"  # leads to the kernel's log
GRANTED = sorted("/dev/" + n for n, row in NODES.items() if row[5])

PROBE = """import os, sys
def opened():
    found = []
    for path in PATHS:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
            found.append(path)
        except OSError:
            pass
    return found
if __name__ == "__main__":
    found = opened()
    print(",".join(found) or "none", sorted({p.split("/")[2] for p in PATHS if os.path.lexists("/".join(p.split("/")[:3]))}))
    sys.exit(0 if sys.argv[1:] != ["build"] or not found else 1)
"""
WEB = """import json, socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from probe import opened
class Report(BaseHTTPRequestHandler):
    def do_GET(self):
        text = json.dumps(opened()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
class Server(HTTPServer):
    def server_bind(self):
        self.socket.close()
        self.socket = socket.socket(fileno=3)
        self.server_name, self.server_port = "gfx", 0
    def server_activate(self):
        pass
    def get_request(self):
        return self.socket.accept()[0], ("", 0)
Server(("", 0), Report).serve_forever()
"""
MANIFEST = """kind: command
devices: [gpu]
build: [[python3, -B, probe.py, build]]
processes: {web: {run: [python3, -B, web.py], listen: socket}}
"""


def outside(server, *command):
    """A command of this side's root in the machine's own /dev: what is in a machine may make no node."""
    init = subprocess.run([SCRIPT, "init", server.name], check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["nsenter", "--target", init, "--mount", "--root", *command], check=True, capture_output=True, text=True)


def plant(server):
    outside(server, "mkdir", "-p", "/dev/dri")
    for name, (kind, major, minor, mode, owner, _) in NODES.items():
        outside(server, "rm", "-f", "/dev/" + name)
        outside(server, "mknod", "/dev/" + name, kind, str(major), str(minor))
        outside(server, "chmod", mode, "/dev/" + name)
        outside(server, "chown", owner, "/dev/" + name)
    outside(server, "ln", "-sfn", "log-of-the-kernel", "/dev/" + LINK)


def unplant(server):
    outside(server, "rm", "-rf", "/dev/dri", *("/dev/" + n for n in (*NODES, LINK)))


def probe(server, project):
    paths = ["/dev/" + n for n in (*NODES, LINK)]
    return server.slipway("run", project, "--", "python3", "-c", f"PATHS = {paths}\n{PROBE}").strip()


def grants_open_exactly_their_nodes(server):
    server.run("mkdir", FOLDER)
    for name, text in {"probe.py": f"PATHS = {['/dev/' + n for n in (*NODES, LINK)]}\n{PROBE}", "web.py": WEB, "slipway.yaml": MANIFEST}.items():
        server.run(f"cat >{FOLDER}/{name}", stdin=text)
    server.slipway("create", "gfx", "--path", FOLDER)
    refused = server.slipway("deploy", "gfx", expect=None)
    assert refused.returncode != 0 and "slipway devices grant gfx gpu" in refused.stdout + refused.stderr, (refused.stdout, refused.stderr)
    assert "was not granted" in refused.stdout + refused.stderr

    assert "devices: [gpu]" in server.slipway("devices", "grant", "gfx", "gpu")
    missing = server.slipway("deploy", "gfx", expect=None)
    assert missing.returncode != 0 and "a device that this server does not have" in missing.stdout + missing.stderr, (missing.stdout, missing.stderr)
    plant(server)
    try:
        server.slipway("deploy", "gfx")
        seen = json.loads(server.wait_get("gfx.localhost"))
        print("opens", seen, "of", len(NODES) + 1, "nodes")
        assert sorted(seen) == GRANTED
        unit = unit_of(server, "gfx")
        allowed = server.run("systemctl", "show", "--property=DeviceAllow", "--", unit).split("\n")
        assert sorted(line for line in allowed if "/dev/" in line) == [f"DeviceAllow={path} rw" for path in GRANTED], allowed
        closed = show(server, unit, "PrivateDevices", "DevicePolicy", "BindPaths")
        assert (closed["PrivateDevices"], closed["DevicePolicy"]) == ("yes", "closed"), closed
        assert sorted(p.split(":")[0].lstrip("-") for p in closed["BindPaths"].split()) == GRANTED, closed
        # one-off runs as well; nobody else
        assert sorted(probe(server, "gfx").split()[0].split(",")) == GRANTED
        assert probe(server, "guestbook") == "none []"
        # taken back: what ran starts anew, without
        assert "may not use gpu any more" in server.slipway("devices", "revoke", "gfx", "gpu")
        seen = json.loads(server.wait_get("gfx.localhost")), probe(server, "gfx")
        assert seen == ([], "none []"), (seen, server.run("cat /run/systemd/system/slipway-gfx.*web*"), server.journal())
        assert server.slipway("devices", "revoke", "gfx", "gpu", expect=None).returncode != 0
    finally:
        unplant(server)
        server.slipway("destroy", "gfx", "--yes", "--purge")
        server.run("rm", "-r", FOLDER)
    assert server.get("guestbook.localhost", "/healthz")[0] == 200
