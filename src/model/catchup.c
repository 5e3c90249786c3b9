/* What is asked of a hook's sender. */
#include "model/catchup.h"

#include "model/row.h"

int model_catchup_set(struct store_db *db, const struct model_catchup *c, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO catch_up(hook_id, api, repository, remote_id, token, due_ms, since_ms)"
	    " SELECT $hook, $api, $repository, $remote,"
	    " coalesce($token, (SELECT token FROM catch_up WHERE hook_id = $hook)), $due, $since"
	    " WHERE $token IS NOT NULL OR EXISTS (SELECT 1 FROM catch_up WHERE hook_id = $hook)"
	    " ON CONFLICT (hook_id) DO UPDATE SET api = excluded.api,"
	    " repository = excluded.repository, remote_id = excluded.remote_id,"
	    " token = excluded.token, due_ms = excluded.due_ms, since_ms = excluded.since_ms,"
	    " gap = catch_up.gap + 1, tries = 0, refused = 0, found = 0, asked = 0, error = ''",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", c->hook_id);
	store_bind_text(q, "$api", c->api);
	store_bind_text(q, "$repository", c->repository);
	store_bind_i64(q, "$remote", c->remote_id);
	store_bind_blob(q, "$token", c->token);
	store_bind_i64(q, "$due", c->due_ms);
	store_bind_i64(q, "$since", c->since_ms);
	return row_change(db, q, e);
}

int model_catchup_remove(struct store_db *db, int64_t hook_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "DELETE FROM catch_up WHERE hook_id = $hook", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	return row_change(db, q, e);
}

#define CATCHUP_COLUMNS(token)                                                                     \
	"SELECT c.hook_id, h.project_id, h.name, h.paused, c.api, c.repository, "                  \
	"c.remote_id, " token                                                                      \
	", c.gap, c.due_ms, c.tries, c.since_ms, c.refused, c.ended_ms, c.found, c.asked,"         \
	" c.error FROM catch_up c JOIN hook h ON h.id = c.hook_id WHERE "

static void fill_catchup(struct row *r, void *ret)
{
	*(struct model_catchup *)ret = (struct model_catchup){
	    .hook_id = row_i64(r, 0),
	    .project_id = row_i64(r, 1),
	    .hook = row_str(r, 2),
	    .paused = row_bool(r, 3),
	    .api = row_str(r, 4),
	    .repository = row_str(r, 5),
	    .remote_id = row_i64(r, 6),
	    .token = row_str_null(r, 7),
	    .gap = row_i64(r, 8),
	    .due_ms = row_i64(r, 9),
	    .tries = row_i64(r, 10),
	    .since_ms = row_i64(r, 11),
	    .refused = row_bool(r, 12),
	    .ended_ms = row_i64(r, 13),
	    .found = row_i64(r, 14),
	    .asked = row_i64(r, 15),
	    .error = row_str(r, 16),
	};
}

int model_catchup_get(
    struct store_db *db, struct arena *a, int64_t hook_id, struct model_catchup *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, CATCHUP_COLUMNS("NULL") "c.hook_id = $hook", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	return row_get(q, a, fill_catchup, ret, e);
}

int model_catchup_begin(struct store_db *db, int64_t hook_id, int64_t since_ms, bool refused,
    int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE catch_up SET gap = gap + 1, due_ms = $now, tries = 0, found = 0, asked = 0, error = '',"
	    " refused = $refused, since_ms = CASE WHEN $since > 0 THEN $since ELSE since_ms END"
	    " WHERE hook_id = $hook",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	store_bind_i64(q, "$since", since_ms);
	store_bind_i64(q, "$refused", refused);
	store_bind_i64(q, "$now", now_ms);
	return row_change(db, q, e);
}

/* A clock that was set back must not make anybody wait for its old time. */
int model_catchup_begin_all(struct store_db *db, int64_t now_ms, int64_t pause_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE catch_up SET gap = gap + 1, tries = 0, found = 0, asked = 0, refused = 0, error = '',"
	    " due_ms = CASE WHEN ended_ms <= $now AND ended_ms + $pause > $now"
	    " THEN ended_ms + $pause ELSE $now END"
	    " WHERE hook_id IN (SELECT id FROM hook WHERE paused = 0)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$pause", pause_ms);
	return store_exec(q, e);
}

static int next_due(struct store_db *db, int64_t now_ms, int64_t *ret_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT due_ms FROM catch_up WHERE due_ms > $now ORDER BY due_ms LIMIT 1", e);

	*ret_ms = 0;
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	return row_number(q, ret_ms, e) < 0 ? -1 : 0;
}

int model_catchup_due(struct store_db *db, struct arena *a, int64_t now_ms, uint32_t limit,
    struct model_catchups *ret, int64_t *ret_next_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    CATCHUP_COLUMNS("c.token") "c.due_ms > 0 AND c.due_ms <= $now"
				       " ORDER BY c.due_ms, c.hook_id LIMIT $limit",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$limit", limit);
	if (row_list(q, a, sizeof(struct model_catchup), 0, fill_catchup, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return next_due(db, now_ms, ret_next_ms, e);
}

int model_catchup_claim(struct store_db *db, const struct model_catchup *c, struct str guid,
    int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO catch_up_asked(hook_id, guid, gap, at_ms)"
	    " SELECT $hook, $guid, $gap, $now WHERE NOT EXISTS"
	    " (SELECT 1 FROM event WHERE hook_id = $hook AND delivery_key = $guid)"
	    " ON CONFLICT (hook_id, guid) DO UPDATE SET gap = excluded.gap, at_ms = excluded.at_ms"
	    " WHERE catch_up_asked.gap < excluded.gap",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", c->hook_id);
	store_bind_text(q, "$guid", guid);
	store_bind_i64(q, "$gap", c->gap);
	store_bind_i64(q, "$now", now_ms);
	return row_change(db, q, e);
}

int model_catchup_unclaim(
    struct store_db *db, const struct model_catchup *c, struct str guid, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM catch_up_asked WHERE hook_id = $hook AND guid = $guid AND gap = $gap", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", c->hook_id);
	store_bind_text(q, "$guid", guid);
	store_bind_i64(q, "$gap", c->gap);
	return store_exec(q, e);
}

static int forget(struct store_db *db, int64_t hook_id, int64_t old_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "DELETE FROM catch_up_asked WHERE hook_id = $hook AND at_ms < $old", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", hook_id);
	store_bind_i64(q, "$old", old_ms);
	return store_exec(q, e);
}

int model_catchup_ended(
    struct store_db *db, const struct model_catchup *c, int64_t old_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE catch_up SET remote_id = $remote, due_ms = $due, tries = $tries,"
	    " since_ms = $since, ended_ms = $ended, found = $found, asked = $asked, error = $error"
	    " WHERE hook_id = $hook AND gap = $gap",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$hook", c->hook_id);
	store_bind_i64(q, "$gap", c->gap);
	store_bind_i64(q, "$remote", c->remote_id);
	store_bind_i64(q, "$due", c->due_ms);
	store_bind_i64(q, "$tries", c->tries);
	store_bind_i64(q, "$since", c->since_ms);
	store_bind_i64(q, "$ended", c->ended_ms);
	store_bind_i64(q, "$found", c->found);
	store_bind_i64(q, "$asked", c->asked);
	row_bind_text(q, "$error", c->error);
	return forget(db, c->hook_id, old_ms, e) < 0 ? -1 : row_change(db, q, e);
}
