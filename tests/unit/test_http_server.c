/* rooms: base loop crypto text http */
/* The server over real sockets: it runs on a thread of its own, the tests are its clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FOREVER_MS 5000
#define COMMON "X-Content-Type-Options: nosniff\r\n"

/* The world under test. */
static struct world {
	struct loop *loop;
	struct http_server *server;
	pthread_t thread;
	uint16_t port;
	char dir[64], path[96];
	atomic_int closed, hijacked, handled;
	struct http_stream *_Atomic stream;
	struct http_call *_Atomic held;
} w;

/* Handlers. */

static void on_hello(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	http_reply(c, 200, "text/plain", STR("hello"));
}

static void on_echo(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&w.handled, 1);
	http_reply(c, 200, "application/octet-stream", r->body);
}

static void *answer_from_thread(void *c)
{
	usleep(20000);
	http_reply_json(c, 202, STR("{\"later\":true}"));
	return NULL;
}

static void on_later(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, answer_from_thread, c), 0);
	(void)pthread_detach(t);
}

static void on_hold(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	atomic_store(&w.held, c);
}

static void on_file(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)ctx;
	char text[64], back[8] = "";
	ssize_t n = read(http_body_fd(c), back, 5);
	off_t size = lseek(http_body_fd(c), 0, SEEK_END);
	(void)snprintf(
	    text, sizeof text, "%lld %.*s %zu", (long long)size, (int)n, back, r->body.n);
	http_reply(c, 200, "text/plain", str_c(text));
}

static void on_params(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)ctx;
	struct str a = http_param(c, "a"), b = http_param(c, "b"), q = http_query(r, "q");
	char text[200];
	(void)snprintf(text, sizeof text, "[%.*s][%.*s][%.*s]%s", STR_ARG(a), STR_ARG(b),
	    STR_ARG(q), a.p == NULL ? "-" : "+");
	http_reply(c, 200, "text/plain", str_c(text));
}

static void on_tail(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	http_reply(c, 200, "text/plain", http_param(c, "rest"));
}

static void on_empty(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	http_reply_headers(c, 204, NULL, "ETag: \"1\"\r\n", STR(""));
}

static void on_big(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	size_t n = 8u << 20;
	char *p = malloc(n);
	assert_non_null(p);
	memset(p, 'b', n);
	http_reply(c, 200, "text/plain", (struct str){p, n});
	free(p);
}

static void on_fail(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	struct err e;
	(void)err_set(&e, ERR_INVALID, "the name 'a\"b' is not allowed");
	(void)err_hint(&e, "use letters");
	(void)err_at(&e, "/name");
	http_reply_problem(c, &e);
}

static void on_who(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)ctx;
	char text[128];
	(void)snprintf(text, sizeof text, "%d %u %d %s", r->unix_peer,
	    r->unix_peer ? r->peer_uid : 0, r->unix_peer ? (int)r->peer_pid : 0, r->peer_address);
	http_reply(c, 200, "text/plain", str_c(text));
}

static void on_closed(void *ctx)
{
	atomic_fetch_add((atomic_int *)ctx, 1);
}

static void on_events(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	struct http_stream *st = http_stream_open(c, on_closed, &w.closed);
	http_stream_send(st, STR("7"), STR("log"), STR("one\ntwo"));
	atomic_store(&w.stream, st);
}

static void on_taken(void *ctx, int fd, struct str early)
{
	(void)ctx;
	atomic_store(&w.hijacked, fd >= 0 ? 1 : -1);
	if (fd < 0)
		return;
	char text[64];
	int n = snprintf(text, sizeof text, "early=%.*s;", STR_ARG(early));
	assert_int_equal(write(fd, text, (size_t)n), n);
	(void)close(fd);
}

static void on_hijack(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	http_hijack(c, "terminal", on_taken, NULL);
}

static int authorize(void *ctx, struct http_request *r, struct http_call *c, struct err *e)
{
	(void)ctx, (void)c;
	r->subject = &w;
	if (http_header_get(r, "x-deny").p != NULL)
		return err_set(e, ERR_UNAUTHORIZED, "who are you?");
	return 0;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/hello", &w, on_hello, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/pool", &w, on_hello, HTTP_ON_POOL, 0, false},
    {HTTP_POST, "/echo", &w, on_echo, HTTP_ON_LOOP, 1u << 20, false},
    {HTTP_PUT, "/echo", &w, on_echo, HTTP_ON_LOOP, 1u << 20, false},
    {HTTP_POST, "/pool-echo", &w, on_echo, HTTP_ON_POOL, 1u << 20, false},
    {HTTP_GET, "/later", &w, on_later, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/pool-later", &w, on_later, HTTP_ON_POOL, 0, false},
    {HTTP_POST, "/hold", &w, on_hold, HTTP_ON_LOOP, 1u << 20, false},
    {HTTP_POST, "/file", &w, on_file, HTTP_ON_POOL, 4u << 20, true},
    {HTTP_GET, "/p/{a}/x/{b}", &w, on_params, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/p/known/x/{b}", &w, on_hello, HTTP_ON_LOOP, 0, false},
    {HTTP_DELETE, "/p/{name}", &w, on_params, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/t/{rest...}", &w, on_tail, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/empty", &w, on_empty, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/big", &w, on_big, HTTP_ON_POOL, 0, false},
    {HTTP_GET, "/fail", &w, on_fail, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/who", &w, on_who, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/events", &w, on_events, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/pool-events", &w, on_events, HTTP_ON_POOL, 0, false},
    {HTTP_GET, "/term", &w, on_hijack, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/pool-term", &w, on_hijack, HTTP_ON_POOL, 0, false},
};

/* Running it. */

static void *run_loop(void *ctx)
{
	(void)ctx;
	loop_run(w.loop);
	return NULL;
}

static void start(const struct http_limits *limits)
{
	struct err e;
	memset(&w, 0, sizeof w);
	(void)snprintf(w.dir, sizeof w.dir, "/tmp/slipway-http-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	(void)snprintf(w.path, sizeof w.path, "%s/s", w.dir);
	w.loop = loop_new(2);
	struct http_server_options o = {.loop = w.loop,
	    .routes = routes,
	    .route_count = sizeof routes / sizeof routes[0],
	    .authorize = authorize,
	    .spool_dir = w.dir,
	    .common_headers = COMMON};
	if (limits != NULL)
		o.limits = *limits;
	w.server = http_server_new(&o, &e);
	assert_non_null(w.server);
	int fd = http_listen_tcp("127.0.0.1", 0, 128, &w.port, &e);
	assert_true(fd >= 0);
	assert_int_equal(http_server_listen(w.server, fd, &e), 0);
	fd = http_listen_unix(w.path, 0600, &e);
	assert_true(fd >= 0);
	assert_int_equal(http_server_listen(w.server, fd, &e), 0);
	assert_int_equal(pthread_create(&w.thread, NULL, run_loop, NULL), 0);
}

static void stop_on_loop(void *ctx)
{
	(void)ctx;
	http_server_free(w.server);
	loop_stop(w.loop);
}

static void stop(void)
{
	loop_post(w.loop, stop_on_loop, NULL);
	(void)pthread_join(w.thread, NULL);
	loop_free(w.loop);
	(void)unlink(w.path);
	assert_int_equal(rmdir(w.dir), 0);
}

/* The client. */

struct client {
	int fd;
	struct buf in;
	int status;
	struct str head, body; /* of the last answer, until the next call */
	size_t used;
};

static void client_open(struct client *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(w.port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memset(c, 0, sizeof *c);
	buf_init(&c->in, 64u << 20);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&a, sizeof a), 0);
}

static void client_open_unix(struct client *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	assert_true(str_copy(str_c(w.path), a.sun_path, sizeof a.sun_path));
	memset(c, 0, sizeof *c);
	buf_init(&c->in, 1u << 20);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&a, sizeof a), 0);
}

static void client_close(struct client *c)
{
	(void)close(c->fd);
	buf_fini(&c->in);
}

static void say(struct client *c, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		assert_true(n > 0);
		s = str_from(s, (size_t)n);
	}
}

static void say_c(struct client *c, const char *s)
{
	say(c, str_c(s));
}

/* More bytes: 1, 0 at the end, -1 when nothing comes. */
static int more(struct client *c, int timeout_ms)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	if (poll(&p, 1, timeout_ms) <= 0)
		return -1;
	char *room = buf_reserve(&c->in, 65536);
	assert_non_null(room);
	ssize_t n = recv(c->fd, room, 65536, 0);
	if (n > 0)
		buf_commit(&c->in, (size_t)n);
	return n > 0 ? 1 : 0;
}

static const char *header(const struct client *c, const char *name, char out[200])
{
	struct str rest = c->head, line;
	size_t n = strlen(name);
	while (str_next(&rest, '\n', &line))
		if (line.n > n + 2 && line.p[n] == ':' &&
		    str_eq_nocase(str_slice(line, 0, n), str_c(name))) {
			assert_true(str_copy(str_trim(str_from(line, n + 1)), out, 200));
			return out;
		}
	return NULL;
}

/* The next whole answer: its status, 0 when the connection ended, -1 when none came. */
static int answer_for(struct client *c, bool head_only, int timeout_ms)
{
	buf_drop_front(&c->in, c->used);
	c->used = 0;
	for (;;) {
		const char *end = c->in.n > 0 ? memmem(c->in.p, c->in.n, "\r\n\r\n", 4) : NULL;
		if (end != NULL) {
			char text[200];
			int64_t length = 0;
			size_t head = (size_t)(end - c->in.p) + 4;
			c->head = (struct str){c->in.p, head};
			const char *l = header(c, "Content-Length", text);
			assert_true(l == NULL || num_i64(str_c(l), 0, 1 << 30, &length));
			size_t all = head + (head_only ? 0 : (size_t)length);
			if (c->in.n >= all) {
				c->body = (struct str){c->in.p + head, all - head};
				c->used = all;
				c->status = atoi(c->in.p + 9);
				return c->status;
			}
		}
		int r = more(c, timeout_ms);
		if (r <= 0)
			return r;
	}
}

static int answer(struct client *c)
{
	return answer_for(c, false, FOREVER_MS);
}

static int ask(struct client *c, const char *request)
{
	say_c(c, request);
	return answer(c);
}

#define REQ(method, path, rest) method " " path " HTTP/1.1\r\nHost: a\r\n" rest "\r\n"
#define GET(path) REQ("GET", path, "")

static void assert_body(const struct client *c, const char *want)
{
	if (!str_eq_c(c->body, want))
		fail_msg("'%.*s' is not '%s'", STR_ARG(c->body), want);
}

/* The peer ends the connection; nothing more is answered. */
static void assert_ends(struct client *c)
{
	assert_int_equal(answer(c), 0);
}

/* Waits for a counter that another thread moves. */
static void await(atomic_int *a, int want)
{
	for (int i = 0; i < FOREVER_MS && atomic_load(a) != want; i++)
		usleep(1000);
	assert_int_equal(atomic_load(a), want);
}

/* Tests. */

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

static void test_timeouts(void **state)
{
	(void)state;
	struct http_limits l = {.head_ms = 120, .idle_ms = 150, .body_grace_ms = 100};
	struct client idle, head, body, good;
	start(&l);
	client_open(&idle);
	client_open(&head);
	client_open(&body);
	client_open(&good);
	say_c(&head, "GET /hello HT");
	say_c(&body, REQ("POST", "/echo", "Content-Length: 100000\r\n") "abc");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(ask(&good, GET("/hello")), 200);
		usleep(30000);
	}
	assert_int_equal(answer(&idle), 0);
	assert_int_equal(answer(&head), 408);
	assert_ends(&head);
	assert_int_equal(answer(&body), 408);
	assert_ends(&body);
	client_close(&idle);
	client_close(&head);
	client_close(&body);
	client_close(&good);
	stop();
}

static void answer_held(void)
{
	struct http_call *c = NULL;
	for (int i = 0; i < FOREVER_MS && (c = atomic_exchange(&w.held, NULL)) == NULL; i++)
		usleep(1000);
	assert_non_null(c);
	http_reply(c, 200, NULL, STR("ok"));
}

static void test_budget(void **state)
{
	(void)state;
	struct http_limits l = {.bodies_bytes = 100000};
	struct client a, b;
	char *body = calloc(1, 90001), text[200];
	memset(body, 'x', 90000);
	start(&l);
	client_open(&a);
	client_open(&b);
	say_c(&a, REQ("POST", "/hold", "Content-Length: 90000\r\n"));
	say_c(&a, body);
	while (atomic_load(&w.held) == NULL)
		usleep(1000);
	/* Small ones still fit; what does not is told to come back; announcing costs nothing by
	 * itself. */
	assert_int_equal(ask(&b, REQ("POST", "/echo", "Content-Length: 5\r\n") "hello"), 200);
	assert_int_equal(ask(&b, REQ("POST", "/echo", "Content-Length: 20000\r\n")), 503);
	assert_string_equal(header(&b, "Retry-After", text), "1");
	client_close(&b);
	client_open(&b);
	say_c(&b, REQ("POST", "/echo", "Transfer-Encoding: chunked\r\n") "4e20\r\n");
	say(&b, (struct str){body, 20000});
	assert_int_equal(answer(&b), 503);
	client_close(&b);
	answer_held();
	assert_int_equal(answer(&a), 200);
	client_open(&b);
	say_c(&b, REQ("POST", "/echo", "Content-Length: 90000\r\n"));
	say_c(&b, body);
	assert_int_equal(answer(&b), 200);
	client_close(&a);
	client_close(&b);
	stop();
	free(body);
}

static void test_crowd(void **state)
{
	(void)state;
	struct http_limits l = {.connection_count = 20};
	struct client slow[40], good;
	start(&l);
	for (size_t i = 0; i < 40; i++) {
		client_open(&slow[i]);
		say_c(&slow[i], "GET /hello HTTP/1.1\r\nX: ");
		if (i % 10 != 0)
			continue;
		client_open(&good);
		assert_int_equal(ask(&good, GET("/hello")), 200);
		client_close(&good);
	}
	for (size_t i = 0; i < 40; i++)
		client_close(&slow[i]);
	stop();
}

static void test_gone_clients(void **state)
{
	(void)state;
	struct client c;
	start(NULL);
	/* Half-closed after the request: the answer still comes. */
	client_open(&c);
	say_c(&c, GET("/later"));
	(void)shutdown(c.fd, SHUT_WR);
	assert_int_equal(answer(&c), 202);
	assert_ends(&c);
	client_close(&c);
	/* Gone with an RST while a handler has the call. */
	client_open(&c);
	say_c(&c, REQ("POST", "/hold", "Content-Length: 1\r\n") "x");
	while (atomic_load(&w.held) == NULL)
		usleep(1000);
	struct linger rst = {1, 0};
	(void)setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &rst, sizeof rst);
	client_close(&c);
	usleep(20000);
	answer_held();
	client_open(&c);
	assert_int_equal(ask(&c, GET("/hello")), 200);
	say_c(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc");
	client_close(&c);
	/* The server ends while a handler has a call. */
	client_open(&c);
	say_c(&c, REQ("POST", "/hold", ""));
	while (atomic_load(&w.held) == NULL)
		usleep(1000);
	loop_post(w.loop, stop_on_loop, NULL);
	assert_int_equal(answer(&c), 0);
	answer_held();
	client_close(&c);
	(void)pthread_join(w.thread, NULL);
	loop_free(w.loop);
	(void)unlink(w.path);
	assert_int_equal(rmdir(w.dir), 0);
}

static bool receives(struct client *c, const char *want)
{
	while (c->in.n == 0 || memmem(c->in.p, c->in.n, want, strlen(want)) == NULL)
		if (more(c, FOREVER_MS) != 1)
			return false;
	return true;
}

static struct http_stream *await_stream(void)
{
	struct http_stream *st;
	while ((st = atomic_exchange(&w.stream, NULL)) == NULL)
		usleep(1000);
	return st;
}

static void test_streams(void **state)
{
	(void)state;
	struct http_limits l = {.keepalive_ms = 100};
	static const char *const paths[] = {GET("/events"), GET("/pool-events")};
	struct client c;
	start(&l);
	for (int i = 0; i < 2; i++) {
		client_open(&c);
		say_c(&c, paths[i]);
		struct http_stream *st = await_stream();
		assert_true(receives(&c, "Content-Type: text/event-stream\r\n"));
		assert_true(receives(&c, "\r\n\r\nid: 7\nevent: log\ndata: one\ndata: two\n\n"));
		http_stream_send(st, STR(""), STR("bad\nname"), STR("a\r\nb\rc\n"));
		assert_true(receives(&c, "\n\ndata: a\ndata: b\ndata: c\ndata: \n\n"));
		assert_true(receives(&c, "\n\n:\n\n"));
		http_stream_send(st, STR_NONE, STR("last"), STR("z"));
		http_stream_end(st);
		assert_true(receives(&c, "event: last\ndata: z\n\n"));
		while (more(&c, FOREVER_MS) == 1)
			continue;
		client_close(&c);
		await(&w.closed, i + 1);
	}
	/* The client leaves. */
	client_open(&c);
	say_c(&c, GET("/events"));
	(void)await_stream();
	client_close(&c);
	await(&w.closed, 3);
	/* The client does not read. */
	client_open(&c);
	say_c(&c, GET("/events"));
	struct http_stream *st = await_stream();
	char *block = calloc(1, 60001);
	memset(block, 'x', 60000);
	for (int i = 0; i < 400 && atomic_load(&w.closed) == 3; i++) {
		http_stream_send(st, STR_NONE, STR_NONE, str_c(block));
		usleep(2000);
	}
	free(block);
	await(&w.closed, 4);
	client_close(&c);
	/* HEAD has no events. */
	client_open(&c);
	say_c(&c, REQ("HEAD", "/events", ""));
	assert_int_equal(answer_for(&c, true, FOREVER_MS), 200);
	await(&w.closed, 5);
	client_close(&c);
	stop();
}

static void test_hijack(void **state)
{
	(void)state;
	static const char *const asks[] = {
	    REQ("GET", "/term", "Connection: Upgrade\r\nUpgrade: terminal\r\n") "abc",
	    REQ("GET", "/pool-term", "Connection: Upgrade\r\nUpgrade: terminal\r\n") "abc",
	    /* behind another one, so that the bytes wait in the connection's buffer */
	    GET("/later") REQ("GET", "/term", "Connection: Upgrade\r\nUpgrade: terminal\r\n") "abc",
	};
	struct client c;
	start(NULL);
	for (size_t i = 0; i < 3; i++) {
		client_open(&c);
		atomic_store(&w.hijacked, 0);
		say_c(&c, asks[i]);
		assert_true(receives(&c, "HTTP/1.1 101 Switching Protocols\r\n"));
		assert_true(receives(&c, "Upgrade: terminal\r\nConnection: Upgrade\r\n"));
		assert_true(receives(&c, "\r\n\r\nearly=abc;"));
		await(&w.hijacked, 1);
		assert_int_equal(more(&c, FOREVER_MS), 0);
		client_close(&c);
	}
	client_open(&c);
	assert_int_equal(ask(&c, GET("/term")), 426);
	await(&w.hijacked, -1);
	assert_int_equal(ask(&c, GET("/hello")), 200);
	client_close(&c);
	stop();
}

static void drain_on_loop(void *ctx)
{
	(void)ctx;
	http_server_drain(w.server, clock_mono_ms() + 300);
}

static void test_drain(void **state)
{
	(void)state;
	struct client idle, busy, stuck, stream;
	char text[200];
	start(NULL);
	client_open(&idle);
	client_open(&busy);
	client_open(&stuck);
	client_open(&stream);
	assert_int_equal(ask(&idle, GET("/hello")), 200);
	say_c(&stuck, "GET /hello HT");
	say_c(&stream, GET("/events"));
	(void)await_stream();
	say_c(&busy, REQ("POST", "/hold", ""));
	while (atomic_load(&w.held) == NULL)
		usleep(1000);
	loop_post(w.loop, drain_on_loop, NULL);
	assert_int_equal(answer(&idle), 0);
	await(&w.closed, 1);
	answer_held();
	assert_int_equal(answer(&busy), 200);
	assert_string_equal(header(&busy, "Connection", text), "close");
	assert_int_equal(answer(&stuck), 0);
	client_close(&idle);
	client_close(&busy);
	client_close(&stuck);
	client_close(&stream);
	stop();
}

static void test_listen(void **state)
{
	(void)state;
	struct err e;
	char path[96], file[96];
	start(NULL);
	assert_int_equal(http_listen_unix(w.path, 0600, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(http_listen_tcp("127.0.0.1", w.port, 1, NULL, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(http_listen_tcp("localhost", 0, 1, NULL, &e), -1);
	(void)snprintf(path, sizeof path, "%s/t", w.dir);
	for (int i = 0; i < 2; i++) { /* the second finds the first one's stale file */
		int fd = http_listen_unix(path, 0660, &e);
		assert_true(fd >= 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		(void)close(fd);
	}
	(void)unlink(path);
	(void)snprintf(file, sizeof file, "%s/f", w.dir);
	(void)close(open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(http_listen_unix(file, 0660, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
	(void)unlink(file);
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
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_crowd),
	    cmocka_unit_test(test_gone_clients),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_hijack),
	    cmocka_unit_test(test_drain),
	    cmocka_unit_test(test_listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
