/* rooms: base loop crypto text http */
/* Probes against sockets that answer, lie, stay silent or are not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "http/client.h"
#include "http/http.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct outcome {
	struct loop *loop;
	int runs, status;
	struct err e;
};

static void on_outcome(void *ctx, int status, const struct err *e)
{
	struct outcome *o = ctx;
	o->runs++;
	o->status = status;
	o->e.code = ERR_NONE;
	if (e != NULL)
		o->e = *e;
	loop_stop(o->loop);
}

/* Answers one connection with fixed bytes, having kept what it was asked. */
struct peer {
	int listener;
	const char *says; /* NULL: nothing, and the connection stays open */
	char asked[1024];
	pthread_t thread;
};

static void *serve(void *ctx)
{
	struct peer *p = ctx;
	struct pollfd ready = {.fd = p->listener, .events = POLLIN};
	if (poll(&ready, 1, 5000) != 1)
		return NULL;
	int fd = accept(p->listener, NULL, NULL);
	ssize_t n = read(fd, p->asked, sizeof p->asked - 1);
	p->asked[n > 0 ? n : 0] = '\0';
	if (p->says != NULL) {
		(void)!write(fd, p->says, strlen(p->says));
	} else {
		char c;
		(void)!read(fd, &c, 1);
	}
	(void)close(fd);
	return NULL;
}

static struct outcome probe(const struct http_probe_options *options)
{
	struct outcome o = {.loop = loop_new(1)};
	assert_non_null(http_probe_start(o.loop, options, on_outcome, &o));
	assert_int_equal(o.runs, 0);
	loop_run(o.loop);
	loop_free(o.loop);
	assert_int_equal(o.runs, 1);
	return o;
}

static struct outcome probe_peer(const char *says, struct peer *p, int64_t wait_ms)
{
	struct err e;
	uint16_t port;
	*p = (struct peer){.listener = http_listen_tcp("127.0.0.1", 0, 1, &port, &e), .says = says};
	assert_true(p->listener >= 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
	struct http_probe_options options = {.port = port,
	    .path = "/healthz?a=1",
	    .host = "shop.example.org",
	    .proto = "https",
	    .deadline_ms = clock_mono_ms() + wait_ms};
	struct outcome o = probe(&options);
	(void)pthread_join(p->thread, NULL);
	(void)close(p->listener);
	return o;
}

static void test_answers(void **state)
{
	(void)state;
	struct peer p;
	struct outcome o =
	    probe_peer("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart", &p, 5000);
	assert_int_equal(o.status, 200);
	assert_int_equal(o.e.code, ERR_NONE);
	assert_non_null(strstr(p.asked, "GET /healthz?a=1 HTTP/1.1\r\nHost: shop.example.org\r\n"));
	assert_non_null(strstr(p.asked, "\r\nX-Forwarded-Proto: https\r\n"));
	assert_int_equal(
	    probe_peer("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", &p, 5000).status, 302);
	assert_int_equal(probe_peer("HTTP/1.1 503 No\r\n\r\n", &p, 5000).status, 503);
}

static void test_faults(void **state)
{
	(void)state;
	struct peer p;
	struct outcome o = probe_peer("SSH-2.0-x\r\n", &p, 5000);
	assert_int_equal(o.status, 0);
	assert_string_equal(o.e.msg, "the answer is not HTTP");
	o = probe_peer("HTTP/1.1 200 OK\r\nX:", &p, 5000);
	assert_string_equal(o.e.msg, "the connection was closed without an answer");
	o = probe_peer("", &p, 5000);
	assert_int_equal(o.e.code, ERR_UNAVAILABLE);
	char *endless = calloc(1, 40001);
	memset(endless, 'a', 40000);
	memcpy(endless, "HTTP/1.1 200 OK\r\nX: ", 20);
	o = probe_peer(endless, &p, 5000);
	assert_int_equal(o.e.code, ERR_INVALID);
	free(endless);
	int64_t began = clock_mono_ms();
	o = probe_peer(NULL, &p, 100);
	assert_int_equal(o.e.code, ERR_TIMEOUT);
	assert_non_null(strstr(o.e.msg, "no answer in ")); /* 100 ms, less what the start took */
	assert_true(clock_mono_ms() - began >= 100);
}

static void test_nobody(void **state)
{
	(void)state;
	struct err e;
	uint16_t port;
	int fd = http_listen_tcp("127.0.0.1", 0, 1, &port, &e);
	assert_true(fd >= 0);
	(void)close(fd);
	struct http_probe_options options = {.port = port, .deadline_ms = clock_mono_ms() + 5000};
	assert_string_equal(probe(&options).e.msg, "connection refused");
	options.unix_path = "/tmp/slipway-no-such-socket";
	assert_string_equal(probe(&options).e.msg, "no socket there");
}

static void on_health(struct http_call *c, struct http_request *r, void *ctx)
{
	(void)r, (void)ctx;
	http_reply(c, 200, "text/plain", STR("ok"));
}

/* Our own server behind a Unix socket, on the same loop. */
static void test_unix(void **state)
{
	(void)state;
	struct err e;
	char dir[] = "/tmp/slipway-probe-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof path, "%s/s", dir);
	struct outcome o = {.loop = loop_new(1)};
	struct http_route route = {HTTP_GET, "/healthz", &o, on_health, HTTP_ON_POOL, 0, false};
	struct http_server_options so = {.loop = o.loop, .routes = &route, .route_count = 1};
	struct http_server *s = http_server_new(&so, &e);
	int fd = http_listen_unix(path, 0600, &e);
	assert_true(fd >= 0);
	assert_int_equal(http_server_listen(s, fd, &e), 0);
	struct http_probe_options po = {
	    .unix_path = path, .path = "/healthz", .deadline_ms = clock_mono_ms() + 5000};
	struct http_probe *cancelled = http_probe_start(o.loop, &po, on_outcome, &o);
	http_probe_cancel(cancelled);
	(void)http_probe_start(o.loop, &po, on_outcome, &o);
	loop_run(o.loop);
	assert_int_equal(o.runs, 1);
	assert_int_equal(o.status, 200);
	http_server_free(s);
	loop_free(o.loop);
	(void)unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_faults),
	    cmocka_unit_test(test_nobody),
	    cmocka_unit_test(test_unix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
