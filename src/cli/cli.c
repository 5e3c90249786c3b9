/* What every command needs: failing, asking the API, reading its answers, naming the project. */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/ct.h"
#include "base/num.h"
#include "cli/servers.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (32u << 20)
#define PATH_MAX_BYTES 8000

int cli_fail(struct cli *c, const struct err *e)
{
	(void)fflush(stdout);
	/* A pointer is into the request, which a person has not written. */
	(void)fprintf(stderr, "slipway: %s\n", out_safe(&c->a, str_c(e->msg)));
	if (e->hint[0])
		(void)fprintf(stderr, "    %s\n", out_safe(&c->a, str_c(e->hint)));
	if (net_unreachable(c->net))
		return CLI_EXIT_UNREACHABLE;
	return err_class_of(e->code)->exit_code;
}

int cli_usage(struct cli *c, const char *fmt, ...)
{
	struct err e;
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(&e, ERR_USAGE, "%s", text);
	err_hint(&e, "slipway %s --help", c->command->name);
	return cli_fail(c, &e);
}

const char *cli_flag(const struct cli *c, const char *name)
{
	return args_value(&c->args, name);
}

bool cli_has(const struct cli *c, const char *name)
{
	return args_has(&c->args, name);
}

int cli_number(
    const char *text, const char *what, int64_t min, int64_t max, int64_t *ret, struct err *e)
{
	if (num_i64(str_c(text), min, max, ret))
		return 0;
	return err_set(
	    e, ERR_USAGE, "%s must be a number from %" PRId64 " to %" PRId64, what, min, max);
}

static void percent_encode(struct buf *b, const char *text)
{
	static const char hex[] = "0123456789ABCDEF";
	for (; *text; text++) {
		unsigned char ch = (unsigned char)*text;
		bool plain = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			     (ch >= '0' && ch <= '9') || (ch != 0 && strchr("-._~", ch));
		if (plain)
			buf_char(b, (char)ch);
		else
			buf_printf(b, "%%%c%c", hex[ch >> 4], hex[ch & 15]);
	}
}

const char *cli_path(struct cli *c, const char *pattern, ...)
{
	CLEANUP_BUF struct buf b;
	va_list ap;
	buf_init(&b, PATH_MAX_BYTES);
	buf_c(&b, "/api/v1/");
	va_start(ap, pattern);
	for (const char *p = pattern; *p; p++) {
		if (p[0] == '{' && p[1] == '}') {
			percent_encode(&b, va_arg(ap, const char *));
			p++;
		} else {
			buf_char(&b, *p);
		}
	}
	va_end(ap);
	const char *path = b.full ? NULL : arena_cstr(&c->a, buf_view(&b));
	return path ? path : "/api/v1/too-long";
}

void cli_query(struct buf *b, const char *name, const char *value)
{
	if (!value)
		return;
	buf_char(b, b->n && strchr(b->p, '?') ? '&' : '?');
	buf_c(b, name);
	buf_char(b, '=');
	percent_encode(b, value);
}

struct net *cli_net(struct cli *c, struct err *e)
{
	struct net_server server;
	if (!c->net &&
	    servers_choose(cli_flag(c, "server"), cli_has(c, "insecure"), &c->a, &server, e) == 0)
		c->net = net_open(&server, e);
	return c->net;
}

int cli_call(
    struct cli *c, const char *method, const char *path, json_t *body, json_t **ret, struct err *e)
{
	CLEANUP_BUF struct buf answer;
	struct net_request q = {.method = method, .path = path};
	char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
	int rc = 0;
	buf_init(&answer, ANSWER_MAX);
	if (body && !text)
		rc = err_set(e, ERR_INVALID, "what was given is not UTF-8");
	json_decref(body);
	q.body = text ? str_c(text) : STR_NONE;
	q.type = text ? "application/json" : NULL;
	struct net *n = rc == 0 ? cli_net(c, e) : NULL;
	rc = n ? net_call(n, &q, &answer, e) : -1;
	if (text)
		ct_wipe(text, strlen(text));
	free(text);
	if (rc == 0 && ret) {
		*ret = json_read(answer.n ? buf_view(&answer) : STR("null"), e);
		rc = *ret ? 0 : err_prefix(e, "the server's answer");
	}
	return rc;
}

int cli_list(struct cli *c, const char *path, size_t max, json_t **ret, struct err *e)
{
	char limit[24], *after = NULL;
	json_t *all = NULL;
	int rc = 0;
	for (size_t have = 0; rc == 0 && have < max;) {
		CLEANUP_BUF struct buf b;
		json_t *page = NULL;
		buf_init(&b, PATH_MAX_BYTES);
		buf_c(&b, path);
		(void)snprintf(limit, sizeof(limit), "%zu", max - have < 200 ? max - have : 200);
		cli_query(&b, "limit", limit);
		cli_query(&b, "after", after);
		rc = cli_call(c, "GET", buf_view(&b).p, NULL, &page, e);
		if (rc < 0)
			break;
		const char *next = cli_raw(page, "next");
		free(after);
		after = next ? strdup(next) : NULL;
		if (!all) {
			all = json_incref(page);
		} else {
			(void)json_array_extend(
			    json_object_get(all, "items"), json_object_get(page, "items"));
			(void)json_object_set(all, "next", json_object_get(page, "next"));
		}
		size_t got = json_array_size(json_object_get(page, "items"));
		json_decref(page);
		have = json_array_size(json_object_get(all, "items"));
		if (!after || got == 0)
			break;
	}
	free(after);
	if (rc < 0)
		json_decref(all);
	else
		*ret = all;
	return rc;
}

void cli_print_json(const json_t *j)
{
	(void)json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	(void)putchar('\n');
}

int cli_table(
    struct cli *c, const json_t *all, size_t columns, const char *const *heads, cli_rows_fn *rows)
{
	const json_t *items = json_object_get(all, "items");
	struct out_table t;
	if (c->json) {
		cli_print_json(all);
		return 0;
	}
	out_table_init(&t, &c->a, columns, heads);
	for (size_t i = 0; i < json_array_size(items); i++)
		rows(c, &t, json_array_get(items, i));
	out_table_print(&t, stdout);
	out_table_fini(&t);
	return 0;
}

bool cli_is_empty(const struct cli *c, const json_t *all, const char *what_to_do)
{
	if (c->json || json_array_size(json_object_get(all, "items")) > 0)
		return false;
	(void)puts(what_to_do);
	return true;
}

const char *cli_words(struct cli *c, const json_t *list)
{
	const char *all = "";
	for (size_t i = 0; all && i < json_array_size(list); i++) {
		const char *one = json_string_value(json_array_get(list, i));
		all = arena_printf(
		    &c->a, "%s%s%s", all, i ? " " : "", one ? out_safe(&c->a, str_c(one)) : "");
	}
	return all ? all : "";
}

const char *cli_raw(const json_t *o, const char *key)
{
	return json_string_value(json_object_get(o, key));
}

const char *cli_text(struct cli *c, const json_t *o, const char *key)
{
	const char *v = cli_raw(o, key);
	return v ? out_safe(&c->a, str_c(v)) : "";
}

int64_t cli_int(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool cli_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

const char *cli_ago(struct cli *c, const json_t *o, const char *key)
{
	char text[48];
	int64_t at;
	const char *v = cli_raw(o, key);
	if (!v || !clock_parse(str_c(v), &at))
		return "";
	clock_ago(clock_wall_ms(), at, text);
	const char *kept = arena_cstr(&c->a, str_c(text));
	return kept ? kept : "";
}

const char *cli_num(struct cli *c, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	const char *text = json_is_integer(v)
			       ? arena_printf(&c->a, "%" PRId64, (int64_t)json_integer_value(v))
			       : NULL;
	return text ? text : "";
}

int cli_ask(const char *question, const char *wanted, struct err *e)
{
	char line[256];
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return err_set(
		    e, ERR_USAGE, "this must be confirmed, and there is no terminal to ask on");
	(void)fputs(question, stderr);
	(void)fflush(stderr);
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	return str_eq_c(str_trim(str_c(line)), wanted);
}

int cli_sure(struct cli *c, const char *thing, const char *question, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 2048);
	if (cli_has(c, "yes"))
		return 0;
	const char *at = strstr(question, "%s"), *safe = out_safe(&c->a, str_c(thing));
	buf_put(&b, question, (size_t)(at - question));
	buf_c(&b, safe);
	buf_c(&b, at + 2);
	int sure = cli_ask(b.full ? "sure? " : b.p, thing, e);
	if (sure < 0)
		return err_hint(e, "say --yes");
	return sure > 0 ? 0 : err_set(e, ERR_CANCELLED, "nothing was done: that was not its name");
}

const char *cli_stdin(struct cli *c, size_t max, struct err *e)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, max);
	for (;;) {
		char part[4096];
		ssize_t n = read(STDIN_FILENO, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_sys(e, ERR_IO, errno, "could not read standard input");
			return NULL;
		}
		if (n == 0)
			break;
		buf_put(&b, part, (size_t)n);
	}
	if (buf_check(&b, "standard input", e) < 0)
		return NULL;
	struct str text = buf_view(&b);
	if (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	const char *kept = arena_cstr(&c->a, text.n ? text : STR(""));
	if (!kept)
		err_set(e, ERR_INVALID, "standard input holds a NUL byte");
	if (b.p)
		ct_wipe(b.p, b.n);
	return kept;
}
