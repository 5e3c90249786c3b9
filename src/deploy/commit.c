/* A task's transitions on their way to the store: step rows, the machine's state and what joins
 * them become durable together, and only then the next action starts. */
#include "deploy/work.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

/* One transition on its way to the store; the writer thread sees only this and what `also` names.
 */
struct commit {
	struct work *w;
	struct deploy_actions acts;
	const char *end_step, *begin_step; /* NULL: none */
	enum deploy_phase end_phase, begin_phase;
	enum model_step_state end_state;
	struct buf detail, progress;
	int64_t now_ms, end_ms;
	work_unit_fn *also;
	int rc;
	struct err e;
};

int work_fence(const struct work *w, struct store_db *db, struct err *e)
{
	int rc = queue_unit_fence(db, w->lease, e);
	return rc == 0 ? err_set(e, ERR_CONFLICT, "task %lld is run by another daemon now",
			     (long long)w->lease.task_id)
		       : (rc < 0 ? -1 : 0);
}

int work_remember(struct work *w, struct store_db *db, struct err *e)
{
	struct model_lease l = {
	    .task_id = w->lease.task_id, .owner = w->task.lease_owner, .counter = w->lease.counter};
	/* The loop may note meanwhile that somebody cancels; what goes well so far has no outcome. */
	const struct deploy_state now = {.phase = w->act.phase, .attempt = w->act.attempt};
	const char *step = deploy_phase_step(now.phase);
	CLEANUP_BUF struct buf progress;
	buf_init(&progress, 64u << 10);
	facts_progress_write(w, &now, &progress);
	return model_task_save(db, &l, str_c(step ? step : deploy_phase_name(now.phase)),
		   buf_view(&progress), e) < 0
		   ? -1
		   : 0;
}

/* In the order in which they come; a restore starts late what a deploy starts early. */
static int64_t seq_of_restore(enum deploy_phase p)
{
	static const enum deploy_phase order[] = {DEPLOY_READ, DEPLOY_UNPACK, DEPLOY_CLOSE,
	    DEPLOY_HALT, DEPLOY_SWAP, DEPLOY_START, DEPLOY_VERIFY, DEPLOY_HANDOVER, DEPLOY_OPEN,
	    DEPLOY_DROP};
	const char *step = deploy_phase_step(p);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (deploy_phase_step(order[i]) == step)
			return (int64_t)i;
	return DEPLOY_UNSWITCH;
}

static int64_t seq_of(enum deploy_flow f, enum deploy_phase p)
{
	if (f == DEPLOY_FLOW_RESTORE)
		return seq_of_restore(p);
	const char *step = deploy_phase_step(p);
	for (unsigned i = 0; i < p; i++)
		if (deploy_phase_step((enum deploy_phase)i) == step)
			return i;
	return p;
}

static int commit_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct commit *c = ctx;
	struct model_lease l = {.task_id = c->w->lease.task_id,
	    .owner = c->w->task.lease_owner,
	    .counter = c->w->lease.counter};
	if (work_fence(c->w, db, e) != 0)
		return -1;
	if (c->also && c->also(c->w, db, e) != 0)
		return -1;
	if (c->end_step && model_step_end(db, &l, seq_of(c->w->st.flow, c->end_phase), c->end_state,
			       buf_view(&c->detail), c->now_ms, e) < 0)
		return -1;
	if (c->begin_step && model_step_begin(db, &l, seq_of(c->w->st.flow, c->begin_phase), str_c(c->begin_step),
				 c->now_ms, e) < 0)
		return -1;
	const char *current = deploy_phase_step(c->begin_phase);
	return model_task_save(db, &l, str_c(current ? current : deploy_phase_name(c->begin_phase)),
		   buf_view(&c->progress), e) < 0
		   ? -1
		   : 0;
}

void work_action_start(struct work *w, const struct deploy_action *a)
{
	w->act = *a;
	w->act_open = true;
	w->expired = w->aborting = false;
	w->act_mono_ms = clock_mono_ms();
	loop_timer_at(w->deadline, w->act_mono_ms + a->limit_ms);
	work_phases[a->phase].start(w);
}

/* A commit that fails leaves the task as it was in the store; it is tried again, since acting
 * without it could act twice. A lost lease ends the matter: somebody else goes on. */
static void commit_retry(void *ctx);

static void commit_free(struct commit *c)
{
	buf_fini(&c->detail);
	buf_fini(&c->progress);
	mem_free_ptr(&c);
}

static void commit_tell(const struct commit *c)
{
	struct work *w = c->w;
	if (c->end_step)
		report_step(w, c->end_step, model_step_state_name(c->end_state), c->end_ms,
		    buf_view(&c->detail));
	if (c->begin_step) {
		w->step_mono_ms = clock_mono_ms();
		report_step(w, c->begin_step, "running", 0, STR_NONE);
	}
}

static void commit_back(void *ctx)
{
	struct commit *c = ctx;
	struct work *w = c->w;
	w->committing = false;
	w->in_flight--;
	if (w->d->closing) {
		commit_free(c);
		(void)work_bury(w);
		return;
	}
	if (w->d->quiet) {
		commit_free(c);
		return;
	}
	if (c->rc != 0) {
		log_event(
		    LOG_ERROR, "deploy", "commit_failed", F_I64("task", w->task.id), F_ERR(&c->e));
		if (c->e.code == ERR_CONFLICT) {
			commit_free(c);
			work_free(w);
			return;
		}
		w->committing = true;
		struct commit *again = c;
		loop_timer_free(w->timer);
		w->timer = loop_timer_new(w->d->o.loop, commit_retry, again);
		loop_timer_at(w->timer, clock_mono_ms() + 1000);
		return;
	}
	commit_tell(c);
	if (c->end_step) {
		buf_clear(&w->detail);
		w->skipped = false;
	}
	struct deploy_actions acts = c->acts;
	commit_free(c);
	for (size_t i = 0; i < acts.count; i++)
		work_action_start(w, &acts.v[i]);
	if (w->cancel_waiting && w->act_open) {
		w->cancel_waiting = false;
		work_feed(w, DEPLOY_EV_CANCEL);
	}
}

static void commit_done(void *ctx, int rc, const struct err *e)
{
	struct commit *c = ctx;
	c->rc = rc;
	if (rc != 0)
		c->e = *e;
	loop_post(c->w->d->o.loop, commit_back, c);
}

static void commit_submit(struct commit *c)
{
	c->w->in_flight++;
	if (store_submit(c->w->d->o.store, commit_unit, commit_done, c, &c->e) != 0) {
		c->rc = -1;
		c->e.code = ERR_UNAVAILABLE;
		loop_post(c->w->d->o.loop, commit_back, c);
	}
}

static void commit_retry(void *ctx)
{
	struct commit *c = ctx;
	struct work *w = c->w;
	loop_timer_free(w->timer);
	w->timer = loop_timer_new(w->d->o.loop, work_tick, w);
	commit_submit(c);
}

static enum model_step_state step_end_state(const struct work *w, enum deploy_event_kind k)
{
	switch (k) {
	case DEPLOY_EV_DONE:
	case DEPLOY_EV_UP_TO_DATE:
		return w->skipped ? MODEL_STEP_SKIPPED : MODEL_STEP_DONE;
	case DEPLOY_EV_CANCELLED:
		return MODEL_STEP_CANCELLED;
	case DEPLOY_EV_BEGIN:
	case DEPLOY_EV_RECOVER:
	case DEPLOY_EV_CANCEL:
	case DEPLOY_EV_RETRY:
	case DEPLOY_EV_FAILED:
	case DEPLOY_EV_TIMED_OUT:
	case DEPLOY_EVENT_COUNT:
		break;
	}
	return MODEL_STEP_FAILED;
}

void commit_transition(struct work *w, const struct deploy_state *next,
    const struct deploy_actions *acts, enum deploy_event_kind k)
{
	struct commit *c = mem_alloc(sizeof(*c));
	const char *was = deploy_phase_step(w->st.phase), *will = deploy_phase_step(next->phase);
	c->w = w;
	c->acts = *acts;
	c->end_phase = w->st.phase;
	c->begin_phase = next->phase;
	c->now_ms = clock_wall_ms();
	c->end_ms = clock_mono_ms() - w->step_mono_ms;
	c->also = w->also;
	w->also = NULL;
	bool same = was && will && was == will && k == DEPLOY_EV_DONE;
	c->end_step = same || k == DEPLOY_EV_BEGIN ? NULL : was;
	c->begin_step = same ? NULL : will;
	c->end_state = step_end_state(w, k);
	if (c->end_state == MODEL_STEP_FAILED && w->failed && w->st.outcome == DEPLOY_OUT_NONE) {
		buf_clear(&w->detail);
		buf_c(&w->detail, w->failure.msg);
	}
	buf_init(&c->detail, 1024);
	buf_str(&c->detail, buf_view(&w->detail));
	buf_init(&c->progress, 64u << 10);
	w->st = *next;
	facts_progress_write(w, next, &c->progress);
	w->committing = true;
	commit_submit(c);
}
