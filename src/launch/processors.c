#include "launch/processors.h"

#include <sched.h>
#include <stdio.h>

void processors_find(struct processors *ret)
{
	cpu_set_t ours;
	ret->count = 0;
	CPU_ZERO(&ours);
	if (sched_getaffinity(0, sizeof(ours), &ours) == 0)
		for (uint16_t i = 0; i < LIMIT_PROCESSORS; i++)
			if (CPU_ISSET(i, &ours))
				ret->number[ret->count++] = i;
	if (ret->count == 0)
		ret->number[ret->count++] = 0;
}

static struct processors_range range(const struct processors *p, size_t first, size_t count)
{
	return (struct processors_range){p->number[first], p->number[first + count - 1]};
}

struct processors_range processors_for_jobs(const struct processors *p)
{
	return p->count < 2 ? (struct processors_range){0, 0} : range(p, 1, p->count - 1u);
}

static uint64_t sum(const struct processors_load *l, size_t first, size_t count)
{
	uint64_t all = 0;
	for (size_t i = first; i < first + count; i++)
		all += l->milli[i];
	return all;
}

struct processors_range processors_for_limit(
    const struct processors *p, const struct processors_load *l, uint32_t milli)
{
	size_t count = ((size_t)milli + 999) / 1000, best = 0;
	uint64_t least = UINT64_MAX;
	if (count >= p->count)
		return (struct processors_range){0, 0};
	for (size_t at = p->count - count; at >= 1; at--) {
		uint64_t taken = sum(l, at, count);
		if (taken < least) {
			least = taken;
			best = at;
		}
	}
	return least + milli <= 1000 * (uint64_t)count ? range(p, best, count)
						       : (struct processors_range){0, 0};
}

void processors_add(const struct processors *p, struct processors_load *l,
    struct processors_range r, uint32_t milli)
{
	uint32_t count = 0;
	for (size_t i = 0; i < p->count; i++)
		count += p->number[i] >= r.first && p->number[i] <= r.last;
	for (size_t i = 0; count > 0 && i < p->count; i++)
		if (p->number[i] >= r.first && p->number[i] <= r.last)
			l->milli[i] += (milli + count - 1) / count;
}

void processors_text(struct processors_range r, char out[PROCESSORS_TEXT_SIZE])
{
	out[0] = '\0';
	if (r.last != 0)
		(void)snprintf(out, PROCESSORS_TEXT_SIZE, "%u-%u", r.first, r.last);
}
