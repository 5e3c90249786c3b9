/* rooms: base render helper */
/* The helper's edge with the real nginx on a free port below a temporary directory: what a visitor
 * sees. */
#include "helper/edge.h"

#include "base/clock.h"
#include "base/fs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SEQ_MAX 4096

static char top[20], edge_dir[32], run_dir[32], projects[32];
static uint16_t port;
static struct edge *edge;
static struct edge_options options;
static uint64_t next_seq = 1;
static struct {
	bool done;
	enum err_code code;
	char msg[512];
} results[SEQ_MAX];

static void on_done(void *ctx, uint64_t seq, const struct err *e)
{
	(void)ctx;
	assert_true(seq < SEQ_MAX);
	assert_false(results[seq].done);
	results[seq].done = true;
	results[seq].code = e ? e->code : ERR_NONE;
	(void)snprintf(results[seq].msg, sizeof(results[seq].msg), "%s", e ? e->msg : "");
}

static void reap(void)
{
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
		(void)edge_reaped(edge, pid, status);
}

static void pump_until(uint64_t seq)
{
	int64_t deadline = clock_mono_ms() + 20000;
	while (!results[seq].done && clock_mono_ms() < deadline) {
		reap();
		(void)edge_tick(edge, clock_mono_ms());
		usleep(2000);
	}
	assert_true(results[seq].done);
}

static void pump_ms(int64_t ms)
{
	for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end; usleep(2000)) {
		reap();
		(void)edge_tick(edge, clock_mono_ms());
	}
}

static void start_edge(void)
{
	struct err e;
	uint64_t seq = next_seq++;
	int rc = edge_start(edge, seq, &e);
	if (rc < 0)
		print_error("%s\n", e.msg);
	assert_int_equal(rc, 1);
	pump_until(seq);
	if (results[seq].code)
		print_error("%s\n", results[seq].msg);
	assert_int_equal(results[seq].code, ERR_NONE);
}

static void stop_edge(void)
{
	edge_stop(edge, false);
	int64_t deadline = clock_mono_ms() + 12000;
	while (edge_running(edge) && clock_mono_ms() < deadline)
		pump_ms(10);
	assert_false(edge_running(edge));
}

static uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

/* ---- a visitor ---- */

static int connect_edge(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 10};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
		return fd;
	close(fd);
	return -1;
}

static size_t read_all(int fd, char *out, size_t size)
{
	size_t n = 0;
	for (ssize_t got; n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	out[n] = '\0';
	return n;
}

static int ask(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Sends the text and reads to the end; the status, or -1. */
static int ask(char *out, size_t size, const char *fmt, ...)
{
	char text[4096];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	CLEANUP_FD int fd = connect_edge();
	out[0] = '\0';
	if (fd < 0 || write(fd, text, (size_t)n) != n || read_all(fd, out, size) < 12)
		return -1;
	return (int)strtol(out + 9, NULL, 10);
}

static int get(char *out, size_t size, const char *host, const char *path)
{
	return ask(
	    out, size, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
}

static void assert_get(const char *host, const char *path, int status, const char *needle)
{
	static char answer[65536];
	int got = get(answer, sizeof(answer), host, path);
	if (got != status || !strstr(answer, needle))
		print_error("GET %s%s -> %d\n%s\n", host, path, got, answer);
	assert_int_equal(got, status);
	assert_non_null(strstr(answer, needle));
}

/* ---- projects on disk ---- */

static void put_file(const char *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put_file(const char *text, const char *fmt, ...)
{
	char path[256], dir[256];
	struct err e;
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	memcpy(dir, path, sizeof(dir));
	*strrchr(dir, '/') = '\0';
	assert_int_equal(fs_mkdirs(dir, 0755, &e), 0);
	CLEANUP_FD int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void put_link(const char *project, const char *name, const char *target)
{
	char dir[192];
	struct err e;
	(void)snprintf(dir, sizeof(dir), "%s/%s", projects, project);
	assert_int_equal(fs_mkdirs(dir, 0755, &e), 0);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_link_swap(fd, name, target, &e), 0);
}

static void make_release(const char *project, unsigned n)
{
	char dir[192], target[192], text[64];
	struct err e;
	(void)snprintf(dir, sizeof(dir), "%s/%s/%u", run_dir, project, n);
	assert_int_equal(fs_mkdirs(dir, 0755, &e), 0);
	(void)snprintf(target, sizeof(target), "%s/%s/public/%u", projects, project, n);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_link_swap(fd, "public", target, &e), 0);
	(void)snprintf(text, sizeof(text), "release %u\n", n);
	put_file(text, "%s/index.html", target);
	put_file(text, "%s/asset-%u.txt", target, n);
	put_file(text, "%s/static/asset-%u.txt", target, n);
}

static bool points_at(const char *project, const char *name, const char *target)
{
	char path[192], have[192];
	(void)snprintf(path, sizeof(path), "%s/%s/%s", projects, project, name);
	ssize_t n = readlink(path, have, sizeof(have) - 1);
	have[n < 0 ? 0 : n] = '\0';
	return strcmp(have, target) == 0;
}

/* As edge_switch does it: back to the release before is one exchange of both links. */
static void go_live(const char *project, unsigned n, unsigned previous)
{
	char target[192], before[192], live_path[192], previous_path[192];
	(void)snprintf(target, sizeof(target), "%s/%s/%u", run_dir, project, n);
	(void)snprintf(before, sizeof(before), "%s/%s/%u", run_dir, project, previous);
	(void)snprintf(live_path, sizeof(live_path), "%s/%s/live", projects, project);
	(void)snprintf(previous_path, sizeof(previous_path), "%s/%s/previous", projects, project);
	if (points_at(project, "previous", target) && points_at(project, "live", before)) {
		assert_int_equal(
		    renameat2(AT_FDCWD, live_path, AT_FDCWD, previous_path, RENAME_EXCHANGE), 0);
		return;
	}
	if (previous)
		put_link(project, "previous", before);
	put_link(project, "live", target);
}

static void vhost(struct render_vhost *v, const char *project)
{
	memset(v, 0, sizeof(*v));
	v->version = RENDER_VHOST_VERSION;
	(void)snprintf(v->project, sizeof(v->project), "%s", project);
	v->domain_count = 1;
	(void)snprintf(v->domains[0], sizeof(v->domains[0]), "%s.localhost", project);
	v->body_max_bytes = 1000;
	v->request_timeout_s = 5;
}

static void add_static(struct render_vhost *v, const char *url, const char *data)
{
	struct render_static *st = &v->statics[v->static_count++];
	(void)snprintf(st->url, sizeof(st->url), "%s", url);
	(void)snprintf(st->data_path, sizeof(st->data_path), "%s", data);
	st->data = data[0] != '\0';
}

static enum err_code set(const struct render_vhost *v)
{
	struct err e;
	uint64_t seq = next_seq++;
	int rc = edge_vhost_set(edge, seq, v, &e);
	if (rc < 0)
		return e.code;
	if (rc == 0)
		return ERR_NONE;
	pump_until(seq);
	return results[seq].code;
}

/* ---- the program behind the edge: one thread, one connection at a time ---- */

struct app {
	int fd;
	pthread_t thread;
};

static void answer(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
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
	if (strstr(in, "GET /ws ")) {
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
	for (int fd; (fd = accept4(a->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0; close(fd))
		serve(fd);
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

/* ---- tests ---- */

static int group_up(void **state)
{
	(void)state;
	struct err e;
	const struct passwd *web = geteuid() == 0 ? getpwnam("www-data") : NULL;
	memcpy(top, "/tmp/swe-XXXXXX", sizeof("/tmp/swe-XXXXXX"));
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	(void)snprintf(edge_dir, sizeof(edge_dir), "%s/edge", top);
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", top);
	(void)snprintf(projects, sizeof(projects), "%s/projects", top);
	assert_int_equal(fs_mkdirs(run_dir, 0755, &e), 0);
	assert_int_equal(fs_mkdirs(projects, 0755, &e), 0);
	port = free_port();
	options = (struct edge_options){.edge_dir = edge_dir,
	    .run_dir = run_dir,
	    .projects_dir = projects,
	    .address = "127.0.0.1",
	    .http_port = port,
	    .web_user = web ? "www-data" : NULL,
	    .web_uid = web ? web->pw_uid : 0,
	    .web_gid = web ? web->pw_gid : 0,
	    .done = on_done};
	edge = edge_open(&options);
	start_edge();
	return 0;
}

static int group_down(void **state)
{
	(void)state;
	struct err e;
	stop_edge();
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, top + strlen("/tmp/"), &e);
}

static void test_unknown_host(void **state)
{
	(void)state;
	char out[4096];
	assert_get("nobody.example.org", "/", 404, "<h1>Not found</h1>");
	assert_int_equal(ask(out, sizeof(out), "GET / HTTP/1.0\r\n\r\n"), 404);
	assert_null(strstr(out, "nginx/"));
	assert_get("slipway.localhost", "/metrics", 404, "Not found");
	assert_get("slipway.localhost", "/health", 502, "Not available");
	/* internal pages cannot be asked for */
	assert_get("nobody.example.org", "/.slipway/maintenance.html", 404, "Not found");
}

static void test_static_site(void **state)
{
	(void)state;
	struct render_vhost v;
	struct err e;
	char out[4096], path[192];
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
	assert_get("site.localhost", "/static", 301, "Location: /static/\r\n");
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

struct load {
	_Atomic bool stop;
	_Atomic unsigned asked, failed, ones, twos;
};

static void *load_run(void *p)
{
	struct load *l = p;
	char out[4096];
	while (!l->stop) {
		int status =
		    get(out, sizeof(out), "site.localhost", l->asked % 2 ? "/" : "/asset-1.txt");
		bool one = strstr(out, "release 1"), two = strstr(out, "release 2");
		l->asked++;
		l->ones += one;
		l->twos += two;
		l->failed += status != 200 || one == two;
	}
	return NULL;
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

static void test_reload_loses_nothing(void **state)
{
	(void)state;
	struct render_vhost v;
	struct load l = {.stop = false};
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, load_run, &l), 0);
	for (unsigned i = 0; i < 8; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "new%u", i);
		make_release(name, 1);
		go_live(name, 1, 0);
		vhost(&v, name);
		add_static(&v, "/", "");
		assert_int_equal(set(&v), ERR_NONE);
		(void)snprintf(name, sizeof(name), "new%u.localhost", i);
		/* effective for every new connection once it is said to be */
		for (unsigned k = 0; k < 30; k++)
			assert_get(name, "/", 200, "release 1");
	}
	l.stop = true;
	(void)pthread_join(thread, NULL);
	assert_int_equal(l.failed, 0);
}

static unsigned generation(void)
{
	char path[128], text[256] = "";
	(void)snprintf(path, sizeof(path), "%s/generation.conf", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	return (unsigned)strtoul(strstr(text, "/edge.") + 6, NULL, 10);
}

static void test_reloads_are_coalesced(void **state)
{
	(void)state;
	struct render_vhost v;
	struct err e;
	uint64_t first = next_seq;
	unsigned before = generation();
	for (unsigned i = 0; i < 60; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "many%u", i);
		vhost(&v, name);
		assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 1);
	}
	for (unsigned i = 0; i < 60; i++)
		pump_until(first + i);
	for (unsigned i = 0; i < 60; i++)
		assert_int_equal(results[first + i].code, ERR_NONE);
	print_message("60 vhosts took %u reloads\n", generation() - before);
	assert_true(generation() - before <= 20);
	for (unsigned i = 0; i < 60; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(edge_vhost_remove(edge, next_seq++, str_c(name), &e), 1);
	}
	pump_until(next_seq - 1);
	assert_int_equal(edge_vhost_remove(edge, next_seq++, STR("many7"), &e), 0);
	assert_get("many7.localhost", "/", 404, "Not found");
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
	assert_get("app.localhost", "/", 502, "<h1>Not available</h1>");
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
	assert_get("app.localhost", "/accel", 200, "\r\n\r\nown");
	assert_int_equal(get(out, sizeof(out), "app.localhost", "/accel"), 200);
	assert_non_null(strstr(out, "Referrer-Policy: origin\r\n"));
	assert_null(strstr(out, "strict-origin"));
	assert_get("app.localhost", "/hang", 504, "No answer in time");
	app_stop(&a);
	assert_get("app.localhost", "/", 502, "<h1>Not available</h1>");
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

/* Somebody damages what is installed: the next change is refused and the running configuration
 * stays. */
static void test_refused_reload(void **state)
{
	(void)state;
	struct render_vhost v;
	struct err e;
	char path[160];
	uint64_t first = next_seq;
	put_file("server { nonsense; }\n", "%s/vhosts/zzz.conf", edge_dir);
	vhost(&v, "one");
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 1);
	vhost(&v, "two");
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 1);
	pump_until(first);
	pump_until(first + 1);
	assert_int_equal(results[first].code, ERR_FAILED);
	assert_non_null(strstr(results[first].msg, "unknown directive"));
	assert_int_equal(results[first + 1].code, ERR_FAILED);
	assert_get("site.localhost", "/", 200, "release 1");
	(void)snprintf(path, sizeof(path), "%s/vhosts/one.conf", edge_dir);
	assert_int_equal(access(path, F_OK), -1);
	/* a start sets it aside */
	stop_edge();
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	start_edge();
	assert_get("site.localhost", "/", 200, "release 1");
	assert_int_equal(set(&v), ERR_NONE);
}

/* nginx refuses a candidate in the skeleton: nothing of it is installed. */
static void test_refused_test(void **state)
{
	(void)state;
	struct render_vhost v;
	char path[160];
	put_file("listen 1.2.3:x;\n", "%s/test/server.conf", edge_dir);
	vhost(&v, "three");
	assert_int_equal(set(&v), ERR_FAILED);
	(void)snprintf(path, sizeof(path), "%s/vhosts/three.conf", edge_dir);
	assert_int_equal(access(path, F_OK), -1);
	assert_get("site.localhost", "/", 200, "release 1");
}

static pid_t master_pid(void)
{
	char path[128], text[32] = "";
	(void)snprintf(path, sizeof(path), "%s/nginx.pid", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	return (pid_t)strtol(text, NULL, 10);
}

static void test_killed_master(void **state)
{
	(void)state;
	struct render_vhost v;
	char out[4096];
	pid_t was = master_pid();
	assert_int_equal(kill(was, SIGKILL), 0);
	int64_t deadline = clock_mono_ms() + 15000;
	do
		pump_ms(20);
	while (
	    clock_mono_ms() < deadline && (access("/proc/self", F_OK) != 0 || master_pid() == was));
	pump_ms(300);
	assert_int_not_equal(master_pid(), was);
	assert_int_equal(get(out, sizeof(out), "site.localhost", "/"), 200);
	vhost(&v, "three");
	assert_int_equal(set(&v), ERR_NONE);
}

static void test_log(void **state)
{
	(void)state;
	char path[128], text[8192] = "", out[4096];
	assert_int_equal(ask(out, sizeof(out),
			     "GET /asset-1.txt?token=hidden HTTP/1.1\r\nHost: "
			     "site.localhost\r\nConnection: close\r\n\r\n"),
	    200);
	(void)snprintf(path, sizeof(path), "%s/log/access.log", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);
	ssize_t n = pread(fd, text, sizeof(text) - 1, end > 600 ? end - 600 : 0);
	assert_true(n > 0);
	assert_non_null(strstr(text, "\"host\":\"site.localhost\",\"method\":\"GET\",\"uri\":\"/"
				     "asset-1.txt\",\"status\":200"));
	assert_null(strstr(text, "hidden"));
}

static void test_port_taken_and_no_nginx(void **state)
{
	(void)state;
	struct err e;
	stop_edge();
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	uint64_t seq = next_seq++;
	assert_int_equal(edge_start(edge, seq, &e), 1);
	pump_until(seq);
	assert_int_equal(results[seq].code, ERR_CONFLICT);
	assert_non_null(strstr(results[seq].msg, "another program already does"));
	(void)close(fd);
	struct edge_options none = options;
	none.nginx = "/nonexistent/nginx";
	edge = edge_open(&none);
	assert_int_equal(edge_start(edge, next_seq++, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_string_equal(e.hint, "apt install nginx-light");
	edge = edge_open(&options);
	start_edge();
	assert_get("site.localhost", "/", 200, "release 1");
}

int main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (access("/usr/sbin/nginx", X_OK) != 0) {
		print_message("nginx is not installed\n");
		return 77;
	}
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_unknown_host),
	    cmocka_unit_test(test_static_site),
	    cmocka_unit_test(test_switch_loses_nothing),
	    cmocka_unit_test(test_reload_loses_nothing),
	    cmocka_unit_test(test_reloads_are_coalesced),
	    cmocka_unit_test(test_program),
	    cmocka_unit_test(test_websocket_and_stream),
	    cmocka_unit_test(test_maintenance),
	    cmocka_unit_test(test_refused_reload),
	    cmocka_unit_test(test_refused_test),
	    cmocka_unit_test(test_killed_master),
	    cmocka_unit_test(test_log),
	    cmocka_unit_test(test_port_taken_and_no_nginx),
	};
	return cmocka_run_group_tests(tests, group_up, group_down);
}
