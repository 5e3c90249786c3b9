/* rooms: base loop text crypto store model launch outbound notify */
/* What people are told: words, patterns, the shape for each kind of channel, and news into
 * deliveries. */
#include "notify/deployment.h"
#include "notify/notify.h"
#include "notify/shape.h"
#include "notify/verdict.h"

#include "model/delivery.h"
#include "model/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct arena a;

static int set_up(void **state)
{
	(void)state;
	arena_init(&a, 4u << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	arena_fini(&a);
	return 0;
}

static json_t *written(const char *event, const struct message_field *fields, size_t n)
{
	struct err e = {0};
	struct buf b CLEANUP_BUF;
	buf_init(&b, 128u << 10);
	assert_int_equal(message_write(str_c(event), fields, n, 1614265330000, &b, &e), 0);
	json_t *o = json_read(buf_view(&b), &e);
	assert_non_null(o);
	return o;
}

static struct message message(const json_t *o)
{
	struct err e = {0};
	struct message m;
	assert_int_equal(message_read(o, &m, &e), 0);
	return m;
}

static void test_words(void **state)
{
	(void)state;
	const struct message_field all[] = {{"project", STR("shop")}, {"release", STR("14")},
	    {"ref", STR("main")}, {"short", STR("3f2c1ab")},
	    {"subject", STR("Fix {cart} [total]\nX: y")}, {"url", STR("https://shop.example")}};
	CLEANUP_JSON json_t *o = written("deploy.succeeded", all, 6);
	struct message m = message(o);
	assert_true(str_eq_c(m.title, "shop: release 14 is live"));
	assert_true(str_eq_c(m.text, "from main 3f2c1ab \"Fix {cart} [total]\nX: y\""));
	assert_true(str_eq_c(m.link, "https://shop.example"));
	assert_true(str_eq_c(m.level, "info"));
	assert_true(m.at_ms == 1614265330000);
	assert_true(str_eq_c(message_data(&m, "ref"), "main"));
	assert_true(message_data(&m, "author").n == 0);
}

static void test_titles_are_one_line(void **state)
{
	(void)state;
	const struct message_field f[] = {
	    {"project", STR("a\r\nBcc: x@y\x1b[1m")}, {"message", STR("m")}};
	CLEANUP_JSON json_t *o = written("deploy.failed", f, 2);
	struct message m = message(o);
	for (size_t i = 0; i < m.title.n; i++)
		assert_true((uint8_t)m.title.p[i] >= ' ');
	struct err e;
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1000);
	assert_int_equal(message_write(STR("no.such"), f, 1, 0, &b, &e), -1);
}

/* Every template's braces and brackets match, and every event is found again. */
static void test_the_table(void **state)
{
	(void)state;
	size_t n;
	const struct message_event *v = message_events(&n);
	assert_true(n >= 9);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(message_event_find(str_c(v[i].name)), &v[i]);
		const char *both[] = {v[i].title, v[i].text};
		for (size_t k = 0; k < 2; k++) {
			int brace = 0, bracket = 0;
			for (const char *p = both[k]; *p; p++) {
				brace += *p == '{' ? 1 : *p == '}' ? -1 : 0;
				bracket += *p == '[' ? 1 : *p == ']' ? -1 : 0;
				assert_true(
				    brace >= 0 && brace <= 1 && bracket >= 0 && bracket <= 1);
			}
			assert_true(brace == 0 && bracket == 0);
		}
		CLEANUP_JSON json_t *o = written(v[i].name, NULL, 0);
		(void)message(o);
	}
}

static void test_patterns(void **state)
{
	(void)state;
	struct err e;
	assert_true(message_wanted(STR("deploy.failed"), STR("deploy.failed")));
	assert_true(message_wanted(STR("rollback.failed deploy.*"), STR("deploy.failed")));
	assert_true(message_wanted(STR("*"), STR("deploy.failed")));
	assert_false(message_wanted(STR("deploy"), STR("deploy.failed")));
	assert_false(message_wanted(STR("deploy.*"), STR("deployment.x")));
	assert_false(message_wanted(STR(""), STR("deploy.failed")));
	assert_int_equal(message_patterns_check(STR("deploy.* test"), &e), 0);
	static const char *const bad[] = {
	    "", "deploy.*  test", "deploy.fail", "deploy.* ", "x.*", "**"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(message_patterns_check(str_c(bad[i]), &e), -1);
}

static struct outbound_request shaped(
    struct shape *s, enum model_channel_type type, const char *target, const char *secret)
{
	static struct model_channel c;
	struct outbound_request r;
	struct err e = {0};
	c = (struct model_channel){.type = type, .target = str_c(target), .name = STR("c")};
	s->channel = &c;
	s->secret = str_c(secret);
	if (shape_request(s, &a, &r, &e) != 0)
		fail_msg("%s", e.msg);
	return r;
}

static bool has_header(const struct outbound_request *r, const char *line)
{
	for (uint32_t i = 0; i < r->header_count; i++)
		if (str_eq_c(r->headers[i], line))
			return true;
	return false;
}

/* The vector that is published with the standard, over our own body. */
static void test_webhook(void **state)
{
	(void)state;
	const struct message_field f[] = {{"channel", STR("c")}};
	CLEANUP_JSON json_t *o = written("test", f, 1);
	struct message m = message(o);
	struct shape s = {
	    .message = &m, .stored = STR("{\"x\":1}"), .id = STR("msg_1"), .now_ms = 1614265330999};
	struct outbound_request r = shaped(&s, MODEL_CHANNEL_WEBHOOK, "https://example.org/in",
	    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
	assert_true(str_eq_c(r.body,
	    "{\"type\":\"test\",\"timestamp\":\"2021-02-25T15:02:10.000Z\",\"data\":{\"x\":1}}"));
	assert_true(has_header(&r, "webhook-id: msg_1"));
	assert_true(has_header(&r, "webhook-timestamp: 1614265330"));
	/* python3: base64(hmac_sha256(base64decode("MfKQ…"), b"msg_1.1614265330." + body)) */
	assert_true(
	    has_header(&r, "webhook-signature: v1,V/1RlotcWzx22oxdAV8w4MdyClB4NXheZiTiNiA3I54="));
	assert_int_equal(r.method, OUTBOUND_POST);
}

/* That member of what is sent holds this text. */
static void assert_says(struct str body, const char *member, const char *text)
{
	struct err e;
	CLEANUP_JSON json_t *o = json_read(body, &e);
	const char *said = json_string_value(json_object_get(o, member));
	if (!said || !strstr(said, text))
		fail_msg("%s: %s", member, said ? said : "absent");
}

static void test_chat(void **state)
{
	(void)state;
	const struct message_field f[] = {{"project", STR("shop")}, {"release", STR("2")},
	    {"subject", STR("<!channel> & @everyone")}};
	CLEANUP_JSON json_t *o = written("deploy.succeeded", f, 3);
	struct message m = message(o);
	struct shape s = {.message = &m, .id = STR("msg_1")};
	struct outbound_request r = shaped(&s, MODEL_CHANNEL_SLACK, "", "https://hooks.example/x");
	assert_true(str_eq_c(r.url, "https://hooks.example/x"));
	assert_true(str_contains(r.body, STR("&lt;!channel&gt; &amp; @everyone")));
	r = shaped(&s, MODEL_CHANNEL_DISCORD, "", "https://hooks.example/x");
	assert_true(str_contains(r.body, STR("\"allowed_mentions\":{\"parse\":[]}")));
	assert_says(r.body, "content", "<!channel> & @everyone");
	r = shaped(
	    &s, MODEL_CHANNEL_MATRIX, "https://matrix.example/!room:matrix.example", "syt_1");
	assert_true(str_eq_c(r.url, "https://matrix.example/_matrix/client/v3/rooms/"
				    "%21room%3Amatrix.example/send/m.room.message/msg_1"));
	assert_int_equal(r.method, OUTBOUND_PUT);
	assert_true(has_header(&r, "Authorization: Bearer syt_1"));
	assert_says(r.body, "msgtype", "m.text");
	assert_says(r.body, "body", "<!channel> & @everyone");
}

static void test_github(void **state)
{
	(void)state;
	static const char *const states[][2] = {{"deploy.started", "pending"},
	    {"deploy.succeeded", "success"}, {"deploy.failed", "failure"},
	    {"deploy.cancelled", "error"}};
	const struct message_field f[] = {
	    {"project", STR("shop")}, {"commit", STR("6dcb09b5b57875f334f61aebed695e2e4193db5e")}};
	for (size_t i = 0; i < 4; i++) {
		CLEANUP_JSON json_t *o = written(states[i][0], f, 2);
		struct err e = {0};
		struct message m = message(o);
		struct shape s = {.message = &m, .id = STR("msg_1")};
		struct outbound_request r =
		    shaped(&s, MODEL_CHANNEL_GITHUB, "https://api.github.com/repos/a/b", "t");
		assert_true(str_eq_c(r.url, "https://api.github.com/repos/a/b/statuses/"
					    "6dcb09b5b57875f334f61aebed695e2e4193db5e"));
		CLEANUP_JSON json_t *body = json_read(r.body, &e);
		assert_string_equal(
		    json_string_value(json_object_get(body, "state")), states[i][1]);
		assert_string_equal(
		    json_string_value(json_object_get(body, "context")), "slipway/shop");
		assert_true(shape_tells(MODEL_CHANNEL_GITHUB, str_c(states[i][0])));
	}
	assert_false(shape_tells(MODEL_CHANNEL_GITHUB, STR("rollback.failed")));
	/* A commit that is none never becomes part of an address. */
	const struct message_field bad[] = {{"project", STR("shop")}, {"commit", STR("../../x")}};
	CLEANUP_JSON json_t *o = written("deploy.failed", bad, 2);
	struct message m = message(o);
	struct err e;
	struct outbound_request r;
	const struct model_channel c = {
	    .type = MODEL_CHANNEL_GITHUB, .target = STR("https://api.github.com/repos/a/b")};
	const struct shape s = {.channel = &c, .message = &m, .id = STR("m")};
	assert_int_equal(shape_request(&s, &a, &r, &e), -1);
}

#define COMMIT "6dcb09b5b57875f334f61aebed695e2e4193db5e"

static void test_deployments(void **state)
{
	(void)state;
	static const char *const states[][2] = {{"deploy.started", "in_progress"},
	    {"deploy.succeeded", "success"}, {"deploy.failed", "failure"},
	    {"deploy.cancelled", "error"}, {"rollback.succeeded", "success"},
	    {"rollback.failed", "failure"}};
	const struct message_field f[] = {{"project", STR("shop")}, {"commit", STR(COMMIT)},
	    {"task", STR("12")}, {"url", STR("https://shop.example")}};
	const struct model_channel c = {
	    .type = MODEL_CHANNEL_GITHUB, .target = STR("https://api.github.com/repos/a/b")};
	struct deployment d;
	struct outbound_request r;
	struct err e = {0};
	for (size_t i = 0; i < 6; i++) {
		CLEANUP_JSON json_t *o = written(states[i][0], f, 4);
		struct message m = message(o);
		const struct shape s = {.channel = &c, .message = &m, .secret = STR("t")};
		assert_true(deployment_tells(str_c(states[i][0])));
		assert_int_equal(deployment_begin(&s, 9, &a, &d, &e), 0); /* known: one request */
		assert_int_equal(deployment_request(&d, &a, &r, &e), 0);
		assert_true(
		    str_eq_c(r.url, "https://api.github.com/repos/a/b/deployments/9/statuses"));
		assert_true(has_header(&r, "Authorization: Bearer t"));
		CLEANUP_JSON json_t *body = json_read(r.body, &e);
		assert_string_equal(
		    json_string_value(json_object_get(body, "state")), states[i][1]);
	}
	assert_false(deployment_tells(STR("check.started")));

	/* found by our name for it, else made, and only by 201 */
	static const char *const answers[][2] = {
	    {"[]", "{\"id\":7}"}, {"[{\"id\":7}]", NULL}, {"{}", NULL}, {"[]", "{}"}};
	for (size_t i = 0; i < 4; i++) {
		CLEANUP_JSON json_t *o = written("deploy.started", f, 4);
		struct message m = message(o);
		const struct shape s = {.channel = &c, .message = &m, .secret = STR("t")};
		assert_int_equal(deployment_begin(&s, 0, &a, &d, &e), 0);
		assert_int_equal(deployment_request(&d, &a, &r, &e), 0);
		assert_int_equal(r.method, OUTBOUND_GET);
		assert_true(
		    str_contains(r.url, STR("/deployments?sha=" COMMIT
					    "&task=deploy%3A12&environment=shop&per_page=1")));
		struct outbound_answer got = {.status = 200, .body = str_c(answers[i][0])};
		assert_int_equal(deployment_answered(&d, &got, &e), i == 2 ? -1 : 1);
		if (answers[i][1]) {
			assert_int_equal(deployment_request(&d, &a, &r, &e), 0);
			assert_true(str_contains(r.body, STR("\"auto_merge\":false")));
			got = (struct outbound_answer){.status = 202, .body = STR("{\"id\":7}")};
			assert_int_equal(deployment_answered(&d, &got, &e), -1);
			d.id = 0;
			d.stage = DEPLOYMENT_MAKE;
			got = (struct outbound_answer){.status = 201, .body = str_c(answers[i][1])};
			assert_int_equal(deployment_answered(&d, &got, &e), i == 3 ? -1 : 1);
		}
		if (i > 1)
			continue;
		assert_int_equal(d.id, 7);
		assert_int_equal(d.stage, DEPLOYMENT_STATE);
		assert_int_equal(deployment_answered(&d, &got, &e), 0);
	}
	const struct message_field bad[] = {{"project", STR("shop")}, {"commit", STR("../../x")}};
	CLEANUP_JSON json_t *o = written("deploy.failed", bad, 2);
	struct message m = message(o);
	const struct shape s = {.channel = &c, .message = &m};
	assert_int_equal(deployment_begin(&s, 0, &a, &d, &e), -1);
}

static void test_mail(void **state)
{
	(void)state;
	const struct message_field f[] = {
	    {"project", STR("købmand")}, {"message", STR("no\n.\nend")}};
	CLEANUP_JSON json_t *o = written("deploy.failed", f, 2);
	struct message m = message(o);
	const struct model_mail_server server = {.host = STR("::1"),
	    .port = 25,
	    .sender = STR("slipway@example.org"),
	    .tls = MODEL_MAIL_PLAIN};
	struct shape s = {.message = &m, .id = STR("msg_7"), .mail = &server};
	struct outbound_request r =
	    shaped(&s, MODEL_CHANNEL_MAIL, "anna@example.org bo@example.org", "");
	assert_true(str_eq_c(r.url, "smtp://[::1]:25"));
	assert_int_equal(r.to_count, 2);
	assert_int_equal(r.tls, OUTBOUND_TLS_NONE);
	assert_true(str_contains(r.body, STR("\r\nMessage-ID: <msg_7@example.org>\r\n")));
	assert_true(str_contains(
	    r.body, STR("\r\nSubject: =?UTF-8?B?a8O4Ym1hbmQ6IHRoZSBkZXBsb3kgZmFpbGVk?=\r\n")));
	assert_true(str_contains(r.body, STR("\r\nDate: Thu, 25 Feb 2021 15:02:10 +0000\r\n")));
	assert_false(str_contains(r.body, STR("\n.\n")));
	struct err e;
	s.mail = NULL;
	assert_int_equal(shape_request(&s, &a, &r, &e), -1);
	assert_int_equal(e.code, ERR_SETTINGS);
}

static void test_what_people_enter(void **state)
{
	(void)state;
	struct err e;
	static const struct {
		enum model_channel_type type;
		const char *target, *secret;
		bool good;
	} t[] = {
	    {MODEL_CHANNEL_MAIL, "a@b.example", "", true},
	    {MODEL_CHANNEL_MAIL, "a@b.example c@d.example", "", true},
	    {MODEL_CHANNEL_MAIL, "", "", false},
	    {MODEL_CHANNEL_MAIL, "a@b.example,c@d.example", "", false},
	    {MODEL_CHANNEL_MAIL, "a@b>\r\nX", "", false},
	    {MODEL_CHANNEL_MAIL, "nobody", "", false},
	    {MODEL_CHANNEL_WEBHOOK, "https://x.example/", "", true},
	    {MODEL_CHANNEL_WEBHOOK, "ftp://x.example/", "", false},
	    {MODEL_CHANNEL_WEBHOOK, "https://u:p@x.example/", "", false},
	    {MODEL_CHANNEL_WEBHOOK, "https://x.example/", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		true},
	    {MODEL_CHANNEL_WEBHOOK, "https://x.example/", "whsec_short", false},
	    {MODEL_CHANNEL_WEBHOOK, "https://x.example/", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		false},
	    {MODEL_CHANNEL_SLACK, "", "https://hooks.example/x", true},
	    {MODEL_CHANNEL_SLACK, "https://hooks.example/x", "", false},
	    {MODEL_CHANNEL_MATRIX, "https://m.example/!r:m.example", "tok", true},
	    {MODEL_CHANNEL_MATRIX, "https://m.example", "tok", false},
	    {MODEL_CHANNEL_MATRIX, "https://m.example/!r:m.example", "a b", false},
	    {MODEL_CHANNEL_GITHUB, "https://api.github.com/repos/a/b", "ghp", true},
	    {MODEL_CHANNEL_GITHUB, "https://api.github.com/repos/a/b", "", false},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		if ((shape_check(t[i].type, str_c(t[i].target), str_c(t[i].secret), &e) == 0) !=
		    t[i].good)
			fail_msg("row %zu", i);
	assert_int_equal(shape_check(MODEL_CHANNEL_MAIL, STR_NONE, STR_NONE, &e), -1);
	assert_string_equal(e.pointer, "/target");
	char secret[SHAPE_SECRET_SIZE];
	shape_secret_make(secret);
	assert_int_equal(
	    shape_check(MODEL_CHANNEL_WEBHOOK, STR("https://x.example/"), str_c(secret), &e), 0);
}

static void test_schedules(void **state)
{
	(void)state;
	struct notify_schedule s;
	struct err e;
	assert_int_equal(
	    notify_schedule_parse(STR("0s,5s,5m,30m,2h,5h,10h,14h,20h,24h"), &s, &e), 0);
	assert_int_equal(s.n, notify_schedule_default.n);
	assert_memory_equal(s.wait_ms, notify_schedule_default.wait_ms, s.n * sizeof(*s.wait_ms));
	assert_int_equal(notify_schedule_parse(STR(""), &s, &e), -1);
	assert_int_equal(notify_schedule_parse(STR("1s,x"), &s, &e), -1);
	assert_int_equal(notify_schedule_parse(STR("8d"), &s, &e), -1);
	assert_int_equal(notify_schedule_parse(
			     STR("1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s"), &s, &e),
	    -1);
}

static struct verdict verdict_on(
    bool mail, int64_t attempts, enum outbound_outcome outcome, unsigned status, uint32_t retry_s)
{
	struct verdict v;
	const struct verdict_of of = {.schedule = &notify_schedule_default,
	    .mail = mail,
	    .attempts = attempts,
	    .at_ms = 1000000};
	const struct outbound_answer answer = {
	    .outcome = outcome, .status = status, .retry_after_s = retry_s, .text = STR("so")};
	verdict_give(&of, &answer, &v);
	return v;
}

static void test_verdicts(void **state)
{
	(void)state;
	const enum outbound_outcome said = OUTBOUND_ANSWERED;
	for (unsigned status = 200; status < 300; status++)
		assert_int_equal(
		    verdict_on(false, 0, said, status, 0).state, MODEL_DELIVERY_DELIVERED);
	for (int i = 0; i < 1000; i++) {
		struct verdict v = verdict_on(false, 1, said, 500, 0);
		assert_int_equal(v.state, MODEL_DELIVERY_WAITING);
		assert_in_range(v.due_ms - 1000000, 270000, 330000); /* 5 min, a tenth around it */
	}
	assert_int_equal(verdict_on(false, 1, said, 429, 3600).due_ms, 1000000 + 3600000);
	assert_int_equal(verdict_on(false, 1, said, 429, 9999999).due_ms, 1000000 + 86400000);
	assert_int_equal(verdict_on(false, 9, said, 500, 0).state, MODEL_DELIVERY_FAILED);
	assert_int_equal(verdict_on(false, 0, said, 302, 0).state, MODEL_DELIVERY_WAITING);
	assert_string_equal(verdict_on(false, 0, said, 302, 0).why,
	    "the receiver answered 302: redirections are not followed");
	struct verdict gone = verdict_on(false, 0, said, 410, 0);
	assert_true(gone.gone && gone.state == MODEL_DELIVERY_FAILED);
	assert_int_equal(verdict_on(true, 0, said, 554, 0).state, MODEL_DELIVERY_FAILED);
	assert_int_equal(verdict_on(true, 0, said, 451, 0).state, MODEL_DELIVERY_WAITING);
	assert_false(verdict_on(true, 0, said, 410, 0).gone);
	assert_int_equal(verdict_on(false, 0, OUTBOUND_BLOCKED, 0, 0).state, MODEL_DELIVERY_FAILED);
	assert_int_equal(
	    verdict_on(false, 0, OUTBOUND_UNREACHABLE, 0, 0).state, MODEL_DELIVERY_WAITING);
	assert_string_equal(verdict_on(false, 0, OUTBOUND_BLOCKED, 0, 0).why, "blocked: so");
}

/* --- deliveries, in a store in memory --- */

enum { ALL, FAILURES, STATE, QUIET, CHANNELS };

static int add_channels(struct store_db *db, int64_t ids[CHANNELS], struct err *e)
{
	static const struct {
		const char *name, *events;
		enum model_channel_type type;
		bool paused;
	} channels[CHANNELS] = {[ALL] = {"all", "*", MODEL_CHANNEL_MAIL, false},
	    [FAILURES] = {"failures", "deploy.failed", MODEL_CHANNEL_MAIL, false},
	    [STATE] = {"state", "*", MODEL_CHANNEL_GITHUB, false},
	    [QUIET] = {"quiet", "*", MODEL_CHANNEL_MAIL, true}};
	for (size_t i = 0; i < CHANNELS; i++) {
		const struct model_channel c = {.name = str_c(channels[i].name),
		    .type = channels[i].type,
		    .target = STR("x"),
		    .events = str_c(channels[i].events),
		    .created_ms = 1};
		if (model_channel_add(db, &c, &ids[i], e) < 0 ||
		    model_channel_set_paused(db, ids[i], channels[i].paused, e) < 0)
			return -1;
	}
	return 0;
}

/* One of them is told twice. */
static int tell(struct store_db *db, struct err *e)
{
	const char *const told[][2] = {{"deploy.started", "task/1/start"},
	    {"deploy.started", "task/1/start"}, {"deploy.failed", "task/1/end"},
	    {"rollback.failed", "task/2/end"}};
	for (size_t i = 0; i < 4; i++) {
		const struct notify_news n = {.event = str_c(told[i][0]),
		    .key = str_c(told[i][1]),
		    .series = STR("commit/x"),
		    .now_ms = 100};
		if (notify_unit_publish(db, &n, e) != 0)
			return -1;
	}
	return 0;
}

static size_t listed(struct store_db *db, int64_t channel, struct err *e)
{
	struct model_deliveries list;
	const struct model_page page = {.limit = 10};
	assert_int_equal(model_delivery_list(db, &a, channel, page, &list, e), 0);
	return list.n;
}

static struct model_deliveries due(
    struct store_db *db, int64_t channel, int64_t now_ms, struct err *e)
{
	struct model_deliveries list;
	assert_int_equal(model_delivery_due(db, &a, channel, now_ms, 10, &list, e), 0);
	return list;
}

static size_t lanes(struct store_db *db, struct err *e)
{
	struct model_delivery_lanes found;
	assert_int_equal(model_delivery_lanes(db, &a, &found, e), 0);
	return found.n;
}

static void who_was_told(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	static const size_t want[CHANNELS] = {[ALL] = 3, [FAILURES] = 1, [STATE] = 2, [QUIET] = 0};
	for (size_t i = 0; i < CHANNELS; i++)
		assert_int_equal(listed(db, ids[i], e), want[i]);
	assert_int_equal(lanes(db, e), 3);
	assert_int_equal(due(db, ids[STATE], 99, e).n, 0);
	struct model_deliveries list = due(db, ids[STATE], 100, e);
	assert_int_equal(list.n, 2);
	/* pending, when failed is there */
	assert_int_equal(model_delivery_outdated(db, &list.v[0], e), 1);
	assert_int_equal(model_delivery_outdated(db, &list.v[1], e), 0);
}

/* Tried, tried again, given up; what ended is not tried again. */
static void tries(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	struct model_delivery_try t = {.delivery_id = due(db, ids[STATE], 100, e).v[1].id,
	    .at_ms = 200,
	    .status = 500,
	    .error = STR("no"),
	    .state = MODEL_DELIVERY_WAITING,
	    .due_ms = 300};
	struct model_delivery d;
	struct model_delivery_tries list;
	assert_int_equal(model_delivery_tried(db, &t, e), 1);
	t.state = MODEL_DELIVERY_FAILED;
	assert_int_equal(model_delivery_tried(db, &t, e), 1);
	assert_int_equal(model_delivery_tried(db, &t, e), 0);
	assert_int_equal(model_delivery_get(db, &a, ids[STATE], t.delivery_id, &d, e), 1);
	assert_int_equal(d.attempts, 2);
	assert_int_equal(d.state, MODEL_DELIVERY_FAILED);
	assert_int_equal(model_delivery_try_list(db, &a, d.id, &list, e), 0);
	assert_int_equal(list.n, 2);
	/* another's */
	assert_int_equal(model_delivery_get(db, &a, ids[ALL], t.delivery_id, &d, e), 0);
	/* Again, from the first try on. */
	assert_int_equal(model_delivery_replay(db, t.delivery_id, 400, e), 1);
	assert_int_equal(model_delivery_get(db, &a, ids[STATE], t.delivery_id, &d, e), 1);
	assert_int_equal(d.attempts, 0);
}

/* Beside the statuses; what GitHub calls it is found out once, and kept through later tries. */
static void deployments(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	struct model_delivery_try t = {.at_ms = 600,
	    .status = 502,
	    .error = STR("no"),
	    .state = MODEL_DELIVERY_WAITING,
	    .due_ms = 700,
	    .remote_id = 77};
	int64_t id = 0;
	struct notify_news n = {.event = STR("deploy.started"),
	    .key = STR("task/9/start"),
	    .series = STR("commit/y"),
	    .now_ms = 600};
	size_t before = listed(db, ids[STATE], e);
	assert_int_equal(model_channel_set_deployments(db, ids[STATE], true, e), 1);
	assert_int_equal(notify_unit_publish(db, &n, e), 0);
	assert_int_equal(listed(db, ids[STATE], e), before + 2);
	struct model_deliveries list = due(db, ids[STATE], 600, e);
	struct model_delivery d = list.v[list.n - 1];
	assert_true(str_eq_c(d.key, "deployment/task/9/start"));
	assert_true(str_eq_c(d.series, "deployment/task/9"));
	assert_int_equal(model_delivery_remote(db, &d, &id, e), 0);
	t.delivery_id = d.id;
	assert_int_equal(model_delivery_tried(db, &t, e), 1);
	t.remote_id = 0;
	assert_int_equal(model_delivery_tried(db, &t, e), 1);
	n.event = STR("deploy.succeeded");
	n.key = STR("task/9/end");
	assert_int_equal(notify_unit_publish(db, &n, e), 0);
	list = due(db, ids[STATE], 600, e);
	d = list.v[list.n - 1];
	assert_true(str_eq_c(d.key, "deployment/task/9/end"));
	assert_int_equal(model_delivery_remote(db, &d, &id, e), 1);
	assert_int_equal(id, 77);
}

/* Each address by itself, once. */
static void addresses(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	const struct notify_news n = {.event = STR("deploy.failed"), .key = STR("task/5/end"), .now_ms = 800};
	assert_int_equal(
	    model_channel_update(db, ids[FAILURES], STR("a@x.org b@x.org"), STR_NONE, STR_NONE, e), 1);
	size_t before = listed(db, ids[FAILURES], e);
	for (int i = 0; i < 2; i++)
		assert_int_equal(notify_unit_publish(db, &n, e), 0);
	assert_int_equal(listed(db, ids[FAILURES], e), before + 2);
	struct model_deliveries list = due(db, ids[FAILURES], 800, e);
	assert_true(str_eq_c(list.v[list.n - 2].recipient, "a@x.org"));
	assert_true(str_eq_c(list.v[list.n - 1].recipient, "b@x.org"));
}

/* What was made in a future that is none is due; what waits for its next try goes on waiting, unless no schedule waits so long. */
static void set_back(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	struct model_deliveries list = due(db, ids[FAILURES], 800, e);
	size_t all = list.n;
	struct model_delivery_try t = {.delivery_id = list.v[all - 1].id,
	    .at_ms = 800,
	    .error = STR("no"),
	    .state = MODEL_DELIVERY_WAITING,
	    .due_ms = 2000};
	assert_int_equal(model_delivery_tried(db, &t, e), 1);
	assert_int_equal(due(db, ids[FAILURES], 300, e).n, all - 2);
	assert_int_equal(model_delivery_set_back(db, 300, 5000, e), 0);
	assert_int_equal(due(db, ids[FAILURES], 300, e).n, all - 1);
	assert_int_equal(model_delivery_set_back(db, 300, 1999, e), 0);
	assert_int_equal(due(db, ids[FAILURES], 300, e).n, all);
}

static void receivers_go(struct store_db *db, const int64_t ids[CHANNELS], struct err *e)
{
	assert_int_equal(model_channel_disable(db, ids[STATE], STR("gone"), 500, e), 1);
	assert_int_equal(due(db, ids[STATE], 1000, e).n, 0);
	assert_int_equal(model_delivery_prune(db, 501, 1, e), 1);
	assert_true(model_delivery_prune(db, 501, 10, e) > 0);
	assert_int_equal(model_delivery_prune(db, 501, 10, e), 0);
	assert_int_equal(listed(db, ids[STATE], e), 0);
	assert_int_equal(model_channel_remove(db, ids[ALL], e), 1);
	assert_int_equal(lanes(db, e), 1);
}

static int publish_unit(void *ctx, struct store_db *db, struct err *e)
{
	int64_t ids[CHANNELS];
	(void)ctx;
	if (add_channels(db, ids, e) != 0 || tell(db, e) != 0)
		return -1;
	who_was_told(db, ids, e);
	tries(db, ids, e);
	deployments(db, ids, e);
	addresses(db, ids, e);
	set_back(db, ids, e);
	receivers_go(db, ids, e);
	return 0;
}

static void test_deliveries(void **state)
{
	(void)state;
	struct err e = {0};
	const struct store_options o = {.readers = 1};
	struct store *s = store_open(&o, &e);
	assert_non_null(s);
	assert_int_equal(model_migrate(s, &e), 0);
	if (store_write(s, publish_unit, NULL, &e) != 0)
		fail_msg("%s", e.msg);
	store_close(s);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_words), T(test_titles_are_one_line),
	    T(test_the_table), T(test_patterns), T(test_webhook), T(test_chat), T(test_github),
	    T(test_deployments), T(test_mail), T(test_what_people_enter), T(test_schedules),
	    T(test_verdicts), T(test_deliveries)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
