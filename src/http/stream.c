/* Server-sent events (WHATWG HTML §9.2). Senders on any thread append to `pending`; the loop thread
 * swaps it with `writing` and writes. `closed` is always posted, so that it never runs inside a
 * caller's own send or open. */
#include "http/server.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define BACKLOG_MAX (1u << 20)

static void stream_write(struct http_stream *st);

static void stream_free_when_done(struct http_stream *st)
{
	(void)pthread_mutex_lock(&st->lock);
	bool done = st->gone && !st->in_flight && !st->posted;
	(void)pthread_mutex_unlock(&st->lock);
	if (!done)
		return;
	(void)pthread_mutex_destroy(&st->lock);
	buf_fini(&st->pending);
	buf_fini(&st->writing);
	free(st);
}

static void stream_finish(void *ctx)
{
	struct http_stream *st = ctx;
	st->closed(st->ctx);
	st->gone = true;
	stream_free_when_done(st);
}

void http_stream_detach(struct http_stream *st)
{
	st->conn = NULL;
	loop_post(st->server->o.loop, stream_finish, st);
}

struct http_stream *http_stream_open(struct http_call *c, loop_fn *closed, void *ctx)
{
	http_reply_claim(c);
	struct http_stream *st = mem_alloc(sizeof *st);
	st->server = c->server;
	st->closed = closed;
	st->ctx = ctx;
	st->ending = c->no_body;
	buf_init(&st->pending, BACKLOG_MAX);
	buf_init(&st->writing, BACKLOG_MAX);
	(void)pthread_mutex_init(&st->lock, NULL);
	c->stream = st;
	c->keep_alive = false; /* the end of the stream is the end of the connection */
	http_reply_head(c, 200, "text/event-stream", "X-Accel-Buffering: no\r\n", SIZE_MAX);
	http_call_answered(c, ANSWER_STREAM);
	return st;
}

void http_stream_attach(struct http_stream *st, struct http_conn *c)
{
	st->conn = c;
	c->sse = st;
	c->state = CONN_STREAM;
	buf_fini(&c->in);
	(void)pthread_mutex_lock(&st->lock);
	buf_str(&st->writing, buf_view(&c->call->out));
	(void)pthread_mutex_unlock(&st->lock);
	http_call_put(c->call);
	c->call = NULL;
	stream_write(st);
}

static void on_written(uv_write_t *req, int status)
{
	struct http_stream *st =
	    (struct http_stream *)(void *)((char *)req - offsetof(struct http_stream, write));
	st->in_flight = false;
	(void)pthread_mutex_lock(&st->lock);
	buf_clear(&st->writing);
	(void)pthread_mutex_unlock(&st->lock);
	if (status < 0 && st->conn != NULL)
		http_conn_close(st->conn);
	stream_write(st);
	stream_free_when_done(st);
}

/* Takes what is pending into `writing`: what to do next, in one look under the lock. */
static bool take_pending(struct http_stream *st, bool *ret_end, bool *ret_overrun)
{
	(void)pthread_mutex_lock(&st->lock);
	if (st->writing.n == 0) {
		struct buf empty = st->writing;
		st->writing = st->pending;
		st->pending = empty;
	}
	bool some = st->writing.n > 0;
	*ret_end = !some && st->ending;
	*ret_overrun = st->overrun;
	(void)pthread_mutex_unlock(&st->lock);
	return some;
}

static void stream_write(struct http_stream *st)
{
	bool end = false, overrun = false;
	while (st->conn != NULL && !st->in_flight && st->conn->state == CONN_STREAM &&
	       take_pending(st, &end, &overrun) && !overrun) {
		st->sent_ms = clock_mono_ms();
		int r = http_conn_write(st->conn, &st->write, buf_view(&st->writing), on_written);
		st->in_flight = r > 0;
		if (r < 0) {
			http_conn_close(st->conn);
		} else if (r == 0) {
			(void)pthread_mutex_lock(&st->lock);
			buf_clear(&st->writing);
			(void)pthread_mutex_unlock(&st->lock);
		}
	}
	if (st->conn != NULL && overrun)
		http_conn_close(st->conn);
	else if (st->conn != NULL && end)
		http_conn_linger(st->conn);
}

static void stream_flush(void *ctx)
{
	struct http_stream *st = ctx;
	(void)pthread_mutex_lock(&st->lock);
	st->posted = false;
	bool overrun = st->overrun;
	(void)pthread_mutex_unlock(&st->lock);
	if (overrun && st->conn != NULL)
		http_conn_close(st->conn);
	stream_write(st);
	stream_free_when_done(st);
}

/* Under the lock: true when the caller has to post. */
static bool must_post(struct http_stream *st)
{
	bool first = !st->posted;
	st->posted = true;
	return first;
}

static bool one_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\n' || s.p[i] == '\r' || s.p[i] == '\0')
			return false;
	return s.n > 0;
}

/* A carriage return ends a line for the reader of an event stream, too. */
static void put_data(struct buf *b, struct str data)
{
	size_t from = 0;
	for (size_t i = 0; i <= data.n; i++) {
		if (i < data.n && data.p[i] != '\n' && data.p[i] != '\r')
			continue;
		buf_str(b, STR("data: "));
		buf_put(b, data.p + from, i - from);
		buf_char(b, '\n');
		if (i + 1 < data.n && data.p[i] == '\r' && data.p[i + 1] == '\n')
			i++;
		from = i + 1;
	}
}

static void put_event(struct buf *b, struct str id, struct str event, struct str data)
{
	if (one_line(id)) {
		buf_str(b, STR("id: "));
		buf_str(b, id);
		buf_char(b, '\n');
	}
	if (one_line(event)) {
		buf_str(b, STR("event: "));
		buf_str(b, event);
		buf_char(b, '\n');
	}
	if (data.p != NULL)
		put_data(b, data);
	buf_char(b, '\n');
}

void http_stream_send(struct http_stream *st, struct str id, struct str event, struct str data)
{
	(void)pthread_mutex_lock(&st->lock);
	if (!st->overrun && !st->ending) {
		put_event(&st->pending, id, event, data);
		st->overrun = st->pending.full || st->pending.n + st->writing.n > BACKLOG_MAX;
	}
	bool post = must_post(st);
	(void)pthread_mutex_unlock(&st->lock);
	if (post)
		loop_post(st->server->o.loop, stream_flush, st);
}

void http_stream_end(struct http_stream *st)
{
	(void)pthread_mutex_lock(&st->lock);
	st->ending = true;
	bool post = must_post(st);
	(void)pthread_mutex_unlock(&st->lock);
	if (post)
		loop_post(st->server->o.loop, stream_flush, st);
}

void http_stream_tick(struct http_stream *st, int64_t now_ms)
{
	if (now_ms - st->sent_ms < st->server->o.limits.keepalive_ms || st->in_flight)
		return;
	(void)pthread_mutex_lock(&st->lock);
	buf_str(&st->pending, STR(":\n\n"));
	(void)pthread_mutex_unlock(&st->lock);
	stream_write(st);
}
