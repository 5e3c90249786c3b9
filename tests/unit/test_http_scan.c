/* rooms: base loop crypto text http */
/* The raw scan and the parser's adapter on smuggling and malformed requests, whole and byte by
 * byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "http/scan.h"
#include "http/wire.h"

#include <stdlib.h>
#include <string.h>

/* What the server makes of these bytes: OK with where the request ends, or why not. */
static enum http_scan judge(struct str s, struct http_head *h, size_t *ret_end)
{
	size_t at = 0, used = 0;
	const char *why = NULL;
	enum http_scan r = http_scan_end(s.p, s.n, &at, &why);
	if (r != HTTP_SCAN_OK)
		return r;
	r = http_scan_head(s.p, at, h);
	if (r != HTTP_SCAN_OK)
		return r;
	*ret_end = at;
	if (h->chunked) {
		struct http_chunks c = {0};
		r = http_scan_chunks(&c, s.p + at, s.n - at, &used, &why);
		*ret_end = at + used;
	}
	return r;
}

/* The same with the head's end looked for and the chunks given one byte at a time. */
static enum http_scan judge_slowly(struct str s, struct http_head *h, size_t *ret_end)
{
	size_t at = 0;
	const char *why = NULL;
	enum http_scan r = HTTP_SCAN_MORE;
	for (size_t n = 1; n <= s.n && r == HTTP_SCAN_MORE; n++)
		r = http_scan_end(s.p, n, &at, &why);
	if (r != HTTP_SCAN_OK)
		return r;
	r = http_scan_head(s.p, at, h);
	*ret_end = at;
	if (r != HTTP_SCAN_OK || !h->chunked)
		return r;
	struct http_chunks c = {0};
	for (r = HTTP_SCAN_MORE; *ret_end < s.n && r == HTTP_SCAN_MORE; (*ret_end)++) {
		size_t used;
		r = http_scan_chunks(&c, s.p + *ret_end, 1, &used, &why);
	}
	return r;
}

#define G "GET / HTTP/1.1\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"
#define H "Host: a\r\n"
#define C P "Transfer-Encoding: chunked\r\n\r\n"
#define BAD(name, bytes)                                                                           \
	{                                                                                          \
		name, STR(bytes), HTTP_SCAN_BAD, 0                                                 \
	}
#define GOOD(name, bytes, rest)                                                                    \
	{                                                                                          \
		name, STR(bytes), HTTP_SCAN_OK, rest                                               \
	}

static const struct {
	const char *name;
	struct str bytes;
	enum http_scan want;
	size_t rest; /* bytes behind the message, when good */
} cases[] = {
    /* what is fine */
    GOOD("plain", G H "\r\n", 0),
    GOOD("pipelined", G H "\r\n" G, 16),
    GOOD("one blank line before", "\r\n" G H "\r\n", 0),
    GOOD("1.0 without host", "GET / HTTP/1.0\r\n\r\n", 0),
    GOOD("own absolute form", "GET http://a/x HTTP/1.1\r\n" H "\r\n", 0),
    GOOD("own absolute form in capitals", "GET HTTP://A HTTP/1.1\r\n" H "\r\n", 0),
    GOOD("blanks around a value", G "Host: \t a \t\r\n\r\n", 0),
    GOOD("empty value", G H "X:\r\n\r\n", 0),
    GOOD("bytes beyond ascii in a value", G H "X: caf\xc3\xa9\r\n\r\n", 0),
    GOOD("host with port", G "Host: a:80\r\n\r\n", 0),
    GOOD("host in brackets", G "Host: [::1]:8000\r\n\r\n", 0),
    GOOD("length", P "Content-Length: 5\r\n\r\nhello", 5),
    GOOD("chunked in capitals", P "Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", 0),
    GOOD("chunks", C "5\r\nhello\r\n0\r\n\r\nGET", 3),
    GOOD("chunk extension", C "5;a=b;c=\"d\"\r\nhello\r\n0;x\r\n\r\n", 0),
    GOOD("trailer", C "1\r\na\r\n0\r\nX-Sum: 1\r\nY: \r\n\r\n", 0),
    GOOD("leading zeros in a chunk size", C "0001\r\na\r\n000\r\n\r\n", 0),
    GOOD("100-continue", P "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", 0),
    /* lines */
    BAD("bare lf request line", "GET / HTTP/1.1\n" H "\r\n"),
    BAD("bare lf header", G "Host: a\n\r\n"),
    BAD("bare lf behind a longer value", G "Host: abc\n\r\n"),
    BAD("bare lf end", G H "\n"),
    BAD("bare cr in value", G H "X: a\rb\r\n\r\n"),
    BAD("cr cr lf", G "Host: a\r\r\n\r\n"),
    BAD("bare cr before name", G H "\rX: a\r\n\r\n"),
    BAD("nul in value", G H "X: a\0b\r\n\r\n"),
    BAD("nul in name", G H "X\0: a\r\n\r\n"),
    BAD("nul in target", "GET /\0 HTTP/1.1\r\n" H "\r\n"),
    BAD("two blank lines before", "\r\n\r\n" G H "\r\n"),
    BAD("folded with a blank", G H "X: a\r\n b\r\n\r\n"),
    BAD("folded with a tab", G H "X: a\r\n\tb\r\n\r\n"),
    BAD("first header folded", G " " H "\r\n"),
    BAD("folded transfer-encoding", P "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    /* names and values */
    BAD("blank before colon", G "Host : a\r\n\r\n"),
    BAD("tab before colon", P "Content-Length\t: 5\r\n\r\n"),
    BAD("blank before colon of te", P "Transfer-Encoding : chunked\r\n\r\n"),
    BAD("no colon", G H "nonsense\r\n\r\n"),
    BAD("empty name", G H ": a\r\n\r\n"),
    BAD("name with a blank inside", G H "X Y: a\r\n\r\n"),
    BAD("name with a slash", G H "X/Y: a\r\n\r\n"),
    BAD("name with a high byte", G H "X\xc3\xa9: a\r\n\r\n"),
    BAD("name with brackets", G H "X[0]: a\r\n\r\n"),
    BAD("name with a control byte", G H "X\x01: a\r\n\r\n"),
    BAD("control byte in value", G H "X: a\x01\r\n\r\n"),
    BAD("escape in value", G H "X: \x1b[31m\r\n\r\n"),
    BAD("delete in value", G H "X: a\x7f\r\n\r\n"),
    BAD("vertical tab before chunked", P "Transfer-Encoding: \x0b"
					 "chunked\r\n\r\n"),
    BAD("form feed after a length", P "Content-Length: 5\x0c\r\n\r\n"),
    /* framing */
    BAD("te and cl", P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    BAD("cl and te", P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("two cls that differ", P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
    BAD("two cls that agree", P "Content-Length: 5\r\ncontent-length: 5\r\n\r\n"),
    BAD("cl list", P "Content-Length: 5, 5\r\n\r\n"),
    BAD("cl with plus", P "Content-Length: +5\r\n\r\n"),
    BAD("cl negative", P "Content-Length: -5\r\n\r\n"),
    BAD("cl hex", P "Content-Length: 0x5\r\n\r\n"),
    BAD("cl with a blank inside", P "Content-Length: 5 5\r\n\r\n"),
    BAD("cl empty", P "Content-Length:\r\n\r\n"),
    BAD("cl beyond 64 bits", P "Content-Length: 18446744073709551617\r\n\r\n"),
    BAD("cl with a point", P "Content-Length: 5.0\r\n\r\n"),
    BAD("two tes", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    BAD("te list", P "Transfer-Encoding: chunked, chunked\r\n\r\n"),
    BAD("te gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    BAD("te identity", P "Transfer-Encoding: identity\r\n\r\n"),
    BAD("te xchunked", P "Transfer-Encoding: xchunked\r\n\r\n"),
    BAD("te quoted", P "Transfer-Encoding: \"chunked\"\r\n\r\n"),
    BAD("te empty", P "Transfer-Encoding:\r\n\r\n"),
    BAD("te with parameter", P "Transfer-Encoding: chunked;q=1\r\n\r\n"),
    BAD("te on 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    /* host */
    BAD("no host", G "X: a\r\n\r\n"),
    BAD("two hosts", G H H "\r\n"),
    BAD("two hosts that differ", G H "host: b\r\n\r\n"),
    BAD("host empty", G "Host:\r\n\r\n"),
    BAD("host with a slash", G "Host: a/b\r\n\r\n"),
    BAD("host with userinfo", G "Host: u@a\r\n\r\n"),
    BAD("host with a blank", G "Host: a b\r\n\r\n"),
    BAD("host with a bad port", G "Host: a:8x\r\n\r\n"),
    BAD("host with only a port", G "Host: :80\r\n\r\n"),
    BAD("host brackets open", G "Host: [::1\r\n\r\n"),
    BAD("foreign absolute form", "GET http://b/ HTTP/1.1\r\n" H "\r\n"),
    BAD("absolute form with userinfo", "GET http://a@b/ HTTP/1.1\r\n" H "\r\n"),
    BAD("absolute form, ftp", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
    BAD("authority form", "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"),
    BAD("asterisk form", "OPTIONS * HTTP/1.1\r\n" H "\r\n"),
    /* request line */
    BAD("no version (0.9)", "GET /\r\n\r\n"),
    BAD("lower case version", "GET / http/1.1\r\n" H "\r\n"),
    BAD("version HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n"),
    BAD("version HTTP/11", "GET / HTTP/11\r\n" H "\r\n"),
    BAD("two blanks", "GET  / HTTP/1.1\r\n" H "\r\n"),
    BAD("trailing blank", "GET / HTTP/1.1 \r\n" H "\r\n"),
    BAD("leading blank", " GET / HTTP/1.1\r\n" H "\r\n"),
    BAD("tabs", "GET\t/\tHTTP/1.1\r\n" H "\r\n"),
    BAD("target with a fragment", "GET /#a HTTP/1.1\r\n" H "\r\n"),
    BAD("target with a backslash", "GET /\\a HTTP/1.1\r\n" H "\r\n"),
    BAD("target with a high byte", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n"),
    BAD("target without a slash", "GET a HTTP/1.1\r\n" H "\r\n"),
    BAD("method no token", "G@T / HTTP/1.1\r\n" H "\r\n"),
    BAD("tls client hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n\r\n\r\n"),
    {"http/2 preface", STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), HTTP_SCAN_VERSION, 0},
    {"version 1.2", STR("GET / HTTP/1.2\r\n" H "\r\n"), HTTP_SCAN_VERSION, 0},
    {"other expectation", STR(P "Expect: 200-ok\r\n\r\n"), HTTP_SCAN_EXPECTATION, 0},
    /* chunks */
    BAD("chunk size missing", C "\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size hex prefix", C "0x5\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size negative", C "-5\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size with blank", C "5 \r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size with leading blank", C " 5\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size with underscore", C "1_0\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk size huge", C "fffffffff\r\n"),
    BAD("chunk size bare lf", C "5\nhello\r\n0\r\n\r\n"),
    BAD("chunk data bare lf", C "5\r\nhello\n0\r\n\r\n"),
    BAD("chunk data too long", C "5\r\nhelloo\r\n0\r\n\r\n"),
    BAD("chunk extension with lf", C "5;a\nhello\r\n0\r\n\r\n"),
    BAD("chunk extension with cr", C "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    BAD("chunk extension with nul", C "5;a\0\r\nhello\r\n0\r\n\r\n"),
    BAD("last chunk bare lf", C "0\n\n"),
    BAD("trailer without colon", C "0\r\nX\r\n\r\n"),
    BAD("trailer folded", C "0\r\nX: a\r\n b\r\n\r\n"),
    BAD("trailer bare lf", C "0\r\nX: a\n\r\n"),
    BAD("trailer blank before colon", C "0\r\nX : a\r\n\r\n"),
    {"head incomplete", STR(G H), HTTP_SCAN_MORE, 0},
    {"chunks incomplete", STR(C "5\r\nhel"), HTTP_SCAN_MORE, 0},
};

#define CASE_COUNT (sizeof cases / sizeof cases[0])

static void test_cases(void **state)
{
	(void)state;
	struct http_head h;
	for (size_t i = 0; i < CASE_COUNT; i++) {
		size_t end = 0;
		enum http_scan got = judge(cases[i].bytes, &h, &end);
		if (got != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].name, (int)got, (int)cases[i].want);
		if (got == HTTP_SCAN_OK && cases[i].bytes.n - end != cases[i].rest &&
		    !(h.has_length || h.expect_continue))
			fail_msg("%s: %zu bytes left", cases[i].name, cases[i].bytes.n - end);
	}
}

static void test_cases_slowly(void **state)
{
	(void)state;
	struct http_head h;
	for (size_t i = 0; i < CASE_COUNT; i++) {
		size_t end = 0;
		enum http_scan got = judge_slowly(cases[i].bytes, &h, &end);
		if (got != cases[i].want)
			fail_msg("%s: %d, not %d", cases[i].name, (int)got, (int)cases[i].want);
	}
}

static int count_body(void *ctx, const char *p, size_t n)
{
	(void)p;
	*(size_t *)ctx += n;
	return 0;
}

/* Whatever the scan lets through, the parser reads in the same way. */
static void test_parser_agrees(void **state)
{
	(void)state;
	struct http_head h;
	for (size_t i = 0; i < CASE_COUNT; i++) {
		size_t end = 0, body = 0;
		if (cases[i].want != HTTP_SCAN_OK ||
		    judge(cases[i].bytes, &h, &end) != HTTP_SCAN_OK)
			continue;
		struct http_wire w;
		struct http_wire_head wh;
		bool done = false;
		assert_int_equal(
		    http_wire_head(&w, h.method, cases[i].bytes.p, h.size_bytes, &wh), 0);
		assert_true(str_eq(wh.target, h.target));
		assert_int_equal(wh.chunked, h.chunked);
		assert_int_equal(wh.content_length, h.content_length);
		if (!h.chunked)
			continue;
		assert_int_equal(http_wire_body(&w, cases[i].bytes.p + h.size_bytes,
				     end - h.size_bytes, count_body, &body, &done),
		    0);
		assert_true(done);
	}
}

static void test_parts(void **state)
{
	(void)state;
	struct http_head h;
	size_t end;
	struct str s =
	    STR("POST /a%20b/c?x=1&y HTTP/1.1\r\nHost: a.example:80\r\nContent-Length: 12\r\n"
		"Connection: keep-alive, Upgrade\r\nUpgrade: terminal\r\n\r\n");
	assert_int_equal(judge(s, &h, &end), HTTP_SCAN_OK);
	assert_true(str_eq_c(h.method, "POST"));
	assert_true(str_eq_c(h.path, "/a%20b/c"));
	assert_true(str_eq_c(h.query, "x=1&y"));
	assert_true(str_eq_c(h.host, "a.example:80"));
	assert_true(str_eq_c(h.upgrade, "terminal"));
	assert_int_equal(h.content_length, 12);
	assert_int_equal(h.header_count, 4);
	assert_true(h.keep_alive);
	s = STR("GET http://a?q HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n");
	assert_int_equal(judge(s, &h, &end), HTTP_SCAN_OK);
	assert_true(str_eq_c(h.path, "/"));
	assert_true(str_eq_c(h.query, "q"));
	assert_false(h.keep_alive);
	assert_null(h.upgrade.p);
}

static enum http_scan judge_filled(
    const char *before, size_t n, const char *line, size_t lines, const char *after)
{
	CLEANUP_BUF struct buf b;
	buf_init(&b, 1u << 20);
	buf_c(&b, before);
	for (size_t i = 0; i < n; i++)
		buf_char(&b, 'a');
	for (size_t i = 0; i < lines; i++)
		buf_c(&b, line);
	buf_c(&b, after);
	struct http_head h;
	size_t end;
	return judge(buf_view(&b), &h, &end);
}

static void test_limits(void **state)
{
	(void)state;
	const char *end = " HTTP/1.1\r\n" H "\r\n";
	assert_int_equal(judge_filled("GET /", LIMIT_URL_BYTES - 1, "", 0, end), HTTP_SCAN_OK);
	assert_int_equal(judge_filled("GET /", LIMIT_URL_BYTES, "", 0, end), HTTP_SCAN_URL_LONG);
	assert_int_equal(
	    judge_filled(G H, 0, "X: 1\r\n", LIMIT_HEADER_COUNT - 1, "\r\n"), HTTP_SCAN_OK);
	assert_int_equal(
	    judge_filled(G H, 0, "X: 1\r\n", LIMIT_HEADER_COUNT, "\r\n"), HTTP_SCAN_HEAD_LARGE);
	assert_int_equal(
	    judge_filled(G H "X: ", LIMIT_HEADER_BYTES, "", 0, "\r\n\r\n"), HTTP_SCAN_HEAD_LARGE);
	assert_int_equal(
	    judge_filled(G H "X: ", LIMIT_HEADER_BYTES, "", 0, ""), HTTP_SCAN_HEAD_LARGE);
	assert_int_equal(
	    judge_filled(C, 0, "1;abcdefghijklmnopqrstuvwxyz\r\na\r\n", 200, "0\r\n\r\n"),
	    HTTP_SCAN_OK);
	assert_int_equal(
	    judge_filled(C, 0, "1;abcdefghijklmnopqrstuvwxyz\r\na\r\n", 400, "0\r\n\r\n"),
	    HTTP_SCAN_BAD);
	assert_int_equal(
	    judge_filled(C "0\r\n", 0, "X: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n", 400, "\r\n"),
	    HTTP_SCAN_BAD);
}

static void test_answers(void **state)
{
	(void)state;
	struct {
		struct str bytes;
		int want;
	} answers[] = {
	    {STR("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"), 200},
	    {STR("HTTP/1.0 503 No\r\n\r\n"), 503},
	    {STR("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"), 204},
	    {STR("HTTP/1.1 200 OK\r\nContent-"), 0},
	    {STR("HTTP/1.1 2"), 0},
	    {STR("SSH-2.0-OpenSSH_9.2\r\n"), -1},
	    {STR("HTTP/1.1 999 Odd\r\n\r\n"), -1},
	};
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
		assert_int_equal(
		    http_wire_answer(answers[i].bytes.p, answers[i].bytes.n), answers[i].want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_cases),
	    cmocka_unit_test(test_cases_slowly),
	    cmocka_unit_test(test_parser_agrees),
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
