/* A hook's command in the live release: at most once, with the event's body as its input. */
#include "deploy/work.h"

#include <inttypes.h>
#include <unistd.h>

#include "base/fs.h"

#define COMMAND_LIMIT_MS (10 * 60 * 1000)

static int input_unit(struct work *w, struct store_db *db, struct err *e)
{
	struct deploy *d = w->d;
	if (w->release.number == 0) {
		(void)err_set(
		    e, ERR_CONFLICT, "'%.*s' has no release yet", STR_ARG(w->project.name));
		return err_hint(
		    e, "deploy it first: slipway deploy %.*s", STR_ARG(w->project.name));
	}
	if (w->in.event == 0 || !d->o.body)
		return 0;
	int rc = d->o.body(d->o.ctx, db, w->in.event, &w->a, &w->event, &w->event_body, e);
	return rc > 0 ? 0 : rc == 0 ? err_set(e, ERR_NOT_FOUND, "the event is gone") : -1;
}

static void ended(struct work *w)
{
	struct err e;
	CLEANUP_BUF struct buf name;
	buf_init(&name, 256);
	buf_printf(&name, "'%.*s'", STR_ARG(str_slice(w->in.argv.v[0], 0, 120)));
	if (job_ok(w, name.p ? name.p : "the command", &e)) {
		buf_str(&w->detail, buf_view(&name));
		work_done(w);
		return;
	}
	if (!work_stopping(w))
		report_lines_keep(w);
	work_fail(w, &e);
}

static int environment(struct work *w, struct args *ret, struct err *e)
{
	const struct manifest_pair about[] = {{STR("SLIPWAY_EVENT_KIND"), w->event.kind},
	    {STR("SLIPWAY_EVENT_REF"), w->event.ref}, {STR("SLIPWAY_EVENT_HOOK"), w->event.hook},
	    {STR("SLIPWAY_EVENT_DELIVERY"), w->event.delivery_key},
	    {STR("SLIPWAY_EVENT_ID"), str_c(arena_printf(&w->a, "%" PRId64, w->event.id))}};
	size_t n = w->event.id ? sizeof(about) / sizeof(*about) : 0;
	return env_list(w, ENV_RUN, about, n, STR_NONE, ret, e);
}

static void start(struct work *w)
{
	struct args env;
	struct err e;
	CLEANUP_FD int input = -1;
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	if (environment(w, &env, &e) != 0 ||
	    (input = fs_memfd(
		 "event", w->event_body.n ? w->event_body.p : "", w->event_body.n, &e)) < 0) {
		work_fail(w, &e);
		return;
	}
	struct job j = {.name = "hook",
	    .sandbox = PRIV_SANDBOX_RUN,
	    .program = PRIV_PROGRAM_TENANT,
	    .argv = &w->in.argv,
	    .env = &env,
	    .subdir = w->plan.root,
	    .limits = run_limits(w),
	    .time_limit_ms = w->in.timeout_ms > 0 ? w->in.timeout_ms : COMMAND_LIMIT_MS,
	    .stdin_fd = input};
	job_start(w, &j, ended);
}

void command_phase_start(struct work *w)
{
	work_unit(w, input_unit, start);
}
