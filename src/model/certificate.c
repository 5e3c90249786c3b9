#include "model/certificate.h"

#include "model/certificate_row.h"

#include <assert.h>

#define MINUTE_MS 60000
#define RETRY_FIRST_MS (10 * MINUTE_MS)
#define RETRY_MAX_MS (24 * 60 * (int64_t)MINUTE_MS)
#define COLUMNS "c.project_id, p.name, " CERTIFICATE_READ
#define FROM " FROM certificate c JOIN project p ON p.id = c.project_id WHERE p.removed_ms = 0 AND "

static const char *const origin_names[MODEL_ORIGIN_COUNT] = {"none", "acme", "staging", "import"};

const char *model_origin_name(enum model_origin o)
{
	assert(o < MODEL_ORIGIN_COUNT);
	return origin_names[o];
}

bool model_certificate_serves(const struct model_certificate *c, struct str host)
{
	struct str rest = c->names, name;
	if (c->origin != MODEL_ORIGIN_ACME && c->origin != MODEL_ORIGIN_IMPORT)
		return false;
	while (rest.n > 0 && str_next(&rest, ' ', &name)) {
		size_t dot = str_find(host, '.', 0);
		bool wild = str_starts(name, STR("*.")) && dot != SIZE_MAX &&
			    str_eq(str_from(name, 1), str_from(host, dot));
		if (wild || str_eq(name, host))
			return true;
	}
	return false;
}

int64_t model_certificate_renew_at(int64_t not_before_ms, int64_t not_after_ms)
{
	return not_before_ms + (not_after_ms - not_before_ms) / 3 * 2;
}

int64_t model_certificate_retry_at(int64_t now_ms, int64_t failures, int64_t limited_ms)
{
	int64_t wait = RETRY_FIRST_MS;
	for (int64_t i = 1; i < failures && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	int64_t at = now_ms + (wait < RETRY_MAX_MS ? wait : RETRY_MAX_MS);
	return at > limited_ms ? at : limited_ms;
}

int certificate_row_set_back(struct store_db *db, const char *sql, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$far", now_ms + RETRY_MAX_MS);
	return store_exec(q, e);
}

void certificate_row_fill(struct row *r, int first, struct model_certificate *ret)
{
	ret->origin = (enum model_origin)row_enum(r, first, origin_names, MODEL_ORIGIN_COUNT);
	ret->names = row_str(r, first + 1);
	ret->issuer = row_str(r, first + 2);
	ret->serial = row_str(r, first + 3);
	ret->not_before_ms = row_i64(r, first + 4);
	ret->not_after_ms = row_i64(r, first + 5);
	ret->installed_ms = row_i64(r, first + 6);
	ret->renew_ms = row_i64(r, first + 7);
	ret->failures = row_i64(r, first + 8);
	ret->error = row_str(r, first + 9);
	ret->limited_ms = row_i64(r, first + 10);
	ret->told_ms = row_i64(r, first + 11);
}

void certificate_row_bind(struct store_stmt *q, const struct model_certificate *c)
{
	store_bind_text(q, "$origin", str_c(model_origin_name(c->origin)));
	row_bind_text(q, "$names", c->names);
	row_bind_text(q, "$issuer", c->issuer);
	row_bind_text(q, "$serial", c->serial);
	store_bind_i64(q, "$before", c->not_before_ms);
	store_bind_i64(q, "$after", c->not_after_ms);
	store_bind_i64(q, "$installed", c->installed_ms);
	store_bind_i64(q, "$renew", c->renew_ms);
	store_bind_i64(q, "$failures", c->failures);
	row_bind_text(q, "$error", c->error);
	store_bind_i64(q, "$limited", c->limited_ms);
	store_bind_i64(q, "$told", c->told_ms);
}

static void fill(struct row *r, void *ret)
{
	struct model_certificate *c = ret;
	*c = (struct model_certificate){.project_id = row_i64(r, 0), .project = row_str(r, 1)};
	certificate_row_fill(r, 2, c);
}

int model_certificate_get(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_certificate *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " COLUMNS FROM "c.project_id = $project AND " ROW_SEES("c", "project_id"), e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
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

int model_certificate_list(struct store_db *db, struct arena *a, struct model_viewer viewer,
    struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " COLUMNS FROM ROW_SEES("c", "project_id") " ORDER BY p.name LIMIT $limit", e);
	if (!q)
		return -1;
	store_bind_i64(q, "$limit", MODEL_PAGE_MAX);
	row_bind_viewer(q, viewer);
	return list(q, a, ret, e);
}

int model_certificate_put(struct store_db *db, const struct model_certificate *c, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO certificate(project_id, " CERTIFICATE_COLUMNS
	    ") VALUES ($project, " CERTIFICATE_VALUES
	    ") ON CONFLICT (project_id) DO UPDATE SET " CERTIFICATE_SET,
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", c->project_id);
	certificate_row_bind(q, c);
	return store_exec(q, e);
}

static int of_project(struct store_db *db, const char *sql, int64_t project_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	return store_exec(q, e);
}

int model_certificate_remove(struct store_db *db, int64_t project_id, struct err *e)
{
	return of_project(db, "DELETE FROM certificate WHERE project_id = $project", project_id, e);
}

int model_certificate_give(
    struct store_db *db, int64_t project_id, struct str chain, struct str sealed_key, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO certificate(project_id, origin, names, issuer, serial, not_before_ms,"
	    " not_after_ms, installed_ms, renew_ms, failures, error, limited_ms, told_ms, "
	    "given_chain,"
	    " given_key) VALUES ($project, 'none', '', '', '', 0, 0, 0, 0, 0, '', 0, 0, $chain, "
	    "$key)"
	    " ON CONFLICT (project_id) DO UPDATE SET given_chain = $chain, given_key = $key",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	store_bind_text(q, "$chain", chain);
	store_bind_blob(q, "$key", sealed_key);
	return store_exec(q, e);
}

struct given {
	struct str chain, key;
};

static void fill_given(struct row *r, void *ret)
{
	*(struct given *)ret = (struct given){row_str(r, 0), row_str(r, 1)};
}

int certificate_row_given(struct store_stmt *q, struct arena *a, struct str *ret_chain,
    struct str *ret_key, struct err *e)
{
	struct given g;
	int rc = row_get(q, a, fill_given, &g, e);
	if (rc == 1) {
		*ret_chain = g.chain;
		*ret_key = g.key;
	}
	return rc;
}

int model_certificate_given(struct store_db *db, struct arena *a, int64_t project_id,
    struct str *ret_chain, struct str *ret_key, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT given_chain, given_key FROM certificate WHERE project_id = $project AND"
	    " given_chain <> ''",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$project", project_id);
	return certificate_row_given(q, a, ret_chain, ret_key, e);
}

int model_certificate_given_forget(struct store_db *db, int64_t project_id, struct err *e)
{
	return of_project(db,
	    "UPDATE certificate SET given_chain = '', given_key = NULL WHERE project_id = $project",
	    project_id, e);
}

bool model_certificate_too_late(const struct model_certificate *c, int64_t now_ms)
{
	return c->renew_ms > now_ms + RETRY_MAX_MS && c->renew_ms > c->limited_ms &&
	       c->renew_ms > model_certificate_renew_at(c->not_before_ms, c->not_after_ms);
}

int model_certificate_set_back(struct store_db *db, int64_t now_ms, struct err *e)
{
	return certificate_row_set_back(db, "UPDATE certificate" CERTIFICATE_SET_BACK, now_ms, e);
}

int model_certificate_take_due(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t again_ms, uint32_t max, struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " COLUMNS FROM
	    "c.renew_ms > 0 AND c.renew_ms <= $now ORDER BY c.renew_ms LIMIT $max",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$max", max);
	if (list(q, a, ret, e) < 0)
		return -1;
	for (size_t i = 0; i < ret->n; i++) {
		ret->v[i].renew_ms = again_ms;
		if (model_certificate_put(db, &ret->v[i], e) < 0)
			return -1;
	}
	return 0;
}

int model_certificate_take_ending(struct store_db *db, struct arena *a, int64_t now_ms,
    int64_t until_ms, int64_t told_before_ms, struct model_certificates *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT " COLUMNS FROM "c.installed_ms > 0 AND c.not_after_ms < $until AND"
	    " c.told_ms < $told ORDER BY c.not_after_ms LIMIT $max",
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
		if (model_certificate_put(db, &ret->v[i], e) < 0)
			return -1;
	}
	return 0;
}
