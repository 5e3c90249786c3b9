/* logs: what was kept, then what comes. */
#include "cli/cli.h"
#include "cli/commands.h"

#include "base/clock.h"
#include "base/num.h"

#include <string.h>
#include <time.h>

#define TAIL_MAX 10000
#define SINCE_MAX_MS (3650LL * 86400000)
#define PAUSE_MS 1000

struct tail {
	struct cli *c;
	json_t *shown;	  /* the newest lines of what was kept, of the last millisecond */
	char last_at[40]; /* the time of the newest; RFC 3339 in UTC sorts as text */
};

static void print_line(struct cli *c, const json_t *line)
{
	char name[48];
	if (c->json) {
		cli_print_json(line);
		return;
	}
	(void)snprintf(name, sizeof(name), "%s.%s", cli_text(c, line, "process"),
	    cli_num(c, line, "instance"));
	const char *at = cli_text(c, line, "at");
	bool colour = c->out.colour;
	(void)printf("%s%s %s%s %s\n", colour ? "\x1b[2m" : "", at, name, colour ? "\x1b[0m" : "",
	    cli_text(c, line, "text"));
}

/* The stream begins with what its ring still has, and that was shown already in part. */
static bool is_repeat(struct tail *t, const json_t *line)
{
	const char *at = cli_raw(line, "at");
	if (!at || !t->last_at[0] || strcmp(at, t->last_at) > 0)
		return false;
	if (strcmp(at, t->last_at) < 0)
		return true;
	for (size_t i = 0; i < json_array_size(t->shown); i++)
		if (json_equal(json_array_get(t->shown, i), line)) {
			(void)json_array_remove(t->shown, i);
			return true;
		}
	return false;
}

static int take(void *ctx, struct str id, struct str event, struct str data)
{
	struct tail *t = ctx;
	CLEANUP_JSON json_t *line = json_read(data, NULL);
	(void)id;
	if (!str_eq_c(event, "line") || !json_is_object(line) || is_repeat(t, line))
		return 0;
	arena_fini(&t->c->a); /* a line's text is printed and gone; a tail may run for days */
	arena_init(&t->c->a, 16u << 20);
	print_line(t->c, line);
	(void)fflush(stdout);
	return ferror(stdout) ? 1 : 0;
}

static void remember(struct tail *t, const json_t *items)
{
	size_t n = json_array_size(items);
	const char *last = n ? cli_raw(json_array_get(items, n - 1), "at") : NULL;
	t->shown = json_array();
	if (!last || strlen(last) >= sizeof(t->last_at))
		return;
	(void)snprintf(t->last_at, sizeof(t->last_at), "%s", last);
	for (size_t i = n; i-- > 0;) {
		const char *at = cli_raw(json_array_get(items, i), "at");
		if (!at || strcmp(at, last) != 0)
			break;
		(void)json_array_append(t->shown, json_array_get(items, i));
	}
}

/* "10m" as a time; a time stays. NULL with e. */
static const char *since_of(struct cli *c, struct err *e)
{
	const char *said = cli_flag(c, "since");
	char text[32];
	int64_t ms;
	if (!said || clock_parse(str_c(said), &ms))
		return said ? said : "";
	if (!num_duration(str_c(said), SINCE_MAX_MS, &ms)) {
		err_set(e, ERR_USAGE,
		    "--since takes 2026-11-20T11:09:59Z or how long ago: 30s, 10m, 2h");
		return NULL;
	}
	clock_format(clock_wall_ms() - ms, text);
	return arena_cstr(&c->a, str_c(text));
}

static int go_on(struct cli *c, const char *path, const json_t *items)
{
	struct err e = {0};
	struct sse sse;
	struct tail t = {.c = c};
	char own[8192];
	(void)snprintf(own, sizeof(own), "%s", path);
	struct net_stream st = {.path = own, .sse = &sse, .stop_fd = -1, .tick_ms = PAUSE_MS};
	int how = 0, code = 0;
	remember(&t, items);
	sse_init(&sse, take, &t);
	while (how == 0) {
		how = net_follow(cli_net(c, &e), &st, &e);
		struct timespec pause = {.tv_sec = 1};
		if (how == 0 && net_unreachable(c->net) && !sse.id[0])
			how = -1; /* never reached at all */
		else if (how == 0)
			(void)nanosleep(&pause, NULL);
	}
	if (how < 0)
		code = cli_fail(c, &e);
	json_decref(t.shown);
	sse_fini(&sse);
	return code;
}

int cmd_logs(struct cli *c)
{
	struct err e = {0};
	CLEANUP_BUF struct buf path, stream;
	size_t at = 0;
	int64_t number;
	CLEANUP_JSON json_t *all = NULL;
	buf_init(&path, 8000);
	buf_init(&stream, 8000);
	const char *name = cli_project(c, &at, &e), *since = since_of(c, &e);
	const char *release = cli_flag(c, "release"), *tail = cli_flag(c, "tail");
	if (!name || !since ||
	    (release && cli_number(release, "--release", 1, UINT32_MAX, &number, &e) < 0) ||
	    (tail && cli_number(tail, "--tail", 1, TAIL_MAX, &number, &e) < 0))
		return cli_fail(c, &e);
	buf_c(&path, cli_path(c, "projects/{}/logs", name, NULL));
	buf_c(&stream, cli_path(c, "projects/{}/logs/stream", name, NULL));
	cli_query(&path, "tail", tail);
	cli_query(&path, "since", since[0] ? since : NULL);
	for (int i = 0; i < 2; i++) {
		struct buf *b = i ? &stream : &path;
		cli_query(b, "process", cli_flag(c, "process"));
		cli_query(b, "release", release);
		cli_query(b, "contains", cli_flag(c, "grep"));
	}
	if (cli_call(c, "GET", path.p, NULL, &all, &e) < 0)
		return cli_fail(c, &e);
	const json_t *items = json_object_get(all, "items");
	for (size_t i = 0; i < json_array_size(items); i++)
		print_line(c, json_array_get(items, i));
	(void)fflush(stdout);
	return cli_has(c, "follow") ? go_on(c, stream.p, items) : 0;
}
