/* rooms: base loop text crypto store model queue */
/* Looks by the clock and after having been away, and what is taken away with age. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "model/hook.h"
#include "model/look.h"
#include "model/project.h"
#include "model/schema.h"
#include "model/step.h"
#include "queue/schedule.h"
#include "queue/units.h"

#define LIFE UINT64_C(0x1111)
#define MINUTE 60000

struct world {
	struct store *store;
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

enum { GIT = 1, HOOK = 2, SEEN = 4, PAUSED = 8, STOPPED = 16 };

static int64_t project(struct store_db *db, const char *name, unsigned is)
{
	struct err e = {0};
	int64_t id = 0, hook;
	struct model_project p = {.name = str_c(name),
	    .kind = STR("auto"),
	    .source = is & GIT ? MODEL_SOURCE_GIT : MODEL_SOURCE_PATH,
	    .source_url = STR("https://git.example/shop"),
	    .source_ref = STR("main"),
	    .desired_running = !(is & STOPPED),
	    .created_ms = 1};
	struct model_hook h = {.name = str_c(name),
	    .sender = STR("github"),
	    .secret = STR("sealed"),
	    .branch = STR("main"),
	    .created_ms = 1};
	struct model_branch_head head = {.commit = STR("1111111111111111111111111111111111111111")};
	int rc = model_project_add(db, &p, &id, &e);
	h.project_id = id;
	if (rc == 0 && is & (HOOK | PAUSED))
		rc = model_hook_add(db, &h, &hook, &e);
	if (rc == 0 && is & PAUSED)
		rc = model_hook_set_paused(db, hook, true, &e) < 0 ? -1 : 0;
	if (rc == 0 && is & SEEN)
		rc = model_branch_head_set(db, id, STR("main"), &head, &e);
	if (rc < 0)
		fail_msg("%s: %s", name, e.msg);
	return id;
}

static size_t look(struct store_db *db, int64_t now_ms)
{
	struct err e = {0};
	size_t n = 99;
	if (schedule_unit_look(db, now_ms, &n, &e) != 0)
		fail_msg("%s", e.msg);
	return n;
}

static struct model_tasks tasks(struct world *w, struct store_db *db, int64_t project_id)
{
	struct err e = {0};
	struct model_tasks ret;
	struct model_task_filter f = {.project_id = project_id};
	struct model_page page = {.limit = 100};
	assert_int_equal(model_task_list(db, &w->a, f, page, MODEL_EVERYTHING, &ret, &e), 0);
	return ret;
}

/* Runs what waits and ends it; how many there were. */
static size_t run(
    struct world *w, struct store_db *db, int64_t now_ms, enum queue_end how, const char *head)
{
	struct err e = {0};
	struct model_task t[16];
	size_t n = 0;
	bool dead;
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, now_ms, 16, t, 16, &n, &e), 0);
	for (size_t i = 0; i < n; i++) {
		struct model_lease l = model_task_lease(&t[i]);
		struct queue_ending f = {.lease = {t[i].id, t[i].lease_counter, LIFE},
		    .how = how,
		    .result_json = STR("{}"),
		    .error_json = STR("{}"),
		    .now_ms = now_ms};
		if (head[0])
			assert_int_equal(model_task_set_head(db, &l, str_c(head), &e), 1);
		assert_int_equal(queue_unit_finish(db, &f, &dead, &e), 1);
	}
	return n;
}

static bool begin(struct store_db *db, int64_t now_ms)
{
	struct err e = {0};
	bool missed;
	if (schedule_unit_begin(db, now_ms, &missed, &e) != 0)
		fail_msg("%s", e.msg);
	return missed;
}

static int away(struct world *w, struct store_db *db, struct err *e)
{
	int64_t shop = project(db, "shop", GIT | HOOK | SEEN);
	project(db, "unseen", GIT | HOOK);
	project(db, "paused", GIT | PAUSED | SEEN);
	project(db, "hookless", GIT | SEEN);
	project(db, "folder", HOOK | SEEN);
	project(db, "stopped", GIT | HOOK | SEEN | STOPPED);
	/* the first life, one that ended without a word, one that ended well and just now, one long
	 * ago */
	assert_false(begin(db, 1000));
	assert_int_equal(look(db, 2000), 0);
	assert_true(begin(db, 3000));
	assert_int_equal(look(db, 3000), 1);
	assert_int_equal(tasks(w, db, shop).n, 1);
	assert_int_equal(run(w, db, 4000, QUEUE_UP_TO_DATE, ""), 1);
	assert_int_equal(look(db, 5000), 0);
	if (model_look_ended_set(db, 6000, e) < 0)
		return -1;
	assert_false(begin(db, 6000 + SCHEDULE_AWAY_MS));
	assert_int_equal(look(db, 6000 + SCHEDULE_AWAY_MS), 0);
	if (model_look_ended_set(db, 7000, e) < 0)
		return -1;
	assert_true(begin(db, 7001 + SCHEDULE_AWAY_MS));
	assert_int_equal(look(db, 7001 + SCHEDULE_AWAY_MS), 1);
	return 0;
}

static void after_having_been_away_hooked_projects_are_looked_at(void **state)
{
	in_unit(*state, away);
}

static int clockwork(struct world *w, struct store_db *db, struct err *e)
{
	int64_t shop = project(db, "shop", GIT), due = 0;
	assert_int_equal(model_look_next(db, &due, e), 0);
	assert_int_equal(model_look_every(db, shop, MINUTE, 1000, e), 1);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, 1000);
	assert_int_equal(look(db, due - 1), 0);
	assert_int_equal(look(db, due), 1);
	/* one that waits is enough */
	assert_int_equal(look(db, due + MINUTE), 0);
	assert_int_equal(run(w, db, due + MINUTE, QUEUE_UP_TO_DATE, ""), 1);
	/* what found nothing new leaves nothing behind; what found something stays */
	assert_int_equal(look(db, due + 2 * MINUTE), 1);
	assert_int_equal(tasks(w, db, shop).n, 1);
	assert_int_equal(
	    run(w, db, due + 2 * MINUTE, QUEUE_DONE, "2222222222222222222222222222222222222222"),
	    1);
	assert_int_equal(look(db, due + 3 * MINUTE), 1);
	assert_int_equal(tasks(w, db, shop).n, 2);
	/* after a long sleep once, not once for each time */
	assert_int_equal(run(w, db, due + 3 * MINUTE, QUEUE_UP_TO_DATE, ""), 1);
	assert_int_equal(look(db, due + 500 * MINUTE), 1);
	assert_int_equal(run(w, db, due + 500 * MINUTE, QUEUE_UP_TO_DATE, ""), 1);
	assert_int_equal(look(db, due + 500 * MINUTE + 1), 0);
	assert_int_equal(model_look_every(db, shop, 0, due, e), 1);
	assert_int_equal(model_look_next(db, &due, e), 0);
	return 0;
}

static void a_branch_is_looked_at_by_the_clock(void **state)
{
	in_unit(*state, clockwork);
}

static int under_way(struct world *w, struct store_db *db, struct err *e)
{
	struct model_task t[1];
	size_t n;
	bool dead;
	int64_t shop = project(db, "shop", GIT | HOOK | SEEN), due;
	if (model_look_missed(db, 1000, e) < 0)
		return -1;
	assert_int_equal(look(db, 1000), 1);
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, 1000, 1, t, 1, &n, e), 0);
	assert_int_equal(n, 1);
	/* it may have fetched before what came while we were away */
	if (model_look_missed(db, 2000, e) < 0)
		return -1;
	assert_int_equal(look(db, 2000), 0);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, 2000 + MODEL_LOOK_AGAIN_MS);
	assert_int_equal(look(db, due), 0);
	struct queue_ending f = {.lease = {t[0].id, t[0].lease_counter, LIFE},
	    .how = QUEUE_DONE,
	    .result_json = STR("{}"),
	    .error_json = STR("{}"),
	    .now_ms = due + 1};
	assert_int_equal(queue_unit_finish(db, &f, &dead, e), 1);
	assert_int_equal(look(db, due + MODEL_LOOK_AGAIN_MS), 1);
	assert_int_equal(model_look_next(db, &due, e), 0);
	/* sooner where its time comes sooner, and not only at a time far off */
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, 9 * MINUTE, 1, t, 1, &n, e), 0);
	assert_int_equal(n, 1);
	assert_int_equal(model_look_every(db, shop, MODEL_LOOK_AGAIN_MS / 2, 1, e), 1);
	assert_int_equal(look(db, 1), 0);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, 1 + MODEL_LOOK_AGAIN_MS / 2);
	assert_int_equal(model_look_every(db, shop, 99 * MINUTE, 1, e), 1);
	assert_int_equal(look(db, 1), 0);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, 1 + MODEL_LOOK_AGAIN_MS);
	return 0;
}

static void a_deploy_under_way_puts_the_look_off(void **state)
{
	in_unit(*state, under_way);
}

static int64_t hook(struct store_db *db, int64_t project_id, const char *name, const char *branch)
{
	struct err e = {0};
	int64_t id;
	struct model_hook h = {.name = str_c(name),
	    .project_id = project_id,
	    .sender = STR("github"),
	    .secret = STR("sealed"),
	    .branch = str_c(branch),
	    .created_ms = 1};
	if (model_hook_add(db, &h, &id, &e) < 0)
		fail_msg("%s", e.msg);
	return id;
}

static bool looked(struct world *w, struct store_db *db, int64_t project_id, int64_t now_ms,
    const char *ref, const char *another)
{
	assert_int_equal(model_look_every(db, project_id, MINUTE, now_ms, &(struct err){0}), 1);
	assert_int_equal(look(db, now_ms), 1);
	struct model_tasks t = tasks(w, db, project_id);
	size_t n = another ? 2 : 1;
	bool right = t.n == n && str_eq_c(t.v[n - 1].ref, ref) &&
		     (!another || str_eq_c(t.v[0].ref, another));
	while (run(w, db, now_ms, QUEUE_UP_TO_DATE, "") > 0)
		;
	return right;
}

static int branches(struct world *w, struct store_db *db, struct err *e)
{
	struct model_branch_head head = {.commit = STR("1111111111111111111111111111111111111111")};
	int64_t shop = project(db, "shop", GIT | SEEN), first, second;
	assert_true(looked(w, db, shop, 1000, "main", NULL));
	/* a hook's own branch, once it was fetched */
	first = hook(db, shop, "first", "release");
	assert_true(looked(w, db, shop, 2000, "main", NULL));
	assert_int_equal(model_branch_head_set(db, shop, STR("release"), &head, e), 0);
	assert_true(looked(w, db, shop, 3000, "release", NULL));
	/* beside the project's, and each once */
	second = hook(db, shop, "second", "");
	(void)hook(db, shop, "third", "main");
	assert_true(looked(w, db, shop, 4000, "main", "release"));
	assert_int_equal(model_hook_set_paused(db, first, true, e), 1);
	assert_int_equal(model_hook_remove(db, second, e), 1);
	assert_true(looked(w, db, shop, 5000, "main", NULL));
	return 0;
}

static void a_look_goes_for_the_branches_of_the_hooks(void **state)
{
	in_unit(*state, branches);
}

static int few(struct world *w, struct store_db *db, struct err *e)
{
	char name[16];
	for (unsigned i = 0; i < 2 * SCHEDULE_AT_ONCE + 1; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		project(db, name, GIT | HOOK | SEEN);
	}
	if (model_look_missed(db, 1000, e) < 0)
		return -1;
	assert_int_equal(look(db, 1000), SCHEDULE_AT_ONCE);
	assert_int_equal(look(db, 1000), SCHEDULE_AT_ONCE);
	assert_int_equal(look(db, 1000), 1);
	assert_int_equal(look(db, 1000), 0);
	assert_int_equal(tasks(w, db, 0).n, 2 * SCHEDULE_AT_ONCE + 1);
	return 0;
}

static void a_few_at_a_time(void **state)
{
	in_unit(*state, few);
}

static int ages(struct world *w, struct store_db *db, struct err *e)
{
	int64_t shop = project(db, "shop", GIT), gone = project(db, "gone", GIT), left = 0;
	assert_int_equal(model_look_every(db, shop, MINUTE, 1, e), 1);
	assert_int_equal(look(db, MINUTE), 1);
	assert_int_equal(run(w, db, MINUTE, QUEUE_FAILED, ""), 1);
	assert_int_equal(model_project_remove(db, gone, MINUTE, e), 1);
	bool more = true;
	assert_int_equal(schedule_unit_prune(db, MINUTE + SCHEDULE_KEPT_MS, &more, e), 0);
	assert_false(more);
	assert_int_equal(tasks(w, db, shop).n, 1);
	assert_int_equal(schedule_unit_prune(db, MINUTE + 1 + SCHEDULE_KEPT_MS, &more, e), 0);
	assert_int_equal(tasks(w, db, shop).n, 0);
	struct store_stmt *q = store_prepare(db, "SELECT count(*) FROM project", e);
	assert_int_equal(store_step(q, e), 1);
	left = store_col_i64(q, 0);
	store_reset(q);
	assert_int_equal(left, 1);
	return 0;
}

static void what_is_old_is_taken_away(void **state)
{
	in_unit(*state, ages);
}

/* A round and its end; what there is of tasks afterwards. */
static int64_t round_of(struct store_db *db, struct schedule_round *r, int rc, int64_t *ret_wait_ms)
{
	struct err e = {0};
	if (schedule_unit_round(db, r, &e) != 0)
		fail_msg("%s", e.msg);
	*ret_wait_ms = schedule_round_over(r, rc, r->now_ms);
	struct store_stmt *q = store_prepare(db, "SELECT count(*) FROM task", &e);
	assert_int_equal(store_step(q, &e), 1);
	int64_t left = store_col_i64(q, 0);
	store_reset(q);
	return left;
}

/* A clock that was six hours ahead, and is set right. */
static int ahead(struct world *w, struct store_db *db, struct err *e)
{
	const int64_t now = 1000 * MINUTE, fast = now + 360 * MINUTE;
	int64_t polled = project(db, "polled", GIT), slow = project(db, "slow", GIT),
		shop = project(db, "shop", GIT | HOOK), other = project(db, "other", GIT | HOOK),
		due, wait;
	struct schedule_round r = {.now_ms = now};
	struct model_task push = {.project_id = shop,
			      .kind = MODEL_TASK_DEPLOY,
			      .ref = STR("main"),
			      .from_push = true,
			      .attempts_max = 5,
			      .due_ms = fast,
			      .created_ms = fast},
			  t[4];
	struct model_task_added first, second;
	size_t n;
	bool dead;
	assert_int_equal(model_look_every(db, slow, 10000 * MINUTE, now, e), 1);
	(void)round_of(db, &r, 0, &wait);
	assert_int_equal(run(w, db, now, QUEUE_UP_TO_DATE, ""), 1);
	assert_int_equal(model_look_every(db, polled, MINUTE, fast, e), 1);
	r.now_ms = fast;
	(void)round_of(db, &r, 0, &wait);
	assert_int_equal(run(w, db, fast, QUEUE_UP_TO_DATE, ""), 1);
	/* one that was tried, and waits for its next try; one that was not */
	assert_int_equal(model_task_add(db, &push, &first, e), 0);
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, fast, 4, t, 4, &n, e), 0);
	assert_int_equal(n, 1);
	struct queue_ending f = {.lease = {t[0].id, t[0].lease_counter, LIFE},
	    .how = QUEUE_RETRY,
	    .result_json = STR("{}"),
	    .error_json = STR("{}"),
	    .now_ms = fast,
	    .due_ms = fast + 2000};
	assert_int_equal(queue_unit_finish(db, &f, &dead, e), 1);
	push.project_id = other;
	assert_int_equal(model_task_add(db, &push, &second, e), 0);
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, now, 4, t, 4, &n, e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, fast + MINUTE);
	r.now_ms = now;
	(void)round_of(db, &r, 0, &wait);
	assert_int_equal(r.earlier, 2);
	assert_int_equal(r.looks, 1); /* not the other, whose time is as far off as it may be */
	assert_int_equal(queue_unit_claim(db, &w->a, LIFE, now, 4, t, 4, &n, e), 0);
	assert_int_equal(n, 3);
	assert_int_equal(model_look_next(db, &due, e), 1);
	assert_int_equal(due, now + MINUTE);
	/* and one that only waits for its next try does so */
	f.lease = (struct queue_lease){t[0].id, t[0].lease_counter, LIFE};
	f.due_ms = now + QUEUE_BACKOFF_MAX_MS / 4 * 5;
	f.now_ms = now;
	assert_int_equal(queue_unit_finish(db, &f, &dead, e), 1);
	(void)round_of(db, &r, 0, &wait);
	assert_int_equal(r.earlier, 0);
	return 0;
}

static void the_time_of_a_clock_that_was_ahead_is_not_waited_for(void **state)
{
	in_unit(*state, ahead);
}

/* So many that ended as the one that there is. */
static int ended_alike(struct store_db *db, int64_t n, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $n)"
	    " INSERT INTO task(project_id, kind, state, ref, head_commit, before_commit, from_push,"
	    " priority, attempts_max, due_ms, created_ms, finished_ms, requested_by, input)"
	    " SELECT project_id, kind, state, ref, head_commit, before_commit, from_push, priority,"
	    " attempts_max, due_ms, created_ms, finished_ms, requested_by, input"
	    " FROM c, (SELECT * FROM task LIMIT 1) AS one",
	    e);
	store_bind_i64(q, "$n", n);
	return store_exec(q, e);
}

static int many_ages(struct world *w, struct store_db *db, struct err *e)
{
	int64_t shop = project(db, "shop", GIT), wait;
	struct schedule_round r = {.now_ms = MINUTE + 1 + SCHEDULE_KEPT_MS};
	assert_int_equal(model_look_every(db, shop, MINUTE, 1, e), 1);
	assert_int_equal(look(db, MINUTE), 1);
	assert_int_equal(run(w, db, MINUTE, QUEUE_FAILED, ""), 1);
	assert_int_equal(model_look_every(db, shop, 0, 1, e), 1);
	assert_int_equal(ended_alike(db, 2 * SCHEDULE_PRUNED_AT_ONCE, e), 0);
	assert_int_equal(round_of(db, &r, 0, &wait), SCHEDULE_PRUNED_AT_ONCE + 1);
	assert_true(wait <= 1000); /* soon, not in an hour */
	r.now_ms += wait;
	assert_int_equal(round_of(db, &r, 0, &wait), 1);
	assert_true(wait <= 1000);
	r.now_ms += wait;
	assert_int_equal(round_of(db, &r, 0, &wait), 0);
	assert_true(wait > 1000);
	return 0;
}

static void many_that_are_old_go_one_after_the_other(void **state)
{
	in_unit(*state, many_ages);
}

static int not_kept(struct world *w, struct store_db *db, struct err *e)
{
	int64_t wait, first = MINUTE + 1 + SCHEDULE_KEPT_MS;
	struct schedule_round r = {.now_ms = first};
	(void)w;
	(void)e;
	(void)round_of(db, &r, -1, &wait); /* its unit was rolled back */
	r.now_ms += wait;
	(void)round_of(db, &r, 0, &wait);
	assert_true(r.pruned && r.pruned_ms == r.now_ms);
	int64_t kept = r.now_ms;
	r.now_ms += wait;
	(void)round_of(db, &r, 0, &wait);
	assert_true(!r.pruned && r.pruned_ms == kept);
	r.now_ms = kept + 61 * MINUTE;
	(void)round_of(db, &r, 0, &wait);
	assert_true(r.pruned);
	r.now_ms = first; /* the clock was set back */
	(void)round_of(db, &r, 0, &wait);
	assert_true(r.pruned && r.pruned_ms == first);
	return 0;
}

static void what_was_rolled_back_is_done_again_soon(void **state)
{
	in_unit(*state, not_kept);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(after_having_been_away_hooked_projects_are_looked_at),
	    T(a_branch_is_looked_at_by_the_clock),
	    T(a_deploy_under_way_puts_the_look_off),
	    T(a_look_goes_for_the_branches_of_the_hooks),
	    T(a_few_at_a_time),
	    T(what_is_old_is_taken_away),
	    T(the_time_of_a_clock_that_was_ahead_is_not_waited_for),
	    T(many_that_are_old_go_one_after_the_other),
	    T(what_was_rolled_back_is_done_again_soon),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
