#include "http/client.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "http/wire.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define ANSWER_HEAD_MAX (16u << 10)

struct http_probe {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	} uv;
	uv_connect_t connect;
	uv_write_t write;
	struct loop *loop;
	struct loop_timer *timer;
	int64_t began_ms;
	http_probe_fn *fn;
	void *ctx;
	int early;  /* libuv's code when connecting failed at once: said in the next turn, never
		       inside start */
	bool ended; /* fn has run, or never will */
	struct buf request, answer;
};

static void on_closed(uv_handle_t *h)
{
	struct http_probe *p = h->data;
	buf_fini(&p->request);
	buf_fini(&p->answer);
	free(p);
}

static void probe_end(struct http_probe *p)
{
	p->ended = true;
	loop_timer_free(p->timer);
	p->timer = NULL;
	uv_close(&p->uv.handle, on_closed);
}

static void probe_done(struct http_probe *p, int status, const struct err *e)
{
	if (p->ended)
		return;
	http_probe_fn *fn = p->fn;
	void *ctx = p->ctx;
	probe_end(p);
	fn(ctx, status, e);
}

/* `code` is libuv's, which is a negated errno on Linux. */
static void probe_failed(struct http_probe *p, int code, const char *what)
{
	struct err e;
	if (code == UV_ECONNREFUSED || code == UV_ENOENT)
		(void)err_set(&e, ERR_UNAVAILABLE, "%s",
		    code == UV_ENOENT ? "no socket there" : "connection refused");
	else if (code == UV_EOF || code == UV_ECONNRESET || code == UV_EPIPE)
		(void)err_set(&e, ERR_UNAVAILABLE, "the connection was closed without an answer");
	else
		(void)err_sys(&e, ERR_UNAVAILABLE, -code, "%s", what);
	probe_done(p, 0, &e);
}

static void on_deadline(void *ctx)
{
	struct http_probe *p = ctx;
	struct err e;
	char waited[32];
	if (p->early != 0) {
		probe_failed(p, p->early, "could not connect");
		return;
	}
	int64_t ms = clock_mono_ms() - p->began_ms;
	if (ms >= 1000 && ms % 1000 < 100)
		(void)snprintf(waited, sizeof waited, "%lld s", (long long)(ms / 1000));
	else
		(void)snprintf(waited, sizeof waited, "%lld ms", (long long)ms);
	(void)err_set(&e, ERR_TIMEOUT, "no answer in %s", waited);
	probe_done(p, 0, &e);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	(void)suggested;
	struct http_probe *p = h->data;
	size_t left = p->answer.max - p->answer.n;
	char *room = left > 0 ? buf_reserve(&p->answer, left) : NULL;
	*b = uv_buf_init(room, room != NULL ? (unsigned)left : 0);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	(void)b;
	struct http_probe *p = stream->data;
	struct err e;
	if (p->ended || n == 0)
		return;
	if (n == UV_ENOBUFS) {
		(void)err_set(
		    &e, ERR_INVALID, "the answer's head is longer than %u bytes", ANSWER_HEAD_MAX);
		probe_done(p, 0, &e);
		return;
	}
	if (n < 0) {
		probe_failed(p, (int)n, "could not read the answer");
		return;
	}
	buf_commit(&p->answer, (size_t)n);
	int status = http_wire_answer(p->answer.p, p->answer.n);
	if (status > 0) {
		probe_done(p, status, NULL);
	} else if (status < 0) {
		(void)err_set(&e, ERR_INVALID, "the answer is not HTTP");
		probe_done(p, 0, &e);
	}
}

static void on_written(uv_write_t *req, int status)
{
	struct http_probe *p = req->data;
	if (status < 0)
		probe_failed(p, status, "could not send the request");
}

static void on_connected(uv_connect_t *req, int status)
{
	struct http_probe *p = req->data;
	if (p->ended)
		return;
	if (status < 0) {
		probe_failed(p, status, "could not connect");
		return;
	}
	uv_buf_t b = uv_buf_init(p->request.p, (unsigned)p->request.n);
	p->write.data = p;
	int r = uv_write(&p->write, &p->uv.stream, &b, 1, on_written);
	if (r == 0)
		r = uv_read_start(&p->uv.stream, on_alloc, on_read);
	if (r < 0)
		probe_failed(p, r, "could not send the request");
}

static void request_write(struct http_probe *p, const struct http_probe_options *o)
{
	buf_init(&p->request, (16u << 10) + o->body.n);
	buf_printf(&p->request,
	    "%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-Proto: %s\r\nX-Forwarded-For: 127.0.0.1\r\n"
	    "User-Agent: slipway-probe\r\nAccept: */*\r\nConnection: close\r\n%s",
	    o->body.p != NULL ? "POST" : "GET", o->path != NULL ? o->path : "/",
	    o->host != NULL ? o->host : "localhost", o->proto != NULL ? o->proto : "http",
	    o->headers != NULL ? o->headers : "");
	if (o->body.p != NULL)
		buf_printf(&p->request, "Content-Length: %zu\r\n", o->body.n);
	buf_str(&p->request, STR("\r\n"));
	buf_str(&p->request, o->body);
}

static void probe_connect(struct http_probe *p, const struct http_probe_options *o)
{
	uv_loop_t *uv = loop_uv(p->loop);
	p->connect.data = p;
	if (o->unix_path != NULL) {
		(void)uv_pipe_init(uv, &p->uv.pipe, 0);
		p->uv.handle.data = p;
		/* Faults of the address come through the callback as well. */
		uv_pipe_connect(&p->connect, &p->uv.pipe, o->unix_path, on_connected);
		return;
	}
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(o->port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	(void)uv_tcp_init(uv, &p->uv.tcp);
	p->uv.handle.data = p;
	const struct sockaddr *any = (const struct sockaddr *)(const void *)&a;
	p->early = uv_tcp_connect(&p->connect, &p->uv.tcp, any, on_connected);
	if (p->early != 0)
		loop_timer_at(p->timer, p->began_ms);
}

struct http_probe *http_probe_start(
    struct loop *l, const struct http_probe_options *o, http_probe_fn *fn, void *ctx)
{
	struct http_probe *p = mem_alloc(sizeof *p);
	p->loop = l;
	p->fn = fn;
	p->ctx = ctx;
	p->began_ms = clock_mono_ms();
	buf_init(&p->answer, ANSWER_HEAD_MAX);
	request_write(p, o);
	p->timer = loop_timer_new(l, on_deadline, p);
	loop_timer_at(p->timer, o->deadline_ms);
	probe_connect(p, o);
	return p;
}

void http_probe_cancel(struct http_probe *p)
{
	if (p != NULL && !p->ended)
		probe_end(p);
}
