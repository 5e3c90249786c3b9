/* What the helper did as root for the platform, for the audit trail: gathered, and written about a second later as records
 * "helper.performed" of the platform, each with as many operations as are in its detail: "release-prepare shop/3; start shop/3 fetch.1". A
 * server that starts a thousand projects so writes a dozen records and not a thousand. The helper's own lines, in the journal of a server,
 * are one each and there at once. On the loop's thread. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"
#include "store/store.h"

#define TRAIL_RECORD_BYTES 4000u

struct trail;
/* Borrows both, which outlive it. */
struct trail *trail_open(struct store *s, struct loop *l);
/* One operation, at most TRAIL_RECORD_BYTES; control characters are escaped. */
void trail_add(struct trail *t, struct str operation);
/* Submits what was gathered: the store still has to be there. NULL is fine. */
void trail_close(struct trail *t);
