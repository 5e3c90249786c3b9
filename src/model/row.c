/* Reading rows, binding viewers and pages, and the names of enums. */
#include "model/row.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const role_names[MODEL_ROLE_COUNT] = {
    "none", "viewer", "deployer", "admin", "owner"};

const char *model_role_name(enum model_role r)
{
	assert(r < MODEL_ROLE_COUNT);
	return role_names[r];
}

int model_role_parse(struct str s, enum model_role *ret, struct err *e)
{
	int i;

	if (row_parse(s, role_names, MODEL_ROLE_COUNT, "role", &i, e) < 0)
		return -1;
	*ret = (enum model_role)i;
	return 0;
}

void row_bind_viewer(struct store_stmt *q, struct model_viewer v)
{
	store_bind_i64(q, "$everything", v.everything);
	store_bind_i64(q, "$viewer", v.operator_id);
	store_bind_i64(q, "$least", v.least == MODEL_ROLE_NONE ? MODEL_ROLE_VIEWER : v.least);
}

int row_sees_all(struct store_db *db, struct model_viewer v, bool *ret, struct err *e)
{
	struct store_stmt *q;
	int64_t one;
	int rc;

	*ret = v.everything;
	if (v.everything)
		return 0;
	q = store_prepare(db,
	    "SELECT 1 FROM operator WHERE id = $viewer AND disabled = 0 AND role >= $least"
	    " AND $everything = 0",
	    e);
	if (!q)
		return -1;
	row_bind_viewer(q, v);
	rc = row_number(q, &one, e);
	*ret = rc > 0;
	return rc < 0 ? -1 : 0;
}

int64_t row_i64(struct row *r, int col)
{
	return store_col_i64(r->q, col);
}

bool row_bool(struct row *r, int col)
{
	return store_col_i64(r->q, col) != 0;
}

struct str row_str_null(struct row *r, int col)
{
	struct str s;

	if (store_col_null(r->q, col))
		return STR_NONE;
	s = store_col_str(r->q, col, r->a);
	if (!s.p)
		r->full = true;
	return s;
}

struct str row_str(struct row *r, int col)
{
	struct str s = row_str_null(r, col);

	return s.p ? s : STR("");
}

int row_enum(struct row *r, int col, const char *const *names, size_t count)
{
	struct str s = store_col_text(r->q, col);

	for (size_t i = 0; i < count; i++)
		if (str_eq_c(s, names[i]))
			return (int)i;
	abort(); /* a name that the schema does not allow */
}

static int too_large(struct err *e)
{
	return err_set(
	    e, ERR_TOO_LARGE, "cannot read rows: they do not fit into the memory of one request");
}

int row_get(struct store_stmt *q, struct arena *a, row_fill_fn *fill, void *ret, struct err *e)
{
	struct row r = {.q = q, .a = a};
	int rc = store_step(q, e);

	if (rc > 0)
		fill(&r, ret);
	store_reset(q);
	return r.full ? too_large(e) : rc;
}

/* Room for one more element; the old array stays behind in the arena. */
static void *list_next(struct row_list *l, size_t *cap, size_t size, struct arena *a)
{
	if (l->n == *cap) {
		size_t more = *cap ? *cap * 2 : 16;
		void *v = arena_array(a, more, size);

		if (!v)
			return NULL;
		if (l->n)
			memcpy(v, l->v, l->n * size);
		l->v = v;
		*cap = more;
	}
	return (char *)l->v + size * l->n++;
}

int row_list(struct store_stmt *q, struct arena *a, size_t size, uint32_t limit, row_fill_fn *fill,
    struct row_list *ret, struct err *e)
{
	struct row r = {.q = q, .a = a};
	size_t cap = 0;
	int rc;

	*ret = (struct row_list){0};
	while ((rc = store_step(q, e)) > 0) {
		void *one;

		if (limit && ret->n == limit) {
			ret->more = true;
			break;
		}
		one = list_next(ret, &cap, size, a);
		if (one)
			fill(&r, one);
		if (!one || r.full) {
			rc = too_large(e);
			break;
		}
	}
	store_reset(q);
	return rc < 0 ? -1 : 0;
}

uint32_t row_limit(uint32_t asked)
{
	if (asked == 0)
		return 1;
	return asked < MODEL_PAGE_MAX ? asked : MODEL_PAGE_MAX;
}

void row_bind_page(struct store_stmt *q, struct model_page p)
{
	store_bind_i64(q, "$after", p.after > 0 ? p.after : INT64_MAX);
	store_bind_i64(q, "$limit", (int64_t)row_limit(p.limit) + 1);
}

int row_number(struct store_stmt *q, int64_t *ret, struct err *e)
{
	int rc = store_step(q, e);

	if (rc > 0)
		*ret = store_col_i64(q, 0);
	store_reset(q);
	return rc;
}

int row_change(struct store_db *db, struct store_stmt *q, struct err *e)
{
	if (store_exec(q, e) < 0)
		return -1;
	return store_changes(db) > 0;
}

void row_bind_text(struct store_stmt *q, const char *name, struct str v)
{
	store_bind_text(q, name, v.p ? v : STR(""));
}

int row_parse(
    struct str s, const char *const *names, size_t count, const char *what, int *ret, struct err *e)
{
	for (size_t i = 0; i < count; i++) {
		if (!str_eq_c(s, names[i]))
			continue;
		*ret = (int)i;
		return 0;
	}
	char all[192] = "";
	size_t n = 0;
	for (size_t i = 0; i < count && n < sizeof(all); i++)
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s", i ? ", " : "", names[i]);
	err_set(e, ERR_INVALID, "unknown %s", what);
	return err_hint(e, "one of %s", all);
}
