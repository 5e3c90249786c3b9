/* The journal's second thread: it makes the next segment and removes those that are forgotten. */
#include "store/journal_parts.h"

#include "base/clock.h"
#include "base/log.h"

#define FILLED_FAST_US 20000000 /* a segment that lasted less is followed by a larger one */
#define MAKE_AGAIN_US 200000	/* after a full disk */

void *journal_maker_main(void *arg)
{
	struct journal *j = arg;
	struct err e = {0};
	(void)pthread_setname_np(pthread_self(), "journal-maker");
	pthread_mutex_lock(&j->lock);
	while (!j->maker_ends) {
		uint32_t number = j->make_number, gone = j->forget_from;
		uint64_t bytes = j->make_bytes;
		bool make = j->making == MAKE_WANTED, forget = gone < j->forget_below;
		if (!make && !forget) {
			pthread_cond_wait(&j->make, &j->lock);
			continue;
		}
		pthread_mutex_unlock(&j->lock);
		int rc = make ? segment_make(j->dir, number, bytes, &e)
			      : segment_remove(j->dir, gone, &e);
		pthread_mutex_lock(&j->lock);
		if (!make) {
			if (rc != 0)
				log_event(LOG_WARN, "journal", "segment_left", F_ERR(&e));
			j->forget_from++;
			continue;
		}
		/* Nobody waits yet: it is tried again when somebody does. */
		j->making = rc == 0 ? MAKE_READY : j->make_waited ? MAKE_FAILED : MAKE_NOTHING;
		if (rc != 0) {
			j->make_err = e;
			j->make_failed_us = clock_mono_us();
		}
		pthread_cond_broadcast(&j->made);
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

static uint64_t next_size(const struct journal *j, uint64_t least)
{
	uint64_t n = j->pen.head.size_bytes;
	if (clock_mono_us() - (int64_t)j->pen.opened_us < FILLED_FAST_US)
		n *= 4;
	if (n > j->o.segment_most_bytes)
		n = j->o.segment_most_bytes;
	least = record_round(least + SEGMENT_RECORDS_AT, RECORD_BLOCK_BYTES);
	return n < least ? least : n;
}

/* Asks the maker for the next segment; the lock is held. */
static void make_ask(struct journal *j, uint32_t number, uint64_t bytes)
{
	j->making = MAKE_WANTED;
	j->make_number = number;
	j->make_bytes = bytes;
	pthread_cond_signal(&j->make);
}

void journal_make_ahead(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	if (j->making == MAKE_NOTHING && clock_mono_us() - j->make_failed_us > MAKE_AGAIN_US)
		make_ask(j, j->pen.head.number + 1, next_size(j, 0));
	pthread_mutex_unlock(&j->lock);
}

/* Waits for the segment that the maker makes, which a full disk may prevent. */
int journal_made_wait(struct journal *j, uint32_t number, uint64_t least, struct err *e)
{
	int rc = 0;
	pthread_mutex_lock(&j->lock);
	if (j->making == MAKE_FAILED && clock_mono_us() - j->make_failed_us < MAKE_AGAIN_US) {
		rc = -1;
	} else if (j->making == MAKE_NOTHING || j->making == MAKE_FAILED) {
		make_ask(j, number, next_size(j, least));
	}
	while (rc == 0 && j->making == MAKE_WANTED) {
		j->make_waited = true;
		pthread_cond_wait(&j->made, &j->lock);
		j->make_waited = false;
	}
	if (rc == 0 && j->making == MAKE_READY)
		j->making = MAKE_NOTHING;
	else
		rc = -1, *e = j->make_err;
	pthread_mutex_unlock(&j->lock);
	return rc;
}
