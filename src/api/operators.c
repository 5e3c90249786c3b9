/* Operators and their tokens. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/name.h"
#include "model/operator.h"

static void operator_json(struct api_call *c, const struct model_operator *o)
{
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "name", o->name);
	json_put_str(&c->w, "role", str_c(model_role_name(o->role)));
	json_put_bool(&c->w, "disabled", o->disabled);
	json_put_time(&c->w, "created_at", o->created_ms);
	json_close_object(&c->w);
}

static void removed_json(struct api_call *c)
{
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
}

int api_operator_list(struct api_call *c, struct err *e)
{
	struct str after;
	uint32_t limit;
	struct model_operators list;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page_name(c, &after, &limit, e) < 0 ||
	    model_operator_list(db, c->r->arena, after, limit, &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		operator_json(c, &list.v[i]);
	api_list_close(c, list.more, list.n ? list.v[list.n - 1].name : STR(""));
	return 0;
}

static int operator_create_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct model_operator *o = ctx;
	if (model_operator_add(db, o, &o->id, e) < 0) {
		if (e->code == ERR_CONFLICT)
			err_at(e, "/name");
		return -1;
	}
	if (api_audit(c, db, o->name, str_c(model_role_name(o->role)), e) < 0)
		return -1;
	operator_json(c, o);
	return 0;
}

int api_operator_create(struct api_call *c, struct err *e)
{
	struct model_operator o = {.name = api_str(c->body, "name"), .created_ms = clock_wall_ms()};
	struct str role = api_str(c->body, "role");
	if (name_operator(o.name, e) < 0)
		return err_at(e, "/name");
	if (role.p && model_role_parse(role, &o.role, e) < 0)
		return err_at(e, "/role");
	return api_write(c, operator_create_unit, &o, e);
}

/* The operator of that name: 0, or ERR_NOT_FOUND. */
static int operator_find(struct api_call *c, struct store_db *db, struct str name,
    struct model_operator *ret, struct err *e)
{
	int found = model_operator_get(db, c->r->arena, name, ret, e);
	if (found < 0)
		return -1;
	return found ? 0 : api_absent("operator", name, e);
}

static int operator_remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_operator o;
	if (operator_find(c, db, http_param(c->http, "operator"), &o, e) < 0 ||
	    model_operator_remove(db, o.id, e) < 0 || api_audit(c, db, o.name, STR_NONE, e) < 0)
		return -1;
	removed_json(c);
	return 0;
}

int api_operator_remove(struct api_call *c, struct err *e)
{
	return api_write(c, operator_remove_unit, NULL, e);
}

/* Tokens. */

static void token_json(
    struct api_call *c, const struct model_token *t, struct str operator_name, const char *token)
{
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "id", t->id);
	json_put_str(&c->w, "label", t->label.p ? t->label : STR(""));
	json_put_str(&c->w, "operator", operator_name);
	json_put_time(&c->w, "created_at", t->created_ms);
	json_put_time(&c->w, "expires_at", t->expires_ms);
	json_put_time(&c->w, "last_used_at", t->last_used_ms);
	if (token)
		json_put_str(&c->w, "token", str_c(token));
	json_close_object(&c->w);
}

/* Whose tokens are meant: the subject's own, or, for owners, those of the operator named. */
static int token_owner(struct api_call *c, struct store_db *db, struct str name,
    struct model_operator *ret, struct err *e)
{
	if (name.n && !str_eq(name, c->who->name)) {
		if (c->who->global_role < MODEL_ROLE_OWNER)
			return err_set(
			    e, ERR_FORBIDDEN, "only owners deal with tokens of somebody else");
		return operator_find(c, db, name, ret, e);
	}
	if (!c->who->operator_id) {
		err_set(e, ERR_CONFLICT, "'%.*s' is no operator, so no token can speak for it",
		    STR_ARG(c->who->name));
		return err_hint(e, "say whose: slipway tokens create --operator NAME");
	}
	int found = model_operator_get_id(db, c->r->arena, c->who->operator_id, ret, e);
	if (found < 0)
		return -1;
	return found ? 0 : api_absent("operator", c->who->name, e);
}

int api_token_list(struct api_call *c, struct err *e)
{
	struct model_operator o;
	struct model_tokens list;
	struct store_db *db = api_reading(c, e);
	if (!db || token_owner(c, db, http_query(c->r, "operator"), &o, e) < 0 ||
	    model_token_list(db, c->r->arena, o.id, &list, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < list.n; i++)
		if (!list.v[i].revoked)
			token_json(c, &list.v[i], o.name, NULL);
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

struct token_new {
	struct str operator_name;
	struct model_token row;
};

static int token_create_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct token_new *n = ctx;
	struct model_operator o;
	char token[ACCESS_TOKEN_SIZE];
	if (token_owner(c, db, n->operator_name, &o, e) < 0 ||
	    access_unit_token(db, o.id, n->row.label, n->row.expires_ms, token, &n->row.id, e) <
		0 ||
	    api_audit(c, db, o.name, n->row.label, e) < 0)
		return -1;
	n->row.created_ms = clock_wall_ms();
	token_json(c, &n->row, o.name, token);
	return 0;
}

int api_token_create(struct api_call *c, struct err *e)
{
	struct token_new n = {.operator_name = api_str(c->body, "operator")};
	struct str label = api_str(c->body, "label"), expires = api_str(c->body, "expires_at");
	n.row.label = label.p ? label : STR("");
	if (expires.p &&
	    (!clock_parse(expires, &n.row.expires_ms) || n.row.expires_ms <= clock_wall_ms())) {
		err_set(e, ERR_INVALID, "expires_at is over already");
		return err_at(e, "/expires_at");
	}
	return api_write(c, token_create_unit, &n, e);
}

static int token_revoke_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	int64_t id = *(const int64_t *)ctx;
	int64_t only = c->who->global_role >= MODEL_ROLE_OWNER ? 0 : c->who->operator_id;
	int found = model_token_revoke(db, id, only, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("token", http_param(c->http, "token"), e);
	if (api_audit(c, db, http_param(c->http, "token"), STR_NONE, e) < 0)
		return -1;
	removed_json(c);
	return 0;
}

int api_token_revoke(struct api_call *c, struct err *e)
{
	int64_t id;
	if (api_param_id(c, "token", "token", &id, e) < 0)
		return -1;
	return api_write(c, token_revoke_unit, &id, e);
}
