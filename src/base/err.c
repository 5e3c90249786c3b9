#define ERR_C
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct err_class classes[ERR_CODE_COUNT] = {
    [ERR_NONE] = {"none", "No error", 200, 0, ERR_RETRY_NEVER},
    [ERR_USAGE] = {"usage", "Wrong command line", 400, 64, ERR_RETRY_NEVER},
    [ERR_INVALID] = {"invalid", "Invalid data", 400, 65, ERR_RETRY_NEVER},
    [ERR_UNAUTHORIZED] = {"unauthorized", "Not signed in", 401, 77, ERR_RETRY_NEVER},
    [ERR_FORBIDDEN] = {"forbidden", "Not allowed", 403, 77, ERR_RETRY_NEVER},
    [ERR_NOT_FOUND] = {"not-found", "Not found", 404, 65, ERR_RETRY_NEVER},
    [ERR_CONFLICT] = {"conflict", "Conflict", 409, 65, ERR_RETRY_NEVER},
    [ERR_PRECONDITION] = {"precondition", "Changed meanwhile", 412, 75, ERR_RETRY_NEVER},
    [ERR_TOO_LARGE] = {"too-large", "Too large", 413, 65, ERR_RETRY_NEVER},
    [ERR_UNSUPPORTED] = {"unsupported", "Not supported", 415, 65, ERR_RETRY_NEVER},
    [ERR_RATE] = {"rate", "Too many requests", 429, 75, ERR_RETRY_LATER},
    [ERR_UNAVAILABLE] = {"unavailable", "Not available now", 503, 75, ERR_RETRY_LATER},
    [ERR_TIMEOUT] = {"timeout", "Timed out", 504, 75, ERR_RETRY_LATER},
    [ERR_CANCELLED] = {"cancelled", "Cancelled", 409, 1, ERR_RETRY_NEVER},
    [ERR_FAILED] = {"failed", "Failed", 422, 1, ERR_RETRY_NEVER},
    [ERR_SETTINGS] = {"settings", "Wrong settings", 500, 78, ERR_RETRY_NEVER},
    [ERR_IO] = {"io", "Input or output error", 500, 75, ERR_RETRY_LATER},
    [ERR_NO_SPACE] = {"no-space", "No space left", 507, 75, ERR_RETRY_LATER},
    [ERR_INTERNAL] = {"internal", "Internal error", 500, 70, ERR_RETRY_NEVER},
};

static void format(char *out, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

const struct err_class *err_class_of(enum err_code code)
{
	if ((unsigned)code >= ERR_CODE_COUNT)
		code = ERR_INTERNAL;
	return &classes[code];
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
	if (!e)
		return -1;
	/* Formatted aside first: the arguments may point into *e. */
	char msg[sizeof(e->msg)];
	va_list ap;
	va_start(ap, fmt);
	format(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	err_clear(e);
	e->code = code;
	memcpy(e->msg, msg, sizeof(msg));
	return -1;
}

static void append(char *out, size_t size, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void append(char *out, size_t size, const char *fmt, ...)
{
	size_t n = strlen(out);
	va_list ap;
	va_start(ap, fmt);
	format(out + n, size - n, fmt, ap);
	va_end(ap);
}

int err_sys(struct err *e, enum err_code code, int sys, const char *fmt, ...)
{
	if (!e)
		return -1;
	char msg[sizeof(e->msg)];
	va_list ap;
	va_start(ap, fmt);
	format(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (sys > 0) {
		char reason[128];
		append(msg, sizeof(msg), ": %s", strerror_r(sys, reason, sizeof(reason)));
	}
	err_clear(e);
	e->code = sys == ENOSPC || sys == EDQUOT ? ERR_NO_SPACE : code;
	e->sys = sys;
	memcpy(e->msg, msg, sizeof(msg));
	return -1;
}

int err_hint(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char hint[sizeof(e->hint)];
	va_list ap;
	va_start(ap, fmt);
	format(hint, sizeof(hint), fmt, ap);
	va_end(ap);
	memcpy(e->hint, hint, sizeof(hint));
	return -1;
}

int err_at(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char pointer[sizeof(e->pointer)];
	va_list ap;
	va_start(ap, fmt);
	format(pointer, sizeof(pointer), fmt, ap);
	va_end(ap);
	memcpy(e->pointer, pointer, sizeof(pointer));
	return -1;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
	if (!e)
		return -1;
	char msg[sizeof(e->msg)];
	va_list ap;
	va_start(ap, fmt);
	format(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	append(msg, sizeof(msg), ": %s", e->msg);
	memcpy(e->msg, msg, sizeof(msg));
	return -1;
}

void err_clear(struct err *e)
{
	if (e)
		memset(e, 0, sizeof(*e));
}

/* Length of the UTF-8 sequence that starts with c; 1 for what starts none. */
static size_t sequence_length(unsigned char c)
{
	if (c >= 0xf0)
		return 4;
	if (c >= 0xe0)
		return 3;
	return c >= 0xc0 ? 2 : 1;
}

/* vsnprintf that never leaves half a character at the end. */
static void format(char *out, size_t size, const char *fmt, va_list ap)
{
	int want = vsnprintf(out, size, fmt, ap);
	if (want < 0)
		out[0] = '\0';
	if (want < 0 || (size_t)want < size)
		return;
	size_t n = strlen(out), back = 0;
	while (back < 3 && back < n && ((unsigned char)out[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n && sequence_length((unsigned char)out[n - 1 - back]) > back + 1)
		out[n - 1 - back] = '\0';
}
