/* rooms: base launch */
/* The real slipway-exec --relay between a Unix socket and a loopback port. */
#include "base/clock.h"
#include "launch/guest.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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

static char dir[64];
static struct sockaddr_un address;
static uint16_t port;
static int program = -1;
static pid_t relay;

static int bind_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	    .sin_port = htons(port)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	port = ntohs(a.sin_port);
	return fd;
}

static int set_up(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/swt-relay-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	port = 0;
	program = bind_port();
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 64) != 0)
		return -1;
	struct guest g = {.relay = true,
	    .listen = true,
	    .port = port,
	    .project_dir = "/nonexistent",
	    .process = "web",
	    .instance = 1,
	    .key = "0"};
	struct guest_line l;
	struct err e;
	if (guest_line(&g, &l, &e) != 0)
		return -1;
	relay = fork();
	if (relay == 0) {
		union {
			const char *const *in;
			char *const *out;
		} v = {.in = l.v};
		dup2(fd, GUEST_FD_LISTEN);
		execv(BUILD_ROOT "/src/slipway-exec", v.out);
		_exit(126);
	}
	close(fd);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	if (relay > 0) {
		kill(relay, SIGKILL);
		waitpid(relay, NULL, 0);
	}
	if (program >= 0)
		close(program);
	unlink(address.sun_path);
	return rmdir(dir);
}

static int dial(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static size_t read_all(int fd, char *out, size_t size)
{
	size_t n = 0;
	for (ssize_t got; n < size && (got = read(fd, out + n, size - n)) > 0;)
		n += (size_t)got;
	return n;
}

static void bytes_go_both_ways_with_half_close(void **state)
{
	(void)state;
	char text[64];
	assert_int_equal(listen(program, 8), 0);
	int c = dial();
	int s = accept(program, NULL, NULL);
	assert_int_equal(write(c, "question", 8), 8);
	shutdown(c, SHUT_WR);
	assert_int_equal(read_all(s, text, sizeof(text)), 8);
	assert_int_equal(write(s, "answer", 6), 6);
	close(s);
	assert_int_equal(read_all(c, text, sizeof(text)), 6);
	assert_memory_equal(text, "answer", 6);
	close(c);
}

static void a_slow_reader_gets_everything(void **state)
{
	(void)state;
	enum { TOTAL = 4 << 20 };
	char *text = calloc(1, TOTAL + 1);
	assert_int_equal(listen(program, 8), 0);
	int c = dial();
	int s = accept(program, NULL, NULL);
	pid_t writer = fork();
	if (writer == 0) {
		for (size_t n = 0; n < TOTAL;) {
			ssize_t put = write(s, text + n, TOTAL - n);
			if (put <= 0)
				_exit(1);
			n += (size_t)put;
		}
		_exit(0);
	}
	close(s);
	usleep(300000);
	assert_int_equal(read_all(c, text, TOTAL + 1), TOTAL);
	waitpid(writer, NULL, 0);
	close(c);
	free(text);
}

static void connections_wait_for_the_program(void **state)
{
	(void)state;
	char text[8];
	int c = dial();
	assert_int_equal(write(c, "early", 5), 5);
	usleep(300000); /* refused so far */
	assert_int_equal(listen(program, 8), 0);
	int s = accept(program, NULL, NULL);
	assert_int_equal(read(s, text, sizeof(text)), 5);
	close(s);
	close(c);
}

static void term_lets_connections_end(void **state)
{
	(void)state;
	char text[8];
	int status = 0;
	assert_int_equal(listen(program, 8), 0);
	int c = dial();
	int s = accept(program, NULL, NULL);
	assert_int_equal(kill(relay, SIGTERM), 0);
	usleep(200000);
	assert_int_equal(waitpid(relay, &status, WNOHANG), 0);
	assert_int_equal(write(s, "still", 5), 5);
	assert_int_equal(read(c, text, sizeof(text)), 5);
	close(s);
	close(c);
	assert_int_equal(waitpid(relay, &status, 0), relay);
	assert_int_equal(status, 0);
	relay = 0;
}

static void a_client_that_leaves_is_noticed(void **state)
{
	(void)state;
	char text[8];
	assert_int_equal(listen(program, 8), 0);
	int c = dial();
	int s = accept(program, NULL, NULL);
	assert_int_equal(write(c, "hi", 2), 2);
	assert_int_equal(read(s, text, sizeof(text)), 2);
	close(c);
	assert_int_equal(read(s, text, sizeof(text)), 0);
	close(s);
}

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    T(bytes_go_both_ways_with_half_close),
	    T(a_slow_reader_gets_everything),
	    T(connections_wait_for_the_program),
	    T(term_lets_connections_end),
	    T(a_client_that_leaves_is_noticed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
