"""Devices by grant: who may, what a deploy says without one, what a project's admin cannot do. That the nodes open, and no others, is shown where
there are nodes: tests/machine/devices_checks.py."""
import json

import apps

WANTS = "devices: [gpu]\n"


def operator(p, name, role, project=None):
    p.api("POST", "/operators", {"name": name, "role": "none" if project else role})
    if project:
        p.api("POST", "/grants", {"operator": name, "project": project, "role": role})
    return p.api("POST", "/tokens", {"operator": name, "label": "t"})["token"]


def test_without_a_grant_nothing_is_built(platform, git):
    platform.create("render", git.repository("render", apps.with_version(apps.socket_app(manifest=WANTS), "v1")).url)
    error = platform.deploy("render", expect="failed")["error"]
    assert "devices: [gpu]" in error["message"] and "'render' was not granted" in error["message"], error
    assert "slipway devices grant render gpu" in error["hint"], error
    assert platform.cli("devices", "list", "render").stdout.startswith("no devices")


def test_an_admin_of_the_platform_grants(platform):
    path = "/api/v1/projects/render/devices/gpu"
    for name, role in (("petra", "admin"), ("dora", "deployer")):
        token = operator(platform, name, role, "render")
        for method in ("PUT", "DELETE"):
            refused = platform.call(method, path, {} if method == "PUT" else None, token=token)
            assert refused.status == 403, (name, method, refused)
        assert platform.call("GET", "/api/v1/projects/render/devices", token=token).json == {"items": []}
    assert "on this platform" in platform.call("PUT", path, {}, token=operator(platform, "paul", "admin", "render")).json["detail"]
    adele = operator(platform, "adele", "admin")
    answer = platform.call("PUT", path, {}, token=adele)
    assert answer.status == 200 and [(d["device"], d["granted_by"]) for d in answer.json["items"]] == [("gpu", "adele")], answer
    assert "adele" in platform.cli("devices", "list", "render").stdout
    assert platform.call("PUT", path, {}, token=adele).json == answer.json  # once more is no news
    assert platform.call("PUT", path.replace("gpu", "camera"), {}).status in (400, 422)
    trail = [r for r in platform.api("GET", "/audit?limit=100")["items"] if r["action"] == "device.grant" and r["outcome"] == "ok"]
    assert len(trail) == 1 and "adele" in json.dumps(trail), trail


def test_a_server_without_such_a_device_says_so(platform):
    task = platform.deploy("render", expect="failed")
    said = json.dumps(task["error"])
    assert "a device that this server does not have" in said and "/dev/nvidia0" in said, task["error"]
    assert platform.cli("devices", "revoke", "render", "gpu").stdout.startswith("render may not use gpu any more")
    assert platform.cli("devices", "revoke", "render", "gpu", expect=None).returncode != 0
    assert "was not granted" in platform.deploy("render", expect="failed")["error"]["message"]
