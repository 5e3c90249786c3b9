/* The journal's second thread: it makes the next segment and removes those that are forgotten. */
#include "store/journal_parts.h"

#include "base/clock.h"
#include "base/log.h"

#define FILLED_FAST_US 20000000 /* a segment that lasted less is followed by a larger one */
#define MAKE_AGAIN_US 200000	/* after a full disk, for who waits */
#define AHEAD_AGAIN_US 5000000	/* the same while nobody does */

/* One that is larger than it must be, or that nobody waits for yet, takes at most half of what is free: the store and whoever shares
 * the disk need room, too. One that must be leaves them a little. */
static int make(
    struct journal *j, uint32_t number, uint64_t bytes, uint64_t least, bool waited, struct err *e)
{
	if (bytes > least) {
		int rc = segment_make(j->dir, number, bytes, bytes, e);
		if (rc == 0 || e->code != ERR_NO_SPACE)
			return rc;
	}
	return segment_make(j->dir, number, least, waited ? least / 4 : least, e);
}

void *journal_maker_main(void *arg)
{
	struct journal *j = arg;
	struct err e = {0};
	(void)pthread_setname_np(pthread_self(), "journal-maker");
	pthread_mutex_lock(&j->lock);
	while (!j->maker_ends) {
		uint32_t number = j->make_number, gone = j->forget_from;
		uint64_t bytes = j->make_bytes, least = j->make_least_bytes;
		bool wanted = j->making == MAKE_WANTED, forget = gone < j->forget_below;
		bool waited = j->make_waited;
		if (!wanted && !forget) {
			pthread_cond_wait(&j->make, &j->lock);
			continue;
		}
		pthread_mutex_unlock(&j->lock);
		int rc = wanted ? make(j, number, bytes, least, waited, &e)
				: segment_remove(j->dir, gone, &e);
		pthread_mutex_lock(&j->lock);
		if (!wanted) {
			if (rc != 0)
				log_event(LOG_WARN, "journal", "segment_left", F_ERR(&e));
			j->forget_from++;
			continue;
		}
		/* Who waits by now may have some of what was to stay free. */
		if (rc != 0 && j->make_waited && !waited)
			continue;
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

static uint64_t next_size(const struct journal *j)
{
	uint64_t n = j->pen.head.size_bytes;
	if (clock_mono_us() - (int64_t)j->pen.opened_us < FILLED_FAST_US)
		n *= 4;
	return n > j->o.segment_most_bytes ? j->o.segment_most_bytes : n;
}

/* Asks the maker for the next segment, with room for `least` bytes of records; the lock is held. */
static void make_ask(struct journal *j, uint32_t number, uint64_t least)
{
	uint64_t bytes = next_size(j);
	least = record_round(least + SEGMENT_RECORDS_AT, RECORD_BLOCK_BYTES);
	if (least < j->o.segment_least_bytes)
		least = j->o.segment_least_bytes;
	j->making = MAKE_WANTED;
	j->make_number = number;
	j->make_least_bytes = least;
	j->make_bytes = bytes < least ? least : bytes;
	pthread_cond_signal(&j->make);
}

void journal_make_ahead(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	bool again = !j->make_failed_us || clock_mono_us() - j->make_failed_us > AHEAD_AGAIN_US;
	if (j->making == MAKE_NOTHING && again)
		make_ask(j, j->pen.head.number + 1, 0);
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
		make_ask(j, number, least);
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

/* The journal may have ended before it came to them, or could not remove them. What is missing in between costs the maker a call. */
void journal_forget_left(struct journal *j)
{
	uint32_t below = j->mark.oldest, lowest = segment_lowest(j->dir);
	if (below > j->drained_segment)
		below = j->drained_segment;
	if (lowest == 0 || lowest >= below)
		return;
	j->forget_from = lowest;
	j->forget_below = below;
}
