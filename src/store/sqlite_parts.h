/* Of the SQLite drivers, for sqlite.c and sqlite_stmt.c only. */
#pragma once

#include "store/driver.h"

#include <pthread.h>
#include <sqlite3.h>

struct store_base {
	char *path; /* NULL: in memory */
	int lock_fd;
	uint32_t cache_kib;
	uint64_t map_bytes;
	bool shared; /* lock_fd is locked for each write transaction and checkpoint, not for all
			time */
	/* in memory only */
	pthread_mutex_t
	    lock; /* held by the writer during a transaction, by a reader while it copies */
	sqlite3 *writer;
	uint64_t version; /* commits so far */
};

enum fixed {
	BEGIN_WRITE,
	BEGIN_READ,
	SNAPSHOT,
	COMMIT,
	ROLLBACK,
	UNIT_BEGIN,
	UNIT_KEEP,
	UNIT_UNDO,
	FIXED_COUNT
};

struct store_conn {
	sqlite3 *db;
	struct store_base *base;
	sqlite3_stmt *fixed[FIXED_COUNT];
	bool writer, broken;
	int wal_pages;
	uint64_t version; /* in memory: the copy that a reader has */
};

/* The process cannot go on with such a result. */
bool sqlite_is_fatal(int code);
/* -1, with what SQLite says of its last error; a fatal one breaks the connection. */
int sqlite_fail(struct store_conn *c, const char *what, struct err *e);
/* Runs one of the fixed statements. */
int sqlite_run(struct store_conn *c, enum fixed f, struct err *e);

/* As struct store_driver says. */
int sqlite_prepare(struct store_conn *c, const char *sql, struct store_query **ret, struct err *e);
void sqlite_finalize(struct store_query *q);
void sqlite_reset(struct store_query *q);
void sqlite_clear(struct store_query *q);
bool sqlite_bind_i64(struct store_query *q, const char *name, int64_t v);
bool sqlite_bind_text(struct store_query *q, const char *name, struct str v);
bool sqlite_bind_blob(struct store_query *q, const char *name, struct str v);
bool sqlite_bind_null(struct store_query *q, const char *name);
int sqlite_step(struct store_conn *c, struct store_query *q, struct err *e);
int64_t sqlite_col_i64(struct store_query *q, int col);
struct str sqlite_col_bytes(struct store_query *q, int col);
bool sqlite_col_null(struct store_query *q, int col);
int64_t sqlite_changes(struct store_conn *c);
int64_t sqlite_last_id(struct store_conn *c);
int sqlite_script(struct store_conn *c, const char *sql, struct err *e);
