/* rooms: base loop crypto text http */
/* Time, limits, clients that leave, streams, hijacked connections, draining: over real sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http_world.h"

static void test_timeouts(void **state)
{
	(void)state;
	struct http_limits l = {.head_ms = 400, .idle_ms = 1500, .body_grace_ms = 400};
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
		usleep(60000);
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
	char *body = calloc(1, 85001), text[200];
	memset(body, 'x', 85000);
	start(&l);
	client_open(&a);
	client_open(&b);
	say_c(&a, REQ("POST", "/hold", "Content-Length: 85000\r\n"));
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
	say_c(&b, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
	say_c(&b, body);
	assert_int_equal(answer(&b), 200);
	client_close(&a);
	client_close(&b);
	stop();
	free(body);
}

/* Nearly all of a large body, and then nothing: small ones are taken all the same, and so is a large one, in whose favour the first gives way. */
static void test_who_dawdles_gives_way(void **state)
{
	(void)state;
	struct http_limits l = {.bodies_bytes = 100000, .head_ms = 400};
	struct client slow, b;
	char *body = calloc(1, 85001), text[200];
	memset(body, 'x', 85000);
	start(&l);
	client_open(&slow);
	client_open(&b);
	assert_int_equal(ask(&b, REQ("POST", "/echo", "Content-Length: 90000\r\n")), 503); /* an eighth is left */
	client_close(&b);
	client_open(&b);
	say_c(&slow, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
	say(&slow, (struct str){body, 84999});
	say_c(&b, REQ("POST", "/echo", "Content-Length: 12000\r\n"));
	say(&b, (struct str){body, 12000});
	assert_int_equal(answer(&b), 200);
	int status = 503;
	for (int i = 0; i < 50 && status == 503; i++) { /* ticks of 100 ms, on a busy machine later */
		usleep(100000);
		client_close(&b);
		client_open(&b);
		say_c(&b, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
		say(&b, (struct str){body, 85000});
		status = answer(&b);
	}
	assert_int_equal(status, 200);
	assert_int_equal(answer(&slow), 503);
	assert_string_equal(header(&slow, "Retry-After", text), "1");
	client_close(&slow);
	client_close(&b);
	stop();
	free(body);
}

/* As much as the other end takes that does not read our answers. */
static void say_until_full(struct client *c, struct str s)
{
	for (int quiet = 0; quiet < 30;) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		assert_true(n > 0 || errno == EAGAIN);
		quiet = n > 0 ? 0 : quiet + 1;
		if (n > 0)
			s = str_from(s, (size_t)n);
		else
			usleep(10000);
		assert_true(s.n > 0);
	}
}

/* Who asks and does not read the answers keeps no room for bodies. */
static void test_unread_answers_hold_no_room(void **state)
{
	(void)state;
	struct http_limits l = {.bodies_bytes = 100000};
	struct client deaf, b;
	CLEANUP_BUF struct buf many;
	char *body = calloc(1, 85001);
	memset(body, 'x', 85000);
	buf_init(&many, 64u << 20);
	for (int i = 0; i < 300; i++) {
		buf_c(&many, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
		buf_put(&many, body, 85000);
	}
	start(&l);
	client_open(&deaf);
	client_open(&b);
	say_until_full(&deaf, buf_view(&many));
	say_c(&b, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
	say_c(&b, body);
	assert_int_equal(answer(&b), 200);
	client_close(&deaf);
	client_close(&b);
	stop();
	free(body);
}

/* What a peer is being sent, or 0 when nothing comes; all of it stays unread. */
static int status_of_unread(struct client *c)
{
	char text[13] = "";
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	if (poll(&p, 1, FOREVER_MS) != 1 || recv(c->fd, text, 12, MSG_PEEK) != 12)
		return 0;
	return atoi(text + 9);
}

/* Who asks for much and reads nothing holds no more than the budget, and no more than half of that. */
static void test_large_answers_are_of_the_budget(void **state)
{
	(void)state;
	enum { N = 12 };
	struct http_limits l = {.bodies_bytes = 64u << 20};
	struct client deaf[N], b;
	int sent = 0, small = 64 << 10;
	char text[200], *body = calloc(1, 85001);
	memset(body, 'x', 85000);
	start(&l);
	for (int i = 0; i < N; i++) {
		client_open(&deaf[i]);
		assert_int_equal(
		    setsockopt(deaf[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
		say_c(&deaf[i], GET("/big"));
		int status = status_of_unread(&deaf[i]);
		assert_true(status == 200 || status == 503);
		sent += status == 200;
	}
	assert_in_range(sent, 2, 4); /* of 8 MiB each, in a buffer of up to twice that */
	assert_int_equal(answer(&deaf[N - 1]), 503);
	assert_string_equal(header(&deaf[N - 1], "Retry-After", text), "1");
	assert_int_equal(ask(&deaf[N - 1], GET("/hello")), 200); /* the connection stays */
	client_open(&b);
	say_c(&b, REQ("POST", "/echo", "Content-Length: 85000\r\n"));
	say_c(&b, body);
	assert_int_equal(answer(&b), 200);
	assert_int_equal(answer(&deaf[0]), 200); /* read after all: another one may be sent */
	assert_int_equal(deaf[0].body.n, 8u << 20);
	assert_int_equal(ask(&b, GET("/big")), 200);
	for (int i = 0; i < N; i++)
		client_close(&deaf[i]);
	assert_int_equal(ask(&b, GET("/big")), 200);
	client_close(&b);
	stop();
	free(body);
}

static void test_a_body_that_stops_is_not_waited_for(void **state)
{
	(void)state;
	struct http_limits l = {.body_grace_ms = 400};
	struct client a;
	char body[20000];
	memset(body, 'x', sizeof(body));
	start(&l);
	client_open(&a);
	say_c(&a, REQ("POST", "/echo", "Content-Length: 20001\r\n"));
	int64_t from = clock_mono_ms();
	say(&a, (struct str){body, sizeof(body)});
	assert_int_equal(answer(&a), 408);
	assert_true(
	    clock_mono_ms() - from < 5000); /* by its average it might have rested for 19 s */
	client_close(&a);
	stop();
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

/* Who asks for much and reads nothing keeps neither the system's memory nor the loop. */
static void test_unread_answers(void **state)
{
	(void)state;
	struct client slow, good;
	start(NULL);
	atomic_store(&w.handled, 0);
	client_open(&slow);
	client_open(&good);
	for (int i = 0; i < 60; i++) /* 3.6 MB of answers */
		say_c(&slow, GET("/some"));
	for (int i = 0; i < 20; i++)
		assert_int_equal(ask(&good, GET("/hello")), 200);
	assert_in_range(atomic_load(&w.handled), 1, 12);
	for (int i = 0; i < 60; i++)
		assert_int_equal(answer(&slow), 200);
	assert_int_equal(atomic_load(&w.handled), 60);
	client_close(&slow);
	client_close(&good);
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
	loop_post(w.loop, free_on_loop, NULL);
	assert_int_equal(answer(&c), 0);
	answer_held();
	client_close(&c);
	stop();
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

struct flood {
	struct http_stream *st;
	const char *block;
};

/* On the loop thread, where `closed` runs too: after it the stream is not there any more. */
static void flood_once(void *ctx)
{
	const struct flood *f = ctx;
	if (atomic_load(&w.closed) == 3)
		http_stream_send(f->st, STR_NONE, STR_NONE, str_c(f->block));
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
	struct flood f = {.st = st, .block = block};
	for (int i = 0; i < 400 && atomic_load(&w.closed) == 3; i++) {
		loop_post(w.loop, flood_once, &f);
		usleep(2000);
	}
	await(&w.closed, 4);
	client_close(&c);
	/* HEAD has no events. */
	client_open(&c);
	say_c(&c, REQ("HEAD", "/events", ""));
	assert_int_equal(answer_for(&c, true, FOREVER_MS), 200);
	await(&w.closed, 5);
	client_close(&c);
	stop();
	free(block);
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
	http_server_drain(w.server, clock_mono_ms() + 2000);
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
	    cmocka_unit_test(test_timeouts),
	    cmocka_unit_test(test_budget),
	    cmocka_unit_test(test_who_dawdles_gives_way),
	    cmocka_unit_test(test_unread_answers_hold_no_room),
	    cmocka_unit_test(test_large_answers_are_of_the_budget),
	    cmocka_unit_test(test_a_body_that_stops_is_not_waited_for),
	    cmocka_unit_test(test_crowd),
	    cmocka_unit_test(test_unread_answers),
	    cmocka_unit_test(test_gone_clients),
	    cmocka_unit_test(test_streams),
	    cmocka_unit_test(test_hijack),
	    cmocka_unit_test(test_drain),
	    cmocka_unit_test(test_listen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
