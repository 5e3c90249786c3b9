/* rooms: base loop text priv launch http run */
#include "base/clock.h"
#include "run/drain.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/swt-drain-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unlink(address.sun_path);
	return rmdir(dir);
}

static int listening(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	unlink(address.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int connected(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void expect(unsigned queued, unsigned established)
{
	unsigned q = 99, n = 99;
	struct err e = {0};
	if (drain_look(address.sun_path, &q, &n, &e) != 0)
		fail_msg("%s", e.msg);
	assert_int_equal(q, queued);
	assert_int_equal(n, established);
}

static void counts_follow_connections(void **state)
{
	(void)state;
	int server = listening();
	expect(0, 0);
	int a = connected(), b = connected();
	expect(2, 0);
	int accepted = accept(server, NULL, NULL);
	expect(1, 1);
	close(a); /* the program has not noticed yet, but nobody is there */
	expect(1, 0);
	close(accepted);
	close(b);
	accepted = accept(server, NULL, NULL);
	expect(0, 0);
	close(accepted);
	close(server);
}

static void another_socket_is_not_counted(void **state)
{
	(void)state;
	int old = listening();
	int a = connected();
	int fresh = listening(); /* the same path, another file */
	expect(0, 0);
	close(a);
	close(old);
	close(fresh);
}

static void absent_is_not_found(void **state)
{
	(void)state;
	unsigned q, n;
	struct err e = {0};
	assert_int_equal(drain_look("/tmp/swt-no-such-socket", &q, &n, &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

struct seen {
	struct loop *loop;
	int64_t at;
	unsigned left;
	int calls, to_close;
};

static void on_drained(void *ctx, unsigned left, const struct err *e)
{
	struct seen *s = ctx;
	assert_null(e);
	s->left = left;
	s->calls++;
	s->at = clock_mono_ms();
	loop_stop(s->loop);
}

static void hang_up(void *ctx)
{
	struct seen *s = ctx;
	close(s->to_close);
}

static void run_drain(struct seen *s, int64_t limit_ms, int64_t close_after_ms)
{
	s->loop = loop_new(1);
	const char *paths[] = {address.sun_path};
	struct loop_timer *t = loop_timer_new(s->loop, hang_up, s);
	if (close_after_ms > 0)
		loop_timer_at(t, clock_mono_ms() + close_after_ms);
	assert_non_null(drain_start(s->loop, paths, 1, clock_mono_ms() + limit_ms, on_drained, s));
	loop_run(s->loop);
	loop_timer_free(t);
	loop_free(s->loop);
}

static void done_after_two_quiet_looks(void **state)
{
	(void)state;
	int server = listening(), c = connected();
	struct seen s = {.to_close = c};
	int64_t start = clock_mono_ms();
	int accepted = accept(server, NULL, NULL);
	run_drain(&s, 5000, 300);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.left, 0);
	assert_in_range(s.at - start, 500, 2000);
	close(accepted);
	close(server);
}

static void the_limit_says_how_many_are_left(void **state)
{
	(void)state;
	int server = listening(), c = connected();
	struct seen s = {0};
	run_drain(&s, 500, 0);
	assert_int_equal(s.left, 1);
	close(c);
	close(server);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_follow_connections),
	    cmocka_unit_test(another_socket_is_not_counted),
	    cmocka_unit_test(absent_is_not_found),
	    cmocka_unit_test(done_after_two_quiet_looks),
	    cmocka_unit_test(the_limit_says_how_many_are_left),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
