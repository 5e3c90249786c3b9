/* Steps, the head above them, and the words at the end.
 *
 *   shop  release 14  from main 3f2c1ab "Fix cart total" (you, 2 minutes ago)
 *     ✓ fetch       0.1 s   12 objects
 *
 * The head is known once the release has its number, after the first steps; those wait for it. */
#include "cli/report.h"

#include "base/clock.h"
#include "base/num.h"
#include "cli/follow.h"

#include <inttypes.h>
#include <string.h>

void follow_time(int64_t ms, char out[32])
{
	if (ms < 100000)
		(void)snprintf(
		    out, 32, "%" PRId64 ".%" PRId64 " s", (ms + 50) / 1000, (ms + 50) % 1000 / 100);
	else
		num_duration_text(ms, out);
}

void report_init(struct report *r, struct cli *c, int64_t task, const char *headline, bool quiet)
{
	*r = (struct report){.c = c,
	    .task = task,
	    .headline = headline,
	    .quiet = quiet,
	    .failed_ms = -1,
	    .begun_ms = clock_mono_ms()};
	r->head_done = quiet || c->json;
}

void report_fini(struct report *r)
{
	for (size_t i = 0; i < r->held_count; i++)
		json_decref(r->held[i]);
	r->held_count = 0;
}

void report_clear_line(struct report *r)
{
	if (r->live_line)
		(void)fputs("\r\x1b[K", stdout);
	r->live_line = false;
	(void)fflush(stdout);
}

/* `fetch       0.1 s   12 objects` and `start      30.0 s`: the decimal points stand below each
 * other. */
static void put_line(const char *name, const char *took, const char *text)
{
	const char *unit = strchr(took, ' ');
	int pad = text[0] ? 5 : 0;
	if (unit && strlen(unit) <= 3)
		(void)printf("%-11s%4.*s%-*s", name, (int)(unit - took), took, pad, unit);
	else
		(void)printf("%-11s %-*s", name, pad, took);
	(void)fputs(text, stdout);
}

void report_tick(struct report *r)
{
	char took[32];
	struct cli *c = r->c;
	if (!c->out.tty || c->json || !r->running[0])
		return;
	follow_time(clock_mono_ms() - r->running_since_ms, took);
	report_clear_line(r);
	size_t width = out_width(), used = 2 + 2 + 11 + 7 + 2;
	char text[sizeof(r->last_line)];
	size_t n = 0;
	/* Whole characters only, and never as far as the last column. */
	for (size_t columns = 0; r->last_line[n] && n + 1 < sizeof(text); n++) {
		if (((unsigned char)r->last_line[n] & 0xc0) != 0x80 && ++columns + used + 1 > width)
			break;
		text[n] = r->last_line[n];
	}
	text[n] = '\0';
	(void)printf("  %s ", out_mark(&c->out, OUT_RUNNING));
	put_line(r->running, took, width > used ? text : "");
	r->live_line = true;
	(void)fflush(stdout);
}

static struct report_step *step_of(struct report *r, const char *name)
{
	for (size_t i = 0; i < r->step_count; i++)
		if (strcmp(r->steps[i].name, name) == 0)
			return &r->steps[i];
	if (r->step_count == REPORT_STEPS_MAX)
		return NULL;
	struct report_step *s = &r->steps[r->step_count++];
	(void)snprintf(s->name, sizeof(s->name), "%s", name);
	return s;
}

bool follow_is_time(const char *detail)
{
	size_t n = strspn(detail, "0123456789.");
	return n > 0 && strcmp(detail + n, " ms") == 0;
}

static void print_step(struct report *r, const json_t *j)
{
	char took[32], name[REPORT_NAME_SIZE];
	struct cli *c = r->c;
	const char *state = cli_raw(j, "state"), *detail = cli_text(c, j, "detail");
	bool done = state && strcmp(state, "done") == 0;
	(void)snprintf(name, sizeof(name), "%s", cli_text(c, j, "step"));
	if (state && strcmp(state, "failed") == 0) { /* the end says why, on the step's own line */
		r->failed_ms = cli_int(j, "ms");
		return;
	}
	if (done && strcmp(name, "undo") == 0)
		return;
	follow_time(cli_int(j, "ms"), took);
	if (follow_is_time(detail)) {
		(void)snprintf(took, sizeof(took), "%.31s", detail);
		detail = "";
	}
	report_clear_line(r);
	(void)printf("  %s ", out_mark(&c->out, done ? OUT_DONE : OUT_SKIPPED));
	put_line(name, took, detail);
	(void)putchar('\n');
	(void)fflush(stdout);
}

/* `from main 3f2c1ab "Fix cart total" (anna, 2 minutes ago)` */
static void print_source(struct cli *c, const json_t *o)
{
	const char *ref = cli_text(c, o, "ref"), *subject = cli_text(c, o, "subject"),
		   *author = cli_text(c, o, "author"), *ago = cli_ago(c, o, "committed_at");
	char commit[8];
	(void)snprintf(commit, sizeof(commit), "%s", cli_text(c, o, "commit"));
	if (ref[0] || commit[0])
		(void)printf(
		    "  from%s%s%s%s", ref[0] ? " " : "", ref, commit[0] ? " " : "", commit);
	if (subject[0])
		(void)printf(" \"%s\"", subject);
	int name = (int)strcspn(author, "<");
	while (name > 0 && author[name - 1] == ' ')
		name--;
	if (name > 0)
		(void)printf(" (%.*s%s%s)", name, author, ago[0] ? ", " : "", ago);
}

static void print_head(struct report *r, const json_t *release, const json_t *task)
{
	struct cli *c = r->c;
	report_clear_line(r);
	(void)printf("%s", cli_text(c, task, "project"));
	if (release)
		(void)printf("  release %" PRId64, cli_int(release, "number"));
	else
		(void)printf("  %s", r->headline ? r->headline : cli_text(c, task, "kind"));
	print_source(c, release ? release : task);
	(void)putchar('\n');
	r->head_done = true;
	for (size_t i = 0; i < r->held_count; i++)
		print_step(r, r->held[i]);
	report_fini(r);
}

/* Asks for the release that the task makes; without one the head says what the task is, when it
 * must be now. */
static void find_head(struct report *r, bool must)
{
	struct cli *c = r->c;
	char number[24];
	json_t *task = NULL, *list = NULL;
	struct err ignored;
	(void)snprintf(number, sizeof(number), "%" PRId64, r->task);
	if (cli_call(c, "GET", cli_path(c, "tasks/{}", number, NULL), NULL, &task, &ignored) == 0) {
		const char *project = cli_raw(task, "project"), *kind = cli_raw(task, "kind");
		bool makes_one = kind && strcmp(kind, "deploy") == 0 && !r->undone;
		(void)snprintf(r->project, sizeof(r->project), "%s", cli_text(c, task, "project"));
		const json_t *release = NULL;
		if (project && makes_one &&
		    cli_call(c, "GET", cli_path(c, "projects/{}/releases?limit=3", project, NULL),
			NULL, &list, &ignored) == 0) {
			const json_t *items = json_object_get(list, "items");
			for (size_t i = 0; i < json_array_size(items); i++)
				if (cli_int(json_array_get(items, i), "task") == r->task)
					release = json_array_get(items, i);
		}
		if (release || must)
			print_head(r, release, task);
	}
	json_decref(list);
	json_decref(task);
	if (must)
		r->head_done = true;
}

static void end_step(struct report *r, const json_t *j)
{
	const char *name = cli_raw(j, "step");
	struct report_step *s = name ? step_of(r, name) : NULL;
	if (!s || s->printed)
		return;
	s->printed = true;
	if (r->c->json && !r->quiet)
		cli_print_json(j);
	if (r->c->json || r->quiet) {
		(void)fflush(stdout);
		return;
	}
	if (!r->head_done && r->held_count < REPORT_STEPS_MAX) {
		json_t *copy = json_deep_copy(j);
		if (copy)
			r->held[r->held_count++] = copy;
		/* Only a fetch that found something new keeps its release. */
		if (strcmp(name, "fetch") != 0)
			find_head(r, false);
		return;
	}
	print_step(r, j);
}

static void begin_step(struct report *r, const char *name)
{
	struct report_step *s = step_of(r, name);
	if (s && s->printed)
		return; /* an old message: the stream tells again what its ring still has */
	(void)snprintf(r->running, sizeof(r->running), "%s", out_safe(&r->c->a, str_c(name)));
	r->running_since_ms = clock_mono_ms();
	r->last_line[0] = '\0';
	/* From here on it may take minutes: the head has waited long enough. */
	bool late = strcmp(name, "fetch") != 0 && strcmp(name, "plan") != 0;
	if (!r->head_done && late)
		find_head(r, strcmp(name, "undo") != 0);
	report_tick(r);
}

static void take_step(struct report *r, const json_t *j)
{
	const char *state = cli_raw(j, "state"), *name = cli_raw(j, "step");
	if (!state || !name || !name[0])
		return;
	r->undone = r->undone || strcmp(name, "undo") == 0;
	if (strcmp(state, "running") == 0) {
		begin_step(r, name);
		return;
	}
	if (strcmp(r->running, name) == 0)
		r->running[0] = '\0';
	end_step(r, j);
}

/* The store's step as the stream would have said it. */
static void take_stored(struct report *r, const json_t *step)
{
	CLEANUP_JSON json_t *j = json_object();
	(void)json_object_set(j, "step", json_object_get(step, "name"));
	(void)json_object_set(j, "state", json_object_get(step, "state"));
	json_t *ms = json_object_get(step, "duration_ms");
	(void)json_object_set_new(j, "ms", ms ? json_incref(ms) : json_integer(0));
	(void)json_object_set(j, "detail", json_object_get(step, "detail"));
	take_step(r, j);
}

static void take_line(struct report *r, const json_t *j)
{
	struct cli *c = r->c;
	struct arena a CLEANUP_ARENA; /* a build may print more than a run should keep */
	arena_init(&a, 256u << 10);
	const char *said = cli_raw(j, "text"), *text = said ? out_safe(&a, str_c(said)) : "";
	(void)snprintf(r->last_line, sizeof(r->last_line), "%.200s", text);
	if (!cli_has(c, "verbose") || c->json || r->quiet)
		return;
	report_clear_line(r);
	(void)printf("      %s\n", text);
	(void)fflush(stdout);
}

static void take_task(struct report *r, const json_t *j)
{
	const json_t *steps = json_object_get(j, "steps");
	const char *state = cli_raw(j, "state");
	int64_t attempt = cli_int(j, "attempt");
	for (size_t i = 0; r->attempt && attempt > r->attempt && i < r->step_count; i++)
		r->steps[i].printed = false;
	r->attempt = attempt > r->attempt ? attempt : r->attempt;
	for (size_t i = 0; i < json_array_size(steps); i++) {
		const json_t *s = json_array_get(steps, i);
		if (cli_int(s, "attempt") == cli_int(j, "attempt"))
			take_stored(r, s);
	}
	if (state && strcmp(state, "waiting") == 0 && !r->quiet && !r->running[0]) {
		(void)snprintf(r->running, sizeof(r->running), "waiting");
		r->running_since_ms = clock_mono_ms();
		report_tick(r);
	} else if (strcmp(r->running, "waiting") == 0) {
		r->running[0] = '\0';
	}
}

void report_event(struct report *r, struct str event, const json_t *j)
{
	if (str_eq_c(event, "step"))
		take_step(r, j);
	else if (str_eq_c(event, "line"))
		take_line(r, j);
	else if (str_eq_c(event, "task") || str_eq_c(event, "state"))
		take_task(r, j);
}

/* Where the project answers, without the '/' behind; "" when it does not. */
static const char *address(struct report *r, const json_t *result)
{
	struct cli *c = r->c;
	char number[24];
	json_t *task = NULL, *project = NULL;
	const char *url = cli_text(c, result, "url");
	struct err ignored;
	(void)snprintf(number, sizeof(number), "%" PRId64, r->task);
	if (cli_call(c, "GET", cli_path(c, "tasks/{}", number, NULL), NULL, &task, &ignored) == 0 &&
	    cli_raw(task, "project") &&
	    cli_call(c, "GET", cli_path(c, "projects/{}", cli_raw(task, "project"), NULL), NULL,
		&project, &ignored) == 0) {
		const char *first =
		    json_string_value(json_array_get(json_object_get(project, "urls"), 0));
		if (first)
			url = out_safe(&c->a, str_c(first));
	}
	json_decref(project);
	json_decref(task);
	size_t n = strlen(url);
	const char *cut =
	    n && url[n - 1] == '/' ? arena_printf(&c->a, "%.*s", (int)n - 1, url) : url;
	return cut ? cut : url;
}

static void print_receipt(struct cli *c, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *x = json_array_get(list, i);
		const char *why = cli_text(c, x, "why");
		(void)printf("    %-10s %s%s%s\n", cli_text(c, x, "outcome"),
		    cli_text(c, x, "what"), why[0] ? ": " : "", why);
	}
}

static void print_success(struct report *r, const json_t *end)
{
	struct cli *c = r->c;
	char took[32];
	const json_t *result = json_object_get(end, "result");
	const char *warning = cli_text(c, result, "warning");
	const json_t *ms = json_object_get(result, "ms");
	follow_time(ms ? json_integer_value(ms) : clock_mono_ms() - r->begun_ms, took);
	print_receipt(c, json_object_get(result, "receipt"));
	if (warning[0])
		(void)printf("  ! %s\n", warning);
	const char *url = cli_raw(result, "url") ? address(r, result) : "", *project = r->project;
	if (r->headline && strcmp(r->headline, "rollback") == 0)
		(void)printf("release %" PRId64 " is ", cli_int(result, "release"));
	if (cli_true(result, "up_to_date"))
		(void)printf(
		    "up to date: that commit is live already    again: slipway deploy --force\n");
	else if (cli_int(result, "release") && url[0])
		(void)printf("live at %s in %s", url, took);
	else
		(void)printf("done in %s", took);
	if (cli_int(result, "release") && cli_int(result, "from"))
		(void)printf("    undo: slipway rollback%s%s", project[0] ? " " : "", project);
	if (!cli_true(result, "up_to_date"))
		(void)putchar('\n');
}

static void print_failure(struct report *r, const json_t *end)
{
	struct cli *c = r->c;
	const json_t *error = json_object_get(end, "error"),
		     *lines = json_object_get(error, "lines");
	const char *step = cli_text(c, error, "step"), *message = cli_text(c, error, "message"),
		   *serving = cli_text(c, error, "serving"), *hint = cli_text(c, error, "hint"),
		   *state = cli_text(c, end, "state");
	char took[32] = "";
	if (r->failed_ms >= 0)
		follow_time(r->failed_ms, took);
	(void)printf("%s%s ", r->quiet ? "" : "  ", out_mark(&c->out, OUT_FAILED));
	put_line(step[0] ? step : state, took, message[0] ? message : state);
	(void)putchar('\n');
	if (json_array_size(lines))
		(void)printf("    the program's last lines:\n");
	for (size_t i = 0; i < json_array_size(lines); i++) {
		const char *line = json_string_value(json_array_get(lines, i));
		(void)printf("      %s\n", line ? out_safe(&c->a, str_c(line)) : "");
	}
	print_receipt(c, json_object_get(error, "receipt"));
	/* Behind a sentence the hint begins another one. */
	bool second = serving[0] && hint[0] >= 'a' && hint[0] <= 'z';
	if (serving[0] || hint[0])
		(void)printf("    %s%s%c%s\n", serving, serving[0] && hint[0] ? ". " : "",
		    second    ? hint[0] - 'a' + 'A'
		    : hint[0] ? hint[0]
			      : ' ',
		    hint[0] ? hint + 1 : "");
}

int report_end(struct report *r, const json_t *end)
{
	const char *state = cli_raw(end, "state");
	bool done = state && (strcmp(state, "done") == 0 || strcmp(state, "up-to-date") == 0);
	if (!r->head_done)
		find_head(r, true);
	if (r->c->json) {
		if (!r->quiet || !done)
			cli_print_json(end);
	} else if (done) {
		if (!r->quiet)
			print_success(r, end);
	} else {
		print_failure(r, end);
	}
	return done ? 0 : CLI_EXIT_FAILED;
}
