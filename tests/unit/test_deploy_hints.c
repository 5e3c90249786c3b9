/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
/* What a program's last lines suggest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deploy/hints.h"

static void known_complaints_get_advice(void **state)
{
	(void)state;
	static const struct {
		const char *lines, *advice;
	} cases[] = {
	    {"x\nModuleNotFoundError: No module named 'stripe'",
		"add 'stripe' to requirements.txt"},
	    {"Error: Cannot find module 'express'\nRequire stack:",
		"add 'express' to package.json"},
	    {"KeyError: 'SECRET'", "is a variable missing? slipway env set SECRET=…"},
	    {"OSError: [Errno 98] Address already in use",
		"let it listen on $PORT or take its socket (LISTEN_FDS)"},
	    {"django.db.utils.OperationalError: no such table: app_thing",
		"let a release command run the migrations"},
	    {"OSError: [Errno 24] Too many open files: '/dev/null'",
		"it met limits.files, the limit on open files; raise it in slipway.yaml"},
	    {"Error: EMFILE, open 'a.js'",
		"it met limits.files, the limit on open files; raise it in slipway.yaml"},
	    {"slipway: cannot start './server': no such file in the release",
		"if a build makes it, say `kind: make` or `build:` in slipway.yaml"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[256];
		assert_true(hints_find(str_c(cases[i].lines), out, sizeof(out)));
		assert_string_equal(out, cases[i].advice);
	}
}

static void nothing_is_guessed_from_what_is_odd(void **state)
{
	(void)state;
	static const char *const odd[] = {"", "listening", "ModuleNotFoundError: No module named '",
	    "ModuleNotFoundError: No module named ''", "KeyError: 'a\x1b[31mb'",
	    "KeyError: 'two words'", "Error: Cannot find module 'unended"};
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		char out[256] = "unchanged";
		assert_false(hints_find(str_c(odd[i]), out, sizeof(out)));
		assert_string_equal(out, "unchanged");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(known_complaints_get_advice),
	    cmocka_unit_test(nothing_is_guessed_from_what_is_odd),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
