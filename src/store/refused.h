/* The sequences of groups that did not get onto the disk whole, and were answered so: what stands
 * there all the same is not read in this life. Guarded by the journal's lock. Not for other rooms. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct refused_range {
	uint64_t first, last;
};
/* Ascending. Between two of them lies something that waits to be drained, which bounds them. */
struct refused {
	struct refused_range *v;
	size_t n, room;
};

void refused_fini(struct refused *f);
void refused_add(struct refused *f, uint64_t first, uint64_t last); /* above all before */
bool refused_has(const struct refused *f, uint64_t sequence);
void refused_forget(struct refused *f, uint64_t until); /* nothing up to it is read again */
