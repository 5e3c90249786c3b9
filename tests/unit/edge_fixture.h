/* What the tests of the helper's edge share: a real nginx, or with FIXTURE_APACHE a real Apache, on a
 * free port below a temporary directory, a visitor, projects on disk. Include once per program. */
#pragma once

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

#ifdef FIXTURE_APACHE
static const bool apache = true;
#else
static const bool apache = false;
#endif

static char top[20], edge_dir[32], run_dir[32], projects[160];
static uint16_t port, https_port;
static struct edge *edge;
static struct edge_options options;
static uint64_t next_seq = 1;
static bool pump_asked; /* something was asked of the edge since its last tick */
static struct {
	bool done;
	enum err_code code;
	char msg[512];
} results[SEQ_MAX];

static inline void on_done(void *ctx, uint64_t seq, const struct err *e)
{
	(void)ctx;
	assert_true(seq < SEQ_MAX);
	assert_false(results[seq].done);
	results[seq].done = true;
	results[seq].code = e ? e->code : ERR_NONE;
	(void)snprintf(results[seq].msg, sizeof(results[seq].msg), "%s", e ? e->msg : "");
}

/* As the keeper does it: edge_tick after each event and when it asked to be called. */
static inline void pump_once(void)
{
	static int64_t due;
	bool event = pump_asked;
	pump_asked = false;
	int status;
	for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0; event = true)
		(void)edge_reaped(edge, pid, status);
	if (event || clock_mono_ms() >= due)
		due = edge_tick(edge, clock_mono_ms());
	usleep(2000);
}

static inline void pump_until(uint64_t seq)
{
	int64_t deadline = clock_mono_ms() + 20000;
	pump_asked = true;
	while (!results[seq].done && clock_mono_ms() < deadline)
		pump_once();
	assert_true(results[seq].done);
}

static inline void pump_ms(int64_t ms)
{
	pump_asked = true;
	for (int64_t end = clock_mono_ms() + ms; clock_mono_ms() < end;)
		pump_once();
}

static inline void start_edge(void)
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

static inline void stop_edge(void)
{
	edge_stop(edge, false);
	int64_t deadline = clock_mono_ms() + 12000;
	while (edge_running(edge) && clock_mono_ms() < deadline)
		pump_ms(10);
	assert_false(edge_running(edge));
}

static inline uint16_t free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	CLEANUP_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

/* ---- a visitor ---- */

static inline int connect_edge(void)
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

static inline size_t read_all(int fd, char *out, size_t size)
{
	size_t n = 0;
	for (ssize_t got; n < size - 1 && (got = read(fd, out + n, size - 1 - n)) > 0;)
		n += (size_t)got;
	out[n] = '\0';
	return n;
}

static inline int ask(char *out, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Sends the text and reads to the end; the status, or -1. */
static inline int ask(char *out, size_t size, const char *fmt, ...)
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

static inline int get(char *out, size_t size, const char *host, const char *path)
{
	return ask(
	    out, size, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host);
}

static inline void assert_get(const char *host, const char *path, int status, const char *needle)
{
	static char answer[65536];
	int got = get(answer, sizeof(answer), host, path);
	if (got != status || !strstr(answer, needle))
		print_error("GET %s%s -> %d\n%s\n", host, path, got, answer);
	assert_int_equal(got, status);
	assert_non_null(strstr(answer, needle));
}

/* ---- projects on disk ---- */

static inline void put_file(const char *text, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static inline void put_file(const char *text, const char *fmt, ...)
{
	char path[512], dir[512];
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

static inline void put_link(const char *project, const char *name, const char *target)
{
	char dir[320];
	struct err e;
	(void)snprintf(dir, sizeof(dir), "%s/%s", projects, project);
	assert_int_equal(fs_mkdirs(dir, 0755, &e), 0);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_link_swap(fd, name, target, &e), 0);
}

static inline void make_release(const char *project, unsigned n)
{
	char dir[320], target[320], text[64], number[12];
	struct err e;
	(void)snprintf(dir, sizeof(dir), "%s/%s/%u", run_dir, project, n);
	assert_int_equal(fs_mkdirs(dir, 0755, &e), 0);
	(void)snprintf(target, sizeof(target), "%s/%s/public/%u", projects, project, n);
	CLEANUP_FD int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fs_link_swap(fd, "public", target, &e), 0);
	(void)snprintf(text, sizeof(text), "release %u\n", n);
	(void)snprintf(number, sizeof(number), "%u", n);
	put_file(number, "%s/number", dir);
	put_file(text, "%s/index.html", target);
	put_file(text, "%s/asset-%u.txt", target, n);
	put_file(text, "%s/static/asset-%u.txt", target, n);
}

static inline bool points_at(const char *project, const char *name, const char *target)
{
	char path[320], have[320];
	(void)snprintf(path, sizeof(path), "%s/%s/%s", projects, project, name);
	ssize_t n = readlink(path, have, sizeof(have) - 1);
	have[n < 0 ? 0 : n] = '\0';
	return strcmp(have, target) == 0;
}

/* As edge_switch does it: back to the release before is one exchange of both links. */
static inline void go_live(const char *project, unsigned n, unsigned previous)
{
	char target[320], before[320], live_path[320], previous_path[320];
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

static inline void vhost(struct render_vhost *v, const char *project)
{
	memset(v, 0, sizeof(*v));
	v->version = RENDER_VHOST_VERSION;
	(void)snprintf(v->project, sizeof(v->project), "%s", project);
	v->domain_count = 1;
	(void)snprintf(v->domains[0], sizeof(v->domains[0]), "%s.localhost", project);
	v->body_max_bytes = 1000;
	v->request_timeout_s = 5;
}

static inline void add_static(struct render_vhost *v, const char *url, const char *data)
{
	struct render_static *st = &v->statics[v->static_count++];
	(void)snprintf(st->url, sizeof(st->url), "%s", url);
	(void)snprintf(st->data_path, sizeof(st->data_path), "%s", data);
	st->data = data[0] != '\0';
}

static inline enum err_code set(const struct render_vhost *v)
{
	struct err e;
	uint64_t seq = next_seq++;
	int rc = edge_vhost_set(edge, seq, v, &e);
	if (rc < 0)
		return e.code;
	if (rc == 0)
		return ERR_NONE;
	pump_until(seq);
	if (results[seq].code)
		print_message("%s\n", results[seq].msg);
	return results[seq].code;
}

static inline int group_up(void **state)
{
	(void)state;
	struct err e;
	const struct passwd *web = geteuid() == 0 ? getpwnam("www-data") : NULL;
	memcpy(top, "/tmp/swe-XXXXXX", sizeof("/tmp/swe-XXXXXX"));
	assert_non_null(mkdtemp(top));
	assert_int_equal(chmod(top, 0755), 0);
	(void)snprintf(edge_dir, sizeof(edge_dir), "%s/edge", top);
	(void)snprintf(run_dir, sizeof(run_dir), "%s/run", top);
	/* a clone may lie anywhere and be called anything */
	(void)snprintf(projects, sizeof(projects), "%s/a clone; of {%%s} $far \"away\"/%s/projects",
	    top,
	    "and-so-deep-that-no-socket-path-below-it-would-fit-into-a-socket-address-at-all-"
	    "xxxxxx");
	assert_int_equal(fs_mkdirs(run_dir, 0755, &e), 0);
	assert_int_equal(fs_mkdirs(projects, 0755, &e), 0);
	port = free_port();
	https_port = free_port();
	options = (struct edge_options){.kind = apache ? EDGE_APACHE : EDGE_NGINX,
	    .edge_dir = edge_dir,
	    .run_dir = run_dir,
	    .projects_dir = projects,
	    .address = "127.0.0.1",
	    .http_port = port,
	    .https_port = https_port,
	    .cert = BUILD_ROOT "/src/slipway-cert",
	    .web_user = web ? "www-data" : NULL,
	    .web_uid = web ? web->pw_uid : 0,
	    .web_gid = web ? web->pw_gid : 0,
	    .done = on_done};
	edge = edge_open(&options);
	start_edge();
	return 0;
}

static inline int group_down(void **state)
{
	(void)state;
	struct err e;
	stop_edge();
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, top + strlen("/tmp/"), &e);
}

/* ---- constant load on site.localhost ---- */

struct load {
	_Atomic bool stop;
	bool only_front; /* any release's front page will do */
	_Atomic unsigned asked, failed, ones, twos;
};

static inline void *load_run(void *p)
{
	struct load *l = p;
	char out[4096];
	while (!l->stop) {
		int status = get(out, sizeof(out), "site.localhost",
		    l->asked % 2 || l->only_front ? "/" : "/asset-1.txt");
		bool one = strstr(out, "release 1"), two = strstr(out, "release 2");
		l->asked++;
		l->ones += one;
		l->twos += two;
		l->failed +=
		    status != 200 || (l->only_front ? !strstr(out, "release ") : one == two);
	}
	return NULL;
}

/* The project "site", release 1 live, 2 beside it, served as a whole. */
static inline void make_site(void)
{
	struct render_vhost v;
	make_release("site", 1);
	make_release("site", 2);
	go_live("site", 1, 2);
	vhost(&v, "site");
	add_static(&v, "/", "");
	assert_int_equal(set(&v), ERR_NONE);
}

/* Non-zero: the server is not installed, nothing can be tested. */
static inline int fixture_main(void)
{
	(void)signal(SIGPIPE, SIG_IGN);
	return access(apache ? "/usr/sbin/apache2" : "/usr/sbin/nginx", X_OK);
}
