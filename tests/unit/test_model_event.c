/* rooms: base crypto text store model */
#include "model/event.h"

#include "model/hook.h"
#include "model_fixture.h"

UNIT(hooks)
{
	struct model_hooks l;
	struct model_hook h, dup = {.name = STR("shop"), .sender = STR("github")};
	int64_t p = fixture_project(db, "shop", e), q = fixture_project(db, "blog", e), id;

	CHECK((id = fixture_hook(db, "shop", p, e)) > 0);
	dup.project_id = q;
	CHECK(model_hook_add(db, &dup, &id, e) == -1 && e->code == ERR_CONFLICT);
	CHECK(fixture_hook(db, "blog", q, e) > 0);
	CHECK(model_hook_get(db, a, STR("shop"), MODEL_EVERYTHING, &h, e) == 1 && !h.secret.p &&
	      str_eq_c(h.project, "shop"));
	CHECK(model_hook_find(db, a, STR("shop"), &h, e) == 1 &&
	      str_eq(h.secret, STR("sealed\0bytes")) && !h.paused);
	CHECK(model_hook_rotate(db, h.id, STR("new"), 0, e) == 1 &&
	      model_hook_update(db, h.id, STR("main"), STR_NONE, STR_NONE, e) == 1);
	CHECK(model_hook_set_paused(db, h.id, true, e) == 1);
	CHECK(model_hook_find(db, a, STR("shop"), &h, e) == 1 && str_eq_c(h.secret, "new") &&
	      h.paused);
	CHECK(str_eq_c(h.sender, "github") && str_eq_c(h.branch, "main"));
	CHECK(model_hook_list(db, a, 0, (struct model_page){.limit = 1}, MODEL_EVERYTHING, &l, e) ==
	      0);
	CHECK(l.n == 1 && l.more && str_eq_c(l.v[0].name, "blog"));
	CHECK(model_hook_list(db, a, p, (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) ==
		  0 &&
	      l.n == 1);
	CHECK(model_hook_names(db, a, 0, (struct model_page){.limit = 1}, &l, e) == 0 && l.n == 1 &&
	      l.more);
	CHECK(l.v[0].id == h.id && str_eq_c(l.v[0].name, "shop"));
	CHECK(model_hook_names(
		  db, a, 0, (struct model_page){.after = l.v[0].id, .limit = 9}, &l, e) == 0);
	CHECK(l.n == 1 && !l.more && str_eq_c(l.v[0].name, "blog"));
	CHECK(model_hook_names(db, a, p, (struct model_page){.limit = 9}, &l, e) == 0 && l.n == 1 &&
	      l.v[0].id == h.id && l.v[0].project_id == p);
	CHECK(model_hook_remove(db, h.id, e) == 1 && model_hook_remove(db, h.id, e) == 0);
	CHECK(model_hook_find(db, a, STR("shop"), &h, e) == 0);
	return 0;
}
TEST_OF(hooks)

static struct model_event push(int64_t hook, const char *key)
{
	return (struct model_event){.hook_id = hook,
	    .delivery_key = str_c(key),
	    .received_ms = 50,
	    .kind = STR("push"),
	    .ref = STR("main"),
	    .before = STR("b0"),
	    .after = STR("a1"),
	    .body = STR("{\"x\":\0}")};
}

UNIT(repeats)
{
	struct model_event ev, r;
	int64_t p = fixture_project(db, "shop", e), hook = fixture_hook(db, "shop", p, e),
		other = fixture_hook(db, "shop2", p, e), first, again;
	static const enum model_outcome known[] = {MODEL_OUTCOME_WAITING, MODEL_OUTCOME_SERVED,
	    MODEL_OUTCOME_UPTODATE, MODEL_OUTCOME_SUPERSEDED};
	struct str body;

	ev = push(hook, "d1");
	CHECK(model_event_add(db, &ev, &first, e) == 1);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		CHECK(model_event_set(db, first, known[i], 0, e) == 0);
		again = 0;
		CHECK(model_event_add(db, &ev, &again, e) == 0 && again == first);
	}
	CHECK(model_event_set(db, first, MODEL_OUTCOME_FAILED, 12, e) == 0);
	ev.after = STR("a2");
	CHECK(model_event_add(db, &ev, &again, e) == 1 && again == first);
	CHECK(model_event_get(db, a, first, MODEL_EVERYTHING, &r, e) == 1);
	CHECK(r.attempt == 2 && r.outcome == MODEL_OUTCOME_WAITING && r.task_id == 0 &&
	      str_eq_c(r.after, "a2"));
	CHECK(str_eq_c(r.hook, "shop") && r.project_id == p && !r.body.p);
	CHECK(model_event_add(db, &ev, &again, e) == 0);
	/* What was ignored is tried where something follows now. */
	CHECK(model_event_set(db, first, MODEL_OUTCOME_IGNORED, 0, e) == 0);
	ev.outcome = MODEL_OUTCOME_IGNORED;
	CHECK(model_event_add(db, &ev, &again, e) == 0 && again == first);
	ev.outcome = MODEL_OUTCOME_WAITING;
	CHECK(model_event_add(db, &ev, &again, e) == 1 && again == first);
	CHECK(model_event_add(db, &ev, &again, e) == 0);
	/* The key belongs to the hook. */
	ev = push(other, "d1");
	CHECK(model_event_add(db, &ev, &again, e) == 1 && again != first);
	ev = push(999, "d1");
	CHECK(model_event_add(db, &ev, &again, e) == -1 && e->code == ERR_NOT_FOUND);
	CHECK(model_event_body(db, a, first, MODEL_EVERYTHING, &body, e) == 1 &&
	      str_eq(body, STR("{\"x\":\0}")));
	return 0;
}
TEST_OF(repeats)

/* Whoever takes a hook or a project away lets others in between. */
UNIT(many_go_in_portions)
{
	int64_t p = fixture_project(db, "one", e), other = fixture_project(db, "two", e), id;
	struct model_event ev = push(fixture_hook(db, "one", p, e), "was"), kept;
	char key[16];

	kept = push(fixture_hook(db, "two", other, e), "kept");
	kept.project_id = other;
	CHECK(model_event_add(db, &kept, &kept.id, e) == 1);
	ev.project_id = p;
	for (int i = 0; i < 2 * MODEL_EVENTS_AT_ONCE; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ev.delivery_key = str_c(key);
		CHECK(model_event_add(db, &ev, &id, e) == 1);
	}
	CHECK(model_event_forget(db, 0, ev.hook_id, e) == 1);
	CHECK(model_hook_remove(db, ev.hook_id, e) == -1 && e->code == ERR_UNAVAILABLE);
	CHECK(model_event_forget(db, p, 0, e) == 0);
	CHECK(model_project_remove(db, p, 9, e) == 1);
	CHECK(model_event_get(db, a, kept.id, MODEL_EVERYTHING, &kept, e) == 1);
	return 0;
}
TEST_OF(many_go_in_portions)

/* A hook's number is never another's; and where one was, in an older database, what was sent to the
 * hook that is gone is not the other project's. */
UNIT(numbers_do_not_come_again)
{
	int64_t p = fixture_project(db, "one", e), other = fixture_project(db, "two", e), id;
	struct model_event ev = push(fixture_hook(db, "one", p, e), "was");
	(void)a;
	ev.project_id = p;
	CHECK(model_event_add(db, &ev, &id, e) == 1);
	CHECK(model_hook_remove(db, ev.hook_id, e) == 1);
	int64_t second = fixture_hook(db, "two", other, e);
	CHECK(second > ev.hook_id);
	ev.hook_id = second;
	ev.delivery_key = STR("late");
	CHECK(model_event_add(db, &ev, &id, e) == -1 && e->code == ERR_NOT_FOUND);
	CHECK(model_event_owner(db, second, &id, e) == 1 && id == other);
	CHECK(model_event_owner(db, 999, &id, e) == 0);
	return 0;
}
TEST_OF(numbers_do_not_come_again)

UNIT(lists_and_retention)
{
	struct model_events l;
	struct model_event ev;
	int64_t p = fixture_project(db, "shop", e), q = fixture_project(db, "blog", e),
		hook = fixture_hook(db, "shop", p, e), other = fixture_hook(db, "blog", q, e),
		id = 0, n;
	char key[8];

	for (int i = 0; i < 6; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		ev = push(i % 2 ? hook : other, key);
		ev.received_ms = 10 + i;
		CHECK(model_event_add(db, &ev, &id, e) == 1);
	}
	CHECK(model_event_list(db, a, (struct model_event_filter){0},
		  (struct model_page){.limit = 4}, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 4 && l.more && l.v[0].id == id);
	CHECK(
	    model_event_list(db, a, (struct model_event_filter){0},
		(struct model_page){.after = l.v[3].id, .limit = 4}, MODEL_EVERYTHING, &l, e) == 0);
	CHECK(l.n == 2 && !l.more);
	CHECK(model_event_list(db, a, (struct model_event_filter){.project_id = p},
		  (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 3);
	CHECK(
	    model_event_list(db, a, (struct model_event_filter){.project_id = p, .hook_id = other},
		(struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	    l.n == 0);
	CHECK(model_event_set(db, id, MODEL_OUTCOME_WAITING, 5, e) == 0);
	CHECK(model_event_list(db, a, (struct model_event_filter){.task_id = 5},
		  (struct model_page){.limit = 9}, MODEL_EVERYTHING, &l, e) == 0 &&
	      l.n == 1);
	CHECK(model_event_orphans(db, a, 100, &l, e) == 0 && l.n == 5 && l.v[0].id == 1);
	CHECK(model_event_prune(db, 1000, 10, &n, e) == 0 && n == 0); /* what waits is not old */
	for (int i = 1; i <= 4; i++)
		CHECK(model_event_set(db, i, MODEL_OUTCOME_SERVED, 0, e) == 0);
	CHECK(model_event_prune(db, 1000, 3, &n, e) == 0 && n == 3);
	CHECK(model_event_prune(db, 12, 3, &n, e) == 0 && n == 0);
	CHECK(model_event_prune(db, 1000, 3, &n, e) == 0 && n == 1);
	return 0;
}
TEST_OF(lists_and_retention)

/* A body beyond the arena is an error, not a cut. */
UNIT(arena_full)
{
	static char big[300000];
	struct model_event ev;
	struct arena small;
	struct str body;
	int64_t id;
	int rc;

	memset(big, 'x', sizeof(big));
	ev = push(fixture_hook(db, "shop", fixture_project(db, "shop", e), e), "k");
	ev.body = (struct str){big, sizeof(big)};
	CHECK(model_event_add(db, &ev, &id, e) == 1);
	arena_init(&small, 100000);
	rc = model_event_body(db, &small, id, MODEL_EVERYTHING, &body, e);
	arena_fini(&small);
	CHECK(rc == -1 && e->code == ERR_TOO_LARGE);
	CHECK(
	    model_event_body(db, a, id, MODEL_EVERYTHING, &body, e) == 1 && body.n == sizeof(big));
	return 0;
}
TEST_OF(arena_full)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hooks),
	    cmocka_unit_test(test_numbers_do_not_come_again), cmocka_unit_test(test_repeats),
	    cmocka_unit_test(test_many_go_in_portions), cmocka_unit_test(test_lists_and_retention),
	    cmocka_unit_test(test_arena_full)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
