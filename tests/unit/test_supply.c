/* rooms: base launch */
/* Both ends of the supply protocol over a real socket: what is placed where, what is refused. The
 * asking end runs in a child, whose descriptors it changes. */
#include "launch/supply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT "14.2.00000000000000a1"

static char dir[] = "/tmp/slipway-supply-XXXXXX", path[64];

static int listener(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	(void)snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	(void)unlink(path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static int text_fd(const char *text)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], text, strlen(text)), (ssize_t)strlen(text));
	close(ends[1]);
	return ends[0];
}

static bool says(int fd, const char *want)
{
	char got[32] = "";
	ssize_t n = read(fd, got, sizeof(got) - 1);
	return n == (ssize_t)strlen(want) && strcmp(got, want) == 0;
}

/* The child's findings as an exit status: 0 all well. */
static int take(void)
{
	struct guest g;
	struct err e;
	if (supply_take(path, UNIT, &g, &e) != 0)
		return 1;
	if (g.release != 14 || g.instance != 2 || !g.own_tmp || g.secret ||
	    strcmp(g.process, "web"))
		return 2;
	if (!says(0, "in") || !says(GUEST_FD_ARGV, "argv") || !says(GUEST_FD_ENV, "env") ||
	    !says(GUEST_FD_LISTEN, "listen"))
		return 3;
	/* nothing else is open: not the connection, not what came in, not the secret */
	for (int fd = GUEST_FD_SECRET; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return 4;
	return 0;
}

static int accept_question(int l, struct supply_question *q)
{
	struct err e;
	int conn = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	int rc = 0;
	for (int i = 0; i < 200 && (rc = supply_read(conn, q, &e)) == 0; i++)
		usleep(10000);
	assert_int_equal(rc, 1);
	return conn;
}

static int wait_child(pid_t pid)
{
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_what_is_given_is_placed(void **state)
{
	(void)state;
	int l = listener();
	pid_t pid = fork();
	if (pid == 0) {
		(void)close_range(3, ~0U, 0);
		_exit(take());
	}
	struct supply_question q;
	struct err e;
	struct guest g = {.sandbox = GUEST_RUN,
	    .release = 14,
	    .instance = 2,
	    .own_tmp = true,
	    .listen = true,
	    .argv = true,
	    .env = true,
	    .project_dir = "/srv/p",
	    .process = "web",
	    .key = "a-1"};
	struct supply s = {
	    .fds = {text_fd("in"), -1, -1, text_fd("listen"), text_fd("argv"), text_fd("env"), -1}};
	int conn = accept_question(l, &q);
	assert_int_equal(q.op, SUPPLY_TAKE);
	assert_int_equal(q.key, 0xa1);
	assert_int_equal(supply_give(conn, &g, &s, &e), 0);
	close(conn);
	assert_int_equal(wait_child(pid), 0);
	for (int i = 0; i < SUPPLY_FD_COUNT; i++)
		if (s.fds[i] >= 0)
			close(s.fds[i]);
	close(l);
}

static void test_no_answer_is_said(void **state)
{
	(void)state;
	int l = listener();
	pid_t pid = fork();
	if (pid == 0) {
		struct guest g;
		struct err e = {0};
		int rc = supply_take(path, UNIT, &g, &e);
		_exit(rc == -1 && e.code == ERR_FORBIDDEN ? 0 : 1);
	}
	struct supply_question q;
	close(accept_question(l, &q));
	assert_int_equal(wait_child(pid), 0);
	close(l);
}

static void test_the_end_is_told(void **state)
{
	(void)state;
	int l = listener();
	struct supply_question q;
	struct err e;
	assert_int_equal(supply_tell_end(path, UNIT, "killed", "KILL", &e), 0);
	close(accept_question(l, &q));
	assert_int_equal(q.op, SUPPLY_ENDED);
	assert_int_equal(q.key, 0xa1);
	assert_int_equal(q.wait_status, SIGKILL);
	close(l);
}

static void test_wait_statuses(void **state)
{
	(void)state;
	static const struct {
		const char *code, *status;
		int want;
	} rows[] = {{"exited", "0", 0}, {"exited", "3", 3 << 8}, {"exited", "226", 226 << 8},
	    {"killed", "TERM", SIGTERM}, {"dumped", "SEGV", SIGSEGV}, {"killed", "?", SIGKILL},
	    {"exited", "x", 127 << 8}, {NULL, NULL, 127 << 8}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		assert_int_equal(supply_wait_status(rows[i].code, rows[i].status), rows[i].want);
}

static void test_foreign_words_are_refused(void **state)
{
	(void)state;
	static const char *const units[] = {"", "14.1", "14.1.a1", "14.1.00000000000000A1",
	    "14.1.00000000000000a1 ", "00000000000000a1"};
	struct supply_question q = {.magic = SUPPLY_MAGIC, .op = SUPPLY_TAKE};
	struct err e;
	int ends[2];
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++)
		assert_int_equal(supply_tell_end(path, units[i], NULL, NULL, &e), -1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(supply_read(ends[0], &q, &e), 0);
	assert_true(send(ends[1], "x", 1, 0) == 1);
	assert_int_equal(supply_read(ends[0], &q, &e), -1);
	q = (struct supply_question){.magic = SUPPLY_MAGIC + 1};
	assert_true(send(ends[1], &q, sizeof(q), 0) == sizeof(q));
	assert_int_equal(supply_read(ends[0], &q, &e), -1);
	char longer[sizeof(q) + 8] = "";
	q = (struct supply_question){.magic = SUPPLY_MAGIC};
	memcpy(longer, &q, sizeof(q));
	assert_true(send(ends[1], longer, sizeof(longer), 0) == sizeof(longer));
	assert_int_equal(supply_read(ends[0], &q, &e), -1);
	close(ends[1]);
	assert_int_equal(supply_read(ends[0], &q, &e), -1);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_is_given_is_placed),
	    cmocka_unit_test(test_no_answer_is_said),
	    cmocka_unit_test(test_the_end_is_told),
	    cmocka_unit_test(test_wait_statuses),
	    cmocka_unit_test(test_foreign_words_are_refused),
	};
	(void)signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir))
		return 1;
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	(void)rmdir(dir);
	return failed;
}
