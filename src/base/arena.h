/* Memory of one request or task: given out in pieces, freed at once, with a cap.
 * Allocation beyond the cap returns NULL (parsers turn that into ERR_TOO_LARGE). Memory is zeroed. */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct arena_block;
struct arena {
	struct arena_block *last;
	size_t used, cap;
};

void arena_init(struct arena *a, size_t cap_bytes);
void arena_fini(struct arena *a);
/* Empties it for the next use, which needs about as much: up to some kilobytes stay allocated. */
void arena_clear(struct arena *a);
void arena_wipe(struct arena *a); /* overwrites, then frees: where secrets were */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc)); /* 16-byte aligned */
void *arena_array(struct arena *a, size_t count, size_t size);	      /* NULL on overflow */
struct str arena_str(struct arena *a, struct str s); /* a copy with a NUL behind it; STR_NONE when full */
char *arena_cstr(struct arena *a, struct str s);     /* the same as char *; NULL when full or s holds a NUL */
char *arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define CLEANUP_ARENA __attribute__((cleanup(arena_fini)))
