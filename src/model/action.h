/* What follows from an event, where its hook says more than "deploy": one row per action, in order.
 *
 *   later → waiting → running → done | failed      later, waiting → skipped
 *
 * One action of an event is waiting or running at a time. The next is waiting once the one before
 * is done; once one has failed, or was skipped, the rest are skipped. Each step is one unit of
 * whoever carries it out (hooks/advance.h), so that a crash neither loses an action nor begins one
 * twice. */
#pragma once

#include "base/arena.h"
#include "store/store.h"

enum model_action_kind {
	MODEL_ACTION_DEPLOY,  /* looks at the branch */
	MODEL_ACTION_CHECK,   /* runs the checks of a branch or a pull request */
	MODEL_ACTION_NOTIFY,  /* tells channels */
	MODEL_ACTION_FORWARD, /* sends the body to a webhook channel */
	MODEL_ACTION_RUN,     /* a command in the live release, the body as its input */
	MODEL_ACTION_KIND_COUNT
};
const char *model_action_kind_name(enum model_action_kind k); /* "deploy", … */
int model_action_kind_parse(struct str s, enum model_action_kind *ret, struct err *e) WARN_UNUSED;

enum model_action_state {
	MODEL_ACTION_LATER,
	MODEL_ACTION_WAITING,
	MODEL_ACTION_RUNNING, /* its task is under way */
	MODEL_ACTION_DONE,    /* notify, forward: handed to the channels, which try by themselves */
	MODEL_ACTION_FAILED,
	MODEL_ACTION_SKIPPED,
	MODEL_ACTION_STATE_COUNT
};
const char *model_action_state_name(enum model_action_state s);

struct model_action {
	int64_t event_id, position; /* position: from 1, as in the hook's list */
	enum model_action_kind kind;
	struct str spec; /* JSON: as the hook's settings had it */
	enum model_action_state state;
	int64_t task_id; /* 0: none */
	int64_t attempt; /* of the event, from 1 */
	struct str detail;
	int64_t project_id, received_ms; /* the event's */
	bool task_done, task_superseded; /* only from model_action_ended */
};
struct model_actions {
	struct model_action *v;
	size_t n;
};

/* What an event is about, which says what can follow from it. */
struct model_action_of {
	bool branch;   /* a push of a branch that is there: deploy, check */
	bool pull;     /* a pull request: check */
	bool stranger; /* …from another repository */
};
/* Gives a new event the actions of its hook that fit it, the first of them waiting; a further
 * attempt goes on where the one before stopped (but a command that has begun is not begun again).
 * 1: something waits, 0: nothing. ERR_INVALID, ERR_TOO_LARGE: it is the event's own fault, and nothing was changed. */
int model_action_open(
    struct store_db *db, int64_t event_id, struct model_action_of of, struct err *e) WARN_UNUSED;
/* A person wants all of it once more: 1, 0: the event has no actions of its own. The event waits,
 * as a further attempt that came now: only a rollback or stop asked for later is kept to. */
int model_action_restart(
    struct store_db *db, int64_t event_id, int64_t now_ms, struct err *e) WARN_UNUSED;
/* …of an event that was left out, or whose hook had none of its own then: it gets those that fit it now, and came
 * now. 1, 0: none fits, and the caller takes the unit back. */
int model_action_first(struct store_db *db, int64_t event_id, struct model_action_of of,
    int64_t now_ms, struct err *e) WARN_UNUSED;
int model_action_list(struct store_db *db, struct arena *a, int64_t event_id,
    struct model_actions *ret, struct err *e) WARN_UNUSED;
/* Waiting, oldest first. */
int model_action_ready(struct store_db *db, struct arena *a, uint32_t limit,
    struct model_actions *ret, struct err *e) WARN_UNUSED;
/* Running, with a task that is not any more. Costs what has ended, however much runs. */
int model_action_ended(struct store_db *db, struct arena *a, uint32_t limit,
    struct model_actions *ret, struct err *e) WARN_UNUSED;
/* All that model_action_ended found is ended, and there was no more: no task that is over now is
 * looked at again. */
int model_action_none_ended(struct store_db *db, struct err *e) WARN_UNUSED;
/* At start: an older version may have begun actions in between, which did not say so at the task. */
int model_action_recover(struct store_db *db, struct err *e) WARN_UNUSED;
/* Running under a task. */
int model_action_begun(
    struct store_db *db, const struct model_action *x, int64_t task_id, struct err *e) WARN_UNUSED;
/* Ends as done, failed or skipped; then the next waits, or the rest are skipped, and behind the
 * last the event has its outcome: served, failed or superseded (skipped). */
int model_action_end(struct store_db *db, const struct model_action *x, enum model_action_state how,
    const char *detail, struct err *e) WARN_UNUSED;
