/* rooms: base loop text crypto store model queue */
/* Random sequences of pushes, repeats, claims and endings against a model of a few lines: which
 * events share a task, which outcome each has, and that nothing is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hook.h"
#include "model/project.h"
#include "model/schema.h"
#include "queue/units.h"

#define ROUNDS 300
#define STEPS 60
#define BRANCHES 3
#define EVENTS 64

struct model_of_event {
	int branch;
	int64_t id, task;
	enum model_outcome outcome;
};

struct run {
	struct store_db *db;
	struct arena a;
	uint64_t rng;
	int64_t project, hook, now, serial;
	struct model_of_event ev[EVENTS];
	int events;
	int64_t waiting[BRANCHES]; /* the waiting task of each branch, 0 none */
	struct queue_lease lease;  /* of the one that runs; task 0: none */
	int running_branch;
};

static uint64_t chance(struct run *r, uint64_t below)
{
	r->rng ^= r->rng << 13;
	r->rng ^= r->rng >> 7;
	r->rng ^= r->rng << 17;
	return r->rng % below;
}

static void must(int rc, const struct err *e)
{
	if (rc < 0)
		fail_msg("%s", e->msg);
}

static struct queue_accepted accept_event(struct run *r, int i)
{
	static const char *const branches[BRANCHES] = {"main", "dev", "feature/x"};
	struct err e = {0};
	struct queue_accepted got;
	char key[40];
	(void)snprintf(key, sizeof(key), "%lld-%d", (long long)r->serial, i);
	struct queue_delivery d = {.hook_id = r->hook,
	    .project_id = r->project,
	    .key = str_c(key),
	    .kind = STR("push"),
	    .ref = str_c(branches[r->ev[i].branch]),
	    .before = STR(""),
	    .after = STR(""),
	    .body = STR("{}"),
	    .received_ms = r->now,
	    .triggers = true};
	must(queue_unit_accept(r->db, &d, &got, &e), &e);
	return got;
}

static void push(struct run *r)
{
	if (r->events == EVENTS)
		return;
	int i = r->events++;
	struct model_of_event *v = &r->ev[i];
	*v = (struct model_of_event){.branch = (int)chance(r, BRANCHES)};
	struct queue_accepted got = accept_event(r, i);
	assert_false(got.repeated);
	assert_int_not_equal(got.task_id, 0);
	if (r->waiting[v->branch] != 0)
		assert_int_equal(got.task_id, r->waiting[v->branch]);
	else if (r->lease.task_id != 0)
		assert_int_not_equal(got.task_id, r->lease.task_id);
	r->waiting[v->branch] = got.task_id;
	v->id = got.event_id;
	v->task = got.task_id;
	v->outcome = MODEL_OUTCOME_WAITING;
}

static void repeat(struct run *r)
{
	if (r->events == 0)
		return;
	int i = (int)chance(r, (uint64_t)r->events);
	struct model_of_event *v = &r->ev[i];
	struct queue_accepted got = accept_event(r, i);
	assert_int_equal(got.event_id, v->id);
	if (v->outcome != MODEL_OUTCOME_FAILED) {
		assert_true(got.repeated);
		assert_int_equal(got.task_id, v->task);
		return;
	}
	assert_false(got.repeated);
	assert_int_not_equal(got.task_id, 0);
	if (r->waiting[v->branch] != 0)
		assert_int_equal(got.task_id, r->waiting[v->branch]);
	r->waiting[v->branch] = v->task = got.task_id;
	v->outcome = MODEL_OUTCOME_WAITING;
}

static void claim(struct run *r)
{
	struct err e = {0};
	struct model_task t;
	size_t n;
	must(queue_unit_claim(r->db, &r->a, 1, r->now, 8, &t, 1, &n, &e), &e);
	bool any = r->waiting[0] || r->waiting[1] || r->waiting[2];
	assert_int_equal(n, any && r->lease.task_id == 0 ? 1 : 0);
	if (n == 0)
		return;
	r->lease =
	    (struct queue_lease){.task_id = t.id, .counter = t.lease_counter, .incarnation = 1};
	for (r->running_branch = 0; r->waiting[r->running_branch] != t.id; r->running_branch++)
		assert_true(r->running_branch < BRANCHES - 1);
	r->waiting[r->running_branch] = 0;
}

static void finish(struct run *r)
{
	static const struct {
		enum queue_end how;
		enum model_outcome outcome;
	} ends[] = {{QUEUE_DONE, MODEL_OUTCOME_SERVED}, {QUEUE_FAILED, MODEL_OUTCOME_FAILED},
	    {QUEUE_UP_TO_DATE, MODEL_OUTCOME_UPTODATE},
	    {QUEUE_CANCELLED, MODEL_OUTCOME_SUPERSEDED}};
	struct err e = {0};
	bool dead;
	if (r->lease.task_id == 0)
		return;
	uint64_t k = chance(r, 4);
	struct queue_ending f = {.lease = r->lease,
	    .how = ends[k].how,
	    .result_json = STR("{}"),
	    .error_json = STR("{}"),
	    .now_ms = r->now};
	int rc = queue_unit_finish(r->db, &f, &dead, &e);
	must(rc, &e);
	assert_int_equal(rc, 1);
	for (int i = 0; i < r->events; i++)
		if (r->ev[i].task == r->lease.task_id && r->ev[i].outcome == MODEL_OUTCOME_WAITING)
			r->ev[i].outcome = ends[k].outcome;
	r->lease.task_id = 0;
}

static void compare(struct run *r)
{
	struct err e = {0};
	for (int i = 0; i < r->events; i++) {
		struct model_event ev;
		assert_int_equal(
		    model_event_get(r->db, &r->a, r->ev[i].id, MODEL_EVERYTHING, &ev, &e), 1);
		assert_int_equal(ev.outcome, r->ev[i].outcome);
		assert_int_equal(ev.task_id, r->ev[i].task);
	}
}

static void make_project(struct run *r)
{
	struct err e = {0};
	char name[24];
	(void)snprintf(name, sizeof(name), "p%lld", (long long)++r->serial);
	struct model_project p = {.name = str_c(name),
	    .kind = STR("auto"),
	    .source = MODEL_SOURCE_GIT,
	    .source_url = STR("https://x.example/r"),
	    .source_ref = STR("main"),
	    .root = STR(""),
	    .created_ms = 1};
	must(model_project_add(r->db, &p, &r->project, &e), &e);
	struct model_hook h = {.project_id = r->project,
	    .name = str_c(name),
	    .sender = STR("github"),
	    .secret = STR("x"),
	    .branch = STR(""),
	    .created_ms = 1};
	must(model_hook_add(r->db, &h, &r->hook, &e), &e);
}

static int round_unit(void *ctx, struct store_db *db, struct err *e)
{
	struct run *r = ctx;
	(void)e;
	r->db = db;
	r->events = 0;
	memset(r->waiting, 0, sizeof(r->waiting));
	r->lease.task_id = 0;
	arena_init(&r->a, 32u << 20);
	make_project(r);
	for (int i = 0; i < STEPS; i++) {
		void (*const what[])(struct run *) = {push, push, push, repeat, claim, finish};
		r->now++;
		what[chance(r, sizeof(what) / sizeof(what[0]))](r);
	}
	compare(r);
	/* To the end: every event comes to an outcome. */
	for (int i = 0; i < 3 * EVENTS; i++) {
		claim(r);
		finish(r);
	}
	compare(r);
	for (int i = 0; i < r->events; i++)
		assert_int_not_equal(r->ev[i].outcome, MODEL_OUTCOME_WAITING);
	arena_fini(&r->a);
	return 0;
}

static void folding_agrees_with_the_model(void **state)
{
	(void)state;
	struct err e = {0};
	struct store_options o = {.readers = 1};
	struct store *s = store_open(&o, &e);
	assert_non_null(s);
	must(model_migrate(s, &e), &e);
	struct run r = {.rng = UINT64_C(0x853c49e6748fea9b)};
	for (int i = 0; i < ROUNDS; i++)
		if (store_write(s, round_unit, &r, &e) != 0)
			fail_msg("%s", e.msg);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(folding_agrees_with_the_model)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
