"""A program that wants a port where nothing can keep others from it; with nftables: test_escape.py."""
import contextlib
import ctypes
import subprocess

import pytest
from harness import ROOT, Platform

pytestmark = pytest.mark.skipif(not ROOT, reason="without root every project is one user, and nobody asks nft")

PROGRAM = """import os
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
MANIFEST = "kind: command\nprocesses:\n  web: {run: [python3, app.py], listen: port}\n"


@contextlib.contextmanager
def without(program):
    """In a mount namespace of this process's own from here on, in which nobody can start it."""
    CLONE_NEWNS = 0x20000
    if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
        pytest.skip("no namespace of mounts is to be had")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", "/dev/null", program], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", program], check=True)


def test_where_there_is_no_nft_one_line_says_so(git):
    """And projects run all the same."""
    repo = git.repository("open", {"app.py": PROGRAM, "slipway.yaml": MANIFEST})
    with without("/usr/sbin/nft"):
        p = Platform()
        try:
            p.start()
            p.create("open", repo.url)
            p.deploy("open")
            assert p.get("open.localhost").status == 200
            assert p.log_text().count("ports_open") == 1 and "apt install nftables" in p.log_text()
        finally:
            p.close()
