/* Durable work: events become tasks, tasks are leased, run, retried, folded. The task table is the truth; this module
 * wakes up, claims and hands out. At most one task of a project runs (a partial unique index), at most `parallel_max` in all,
 * and a few quick ones beside them (model_task_claim).
 *
 * Everything with `_unit_` runs inside a store unit on the writer thread and is pure SQL plus its arguments (the
 * simulator calls the same functions). Everything else: the loop thread, unless said otherwise. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"
#include "model/event.h"
#include "model/task.h"
#include "store/store.h"

struct queue;

/* A verified delivery of a hook, to be stored once. */
struct queue_delivery {
	int64_t hook_id, project_id;
	struct str key;		/* unique per hook for 90 days */
	struct str kind;	/* "push", "ping", … */
	struct str ref;		/* branch after refs/heads/; empty: nothing to deploy */
	struct str before, after;
	struct str body;
	int64_t received_ms;
	bool triggers;		/* false: stored, nothing follows (ping, other branch, deleted ref) */
	bool acts;		/* the hook's own actions follow (model/action.h), not a deploy alone */
	bool pull, stranger;	/* of a pull request; …from another repository */
};
struct queue_accepted {
	int64_t event_id, task_id; /* task 0: none */
	bool repeated;		   /* the key was known, waits, runs or succeeded: first id, nothing done */
};
/* Stores the event and makes or folds into the waiting deploy task of that branch. */
int queue_unit_accept(struct store_db *db, const struct queue_delivery *d, struct queue_accepted *ret, struct err *e) WARN_UNUSED;

/* Asks for work. For rollback, stop and destroy: cancels the project's running task and ends waiting pushes that came
 * earlier as superseded. The caller then calls queue_kick (and the engine's cancel happens through on_cancel). */
/* input_json by kind (api/ writes it, deploy/ reads it; absent keys have the default behind them; unknown keys are ignored):
 *   deploy    ref: "main" (the project's), url: another address of the source (the project's), force: bool, also when the head is
 *             live already (false), archive: "ID", SPOOL/ID.tar instead of the source, plan_only: bool, fetch and plan only, the
 *             plan is the result (false); look: bool, what was seen on the branch is not tried again, even when it failed (false)
 *   rollback  release: number (the newest sealed one before the live one)
 *   restart   process: "web" (all)
 *   scale     process: "web", count: 0..10, which is in the store already; without a process only the vhost is set anew (domains changed)
 *   stop, start            {}
 *   destroy   purge: bool, no archive is kept (false)
 *   backup    key, slot: base64, what opens the archive (backup/archive.h; slot absent: no passphrase)
 *   restore   backup: "ID", data_only: bool, nothing but data/ (false), admin: bool, one of the platform asks (false)
 *   check     stranger: bool, what is checked may not be trusted: no secrets, no cache (false); ref as of a fetch
 *   run       argv: ["…"], timeout_ms: number, event: ID whose body is the input
 *   certificate  action: "issue", "renew", "revoke", "delete" or "import" (what was given waits in the store), staging: bool (false), site: of an nginx-site project, for issue and renew */
struct queue_order {
	int64_t project_id;
	enum model_task_kind kind;
	struct str ref, input_json, requested_by;
	int64_t now_ms, due_ms; /* due 0: at once */
};
int queue_unit_order(struct store_db *db, const struct queue_order *o, int64_t *ret_task_id, struct err *e) WARN_UNUSED;

struct queue_lease {
	int64_t task_id, counter;
	uint64_t incarnation;
};

enum queue_end { QUEUE_DONE, QUEUE_FAILED, QUEUE_RETRY, QUEUE_CANCELLED, QUEUE_UP_TO_DATE, QUEUE_END_COUNT };

struct queue_options {
	struct store *store;
	struct loop *loop;
	unsigned parallel_max; /* tasks running at once, 1..64, but for quick ones */
	uint64_t incarnation;  /* of this daemon's life */
	/* A task was claimed (its lease is durable); the task's strings live until the call returns. The runner answers later
	 * with queue_finish. `recovered`: it was running when an earlier daemon ended. */
	void (*run)(void *ctx, const struct model_task *t, struct queue_lease lease, bool recovered);
	/* Somebody asked for cancellation of a running task. */
	void (*cancel)(void *ctx, int64_t task_id);
	/* A task changed state (for streams). */
	void (*changed)(void *ctx, int64_t task_id);
	/* May be NULL. In a unit of each round: carries on the actions of events. *ret_more: not all that can be done was;
	 * *ret_told: deliveries were made, and `told` is called on the loop once they are durable. */
	int (*advance)(void *ctx, struct store_db *db, int64_t now_ms, bool *ret_more, bool *ret_told, struct err *e);
	void (*told)(void *ctx);
	void *ctx;
};
struct queue *queue_open(const struct queue_options *o, struct err *e); /* recovers; blocks */
void queue_close(struct queue *q);
/* Something may be runnable or cancelled now. From any thread; cheap; coalesced. */
void queue_kick(struct queue *q);
/* Ends a claimed task: durable before `done` runs on the loop thread. Retry: waits with backoff (2 s doubling to 5 min,
 * with jitter) until attempts_max, then it is dead. result/error are JSON. A lease that is not current any more changes nothing. */
void queue_finish(struct queue *q, struct queue_lease l, enum queue_end how, struct str result_json, struct str error_json, loop_fn *done, void *ctx);
/* True while the lease is the current one; checked inside units that have effects. */
int queue_unit_fence(struct store_db *db, struct queue_lease l, struct err *e) WARN_UNUSED;
