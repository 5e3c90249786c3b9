/* Host names. */
#include "model/domain.h"

#include "base/limits.h"
#include "model/row.h"

#define DOMAIN_COLUMNS                                                                             \
	"SELECT d.host, d.project_id, p.name, d.created_ms FROM domain d JOIN project p ON p.id "  \
	"= d.project_id WHERE "

static int owner_of(struct store_db *db, struct str host, int64_t *ret_project, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT project_id FROM domain WHERE host = $host", e);

	if (!q)
		return -1;
	store_bind_text(q, "$host", host);
	return row_number(q, ret_project, e);
}

static int room_for_one(struct store_db *db, int64_t project_id, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT count(*) FROM domain WHERE project_id = $project", e);
	int64_t n;

	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	if (row_number(q, &n, e) < 0)
		return -1;
	if (n >= (int64_t)LIMIT_DOMAINS)
		return err_set(e, ERR_TOO_LARGE, "cannot have more than %u domains", LIMIT_DOMAINS);
	return 0;
}

int model_domain_add(
    struct store_db *db, int64_t project_id, struct str host, int64_t now_ms, struct err *e)
{
	struct store_stmt *q;
	int64_t owner = 0;
	int rc = owner_of(db, host, &owner, e);

	if (rc < 0 || owner == project_id)
		return rc < 0 ? -1 : 0;
	if (rc > 0) {
		err_set(e, ERR_CONFLICT, "cannot add domain '%.*s': it is taken", STR_ARG(host));
		return err_hint(e, "a host name belongs to one project; remove it there first");
	}
	if (room_for_one(db, project_id, e) < 0)
		return -1;
	q = store_prepare(db,
	    "INSERT INTO domain(host, project_id, created_ms)"
	    " SELECT $host, id, $now FROM project WHERE id = $project AND removed_ms = 0",
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$host", host);
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$now", now_ms);
	rc = row_change(db, q, e);
	return rc == 0 ? err_set(e, ERR_NOT_FOUND, "there is no such project") : rc;
}

int model_domain_remove(struct store_db *db, int64_t project_id, struct str host, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "DELETE FROM domain WHERE host = $host AND project_id = $project", e);

	if (!q)
		return -1;
	store_bind_text(q, "$host", host);
	store_bind_i64(q, "$project", project_id);
	return row_change(db, q, e);
}

static void fill_domain(struct row *r, void *ret)
{
	*(struct model_domain *)ret = (struct model_domain){
	    .host = row_str(r, 0),
	    .project_id = row_i64(r, 1),
	    .project = row_str(r, 2),
	    .created_ms = row_i64(r, 3),
	};
}

int model_domain_list(struct store_db *db, struct arena *a, int64_t project_id, struct str after,
    struct model_viewer viewer, struct model_domains *ret, struct err *e)
{
#define TAIL "d.host > $after AND " ROW_SEES("d", "project_id") " ORDER BY d.host LIMIT $limit"
	struct store_stmt *q =
	    project_id ? store_prepare(db, DOMAIN_COLUMNS "d.project_id = $project AND " TAIL, e)
		       : store_prepare(db, DOMAIN_COLUMNS TAIL, e);
#undef TAIL
	struct row_list l;

	if (!q)
		return -1;
	if (project_id)
		store_bind_i64(q, "$project", project_id);
	row_bind_text(q, "$after", after);
	store_bind_i64(q, "$limit", MODEL_PAGE_MAX);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_domain), 0, fill_domain, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_domain_get(struct store_db *db, struct arena *a, struct str host,
    struct model_viewer viewer, struct model_domain *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, DOMAIN_COLUMNS "d.host = $host AND " ROW_SEES("d", "project_id"), e);

	if (!q)
		return -1;
	store_bind_text(q, "$host", host);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill_domain, ret, e);
}
