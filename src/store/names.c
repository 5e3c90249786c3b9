#include "store/names.h"

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_';
}

/* Where a quoted part or comment that begins at p ends; p itself when none does. A doubled quote
 * ends one and begins the next, which is the same. */
static const char *skip(const char *p)
{
	char end = *p == '\'' || *p == '"' ? *p : *p == '-' && p[1] == '-' ? '\n' : '\0';
	if (!end)
		return p;
	for (p++; *p && *p != end; p++)
		;
	return *p ? p + 1 : p;
}

static size_t number_of(struct names *n, struct str name)
{
	size_t i = 0;
	while (i < n->count && !str_eq(n->name[i], name))
		i++;
	if (i == n->count && i < NAMES_MAX)
		n->name[n->count++] = name;
	return i + 1;
}

int names_number(const char *sql, struct buf *out, struct names *ret, struct err *e)
{
	ret->count = 0;
	for (const char *p = sql; *p;) {
		const char *after = skip(p);
		if (after == p && *p == '$' && is_word(p[1])) {
			for (after = p + 1; is_word(*after); after++)
				;
			size_t no = number_of(ret, (struct str){p, (size_t)(after - p)});
			if (no > NAMES_MAX)
				return err_set(e, ERR_INTERNAL,
				    "a statement has more than %d parameters", NAMES_MAX);
			buf_printf(out, "$%zu", no);
		} else {
			if (after == p)
				after++;
			buf_put(out, p, (size_t)(after - p));
		}
		p = after;
	}
	return buf_check(out, "a statement", e);
}
