/* Commands that run once: their output, their limits, and words for how they ended. */
#include "deploy/work.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "base/num.h"

static void on_output(void *ctx, struct str line)
{
	struct work *w = ctx;
	const char *step = deploy_phase_step(w->act.phase);
	report_lines_add(w, line);
	report_line(w, step ? step : "", line);
	logs_append(w->d->o.logs, w->project.name, (uint32_t)w->release.number,
	    str_c(step ? step : "job"), 1, line);
}

static void on_ended(void *ctx, int wait_status, enum priv_limit_hit limit_hit, struct str report,
    const struct err *e)
{
	struct work *w = ctx;
	w->job = NULL;
	w->job_status = wait_status;
	w->job_limit = limit_hit;
	w->job_failed_to_run = e != NULL;
	if (e)
		w->job_err = *e;
	w->job_report = report.n > 0 ? arena_str(&w->a, report) : STR_NONE;
	if (report.n > 0 && !w->job_report.p) {
		w->job_failed_to_run = true;
		(void)err_set(&w->job_err, ERR_TOO_LARGE, "the report of the source is too large");
	}
	w->job_then(w);
}

static const struct args *with_expand(struct work *w, const struct job *j)
{
	if (!j->expand)
		return j->env;
	struct args *all = arena_alloc(&w->a, sizeof(*all));
	struct str *v = arena_array(&w->a, j->env->n + 1, sizeof(*v));
	if (!all || !v)
		return j->env;
	if (j->env->n > 0)
		memcpy(v, j->env->v, j->env->n * sizeof(*v));
	v[j->env->n] = STR("SLIPWAY_EXPAND=1");
	*all = (struct args){.v = v, .n = j->env->n + 1};
	return all;
}

void job_start(struct work *w, const struct job *j, work_then_fn *then)
{
	report_lines_clear(w);
	w->job_then = then;
	w->job_limit_ms = j->time_limit_ms;
	w->job_limits = j->limits;
	struct run_spec s = {.project = w->project.name,
	    .release = (uint32_t)w->release.number,
	    .process = str_c(j->name),
	    .instance = 1,
	    .class = PRIV_JOB,
	    .sandbox = j->sandbox,
	    .program = j->program,
	    .subdir = j->subdir,
	    .argv = j->argv,
	    .env = with_expand(w, j),
	    .secret = j->secret,
	    .limits = j->limits,
	    .time_limit_ms =
		j->time_limit_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)j->time_limit_ms,
	    .listen_fd = -1,
	    .terminal_fd = -1,
	    .stdin_fd = j->stdin_fd};
	struct run_job_callbacks cb = {
	    .output = on_output, .ended = on_ended, .ctx = w, .report_max = j->report_max};
	w->job = run_job_start(w->d->o.run, &s, &cb);
}

void job_abort(struct work *w)
{
	if (w->job)
		run_job_cancel(w->job);
}

static int limit_words(const struct work *w, const char *what, struct err *e)
{
	char text[32];
	bool fetch = w->act.phase == DEPLOY_FETCH;
	switch (w->job_limit) {
	case PRIV_LIMIT_MEMORY:
		num_size_text(w->job_limits.memory_bytes, text);
		(void)err_set(e, ERR_FAILED, "%s ran out of memory (limit %s)", what, text);
		return err_hint(e, "%s",
		    fetch ? "keep very large files out of the repository, or ask the operator for "
			    "more (limits.build_memory_bytes of the project)"
			  : "raise limits.memory or limits.build.memory in slipway.yaml");
	case PRIV_LIMIT_TIME:
		num_duration_text(w->job_limit_ms, text);
		(void)err_set(e, ERR_TIMEOUT, "%s took longer than %s and was ended", what, text);
		return err_hint(e, "%s",
		    w->act.phase == DEPLOY_BUILD
			? "raise limits.build.time in slipway.yaml, or make it faster"
			: "raise its time limit in slipway.yaml, or make it faster");
	case PRIV_LIMIT_TASKS:
		(void)err_set(e, ERR_FAILED, "%s started more processes than its limit allows (%u)",
		    what, w->plan.limits.tasks);
		return err_hint(e, "raise limits.tasks in slipway.yaml");
	case PRIV_LIMIT_DISK:
		num_size_text(w->job_limits.disk_bytes, text);
		(void)err_set(e, ERR_FAILED, "%s wrote more than its disk limit allows (%s for %s)",
		    what, text,
		    run_has_quota(w->d->o.run) ? "all files of the project's user"
					       : "the release and all that is kept to make it");
		return err_hint(e, "%s",
		    fetch ? "keep large files out of the repository, or ask the operator for more "
			    "(limits.disk_bytes of the project)"
			  : "raise limits.disk in slipway.yaml");
	case PRIV_LIMIT_READY: /* of services */
	case PRIV_LIMIT_WATCHDOG:
	case PRIV_LIMIT_NONE:
	case PRIV_LIMIT_COUNT:
		break;
	}
	return 0;
}

bool job_ok(struct work *w, const char *what, struct err *e)
{
	err_clear(e);
	if (w->job_failed_to_run) {
		*e = w->job_err;
		(void)err_prefix(e, "%s could not run", what);
		return false;
	}
	if (w->job_limit != PRIV_LIMIT_NONE && limit_words(w, what, e) != 0)
		return false;
	if (WIFEXITED(w->job_status) && WEXITSTATUS(w->job_status) == 0)
		return true;
	if (WIFSIGNALED(w->job_status))
		(void)err_set(e, ERR_FAILED, "%s was ended by signal %d (%s)", what,
		    WTERMSIG(w->job_status), strsignal(WTERMSIG(w->job_status)));
	else if (WEXITSTATUS(w->job_status) == 127)
		(void)err_set(e, ERR_FAILED, "%s could not be found", what);
	else
		(void)err_set(
		    e, ERR_FAILED, "%s ended with status %d", what, WEXITSTATUS(w->job_status));
	return false;
}

struct priv_limits run_limits(const struct work *w)
{
	struct priv_limits l = job_limits(w, false);
	l.devices = w->plan.devices & w->devices;
	return l;
}

struct priv_limits job_limits(const struct work *w, bool build)
{
	const struct manifest_limits *m = &w->plan.limits;
	return (struct priv_limits){.memory_bytes = build && m->build_memory_bytes > 0
							? m->build_memory_bytes
							: m->memory_bytes,
	    .disk_bytes = m->disk_bytes,
	    .cpu_milli = m->cpu_milli,
	    .tasks = m->tasks,
	    .files = m->files};
}

void job_stop_strays(struct work *w)
{
	const struct priv_status *const *all;
	size_t n = run_statuses(w->d->o.run, &all);
	for (size_t i = 0; i < n; i++)
		if (all[i]->class == PRIV_JOB && !instance_is_over(all[i]) &&
		    str_eq_c(w->project.name, all[i]->project) &&
		    all[i]->release == (uint32_t)w->release.number &&
		    strcmp(all[i]->process, "run") != 0) {
			work_op_add(w);
			run_stop(w->d->o.run, all[i]->id, 0, work_op_done, w);
		}
}
