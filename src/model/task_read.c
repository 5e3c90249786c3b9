/* Tasks: names, reading, counting, retention. */
#include "model/row.h"
#include "model/task.h"

#include <assert.h>

static const char *const kind_names[MODEL_TASK_KIND_COUNT] = {
    "deploy", "rollback", "stop", "start", "restart", "scale", "destroy", "run", "check", "certificate",
    "backup", "restore"};
static const char *const state_names[MODEL_TASK_STATE_COUNT] = {
    "waiting", "running", "done", "failed", "cancelled", "superseded", "dead"};

const char *model_task_kind_name(enum model_task_kind k)
{
	assert(k < MODEL_TASK_KIND_COUNT);
	return kind_names[k];
}

const char *model_task_state_name(enum model_task_state s)
{
	assert(s < MODEL_TASK_STATE_COUNT);
	return state_names[s];
}

int model_task_kind_parse(struct str s, enum model_task_kind *ret, struct err *e)
{
	int i;

	if (row_parse(s, kind_names, MODEL_TASK_KIND_COUNT, "kind of task", &i, e) < 0)
		return -1;
	*ret = (enum model_task_kind)i;
	return 0;
}

int model_task_state_parse(struct str s, enum model_task_state *ret, struct err *e)
{
	int i;

	if (row_parse(s, state_names, MODEL_TASK_STATE_COUNT, "state of a task", &i, e) < 0)
		return -1;
	*ret = (enum model_task_state)i;
	return 0;
}

#define TASK_COLUMNS                                                                               \
	"SELECT t.id, t.project_id, p.name, CASE t.checks_only WHEN 1 THEN 'check' WHEN 2 THEN " \
	"'certificate' WHEN 3 THEN 'backup' WHEN 4 THEN 'restore' ELSE t.kind END,"                                                                                     \
	" t.state, t.ref, t.head_commit, "                                                         \
	"t.before_commit,"                                                                         \
	" t.input, t.progress, t.result, t.error, t.from_push, t.priority, t.attempt, "            \
	"t.attempts_max,"                                                                          \
	" t.due_ms, t.lease_owner, t.lease_counter, t.lease_beat, t.cancel_requested, "            \
	"t.current_step,"                                                                          \
	" t.created_ms, t.started_ms, t.finished_ms, t.requested_by"                               \
	" FROM task t JOIN project p ON p.id = t.project_id WHERE "

static void fill_task(struct row *r, void *ret)
{
	*(struct model_task *)ret = (struct model_task){
	    .id = row_i64(r, 0),
	    .project_id = row_i64(r, 1),
	    .project = row_str(r, 2),
	    .kind = (enum model_task_kind)row_enum(r, 3, kind_names, MODEL_TASK_KIND_COUNT),
	    .state = (enum model_task_state)row_enum(r, 4, state_names, MODEL_TASK_STATE_COUNT),
	    .ref = row_str(r, 5),
	    .head_commit = row_str(r, 6),
	    .before_commit = row_str(r, 7),
	    .input = row_str(r, 8),
	    .progress = row_str(r, 9),
	    .result = row_str(r, 10),
	    .error = row_str(r, 11),
	    .from_push = row_bool(r, 12),
	    .priority = row_i64(r, 13),
	    .attempt = row_i64(r, 14),
	    .attempts_max = row_i64(r, 15),
	    .due_ms = row_i64(r, 16),
	    .lease_owner = row_str(r, 17),
	    .lease_counter = row_i64(r, 18),
	    .lease_beat = row_i64(r, 19),
	    .cancel_requested = row_bool(r, 20),
	    .current_step = row_str(r, 21),
	    .created_ms = row_i64(r, 22),
	    .started_ms = row_i64(r, 23),
	    .finished_ms = row_i64(r, 24),
	    .requested_by = row_str(r, 25),
	};
}

int model_task_get(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct model_task *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, TASK_COLUMNS "t.id = $id AND " ROW_SEES("t", "project_id"), e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_task, ret, e);
}

static int list_run(
    struct store_stmt *q, struct arena *a, uint32_t limit, struct model_tasks *ret, struct err *e)
{
	struct row_list l;

	if (row_list(q, a, sizeof(struct model_task), limit, fill_task, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_task_running(struct store_db *db, struct arena *a, struct model_tasks *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, TASK_COLUMNS "t.state = 'running' ORDER BY t.id", e);

	return q ? list_run(q, a, 0, ret, e) : -1;
}

int model_task_list(struct store_db *db, struct arena *a, struct model_task_filter filter,
    struct model_page page, struct model_viewer viewer, struct model_tasks *ret, struct err *e)
{
#define TAIL                                                                                       \
	" AND t.id < $after AND " ROW_SEES("t", "project_id") " ORDER BY t.id DESC LIMIT $limit"
	struct store_stmt *q;
	bool all;

	if (row_sees_all(db, viewer, &all, e) < 0)
		return -1;
	/* One statement for each, so that each has its index. */
	if (filter.project_id && filter.by_state)
		q = store_prepare(
		    db, TASK_COLUMNS "t.project_id = $project AND t.state = $state" TAIL, e);
	else if (filter.project_id)
		q = store_prepare(db, TASK_COLUMNS "t.project_id = $project" TAIL, e);
	else if (filter.by_state)
		q = store_prepare(db, TASK_COLUMNS "t.state = $state" TAIL, e);
	else if (!all)
		q = store_prepare(db, TASK_COLUMNS "t.project_id IN " ROW_GRANTED TAIL, e);
	else
		q = store_prepare(db, TASK_COLUMNS "true" TAIL, e);
#undef TAIL
	if (!q)
		return -1;
	if (filter.project_id)
		store_bind_i64(q, "$project", filter.project_id);
	if (filter.by_state)
		store_bind_text(q, "$state", str_c(model_task_state_name(filter.state)));
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	return list_run(q, a, row_limit(page.limit), ret, e);
}

int model_task_counts(struct store_db *db, int64_t ret[MODEL_TASK_STATE_COUNT], struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT state, count(*) FROM task GROUP BY state", e);
	struct row r = {.q = q};
	int rc;

	if (!q)
		return -1;
	for (int i = 0; i < MODEL_TASK_STATE_COUNT; i++)
		ret[i] = 0;
	while ((rc = store_step(q, e)) > 0)
		ret[row_enum(&r, 0, state_names, MODEL_TASK_STATE_COUNT)] = row_i64(&r, 1);
	return rc;
}

int model_task_count_of_archive(struct store_db *db, int64_t project_id, int64_t but_id,
    struct str archive, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT count(*) FROM task WHERE state IN ('waiting', 'running') AND project_id = "
	    "$project AND id <> $but AND input LIKE '%\"archive\":\"' || $archive || '\"%'",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$but", but_id);
	store_bind_text(q, "$archive", archive);
	return row_number(q, ret, e) > 0 ? 0 : -1;
}

int model_task_prune(
    struct store_db *db, int64_t before_ms, uint32_t limit, int64_t *ret_count, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM task WHERE id IN (SELECT id FROM task WHERE finished_ms > 0 AND "
	    "finished_ms < $before AND has_actions = 0"
	    " ORDER BY finished_ms LIMIT $limit)",
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
