/* Old releases: beyond keep_releases, never live and never previous, their files go; the rows stay
 * for the history. */
#include "deploy/work.h"

#define KEEP_RELEASES 5u

static int prunable_unit(struct work *w, struct store_db *db, struct err *e)
{
	uint32_t keep = w->plan.keep_releases > 0 ? w->plan.keep_releases : KEEP_RELEASES;
	return model_release_prunable(db, &w->a, w->project.id, keep, &w->prunable, e) < 0 ? -1 : 0;
}

static int pruned_unit(struct work *w, struct store_db *db, struct err *e)
{
	for (size_t i = 0; i < w->prunable.n; i++)
		if (w->prunable.v[i].number != w->release.number &&
		    model_release_prune(db, w->project.id, w->prunable.v[i].number, e) < 0)
			return -1;
	return model_env_prune(db, w->project.id, e) < 0 ? -1 : 0;
}

static void removed(struct work *w)
{
	if (w->op_failed)
		w->prune_then(w); /* they are found again by the next deploy */
	else
		work_unit(w, pruned_unit, w->prune_then);
}

static void found(struct work *w)
{
	if (w->op_failed || w->prunable.n == 0) {
		w->prune_then(w);
		return;
	}
	work_ops_begin(w, removed);
	for (size_t i = 0; i < w->prunable.n; i++)
		if (w->prunable.v[i].number != w->release.number)
			helper_request(
			    w, PRIV_RELEASE_REMOVE, (uint32_t)w->prunable.v[i].number, -1);
	work_ops_end(w);
}

void prune_start(struct work *w, work_then_fn *then)
{
	w->prune_then = then;
	work_unit(w, prunable_unit, found);
}
