/* Events become tasks, tasks are claimed, ended and recovered: the part of the queue that is SQL.
 */
#include "queue/units.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/args.h"
#include "base/counters.h"
#include "model/action.h"
#include "queue/delivery.h"

#define ORPHANS_PER_START 1000u

void queue_owner(uint64_t incarnation, char out[QUEUE_OWNER_SIZE])
{
	(void)snprintf(out, QUEUE_OWNER_SIZE, "slipwayd/%016" PRIx64, incarnation);
}

/* The lease as the model names it; `owner` is the caller's storage. */
static struct model_lease lease_of(struct queue_lease l, char owner[QUEUE_OWNER_SIZE])
{
	queue_owner(l.incarnation, owner);
	return (struct model_lease){
	    .task_id = l.task_id, .owner = str_c(owner), .counter = l.counter};
}

static int look_at(struct store_db *db, const struct queue_delivery *d, enum model_task_kind kind,
    int64_t *ret_task_id, struct err *e)
{
	struct model_task t = {.project_id = d->project_id,
	    .kind = kind,
	    .ref = d->ref,
	    .head_commit = d->after,
	    .before_commit = d->before,
	    .input = d->stranger ? STR("{\"stranger\":true}") : STR("{}"),
	    .from_push = true,
	    .attempts_max = QUEUE_PUSH_ATTEMPTS,
	    .due_ms = d->received_ms,
	    .created_ms = d->received_ms,
	    .requested_by = STR("hook")};
	struct model_task_added added;
	if (model_task_add(db, &t, &added, e) != 0)
		return -1;
	*ret_task_id = added.id;
	return 0;
}

int queue_unit_push(
    struct store_db *db, const struct queue_delivery *d, int64_t *ret_task_id, struct err *e)
{
	return look_at(db, d, MODEL_TASK_DEPLOY, ret_task_id, e);
}

int queue_unit_check(
    struct store_db *db, const struct queue_delivery *d, int64_t *ret_task_id, struct err *e)
{
	return look_at(db, d, MODEL_TASK_CHECK, ret_task_id, e);
}

int queue_unit_acts(
    struct store_db *db, const struct queue_delivery *d, int64_t event_id, struct err *e)
{
	bool there = d->ref.n > 0 && !d->pull;
	struct model_action_of of = {.branch = there, .pull = d->pull, .stranger = d->stranger};
	return model_action_open(db, event_id, of, e);
}

static int push_task(struct store_db *db, const struct queue_delivery *d, int64_t event_id,
    int64_t *ret_task_id, struct err *e)
{
	if (queue_unit_push(db, d, ret_task_id, e) != 0)
		return -1;
	return model_event_set(db, event_id, MODEL_OUTCOME_WAITING, *ret_task_id, e) < 0 ? -1 : 0;
}

/* A repeat is answered with the first event's id and the task that served it. */
static int repeat(struct store_db *db, int64_t event_id, struct queue_accepted *ret, struct err *e)
{
	CLEANUP_ARENA struct arena a;
	arena_init(&a, 1u << 20);
	struct model_event ev;
	int rc = model_event_get(db, &a, event_id, MODEL_EVERYTHING, &ev, e);
	if (rc < 0)
		return -1;
	ret->repeated = true;
	ret->task_id = rc == 1 ? ev.task_id : 0;
	return 0;
}

int queue_unit_accept(
    struct store_db *db, const struct queue_delivery *d, struct queue_accepted *ret, struct err *e)
{
	*ret = (struct queue_accepted){0};
	bool acts = d->triggers && d->acts, follows = d->triggers && d->ref.n > 0 && !acts;
	struct model_event ev = delivery_event(d);
	ev.body = d->body;
	ev.outcome = follows || acts ? MODEL_OUTCOME_WAITING : MODEL_OUTCOME_IGNORED;
	int fresh = model_event_add(db, &ev, &ret->event_id, e);
	if (fresh < 0)
		return -1;
	if (fresh == 0)
		return repeat(db, ret->event_id, ret, e);
	if (acts)
		return queue_unit_acts(db, d, ret->event_id, e) < 0 ? -1 : 0;
	return follows ? push_task(db, d, ret->event_id, &ret->task_id, e) : 0;
}

int queue_unit_order(
    struct store_db *db, const struct queue_order *o, int64_t *ret_task_id, struct err *e)
{
	struct model_task t = {.project_id = o->project_id,
	    .kind = o->kind,
	    .ref = o->ref,
	    .input = o->input_json.n > 0 ? o->input_json : STR("{}"),
	    .attempts_max = 1,
	    .due_ms = o->due_ms > 0 ? o->due_ms : o->now_ms,
	    .created_ms = o->now_ms,
	    .requested_by = o->requested_by};
	struct model_task_added added;
	if (model_task_add(db, &t, &added, e) != 0)
		return -1;
	*ret_task_id = added.id;
	return 0;
}

int queue_unit_claim(struct store_db *db, struct arena *a, uint64_t incarnation, int64_t now_ms,
    unsigned running_max, struct model_task *ret, size_t max, size_t *ret_count, struct err *e)
{
	char owner[QUEUE_OWNER_SIZE];
	queue_owner(incarnation, owner);
	*ret_count = 0;
	while (*ret_count < max) {
		int rc = model_task_claim(
		    db, a, str_c(owner), now_ms, (int64_t)running_max, &ret[*ret_count], e);
		if (rc < 0)
			return -1;
		if (rc == 0)
			break;
		(*ret_count)++;
	}
	return 0;
}

int queue_unit_next_due(struct store_db *db, int64_t *ret_due_ms, struct err *e)
{
	return model_task_next_due(db, ret_due_ms, e);
}

int queue_unit_cancel_wanted(struct store_db *db, struct queue_lease l, struct err *e)
{
	char owner[QUEUE_OWNER_SIZE];
	struct model_lease m = lease_of(l, owner);
	bool wanted = false;
	int rc = model_task_cancel_wanted(db, &m, &wanted, e);
	return rc < 0 ? -1 : rc == 1 && wanted;
}

int queue_unit_fence(struct store_db *db, struct queue_lease l, struct err *e)
{
	char owner[QUEUE_OWNER_SIZE];
	struct model_lease m = lease_of(l, owner);
	bool wanted;
	return model_task_cancel_wanted(db, &m, &wanted, e);
}

int queue_unit_finish(
    struct store_db *db, const struct queue_ending *f, bool *ret_dead, struct err *e)
{
	/* What was asked to stop stays stopped: a repeat of its push must not undo the rollback
	 * that overtook it, so its events end as superseded. */
	static const struct {
		enum model_task_state state;
		enum model_outcome outcome;
	} ends[QUEUE_END_COUNT] = {
	    [QUEUE_DONE] = {MODEL_TASK_DONE, MODEL_OUTCOME_SERVED},
	    [QUEUE_FAILED] = {MODEL_TASK_FAILED, MODEL_OUTCOME_FAILED},
	    [QUEUE_CANCELLED] = {MODEL_TASK_CANCELLED, MODEL_OUTCOME_SUPERSEDED},
	    [QUEUE_UP_TO_DATE] = {MODEL_TASK_DONE, MODEL_OUTCOME_UPTODATE},
	};
	char owner[QUEUE_OWNER_SIZE];
	struct model_lease m = lease_of(f->lease, owner);
	*ret_dead = false;
	if (f->how == QUEUE_RETRY)
		return model_task_retry(db, &m, f->due_ms, f->error_json, f->now_ms, ret_dead, e);
	return model_task_finish(db, &m, ends[f->how].state, ends[f->how].outcome, f->result_json,
	    f->error_json, f->now_ms, e);
}

int queue_unit_adopt(
    struct store_db *db, struct arena *a, int64_t now_ms, uint32_t max, struct err *e)
{
	struct model_events orphans;
	if (model_event_orphans(db, a, max, &orphans, e) < 0)
		return -1;
	for (size_t i = 0; i < orphans.n; i++) {
		const struct model_event *ev = &orphans.v[i];
		struct queue_delivery d = {.project_id = ev->project_id,
		    .ref = ev->ref,
		    .before = ev->before,
		    .after = ev->after,
		    .received_ms = now_ms};
		struct err why = {0};
		int64_t task_id;
		if (push_task(db, &d, ev->id, &task_id, &why) == 0)
			continue;
		if (why.code == ERR_UNAVAILABLE) /* the queue is full: they wait on */
			return 0;
		return *e = why, -1;
	}
	return 0;
}

int queue_unit_recover(struct store_db *db, struct arena *a, uint64_t incarnation, int64_t now_ms,
    struct model_task *ret, size_t max, size_t *ret_count, struct err *e)
{
	char owner[QUEUE_OWNER_SIZE];
	queue_owner(incarnation, owner);
	*ret_count = 0;
	if (model_action_recover(db, e) < 0 ||
	    queue_unit_adopt(db, a, now_ms, ORPHANS_PER_START, e) != 0)
		return -1;
	struct model_tasks running;
	if (model_task_running(db, a, &running, e) < 0)
		return -1;
	for (size_t i = 0; i < running.n && *ret_count < max; i++) {
		if (str_eq_c(running.v[i].lease_owner, owner))
			continue;
		int rc =
		    model_task_take_over(db, a, &running.v[i], str_c(owner), &ret[*ret_count], e);
		if (rc < 0)
			return -1;
		*ret_count += (size_t)rc;
	}
	return 0;
}

int64_t queue_backoff_ms(int64_t attempt, uint64_t random)
{
	int64_t ms = QUEUE_BACKOFF_FIRST_MS;
	for (int64_t i = 1; i < attempt && ms < QUEUE_BACKOFF_MAX_MS; i++)
		ms *= 2;
	if (ms > QUEUE_BACKOFF_MAX_MS)
		ms = QUEUE_BACKOFF_MAX_MS;
	return ms + (int64_t)(random % (uint64_t)(ms / 4 + 1));
}
