/* rooms: base loop crypto text store model http access queue source priv render launch run
 * outbound notify edge observe hooks kinds deploy api */
/* Where senders reach the hooks: what the public address says, and whether anybody outside can. */
#include "model_fixture.h"

#include "api/api.h"
#include "api/hook_host.h"

static void test_hosts(void **state)
{
	(void)state;
	static const struct {
		const char *url, *name;
		int port;
		bool tls, is_private, is_here;
	} rows[] = {{"http://127.0.0.1:8000", "127.0.0.1", 8000, false, true, true},
	    {"http://127.0.0.1", "127.0.0.1", 0, false, true, false},
	    {"https://deploy.example.org", "deploy.example.org", 0, true, false, false},
	    {"https://deploy.example.org:8443/x", "deploy.example.org", 8443, true, false, false},
	    {"http://10.1.2.3", "10.1.2.3", 0, false, true, false},
	    {"http://192.168.0.9:80", "192.168.0.9", 80, false, true, false},
	    {"http://8.8.8.8", "8.8.8.8", 0, false, false, false},
	    {"http://[::1]:8000", "[::1]", 8000, false, true, false},
	    {"https://[2a00:1450::1]", "[2a00:1450::1]", 0, true, false, false},
	    {"http://slipway.localhost", "slipway.localhost", 0, false, true, false},
	    {"https://box.local", "box.local", 0, true, true, false},
	    {"https://box", "box", 0, true, true, false},
	    {"https://notlocal", "notlocal", 0, true, true, false},
	    {"https://mylocalhost.example", "mylocalhost.example", 0, true, false, false},
	    {"", "", 0, false, true, false}};
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct api_context cx = {.public_url = rows[i].url};
		struct api_host h = api_public_host(&cx);
		assert_true(str_eq_c(h.name, rows[i].name));
		assert_int_equal(h.port, rows[i].port);
		assert_int_equal(h.tls, rows[i].tls);
		assert_int_equal(h.is_private, rows[i].is_private);
		assert_int_equal(h.is_here, rows[i].is_here);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_hosts)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
