#include "hooks/pace.h"

#include "base/mem.h"
#include "base/rand.h"
#include "base/sip.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 4096, WAYS = 4, KEY = 8 };

static const struct pace refusals = {.per_minute = 20, .burst = 50};

int64_t pace_take(const struct pace *p, int64_t *state, int64_t now_ms)
{
	if (p->per_minute <= 0)
		return 0;
	int64_t each_us = 60000000 / p->per_minute, now_us = now_ms * 1000;
	int64_t full_us = *state > now_us ? *state : now_us;
	int64_t over_us = full_us - now_us - (p->burst - 1) * each_us;
	if (over_us > 0)
		return (over_us + 999) / 1000;
	*state = full_us + each_us;
	return 0;
}

struct source {
	uint8_t key[KEY];
	uint8_t size; /* of the address: 4 or 16; 0: free */
	uint32_t unheard; /* refusals that were too many, since the last report */
	int64_t state;
};

struct sources {
	struct sip_key secret;	     /* so that nobody can choose who shares a set */
	struct source (*sets)[WAYS]; /* made at the first use */
	bool any;		     /* of them has unheard ones */
	uint32_t forgotten;	     /* unheard ones of those that were */
};

struct sources *sources_new(void)
{
	struct sources *s = mem_alloc(sizeof(*s));
	rand_bytes(&s->secret, sizeof(s->secret));
	return s;
}

void sources_free(struct sources *s)
{
	if (!s)
		return;
	free(s->sets);
	free(s);
}

static struct source *source_find(struct sources *s, const struct source *like)
{
	struct str key = {(const char *)like->key, KEY};
	struct sip_hash h = sip_128(&s->secret, key);
	if (!s->sets)
		s->sets = mem_array(SETS, sizeof(*s->sets));
	struct source *set = s->sets[h.h[0] % SETS], *oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].size == like->size && memcmp(set[i].key, like->key, KEY) == 0)
			return &set[i];
		if (set[i].state < oldest->state)
			oldest = &set[i];
	}
	s->forgotten += oldest->unheard;
	*oldest = *like;
	return oldest;
}

int64_t sources_refuse(struct sources *s, const struct cidr_address *from, int64_t now_ms)
{
	struct source like = {.size = from->size};
	memcpy(like.key, from->bytes, from->size < KEY ? from->size : KEY);
	struct source *of = source_find(s, &like);
	int64_t wait_ms = pace_take(&refusals, &of->state, now_ms);
	of->unheard += wait_ms > 0;
	s->any |= wait_ms > 0;
	return wait_ms;
}

static struct cidr range_of(const struct source *of)
{
	struct cidr r = {.base.size = of->size, .bits = of->size == 4 ? 32 : KEY * 8};
	memcpy(r.base.bytes, of->key, of->size < KEY ? of->size : KEY);
	return r;
}

void sources_report(struct sources *s,
    void (*tell)(void *ctx, const struct cidr *from, uint32_t requests), void *ctx)
{
	for (size_t i = 0; s->any && i < SETS * WAYS; i++) {
		struct source *of = &s->sets[i / WAYS][i % WAYS];
		struct cidr from = range_of(of);
		if (of->unheard > 0)
			tell(ctx, &from, of->unheard);
		of->unheard = 0;
	}
	if (s->forgotten > 0)
		tell(ctx, NULL, s->forgotten);
	s->forgotten = 0;
	s->any = false;
}
