/* Actions of events. */
#include "model/action.h"

#include "model/row.h"
#include "text/json.h"

#include <assert.h>

enum { ARENA_BYTES = 1 << 20 };

static const char *const kind_names[MODEL_ACTION_KIND_COUNT] = {
    "deploy", "check", "notify", "forward", "run"};
static const char *const state_names[MODEL_ACTION_STATE_COUNT] = {
    "later", "waiting", "running", "done", "failed", "skipped"};

const char *model_action_kind_name(enum model_action_kind k)
{
	assert(k < MODEL_ACTION_KIND_COUNT);
	return kind_names[k];
}

const char *model_action_state_name(enum model_action_state s)
{
	assert(s < MODEL_ACTION_STATE_COUNT);
	return state_names[s];
}

int model_action_kind_parse(struct str s, enum model_action_kind *ret, struct err *e)
{
	int i;

	if (row_parse(s, kind_names, MODEL_ACTION_KIND_COUNT, "kind of action", &i, e) < 0)
		return -1;
	*ret = (enum model_action_kind)i;
	return 0;
}

/* Reading. */

#define ACTION_COLUMNS                                                                             \
	"SELECT a.event_id, a.position, a.kind, a.spec, a.state, a.task_id, a.attempt, a.detail,"  \
	" e.project_id, e.received_ms, "
#define ACTION_TASK                                                                                \
	"CASE WHEN t.state = 'done' THEN 1 ELSE 0 END,"                                            \
	" CASE WHEN t.state = 'superseded' THEN 1 ELSE 0 END"
/* CROSS JOIN keeps SQLite to this order: the tasks that ended are few, the actions that run many. */
#define ACTION_ENDED                                                                               \
	" FROM task t CROSS JOIN event_action a CROSS JOIN event e WHERE t.has_actions = 1 AND"    \
	" t.state NOT IN ('waiting', 'running') AND a.task_id = t.id AND a.state = 'running' AND"  \
	" e.id = a.event_id LIMIT $limit"
#define ACTION_FROM " FROM event_action a JOIN event e ON e.id = a.event_id "

static void fill(struct row *r, void *ret)
{
	*(struct model_action *)ret = (struct model_action){
	    .event_id = row_i64(r, 0),
	    .position = row_i64(r, 1),
	    .kind = (enum model_action_kind)row_enum(r, 2, kind_names, MODEL_ACTION_KIND_COUNT),
	    .spec = row_str(r, 3),
	    .state = (enum model_action_state)row_enum(r, 4, state_names, MODEL_ACTION_STATE_COUNT),
	    .task_id = row_i64(r, 5),
	    .attempt = row_i64(r, 6),
	    .detail = row_str(r, 7),
	    .project_id = row_i64(r, 8),
	    .received_ms = row_i64(r, 9),
	    .task_done = row_bool(r, 10),
	    .task_superseded = row_bool(r, 11),
	};
}

static int list(
    struct store_stmt *q, struct arena *a, uint32_t limit, struct model_actions *ret, struct err *e)
{
	struct row_list l;

	if (row_list(q, a, sizeof(struct model_action), limit, fill, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_action_list(struct store_db *db, struct arena *a, int64_t event_id,
    struct model_actions *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    ACTION_COLUMNS "0, 0" ACTION_FROM "WHERE a.event_id = $event ORDER BY a.position", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	return list(q, a, 0, ret, e);
}

int model_action_ready(
    struct store_db *db, struct arena *a, uint32_t limit, struct model_actions *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    ACTION_COLUMNS "0, 0" ACTION_FROM
			   "WHERE a.state = 'waiting' ORDER BY a.event_id LIMIT $limit",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$limit", limit);
	return list(q, a, limit, ret, e);
}

int model_action_ended(
    struct store_db *db, struct arena *a, uint32_t limit, struct model_actions *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, ACTION_COLUMNS ACTION_TASK ACTION_ENDED, e);

	if (!q)
		return -1;
	store_bind_i64(q, "$limit", limit);
	return list(q, a, limit, ret, e);
}

static int mark_tasks(struct store_db *db, const char *sql, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	return q ? store_exec(q, e) : -1;
}

int model_action_none_ended(struct store_db *db, struct err *e)
{
	return mark_tasks(db,
	    "UPDATE task SET has_actions = 0 WHERE has_actions = 1 AND state NOT IN ('waiting',"
	    " 'running')",
	    e);
}

int model_action_recover(struct store_db *db, struct err *e)
{
	return mark_tasks(db,
	    "UPDATE task SET has_actions = 1 WHERE has_actions = 0 AND id IN"
	    " (SELECT task_id FROM event_action WHERE state = 'running')",
	    e);
}

/* Changing. */

static int set_state(struct store_db *db, const struct model_action *x,
    enum model_action_state state, struct str detail, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event_action SET state = $state, detail = $detail, task_id = $task,"
	    " attempt = $attempt WHERE event_id = $event AND position = $position",
	    e);

	if (!q)
		return -1;
	store_bind_text(q, "$state", str_c(state_names[state]));
	row_bind_text(q, "$detail", detail);
	if (x->task_id)
		store_bind_i64(q, "$task", x->task_id);
	store_bind_i64(q, "$attempt", x->attempt);
	store_bind_i64(q, "$event", x->event_id);
	store_bind_i64(q, "$position", x->position);
	return store_exec(q, e);
}

/* The first of those that come later waits now: 1, or 0. */
static int promote(struct store_db *db, int64_t event_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event_action SET state = 'waiting' WHERE event_id = $event AND position ="
	    " (SELECT min(position) FROM event_action WHERE event_id = $event AND state = 'later')",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	return row_change(db, q, e);
}

static int skip_rest(struct store_db *db, int64_t event_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event_action SET state = 'skipped', detail = 'one before it did not end well'"
	    " WHERE event_id = $event AND state = 'later'",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	return store_exec(q, e);
}

static int set_outcome(struct store_db *db, int64_t event_id, const char *outcome, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE event SET outcome = $outcome WHERE id = $event", e);

	if (!q)
		return -1;
	store_bind_text(q, "$outcome", str_c(outcome));
	store_bind_i64(q, "$event", event_id);
	return store_exec(q, e);
}

int model_action_begun(
    struct store_db *db, const struct model_action *x, int64_t task_id, struct err *e)
{
	struct model_action begun = *x;

	begun.task_id = task_id;
	if (set_state(db, &begun, MODEL_ACTION_RUNNING, STR(""), e) < 0)
		return -1;
	struct store_stmt *q = store_prepare(
	    db, "UPDATE task SET has_actions = 1 WHERE id = $task AND has_actions = 0", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$task", task_id);
	return store_exec(q, e);
}

int model_action_end(struct store_db *db, const struct model_action *x, enum model_action_state how,
    const char *detail, struct err *e)
{
	int more = 0;

	if (set_state(db, x, how, str_c(detail), e) < 0)
		return -1;
	if (how != MODEL_ACTION_DONE && skip_rest(db, x->event_id, e) < 0)
		return -1;
	if (how == MODEL_ACTION_DONE && (more = promote(db, x->event_id, e)) < 0)
		return -1;
	if (more > 0)
		return 0;
	return set_outcome(db, x->event_id,
	    how == MODEL_ACTION_DONE	 ? "served"
	    : how == MODEL_ACTION_FAILED ? "failed"
					 : "superseded",
	    e);
}

/* Opening. */

static int add(struct store_db *db, int64_t event_id, int64_t position, enum model_action_kind kind,
    struct str spec, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO event_action(event_id, position, kind, spec, state, attempt)"
	    " VALUES ($event, $position, $kind, $spec, 'later', 1)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	store_bind_i64(q, "$position", position);
	store_bind_text(q, "$kind", str_c(model_action_kind_name(kind)));
	store_bind_text(q, "$spec", spec);
	return store_exec(q, e);
}

static bool fits(enum model_action_kind kind, const json_t *one, struct model_action_of of)
{
	switch (kind) {
	case MODEL_ACTION_DEPLOY:
		return of.branch;
	case MODEL_ACTION_CHECK:
		return of.branch ||
		       (of.pull && (!of.stranger || json_is_true(json_object_get(one, "forks"))));
	case MODEL_ACTION_NOTIFY:
	case MODEL_ACTION_FORWARD:
	case MODEL_ACTION_RUN:
	case MODEL_ACTION_KIND_COUNT:
	default:
		return true;
	}
}

/* What one of the hook's becomes for this event: 1, 0: nothing, -1. */
static int make_one(struct arena *a, json_t *one, struct model_action_of of,
    struct model_action *ret, struct err *e)
{
	enum model_action_kind kind = MODEL_ACTION_DEPLOY;
	struct err unknown;
	struct str type = STR("");

	/* What a later version knows is passed over: one such event must not stop all others. */
	if (json_get_str(one, "type", &type, &unknown) < 0 ||
	    model_action_kind_parse(type, &kind, &unknown) < 0)
		return 0;
	if (!fits(kind, one, of))
		return 0;
	if (of.pull && json_object_set_new(one, "pull", json_true()) == 0 && of.stranger)
		(void)json_object_set_new(one, "stranger", json_true());
	size_t n = json_dumpb(one, NULL, 0, JSON_COMPACT);
	char *spec = n > 0 ? arena_alloc(a, n) : NULL;
	if (!spec)
		return err_set(e, ERR_TOO_LARGE, "an action's settings are too large");
	*ret = (struct model_action){
	    .kind = kind, .spec = {spec, json_dumpb(one, spec, n, JSON_COMPACT)}};
	return 1;
}

static void fill_text(struct row *r, void *ret)
{
	*(struct str *)ret = row_str(r, 0);
}

static int hook_actions(
    struct store_db *db, struct arena *a, int64_t event_id, struct str *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT h.actions FROM event e JOIN hook h ON h.id = e.hook_id WHERE e.id = $event", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	return row_get(q, a, fill_text, ret, e);
}

static int open_new(struct store_db *db, struct arena *a, int64_t event_id,
    struct model_action_of of, struct err *e)
{
	struct str text = STR("");
	int rc = hook_actions(db, a, event_id, &text, e);

	if (rc <= 0 || text.n == 0)
		return rc < 0 ? -1 : 0;
	CLEANUP_JSON json_t *actions = json_read(text, e);
	if (!actions)
		return -1;
	size_t n = json_array_size(actions);
	struct model_action *v = arena_array(a, n, sizeof(*v));
	if (n > 0 && !v)
		return err_set(e, ERR_TOO_LARGE, "the hook has too many actions");
	/* All are made before the first is stored: of an event that cannot have them nothing stays. */
	for (size_t i = 0; i < n; i++) {
		int made = make_one(a, json_array_get(actions, i), of, &v[i], e);
		if (made < 0)
			return -1;
		v[i].position = made ? (int64_t)i + 1 : 0;
	}
	for (size_t i = 0; i < n; i++)
		if (v[i].position && add(db, event_id, v[i].position, v[i].kind, v[i].spec, e) < 0)
			return -1;
	return promote(db, event_id, e);
}

/* What is done stays done; a command that has begun may have done its work. */
static int open_again(
    struct store_db *db, int64_t event_id, const struct model_actions *l, bool all, struct err *e)
{
	for (size_t i = 0; i < l->n; i++) {
		struct model_action x = l->v[i];

		if (!all && x.state == MODEL_ACTION_DONE)
			continue;
		if (!all && x.kind == MODEL_ACTION_RUN && x.task_id)
			break;
		x.task_id = 0;
		x.attempt++;
		if (set_state(db, &x, MODEL_ACTION_LATER, STR(""), e) < 0)
			return -1;
	}
	return promote(db, event_id, e);
}

/* Its tasks are its actions'. Without this the events that wait for a task would be looked for among
 * all whose actions are under way, in each round. */
static int has_tasks(struct store_db *db, int64_t event_id, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "UPDATE event SET task_id = 0 WHERE id = $event AND task_id IS NULL", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	return store_exec(q, e);
}

int model_action_open(
    struct store_db *db, int64_t event_id, struct model_action_of of, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_actions there;

	arena_init(&a, ARENA_BYTES);
	if (model_action_list(db, &a, event_id, &there, e) < 0)
		return -1;
	int rc = there.n > 0 ? open_again(db, event_id, &there, false, e)
			     : open_new(db, &a, event_id, of, e);
	if (rc != 0)
		return rc < 0 || has_tasks(db, event_id, e) < 0 ? -1 : 1;
	return set_outcome(db, event_id, there.n > 0 ? "failed" : "ignored", e);
}

int model_action_restart(struct store_db *db, int64_t event_id, int64_t now_ms, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_actions there;

	arena_init(&a, ARENA_BYTES);
	if (model_action_list(db, &a, event_id, &there, e) < 0)
		return -1;
	if (there.n == 0)
		return 0;
	for (size_t i = 0; i < there.n; i++)
		if (there.v[i].state == MODEL_ACTION_RUNNING)
			return err_set(e, ERR_CONFLICT, "the event's actions are under way");
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = 'waiting', attempt = attempt + 1, received_ms = $now,"
	    " task_id = coalesce(task_id, 0)"
	    " WHERE id = $event",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	store_bind_i64(q, "$now", now_ms);
	if (store_exec(q, e) < 0)
		return -1;
	return open_again(db, event_id, &there, true, e) < 0 ? -1 : 1;
}

int model_action_first(
    struct store_db *db, int64_t event_id, struct model_action_of of, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = 'waiting', task_id = NULL, received_ms = $now"
	    " WHERE id = $event",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$event", event_id);
	store_bind_i64(q, "$now", now_ms);
	return store_exec(q, e) < 0 ? -1 : model_action_open(db, event_id, of, e);
}
