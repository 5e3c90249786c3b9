/* rooms: base store */
/* Parameters by name become numbers, and nothing else in a statement changes. */
#include "store/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_numbers(void **state)
{
	static const struct {
		const char *sql, *want;
		size_t count;
	} table[] = {
	    {"", "", 0},
	    {"SELECT 1", "SELECT 1", 0},
	    {"$a $b_2 $a", "$1 $2 $1", 2},
	    {"x=$a,y=$ab", "x=$1,y=$2", 2},
	    {"'$a' \"$b\" -- $c\n$d", "'$a' \"$b\" -- $c\n$1", 1},
	    {"'it''s $a' $b", "'it''s $a' $1", 1},
	    {"'open $a", "'open $a", 0},
	    {"$ $", "$ $", 0},
	    {"a - $x -- end", "a - $1 -- end", 1},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct buf out;
		struct names n;
		struct err e;
		buf_init(&out, 1000);
		assert_int_equal(names_number(table[i].sql, &out, &n, &e), 0);
		assert_string_equal(out.p ? out.p : "", table[i].want);
		assert_int_equal(n.count, table[i].count);
		buf_fini(&out);
	}
}

static void test_too_many(void **state)
{
	struct buf sql, out;
	struct names n;
	struct err e;
	(void)state;
	buf_init(&sql, 4096);
	buf_init(&out, 4096);
	for (int i = 0; i < NAMES_MAX; i++)
		buf_printf(&sql, "$p%d ", i);
	assert_int_equal(names_number(sql.p, &out, &n, &e), 0);
	assert_int_equal(n.count, NAMES_MAX);
	buf_c(&sql, "$more");
	assert_int_equal(names_number(sql.p, &out, &n, &e), -1);
	buf_fini(&sql);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_numbers), cmocka_unit_test(test_too_many)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
