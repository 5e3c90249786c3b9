/* rooms: base */
/* err, log, clock, counters and rand: what is told to people and machines. */
#include "base/clock.h"
#include "base/counters.h"
#include "base/io.h"
#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LENGTH(a) (sizeof(a) / sizeof(*(a)))

static void classes_are_complete(void **state)
{
	(void)state;
	for (int c = 0; c < ERR_CODE_COUNT; c++) {
		const struct err_class *k = err_class_of((enum err_code)c);
		assert_non_null(k->name);
		assert_non_null(k->title);
		assert_true(k->http_status >= 200 && k->http_status < 600);
		assert_true(c == ERR_NONE ? k->exit_code == 0 : k->exit_code > 0);
		for (int d = 0; d < c; d++)
			assert_string_not_equal(k->name, err_class_of((enum err_code)d)->name);
	}
	assert_int_equal(err_class_of(ERR_PRECONDITION)->http_status, 412);
	assert_int_equal(err_class_of(ERR_PRECONDITION)->exit_code, 75);
	assert_int_equal(err_class_of(ERR_FAILED)->http_status, 422);
	assert_int_equal(err_class_of(ERR_USAGE)->exit_code, 64);
	assert_int_equal(err_class_of(ERR_UNAVAILABLE)->retry, ERR_RETRY_LATER);
	assert_ptr_equal(err_class_of((enum err_code)999), err_class_of(ERR_INTERNAL));
}

static void errors_are_filled(void **state)
{
	(void)state;
	struct err e;
	err_clear(&e);
	assert_int_equal(err_set(&e, ERR_NOT_FOUND, "project '%s' does not exist", "shop"), -1);
	assert_int_equal(err_hint(&e, "see %s", "slipway list"), -1);
	assert_int_equal(err_at(&e, "/processes/%d", 3), -1);
	assert_int_equal(err_prefix(&e, "deploy %d", 7), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "deploy 7: project 'shop' does not exist");
	assert_string_equal(e.hint, "see slipway list");
	assert_string_equal(e.pointer, "/processes/3");
	err_set(&e, ERR_IO, "%s, again", e.msg); /* from itself */
	assert_string_equal(e.msg, "deploy 7: project 'shop' does not exist, again");
	assert_string_equal(e.hint, "");
	assert_string_equal(e.pointer, "");
	err_sys(&e, ERR_IO, ENOENT, "could not open '%s'", "x");
	assert_string_equal(e.msg, "could not open 'x': No such file or directory");
	assert_int_equal(e.sys, ENOENT);
	err_sys(&e, ERR_IO, ENOSPC, "could not write");
	assert_int_equal(e.code, ERR_NO_SPACE);
	err_sys(&e, ERR_IO, EDQUOT, "could not write");
	assert_int_equal(e.code, ERR_NO_SPACE);
	err_sys(&e, ERR_IO, 0, "no reason");
	assert_string_equal(e.msg, "no reason");
	assert_int_equal(err_set(NULL, ERR_IO, "x"), -1);
	assert_int_equal(err_sys(NULL, ERR_IO, 1, "x"), -1);
	assert_int_equal(err_hint(NULL, "x") + err_at(NULL, "x") + err_prefix(NULL, "x"), -3);
	err_clear(NULL);
}

static void long_messages_end_between_characters(void **state)
{
	(void)state;
	struct err e;
	for (int pad = 0; pad < 8; pad++) {
		char text[1024] = "";
		memset(text, 'x', (size_t)pad);
		for (size_t n = (size_t)pad; n < 1000; n += 4)
			memcpy(text + n, "\xf0\x9f\x98\x80", 4);
		err_set(&e, ERR_IO, "%s", text);
		assert_true(str_utf8_ok(str_c(e.msg)));
		assert_true(strlen(e.msg) > 500);
		err_prefix(&e, "front");
		assert_true(str_utf8_ok(str_c(e.msg)));
	}
}

static void escapes_what_could_deceive(void **state)
{
	(void)state;
	static const struct {
		struct str in;
		const char *out;
	} table[] = {
	    {STR(""), ""},
	    {STR("plain"), "plain"},
	    {STR("a b"), "a b"},
	    {STR("a\nb\r\t"), "a\\nb\\r\\t"},
	    {STR("\0\x1b[31m\x7f"), "\\x00\\x1b[31m\\x7f"},
	    {STR("say \"x\" \\"), "say \\\"x\\\" \\\\"},
	    {STR("gr\xc3\xbc\xc3\x9f"
		 "e \xe2\x82\xac"),
		"gr\xc3\xbc\xc3\x9f"
		"e \xe2\x82\xac"},
	    {STR("\xe2\x80\xae"
		 "cod.exe"),
		"\\u{202e}cod.exe"},
	    {STR("\xe2\x81\xa6"), "\\u{2066}"},
	    {STR("\xd8\x9c"), "\\u{61c}"},
	    {STR("\xe2\x80\xa8"), "\\u{2028}"},
	    {STR("\xc2\x9b"
		 "31m"),
		"\\u{9b}31m"},
	    {STR("\xef\xbb\xbf"), "\\u{feff}"},
	    {STR("\xff\xfe"), "\\xff\\xfe"},
	    {STR("\xc0\x80"), "\\xc0\\x80"},
	    {STR("\xed\xa0\x80"), "\\xed\\xa0\\x80"},
	    {STR("\xe2\x82"), "\\xe2\\x82"},
	    {STR("\xf3\xa0\x81\x81"), "\\u{e0041}"},
	};
	char out[128];
	for (size_t i = 0; i < LENGTH(table); i++) {
		size_t n = log_escape(table[i].in, out, sizeof(out));
		assert_string_equal(out, table[i].out);
		assert_int_equal(n, strlen(out));
	}
}

static void escape_cuts_between_escapes(void **state)
{
	(void)state;
	char out[8];
	assert_int_equal(log_escape(STR("abc\x01"
					"d"),
			     out, 7),
	    3);
	assert_string_equal(out, "abc");
	assert_int_equal(log_escape(STR("abc\x01"
					"d"),
			     out, 8),
	    7);
	assert_string_equal(out, "abc\\x01");
	assert_int_equal(log_escape(STR("ab\xe2\x82\xac"), out, 5), 2);
	assert_int_equal(log_escape(STR("abc"), out, 1), 0);
	assert_string_equal(out, "");
	assert_int_equal(log_escape(STR("abc"), out, 0), 0);
}

static int64_t fixed_wall_ms(void)
{
	return 1795172999123;
}

static void logs_one_line(void **state)
{
	(void)state;
	struct io io = io_real;
	io.wall_ms = fixed_wall_ms;
	io_set(&io);
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	log_open(LOG_INFO, ends[1]);
	log_event(LOG_DEBUG, "queue", "unseen", F_I64("task", 1));
	log_event(LOG_INFO, "queue", "task_started", F_I64("task", 12), F_C("project", "shop"));
	struct err e;
	err_set(&e, ERR_IO, "bad\nthing");
	errno = 77;
	log_event(LOG_ERROR, "queue", "failed", F_ERR(&e), F_C("eq", "a=b"),
	    ((struct log_field){.key = "took", .type = LOG_T_MS, .i = 5}));
	assert_int_equal(errno, 77);
	log_open(LOG_INFO, STDERR_FILENO);
	io_set(NULL);
	char text[1024] = "";
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text,
	    "2026-11-20T11:09:59.123Z info queue task_started task=12 project=shop\n"
	    "2026-11-20T11:09:59.123Z error queue failed error=\"bad\\nthing\" hint=\"\" errno=0 "
	    "eq=\"a=b\" took=5ms\n");
	close(ends[0]);
	close(ends[1]);
}

static void a_huge_line_is_still_one_line(void **state)
{
	(void)state;
	int ends[2];
	char big[5000], text[8192];
	memset(big, '\n', sizeof(big));
	struct str s = {big, sizeof(big)};
	assert_int_equal(pipe(ends), 0);
	log_open(LOG_DEBUG, ends[1]);
	log_event(LOG_DEBUG, "m", "e", F_STR("a", s), F_STR("b", s), F_STR("c", s), F_STR("d", s),
	    F_STR("e", s), F_I64("last", 1));
	log_open(LOG_INFO, STDERR_FILENO);
	ssize_t n = read(ends[0], text, sizeof(text));
	assert_true(n > 3000 && n <= 4096);
	assert_ptr_equal(memchr(text, '\n', (size_t)n), text + n - 1);
	close(ends[0]);
	close(ends[1]);
	enum log_level level;
	assert_true(log_level_parse(STR("warn"), &level) && level == LOG_WARN);
	assert_false(log_level_parse(STR("WARN"), &level));
}

static void times_are_rfc_3339(void **state)
{
	(void)state;
	static const struct {
		const char *s;
		int64_t ms;
	} good[] = {{"1970-01-01T00:00:00Z", 0}, {"1970-01-01T00:00:00.5Z", 500},
	    {"1970-01-01T01:00:00+01:00", 0}, {"1969-12-31T19:00:00-05:00", 0},
	    {"1969-12-31T23:59:59.999Z", -1}, {"2026-11-20t11:09:59.123456789z", 1795172999123},
	    {"2024-02-29T00:00:00Z", 1709164800000}, {"2016-12-31T23:59:60Z", 1483228800000},
	    {"9999-12-31T23:59:59.999Z", 253402300799999},
	    {"0000-01-01T00:00:00Z", -62167219200000}};
	static const struct str bad[] = {STR(""), STR("2026-11-20"), STR("2026-11-20T11:09:59"),
	    STR("2026-11-20 11:09:59Z"), STR("2026-13-20T11:09:59Z"), STR("2026-00-20T11:09:59Z"),
	    STR("2026-02-29T11:09:59Z"), STR("1900-02-29T11:09:59Z"), STR("2026-11-31T11:09:59Z"),
	    STR("2026-11-20T24:00:00Z"), STR("2026-11-20T11:60:00Z"), STR("2026-11-20T11:09:61Z"),
	    STR("2026-11-20T11:09:59.Z"), STR("2026-11-20T11:09:59+0100"),
	    STR("2026-11-20T11:09:59+24:00"), STR("2026-11-20T11:09:59+01:60"),
	    STR("2026-11-20T11:09:59Zx"), STR("2026-11-20T11:09:59Z\0"),
	    STR("-026-11-20T11:09:59Z"), STR("2026-11-2\xd9\xa1T11:09:59Z"),
	    STR("+2026-11-20T11:09:59Z")};
	for (size_t i = 0; i < LENGTH(good); i++) {
		int64_t ms = 0;
		char text[32];
		assert_true(clock_parse(str_c(good[i].s), &ms));
		assert_true(ms == good[i].ms);
		clock_format(ms, text);
		assert_true(clock_parse(str_c(text), &ms) && ms == good[i].ms);
		assert_int_equal(strlen(text), 24);
	}
	for (size_t i = 0; i < LENGTH(bad); i++) {
		int64_t ms;
		if (clock_parse(bad[i], &ms))
			fail_msg("row %zu", i);
	}
	char text[32];
	clock_format(INT64_MAX, text);
	assert_string_equal(text, "9999-12-31T23:59:59.999Z");
	clock_format(INT64_MIN, text);
	assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void ago_reads_well(void **state)
{
	(void)state;
	static const struct {
		int64_t now, then;
		const char *text;
	} table[] = {{1000, 500, "just now"}, {1000, 1500, "just now"}, {1000, 0, "1 second ago"},
	    {200000, 0, "3 minutes ago"}, {0, 7200000, "in 2 hours"}, {86400000, 0, "1 day ago"},
	    {0, 31536000000, "in 1 year"}, {86400000ll * 60, 0, "2 months ago"}};
	char out[48];
	for (size_t i = 0; i < LENGTH(table); i++) {
		clock_ago(table[i].now, table[i].then, out);
		assert_string_equal(out, table[i].text);
	}
	clock_ago(INT64_MAX, INT64_MIN, out);
	clock_ago(INT64_MIN, INT64_MAX, out);
	int64_t a = clock_mono_us(), b = clock_mono_us();
	assert_true(b >= a && a > 0);
	assert_true(clock_wall_ms() > 1700000000000);
}

static void counters_count(void **state)
{
	(void)state;
	for (int c = 0; c < COUNTER_COUNT; c++) {
		assert_true(str_starts(str_c(counter_name((enum counter)c)), STR("slipway_")));
		assert_true(str_ends(str_c(counter_name((enum counter)c)), STR("_total")));
		assert_non_null(counter_help((enum counter)c));
		assert_int_equal(counter_get((enum counter)c), 0);
	}
	counter_add(COUNTER_TASKS_DONE, 2);
	counter_add(COUNTER_TASKS_DONE, 3);
	assert_int_equal(counter_get(COUNTER_TASKS_DONE), 5);
}

static void random_is_within_bounds(void **state)
{
	(void)state;
	bool seen[7] = {false};
	for (int i = 0; i < 2000; i++) {
		uint64_t v = rand_below(7);
		assert_true(v < 7);
		seen[v] = true;
	}
	for (int i = 0; i < 7; i++)
		assert_true(seen[i]);
	assert_int_equal(rand_below(1), 0);
	assert_true(rand_below(UINT64_MAX) < UINT64_MAX);
	char a[RAND_TOKEN_SIZE], b[RAND_TOKEN_SIZE];
	rand_token(a);
	rand_token(b);
	assert_int_equal(strlen(a), 43);
	assert_string_not_equal(a, b);
	assert_int_equal(
	    strspn(a, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(classes_are_complete),
	    cmocka_unit_test(errors_are_filled),
	    cmocka_unit_test(long_messages_end_between_characters),
	    cmocka_unit_test(escapes_what_could_deceive),
	    cmocka_unit_test(escape_cuts_between_escapes),
	    cmocka_unit_test(logs_one_line),
	    cmocka_unit_test(a_huge_line_is_still_one_line),
	    cmocka_unit_test(times_are_rfc_3339),
	    cmocka_unit_test(ago_reads_well),
	    cmocka_unit_test(counters_count),
	    cmocka_unit_test(random_is_within_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
