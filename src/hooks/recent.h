/* Delivery keys of senders who send no id: SHA-256 of sender, path and body. The same within ten
 * minutes of the last time is the same delivery, however long that goes on; later it is a new one.
 *
 * A key is "body-" + 64 hexadecimal digits + "-" + milliseconds of its first time. At most 16,384
 * are remembered; of those whose hashes begin alike the longest unseen goes first. */
#pragma once

#include "base/arena.h"
#include "crypto/hash.h"
#include "store/store.h"

#include <stdint.h>

#define RECENT_MS 600000

struct recent; /* for one thread at a time */
struct recent *recent_new(void);
void recent_free(struct recent *r);
/* On any thread: 12 to 60 ms for a body of 25 MB. */
void recent_hash(
    struct str sender, struct str path, struct str body, uint8_t ret[HASH_SHA256_BYTES]);
/* STR_NONE when the arena is full. */
struct str recent_key(
    struct recent *r, const uint8_t hash[HASH_SHA256_BYTES], int64_t now_ms, struct arena *a);
/* Keys that were given in an earlier life are still good: those that the store knows. Blocks. */
int recent_load(struct recent *r, struct store *store, struct err *e) WARN_UNUSED;
/* A repeat: nothing of it is stored but this, so that the next life knows when it came. Does nothing for a key that was not made
 * of a body. From any thread; never blocks; not durable on return. */
void recent_keep(struct store *store, struct str key, int64_t seen_ms);
/* A key that was given in an earlier life, last seen then. Anything else is passed over. */
void recent_remember(struct recent *r, struct str key, int64_t seen_ms);
