#include "queue/intake.h"

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "queue/delivery.h"
#include "queue/drain.h"
#include "queue/keys.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOKUP_MS 5000
#define GROUP_AHEAD 16u	     /* so many are written while the loop takes on more */
#define IDLE_US 20000	     /* nothing came for so long: draining need not stand back */
#define PAUSE_FACTOR 2	     /* of a batch's own time, while something comes */
#define PAUSE_LEAST_US 50000 /* the same: few large commits beside the journal's own syncs */
#define PAUSE_MOST_US 1000000 /* a push that comes last waits for it */
#define BEHIND                                                                                     \
	(2 * DRAIN_BATCH_MAX) /* so many may wait meanwhile: the journal has them in memory */
#define RETRY_US 500000	      /* after a batch that could not be applied */
#define KEEP_MS (90ll * 24 * 3600 * 1000)
#define SWEEP_MS (3600ll * 1000) /* between two that leave nothing to do */
#define SWEEP_LOOK_MS 5000
#define SWEEP_FIRST 12 /* so many looks after opening */
#define SWEEP_EVENTS 4000u

struct intake {
	struct intake_options o;
	struct journal *journal; /* NULL: none */
	struct journal_reader *reader;
	struct drain_batch batch;  /* one is under way at a time: whoever set `draining` owns it */
	struct journal_place from; /* of the batch, to go back to */
	uint64_t from_sequence, last_sequence;
	int64_t began_us;
	atomic_bool draining, closing, ready;
	_Atomic int64_t rest_until_us; /* no batch begins before */
	atomic_bool failed;	       /* the last batch: it rests whatever waits */
	bool sweeping;		       /* under lock */
	atomic_bool more;	       /* the last sweep left some */
	int64_t swept_mono_ms;
	struct loop_timer *sweep_timer;
	struct loop_turn *turn;
	atomic_uint queued;	  /* and the journal not told yet */
	struct keys *keys;	  /* with `written` of the journal's thread */
	uint64_t written;	  /* sequence of the last entry that was */
	_Atomic uint64_t drained; /* of the last that is in the store */

	pthread_mutex_t lock;
	pthread_cond_t rested; /* a batch has ended */
};

/* Without a journal: a unit of the store's. */

static int ask_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct intake_ask *ask = ctx;
	return queue_unit_accept(db, &ask->d, &ask->got, e);
}

static void kick(struct intake *in)
{
	if (in->o.queue)
		queue_kick(in->o.queue);
}

static void ask_done(void *ctx, int rc, const struct err *e)
{
	struct intake_ask *ask = ctx;
	struct intake *in = ask->in;
	bool work = rc == 0 && ask->got.task_id && !ask->got.repeated;
	ask->done(ask, rc, e); /* the ask may be gone now */
	if (work)
		kick(in);
}

/* With one. */

static void entry_done(struct journal_entry *en, int rc, const struct err *e)
{
	struct intake_ask *ask =
	    (struct intake_ask *)(void *)((char *)en - offsetof(struct intake_ask, entry));
	if (rc == 0 && en->verdict != JOURNAL_REPEAT)
		ask->in->written = en->sequence;
	ask->got = (struct queue_accepted){.event_id = (int64_t)en->id,
	    .task_id = en->other,
	    .repeated = en->verdict == JOURNAL_REPEAT};
	ask->done(ask, rc, e);
}

static int known_one(struct store_db *db, struct journal_entry *en, struct err *e)
{
	const struct intake_ask *ask =
	    (const struct intake_ask *)(const void *)((const char *)en -
						      offsetof(struct intake_ask, entry));
	struct model_event ev;
	int rc = model_event_known(db, ask->d.hook_id, ask->d.key, &ev, e);
	if (rc <= 0)
		return rc;
	bool again = ev.outcome == MODEL_OUTCOME_FAILED ||
		     (ev.outcome == MODEL_OUTCOME_IGNORED && ask->d.triggers);
	en->id = (uint64_t)ev.id;
	en->verdict = again ? JOURNAL_AGAIN : JOURNAL_REPEAT;
	en->other = en->verdict == JOURNAL_REPEAT ? ev.task_id : 0;
	return 0;
}

/* On the loop, which may not wait, only a reader that is free at this moment is taken, and the keys
 * are not read on. */
static int known(void *ctx, struct journal_entry *first, bool may_wait, struct err *e)
{
	struct intake *in = ctx;
	struct store_db *db = NULL;
	size_t group = 0;
	int rc = 0;
	if (!may_wait && keys_reading(in->keys))
		return 1;
	for (const struct journal_entry *en = first; en; en = en->next)
		group++;
	keys_go_on(in->keys, group, in->written, atomic_load(&in->drained));
	for (struct journal_entry *en = first; en && rc == 0; en = en->next) {
		if (en->verdict != JOURNAL_NEW || !keys_may_have(in->keys, en->key))
			continue;
		if (!db)
			db = store_read_begin(
			    in->o.store, may_wait ? clock_mono_ms() + LOOKUP_MS : 0, e);
		rc = db ? known_one(db, en, e) : may_wait ? -1 : 1;
	}
	store_read_end(in->o.store, db);
	return rc;
}

static void write_on(struct intake *in)
{
	atomic_store(&in->queued, 0);
	journal_go(in->journal);
}

int intake_accept(struct intake *in, struct intake_ask *ask, struct arena *a, struct err *e)
{
	struct delivery_packed packed;
	ask->in = in;
	if (!in->journal)
		return store_submit(in->o.store, ask_unit, ask_done, ask, e);
	if (delivery_pack(&ask->d, a, &packed, e) != 0)
		return -1;
	ask->entry = (struct journal_entry){
	    .key = packed.key, .meta = packed.meta, .body = ask->d.body, .done = entry_done};
	if (journal_append(in->journal, &ask->entry, e) != 0)
		return -1;
	if (!in->turn || atomic_fetch_add(&in->queued, 1) + 1 >= GROUP_AHEAD)
		write_on(in);
	return 0;
}

/* What came in one turn of the loop and is not on its way is one group. One alone may be written
 * here; its answer may let the sender's next request in. */
static void on_turn(void *ctx)
{
	struct intake *in = ctx;
	if (atomic_load(&in->queued) > 0) {
		atomic_store(&in->queued, 0);
		journal_go_here(in->journal);
	}
	if (atomic_load(&in->queued) > 0)
		write_on(in);
}

/* Draining: all on the store's writer thread, one batch at a time. */

/* When the rest is over, or nothing comes any more. */
static void wake_to_drain(struct intake *in)
{
	int64_t rest_us = atomic_load(&in->rest_until_us), look_us = clock_mono_us() + IDLE_US;
	bool look = !atomic_load(&in->failed) && look_us < rest_us;
	journal_wake(in->journal, look ? look_us : rest_us);
}

/* Afterwards all of it may be gone: intake_close waits for nothing else. */
static void draining_end(struct intake *in)
{
	pthread_mutex_lock(&in->lock);
	atomic_store(&in->draining, false); /* before the wake, whose drain would leave it at that */
	pthread_cond_broadcast(&in->rested);
	if (!atomic_load(&in->closing))
		wake_to_drain(in);
	pthread_mutex_unlock(&in->lock);
}

static void batch_end(struct intake *in, int64_t pause_us)
{
	atomic_store(&in->rest_until_us, clock_mono_us() + pause_us);
	draining_end(in);
}

static bool stands_back(const struct journal_level *l)
{
	if (l->bytes > l->bytes_max / 2 || l->count > l->count_max / 2 || l->count > BEHIND)
		return false;
	return l->busy || clock_mono_us() - (int64_t)l->last_us < IDLE_US;
}

static void batch_applied(struct intake *in)
{
	journal_drained(in->journal, in->batch.records, in->batch.n);
	counter_add(COUNTER_JOURNAL_DRAINED, in->batch.n);
	if (in->batch.n > 0) {
		in->from = in->batch.records[in->batch.n - 1].next;
		in->from_sequence = in->last_sequence;
		atomic_store(&in->drained, in->last_sequence);
	}
	if (in->batch.failed > 0)
		log_event(LOG_ERROR, "intake", "actions_failed",
		    F_I64("events", in->batch.failed), F_I64("event", in->batch.failed_event),
		    F_ERR(&in->batch.failed_why));
	if (in->batch.applied < in->batch.n)
		log_event(LOG_WARN, "intake", "not_stored",
		    F_I64("events", in->batch.n - in->batch.applied),
		    F_C("why", "their hooks are gone, or their keys were stored meanwhile"));
}

static void batch_done(void *ctx, int rc, const struct err *e)
{
	struct intake *in = ctx;
	int64_t took_us = clock_mono_us() - in->began_us;
	bool work = rc == 0 && in->batch.tasks > 0;
	if (rc == 0) {
		batch_applied(in);
	} else {
		log_event(LOG_ERROR, "intake", "drain_failed", F_ERR(e));
		journal_reader_seek(in->reader, in->from, in->from_sequence);
	}
	struct journal_level l = journal_level(in->journal);
	if (work)
		kick(in);
	int64_t pause_us = took_us * PAUSE_FACTOR;
	if (pause_us < PAUSE_LEAST_US)
		pause_us = PAUSE_LEAST_US;
	if (pause_us > PAUSE_MOST_US)
		pause_us = PAUSE_MOST_US;
	atomic_store(&in->failed, rc != 0);
	batch_end(in, rc != 0 ? RETRY_US : stands_back(&l) ? pause_us : 0);
}

/* How many were read; -1. */
static int batch_read(struct intake *in, unsigned max, struct err *e)
{
	struct journal_record r;
	int rc = 1;
	drain_clear(&in->batch);
	while (in->batch.n < max && (rc = journal_read(in->reader, &r, e)) > 0) {
		drain_add(&in->batch, &r);
		in->last_sequence = r.sequence;
	}
	return rc < 0 ? -1 : (int)in->batch.n;
}

static int batch_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct intake *in = ctx;
	in->began_us = clock_mono_us();
	int n = batch_read(in, DRAIN_BATCH_MAX, e);
	in->batch.now_ms = clock_wall_ms();
	return n > 0 ? drain_unit(db, &in->batch, e) : n;
}

static void drain(void *ctx)
{
	struct intake *in = ctx;
	struct err e;
	if (!atomic_load(&in->ready) || atomic_load(&in->closing))
		return;
	struct journal_level l = journal_level(in->journal);
	if (l.count == 0)
		return;
	int64_t rest_us = atomic_load(&in->rest_until_us);
	if (clock_mono_us() < rest_us && (atomic_load(&in->failed) || stands_back(&l))) {
		wake_to_drain(in);
		return;
	}
	if (atomic_exchange(&in->draining, true))
		return;
	if (atomic_load(&in->closing)) { /* and did not see `draining` */
		draining_end(in);
		return;
	}
	in->batch.n = 0;
	if (store_submit(in->o.store, batch_unit, batch_done, in, &e) != 0)
		batch_done(in, -1, &e);
}

/* Ages: what is older than 90 days leaves the store, and then its segments the disk. */

struct sweep {
	struct intake *in;
	struct model_journal before;
	int64_t gone;
};

static int sweep_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct sweep *s = ctx;
	struct model_journal now;
	int64_t oldest;
	if (model_event_prune(db, clock_wall_ms() - KEEP_MS, SWEEP_EVENTS, &s->gone, e) < 0 ||
	    model_event_oldest_segment(db, &oldest, e) < 0 || model_journal_get(db, &now, e) < 0)
		return -1;
	s->before = now;
	if (oldest == 0 || oldest > now.segment)
		oldest = now.segment;
	if (oldest <= now.oldest || now.segment == 0)
		return 0;
	now.oldest = oldest;
	return model_journal_set(db, &now, e);
}

static int sweep_after(void *ctx, struct store_db *db, struct err *e)
{
	return model_journal_get(db, ctx, e) < 0 ? -1 : 0;
}

/* On a thread of the pool. The old mark's `oldest` is where removing begins; what a crash in between
 * leaves goes when the journal is opened again. */
static void sweep(struct sweep *s)
{
	struct model_journal after;
	struct err e;
	if (store_write(s->in->o.store, sweep_unit, s, &e) < 0 ||
	    store_write(s->in->o.store, sweep_after, &after, &e) < 0) {
		log_event(LOG_WARN, "intake", "sweep_failed", F_ERR(&e));
		return;
	}
	atomic_store(&s->in->more, s->gone >= SWEEP_EVENTS);
	journal_forget(s->in->journal, (uint32_t)(s->before.oldest ? s->before.oldest : 1),
	    (uint32_t)after.oldest);
}

static void sweep_work(void *ctx)
{
	struct intake *in = ((struct sweep *)ctx)->in;
	sweep(ctx);
	pthread_mutex_lock(&in->lock);
	in->sweeping = false;
	pthread_cond_broadcast(&in->rested);
	pthread_mutex_unlock(&in->lock);
}

static void on_sweep(void *ctx)
{
	struct intake *in = ctx;
	struct err e;
	int64_t now_ms = clock_mono_ms();
	loop_timer_at(in->sweep_timer, now_ms + in->o.sweep_look_ms);
	/* What the one before left is looked at only when that is over: it says so a little earlier. */
	pthread_mutex_lock(&in->lock);
	bool go = !in->sweeping && (atomic_exchange(&in->more, false) ||
				       now_ms >= in->swept_mono_ms + SWEEP_MS);
	in->sweeping = in->sweeping || go;
	pthread_mutex_unlock(&in->lock);
	if (!go)
		return;
	in->swept_mono_ms = now_ms;
	struct sweep *s = mem_alloc(sizeof(*s));
	s->in = in;
	if (loop_work(in->o.loop, sweep_work, free, s, &e) == 0)
		return;
	free(s);
	in->sweeping = false;
}

/* Opening. */

static int journal_start(struct intake *in, struct err *e)
{
	struct model_journal m;
	int64_t last = 0;
	struct store_db *db = store_read_begin(in->o.store, clock_mono_ms() + LOOKUP_MS, e);
	int rc = db ? model_journal_get(db, &m, e) : -1;
	if (rc >= 0)
		rc = model_event_last_id(db, &last, e);
	store_read_end(in->o.store, db);
	if (rc < 0)
		return -1;
	struct journal_options jo = in->o.limits;
	jo.path = in->o.journal;
	jo.known = known;
	jo.drain = drain;
	jo.ctx = in;
	struct journal_mark mark = {.next = {(uint32_t)m.segment, (uint64_t)m.at_bytes},
	    .sequence = (uint64_t)m.sequence,
	    .oldest = (uint32_t)m.oldest};
	in->from = mark.next;
	in->from_sequence = mark.sequence;
	in->keys = keys_new(in->o.store); /* before the journal's thread runs */
	in->journal = journal_open(&jo, &mark, (uint64_t)last, e);
	if (!in->journal)
		return -1;
	in->reader = journal_reader_new(in->journal);
	atomic_store(&in->ready, true); /* its thread runs already */
	journal_wake(in->journal, clock_mono_us());
	return 0;
}

struct intake *intake_open(const struct intake_options *o, struct err *e)
{
	struct intake *in = mem_alloc(sizeof(*in));
	in->o = *o;
	if (!in->o.sweep_look_ms)
		in->o.sweep_look_ms = SWEEP_LOOK_MS;
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->rested, NULL);
	drain_init(&in->batch);
	if (o->journal && journal_start(in, e) < 0) {
		intake_close(in);
		return NULL;
	}
	if (o->journal && o->loop) {
		in->turn = loop_turn_new(o->loop, on_turn, in);
		in->sweep_timer = loop_timer_new(o->loop, on_sweep, in);
		in->swept_mono_ms = clock_mono_ms() - SWEEP_MS;
		loop_timer_at(
		    in->sweep_timer, clock_mono_ms() + SWEEP_FIRST * in->o.sweep_look_ms);
	}
	return in;
}

void intake_close(struct intake *in)
{
	if (!in)
		return;
	atomic_store(&in->closing, true);
	loop_timer_free(in->sweep_timer);
	loop_turn_free(in->turn);
	pthread_mutex_lock(&in->lock);
	while (in->sweeping || (in->journal && atomic_load(&in->draining)))
		pthread_cond_wait(&in->rested, &in->lock);
	pthread_mutex_unlock(&in->lock);
	journal_close(in->journal);
	journal_reader_free(in->reader);
	keys_free(in->keys);
	drain_fini(&in->batch);
	pthread_cond_destroy(&in->rested);
	pthread_mutex_destroy(&in->lock);
	free(in);
}

/* Repeats leave without a batch, so the end of one is not all that is to be waited for. */
void intake_settle(struct intake *in, int64_t until_mono_ms)
{
	while (in->journal && clock_mono_ms() < until_mono_ms &&
	       (journal_level(in->journal).count > 0 || atomic_load(&in->draining)))
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

struct journal_level intake_level(struct intake *in)
{
	return in->journal ? journal_level(in->journal) : (struct journal_level){0};
}

static int body_from_journal(struct intake *in, const struct model_event *ev, struct arena *a,
    struct str *ret, struct err *e)
{
	struct journal_place p = {(uint32_t)ev->body_segment, (uint64_t)ev->body_at};
	if (!in || !in->journal)
		return err_set(
		    e, ERR_UNAVAILABLE, "the event's body is in a journal that is not open");
	return journal_body(in->journal, p, a, ret, e);
}

int intake_body(struct intake *in, const struct model_event *ev, struct arena *a, struct str *ret,
    struct err *e)
{
	return ev->body_segment ? body_from_journal(in, ev, a, ret, e) : 0;
}
