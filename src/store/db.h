/* One connection with its cache of statements; shared by store.c and db.c only. */
#pragma once

#include "store/driver.h"
#include "store/store.h"

#include <stddef.h>

struct store_stmt {
	const char *sql; /* the key: an address */
	struct store_query *query;
	struct store_db *db;
	struct store_stmt *next_open; /* of those handed out since the last store_db_rest */
	bool open;
};

struct store_db {
	const struct store_driver *driver;
	struct store_conn *conn;
	struct store_stmt **slots; /* open addressing, a power of two, at most half full */
	size_t slot_count, stmt_count;
	struct store_stmt *open;
	bool writer;
	struct store_db *next_free; /* of the pool of readers */
};

struct store_db *store_db_new(
    const struct store_driver *d, struct store_base *b, bool writer, struct err *e);
void store_db_free(struct store_db *db);
/* Begins, dropping statements that the driver calls stale. */
int store_db_begin(struct store_db *db, struct err *e) WARN_UNUSED;
/* Resets every statement that was handed out: a forgotten one must not hold a snapshot or a COMMIT.
 */
void store_db_rest(struct store_db *db);
