#include "http/scan.h"

#include <string.h>

#define CHUNK_EXTRA_BYTES_MAX (8u << 10)
#define CHUNK_DIGITS_MAX 8u
#define LENGTH_DIGITS_MAX 18u

enum { C_TOKEN = 1, C_VALUE = 2, C_URL = 4, C_HOST = 8 };

/* What each byte may be part of. RFC 9110 §5.6.2 (token), §5.5 (field value); RFC 3986 for host and
 * target, where a target may also hold the few characters that browsers send as they are. */
static const uint8_t byte_class[256] = {
    ['\t'] = C_VALUE,
    [' '] = C_VALUE,
    ['!'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['"'] = C_VALUE,
    ['#'] = C_TOKEN | C_VALUE,
    ['$' ... '\''] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['(' ... ')'] = C_VALUE | C_URL | C_HOST,
    ['*' ... '+'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    [','] = C_VALUE | C_URL | C_HOST,
    ['-' ... '.'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['/'] = C_VALUE | C_URL,
    ['0' ... '9'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    [':' ... ';'] = C_VALUE | C_URL | C_HOST,
    ['<'] = C_VALUE,
    ['='] = C_VALUE | C_URL | C_HOST,
    ['>'] = C_VALUE,
    ['?' ... '@'] = C_VALUE | C_URL,
    ['A' ... 'Z'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['['] = C_VALUE | C_URL | C_HOST,
    ['\\'] = C_VALUE,
    [']'] = C_VALUE | C_URL | C_HOST,
    ['^'] = C_TOKEN | C_VALUE | C_URL,
    ['_'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['`'] = C_TOKEN | C_VALUE | C_URL,
    ['a' ... 'z'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    ['{'] = C_VALUE | C_URL,
    ['|'] = C_TOKEN | C_VALUE | C_URL,
    ['}'] = C_VALUE | C_URL,
    ['~'] = C_TOKEN | C_VALUE | C_URL | C_HOST,
    [0x80 ... 0xff] = C_VALUE,
};

static bool all_of(struct str s, uint8_t class)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(byte_class[(uint8_t)s.p[i]] & class))
			return false;
	return true;
}

static enum http_scan refuse(struct http_head *h, enum http_scan what, const char *why)
{
	h->why = why;
	return what;
}

/* One line p[0..n) without its line feed: must end in the only CR and hold no NUL. */
static const char *line_fault(const char *p, size_t n)
{
	if (n == 0 || p[n - 1] != '\r')
		return "a line feed without a carriage return";
	if (memchr(p, '\r', n - 1) != NULL)
		return "a carriage return without a line feed";
	if (memchr(p, 0, n) != NULL)
		return "a NUL byte";
	return NULL;
}

enum http_scan http_scan_end(const char *p, size_t n, size_t *at, const char **ret_why)
{
	while (*at < n) {
		const char *lf = memchr(p + *at, '\n', n - *at);
		if (lf == NULL)
			break;
		size_t line = (size_t)(lf - (p + *at));
		const char *why = line_fault(p + *at, line);
		if (why != NULL) {
			*ret_why = why;
			return HTTP_SCAN_BAD;
		}
		bool blank = line == 1;
		bool first = *at == 0;
		*at += line + 1;
		if (blank && !first) {
			if (*at != 4)
				return HTTP_SCAN_OK;
			*ret_why = "blank lines instead of a request";
			return HTTP_SCAN_BAD;
		}
	}
	if (n <= LIMIT_HEADER_BYTES)
		return HTTP_SCAN_MORE;
	*ret_why = "the header is longer than 32 KiB";
	return HTTP_SCAN_HEAD_LARGE;
}

/* The next line without CRLF off *rest. The block is known to be made of whole lines. */
static struct str next_line(struct str *rest)
{
	const char *lf = memchr(rest->p, '\n', rest->n);
	size_t n = lf == NULL ? rest->n : (size_t)(lf - rest->p) + 1;
	struct str line = {rest->p, n >= 2 ? n - 2 : 0};
	*rest = (struct str){rest->p + n, rest->n - n};
	return line;
}

static bool host_ok(struct str s)
{
	if (s.n == 0 || s.n > 255 || !all_of(s, C_HOST))
		return false;
	size_t port = s.n;
	while (port > 0 && s.p[port - 1] >= '0' && s.p[port - 1] <= '9')
		port--;
	size_t colon = str_find(s, ':', 0);
	if (s.p[0] == '[') {
		size_t end = str_find(s, ']', 0);
		return end != SIZE_MAX &&
		       (end + 1 == s.n || (s.p[end + 1] == ':' && port == end + 2));
	}
	return colon == SIZE_MAX || (colon > 0 && port == colon + 1 && s.n - port <= 5);
}

/* Splits an absolute-form target; its authority goes to *ret_authority. */
static bool absolute_form(struct str *target, struct str *ret_authority)
{
	static const struct str schemes[] = {STR("http://"), STR("https://")};
	for (size_t i = 0; i < 2; i++) {
		if (!str_eq_nocase(str_slice(*target, 0, schemes[i].n), schemes[i]))
			continue;
		struct str rest = str_from(*target, schemes[i].n);
		size_t end = 0;
		while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?')
			end++;
		*ret_authority = str_slice(rest, 0, end);
		*target = str_from(rest, end);
		return true;
	}
	return false;
}

static enum http_scan scan_target(struct http_head *h, struct str *ret_authority)
{
	if (h->target.n == 0 || !all_of(h->target, C_URL))
		return refuse(
		    h, HTTP_SCAN_BAD, "a request target with characters that do not belong there");
	if (h->target.n > LIMIT_URL_BYTES)
		return refuse(h, HTTP_SCAN_URL_LONG, "the address is longer than 8 KiB");
	struct str t = h->target;
	bool absolute = absolute_form(&t, ret_authority);
	if (!absolute && t.p[0] != '/')
		return refuse(h, HTTP_SCAN_BAD, "a request target that is not a path");
	size_t q = str_find(t, '?', 0);
	h->path = q == SIZE_MAX ? t : str_slice(t, 0, q);
	h->query = q == SIZE_MAX ? STR("") : str_from(t, q + 1);
	if (h->path.n == 0)
		h->path = STR("/");
	return HTTP_SCAN_OK;
}

static enum http_scan scan_request_line(
    struct http_head *h, struct str line, struct str *ret_authority)
{
	size_t a = str_find(line, ' ', 0);
	size_t b = a == SIZE_MAX ? SIZE_MAX : str_find(line, ' ', a + 1);
	if (b == SIZE_MAX || str_find(line, ' ', b + 1) != SIZE_MAX)
		return refuse(
		    h, HTTP_SCAN_BAD, "a request line that is not method, target and version");
	h->method = str_slice(line, 0, a);
	h->target = str_slice(line, a + 1, b - a - 1);
	struct str version = str_from(line, b + 1);
	if (h->method.n == 0 || h->method.n > 32 || !all_of(h->method, C_TOKEN))
		return refuse(h, HTTP_SCAN_BAD, "a method that is no token");
	if (version.n != 8 || memcmp(version.p, "HTTP/", 5) != 0 || version.p[6] != '.' ||
	    version.p[5] < '0' || version.p[5] > '9' || version.p[7] < '0' || version.p[7] > '9')
		return refuse(h, HTTP_SCAN_BAD, "a version that is not HTTP/1.1");
	h->http_1_1 = str_eq(version, STR("HTTP/1.1"));
	if (!h->http_1_1 && !str_eq(version, STR("HTTP/1.0")))
		return refuse(h, HTTP_SCAN_VERSION, "only HTTP/1.0 and HTTP/1.1 are spoken here");
	return scan_target(h, ret_authority);
}

static bool parse_length(struct str s, uint64_t *ret)
{
	if (s.n == 0 || s.n > LENGTH_DIGITS_MAX)
		return false;
	uint64_t v = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	*ret = v;
	return true;
}

/* What the fields that steer the connection said, until all have been seen. */
struct steering {
	bool close, keep, upgrade, encoded;
	struct str upgrade_to;
};

static void scan_connection(struct steering *st, struct str value)
{
	struct str piece;
	while (str_next(&value, ',', &piece)) {
		piece = str_trim(piece);
		st->close |= str_eq_nocase(piece, STR("close"));
		st->keep |= str_eq_nocase(piece, STR("keep-alive"));
		st->upgrade |= str_eq_nocase(piece, STR("upgrade"));
	}
}

static enum http_scan scan_host(struct http_head *h, struct str v)
{
	if (h->host.p != NULL)
		return refuse(h, HTTP_SCAN_BAD, "a second Host");
	if (!host_ok(v))
		return refuse(h, HTTP_SCAN_BAD, "a Host that is no host name");
	h->host = v;
	return HTTP_SCAN_OK;
}

/* The few fields that mean something to the server itself; told apart by length first, this is the
 * hot path. */
static enum http_scan scan_field(
    struct http_head *h, struct steering *st, struct str name, struct str v)
{
	switch (name.n) {
	case 4:
		return str_eq_nocase(name, STR("host")) ? scan_host(h, v) : HTTP_SCAN_OK;
	case 6:
		if (!str_eq_nocase(name, STR("expect")))
			return HTTP_SCAN_OK;
		if (!str_eq_nocase(v, STR("100-continue")))
			return refuse(
			    h, HTTP_SCAN_EXPECTATION, "an expectation other than 100-continue");
		h->expect_continue = true;
		return HTTP_SCAN_OK;
	case 7:
		if (str_eq_nocase(name, STR("upgrade")))
			st->upgrade_to = v;
		return HTTP_SCAN_OK;
	case 10:
		if (str_eq_nocase(name, STR("connection")))
			scan_connection(st, v);
		return HTTP_SCAN_OK;
	case 14:
		if (!str_eq_nocase(name, STR("content-length")))
			return HTTP_SCAN_OK;
		if (h->has_length)
			return refuse(h, HTTP_SCAN_BAD, "a second Content-Length");
		h->has_length = true;
		if (!parse_length(v, &h->content_length))
			return refuse(h, HTTP_SCAN_BAD, "a Content-Length that is no number");
		return HTTP_SCAN_OK;
	case 17:
		if (!str_eq_nocase(name, STR("transfer-encoding")))
			return HTTP_SCAN_OK;
		if (st->encoded || !str_eq_nocase(v, STR("chunked")))
			return refuse(
			    h, HTTP_SCAN_BAD, "a Transfer-Encoding other than one `chunked`");
		st->encoded = h->chunked = true;
		return HTTP_SCAN_OK;
	default:
		return HTTP_SCAN_OK;
	}
}

/* Only the blanks of RFC 9110 §5.6.3: trimming a vertical tab would hide `TE: \vchunked` from the
 * checks. */
static struct str trim_ows(struct str s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_from(s, 1);
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static enum http_scan scan_line(struct http_head *h, struct steering *st, struct str line)
{
	if (line.p[0] == ' ' || line.p[0] == '\t')
		return refuse(h, HTTP_SCAN_BAD, "a folded header line");
	size_t colon = str_find(line, ':', 0);
	if (colon == SIZE_MAX)
		return refuse(h, HTTP_SCAN_BAD, "a header line without a colon");
	struct str name = {line.p, colon};
	if (colon == 0 || !all_of(name, C_TOKEN))
		return refuse(h, HTTP_SCAN_BAD, "a header name that is no token");
	struct str value = trim_ows(str_from(line, colon + 1));
	if (!all_of(value, C_VALUE))
		return refuse(h, HTTP_SCAN_BAD, "a control byte in a header value");
	if (h->header_count == LIMIT_HEADER_COUNT)
		return refuse(h, HTTP_SCAN_HEAD_LARGE, "more than 100 header lines");
	h->headers[h->header_count++] = (struct http_header){name, value};
	return scan_field(h, st, name, value);
}

/* What only the whole head can tell. */
static enum http_scan scan_together(
    struct http_head *h, const struct steering *st, struct str authority)
{
	if (h->http_1_1 && h->host.p == NULL)
		return refuse(h, HTTP_SCAN_BAD, "no Host");
	if (h->chunked && h->has_length)
		return refuse(h, HTTP_SCAN_BAD, "both Transfer-Encoding and Content-Length");
	if (h->chunked && !h->http_1_1)
		return refuse(h, HTTP_SCAN_BAD, "Transfer-Encoding on HTTP/1.0");
	if (authority.p != NULL && (h->host.p == NULL || !str_eq_nocase(authority, h->host)))
		return refuse(h, HTTP_SCAN_BAD, "a request target of another authority than Host");
	h->keep_alive = !st->close && (h->http_1_1 || st->keep);
	h->expect_continue = h->expect_continue && h->http_1_1;
	h->upgrade = st->upgrade && h->http_1_1 ? st->upgrade_to : STR_NONE;
	return HTTP_SCAN_OK;
}

enum http_scan http_scan_head(const char *p, size_t n, struct http_head *ret)
{
	struct http_head *h = ret;
	/* Not the whole struct: 100 header slots are not worth clearing for each request. */
	h->host = h->upgrade = STR_NONE;
	h->header_count = 0;
	h->size_bytes = n;
	h->content_length = 0;
	h->http_1_1 = h->has_length = h->chunked = h->keep_alive = h->expect_continue = false;
	h->why = NULL;
	if (n > LIMIT_HEADER_BYTES)
		return refuse(h, HTTP_SCAN_HEAD_LARGE, "the header is longer than 32 KiB");
	struct str rest = {p, n}, authority = STR_NONE;
	if (n >= 2 && p[0] == '\r' && p[1] == '\n')
		rest = str_from(rest, 2);
	struct steering st = {0};
	enum http_scan r = scan_request_line(h, next_line(&rest), &authority);
	while (r == HTTP_SCAN_OK && rest.n > 0) {
		struct str line = next_line(&rest);
		if (line.n == 0)
			break;
		r = scan_line(h, &st, line);
	}
	return r == HTTP_SCAN_OK ? scan_together(h, &st, authority) : r;
}

enum chunk_state {
	CHUNK_SIZE, /* zero: where a zeroed struct starts */
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_START,
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER_VALUE,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_END,
	CHUNK_BAD,
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static enum chunk_state chunk_size(struct http_chunks *s, char c)
{
	int d = hex_digit(c);
	if (d >= 0) {
		s->left = s->left * 16 + (uint64_t)d;
		return ++s->digits > CHUNK_DIGITS_MAX ? CHUNK_BAD : CHUNK_SIZE;
	}
	if (s->digits == 0)
		return CHUNK_BAD;
	return c == '\r' ? CHUNK_SIZE_LF : c == ';' ? CHUNK_EXTENSION : CHUNK_BAD;
}

/* Extension and trailer bytes: counted, and free of control bytes. */
static enum chunk_state chunk_extra(
    struct http_chunks *s, char c, uint8_t class, enum chunk_state stay)
{
	if (!(byte_class[(uint8_t)c] & class) || ++s->extra_bytes > CHUNK_EXTRA_BYTES_MAX)
		return CHUNK_BAD;
	return stay;
}

/* One byte of framing (data itself is skipped by the caller). */
static enum chunk_state chunk_step(struct http_chunks *s, char c)
{
	switch ((enum chunk_state)s->state) {
	case CHUNK_SIZE:
		return chunk_size(s, c);
	case CHUNK_EXTENSION:
		return c == '\r' ? CHUNK_SIZE_LF : chunk_extra(s, c, C_VALUE, CHUNK_EXTENSION);
	case CHUNK_SIZE_LF:
		s->digits = 0;
		return c != '\n' ? CHUNK_BAD : s->left > 0 ? CHUNK_DATA : CHUNK_TRAILER_START;
	case CHUNK_DATA_CR:
		return c == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
	case CHUNK_DATA_LF:
		return c == '\n' ? CHUNK_SIZE : CHUNK_BAD;
	case CHUNK_TRAILER_START:
		return c == '\r' ? CHUNK_END_LF : chunk_extra(s, c, C_TOKEN, CHUNK_TRAILER_NAME);
	case CHUNK_TRAILER_NAME:
		return c == ':' ? CHUNK_TRAILER_VALUE
				: chunk_extra(s, c, C_TOKEN, CHUNK_TRAILER_NAME);
	case CHUNK_TRAILER_VALUE:
		return c == '\r' ? CHUNK_TRAILER_LF
				 : chunk_extra(s, c, C_VALUE, CHUNK_TRAILER_VALUE);
	case CHUNK_TRAILER_LF:
		return c == '\n' ? CHUNK_TRAILER_START : CHUNK_BAD;
	case CHUNK_END_LF:
		return c == '\n' ? CHUNK_END : CHUNK_BAD;
	case CHUNK_DATA:
	case CHUNK_END:
	case CHUNK_BAD:
	default:
		return CHUNK_BAD;
	}
}

enum http_scan http_scan_chunks(
    struct http_chunks *s, const char *p, size_t n, size_t *ret_used, const char **ret_why)
{
	size_t i = 0;
	while (i < n && s->state != CHUNK_END && s->state != CHUNK_BAD) {
		if (s->state == CHUNK_DATA) {
			size_t take = s->left < n - i ? (size_t)s->left : n - i;
			s->left -= take;
			i += take;
			if (s->left == 0)
				s->state = CHUNK_DATA_CR;
		} else {
			s->state = chunk_step(s, p[i++]);
		}
	}
	*ret_used = i;
	if (s->state == CHUNK_BAD) {
		*ret_why = "a chunked body that is not framed as RFC 9112 says";
		return HTTP_SCAN_BAD;
	}
	return s->state == CHUNK_END ? HTTP_SCAN_OK : HTTP_SCAN_MORE;
}
