/* How a delivery is written into the journal's records: its key, and its meta beside the body.
 * Little-endian:
 *
 *   key:   0  8  hook, then the delivery's own key
 *
 *   meta:  0  1  version: 1
 *          1  1  flags: 1 triggers, 2 the hook's own actions follow, 4 of a pull request, 8 of a
 * stranger's 2  8  project 10  8  received, ms since 1970 18     kind, ref, before, after: each 2
 * bytes of length, then that many bytes
 *
 * Nothing follows. */
#pragma once

#include "queue/queue.h"

#include "base/arena.h"
#include "model/event.h"

#define DELIVERY_KEY_HEAD 8u
#define DELIVERY_KEY_MAX 256u /* bytes of a delivery's own key */

struct delivery_packed {
	struct str key, meta;
};
/* The event that it becomes, but for its id, outcome, task and body. Borrows the strings. */
struct model_event delivery_event(const struct queue_delivery *d);
/* The record's key of that delivery, in `to`. */
struct str delivery_key(int64_t hook_id, struct str key, char to[DELIVERY_KEY_HEAD + DELIVERY_KEY_MAX]);
/* In the arena. -1 (ERR_TOO_LARGE) when a part does not fit. */
int delivery_pack(const struct queue_delivery *d, struct arena *a, struct delivery_packed *ret,
    struct err *e) WARN_UNUSED;
/* All but the body; points into key and meta. -1 (ERR_INVALID): it is none. */
int delivery_unpack(
    struct str key, struct str meta, struct queue_delivery *ret, struct err *e) WARN_UNUSED;
