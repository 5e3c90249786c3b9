/* The way back of a restore: the data of before in its place, and what served before serves again. */
#include "deploy/keep.h"

#include "base/clock.h"

static void note(struct work *w, bool failed, const char *what, const struct err *e)
{
	if (failed)
		buf_printf(&w->warning, "%s%s: %s", w->warning.n ? "; " : "", what, e->msg);
}

/* Nothing was stopped yet. */
static bool still_serves(const struct work *w)
{
	return w->st.failed_at == DEPLOY_READ || w->st.failed_at == DEPLOY_UNPACK;
}

static void revived(struct work *w)
{
	note(w, w->op_failed, "what was before could not be started wholly", &w->op_err);
	work_done(w);
}

/* Its own release in the place of the restored one, for what starts and shows it. */
static void old_in_place(struct work *w)
{
	w->release = w->old.row;
	w->plan = w->old.plan;
	w->envs = w->old.envs;
	w->has_plan = w->old.has_plan;
	w->project.live = w->from_release;
}

static void revive(struct work *w)
{
	struct err e;
	note(w, w->op_failed, "what was before could not be read", &w->op_err);
	if (!w->old.has_plan || !w->was_running) {
		work_done(w);
		return;
	}
	struct work_release restored = {
	    .row = w->release, .plan = w->plan, .envs = w->envs, .has_plan = w->has_plan};
	old_in_place(w);
	work_ops_begin(w, revived);
	if (rundir_make(w->d->o.run_dir, w->d->o.projects_dir, w->project.name,
		(uint32_t)w->release.number, &e) != 0)
		note(w, true, "its run directory could not be made", &e);
	work_switch(w, w->from_release, 0);
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = facts_count(w, p->name);
		for (int64_t k = 1; k <= n; k++)
			instance_start(w, p, (uint16_t)k);
	}
	vhost_set(w, &w->plan, false);
	w->release = restored.row;
	w->plan = restored.plan;
	w->envs = restored.envs;
	w->has_plan = restored.has_plan;
	work_ops_end(w);
}

static int before_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (w->from_release > 0 &&
	    (model_live_correct(db, w->project.id, w->from_release, 0, clock_wall_ms(), e) < 0 ||
		model_project_set_desired(db, w->project.id, w->was_running, e) < 0))
		return -1;
	return old_release_load(w, db, e);
}

static void databases_back(struct work *w)
{
	note(w, w->op_failed, "the databases of before could not be brought back", &w->op_err);
	if (still_serves(w))
		work_done(w);
	else
		work_unit(w, before_unit, revive);
}

static void back_again(struct work *w)
{
	provide_act(w, still_serves(w) ? SERVICES_CLEAN : SERVICES_BACK, databases_back);
}

/* The jobs need a sealed release to stand in: the restored one, else the one of before; false: there is none. */
static bool back_job(struct work *w, const char *command, work_then_fn *then)
{
	int64_t restored = w->release.number;
	bool sealed = restored > 0 && w->release.state == MODEL_RELEASE_SEALED;
	int64_t in = sealed ? restored : w->from_release;
	if (in == 0)
		return false;
	w->release.number = in;
	keep_job(w, command, PRIV_SANDBOX_RUN, false, then);
	w->release.number = restored;
	return true;
}

static void dropped(struct work *w)
{
	struct err e;
	note(w, !keep_job_ok(w, "removing what was unpacked", &e), "it stayed", &e);
	back_again(w);
}

static void brought_back(struct work *w)
{
	struct err e;
	if (keep_job_ok(w, "bringing the data of before back", &e)) {
		if (!back_job(w, "data-drop", dropped))
			back_again(w);
		return;
	}
	note(w, true, "the data of before is in data/.slipway-restore/old", &e);
	back_again(w);
}

static int stopped_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_project_set_desired(db, w->project.id, false, e) < 0 ? -1 : 0;
}

static void stays_stopped(struct work *w)
{
	struct err e;
	note(w, !keep_job_ok(w, "tidying", &e), "data/.slipway-restore stayed", &e);
	buf_printf(&w->warning,
	    "%swhat was restored stays, stopped; once it can start: slipway start %.*s",
	    w->warning.n ? "; " : "", STR_ARG(w->project.name));
	w->also = stopped_unit;
	work_done(w);
}

/* Where nothing was before, what was restored is worth more than nothing. */
static bool nothing_before(const struct work *w)
{
	return w->from_release == 0 && w->release.number > 0 &&
	       w->project.live == w->release.number;
}

static void strays_gone(struct work *w)
{
	if (nothing_before(w))
		keep_job(w, "data-drop", PRIV_SANDBOX_RUN, false, stays_stopped);
	else if (!back_job(w, "data-back", brought_back))
		back_again(w);
}

void unswap_start(struct work *w)
{
	work_ops_begin(w, strays_gone);
	job_stop_strays(w);
	work_ops_end(w);
}
