/* rooms: base render helper */
/* The helper's edge with the real server: reloads, refusals, ends. */
#include "edge_fixture.h"
#include "helper/edge_state.h"

#include <dirent.h>

#ifdef FIXTURE_APACHE
static const char vhosts[] = "apache";
#else
static const char vhosts[] = "vhosts";
#endif

static unsigned generation(void)
{
	return edge->generation;
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
	/* the same when somebody asks, with nothing new */
	for (unsigned i = 0; i < 3; i++) {
		struct err e;
		unsigned before = generation();
		assert_int_equal(edge_reload(edge, next_seq++, &e), 1);
		pump_until(next_seq - 1);
		assert_int_equal(results[next_seq - 1].code, ERR_NONE);
		assert_int_equal(generation(), before + 1);
	}
	l.stop = true;
	(void)pthread_join(thread, NULL);
	assert_int_equal(l.failed, 0);
}

static int installed_count(void)
{
	char path[64];
	int count = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", edge_dir, vhosts);
	DIR *d = opendir(path);
	assert_non_null(d);
	for (const struct dirent *at; (at = readdir(d));)
		count += at->d_name[0] != '.';
	(void)closedir(d);
	return count;
}

static void test_reloads_are_coalesced(void **state)
{
	(void)state;
	struct render_vhost v;
	struct err e;
	uint64_t first = next_seq;
	unsigned before = generation();
	int64_t from = clock_mono_ms();
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
	/* However slow its tests are today: no more than five reloads a second. */
	int64_t took = clock_mono_ms() - from;
	print_message(
	    "60 vhosts took %u reloads, %lld ms\n", generation() - before, (long long)took);
	assert_true(generation() - before <= took / 200 + 2);
	/* More vhosts are waited for longer: a reload of thousands is no refusal. */
	assert_int_equal(edge_files_patience_ms(edge, 15000), 15000 + 10 * installed_count());
	assert_true(installed_count() >= 60);
	/* What needs no test waits together. */
	before = generation();
	for (unsigned i = 0; i < 60; i++) {
		char name[16];
		(void)snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(edge_vhost_remove(edge, next_seq++, str_c(name), &e), 1);
	}
	pump_until(next_seq - 1);
	print_message("removing them took %u\n", generation() - before);
	assert_true(generation() - before < 30);
	assert_int_equal(edge_vhost_remove(edge, next_seq++, STR("many7"), &e), 0);
	assert_get("many7.localhost", "/", 404, "Not found");
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
	put_file(
	    apache ? "Nonsense\n" : "server { nonsense; }\n", "%s/%s/zzz.conf", edge_dir, vhosts);
	vhost(&v, "one");
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 1);
	vhost(&v, "two");
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), 1);
	pump_until(first);
	pump_until(first + 1);
	assert_int_equal(results[first].code, ERR_FAILED);
	assert_non_null(strstr(
	    results[first].msg, apache ? "Invalid command 'Nonsense'" : "unknown directive"));
	assert_int_equal(results[first + 1].code, ERR_FAILED);
	assert_get("site.localhost", "/", 200, "release 1");
	(void)snprintf(path, sizeof(path), "%s/%s/one.conf", edge_dir, vhosts);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(edge_reload(edge, next_seq++, &e), 1);
	pump_until(next_seq - 1);
	assert_int_equal(results[next_seq - 1].code, ERR_FAILED);
	assert_get("site.localhost", "/", 200, "release 1");
	/* a start sets it aside */
	stop_edge();
	assert_int_equal(edge_vhost_set(edge, next_seq++, &v, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_int_equal(edge_reload(edge, next_seq++, &e), -1);
	start_edge();
	assert_get("site.localhost", "/", 200, "release 1");
	assert_int_equal(set(&v), ERR_NONE);
}

/* The server refuses a candidate in the skeleton: nothing of it is installed. */
static void test_refused_test(void **state)
{
	(void)state;
	struct render_vhost v;
	char path[160];
	put_file(apache ? "Listen x\n" : "listen 1.2.3:x;\n", "%s/test/server.conf", edge_dir);
	vhost(&v, "three");
	assert_int_equal(set(&v), ERR_FAILED);
	(void)snprintf(path, sizeof(path), "%s/%s/three.conf", edge_dir, vhosts);
	assert_int_equal(access(path, F_OK), -1);
	assert_get("site.localhost", "/", 200, "release 1");
}

/* 0: a master that starts has not written it yet. */
static pid_t master_pid(void)
{
	char path[128], text[32] = "";
	(void)snprintf(path, sizeof(path), apache ? "%s/apache.pid" : "%s/nginx.pid", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ? 0 : (pid_t)strtol(text, NULL, 10);
}

static void test_killed_master(void **state)
{
	(void)state;
	struct render_vhost v;
	char out[4096];
	pid_t was = master_pid(), now = 0;
	assert_true(was > 0);
	assert_int_equal(kill(was, SIGKILL), 0);
	/* It is there once its process says so and answers: the file alone is written before. */
	for (int64_t deadline = clock_mono_ms() + 60000; clock_mono_ms() < deadline;) {
		pump_ms(20);
		now = master_pid();
		if (now > 0 && now != was && get(out, sizeof(out), "site.localhost", "/") == 200)
			break;
	}
	assert_true(now > 0 && now != was);
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

static void test_port_taken_and_no_server(void **state)
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
	none.nginx = none.apache = "/nonexistent/server";
	edge = edge_open(&none);
	assert_int_equal(edge_start(edge, next_seq++, &e), -1);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_string_equal(e.hint, apache ? "apt install apache2-bin" : "apt install nginx-light");
	edge = edge_open(&options);
	start_edge();
	assert_get("site.localhost", "/", 200, "release 1");
}

/* What a proxy in front says about the visitor is believed from the trusted one, and only then. */
static void test_trusted_proxy(void **state)
{
	(void)state;
	char out[4096], path[128], text[1024] = "";
	stop_edge();
	struct edge_options trusting = options;
	trusting.trusted_proxies = "127.0.0.0/8, ::1";
	edge = edge_open(&trusting);
	start_edge();
	assert_int_equal(
	    ask(out, sizeof(out),
		"GET / HTTP/1.1\r\nHost: site.localhost\r\nX-Forwarded-For: 192.0.2.7\r\n"
		"Connection: close\r\n\r\n"),
	    200);
	(void)snprintf(path, sizeof(path), "%s/log/access.log", edge_dir);
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = lseek(fd, 0, SEEK_END);
	assert_true(pread(fd, text, sizeof(text) - 1, end > 300 ? end - 300 : 0) > 0);
	assert_non_null(strstr(text, "\"remote\":\"192.0.2.7\""));
}

/* A helper that is killed leaves nobody on the port. */
static void test_killed_helper(void **state)
{
	(void)state;
	int pipes[2];
	char byte;
	stop_edge();
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid_t pid = fork();
	if (pid == 0) {
		start_edge();
		(void)!write(pipes[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	assert_get("site.localhost", "/", 200, "release 1");
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	next_seq++;
	start_edge();
	assert_get("site.localhost", "/", 200, "release 1");
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

static int up_with_site(void **state)
{
	if (group_up(state) != 0)
		return -1;
	make_site();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reload_loses_nothing),
	    cmocka_unit_test(test_reloads_are_coalesced),
	    cmocka_unit_test(test_refused_reload),
	    cmocka_unit_test(test_refused_test),
	    cmocka_unit_test(test_killed_master),
	    cmocka_unit_test(test_log),
	    cmocka_unit_test(test_trusted_proxy),
	    cmocka_unit_test(test_killed_helper),
	    cmocka_unit_test(test_port_taken_and_no_server),
	};
	return fixture_main() ? 77 : cmocka_run_group_tests(tests, up_with_site, group_down);
}
