/* Output of a project's programs, as it was kept. */
#include "api/routes.h"

#include "base/clock.h"
#include "base/name.h"
#include "base/num.h"

enum { TAIL_DEFAULT = 200, TAIL_MAX = 10000, AGO_MAX_DAYS = 3650 };

/* A time, or how long ago ("10m"). */
static int since_read(struct str s, int64_t *ret, struct err *e)
{
	int64_t ago;
	if (clock_parse(s, ret))
		return 0;
	if (num_duration(s, (int64_t)AGO_MAX_DAYS * 86400000, &ago)) {
		*ret = clock_wall_ms() - ago;
		return 0;
	}
	return err_set(
	    e, ERR_INVALID, "since is no time (2026-11-20T11:09:59Z) and no duration (10m)");
}

static int query_read(const struct api_call *c, struct logs_query *q, struct err *e)
{
	struct str process = http_query(c->r, "process"), contains = http_query(c->r, "contains"),
		   release = http_query(c->r, "release"), tail = http_query(c->r, "tail"),
		   since = http_query(c->r, "since");
	int64_t n = TAIL_DEFAULT, number = 0;
	*q = (struct logs_query){.project = c->who->project,
	    .process = process.p ? process : STR(""),
	    .contains = contains.p ? contains : STR("")};
	if (process.n && name_process(process, e) < 0)
		return -1;
	if (release.p && !num_i64(release, 1, UINT32_MAX, &number))
		return err_set(e, ERR_INVALID, "release is no number");
	if (tail.p && !num_i64(tail, 1, TAIL_MAX, &n))
		return err_set(e, ERR_INVALID, "tail must be from 1 to %d", TAIL_MAX);
	q->release = (uint32_t)number;
	q->tail = (uint32_t)n;
	return since.p ? since_read(since, &q->since_ms, e) : 0;
}

int api_log_list(struct api_call *c, struct err *e)
{
	struct logs_query q;
	struct logs_line *lines;
	size_t count;
	struct arena room CLEANUP_ARENA;
	arena_init(&room, 64u << 20);
	if (query_read(c, &q, e) < 0 || logs_read(c->cx->logs, &q, &room, &lines, &count, e) < 0)
		return -1;
	json_open_object(&c->w, NULL);
	json_open_array(&c->w, "items");
	for (size_t i = 0; i < count; i++) {
		json_open_object(&c->w, NULL);
		json_put_time(&c->w, "at", lines[i].at_ms);
		json_put_str(&c->w, "process", lines[i].process);
		json_put_i64(&c->w, "instance", lines[i].instance);
		json_put_i64(&c->w, "release", lines[i].release);
		json_put_str(&c->w, "text", lines[i].text);
		json_close_object(&c->w);
	}
	json_close_array(&c->w);
	json_close_object(&c->w);
	return 0;
}
