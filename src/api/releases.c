/* Releases of a project. */
#include "api/routes.h"
#include "api/view.h"

int api_release_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_releases list;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0 ||
	    model_release_list(db, c->r->arena, c->who->project_id, page, api_viewer(c), &list, e) <
		0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		api_release_json(&c->w, &list.v[i], false);
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].number : 0);
	return 0;
}

int api_release_get(struct api_call *c, struct err *e)
{
	int64_t number;
	struct model_release r;
	if (api_param_id(c, "release", "release", &number, e) < 0)
		return -1;
	struct store_db *db = api_reading(c, e);
	int found = db ? model_release_get(
			     db, c->r->arena, c->who->project_id, number, api_viewer(c), &r, e)
		       : -1;
	if (found <= 0)
		return found < 0 ? -1 : api_absent("release", http_param(c->http, "release"), e);
	api_release_json(&c->w, &r, true);
	return 0;
}
