"""Units as systemd itself reads them: what is rendered of random and of hostile fields (tests/tools/render_unit.c) is put before the systemd of the
machine, which must find what was asked for and nothing more. What the renderer is to refuse is drawn, too, and judged here by rules of
this file's own. Part of test_server.py, which has the machine."""
import os
import random
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from server import BUILD

SLICE, SERVICE, RELAY, RUN, BUILD_JOB = range(5)
ROOTS = {"projects": "/var/lib/slipway/projects", "supply": "/run/slipway-helper/supply.sock"}
RESERVED = "admin api console default health hooks localhost metrics public root slipway static www".split()
LIMITS = {"memory": 2**63 - 1, "disk": 2**63 - 1, "cpu": 1024000, "share": 100, "stop": 86400, "cpu_last": 1023}
PIECES = ["\n", "\nUser=root", "\n[Service]\nExecStart=/bin/sh", "\\\n", "\r\n", "%", "%i", "%n", "%%", '"', "'", "\\", "\\x2d", "$", "${HOME}", " ", "\t", ";", "#", "=", "*", "!", "+", ",", "`", "{", "}",
          "(", "|", "&", "<", "\x01", "\x1b[0m", "\x7f", "\xa0", "é", "\u2028", "@", ":", "~", "[x]"]
TEXTS = ("project", "process", "user", "projects", "exec", "supply")
# What may differ between two units of one kind, all else being the same; each is judged by expected().
OWN = {"User", "Group", "Slice", "MemoryMax", "MemorySwapMax", "CPUQuotaPerSecUSec", "CPUWeight", "AllowedCPUs", "TasksMax", "LimitNOFILE", "LimitNOFILESoft", "LimitFSIZE", "LimitFSIZESoft", "ReadWritePaths", "SocketBindAllow",
       "TimeoutStopUSec", "TimeoutAbortUSec", "Description", "ExecStart", "ExecStartEx", "ExecStopPost", "ExecStopPostEx", "FragmentPath", "Id", "Names"}
# The same, of what lies around it.
AROUND = {"After", "Before", "Requires", "RequiresMountsFor", "InvocationID", "Conflicts", "Wants", "WantsMountsFor", "TriggeredBy"}


def exec_path(server):
    return re.search(r"--exec (\S+)", server.run("systemctl show -P ExecStart slipway-helper")).group(1)


# --- what is drawn -------------------------------------------------------------------------------------------------------------------


def project_of(r):
    if r.random() < 0.1:
        return r.choice("abcz")
    n = r.choice((2, 3, 9, 29, r.randint(2, 29)))
    inner = "".join(r.choice("abcxyz0189--") for _ in range(n - 2))
    return re.sub("--+", "-", r.choice("abcz") + inner + r.choice("az09"))


def number_of(r, most, least=0):
    return r.choice((least, least, most, r.randint(least, most), r.randint(least, max(least, min(most, 5000)))))


def drawn(r, exe):
    project = project_of(r)
    first = number_of(r, 1023)
    return {
        "kind": r.randint(SLICE, BUILD_JOB), "project": project, "process": r.choice("amz") + "".join(r.choice("abz019") for _ in range(r.choice((0, 3, 15)))), "user": "sw-" + project,
        "memory": number_of(r, 2**40), "disk": number_of(r, 2**50), "cpu": number_of(r, 1024000), "tasks": number_of(r, 10**6), "files": number_of(r, 10**6), "share": number_of(r, 100), "cpu_first": first, "cpu_last": number_of(r, 1023, first),
        "stop": number_of(r, 86400, 1), "port": r.choice((0, 19999, 20000, 20017, 31999, 32000, 65535, r.randint(20000, 31999))), "exec": exe, **ROOTS,
    }


def spoiled(r, unit):
    unit = dict(unit)
    if r.random() < 0.1:
        what = r.choice(list(LIMITS))
        unit[what] = 0 if what == "stop" else LIMITS[what] + 1
        return unit
    what, piece = r.choice(TEXTS), r.choice([*PIECES, "-", "--", ".", "..", "/../", "/", "A", "root", "", "x" * 40])
    value = str(unit[what])
    at = r.choice((0, len(value), r.randint(0, len(value))))
    unit[what] = piece if r.random() < 0.1 else value[:at] + piece + value[at:]
    return unit


def each_byte_each_place(exe):
    """Every piece at the beginning, in the middle and at the end of every text, for every kind."""
    plain = drawn(random.Random(1), exe) | {"project": "shop-eu", "user": "sw-shop-eu", "process": "web"}
    for kind in range(SLICE, BUILD_JOB + 1):
        for what in TEXTS:
            for piece in PIECES:
                v = plain[what]
                for value in (piece + v, v[:4] + piece + v[4:], v + piece):
                    yield plain | {"kind": kind, what: value}


def is_good(u):
    """The rules, said once more."""
    path = r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._-]+)+"
    good = re.fullmatch(r"[a-z](-?[a-z0-9]){0,28}", u["project"]) and len(u["project"]) <= 29 and u["project"] not in RESERVED
    good = good and (re.fullmatch(r"[a-z][a-z0-9]{0,15}", u["process"]) or u["kind"] == SLICE and len(u["process"].encode()) <= 16) and re.fullmatch(r"sw-[a-z0-9-]{1,29}", u["user"])
    return bool(good and all(re.fullmatch(path, u[k]) for k in ("projects", "exec", "supply")) and all(u[k] <= most for k, most in LIMITS.items()) and u["stop"] >= 1 and u["cpu_first"] <= u["cpu_last"])


def render(units, folder):
    """For each unit (file, instance), or None when it was refused."""
    told = b"".join(b"".join(f"{k}\0{v}\0".encode() for k, v in u.items()) + b"\0" for u in units)
    done = subprocess.run([BUILD / "tests/render-unit", folder], input=told, capture_output=True)
    lines = done.stdout.decode().split("\n")[:-1]
    assert done.returncode == 0 and len(lines) == len(units), (done.returncode, done.stderr, len(lines), len(units))
    return [line[2:].split(" ") if line.startswith("+ ") else None for line in lines]


# --- what systemd says ---------------------------------------------------------------------------------------------------------------


def microseconds(text):
    units = {"us": 1, "ms": 1000, "s": 10**6, "min": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6}
    return sum(round(float(n) * units[u]) for n, u in re.findall(r"([\d.]+)(us|ms|min|s|h|d)\b", text)) if text != "infinity" else None


def shown(server, names):
    """{unit: {property: value}}, all of them."""
    out = server.run("systemctl", "show", "--no-pager", "--", *names).strip("\n")
    found = {}
    for block in out.split("\n\n"):
        properties = dict(line.split("=", 1) for line in block.split("\n") if "=" in line)
        found[properties["Id"]] = properties
    assert set(found) == set(names), set(names) ^ set(found)
    return found


def argv_of(text):
    """Each command that a property of the kind of ExecStart= lists."""
    return re.findall(r"argv\[\]=(.*?) ; (?:ignore_errors|flags)=(\S*)", text)


def expected(u, file, unit):
    """What its properties must be, by the fields that it was rendered of."""
    p, exe = u["project"], u["exec"]
    instance = unit.split("@")[1].removesuffix(".service")
    words = {SERVICE: "process", RELAY: "relay", RUN: "job", BUILD_JOB: "build"}
    folders = {SERVICE: ["data", "tmp"], RUN: ["data", "tmp"], RELAY: [], BUILD_JOB: ["releases", "cache", "mirror", "tmp"]}
    cpu = max(1, u["cpu"] // 10) * 10000 if u["cpu"] else None
    block = (u["port"] - 20000) // 10 * 10 + 20000
    cpus = "" if u["cpu_last"] == 0 else str(u["cpu_last"]) if u["cpu_first"] == u["cpu_last"] else f"{u['cpu_first']}-{u['cpu_last']}"
    binds = f"tcp{block}-{block + 9}" if 20000 <= u["port"] <= 31999 and u["kind"] != RELAY else ""
    return {
        "Id": unit, "Names": unit, "FragmentPath": "/run/systemd/system/" + file, "Description": f"Slipway: {words[u['kind']]} {u['process']} of project {p}",
        "User": u["user"], "Group": u["user"], "Slice": "slipway-" + p.replace("-", "\\x2d") + ".slice",
        "MemoryMax": str(u["memory"] or "infinity"), "MemorySwapMax": "0" if u["memory"] else "infinity", "CPUQuotaPerSecUSec": cpu, "CPUWeight": str(u["share"] or "[not set]"), "AllowedCPUs": cpus,
        "TasksMax": str(u["tasks"] or "infinity"), "LimitNOFILE": str(u["files"] or 65536), "LimitFSIZE": str(u["disk"] or "infinity"), "TimeoutStopUSec": u["stop"] * 10**6, "TimeoutAbortUSec": u["stop"] * 10**6,
        "LimitNOFILESoft": str(u["files"] or 65536), "LimitFSIZESoft": str(u["disk"] or "infinity"),
        "ReadWritePaths": " ".join(f"{u['projects']}/{p}/{f}" for f in folders[u["kind"]]), "SocketBindAllow": binds,
        "ExecStart": [(f"{exe} --supply {u['supply']} {instance}", "no")], "ExecStopPost": [(f"{exe} --ended {u['supply']} {instance}", "no")],
        "ExecStartEx": [(f"{exe} --supply {u['supply']} {instance}", "")], "ExecStopPostEx": [(f"{exe} --ended {u['supply']} {instance}", "privileged")],
    }


def read(seen):
    """The same of what systemd shows."""
    out = {k: seen.get(k, "") for k in OWN}
    for k in ("CPUQuotaPerSecUSec", "TimeoutStopUSec", "TimeoutAbortUSec"):
        out[k] = microseconds(out[k])
    for k in ("ExecStart", "ExecStartEx", "ExecStopPost", "ExecStopPostEx"):
        out[k] = argv_of(out[k])
    return out


def differs(u, file, unit, seen, base):
    """Where what systemd read is not what the unit was rendered of, or is more."""
    want, have = expected(u, file, unit), read(seen)
    wrong = [(k, want[k], have[k]) for k in want if want[k] != have[k]]
    wrong += [(k, base.get(k), seen.get(k)) for k in sorted(set(seen) | set(base)) if k not in OWN | AROUND and seen.get(k) != base.get(k)]
    if seen["LoadState"] != "loaded" or seen.get("DropInPaths") or seen.get("Environment") or seen.get("EnvironmentFiles") or seen.get("LoadError"):
        wrong.append({k: seen.get(k) for k in ("LoadState", "DropInPaths", "Environment", "EnvironmentFiles", "LoadError")})
    return wrong


def verified(server, *files):
    """systemd-analyze finds nothing to say; of man pages and of what others installed it is not asked. The user of a project whose name is as long
    as can be, 29, has 32 characters: useradd takes that many, systemd says that it takes one more than it would give, and does."""
    done = server.run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", "--", *files, expect=None)
    said = [line for line in done.stderr.splitlines() if not re.search(r"Accepting user/group name 'sw-[a-z0-9-]{29}', which does not match strict", line)]
    assert (done.returncode, done.stdout, said) == (0, "", []), (done.returncode, done.stdout[-3000:], said[:20])


# --- the checks ----------------------------------------------------------------------------------------------------------------------


def the_renderer_refuses_the_rest(server):
    """By rules of its own; nothing that is refused leaves a file."""
    exe, r = exec_path(server), random.Random(4)
    units = [spoiled(r, drawn(r, exe)) for _ in range(20000)] + list(each_byte_each_place(exe))
    with tempfile.TemporaryDirectory() as folder:
        files = render(units, folder)
        wrong = [(u, f) for u, f in zip(units, files) if is_good(u) != (f is not None)]
        refused = sum(f is None for f in files)
        assert not wrong, (len(wrong), wrong[:5])
        assert set(os.listdir(folder)) == {f[0] for f in files if f}
    print(f"units: {refused} of {len(units)} refused")
    assert refused > 15000


def some_units(seed, exe, count):
    """Accepted ones of names that differ, and one plain one of each kind to compare with."""
    r, units = random.Random(seed), {}
    for kind in range(SERVICE, BUILD_JOB + 1):
        plain = drawn(r, exe) | {"kind": kind, "project": "base", "process": "base", "user": "sw-base"}
        units["base", "base", kind] = plain
    while len(units) < count:
        u = drawn(r, exe)
        if u["project"] not in ("guestbook", "plain", "kept") and is_good(u):
            units.setdefault((u["project"], u["process"], u["kind"]), u)
    return list(units.values())


def systemd_reads_what_was_meant(server):
    """Random fields within the rules: for systemd each unit is what it was rendered of, and has no property beyond the template's."""
    seed = int(os.environ.get("SLIPWAY_SEED", "20261128"))
    units = some_units(seed, exec_path(server), 300)
    folder = Path(tempfile.mkdtemp())
    try:
        files = render(units, folder)
        assert all(files)
        # the slice of each, too
        slices = list({u["project"]: u | {"kind": SLICE} for u in units}.values())
        assert all(render(slices, folder))
        plant(folder)
        names = sorted(os.listdir(folder))
        server.put(folder, "/run/systemd/system")
        server.run("systemctl", "daemon-reload")
        verified(server, *("/run/systemd/system/" + n for n in names if "planted" not in n))
        compare(server, [(u, *f) for u, f in zip(units, files) if u["kind"] != SLICE], seed)
        for s in (n for n in names if n.endswith(".slice")):
            assert "\\x2d" not in s or "-" not in s.removeprefix("slipway-"), s
        shown_slices = shown(server, [n for n in names if n.endswith(".slice")])
        assert all(s["LoadState"] == "loaded" and s["Slice"] == "slipway.slice" and not s.get("DropInPaths") for s in shown_slices.values())
    finally:
        server.run("sh", "-c", 'cd /run/systemd/system && rm -f -- "$@"', "sh", *os.listdir(folder))
        server.run("systemctl", "daemon-reload")
        shutil.rmtree(folder)


PLANTED = {  # the control: a directive more, one twice, one changed, an escape that is none
    "more": lambda t: t + "Environment=LD_PRELOAD=/tmp/x.so\n",
    "twice": lambda t: t.replace("ExecStopPost=", "ExecStartPost=/bin/true\nExecStopPost=", 1),
    "changed": lambda t: t.replace("NoNewPrivileges=yes", "NoNewPrivileges=no"),
    "escape": lambda t: t.replace("TimeoutStopSec=", "User=root\nTimeoutStopSec=", 1),
}


def plant(folder):
    text = (folder / "slipway-base.base@.service").read_text()
    for what, how in PLANTED.items():
        assert how(text) != text
        (folder / f"slipway-base.planted{what}@.service").write_text(how(text))


def compare(server, rendered, seed):
    bases, seen, wrong = {}, {}, []
    for at in range(0, len(rendered), 40):
        seen |= shown(server, [unit for _, _, unit in rendered[at:at + 40]])
    for u, file, unit in rendered:
        base = bases.setdefault(u["kind"], seen[unit])
        found = differs(u, file, unit, seen[unit], base)
        wrong += [(unit, found)] if found else []
    assert set(bases) == {SERVICE, RELAY, RUN, BUILD_JOB}
    print(f"units: {len(rendered)} read by systemd, {len(next(iter(seen.values())))} properties each (seed {seed})")
    assert not wrong, (len(wrong), wrong[:3])
    u, file, unit = next(x for x in rendered if x[1] == "slipway-base.base@.service")
    for what in PLANTED:
        name = unit.replace(".base@", f".planted{what}@")
        assert differs(u, file, unit, shown(server, [name])[name] | {"Id": unit, "Names": unit, "FragmentPath": "/run/systemd/system/" + file}, bases[SERVICE]), what


ALL = (the_renderer_refuses_the_rest, systemd_reads_what_was_meant)
