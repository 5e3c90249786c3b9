/* rooms: base loop text crypto store model http queue launch outbound notify github hooks */
/* What a message of Alertmanager is read for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "hooks/alert.h"

#include <stdlib.h>
#include <string.h>

#define FIRST                                                                                      \
	"{\"labels\":{\"alertname\":\"Slow\",\"severity\":\"page\"},\"annotations\":{\"summary\":" \
	"\"its \\\"own\\\"\"},\"startsAt\":\"2026-11-28T05:00:00Z\"}"

static struct arena a;

static struct alert read_of(const char *json)
{
	struct alert ret;
	arena_clear(&a);
	alert_read(str_c(json), &a, &ret);
	return ret;
}

#define SAYS(s, text) assert_true(str_eq_c(s, text))

static void test_groups(void **state)
{
	(void)state;
	struct alert one =
	    read_of("{\"status\":\"firing\",\"alerts\":[" FIRST "],\"commonLabels\":{},"
		    "\"commonAnnotations\":{}}");
	SAYS(one.name, "Slow");
	SAYS(one.severity, "page");
	SAYS(one.summary, "its \"own\"");
	SAYS(one.description, "");
	SAYS(one.since, "2026-11-28T05:00:00Z");
	SAYS(one.more, "");
	one = read_of("{\"alerts\":[" FIRST ",{},{\"labels\":[1]}],\"commonLabels\":{\"alertname\":"
		      "\"All\"},\"commonAnnotations\":{\"description\":\"of all\"}}");
	SAYS(one.name, "All");
	SAYS(one.severity, "page");
	SAYS(one.description, "of all");
	SAYS(one.more, "and 2 more");
}

static void test_what_is_none(void **state)
{
	(void)state;
	static const char *const none[] = {"", "{", "[]", "{\"alerts\":{}}", "{\"alerts\":[]}",
	    "{\"alerts\":[3],\"commonLabels\":7}", "{\"alerts\":[{\"labels\":{\"alertname\":1}}]}"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		struct alert one = read_of(none[i]);
		assert_int_equal(one.name.n + one.severity.n + one.summary.n + one.since.n, 0);
		SAYS(one.more, "");
	}
}

/* What stands behind the first of very many is not looked for. */
static void test_very_many(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b;
	buf_init(&b, 4u << 20);
	buf_c(&b, "{\"alerts\":[" FIRST);
	while (b.n < (2u << 20))
		buf_c(&b, "," FIRST);
	buf_c(&b, "],\"commonLabels\":{\"alertname\":\"All\"}}");
	struct alert one = read_of(b.p);
	SAYS(one.name, "Slow");
	SAYS(one.summary, "its \"own\"");
	SAYS(one.more, "and others");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_groups),
	    cmocka_unit_test(test_what_is_none),
	    cmocka_unit_test(test_very_many),
	};
	arena_init(&a, 1 << 20);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	arena_fini(&a);
	return failed;
}
