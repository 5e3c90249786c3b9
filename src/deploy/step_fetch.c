/* fetch and plan: a release number, the tenant's tree, what is in it, and what will be done with
 * it. */
#include "deploy/work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/name.h"
#include "kinds/site_filter.h"
#include "launch/sandbox.h"
#include "model/place.h"
#include "model/release_made.h"
#include "text/json.h"

#define FETCH_REPORT_MAX (32u << 20)
#define FETCH_LIMIT_MS (20 * 60 * 1000)

static struct str branch_of(const struct work *w)
{
	return w->in.ref.n > 0 ? w->in.ref : w->project.source_ref;
}

/* --- fetch, 1: number and source, from the store --- */

static int open_secret(struct work *w, struct store_db *db, enum model_project_secret which,
    struct str *ret, struct err *e)
{
	char place[MODEL_PLACE_SIZE];
	struct str sealed;
	int rc = model_project_secret_get(db, &w->a, w->project.id, which, &sealed, e);
	if (rc <= 0)
		return rc;
	struct buf clear;
	buf_init(&clear, 64u << 10);
	rc = seal_open(
	    w->d->o.seal, model_place_project(w->project.id, which, place), sealed, &clear, e);
	if (rc == 0)
		*ret = arena_str(&w->a, buf_view(&clear));
	buf_wipe(&clear);
	return rc;
}

static enum source_type source_type_of(const struct work *w)
{
	if (w->in.archive.n > 0)
		return SOURCE_ARCHIVE;
	if (w->in.url.n > 0)
		return SOURCE_GIT;
	static const enum source_type of[MODEL_SOURCE_COUNT] = {
	    [MODEL_SOURCE_GIT] = SOURCE_GIT,
	    [MODEL_SOURCE_PATH] = SOURCE_PATH,
	    [MODEL_SOURCE_ARCHIVE] = SOURCE_ARCHIVE,
	};
	return of[w->project.source];
}

static bool own_address(const struct work *w)
{
	return w->in.url.n == 0 || str_eq(w->in.url, w->project.source_url);
}

static int source_fill(struct work *w, struct store_db *db, struct err *e)
{
	struct source_spec *s = &w->source;
	*s = (struct source_spec){.type = source_type_of(w), .ref = branch_of(w)};
	s->allow_private = w->d->o.allow_private_sources;
	if (s->type == SOURCE_ARCHIVE)
		return 0;
	if (s->type == SOURCE_PATH) {
		s->path = w->project.source_url;
		return 0;
	}
	s->url = w->in.url.n > 0 ? w->in.url : w->project.source_url;
	if (w->task.from_push)
		s->retry_while = w->task.before_commit;
	/* Credentials and pinned keys belong to the project's own address and go nowhere else. */
	if (!own_address(w))
		return 0;
	s->known_hosts = w->project.known_hosts;
	s->public_key = w->project.deploy_key;
	return open_secret(w, db, MODEL_PROJECT_HTTPS_TOKEN, &s->https_token, e) < 0 ||
		       open_secret(w, db, MODEL_PROJECT_DEPLOY_KEY, &s->deploy_key, e) < 0
		   ? -1
		   : 0;
}

static int begin_unit(struct work *w, struct store_db *db, struct err *e)
{
	struct model_branch_head head;
	struct str head_ref;
	int64_t env_version;
	if (facts_load(w, db, e) != 0 ||
	    model_env_version(db, w->project.id, &env_version, e) < 0 || source_fill(w, db, e) != 0)
		return -1;
	struct model_release r = {.project_id = w->project.id,
	    .ref = branch_of(w),
	    .env_version = env_version,
	    .task_id = w->task.id,
	    .attempt = w->task.attempt,
	    .created_ms = clock_wall_ms()};
	if (model_release_begin(db, &r, &r.number, e) != 0)
		return -1;
	w->release = r;
	w->has_plan = false;
	if (model_env_list(db, &w->a, w->project.id, env_version, MODEL_EVERYTHING, &w->envs, e) <
	    0)
		return -1;
	if (facts_head_ref(w, db, &head_ref, e) != 0)
		return -1;
	int rc = model_branch_head_get(db, &w->a, w->project.id, head_ref, &head, e);
	bool rebuild = w->st.flow == DEPLOY_FLOW_CHECK || w->in.force || w->in.plan_only ||
		       w->in.archive.n > 0 || w->project.live == 0;
	bool seen = rc == 1 && (w->in.look || (head.ok && !rebuild));
	if (seen && w->source.type == SOURCE_GIT)
		w->source.unless_commit = head.commit;
	return rc < 0 ? -1 : 0;
}

/* --- fetch, 2: user and folder, then the job --- */

static void fetch_ended(struct work *w);

static int open_archive(struct work *w, struct err *e)
{
	char path[WORK_PATH_SIZE];
	if (w->in.archive.n == 0)
		return err_set(e, ERR_INVALID,
		    "'%.*s' is deployed from uploaded archives; none was named",
		    STR_ARG(w->project.name));
	if (str_find(w->in.archive, '/', 0) != SIZE_MAX || w->in.archive.p[0] == '.')
		return err_set(e, ERR_INVALID, "the archive's id is malformed");
	(void)snprintf(
	    path, sizeof(path), "%s/%.*s.tar", w->d->o.spool_dir, STR_ARG(w->in.archive));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0)
		return fd;
	(void)err_set(e, ERR_NOT_FOUND, "the uploaded archive is not there any more");
	return err_hint(e, "upload it again");
}

int work_own_limits(const struct work *w, struct manifest_limits *ret, struct err *e)
{
	struct str json = w->project.limits;
	*ret = (struct manifest_limits){0};
	if (json.n == 0)
		return 0;
	CLEANUP_JSON json_t *o = json_read(json, e);
	if (!o)
		return err_prefix(e, "the project's limits");
	int64_t memory = 0, disk = 0, build = 0, cpu = 0, tasks = 0, files = 0, time = 0;
	if (json_get_i64(o, "memory_bytes", 0, INT64_MAX, &memory, e) < 0 ||
	    json_get_i64(o, "disk_bytes", 0, INT64_MAX, &disk, e) < 0 ||
	    json_get_i64(o, "build_memory_bytes", 0, INT64_MAX, &build, e) < 0 ||
	    json_get_i64(o, "cpu_milli", 0, UINT32_MAX, &cpu, e) < 0 ||
	    json_get_i64(o, "tasks", 0, UINT32_MAX, &tasks, e) < 0 ||
	    json_get_i64(o, "files", 0, UINT32_MAX, &files, e) < 0 ||
	    json_get_i64(o, "build_time_ms", 0, INT64_MAX, &time, e) < 0)
		return -1;
	*ret = (struct manifest_limits){.memory_bytes = (uint64_t)memory,
	    .disk_bytes = (uint64_t)disk,
	    .build_memory_bytes = (uint64_t)build,
	    .cpu_milli = (uint32_t)cpu,
	    .tasks = (uint32_t)tasks,
	    .files = (uint32_t)files,
	    .build_time_ms = time};
	return 0;
}

int work_ensure_request(const struct work *w, struct priv_request *ret, struct err *e)
{
	struct manifest_limits own;
	*ret = (struct priv_request){.op = PRIV_PROJECT_ENSURE};
	if (work_own_limits(w, &own, e) != 0)
		return -1;
	ret->start.limits.disk_bytes = own.disk_bytes;
	if (!str_copy(w->project.name, ret->project, sizeof(ret->project)))
		return err_set(e, ERR_INTERNAL, "the project's name is too long");
	return 0;
}

static uint64_t at_most(uint64_t wanted, uint64_t max)
{
	return wanted > 0 && wanted < max ? wanted : max;
}

/* There is no plan yet: what the operator set for the project counts, below the platform's own
 * bounds. */
static int fetch_limits(const struct work *w, struct priv_limits *ret, struct err *e)
{
	struct manifest_limits own;
	if (work_own_limits(w, &own, e) != 0)
		return -1;
	uint64_t memory = own.build_memory_bytes > 0 ? own.build_memory_bytes : own.memory_bytes;
	*ret = (struct priv_limits){.memory_bytes = at_most(memory, LIMIT_FETCH_MEMORY_BYTES),
	    .disk_bytes = at_most(own.disk_bytes, LIMIT_FETCH_DISK_BYTES),
	    .cpu_milli = own.cpu_milli,
	    .tasks = LIMIT_FETCH_TASKS};
	return 0;
}

static void fetch_job(struct work *w)
{
	struct source_job job;
	struct err e;
	CLEANUP_FD int stdin_fd = -1;
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (work_stopping(w)) {
		work_fail(w, NULL);
		return;
	}
	if (w->source.type == SOURCE_ARCHIVE && (stdin_fd = open_archive(w, &e)) < 0) {
		work_fail(w, &e);
		return;
	}
	struct priv_limits limits;
	if (fetch_limits(w, &limits, &e) != 0 || source_check(&w->source, &e) != 0 ||
	    source_job(&w->source, (uint32_t)w->release.number, &w->a, &job, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	struct job j = {.name = "fetch",
	    .sandbox = PRIV_SANDBOX_FETCH,
	    .program = PRIV_PROGRAM_TREE,
	    .argv = &job.argv,
	    .env = &job.env,
	    .secret = job.secret,
	    .limits = limits,
	    .time_limit_ms = FETCH_LIMIT_MS,
	    .report_max = FETCH_REPORT_MAX,
	    .stdin_fd = stdin_fd};
	job_start(w, &j, fetch_ended);
}

static void folder_prepare(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	work_ops_begin(w, fetch_job);
	helper_request(w, PRIV_RELEASE_PREPARE, (uint32_t)w->release.number, -1);
	work_ops_end(w);
}

/* A life before this one may have sealed the tree and ended before it could say so. */
static void project_ready(struct work *w)
{
	if (w->op_failed || w->st.attempt <= 1) {
		folder_prepare(w);
		return;
	}
	work_ops_begin(w, folder_prepare);
	helper_request(w, PRIV_RELEASE_REMOVE, (uint32_t)w->release.number, -1);
	work_ops_end(w);
}

static void ensured(void *ctx, uint64_t value, const struct err *e)
{
	struct work *w = ctx;
	if (!e)
		w->project.user_no = (int64_t)value;
	work_op_back(w, e);
}

static void begun(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	struct priv_request q;
	struct err e;
	if (work_ensure_request(w, &q, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	work_ops_begin(w, project_ready);
	job_stop_strays(w);
	work_op_add(w);
	run_request(w->d->o.run, &q, NULL, 0, ensured, w);
	work_ops_end(w);
}

void fetch_start(struct work *w)
{
	struct err e;
	if (w->in.stranger && sandbox_landlock_version() == 0) {
		(void)err_set(&e, ERR_UNSUPPORTED,
		    "this kernel has no Landlock: a stranger's code could not be kept apart");
		work_fail(w, &e);
		return;
	}
	work_unit(w, begin_unit, begun);
}

/* --- fetch, 3: the report --- */

static int remember_fetch(struct work *w, struct store_db *db, struct err *e)
{
	struct model_lease l = {
	    .task_id = w->lease.task_id, .owner = w->task.lease_owner, .counter = w->lease.counter};
	if (model_release_describe(db, &w->release, e) < 0 ||
	    model_project_set_user_no(db, w->project.id, w->project.user_no, e) < 0)
		return -1;
	if (w->fetched.host_keys.n > 0 && own_address(w)) {
		struct model_project_change c = {.known_hosts = w->fetched.host_keys};
		if (model_project_update(db, w->project.id, 0, &c, e) < 0)
			return -1;
	}
	if (w->in.plan_only)
		return 0;
	if (news_started(w, db, e) != 0)
		return -1;
	if (w->release.commit.n == 0)
		return 0;
	if (w->st.flow == DEPLOY_FLOW_CHECK) /* the branch's head is what deploys saw */
		return model_task_set_head(db, &l, w->release.commit, e) < 0 ? -1 : 0;
	struct model_branch_head head = {
	    .commit = w->release.commit, .ok = false, .task_id = w->task.id};
	struct str head_ref;
	return facts_head_ref(w, db, &head_ref, e) != 0 ||
		       model_task_set_head(db, &l, w->release.commit, e) < 0 ||
		       model_branch_head_set(db, w->project.id, head_ref, &head, e) < 0
		   ? -1
		   : 0;
}

static void fetch_failed(struct work *w)
{
	struct err e;
	if (w->job_failed_to_run || w->job_limit != PRIV_LIMIT_NONE) {
		(void)job_ok(w, "the fetch", &e);
		work_fail(w, &e);
		return;
	}
	report_lines_keep(w);
	struct str lines = str_c(w->failure_lines ? w->failure_lines : "");
	err_clear(&e);
	source_explain(&w->source, w->job_status, lines, &e);
	if (!work_stopping(w))
		work_blame(w, &e);
	bool later = err_class_of(e.code)->retry == ERR_RETRY_LATER;
	if (later && !work_stopping(w) && w->task.attempts_max > 1)
		work_answer(w, DEPLOY_EV_RETRY);
	else
		work_fail(w, &e);
}

static void fetch_ended(struct work *w)
{
	struct err e;
	if (!job_ok(w, "the fetch", &e)) {
		fetch_failed(w);
		return;
	}
	if (source_read(w->job_report, &w->a, &w->fetched, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	w->release.commit = w->fetched.commit.p ? w->fetched.commit : STR("");
	w->release.subject = w->fetched.subject.p ? w->fetched.subject : STR("");
	w->release.author = w->fetched.author.p ? w->fetched.author : STR("");
	if (w->fetched.up_to_date) {
		buf_printf(&w->detail, "%.*s is deployed already",
		    (int)(w->release.commit.n < 7 ? w->release.commit.n : 7), w->release.commit.p);
		work_answer(w, DEPLOY_EV_UP_TO_DATE);
		return;
	}
	buf_printf(&w->detail, "%" PRIu64 " %s", w->fetched.tree.files,
	    w->fetched.tree.files == 1 ? "file" : "files");
	if (w->release.commit.n >= 7)
		buf_printf(&w->detail, ", %.7s", w->release.commit.p);
	w->also = remember_fetch;
	work_done(w);
}

/* --- plan --- */

struct name_platform work_platform(const struct work *w)
{
	return (struct name_platform){.host = w->d->o.host,
	    .public_url = w->d->o.public_url,
	    .names_below = w->d->o.names_below != NULL};
}

int domains_give_back(struct work *w, struct store_db *db, struct err *e)
{
	for (size_t i = 0; i < w->claimed.n; i++)
		if (model_domain_remove(db, w->project.id, w->claimed.v[i], e) < 0)
			return -1;
	return w->claimed.n > 0 ? facts_domains(w, db, e) : 0;
}

void domains_given_back(struct work *w)
{
	w->claimed.n = 0;
}

static int claim_domains(struct work *w, struct store_db *db, struct err *e)
{
	struct args claimed = {
	    .v = arena_array(&w->a, w->plan.domains.n + 1, sizeof(*claimed.v))};
	if (!claimed.v)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	/* An earlier life of the task may have read another manifest. */
	if (domains_give_back(w, db, e) != 0)
		return -1;
	const struct name_platform platform = work_platform(w);
	for (size_t i = 0; i < w->plan.domains.n; i++) {
		struct str host = w->plan.domains.v[i];
		if (name_domain_free(host, w->project.name, &platform, e) != 0)
			return -1;
		int added = model_domain_add(db, w->project.id, host, clock_wall_ms(), e);
		if (added > 0)
			claimed.v[claimed.n++] = host;
		if (added >= 0)
			continue;
		if (e->code != ERR_CONFLICT)
			return -1;
		(void)err_set(
		    e, ERR_CONFLICT, "domain '%.*s' belongs to another project", STR_ARG(host));
		return err_hint(e, "take it out of slipway.yaml, or let it be given up there first "
				   "(slipway domains remove)");
	}
	w->claimed = claimed;
	return 0;
}

static int plan_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (model_release_set_plan(
		db, w->project.id, w->release.number, buf_view(&w->plan_json), e) < 0 ||
	    sites_check_names(w, db, e) != 0 ||
	    (w->st.flow != DEPLOY_FLOW_CHECK && claim_domains(w, db, e) != 0))
		return -1;
	struct model_release keep = w->release;
	if (facts_load(w, db, e) != 0)
		return -1;
	/* The row does not hold what the fetch found until this step's commit. */
	keep.plan = w->release.plan;
	w->release = keep;
	/* A life that ends right behind the claim leaves the next one what to give back. */
	return w->plan.domains.n > 0 ? work_remember(w, db, e) : 0;
}

static void plan_stored(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else {
		buf_clear(&w->plan_json);
		work_done(w);
	}
}

void plan_start(struct work *w)
{
	struct err e;
	struct manifest_limits limits;
	struct manifest_sites sites;
	struct kinds_input in = {.tree = &w->fetched.tree,
	    .root = w->project.root,
	    .devices = w->devices,
	    .limits = &limits,
	    .sites = &sites,
	    .first_domain = w->first_domain,
	    .project = w->project.name};
	notify_kick(w->d->o.notify); /* the start of it is told by now */
	if (work_own_limits(w, &limits, &e) != 0 ||
	    site_settings_read(w->project.sites, &w->a, &sites, &e) != 0 ||
	    (w->project.kind.n > 0 && manifest_kind_parse(w->project.kind, &in.kind, &e) != 0) ||
	    kinds_plan(&in, &w->a, &w->plan, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	w->has_plan = true;
	buf_clear(&w->plan_json);
	if (plan_pack(&w->plan, &w->plan_json, &e) != 0 ||
	    buf_check(&w->plan_json, "the plan", &e) != 0) {
		work_fail(w, &e);
		return;
	}
	buf_printf(&w->detail, "%s", manifest_kind_name(w->plan.kind));
	if (w->plan.reason.n > 0)
		buf_printf(&w->detail, " (%.*s)", STR_ARG(w->plan.reason));
	if (w->in.plan_only)
		work_answer(w, DEPLOY_EV_UP_TO_DATE);
	else
		work_unit(w, plan_unit, plan_stored);
}
