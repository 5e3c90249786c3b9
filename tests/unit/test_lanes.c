/* rooms: base notify */
/* Which tries may go beside which: places that are earned, states of one series that follow each other, and what a look does to
 * its copy. */
#include "notify/lanes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NONE STR("")

static void test_places_are_earned(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	int64_t id = 0;
	for (unsigned places = 1; places <= LANES_OF_CHANNEL; places++) {
		int64_t first = id;
		for (unsigned i = 0; i < places; i++) {
			assert_true(lanes_room(l, 7));
			lanes_enter(l, 7, id++, NONE);
		}
		assert_false(lanes_room(l, 7));
		assert_int_equal(lanes_count(l, 7), places);
		assert_true(lanes_room(l, 8)); /* another's */
		lanes_leave(l, 7, first++, LANES_ANSWERED);
		for (; first < id; first++)
			lanes_leave(l, 7, first, LANES_UNASKED);
	}
	/* One that was not answered: as at the beginning. */
	lanes_enter(l, 7, id, NONE);
	lanes_leave(l, 7, id, LANES_SILENT);
	lanes_enter(l, 7, ++id, NONE);
	assert_false(lanes_room(l, 7));
	lanes_free(l);
}

static void test_a_series_is_in_turn(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	for (int64_t id = 0; id < 2; id++) {
		lanes_enter(l, 1, id, NONE);
		lanes_leave(l, 1, id, LANES_ANSWERED);
	}
	lanes_enter(l, 1, 10, STR("commit/a"));
	assert_true(lanes_busy(l, 1, 10, STR("commit/a")));
	assert_true(lanes_busy(l, 1, 11, STR("commit/a")));
	assert_false(lanes_busy(l, 1, 11, STR("commit/b")));
	assert_false(lanes_busy(l, 1, 11, NONE));
	assert_false(lanes_busy(l, 2, 11, STR("commit/a"))); /* another channel's */
	lanes_enter(l, 1, 12, NONE);
	assert_false(lanes_busy(l, 1, 13, NONE)); /* those of no series are none */
	lanes_leave(l, 1, 10, LANES_SILENT);
	assert_false(lanes_busy(l, 1, 11, STR("commit/a")));
	lanes_free(l);
}

/* However many hang, those that answer have places, and newcomers one as long as there are some. */
static void test_those_that_hang(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	lanes_enter(l, 1, 0, NONE);
	lanes_leave(l, 1, 0, LANES_ANSWERED);
	int64_t hanging = 0;
	while (lanes_room(l, 100 + hanging)) {
		lanes_enter(l, 100 + hanging, hanging, NONE);
		hanging++;
	}
	assert_int_equal(hanging, LANES_UNPROVEN);
	assert_false(lanes_full(l));
	assert_true(lanes_room(l, 1));
	lanes_leave(l, 100, 0, LANES_SILENT);
	assert_true(lanes_room(l, 99));
	lanes_free(l);
}

static void test_full(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	unsigned all = 0;
	/* Each has four places before the first is used. */
	for (int64_t c = 0; c < LANES_IN_ALL; c++)
		for (int64_t id = 0; id < 3; id++) {
			lanes_enter(l, c, id, NONE);
			lanes_leave(l, c, id, LANES_ANSWERED);
		}
	for (int64_t c = 0; c < LANES_IN_ALL; c++)
		for (; lanes_room(l, c); all++)
			lanes_enter(l, c, 10 + all, NONE);
	assert_int_equal(all, LANES_IN_ALL);
	assert_true(lanes_full(l));
	lanes_free(l);
}

static void test_a_copy_is_one(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	lanes_enter(l, 1, 5, STR("s"));
	struct lanes *copy = lanes_copy(l);
	assert_true(lanes_busy(copy, 1, 6, STR("s")));
	lanes_enter(copy, 2, 7, NONE);
	assert_int_equal(lanes_count(l, 2), 0);
	lanes_leave(l, 1, 5, LANES_ANSWERED);
	assert_int_equal(lanes_count(copy, 1), 1);
	lanes_free(copy);
	lanes_free(l);
}

/* What idle channels earned is kept for so many, and no more. */
static void test_many_channels(void **state)
{
	(void)state;
	struct lanes *l = lanes_new();
	unsigned kept = 0;
	for (int64_t c = 0; c < 1000; c++) {
		lanes_enter(l, c, c, NONE);
		lanes_leave(l, c, c, LANES_ANSWERED);
	}
	for (int64_t c = 0; c < 1000; c++) {
		lanes_enter(l, c, c, NONE);
		kept += lanes_room(l, c);
		lanes_leave(l, c, c, LANES_UNASKED);
	}
	assert_in_range(kept, 1, 256);
	lanes_free(l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_places_are_earned),
	    cmocka_unit_test(test_a_series_is_in_turn), cmocka_unit_test(test_those_that_hang),
	    cmocka_unit_test(test_full), cmocka_unit_test(test_a_copy_is_one),
	    cmocka_unit_test(test_many_channels)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
