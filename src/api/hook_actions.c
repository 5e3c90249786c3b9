#include "api/hook_actions.h"
#include "api/input.h"
#include "api/view.h"

#include "hooks/action.h"
#include "model/action.h"
#include "model/channel.h"
#include "model/delivery.h"

#include <inttypes.h>
#include <stdio.h>

int api_actions_read(const struct api_call *c, const struct sender *s, struct str before,
    struct str *ret, struct err *e)
{
	struct actions a;
	json_t *list = json_object_get(c->body, "actions");
	*ret = before.p ? before : STR("");
	if (!list)
		return 0;
	if (actions_check(list, s, &a, e) != 0)
		return -1;
	*ret = STR("");
	return a.own ? api_json_member(c, c->body, "actions", ret, e) : 0;
}

static int channel_check(const struct api_call *c, struct store_db *db, struct str name,
    enum model_action_kind kind, struct err *e)
{
	struct model_channel channel;
	int rc = model_channel_get(
	    db, c->r->arena, c->who->project_id, name, api_viewer(c), &channel, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		err_set(e, ERR_INVALID, "the project has no channel '%.*s'", STR_ARG(name));
		return err_hint(
		    e, "make it first: slipway notify add %.*s", STR_ARG(c->who->project));
	}
	if (kind == MODEL_ACTION_FORWARD && channel.type != MODEL_CHANNEL_WEBHOOK)
		return err_set(e, ERR_INVALID,
		    "'%.*s' is no webhook channel: nothing is handed on to it", STR_ARG(name));
	if (kind == MODEL_ACTION_NOTIFY && channel.type == MODEL_CHANNEL_GITHUB)
		return err_set(e, ERR_INVALID, "'%.*s' hears of commits only", STR_ARG(name));
	return 0;
}

static int action_check(
    const struct api_call *c, struct store_db *db, const json_t *one, struct err *e)
{
	const json_t *list = json_object_get(one, "channels"),
		     *to = json_object_get(one, "channel");
	if (to)
		return channel_check(c, db, str_c(json_string_value(to)), MODEL_ACTION_FORWARD, e);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (channel_check(c, db, str_c(json_string_value(json_array_get(list, i))),
			MODEL_ACTION_NOTIFY, e) != 0)
			return -1;
	return 0;
}

int api_actions_check(
    const struct api_call *c, struct store_db *db, struct str actions, struct err *e)
{
	CLEANUP_JSON json_t *list = actions.n ? json_read(actions, e) : NULL;
	if (actions.n && !list)
		return -1;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (action_check(c, db, json_array_get(list, i), e) != 0)
			return err_at(e, "/actions/%zu", i);
	return 0;
}

void api_actions_json(struct api_call *c, const struct sender *s, struct str actions)
{
	if (!actions.n)
		actions = s && s->pushes ? STR("[{\"type\":\"deploy\"}]") : STR("[]");
	json_put_raw(&c->w, "actions", actions);
}

static enum model_action_state seen_as(
    const struct model_action *x, const struct model_deliveries *d)
{
	enum model_action_state state = x->state;
	for (size_t i = 0; i < d->n && state != MODEL_ACTION_RUNNING; i++)
		if (d->v[i].state == MODEL_DELIVERY_WAITING)
			state = MODEL_ACTION_RUNNING;
		else if (d->v[i].state == MODEL_DELIVERY_FAILED)
			state = MODEL_ACTION_FAILED;
	return state;
}

static void delivery_json(struct json_out *w, const struct model_delivery *d)
{
	json_open_object(w, NULL);
	json_put_str(w, "channel", d->channel);
	json_put_i64(w, "delivery", d->id);
	json_put_str(w, "state", str_c(model_delivery_state_name(d->state)));
	json_put_i64(w, "attempts", d->attempts);
	api_put_text(w, "error", d->last_error);
	json_close_object(w);
}

static int action_json(
    struct api_call *c, struct store_db *db, const struct model_action *x, struct err *e)
{
	struct json_out *w = &c->w;
	struct model_deliveries d;
	char key[80];
	(void)snprintf(key, sizeof(key), "action/%" PRId64 "/%" PRId64 "/%" PRId64, x->event_id,
	    x->position, x->attempt);
	if (model_delivery_by_key(db, c->r->arena, c->who->project_id, str_c(key), &d, e) < 0)
		return -1;
	json_open_object(w, NULL);
	json_put_i64(w, "position", x->position);
	json_put_str(w, "type", str_c(model_action_kind_name(x->kind)));
	json_put_str(w, "state", str_c(model_action_state_name(seen_as(x, &d))));
	if (x->task_id)
		json_put_i64(w, "task", x->task_id);
	else
		json_put_null(w, "task");
	api_put_text(w, "detail", x->detail);
	json_open_array(w, "deliveries");
	for (size_t i = 0; i < d.n; i++)
		delivery_json(w, &d.v[i]);
	json_close_array(w);
	json_close_object(w);
	return 0;
}

int api_event_actions(struct api_call *c, struct store_db *db, int64_t event_id, struct err *e)
{
	struct model_actions list;
	if (model_action_list(db, c->r->arena, event_id, &list, e) < 0)
		return -1;
	json_open_array(&c->w, "actions");
	for (size_t i = 0; i < list.n; i++)
		if (action_json(c, db, &list.v[i], e) < 0)
			return -1;
	json_close_array(&c->w);
	return 0;
}
