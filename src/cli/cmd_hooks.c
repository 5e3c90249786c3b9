/* Hooks and what arrived at them. */
#include "cli/commands.h"
#include "cli/follow.h"

#include "base/num.h"

#include <string.h>
#include <time.h>

#define EVENT_PAUSE_MS 20
#define EVENT_TRIES 250
#define EVENTS_PATH_BYTES 8000
#define SECRET_MAX 512

static const char *list_text(struct cli *c, const json_t *list)
{
	const char *text = "";
	for (size_t i = 0; i < json_array_size(list); i++)
		text = arena_printf(&c->a, "%s%s%s", text, i ? ", " : "",
		    out_safe(&c->a, str_c(json_string_value(json_array_get(list, i)))));
	return text;
}

/* "run ./ingest", "check forks", "notify team, ops" */
static const char *action_text(struct cli *c, const json_t *one)
{
	const char *text = cli_text(c, one, "type"), *channel = cli_text(c, one, "channel");
	const json_t *list = json_object_get(one, "channels"), *argv = json_object_get(one, "argv");
	if (json_is_true(json_object_get(one, "forks")))
		return arena_printf(&c->a, "%s, forks too", text);
	if (channel[0])
		return arena_printf(&c->a, "%s to %s", text, channel);
	if (list)
		return arena_printf(&c->a, "%s %s", text, list_text(c, list));
	for (size_t i = 0; i < json_array_size(argv); i++)
		text = arena_printf(&c->a, "%s %s", text,
		    out_safe(&c->a, str_c(json_string_value(json_array_get(argv, i)))));
	return text;
}

static void actions_print(struct cli *c, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		(void)printf(
		    "  %-8s %s\n", i ? "" : "then", action_text(c, json_array_get(list, i)));
}

static void settings_print(struct cli *c, const json_t *hook)
{
	static const char *const lists[] = {"from", "events", "paths"};
	json_t *fields = json_object_get(hook, "fields");
	const json_t *limit = json_object_get(hook, "limit");
	for (size_t i = 0; i < 3; i++)
		if (json_object_get(hook, lists[i]))
			(void)printf(
			    "  %-8s %s\n", lists[i], list_text(c, json_object_get(hook, lists[i])));
	for (void *i = json_object_iter(fields); i; i = json_object_iter_next(fields, i))
		(void)printf("  field    %s = %s\n",
		    out_safe(&c->a, str_c(json_object_iter_key(i))),
		    out_safe(&c->a, str_c(json_string_value(json_object_iter_value(i)))));
	actions_print(c, json_object_get(hook, "actions"));
	if (limit)
		(void)printf("  limit    %s a minute\n", cli_num(c, limit, "per_minute"));
	if (json_is_true(json_object_get(hook, "paused")))
		(void)printf("  paused   what arrives is stored, and nothing follows\n");
	if (cli_text(c, hook, "old_secret_until")[0])
		(void)printf("  the secret before is good until %s\n",
		    cli_text(c, hook, "old_secret_until"));
}

void hook_print(struct cli *c, const json_t *hook)
{
	const char *secret = cli_text(c, hook, "secret"), *page = cli_text(c, hook, "page"),
		   *branch = cli_text(c, hook, "branch");
	(void)printf("hook %s (%s%s%s)\n\n", cli_text(c, hook, "name"), cli_text(c, hook, "sender"),
	    branch[0] ? ", branch " : "", branch);
	(void)printf("  address  %s\n", cli_text(c, hook, "url"));
	if (secret[0])
		(void)printf("  secret   %s    (shown once)\n", secret);
	(void)printf("  content  %s\n", cli_text(c, hook, "content_type"));
	settings_print(c, hook);
	hook_addresses_print(c, json_object_get(hook, "github_addresses"));
	hook_github_print(c, json_object_get(hook, "github"));
	(void)printf("\n  at the sender: %s\n", cli_text(c, hook, "steps"));
	if (page[0])
		(void)printf("\n  enter them on %s\n", page);
	const char *warnings = list_text(c, json_object_get(hook, "warnings"));
	if (warnings[0])
		(void)printf("\n  mind: %s\n", warnings);
}

/* The --limit, or 50. */
static int limit_of(struct cli *c, size_t *ret, struct err *e)
{
	int64_t n = 50;
	const char *said = cli_flag(c, "limit");
	if (said && cli_number(said, "--limit", 1, 10000, &n, e) < 0)
		return -1;
	*ret = (size_t)n;
	return 0;
}

static void hook_row(struct cli *c, struct out_table *t, const json_t *h)
{
	const char *row[] = {cli_text(c, h, "name"), cli_text(c, h, "sender"),
	    cli_text(c, h, "branch"), cli_text(c, h, "url"), cli_ago(c, h, "created_at")};
	out_table_row(t, row);
}

int cmd_hooks_list(struct cli *c)
{
	static const char *const heads[] = {"HOOK", "SENDER", "BRANCH", "ADDRESS", "MADE"};
	struct err e = {0};
	size_t at = 0, limit;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name || limit_of(c, &limit, &e) < 0 ||
	    cli_list(c, cli_path(c, "projects/{}/hooks", name, NULL), limit, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(
		   c, all, "no hooks yet. Make one: slipway hooks create NAME HOOK --sender github")
		   ? 0
		   : cli_table(c, all, 5, heads, hook_row);
}

static int show(struct cli *c, const json_t *hook)
{
	if (c->json)
		cli_print_json(hook);
	else
		hook_print(c, hook);
	return 0;
}

/* A flag that may be repeated as a list of the body; `none` alone takes the setting away. */
static void put_list(struct cli *c, json_t *body, const char *flag, const char *member)
{
	const char *one = args_value_at(&c->args, flag, 0);
	if (!one)
		return;
	json_t *list = strcmp(one, "any") == 0 ? json_null() : json_array();
	for (size_t i = 0; json_is_array(list) && (one = args_value_at(&c->args, flag, i)); i++)
		(void)json_array_append_new(list, json_string(one));
	(void)json_object_set_new(body, member, list);
}

static int put_fields(struct cli *c, json_t *body, struct err *e)
{
	const char *one = args_value_at(&c->args, "field", 0);
	if (!one)
		return 0;
	json_t *fields = strcmp(one, "any") == 0 ? json_null() : json_object();
	(void)json_object_set_new(body, "fields", fields);
	for (size_t i = 0; json_is_object(fields) && (one = args_value_at(&c->args, "field", i));
	     i++) {
		const char *equals = strchr(one, '=');
		if (!equals) {
			err_set(e, ERR_USAGE, "--field wants /A/B=GLOB");
			return err_hint(e, "for example /repository/full_name=anna/shop");
		}
		const char *pointer = arena_printf(&c->a, "%.*s", (int)(equals - one), one);
		(void)json_object_set_new(fields, pointer, json_string(equals + 1));
	}
	return 0;
}

static int put_limit(struct cli *c, json_t *body, struct err *e)
{
	const char *said = cli_flag(c, "limit"), *burst = said ? strchr(said, '/') : NULL;
	int64_t n;
	if (!said || strcmp(said, "none") == 0)
		return said ? json_object_set_new(body, "limit", json_null()) : 0;
	json_t *limit = json_object();
	(void)json_object_set_new(body, "limit", limit);
	const char *rate = burst ? arena_printf(&c->a, "%.*s", (int)(burst - said), said) : said;
	if (cli_number(rate, "--limit", 1, 60000, &n, e) < 0)
		return -1;
	(void)json_object_set_new(limit, "per_minute", json_integer(n));
	if (burst && cli_number(burst + 1, "--limit", 1, 60000, &n, e) < 0)
		return -1;
	return burst ? json_object_set_new(limit, "burst", json_integer(n)) : 0;
}

/* A command of one text: its words as JSON, or with blanks between. */
static json_t *words(struct cli *c, const char *text, struct err *e)
{
	struct str rest = str_c(text), word;
	if (text[0] == '[')
		return json_read(rest, e);
	json_t *list = json_array();
	while (str_next(&rest, ' ', &word) == 1)
		if (word.n)
			(void)json_array_append_new(list, json_string(arena_cstr(&c->a, word)));
	return list;
}

static json_t *names(struct cli *c, const char *text)
{
	struct str rest = str_c(text), name;
	json_t *list = json_array();
	while (str_next(&rest, ',', &name) == 1)
		(void)json_array_append_new(list, json_string(arena_cstr(&c->a, name)));
	return list;
}

static json_t *action_of(struct cli *c, const char *said, struct err *e)
{
	const char *equals = strchr(said, '='), *more = equals ? equals + 1 : NULL;
	const char *type = equals ? arena_printf(&c->a, "%.*s", (int)(equals - said), said) : said;
	json_t *o = json_pack("{s:s}", "type", type);
	if (!more)
		return o;
	if (strcmp(type, "check") == 0 && strcmp(more, "forks") == 0)
		(void)json_object_set_new(o, "forks", json_true());
	else if (strcmp(type, "notify") == 0)
		(void)json_object_set_new(o, "channels", names(c, more));
	else if (strcmp(type, "forward") == 0)
		(void)json_object_set_new(o, "channel", json_string(more));
	else if (strcmp(type, "run") == 0) {
		json_t *argv = words(c, more, e);
		if (!argv) {
			json_decref(o);
			(void)err_prefix(e, "--action %s", said);
			return NULL;
		}
		(void)json_object_set_new(o, "argv", argv);
	} else {
		json_decref(o);
		err_set(e, ERR_USAGE, "--action %s is none", said);
		err_hint(e, "deploy, check, check=forks, notify, notify=CHANNEL, forward=CHANNEL, "
			    "run=COMMAND");
		return NULL;
	}
	return o;
}

static int put_actions(struct cli *c, json_t *body, struct err *e)
{
	const char *one = args_value_at(&c->args, "action", 0);
	if (!one)
		return 0;
	json_t *list = strcmp(one, "default") == 0 ? json_null() : json_array();
	(void)json_object_set_new(body, "actions", list);
	for (size_t i = 0; json_is_array(list) && (one = args_value_at(&c->args, "action", i));
	     i++) {
		json_t *o = action_of(c, one, e);
		if (!o)
			return -1;
		(void)json_array_append_new(list, o);
	}
	return 0;
}

static int put_secret(struct cli *c, json_t *body, struct err *e)
{
	const char *secret = cli_has(c, "secret-stdin") ? cli_stdin(c, SECRET_MAX, e) : NULL;
	if (secret)
		return json_object_set_new(body, "secret", json_string(secret));
	return cli_has(c, "secret-stdin") ? -1 : 0;
}

static int put_settings(struct cli *c, json_t *body, struct err *e)
{
	put_list(c, body, "from", "from");
	put_list(c, body, "event", "events");
	put_list(c, body, "path", "paths");
	return put_fields(c, body, e) < 0 || put_limit(c, body, e) < 0 ||
		       put_actions(c, body, e) < 0 || hook_github_put(c, body, e) < 0
		   ? -1
		   : 0;
}

int cmd_hooks_create(struct cli *c)
{
	static const char *const keys[] = {"sender", "branch"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *hook = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	json_t *body = json_object();
	if (at < c->args.word_count)
		(void)json_object_set_new(body, "name", json_string(c->args.words[at]));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (cli_flag(c, keys[i]))
			(void)json_object_set_new(body, keys[i], json_string(cli_flag(c, keys[i])));
	if (put_settings(c, body, &e) < 0 || put_secret(c, body, &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (cli_call(c, "POST", cli_path(c, "projects/{}/hooks", name, NULL), body, &hook, &e) < 0)
		return cli_fail(c, &e);
	return show(c, hook);
}

int cmd_hooks_show(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *hook = NULL;
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (!name || cli_call(c, "GET", cli_path(c, "projects/{}/hooks/{}", name, thing, NULL),
			 NULL, &hook, &e) < 0)
		return cli_fail(c, &e);
	return show(c, hook);
}

int cmd_hooks_rotate(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *hook = NULL;
	int64_t ms;
	json_t *body = json_object();
	const char *thing, *name = cli_project_thing(c, &thing, &e), *keep = cli_flag(c, "keep");
	if (keep && !num_duration(str_c(keep), 2592000000, &ms)) {
		err_set(&e, ERR_USAGE, "--keep wants a duration up to 30d");
		name = NULL;
	} else if (keep) {
		(void)json_object_set_new(body, "keep_ms", json_integer(ms));
	}
	if (!name || put_secret(c, body, &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (cli_call(c, "POST", cli_path(c, "projects/{}/hooks/{}/rotate", name, thing, NULL), body,
		&hook, &e) < 0)
		return cli_fail(c, &e);
	return show(c, hook);
}

static int hook_patch(struct cli *c, const char *name, const char *thing, json_t *body)
{
	struct err e = {0};
	CLEANUP_JSON json_t *hook = NULL;
	if (cli_call(c, "PATCH", cli_path(c, "projects/{}/hooks/{}", name, thing, NULL), body,
		&hook, &e) < 0)
		return cli_fail(c, &e);
	return show(c, hook);
}

int cmd_hooks_set(struct cli *c)
{
	struct err e = {0};
	json_t *body = json_object();
	const char *thing, *name = cli_project_thing(c, &thing, &e),
			   *branch = cli_flag(c, "branch");
	if (branch)
		(void)json_object_set_new(
		    body, "branch", strcmp(branch, "any") == 0 ? json_null() : json_string(branch));
	int rc = name ? put_settings(c, body, &e) : -1;
	if (rc == 0 && json_object_size(body) > 0)
		return hook_patch(c, name, thing, body);
	if (rc == 0) {
		err_set(&e, ERR_USAGE, "nothing was said to change");
		err_hint(&e, "slipway hooks set --help lists what can be");
	}
	json_decref(body);
	return cli_fail(c, &e);
}

/* Why a ping of our own may be refused where a sender's would not. */
static const char *ping_refused(int64_t status)
{
	return status == 403   ? "; it comes from this machine itself, which --from may leave out"
	       : status == 429 ? "; more came than the hook takes, or too much of it was refused:"
				 " try again in a minute"
	       : status == 503 ? "; it could not be stored now"
			       : "";
}

int cmd_hooks_test(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (!name ||
	    cli_call(c, "POST", cli_path(c, "projects/{}/hooks/{}/test", name, thing, NULL),
		json_object(), &answer, &e) < 0)
		return cli_fail(c, &e);
	bool arrived = json_is_true(json_object_get(answer, "arrived"));
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf("the ping was answered %s by way of %s%s\n",
		    cli_num(c, answer, "status"), cli_text(c, answer, "by_way_of"),
		    arrived ? "" : ping_refused(cli_int(answer, "status")));
	if (!c->json && json_is_true(json_object_get(answer, "untrusted")))
		(void)printf(
		    "mind: the certificate of that address is not one that senders trust\n");
	return arrived ? 0 : 1;
}

static int hook_pause(struct cli *c, bool paused)
{
	struct err e = {0};
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (!name)
		return cli_fail(c, &e);
	return hook_patch(c, name, thing, json_pack("{s:b}", "paused", paused));
}

int cmd_hooks_pause(struct cli *c)
{
	return hook_pause(c, true);
}

int cmd_hooks_resume(struct cli *c)
{
	return hook_pause(c, false);
}

int cmd_hooks_delete(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (!name ||
	    cli_sure(c, thing,
		"This takes the hook %s away, with its events. Type its name to go on: ", &e) < 0)
		return cli_fail(c, &e);
	if (cli_call(c, "DELETE", cli_path(c, "projects/{}/hooks/{}", name, thing, NULL), NULL,
		&answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf("hook %s was taken away\n", out_safe(&c->a, str_c(thing)));
	return 0;
}

static void event_row(struct cli *c, struct out_table *t, const json_t *x)
{
	const char *row[] = {cli_num(c, x, "id"), cli_text(c, x, "hook"), cli_text(c, x, "kind"),
	    cli_text(c, x, "ref"), arena_printf(&c->a, "%.7s", cli_text(c, x, "after")),
	    cli_text(c, x, "outcome"), cli_num(c, x, "task"), cli_ago(c, x, "received_at")};
	out_table_row(t, row);
}

int cmd_events_list(struct cli *c)
{
	static const char *const heads[] = {
	    ">EVENT", "HOOK", "KIND", "REF", "AFTER", "OUTCOME", ">TASK", "ARRIVED"};
	struct err e = {0};
	size_t at = 0, limit;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	CLEANUP_BUF struct buf path;
	buf_init(&path, EVENTS_PATH_BYTES);
	if (name) {
		buf_c(&path, cli_path(c, "projects/{}/events", name, NULL));
		cli_query(&path, "hook", cli_flag(c, "hook"));
	}
	if (!name || limit_of(c, &limit, &e) < 0 ||
	    cli_list(c, buf_view(&path).p, limit, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(
		   c, all, "nothing has arrived yet. Send a ping: slipway hooks test NAME HOOK")
		   ? 0
		   : cli_table(c, all, 8, heads, event_row);
}

static int event_get(
    struct cli *c, const char *name, const char *thing, json_t **ret, struct err *e)
{
	return cli_call(
	    c, "GET", cli_path(c, "projects/{}/events/{}", name, thing, NULL), NULL, ret, e);
}

/* "1 check   done     task 7" and whom a notify or forward told. */
static void event_actions(struct cli *c, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *x = json_array_get(list, i), *told = json_object_get(x, "deliveries");
		const char *task =
		    cli_int(x, "task") ? arena_printf(&c->a, "task %s", cli_num(c, x, "task")) : "";
		(void)printf("action %-5s %-8s %-8s %s%s\n", cli_num(c, x, "position"),
		    cli_text(c, x, "type"), cli_text(c, x, "state"), task,
		    cli_text(c, x, "detail"));
		for (size_t k = 0; k < json_array_size(told); k++) {
			const json_t *d = json_array_get(told, k);
			(void)printf("%-12s %-8s %-9s after %s tries %s\n", "",
			    cli_text(c, d, "channel"), cli_text(c, d, "state"),
			    cli_num(c, d, "attempts"), cli_text(c, d, "error"));
		}
	}
}

static int event_show(struct cli *c, const json_t *event)
{
	static const char *const keys[] = {
	    "hook", "delivery", "kind", "ref", "before", "after", "received_at", "outcome"};
	if (c->json) {
		cli_print_json(event);
		return 0;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (cli_text(c, event, keys[i])[0])
			(void)printf("%-12s %s\n", keys[i], cli_text(c, event, keys[i]));
	(void)printf("%-12s %s\n", "task", cli_num(c, event, "task"));
	event_actions(c, json_object_get(event, "actions"));
	(void)printf("\n%s\n", cli_text(c, event, "body"));
	return 0;
}

/* An event that was just acknowledged is in the lists, with its task, a moment later. */
static int event_follow(struct cli *c, const char *name, const char *thing)
{
	const struct timespec pause = {.tv_nsec = EVENT_PAUSE_MS * 1000000};
	struct follow_options o = {0};
	for (int tries = 0;; tries++) {
		struct err e = {0};
		CLEANUP_JSON json_t *event = NULL;
		int rc = event_get(c, name, thing, &event, &e);
		if (rc == 0 && cli_int(event, "task"))
			return follow_task(c, cli_int(event, "task"), &o);
		bool waits = rc == 0 ? strcmp(cli_text(c, event, "outcome"), "waiting") == 0
				     : e.code == ERR_NOT_FOUND;
		if (!waits && rc == 0)
			return event_show(c, event);
		if (!waits || tries >= EVENT_TRIES)
			return rc == 0 ? event_show(c, event) : cli_fail(c, &e);
		(void)nanosleep(&pause, NULL);
	}
}

int cmd_events_show(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *event = NULL;
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (name && cli_has(c, "follow"))
		return event_follow(c, name, thing);
	if (!name || event_get(c, name, thing, &event, &e) < 0)
		return cli_fail(c, &e);
	return event_show(c, event);
}

int cmd_events_replay(struct cli *c)
{
	struct err e = {0};
	json_t *answer = NULL;
	struct follow_options o = {0};
	const char *thing, *name = cli_project_thing(c, &thing, &e);
	if (!name ||
	    cli_call(c, "POST", cli_path(c, "projects/{}/events/{}/replay", name, thing, NULL),
		json_object(), &answer, &e) < 0)
		return cli_fail(c, &e);
	if (cli_int(answer, "task") || c->json)
		return follow_answer(c, answer, &o);
	(void)printf("the actions of event %s begin again. Look: slipway events show %s %s\n",
	    cli_num(c, answer, "event"), name, cli_num(c, answer, "event"));
	json_decref(answer);
	return 0;
}
