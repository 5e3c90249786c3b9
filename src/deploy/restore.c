/* restore: an archive proved to its end, its release and data beside what serves, then in its place. */
#include "deploy/keep.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "model/release_made.h"

/* --- read --- */

static int read_archive(struct keep *k, struct err *e)
{
	const struct work *w = k->w;
	CLEANUP_FD int from = shelf_open(w->d->o.backups_dir, k->project_id, w->in.backup, e);
	const struct backup_opening o = {.seal = w->d->o.seal, .stop = &k->stop, .files = k->files};
	buf_clear(&k->header);
	buf_wipe(&k->settings);
	return from < 0 ? -1 : backup_read(from, &o, &k->header, &k->settings, e);
}

static int said_read(struct work *w, struct err *e)
{
	struct keep *k = w->keep;
	if (backup_header_read(buf_view(&k->header), &w->a, &k->head, e) != 0 ||
	    backup_settings_read(buf_view(&k->settings), &w->a, &k->said, e) != 0)
		return -1;
	k->has_said = true;
	buf_wipe(&k->settings);
	return 0;
}

static int taken(const struct work *w, int64_t number, struct err *e)
{
	(void)err_set(e, ERR_CONFLICT, "'%.*s' has another release %" PRId64 " than the archive",
	    STR_ARG(w->project.name), number);
	return err_hint(
	    e, "bring back the data alone (--data-only), or all of it under another name");
}

/* Not so where a store came back on another machine: it knows releases whose files are not there. */
static bool tree_is_there(const struct work *w, int64_t number)
{
	char path[WORK_PATH_SIZE];
	(void)snprintf(path, sizeof(path), "%s/%.*s/releases/%" PRId64, w->d->o.projects_dir,
	    STR_ARG(w->project.name), number);
	return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The archive's release under its own number: as it is, when the project still has it; else a row to be filled. */
static int pick_release(struct work *w, struct store_db *db, struct err *e)
{
	struct model_release r = w->keep->said.release, there;
	int rc = model_release_get(db, &w->a, w->project.id, r.number, MODEL_EVERYTHING, &there, e);
	if (rc < 0)
		return -1;
	bool same = rc == 1 && there.created_ms == r.created_ms && str_eq(there.commit, r.commit);
	if (rc == 1 && !same)
		return taken(w, r.number, e);
	w->release = (struct model_release){.number = r.number};
	w->has_plan = false;
	bool ours = rc == 1 && there.state == MODEL_RELEASE_BUILDING && there.task_id == w->task.id;
	bool gone = !tree_is_there(w, r.number);
	if (ours || (rc == 1 && there.state == MODEL_RELEASE_SEALED && !gone))
		return facts_load(w, db, e);
	r.project_id = w->project.id;
	r.task_id = w->task.id;
	r.attempt = w->task.attempt;
	rc = model_release_take_in(db, &r, gone, e);
	return rc == 0 ? taken(w, r.number, e) : rc < 0 ? -1 : facts_load(w, db, e);
}

static int read_unit(struct work *w, struct store_db *db, struct err *e)
{
	w->release = (struct model_release){0};
	if (facts_load(w, db, e) != 0 || said_read(w, e) != 0)
		return -1;
	w->from_release = (uint32_t)w->project.live;
	w->was_running = w->project.desired_running;
	if (w->in.data_only && w->project.live == 0) {
		(void)err_set(e, ERR_CONFLICT, "'%.*s' has no release that could use the data",
		    STR_ARG(w->project.name));
		return err_hint(e, "leave --data-only out");
	}
	if (w->in.data_only)
		return w->keep->head.release > 0
			   ? 0
			   : err_set(e, ERR_CONFLICT, "the archive holds no data");
	if (w->keep->said.release.number > 0)
		return pick_release(w, db, e);
	if (w->project.live == 0)
		return 0;
	return err_set(e, ERR_CONFLICT, "the archive is of a project that had no release yet");
}

static void read_stored(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	const struct backup_header *h = &w->keep->head;
	if (h->release > 0)
		buf_printf(
		    &w->detail, "release %" PRId64 ", %" PRId64 " entries", h->release, h->files);
	else
		buf_c(&w->detail, "settings only");
	work_done(w);
}

static void was_read(struct work *w)
{
	if (w->keep->rc != 0)
		work_fail(w, &w->keep->e);
	else
		work_unit(w, read_unit, read_stored);
}

void read_start(struct work *w)
{
	struct err e;
	struct keep *k = keep_of(w);
	if (keep_spool(k, &e) != 0)
		work_fail(w, &e);
	else
		keep_pool(w, read_archive, was_read);
}

/* --- unpack --- */

static bool has_files(const struct work *w)
{
	return w->keep->head.release > 0;
}

/* Dumps go into databases beside those that serve. */
static void loaded(struct work *w)
{
	struct err e;
	size_t n = w->keep->dumped.n;
	if (!keep_job_ok(w, "bringing the databases back", &e)) {
		work_fail(w, &e);
		return;
	}
	buf_printf(&w->detail, ", %zu %s", n, n == 1 ? "database" : "databases");
	work_done(w);
}

static void fresh_made(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else if (work_stopping(w))
		work_fail(w, NULL);
	else if (w->keep->dumped.n == 0)
		work_done(w);
	else
		keep_job_services(
		    w, "service-load", PRIV_SANDBOX_RUN, true, &w->keep->dumped, true, loaded);
}

static void services_wanted(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		provide_fresh(w, fresh_made);
}

static int services_unit(struct work *w, struct store_db *db, struct err *e)
{
	const struct model_services *all = &w->keep->said.services;
	struct model_services *to = &w->keep->dumped;
	*to = (struct model_services){.v = arena_array(&w->a, all->n, sizeof(*to->v))};
	if (!to->v)
		return err_set(e, ERR_TOO_LARGE, "the task's memory is full");
	for (size_t i = 0; i < all->n; i++)
		if (services_is_dumped(all->v[i].type))
			to->v[to->n++] = all->v[i];
	return provide_want_all(w, db, all, e);
}

static void staged(struct work *w)
{
	struct err e;
	if (!keep_job_ok(w, "unpacking the data", &e)) {
		work_fail(w, &e);
		return;
	}
	buf_printf(&w->detail, "%sdata", w->detail.n ? ", " : "");
	if (w->keep->said.services.n == 0)
		work_done(w);
	else
		work_unit(w, services_unit, services_wanted);
}

static void stage(struct work *w)
{
	if (work_stopping(w))
		work_fail(w, NULL);
	else
		keep_job(w, "data-stage", PRIV_SANDBOX_RUN, true, staged);
}

static int seal_unit(struct work *w, struct store_db *db, struct err *e)
{
	if (model_release_seal(db, w->project.id, w->release.number, w->release.size_bytes,
		w->keep->said.release.sealed_ms, e) < 0)
		return -1;
	return facts_load(w, db, e);
}

static void seal_stored(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	buf_printf(&w->detail, "release %" PRId64, w->release.number);
	stage(w);
}

static void release_sealed(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		work_unit(w, seal_unit, seal_stored);
}

static void release_unpacked(struct work *w)
{
	struct err e;
	if (!keep_job_ok(w, "unpacking the release", &e))
		work_fail(w, &e);
	else
		seal_request(w, release_sealed);
}

static void release_prepared(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else if (work_stopping(w))
		work_fail(w, NULL);
	else
		keep_job(w, "restore-release", PRIV_SANDBOX_FETCH, true, release_unpacked);
}

static void release_cleared(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	work_ops_begin(w, release_prepared);
	helper_request(w, PRIV_RELEASE_PREPARE, (uint32_t)w->release.number, -1);
	work_ops_end(w);
}

/* What an earlier life began of it is worth nothing. */
static void project_made(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	work_ops_begin(w, release_cleared);
	helper_request(w, PRIV_RELEASE_REMOVE, (uint32_t)w->release.number, -1);
	work_ops_end(w);
}

static int user_unit(struct work *w, struct store_db *db, struct err *e)
{
	return model_project_set_user_no(db, w->project.id, w->project.user_no, e) < 0 ? -1 : 0;
}

static void user_stored(struct work *w)
{
	project_made(w);
}

static void user_made(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		work_unit(w, user_unit, user_stored);
}

static void ensured(void *ctx, uint64_t value, const struct err *e)
{
	struct work *w = ctx;
	if (!e)
		w->project.user_no = (int64_t)value;
	work_op_back(w, e);
}

static void strays_gone(struct work *w)
{
	struct priv_request q;
	struct err e;
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	if (w->release.state != MODEL_RELEASE_BUILDING || w->in.data_only) {
		stage(w);
		return;
	}
	if (work_ensure_request(w, &q, &e) != 0) {
		work_fail(w, &e);
		return;
	}
	work_ops_begin(w, user_made);
	work_op_add(w);
	run_request(w->d->o.run, &q, NULL, 0, ensured, w);
	work_ops_end(w);
}

void unpack_start(struct work *w)
{
	if (!has_files(w)) {
		work_skip(w, "no files");
		return;
	}
	work_ops_begin(w, strays_gone);
	job_stop_strays(w);
	work_ops_end(w);
}

/* --- swap --- */

static void services_swapped(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		work_done(w);
}

static void shared(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		provide_act(w, SERVICES_SWAP, services_swapped);
}

/* Folders of data/ that the edge may read are new ones: sealing once more shares them. */
static void swapped(struct work *w)
{
	struct err e;
	if (!keep_job_ok(w, "putting the data in its place", &e))
		work_fail(w, &e);
	else
		seal_request(w, shared);
}

static void swap_alone(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		keep_job(w, "data-swap", PRIV_SANDBOX_RUN, false, swapped);
}

void swap_start(struct work *w)
{
	if (w->release.number == 0) {
		work_skip(w, "no files");
		return;
	}
	work_ops_begin(w, swap_alone);
	job_stop_strays(w);
	work_ops_end(w);
}

/* --- settle --- */

static int read_settings(struct keep *k, struct err *e)
{
	const struct work *w = k->w;
	CLEANUP_FD int from = shelf_open(w->d->o.backups_dir, k->project_id, w->in.backup, e);
	const struct backup_opening o = {
	    .seal = w->d->o.seal, .stop = &k->stop, .files = -1, .settings_only = true};
	buf_clear(&k->header);
	buf_wipe(&k->settings);
	return from < 0 ? -1 : backup_read(from, &o, &k->header, &k->settings, e);
}

static int settle_unit(struct work *w, struct store_db *db, struct err *e)
{
	struct keep *k = w->keep;
	int64_t now = clock_wall_ms(), number = w->release.number, version = 0, id = w->project.id;
	if (!k->has_said && said_read(w, e) != 0)
		return -1;
	const struct backup_into to = {
	    .project = &w->project, .platform = work_platform(w), .admin = w->in.admin};
	if (!w->in.data_only &&
	    (backup_env_apply(db, &w->a, w->d->o.seal, id, &k->said, now, &version, e) != 0 ||
		backup_settings_apply(
		    db, &w->a, w->d->o.seal, &k->said, &to, now, &w->warning, e) != 0))
		return -1;
	/* A release that was here all the time still has its own version. */
	if (!w->in.data_only && number > 0 &&
	    (model_release_take_env(db, id, number, w->task.id, version, e) < 0 ||
		model_live_set(db, id, number, now, e) < 0))
		return -1;
	return facts_load(w, db, e);
}

static void settled(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	buf_c(&w->detail, w->in.data_only ? "data" : "data, settings and environment");
	if (w->release.number > 0) {
		work_done(w);
		return;
	}
	buf_c(&w->warning, "nothing had been deployed when the archive was made: settings and "
			   "environment are back");
	work_answer(w, DEPLOY_EV_UP_TO_DATE);
}

static void settings_read(struct work *w)
{
	if (w->keep->rc != 0)
		work_fail(w, &w->keep->e);
	else
		work_unit(w, settle_unit, settled);
}

void settle_start(struct work *w)
{
	struct keep *k = keep_of(w);
	if (k->has_said)
		work_unit(w, settle_unit, settled);
	else
		keep_pool(w, read_settings, settings_read);
}

/* --- drop --- */

static void services_settled(struct work *w)
{
	if (w->op_failed)
		buf_printf(&w->warning, "%sthe database of before is still there: %s",
		    w->warning.n ? "; " : "", w->op_err.msg);
	work_done(w);
}

static void dropped(struct work *w)
{
	struct err e;
	if (!keep_job_ok(w, "removing what was before", &e))
		buf_printf(&w->warning,
		    "%sthe data of before is still in data/.slipway-restore: %s",
		    w->warning.n ? "; " : "", e.msg);
	else
		buf_c(&w->detail, "what was before is gone");
	provide_act(w, SERVICES_SETTLE, services_settled);
}

void drop_start(struct work *w)
{
	keep_job(w, "data-drop", PRIV_SANDBOX_RUN, false, dropped);
}
