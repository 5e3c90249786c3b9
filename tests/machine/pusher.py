#!/usr/bin/env python3
"""pusher.py PORT HOST PATH SECRET-FILE [CONNECTIONS]: posts signed pushes, each of its own delivery id, until nobody answers any more; prints a line for each
that was acknowledged, delivery id and event number, as soon as it was. Runs outside of the machine whose power is cut, in its network."""
import hashlib
import hmac
import http.client
import json
import os
import sys
import threading
import uuid

port, host, path, secret_file = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]
SECRET = open(secret_file, "rb").read().strip()
BODY = json.dumps({"ref": "refs/heads/main", "before": "1" * 40, "after": "2" * 40, "deleted": False, "commits": [{"message": "x" * 60}] * 60}).encode()
HEADERS = {"Host": host, "Content-Type": "application/json", "X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=" + hmac.new(SECRET, BODY, hashlib.sha256).hexdigest()}


def send():
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        while True:
            delivery = str(uuid.uuid4())
            connection.request("POST", path, BODY, {**HEADERS, "X-GitHub-Delivery": delivery})
            answer = connection.getresponse()
            told = json.loads(answer.read())
            if answer.status == 202:
                os.write(1, f"{delivery} {told['event']}\n".encode())
            elif answer.status != 503:
                os.write(2, f"{answer.status} {told}\n".encode())
    except (OSError, http.client.HTTPException, ValueError):
        pass  # the power


threads = [threading.Thread(target=send) for _ in range(int(sys.argv[5]) if len(sys.argv) > 5 else 8)]
[t.start() for t in threads]
[t.join() for t in threads]
