/* Where a project's code comes from: shown, and changed. */
#include "cli/commands.h"

#include "base/limits.h"
#include "base/num.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_MAX 4096

void source_put_flag(const struct cli *c, json_t *o, const char *flag, const char *key)
{
	const char *v = cli_flag(c, flag);
	if (v)
		(void)json_object_set_new(o, key, json_string(v));
}

int source_put_poll(struct cli *c, json_t *o, struct err *e)
{
	const char *every = cli_flag(c, "poll");
	int64_t ms = 0;
	if (!every)
		return 0;
	if (strcmp(every, "off") != 0 && !num_duration(str_c(every), LIMIT_POLL_MAX_MS, &ms)) {
		err_set(e, ERR_USAGE, "--poll takes a duration up to 7d, or off: 10m");
		return -1;
	}
	(void)json_object_set_new(o, "poll_ms", json_integer(ms));
	return 0;
}

void source_print_poll(const json_t *project)
{
	char every[32];
	int64_t ms = cli_int(project, "poll_ms");
	if (ms == 0)
		return;
	num_duration_text(ms, every);
	(void)printf("%-12s every %s\n", "looked at", every);
}

json_t *source_of_flags(struct cli *c, struct err *e)
{
	const char *git = cli_flag(c, "git"), *path = cli_flag(c, "path");
	json_t *o = json_object();
	if (git && path) {
		err_set(e, ERR_USAGE, "code comes from --git or from --path, not from both");
		json_decref(o);
		return NULL;
	}
	(void)json_object_set_new(o, "type", json_string(git ? "git" : path ? "path" : "archive"));
	if (git)
		(void)json_object_set_new(o, "url", json_string(git));
	if (path) {
		char *full = realpath(path, NULL);
		(void)json_object_set_new(o, "path", json_string(full ? full : path));
		free(full);
	}
	source_put_flag(c, o, "branch", "ref");
	return o;
}

static int show(struct cli *c, const json_t *p)
{
	const json_t *source = json_object_get(p, "source");
	const char *key = cli_text(c, p, "deploy_key"), *page = cli_text(c, p, "deploy_key_page");
	if (c->json) {
		cli_print_json(source);
		return 0;
	}
	out_pair("source", cli_text(c, source, "type"));
	out_pair("  from", cli_text(c, source, "url"));
	out_pair("  from", cli_text(c, source, "path"));
	out_pair("  ref", cli_text(c, source, "ref"));
	out_pair("https token", cli_true(p, "https_token") ? "set" : "");
	source_print_poll(p);
	if (key[0])
		(void)printf("deploy key   %s\n", key);
	if (key[0] && page[0])
		(void)printf("             paste it on %s\n", page);
	return 0;
}

/* What the flags ask to change; NULL with e. An object without members: nothing. */
static json_t *change(struct cli *c, struct err *e)
{
	json_t *body = json_object();
	if (cli_has(c, "git") || cli_has(c, "path") || cli_has(c, "upload")) {
		json_t *source = source_of_flags(c, e);
		if (!source)
			goto wrong;
		(void)json_object_set_new(body, "source", source);
	} else {
		source_put_flag(c, body, "branch", "branch");
	}
	if (source_put_poll(c, body, e) < 0)
		goto wrong;
	if (cli_has(c, "no-token"))
		(void)json_object_set_new(body, "https_token", json_null());
	if (cli_has(c, "token-stdin")) {
		const char *token = cli_stdin(c, TOKEN_MAX, e);
		if (!token)
			goto wrong;
		(void)json_object_set_new(body, "https_token", json_string(token));
	}
	return body;
wrong:
	json_decref(body);
	return NULL;
}

int cmd_source(struct cli *c)
{
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *p = NULL;
	const char *name = cli_project(c, &at, &e);
	json_t *body = name ? change(c, &e) : NULL;
	if (!body)
		return cli_fail(c, &e);
	bool changes = json_object_size(body) > 0;
	const char *path = cli_path(c, "projects/{}", name, NULL);
	if (!changes) {
		json_decref(body);
		body = NULL;
	}
	if (cli_call(c, changes ? "PATCH" : "GET", path, body, &p, &e) < 0)
		return cli_fail(c, &e);
	int code = show(c, p);
	if (changes && !c->json)
		(void)printf("\nnext: slipway deploy %s\n", name);
	return code;
}
