/* Tasks: durable work for a project, one running at a time per project (a partial unique index says
 * so).
 *
 *   waiting → running → done | failed | cancelled | superseded
 *      ↑         │
 *      └─ retry ─┘→ dead (attempts used up)          waiting → cancelled | superseded
 *
 * Whoever runs a task holds its lease. Every effect names the lease; a lease that was lost in the
 * meantime changes nothing and is answered with 0. */
#pragma once

#include "base/arena.h"
#include "model/event.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_task_kind {
	MODEL_TASK_DEPLOY,
	MODEL_TASK_ROLLBACK,
	MODEL_TASK_STOP,
	MODEL_TASK_START,
	MODEL_TASK_RESTART,
	MODEL_TASK_SCALE,
	MODEL_TASK_DESTROY,
	MODEL_TASK_RUN,	  /* a hook's command in the live release */
	MODEL_TASK_CHECK, /* the checks of a branch or pull request; nothing goes live */
	MODEL_TASK_CERTIFICATE,
	MODEL_TASK_BACKUP,
	MODEL_TASK_RESTORE,
	MODEL_TASK_KIND_COUNT
};
enum model_task_state {
	MODEL_TASK_WAITING,
	MODEL_TASK_RUNNING,
	MODEL_TASK_DONE,
	MODEL_TASK_FAILED,
	MODEL_TASK_CANCELLED,
	MODEL_TASK_SUPERSEDED,
	MODEL_TASK_DEAD,
	MODEL_TASK_STATE_COUNT
};
const char *model_task_kind_name(enum model_task_kind k);
int model_task_kind_parse(struct str s, enum model_task_kind *ret, struct err *e) WARN_UNUSED;
const char *model_task_state_name(enum model_task_state s);
int model_task_state_parse(struct str s, enum model_task_state *ret, struct err *e) WARN_UNUSED;

struct model_task {
	int64_t id, project_id;
	struct str project; /* its name, when read */
	enum model_task_kind kind;
	enum model_task_state state;
	struct str ref, head_commit; /* may be empty */
	struct str
	    before_commit; /* of the last push folded in: a head equal to it is fetched again */
	struct str input, progress, result, error; /* JSON; "{}" or empty */
	bool from_push;
	int64_t priority, attempt, attempts_max; /* attempt: 0 until first claimed */
	int64_t due_ms;
	struct str lease_owner;		   /* "host/incarnation"; empty: nobody */
	int64_t lease_counter, lease_beat; /* +1 by each claim; +1 by each renewal */
	bool cancel_requested;
	struct str current_step;
	int64_t created_ms, started_ms, finished_ms; /* 0: not yet */
	struct str requested_by;		     /* an operator's name, or "hook NAME" */
};
struct model_tasks {
	struct model_task *v;
	size_t n;
	bool more;
};

struct model_task_added {
	int64_t id;
	bool folded;		  /* into a push that was waiting: id is that task's */
	int64_t cancels;	  /* the running task that was asked to stop for it; 0: none */
	int64_t superseded_count; /* waiting tasks ended by it */
};
/* Adds a task in state waiting. Uses project_id, kind, ref, head_commit, before_commit, input,
 * from_push, attempts_max (0: 1), due_ms, created_ms, requested_by; the priority comes from the
 * kind. A deploy or check from a push folds into the waiting one of the same branch and input,
 * which takes over its commits. rollback, stop and destroy end waiting deploys as superseded
 * (destroy: whatever waits), ask the running task to stop, and are next. ERR_UNAVAILABLE beyond
 * LIMIT_QUEUE_WAITING; ERR_NOT_FOUND: no such project. */
int model_task_add(struct store_db *db, const struct model_task *t, struct model_task_added *ret,
    struct err *e) WARN_UNUSED;

struct model_lease {
	int64_t task_id;
	struct str owner;
	int64_t counter;
};
/* Claims what is next: due, of a project with nothing running, by priority, then age; at most
 * running_max run at once. Beyond that, so that what a person waits for does not wait behind
 * others' builds, start, restart and scale (behind what their own project waits for), and beyond
 * those rollback, stop and destroy. 1: *ret is running with attempt and lease_counter one higher;
 * 0: nothing. */
#define MODEL_TASK_BESIDE 4
#define MODEL_TASK_BESIDE_DECISIVE 8
int model_task_claim(struct store_db *db, struct arena *a, struct str owner, int64_t now_ms,
    int64_t running_max, struct model_task *ret, struct err *e) WARN_UNUSED;
struct model_lease model_task_lease(
    const struct model_task *t); /* of a claimed task; borrows its owner */
/* A clock that was set back makes nobody wait for its old time: what was made after now_ms and never
 * tried is due, and what was tried and is due after far_ms. How many, or -1. */
int model_task_set_back(
    struct store_db *db, int64_t now_ms, int64_t far_ms, struct err *e) WARN_UNUSED;
/* When the first waiting task is due: 1/0/-1. */
int model_task_next_due(struct store_db *db, int64_t *ret_due_ms, struct err *e) WARN_UNUSED;

/* Effects under a lease: 1 done, 0 the lease is lost, -1. */
int model_task_renew(struct store_db *db, const struct model_lease *l, struct err *e) WARN_UNUSED;
/* The engine's own state, saved before its actions are issued. */
int model_task_save(struct store_db *db, const struct model_lease *l, struct str current_step,
    struct str progress, struct err *e) WARN_UNUSED;
int model_task_set_head(struct store_db *db, const struct model_lease *l, struct str head_commit,
    struct err *e) WARN_UNUSED;
/* Ends it as done, failed, cancelled or superseded. Its waiting events get `outcome`. */
int model_task_finish(struct store_db *db, const struct model_lease *l, enum model_task_state state,
    enum model_outcome outcome, struct str result, struct str error, int64_t now_ms,
    struct err *e) WARN_UNUSED;
/* Back to waiting until due_ms; when its attempts are used up, dead (its events: failed). *ret_dead
 * tells. */
int model_task_retry(struct store_db *db, const struct model_lease *l, int64_t due_ms,
    struct str error, int64_t now_ms, bool *ret_dead, struct err *e) WARN_UNUSED;
/* Asks: *ret_cancel. */
int model_task_cancel_wanted(
    struct store_db *db, const struct model_lease *l, bool *ret_cancel, struct err *e) WARN_UNUSED;

/* Recovery: everything in state running, oldest first, and taking one over from an owner that is
 * gone. The seen lease must still stand, beat included; attempt stays, the counter grows. 1/0/-1.
 */
int model_task_running(
    struct store_db *db, struct arena *a, struct model_tasks *ret, struct err *e) WARN_UNUSED;
int model_task_take_over(struct store_db *db, struct arena *a, const struct model_task *seen,
    struct str owner, struct model_task *ret, struct err *e) WARN_UNUSED;

/* A person's wish. 1: a waiting one is cancelled now, a running one is asked to (*ret_state says
 * which it was); 0: no such task for this viewer, or it has ended. */
int model_task_cancel(struct store_db *db, int64_t id, struct model_viewer viewer, int64_t now_ms,
    enum model_task_state *ret_state, struct err *e) WARN_UNUSED;
int model_task_get(struct store_db *db, struct arena *a, int64_t id, struct model_viewer viewer,
    struct model_task *ret, struct err *e) WARN_UNUSED;
struct model_task_filter {
	int64_t project_id; /* 0: any */
	bool by_state;
	enum model_task_state state;
};
int model_task_list(struct store_db *db, struct arena *a, struct model_task_filter filter,
    struct model_page page, struct model_viewer viewer, struct model_tasks *ret,
    struct err *e) WARN_UNUSED;
/* How many in each state, for the metrics. */
int model_task_counts(
    struct store_db *db, int64_t ret[MODEL_TASK_STATE_COUNT], struct err *e) WARN_UNUSED;
/* How many of the project's tasks but that one have not ended and name that uploaded archive in their input. */
int model_task_count_of_archive(struct store_db *db, int64_t project_id, int64_t but_id,
    struct str archive, int64_t *ret, struct err *e) WARN_UNUSED;
/* Deletes at most `limit` ended tasks finished before, with their steps; none whose end an action has
 * not learnt yet. */
int model_task_prune(struct store_db *db, int64_t before_ms, uint32_t limit, int64_t *ret_count,
    struct err *e) WARN_UNUSED;
