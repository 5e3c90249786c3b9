/* The room's bounded writer. Private to render/. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct out {
	char *p;
	size_t n, size;
	bool full;
	bool bad; /* a value held a byte outside the alphabet; nothing of it was written */
};

void out_init(struct out *o, char *p, size_t size);
/* Knows %s (a value: checked against the alphabet), %llu and %% only; everything else of `fmt` is
 * template. */
void out_put(struct out *o, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A part of a template that is chosen at run time and holds no values. */
void out_text(struct out *o, const char *text);
/* A value inside a regular expression: the same alphabet, and what means something there is escaped. */
void out_put_regex(struct out *o, const char *value);
/* Ends with NUL; the length, or -1: ERR_TOO_LARGE, or ERR_INVALID when a value was bad. On -1 out
 * holds "". */
long out_end(struct out *o, const char *what, struct err *e) WARN_UNUSED;

/* Every byte is one of [A-Za-z0-9._~:/@[]-]. The empty string is not inert: it would shift
 * arguments. */
bool out_inert(const char *s);
/* An absolute path of [A-Za-z0-9._/-] without "//", "." or ".." components and final '/'. */
int out_path_check(const char *what, const char *path, struct err *e) WARN_UNUSED;
