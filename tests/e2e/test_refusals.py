"""Every request to a hook that is refused is counted by its reason and has one line in the log, whatever it held (S17), also where its body was
refused before anybody knew whose it is. Two more reasons: no_room in test_large_bodies.py, disk_full in test_faults.py. Each comes from an address of its own, so that none has failed too often."""
import http.client
import itertools
import re
import socket
import unicodedata
from urllib.parse import quote

import pytest

from harness import TOP, Answer, Platform
from senders import SENDERS

GITHUB = next(s for s in SENDERS if s.label == "github")
LARGEST = int(re.search(r"LIMIT_HOOK_BODY_BYTES \((\d+)u << 20\)", (TOP / "src/base/limits.h").read_text()).group(1)) << 20
LINE = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (?:debug|info|warn|error) [a-z_]+ [a-z_]+(?: [a-z_]+=(?:"(?:[^"\\]|\\.)*"|[^\s"=]+))*')
addresses = (f"127.7.{i >> 8}.{i & 255}" for i in itertools.count(1))

HOSTILE = ["\n", "\r\n", "a\nb", "x\r\n2026-11-28T05:00:00.000Z info daemon ready ms=1", '" error="', "\\", "\\\"", "\x1b[2J", "\x1b]0;title\x07", "\x00", "\x7f", "\x80", "\u202e", "\u2066",
           "\u2028", "\u0085", "=", "a=b", "k=\"v\" level=error", "{\"a\": 1}", "<script>", "%n%s%x", "%0a", "$(id)", "`id`", "' OR 1=1", "../../etc/passwd", "😀", "ü", "\ufffd", "\ufeff",
           "a" * 300, "\n" * 200, "\t", " ", "a b", ";", "#", "[warn]", "\x1b[31m", "\x08\x08", "\x9b31m", "%", "%zz", "\u0000\u0001", "secret=1", "refused", "\\n", "\\x1b", "{}", "~", "^", "|",
           "error=none errno=0", "hook=shop", "\x0b\x0c", "🏴\u200d☠", "\u061c", "e\u0301" * 40, "x" * 120]  # fmt: skip


@pytest.fixture(scope="module")
def secret(platform):
    platform.create("stern", "https://git.example.org/stern.git", kind="static")
    return platform.hook("stern", "stern-push")


def send(platform, path, body=b"{}", headers=None, raw=None):
    connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=30, source_address=(next(addresses), 0))
    try:
        connection.connect()
        if raw is not None:
            connection.sock.sendall(raw)
            response = http.client.HTTPResponse(connection.sock)
            response.begin()
            return Answer(response)
        connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        return Answer(connection.getresponse())
    finally:
        connection.close()


def figures(platform):
    text, statuses = platform.call("GET", "/metrics").body.decode(), {}
    for status, n in re.findall(r'^webhook_requests_total\{.*status_code="(\d+)"\} (\d+)', text, re.M):
        statuses[int(status)] = statuses.get(int(status), 0) + int(n)
    return platform.refusals(), statuses


def refused_lines(platform, before):
    """What came into the log since; not by its lines: an injected end of one must show."""
    added = platform.log.read_bytes()[before:].decode()
    lines = added.split("\n")
    assert lines.pop() == "", added[-200:]
    for line in lines:
        assert LINE.fullmatch(line), line
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") for c in line), line
    return [line for line in lines if " hooks refused " in line or " http request " in line]


def test_each_reason_is_counted_and_logged(platform, secret):
    platform.cli("hooks", "create", "stern", "stern-far", "--sender", "github", "--from", "203.0.113.0/24")
    head = "POST /hooks/stern-push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    broken = b'{"ref":'
    cases = {
        "unknown_hook": (404, lambda: send(platform, "/hooks/nobody")),
        "proof": (401, lambda: send(platform, "/hooks/stern-push", b"{}", GITHUB.request("x" * 20, b"{}"))),
        "address": (403, lambda: send(platform, "/hooks/stern-far", b"{}", GITHUB.request(secret, b"{}"))),
        "slow": (408, lambda: send(platform, "", raw=(head + "Content-Length: 100000\r\n\r\n{").encode())),
        "malformed": (400, lambda: send(platform, "/hooks/stern-push", broken, GITHUB.request(secret, broken))),
        "content_type": (415, lambda: send(platform, "/hooks/stern-push", b"{}", {**GITHUB.request(secret, b"{}"), "Content-Type": "text/plain"})),
        "too_large": (413, lambda: send(platform, "", raw=(head + f"Content-Length: {LARGEST + 1}\r\n\r\n").encode())),
    }
    for reason, (status, act) in cases.items():
        reasons, statuses = figures(platform)
        mark = len(platform.log.read_bytes())
        assert act().status == status, reason
        after, told = figures(platform)
        assert {k: v - reasons[k] for k, v in after.items() if v != reasons[k]} == {reason: 1}, reason
        assert told.get(status, 0) == statuses.get(status, 0) + 1, (reason, told, statuses)
        assert len(refused_lines(platform, mark)) == 1, reason
    reasons, _ = figures(platform)
    assert send(platform, "", raw=(head + "Transfer-Encoding: chunked\r\n\r\nzz\r\n").encode()).status == 400
    assert figures(platform)[0]["malformed"] == reasons["malformed"] + 1
    platform.api("PATCH", "/projects/stern/hooks/stern-push", {"limit": {"per_minute": 1, "burst": 1}})
    ping = {**GITHUB.request(secret, b"{}"), "X-GitHub-Event": "ping"}
    told = [send(platform, "/hooks/stern-push", b"{}", {**ping, "X-GitHub-Delivery": f"limited-{i}"}).status for i in range(3)]
    assert told.count(429) == 2 and figures(platform)[0]["limited"] == reasons["limited"] + 2, told


def test_a_refusal_is_one_line_whatever_it_held(platform, secret):
    sent, mark = 0, len(platform.log.read_bytes())
    for value in HOSTILE:
        send(platform, "/hooks/" + quote(value, safe=""))
        plain = quote(value, safe=" !\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~")[:200].strip() or "-"
        send(platform, "/hooks/stern-push", b"{}", {"User-Agent": plain, "X-GitHub-Event": plain, "X-GitHub-Delivery": plain, "X-Hub-Signature-256": plain})
        text = value.encode("utf-8", "surrogatepass")
        send(platform, "/hooks/stern-push", b'{"ref": "' + text + b'"}', GITHUB.request("x" * 20, text))
        sent += 3
    lines = refused_lines(platform, mark)
    print(f"S17: {sent} refusals with {len(HOSTILE)} hostile values in the address, in headers and in bodies: {len(lines)} lines of the log")
    assert len(lines) == sent
    assert secret not in platform.log_text()


@pytest.fixture
def own():
    p = Platform()
    try:
        yield p.start()
    finally:
        p.close()


def test_who_fails_too_often_is_told_of_once(own):
    """In one line a minute of each address, which the end of the daemon does not keep back."""
    sent = {"127.8.0.1": 70, "127.8.0.2": 55, "127.8.0.3": 50}
    for address, n in sent.items():
        for _ in range(n):
            with socket.create_connection(("127.0.0.1", own.http_port), source_address=(address, 0)) as s:
                s.sendall(b"POST /hooks/nobody HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}")
                assert re.match(rb"HTTP/1.1 4(04|29) ", s.recv(4096))
    before = own.log_text()
    assert before.count(" hooks refused ") >= 150 and " refused_more " not in before
    own.stop()
    after = own.log_text()
    told = {a: int(n) for a, n in re.findall(r" hooks refused_more from=(\S+)/32 requests=(\d+) ", after)}
    each = {a: len(re.findall(rf" hooks refused hook=nobody from={re.escape(a)} ", after)) for a in sent}
    assert {a: each[a] + told.get(a, 0) for a in sent} == sent, (each, told)
    assert told["127.8.0.1"] >= 15 and set(told) <= set(sent)


def test_more_than_ten_a_second_are_told_of_together(own):
    """What the server itself refuses, by its own count of warnings."""
    refused = b"POST /hooks/nobody HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (LARGEST + 1)
    for _ in range(60):
        with socket.create_connection(("127.0.0.1", own.http_port)) as s:
            s.sendall(refused)
            assert s.recv(4096).startswith(b"HTTP/1.1 413 ")
    own.stop()
    text = own.log_text()
    each, more = len(re.findall(r" http request .* status=413 ", text)), sum(int(n) for n in re.findall(r" http requests_more requests=(\d+) ", text))
    assert each + more == 60 and each >= 10, (each, more)
