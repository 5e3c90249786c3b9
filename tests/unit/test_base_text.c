/* rooms: base */
/* str, buf, arena, args, hex, ct, num and thread. */
#include "base/args.h"
#include "base/ct.h"
#include "base/hex.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void str_compares(void **state)
{
	(void)state;
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(str_c(NULL), STR_NONE));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_eq_c(STR("abc"), "abc"));
	assert_true(str_eq_nocase(STR("Host-1"), STR("hOST-1")));
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_false(str_eq_nocase(STR("["), STR("{")));
	assert_true(str_starts(STR("abc"), STR("")));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_true(str_ends(STR_NONE, STR("")));
	assert_false(str_ends(STR("c"), STR("bc")));
	assert_true(str_contains(STR("a\0bc"), STR("\0b")));
	assert_false(str_contains(STR_NONE, STR("b")));
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
	assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
}

static void str_cuts(void **state)
{
	(void)state;
	assert_int_equal(str_from(STR("abc"), 9).n, 0);
	assert_true(str_eq_c(str_from(STR("abc"), 1), "bc"));
	assert_true(str_eq_c(str_slice(STR("abc"), 1, SIZE_MAX), "bc"));
	assert_true(str_eq_c(str_slice(STR("abc"), 0, 2), "ab"));
	assert_int_equal(str_slice(STR_NONE, 3, 3).n, 0);
	assert_true(str_eq_c(str_trim(STR(" \t\r\n a b \v\f")), "a b"));
	assert_int_equal(str_trim(STR("   ")).n, 0);
	assert_int_equal(str_trim(STR_NONE).n, 0);
	assert_true(str_find(STR("abc"), 'c', 0) == 2);
	assert_true(str_find(STR("abc"), 'a', 1) == SIZE_MAX);
	assert_true(str_find(STR("abc"), 'a', 99) == SIZE_MAX);
	assert_true(str_find(STR_NONE, 'a', 0) == SIZE_MAX);
}

static void str_next_gives_pieces(void **state)
{
	(void)state;
	struct str rest = STR("a,,b"), piece;
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_true(str_eq_c(piece, "a"));
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_int_equal(piece.n, 0);
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_true(str_eq_c(piece, "b"));
	assert_int_equal(str_next(&rest, ',', &piece), 0);
	assert_null(rest.p);
	rest = STR("");
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_int_equal(piece.n, 0);
	assert_int_equal(str_next(&rest, ',', &piece), 0);
	rest = STR("x,");
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_int_equal(str_next(&rest, ',', &piece), 1);
	assert_int_equal(piece.n, 0);
	assert_int_equal(str_next(&rest, ',', &piece), 0);
}

static void str_copy_needs_room(void **state)
{
	(void)state;
	char out[4];
	assert_true(str_copy(STR("abc"), out, sizeof(out)));
	assert_string_equal(out, "abc");
	assert_false(str_copy(STR("abcd"), out, sizeof(out)));
	assert_false(str_copy(STR("a\0b"), out, sizeof(out)));
	assert_false(str_copy(STR(""), out, 0));
	assert_true(str_copy(STR_NONE, out, 1));
	assert_string_equal(out, "");
}

static void utf8_follows_rfc_3629(void **state)
{
	(void)state;
	static const struct {
		struct str s;
		bool ok;
	} table[] = {
	    {STR(""), true},
	    {STR("a\0b"), true},
	    {STR("\x7f"), true},
	    {STR("\xc2\x80"), true},
	    {STR("\xdf\xbf"), true},
	    {STR("\xe0\xa0\x80"), true},
	    {STR("\xed\x9f\xbf"), true},
	    {STR("\xee\x80\x80"), true},
	    {STR("\xef\xbf\xbf"), true},
	    {STR("\xf0\x90\x80\x80"), true},
	    {STR("\xf4\x8f\xbf\xbf"), true},
	    /* lone continuation, overlong, surrogates, beyond U+10FFFF, cut short, impossible bytes
	     */
	    {STR("\x80"), false},
	    {STR("\xbf"), false},
	    {STR("\xc0\x80"), false},
	    {STR("\xc1\xbf"), false},
	    {STR("\xe0\x80\x80"), false},
	    {STR("\xe0\x9f\xbf"), false},
	    {STR("\xf0\x80\x80\x80"), false},
	    {STR("\xf0\x8f\xbf\xbf"), false},
	    {STR("\xed\xa0\x80"), false},
	    {STR("\xed\xbf\xbf"), false},
	    {STR("\xf4\x90\x80\x80"), false},
	    {STR("\xf5\x80\x80\x80"), false},
	    {STR("\xc2"), false},
	    {STR("\xe2\x82"), false},
	    {STR("\xf0\x9f\x98"), false},
	    {STR("\xc2"
		 "a"),
		false},
	    {STR("\xe2\x82"
		 "a"),
		false},
	    {STR("\xfe"), false},
	    {STR("\xff"), false},
	    {STR("abc\xe2\x82\xac\xc0"), false},
	};
	for (size_t i = 0; i < LENGTH(table); i++)
		if (str_utf8_ok(table[i].s) != table[i].ok)
			fail_msg("row %zu", i);
}

static void buf_stops_at_max(void **state)
{
	(void)state;
	struct buf b;
	struct err e;
	buf_init(&b, 5);
	assert_string_equal(buf_view(&b).p, "");
	buf_c(&b, "abc");
	assert_int_equal(buf_check(&b, "it", &e), 0);
	buf_c(&b, "def");
	assert_true(b.full);
	buf_c(&b, "d"); /* would fit, but what came before is missing */
	assert_true(str_eq_c(buf_view(&b), "abc"));
	assert_int_equal(buf_check(&b, "it", &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_string_equal(e.msg, "it is larger than 5 bytes");
	buf_clear(&b);
	assert_false(b.full);
	buf_printf(&b, "%d", 12345);
	assert_true(str_eq_c(buf_view(&b), "12345"));
	assert_int_equal(b.p[5], 0);
	assert_int_equal(buf_check(&b, "it", &e), 0);
	buf_printf(&b, "%s", "");
	assert_false(b.full);
	buf_char(&b, 'x');
	assert_true(b.full);
	buf_wipe(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 5);
	assert_false(b.full);
}

static void buf_grows_and_drops(void **state)
{
	(void)state;
	struct buf b CLEANUP_BUF;
	buf_init(&b, SIZE_MAX);
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d,", i);
	assert_int_equal(b.n, 4000);
	buf_drop_front(&b, 3996);
	assert_string_equal(b.p, "999,");
	buf_drop_front(&b, 4);
	buf_drop_front(&b, 0);
	assert_int_equal(b.n, 0);
	char *to = buf_reserve(&b, 3);
	memcpy(to, "xyz", 3);
	buf_commit(&b, 2);
	assert_string_equal(b.p, "xy");
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_true(b.full);
}

static void arena_has_a_cap(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 10000);
	for (int i = 0; i < 100; i++) {
		char *p = arena_alloc(&a, 90);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (int k = 0; k < 90; k++)
			assert_int_equal(p[k], 0);
		memset(p, 'x', 90);
	}
	assert_null(arena_alloc(&a, 1000));
	assert_non_null(arena_alloc(&a, 16));
	assert_null(arena_array(&a, SIZE_MAX / 2, 3));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_fini(&a);
	assert_non_null(arena_alloc(&a, 9999));
	assert_null(arena_alloc(&a, 1));
}

static void arena_makes_strings(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	arena_init(&a, 128);
	struct str s = arena_str(&a, STR("a\0b"));
	assert_true(str_eq(s, STR("a\0b")));
	assert_int_equal(s.p[3], 0);
	assert_non_null(arena_str(&a, STR_NONE).p);
	assert_null(arena_cstr(&a, STR("a\0b")));
	assert_string_equal(arena_cstr(&a, STR("ab")), "ab");
	assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
	assert_null(arena_printf(&a, "%0200d", 7));
	assert_null(arena_str(&a, (struct str){"", SIZE_MAX}).p);
	assert_non_null(arena_alloc(&a, 0));
}

static void args_travel(void **state)
{
	(void)state;
	struct str v[] = {STR("ls"), STR(""), STR("a b")};
	struct args list = {v, 3}, back;
	struct buf b CLEANUP_BUF;
	struct arena a CLEANUP_ARENA;
	struct err e;
	buf_init(&b, 100);
	arena_init(&a, 1000);
	args_pack_all(&b, &list);
	assert_true(str_eq(buf_view(&b), STR("ls\0\0a b\0")));
	assert_int_equal(args_unpack(buf_view(&b), 3, &a, &back, &e), 0);
	assert_int_equal(back.n, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(str_eq(back.v[i], v[i]));
	assert_int_equal(args_unpack(buf_view(&b), 2, &a, &back, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	assert_int_equal(args_unpack(STR("ab"), 2, &a, &back, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(args_unpack(STR_NONE, 0, &a, &back, &e), 0);
	assert_int_equal(back.n, 0);
	arena_fini(&a);
	arena_init(&a, 16);
	assert_int_equal(args_unpack(buf_view(&b), 3, &a, &back, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
	args_pack(&b, STR("a\0b"));
	assert_true(b.full);
}

static void hex_is_strict(void **state)
{
	(void)state;
	uint8_t bytes[4];
	char text[9];
	assert_true(hex_decode(STR("00fFA9b0"), bytes, 4));
	hex_encode(bytes, 4, text);
	assert_string_equal(text, "00ffa9b0");
	hex_encode(bytes, 0, text);
	assert_string_equal(text, "");
	static const struct str bad[] = {STR("00ffa9b"), STR("00ffa9b000"), STR("00ffa9bg"),
	    STR("00 ffa9b"), STR("0x00ffa9"), STR(""),
	    STR("00ffa9\0"
		"0"),
	    STR("00ffa9-1"), STR("00ffa9@@"), STR("00ffa9``")};
	for (size_t i = 0; i < LENGTH(bad); i++)
		if (hex_decode(bad[i], bytes, 4))
			fail_msg("row %zu", i);
	assert_true(hex_decode(STR_NONE, bytes, 0));
}

static void base64_is_strict(void **state)
{
	(void)state;
	static const char *const rfc[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="},
	    {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"},
	    {"\xfb\xff", "+/8="}};
	struct buf b CLEANUP_BUF;
	buf_init(&b, 100);
	for (size_t i = 0; i < LENGTH(rfc); i++) {
		buf_clear(&b);
		base64_encode(rfc[i][0], strlen(rfc[i][0]), &b);
		assert_true(str_eq_c(buf_view(&b), rfc[i][1]));
		buf_clear(&b);
		assert_true(base64_decode(str_c(rfc[i][1]), &b));
		assert_true(str_eq_c(buf_view(&b), rfc[i][0]));
	}
	buf_clear(&b);
	base64url_encode("\xfb\xff", 2, &b);
	assert_true(str_eq_c(buf_view(&b), "-_8"));
	static const struct str bad[] = {STR("Zg"), STR("Zg="), STR("Zg==="), STR("Z==="),
	    STR("===="), STR("Zh=="), STR("Zm9="), STR("Zg==Zg=="), STR("Zm8=\n"), STR("Zm 8"),
	    STR("-_8="), STR("Zm9\0"), STR("=m9v"), STR("Z=9v"), STR("Zm=v"), STR(" Zm8"),
	    STR("Zm9\xc3")};
	for (size_t i = 0; i < LENGTH(bad); i++)
		if (base64_decode(bad[i], &b))
			fail_msg("row %zu", i);
	struct buf small CLEANUP_BUF;
	buf_init(&small, 2);
	assert_false(base64_decode(STR("Zm9v"), &small));
}

static void ct_compares_and_wipes(void **state)
{
	(void)state;
	assert_true(ct_eq(STR("abc"), STR("abc")));
	assert_false(ct_eq(STR("abc"), STR("abd")));
	assert_false(ct_eq(STR("abc"), STR("ab")));
	assert_false(ct_eq(STR("\x01"), STR("\x81")));
	assert_true(ct_eq(STR_NONE, STR("")));
	char p[] = "secret";
	ct_wipe(p, sizeof(p));
	assert_memory_equal(p, "\0\0\0\0\0\0", sizeof(p));
	ct_wipe(NULL, 0);
}

static void numbers_are_whole(void **state)
{
	(void)state;
	static const struct {
		struct str s;
		int64_t min, max;
		bool ok;
		int64_t v;
	} table[] = {
	    {STR("0"), 0, 0, true, 0},
	    {STR("42"), 0, 42, true, 42},
	    {STR("43"), 0, 42, false, 0},
	    {STR("-5"), -5, 5, true, -5},
	    {STR("-6"), -5, 5, false, 0},
	    {STR("4"), 5, 9, false, 0},
	    {STR("9223372036854775807"), 0, INT64_MAX, true, INT64_MAX},
	    {STR("9223372036854775808"), INT64_MIN, INT64_MAX, false, 0},
	    {STR("-9223372036854775808"), INT64_MIN, INT64_MAX, true, INT64_MIN},
	    {STR("-9223372036854775809"), INT64_MIN, INT64_MAX, false, 0},
	    {STR("99999999999999999999999"), INT64_MIN, INT64_MAX, false, 0},
	    {STR(""), -9, 9, false, 0},
	    {STR("-"), -9, 9, false, 0},
	    {STR("+1"), -9, 9, false, 0},
	    {STR("--1"), -9, 9, false, 0},
	    {STR("-0"), -9, 9, false, 0},
	    {STR("01"), -9, 9, false, 0},
	    {STR("00"), -9, 9, false, 0},
	    {STR(" 1"), -9, 9, false, 0},
	    {STR("1 "), -9, 9, false, 0},
	    {STR("1\0"), -9, 9, false, 0},
	    {STR("0x1"), -9, 9, false, 0},
	    {STR("1e1"), -9, 99, false, 0},
	    {STR("1.0"), -9, 9, false, 0},
	    {STR("\xd9\xa1"), -9, 9, false, 0},
	    {STR_NONE, 0, 9, false, 0},
	};
	for (size_t i = 0; i < LENGTH(table); i++) {
		int64_t v = -77;
		bool ok = num_i64(table[i].s, table[i].min, table[i].max, &v);
		if (ok != table[i].ok || v != (ok ? table[i].v : -77))
			fail_msg("row %zu", i);
	}
	uint64_t u;
	assert_true(num_u64(STR("18446744073709551615"), 0, UINT64_MAX, &u) && u == UINT64_MAX);
	assert_false(num_u64(STR("18446744073709551616"), 0, UINT64_MAX, &u));
	assert_false(num_u64(STR("-1"), 0, UINT64_MAX, &u));
	assert_false(num_u64(STR("1"), 2, 3, &u));
}

static void sizes_and_durations_have_units(void **state)
{
	(void)state;
	static const struct {
		const char *s;
		uint64_t size;
		int64_t ms, milli;
	} table[] = {
	    /* UINT64_MAX and -1: refused */
	    {"0", 0, -1, 0},
	    {"1024", 1024, -1, 1024000},
	    {"4K", 4096, -1, -1},
	    {"512M", 512ull << 20, -1, -1},
	    {"2G", 2ull << 30, -1, -1},
	    {"1T", 1ull << 40, -1, -1},
	    {"250ms", UINT64_MAX, 250, -1},
	    {"30s", UINT64_MAX, 30000, -1},
	    {"5m", UINT64_MAX, 300000, -1},
	    {"2h", UINT64_MAX, 7200000, -1},
	    {"1d", UINT64_MAX, 86400000, -1},
	    {"0s", UINT64_MAX, 0, -1},
	    {"1.5", UINT64_MAX, -1, 1500},
	    {"0.001", UINT64_MAX, -1, 1},
	    {"1.05", UINT64_MAX, -1, 1050},
	    {"1.", UINT64_MAX, -1, -1},
	    {".5", UINT64_MAX, -1, -1},
	    {"1.0000", UINT64_MAX, -1, -1},
	    {"1.-5", UINT64_MAX, -1, -1},
	    {"1.5.", UINT64_MAX, -1, -1},
	    {"1.5.5", UINT64_MAX, -1, -1},
	    {"-1", UINT64_MAX, -1, -1},
	    {"K", UINT64_MAX, -1, -1},
	    {"4k", UINT64_MAX, -1, -1},
	    {"4KB", UINT64_MAX, -1, -1},
	    {"4 K", UINT64_MAX, -1, -1},
	    {"04K", UINT64_MAX, -1, -1},
	    {"1.5G", UINT64_MAX, -1, -1},
	    {"99999999999999999T", UINT64_MAX, -1, -1},
	    {"s", UINT64_MAX, -1, -1},
	    {"5 m", UINT64_MAX, -1, -1},
	    {"5M", 5 << 20, -1, -1},
	    {"1h30m", UINT64_MAX, -1, -1},
	    {"99999999999999999999d", UINT64_MAX, -1, -1},
	    {"", UINT64_MAX, -1, -1},
	    {"-5s", UINT64_MAX, -1, -1},
	};
	for (size_t i = 0; i < LENGTH(table); i++) {
		struct str s = str_c(table[i].s);
		uint64_t size = UINT64_MAX;
		int64_t ms = -1, milli = -1;
		bool a = num_size(s, 1ull << 50, &size), b = num_duration(s, INT64_MAX, &ms),
		     c = num_milli(s, INT64_MAX, &milli);
		if (size != table[i].size || ms != table[i].ms || milli != table[i].milli ||
		    a != (size != UINT64_MAX) || b != (ms >= 0) || c != (milli >= 0))
			fail_msg("'%s' gives %llu %lld %lld", table[i].s, (unsigned long long)size,
			    (long long)ms, (long long)milli);
	}
	uint64_t size;
	int64_t v;
	assert_true(num_size(STR("1K"), 1024, &size));
	assert_false(num_size(STR("2K"), 2047, &size));
	assert_false(num_duration(STR("2s"), 1999, &v));
	assert_false(num_duration(STR("0s"), -1, &v));
	assert_true(num_milli(STR("1.5"), 1500, &v));
	assert_false(num_milli(STR("1.501"), 1500, &v));
	assert_true(num_milli(STR("9223372036854775.807"), INT64_MAX, &v) && v == INT64_MAX);
	assert_false(num_milli(STR("9223372036854775.808"), INT64_MAX, &v));
}

static void numbers_for_people(void **state)
{
	(void)state;
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0 B"}, {1, "1 B"}, {980, "980 B"}, {1023, "1023 B"}, {1024, "1.0 KB"},
	    {1468006, "1.4 MB"}, {10 << 10, "10 KB"}, {(1 << 20) - 1, "1.0 MB"},
	    {1023 << 10, "1023 KB"}, {5ull << 40, "5.0 TB"}, {UINT64_MAX, "16 EB"}};
	static const struct {
		int64_t ms;
		const char *text;
	} times[] = {{0, "0 ms"}, {45, "45 ms"}, {300, "0.3 s"}, {1250, "1.3 s"}, {9940, "9.9 s"},
	    {9950, "10 s"}, {59499, "59 s"}, {59900, "1 m 0 s"}, {125000, "2 m 5 s"},
	    {3600000, "1 h 0 m"}, {86400000 * 3, "3 d 0 h"}, {-300, "-0.3 s"},
	    {INT64_MIN, "-106751991167 d 7 h"}};
	char out[32];
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		num_size_text(sizes[i].bytes, out);
		assert_string_equal(out, sizes[i].text);
	}
	for (size_t i = 0; i < LENGTH(times); i++) {
		num_duration_text(times[i].ms, out);
		assert_string_equal(out, times[i].text);
	}
}

static void mem_zeroes(void **state)
{
	(void)state;
	int *v CLEANUP_FREE = mem_array(3, sizeof(*v));
	v[2] = 7;
	v = mem_grow(v, 3, 100, sizeof(*v));
	assert_int_equal(v[2], 7);
	for (int i = 3; i < 100; i++)
		assert_int_equal(v[i], 0);
	char *s CLEANUP_FREE = mem_dup(STR("ab"));
	assert_string_equal(s, "ab");
	char *none CLEANUP_FREE = mem_dup(STR_NONE);
	assert_string_equal(none, "");
	mem_free_ptr(&none);
	assert_null(none);
}

/* What one use left is not there in the next, whatever it took; the cap holds for each. */
static void arena_is_cleared(void **state)
{
	(void)state;
	struct arena a;
	arena_init(&a, 20000);
	for (size_t n = 1; n < 18000; n = n * 5 / 3 + 1) {
		for (int use = 0; use < 3; use++) {
			size_t left = n;
			while (left > 0) {
				size_t piece = left < 700 ? left : 700;
				unsigned char *p = arena_alloc(&a, piece);
				assert_non_null(p);
				for (size_t i = 0; i < piece; i++)
					assert_int_equal(p[i], 0);
				memset(p, 0xa5, piece);
				left -= piece;
			}
			assert_null(arena_alloc(&a, 20001 - n));
			arena_clear(&a);
			assert_int_equal(a.used, 0);
		}
	}
	arena_fini(&a);
	arena_clear(&a);
	assert_null(a.last);
}

/* Whether the kernel knows the wish or not, everything else about the thread stays. */
static void turns_keep_the_rest(void **state)
{
	(void)state;
	struct sched_attr before = {0}, after = {0};
	assert_int_equal(syscall(SYS_sched_getattr, 0, &before, sizeof(before), 0u), 0);
	thread_turns(200);
	assert_int_equal(syscall(SYS_sched_getattr, 0, &after, sizeof(after), 0u), 0);
	assert_int_equal(after.sched_policy, before.sched_policy);
	assert_int_equal(after.sched_nice, before.sched_nice);
	assert_int_equal(after.sched_flags, before.sched_flags);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(str_compares),
	    cmocka_unit_test(str_cuts),
	    cmocka_unit_test(str_next_gives_pieces),
	    cmocka_unit_test(str_copy_needs_room),
	    cmocka_unit_test(utf8_follows_rfc_3629),
	    cmocka_unit_test(buf_stops_at_max),
	    cmocka_unit_test(buf_grows_and_drops),
	    cmocka_unit_test(arena_has_a_cap),
	    cmocka_unit_test(arena_makes_strings),
	    cmocka_unit_test(args_travel),
	    cmocka_unit_test(hex_is_strict),
	    cmocka_unit_test(base64_is_strict),
	    cmocka_unit_test(ct_compares_and_wipes),
	    cmocka_unit_test(numbers_are_whole),
	    cmocka_unit_test(sizes_and_durations_have_units),
	    cmocka_unit_test(numbers_for_people),
	    cmocka_unit_test(arena_is_cleared),
	    cmocka_unit_test(turns_keep_the_rest),
	    cmocka_unit_test(mem_zeroes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
