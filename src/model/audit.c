/* The audit trail and its chain. */
#include "model/audit.h"

#include "crypto/hash.h"
#include "model/row.h"

#include <assert.h>
#include <string.h>

static_assert(MODEL_AUDIT_CHAIN_BYTES == HASH_SHA256_BYTES, "the chain is SHA-256");

static void add_number(struct hash *h, uint64_t v, size_t bytes)
{
	char le[8];

	for (size_t i = 0; i < bytes; i++)
		le[i] = (char)(uint8_t)(v >> (8 * i));
	hash_update(h, (struct str){le, bytes});
}

static void add_text(struct hash *h, struct str s)
{
	add_number(h, s.n, 4);
	if (s.n)
		hash_update(h, s);
}

static void chain_of(
    const struct model_audit *r, struct str previous, uint8_t out[MODEL_AUDIT_CHAIN_BYTES])
{
	struct hash *h = hash_new();

	hash_update(h, previous);
	add_number(h, (uint64_t)r->id, 8);
	add_number(h, (uint64_t)r->at_ms, 8);
	add_number(h, (uint64_t)r->project_id, 8);
	add_text(h, r->operator_name);
	add_text(h, r->action);
	add_text(h, r->target);
	add_text(h, r->outcome);
	add_text(h, r->detail);
	hash_finish(h, out);
	hash_free(h);
}

/* The last row's number and chain; 0 and zeros when there is none. */
static int last_link(
    struct store_db *db, int64_t *ret_id, uint8_t chain[MODEL_AUDIT_CHAIN_BYTES], struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "SELECT id, chain FROM audit ORDER BY id DESC LIMIT 1", e);
	int rc;

	*ret_id = 0;
	memset(chain, 0, MODEL_AUDIT_CHAIN_BYTES);
	if (!q)
		return -1;
	rc = store_step(q, e);
	if (rc > 0) {
		struct str s = store_col_text(q, 1);

		*ret_id = store_col_i64(q, 0);
		memcpy(chain, s.p, s.n < MODEL_AUDIT_CHAIN_BYTES ? s.n : MODEL_AUDIT_CHAIN_BYTES);
	}
	store_reset(q);
	return rc < 0 ? -1 : 0;
}

static int insert(struct store_db *db, const struct model_audit *r, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO audit(id, at_ms, project_id, operator, action, target, outcome, detail, "
	    "chain)"
	    " VALUES ($id, $at, $project, $operator, $action, $target, $outcome, $detail, $chain)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", r->id);
	store_bind_i64(q, "$at", r->at_ms);
	if (r->project_id)
		store_bind_i64(q, "$project", r->project_id);
	store_bind_text(q, "$operator", r->operator_name);
	store_bind_text(q, "$action", r->action);
	store_bind_text(q, "$target", r->target);
	store_bind_text(q, "$outcome", r->outcome);
	store_bind_text(q, "$detail", r->detail);
	store_bind_blob(q, "$chain", r->chain);
	return store_exec(q, e);
}

static struct str or_empty(struct str s)
{
	return s.p ? s : STR("");
}

int model_audit_append(struct store_db *db, const struct model_audit *row, struct err *e)
{
	uint8_t before[MODEL_AUDIT_CHAIN_BYTES], chain[MODEL_AUDIT_CHAIN_BYTES];
	struct model_audit r = *row;

	if (last_link(db, &r.id, before, e) < 0)
		return -1;
	r.id++;
	r.operator_name = or_empty(r.operator_name);
	r.action = or_empty(r.action);
	r.target = or_empty(r.target);
	r.outcome = or_empty(r.outcome);
	r.detail = or_empty(r.detail);
	chain_of(&r, (struct str){(const char *)before, sizeof(before)}, chain);
	r.chain = (struct str){(const char *)chain, sizeof(chain)};
	return insert(db, &r, e);
}

#define AUDIT_COLUMNS                                                                              \
	"SELECT id, at_ms, project_id, operator, action, target, outcome, detail, chain FROM "     \
	"audit WHERE "

static void fill_audit(struct row *r, void *ret)
{
	*(struct model_audit *)ret = (struct model_audit){
	    .id = row_i64(r, 0),
	    .at_ms = row_i64(r, 1),
	    .project_id = row_i64(r, 2),
	    .operator_name = row_str(r, 3),
	    .action = row_str(r, 4),
	    .target = row_str(r, 5),
	    .outcome = row_str(r, 6),
	    .detail = row_str(r, 7),
	    .chain = row_str(r, 8),
	};
}

int model_audit_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_audits *ret, struct err *e)
{
#define TAIL "id < $after AND " ROW_SEES("audit", "project_id") " ORDER BY id DESC LIMIT $limit"
	struct store_stmt *q =
	    project_id ? store_prepare(db, AUDIT_COLUMNS "project_id = $project AND " TAIL, e)
		       : store_prepare(db, AUDIT_COLUMNS TAIL, e);
#undef TAIL
	struct row_list l;

	if (!q)
		return -1;
	if (project_id)
		store_bind_i64(q, "$project", project_id);
	row_bind_page(q, page);
	row_bind_viewer(q, viewer);
	if (row_list(q, a, sizeof(struct model_audit), row_limit(page.limit), fill_audit, &l, e) <
	    0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

static struct model_audit borrowed(struct store_stmt *q)
{
	return (struct model_audit){
	    .id = store_col_i64(q, 0),
	    .at_ms = store_col_i64(q, 1),
	    .project_id = store_col_i64(q, 2),
	    .operator_name = store_col_text(q, 3),
	    .action = store_col_text(q, 4),
	    .target = store_col_text(q, 5),
	    .outcome = store_col_text(q, 6),
	    .detail = store_col_text(q, 7),
	    .chain = store_col_text(q, 8),
	};
}

int model_audit_verify(struct store_db *db, int64_t *ret_bad_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db, AUDIT_COLUMNS "true ORDER BY id", e);
	uint8_t chain[MODEL_AUDIT_CHAIN_BYTES] = {0};
	int64_t next = 1;
	int rc;

	if (!q)
		return -1;
	while ((rc = store_step(q, e)) > 0) {
		struct model_audit r = borrowed(q);

		/* A row that was taken out leaves a gap in the numbers as well. */
		*ret_bad_id = next;
		chain_of(&r, (struct str){(const char *)chain, sizeof(chain)}, chain);
		if (r.id != next ||
		    !str_eq(r.chain, (struct str){(const char *)chain, sizeof(chain)})) {
			store_reset(q);
			return 0;
		}
		next++;
	}
	return rc < 0 ? -1 : 1;
}
