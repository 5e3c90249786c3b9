/* A server with a handler of every kind, on a thread of its own, and a blocking client: what the
 * tests of src/http share. Include after cmocka. */
#pragma once

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

#define SUM_SEED 2166136261u

static inline uint32_t sum_more(uint32_t sum, unsigned char byte)
{
	return (sum ^ byte) * 16777619u;
}

/* How many bytes the file has, and their FNV-1a. */
static void on_sum(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	char text[64], bytes[4096];
	uint32_t sum = SUM_SEED;
	size_t all = 0;
	for (ssize_t n; (n = read(http_body_fd(c), bytes, sizeof bytes)) > 0; all += (size_t)n)
		for (ssize_t i = 0; i < n; i++)
			sum = sum_more(sum, (unsigned char)bytes[i]);
	(void)snprintf(text, sizeof text, "%zu %08x", all, sum);
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

static void on_some(struct http_call *c, struct http_request *r, void *ctx)
{
	static const char some[60000];
	(void)r, (void)ctx;
	atomic_fetch_add(&w.handled, 1);
	http_reply(c, 200, "text/plain", (struct str){some, sizeof some});
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
    {HTTP_POST, "/sum", &w, on_sum, HTTP_ON_POOL, 4u << 20, true},
    {HTTP_GET, "/p/{a}/x/{b}", &w, on_params, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/p/known/x/{b}", &w, on_hello, HTTP_ON_LOOP, 0, false},
    {HTTP_DELETE, "/p/{name}", &w, on_params, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/t/{rest...}", &w, on_tail, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/empty", &w, on_empty, HTTP_ON_LOOP, 0, false},
    {HTTP_GET, "/big", &w, on_big, HTTP_ON_POOL, 0, false},
    {HTTP_GET, "/some", &w, on_some, HTTP_ON_LOOP, 0, false},
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

static inline void start(const struct http_limits *limits)
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

static inline void free_on_loop(void *ctx)
{
	(void)ctx;
	http_server_free(w.server);
	w.server = NULL;
}

static inline void stop_on_loop(void *ctx)
{
	free_on_loop(ctx);
	loop_stop(w.loop);
}

static inline void stop(void)
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

static inline void client_open(struct client *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(w.port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	memset(c, 0, sizeof *c);
	buf_init(&c->in, 64u << 20);
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&a, sizeof a), 0);
}

static inline void client_open_unix(struct client *c)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	assert_true(str_copy(str_c(w.path), a.sun_path, sizeof a.sun_path));
	memset(c, 0, sizeof *c);
	buf_init(&c->in, 1u << 20);
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c->fd, (const struct sockaddr *)&a, sizeof a), 0);
}

static inline void client_close(struct client *c)
{
	(void)close(c->fd);
	buf_fini(&c->in);
}

static inline void say(struct client *c, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
		assert_true(n > 0);
		s = str_from(s, (size_t)n);
	}
}

static inline void say_c(struct client *c, const char *s)
{
	say(c, str_c(s));
}

/* More bytes: 1, 0 at the end, -1 when nothing comes. */
static inline int more(struct client *c, int timeout_ms)
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

static inline const char *header(const struct client *c, const char *name, char out[200])
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
static inline int answer_for(struct client *c, bool head_only, int timeout_ms)
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

static inline int answer(struct client *c)
{
	return answer_for(c, false, FOREVER_MS);
}

static inline int ask(struct client *c, const char *request)
{
	say_c(c, request);
	return answer(c);
}

#define REQ(method, path, rest) method " " path " HTTP/1.1\r\nHost: a\r\n" rest "\r\n"
#define GET(path) REQ("GET", path, "")

static inline void assert_body(const struct client *c, const char *want)
{
	if (!str_eq_c(c->body, want))
		fail_msg("'%.*s' is not '%s'", STR_ARG(c->body), want);
}

/* The peer ends the connection; nothing more is answered. */
static inline void assert_ends(struct client *c)
{
	assert_int_equal(answer(c), 0);
}

/* Waits for a counter that another thread moves. */
static inline void await(atomic_int *a, int want)
{
	for (int i = 0; i < FOREVER_MS && atomic_load(a) != want; i++)
		usleep(1000);
	assert_int_equal(atomic_load(a), want);
}
