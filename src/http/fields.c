/* What lies inside a request's parts: percent-encoding, pairs of a query or a form, cookies. */
#include "http/http.h"

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes into `out`, which may be where s stands: what comes out is never longer. */
static struct str decode(char *out, struct str s, bool plus)
{
	size_t n = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '%') {
			int hi = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1;
			int lo = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
			if (hi < 0 || lo < 0)
				return STR_NONE;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (plus && c == '+') {
			c = ' ';
		}
		if (c == '\0')
			return STR_NONE;
		out[n++] = c;
	}
	return (struct str){out, n};
}

struct str http_decode(struct arena *a, struct str s, bool plus)
{
	char *out = arena_alloc(a, s.n + 1);
	return out == NULL ? STR_NONE : decode(out, s, plus);
}

/* A name may be encoded as well; a plain one is compared without decoding. */
static bool is_named(struct arena *a, struct str key, const char *name)
{
	if (str_find(key, '%', 0) == SIZE_MAX && str_find(key, '+', 0) == SIZE_MAX)
		return str_eq_c(key, name);
	return str_eq_c(http_decode(a, key, true), name);
}

/* The value of a pair as it was sent; STR_NONE when absent. */
static struct str pair_find(struct arena *a, struct str pairs, const char *name)
{
	struct str pair;
	while (str_next(&pairs, '&', &pair)) {
		size_t eq = str_find(pair, '=', 0);
		struct str key = eq == SIZE_MAX ? pair : str_slice(pair, 0, eq);
		if (is_named(a, key, name))
			return eq == SIZE_MAX ? STR("") : str_from(pair, eq + 1);
	}
	return STR_NONE;
}

static struct str pair_get(struct arena *a, struct str pairs, const char *name)
{
	struct str raw = pair_find(a, pairs, name);
	return raw.n > 0 ? http_decode(a, raw, true) : raw;
}

struct str http_query(const struct http_request *r, const char *name)
{
	return pair_get(r->arena, r->query, name);
}

struct str http_content_type(const struct http_request *r)
{
	struct str type = http_header_get(r, "Content-Type");
	return str_trim(str_slice(type, 0, str_find(type, ';', 0)));
}

static bool is_form(const struct http_request *r)
{
	return str_eq_nocase(http_content_type(r), STR("application/x-www-form-urlencoded"));
}

struct str http_form(const struct http_request *r, const char *name)
{
	return is_form(r) ? pair_get(r->arena, r->body, name) : STR_NONE;
}

struct str http_form_take(struct http_request *r, const char *name)
{
	struct str raw = is_form(r) ? pair_find(r->arena, r->body, name) : STR_NONE;
	/* The body is the call's own memory, const only for those who read. */
	return raw.n > 0 ? decode((char *)(uintptr_t)raw.p, raw, true) : raw;
}

int http_form_each(
    const struct http_request *r, size_t *at, struct str *ret_name, struct str *ret_value)
{
	while (is_form(r) && *at < r->body.n) {
		size_t end = str_find(r->body, '&', *at);
		struct str pair = str_slice(r->body, *at, end - *at);
		size_t eq = str_find(pair, '=', 0);
		*at = end == SIZE_MAX ? r->body.n : end + 1;
		if (pair.n == 0)
			continue;
		*ret_name = http_decode(r->arena, str_slice(pair, 0, eq), true);
		*ret_value =
		    eq == SIZE_MAX ? STR("") : http_decode(r->arena, str_from(pair, eq + 1), true);
		return ret_name->p && ret_value->p ? 1 : -1;
	}
	return 0;
}

static struct str cookie_in(struct str line, const char *name)
{
	struct str pair;
	while (str_next(&line, ';', &pair)) {
		size_t eq = str_find(pair, '=', 0);
		if (eq != SIZE_MAX && str_eq_c(str_trim(str_slice(pair, 0, eq)), name))
			return str_trim(str_from(pair, eq + 1));
	}
	return STR_NONE;
}

struct str http_cookie(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++) {
		struct str found = STR_NONE;
		if (str_eq_nocase(r->headers[i].name, STR("Cookie")))
			found = cookie_in(r->headers[i].value, name);
		if (found.p != NULL)
			return found;
	}
	return STR_NONE;
}
