/* rooms: base loop text crypto priv launch source */
#include "base/buf.h"
#include "source/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int try(struct str report, struct arena *a, struct tree *t, struct err *e)
{
	arena_init(a, 4u << 20);
	return tree_read(report, a, t, e);
}

static void reads_records(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct tree t;
	struct err e = {0};
	struct str report = STR(
	    "F 10 -1 12\nindex.html\nD 3\ncss\nF 9 3 3\nmanage.py\x01\n\x02\nF 1 0 0\na\nE 7 99\n");
	assert_int_equal(try(report, &a, &t, &e), 0);
	assert_int_equal(t.count, 4);
	assert_int_equal(t.files, 7);
	assert_int_equal(t.bytes, 99);
	assert_true(str_eq_c(t.entries[0].path, "a"));
	const struct tree_entry *m = tree_find(&t, STR("manage.py"));
	assert_true(m && m->has_content && m->content.n == 3 && m->content.p[0] == 1);
	assert_true(tree_find(&t, STR("css"))->directory);
	assert_false(tree_find(&t, STR("index.html"))->has_content);
	assert_null(tree_find(&t, STR("cs")));
	assert_null(tree_find(&t, STR("")));
	assert_int_equal(t.dropped, 0);
	struct arena b CLEANUP_ARENA;
	assert_int_equal(try(STR("E 7 99 3\n"), &b, &t, &e), 0);
	assert_int_equal(t.dropped, 3);
}

static void refuses_what_is_broken(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "E 1\n", "E 1 2\nE 1 2\n", "E 1 2 0\n", "E 1 2 \n",
	    "E 1 2 3 4\n", "E 1 2", "X 1\n", "F 1 1 1\na\nE 1 1\n", "F 1 -2 1\na\nE 0 0\n",
	    "F 3 -1 1\n../\nE 0 0\n", "F 2 -1 1\n..\nE 0 0\n", "F 2 -1 1\n/a\nE 0 0\n",
	    "F 0 -1 1\n\nE 0 0\n", "F 9999999999999999999999 -1 1\na\nE 0 0\n",
	    "F 1 99999999999 1\na\nE 0 0\n", "F 1 -1 1\na\nF 1 -1 1\na\nE 0 0\n",
	    "D 1\nb\nF 1 -1 1\nb\nE 0 0\n", "F 1 -1\na\nE 0 0\n", "F 1 -1 1 1\na\nE 0 0\n",
	    "D 5\nab\nE 0 0\n", "F 1 -1 1\nab\nE 0 0\n", "F 1 -1 1\na\n", "\n"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct arena a CLEANUP_ARENA;
		struct tree t;
		struct err e = {0};
		if (try(str_c(bad[i]), &a, &t, &e) != -1 || e.code != ERR_INVALID)
			fail_msg("accepted: %s", bad[i]);
	}
}

static void counts_names(void **state)
{
	(void)state;
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1u << 20);
	for (unsigned count = 4096; count <= 4097; count++) {
		struct arena a CLEANUP_ARENA;
		struct tree t;
		struct err e = {0};
		buf_clear(&b);
		for (unsigned i = 0; i < count; i++)
			buf_printf(&b, "D 6\n%06u\n", i);
		buf_c(&b, "E 0 0\n");
		assert_int_equal(try(buf_view(&b), &a, &t, &e), count == 4096 ? 0 : -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_records),
	    cmocka_unit_test(refuses_what_is_broken),
	    cmocka_unit_test(counts_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
