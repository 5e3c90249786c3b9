/* Deliveries of messages and each try of them. */
#include "model/delivery.h"

#include "model/row.h"

static const char *const state_names[MODEL_DELIVERY_STATE_COUNT] = {
    "waiting", "delivered", "failed", "superseded"};

const char *model_delivery_state_name(enum model_delivery_state s)
{
	return state_names[s];
}

int model_delivery_add(
    struct store_db *db, const struct model_delivery *d, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO delivery(channel_id, key, recipient, event, series, message, state, "
	    "due_ms, created_ms)"
	    " VALUES ($channel, $key, $recipient, $event, $series, $message, 'waiting', $due, "
	    "$now)"
	    " ON CONFLICT DO NOTHING RETURNING id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$channel", d->channel_id);
	store_bind_text(q, "$key", d->key);
	row_bind_text(q, "$recipient", d->recipient);
	store_bind_text(q, "$event", d->event);
	row_bind_text(q, "$series", d->series);
	store_bind_text(q, "$message", d->message);
	store_bind_i64(q, "$due", d->due_ms);
	store_bind_i64(q, "$now", d->created_ms);
	return row_number(q, ret_id, e);
}

#define DELIVERY_COLUMNS                                                                           \
	"SELECT d.id, d.channel_id, c.name, d.key, d.event, d.series, d.message, d.state, "        \
	"d.attempts,"                                                                              \
	" d.due_ms, d.created_ms, d.ended_ms, d.last_status, d.last_error, "    \
	"d.recipient"                         \
	" FROM delivery d JOIN channel c ON c.id = d.channel_id WHERE "

static void fill_delivery(struct row *r, void *ret)
{
	*(struct model_delivery *)ret = (struct model_delivery){
	    .id = row_i64(r, 0),
	    .channel_id = row_i64(r, 1),
	    .channel = row_str(r, 2),
	    .key = row_str(r, 3),
	    .event = row_str(r, 4),
	    .series = row_str(r, 5),
	    .message = row_str(r, 6),
	    .state =
		(enum model_delivery_state)row_enum(r, 7, state_names, MODEL_DELIVERY_STATE_COUNT),
	    .attempts = row_i64(r, 8),
	    .due_ms = row_i64(r, 9),
	    .created_ms = row_i64(r, 10),
	    .ended_ms = row_i64(r, 11),
	    .last_status = row_i64(r, 12),
	    .last_error = row_str(r, 13),
	    .recipient = row_str(r, 14),
	};
}

int model_delivery_get(struct store_db *db, struct arena *a, int64_t channel_id, int64_t id,
    struct model_delivery *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, DELIVERY_COLUMNS "d.id = $id AND d.channel_id = $channel", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$channel", channel_id);
	return row_get(q, a, fill_delivery, ret, e);
}

static int deliveries(struct store_stmt *q, struct arena *a, uint32_t limit,
    struct model_deliveries *ret, struct err *e)
{
	struct row_list l;
	if (row_list(q, a, sizeof(struct model_delivery), limit, fill_delivery, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_delivery_list(struct store_db *db, struct arena *a, int64_t channel_id,
    struct model_page page, struct model_deliveries *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    DELIVERY_COLUMNS
	    "d.channel_id = $channel AND d.id < $after ORDER BY d.id DESC LIMIT $limit",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$channel", channel_id);
	row_bind_page(q, page);
	return deliveries(q, a, row_limit(page.limit), ret, e);
}

int model_delivery_by_key(struct store_db *db, struct arena *a, int64_t project_id, struct str key,
    struct model_deliveries *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    DELIVERY_COLUMNS
	    "d.key = $key AND c.project_id = $project ORDER BY d.id LIMIT $limit + 1",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$key", key);
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$limit", MODEL_PAGE_MAX);
	return deliveries(q, a, MODEL_PAGE_MAX, ret, e);
}

static void fill_lane(struct row *r, void *ret)
{
	*(struct model_delivery_lane *)ret =
	    (struct model_delivery_lane){.channel_id = row_i64(r, 0), .due_ms = row_i64(r, 1)};
}

int model_delivery_lanes(
    struct store_db *db, struct arena *a, struct model_delivery_lanes *ret, struct err *e)
{
	struct row_list l;
	struct store_stmt *q = store_prepare(db,
	    "SELECT channel_id, min(due_ms) FROM delivery WHERE state = 'waiting'"
	    " GROUP BY channel_id ORDER BY min(due_ms)",
	    e);
	if (!q || row_list(q, a, sizeof(struct model_delivery_lane), 0, fill_lane, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_delivery_due(struct store_db *db, struct arena *a, int64_t channel_id, int64_t now_ms,
    uint32_t limit, struct model_deliveries *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    DELIVERY_COLUMNS "d.channel_id = $channel AND d.state = 'waiting' AND d.due_ms <= $now"
			     " ORDER BY d.due_ms, d.id LIMIT $limit",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$channel", channel_id);
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$limit", limit);
	return deliveries(q, a, limit, ret, e);
}

int model_delivery_outdated(struct store_db *db, const struct model_delivery *d, struct err *e)
{
	int64_t newer = 0;
	if (!d->series.n)
		return 0;
	struct store_stmt *q = store_prepare(db,
	    "SELECT count(*) FROM delivery WHERE channel_id = $channel AND series = $series AND id "
	    "> $id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$channel", d->channel_id);
	store_bind_text(q, "$series", d->series);
	store_bind_i64(q, "$id", d->id);
	return row_number(q, &newer, e) < 0 ? -1 : newer > 0;
}

int model_delivery_remote(
    struct store_db *db, const struct model_delivery *d, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT remote_id FROM delivery WHERE channel_id = $channel AND series = $series"
	    " AND series <> '' AND remote_id > 0 ORDER BY id DESC LIMIT 1",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$channel", d->channel_id);
	store_bind_text(q, "$series", d->series);
	return row_number(q, ret_id, e);
}

static int try_add(struct store_db *db, const struct model_delivery_try *t, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO delivery_try(delivery_id, at_ms, ms, status, error)"
	    " VALUES ($id, $at, $ms, $status, $error)",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", t->delivery_id);
	store_bind_i64(q, "$at", t->at_ms);
	store_bind_i64(q, "$ms", t->ms);
	store_bind_i64(q, "$status", t->status);
	row_bind_text(q, "$error", t->error);
	return store_exec(q, e);
}

int model_delivery_tried(struct store_db *db, const struct model_delivery_try *t, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE delivery SET state = $state, attempts = attempts + 1, due_ms = $due,"
	    " ended_ms = CASE WHEN $state = 'waiting' THEN 0 ELSE $at END, last_status = $status,"
	    " last_error = $error,"
	    " remote_id = CASE WHEN $remote > 0 THEN $remote ELSE remote_id END"
	    " WHERE id = $id AND state = 'waiting'",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$state", str_c(state_names[t->state]));
	store_bind_i64(q, "$due", t->due_ms);
	store_bind_i64(q, "$at", t->at_ms);
	store_bind_i64(q, "$status", t->status);
	row_bind_text(q, "$error", t->error);
	store_bind_i64(q, "$remote", t->remote_id);
	store_bind_i64(q, "$id", t->delivery_id);
	int rc = row_change(db, q, e);
	return rc <= 0 ? rc : try_add(db, t, e) < 0 ? -1 : 1;
}

static void fill_try(struct row *r, void *ret)
{
	*(struct model_delivery_try *)ret =
	    (struct model_delivery_try){.delivery_id = row_i64(r, 0),
		.at_ms = row_i64(r, 1),
		.ms = row_i64(r, 2),
		.status = row_i64(r, 3),
		.error = row_str(r, 4)};
}

int model_delivery_try_list(struct store_db *db, struct arena *a, int64_t delivery_id,
    struct model_delivery_tries *ret, struct err *e)
{
	struct row_list l;
	struct store_stmt *q = store_prepare(db,
	    "SELECT delivery_id, at_ms, ms, status, error FROM delivery_try WHERE delivery_id = $id"
	    " ORDER BY id DESC LIMIT 100",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", delivery_id);
	if (row_list(q, a, sizeof(struct model_delivery_try), 0, fill_try, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_delivery_replay(struct store_db *db, int64_t id, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE delivery SET state = 'waiting', attempts = 0, due_ms = $now, ended_ms = 0"
	    " WHERE id = $id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_delivery_prune(
    struct store_db *db, int64_t ended_before_ms, uint32_t limit, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE ended_ms > 0"
	    " AND ended_ms < $before ORDER BY ended_ms LIMIT $limit)",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$before", ended_before_ms);
	store_bind_i64(q, "$limit", limit);
	return store_exec(q, e) < 0 ? -1 : (int)store_changes(db);
}

int model_delivery_set_back(struct store_db *db, int64_t now_ms, int64_t far_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE delivery SET due_ms = $now WHERE state = 'waiting' AND due_ms > $now"
	    " AND (due_ms > $far OR (attempts = 0 AND created_ms > $now))",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$far", far_ms);
	return store_exec(q, e);
}
