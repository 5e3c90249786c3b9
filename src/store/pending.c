/* Open addressing with linear probing; a removal shifts back what follows, so nothing is ever
 * marked as dead. */
#include "store/pending.h"

#include "base/mem.h"

#include <stdlib.h>

#define SLOTS_LEAST 1024u

struct slot {
	struct sip_hash h;
	uint64_t id; /* 0: free */
};

struct pending {
	struct slot *v;
	size_t slots, n; /* slots: a power of two */
};

struct pending *pending_new(void)
{
	struct pending *p = mem_alloc(sizeof(*p));
	p->slots = SLOTS_LEAST;
	p->v = mem_array(p->slots, sizeof(*p->v));
	return p;
}

void pending_free(struct pending *p)
{
	if (!p)
		return;
	free(p->v);
	free(p);
}

/* Where the hash stands, or the free slot where it would. */
static size_t place_of(const struct pending *p, struct sip_hash h)
{
	size_t i = h.h[0] & (p->slots - 1);
	while (p->v[i].id && (p->v[i].h.h[0] != h.h[0] || p->v[i].h.h[1] != h.h[1]))
		i = (i + 1) & (p->slots - 1);
	return i;
}

uint64_t pending_find(const struct pending *p, struct sip_hash h)
{
	return p->v[place_of(p, h)].id;
}

static void resize(struct pending *p, size_t slots)
{
	struct pending more = {.v = mem_array(slots, sizeof(*p->v)), .slots = slots, .n = p->n};
	for (size_t i = 0; i < p->slots; i++)
		if (p->v[i].id)
			more.v[place_of(&more, p->v[i].h)] = p->v[i];
	free(p->v);
	*p = more;
}

void pending_put(struct pending *p, struct sip_hash h, uint64_t id)
{
	if ((p->n + 1) * 4 > p->slots * 3)
		resize(p, p->slots * 2);
	size_t i = place_of(p, h);
	if (!p->v[i].id)
		p->n++;
	p->v[i] = (struct slot){h, id};
}

void pending_drop(struct pending *p, struct sip_hash h)
{
	size_t mask = p->slots - 1, hole = place_of(p, h);
	if (!p->v[hole].id)
		return;
	p->n--;
	for (size_t i = (hole + 1) & mask; p->v[i].id; i = (i + 1) & mask) {
		size_t home = p->v[i].h.h[0] & mask;
		/* It may move into the hole unless its home lies behind it. */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		p->v[hole] = p->v[i];
		hole = i;
	}
	p->v[hole].id = 0;
	if (p->slots > SLOTS_LEAST && p->n * 8 < p->slots)
		resize(p, p->slots / 2);
}

size_t pending_count(const struct pending *p)
{
	return p->n;
}
