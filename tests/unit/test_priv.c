/* rooms: base priv */
#include "priv/priv.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

static int pair[2];

static int set_up(void **state)
{
	(void)state;
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
}

static int tear_down(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static int open_fds(void)
{
	int n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void a_message_arrives_whole_with_its_descriptors(void **state)
{
	(void)state;
	struct priv_request out = {.magic = PRIV_MAGIC, .op = PRIV_START, .seq = 7, .id = 42}, in;
	int fds[PRIV_FDS_MAX], ends[2];
	size_t n = 0;
	struct err e = {0};
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(priv_send(pair[0], &out, sizeof(out), ends, 2, &e), 0);
	assert_int_equal(priv_recv(pair[1], &in, sizeof(in), fds, &n, &e), 1);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_int_equal(n, 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(fds[1], "x", 1), 1);
	char c;
	assert_int_equal(read(ends[0], &c, 1), 1);
	for (int i = 0; i < 2; i++) {
		close(fds[i]);
		close(ends[i]);
	}
}

static void another_size_is_refused_and_leaks_nothing(void **state)
{
	(void)state;
	struct priv_request q = {0};
	char big[sizeof(q) + 10] = {0};
	int fds[PRIV_FDS_MAX];
	size_t n;
	struct err e = {0};
	int before = open_fds(), fd = 2;
	assert_int_equal(priv_send(pair[0], &q, 5, &fd, 1, &e), 0);
	assert_int_equal(priv_recv(pair[1], &q, sizeof(q), fds, &n, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(priv_send(pair[0], big, sizeof(big), &fd, 1, &e), 0);
	assert_int_equal(priv_recv(pair[1], &q, sizeof(q), fds, &n, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(n, 0);
	assert_int_equal(open_fds(), before);
}

static void surplus_descriptors_are_refused_and_closed(void **state)
{
	(void)state;
	char msg[16] = {0}, control[CMSG_SPACE(sizeof(int) * 8)] = {0};
	struct iovec iov = {msg, sizeof(msg)};
	struct msghdr m = {.msg_iov = &iov,
	    .msg_iovlen = 1,
	    .msg_control = control,
	    .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * 8);
	for (size_t i = 0; i < 8; i++)
		memcpy(CMSG_DATA(c) + i * sizeof(int), &(int){2}, sizeof(int));
	int before = open_fds(), fds[PRIV_FDS_MAX];
	size_t n;
	struct err e = {0};
	assert_int_equal(sendmsg(pair[0], &m, 0), (int)sizeof(msg));
	assert_int_equal(priv_recv(pair[1], msg, sizeof(msg), fds, &n, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
	assert_int_equal(open_fds(), before);
	assert_int_equal(priv_send(pair[0], msg, sizeof(msg), fds, PRIV_FDS_MAX + 1, &e), -1);
	assert_int_equal(e.code, ERR_INVALID);
}

static void the_end_and_nothing_there_are_told_apart(void **state)
{
	(void)state;
	char msg[8] = "";
	int fds[PRIV_FDS_MAX];
	size_t n;
	struct err e = {0};
	assert_int_equal(priv_recv(pair[1], msg, sizeof(msg), fds, &n, &e), -1);
	assert_int_equal(e.sys, EAGAIN);
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(priv_recv(pair[1], msg, sizeof(msg), fds, &n, &e), 0);
	assert_int_equal(priv_send(pair[1], msg, sizeof(msg), NULL, 0, &e), -1);
	assert_int_equal(e.sys, EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(
		a_message_arrives_whole_with_its_descriptors, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		another_size_is_refused_and_leaks_nothing, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		surplus_descriptors_are_refused_and_closed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(
		the_end_and_nothing_there_are_told_apart, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
