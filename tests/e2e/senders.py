"""How each sender really signs and what it sends: written from their documentation, apart from Slipway's own code."""
import base64
import hashlib
import hmac
import json
import time
import urllib.parse
import uuid

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


def mac(secret, message):
    return hmac.new(secret.encode() if isinstance(secret, str) else secret, message, hashlib.sha256)


def hub_push(branch, commit):
    return {"ref": "refs/heads/" + branch, "before": "0" * 40, "after": commit, "deleted": False}


def hub(header, prefix, delivery, event):
    def headers(secret, body, sent, **_):
        return {header: prefix + mac(secret, body).hexdigest(), delivery: sent, event: "push"}

    return headers


def standard(secret, body, sent, at=None, **_):
    at = str(at if at is not None else int(time.time()))
    key = base64.b64decode(secret.removeprefix("whsec_") + "==")
    signed = base64.b64encode(mac(key, f"{sent}.{at}.".encode() + body).digest()).decode()
    return {"webhook-id": sent, "webhook-timestamp": at, "webhook-signature": f"v2,AAAA v1,{signed}"}


def stripe(secret, body, sent, at=None, **_):
    at = str(at if at is not None else int(time.time()))
    return {"Stripe-Signature": f"t={at},v1={mac(secret, (at + '.').encode() + body).hexdigest()},v0=00"}


def gitlab(secret, body, sent, **more):
    proof = standard(secret, body, sent, **more) if secret.startswith("whsec_") else {"X-Gitlab-Token": secret}
    return {**proof, "X-Gitlab-Event": "Push Hook", "Idempotency-Key": sent, "X-Gitlab-Event-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e"}


def basic(secret):
    return "Basic " + base64.b64encode(b"anybody:" + secret.encode()).decode()


class Sender:
    """name: of Slipway's row. secret: chosen by the tests, None: one is made. push: the body that moves a branch, None: it has no pushes."""

    def __init__(self, name, headers, push, kind="push", secret=None, type=JSON, timed=False, ids=True, label=None):
        self.name, self.headers, self.push, self.kind = name, headers, push, kind
        self.secret, self.type, self.timed, self.ids, self.label = secret, type, timed, ids, label or name

    def body(self, branch, commit):
        said = self.push(branch, commit)
        if isinstance(said, bytes):
            return said
        return json.dumps(said).encode()

    def request(self, secret, body, sent=None, **more):
        return {"Content-Type": self.type, **self.headers(secret, body, sent or str(uuid.uuid4()), **more)}


def github_form(branch, commit):
    return urllib.parse.urlencode({"payload": json.dumps(hub_push(branch, commit))}).encode()


def cloud_push(branch, commit):
    side = {"type": "branch", "name": branch, "target": {"type": "commit", "hash": commit}}
    return {"push": {"changes": [{"new": side, "old": None, "created": True}]}}


def server_push(branch, commit):
    ref = {"id": "refs/heads/" + branch, "displayId": branch, "type": "BRANCH"}
    return {"eventKey": "repo:refs_changed", "changes": [{"ref": ref, "refId": ref["id"], "fromHash": "0" * 40, "toHash": commit, "type": "ADD"}]}


def face_push(branch, commit):
    return {"event": {"action": "update", "scope": "repo.content"}, "updatedRefs": [{"ref": "refs/heads/" + branch, "oldSha": "0" * 40, "newSha": commit}]}


def particle_form(branch, commit):
    return urllib.parse.urlencode({"event": "temperature", "data": "21.5", "coreid": commit[:24], "published_at": "2026-01-01T00:00:00Z"}).encode()


def lab_push(branch, commit):
    return {"object_kind": "push", "event_name": "push", **hub_push(branch, commit)}


WHSEC = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
github = hub("X-Hub-Signature-256", "sha256=", "X-GitHub-Delivery", "X-GitHub-Event")
cloud = hub("X-Hub-Signature", "sha256=", "X-Request-UUID", "X-Event-Key")
SENDERS = [
    Sender("github", github, hub_push),
    Sender("github", github, github_form, type=FORM, label="github-form"),
    Sender("gitea", hub("X-Gitea-Signature", "", "X-Gitea-Delivery", "X-Gitea-Event"), hub_push),
    Sender("forgejo", hub("X-Forgejo-Signature", "", "X-Forgejo-Delivery", "X-Forgejo-Event"), hub_push),
    Sender("gogs", hub("X-Gogs-Signature", "", "X-Gogs-Delivery", "X-Gogs-Event"), hub_push),
    Sender("gitlab", gitlab, lab_push),
    Sender("gitlab", gitlab, lab_push, secret=WHSEC, timed=True, label="gitlab-signing"),
    Sender("bitbucket", lambda *a, **k: {**cloud(*a, **k), "X-Event-Key": "repo:push"}, cloud_push, kind="repo:push"),
    Sender(
        "bitbucket-server",
        lambda s, b, i, **_: {"X-Hub-Signature": "sha256=" + mac(s, b).hexdigest(), "X-Request-Id": i, "X-Event-Key": "repo:refs_changed"},
        server_push, kind="repo:refs_changed"),
    Sender(
        "bitbucket-server", lambda s, b, i, **_: {"Authorization": basic(s), "X-Request-Id": i, "X-Event-Key": "repo:refs_changed"},
        server_push, kind="repo:refs_changed", label="bitbucket-server-basic"),
    Sender("particle", lambda s, b, i, **_: {"Authorization": "Bearer " + s}, particle_form, kind="temperature", type=FORM, ids=False),
    Sender("particle", lambda s, b, i, **_: {"Authorization": basic(s)}, particle_form, kind="temperature", type=FORM, ids=False, label="particle-basic"),
    Sender("standard", standard, lambda b, c: {"type": "push", **hub_push(b, c)}, timed=True),
    Sender("stripe", stripe, lambda b, c: {"id": "evt_" + c, "type": "charge.succeeded"}, kind="charge.succeeded", timed=True),
    Sender("generic", hub("X-Slipway-Signature-256", "sha256=", "X-Slipway-Delivery", "X-Slipway-Event"), hub_push),
    Sender("bearer", lambda s, b, i, **_: {"Authorization": "Bearer " + s}, hub_push, ids=False),
    Sender("alertmanager", lambda s, b, i, **_: {"Authorization": "Bearer " + s}, lambda b, c: {"version": "4", "status": "firing", "groupKey": c, "alerts": []}, kind="alert.firing", ids=False),
    Sender("huggingface", lambda s, b, i, **_: {"X-Webhook-Secret": s}, face_push, kind="repo.content.update", ids=False),
]
SIGNED = {s.label for s in SENDERS} - {"gitlab", "bitbucket-server-basic", "particle", "particle-basic", "bearer", "huggingface", "alertmanager"}
