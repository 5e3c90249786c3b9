/* Catching up with GitHub: after each start of the daemon, and when somebody asks, the deliveries
 * that GitHub could not make are listed and asked for again, each at most once for each gap. They
 * then arrive as always, under the ids that they had. One request of a hook at a time; its allowance
 * (X-RateLimit-*, Retry-After) is kept to.
 *
 * A delivery that was refused with a 4xx is not asked for again unless somebody says so. GitHub
 * keeps deliveries for three days. What is found, asked for and in the way is in the store
 * (model/catchup.h), in the log and, when there was anything, in the audit trail. */
#pragma once

#include "crypto/seal.h"
#include "loop/loop.h"
#include "outbound/outbound.h"
#include "store/store.h"

#define CATCHUP_KEPT_MS (3LL * 86400000) /* GitHub's own limit */
#define CATCHUP_MARGIN_MS 300000	 /* how far before its end a gap is looked at again */
#define CATCHUP_PAUSE_MS 5000		 /* between two starts */
#define CATCHUP_FOUND_MAX 1000u		 /* of one gap, the newest */
#define CATCHUP_PAGES_MAX 100u
#define CATCHUP_TRIES_MAX 10
#define CATCHUP_AT_ONCE 4u /* hooks */
#define CATCHUP_QUICK 10u  /* requests for a delivery before there is a second between them */

struct catchup;
struct catchup_options { /* borrowed */
	struct loop *loop;
	struct store *store;
	struct outbound *outbound;
	const struct seal_key *seal;
	const char *public_url; /* hooks are at /hooks/NAME of it */
};
struct catchup *catchup_new(const struct catchup_options *o);
/* A life of the daemon has begun, and can be reached: a new gap for each hook. Loop thread. */
void catchup_begin(struct catchup *c);
/* After store_close; outbound_free must follow before the loop runs again. What was under way is
 * found again by the next life. NULL is fine. */
void catchup_free(struct catchup *c);
/* Something may be due. From any thread; NULL is fine. */
void catchup_kick(struct catchup *c);
