#include "text/skim.h"

#include "base/num.h"

#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { DEPTH_MAX = 128 };

struct skim {
	const char *at, *end, *start;
	struct arena *arena;
	struct err *e;
};

static int skim_fail(struct skim *s, const char *what)
{
	return err_set(s->e, ERR_INVALID, "the body is not JSON: %s at byte %zu", what,
	    (size_t)(s->at - s->start) + 1);
}

static void skim_blank(struct skim *s)
{
	while (
	    s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\t' || *s->at == '\r'))
		s->at++;
}

static bool skim_is(const struct skim *s, char c)
{
	return s->at < s->end && *s->at == c;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int skim_hex4(struct skim *s, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		int v = s->at < s->end ? hex_value(*s->at) : -1;
		if (v < 0)
			return skim_fail(s, "a bad \\u escape");
		*ret = *ret << 4 | (unsigned)v;
		s->at++;
	}
	return 0;
}

/* s->at stands behind the backslash. *ret is the code point. */
static int skim_escape(struct skim *s, unsigned *ret)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	if (s->at == s->end)
		return skim_fail(s, "an open string");
	char c = *s->at++;
	const char *found = c ? strchr(from, c) : NULL;
	if (found) {
		*ret = (unsigned char)to[found - from];
		return 0;
	}
	unsigned high, low;
	if (c != 'u')
		return skim_fail(s, "an unknown escape");
	if (skim_hex4(s, &high) != 0)
		return -1;
	*ret = high;
	if (high < 0xD800 || high > 0xDFFF)
		return 0;
	if (high > 0xDBFF || s->end - s->at < 2 || s->at[0] != '\\' || s->at[1] != 'u')
		return skim_fail(s, "half a surrogate pair");
	s->at += 2;
	if (skim_hex4(s, &low) != 0)
		return -1;
	if (low < 0xDC00 || low > 0xDFFF)
		return skim_fail(s, "half a surrogate pair");
	*ret = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
	return 0;
}

static char *utf8_put(char *out, unsigned c)
{
	if (c < 0x80) {
		*out++ = (char)c;
	} else if (c < 0x800) {
		*out++ = (char)(0xC0 | c >> 6);
		*out++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*out++ = (char)(0xE0 | c >> 12);
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	} else {
		*out++ = (char)(0xF0 | c >> 18);
		*out++ = (char)(0x80 | (c >> 12 & 63));
		*out++ = (char)(0x80 | (c >> 6 & 63));
		*out++ = (char)(0x80 | (c & 63));
	}
	return out;
}

/* Strings are most of a body: so many bytes a step, up to those with a quote, a backslash, a
 * control character or a byte beyond ASCII among them. */
#if defined(__SSE2__)
/* A bit for each of the sixteen bytes that are to be looked at. */
static unsigned ends_among(const char *at)
{
	__m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
	/* as signed numbers, bytes beyond ASCII are less than a blank, too */
	__m128i less = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
	__m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
	__m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
	return (unsigned)_mm_movemask_epi8(_mm_or_si128(less, _mm_or_si128(quote, slash)));
}

static const char *skim_plain(const char *at, const char *end)
{
	for (; end - at >= 32; at += 32) {
		unsigned found = ends_among(at) | ends_among(at + 16) << 16;
		if (found)
			return at + __builtin_ctz(found);
	}
	return at;
}
#else
static const char *skim_plain(const char *at, const char *end)
{
	const uint64_t ones = UINT64_MAX / 255, high = ones * 128;
	for (; end - at >= 8; at += 8) {
		uint64_t v;
		memcpy(&v, at, sizeof(v));
		uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
		uint64_t less = (v - ones * 0x20) & ~v;
		if ((v | less | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high)
			break;
	}
	return at;
}
#endif

/* Walks over a string, s->at behind the opening quote. Counts its escapes; *ret is the raw inside.
 */
static int skim_string_raw(struct skim *s, struct str *ret, bool *ret_escaped)
{
	const char *from = s->at;
	unsigned ignored;
	bool high_bytes = false;
	*ret_escaped = false;
	s->at = skim_plain(s->at, s->end);
	while (s->at < s->end && *s->at != '"') {
		unsigned char c = (unsigned char)*s->at;
		if (c < 0x20)
			return skim_fail(s, "a control character in a string");
		high_bytes |= c >= 0x80;
		s->at++;
		if (c != '\\')
			continue;
		*ret_escaped = true;
		if (skim_escape(s, &ignored) != 0)
			return -1;
		s->at = skim_plain(s->at, s->end);
	}
	if (s->at == s->end)
		return skim_fail(s, "an open string");
	*ret = (struct str){from, (size_t)(s->at - from)};
	s->at++;
	if (high_bytes && !str_utf8_ok(*ret))
		return skim_fail(s, "a string that is not UTF-8");
	return 0;
}

static int skim_string(struct skim *s, struct str *ret)
{
	bool escaped;
	if (skim_string_raw(s, ret, &escaped) != 0)
		return -1;
	if (!escaped)
		return 0;
	char *out =
	    arena_alloc(s->arena, ret->n + 1); /* an escape is never shorter than its bytes */
	if (!out)
		return err_set(s->e, ERR_TOO_LARGE, "a string of the body is too large");
	struct skim inside = {
	    .at = ret->p, .end = ret->p + ret->n, .start = s->start, .arena = s->arena, .e = s->e};
	char *to = out;
	while (inside.at < inside.end) {
		char c = *inside.at++;
		unsigned code = 0;
		if (c != '\\') {
			*to++ = c;
			continue;
		}
		if (skim_escape(&inside, &code) != 0)
			return -1;
		to = utf8_put(to, code);
	}
	*ret = (struct str){out, (size_t)(to - out)};
	return 0;
}

static size_t skim_digits(struct skim *s)
{
	const char *from = s->at;
	while (s->at < s->end && *s->at >= '0' && *s->at <= '9')
		s->at++;
	return (size_t)(s->at - from);
}

static int skim_number(struct skim *s)
{
	if (skim_is(s, '-'))
		s->at++;
	const char *from = s->at;
	size_t n = skim_digits(s);
	if (n == 0 || (n > 1 && *from == '0'))
		return skim_fail(s, "a bad number");
	if (skim_is(s, '.')) {
		s->at++;
		if (skim_digits(s) == 0)
			return skim_fail(s, "a bad number");
	}
	if (skim_is(s, 'e') || skim_is(s, 'E')) {
		s->at++;
		if (skim_is(s, '+') || skim_is(s, '-'))
			s->at++;
		if (skim_digits(s) == 0)
			return skim_fail(s, "a bad number");
	}
	return 0;
}

static int skim_word(struct skim *s, struct str word)
{
	if ((size_t)(s->end - s->at) < word.n || memcmp(s->at, word.p, word.n) != 0)
		return skim_fail(s, "an unknown word");
	s->at += word.n;
	return 0;
}

/* A value that is no object or array. */
static int skim_scalar(struct skim *s, enum skim_type *ret_type)
{
	struct str ignored;
	bool escaped;
	if (s->at == s->end)
		return skim_fail(s, "the end");
	switch (*s->at) {
	case '"':
		s->at++;
		*ret_type = SKIM_STRING;
		return skim_string_raw(s, &ignored, &escaped);
	case 't':
		*ret_type = SKIM_TRUE;
		return skim_word(s, STR("true"));
	case 'f':
		*ret_type = SKIM_FALSE;
		return skim_word(s, STR("false"));
	case 'n':
		*ret_type = SKIM_NULL;
		return skim_word(s, STR("null"));
	default:
		*ret_type = SKIM_NUMBER;
		return skim_number(s);
	}
}

static int skim_key(struct skim *s)
{
	struct str ignored;
	bool escaped;
	skim_blank(s);
	if (!skim_is(s, '"'))
		return skim_fail(s, "no name of a member");
	s->at++;
	if (skim_string_raw(s, &ignored, &escaped) != 0)
		return -1;
	skim_blank(s);
	if (!skim_is(s, ':'))
		return skim_fail(s, "no colon");
	s->at++;
	return 0;
}

/* Any value, without recursion: `open` remembers what each level is. */
static int skim_value(struct skim *s, enum skim_type *ret_type)
{
	char open[DEPTH_MAX];
	size_t depth = 0;
	enum skim_type type = SKIM_OTHER;
	*ret_type = SKIM_ABSENT;
	for (;;) {
		skim_blank(s);
		if (skim_is(s, '{') || skim_is(s, '[')) {
			type = SKIM_OTHER;
			if (depth == DEPTH_MAX)
				return skim_fail(s, "more than 128 levels");
			open[depth++] = *s->at++;
			skim_blank(s);
			char close = open[depth - 1] == '{' ? '}' : ']';
			if (!skim_is(s, close)) {
				if (*ret_type == SKIM_ABSENT)
					*ret_type = type;
				if (close == '}' && skim_key(s) != 0)
					return -1;
				continue;
			}
			s->at++;
			depth--;
		} else if (skim_scalar(s, &type) != 0) {
			return -1;
		}
		if (*ret_type == SKIM_ABSENT)
			*ret_type = type;
		for (;; depth--) {
			if (depth == 0)
				return 0;
			skim_blank(s);
			if (skim_is(s, ','))
				break;
			if (!skim_is(s, open[depth - 1] == '{' ? '}' : ']'))
				return skim_fail(s, "neither a comma nor an end");
			s->at++;
		}
		s->at++;
		if (open[depth - 1] == '{' && skim_key(s) != 0)
			return -1;
	}
}

static int skim_member_value(struct skim *s, struct skim_member *want)
{
	if (!want) {
		enum skim_type ignored;
		return skim_value(s, &ignored);
	}
	if (want->type != SKIM_ABSENT)
		return skim_fail(s, "a member that comes twice");
	skim_blank(s);
	if (!skim_is(s, '"'))
		return skim_value(s, &want->type);
	s->at++;
	want->type = SKIM_STRING;
	return skim_string(s, &want->value);
}

static struct skim_member *member_find(struct skim_member *members, size_t count, struct str key)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_c(key, members[i].key))
			return &members[i];
	return NULL;
}

static int skim_members(struct skim *s, struct skim_member *members, size_t count)
{
	for (;;) {
		struct str key;
		skim_blank(s);
		if (!skim_is(s, '"'))
			return skim_fail(s, "no name of a member");
		s->at++;
		if (skim_string(s, &key) != 0)
			return -1;
		skim_blank(s);
		if (!skim_is(s, ':'))
			return skim_fail(s, "no colon");
		s->at++;
		if (skim_member_value(s, member_find(members, count, key)) != 0)
			return -1;
		skim_blank(s);
		if (skim_is(s, '}'))
			return 0;
		if (!skim_is(s, ','))
			return skim_fail(s, "neither a comma nor an end");
		s->at++;
	}
}

int skim_object(
    struct str json, struct skim_member *members, size_t count, struct arena *a, struct err *e)
{
	const char *p = json.p != NULL ? json.p : "";
	struct skim s = {.at = p, .start = p, .end = p + json.n, .arena = a, .e = e};
	for (size_t i = 0; i < count; i++) {
		members[i].type = SKIM_ABSENT;
		members[i].value = STR_NONE;
	}
	skim_blank(&s);
	if (!skim_is(&s, '{'))
		return skim_fail(&s, "no object");
	s.at++;
	skim_blank(&s);
	if (!skim_is(&s, '}') && skim_members(&s, members, count) != 0)
		return -1;
	s.at++;
	skim_blank(&s);
	return s.at == s.end ? 0 : skim_fail(&s, "something behind the object");
}

/* Compares a decoded key with a pointer's part, in which ~1 stands for '/' and ~0 for '~'. */
static bool key_is(struct str key, struct str part)
{
	size_t k = 0;
	for (size_t i = 0; i < part.n; i++, k++) {
		char c = part.p[i];
		if (c == '~' && i + 1 < part.n)
			c = part.p[++i] == '1' ? '/' : '~';
		if (k >= key.n || key.p[k] != c)
			return false;
	}
	return k == key.n;
}

/* s->at behind '{'; then before the member's value. 1/0/-1 */
static int skim_to_member(struct skim *s, struct str part)
{
	enum skim_type ignored;
	struct str key;
	for (;;) {
		skim_blank(s);
		if (!skim_is(s, '"'))
			return skim_is(s, '}') ? 0 : skim_fail(s, "no name of a member");
		s->at++;
		if (skim_string(s, &key) != 0)
			return -1;
		skim_blank(s);
		if (!skim_is(s, ':'))
			return skim_fail(s, "no colon");
		s->at++;
		if (key_is(key, part))
			return 1;
		if (skim_value(s, &ignored) != 0)
			return -1;
		skim_blank(s);
		if (!skim_is(s, ','))
			return 0;
		s->at++;
	}
}

/* s->at behind '['; then before the element. 1/0/-1 */
static int skim_to_element(struct skim *s, struct str part)
{
	enum skim_type ignored;
	uint64_t at;
	if (!num_u64(part, 0, UINT32_MAX, &at))
		return 0;
	skim_blank(s);
	if (skim_is(s, ']'))
		return 0;
	for (; at > 0; at--) {
		if (skim_value(s, &ignored) != 0)
			return -1;
		skim_blank(s);
		if (!skim_is(s, ','))
			return 0;
		s->at++;
	}
	return 1;
}

static int skim_take(struct skim *s, struct skim_member *ret)
{
	skim_blank(s);
	const char *from = s->at;
	if (skim_is(s, '"')) {
		s->at++;
		ret->type = SKIM_STRING;
		return skim_string(s, &ret->value);
	}
	if (skim_value(s, &ret->type) != 0)
		return -1;
	ret->value = (struct str){from, (size_t)(s->at - from)};
	return 0;
}

int skim_at(
    struct str json, struct str pointer, struct arena *a, struct skim_member *ret, struct err *e)
{
	const char *p = json.p != NULL ? json.p : "";
	struct skim s = {.at = p, .start = p, .end = p + json.n, .arena = a, .e = e};
	struct str part;
	int found = pointer.n == 0 || pointer.p[0] == '/';
	ret->type = SKIM_ABSENT;
	ret->value = STR_NONE;
	pointer = pointer.n > 0 ? str_from(pointer, 1) : STR_NONE;
	while (found > 0 && pointer.p != NULL && str_next(&pointer, '/', &part)) {
		skim_blank(&s);
		bool object = skim_is(&s, '{');
		if (!object && !skim_is(&s, '['))
			return 0;
		s.at++;
		found = object ? skim_to_member(&s, part) : skim_to_element(&s, part);
	}
	return found > 0 ? skim_take(&s, ret) : found;
}

int skim_each(struct str *rest, struct str *ret_element)
{
	struct err ignored;
	enum skim_type type;
	struct skim s = {.at = rest->p, .start = rest->p, .end = rest->p + rest->n, .e = &ignored};
	if (rest->n == 0 || (*s.at != '[' && *s.at != ','))
		return 0;
	s.at++;
	skim_blank(&s);
	const char *from = s.at;
	if (skim_is(&s, ']') || skim_value(&s, &type) != 0)
		return 0;
	*ret_element = (struct str){from, (size_t)(s.at - from)};
	skim_blank(&s);
	*rest = str_from(*rest, (size_t)(s.at - rest->p));
	return 1;
}
