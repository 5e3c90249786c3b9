/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
/* What a step's detail takes from a program's last lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/telling.h"

static const char *told(const char *text, size_t size)
{
	static char out[128];
	struct str lines[16], rest = str_c(text);
	size_t n = 0;
	while (n < 16 && str_next(&rest, '\n', &lines[n]) == 1)
		n++;
	telling_line(lines, n, out, size);
	return out;
}

static void sums_are_found(void **state)
{
	(void)state;
	static const struct {
		const char *lines, *said;
	} cases[] = {
	    {"...\n------\nRan 12 tests in 0.314s\n\nOK\nDestroying test database for alias…",
		"Ran 12 tests in 0.314s, OK"},
	    {"Ran 2 tests in 0.1s\n\nOK (skipped=1)", "Ran 2 tests in 0.1s, OK (skipped=1)"},
	    {"a.py ..\n\n====== 212 passed, 1 warning in 6.02s ======\n\n",
		"212 passed, 1 warning in 6.02s"},
	    {"# tests 3\n# pass 3\n# fail 0\n# cancelled 0", "pass 3"},
	    {"  7 passing (30ms)\n", "7 passing (30ms)"},
	    {"Operations to perform:\n  Apply all migrations: app\nRunning migrations:\n"
	     "  No migrations to apply.\n  Your models in app(s): 'app' have changes",
		"no migrations to apply"},
	    {"Running migrations:\n  Applying app.0001_initial... OK\n"
	     "  Applying app.0002_more...   OK",
		"Applying app.0002_more... OK"},
	    {"first\nall\twell\n\n   \n=====", "all well"},
	    {"\n \n", ""},
	    {"", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(told(cases[i].lines, 128), cases[i].said);
}

static void cut_between_characters(void **state)
{
	(void)state;
	assert_string_equal(told("ab\xc3\xa9z", 5), "ab\xc3\xa9");
	assert_string_equal(told("ab\xc3\xa9z", 4), "ab");
	assert_string_equal(told("a   b", 3), "a");
	assert_string_equal(told("\xff\xfe", 8), "\xff\xfe");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sums_are_found),
	    cmocka_unit_test(cut_between_characters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
