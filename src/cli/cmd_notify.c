/* Channels, what they were told, and the mail server. */
#include "cli/commands.h"

#include <stdlib.h>
#include <string.h>

#define SECRET_MAX 4096
#define LIST_DEFAULT 50
#define LIST_MAX 10000

/* "/api/v1/projects/NAME/channels…" or, with --platform, "/api/v1/channels…"; NULL with e. Words
 * before `things` at the end are the project's. `tail` has a "{}" for each thing. */
static const char *path_of(struct cli *c, size_t things, const char *tail, struct err *e)
{
	size_t at = 0, count = c->args.word_count;
	const char *one = things > 0 ? c->args.words[count - things] : "";
	const char *two = things > 1 ? c->args.words[count - 1] : "";
	const char *rest = cli_path(c, tail, one, two, NULL);
	c->args.word_count = count - things;
	if (cli_has(c, "platform") && c->args.word_count > 0) {
		err_set(e, ERR_USAGE, "--platform and a project exclude each other");
		return NULL;
	}
	if (cli_has(c, "platform"))
		return rest;
	const char *name = cli_project(c, &at, e);
	const char *top = name ? cli_path(c, "projects/{}/", name, NULL) : NULL;
	return top ? arena_printf(&c->a, "%s%s", top, rest + sizeof("/api/v1/") - 1) : NULL;
}

static const char *limited(struct cli *c, size_t *ret, struct err *e)
{
	int64_t n = LIST_DEFAULT;
	const char *text = cli_flag(c, "limit");
	if (text && cli_number(text, "--limit", 1, LIST_MAX, &n, e) < 0)
		return NULL;
	*ret = (size_t)n;
	return "";
}

static void channel_row(struct cli *c, struct out_table *t, const json_t *h)
{
	const char *row[] = {cli_text(c, h, "name"), cli_text(c, h, "type"),
	    out_cut(&c->a, cli_text(c, h, "target"), 50), cli_text(c, h, "events"),
	    cli_text(c, h, "disabled")[0] ? "off"
	    : cli_true(h, "paused")	  ? "paused"
					  : "on",
	    cli_ago(c, h, "created_at")};
	out_table_row(t, row);
}

int cmd_notify_list(struct cli *c)
{
	static const char *const heads[] = {"CHANNEL", "TYPE", "TARGET", "EVENTS", "STATE", "MADE"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	const char *path = path_of(c, 0, "channels", &e);
	if (!path || cli_list(c, path, LIST_MAX, &all, &e) < 0)
		return cli_fail(c, &e);
	if (!c->json && json_array_size(json_object_get(all, "items")) == 0) {
		(void)printf("nobody is told. Make a channel: slipway notify add NAME mail "
			     "--target ADDRESS\n");
		return 0;
	}
	return cli_is_empty(c, all,
		   "no channels yet. Make one: slipway notify add NAME CHANNEL mail --target "
		   "ADDRESS")
		   ? 0
		   : cli_table(c, all, 6, heads, channel_row);
}

static int show_channel(struct cli *c, const json_t *h)
{
	static const char *const keys[] = {
	    "name", "project", "type", "target", "events", "disabled"};
	if (c->json) {
		cli_print_json(h);
		return 0;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		out_pair(keys[i], cli_text(c, h, keys[i]));
	out_pair("deployments", cli_true(h, "deployments") ? "yes" : "");
	out_pair("paused", cli_true(h, "paused") ? "yes" : "");
	out_pair("made", cli_ago(c, h, "created_at"));
	if (cli_text(c, h, "secret")[0])
		(void)printf("secret       %s\n             shown once; the receiver checks "
			     "signatures with it (Standard Webhooks)\n",
		    cli_text(c, h, "secret"));
	return 0;
}

/* --secret-stdin and the flags that both add and set have. */
static int put_flags(struct cli *c, json_t *body, struct err *e)
{
	source_put_flag(c, body, "target", "target");
	source_put_flag(c, body, "events", "events");
	const char *deployments = cli_flag(c, "deployments");
	if (deployments && strcmp(deployments, "yes") != 0 && strcmp(deployments, "no") != 0)
		return err_set(e, ERR_USAGE, "--deployments wants yes or no");
	if (deployments)
		(void)json_object_set_new(body, "deployments", json_boolean(deployments[0] == 'y'));
	if (!cli_has(c, "secret-stdin"))
		return 0;
	const char *secret = cli_stdin(c, SECRET_MAX, e);
	if (!secret)
		return -1;
	(void)json_object_set_new(body, "secret", json_string(secret));
	return 0;
}

/* Who may not ask how mail is sent is not told that it is not. */
static void mind_mail(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *ignored = NULL;
	if (cli_call(c, "GET", "/api/v1/mail-server", NULL, &ignored, &e) < 0 &&
	    e.code == ERR_NOT_FOUND)
		(void)printf(
		    "\nmind: no mail is sent yet: slipway mail set --host HOST --from ADDRESS\n");
}

int cmd_notify_add(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	size_t count = c->args.word_count;
	const char *name = c->args.words[count - 2], *type = c->args.words[count - 1];
	c->args.word_count = count - 2;
	const char *path = path_of(c, 0, "channels", &e);
	json_t *body = json_pack("{s:s,s:s}", "name", name, "type", type);
	if (!path || put_flags(c, body, &e) < 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	if (cli_call(c, "POST", path, body, &answer, &e) < 0)
		return cli_fail(c, &e);
	int code = show_channel(c, answer);
	if (!c->json && strcmp(type, "mail") == 0)
		mind_mail(c);
	return code;
}

static int change(struct cli *c, json_t *body)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *path = path_of(c, 1, "channels/{}", &e);
	if (!path) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	return cli_call(c, "PATCH", path, body, &answer, &e) < 0 ? cli_fail(c, &e)
								 : show_channel(c, answer);
}

int cmd_notify_set(struct cli *c)
{
	struct err e = {0};
	json_t *body = json_object();
	if (put_flags(c, body, &e) == 0)
		return change(c, body);
	json_decref(body);
	return cli_fail(c, &e);
}

int cmd_notify_pause(struct cli *c)
{
	return change(c, json_pack("{s:b}", "paused", 1));
}

int cmd_notify_resume(struct cli *c)
{
	return change(c, json_pack("{s:b}", "paused", 0));
}

int cmd_notify_show(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *path = path_of(c, 1, "channels/{}", &e);
	return !path || cli_call(c, "GET", path, NULL, &answer, &e) < 0 ? cli_fail(c, &e)
									: show_channel(c, answer);
}

int cmd_notify_delete(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *name = c->args.words[c->args.word_count - 1],
		   *path = path_of(c, 1, "channels/{}", &e);
	if (!path ||
	    cli_sure(c, name,
		"This takes the channel %s away, with what waits for it. Type its name to go on: ",
		&e) < 0 ||
	    cli_call(c, "DELETE", path, NULL, &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else
		(void)printf("channel %s was taken away\n", out_safe(&c->a, str_c(name)));
	return 0;
}

/* --- deliveries --- */

static int show_delivery(struct cli *c, const json_t *d)
{
	const json_t *log = json_object_get(d, "log"), *message = json_object_get(d, "message");
	if (c->json) {
		cli_print_json(d);
		return 0;
	}
	out_pair("delivery", cli_num(c, d, "id"));
	out_pair("event", cli_text(c, d, "event"));
	out_pair("to", cli_text(c, d, "recipient"));
	out_pair("state", cli_text(c, d, "state"));
	out_pair("tries", cli_num(c, d, "tries"));
	out_pair("error", cli_text(c, d, "error"));
	out_pair("next try", cli_ago(c, d, "due_at"));
	out_pair("title", cli_text(c, message, "title"));
	for (size_t i = 0; i < json_array_size(log); i++) {
		const json_t *t = json_array_get(log, i);
		(void)printf("  %-14s %s ms  %s  %s\n", cli_ago(c, t, "at"), cli_num(c, t, "ms"),
		    cli_num(c, t, "status"), cli_text(c, t, "error"));
	}
	return 0;
}

static void delivery_row(struct cli *c, struct out_table *t, const json_t *d)
{
	const char *row[] = {cli_num(c, d, "id"), cli_text(c, d, "event"), cli_text(c, d, "recipient"),
	    cli_text(c, d, "state"), cli_num(c, d, "tries"), cli_num(c, d, "status"),
	    out_cut(&c->a, cli_text(c, d, "error"), 60), cli_ago(c, d, "created_at")};
	out_table_row(t, row);
}

int cmd_notify_deliveries(struct cli *c)
{
	static const char *const heads[] = {
	    ">DELIVERY", "EVENT", "TO", "STATE", ">TRIES", ">STATUS", "ERROR", "MADE"};
	struct err e = {0};
	size_t limit;
	CLEANUP_JSON json_t *all = NULL;
	const char *path = path_of(c, 1, "channels/{}/deliveries", &e);
	if (!path || !limited(c, &limit, &e) || cli_list(c, path, limit, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(
		   c, all, "it was told nothing yet. Try it: slipway notify test NAME CHANNEL")
		   ? 0
		   : cli_table(c, all, 8, heads, delivery_row);
}

static int delivery(struct cli *c, const char *method, size_t things, const char *tail)
{
	struct err e = {0};
	CLEANUP_JSON json_t *answer = NULL;
	const char *path = path_of(c, things, tail, &e);
	json_t *body = method[0] == 'P' ? json_object() : NULL;
	if (!path) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	return cli_call(c, method, path, body, &answer, &e) < 0 ? cli_fail(c, &e)
								: show_delivery(c, answer);
}

int cmd_notify_delivery(struct cli *c)
{
	return delivery(c, "GET", 2, "channels/{}/deliveries/{}");
}

int cmd_notify_replay(struct cli *c)
{
	return delivery(c, "POST", 2, "channels/{}/deliveries/{}/replay");
}

int cmd_notify_test(struct cli *c)
{
	size_t count = c->args.word_count;
	const char *project = count > 1 ? c->args.words[0] : "";
	const char *channel = c->args.words[count - 1];
	int code = delivery(c, "POST", 1, "channels/{}/test");
	if (code == 0 && !c->json)
		(void)printf("\nwhat became of it: slipway notify deliveries %s%s%s%s\n",
		    cli_has(c, "platform") ? "--platform " : "", out_safe(&c->a, str_c(project)),
		    project[0] ? " " : "", out_safe(&c->a, str_c(channel)));
	return code;
}

static void news_row(struct cli *c, struct out_table *t, const json_t *k)
{
	const char *row[] = {
	    cli_text(c, k, "event"), cli_text(c, k, "level"), cli_text(c, k, "about")};
	out_table_row(t, row);
}

int cmd_notify_events(struct cli *c)
{
	static const char *const heads[] = {"EVENT", "LEVEL", "WHEN"};
	struct err e = {0};
	CLEANUP_JSON json_t *all = NULL;
	if (cli_call(c, "GET", "/api/v1/news", NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_table(c, all, 3, heads, news_row);
}

/* --- the mail server --- */

static int show_mail(struct cli *c, const json_t *m)
{
	if (c->json) {
		cli_print_json(m);
		return 0;
	}
	out_pair("host", cli_text(c, m, "host"));
	out_pair("port", cli_num(c, m, "port"));
	out_pair("tls", cli_text(c, m, "tls"));
	out_pair("from", cli_text(c, m, "from"));
	out_pair("user", cli_text(c, m, "user"));
	out_pair("password", cli_true(m, "password") ? "set" : "");
	return 0;
}

int cmd_mail_show(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *m = NULL;
	return cli_call(c, "GET", "/api/v1/mail-server", NULL, &m, &e) < 0 ? cli_fail(c, &e)
									   : show_mail(c, m);
}

int cmd_mail_set(struct cli *c)
{
	struct err e = {0};
	int64_t port = 0;
	CLEANUP_JSON json_t *m = NULL;
	json_t *body = json_object();
	source_put_flag(c, body, "host", "host");
	source_put_flag(c, body, "tls", "tls");
	source_put_flag(c, body, "from", "from");
	source_put_flag(c, body, "user", "user");
	int rc = !cli_flag(c, "port")
		     ? 0
		     : cli_number(cli_flag(c, "port"), "--port", 1, 65535, &port, &e);
	if (rc == 0 && port)
		(void)json_object_set_new(body, "port", json_integer(port));
	if (rc == 0 && cli_has(c, "password-stdin")) {
		const char *password = cli_stdin(c, 1024, &e);
		rc = password ? json_object_set_new(body, "password", json_string(password)) : -1;
	}
	if (rc != 0) {
		json_decref(body);
		return cli_fail(c, &e);
	}
	return cli_call(c, "PUT", "/api/v1/mail-server", body, &m, &e) < 0 ? cli_fail(c, &e)
									   : show_mail(c, m);
}

int cmd_mail_remove(struct cli *c)
{
	struct err e = {0};
	CLEANUP_JSON json_t *m = NULL;
	if (cli_call(c, "DELETE", "/api/v1/mail-server", NULL, &m, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(m);
	else
		(void)printf("no mail is sent any more\n");
	return 0;
}
