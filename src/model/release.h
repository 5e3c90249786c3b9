/* Releases of a project, and which one the store believes is live. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_release_state {
	MODEL_RELEASE_BUILDING,
	MODEL_RELEASE_SEALED,
	MODEL_RELEASE_FAILED,
	MODEL_RELEASE_PRUNED, /* the tree is gone, the row stays for history */
	MODEL_RELEASE_STATE_COUNT
};
const char *model_release_state_name(enum model_release_state s); /* "building", … */

struct model_release {
	int64_t project_id, number;
	enum model_release_state state;
	struct str commit, ref, subject, author; /* may be empty */
	int64_t env_version; /* version of the environment that it was built with */
	struct str plan;     /* JSON; "{}" until set */
	bool migrated;	     /* its release command has run */
	int64_t size_bytes, created_ms, sealed_ms;
	int64_t task_id, attempt; /* what made it */
	bool live, previous;	  /* when read */
};
struct model_releases {
	struct model_release *v;
	size_t n;
	bool more;
};

/* The next number, in state building. Uses project_id, commit, ref, subject, author, env_version,
 * task_id, attempt, created_ms. Asked again for the same (task, attempt) it gives the same number.
 */
int model_release_begin(struct store_db *db, const struct model_release *r, int64_t *ret_number,
    struct err *e) WARN_UNUSED;
/* Each 1/0/-1; 0 when there is no such release in a state that allows it (building; migrated: any
 * but pruned). */
int model_release_set_plan(struct store_db *db, int64_t project_id, int64_t number, struct str plan,
    struct err *e) WARN_UNUSED;
int model_release_seal(struct store_db *db, int64_t project_id, int64_t number, int64_t size_bytes,
    int64_t now_ms, struct err *e) WARN_UNUSED;
int model_release_fail(struct store_db *db, int64_t project_id, int64_t number,
    struct err *e) WARN_UNUSED; /* building or sealed, not live */
int model_release_set_migrated(
    struct store_db *db, int64_t project_id, int64_t number, struct err *e) WARN_UNUSED;
int model_release_prune(struct store_db *db, int64_t project_id, int64_t number,
    struct err *e) WARN_UNUSED; /* not live, not previous */

int model_release_get(struct store_db *db, struct arena *a, int64_t project_id, int64_t number,
    struct model_viewer viewer, struct model_release *ret, struct err *e) WARN_UNUSED;
/* Newest first; page.after is a release number. */
int model_release_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_releases *ret,
    struct err *e) WARN_UNUSED;
/* The newest sealed release with a number below `below`: what a rollback without a number goes to.
 * 1/0/-1. */
int model_release_before(struct store_db *db, struct arena *a, int64_t project_id, int64_t below,
    struct model_release *ret, struct err *e) WARN_UNUSED;
/* What may be pruned: sealed releases beyond the `keep` newest, and failed ones; never live or
 * previous. */
int model_release_prunable(struct store_db *db, struct arena *a, int64_t project_id, uint32_t keep,
    struct model_releases *ret, struct err *e) WARN_UNUSED;

/* 1: something is live; 0: nothing ever was (both numbers 0). */
int model_live_get(struct store_db *db, int64_t project_id, int64_t *ret_release,
    int64_t *ret_previous, struct err *e) WARN_UNUSED;
/* The switch has happened: the live one becomes the previous one. The same number again changes
 * nothing. ERR_NOT_FOUND unless the release is sealed. */
int model_live_set(struct store_db *db, int64_t project_id, int64_t number, int64_t now_ms,
    struct err *e) WARN_UNUSED;
/* The truth turned out to be otherwise (recovery): sets both; 0 is none. */
int model_live_correct(struct store_db *db, int64_t project_id, int64_t number, int64_t previous,
    int64_t now_ms, struct err *e) WARN_UNUSED;
