/* Tasks and their steps. */
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"

#include <inttypes.h>

/* Of one project, or of all that the subject may see: project_id is 0 then. */
int api_task_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_tasks list;
	struct model_task_filter filter = {.project_id = c->who->project_id};
	struct str state = http_query(c->r, "state");
	filter.by_state = state.p != NULL;
	if (state.p && model_task_state_parse(state, &filter.state, e) < 0)
		return -1;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0 ||
	    model_task_list(db, c->r->arena, filter, page, api_viewer(c), &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++)
		api_task_json(&c->w, NULL, &list.v[i], NULL);
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}

int api_task_read(struct api_call *c, struct model_task *t, struct model_steps *steps, struct err *e)
{
	struct store_db *db = api_reading(c, e);
	if (!db)
		return -1;
	int found = model_task_get(db, c->r->arena, c->who->task_id, api_viewer(c), t, e);
	if (found <= 0)
		return found < 0 ? -1 : api_absent("task", http_param(c->http, "task"), e);
	return model_step_list(db, c->r->arena, t->id, api_viewer(c), steps, e);
}

int api_task_get(struct api_call *c, struct err *e)
{
	struct model_task t;
	struct model_steps steps;
	if (api_task_read(c, &t, &steps, e) < 0)
		return -1;
	api_task_json(&c->w, NULL, &t, &steps);
	return 0;
}

static int cancel_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	enum model_task_state state;
	int rc = model_task_cancel(db, c->who->task_id, api_viewer(c), clock_wall_ms(), &state, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		err_set(e, ERR_CONFLICT, "task %" PRId64 " has ended already", c->who->task_id);
		return err_hint(e, "slipway rollback %.*s goes back to the release before",
		    STR_ARG(c->who->project));
	}
	c->kick = true;
	c->changed_task = c->who->task_id;
	if (api_audit(c, db, c->who->project, http_param(c->http, "task"), e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", c->who->task_id);
	json_put_str(
	    &c->w, "state", state == MODEL_TASK_RUNNING ? STR("running") : STR("cancelled"));
	json_close_object(&c->w);
	return 0;
}

int api_task_cancel(struct api_call *c, struct err *e)
{
	return api_write(c, cancel_unit, NULL, e);
}
