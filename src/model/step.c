/* Steps of tasks; heads of branches. */
#include "model/step.h"

#include "model/row.h"

#include <assert.h>

static const char *const state_names[MODEL_STEP_STATE_COUNT] = {
    "running", "done", "failed", "cancelled", "skipped"};

const char *model_step_state_name(enum model_step_state s)
{
	assert(s < MODEL_STEP_STATE_COUNT);
	return state_names[s];
}

#define HELD                                                                                       \
	"t.id = $task AND t.state = 'running' AND t.lease_owner = $owner AND t.lease_counter = "   \
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

int model_step_begin(struct store_db *db, const struct model_lease *l, int64_t seq, struct str name,
    int64_t now_ms, struct err *e)
{
	struct store_stmt *q = under_lease(db,
	    "INSERT INTO step(task_id, attempt, seq, name, state, started_ms)"
	    " SELECT t.id, t.attempt, $seq, $name, 'running', $now FROM task t WHERE " HELD
	    " ON CONFLICT (task_id, attempt, seq) DO UPDATE SET name = $name, state = 'running', "
	    "started_ms = $now,"
	    " finished_ms = 0, detail = ''",
	    l, e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$seq", seq);
	store_bind_text(q, "$name", name);
	store_bind_i64(q, "$now", now_ms);
	rc = row_change(db, q, e);
	if (rc <= 0)
		return rc;
	q = store_prepare(db, "UPDATE task SET current_step = $name WHERE id = $task", e);
	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	store_bind_i64(q, "$task", l->task_id);
	return row_change(db, q, e);
}

int model_step_end(struct store_db *db, const struct model_lease *l, int64_t seq,
    enum model_step_state state, struct str detail, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = under_lease(db,
	    "UPDATE step SET state = $state, detail = $detail, finished_ms = $now WHERE task_id = "
	    "$task AND seq = $seq"
	    " AND attempt = (SELECT t.attempt FROM task t WHERE " HELD ")",
	    l, e);

	if (!q)
		return -1;
	store_bind_text(q, "$state", str_c(model_step_state_name(state)));
	row_bind_text(q, "$detail", detail);
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$seq", seq);
	return row_change(db, q, e);
}

static void fill_step(struct row *r, void *ret)
{
	*(struct model_step *)ret = (struct model_step){
	    .task_id = row_i64(r, 0),
	    .attempt = row_i64(r, 1),
	    .seq = row_i64(r, 2),
	    .name = row_str(r, 3),
	    .state = (enum model_step_state)row_enum(r, 4, state_names, MODEL_STEP_STATE_COUNT),
	    .started_ms = row_i64(r, 5),
	    .finished_ms = row_i64(r, 6),
	    .detail = row_str(r, 7),
	};
}

int model_step_list(struct store_db *db, struct arena *a, int64_t task_id,
    struct model_viewer viewer, struct model_steps *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT s.task_id, s.attempt, s.seq, s.name, s.state, s.started_ms, s.finished_ms, "
	    "s.detail FROM step s"
	    " JOIN task t ON t.id = s.task_id WHERE s.task_id = $task AND " ROW_SEES(
		"t", "project_id") " ORDER BY s.attempt, s.seq",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$task", task_id);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_step), 0, fill_step, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

static void fill_head(struct row *r, void *ret)
{
	*(struct model_branch_head *)ret = (struct model_branch_head){
	    .commit = row_str(r, 0), .ok = row_bool(r, 1), .task_id = row_i64(r, 2)};
}

int model_branch_head_remote(struct store_db *db, int64_t task_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT 1 FROM task t JOIN project p ON p.id = t.project_id WHERE t.id = $task"
	    " AND t.from_push = 1 AND p.source_ref = ''"
	    " AND (EXISTS (SELECT 1 FROM event v JOIN hook h ON h.id = v.hook_id"
	    " WHERE v.task_id = t.id AND h.branch = '')"
	    " OR EXISTS (SELECT 1 FROM event_action x JOIN event v ON v.id = x.event_id"
	    " JOIN hook h ON h.id = v.hook_id"
	    " WHERE x.task_id = t.id AND x.state = 'running' AND h.branch = ''))",
	    e);
	int64_t one;

	if (!q)
		return -1;
	store_bind_i64(q, "$task", task_id);
	return row_number(q, &one, e);
}

int model_branch_head_get(struct store_db *db, struct arena *a, int64_t project_id, struct str ref,
    struct model_branch_head *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT commit_id, ok, task_id FROM branch_head WHERE project_id = $project AND ref = "
	    "$ref",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$ref", ref);
	return row_get(q, a, fill_head, ret, e);
}

int model_branch_head_set(struct store_db *db, int64_t project_id, struct str ref,
    const struct model_branch_head *h, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO branch_head(project_id, ref, commit_id, ok, task_id) VALUES ($project, "
	    "$ref, $commit, $ok, $task)"
	    " ON CONFLICT (project_id, ref) DO UPDATE SET commit_id = $commit, ok = $ok, task_id = "
	    "$task",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$ref", ref);
	store_bind_text(q, "$commit", h->commit);
	store_bind_i64(q, "$ok", h->ok);
	store_bind_i64(q, "$task", h->task_id);
	return store_exec(q, e);
}
