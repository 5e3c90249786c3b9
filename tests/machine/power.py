"""A server (server.py) whose power can be cut: everything it writes lies on a disk that keeps only what was synced (tools/lossy.c)."""
import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path

from server import BUILD, SCRIPT, NoMachine, Server

LOSE_ALL, KEEP_SOME = signal.SIGUSR1, signal.SIGUSR2
MACHINES = Path(os.environ.get("SLIPWAY_MACHINES") or os.environ.get("TMPDIR", "/tmp") + "/slipway-machine")
DISK_BYTES = 2 << 30


def run(*argv):
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout.strip()


def until(what, seconds=20):
    """Whether it succeeded in that time."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def leave_mounts():
    """From here on this process mounts for itself and its children: a copy in a namespace that somebody else makes meanwhile would keep a disk alive."""
    CLONE_NEWNS = 0x20000
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNS) != 0:
        raise NoMachine("no mount namespace here")
    run("mount", "--make-rprivate", "/")


class Disk:
    """ext4 on a loop device on `lossy`, mounted at folder/disk; its contents survive in folder/contents."""

    def __init__(self, folder):
        self.folder, self.contents, self.fuse, self.mounted = folder, folder / "contents", folder / "fuse", folder / "disk"
        for d in (self.fuse, self.mounted):
            d.mkdir(parents=True)
        self.lossy = self.loop = None
        leave_mounts()
        with open(self.contents, "wb") as f:
            f.truncate(DISK_BYTES)
        run("mke2fs", "-q", "-t", "ext4", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", self.contents)

    def on(self):
        """Mounts what is left, as a boot does: the journal first."""
        self.lossy = subprocess.Popen([BUILD / "tests/lossy", self.contents, self.fuse], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not until(lambda: os.path.ismount(self.fuse) or self.lossy.poll() is not None) or self.lossy.poll() is not None:
            raise NoMachine("no FUSE here: " + (self.lossy.stderr.read() if self.lossy.poll() is not None else "it does not come up"))
        try:
            self.loop = run("losetup", "--find", "--show", self.fuse / "disk")
            run("mount", "-t", "ext4", self.loop, self.mounted)
        except subprocess.CalledProcessError as e:
            raise NoMachine("no loop devices here: " + e.stderr.strip())

    def cut(self, how):
        self.lossy.send_signal(how)
        os.stat(self.fuse / "disk")  # a request, in front of which it looks

    def off(self):
        """Lets go of it; what `lossy` says of the cut, if there was one."""
        for mount in (self.mounted, self.fuse):
            assert until(lambda: not os.path.ismount(mount) or subprocess.run(["umount", mount], capture_output=True).returncode == 0), f"{mount} is held"
            if mount == self.mounted and self.loop:
                run("losetup", "--detach", self.loop)
                self.loop = None
        said, wrong = self.lossy.communicate(timeout=60)
        assert not wrong, wrong
        self.lossy = None
        return said.strip()

    def close(self):
        if self.lossy:
            self.cut(LOSE_ALL)
            self.off()


def namespace(pid):
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


class PoweredServer(Server):
    """Without a base it is no machine either: both say NoMachine."""

    def __init__(self):
        self.disk = None
        super().__init__()

    def script(self, verb, *more, check=True):
        if verb == "up" and not self.disk:  # its first start
            self.disk = Disk(MACHINES / "m" / self.name)
            self.disk.on()
        return super().script(verb, *more, check=check)

    def near(self, *argv, **more):
        """A process of this side in the machine's network: it outlives the machine."""
        return subprocess.Popen([SCRIPT, "near", self.name, *map(str, argv)], **more)

    def freeze(self):
        """Nobody in the machine goes on, and who is in a call does not come out of it."""
        init = int(self.script("init").stdout)
        own = os.readlink(f"/proc/{init}/ns/pid")
        stopped = set()
        while True:
            found = {pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if namespace(pid) == own}
            if found <= stopped:
                return
            for pid in found - stopped:
                try:
                    os.kill(pid, signal.SIGSTOP)
                except ProcessLookupError:
                    pass
            stopped |= found

    def cut(self, how):
        """First nobody does anything any more, then the disk forgets, then the machine goes: its going away would sync. What was forgotten."""
        self.freeze()
        self.disk.cut(how)
        self.script("cut")
        return self.disk.off()

    def power(self):
        """Seconds from the disk's being there to a machine that says it runs."""
        self.disk.on()
        begun = time.monotonic()
        self.script("up")
        return time.monotonic() - begun

    def close(self):
        self.script("cut", check=False)
        if self.disk:
            self.disk.close()
        super().close()
