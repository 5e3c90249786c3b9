#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

void *mem_alloc(size_t n)
{
	return must(calloc(1, n ? n : 1));
}

void *mem_array(size_t count, size_t size)
{
	return must(calloc(count ? count : 1, size ? size : 1));
}

void *mem_grow(void *p, size_t old_count, size_t new_count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(new_count, size, &bytes))
		abort();
	char *q = must(realloc(p, bytes ? bytes : 1));
	if (new_count > old_count)
		memset(q + old_count * size, 0, bytes - old_count * size);
	return q;
}

char *mem_dup(struct str s)
{
	if (s.n == SIZE_MAX)
		abort();
	char *p = must(malloc(s.n + 1));
	if (s.n)
		memcpy(p, s.p, s.n);
	p[s.n] = '\0';
	return p;
}

void mem_free_ptr(void *pp)
{
	void *p;
	memcpy(&p, pp, sizeof(p));
	free(p);
	p = NULL;
	memcpy(pp, &p, sizeof(p));
}
