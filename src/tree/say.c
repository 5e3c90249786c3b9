#include "tree/say.h"
#include "base/fs.h"
#include "base/log.h"

#include <stdio.h>
#include <unistd.h>

static const char *const kinds[SAY_KIND_COUNT] = {[SAY_HOST] = "host",
    [SAY_ADDRESS] = "address",
    [SAY_DENIED] = "denied",
    [SAY_REF] = "ref",
    [SAY_SIZE] = "size",
    [SAY_LINK] = "link",
    [SAY_ENTRY] = "entry",
    [SAY_ARCHIVE] = "archive",
    [SAY_SETTINGS] = "settings",
    [SAY_GIT] = "git",
    [SAY_TIMEOUT] = "timeout",
    [SAY_PYTHON] = "python",
    [SAY_LOCK] = "lock",
    [SAY_NODE] = "node"};

static enum say_kind failure = SAY_SETTINGS;

int say_fail(enum say_kind kind, struct err *e, const char *fmt, ...)
{
	char text[sizeof(e->msg)];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	failure = kind;
	return err_set(e, ERR_FAILED, "%s", text);
}

void say_raw(const char *p, size_t n)
{
	struct err ignored;
	if (n && fs_write_all(STDERR_FILENO, p, n, &ignored))
		return;
}

static void line(const char *kind, const char *text)
{
	char shown[sizeof(((struct err *)NULL)->msg) * 2], out[sizeof(shown) + 64];
	log_escape(str_c(text), shown, sizeof(shown));
	int n = snprintf(out, sizeof(out), "slipway-tree: %s: %s\n", kind, shown);
	say_raw(out, (size_t)n);
}

void say_failure(const struct err *e)
{
	if (e->hint[0])
		line("hint", e->hint);
	line(kinds[failure], e->msg);
}

void say_note(const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	line("note", text);
}

int say_report(const struct buf *b, struct err *e)
{
	if (buf_check(b, "the report", e))
		return -1;
	return fs_write_all(STDOUT_FILENO, b->p, b->n, e);
}
