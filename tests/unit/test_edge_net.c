/* rooms: base render helper */
/* Who listens, by the kernel's tables: its own, and made ones for what a test cannot arrange. */
#include "base/fs.h"
#include "helper/edge_net.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define OWN "/proc/self/net"

static uint16_t listen_at(uint32_t address, int *ret_fd)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	socklen_t n = sizeof(a);
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*ret_fd, (struct sockaddr *)&a, n), 0);
	assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

static void test_the_kernels_table(void **state)
{
	(void)state;
	int fd;
	uint16_t port = listen_at(INADDR_LOOPBACK, &fd);
	assert_false(edge_net_listens(OWN, INADDR_LOOPBACK, port)); /* bound is not listening */
	assert_int_equal(listen(fd, 1), 0);
	assert_true(edge_net_listens(OWN, INADDR_LOOPBACK, port));
	assert_true(edge_net_listens(OWN, INADDR_ANY, port)); /* who wants all wants that one */
	assert_false(edge_net_listens(OWN, INADDR_LOOPBACK + 1, port));
	fs_close_fd(&fd);
	assert_false(edge_net_listens(OWN, INADDR_LOOPBACK, port));
	port = listen_at(INADDR_ANY, &fd);
	assert_int_equal(listen(fd, 1), 0);
	assert_true(edge_net_listens(OWN, INADDR_LOOPBACK + 1, port));
	fs_close_fd(&fd);
}

/* A connection that is still open, or waits for its end, is nobody who listens. */
static void test_connections_do_not_listen(void **state)
{
	(void)state;
	int fd, client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	uint16_t port = listen_at(INADDR_LOOPBACK, &fd);
	a.sin_port = htons(port);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	CLEANUP_FD int taken = accept(fd, NULL, NULL);
	assert_true(taken >= 0);
	fs_close_fd(&fd);
	assert_false(edge_net_listens(OWN, INADDR_LOOPBACK, port));
	fs_close_fd(&client);
}

static void test_ipv6_as_a_socket_says(void **state)
{
	(void)state;
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	CLEANUP_FD int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	assert_int_equal(edge_net_has_ipv6(OWN), has);
}

/* ---- made tables ---- */

static char top[] = "/tmp/edge-net-XXXXXX";

static void write_file(const char *name, const char *text)
{
	char path[64];
	(void)snprintf(path, sizeof(path), "%s/%s", top, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int make(void **state)
{
	(void)state;
	return mkdtemp(top) ? 0 : -1;
}

static int forget(void **state)
{
	(void)state;
	static const char *const names[] = {"tcp", "tcp6", "if_inet6"};
	char path[64];
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, names[i]);
		(void)unlink(path);
	}
	return rmdir(top);
}

static const char head[] = "  sl  local_address rem_address   st tx_queue rx_queue\n";

/* Each port from 512 to 1023 in one of the two tables, but one. */
static void test_the_one_spare_port(void **state)
{
	(void)state;
	static char v4[80000], v6[80000];
	size_t n4 = (size_t)snprintf(v4, sizeof(v4), "%s", head), n6 = n4;
	memcpy(v6, v4, n4 + 1);
	for (unsigned port = 512; port < 1024; port++)
		if (port % 2 && port != 777)
			n4 += (size_t)snprintf(v4 + n4, sizeof(v4) - n4,
			    "%4u: 0100007F:%04X 0200007F:01BB 01 00000000:00000000 00:00000000\n",
			    port, port);
		else if (port != 777)
			n6 += (size_t)snprintf(v6 + n6, sizeof(v6) - n6,
			    "%4u: 00000000000000000000000001000000:%04X "
			    "00000000000000000000000000000000:0000 0A 00000000:00000000\n",
			    port, port);
	write_file("tcp", v4);
	write_file("tcp6", v6);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(edge_net_spare(top), 777);
	(void)snprintf(v4 + n4, sizeof(v4) - n4, "1: 00000000:0309 00000000:0000 0A\n");
	write_file("tcp", v4);
	assert_int_equal(edge_net_spare(top), 0);
}

static void test_odd_lines_are_nobody(void **state)
{
	(void)state;
	write_file("tcp",
	    "  sl  local_address\n\n   0: 0100007F\n   1: 0100007F:XXXX 0:0 0A\n"
	    "   2: :0050 0:0 0A\n   3: 0100007F:0051 0:0\n   4: 0100007F:0050 0:0 01\n"
	    "   5: 0100007F:0052 0:0 0A and more\n   6: 0100007F:0053 0:0 0A");
	for (uint16_t port = 0x50; port < 0x54; port++)
		assert_int_equal(edge_net_listens(top, INADDR_LOOPBACK, port), port == 0x52);
	write_file("if_inet6", "fe800000000000000000000000000001 02 40 20 80     eth0\n");
	assert_false(edge_net_has_ipv6(top));
	assert_false(edge_net_listens("/nonexistent", INADDR_LOOPBACK, 80));
	assert_false(edge_net_has_ipv6("/nonexistent"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_the_kernels_table),
	    cmocka_unit_test(test_connections_do_not_listen),
	    cmocka_unit_test(test_ipv6_as_a_socket_says),
	    cmocka_unit_test(test_the_one_spare_port),
	    cmocka_unit_test(test_odd_lines_are_nobody),
	};
	return cmocka_run_group_tests(tests, make, forget);
}
