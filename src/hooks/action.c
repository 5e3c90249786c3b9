#include "hooks/action.h"

#include "base/name.h"

static int wrong(struct err *e, const char *what, const char *hint)
{
	err_set(e, ERR_INVALID, "%s", what);
	return hint ? err_hint(e, "%s", hint) : -1;
}

static bool is_text(const json_t *v, size_t max)
{
	return json_is_string(v) && json_string_length(v) > 0 && json_string_length(v) <= max;
}

static int check_deploy(const json_t *o, struct err *e)
{
	static const char *const known[] = {"type", NULL};
	return json_known_keys(o, known, e);
}

static int check_check(const json_t *o, struct err *e)
{
	static const char *const known[] = {"type", "forks", NULL};
	const json_t *forks = json_object_get(o, "forks");
	if (forks && !json_is_boolean(forks))
		return wrong(e, "'forks' is neither true nor false", NULL);
	return json_known_keys(o, known, e);
}

static int check_notify(const json_t *o, struct err *e)
{
	static const char *const known[] = {"type", "channels", NULL};
	const json_t *list = json_object_get(o, "channels");
	if (list && (!json_is_array(list) || json_array_size(list) < 1 ||
			json_array_size(list) > ACTION_CHANNELS_MAX))
		return wrong(e, "'channels' is empty, too long, or no list", NULL);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!is_text(json_array_get(list, i), NAME_PROJECT_MAX))
			return wrong(e, "a channel's name is empty, too long, or no text", NULL);
	return json_known_keys(o, known, e);
}

static int check_forward(const json_t *o, struct err *e)
{
	static const char *const known[] = {"type", "channel", NULL};
	if (!is_text(json_object_get(o, "channel"), NAME_PROJECT_MAX))
		return wrong(e, "forward does not say its channel",
		    "make one: slipway notify add NAME CHANNEL webhook --target https://…");
	return json_known_keys(o, known, e);
}

static int check_run(const json_t *o, struct err *e)
{
	static const char *const known[] = {"type", "argv", "timeout_ms", NULL};
	const json_t *argv = json_object_get(o, "argv");
	size_t bytes = 0, n = json_array_size(argv);
	int64_t timeout_ms = ACTION_TIMEOUT_MS;
	if (n < 1 || n > ACTION_ARGV_MAX)
		return wrong(e, "run does not say its command, or too many words",
		    "for example [\"python3\", \"manage.py\", \"ingest\"]");
	for (size_t i = 0; i < n; i++) {
		const json_t *word = json_array_get(argv, i);
		struct str s = {json_string_value(word), json_string_length(word)};
		if (!json_is_string(word) || (i == 0 && s.n == 0) ||
		    str_find(s, '\0', 0) != SIZE_MAX)
			return wrong(e, "a word of run's command is no text", NULL);
		bytes += s.n;
	}
	if (bytes > ACTION_ARGV_BYTES)
		return wrong(e, "run's command is too long", NULL);
	if (json_get_i64(o, "timeout_ms", 1000, ACTION_TIMEOUT_MAX_MS, &timeout_ms, e) < 0)
		return -1;
	return json_known_keys(o, known, e);
}

static int check_one(const json_t *o, const struct sender *s, struct actions *ret, struct err *e)
{
	static int (*const checks[MODEL_ACTION_KIND_COUNT])(const json_t *, struct err *) = {
	    [MODEL_ACTION_DEPLOY] = check_deploy,
	    [MODEL_ACTION_CHECK] = check_check,
	    [MODEL_ACTION_NOTIFY] = check_notify,
	    [MODEL_ACTION_FORWARD] = check_forward,
	    [MODEL_ACTION_RUN] = check_run,
	};
	enum model_action_kind kind;
	struct str type = STR("");
	if (!json_is_object(o) || json_get_str(o, "type", &type, e) < 0 ||
	    model_action_kind_parse(type, &kind, NULL) < 0)
		return wrong(
		    e, "an action's type is none", "known: deploy, check, notify, forward, run");
	if ((ACTION_BIT(kind) & ACTIONS_LOOK) && !s->pushes) {
		err_set(e, ERR_INVALID, "%s pushes no branches: nothing can be %s", s->title,
		    kind == MODEL_ACTION_DEPLOY ? "deployed" : "checked");
		return err_hint(e, "choose notify, forward or run");
	}
	ret->kinds |= ACTION_BIT(kind);
	ret->forks = ret->forks || json_is_true(json_object_get(o, "forks"));
	return checks[kind](o, e);
}

static int read_list(const json_t *list, const struct sender *s, struct actions *ret, struct err *e)
{
	*ret = (struct actions){0};
	if (!list || json_is_null(list)) {
		ret->kinds = ACTION_BIT(MODEL_ACTION_DEPLOY);
		return 0;
	}
	size_t n = json_array_size(list);
	if (n < 1 || n > ACTIONS_MAX) {
		err_set(e, ERR_INVALID, "a hook has 1 to %d actions", ACTIONS_MAX);
		return err_at(e, "/actions");
	}
	for (size_t i = 0; i < n; i++)
		if (check_one(json_array_get(list, i), s, ret, e) != 0)
			return err_at(e, "/actions/%zu", i);
	ret->own = n > 1 || ret->kinds != ACTION_BIT(MODEL_ACTION_DEPLOY);
	return 0;
}

int actions_check(const json_t *list, const struct sender *s, struct actions *ret, struct err *e)
{
	if (read_list(list, s, ret, e) != 0)
		return -1;
	if (json_dumpb(list, NULL, 0, JSON_COMPACT) > ACTIONS_BYTES) {
		err_set(e, ERR_INVALID, "a hook's actions take at most %u bytes as JSON",
		    ACTIONS_BYTES);
		return err_at(e, "/actions");
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		if (json_dumpb(json_array_get(list, i), NULL, 0, JSON_COMPACT) > ACTION_BYTES) {
			err_set(e, ERR_INVALID, "an action takes at most %u bytes as JSON",
			    ACTION_BYTES);
			return err_at(e, "/actions/%zu", i);
		}
	return 0;
}

int actions_read(struct str text, const struct sender *s, struct actions *ret, struct err *e)
{
	CLEANUP_JSON json_t *list = text.n ? json_read(text, e) : NULL;
	if (text.n && !list)
		return -1;
	return read_list(list, s, ret, e);
}

static const char *pull_left_out(
    const struct actions *f, struct str branch, bool own_branch, const struct sender_event *ev)
{
	bool checks = f->kinds & ACTION_BIT(MODEL_ACTION_CHECK);
	if (own_branch && !str_eq(ev->base, branch))
		return "another branch";
	if (f->kinds & ~ACTIONS_LOOK)
		return NULL;
	if (checks && ev->stranger && !f->forks)
		return "a pull request from another repository";
	return checks ? NULL : ev->ignored;
}

const char *actions_leave_out(const struct actions *f, const struct sender *s, struct str branch,
    bool own_branch, const struct sender_event *ev, struct arena *a)
{
	bool looks = f->kinds & ACTIONS_LOOK;
	if (ev->ping || str_eq_c(ev->kind, "ping"))
		return ev->ignored ? ev->ignored : "a ping";
	if (ev->pull)
		return pull_left_out(f, branch, own_branch, ev);
	if (!ev->push ? (f->kinds & ~ACTIONS_LOOK) != 0 : !looks && !branch.n)
		return NULL;
	if (ev->ignored)
		return ev->ignored;
	if (!branch.n)
		branch = sender_head(s, ev, a);
	if (!branch.n)
		return "neither the hook nor its project has a branch";
	return str_eq(ev->ref, branch) ? NULL : "another branch";
}
