/* Sites of an nginx-site project: what is served, as the live release has it. */
#include "api/routes.h"
#include "api/view.h"

#include "kinds/plan.h"
#include "model/site_certificate.h"

static int read_plan(struct api_call *c, struct store_db *db, struct plan *ret, struct err *e)
{
	struct model_project p;
	struct model_release r;
	struct model_viewer viewer = access_viewer(c->who, MODEL_ROLE_VIEWER);
	*ret = (struct plan){0};
	int found = model_project_get_id(db, c->r->arena, c->who->project_id, viewer, &p, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("project", c->who->project, e);
	if (p.live == 0) /* nor has any other kind a site */
		return 0;
	found = model_release_get(db, c->r->arena, p.id, p.live, viewer, &r, e);
	return found <= 0 ? found : plan_unpack(r.plan, c->r->arena, ret, e);
}

/* What serves it, as far as the store knows: a row without a certificate is one that is on its way. */
static void certificate_json(
    struct json_out *w, const struct plan_site *s, const struct model_certificate *c)
{
	static const struct model_certificate none = {0};
	const struct model_certificate *it = c ? c : &none;
	bool has = it->installed_ms > 0;
	json_put_str(w, "certificate",
	    !s->certified ? STR("none")
	    : has	  ? str_c(model_origin_name(it->origin))
			  : STR("self-signed"));
	json_put_time(w, "not_after", it->not_after_ms);
	json_put_time(w, "next_try_at", it->renew_ms);
	json_put_str(w, "error", it->error.p ? it->error : STR(""));
}

static void site_json(
    struct json_out *w, const struct plan_site *s, const struct model_certificates *all)
{
	const struct model_certificate *c = NULL;
	for (size_t i = 0; i < all->n; i++)
		if (str_eq(all->v[i].site, s->name))
			c = &all->v[i];
	json_open_object(w, NULL);
	json_put_str(w, "name", s->name);
	json_put_str(w, "file", s->file);
	json_open_array(w, "domains");
	for (size_t i = 0; i < s->domains.n; i++)
		json_put_str(w, NULL, s->domains.v[i]);
	json_close_array(w);
	certificate_json(w, s, c);
	json_close_object(w);
}

int api_site_list(struct api_call *c, struct err *e)
{
	struct plan plan;
	struct model_certificates certificates;
	struct store_db *db = api_reading(c, e);
	if (!db || read_plan(c, db, &plan, e) < 0 ||
	    model_site_certificate_list(db, c->r->arena, c->who->project_id,
		access_viewer(c->who, MODEL_ROLE_VIEWER), &certificates, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < plan.site_count; i++)
		site_json(&c->w, &plan.sites[i], &certificates);
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}
