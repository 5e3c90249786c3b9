/* Hooks. */
#include "model/hook.h"

#include "model/event.h"
#include "model/row.h"

#define HOOK_KEYS_MAX 16384u
#define HOOK_KEYS_AMONG "65536"

/* A number that no hook had before: what the journal holds names its hook by number. */
static int take_number(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO meta(key, value) SELECT 'hook_last', 1 + coalesce(max(id), 0) FROM hook"
	    " WHERE true ON CONFLICT (key) DO UPDATE SET value = CASE WHEN meta.value >= "
	    "excluded.value THEN meta.value + 1 ELSE excluded.value END RETURNING value",
	    e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}

int model_hook_add(struct store_db *db, const struct model_hook *h, int64_t *ret_id, struct err *e)
{
	int64_t id = 0;
	if (take_number(db, &id, e) < 0)
		return -1;
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO hook(id, name, project_id, sender, secret, branch, settings, actions, "
	    "created_ms)"
	    " VALUES ($id, $name, $project, $sender, $secret, $branch, coalesce($settings, '{}'), "
	    "$actions, $now) "
	    "ON CONFLICT DO NOTHING "
	    "RETURNING id",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_text(q, "$name", h->name);
	store_bind_i64(q, "$project", h->project_id);
	row_bind_text(q, "$sender", h->sender);
	store_bind_blob(q, "$secret", h->secret);
	row_bind_text(q, "$branch", h->branch);
	store_bind_text(q, "$settings", h->settings);
	row_bind_text(q, "$actions", h->actions);
	store_bind_i64(q, "$now", h->created_ms);
	rc = row_number(q, ret_id, e);
	if (rc == 0) {
		err_set(e, ERR_CONFLICT, "cannot create hook '%.*s': the name is taken",
		    STR_ARG(h->name));
		return err_hint(e, "choose another name");
	}
	return rc < 0 ? -1 : 0;
}

#define HOOK_COLUMNS(secret, old)                                                                  \
	"SELECT h.id, h.project_id, h.name, p.name, h.sender, " secret                             \
	", h.branch, h.created_ms, h.paused, p.source_ref, h.settings, " old                       \
	", h.old_until_ms, h.actions"                                                              \
	" FROM hook h JOIN project p ON p.id = h.project_id WHERE "

static void fill_hook(struct row *r, void *ret)
{
	*(struct model_hook *)ret = (struct model_hook){
	    .id = row_i64(r, 0),
	    .project_id = row_i64(r, 1),
	    .name = row_str(r, 2),
	    .project = row_str(r, 3),
	    .sender = row_str(r, 4),
	    .secret = row_str_null(r, 5),
	    .branch = row_str(r, 6),
	    .created_ms = row_i64(r, 7),
	    .paused = row_bool(r, 8),
	    .project_branch = row_str(r, 9),
	    .settings = row_str(r, 10),
	    .old_secret = row_str_null(r, 11),
	    .old_until_ms = row_i64(r, 12),
	    .actions = row_str(r, 13),
	};
}

int model_hook_get(struct store_db *db, struct arena *a, struct str name,
    struct model_viewer viewer, struct model_hook *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, HOOK_COLUMNS("NULL", "NULL") "h.name = $name AND " ROW_SEES("h", "project_id"), e);

	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_hook, ret, e);
}

int model_hook_find(
    struct store_db *db, struct arena *a, struct str name, struct model_hook *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, HOOK_COLUMNS("h.secret", "h.old_secret") "h.name = $name", e);

	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	return row_get(q, a, fill_hook, ret, e);
}

int model_hook_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_hooks *ret, struct err *e)
{
	struct store_stmt *q;
	struct row_list l;

	/* Two statements, so that each has the index it needs. */
	if (project_id)
		q = store_prepare(db,
		    HOOK_COLUMNS("NULL",
			"NULL") "h.project_id = $project AND h.id < $after AND " ROW_SEES("h",
			"project_id") " ORDER BY h.id DESC LIMIT $limit",
		    e);
	else
		q = store_prepare(db,
		    HOOK_COLUMNS("NULL", "NULL") "h.id < $after AND " ROW_SEES(
			"h", "project_id") " ORDER BY h.id DESC LIMIT $limit",
		    e);
	if (!q)
		return -1;
	if (project_id)
		store_bind_i64(q, "$project", project_id);
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_hook), row_limit(page.limit), fill_hook, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

static void fill_name(struct row *r, void *ret)
{
	*(struct model_hook *)ret = (struct model_hook){
	    .id = row_i64(r, 0), .project_id = row_i64(r, 1), .name = row_str(r, 2)};
}

int model_hook_names(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_hooks *ret, struct err *e)
{
#define NAMES "SELECT id, project_id, name FROM hook WHERE "
#define AFTER "id > $after ORDER BY id LIMIT $limit"
	struct store_stmt *q = project_id
				   ? store_prepare(db, NAMES "project_id = $project AND " AFTER, e)
				   : store_prepare(db, NAMES AFTER, e);
#undef NAMES
#undef AFTER
	struct row_list l;

	if (!q)
		return -1;
	if (project_id)
		store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$after", page.after);
	store_bind_i64(q, "$limit", (int64_t)row_limit(page.limit) + 1);
	if (row_list(q, a, sizeof(struct model_hook), row_limit(page.limit), fill_name, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

int model_hook_update(struct store_db *db, int64_t id, struct str branch, struct str settings,
    struct str actions, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE hook SET branch = coalesce($branch, branch),"
	    " settings = coalesce($settings, settings), actions = coalesce($actions, actions)"
	    " WHERE id = $id",
	    e);

	if (!q)
		return -1;
	store_bind_text(q, "$branch", branch);
	store_bind_text(q, "$settings", settings);
	store_bind_text(q, "$actions", actions);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_hook_rotate(
    struct store_db *db, int64_t id, struct str sealed_secret, int64_t old_until_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE hook SET old_secret = CASE WHEN $until > 0 THEN secret END,"
	    " old_until_ms = $until, secret = $secret WHERE id = $id",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$until", old_until_ms);
	store_bind_blob(q, "$secret", sealed_secret);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_hook_set_paused(struct store_db *db, int64_t id, bool paused, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE hook SET paused = $paused WHERE id = $id", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$paused", paused);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_hook_remove(struct store_db *db, int64_t id, struct err *e)
{
	int more = model_event_forget(db, 0, id, e);
	if (more > 0) {
		err_set(e, ERR_UNAVAILABLE, "the hook has too many events to go at once");
		return err_hint(e, "pause it, so that no more come, and try again");
	}
	if (more < 0)
		return -1;
	struct store_stmt *q = store_prepare(db, "DELETE FROM hook WHERE id = $id", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

static void fill_key(struct row *r, void *ret)
{
	*(struct model_hook_key *)ret =
	    (struct model_hook_key){.key = row_str(r, 0), .at_ms = row_i64(r, 1)};
}

int model_hook_keys_since(struct store_db *db, struct arena *a, int64_t since_ms,
    struct model_hook_keys *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT delivery_key, at_ms FROM (SELECT delivery_key, received_ms AS at_ms FROM"
	    " (SELECT delivery_key, received_ms FROM event"
	    " WHERE received_ms > $since ORDER BY received_ms DESC LIMIT " HOOK_KEYS_AMONG
	    ") AS late WHERE delivery_key LIKE 'body-%'"
	    " UNION ALL SELECT delivery_key, seen_ms FROM body_seen WHERE seen_ms > $since"
	    ") AS seen ORDER BY at_ms DESC",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$since", since_ms);
	if (row_list(q, a, sizeof(struct model_hook_key), HOOK_KEYS_MAX, fill_key, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_hook_key_seen(
    struct store_db *db, struct str key, int64_t seen_ms, int64_t before_ms, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "DELETE FROM body_seen WHERE seen_ms <= $before", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$before", before_ms);
	if (store_exec(q, e) < 0)
		return -1;
	q = store_prepare(db,
	    "INSERT INTO body_seen(delivery_key, seen_ms) VALUES ($key, $seen)"
	    " ON CONFLICT (delivery_key) DO UPDATE SET seen_ms = $seen",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$key", key);
	store_bind_i64(q, "$seen", seen_ms);
	return store_exec(q, e);
}
