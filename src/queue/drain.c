#include "queue/drain.h"

#include "base/mem.h"
#include "queue/delivery.h"
#include "queue/units.h"

#include <stdlib.h>

#define BATCH_ARENA_BYTES (16u << 20)

void drain_init(struct drain_batch *b)
{
	*b = (struct drain_batch){.records = mem_array(DRAIN_BATCH_MAX, sizeof(*b->records)),
	    .deliveries = mem_array(DRAIN_BATCH_MAX, sizeof(*b->deliveries)),
	    .broken = mem_array(DRAIN_BATCH_MAX, sizeof(*b->broken))};
	arena_init(&b->a, BATCH_ARENA_BYTES);
}

void drain_clear(struct drain_batch *b)
{
	arena_fini(&b->a);
	arena_init(&b->a, BATCH_ARENA_BYTES);
	b->n = b->applied = b->tasks = b->failed = 0;
}

void drain_fini(struct drain_batch *b)
{
	arena_fini(&b->a);
	free(b->records);
	free(b->deliveries);
	free(b->broken);
}

void drain_add(struct drain_batch *b, const struct journal_record *r)
{
	struct err e;
	struct str key = arena_str(&b->a, r->key), meta = arena_str(&b->a, r->meta);
	b->records[b->n] = *r;
	b->broken[b->n] =
	    !key.p || !meta.p || delivery_unpack(key, meta, &b->deliveries[b->n], &e) != 0;
	b->n++;
}

/* One branch that pushes of this batch look at, and the task that will. */
struct branch {
	int64_t project_id, task_id;
	struct str ref;
	bool gone; /* no task: the project is, or the queue is full */
};

/* The decisions on a project in this batch's time, asked for once. */
struct seen {
	int64_t project_id, received_ms;
	bool superseded;
};

/* Whose a hook is, asked for once in a batch; a hook's place follows from its number. */
#define OWNERS 64u
struct owner {
	int64_t hook_id, project_id; /* 0: there is no such hook */
};

/* What a batch has learned so far. */
struct course {
	struct branch *branches;
	size_t branch_count;
	struct seen seen;
	struct owner owners[OWNERS];
};

static bool follows(const struct queue_delivery *d)
{
	return d->triggers && d->ref.n > 0 && !d->acts;
}

/* A rollback, stop or destroy that was asked for after the push came is not undone by it. */
static int superseded(struct store_db *db, const struct queue_delivery *d, int64_t now_ms,
    struct seen *s, struct err *e)
{
	if (s->project_id == d->project_id && s->received_ms == d->received_ms)
		return s->superseded;
	int rc = model_task_decided_since(db, d->project_id, d->received_ms, now_ms, e);
	if (rc >= 0)
		*s = (struct seen){d->project_id, d->received_ms, rc > 0};
	return rc;
}

static struct branch *branch_find(struct branch *v, size_t n, const struct queue_delivery *d)
{
	for (size_t i = n; i-- > 0;)
		if (v[i].project_id == d->project_id && str_eq(v[i].ref, d->ref))
			return &v[i];
	return NULL;
}

/* The task of a branch is made from its last push in the batch, which is the newest. */
static int branch_task(
    struct store_db *db, struct branch *to, const struct drain_batch *b, size_t from, struct err *e)
{
	const struct queue_delivery *last = &b->deliveries[from];
	for (size_t i = from + 1; i < b->n; i++) {
		const struct queue_delivery *d = &b->deliveries[i];
		if (!b->broken[i] && follows(d) && d->project_id == last->project_id &&
		    str_eq(d->ref, last->ref))
			last = d;
	}
	struct err why = {0};
	*to = (struct branch){.project_id = last->project_id, .ref = last->ref};
	if (queue_unit_push(db, last, &to->task_id, &why) == 0)
		return 0;
	to->gone = why.code == ERR_NOT_FOUND || why.code == ERR_UNAVAILABLE;
	if (to->gone)
		return 0;
	if (e)
		*e = why;
	return -1;
}

static int owner_find(
    struct store_db *db, struct course *c, int64_t hook_id, int64_t *ret_project_id, struct err *e)
{
	struct owner *o = &c->owners[(uint64_t)hook_id % OWNERS];
	struct owner found = {.hook_id = hook_id};
	int rc = o->hook_id == hook_id ? 0 : model_event_owner(db, hook_id, &found.project_id, e);
	if (rc < 0)
		return -1;
	if (o->hook_id != hook_id)
		*o = found;
	*ret_project_id = o->project_id;
	return 0;
}

/* In an older database a number may have been that of a hook that is gone. */
static int apply(struct store_db *db, struct course *c, const struct drain_batch *b, size_t i,
    int64_t task_id, enum model_outcome outcome, struct err *e)
{
	struct model_event ev = delivery_event(&b->deliveries[i]);
	int64_t owner;
	if (owner_find(db, c, ev.hook_id, &owner, e) < 0)
		return -1;
	if (owner == 0 || (ev.project_id != 0 && ev.project_id != owner))
		return 0;
	ev.project_id = owner;
	ev.id = (int64_t)b->records[i].id;
	ev.task_id = task_id;
	ev.outcome = outcome;
	ev.body_segment = b->records[i].place.segment;
	ev.body_at = (int64_t)b->records[i].place.at_bytes;
	return model_event_apply(db, &ev, e);
}

static int mark_set(struct store_db *db, const struct drain_batch *b, struct err *e)
{
	const struct journal_record *last = &b->records[b->n - 1];
	struct model_journal m;
	if (model_journal_get(db, &m, e) < 0)
		return -1;
	m.segment = last->next.segment;
	m.at_bytes = (int64_t)last->next.at_bytes;
	m.sequence = (int64_t)last->sequence;
	return model_journal_set(db, &m, e);
}

/* What the event, or its hook's settings, can never be served for: as the store's error it would hold
 * up everybody's events for ever. */
static int fail_alone(struct store_db *db, struct drain_batch *b, int64_t event_id,
    const struct err *why, struct err *e)
{
	b->failed_event = event_id;
	b->failed_why = *why;
	b->failed++;
	return model_event_set(db, event_id, MODEL_OUTCOME_FAILED, 0, e) < 0 ? -1 : 1;
}

/* Whoever set his hook's actions back to a deploy wants that of what was on its way, too: of the
 * hook's branch, since its actions may have let any through. */
static int apply_plain(struct store_db *db, struct course *c, struct drain_batch *b, size_t i,
    struct str branch, struct err *e)
{
	struct queue_delivery *d = &b->deliveries[i], look = *d;
	struct err why = {0};
	int64_t task_id = 0;
	if (d->pull || d->ref.n == 0 || (branch.n > 0 && !str_eq(branch, d->ref)))
		return apply(db, c, b, i, 0, MODEL_OUTCOME_IGNORED, e);
	int rc = superseded(db, d, b->now_ms, &c->seen, e);
	if (rc != 0)
		return rc < 0 ? -1 : apply(db, c, b, i, 0, MODEL_OUTCOME_SUPERSEDED, e);
	look.ref = branch; /* empty: the remote's HEAD */
	if (queue_unit_push(db, &look, &task_id, &why) != 0) {
		if (why.code != ERR_NOT_FOUND && why.code != ERR_UNAVAILABLE) {
			if (e)
				*e = why;
			return -1;
		}
		d->ref = branch; /* for who finds it without a task */
	}
	b->tasks++;
	return apply(db, c, b, i, task_id, MODEL_OUTCOME_WAITING, e);
}

/* The hook's own actions: who carries them on looks after what became of the branch meanwhile. */
static int apply_acts(
    struct store_db *db, struct course *c, struct drain_batch *b, size_t i, struct err *e)
{
	const struct queue_delivery *d = &b->deliveries[i];
	struct str branch;
	int rc = model_event_plain(db, &b->a, d->hook_id, d->project_id, &branch, e);
	if (rc != 0)
		return rc < 0 ? -1 : apply_plain(db, c, b, i, branch, e);
	rc = apply(db, c, b, i, 0, MODEL_OUTCOME_WAITING, e);
	if (rc <= 0)
		return rc;
	struct err why = {0};
	int64_t id = (int64_t)b->records[i].id;
	b->tasks++;
	if (queue_unit_acts(db, d, id, &why) >= 0)
		return 1;
	if (why.code == ERR_INVALID || why.code == ERR_TOO_LARGE)
		return fail_alone(db, b, id, &why, e);
	if (e)
		*e = why;
	return -1;
}

/* 1 stored, 0 there was nothing to store it for, -1. */
static int apply_one(
    struct store_db *db, struct course *c, struct drain_batch *b, size_t i, struct err *e)
{
	const struct queue_delivery *d = &b->deliveries[i];
	if (d->triggers && d->acts)
		return apply_acts(db, c, b, i, e);
	if (!follows(d))
		return apply(db, c, b, i, 0, MODEL_OUTCOME_IGNORED, e);
	int rc = superseded(db, d, b->now_ms, &c->seen, e);
	if (rc != 0)
		return rc < 0 ? -1 : apply(db, c, b, i, 0, MODEL_OUTCOME_SUPERSEDED, e);
	struct branch *to = branch_find(c->branches, c->branch_count, d);
	if (!to) {
		to = &c->branches[c->branch_count++];
		if (branch_task(db, to, b, i, e) < 0)
			return -1;
	}
	return apply(db, c, b, i, to->task_id, MODEL_OUTCOME_WAITING, e);
}

int drain_unit(struct store_db *db, struct drain_batch *b, struct err *e)
{
	struct course c = {.branches = arena_array(&b->a, b->n, sizeof(*c.branches))};
	b->applied = b->tasks = b->failed = 0;
	if (!c.branches)
		return err_set(e, ERR_TOO_LARGE, "a batch of events does not fit into memory");
	for (size_t i = 0; i < b->n; i++) {
		int rc = b->broken[i] ? 0 : apply_one(db, &c, b, i, e);
		if (rc < 0)
			return -1;
		b->applied += (size_t)rc;
	}
	for (size_t i = 0; i < c.branch_count; i++)
		b->tasks += !c.branches[i].gone;
	return mark_set(db, b, e);
}
