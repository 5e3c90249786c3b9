#!/usr/bin/env python3
"""R10: 1 GB of data in 10 projects, archived and brought back, beside tar with zstd of the same files in the same run.

Half of the bytes are random, half are text; each project also holds an SQLite database. Every file is compared afterwards."""
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from _measure import GitServer, Platform  # noqa: E402

PROJECTS, MB = 10, 100
MAKE = """import os, sqlite3
d = os.environ["SLIPWAY_DATA_DIR"] + "/"
for i in range(%d):
    open(d + "random%%d" %% i, "wb").write(os.urandom(1 << 20))
    open(d + "text%%d" %% i, "w").write("".join("%%d a line of text that repeats itself, more or less\\n" %% k for k in range(19000)))
db = sqlite3.connect(d + "db")
db.execute("create table t(a, b)")
db.executemany("insert into t values (?, ?)", ((k, "row %%d" %% k) for k in range(20000)))
db.commit()
""" % (MB // 2)


def sums(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(Path(folder).iterdir()) if p.is_file() and p.name != "db"}


def timed(what, each):
    begun = time.monotonic()
    for i in range(PROJECTS):
        each(i)
    took = time.monotonic() - begun
    print(f"{what:<44} {took:6.1f} s", flush=True)
    return took


def main():
    git, p = GitServer(), Platform()
    try:
        p.start()
        repo = git.repository("data", {"index.html": "x", "slipway.yaml": "kind: static\n"})
        for i in range(PROJECTS):
            p.create(f"data{i}", repo.url)
            p.deploy(f"data{i}")
            p.cli("run", f"data{i}", "--", "python3", "-c", MAKE)
        data = [p.state / f"projects/data{i}/data" for i in range(PROJECTS)]
        before = [sums(d) for d in data]
        with tempfile.TemporaryDirectory(dir=p.dir) as out:
            peer = timed("tar --zstd, and a sync", lambda i: subprocess.run(["tar", "--zstd", "-cf", f"{out}/{i}", "-C", data[i], "."], check=True) and os.sync())
        ours = timed("slipway backup", lambda i: p.cli("backup", f"data{i}"))
        size = sum(b["size_bytes"] for i in range(PROJECTS) for b in p.api("GET", f"/projects/data{i}/backups")["items"])
        for d in data:
            (d / "random0").write_bytes(b"changed")
        back = timed("slipway restore", lambda i: p.cli("restore", f"data{i}", "--data-only", "--yes"))
        same = before == [sums(d) for d in data]
        total = sum(f.stat().st_size for d in data for f in d.iterdir())
        print(f"{total / 1e9:.2f} GB of files, archives of {size / 1e9:.2f} GB; backup / tar {ours / peer:.2f}; restore / tar {back / peer:.2f}; all files the same: {same}; load {os.getloadavg()[0]:.0f}")
        return 0 if same else 1
    finally:
        p.close()
        git.close()


if __name__ == "__main__":
    sys.exit(main())
