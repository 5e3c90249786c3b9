/* From a verified delivery to an event that is durable, and on to a task.
 *
 * With a journal (a store in a file): the delivery is written there, its sender answered, and what
 * was written goes into the store in batches, one transaction with the mark of how far that went.
 * The pushes of one branch in a batch make or fold into one task. Without one (a store in memory or
 * on PostgreSQL) the answer waits for the store's own commit.
 *
 * Draining stands back while deliveries come in: at most about a third of a processor, until more
 * than two batches, or half of what may wait, are waiting. */
#pragma once

#include "base/arena.h"
#include "queue/queue.h"
#include "store/journal.h"

struct intake;

struct intake_options {
	struct store *store;
	struct queue *queue; /* kicked when there may be work; NULL: nobody is */
	struct loop *loop; /* what comes in one turn is one group, or several when it is much; NULL
			      (tests): each by itself, and nothing is taken out by age */
	const char *journal; /* the journal's folder; NULL: none */
	struct journal_options
	    limits; /* what is not 0 holds instead of the journal's own; for tests */
	int64_t sweep_look_ms; /* how often it is asked whether something is old; 0: 5 s */
};
/* Finds again what the journal holds; blocks. NULL on error. */
struct intake *intake_open(const struct intake_options *o, struct err *e);
/* Nobody accepts any more. Answers what was accepted and drains no further; before the store and
 * the loop are closed. */
void intake_close(struct intake *in);

/* One delivery on its way; in the caller's storage until done has run. */
struct intake_ask {
	struct queue_delivery d;
	struct queue_accepted got; /* task_id stays 0 for a new event of a journal */
	/* On a thread of the journal's or the store's, or on the loop. 0: durable. */
	void (*done)(struct intake_ask *ask, int rc, const struct err *e);
	void *ctx;
	/* the intake's own */
	struct intake *in;
	struct journal_entry entry;
};
/* Never blocks; from the loop where one was given, else from any thread. The arena holds some
 * hundred bytes until done has run. -1: it was not taken and done is not called. */
int intake_accept(
    struct intake *in, struct intake_ask *ask, struct arena *a, struct err *e) WARN_UNUSED;

/* The body of an event that was read from the store, when the journal has it, in the arena: 1; 0:
 * it has not; -1. It reads the disk, all of the body: from any thread but the loop, also from the
 * store's writer inside a unit, where everybody else waits for it. */
int intake_body(struct intake *in, const struct model_event *ev, struct arena *a, struct str *ret,
    struct err *e) WARN_UNUSED;
/* Waits until everything accepted before is in the store, or until that monotonic time. */
void intake_settle(struct intake *in, int64_t until_mono_ms);
/* What waits to be drained; zeros without a journal. Any thread. */
struct journal_level intake_level(struct intake *in);
