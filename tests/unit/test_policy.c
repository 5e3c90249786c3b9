/* rooms: base loop crypto text store model http queue hooks */
/* What a hook takes: its settings, globs, files of a push, and how much. */
#include "model_fixture.h"

#include "hooks/policy.h"

static struct policy p;
static struct arena a;

static int parsed(const char *sender, const char *json)
{
	struct err e = {.code = ERR_NONE};
	CLEANUP_JSON json_t *o = json_read(str_c(json), &e);
	assert_non_null(o);
	int rc = policy_init(&p, o, sender_find(str_c(sender)), &e);
	assert_true(rc == 0 || (e.code == ERR_INVALID && e.msg[0] && e.pointer[0] == '/'));
	return rc;
}

static void test_settings_that_are_wrong(void **state)
{
	(void)state;
	static const char *const bad[] = {"{\"from\":[]}", "{\"from\":\"github\"}",
	    "{\"from\":[1]}", "{\"from\":[\"gitlab\"]}", "{\"from\":[\"10.0.0.1/8\"]}",
	    "{\"from\":[\"300.1.1.1\"]}", "{\"events\":[\"\"]}", "{\"events\":{}}",
	    "{\"paths\":[7]}", "{\"fields\":[]}", "{\"fields\":{\"a\":\"b\"}}",
	    "{\"fields\":{\"/a\":1}}", "{\"limit\":{}}", "{\"limit\":{\"per_minute\":0}}",
	    "{\"limit\":{\"per_minute\":60001}}", "{\"limit\":{\"per_minute\":1,\"burst\":0}}",
	    "{\"form\":[\"github\"]}"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parsed("github", bad[i]), -1);
	assert_int_equal(parsed("bitbucket", "{\"paths\":[\"*\"]}"), -1);
	assert_int_equal(parsed("particle", "{\"paths\":[\"*\"]}"), -1);
	static const char *const good[] = {"{}", "{\"from\":null,\"limit\":null}",
	    "{\"from\":[\"github\",\"2001:db8::/32\",\"203.0.113.7\"],\"events\":[\"push\"],"
	    "\"paths\":[\"src/**\"],\"fields\":{\"/a/b\":\"*\"},\"limit\":{\"per_minute\":20,"
	    "\"burst\":50}}"};
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(parsed("github", good[i]), 0);
		policy_fini(&p);
	}
}

static void test_addresses(void **state)
{
	(void)state;
	static const struct {
		const char *address;
		bool github, mine;
	} rows[] = {{"140.82.115.9", true, false}, {"192.30.252.1", true, false},
	    {"2a0a:a440::1", true, false}, {"::ffff:140.82.115.9", true, false},
	    {"140.82.128.1", false, false}, {"10.1.2.3", false, true}, {"10.2.2.3", false, false},
	    {"2001:db8:1::7", false, true}};
	struct policy mine;
	assert_int_equal(parsed("github", "{\"from\":[\"10.1.0.0/16\",\"2001:db8:1::/48\"]}"), 0);
	mine = p;
	assert_int_equal(parsed("github", "{\"from\":[\"github\"]}"), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct cidr_address at;
		assert_true(cidr_address_parse(str_c(rows[i].address), &at));
		assert_int_equal(policy_admits(&p, NULL, &at), rows[i].github);
		assert_int_equal(policy_admits(&mine, NULL, &at), rows[i].mine);
	}
	assert_false(policy_admits(&p, NULL, NULL));
	policy_fini(&p);
	policy_fini(&mine);
	assert_int_equal(parsed("github", "{}"), 0);
	assert_true(policy_admits(&p, NULL, NULL));
	policy_fini(&p);
}

/* The same by trying everything, for short texts. */
static bool slow_glob(struct str g, struct str t, bool slashes, bool fresh)
{
	if (g.n == 0)
		return t.n == 0;
	size_t stars = 0;
	while (stars < g.n && g.p[stars] == '*')
		stars++;
	if (stars > 0) {
		struct str rest = str_from(g, stars);
		if (slow_glob(rest, t, slashes, fresh))
			return true;
		if (slashes && stars > 1 && fresh && rest.n && rest.p[0] == '/' &&
		    slow_glob(str_from(rest, 1), t, slashes, fresh))
			return true;
		return t.n > 0 && (!slashes || stars > 1 || t.p[0] != '/') &&
		       slow_glob(g, str_from(t, 1), slashes, t.p[0] == '/');
	}
	if (t.n == 0 || (g.p[0] != t.p[0] && (g.p[0] != '?' || (slashes && t.p[0] == '/'))))
		return false;
	return slow_glob(str_from(g, 1), str_from(t, 1), slashes, t.p[0] == '/');
}

static void test_globs(void **state)
{
	(void)state;
	static const struct {
		const char *glob, *text;
		bool path, plain;
	} rows[] = {{"a", "a", true, true}, {"a", "ab", false, false}, {"", "", true, true},
	    {"*", "a/b", false, true}, {"**", "a/b", true, true}, {"*.c", "x.c", true, true},
	    {"*.c", "src/x.c", false, true}, {"src/**", "src/a/b.c", true, true},
	    {"src/**", "src", false, false}, {"src/**/x.c", "src/x.c", true, false},
	    {"src/**/x.c", "src/a/b/x.c", true, true}, {"src/**/x.c", "src/ax.c", false, false},
	    {"**/x", "x", true, false}, {"**/x", "a/x", true, true}, {"?", "/", false, true},
	    {"a?c", "abc", true, true}, {"***", "a/b/c", true, true}, {"a*", "a", true, true}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(
		    policy_glob(str_c(rows[i].glob), str_c(rows[i].text), true), rows[i].path);
		assert_int_equal(
		    policy_glob(str_c(rows[i].glob), str_c(rows[i].text), false), rows[i].plain);
	}
	srand(7);
	for (int i = 0; i < 200000; i++) {
		char glob[9], text[9];
		size_t g = (size_t)rand() % 8, t = (size_t)rand() % 8;
		for (size_t k = 0; k < g; k++)
			glob[k] = "ab/**?"[rand() % 6];
		for (size_t k = 0; k < t; k++)
			text[k] = "ab/"[rand() % 3];
		struct str gs = {glob, g}, ts = {text, t};
		bool slashes = rand() % 2;
		assert_int_equal(policy_glob(gs, ts, slashes), slow_glob(gs, ts, slashes, slashes));
	}
	/* what would take others for ever */
	char long_text[5000];
	memset(long_text, 'a', sizeof long_text);
	assert_false(policy_glob(STR("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b"),
	    (struct str){long_text, sizeof long_text}, false));
}

#define PUSH(more) "{\"ref\":\"refs/heads/main\"," more "}"
#define ONE(files) "{\"id\":\"1\"," files "}"
#define FILES(added, modified, removed)                                                            \
	"\"added\":[" added "],\"modified\":[" modified "],\"removed\":[" removed "]"

static const char *left_out(const char *kind, const char *before, const char *json)
{
	struct sender_event ev = {.kind = str_c(kind),
	    .before = str_c(before),
	    .json = str_c(json),
	    .push = strcmp(kind, "push") == 0};
	size_t steps = 0;
	return policy_leaves_out(&p, sender_find(STR("gitlab")), &ev, &steps, &a);
}

static void test_what_a_push_changed(void **state)
{
	(void)state;
	static const char zeros[] = "0000000000000000000000000000000000000000", was[] = "1234567";
	assert_int_equal(parsed("gitlab", "{\"paths\":[\"src/**\",\"*.md\"]}"), 0);
	static const struct {
		const char *json;
		bool taken;
	} rows[] = {
	    {PUSH("\"commits\":[" ONE(FILES("\"src/a/b.c\"", "", "")) "]"), true},
	    {PUSH("\"commits\":[" ONE(FILES("", "\"README.md\"", "")) "]"), true},
	    {PUSH("\"commits\":[" ONE(FILES("", "", "\"src/x\"")) "]"), true},
	    {PUSH("\"commits\":[" ONE(FILES("", "\"docs/a.md\",\"x\\\"y\"", "")) "]"), false},
	    {PUSH("\"commits\":[" ONE(FILES("", "\"docs/a\"", "")) "," ONE(
		 FILES("", "\"src/b\"", "")) "]"),
		true},
	    /* who does not say everything may have changed anything */
	    {PUSH("\"commits\":[]"), true},
	    {PUSH("\"x\":1"), true},
	    {PUSH("\"commits\":[{\"id\":\"1\"}]"), true},
	    {PUSH("\"commits\":[" ONE(FILES("\"docs/a\"", "", "")) "],\"total_commits_count\":2"),
		true},
	    {PUSH("\"commits\":[" ONE(FILES("\"docs/a\"", "", "")) "],\"total_commits_count\":1"),
		false},
	    {PUSH("\"commits\":[" ONE(FILES("\"docs/a\"", "", "")) "],\"total_commits\":5"), true},
	    {PUSH("\"commits\":[" ONE(FILES("\"docs/a\"", "", "")) "],\"forced\":true"), true},
	    {PUSH("\"commits\":[" ONE(FILES("\"docs/a\"", "", "")) "],\"created\":true"), true},
	};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(left_out("push", was, rows[i].json) == NULL, rows[i].taken);
		assert_null(left_out("push", zeros, rows[i].json));
		assert_null(left_out("note", "", rows[i].json));
	}
	policy_fini(&p);
}

static void test_events_and_fields(void **state)
{
	(void)state;
	assert_int_equal(
	    parsed("gitlab", "{\"events\":[\"push\",\"merge_*\"],\"fields\":{\"/project/name\":"
			     "\"sh?p\",\"/n\":\"5\",\"/on\":\"true\"}}"),
	    0);
	static const char good[] = "{\"project\":{\"name\":\"shop\"},\"n\":5,\"on\":true}";
	assert_null(left_out("push", "", good));
	assert_null(left_out("merge_request", "", good));
	assert_non_null(left_out("note", "", good));
	assert_non_null(
	    left_out("push", "", "{\"project\":{\"name\":\"shops\"},\"n\":5,\"on\":true}"));
	assert_non_null(left_out("push", "", "{\"project\":{\"name\":\"shop\"},\"on\":true}"));
	assert_non_null(left_out("push", "", "{}"));
	policy_fini(&p);
}

/* Everybody waits while a field is compared, so that has an end, also over all that one delivery says. */
static void test_long_fields(void **state)
{
	(void)state;
	enum { LONG = 4 << 20 };
	char *json = malloc(LONG + 64);
	assert_non_null(json);
	int head = snprintf(json, 64, "{\"n\":\"y\",\"a\":\"");
	memset(json + head, 'x', LONG);
	memcpy(json + head + LONG, "\"}", 3);
	struct sender_event ev = {.kind = STR("push"), .json = str_c(json)};
	size_t steps = 0;
	assert_int_equal(parsed("gitlab", "{\"fields\":{\"/n\":\"y\"}}"), 0);
	assert_null(policy_leaves_out(&p, sender_find(STR("gitlab")), &ev, &steps, &a));
	for (int i = 0; i < 1000; i++) /* a filter that costs nothing but its way there */
		(void)policy_leaves_out(&p, sender_find(STR("gitlab")), &ev, &steps, &a);
	assert_non_null(policy_leaves_out(&p, sender_find(STR("gitlab")), &ev, &steps, &a));
	policy_fini(&p);
	assert_int_equal(parsed("gitlab", "{\"fields\":{\"/a\":\"x*?*?*x\"}}"), 0);
	steps = 0;
	assert_string_equal(policy_leaves_out(&p, sender_find(STR("gitlab")), &ev, &steps, &a),
	    "its fields are too long to be compared");
	free(json);
	policy_fini(&p);
}

static void test_pace(void **state)
{
	(void)state;
	const struct pace pace = {.per_minute = 20, .burst = 50}, none = {0};
	int64_t s = 0, now = 1000000;
	for (int i = 0; i < 50; i++)
		assert_int_equal(pace_take(&pace, &s, now), 0);
	assert_int_equal(pace_take(&pace, &s, now), 3000);
	assert_int_equal(pace_take(&pace, &s, now + 2999), 1);
	assert_int_equal(pace_take(&pace, &s, now + 3000), 0);
	assert_true(pace_take(&pace, &s, now + 3000) > 0);
	int taken = 0;
	for (int64_t at = now + 3001; at < now + 3001 + 600000; at += 100)
		taken += pace_take(&pace, &s, at) == 0;
	assert_true(taken >= 199 && taken <= 200);
	s = 0;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pace_take(&none, &s, now), 0);
}

static int64_t refused_from(struct sources *s, const char *text, int64_t now)
{
	struct cidr_address at;
	assert_true(cidr_address_parse(str_c(text), &at));
	return sources_refuse(s, &at, now);
}

static struct buf told; /* "203.0.113.9/32 2\n…", in the order of a table */

static void tell(void *ctx, const struct cidr *from, uint32_t requests)
{
	char text[CIDR_TEXT_SIZE] = "forgotten";
	(void)ctx;
	if (from)
		cidr_text(from, text);
	buf_printf(&told, "%s %u\n", text, requests);
}

static const char *report(struct sources *s)
{
	buf_clear(&told);
	sources_report(s, tell, NULL);
	buf_char(&told, '\0');
	return told.p;
}

static void test_what_is_told_of_sources(void **state)
{
	(void)state;
	struct sources *s = sources_new();
	buf_init(&told, 1 << 20);
	assert_string_equal(report(s), "");
	for (int i = 0; i < 52; i++)
		(void)refused_from(s, "203.0.113.9", 1000);
	assert_string_equal(report(s), "203.0.113.9/32 2\n");
	assert_string_equal(report(s), "");
	for (int i = 0; i < 57; i++)
		(void)refused_from(s, i % 2 ? "2001:db8::1" : "2001:db8::2", 1000);
	assert_string_equal(report(s), "2001:db8::/64 7\n");
	(void)refused_from(s, "203.0.113.9", 1000);
	for (int i = 0; i < 200000; i++) { /* whoever is pushed out is told of all the same */
		struct cidr_address at = {.size = 4};
		memcpy(at.bytes, &i, 4);
		(void)sources_refuse(s, &at, 1000000 + i);
	}
	assert_string_equal(report(s), "forgotten 1\n");
	buf_fini(&told);
	sources_free(s);
}

static void test_sources(void **state)
{
	(void)state;
	struct sources *s = sources_new();
	for (int i = 0; i < 50; i++) {
		assert_int_equal(refused_from(s, "203.0.113.9", 1000), 0);
		char v6[64];
		(void)snprintf(v6, sizeof v6, "2001:db8::%x", i + 1);
		assert_int_equal(refused_from(s, v6, 1000), 0);
	}
	assert_true(refused_from(s, "203.0.113.9", 1000) > 0);
	assert_true(refused_from(s, "::ffff:203.0.113.9", 1000) > 0);
	assert_true(refused_from(s, "2001:db8::ffff", 1000) > 0); /* the same network */
	assert_int_equal(refused_from(s, "2001:db8:0:1::1", 1000), 0);
	assert_int_equal(refused_from(s, "203.0.113.10", 1000), 0);
	assert_int_equal(refused_from(s, "203.0.113.9", 1000 + 60000), 0);
	for (int i = 0; i < 100000; i++) { /* nothing grows, whoever comes */
		struct cidr_address at = {.size = 4};
		memcpy(at.bytes, &i, 4);
		(void)sources_refuse(s, &at, 2000 + i);
	}
	sources_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_settings_that_are_wrong),
	    cmocka_unit_test(test_addresses),
	    cmocka_unit_test(test_globs),
	    cmocka_unit_test(test_what_a_push_changed),
	    cmocka_unit_test(test_events_and_fields),
	    cmocka_unit_test(test_long_fields),
	    cmocka_unit_test(test_pace),
	    cmocka_unit_test(test_sources),
	    cmocka_unit_test(test_what_is_told_of_sources),
	};
	arena_init(&a, 1 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_fini(&a);
	return failed;
}
