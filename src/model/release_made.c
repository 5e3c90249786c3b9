#include "model/release_made.h"

int model_release_describe(struct store_db *db, const struct model_release *r, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE release SET commit_id = $commit, ref = $ref, subject = $subject, author = "
	    "$author "
	    "WHERE project_id = $project AND number = $number AND state = 'building'",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$commit", r->commit.p ? r->commit : STR(""));
	store_bind_text(q, "$ref", r->ref.p ? r->ref : STR(""));
	store_bind_text(q, "$subject", r->subject.p ? r->subject : STR(""));
	store_bind_text(q, "$author", r->author.p ? r->author : STR(""));
	store_bind_i64(q, "$project", r->project_id);
	store_bind_i64(q, "$number", r->number);
	return store_exec(q, e) != 0 ? -1 : store_changes(db) > 0;
}

int model_release_discard(struct store_db *db, int64_t project_id, int64_t number, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM release WHERE project_id = $project AND number = $number AND "
	    "state = 'building'",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$number", number);
	return store_exec(q, e) != 0 ? -1 : store_changes(db) > 0;
}

int model_release_take_in(
    struct store_db *db, const struct model_release *r, bool gone, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO release(project_id, number, state, commit_id, ref, subject, author, "
	    "env_version, plan, migrated, size_bytes, created_ms, task_id, attempt) VALUES "
	    "($project, $number, 'building', $commit, $ref, $subject, $author, 0, $plan, "
	    "$migrated, $size, $created, $task, $attempt) ON CONFLICT(project_id, number) DO "
	    "UPDATE SET state = 'building', task_id = $task, attempt = $attempt, env_version = 0 "
	    "WHERE release.state <> 'sealed' OR $gone = 1",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", r->project_id);
	store_bind_i64(q, "$number", r->number);
	store_bind_text(q, "$commit", r->commit.p ? r->commit : STR(""));
	store_bind_text(q, "$ref", r->ref.p ? r->ref : STR(""));
	store_bind_text(q, "$subject", r->subject.p ? r->subject : STR(""));
	store_bind_text(q, "$author", r->author.p ? r->author : STR(""));
	store_bind_text(q, "$plan", r->plan.n ? r->plan : STR("{}"));
	store_bind_i64(q, "$migrated", r->migrated);
	store_bind_i64(q, "$size", r->size_bytes);
	store_bind_i64(q, "$created", r->created_ms);
	store_bind_i64(q, "$task", r->task_id);
	store_bind_i64(q, "$attempt", r->attempt);
	store_bind_i64(q, "$gone", gone);
	return store_exec(q, e) != 0 ? -1 : store_changes(db) > 0;
}

int model_release_take_env(struct store_db *db, int64_t project_id, int64_t number, int64_t task_id,
    int64_t env_version, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE release SET env_version = $version WHERE project_id = $project AND number = "
	    "$number AND task_id = $task",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$version", env_version);
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$number", number);
	store_bind_i64(q, "$task", task_id);
	return store_exec(q, e) != 0 ? -1 : store_changes(db) > 0;
}

int model_release_migrated_between(struct store_db *db, int64_t project_id, int64_t from,
    int64_t to, int64_t *ret_number, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT coalesce(max(number), 0) FROM release WHERE project_id = $project AND "
	    "number > $from AND number <= $to AND migrated = 1",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$from", from);
	store_bind_i64(q, "$to", to);
	int rc = store_step(q, e);
	if (rc == 1)
		*ret_number = store_col_i64(q, 0);
	store_reset(q);
	return rc < 0 ? -1 : *ret_number > 0;
}

int model_release_made_by(struct store_db *db, int64_t project_id, int64_t task_id, int64_t attempt,
    int64_t *ret_number, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT number FROM release WHERE project_id = $project AND task_id = $task AND "
	    "attempt = $attempt",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$task", task_id);
	store_bind_i64(q, "$attempt", attempt);
	int rc = store_step(q, e);
	if (rc == 1)
		*ret_number = store_col_i64(q, 0);
	store_reset(q);
	return rc;
}
