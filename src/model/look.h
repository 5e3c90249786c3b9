/* Looking at branches without having been told: which project's is due, and whether the daemon was
 * away, when a sender may have told in vain. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

/* How often a project's branch is looked at; 0: never by itself. For the first
 * time at now_ms. 1/0 no such project/-1. */
int model_look_every(struct store_db *db, int64_t project_id, int64_t every_ms, int64_t now_ms,
    struct err *e) WARN_UNUSED;
/* Makes due now what a hook may have told in vain: each project that comes from git, was fetched
 * before, and has a hook that is not paused and does nothing but deploy. */
int model_look_missed(struct store_db *db, int64_t now_ms, struct err *e) WARN_UNUSED;

struct model_look {
	int64_t project_id;
	struct str own_ref;	/* the project's branch; may be empty */
	const struct str *refs; /* its hooks', at most 64; own_ref when there are none */
	size_t ref_count;
	bool worthwhile; /* not stopped, from git, and no deploy of it waits or runs */
};
struct model_looks {
	struct model_look *v;
	size_t n;
};
/* What is due, the longest first, at most `limit`; each is due again after its time, or no more.
 * While a deploy of it runs it is due again after MODEL_LOOK_AGAIN_MS. */
#define MODEL_LOOK_AGAIN_MS 30000
int model_look_take(struct store_db *db, struct arena *a, int64_t now_ms, uint32_t limit,
    struct model_looks *ret, struct err *e) WARN_UNUSED;
/* A clock that was set back makes nobody wait for its old time: what is due later than it can be from
 * now on is due. Walks all projects that are looked at. */
int model_look_set_back(struct store_db *db, int64_t now_ms, struct err *e) WARN_UNUSED;
/* When the first is due: 1/0/-1. */
int model_look_next(struct store_db *db, int64_t *ret_due_ms, struct err *e) WARN_UNUSED;
/* Takes away the project's ended looks that found nothing new: `input` is theirs alone. */
int model_look_forget(
    struct store_db *db, int64_t project_id, struct str input, struct err *e) WARN_UNUSED;

/* When the last life ended: 1 with the time, 0 in *ret_ms when it ended without saying so; 0: there
 * was none. */
int model_look_ended_get(struct store_db *db, int64_t *ret_ms, struct err *e) WARN_UNUSED;
/* ms 0: a life begins. */
int model_look_ended_set(struct store_db *db, int64_t ms, struct err *e) WARN_UNUSED;
