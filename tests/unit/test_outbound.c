/* rooms: base loop launch outbound */
/* Asking others: frames, which addresses may be asked, and the real program against a server of our
 * own that counts who comes. */
#include "base/clock.h"
#include "base/fs.h"
#include "outbound/guard.h"
#include "outbound/outbound.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* --- frames --- */

static void test_frames(void **state)
{
	(void)state;
	struct buf b CLEANUP_BUF;
	struct frame f;
	struct err e;
	size_t used;
	buf_init(&b, 4u << 20);
	const struct outbound_request r = {.kind = OUTBOUND_MAIL,
	    .timeout_ms = 5000,
	    .url = STR("smtp://mail.example:25"),
	    .body = STR("Subject: x\r\n\r\nhello"),
	    .tls = OUTBOUND_TLS_IMPLICIT,
	    .from = STR("a@b.example"),
	    .user = STR("u"),
	    .password = STR("p"),
	    .to = {STR("c@d.example"), STR("e@f.example")},
	    .to_count = 2,
	    .body_max = 7};
	const struct outbound_answer a = {.outcome = OUTBOUND_TIMED_OUT,
	    .status = 421,
	    .retry_after_s = 9,
	    .ms = 77,
	    .text = STR("no"),
	    .address = STR("192.0.2.1"),
	    .body = STR("\0x"),
	    .link = STR("<x>")};
	assert_true(frame_pack_request(&b, 0x1122334455667788u, &r));
	size_t first = b.n;
	assert_true(frame_pack_answer(&b, 3, &a));
	for (size_t n = 0; n < first; n++)
		assert_int_equal(frame_next(str_slice(buf_view(&b), 0, n), &f, &used, &e), 0);
	assert_int_equal(frame_next(buf_view(&b), &f, &used, &e), 1);
	assert_int_equal(used, first);
	assert_int_equal(f.kind, OUTBOUND_MAIL);
	assert_true(f.id == 0x1122334455667788u);
	assert_true(str_eq(f.request.url, r.url) && str_eq(f.request.body, r.body) &&
		    str_eq(f.request.from, r.from));
	assert_true(str_eq(f.request.user, r.user) && str_eq(f.request.password, r.password));
	assert_int_equal(f.request.to_count, 2);
	assert_true(str_eq(f.request.to[1], r.to[1]));
	assert_int_equal(f.request.tls, OUTBOUND_TLS_IMPLICIT);
	assert_int_equal(f.request.body_max, 7);
	buf_drop_front(&b, used);
	assert_int_equal(frame_next(buf_view(&b), &f, &used, &e), 1);
	assert_int_equal(f.answer.outcome, OUTBOUND_TIMED_OUT);
	assert_int_equal(f.answer.status, 421);
	assert_int_equal(f.answer.retry_after_s, 9);
	assert_true(str_eq(f.answer.body, a.body) && str_eq(f.answer.link, a.link) &&
		    str_eq(f.answer.text, a.text));
}

static void test_frames_refused(void **state)
{
	(void)state;
	struct frame f;
	struct err e;
	size_t used;
	static const char
	    kind[] = "\x09\0\0\0\x09\0\0\0\0\0\0\0\0",
	    length[] = "\x08\0\0\0\x01\0\0\0\0\0\0\0\0", huge[] = "\xff\xff\xff\x7f\x01",
	    missing[] = "\x09\0\0\0\x03\0\0\0\0\0\0\0\0",
	    field[] = "\x0e\0\0\0\x03\0\0\0\0\0\0\0\0\x7f\0\0\0\0",
	    twice[] = "\x1b\0\0\0\x03\0\0\0\0\0\0\0\0\x0c\x04\0\0\0\0\0\0\0\x0c\x04\0\0\0\0\0\0\0";
	const struct str bad[] = {
	    {kind, 13}, {length, 13}, {huge, 5}, {missing, 13}, {field, 18}, {twice, 31}};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(frame_next(bad[i], &f, &used, &e), -1);
	struct outbound_request r = {.kind = OUTBOUND_HTTP,
	    .timeout_ms = 1,
	    .url = STR("x"),
	    .header_count = OUTBOUND_HEADERS_MAX + 1};
	struct buf b CLEANUP_BUF;
	buf_init(&b, 4u << 20);
	assert_false(frame_pack_request(&b, 1, &r));
	r.header_count = 0;
	r.body = (struct str){calloc(1, OUTBOUND_FRAME_MAX), OUTBOUND_FRAME_MAX};
	assert_false(frame_pack_request(&b, 1, &r));
	assert_int_equal(b.n, 0);
	union {
		const char *in;
		void *out;
	} p = {.in = r.body.p};
	free(p.out);
}

/* --- who may be asked --- */

static void test_urls(void **state)
{
	(void)state;
	static const char *const good[] = {
	    "http://example.org", "https://example.org:8443/x?y=z", "http://[2606:4700::1111]/"};
	static const char *const bad[] = {"", "ftp://x/", "file:///etc/passwd", "HTTP://x/",
	    "http://", "http:///x", "http://:80/", "http://u@x/", "http://u:p@x/",
	    "http://x@127.0.0.1/", "http://x/#f", "http://x/ y", "http://x/\r\nA: b",
	    "http://x\\@y/", "http://\xc3\xbc.example/", "gopher://x/", "//x/", "http:x"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_null(guard_url_refuses(str_c(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_non_null(guard_url_refuses(str_c(bad[i])));
}

static void test_same_server(void **state)
{
	(void)state;
	static const struct {
		const char *a, *b;
		bool same;
	} t[] = {
	    {"https://api.example", "https://API.example/x", true},
	    {"https://api.example:8/x?y", "https://api.example:8?z", true},
	    {"https://api.example", "http://api.example", false},
	    {"https://api.example", "https://api.example:444", false},
	    {"https://api.example", "https://api.example.evil", false},
	    {"https://api.example/", "https://api.example@evil/", false},
	    {"https://api.example", "https:/", false},
	    {"https://api.example", "", false},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++)
		if (guard_same_server(str_c(t[i].a), str_c(t[i].b)) != t[i].same ||
		    guard_same_server(str_c(t[i].b), str_c(t[i].a)) != t[i].same)
			fail_msg("row %zu", i);
}

/* --- the program --- */

struct server {
	int fd;
	uint16_t port;
	atomic_int came;
	pthread_t thread;
	const char *answer;
};

static void *serve(void *ctx)
{
	struct server *s = ctx;
	for (;;) {
		int c = accept(s->fd, NULL, NULL);
		if (c < 0)
			return NULL;
		atomic_fetch_add(&s->came, 1);
		char in[8192];
		ssize_t n = recv(c, in, sizeof(in) - 1, 0);
		if (n > 0)
			(void)!write(c, s->answer, strlen(s->answer));
		close(c);
	}
}

static void server_start(struct server *s, const char *answer)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t size = sizeof(a);
	s->answer = answer;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&a, &size), 0);
	s->port = ntohs(a.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	(void)shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

struct world {
	struct loop *loop;
	struct outbound *out;
	struct loop_timer *end;
	size_t open;
	int outcomes[OUTBOUND_OUTCOME_COUNT];
	uint32_t status, retry_after_s;
	char body[64], text[OUTBOUND_TEXT_MAX + 1];
};

static void too_late(void *ctx)
{
	(void)ctx;
	fail_msg("no answer in time");
}

static void world_start(struct world *w, const char *const *allow)
{
	struct err e = {0};
	memset(w, 0, sizeof(*w));
	w->loop = loop_new(1);
	const struct outbound_options o = {
	    .loop = w->loop, .program = BUILD_ROOT "/src/slipway-outbound", .allow = allow};
	w->out = outbound_new(&o, &e);
	assert_non_null(w->out);
	w->end = loop_timer_new(w->loop, too_late, w);
	loop_timer_at(w->end, clock_mono_ms() + 60000);
}

static void world_end(struct world *w)
{
	outbound_free(w->out);
	loop_timer_free(w->end);
	loop_run(w->loop);
	loop_free(w->loop);
}

static void on_answer(void *ctx, const struct outbound_answer *a)
{
	struct world *w = ctx;
	w->outcomes[a->outcome]++;
	w->status = a->status;
	w->retry_after_s = a->retry_after_s;
	(void)snprintf(w->body, sizeof(w->body), "%.*s", STR_ARG(str_slice(a->body, 0, 60)));
	(void)snprintf(w->text, sizeof(w->text), "%.*s", STR_ARG(a->text));
	if (--w->open == 0) {
		outbound_free(w->out); /* ends the program: nothing keeps the loop */
		w->out = NULL;
		loop_stop(w->loop);
	}
}

static void ask(struct world *w, const char *url)
{
	struct err e;
	const struct outbound_request r = {.kind = OUTBOUND_HTTP,
	    .method = OUTBOUND_POST,
	    .timeout_ms = 3000,
	    .url = str_c(url),
	    .body = STR("hello"),
	    .headers = {STR("X-One: 1")},
	    .header_count = 1,
	    .body_max = 5};
	w->open++;
	assert_int_equal(outbound_ask(w->out, &r, on_answer, w, &e), 0);
}

static const char *const loopback[] = {"127.0.0.0/8", "::1/128", NULL};

static void test_answers(void **state)
{
	(void)state;
	struct server s = {0};
	struct world w;
	char url[128];
	server_start(
	    &s, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nnot so so");
	world_start(&w, loopback);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", s.port);
	ask(&w, url);
	loop_run(w.loop);
	assert_int_equal(w.outcomes[OUTBOUND_ANSWERED], 1);
	assert_int_equal(w.status, 429);
	assert_int_equal(w.retry_after_s, 7);
	assert_string_equal(w.body, "not s");
	world_end(&w);
	server_stop(&s);
}

static void test_a_redirect_is_an_answer(void **state)
{
	(void)state;
	struct server s = {0}, inner = {0};
	struct world w;
	char url[128], answer[256];
	server_start(&inner, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	(void)snprintf(answer, sizeof(answer),
	    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/\r\nContent-Length: 0\r\n\r\n",
	    inner.port);
	server_start(&s, answer);
	world_start(&w, loopback);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", s.port);
	ask(&w, url);
	loop_run(w.loop);
	assert_int_equal(w.status, 302);
	assert_int_equal(atomic_load(&inner.came), 0);
	world_end(&w);
	server_stop(&s);
	server_stop(&inner);
}

/* How one may write an address of this machine, or of a network inside. %u is the server's port. */
static const char *const hidden[] = {"http://127.0.0.1:%u/", "http://127.1:%u/",
    "http://127.0.1:%u/", "http://2130706433:%u/", "http://0x7f000001:%u/", "http://0x7f.0.0.1:%u/",
    "http://0177.0.0.1:%u/", "http://017700000001:%u/", "http://0x7f.1:%u/", "http://0177.1:%u/",
    "http://127.0.0.01:%u/", "http://127.255.255.254:%u/", "http://127.0.0.1.:%u/", "http://0:%u/",
    "http://0.0.0.0:%u/", "http://00:%u/", "http://0x0:%u/", "http://0.0:%u/",
    "http://localhost:%u/", "http://LOCALHOST:%u/", "http://localhost.:%u/",
    "http://x.localhost:%u/", "http://ip6-localhost:%u/", "http://[::1]:%u/", "http://[::]:%u/",
    "http://[0:0:0:0:0:0:0:1]:%u/", "http://[::ffff:127.0.0.1]:%u/", "http://[::ffff:7f00:1]:%u/",
    "http://[::127.0.0.1]:%u/", "http://[64:ff9b::127.0.0.1]:%u/", "http://[2002:7f00:1::]:%u/",
    "http://[::ffff:0:127.0.0.1]:%u/", "http://[::1%%25lo]:%u/", "http://%%31%%32%%37.0.0.1:%u/",
    "http://127.0.0.1:%u?x", "http://127.0.0.1:%u#f", "http://u@127.0.0.1:%u/",
    "http://u:p@127.0.0.1:%u/", "http://example.org@127.0.0.1:%u/",
    "http://example.org:80@127.0.0.1:%u/", "http://127.0.0.1:%u\\@example.org/",
    "http://example.org\\@127.0.0.1:%u/", "http://127.0.0.1%%00.example.org:%u/",
    "http://127.0.0.1\t:%u/", "http:// 127.0.0.1:%u/", "http://127.0.0.1:%u/\r\nHost: x",
    "https://127.0.0.1:%u/", "https://localhost:%u/", "https://[::1]:%u/", "http://127.0.0.2:%u/",
    "http://127.127.127.127:%u/", "http://2130706434:%u/", "http://0x7f000002:%u/",
    "http://0x7F.0x0.0x0.0x1:%u/", "http://0x7f.0x00.0x00.0x01:%u/", "http://0177.00.00.01:%u/",
    "http://127.00.00.1:%u/", "http://0000177.0.0.1:%u/", "http://4294967295:%u/",
    "http://256.0.0.1:%u/", "http://127.0.0.256:%u/", "http://10.0.0.1:%u/", "http://10.1:%u/",
    "http://167772161:%u/", "http://0xa000001:%u/", "http://012.0.0.1:%u/", "http://172.16.0.1:%u/",
    "http://172.31.255.254:%u/", "http://0xac100001:%u/", "http://192.168.0.1:%u/",
    "http://192.168.1:%u/", "http://3232235521:%u/", "http://0xc0a80001:%u/",
    "http://0300.0250.0.1:%u/", "http://169.254.169.254:%u/latest/meta-data/",
    "http://2852039166:%u/", "http://0xa9fea9fe:%u/", "http://0251.0376.0251.0376:%u/",
    "http://169.254.43518:%u/", "http://[::ffff:169.254.169.254]:%u/",
    "http://[::ffff:a9fe:a9fe]:%u/", "http://[64:ff9b::a9fe:a9fe]:%u/",
    "http://[fd00:ec2::254]:%u/", "http://[fe80::1]:%u/", "http://[fe80::1%%25eth0]:%u/",
    "http://[fc00::1]:%u/", "http://[fec0::1]:%u/", "http://[ff02::1]:%u/",
    "http://[2002:a00:1::]:%u/", "http://[2002:c0a8:1::1]:%u/", "http://[2001:0:7f00:1::]:%u/",
    "http://[::ffff:10.0.0.1]:%u/", "http://[::ffff:192.168.0.1]:%u/",
    "http://[64:ff9b::10.0.0.1]:%u/", "http://[64:ff9b:1::1]:%u/", "http://[100::1]:%u/",
    "http://[2001:db8::1]:%u/", "http://100.64.0.1:%u/", "http://100.127.255.254:%u/",
    "http://198.18.0.1:%u/", "http://192.0.2.1:%u/", "http://198.51.100.1:%u/",
    "http://203.0.113.1:%u/", "http://192.88.99.1:%u/", "http://224.0.0.1:%u/",
    "http://239.255.255.250:%u/", "http://240.0.0.1:%u/", "http://255.255.255.255:%u/",
    "http://192.0.0.1:%u/", "ftp://127.0.0.1:%u/", "file:///etc/passwd?%u",
    "gopher://127.0.0.1:%u/_x", "dict://127.0.0.1:%u/x", "ldap://127.0.0.1:%u/",
    "smb://127.0.0.1:%u/", "telnet://127.0.0.1:%u/", "tftp://127.0.0.1:%u/x", "unix:/run/x?%u",
    "http:127.0.0.1:%u", "//127.0.0.1:%u/", "127.0.0.1:%u"};

/* Asks them all, so many at once as may be under way; how many connections came. */
static int try_hidden(const char *const *allow, struct world *sum)
{
	struct server s = {0};
	enum { COUNT = sizeof(hidden) / sizeof(*hidden) };
	server_start(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	memset(sum, 0, sizeof(*sum));
	for (size_t at = 0; at < COUNT; at += OUTBOUND_IN_FLIGHT_MAX) {
		struct world w;
		world_start(&w, allow);
		for (size_t i = at; i < COUNT && i < at + OUTBOUND_IN_FLIGHT_MAX; i++) {
			char url[160];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			(void)snprintf(url, sizeof(url), hidden[i], s.port);
#pragma GCC diagnostic pop
			ask(&w, url);
		}
		loop_run(w.loop);
		for (int i = 0; i < OUTBOUND_OUTCOME_COUNT; i++)
			sum->outcomes[i] += w.outcomes[i];
		world_end(&w);
	}
	int came = atomic_load(&s.came);
	server_stop(&s);
	return came;
}

static void test_hidden_addresses(void **state)
{
	(void)state;
	struct world with, without;
	int control = try_hidden(loopback, &with), came = try_hidden(NULL, &without);
	print_message("S13: %zu addresses; allowed: %d connections came; not allowed: %d came, %d "
		      "blocked at the socket, %d refused "
		      "as written, %d led nowhere\n",
	    sizeof(hidden) / sizeof(*hidden), control, came, without.outcomes[OUTBOUND_BLOCKED],
	    without.outcomes[OUTBOUND_REFUSED], without.outcomes[OUTBOUND_UNREACHABLE]);
	assert_true(sizeof(hidden) / sizeof(*hidden) >= 120);
	assert_true(control >= 15); /* the list does reach this machine where that is allowed */
	assert_int_equal(came, 0);
	assert_int_equal(without.outcomes[OUTBOUND_ANSWERED], 0);
	assert_true(without.outcomes[OUTBOUND_BLOCKED] > 60);
}

static void test_headers_cannot_be_smuggled(void **state)
{
	(void)state;
	struct world w;
	struct err e;
	world_start(&w, loopback);
	static const char *const bad[] = {"A: b\r\nC: d", "no colon", "A: \x01"};
	for (size_t i = 0; i < 3; i++) {
		const struct outbound_request r = {.kind = OUTBOUND_HTTP,
		    .timeout_ms = 100,
		    .url = STR("http://127.0.0.1:9/"),
		    .headers = {str_c(bad[i])},
		    .header_count = 1};
		w.open++;
		assert_int_equal(outbound_ask(w.out, &r, on_answer, &w, &e), 0);
	}
	static const char *const to[] = {"a@b>\r\nRCPT TO:<c@d", "nobody", "a@b@c", ""};
	for (size_t i = 0; i < 4; i++) {
		const struct outbound_request r = {.kind = OUTBOUND_MAIL,
		    .timeout_ms = 100,
		    .url = STR("smtp://127.0.0.1:9"),
		    .from = STR("a@b.example"),
		    .to = {str_c(to[i])},
		    .to_count = 1};
		w.open++;
		assert_int_equal(outbound_ask(w.out, &r, on_answer, &w, &e), 0);
	}
	loop_run(w.loop);
	assert_int_equal(w.outcomes[OUTBOUND_REFUSED], 7);
	world_end(&w);
}

static void test_no_program(void **state)
{
	(void)state;
	struct world w;
	struct err e;
	world_start(&w, NULL);
	outbound_free(w.out);
	const struct outbound_options o = {
	    .loop = w.loop, .program = "/nonexistent/slipway-outbound"};
	w.out = outbound_new(&o, &e);
	ask(&w, "http://example.org/");
	loop_run(w.loop);
	assert_int_equal(w.outcomes[OUTBOUND_UNREACHABLE], 1);
	assert_non_null(strstr(w.text, "slipway-outbound"));
	world_end(&w);
	const char *const bad[] = {"10.0.0.1/8", NULL};
	const struct outbound_options wrong = {.loop = NULL, .program = "/x", .allow = bad};
	assert_null(outbound_new(&wrong, &e));
	assert_int_equal(e.code, ERR_SETTINGS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_frames_refused),
	    cmocka_unit_test(test_urls),
	    cmocka_unit_test(test_same_server),
	    cmocka_unit_test(test_answers),
	    cmocka_unit_test(test_a_redirect_is_an_answer),
	    cmocka_unit_test(test_hidden_addresses),
	    cmocka_unit_test(test_headers_cannot_be_smuggled),
	    cmocka_unit_test(test_no_program),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
