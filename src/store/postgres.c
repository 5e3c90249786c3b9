/* The PostgreSQL driver, over libpq in pipeline mode.
 *
 * What needs no answer of its own (BEGIN, SAVEPOINT, RELEASE, ROLLBACK of a snapshot) is only sent;
 * its result is read with that of the next statement that does. So a unit of one statement costs
 * one round trip, and a group one more for its COMMIT.
 *
 * Who writes: an advisory lock of the session for as long as the store is open, or, shared, one of
 * each write transaction, so that ids are given in the order of commits. Whatever makes the
 * connection unusable makes the writer `broken`; a reader connects again at its next snapshot. */
#include "store/driver.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/binary.h"
#include "store/names.h"
#include "store/pq.h"
#include "store/store.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SQL_MAX_BYTES (64u << 10)
#define NAME_SIZE 24
#define NUMBER_SIZE 24
#define OID_BOOL 16
#define OID_INT8 20
#define OID_INT2 21
#define OID_INT4 23
#define OID_NUMERIC 1700
#define LOCK_WAIT_MS 1000
#define LOCK_NAP_MS 20
#define LOCK "7547929" /* "slipway" on the keys of a telephone */

struct store_base {
	const struct pq *pq;
	char *url;
	bool shared;
};

struct store_conn {
	const struct pq *pq;
	struct store_base *base;
	PGconn *pg;
	bool writer, locked, broken, in_transaction, lost;
	bool pipeline_unread; /* something was sent whose result was not read */
	int64_t changes;
	unsigned query_no;
};

struct value {
	const char *p; /* NULL: null */
	int n, binary;
	char *copy; /* what p points at, unless it is number */
	char number[NUMBER_SIZE];
};

struct store_query {
	struct store_conn *conn;
	char *sql; /* the names point into it */
	struct names names;
	struct value values[NAMES_MAX];
	char name[NAME_SIZE];
	PGresult *result;
	int row, row_count;
};

/* --- errors --- */

/* The first line: what follows are the statement and hints about it. */
static int fail_text(struct err *e, enum err_code code, const char *what, const char *text)
{
	return err_set(e, code, "could not %s: %.*s", what, (int)strcspn(text, "\n"), text);
}

static int fail_result(struct store_conn *c, const PGresult *r, const char *what, struct err *e)
{
	const char *state = c->pq->PQresultErrorField(r, PG_DIAG_SQLSTATE),
		   *text = c->pq->PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	enum err_code code = binary_class(state ? state : "08000");
	if (code == ERR_IO)
		c->broken = true;
	fail_text(e, code, what, text ? text : c->pq->PQerrorMessage(c->pg));
	if (state)
		err_hint(e, "PostgreSQL says %s", state);
	return -1;
}

static int fail_connection(struct store_conn *c, const char *what, struct err *e)
{
	c->broken = true;
	return fail_text(e, ERR_IO, what, c->pq->PQerrorMessage(c->pg));
}

/* --- sending and reading --- */

static int send_text(struct store_conn *c, const char *sql, struct err *e)
{
	c->pipeline_unread = true;
	if (c->pq->PQsendQueryParams(c->pg, sql, 0, NULL, NULL, NULL, NULL, 1) == 1)
		return 0;
	return fail_connection(c, "send to PostgreSQL", e);
}

/* One result of the pipeline: keeps the last good one, or the first bad one. */
static void result_take(const struct pq *pq, PGresult *r, PGresult **last, PGresult **bad)
{
	ExecStatusType status = pq->PQresultStatus(r);
	PGresult **to = last;
	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		to = bad;
	if (to == bad && *bad) {
		pq->PQclear(r);
		return;
	}
	pq->PQclear(*to);
	*to = r;
}

/* Reads everything that was sent. *ret is the last command's result, the caller's; NULL on error.
 */
static int sync_all(struct store_conn *c, const char *what, PGresult **ret, struct err *e)
{
	const struct pq *pq = c->pq;
	PGresult *last = NULL, *bad = NULL, *r;
	bool ended = false;
	unsigned nothing =
	    0; /* one NULL ends each command's results; two in a row are the end of all */
	*ret = NULL;
	if (pq->PQpipelineSync(c->pg) != 1)
		return fail_connection(c, what, e);
	while (!ended && nothing < 2) {
		r = pq->PQgetResult(c->pg);
		nothing = r ? 0 : nothing + 1;
		ended = r && pq->PQresultStatus(r) == PGRES_PIPELINE_SYNC;
		if (ended)
			pq->PQclear(r);
		else if (r)
			result_take(pq, r, &last, &bad);
	}
	c->pipeline_unread = false;
	c->lost = c->in_transaction && pq->PQtransactionStatus(c->pg) == PQTRANS_IDLE;
	int rc = !ended ? fail_connection(c, what, e) : bad ? fail_result(c, bad, what, e) : 0;
	if (rc == 0)
		*ret = last;
	else
		pq->PQclear(last);
	pq->PQclear(bad);
	return rc;
}

static int run(struct store_conn *c, const char *sql, struct err *e)
{
	PGresult *r;
	if (send_text(c, sql, e) < 0 || sync_all(c, sql, &r, e) < 0)
		return -1;
	c->pq->PQclear(r);
	return 0;
}

/* --- opening and closing --- */

static int base_open(const struct store_options *o, struct store_base **ret, struct err *e)
{
	const struct pq *pq = pq_load(e);
	if (!pq)
		return -1;
	struct store_base *b = mem_alloc(sizeof(*b));
	b->pq = pq;
	b->url = mem_dup(str_c(o->path));
	b->shared = o->shared;
	*ret = b;
	return 0;
}

static void base_close(struct store_base *b)
{
	free(b->url);
	free(b);
}

/* What the server says beside its answers; libpq would write it to standard error. */
static void ignore_notice(void *ctx, const char *text)
{
	(void)ctx;
	(void)text;
}

/* What every connection is set to; also after it was made again. */
static int set_up(struct store_conn *c, struct err *e)
{
	static const char *const always[] = {"SET client_min_messages = warning",
	    "SET statement_timeout = '60s'", "SET lock_timeout = '10s'",
	    "SET idle_in_transaction_session_timeout = '120s'"};
	if (c->pq->PQstatus(c->pg) != CONNECTION_OK) {
		fail_connection(c, "connect to PostgreSQL", e);
		return err_hint(e, "does DATABASE_URL name a server that runs?");
	}
	(void)c->pq->PQsetNoticeProcessor(c->pg, ignore_notice, NULL);
	if (c->pq->PQenterPipelineMode(c->pg) != 1)
		return fail_connection(c, "use PostgreSQL's pipeline", e);
	c->broken = c->in_transaction = c->lost = c->pipeline_unread = false;
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (send_text(c, always[i], e) < 0)
			return -1;
	return run(c,
	    c->writer ? "SET synchronous_commit = on" : "SET default_transaction_read_only = on",
	    e);
}

/* 1 got it, 0 another has it. */
static int try_lock(struct store_conn *c, struct err *e)
{
	PGresult *r;
	if (send_text(c, "SELECT pg_try_advisory_lock(" LOCK ")", e) < 0 ||
	    sync_all(c, "lock the database", &r, e) < 0)
		return -1;
	int got = c->pq->PQgetvalue(r, 0, 0)[0] != 0;
	c->pq->PQclear(r);
	return got;
}

/* A process that was killed has it until the server notices, so it is asked for more than once. */
static int take_lock(struct store_conn *c, struct err *e)
{
	int64_t deadline = clock_mono_ms() + LOCK_WAIT_MS;
	int got;
	while ((got = try_lock(c, e)) == 0 && clock_mono_ms() < deadline)
		nanosleep(&(struct timespec){.tv_nsec = LOCK_NAP_MS * 1000000}, NULL);
	if (got != 0)
		return got < 0 ? -1 : 0;
	err_set(e, ERR_CONFLICT, "cannot open the database: another process is writing to it");
	return err_hint(e, "is another slipwayd running on the same database?");
}

/* The lock is given back aloud: the server notices the end of a connection only a moment later. */
static void disconnect(struct store_conn *c)
{
	if (c->locked && !c->broken)
		(void)run(c, "SELECT pg_advisory_unlock(" LOCK ")", NULL);
	c->pq->PQfinish(c->pg);
	free(c);
}

static int connect_to(struct store_base *b, bool writer, struct store_conn **ret, struct err *e)
{
	const char *const keys[] = {"dbname", "client_encoding", "fallback_application_name",
	    "connect_timeout", "tcp_user_timeout", NULL};
	const char *const values[] = {b->url, "UTF8", "slipway", "10", "30000", NULL};
	struct store_conn *c = mem_alloc(sizeof(*c));
	c->pq = b->pq;
	c->base = b;
	c->writer = writer;
	c->pg = b->pq->PQconnectdbParams(keys, values, 1);
	bool alone = writer && !b->shared;
	if (set_up(c, e) == 0 && (!alone || take_lock(c, e) == 0)) {
		c->locked = alone;
		*ret = c;
		return 0;
	}
	disconnect(c);
	return -1;
}

/* --- transactions --- */

static int begin_write(struct store_conn *c, struct err *e)
{
	c->in_transaction = true;
	if (!c->base->shared)
		return send_text(c, "BEGIN", e);
	if (send_text(c, "BEGIN", e) == 0 &&
	    run(c, "SELECT pg_advisory_xact_lock(" LOCK ")", e) == 0)
		return 0;
	if (!c->broken)
		(void)run(c, "ROLLBACK", NULL);
	c->in_transaction = false;
	return -1;
}

/* 1: the connection is a new one, and nothing that was prepared on the old one holds. */
static int reconnect(struct store_conn *c, struct err *e)
{
	if (!c->broken && c->pq->PQstatus(c->pg) == CONNECTION_OK)
		return 0;
	c->pq->PQreset(c->pg);
	return set_up(c, e) < 0 ? -1 : 1;
}

/* The snapshot is taken by the first statement, so there is one. */
static int snapshot(struct store_conn *c, struct err *e)
{
	c->in_transaction = true;
	if (send_text(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e) == 0 &&
	    run(c, "SELECT 1", e) == 0)
		return 0;
	c->in_transaction = false;
	return -1;
}

static int begin_read(struct store_conn *c, struct err *e)
{
	int fresh = reconnect(c, e);
	if (fresh < 0)
		return -1;
	if (snapshot(c, e) == 0)
		return fresh;
	/* Whether the server went since the last time is only found out by asking it. */
	if (fresh == 1 || !c->broken || reconnect(c, e) < 0)
		return -1;
	return snapshot(c, e) == 0 ? 1 : -1;
}

static int begin(struct store_conn *c, struct err *e)
{
	return c->writer ? begin_write(c, e) : begin_read(c, e);
}

/* A COMMIT of a failed transaction succeeds and says ROLLBACK. */
static int commit(struct store_conn *c, struct err *e)
{
	PGresult *r;
	if (send_text(c, "COMMIT", e) < 0)
		return -1;
	c->in_transaction = false;
	if (sync_all(c, "commit", &r, e) < 0)
		return -1;
	bool done = strcmp(c->pq->PQcmdStatus(r), "COMMIT") == 0;
	c->pq->PQclear(r);
	return done ? 0 : err_set(e, ERR_INTERNAL, "could not commit: it was rolled back");
}

static void rollback(struct store_conn *c)
{
	if (!c->in_transaction || c->broken)
		return;
	c->in_transaction = c->lost = false;
	if (c->writer)
		(void)run(c, "ROLLBACK", NULL);
	else if (send_text(c, "ROLLBACK", NULL) == 0)
		(void)c->pq->PQflush(c->pg); /* the snapshot ends now, its answer is read later */
}

static int unit_begin(struct store_conn *c, struct err *e)
{
	return send_text(c, "SAVEPOINT unit", e);
}

static int unit_keep(struct store_conn *c, struct err *e)
{
	return send_text(c, "RELEASE unit", e);
}

static int unit_undo(struct store_conn *c, struct err *e)
{
	PGresult *r;
	/* What a failed unit has sent and not read fails again; that was said already. */
	if (c->pipeline_unread && sync_all(c, "undo", &r, NULL) == 0)
		c->pq->PQclear(r);
	if (c->broken)
		return fail_connection(c, "undo", e);
	return send_text(c, "ROLLBACK TO unit", e) < 0 ? -1 : run(c, "RELEASE unit", e);
}

static bool is_lost(const struct store_conn *c)
{
	return c->lost;
}

static bool is_broken(const struct store_conn *c)
{
	return c->broken;
}

static void maintain(struct store_conn *c)
{
	(void)c; /* the server's autovacuum does */
}

/* --- statements --- */

static void value_drop(struct value *v)
{
	free(v->copy);
	v->copy = NULL;
	v->p = NULL;
}

static void reset(struct store_query *q)
{
	q->conn->pq->PQclear(q->result);
	q->result = NULL;
}

static void clear(struct store_query *q)
{
	for (size_t i = 0; i < q->names.count; i++)
		value_drop(&q->values[i]);
}

static void finalize(struct store_query *q)
{
	reset(q);
	clear(q);
	free(q->sql);
	free(q);
}

static int prepare(struct store_conn *c, const char *sql, struct store_query **ret, struct err *e)
{
	CLEANUP_BUF struct buf text;
	PGresult *r;
	struct store_query *q = mem_alloc(sizeof(*q));
	q->conn = c;
	q->sql = mem_dup(str_c(sql));
	buf_init(&text, SQL_MAX_BYTES);
	snprintf(q->name, sizeof(q->name), "q%u", c->query_no++);
	c->pipeline_unread = true;
	if (names_number(q->sql, &text, &q->names, e) < 0 ||
	    (c->pq->PQsendPrepare(c->pg, q->name, text.p, 0, NULL) != 1 &&
		fail_connection(c, "prepare a statement", e) < 0) ||
	    sync_all(c, "prepare a statement", &r, e) < 0) {
		finalize(q);
		return -1;
	}
	c->pq->PQclear(r);
	*ret = q;
	return 0;
}

static struct value *value_of(struct store_query *q, const char *name)
{
	for (size_t i = 0; i < q->names.count; i++)
		if (str_eq_c(q->names.name[i], name)) {
			value_drop(&q->values[i]);
			return &q->values[i];
		}
	return NULL;
}

/* As text: the server makes of it whatever kind of number the place wants. */
static bool bind_i64(struct store_query *q, const char *name, int64_t v)
{
	struct value *to = value_of(q, name);
	if (!to)
		return false;
	to->n = snprintf(to->number, sizeof(to->number), "%lld", (long long)v);
	to->p = to->number;
	to->binary = 0;
	return true;
}

/* As it is, with its length: text in binary form is the same bytes. */
static bool bind_bytes(struct store_query *q, const char *name, struct str v)
{
	struct value *to = value_of(q, name);
	if (!to)
		return false;
	assert(v.n <= INT32_MAX);
	to->p = to->copy = v.p ? mem_dup(v) : NULL;
	to->n = (int)v.n;
	to->binary = 1;
	return true;
}

static bool bind_null(struct store_query *q, const char *name)
{
	return value_of(q, name) != NULL;
}

static int execute(struct store_conn *c, struct store_query *q, struct err *e)
{
	const char *values[NAMES_MAX];
	int lengths[NAMES_MAX], formats[NAMES_MAX];
	int64_t changed;
	for (size_t i = 0; i < q->names.count; i++) {
		values[i] = q->values[i].p;
		lengths[i] = q->values[i].n;
		formats[i] = q->values[i].binary;
	}
	c->pipeline_unread = true;
	if (c->pq->PQsendQueryPrepared(
		c->pg, q->name, (int)q->names.count, values, lengths, formats, 1) != 1)
		return fail_connection(c, "run a statement", e);
	if (sync_all(c, "run a statement", &q->result, e) < 0)
		return -1;
	q->row = -1;
	q->row_count = c->pq->PQntuples(q->result);
	if (num_i64(str_c(c->pq->PQcmdTuples(q->result)), 0, INT64_MAX, &changed))
		c->changes = changed;
	return 0;
}

static int step(struct store_conn *c, struct store_query *q, struct err *e)
{
	if (!q->result && execute(c, q, e) < 0)
		return -1;
	if (++q->row < q->row_count)
		return 1;
	reset(q);
	return 0;
}

/* --- columns --- */

static int64_t col_i64(struct store_query *q, int col)
{
	const struct pq *pq = q->conn->pq;
	if (!q->result || pq->PQgetisnull(q->result, q->row, col))
		return 0;
	const char *p = pq->PQgetvalue(q->result, q->row, col);
	int n = pq->PQgetlength(q->result, q->row, col);
	switch (pq->PQftype(q->result, col)) {
	case OID_BOOL:
		return p[0];
	case OID_INT8:
	case OID_INT4:
	case OID_INT2:
		return binary_i64(p, n);
	case OID_NUMERIC:
		return binary_numeric(p, n);
	default: { /* text that is a number, as SQLite reads it */
		int64_t v = 0;
		return num_i64((struct str){p, (size_t)n}, INT64_MIN, INT64_MAX, &v) ? v : 0;
	}
	}
}

static struct str col_bytes(struct store_query *q, int col)
{
	const struct pq *pq = q->conn->pq;
	if (!q->result || pq->PQgetisnull(q->result, q->row, col))
		return STR_NONE;
	return (struct str){pq->PQgetvalue(q->result, q->row, col),
	    (size_t)pq->PQgetlength(q->result, q->row, col)};
}

static bool col_null(struct store_query *q, int col)
{
	return !q->result || q->conn->pq->PQgetisnull(q->result, q->row, col);
}

static int64_t changes(struct store_conn *c)
{
	return c->changes;
}

static int64_t last_id(struct store_conn *c)
{
	PGresult *r;
	if (send_text(c, "SELECT lastval()", NULL) < 0 ||
	    sync_all(c, "ask for an id", &r, NULL) < 0)
		return 0;
	int64_t id = binary_i64(c->pq->PQgetvalue(r, 0, 0), 8);
	c->pq->PQclear(r);
	return id;
}

/* Several statements at once are the simple protocol's, which a pipeline does not speak. */
static int script(struct store_conn *c, const char *sql, struct err *e)
{
	const struct pq *pq = c->pq;
	PGresult *r;
	if (c->pipeline_unread) {
		if (sync_all(c, "run a script of SQL", &r, e) < 0)
			return -1;
		pq->PQclear(r);
	}
	if (pq->PQexitPipelineMode(c->pg) != 1)
		return fail_connection(c, "leave the pipeline", e);
	r = pq->PQexec(c->pg, sql);
	ExecStatusType status = pq->PQresultStatus(r);
	int rc =
	    status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY
		? 0
		: fail_result(c, r, "run a script of SQL", e);
	pq->PQclear(r);
	if (pq->PQenterPipelineMode(c->pg) != 1)
		return fail_connection(c, "enter the pipeline", e);
	return rc;
}

const struct store_driver store_postgres = {
    .name = "postgres",
    .id = "BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY",
    .i64 = "BIGINT",
    .blob = "BYTEA",
    .strict = "",
    .open = base_open,
    .close = base_close,
    .connect = connect_to,
    .disconnect = disconnect,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .unit_begin = unit_begin,
    .unit_keep = unit_keep,
    .unit_undo = unit_undo,
    .lost = is_lost,
    .broken = is_broken,
    .maintain = maintain,
    .prepare = prepare,
    .finalize = finalize,
    .reset = reset,
    .clear = clear,
    .bind_i64 = bind_i64,
    .bind_text = bind_bytes,
    .bind_blob = bind_bytes,
    .bind_null = bind_null,
    .step = step,
    .col_i64 = col_i64,
    .col_bytes = col_bytes,
    .col_null = col_null,
    .changes = changes,
    .last_id = last_id,
    .script = script,
};
