"""`slipway run`: a one-off command over an upgraded connection, with and without a terminal (frames: src/text/run_frame.h)."""
import json
import socket
import struct
import time

import pytest

STDIN, STDOUT, RESIZE, SIGNAL, EOF, EXIT, ERROR = 0, 1, 3, 4, 5, 6, 7


class Session:
    def __init__(self, platform, project, argv, terminal=None):
        body = json.dumps({"argv": argv, **({"terminal": terminal} if terminal else {})}).encode()
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(platform.run / "api.sock"))
        self.socket.sendall(
            f"POST /api/v1/projects/{project}/run HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: slipway-run\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        self.head, self.bytes, self.output, self.exit = b"", b"", b"", None

    def send(self, kind, payload=b""):
        self.socket.sendall(struct.pack(">BI", kind, len(payload)) + payload)

    def hear(self, until=None):
        """Until the text has come, or the end."""
        while self.exit is None and (until is None or until not in self.output):
            piece = self.socket.recv(65536)
            assert piece, (self.head, self.output)
            self.bytes += piece
            if not self.head and b"\r\n\r\n" in self.bytes:
                self.head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
                assert self.head.startswith(b"HTTP/1.1 101 "), (self.head, self.bytes)
            while self.head and len(self.bytes) >= 5:
                kind, size = struct.unpack(">BI", self.bytes[:5])
                if len(self.bytes) < 5 + size:
                    break
                payload, self.bytes = self.bytes[5 : 5 + size], self.bytes[5 + size :]
                if kind in (STDOUT, ERROR):
                    self.output += payload
                if kind == EXIT:
                    self.exit = struct.unpack(">i", payload)[0]
        return self.output


@pytest.fixture(scope="module")
def project(platform, git):
    repo = git.repository("tool", {"index.html": "x"})
    platform.create("tool", repo.url)
    platform.deploy("tool")
    return "tool"


def test_without_a_terminal(platform, project):
    s = Session(platform, project, ["sh", "-c", "echo one; echo two >&2; exit 4"])
    assert sorted(s.hear().split()) == [b"one", b"two"]
    assert s.exit == 4
    assert s.socket.recv(1) == b""


def test_input_without_a_terminal(platform, project):
    s = Session(platform, project, ["sh", "-c", "read line; echo got $line; wc -c"])
    s.send(STDIN, b"hello\n")
    s.hear(b"got hello")
    for _ in range(80):  # more than any buffer on the way
        s.send(STDIN, b"x" * 65536)
    s.send(EOF)
    assert s.hear().split()[-1] == str(80 * 65536).encode()
    assert s.exit == 0
    empty = Session(platform, project, ["wc", "-c"])
    empty.send(EOF)
    assert empty.hear() == b"0\n"
    assert platform.cli("run", project, "--", "sort", stdin="b\nc\na\n").stdout == "a\nb\nc\n"
    assert platform.cli("run", project, "--", "true", stdin="y\n" * 100000).returncode == 0


def test_signals_without_a_terminal(platform, project):
    s = Session(platform, project, ["sh", "-c", "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.1; done"])
    s.hear(b"ready")
    s.send(SIGNAL, bytes([15]))
    assert b"caught" in s.hear()
    assert s.exit == 9
    s = Session(platform, project, ["python3", "-uc", "import time; print(\"ready\"); time.sleep(1000); print(\"not reached\")"])
    s.hear(b"ready")
    s.send(SIGNAL, bytes([2]))
    assert b"not reached\n" not in s.hear()
    assert s.exit == 130


def test_with_a_terminal(platform, project):
    s = Session(platform, project, ["sh"], {"rows": 31, "cols": 99})
    s.send(STDIN, b"stty size\n")
    s.hear(b"31 99")
    s.send(RESIZE, struct.pack(">HH", 40, 121))
    s.send(STDIN, b"stty size\n")
    s.hear(b"40 121")
    s.send(STDIN, b"sleep 100; echo al''ive\n")
    time.sleep(0.5)
    s.send(SIGNAL, bytes([2]))
    s.send(STDIN, b"echo st''ill\n")
    s.hear(b"still")
    s.send(STDIN, b"exit 5\n")
    s.hear()
    assert s.exit == 5


def test_end_of_input_and_much_output(platform, project):
    s = Session(platform, project, ["sh", "-c", "cat >/dev/null; seq 30000"], {"rows": 3, "cols": 80})
    s.send(EOF)
    time.sleep(1)  # nobody reads: the program waits, nothing is lost
    assert b"30000" in s.hear()
    assert s.exit == 0


def test_a_client_that_goes_ends_its_command(platform, project):
    mark = "86399"
    s = Session(platform, project, ["sleep", mark])
    running = lambda: sum(mark in line for line in _commands())
    deadline = time.time() + 10
    while not running() and time.time() < deadline:
        time.sleep(0.05)
    assert running()
    s.socket.close()
    deadline = time.time() + 10
    while running() and time.time() < deadline:
        time.sleep(0.05)
    assert not running()


def _commands():
    import pathlib

    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == b"sleep":
            yield words[1].decode()


def test_what_cannot_run(platform, project):
    s = Session(platform, project, ["/no/such/program"])
    s.hear()
    assert s.exit in (126, 127)
    assert platform.call("POST", f"/api/v1/projects/{project}/run", {"argv": ["true"]}).status == 426
    assert platform.call("POST", f"/api/v1/projects/{project}/run", {"argv": []}).status == 400
    platform.create("unborn", kind="static", source={"type": "archive"})
    assert platform.call("POST", "/api/v1/projects/unborn/run", {"argv": ["true"]}).status == 409
