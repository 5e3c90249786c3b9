/* Operators and their roles. Their tokens are in token.c. */
#include "model/operator.h"

#include "model/row.h"

int model_operator_add(
    struct store_db *db, const struct model_operator *o, int64_t *ret_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "INSERT INTO operator(name, role, password_hash, disabled, created_ms) VALUES ($name, "
	    "$role, $hash, $off, $now)"
	    " ON CONFLICT DO NOTHING RETURNING id",
	    e);
	int rc;

	if (!q)
		return -1;
	store_bind_text(q, "$name", o->name);
	store_bind_i64(q, "$role", o->role);
	store_bind_text(q, "$hash", o->password_hash);
	store_bind_i64(q, "$off", o->disabled);
	store_bind_i64(q, "$now", o->created_ms);
	rc = row_number(q, ret_id, e);
	if (rc == 0)
		return err_set(e, ERR_CONFLICT, "cannot create operator '%.*s': the name is taken",
		    STR_ARG(o->name));
	return rc < 0 ? -1 : 0;
}

#define OPERATOR_COLUMNS                                                                           \
	"SELECT id, name, role, password_hash, disabled, created_ms FROM operator WHERE "

static void fill_operator(struct row *r, void *ret)
{
	*(struct model_operator *)ret = (struct model_operator){
	    .id = row_i64(r, 0),
	    .name = row_str(r, 1),
	    .role = (enum model_role)row_i64(r, 2),
	    .password_hash = row_str_null(r, 3),
	    .disabled = row_bool(r, 4),
	    .created_ms = row_i64(r, 5),
	};
}

int model_operator_get(struct store_db *db, struct arena *a, struct str name,
    struct model_operator *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, OPERATOR_COLUMNS "name = $name", e);

	if (!q)
		return -1;
	store_bind_text(q, "$name", name);
	return row_get(q, a, fill_operator, ret, e);
}

int model_operator_get_id(
    struct store_db *db, struct arena *a, int64_t id, struct model_operator *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, OPERATOR_COLUMNS "id = $id", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	return row_get(q, a, fill_operator, ret, e);
}

int model_operator_list(struct store_db *db, struct arena *a, struct str after, uint32_t limit,
    struct model_operators *ret, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, OPERATOR_COLUMNS "name > $after ORDER BY name LIMIT $limit", e);
	struct row_list l;

	if (!q)
		return -1;
	row_bind_text(q, "$after", after);
	store_bind_i64(q, "$limit", (int64_t)row_limit(limit) + 1);
	if (row_list(q, a, sizeof(struct model_operator), row_limit(limit), fill_operator, &l, e) <
	    0)
		return -1;
	ROW_LIST_INTO(ret, l);
	ret->more = l.more;
	return 0;
}

/* Somebody must be able to give roles back. Called after the change, whose unit then fails. */
static int owner_left(struct store_db *db, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT count(*) FROM operator WHERE role = $owner AND disabled = 0", e);
	int64_t n;

	if (!q)
		return -1;
	store_bind_i64(q, "$owner", MODEL_ROLE_OWNER);
	if (row_number(q, &n, e) < 0)
		return -1;
	if (n > 0)
		return 0;
	err_set(e, ERR_CONFLICT, "cannot take away the last owner");
	return err_hint(e, "make somebody else owner first");
}

/* 1 when it is an enabled owner who is about to lose it. */
static int is_owner(struct store_db *db, int64_t id, struct err *e)
{
	struct store_stmt *q = store_prepare(
	    db, "SELECT 1 FROM operator WHERE id = $id AND role = $owner AND disabled = 0", e);
	int64_t one;

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$owner", MODEL_ROLE_OWNER);
	return row_number(q, &one, e);
}

/* Runs a change of operator `id`, refusing it when it takes away the last owner. */
static int guarded(struct store_db *db, const char *sql, int64_t id, int64_t value, struct err *e)
{
	int was_owner = is_owner(db, id, e), rc;
	struct store_stmt *q = was_owner < 0 ? NULL : store_prepare(db, sql, e);

	if (!q)
		return -1;
	store_bind_i64(q, "$id", id);
	store_bind_i64(q, "$value", value);
	rc = row_change(db, q, e);
	if (rc > 0 && was_owner && owner_left(db, e) < 0)
		return -1;
	return rc;
}

int model_operator_set_role(struct store_db *db, int64_t id, enum model_role role, struct err *e)
{
	return guarded(db, "UPDATE operator SET role = $value WHERE id = $id", id, role, e);
}

int model_operator_set_disabled(struct store_db *db, int64_t id, bool disabled, struct err *e)
{
	return guarded(db, "UPDATE operator SET disabled = $value WHERE id = $id", id, disabled, e);
}

int model_operator_set_password(struct store_db *db, int64_t id, struct str hash, struct err *e)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE operator SET password_hash = $hash WHERE id = $id", e);

	if (!q)
		return -1;
	store_bind_text(q, "$hash", hash);
	store_bind_i64(q, "$id", id);
	return row_change(db, q, e);
}

int model_operator_remove(struct store_db *db, int64_t id, struct err *e)
{
	static const char *const parts[] = {"DELETE FROM token WHERE operator_id = $id",
	    "DELETE FROM grant_role WHERE operator_id = $id",
	    "DELETE FROM idempotency WHERE operator_id = $id"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct store_stmt *q = store_prepare(db, parts[i], e);

		if (!q)
			return -1;
		store_bind_i64(q, "$id", id);
		if (store_exec(q, e) < 0)
			return -1;
	}
	return guarded(db, "DELETE FROM operator WHERE id = $id AND $value = 0", id, 0, e);
}

int model_operator_count(struct store_db *db, int64_t *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db, "SELECT count(*) FROM operator", e);

	return q && row_number(q, ret, e) > 0 ? 0 : -1;
}

static int grant_remove(struct store_db *db, int64_t operator_id, int64_t project_id, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "DELETE FROM grant_role WHERE operator_id = $operator AND project_id = $project", e);

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_i64(q, "$project", project_id);
	return store_exec(q, e);
}

int model_grant_set(struct store_db *db, int64_t operator_id, int64_t project_id,
    enum model_role role, struct err *e)
{
	struct store_stmt *q;
	int rc;

	if (role == MODEL_ROLE_NONE)
		return grant_remove(db, operator_id, project_id, e);
	q = store_prepare(db,
	    "INSERT INTO grant_role(operator_id, project_id, role) SELECT o.id, p.id, $role FROM "
	    "operator o, project p"
	    " WHERE o.id = $operator AND p.id = $project AND p.removed_ms = 0"
	    " ON CONFLICT (operator_id, project_id) DO UPDATE SET role = $role",
	    e);
	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_i64(q, "$project", project_id);
	store_bind_i64(q, "$role", role);
	rc = row_change(db, q, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "there is no such operator or project");
	return rc < 0 ? -1 : 0;
}

static void fill_grant(struct row *r, void *ret)
{
	*(struct model_grant *)ret = (struct model_grant){
	    .operator_id = row_i64(r, 0),
	    .project_id = row_i64(r, 1),
	    .operator_name = row_str(r, 2),
	    .project = row_str(r, 3),
	    .role = (enum model_role)row_i64(r, 4),
	};
}

int model_grant_list(struct store_db *db, struct arena *a, int64_t operator_id, int64_t project_id,
    struct model_grants *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT g.operator_id, g.project_id, o.name, p.name, g.role FROM grant_role g"
	    " JOIN operator o ON o.id = g.operator_id JOIN project p ON p.id = g.project_id"
	    " WHERE ($operator = 0 OR g.operator_id = $operator) AND ($project = 0 OR g.project_id "
	    "= $project)"
	    " ORDER BY o.name, p.name",
	    e);
	struct row_list l;

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_i64(q, "$project", project_id);
	if (row_list(q, a, sizeof(struct model_grant), 0, fill_grant, &l, e) < 0)
		return -1;
	ROW_LIST_INTO(ret, l);
	return 0;
}

int model_role_on(struct store_db *db, int64_t operator_id, int64_t project_id,
    enum model_role *ret, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "SELECT CASE WHEN g.role > o.role THEN g.role ELSE o.role END FROM operator o"
	    " LEFT JOIN grant_role g ON g.operator_id = o.id AND g.project_id = $project"
	    " WHERE o.id = $operator AND o.disabled = 0",
	    e);
	int64_t role = MODEL_ROLE_NONE;

	if (!q)
		return -1;
	store_bind_i64(q, "$operator", operator_id);
	store_bind_i64(q, "$project", project_id);
	if (row_number(q, &role, e) < 0)
		return -1;
	*ret = (enum model_role)role;
	return 0;
}
