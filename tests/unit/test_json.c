/* rooms: base text */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "text/json.h"

#include <string.h>

static void test_read_refuses(void **state)
{
	(void)state;
	static const struct str bad[] = {
	    STR(""),
	    STR("{"),
	    STR("{\"a\":1,}"),
	    STR("{\"a\":1} x"),
	    STR("{\"a\":1,\"a\":2}"),
	    STR("{'a':1}"),
	    STR("[01]"),
	    STR("[1e999]"),
	    STR("[99999999999999999999]"),
	    STR("[NaN]"),
	    STR("[\"\\ud800\"]"),
	    STR("[\"\xff\"]"),
	    STR("[\"\xed\xa0\x80\"]"),
	    STR("[\"a\nb\"]"),
	    STR("[\"\\u0000\"]"),
	    STR("[1]\0"),
	    STR("\xef\xbb\xbf[1]"),
	    STR("// no\n[1]"),
	};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err e;
		CLEANUP_JSON json_t *j = json_read(bad[i], &e);
		if (j != NULL)
			fail_msg("'%.*s' was read", STR_ARG(bad[i]));
		assert_int_equal(e.code, ERR_INVALID);
	}
}

static void test_read_says_where(void **state)
{
	(void)state;
	struct err e;
	assert_null(json_read(STR("{\n  \"a\": tru\n}"), &e));
	assert_non_null(strstr(e.msg, "line 2"));
	assert_null(json_read(STR_NONE, &e));
}

static void test_depth(void **state)
{
	(void)state;
	char deep[202];
	struct err e;
	for (size_t n = 64; n <= 65; n++) {
		memset(deep, '[', n);
		memset(deep + n, ']', n);
		CLEANUP_JSON json_t *j = json_read((struct str){deep, 2 * n}, &e);
		assert_int_equal(j != NULL, n == 64);
	}
	/* Brackets in strings are not nesting. */
	memset(deep, '[', sizeof deep);
	deep[0] = deep[sizeof deep - 1] = '"';
	CLEANUP_JSON json_t *j = json_read((struct str){deep, sizeof deep}, &e);
	assert_non_null(j);
}

static void test_get(void **state)
{
	(void)state;
	struct err e;
	struct str s = STR("before");
	int64_t n = 0;
	bool b = false;
	CLEANUP_JSON json_t *j =
	    json_read(STR("{\"s\":\"\xc3\xa9\",\"n\":-5,\"b\":true,\"z\":null,\"f\":1.5}"), &e);
	assert_non_null(j);
	assert_int_equal(json_get_str(j, "s", &s, &e), 1);
	assert_true(str_eq_c(s, "\xc3\xa9"));
	assert_int_equal(json_get_str(j, "absent", &s, &e), 0);
	assert_int_equal(json_get_str(j, "z", &s, &e), 0);
	assert_true(str_eq_c(s, "\xc3\xa9"));
	assert_int_equal(json_get_str(j, "n", &s, &e), -1);
	assert_string_equal(e.pointer, "/n");
	assert_int_equal(json_get_i64(j, "n", -5, 5, &n, &e), 1);
	assert_int_equal(n, -5);
	assert_int_equal(json_get_i64(j, "n", 0, 5, &n, &e), -1);
	assert_string_equal(e.msg, "'n' must be from 0 to 5");
	assert_int_equal(json_get_i64(j, "f", 0, 5, &n, &e), -1);
	assert_int_equal(json_get_bool(j, "b", &b, &e), 1);
	assert_true(b);
	assert_int_equal(json_get_bool(j, "n", &b, &e), -1);
	CLEANUP_JSON json_t *list = json_read(STR("[1]"), &e);
	assert_int_equal(json_get_str(list, "s", &s, &e), 0);
}

static void test_known_keys(void **state)
{
	(void)state;
	static const char *const keys[] = {"name", "kind", "source", NULL};
	struct err e;
	CLEANUP_JSON json_t *fine = json_read(STR("{\"kind\":1,\"name\":2}"), &e);
	assert_int_equal(json_known_keys(fine, keys, &e), 0);
	CLEANUP_JSON json_t *near = json_read(STR("{\"nmae\":1}"), &e);
	assert_int_equal(json_known_keys(near, keys, &e), -1);
	assert_string_equal(e.hint, "did you mean 'name'?");
	assert_string_equal(e.pointer, "/nmae");
	CLEANUP_JSON json_t *far = json_read(STR("{\"zzzzzzzz\":1}"), &e);
	assert_int_equal(json_known_keys(far, keys, &e), -1);
	assert_string_equal(e.hint, "");
	CLEANUP_JSON json_t *list = json_read(STR("[]"), &e);
	assert_int_equal(json_known_keys(list, keys, &e), -1);
}

static void test_write(void **state)
{
	(void)state;
	CLEANUP_BUF struct buf b;
	struct json_out w;
	buf_init(&b, 4096);
	json_out_init(&w, &b);
	json_open_object(&w, NULL);
	json_put_str(&w, "s", STR("q\"\\/\b\f\n\r\t\x01\x1f\x7f\0."));
	json_put_str(&w, "none", STR_NONE);
	json_put_i64(&w, "n", INT64_MIN);
	json_put_bool(&w, "b", false);
	json_open_array(&w, "a");
	json_open_object(&w, NULL);
	json_close_object(&w);
	json_open_array(&w, NULL);
	json_close_array(&w);
	json_put_i64(&w, NULL, 1);
	json_put_null(&w, NULL);
	json_close_array(&w);
	json_put_raw(&w, "r", STR("{\"x\":1}"));
	json_put_time(&w, "t", 0);
	json_put_time(&w, "u", 1000);
	json_close_object(&w);
	assert_string_equal(b.p,
	    "{\"s\":\"q\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\\u0000.\",\"none\":null,"
	    "\"n\":-9223372036854775808,\"b\":false,\"a\":[{},[],1,null],\"r\":{\"x\":1},"
	    "\"t\":null,\"u\":\"1970-01-01T00:00:01.000Z\"}");
	json_t *back = json_loadb(b.p, b.n, JSON_ALLOW_NUL, NULL);
	assert_non_null(back);
	json_decref(back);
}

static void test_write_utf8(void **state)
{
	(void)state;
	static const struct {
		struct str in;
		const char *out;
	} cases[] = {
	    {STR("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"),
		"\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\""},
	    {STR("a\xff"
		 "b"),
		"\"a\xef\xbf\xbd"
		"b\""},
	    {STR("\xc3"), "\"\xef\xbf\xbd\""},
	    {STR("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	    {STR("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	    {STR("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\""},
	    {STR("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
	    {STR(""), "\"\""},
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		CLEANUP_BUF struct buf b;
		struct json_out w;
		buf_init(&b, 256);
		json_out_init(&w, &b);
		json_put_str(&w, NULL, cases[i].in);
		assert_string_equal(b.p, cases[i].out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_read_refuses),
	    cmocka_unit_test(test_read_says_where),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_get),
	    cmocka_unit_test(test_known_keys),
	    cmocka_unit_test(test_write),
	    cmocka_unit_test(test_write_utf8),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
