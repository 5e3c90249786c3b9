"""Bodies of events as large as a sender may make them: taken whole, directly and through the edge, and within a budget of bytes for all that are
under way, whoever sends them."""
import concurrent.futures
import contextlib
import hashlib
import hmac
import http.client
import os
import re
import socket
import uuid
from pathlib import Path
from urllib.parse import quote_plus, unquote_plus

import pytest

from harness import BUILD, TOP, Answer, Platform, wait_until

LIMITS = (TOP / "src/base/limits.h").read_text()
LARGEST = int(re.search(r"LIMIT_HOOK_BODY_BYTES \((\d+)u << 20\)", LIMITS).group(1)) << 20
BUDGET = int(re.search(r"LIMIT_BODIES_IN_FLIGHT_BYTES \((\d+)u << 20\)", LIMITS).group(1)) << 20
AT_ONCE = 24


@pytest.fixture(scope="module")
def platform():
    """Without sanitizers, which keep what was given back."""
    p = Platform(build=BUILD).start()
    yield p
    p.close()


@pytest.fixture(scope="module")
def secret(platform, git):
    platform.create("wide", git.repository("wide", {"index.html": "one"}).url, kind="static")
    return platform.hook("wide", "wide-push")


def body_of(size, form):
    """A push whose commit message fills it."""
    head, tail = '{"ref": "refs/heads/other", "before": "%s", "after": "%s", "deleted": false, "commits": [{"message": "' % ("0" * 40, "1" * 40), '"}]}'
    if not form:
        return (head + "x" * (size - len(head) - len(tail)) + tail).encode()
    start, end = "payload=" + quote_plus(head), quote_plus(tail)
    return (start + "x" * (size - len(start) - len(end)) + end).encode()


def headers_of(secret, body, form=False):
    return {
        "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
    }


def send(platform, secret, body, edge, form=False):
    headers = headers_of(secret, body, form)
    connection = http.client.HTTPConnection("127.0.0.1", platform.edge_port if edge else platform.http_port, timeout=120)
    try:
        connection.request("POST", "/hooks/wide-push", body, {**headers, "Host": "slipway.localhost"})
        return Answer(connection.getresponse())
    except (BrokenPipeError, ConnectionResetError):  # it was refused before it was sent
        return Answer(connection.getresponse())
    finally:
        connection.close()


@pytest.mark.parametrize("form", [False, True], ids=["json", "form"])
@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_the_largest_is_taken_whole(platform, secret, edge, form):
    body = body_of(LARGEST, form)
    answer = send(platform, secret, body, edge, form)
    assert answer.status == 202, answer
    path = f"/api/v1/projects/wide/events/{answer.json['event']}"
    event = wait_until(lambda: (got := platform.call("GET", path)).status == 200 and got).json  # out of the journal
    assert (event["ref"], event["outcome"]) == ("other", "ignored"), {k: str(v)[:80] for k, v in event.items()}
    whole = unquote_plus(body.decode().removeprefix("payload=")) if form else body.decode()  # of a form what it holds is kept
    assert hashlib.sha256(event["body"].encode()).digest() == hashlib.sha256(whole.encode()).digest()
    more = body_of(LARGEST + 1, form)
    assert send(platform, secret, more, edge, form).status == 413


def resident(platform, which="VmHWM"):
    status = Path(f"/proc/{platform.process.pid}/status").read_text()
    return int(re.search(which + r":\s+(\d+) kB", status).group(1)) << 10


def test_many_at_once_stay_within_the_budget(platform, secret):
    body = body_of(LARGEST, False)
    before = resident(platform)
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda i: send(platform, secret, body, i % 2 == 1), range(AT_ONCE)))
    told = sorted(a.status for a in answers)
    print(f"{AT_ONCE} of {LARGEST >> 20} MB at once: {told.count(202)} taken, {told.count(503)} put off; at most {(resident(platform) - before) >> 20} MB more than before, budget {BUDGET >> 20}")
    assert set(told) <= {202, 503} and told.count(202) >= BUDGET // LARGEST // 2, told
    assert resident(platform) - before < 2 * BUDGET
    assert all(a.headers.get("Retry-After") for a in answers if a.status == 503)
    assert platform.call("GET", "/health").status == 200
    assert send(platform, secret, body, False).status == 202  # what was in flight is given back


def test_who_holds_all_of_it_shuts_nobody_out(platform, secret):
    """As many large ones as fit, each but for its last byte, and then nothing more: a push of usual size is taken at once, and another large one as soon
    as they are seen to dawdle, of which one gives way; that is counted and logged. The others are taken once they are whole."""
    body, waiting, small = body_of(LARGEST, False), [], body_of(8192, False)
    refused, mark = platform.refusals()["no_room"], len(platform.log_text())
    for _ in range(BUDGET * 7 // 8 // LARGEST):
        connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=60)
        connection.putrequest("POST", "/hooks/wide-push")
        for name, value in {**headers_of(secret, body), "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body[:-1])
        waiting.append(connection)
    assert [send(platform, secret, small, edge).status for edge in (False, True)] == [202, 202]
    put_off = []
    wait_until(lambda: (got := send(platform, secret, body, False)).status == 202 or put_off.append(got), 30, 0.2)
    told = []
    for connection in waiting:
        try:
            connection.send(body[-1:])
        except OSError:  # it was answered before it was whole
            pass
        told.append(Answer(connection.getresponse()))
        connection.close()
    assert sorted(a.status for a in told) == [202] * (len(waiting) - 1) + [503], told
    assert all(a.headers.get("Retry-After") for a in told + put_off if a.status == 503)
    counted = 1 + len(put_off)
    assert platform.refusals()["no_room"] == refused + counted
    wait_until(lambda: platform.log_text()[mark:].count(" status=503 ") == counted, 10)


def test_who_reads_nothing_holds_no_more_than_the_budget(platform, secret):
    """One large event, asked for by many who read none of it: some are sent it, the others are put off, and a delivery is taken all the same."""
    path = f"/api/v1/projects/wide/events/{send(platform, secret, body_of(LARGEST, False), False).json['event']}"
    wait_until(lambda: platform.call("GET", path).status == 200)
    before, deaf, told = resident(platform, "VmRSS"), [], []
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {(platform.state / 'owner.token').read_text().strip()}\r\n\r\n"
    for _ in range(AT_ONCE):
        s = socket.create_connection(("127.0.0.1", platform.http_port), timeout=60)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        s.sendall(request.encode())
        deaf.append(s)
        told.append(int(s.recv(12, socket.MSG_PEEK | socket.MSG_WAITALL)[9:]))
    grown = resident(platform, "VmRSS") - before
    print(f"{AT_ONCE} ask for {LARGEST >> 20} MB and read nothing: {told.count(200)} are sent it, {told.count(503)} put off; {grown >> 20} MB more than before")
    assert set(told) == {200, 503} and grown < BUDGET, told
    assert send(platform, secret, body_of(LARGEST, False), True).status == 202
    for s in deaf:
        s.close()
    wait_until(lambda: platform.call("GET", path).status == 200)


@pytest.mark.parametrize("edge", [False, True], ids=["direct", "edge"])
def test_who_may_not_upload_is_told_before_he_does(platform, secret, edge):
    """An archive of half a gigabyte: announced, nothing of it sent, and refused at once; so is one that is sent without asking."""
    path, size = "/api/v1/projects/wide/archives", 500 << 20
    for headers in ({}, {"Authorization": "Bearer of nothing"}):
        connection = http.client.HTTPConnection("127.0.0.1", platform.edge_port if edge else platform.http_port, timeout=20)
        connection.putrequest("POST", path, skip_host=True)
        for name, value in {"Host": "slipway.localhost", "Content-Length": str(size), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(b"x")
        answer = Answer(connection.getresponse())
        assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json"), answer
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                connection.send(b"x" * (1 << 20))
        connection.close()
    at_spool = [os.readlink(fd) for fd in Path(f"/proc/{platform.process.pid}/fd").iterdir()]
    assert not [p for p in at_spool if str(platform.state / "spool") in p]


def test_the_command_says_why_it_may_not_upload(platform, secret, tmp_path):
    for n in range(8):
        (tmp_path / f"{n}.bin").write_bytes(os.urandom(4 << 20))
    token = (platform.state / "owner.token").read_text()
    platform.cli("login", f"http://127.0.0.1:{platform.http_port}", "--name", "here", "--token-stdin", stdin=token)
    said = platform.cli("deploy", "wide", f"{tmp_path}/", expect=77, env={"SLIPWAY_SERVER": "here", "SLIPWAY_TOKEN": "slw_of_nothing"})
    assert "slipway login" in said.stderr, said
    platform.cli("deploy", "wide", f"{tmp_path}/", env={"SLIPWAY_SERVER": "here"})
