/* Tasks: adding, claiming, and effects under a lease. Reading them is in task_read.c. */
#include "model/task.h"

#include "base/limits.h"
#include "model/row.h"

#include <assert.h>

/* How urgent a kind is: what ends or replaces something goes before what builds. */
#define PRIORITY_NEXT 10

static bool is_decisive(enum model_task_kind k)
{
	return k == MODEL_TASK_ROLLBACK || k == MODEL_TASK_STOP || k == MODEL_TASK_DESTROY;
}

static int project_exists(struct store_db *db, int64_t id, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT 1 FROM project WHERE id = $id AND removed_ms = 0", e);
	int64_t one;
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	rc = row_number(q, &one, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such project");
	return rc < 0 ? -1 : 0;
}

/* Kinds that came later are stored as a run, with a mark. */
static void bind_kind(struct store_stmt *q, const struct model_task *t)
{
	enum model_task_kind k = t->kind > MODEL_TASK_RUN ? MODEL_TASK_RUN : t->kind;

	store_bind_text(q, "$kind", str_c(model_task_kind_name(k)));
	store_bind_text(q, "$input", t->input.p ? t->input : STR("{}"));
}

/* 1: folded into the push of this branch that waits. */
static int fold(struct store_db *db, const struct model_task *t, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE task SET head_commit = $head, before_commit = $before, due_ms ="
	    " CASE WHEN due_ms < $due THEN due_ms ELSE $due END"
	    " WHERE id = (SELECT id FROM task WHERE project_id = $project AND ref = $ref AND state "
	    "= 'waiting'"
	    " AND kind = $kind AND input = $input AND from_push = 1 ORDER BY id LIMIT 1) RETURNING "
	    "id",
	    e);

	if (!q)
		return -1;
	row_bind_text(q, "$head", t->head_commit);
	row_bind_text(q, "$before", t->before_commit);
	store_bind_i64(q, "$due", t->due_ms);
	store_bind_i64(q, "$project", t->project_id);
	row_bind_text(q, "$ref", t->ref);
	bind_kind(q, t);
	return row_number(q, ret_id, e);
}

/* How many numbers there are from the first that waits to the last: no more can wait than that.
 * Counting them for each task that is added takes longer the more there are. */
static int waiting_span(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT coalesce((SELECT id FROM task WHERE state = 'waiting' ORDER BY id DESC LIMIT 1)"
	    " - (SELECT id FROM task WHERE state = 'waiting' ORDER BY id LIMIT 1) + 1, 0)",
	    e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}

static int room_in_queue(struct store_db *db, struct err *e)
{
	int64_t n;

	if (waiting_span(db, &n, e) < 0)
		return -1;
	if (n < (int64_t)LIMIT_QUEUE_WAITING)
		return 0;
	struct store_stmt *q =
	    store_prepare(db, "SELECT count(*) FROM task WHERE state = 'waiting'", e);
	if (!q || row_number(q, &n, e) < 0)
		return -1;
	if (n < (int64_t)LIMIT_QUEUE_WAITING)
		return 0;
	err_set(
	    e, ERR_UNAVAILABLE, "could not queue a task: %lld are waiting already", (long long)n);
	return err_hint(e, "try again when some have run");
}

#define ENDED_BY_IT "project_id = $project AND state = 'waiting' AND ($all = 1 OR kind = 'deploy')"

/* Ends what waits for the project (only deploys unless `all`) and asks what runs to stop. */
static int supersede(
    struct store_db *db, const struct model_task *t, struct model_task_added *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = 'superseded' WHERE project_id = $project AND outcome = "
	    "'waiting'"
	    " AND ((task_id IS NULL AND NOT EXISTS (SELECT 1 FROM event_action x WHERE x.event_id ="
	    " event.id)) OR task_id IN (SELECT id FROM task WHERE " ENDED_BY_IT "))",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", t->project_id);
	store_bind_i64(q, "$all", t->kind == MODEL_TASK_DESTROY);
	if (store_exec(q, e) < 0)
		return -1;
	q = store_prepare(
	    db, "UPDATE task SET state = 'superseded', finished_ms = $now WHERE " ENDED_BY_IT, e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", t->project_id);
	store_bind_i64(q, "$all", t->kind == MODEL_TASK_DESTROY);
	store_bind_i64(q, "$now", t->created_ms);
	if (store_exec(q, e) < 0)
		return -1;
	ret->superseded_count = store_changes(db);
	q = store_prepare(db,
	    "UPDATE task SET cancel_requested = 1 WHERE project_id = $project AND state = "
	    "'running' RETURNING id",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", t->project_id);
	return row_number(q, &ret->cancels, e) < 0 ? -1 : 0;
}

static int insert(struct store_db *db, const struct model_task *t, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO task(project_id, kind, state, ref, head_commit, before_commit, from_push, "
	    "priority,"
	    " attempts_max, due_ms, created_ms, requested_by, input, checks_only) VALUES "
	    "($project, "
	    "$kind, 'waiting', $ref, $head,"
	    " $before, $push, $priority, $attempts, $due, $now, $by, $input, $checks) RETURNING id",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", t->project_id);
	bind_kind(q, t);
	store_bind_i64(q, "$checks",
	    t->kind == MODEL_TASK_CHECK		? 1
	    : t->kind == MODEL_TASK_CERTIFICATE ? 2
	    : t->kind == MODEL_TASK_BACKUP	? 3
	    : t->kind == MODEL_TASK_RESTORE	? 4
						: 0);
	row_bind_text(q, "$ref", t->ref);
	row_bind_text(q, "$head", t->head_commit);
	row_bind_text(q, "$before", t->before_commit);
	store_bind_i64(q, "$push", t->from_push);
	store_bind_i64(q, "$priority", is_decisive(t->kind) ? PRIORITY_NEXT : 0);
	store_bind_i64(q, "$attempts", t->attempts_max > 0 ? t->attempts_max : 1);
	store_bind_i64(q, "$due", t->due_ms);
	store_bind_i64(q, "$now", t->created_ms);
	row_bind_text(q, "$by", t->requested_by);
	return row_number(q, ret_id, e) > 0 ? 0 : -1;
}

int model_task_add(
    struct store_db *db, const struct model_task *t, struct model_task_added *ret, struct err *e)
{
	int rc = 0;

	*ret = (struct model_task_added){0};
	if (project_exists(db, t->project_id, e) < 0)
		return -1;
	if (t->from_push)
		rc = fold(db, t, &ret->id, e);
	ret->folded = rc > 0;
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	if (is_decisive(t->kind))
		rc = supersede(db, t, ret, e);
	else
		rc = room_in_queue(db, e);
	return rc < 0 ? -1 : insert(db, t, &ret->id, e);
}

/* +: by task_next or task_quick, which have the order already; not by task_due. */
#define CLAIM_FIRST(of)                                                                            \
	"UPDATE task SET state = 'running', attempt = attempt + 1, lease_owner = $owner,"          \
	" lease_counter = lease_counter + 1, current_step = '', progress = '',"                    \
	" started_ms = $now WHERE id = (SELECT w.id FROM task w WHERE w.state = 'waiting' AND "    \
	"+w.due_ms <= $now"                                                                        \
	" AND w.project_id NOT IN (SELECT project_id FROM task WHERE state = 'running')" of        \
	" ORDER BY w.priority DESC, w.id LIMIT 1) RETURNING id"
#define DECISIVE " AND w.priority > 0"
/* The list as in schema_20; not before what its own project waits for. */
#define QUICK                                                                                      \
	" AND w.kind IN ('rollback', 'stop', 'destroy', 'start', 'restart', 'scale')"              \
	" AND (w.priority > 0 OR NOT EXISTS (SELECT 1 FROM task b WHERE b.project_id ="            \
	" w.project_id AND b.state = 'waiting' AND b.id < w.id AND +b.due_ms <= $now))"

/* What may begin beside those that run; NULL: nothing. */
static const char *claimable(int64_t running, int64_t running_max)
{
	if (running < running_max)
		return CLAIM_FIRST("");
	if (running < running_max + MODEL_TASK_BESIDE)
		return CLAIM_FIRST(QUICK);
	return running < running_max + MODEL_TASK_BESIDE_DECISIVE ? CLAIM_FIRST(DECISIVE) : NULL;
}

int model_task_claim(struct store_db *db, struct arena *a, struct str owner, int64_t now_ms,
    int64_t running_max, struct model_task *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT count(*) FROM task WHERE state = 'running'", e);
	int64_t id, running;
	int rc;

	if (!q || row_number(q, &running, e) < 0)
		return -1;
	const char *sql = claimable(running, running_max);
	if (!sql)
		return 0;
	q = store_prepare(db, sql, e);
	if (!q)
		return -1;
	store_bind_text(q, "$owner", owner);
	store_bind_i64(q, "$now", now_ms);
	rc = row_number(q, &id, e);
	return rc <= 0 ? rc : model_task_get(db, a, id, MODEL_EVERYTHING, ret, e);
}

struct model_lease model_task_lease(const struct model_task *t)
{
	return (struct model_lease){
	    .task_id = t->id, .owner = t->lease_owner, .counter = t->lease_counter};
}

int model_task_next_due(struct store_db *db, int64_t *ret_due_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT due_ms FROM task WHERE state = 'waiting' ORDER BY due_ms LIMIT 1", e);

	return q ? row_number(q, ret_due_ms, e) : -1;
}

int model_task_set_back(struct store_db *db, int64_t now_ms, int64_t far_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE task SET due_ms = $now WHERE state = 'waiting' AND due_ms > $now"
	    " AND ((attempt > 0 AND due_ms > $far) OR (attempt = 0 AND created_ms > $now))",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$far", far_ms);
	return store_exec(q, e) < 0 ? -1 : (int)store_changes(db);
}

#define HELD                                                                                       \
	" WHERE id = $task AND state = 'running' AND lease_owner = $owner AND lease_counter = "    \
	"$counter"

static struct store_stmt *under_lease(
    struct store_db *db, const char *sql, const struct model_lease *l, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);

	if (q) {
		store_bind_i64(q, "$task", l->task_id);
		store_bind_text(q, "$owner", l->owner);
		store_bind_i64(q, "$counter", l->counter);
	}
	return q;
}

int model_task_renew(struct store_db *db, const struct model_lease *l, struct err *e)
{
	struct store_stmt *q =
	    under_lease(db, "UPDATE task SET lease_beat = lease_beat + 1" HELD, l, e);

	return q ? row_change(db, q, e) : -1;
}

int model_task_save(struct store_db *db, const struct model_lease *l, struct str current_step,
    struct str progress, struct err *e)
{
	struct store_stmt *q = under_lease(
	    db, "UPDATE task SET current_step = $step, progress = $progress" HELD, l, e);

	if (!q)
		return -1;
	row_bind_text(q, "$step", current_step);
	row_bind_text(q, "$progress", progress);
	return row_change(db, q, e);
}

int model_task_set_head(
    struct store_db *db, const struct model_lease *l, struct str head_commit, struct err *e)
{
	struct store_stmt *q = under_lease(db, "UPDATE task SET head_commit = $head" HELD, l, e);

	if (!q)
		return -1;
	row_bind_text(q, "$head", head_commit);
	return row_change(db, q, e);
}

/* Events that waited for this task learn how it ended. */
static int tell_events(
    struct store_db *db, int64_t task_id, enum model_outcome outcome, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE event SET outcome = $outcome WHERE task_id = $task AND outcome = 'waiting'", e);

	if (!q)
		return -1;
	store_bind_text(q, "$outcome", str_c(model_outcome_name(outcome)));
	store_bind_i64(q, "$task", task_id);
	return store_exec(q, e);
}

int model_task_finish(struct store_db *db, const struct model_lease *l, enum model_task_state state,
    enum model_outcome outcome, struct str result, struct str error, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = under_lease(db,
	    "UPDATE task SET state = $state, result = $result, error = $error, finished_ms = "
	    "$now" HELD,
	    l, e);
	int rc;

	assert(
	    state != MODEL_TASK_WAITING && state != MODEL_TASK_RUNNING && state != MODEL_TASK_DEAD);
	if (!q)
		return -1;
	store_bind_text(q, "$state", str_c(model_task_state_name(state)));
	row_bind_text(q, "$result", result);
	row_bind_text(q, "$error", error);
	store_bind_i64(q, "$now", now_ms);
	rc = row_change(db, q, e);
	if (rc > 0 && tell_events(db, l->task_id, outcome, e) < 0)
		return -1;
	return rc;
}

int model_task_retry(struct store_db *db, const struct model_lease *l, int64_t due_ms,
    struct str error, int64_t now_ms, bool *ret_dead, struct err *e)
{
	struct store_stmt *q = under_lease(db,
	    "UPDATE task SET state = CASE WHEN attempt >= attempts_max THEN 'dead' ELSE 'waiting' "
	    "END,"
	    " finished_ms = CASE WHEN attempt >= attempts_max THEN $now ELSE 0 END,"
	    " lease_owner = CASE WHEN attempt >= attempts_max THEN lease_owner ELSE '' END,"
	    " due_ms = $due, error = $error" HELD " RETURNING state = 'dead'",
	    l, e);
	int64_t dead = 0;
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$due", due_ms);
	store_bind_i64(q, "$now", now_ms);
	row_bind_text(q, "$error", error);
	rc = row_number(q, &dead, e);
	*ret_dead = dead != 0;
	if (rc > 0 && dead && tell_events(db, l->task_id, MODEL_OUTCOME_FAILED, e) < 0)
		return -1;
	return rc;
}

int model_task_cancel_wanted(
    struct store_db *db, const struct model_lease *l, bool *ret_cancel, struct err *e)
{
	struct store_stmt *q = under_lease(db, "SELECT cancel_requested FROM task" HELD, l, e);
	int64_t wanted = 0;
	int rc;

	if (!q)
		return -1;
	rc = row_number(q, &wanted, e);
	*ret_cancel = wanted != 0;
	return rc;
}

int model_task_take_over(struct store_db *db, struct arena *a, const struct model_task *seen,
    struct str owner, struct model_task *ret, struct err *e)
{
	struct model_lease l = model_task_lease(seen);
	struct store_stmt *q = under_lease(db,
	    "UPDATE task SET lease_owner = $new, lease_counter = lease_counter + 1" HELD
	    " AND lease_beat = $beat",
	    &l, e);
	int rc;

	if (!q)
		return -1;
	store_bind_text(q, "$new", owner);
	store_bind_i64(q, "$beat", seen->lease_beat);
	rc = row_change(db, q, e);
	return rc <= 0 ? rc : model_task_get(db, a, seen->id, MODEL_EVERYTHING, ret, e);
}

/* 1 when a waiting one is ended now, with its events. */
static int cancel_waiting(
    struct store_db *db, int64_t id, struct model_viewer viewer, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE task SET state = 'cancelled', finished_ms = $now WHERE id = $id AND state = "
	    "'waiting' AND " ROW_SEES("task", "project_id"),
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$now", now_ms);
	row_bind_viewer(q, viewer);
	rc = row_change(db, q, e);
	if (rc > 0 && tell_events(db, id, MODEL_OUTCOME_SUPERSEDED, e) < 0)
		return -1;
	return rc;
}

int model_task_cancel(struct store_db *db, int64_t id, struct model_viewer viewer, int64_t now_ms,
    enum model_task_state *ret_state, struct err *e)
{
	struct store_stmt *q;
	int rc = cancel_waiting(db, id, viewer, now_ms, e);

	*ret_state = MODEL_TASK_WAITING;
	if (rc != 0)
		return rc;
	q = store_prepare(db,
	    "UPDATE task SET cancel_requested = 1 WHERE id = $id AND state = 'running' "
	    "AND " ROW_SEES("task", "project_id"),
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	row_bind_viewer(q, viewer);
	*ret_state = MODEL_TASK_RUNNING;
	return row_change(db, q, e);
}
