/* provision, start and verify: what a release needs to run, its listening processes beside the old
 * ones, and whether they are well. */
#include "deploy/work.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "model/release_made.h"

/* --- provision --- */

static bool is_running_project(const struct work *w)
{
	return w->project.desired_running && w->project.live > 0;
}

static int count_running(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	int count = 0;
	for (size_t i = 0; i < n; i++)
		count += instance_of(w, all[i]) && all[i]->program == PRIV_PROGRAM_TENANT &&
			 all[i]->release == (uint32_t)w->release.number &&
			 str_eq_c(w->in.process, all[i]->process);
	return count;
}

static int rollback_check(struct work *w, struct store_db *db, struct err *e)
{
	struct str name = w->project.name;
	int64_t newest = 0;
	if (w->release.number == w->project.live) {
		bool runs = w->project.desired_running;
		(void)err_set(e, ERR_CONFLICT, "release %" PRId64 " of '%.*s' is live already%s",
		    w->release.number, STR_ARG(name), runs ? "" : ", and stopped");
		return runs ? -1 : err_hint(e, "slipway start %.*s", STR_ARG(name));
	}
	if (w->release.state != MODEL_RELEASE_SEALED) {
		(void)err_set(e, ERR_CONFLICT, "release %" PRId64 " of '%.*s' is %s",
		    w->release.number, STR_ARG(name),
		    w->release.state == MODEL_RELEASE_PRUNED ? "pruned: its files are gone"
							     : "not a finished one");
		return err_hint(
		    e, "see which can be gone back to: slipway releases %.*s", STR_ARG(name));
	}
	int rc = model_release_migrated_between(
	    db, w->project.id, w->release.number, w->project.live, &newest, e);
	if (rc == 1 && w->warning.n == 0)
		buf_printf(&w->warning,
		    "release %" PRId64 " ran its release command (a migration?); going back to "
		    "release %" PRId64 " does not undo what that did to the data",
		    newest, w->release.number);
	return rc < 0 ? -1 : 0;
}

static int provision_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (facts_load(w, db, e) != 0)
		return -1;
	if (w->release.number == 0) {
		(void)err_set(
		    e, ERR_CONFLICT, "'%.*s' has no release yet", STR_ARG(w->project.name));
		return err_hint(
		    e, "deploy it first: slipway deploy %.*s", STR_ARG(w->project.name));
	}
	if (!w->has_plan)
		return err_set(
		    e, ERR_INTERNAL, "release %" PRId64 " has no plan", w->release.number);
	if (w->st.flow == DEPLOY_FLOW_DEPLOY && provide_want(w, db, e) != 0)
		return -1;
	return w->st.flow == DEPLOY_FLOW_ROLLBACK ? rollback_check(w, db, e) : 0;
}

static void provided(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->detail.n > 0)
		buf_c(&w->detail, ", ");
	if (w->envs.version > 0)
		buf_printf(&w->detail, "environment version %" PRId64, w->envs.version);
	else
		buf_c(&w->detail, "nothing new");
	work_done(w);
}

static void provisioned(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->st.flow == DEPLOY_FLOW_START && is_running_project(w)) {
		buf_printf(&w->detail, "release %" PRId64 " runs already", w->project.live);
		work_answer(w, DEPLOY_EV_UP_TO_DATE);
		return;
	}
	if (w->release.number == 0) {
		buf_c(&w->detail, "no release yet; the next deploy heeds it");
		work_answer(w, DEPLOY_EV_UP_TO_DATE);
		return;
	}
	w->was_running = w->project.desired_running;
	if (w->st.flow == DEPLOY_FLOW_SCALE && w->had_count < 0)
		w->had_count = count_running(w);
	if (w->st.flow == DEPLOY_FLOW_DEPLOY) {
		provide_start(w, provided);
		return;
	}
	provide_check(w);
	provided(w);
}

void provision_start(struct work *w)
{
	work_unit(w, provision_unit, provisioned);
}

/* --- start --- */

static bool starts_now(const struct work *w, const struct plan_process *p)
{
	return w->st.flow == DEPLOY_FLOW_SCALE || instance_listens(p);
}

static void started(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = facts_count(w, p->name);
		if (starts_now(w, p) && n > 0)
			buf_printf(&w->detail, "%s%.*s %" PRId64 " × ready",
			    w->detail.n > 0 ? ", " : "", STR_ARG(p->name), n);
	}
	if (w->detail.n == 0)
		buf_c(&w->detail, w->plan.process_count > 0 ? "none that listens" : "no processes");
	work_done(w);
}

/* Records of what ended linger until their last lines are read; a release that is started again
 * shortly after it was stopped is not to be blamed for those. */
static void note_gone(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	w->gone_count = 0;
	w->gone = arena_array(&w->a, n + 1, sizeof(*w->gone));
	for (size_t i = 0; w->gone && i < n; i++)
		if (instance_is_over(all[i]) || all[i]->state == PRIV_STOPPING)
			w->gone[w->gone_count++] = all[i]->id;
}

static bool is_gone(const struct work *w, uint64_t id)
{
	for (size_t i = 0; i < w->gone_count; i++)
		if (w->gone[i] == id)
			return true;
	return false;
}

void start_start(struct work *w)
{
	struct err e;
	note_gone(w);
	if (w->st.flow == DEPLOY_FLOW_SCALE && !is_running_project(w)) {
		work_skip(w, "the project is stopped");
		return;
	}
	if (rundir_make(w->d->o.run_dir, w->d->o.projects_dir, w->project.name,
		(uint32_t)w->release.number, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	report_lines_clear(w);
	work_ops_begin(w, started);
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = starts_now(w, p) ? facts_count(w, p->name) : 0;
		for (int64_t k = 1; k <= n; k++)
			instance_start(w, p, (uint16_t)k);
	}
	work_ops_end(w);
}

/* --- verify --- */

static void health_all_cancel(struct work *w)
{
	w->waits_ready = false;
	for (size_t i = 0; i < w->health_count; i++)
		if (w->health[i])
			health_cancel(w->health[i]);
	w->health_count = 0;
}

static void died(struct work *w, const struct priv_status *s)
{
	struct err e;
	instance_death(s, &e);
	health_all_cancel(w);
	report_lines_of_release(w);
	work_fail(w, &e);
}

static bool is_watched(const struct work *w, const struct priv_status *s)
{
	return s->class == PRIV_SERVICE && s->release == (uint32_t)w->release.number &&
	       str_eq_c(w->project.name, s->project) && s->state != PRIV_STOPPING &&
	       !is_gone(w, s->id) && (w->st.flow != DEPLOY_FLOW_SCALE || s->starts <= 1);
}

bool start_waits(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (is_watched(w, all[i]) && all[i]->state == PRIV_STARTING)
			return true;
	return false;
}

/* Who asks was content: the release is well once all its programs say that they are ready, too. */
static void verified(struct work *w)
{
	w->waits_ready = start_waits(w);
	if (w->waits_ready)
		return;
	struct str path = w->plan.health.path.n > 0 ? w->plan.health.path : STR("/");
	if (!plan_has_web(&w->plan))
		buf_c(&w->detail, "all said that they are ready");
	else if (w->plan.health.status > 0)
		buf_printf(&w->detail, "GET %.*s %u × 3", STR_ARG(path), w->plan.health.status);
	else
		buf_printf(&w->detail, "GET %.*s × 3", STR_ARG(path));
	work_done(w);
}

void start_on_status(struct work *w, const struct priv_status *s)
{
	if (is_watched(w, s) && instance_has_died(s))
		died(w, s);
	else if (w->waits_ready)
		verified(w);
}

struct health_at {
	struct work *w;
	size_t index;
	uint16_t instance;
};

static void on_health(void *ctx, unsigned tries, const struct err *e)
{
	struct health_at *at = ctx;
	struct work *w = at->w;
	w->health[at->index] = NULL;
	w->health_tries += tries;
	if (!e) {
		for (size_t i = 0; i < w->health_count; i++)
			if (w->health[i])
				return;
		w->health_count = 0;
		verified(w);
		return;
	}
	struct err all;
	const struct plan_process *p = plan_find(&w->plan, STR("web"));
	(void)err_set(&all, ERR_FAILED, "web.%u %s", at->instance, e->msg);
	if (p && p->listen != MANIFEST_LISTEN_SOCKET && e->code == ERR_UNAVAILABLE)
		(void)err_hint(&all, "it must listen on 127.0.0.1:$PORT");
	health_all_cancel(w);
	report_lines_of_release(w);
	work_fail(w, &all);
}

bool health_options_of(
    struct work *w, const char *socket_path, unsigned need, struct health_options *ret)
{
	const struct manifest_health *h = &w->plan.health;
	*ret = (struct health_options){.socket_path = arena_cstr(&w->a, str_c(socket_path)),
	    .path = arena_cstr(&w->a, h->path.n > 0 ? h->path : STR("/")),
	    .host = arena_cstr(&w->a, w->first_domain),
	    .proto = w->d->o.edge_scheme,
	    .status = h->status,
	    .path_set = h->path.n > 0,
	    .need = need,
	    .interval_ms = h->interval_ms > 0 ? h->interval_ms : 1000,
	    .timeout_ms = h->timeout_ms > 0 ? h->timeout_ms : WORK_HEALTH_MS};
	return ret->socket_path && ret->path && ret->host;
}

static int health_one(struct work *w, uint16_t instance, struct err *e)
{
	char path[WORK_PATH_SIZE];
	struct health_options o;
	instance_socket_path(
	    w->d, w->project.name, (uint32_t)w->release.number, STR("web"), instance, path);
	struct health_at *at = arena_alloc(&w->a, sizeof(*at));
	if (!at || !health_options_of(w, path, 3, &o))
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	*at = (struct health_at){.w = w, .index = w->health_count, .instance = instance};
	w->health[w->health_count++] = health_start(w->d->o.loop, &o, on_health, at);
	return 0;
}

/* What died between its start and now. */
static const struct priv_status *find_dead(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (is_watched(w, all[i]) && instance_has_died(all[i]))
			return all[i];
	return NULL;
}

void verify_start(struct work *w)
{
	struct err e;
	int64_t web = plan_has_web(&w->plan) ? facts_count(w, STR("web")) : 0;
	if (w->st.flow == DEPLOY_FLOW_SCALE && !is_running_project(w)) {
		work_skip(w, "the project is stopped");
		return;
	}
	const struct priv_status *dead = find_dead(w);
	if (dead) {
		died(w, dead);
		return;
	}
	w->waits_ready = web == 0 && start_waits(w);
	if (w->waits_ready)
		return;
	if (web == 0) {
		work_skip(w, "nothing to ask");
		return;
	}
	w->health_count = 0;
	w->health_tries = 0;
	for (int64_t i = 1; i <= web && i <= WORK_VERIFY_MAX; i++)
		if (health_one(w, (uint16_t)i, &e) != 0) {
			health_all_cancel(w);
			work_fail(w, &e);
			return;
		}
}

void verify_abort(struct work *w)
{
	health_all_cancel(w);
	work_fail(w, NULL);
}
