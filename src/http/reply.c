/* Answers, put together on whatever thread gives them. */
#include "http/server.h"

#include "base/clock.h"
#include "http/problem.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const method_names[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = "GET",
    [HTTP_HEAD] = "HEAD",
    [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",
    [HTTP_PATCH] = "PATCH",
    [HTTP_DELETE] = "DELETE",
};

const char *http_method_name(enum http_method m)
{
	return method_names[m];
}

/* IMF-fixdate of RFC 9110 §5.6.7, made once a second per thread. */
static struct str date_line(void)
{
	static _Thread_local int64_t second = -1;
	static _Thread_local char line[40];
	int64_t now = clock_wall_ms() / 1000;
	if (now != second) {
		static const char days[] = "SunMonTueWedThuFriSat";
		static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
		time_t t = (time_t)now;
		struct tm tm;
		(void)gmtime_r(&t, &tm);
		(void)snprintf(line, sizeof line,
		    "Date: %.3s, %02u %.3s %04u %02u:%02u:%02u GMT\r\n", days + 3 * tm.tm_wday,
		    (unsigned)tm.tm_mday % 100u, months + 3 * tm.tm_mon,
		    (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)tm.tm_hour % 100u,
		    (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u);
		second = now;
	}
	return (struct str){line, 37};
}

/* buf_printf formats twice; this is on the way of every answer. */
static void put_u64(struct buf *b, uint64_t v)
{
	char digits[20];
	size_t at = sizeof digits;
	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	buf_put(b, digits + at, sizeof digits - at);
}

static void put_line(struct buf *b, struct str name, const char *value)
{
	buf_str(b, name);
	buf_c(b, value);
	buf_str(b, STR("\r\n"));
}

void http_reply_claim(struct http_call *call)
{
	bool before = atomic_exchange_explicit(&call->answered, true, memory_order_acq_rel);
	assert(!before && "a call is answered once");
	(void)before;
}

static void put_status(struct buf *b, int status)
{
	buf_str(b, STR("HTTP/1.1 "));
	put_u64(b, (uint64_t)status);
	buf_char(b, ' ');
	buf_c(b, http_wire_reason(status));
	buf_str(b, STR("\r\n"));
}

static void put_connection(struct http_call *call)
{
	bool draining = atomic_load_explicit(&call->server->draining, memory_order_relaxed);
	if (!call->keep_alive || draining)
		buf_str(&call->out, STR("Connection: close\r\n"));
	else if (!call->head.http_1_1)
		buf_str(&call->out, STR("Connection: keep-alive\r\n"));
}

void http_reply_head(struct http_call *call, int status, const char *content_type,
    const char *extra_lines, size_t content_bytes)
{
	struct buf *b = &call->out;
	buf_clear(b);
	call->status = status;
	put_status(b, status);
	buf_str(b, date_line());
	if (content_type != NULL)
		put_line(b, STR("Content-Type: "), content_type);
	if (content_bytes != SIZE_MAX) {
		buf_str(b, STR("Content-Length: "));
		put_u64(b, content_bytes);
		buf_str(b, STR("\r\n"));
	}
	buf_str(b, STR("X-Request-Id: "));
	put_u64(b, call->request.id);
	buf_str(b, STR("\r\n"));
	if (status >= 200)
		put_connection(call);
	if (extra_lines != NULL)
		buf_c(b, extra_lines);
	if (call->server->o.common_headers != NULL)
		buf_c(b, call->server->o.common_headers);
	buf_str(b, STR("\r\n"));
}

static bool carries_content(int status)
{
	return status >= 200 && status != 204 && status != 304;
}

/* Head and content into call->out; the caller has claimed the call. */
static void render(struct http_call *call, int status, const char *content_type, const char *extra,
    struct str body)
{
	bool content = carries_content(status);
	http_reply_head(
	    call, status, content ? content_type : NULL, extra, content ? body.n : SIZE_MAX);
	if (content && !call->no_body)
		buf_str(&call->out, body);
}

static void render_problem(struct http_call *call, const struct http_problem *p, const char *extra)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 64u << 10);
	http_problem_write(&b, p);
	render(call, p->status, "application/problem+json", extra, buf_view(&b));
}

void http_reply_status(struct http_call *call, int status, const char *extra_lines,
    const char *detail, const char *hint)
{
	http_reply_claim(call);
	const char *title = http_wire_reason(status);
	char type[48];
	size_t n = 0;
	for (; title[n] != '\0' && n + 1 < sizeof type; n++)
		type[n] = title[n] == ' ' ? '-' : (char)(title[n] | 0x20);
	type[n] = '\0';
	struct http_problem p = {status, type, title, detail, hint, NULL, call->request.id};
	render_problem(call, &p, extra_lines);
	http_call_answered(call, ANSWER_REPLY);
}

/* What a client must be told beside the document. */
static const char *lines_for(const struct http_call *c, int status)
{
	if (status == 401)
		return c->request.challenge ? c->request.challenge : "WWW-Authenticate: Bearer\r\n";
	return status == 429 || status == 503 ? "Retry-After: 1\r\n" : NULL;
}

static void render_err(struct http_call *c, const struct err *e, const char *extra)
{
	/* Refused without a reason given: the refuser's fault, but never a 200. */
	const struct err_class *class = err_class_of(e->code != ERR_NONE ? e->code : ERR_INTERNAL);
	struct http_problem p = {class->http_status, class->name, class->title, e->msg, e->hint,
	    e->pointer, c->request.id};
	if (class->http_status >= 500)
		(void)snprintf(c->why, sizeof c->why, "%.255s", e->msg);
	render_problem(c, &p, extra ? extra : lines_for(c, class->http_status));
}

void http_reply_instead(struct http_call *call, const struct err *e)
{
	buf_fini(&call->out);
	render_err(call, e, NULL);
}

static void reply_problem(struct http_call *c, const struct err *e, const char *extra)
{
	http_reply_claim(c);
	render_err(c, e, extra);
	http_call_answered(c, ANSWER_REPLY);
}

void http_reply_problem(struct http_call *c, const struct err *e)
{
	reply_problem(c, e, NULL);
}

void http_reply_later(struct http_call *c, const struct err *e, int64_t wait_ms)
{
	char line[48];
	(void)snprintf(
	    line, sizeof line, "Retry-After: %lld\r\n", (long long)(wait_ms + 999) / 1000);
	reply_problem(c, e, line);
}

void http_reply_headers(struct http_call *c, int status, const char *content_type,
    const char *extra_lines, struct str body)
{
	http_reply_claim(c);
	assert(status >= 200 && status <= 599);
	render(c, status, content_type, extra_lines, body);
	if (status >= 500)
		(void)snprintf(c->why, sizeof c->why, "the handler answered %d", status);
	if (c->out.full) {
		static const struct http_problem p = {
		    500, "internal", "Internal error", "the answer is too large"};
		(void)snprintf(c->why, sizeof c->why, "%s", p.detail);
		render_problem(c, &p, NULL);
	}
	http_call_answered(c, ANSWER_REPLY);
}

void http_reply(struct http_call *c, int status, const char *content_type, struct str body)
{
	http_reply_headers(c, status, content_type, NULL, body);
}

void http_reply_json(struct http_call *c, int status, struct str json)
{
	http_reply_headers(c, status, "application/json", NULL, json);
}

void http_hijack(struct http_call *c, const char *protocol, http_hijacked_fn *fn, void *ctx)
{
	c->hijacked = fn;
	c->hijacked_ctx = ctx;
	CLEANUP_BUF struct buf upgrade;
	buf_init(&upgrade, 256);
	buf_printf(&upgrade, "Upgrade: %s\r\n", protocol);
	if (!str_eq_nocase(c->head.upgrade, str_c(protocol))) {
		http_reply_status(c, 426, upgrade.p,
		    "this address wants the connection to be upgraded",
		    "send Connection: Upgrade and Upgrade as the answer's header says");
		return;
	}
	http_reply_claim(c);
	buf_c(&upgrade, "Connection: Upgrade\r\n");
	http_reply_head(c, 101, NULL, upgrade.p, SIZE_MAX);
	http_call_answered(c, ANSWER_HIJACK);
}
