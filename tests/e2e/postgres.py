"""A PostgreSQL server of the test's own, from the installed package: in a temporary folder, on a socket there or, for
tenants, who do not see that folder, on a port; without fsync unless asked. settings: as its configuration has them."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path


class Postgres:
    def __init__(self, fsync=False, port=None, settings=(), as_packaged=False):
        """as_packaged: who comes over the socket is asked of the kernel, over TCP for a password, as Debian has it."""
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
        assert found, "PostgreSQL is not installed: tools/install-deps test"
        self.bin, self.fsync, self.port, self.settings = Path(found[-1]).parent, fsync, port, settings
        self.dir = Path(tempfile.mkdtemp(prefix="slipway-pg-"))
        self.user = {}
        if os.geteuid() == 0:  # the server refuses to be root
            p = pwd.getpwnam("postgres")
            os.chown(self.dir, p.pw_uid, p.pw_gid)
            self.user = {"user": p.pw_uid, "group": p.pw_gid, "extra_groups": []}
        self.run("initdb", "-N", "-A", "trust", "-U", "postgres", "--encoding=UTF8", "--locale=C.UTF-8", "-D", self.dir / "data")
        if as_packaged:
            local = "peer" if os.geteuid() == 0 else "trust"
            (self.dir / "data" / "pg_hba.conf").write_text(f"local all all {local}\nhost all all 127.0.0.1/32 scram-sha-256\n")
            self.dir.chmod(0o755)
        self.start()

    def run(self, program, *args):
        done = subprocess.run([self.bin / program, *args], cwd=self.dir, capture_output=True, text=True, timeout=60, **self.user)
        assert done.returncode == 0, done

    def start(self):
        log = open(self.dir / "log", "ab")
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", self.dir / "data", "-k", self.dir, "-c", "listen_addresses=" + ("127.0.0.1" if self.port else ""), "-p", str(self.port or 5432), "-c", f"fsync={'on' if self.fsync else 'off'}", "-c", "max_connections=200", *(word for s in self.settings for word in ("-c", s))],
            cwd=self.dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **self.user,
        )
        log.close()
        for _ in range(500):
            if subprocess.run([self.bin / "pg_isready", "-q", "-h", self.dir, "-p", str(self.port or 5432)], **self.user).returncode == 0:
                return
            time.sleep(0.02)
        raise AssertionError((self.dir / "log").read_text())

    def url(self, database):
        if self.port:
            return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        return f"postgresql:///{database}?host={self.dir}&user=postgres"

    def database(self, name):
        """Makes it; its URL."""
        self.run("createdb", "-h", self.dir, "-p", str(self.port or 5432), "-U", "postgres", name)
        return self.url(name)

    def kill(self):
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)
