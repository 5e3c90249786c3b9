/* Devices of the server that a project's programs may open. Who runs the platform grants them; slipway.yaml says which it uses. */
#include "api/order.h"
#include "api/routes.h"

#include "base/clock.h"
#include "model/device.h"
#include "model/project.h"

static void grants_json(struct json_out *w, const struct model_device_grants *all)
{
	json_open_object(w, NULL);
	json_open_array(w, "items");
	for (size_t i = 0; i < all->n; i++) {
		if (all->v[i].device >= DEVICE_COUNT)
			continue;
		json_open_object(w, NULL);
		json_put_str(w, "device", str_c(device_name(all->v[i].device)));
		json_put_str(w, "granted_by", all->v[i].granted_by);
		json_put_time(w, "granted_at", all->v[i].granted_ms);
		json_close_object(w);
	}
	json_close_array(w);
	json_close_object(w);
}

int api_device_list(struct api_call *c, struct err *e)
{
	struct model_device_grants all;
	struct store_db *db = api_reading(c, e);
	if (!db ||
	    model_device_list(db, c->r->arena, c->who->project_id, api_viewer(c), &all, e) < 0)
		return -1;
	grants_json(&c->w, &all);
	return 0;
}

static int grant_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	enum device d = *(const enum device *)ctx;
	int64_t now = clock_wall_ms();
	int added = model_device_grant(db, c->who->project_id, d, c->who->name, now, e);
	if (added < 0 ||
	    (added > 0 && api_audit(c, db, c->who->project, str_c(device_name(d)), e) < 0))
		return -1;
	struct model_device_grants all;
	if (model_device_list(db, c->r->arena, c->who->project_id, MODEL_EVERYTHING, &all, e) < 0)
		return -1;
	grants_json(&c->w, &all);
	return 0;
}

int api_device_grant(struct api_call *c, struct err *e)
{
	enum device d;
	return device_parse(http_param(c->http, "device"), &d, e) != 0
		   ? -1
		   : api_write(c, grant_unit, &d, e);
}

/* What runs holds it open: it starts anew, without. */
static int revoke_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	enum device d = *(const enum device *)ctx;
	int64_t task = 0;
	int gone = model_device_revoke(db, c->who->project_id, d, e);
	if (gone <= 0)
		return gone < 0 ? -1 : api_absent("device", str_c(device_name(d)), e);
	if (api_audit(c, db, c->who->project, str_c(device_name(d)), e) < 0)
		return -1;
	struct model_project p;
	if (model_project_get_id(db, c->r->arena, c->who->project_id, MODEL_EVERYTHING, &p, e) < 0)
		return -1;
	if (p.desired_running && api_order_live_unit(c, db, MODEL_TASK_RESTART, &task, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_bool(&c->w, "removed", true);
	api_put_i64_or_null(&c->w, "task", task);
	json_close_object(&c->w);
	return 0;
}

int api_device_revoke(struct api_call *c, struct err *e)
{
	enum device d;
	return device_parse(http_param(c->http, "device"), &d, e) != 0
		   ? -1
		   : api_write(c, revoke_unit, &d, e);
}
