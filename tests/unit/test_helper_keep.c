/* rooms: base helper */
/* What outlives the helper, with the test as systemd: the messages that ask to keep and to let go, and what is handed to the next.
 */
#include "base/fs.h"
#include "helper/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static char address[64];
static int systemd = -1;

static int setup(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)state;
	snprintf(address, sizeof(address), "@slipway-keep-%d", getpid());
	memcpy(a.sun_path + 1, address + 1, strlen(address) - 1);
	systemd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t size = (socklen_t)(sizeof(a.sun_family) + strlen(address));
	return bind(systemd, (struct sockaddr *)&a, size);
}

static int teardown(void **state)
{
	(void)state;
	return close(systemd);
}

/* What was asked, and the descriptor that came with it or -1. */
static int hear(char *text, size_t size)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} with;
	struct iovec words = {.iov_base = text, .iov_len = size - 1};
	struct msghdr m = {.msg_iov = &words,
	    .msg_iovlen = 1,
	    .msg_control = with.bytes,
	    .msg_controllen = sizeof(with)};
	ssize_t n = recvmsg(systemd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int fd = -1;
	assert_true(n >= 0);
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static bool is_same_file(int a, int b)
{
	struct stat one, other;
	return fstat(a, &one) == 0 && fstat(b, &other) == 0 && one.st_ino == other.st_ino &&
	       one.st_dev == other.st_dev;
}

/* The store is the process's, so each of these is one of its own. Its exit status is what failed. */
static void in_child(void (*run)(void))
{
	pid_t pid = fork();
	int status = -1;
	if (pid == 0) {
		run();
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

#define MUST(x)                                                                                    \
	do                                                                                         \
		if (!(x))                                                                          \
			_exit(__LINE__ % 250 + 1);                                                 \
	while (0)

static void nothing_without_systemd(void)
{
	MUST(unsetenv("NOTIFY_SOCKET") == 0 && setenv("LISTEN_FDS", "1", 1) == 0);
	keep_open();
	MUST(!keep_is_on() && keep_take("table") == -1);
	keep_put("table", 0);
	keep_drop("table");
}

static void asks_for_one(void)
{
	MUST(setenv("NOTIFY_SOCKET", address, 1) == 0);
	keep_open();
	MUST(keep_is_on());
	keep_put("5l", 0);
	keep_put("6l", -1);
	keep_drop("5l");
}

static void off_and_on(void **state)
{
	char text[200];
	(void)state;
	in_child(nothing_without_systemd);
	in_child(asks_for_one);
	CLEANUP_FD int fd = hear(text, sizeof(text));
	assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=5l");
	assert_true(is_same_file(fd, 0));
	assert_int_equal(hear(text, sizeof(text)), -1);
	assert_string_equal(text, "FDSTOREREMOVE=1\nFDNAME=5l");
	assert_true(recv(systemd, text, sizeof(text), MSG_DONTWAIT) < 0);
}

static void hand_over(const char *names, int count, pid_t to)
{
	char number[20];
	MUST(setenv("NOTIFY_SOCKET", address, 1) == 0 && setenv("LISTEN_FDNAMES", names, 1) == 0);
	snprintf(number, sizeof(number), "%d", count);
	MUST(setenv("LISTEN_FDS", number, 1) == 0);
	snprintf(number, sizeof(number), "%d", (int)to);
	MUST(setenv("LISTEN_PID", number, 1) == 0);
	MUST(close_range(3, ~0U, 0) == 0);
	for (int i = 0; i < count; i++) {
		int ends[2];
		MUST(pipe(ends) == 0 && ends[0] == 3 + i);
		close(ends[1]);
	}
	keep_open();
	MUST(keep_is_on());
}

static void takes_by_name(void)
{
	char name[KEEP_NAME_SIZE];
	size_t at = 0;
	int fd;
	hand_over("1r:table:a-name-that-is-longer:2l:stored", 5, getpid());
	MUST(keep_take("table") == 4 && keep_take("table") == -1 && keep_take("3r") == -1);
	MUST((fcntl(4, F_GETFD) & FD_CLOEXEC) && fcntl(5, F_GETFD) == -1);
	MUST(keep_next(&at, name, &fd) && fd == 3 && strcmp(name, "1r") == 0);
	MUST(keep_next(&at, name, &fd) && fd == 6 && strcmp(name, "2l") == 0);
	MUST(keep_next(&at, name, &fd) && fd == 7 && strcmp(name, "stored") == 0);
	MUST(!keep_next(&at, name, &fd));
}

static void fewer_names_than_descriptors(void)
{
	hand_over("1r", 3, getpid());
	MUST(keep_take("1r") == 3 && keep_take("table") == -1);
}

static void leaves_what_is_another_process_s(void)
{
	hand_over("1r", 1, getpid() + 1);
	MUST(keep_take("1r") == -1);
}

static void taken_over(void **state)
{
	(void)state;
	in_child(takes_by_name);
	in_child(fewer_names_than_descriptors);
	in_child(leaves_what_is_another_process_s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(off_and_on, setup, teardown),
	    cmocka_unit_test_setup_teardown(taken_over, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
