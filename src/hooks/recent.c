#include "hooks/recent.h"

#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "model/hook.h"

#include <stdlib.h>
#include <string.h>

enum { SETS = 4096, WAYS = 4, PREFIX = 5, HEX = 2 * HASH_SHA256_BYTES };

struct entry {
	uint8_t hash[HASH_SHA256_BYTES];
	int64_t first_ms, seen_ms; /* seen 0: free */
};

struct recent {
	struct entry (*sets)[WAYS]; /* made at the first use */
};

struct recent *recent_new(void)
{
	return mem_alloc(sizeof(struct recent));
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	free(r->sets);
	free(r);
}

/* The entry of that hash, or the one to be given up for it. */
static struct entry *entry_find(struct recent *r, const uint8_t hash[HASH_SHA256_BYTES])
{
	if (!r->sets)
		r->sets = mem_array(SETS, sizeof(*r->sets));
	struct entry *set = r->sets[(hash[0] | hash[1] << 8) % SETS], *oldest = set;
	for (size_t i = 0; i < WAYS; i++) {
		if (set[i].seen_ms && memcmp(set[i].hash, hash, HASH_SHA256_BYTES) == 0)
			return &set[i];
		if (set[i].seen_ms < oldest->seen_ms)
			oldest = &set[i];
	}
	return oldest;
}

static void entry_see(
    struct entry *n, const uint8_t hash[HASH_SHA256_BYTES], int64_t first_ms, int64_t now_ms)
{
	bool known = n->seen_ms && memcmp(n->hash, hash, HASH_SHA256_BYTES) == 0 &&
		     now_ms - n->seen_ms < RECENT_MS;
	memcpy(n->hash, hash, HASH_SHA256_BYTES);
	if (!known)
		n->first_ms = first_ms;
	n->seen_ms = now_ms;
}

void recent_hash(
    struct str sender, struct str path, struct str body, uint8_t ret[HASH_SHA256_BYTES])
{
	const struct str parts[] = {sender, {"", 1}, path, {"", 1}, body};
	struct hash *h = hash_new();
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		hash_update(h, parts[i]);
	hash_finish(h, ret);
	hash_free(h);
}

struct str recent_key(
    struct recent *r, const uint8_t hash[HASH_SHA256_BYTES], int64_t now_ms, struct arena *a)
{
	char hex[HEX + 1];
	struct entry *n = entry_find(r, hash);
	entry_see(n, hash, now_ms, now_ms);
	hex_encode(hash, HASH_SHA256_BYTES, hex);
	return str_c(arena_printf(a, "body-%s-%lld", hex, (long long)n->first_ms));
}

void recent_remember(struct recent *r, struct str key, int64_t seen_ms)
{
	uint8_t hash[HASH_SHA256_BYTES];
	int64_t first_ms;
	if (!str_starts(key, STR("body-")) || key.n < PREFIX + HEX + 2 || seen_ms <= 0 ||
	    !hex_decode(str_slice(key, PREFIX, HEX), hash, sizeof(hash)) ||
	    !num_i64(str_from(key, PREFIX + HEX + 1), 1, INT64_MAX, &first_ms))
		return;
	struct entry *n = entry_find(r, hash);
	if (n->seen_ms <= seen_ms)
		entry_see(n, hash, first_ms, seen_ms);
}

int recent_load(struct recent *r, struct store *store, struct err *e)
{
	struct arena a CLEANUP_ARENA;
	struct model_hook_keys keys;
	struct store_db *db = store_read_begin(store, clock_mono_ms() + 10000, e);
	if (!db)
		return -1;
	arena_init(&a, 16 << 20);
	int rc = model_hook_keys_since(db, &a, clock_wall_ms() - RECENT_MS, &keys, e);
	for (size_t i = 0; rc == 0 && i < keys.n; i++)
		recent_remember(r, keys.v[i].key, keys.v[i].at_ms);
	store_read_end(store, db);
	return rc;
}

struct keeping {
	int64_t seen_ms;
	size_t n;
	char key[PREFIX + HEX + 24];
};

static int keep_unit(void *ctx, struct store_db *db, struct err *e)
{
	const struct keeping *k = ctx;
	return model_hook_key_seen(
	    db, (struct str){k->key, k->n}, k->seen_ms, k->seen_ms - RECENT_MS, e);
}

static void kept(void *ctx, int rc, const struct err *e)
{
	if (rc != 0)
		log_event(LOG_WARN, "hooks", "repeat_not_noted", F_ERR(e));
	free(ctx);
}

void recent_keep(struct store *store, struct str key, int64_t seen_ms)
{
	struct err e;
	if (!str_starts(key, STR("body-")) || key.n > sizeof(((struct keeping *)0)->key))
		return;
	struct keeping *k = mem_alloc(sizeof(*k));
	k->seen_ms = seen_ms;
	k->n = key.n;
	memcpy(k->key, key.p, key.n);
	if (store_submit(store, keep_unit, kept, k, &e) != 0)
		kept(k, -1, &e);
}
