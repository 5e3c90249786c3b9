"""How MiniTwit's timelines are read: the statements of apps/minitwit/data.c, as both databases plan them with 20,000 messages. The README
tells the plans."""
import importlib.util
import re
import sqlite3
import subprocess

from harness import SANITIZED, TOP
from postgres import Postgres

spec = importlib.util.spec_from_file_location("contract", TOP / "apps/minitwit/tests/contract.py")
contract = importlib.util.module_from_spec(spec)
spec.loader.exec_module(contract)

PROGRAM = SANITIZED / "apps/minitwit/minitwit"
STATEMENTS = {"data_public": 30, "data_public_after": 30, "data_by_user": 30, "data_personal": 30, "data_followed": 100}


def statement(name):
    """The text of a timeline's statement, from the source, with numbers for its parameters."""
    source = (TOP / "apps/minitwit/data.c").read_text()
    body = re.search(rf"^int {name}\(.*?^}}", source, re.M | re.S).group(0).replace("ROW", '"m.message_id, m.pub_date, u.username, m.text, u.email"')
    sql = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', body.split("e);")[0])).replace('\\"', '"')
    return re.sub(r"\$(\w+)", lambda m: str({"me": 7, "user": "'u7'", "who": "'u7'", "offset": 0, "after": 19990}.get(m.group(1), STATEMENTS[name])), sql)


FILL = (
    "INSERT INTO \"user\"(username, email, pw_hash) SELECT 'u' || i, 'a@b', 'x' FROM {} LIMIT 500",
    "INSERT INTO message(author_id, text, pub_date) SELECT 1 + (i * 7919) % 500, 'text', 1000 + i / 9 FROM {}",
    "INSERT INTO follower(who_id, whom_id) SELECT 1 + i % 100, 1 + (i / 100) % 500 FROM {} WHERE i < 500",
    "ANALYZE",
)


def test_no_timeline_reads_more_than_it_shows_with_sqlite():
    site = contract.Site(PROGRAM)
    with sqlite3.connect(site.data / "minitwit.db") as db:
        for sql in FILL:
            db.execute(sql.format("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT i FROM n)"))
        for name in STATEMENTS:
            plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement(name))]
            scans = [line for line in plan if line.startswith("SCAN") and line not in ("SCAN m USING INDEX message_public", "SCAN f", "SCAN a", "SCAN CONSTANT ROW")]
            assert not scans and (name == "data_personal" or not any("TEMP B-TREE" in line for line in plan)), (name, plan)
    site.close()


def test_no_timeline_reads_more_than_it_shows_with_postgresql():
    postgres = Postgres()
    try:
        site = contract.Site(PROGRAM, 1, {"DATABASE_URL": postgres.database("plans")})

        def psql(sql):
            done = subprocess.run([postgres.bin / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", postgres.dir, "-U", "postgres", "plans", "-c", sql], cwd=postgres.dir, capture_output=True, text=True, timeout=60, **postgres.user)
            assert done.returncode == 0, done
            return done.stdout

        for sql in FILL:
            psql(sql.format("generate_series(1, 20000) i"))
        for name in STATEMENTS:
            assert not re.search(r"Seq Scan on message|Seq Scan on follower", psql("EXPLAIN " + statement(name))), (name, psql("EXPLAIN " + statement(name)))
        site.close()
    finally:
        postgres.close()
