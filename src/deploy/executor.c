/* The executor: walks tasks over the machine's table, commits each state before its action, feeds
 * answers back. */
#include "deploy/work.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "crypto/certificate.h"

const struct work_phase work_phases[DEPLOY_PHASE_COUNT] = {
    [DEPLOY_FETCH] = {fetch_start, job_abort, NULL, NULL},
    [DEPLOY_PLAN] = {plan_start, NULL, NULL, NULL},
    [DEPLOY_BUILD] = {build_start, job_abort, NULL, NULL},
    [DEPLOY_CHECK] = {check_start, job_abort, NULL, NULL},
    [DEPLOY_PROVISION] = {provision_start, NULL, NULL, NULL},
    [DEPLOY_RELEASE] = {release_start, job_abort, NULL, NULL},
    [DEPLOY_START] = {start_start, NULL, NULL, NULL},
    [DEPLOY_VERIFY] = {verify_start, verify_abort, NULL, start_on_status},
    [DEPLOY_SWITCH] = {switch_start, NULL, NULL, NULL},
    [DEPLOY_HANDOVER] = {handover_start, handover_abort, handover_tick, handover_on_status},
    [DEPLOY_DRAIN] = {drain_phase_start, drain_phase_abort, NULL, NULL},
    [DEPLOY_OPEN] = {open_start, NULL, NULL, NULL},
    [DEPLOY_SHRINK] = {shrink_start, drain_phase_abort, NULL, NULL},
    [DEPLOY_ROLL] = {roll_start, roll_abort, roll_tick, roll_on_status},
    [DEPLOY_CLOSE] = {close_start, NULL, NULL, NULL},
    [DEPLOY_HALT] = {halt_start, NULL, NULL, NULL},
    [DEPLOY_ERASE] = {erase_start, NULL, NULL, NULL},
    [DEPLOY_COMMAND] = {command_phase_start, job_abort, NULL, NULL},
    [DEPLOY_PROVE] = {prove_start, NULL, NULL, NULL},
    [DEPLOY_ORDER] = {order_start, order_abort, order_tick, NULL},
    [DEPLOY_INSTALL] = {install_start, NULL, NULL, NULL},
    [DEPLOY_PACK] = {pack_start, keep_abort, NULL, NULL},
    [DEPLOY_KEEP] = {keep_start, keep_abort, keep_tick, NULL},
    [DEPLOY_READ] = {read_start, keep_abort, keep_tick, NULL},
    [DEPLOY_UNPACK] = {unpack_start, keep_abort, NULL, NULL},
    [DEPLOY_SWAP] = {swap_start, job_abort, NULL, NULL},
    [DEPLOY_SETTLE] = {settle_start, keep_abort, keep_tick, NULL},
    [DEPLOY_DROP] = {drop_start, job_abort, NULL, NULL},
    [DEPLOY_UNSWITCH] = {unswitch_start, NULL, NULL, NULL},
    [DEPLOY_UNDO_START] = {undo_start_start, NULL, NULL, NULL},
    [DEPLOY_UNSWAP] = {unswap_start, job_abort, NULL, NULL},
    [DEPLOY_UNDO_RELEASE] = {undo_release_start, NULL, NULL, NULL},
    [DEPLOY_FINISH] = {finish_start, NULL, finish_start, NULL},
};

/* --- life of a work --- */

void work_free(struct work *w)
{
	for (struct work **p = &w->d->works; *p; p = &(*p)->next)
		if (*p == w) {
			*p = w->next;
			break;
		}
	for (size_t i = 0; i < w->health_count; i++)
		if (w->health[i])
			health_cancel(w->health[i]);
	if (w->drain)
		drain_cancel(w->drain);
	loop_timer_free(w->deadline);
	loop_timer_free(w->timer);
	report_lines_clear(w);
	mem_free_ptr(&w->failure_lines);
	buf_fini(&w->detail);
	buf_fini(&w->warning);
	buf_fini(&w->receipt);
	buf_fini(&w->plan_json);
	buf_fini(&w->chain);
	buf_wipe(&w->key);
	keep_free(w->keep);
	arena_fini(&w->a);
	mem_free_ptr(&w);
}

struct work *work_new(struct deploy *d)
{
	struct work *w = mem_alloc(sizeof(*w));
	w->d = d;
	arena_init(&w->a, WORK_ARENA_BYTES);
	buf_init(&w->detail, 1024);
	buf_init(&w->warning, 1024);
	buf_init(&w->receipt, 16u << 10);
	buf_init(&w->plan_json, 256u << 10);
	buf_init(&w->chain, CERTIFICATE_PEM_MAX + 8192);
	buf_init(&w->key, CERTIFICATE_PEM_MAX + 8192);
	w->had_count = -1;
	return w;
}

/* The engine is closing and this work has nothing under way any more. */
bool work_bury(struct work *w)
{
	struct deploy *d = w->d;
	if (!d->closing || w->in_flight > 0 || w->ops > 0 || w->job)
		return false;
	work_free(w);
	if (!d->works && d->ready)
		mem_free_ptr(&d);
	return true;
}

void work_back(struct work *w)
{
	w->in_flight--;
	(void)work_bury(w);
}

bool work_stopping(const struct work *w)
{
	return w->expired || w->aborting;
}

void work_blame(struct work *w, const struct err *e)
{
	if (w->failed || !e)
		return;
	w->failed = true;
	w->failure = *e;
}

void work_answer(struct work *w, enum deploy_event_kind k)
{
	if (!w->act_open)
		return;
	w->act_open = false;
	loop_timer_cancel(w->deadline);
	loop_timer_cancel(w->timer);
	if (k == DEPLOY_EV_FAILED && w->expired) {
		k = DEPLOY_EV_TIMED_OUT;
		struct err e;
		char limit[32];
		num_duration_text(w->act.limit_ms, limit);
		(void)err_set(&e, ERR_TIMEOUT, "the step took longer than %s", limit);
		work_blame(w, &e);
	}
	if (k == DEPLOY_EV_FAILED && w->aborting)
		k = DEPLOY_EV_CANCELLED;
	work_feed(w, k);
}

void work_done(struct work *w)
{
	work_answer(w, DEPLOY_EV_DONE);
}

void work_skip(struct work *w, const char *why)
{
	w->skipped = true;
	buf_c(&w->detail, why);
	work_answer(w, DEPLOY_EV_DONE);
}

void work_fail(struct work *w, const struct err *e)
{
	if (!work_stopping(w))
		work_blame(w, e);
	work_answer(w, DEPLOY_EV_FAILED);
}

static void on_deadline(void *ctx)
{
	struct work *w = ctx;
	if (!w->act_open || w->expired)
		return;
	w->expired = true;
	if (work_phases[w->act.phase].abort)
		work_phases[w->act.phase].abort(w);
}

void work_tick(void *ctx)
{
	struct work *w = ctx;
	if (w->act_open && work_phases[w->act.phase].tick)
		work_phases[w->act.phase].tick(w);
}

void work_timer(struct work *w, int64_t after_ms)
{
	loop_timer_at(w->timer, clock_mono_ms() + after_ms);
}

/* --- groups of operations and units --- */

void work_ops_begin(struct work *w, work_then_fn *then)
{
	w->ops = 1;
	w->ports_taken = 0;
	w->op_failed = false;
	err_clear(&w->op_err);
	w->ops_then = then;
}

void work_op_add(struct work *w)
{
	w->ops++;
}

void work_op_back(struct work *w, const struct err *e)
{
	if (e && !w->op_failed) {
		w->op_failed = true;
		w->op_err = *e;
	}
	if (--w->ops == 0 && !work_bury(w))
		w->ops_then(w);
}

void work_op_done(void *work, uint64_t value, const struct err *e)
{
	(void)value;
	work_op_back(work, e);
}

void work_ops_end(struct work *w)
{
	work_op_back(w, NULL);
}

struct unit_call {
	struct work *w;
	work_unit_fn *unit;
	work_then_fn *then;
	int rc;
	struct err e;
};

static int unit_run(void *ctx, struct store_db *db, struct err *e)
{
	struct unit_call *u = ctx;
	if (work_fence(u->w, db, e) != 0)
		return -1;
	return u->unit(u->w, db, e);
}

static void unit_back(void *ctx)
{
	struct unit_call *u = ctx;
	struct work *w = u->w;
	work_then_fn *then = u->then;
	w->op_failed = u->rc != 0;
	w->op_err = u->e;
	mem_free_ptr(&u);
	w->in_flight--;
	if (!work_bury(w))
		then(w);
}

static void unit_done(void *ctx, int rc, const struct err *e)
{
	struct unit_call *u = ctx;
	u->rc = rc;
	if (rc != 0)
		u->e = *e;
	loop_post(u->w->d->o.loop, unit_back, u);
}

void work_unit(struct work *w, work_unit_fn *unit, work_then_fn *then)
{
	struct unit_call *u = mem_alloc(sizeof(*u));
	*u = (struct unit_call){.w = w, .unit = unit, .then = then};
	w->in_flight++;
	if (store_submit(w->d->o.store, unit_run, unit_done, u, &u->e) != 0) {
		u->rc = -1;
		loop_post(w->d->o.loop, unit_back, u);
	}
}

static void work_ended(struct work *w)
{
	work_free(w);
}

void work_feed(struct work *w, enum deploy_event_kind k)
{
	if (w->d->quiet)
		return;
	struct deploy_event ev = {.kind = k, .phase = w->act.phase, .attempt = w->act.attempt};
	struct deploy_state next;
	struct deploy_actions acts;
	deploy_next(&w->st, &ev, &next, &acts);
	if (acts.count == 1 && acts.v[0].kind == DEPLOY_ABORT) {
		w->st = next;
		if (!w->act_open)
			return;
		w->aborting = true;
		if (work_phases[w->act.phase].abort)
			work_phases[w->act.phase].abort(w);
		return;
	}
	if (next.phase == DEPLOY_ENDED) {
		work_ended(w);
		return;
	}
	if (acts.count > 0)
		commit_transition(w, &next, &acts, k);
}

/* --- the queue's callbacks --- */

static int load_unit(struct work *w, struct store_db *db, struct err *e)
{
	return facts_load(w, db, e);
}

static void load_failed(struct work *w)
{
	w->st.outcome = DEPLOY_OUT_FAILED;
	w->st.phase = DEPLOY_FINISH;
	work_blame(w, &w->op_err);
	struct deploy_action a = {
	    .kind = DEPLOY_DO, .phase = DEPLOY_FINISH, .attempt = w->st.attempt, .limit_ms = 60000};
	work_action_start(w, &a);
}

static void loaded(struct work *w)
{
	if (w->op_failed) {
		load_failed(w);
		return;
	}
	bool fresh = w->st.phase == DEPLOY_NEW;
	/* A new life undoes at once; a task that has not begun is told when its first action runs,
	 * since only an action can be aborted. */
	if (fresh)
		w->cancel_waiting = w->cancel_waiting || w->task.cancel_requested;
	else if (w->task.cancel_requested || w->cancel_waiting)
		w->st.cancel_asked = true;
	w->step_mono_ms = clock_mono_ms();
	bool done = !fresh && facts_was_done(w);
	if (done) /* what the action of the life before was about to answer */
		w->act = (struct deploy_action){.phase = w->st.phase, .attempt = w->st.attempt};
	work_feed(w, done ? DEPLOY_EV_DONE : fresh ? DEPLOY_EV_BEGIN : DEPLOY_EV_RECOVER);
}

static enum deploy_flow flow_of(enum model_task_kind k)
{
	static const enum deploy_flow of[MODEL_TASK_KIND_COUNT] = {
	    [MODEL_TASK_DEPLOY] = DEPLOY_FLOW_DEPLOY,
	    [MODEL_TASK_ROLLBACK] = DEPLOY_FLOW_ROLLBACK,
	    [MODEL_TASK_STOP] = DEPLOY_FLOW_STOP,
	    [MODEL_TASK_START] = DEPLOY_FLOW_START,
	    [MODEL_TASK_RESTART] = DEPLOY_FLOW_RESTART,
	    [MODEL_TASK_SCALE] = DEPLOY_FLOW_SCALE,
	    [MODEL_TASK_DESTROY] = DEPLOY_FLOW_DESTROY,
	    [MODEL_TASK_RUN] = DEPLOY_FLOW_RUN,
	    [MODEL_TASK_CHECK] = DEPLOY_FLOW_CHECK,
	    [MODEL_TASK_CERTIFICATE] = DEPLOY_FLOW_CERTIFICATE,
	    [MODEL_TASK_BACKUP] = DEPLOY_FLOW_BACKUP,
	    [MODEL_TASK_RESTORE] = DEPLOY_FLOW_RESTORE,
	};
	return of[k];
}

/* The task's strings end with the call; the work lives longer. */
static void task_copy(struct work *w, const struct model_task *t)
{
	w->task = *t;
	struct str *const texts[] = {&w->task.project, &w->task.ref, &w->task.head_commit,
	    &w->task.before_commit, &w->task.input, &w->task.progress, &w->task.result,
	    &w->task.error, &w->task.lease_owner, &w->task.current_step, &w->task.requested_by};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		*texts[i] = arena_str(&w->a, *texts[i]);
}

static void work_begin(struct work *w)
{
	w->held = false;
	log_event(LOG_INFO, "deploy", w->st.phase == DEPLOY_NEW ? "task_started" : "task_recovered",
	    F_I64("task", w->task.id), F_STR("project", w->task.project),
	    F_C("kind", model_task_kind_name(w->task.kind)));
	if (facts_input(w, &w->op_err) != 0)
		load_failed(w);
	else
		work_unit(w, load_unit, loaded);
}

void deploy_run(void *deploy, const struct model_task *t, struct queue_lease lease, bool recovered)
{
	struct deploy *d = deploy;
	struct work *w = work_new(d);
	w->next = d->works;
	d->works = w;
	w->deadline = loop_timer_new(d->o.loop, on_deadline, w);
	w->timer = loop_timer_new(d->o.loop, work_tick, w);
	w->lease = lease;
	w->begun_wall_ms = t->started_ms > 0 ? t->started_ms : clock_wall_ms();
	task_copy(w, t);
	w->st.flow = flow_of(t->kind);
	if (recovered)
		facts_progress_read(w);
	else if (d->o.requests) {
		(void)requests_of(d->o.requests, w->task.project, &w->asked);
		w->counts_asked = true;
	}
	w->held = true;
	if (d->ready)
		work_begin(w);
}

void deploy_ready(struct deploy *d)
{
	d->ready = true;
	for (struct work *w = d->works, *next; w; w = next) {
		next = w->next;
		if (w->held)
			work_begin(w);
	}
}

void deploy_cancel(void *deploy, int64_t task_id)
{
	struct deploy *d = deploy;
	for (struct work *w = d->works; w; w = w->next) {
		if (w->task.id != task_id)
			continue;
		if (w->act_open)
			work_feed(w, DEPLOY_EV_CANCEL);
		else
			w->cancel_waiting = true;
		return;
	}
}

/* Whoever reads a project's log finds there why a program of it was killed. */
static void log_limit(struct deploy *d, const struct priv_status *s)
{
	char text[160];
	const char *limit = instance_limit_words(s);
	if (!limit || s->class != PRIV_SERVICE || s->state != PRIV_BACKOFF)
		return;
	(void)snprintf(text, sizeof(text), "slipway: %s: killed, and started anew", limit);
	logs_append(d->o.logs, str_c(s->project), s->release, str_c(s->process), s->instance,
	    str_c(text));
}

void deploy_on_status(void *deploy, const struct priv_status *s)
{
	struct deploy *d = deploy;
	log_limit(d, s);
	for (struct work *w = d->works, *next; w; w = next) {
		next = w->next;
		if (w->act_open && work_phases[w->act.phase].on_status &&
		    str_eq_c(w->project.name, s->project))
			work_phases[w->act.phase].on_status(w, s);
	}
}

void deploy_on_line(void *deploy, const struct priv_status *s, struct str line)
{
	struct deploy *d = deploy;
	logs_append(d->o.logs, str_c(s->project), s->release, str_c(s->process), s->instance, line);
	for (struct work *w = d->works; w; w = w->next)
		/* While a unit is under way the writer fills project and release. */
		if (s->class == PRIV_SERVICE && !w->in_flight && w->st.phase >= DEPLOY_START &&
		    w->st.flow != DEPLOY_FLOW_RUN && s->release == (uint32_t)w->release.number &&
		    str_eq_c(w->project.name, s->project))
			report_lines_add(w, line);
}

struct deploy *deploy_new(const struct deploy_options *o)
{
	struct deploy *d = mem_alloc(sizeof(*d));
	d->o = *o;
	return d;
}

void deploy_bind_queue(struct deploy *d, struct queue *q)
{
	d->queue = q;
}

void deploy_quiesce(struct deploy *d)
{
	d->quiet = true;
	for (struct work *w = d->works; w; w = w->next)
		keep_stop(w->keep);
}

void deploy_free(struct deploy *d)
{
	if (!d)
		return;
	d->closing = true;
	sleep_close(d);
	for (struct work *w = d->works; w; w = w->next)
		keep_stop(w->keep);
	bool idle = !d->works;
	for (struct work *w = d->works, *next; w; w = next) {
		next = w->next;
		loop_timer_cancel(w->deadline);
		loop_timer_cancel(w->timer);
		if (work_bury(w) && !next)
			return;
	}
	/* A reconciliation that is still going on ends with the process: what its operations were
	 * to call back is not told any more, so nobody knows when it may go. */
	if (idle && d->ready)
		mem_free_ptr(&d);
}
