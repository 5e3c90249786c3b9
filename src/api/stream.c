/* Server-sent events: what the feed says about a task or a project's output.
 *
 * A stream is opened on the pool, its watch on the loop; the client may be gone in between, so
 * whoever of `begin` and `closed` comes last frees it. */
#include "api/routes.h"
#include "api/view.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECHECK_MS = 5000, END_BYTES_MAX = 1 << 20 };

struct watcher {
	const struct api_context *cx;
	struct http_stream *stream;
	struct feed_watch *watch;
	char topic[64];
	uint64_t after;
	struct model_viewer viewer;  /* may they still? */
	int64_t token_id;	     /* by which they came; 0: none */
	int64_t project_id, task_id; /* task 0: lines */
	char process[32], contains[256];
	int64_t release;
	bool begun, closed, ended;
	/* Looking again, now and then. */
	struct loop_timer *timer;
	bool looking, gone, end_seen;
	struct buf end; /* the task, once it has ended */
};

/* Only when nothing will call with it any more. */
static void watcher_free(struct watcher *w)
{
	if (!w->closed || !w->begun || w->looking)
		return;
	feed_watch_free(w->watch);
	loop_timer_free(w->timer);
	buf_fini(&w->end);
	free(w);
}

static void watcher_closed(void *ctx)
{
	struct watcher *w = ctx;
	w->closed = true;
	watcher_free(w);
}

static void watcher_end(struct watcher *w)
{
	w->ended = true;
	http_stream_end(w->stream);
}

/* A stream does not rely on news alone: a task may end without any (cancelled while it waited), a
 * role or the token may be taken away, a project may go. Every few seconds the store is asked. */

static void look_task(struct watcher *w, struct store_db *db, struct arena *a)
{
	struct model_task t;
	struct json_out out;
	struct err ignored;
	int found = model_task_get(db, a, w->task_id, w->viewer, &t, &ignored);
	w->gone = found == 0;
	if (found <= 0 || t.state == MODEL_TASK_WAITING || t.state == MODEL_TASK_RUNNING)
		return;
	buf_clear(&w->end);
	json_out_init(&out, &w->end);
	api_task_json(&out, NULL, &t, NULL);
}

/* A store that cannot say it now is asked again at the next round. */
static bool token_gone(const struct watcher *w, struct store_db *db)
{
	struct err ignored;
	return w->token_id && model_token_good(db, w->token_id, clock_wall_ms(), &ignored) == 0;
}

static void look(void *ctx)
{
	struct watcher *w = ctx;
	struct err ignored;
	struct model_project p;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 2 * END_BYTES_MAX);
	struct store_db *db =
	    store_read_begin(w->cx->store, clock_mono_ms() + API_READ_WAIT_MS, &ignored);
	if (!db)
		return;
	if (w->task_id)
		look_task(w, db, &a);
	else
		w->gone = model_project_get_id(db, &a, w->project_id, w->viewer, &p, &ignored) == 0;
	w->gone = w->gone || token_gone(w, db);
	store_read_end(w->cx->store, db);
}

/* The news of an end may be under way still: it gets one more round before the store's word is
 * given. */
static void looked(void *ctx)
{
	struct watcher *w = ctx;
	w->looking = false;
	if (w->closed) {
		watcher_free(w);
		return;
	}
	if (w->ended)
		return;
	if (w->end.n && w->end_seen && !w->gone)
		http_stream_send(w->stream, STR(""), STR("end"), buf_view(&w->end));
	if (w->gone || (w->end.n && w->end_seen)) {
		watcher_end(w);
		return;
	}
	w->end_seen = w->end.n > 0;
	loop_timer_at(w->timer, clock_mono_ms() + RECHECK_MS);
}

static void look_again(void *ctx)
{
	struct watcher *w = ctx;
	struct err ignored;
	if (w->closed || w->ended || w->looking)
		return;
	w->looking = loop_work(w->cx->loop, look, looked, w, &ignored) == 0;
	if (!w->looking)
		loop_timer_at(w->timer, clock_mono_ms() + RECHECK_MS);
}

static bool line_wanted(const struct watcher *w, struct str data)
{
	if (!w->process[0] && !w->contains[0] && !w->release)
		return true;
	json_t *line CLEANUP_JSON = json_loadb(data.p, data.n, 0, NULL);
	if (!line)
		return false;
	if (w->process[0] && !str_eq_c(api_str(line, "process"), w->process))
		return false;
	if (w->release && api_int(line, "release", 0) != w->release)
		return false;
	return !w->contains[0] || str_contains(api_str(line, "text"), str_c(w->contains));
}

static void watcher_news(void *ctx, uint64_t id, struct str event, struct str data)
{
	struct watcher *w = ctx;
	char text[24];
	if (w->closed || w->ended)
		return;
	if (str_eq(event, STR("line")) && !line_wanted(w, data))
		return;
	int n = snprintf(text, sizeof(text), "%" PRIu64, id);
	http_stream_send(w->stream, (struct str){text, (size_t)n}, event, data);
	if (str_eq(event, STR("end")))
		watcher_end(w);
}

static void watcher_begin(void *ctx)
{
	struct watcher *w = ctx;
	w->begun = true;
	if (w->closed) {
		watcher_free(w);
	} else if (w->ended) {
		http_stream_end(w->stream);
	} else {
		w->watch = feed_watch_new(w->cx->feed, str_c(w->topic), w->after, watcher_news, w);
		w->timer = loop_timer_new(w->cx->loop, look_again, w);
		loop_timer_at(w->timer, clock_mono_ms() + RECHECK_MS);
	}
}

static struct watcher *watcher_new(const struct api_call *c)
{
	struct watcher *w = mem_alloc(sizeof(*w));
	struct str last = http_header_get(c->r, "Last-Event-ID");
	w->cx = c->cx;
	w->viewer = api_viewer(c);
	w->token_id = c->who->token_id;
	w->project_id = c->who->project_id;
	w->task_id = c->who->task_id;
	buf_init(&w->end, END_BYTES_MAX);
	if (last.p && !num_u64(last, 0, UINT64_MAX, &w->after))
		w->after = 0;
	return w;
}

/* HEAD asks what GET would say, and for nothing to wait for. */
static bool head_only(struct api_call *c)
{
	if (c->r->method != HTTP_HEAD)
		return false;
	c->answered = true;
	http_reply(c->http, 200, "text/event-stream", STR(""));
	return true;
}

static void watcher_open(struct api_call *c, struct watcher *w)
{
	c->answered = true;
	w->stream = http_stream_open(c->http, watcher_closed, w);
}

/* As deploy/ publishes it. */
static void step_write(struct buf *b, const struct model_step *s)
{
	struct json_out w;
	json_out_init(&w, b);
	json_open_object(&w, NULL);
	json_put_str(&w, "step", s->name);
	json_put_str(&w, "state", str_c(model_step_state_name(s->state)));
	json_put_i64(&w, "ms", s->finished_ms > s->started_ms ? s->finished_ms - s->started_ms : 0);
	json_put_str(&w, "detail", s->detail.p ? s->detail : STR(""));
	json_close_object(&w);
}

/* The steps that the store has, then how it ended. */
static int ended_send(struct api_call *c, struct watcher *w, const struct model_task *t,
    const struct model_steps *steps, struct err *e)
{
	struct buf b CLEANUP_BUF;
	struct json_out out;
	buf_init(&b, API_ANSWER_BYTES_MAX);
	watcher_open(c, w);
	for (size_t i = 0; i < steps->n; i++) {
		buf_clear(&b);
		step_write(&b, &steps->v[i]);
		http_stream_send(w->stream, STR(""), STR("step"), buf_view(&b));
	}
	buf_clear(&b);
	json_out_init(&out, &b);
	api_task_json(&out, NULL, t, NULL);
	http_stream_send(w->stream, STR(""), STR("end"), buf_view(&b));
	w->ended = true;
	return buf_check(&b, "the task", e);
}

/* What is known so far in one message, then the news. */
static void task_send(struct api_call *c, struct watcher *w, const struct model_task *t,
    const struct model_steps *steps)
{
	struct buf b CLEANUP_BUF;
	struct json_out out;
	buf_init(&b, API_ANSWER_BYTES_MAX);
	json_out_init(&out, &b);
	api_task_json(&out, NULL, t, steps);
	watcher_open(c, w);
	if (!w->after)
		http_stream_send(w->stream, STR(""), STR("task"), buf_view(&b));
}

int api_task_stream(struct api_call *c, struct err *e)
{
	struct model_task t;
	struct model_steps steps;
	if (api_task_read(c, &t, &steps, e) < 0)
		return -1;
	if (head_only(c))
		return 0;
	struct watcher *w = watcher_new(c);
	snprintf(w->topic, sizeof(w->topic), "task/%" PRId64, t.id);
	int rc = 0;
	if (t.state == MODEL_TASK_WAITING || t.state == MODEL_TASK_RUNNING)
		task_send(c, w, &t, &steps);
	else
		rc = ended_send(c, w, &t, &steps, e);
	loop_post(c->cx->loop, watcher_begin, w);
	return rc;
}

int api_log_stream(struct api_call *c, struct err *e)
{
	struct str process = http_query(c->r, "process"), contains = http_query(c->r, "contains"),
		   release = http_query(c->r, "release");
	if (head_only(c))
		return 0;
	struct watcher *w = watcher_new(c);
	snprintf(w->topic, sizeof(w->topic), "logs/%.*s", STR_ARG(c->who->project));
	if ((process.p && !str_copy(process, w->process, sizeof(w->process))) ||
	    (contains.p && !str_copy(contains, w->contains, sizeof(w->contains))) ||
	    (release.p && !num_i64(release, 1, UINT32_MAX, &w->release))) {
		free(w);
		return err_set(e, ERR_INVALID, "process, contains or release is no such thing");
	}
	watcher_open(c, w);
	loop_post(c->cx->loop, watcher_begin, w);
	return 0;
}

/* News of a task's state, for its watchers. */

struct changed {
	const struct api_context *cx;
	int64_t task_id;
};

static void changed_read(void *ctx)
{
	struct changed *ch = ctx;
	struct err ignored;
	struct model_task t;
	struct arena room CLEANUP_ARENA;
	struct buf b CLEANUP_BUF;
	struct json_out out;
	char topic[40];
	arena_init(&room, API_ANSWER_BYTES_MAX);
	buf_init(&b, API_ANSWER_BYTES_MAX);
	struct store_db *db =
	    store_read_begin(ch->cx->store, clock_mono_ms() + API_READ_WAIT_MS, &ignored);
	if (!db)
		return;
	if (model_task_get(db, &room, ch->task_id, MODEL_EVERYTHING, &t, &ignored) > 0) {
		json_out_init(&out, &b);
		api_task_json(&out, NULL, &t, NULL);
		bool ended = t.state != MODEL_TASK_WAITING && t.state != MODEL_TASK_RUNNING;
		snprintf(topic, sizeof(topic), "task/%" PRId64, t.id);
		feed_publish(
		    ch->cx->feed, str_c(topic), ended ? STR("end") : STR("state"), buf_view(&b));
	}
	store_read_end(ch->cx->store, db);
}

static void changed_begin(void *ctx)
{
	struct changed *ch = ctx;
	struct err ignored;
	if (loop_work(ch->cx->loop, changed_read, free, ch, &ignored) < 0)
		free(ch); /* the watchers look again by themselves */
}

void api_task_changed(const struct api_context *cx, int64_t task_id)
{
	struct changed *ch = mem_alloc(sizeof(*ch));
	*ch = (struct changed){cx, task_id};
	loop_post(cx->loop, changed_begin, ch);
}
