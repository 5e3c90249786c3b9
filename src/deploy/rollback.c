/* The way back: what a task that does not go on takes away again. Every phase here goes on whatever
 * fails, and says what stayed. */
#include "deploy/work.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/num.h"
#include "model/release_made.h"

/* Notes what could not be undone beside the reason that started the undoing. */
static void note(struct work *w, const char *what)
{
	if (w->op_failed)
		buf_printf(
		    &w->warning, "%s%s: %s", w->warning.n > 0 ? "; " : "", what, w->op_err.msg);
}

/* --- run directories --- */

static int project_run_dir(const struct deploy *d, struct str project)
{
	char path[WORK_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/%.*s", d->o.run_dir, STR_ARG(project));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

void sockets_remove(struct work *w, uint32_t release)
{
	char path[WORK_PATH_SIZE];
	(void)snprintf(
	    path, sizeof(path), "%s/%.*s/%u", w->d->o.run_dir, STR_ARG(w->project.name), release);
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (struct dirent *f; (f = readdir(dir));)
		if (str_ends(str_c(f->d_name), STR(".sock")))
			(void)unlinkat(dirfd(dir), f->d_name, 0);
	(void)closedir(dir);
}

void run_dirs_prune(const struct deploy *d, struct str project, uint32_t live, uint32_t previous)
{
	int fd = project_run_dir(d, project);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		fs_close_fd(&fd);
		return;
	}
	for (struct dirent *f; (f = readdir(dir));) {
		int64_t n;
		struct err e;
		if (num_i64(str_c(f->d_name), 1, UINT32_MAX, &n) && n != live && n != previous)
			(void)!rundir_remove(d->o.run_dir, project, (uint32_t)n, &e);
	}
	(void)closedir(dir);
}

/* --- back behind the switch --- */

int old_release_load(struct work *w, struct store_db *db, struct err *e)
{
	struct work_release *o = &w->old;
	if (w->from_release == 0)
		return 0;
	int rc = model_release_get(
	    db, &w->a, w->project.id, w->from_release, MODEL_EVERYTHING, &o->row, e);
	if (rc <= 0)
		return rc < 0 ? -1
			      : err_set(e, ERR_NOT_FOUND, "release %u is gone", w->from_release);
	if (plan_unpack(o->row.plan, &w->a, &o->plan, e) != 0 ||
	    model_env_list(
		db, &w->a, w->project.id, o->row.env_version, MODEL_EVERYTHING, &o->envs, e) < 0)
		return -1;
	o->has_plan = true;
	return 0;
}

static int way_back_unit(struct work *w, struct store_db *db, struct err *e)
{
	return domains_give_back(w, db, e) != 0 ? -1 : old_release_load(w, db, e);
}

static void swap_release(struct work *w)
{
	struct work_release now = {
	    .row = w->release, .plan = w->plan, .envs = w->envs, .has_plan = w->has_plan};
	w->release = w->old.row;
	w->plan = w->old.plan;
	w->envs = w->old.envs;
	w->has_plan = w->old.has_plan;
	w->old = now;
}

void old_workers_start(struct work *w)
{
	swap_release(w);
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = instance_listens(p) ? 0 : facts_count(w, p->name);
		for (int64_t k = 1; k <= n; k++)
			instance_start(w, p, (uint16_t)k);
	}
	swap_release(w);
}

static bool is_new_worker(const struct work *w, const struct priv_status *s)
{
	return s->release == (uint32_t)w->release.number && !instance_has_socket(w->d, s);
}

static int live_back_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (model_live_correct(db, w->project.id, w->from_release, 0, clock_wall_ms(), e) < 0)
		return -1;
	return model_project_set_desired(db, w->project.id, w->was_running, e) < 0 ? -1 : 0;
}

static void unswitched(struct work *w)
{
	note(w, "the old release could not be brought back wholly");
	w->also = live_back_unit;
	w->project.live = w->from_release;
	w->project.desired_running = w->was_running;
	work_done(w);
}

static void new_workers_stopped(struct work *w)
{
	work_ops_begin(w, unswitched);
	if (!w->old.has_plan) {
		if (w->has_plan && plan_is_sites(&w->plan)) {
			work_op_add(w);
			edge_vhost_remove(w->d->o.edge, w->project.name, work_op_done, w);
		} else if (w->has_plan)
			vhost_set(w, &w->plan, true);
	} else {
		work_switch(w, w->from_release, 0);
		vhost_set(w, &w->old.plan, !w->was_running);
		if (w->was_running)
			old_workers_start(w);
	}
	work_ops_end(w);
}

static void old_loaded(struct work *w)
{
	note(w, "the old release could not be read");
	if (!w->op_failed)
		domains_given_back(w);
	work_ops_begin(w, new_workers_stopped);
	(void)instance_stop(w, is_new_worker);
	work_ops_end(w);
}

void unswitch_start(struct work *w)
{
	work_unit(w, way_back_unit, old_loaded);
}

/* --- what `start` began --- */

static bool is_ours(const struct work *w, const struct priv_status *s)
{
	if (s->release != (uint32_t)w->release.number)
		return false;
	if (w->st.flow != DEPLOY_FLOW_SCALE)
		return true;
	return str_eq_c(w->in.process, s->process) && w->had_count >= 0 &&
	       s->instance > w->had_count;
}

static int scale_back_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (w->in.process.n == 0 || w->had_count < 0)
		return 0;
	return model_scale_set(db, w->project.id, w->in.process, w->had_count, e) < 0 ? -1 : 0;
}

static void undone(struct work *w)
{
	note(w, "not everything could be undone");
	work_done(w);
}

/* The vhost may be the new release's already when the switch itself failed; and a daemon that began anew meanwhile has set
 * the old one with the domains as they were then. */
static void vhost_back(struct work *w, bool given_back)
{
	work_ops_begin(w, undone);
	bool touched = w->st.failed_at == DEPLOY_SWITCH;
	if ((w->st.flow == DEPLOY_FLOW_START || w->st.flow == DEPLOY_FLOW_RESTORE) && w->has_plan)
		vhost_set(w, &w->plan, true);
	else if ((touched || given_back) && w->old.has_plan)
		vhost_set(w, &w->old.plan, !w->project.desired_running);
	else if ((touched || w->st.failed_at == DEPLOY_HANDOVER) && w->project.live == 0) {
		work_op_add(w);
		edge_vhost_remove(w->d->o.edge, w->project.name, work_op_done, w);
	}
	work_ops_end(w);
}

static void old_known(struct work *w)
{
	bool gives_back = !w->op_failed && w->claimed.n > 0;
	if (gives_back)
		domains_given_back(w);
	vhost_back(w, gives_back);
}

static void ours_stopped(struct work *w)
{
	struct err e;
	uint32_t release = (uint32_t)w->release.number;
	if (w->st.flow == DEPLOY_FLOW_SCALE) {
		w->also = scale_back_unit;
		work_done(w);
		return;
	}
	if (w->st.flow == DEPLOY_FLOW_DEPLOY &&
	    rundir_remove(w->d->o.run_dir, w->project.name, release, &e) != 0) {
		w->op_failed = true;
		w->op_err = e;
	} else
		sockets_remove(w, release);
	note(w, "a run directory stayed");
	if (w->st.flow == DEPLOY_FLOW_RESTORE) { /* UNSWAP brings back what was before */
		vhost_back(w, false);
		return;
	}
	w->from_release = (uint32_t)w->project.live;
	work_unit(w, way_back_unit, old_known);
}

void undo_start_start(struct work *w)
{
	work_ops_begin(w, ours_stopped);
	job_stop_strays(w);
	(void)instance_stop(w, is_ours);
	work_ops_end(w);
}

/* --- what the steps before it began --- */

static bool leaves_nothing(const struct work *w)
{
	return w->st.flow == DEPLOY_FLOW_CHECK || w->st.outcome == DEPLOY_OUT_UP_TO_DATE ||
	       w->st.outcome == DEPLOY_OUT_RETRY ||
	       (w->st.outcome == DEPLOY_OUT_CANCELLED && w->st.failed_at <= DEPLOY_PLAN);
}

static int release_gone_unit(struct work *w, struct store_db *db, struct err *e)
{
	int64_t n = w->release.number;
	int rc = leaves_nothing(w) ? model_release_discard(db, w->project.id, n, e)
				   : model_release_fail(db, w->project.id, n, e);
	return rc < 0 ? -1 : 0;
}

static void tree_removed(struct work *w)
{
	note(w, "the release's files stayed");
	w->also = release_gone_unit;
	work_done(w);
}

static void strays_stopped(struct work *w)
{
	work_ops_begin(w, tree_removed);
	helper_request(w, PRIV_RELEASE_REMOVE, (uint32_t)w->release.number, -1);
	work_ops_end(w);
}

static void strays_stop(struct work *w)
{
	note(w, "the domains that it claimed are still served");
	work_ops_begin(w, strays_stopped);
	job_stop_strays(w);
	work_ops_end(w);
}

static void claims_gone(struct work *w)
{
	note(w, "the domains that it claimed stayed");
	bool gone = !w->op_failed;
	work_ops_begin(w, strays_stop);
	if (gone)
		domains_given_back(w);
	if (gone && w->old.has_plan)
		vhost_set(w, &w->old.plan, !w->project.desired_running);
	work_ops_end(w);
}

static void command_stopped(struct work *w)
{
	note(w, "the command could not be stopped");
	work_done(w);
}

void undo_release_start(struct work *w)
{
	if (w->st.flow == DEPLOY_FLOW_RUN) {
		work_ops_begin(w, command_stopped);
		job_stop_strays(w);
		work_ops_end(w);
		return;
	}
	bool own = w->st.flow != DEPLOY_FLOW_RESTORE || w->release.task_id == w->task.id;
	if (w->release.number == 0 || w->release.number == w->project.live || !own) {
		work_skip(w, "nothing to undo");
		return;
	}
	w->op_failed = false;
	if (w->claimed.n == 0) {
		strays_stop(w);
		return;
	}
	w->from_release = (uint32_t)w->project.live;
	work_unit(w, way_back_unit, claims_gone);
}
