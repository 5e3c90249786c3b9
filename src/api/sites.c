/* Sites of an nginx-site project: what is served, as the live release has it. */
#include "api/routes.h"
#include "api/view.h"

#include "kinds/plan.h"

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

static void site_json(struct json_out *w, const struct plan_site *s)
{
	json_open_object(w, NULL);
	json_put_str(w, "name", s->name);
	json_put_str(w, "file", s->file);
	json_open_array(w, "domains");
	for (size_t i = 0; i < s->domains.n; i++)
		json_put_str(w, NULL, s->domains.v[i]);
	json_close_array(w);
	json_put_str(w, "certificate", s->certified ? STR("self-signed") : STR("none"));
	json_close_object(w);
}

int api_site_list(struct api_call *c, struct err *e)
{
	struct plan plan;
	struct store_db *db = api_reading(c, e);
	if (!db || read_plan(c, db, &plan, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < plan.site_count; i++)
		site_json(&c->w, &plan.sites[i]);
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}
