/* One connection: bytes in, heads and bodies out of them, answers back. conn_take is the heart: it
 * is given bytes, and in the states CONN_HEAD and CONN_BODY uses as many as it can; the rest waits
 * in c->in. */
#include "http/server.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUFFERED_MAX (HTTP_BUFFERED_BYTES - HTTP_SCRATCH_BYTES) /* in c->in: reading pauses */
#define LINGER_MS 2000
#define WARNINGS_PER_SECOND 10
#define BODY_RATE 1024 /* bytes per second, in each span as long as the grace */

static void conn_resume(struct http_conn *c);

static void conn_state(struct http_conn *c, enum http_conn_state state)
{
	c->state = state;
	c->since_ms = clock_mono_ms();
}

/* Closing. */

static void conn_free_when_done(struct http_conn *c)
{
	if (!c->handle_gone || c->call != NULL)
		return;
	struct http_server *s = c->server;
	buf_fini(&c->in);
	free(c);
	http_server_conn_freed(s);
}

static void on_closed(uv_handle_t *h)
{
	struct http_conn *c = h->data;
	c->handle_gone = true;
	if (c->call != NULL && !c->call_out) {
		http_call_put(c->call);
		c->call = NULL;
	}
	conn_free_when_done(c);
}

void http_conn_close(struct http_conn *c)
{
	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	http_server_conn_closed(c->server, c);
	uv_close(&c->uv.handle, on_closed);
	if (c->sse != NULL) {
		struct http_stream *st = c->sse;
		c->sse = NULL;
		http_stream_detach(st);
	}
}

void http_conn_abandon(struct http_conn *c)
{
	http_call_put(c->call);
	c->call = NULL;
	conn_free_when_done(c);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct http_conn *c = req->data;
	if (status < 0)
		http_conn_close(c);
}

void http_conn_linger(struct http_conn *c)
{
	conn_state(c, CONN_LINGER);
	buf_fini(&c->in);
	c->shutdown.data = c;
	if (c->eof || uv_shutdown(&c->shutdown, &c->uv.stream, on_shutdown) != 0)
		http_conn_close(c);
	else if (c->paused)
		conn_resume(c);
}

/* Writing. */

int http_conn_write(struct http_conn *c, uv_write_t *req, struct str bytes, uv_write_cb done)
{
	uv_buf_t b = uv_buf_init((char *)(uintptr_t)bytes.p, (unsigned)bytes.n);
	int r = uv_try_write(&c->uv.stream, &b, 1);
	if (r < 0 && r != UV_EAGAIN)
		return -1;
	size_t sent = r > 0 ? (size_t)r : 0;
	if (sent == bytes.n)
		return 0;
	b.base += sent;
	b.len -= sent;
	req->data = c;
	c->alive_ms = clock_mono_ms();
	c->unwritten = b.len;
	return uv_write(req, &c->uv.stream, &b, 1, done) == 0 ? 1 : -1;
}

/* A server that sheds load must not drown in saying so: so many warnings a second, and one line of the
 * rest. */
static bool may_warn(struct http_server *s)
{
	int64_t second = clock_mono_ms() / 1000;
	if (second != s->warned_second) {
		s->warned_second = second;
		s->warned_count = 0;
	}
	bool may = s->warned_count++ < WARNINGS_PER_SECOND;
	s->unwarned += !may;
	return may;
}

/* Also where it leads nowhere: somebody may have forgotten the slash at its end. */
static struct str shown_path(const struct http_conn *c, struct str path)
{
	struct str hidden = c->server->hidden;
	while (str_starts(path, STR("//")))
		path = str_from(path, 1);
	return hidden.n > 0 && str_starts(path, hidden) ? hidden : path;
}

static void log_access(const struct http_conn *c, const struct http_call *call)
{
	bool tell = (call->why[0] != '\0' || call->refused) && may_warn(c->server);
	enum log_level level = tell ? LOG_WARN : LOG_DEBUG;
	log_event(level, "http", "request", F_I64("req", call->request.id),
	    F_STR("method", call->head.method), F_STR("path", shown_path(c, call->head.path)),
	    F_I64("status", call->status), F_I64("in_bytes", call->body_bytes),
	    F_I64("out_bytes", call->out.n), F_I64("us", clock_mono_us() - call->started_us),
	    F_C("peer", c->unix_peer ? "unix" : c->peer_address), F_C("error", call->why));
}

/* The answer is out. */
static void conn_answered(struct http_conn *c)
{
	struct http_call *call = c->call;
	log_access(c, call);
	c->call = NULL;
	http_call_put(call);
	if (c->close_after || (c->eof && c->in.n == 0)) {
		http_conn_linger(c);
		return;
	}
	c->served = true;
	conn_state(c, CONN_HEAD);
	http_server_conn_active(c->server, c);
	if (!c->processing)
		conn_resume(c);
}

static void on_written(uv_write_t *req, int status)
{
	struct http_conn *c = req->data;
	if (c->state == CONN_CLOSED)
		return;
	if (status < 0)
		http_conn_close(c);
	else
		conn_answered(c);
}

/* For a peer that does not read: what it sent is not kept so long. */
static void answer_waits(struct http_conn *c)
{
	http_room_give_back(c->call);
	buf_fini(&c->call->body);
	conn_state(c, CONN_WRITING);
}

void http_conn_answer(struct http_conn *c)
{
	struct http_call *call = c->call;
	if (!call->keep_alive || atomic_load_explicit(&c->server->draining, memory_order_relaxed))
		c->close_after = true;
	struct err e;
	if (http_room_answer(call, &e) != 0) {
		counter_add(COUNTER_HTTP_OVERLOAD, 1);
		http_reply_instead(call, &e);
	}
	int r = http_conn_write(c, &c->write, buf_view(&call->out), on_written);
	if (r == 0)
		conn_answered(c);
	else if (r > 0)
		answer_waits(c);
	else
		http_conn_close(c);
}

/* Reading. */

/* Answers a request that never reaches a handler. The rest of what the peer sends is not looked at
 * again. */
static void refuse(
    struct http_conn *c, int status, const char *extra, const char *detail, const char *hint)
{
	c->call->keep_alive = false;
	http_reply_status(c->call, status, extra, detail, hint);
}

static void refuse_scan(struct http_conn *c, enum http_scan r, const char *why)
{
	static const int status[HTTP_SCAN_COUNT] = {
	    [HTTP_SCAN_BAD] = 400,
	    [HTTP_SCAN_URL_LONG] = 414,
	    [HTTP_SCAN_HEAD_LARGE] = 431,
	    [HTTP_SCAN_VERSION] = 505,
	    [HTTP_SCAN_EXPECTATION] = 417,
	};
	counter_add(COUNTER_HTTP_MALFORMED, 1);
	char detail[160];
	(void)snprintf(detail, sizeof detail, "the request cannot be read: %s", why);
	refuse(c, status[r], NULL, detail, "");
}

static void tell_refused(struct http_conn *c, const struct err *e)
{
	const struct http_server_options *o = &c->server->o;
	c->call->refused = true;
	if (o->on_refused)
		o->on_refused(o->ctx, c->call->match.route, e);
}

void http_conn_refuse(struct http_conn *c, const struct err *e)
{
	tell_refused(c, e);
	if (e->code == ERR_UNAVAILABLE)
		counter_add(COUNTER_HTTP_OVERLOAD, 1);
	c->call->keep_alive = false;
	http_reply_problem(c->call, e);
}

static enum http_method method_of(struct str name)
{
	enum http_method m = 0;
	while (m < HTTP_METHOD_COUNT && !str_eq_c(name, http_method_name(m)))
		m++;
	return m;
}

/* Scan and parser must agree about a request to the last detail that matters for its framing. The
 * connection is kept only when both would: the parser does not know a list with empty elements
 * (RFC 9110 §5.6.1), and closing once more than needed frames nothing otherwise. */
static bool agreed(struct http_call *call)
{
	struct http_wire_head w;
	const struct http_head *h = &call->head;
	if (http_wire_head(&call->wire, h->method, call->head_bytes.p, call->head_bytes.n, &w) < 0)
		return false;
	call->keep_alive = h->keep_alive && w.keep_alive;
	return str_eq(w.target, h->target) && w.chunked == h->chunked &&
	       w.content_length == h->content_length &&
	       w.body == (h->chunked || h->content_length > 0);
}

static void not_routed(struct http_conn *c)
{
	struct http_call *call = c->call;
	if (call->head.chunked || call->head.content_length > 0)
		call->keep_alive = false;
	if (!call->match.known) {
		http_reply_status(call, 404, NULL, "there is nothing at this address", "");
		return;
	}
	CLEANUP_BUF struct buf allow;
	buf_init(&allow, 128);
	for (enum http_method m = 0; m < HTTP_METHOD_COUNT; m++)
		if (call->match.methods & 1u << m)
			buf_printf(
			    &allow, "%s%s", allow.n == 0 ? "Allow: " : ", ", http_method_name(m));
	buf_c(&allow, "\r\n");
	http_reply_status(
	    call, 405, allow.p, "this address does not take that method", "see the Allow header");
}

static void request_fill(struct http_conn *c, struct http_call *call, enum http_method m)
{
	struct http_request *r = &call->request;
	r->method = m;
	r->path = call->head.path;
	r->query = call->head.query;
	r->headers = call->head.headers;
	r->header_count = call->head.header_count;
	r->body = STR("");
	r->arena = &call->arena;
	r->access = NULL;
	r->subject = NULL;
	r->challenge = NULL;
	r->unix_peer = c->unix_peer && !c->server->o.behind_proxy;
	r->peer_uid = c->peer_uid;
	r->peer_pid = c->peer_pid;
	memcpy(r->peer_address, c->peer_address, sizeof r->peer_address);
	call->no_body = m == HTTP_HEAD;
	call->keep_alive = call->head.keep_alive;
}

/* Is it wanted, and is there room? */
static void body_begin(struct http_conn *c, bool more_here)
{
	struct http_call *call = c->call;
	struct err e;
	if (http_call_body_begin(call, &e) < 0) {
		http_conn_refuse(c, &e);
		return;
	}
	if (call->head.expect_continue && !more_here) {
		static const struct str go_on = STR("HTTP/1.1 100 Continue\r\n\r\n");
		uv_buf_t b = uv_buf_init((char *)(uintptr_t)go_on.p, (unsigned)go_on.n);
		if (uv_try_write(&c->uv.stream, &b, 1) != (int)go_on.n) {
			http_conn_close(c);
			return;
		}
	}
	c->body_ticks = 0;
	c->ticked_bytes = c->judged_bytes = 0;
	c->judged_age_ms = 0;
	conn_state(c, CONN_BODY);
}

void http_conn_body_begin(struct http_conn *c)
{
	body_begin(c, c->in.n > 0);
	conn_resume(c);
}

static void run(struct http_conn *c)
{
	conn_state(c, CONN_CALL);
	c->call_out = true;
	http_call_run(c->call);
}

void http_conn_body_taken(struct http_conn *c, bool last)
{
	if (last)
		run(c);
	else
		conn_resume(c);
}

/* The n bytes of a whole head; more_here: something follows them already. */
static void conn_head(struct http_conn *c, const char *p, size_t n, bool more_here)
{
	struct http_call *call = c->call;
	counter_add(COUNTER_HTTP_REQUESTS, 1);
	buf_put(&call->head_bytes, p, n);
	enum http_scan r = http_scan_head(call->head_bytes.p, n, &call->head);
	if (r != HTTP_SCAN_OK) {
		refuse_scan(c, r, call->head.why);
		return;
	}
	enum http_method m = method_of(call->head.method);
	request_fill(c, call, m);
	/* The parser knows more methods than we speak and fewer than there are; those end here
	 * anyway. */
	if (m == HTTP_METHOD_COUNT) {
		call->keep_alive = false;
	} else if (!agreed(call)) {
		refuse_scan(c, HTTP_SCAN_BAD, "its framing is ambiguous");
		return;
	}
	http_router_find(c->server->router, m, call->request.path, &call->match);
	if (call->match.route == NULL) {
		not_routed(c);
		return;
	}
	call->request.access = call->match.route->access;
	if (!call->head.chunked && call->head.content_length == 0)
		run(c);
	else if (call->match.route->body_to_file)
		http_spool_admit(call);
	else
		body_begin(c, more_here);
}

/* How many bytes of p were used: 0 when the head is not complete. */
static size_t take_head(struct http_conn *c, const char *p, size_t n)
{
	const char *why = NULL;
	enum http_scan r = http_scan_end(p, n, &c->scanned, &why);
	if (r == HTTP_SCAN_MORE)
		return 0;
	c->call = http_call_get(c);
	size_t used = r == HTTP_SCAN_OK ? c->scanned : n;
	c->scanned = 0;
	if (r == HTTP_SCAN_OK)
		conn_head(c, p, used, n > used);
	else
		refuse_scan(c, r, why);
	return used;
}

struct body_visit {
	struct http_call *call;
	struct err e;
};

static int on_body(void *ctx, const char *p, size_t n)
{
	struct body_visit *v = ctx;
	return http_call_body(v->call, p, n, &v->e);
}

static size_t take_body(struct http_conn *c, const char *p, size_t n)
{
	struct http_call *call = c->call;
	const char *why = "its body is not what its head said";
	size_t used = n;
	bool last, done = false;
	enum http_scan r = HTTP_SCAN_OK;
	if (call->head.chunked) {
		r = http_scan_chunks(&call->chunks, p, n, &used, &why);
		last = r == HTTP_SCAN_OK;
	} else {
		uint64_t left = call->head.content_length - call->body_bytes;
		used = left < n ? (size_t)left : n;
		last = used == left;
	}
	struct body_visit v = {.call = call, .e.code = ERR_NONE};
	if (r != HTTP_SCAN_BAD && http_wire_body(&call->wire, p, used, on_body, &v, &done) == 0 &&
	    done == last) {
		if (call->body_fd >= 0) {
			http_spool_write(call, done);
		} else if (done) {
			call->request.body = buf_view(&call->body);
			run(c);
		}
		return used;
	}
	if (v.e.code != ERR_NONE)
		http_conn_refuse(c, &v.e);
	else {
		(void)err_set(&v.e, ERR_INVALID, "%s", why);
		tell_refused(c, &v.e);
		refuse_scan(c, HTTP_SCAN_BAD, why);
	}
	return n;
}

static size_t conn_take(struct http_conn *c, const char *p, size_t n)
{
	size_t used = 0;
	c->processing = true;
	while (used < n && (c->state == CONN_HEAD || c->state == CONN_BODY)) {
		size_t step = c->state == CONN_HEAD ? take_head(c, p + used, n - used)
						    : take_body(c, p + used, n - used);
		if (step == 0)
			break;
		used += step;
	}
	c->processing = false;
	return used;
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	(void)suggested;
	struct http_conn *c = h->data;
	*b = uv_buf_init(c->server->scratch, sizeof c->server->scratch);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b);

static void conn_pause(struct http_conn *c)
{
	if (c->paused || c->in.n < BUFFERED_MAX)
		return;
	c->paused = true;
	(void)uv_read_stop(&c->uv.stream);
}

static void conn_unpause(struct http_conn *c)
{
	if (!c->paused || c->eof || c->in.n >= BUFFERED_MAX || c->state == CONN_CLOSED)
		return;
	c->paused = false;
	if (uv_read_start(&c->uv.stream, on_alloc, on_read) != 0)
		http_conn_close(c);
}

/* Goes on with what is buffered, after an answer. */
static void conn_resume(struct http_conn *c)
{
	if (c->in.n > 0 && (c->state == CONN_HEAD || c->state == CONN_BODY)) {
		size_t used = conn_take(c, c->in.p, c->in.n);
		if (c->in.n > 0) /* lingering has thrown it away otherwise */
			buf_drop_front(&c->in, used);
	}
	if (c->hijack_due) {
		c->hijack_due = false;
		http_call_hijack(c);
		return;
	}
	if (c->eof && (c->state == CONN_HEAD || c->state == CONN_BODY))
		http_conn_close(c);
	conn_unpause(c);
}

static void conn_buffer(struct http_conn *c, const char *p, size_t n)
{
	if (n == 0 || c->state == CONN_CLOSED || c->state == CONN_LINGER)
		return;
	if (c->in.n == 0 && c->state == CONN_HEAD)
		c->since_ms = clock_mono_ms();
	buf_put(&c->in, p, n);
	conn_pause(c);
}

static void conn_received(struct http_conn *c, const char *p, size_t n)
{
	if (c->state == CONN_LINGER || c->state == CONN_STREAM)
		return;
	if (c->in.n > 0) {
		conn_buffer(c, p, n);
		conn_resume(c);
		return;
	}
	size_t used = conn_take(c, p, n);
	conn_buffer(c, p + used, n - used);
	if (c->hijack_due)
		conn_resume(c);
	else if (c->in.n == 0 && c->in.cap > 0 && c->state == CONN_HEAD)
		buf_fini(&c->in); /* idle connections hold no buffer */
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct http_conn *c = stream->data;
	if (n > 0) {
		conn_received(c, b->base, (size_t)n);
		return;
	}
	if (n == 0 || c->state == CONN_CLOSED)
		return;
	c->eof = true;
	(void)uv_read_stop(stream);
	/* Half-closed after a request: the peer still wants its answer. */
	if (n != UV_EOF ||
	    (c->state != CONN_ASIDE && c->state != CONN_CALL && c->state != CONN_WRITING))
		http_conn_close(c);
}

/* Opening. */

static int handle_open(struct http_conn *c, int fd)
{
	uv_loop_t *uv = loop_uv(c->server->o.loop);
	if (c->unix_peer) {
		(void)uv_pipe_init(uv, &c->uv.pipe, 0);
		return uv_pipe_open(&c->uv.pipe, fd);
	}
	(void)uv_tcp_init(uv, &c->uv.tcp);
	return uv_tcp_open(&c->uv.tcp, fd);
}

void http_conn_open(struct http_server *s, int fd, bool is_unix)
{
	struct http_conn *c = mem_alloc(sizeof *c);
	c->server = s;
	c->unix_peer = is_unix;
	c->peer_uid = (uid_t)-1;
	buf_init(&c->in, HTTP_BUFFERED_BYTES);
	http_peer_learn(c, fd);
	conn_state(c, CONN_HEAD);
	http_server_conn_opened(s, c);
	int r = handle_open(c, fd);
	c->uv.handle.data = c;
	if (r != 0)
		(void)close(fd);
	if (r != 0 || uv_read_start(&c->uv.stream, on_alloc, on_read) != 0)
		http_conn_close(c);
}

/* Time. */

static void head_tick(struct http_conn *c, int64_t age_ms)
{
	const struct http_limits *l = &c->server->o.limits;
	if (c->in.n == 0 && age_ms >= (c->served ? l->idle_ms : l->head_ms)) {
		http_conn_close(c);
	} else if (c->in.n > 0 && age_ms >= l->head_ms) {
		c->call = http_call_get(c);
		refuse(c, 408, NULL, "the request's head did not arrive in time", "");
	}
}

void http_conn_give_way(struct http_conn *c)
{
	struct err e;
	http_room_give_back(c->call);
	(void)http_room_none(&e);
	http_conn_refuse(c, &e);
}

/* What goes to a file holds no memory, and may pause: it is judged by all that came. */
static void body_tick(struct http_conn *c, int64_t age_ms)
{
	size_t came = c->call->body_bytes;
	int64_t span_ms = age_ms - c->judged_age_ms;
	c->lately_bytes = came - c->ticked_bytes;
	c->ticked_bytes = came;
	c->body_ticks++;
	if (span_ms < c->server->o.limits.body_grace_ms)
		return;
	bool slow = (int64_t)(came - c->judged_bytes) * 1000 < span_ms * BODY_RATE;
	if (c->call->body_fd < 0) {
		c->judged_age_ms = age_ms;
		c->judged_bytes = came;
	}
	if (!slow)
		return;
	struct err e;
	(void)err_set(&e, ERR_TIMEOUT, "the request's body arrives too slowly");
	tell_refused(c, &e);
	refuse(c, 408, NULL, e.msg, "");
}

/* A reader that takes nothing for write_ms is gone for us. */
static void write_tick(struct http_conn *c, int64_t now_ms)
{
	size_t left = uv_stream_get_write_queue_size(&c->uv.stream);
	if (left < c->unwritten) {
		c->unwritten = left;
		c->alive_ms = now_ms;
	} else if (left > 0 && now_ms - c->alive_ms >= c->server->o.limits.write_ms) {
		http_conn_close(c);
	}
}

void http_conn_tick(struct http_conn *c, int64_t now_ms)
{
	int64_t age = now_ms - c->since_ms;
	switch (c->state) {
	case CONN_HEAD:
		head_tick(c, age);
		break;
	case CONN_BODY:
		body_tick(c, age);
		break;
	case CONN_WRITING:
		write_tick(c, now_ms);
		break;
	case CONN_STREAM:
		http_stream_tick(c->sse, now_ms);
		if (c->state == CONN_STREAM)
			write_tick(c, now_ms);
		break;
	case CONN_LINGER:
		if (age >= LINGER_MS)
			http_conn_close(c);
		break;
	case CONN_ASIDE:
	case CONN_CALL:
	case CONN_CLOSED:
	case CONN_STATE_COUNT:
		break;
	}
}

void http_conn_drain(struct http_conn *c)
{
	if (c->state == CONN_STREAM || (c->state == CONN_HEAD && c->in.n == 0))
		http_conn_close(c);
}
