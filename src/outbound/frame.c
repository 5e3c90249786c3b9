#include "outbound/frame.h"

#include <string.h>

enum { HEAD_BYTES = 4, TOP_BYTES = 9, FIELD_BYTES = 5, TIMEOUT_MAX_MS = 300000 };

/* Numbers travel as four bytes, little endian; the rest as they are. */
enum field {
	F_TIMEOUT = 1,
	F_URL,
	F_BODY,
	F_METHOD,
	F_HEADER,
	F_BODY_MAX,
	F_TLS,
	F_FROM,
	F_USER,
	F_PASSWORD,
	F_TO,
	F_OUTCOME,
	F_STATUS,
	F_RETRY_AFTER,
	F_MS,
	F_TEXT,
	F_ADDRESS,
	F_LINK,
	F_HEADERS_KEPT,
	F_COUNT
};

struct str outbound_header(const struct outbound_answer *a, const char *name)
{
	struct str rest = a->headers, line, prefix = str_c(name);
	while (str_next(&rest, '\n', &line))
		if (str_starts(line, prefix) && line.n > prefix.n && line.p[prefix.n] == ':')
			return str_trim(str_from(line, prefix.n + 1));
	return STR("");
}

static void put_u32(char *p, uint32_t v)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint32_t get_u32(const char *p)
{
	uint32_t v = 0;
	for (unsigned i = 0; i < 4; i++)
		v |= (uint32_t)(uint8_t)p[i] << (8 * i);
	return v;
}

static void put_text(struct buf *b, enum field f, struct str v)
{
	char head[FIELD_BYTES] = {(char)f};
	put_u32(head + 1, (uint32_t)v.n);
	buf_put(b, head, sizeof(head));
	buf_str(b, v);
}

static void put_text_if(struct buf *b, enum field f, struct str v)
{
	if (v.n)
		put_text(b, f, v);
}

static void put_number(struct buf *b, enum field f, uint32_t v)
{
	char four[4];
	put_u32(four, v);
	put_text(b, f, (struct str){four, sizeof(four)});
}

/* The frame that begins at `from` is finished, or taken back. */
static bool frame_end(struct buf *b, size_t from)
{
	if (b->full || b->n - from - HEAD_BYTES > OUTBOUND_FRAME_MAX) {
		if (b->p) {
			b->n = from;
			b->p[from] = '\0';
		}
		b->full = false;
		return false;
	}
	put_u32(b->p + from, (uint32_t)(b->n - from - HEAD_BYTES));
	return true;
}

static size_t frame_begin(struct buf *b, enum outbound_kind kind, uint64_t id)
{
	size_t from = b->n;
	char top[HEAD_BYTES + TOP_BYTES] = {0};
	top[HEAD_BYTES] = (char)kind;
	for (unsigned i = 0; i < 8; i++)
		top[HEAD_BYTES + 1 + i] = (char)(id >> (8 * i));
	buf_put(b, top, sizeof(top));
	return from;
}

bool frame_pack_request(struct buf *b, uint64_t id, const struct outbound_request *r)
{
	if (r->header_count > OUTBOUND_HEADERS_MAX || r->to_count > OUTBOUND_RECIPIENTS_MAX)
		return false;
	size_t from = frame_begin(b, r->kind, id);
	put_number(b, F_TIMEOUT, r->timeout_ms);
	put_text(b, F_URL, r->url);
	put_text_if(b, F_BODY, r->body);
	put_number(b, F_METHOD, (uint32_t)r->method);
	for (uint32_t i = 0; i < r->header_count; i++)
		put_text(b, F_HEADER, r->headers[i]);
	put_number(b, F_BODY_MAX, r->body_max);
	put_number(b, F_TLS, (uint32_t)r->tls);
	put_text_if(b, F_FROM, r->from);
	put_text_if(b, F_USER, r->user);
	put_text_if(b, F_PASSWORD, r->password);
	for (uint32_t i = 0; i < r->to_count; i++)
		put_text(b, F_TO, r->to[i]);
	return frame_end(b, from);
}

bool frame_pack_answer(struct buf *b, uint64_t id, const struct outbound_answer *a)
{
	size_t from = frame_begin(b, OUTBOUND_ANSWER, id);
	put_number(b, F_OUTCOME, (uint32_t)a->outcome);
	put_number(b, F_STATUS, a->status);
	put_number(b, F_RETRY_AFTER, a->retry_after_s);
	put_number(b, F_MS, a->ms);
	put_text_if(b, F_TEXT, str_slice(a->text, 0, OUTBOUND_TEXT_MAX));
	put_text_if(b, F_ADDRESS, a->address);
	put_text_if(b, F_BODY, str_slice(a->body, 0, OUTBOUND_BODY_MAX));
	put_text_if(b, F_LINK, a->link);
	put_text_if(b, F_HEADERS_KEPT, a->headers);
	return frame_end(b, from);
}

static bool take_number(struct str v, uint32_t most, uint32_t *ret)
{
	if (v.n != 4 || get_u32(v.p) > most)
		return false;
	*ret = get_u32(v.p);
	return true;
}

static bool take_text(struct str v, size_t most, struct str *ret)
{
	*ret = v;
	return v.n <= most;
}

static bool take_more(struct str v, struct str *list, uint32_t *count, uint32_t most)
{
	if (*count == most)
		return false;
	list[(*count)++] = v;
	return true;
}

static bool request_field(struct outbound_request *r, enum field f, struct str v)
{
	uint32_t n = 0;
	bool ok;
	switch (f) {
	case F_TIMEOUT:
		return take_number(v, TIMEOUT_MAX_MS, &r->timeout_ms) && r->timeout_ms > 0;
	case F_URL:
		return take_text(v, OUTBOUND_FRAME_MAX, &r->url) && v.n > 0;
	case F_BODY:
		return take_text(v, OUTBOUND_FRAME_MAX, &r->body);
	case F_METHOD:
		ok = take_number(v, OUTBOUND_METHOD_COUNT - 1, &n);
		r->method = (enum outbound_method)n;
		return ok;
	case F_HEADER:
		return take_more(v, r->headers, &r->header_count, OUTBOUND_HEADERS_MAX);
	case F_BODY_MAX:
		return take_number(v, OUTBOUND_BODY_MAX, &r->body_max);
	case F_TLS:
		ok = take_number(v, OUTBOUND_TLS_COUNT - 1, &n);
		r->tls = (enum outbound_tls)n;
		return ok;
	case F_FROM:
		return take_text(v, OUTBOUND_FRAME_MAX, &r->from);
	case F_USER:
		return take_text(v, OUTBOUND_FRAME_MAX, &r->user);
	case F_PASSWORD:
		return take_text(v, OUTBOUND_FRAME_MAX, &r->password);
	case F_TO:
		return take_more(v, r->to, &r->to_count, OUTBOUND_RECIPIENTS_MAX);
	case F_OUTCOME:
	case F_STATUS:
	case F_RETRY_AFTER:
	case F_MS:
	case F_TEXT:
	case F_ADDRESS:
	case F_LINK:
	case F_HEADERS_KEPT:
	case F_COUNT:
	default:
		return false;
	}
}

static bool answer_field(struct outbound_answer *a, enum field f, struct str v)
{
	uint32_t n = 0;
	bool ok;
	switch (f) {
	case F_OUTCOME:
		ok = take_number(v, OUTBOUND_OUTCOME_COUNT - 1, &n);
		a->outcome = (enum outbound_outcome)n;
		return ok;
	case F_STATUS:
		return take_number(v, 999, &a->status);
	case F_RETRY_AFTER:
		return take_number(v, UINT32_MAX, &a->retry_after_s);
	case F_MS:
		return take_number(v, UINT32_MAX, &a->ms);
	case F_TEXT:
		return take_text(v, OUTBOUND_TEXT_MAX, &a->text);
	case F_ADDRESS:
		return take_text(v, OUTBOUND_TEXT_MAX, &a->address);
	case F_BODY:
		return take_text(v, OUTBOUND_BODY_MAX, &a->body);
	case F_LINK:
		return take_text(v, OUTBOUND_FRAME_MAX, &a->link);
	case F_HEADERS_KEPT:
		return take_text(v, OUTBOUND_HEADERS_KEPT_MAX, &a->headers);
	case F_TIMEOUT:
	case F_URL:
	case F_METHOD:
	case F_HEADER:
	case F_BODY_MAX:
	case F_TLS:
	case F_FROM:
	case F_USER:
	case F_PASSWORD:
	case F_TO:
	case F_COUNT:
	default:
		return false;
	}
}

static bool comes_often(enum field f)
{
	return f == F_HEADER || f == F_TO;
}

static bool fields(struct frame *ret, struct str rest)
{
	uint32_t seen = 0;
	while (rest.n) {
		if (rest.n < FIELD_BYTES)
			return false;
		enum field f = (enum field)(uint8_t)rest.p[0];
		uint32_t n = get_u32(rest.p + 1);
		if (f == 0 || f >= F_COUNT || n > rest.n - FIELD_BYTES)
			return false;
		if (!comes_often(f) && (seen & (1u << f)))
			return false;
		seen |= 1u << f;
		struct str v = str_slice(rest, FIELD_BYTES, n);
		if (ret->kind == OUTBOUND_ANSWER ? !answer_field(&ret->answer, f, v)
						 : !request_field(&ret->request, f, v))
			return false;
		rest = str_from(rest, FIELD_BYTES + n);
	}
	uint32_t must =
	    ret->kind == OUTBOUND_ANSWER ? 1u << F_OUTCOME : (1u << F_URL) | (1u << F_TIMEOUT);
	return (seen & must) == must;
}

int frame_next(struct str bytes, struct frame *ret, size_t *ret_used, struct err *e)
{
	if (bytes.n < HEAD_BYTES)
		return 0;
	uint32_t n = get_u32(bytes.p);
	if (n > OUTBOUND_FRAME_MAX || n < TOP_BYTES)
		return err_set(e, ERR_INVALID, "a frame of %u bytes", n);
	if (bytes.n - HEAD_BYTES < n)
		return 0;
	*ret = (struct frame){.kind = (enum outbound_kind)(uint8_t)bytes.p[HEAD_BYTES]};
	for (unsigned i = 0; i < 8; i++)
		ret->id |= (uint64_t)(uint8_t)bytes.p[HEAD_BYTES + 1 + i] << (8 * i);
	if (ret->kind == 0 || ret->kind >= OUTBOUND_KIND_COUNT)
		return err_set(e, ERR_INVALID, "a frame of an unknown kind");
	ret->request.kind = ret->kind;
	if (!fields(ret, str_slice(bytes, HEAD_BYTES + TOP_BYTES, n - TOP_BYTES)))
		return err_set(e, ERR_INVALID, "a frame with a malformed field");
	*ret_used = HEAD_BYTES + n;
	return 1;
}
