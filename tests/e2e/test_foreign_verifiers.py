"""S12: libraries that nobody here wrote sign every example of @octokit/webhooks-examples, and the daemon agrees with them on each,
and on each with one byte changed."""
import http.client
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness import Answer

HERE = Path(__file__).resolve().parent.parent / "verifiers"
GITHUB, STANDARD = "It's a Secret to Everybody", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

if not shutil.which("node") or not (HERE / "node_modules" / "standardwebhooks").is_dir():
    pytest.skip("the libraries of tests/verifiers are not there (tools/install-verifiers)", allow_module_level=True)


@pytest.fixture(scope="module")
def examples():
    run = subprocess.run(["node", HERE / "sign.mjs", GITHUB, STANDARD], capture_output=True, text=True, check=True, timeout=120)
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.mark.parametrize("sender,secret", [("github", GITHUB), ("standard", STANDARD)], ids=["github", "standard"])
def test_agrees(platform, git, examples, sender, secret):
    if sender == "github":
        platform.create("site", git.repository("site", {"index.html": "one"}).url, kind="static")
    platform.hook("site", "site-" + sender, sender, secret=secret)
    accepted = refused = 0
    third = 2 if sender == "github" else 3
    for n, example in enumerate(examples):
        assert example["agree"][sender], example["name"]
        # refusals are counted by address
        where = (f"127.{third}.0.{1 + n // 40}", 0)
        connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=60, source_address=where)
        headers = {"Content-Type": "application/json", **example[sender]}
        connection.request("POST", "/hooks/site-" + sender, example["other"], headers)
        answer = Answer(connection.getresponse())
        assert answer.status == 401, (example["name"], answer)
        refused += 1
        connection.request("POST", "/hooks/site-" + sender, example["body"], headers)
        answer = Answer(connection.getresponse())
        assert answer.status == 202, (example["name"], answer)
        accepted += 1
        connection.close()
    print(f"{sender}: {accepted} payloads accepted by both, {refused} with one byte changed by neither")
    assert accepted >= 700


def test_agrees_with_openssl_on_asymmetric_signatures(platform, git, examples):
    """Every example signed with an Ed25519 key that only the sender has (v1a), and with one byte changed."""
    if platform.call("GET", "/api/v1/projects/site").status == 404:
        platform.create("site", git.repository("site", {"index.html": "one"}).url, kind="static")
    platform.hook("site", "site-own-key", "standard", secret=examples[0]["publicKey"])
    accepted = refused = 0
    for n, example in enumerate(examples):
        connection = http.client.HTTPConnection("127.0.0.1", platform.http_port, timeout=60, source_address=(f"127.4.0.{1 + n // 40}", 0))
        headers = {"Content-Type": "application/json", **example["asymmetric"]}
        connection.request("POST", "/hooks/site-own-key", example["other"], headers)
        assert Answer(connection.getresponse()).status == 401, example["name"]
        refused += 1
        connection.request("POST", "/hooks/site-own-key", example["body"], headers)
        assert Answer(connection.getresponse()).status == 202, example["name"]
        accepted += 1
        connection.close()
    print(f"v1a: {accepted} payloads accepted, {refused} with one byte changed refused")
    assert accepted >= 700
    told = platform.cli("hooks", "test", "site", "site-own-key", expect=None)
    assert told.returncode and "public key" in told.stderr, told
