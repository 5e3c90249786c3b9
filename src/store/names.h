/* From $name to $1: the parameters of a statement by name, as PostgreSQL wants them. */
#pragma once

#include "base/buf.h"

#define NAMES_MAX 32

struct names {
	struct str name[NAMES_MAX]; /* with the '$', pointing into the statement; [0] is $1 */
	size_t count;
};

/* Writes the statement with each $name replaced by its number. What stands in '…', "…" or behind --
 * stays. -1 when there are more than NAMES_MAX or `out` is full. */
int names_number(const char *sql, struct buf *out, struct names *ret, struct err *e) WARN_UNUSED;
