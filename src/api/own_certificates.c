/* The platform's own certificates: what serves, and what is asked of deploy/own.c, by way of the
 * store. */
#include "api/own_certificates.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "crypto/certificate.h"
#include "deploy/own.h"
#include "model/place.h"

#include <stdio.h>

static int find(const struct api_call *c, enum model_own *ret, struct err *e)
{
	struct str name = http_param(c->http, "which");
	return model_own_find(name, ret) == 1 ? 0
					      : api_absent("certificate of the platform", name, e);
}

static void answer(struct api_call *c, const struct model_own_certificate *row)
{
	struct json_out *w = &c->w;
	json_open_object(w, NULL);
	api_certificate_members(w, STR(""), model_own_name(row->which), &row->c);
	api_put_text(w, "under_way", row->wanted);
	json_put_str(w, "output", row->said.p ? row->said : STR(""));
	json_close_object(w);
}

static int read_row(struct api_call *c, struct store_db *db, enum model_own which,
    struct model_own_certificate *ret, struct err *e)
{
	*ret = (struct model_own_certificate){0};
	int rc = model_own_certificate_get(db, c->r->arena, which, ret, e);
	ret->which = which;
	return rc;
}

int api_own_certificate_get(struct api_call *c, struct err *e)
{
	enum model_own which;
	struct model_own_certificate row;
	struct store_db *db = find(c, &which, e) < 0 ? NULL : api_reading(c, e);
	if (!db || read_row(c, db, which, &row, e) < 0)
		return -1;
	answer(c, &row);
	return 0;
}

struct wish {
	enum model_own which;
	const char *action;
	bool staging;
	struct str chain, key;
};

static int give(struct api_call *c, struct store_db *db, const struct wish *o, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str sealed;
	return api_seal(c, model_place_own_certificate(model_own_name(o->which), place), o->key,
		   &sealed, e) < 0
		   ? -1
		   : model_own_certificate_give(db, o->which, o->chain, sealed, e);
}

static int wish_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct wish *o = ctx;
	struct model_own_certificate row;
	const struct own_ask a = {.which = o->which,
	    .action = str_c(o->action),
	    .staging = o->staging,
	    .host = c->cx->host ? c->cx->host : "slipway.localhost",
	    .https = c->cx->edge_https_port > 0,
	    .wildcard = c->cx->names_below,
	    .now_ms = clock_wall_ms()};
	if (read_row(c, db, o->which, &row, e) < 0 || own_check(&a, &row, e) < 0)
		return -1;
	row.wanted = a.action;
	row.staging =
	    o->staging || (str_eq_c(a.action, "renew") && row.c.origin == MODEL_ORIGIN_STAGING);
	if (model_own_certificate_put(db, &row, e) < 0 || (o->key.n && give(c, db, o, e) < 0) ||
	    api_audit(c, db, str_c(model_own_name(o->which)), STR_NONE, e) < 0)
		return -1;
	c->kick_own = true;
	answer(c, &row);
	return 0;
}

static int wish(struct api_call *c, struct wish o, struct err *e)
{
	return find(c, &o.which, e) < 0 ? -1 : api_write(c, wish_unit, &o, e);
}

int api_own_certificate_issue(struct api_call *c, struct err *e)
{
	return wish(
	    c, (struct wish){.action = "issue", .staging = api_bool(c->body, "staging", false)}, e);
}

int api_own_certificate_renew(struct api_call *c, struct err *e)
{
	return wish(c, (struct wish){.action = "renew"}, e);
}

int api_own_certificate_revoke(struct api_call *c, struct err *e)
{
	return wish(c, (struct wish){.action = "revoke"}, e);
}

int api_own_certificate_remove(struct api_call *c, struct err *e)
{
	return wish(c, (struct wish){.action = "delete"}, e);
}

/* Judged here for a quick answer, and again by the helper, which believes nobody. */
int api_own_certificate_import(struct api_call *c, struct err *e)
{
	struct certificate judged;
	const struct wish o = {
	    .action = "import", .chain = api_str(c->body, "chain"), .key = api_str(c->body, "key")};
	certificate_init(&judged);
	int rc = certificate_pair(o.chain, o.key, clock_wall_ms(), &judged, e);
	certificate_fini(&judged);
	return rc != 0 ? -1 : wish(c, o, e);
}

int api_own_certificates_list(struct api_call *c, struct store_db *db, struct err *e)
{
	if (!c->who->everything && c->who->global_role < MODEL_ROLE_ADMIN)
		return 0;
	for (unsigned i = 0; i < MODEL_OWN_COUNT; i++) {
		struct model_own_certificate row;
		int rc = read_row(c, db, (enum model_own)i, &row, e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			continue;
		json_open_object(&c->w, NULL);
		api_certificate_members(&c->w, STR(""), model_own_name(row.which), &row.c);
		json_close_object(&c->w);
	}
	return 0;
}

int api_wildcard_get(
    struct api_call *c, struct store_db *db, struct model_certificate *ret, struct err *e)
{
	struct model_own_certificate row = {0};
	if (c->cx->names_below && read_row(c, db, MODEL_OWN_WILDCARD, &row, e) < 0)
		return -1;
	*ret = row.c;
	return 0;
}
