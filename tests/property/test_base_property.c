/* rooms: base */
/* Properties of names, numbers, text forms and lists over random input. The seed is fixed, so that
 * a failure can be repeated; SLIPWAY_SEED in the environment tries another. */
#include "base/args.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/log.h"
#include "base/name.h"
#include "base/num.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ROUNDS 20000

static uint64_t seed;

/* splitmix64 */
static uint64_t draw(uint64_t below)
{
	uint64_t z = (seed += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % below;
}

/* Mostly what names are made of, with the bytes that make trouble mixed in. */
static struct str draw_text(char *out, size_t max)
{
	static const char likely[] = "abcxyz019-._/ABZ_";
	static const char trouble[] = "\0\n\r\t \"'\\;{}%$~^:?*[]@#\x7f\x80\xc2\xe2\x80\xae\xff";
	size_t n = (size_t)draw(max + 1);
	uint64_t evil = draw(3);
	for (size_t i = 0; i < n; i++)
		out[i] = evil && draw(8) < evil ? trouble[draw(sizeof(trouble) - 1)]
						: likely[draw(sizeof(likely) - 1)];
	return (struct str){out, n};
}

static bool only(struct str s, const char *set)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || !strchr(set, s.p[i]))
			return false;
	return true;
}

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGIT "0123456789"

/* Whatever is let through can stand in a path, a unit's name and a vhost. */
static void accepted_names_are_harmless(void **state)
{
	(void)state;
	static const struct {
		int (*judge)(struct str s, struct err *e);
		const char *alphabet;
		size_t max;
		bool component; /* never "." or "..", never holds '/' */
	} table[] = {
	    {name_project, LOWER DIGIT "-", 29, true},
	    {name_process, LOWER DIGIT, 16, true},
	    {name_hook, LOWER DIGIT "-", 63, true},
	    {name_operator, LOWER DIGIT "._-", 32, true},
	    {name_domain, LOWER DIGIT ".-", 253, true},
	    {name_env_key, LOWER UPPER DIGIT "_", 128, true},
	    {name_commit, "abcdef" DIGIT, 64, true},
	    {name_url_prefix, LOWER UPPER DIGIT "._~-/", 200, false},
	};
	size_t accepted = 0;
	char text[40];
	for (int round = 0; round < ROUNDS; round++) {
		struct str s = draw_text(text, round % 2 ? sizeof(text) : 5);
		for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
			if (table[i].judge(s, NULL) != 0)
				continue;
			accepted++;
			assert_true(s.n > 0 && s.n <= table[i].max && only(s, table[i].alphabet));
			assert_false(table[i].component && (str_eq_c(s, ".") || str_eq_c(s, "..")));
			assert_true(s.p[0] != '-' && s.p[0] != '.');
		}
	}
	assert_true(accepted > 100);
}

static void accepted_paths_stay_inside(void **state)
{
	(void)state;
	char text[24];
	size_t accepted = 0;
	for (int round = 0; round < ROUNDS; round++) {
		struct str s = draw_text(text, sizeof(text)), part;
		if (name_subpath(s, NULL) == 0) {
			accepted++;
			assert_true(str_find(s, '\0', 0) == SIZE_MAX);
			for (struct str rest = s; str_next(&rest, '/', &part);)
				assert_false(
				    part.n == 0 || str_eq_c(part, ".") || str_eq_c(part, ".."));
		}
		if (name_ref(s, NULL) == 0) {
			accepted++;
			assert_true(s.p[0] != '-' && s.p[0] != '/' && str_utf8_ok(s) &&
				    !str_contains(s, STR("..")));
			assert_false(str_contains(s, STR("//")) || str_contains(s, STR("/.")));
		}
	}
	assert_true(accepted > 100);
}

/* Every refusal says something that a terminal can be shown. */
static void refusals_can_be_shown(void **state)
{
	(void)state;
	int (*const judges[])(struct str s, struct err * e) = {name_project, name_process,
	    name_hook, name_operator, name_domain, name_env_key, name_ref, name_commit,
	    name_subpath, name_url_prefix};
	char text[400];
	for (int round = 0; round < ROUNDS / 4; round++) {
		struct str s = draw_text(text, round % 2 ? sizeof(text) : 12);
		for (size_t i = 0; i < sizeof(judges) / sizeof(*judges); i++) {
			struct err e;
			if (judges[i](s, &e) == 0)
				continue;
			assert_int_equal(e.code, ERR_INVALID);
			assert_true(e.msg[0] != '\0' && str_utf8_ok(str_c(e.msg)));
			for (const char *c = e.msg; *c; c++)
				assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
		}
	}
}

/* Escaped text is one printable line, and escaping what is plain changes nothing. */
static void escapes_are_plain(void **state)
{
	(void)state;
	char text[64], out[1024], cut[64];
	for (int round = 0; round < ROUNDS; round++) {
		struct str s = draw_text(text, sizeof(text));
		size_t n = log_escape(s, out, sizeof(out));
		assert_true(n == strlen(out) && str_utf8_ok((struct str){out, n}));
		for (size_t i = 0; i < n; i++)
			assert_true((unsigned char)out[i] >= ' ' && out[i] != 0x7f);
		size_t size = (size_t)draw(sizeof(cut)) + 1, m = log_escape(s, cut, size);
		assert_true(m < size && m == strlen(cut) && memcmp(cut, out, m) == 0 &&
			    (m == n || n >= size));
		if (only(s, LOWER UPPER DIGIT "-._/ "))
			assert_true(str_eq(s, (struct str){out, n}));
	}
}

static void numbers_come_back(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		char text[40];
		uint64_t raw = draw(UINT64_MAX) >> draw(64), u = 0;
		int64_t want = (int64_t)raw, i = 0;
		snprintf(text, sizeof(text), "%" PRIu64, raw);
		assert_true(num_u64(str_c(text), 0, UINT64_MAX, &u) && u == raw);
		assert_false(raw > 0 && num_u64(str_c(text), 0, raw - 1, &u));
		snprintf(text, sizeof(text), "%" PRId64, want);
		assert_true(num_i64(str_c(text), INT64_MIN, INT64_MAX, &i) && i == want);
		/* what is accepted is its own printed form */
		struct str s = draw_text(text, 4);
		char back[24];
		if (num_i64(s, INT64_MIN, INT64_MAX, &i)) {
			snprintf(back, sizeof(back), "%" PRId64, i);
			assert_true(str_eq_c(s, back));
		}
	}
}

static void times_come_back(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t ms = (int64_t)draw(253402300800000u + 62167219200000u) - 62167219200000,
			back = 0;
		char text[32], words[48];
		clock_format(ms, text);
		assert_true(clock_parse(str_c(text), &back) && back == ms);
		text[draw(24)] = (char)draw(256);
		if (!clock_parse((struct str){text, 24}, &back))
			back = 0;
		clock_ago(ms, back, words);
	}
}

static void encodings_come_back(void **state)
{
	(void)state;
	struct buf text CLEANUP_BUF, back CLEANUP_BUF;
	buf_init(&text, 400);
	buf_init(&back, 400);
	for (int round = 0; round < ROUNDS; round++) {
		char bytes[64], hex[129], again[64];
		struct str s = draw_text(bytes, sizeof(bytes));
		hex_encode(s.p, s.n, hex);
		assert_true(hex_decode(str_c(hex), again, s.n) && memcmp(again, s.p, s.n) == 0);
		buf_clear(&text);
		buf_clear(&back);
		base64_encode(s.p, s.n, &text);
		assert_true(base64_decode(buf_view(&text), &back) && str_eq(buf_view(&back), s));
		/* strict: what decodes at all is what encoding gives */
		buf_clear(&back);
		if (base64_decode(s, &back)) {
			buf_clear(&text);
			base64_encode(back.p, back.n, &text);
			assert_true(str_eq(buf_view(&text), s));
		}
	}
}

static void lists_come_back(void **state)
{
	(void)state;
	struct buf packed CLEANUP_BUF;
	buf_init(&packed, 4096);
	for (int round = 0; round < ROUNDS / 4; round++) {
		char bytes[8][32];
		struct str v[8];
		struct args list = {v, (size_t)draw(9)}, back;
		struct arena a CLEANUP_ARENA;
		bool whole = true;
		arena_init(&a, 4096);
		buf_clear(&packed);
		for (size_t i = 0; i < list.n; i++) {
			v[i] = draw_text(bytes[i], sizeof(bytes[i]));
			whole = whole && str_find(v[i], '\0', 0) == SIZE_MAX;
		}
		args_pack_all(&packed, &list);
		assert_int_equal(packed.full, !whole);
		if (!whole)
			continue;
		assert_int_equal(args_unpack(buf_view(&packed), 8, &a, &back, NULL), 0);
		assert_int_equal(back.n, list.n);
		for (size_t i = 0; i < list.n; i++)
			assert_true(str_eq(back.v[i], v[i]));
	}
}

static int set_seed(void **state)
{
	(void)state;
	const char *other = getenv("SLIPWAY_SEED");
	seed = 20261120;
	if (other && !num_u64(str_c(other), 0, UINT64_MAX, &seed))
		return -1;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(accepted_names_are_harmless, set_seed),
	    cmocka_unit_test_setup(accepted_paths_stay_inside, set_seed),
	    cmocka_unit_test_setup(refusals_can_be_shown, set_seed),
	    cmocka_unit_test_setup(escapes_are_plain, set_seed),
	    cmocka_unit_test_setup(numbers_come_back, set_seed),
	    cmocka_unit_test_setup(times_come_back, set_seed),
	    cmocka_unit_test_setup(encodings_come_back, set_seed),
	    cmocka_unit_test_setup(lists_come_back, set_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
