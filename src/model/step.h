/* Steps of tasks, and the head last seen on each branch. */
#pragma once

#include "base/arena.h"
#include "model/task.h"
#include "model/viewer.h"
#include "store/store.h"

enum model_step_state {
	MODEL_STEP_RUNNING,
	MODEL_STEP_DONE,
	MODEL_STEP_FAILED,
	MODEL_STEP_CANCELLED,
	MODEL_STEP_SKIPPED,
	MODEL_STEP_STATE_COUNT
};
const char *model_step_state_name(enum model_step_state s);

struct model_step {
	int64_t task_id, attempt, seq;
	struct str name;
	enum model_step_state state;
	int64_t started_ms, finished_ms; /* finished 0: not yet */
	struct str detail;		 /* "12 objects"; may be empty */
};
struct model_steps {
	struct model_step *v;
	size_t n;
};

/* Of the task's present attempt; also sets the task's current step. Begun again, it starts anew.
 * 1 done, 0 the lease is lost, -1. */
int model_step_begin(struct store_db *db, const struct model_lease *l, int64_t seq, struct str name,
    int64_t now_ms, struct err *e) WARN_UNUSED;
int model_step_end(struct store_db *db, const struct model_lease *l, int64_t seq,
    enum model_step_state state, struct str detail, int64_t now_ms, struct err *e) WARN_UNUSED;
/* All attempts, in order. Empty when the viewer may not see the task. */
int model_step_list(struct store_db *db, struct arena *a, int64_t task_id,
    struct model_viewer viewer, struct model_steps *ret, struct err *e) WARN_UNUSED;

/* The head that the last attempt on this branch went for, and whether it went well. 1/0/-1. */
struct model_branch_head {
	struct str commit;
	bool ok;
	int64_t task_id;
};
/* Is it HEAD's that the task goes for, whatever name the push gave it? So it is when a hook without
 * a branch took the push for a project without one. 1/0/-1. */
int model_branch_head_remote(struct store_db *db, int64_t task_id, struct err *e) WARN_UNUSED;
int model_branch_head_get(struct store_db *db, struct arena *a, int64_t project_id, struct str ref,
    struct model_branch_head *ret, struct err *e) WARN_UNUSED;
int model_branch_head_set(struct store_db *db, int64_t project_id, struct str ref,
    const struct model_branch_head *h, struct err *e) WARN_UNUSED;
