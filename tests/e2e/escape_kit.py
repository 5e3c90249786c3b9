"""What the escape kit (tests/tools/escape.c) is tried on, embedded (test_escape.py) and on a server (machine/escape_checks.py): a project's
program that holds one of everything that another might want, and who succeeds in what.

| ways | the same program succeeds as |
|---|---|
| OTHERS | the other project itself, in its sandbox. Everything it offers is open to all by its own mode |
| SHARED, of these | also whoever is in the other project's namespaces, as another user; on a server `tmp`, too, which embedded is the user's alone |
| `abstract`, of these | also the project that tries, outside of its sandbox |
| SANDBOX | the project that tries, outside of its sandbox; in one nobody, for the filter of system calls or Landlock refuses all. `key`, `queue`: so the other project cannot make one itself, and its user does outside |
| TRACER | the other project's user outside of its sandbox, embedded; on a server root only, for there a project's processes are in a user namespace that is root's |
| PLATFORM | root: these are no project's, not even the one's that they are about. `join`: the namespaces are root's |
| SERVER | root; a server alone has them |
| NOBODY | what a unit was given is given once. That root may tell an end, and nobody else, is seen in what the helper does about it |
"""

OTHERS = {"environment", "descriptors", "program", "root", "signal", "memory", "read", "write", "list", "release", "tmp", "socket", "abstract"}
OTHERS |= {"notify", "shm", "posix", "port"}
SHARED = {"shm", "posix"}
SANDBOX = {"keyring", "key", "queue", "namespace", "mount", "trace"}
TRACER = {"vm", "steal"}
PLATFORM = {"join", "bpf", "api", "front", "keeper", "live", "group", "log", "store", "events", "seal"}
SERVER = {"saved", "journal", "manager"}
NOBODY = {"supply"}

# Holds one of everything that another project might want, of a mode that keeps nobody away: what does is the platform. Runs the kit as a
# child of its own when asked to.
APP = """
import ctypes, json, os, socket, subprocess, sys
os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)
data, name = os.environ["SLIPWAY_DATA_DIR"], sys.argv[1]
key = os.getpid() + (1 << 20)
files = dict(file=os.path.join(data, "secret"), tmp="/tmp/escape-" + name, posix="/dev/shm/escape-" + name)
for path in files.values():
    with open(path, "w") as f:
        f.write("mine")
libc.prctl(0x59616d61, ctypes.c_ulong(-1), 0, 0, 0)  # where only its descendants may trace a process: everybody
memory = ctypes.create_string_buffer(b"mine")
assert libc.shmget(key, 4096, 0o666 | 0o1000) >= 0, ctypes.get_errno()
held = []
for address in (os.path.join(data, "socket"), "\\0" + name):
    s = socket.socket(socket.AF_UNIX)
    if address[0] != "\\0" and os.path.exists(address):
        os.unlink(address)
    s.bind(address)
    s.listen(64)
    held.append(s)
about = dict(files, pid=os.getpid(), memory="%d:%d" % (os.getpid(), ctypes.addressof(memory)), dir=data, socket=os.path.join(data, "socket"), abstract=name, shm=key)
about.update(release=os.path.abspath("app.py"), notify=os.environ["NOTIFY_SOCKET"])
front = socket.socket(fileno=3)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", about["notify"])
print("serving", flush=True)
while True:
    c, _ = front.accept()
    ask = b""
    while b"\\r\\n\\r\\n" not in ask:
        ask += c.recv(65536)
    head, _, body = ask.partition(b"\\r\\n\\r\\n")
    length = next((int(l.split(b":")[1]) for l in head.split(b"\\r\\n") if l.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += c.recv(65536)
    text = subprocess.run(["./escape", *json.loads(body)], capture_output=True).stdout if length else json.dumps(about).encode()
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s" % (len(text), text))
    c.close()
"""

# Wants a port, as many programs do.
SIDE = """
import os, socket
s = socket.create_server(("127.0.0.1", int(os.environ["PORT"])))
with open(os.path.join(os.environ["SLIPWAY_DATA_DIR"], "port"), "w") as f:
    f.write(os.environ["PORT"])
while True:
    s.accept()[0].close()
"""
MANIFEST = "kind: command\nprocesses:\n  web: {run: [python3, app.py, %s], listen: socket, notify: true}\n  side: {run: [python3, side.py], listen: port}\n"


def told(text):
    return {line.split()[0]: line.split(" ", 1)[1] for line in text.splitlines()}


def yes(found):
    return {name for name, how in found.items() if how == "yes"}
