#include "scan.h"

#include <string.h>

static void blanks(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

static bool fail(struct scan *s)
{
	s->bad = true;
	return false;
}

bool scan_take(struct scan *s, char c)
{
	blanks(s);
	if (s->bad || s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static bool hex4(struct scan *s, uint32_t *ret)
{
	uint32_t v = 0;
	if (s->end - s->p < 4)
		return false;
	for (int i = 0; i < 4; i++) {
		char c = *s->p++;
		uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
			     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
			     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
						    : 16;
		if (d == 16)
			return false;
		v = v << 4 | d;
	}
	*ret = v;
	return true;
}

static void put_utf8(struct scan_text *t, uint32_t c)
{
	char *out = t->bytes + t->n;
	if (c < 0x80) {
		out[0] = (char)c;
		t->n += 1;
	} else if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 63));
		t->n += 2;
	} else if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 63));
		out[2] = (char)(0x80 | (c & 63));
		t->n += 3;
	} else {
		out[0] = (char)(0xf0 | c >> 18);
		out[1] = (char)(0x80 | (c >> 12 & 63));
		out[2] = (char)(0x80 | (c >> 6 & 63));
		out[3] = (char)(0x80 | (c & 63));
		t->n += 4;
	}
}

static bool unicode(struct scan *s, struct scan_text *ret)
{
	uint32_t c, low;
	if (!hex4(s, &c))
		return false;
	if (c >= 0xd800 && c < 0xdc00) {
		if (s->end - s->p < 6 || s->p[0] != '\\' || s->p[1] != 'u')
			return false;
		s->p += 2;
		if (!hex4(s, &low) || low < 0xdc00 || low > 0xdfff)
			return false;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	}
	put_utf8(ret, c);
	return true;
}

static bool escape(struct scan *s, struct scan_text *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (s->p == s->end)
		return false;
	char c = *s->p++;
	if (c == 'u')
		return unicode(s, ret);
	const char *at = memchr(from, c, sizeof(from) - 1);
	if (!at)
		return false;
	ret->bytes[ret->n++] = to[at - from];
	return true;
}

bool scan_string(struct scan *s, struct scan_text *ret)
{
	ret->n = 0;
	if (!scan_take(s, '"'))
		return fail(s);
	while (s->p < s->end && ret->n + 4 <= sizeof(ret->bytes)) {
		unsigned char c = (unsigned char)*s->p++;
		if (c == '"')
			return true;
		if (c < 0x20)
			break;
		if (c != '\\')
			ret->bytes[ret->n++] = (char)c;
		else if (!escape(s, ret))
			break;
	}
	return fail(s);
}

bool scan_i64(struct scan *s, int64_t *ret)
{
	bool minus = scan_take(s, '-');
	const char *from = (blanks(s), s->p);
	int64_t v = 0;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9' && s->p - from < 18)
		v = v * 10 + (*s->p++ - '0');
	*ret = minus ? -v : v;
	return s->p > from ? true : fail(s);
}

bool scan_message(struct scan *s, struct scan_message *ret)
{
	struct scan_text key;
	unsigned seen = 0;
	if (!scan_take(s, '{'))
		return fail(s);
	for (int i = 0; i < 3; i++) {
		if ((i > 0 && !scan_take(s, ',')) || !scan_string(s, &key) || !scan_take(s, ':'))
			return fail(s);
		if (key.n == 7 && memcmp(key.bytes, "content", 7) == 0)
			seen |= scan_string(s, &ret->content) ? 1 : 0;
		else if (key.n == 4 && memcmp(key.bytes, "user", 4) == 0)
			seen |= scan_string(s, &ret->user) ? 2 : 0;
		else if (key.n == 8 && memcmp(key.bytes, "pub_date", 8) == 0)
			seen |= scan_i64(s, &ret->pub_date) ? 4 : 0;
	}
	return seen == 7 && scan_take(s, '}') ? true : fail(s);
}

bool scan_more(struct scan *s, size_t n)
{
	if (s->bad || scan_take(s, ']'))
		return false;
	return n == 0 || scan_take(s, ',') ? true : fail(s);
}

bool scan_over(struct scan *s)
{
	blanks(s);
	return !s->bad && s->p == s->end;
}
