/* Roles on projects, and the audit trail. */
#include "api/routes.h"

#include "base/hex.h"
#include "model/audit.h"
#include "model/operator.h"
#include "model/project.h"

static void grant_json(
    struct api_call *c, struct str operator_name, struct str project, enum model_role role)
{
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "operator", operator_name);
	json_put_str(&c->w, "project", project);
	json_put_str(&c->w, "role", str_c(model_role_name(role)));
	json_close_object(&c->w);
}

/* The subject's own, and all on projects where it is admin. */
int api_grant_list(struct api_call *c, struct err *e)
{
	struct model_grants list;
	struct store_db *db = api_reading(c, e);
	if (!db || model_grant_list(db, c->r->arena, 0, 0, &list, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < list.n; i++) {
		const struct model_grant *g = &list.v[i];
		enum model_role role;
		if (access_role_on(db, c->who, g->project_id, &role, e) < 0)
			return -1;
		if (role >= MODEL_ROLE_ADMIN ||
		    (c->who->operator_id && g->operator_id == c->who->operator_id))
			grant_json(c, g->operator_name, g->project, g->role);
	}
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

struct grant_new {
	struct str operator_name, project;
	enum model_role role;
};

static int operator_find(struct api_call *c, struct store_db *db, struct str name,
    struct model_operator *ret, struct err *e)
{
	int found = model_operator_get(db, c->r->arena, name, ret, e);
	if (found < 0)
		return -1;
	return found ? 0 : api_absent("operator", name, e);
}

/* What the role of the subject on a project allows: to give roles up to its own. */
static int grant_allowed(struct api_call *c, struct store_db *db, const struct model_project *p,
    enum model_role given, struct err *e)
{
	enum model_role own;
	if (access_role_on(db, c->who, p->id, &own, e) < 0)
		return -1;
	if (own < MODEL_ROLE_ADMIN)
		return err_set(e, ERR_FORBIDDEN, "you are %s on '%.*s'; this needs admin",
		    model_role_name(own), STR_ARG(p->name));
	if (given > own)
		return err_set(e, ERR_FORBIDDEN, "you are %s on '%.*s' and cannot make somebody %s",
		    model_role_name(own), STR_ARG(p->name), model_role_name(given));
	return 0;
}

static int grant_set_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct grant_new *g = ctx;
	struct model_project p;
	struct model_operator o;
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	int found = model_project_get(db, c->r->arena, g->project, viewer, &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", g->project, e);
	if (grant_allowed(c, db, &p, g->role, e) < 0 ||
	    operator_find(c, db, g->operator_name, &o, e) < 0 ||
	    model_grant_set(db, o.id, p.id, g->role, e) < 0)
		return -1;
	struct access_subject who = *c->who;
	who.project_id = p.id;
	if (access_unit_audit(db, &who, c->route->access.action, o.name, "ok",
		str_c(model_role_name(g->role)), e) < 0)
		return -1;
	grant_json(c, o.name, p.name, g->role);
	return 0;
}

int api_grant_set(struct api_call *c, struct err *e)
{
	struct grant_new g = {
	    .operator_name = api_str(c->body, "operator"), .project = api_str(c->body, "project")};
	if (model_role_parse(api_str(c->body, "role"), &g.role, e) < 0)
		return err_at(e, "/role");
	if (g.role == MODEL_ROLE_NONE) {
		err_set(e, ERR_INVALID, "no role is taken away with DELETE");
		return err_at(e, "/role");
	}
	return api_write(c, grant_set_unit, &g, e);
}

static int grant_remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_operator o;
	struct model_grants list;
	struct str name = http_param(c->http, "operator");
	if (operator_find(c, db, name, &o, e) < 0 ||
	    model_grant_list(db, c->r->arena, o.id, c->who->project_id, &list, e) < 0)
		return -1;
	if (list.n == 0)
		return api_absent("grant of", name, e);
	if (list.v[0].role > c->who->project_role)
		return err_set(e, ERR_FORBIDDEN, "you are %s here and cannot take %s away",
		    model_role_name(c->who->project_role), model_role_name(list.v[0].role));
	if (model_grant_set(db, o.id, c->who->project_id, MODEL_ROLE_NONE, e) < 0 ||
	    api_audit(c, db, o.name, STR_NONE, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	json_close_object(&c->w);
	return 0;
}

int api_grant_remove(struct api_call *c, struct err *e)
{
	return api_write(c, grant_remove_unit, NULL, e);
}

/* The audit trail. */

static void audit_json(struct api_call *c, const struct model_audit *a)
{
	char chain[2 * MODEL_AUDIT_CHAIN_BYTES + 1] = "";
	if (a->chain.n == MODEL_AUDIT_CHAIN_BYTES)
		hex_encode(a->chain.p, a->chain.n, chain);
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "id", a->id);
	json_put_time(&c->w, "at", a->at_ms);
	json_put_str(&c->w, "operator", a->operator_name);
	json_put_str(&c->w, "action", a->action);
	json_put_str(&c->w, "target", a->target);
	json_put_str(&c->w, "outcome", a->outcome);
	json_put_str(&c->w, "detail", a->detail.p ? a->detail : STR(""));
	json_put_str(&c->w, "chain", str_c(chain));
	json_close_object(&c->w);
}

/* Whoever is admin nowhere gets an empty list; ?project= narrows it. */
int api_audit_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_audits list;
	struct model_project p = {0};
	struct str name = http_query(c->r, "project");
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_ADMIN);
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0)
		return -1;
	if (name.p) {
		int found = model_project_get(db, c->r->arena, name, viewer, &p, e);
		if (found <= 0)
			return found < 0 ? -1 : api_absent("project", name, e);
	}
	if (model_audit_list(db, c->r->arena, p.id, page, viewer, &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		audit_json(c, &list.v[i]);
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}
