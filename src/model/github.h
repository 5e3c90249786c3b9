/* GitHub's published list of addresses, as it was last seen: one row, or none. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

struct model_github {
	struct str etag, ranges; /* ranges: with blanks between; empty: never seen */
	int64_t fetched_ms;	 /* when GitHub last said so; 0: never */
	int64_t due_ms;		 /* when it is asked again */
	struct str error;	 /* of the last time; empty: it went well */
};
/* 1/0 it was never asked/-1. */
int model_github_get(
    struct store_db *db, struct arena *a, struct model_github *ret, struct err *e) WARN_UNUSED;
int model_github_set(struct store_db *db, const struct model_github *g, struct err *e) WARN_UNUSED;
/* Whether a hook takes from GitHub's addresses alone: 1/0/-1. */
int model_github_wanted(struct store_db *db, struct err *e) WARN_UNUSED;
