#include "queue/keys.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/sip.h"
#include "model/event.h"
#include "queue/delivery.h"

#include <stdlib.h>

#define READ_MS 1000
#define PROBES 4u
#define BITS (8ull * KEYS_BYTES)

enum state { NOTHING, DRAINING, READING, READY };

struct keys {
	struct store *store;
	enum state state;
	uint8_t *bits; /* from DRAINING on */
	struct sip_key sip;
	uint64_t written; /* when the bits were made */
	int64_t read;	  /* id of the last event that was */
};

struct keys *keys_new(struct store *s)
{
	struct keys *k = mem_alloc(sizeof(*k));
	k->store = s;
	rand_bytes(&k->sip, sizeof(k->sip));
	return k;
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	free(k->bits);
	free(k);
}

bool keys_reading(const struct keys *k)
{
	return k->state == DRAINING || k->state == READING;
}

bool keys_ready(const struct keys *k)
{
	return k->state == READY;
}

/* Whether it was noted before. */
static bool note(struct keys *k, struct str key)
{
	struct sip_hash h = sip_128(&k->sip, key);
	bool all = true;
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t at = (h.h[i / 2] >> (32 * (i % 2))) % BITS;
		uint8_t bit = (uint8_t)(1u << (at % 8));
		all = all && (k->bits[at / 8] & bit);
		k->bits[at / 8] |= bit;
	}
	return all;
}

bool keys_may_have(struct keys *k, struct str key)
{
	return k->state == NOTHING || note(k, key) || k->state != READY;
}

static void on_key(void *ctx, int64_t event_id, int64_t hook_id, struct str key)
{
	struct keys *k = ctx;
	char packed[DELIVERY_KEY_HEAD + DELIVERY_KEY_MAX];
	k->read = event_id;
	if (key.n <= DELIVERY_KEY_MAX) /* a longer one is never asked for */
		(void)note(k, delivery_key(hook_id, key, packed));
}

/* Where it cannot be read it is tried again with the next group. */
static void read_slice(struct keys *k)
{
	struct err e;
	struct store_db *db = store_read_begin(k->store, clock_mono_ms() + READ_MS, &e);
	int rc = db ? model_event_keys(db, k->read, KEYS_SLICE, on_key, k, &e) : -1;
	store_read_end(k->store, db);
	if (rc >= 0 && rc < (int)KEYS_SLICE)
		k->state = READY;
}

void keys_go_on(struct keys *k, size_t group, uint64_t written, uint64_t drained)
{
	if (k->state == NOTHING && group >= KEYS_BUSY && written > 0) {
		k->bits = mem_array(KEYS_BYTES, 1);
		k->written = written;
		k->state = DRAINING;
	}
	if (k->state == DRAINING && drained >= k->written)
		k->state = READING;
	if (k->state == READING)
		read_slice(k);
}
