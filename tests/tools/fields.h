/* What render_vhost.c and render_unit.c share: fields of a struct from lines of text, good or not. */
#pragma once

#include "base/num.h"
#include "base/str.h"

#include <string.h>

/* Copies what fits; a value that does not fit leaves its field without a NUL, for the renderer to
 * refuse. */
static inline void fill(char *out, size_t size, struct str s)
{
	memset(out, 'x', size);
	memcpy(out, s.p, s.n < size ? s.n : size);
	if (s.n < size)
		memset(out + s.n, 0, size - s.n);
}

static inline uint64_t number(struct str s)
{
	uint64_t n = 0;
	return num_u64(s, 0, UINT64_MAX, &n) ? n : UINT64_MAX;
}
