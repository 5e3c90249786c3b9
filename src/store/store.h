/* SQL without a schema, over a driver. Exactly one thread of one process writes; units of many
 * callers share one commit (group commit); readers have connections of their own.
 *
 * Writer. store_submit queues a *unit*: a function that runs its statements on the writer thread
 * inside a savepoint. The units of a group are committed together (BEGIN IMMEDIATE … COMMIT with
 * synchronous=FULL), and only then each `done` runs, on the writer thread, with the unit's result:
 * a `done` with rc 0 means durable. A unit that returns -1 is rolled back alone. A failing COMMIT
 * or an I/O error ends the process (crash-only: nothing of that group was acknowledged).
 *
 * Between processes an OFD lock on FILE.writer guards the writer: a second opener fails with
 * ERR_CONFLICT. With `shared` the lock is held for one write transaction at a time: processes take
 * turns, and one that waits is next before one that has just had its turn. Only the writer's
 * connection checkpoints; readers are query_only and never do.
 *
 * SQL dialect: `$name` parameters, STRICT tables, RETURNING, ON CONFLICT. In DDL the tokens
 * @id (integer primary key), @i64, @blob and, behind a table's last parenthesis, @strict are
 * expanded per driver. No statement relies on an error.
 *
 * A full disk is the one failure that does not end the process: the whole group is rolled back and
 * each of its units gets ERR_NO_SPACE. A violated UNIQUE or PRIMARY KEY is ERR_CONFLICT. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct store;
struct store_db;   /* one connection: the writer's inside a unit, or a reader's */
struct store_stmt; /* a prepared statement of one connection; owned and cached by it */

struct store_options {
	/* The database file; its directory exists. Or a postgres:// URL. NULL: in memory, for tests
	 * and the simulator. */
	const char *path;
	bool shared; /* further processes may write to it, each in its turn */
	/* Readers look at the file through a mapping of at most so many bytes (SQLite): no copy and
	 * no call per page; but an I/O error while reading ends the process. 0: no mapping. */
	uint64_t map_bytes;
	uint32_t cache_kib; /* of the writer's connection, with SQLite; 0: 2000 */
	unsigned readers;   /* reader connections, 1..16 */
	/* On the writer thread, before units are told that there is no room: may make some, for those that come. NULL: nothing. */
	void (*full)(void *ctx);
	void *full_ctx;
	unsigned group_max; /* units per commit, 1..1024; 0: 256 */
	uint32_t queue_max; /* waiting units before ERR_UNAVAILABLE; 0: 65536 */
};

/* Opens or creates the file, takes the writer's lock, starts the writer thread. NULL on error. */
struct store *store_open(const struct store_options *o, struct err *e);
/* Finishes queued units, checkpoints, closes. */
void store_close(struct store *s);

typedef int store_unit_fn(void *ctx, struct store_db *db, struct err *e);
typedef void store_done_fn(void *ctx, int rc, const struct err *e); /* on the writer thread */

/* From any thread; never blocks. -1 (ERR_UNAVAILABLE) when queue_max wait; done is not called then.
 */
int store_submit(struct store *s, store_unit_fn *unit, store_done_fn *done, void *ctx,
    struct err *e) WARN_UNUSED;
/* The same, waiting until durable. From pool threads and tests, never from the loop or the writer
 * thread. */
int store_write(struct store *s, store_unit_fn *unit, void *ctx, struct err *e) WARN_UNUSED;

/* Borrows a reader (waits until one is free, at most until the absolute monotonic deadline in ms)
 * with a snapshot that lasts until store_read_end. NULL on error. Not from the loop thread, except
 * at start. */
struct store_db *store_read_begin(struct store *s, int64_t deadline_ms, struct err *e);
void store_read_end(struct store *s, struct store_db *db);

/* A statement, prepared once per connection and text (`sql` must be a literal: it is keyed by
 * address), reset and with its parameters cleared. NULL on error. */
struct store_stmt *store_prepare(struct store_db *db, const char *sql, struct err *e);
/* Binding by name, with the '$'. A name that the statement does not have is a programmer's error.
 */
void store_bind_i64(struct store_stmt *q, const char *name, int64_t v);
void store_bind_text(
    struct store_stmt *q, const char *name, struct str v); /* p NULL binds NULL; copied */
void store_bind_blob(struct store_stmt *q, const char *name, struct str v);
void store_bind_null(struct store_stmt *q, const char *name);
/* 1: a row, 0: done, -1: error. */
int store_step(struct store_stmt *q, struct err *e) WARN_UNUSED;
/* Steps a statement that returns no rows. */
int store_exec(struct store_stmt *q, struct err *e) WARN_UNUSED;
/* Rows changed by the last exec of this connection. */
int64_t store_changes(struct store_db *db);
int64_t store_last_id(struct store_db *db);
/* Columns of the current row, from 0; text and blob are valid until the next step or reset. */
int64_t store_col_i64(struct store_stmt *q, int col);
struct str store_col_text(struct store_stmt *q, int col); /* NULL gives STR_NONE */
bool store_col_null(struct store_stmt *q, int col);
/* A copy in the arena. */
struct str store_col_str(struct store_stmt *q, int col, struct arena *a);
void store_reset(struct store_stmt *q); /* after the last row that is read */
/* Several statements of DDL at once, tokens expanded. Only inside a unit. */
int store_script(struct store_db *db, const char *sql, struct err *e) WARN_UNUSED;
