/* Certificates: what serves, and orders about it. All but looking becomes a task of the project. */
#include "api/order.h"
#include "api/own_certificates.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/name.h"
#include "crypto/certificate.h"
#include "model/certificate.h"
#include "model/place.h"
#include "model/site_certificate.h"
#include "model/project.h"
#include "model/release.h"

#include <stdio.h>
#include <time.h>

static void certificate_json(
    struct json_out *w, struct str project, const struct model_certificate *c)
{
	json_open_object(w, NULL);
	api_certificate_members(w, project, "", c);
	json_close_object(w);
}

int api_certificate_list(struct api_call *c, struct err *e)
{
	struct model_certificates list;
	struct store_db *db = api_reading(c, e);
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	if (!db || model_certificate_list(db, c->r->arena, viewer, &list, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < list.n; i++)
		certificate_json(&c->w, list.v[i].project, &list.v[i]);
	if (api_own_certificates_list(c, db, e) < 0)
		return -1;
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

int api_certificate_get(struct api_call *c, struct err *e)
{
	struct model_certificate row = {0};
	struct store_db *db = api_reading(c, e);
	if (!db ||
	    model_certificate_get(db, c->r->arena, c->who->project_id, api_viewer(c), &row, e) < 0)
		return -1;
	certificate_json(&c->w, c->who->project, &row);
	return 0;
}

struct order {
	const char *action;
	bool staging;
	struct str chain, key, site; /* site: of an nginx-site project */
};

/* Nothing is asked of an authority before the time it named. */
static int check_limit(struct api_call *c, struct store_db *db, struct str site, struct err *e)
{
	struct model_certificate row = {0};
	char text[24] = "";
	struct tm tm;
	int rc = site.n ? model_site_certificate_get(
			      db, c->r->arena, c->who->project_id, site, api_viewer(c), &row, e)
			: model_certificate_get(
			      db, c->r->arena, c->who->project_id, api_viewer(c), &row, e);
	time_t until = (time_t)(row.limited_ms / 1000);
	if (rc <= 0 || row.limited_ms <= clock_wall_ms())
		return rc < 0 ? -1 : 0;
	if (gmtime_r(&until, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &tm);
	err_set(e, ERR_RATE, "the authority takes no order for these names before %s", text);
	return err_hint(e,
	    "its rehearsal has limits of its own: slipway certs issue %.*s --staging",
	    STR_ARG(c->who->project));
}

static int give(struct api_call *c, struct store_db *db, const struct order *o, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str sealed;
	return api_seal(c, model_place_certificate(c->who->project_id, place), o->key, &sealed, e) <
		       0
		   ? -1
		   : model_certificate_give(db, c->who->project_id, o->chain, sealed, e);
}

static int order_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	const struct order *o = ctx;
	char input[NAME_SITE_MAX + 96];
	int64_t live = 0, previous = 0, task = 0;
	if (model_live_get(db, c->who->project_id, &live, &previous, e) < 0)
		return -1;
	if (live == 0) {
		err_set(e, ERR_CONFLICT, "nothing of '%.*s' was deployed yet",
		    STR_ARG(c->who->project));
		return err_hint(e, "slipway deploy %.*s", STR_ARG(c->who->project));
	}
	bool asks = str_eq_c(STR("issue"), o->action) || str_eq_c(STR("renew"), o->action);
	if ((asks && !o->staging && check_limit(c, db, o->site, e) < 0) ||
	    (o->key.n && give(c, db, o, e) < 0))
		return -1;
	(void)snprintf(input, sizeof(input), "{\"action\":\"%s\"%s%s%.*s%s}", o->action,
	    o->staging ? ",\"staging\":true" : "", o->site.n ? ",\"site\":\"" : "",
	    STR_ARG(o->site), o->site.n ? "\"" : "");
	const struct api_order q = {.kind = MODEL_TASK_CERTIFICATE, .input = str_c(input)};
	if (api_order_unit(c, db, &q, &task, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", task);
	json_close_object(&c->w);
	api_location(c, "/api/v1/tasks/%lld", (long long)task);
	return 0;
}

int api_certificate_issue(struct api_call *c, struct err *e)
{
	struct order o = {.action = "issue",
	    .staging = api_bool(c->body, "staging", false),
	    .site = api_str(c->body, "site")};
	if (o.site.n && name_site(o.site, e) < 0)
		return err_at(e, "/site");
	return api_write(c, order_unit, &o, e);
}

int api_certificate_renew(struct api_call *c, struct err *e)
{
	struct order o = {.action = "renew"};
	return api_write(c, order_unit, &o, e);
}

int api_certificate_revoke(struct api_call *c, struct err *e)
{
	struct order o = {.action = "revoke"};
	return api_write(c, order_unit, &o, e);
}

int api_certificate_remove(struct api_call *c, struct err *e)
{
	struct order o = {.action = "delete"};
	return api_write(c, order_unit, &o, e);
}

/* Judged here for a quick answer, and again by the helper, which believes nobody. */
int api_certificate_import(struct api_call *c, struct err *e)
{
	struct order o = {
	    .action = "import", .chain = api_str(c->body, "chain"), .key = api_str(c->body, "key")};
	struct certificate judged;
	certificate_init(&judged);
	int rc = certificate_pair(o.chain, o.key, clock_wall_ms(), &judged, e);
	certificate_fini(&judged);
	return rc != 0 ? -1 : api_write(c, order_unit, &o, e);
}
