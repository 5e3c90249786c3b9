/* The seam below the store: what a database must be able to do. store.c and db.c know nothing else
 * about it; callers of the store know nothing of this. One suite (tests/unit/test_store.c) runs
 * against each driver.
 *
 * A *base* is one opened database of this process, with the writer's lock held; a *conn* is one
 * connection to it, used by one thread at a time. The first conn of a base is the writer; all
 * others are readers, closed before it. Every function may block on the disk. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct store_base;
struct store_conn;
struct store_query;
struct store_options;

struct store_driver {
	const char *name;
	/* What the tokens of DDL become. */
	const char *id, *i64, *blob, *strict;

	/* Opens or creates the database at o->path and takes the writer's lock; ERR_CONFLICT when
	 * another has it. o->shared: the lock is taken for each write transaction instead, waiting
	 * for it, so that further processes may write in between. */
	int (*open)(const struct store_options *o, struct store_base **ret, struct err *e);
	void (*close)(struct store_base *b);
	int (*connect)(struct store_base *b, bool writer, struct store_conn **ret, struct err *e);
	/* The writer's: also brings everything into the main file. All queries are finalized
	 * before. */
	void (*disconnect)(struct store_conn *c);

	/* Writer: begins a write transaction. Reader: takes a snapshot. 1: all queries of this
	 * connection are stale and have to be finalized and prepared again; 0: they still hold. */
	int (*begin)(struct store_conn *c, struct err *e);
	/* Writer only. 0: durable. -1: nobody may go on (see store.h), except with ERR_NO_SPACE,
	 * when everything of the transaction has been rolled back. */
	int (*commit)(struct store_conn *c, struct err *e);
	/* Ends the transaction or snapshot; nothing to do when there is none. */
	void (*rollback)(struct store_conn *c);
	/* One unit of a group. */
	int (*unit_begin)(struct store_conn *c, struct err *e);
	int (*unit_keep)(struct store_conn *c, struct err *e);
	int (*unit_undo)(struct store_conn *c, struct err *e);
	/* True when the transaction has ended by itself (the disk is full). */
	bool (*lost)(const struct store_conn *c);
	/* True when an I/O error or a damaged file was met: the process must end. */
	bool (*broken)(const struct store_conn *c);
	/* After a group has been acknowledged: housekeeping when it is due. */
	void (*maintain)(struct store_conn *c);

	int (*prepare)(
	    struct store_conn *c, const char *sql, struct store_query **ret, struct err *e);
	void (*finalize)(struct store_query *q);
	void (*reset)(struct store_query *q);
	void (*clear)(struct store_query *q); /* all parameters NULL */
	/* False when the statement has no parameter of that name. Bytes are copied; p NULL binds
	 * NULL. */
	bool (*bind_i64)(struct store_query *q, const char *name, int64_t v);
	bool (*bind_text)(struct store_query *q, const char *name, struct str v);
	bool (*bind_blob)(struct store_query *q, const char *name, struct str v);
	bool (*bind_null)(struct store_query *q, const char *name);
	int (*step)(struct store_conn *c, struct store_query *q, struct err *e); /* 1, 0, -1 */
	int64_t (*col_i64)(struct store_query *q, int col);
	struct str (*col_bytes)(
	    struct store_query *q, int col); /* text or blob; STR_NONE for NULL */
	bool (*col_null)(struct store_query *q, int col);
	int64_t (*changes)(struct store_conn *c);
	int64_t (*last_id)(struct store_conn *c);
	int (*script)(struct store_conn *c, const char *sql, struct err *e);
};

extern const struct store_driver store_sqlite;	 /* a file */
extern const struct store_driver store_postgres; /* a postgres:// URL instead of a path */
extern const struct store_driver store_memory;	 /* no file: for tests and the simulator */
