/* Events. */
#include "model/event.h"

#include "model/row.h"

#include <assert.h>

static const char *const outcome_names[MODEL_OUTCOME_COUNT] = {
    "waiting", "served", "uptodate", "ignored", "superseded", "failed"};

const char *model_outcome_name(enum model_outcome o)
{
	assert(o < MODEL_OUTCOME_COUNT);
	return outcome_names[o];
}

void model_event_bind(struct store_stmt *q, const struct model_event *ev)
{
	store_bind_i64(q, "$now", ev->received_ms);
	row_bind_text(q, "$kind", ev->kind);
	row_bind_text(q, "$ref", ev->ref);
	row_bind_text(q, "$before", ev->before);
	row_bind_text(q, "$after", ev->after);
	store_bind_text(q, "$outcome", str_c(model_outcome_name(ev->outcome)));
}

/* In a table of its own: an event's row changes when its task is made and ends, its body never. */
static int put_body(struct store_db *db, int64_t id, struct str body, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO event_body(event_id, body) VALUES ($id, $body)"
	    " ON CONFLICT (event_id) DO UPDATE SET body = $body",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_blob(q, "$body", body);
	return store_exec(q, e);
}

static int insert_new(
    struct store_db *db, const struct model_event *ev, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO event(hook_id, project_id, delivery_key, received_ms, kind, ref, "
	    "before_commit, after_commit,"
	    " outcome) SELECT id, project_id, $key, $now, $kind, $ref, $before, $after, $outcome"
	    " FROM hook WHERE id = $hook AND $project IN (0, project_id) ON CONFLICT (hook_id, "
	    "delivery_key) DO NOTHING "
	    "RETURNING id",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", ev->hook_id);
	store_bind_i64(q, "$project", ev->project_id);
	store_bind_text(q, "$key", ev->delivery_key);
	model_event_bind(q, ev);
	return row_number(q, ret_id, e);
}

/* The same delivery once more, after its task had failed or where now something follows: it waits again
 * under its first id. */
static int wake(struct store_db *db, const struct model_event *ev, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = $outcome, attempt = attempt + 1, task_id = NULL, "
	    "received_ms = $now,"
	    " kind = $kind, ref = $ref, before_commit = $before, after_commit = $after"
	    " WHERE hook_id = $hook AND delivery_key = $key AND " MODEL_EVENT_AGAIN " RETURNING id",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", ev->hook_id);
	store_bind_text(q, "$key", ev->delivery_key);
	model_event_bind(q, ev);
	return row_number(q, ret_id, e);
}

int model_event_add(
    struct store_db *db, const struct model_event *ev, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q;
	int rc;

	assert(ev->outcome == MODEL_OUTCOME_WAITING || ev->outcome == MODEL_OUTCOME_IGNORED);
	rc = insert_new(db, ev, ret_id, e);
	if (rc == 0)
		rc = wake(db, ev, ret_id, e);
	if (rc > 0 && put_body(db, *ret_id, ev->body, e) < 0)
		return -1;
	if (rc != 0)
		return rc;
	q = store_prepare(
	    db, "SELECT id FROM event WHERE hook_id = $hook AND delivery_key = $key", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$hook", ev->hook_id);
	store_bind_text(q, "$key", ev->delivery_key);
	rc = row_number(q, ret_id, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such hook");
	return rc < 0 ? -1 : 0;
}

int model_event_set(
    struct store_db *db, int64_t id, enum model_outcome outcome, int64_t task_id, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "UPDATE event SET outcome = $outcome, task_id = $task WHERE id = $id", e);

	if (!q)
		return -1;
	store_bind_text(q, "$outcome", str_c(model_outcome_name(outcome)));
	if (task_id)
		store_bind_i64(q, "$task", task_id);
	store_bind_i64(q, "$id", id);
	return store_exec(q, e);
}

#define EVENT_COLUMNS                                                                              \
	"SELECT e.id, e.hook_id, e.project_id, h.name, p.name, e.delivery_key, e.received_ms, "    \
	"e.kind, e.ref,"                                                                           \
	" e.before_commit, e.after_commit, coalesce(nullif(e.task_id, 0), (SELECT max(x.task_id) " \
	"FROM"                                                                                     \
	" event_action x WHERE x.event_id = e.id)), e.outcome, e.attempt, e.body_segment, "        \
	"e.body_at FROM event e"                                                                   \
	" JOIN hook h ON h.id = e.hook_id JOIN project p ON p.id = e.project_id WHERE "

static void fill_event(struct row *r, void *ret)
{
	*(struct model_event *)ret = (struct model_event){
	    .id = row_i64(r, 0),
	    .hook_id = row_i64(r, 1),
	    .project_id = row_i64(r, 2),
	    .hook = row_str(r, 3),
	    .project = row_str(r, 4),
	    .delivery_key = row_str(r, 5),
	    .received_ms = row_i64(r, 6),
	    .kind = row_str(r, 7),
	    .ref = row_str(r, 8),
	    .before = row_str(r, 9),
	    .after = row_str(r, 10),
	    .task_id = row_i64(r, 11),
	    .outcome = (enum model_outcome)row_enum(r, 12, outcome_names, MODEL_OUTCOME_COUNT),
	    .attempt = row_i64(r, 13),
	    .body_segment = row_i64(r, 14),
	    .body_at = row_i64(r, 15),
	};
}

int model_event_get(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct model_event *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, EVENT_COLUMNS "e.id = $id AND " ROW_SEES("e", "project_id"), e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_event, ret, e);
}

static void fill_body(struct row *r, void *ret)
{
	*(struct str *)ret = row_str(r, 0);
}

int model_event_body(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct str *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT b.body FROM event e JOIN event_body b ON b.event_id = e.id WHERE e.id = $id "
	    "AND " ROW_SEES("e", "project_id"),
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_body, ret, e);
}

static int list_run(
    struct store_stmt *q, struct arena *a, uint32_t limit, struct model_events *ret, struct err *e)
{
	struct row_list l;

	if (row_list(q, a, sizeof(struct model_event), limit, fill_event, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

/* Each with the index that is narrowest for it; the other conditions are then cheap. */
static const char *list_sql(const struct model_event_filter *f, bool sees_all)
{
#define TAIL                                                                                       \
	"($task = 0 OR e.task_id = $task) AND ($project = 0 OR e.project_id = $project)"           \
	" AND ($hook = 0 OR e.hook_id = $hook) AND e.id < $after AND " ROW_SEES(                   \
	    "e", "project_id") " ORDER BY e.id DESC LIMIT $limit"
	if (f->task_id)
		return EVENT_COLUMNS "e.task_id = $task AND " TAIL;
	if (f->project_id)
		return EVENT_COLUMNS "e.project_id = $project AND " TAIL;
	if (f->hook_id)
		return EVENT_COLUMNS
		    "e.project_id = (SELECT project_id FROM hook WHERE id = $hook) AND " TAIL;
	if (!sees_all)
		return EVENT_COLUMNS "e.project_id IN " ROW_GRANTED " AND " TAIL;
	return EVENT_COLUMNS TAIL;
#undef TAIL
}

int model_event_list(struct store_db *db, struct arena *a, struct model_event_filter filter,
    struct model_page page, struct model_viewer viewer, struct model_events *ret, struct err *e)
{
	struct store_stmt *q;
	bool all;

	if (row_sees_all(db, viewer, &all, e) < 0)
		return -1;
	q = store_prepare(db, list_sql(&filter, all), e);
	if (!q)
		return -1;
	store_bind_i64(q, "$task", filter.task_id);
	store_bind_i64(q, "$project", filter.project_id);
	store_bind_i64(q, "$hook", filter.hook_id);
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	return list_run(q, a, row_limit(page.limit), ret, e);
}

int model_event_orphans(
    struct store_db *db, struct arena *a, uint32_t limit, struct model_events *ret, struct err *e)
{
	/* An older version left those with actions without a mark of it. */
	struct store_stmt *q = store_prepare(db,
	    EVENT_COLUMNS "e.outcome = 'waiting' AND e.task_id IS NULL AND NOT EXISTS"
			  " (SELECT 1 FROM event_action x WHERE x.event_id = e.id)"
			  " ORDER BY e.id LIMIT $limit",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$limit", (int64_t)row_limit(limit) + 1);
	return list_run(q, a, row_limit(limit), ret, e);
}

int model_event_forget(struct store_db *db, int64_t project_id, int64_t hook_id, struct err *e)
{
	struct store_stmt *q = hook_id ? store_prepare(db,
					     "DELETE FROM event WHERE id IN (SELECT id FROM event"
					     " WHERE hook_id = $owner LIMIT $limit)",
					     e)
				       : store_prepare(db,
					     "DELETE FROM event WHERE id IN (SELECT id FROM event"
					     " WHERE project_id = $owner ORDER BY id LIMIT $limit)",
					     e);

	if (!q)
		return -1;
	store_bind_i64(q, "$owner", hook_id ? hook_id : project_id);
	store_bind_i64(q, "$limit", MODEL_EVENTS_AT_ONCE);
	if (store_exec(q, e) < 0)
		return -1;
	return store_changes(db) >= MODEL_EVENTS_AT_ONCE;
}

int model_event_prune(
    struct store_db *db, int64_t before_ms, uint32_t limit, int64_t *ret_count, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM event WHERE id IN (SELECT id FROM event WHERE received_ms < $before"
	    " AND outcome <> 'waiting' ORDER BY received_ms LIMIT $limit)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$before", before_ms);
	store_bind_i64(q, "$limit", limit);
	if (store_exec(q, e) < 0)
		return -1;
	*ret_count = store_changes(db);
	return 0;
}
