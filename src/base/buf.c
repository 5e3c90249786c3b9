#include "base/buf.h"
#include "base/ct.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void buf_init(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes};
}

void buf_init_parser(struct buf *b, size_t max_bytes)
{
	*b = (struct buf){.max = max_bytes, .may_fail = true};
}

void buf_fini(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max, .may_fail = b->may_fail};
}

void buf_wipe(struct buf *b)
{
	if (b->p)
		ct_wipe(b->p, b->cap);
	buf_fini(b);
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->full = false;
	if (b->p)
		b->p[0] = '\0';
}

/* Makes cap greater than n + more; the caller knows that it is within max. */
static bool grow(struct buf *b, size_t more)
{
	size_t need = b->n + more + 1;
	if (need <= b->cap)
		return true;
	size_t cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > b->max + 1)
		cap = b->max + 1;
	char *p = realloc(b->p, cap);
	if (!p && !b->may_fail)
		abort();
	if (!p)
		return false;
	b->p = p;
	b->cap = cap;
	return true;
}

char *buf_reserve(struct buf *b, size_t n)
{
	/* SIZE_MAX is out of reach anyway; refusing it keeps max + 1 from wrapping. */
	size_t max = b->max == SIZE_MAX ? SIZE_MAX - 1 : b->max;
	if (b->full || n > max - b->n) {
		b->full = true;
		return NULL;
	}
	b->max = max;
	if (!grow(b, n)) {
		b->full = true;
		return NULL;
	}
	return b->p + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(b->p && n < b->cap - b->n);
	b->n += n;
	b->p[b->n] = '\0';
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	char *to = buf_reserve(b, n);
	if (!to)
		return;
	if (n)
		memcpy(to, p, n);
	buf_commit(b, n);
}

void buf_str(struct buf *b, struct str s)
{
	buf_put(b, s.p, s.n);
}

void buf_c(struct buf *b, const char *c)
{
	buf_str(b, str_c(c));
}

void buf_char(struct buf *b, char c)
{
	buf_put(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int want = vsnprintf(NULL, 0, fmt, ap);
	char *to = want < 0 ? NULL : buf_reserve(b, (size_t)want);
	if (to) {
		(void)vsnprintf(to, (size_t)want + 1, fmt, again);
		buf_commit(b, (size_t)want);
	} else {
		b->full = true;
	}
	va_end(again);
}

void buf_drop_front(struct buf *b, size_t n)
{
	assert(n <= b->n);
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->n - n + 1);
	b->n -= n;
}

struct str buf_view(const struct buf *b)
{
	return (struct str){b->p ? b->p : "", b->n};
}

int buf_check(const struct buf *b, const char *what, struct err *e)
{
	if (!b->full)
		return 0;
	return err_set(e, ERR_TOO_LARGE, "%s is larger than %zu bytes", what, b->max);
}
