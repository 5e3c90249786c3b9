/* Work that nobody asked for just now: looking at branches, by the clock and after having been
 * away, and taking away what is old. A look is a deploy task that ends as up to date unless the
 * branch moved since it was last seen; what failed before is not tried again by it, and what a
 * rollback left is not undone.
 *
 * A daemon that was away for longer than senders wait for an answer may have been told in vain, and
 * not every sender tells again. So then each project that a hook deploys is looked at once, a few
 * at a time. */
#pragma once

#include "queue/queue.h"

struct schedule;
struct schedule_options {
	struct store *store;
	struct loop *loop;
	struct queue *queue;
};
/* Blocks. NULL with e when the store fails. */
struct schedule *schedule_open(const struct schedule_options *o, struct err *e);
/* Before the store is closed: says that this life ends now. NULL is fine. */
void schedule_close(struct schedule *s);

/* The SQL of it, for tests: `now_ms` is wall-clock. */
#define SCHEDULE_AWAY_MS 10000 /* how long GitHub waits for an answer */
#define SCHEDULE_AT_ONCE 4u
#define SCHEDULE_KEPT_MS (INT64_C(90) * 86400 * 1000)
/* *ret_missed: looks were made due because the last life ended without a word or long ago. */
int schedule_unit_begin(
    struct store_db *db, int64_t now_ms, bool *ret_missed, struct err *e) WARN_UNUSED;
/* Tasks for at most SCHEDULE_AT_ONCE looks that are due. */
int schedule_unit_look(
    struct store_db *db, int64_t now_ms, size_t *ret_count, struct err *e) WARN_UNUSED;
#define SCHEDULE_PRUNED_AT_ONCE 1000u
/* Deletes at most so many ended tasks, and what is left of removed projects, older than
 * SCHEDULE_KEPT_MS. *ret_more: there may be more. */
int schedule_unit_prune(
    struct store_db *db, int64_t now_ms, bool *ret_more, struct err *e) WARN_UNUSED;

/* What the clock asks for at one time. pruned_ms is carried on from one round to the next: when all
 * that was old was last seen gone, 0: never; so that is looked for once an hour. last_ms too: now_ms
 * of the last round, 0: none; when now is before it, the clock was set back. */
struct schedule_round {
	int64_t now_ms, pruned_ms, last_ms;
	size_t looks;	/* tasks that were made */
	size_t earlier; /* tasks that no longer wait for the time of a clock that was ahead */
	int64_t due_ms; /* of the next look; 0: none */
	bool pruned, more_is_old;
};
int schedule_unit_round(struct store_db *db, struct schedule_round *r, struct err *e) WARN_UNUSED;
/* Once it is known whether the round was kept (rc 0): how long until the next, in ms. */
int64_t schedule_round_over(struct schedule_round *r, int rc, int64_t now_ms);
