/* Events that come through the journal, and how far it was drained. */
#include "model/event.h"
#include "model/row.h"

int model_event_known(
    struct store_db *db, int64_t hook_id, struct str key, struct model_event *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT id, task_id, CASE outcome WHEN 'failed' THEN 2 WHEN 'ignored' THEN 1 ELSE 0"
	    " END FROM event WHERE hook_id = $hook AND delivery_key = $key",
	    e);
	static const enum model_outcome outcomes[] = {
	    MODEL_OUTCOME_WAITING, MODEL_OUTCOME_IGNORED, MODEL_OUTCOME_FAILED};
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	store_bind_text(q, "$key", key);
	rc = store_step(q, e);
	if (rc > 0)
		*ret = (struct model_event){.id = store_col_i64(q, 0),
		    .task_id = store_col_null(q, 1) ? 0 : store_col_i64(q, 1),
		    .outcome = outcomes[store_col_i64(q, 2)]};
	store_reset(q);
	return rc;
}

int model_event_keys(struct store_db *db, int64_t after, uint32_t limit, model_event_key_fn *fn,
    void *ctx, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT id, hook_id, delivery_key FROM event WHERE id > $after ORDER BY id LIMIT "
	    "$limit",
	    e);
	int rc, n = 0;

	if (!q)
		return -1;
	store_bind_i64(q, "$after", after);
	store_bind_i64(q, "$limit", limit);
	for (; (rc = store_step(q, e)) > 0; n++)
		fn(ctx, store_col_i64(q, 0), store_col_i64(q, 1), store_col_text(q, 2));
	store_reset(q);
	return rc < 0 ? -1 : n;
}

static void bind(struct store_stmt *q, const struct model_event *ev)
{
	store_bind_i64(q, "$id", ev->id);
	model_event_bind(q, ev);
	if (ev->task_id)
		store_bind_i64(q, "$task", ev->task_id);
	store_bind_i64(q, "$segment", ev->body_segment);
	store_bind_i64(q, "$at", ev->body_at);
	store_bind_i64(q, "$hook", ev->hook_id);
	store_bind_text(q, "$key", ev->delivery_key);
}

/* The body that an earlier attempt left in the store is not this one's. */
static int drop_body(struct store_db *db, int64_t id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM event_body WHERE event_id = $id", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return store_exec(q, e);
}

static int apply_again(struct store_db *db, const struct model_event *ev, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = $outcome, attempt = attempt + 1, task_id = $task, "
	    "received_ms = "
	    "$now, kind = $kind, ref = $ref, before_commit = $before, after_commit = $after,"
	    " body_segment = $segment, body_at = $at WHERE id = $id AND hook_id = $hook AND "
	    "delivery_key = $key AND " MODEL_EVENT_AGAIN,
	    e);
	int rc;

	if (!q)
		return -1;
	bind(q, ev);
	rc = row_change(db, q, e);
	return rc > 0 && drop_body(db, ev->id, e) < 0 ? -1 : rc;
}

int model_event_owner(struct store_db *db, int64_t hook_id, int64_t *ret_project_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT project_id FROM hook WHERE id = $hook", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	return row_number(q, ret_project_id, e);
}

static void fill_branch(struct row *r, void *ret)
{
	*(struct str *)ret = row_str(r, 0);
}

int model_event_plain(struct store_db *db, struct arena *a, int64_t hook_id, int64_t project_id,
    struct str *ret_branch, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT CASE WHEN h.branch <> '' THEN h.branch ELSE p.source_ref END FROM hook h JOIN"
	    " project p ON p.id = h.project_id WHERE h.id = $hook AND h.project_id = $project"
	    " AND h.actions = ''",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	store_bind_i64(q, "$project", project_id);
	return row_get(q, a, fill_branch, ret_branch, e);
}

/* One row of values: for INSERT … SELECT SQLite keeps a journal of each statement, a copy of every
 * page that it touches. */
int model_event_apply(struct store_db *db, const struct model_event *ev, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO event(id, hook_id, project_id, delivery_key, received_ms, kind, ref, "
	    "before_commit, after_commit, outcome, task_id, body_segment, body_at)"
	    " VALUES ($id, $hook, $project, $key, $now, $kind, $ref, $before, $after, $outcome, "
	    "$task, $segment, $at) ON CONFLICT DO NOTHING",
	    e);
	int rc;

	if (!q)
		return -1;
	bind(q, ev);
	store_bind_i64(q, "$project", ev->project_id);
	rc = row_change(db, q, e);
	return rc != 0 ? rc : apply_again(db, ev, e);
}

int model_task_decided_since(
    struct store_db *db, int64_t project_id, int64_t received_ms, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT 1 FROM task WHERE project_id = $project AND created_ms > $since"
	    " AND created_ms <= $now AND kind IN ('rollback', 'stop', 'destroy') LIMIT 1",
	    e);
	int64_t one;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$since", received_ms);
	store_bind_i64(q, "$now", now_ms);
	return row_number(q, &one, e);
}

int model_journal_get(struct store_db *db, struct model_journal *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT segment, at_bytes, sequence, oldest FROM journal WHERE one = 1", e);
	int rc;

	*ret = (struct model_journal){0};
	if (!q)
		return -1;
	rc = store_step(q, e);
	if (rc > 0)
		*ret = (struct model_journal){store_col_i64(q, 0), store_col_i64(q, 1),
		    store_col_i64(q, 2), store_col_i64(q, 3)};
	store_reset(q);
	return rc;
}

int model_journal_set(struct store_db *db, const struct model_journal *m, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO journal(one, segment, at_bytes, sequence, oldest) VALUES (1, $segment, "
	    "$at, "
	    "$sequence, $oldest) ON CONFLICT (one) DO UPDATE SET segment = $segment, at_bytes = "
	    "$at,"
	    " sequence = $sequence, oldest = $oldest",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$segment", m->segment);
	store_bind_i64(q, "$at", m->at_bytes);
	store_bind_i64(q, "$sequence", m->sequence);
	store_bind_i64(q, "$oldest", m->oldest);
	return store_exec(q, e);
}

int model_event_last_id(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT coalesce(max(id), 0) FROM event", e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}

int model_event_oldest_segment(struct store_db *db, int64_t *ret, struct err *e)
{
	/* Segments rise with numbers, except where a further attempt has put a later body under an
	 * earlier number: none of those before the first without such an attempt can be passed
	 * over. */
	struct store_stmt *q = store_prepare(db,
	    "SELECT coalesce(min(body_segment), 0) FROM event WHERE body_segment > 0 AND id <= "
	    "coalesce("
	    "(SELECT id FROM event WHERE body_segment > 0 AND attempt = 1 ORDER BY id LIMIT 1), "
	    "9223372036854775807)",
	    e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}
