/* Answers kept under a client's key. */
#include "model/idempotency.h"

#include "model/row.h"

static void fill(struct row *r, void *ret)
{
	*(struct model_idempotency *)ret = (struct model_idempotency){
	    .operator_id = row_i64(r, 0),
	    .key = row_str(r, 1),
	    .route = row_str(r, 2),
	    .request_hash = row_str(r, 3),
	    .status = (int)row_i64(r, 4),
	    .body = row_str(r, 5),
	    .at_ms = row_i64(r, 6),
	};
}

static int find(struct store_db *db, struct arena *a, int64_t operator_id, struct str key,
    struct model_idempotency *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT operator_id, key, route, request_hash, status, body, at_ms FROM idempotency"
	    " WHERE operator_id = $operator AND key = $key",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_text(q, "$key", key);
	return row_get(q, a, fill, ret, e);
}

/* New, or anew over one that was begun and never finished. */
static int reserve(struct store_db *db, const struct model_idempotency *i, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO idempotency(operator_id, key, route, request_hash, at_ms)"
	    " VALUES ($operator, $key, $route, $hash, $now)"
	    " ON CONFLICT (operator_id, key) DO UPDATE SET at_ms = $now",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", i->operator_id);
	store_bind_text(q, "$key", i->key);
	store_bind_text(q, "$route", i->route);
	store_bind_blob(q, "$hash", i->request_hash);
	store_bind_i64(q, "$now", i->at_ms);
	return store_exec(q, e) < 0 ? -1 : 1;
}

int model_idempotency_begin(struct store_db *db, struct arena *a, const struct model_idempotency *i,
    int64_t stale_ms, struct model_idempotency *ret, struct err *e)
{
	int rc = find(db, a, i->operator_id, i->key, ret, e);

	if (rc < 0)
		return -1;
	if (rc == 0)
		return reserve(db, i, e);
	if (!str_eq(ret->request_hash, i->request_hash) || !str_eq(ret->route, i->route)) {
		err_set(e, ERR_CONFLICT,
		    "cannot use this idempotency key: it belongs to another request");
		return err_hint(e, "choose a new key for each new request");
	}
	if (ret->status == 0 && ret->at_ms + stale_ms <= i->at_ms)
		return reserve(db, i, e);
	return 0;
}

int model_idempotency_finish(struct store_db *db, int64_t operator_id, struct str key, int status,
    struct str body, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE idempotency SET status = $status, body = $body WHERE operator_id = $operator "
	    "AND key = $key",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$status", status);
	store_bind_blob(q, "$body", body);
	store_bind_i64(q, "$operator", operator_id);
	store_bind_text(q, "$key", key);
	return store_exec(q, e);
}

int model_idempotency_drop(struct store_db *db, int64_t operator_id, struct str key, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM idempotency WHERE operator_id = $operator AND key = $key AND status = 0",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_text(q, "$key", key);
	return store_exec(q, e);
}

int model_idempotency_prune(struct store_db *db, int64_t before_ms, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "DELETE FROM idempotency WHERE at_ms < $before", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$before", before_ms);
	return store_exec(q, e);
}
