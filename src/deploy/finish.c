/* The end of a task: the branch's head is settled, the queue is told, whoever watches as well. */
#include "deploy/keep.h"
#include "deploy/uploads.h"
#include "deploy/work.h"

#include "base/clock.h"
#include "base/log.h"

#define END_AGAIN_MS 1000

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

/* What the end has to say is not lost to a full disk or a queue of writes that is full: it is said again until it is
 * durable, or the step's time is over. Whoever has the lease now says it himself. */
static bool put_off(struct work *w)
{
	if (!w->op_failed || w->op_err.code == ERR_CONFLICT || w->expired)
		return false;
	log_event(LOG_ERROR, "deploy", "end_failed", F_I64("task", w->task.id), F_ERR(&w->op_err));
	work_timer(w, END_AGAIN_MS);
	return true;
}

static void settled(struct work *w)
{
	if (put_off(w))
		return;
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

static void upload_gone(struct work *w)
{
	if (w->keep->rc != 0)
		log_event(LOG_WARN, "deploy", "upload_stayed", F_I64("task", w->task.id),
		    F_ERR(&w->keep->e));
	work_unit(w, end_unit, settled);
}

/* On a pool thread: a large file takes its time. */
static int drop_upload(struct keep *k, struct err *e)
{
	return uploads_drop(k->w->d->o.spool_dir, k->project_id, k->w->in.archive, e);
}

static int upload_unit(struct work *w, struct store_db *db, struct err *e)
{
	int64_t others = 0;
	if (model_task_count_of_archive(db, w->project.id, w->task.id, w->in.archive, &others, e) !=
	    0)
		return -1;
	w->upload_over = others == 0;
	return 0;
}

static void upload_settled(struct work *w)
{
	if (w->upload_over)
		keep_pool_now(w, drop_upload, upload_gone);
	else
		work_unit(w, end_unit, settled);
}

/* An upload goes before the task has ended: a life that is cut in between begins here again and no longer needs it, whereas nobody
 * would come back for it afterwards. */
void finish_start(struct work *w)
{
	if (w->in.archive.n > 0 && w->st.outcome != DEPLOY_OUT_RETRY)
		work_unit(w, upload_unit, upload_settled);
	else
		work_unit(w, end_unit, settled);
}
