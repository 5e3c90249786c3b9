/* rooms: base store */
/* Parameters by name become numbers, and nothing else in a statement changes. */
#include "store/binary.h"
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

static void test_binary(void **state)
{
	(void)state;
	assert_int_equal(binary_i64("\x7f\xff", 2), 32767);
	assert_int_equal(binary_i64("\xff\xfe", 2), -2);
	assert_int_equal(binary_i64("\x80\0\0\0\0\0\0\0", 8), INT64_MIN);
	/* 12345678.5 as 1234 5678 . 5000; -70000; 0; 10^20; cut short */
	assert_int_equal(binary_numeric("\0\3\0\1\0\0\0\1\x04\xd2\x16\x2e\x13\x88", 14), 12345678);
	assert_int_equal(binary_numeric("\0\1\0\1\x40\0\0\0\0\7", 10), -70000);
	assert_int_equal(binary_numeric("\0\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(binary_numeric("\0\1\0\5\0\0\0\0\0\1", 10), INT64_MAX);
	assert_int_equal(binary_numeric("\0\2\0\1\0\0\0\0\0\1", 10), 10000);
	assert_int_equal(binary_numeric("\0\1", 2), 0);
	assert_int_equal(binary_class("23505"), ERR_CONFLICT);
	assert_int_equal(binary_class("53100"), ERR_NO_SPACE);
	assert_int_equal(binary_class("53300"), ERR_UNAVAILABLE);
	assert_int_equal(binary_class("57P01"), ERR_IO);
	assert_int_equal(binary_class("42601"), ERR_INTERNAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers),
	    cmocka_unit_test(test_too_many), cmocka_unit_test(test_binary)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
