/* Hooks: who may send events for a project, and how they are verified. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

struct model_hook {
	int64_t id, project_id;
	struct str name, project;  /* project: its name */
	struct str sender;	   /* "github", "gitlab", … : hooks/ knows them */
	struct str secret;	   /* sealed; only from model_hook_find */
	struct str branch;	   /* empty: the project's own */
	struct str project_branch; /* that one; empty: the remote's HEAD */
	struct str settings;	   /* JSON: hooks/policy.h */
	struct str actions;	   /* JSON: hooks/action.h; empty: deploy */
	struct str old_secret;	   /* sealed, likewise; empty: none */
	int64_t old_until_ms;	   /* how long that one is good */
	int64_t created_ms;
	bool paused;
};
struct model_hooks {
	struct model_hook *v;
	size_t n;
	bool more;
};

/* Uses project_id, name, sender, secret, branch, settings (NULL: "{}"), actions, created_ms.
 * ERR_CONFLICT when the name is taken.
 */
int model_hook_add(
    struct store_db *db, const struct model_hook *h, int64_t *ret_id, struct err *e) WARN_UNUSED;
int model_hook_get(struct store_db *db, struct arena *a, struct str name,
    struct model_viewer viewer, struct model_hook *ret,
    struct err *e) WARN_UNUSED; /* 1/0/-1, without the secret */
/* For verifying a delivery: anybody's, with the sealed secret. 1/0/-1. */
int model_hook_find(struct store_db *db, struct arena *a, struct str name, struct model_hook *ret,
    struct err *e) WARN_UNUSED;
/* project_id 0: of every project that the viewer sees. */
int model_hook_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_viewer viewer, struct model_hooks *ret,
    struct err *e) WARN_UNUSED;
/* A NULL text stays. 1/0/-1. */
int model_hook_update(struct store_db *db, int64_t id, struct str branch, struct str settings,
    struct str actions, struct err *e) WARN_UNUSED;
/* The secret that was there stays good until then; 0: not at all. 1/0/-1. */
int model_hook_rotate(struct store_db *db, int64_t id, struct str sealed_secret,
    int64_t old_until_ms, struct err *e) WARN_UNUSED;
int model_hook_set_paused(
    struct store_db *db, int64_t id, bool paused, struct err *e) WARN_UNUSED; /* 1/0/-1 */
int model_hook_remove(
    struct store_db *db, int64_t id, struct err *e) WARN_UNUSED; /* with its events; 1/0/-1 */
/* Of every hook, or that project's (0: all), no more than id, project_id and name, in ascending order
 * of id (`page.after`): however large their rows are, a page of 500 takes 200 KB. */
int model_hook_names(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_page page, struct model_hooks *ret, struct err *e) WARN_UNUSED;
/* Delivery keys that were made of bodies ("body-…") and arrived since, the first time or again: newest first, at most
 * 16,384, out of the newest 65,536 events and what model_hook_key_seen noted. */
struct model_hook_key {
	struct str key;
	int64_t at_ms;
};
struct model_hook_keys {
	struct model_hook_key *v;
	size_t n;
};
int model_hook_keys_since(struct store_db *db, struct arena *a, int64_t since_ms,
    struct model_hook_keys *ret, struct err *e) WARN_UNUSED;
/* A key made of a body came again then; what was seen last at `before_ms` or earlier is forgotten. */
int model_hook_key_seen(struct store_db *db, struct str key, int64_t seen_ms, int64_t before_ms,
    struct err *e) WARN_UNUSED;
