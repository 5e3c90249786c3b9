/* rooms: base render */
/* The table of ports: its text, how much of it there can be, what is refused. nft itself reads it in tests/e2e/test_escape.py. */
#include "base/limits.h"
#include "render/ports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char text[RENDER_PORTS_TEXT_MAX];
static struct render_port_owner many[LIMIT_PORT_BLOCKS + 1];

static void test_text(void **state)
{
	(void)state;
	struct err e;
	const struct render_port_owner v[] = {{70001, 20000}, {70002, 31990}};
	const char *const want =
	    "table inet slipway_1f\ndelete table inet slipway_1f\ntable inet slipway_1f {\n"
	    "\tset ports {\n\t\ttype inet_service\n\t\tflags interval\n"
	    "\t\telements = { 20000-20009, 31990-31999 }\n\t}\n"
	    "\tset owners {\n\t\ttype uid . inet_service\n\t\tflags interval\n"
	    "\t\telements = { 70001 . 20000-20009, 70002 . 31990-31999 }\n\t}\n";
	long n = render_ports("slipway_1f", v, 2, text, sizeof(text), &e);
	assert_int_equal(n, strlen(text));
	assert_memory_equal(text, want, strlen(want));
	assert_non_null(strstr(text, "meta skuid . tcp dport != @owners reject"));
	assert_non_null(strstr(text, "meta skuid . tcp sport != @owners drop"));
	assert_int_equal(render_ports("slipway", NULL, 0, text, sizeof(text), &e),
	    strlen("table inet slipway\ndelete table inet slipway\n"));
}

static void test_all_blocks_fit(void **state)
{
	(void)state;
	struct err e;
	for (unsigned i = 0; i < LIMIT_PORT_BLOCKS; i++)
		many[i] = (struct render_port_owner){
		    4294967294u, (uint16_t)(LIMIT_PORT_FIRST + i * LIMIT_PORTS_PER_PROJECT)};
	assert_true(render_ports("slipway", many, LIMIT_PORT_BLOCKS, text, sizeof(text), &e) > 0);
	assert_int_equal(render_ports("slipway", many, LIMIT_PORT_BLOCKS, text, 1000, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_string_equal(text, "");
	assert_int_equal(
	    render_ports("slipway", many, LIMIT_PORT_BLOCKS + 1, text, sizeof(text), &e), -1);
}

static void test_refused(void **state)
{
	(void)state;
	struct err e;
	static const uint16_t firsts[] = {0, 22, 19990, 20001, 20005, 32000, 65530};
	static const char *const tables[] = {"", "1", "Slipway", "a b", "a;b", "a{", "a-b", "a\n",
	    "slipway_0123456789abcdef01234567"};
	for (size_t i = 0; i < sizeof(firsts) / sizeof(*firsts); i++) {
		const struct render_port_owner v = {70001, firsts[i]};
		assert_int_equal(render_ports("slipway", &v, 1, text, sizeof(text), &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
		assert_string_equal(text, "");
	}
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		assert_int_equal(render_ports(tables[i], NULL, 0, text, sizeof(text), &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_text),
	    cmocka_unit_test(test_all_blocks_fit), cmocka_unit_test(test_refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
