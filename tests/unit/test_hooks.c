/* rooms: base loop crypto text store model http queue hooks */
/* Signed deliveries over a real server, store and queue: what each answer says, and what is stored
 * for it. */
#include "hooks_stored.h"

#include "base/io.h"
#include "hooks/recent.h"

#include <sys/resource.h>

/* Tests. */

static void test_accepts_once(void **state)
{
	(void)state;
	struct said first = push_signed("site", "d-1", "push", SECRET, MAIN);
	assert_int_equal(first.status, 202);
	assert_true(first.event > 0 && first.task > 0 && !first.repeated);
	assert_stored(1, 1);
	assert_string_equal(found.body, MAIN);
	assert_string_equal(found.key, "d-1");
	struct said again = push_signed("site", "d-1", "push", SECRET, MAIN);
	assert_int_equal(again.status, 200);
	assert_true(again.repeated && again.event == first.event);
	/* the same id with another body is a repeat all the same: the first one holds */
	again = push_signed("site", "d-1", "push", SECRET, "{\"ref\":\"refs/heads/x\"}");
	assert_int_equal(again.status, 200);
	assert_int_equal(again.event, first.event);
	assert_stored(1, 1);
	/* ids belong to their hook */
	struct said other = push_signed("any", "d-1", "push", "another secret",
	    "{\"ref\":\"refs/heads/main\",\"repository\":{\"default_branch\":\"main\"}}");
	assert_int_equal(other.status, 202);
	assert_int_not_equal(other.event, first.event);
	await(&hw.ran, 2);
}

static void test_refuses_bad_signatures(void **state)
{
	(void)state;
	char other[80], cut[80];
	(void)snprintf(other, sizeof other, "%s", sign("another secret", MAIN));
	(void)snprintf(cut, sizeof cut, "%.70s", sign(SECRET, MAIN));
	const char *const bad[] = {"", "sha256=", "sha1=", cut, other, "sha256",
	    /* under an empty secret */
	    "sha256=d3306bb8ea9767821166121fa861ce9e097de13327afe853ea21bf4302e13727",
	    "sha1=0a4d55a8d778e5022fab701977c5d840bbc486d0",
	    "sha256=0000000000000000000000000000000000000000000000000000000000000000",
	    "sha512=0000000000000000000000000000000000000000000000000000000000000000"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct client c;
		client_open(&c);
		send_push(&c, "site", "d", "push", bad[i], MAIN);
		assert_int_equal(answer(&c), 401);
		client_close(&c);
	}
	/* without the header, and with only GitHub's older one */
	assert_int_equal(ask_raw("site", "Content-Type: application/json\r\n", MAIN).status, 401);
	assert_int_equal(ask_raw("site",
			     "X-Hub-Signature: sha1=0a4d55a8d778e5022fab701977c5d840bbc486d0\r\n"
			     "Content-Type: application/json\r\n",
			     MAIN)
			     .status,
	    401);
	/* over the raw bytes: the same JSON with one blank is another body */
	struct client c;
	client_open(&c);
	send_push(&c, "site", "d", "push", sign(SECRET, MAIN), "{ \"ref\":\"refs/heads/main\"}");
	assert_int_equal(answer(&c), 401);
	client_close(&c);
	/* a paused hook is verified too, and a secret sealed for another place opens nothing */
	assert_int_equal(push_signed("quiet", "d", "push", "wrong", MAIN).status, 401);
	assert_int_equal(push_signed("moved", "d", "push", SECRET, MAIN).status, 404);
	assert_stored(0, 0);
}

static void test_refuses_the_unknown_and_malformed(void **state)
{
	(void)state;
	static const char *const bodies[] = {"", "{", "[]", "{\"after\":\"" COMMIT "\"}",
	    "{\"ref\":1}", "{\"ref\":\"refs/heads/../x\"}", "{\"ref\":\"refs/heads/-x\"}",
	    "{\"ref\":\"refs/heads/\"}", "{\"ref\":\"refs/heads/a\",\"ref\":\"refs/heads/b\"}",
	    "{\"ref\":\"refs/heads/main\",\"after\":\"HEAD\"}",
	    "{\"ref\":\"refs/heads/main\",\"before\":{}}"};
	assert_int_equal(push_signed("nobody", "d", "push", SECRET, MAIN).status, 404);
	assert_int_equal(push_signed("si%74e", "d-escaped", "ping", SECRET, "{}").status, 202);
	for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
		assert_int_equal(push_signed("site", "d", "push", SECRET, bodies[i]).status, 400);
	char key[140];
	memset(key, 'k', sizeof key - 1);
	key[129] = '\0';
	assert_int_equal(push_signed("site", key, "push", SECRET, MAIN).status, 400);
	assert_int_equal(push_signed("site", "a b", "push", SECRET, MAIN).status, 400);
	assert_int_equal(push_signed("site", "", "push", SECRET, MAIN).status, 400);
	assert_int_equal(push_signed("site", "d", "", SECRET, MAIN).status, 400);
	assert_stored(1, 0);
}

static void test_wants_json(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		int status;
	} rows[] = {{"", 415}, {"Content-Type: application/x-www-form-urlencoded\r\n", 400},
	    {"Content-Type: application/jsonp\r\n", 415}, {"Content-Type: text/json\r\n", 415},
	    {"Content-Type: Application/JSON ; charset=utf-8\r\n", 202}};
	char headers[400];
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		(void)snprintf(headers, sizeof headers,
		    "%sX-GitHub-Delivery: d\r\nX-GitHub-Event: ping\r\nX-Hub-Signature-256: %s\r\n",
		    rows[i].type, sign(SECRET, "{}"));
		assert_int_equal(ask_raw("site", headers, "{}").status, rows[i].status);
	}
	/* who is not known learns nothing about types */
	assert_int_equal(ask_raw("site", "Content-Type: text/plain\r\n", "{}").status, 401);
	struct client c;
	client_open(&c);
	say_c(&c, REQ("POST", "/hooks/site", "Content-Length: 99999999\r\n"));
	assert_int_equal(answer(&c), 413);
	client_close(&c);
}

static void test_stores_what_it_ignores(void **state)
{
	(void)state;
	static const struct {
		const char *hook, *event, *body, *note;
	} rows[] = {
	    {"site", "ping", "{}", "a ping"},
	    {"site", "issues", "{}", "not a push"},
	    {"site", "push", "{\"ref\":\"refs/heads/feature/x\"}", "another branch"},
	    {"site", "push", "{\"ref\":\"refs/tags/v1\"}", "not a branch"},
	    {"site", "push", "{\"ref\":\"refs/heads/main\",\"deleted\":true}",
		"the branch was deleted"},
	    {"site", "push",
		"{\"ref\":\"refs/heads/main\",\"after\":"
		"\"0000000000000000000000000000000000000000\"}",
		"the branch was deleted"},
	    {"quiet", "push", MAIN, "the hook is paused"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "ignored-%zu", i);
		struct said s = push_signed(rows[i].hook, id, rows[i].event, SECRET, rows[i].body);
		assert_int_equal(s.status, 202);
		assert_true(s.event > 0 && s.task == 0);
		assert_non_null(strstr(s.body, rows[i].note));
		assert_stored(i + 1, 0);
		assert_int_equal(found.outcome, MODEL_OUTCOME_IGNORED);
		s = push_signed(rows[i].hook, id, rows[i].event, SECRET, rows[i].body);
		assert_int_equal(s.status, 200);
	}
	assert_int_equal(atomic_load(&hw.ran), 0);
}

UNIT(follow_release)
{
	(void)a;
	struct model_project_change c = {.source_ref = STR("release")};
	CHECK(model_project_update(db, hw.project, 0, &c, e) == 1);
	return 0;
}

static void assert_note(const char *ref, const char *head, const char *note)
{
	static int count;
	char id[16], body[200];
	(void)snprintf(id, sizeof id, "d-%d", count++);
	(void)snprintf(body, sizeof body,
	    "{\"ref\":\"refs/heads/%s\",\"repository\":{\"name\":\"x\"%s%s%s}}", ref,
	    head ? ",\"default_branch\":\"" : "", head ? head : "", head ? "\"" : "");
	struct said s = push_signed("any", id, "push", "another secret", body);
	assert_int_equal(s.status, 202);
	assert_int_equal(strstr(s.body, "note") != NULL, note != NULL);
	if (note)
		assert_non_null(strstr(s.body, note));
}

/* A hook without a branch is for the project's, and that may be the one that the repository's HEAD
 * names. A feature branch never goes live because nobody said a branch. */
static void test_the_projects_branch(void **state)
{
	(void)state;
	assert_note("main", "main", NULL);
	assert_note("feature/x", "main", "another branch");
	assert_note("main", NULL, "neither the hook nor its project has a branch");
	fixture_run(hw.store, follow_release);
	hooks_project_changed(hw.hooks, hw.project);
	assert_note("release", "main", NULL);
	assert_note("release", NULL, NULL);
	assert_note("main", "main", "another branch");
	/* a hook's own branch goes before */
	assert_int_equal(push_signed("site", "own", "push", SECRET, MAIN).status, 202);
}

/* A push of several branches triggers by the one that the hook is for. */
static void test_several_branches_at_once(void **state)
{
	(void)state;
	static const char body[] = "{\"push\":{\"changes\":["
				   "{\"new\":{\"type\":\"branch\",\"name\":\"x\"}},"
				   "{\"new\":{\"type\":\"branch\",\"name\":\"main\"}}]}}";
	char headers[400];
	(void)snprintf(headers, sizeof headers,
	    "Content-Type: application/json\r\nX-Request-UUID: r\r\nX-Event-Key: repo:push\r\n"
	    "X-Hub-Signature: %s\r\n",
	    sign(SECRET, body));
	assert_int_equal(ask_raw("bits", headers, body).status, 202);
	assert_stored(1, 1);
}

static int64_t failed_event;

UNIT(fail_event)
{
	(void)a;
	CHECK(model_event_set(db, failed_event, MODEL_OUTCOME_FAILED, 0, e) >= 0);
	return 0;
}

static void test_repeat_of_a_failure_is_a_new_attempt(void **state)
{
	(void)state;
	struct said first = push_signed("site", "d-1", "push", SECRET, MAIN);
	await(&hw.ran, 1);
	failed_event = first.event;
	fixture_run(hw.store, fail_event);
	struct said again = push_signed("site", "d-1", "push", SECRET, MAIN);
	assert_int_equal(again.status, 202);
	assert_int_equal(again.event, first.event);
	assert_true(again.task > 0 && again.task != first.task);
	await(&hw.ran, 2);
	fixture_run(hw.store, look);
	assert_int_equal(found.attempt, 2);
	assert_int_equal(found.events, 1);
}

static void test_generic_sender(void **state)
{
	(void)state;
	struct said named = generic("X-Slipway-Delivery: x\r\nX-Slipway-Event: push\r\n", MAIN);
	assert_int_equal(named.status, 202);
	assert_true(named.task > 0);
	assert_int_equal(generic("X-Slipway-Delivery: x\r\n", MAIN).status, 200);
	assert_int_equal(generic("X-Slipway-Event: ping\r\n", "{\"n\":1}").status, 202);
	/* without an id the body is its own */
	struct said bare = generic("", "{\"ref\":\"refs/heads/main\",\"n\":2}");
	assert_int_equal(bare.status, 202);
	assert_int_equal(generic("", "{\"ref\":\"refs/heads/main\",\"n\":3}").status, 202);
	struct said again = generic("", "{\"ref\":\"refs/heads/main\",\"n\":2}");
	assert_true(again.status == 200 && again.event == bare.event);
	/* GitHub's header is not its signature */
	assert_int_equal(push_signed("gen", "d", "push", SECRET, MAIN).status, 401);
}

static int64_t age_event_ms, age_repeat_ms;

/* As if the newest event, and what was noted of repeats, had come so long ago. */
UNIT(make_older)
{
	int64_t now = clock_wall_ms();
	struct store_stmt *q = store_prepare(db, "UPDATE event SET received_ms = $at", e);
	(void)a;
	CHECK(q != NULL);
	store_bind_i64(q, "$at", now - age_event_ms);
	CHECK(store_exec(q, e) == 0);
	q = store_prepare(db, "UPDATE body_seen SET seen_ms = $at", e);
	CHECK(q != NULL);
	store_bind_i64(q, "$at", now - age_repeat_ms);
	CHECK(store_exec(q, e) == 0);
	return 0;
}

static atomic_bool opened_again;

static void open_again(void *ctx)
{
	struct err e;
	(void)ctx;
	hooks_close(hw.hooks);
	hw.hooks = hooks_open(
	    &(struct hooks_options){
		.loop = w.loop, .store = hw.store, .intake = hw.intake, .seal = hw.seal},
	    &e);
	atomic_store(&opened_again, true);
}

/* What the next life makes of a body whose first and last time were so long ago. */
static struct said after_restart(int64_t first_ms, int64_t last_ms)
{
	intake_settle(hw.intake, clock_mono_ms() + 30000);
	age_event_ms = first_ms;
	age_repeat_ms = last_ms;
	fixture_run(hw.store, make_older);
	atomic_store(&opened_again, false);
	loop_post(w.loop, open_again, NULL);
	while (!atomic_load(&opened_again))
		usleep(1000);
	assert_non_null(hw.hooks);
	return generic("", "{\"ref\":\"refs/heads/main\",\"n\":2}");
}

static void test_repeats_outlive_a_restart(void **state)
{
	(void)state;
	struct said first = generic("", "{\"ref\":\"refs/heads/main\",\"n\":2}");
	assert_int_equal(first.status, 202);
	/* only the first time is known */
	assert_int_equal(after_restart(RECENT_MS - 5000, 0).event, first.event);
	/* the delivery before was a repeat: it counts, as it did before the restart */
	struct said again = after_restart(3 * RECENT_MS, RECENT_MS - 5000);
	assert_true(again.status == 200 && again.event == first.event);
	again = after_restart(3 * RECENT_MS, RECENT_MS);
	assert_int_equal(again.status, 202);
	assert_int_not_equal(again.event, first.event);
}

static void limit_descriptors(void)
{
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &l), 0);
	l.rlim_cur = l.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

static void a_thousand_at_once(const char *hook, const char *id)
{
	enum { CONNECTIONS = 200, EACH = 5 };
	static struct client c[CONNECTIONS];
	char signature[80];
	int accepted = 0, repeated = 0;
	int64_t event = 0;
	limit_descriptors();
	(void)snprintf(signature, sizeof signature, "%s", sign(SECRET, MAIN));
	for (size_t i = 0; i < CONNECTIONS; i++)
		client_open(&c[i]);
	for (size_t i = 0; i < CONNECTIONS * EACH; i++)
		send_push(&c[i % CONNECTIONS], hook, id, "push", signature, MAIN);
	for (size_t i = 0; i < CONNECTIONS * EACH; i++) {
		struct said s = heard(&c[i % CONNECTIONS]);
		event = event != 0 ? event : s.event;
		assert_int_equal(s.event, event);
		assert_true(s.status == (s.repeated ? 200 : 202));
		accepted += !s.repeated;
		repeated += s.repeated;
	}
	for (size_t i = 0; i < CONNECTIONS; i++)
		client_close(&c[i]);
	assert_int_equal(accepted, 1);
	assert_int_equal(repeated, CONNECTIONS * EACH - 1);
	await(&hw.ran, 1);
	assert_stored(1, 1);
	usleep(50000);
	assert_int_equal(atomic_load(&hw.ran), 1);
}

/* S12: one id, a thousand times at once, over 200 connections. */
static void test_a_thousand_at_once(void **state)
{
	(void)state;
	a_thousand_at_once("site", "same");
}

UNIT(go_on)
{
	struct model_hook m;
	CHECK(model_hook_find(db, a, STR("quiet"), &m, e) == 1);
	return model_hook_set_paused(db, m.id, false, e) == 1 ? 0 : -1;
}

/* What came while its hook was paused follows when it is sent again, once however often that is. */
static void test_what_was_ignored_is_tried_again(void **state)
{
	(void)state;
	struct said first = push_signed("quiet", "same", "push", SECRET, MAIN);
	assert_int_equal(first.status, 202);
	assert_stored(1, 0);
	fixture_run(hw.store, go_on);
	hooks_changed(hw.hooks, STR("quiet"));
	a_thousand_at_once("quiet", "same");
	assert_int_equal(found.attempt, 2);
	struct said again = push_signed("quiet", "same", "push", SECRET, MAIN);
	assert_true(again.status == 200 && again.event == first.event);
}

UNIT(change_hooks)
{
	struct model_hook m;
	(void)a;
	CHECK(add_hook(db, "fresh", "github", "", "new", false, e) == 0);
	CHECK(model_hook_find(db, a, STR("any"), &m, e) == 1);
	CHECK(model_hook_remove(db, m.id, e) == 1);
	CHECK(model_hook_find(db, a, STR("site"), &m, e) == 1);
	CHECK(model_hook_set_paused(db, m.id, true, e) == 1);
	return 0;
}

static void test_changes_are_seen(void **state)
{
	(void)state;
	assert_int_equal(push_signed("fresh", "d", "ping", "new", "{}").status, 404);
	assert_int_equal(push_signed("any", "d", "ping", "another secret", "{}").status, 202);
	fixture_run(hw.store, change_hooks);
	for (int i = 0; i < 10; i++) {
		hooks_changed(hw.hooks, STR("fresh"));
		hooks_changed(hw.hooks, STR("any"));
		hooks_changed(hw.hooks, STR("site"));
		hooks_changed(hw.hooks, STR("never-made"));
	}
	/* what hooks_changed has returned from holds */
	int status = push_signed("fresh", "d", "ping", "new", "{}").status;
	assert_true(status == 202 || status == 200);
	assert_int_equal(push_signed("any", "d2", "ping", "another secret", "{}").status, 404);
	assert_int_equal(push_signed("site", "d2", "push", SECRET, MAIN).task, 0);
}

UNIT(add_vast)
{
	enum { VAST = 5 << 20 };
	char *text = malloc(VAST);
	struct model_hook h = {.project_id = hw.project,
	    .name = STR("vast"),
	    .sender = STR("github"),
	    .secret = STR("x"),
	    .actions = {text, VAST},
	    .created_ms = 1};
	int64_t id;
	(void)a;
	memset(text, ' ', VAST);
	int rc = model_hook_add(db, &h, &id, e);
	free(text);
	return rc;
}

/* Whatever one project's hook takes, the others' are there, now and after a restart. */
static void test_a_hook_that_does_not_fit(void **state)
{
	(void)state;
	fixture_run(hw.store, add_vast);
	hooks_changed(hw.hooks, STR("vast"));
	hooks_project_changed(hw.hooks, hw.project);
	assert_int_equal(push_signed("site", "d-1", "push", SECRET, MAIN).status, 202);
	atomic_store(&opened_again, false);
	loop_post(w.loop, open_again, NULL);
	while (!atomic_load(&opened_again))
		usleep(1000);
	assert_non_null(hw.hooks);
	assert_int_equal(push_signed("site", "d-2", "push", SECRET, MAIN).status, 202);
	assert_int_equal(push_signed("vast", "d-1", "push", SECRET, MAIN).status, 404);
}

/* With every reader taken a change cannot be read; it holds once there is one again. */
static void test_what_could_not_be_read_is_read_later(void **state)
{
	enum { READERS = 2 };
	struct store_db *taken[READERS];
	struct err e;
	bool paused = false;
	char id[16];
	(void)state;
	fixture_run(hw.store, change_hooks);
	for (int i = 0; i < READERS; i++)
		assert_non_null(taken[i] = store_read_begin(hw.store, clock_mono_ms() + 1000, &e));
	hooks_changed(hw.hooks, STR("site"));
	for (int i = 0; i < READERS; i++)
		store_read_end(hw.store, taken[i]);
	for (int i = 0; i < 100 && !paused; i++) {
		(void)snprintf(id, sizeof id, "later-%d", i);
		struct said s = push_signed("site", id, "push", SECRET, MAIN);
		assert_int_equal(s.status, 202);
		paused = strstr(s.body, "the hook is paused") != NULL;
		usleep(paused ? 0 : 50000);
	}
	assert_true(paused);
	/* and whatever else was changed meanwhile */
	assert_int_equal(push_signed("any", "d2", "ping", "another secret", "{}").status, 404);
	assert_int_equal(push_signed("fresh", "d2", "ping", "new", "{}").status, 202);
}

static int wait_at_gate(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx, (void)db, (void)e;
	pthread_mutex_lock(&hw.gate);
	pthread_mutex_unlock(&hw.gate);
	return 0;
}

static void passed_gate(void *ctx, int rc, const struct err *e)
{
	(void)rc, (void)e;
	atomic_fetch_add((atomic_int *)ctx, 1);
}

/* A store that cannot take more is 503, at once; nothing is acknowledged before it is stored. */
static void test_a_full_store_is_503(void **state)
{
	(void)state;
	enum { COUNT = 20, ROOM = 4 };
	struct client c[COUNT];
	struct err e;
	atomic_int passed = 0;
	int good = 0, refused = 0;
	assert_int_equal(begin_with(ROOM), 0);
	pthread_mutex_lock(&hw.gate);
	assert_int_equal(store_submit(hw.store, wait_at_gate, passed_gate, &passed, &e), 0);
	usleep(50000);
	for (size_t i = 0; i < COUNT; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "d-%zu", i);
		client_open(&c[i]);
		send_push(&c[i], "site", id, "ping", sign(SECRET, "{}"), "{}");
	}
	for (size_t i = 0; i < COUNT; i++)
		if (answer_for(&c[i], false, i == 0 ? 300 : 20) > 0) {
			assert_int_equal(c[i].status, 503);
			refused++;
		}
	assert_true(refused >= COUNT - ROOM && refused < COUNT);
	pthread_mutex_unlock(&hw.gate);
	for (size_t i = 0; i < COUNT; i++) {
		if (c[i].status != 503) {
			assert_int_equal(answer(&c[i]), 202);
			good++;
		}
		client_close(&c[i]);
	}
	assert_int_equal(good + refused, COUNT);
	assert_stored((size_t)good, 0);
	assert_int_equal(end(NULL), 0);
}

static _Atomic int64_t ahead_ms; /* of the clock */

static int64_t wall_ahead(void)
{
	return io_real.wall_ms() + ahead_ms;
}

UNIT(rotate_hook)
{
	CLEANUP_BUF struct buf sealed;
	char place[MODEL_PLACE_SIZE];
	struct model_hook m;
	CHECK(model_hook_find(db, a, STR("site"), &m, e) == 1);
	buf_init(&sealed, 4096);
	seal(hw.seal, model_place_hook(STR("site"), place), STR("its new secret"), &sealed);
	return model_hook_rotate(db, m.id, buf_view(&sealed), io_real.wall_ms() + 600000, e) == 1
		   ? 0
		   : -1;
}

/* A clock that was ahead while the table was read, and is set right. */
static void test_an_old_secret_whose_time_seemed_over(void **state)
{
	(void)state;
	ahead_ms = 3600000;
	fixture_run(hw.store, rotate_hook);
	hooks_changed(hw.hooks, STR("site"));
	assert_int_equal(push_signed("site", "d-1", "push", SECRET, MAIN).status, 401);
	assert_int_equal(push_signed("site", "d-2", "push", "its new secret", MAIN).status, 202);
	ahead_ms = 0;
	assert_int_equal(push_signed("site", "d-3", "push", SECRET, MAIN).status, 202);
}

#define HTTP_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	struct io io = io_real;
	io.wall_ms = wall_ahead;
	io_set(&io);
	log_open(LOG_LEVEL_COUNT, 2);
	const struct CMUnitTest tests[] = {
	    HTTP_TEST(test_accepts_once),
	    HTTP_TEST(test_refuses_bad_signatures),
	    HTTP_TEST(test_refuses_the_unknown_and_malformed),
	    HTTP_TEST(test_wants_json),
	    HTTP_TEST(test_stores_what_it_ignores),
	    HTTP_TEST(test_the_projects_branch),
	    HTTP_TEST(test_several_branches_at_once),
	    HTTP_TEST(test_repeat_of_a_failure_is_a_new_attempt),
	    HTTP_TEST(test_generic_sender),
	    HTTP_TEST(test_repeats_outlive_a_restart),
	    HTTP_TEST(test_a_thousand_at_once),
	    HTTP_TEST(test_what_was_ignored_is_tried_again),
	    HTTP_TEST(test_changes_are_seen),
	    HTTP_TEST(test_a_hook_that_does_not_fit),
	    HTTP_TEST(test_what_could_not_be_read_is_read_later),
	    HTTP_TEST(test_an_old_secret_whose_time_seemed_over),
	    cmocka_unit_test(test_a_full_store_is_503),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	/* The same contract with a journal before the store; a full one is test_intake's. */
	hw_journal = true;
	const size_t last = sizeof(tests) / sizeof(tests[0]) - 1;
	struct CMUnitTest again[sizeof(tests) / sizeof(tests[0]) - 1];
	memcpy(again, tests, last * sizeof(tests[0]));
	return failed + cmocka_run_group_tests_name("with a journal", again, NULL, NULL);
}
