/* Events: what happened, stored once. (hook, delivery key) is unique until retention takes the row.
 */
#pragma once

#include "base/arena.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_outcome {
	MODEL_OUTCOME_WAITING,	  /* stored; its task waits or runs, or it has none yet */
	MODEL_OUTCOME_SERVED,	  /* deployed by task_id */
	MODEL_OUTCOME_UPTODATE,	  /* the head was live already */
	MODEL_OUTCOME_IGNORED,	  /* another branch, a ping, a paused hook */
	MODEL_OUTCOME_SUPERSEDED, /* a rollback, stop or destroy came after it */
	MODEL_OUTCOME_FAILED,
	MODEL_OUTCOME_COUNT
};
const char *model_outcome_name(enum model_outcome o); /* "waiting", … */

struct model_event {
	int64_t id, hook_id, project_id;
	struct str hook, project; /* names, when read */
	struct str delivery_key;
	int64_t received_ms;
	struct str kind, ref;	  /* "push", "ping"; ref: the branch without refs/heads/ */
	struct str before, after; /* commits; may be empty */
	struct str body;	  /* only from model_event_body */
	int64_t task_id;	  /* 0: none (stored as 0: its actions have them); of several actions the last task's, when read */
	enum model_outcome outcome;
	int64_t attempt; /* from 1 */
	int64_t body_segment, body_at; /* where the journal has the body; 0: the store has it */
};
struct model_events {
	struct model_event *v;
	size_t n;
	bool more;
};

/* Stores an event. The hook must be project_id's (0: whosever it is): in an older database
 * a number may have been that of a hook that is gone. Uses hook_id, delivery_key, received_ms, kind, ref, before, after, body, outcome
 * (waiting or ignored). *ret_id is its id, or that of the first one with this key. 1: it is new, or
 * the first one had failed, or was ignored while this one waits, and is a further attempt: the caller
 * gives it a task. 0: a repeat of anything else: answer with the id, nothing else to do. */
int model_event_add(
    struct store_db *db, const struct model_event *ev, int64_t *ret_id, struct err *e) WARN_UNUSED;
int model_event_set(struct store_db *db, int64_t id, enum model_outcome outcome, int64_t task_id,
    struct err *e) WARN_UNUSED;

int model_event_get(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct model_event *ret, struct err *e) WARN_UNUSED; /* 1/0/-1 */
/* 1/0/-1. At most the arena's room. */
int model_event_body(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct str *ret, struct err *e) WARN_UNUSED;
struct model_event_filter {
	int64_t project_id, hook_id, task_id; /* 0: any */
};
int model_event_list(struct store_db *db, struct arena *a, struct model_event_filter filter,
    struct model_page page, struct model_viewer viewer, struct model_events *ret,
    struct err *e) WARN_UNUSED;
/* What the store knows of a delivery: 1 with id, task_id and outcome (failed, ignored, or waiting for
 * any other), 0, -1. */
int model_event_known(struct store_db *db, int64_t hook_id, struct str key,
    struct model_event *ret, struct err *e) WARN_UNUSED;
/* The project whose the hook is: 1, 0: there is no such hook, -1. */
int model_event_owner(struct store_db *db, int64_t hook_id, int64_t *ret_project_id,
    struct err *e) WARN_UNUSED;
/* 1: that hook of that project has no actions of its own, and is for that branch (empty: the remote's HEAD), in the arena. 0, -1. */
int model_event_plain(struct store_db *db, struct arena *a, int64_t hook_id, int64_t project_id,
    struct str *ret_branch, struct err *e) WARN_UNUSED;
/* Calls fn for at most `limit` events behind that number, in ascending order; how many, or -1. The key ends with the call. */
typedef void model_event_key_fn(void *ctx, int64_t event_id, int64_t hook_id, struct str key);
int model_event_keys(struct store_db *db, int64_t after, uint32_t limit, model_event_key_fn *fn, void *ctx,
    struct err *e) WARN_UNUSED;
/* Stores an event that the journal has, under the journal's number for it: uses id, task_id and body_… besides what
 * model_event_add does; project_id is what model_event_owner says of its hook. 1: stored, or a further attempt as with
 * model_event_add; 0: the key is there. */
int model_event_apply(struct store_db *db, const struct model_event *ev, struct err *e) WARN_UNUSED;
/* Was a rollback, stop or destroy of the project asked for after that moment? 1/0/-1. One from after
 * now_ms is of a clock that was ahead: nobody knows when it was, and what comes must not wait for its time. */
int model_task_decided_since(struct store_db *db, int64_t project_id, int64_t received_ms,
    int64_t now_ms, struct err *e) WARN_UNUSED;
/* How far the journal was drained, kept with what was drained: 1/0/-1. */
struct model_journal {
	int64_t segment, at_bytes, sequence, oldest;
};
int model_journal_get(struct store_db *db, struct model_journal *ret, struct err *e) WARN_UNUSED;
int model_journal_set(struct store_db *db, const struct model_journal *m, struct err *e) WARN_UNUSED;
/* For this room: the rows that a further delivery of theirs is a new attempt at. What was ignored is,
 * where something follows now: the hook was paused, or its settings were others. */
#define MODEL_EVENT_AGAIN "(outcome = 'failed' OR (outcome = 'ignored' AND $outcome = 'waiting'))"
/* For this room: $now, $kind, $ref, $before, $after, $outcome. */
void model_event_bind(struct store_stmt *q, const struct model_event *ev);
/* The highest id of an event; 0: none. */
int model_event_last_id(struct store_db *db, int64_t *ret, struct err *e) WARN_UNUSED;
/* The lowest segment that an event's body is in; 0: none is in any. */
int model_event_oldest_segment(struct store_db *db, int64_t *ret, struct err *e) WARN_UNUSED;
/* Oldest first: stored, waiting, without a task (a crash came between). */
int model_event_orphans(struct store_db *db, struct arena *a, uint32_t limit,
    struct model_events *ret, struct err *e) WARN_UNUSED;
/* Deletes MODEL_EVENTS_AT_ONCE of a project's or, if hook_id is not 0, of a hook's. 1: there may be more; 0: that were all; -1.
 * Whoever writes next waits for a unit's end, and a year of pushes takes a second: so it goes in portions, a unit each. */
#define MODEL_EVENTS_AT_ONCE 2000
int model_event_forget(
    struct store_db *db, int64_t project_id, int64_t hook_id, struct err *e) WARN_UNUSED;
/* Deletes at most `limit` events received before, never one that waits. How many: *ret_count. */
int model_event_prune(struct store_db *db, int64_t before_ms, uint32_t limit, int64_t *ret_count,
    struct err *e) WARN_UNUSED;
