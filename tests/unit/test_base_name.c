/* rooms: base */
/* Names, valid and hostile: one table for all judges. */
#include "base/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct row {
	struct str s;
	bool ok;
};

static void judge_all(int (*fn)(struct str s, struct err *e), const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct err e;
		err_clear(&e);
		bool ok = fn(rows[i].s, &e) == 0;
		if (ok != rows[i].ok)
			fail_msg("row %zu '%.*s': %s", i, STR_ARG(rows[i].s), e.msg);
		assert_int_equal(e.code, ok ? ERR_NONE : ERR_INVALID);
		if (!ok) {
			assert_true(e.msg[0] != '\0' && str_utf8_ok(str_c(e.msg)));
			assert_null(strpbrk(e.msg, "\n\r\x1b"));
			assert_int_equal(fn(rows[i].s, NULL), -1);
		}
	}
}
#define JUDGE(fn, ...)                                                                             \
	do {                                                                                       \
		static const struct row rows[] = {__VA_ARGS__};                                    \
		judge_all(fn, rows, sizeof(rows) / sizeof(*rows));                                 \
	} while (0)
#define YES(s)                                                                                     \
	{                                                                                          \
		STR(s), true                                                                       \
	}
#define NO(s)                                                                                      \
	{                                                                                          \
		STR(s), false                                                                      \
	}

#define X10 "xxxxxxxxxx"
#define X50 X10 X10 X10 X10 X10
#define X100 X50 X50
#define HEX40 "0123456789abcdef0123456789abcdef01234567"

static void projects(void **state)
{
	(void)state;
	JUDGE(name_project, YES("a"), YES("shop"), YES("shop-eu"), YES("a1"), YES("a-b-c-1"),
	    YES("abcdefghijklmnopqrstuvwxyz012"), YES("wwww"), YES("api2"), YES("my-api"),
	    /* length, first, last */
	    NO(""), NO("abcdefghijklmnopqrstuvwxyz0123"), NO("1a"), NO("-a"), NO("a-"), NO("-"),
	    /* characters */
	    NO("Shop"), NO("shop_eu"), NO("shop.eu"), NO("shop/eu"), NO("shop eu"), NO("a--b"),
	    NO("xn--a"), NO("shop\n"), NO("shop\0"), NO("\0"), NO("../etc"), NO(".."), NO("a;b"),
	    NO("a$b"), NO("a%n"), NO("a\\b"), NO("a'b"), NO("a\"b"), NO("a{b"), NO("a@b"),
	    NO("a\x7f"),
	    NO("\xc3\xa4"
	       "b"),
	    NO("a\xff"), NO("a\xe2\x80\x8b"), NO("\xd0\xb0"), NO("\xef\xbd\x81"), NO("a\r"),
	    NO("a\t"), NO(" a"),
	    /* reserved */
	    NO("www"), NO("api"), NO("console"), NO("admin"), NO("root"), NO("slipway"),
	    NO("localhost"), NO("default"), NO("public"), NO("hooks"), NO("health"), NO("metrics"),
	    NO("static"));
	struct err e;
	assert_int_equal(name_project(STR_NONE, &e), -1);
}

static void processes_hooks_operators(void **state)
{
	(void)state;
	JUDGE(name_process, YES("w"), YES("web"), YES("worker2"), YES("abcdefghijklmnop"), NO(""),
	    NO("abcdefghijklmnopq"), NO("2web"), NO("web-1"), NO("Web"), NO("web\0"), NO("web.1"),
	    NO("web\n"), NO("w@"), NO("\xc3\xa4"));
	JUDGE(name_hook, YES("shop"), YES("a-hook-with-a-name-longer-than-a-project-may-have"),
	    YES(X50 X10 "abc"), NO(X50 X10 "abcd"), NO("a--b"), NO("A"), NO(""), NO("a_b"),
	    NO("a/b"), NO("metrics"));
	JUDGE(name_operator, YES("a"), YES("ada.lovelace"), YES("a_b-c.d1"),
	    YES("abcdefghijklmnopqrstuvwxyz012345"), NO("abcdefghijklmnopqrstuvwxyz0123456"),
	    NO(""), NO("1a"), NO(".a"), NO("Ada"), NO("a b"), NO("a@b"), NO("a\0"), NO("a\n"),
	    NO("a/b"), NO("a:b"));
}

static void domains(void **state)
{
	(void)state;
	JUDGE(name_domain, YES("example.org"), YES("a.b"), YES("localhost"), YES("shop.localhost"),
	    YES("a-b.example.org"), YES("xn--bcher-kva.example"), YES("1.example.org"),
	    YES("3com.com"), YES("a--b.example.org"), YES(X50 X10 "xxx.org"),
	    YES(X50 ".a." X50 ".b." X50 ".c." X50 ".d." X10 X10 X10 ".org"),
	    /* shape */
	    NO(""), NO("example"), NO("."), NO(".org"), NO("example.org."), NO("a..b"),
	    NO("-a.org"), NO("a-.org"), NO(X50 X10 "xxxx.org"), NO(X100 X100 X100 ".org"),
	    NO(X50 "." X50 "." X50 "." X50 "." X50 ".org"),
	    /* wildcards, ports, paths, other syntaxes */
	    NO("*.example.org"), NO("*"), NO("example.org:80"), NO("http://example.org"),
	    NO("example.org/"), NO("[::1]"), NO("_dmarc.example.org"), NO("Example.org"),
	    NO("b\xc3\xbc"
	       "cher.example"),
	    NO("a b.org"), NO("a.org;"), NO("a.org{"), NO("$host.org"), NO("a.org\n"),
	    NO("a.org\0"), NO("~^.*$"), NO("a.org\r\nX: y"),
	    /* what a browser takes for an address */
	    NO("127.0.0.1"), NO("10.1"), NO("example.0x7f"), NO("a.0"), NO("1.2.3.4.5"), NO("a.0x"),
	    NO("2130706433"));
	struct err e;
	assert_int_equal(name_domain(STR("*.example.org"), &e), -1);
	assert_string_not_equal(e.hint, "");
}

/* What a platform and its projects have by themselves. */
static void domains_free(void **state)
{
	(void)state;
	static const struct {
		const char *host;
		bool below, none;
	} rows[] = {{"plat.test", false, false}, {"plat.test", true, false},
	    {"hooks.example.org", false, false}, {"localhost", false, false},
	    {"bob.plat.test", true, false}, {"bob.plat.test", false, true},
	    {"ann.plat.test", true, true}, {"x.ann.plat.test", true, true},
	    {"bob.localhost", false, false}, {"x.ann.localhost", false, false},
	    {"ann.localhost", false, true}, {"xplat.test", true, true},
	    {"example.org", true, true}};
	struct err e;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct name_platform p = {.host = "plat.test",
		    .public_url = "https://Hooks.example.org:8443/x",
		    .names_below = rows[i].below};
		int rc = name_domain_free(str_c(rows[i].host), STR("ann"), &p, &e);
		assert_int_equal(rc, rows[i].none ? 0 : -1);
		assert_true(rc == 0 || e.code == ERR_CONFLICT);
	}
	const struct name_platform nothing = {0};
	assert_int_equal(name_domain_free(STR("plat.test"), STR("ann"), &nothing, &e), 0);
}

static void env_keys(void **state)
{
	(void)state;
	JUDGE(name_env_key, YES("A"), YES("_"), YES("DATABASE_URL"), YES("a1"), YES("SLIPWAY"),
	    YES("LD"), YES("OLD_X"), YES("ld_x"), YES(X100 X10 X10 "xxxxxxxx"),
	    NO(X100 X10 X10 "xxxxxxxxx"), NO(""), NO("1A"), NO("A-B"), NO("A=B"), NO("A\0"),
	    NO("A B"), NO("A\n"), NO("\xc3\xa4"), NO("LD_PRELOAD"), NO("LD_"), NO("SLIPWAY_X"),
	    NO("SLIPWAY_"), NO("A.B"), NO("BASH_FUNC_x%%"), NO("() { :;}"));
}

static void refs(void **state)
{
	(void)state;
	JUDGE(name_ref, YES("main"), YES("feature/x"), YES("v1.2.3"), YES("a@b"), YES("a{b"),
	    YES("a}b"), YES("a#b"), YES("a;b"), YES("a$b"), YES("a'b"), YES("\xc3\xa4"),
	    YES("a.b/c"), YES("a-"), YES("x/-y"), YES("lock"), YES("a.locked"), NO(""), NO("@"),
	    NO("-x"), NO("--upload-pack=x"), NO("-"), NO(".a"), NO("a/.b"), NO("a."), NO("a..b"),
	    NO(".."), NO("a/../b"), NO("a.lock"), NO("a.lock/b"), NO("a/b.lock"), NO(".lock"),
	    NO("/a"), NO("a/"), NO("a//b"), NO("/"), NO("a b"), NO("a~b"), NO("a^b"), NO("a:b"),
	    NO("a?b"), NO("a*b"), NO("a[b"), NO("a\\b"), NO("a@{b"), NO("a\x7f"), NO("a\n"),
	    NO("a\t"), NO("a\0b"), NO("\0"), NO("a\x01"), NO("a\xff"), NO("a\xc0\xaf"),
	    NO(X100 X100 X50 "xxxxxx"));
}

static void commits(void **state)
{
	(void)state;
	JUDGE(name_commit, YES(HEX40), YES(HEX40 "0123456789abcdef01234567"), NO(""), NO("abc"),
	    NO(HEX40 "0"), NO("0123456789ABCDEF0123456789abcdef01234567"),
	    NO("0123456789abcdeg0123456789abcdef01234567"),
	    NO("-123456789abcdef0123456789abcdef01234567"), NO("HEAD"),
	    NO("0123456789abcdef0123456789abcdef0123456\n"),
	    NO("0123456789abcdef0123456789abcdef0123456\0"), NO(HEX40 HEX40));
}

static void subpaths(void **state)
{
	(void)state;
	JUDGE(name_subpath, YES("a"), YES("a/b.txt"), YES("..."), YES("..a/b.."), YES(".env"),
	    YES("a b/c"), YES("\xff"), YES("-a"), YES(X100 "/" X100 "/" X100), NO(""), NO("."),
	    NO(".."), NO("/"), NO("/a"), NO("a/"), NO("a//b"), NO("./a"), NO("a/."), NO("a/./b"),
	    NO("../a"), NO("a/.."), NO("a/../b"), NO("a\0"), NO("a\0/../b"), NO("a/\0"),
	    NO(X100 X100 X50 "xxxxxx"),
	    NO(X100 "/" X100 "/" X100 "/" X100 "/" X100 "/" X100 "/" X100 "/" X100 "/" X100 "/" X100
		    "/" X100));
}

static void url_prefixes(void **state)
{
	(void)state;
	JUDGE(name_url_prefix, YES("/"), YES("/static"), YES("/a/b-c/d_e/f~g/h.i"), YES("/..."),
	    YES("/A9"), NO(""), NO("static"), NO("//"), NO("/a/"), NO("//a"), NO("/a//b"), NO("/."),
	    NO("/.."), NO("/a/../b"), NO("/a b"), NO("/a%2f"), NO("/a?b"), NO("/a#b"), NO("/a;b"),
	    NO("/a{"), NO("/a$b"), NO("/a\0"), NO("/\0"), NO("/a\n"), NO("/a\\b"), NO("/\xc3\xa4"),
	    NO("/" X100 X100), NO("/a*"), NO("/~^"), NO("/a\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(projects),
	    cmocka_unit_test(processes_hooks_operators),
	    cmocka_unit_test(domains),
	    cmocka_unit_test(domains_free),
	    cmocka_unit_test(env_keys),
	    cmocka_unit_test(refs),
	    cmocka_unit_test(commits),
	    cmocka_unit_test(subpaths),
	    cmocka_unit_test(url_prefixes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
