/* A batch of the journal's records on their way into the store: pure SQL plus arguments; the
 * simulator calls it too. */
#pragma once

#include "queue/queue.h"
#include "store/journal.h"

#define DRAIN_BATCH_MAX 2048u

struct drain_batch {
	struct arena a; /* the strings of what was read */
	struct journal_record *records;
	struct queue_delivery *deliveries;
	bool *broken; /* holds no delivery: passed over */
	size_t n;
	size_t applied, tasks; /* set by the unit; tasks: with events that have actions */
	size_t failed;	       /* likewise: events that could not have their hook's actions */
	int64_t failed_event;  /* the last of them, and why */
	struct err failed_why;
	int64_t oldest; /* of the mark, carried along */
	int64_t now_ms; /* of the unit */
};
void drain_init(struct drain_batch *b);
void drain_clear(struct drain_batch *b);
void drain_fini(struct drain_batch *b);
/* Adds what a reader gave. */
void drain_add(struct drain_batch *b, const struct journal_record *r);
/* Applies it all and moves the mark behind the last one, in the caller's transaction. */
int drain_unit(struct store_db *db, struct drain_batch *b, struct err *e) WARN_UNUSED;
