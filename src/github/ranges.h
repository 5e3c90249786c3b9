/* GitHub's list of addresses kept fresh: asked for once a day while a hook takes from there alone
 * (GET /meta with If-None-Match), the last good one kept in the store, and one built in. An answer
 * that is broken, cut, or cannot be true changes nothing. Nobody is asked while no hook wants it. */
#pragma once

#include "github/list.h"
#include "loop/loop.h"
#include "outbound/outbound.h"
#include "store/store.h"

#define RANGES_EVERY_MS                                                                            \
	(24LL * 3600000) /* or as long as the answer may be kept, if that is longer */
#define RANGES_EVERY_MAX_MS (7LL * 24 * 3600000)
#define RANGES_AGAIN_MS 3600000 /* after one that went wrong */
#define RANGES_ANSWER_MAX (1u << 20)

struct ranges;
struct ranges_options { /* borrowed */
	struct loop *loop;
	struct store *store;
	struct outbound *outbound;
	const char *api; /* "https://api.github.com" */
};
/* With what the store has. Blocks; at start. NULL on error. */
struct ranges *ranges_open(const struct ranges_options *o, struct err *e);
/* From now on it may be asked for. Loop thread. */
void ranges_begin(struct ranges *r);
/* After store_close; outbound_free must follow before the loop runs again. NULL is fine. */
void ranges_free(struct ranges *r);
/* A hook may want it now. From any thread; NULL is fine. */
void ranges_kick(struct ranges *r);
/* The list of now; loop thread. */
const struct github_list *ranges_list(const struct ranges *r);
