/* What a task did and said, as text: for people, who come here by the link of a commit's status. */
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "model/step.h"
#include "observe/logs.h"

#include <inttypes.h>
#include <stdio.h>

enum { LINES_MAX = 10000, ROOM_BYTES = 64 << 20, DAY_MS = 86400000 };

/* On one line, whatever a program or a person wrote: this is read in terminals, too. */
static void put_line(struct buf *b, struct str s)
{
	char text[LIMIT_LOG_LINE_BYTES];
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n'))
		s.n--;
	buf_put(b, text, log_escape_text(s, text, sizeof(text)));
	buf_c(b, "\n");
}

static void put_at(struct buf *b, int64_t at_ms)
{
	char text[32];
	clock_format(at_ms, text);
	buf_printf(b, "%s  ", text);
}

static void put_head(struct buf *b, const struct model_task *t)
{
	buf_printf(b, "task %" PRId64 ": %s of %.*s", t->id, model_task_kind_name(t->kind), STR_ARG(t->project));
	if (t->ref.n)
		buf_printf(b, ", %.*s", STR_ARG(t->ref));
	if (t->head_commit.n)
		buf_printf(b, " at %.*s", STR_ARG(t->head_commit));
	buf_printf(b, "\nasked for by %.*s\n%s\n\n", STR_ARG(t->requested_by), model_task_state_name(t->state));
}

static void put_steps(struct buf *b, const struct model_steps *steps)
{
	for (size_t i = 0; i < steps->n; i++) {
		const struct model_step *s = &steps->v[i];
		int64_t ms = s->finished_ms > s->started_ms ? s->finished_ms - s->started_ms : 0;
		put_at(b, s->started_ms);
		buf_printf(b, "%-10.*s %-9s %8.1f s%s", STR_ARG(s->name), model_step_state_name(s->state), (double)ms / 1000, s->detail.n ? "   " : "");
		put_line(b, s->detail);
	}
}

static bool is_step(const struct model_steps *steps, struct str process)
{
	for (size_t i = 0; i < steps->n; i++)
		if (str_eq(steps->v[i].name, process))
			return true;
	return false;
}

/* What its commands printed stands in the project's log under the steps' names; a project's tasks follow each other. */
static int put_output(struct api_call *c, const struct model_task *t, const struct model_steps *steps, struct err *e)
{
	struct arena room CLEANUP_ARENA;
	struct logs_line *lines;
	size_t count;
	struct logs_query q = {.project = t->project, .tail = LINES_MAX, .since_ms = t->started_ms};
	arena_init(&room, ROOM_BYTES);
	if (t->started_ms == 0)
		return 0;
	if (logs_read(c->cx->logs, &q, &room, &lines, &count, e) < 0)
		return -1;
	int64_t end_ms = t->finished_ms > 0 ? t->finished_ms : clock_wall_ms() + DAY_MS;
	bool any = false;
	for (size_t i = 0; i < count; i++) {
		if (lines[i].at_ms > end_ms || !is_step(steps, lines[i].process))
			continue;
		buf_c(&c->out, any ? "" : "\n");
		any = true;
		put_at(&c->out, lines[i].at_ms);
		buf_printf(&c->out, "%-10.*s ", STR_ARG(lines[i].process));
		put_line(&c->out, lines[i].text);
	}
	return 0;
}

static void put_error(struct buf *b, struct str error)
{
	json_t *said CLEANUP_JSON = error.n ? json_loadb(error.p, error.n, 0, NULL) : NULL;
	struct str message = api_str(said, "message"), hint = api_str(said, "hint");
	if (message.n) {
		buf_c(b, "\n");
		put_line(b, message);
	}
	if (hint.n)
		put_line(b, hint);
}

int api_task_log(struct api_call *c, struct err *e)
{
	struct model_task t;
	struct model_steps steps;
	if (api_task_read(c, &t, &steps, e) < 0)
		return -1;
	put_head(&c->out, &t);
	put_steps(&c->out, &steps);
	if (put_output(c, &t, &steps, e) < 0)
		return -1;
	put_error(&c->out, t.error);
	if (buf_check(&c->out, "the task", e) < 0)
		return -1;
	c->answered = true;
	http_reply(c->http, 200, "text/plain; charset=utf-8", buf_view(&c->out));
	return 0;
}
