/* build, check and the once-per-release command: the plan's commands as jobs; and the seal between.
 */
#include "deploy/work.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "deploy/telling.h"

#define COMMAND_LIMIT_MS (10 * 60 * 1000)

static bool is_own_tool(const struct plan_command *c)
{
	return c->argv.n > 0 && str_eq(c->argv.v[0], STR("slipway-tree"));
}

static void command_name(const struct plan_command *c, char *out, size_t size)
{
	struct str name = c->label;
	if (name.n == 0 && c->argv.n > 0)
		name = c->argv.v[0];
	(void)snprintf(
	    out, size, "'%.*s'", (int)(name.n < 120 ? name.n : 120), name.p ? name.p : "");
}

/* What a stranger wrote runs without the cache that later builds trust. */
static enum priv_sandbox build_sandbox(const struct work *w)
{
	return w->in.stranger ? PRIV_SANDBOX_STRANGER : PRIV_SANDBOX_BUILD;
}

static int command_start(struct work *w, const struct plan_command *c, const char *job,
    enum priv_sandbox sandbox, enum env_for why, work_then_fn *then, struct err *e)
{
	struct args env;
	if (env_list(w, why, c->env, c->env_count, c->cache_key, &env, e) != 0)
		return -1;
	struct job j = {.name = job,
	    .sandbox = sandbox,
	    .program = is_own_tool(c) ? PRIV_PROGRAM_TREE : PRIV_PROGRAM_TENANT,
	    .argv = &c->argv,
	    .env = &env,
	    .subdir = w->plan.root,
	    .limits = job_limits(w, why == ENV_BUILD),
	    .time_limit_ms = c->timeout_ms > 0 ? c->timeout_ms : COMMAND_LIMIT_MS,
	    .stdin_fd = -1,
	    .expand = c->expand};
	report_line(w, deploy_phase_step(w->act.phase), c->label);
	job_start(w, &j, then);
	return 0;
}

static void command_failed(struct work *w, const struct err *e)
{
	if (!work_stopping(w))
		report_lines_keep(w);
	work_fail(w, e);
}

static void add_detail(struct work *w, struct str text)
{
	if (w->detail.n > 0)
		buf_c(&w->detail, ", ");
	buf_str(&w->detail, str_slice(text, 0, 100));
}

/* ": Ran 12 tests in 0.3s, OK" */
static void add_telling(struct work *w)
{
	char told[81];
	struct str lines[WORK_LINES];
	size_t n = w->line_count < WORK_LINES ? w->line_count : WORK_LINES;
	for (size_t i = 0; i < n; i++)
		lines[i] = str_c(w->lines[(w->line_count - n + i) % WORK_LINES]);
	telling_line(lines, n, told, sizeof(told));
	if (told[0])
		buf_printf(&w->detail, "%s%s", w->detail.n > 0 ? ": " : "", told);
}

/* --- build --- */

static void build_next(struct work *w);

static int seal_unit(struct work *w, struct store_db *db, struct err *e)
{
	int rc = model_release_seal(db, w->project.id, w->release.number,
	    (int64_t)w->fetched.tree.bytes, clock_wall_ms(), e);
	return rc < 0 ? -1
		      : (rc == 0 ? err_set(e, ERR_CONFLICT,
				       "release %" PRId64 " is not being built", w->release.number)
				 : 0);
}

static void sealed(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->detail.n == 0) {
		buf_c(&w->detail, "nothing to build");
	}
	if (w->st.flow != DEPLOY_FLOW_CHECK) /* that one stays in building, and is discarded */
		w->also = seal_unit;
	work_done(w);
}

/* Below the release's top; "." is all of it. */
static void static_path(const struct plan *p, struct str path, struct buf *out)
{
	bool whole = path.n == 0 || str_eq(path, STR("."));
	buf_str(out, p->root);
	if (!whole)
		buf_printf(out, "%s%.*s", p->root.n > 0 ? "/" : "", STR_ARG(path));
	if (out->n == 0)
		buf_char(out, '.');
}

/* The statics that the edge may read: URL and path, each ended by NUL, one pair after the other. A
 * folder of data/ has no URL here. */
void seal_request(struct work *w, work_then_fn *then)
{
	CLEANUP_BUF struct buf list;
	struct err e;
	buf_init(&list, 64u << 10);
	for (size_t i = 0; i < w->plan.static_count; i++) {
		const struct manifest_static *s = &w->plan.statics[i];
		if (s->data) {
			args_pack(&list, STR(""));
			args_pack(&list, s->path);
			continue;
		}
		CLEANUP_BUF struct buf path;
		buf_init(&path, 2048);
		static_path(&w->plan, s->path, &path);
		args_pack(&list, s->url);
		args_pack(&list, buf_view(&path));
	}
	CLEANUP_FD int fd = -1;
	if (buf_check(&list, "the list of static paths", &e) != 0 ||
	    (fd = fs_memfd("statics", list.p ? list.p : "", list.n, &e)) < 0) {
		work_fail(w, &e);
		return;
	}
	work_ops_begin(w, then);
	helper_request(w, PRIV_RELEASE_SEAL, (uint32_t)w->release.number, fd);
	work_ops_end(w);
}

/* Our own tool says in its last line what went wrong: better words than its exit status. */
static void own_words(struct work *w, const char *what, struct err *e)
{
	struct err said;
	err_clear(&said);
	report_lines_keep(w);
	if (!w->failure_lines || !source_own_words(str_c(w->failure_lines), &said))
		return;
	*e = said;
	(void)err_prefix(e, "%s", what);
}

static void build_ended(struct work *w)
{
	const struct plan_command *c = &w->plan.build[w->job_at];
	char name[140];
	struct err e;
	command_name(c, name, sizeof(name));
	if (!job_ok(w, name, &e)) {
		if (is_own_tool(c) && w->job_limit == PRIV_LIMIT_NONE && !work_stopping(w))
			own_words(w, name, &e);
		command_failed(w, &e);
		return;
	}
	add_detail(w, c->label);
	w->job_at++;
	build_next(w);
}

static void build_next(struct work *w)
{
	struct err e;
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	if (w->job_at >= w->plan.build_count) {
		seal_request(w, sealed);
		return;
	}
	if (command_start(w, &w->plan.build[w->job_at], "build", build_sandbox(w), ENV_BUILD,
		build_ended, &e) != 0)
		work_fail(w, &e);
}

void build_start(struct work *w)
{
	w->job_at = 0;
	build_next(w);
}

/* --- check: on the sealed tree, without data/ and without secrets --- */

static void check_next(struct work *w);

static void check_ended(struct work *w)
{
	const struct plan_command *c = &w->plan.checks[w->job_at];
	char name[160], plain[140];
	struct err e;
	command_name(c, plain, sizeof(plain));
	(void)snprintf(name, sizeof(name), "check %s", plain);
	if (!job_ok(w, name, &e)) {
		command_failed(w, &e);
		return;
	}
	add_detail(w, c->label);
	if (w->plan.check_count == 1)
		add_telling(w);
	w->job_at++;
	check_next(w);
}

static void check_next(struct work *w)
{
	struct err e;
	if (work_stopping(w))
		work_fail(w, NULL);
	else if (w->job_at >= w->plan.check_count)
		work_done(w);
	else if (command_start(w, &w->plan.checks[w->job_at], "check", build_sandbox(w), ENV_BUILD,
		     check_ended, &e) != 0)
		work_fail(w, &e);
}

static void check_clean(struct work *w)
{
	check_next(w);
}

void check_start(struct work *w)
{
	w->job_at = 0;
	if (w->plan.check_count == 0) {
		work_skip(w, "none");
		return;
	}
	work_ops_begin(w, check_clean);
	job_stop_strays(w);
	work_ops_end(w);
}

/* --- the once-per-release command --- */

static int migrated_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_release_set_migrated(db, w->project.id, w->release.number, e) < 0 ? -1 : 0;
}

static void release_ended(struct work *w)
{
	char name[160], plain[140];
	struct err e;
	command_name(&w->plan.release, plain, sizeof(plain));
	(void)snprintf(name, sizeof(name), "the release command %s", plain);
	if (!job_ok(w, name, &e)) {
		command_failed(w, &e);
		return;
	}
	add_detail(w, w->plan.release.label);
	add_telling(w);
	w->also = migrated_unit;
	work_done(w);
}

void release_start(struct work *w)
{
	struct err e;
	if (w->plan.release.argv.n == 0) {
		work_skip(w, "none");
		return;
	}
	if (w->release.migrated) {
		work_skip(w, "ran already");
		return;
	}
	if (command_start(
		w, &w->plan.release, "release", PRIV_SANDBOX_RUN, ENV_RUN, release_ended, &e) != 0)
		work_fail(w, &e);
}
