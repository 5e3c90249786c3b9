#include "notify/lanes.h"

#include "base/mem.h"
#include "base/rand.h"
#include "base/sip.h"

#include <assert.h>
#include <stdlib.h>

#define IDLE_KEPT 256u /* channels whose places are remembered while nothing of theirs is under way */

struct place {
	int64_t delivery_id;
	bool in_series;
	struct sip_hash series;
};

struct lane {
	struct lane *next;
	int64_t channel_id;
	unsigned busy, places;
	struct place at[LANES_OF_CHANNEL];
};

struct lanes {
	struct sip_key key;
	struct lane *first;
	unsigned busy, busy_unproven, idle;
};

struct lanes *lanes_new(void)
{
	struct lanes *l = mem_alloc(sizeof(*l));
	*l = (struct lanes){0};
	rand_bytes(&l->key, sizeof(l->key));
	return l;
}

void lanes_free(struct lanes *l)
{
	while (l && l->first) {
		struct lane *one = l->first;
		l->first = one->next;
		free(one);
	}
	free(l);
}

struct lanes *lanes_copy(const struct lanes *l)
{
	struct lanes *ret = mem_alloc(sizeof(*ret));
	*ret = *l;
	struct lane **end = &ret->first;
	for (const struct lane *one = l->first; one; one = one->next) {
		struct lane *copy = mem_alloc(sizeof(*copy));
		*copy = *one;
		*end = copy;
		end = &copy->next;
	}
	*end = NULL;
	return ret;
}

static struct lane *find(const struct lanes *l, int64_t channel_id)
{
	struct lane *one = l->first;
	while (one && one->channel_id != channel_id)
		one = one->next;
	return one;
}

/* Its tries are counted among those of channels with one place. */
static unsigned unproven(const struct lane *one)
{
	return one->places == 1 ? one->busy : 0;
}

bool lanes_full(const struct lanes *l)
{
	return l->busy >= LANES_IN_ALL;
}

bool lanes_room(const struct lanes *l, int64_t channel_id)
{
	const struct lane *one = find(l, channel_id);
	unsigned places = one ? one->places : 1, busy = one ? one->busy : 0;
	return busy < places && !lanes_full(l) &&
	       (places > 1 || l->busy_unproven < LANES_UNPROVEN);
}

bool lanes_busy(const struct lanes *l, int64_t channel_id, int64_t delivery_id, struct str series)
{
	const struct lane *one = find(l, channel_id);
	struct sip_hash h = sip_128(&l->key, series);
	for (unsigned i = 0; one && i < one->busy; i++) {
		const struct place *p = &one->at[i];
		if (p->delivery_id == delivery_id ||
		    (series.n && p->in_series && p->series.h[0] == h.h[0] &&
			p->series.h[1] == h.h[1]))
			return true;
	}
	return false;
}

unsigned lanes_count(const struct lanes *l, int64_t channel_id)
{
	const struct lane *one = find(l, channel_id);
	return one ? one->busy : 0;
}

void lanes_enter(struct lanes *l, int64_t channel_id, int64_t delivery_id, struct str series)
{
	struct lane *one = find(l, channel_id);
	if (!one) {
		one = mem_alloc(sizeof(*one));
		*one = (struct lane){.next = l->first, .channel_id = channel_id, .places = 1};
		l->first = one;
	} else if (one->busy == 0) {
		l->idle--;
	}
	assert(one->busy < LANES_OF_CHANNEL);
	l->busy_unproven -= unproven(one);
	one->at[one->busy++] =
	    (struct place){delivery_id, series.n > 0, sip_128(&l->key, series)};
	l->busy_unproven += unproven(one);
	l->busy++;
}

static void drop(struct lanes *l, struct lane *one)
{
	struct lane **at = &l->first;
	while (*at != one)
		at = &(*at)->next;
	*at = one->next;
	free(one);
}

void lanes_leave(struct lanes *l, int64_t channel_id, int64_t delivery_id, enum lanes_end end)
{
	struct lane *one = find(l, channel_id);
	unsigned i = 0;
	while (one && i < one->busy && one->at[i].delivery_id != delivery_id)
		i++;
	assert(one && i < one->busy);
	l->busy_unproven -= unproven(one);
	one->at[i] = one->at[--one->busy];
	if (end == LANES_SILENT)
		one->places = 1;
	else if (end == LANES_ANSWERED && one->places < LANES_OF_CHANNEL)
		one->places++;
	l->busy_unproven += unproven(one);
	l->busy--;
	if (one->busy > 0)
		return;
	if (one->places > 1 && l->idle < IDLE_KEPT)
		l->idle++;
	else
		drop(l, one);
}
