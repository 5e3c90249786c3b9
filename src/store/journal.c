/* The journal's thread that writes, its group commit, opening and closing. */
#include "store/journal.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/fs.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/thread.h"
#include "store/journal_parts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define UNDRAINED_BYTES (1ull << 30)
#define UNDRAINED_COUNT 196608u
#define SEGMENT_LEAST (4ull << 20)
#define SEGMENT_MOST (64ull << 20)
#define GROUP_BYTES (1u << 20) /* written at once; larger entries go in several */
#define GROUP_ENTRIES 1024u
#define TURN_US 100		/* of the thread that writes: all that it answers wait for it */
#define LONE_LEAST 8		/* so many came one at a time: the next one probably, too */
#define LONE_SYNC_US 500	/* slower than this the caller does not wait itself */
#define LONE_BYTES (64u << 10)	/* nor for writing more */
#define STALL_US 5000		/* one so slow says enough */
#define SYNCS_KEPT 8		/* the mean is over about so many */
#define EXIT_TEMPFAIL 75

/* Nothing of this group was acknowledged; the next start finds what is whole. */
static _Noreturn void die(const char *what, const struct err *e)
{
	log_event(LOG_ERROR, "journal", what, F_ERR(e),
	    F_C("action", "the process ends and starts again"));
	_exit(EXIT_TEMPFAIL);
}

/* Segments. */

static int pen_enter(struct journal *j, uint32_t number, struct err *e)
{
	struct pen *p = &j->pen;
	struct segment_head head;
	int fd = segment_open(j->dir, number, &head, e);
	if (fd < 0)
		return -1;
	if (p->fd >= 0)
		(void)io_get()->close(p->fd);
	p->fd = fd;
	p->head = head;
	p->at = SEGMENT_RECORDS_AT;
	p->opened_us = (uint64_t)clock_mono_us();
	return 0;
}

/* The next segment, with room for one entry of that length. */
static int rotate(struct journal *j, uint32_t length, struct err *e)
{
	uint32_t number = j->pen.head.number + 1;
	for (;; number++) {
		if (journal_made_wait(j, number, length, e) < 0)
			return -1;
		if (pen_enter(j, number, e) < 0)
			die("journal_segment_lost", e);
		if (j->pen.at + length <= j->pen.head.size_bytes)
			return 0;
	}
}

/* Writing. */

static int flush(struct journal *j, struct err *e)
{
	struct pen *p = &j->pen;
	size_t n = (size_t)record_round(p->filled, RECORD_BLOCK_BYTES), done = 0;
	memset(p->group + p->filled, 0, n - p->filled);
	while (done < n) {
		ssize_t r =
		    io_get()->pwrite(p->fd, p->group + done, n - done, (off_t)(p->group_at + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r > 0) {
			/* O_DIRECT goes on at whole blocks only. */
			done += (size_t)r - (size_t)r % RECORD_BLOCK_BYTES;
			continue;
		}
		int sys = r < 0 ? errno : EIO;
		err_sys(e, ERR_IO, sys, "could not write to the journal");
		if (e->code != ERR_NO_SPACE)
			die("journal_write_failed", e);
		return err_hint(e, "free some space on the disk that holds the journal");
	}
	p->group_at += n;
	p->filled = 0;
	return 0;
}

static int put(struct journal *j, const void *from, size_t n, struct err *e)
{
	struct pen *p = &j->pen;
	const char *at = from;
	while (n > 0) {
		size_t room = GROUP_BYTES - p->filled, piece = n < room ? n : room;
		memcpy(p->group + p->filled, at, piece);
		p->filled += piece;
		at += piece;
		n -= piece;
		if (p->filled == GROUP_BYTES && flush(j, e) < 0)
			return -1;
	}
	return 0;
}

static uint64_t pen_end(const struct pen *p)
{
	return record_round(p->group_at + p->filled, 8);
}

static int write_entry(struct journal *j, struct journal_entry *en, struct err *e)
{
	static const char zeros[8];
	struct pen *p = &j->pen;
	uint8_t head[RECORD_HEAD_BYTES];
	uint64_t sequence = en->sequence = ++p->sequence;
	if (en->verdict == JOURNAL_NEW)
		en->id = sequence;
	struct record_head h =
	    record_make(p->head.salt, sequence, en->id, en->key, en->meta, en->body);
	record_pack(&h, head);
	pthread_mutex_lock(&j->keys_lock);
	pending_put(j->keys, en->hash, en->id);
	pthread_mutex_unlock(&j->keys_lock);
	en->at_bytes = pen_end(p);
	if (put(j, zeros, (size_t)(en->at_bytes - p->group_at - p->filled), e) < 0 ||
	    put(j, head, sizeof(head), e) < 0 || put(j, en->key.p, en->key.n, e) < 0 ||
	    put(j, en->meta.p, en->meta.n, e) < 0)
		return -1;
	return put(j, en->body.p, en->body.n, e);
}

static bool is_pending(struct journal *j, struct journal_entry *en)
{
	pthread_mutex_lock(&j->keys_lock);
	uint64_t id = pending_find(j->keys, en->hash);
	pthread_mutex_unlock(&j->keys_lock);
	if (!id)
		return false;
	en->verdict = JOURNAL_REPEAT;
	en->id = id;
	return true;
}

/* Never below nothing, whatever a reader may bring: that would be too much for ever. */
void journal_undrained_less(struct journal *j, uint64_t bytes, uint32_t count)
{
	j->undrained_bytes -= bytes < j->undrained_bytes ? bytes : j->undrained_bytes;
	j->undrained_count -= count < j->undrained_count ? count : j->undrained_count;
}

static bool is_kept(const struct journal_entry *en, const struct err *e)
{
	return !e && en->verdict != JOURNAL_REPEAT;
}

/* The entries up to, not including, `end` have come to this. What does not wait is counted off
 * before anybody is told. */
static void answer(
    struct journal *j, struct journal_entry *first, struct journal_entry *end, const struct err *e)
{
	uint64_t bytes = 0;
	uint32_t count = 0;
	for (const struct journal_entry *en = first; en != end; en = en->next) {
		bytes += is_kept(en, e) ? 0 : en->length;
		count += !is_kept(en, e);
	}
	if (count > 0) {
		pthread_mutex_lock(&j->lock);
		journal_undrained_less(j, bytes, count);
		pthread_mutex_unlock(&j->lock);
	}
	while (first != end) {
		struct journal_entry *en = first;
		first = en->next;
		en->done(en, e ? -1 : 0, e);
	}
}

static int sync_group(struct journal *j, struct err *e)
{
	struct pen *p = &j->pen;
	int64_t began_us = clock_mono_us();
	if (p->filled > 0 && flush(j, e) < 0)
		return -1;
	if (p->group_at == p->at)
		return 0; /* nothing but repeats */
	if (io_get()->fdatasync(p->fd) != 0) {
		err_sys(e, ERR_IO, errno, "could not sync the journal");
		die("journal_sync_failed", e);
	}
	int64_t took_us = clock_mono_us() - began_us;
	/* One that is slow says little of the next, several do. */
	if (took_us > STALL_US)
		p->sync_us = 2 * LONE_SYNC_US;
	if (took_us > 2 * LONE_SYNC_US)
		took_us = 2 * LONE_SYNC_US;
	p->sync_us += (took_us - p->sync_us) / SYNCS_KEPT;
	p->at = p->group_at;
	counter_add(COUNTER_JOURNAL_SYNCS, 1);
	pthread_mutex_lock(&j->lock);
	j->durable = (struct journal_place){p->head.number, p->at};
	pthread_mutex_unlock(&j->lock);
	return 0;
}

/* What was not written is not known either; the rest of this segment may hold halves of it, or some
 * of it whole, and is left alone. `before`: the last sequence before this group. */
static void give_up(
    struct journal *j, struct journal_entry *first, struct journal_entry *end, uint64_t before)
{
	pthread_mutex_lock(&j->lock);
	refused_add(&j->refused, before + 1, j->pen.sequence);
	pthread_mutex_unlock(&j->lock);
	pthread_mutex_lock(&j->keys_lock);
	for (struct journal_entry *en = first; en != end; en = en->next)
		if (en->verdict != JOURNAL_REPEAT)
			pending_drop(j->keys, en->hash);
	pthread_mutex_unlock(&j->keys_lock);
	j->pen.filled = 0;
	j->pen.at = j->pen.head.size_bytes;
}

/* As many as fit into the segment: written, synced, answered. The first one not among them. */
static struct journal_entry *write_group(struct journal *j, struct journal_entry *first)
{
	struct pen *p = &j->pen;
	struct journal_entry *en = first;
	struct err e = {0};
	int rc = 0;
	if (p->at + first->length > p->head.size_bytes && !is_pending(j, first))
		rc = rotate(j, first->length, &e);
	if (rc < 0) {
		answer(j, first, NULL, &e);
		return NULL;
	}
	p->group_at = p->at;
	uint64_t before = p->sequence;
	for (; en && rc == 0; en = en->next) {
		if (en->verdict == JOURNAL_REPEAT || is_pending(j, en))
			continue;
		if (pen_end(p) + en->length > p->head.size_bytes)
			break;
		rc = write_entry(j, en, &e);
	}
	if (rc == 0)
		rc = sync_group(j, &e);
	if (rc < 0)
		give_up(j, first, en, before);
	else
		lately_put(j->lately, p->head.number, first, en);
	answer(j, first, en, rc < 0 ? &e : NULL);
	if (p->at > p->head.size_bytes / 4)
		journal_make_ahead(j);
	return en;
}

static struct journal_entry *batch_take(struct journal *j)
{
	struct journal_entry *first = j->first, **end = &first;
	for (unsigned n = 0; *end && n < GROUP_ENTRIES; n++)
		end = &(*end)->next;
	j->first = *end;
	if (!j->first)
		j->last = &j->first;
	*end = NULL;
	return first;
}

/* Keys that wait first, then the store's: one that leaves here in between has been committed there.
 * False: the store could not be asked without waiting, and nothing has happened. */
static bool batch_write(struct journal *j, struct journal_entry *first, bool may_wait)
{
	struct err e = {0};
	bool ask = false;
	for (struct journal_entry *en = first; en; en = en->next)
		ask |= !is_pending(j, en);
	int rc = ask && j->o.known ? j->o.known(j->o.ctx, first, may_wait, &e) : 0;
	if (rc > 0)
		return false;
	if (rc < 0)
		answer(j, first, NULL, &e);
	while (rc == 0 && first)
		first = write_group(j, first);
	if (j->o.drain)
		j->o.drain(j->o.ctx);
	return true;
}

static void wait_for_work(struct journal *j)
{
	struct timespec until = {
	    .tv_sec = j->wake_us / 1000000, .tv_nsec = j->wake_us % 1000000 * 1000};
	j->asleep = true;
	if (j->wake_us == INT64_MAX)
		pthread_cond_wait(&j->work, &j->lock);
	else
		(void)pthread_cond_timedwait(&j->work, &j->lock, &until);
	j->asleep = false;
}

static void *journal_main(void *arg)
{
	struct journal *j = arg;
	(void)pthread_setname_np(pthread_self(), "journal");
	thread_turns(TURN_US);
	pthread_mutex_lock(&j->lock);
	while (j->first || !j->closing) {
		if ((!j->first || j->lent) && clock_mono_us() < j->wake_us) {
			wait_for_work(j);
			continue;
		}
		struct journal_entry *batch = j->lent ? NULL : batch_take(j);
		j->writing = j->lent || batch != NULL;
		j->wake_us = INT64_MAX;
		pthread_mutex_unlock(&j->lock);
		if (batch)
			(void)batch_write(j, batch, true);
		else if (j->o.drain)
			j->o.drain(j->o.ctx);
		pthread_mutex_lock(&j->lock);
		j->writing = j->lent;
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}

int journal_append(struct journal *j, struct journal_entry *en, struct err *e)
{
	assert(en->key.n > 0);
	if (en->key.n > RECORD_KEY_MAX || en->meta.n > RECORD_META_MAX ||
	    en->body.n > RECORD_BODY_MAX)
		return err_set(e, ERR_TOO_LARGE, "the event is too large for the journal");
	en->length = (uint32_t)(RECORD_HEAD_BYTES + en->key.n + en->meta.n + en->body.n);
	en->hash = sip_128(&j->sip, en->key);
	en->verdict = JOURNAL_NEW;
	en->id = 0;
	en->other = 0;
	en->sequence = 0;
	en->next = NULL;
	pthread_mutex_lock(&j->lock);
	bool room = !j->closing && j->undrained_count < j->o.undrained_count_max &&
		    j->undrained_bytes + en->length <= j->o.undrained_bytes_max;
	if (room) {
		*j->last = en;
		j->last = &en->next;
		j->undrained_count++;
		j->undrained_bytes += en->length;
		j->last_us = clock_mono_us();
	}
	pthread_mutex_unlock(&j->lock);
	if (room)
		return 0;
	err_set(e, ERR_UNAVAILABLE, "could not take the event: too many wait to be stored");
	return err_hint(e, "try again in a moment");
}

/* The lock is held. */
static void tell(struct journal *j)
{
	if (j->first && j->asleep) {
		j->asleep = false; /* told once is enough */
		pthread_cond_signal(&j->work);
	}
}

void journal_go(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	j->lone = 0;
	tell(j);
	pthread_mutex_unlock(&j->lock);
}

/* Is the queue's one entry to be written by who asks? The lock is held, and the pen nobody's where
 * nothing is being written. One that does not fit might wait for a segment to be made. */
static bool is_lone(struct journal *j)
{
	const struct pen *p = &j->pen;
	bool one = !j->writing && j->first && !j->first->next;
	bool often = j->lone >= LONE_LEAST;
	j->lone = !one ? 0 : often ? j->lone : j->lone + 1;
	return one && often && p->sync_us < LONE_SYNC_US && j->first->length <= LONE_BYTES &&
	       p->at + j->first->length <= p->head.size_bytes;
}

static void put_back(struct journal *j, struct journal_entry *en)
{
	en->next = j->first;
	if (!j->first)
		j->last = &en->next;
	j->first = en;
	j->lone = 0;
}

/* Who waits for the disk himself is to come soon after it has answered, as the journal's thread is;
 * who takes on many at once is not interrupted. */
static void turns_of_caller(struct journal *j, bool brief)
{
	if (j->brief == brief)
		return;
	j->brief = brief;
	thread_turns(brief ? TURN_US : 0);
}

void journal_go_here(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	bool lone = is_lone(j);
	if (lone) {
		assert(!j->writing);
		struct journal_entry *en = batch_take(j);
		j->lent = j->writing = true;
		pthread_mutex_unlock(&j->lock);
		turns_of_caller(j, true);
		bool written = batch_write(j, en, false);
		pthread_mutex_lock(&j->lock);
		j->lent = j->writing = false;
		if (!written)
			put_back(j, en);
	}
	tell(j);
	pthread_mutex_unlock(&j->lock);
	if (!lone)
		turns_of_caller(j, false);
}

struct journal_level journal_level(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	struct journal_level l = {.bytes = j->undrained_bytes,
	    .bytes_max = j->o.undrained_bytes_max,
	    .count = j->undrained_count,
	    .count_max = j->o.undrained_count_max,
	    .busy = j->first || j->writing,
	    .last_us = (uint64_t)j->last_us};
	pthread_mutex_unlock(&j->lock);
	return l;
}

void journal_wake(struct journal *j, int64_t mono_us)
{
	pthread_mutex_lock(&j->lock);
	if (mono_us < j->wake_us) {
		j->wake_us = mono_us;
		pthread_cond_signal(&j->work);
	}
	pthread_mutex_unlock(&j->lock);
}

/* Opening. */

static int pen_open(struct journal *j, struct err *e)
{
	struct pen *p = &j->pen;
	struct journal_place at;
	uint32_t last;
	void *group = NULL;
	if (posix_memalign(&group, RECORD_BLOCK_BYTES, GROUP_BYTES) != 0)
		abort();
	p->group = group;
	if (journal_recover(j, &at, &last, e) < 0)
		return -1;
	if (at.segment == 0) {
		at = (struct journal_place){last + 1, SEGMENT_RECORDS_AT};
		if (at.segment < j->mark.next.segment + 1)
			at.segment = j->mark.next.segment + 1;
		if (segment_make(j->dir, at.segment, j->o.segment_least_bytes, 0, e) < 0)
			return -1;
	}
	if (pen_enter(j, at.segment, e) < 0)
		return -1;
	p->at = record_round(at.at_bytes, RECORD_BLOCK_BYTES);
	j->durable = (struct journal_place){p->head.number, p->at};
	/* Segments behind it that are there already, and empty, are used as they are. */
	if (last > at.segment) {
		j->making = MAKE_READY;
		j->make_number = at.segment + 1;
	}
	return 0;
}

static int threads_start(struct journal *j, struct err *e)
{
	int rc = pthread_create(&j->maker, NULL, journal_maker_main, j);
	if (rc == 0 && (rc = pthread_create(&j->thread, NULL, journal_main, j)) != 0) {
		pthread_mutex_lock(&j->lock);
		j->maker_ends = true;
		pthread_cond_signal(&j->make);
		pthread_mutex_unlock(&j->lock);
		(void)pthread_join(j->maker, NULL);
	}
	return rc == 0 ? 0
		       : err_sys(e, ERR_UNAVAILABLE, rc, "could not start the journal's threads");
}

static void journal_drop(struct journal *j)
{
	if (j->pen.fd >= 0)
		(void)io_get()->close(j->pen.fd);
	if (j->dir >= 0)
		(void)io_get()->close(j->dir);
	free(j->pen.group);
	pending_free(j->keys);
	refused_fini(&j->refused);
	lately_free(j->lately);
	pthread_cond_destroy(&j->work);
	pthread_cond_destroy(&j->make);
	pthread_cond_destroy(&j->made);
	pthread_mutex_destroy(&j->lock);
	pthread_mutex_destroy(&j->keys_lock);
	free(j);
}

static struct journal *journal_new(const struct journal_options *o, const struct journal_mark *mark)
{
	struct journal *j = mem_alloc(sizeof(*j));
	pthread_condattr_t mono;
	pthread_condattr_init(&mono);
	pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
	pthread_mutex_init(&j->lock, NULL);
	pthread_mutex_init(&j->keys_lock, NULL);
	pthread_cond_init(&j->work, &mono);
	pthread_cond_init(&j->make, NULL);
	pthread_cond_init(&j->made, NULL);
	pthread_condattr_destroy(&mono);
	rand_bytes(&j->sip, sizeof(j->sip));
	j->o = *o;
	if (!j->o.undrained_bytes_max)
		j->o.undrained_bytes_max = UNDRAINED_BYTES;
	if (!j->o.undrained_count_max)
		j->o.undrained_count_max = UNDRAINED_COUNT;
	if (!j->o.segment_least_bytes)
		j->o.segment_least_bytes = SEGMENT_LEAST;
	if (!j->o.segment_most_bytes)
		j->o.segment_most_bytes = SEGMENT_MOST;
	j->mark = *mark;
	j->drained_segment = mark->next.segment;
	j->last = &j->first;
	j->wake_us = 0; /* whatever was found is drained at once */
	j->keys = pending_new();
	j->lately = lately_new();
	j->pen.fd = j->dir = -1;
	return j;
}

struct journal *journal_open(const struct journal_options *o, const struct journal_mark *mark,
    uint64_t sequence_least, struct err *e)
{
	struct journal *j = journal_new(o, mark);
	j->pen.sequence = mark->sequence > sequence_least ? mark->sequence : sequence_least;
	if (fs_mkdirs(o->path, 0700, e) == 0) {
		j->dir = io_get()->openat(
		    AT_FDCWD, o->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW, 0);
		if (j->dir < 0)
			err_sys(
			    e, ERR_IO, errno, "could not open the journal's folder '%s'", o->path);
	}
	bool open = j->dir >= 0 && pen_open(j, e) == 0;
	if (open)
		journal_forget_left(j);
	if (!open || threads_start(j, e) < 0) {
		journal_drop(j);
		return NULL;
	}
	return j;
}

void journal_close(struct journal *j)
{
	if (!j)
		return;
	pthread_mutex_lock(&j->lock);
	j->closing = true;
	pthread_cond_signal(&j->work);
	pthread_mutex_unlock(&j->lock);
	(void)pthread_join(j->thread, NULL);
	pthread_mutex_lock(&j->lock);
	j->maker_ends = true;
	pthread_cond_signal(&j->make);
	pthread_mutex_unlock(&j->lock);
	(void)pthread_join(j->maker, NULL);
	journal_drop(j);
}
