/* rooms: base loop text observe store model run http priv launch crypto */
#include "base/clock.h"
#include "base/fs.h"
#include "observe/feed.h"
#include "observe/logs.h"
#include "observe/requests.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

struct heard {
	unsigned count;
	uint64_t last;
	char text[64];
};

static void hear(void *ctx, uint64_t id, struct str event, struct str data)
{
	struct heard *h = ctx;
	(void)event;
	h->count++;
	h->last = id;
	snprintf(h->text, sizeof(h->text), "%.*s", STR_ARG(data));
}

static void test_feed_replays_then_follows(void **state)
{
	(void)state;
	struct loop *l = loop_new(1);
	struct feed *f = feed_new(l);
	for (int i = 1; i <= 300; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%d", i);
		feed_publish(f, STR("task/1"), STR("line"), str_c(text));
	}
	struct heard all = {0}, late = {0}, other = {0};
	struct feed_watch *w = feed_watch_new(f, STR("task/1"), 0, hear, &all);
	assert_int_equal(all.count, 256);
	struct feed_watch *w2 = feed_watch_new(f, STR("task/1"), 299, hear, &late);
	assert_int_equal(late.count, 1);
	assert_string_equal(late.text, "300");
	struct feed_watch *w3 = feed_watch_new(f, STR("task/2"), 0, hear, &other);
	feed_publish(f, STR("task/1"), STR("line"), STR("news"));
	assert_string_equal(all.text, "news");
	assert_int_equal(all.last, 301);
	assert_int_equal(other.count, 0);
	feed_watch_free(w);
	feed_publish(f, STR("task/1"), STR("line"), STR("more"));
	assert_string_equal(all.text, "news");
	assert_string_equal(late.text, "more");
	feed_forget(f, STR("task/1"));
	struct heard none = {0};
	struct feed_watch *w4 = feed_watch_new(f, STR("task/1"), 0, hear, &none);
	assert_int_equal(none.count, 0);
	feed_publish(f, STR("task/1"), STR("line"), STR("a new beginning"));
	assert_string_equal(none.text, "a new beginning");
	assert_int_equal(none.last, 303);
	feed_watch_free(w2);
	feed_watch_free(w3);
	feed_watch_free(w4);
	feed_free(f);
	loop_free(l);
}

static void test_logs_keep_order_and_cap(void **state)
{
	(void)state;
	char dir[] = "/tmp/slipway-logs-XXXXXX";
	assert_non_null(mkdtemp(dir));
	struct err e;
	struct loop *loop = loop_new(1);
	struct feed *f = feed_new(loop);
	struct logs *l = logs_open(dir, f, &e);
	assert_non_null(l);
	char text[200];
	for (int i = 0; i < 120000; i++) {
		snprintf(text, sizeof(text), "line %d %0150d", i, 0);
		logs_append(l, STR("shop"), 1 + (uint32_t)i / 60000,
		    i % 2 ? STR("web") : STR("worker"), 1, str_c(text));
	}
	logs_append(l, STR("shop"), 3, STR("web"), 2, STR("evil\033[2J\nnext"));
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 8 << 20);
	struct logs_line *v;
	size_t n;
	struct logs_query q = {.project = STR("shop"), .tail = 11};
	assert_int_equal(logs_read(l, &q, &a, &v, &n, &e), 0);
	assert_int_equal(n, 11);
	/* two processes in one millisecond may come in either order */
	assert_true(str_starts(v[9].text, STR("line 119999 ")) ||
		    str_starts(v[8].text, STR("line 119999 ")));
	assert_true(v[9].at_ms >= v[0].at_ms);
	assert_true(str_find(v[10].text, '\033', 0) == SIZE_MAX);
	assert_int_equal(v[10].instance, 2);
	q.release = 3;
	assert_int_equal(logs_read(l, &q, &a, &v, &n, &e), 0);
	assert_int_equal(n, 1);
	q = (struct logs_query){.project = STR("shop"),
	    .process = STR("worker"),
	    .tail = 2,
	    .contains = STR("line 119000 ")};
	assert_int_equal(logs_read(l, &q, &a, &v, &n, &e), 0);
	assert_int_equal(n, 1);
	q = (struct logs_query){.project = STR("../etc"), .tail = 2};
	assert_int_equal(logs_read(l, &q, &a, &v, &n, &e), -1);
	char path[128];
	snprintf(path, sizeof(path), "%s/shop/web.log.1", dir);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size < 9 << 20);
	assert_int_equal(logs_remove(l, STR("shop"), &e), 0);
	assert_int_equal(stat(path, &st), -1);
	logs_close(l);
	feed_free(f);
	loop_free(loop);
	assert_int_equal(fs_remove_tree(AT_FDCWD, dir, &e) == 0 || rmdir(dir) == 0, 1);
}

/* ---- requests ---- */

#define LINE_OF(uri, status, server)                                                               \
	"{\"time\":1764188.123,\"host\":\"shop.localhost\",\"method\":\"GET\",\"uri\":\"" uri      \
	"\",\"status\":" status ",\"bytes\":12,\"duration\":0.250,\"request_id\":\"0\","           \
	"\"remote\":\"127.0.0.1\",\"server\":\"" server                                            \
	"\",\"upstream_status\":\"\",\"upstream_duration\":\"\"}"

static void test_a_request_is_read(void **state)
{
	(void)state;
	struct str project;
	struct requests_sum s;
	assert_int_equal(
	    requests_read_line(STR(LINE_OF("/", "200", "shop.localhost")), &project, &s), 1);
	assert_true(str_eq_c(project, "shop"));
	assert_int_equal(s.count[2], 1);
	assert_int_equal(requests_all(&s), 1);
	assert_int_equal(s.bytes, 12);
	assert_int_equal(s.duration_us, 250000);
	assert_int_equal(s.last_ms, 1764188123);
	assert_int_equal(
	    requests_read_line(STR(LINE_OF("/", "499", "shop.localhost")), &project, &s), 1);
	assert_int_equal(s.count[0], 1);
	/* Apache's has milliseconds, and ends earlier */
	assert_int_equal(
	    requests_read_line(
		STR("{\"time\":1764188.123,\"host\":\"shop.localhost\",\"method\":\"GET\",\"uri\":"
		    "\"/\",\"status\":404,\"bytes\":12,\"duration_ms\":250,\"request_id\":\"0\","
		    "\"remote\":\"127.0.0.1\",\"server\":\"shop.localhost\"}"),
		&project, &s),
	    1);
	assert_int_equal(s.count[4], 1);
	assert_int_equal(s.duration_us, 250000);
	assert_int_equal(s.last_ms, 1764188123);
	/* what a visitor wrote decides nothing */
	assert_int_equal(requests_read_line(STR(LINE_OF("/\\\",\\\"status\\\":502,\\\"x\\\":\\\"",
						"200", "shop.localhost")),
			     &project, &s),
	    1);
	assert_int_equal(s.count[2], 1);
	/* of nobody's */
	assert_int_equal(
	    requests_read_line(STR(LINE_OF("/", "404", "paas.example.org")), &project, &s), 0);
	assert_int_equal(
	    requests_read_line(STR(LINE_OF("/", "404", "../x.localhost")), &project, &s), 0);
}

static void test_what_is_no_request(void **state)
{
	(void)state;
	static const char whole[] = LINE_OF("/a", "200", "shop.localhost");
	struct str project;
	struct requests_sum s;
	/* cut anywhere before the server's name is known */
	size_t known = (size_t)(strstr(whole, ",\"upstream_status") - whole);
	for (size_t n = 0; n < known; n++)
		assert_int_equal(requests_read_line((struct str){whole, n}, &project, &s), -1);
	static const char *const odd[] = {LINE_OF("/", "2x0", "shop.localhost"),
	    LINE_OF("/", "1000", "shop.localhost"), LINE_OF("/", "", "shop.localhost"),
	    "{\"time\":1.2,\"host\":\"", "[]", "{}", "{\"time\":-1.000,"};
	for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++)
		assert_int_equal(requests_read_line(str_c(odd[i]), &project, &s), -1);
}

static bool counted(struct requests *r, uint64_t want)
{
	struct requests_sum s;
	return requests_of(r, STR("shop"), &s) && requests_all(&s) >= want;
}

static void count_to(struct loop *l, struct requests *r, uint64_t want)
{
	struct requests_sum s;
	int64_t until_ms = clock_mono_ms() + 30000;
	while (!counted(r, want) && clock_mono_ms() < until_ms) {
		(void)uv_run(loop_uv(l), UV_RUN_NOWAIT);
		(void)usleep(2000);
	}
	assert_true(requests_of(r, STR("shop"), &s));
	assert_int_equal(requests_all(&s), want);
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* What stood there before is not counted; a line that comes in two pieces is one; a log that is
 * turned over is read to its end, also what is written to it later, and the next from its start. */
static void test_the_log_is_followed(void **state)
{
	(void)state;
	static const char line[] = LINE_OF("/", "200", "shop.localhost") "\n";
	char dir[] = "/tmp/slipway-requests-XXXXXX", log[64], kept[64];
	assert_non_null(mkdtemp(dir));
	snprintf(log, sizeof(log), "%s/access.log", dir);
	snprintf(kept, sizeof(kept), "%s/access.log.1", dir);
	int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	say(fd, line);
	struct loop *l = loop_new(1);
	struct requests *r = requests_open(l, log);
	struct requests_sum none;
	assert_false(requests_of(r, STR("shop"), &none));

	say(fd, line);
	assert_int_equal(write(fd, line, 40), 40);
	count_to(l, r, 1);
	say(fd, line + 40);
	count_to(l, r, 2);
	assert_int_equal(rename(log, kept), 0);
	int next = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	say(fd, line);
	count_to(l, r, 3);
	say(fd, line);
	count_to(l, r, 4);
	say(next, line);
	count_to(l, r, 5);
	struct buf page;
	buf_init(&page, 1 << 16);
	requests_write(r, true, &page);
	assert_true(str_contains(buf_view(&page),
	    STR("slipway_project_requests_total{project=\"shop\",status=\"2xx\"} 5\n")));
	buf_clear(&page);
	requests_write(r, false, &page);
	assert_true(str_contains(
	    buf_view(&page), STR("slipway_project_requests_total{status=\"2xx\"} 5\n")));
	assert_false(str_contains(buf_view(&page), STR("shop")));
	buf_clear(&page);
	requests_forget(r, STR("shop"));
	assert_false(requests_of(r, STR("shop"), &none));
	requests_write(r, false, &page);
	assert_true(str_contains(buf_view(&page), STR("slipway_edge_log_odd_total 0\n")));
	buf_fini(&page);

	close(fd);
	close(next);
	requests_close(r);
	loop_stop(l);
	loop_run(l);
	loop_free(l);
	unlink(log);
	unlink(kept);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_feed_replays_then_follows),
	    cmocka_unit_test(test_logs_keep_order_and_cap),
	    cmocka_unit_test(test_a_request_is_read),
	    cmocka_unit_test(test_what_is_no_request),
	    cmocka_unit_test(test_the_log_is_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
