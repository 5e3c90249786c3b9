/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* The frames of `slipway run`: packing and taking apart, in pieces of every size; what does not fit
 * is refused. */
#include "text/run_frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
	(void)state;
	struct err e = {0};
	struct run_frame f;
	size_t used = 0;
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1 << 20);
	run_frame_pack(&b, RUN_FRAME_STDIN, STR("ls\n"));
	run_frame_pack(&b, RUN_FRAME_RESIZE, STR("\0\030\0\120"));
	run_frame_pack(&b, RUN_FRAME_EOF, STR(""));
	run_frame_pack(&b, RUN_FRAME_EXIT, STR("\0\0\0\002"));
	static const uint8_t first[] = {0, 0, 0, 0, 3, 'l', 's', '\n', 3, 0, 0, 0, 4, 0, 24, 0, 80};
	assert_memory_equal(b.p, first, sizeof(first));
	/* Every shorter piece is incomplete. */
	for (size_t n = 0; n < 8; n++)
		assert_int_equal(run_frame_next(str_slice(buf_view(&b), 0, n), &f, &used, &e), 0);
	assert_int_equal(run_frame_next(buf_view(&b), &f, &used, &e), 1);
	assert_int_equal(f.type, RUN_FRAME_STDIN);
	assert_int_equal(used, 8);
	assert_true(str_eq_c(f.payload, "ls\n"));
	const enum run_frame_type rest[] = {RUN_FRAME_RESIZE, RUN_FRAME_EOF, RUN_FRAME_EXIT};
	for (size_t i = 0; i < 3; i++) {
		buf_drop_front(&b, used);
		assert_int_equal(run_frame_next(buf_view(&b), &f, &used, &e), 1);
		assert_int_equal(f.type, rest[i]);
	}
	assert_int_equal(used, b.n);
}

static void test_large_output_is_split(void **state)
{
	(void)state;
	struct err e = {0};
	struct run_frame f;
	size_t used = 0, sum = 0, frames = 0;
	static char bytes[3 * RUN_FRAME_PAYLOAD_MAX + 7];
	struct buf b CLEANUP_BUF;
	buf_init(&b, 1 << 20);
	run_frame_pack(&b, RUN_FRAME_STDOUT, (struct str){bytes, sizeof(bytes)});
	while (b.n) {
		assert_int_equal(run_frame_next(buf_view(&b), &f, &used, &e), 1);
		sum += f.payload.n;
		frames++;
		buf_drop_front(&b, used);
	}
	assert_int_equal(sum, sizeof(bytes));
	assert_int_equal(frames, 4);
}

static void test_what_does_not_fit(void **state)
{
	(void)state;
	struct err e = {0};
	struct run_frame f;
	size_t used = 0;
	const struct str bad[] = {STR("\010"), STR("\377\0\0\0\0"), STR("\0\0\001\0\001"),
	    STR("\0\377\377\377\377"), STR("\003\0\0\0\003abc"), STR("\004\0\0\0\0"),
	    STR("\005\0\0\0\001x"), STR("\006\0\0\0\005")};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(run_frame_next(bad[i], &f, &used, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_large_output_is_split),
	    cmocka_unit_test(test_what_does_not_fit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
