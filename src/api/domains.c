/* Host names of a project. A change is told to the edge by a task when something is live. */
#include "api/input.h"
#include "api/order.h"
#include "api/routes.h"

#include "base/clock.h"
#include "model/domain.h"

int api_domain_list(struct api_call *c, struct err *e)
{
	struct model_domains list;
	struct store_db *db = api_reading(c, e);
	if (!db || model_domain_list(
		       db, c->r->arena, c->who->project_id, STR(""), api_viewer(c), &list, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < list.n; i++) {
		json_open_object(&c->w, NULL);
		json_put_str(&c->w, "domain", list.v[i].host);
		json_put_time(&c->w, "created_at", list.v[i].created_ms);
		json_close_object(&c->w);
	}
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}

static int add_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct str host = *(const struct str *)ctx;
	int64_t task = 0, now = clock_wall_ms();
	int added = model_domain_add(db, c->who->project_id, host, now, e);
	if (added < 0)
		return err_at(e, "/domain");
	if (added > 0 &&
	    (api_audit(c, db, host, STR_NONE, e) < 0 || api_order_edge_unit(c, db, &task, e) < 0))
		return -1;
	c->status = added ? 201 : 200;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "domain", host);
	json_put_time(&c->w, "created_at", now);
	api_put_i64_or_null(&c->w, "task", task);
	json_close_object(&c->w);
	return 0;
}

int api_domain_add(struct api_call *c, struct err *e)
{
	struct str host = api_str(c->body, "domain");
	if (api_domain_check(c, c->who->project, host, e) < 0)
		return err_at(e, "/domain");
	return api_write(c, add_unit, &host, e);
}

static int remove_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct str host = *(const struct str *)ctx;
	int64_t task = 0;
	int found = model_domain_remove(db, c->who->project_id, host, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("domain", host, e);
	if (api_audit(c, db, host, STR_NONE, e) < 0 || api_order_edge_unit(c, db, &task, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	api_put_i64_or_null(&c->w, "task", task);
	json_close_object(&c->w);
	return 0;
}

int api_domain_remove(struct api_call *c, struct err *e)
{
	struct str host = http_param(c->http, "domain");
	return api_write(c, remove_unit, &host, e);
}
