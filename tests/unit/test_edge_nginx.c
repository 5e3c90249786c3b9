/* rooms: base render helper */
/* The helper's edge with the real nginx: what a visitor sees. */
#include "edge_fixture.h"

/* ---- the program behind the edge: one thread, one connection at a time ---- */

struct app {
	int fd;
	_Atomic unsigned served;
	pthread_t thread;
};

/* What a visitor gets when the program is not there; and where the folder is, without the host or
 * with it. */
#ifdef FIXTURE_APACHE
static const int no_program = 503;
static const char folder[] = "Location: http://site.localhost/static/\r\n";
#else
static const int no_program = 502;
static const char folder[] = "Location: /static/\r\n";
#endif

static void answer(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

/* Answers with as many bytes as the body has. */
static void echo(int fd, const char *begin, size_t have, size_t length)
{
	char *body = calloc(1, length + 1), head[128];
	memcpy(body, begin, have);
	for (ssize_t got; have < length && (got = read(fd, body + have, length - have)) > 0;)
		have += (size_t)got;
	int n =
	    snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", have);
	(void)!write(fd, head, (size_t)n);
	for (size_t at = 0; at < have;) {
		ssize_t put = write(fd, body + at, have - at);
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	free(body);
}

static void serve(int fd)
{
	char in[8192], out[9000];
	size_t n = 0;
	for (ssize_t got; n < sizeof(in) - 1 && (got = read(fd, in + n, sizeof(in) - 1 - n)) > 0;) {
		n += (size_t)got;
		in[n] = '\0';
		if (strstr(in, "\r\n\r\n"))
			break;
	}
	const char *length = strstr(in, "POST /echo ") ? strstr(in, "Content-Length: ") : NULL;
	if (length) {
		echo(fd, strstr(in, "\r\n\r\n") + 4, (size_t)(in + n - strstr(in, "\r\n\r\n") - 4),
		    strtoul(length + 16, NULL, 10));
	} else if (strstr(in, "GET /ws ")) {
		answer(fd, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
			   "Upgrade\r\n\r\n");
		for (ssize_t got; (got = read(fd, in, sizeof(in))) > 0;)
			(void)!write(fd, in, (size_t)got);
	} else if (strstr(in, "GET /stream ")) {
		answer(fd,
		    "HTTP/1.1 200 OK\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\nfirst\n");
		usleep(400000);
		answer(fd, "second\n");
	} else if (strstr(in, "GET /hang ")) {
		usleep(2500000);
	} else if (strstr(in, "GET /accel ")) {
		answer(fd, "HTTP/1.1 200 OK\r\nX-Accel-Redirect: "
			   "/.slipway/404.html\r\nReferrer-Policy: origin\r\n"
			   "Content-Length: 3\r\n\r\nown");
	} else {
		int m = snprintf(
		    out, sizeof(out), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", n, in);
		(void)!write(fd, out, (size_t)m);
	}
}

static void *app_run(void *p)
{
	struct app *a = p;
	for (int fd; (fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd)) {
		serve(fd);
		a->served++;
	}
	return NULL;
}

static void app_start(struct app *a, const char *project, unsigned release, unsigned instance)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/%s/%u/web.%u.sock", run_dir, project,
	    release, instance);
	a->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)unlink(at.sun_path);
	assert_int_equal(bind(a->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(chmod(at.sun_path, 0666), 0);
	assert_int_equal(listen(a->fd, 64), 0);
	assert_int_equal(pthread_create(&a->thread, NULL, app_run, a), 0);
}

static void app_stop(struct app *a)
{
	(void)shutdown(a->fd, SHUT_RDWR);
	(void)pthread_join(a->thread, NULL);
	(void)close(a->fd);
}

static void test_ipv6(void **state)
{
	(void)state;
	struct sockaddr_in6 a = {
	    .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	char out[4096];
	CLEANUP_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CLEANUP_FD int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	if (probe < 0 || bind(probe, (struct sockaddr *)&any, sizeof(any)) != 0)
		skip(); /* this machine has none */
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	answer(fd, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	assert_true(read_all(fd, out, sizeof(out)) > 0);
	assert_non_null(strstr(out, " 404 "));
}

static void test_unknown_host(void **state)
{
	(void)state;
	char out[4096];
	assert_get("nobody.example.org", "/", 404, "<h1>Not found</h1>");
	assert_int_equal(ask(out, sizeof(out), "GET / HTTP/1.0\r\n\r\n"), 404);
	assert_null(strstr(out, "nginx/"));
	assert_get("slipway.localhost", "/metrics", 404, "Not found");
	assert_get("slipway.localhost", "/health", no_program, "Not available");
	/* internal pages cannot be asked for */
	assert_get("nobody.example.org", "/.slipway/maintenance.html", 404, "Not found");
}

static void test_static_site(void **state)
{
	(void)state;
	struct render_vhost v;
	struct err e;
	char out[4096], path[320];
	make_release("site", 1);
	make_release("site", 2);
	go_live("site", 1, 0);
	vhost(&v, "site");
	add_static(&v, "/", "");
	add_static(&v, "/media", "media");
	put_file("uploaded", "%s/site/data/media/a.txt", projects);
	put_file("secret", "%s/site/data/secret.txt", projects);
	(void)snprintf(path, sizeof(path), "%s/site/data/media/b.txt", projects);
	assert_int_equal(symlink("../secret.txt", path), 0);
	assert_int_equal(set(&v), ERR_NONE);
	assert_get("site.localhost", "/", 200, "release 1");
	assert_get("site.localhost", "/static", 301, folder);
	assert_get("site.localhost", "/static/", 404, "Not found");
	assert_get("site.localhost", "/media/a.txt", 200, "uploaded");
	assert_get("site.localhost", "/media/b.txt", 404, "Not found");
	assert_get("site.localhost", "/media/../../secret.txt", 400, "");
	assert_get("site.localhost", "/media../secret.txt", 404, "Not found");
	assert_int_equal(get(out, sizeof(out), "site.localhost", "/"), 200);
	assert_non_null(strstr(out, "ETag: "));
	assert_non_null(strstr(out, "X-Content-Type-Options: nosniff\r\n"));
	assert_non_null(strstr(out, "Referrer-Policy: strict-origin-when-cross-origin\r\n"));
	assert_null(strstr(out, "Retry-After"));
	/* the same fields again: nothing to do */
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 0);
	go_live("site", 2, 1);
	assert_get("site.localhost", "/", 200, "release 2");
	assert_get("site.localhost", "/asset-2.txt", 200, "release 2");
	assert_get("site.localhost", "/asset-1.txt", 200, "release 1");
	assert_get("site.localhost", "/asset-3.txt", 404, "<h1>Not found</h1>");
	put_file("the site's own page", "%s/site/public/2/404.html", projects);
	assert_get("site.localhost", "/asset-3.txt", 404, "the site's own page");
}

static void test_switch_loses_nothing(void **state)
{
	(void)state;
	struct load l = {.stop = false};
	pthread_t threads[4];
	go_live("site", 1, 2);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, load_run, &l), 0);
	for (unsigned i = 0; i < 100; i++) {
		go_live("site", 2, 1);
		usleep(10000);
		go_live("site", 1, 2);
		usleep(10000);
	}
	l.stop = true;
	for (unsigned i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	print_message(
	    "200 switches under %u requests: %u of release 1, %u of release 2, %u failed\n",
	    l.asked, l.ones, l.twos, l.failed);
	assert_int_equal(l.failed, 0);
	assert_true(l.asked > 1000 && l.ones > 0 && l.twos > 0);
}

/* Release after release, each with the one before behind it: no file that either holds is ever
 * missed. */
static void test_deploys_lose_nothing(void **state)
{
	(void)state;
	struct load l = {.stop = false, .only_front = true};
	pthread_t threads[2];
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, load_run, &l), 0);
	for (unsigned n = 3; n < 60; n++) {
		make_release("site", n);
		go_live("site", n, n == 3 ? 1 : n - 1);
		usleep(5000);
	}
	l.stop = true;
	for (unsigned i = 0; i < 2; i++)
		(void)pthread_join(threads[i], NULL);
	assert_true(l.asked > 100);
	assert_int_equal(l.failed, 0);
	go_live("site", 1, 2);
}

/* Bodies that do not fit into memory buffers pass through the edge's temporary files, in both
 * directions. */
static void test_large_bodies(void **state)
{
	(void)state;
	enum { SIZE = 3 << 20 };
	struct app a;
	struct render_vhost v;
	char head[256], *big = calloc(1, SIZE + 65536);
	make_release("big", 1);
	go_live("big", 1, 0);
	vhost(&v, "big");
	v.web_instances = 1;
	v.body_max_bytes = SIZE;
	assert_int_equal(set(&v), ERR_NONE);
	app_start(&a, "big", 1, 1);
	CLEANUP_FD int fd = connect_edge();
	int n = snprintf(head, sizeof(head),
	    "POST /echo HTTP/1.1\r\nHost: big.localhost\r\nConnection: close\r\nContent-Length: "
	    "%d\r\n\r\n",
	    SIZE);
	assert_int_equal(write(fd, head, (size_t)n), n);
	memset(big, 'x', SIZE);
	for (size_t at = 0; at < SIZE;) {
		ssize_t put = write(fd, big + at, SIZE - at);
		assert_true(put > 0);
		at += (size_t)put;
	}
	usleep(200000); /* a slow visitor: the answer waits in the edge, not in the program */
	size_t got = read_all(fd, big, SIZE + 65536);
	const char *body = strstr(big, "\r\n\r\n");
	assert_non_null(strstr(big, " 200 "));
	assert_non_null(body);
	assert_int_equal(got - (size_t)(body + 4 - big), SIZE);
	app_stop(&a);
	free(big);
}

static void ask_times(unsigned n)
{
	char out[9000];
	for (unsigned i = 0; i < n; i++)
		(void)get(out, sizeof(out), "pair.localhost", "/");
}

/* An instance that was away is asked again as soon as it is back. */
static void test_an_instance_comes_back(void **state)
{
	(void)state;
	struct render_vhost v;
	struct app one = {.served = 0}, two = {.served = 0};
	make_release("pair", 1);
	go_live("pair", 1, 0);
	vhost(&v, "pair");
	v.web_instances = 2;
	assert_int_equal(set(&v), ERR_NONE);
	app_start(&one, "pair", 1, 1);
	app_start(&two, "pair", 1, 2);
	ask_times(40);
	assert_true(one.served > 0 && two.served > 0);
	app_stop(&two);
	ask_times(40);
	two.served = 0;
	app_start(&two, "pair", 1, 2);
	ask_times(40);
	assert_true(two.served > 0);
	app_stop(&one);
	app_stop(&two);
}

static void test_program(void **state)
{
	(void)state;
	struct render_vhost v;
	struct app a;
	char out[9000];
	make_release("app", 1);
	go_live("app", 1, 0);
	vhost(&v, "app");
	v.web_instances = 2;
	v.request_timeout_s = 1;
	add_static(&v, "/static", "");
	assert_int_equal(set(&v), ERR_NONE);
	assert_get("app.localhost", "/", no_program, "<h1>Not available</h1>");
	v.web_instances = 1;
	assert_int_equal(set(&v), ERR_NONE);
	app_start(&a, "app", 1, 1);
	assert_get("app.localhost", "/static/asset-1.txt", 200, "release 1");
	assert_int_equal(
	    ask(out, sizeof(out),
		"GET /x?y=1 HTTP/1.1\r\nHost: app.localhost:8080\r\nX-Forwarded-For: 6.6.6.6\r\n"
		"X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n"
		"Upgrade: h2c\r\nConnection: close, Upgrade\r\n\r\n"),
	    200);
	assert_non_null(strstr(out, "GET /x?y=1 HTTP/1.1\r\n"));
	assert_non_null(strstr(out, "\r\nHost: app.localhost:8080\r\n"));
	assert_non_null(strstr(out, "\r\nX-Forwarded-For: 127.0.0.1\r\n"));
	assert_non_null(strstr(out, "\r\nX-Forwarded-Proto: http\r\n"));
	assert_non_null(strstr(out, "\r\nX-Forwarded-Host: app.localhost:8080\r\n"));
	assert_non_null(strstr(out, "\r\nX-Request-Id: "));
	assert_non_null(strstr(out, "\r\nConnection: close\r\n"));
	assert_null(strstr(out, "6.6.6.6"));
	assert_null(strstr(out, "h2c"));
	/* an absolute URL chooses the vhost; the Host header beside it is not believed */
	assert_int_equal(ask(out, sizeof(out),
			     "GET http://app.localhost/ HTTP/1.1\r\nHost: "
			     "evil.example\r\nConnection: close\r\n\r\n"),
	    200);
	assert_null(strstr(out, "evil"));
	assert_int_equal(
	    ask(out, sizeof(out),
		"POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 1001\r\n\r\n"),
	    413);
	assert_non_null(strstr(out, "<h1>Too large</h1>"));
	/* nor one that does not say how long it is */
	char long_body[1200];
	memset(long_body, 'x', sizeof(long_body) - 1);
	long_body[sizeof(long_body) - 1] = '\0';
	assert_int_equal(ask(out, sizeof(out),
			     "POST / HTTP/1.1\r\nHost: app.localhost\r\nTransfer-Encoding: "
			     "chunked\r\n\r\n4af\r\n%s\r\n0\r\n\r\n",
			     long_body),
	    apache ? 411 : 413);
	assert_get("app.localhost", "/accel", 200, "\r\n\r\nown");
	assert_int_equal(get(out, sizeof(out), "app.localhost", "/accel"), 200);
	assert_non_null(strstr(out, "Referrer-Policy: origin\r\n"));
	assert_null(strstr(out, "strict-origin"));
	int64_t asked = clock_mono_ms();
	assert_get("app.localhost", "/hang", apache ? 502 : 504,
	    apache ? "Not available" : "No answer in time");
	assert_true(
	    clock_mono_ms() - asked < 2400); /* when the program itself would have ended it */
	app_stop(&a);
	assert_get("app.localhost", "/", no_program, "<h1>Not available</h1>");
}

static void test_websocket_and_stream(void **state)
{
	(void)state;
	struct app a;
	char out[4096];
	app_start(&a, "app", 1, 1);
	{
		CLEANUP_FD int fd = connect_edge();
		answer(fd, "GET /ws HTTP/1.1\r\nHost: app.localhost\r\nUpgrade: "
			   "WebSocket\r\nConnection: Upgrade\r\n\r\n");
		ssize_t n = read(fd, out, sizeof(out) - 1);
		assert_true(n > 0);
		out[n] = '\0';
		assert_non_null(strstr(out, "HTTP/1.1 101"));
		answer(fd, "hello");
		n = read(fd, out, sizeof(out) - 1);
		assert_int_equal(n, 5);
		assert_memory_equal(out, "hello", 5);
	}
	CLEANUP_FD int fd = connect_edge();
	answer(fd, "GET /stream HTTP/1.1\r\nHost: app.localhost\r\n\r\n");
	int64_t begin = clock_mono_ms(), first = 0;
	size_t n = 0;
	while (n < sizeof(out) - 1 && !strstr(out, "second")) {
		ssize_t got = read(fd, out + n, sizeof(out) - 1 - n);
		if (got <= 0)
			break;
		n += (size_t)got;
		out[n] = '\0';
		if (!first && strstr(out, "first"))
			first = clock_mono_ms();
	}
	assert_non_null(strstr(out, "second"));
	assert_true(first && first - begin < 300);
	app_stop(&a);
}

static void test_maintenance(void **state)
{
	(void)state;
	struct render_vhost v;
	vhost(&v, "app");
	v.maintenance = 1;
	v.web_instances = 1;
	assert_int_equal(set(&v), ERR_NONE);
	assert_get("app.localhost", "/any/where", 503, "<h1>Maintenance</h1>");
	assert_get("app.localhost", "/", 503, "Retry-After: 30\r\n");
	assert_get("app.localhost", "/.slipway/502.html", 404, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ipv6),
	    cmocka_unit_test(test_unknown_host),
	    cmocka_unit_test(test_static_site),
	    cmocka_unit_test(test_switch_loses_nothing),
	    cmocka_unit_test(test_deploys_lose_nothing),
	    cmocka_unit_test(test_an_instance_comes_back),
	    cmocka_unit_test(test_program),
	    cmocka_unit_test(test_large_bodies),
	    cmocka_unit_test(test_websocket_and_stream),
	    cmocka_unit_test(test_maintenance),
	};
	return fixture_main() ? 77 : cmocka_run_group_tests(tests, group_up, group_down);
}
