"""S13: a name that is public when it is first asked for and private afterwards, or both at once. An address is judged when the socket to it is
opened, so nothing inside is reached by such a name. A real resolver: a name server of the test's own, in /etc/resolv.conf."""
import os
import signal
import socket
import struct
import threading

import pytest

from harness import Platform, wait_until
from test_notify import Receiver, channel, deliveries

PUBLIC, INSIDE = "93.184.215.14", "127.0.0.1"
pytestmark = pytest.mark.skipif(os.environ.get("SLIPWAY_NAMESPACE") != "inside", reason="a name server needs an /etc/resolv.conf of its own")


class Names(threading.Thread):
    """Addresses of each name, one list an answer; the last list stays."""

    def __init__(self, names):
        super().__init__(daemon=True)
        self.names, self.said = names, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            ask, peer = self.socket.recvfrom(4096)
            labels, at = [], 12
            while ask[at]:
                labels.append(ask[at + 1:at + 1 + ask[at]].decode())
                at += 1 + ask[at]
            question, kind, found = ask[12:at + 5], struct.unpack_from(">H", ask, at + 1)[0], []
            name = ".".join(labels)
            if kind == 1 and name in self.names:
                turns = self.names[name]
                found = turns.pop(0) if len(turns) > 1 else turns[0]
                self.said.append((name, *found))
            answers = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + socket.inet_aton(a) for a in found)
            self.socket.sendto(ask[:2] + struct.pack(">HHHHH", 0x8580, 1, len(found), 0, 0) + question + answers, peer)


def platform(*more):
    return Platform(extra=["--retries", "0s,100ms,100ms", *more])


def tried(p, name, url):
    """A test of the channel that the first call makes, to its end: the newest of its deliveries."""
    if not p.call("GET", f"/api/v1/channels/{name}").status == 200:
        channel(p, None, name, "webhook", target=url)
        p.cli("notify", "test", "--platform", name, expect=None)
    wait_until(lambda: all(d["state"] not in ("waiting", "running") for d in deliveries(p, None, name)), 30)
    return max(deliveries(p, None, name), key=lambda d: d["id"])


def outbound(p):
    children = open(f"/proc/{p.process.pid}/task/{p.process.pid}/children").read().split()
    return next(int(c) for c in children if open(f"/proc/{c}/comm").read() == "slipway-outboun\n")


def test_a_name_that_changes_its_mind():
    names = Names({"turns.example": [[PUBLIC], [INSIDE]], "both.example": [[PUBLIC, INSIDE]]})
    with open("/etc/resolv.conf", "w") as f:
        f.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    inside = Receiver()
    p, control = platform(), platform("--outbound-allow", "127.0.0.0/8")
    try:
        p.start()
        first = tried(p, "turns", inside.url.replace(INSIDE, "turns.example"))
        assert first["state"] == "failed" and "Couldn't connect" in first["error"] and set(names.said) == {("turns.example", PUBLIC)}, (first, names.said)
        os.kill(outbound(p), signal.SIGKILL)  # what it was told it keeps for a minute
        p.cli("notify", "replay", "--platform", "turns", first["id"])
        for name in ("turns", "both"):
            d = tried(p, name, inside.url.replace(INSIDE, name + ".example"))
            assert d["state"] == "failed" and INSIDE in d["error"] and "blocked" in d["error"], d
        assert names.said[:2] == [("turns.example", PUBLIC), ("turns.example", INSIDE)], names.said
        assert ("both.example", PUBLIC, INSIDE) in names.said and inside.seen == []
        control.start()  # the same name leads there where that was allowed
        assert tried(control, "turns", inside.url.replace(INSIDE, "turns.example"))["state"] == "delivered" and len(inside.seen) == 1
    finally:
        p.close()
        control.close()
        inside.close()
        names.socket.close()
