/* rooms: base loop text observe store model run http priv launch crypto */
#include "base/fs.h"
#include "observe/feed.h"
#include "observe/logs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_feed_replays_then_follows),
	    cmocka_unit_test(test_logs_keep_order_and_cap),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
