/* restart: one instance after the other, and no request is lost. One that listens gets a second beside itself, with a socket of its own; once that
 * is well its socket takes the other's place by one rename, and the old one ends after its last connection. Any other is asked to end, and the
 * supervisor starts it again. So is one that listens but does not run, or has no port left for a second: what connects meanwhile waits. */
#include "deploy/work.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"

static void roll_next(struct work *w);

static bool is_same(const struct work *w, const struct priv_status *s)
{
	return s->release == (uint32_t)w->release.number && s->instance == w->roll.instance &&
	       strcmp(s->process, w->roll.process) == 0;
}

/* Ids grow: those above `newest` were started by this restart. */
static bool is_old(const struct work *w, const struct priv_status *s)
{
	return is_same(w, s) && s->id <= w->roll.newest;
}

static bool is_new(const struct work *w, const struct priv_status *s)
{
	return is_same(w, s) && s->id > w->roll.newest;
}

static bool listens(const struct work *w, const struct priv_status *s)
{
	const struct plan_process *p = plan_find(&w->plan, str_c(s->process));
	return p && instance_listens(p);
}

static bool is_wanted(const struct work *w, const struct priv_status *s)
{
	return instance_of(w, s) && s->program == PRIV_PROGRAM_TENANT &&
	       s->release == (uint32_t)w->release.number && s->state != PRIV_ASLEEP &&
	       s->id > w->roll.last && s->id <= w->roll.newest &&
	       (w->in.process.n == 0 || str_eq_c(w->in.process, s->process));
}

/* By id: the records change places as others come and go. First those that can be found unwell before anything has ended. */
static const struct priv_status *pick(struct work *w)
{
	const struct priv_status *const *all, *next = NULL;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (is_wanted(w, all[i]) && listens(w, all[i]) != w->roll.others &&
		    (!next || all[i]->id < next->id))
			next = all[i];
	if (next || w->roll.others)
		return next;
	w->roll.others = true;
	w->roll.last = 0;
	return pick(w);
}

static const struct priv_status *status_of(struct work *w, uint64_t id)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (all[i]->id == id)
			return all[i];
	return NULL;
}

static void one_done(struct work *w)
{
	w->roll.step = ROLL_NONE;
	w->roll.count++;
	roll_next(w);
}

static struct rundir_place place(const struct work *w)
{
	return (struct rundir_place){w->d->o.run_dir, w->project.name,
	    (uint32_t)w->release.number, str_c(w->roll.process), w->roll.instance};
}

static void path_of(const struct work *w, enum rundir_socket which, char out[WORK_PATH_SIZE])
{
	struct rundir_place p = place(w);
	(void)rundir_socket_path(&p, which, out, WORK_PATH_SIZE);
}

static bool ask(struct work *w, enum rundir_socket at, unsigned need, health_fn *fn)
{
	char path[WORK_PATH_SIZE];
	struct health_options o;
	path_of(w, at, path);
	if (!health_options_of(w, path, need, &o))
		return false;
	w->roll.step = ROLL_ASKED;
	w->health[0] = health_start(w->d->o.loop, &o, fn, w);
	w->health_count = 1;
	return true;
}

static bool asks_stop(struct work *w)
{
	bool asked = w->health_count > 0;
	if (asked)
		health_cancel(w->health[0]);
	w->health_count = 0;
	return asked;
}

static void blame_memory(struct err *ret)
{
	(void)err_set(ret, ERR_TOO_LARGE, "the task's memory is full");
}

static bool is_asked(const struct work *w)
{
	return strcmp(w->roll.process, "web") == 0;
}

static void lines_of(struct work *w)
{
	report_lines_of(w, str_c(w->roll.process), w->roll.began_ms);
}

/* --- in its place --- */

static void in_place_healthy(void *ctx, unsigned tries, const struct err *e)
{
	struct work *w = ctx;
	struct err all;
	(void)tries;
	w->health_count = 0;
	if (!e) {
		one_done(w);
		return;
	}
	(void)err_set(&all, ERR_FAILED, "%s.%u %s after its restart", w->roll.process,
	    w->roll.instance, e->msg);
	lines_of(w);
	work_fail(w, &all);
}

static void in_place(struct work *w, const struct priv_status *s)
{
	const struct plan_process *p = plan_find(&w->plan, str_c(s->process));
	w->roll.step = ROLL_IN_PLACE;
	w->roll.beside = false;
	w->roll.starts = s->starts;
	run_signal(w->d->o.run, s->id, SIGTERM);
	work_timer(w, p && p->stop_timeout_ms > 0 ? p->stop_timeout_ms : WORK_STOP_TIMEOUT_MS);
}

static void in_place_started(struct work *w)
{
	struct err e;
	if (!is_asked(w)) {
		one_done(w);
	} else if (!ask(w, RUNDIR_SERVES, 1, in_place_healthy)) {
		blame_memory(&e);
		work_fail(w, &e);
	}
}

/* --- beside itself --- */

static void forget_others(const struct work *w)
{
	struct rundir_place p = place(w);
	rundir_forget_others(&p);
}

static void undone(struct work *w)
{
	forget_others(w);
	work_fail(w, w->roll.failed ? &w->roll.err : NULL);
}

/* What serves goes on. NULL: nobody wants it any more. */
static void undo(struct work *w, const struct err *e)
{
	w->roll.step = ROLL_UNDONE;
	w->roll.failed = e != NULL;
	if (e) {
		w->roll.err = *e;
		lines_of(w);
	}
	work_ops_begin(w, undone);
	(void)instance_stop(w, is_new);
	work_ops_end(w);
}

static void old_gone(struct work *w)
{
	forget_others(w);
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		one_done(w);
}

static void drained(struct work *w)
{
	w->roll.step = ROLL_ENDS;
	instance_stop_drained(w, is_old, old_gone);
}

static void drain_before(struct work *w, work_then_fn *then)
{
	char path[WORK_PATH_SIZE];
	const char *const paths[] = {path};
	path_of(w, RUNDIR_BEFORE, path);
	w->roll.step = ROLL_DRAINS;
	drain_paths(w, paths, 1, then);
}

static void take_place(struct work *w)
{
	struct err e;
	struct rundir_place p = place(w);
	if (rundir_take_place(&p, &e) != 0)
		undo(w, &e);
	else
		drain_before(w, drained);
}

static void beside_healthy(void *ctx, unsigned tries, const struct err *e)
{
	struct work *w = ctx;
	struct err all;
	(void)tries;
	w->health_count = 0;
	if (!e) {
		take_place(w);
		return;
	}
	(void)err_set(&all, ERR_FAILED, "%s.%u %s", w->roll.process, w->roll.instance, e->msg);
	undo(w, &all);
}

static void beside_look(struct work *w)
{
	struct err e;
	const struct priv_status *s = instance_find_if(w, is_new, PRIV_PROGRAM_TENANT);
	if (s && instance_has_died(s)) {
		(void)asks_stop(w);
		instance_death(s, &e);
		undo(w, &e);
	} else if (!s || s->state == PRIV_STARTING || w->roll.step == ROLL_ASKED) {
		return;
	} else if (!is_asked(w)) {
		take_place(w);
	} else if (!ask(w, RUNDIR_BESIDE, 3, beside_healthy)) {
		blame_memory(&e);
		undo(w, &e);
	}
}

static void beside_started(struct work *w)
{
	w->roll.step = ROLL_STARTS;
	if (w->op_failed)
		undo(w, &w->op_err);
	else if (work_stopping(w))
		undo(w, NULL);
	else
		beside_look(w);
}

static void beside_start(struct work *w)
{
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	w->roll.step = ROLL_BEGINS;
	w->ports_taken = 0;
	work_ops_begin(w, beside_started);
	instance_start_beside(w, plan_find(&w->plan, str_c(w->roll.process)), w->roll.instance);
	work_ops_end(w);
}

/* An earlier life of this daemon may have ended between a second one's start and the first one's end: the one that serves is kept, the newest
 * where it had taken the place already. */
static bool is_left_over(const struct work *w, const struct priv_status *s)
{
	return is_old(w, s) && (s->id < w->roll.kept[0] || s->id > w->roll.kept[1]);
}

static void left_over_stop(struct work *w)
{
	forget_others(w);
	w->roll.step = ROLL_ENDS;
	work_ops_begin(w, beside_start);
	(void)instance_stop(w, is_left_over);
	work_ops_end(w);
}

static void keep_one(struct work *w, bool newest)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	uint64_t last = w->roll.id, second = w->roll.newest + 1;
	for (size_t i = 0; i < n; i++) {
		if (!instance_of(w, all[i]) || !is_old(w, all[i]) ||
		    all[i]->program != PRIV_PROGRAM_TENANT)
			continue;
		last = all[i]->id > last ? all[i]->id : last;
		if (all[i]->id > w->roll.id && all[i]->id < second)
			second = all[i]->id;
	}
	w->roll.kept[0] = newest ? last : 0;
	w->roll.kept[1] = newest ? w->roll.newest : second - 1;
}

static void beside(struct work *w)
{
	struct rundir_place p = place(w);
	bool taken = rundir_place_was_taken(&p);
	w->roll.beside = true;
	keep_one(w, taken);
	if (taken)
		drain_before(w, left_over_stop);
	else
		left_over_stop(w);
}

static bool goes_beside(struct work *w, const struct priv_status *s)
{
	return s->state == PRIV_RUNNING && listens(w, s) && instance_has_socket(w->d, s) &&
	       (s->port == 0 || instance_port_is_left(w));
}

/* --- one after the other --- */

static void roll_next(struct work *w)
{
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	const struct priv_status *s = pick(w);
	if (!s) {
		buf_printf(&w->detail, "%zu restarted", w->roll.count);
		work_tell_requests(w);
		work_done(w);
		return;
	}
	w->roll.id = w->roll.last = s->id;
	w->roll.instance = s->instance;
	w->roll.began_ms = clock_wall_ms();
	memcpy(w->roll.process, s->process, sizeof(w->roll.process));
	if (goes_beside(w, s))
		beside(w);
	else
		in_place(w, s);
}

/* What was granted when they were made may have been taken back; also those that sleep. */
static void narrow(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n && w->plan.devices; i++)
		if (instance_of(w, all[i]) && all[i]->program == PRIV_PROGRAM_TENANT)
			run_narrow(w->d->o.run, all[i]->id, w->devices);
}

static uint64_t newest(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	uint64_t id = 0;
	for (size_t i = 0; i < n; i++)
		id = all[i]->id > id ? all[i]->id : id;
	return id;
}

void roll_start(struct work *w)
{
	w->roll = (struct roll){.newest = newest(w)};
	if (!w->project.desired_running || w->project.live == 0) {
		struct err e;
		(void)err_set(&e, ERR_CONFLICT, "'%.*s' is not running", STR_ARG(w->project.name));
		(void)err_hint(&e, "start it: slipway start %.*s", STR_ARG(w->project.name));
		work_fail(w, &e);
		return;
	}
	narrow(w);
	roll_next(w);
}

/* It did not end when asked to. */
void roll_tick(struct work *w)
{
	const struct priv_status *s =
	    w->roll.step == ROLL_IN_PLACE ? status_of(w, w->roll.id) : NULL;
	if (s && s->starts == w->roll.starts)
		run_signal(w->d->o.run, s->id, SIGKILL);
}

void roll_abort(struct work *w)
{
	bool asked = asks_stop(w);
	if (w->roll.step == ROLL_DRAINS)
		drain_phase_abort(w);
	else if (w->roll.beside && (asked || w->roll.step == ROLL_STARTS))
		undo(w, NULL);
	else if (!w->roll.beside && (asked || w->roll.step == ROLL_IN_PLACE))
		work_fail(w, NULL);
}

void roll_on_status(struct work *w, const struct priv_status *s)
{
	if (w->roll.step == ROLL_STARTS || (w->roll.beside && w->roll.step == ROLL_ASKED))
		beside_look(w);
	else if (w->roll.step == ROLL_IN_PLACE && s->id == w->roll.id &&
		 s->starts > w->roll.starts && s->state == PRIV_RUNNING)
		in_place_started(w);
}
