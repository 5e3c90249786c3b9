/* What arrived at a project's hooks. */
#include "api/hook_actions.h"
#include "api/order.h"
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/limits.h"
#include "hooks/action.h"
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

/* An event that is to begin again, and what its body says of it: read before the unit, where
 * everybody would wait. */
struct replay {
	struct model_event ev;
	struct model_hook hook;
	struct sender_event said;
	struct str head; /* the branch that the push itself calls the repository's */
};

static int hook_of(struct api_call *c, struct store_db *db, struct replay *p, struct err *e)
{
	int found = model_hook_get(db, c->r->arena, p->ev.hook, api_viewer(c), &p->hook, e);
	return found < 0 ? -1 : found == 0 ? api_absent("hook", p->ev.hook, e) : 0;
}

static int replay_read(struct api_call *c, struct arena *room, struct replay *p, struct err *e)
{
	struct str body = STR_NONE;
	struct store_db *db = api_reading(c, e);
	if (!db || event_find(c, db, &p->ev, e) < 0 || hook_of(c, db, p, e) < 0 ||
	    model_event_body(db, room, p->ev.id, api_viewer(c), &body, e) < 0 ||
	    intake_body(c->cx->intake, &p->ev, room, &body, e) < 0)
		return -1;
	const struct sender *s = sender_find(p->hook.sender);
	sender_read_stored(p->ev.kind, p->ev.ref, body, room, &p->said);
	p->head = s ? sender_head(s, &p->said, room) : STR_NONE;
	p->said.json = STR_NONE;
	return 0;
}

/* Nothing follows from an event that its hook does not follow, but for what a person may override:
 * a pause, and what the hook takes of a branch. */
static int replay_check(struct api_call *c, const struct replay *p, const struct sender *s,
    const struct actions *own, struct err *e)
{
	const struct model_hook *h = &p->hook;
	bool own_branch = h->branch.n > 0;
	struct str branch = own_branch ? h->branch : h->project_branch;
	if (!branch.n)
		branch = p->head;
	const char *why = actions_leave_out(own, s, branch, own_branch, &p->said, c->r->arena);
	if (!own->own && !p->said.push) {
		err_set(e, ERR_CONFLICT, "event %" PRId64 " names no branch", p->ev.id);
		return err_hint(e, "slipway deploy %.*s", STR_ARG(c->who->project));
	}
	if (!why)
		return 0;
	if (!p->said.push || !branch.n)
		return err_set(
		    e, ERR_CONFLICT, "nothing follows from event %" PRId64 ": %s", p->ev.id, why);
	err_set(e, ERR_CONFLICT,
	    "event %" PRId64 " is of branch '%.*s', and hook '%.*s' follows '%.*s'", p->ev.id,
	    STR_ARG(p->ev.ref), STR_ARG(h->name), STR_ARG(branch));
	return err_hint(
	    e, "slipway deploy %.*s --ref %.*s", STR_ARG(c->who->project), STR_ARG(p->ev.ref));
}

/* The event has no actions yet and its hook has: they begin, as they are now. */
static int replay_first(struct store_db *db, const struct replay *p, struct err *e)
{
	struct model_action_of of = {
	    .branch = p->said.push, .pull = p->said.pull, .stranger = p->said.stranger};
	if (p->ev.outcome == MODEL_OUTCOME_WAITING)
		return err_set(e, ERR_CONFLICT, "event %" PRId64 " is under way", p->ev.id);
	int rc = model_action_first(db, p->ev.id, of, clock_wall_ms(), e);
	if (rc != 0)
		return rc;
	return err_set(e, ERR_CONFLICT, "none of the actions of hook '%.*s' fits event %" PRId64,
	    STR_ARG(p->hook.name), p->ev.id);
}

static int replay_deploy(
    struct api_call *c, struct store_db *db, const struct replay *p, struct err *e)
{
	int64_t task = 0;
	struct api_order o = {.kind = MODEL_TASK_DEPLOY, .ref = p->said.ref};
	if (api_order_unit(c, db, &o, &task, e) < 0 ||
	    model_event_set(db, p->ev.id, MODEL_OUTCOME_WAITING, task, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_i64(&c->w, "task", task);
	json_close_object(&c->w);
	return 0;
}

static int replay_unit(struct api_call *c, struct store_db *db, void *ctx, struct err *e)
{
	struct replay *p = ctx;
	struct actions own;
	if (event_find(c, db, &p->ev, e) < 0 || hook_of(c, db, p, e) < 0)
		return -1;
	int again = model_action_restart(db, p->ev.id, clock_wall_ms(), e);
	if (again < 0)
		return -1;
	if (again == 0) {
		const struct sender *s = sender_find(p->hook.sender);
		if (!s)
			return err_set(e, ERR_CONFLICT, "the hook's sender is not known");
		if (actions_read(p->hook.actions, s, &own, e) < 0 ||
		    replay_check(c, p, s, &own, e) < 0)
			return -1;
		if (!own.own)
			return replay_deploy(c, db, p, e);
		if (replay_first(db, p, e) < 0)
			return -1;
	}
	c->kick = true;
	if (api_audit(c, db, str_c(arena_printf(c->r->arena, "event %" PRId64, p->ev.id)), STR_NONE,
		e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_put_null(&c->w, "task");
	json_put_i64(&c->w, "event", p->ev.id);
	json_close_object(&c->w);
	return 0;
}

int api_event_replay(struct api_call *c, struct err *e)
{
	struct replay p = {0};
	struct arena room CLEANUP_ARENA;
	arena_init(&room, 2 * (size_t)LIMIT_HOOK_BODY_BYTES);
	return replay_read(c, &room, &p, e) < 0 ? -1 : api_write(c, replay_unit, &p, e);
}
