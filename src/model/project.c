/* Projects: rows, secrets, ports, scale; and taking one away. */
#include "model/project.h"

#include "base/limits.h"
#include "model/event.h"
#include "model/row.h"

#include <assert.h>

static const char *const source_names[MODEL_SOURCE_COUNT] = {"git", "path", "archive"};

const char *model_source_name(enum model_source s)
{
	assert(s < MODEL_SOURCE_COUNT);
	return source_names[s];
}

int model_source_parse(struct str s, enum model_source *ret, struct err *e)
{
	int i;

	if (row_parse(s, source_names, MODEL_SOURCE_COUNT, "source", &i, e) < 0)
		return -1;
	*ret = (enum model_source)i;
	return 0;
}

/* The lowest free block; none left is no error, only kinds that need a port mind. */
static int ports_take(struct store_db *db, int64_t project_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO port_block(block, project_id)"
	    " SELECT n, $project FROM (SELECT 0 AS n UNION ALL SELECT block + 1 FROM port_block) "
	    "AS free"
	    " WHERE n < $blocks AND NOT EXISTS (SELECT 1 FROM port_block WHERE block = n) ORDER BY "
	    "n LIMIT 1",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$blocks", LIMIT_PORT_BLOCKS);
	return store_exec(q, e);
}

/* A number that no project had before: archives, records and tasks name theirs by number, and outlive its row. */
static int take_number(struct store_db *db, int64_t above, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO meta(key, value) SELECT 'project_last', 1 + max(n) FROM"
	    " (SELECT $above AS n UNION ALL SELECT coalesce(max(id), 0) FROM project"
	    " UNION ALL SELECT coalesce(max(project_id), 0) FROM audit WHERE project_id IS NOT NULL"
	    ") AS used WHERE true ON CONFLICT (key) DO UPDATE SET value = CASE WHEN meta.value >= "
	    "excluded.value THEN meta.value + 1 ELSE excluded.value END RETURNING value",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$above", above);
	return row_number(q, ret, e) > 0 ? 0 : -1;
}

int model_project_add(
    struct store_db *db, const struct model_project *p, int64_t *ret_id, struct err *e)
{
	int64_t id = 0;
	if (take_number(db, p->id, &id, e) < 0)
		return -1;
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO project(id, name, kind, source_type, source_url, source_ref, root, "
	    "user_no, "
	    "desired_running,"
	    " limits, settings, known_hosts, sites, created_ms) VALUES ($id, $name, $kind, "
	    "$source, $url, "
	    "$ref, $root, $user,"
	    " $running, $limits, $settings, $known, $sites, $now) ON CONFLICT DO NOTHING RETURNING "
	    "id",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_text(q, "$name", p->name);
	row_bind_text(q, "$kind", p->kind);
	store_bind_text(q, "$source", str_c(model_source_name(p->source)));
	row_bind_text(q, "$url", p->source_url);
	row_bind_text(q, "$ref", p->source_ref);
	row_bind_text(q, "$root", p->root);
	store_bind_i64(q, "$user", p->user_no);
	store_bind_i64(q, "$running", p->desired_running);
	store_bind_text(q, "$limits", p->limits.p ? p->limits : STR("{}"));
	store_bind_text(q, "$settings", p->settings.p ? p->settings : STR("{}"));
	row_bind_text(q, "$known", p->known_hosts);
	row_bind_text(q, "$sites", p->sites);
	store_bind_i64(q, "$now", p->created_ms);
	rc = row_number(q, ret_id, e);
	if (rc == 0) {
		err_set(e, ERR_CONFLICT, "cannot create project '%.*s': the name is taken",
		    STR_ARG(p->name));
		return err_hint(e, "choose another name");
	}
	return rc < 0 ? -1 : ports_take(db, *ret_id, e);
}

#define PROJECT_COLUMNS                                                                            \
	"SELECT p.id, p.name, p.kind, p.source_type, p.source_url, p.source_ref, p.root, "         \
	"p.user_no,"                                                                               \
	" p.desired_running, p.limits, p.settings, p.deploy_key, p.known_hosts, p.https_token IS " \
	"NOT NULL,"                                                                                \
	" coalesce(b.block, -1), coalesce(l.number, 0), coalesce(l.previous, 0), p.version, "      \
	"p.created_ms, p.poll_ms, p.sites"                                                                             \
	" FROM project p LEFT JOIN port_block b ON b.project_id = p.id LEFT JOIN live l ON "       \
	"l.project_id = p.id"                                                                      \
	" WHERE p.removed_ms = 0 AND " ROW_SEES("p", "id")

static void fill_project(struct row *r, void *ret)
{
	struct model_project *p = ret;
	int64_t block = row_i64(r, 14);

	*p = (struct model_project){
	    .id = row_i64(r, 0),
	    .name = row_str(r, 1),
	    .kind = row_str(r, 2),
	    .source = (enum model_source)row_enum(r, 3, source_names, MODEL_SOURCE_COUNT),
	    .source_url = row_str(r, 4),
	    .source_ref = row_str(r, 5),
	    .root = row_str(r, 6),
	    .user_no = row_i64(r, 7),
	    .desired_running = row_bool(r, 8),
	    .limits = row_str(r, 9),
	    .settings = row_str(r, 10),
	    .deploy_key = row_str(r, 11),
	    .known_hosts = row_str(r, 12),
	    .has_https_token = row_bool(r, 13),
	    .first_port = block < 0 ? 0 : LIMIT_PORT_FIRST + LIMIT_PORTS_PER_PROJECT * block,
	    .live = row_i64(r, 15),
	    .previous = row_i64(r, 16),
	    .version = row_i64(r, 17),
	    .created_ms = row_i64(r, 18),
	    .poll_ms = row_i64(r, 19),
	    .sites = row_str(r, 20),
	};
}

int model_project_get(struct store_db *db, struct arena *a, struct str name,
    struct model_viewer viewer, struct model_project *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, PROJECT_COLUMNS " AND p.name = $name", e);

	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_project, ret, e);
}

int model_project_get_id(struct store_db *db, struct arena *a, int64_t id,
    struct model_viewer viewer, struct model_project *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, PROJECT_COLUMNS " AND p.id = $id", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_project, ret, e);
}

int model_project_list(struct store_db *db, struct arena *a, struct str after, uint32_t limit,
    struct model_viewer viewer, struct model_projects *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, PROJECT_COLUMNS " AND p.name > $after ORDER BY p.name LIMIT $limit", e);
	struct row_list l;

	if (!q)
		return -1;
	row_bind_text(q, "$after", after);
	store_bind_i64(q, "$limit", (int64_t)row_limit(limit) + 1);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_project), row_limit(limit), fill_project, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_project_count(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT count(*) FROM project WHERE removed_ms = 0", e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}

int model_project_update(struct store_db *db, int64_t id, int64_t if_version,
    const struct model_project_change *c, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET kind = coalesce($kind, kind), source_url = coalesce($url, "
	    "source_url),"
	    " source_ref = coalesce($ref, source_ref), root = coalesce($root, root),"
	    " limits = coalesce($limits, limits), settings = coalesce($settings, settings),"
	    " known_hosts = coalesce($known, known_hosts), sites = coalesce($sites, sites), source_type = coalesce($source, "
	    "source_type),"
	    " version = version + 1"
	    " WHERE id = $id AND removed_ms = 0 AND ($version = 0 OR version = $version)",
	    e);

	if (!q)
		return -1;
	store_bind_text(q, "$kind", c->kind);
	store_bind_text(q, "$url", c->source_url);
	store_bind_text(q, "$ref", c->source_ref);
	store_bind_text(q, "$root", c->root);
	store_bind_text(q, "$limits", c->limits);
	store_bind_text(q, "$settings", c->settings);
	store_bind_text(q, "$known", c->known_hosts);
	store_bind_text(q, "$sites", c->sites);
	store_bind_text(
	    q, "$source", c->set_source ? str_c(model_source_name(c->source)) : STR_NONE);
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$version", if_version);
	return row_change(db, q, e);
}

/* 0, or ERR_NOT_FOUND. */
static int must_exist(int rc, struct err *e)
{
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such project");
	return rc < 0 ? -1 : 0;
}

int model_project_set_desired(struct store_db *db, int64_t id, bool running, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET desired_running = $running WHERE id = $id AND removed_ms = 0", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$running", running);
	store_bind_i64(q, "$id", id);
	return must_exist(row_change(db, q, e), e);
}

int model_project_set_user_no(struct store_db *db, int64_t id, int64_t user_no, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "UPDATE project SET user_no = $user WHERE id = $id AND removed_ms = 0", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$user", user_no);
	store_bind_i64(q, "$id", id);
	return must_exist(row_change(db, q, e), e);
}

static void fill_secret(struct row *r, void *ret)
{
	*(struct str *)ret = row_str_null(r, 0);
}

int model_project_secret_get(struct store_db *db, struct arena *a, int64_t id,
    enum model_project_secret which, struct str *ret_sealed, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT sealed FROM (SELECT CASE WHEN $key = 1 THEN deploy_key_sealed ELSE https_token "
	    "END AS sealed"
	    " FROM project WHERE id = $id AND removed_ms = 0) AS one WHERE sealed IS NOT NULL",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$key", which == MODEL_PROJECT_DEPLOY_KEY);
	return row_get(q, a, fill_secret, ret_sealed, e);
}

int model_project_secret_set(struct store_db *db, int64_t id, enum model_project_secret which,
    struct str sealed, struct str public_half, struct err *e)
{
	struct store_stmt *q;

	if (which == MODEL_PROJECT_DEPLOY_KEY)
		q = store_prepare(db,
		    "UPDATE project SET deploy_key_sealed = $sealed, deploy_key = $public, version "
		    "= version + 1"
		    " WHERE id = $id AND removed_ms = 0",
		    e);
	else
		q = store_prepare(db,
		    "UPDATE project SET https_token = $sealed, version = version + 1"
		    " WHERE id = $id AND removed_ms = 0",
		    e);
	if (!q)
		return -1;
	if (which == MODEL_PROJECT_DEPLOY_KEY)
		row_bind_text(q, "$public", public_half);
	store_bind_blob(q, "$sealed", sealed);
	store_bind_i64(q, "$id", id);
	return must_exist(row_change(db, q, e), e);
}

static int run_for(struct store_db *db, const char *sql, int64_t id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", id);
	return store_exec(q, e);
}

int model_project_remove(struct store_db *db, int64_t id, int64_t now_ms, struct err *e)
{
	static const char *const parts[] = {
	    "DELETE FROM hook WHERE project_id = $project",
	    "DELETE FROM channel WHERE project_id = $project",
	    "DELETE FROM env WHERE project_id = $project",
	    "DELETE FROM certificate WHERE project_id = $project",
	    "DELETE FROM service WHERE project_id = $project",
	    "DELETE FROM device_grant WHERE project_id = $project",
	    "DELETE FROM domain WHERE project_id = $project",
	    "DELETE FROM scale WHERE project_id = $project",
	    "DELETE FROM live WHERE project_id = $project",
	    "DELETE FROM site_certificate WHERE project_id = $project",
	    "DELETE FROM release WHERE project_id = $project",
	    "DELETE FROM branch_head WHERE project_id = $project",
	    "DELETE FROM grant_role WHERE project_id = $project",
	    "DELETE FROM port_block WHERE project_id = $project",
	};
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET removed_ms = $now, source_url = '', limits = '{}', settings = '{}',"
	    " https_token = NULL, deploy_key = '', deploy_key_sealed = NULL, known_hosts = ''"
	    " WHERE id = $id AND removed_ms = 0",
	    e);
	int rc;

	if (!q)
		return -1;
	/* Events before hooks: they refer to them. */
	rc = model_event_forget(db, id, 0, e);
	if (rc > 0)
		return err_set(e, ERR_UNAVAILABLE, "the project has too many events to go at once");
	if (rc < 0)
		return -1;
	store_bind_i64(q, "$now", now_ms > 0 ? now_ms : 1);
	store_bind_i64(q, "$id", id);
	rc = row_change(db, q, e);
	for (size_t i = 0; rc > 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (run_for(db, parts[i], id, e) < 0)
			return -1;
	return rc;
}

int model_project_purge(struct store_db *db, int64_t removed_before_ms, struct err *e)
{
	static const char *const parts[] = {
	    "DELETE FROM task WHERE project_id IN"
	    " (SELECT id FROM project WHERE removed_ms > 0 AND removed_ms < $before)",
	    "DELETE FROM project WHERE removed_ms > 0 AND removed_ms < $before",
	};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct store_stmt *q = store_prepare(db, parts[i], e);

		if (!q)
			return -1;
		store_bind_i64(q, "$before", removed_before_ms);
		if (store_exec(q, e) < 0)
			return -1;
	}
	return 0;
}

int model_scale_set(
    struct store_db *db, int64_t project_id, struct str process, int64_t count, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO scale(project_id, process, count) VALUES ($project, $process, $count)"
	    " ON CONFLICT (project_id, process) DO UPDATE SET count = $count",
	    e);

	if (count < 0 || count > (int64_t)LIMIT_INSTANCES)
		return err_set(e, ERR_INVALID, "cannot scale to %lld instances: at most %u",
		    (long long)count, LIMIT_INSTANCES);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$process", process);
	store_bind_i64(q, "$count", count);
	return store_exec(q, e);
}

static void fill_scale(struct row *r, void *ret)
{
	*(struct model_scale *)ret =
	    (struct model_scale){.process = row_str(r, 0), .count = row_i64(r, 1)};
}

int model_scale_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_scales *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT process, count FROM scale WHERE project_id = $project AND " ROW_SEES(
		"scale", "project_id") " ORDER BY process",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_scale), 0, fill_scale, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}
