/* What the log tells of refused requests to hooks: a line each, until one address fails too often
 * (hooks/pace.h) or there are too many in all; those are counted into one line a minute, of each
 * address and of the rest. On the loop. */
#pragma once

#include "base/cidr.h"
#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct refusals;
struct refusals *refusals_new(struct loop *loop);
void refusals_free(struct refusals *r); /* says what is still to be said; NULL is fine */

/* One refused request to that hook. `from` NULL: nobody knows from where. */
void refusals_note(struct refusals *r, struct str hook, const struct cidr_address *from,
    uint64_t request, const struct err *e);
/* One more from that address that proved nothing. 0, or for how many ms it is to hear nothing else:
 * then it is one of those that a later line counts. */
int64_t refusals_too_many(struct refusals *r, const struct cidr_address *from);
