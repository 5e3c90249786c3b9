#include "model/github.h"

#include "model/row.h"

static void fill_github(struct row *r, void *ret)
{
	*(struct model_github *)ret = (struct model_github){.etag = row_str(r, 0),
	    .ranges = row_str(r, 1),
	    .fetched_ms = row_i64(r, 2),
	    .due_ms = row_i64(r, 3),
	    .error = row_str(r, 4)};
}

int model_github_get(struct store_db *db, struct arena *a, struct model_github *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT etag, ranges, fetched_ms, due_ms, error FROM github_list WHERE one = 1", e);

	return q ? row_get(q, a, fill_github, ret, e) : -1;
}

int model_github_set(struct store_db *db, const struct model_github *g, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO github_list(one, etag, ranges, fetched_ms, due_ms, error)"
	    " VALUES (1, $etag, $ranges, $fetched, $due, $error) ON CONFLICT (one) DO UPDATE SET"
	    " etag = excluded.etag, ranges = excluded.ranges, fetched_ms = excluded.fetched_ms,"
	    " due_ms = excluded.due_ms, error = excluded.error",
	    e);

	if (!q)
		return -1;
	row_bind_text(q, "$etag", g->etag);
	row_bind_text(q, "$ranges", g->ranges);
	store_bind_i64(q, "$fetched", g->fetched_ms);
	store_bind_i64(q, "$due", g->due_ms);
	row_bind_text(q, "$error", g->error);
	return store_exec(q, e);
}

/* In settings nothing else than `from` is that text; a field's glob may be, which costs a request. */
int model_github_wanted(struct store_db *db, struct err *e)
{
	int64_t n = 0;
	struct store_stmt *q = store_prepare(
	    db, "SELECT count(*) FROM hook WHERE paused = 0 AND settings LIKE '%\"github\"%'", e);

	if (!q || row_number(q, &n, e) < 0)
		return -1;
	return n > 0;
}
