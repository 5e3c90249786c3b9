#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN 16u
#define BLOCK_MIN 1024u
#define BLOCK_MAX 65536u
#define KEPT_MAX 8192u

struct arena_block {
	struct arena_block *prev;
	size_t used, size;
	char data[] __attribute__((aligned(ALIGN)));
};

/* Blocks double with what was given out, so many small requests cost few allocations. */
static struct arena_block *block_add(struct arena *a, size_t n)
{
	size_t size = a->used < BLOCK_MIN ? BLOCK_MIN : a->used < BLOCK_MAX ? a->used : BLOCK_MAX;
	if (size < n)
		size = n;
	struct arena_block *b = calloc(1, sizeof(*b) + size);
	if (!b)
		return NULL;
	b->size = size;
	b->prev = a->last;
	a->last = b;
	return b;
}

void arena_init(struct arena *a, size_t cap_bytes)
{
	*a = (struct arena){.cap = cap_bytes};
}

void arena_fini(struct arena *a)
{
	while (a->last) {
		struct arena_block *b = a->last;
		a->last = b->prev;
		free(b);
	}
	a->used = 0;
}

void arena_clear(struct arena *a)
{
	size_t size = a->used;
	bool one = a->last && !a->last->prev;
	if (size > KEPT_MAX || (one && a->last->size > KEPT_MAX)) {
		arena_fini(a);
		return;
	}
	if (!one) {
		arena_fini(a);
		if (size > 0)
			(void)block_add(a, size);
		return;
	}
	memset(a->last->data, 0, a->last->used);
	a->last->used = a->used = 0;
}

void arena_wipe(struct arena *a)
{
	for (struct arena_block *b = a->last; b; b = b->prev)
		explicit_bzero(b->data, b->used);
	arena_fini(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > a->cap - a->used || n > SIZE_MAX / 2)
		return NULL;
	size_t room = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
	if (room > a->cap - a->used)
		return NULL;
	struct arena_block *b = a->last;
	if (!b || room > b->size - b->used)
		b = block_add(a, room);
	if (!b)
		return NULL;
	void *p = b->data + b->used;
	b->used += room;
	a->used += room;
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;
	return __builtin_mul_overflow(count, size, &n) ? NULL : arena_alloc(a, n);
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
	if (!p)
		return STR_NONE;
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct str){p, s.n};
}

char *arena_cstr(struct arena *a, struct str s)
{
	char *p =
	    str_find(s, '\0', 0) == SIZE_MAX && s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
	if (p && s.n)
		memcpy(p, s.p, s.n);
	return p;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int want = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *p = want < 0 ? NULL : arena_alloc(a, (size_t)want + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)want + 1, fmt, ap);
	va_end(ap);
	return p;
}
