/* stop, start, restart and scale beyond what deploys have: opening and closing the vhost, halting,
 * rolling, shrinking. */
#include "deploy/work.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "base/clock.h"

/* --- open and close --- */

static int running_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_project_set_desired(db, w->project.id, true, e) < 0 ? -1 : 0;
}

static bool starts_anew(const struct work *w)
{
	return w->st.flow == DEPLOY_FLOW_START || w->st.flow == DEPLOY_FLOW_RESTORE;
}

static void linked(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (starts_anew(w))
		w->also = running_unit;
	work_done(w);
}

static void opened(struct work *w)
{
	struct err e;
	uint32_t live = (uint32_t)w->project.live,
		 link = starts_anew(w) ? 0 : live;
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (starts_anew(w) &&
	    edge_live(w->d->o.edge, w->project.name, &link, &e) < 0) {
		work_fail(w, &e);
		return;
	}
	work_ops_begin(w, linked);
	if (link != live)
		work_switch(w, live, (uint32_t)w->project.previous);
	work_ops_end(w);
}

void open_start(struct work *w)
{
	bool stopped = w->st.flow == DEPLOY_FLOW_SCALE && !w->project.desired_running;
	work_ops_begin(w, opened);
	vhost_set(w, &w->plan, stopped);
	work_ops_end(w);
}

static int stopped_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_project_set_desired(db, w->project.id, false, e) < 0 ? -1 : 0;
}

static void closed(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->st.flow == DEPLOY_FLOW_STOP)
		w->also = stopped_unit;
	work_done(w);
}

void close_start(struct work *w)
{
	work_ops_begin(w, closed);
	bool pauses = w->st.flow == DEPLOY_FLOW_STOP ||
		      (w->st.flow == DEPLOY_FLOW_RESTORE && w->project.live > 0);
	if (w->has_plan && pauses)
		vhost_set(w, &w->plan, true);
	else if (w->st.flow == DEPLOY_FLOW_DESTROY) {
		sleep_note(w->d, w->project.name, 0);
		work_op_add(w);
		edge_vhost_remove(w->d->o.edge, w->project.name, work_op_done, w);
	}
	work_ops_end(w);
}

/* --- halt --- */

static bool is_any(const struct work *w, const struct priv_status *s)
{
	(void)w;
	(void)s;
	return true;
}

static void jobs_stop(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (all[i]->class == PRIV_JOB && !instance_is_over(all[i]) &&
		    str_eq_c(w->project.name, all[i]->project)) {
			work_op_add(w);
			run_stop(w->d->o.run, all[i]->id, 1000, work_op_done, w);
		}
}

static void halted(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		work_done(w);
}

void halt_start(struct work *w)
{
	work_ops_begin(w, halted);
	size_t n = instance_stop(w, is_any);
	if (w->st.flow == DEPLOY_FLOW_DESTROY || w->st.flow == DEPLOY_FLOW_RESTORE)
		jobs_stop(w);
	buf_printf(&w->detail, "%zu %s stopped", n, n == 1 ? "process" : "processes");
	work_ops_end(w);
}

/* --- shrink: surplus instances after the vhost has forgotten them --- */

static bool is_surplus(const struct work *w, const struct priv_status *s)
{
	return s->release == (uint32_t)w->release.number &&
	       s->instance > facts_count(w, str_c(s->process));
}

static void surplus_stopped(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->in.process.n > 0)
		buf_printf(&w->detail, "%s%.*s %" PRId64 " × running", w->detail.n > 0 ? ", " : "",
		    STR_ARG(w->in.process), facts_count(w, w->in.process));
	work_done(w);
}

static bool is_surplus_relay(const struct work *w, const struct priv_status *s)
{
	return is_surplus(w, s) && s->program == PRIV_PROGRAM_RELAY;
}

static void surplus_relays_stopped(struct work *w)
{
	work_ops_begin(w, surplus_stopped);
	(void)instance_stop(w, is_surplus);
	work_ops_end(w);
}

static void surplus_drained(struct work *w)
{
	work_ops_begin(w, surplus_relays_stopped);
	(void)instance_stop(w, is_surplus_relay);
	work_ops_end(w);
}

void shrink_start(struct work *w)
{
	int64_t limit = w->plan.drain_ms > 0 ? w->plan.drain_ms : 120000;
	drain_sockets(w, is_surplus, limit, surplus_drained);
}

/* --- roll: one instance after the other is asked to end; the supervisor starts it again on the
 * same socket, so connections wait in the accept queue meanwhile --- */

static void roll_next(struct work *w);

/* By id: the records change places as others come and go. */
static const struct priv_status *roll_pick(struct work *w)
{
	const struct priv_status *const *all, *next = NULL;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++) {
		bool wanted = instance_of(w, all[i]) && all[i]->program == PRIV_PROGRAM_TENANT &&
			      all[i]->release == (uint32_t)w->release.number &&
			      all[i]->state != PRIV_ASLEEP &&
			      (w->in.process.n == 0 || str_eq_c(w->in.process, all[i]->process));
		if (wanted && all[i]->id > w->roll_last && (!next || all[i]->id < next->id))
			next = all[i];
	}
	return next;
}

static const struct priv_status *roll_status(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (all[i]->id == w->roll_id)
			return all[i];
	return NULL;
}

static void roll_healthy(void *ctx, unsigned tries, const struct err *e)
{
	struct work *w = ctx;
	(void)tries;
	w->health_count = 0;
	if (!e) {
		w->roll_at++;
		roll_next(w);
		return;
	}
	struct err all;
	const struct priv_status *s = roll_status(w);
	(void)err_set(&all, ERR_FAILED, "%s.%u %s after its restart", s ? s->process : "web",
	    s ? s->instance : 0, e->msg);
	report_lines_of_release(w);
	work_fail(w, &all);
}

static void roll_ask(struct work *w, const struct priv_status *s)
{
	char path[WORK_PATH_SIZE];
	const struct manifest_health *h = &w->plan.health;
	instance_socket_path(
	    w->d, w->project.name, s->release, str_c(s->process), s->instance, path);
	struct health_options o = {.socket_path = arena_cstr(&w->a, str_c(path)),
	    .path = arena_cstr(&w->a, h->path.n > 0 ? h->path : STR("/")),
	    .host = arena_cstr(&w->a, w->first_domain),
	    .proto = w->d->o.edge_scheme,
	    .status = h->status,
	    .path_set = h->path.n > 0,
	    .need = 1,
	    .interval_ms = h->interval_ms > 0 ? h->interval_ms : 1000,
	    .timeout_ms = h->timeout_ms > 0 ? h->timeout_ms : WORK_HEALTH_MS};
	w->health[0] = health_start(w->d->o.loop, &o, roll_healthy, w);
	w->health_count = 1;
}

static void roll_next(struct work *w)
{
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	const struct priv_status *s = roll_pick(w);
	if (!s) {
		buf_printf(&w->detail, "%zu restarted", w->roll_at);
		work_done(w);
		return;
	}
	w->roll_id = w->roll_last = s->id;
	w->roll_starts = s->starts;
	run_signal(w->d->o.run, s->id, SIGTERM);
	const struct plan_process *p = plan_find(&w->plan, str_c(s->process));
	work_timer(w, p && p->stop_timeout_ms > 0 ? p->stop_timeout_ms : WORK_STOP_TIMEOUT_MS);
}

/* What was granted when they were made may have been taken back; also those that sleep. */
static void roll_narrow(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n && w->plan.devices; i++)
		if (instance_of(w, all[i]) && all[i]->program == PRIV_PROGRAM_TENANT)
			run_narrow(w->d->o.run, all[i]->id, w->devices);
}

void roll_start(struct work *w)
{
	w->roll_at = 0;
	w->roll_last = 0;
	if (!w->project.desired_running || w->project.live == 0) {
		struct err e;
		(void)err_set(&e, ERR_CONFLICT, "'%.*s' is not running", STR_ARG(w->project.name));
		(void)err_hint(&e, "start it: slipway start %.*s", STR_ARG(w->project.name));
		work_fail(w, &e);
		return;
	}
	roll_narrow(w);
	roll_next(w);
}

/* It did not end when asked to. */
void roll_tick(struct work *w)
{
	const struct priv_status *s = w->health_count == 0 ? roll_status(w) : NULL;
	if (s && s->starts == w->roll_starts)
		run_signal(w->d->o.run, s->id, SIGKILL);
}

void roll_abort(struct work *w)
{
	if (w->health_count > 0) {
		health_cancel(w->health[0]);
		w->health_count = 0;
	}
	work_fail(w, NULL);
}

void roll_on_status(struct work *w, const struct priv_status *s)
{
	if (s->id != w->roll_id || s->starts <= w->roll_starts || s->state != PRIV_RUNNING ||
	    w->health_count > 0)
		return;
	w->roll_id = 0;
	if (str_eq(str_c(s->process), STR("web"))) {
		w->roll_id = s->id;
		w->roll_starts = s->starts;
		roll_ask(w, s);
		return;
	}
	w->roll_at++;
	roll_next(w);
}
