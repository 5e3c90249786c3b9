/* destroy: everything that a project has on this machine and in the store, with a receipt. */
#include "deploy/keep.h"
#include "deploy/uploads.h"
#include "deploy/work.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fs.h"
#include "edge/acme.h"

static void forget(struct work *w);

/* A service that came while the rest went still has its row: with that, nobody would know of it. Events go in units of their own,
 * between which others have their turn; with the last of them the project itself. */
static int forget_unit(struct work *w, struct store_db *db, struct err *e)
{
	int left = provide_left(w, db, e);
	w->services_left = left > 0;
	if (left != 0)
		return left < 0 ? -1 : 0;
	int more = model_event_forget(db, w->project.id, 0, e);
	w->more_events = more > 0;
	if (more != 0)
		return more < 0 ? -1 : 0;
	/* With the rows: a life that ends right behind them leaves the next one the receipt. */
	return work_remember(w, db, e) != 0 ||
		       model_project_remove(db, w->project.id, clock_wall_ms(), e) < 0
		   ? -1
		   : 0;
}

static bool remove_run_dir(struct work *w, struct err *e)
{
	char name[NAME_PROJECT_MAX + 3];
	CLEANUP_FD int dir = open(w->d->o.run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || !str_copy(w->project.name, name, sizeof(name)))
		return true;
	return fs_remove_tree(dir, name, e) == 0;
}

static void late_ones_gone(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		forget(w);
}

static void forgotten(struct work *w)
{
	if (!w->op_failed && w->services_left) {
		provide_drop(w, late_ones_gone);
		return;
	}
	if (w->op_failed) {
		report_receipt(w, "records", "stayed", w->op_err.msg);
		work_fail(w, &w->op_err);
		return;
	}
	if (w->more_events) {
		forget(w);
		return;
	}
	erase_tell(w);
	work_done(w);
}

void erase_tell(struct work *w)
{
	if (w->d->o.forgotten)
		w->d->o.forgotten(w->d->o.ctx, w->project.id);
	report_receipt(
	    w, "settings, environment, domains, hooks, channels, releases", "removed", "");
	report_receipt(
	    w, "tasks and audit records", "stayed", "they are the history of who did what");
	buf_c(&w->detail, "nothing is left but its history");
}

static void forget(struct work *w)
{
	work_unit(w, forget_unit, forgotten);
}

/* On a pool thread. What is kept of the project itself goes by its own clock. */
static int clear_archives(struct keep *k, struct err *e)
{
	const struct work *w = k->w;
	if (uploads_clear(w->d->o.spool_dir, k->project_id, e) != 0)
		return -1;
	return shelf_clear(w->d->o.backups_dir, k->project_id, !w->in.purge, e);
}

/* Before the records: as long as they are there, destroying it again goes on with what stayed. */
static void archives_gone(struct work *w)
{
	if (w->keep->rc != 0) {
		report_receipt(
		    w, "backups made before, uploaded archives", "stayed", w->keep->e.msg);
		work_fail(w, &w->keep->e);
		return;
	}
	report_receipt(w, "backups made before, uploaded archives", "removed", "");
	forget(w);
}

static void tree_gone(struct work *w)
{
	struct err e;
	if (w->op_failed) {
		report_receipt(w, "files and user", "stayed", w->op_err.msg);
		work_fail(w, &w->op_err);
		return;
	}
	report_receipt(w, "releases, data, cache and the project's user", "removed", "");
	if (remove_run_dir(w, &e))
		report_receipt(w, "sockets", "removed", "");
	else
		report_receipt(w, "sockets", "stayed", e.msg);
	if (w->d->o.requests)
		requests_forget(w->d->o.requests, w->project.name);
	if (logs_remove(w->d->o.logs, w->project.name, &e) == 0)
		report_receipt(w, "logs", "removed", "");
	else
		report_receipt(w, "logs", "stayed", e.msg);
	keep_pool_now(w, clear_archives, archives_gone);
}

static void vhost_gone(struct work *w)
{
	if (w->op_failed) {
		report_receipt(w, "virtual host and certificates", "stayed", w->op_err.msg);
		work_fail(w, &w->op_err);
		return;
	}
	struct err e;
	if (w->d->o.acme && acme_forget(w->d->o.acme, w->project.name, STR(""), &e) != 0)
		report_receipt(w, "the authority's files", "stayed", e.msg);
	report_receipt(w, "virtual host and certificates", "removed", "");
	work_ops_begin(w, tree_gone);
	helper_request(w, PRIV_PROJECT_REMOVE, 0, -1);
	work_ops_end(w);
}

static void services_gone(struct work *w)
{
	if (w->op_failed) {
		work_fail(w, &w->op_err);
		return;
	}
	work_ops_begin(w, vhost_gone);
	work_op_add(w);
	edge_vhost_remove(w->d->o.edge, w->project.name, work_op_done, w);
	work_ops_end(w);
}

static int list_unit(struct work *w, struct store_db *db, struct err *e)
{
	return provide_left(w, db, e) < 0 ? -1 : 0;
}

static void listed(struct work *w)
{
	if (w->op_failed)
		work_fail(w, &w->op_err);
	else
		provide_drop(w, services_gone);
}

/* What was read when the task began is old: stopping and packing take their time. */
void erase_start(struct work *w)
{
	work_unit(w, list_unit, listed);
}
