/* Connections as callers see them: statements by the address of their text, binding by name, DDL.
 */
#include "store/db.h"

#include "base/buf.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define STMT_MAX                                                                                   \
	2048u /* literals of the whole program; more means that somebody builds SQL at run time */
#define SCRIPT_MAX_BYTES (256u << 10)

static void drop_statements(struct store_db *db)
{
	for (size_t i = 0; i < db->slot_count; i++) {
		if (!db->slots[i])
			continue;
		db->driver->finalize(db->slots[i]->query);
		free(db->slots[i]);
		db->slots[i] = NULL;
	}
	db->stmt_count = 0;
	db->open = NULL;
}

struct store_db *store_db_new(
    const struct store_driver *d, struct store_base *b, bool writer, struct err *e)
{
	struct store_db *db = mem_alloc(sizeof(*db));

	db->driver = d;
	db->writer = writer;
	if (d->connect(b, writer, &db->conn, e) < 0) {
		free(db);
		return NULL;
	}
	db->slot_count = 128;
	db->slots = mem_array(db->slot_count, sizeof(struct store_stmt *));
	return db;
}

void store_db_free(struct store_db *db)
{
	if (!db)
		return;
	drop_statements(db);
	db->driver->disconnect(db->conn);
	free(db->slots);
	free(db);
}

int store_db_begin(struct store_db *db, struct err *e)
{
	int rc = db->driver->begin(db->conn, e);

	if (rc > 0)
		drop_statements(db);
	return rc < 0 ? -1 : 0;
}

void store_db_rest(struct store_db *db)
{
	while (db->open) {
		struct store_stmt *q = db->open;

		db->open = q->next_open;
		q->open = false;
		db->driver->reset(q->query);
	}
}

static size_t slot_of(const struct store_db *db, const char *sql)
{
	uint64_t h = (uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 32) & (db->slot_count - 1);

	while (db->slots[i] && db->slots[i]->sql != sql)
		i = (i + 1) & (db->slot_count - 1);
	return i;
}

static void grow(struct store_db *db)
{
	struct store_stmt **old = db->slots;
	size_t old_count = db->slot_count;

	db->slot_count *= 2;
	db->slots = mem_array(db->slot_count, sizeof(struct store_stmt *));
	for (size_t i = 0; i < old_count; i++)
		if (old[i])
			db->slots[slot_of(db, old[i]->sql)] = old[i];
	free(old);
}

static struct store_stmt *statement_add(struct store_db *db, const char *sql, struct err *e)
{
	struct store_query *query;
	struct store_stmt *q;

	assert(db->stmt_count < STMT_MAX);
	if (db->driver->prepare(db->conn, sql, &query, e) < 0)
		return NULL;
	if (db->stmt_count * 2 >= db->slot_count)
		grow(db);
	q = mem_alloc(sizeof(*q));
	*q = (struct store_stmt){.sql = sql, .query = query, .db = db};
	db->slots[slot_of(db, sql)] = q;
	db->stmt_count++;
	return q;
}

struct store_stmt *store_prepare(struct store_db *db, const char *sql, struct err *e)
{
	struct store_stmt *q = db->slots[slot_of(db, sql)];

	if (q) {
		db->driver->reset(q->query);
		db->driver->clear(q->query);
	} else {
		q = statement_add(db, sql, e);
		if (!q)
			return NULL;
	}
	if (!q->open) {
		q->open = true;
		q->next_open = db->open;
		db->open = q;
	}
	return q;
}

void store_bind_i64(struct store_stmt *q, const char *name, int64_t v)
{
	bool known = q->db->driver->bind_i64(q->query, name, v);
	assert(known);
	(void)known;
}

void store_bind_text(struct store_stmt *q, const char *name, struct str v)
{
	bool known = q->db->driver->bind_text(q->query, name, v);
	assert(known);
	(void)known;
}

void store_bind_blob(struct store_stmt *q, const char *name, struct str v)
{
	bool known = q->db->driver->bind_blob(q->query, name, v);
	assert(known);
	(void)known;
}

void store_bind_null(struct store_stmt *q, const char *name)
{
	bool known = q->db->driver->bind_null(q->query, name);
	assert(known);
	(void)known;
}

int store_step(struct store_stmt *q, struct err *e)
{
	return q->db->driver->step(q->db->conn, q->query, e);
}

int store_exec(struct store_stmt *q, struct err *e)
{
	int rc;

	/* A statement with RETURNING has rows nobody wants here; it is complete only after the
	 * last. */
	do
		rc = store_step(q, e);
	while (rc > 0);
	store_reset(q);
	return rc;
}

int64_t store_changes(struct store_db *db)
{
	return db->driver->changes(db->conn);
}

int64_t store_last_id(struct store_db *db)
{
	return db->driver->last_id(db->conn);
}

int64_t store_col_i64(struct store_stmt *q, int col)
{
	return q->db->driver->col_i64(q->query, col);
}

struct str store_col_text(struct store_stmt *q, int col)
{
	return q->db->driver->col_bytes(q->query, col);
}

bool store_col_null(struct store_stmt *q, int col)
{
	return q->db->driver->col_null(q->query, col);
}

struct str store_col_str(struct store_stmt *q, int col, struct arena *a)
{
	struct str s = store_col_text(q, col);

	return s.p ? arena_str(a, s) : STR_NONE;
}

void store_reset(struct store_stmt *q)
{
	q->db->driver->reset(q->query);
}

/* Length of the token's name at p (behind '@'), or 0. */
static size_t word_length(const char *p)
{
	size_t n = 0;

	while ((p[n] >= 'a' && p[n] <= 'z') || (p[n] >= '0' && p[n] <= '9'))
		n++;
	return n;
}

static int expand(const struct store_driver *d, const char *sql, struct buf *out, struct err *e)
{
	const struct {
		const char *name, *text;
	} tokens[] = {{"id", d->id}, {"i64", d->i64}, {"blob", d->blob}, {"strict", d->strict}};

	for (const char *p = sql; *p; p++) {
		size_t n, i;

		if (*p != '@') {
			buf_char(out, *p);
			continue;
		}
		n = word_length(p + 1);
		for (i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
			if (strlen(tokens[i].name) == n && memcmp(tokens[i].name, p + 1, n) == 0)
				break;
		if (i == sizeof(tokens) / sizeof(tokens[0]))
			return err_set(e, ERR_INTERNAL, "cannot expand '@%.*s' in a script of SQL",
			    (int)n, p + 1);
		buf_c(out, tokens[i].text);
		p += n;
	}
	return buf_check(out, "a script of SQL", e);
}

int store_script(struct store_db *db, const char *sql, struct err *e)
{
	CLEANUP_BUF struct buf text;

	assert(db->writer);
	buf_init(&text, SCRIPT_MAX_BYTES);
	if (expand(db->driver, sql, &text, e) < 0)
		return -1;
	return db->driver->script(db->conn, text.p ? text.p : "", e);
}
