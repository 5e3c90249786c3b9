#include "notify/deployment.h"

#include "base/name.h"

#include <inttypes.h>

enum { DESCRIPTION_MAX = 140, BODY_MAX = 8 << 10, ANSWER_MAX = 64 << 10 };

static const struct {
	const char *event, *state;
} states[] = {
    {"deploy.started", "in_progress"},
    {"deploy.succeeded", "success"},
    {"deploy.failed", "failure"},
    {"deploy.cancelled", "error"},
    {"rollback.succeeded", "success"},
    {"rollback.failed", "failure"},
};

static const char *state_of(struct str event)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (str_eq_c(event, states[i].event))
			return states[i].state;
	return NULL;
}

bool deployment_tells(struct str event)
{
	return state_of(event) != NULL;
}

static int room(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "a message is too large to be sent");
}

static int keep(struct arena *a, struct buf *b, struct str *ret, struct err *e)
{
	*ret = b->full ? STR_NONE : arena_str(a, buf_view(b));
	return ret->p ? 0 : room(e);
}

/* As we call it at GitHub: the same for each try, so that a lost answer makes no second one. */
static void put_task(struct json_out *w, const struct shape *s)
{
	char name[64];
	(void)snprintf(
	    name, sizeof(name), "deploy:%.*s", STR_ARG(message_data(s->message, "task")));
	json_put_str(w, "task", str_c(name));
}

static int make_body(
    const struct shape *s, struct str commit, struct arena *a, struct str *ret, struct err *e)
{
	struct json_out w;
	struct buf body CLEANUP_BUF;
	buf_init(&body, BODY_MAX);
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "ref", commit);
	put_task(&w, s);
	json_put_bool(&w, "auto_merge", false);
	json_open_array(&w, "required_contexts");
	json_close_array(&w);
	json_put_str(&w, "environment", s->message->project);
	json_put_str(&w, "description", STR("by Slipway"));
	json_close_object(&w);
	return keep(a, &body, ret, e);
}

static int state_body(const struct shape *s, struct arena *a, struct str *ret, struct err *e)
{
	struct json_out w;
	struct str log = message_data(s->message, "log"), url = message_data(s->message, "url");
	struct buf body CLEANUP_BUF;
	buf_init(&body, BODY_MAX);
	json_out_init(&w, &body);
	json_open_object(&w, NULL);
	json_put_str(&w, "state", str_c(state_of(s->message->event)));
	json_put_str(&w, "environment", s->message->project);
	json_put_str(&w, "description", shape_cut(s->message->title, DESCRIPTION_MAX));
	if (log.n)
		json_put_str(&w, "log_url", log);
	if (url.n)
		json_put_str(&w, "environment_url", url);
	json_close_object(&w);
	return keep(a, &body, ret, e);
}

int deployment_begin(
    const struct shape *s, int64_t id, struct arena *a, struct deployment *ret, struct err *e)
{
	struct err ignored;
	struct str commit = message_data(s->message, "commit"), made, state;
	*ret = (struct deployment){.target = s->channel->target,
	    .stage = id ? DEPLOYMENT_STATE : DEPLOYMENT_FIND,
	    .id = id};
	if (!state_of(s->message->event) || name_commit(commit, &ignored) != 0)
		return err_set(e, ERR_INVALID, "there is no commit whose deployment could be told");
	if (make_body(s, commit, a, &made, e) != 0 || state_body(s, a, &state, e) != 0)
		return -1;
	/* a project's name and a number need no escaping, ':' does */
	const char *find = arena_printf(a,
		       "%.*s/deployments?sha=%.*s&task=deploy%%3A%.*s&environment=%.*s&per_page=1",
		       STR_ARG(ret->target), STR_ARG(commit),
		       STR_ARG(message_data(s->message, "task")), STR_ARG(s->message->project)),
		   *make = arena_printf(a, "%.*s/deployments", STR_ARG(ret->target));
	if (!find || !make)
		return room(e);
	return shape_github_request(
		   s, a, str_c(find), STR_NONE, &ret->request[DEPLOYMENT_FIND], e) < 0 ||
		       shape_github_request(
			   s, a, str_c(make), made, &ret->request[DEPLOYMENT_MAKE], e) < 0 ||
		       shape_github_request(
			   s, a, STR("-"), state, &ret->request[DEPLOYMENT_STATE], e) < 0
		   ? -1
		   : 0;
}

int deployment_request(
    struct deployment *d, struct arena *a, struct outbound_request *ret, struct err *e)
{
	*ret = d->request[d->stage];
	ret->body_max = ANSWER_MAX;
	if (d->stage != DEPLOYMENT_STATE)
		return 0;
	const char *url =
	    arena_printf(a, "%.*s/deployments/%" PRId64 "/statuses", STR_ARG(d->target), d->id);
	ret->url = str_c(url);
	return url ? 0 : room(e);
}

int deployment_answered(struct deployment *d, const struct outbound_answer *a, struct err *e)
{
	if (d->stage == DEPLOYMENT_STATE)
		return 0;
	CLEANUP_JSON json_t *o = json_read(a->body, e);
	bool made = d->stage == DEPLOYMENT_MAKE;
	const json_t *one = made ? o : json_array_get(o, 0);
	if (made ? a->status != 201 || !json_is_object(o) : !json_is_array(o))
		return err_set(e, ERR_INVALID, "GitHub made no deployment of it");
	if (one && json_get_i64(one, "id", 1, INT64_MAX, &d->id, e) <= 0)
		return err_set(e, ERR_INVALID, "GitHub's deployment has no number");
	d->stage = d->id ? DEPLOYMENT_STATE : DEPLOYMENT_MAKE;
	return 1;
}
