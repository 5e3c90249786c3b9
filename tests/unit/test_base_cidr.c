/* rooms: base */
/* Address ranges: what is read, what is refused, who is inside, and which addresses are nobody's on
 * the public internet. */
#include "base/cidr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cmocka.h>

static struct cidr_address address(const char *s)
{
	struct cidr_address a;
	assert_true(cidr_address_parse(str_c(s), &a));
	return a;
}

static void test_reads_and_writes(void **state)
{
	(void)state;
	static const char *const good[][2] = {
	    {"203.0.113.0/24", "203.0.113.0/24"},
	    {"0.0.0.0/0", "0.0.0.0/0"},
	    {"192.0.2.7", "192.0.2.7/32"},
	    {"2001:DB8::/32", "2001:db8::/32"},
	    {"::/0", "::/0"},
	    {"::ffff:192.0.2.7", "192.0.2.7/32"},
	    {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct cidr c;
		struct err e;
		char text[CIDR_TEXT_SIZE];
		assert_int_equal(cidr_parse(str_c(good[i][0]), &c, &e), 0);
		cidr_text(&c, text);
		assert_string_equal(text, good[i][1]);
	}
}

static void test_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.1/8",
	    "10.0.0/8", "010.0.0.0/8", "0x0a.0.0.0/8", "10.0.0.0/08", "10.0.0.0/-1", "10.0.0.0/8/8",
	    " 10.0.0.0/8", "::/129", "fe80::1%eth0", "2001:db8::1/32", "host", "1:2:3:4:5:6:7:8:9"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct cidr c;
		struct err e = {0};
		assert_int_equal(cidr_parse(str_c(bad[i]), &c, &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
	struct cidr_address a;
	assert_false(cidr_address_parse((struct str){"10.0.0.1\0x", 10}, &a));
}

static void test_lists(void **state)
{
	(void)state;
	static const char *const good[] = {
	    "10.0.0.0/8", "10.0.0.0/8,::1", " 127.0.0.2 , 192.0.2.0/24,2001:db8::/32 "};
	static const char *const bad[] = {"", " ", ",", "10.0.0.0/8,", ",10.0.0.0/8",
	    "10.0.0.0/8,,::1", "10.0.0.0/8 ::1", "10.0.0.0/8;::1", "::1,10.0.0.1/8", "::1,none"};
	struct err e = {0};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(cidr_list_check(str_c(good[i]), &e), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		e = (struct err){0};
		assert_int_equal(cidr_list_check(str_c(bad[i]), &e), -1);
		assert_int_equal(e.code, ERR_INVALID);
	}
}

static void test_holds(void **state)
{
	(void)state;
	struct cidr c[2];
	struct err e;
	assert_int_equal(cidr_parse(STR("203.0.113.128/25"), &c[0], &e), 0);
	assert_int_equal(cidr_parse(STR("2001:db8:8000::/33"), &c[1], &e), 0);
	static const struct {
		const char *address;
		bool in;
	} t[] = {{"203.0.113.128", true}, {"203.0.113.255", true}, {"203.0.113.127", false},
	    {"203.0.114.128", false}, {"::ffff:203.0.113.200", true}, {"2001:db8:8000::", true},
	    {"2001:db8:ffff::1", true}, {"2001:db8:7fff::1", false}};
	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		struct cidr_address a = address(t[i].address);
		assert_int_equal(cidr_any_holds(c, 2, &a), t[i].in);
	}
}

static void test_of_a_socket(void **state)
{
	(void)state;
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct cidr_address a, want = address("10.1.2.3");
	assert_int_equal(inet_pton(AF_INET6, "::ffff:10.1.2.3", &in6.sin6_addr), 1);
	assert_true(cidr_address_of((const struct sockaddr *)&in6, &a));
	assert_memory_equal(&a, &want, sizeof(a));
	struct sockaddr_in in = {.sin_family = AF_INET};
	in.sin_addr.s_addr = htonl(0x0a010203);
	assert_true(cidr_address_of((const struct sockaddr *)&in, &a));
	assert_memory_equal(&a, &want, sizeof(a));
	struct sockaddr un = {.sa_family = AF_UNIX};
	assert_false(cidr_address_of(&un, &a));
}

static void test_not_public(void **state)
{
	(void)state;
	static const char *const inside[] = {"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255",
	    "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.0.1", "169.254.169.254",
	    "172.16.0.1", "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1",
	    "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.9", "224.0.0.1",
	    "239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "::127.0.0.1",
	    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
	    "64:ff9b::10.0.0.1", "64:ff9b:1::1", "100::1", "2001::1",
	    "2001:0:7f00:1::", "2001:db8::1", "2002:7f00:1::", "2002:0a00:1::1",
	    "2002:c0a8:1::", "3fff::1", "fc00::1", "fd12:3456::1", "fe80::1", "febf::1", "fec0::1",
	    "ff02::1", "5f00::1"};
	static const char *const outside[] = {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.0",
	    "172.15.0.1", "172.32.0.1", "192.0.1.1", "192.167.0.1", "192.169.0.1", "198.17.0.1",
	    "198.20.0.1", "223.255.255.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8",
	    "2002:0808:0808::1", "::ffff:8.8.8.8", "2001:4860::8888", "fbff::1"};
	for (size_t i = 0; i < sizeof(inside) / sizeof(*inside); i++) {
		struct cidr_address a = address(inside[i]);
		if (!cidr_not_public(&a))
			fail_msg("%s counts as public", inside[i]);
	}
	for (size_t i = 0; i < sizeof(outside) / sizeof(*outside); i++) {
		struct cidr_address a = address(outside[i]);
		if (cidr_not_public(&a))
			fail_msg("%s: %s", outside[i], cidr_not_public(&a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_reads_and_writes),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_lists),
	    cmocka_unit_test(test_holds),
	    cmocka_unit_test(test_of_a_socket),
	    cmocka_unit_test(test_not_public),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
