/* What arrived at a project's hooks. */
#include "api/hook_actions.h"
#include "api/order.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/limits.h"
#include "model/action.h"
#include "model/event.h"
#include "model/hook.h"
#include "queue/intake.h"

#include <inttypes.h>

/* The caller closes it. */
static void event_open(struct api_call *c, const struct model_event *ev)
{
	struct json_out *w = &c->w;
	json_open_object(w, NULL);
	json_put_i64(w, "id", ev->id);
	json_put_str(w, "hook", ev->hook);
	json_put_str(w, "project", c->who->project);
	json_put_str(w, "delivery", ev->delivery_key);
	json_put_str(w, "kind", ev->kind);
	api_put_text(w, "ref", ev->ref);
	api_put_text(w, "before", ev->before);
	api_put_text(w, "after", ev->after);
	json_put_time(w, "received_at", ev->received_ms);
	json_put_str(w, "outcome", str_c(model_outcome_name(ev->outcome)));
	api_put_i64_or_null(w, "task", ev->task_id);
	json_put_i64(w, "attempt", ev->attempt);
}

/* ?hook=NAME, one of this project's and no other; without it all of them. */
static int event_filter(
    struct api_call *c, struct store_db *db, struct model_event_filter *ret, struct err *e)
{
	struct model_hook hook;
	struct str name = http_query(c->r, "hook");
	*ret = (struct model_event_filter){.project_id = c->who->project_id};
	if (!name.p)
		return 0;
	int found = model_hook_get(db, c->r->arena, name, api_viewer(c), &hook, e);
	if (found < 0)
		return -1;
	if (found == 0 || hook.project_id != c->who->project_id)
		return api_absent("hook", name, e);
	ret->hook_id = hook.id;
	return 0;
}

int api_event_list(struct api_call *c, struct err *e)
{
	struct model_page page;
	struct model_events list;
	struct model_event_filter filter;
	struct store_db *db = api_reading(c, e);
	if (!db || api_page(c, &page, e) < 0 || event_filter(c, db, &filter, e) < 0 ||
	    model_event_list(db, c->r->arena, filter, page, api_viewer(c), &list, e) < 0)
		return -1;
	api_list_open(c);
	for (size_t i = 0; i < list.n; i++) {
		event_open(c, &list.v[i]);
		json_close_object(&c->w);
	}
	api_list_close_id(c, list.more, list.n ? list.v[list.n - 1].id : 0);
	return 0;
}

/* The event that the route names, of this project and no other: 0, or ERR_NOT_FOUND. */
static int event_find(
    struct api_call *c, struct store_db *db, struct model_event *ret, struct err *e)
{
	int64_t id;
	if (api_param_id(c, "event", "event", &id, e) < 0)
		return -1;
	int found = model_event_get(db, c->r->arena, id, api_viewer(c), ret, e);
	if (found < 0)
		return -1;
	if (found == 0 || ret->project_id != c->who->project_id)
		return api_absent("event", http_param(c->http, "event"), e);
	return 0;
}

/* A body may be larger than the arena of a request: it gets one of its own. */
int api_event_get(struct api_call *c, struct err *e)
{
	struct model_event ev;
	struct str body = STR_NONE;
	struct arena room CLEANUP_ARENA;
	arena_init(&room, 2 * (size_t)LIMIT_HOOK_BODY_BYTES);
	struct store_db *db = api_reading(c, e);
	if (!db || event_find(c, db, &ev, e) < 0 ||
	    model_event_body(db, &room, ev.id, api_viewer(c), &body, e) < 0 ||
	    intake_body(c->cx->intake, &ev, &room, &body, e) < 0)
		return -1;
	buf_fini(&c->out);
	buf_init(&c->out, 6 * (size_t)LIMIT_HOOK_BODY_BYTES + 65536);
	json_out_init(&c->w, &c->out);
	event_open(c, &ev);
	if (api_event_actions(c, db, ev.id, e) < 0)
		return -1;
	if (body.p)
		json_put_str(&c->w, "body", body);
	json_close_object(&c->w);
	return 0;
}

static int replay_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	(void)ctx;
	struct model_event ev;
	int64_t task = 0;
	if (event_find(c, db, &ev, e) < 0)
		return -1;
	int again = model_action_restart(db, ev.id, clock_wall_ms(), e);
	if (again < 0)
		return -1;
	if (again > 0) {
		c->kick = true;
		if (api_audit(c, db, str_c(arena_printf(c->r->arena, "event %" PRId64, ev.id)),
			STR_NONE, e) < 0)
			return -1;
		json_open_object(&c->w, NULL);
		json_put_null(&c->w, "task");
		json_put_i64(&c->w, "event", ev.id);
		json_close_object(&c->w);
		return 0;
	}
	if (!ev.ref.n || str_starts(ev.ref, STR("refs/"))) {
		err_set(e, ERR_CONFLICT, "event %" PRId64 " names no branch", ev.id);
		return err_hint(e, "slipway deploy %.*s", STR_ARG(c->who->project));
	}
	struct api_order o = {.kind = MODEL_TASK_DEPLOY, .ref = ev.ref};
	if (api_order_unit(c, db, &o, &task, e) < 0 ||
	    model_event_set(db, ev.id, MODEL_OUTCOME_WAITING, task, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", task);
	json_close_object(&c->w);
	return 0;
}

int api_event_replay(struct api_call *c, struct err *e)
{
	return api_write(c, replay_unit, NULL, e);
}
