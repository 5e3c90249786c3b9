/* A growing byte buffer with a mandatory maximum. Writing beyond it sets `full` and changes nothing
 * more, so a caller may append many times and ask once. Running out of memory aborts, except in a
 * parser's buffer, which is full then. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct buf {
	char *p; /* p[n] is always NUL when p is not NULL */
	size_t n, cap, max;
	bool full, may_fail;
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_init_parser(struct buf *b, size_t max_bytes); /* without memory: full, instead of abort */
void buf_fini(struct buf *b);  /* frees; the buffer is empty with the same max afterwards */
void buf_wipe(struct buf *b);  /* overwrites, then frees: for secrets */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_put(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, struct str s);
void buf_c(struct buf *b, const char *c);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Room for n more bytes at the end, to be filled and then counted with buf_commit; NULL when full. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);
void buf_drop_front(struct buf *b, size_t n);
struct str buf_view(const struct buf *b); /* valid until the next write */
/* 0, or -1 with ERR_TOO_LARGE naming `what` when the maximum was hit. */
int buf_check(const struct buf *b, const char *what, struct err *e) WARN_UNUSED;
#define CLEANUP_BUF __attribute__((cleanup(buf_fini)))
