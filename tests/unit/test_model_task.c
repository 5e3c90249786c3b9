/* rooms: base crypto text store model */
#include "model/task.h"

#include "base/clock.h"
#include "base/limits.h"
#include "model/action.h"
#include "model/event.h"
#include "model/hook.h"
#include "model/look.h"
#include "model/step.h"
#include "model_fixture.h"

static const struct str me = {"node/1", 6}, you = {"node/2", 6};

static int64_t add(struct store_db *db, int64_t project, enum model_task_kind kind, const char *ref,
    bool push, struct model_task_added *ret, struct err *e)
{
	struct model_task t = {.project_id = project,
	    .kind = kind,
	    .ref = str_c(ref),
	    .from_push = push,
	    .created_ms = 5,
	    .attempts_max = 2,
	    .requested_by = STR("anna")};

	return model_task_add(db, &t, ret, e) < 0 ? -1 : ret->id;
}

UNIT(folding)
{
	struct model_task t = {.kind = MODEL_TASK_DEPLOY,
			      .ref = STR("main"),
			      .from_push = true,
			      .due_ms = 100},
			  r;
	struct model_task_added x, y;

	t.project_id = fixture_project(db, "shop", e);
	t.head_commit = STR("c1");
	CHECK(model_task_add(db, &t, &x, e) == 0 && !x.folded);
	t.head_commit = STR("c2");
	t.before_commit = STR("c1");
	t.due_ms = 50;
	CHECK(model_task_add(db, &t, &y, e) == 0 && y.folded && y.id == x.id);
	CHECK(model_task_get(db, a, x.id, MODEL_EVERYTHING, &r, e) == 1);
	CHECK(str_eq_c(r.head_commit, "c2") && str_eq_c(r.before_commit, "c1") && r.due_ms == 50);
	CHECK(str_eq_c(r.input, "{}") && r.attempts_max == 1 && r.state == MODEL_TASK_WAITING);
	t.ref = STR("next");
	CHECK(model_task_add(db, &t, &y, e) == 0 && !y.folded);
	/* A person's deploy stands for itself. */
	CHECK(add(db, t.project_id, MODEL_TASK_DEPLOY, "main", false, &y, e) > 0 && !y.folded);
	/* One that runs takes nothing in any more. */
	CHECK(model_task_claim(db, a, me, 1000, 9, &r, e) == 1 && r.id == x.id);
	t.ref = STR("main");
	CHECK(model_task_add(db, &t, &y, e) == 0 && !y.folded && y.id != x.id);
	t.project_id = 77;
	CHECK(model_task_add(db, &t, &y, e) == -1 && e->code == ERR_NOT_FOUND);
	return 0;
}
TEST_OF(folding)

UNIT(claiming)
{
	struct model_task_added x;
	struct model_task r, dummy;
	int64_t p[3], id[3], due;

	CHECK(model_task_next_due(db, &due, e) == 0);
	for (int i = 0; i < 3; i++) {
		char name[8];

		snprintf(name, sizeof(name), "p%d", i);
		p[i] = fixture_project(db, name, e);
		id[i] = add(db, p[i], MODEL_TASK_DEPLOY, "main", true, &x, e);
		CHECK(id[i] > 0 && add(db, p[i], MODEL_TASK_RESTART, "", false, &x, e) > 0);
	}
	CHECK(model_task_next_due(db, &due, e) == 1 && due == 0);
	CHECK(model_task_claim(db, a, me, 10, 2, &r, e) == 1 && r.id == id[0]);
	CHECK(r.state == MODEL_TASK_RUNNING && r.attempt == 1 && r.lease_counter == 1 &&
	      r.started_ms == 10);
	CHECK(str_eq(r.lease_owner, me) && str_eq_c(r.project, "p0"));
	CHECK(model_task_claim(db, a, me, 10, 2, &dummy, e) == 1 &&
	      dummy.id == id[1]);				   /* not p0's second */
	CHECK(model_task_claim(db, a, me, 10, 2, &dummy, e) == 0); /* two at once */
	CHECK(model_task_claim(db, a, me, 10, 3, &dummy, e) == 1 && dummy.id == id[2]);
	CHECK(model_task_claim(db, a, me, 10, 9, &dummy, e) == 0); /* one of each project */
	CHECK(model_task_finish(db, &(struct model_lease){r.id, me, 1}, MODEL_TASK_DONE,
		  MODEL_OUTCOME_SERVED, STR("{\"release\":1}"), STR_NONE, 30, e) == 1);
	CHECK(model_task_claim(db, a, me, 40, 9, &dummy, e) == 1 &&
	      dummy.kind == MODEL_TASK_RESTART && dummy.project_id == p[0]);
	CHECK(model_task_get(db, a, r.id, MODEL_EVERYTHING, &r, e) == 1 && r.finished_ms == 30);
	CHECK(r.state == MODEL_TASK_DONE && str_eq_c(r.result, "{\"release\":1}"));
	return 0;
}
TEST_OF(claiming)

/* n projects, of each a task of that kind; the number of the first. */
static int64_t add_each(
    struct store_db *db, const char *of, int n, enum model_task_kind kind, struct err *e)
{
	struct model_task_added x;
	int64_t first = 0;

	for (int i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%s%d", of, i);
		if (add(db, fixture_project(db, name, e), kind, "", false, &x, e) < 0)
			return -1;
		first = first ? first : x.id;
	}
	return first;
}

static int claims(struct store_db *db, struct arena *a, int64_t max, int64_t ret[16], struct err *e)
{
	struct model_task r;
	int n = 0, rc = 1;

	for (; n < 16 && (rc = model_task_claim(db, a, me, 10, max, &r, e)) == 1; n++)
		ret[n] = r.id;
	return rc < 0 ? -1 : n;
}

/* What builds nothing does not wait behind others' builds, and only so many of it run beside them. */
UNIT(beside)
{
	struct model_task_added x;
	struct model_task r;
	int64_t got[16], builds = add_each(db, "build", 3, MODEL_TASK_DEPLOY, e);

	CHECK(builds > 0 && claims(db, a, 2, got, e) == 2);
	CHECK(add_each(db, "backup", 1, MODEL_TASK_BACKUP, e) > 0 && claims(db, a, 2, got, e) == 0);
	/* not before what its own project waits for */
	CHECK(model_task_get(db, a, builds + 2, MODEL_EVERYTHING, &r, e) == 1);
	int64_t own = add(db, r.project_id, MODEL_TASK_SCALE, "", false, &x, e);
	CHECK(own > 0 && claims(db, a, 2, got, e) == 0);
	int64_t restart = add_each(db, "restart", 6, MODEL_TASK_RESTART, e);
	CHECK(add(db, r.project_id, MODEL_TASK_ROLLBACK, "", false, &x, e) > 0);
	CHECK(claims(db, a, 2, got, e) == MODEL_TASK_BESIDE && got[0] == x.id);
	for (int i = 1; i < MODEL_TASK_BESIDE; i++)
		CHECK(got[i] == restart + i - 1);
	/* and what ends or replaces something not behind those either */
	int64_t stop = add_each(db, "stop", 6, MODEL_TASK_STOP, e);
	CHECK(claims(db, a, 2, got, e) == MODEL_TASK_BESIDE_DECISIVE - MODEL_TASK_BESIDE);
	for (int i = 0; i < MODEL_TASK_BESIDE_DECISIVE - MODEL_TASK_BESIDE; i++)
		CHECK(got[i] == stop + i);
	CHECK(store_script(db, "UPDATE task SET state = 'done' WHERE state = 'running'", e) == 0);
	CHECK(claims(db, a, 0, got, e) == MODEL_TASK_BESIDE && got[0] == stop + 4);
	CHECK(got[2] == own && got[3] == restart + 3);
	return 0;
}
TEST_OF(beside)

/* What is decisive goes first, ends waiting pushes and asks what runs to stop. */
UNIT(superseding)
{
	static const enum model_task_kind kinds[] = {
	    MODEL_TASK_ROLLBACK, MODEL_TASK_STOP, MODEL_TASK_DESTROY};
	struct model_task_added x;
	struct model_task r;
	struct model_event ev = {.kind = STR("push")};

	for (int i = 0; i < 3; i++) {
		char name[8];
		int64_t p, run, restart, waits, event, bystander;
		struct model_event seen;
		bool cancel;

		snprintf(name, sizeof(name), "p%d", i);
		p = fixture_project(db, name, e);
		ev.hook_id = fixture_hook(db, name, p, e);
		ev.delivery_key = str_c(name);
		run = add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e);
		CHECK(model_task_claim(db, a, me, 10, 99, &r, e) == 1 && r.id == run);
		restart = add(db, p, MODEL_TASK_RESTART, "", false, &x, e);
		waits = add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e);
		CHECK(model_event_add(db, &ev, &event, e) == 1);
		CHECK(model_event_set(db, event, MODEL_OUTCOME_WAITING, waits, e) == 0);
		ev.delivery_key = STR("bystander");
		CHECK(model_event_add(db, &ev, &bystander, e) == 1);
		CHECK(model_event_set(db, bystander, MODEL_OUTCOME_WAITING, run, e) == 0);
		CHECK(add(db, p, kinds[i], "", false, &x, e) > 0 && x.cancels == run);
		CHECK(x.superseded_count == (kinds[i] == MODEL_TASK_DESTROY ? 2 : 1));
		CHECK(model_task_get(db, a, waits, MODEL_EVERYTHING, &r, e) == 1 &&
		      r.state == MODEL_TASK_SUPERSEDED);
		CHECK(model_task_get(db, a, restart, MODEL_EVERYTHING, &r, e) == 1);
		CHECK(r.state == (kinds[i] == MODEL_TASK_DESTROY ? MODEL_TASK_SUPERSEDED
								 : MODEL_TASK_WAITING));
		CHECK(model_event_get(db, a, event, MODEL_EVERYTHING, &seen, e) == 1 &&
		      seen.outcome == MODEL_OUTCOME_SUPERSEDED);
		CHECK(model_event_get(db, a, bystander, MODEL_EVERYTHING, &seen, e) == 1 &&
		      seen.outcome == MODEL_OUTCOME_WAITING);
		CHECK(model_task_cancel_wanted(db, &(struct model_lease){run, me, 1}, &cancel, e) ==
			  1 &&
		      cancel);
		CHECK(model_task_finish(db, &(struct model_lease){run, me, 1}, MODEL_TASK_CANCELLED,
			  MODEL_OUTCOME_SUPERSEDED, STR_NONE, STR_NONE, 20, e) == 1);
		CHECK(model_event_get(db, a, bystander, MODEL_EVERYTHING, &seen, e) == 1 &&
		      seen.outcome == MODEL_OUTCOME_SUPERSEDED);
		/* Next, before the older restart. */
		CHECK(model_task_claim(db, a, me, 10, 99, &r, e) == 1 && r.id == x.id &&
		      r.kind == kinds[i]);
		CHECK(model_project_remove(db, p, 1, e) == 1);
	}
	return 0;
}
TEST_OF(superseding)

UNIT(fencing)
{
	struct model_task_added x;
	struct model_task r, taken;
	struct model_tasks l;
	struct model_lease old, new;
	bool dead, cancel;

	CHECK(add(db, fixture_project(db, "shop", e), MODEL_TASK_DEPLOY, "main", true, &x, e) > 0);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1);
	old = model_task_lease(&r);
	CHECK(model_task_renew(db, &old, e) == 1);
	CHECK(model_task_save(db, &old, STR("build"), STR("{\"n\":1}"), e) == 1);
	CHECK(model_task_running(db, a, &l, e) == 0 && l.n == 1 && l.v[0].lease_beat == 1);
	/* Its owner was alive in the meantime: not taken. */
	CHECK(model_task_take_over(db, a, &r, you, &taken, e) == 0);
	CHECK(model_task_take_over(db, a, &l.v[0], you, &taken, e) == 1);
	CHECK(taken.lease_counter == 2 && taken.attempt == 1 &&
	      str_eq_c(taken.progress, "{\"n\":1}"));
	CHECK(str_eq_c(taken.current_step, "build") && str_eq(taken.lease_owner, you));
	new = model_task_lease(&taken);
	/* Nothing that the old owner does has an effect. */
	CHECK(model_task_renew(db, &old, e) == 0);
	CHECK(model_task_save(db, &old, STR("x"), STR("y"), e) == 0);
	CHECK(model_task_set_head(db, &old, STR("evil"), e) == 0);
	CHECK(model_step_begin(db, &old, 1, STR("build"), 1, e) == 0);
	CHECK(model_task_cancel_wanted(db, &old, &cancel, e) == 0);
	CHECK(model_task_retry(db, &old, 1, STR(""), 1, &dead, e) == 0 && !dead);
	CHECK(model_task_finish(
		  db, &old, MODEL_TASK_DONE, MODEL_OUTCOME_SERVED, STR(""), STR(""), 1, e) == 0);
	CHECK(model_task_set_head(db, &new, STR("c0"), e) == 1);
	CHECK(model_task_finish(db, &new, MODEL_TASK_FAILED, MODEL_OUTCOME_FAILED, STR(""),
		  STR("{}"), 1, e) == 1);
	CHECK(model_task_finish(
		  db, &new, MODEL_TASK_DONE, MODEL_OUTCOME_SERVED, STR(""), STR(""), 1, e) == 0);
	CHECK(model_task_running(db, a, &l, e) == 0 && l.n == 0);
	return 0;
}
TEST_OF(fencing)

UNIT(retrying)
{
	struct model_task_added x;
	struct model_task r;
	struct model_lease lease;
	struct model_event ev = {.delivery_key = STR("k"), .kind = STR("push")}, seen;
	int64_t p = fixture_project(db, "shop", e), event, due;
	bool dead;

	ev.hook_id = fixture_hook(db, "shop", p, e);
	CHECK(add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e) > 0);
	CHECK(model_event_add(db, &ev, &event, e) == 1 &&
	      model_event_set(db, event, MODEL_OUTCOME_WAITING, x.id, e) == 0);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1);
	lease = model_task_lease(&r);
	CHECK(model_task_retry(db, &lease, 500, STR("{\"e\":1}"), 20, &dead, e) == 1 && !dead);
	CHECK(model_task_next_due(db, &due, e) == 1 && due == 500);
	CHECK(model_task_claim(db, a, me, 499, 9, &r, e) == 0);
	CHECK(model_task_claim(db, a, me, 500, 9, &r, e) == 1 && r.attempt == 2 &&
	      r.lease_counter == 2);
	CHECK(str_eq_c(r.error, "{\"e\":1}") && r.progress.n == 0);
	CHECK(model_task_retry(db, &lease, 500, STR(""), 20, &dead, e) ==
	      0); /* the lease of attempt 1 */
	lease = model_task_lease(&r);
	CHECK(model_event_get(db, a, event, MODEL_EVERYTHING, &seen, e) == 1 &&
	      seen.outcome == MODEL_OUTCOME_WAITING);
	CHECK(model_task_retry(db, &lease, 900, STR("{}"), 600, &dead, e) == 1 && dead);
	CHECK(model_task_get(db, a, x.id, MODEL_EVERYTHING, &r, e) == 1 &&
	      r.state == MODEL_TASK_DEAD && r.finished_ms == 600);
	CHECK(model_event_get(db, a, event, MODEL_EVERYTHING, &seen, e) == 1 &&
	      seen.outcome == MODEL_OUTCOME_FAILED);
	return 0;
}
TEST_OF(retrying)

UNIT(cancelling_and_listing)
{
	struct model_task_added x;
	struct model_task r;
	struct model_tasks l;
	enum model_task_state was;
	int64_t p = fixture_project(db, "shop", e), q = fixture_project(db, "blog", e), run, wait,
		n;
	int64_t counts[MODEL_TASK_STATE_COUNT];

	run = add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1);
	wait = add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e);
	CHECK(add(db, q, MODEL_TASK_SCALE, "", false, &x, e) > 0);
	CHECK(model_task_cancel(db, wait, MODEL_EVERYTHING, 50, &was, e) == 1 &&
	      was == MODEL_TASK_WAITING);
	CHECK(model_task_cancel(db, wait, MODEL_EVERYTHING, 50, &was, e) == 0);
	CHECK(model_task_cancel(db, run, MODEL_EVERYTHING, 50, &was, e) == 1 &&
	      was == MODEL_TASK_RUNNING);
	CHECK(model_task_get(db, a, run, MODEL_EVERYTHING, &r, e) == 1 && r.cancel_requested);
	CHECK(model_task_counts(db, counts, e) == 0);
	CHECK(counts[MODEL_TASK_WAITING] == 1 && counts[MODEL_TASK_RUNNING] == 1 &&
	      counts[MODEL_TASK_CANCELLED] == 1 && counts[MODEL_TASK_DEAD] == 0);
	CHECK(model_task_list(db, a, (struct model_task_filter){0}, (struct model_page){.limit = 2},
		  MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 2 && l.more && l.v[0].kind == MODEL_TASK_SCALE);
	CHECK(model_task_list(db, a, (struct model_task_filter){.project_id = p},
		  (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 2);
	CHECK(model_task_list(db, a,
		  (struct model_task_filter){
		      .project_id = p, .by_state = true, .state = MODEL_TASK_RUNNING},
		  (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 1 && l.v[0].id == run);
	CHECK(model_task_list(db, a,
		  (struct model_task_filter){.by_state = true, .state = MODEL_TASK_WAITING},
		  (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 1);
	CHECK(model_task_prune(db, 50, 9, &n, e) == 0 && n == 0);
	CHECK(model_task_prune(db, 51, 9, &n, e) == 0 && n == 1);
	return 0;
}
TEST_OF(cancelling_and_listing)

UNIT(steps)
{
	struct model_task_added x;
	struct model_task r;
	struct model_steps l;
	struct model_lease lease;
	struct model_branch_head h;
	int64_t p = fixture_project(db, "shop", e), n;
	bool dead;

	CHECK(add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e) > 0);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1);
	lease = model_task_lease(&r);
	CHECK(model_step_end(db, &lease, 1, MODEL_STEP_DONE, STR(""), 1, e) == 0); /* never begun */
	CHECK(model_step_begin(db, &lease, 1, STR("fetch"), 11, e) == 1);
	CHECK(model_step_end(db, &lease, 1, MODEL_STEP_DONE, STR("12 objects"), 15, e) == 1);
	CHECK(model_step_begin(db, &lease, 2, STR("build"), 16, e) == 1);
	CHECK(model_step_end(db, &lease, 2, MODEL_STEP_FAILED, STR("exit 1"), 20, e) == 1);
	CHECK(model_step_begin(db, &lease, 2, STR("build"), 21, e) == 1); /* once more */
	CHECK(model_task_get(db, a, x.id, MODEL_EVERYTHING, &r, e) == 1 &&
	      str_eq_c(r.current_step, "build"));
	CHECK(model_task_retry(db, &lease, 0, STR(""), 30, &dead, e) == 1);
	CHECK(model_task_claim(db, a, me, 40, 9, &r, e) == 1 && r.current_step.n == 0);
	lease = model_task_lease(&r);
	CHECK(model_step_begin(db, &lease, 1, STR("fetch"), 41, e) == 1);
	CHECK(model_step_list(db, a, x.id, MODEL_EVERYTHING, &l, e) == 0 && l.n == 3);
	CHECK(l.v[0].state == MODEL_STEP_DONE && str_eq_c(l.v[0].detail, "12 objects") &&
	      l.v[0].finished_ms == 15);
	CHECK(l.v[1].state == MODEL_STEP_RUNNING && l.v[1].started_ms == 21 &&
	      l.v[1].finished_ms == 0);
	CHECK(l.v[2].attempt == 2 && l.v[2].seq == 1);
	CHECK(model_branch_head_get(db, a, p, STR("main"), &h, e) == 0);
	h = (struct model_branch_head){.commit = STR("c1"), .ok = true, .task_id = x.id};
	CHECK(model_branch_head_set(db, p, STR("main"), &h, e) == 0);
	h.ok = false;
	CHECK(model_branch_head_set(db, p, STR("main"), &h, e) == 0);
	CHECK(model_branch_head_get(db, a, p, STR("main"), &h, e) == 1 && !h.ok &&
	      str_eq_c(h.commit, "c1"));
	CHECK(model_task_finish(
		  db, &lease, MODEL_TASK_DONE, MODEL_OUTCOME_SERVED, STR(""), STR(""), 50, e) == 1);
	CHECK(model_task_prune(db, 51, 9, &n, e) == 0 && n == 1);
	CHECK(model_step_list(db, a, x.id, MODEL_EVERYTHING, &l, e) == 0 && l.n == 0);
	return 0;
}
TEST_OF(steps)

static int64_t told(struct store_db *db, int64_t hook, const char *key, int64_t task, struct err *e)
{
	struct model_event ev = {.hook_id = hook,
	    .delivery_key = str_c(key),
	    .received_ms = 5,
	    .kind = STR("push"),
	    .ref = STR("main"),
	    .outcome = MODEL_OUTCOME_WAITING};
	int64_t id;

	return model_event_add(db, &ev, &id, e) <= 0 ||
		       (task > 0 && model_event_set(db, id, MODEL_OUTCOME_WAITING, task, e) < 0)
		   ? -1
		   : id;
}

/* A project without a branch: which pushes are of the remote's HEAD. */
UNIT(heads_of_the_remote)
{
	struct model_task_added x, y;
	int64_t p = fixture_project(db, "shop", e), plain = fixture_hook(db, "plain", p, e), own,
		acting, event;
	struct model_hook h = {
	    .name = STR("own"), .project_id = p, .sender = STR("github"), .branch = STR("main")};
	struct model_project_change c = {.source_ref = STR("main")};

	CHECK(model_hook_add(db, &h, &own, e) == 0);
	h.name = STR("acting");
	h.branch = STR("");
	h.actions = STR("[{\"type\":\"deploy\"}]");
	CHECK(model_hook_add(db, &h, &acting, e) == 0);
	CHECK(add(db, p, MODEL_TASK_DEPLOY, "main", false, &x, e) > 0);
	CHECK(model_branch_head_remote(db, x.id, e) == 0);
	CHECK(add(db, p, MODEL_TASK_DEPLOY, "main", true, &x, e) > 0);
	CHECK(told(db, own, "1", x.id, e) > 0 && model_branch_head_remote(db, x.id, e) == 0);
	CHECK(told(db, plain, "2", x.id, e) > 0 && model_branch_head_remote(db, x.id, e) == 1);
	CHECK(add(db, p, MODEL_TASK_DEPLOY, "other", true, &y, e) > 0);
	event = told(db, acting, "3", 0, e);
	CHECK(event > 0 &&
	      model_action_open(db, event, (struct model_action_of){.branch = true}, e) == 1);
	CHECK(model_branch_head_remote(db, y.id, e) == 0);
	struct model_actions acts;
	CHECK(model_action_ready(db, a, 9, &acts, e) == 0 && acts.n == 1 &&
	      model_action_begun(db, &acts.v[0], y.id, e) >= 0);
	CHECK(model_branch_head_remote(db, y.id, e) == 1);
	CHECK(model_project_update(db, p, 0, &c, e) == 1);
	CHECK(model_branch_head_remote(db, x.id, e) == 0);
	return 0;
}
TEST_OF(heads_of_the_remote)

/* The index itself, whoever writes. */
UNIT(two_running)
{
	struct model_task_added x;
	int64_t p = fixture_project(db, "shop", e);

	(void)a;
	CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) > 0 &&
	      add(db, p, MODEL_TASK_START, "", false, &x, e) > 0);
	CHECK(store_script(db, "UPDATE task SET state = 'running'", e) == -1 &&
	      e->code == ERR_CONFLICT);
	return 0;
}
TEST_OF(two_running)

/* n more that wait, as copies of one, each that many numbers behind the one before. */
static int wait_more(struct store_db *db, int64_t n, int64_t apart, struct err *e)
{
	struct store_stmt *q = store_prepare(db,
	    "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < $n)"
	    " INSERT INTO task(id, project_id, kind, state, ref, head_commit, before_commit,"
	    " from_push, priority, attempts_max, due_ms, created_ms, requested_by, input)"
	    " SELECT id + i * $apart, project_id, kind, state, ref, head_commit, before_commit,"
	    " from_push, priority, attempts_max, due_ms, created_ms, requested_by, input"
	    " FROM c, (SELECT * FROM task ORDER BY id DESC LIMIT 1) AS last",
	    e);

	if (!q)
		return -1;
	store_bind_i64(q, "$n", n);
	store_bind_i64(q, "$apart", apart);
	return store_exec(q, e);
}

/* The shortest of five times that one is claimed and ended. */
static int64_t claiming_us(struct store_db *db, struct arena *a, struct err *e)
{
	struct model_task r;
	int64_t best = INT64_MAX, due;

	for (int i = 0; i < 5; i++) {
		int64_t began = clock_mono_us();

		if (model_task_claim(db, a, me, 10, 9, &r, e) != 1 ||
		    model_task_next_due(db, &due, e) != 1)
			return -1;
		int64_t took = clock_mono_us() - began;
		best = took < best ? took : best;
		struct model_lease l = model_task_lease(&r);
		if (model_task_finish(db, &l, MODEL_TASK_DONE, MODEL_OUTCOME_SERVED, STR("{}"),
			STR("{}"), 11, e) != 1)
			return -1;
	}
	return best;
}

UNIT(claiming_of_many)
{
	struct model_task_added x;
	struct model_task r;
	int64_t p = fixture_project(db, "shop", e);

	for (int i = 0; i < 20; i++)
		CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) > 0);
	int64_t few_us = claiming_us(db, a, e);
	CHECK(few_us >= 0 && wait_more(db, 90000, 1, e) == 0);
	int64_t many_us = claiming_us(db, a, e);
	print_message("a claim: %d us; of 90,000: %d us\n", (int)few_us, (int)many_us);
	CHECK(many_us >= 0 && many_us < 5 * few_us + 1000);
	/* one of another project, behind all that wait for the one that runs */
	int64_t other = fixture_project(db, "other", e);
	CHECK(add(db, other, MODEL_TASK_RESTART, "", false, &x, e) > 0);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1 && r.project_id == p);
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 1 && r.id == x.id);
	int64_t began = clock_mono_us();
	CHECK(model_task_claim(db, a, me, 10, 9, &r, e) == 0);
	print_message("none of 90,000: %d us\n", (int)(clock_mono_us() - began));
	/* all of another kind than may begin beside those that run */
	CHECK(store_script(db, "UPDATE task SET kind = 'deploy' WHERE state = 'waiting'", e) == 0);
	int64_t beside_us = INT64_MAX;
	for (int i = 0; i < 5; i++) {
		began = clock_mono_us();
		CHECK(model_task_claim(db, a, me, 10, 1, &r, e) == 0);
		int64_t took = clock_mono_us() - began;
		beside_us = took < beside_us ? took : beside_us;
	}
	print_message("none of 90,000 beside: %d us\n", (int)beside_us);
	CHECK(beside_us < 5 * few_us + 1000);
	return 0;
}
TEST_OF(claiming_of_many)

/* The shortest of five times twenty. */
static int64_t adding_us(struct store_db *db, int64_t project, struct err *e)
{
	struct model_task_added x;
	int64_t best = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		int64_t began = clock_mono_us();

		for (int k = 0; k < 20; k++)
			if (add(db, project, MODEL_TASK_RESTART, "", false, &x, e) < 0)
				return -1;
		int64_t took = clock_mono_us() - began;
		best = took < best ? took : best;
	}
	return best;
}

UNIT(room)
{
	struct model_task_added x;
	int64_t p = fixture_project(db, "shop", e), few_us = adding_us(db, p, e), many_us;

	(void)a;
	CHECK(few_us >= 0 && wait_more(db, 90000, 1, e) == 0);
	many_us = adding_us(db, p, e);
	print_message("20 tasks: %d us; behind 90,000: %d us\n", (int)few_us, (int)many_us);
	CHECK(many_us >= 0 && many_us < 5 * few_us + 1000);
	/* exactly so many, with gaps or without */
	CHECK(wait_more(db, LIMIT_QUEUE_WAITING - 90200 - 1, 1, e) == 0);
	CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) > 0);
	CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) == -1 && e->code == ERR_UNAVAILABLE);
	CHECK(store_script(db, "DELETE FROM task WHERE id BETWEEN 50 AND 1049", e) == 0);
	CHECK(wait_more(db, 999, 1000, e) == 0);
	CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) > 0);
	CHECK(add(db, p, MODEL_TASK_RESTART, "", false, &x, e) == -1 && e->code == ERR_UNAVAILABLE);
	/* what ends others goes in all the same */
	CHECK(add(db, p, MODEL_TASK_STOP, "", false, &x, e) > 0);
	return 0;
}
TEST_OF(room)

/* The shortest of five times that one is added which ends what waits. */
static int64_t deciding_us(struct store_db *db, int64_t project, struct err *e)
{
	struct model_task_added x;
	int64_t best = INT64_MAX;

	for (int i = 0; i < 5; i++) {
		if (add(db, project, MODEL_TASK_DEPLOY, "main", true, &x, e) < 0)
			return -1;
		int64_t began = clock_mono_us();
		if (add(db, project, MODEL_TASK_ROLLBACK, "", false, &x, e) < 0 ||
		    x.superseded_count != 1)
			return -1;
		int64_t took = clock_mono_us() - began;
		best = took < best ? took : best;
	}
	return best;
}

UNIT(superseding_of_few_among_many)
{
	struct model_task_added x;
	int64_t p = fixture_project(db, "shop", e), other = fixture_project(db, "other", e);
	int64_t few_us = deciding_us(db, p, e);

	(void)a;
	CHECK(few_us >= 0 && add(db, other, MODEL_TASK_DEPLOY, "", false, &x, e) > 0);
	CHECK(wait_more(db, 90000, 1, e) == 0);
	int64_t many_us = deciding_us(db, p, e);
	print_message("a rollback: %d us; beside 90,000: %d us\n", (int)few_us, (int)many_us);
	CHECK(many_us >= 0 && many_us < 5 * few_us + 1000);
	return 0;
}
TEST_OF(superseding_of_few_among_many)

/* The shortest of five looks. */
static int64_t looking_us(struct store_db *db, struct arena *a, int64_t project, struct err *e)
{
	int64_t best = INT64_MAX;
	struct model_looks l;

	for (int i = 0; i < 5; i++) {
		if (model_look_every(db, project, 60000, 10, e) != 1)
			return -1;
		int64_t began = clock_mono_us();
		if (model_look_take(db, a, 10, 4, &l, e) < 0 || l.n != 1 || !l.v[0].worthwhile ||
		    model_look_forget(db, project, STR("{\"look\":true}"), e) < 0)
			return -1;
		int64_t took = clock_mono_us() - began;
		best = took < best ? took : best;
	}
	return best;
}

UNIT(looking_behind_many)
{
	struct model_task_added x;
	int64_t p = fixture_project(db, "shop", e), other = fixture_project(db, "other", e);
	CHECK(store_script(db, "UPDATE project SET desired_running = 1, source_type = 'git'", e) ==
	      0);
	int64_t few_us = looking_us(db, a, p, e);
	CHECK(few_us >= 0);
	/* that have ended, of its own and of another's */
	for (int i = 0; i < 2; i++) {
		CHECK(add(db, i ? other : p, MODEL_TASK_DEPLOY, "", false, &x, e) > 0);
		CHECK(wait_more(db, 50000, 1, e) == 0);
	}
	CHECK(store_script(db, "UPDATE task SET state = 'done', head_commit = 'c'", e) == 0);
	int64_t many_us = looking_us(db, a, p, e);
	print_message("a look: %d us; behind 100,000: %d us\n", (int)few_us, (int)many_us);
	CHECK(many_us >= 0 && many_us < 5 * few_us + 1000);
	return 0;
}
TEST_OF(looking_behind_many)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_folding),
	    cmocka_unit_test(test_claiming), cmocka_unit_test(test_beside),
	    cmocka_unit_test(test_superseding), cmocka_unit_test(test_fencing),
	    cmocka_unit_test(test_retrying), cmocka_unit_test(test_cancelling_and_listing),
	    cmocka_unit_test(test_steps), cmocka_unit_test(test_heads_of_the_remote),
	    cmocka_unit_test(test_two_running), cmocka_unit_test(test_room),
	    cmocka_unit_test(test_claiming_of_many),
	    cmocka_unit_test(test_superseding_of_few_among_many),
	    cmocka_unit_test(test_looking_behind_many)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
