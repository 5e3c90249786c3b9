#include "store/lately.h"

#include "base/mem.h"
#include "store/record.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	struct journal_record r; /* its strings are not where it says; sequence 0: free */
	char text[LATELY_TEXT_BYTES];
};

struct lately {
	pthread_mutex_t lock;
	struct slot
	    *slots; /* a record's place follows from its sequence; zeroed pages until used */
};

struct lately *lately_new(void)
{
	struct lately *l = mem_alloc(sizeof(*l));
	l->slots = mem_array(LATELY_RECORDS, sizeof(*l->slots));
	pthread_mutex_init(&l->lock, NULL);
	return l;
}

void lately_free(struct lately *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->lock);
	free(l->slots);
	free(l);
}

static void put(struct lately *l, uint32_t segment, const struct journal_entry *en)
{
	struct slot *s = &l->slots[en->sequence % LATELY_RECORDS];
	if (en->key.n + en->meta.n > LATELY_TEXT_BYTES)
		return;
	s->r = (struct journal_record){.sequence = en->sequence,
	    .id = en->id,
	    .place = {segment, en->at_bytes},
	    .next = {segment, record_round(en->at_bytes + en->length, 8)},
	    .key = en->key,
	    .meta = en->meta,
	    .length_bytes = en->length,
	    .hash = en->hash};
	memcpy(s->text, en->key.p, en->key.n);
	if (en->meta.n)
		memcpy(s->text + en->key.n, en->meta.p, en->meta.n);
}

void lately_put(struct lately *l, uint32_t segment, const struct journal_entry *first,
    const struct journal_entry *end)
{
	pthread_mutex_lock(&l->lock);
	for (const struct journal_entry *en = first; en != end; en = en->next)
		if (en->verdict != JOURNAL_REPEAT)
			put(l, segment, en);
	pthread_mutex_unlock(&l->lock);
}

bool lately_get(
    struct lately *l, uint64_t sequence, char text[LATELY_TEXT_BYTES], struct journal_record *ret)
{
	const struct slot *s = &l->slots[sequence % LATELY_RECORDS];
	pthread_mutex_lock(&l->lock);
	bool here = sequence > 0 && s->r.sequence == sequence;
	if (here) {
		*ret = s->r;
		memcpy(text, s->text, s->r.key.n + s->r.meta.n);
	}
	pthread_mutex_unlock(&l->lock);
	if (!here)
		return false;
	ret->key.p = text;
	ret->meta.p = text + ret->key.n;
	return true;
}
