/* The queue's life in the daemon: wakes up, claims, hands out, ends. Decisions are units.c's. */
#include "queue/queue.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/counters.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "queue/units.h"

#define PUMP_ARENA_BYTES (64u << 20)
/* Persisted due times are wall-clock; looking again at least this often follows a clock that jumps.
 */
#define LOOK_AGAIN_MS 30000
#define FINISH_AGAIN_MS 1000
#define ORPHANS_PER_ROUND 100u

struct running {
	struct queue_lease lease;
	int64_t attempt;
	bool cancel_told;
};

struct queue {
	struct queue_options o;
	struct loop_timer *timer, *again_timer;
	struct ending *again; /* that the store could not take; each counts in in_flight */
	struct running running[QUEUE_RUNNING_MAX];
	size_t running_count;
	atomic_uint
	    in_flight; /* pumps and endings under way; the queue is freed when they are back */
	bool pumping, pump_again, closing;
	atomic_bool kicked;
};

/* One round: what the unit needs and finds. Never shared while the writer has it. */
struct pump {
	struct queue *q;
	struct arena a;
	struct queue_lease ask[QUEUE_RUNNING_MAX]; /* running, not told to cancel yet */
	bool cancel[QUEUE_RUNNING_MAX];
	size_t ask_count, room, claimed_count;
	struct model_task claimed[QUEUE_RUNNING_MAX];
	int64_t due_ms;	 /* of the first that waits; 0: none */
	bool more, told; /* of the actions of events */
	int rc;
	struct err e;
};

struct ending {
	struct ending *next; /* in queue.again */
	struct queue *q;
	struct queue_ending f;
	char *result, *error;
	loop_fn *done;
	void *ctx;
	bool dead;
	int rc; /* of the unit: 1 ended, 0 lease lost */
	struct err e;
};

static void pump(struct queue *q);
static void endings_again(void *queue);
static void ending_free(struct ending *n);

static void queue_release(struct queue *q)
{
	if (!q->closing || q->in_flight > 0)
		return;
	mem_free_ptr(&q);
}

static struct running *running_find(struct queue *q, int64_t task_id)
{
	for (size_t i = 0; i < q->running_count; i++)
		if (q->running[i].lease.task_id == task_id)
			return &q->running[i];
	return NULL;
}

static void hand_out(struct queue *q, const struct model_task *t, bool recovered)
{
	struct queue_lease l = {
	    .task_id = t->id, .counter = t->lease_counter, .incarnation = q->o.incarnation};
	q->running[q->running_count++] = (struct running){.lease = l, .attempt = t->attempt};
	if (q->o.changed)
		q->o.changed(q->o.ctx, t->id);
	q->o.run(q->o.ctx, t, l, recovered);
}

static int pump_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct pump *p = ctx;
	struct queue *q = p->q;
	for (size_t i = 0; i < p->ask_count; i++) {
		int rc = queue_unit_cancel_wanted(db, p->ask[i], e);
		if (rc < 0)
			return -1;
		p->cancel[i] = rc == 1;
	}
	if (queue_unit_adopt(db, &p->a, clock_wall_ms(), ORPHANS_PER_ROUND, e) != 0)
		return -1;
	if (q->o.advance && q->o.advance(q->o.ctx, db, clock_wall_ms(), &p->more, &p->told, e) != 0)
		return -1;
	if (queue_unit_claim(db, &p->a, q->o.incarnation, clock_wall_ms(), q->o.parallel_max,
		p->claimed, p->room, &p->claimed_count, e) != 0)
		return -1;
	return queue_unit_next_due(db, &p->due_ms, e) < 0 ? -1 : 0;
}

static void pump_back(void *ctx)
{
	struct pump *p = ctx;
	struct queue *q = p->q;
	q->pumping = false;
	if (p->rc != 0)
		log_event(LOG_ERROR, "queue", "claim_failed", F_ERR(&p->e));
	for (size_t i = 0; !q->closing && i < p->claimed_count && p->rc == 0; i++)
		hand_out(q, &p->claimed[i], false);
	for (size_t i = 0; !q->closing && i < p->ask_count && p->rc == 0; i++) {
		struct running *r = running_find(q, p->ask[i].task_id);
		if (!p->cancel[i] || !r || r->cancel_told)
			continue;
		r->cancel_told = true;
		q->o.cancel(q->o.ctx, r->lease.task_id);
	}
	if (!q->closing) {
		int64_t wait = LOOK_AGAIN_MS;
		int64_t due_in = p->due_ms - clock_wall_ms();
		if (p->rc == 0 && p->due_ms > 0 && due_in < wait)
			wait = due_in > 20 ? due_in : (p->claimed_count > 0 ? 20 : 1000);
		loop_timer_at(q->timer, clock_mono_ms() + wait);
		if (p->rc == 0 && p->told)
			q->o.told(q->o.ctx);
		if (q->pump_again || (p->rc == 0 && p->more))
			pump(q);
	}
	arena_fini(&p->a);
	mem_free_ptr(&p);
	q->in_flight--;
	queue_release(q);
}

static void pump_done(void *ctx, int rc, const struct err *e)
{
	struct pump *p = ctx;
	p->rc = rc;
	if (rc != 0) {
		p->claimed_count = 0;
		p->e = *e;
	}
	loop_post(p->q->o.loop, pump_back, p);
}

/* One pump is under way at a time; a kick in between asks for another. */
static void pump(struct queue *q)
{
	if (q->closing)
		return;
	q->pump_again = q->pumping;
	if (q->pumping)
		return;
	struct pump *p = mem_alloc(sizeof(*p));
	p->q = q;
	arena_init(&p->a, PUMP_ARENA_BYTES);
	p->room = QUEUE_RUNNING_MAX - q->running_count;
	for (size_t i = 0; i < q->running_count; i++)
		if (!q->running[i].cancel_told)
			p->ask[p->ask_count++] = q->running[i].lease;
	q->pumping = true;
	q->in_flight++;
	struct err e;
	if (store_submit(q->o.store, pump_unit, pump_done, p, &e) != 0) {
		p->rc = -1;
		p->e = e;
		loop_post(q->o.loop, pump_back, p);
	}
}

static void on_timer(void *ctx)
{
	pump(ctx);
}

static void on_kick(void *ctx)
{
	struct queue *q = ctx;
	atomic_store(&q->kicked, false);
	if (!q->closing)
		pump(q);
	q->in_flight--;
	queue_release(q);
}

/* The tasks found running are handed out from the loop, after queue_open has returned. */
struct recovery {
	struct queue *q;
	struct arena a;
	struct model_task tasks[QUEUE_RUNNING_MAX];
	size_t count;
};

static int recover_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct recovery *r = ctx;
	return queue_unit_recover(db, &r->a, r->q->o.incarnation, clock_wall_ms(), r->tasks,
	    QUEUE_RUNNING_MAX, &r->count, e);
}

static void recovered(void *ctx)
{
	struct recovery *r = ctx;
	struct queue *q = r->q;
	for (size_t i = 0; !q->closing && i < r->count; i++)
		hand_out(q, &r->tasks[i], true);
	if (!q->closing)
		pump(q);
	arena_fini(&r->a);
	mem_free_ptr(&r);
	q->in_flight--;
	queue_release(q);
}

struct queue *queue_open(const struct queue_options *o, struct err *e)
{
	if (o->parallel_max < 1 || o->parallel_max > QUEUE_PARALLEL_MAX) {
		(void)err_set(
		    e, ERR_SETTINGS, "tasks at once must be from 1 to %u", QUEUE_PARALLEL_MAX);
		return NULL;
	}
	struct queue *q = mem_alloc(sizeof(*q));
	q->o = *o;
	struct recovery *r = mem_alloc(sizeof(*r));
	r->q = q;
	arena_init(&r->a, PUMP_ARENA_BYTES);
	if (store_write(o->store, recover_unit, r, e) != 0) {
		arena_fini(&r->a);
		mem_free_ptr(&r);
		mem_free_ptr(&q);
		return NULL;
	}
	q->timer = loop_timer_new(o->loop, on_timer, q);
	q->again_timer = loop_timer_new(o->loop, endings_again, q);
	q->in_flight++;
	loop_post(o->loop, recovered, r);
	return q;
}

void queue_close(struct queue *q)
{
	if (!q)
		return;
	loop_timer_free(q->timer);
	loop_timer_free(q->again_timer);
	q->closing = true;
	/* Their tasks are found running by the next life. */
	for (struct ending *n; (n = q->again); q->in_flight--) {
		q->again = n->next;
		ending_free(n);
	}
	queue_release(q);
}

void queue_kick(struct queue *q)
{
	if (atomic_exchange(&q->kicked, true))
		return;
	q->in_flight++;
	loop_post(q->o.loop, on_kick, q);
}

static int ending_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct ending *n = ctx;
	n->rc = queue_unit_finish(db, &n->f, &n->dead, e);
	return n->rc < 0 ? -1 : 0;
}

static void count_end(const struct ending *n)
{
	bool bad = n->f.how == QUEUE_FAILED || n->dead;
	if (n->rc == 1 && (bad || n->f.how != QUEUE_RETRY))
		counter_add(bad ? COUNTER_TASKS_FAILED : COUNTER_TASKS_DONE, 1);
}

static void ending_free(struct ending *n)
{
	mem_free_ptr(&n->result);
	mem_free_ptr(&n->error);
	mem_free_ptr(&n);
}

/* A task that stayed `running` would block its project for the rest of this life. */
static void ending_put_off(struct ending *n)
{
	struct queue *q = n->q;
	log_event(
	    LOG_ERROR, "queue", "finish_failed", F_I64("task", n->f.lease.task_id), F_ERR(&n->e));
	n->next = q->again;
	q->again = n;
	loop_timer_at(q->again_timer, clock_mono_ms() + FINISH_AGAIN_MS);
}

static void ending_back(void *ctx)
{
	struct ending *n = ctx;
	struct queue *q = n->q;
	if (n->rc < 0 && !q->closing) {
		ending_put_off(n);
		return;
	}
	count_end(n);
	struct running *r = running_find(q, n->f.lease.task_id);
	if (r)
		*r = q->running[--q->running_count];
	if (!q->closing && q->o.changed)
		q->o.changed(q->o.ctx, n->f.lease.task_id);
	if (n->done)
		n->done(n->ctx);
	if (!q->closing)
		pump(q);
	ending_free(n);
	q->in_flight--;
	queue_release(q);
}

static void ending_done(void *ctx, int rc, const struct err *e)
{
	struct ending *n = ctx;
	if (rc != 0) {
		n->rc = -1;
		n->e = *e;
	}
	loop_post(n->q->o.loop, ending_back, n);
}

static void ending_submit(struct ending *n)
{
	n->rc = 0;
	if (store_submit(n->q->o.store, ending_unit, ending_done, n, &n->e) != 0) {
		n->rc = -1;
		loop_post(n->q->o.loop, ending_back, n);
	}
}

static void endings_again(void *queue)
{
	struct queue *q = queue;
	struct ending *list = q->again;
	q->again = NULL;
	for (struct ending *n; (n = list);) {
		list = n->next;
		ending_submit(n);
	}
}

void queue_finish(struct queue *q, struct queue_lease l, enum queue_end how, struct str result_json,
    struct str error_json, loop_fn *done, void *ctx)
{
	struct ending *n = mem_alloc(sizeof(*n));
	const struct running *r = running_find(q, l.task_id);
	int64_t now = clock_wall_ms();
	n->q = q;
	n->result = mem_dup(result_json);
	n->error = mem_dup(error_json);
	n->done = done;
	n->ctx = ctx;
	n->f = (struct queue_ending){.lease = l,
	    .how = how,
	    .result_json = {n->result, result_json.n},
	    .error_json = {n->error, error_json.n},
	    .now_ms = now,
	    .due_ms = now + queue_backoff_ms(r ? r->attempt : 1, rand_below(UINT64_C(1) << 32))};
	q->in_flight++;
	ending_submit(n);
}
