"""Everything that the platform answers, for those who probe it: the routes of its own OpenAPI document, the hooks' and the figures', each
with its fields (of the path, the query, the body, the headers) and a value for each that the platform takes."""
import json
import re
import urllib.parse
import uuid

from harness import TOP, wait_until

NONE = "none"  # a field's value where it is left out
HOOKS = ("/hooks/{hook}", "/github-webhook", "/webhooks/{secret}/", "/webhook", "/webhook/particle")
HOOK_TEST = "/webhooks/{secret}/test/"


class Field:
    def __init__(self, where, name, kind, base):
        self.where, self.name, self.kind, self.base = where, name, kind, base

    @property
    def label(self):
        return f"{self.where}:{self.name}"


class Route:
    def __init__(self, number, method, path, fields, body=None, headers=None):
        self.number, self.method, self.path, self.fields = number, method, path, fields
        self.body, self.headers = body, headers or {}  # body: how it is written, "json", "bytes" or None
        self.stream = path.endswith("/stream")

    def __repr__(self):
        return f"{self.method} {self.path}"

    def of(self, where):
        return [f for f in self.fields if f.where == where]

    def request(self, given=None, raw=False):
        """Method, target, body and headers, with these values in the place of the fields' own. raw: fields are put into the path as they are."""
        values = {f.label: f.base for f in self.fields} | (given or {})
        path = self.path
        for f in self.of("path"):
            path = path.replace("{%s}" % f.name, values[f.label] if raw else urllib.parse.quote(values[f.label], safe=""))
        query = {f.name: values[f.label] for f in self.of("query") if values[f.label] != NONE}
        headers = {**self.headers, **{f.name: values[f.label].encode("utf-8", "replace") for f in self.of("header") if values[f.label] != NONE}}
        body = None
        if self.body == "json":
            body = json.dumps(whole([(f, values[f.label]) for f in self.of("body")])).encode()
            headers.setdefault("Content-Type", "application/json")
        elif self.body == "bytes":
            body = values["body:bytes"].encode()
            headers.setdefault("Content-Type", "application/octet-stream")
        return self.method, path + ("?" + urllib.parse.urlencode(query) if query else ""), body, headers


def typed(kind, text):
    """As JSON has it; a probe in a number's place stays text."""
    if kind == "integer" and re.fullmatch(r"-?\d{1,18}", text):
        return int(text)
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


def whole(values):
    """The body that pointers such as /source/url, /domains/- and /ANY (a key of its own) spell."""
    keys = {f.name.removesuffix("-name"): text for f, text in values if f.kind == "key"}
    out = {}
    for f, text in values:
        if f.kind == "key" or text == NONE:
            continue
        at, parts, seen = out, f.name.strip("/").split("/"), ""
        for i, part in enumerate(parts):
            seen += "/" + part
            part = keys.get(seen, part)
            last, many = i + 1 == len(parts), i + 1 < len(parts) and parts[i + 1] == "-"
            value = typed(f.kind, text) if last else [] if many else {}
            if isinstance(at, list):
                if last or not at:
                    at.append(value)
                at = at[0]
            else:
                at = at.setdefault(part, value)
    return out


def leaves(schemas, schema, at=""):
    """The fields below a schema: pointer and type."""
    if "$ref" in schema:
        schema = schemas[schema["$ref"].rsplit("/", 1)[1]]
    if "anyOf" in schema:
        return leaves(schemas, next(s for s in schema["anyOf"] if s.get("type") != "null"), at)
    kind = schema.get("type", "string")
    kind = kind if isinstance(kind, str) else kind[0]
    if kind == "array":
        return leaves(schemas, schema["items"], at + "/-")
    if kind != "object":
        return [(at, kind)]
    found = [leaf for name, below in schema.get("properties", {}).items() for leaf in leaves(schemas, below, f"{at}/{name}")]
    if isinstance(schema.get("additionalProperties"), dict):
        found += [(at + "/ANY-name", "key"), *leaves(schemas, schema["additionalProperties"], at + "/ANY")]
    return found


def routes_of(document, bases):
    """Of the OpenAPI document. bases(method, path, field name) is the field's value."""
    found = []
    for path, methods in document["paths"].items():
        for method, said in methods.items():
            fields = [Field(p["in"], p["name"], p["schema"].get("type", "string"), bases(method, path, p["name"])) for p in said.get("parameters", [])]
            body = None
            for content in said.get("requestBody", {}).get("content", {}).items():
                body = "json" if content[0] == "application/json" else "bytes"
                below = leaves(document["components"]["schemas"], content[1]["schema"]) if body == "json" else [("bytes", "string")]
                fields += [Field("body", name, kind, bases(method, path, name)) for name, kind in below]
            found.append(Route(len(found), method.upper(), path, fields, body))
    return found


def in_source():
    """How many routes the API's table has, and the hooks' patterns: what must have been reached. OTHERS are refused for their method."""
    rows = re.findall(r"^\t(?:(?:GET|POST|PUT|DELETE)\(|\{\{ACCESS)", (TOP / "src/api/routes.c").read_text(), re.M)
    hooks = re.search(r"hook_routes\[\] = \{(.*?)\};", (TOP / "src/daemon/main.c").read_text(), re.S).group(1)
    return len(rows), sorted(re.findall(r'"(/[^"]*)"', re.sub(r"OTHERS\([^)]*\)", "", hooks)))


class World:
    """A platform with one of everything, and the routes with values that fit it."""

    def __init__(self, platform, git):
        p = self.platform = platform
        self.token = (p.state / "owner.token").read_text().strip()
        repo = git.repository("victim", {"index.html": "untouched"})
        self.url = repo.url
        p.create("victim", repo.url)
        p.create("empty", repo.url)
        task = p.deploy("victim")["id"]
        p.api("PUT", "/projects/victim/env", {"KEY": {"value": "x"}})
        p.api("POST", "/projects/victim/hooks", {"name": "victim"})
        # A sender that sends its secret along: whatever else is in a request of a scanner, it is let in, and looked at.
        self.secrets = {"/hooks/{hook}": "a" * 64, "/github-webhook": "b" * 64, "/webhook": "c" * 64, "/webhook/particle": "d" * 64}
        for path, name in (("/hooks/{hook}", "probe"), ("/github-webhook", "github-webhook"), ("/webhook", "webhook"), ("/webhook/particle", "webhook-particle")):
            p.hook("victim", name, "gitlab", secret=self.secrets[path], branch="main")
        channel = {"name": "room", "type": "webhook", "target": "https://receiver.example/in"}
        p.api("POST", "/projects/victim/channels", channel)
        p.api("POST", "/channels", {**channel, "name": "all"})
        delivery = p.api("POST", "/projects/victim/channels/room/test", {})["id"]
        shared = p.api("POST", "/channels/all/test", {})["id"]
        p.api("POST", "/operators", {"name": "eve", "role": "viewer"})
        p.api("POST", "/grants", {"operator": "eve", "project": "victim", "role": "viewer"})
        p.wait_task(p.api("POST", "/projects/victim/backups", {})["task"])
        backup = p.api("GET", "/projects/victim/backups")["items"][0]["id"]
        push = p.call("POST", "/hooks/probe", {"object_kind": "push", "ref": "refs/heads/main", "after": "1" * 40}, token="", headers=self.proof())
        assert push.status == 202, push
        event = push.json["event"]
        wait_until(lambda: p.call("GET", f"/api/v1/projects/victim/events/{event}").status == 200)
        self.at = {
            "project": "victim", "backup": backup, "release": "1", "process": "web", "key": "KEY", "device": "gpu", "domain": "absent.example.org", "hook": "victim", "event": str(event),
            "channel": "room", "delivery": str(delivery), "task": str(task), "operator": "eve", "token": "99999", "after": NONE, "limit": "20", "state": "done", "offset": "0", "tail": "5",
            "since": "2020-01-01T00:00:00Z", "contains": "x", "purge": "false", "Idempotency-Key": NONE, "If-Match": NONE,
            "/name": "made", "/kind": "static", "/source/type": "git", "/source/url": self.url, "/source/ref": "main", "/root": NONE, "/domains/-": NONE, "/branch": "main", "/passphrase": "correct horse battery",
            "/count": "1", "/argv/-": "true", "/process": "web", "/release": "1", "/ANY-name": "KEY", "/ANY/value": "x", "/domain": "more.example.org", "/sender": "github", "/type": "webhook",
            "/target": channel["target"], "/events": "deploy.failed", "/host": "mail.example", "/from": "a@mail.example", "/port": "587", "/tls": "starttls", "/message": "nothing", "/report": "nothing", "/label": "x",
            "/operator": "eve", "/project": "victim", "/role": "viewer", "/data_only": "true", "/ref": "main", "bytes": "no archive",
            "/fields/ANY-name": "/ref",
        }
        # What would take away what the others need, or would not end.
        gone = {"project": "empty", "operator": "absent", "hook": "absent", "channel": "absent", "backup": "0" * 16, "process": NONE, "release": NONE}
        aside = ("/run", "/stop", "/certificate", "/certificate/renew", "/certificate/revoke")

        def bases(method, path, name):
            if name in gone and (method == "delete" and not path.endswith("/env/{key}") or path.endswith(aside)):
                return "absent" if path.endswith("{project}") and "grants" not in path else gone[name]
            if path.startswith("/api/v1/channels"):
                return {"channel": "all", "delivery": str(shared), "/name": "other"}.get(name, self.at.get(name, NONE))
            if path.endswith("/logs/stream"):
                return {"process": "web", "project": "victim"}.get(name, NONE)
            if path.endswith(("/rollback", "/logs", "/restart")) and name in ("release", "process", "/process"):
                return NONE
            return self.at.get(name, NONE)

        self.routes = routes_of(p.call("GET", "/api/v1/openapi.json").json, bases)
        audit = next(r for r in self.routes if r.path.endswith("/audit"))
        assert any(f.name == "project" for f in audit.fields), audit.fields
        for path in HOOKS:
            self.add_hook("POST", path)
        self.add_hook("GET", HOOK_TEST)

    def proof(self):
        return {"X-Gitlab-Token": self.secrets[HOOKS[0]], "X-Gitlab-Event": "Push Hook", "Idempotency-Key": uuid.uuid4().hex}

    def add_hook(self, method, path):
        fields = [Field("path", name, "string", {"hook": "probe", "secret": self.secrets[HOOKS[0]]}[name]) for name in re.findall(r"\{(\w+)\}", path)]
        fields += [Field("header", name, "string", value) for name, value in (("X-Gitlab-Event", "Push Hook"), ("Idempotency-Key", "once"), ("X-GitHub-Event", "push"), ("X-GitHub-Delivery", "1"), ("X-Hub-Signature-256", NONE))]
        if method == "POST":
            fields += [Field("body", "/" + name, "string", value) for name, value in (("object_kind", "push"), ("ref", "refs/heads/main"), ("before", "0" * 40), ("after", "1" * 40), ("event", "x"), ("data", "x"))]
        self.routes.append(Route(len(self.routes), method, path, fields, "json" if method == "POST" else None, {"X-Gitlab-Token": self.secrets.get(path, self.secrets[HOOKS[0]])}))
