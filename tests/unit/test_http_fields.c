/* rooms: base loop crypto text http */
/* Forms, cookies and percent-encoding of a request; HTML escaping of what comes back. */
#include "http/http.h"
#include "text/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define assert_str(got, want)                                                                      \
	do {                                                                                       \
		struct str got_ = (got);                                                           \
		assert_non_null(got_.p);                                                           \
		assert_int_equal(got_.n, strlen(want));                                            \
		assert_memory_equal(got_.p, want, got_.n);                                         \
	} while (0)

static void test_form(void **state)
{
	struct arena a;
	struct http_header h[] = {
	    {STR("content-type"), STR("application/x-www-form-urlencoded; charset=utf-8")}};
	struct http_request r = {.headers = h,
	    .header_count = 1,
	    .arena = &a,
	    .body = STR("a=1&b=%C3%A6+x%2B&empty=&flag&a=2&%63=d&bad=%zz&cut=%4&nul=%00")};
	(void)state;
	arena_init(&a, 65536);
	assert_str(http_form(&r, "a"), "1");
	assert_str(http_form(&r, "b"), "\xc3\xa6 x+");
	assert_str(http_form(&r, "empty"), "");
	assert_str(http_form(&r, "flag"), "");
	assert_str(http_form(&r, "c"), "d");
	assert_null(http_form(&r, "bad").p);
	assert_null(http_form(&r, "cut").p);
	assert_null(http_form(&r, "nul").p);
	assert_null(http_form(&r, "absent").p);
	h[0].value = STR("multipart/form-data");
	assert_null(http_form(&r, "a").p);
	r.header_count = 0;
	assert_null(http_form(&r, "a").p);
	arena_fini(&a);
}

static void test_cookie(void **state)
{
	const struct http_header h[] = {{STR("X"), STR("session=no")},
	    {STR("cookie"), STR("a=1; session=abc;b=2")},
	    {STR("Cookie"), STR("session=second; late=x=y")}};
	const struct http_request r = {.headers = h, .header_count = 3};
	(void)state;
	assert_str(http_cookie(&r, "session"), "abc");
	assert_str(http_cookie(&r, "late"), "x=y");
	assert_str(http_cookie(&r, "b"), "2");
	assert_null(http_cookie(&r, "sess").p);
	assert_null(http_cookie(&r, "Session").p);
}

static void test_html(void **state)
{
	struct buf b;
	(void)state;
	buf_init(&b, 4096);
	html_escape(&b, STR("<a href='x' & \"y\">\tæ🐦\n\x01\xff\xed\xa0\x80\x7f"));
	assert_str(buf_view(&b),
	    "&lt;a href=&#39;x&#39; &amp; &#34;y&#34;&gt;\tæ🐦\n\xef\xbf\xbd\xef\xbf\xbd"
	    "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_form),
	    cmocka_unit_test(test_cookie), cmocka_unit_test(test_html)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
