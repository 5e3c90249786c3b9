/* stop, start and scale beyond what deploys have: opening and closing the vhost, halting, shrinking. */
#include "deploy/work.h"

#include <inttypes.h>

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

static void surplus_drained(struct work *w)
{
	instance_stop_drained(w, is_surplus, surplus_stopped);
}

void shrink_start(struct work *w)
{
	drain_sockets(w, is_surplus, surplus_drained);
}
