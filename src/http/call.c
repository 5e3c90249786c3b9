/* One request and its answer: memory, body, handler, and the way back from other threads.
 *
 * An answer may come while the handler still runs on the pool, from a third thread, or long after.
 * It is delivered on the loop thread, and only once the handler has returned, so its memory
 * outlives the handler. */
#include "http/server.h"

#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FREE_CALLS_MAX 256u

/* The call whose handler runs on this (pool) thread. */
static _Thread_local struct http_call *running;

static struct http_call *call_new(struct http_server *s)
{
	struct http_call *call = mem_alloc(sizeof *call);
	call->server = s;
	buf_init(&call->head_bytes, LIMIT_HEADER_BYTES);
	buf_init(&call->body, 0);
	buf_init(&call->out, HTTP_ANSWER_BYTES_MAX);
	arena_init(&call->arena, LIMIT_REQUEST_ARENA_BYTES);
	return call;
}

struct http_call *http_call_get(struct http_conn *c)
{
	struct http_server *s = c->server;
	struct http_call *call = s->free_calls;
	if (call != NULL) {
		s->free_calls = call->next;
		s->free_call_count--;
	} else {
		call = call_new(s);
	}
	call->conn = c;
	call->next = NULL;
	call->head.method = call->head.path = STR("");
	call->chunks = (struct http_chunks){0};
	call->match.route = NULL;
	call->match.param_count = 0;
	call->body_bytes = call->charged_bytes = call->answer_bytes = 0;
	call->body_fd = -1;
	call->request.id = ++s->last_id;
	call->started_us = clock_mono_us();
	call->keep_alive = call->no_body = call->in_pool = call->deliver = false;
	atomic_store_explicit(&call->answered, false, memory_order_relaxed);
	call->answer = ANSWER_NONE;
	call->status = 0;
	call->why[0] = '\0';
	call->refused = false;
	call->stream = NULL;
	call->hijacked = NULL;
	return call;
}

static void buf_keep_small(struct buf *b)
{
	if (b->cap > HTTP_KEEP_BYTES)
		buf_fini(b);
	else
		buf_clear(b);
}

void http_call_free(struct http_call *call)
{
	buf_fini(&call->head_bytes);
	buf_fini(&call->body);
	buf_fini(&call->out);
	arena_fini(&call->arena);
	free(call);
}

void http_call_put(struct http_call *call)
{
	struct http_server *s = call->server;
	http_room_give_back(call);
	http_room_answer_gone(call);
	call->conn = NULL;
	if (s->free_call_count >= FREE_CALLS_MAX) {
		http_call_free(call);
		return;
	}
	arena_clear(&call->arena);
	buf_clear(&call->head_bytes);
	buf_keep_small(&call->body);
	buf_keep_small(&call->out);
	call->next = s->free_calls;
	s->free_calls = call;
	s->free_call_count++;
}

/* Bodies. */

static int too_large(const struct http_call *call, struct err *e)
{
	size_t max = call->match.route->body_max;
	if (max == 0)
		return err_set(e, ERR_TOO_LARGE, "this address takes no request body");
	return err_set(e, ERR_TOO_LARGE, "the request body is larger than %zu bytes", max);
}

/* What is promised is checked against the budget, but only what has come is charged: a peer that
 * announces 25 MB and sends nothing must not keep others out. */
int http_call_body_begin(struct http_call *call, struct err *e)
{
	const struct http_route *route = call->match.route;
	if (call->head.content_length > route->body_max)
		return too_large(call, e);
	size_t announced = (size_t)call->head.content_length;
	if (http_room_announced(call, announced, e) != 0)
		return -1;
	if (route->body_to_file) {
		call->body.max = HTTP_BUFFERED_BYTES; /* until it is written */
		return http_spool_open(call, e);
	}
	call->body.max = route->body_max;
	if (announced > 0)
		(void)buf_reserve(
		    &call->body, announced < HTTP_KEEP_BYTES ? announced : HTTP_KEEP_BYTES - 1);
	return 0;
}

int http_call_body(struct http_call *call, const char *p, size_t n, struct err *e)
{
	if (n > call->match.route->body_max - call->body_bytes)
		return too_large(call, e);
	if (http_room_take(call, n, e) != 0)
		return -1;
	call->body_bytes += n;
	buf_put(&call->body, p, n);
	return 0;
}

/* Handlers. */

static void handle(struct http_call *call)
{
	const struct http_server *s = call->server;
	struct err e = {.code = ERR_NONE};
	if (s->o.authorize != NULL && s->o.authorize(s->o.ctx, &call->request, call, &e) != 0)
		http_reply_problem(call, &e);
	else
		call->match.route->handler(call, &call->request, s->o.ctx);
}

static void pool_run(void *ctx)
{
	running = ctx;
	handle(ctx);
	running = NULL;
}

static void pool_done(void *ctx)
{
	struct http_call *call = ctx;
	call->in_pool = false;
	if (call->deliver)
		http_call_deliver(call);
}

void http_call_run(struct http_call *call)
{
	struct err e = {.code = ERR_NONE};
	if (call->body_fd >= 0 && lseek(call->body_fd, 0, SEEK_SET) < 0) {
		(void)err_sys(&e, ERR_IO, errno, "could not rewind the body's file");
		http_reply_problem(call, &e);
		return;
	}
	if (call->match.route->where == HTTP_ON_LOOP) {
		handle(call);
		return;
	}
	call->in_pool = true;
	if (loop_work(call->server->o.loop, pool_run, pool_done, call, &e) == 0)
		return;
	call->in_pool = false;
	http_reply_problem(call, &e);
}

/* Answers. */

static void deliver_or_wait(struct http_call *call)
{
	if (call->in_pool)
		call->deliver = true;
	else
		http_call_deliver(call);
}

static void deliver_posted(void *ctx)
{
	struct http_server *s = ctx;
	(void)pthread_mutex_lock(&s->lock);
	struct http_call *newest = s->answers;
	s->answers = NULL;
	(void)pthread_mutex_unlock(&s->lock);
	struct http_call *oldest = NULL;
	while (newest != NULL) {
		struct http_call *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	while (oldest != NULL) {
		struct http_call *next = oldest->next;
		deliver_or_wait(oldest);
		oldest = next;
	}
}

void http_call_answered(struct http_call *call, enum http_answer what)
{
	struct http_server *s = call->server;
	call->answer = what;
	if (running == call) {
		call->deliver = true; /* pool_done, which is due anyway, delivers it */
		return;
	}
	if (loop_on_thread(s->o.loop)) {
		deliver_or_wait(call);
		return;
	}
	/* One wake-up for a batch: whoever finds the list empty posts. */
	(void)pthread_mutex_lock(&s->lock);
	bool first = s->answers == NULL;
	call->next = s->answers;
	s->answers = call;
	(void)pthread_mutex_unlock(&s->lock);
	if (first)
		loop_post(s->o.loop, deliver_posted, s);
}

static void hand_over(struct http_conn *c, int fd)
{
	struct http_call *call = c->call;
	http_hijacked_fn *fn = call->hijacked;
	void *ctx = call->hijacked_ctx;
	struct buf early = c->in;
	buf_init(&c->in, early.max);
	http_conn_close(c);
	fn(ctx, fd, buf_view(&early));
	buf_fini(&early);
}

static void on_hijack_written(uv_write_t *req, int status)
{
	struct http_conn *c = req->data;
	int fd = -1;
	uv_os_fd_t own;
	if (status == 0 && c->state != CONN_CLOSED && uv_fileno(&c->uv.handle, &own) == 0)
		fd = fcntl(own, F_DUPFD_CLOEXEC, 3);
	hand_over(c, fd);
}

void http_call_hijack(struct http_conn *c)
{
	(void)uv_read_stop(&c->uv.stream);
	c->write.data = c;
	c->state = CONN_WRITING;
	int r = http_conn_write(c, &c->write, buf_view(&c->call->out), on_hijack_written);
	if (r <= 0)
		on_hijack_written(&c->write, r);
}

/* The peer had gone before the answer came. */
static void deliver_to_nobody(struct http_call *call)
{
	struct http_conn *c = call->conn;
	if (call->answer == ANSWER_STREAM)
		http_stream_detach(call->stream);
	else if (call->hijacked != NULL)
		call->hijacked(call->hijacked_ctx, -1, STR_NONE);
	http_conn_abandon(c);
}

static void reply(struct http_conn *c)
{
	http_hijacked_fn *refused = c->call->hijacked;
	if (refused != NULL)
		refused(c->call->hijacked_ctx, -1, STR_NONE);
	http_conn_answer(c);
}

void http_call_deliver(struct http_call *call)
{
	struct http_conn *c = call->conn;
	c->call_out = false;
	if (c->state == CONN_CLOSED)
		deliver_to_nobody(call);
	else if (call->answer == ANSWER_STREAM)
		http_stream_attach(call->stream, c);
	else if (call->answer == ANSWER_HIJACK && c->processing)
		c->hijack_due = true;
	else if (call->answer == ANSWER_HIJACK)
		http_call_hijack(c);
	else
		reply(c);
}

/* Reading a request. */

struct http_request *http_request_of(struct http_call *c)
{
	return &c->request;
}

const char *http_pattern(const struct http_call *c)
{
	return c->match.route->pattern;
}

int http_body_fd(const struct http_call *c)
{
	return c->body_fd;
}

struct str http_param(const struct http_call *c, const char *name)
{
	for (size_t i = 0; i < c->match.param_count; i++)
		if (str_eq_c(c->match.names[i], name))
			return http_decode(c->request.arena, c->match.values[i], false);
	return STR_NONE;
}

struct str http_header_get(const struct http_request *r, const char *name)
{
	struct str want = str_c(name);
	for (size_t i = 0; i < r->header_count; i++)
		if (r->headers[i].name.n == want.n && str_eq_nocase(r->headers[i].name, want))
			return r->headers[i].value;
	return STR_NONE;
}
