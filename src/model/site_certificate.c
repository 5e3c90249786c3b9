#include "model/site_certificate.h"

#include "model/certificate_row.h"

#define SELECT                                                                                     \
	"SELECT c.project_id, p.name, c.site, " CERTIFICATE_READ                                   \
	" FROM site_certificate c JOIN project p ON p.id = c.project_id "                          \
	"WHERE p.removed_ms = 0 AND "

static void fill(struct row *r, void *ret)
{
	struct model_certificate *c = ret;
	*c = (struct model_certificate){
	    .project_id = row_i64(r, 0), .project = row_str(r, 1), .site = row_str(r, 2)};
	certificate_row_fill(r, 3, c);
}

int model_site_certificate_get(struct store_db *db, struct arena *a, int64_t project_id,
    struct str site, struct model_viewer viewer, struct model_certificate *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    SELECT "c.project_id = $project AND c.site = $site AND " ROW_SEES("c", "project_id"),
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$site", site);
	row_bind_viewer(q, viewer);
	return row_get(q, a, fill, ret, e);
}

static int list(
    struct store_stmt *q, struct arena *a, struct model_certificates *ret, struct err *e)
{
	struct row_list l;
	if (row_list(q, a, sizeof(struct model_certificate), 0, fill, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_site_certificate_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    SELECT "c.project_id = $project AND " ROW_SEES(
		"c", "project_id") " ORDER BY c.site LIMIT $limit",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$limit", MODEL_PAGE_MAX);
	row_bind_viewer(q, viewer);
	return list(q, a, ret, e);
}

int model_site_certificate_put(
    struct store_db *db, const struct model_certificate *c, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO site_certificate(project_id, site, " CERTIFICATE_COLUMNS
	    ") VALUES ($project, $site, " CERTIFICATE_VALUES
	    ") ON CONFLICT (project_id, site) DO UPDATE SET " CERTIFICATE_SET,
	    e);
	if (!q)
		return -1;
	store_bind_text(q, "$site", c->site);
	store_bind_i64(q, "$project", c->project_id);
	certificate_row_bind(q, c);
	return store_exec(q, e);
}

int model_site_certificate_remove(
    struct store_db *db, int64_t project_id, struct str site, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "DELETE FROM site_certificate WHERE project_id = $project AND site = $site", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$site", site);
	return store_exec(q, e);
}

int model_site_certificate_set_back(struct store_db *db, int64_t now_ms, struct err *e)
{
	return certificate_row_set_back(
	    db, "UPDATE site_certificate" CERTIFICATE_SET_BACK, now_ms, e);
}

int model_site_certificate_take_due(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t again_ms, uint32_t max, struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    SELECT "c.renew_ms > 0 AND c.renew_ms <= $now ORDER BY c.renew_ms, c.site LIMIT $max",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$max", max);
	if (list(q, a, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++) {
		ret->v[i].renew_ms = again_ms;
		if (model_site_certificate_put(db, &ret->v[i], e) < 0)
			return -1;
	}
	return 0;
}

int model_site_certificate_take_ending(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t until_ms, int64_t told_before_ms, struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    SELECT "c.installed_ms > 0 AND c.not_after_ms < $until AND c.told_ms < $told"
		   " ORDER BY c.not_after_ms, c.site LIMIT $max",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$until", until_ms);
	store_bind_i64(q, "$told", told_before_ms);
	store_bind_i64(q, "$max", MODEL_PAGE_MAX);
	if (list(q, a, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++) {
		ret->v[i].told_ms = now_ms;
		if (model_site_certificate_put(db, &ret->v[i], e) < 0)
			return -1;
	}
	return 0;
}
