"""S14: requests that two readers may take for different ones, each with a signed delivery hidden behind or inside it, straight to the daemon
and through the web server. What is malformed is 400 and the connection closed; and whatever anybody makes of the rest, there is one answer for each
request that was taken: a delivery is stored if and only if its sender was told so on that connection."""
import hashlib
import hmac
import json
import re
import socket

import pytest

from harness import wait_until

HOST = "slipway.localhost"
P = f"POST /hooks/door HTTP/1.1\r\nHost: {HOST}\r\n"
G = f"GET /health HTTP/1.1\r\nHost: {HOST}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"

# What stands before the hidden delivery; {n} becomes its length, {x} the same in hexadecimal digits. All but the last group are
# malformed. "0\r\n\r\n" ends a chunked body, so that what follows is hidden from a reader who goes by Content-Length.
MALFORMED = {
    # two lengths
    "te and cl": P + CHUNKED + "Content-Length: {m}\r\n\r\n0\r\n\r\n", "cl and te": P + "Content-Length: {m}\r\n" + CHUNKED + "\r\n0\r\n\r\n",
    "te and short cl": P + CHUNKED + "Content-Length: 5\r\n\r\n0\r\n\r\n", "two cls that differ": P + "Content-Length: 0\r\nContent-Length: {n}\r\n\r\n",
    "two cls that differ, the other way": P + "Content-Length: {n}\r\nContent-Length: 0\r\n\r\n", "cl list": P + "Content-Length: 0, {n}\r\n\r\n",
    "two cls that agree": P + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    # a length that is none
    "cl with plus": P + "Content-Length: +{n}\r\n\r\n", "cl negative": P + "Content-Length: -1\r\n\r\n", "cl hex": P + "Content-Length: 0x{x}\r\n\r\n",
    "cl with a blank inside": P + "Content-Length: 0 {n}\r\n\r\n", "cl empty": P + "Content-Length:\r\n\r\n", "cl beyond 64 bits": P + "Content-Length: 18446744073709551616\r\n\r\n",
    "cl with a point": P + "Content-Length: 0.0\r\n\r\n", "cl quoted": P + 'Content-Length: "0"\r\n\r\n', "cl in two lines": P + "Content-Length: 0\r\n {n}\r\n\r\n",
    # an encoding that is none, or hidden from one reader
    "two tes": P + CHUNKED + CHUNKED + "\r\n0\r\n\r\n", "te chunked and identity": P + CHUNKED + "Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "te list": P + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", "te gzip, chunked": P + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "te chunked, gzip": P + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", "te identity": P + "Transfer-Encoding: identity\r\n\r\n",
    "te xchunked": P + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "te quoted": P + 'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "te with parameter": P + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", "te empty": P + "Transfer-Encoding:\r\n\r\n", "te folded": P + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "te after a vertical tab": P + "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", "te after a no-break space": P + "Transfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n",
    "te behind a blank": P + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "te behind a tab": P + "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "te on a line that begins with a blank": P + " Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "te behind a bare cr": P + "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "te behind a nul": P + "X: y\0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "te on 1.0": f"POST /hooks/door HTTP/1.0\r\nHost: {HOST}\r\n" + CHUNKED + "\r\n0\r\n\r\n",
    "cl behind a blank": P + "Content-Length : {n}\r\n\r\n", "cl behind a tab": P + "Content-Length\t: {n}\r\n\r\n",
    # chunks
    "chunk size with a prefix": P + CHUNKED + "\r\n0x0\r\n\r\n", "chunk size with plus": P + CHUNKED + "\r\n+0\r\n\r\n", "chunk size negative": P + CHUNKED + "\r\n-0\r\n\r\n",
    "chunk size with an underscore": P + CHUNKED + "\r\n0_0\r\n\r\n", "chunk size missing": P + CHUNKED + "\r\n\r\n\r\n", "chunk size beyond 64 bits": P + CHUNKED + "\r\n10000000000000000\r\n\r\n",
    "chunk data too long": P + CHUNKED + "\r\n1\r\nab\r\n0\r\n\r\n", "trailer folded": P + CHUNKED + "\r\n0\r\nX: a\r\n b\r\n\r\n", "trailer without colon": P + CHUNKED + "\r\n0\r\nX\r\n\r\n",
    # hosts
    "no host": "GET /health HTTP/1.1\r\nX: y\r\n\r\n", "two hosts": G + f"Host: {HOST}\r\n\r\n", "two hosts that differ": G + "host: b\r\n\r\n", "host empty": "GET /health HTTP/1.1\r\nHost:\r\n\r\n",
    "host with a slash": "GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n", "host with a user": "GET /health HTTP/1.1\r\nHost: a@b\r\n\r\n",
    # names and request lines
    "name with a blank": G + "X Y: a\r\n\r\n", "no colon": G + "nonsense\r\n\r\n", "empty name": G + ": a\r\n\r\n", "folded": G + "X: a\r\n b\r\n\r\n", "nul in a value": G + "X: a\0b\r\n\r\n",
    "bare cr in a value": G + "X: a\rb\r\n\r\n", "no version": "GET /health\r\n\r\n", "version HTTP/1.10": f"GET /health HTTP/1.10\r\nHost: {HOST}\r\n\r\n",
    "version in lower case": f"GET /health http/1.1\r\nHost: {HOST}\r\n\r\n", "two blanks": f"GET  /health HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "tabs": f"GET\t/health\tHTTP/1.1\r\nHost: {HOST}\r\n\r\n",
    "trailing blank": f"GET /health HTTP/1.1 \r\nHost: {HOST}\r\n\r\n", "bare lfs": f"GET /health HTTP/1.1\nHost: {HOST}\n\n", "bare lf behind a header": G + "X: y\n\r\n",
    "foreign absolute form": f"GET http://b/health HTTP/1.1\r\nHost: {HOST}\r\n\r\n", "authority form": f"CONNECT a:80 HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
}
# Fine, and what follows is a request of its own, or a part of the body: both readers must agree on which.
FINE = {
    "pipelined": G + "\r\n", "length": P + "Content-Length: 3\r\n\r\nabc", "chunks": P + CHUNKED + "\r\n3\r\nabc\r\n0\r\n\r\n", "trailer": P + CHUNKED + "\r\n0\r\nX: y\r\n\r\n",
    "hidden in the body": P + "Content-Length: {n}\r\n\r\n", "hidden in a chunk": P + CHUNKED + "\r\n{x}\r\n", "te in capitals": P + "TRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n",
    "chunk extension": P + CHUNKED + '\r\n0;a="b"\r\n\r\n',
}
HIDDEN = {"hidden in the body", "hidden in a chunk"}


def delivery(secret, name):
    body = json.dumps({"zen": name}).encode()
    proof = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = f"{P}X-GitHub-Event: ping\r\nX-GitHub-Delivery: {name}\r\nX-Hub-Signature-256: sha256={proof}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answers(port, data):
    """The statuses of all answers until the other side closes; None at the end: it did not."""
    got, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=20) as s:
        try:
            s.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        s.settimeout(3)
        try:
            while more := s.recv(65536):
                got += more
            closed = True
        except ConnectionResetError:
            closed = True
        except TimeoutError:
            pass
    statuses = [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d\d\d) ", got)]
    if got and not statuses:
        statuses = [9]  # nginx speaks HTTP/0.9 with who asks so: a body alone, and the end
    return statuses + ([] if closed else [None])


@pytest.fixture(scope="module")
def door(platform, git):
    wait_until(platform.edge_listens)
    platform.create("site", git.repository("site", {"index.html": "one"}).url, kind="static")
    platform.deploy("site")  # a reload for its name by a push would end connections of Apache's after the answer that is due
    return platform.hook("site", "door")


def exchange(port, secret, before, name):
    hidden = delivery(secret, name)
    text = before.replace("{n}", str(len(hidden))).replace("{x}", f"{len(hidden):x}").replace("{m}", str(len(hidden) + 5))
    after = f"\r\n0\r\n\r\n{G}Connection: close\r\n\r\n" if name.endswith("hidden-in-a-chunk") else f"{G}Connection: close\r\n\r\n"
    return answers(port, text.encode("latin-1") + hidden + after.encode())


def stored(platform, name):
    """Whether that delivery was: the last one of all is there already, so nothing is still on its way."""
    found, after = set(), ""
    while True:
        page = platform.api("GET", "/projects/site/events?limit=200" + after)
        found |= {e["delivery"] for e in page["items"]}
        if not page["next"]:
            return name in found if name else found
        after = f"&after={page['next']}"


def test_what_is_malformed_is_refused_and_closed(platform, door):
    for label, before in MALFORMED.items():
        said = exchange(platform.http_port, door, before, "direct-" + label.replace(" ", "-"))
        assert said in ([400], [505]), (label, said)
    print(f"{len(MALFORMED)} malformed requests refused, and closed")
    assert len(MALFORMED) >= 60
    assert platform.push("door", door, "1" * 40, delivery="direct-last").status == 202
    wait_until(lambda: stored(platform, "direct-last"), 30)
    assert {e for e in stored(platform, None) if e.startswith("direct-")} == {"direct-last"}


@pytest.mark.parametrize("way", ["plain", "edge"])
def test_there_is_one_answer_for_each_request(platform, door, way):
    port = platform.edge_port if way == "edge" else platform.http_port
    told, count = set(), 0
    cases = {**MALFORMED, **FINE}
    for label, before in cases.items():
        name = f"{way}-{label.replace(' ', '-')}"
        said = exchange(port, door, before, name)
        count += 1
        assert said and said[-1] is not None, (label, said)  # nobody waits for more than was sent
        if 202 in said:
            told.add(name)
        if label in FINE:
            assert (202 in said) == (label not in HIDDEN) and said[-1] == 200, (label, said)
        else:
            assert len(said) == 1 or said[-1] == 200, (label, said)
    assert platform.push("door", door, "1" * 40, delivery=f"{way}-last").status == 202
    wait_until(lambda: stored(platform, f"{way}-last"), 30)
    there = {e for e in stored(platform, None) if e.startswith(f"{way}-")} - {f"{way}-last"}
    assert there == told, (there - told, told - there)
    print(f"{way}: {count} requests; {len(told)} deliveries taken, each with its answer, and no other")
