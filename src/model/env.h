/* The environment of a project. Each change makes a new version of the whole; history stays, so
 * that a release can name the version it was built with. Values are sealed by the caller, bound to
 * "env/PROJECT-ID/KEY". */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

struct model_env {
	struct str key;
	int64_t version; /* that set it */
	struct str sealed;
	bool secret; /* shown to nobody again */
	bool build;  /* also given to build and check */
	int64_t set_ms;
};
struct model_envs {
	struct model_env *v;
	size_t n;
	int64_t version; /* of the whole: the newest not above what was asked for; 0: never set */
};
struct model_env_change {
	struct str key;
	struct str sealed; /* p NULL: unset */
	bool secret, build;
};
/* All changes as one version. *ret_version: the new one, or the present when there is nothing to
 * change. ERR_TOO_LARGE beyond LIMIT_ENV_COUNT variables. */
int model_env_set(struct store_db *db, int64_t project_id, const struct model_env_change *c,
    size_t count, int64_t now_ms, int64_t *ret_version, struct err *e) WARN_UNUSED;
/* As it was at `at_version` (0: now), by key. Empty when the viewer may not see the project. */
int model_env_list(struct store_db *db, struct arena *a, int64_t project_id, int64_t at_version,
    struct model_viewer viewer, struct model_envs *ret, struct err *e) WARN_UNUSED;
int model_env_get(struct store_db *db, struct arena *a, int64_t project_id, struct str key,
    struct model_viewer viewer, struct model_env *ret, struct err *e) WARN_UNUSED; /* 1/0/-1, now */
int model_env_version(
    struct store_db *db, int64_t project_id, int64_t *ret, struct err *e) WARN_UNUSED;
/* Deletes history that neither the present nor an unpruned release needs. */
int model_env_prune(struct store_db *db, int64_t project_id, struct err *e) WARN_UNUSED;
