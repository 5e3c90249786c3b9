/* The keys of entries that are durable, or about to be, and not drained: by their hash under a
 * secret key. */
#pragma once

#include "base/sip.h"

struct pending;
struct pending *pending_new(void);
void pending_free(struct pending *p); /* NULL is fine */
/* The id under that hash, or 0. */
uint64_t pending_find(const struct pending *p, struct sip_hash h);
void pending_put(struct pending *p, struct sip_hash h, uint64_t id); /* replaces */
void pending_drop(struct pending *p, struct sip_hash h); /* nothing when it is not there */
size_t pending_count(const struct pending *p);
