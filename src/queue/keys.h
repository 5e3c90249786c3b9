/* Which keys of deliveries the store may have, so that it is not asked for each that is new: a filter
 * (Bloom, 1970) that never says no of one that it has.
 *
 * Made in the first busy moment. From then on whatever is asked for is noted, since it is written
 * next; once all that was written before has reached the store, what stands there is noted too, a
 * slice at a time. Only then is no an answer. Keys that retention takes out stay; past some millions
 * it says yes more and more often, which costs time and nothing else. By one thread at a time: the one that writes the journal. */
#pragma once

#include "store/store.h"

#define KEYS_BYTES (2u << 20)
#define KEYS_BUSY 4u /* entries in one group */
#define KEYS_SLICE 2048u

struct keys;

struct keys *keys_new(struct store *s);
void keys_free(struct keys *k); /* NULL is fine */
/* Goes on with that, before a group of so many is asked for: `written` is the sequence of the last
 * entry that was written in this life (0: none), `drained` of the last that has reached the store.
 * Reads the store at times. */
void keys_go_on(struct keys *k, size_t group, uint64_t written, uint64_t drained);
/* Notes the key of an entry (queue/delivery.h); false when the store surely has none such. */
bool keys_may_have(struct keys *k, struct str key);
/* Whether keys_go_on reads the store, or is about to. */
bool keys_reading(const struct keys *k);
/* Whether all that the store has is noted. */
bool keys_ready(const struct keys *k);
