/* A person's command in the live release: `slipway run`. */
#include "deploy/work.h"

#include <inttypes.h>

#include "base/clock.h"

#define READ_WAIT_MS 250

/* The one read on the loop thread: a person waits in front of a terminal, and it is a handful of
 * rows. */
static int load(struct work *w, struct str project, struct err *e)
{
	struct store_db *db = store_read_begin(w->d->o.store, clock_mono_ms() + READ_WAIT_MS, e);
	if (!db)
		return -1;
	int rc = model_project_get(db, &w->a, project, MODEL_EVERYTHING, &w->project, e);
	if (rc == 0)
		rc = err_set(e, ERR_NOT_FOUND, "no project '%.*s'", STR_ARG(project));
	else if (rc == 1) {
		w->task.project_id = w->project.id;
		w->st.flow = DEPLOY_FLOW_START;
		rc = facts_load(w, db, e);
	}
	store_read_end(w->d->o.store, db);
	if (rc == 0 && w->release.number == 0) {
		(void)err_set(
		    e, ERR_CONFLICT, "'%.*s' has no release yet", STR_ARG(w->project.name));
		rc = err_hint(e, "deploy it first: slipway deploy %.*s", STR_ARG(w->project.name));
	}
	return rc;
}

struct run_job *deploy_one_off(struct deploy *d, struct str project, const struct args *argv,
    int terminal_fd, int stdin_fd, const struct run_job_callbacks *cb, struct err *e)
{
	struct run_job *job = NULL;
	struct work *w = work_new(d);
	struct args env;
	if (load(w, project, e) == 0 && env_list(w, ENV_RUN, NULL, 0, STR_NONE, &env, e) == 0) {
		struct run_spec s = {.project = w->project.name,
		    .release = (uint32_t)w->release.number,
		    .process = STR("run"),
		    .instance = 1,
		    .class = PRIV_JOB,
		    .sandbox = PRIV_SANDBOX_RUN,
		    .program = PRIV_PROGRAM_TENANT,
		    .subdir = w->plan.root,
		    .argv = argv,
		    .env = &env,
		    .limits = run_limits(w),
		    .stop_timeout_ms = WORK_STOP_TIMEOUT_MS,
		    .listen_fd = -1,
		    .terminal_fd = terminal_fd,
		    .stdin_fd = stdin_fd};
		job = run_job_start(d->o.run, &s, cb);
	}
	work_free(w);
	return job;
}
