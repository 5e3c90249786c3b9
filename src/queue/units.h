/* What the queue does inside store units: pure SQL plus arguments, no clock, no randomness. queue.c
 * runs them on the writer thread; the simulator calls them over an in-memory store. */
#pragma once

#include "queue/queue.h"

#define QUEUE_OWNER_SIZE 40
#define QUEUE_PARALLEL_MAX 64u
#define QUEUE_RUNNING_MAX (QUEUE_PARALLEL_MAX + MODEL_TASK_BESIDE_DECISIVE)
#define QUEUE_PUSH_ATTEMPTS 5 /* a push whose fetch fails for the network is tried this often */
#define QUEUE_BACKOFF_FIRST_MS 2000
#define QUEUE_BACKOFF_MAX_MS 300000

/* How a lease's owner is written in the task row: "slipwayd/<incarnation>". */
void queue_owner(uint64_t incarnation, char out[QUEUE_OWNER_SIZE]);

/* Makes the deploy task that looks at the push's branch, or folds into the one that waits. */
int queue_unit_push(struct store_db *db, const struct queue_delivery *d, int64_t *ret_task_id,
    struct err *e) WARN_UNUSED;
/* The hook's own actions follow from the event: the first of them waits. 1, 0: none fits it. */
int queue_unit_acts(struct store_db *db, const struct queue_delivery *d, int64_t event_id,
    struct err *e) WARN_UNUSED;
/* Makes the task that checks the push's branch or pull request, or folds into the one that waits.
 */
int queue_unit_check(struct store_db *db, const struct queue_delivery *d, int64_t *ret_task_id,
    struct err *e) WARN_UNUSED;
/* Claims up to `max` due tasks; at most running_max run in all, and what model_task_claim lets beside
 * them. Tasks live in the arena. */
int queue_unit_claim(struct store_db *db, struct arena *a, uint64_t incarnation, int64_t now_ms,
    unsigned running_max, struct model_task *ret, size_t max, size_t *ret_count,
    struct err *e) WARN_UNUSED;
/* When the first waiting task is due: 1/0/-1. */
int queue_unit_next_due(struct store_db *db, int64_t *ret_due_ms, struct err *e) WARN_UNUSED;
/* Was cancellation of this running task asked for? 1/0/-1; a lost lease is 0. */
int queue_unit_cancel_wanted(struct store_db *db, struct queue_lease l, struct err *e) WARN_UNUSED;

struct queue_ending {
	struct queue_lease lease;
	enum queue_end how;
	struct str result_json, error_json;
	int64_t now_ms, due_ms; /* due: for QUEUE_RETRY */
};
/* 1 ended (or waiting again), 0 the lease is not current any more and nothing changed, -1. */
int queue_unit_finish(
    struct store_db *db, const struct queue_ending *f, bool *ret_dead, struct err *e) WARN_UNUSED;

/* Gives up to `max` events that wait without a task one, as far as the queue has room: a crash came
 * between, or the queue was full. */
int queue_unit_adopt(
    struct store_db *db, struct arena *a, int64_t now_ms, uint32_t max, struct err *e) WARN_UNUSED;
/* At start: tasks that ran in an earlier life become this life's (at most max), and events that
 * were stored but have no task get one. */
int queue_unit_recover(struct store_db *db, struct arena *a, uint64_t incarnation, int64_t now_ms,
    struct model_task *ret, size_t max, size_t *ret_count, struct err *e) WARN_UNUSED;

/* The wait before attempt+1: 2 s doubling to 5 min, plus up to a quarter of it by `random`. */
int64_t queue_backoff_ms(int64_t attempt, uint64_t random);
