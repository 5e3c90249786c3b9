/* Catching up: what a hook's sender could not deliver, asked of the sender itself. GitHub's hooks can
 * have it: a repository, its hook's number there, and a token that may look at its deliveries.
 *
 * A gap is a time for which deliveries may be missing: it begins with each start of the daemon and
 * whenever somebody asks. Each delivery is asked for again at most once in a gap. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

struct model_catchup {
	int64_t hook_id, project_id;
	struct str hook;       /* its name */
	bool paused;	       /* the hook is */
	struct str api;	       /* "https://api.github.com", no '/' behind */
	struct str repository; /* "anna/shop" */
	int64_t remote_id;     /* the hook's number there; 0, or gone: found by its address */
	struct str token;      /* sealed; only from model_catchup_due */
	int64_t gap;	       /* counts */
	int64_t due_ms;	       /* when it is asked (again); 0: nothing is to be done */
	int64_t tries;	       /* of this gap, that failed */
	int64_t since_ms;      /* deliveries before it are not looked at */
	bool refused;	       /* those that we refused ourselves are asked for, too */
	int64_t ended_ms;      /* of the last gap that was looked at, or given up; 0: none was */
	int64_t found, asked;  /* in this gap: failed deliveries; those that were asked for again */
	struct str error;      /* of the last try; empty: it went well */
};
struct model_catchups {
	struct model_catchup *v;
	size_t n;
};

/* Sets api, repository, remote_id, token (NULL: the one before stays), since_ms and due_ms of a
 * hook; a new gap begins. 1/0 no token is there yet/-1. */
int model_catchup_set(
    struct store_db *db, const struct model_catchup *c, struct err *e) WARN_UNUSED;
int model_catchup_remove(struct store_db *db, int64_t hook_id, struct err *e) WARN_UNUSED;
/* Without the token. 1/0/-1. */
int model_catchup_get(struct store_db *db, struct arena *a, int64_t hook_id,
    struct model_catchup *ret, struct err *e) WARN_UNUSED;
/* A new gap of one hook, due now; since_ms 0: from where the last one ended. 1/0/-1. */
int model_catchup_begin(struct store_db *db, int64_t hook_id, int64_t since_ms, bool refused,
    int64_t now_ms, struct err *e) WARN_UNUSED;
/* The same of every hook that is not paused; none sooner than `pause_ms` after its last. */
int model_catchup_begin_all(
    struct store_db *db, int64_t now_ms, int64_t pause_ms, struct err *e) WARN_UNUSED;
/* Those that are due, the longest first, at most `limit`, with the sealed token; and when the next
 * is (0: none waits). */
int model_catchup_due(struct store_db *db, struct arena *a, int64_t now_ms, uint32_t limit,
    struct model_catchups *ret, int64_t *ret_next_ms, struct err *e) WARN_UNUSED;

/* The delivery is to be asked for: 1, once for each gap; 0: it was, or it has arrived after all.
 */
int model_catchup_claim(struct store_db *db, const struct model_catchup *c, struct str guid,
    int64_t now_ms, struct err *e) WARN_UNUSED;
/* It was claimed and not asked for. */
int model_catchup_unclaim(
    struct store_db *db, const struct model_catchup *c, struct str guid, struct err *e) WARN_UNUSED;

/* How a try ended: remote_id, due_ms, tries, since_ms, ended_ms, found, asked and error are kept,
 * unless a new gap has begun meanwhile. Forgets claims before `old_ms`. 1/0/-1. */
int model_catchup_ended(
    struct store_db *db, const struct model_catchup *c, int64_t old_ms, struct err *e) WARN_UNUSED;
