/* Sums of test runners and migrations, by what they are known to print. */
#include "deploy/telling.h"

#include <stdio.h>
#include <string.h>

/* Best first. `instead` stands for the whole line. */
static const struct sign {
	struct str part;
	const char *instead;
} signs[] = {
    {STR("No migrations to apply"), "no migrations to apply"}, /* Django */
    {STR("  Applying "), NULL}, {STR("Ran "), NULL},	       /* unittest, Django; OK follows */
    {STR(" passed"), NULL},				       /* pytest, jest, ctest, cargo */
    {STR(" passing"), NULL},				       /* mocha */
    {STR("# pass "), NULL},				       /* node --test */
    {STR("All checks"), NULL}				       /* linters */
};

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       ((unsigned char)c & 0x80);
}

static bool has_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_word(s.p[i]))
			return true;
	return false;
}

static bool is_decoration(char c)
{
	return strchr("=-_*#. \t", c) && c;
}

static struct str undecorated(struct str s)
{
	while (s.n > 0 && is_decoration(s.p[0]))
		s = str_from(s, 1);
	while (s.n > 0 && is_decoration(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Appends; whole characters only. Returns the new length. */
static size_t add(struct str s, char *out, size_t size, size_t n)
{
	bool blank = false;
	while (s.n > 0) {
		uint32_t point;
		size_t step = str_utf8_next(s, &point);
		if (s.p[0] == ' ' || s.p[0] == '\t') {
			blank = true;
			s = str_from(s, 1);
			continue;
		}
		step = step > 0 ? step : 1;
		if (n + blank + step >= size)
			break;
		if (blank)
			out[n++] = ' ';
		blank = false;
		memcpy(out + n, s.p, step);
		n += step;
		s = str_from(s, step);
	}
	out[n] = '\0';
	return n;
}

static size_t find_sign(const struct str *lines, size_t n, const struct sign **ret)
{
	for (size_t k = 0; k < sizeof(signs) / sizeof(*signs); k++)
		for (size_t i = n; i-- > 0;)
			if (str_contains(lines[i], signs[k].part)) {
				*ret = &signs[k];
				return i;
			}
	return SIZE_MAX;
}

void telling_line(const struct str *lines, size_t n, char *out, size_t size)
{
	const struct sign *sign = NULL;
	size_t at = find_sign(lines, n, &sign);
	out[0] = '\0';
	if (at != SIZE_MAX && sign->instead) {
		(void)snprintf(out, size, "%s", sign->instead);
		return;
	}
	for (size_t i = n; at == SIZE_MAX && i-- > 0;)
		if (has_word(lines[i]))
			at = i;
	if (at == SIZE_MAX)
		return;
	size_t length = add(undecorated(lines[at]), out, size, 0);
	/* unittest says how many and how well in two lines */
	for (size_t i = at + 1; str_starts(lines[at], STR("Ran ")) && i < n; i++)
		if (str_starts(lines[i], STR("OK"))) {
			(void)snprintf(out + length, size - length, ", %.*s", STR_ARG(lines[i]));
			break;
		}
}
