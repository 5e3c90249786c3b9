/* Argument and environment lists as they travel: strings separated by NUL, each ended by one, in a
 * buffer or a sealed memory file. The same form in memfds to the helper and in files of a release. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"

struct args {
	struct str *v;
	size_t n;
};

/* Appends one string; a NUL inside sets buf's full flag (cannot be sent). */
void args_pack(struct buf *b, struct str s);
void args_pack_all(struct buf *b, const struct args *list);
/* Splits packed bytes: every string must be ended by NUL; at most count_max. Strings point into `packed`. */
int args_unpack(struct str packed, size_t count_max, struct arena *a, struct args *ret, struct err *e) WARN_UNUSED;
