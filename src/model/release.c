/* Releases, and which one is live. */
#include "model/release.h"

#include "model/row.h"

#include <assert.h>

static const char *const state_names[MODEL_RELEASE_STATE_COUNT] = {
    "building", "sealed", "failed", "pruned"};

const char *model_release_state_name(enum model_release_state s)
{
	assert(s < MODEL_RELEASE_STATE_COUNT);
	return state_names[s];
}

static int find_made(
    struct store_db *db, const struct model_release *r, int64_t *ret_number, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT number FROM release WHERE task_id = $task AND attempt = $attempt AND "
	    "project_id = $project"
	    " AND state IN ('building', 'sealed')",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$task", r->task_id);
	store_bind_i64(q, "$attempt", r->attempt);
	store_bind_i64(q, "$project", r->project_id);
	return row_number(q, ret_number, e);
}

int model_release_begin(
    struct store_db *db, const struct model_release *r, int64_t *ret_number, struct err *e)
{
	struct store_stmt *q;
	int rc = find_made(db, r, ret_number, e);

	if (rc != 0)
		return rc < 0 ? -1 : 0;
	q = store_prepare(db,
	    "INSERT INTO release(project_id, number, state, commit_id, ref, subject, author, "
	    "env_version, task_id,"
	    " attempt, created_ms) SELECT $project, coalesce(max(number), 0) + 1, 'building', "
	    "$commit, $ref, $subject,"
	    " $author, $env, $task, $attempt, $now FROM release WHERE project_id = $project "
	    "RETURNING number",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", r->project_id);
	row_bind_text(q, "$commit", r->commit);
	row_bind_text(q, "$ref", r->ref);
	row_bind_text(q, "$subject", r->subject);
	row_bind_text(q, "$author", r->author);
	store_bind_i64(q, "$env", r->env_version);
	store_bind_i64(q, "$task", r->task_id);
	store_bind_i64(q, "$attempt", r->attempt);
	store_bind_i64(q, "$now", r->created_ms);
	return row_number(q, ret_number, e) > 0 ? 0 : -1;
}

static struct store_stmt *change_of(
    struct store_db *db, const char *sql, int64_t project_id, int64_t number, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);

	if (q) {
		store_bind_i64(q, "$project", project_id);
		store_bind_i64(q, "$number", number);
	}
	return q;
}

#define THE_ONE " WHERE project_id = $project AND number = $number"
#define NOT_LIVE                                                                                   \
	" AND NOT EXISTS (SELECT 1 FROM live l WHERE l.project_id = $project AND l.number = "      \
	"$number)"

int model_release_set_plan(
    struct store_db *db, int64_t project_id, int64_t number, struct str plan, struct err *e)
{
	struct store_stmt *q =
	    change_of(db, "UPDATE release SET plan = $plan" THE_ONE " AND state = 'building'",
		project_id, number, e);

	if (!q)
		return -1;
	store_bind_text(q, "$plan", plan);
	return row_change(db, q, e);
}

int model_release_seal(struct store_db *db, int64_t project_id, int64_t number, int64_t size_bytes,
    int64_t now_ms, struct err *e)
{
	/* Sealed again (a step that was repeated) is fine and keeps the first time. */
	struct store_stmt *q = change_of(db,
	    "UPDATE release SET sealed_ms = CASE WHEN state = 'sealed' THEN sealed_ms ELSE $now "
	    "END,"
	    " state = 'sealed', size_bytes = $size" THE_ONE " AND state IN ('building', 'sealed')",
	    project_id, number, e);

	if (!q)
		return -1;
	store_bind_i64(q, "$size", size_bytes);
	store_bind_i64(q, "$now", now_ms);
	return row_change(db, q, e);
}

int model_release_fail(struct store_db *db, int64_t project_id, int64_t number, struct err *e)
{
	struct store_stmt *q = change_of(db,
	    "UPDATE release SET state = 'failed'" THE_ONE
	    " AND state IN ('building', 'sealed')" NOT_LIVE,
	    project_id, number, e);

	return q ? row_change(db, q, e) : -1;
}

int model_release_set_migrated(
    struct store_db *db, int64_t project_id, int64_t number, struct err *e)
{
	struct store_stmt *q =
	    change_of(db, "UPDATE release SET migrated = 1" THE_ONE " AND state <> 'pruned'",
		project_id, number, e);

	return q ? row_change(db, q, e) : -1;
}

int model_release_prune(struct store_db *db, int64_t project_id, int64_t number, struct err *e)
{
	struct store_stmt *q = change_of(db,
	    "UPDATE release SET state = 'pruned'" THE_ONE " AND state IN ('sealed', 'failed')"
	    " AND NOT EXISTS (SELECT 1 FROM live l WHERE l.project_id = $project AND $number IN "
	    "(l.number, l.previous))",
	    project_id, number, e);

	return q ? row_change(db, q, e) : -1;
}

#define RELEASE_COLUMNS                                                                            \
	"SELECT r.project_id, r.number, r.state, r.commit_id, r.ref, r.subject, r.author, "        \
	"r.env_version,"                                                                           \
	" r.plan, r.migrated, r.size_bytes, r.created_ms, r.sealed_ms, r.task_id, r.attempt,"      \
	" coalesce(l.number = r.number, 0), coalesce(l.previous = r.number, 0)"                    \
	" FROM release r LEFT JOIN live l ON l.project_id = r.project_id WHERE r.project_id = "    \
	"$project"

static void fill_release(struct row *r, void *ret)
{
	*(struct model_release *)ret = (struct model_release){
	    .project_id = row_i64(r, 0),
	    .number = row_i64(r, 1),
	    .state =
		(enum model_release_state)row_enum(r, 2, state_names, MODEL_RELEASE_STATE_COUNT),
	    .commit = row_str(r, 3),
	    .ref = row_str(r, 4),
	    .subject = row_str(r, 5),
	    .author = row_str(r, 6),
	    .env_version = row_i64(r, 7),
	    .plan = row_str(r, 8),
	    .migrated = row_bool(r, 9),
	    .size_bytes = row_i64(r, 10),
	    .created_ms = row_i64(r, 11),
	    .sealed_ms = row_i64(r, 12),
	    .task_id = row_i64(r, 13),
	    .attempt = row_i64(r, 14),
	    .live = row_bool(r, 15),
	    .previous = row_bool(r, 16),
	};
}

int model_release_get(struct store_db *db, struct arena *a, int64_t project_id, int64_t number,
    struct model_viewer viewer, struct model_release *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, RELEASE_COLUMNS " AND r.number = $number AND " ROW_SEES("r", "project_id"), e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$number", number);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_release, ret, e);
}

int model_release_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_releases *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    RELEASE_COLUMNS " AND r.number < $after AND " ROW_SEES(
		"r", "project_id") " ORDER BY r.number DESC LIMIT $limit",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	if (row_list(
		q, a, sizeof(struct model_release), row_limit(page.limit), fill_release, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_release_before(struct store_db *db, struct arena *a, int64_t project_id, int64_t below,
    struct model_release *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    RELEASE_COLUMNS
	    " AND r.number < $below AND r.state = 'sealed' ORDER BY r.number DESC LIMIT 1",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$below", below);
	return row_get(q, a, fill_release, ret, e);
}

int model_release_prunable(struct store_db *db, struct arena *a, int64_t project_id, uint32_t keep,
    struct model_releases *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    RELEASE_COLUMNS
	    " AND coalesce(r.number NOT IN (l.number, l.previous), 1) AND (r.state = 'failed' OR"
	    " (r.state = 'sealed' AND $keep <= (SELECT count(*) FROM release n WHERE"
	    " n.project_id = r.project_id AND n.state = 'sealed' AND n.number > r.number)))"
	    " ORDER BY r.number",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$keep", keep);
	if (row_list(q, a, sizeof(struct model_release), MODEL_PAGE_MAX, fill_release, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_live_get(struct store_db *db, int64_t project_id, int64_t *ret_release,
    int64_t *ret_previous, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT number, previous FROM live WHERE project_id = $project", e);
	int rc;

	*ret_release = *ret_previous = 0;
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	rc = store_step(q, e);
	if (rc > 0) {
		*ret_release = store_col_i64(q, 0);
		*ret_previous = store_col_i64(q, 1);
	}
	store_reset(q);
	return rc < 0 ? -1 : *ret_release > 0;
}

int model_live_set(
    struct store_db *db, int64_t project_id, int64_t number, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO live(project_id, number, previous, at_ms) SELECT $project, $number, 0, "
	    "$now"
	    " WHERE EXISTS (SELECT 1 FROM release WHERE project_id = $project AND number = $number "
	    "AND state = 'sealed')"
	    " ON CONFLICT (project_id) DO UPDATE SET"
	    " previous = CASE WHEN live.number = $number THEN live.previous ELSE live.number END,"
	    " number = $number, at_ms = $now",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$number", number);
	store_bind_i64(q, "$now", now_ms);
	rc = row_change(db, q, e);
	if (rc == 0)
		return err_set(
		    e, ERR_NOT_FOUND, "there is no sealed release %lld", (long long)number);
	return rc < 0 ? -1 : 0;
}

int model_live_correct(struct store_db *db, int64_t project_id, int64_t number, int64_t previous,
    int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO live(project_id, number, previous, at_ms) VALUES ($project, $number, "
	    "$previous, $now)"
	    " ON CONFLICT (project_id) DO UPDATE SET number = $number, previous = $previous, at_ms "
	    "= $now",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$number", number);
	store_bind_i64(q, "$previous", previous);
	store_bind_i64(q, "$now", now_ms);
	return store_exec(q, e);
}
