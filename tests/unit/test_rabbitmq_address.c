/* rooms: base crypto text store model services */
/* Where a broker is said to be, and what may answer there instead of one. Needs none. */
#include "services/rabbitmq.h"

#include "rabbitmq_server.h"
#include "services/amqp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_addresses(void **state)
{
	static const struct {
		const char *url, *host;
		uint16_t port;
	} good[] = {{"http://slipway@127.0.0.1", "127.0.0.1", 15672},
	    {"http://slipway@localhost:15673/", "localhost", 15673},
	    {"https://slipway@mq.example.org", "mq.example.org", 15671},
	    {"https://slipway@10.0.0.7:443", "10.0.0.7", 443}};
	static const char *const bad[] = {"", "slipway@127.0.0.1", "amqp://slipway@127.0.0.1",
	    "http://127.0.0.1", "http://@127.0.0.1", "http://slipway:word@127.0.0.1",
	    "http://slipway@", "http://slipway@mq.example.org", "http://slipway@127.0.0.2",
	    "http://slipway@127.0.0.1.example.org", "http://slipway@127.0.0.1:0",
	    "http://slipway@127.0.0.1:x", "http://slipway@127.0.0.1:15672/api",
	    "https://slipway@[::1]", "https://slip way@a", "https://slipway@a b",
	    "https://slipway@a@b", "https://slipway@a?b", "https://slipway@a#b", "https://sl\"@a"};
	struct rabbitmq_address at;
	struct err e;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(rabbitmq_address_parse(good[i].url, &at, &e), 0);
		assert_string_equal(at.user, "slipway");
		assert_string_equal(at.host, good[i].host);
		assert_int_equal(at.port, good[i].port);
		assert_int_equal(at.tls, good[i].url[4] == 's');
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (rabbitmq_address_parse(bad[i], &at, &e) == 0)
			fail_msg("%s", bad[i]);
	/* Nor is a password repeated in what is said of it. */
	assert_int_equal(rabbitmq_address_parse("http://slipway:word@127.0.0.1", &at, &e), -1);
	assert_null(strstr(e.msg, "word@"));
}

/* Whatever answers at the broker's port is bounded and judged. */
static void test_what_is_no_broker(void **state)
{
	static const char *const answers[] = {"HTTP/1.1 400 Bad Request\r\n\r\n", "AMQP", "\x01",
	    "\x02\x01\x01\x7f\xff\xff\xff\xff\xff\xff\xff\xff",
	    "\x01zz\xff\xff\xff\xff\x01\x0a\x01\x0a", "\x08zz\x01\x01\x01\x01\x01\x01\x01\x01\x01"};
	struct err e;
	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct amqp_way way = {{.host = "127.0.0.1"}, STR("u"), STR("p"), STR("v")};
		pid_t pid = rabbitmq_pretend(answers[i], 1, &way.at.port);
		assert_true(pid > 0);
		assert_int_equal(amqp_try(&way, &e), -1);
		assert_int_equal(e.code, ERR_UNAVAILABLE);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_addresses), cmocka_unit_test(test_what_is_no_broker)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
