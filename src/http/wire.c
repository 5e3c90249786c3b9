#include "http/wire.h"

/* Not http/http.h: the library's names for methods collide with ours. */
#include <http_parser.h>
#include <stddef.h>
#include <string.h>

/* What lies in http_wire.state. */
struct machine {
	http_parser parser;
	bool headed, done;
};
_Static_assert(
    sizeof(struct machine) <= sizeof(((struct http_wire *)0)->state), "room for the parser");
_Static_assert(_Alignof(struct machine) <= 8, "alignment of the parser");

/* What the callbacks of one call work on. */
struct visit {
	struct machine *m;
	struct http_wire_head *head;
	http_wire_body_fn *fn;
	void *ctx;
};

static int on_url(http_parser *p, const char *at, size_t n)
{
	struct visit *v = p->data;
	if (v->head == NULL)
		return 1;
	v->head->target = (struct str){at, n};
	return 0;
}

static int on_head(http_parser *p)
{
	struct visit *v = p->data;
	v->m->headed = true;
	if (v->head != NULL) {
		v->head->chunked = (p->flags & F_CHUNKED) != 0;
		v->head->keep_alive = http_should_keep_alive(p) != 0;
		v->head->content_length = p->flags & F_CONTENTLENGTH ? p->content_length : 0;
	}
	return 0;
}

static int on_body(http_parser *p, const char *at, size_t n)
{
	struct visit *v = p->data;
	return v->fn != NULL ? v->fn(v->ctx, at, n) : 1;
}

static int on_done(http_parser *p)
{
	struct visit *v = p->data;
	v->m->done = true;
	return 0;
}

static const http_parser_settings request_settings = {
    .on_url = on_url,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_done,
};

static struct machine *machine_of(struct http_wire *w)
{
	return (struct machine *)(void *)w->state;
}

/* 0 when all n bytes were taken without fault. A request that may be upgraded stops after its head,
 * which is all of it: the scan has made sure that nothing follows. */
static int execute(struct visit *v, const char *p, size_t n)
{
	http_parser *parser = &v->m->parser;
	parser->data = v;
	size_t used = http_parser_execute(parser, &request_settings, p, n);
	parser->data = NULL;
	if (HTTP_PARSER_ERRNO(parser) != HPE_OK)
		return -1;
	return used == n ? 0 : -1;
}

int http_wire_head(
    struct http_wire *w, struct str method, const char *p, size_t n, struct http_wire_head *ret)
{
	struct machine *m = machine_of(w);
	memset(m, 0, sizeof *m);
	http_parser_init(&m->parser, HTTP_REQUEST);
	*ret = (struct http_wire_head){0};
	struct visit v = {.m = m, .head = ret};
	if (execute(&v, p, n) < 0 || !m->headed)
		return -1;
	if (!str_eq_c(method, http_method_str((enum http_method)m->parser.method)))
		return -1;
	ret->body = !m->done;
	return 0;
}

int http_wire_body(
    struct http_wire *w, const char *p, size_t n, http_wire_body_fn *fn, void *ctx, bool *ret_done)
{
	struct machine *m = machine_of(w);
	struct visit v = {.m = m, .fn = fn, .ctx = ctx};
	if (m->done || execute(&v, p, n) < 0)
		return -1;
	*ret_done = m->done;
	return 0;
}

static int on_answer_head(http_parser *p)
{
	int *status = p->data;
	if (p->status_code / 100 == 1)
		return 0;
	*status = p->status_code;
	return 1; /* the body is nobody's business; end here */
}

int http_wire_answer(const char *p, size_t n)
{
	static const http_parser_settings settings = {.on_headers_complete = on_answer_head};
	http_parser parser;
	int status = 0;
	http_parser_init(&parser, HTTP_RESPONSE);
	parser.data = &status;
	(void)http_parser_execute(&parser, &settings, p, n);
	if (status >= 200 && status <= 599)
		return status;
	return HTTP_PARSER_ERRNO(&parser) == HPE_OK && status == 0 ? 0 : -1;
}

const char *http_wire_reason(int status)
{
	const char *reason = http_status_str((enum http_status)status);
	return reason[0] == '<' ? "Status" : reason;
}
