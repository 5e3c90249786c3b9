/* What concerns the platform itself: version, health, figures, who you are. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/counters.h"
#include "hooks/figures.h"
#include "model/project.h"
#include "model/task.h"

#include <inttypes.h>

int api_version_get(struct api_call *c, struct err *e)
{
	(void)e;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "name", STR("slipway"));
	json_put_str(&c->w, "version", STR(SLIPWAY_VERSION));
	json_put_str(&c->w, "api", STR("v1"));
	json_close_object(&c->w);
	return 0;
}

/* Healthy is: the store answers a read. */
int api_health_get(struct api_call *c, struct err *e)
{
	int64_t projects;
	struct store_db *db = api_reading(c, e);
	if (!db || model_project_count(db, &projects, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "status", STR("ok"));
	json_close_object(&c->w);
	return 0;
}

int api_openapi_get(struct api_call *c, struct err *e)
{
	(void)e;
	api_openapi_write(&c->out);
	return 0;
}

int api_whoami_get(struct api_call *c, struct err *e)
{
	(void)e;
	json_open_object(&c->w, NULL);
	json_put_str(&c->w, "name", c->who->name);
	json_put_str(&c->w, "role", str_c(model_role_name(c->who->global_role)));
	json_put_bool(&c->w, "local", c->who->everything);
	json_close_object(&c->w);
	return 0;
}

static void gauge_put(struct buf *b, const char *name, const char *help, int64_t v)
{
	buf_printf(b, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRId64 "\n", name, help, name, name, v);
}

int api_metrics_get(struct api_call *c, struct err *e)
{
	int64_t projects, tasks[MODEL_TASK_STATE_COUNT];
	struct store_db *db = api_reading(c, e);
	if (!db || model_project_count(db, &projects, e) < 0 || model_task_counts(db, tasks, e) < 0)
		return -1;
	struct buf *b = &c->out;
	for (int i = 0; i < COUNTER_COUNT; i++) {
		const char *name = counter_name((enum counter)i);
		buf_printf(b, "# HELP %s %s\n# TYPE %s counter\n%s %" PRIu64 "\n", name,
		    counter_help((enum counter)i), name, name, counter_get((enum counter)i));
	}
	gauge_put(b, "slipway_projects", "Projects.", projects);
	gauge_put(b, "slipway_uptime_seconds", "Since the daemon was started.",
	    (clock_wall_ms() - c->cx->started_ms) / 1000);
	buf_c(b, "# HELP slipway_tasks Tasks by state.\n# TYPE slipway_tasks gauge\n");
	for (int i = 0; i < MODEL_TASK_STATE_COUNT; i++)
		buf_printf(b, "slipway_tasks{state=\"%s\"} %" PRId64 "\n",
		    model_task_state_name((enum model_task_state)i), tasks[i]);
	figures_write(b);
	if (c->cx->requests)
		requests_write(c->cx->requests, c->route->access.need != ACCESS_PUBLIC, b);
	if (c->cx->notify)
		notify_figures_write(c->cx->notify, b);
	if (buf_check(b, "the answer", e) < 0)
		return -1;
	c->answered = true;
	http_reply(c->http, 200, "text/plain; version=0.0.4; charset=utf-8", buf_view(b));
	return 0;
}
