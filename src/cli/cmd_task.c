/* Work and what runs: releases, rollback, ps, scale, restart, stop, start, tasks, cancel. */
#include "cli/commands.h"
#include "cli/follow.h"

#include "base/num.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_BYTES_MAX (16u << 20) /* the server sends no more */

static int limit_of(struct cli *c, size_t *ret, struct err *e)
{
	int64_t n = 50;
	const char *said = cli_flag(c, "limit");
	if (said && cli_number(said, "--limit", 1, 10000, &n, e) < 0)
		return -1;
	*ret = (size_t)n;
	return 0;
}

/* POST to a project's path with a body, then follow the task. */
static int order(
    struct cli *c, const char *name, const char *pattern, json_t *body, const char *headline)
{
	struct err e = {0};
	json_t *answer = NULL;
	struct follow_options o = {.headline = headline};
	if (cli_call(c, "POST", cli_path(c, pattern, name, NULL), body, &answer, &e) < 0)
		return cli_fail(c, &e);
	return follow_answer(c, answer, &o);
}

static int show_release(struct cli *c, const char *name, const char *number, struct err *e)
{
	char size[32];
	CLEANUP_JSON json_t *r = NULL;
	const char *path = cli_path(c, "projects/{}/releases/{}", name, number, NULL);
	if (cli_call(c, "GET", path, NULL, &r, e) < 0)
		return cli_fail(c, e);
	if (c->json) {
		cli_print_json(r);
		return 0;
	}
	num_size_text((uint64_t)cli_int(r, "size_bytes"), size);
	(void)printf("%s  release %s  %s%s\n", name, cli_num(c, r, "number"),
	    cli_text(c, r, "state"),
	    cli_true(r, "live")	      ? ", live"
	    : cli_true(r, "previous") ? ", previous"
				      : "");
	(void)printf("  %-10s %s %s\n", "commit", cli_text(c, r, "commit"), cli_text(c, r, "ref"));
	(void)printf(
	    "  %-10s %s (%s)\n", "subject", cli_text(c, r, "subject"), cli_text(c, r, "author"));
	(void)printf(
	    "  %-10s %s, task %s\n", "made", cli_ago(c, r, "created_at"), cli_num(c, r, "task"));
	(void)printf("  %-10s %s\n", "size", size);
	const json_t *plan = json_object_get(r, "plan");
	if (json_is_object(plan))
		(void)printf("  %-10s %s (%s)\n", "kind", cli_text(c, plan, "kind"),
		    cli_text(c, plan, "reason"));
	return 0;
}

static void release_row(struct cli *c, struct out_table *t, const json_t *r)
{
	const char *commit = arena_printf(&c->a, "%.7s", cli_text(c, r, "commit"));
	const char *row[] = {cli_num(c, r, "number"),
	    cli_true(r, "live")	      ? "live"
	    : cli_true(r, "previous") ? "previous"
				      : cli_text(c, r, "state"),
	    commit, cli_text(c, r, "ref"), out_cut(&c->a, cli_text(c, r, "subject"), 50),
	    cli_ago(c, r, "created_at")};
	out_table_row(t, row);
}

int cmd_releases(struct cli *c)
{
	static const char *const heads[] = {
	    ">RELEASE", "STATE", "COMMIT", "REF", "SUBJECT", "MADE"};
	struct err e = {0};
	size_t at = 0, limit, n = c->args.word_count;
	const char *number = n && c->args.words[n - 1][0] >= '0' && c->args.words[n - 1][0] <= '9'
				 ? c->args.words[n - 1]
				 : NULL;
	CLEANUP_JSON json_t *all = NULL;
	if (number)
		c->args.word_count--;
	const char *name = cli_project(c, &at, &e);
	if (!name || limit_of(c, &limit, &e) < 0)
		return cli_fail(c, &e);
	if (number)
		return show_release(c, name, number, &e);
	if (cli_list(c, cli_path(c, "projects/{}/releases", name, NULL), limit, &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no releases yet. Make one: slipway deploy NAME")
		   ? 0
		   : cli_table(c, all, 6, heads, release_row);
}

/* What going back does not undo is said before it is done, and on a terminal asked: 0 go on, else
 * the exit code. */
static int rollback_warn(struct cli *c, const char *name, int64_t number)
{
	struct err e = {0};
	char query[40] = "";
	CLEANUP_JSON json_t *plan = NULL;
	if (number)
		(void)snprintf(query, sizeof(query), "?release=%" PRId64, number);
	const char *path = cli_path(c, "projects/{}/rollback", name, NULL);
	if (cli_call(c, "GET", arena_printf(&c->a, "%s%s", path, query), NULL, &plan, &e) < 0)
		return cli_fail(c, &e);
	const char *warning = cli_text(c, plan, "warning");
	if (!warning[0])
		return 0;
	(void)fprintf(stderr, "warning: %s\n", warning);
	if (c->json || cli_has(c, "yes") || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return 0;
	if (cli_ask("go back all the same? type yes: ", "yes", &e) > 0)
		return 0;
	(void)fprintf(stderr, "nothing was done\n");
	return CLI_EXIT_FAILED;
}

int cmd_rollback(struct cli *c)
{
	struct err e = {0};
	int64_t number = 0;
	size_t at = 0, n = c->args.word_count;
	const char *last = n ? c->args.words[n - 1] : "";
	if (last[0] >= '0' && last[0] <= '9') {
		if (cli_number(last, "the release", 1, UINT32_MAX, &number, &e) < 0)
			return cli_fail(c, &e);
		c->args.word_count--;
	}
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	int code = rollback_warn(c, name, number);
	if (code)
		return code;
	json_t *body = json_object();
	if (number)
		(void)json_object_set_new(body, "release", json_integer(number));
	return order(c, name, "projects/{}/rollback", body, "rollback");
}

static void ps_rows(struct cli *c, struct out_table *t, const json_t *p)
{
	const json_t *list = json_object_get(p, "instances");
	const char *name = cli_text(c, p, "name");
	char up[32];
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *x = json_array_get(list, i);
		up[0] = '\0';
		if (json_is_integer(json_object_get(x, "up_ms")))
			num_duration_text(cli_int(x, "up_ms"), up);
		const char *label = arena_printf(&c->a, "%s.%s", name, cli_num(c, x, "instance"));
		const char *state = cli_text(c, x, "state");
		if (json_is_true(json_object_get(x, "throttled")))
			state = arena_printf(&c->a, "%s, at its cpu limit", state);
		const char *row[] = {label, state, cli_num(c, x, "release"),
		    cli_num(c, x, "pid"), cli_num(c, x, "port"), cli_num(c, x, "starts"),
		    arena_cstr(&c->a, str_c(up))};
		out_table_row(t, row);
	}
	if (json_array_size(list) == 0) {
		const char *why = cli_int(p, "count") ? "not running" : "scaled to 0";
		const char *row[] = {name, why, "", "", "", "", ""};
		out_table_row(t, row);
	}
}

int cmd_ps(struct cli *c)
{
	static const char *const heads[] = {
	    "INSTANCE", "STATE", ">RELEASE", ">PID", ">PORT", ">STARTS", "UP"};
	struct err e = {0};
	size_t at = 0;
	CLEANUP_JSON json_t *all = NULL;
	const char *name = cli_project(c, &at, &e);
	if (!name || cli_call(c, "GET", cli_path(c, "projects/{}/processes", name, NULL), NULL,
			 &all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(
		   c, all, "no processes: nothing was deployed yet, or it is served as files")
		   ? 0
		   : cli_table(c, all, 7, heads, ps_rows);
}

static int scale_one(struct cli *c, const char *name, const char *word)
{
	struct err e = {0};
	char process[32];
	int64_t count;
	json_t *answer = NULL;
	size_t n = strcspn(word, "=");
	struct follow_options o = {.headline = "scale"};
	if (word[n] != '=' || !str_copy((struct str){word, n}, process, sizeof(process)))
		return cli_usage(c, "'%.60s' is not PROCESS=N", word);
	if (cli_number(word + n + 1, "the number of instances", 0, 1000, &count, &e) < 0)
		return cli_fail(c, &e);
	if (cli_call(c, "PUT", cli_path(c, "projects/{}/processes/{}", name, process, NULL),
		json_pack("{s:I}", "count", (json_int_t)count), &answer, &e) < 0)
		return cli_fail(c, &e);
	return follow_answer(c, answer, &o);
}

int cmd_scale(struct cli *c)
{
	struct err e = {0};
	size_t at = strchr(c->args.words[0], '=') ? c->args.word_count : 0;
	size_t first = at ? 0 : 1;
	const char *name = cli_project(c, &at, &e);
	if (!name)
		return cli_fail(c, &e);
	if (cli_flag(c, "project"))
		first = 0;
	if (first == c->args.word_count)
		return cli_usage(c, "something is missing: PROCESS=N");
	int code = 0;
	for (size_t i = first; i < c->args.word_count && code == 0; i++)
		code = scale_one(c, name, c->args.words[i]);
	return code;
}

static int simple(struct cli *c, const char *pattern, const char *headline)
{
	struct err e = {0};
	size_t at = 0;
	const char *name = cli_project(c, &at, &e), *process = cli_flag(c, "process");
	if (!name)
		return cli_fail(c, &e);
	json_t *body = json_object();
	if (process)
		(void)json_object_set_new(body, "process", json_string(process));
	return order(c, name, pattern, body, headline);
}

int cmd_restart(struct cli *c)
{
	return simple(c, "projects/{}/restart", "restart");
}

int cmd_stop(struct cli *c)
{
	return simple(c, "projects/{}/stop", "stop");
}

int cmd_start(struct cli *c)
{
	return simple(c, "projects/{}/start", "start");
}

static bool is_number(const char *word)
{
	int64_t id;
	return num_i64(str_c(word), 1, INT64_MAX, &id);
}

static int show_task(struct cli *c, const char *id)
{
	struct err e = {0};
	char took[32];
	CLEANUP_JSON json_t *t = NULL;
	if (cli_call(c, "GET", cli_path(c, "tasks/{}", id, NULL), NULL, &t, &e) < 0)
		return cli_fail(c, &e);
	if (c->json) {
		cli_print_json(t);
		return 0;
	}
	(void)printf("%s  %s  %s, %s, by %s\n", cli_text(c, t, "project"), cli_text(c, t, "kind"),
	    cli_text(c, t, "state"), cli_ago(c, t, "created_at"), cli_text(c, t, "requested_by"));
	const json_t *steps = json_object_get(t, "steps"), *error = json_object_get(t, "error");
	const char *message = cli_text(c, error, "message"), *hint = cli_text(c, error, "hint");
	bool said = false;
	for (size_t i = 0; i < json_array_size(steps); i++) {
		const json_t *s = json_array_get(steps, i);
		const char *state = cli_text(c, s, "state"), *detail = cli_text(c, s, "detail");
		said = said || strcmp(detail, message) == 0;
		if (strcmp(state, "done") == 0 && strcmp(cli_text(c, s, "name"), "undo") == 0)
			continue;
		enum out_mark m = strcmp(state, "done") == 0	  ? OUT_DONE
				  : strcmp(state, "running") == 0 ? OUT_RUNNING
				  : strcmp(state, "failed") == 0  ? OUT_FAILED
								  : OUT_SKIPPED;
		follow_time(cli_int(s, "duration_ms"), took);
		if (follow_is_time(detail)) {
			(void)snprintf(took, sizeof(took), "%.31s", detail);
			detail = "";
		}
		(void)printf("  %s %-10s  %7s%s%s\n", out_mark(&c->out, m), cli_text(c, s, "name"),
		    took, detail[0] ? "   " : "", detail);
	}
	if (message[0] && !said)
		(void)printf("    %s\n", message);
	const json_t *lines = json_object_get(error, "lines");
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));
		(void)printf("      %s\n", line ? out_safe(&c->a, str_c(line)) : "");
	}
	if (hint[0])
		(void)printf("    %s\n", hint);
	return 0;
}

int cmd_tasks_show(struct cli *c)
{
	struct err e = {0};
	struct follow_options o = {0};
	int64_t id;
	if (cli_number(c->args.words[0], "the task", 1, INT64_MAX, &id, &e) < 0)
		return cli_fail(c, &e);
	return cli_has(c, "follow") ? follow_task(c, id, &o) : show_task(c, c->args.words[0]);
}

static int read_log(struct cli *c, const char *task, struct buf *into, struct err *e)
{
	struct net *n = cli_net(c, e);
	const struct net_request q = {.method = "GET", .path = cli_path(c, "tasks/{}/log", task, NULL)};
	return n ? net_call(n, &q, into, e) : -1;
}

int cmd_tasks_log(struct cli *c)
{
	struct err e = {0};
	int64_t id;
	CLEANUP_BUF struct buf text;
	buf_init(&text, LOG_BYTES_MAX);
	if (cli_number(c->args.words[0], "the task", 1, INT64_MAX, &id, &e) < 0 ||
	    read_log(c, c->args.words[0], &text, &e) < 0)
		return cli_fail(c, &e);
	struct str rest = buf_view(&text), line;
	if (c->json) {
		CLEANUP_JSON json_t *j = json_pack("{sIss%}", "task", (json_int_t)id, "log", rest.p, rest.n);
		cli_print_json(j);
		return 0;
	}
	while (rest.n > 0 && str_next(&rest, '\n', &line) == 1)
		(void)printf("%s\n", out_safe(&c->a, line));
	return 0;
}

static void task_row(struct cli *c, struct out_table *t, const json_t *x)
{
	const char *row[] = {cli_num(c, x, "id"), cli_text(c, x, "project"), cli_text(c, x, "kind"),
	    cli_text(c, x, "state"), cli_text(c, x, "current_step"), cli_text(c, x, "ref"),
	    cli_text(c, x, "requested_by"), cli_ago(c, x, "created_at")};
	out_table_row(t, row);
}

int cmd_tasks(struct cli *c)
{
	static const char *const heads[] = {
	    ">TASK", "PROJECT", "KIND", "STATE", "STEP", "REF", "BY", "WHEN"};
	struct err e = {0};
	size_t at = 0, limit;
	CLEANUP_JSON json_t *all = NULL;
	if (c->args.word_count && is_number(c->args.words[0]))
		return show_task(c, c->args.words[0]);
	bool one = c->args.word_count || cli_flag(c, "project");
	const char *name = one ? cli_project(c, &at, &e) : NULL;
	if ((one && !name) || limit_of(c, &limit, &e) < 0)
		return cli_fail(c, &e);
	if (cli_list(c, one ? cli_path(c, "projects/{}/tasks", name, NULL) : "/api/v1/tasks", limit,
		&all, &e) < 0)
		return cli_fail(c, &e);
	return cli_is_empty(c, all, "no tasks yet") ? 0 : cli_table(c, all, 8, heads, task_row);
}

/* The number of the project's task that waits or runs; NULL when there is none. */
static const char *task_to_cancel(struct cli *c, struct err *e)
{
	size_t at = 0;
	const char *name = cli_project(c, &at, e);
	CLEANUP_JSON json_t *all = NULL;
	if (!name || cli_list(c, cli_path(c, "projects/{}/tasks", name, NULL), 20, &all, e) < 0)
		return NULL;
	const json_t *items = json_object_get(all, "items");
	const char *waiting = NULL;
	for (size_t i = 0; i < json_array_size(items); i++) {
		const json_t *t = json_array_get(items, i);
		const char *state = cli_raw(t, "state");
		if (state && strcmp(state, "running") == 0)
			return cli_num(c, t, "id");
		if (state && strcmp(state, "waiting") == 0)
			waiting = cli_num(c, t, "id");
	}
	if (!waiting)
		err_set(e, ERR_NOT_FOUND, "nothing of '%s' waits or runs", name);
	return waiting;
}

int cmd_cancel(struct cli *c)
{
	struct err e = {0};
	bool numbered = c->args.word_count && is_number(c->args.words[0]);
	const char *id = numbered ? c->args.words[0] : task_to_cancel(c, &e);
	CLEANUP_JSON json_t *answer = NULL;
	if (!id || cli_call(c, "POST", cli_path(c, "tasks/{}/cancel", id, NULL), json_object(),
		       &answer, &e) < 0)
		return cli_fail(c, &e);
	if (c->json)
		cli_print_json(answer);
	else if (strcmp(cli_text(c, answer, "state"), "cancelled") == 0)
		(void)printf("task %s was cancelled\n", id);
	else
		(void)printf("task %s is being ended\n", id);
	return 0;
}
