/* switch, handover and drain: the one rename, then the processes that do not listen, then what
 * still talks to the old release. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define DRAIN_MS 120000 /* a manifest that does not say */

/* --- switch --- */

static int live_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (model_live_set(db, w->project.id, w->release.number, clock_wall_ms(), e) < 0)
		return -1;
	if (plan_is_sites(&w->plan) && sites_certificates(w, db, e) != 0)
		return -1;
	return model_project_set_desired(db, w->project.id, true, e) < 0 ? -1 : 0;
}

static void switch_done(struct work *w)
{
	if (plan_is_sites(&w->plan))
		sites_tell(w);
	if (w->switch_us >= 1000)
		buf_printf(&w->detail, "%.1f ms", (double)w->switch_us / 1000.0);
	else
		buf_printf(&w->detail, "%.2f ms", (double)w->switch_us / 1000.0);
	w->also = live_unit;
	work_done(w);
}

static void switched(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		switch_done(w);
}

/* The project as the store sees it is behind by one commit: `live` there is what served until now.
 */
static void vhost_ready(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	work_ops_begin(w, switched);
	work_switch(w, (uint32_t)w->release.number, w->from_release);
	work_ops_end(w);
}

/* False: e says which does not, and *ret_gone whether the keeper does not even know it: a new
 * keeper after one that was lost. */
static bool all_listening_run(struct work *w, bool *ret_gone, struct err *e)
{
	uint32_t release = (uint32_t)w->release.number;
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = instance_listens(p) ? facts_count(w, p->name) : 0;
		for (int64_t k = 1; k <= n; k++) {
			const struct priv_status *s =
			    instance_find(w, release, p->name, (uint16_t)k, PRIV_PROGRAM_TENANT);
			if (s && s->state != PRIV_BACKOFF)
				continue;
			*ret_gone = !s;
			(void)err_set(e, ERR_FAILED, "%.*s.%" PRId64 " is not running any more",
			    STR_ARG(p->name), k);
			return false;
		}
	}
	return true;
}

void switch_start(struct work *w)
{
	struct err e;
	uint32_t live = 0;
	if (edge_live(w->d->o.edge, w->project.name, &live, &e) < 0) {
		work_fail(w, &e);
		return;
	}
	bool gone = false;
	if (!all_listening_run(w, &gone, &e)) {
		if (gone && live != (uint32_t)w->release.number) {
			buf_c(&w->detail, "the keeper was lost: started again");
			work_answer(w, DEPLOY_EV_RETRY);
			return;
		}
		report_lines_of_release(w);
		work_fail(w, &e);
		return;
	}
	w->from_release = (uint32_t)w->project.live;
	if (live == (uint32_t)w->release.number && w->from_release != live &&
	    w->project.desired_running) {
		/* A crash came between the rename and its record. */
		switch_done(w);
		return;
	}
	work_ops_begin(w, vhost_ready);
	vhost_set(w, &w->plan, false);
	work_ops_end(w);
}

/* --- handover --- */

static bool is_old_worker(const struct work *w, const struct priv_status *s)
{
	return s->release != (uint32_t)w->release.number && !instance_has_socket(w->d, s);
}

static bool has_workers(const struct work *w)
{
	for (size_t i = 0; i < w->plan.process_count; i++)
		if (!instance_listens(&w->plan.processes[i]) &&
		    facts_count(w, w->plan.processes[i].name) > 0)
			return true;
	return false;
}

static void handed_over(struct work *w)
{
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		if (!instance_listens(p) && facts_count(w, p->name) > 0)
			buf_printf(
			    &w->detail, "%s%.*s", w->detail.n > 0 ? ", " : "", STR_ARG(p->name));
	}
	if (w->detail.n > 0)
		buf_c(&w->detail, w->from_release > 0 ? " handed over" : " started");
	work_done(w);
}

static void workers_started(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		work_timer(w, WORK_DEATH_WATCH_MS);
}

static void workers_start(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (!has_workers(w)) {
		handed_over(w);
		return;
	}
	work_ops_begin(w, workers_started);
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		int64_t n = instance_listens(p) ? 0 : facts_count(w, p->name);
		for (int64_t k = 1; k <= n; k++)
			instance_start(w, p, (uint16_t)k);
	}
	work_ops_end(w);
}

void handover_start(struct work *w)
{
	w->waits_ready = false;
	work_ops_begin(w, workers_start);
	(void)instance_stop(w, is_old_worker);
	work_ops_end(w);
}

void handover_tick(struct work *w)
{
	w->waits_ready = start_waits(w);
	if (!w->waits_ready)
		handed_over(w);
}

void handover_abort(struct work *w)
{
	if (w->ops == 0)
		work_fail(w, NULL);
}

void handover_on_status(struct work *w, const struct priv_status *s)
{
	struct err e;
	if (s->class != PRIV_SERVICE || s->release != (uint32_t)w->release.number || w->ops > 0)
		return;
	if (instance_has_socket(w->d, s) ||
	    (s->state != PRIV_BACKOFF && s->state != PRIV_ENDED)) {
		if (w->waits_ready && !start_waits(w))
			handed_over(w);
		return;
	}
	const char *limit = instance_limit_words(s);
	if (limit)
		(void)err_set(&e, ERR_FAILED, "%s.%u %s", s->process, s->instance, limit);
	else
		(void)err_set(&e, ERR_FAILED, "%s.%u died within %d s of its start", s->process,
		    s->instance, WORK_DEATH_WATCH_MS / 1000);
	report_lines_of_release(w);
	work_fail(w, &e);
}

/* --- drain --- */

static void drain_over(void *ctx, unsigned left, const struct err *e)
{
	struct work *w = ctx;
	(void)e; /* what cannot be looked at is stopped all the same */
	w->drain = NULL;
	if (left > 0)
		buf_printf(&w->detail, "%s%u connections ended at the limit",
		    w->detail.n > 0 ? ", " : "", left);
	w->ops_then(w);
}

void drain_paths(struct work *w, const char *const *paths, size_t count, work_then_fn *then)
{
	int64_t limit_ms = w->plan.drain_ms > 0 ? w->plan.drain_ms : DRAIN_MS;
	w->ops_then = then;
	w->drain =
	    drain_start(w->d->o.loop, paths, count, clock_mono_ms() + limit_ms, drain_over, w);
}

void drain_sockets(struct work *w, instance_pick *which, work_then_fn *then)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all), count = 0;
	const char **paths = arena_array(&w->a, n + 1, sizeof(*paths));
	for (size_t i = 0; paths && i < n; i++) {
		char path[WORK_PATH_SIZE];
		if (!instance_of(w, all[i]) || !which(w, all[i]) ||
		    !instance_has_socket(w->d, all[i]) || all[i]->program == PRIV_PROGRAM_RELAY)
			continue;
		instance_socket_path(w->d, w->project.name, all[i]->release, str_c(all[i]->process),
		    all[i]->instance, path);
		char *copy = arena_cstr(&w->a, str_c(path));
		if (copy)
			paths[count++] = copy;
	}
	if (count == 0)
		then(w);
	else
		drain_paths(w, paths, count, then);
}

static bool is_other_release(const struct work *w, const struct priv_status *s)
{
	return s->release != (uint32_t)w->release.number;
}

/* The newest second may not be counted yet. */
void work_tell_requests(struct work *w)
{
	struct requests_sum now;
	if (!w->counts_asked || !requests_of(w->d->o.requests, w->project.name, &now))
		return;
	uint64_t all = requests_all(&now) - requests_all(&w->asked),
		 failed = now.count[5] - w->asked.count[5];
	if (all > 0)
		buf_printf(&w->detail, "%s%" PRIu64 " request%s meanwhile, %" PRIu64 " failed",
		    w->detail.n > 0 ? ", " : "", all, all == 1 ? "" : "s", failed);
}

static void pruned(struct work *w)
{
	if (w->from_release > 0 && w->from_release != (uint32_t)w->release.number)
		buf_printf(&w->detail, "%srelease %u stopped", w->detail.n > 0 ? ", " : "",
		    w->from_release);
	work_tell_requests(w);
	work_done(w);
}

static void old_stopped(struct work *w)
{
	if (w->from_release > 0)
		sockets_remove(w, w->from_release);
	run_dirs_prune(w->d, w->project.name, (uint32_t)w->release.number, w->from_release);
	prune_start(w, pruned);
}

static void drained(struct work *w)
{
	instance_stop_drained(w, is_other_release, old_stopped);
}

void drain_phase_start(struct work *w)
{
	if (plan_is_sites(&w->plan))
		sites_forget_gone(w);
	drain_sockets(w, is_other_release, drained);
}

/* The step's own limit: what is left is stopped now. */
void drain_phase_abort(struct work *w)
{
	if (!w->drain)
		return;
	drain_cancel(w->drain);
	w->drain = NULL;
	w->ops_then(w);
}
