#include "render/out.h"

#include "base/log.h"

#include <string.h>

static bool inert_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._~:/@[]-", c));
}

bool out_inert(const char *s)
{
	if (*s == '\0')
		return false;
	for (; *s; s++)
		if (!inert_byte(*s))
			return false;
	return true;
}

void out_init(struct out *o, char *p, size_t size)
{
	*o = (struct out){.p = p, .size = size};
	if (size > 0)
		p[0] = '\0';
}

static void put_bytes(struct out *o, const char *p, size_t n)
{
	if (o->full || n >= o->size - o->n || o->size == 0) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put_value(struct out *o, const char *s)
{
	if (!out_inert(s))
		o->bad = true;
	else
		put_bytes(o, s, strlen(s));
}

static void put_number(struct out *o, unsigned long long u)
{
	char digits[24];
	size_t at = sizeof(digits);
	do {
		digits[--at] = (char)('0' + u % 10);
		u /= 10;
	} while (u > 0);
	put_bytes(o, digits + at, sizeof(digits) - at);
}

void out_put(struct out *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	for (const char *at = fmt; *at;) {
		size_t n = strcspn(at, "%");
		put_bytes(o, at, n);
		at += n;
		if (strncmp(at, "%s", 2) == 0) {
			put_value(o, va_arg(ap, const char *));
			at += 2;
		} else if (strncmp(at, "%%", 2) == 0) {
			put_bytes(o, at, 1);
			at += 2;
		} else if (strncmp(at, "%llu", 4) == 0) {
			put_number(o, va_arg(ap, unsigned long long));
			at += 4;
		} else if (*at) {
			o->bad = true; /* a mistake in a template: the values behind it cannot be
					  known */
			break;
		}
	}
	va_end(ap);
}

void out_text(struct out *o, const char *text)
{
	put_bytes(o, text, strlen(text));
}

void out_put_regex(struct out *o, const char *value)
{
	if (!out_inert(value)) {
		o->bad = true;
		return;
	}
	for (const char *at = value; *at; at++) {
		if (strchr(".[]", *at))
			put_bytes(o, "\\", 1);
		put_bytes(o, at, 1);
	}
}

long out_end(struct out *o, const char *what, struct err *e)
{
	if (!o->full && !o->bad) {
		o->p[o->n] = '\0';
		return (long)o->n;
	}
	if (o->size > 0)
		o->p[0] = '\0';
	if (o->bad)
		return err_set(e, ERR_INVALID, "%s holds a value that cannot be written", what);
	return err_set(e, ERR_TOO_LARGE, "%s is longer than %zu bytes", what, o->size);
}

static bool path_byte(char c)
{
	return inert_byte(c) && c != ':' && c != '~' && c != '@' && c != '[' && c != ']';
}

int out_path_check(const char *what, const char *path, struct err *e)
{
	char shown[120];
	log_escape(str_c(path), shown, sizeof(shown));
	if (!path || path[0] != '/' || path[1] == '\0')
		return err_set(e, ERR_SETTINGS, "%s '%s' is not an absolute path", what, shown);
	struct str rest = str_from(str_c(path), 1), part;
	while (str_next(&rest, '/', &part)) {
		bool ok = part.n > 0 && !str_eq_c(part, ".") && !str_eq_c(part, "..");
		for (size_t i = 0; i < part.n; i++)
			ok = ok && path_byte(part.p[i]);
		if (!ok)
			return err_set(e, ERR_SETTINGS,
			    "%s '%s' has a component that is not of letters, digits, '.', '_', '-'",
			    what, shown);
	}
	return 0;
}
