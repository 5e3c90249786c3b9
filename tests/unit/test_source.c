/* rooms: base loop text crypto priv launch source */
#include "source/address.h"
#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *url;
	enum source_scheme scheme;
	const char *user, *host, *path;
	unsigned port;
} good[] = {
    {"https://github.com/a/b.git", SOURCE_HTTPS, "", "github.com", "/a/b.git", 443},
    {"http://127.0.0.1:8080/r", SOURCE_HTTP, "", "127.0.0.1", "/r", 8080},
    {"http://[::1]:81/r", SOURCE_HTTP, "", "::1", "/r", 81},
    {"ssh://git@h:2222/~x/r", SOURCE_SSH, "git", "h", "/~x/r", 2222},
    {"git@github.com:a/b.git", SOURCE_SSH, "git", "github.com", "a/b.git", 22},
    {"h:r", SOURCE_SSH, "", "h", "r", 22},
    {"/srv/git/r", SOURCE_LOCAL, "", "", "/srv/git/r", 0},
};
static const char *const bad[] = {"", "-oProxyCommand=x", "ext::sh -c x", "ext::sh", "file:///x",
    "git://h/r", "https://h", "https://h/", "https://u:p@h/r", "https://u@h/r",
    "ssh://-oProxyCommand=x/r", "-h:r", "a@-h:r", "ssh://u@h:0/r", "ssh://u@h:99999/r",
    "http://h:x/r", "http://h h/r", "http://h/\nr", "relative/path", "http://[::1/r", "u@h:-r",
    "h::r", "http://h\x7f/r", "ssh://-u@h/r", "https://h_x/r", "fd::17"};

static void addresses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct source_address a;
		struct err e = {0};
		if (source_address_parse(str_c(good[i].url), &a, &e))
			fail_msg("%s -> %s", good[i].url, e.msg);
		assert_int_equal(a.scheme, good[i].scheme);
		assert_true(str_eq(a.user, str_c(good[i].user)));
		assert_true(str_eq(a.host, str_c(good[i].host)));
		assert_true(str_eq(a.path, str_c(good[i].path)));
		assert_int_equal(a.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct source_address a;
		struct err e = {0};
		if (source_address_parse(str_c(bad[i]), &a, &e) != -1)
			fail_msg("accepted %s", bad[i]);
	}
}

static bool has(const struct args *a, const char *word)
{
	for (size_t i = 0; i < a->n; i++)
		if (str_eq_c(a->v[i], word))
			return true;
	return false;
}

static void jobs(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct source_job j;
	struct err e = {0};
	arena_init(&a, 1u << 20);
	struct source_spec s = {.type = SOURCE_GIT,
	    .url = STR("https://h/r"),
	    .ref = STR("main"),
	    .https_token = STR("geheim"),
	    .deploy_key = STR("schluessel"),
	    .submodules = true};
	assert_int_equal(source_job(&s, 14, &a, &j, &e), 0);
	assert_true(str_eq_c(j.argv.v[0], "slipway-tree") && str_eq_c(j.argv.v[1], "fetch-git"));
	assert_true(has(&j.argv, "14") && has(&j.argv, "--submodules") && has(&j.argv, "main"));
	assert_false(has(&j.argv, "--allow-private") || has(&j.argv, "geheim") ||
		     has(&j.argv, "schluessel"));
	assert_true(str_eq_c(j.secret, "geheim"));
	s.url = STR("git@h:r");
	assert_int_equal(source_job(&s, 14, &a, &j, &e), 0);
	assert_true(str_eq_c(j.secret, "schluessel"));
	s.url = STR("http://h/r");
	assert_int_equal(source_job(&s, 1, &a, &j, &e), -1);
	s = (struct source_spec){.type = SOURCE_GIT, .url = STR("https://h/r"), .ref = STR("-x")};
	assert_int_equal(source_job(&s, 1, &a, &j, &e), -1);
	s = (struct source_spec){.type = SOURCE_PATH, .path = STR("/srv/../etc")};
	assert_int_equal(source_check(&s, &e), -1);
	s.path = STR("/srv/shop/");
	assert_int_equal(source_job(&s, 2, &a, &j, &e), 0);
	assert_true(has(&j.argv, "copy-path") && j.secret.n == 0);
	s = (struct source_spec){.type = SOURCE_ARCHIVE};
	assert_int_equal(source_job(&s, 2, &a, &j, &e), 0);
	assert_true(has(&j.argv, "unpack"));
}

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

static void reports(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct source_result r;
	struct err e = {0};
	arena_init(&a, 1u << 20);
	assert_int_equal(
	    source_read(STR("C " COMMIT
			    "\nT 1700000000\nA 3\na\nb\nS 0\n\nK 4\nh k\n\nF 1 -1 1\na\nE 1 1\n"),
		&a, &r, &e),
	    0);
	assert_true(str_eq_c(r.commit, COMMIT) && str_eq_c(r.author, "a\nb") && r.subject.n == 0);
	assert_true(str_eq_c(r.host_keys, "h k\n") && r.author_time_ms == 1700000000000);
	assert_int_equal(r.tree.count, 1);
	assert_int_equal(source_read(STR("C " COMMIT "\nU\nE 0 0\n"), &a, &r, &e), 0);
	assert_true(r.up_to_date);
	static const char *const broken[] = {"", "C x\nE 0 0\n", "A 99\nx\nE 0 0\n",
	    "A 1\nx\nA 1\nx\nE 0 0\n", "Z 1\nE 0 0\n", "T x\nE 0 0\n", "U 1\nE 0 0\n", "\nE 0 0\n",
	    "C " COMMIT "\n"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++)
		if (source_read(str_c(broken[i]), &a, &r, &e) != -1)
			fail_msg("accepted %s", broken[i]);
}

static void explanations(void **state)
{
	(void)state;
	const struct source_spec ssh = {
	    .type = SOURCE_GIT, .url = STR("git@github.com:o/r.git"), .deploy_key = STR("k")};
	const struct source_spec https = {
	    .type = SOURCE_GIT, .url = STR("https://example.org/o/r")};
	const struct source_spec token = {
	    .type = SOURCE_GIT, .url = STR("https://example.org/o/r"), .https_token = STR("t")};
	const struct {
		const struct source_spec *spec;
		const char *lines, *message, *hint;
		enum err_code code;
	} rows[] = {
	    {&ssh,
		"git@github.com: Permission denied (publickey).\nfatal: x\nslipway-tree: git: git "
		"fetch failed\n",
		"does not let the project's deploy key read 'o/r'",
		"https://github.com/o/r/settings/keys", ERR_FORBIDDEN},
	    {&ssh, "ERROR: Repository not found.\n", "knows no repository 'o/r'", "settings/keys",
		ERR_NOT_FOUND},
	    {&ssh, "Host key verification failed.\n", "host key of github.com", "", ERR_FORBIDDEN},
	    {&https, "fatal: could not read Username for 'https://example.org': x\n",
		"asks for a login", "token", ERR_FORBIDDEN},
	    {&token, "fatal: Authentication failed for 'https://example.org/o/r/'\n",
		"does not accept the project's token", "", ERR_FORBIDDEN},
	    {&https, "fatal: repository 'https://example.org/o/r/' not found\n",
		"knows no repository", "", ERR_NOT_FOUND},
	    {&https, "fatal: unable to access 'x': Failed to connect to example.org port 443\n",
		"could not reach", "", ERR_UNAVAILABLE},
	    {&https, "fatal: unable to access 'x': The requested URL returned error: 301\n",
		"redirection", "", ERR_INVALID},
	    {&https,
		"slipway-tree: ref: the repository has no branch, tag or commit 'x'; its branches: "
		"main\n",
		"its branches: main", "", ERR_NOT_FOUND},
	    {&https, "slipway-tree: address: 'h' has the address 10.0.0.1\n", "10.0.0.1", "private",
		ERR_FORBIDDEN},
	    {&https, "slipway-tree: size: the repository has more than 5 files\n", "more than 5",
		"", ERR_TOO_LARGE},
	    {&https, "slipway-tree: hint: install it\nslipway-tree: settings: it is not there\n",
		"it is not there", "install it", ERR_SETTINGS},
	    {&https, "slipway-tree: lock: 'x' has no hash\n", "'x' has no hash",
		"python: {from:", ERR_SETTINGS},
	    {&https, "fatal: Out of memory, malloc failed (tried to allocate 3 bytes)\n",
		"git ran out of memory", "limits.build_memory_bytes", ERR_FAILED},
	    {&https, "what\n", "failed with status 1: what", "", ERR_FAILED},
	    {&https, "", "failed with status 1", "", ERR_FAILED},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct err e = {0};
		source_explain(rows[i].spec, 0x100, str_c(rows[i].lines), &e);
		if (!strstr(e.msg, rows[i].message) || !strstr(e.hint, rows[i].hint) ||
		    e.code != rows[i].code)
			fail_msg("%s -> '%s' '%s' %d", rows[i].lines, e.msg, e.hint, (int)e.code);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(addresses),
	    cmocka_unit_test(jobs),
	    cmocka_unit_test(reports),
	    cmocka_unit_test(explanations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
