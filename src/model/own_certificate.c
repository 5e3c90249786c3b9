#include "model/own_certificate.h"

#include "model/certificate_row.h"

#include <assert.h>

static const char *const own_names[MODEL_OWN_COUNT] = {"host", "wildcard"};

const char *model_own_name(enum model_own which)
{
	assert(which < MODEL_OWN_COUNT);
	return own_names[which];
}

int model_own_find(struct str name, enum model_own *ret)
{
	for (unsigned i = 0; i < MODEL_OWN_COUNT; i++)
		if (str_eq_c(name, own_names[i])) {
			*ret = (enum model_own)i;
			return 1;
		}
	return 0;
}

static struct store_stmt *prepare(
    struct store_db *db, const char *sql, enum model_own which, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	if (q)
		store_bind_text(q, "$which", str_c(model_own_name(which)));
	return q;
}

static void fill(struct row *r, void *ret)
{
	struct model_own_certificate *c = ret;
	*c = (struct model_own_certificate){
	    .wanted = row_str(r, 0), .staging = row_bool(r, 1), .said = row_str(r, 2)};
	certificate_row_fill(r, 3, &c->c);
}

int model_own_certificate_get(struct store_db *db, struct arena *a, enum model_own which,
    struct model_own_certificate *ret, struct err *e)
{
	struct store_stmt *q = prepare(db,
	    "SELECT c.wanted, c.staging, c.said, " CERTIFICATE_READ
	    " FROM own_certificate c WHERE c.which = $which",
	    which, e);
	int rc = q ? row_get(q, a, fill, ret, e) : -1;
	if (rc == 1)
		ret->which = which;
	return rc;
}

int model_own_certificate_put(
    struct store_db *db, const struct model_own_certificate *c, struct err *e)
{
	struct store_stmt *q = prepare(db,
	    "INSERT INTO own_certificate(which, wanted, staging, said, " CERTIFICATE_COLUMNS
	    ") VALUES ($which, $wanted, $staging, $said, " CERTIFICATE_VALUES
	    ") ON CONFLICT (which) DO UPDATE SET wanted = $wanted, staging = $staging, said = "
	    "$said, " CERTIFICATE_SET,
	    c->which, e);
	if (!q)
		return -1;
	row_bind_text(q, "$wanted", c->wanted);
	store_bind_i64(q, "$staging", c->staging);
	row_bind_text(q, "$said", c->said);
	certificate_row_bind(q, &c->c);
	return store_exec(q, e);
}

int model_own_certificate_remove(struct store_db *db, enum model_own which, struct err *e)
{
	struct store_stmt *q =
	    prepare(db, "DELETE FROM own_certificate WHERE which = $which", which, e);
	return q ? store_exec(q, e) : -1;
}

int model_own_certificate_give(struct store_db *db, enum model_own which, struct str chain,
    struct str sealed_key, struct err *e)
{
	struct store_stmt *q = prepare(db,
	    "UPDATE own_certificate SET given_chain = $chain, given_key = $key WHERE which = "
	    "$which",
	    which, e);
	if (!q)
		return -1;
	store_bind_text(q, "$chain", chain);
	store_bind_blob(q, "$key", sealed_key);
	return store_exec(q, e);
}

int model_own_certificate_given(struct store_db *db, struct arena *a, enum model_own which,
    struct str *ret_chain, struct str *ret_key, struct err *e)
{
	struct store_stmt *q = prepare(db,
	    "SELECT given_chain, given_key FROM own_certificate WHERE which = $which AND"
	    " given_chain <> ''",
	    which, e);
	return q ? certificate_row_given(q, a, ret_chain, ret_key, e) : -1;
}

int model_own_certificate_given_forget(struct store_db *db, enum model_own which, struct err *e)
{
	struct store_stmt *q = prepare(db,
	    "UPDATE own_certificate SET given_chain = '', given_key = NULL WHERE which = $which",
	    which, e);
	return q ? store_exec(q, e) : -1;
}
