/* rooms: base loop crypto text http */
/* Requests and answers over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_world.h"

static void test_keep_alive(void **state)
{
	(void)state;
	struct client c;
	char text[200];
	start(NULL);
	client_open(&c);
	assert_int_equal(ask(&c, GET("/hello")), 200);
	assert_body(&c, "hello");
	assert_string_equal(header(&c, "X-Content-Type-Options", text), "nosniff");
	assert_string_equal(header(&c, "Content-Type", text), "text/plain");
	assert_non_null(header(&c, "Date", text));
	assert_non_null(header(&c, "X-Request-Id", text));
	assert_null(header(&c, "Connection", text));
	assert_int_equal(ask(&c, REQ("POST", "/echo", "Content-Length: 3\r\n") "abc"), 200);
	assert_body(&c, "abc");
	assert_int_equal(ask(&c, REQ("GET", "/hello", "Connection: close\r\n")), 200);
	assert_string_equal(header(&c, "Connection", text), "close");
	assert_ends(&c);
	client_close(&c);
	client_open(&c);
	assert_int_equal(ask(&c, "GET /hello HTTP/1.0\r\n\r\n"), 200);
	assert_ends(&c);
	client_close(&c);
	client_open(&c);
	assert_int_equal(ask(&c, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), 200);
	assert_string_equal(header(&c, "Connection", text), "keep-alive");
	assert_int_equal(ask(&c, "GET /hello HTTP/1.0\r\n\r\n"), 200);
	client_close(&c);
	stop();
}

static void test_pipelining(void **state)
{
	(void)state;
	struct client c;
	start(NULL);
	client_open(&c);
	say_c(&c, GET("/later") REQ("POST", "/echo", "Content-Length: 2\r\n") "ab" GET("/pool")
		      REQ("POST", "/pool-echo",
			  "Transfer-Encoding: chunked\r\n") "1\r\nx\r\n0\r\n\r\n" GET("/pool-later")
			  GET("/hello"));
	assert_int_equal(answer(&c), 202);
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "ab");
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "hello");
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "x");
	assert_int_equal(answer(&c), 202);
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "hello");
	/* Far more than is buffered while a handler works; the server pauses reading and catches
	 * up. */
	struct buf many;
	buf_init(&many, 4u << 20);
	for (int i = 0; i < 20000; i++)
		buf_c(&many, i % 100 == 0 ? GET("/pool") : GET("/hello"));
	size_t sent = 0, got = 0;
	while (got < 20000) {
		ssize_t n = send(c.fd, many.p + sent, many.n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		for (int r; (r = answer_for(&c, false, sent < many.n ? 0 : FOREVER_MS)) == 200;)
			if (++got == 20000)
				break;
	}
	assert_int_equal(sent, many.n);
	buf_fini(&many);
	client_close(&c);
	stop();
}

static void test_slow_bytes(void **state)
{
	(void)state;
	struct client c;
	start(NULL);
	client_open(&c);
	const char *s = REQ(
	    "POST", "/echo", "Transfer-Encoding: chunked\r\n") "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: "
							       "1\r\n\r\n" REQ("POST", "/pool-echo",
								   "Content-Length: 3\r\n") "xyz";
	for (; *s != '\0'; s++) {
		say(&c, (struct str){s, 1});
		usleep(200);
	}
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "abcde");
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "xyz");
	client_close(&c);
	stop();
}

static void test_bodies(void **state)
{
	(void)state;
	struct client c;
	char *mega = calloc(1, (2u << 20) + 1);
	memset(mega, 'm', 2u << 20);
	start(NULL);
	client_open(&c);
	say_c(&c, REQ("POST", "/echo", "Content-Length: 1048576\r\n"));
	say(&c, (struct str){mega, 1048576});
	assert_int_equal(answer(&c), 200);
	assert_int_equal(c.body.n, 1048576);
	assert_int_equal(
	    ask(&c, REQ("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 2\r\n")), 100);
	assert_int_equal(ask(&c, "ok"), 200);
	assert_body(&c, "ok");
	say_c(&c, REQ("POST", "/file", "Content-Length: 2097152\r\n"));
	say(&c, (struct str){mega, 2097152});
	assert_int_equal(answer(&c), 200);
	assert_body(&c, "2097152 mmmmm 0");
	assert_int_equal(ask(&c, REQ("POST", "/file",
				     "Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n0\r\n\r\n"),
	    200);
	assert_body(&c, "5 hello 0");
	/* Too large: said at the head, and in the middle of a chunked one. */
	assert_int_equal(
	    ask(&c, REQ("POST", "/echo", "Expect: 100-continue\r\nContent-Length: 1048577\r\n")),
	    413);
	assert_ends(&c);
	client_close(&c);
	client_open(&c);
	say_c(&c, REQ("POST", "/echo", "Transfer-Encoding: chunked\r\n") "100001\r\n");
	say(&c, (struct str){mega, 0x100001});
	assert_int_equal(answer(&c), 413);
	client_close(&c);
	client_open(&c);
	assert_int_equal(ask(&c, REQ("GET", "/hello", "Content-Length: 1\r\n") "x"), 413);
	client_close(&c);
	client_open(&c);
	assert_int_equal(ask(&c, REQ("GET", "/hello", "Content-Length: 0\r\n")), 200);
	assert_int_equal(
	    ask(&c, REQ("GET", "/hello", "Transfer-Encoding: chunked\r\n") "0\r\n\r\n"), 200);
	client_close(&c);
	stop();
	free(mega);
}

static void test_routes(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		int status;
		const char *body;
	} cases[] = {
	    {GET("/p/one/x/two?q=a%20b+c&r"), 200, "[one][two][a b c]+"},
	    {GET("/p/a%2Fb/x/%C3%A9?x=1&q"), 200, "[a/b][\xc3\xa9][]+"},
	    {GET("/p/a%00/x/b"), 200, "[][b][]-"},
	    {GET("/p/a%zz/x/b"), 200, "[][b][]-"},
	    {GET("/p/a%4/x/b"), 200, "[][b][]-"},
	    {GET("/p/known/x/1"), 200, "hello"},
	    {REQ("DELETE", "/p/one", ""), 200, NULL},
	    {GET("/p//x/b"), 404, NULL},
	    {GET("/p/a/x/b/"), 404, NULL},
	    {GET("/p/a/x"), 404, NULL},
	    {GET("/hello/"), 404, NULL},
	    {GET("//hello"), 404, NULL},
	    {GET("/"), 404, NULL},
	    {GET("/t/"), 200, ""},
	    {GET("/t/a/b/c.js"), 200, "a/b/c.js"},
	    {"GET http://a/hello HTTP/1.1\r\nHost: a\r\n\r\n", 200, "hello"},
	    {GET("/echo"), 405, NULL},
	};
	struct client c;
	char text[200];
	start(NULL);
	client_open(&c);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		if (ask(&c, cases[i].request) != cases[i].status)
			fail_msg("%s: %d", cases[i].request, c.status);
		if (cases[i].body != NULL)
			assert_body(&c, cases[i].body);
	}
	assert_string_equal(header(&c, "Allow", text), "POST, PUT");
	assert_string_equal(header(&c, "Content-Type", text), "application/problem+json");
	assert_int_equal(ask(&c, REQ("POST", "/hello", "")), 405);
	assert_string_equal(header(&c, "Allow", text), "GET, HEAD");
	assert_int_equal(ask(&c, REQ("OPTIONS", "/hello", "")), 405);
	assert_ends(&c);
	client_close(&c);
	stop();
}

static void test_answers(void **state)
{
	(void)state;
	struct client c;
	char text[200];
	start(NULL);
	client_open(&c);
	say_c(&c, REQ("HEAD", "/hello", ""));
	assert_int_equal(answer_for(&c, true, FOREVER_MS), 200);
	assert_string_equal(header(&c, "Content-Length", text), "5");
	say_c(&c, REQ("HEAD", "/absent", ""));
	assert_int_equal(answer_for(&c, true, FOREVER_MS), 404);
	assert_int_equal(ask(&c, GET("/empty")), 204);
	assert_null(header(&c, "Content-Length", text));
	assert_null(header(&c, "Content-Type", text));
	assert_string_equal(header(&c, "ETag", text), "\"1\"");
	assert_int_equal(ask(&c, GET("/fail")), 400);
	assert_non_null(
	    memmem(c.body.p, c.body.n, "\"detail\":\"the name 'a\\\"b' is not allowed\"", 41));
	assert_non_null(memmem(c.body.p, c.body.n, "\"errors\":[{\"pointer\":\"/name\",", 29));
	assert_int_equal(ask(&c, REQ("GET", "/hello", "X-Deny: 1\r\n")), 401);
	assert_string_equal(header(&c, "WWW-Authenticate", text), "Bearer");
	assert_int_equal(ask(&c, REQ("GET", "/pool", "X-Deny: 1\r\n")), 401);
	assert_int_equal(ask(&c, GET("/big")), 200);
	assert_int_equal(c.body.n, 8u << 20);
	assert_int_equal(ask(&c, GET("/who")), 200);
	assert_body(&c, "0 0 0 127.0.0.1");
	client_close(&c);
	client_open_unix(&c);
	(void)snprintf(text, sizeof text, "1 %u %d ", getuid(), getpid());
	assert_int_equal(ask(&c, GET("/who")), 200);
	assert_body(&c, text);
	client_close(&c);
	stop();
}

static void test_refusals(void **state)
{
	(void)state;
	static const struct {
		const char *request;
		int status;
	} cases[] = {
	    {"GET /hello HTTP/1.1\nHost: a\n\n", 400},
	    {"GET /hello HTTP/1.1\r\n\r\n", 400},
	    {REQ("POST", "/echo",
		 "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n") "0\r\n\r\n" GET("/hello"),
		400},
	    {REQ("POST", "/echo", "Transfer-Encoding: chunked\r\n") "3\nabc\n0\r\n\r\n" GET(
		 "/hello"),
		400},
	    {"GET /hello HTTP/2.0\r\nHost: a\r\n\r\n", 505},
	    {REQ("GET", "/hello", "Expect: x\r\n"), 417},
	};
	struct client c;
	char text[200];
	start(NULL);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		client_open(&c);
		if (ask(&c, cases[i].request) != cases[i].status)
			fail_msg("%s: %d", cases[i].request, c.status);
		assert_string_equal(header(&c, "Connection", text), "close");
		assert_string_equal(header(&c, "X-Content-Type-Options", text), "nosniff");
		assert_ends(&c);
		client_close(&c);
	}
	assert_int_equal(atomic_load(&w.handled), 0);
	stop();
}

int main(void)
{
	log_open(LOG_ERROR, 2);
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_keep_alive),
	    cmocka_unit_test(test_pipelining),
	    cmocka_unit_test(test_slow_bytes),
	    cmocka_unit_test(test_bodies),
	    cmocka_unit_test(test_routes),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
