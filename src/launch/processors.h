/* Which processors the processes of tenants may run on. The first of ours is left to those who serve: jobs never run there, and a
 * service does not while it uses up its processor limit, so that whoever is woken to answer finds a processor that no loop holds. A
 * limit of half a processor, spent by twenty loops, would otherwise hold all processors up at once, each for a tick of the kernel's at
 * a time. Linux: cpuset(7). Stateless, no allocation. */
#pragma once

#include "base/limits.h"

#include <stdint.h>

#define PROCESSORS_TEXT_SIZE 16u

/* By the kernel's numbers, both included. last 0: all of ours (a range never begins at the first of ours). */
struct processors_range {
	uint16_t first, last;
};

/* Those that this process may run on, as it started. */
struct processors {
	uint16_t count; /* at least 1 */
	uint16_t number[LIMIT_PROCESSORS];
};

/* What confined services may use of each, in thousandths of a processor; by index into processors.number. */
struct processors_load {
	uint32_t milli[LIMIT_PROCESSORS];
};

void processors_find(struct processors *ret);
/* All but the first; all, where there is only one. */
struct processors_range processors_for_jobs(const struct processors *p);
/* For a service of this limit (thousandths, not 0): as few processors as it can use up, without the first, from the end, and only where
 * what is confined there already leaves it room; all, where there is none such. */
struct processors_range processors_for_limit(
    const struct processors *p, const struct processors_load *l, uint32_t milli);
/* It is confined there. */
void processors_add(const struct processors *p, struct processors_load *l,
    struct processors_range r, uint32_t milli);
/* "1-3"; "" for all. */
void processors_text(struct processors_range r, char out[PROCESSORS_TEXT_SIZE]);
