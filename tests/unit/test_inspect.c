/* rooms: base launch setup inspect */
/* What needs no machine: what counts as secret or open, the walk, the worst of findings. The checks
 * themselves are tested in tests/machine, each against its fault. */
#include "inspect/inspect.h"
#include "inspect/parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void test_secret_files(void **state)
{
	(void)state;
	static const char *const secret[] = {"/var/lib/slipway/keys/seal.key",
	    "/var/lib/slipway/slipway.db-wal", "/var/lib/slipway/owner.token",
	    "/var/lib/slipway/projects/a/data/.env", "/run/slipway/a/14/env",
	    "/var/lib/slipway/projects/a/data/prod.env"};
	static const char *const plain[] = {"/var/lib/slipway/edge/nginx.conf",
	    "/var/lib/slipway/logs/a/web.log",
	    "/var/lib/slipway/projects/a/releases/1/environment.py"};
	for (size_t i = 0; i < sizeof(secret) / sizeof(*secret); i++)
		assert_true(inspect_is_secret(secret[i]));
	for (size_t i = 0; i < sizeof(plain) / sizeof(*plain); i++)
		assert_false(inspect_is_secret(plain[i]));
}

static void test_open_files(void **state)
{
	(void)state;
	const struct {
		mode_t mode;
		bool open;
	} rows[] = {{S_IFREG | 0602, true}, {S_IFREG | 0664, false}, {S_IFDIR | 0777, true},
	    {S_IFDIR | 01777, false}, {S_IFLNK | 0777, false}, {S_IFSOCK | 0666, false},
	    {S_IFIFO | 0666, true}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct stat st = {.st_mode = rows[i].mode};
		assert_int_equal(inspect_is_open("/var/lib/slipway/x", &st), rows[i].open);
	}
	struct stat st = {.st_mode = S_IFREG | 0666};
	assert_false(inspect_is_open("/var/lib/slipway/projects/a/tmp/x", &st));
	assert_false(inspect_lets_login("/usr/sbin/nologin"));
	assert_false(inspect_lets_login("/bin/false"));
	assert_true(inspect_lets_login("/bin/bash"));
	assert_true(inspect_lets_login("")); /* passwd(5): /bin/sh */
	assert_true(inspect_is_ours("sw-shop") && inspect_is_ours("slipway"));
	assert_false(inspect_is_ours("slipwayd") || inspect_is_ours("swap"));
}

static void test_rules_of_sudo(void **state)
{
	(void)state;
	static const char *const ours[] = {"slipway ALL=(root) NOPASSWD: ALL", "ALL ALL=(ALL) ALL",
	    "  sw-shop\tALL=/bin/ls", "%sw-shop ALL=/bin/ls", "anna, slipway ALL=/bin/ls",
	    "anna ,slipway ALL=/bin/ls", "#990 ALL=/bin/ls", "#70001 ALL=/bin/ls",
	    "%#70001 ALL=/bin/ls", "User_Alias OPS = anna, slipway",
	    "Defaults:slipway !requiretty"};
	static const char *const others[] = {"", "# slipway ALL=(root) ALL",
	    "root ALL=(ALL:ALL) ALL", "%sudo ALL=(ALL:ALL) ALL", "anna slipway=(root) /bin/ls",
	    "#991 ALL=/bin/ls", "anna, ben ALL=(slipway) ALL", "Defaults env_reset",
	    "User_Alias OPS = anna, ben", "slipwayd ALL=/bin/ls"};
	const struct inspect s = {.has_user = true, .uid = 990};
	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (!inspect_rule_is_ours(&s, str_c(ours[i])))
			fail_msg("missed: %s", ours[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (inspect_rule_is_ours(&s, str_c(others[i])))
			fail_msg("not ours: %s", others[i]);
}

static size_t seen, seen_beyond;

static void see(struct inspect *s, const char *path, const struct stat *st)
{
	(void)s;
	seen++;
	seen_beyond +=
	    strstr(path, "/link/") != NULL || (strstr(path, "/link") && S_ISDIR(st->st_mode));
}

static void test_the_walk_follows_no_link(void **state)
{
	(void)state;
	char root[] = "/tmp/slipway-inspect-XXXXXX", path[64];
	struct inspect s = {0};
	assert_non_null(mkdtemp(root));
	(void)snprintf(path, sizeof(path), "%s/link", root);
	assert_int_equal(symlink("/etc", path), 0);
	(void)snprintf(path, sizeof(path), "%s/deep", root);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof(path), "%s/deep/file", root);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	seen = seen_beyond = 0;
	assert_int_equal(inspect_walk(&s, root, see), 3);
	assert_int_equal(seen, 3);
	assert_int_equal(seen_beyond, 0);
	assert_int_equal(inspect_walk(&s, "/does/not/exist", see), 0);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/deep", root);
	(void)rmdir(path);
	(void)snprintf(path, sizeof(path), "%s/link", root);
	(void)unlink(path);
	assert_int_equal(rmdir(root), 0);
}

static void test_findings(void **state)
{
	(void)state;
	static struct inspect s;
	s.check = 1;
	inspect_say(&s, INSPECT_LOW, "%s", "a\nb\x1b[31m\xc3\xa9");
	assert_string_equal(s.v[0].words, "a?b?[31m??");
	s.check = 2;
	inspect_say(&s, INSPECT_CRITICAL, "x");
	assert_int_equal(inspect_worst(&s, 0, 3), INSPECT_INFO);
	assert_int_equal(inspect_worst(&s, 1, 3), INSPECT_LOW);
	assert_int_equal(inspect_worst(&s, 3, 3), INSPECT_CRITICAL);
	s.named = 0;
	for (size_t i = 0; i < 100; i++)
		inspect_name(&s, INSPECT_INFO, "many");
	assert_int_equal(s.count, 2 + INSPECT_NAMED_MAX);
	for (size_t i = 0; i < 2 * INSPECT_FINDINGS_MAX; i++)
		inspect_say(&s, INSPECT_INFO, "more");
	assert_int_equal(s.count, INSPECT_FINDINGS_MAX);
}

/* A finding that does not fit must not hide how bad things are. */
static void test_the_worst_is_never_lost(void **state)
{
	(void)state;
	static struct inspect s;
	memset(&s, 0, sizeof(s));
	for (size_t i = 0; i < INSPECT_FINDINGS_MAX; i++)
		inspect_say(&s, INSPECT_INFO, "noise");
	inspect_say(&s, INSPECT_CRITICAL, "fire");
	assert_int_equal(inspect_worst(&s, 0, 1), INSPECT_CRITICAL);
}

/* ---- advice ---- */

static void set_sysctl(const char *root, const char *name, const char *value)
{
	char path[160];
	(void)snprintf(path, sizeof(path), "%s/%s", root, name);
	for (char *c = path + strlen(root) + 1; *c; c++) {
		*c = *c == '.' ? '/' : *c;
		if (*c != '/')
			continue;
		*c = '\0';
		assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
		*c = '/';
	}
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fprintf(f, "%s\n", value) > 0);
	assert_int_equal(fclose(f), 0);
}

static void look_at_sysctls(struct inspect *s, const char *root)
{
	size_t n;
	const struct inspect_sysctl *v = inspect_sysctls_kernel(&n);
	memset(s, 0, sizeof(*s));
	inspect_advise_sysctls(s, root, v, n);
}

/* The kernel's settings are those of the machine that tests run on: here of a planted folder. */
static void test_settings_of_the_kernel(void **state)
{
	(void)state;
	static struct inspect s;
	static const struct {
		const char *name, *good, *bad;
		enum inspect_level level;
	} rows[] = {
	    {"kernel.randomize_va_space", "2", "1", INSPECT_MEDIUM},
	    {"kernel.dmesg_restrict", "1", "0", INSPECT_LOW},
	    {"kernel.kptr_restrict", "1", "0", INSPECT_LOW},
	    {"kernel.yama.ptrace_scope", "2", "0", INSPECT_LOW},
	    {"fs.protected_symlinks", "1", "0", INSPECT_MEDIUM},
	    {"fs.protected_hardlinks", "1", "0", INSPECT_MEDIUM},
	};
	const size_t count = sizeof(rows) / sizeof(*rows);
	char root[] = "/tmp/slipway-inspect-XXXXXX", command[160];
	assert_non_null(mkdtemp(root));
	look_at_sysctls(&s, root);
	assert_int_equal(s.count, count); /* none is there, and each says so */
	assert_int_equal(inspect_worst(&s, 0, 1), INSPECT_INFO);
	for (size_t i = 0; i < count; i++)
		set_sysctl(root, rows[i].name, rows[i].good);
	look_at_sysctls(&s, root);
	assert_int_equal(s.count, 0);
	for (size_t i = 0; i < count; i++) {
		set_sysctl(root, rows[i].name, rows[i].bad);
		look_at_sysctls(&s, root);
		assert_int_equal(s.count, 1);
		assert_int_equal(s.v[0].level, rows[i].level);
		assert_non_null(strstr(s.v[0].words, rows[i].name));
		(void)snprintf(command, sizeof(command), "printf '%s = ", rows[i].name);
		assert_int_equal(strncmp(s.v[0].command, command, strlen(command)), 0);
		set_sysctl(root, rows[i].name, rows[i].good);
	}
	const char *const argv[] = {"/bin/rm", "-r", root, NULL};
	char out[64];
	int status;
	assert_true(inspect_tool(argv, &status, out, sizeof(out)) && status == 0);
}

#define INPUT "\tchain in {\n\t\ttype filter hook input priority filter; policy "
static void test_which_rules_refuse(void **state)
{
	(void)state;
	static const struct {
		const char *rules;
		unsigned refuses; /* 1: IPv4, 2: IPv6 */
	} rows[] = {
	    {"", 0},
	    {"table inet a {\n" INPUT "drop;\n\t}\n}\n", 3},
	    {"table ip a {\n" INPUT "drop;\n\t}\n}\n", 1},
	    {"table ip6 a {\n" INPUT "drop;\n\t}\n}\n", 2},
	    {"table ip a {\n" INPUT "drop;\n\t}\n}\ntable ip6 a {\n" INPUT "drop;\n\t}\n}\n", 3},
	    {"table arp a {\n" INPUT "drop;\n\t}\n}\n", 0},
	    {"table inet a {\n" INPUT "accept;\n\t\tdrop\n\t}\n}\n", 3},
	    {"table inet a {\n" INPUT "accept;\n\t\tcounter reject with tcp reset\n\t}\n}\n", 3},
	    {"table inet a {\n" INPUT "accept;\n\t\ttcp dport 25 drop\n\t}\n}\n", 0},
	    {"table inet a {\n" INPUT "accept;\n\t\tdrop_some\n\t}\n}\n", 0},
	    /* another chain's, another hook's, Slipway's own */
	    {"table inet a {\n" INPUT "accept;\n\t}\n\tchain b {\n\t\tdrop\n\t}\n}\n", 0},
	    {"table inet a {\n\tchain out {\n\t\ttype filter hook output priority filter; policy "
	     "drop;\n\t}\n}\n",
		0},
	    {"table inet slipway {\n" INPUT "drop;\n\t}\n}\n", 0},
	    {"table inet slipway_dev {\n" INPUT "drop;\n\t}\n}\n", 0},
	    {"table inet slipways {\n" INPUT "drop;\n\t}\n}\n", 3},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (inspect_nft_refuses(str_c(rows[i].rules)) != rows[i].refuses)
			fail_msg("%zu: %s", i, rows[i].rules);
}

static void test_advice_is_whole(void **state)
{
	(void)state;
	static struct inspect s;
	char longer[INSPECT_COMMAND_SIZE + 1];
	size_t n;
	const struct inspect_check *t = inspect_advice(&n);
	assert_true(n > 0);
	for (size_t i = 0; i < n; i++)
		assert_true(t[i].name && t[i].run && t[i].reason && t[i].benchmark);
	memset(longer, 'x', sizeof(longer));
	longer[INSPECT_COMMAND_SIZE] = '\0';
	inspect_advise(&s, INSPECT_LOW, longer, "half of a command is none");
	inspect_advise(&s, INSPECT_LOW, longer + 1, "a whole one");
	assert_string_equal(s.v[0].command, "");
	assert_string_equal(s.v[1].command, longer + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_secret_files),
	    cmocka_unit_test(test_open_files),
	    cmocka_unit_test(test_rules_of_sudo),
	    cmocka_unit_test(test_the_walk_follows_no_link),
	    cmocka_unit_test(test_findings),
	    cmocka_unit_test(test_the_worst_is_never_lost),
	    cmocka_unit_test(test_settings_of_the_kernel),
	    cmocka_unit_test(test_which_rules_refuse),
	    cmocka_unit_test(test_advice_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
