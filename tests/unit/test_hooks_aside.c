/* rooms: base loop crypto text store model http queue hooks */
/* Deliveries that are looked at beside the loop: large ones, and those that their hook compares with globs. */
#include "hooks_stored.h"

#include "hooks/figures.h"

enum { LARGE = 600000 };
static atomic_int waiting;

static void wait_there(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&waiting, 1);
	pthread_mutex_lock(&hw.gate);
	pthread_mutex_unlock(&hw.gate);
}

static void fill(void *ctx)
{
	struct err e;
	(void)ctx;
	assert_int_equal(loop_compute(w.loop, wait_there, NULL, NULL, &e), 0);
}

/* Until hw.gate opens nothing is computed. */
static void hold_computing(void)
{
	atomic_store(&waiting, 0);
	pthread_mutex_lock(&hw.gate);
	loop_post(w.loop, fill, NULL);
	await(&waiting, 1);
}

static char *large_body(void)
{
	char *body = mem_alloc(LARGE + 1);
	memset(body, ' ', LARGE);
	memcpy(body, MAIN, strlen(MAIN));
	return body;
}

static void send_large(struct client *c, const char *hook, const char *id, const char *secret)
{
	char *body = large_body();
	client_open(c);
	send_push(c, hook, id, "push", sign(secret, body), body);
	free(body);
}

/* Whole bodies whose answers are due. */
static void await_due(int n)
{
	char want[64];
	bool there = false;
	(void)snprintf(want, sizeof want, "\nwebhook_active_connections %d\n", n);
	for (int i = 0; !there && i < 20000; i++) {
		CLEANUP_BUF struct buf b;
		buf_init(&b, 1 << 20);
		figures_write(&b);
		there = str_contains(buf_view(&b), str_c(want));
		usleep(500);
	}
	assert_true(there);
}

static void test_large_bodies_hold_nobody_up(void **state)
{
	(void)state;
	struct client good, wrong, nobody;
	hold_computing();
	send_large(&good, "site", "d-1", SECRET);
	send_large(&wrong, "site", "d-2", "wrong");
	send_large(&nobody, "nobody", "d-3", SECRET);
	await_due(3);
	assert_int_equal(push_signed("site", "d-4", "ping", SECRET, "{}").status, 202);
	assert_int_equal(push_signed("site", "d-5", "push", "wrong", MAIN).status, 401);
	assert_int_equal(answer_for(&good, false, 50), -1);
	assert_int_equal(answer_for(&wrong, false, 1), -1);
	assert_int_equal(answer_for(&nobody, false, 1), -1);
	pthread_mutex_unlock(&hw.gate);
	assert_int_equal(answer(&good), 202);
	assert_int_equal(answer(&wrong), 401);
	assert_int_equal(answer(&nobody), 404);
	client_close(&good);
	client_close(&wrong);
	client_close(&nobody);
	assert_stored(2, 1);
}

#define BY(who) "{\"ref\":\"refs/heads/main\",\"after\":\"" COMMIT "\",\"who\":\"" who "\"}"
static struct str hook_settings;

UNIT(give_settings)
{
	struct store_stmt *q =
	    store_prepare(db, "UPDATE hook SET settings = $settings WHERE name = 'site'", e);
	(void)a;
	CHECK(q != NULL);
	store_bind_text(q, "$settings", hook_settings);
	return store_exec(q, e);
}

static void settings_of_site(const char *json)
{
	hook_settings = str_c(json);
	fixture_run(hw.store, give_settings);
	hooks_changed(hw.hooks, STR("site"));
}

/* What a hook compares with its globs may take long, however small it is; what it compares with outlives the hook. */
static void test_comparing_holds_nobody_up(void **state)
{
	(void)state;
	struct client fits, other, changed;
	settings_of_site("{\"fields\":{\"/who\":\"a*\"}}");
	hold_computing();
	client_open(&fits);
	client_open(&other);
	client_open(&changed);
	send_push(&fits, "site", "d-1", "push", sign(SECRET, BY("anna")), BY("anna"));
	send_push(&other, "site", "d-2", "push", sign(SECRET, BY("bob")), BY("bob"));
	await_due(2);
	assert_int_equal(push_signed("any", "d-3", "ping", "another secret", "{}").status, 202);
	assert_int_equal(answer_for(&fits, false, 50), -1);
	pthread_mutex_unlock(&hw.gate);
	assert_int_equal(answer(&fits), 202);
	assert_false(str_contains(fits.body, STR("does not fit")));
	assert_int_equal(answer(&other), 202);
	assert_true(str_contains(other.body, STR("does not fit")));
	hold_computing();
	send_push(&changed, "site", "d-4", "push", sign(SECRET, BY("anna")), BY("anna"));
	await_due(1);
	settings_of_site("{\"fields\":{\"/who\":\"b*\"}}");
	pthread_mutex_unlock(&hw.gate);
	assert_int_equal(answer(&changed), 202);
	assert_true(str_contains(changed.body, STR("does not fit")));
	client_close(&fits);
	client_close(&other);
	client_close(&changed);
}

/* A form is decoded in its own place. */
static void test_forms_are_compared_too(void **state)
{
	(void)state;
	struct client c;
	static const char body[] =
	    "payload=%7B%22ref%22%3A%22refs%2Fheads%2Fmain%22%2C%22after%22%3A%22" COMMIT "%22%7D";
	char headers[400];
	settings_of_site("{\"fields\":{\"/ref\":\"refs/*\"}}");
	(void)snprintf(headers, sizeof headers,
	    "Content-Type: application/x-www-form-urlencoded\r\nX-GitHub-Delivery: d-1\r\n"
	    "X-GitHub-Event: push\r\nX-Hub-Signature-256: %s\r\n",
	    sign(SECRET, body));
	client_open(&c);
	send_raw(&c, "site", headers, body);
	assert_int_equal(answer(&c), 202);
	client_close(&c);
}

/* Their hashes, too, are made beside the loop. */
static void test_large_bodies_without_an_id(void **state)
{
	(void)state;
	char *body = large_body();
	struct said first = generic("", body);
	assert_int_equal(first.status, 202);
	struct said again = generic("", body);
	assert_true(again.status == 200 && again.event == first.event);
	body[LARGE - 1] = '\n';
	struct said other = generic("", body);
	assert_true(other.status == 202 && other.event != first.event);
	free(body);
}

UNIT(replace_hook)
{
	struct model_hook m;
	CHECK(model_hook_find(db, a, STR("site"), &m, e) == 1);
	CHECK(model_hook_remove(db, m.id, e) == 1);
	CHECK(add_hook(db, "site", "github", "main", "its new secret", false, e) == 0);
	CHECK(model_hook_find(db, a, STR("quiet"), &m, e) == 1);
	CLEANUP_BUF struct buf sealed;
	char place[MODEL_PLACE_SIZE];
	buf_init(&sealed, 4096);
	seal(hw.seal, model_place_hook(STR("quiet"), place), STR("another one"), &sealed);
	CHECK(model_hook_rotate(db, m.id, buf_view(&sealed), 0, e) == 1);
	CHECK(model_hook_find(db, a, STR("any"), &m, e) == 1);
	CHECK(model_hook_remove(db, m.id, e) == 1);
	return add_hook(db, "fresh", "github", "main", SECRET, false, e);
}

/* What was proven to a hook is nothing to another of its name, nor to itself with another secret; who is gone while his is
 * looked at harms nobody. */
static void test_large_bodies_and_changes(void **state)
{
	(void)state;
	struct client old, gone, early, leaves, rotated;
	hold_computing();
	send_large(&old, "site", "d-1", SECRET);
	send_large(&gone, "any", "d-1", "another secret");
	send_large(&early, "fresh", "d-1", "nobody's secret");
	send_large(&leaves, "gen", "d-1", SECRET);
	send_large(&rotated, "quiet", "d-1", SECRET);
	await_due(5);
	client_close(&leaves);
	fixture_run(hw.store, replace_hook);
	hooks_changed(hw.hooks, STR("site"));
	hooks_changed(hw.hooks, STR("any"));
	hooks_changed(hw.hooks, STR("fresh"));
	hooks_changed(hw.hooks, STR("quiet"));
	pthread_mutex_unlock(&hw.gate);
	assert_int_equal(answer(&old), 401);
	assert_int_equal(answer(&gone), 404);
	assert_int_equal(answer(&early), 401);
	assert_int_equal(answer(&rotated), 401);
	client_close(&rotated);
	client_close(&old);
	client_close(&gone);
	client_close(&early);
	send_large(&early, "site", "d-3", "its new secret");
	assert_int_equal(answer(&early), 202);
	client_close(&early);
	assert_stored(1, 1);
}

#define HTTP_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	log_open(LOG_LEVEL_COUNT, 2);
	const struct CMUnitTest tests[] = {
	    HTTP_TEST(test_large_bodies_hold_nobody_up),
	    HTTP_TEST(test_comparing_holds_nobody_up),
	    HTTP_TEST(test_forms_are_compared_too),
	    HTTP_TEST(test_large_bodies_without_an_id),
	    HTTP_TEST(test_large_bodies_and_changes),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	hw_journal = true;
	return failed + cmocka_run_group_tests_name("with a journal", tests, NULL, NULL);
}
