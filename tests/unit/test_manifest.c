/* rooms: base text */
#include "base/limits.h"
#include "text/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char whole[] =
    "kind: django\n"
    "root: backend\n"
    "python: {version: \"3.11\", system: true}\n"
    "node: {version: 20}\n"
    "submodules: true\n"
    "build: [[npm, ci], [npm, run, build]]\n"
    "checks:\n"
    "  - {name: tests, run: [python3, manage.py, test], timeout: 5m}\n"
    "  - run: [make, lint]\n"
    "processes:\n"
    "  web:    {run: [gunicorn, shop.wsgi], listen: socket, stop_timeout: 20s, notify: true, watchdog: 30s}\n"
    "  worker: {run: [celery, -A, shop, worker]}\n"
    "devices: [gpu]\n"
    "health: {path: /healthz, status: 200, timeout: 60s, interval: 1s}\n"
    "static: {/static/: staticfiles, /media: {data: media}, /: .}\n"
    "domains: [shop.example.org]\n"
    "env: {DJANGO_LOG: info, EMPTY: '', PORTS: 0x10}\n"
    "limits: {memory: 512M, cpu: 1.5, tasks: 128, disk: 2G, build: {memory: 1G, time: 10m}}\n"
    "release: [python3, manage.py, migrate, --noinput]\n"
    "release_timeout: 2m\n"
    "drain: 30s\n"
    "sleep: 30m\n"
    "keep_releases: 7\n"
    "headers: strict\n"
    "body_max: 10M\n"
    "request_timeout: 90s\n"
    "services: {db: postgres, cache: none, queue: rabbitmq}\n";

static void reads_every_key(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct manifest m;
	struct err e = {0};
	arena_init(&a, 1u << 20);
	assert_int_equal(manifest_read(str_c(whole), "slipway.yaml", &a, &m, &e), 0);
	assert_int_equal(m.kind, MANIFEST_KIND_DJANGO);
	assert_true(str_eq_c(m.root, "backend"));
	assert_true(str_eq_c(m.python_version, "3.11"));
	assert_true(m.system_packages && m.submodules);
	assert_true(str_eq_c(m.node_version, "20"));
	assert_int_equal(m.build_count, 2);
	assert_int_equal(m.build[1].n, 3);
	assert_int_equal(m.check_count, 2);
	assert_int_equal(m.checks[0].timeout_ms, 300000);
	assert_true(str_eq_c(m.checks[1].name, "make"));
	assert_int_equal(m.process_count, 2);
	assert_int_equal(m.processes[0].listen, MANIFEST_LISTEN_SOCKET);
	assert_int_equal(m.processes[0].stop_timeout_ms, 20000);
	assert_true(m.processes[0].notify && !m.processes[1].notify);
	assert_int_equal(m.processes[0].watchdog_ms, 30000);
	assert_int_equal(m.processes[1].listen, MANIFEST_LISTEN_UNSET);
	assert_int_equal(m.devices, 1u << DEVICE_GPU);
	assert_int_equal(m.health.status, 200);
	assert_int_equal(m.static_count, 3);
	assert_true(str_eq_c(m.statics[0].url, "/static"));
	assert_true(m.statics[1].data && str_eq_c(m.statics[1].path, "media"));
	assert_int_equal(m.statics[2].path.n, 0);
	assert_int_equal(m.env_count, 3);
	assert_int_equal(m.env[1].value.n, 0);
	assert_true(str_eq_c(m.env[2].value, "0x10"));
	assert_true(m.limits.memory_bytes == 512u << 20);
	assert_int_equal(m.limits.cpu_milli, 1500);
	assert_true(m.limits.build_memory_bytes == 1u << 30);
	assert_int_equal(m.limits.build_time_ms, 600000);
	assert_int_equal(m.release.n, 4);
	assert_int_equal(m.keep_releases, 7);
	assert_true(m.body_max_bytes == 10u << 20);
	assert_int_equal(m.drain_ms, 30000);
	assert_int_equal(m.headers, MANIFEST_HEADERS_STRICT);
}

static const struct {
	const char *text, *message, *hint;
	enum err_code code;
} faults[] = {
    {"kind: static\nproceses: {}\n", "m:2:1: unknown key 'proceses'", "'processes'", ERR_INVALID},
    {"health: {pth: /x}\n", "m:1:10: unknown key 'pth' in health", "'path'", ERR_INVALID},
    {"processes:\n  web:\n    rnu: [a]\n", "m:3:5: unknown key 'rnu' in a process", "'run'",
	ERR_INVALID},
    {"limits: {build: {memroy: 1G}}\n", "m:1:18: unknown key 'memroy' in build", "'memory'",
	ERR_INVALID},
    {"release: npm run build\n",
	"m:1:10: 'release' is a single value where a list of words belongs", "[npm, run, build]",
	ERR_INVALID},
    {"build: [npm ci]\n", "m:1:9: 'build' is a single value", "[npm, ci]", ERR_INVALID},
    {"processes: {web: {run: a && b}}\n", "m:1:24: 'run' is a single value", "no shell",
	ERR_INVALID},
    {"processes: {web: [a]}\n", "m:1:18: 'a process' is a list where a mapping", "run: [",
	ERR_INVALID},
    {"processes: {Web: {run: [a]}}\n", "m:1:13: process name 'Web'", "", ERR_INVALID},
    {"processes: {web: {wsgi: shop.wsgi}}\n", "go together", "server: mod_wsgi", ERR_INVALID},
    {"processes: {web: {server: mod_wsgi}}\n", "go together", "server: mod_wsgi", ERR_INVALID},
    {"processes: {web: {run: [a], wsgi: shop.wsgi, server: mod_wsgi}}\n", "go together", "'run'",
	ERR_INVALID},
    {"processes: {w: {wsgi: shop.wsgi, server: mod_wsgi}}\n", "in 'web'", "'run'", ERR_INVALID},
    {"processes: {web: {wsgi: shop.wsgi, server: uwsgi}}\n", "'server' is not mod_wsgi", "",
	ERR_INVALID},
    {"processes: {web: {wsgi: \"a b\", server: mod_wsgi}}\n", "is not a module", "", ERR_INVALID},
    {"processes: {web: {wsgi: ../a, server: mod_wsgi}}\n", "is not a module", "", ERR_INVALID},
    {"processes: {web: {wsgi: 'a:b:c', server: mod_wsgi}}\n", "is not a module", "", ERR_INVALID},
    {"processes: {web: {wsgi: 'a:b.c', server: mod_wsgi}}\n", "is not a module", "", ERR_INVALID},
    {"processes: {web: {wsgi: a., server: mod_wsgi}}\n", "is not a module", "", ERR_INVALID},
    {"processes: {web: {listen: port}}\n", "has no 'run'", "run: [", ERR_INVALID},
    {"processes: {web: {run: []}}\n", "m:1:24: 'run' is an empty list", "", ERR_INVALID},
    {"processes: {web: {run: [a], listen: tcp}}\n", "m:1:37: 'listen' is not socket, port or none",
	"", ERR_INVALID},
    {"devices: gpu\n", "m:1:10: 'devices' is a single value", "devices: [gpu]", ERR_INVALID},
    {"devices: [gpu, camera]\n", "m:1:16: there is no kind of device 'camera'", "gpu", ERR_INVALID},
    {"drain: 30\n", "m:1:8: 'drain' is '30'", "30s", ERR_INVALID},
    {"body_max: 10MB\n", "m:1:11: 'body_max' is '10MB'", "512M", ERR_INVALID},
    {"submodules: yes\n", "m:1:13: 'submodules' is 'yes', which is not true or false", "",
	ERR_INVALID},
    {"headers: safe\n", "m:1:10: 'headers' is not basic or strict", "they win", ERR_INVALID},
    {"headers: {preset: strict}\n", "m:1:10: 'headers' is a mapping", "headers: strict", ERR_INVALID},
    {"heders: strict\n", "m:1:1: unknown key 'heders'", "'headers'", ERR_INVALID},
    {"keep_releases: 0\n", "m:1:16: 'keep_releases' is '0'", "", ERR_INVALID},
    {"root: ../x\n", "m:1:7: path '../x'", "", ERR_INVALID},
    {"static: {static: x}\n", "m:1:10: URL prefix 'static'", "", ERR_INVALID},
    {"static: {/a: x, /a/: y}\n", "comes twice", "", ERR_INVALID},
    {"domains: [Shop.example.org]\n", "m:1:11: domain", "", ERR_INVALID},
    {"env: {SLIPWAY_X: a}\n", "m:1:7: variable name", "", ERR_INVALID},
    {"env: {A: [b]}\n", "m:1:10:", "", ERR_INVALID},
    {"kind: djngo\n", "m:1:7: unknown kind 'djngo'", "django", ERR_INVALID},
    {"kind: llm\n", "not supported yet", "", ERR_UNSUPPORTED},
    {"services: {db: oracle}\n", "m:1:16: services: there is no service 'oracle'",
	"env set", ERR_UNSUPPORTED},
    {"services: {d_b: postgres}\n", "m:1:12: service name 'd_b'", "", ERR_INVALID},
    {"services: {db: [postgres]}\n", "m:1:16:", "", ERR_INVALID},
    {"services: {a: postgres, b: postgres, c: postgres, d: postgres, e: postgres, f: postgres, "
     "g: postgres, h: postgres, i: postgres}\n",
	"m:1:", "", ERR_INVALID},
    {"schedule: [{name: a, run: [b], at: daily}]\n", "m:1:1: 'schedule' is not supported yet", "",
	ERR_UNSUPPORTED},
    {"kind: static\nkind: make\n", "m:2:1: key 'kind' comes twice", "", ERR_INVALID},
    {"a: &x 1\nb: *x\n", "m:1:4: anchors", "", ERR_INVALID},
    {"kind: !!str static\n", "m:1:7: tags", "", ERR_INVALID},
    {"kind: [\n", "m:2:1:", "", ERR_INVALID},
    {"kind: static\n---\nkind: make\n", "m:2:1: a second document", "", ERR_INVALID},
    {"- a\n", "m:1:1: the manifest is a list", "", ERR_INVALID},
    {"\tkind: static\n", "m:1:1:", "", ERR_INVALID},
    {"kind: \"a\\0b\"\n", "m:1:7: a value holds a NUL", "", ERR_INVALID},
    {"kind: \xff\n", "not UTF-8", "", ERR_INVALID},
    {"python: {version: ../3}\n", "m:1:19: 'version' is not a version", "", ERR_INVALID},
    {"a: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "nested deeper", "", ERR_INVALID},
};

static void says_where_and_what(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults); i++) {
		struct arena a CLEANUP_ARENA;
		struct manifest m;
		struct err e = {0};
		arena_init(&a, 1u << 20);
		int rc = manifest_read(str_c(faults[i].text), "m", &a, &m, &e);
		if (rc != -1 || !strstr(e.msg, faults[i].message) ||
		    !strstr(e.hint, faults[i].hint) || e.code != faults[i].code)
			fail_msg("%s -> %d '%s' hint '%s'", faults[i].text, rc, e.msg, e.hint);
	}
}

static void empty_means_nothing_said(void **state)
{
	(void)state;
	static const char *const texts[] = {
	    "", "\n", "# only a comment\n", "---\n", "kind:\nenv: ~\nbuild: null\n"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct arena a CLEANUP_ARENA;
		struct manifest m;
		struct err e = {0};
		arena_init(&a, 1u << 16);
		if (manifest_read(str_c(texts[i]), "m", &a, &m, &e))
			fail_msg("%s -> %s", texts[i], e.msg);
		assert_int_equal(m.kind, MANIFEST_KIND_AUTO);
	}
}

static void a_full_arena_is_an_error(void **state)
{
	(void)state;
	for (size_t cap = 0; cap < 20000; cap += 160) {
		struct arena a CLEANUP_ARENA;
		struct manifest m;
		struct err e = {0};
		arena_init(&a, cap);
		if (manifest_read(str_c(whole), "m", &a, &m, &e) == 0)
			return;
		assert_int_equal(e.code, ERR_TOO_LARGE);
	}
	fail_msg("never fitted");
}

static void limits_hold(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct buf b CLEANUP_BUF;
	struct manifest m;
	struct err e = {0};
	arena_init(&a, 16u << 20);
	buf_init(&b, 1u << 20);
	buf_c(&b, "processes: {");
	for (int i = 0; i < 17; i++)
		buf_printf(&b, "p%d: {run: [a]},", i);
	buf_c(&b, "}\n");
	assert_int_equal(manifest_read(buf_view(&b), "m", &a, &m, &e), -1);
	assert_non_null(strstr(e.msg, "more than 16"));
	buf_clear(&b);
	while (b.n <= LIMIT_MANIFEST_BYTES)
		buf_c(&b, "# padding padding padding padding padding padding\n");
	assert_int_equal(manifest_read(buf_view(&b), "m", &a, &m, &e), -1);
	assert_int_equal(e.code, ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_every_key),
	    cmocka_unit_test(says_where_and_what),
	    cmocka_unit_test(empty_means_nothing_said),
	    cmocka_unit_test(a_full_arena_is_an_error),
	    cmocka_unit_test(limits_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
