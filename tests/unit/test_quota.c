/* rooms: base launch */
/* Disk quotas where there are none: told apart from what is broken, and nothing is taken for set.
 * What they do where a file system keeps them is shown in tests/machine/kernel_test.py. */
#include "launch/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define NONE_THERE "/proc" /* no kernel keeps quotas of it */

static void a_file_system_without_quotas(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(quota_enforced(NONE_THERE, &e), 0);
	assert_int_equal(quota_probe(NONE_THERE, &e), -1);
	assert_int_equal(e.code, ERR_UNSUPPORTED);
	assert_string_equal(e.msg, "the file system of '/proc' keeps no quotas");
	assert_non_null(strstr(e.hint, "usrquota"));
	assert_int_equal(quota_set(NONE_THERE, 70001, 1 << 20, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_non_null(strstr(e.msg, "user 70001"));
	assert_false(quota_is_full(NONE_THERE, 70001));
}

static void a_folder_that_is_not_there(void **state)
{
	struct err e = {0};
	(void)state;
	assert_int_equal(quota_enforced("/nonexistent", &e), -1);
	assert_int_equal(e.code, ERR_IO);
	assert_int_equal(quota_probe("/nonexistent", &e), -1);
	assert_int_equal(e.code, ERR_IO);
	assert_int_equal(quota_set("/nonexistent", 70001, 0, &e), -1);
	assert_int_equal(e.code, ERR_IO);
	assert_false(quota_is_full("/nonexistent", 70001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_file_system_without_quotas),
	    cmocka_unit_test(a_folder_that_is_not_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
