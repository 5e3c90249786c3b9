/* rooms: base render */
/* Names, texts, hostile values in every field. systemd itself reads what is rendered of random fields in
 * tests/machine/reader_checks.py, and what lives on a server in hostile_checks.py there. */
#include "render/unit.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct render_unit_roots roots = {.projects = "/var/lib/slipway/projects",
    .exec = "/usr/libexec/slipway/slipway-exec",
    .supply = "/run/slipway-helper/supply.sock"};

static char text[RENDER_UNIT_TEXT_MAX];

static struct render_unit plain(enum render_unit_kind kind, const char *project)
{
	struct render_unit u = {.kind = kind,
	    .process = "web",
	    .memory_bytes = 512u << 20,
	    .disk_bytes = 1u << 30,
	    .cpu_milli = 1500,
	    .tasks = 128,
	    .files = 1024,
	    .stop_timeout_s = 30};
	(void)snprintf(u.project, sizeof(u.project), "%s", project);
	(void)snprintf(u.user, sizeof(u.user), "sw-%s", project);
	return u;
}

static const char *render(const struct render_unit *u)
{
	struct err e;
	long n = render_unit(u, &roots, text, sizeof(text), &e);
	if (n < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(strlen(text), n);
	return text;
}

static void is_refused(const struct render_unit *u, const struct render_unit_roots *r)
{
	struct err e;
	if (render_unit(u, r, text, sizeof(text), &e) != -1)
		fail_msg("accepted: %s", text);
	assert_string_equal(text, "");
}

static void test_names(void **state)
{
	(void)state;
	static const char *const files[RENDER_UNIT_KIND_COUNT] = {"slipway-shop\\x2deu.slice",
	    "slipway-shop-eu.web@.service", "slipway-shop-eu.relay.web@.service",
	    "slipway-shop-eu.run.web@.service", "slipway-shop-eu.build.web@.service"};
	char name[RENDER_UNIT_NAME_SIZE];
	struct err e;
	for (int k = 0; k < RENDER_UNIT_KIND_COUNT; k++) {
		struct render_unit u = plain((enum render_unit_kind)k, "shop-eu");
		assert_int_equal(render_unit_name(&u, name, &e), 0);
		assert_string_equal(name, files[k]);
	}
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
	assert_int_equal(render_unit_instance(&u, 14, 1, 0xa1, name, &e), 0);
	assert_string_equal(name, "slipway-shop.web@14.1.00000000000000a1.service");
	assert_int_equal(render_unit_instance(&u, 14, 0, 0xa1, name, &e), -1);
	assert_int_equal(render_unit_instance(&u, 14, 1, 0, name, &e), -1);
	u.kind = RENDER_UNIT_SLICE;
	assert_int_equal(render_unit_instance(&u, 14, 1, 0xa1, name, &e), -1);
}

static void has_lines(const char *t, const char *const *lines, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strstr(t, lines[i]))
			fail_msg("no %s in %s", lines[i], t);
}

static void test_service(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop-eu");
	static const char *const lines[] = {"\nSlice=slipway-shop\\x2deu.slice\n",
	    "\nUser=sw-shop-eu\nGroup=sw-shop-eu\n",
	    "\nExecStart=/usr/libexec/slipway/slipway-exec --supply "
	    "/run/slipway-helper/supply.sock %i\n",
	    "\nExecStopPost=+/usr/libexec/slipway/slipway-exec --ended "
	    "/run/slipway-helper/supply.sock %i\n",
	    "\nMemoryMax=536870912\nMemorySwapMax=0\nCPUQuota=150%\nTasksMax=128\n"
	    "LimitNOFILE=1024\nLimitFSIZE=1073741824\n",
	    "\nReadWritePaths=/var/lib/slipway/projects/shop-eu/data\n", "\nTimeoutStopSec=30\n",
	    "\nNoNewPrivileges=yes\n", "\nCapabilityBoundingSet=\n"};
	has_lines(render(&u), lines, sizeof(lines) / sizeof(*lines));
	assert_null(strstr(text, "/releases\n"));
}

static void test_what_may_be_written(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_BUILD, "shop");
	static const char *const lines[] = {
	    "\nReadWritePaths=/var/lib/slipway/projects/shop/releases\n",
	    "\nReadWritePaths=/var/lib/slipway/projects/shop/cache\n",
	    "\nReadWritePaths=/var/lib/slipway/projects/shop/mirror\n"};
	has_lines(render(&u), lines, sizeof(lines) / sizeof(*lines));
	assert_null(strstr(text, "/data\n"));
	u.kind = RENDER_UNIT_RELAY;
	assert_null(strstr(render(&u), "ReadWritePaths"));
	u.kind = RENDER_UNIT_SLICE;
	assert_null(strstr(render(&u), "ExecStart"));
}

static void test_limits_of_none(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_RUN, "shop");
	u.memory_bytes = u.disk_bytes = u.cpu_milli = u.tasks = u.files = 0;
	static const char *const lines[] = {"\nTasksMax=infinity\n", "\nLimitNOFILE=65536\n"};
	has_lines(render(&u), lines, 2);
	assert_null(strstr(text, "MemoryMax="));
	assert_null(strstr(text, "CPUQuota="));
	assert_null(strstr(text, "LimitFSIZE="));
	assert_null(strstr(text, "CPUWeight="));
	assert_non_null(strstr(text, "\nSocketBindDeny=tcp:20000-31999\n"));
	assert_null(strstr(text, "SocketBindAllow="));
	u.port = 20017;
	assert_non_null(strstr(render(&u), "\nSocketBindAllow=tcp:20010-20019\nSocketBindDeny=tcp:20000-31999\n"));
	u.port = 32000;
	assert_null(strstr(render(&u), "SocketBindAllow="));
	u.cpu_milli = 5;
	u.cpu_share = 25;
	assert_non_null(strstr(render(&u), "\nCPUQuota=1%\nCPUWeight=25\n"));
	assert_null(strstr(text, "AllowedCPUs="));
	u.cpu_first = 1;
	u.cpu_last = 3;
	assert_non_null(strstr(render(&u), "\nCPUWeight=25\nAllowedCPUs=1-3\n"));
	u.cpu_first = 4;
	assert_int_equal(render_unit(&u, &roots, text, sizeof(text), NULL), -1);
	u.cpu_first = 3;
	u.cpu_share = 101;
	assert_int_equal(render_unit(&u, &roots, text, sizeof(text), NULL), -1);
}

static void test_devices(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
	assert_null(strstr(render(&u), "DeviceAllow="));
	u.nodes[0] = (struct device_node){.path = "/dev/dri/renderD128", .group = 105};
	u.nodes[1] = (struct device_node){.path = "/dev/kfd"};
	u.node_count = 2;
	assert_non_null(strstr(render(&u),
	    "\nBindPaths=-/dev/dri/renderD128\nDeviceAllow=/dev/dri/renderD128 rw\n"
	    "SupplementaryGroups=105\nBindPaths=-/dev/kfd\nDeviceAllow=/dev/kfd rw\n"));
	u.kind = RENDER_UNIT_RUN;
	assert_non_null(strstr(render(&u), "\nDeviceAllow=/dev/kfd rw\n"));
	static const enum render_unit_kind none[] = {
	    RENDER_UNIT_BUILD, RENDER_UNIT_RELAY, RENDER_UNIT_SLICE};
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		u.kind = none[i];
		is_refused(&u, &roots);
	}
	u.kind = RENDER_UNIT_SERVICE;
	static const char *const bad[] = {
	    "", "/dev/mem", "/dev/kfd rw\nUser=root", "/dev/../etc/shadow", "kfd"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		(void)snprintf(u.nodes[1].path, sizeof(u.nodes[1].path), "%s", bad[i]);
		is_refused(&u, &roots);
	}
	memset(u.nodes[1].path, '1', sizeof(u.nodes[1].path));
	is_refused(&u, &roots);
	/* all that fit, with the longest name there is */
	for (size_t i = 0; i < DEVICE_NODES_MAX; i++)
		u.nodes[i] = (struct device_node){.path = "/dev/nvidia-caps/nvidia-cap9999", .group = UINT32_MAX - 1};
	u.node_count = DEVICE_NODES_MAX;
	assert_non_null(render(&u));
	u.node_count++;
	is_refused(&u, &roots);
}

/* No byte of a name, user or path that is none gets into a unit, wherever it stands. */
static void test_hostile_values(void **state)
{
	(void)state;
	static const char *const bad[] = {"a\nUser=root", "a%n", "a\\n", "a\"b", "a b", "a;b", "a'",
	    "a\tb", "..", "a/../b", "$HOME", "a\r", "", "a=b", "[Service]", "a#", "a.b"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		for (int k = 0; k < RENDER_UNIT_KIND_COUNT; k++) {
			struct render_unit u = plain((enum render_unit_kind)k, "shop");
			struct render_unit_roots r = roots;
			char path[64];
			(void)snprintf(u.project, sizeof(u.project), "%s", bad[i]);
			is_refused(&u, &roots);
			u = plain((enum render_unit_kind)k, "shop");
			(void)snprintf(u.user, sizeof(u.user), "sw-%s", bad[i]);
			is_refused(&u, &roots);
			u = plain((enum render_unit_kind)k, "shop");
			(void)snprintf(u.process, sizeof(u.process), "%s", bad[i]);
			if (k != RENDER_UNIT_SLICE)
				is_refused(&u, &roots);
			(void)snprintf(path, sizeof(path), "/x/%s", bad[i]);
			u = plain((enum render_unit_kind)k, "shop");
			r.exec = path;
			if (strcmp(bad[i], "a.b") != 0)
				is_refused(&u, &r);
		}
	static const char *const users[] = {"root", "slipway", "sw-", "SW-shop"};
	for (size_t i = 0; i < sizeof(users) / sizeof(*users); i++) {
		struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
		(void)snprintf(u.user, sizeof(u.user), "%s", users[i]);
		is_refused(&u, &roots);
	}
}

static void test_numbers_out_of_range(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
	memset(u.project, 'a', sizeof(u.project)); /* not ended */
	is_refused(&u, &roots);
	u = plain(RENDER_UNIT_SERVICE, "shop");
	memset(u.user, 'a', sizeof(u.user));
	is_refused(&u, &roots);
	u = plain(RENDER_UNIT_KIND_COUNT, "shop");
	is_refused(&u, &roots);
	u = plain(RENDER_UNIT_SERVICE, "shop");
	u.stop_timeout_s = 0;
	is_refused(&u, &roots);
	u.stop_timeout_s = 30;
	u.memory_bytes = UINT64_MAX;
	is_refused(&u, &roots);
}

/* All that a manifest may ask for (text/manifest.c): 1024 processors once were refused here. */
static void test_the_largest_limits(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
	u.memory_bytes = 1ull << 40;
	u.disk_bytes = 1ull << 50;
	u.cpu_milli = LIMIT_CPU_MILLI;
	u.tasks = u.files = 1000000;
	u.stop_timeout_s = RENDER_UNIT_SECONDS_MAX;
	static const char *const lines[] = {
	    "\nMemoryMax=1099511627776\nMemorySwapMax=0\nCPUQuota=102400%\nTasksMax=1000000\n"
	    "LimitNOFILE=1000000\nLimitFSIZE=1125899906842624\n",
	    "\nTimeoutStopSec=86400\n"};
	has_lines(render(&u), lines, 2);
	u.cpu_milli++;
	is_refused(&u, &roots);
}

static void test_a_short_buffer_is_said(void **state)
{
	(void)state;
	struct render_unit u = plain(RENDER_UNIT_SERVICE, "shop");
	struct err e;
	size_t whole = strlen(render(&u));
	char small[RENDER_UNIT_TEXT_MAX];
	for (size_t n = 1; n <= whole; n += 37) {
		assert_int_equal(render_unit(&u, &roots, small, n, &e), -1);
		assert_int_equal(e.code, ERR_TOO_LARGE);
		assert_string_equal(small, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_service),
	    cmocka_unit_test(test_what_may_be_written),
	    cmocka_unit_test(test_limits_of_none),
	    cmocka_unit_test(test_devices),
	    cmocka_unit_test(test_hostile_values),
	    cmocka_unit_test(test_numbers_out_of_range),
	    cmocka_unit_test(test_the_largest_limits),
	    cmocka_unit_test(test_a_short_buffer_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
