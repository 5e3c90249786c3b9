/* What the SQLite drivers share of statements: preparing, binding, stepping, and what their errors
 * mean. */
#include "store/sqlite_parts.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#define SHM_BYTES 32768u /* by which it grows */

static const char *const fixed_sql[FIXED_COUNT] = {
    [BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [BEGIN_READ] = "BEGIN",
    [SNAPSHOT] = "SELECT 1 FROM sqlite_schema LIMIT 1", /* BEGIN alone takes none */
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
    [UNIT_BEGIN] = "SAVEPOINT unit",
    [UNIT_KEEP] = "RELEASE unit",
    [UNIT_UNDO] = "ROLLBACK TO unit",
};

bool sqlite_is_fatal(int code)
{
	switch (code & 0xff) {
	case SQLITE_IOERR:
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_CANTOPEN:
	case SQLITE_NOMEM:
	case SQLITE_PROTOCOL:
	case SQLITE_READONLY:
		return true;
	default:
		return false;
	}
}

/* Of the file that readers and the writer share SQLite keeps no errno: it is looked whether there is room. */
static bool is_full(const struct store_conn *c, int code, int sys)
{
	struct statvfs fs;

	if (sys == ENOSPC || sys == EDQUOT)
		return (code & 0xff) == SQLITE_IOERR || (code & 0xff) == SQLITE_CANTOPEN;
	switch (code) {
	case SQLITE_IOERR_SHMSIZE:
	case SQLITE_IOERR_SHMOPEN:
	case SQLITE_IOERR_SHMMAP:
		return c->base->path && statvfs(c->base->path, &fs) == 0 &&
		       fs.f_bavail * fs.f_frsize < SHM_BYTES;
	default:
		return false;
	}
}

static enum err_code class_of(const struct store_conn *c, int code, int sys)
{
	if (is_full(c, code, sys))
		return ERR_NO_SPACE;
	if (code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY)
		return ERR_CONFLICT;
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERR_NO_SPACE;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return ERR_UNAVAILABLE;
	case SQLITE_TOOBIG:
		return ERR_TOO_LARGE;
	default:
		return sqlite_is_fatal(code) ? ERR_IO : ERR_INTERNAL;
	}
}

int sqlite_fail(struct store_conn *c, const char *what, struct err *e)
{
	int code = sqlite3_extended_errcode(c->db), sys = sqlite3_system_errno(c->db);
	enum err_code class = class_of(c, code, sys);

	/* A reader's trouble is its caller's; the writer's ends the process. */
	if (sqlite_is_fatal(code))
		c->broken = true;
	err_set(e, class, "could not %s: %s (sqlite %d)", what,
	    class == ERR_NO_SPACE ? "no space left on the disk" : sqlite3_errmsg(c->db), code);
	if (class == ERR_NO_SPACE)
		err_hint(e, "make room on the server's disk, then try again");
	if (e)
		e->sys = sys;
	return -1;
}

int sqlite_run(struct store_conn *c, enum fixed f, struct err *e)
{
	int rc;

	if (!c->fixed[f] && sqlite3_prepare_v3(c->db, fixed_sql[f], -1, SQLITE_PREPARE_PERSISTENT,
				&c->fixed[f], NULL) != SQLITE_OK)
		return sqlite_fail(c, fixed_sql[f], e);
	rc = sqlite3_step(c->fixed[f]);
	if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
		sqlite3_reset(c->fixed[f]);
		return 0;
	}
	sqlite_fail(c, fixed_sql[f], e);
	sqlite3_reset(c->fixed[f]);
	return -1;
}

/* SQLite compares every name with every other; who binds does so in the same order each time, by the
 * same literals, so the address of the one that came at this turn tells the place. */
#define TURNS 16u
struct store_query {
	sqlite3_stmt *stmt;
	unsigned turn; /* of the binding that comes next */
	const char *names[TURNS];
	int places[TURNS];
};

static sqlite3_stmt *stmt_of(struct store_query *q)
{
	return q->stmt;
}

/* 0: there is no such parameter. */
static int place_of(struct store_query *q, const char *name)
{
	unsigned turn = q->turn;
	if (turn >= TURNS)
		return sqlite3_bind_parameter_index(q->stmt, name);
	q->turn++;
	if (q->names[turn] != name) {
		q->places[turn] = sqlite3_bind_parameter_index(q->stmt, name);
		q->names[turn] = name;
	}
	return q->places[turn];
}

int sqlite_prepare(struct store_conn *c, const char *sql, struct store_query **ret, struct err *e)
{
	sqlite3_stmt *stmt = NULL;
	const char *tail = NULL;

	if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, &tail) !=
	    SQLITE_OK)
		return sqlite_fail(c, "prepare a statement", e);
	assert(stmt && *tail == '\0');
	*ret = mem_alloc(sizeof(**ret));
	(*ret)->stmt = stmt;
	return 0;
}

void sqlite_finalize(struct store_query *q)
{
	sqlite3_finalize(stmt_of(q));
	free(q);
}

void sqlite_reset(struct store_query *q)
{
	sqlite3_reset(stmt_of(q));
}

void sqlite_clear(struct store_query *q)
{
	sqlite3_clear_bindings(stmt_of(q));
	q->turn = 0;
}

bool sqlite_bind_i64(struct store_query *q, const char *name, int64_t v)
{
	int i = place_of(q, name);

	return i > 0 && sqlite3_bind_int64(stmt_of(q), i, v) == SQLITE_OK;
}

bool sqlite_bind_text(struct store_query *q, const char *name, struct str v)
{
	int i = place_of(q, name);

	return i > 0 && sqlite3_bind_text64(
			    stmt_of(q), i, v.p, v.n, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
}

bool sqlite_bind_blob(struct store_query *q, const char *name, struct str v)
{
	int i = place_of(q, name);

	return i > 0 && sqlite3_bind_blob64(stmt_of(q), i, v.p, v.n, SQLITE_TRANSIENT) == SQLITE_OK;
}

bool sqlite_bind_null(struct store_query *q, const char *name)
{
	int i = place_of(q, name);

	return i > 0 && sqlite3_bind_null(stmt_of(q), i) == SQLITE_OK;
}

int sqlite_step(struct store_conn *c, struct store_query *q, struct err *e)
{
	int rc = sqlite3_step(stmt_of(q));

	if (rc == SQLITE_ROW)
		return 1;
	if (rc != SQLITE_DONE)
		sqlite_fail(c, "run a statement", e);
	/* Ready to be bound and run again, and holding nothing. */
	sqlite3_reset(stmt_of(q));
	return rc == SQLITE_DONE ? 0 : -1;
}

int64_t sqlite_col_i64(struct store_query *q, int col)
{
	return sqlite3_column_int64(stmt_of(q), col);
}

struct str sqlite_col_bytes(struct store_query *q, int col)
{
	const void *p;

	if (sqlite3_column_type(stmt_of(q), col) == SQLITE_NULL)
		return STR_NONE;
	p = sqlite3_column_blob(stmt_of(q), col);
	/* SQLite gives NULL for an empty blob; that is still not NULL. */
	return (struct str){p ? p : "", (size_t)sqlite3_column_bytes(stmt_of(q), col)};
}

bool sqlite_col_null(struct store_query *q, int col)
{
	return sqlite3_column_type(stmt_of(q), col) == SQLITE_NULL;
}

int64_t sqlite_changes(struct store_conn *c)
{
	return sqlite3_changes64(c->db);
}

int64_t sqlite_last_id(struct store_conn *c)
{
	return sqlite3_last_insert_rowid(c->db);
}

int sqlite_script(struct store_conn *c, const char *sql, struct err *e)
{
	if (sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return sqlite_fail(c, "run a script of SQL", e);
}
