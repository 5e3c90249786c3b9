/* Processes: how many are wanted (the store), and what runs (the supervisor, on the loop). */
#include "api/routes.h"

#include "base/clock.h"
#include "kinds/plan.h"
#include "model/project.h"
#include "model/release.h"

#include <string.h>

enum { ANSWER_BYTES_MAX = 1 << 20 };

struct wanted {
	struct str name;
	int64_t count;
};

/* Lives in the request's arena, which lasts until the answer. */
struct listing {
	struct http_call *http;
	struct run *run;
	struct str project;
	struct wanted *v;
	size_t n, max;
};

static void wanted_set(struct listing *l, struct str name, int64_t count, bool keep)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!str_eq(l->v[i].name, name))
			continue;
		if (!keep)
			l->v[i].count = count;
		return;
	}
	if (l->n < l->max)
		l->v[l->n++] = (struct wanted){name, count};
}

/* The processes of the live release's plan, one instance each unless the scale says otherwise. */
static int wanted_read(struct api_call *c, struct listing *l, struct err *e)
{
	struct model_scales scales;
	struct model_release r;
	struct plan plan = {0};
	int64_t id = c->who->project_id, live = 0, previous = 0;
	struct store_db *db = api_reading(c, e);
	if (!db || model_live_get(db, id, &live, &previous, e) < 0 ||
	    model_scale_list(db, c->r->arena, id, api_viewer(c), &scales, e) < 0)
		return -1;
	int found = live ? model_release_get(db, c->r->arena, id, live, api_viewer(c), &r, e) : 0;
	if (found < 0 || (found > 0 && plan_unpack(r.plan, c->r->arena, &plan, e) < 0))
		return -1;
	l->max = plan.process_count + scales.n;
	l->v = arena_array(c->r->arena, l->max + 1, sizeof(*l->v));
	if (!l->v)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	for (size_t i = 0; i < plan.process_count; i++)
		wanted_set(l, plan.processes[i].name, 1, true);
	for (size_t i = 0; i < scales.n; i++)
		wanted_set(l, scales.v[i].process, scales.v[i].count, false);
	return 0;
}

static const char *state_name(uint8_t state)
{
	static const char *const names[PRIV_STATE_COUNT] = {
	    "", "starting", "running", "backoff", "stopping", "ended", "asleep"};
	return state < PRIV_STATE_COUNT ? names[state] : "";
}

static void instance_json(struct json_out *w, const struct priv_status *s)
{
	bool up = s->pid > 0 && s->started_mono_ms > 0;
	json_open_object(w, NULL);
	json_put_i64(w, "instance", s->instance);
	json_put_i64(w, "release", s->release);
	json_put_str(w, "state", str_c(state_name(s->state)));
	api_put_i64_or_null(w, "pid", s->pid);
	api_put_i64_or_null(w, "port", s->port);
	json_put_i64(w, "starts", s->starts);
	json_put_bool(w, "throttled", s->throttled != 0);
	if (up)
		json_put_i64(w, "up_ms", clock_mono_ms() - (int64_t)s->started_mono_ms);
	else
		json_put_null(w, "up_ms");
	json_close_object(w);
}

static bool of_project(const struct listing *l, const struct priv_status *s)
{
	return s->class == PRIV_SERVICE && s->program != PRIV_PROGRAM_RELAY &&
	       str_eq_c(l->project, s->project);
}

static void process_json(struct json_out *w, const struct listing *l, size_t i,
    const struct priv_status *const *statuses, size_t status_count)
{
	json_open_object(w, NULL);
	json_put_str(w, "name", l->v[i].name);
	json_put_i64(w, "count", l->v[i].count);
	json_open_array(w, "instances");
	for (size_t j = 0; j < status_count; j++)
		if (of_project(l, statuses[j]) && str_eq_c(l->v[i].name, statuses[j]->process))
			instance_json(w, statuses[j]);
	json_close_array(w);
	json_close_object(w);
}

static void listing_answer(void *ctx)
{
	struct listing *l = ctx;
	const struct priv_status *const *statuses = NULL;
	size_t status_count = l->run ? run_statuses(l->run, &statuses) : 0;
	struct buf b CLEANUP_BUF;
	struct json_out w;
	buf_init(&b, ANSWER_BYTES_MAX);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_open_array(&w, "items");
	for (size_t i = 0; i < l->n; i++)
		process_json(&w, l, i, statuses, status_count);
	json_close_array(&w);
	json_close_object(&w);
	http_reply_json(l->http, 200, buf_view(&b));
}

int api_process_list(struct api_call *c, struct err *e)
{
	struct listing *l = arena_alloc(c->r->arena, sizeof(*l));
	if (!l)
		return err_set(e, ERR_TOO_LARGE, "the request needs too much memory");
	*l = (struct listing){.http = c->http, .run = c->cx->run, .project = c->who->project};
	if (wanted_read(c, l, e) < 0)
		return -1;
	c->answered = true;
	loop_post(c->cx->loop, listing_answer, l);
	return 0;
}
