/* What the clock asks for. */
#include "queue/schedule.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "model/look.h"
#include "model/project.h"
#include "queue/units.h"

#define AGAIN_MS 1000		  /* more are due: the next few */
#define IDLE_MS LIMIT_POLL_MIN_MS /* a project may have been given its time just now */
#define PRUNE_EVERY_MS 3600000
#define BACKOFF_MOST_MS (QUEUE_BACKOFF_MAX_MS / 4 * 5)
#define LOOK_ARENA_BYTES (256u << 10)
#define LOOK_INPUT STR("{\"look\":true}")

struct schedule {
	struct schedule_options o;
	struct loop_timer *timer;
	bool closing, under_way;
	struct schedule_round round; /* the unit's while one is under way */
	int rc;			     /* of it */
	struct err e;
};

int schedule_unit_begin(struct store_db *db, int64_t now_ms, bool *ret_missed, struct err *e)
{
	int64_t ended;
	int rc = model_look_ended_get(db, &ended, e);
	if (rc < 0)
		return -1;
	*ret_missed =
	    rc == 1 && (ended == 0 || now_ms < ended || now_ms - ended > SCHEDULE_AWAY_MS);
	if (*ret_missed && model_look_missed(db, now_ms, e) < 0)
		return -1;
	return model_look_ended_set(db, 0, e);
}

static int look(
    struct store_db *db, int64_t project_id, struct str ref, int64_t now_ms, struct err *e)
{
	const struct model_task t = {.project_id = project_id,
	    .kind = MODEL_TASK_DEPLOY,
	    .ref = ref,
	    .input = LOOK_INPUT,
	    .attempts_max = QUEUE_PUSH_ATTEMPTS,
	    .due_ms = now_ms,
	    .created_ms = now_ms,
	    .requested_by = STR("schedule")};
	struct model_task_added added;
	return model_task_add(db, &t, &added, e);
}

static int look_at(struct store_db *db, const struct model_look *l, int64_t now_ms, struct err *e)
{
	if (model_look_forget(db, l->project_id, LOOK_INPUT, e) < 0)
		return -1;
	for (size_t i = 0; i < l->ref_count; i++)
		if (look(db, l->project_id, l->refs[i], now_ms, e) < 0)
			return -1;
	return 0;
}

int schedule_unit_look(struct store_db *db, int64_t now_ms, size_t *ret_count, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	struct model_looks due;
	arena_init(&a, LOOK_ARENA_BYTES);
	*ret_count = 0;
	if (model_look_take(db, &a, now_ms, SCHEDULE_AT_ONCE, &due, e) < 0)
		return -1;
	for (size_t i = 0; i < due.n; i++) {
		if (!due.v[i].worthwhile)
			continue;
		if (look_at(db, &due.v[i], now_ms, e) < 0)
			return -1;
		(*ret_count)++;
	}
	return 0;
}

int schedule_unit_prune(struct store_db *db, int64_t now_ms, bool *ret_more, struct err *e)
{
	int64_t gone, before = now_ms - SCHEDULE_KEPT_MS;
	if (model_task_prune(db, before, SCHEDULE_PRUNED_AT_ONCE, &gone, e) < 0)
		return -1;
	*ret_more = gone >= (int64_t)SCHEDULE_PRUNED_AT_ONCE;
	return model_project_purge(db, before, e);
}

/* Pushes of a clock that was ahead may still come out of the journal: tasks are asked for each time. */
static int set_back(struct store_db *db, struct schedule_round *r, struct err *e)
{
	int n = model_task_set_back(db, r->now_ms, r->now_ms + BACKOFF_MOST_MS, e);
	if (n < 0)
		return -1;
	r->earlier = (size_t)n;
	bool there_was = r->last_ms > 0 && r->last_ms <= r->now_ms;
	return there_was ? 0 : model_look_set_back(db, r->now_ms, e);
}

int schedule_unit_round(struct store_db *db, struct schedule_round *r, struct err *e)
{
	r->more_is_old = false;
	if (set_back(db, r, e) < 0)
		return -1;
	if (schedule_unit_look(db, r->now_ms, &r->looks, e) < 0)
		return -1;
	r->pruned = r->now_ms < r->pruned_ms || r->now_ms - r->pruned_ms > PRUNE_EVERY_MS;
	if (r->pruned && schedule_unit_prune(db, r->now_ms, &r->more_is_old, e) < 0)
		return -1;
	int rc = model_look_next(db, &r->due_ms, e);
	if (rc == 0)
		r->due_ms = 0;
	return rc < 0 ? -1 : 0;
}

int64_t schedule_round_over(struct schedule_round *r, int rc, int64_t now_ms)
{
	int64_t wait = IDLE_MS, due_in = r->due_ms - now_ms;
	if (rc == 0)
		r->last_ms = r->now_ms;
	/* Not before: what was rolled back is still there, and so are those beyond the first few. */
	if (rc == 0 && r->pruned && !r->more_is_old)
		r->pruned_ms = r->now_ms;
	if (rc == 0 && r->more_is_old)
		return AGAIN_MS;
	if (rc == 0 && r->due_ms > 0 && due_in < wait)
		wait = due_in > AGAIN_MS ? due_in : AGAIN_MS;
	return wait;
}

static int round_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct schedule *s = ctx;
	s->round.now_ms = clock_wall_ms();
	return schedule_unit_round(db, &s->round, e);
}

static void round_back(void *ctx)
{
	struct schedule *s = ctx;
	s->under_way = false;
	if (s->closing) {
		mem_free_ptr(&s);
		return;
	}
	if (s->rc != 0)
		log_event(LOG_WARN, "queue", "schedule_failed", F_ERR(&s->e));
	else if (s->round.looks + s->round.earlier > 0)
		queue_kick(s->o.queue);
	int64_t wait = schedule_round_over(&s->round, s->rc, clock_wall_ms());
	loop_timer_at(s->timer, clock_mono_ms() + wait);
}

static void round_done(void *ctx, int rc, const struct err *e)
{
	struct schedule *s = ctx;
	s->rc = rc;
	if (rc != 0)
		s->e = *e;
	loop_post(s->o.loop, round_back, s);
}

static void round_begin(void *ctx)
{
	struct schedule *s = ctx;
	struct err e;
	s->under_way = true;
	if (store_submit(s->o.store, round_unit, round_done, s, &e) != 0)
		round_done(s, -1, &e);
}

struct beginning {
	int64_t now_ms;
	bool missed;
};

static int begin_run(void *ctx, struct store_db *db, struct err *e)
{
	struct beginning *b = ctx;
	return schedule_unit_begin(db, b->now_ms, &b->missed, e);
}

struct schedule *schedule_open(const struct schedule_options *o, struct err *e)
{
	struct beginning b = {.now_ms = clock_wall_ms()};
	if (store_write(o->store, begin_run, &b, e) != 0)
		return NULL;
	if (b.missed)
		log_event(LOG_INFO, "queue", "was_away", F_C("so", "branches are looked at"));
	struct schedule *s = mem_alloc(sizeof(*s));
	s->o = *o;
	s->timer = loop_timer_new(o->loop, round_begin, s);
	loop_timer_at(s->timer, clock_mono_ms() + AGAIN_MS);
	return s;
}

static int end_run(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return model_look_ended_set(db, clock_wall_ms(), e);
}

void schedule_close(struct schedule *s)
{
	struct err e;
	if (!s)
		return;
	loop_timer_free(s->timer);
	if (store_write(s->o.store, end_run, NULL, &e) != 0)
		log_event(LOG_WARN, "queue", "end_not_noted", F_ERR(&e));
	s->closing = true;
	if (!s->under_way)
		mem_free_ptr(&s);
}
