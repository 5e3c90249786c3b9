/* What the journal's files share. Not for other rooms. */
#pragma once

#include "store/lately.h"
#include "store/pending.h"
#include "store/refused.h"
#include "store/segment.h"

#include <pthread.h>

/* What only the thread that writes touches: the journal's own, or whom it is lent to. */
struct pen {
	int fd;
	struct segment_head head;
	uint64_t at, opened_us; /* where the next group begins */
	uint64_t sequence;	/* the last one that was used */
	char *group;		/* GROUP_BYTES, aligned */
	size_t filled;
	int64_t sync_us;   /* what writing and syncing a group took lately */
	uint64_t group_at; /* where group[0] goes */
};

enum making { MAKE_NOTHING, MAKE_WANTED, MAKE_READY, MAKE_FAILED };

struct journal {
	struct journal_options o;
	int dir;
	struct sip_key sip;
	struct pen pen;
	struct journal_mark mark; /* as opened */
	bool brief;		  /* the turns of the thread that calls journal_go_here; its own */
	pthread_t thread, maker;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t work, make, made;
	struct journal_entry *first, **last;
	bool closing, maker_ends, asleep, writing;
	bool lent;     /* the pen, to journal_go_here; then `writing`, too */
	unsigned lone; /* so many came one at a time, one after the other */
	int64_t wake_us;
	uint64_t undrained_bytes; /* waiting, durable; until drained */
	uint32_t undrained_count;
	struct refused refused; /* answered as failed, though some of it may be on the disk */
	int64_t last_us;
	struct journal_place durable; /* the end of what is */
	enum making making;
	uint32_t make_number;
	uint64_t make_bytes, make_least_bytes; /* as large as it should be, and must be */
	bool make_waited;
	int64_t make_failed_us;
	struct err make_err;
	uint64_t out_count; /* were read and are on their way into the store */
	uint32_t forget_from, forget_below, drained_segment;

	pthread_mutex_t keys_lock;
	struct pending *keys;
	struct lately *lately;
};

/* So much less waits. The lock is held. */
void journal_undrained_less(struct journal *j, uint64_t bytes, uint32_t count);
/* Finds what stands behind the mark, durably. *ret_at: where writing may go on, or segment 0: in a
 * new one; *ret_last: the highest segment there is. */
int journal_recover(
    struct journal *j, struct journal_place *ret_at, uint32_t *ret_last, struct err *e) WARN_UNUSED;

/* The maker's thread, until maker_ends; its argument is the journal. */
void *journal_maker_main(void *arg);
/* Asks for the next segment while nobody waits for it. */
void journal_make_ahead(struct journal *j);
/* Waits for the segment of that number, with room for `least` bytes of records. ERR_NO_SPACE: the disk is full. */
int journal_made_wait(
    struct journal *j, uint32_t number, uint64_t least, struct err *e) WARN_UNUSED;
/* Has removed what a life before was to remove and did not. Before the threads run. */
void journal_forget_left(struct journal *j);
