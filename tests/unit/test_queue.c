/* rooms: base loop text crypto store model queue */
/* The queue over a real store in memory: events to tasks, folds, claims, ends, retries, recovery;
 * then its life on a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "model/hook.h"
#include "model/project.h"
#include "model/schema.h"
#include "queue/units.h"

#define LIFE UINT64_C(0x1111)
#define NEXT_LIFE UINT64_C(0x2222)

struct world {
	struct store *store;
	int64_t project, hook;
	struct arena a;
};

typedef int body_fn(struct world *w, struct store_db *db, struct err *e);
struct body {
	struct world *w;
	body_fn *fn;
};

static int body_run(void *ctx, struct store_db *db, struct err *e)
{
	struct body *b = ctx;
	return b->fn(b->w, db, e);
}

static void in_unit(struct world *w, body_fn *fn)
{
	struct err e = {0};
	struct body b = {w, fn};
	if (store_write(w->store, body_run, &b, &e) != 0)
		fail_msg("%s", e.msg);
}

static int make_project(struct world *w, struct store_db *db, struct err *e)
{
	struct model_project p = {.name = STR("shop"),
	    .kind = STR("auto"),
	    .source = MODEL_SOURCE_GIT,
	    .source_url = STR("https://git.example/shop"),
	    .source_ref = STR("main"),
	    .root = STR(""),
	    .desired_running = true,
	    .created_ms = 1};
	if (model_project_add(db, &p, &w->project, e) != 0)
		return -1;
	struct model_hook h = {.project_id = w->project,
	    .name = STR("shop"),
	    .sender = STR("github"),
	    .secret = STR("sealed"),
	    .branch = STR("main"),
	    .created_ms = 1};
	return model_hook_add(db, &h, &w->hook, e);
}

static int setup(void **state)
{
	struct err e = {0};
	struct world *w = calloc(1, sizeof(*w));
	struct store_options o = {.readers = 2};
	w->store = store_open(&o, &e);
	assert_non_null(w->store);
	if (model_migrate(w->store, &e) != 0)
		fail_msg("%s", e.msg);
	arena_init(&w->a, 64u << 20);
	in_unit(w, make_project);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;
	arena_fini(&w->a);
	store_close(w->store);
	free(w);
	return 0;
}

static struct queue_accepted push(
    struct world *w, struct store_db *db, const char *key, const char *ref, int64_t at_ms)
{
	struct err e = {0};
	struct queue_accepted ret;
	struct queue_delivery d = {.hook_id = w->hook,
	    .project_id = w->project,
	    .key = str_c(key),
	    .kind = STR("push"),
	    .ref = str_c(ref),
	    .before = STR("1111111111111111111111111111111111111111"),
	    .after = STR("2222222222222222222222222222222222222222"),
	    .body = STR("{}"),
	    .received_ms = at_ms,
	    .triggers = true};
	if (queue_unit_accept(db, &d, &ret, &e) != 0)
		fail_msg("%s", e.msg);
	return ret;
}

static int64_t order(struct world *w, struct store_db *db, enum model_task_kind k, int64_t at_ms)
{
	struct err e = {0};
	int64_t id = 0;
	struct queue_order o = {.project_id = w->project,
	    .kind = k,
	    .ref = STR("main"),
	    .requested_by = STR("anna"),
	    .now_ms = at_ms};
	if (queue_unit_order(db, &o, &id, &e) != 0)
		fail_msg("%s", e.msg);
	return id;
}

/* Claims one; 0 when there is none. */
static int64_t claim(
    struct world *w, struct store_db *db, uint64_t life, int64_t now_ms, struct queue_lease *ret)
{
	struct err e = {0};
	struct model_task t;
	size_t n = 0;
	if (queue_unit_claim(db, &w->a, life, now_ms, 8, &t, 1, &n, &e) != 0)
		fail_msg("%s", e.msg);
	if (n == 0)
		return 0;
	*ret =
	    (struct queue_lease){.task_id = t.id, .counter = t.lease_counter, .incarnation = life};
	return t.id;
}

static int finish(
    struct store_db *db, struct queue_lease l, enum queue_end how, int64_t now_ms, bool *dead)
{
	struct err e = {0};
	struct queue_ending f = {.lease = l,
	    .how = how,
	    .result_json = STR("{}"),
	    .error_json = STR("{}"),
	    .now_ms = now_ms,
	    .due_ms = now_ms + 2000};
	int rc = queue_unit_finish(db, &f, dead, &e);
	if (rc < 0)
		fail_msg("%s", e.msg);
	return rc;
}

static struct model_task task(struct world *w, struct store_db *db, int64_t id)
{
	struct err e = {0};
	struct model_task t = {0};
	assert_int_equal(model_task_get(db, &w->a, id, MODEL_EVERYTHING, &t, &e), 1);
	return t;
}

static struct model_event event(struct world *w, struct store_db *db, int64_t id)
{
	struct err e = {0};
	struct model_event v = {0};
	assert_int_equal(model_event_get(db, &w->a, id, MODEL_EVERYTHING, &v, &e), 1);
	return v;
}

static int folds(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	struct queue_lease l;
	bool dead;
	struct queue_accepted a = push(w, db, "d1", "main", 10), b = push(w, db, "d2", "main", 11);
	struct queue_accepted other = push(w, db, "d3", "dev", 12);
	assert_int_not_equal(a.task_id, 0);
	assert_int_equal(a.task_id, b.task_id);
	assert_int_not_equal(a.event_id, b.event_id);
	assert_int_not_equal(other.task_id, a.task_id);
	assert_int_equal(claim(w, db, LIFE, 20, &l), a.task_id);
	/* What comes while it runs waits for a task of its own. */
	struct queue_accepted c = push(w, db, "d4", "main", 21);
	assert_int_not_equal(c.task_id, a.task_id);
	assert_int_equal(finish(db, l, QUEUE_DONE, 30, &dead), 1);
	assert_int_equal(event(w, db, a.event_id).outcome, MODEL_OUTCOME_SERVED);
	assert_int_equal(event(w, db, b.event_id).outcome, MODEL_OUTCOME_SERVED);
	assert_int_equal(event(w, db, c.event_id).outcome, MODEL_OUTCOME_WAITING);
	return 0;
}

static void waiting_pushes_of_a_branch_fold(void **state)
{
	in_unit(*state, folds);
}

static int repeats(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	struct queue_lease l;
	bool dead;
	struct queue_accepted a = push(w, db, "d1", "main", 10), b = push(w, db, "d1", "main", 11);
	assert_true(b.repeated);
	assert_int_equal(b.event_id, a.event_id);
	assert_int_equal(b.task_id, a.task_id);
	assert_int_equal(claim(w, db, LIFE, 20, &l), a.task_id);
	assert_true(push(w, db, "d1", "main", 21).repeated);
	assert_int_equal(finish(db, l, QUEUE_FAILED, 30, &dead), 1);
	/* What failed is tried anew by a repeat, under the same event. */
	struct queue_accepted c = push(w, db, "d1", "main", 31);
	assert_false(c.repeated);
	assert_int_equal(c.event_id, a.event_id);
	assert_int_not_equal(c.task_id, a.task_id);
	assert_int_equal(claim(w, db, LIFE, 40, &l), c.task_id);
	assert_int_equal(finish(db, l, QUEUE_UP_TO_DATE, 50, &dead), 1);
	assert_int_equal(event(w, db, a.event_id).outcome, MODEL_OUTCOME_UPTODATE);
	assert_true(push(w, db, "d1", "main", 60).repeated);
	return 0;
}

static void a_repeat_does_nothing_unless_the_first_failed(void **state)
{
	in_unit(*state, repeats);
}

static int ignores(struct world *w, struct store_db *db, struct err *e)
{
	struct queue_accepted r;
	struct queue_delivery d = {.hook_id = w->hook,
	    .project_id = w->project,
	    .key = STR("ping"),
	    .kind = STR("ping"),
	    .ref = STR(""),
	    .before = STR(""),
	    .after = STR(""),
	    .body = STR("{}"),
	    .received_ms = 5};
	assert_int_equal(queue_unit_accept(db, &d, &r, e), 0);
	assert_int_equal(r.task_id, 0);
	assert_int_equal(event(w, db, r.event_id).outcome, MODEL_OUTCOME_IGNORED);
	return 0;
}

static void a_ping_is_stored_and_nothing_follows(void **state)
{
	in_unit(*state, ignores);
}

static int overtakes(struct world *w, struct store_db *db, struct err *e)
{
	struct queue_lease l, r;
	bool dead;
	struct queue_accepted a = push(w, db, "d1", "main", 10);
	assert_int_equal(claim(w, db, LIFE, 11, &l), a.task_id);
	struct queue_accepted b = push(w, db, "d2", "main", 12);
	assert_int_equal(queue_unit_cancel_wanted(db, l, e), 0);
	int64_t back = order(w, db, MODEL_TASK_ROLLBACK, 13);
	assert_int_equal(queue_unit_cancel_wanted(db, l, e), 1);
	assert_int_equal(task(w, db, b.task_id).state, MODEL_TASK_SUPERSEDED);
	assert_int_equal(event(w, db, b.event_id).outcome, MODEL_OUTCOME_SUPERSEDED);
	/* One task of a project at a time. */
	assert_int_equal(claim(w, db, LIFE, 14, &r), 0);
	assert_int_equal(finish(db, l, QUEUE_CANCELLED, 15, &dead), 1);
	assert_int_equal(event(w, db, a.event_id).outcome, MODEL_OUTCOME_SUPERSEDED);
	assert_int_equal(claim(w, db, LIFE, 16, &r), back);
	/* A replay of what was overtaken does not undo the rollback. */
	assert_true(push(w, db, "d1", "main", 17).repeated);
	return 0;
}

static void a_rollback_overtakes(void **state)
{
	in_unit(*state, overtakes);
}

static int retries(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	struct queue_lease l;
	bool dead = false;
	struct queue_accepted a = push(w, db, "d1", "main", 10);
	int64_t now = 100;
	for (int i = 1; i <= QUEUE_PUSH_ATTEMPTS; i++) {
		assert_int_equal(claim(w, db, LIFE, now, &l), a.task_id);
		assert_int_equal(task(w, db, a.task_id).attempt, i);
		assert_int_equal(finish(db, l, QUEUE_RETRY, now, &dead), 1);
		assert_int_equal(dead, i == QUEUE_PUSH_ATTEMPTS);
		assert_int_equal(claim(w, db, LIFE, now + 1999, &l), 0);
		now += 2000;
	}
	assert_int_equal(task(w, db, a.task_id).state, MODEL_TASK_DEAD);
	assert_int_equal(event(w, db, a.event_id).outcome, MODEL_OUTCOME_FAILED);
	assert_int_equal(claim(w, db, LIFE, now * 2, &l), 0);
	return 0;
}

static void retries_wait_and_end_as_dead(void **state)
{
	in_unit(*state, retries);
}

static int recovers(struct world *w, struct store_db *db, struct err *e)
{
	struct queue_lease old, mine;
	struct model_task t[4];
	size_t n;
	bool dead;
	struct queue_accepted a = push(w, db, "d1", "main", 10);
	assert_int_equal(claim(w, db, LIFE, 11, &old), a.task_id);
	assert_int_equal(queue_unit_fence(db, old, e), 1);
	assert_int_equal(queue_unit_recover(db, &w->a, NEXT_LIFE, 20, t, 4, &n, e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(t[0].id, a.task_id);
	assert_int_equal(t[0].attempt, 1);
	mine = (struct queue_lease){
	    .task_id = t[0].id, .counter = t[0].lease_counter, .incarnation = NEXT_LIFE};
	/* The old life's lease is worth nothing any more. */
	assert_int_equal(queue_unit_fence(db, old, e), 0);
	assert_int_equal(finish(db, old, QUEUE_DONE, 21, &dead), 0);
	assert_int_equal(task(w, db, a.task_id).state, MODEL_TASK_RUNNING);
	assert_int_equal(queue_unit_fence(db, mine, e), 1);
	assert_int_equal(finish(db, mine, QUEUE_DONE, 22, &dead), 1);
	assert_int_equal(queue_unit_recover(db, &w->a, NEXT_LIFE, 23, t, 4, &n, e), 0);
	assert_int_equal(n, 0);
	return 0;
}

static void a_new_life_takes_over(void **state)
{
	in_unit(*state, recovers);
}

static void backoff_doubles_to_five_minutes(void **state)
{
	(void)state;
	assert_int_equal(queue_backoff_ms(1, 0), 2000);
	assert_int_equal(queue_backoff_ms(2, 0), 4000);
	assert_int_equal(queue_backoff_ms(4, 0), 16000);
	assert_int_equal(queue_backoff_ms(60, 0), 300000);
	for (uint64_t r = 1; r < 1000000; r += 997) {
		int64_t ms = queue_backoff_ms(3, r);
		assert_true(ms >= 8000 && ms <= 10000);
	}
}

/* --- on a loop --- */

struct life {
	struct world *w;
	struct loop *loop;
	struct queue *q;
	struct queue_lease lease;
	int runs, cancels, changes;
	bool recovered;
	int64_t first, second;
};

static void ended(void *ctx)
{
	struct life *f = ctx;
	if (f->runs >= 2) {
		queue_close(f->q);
		loop_stop(f->loop);
	}
}

static int rollback_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	(void)order(w, db, MODEL_TASK_ROLLBACK, clock_wall_ms());
	return 0;
}

static void on_run(void *ctx, const struct model_task *t, struct queue_lease l, bool recovered)
{
	struct life *f = ctx;
	f->runs++;
	f->recovered |= recovered;
	f->lease = l;
	if (f->runs == 1) {
		f->first = t->id;
		in_unit(f->w, rollback_body); /* a test may block the loop */
		queue_kick(f->q);
		return;
	}
	f->second = t->id;
	assert_int_equal(t->kind, MODEL_TASK_ROLLBACK);
	queue_finish(f->q, l, QUEUE_DONE, STR("{}"), STR(""), ended, f);
}

static void on_cancel(void *ctx, int64_t task_id)
{
	struct life *f = ctx;
	f->cancels++;
	assert_int_equal(task_id, f->first);
	queue_finish(f->q, f->lease, QUEUE_CANCELLED, STR(""), STR("{}"), ended, f);
}

static void on_changed(void *ctx, int64_t task_id)
{
	(void)task_id;
	((struct life *)ctx)->changes++;
}

static int push_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	(void)push(w, db, "d1", "main", clock_wall_ms());
	return 0;
}

/* A queue with one push in it, begun on f's loop. */
static void live(struct world *w, struct life *f, struct queue_options o)
{
	struct err e = {0};
	*f = (struct life){.w = w, .loop = loop_new(1)};
	in_unit(w, push_body);
	o.store = w->store;
	o.loop = f->loop;
	o.incarnation = LIFE;
	o.cancel = on_cancel;
	o.ctx = f;
	f->q = queue_open(&o, &e);
	assert_non_null(f->q);
}

static int nothing_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)w, (void)db, (void)e;
	return 0;
}

/* What the queue still asked of the store comes back first: it is freed with that. */
static void live_end(struct life *f)
{
	in_unit(f->w, nothing_body);
	loop_run(f->loop);
	loop_free(f->loop);
}

static void it_hands_out_cancels_and_ends(void **state)
{
	struct life f;
	live(*state, &f,
	    (struct queue_options){.parallel_max = 4, .run = on_run, .changed = on_changed});
	loop_run(f.loop);
	assert_int_equal(f.runs, 2);
	assert_int_equal(f.cancels, 1);
	assert_int_equal(f.changes, 4);
	assert_false(f.recovered);
	live_end(&f);
}

/* A rollback of another project's begins although the one place is a build's. */
static int another_rolls_back(struct world *w, struct store_db *db, struct err *e)
{
	struct model_project p = {.name = STR("other"),
	    .kind = STR("auto"),
	    .source = MODEL_SOURCE_GIT,
	    .source_url = STR("https://git.example/other"),
	    .source_ref = STR("main"),
	    .root = STR(""),
	    .created_ms = 1};
	int64_t id, shop = w->project;
	if (model_project_add(db, &p, &id, e) != 0)
		return -1;
	w->project = id;
	(void)order(w, db, MODEL_TASK_ROLLBACK, clock_wall_ms());
	w->project = shop;
	return 0;
}

static void on_run_beside(
    void *ctx, const struct model_task *t, struct queue_lease l, bool recovered)
{
	struct life *f = ctx;
	(void)recovered;
	if (++f->runs == 1) {
		f->lease = l;
		in_unit(f->w, another_rolls_back);
		queue_kick(f->q);
		return;
	}
	assert_int_equal(t->kind, MODEL_TASK_ROLLBACK);
	queue_finish(f->q, f->lease, QUEUE_DONE, STR("{}"), STR(""), NULL, NULL);
	queue_finish(f->q, l, QUEUE_DONE, STR("{}"), STR(""), ended, f);
}

static void too_late(void *ctx)
{
	loop_stop(((struct life *)ctx)->loop);
}

static void a_rollback_does_not_wait_for_others_builds(void **state)
{
	struct life f;
	live(*state, &f, (struct queue_options){.parallel_max = 1, .run = on_run_beside});
	struct loop_timer *t = loop_timer_new(f.loop, too_late, &f);
	loop_timer_at(t, clock_mono_ms() + 5000);
	loop_run(f.loop);
	assert_int_equal(f.runs, 2);
	loop_timer_free(t);
	live_end(&f);
}

static int exec_one(struct store_db *db, const char *sql, struct err *e)
{
	struct store_stmt *q = store_prepare(db, sql, e);
	return q ? store_exec(q, e) : -1;
}

/* What was drained while the queue was full waits without a task: neither a start nor a round
 * stumbles over it, and it gets one when there is room. */
static int fills(struct world *w, struct store_db *db, struct err *e)
{
	struct model_task t[1];
	size_t n;
	struct queue_accepted a = push(w, db, "d1", "main", 10);
	struct queue_lease l;
	bool dead;
	assert_int_equal(claim(w, db, LIFE, 11, &l), a.task_id);
	assert_int_equal(finish(db, l, QUEUE_DONE, 12, &dead), 1);
	assert_int_equal(
	    exec_one(db, "UPDATE event SET outcome = 'waiting', task_id = NULL", e), 0);
	assert_int_equal(
	    exec_one(db,
		"WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < 100000)"
		" INSERT INTO task(project_id, kind, state, ref, head_commit, before_commit,"
		" from_push, priority, attempts_max, due_ms, created_ms, requested_by, input)"
		" SELECT (SELECT min(id) FROM project), 'start', 'waiting', 'r' || i, '', '', 0, 0,"
		" 1, 99, 99, 'x', '{}' FROM k",
		e),
	    0);
	assert_int_equal(queue_unit_recover(db, &w->a, NEXT_LIFE, 20, t, 1, &n, e), 0);
	assert_int_equal(queue_unit_adopt(db, &w->a, 20, 10, e), 0);
	assert_int_equal(event(w, db, a.event_id).task_id, 0);
	assert_int_equal(exec_one(db, "DELETE FROM task WHERE kind = 'start'", e), 0);
	assert_int_equal(queue_unit_adopt(db, &w->a, 21, 10, e), 0);
	int64_t given = event(w, db, a.event_id).task_id;
	assert_int_equal(task(w, db, given).state, MODEL_TASK_WAITING);
	return 0;
}

static void what_found_no_room_gets_a_task_later(void **state)
{
	in_unit(*state, fills);
}

/* A store that can take nothing for a while. */

static int break_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)w;
	return exec_one(db,
	    "CREATE TRIGGER broken BEFORE UPDATE ON task BEGIN SELECT RAISE(FAIL, 'no'); END", e);
}

static int mend_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)w;
	return exec_one(db, "DROP TRIGGER broken", e);
}

static void mend(void *ctx)
{
	struct life *f = ctx;
	assert_int_equal(f->cancels, 0); /* nobody was told that it has ended */
	in_unit(f->w, mend_body);
	f->first = -1;
}

static void ended_after_all(void *ctx)
{
	struct life *f = ctx;
	f->cancels++;
	assert_int_equal(f->first, -1);
	queue_close(f->q);
	loop_stop(f->loop);
}

static void on_run_broken(
    void *ctx, const struct model_task *t, struct queue_lease l, bool recovered)
{
	struct life *f = ctx;
	(void)recovered;
	f->second = t->id;
	in_unit(f->w, break_body);
	queue_finish(f->q, l, QUEUE_DONE, STR("{}"), STR(""), ended_after_all, f);
}

static int is_done_body(struct world *w, struct store_db *db, struct err *e)
{
	(void)e;
	assert_int_equal(task(w, db, 1).state, MODEL_TASK_DONE);
	return 0;
}

static void an_end_that_cannot_be_stored_is_tried_again(void **state)
{
	struct life f;
	live(*state, &f, (struct queue_options){.parallel_max = 4, .run = on_run_broken});
	struct loop_timer *t = loop_timer_new(f.loop, mend, &f);
	loop_timer_at(t, clock_mono_ms() + 300);
	loop_run(f.loop);
	assert_int_equal(f.cancels, 1);
	assert_int_equal(f.second, 1);
	in_unit(*state, is_done_body);
	loop_timer_free(t);
	live_end(&f);
}

static void too_many_at_once_is_refused(void **state)
{
	struct world *w = *state;
	struct err e = {0};
	struct queue_options o = {.store = w->store, .parallel_max = 65};
	assert_null(queue_open(&o, &e));
	assert_int_equal(e.code, ERR_SETTINGS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(waiting_pushes_of_a_branch_fold),
	    T(a_repeat_does_nothing_unless_the_first_failed),
	    T(a_ping_is_stored_and_nothing_follows),
	    T(a_rollback_overtakes),
	    T(retries_wait_and_end_as_dead),
	    T(a_new_life_takes_over),
	    T(what_found_no_room_gets_a_task_later),
	    T(backoff_doubles_to_five_minutes),
	    T(it_hands_out_cancels_and_ends),
	    T(a_rollback_does_not_wait_for_others_builds),
	    T(an_end_that_cannot_be_stored_is_tried_again),
	    T(too_many_at_once_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
