/* rooms: base launch */
/* Where jobs and greedy services are put: launch/processors.h. */
#include "launch/processors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct processors some(uint16_t count)
{
	struct processors p = {.count = count};
	for (uint16_t i = 0; i < count; i++)
		p.number[i] = i;
	return p;
}

static struct processors_load load;

static int setup(void **state)
{
	(void)state;
	memset(&load, 0, sizeof(load));
	return 0;
}

static struct processors_range limit(const struct processors *p, uint32_t milli)
{
	struct processors_range r = processors_for_limit(p, &load, milli);
	if (r.last != 0)
		processors_add(p, &load, r, milli);
	return r;
}

#define assert_range(r, f, l)                                                                      \
	do {                                                                                       \
		const struct processors_range range_ = (r);                                        \
		assert_int_equal(range_.first, f);                                                 \
		assert_int_equal(range_.last, l);                                                  \
	} while (0)

static void jobs_leave_the_first(void **state)
{
	(void)state;
	struct processors one = some(1), two = some(2), eight = some(8);
	assert_range(processors_for_jobs(&one), 0, 0);
	assert_range(processors_for_jobs(&two), 1, 1);
	assert_range(processors_for_jobs(&eight), 1, 7);
	for (uint16_t i = 0; i < 8; i++)
		eight.number[i] = (uint16_t)(16 + 2 * i);
	assert_range(processors_for_jobs(&eight), 18, 30);
}

static void a_limit_is_given_what_it_can_use(void **state)
{
	(void)state;
	const struct processors two = some(2), eight = some(8);
	assert_range(limit(&two, 1001), 0, 0); /* it may use both */
	assert_range(limit(&two, 600), 1, 1);
	assert_range(limit(&two, 600), 0, 0); /* no room beside the other */
	assert_range(limit(&two, 400), 1, 1);
	assert_range(limit(&two, 1), 0, 0);
	setup(NULL);
	assert_range(limit(&eight, 2500), 5, 7);
	assert_range(limit(&eight, 1000), 4, 4);
	assert_range(limit(&eight, 3000), 1, 3);
	assert_range(
	    limit(&eight, 500), 0, 0); /* of those three half a one is left, but of none of them */
	assert_range(limit(&eight, 100), 7, 7);
	assert_range(limit(&eight, 1000), 0, 0);
	assert_range(limit(&eight, 7001), 0, 0);
}

static void nobody_is_where_the_first_is_or_has_too_little(void **state)
{
	(void)state;
	for (uint16_t count = 1; count <= 64; count++) {
		const struct processors p = some(count);
		setup(NULL);
		for (uint32_t i = 0; i < 200; i++) {
			uint32_t milli = 1 + (i * 7919u) % 3000;
			struct processors_range r = limit(&p, milli);
			assert_true(r.last == 0 || (r.first >= 1 && r.last < count));
			assert_true(r.last == 0 || 1000u * (r.last - r.first + 1u) >= milli);
		}
		assert_int_equal(load.milli[0], 0);
		for (uint16_t i = 0; i < count; i++)
			assert_true(load.milli[i] <= 2000);
	}
}

static void as_text(void **state)
{
	(void)state;
	char text[PROCESSORS_TEXT_SIZE];
	processors_text((struct processors_range){0, 0}, text);
	assert_string_equal(text, "");
	processors_text((struct processors_range){1, 1023}, text);
	assert_string_equal(text, "1-1023");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(jobs_leave_the_first),
	    cmocka_unit_test_setup(a_limit_is_given_what_it_can_use, setup),
	    cmocka_unit_test(nobody_is_where_the_first_is_or_has_too_little),
	    cmocka_unit_test(as_text)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
