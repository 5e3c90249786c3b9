#include "base/str.h"

#include <stdint.h>
#include <string.h>

struct str str_c(const char *c)
{
	return c ? (struct str){c, strlen(c)} : STR_NONE;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool str_eq_c(struct str a, const char *b)
{
	return str_eq(a, str_c(b));
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (lower(a.p[i]) != lower(b.p[i]))
			return false;
	return true;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_from(s, s.n - suffix.n), suffix);
}

bool str_contains(struct str s, struct str needle)
{
	if (needle.n == 0)
		return true;
	return s.n >= needle.n && memmem(s.p, s.n, needle.p, needle.n) != NULL;
}

int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.p, b.p, n) : 0;
	if (order != 0)
		return order;
	return (a.n > b.n) - (a.n < b.n);
}

struct str str_from(struct str s, size_t at)
{
	return str_slice(s, at, SIZE_MAX);
}

struct str str_slice(struct str s, size_t at, size_t n)
{
	if (!s.p)
		return STR_NONE;
	if (at > s.n)
		at = s.n;
	if (n > s.n - at)
		n = s.n - at;
	return (struct str){s.p + at, n};
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

struct str str_trim(struct str s)
{
	size_t from = 0, to = s.n;
	while (from < to && is_blank(s.p[from]))
		from++;
	while (to > from && is_blank(s.p[to - 1]))
		to--;
	return str_slice(s, from, to - from);
}

size_t str_find(struct str s, char c, size_t from)
{
	if (from >= s.n)
		return SIZE_MAX;
	const char *at = memchr(s.p + from, c, s.n - from);
	return at ? (size_t)(at - s.p) : SIZE_MAX;
}

int str_next(struct str *rest, char sep, struct str *ret_piece)
{
	if (!rest->p)
		return 0;
	size_t at = str_find(*rest, sep, 0);
	if (at == SIZE_MAX) {
		*ret_piece = *rest;
		*rest = STR_NONE;
	} else {
		*ret_piece = str_slice(*rest, 0, at);
		*rest = str_from(*rest, at + 1);
	}
	return 1;
}

bool str_copy(struct str s, char *out, size_t size)
{
	if (s.n >= size || str_find(s, '\0', 0) != SIZE_MAX)
		return false;
	if (s.n)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
	return true;
}

bool str_utf8_ok(struct str s)
{
	uint32_t ignored;
	for (size_t at = 0; at < s.n;) {
		size_t n = str_utf8_next(str_from(s, at), &ignored);
		if (n == 0)
			return false;
		at += n;
	}
	return true;
}

size_t str_utf8_next(struct str s, uint32_t *ret_point)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	if (s.n == 0)
		return 0;
	const unsigned char *p = (const unsigned char *)s.p;
	if (p[0] < 0x80) {
		*ret_point = p[0];
		return 1;
	}
	size_t n = p[0] >= 0xf0 && p[0] <= 0xf4	 ? 4
		   : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
		   : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
						 : 0;
	if (n == 0 || s.n < n)
		return 0;
	uint32_t point = p[0] & (0xffu >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (p[i] & 0x3f);
	}
	if (point < least[n] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*ret_point = point;
	return n;
}
