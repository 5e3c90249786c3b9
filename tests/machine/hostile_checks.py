"""Values that are hostile to unit files and environment files, on a live server: a program reads its variables byte for byte, at each of its starts;
systemd knows nothing of them; what a manifest asks for is what systemd holds; and what `slipway setup` writes, the one environment file
there is, says to systemd what was said to it. Part of test_server.py, which has the machine."""
import json
import os
import re

import reader_checks
import unit_checks

import hostile  # of the e2e tests, which server.py makes known

NAME, PATH = "eu-west-1-of-a-hostile-shop-9", "/srv/hostile"  # as long as a name may be
assert len(NAME) == 29
WORKER = "w234567890123456"  # as long as a process's name may be
MARK = "vq7Hx9"  # in each of these, and nowhere else
VALUES = {
    "NEWLINE": f"a{MARK}\nUser=root\n\n[Service]\nExecStart=/bin/sh -c id\n", "CONTINUED": f"a{MARK}\\\nExecStartPre=/bin/sh", "ENDS_IN_A_BACKSLASH": f"a{MARK}\\", "ENDS_IN_NEWLINES": f"{MARK}\n\n",
    "CRLF": f"a\r\n{MARK}\r\n", "PERCENT": f"%i %n %N %% %u %h %{MARK} %", "DOLLAR": f"$HOME ${{X}} $$ ${{{MARK}}} $", "SINGLE": f"'{MARK}' ''' it's", "DOUBLE": f'"{MARK}" """ 5" x', "MIXED": f"'\"{MARK}'\" \"'",
    "OPEN_QUOTE": f'"{MARK}', "BACKSLASHES": f"\\x0a \\n \\t \\101 \\\\ {MARK} \\\" \\'", "BLANKS": f"   {MARK}\t ", "HASH": f"# {MARK}", "SEMICOLON": f"; {MARK} ; x", "EQUALS": f"={MARK}==A=b",
    "UTF8": f"žluťoučký 日本語 😀 \u202e{MARK}\u2066 \ufeff", "CONTROL": f"\x01\x02\x03{MARK}\x07\x08\x1b[31m\x1b]0;x\x07\x7f\x85", "EMPTY": "", "DASH": "-", "LONG": (MARK + "0123456789") * 2048,
    "LONGEST": MARK + "x" * (65536 - len(MARK)), "EXPANDED": f"a\x01HOME\x02{MARK}", "KEY_LIKE": f"LD_PRELOAD=/tmp/{MARK}.so",
}
DUMP = """import json, os, sys
def text():
    return json.dumps({os.fsencode(k).hex(): os.fsencode(v).hex() for k, v in os.environ.items()})
if __name__ == '__main__':
    if sys.argv[1] == 'run':
        print('\\n'.join(text()[at:at + 4096] for at in range(0, len(text()), 4096)))  # a line of a log has an end
    else:
        path = os.environ['SLIPWAY_DATA_DIR'] + '/' + sys.argv[1]
        open(path + '~', 'w').write(text())
        os.rename(path + '~', path)
    if sys.argv[1] == 'worker':
        import socket, time
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'READY=1', os.environ['NOTIFY_SOCKET'])
        time.sleep(100000)
"""
SERVER = """import http.server, os, dump
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = dump.text().encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *a):
        pass
http.server.ThreadingHTTPServer(('127.0.0.1', int(os.environ['PORT'])), Answer).serve_forever()
"""
MANIFEST = """kind: command
release: [python3, dump.py, release]
health: {path: /}
processes:
  web: {run: [python3, -u, server.py], listen: port, stop_timeout: %s}
%slimits: {memory: %s, cpu: %s, tasks: %s, files: %s, disk: %s}
"""
WORKS = "  w234567890123456: {run: [python3, -u, dump.py, worker], stop_timeout: 1ms, notify: true}\n"
# What a manifest may ask for at most, and little; and what systemd then has to hold.
MOST = (("1h", WORKS, "1T", "1024", "1000000", "1000000", "1024T"), {"stop": 3600, "memory": 2**40, "cpu": 1024000, "tasks": 10**6, "files": 10**6, "disk": 2**50})
LITTLE = (("1500ms", "", "96M", "0.255", "20", "64", "16M"), {"stop": 2, "memory": 96 << 20, "cpu": 255, "tasks": 20, "files": 64, "disk": 16 << 20})


def api(server, method, path, body=None):
    """(status, answer) of the daemon's own socket, as root."""
    more = ["-H", "Content-Type: application/json", "--data-binary", "@-"] if body is not None else []
    done = server.run("curl", "-sS", "-m", "60", "-w", "\n%{http_code}", "--unix-socket", "/run/slipway/api.sock", "-X", method, *more, "http://x/api/v1" + path, stdin=body)
    text, _, status = done.rpartition("\n")
    return int(status), json.loads(text)


def decoded(text):
    return {bytes.fromhex(k).decode(): bytes.fromhex(v) for k, v in json.loads(text.replace("\n", "")).items()}


def is_told(env):
    """Everything arrived, byte for byte, and nothing more came of it."""
    wrong = {k: (v[:60], env.get(k, b"")[:60]) for k, v in VALUES.items() if env.get(k) != v.encode()}
    wrong |= {f"E{i}": (v[:60], env.get(f"E{i}", b"")[:60]) for i, v in enumerate(hostile.TEXTS) if env.get(f"E{i}") != v.encode()}
    assert not wrong, (len(wrong), wrong)
    rest = {k for k in env if k not in VALUES and not re.fullmatch(r"E\d+", k)}
    known = re.compile(r"(SLIPWAY_[A-Z_]+|PATH|HOME|TMPDIR|LANG|PORT|PWD|USER|LOGNAME|SHELL|LC_CTYPE|HOST|NOTIFY_SOCKET|PYTHON[A-Z]+|OLDPWD|SHLVL|TERM)")
    assert all(known.fullmatch(k) for k in rest), sorted(rest)


def write(server, limits):
    server.run(f"mkdir -p {PATH} && cat >{PATH}/slipway.yaml", stdin=MANIFEST % limits)
    server.run(f"cat >{PATH}/dump.py", stdin=DUMP)
    server.run(f"cat >{PATH}/server.py", stdin=SERVER)


def version(server):
    return server.api("env", "list", NAME)["version"]


def variables_are_set(server):
    """Each by the command line as one word, some by standard input, the e2e tests' own values by the API in one request."""
    write(server, MOST[0])
    server.slipway("create", NAME, "--path", PATH)
    words = [f"{k}={v}" for k, v in VALUES.items() if k not in ("DASH", "NEWLINE", "ENDS_IN_NEWLINES", "LONGEST")]
    server.slipway("env", "set", NAME, *words)
    for key in ("DASH", "NEWLINE", "ENDS_IN_NEWLINES", "LONGEST"):  # less one newline at the end
        server.slipway("env", "set", NAME, key + "=-", stdin=VALUES[key] + "\n" if key != "LONGEST" else VALUES[key])
    status, answer = api(server, "PUT", f"/projects/{NAME}/env", json.dumps({f"E{i}": {"value": v, "secret": i % 2 == 0} for i, v in enumerate(hostile.TEXTS)}))
    assert status == 200, answer
    assert len(server.api("env", "list", NAME)["items"]) == len(VALUES) + len(hostile.TEXTS)


REFUSED = (  # a word of the command line, standard input, what is said
    ("X=-", "a\0b", "NUL"), ("X=" + "x" * 65537, "", "65536"), ("X=-", "x" * 65538, "larger"), ("=x", "", "variable name"), ("LD_PRELOAD=x", "", "LD_PRELOAD"), ("1A=1", "", "1A"),
    ("SLIPWAY_RELEASE=1", "", "SLIPWAY_RELEASE"), ("A B=1", "", "A B"), ("A\n=1", "", "variable"), ("A%i=1", "", "A%i"), ('"A"=1', "", "holds something else"), ("A\\=1", "", "holds something else"),
)
REFUSED_JSON = ('"X": {"value": "a\\u0000b"}', '"X": {"value": 1}', '"X=Y": {"value": "x"}', '"X\\u0000": {"value": "x"}', '"X": {"value": "' + "x" * 65537 + '"}', '"X": {"value": "\\ud800"}')


def what_cannot_be_is_refused(server):
    """Clearly, and nothing of it is kept."""
    before = version(server)
    for word, stdin, words in REFUSED:
        done = server.slipway("env", "set", NAME, word, stdin=stdin, expect=None)
        assert done.returncode != 0 and words in done.stderr, (word[:40], done)
    for line in ("slipway env set {} \"X=$(printf 'a\\377')\"", "printf '\\377\\376' | slipway env set {} X=-"):
        done = server.run(line.format(NAME), expect=None)
        assert done.returncode != 0 and "UTF-8" in done.stderr, (line, done)
    for body in REFUSED_JSON:
        status, answer = api(server, "PUT", f"/projects/{NAME}/env", "{" + body + "}")
        assert status in (400, 422) and answer["detail"], (body[:40], status, answer)
    assert version(server) == before


def they_arrive(server):
    """In the program, a worker, the release command and a one-off run; again in a program that was killed."""
    server.slipway("deploy", NAME)
    is_told(decoded(server.wait_get(NAME + ".localhost")))
    data = f"/var/lib/slipway/projects/{NAME}/data"
    unit_checks.until(lambda: server.run("ls", data).split() == ["release", "worker"])
    for what in ("release", "worker"):
        is_told(decoded(server.run("cat", f"{data}/{what}")))
    is_told(decoded(server.slipway("run", NAME, "--", "python3", "dump.py", "run")))
    server.run("systemctl", "kill", "--signal=SIGKILL", "--", unit_checks.unit_of(server, NAME))
    is_told(decoded(server.wait_get(NAME + ".localhost")))


# --- systemd's own view --------------------------------------------------------------------------------------------------------------


def bus(server, *words):
    return json.loads(server.run("busctl", "--json=short", "call", "org.freedesktop.systemd1", *words))["data"][0]


def properties(server, unit):
    """All of a unit, by D-Bus."""
    manager = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
    path = bus(server, *manager, "LoadUnit", "s", unit)
    return {k: v["data"] for k, v in bus(server, path, "org.freedesktop.DBus.Properties", "GetAll", "s", "").items()}


def live_units(server):
    lines = server.run("systemctl list-units --plain --no-legend --all 'slipway*'").strip().split("\n")
    return [line.split()[0] for line in lines]


def texts_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for v in value.values() if isinstance(value, dict) else value:
            yield from texts_of(v)


def systemd_knows_none_of_it(server):
    """No property of any unit, no unit file, no file beside holds a value; no project's unit has an environment, or a command that is not the template's."""
    exe, units = reader_checks.exec_path(server), live_units(server)
    ours = [u for u in units if u.startswith(f"slipway-{NAME}.")]
    assert len(ours) >= 2 and "slipwayd.service" in units, units
    values = [*(v for v in VALUES.values() if MARK in v), *(v for v in hostile.TEXTS if len(v) >= 12)]
    for unit in units:
        seen = properties(server, unit)
        held = "\0".join(texts_of(seen))
        assert MARK not in held and not [v for v in values if v in held], unit
        if not re.match(r"slipway-[a-z0-9-]+\.[a-z0-9.]+@", unit):
            continue
        instance = unit.split("@")[1].removesuffix(".service")
        for key, option, flags in (("ExecStartEx", "--supply", []), ("ExecStopPostEx", "--ended", ["privileged"])):
            commands = [c[:3] for c in seen[key]]
            assert commands == [[exe, [exe, option, "/run/slipway-helper/supply.sock", instance], flags]], (unit, commands)
        for key in ("Environment", "EnvironmentFiles", "PassEnvironment", "UnsetEnvironment", "ExecStartPre", "ExecStartPost", "ExecCondition", "ExecReload", "ExecStop", "DropInPaths", "LoadCredential", "SetCredential"):
            assert seen[key] == [], (unit, key, seen[key])
    assert server.run(f"systemctl cat 'slipway*' | grep -cF {MARK}", expect=None).stdout.strip() == "0"
    grep = f"grep -rlaF {MARK} /run/systemd /etc/systemd /usr/local/lib/systemd /run/slipway /run/slipway-helper /var/lib/slipway/slipway.db* /var/lib/slipway/helper /var/lib/slipway/logs"
    assert server.run(grep, expect=None).stdout == ""
    assert server.run(f"journalctl -q -a -o export | grep -caF {MARK}", expect=None).stdout.strip() == "0"


def holds(server, want, *processes):
    """On the bus, units are what the manifest said."""
    for process in processes:
        seen = properties(server, unit_checks.unit_of(server, NAME, process))
        assert (seen["User"], seen["Group"], seen["Slice"]) == ("sw-" + NAME, "sw-" + NAME, "slipway-" + NAME.replace("-", "\\x2d") + ".slice")
        stop = want["stop"] if process == "web" else 1
        have = {"memory": seen["MemoryMax"], "cpu": seen["CPUQuotaPerSecUSec"], "tasks": seen["TasksMax"], "files": seen["LimitNOFILE"], "disk": seen["LimitFSIZE"], "stop": seen["TimeoutStopUSec"] // 10**6}
        assert have == want | {"stop": stop, "cpu": want["cpu"] // 10 * 10**4}, (process, have, want)
        assert not seen["NeedDaemonReload"] and seen["MemorySwapMax"] == 0


def limits_are_what_was_said(server):
    """At the most that a manifest may say, and then little, which systemd reads anew without being told to."""
    holds(server, MOST[1], "web", WORKER)
    write(server, LITTLE[0])
    server.slipway("deploy", NAME, "--force")
    holds(server, LITTLE[1], "web")
    is_told(decoded(server.wait_get(NAME + ".localhost")))
    server.slipway("restart", NAME)
    is_told(decoded(server.wait_get(NAME + ".localhost")))
    pid = properties(server, unit_checks.unit_of(server, NAME))["MainPID"]
    assert re.search(r"^Max open files +64 +64 ", server.run("cat", f"/proc/{pid}/limits"), re.M)


def every_unit_is_well_formed(server):
    """Those that are live, and those that were installed."""
    files = server.run("ls -d /run/systemd/system/slipway*").split("\n")[:-1]
    assert any("\\x2d" in f for f in files) and len(files) >= 5, files
    reader_checks.verified(server, *files)
    installed = server.run("ls /usr/local/lib/systemd/system/slipway*.s* | grep -v @").split()
    assert len(installed) >= 8
    reader_checks.verified(server, *installed)


def they_arrive_after_a_boot(server):
    is_told(decoded(server.wait_get(NAME + ".localhost", seconds=60)))
    systemd_knows_none_of_it(server)


def end(server):
    server.slipway("destroy", NAME, "--yes", "--purge")
    server.run("rm", "-r", PATH)
    left = lambda: server.run("ls /run/systemd/system; systemctl list-units --all --plain --no-legend 'slipway-*' | cut -d' ' -f1")  # noqa: E731
    unit_checks.until(lambda: NAME not in left() and NAME.replace("-", "\\x2d") not in left(), 10)
    assert server.run("find /sys/fs/cgroup -name '*hostile*'") == ""


def what_is_planted_is_seen(server):
    """The control: a value within a drop-in, a command more, a unit of another's making."""
    unit = unit_checks.unit_of(server, NAME).split("@")[0] + "@.service"
    for text in (f"[Service]\nEnvironment=A={MARK}\n", "[Service]\nExecStartPost=/bin/true\n", "[Service]\nEnvironmentFile=-/etc/slipway/server.conf\n"):
        server.run(f"mkdir -p '/run/systemd/system/{unit}.d' && cat >'/run/systemd/system/{unit}.d/x.conf' && systemctl daemon-reload", stdin=text)
        try:
            systemd_knows_none_of_it(server)
        except AssertionError:
            continue
        finally:
            server.run(f"rm -r '/run/systemd/system/{unit}.d' && systemctl daemon-reload")
        raise AssertionError("not seen: " + text)
    systemd_knows_none_of_it(server)


# --- the one environment file --------------------------------------------------------------------------------------------------------

CONF = "/etc/slipway/server.conf"
TOLD = {
    "--domain": "paas.example.org", "--address": "127.0.0.1", "--http": "80", "--https": "443", "--tls": "strict", "--edge": "nginx", "--nginx-sites": "no", "--acme": "https://ca.example.org/dir",
    "--acme-mail": "me@example.org", "--dns-hook": "/usr/bin/true", "--postgres": "postgresql:///db", "--rabbitmq": "http://me@127.0.0.1:15672", "--rabbitmq-ca": "/etc/passwd",
    "--trusted-proxies": "127.0.0.2,::1",
}
SPOILS = ["\n", "\nSLIPWAY_UID=0", "\n[Service]", "\r\nSLIPWAY_TLS=x", " x", "\tx", "%i", "%", '"', '"x"', "'", "\\", "\\\nX=y", "\\n", "$HOME", "${SLIPWAY_UID}", "$$", "#x", ";x", "\x01", "\x1b[0m", "\x7f", "é", "\u2028"]
# Runs setup with each, in the machine; prints those that were not refused, or changed something.
TRY = """import json, re, subprocess, sys
told, spoils, every = json.load(sys.stdin)
conf = open('/etc/slipway/server.conf').read()
wrong, n = [], 0
for flag, good in told.items():
    for i, spoil in enumerate(spoils):
        for value in [good + spoil, spoil + good, good[:5] + spoil + good[5:]][0 if every else i % 3::1 if every else 3]:
            done = subprocess.run(['slipway', 'setup', '--yes', flag, value], capture_output=True, text=True, stdin=subprocess.DEVNULL)
            n += 1
            if done.returncode not in (64, 65, 78) or not done.stderr or re.search(r'[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u2028]', done.stderr) or open('/etc/slipway/server.conf').read() != conf:
                wrong.append([flag, value, done.returncode, done.stdout, done.stderr])
print(json.dumps([n, wrong]))
"""


def setup_writes_nothing_hostile(server):
    server.run("cat >/srv/try.py", stdin=TRY)
    n, wrong = json.loads(server.run("python3", "/srv/try.py", stdin=json.dumps([TOLD, SPOILS, "SLIPWAY_LONG" in os.environ])))
    server.run("rm", "/srv/try.py")
    print(f"setup: {n} values refused")
    assert not wrong and n >= len(TOLD) * len(SPOILS), (n, len(wrong), wrong[:5])


def systemd_reads_what_setup_wrote(server):
    """All that it accepts of a value, the odd ones too: the file's lines, a unit with that file, and the daemon's own command line agree."""
    odd = "postgresql:///postgres?host=/run/elsewhere&application_name=a!()*+,-./<>?@:[]^_`{|}~"
    server.slipway("setup", "--yes", "--postgres", odd)
    lines = dict(line.split("=", 1) for line in server.run("cat", CONF).splitlines() if not line.startswith("#"))
    read = server.run("systemd-run", "-q", "--pipe", "--wait", "-p", "EnvironmentFile=" + CONF, "env", "-0").split("\0")
    assert {k: v for k, _, v in (x.partition("=") for x in read) if k.startswith("SLIPWAY_")} == lines and lines["SLIPWAY_POSTGRES"] == odd, (lines, read)
    argv = server.run("cat /proc/$(systemctl show -P MainPID slipwayd)/cmdline").split("\0")
    assert argv[argv.index("--postgres") + 1] == odd and argv[argv.index("--rabbitmq") + 1] == "" and argv[argv.index("--host") + 1] == lines["SLIPWAY_HOST"], argv
    server.slipway("setup", "--yes", "--postgres", "none")


def it_is_the_only_one(server):
    """What else of files systemd reads for Slipway: none that holds what somebody said."""
    words = "EnvironmentFile|LoadCredential|LoadCredentialEncrypted|SetCredential|SetCredentialEncrypted|PassEnvironment"
    read = server.run(f"grep -rhE '^ *({words}) *=' /usr/local/lib/systemd /usr/lib/systemd/system /etc/systemd /run/systemd/system --include='*slipway*'").splitlines()
    assert read == [f"EnvironmentFile={CONF}"] * 2, read
    made = server.run("find /etc/systemd /run/systemd/system /run/systemd/transient -path '*slipway*' ! -type l ! -type d; find /run/systemd/generator* -name '*slipway*'", expect=None).stdout.split("\n")[:-1]
    assert all(re.fullmatch(r"/run/systemd/system/slipway-[a-z0-9\\-]+(\.[a-z0-9.]+@\.service|\.slice)|.*/slipway-helper\.service\.d/quota\.conf", f) for f in made), made


SETUP = (setup_writes_nothing_hostile, systemd_reads_what_setup_wrote, it_is_the_only_one)
ALL = (variables_are_set, what_cannot_be_is_refused, they_arrive, systemd_knows_none_of_it, what_is_planted_is_seen, every_unit_is_well_formed, limits_are_what_was_said, it_is_the_only_one)
AFTER = (they_arrive_after_a_boot, end)
