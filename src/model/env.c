/* The environment of a project, by versions. */
#include "model/env.h"

#include "base/limits.h"
#include "model/row.h"

int model_env_version(struct store_db *db, int64_t project_id, int64_t *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT env_version FROM project WHERE id = $project", e);

	*ret = 0;
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	return row_number(q, ret, e) < 0 ? -1 : 0;
}

static int next_version(struct store_db *db, int64_t project_id, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET env_version = env_version + 1 WHERE id = $project AND removed_ms = "
	    "0"
	    " RETURNING env_version",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	rc = row_number(q, ret, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such project");
	return rc < 0 ? -1 : 0;
}

static int put(struct store_db *db, int64_t project_id, int64_t version,
    const struct model_env_change *c, int64_t now_ms, struct err *e)
{
	/* The same key twice in one change: the later one holds. */
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO env(project_id, key, version, sealed, secret, build, deleted, set_ms)"
	    " VALUES ($project, $key, $version, $sealed, $secret, $build, $deleted, $now)"
	    " ON CONFLICT (project_id, key, version) DO UPDATE SET sealed = $sealed, secret = "
	    "$secret,"
	    " build = $build, deleted = $deleted",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$key", c->key);
	store_bind_i64(q, "$version", version);
	store_bind_blob(q, "$sealed", c->sealed);
	store_bind_i64(q, "$secret", c->secret);
	store_bind_i64(q, "$build", c->build);
	store_bind_i64(q, "$deleted", c->sealed.p == NULL);
	store_bind_i64(q, "$now", now_ms);
	return store_exec(q, e);
}

/* What holds at $at (0: now); alias e. */
#define HOLDS                                                                                      \
	" e.project_id = $project AND e.deleted = 0 AND e.version = (SELECT max(n.version) FROM "  \
	"env n"                                                                                    \
	" WHERE n.project_id = e.project_id AND n.key = e.key AND ($at = 0 OR n.version <= $at))"

static int count_now(struct store_db *db, int64_t project_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT count(*) FROM env e WHERE" HOLDS, e);
	int64_t n;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$at", 0);
	if (row_number(q, &n, e) < 0)
		return -1;
	if (n > (int64_t)LIMIT_ENV_COUNT)
		return err_set(
		    e, ERR_TOO_LARGE, "cannot set more than %u variables", LIMIT_ENV_COUNT);
	return 0;
}

int model_env_set(struct store_db *db, int64_t project_id, const struct model_env_change *c,
    size_t count, int64_t now_ms, int64_t *ret_version, struct err *e)
{
	if (count == 0)
		return model_env_version(db, project_id, ret_version, e);
	if (next_version(db, project_id, ret_version, e) < 0)
		return -1;
	for (size_t i = 0; i < count; i++)
		if (put(db, project_id, *ret_version, &c[i], now_ms, e) < 0)
			return -1;
	return count_now(db, project_id, e);
}

static void fill_env(struct row *r, void *ret)
{
	*(struct model_env *)ret = (struct model_env){
	    .key = row_str(r, 0),
	    .version = row_i64(r, 1),
	    .sealed = row_str(r, 2),
	    .secret = row_bool(r, 3),
	    .build = row_bool(r, 4),
	    .set_ms = row_i64(r, 5),
	};
}

#define ENV_COLUMNS                                                                                \
	"SELECT e.key, e.version, e.sealed, e.secret, e.build, e.set_ms FROM env e WHERE" HOLDS    \
	" AND "

int model_env_list(struct store_db *db, struct arena *a, int64_t project_id, int64_t at_version,
    struct model_viewer viewer, struct model_envs *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, ENV_COLUMNS ROW_SEES("e", "project_id") " ORDER BY e.key", e);
	struct row_list l;

	*ret = (struct model_envs){0};
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$at", at_version);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_env), 0, fill_env, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	q = store_prepare(db,
	    "SELECT env_version FROM project WHERE id = $project AND " ROW_SEES("project", "id"),
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_viewer(q, viewer);
	if (row_number(q, &ret->version, e) < 0)
		return -1;
	if (at_version > 0 && at_version < ret->version)
		ret->version = at_version;
	return 0;
}

int model_env_get(struct store_db *db, struct arena *a, int64_t project_id, struct str key,
    struct model_viewer viewer, struct model_env *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, ENV_COLUMNS "e.key = $key AND " ROW_SEES("e", "project_id"), e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$at", 0);
	store_bind_text(q, "$key", key);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_env, ret, e);
}

int model_env_prune(struct store_db *db, int64_t project_id, struct err *e)
{
	/* A row is needed when it is the newest of its key, or the newest not above the version of
	 * an unpruned release: when some such release lies between it and the next row of its key.
	 */
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM env WHERE project_id = $project"
	    " AND EXISTS (SELECT 1 FROM env n WHERE n.project_id = env.project_id AND n.key = "
	    "env.key"
	    " AND n.version > env.version)"
	    " AND NOT EXISTS (SELECT 1 FROM release r WHERE r.project_id = env.project_id"
	    " AND r.state IN ('building', 'sealed') AND r.env_version >= env.version"
	    " AND r.env_version < (SELECT min(n.version) FROM env n WHERE n.project_id = "
	    "env.project_id"
	    " AND n.key = env.key AND n.version > env.version))",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	return store_exec(q, e);
}
