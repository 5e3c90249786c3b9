/* The end of a task: the branch's head is settled, the queue is told, whoever watches as well. */
#include "deploy/work.h"

#include "base/clock.h"
#include "base/log.h"

static enum queue_end end_of(const struct work *w)
{
	if (w->in.plan_only && w->st.outcome == DEPLOY_OUT_UP_TO_DATE)
		return QUEUE_DONE;
	static const enum queue_end of[DEPLOY_OUTCOME_COUNT] = {
	    [DEPLOY_OUT_NONE] = QUEUE_FAILED,
	    [DEPLOY_OUT_DONE] = QUEUE_DONE,
	    [DEPLOY_OUT_UP_TO_DATE] = QUEUE_UP_TO_DATE,
	    [DEPLOY_OUT_RETRY] = QUEUE_RETRY,
	    [DEPLOY_OUT_FAILED] = QUEUE_FAILED,
	    [DEPLOY_OUT_CANCELLED] = QUEUE_CANCELLED,
	};
	return of[w->st.outcome];
}

static bool went_well(const struct work *w)
{
	return w->st.outcome == DEPLOY_OUT_DONE || w->st.outcome == DEPLOY_OUT_UP_TO_DATE;
}

static void ended(void *ctx)
{
	struct work *w = ctx;
	if (w->d->closing) {
		work_back(w);
		return;
	}
	w->in_flight--;
	CLEANUP_BUF struct buf result, error;
	buf_init(&result, 512u << 10);
	buf_init(&error, 64u << 10);
	if (went_well(w))
		report_result(w, &result);
	else
		report_error(w, &error);
	report_end(w, deploy_outcome_name(w->st.outcome), buf_view(&result), buf_view(&error));
	log_event(went_well(w) ? LOG_INFO : LOG_WARN, "deploy", "task_ended",
	    F_I64("task", w->task.id), F_STR("project", w->task.project),
	    F_C("kind", model_task_kind_name(w->task.kind)),
	    F_C("outcome", deploy_outcome_name(w->st.outcome)),
	    F_I64("ms", clock_wall_ms() - w->begun_wall_ms),
	    F_C("error", w->failed ? w->failure.msg : ""));
	work_done(w);
}

static void settled(struct work *w)
{
	CLEANUP_BUF struct buf result, error;
	buf_init(&result, 512u << 10);
	buf_init(&error, 64u << 10);
	if (went_well(w))
		report_result(w, &result);
	else
		report_error(w, &error);
	notify_kick(w->d->o.notify);
	w->in_flight++;
	queue_finish(
	    w->d->queue, w->lease, end_of(w), buf_view(&result), buf_view(&error), ended, w);
}

/* The head counts as seen when it is live, and when it was cancelled: a rollback that overtook it
 * must not be undone by a late event of the same push. Only what failed is tried again. */
static int head_settle(struct work *w, struct store_db *db, struct err *e)
{
	bool seen = w->st.outcome == DEPLOY_OUT_DONE || w->st.outcome == DEPLOY_OUT_CANCELLED;
	if (w->st.flow != DEPLOY_FLOW_DEPLOY || !seen || w->release.commit.n == 0 ||
	    w->in.plan_only)
		return 0;
	struct model_branch_head h = {
	    .commit = w->release.commit, .ok = true, .task_id = w->task.id};
	struct str ref;
	return facts_head_ref(w, db, &ref, e) != 0 ||
		       model_branch_head_set(db, w->project.id, ref, &h, e) < 0
		   ? -1
		   : 0;
}

static int end_unit(struct work *w, struct store_db *db, struct err *e)
{
	return head_settle(w, db, e) != 0 ? -1 : news_ended(w, db, e);
}

void finish_start(struct work *w)
{
	work_unit(w, end_unit, settled);
}
