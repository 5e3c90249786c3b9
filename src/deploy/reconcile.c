/* At the daemon's start: what the store wants against what runs, project by project, a page at a
 * time. Projects whose task was under way only get their live release back; the rest is the task's
 * business. */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#define PAGE 32u

struct reconcile {
	struct deploy *d;
	struct work *page[PAGE];
	bool busy[PAGE]; /* a task of it is in state running */
	size_t count, at;
	char after[NAME_PROJECT_MAX + 3];
	loop_fn *done;
	void *ctx;
	int rc;
	struct err e;
};

static void page_start(struct reconcile *r);
static void project_next(struct reconcile *r);

/* --- one project --- */

static bool is_live(const struct work *w, const struct priv_status *s)
{
	return w->project.desired_running && s->release == (uint32_t)w->project.live;
}

static bool is_unwanted(const struct work *w, const struct priv_status *s)
{
	return !is_live(w, s) || s->instance > facts_count(w, str_c(s->process));
}

/* A crash between the switch and the end of the handover: the task stops these first. */
static bool runs_other_workers(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (instance_of(w, all[i]) && all[i]->release != (uint32_t)w->project.live &&
		    !instance_has_socket(w->d, all[i]))
			return true;
	return false;
}

static void start_missing(struct work *w, bool busy)
{
	bool handing_over = busy && runs_other_workers(w);
	for (size_t i = 0; i < w->plan.process_count; i++) {
		const struct plan_process *p = &w->plan.processes[i];
		bool waits = handing_over && !instance_listens(p);
		int64_t n = waits ? 0 : facts_count(w, p->name);
		for (int64_t k = 1; k <= n; k++)
			instance_start(w, p, (uint16_t)k);
	}
}

static bool runs_something(struct work *w, uint32_t release)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (instance_of(w, all[i]) && all[i]->release == release)
			return true;
	return false;
}

static int correct_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct work *w = ctx;
	return model_live_correct(
		   db, w->project.id, w->from_release, w->project.live, clock_wall_ms(), e) < 0
		   ? -1
		   : 0;
}

static void correct_done(void *ctx, int rc, const struct err *e);
static void link_set(struct work *w);

/* The link is the truth on a running machine, the store after a boot. 1: one of them is being put
 * right. */
static int agree_live(struct work *w, bool busy, struct err *e)
{
	uint32_t link = 0, live = (uint32_t)w->project.live;
	if (edge_live(w->d->o.edge, w->project.name, &link, e) < 0)
		return -1;
	if (link == live || (busy && runs_something(w, link)))
		return 0;
	if (link > 0 && runs_something(w, link) && !busy) {
		w->from_release = link;
		if (store_submit(w->d->o.store, correct_unit, correct_done, w, e) != 0)
			return -1;
		return 1;
	}
	work_ops_begin(w, link_set);
	work_switch(w, live, (uint32_t)w->project.previous);
	work_ops_end(w);
	return 1;
}

/* A task was about to record what it had switched to: the vhost is that release's, and its business. Any other may
 * end without ever coming to the vhost, and the edge may be another than before. */
static bool has_switched(const struct work *w)
{
	uint32_t link = 0;
	struct err e;
	return edge_live(w->d->o.edge, w->project.name, &link, &e) < 0 ||
	       link != (uint32_t)w->project.live;
}

static void restore(struct work *w)
{
	struct reconcile *r = w->reconcile;
	struct err e;
	bool busy = r->busy[r->at];
	const struct deploy *d = w->d;
	struct str name = w->project.name;
	if (rundir_make(d->o.run_dir, d->o.projects_dir, name, (uint32_t)w->project.live, &e) !=
		0 ||
	    (w->project.previous > 0 && rundir_make(d->o.run_dir, d->o.projects_dir, name,
					    (uint32_t)w->project.previous, &e) != 0)) {
		work_op_add(w);
		work_op_back(w, &e);
	}
	if (w->project.desired_running)
		start_missing(w, busy);
	if (!busy)
		(void)instance_stop(w, is_unwanted);
	if (!busy || !has_switched(w))
		vhost_set(w, &w->plan, !w->project.desired_running);
}

static void ensured(void *ctx, uint64_t value, const struct err *e)
{
	struct work *w = ctx;
	(void)value;
	restore(w);
	work_op_back(w, e);
}

/* A boot empties RUN; only the helper can give RUN/NAME back to the edge's group. */
static void ensure_then_restore(struct work *w)
{
	char path[WORK_PATH_SIZE];
	struct stat st;
	struct priv_request q;
	struct err e;
	(void)snprintf(path, sizeof(path), "%s/%.*s", w->d->o.run_dir, STR_ARG(w->project.name));
	if (lstat(path, &st) == 0 || work_ensure_request(w, &q, &e) != 0) {
		restore(w);
		return;
	}
	work_op_add(w);
	run_request(w->d->o.run, &q, NULL, 0, ensured, w);
}

static void settled(struct work *w)
{
	struct reconcile *r = w->reconcile;
	if (w->op_failed)
		log_event(LOG_ERROR, "deploy", "reconcile_failed",
		    F_STR("project", w->project.name), F_ERR(&w->op_err));
	r->at++;
	project_next(r);
}

static void project_ops(struct work *w, struct err *e, int agreed)
{
	work_ops_begin(w, settled);
	if (agreed < 0) {
		work_op_add(w);
		work_op_back(w, e);
	}
	if (w->has_plan)
		ensure_then_restore(w);
	work_ops_end(w);
}

static void corrected(void *ctx)
{
	struct work *w = ctx;
	struct err e;
	(void)err_set(&e, ERR_IO, "could not record which release is live");
	/* Its plan is read again by the next task; the processes that run are the right ones. */
	w->has_plan = false;
	project_ops(w, &e, w->op_failed ? -1 : 0);
}

static void correct_done(void *ctx, int rc, const struct err *e)
{
	struct work *w = ctx;
	(void)e;
	w->op_failed = rc != 0;
	loop_post(w->d->o.loop, corrected, w);
}

static void link_set(struct work *w)
{
	struct err e = w->op_err;
	project_ops(w, &e, w->op_failed ? -1 : 0);
}

static void project_start(struct work *w)
{
	struct err e;
	int agreed = 0;
	bool busy = w->reconcile->busy[w->reconcile->at];
	if (w->project.live > 0)
		agreed = agree_live(w, busy, &e);
	if (agreed == 1)
		return;
	project_ops(w, &e, agreed);
}

/* --- pages --- */

static bool has_running_task(const struct model_tasks *t, int64_t project_id)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].project_id == project_id)
			return true;
	return false;
}

static int load_page(struct reconcile *r, struct store_db *db, struct arena *a, struct err *e)
{
	struct model_projects list;
	struct model_tasks running;
	if (model_project_list(db, a, str_c(r->after), PAGE, MODEL_EVERYTHING, &list, e) < 0 ||
	    model_task_running(db, a, &running, e) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		struct work *w = work_new(r->d);
		w->reconcile = r;
		w->st.flow = DEPLOY_FLOW_START;
		w->task.project_id = list.v[i].id;
		r->busy[r->count] = has_running_task(&running, list.v[i].id);
		r->page[r->count++] = w;
		if (!str_copy(list.v[i].name, r->after, sizeof(r->after)))
			return err_set(e, ERR_INTERNAL, "a project's name is too long");
		if (facts_load(w, db, e) != 0) {
			log_event(LOG_ERROR, "deploy", "reconcile_unreadable",
			    F_STR("project", list.v[i].name), F_ERR(e));
			w->has_plan = false;
			w->project = (struct model_project){.id = list.v[i].id};
		}
	}
	return 0;
}

static int page_unit(void *ctx, struct store_db *db, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	arena_init(&a, 16u << 20);
	return load_page(ctx, db, &a, e);
}

static void page_free(struct reconcile *r)
{
	for (size_t i = 0; i < r->count; i++)
		work_free(r->page[i]);
	r->count = r->at = 0;
}

static void reconcile_end(struct reconcile *r)
{
	struct deploy *d = r->d;
	loop_fn *done = r->done;
	void *ctx = r->ctx;
	page_free(r);
	mem_free_ptr(&r);
	d->reconcile = NULL;
	deploy_ready(d);
	if (done)
		done(ctx);
}

static void project_next(struct reconcile *r)
{
	if (r->at < r->count) {
		project_start(r->page[r->at]);
		return;
	}
	if (r->count < PAGE) {
		reconcile_end(r);
		return;
	}
	page_start(r);
}

static void page_back(void *ctx)
{
	struct reconcile *r = ctx;
	if (r->d->closing)
		return;
	if (r->rc != 0) {
		log_event(LOG_ERROR, "deploy", "reconcile_failed", F_ERR(&r->e));
		reconcile_end(r);
		return;
	}
	project_next(r);
}

static void page_done(void *ctx, int rc, const struct err *e)
{
	struct reconcile *r = ctx;
	r->rc = rc;
	if (rc != 0)
		r->e = *e;
	loop_post(r->d->o.loop, page_back, r);
}

static void page_start(struct reconcile *r)
{
	page_free(r);
	if (store_submit(r->d->o.store, page_unit, page_done, r, &r->e) != 0) {
		log_event(LOG_ERROR, "deploy", "reconcile_failed", F_ERR(&r->e));
		reconcile_end(r);
	}
}

void deploy_reconcile(struct deploy *d, loop_fn *done, void *ctx)
{
	struct reconcile *r = mem_alloc(sizeof(*r));
	*r = (struct reconcile){.d = d, .done = done, .ctx = ctx};
	d->reconcile = r;
	page_start(r);
}
