/* rooms: base loop text crypto store model launch outbound github */
/* What GitHub's answers mean, and which deliveries are asked for again. */
#include "github/answer.h"
#include "github/catchup.h"
#include "github/list.h"
#include "model/catchup.h"

#include "model_fixture.h"

#include "model/event.h"
#include "model/github.h"

static struct outbound_answer answered(unsigned status, const char *body)
{
	return (struct outbound_answer){
	    .outcome = OUTBOUND_ANSWERED, .status = status, .body = str_c(body)};
}

static void test_what_answers_mean(void **state)
{
	static const struct {
		unsigned status, retry_after_s;
		const char *headers;
		enum github_verdict verdict;
		int64_t wait_ms;
		const char *hint;
	} rows[] = {
	    {200, 0, "", GITHUB_OK, 0, ""},
	    {202, 0, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 60\n", GITHUB_OK, 0, ""},
	    {301, 0, "", GITHUB_NEVER, 0, "name of today"},
	    {401, 0, "", GITHUB_NEVER, 0, "--github-token-stdin"},
	    {403, 0, "", GITHUB_NEVER, 0, "admin:repo_hook"},
	    {404, 0, "", GITHUB_NEVER, 0, "admin:repo_hook"},
	    {422, 0, "", GITHUB_NEVER, 0, "number"},
	    {403, 7, "", GITHUB_LATER, 7000, ""},
	    {403, 0, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 60\n", GITHUB_LATER, 51000, ""},
	    {403, 0, "x-ratelimit-remaining: 1\nx-ratelimit-reset: 60\n", GITHUB_NEVER, 0,
		"admin:repo_hook"},
	    {429, 0, "", GITHUB_LATER, 0, ""},
	    {429, 90, "x-ratelimit-remaining: 0\nx-ratelimit-reset: 60\n", GITHUB_LATER, 90000, ""},
	    {429, 604800, "", GITHUB_LATER, GITHUB_WAIT_MAX_MS, ""},
	    {502, 0, "", GITHUB_LATER, 0, ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err e = {0};
		int64_t wait;
		struct outbound_answer a =
		    answered(rows[i].status, "{\"message\":\"No\\u001b[2J\"}");
		a.retry_after_s = rows[i].retry_after_s;
		a.headers = str_c(rows[i].headers);
		assert_int_equal(github_judge(&a, 10000, &wait, &e), rows[i].verdict);
		assert_int_equal(wait, rows[i].wait_ms);
		assert_non_null(strstr(e.hint, rows[i].hint));
		assert_true(rows[i].verdict == GITHUB_OK || strstr(e.msg, ": No [2J"));
	}
	struct err e;
	int64_t wait;
	struct outbound_answer a = {.outcome = OUTBOUND_BLOCKED, .text = STR("no")};
	assert_int_equal(github_judge(&a, 0, &wait, &e), GITHUB_NEVER);
	assert_non_null(strstr(e.hint, "--outbound-allow"));
	a.outcome = OUTBOUND_TIMED_OUT;
	assert_int_equal(github_judge(&a, 0, &wait, &e), GITHUB_LATER);
}

static void test_an_allowance_that_is_used_up(void **state)
{
	(void)state;
	struct outbound_answer a = answered(202, "");
	assert_int_equal(github_pause_ms(&a, 1000), 0);
	a.headers = STR("x-ratelimit-remaining: 12\nx-ratelimit-reset: 60\n");
	assert_int_equal(github_pause_ms(&a, 1000), 0);
	a.headers = STR("x-ratelimit-remaining: 0\nx-ratelimit-reset: 60\n");
	assert_int_equal(github_pause_ms(&a, 1000), 60000);
	assert_int_equal(github_pause_ms(&a, 99000), 1000); /* past already */
	a.headers = STR("x-ratelimit-remaining: 0\n");
	assert_int_equal(github_pause_ms(&a, 1000), 60000);
}

static void test_cursors(void **state)
{
	static const char *const rows[][2] = {
	    {"", ""},
	    {"<https://x/?cursor=v1_1>; rel=\"next\"", "v1_1"},
	    {"<https://x/?per_page=3&cursor=a%3D%3D&z=1>; rel=\"next\"", "a%3D%3D"},
	    {"<https://x/?cursor=a>; rel=\"first\", <https://x/?cursor=b>; rel=\"next\"", "b"},
	    {"<https://x/?cursor=a>; rel=\"prev\"", ""},
	    {"<https://x/?xcursor=a>; rel=\"next\"", ""},
	    {"<https://x/?cursor=a b>; rel=\"next\"", ""},
	    {"<https://x/?cursor=../a>; rel=\"next\"", ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_true(str_eq_c(github_next_cursor(str_c(rows[i][0])), rows[i][1]));
}

static void test_repositories(void **state)
{
	static const char *const good[] = {"anna/shop", "A-b/c_d.e", "a/.github"},
				 *const bad[] = {"", "anna", "/shop", "anna/", "a/b/c", "../b",
				     "a/..", "a/b?c", "a /b", "a/b\n", "a/%2e"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_null(github_repository_refuses(str_c(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_non_null(github_repository_refuses(str_c(bad[i])));
}

static void test_which_are_missed(void **state)
{
	static const struct {
		int64_t status;
		bool missed, refused;
	} rows[] = {{200, false, false}, {202, false, false}, {0, true, true}, {301, true, true},
	    {400, false, true}, {401, false, true}, {404, false, true}, {408, true, true},
	    {429, true, true}, {500, true, true}, {503, true, true}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct github_delivery d = {.status = rows[i].status};
		assert_int_equal(github_delivery_missed(&d, false), rows[i].missed);
		assert_int_equal(github_delivery_missed(&d, true), rows[i].refused);
	}
}

static void test_lists_that_cannot_be_true(void **state)
{
	static const char good[] = "{\"a\":[1],\"hooks\":[\"192.30.252.0/22\",\"2a0a:a440::/29\"]}";
	static const char *const bad[] = {"", "[]", "{}", "{\"hooks\":[]}", "{\"hooks\":{}}",
	    "{\"hooks\":[7]}", "{\"hooks\":\"192.30.252.0/22\"}", "{\"hooks\":[\"0.0.0.0/0\"]}",
	    "{\"hooks\":[\"192.30.252.0/22\",\"::/0\"]}", "{\"hooks\":[\"10.1.0.0/16\"]}",
	    "{\"hooks\":[\"127.0.0.1\"]}", "{\"hooks\":[\"64.0.0.0/8\"]}",
	    "{\"hooks\":[\"192.30.252.0/22\",\"2a00::/12\"]}", "{\"hooks\":[\"192.30.252.0/11\"]}",
	    "{\"hooks\":[\"192.30.252.1/22\"]}", "{\"hooks\":[\"2a0a:a440::/29\"]}",
	    "{\"hooks\":[\"192.30.252.0/22\",\"x\"]}", "{\"hooks\":[\"192.30.252.0/22\",\"\"]}",
	    "{\"hooks\":[\"192.30.252.0/22\"],\"web\":[\"1"};
	struct github_list l, again;
	struct cidr_address in, out;
	struct err e;
	struct buf b CLEANUP_BUF;
	(void)state;
	buf_init(&b, 4096);
	assert_true(cidr_address_parse(STR("192.30.253.9"), &in));
	assert_true(cidr_address_parse(STR("140.82.115.1"), &out)); /* in the built-in one */
	assert_int_equal(github_list_read(str_c(good), &l, &e), 0);
	assert_int_equal(l.n, 2);
	assert_true(github_list_holds(&l, &in) && !github_list_holds(&l, &out));
	assert_true(github_list_holds(NULL, &in) && github_list_holds(NULL, &out));
	github_list_write(&l, &b);
	assert_true(str_eq_c(buf_view(&b), "192.30.252.0/22 2a0a:a440::/29"));
	assert_int_equal(github_list_parse(buf_view(&b), &again, &e), 0);
	assert_memory_equal(&l, &again, sizeof(l));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(github_list_read(str_c(bad[i]), &l, &e), -1);
	/* every shorter beginning of a good one, and one that is too long */
	for (size_t n = 0; n + 1 < sizeof(good); n++)
		assert_int_equal(github_list_read((struct str){good, n}, &l, &e), -1);
	buf_clear(&b);
	buf_c(&b, "{\"hooks\":[\"192.30.252.0/22\"");
	for (size_t i = 0; i < GITHUB_LIST_MAX; i++)
		buf_c(&b, ",\"192.30.252.0/22\"");
	buf_c(&b, "]}");
	assert_false(b.full);
	assert_int_equal(github_list_read(buf_view(&b), &l, &e), -1);
	/* the built-in one is as a good answer would be */
	buf_clear(&b);
	github_list_write(&github_list_built_in, &b);
	assert_int_equal(github_list_parse(buf_view(&b), &l, &e), 0);
	assert_int_equal(l.n, github_list_built_in.n);
}

static int hook_add(struct store_db *db, const char *name, int64_t *ret, struct err *e)
{
	int64_t project = fixture_project(db, name, e);
	*ret = project < 0 ? -1 : fixture_hook(db, name, project, e);
	return *ret < 0 ? -1 : 0;
}

UNIT(gaps)
{
	int64_t hook = 0, next;
	struct model_catchup c = {0}, got;
	struct model_catchups due;
	CHECK(hook_add(db, "shop", &hook, e) == 0);
	c = (struct model_catchup){.hook_id = hook,
	    .api = STR("https://api.github.com"),
	    .repository = STR("anna/shop"),
	    .due_ms = 100,
	    .since_ms = 50};
	CHECK(model_catchup_get(db, a, hook, &got, e) == 0);
	CHECK(model_catchup_set(db, &c, e) == 0); /* no token yet */
	c.token = STR("sealed");
	CHECK(model_catchup_set(db, &c, e) == 1);
	c.token = STR_NONE;
	c.remote_id = 7;
	CHECK(model_catchup_set(db, &c, e) == 1); /* the token stays */
	CHECK(model_catchup_due(db, a, 99, 4, &due, &next, e) == 0 && due.n == 0 && next == 100);
	CHECK(model_catchup_due(db, a, 100, 4, &due, &next, e) == 0 && due.n == 1 && next == 0);
	got = due.v[0];
	CHECK(str_eq_c(got.token, "sealed") && got.remote_id == 7 && got.gap == 2);
	CHECK(str_eq_c(got.hook, "shop") && got.since_ms == 50);

	/* once in a gap, and never what has arrived */
	CHECK(model_catchup_claim(db, &got, STR("a"), 100, e) == 1);
	CHECK(model_catchup_claim(db, &got, STR("a"), 101, e) == 0);
	CHECK(model_catchup_claim(db, &got, STR("b"), 102, e) == 1);
	CHECK(model_catchup_unclaim(db, &got, STR("b"), e) == 0);
	CHECK(model_catchup_claim(db, &got, STR("b"), 103, e) == 1);
	got.due_ms = 0;
	got.ended_ms = 110;
	got.asked = got.found = 2;
	got.since_ms = 90;
	CHECK(model_catchup_ended(db, &got, 0, e) == 1);
	CHECK(model_catchup_due(db, a, 1000, 4, &due, &next, e) == 0 && due.n == 0 && next == 0);

	/* a new one, not sooner than a pause after the last; then once more */
	CHECK(model_catchup_begin_all(db, 112, 10, e) == 0);
	CHECK(model_catchup_get(db, a, hook, &got, e) == 1 && got.due_ms == 120 && got.gap == 3);
	CHECK(got.asked == 0 && got.since_ms == 90 && !got.token.p);
	CHECK(model_catchup_claim(db, &got, STR("a"), 121, e) == 1);
	CHECK(model_catchup_claim(db, &got, STR("a"), 121, e) == 0);
	/* somebody asks meanwhile: what ends then is no more the last word */
	CHECK(model_catchup_begin(db, hook, 60, true, 130, e) == 1);
	got.due_ms = 0;
	CHECK(model_catchup_ended(db, &got, 0, e) == 0);
	CHECK(model_catchup_get(db, a, hook, &got, e) == 1 && got.due_ms == 130 && got.refused);
	CHECK(got.since_ms == 60);
	/* a clock that was set back */
	CHECK(model_catchup_begin_all(db, 20, 10, e) == 0);
	CHECK(model_catchup_get(db, a, hook, &got, e) == 1 && got.due_ms == 20);
	/* claims of long ago go, and with the hook all of it */
	CHECK(model_catchup_ended(db, &got, 122, e) == 1);
	CHECK(model_hook_set_paused(db, hook, true, e) == 1);
	CHECK(model_catchup_begin_all(db, 500, 10, e) == 0);
	CHECK(model_catchup_get(db, a, hook, &got, e) == 1 && got.due_ms == 20);
	CHECK(model_hook_remove(db, hook, e) == 1);
	CHECK(model_catchup_get(db, a, hook, &got, e) == 0);
	CHECK(model_catchup_begin(db, hook, 0, false, 1, e) == 0);
	return 0;
}
TEST_OF(gaps)

UNIT(arrived)
{
	int64_t hook = 0;
	struct model_catchup c = {0};
	CHECK(hook_add(db, "came", &hook, e) == 0);
	c = (struct model_catchup){.hook_id = hook,
	    .api = STR("x"),
	    .repository = STR("a/b"),
	    .token = STR("t"),
	    .due_ms = 1};
	CHECK(model_catchup_set(db, &c, e) == 1);
	CHECK(model_catchup_get(db, a, hook, &c, e) == 1);
	const struct model_event ev = {.hook_id = hook,
	    .project_id = c.project_id,
	    .delivery_key = STR("here"),
	    .received_ms = 5,
	    .kind = STR("push"),
	    .ref = STR("main"),
	    .before = STR(""),
	    .after = STR("")};
	int64_t id;
	CHECK(model_event_add(db, &ev, &id, e) == 1);
	CHECK(model_catchup_claim(db, &c, STR("here"), 9, e) == 0);
	CHECK(model_catchup_claim(db, &c, STR("there"), 9, e) == 1);
	return 0;
}
TEST_OF(arrived)

UNIT(the_list)
{
	int64_t hook = 0;
	struct model_github g = {
	    .etag = STR("\"1\""), .ranges = STR("192.30.252.0/22"), .fetched_ms = 5, .due_ms = 9};
	CHECK(model_github_wanted(db, e) == 0 && hook_add(db, "narrow", &hook, e) == 0);
	CHECK(model_github_wanted(db, e) == 0);
	CHECK(model_hook_update(db, hook, STR_NONE, STR("{\"from\":[\"github\"]}"), STR_NONE, e) ==
	      1);
	CHECK(model_github_wanted(db, e) == 1);
	CHECK(model_hook_set_paused(db, hook, true, e) == 1 && model_github_wanted(db, e) == 0);
	CHECK(model_github_get(db, a, &g, e) == 0 && model_github_set(db, &g, e) == 0);
	g.etag = STR("\"2\"");
	g.error = STR("no");
	CHECK(model_github_set(db, &g, e) == 0 && model_github_get(db, a, &g, e) == 1);
	CHECK(str_eq_c(g.etag, "\"2\"") && str_eq_c(g.error, "no") && g.fetched_ms == 5);
	return 0;
}
TEST_OF(the_list)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_answers_mean),
	    cmocka_unit_test(test_an_allowance_that_is_used_up),
	    cmocka_unit_test(test_cursors),
	    cmocka_unit_test(test_repositories),
	    cmocka_unit_test(test_which_are_missed),
	    cmocka_unit_test(test_lists_that_cannot_be_true),
	    cmocka_unit_test(test_the_list),
	    cmocka_unit_test(test_gaps),
	    cmocka_unit_test(test_arrived),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
