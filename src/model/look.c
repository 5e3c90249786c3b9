/* When branches are looked at. */
#include "model/look.h"

#include "model/row.h"

int model_look_every(
    struct store_db *db, int64_t project_id, int64_t every_ms, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET poll_ms = $every, look_due_ms = CASE WHEN $every > 0 THEN $now"
	    " ELSE 0 END WHERE id = $id AND removed_ms = 0",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$every", every_ms);
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$id", project_id);
	return row_change(db, q, e);
}

int model_look_missed(struct store_db *db, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET look_due_ms = $now WHERE removed_ms = 0 AND source_type = 'git'"
	    " AND EXISTS (SELECT 1 FROM hook h WHERE h.project_id = project.id AND h.paused = 0"
	    " AND h.actions = '')"
	    " AND EXISTS (SELECT 1 FROM branch_head b WHERE b.project_id = project.id)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	return store_exec(q, e);
}

static void fill_look(struct row *r, void *ret)
{
	*(struct model_look *)ret = (struct model_look){
	    .project_id = row_i64(r, 0), .own_ref = row_str(r, 1), .worthwhile = row_bool(r, 2)};
}

static void fill_ref(struct row *r, void *ret)
{
	*(struct str *)ret = row_str(r, 0);
}

/* Those of its hooks; a hook's own branch counts once it was fetched. */
static int refs_of(struct store_db *db, struct arena *a, struct model_look *l, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT DISTINCT CASE WHEN h.branch <> '' THEN h.branch ELSE p.source_ref END AS ref"
	    " FROM hook h JOIN project p ON p.id = h.project_id"
	    " WHERE p.id = $id AND h.paused = 0 AND h.actions = '' AND (h.branch = ''"
	    " OR EXISTS (SELECT 1 FROM branch_head b WHERE b.project_id = p.id AND b.ref ="
	    " h.branch)) ORDER BY ref LIMIT 64",
	    e);
	struct row_list refs;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", l->project_id);
	if (row_list(q, a, sizeof(struct str), 0, fill_ref, &refs, e) < 0)
		return -1;
	l->refs = refs.n > 0 ? refs.v : &l->own_ref;
	l->ref_count = refs.n > 0 ? refs.n : 1;
	return 0;
}

/* A deploy that runs may have fetched before what is looked for came; one that waits has not. */
static int move_on(struct store_db *db, int64_t project_id, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET look_due_ms = CASE"
	    " WHEN (poll_ms = 0 OR poll_ms > $again) AND EXISTS (SELECT 1 FROM task t"
	    " WHERE t.project_id = project.id AND t.kind = 'deploy' AND t.state = 'running')"
	    " THEN $next WHEN poll_ms > 0 THEN $now + poll_ms ELSE 0 END WHERE id = $id",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$again", MODEL_LOOK_AGAIN_MS);
	store_bind_i64(q, "$next", now_ms + MODEL_LOOK_AGAIN_MS);
	store_bind_i64(q, "$id", project_id);
	return store_exec(q, e);
}

int model_look_take(struct store_db *db, struct arena *a, int64_t now_ms, uint32_t limit,
    struct model_looks *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT p.id, p.source_ref, CASE WHEN p.desired_running <> 0 AND p.source_type = 'git'"
	    " AND NOT EXISTS (SELECT 1 FROM task t WHERE t.project_id = p.id AND t.kind = 'deploy'"
	    " AND t.state = 'waiting') AND NOT EXISTS (SELECT 1 FROM task t"
	    " WHERE t.project_id = p.id AND t.kind = 'deploy' AND t.state = 'running')"
	    " THEN 1 ELSE 0 END"
	    " FROM project p WHERE p.removed_ms = 0 AND p.look_due_ms > 0 AND p.look_due_ms <= $now"
	    " ORDER BY p.look_due_ms, p.id LIMIT $limit",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$limit", limit);
	if (row_list(q, a, sizeof(struct model_look), 0, fill_look, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	for (size_t i = 0; i < ret->n; i++)
		if (refs_of(db, a, &ret->v[i], e) < 0 ||
		    move_on(db, ret->v[i].project_id, now_ms, e) < 0)
			return -1;
	return 0;
}

int model_look_set_back(struct store_db *db, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE project SET look_due_ms = $now WHERE look_due_ms > 0 AND look_due_ms > $now"
	    " AND look_due_ms > $again AND look_due_ms > $now + poll_ms",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$again", now_ms + MODEL_LOOK_AGAIN_MS);
	return store_exec(q, e);
}

int model_look_next(struct store_db *db, int64_t *ret_due_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT look_due_ms FROM project WHERE removed_ms = 0 AND look_due_ms > 0"
	    " ORDER BY look_due_ms LIMIT 1",
	    e);

	return q ? row_number(q, ret_due_ms, e) : -1;
}

int model_look_forget(struct store_db *db, int64_t project_id, struct str input, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM task WHERE project_id = $project AND kind = 'deploy' AND state = 'done'"
	    " AND head_commit = '' AND input = $input",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$input", input);
	return store_exec(q, e);
}

int model_look_ended_get(struct store_db *db, int64_t *ret_ms, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT value FROM meta WHERE key = 'life_ended_ms'", e);

	return q ? row_number(q, ret_ms, e) : -1;
}

int model_look_ended_set(struct store_db *db, int64_t ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO meta(key, value) VALUES ('life_ended_ms', $ms) ON CONFLICT (key) DO UPDATE"
	    " SET value = $ms",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$ms", ms);
	return store_exec(q, e);
}
