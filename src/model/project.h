/* Projects, with their ports and their scale. Text in a returned struct lives in the arena.
 * A removed project leaves a row without secrets or settings so that its tasks and audit lines keep
 * a name; every function but model_project_purge treats it as absent. */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_source { MODEL_SOURCE_GIT, MODEL_SOURCE_PATH, MODEL_SOURCE_ARCHIVE, MODEL_SOURCE_COUNT };
const char *model_source_name(enum model_source s); /* "git", "path", "archive" */
int model_source_parse(struct str s, enum model_source *ret, struct err *e) WARN_UNUSED;

struct model_project {
	int64_t id;
	struct str name, kind;
	enum model_source source;
	struct str source_url, source_ref; /* source_ref: the branch; may be empty */
	struct str root;		   /* may be empty */
	int64_t user_no;		   /* of the helper's registry; 0: not made yet */
	bool desired_running;
	struct str limits, settings; /* JSON objects; never NULL */
	struct str deploy_key;	     /* public half, one line; may be empty */
	struct str known_hosts;	     /* may be empty */
	bool has_https_token;
	int64_t first_port;	/* of ten; 0 when all blocks were taken */
	int64_t live, previous; /* release numbers as the store believes; 0: none */
	struct str sites; /* JSON of kinds/site_filter.h; empty: as the manifest says */
	int64_t poll_ms; /* how often its branch is looked at; 0: never by itself */
	int64_t version;	/* of the row, for ETag: +1 by each update */
	int64_t created_ms;
};
struct model_projects {
	struct model_project *v;
	size_t n;
	bool more;
};

/* Adds a project and gives it ports. Uses name, kind, source, source_url, source_ref, root,
 * user_no, desired_running, limits, settings (NULL: "{}"), sites, created_ms. Its number is one that no
 * project had before, above p->id. ERR_CONFLICT when the name is taken. */
int model_project_add(
    struct store_db *db, const struct model_project *p, int64_t *ret_id, struct err *e) WARN_UNUSED;
/* 1/0/-1. */
int model_project_get(struct store_db *db, struct arena *a, struct str name,
    struct model_viewer viewer, struct model_project *ret, struct err *e) WARN_UNUSED;
int model_project_get_id(struct store_db *db, struct arena *a, int64_t id,
    struct model_viewer viewer, struct model_project *ret, struct err *e) WARN_UNUSED;
/* By name; `after` is the last name of the page before, empty for the first. */
int model_project_list(struct store_db *db, struct arena *a, struct str after, uint32_t limit,
    struct model_viewer viewer, struct model_projects *ret, struct err *e) WARN_UNUSED;
int model_project_count(struct store_db *db, int64_t *ret, struct err *e) WARN_UNUSED;

/* What to change: a NULL text stays as it is. */
struct model_project_change {
	struct str kind, source_url, source_ref, root, limits, settings, known_hosts, sites;
	bool set_source;
	enum model_source source;
};
/* 1: changed; 0: absent, or if_version is not 0 and not the row's (tell them apart by getting it).
 */
int model_project_update(struct store_db *db, int64_t id, int64_t if_version,
    const struct model_project_change *c, struct err *e) WARN_UNUSED;
int model_project_set_desired(
    struct store_db *db, int64_t id, bool running, struct err *e) WARN_UNUSED;
int model_project_set_user_no(
    struct store_db *db, int64_t id, int64_t user_no, struct err *e) WARN_UNUSED;

/* Sealed values, apart from the rest so that no list carries them. */
enum model_project_secret {
	MODEL_PROJECT_HTTPS_TOKEN,
	MODEL_PROJECT_DEPLOY_KEY,
	MODEL_PROJECT_SECRET_COUNT
};
int model_project_secret_get(struct store_db *db, struct arena *a, int64_t id,
    enum model_project_secret which, struct str *ret_sealed,
    struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* p NULL takes it away. `public_half` only for the deploy key, else STR_NONE. */
int model_project_secret_set(struct store_db *db, int64_t id, enum model_project_secret which,
    struct str sealed, struct str public_half, struct err *e) WARN_UNUSED;

/* Takes away all that belongs to it (environment, domains, hooks, events, grants, scale, releases,
 * ports) and leaves the row without contents. Its tasks stay. 1/0/-1. ERR_UNAVAILABLE when it has MODEL_EVENTS_AT_ONCE events
 * or more: model_event_forget goes before. */
int model_project_remove(
    struct store_db *db, int64_t id, int64_t now_ms, struct err *e) WARN_UNUSED;
/* Deletes the left rows, with their tasks, of projects removed before. */
int model_project_purge(struct store_db *db, int64_t removed_before_ms, struct err *e) WARN_UNUSED;

/* How many instances of each process; a process without a row has one. */
struct model_scale {
	struct str process;
	int64_t count;
};
struct model_scales {
	struct model_scale *v;
	size_t n;
};
int model_scale_set(struct store_db *db, int64_t project_id, struct str process, int64_t count,
    struct err *e) WARN_UNUSED;
int model_scale_list(struct store_db *db, struct arena *a, int64_t project_id,
    struct model_viewer viewer, struct model_scales *ret, struct err *e) WARN_UNUSED;
