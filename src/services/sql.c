#include "services/sql.h"

#include <assert.h>

static int wrong(struct err *e, const char *why)
{
	return err_set(e, ERR_INVALID, "a value cannot be part of a statement: %s", why);
}

static bool has(struct str s, char c)
{
	return str_find(s, c, 0) != SIZE_MAX;
}

/* Between two q, with each q and, where it means something, each backslash doubled. */
static void quoted(struct buf *out, struct str s, char q, bool escapes)
{
	buf_char(out, q);
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == q || (escapes && s.p[i] == '\\'))
			buf_char(out, s.p[i]);
		buf_char(out, s.p[i]);
	}
	buf_char(out, q);
}

int sql_name(struct buf *out, struct str name, struct err *e)
{
	if (name.n == 0 || name.n > SQL_NAME_MAX || has(name, '\0'))
		return wrong(e, "it is no name of 1 to 63 bytes");
	quoted(out, name, '"', false);
	return 0;
}

int sql_text(struct buf *out, struct str text, struct err *e)
{
	if (has(text, '\0'))
		return wrong(e, "a NUL is in it");
	bool escapes = has(text, '\\');
	buf_c(out, escapes ? " E" : "");
	quoted(out, text, '\'', escapes);
	return 0;
}

int sql_write(struct buf *out, const char *form, const struct str *v, struct err *e)
{
	for (; *form; form++) {
		bool text = form[0] == '\'' && form[1] == '%';
		if (!text && *form != '%') {
			buf_char(out, *form);
			continue;
		}
		assert(v->p);
		if ((text ? sql_text(out, *v, e) : sql_name(out, *v, e)) != 0)
			return -1;
		form += text;
		v++;
	}
	return buf_check(out, "the statement", e);
}
