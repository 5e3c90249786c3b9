#include "base/log.h"
#include "base/clock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define VALUE_MAX_BYTES 1024

static const char *const levels[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic unsigned log_least = LOG_INFO;

struct line {
	size_t n;
	char p[LINE_MAX_BYTES];
};

void log_open(enum log_level least, int fd)
{
	atomic_store(&log_least, (unsigned)least);
	atomic_store(&log_fd, fd);
}

bool log_level_parse(struct str s, enum log_level *ret)
{
	for (int i = 0; i < LOG_LEVEL_COUNT; i++) {
		if (str_eq_c(s, levels[i])) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* All of s or nothing; the last byte is kept for the line break. */
static bool line_add(struct line *l, const char *p, size_t n)
{
	if (n > sizeof(l->p) - 1 - l->n)
		return false;
	memcpy(l->p + l->n, p, n);
	l->n += n;
	return true;
}

static bool is_bare(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(c != '\0' && strchr("._:/@+,%#~-", c))))
			return false;
	}
	return s.n > 0;
}

/* Puts " key=value" as a whole or not at all, so that a cut line still parses. */
static void line_field(struct line *l, const struct log_field *f)
{
	char text[VALUE_MAX_BYTES + 128];
	int n;
	if (f->type == LOG_T_STR) {
		char value[VALUE_MAX_BYTES];
		size_t length = log_escape(f->s, value, sizeof(value));
		const char *quote = is_bare((struct str){value, length}) ? "" : "\"";
		n = snprintf(text, sizeof(text), " %s=%s%s%s", f->key, quote, value, quote);
	} else {
		n = snprintf(text, sizeof(text), " %s=%lld%s", f->key, (long long)f->i,
		    f->type == LOG_T_MS ? "ms" : "");
	}
	if (n > 0 && (size_t)n < sizeof(text))
		line_add(l, text, (size_t)n);
}

void log_write(enum log_level level, const char *module, const char *event,
    const struct log_field *fields, size_t count)
{
	if ((unsigned)level >= LOG_LEVEL_COUNT || (unsigned)level < atomic_load(&log_least))
		return;
	int saved = errno;
	struct line l = {0};
	char when[32];
	clock_format(clock_wall_ms(), when);
	int n = snprintf(l.p, sizeof(l.p) - 1, "%s %s %s %s", when, levels[level], module, event);
	l.n = n < 0 ? 0 : (size_t)n < sizeof(l.p) - 1 ? (size_t)n : sizeof(l.p) - 2;
	for (size_t i = 0; i < count; i++)
		if (fields[i].type != LOG_T_END)
			line_field(&l, &fields[i]);
	l.p[l.n++] = '\n';
	/* A line that cannot be written has nobody to be told to. */
	while (write(atomic_load(&log_fd), l.p, l.n) < 0 && errno == EINTR)
		;
	errno = saved;
}

/* Marks that reorder, hide or break what a terminal shows. */
static bool is_deceptive(uint32_t point)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {{0x80, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e},
	    {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x2069}, {0xfeff, 0xfeff},
	    {0xfff9, 0xfffb}, {0xe0000, 0xe007f}};
	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (point >= ranges[i].from && point <= ranges[i].to)
			return true;
	return false;
}

/* Escapes what s begins with into out[16]; returns how many bytes of s that was. */
static size_t escape_one(struct str s, char out[16])
{
	uint32_t point;
	size_t n = str_utf8_next(s, &point);
	unsigned char c = (unsigned char)s.p[0];
	if (n == 0 || (n == 1 && (c < ' ' || c == 0x7f))) {
		if (c == '\n' || c == '\r' || c == '\t')
			snprintf(out, 16, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
		else
			snprintf(out, 16, "\\x%02x", c);
		return 1;
	}
	if (c == '"' || c == '\\') {
		snprintf(out, 16, "\\%c", c);
	} else if (is_deceptive(point)) {
		snprintf(out, 16, "\\u{%x}", (unsigned)point);
	} else {
		memcpy(out, s.p, n);
		out[n] = '\0';
	}
	return n;
}

static size_t escape(struct str s, const char *keep, char *out, size_t size)
{
	size_t n = 0;
	if (size == 0)
		return 0;
	for (size_t at = 0; at < s.n;) {
		char piece[16];
		if (strchr(keep, s.p[at]) && s.p[at]) {
			piece[0] = s.p[at++];
			piece[1] = '\0';
		} else {
			at += escape_one(str_from(s, at), piece);
		}
		size_t more = strlen(piece);
		if (more >= size - n)
			break;
		memcpy(out + n, piece, more);
		n += more;
	}
	out[n] = '\0';
	return n;
}

size_t log_escape(struct str s, char *out, size_t size)
{
	return escape(s, "", out, size);
}

size_t log_escape_text(struct str s, char *out, size_t size)
{
	return escape(s, "\"\\\t", out, size);
}
