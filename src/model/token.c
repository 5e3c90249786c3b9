/* Tokens of operators. */
#include "model/operator.h"
#include "model/row.h"

int model_token_add(struct store_db *db, const struct model_token *t, struct str hash,
    int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO token(operator_id, hash, label, created_ms, expires_ms)"
	    " SELECT id, $hash, $label, $now, $expires FROM operator WHERE id = $operator "
	    "RETURNING id",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", t->operator_id);
	store_bind_blob(q, "$hash", hash);
	row_bind_text(q, "$label", t->label);
	store_bind_i64(q, "$now", t->created_ms);
	store_bind_i64(q, "$expires", t->expires_ms);
	rc = row_number(q, ret_id, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such operator");
	return rc < 0 ? -1 : 0;
}

static void fill_token(struct row *r, void *ret)
{
	*(struct model_token *)ret = (struct model_token){
	    .id = row_i64(r, 0),
	    .operator_id = row_i64(r, 1),
	    .label = row_str(r, 2),
	    .created_ms = row_i64(r, 3),
	    .expires_ms = row_i64(r, 4),
	    .last_used_ms = row_i64(r, 5),
	    .revoked = row_bool(r, 6),
	};
}

#define TOKEN_COLUMNS                                                                              \
	"SELECT id, operator_id, label, created_ms, expires_ms, last_used_ms, revoked FROM token " \
	"WHERE "

int model_token_find(struct store_db *db, struct arena *a, struct str hash, int64_t now_ms,
    struct model_token *ret, struct model_operator *ret_operator, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    TOKEN_COLUMNS "hash = $hash AND revoked = 0 AND (expires_ms = 0 OR expires_ms > $now)",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_blob(q, "$hash", hash);
	store_bind_i64(q, "$now", now_ms);
	rc = row_get(q, a, fill_token, ret, e);
	if (rc > 0)
		rc = model_operator_get_id(db, a, ret->operator_id, ret_operator, e);
	return rc > 0 && ret_operator->disabled ? 0 : rc;
}

int model_token_good(struct store_db *db, int64_t id, int64_t now_ms, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT t.id FROM token t JOIN operator o ON o.id = t.operator_id WHERE t.id = $id AND"
	    " t.revoked = 0 AND (t.expires_ms = 0 OR t.expires_ms > $now) AND o.disabled = 0",
	    e);
	int64_t ignored;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$now", now_ms);
	return row_number(q, &ignored, e);
}

int model_token_list(struct store_db *db, struct arena *a, int64_t operator_id,
    struct model_tokens *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, TOKEN_COLUMNS "operator_id = $operator ORDER BY id", e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	if (row_list(q, a, sizeof(struct model_token), 0, fill_token, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_token_revoke(struct store_db *db, int64_t id, int64_t operator_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "UPDATE token SET revoked = 1 WHERE id = $id AND ($operator = 0 OR operator_id = "
	    "$operator)",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$operator", operator_id);
	return row_change(db, q, e);
}

int model_token_touch(struct store_db *db, int64_t id, int64_t now_ms, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE token SET last_used_ms = $now WHERE id = $id", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$now", now_ms);
	store_bind_i64(q, "$id", id);
	return store_exec(q, e);
}
