/* rooms: base helper */
/* The local user database as passwd(5) and group(5) have it, long lines and broken ones included.
 */
#include "helper/userdb.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char path[64];
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(path, sizeof(path), "/tmp/slipway-userdb-XXXXXX");
	int fd = mkstemp(path);
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static void put(const char *text, size_t n)
{
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void expect(struct userdb *db, const char *name, uint32_t number)
{
	struct userdb_entry u;
	assert_int_equal(userdb_next(db, &u, &e), 1);
	assert_true(str_eq_c(u.name, name));
	assert_int_equal(u.number, number);
}

static void expect_end(struct userdb *db)
{
	struct userdb_entry u;
	assert_int_equal(userdb_next(db, &u, &e), 0);
	assert_int_equal(userdb_next(db, &u, &e), 0);
}

static void reads_what_is_an_entry(void **state)
{
	(void)state;
	static const char text[] = "root:x:0:0:root:/root:/bin/bash\n"
				   "\n"
				   "# a comment\n"
				   "nobody\n"
				   "half:x\n"
				   ":x:7:7::/:\n"
				   "minus:x:-1:0::/:\n"
				   "large:x:4294967295:0::/:\n"
				   "sw-shop:!:70001:70001::/:/usr/sbin/nologin\n"
				   "adm:x:4:syslog,ann\n"
				   "last:x:5";
	struct userdb db CLEANUP_USERDB;
	put(text, sizeof(text) - 1);
	assert_int_equal(userdb_open(&db, path, &e), 0);
	expect(&db, "root", 0);
	expect(&db, "sw-shop", 70001);
	expect(&db, "adm", 4);
	expect(&db, "last", 5);
	expect_end(&db);
}

/* The beginning of a line that fits into no buffer counts, and its rest is no line of its own. */
static void reads_past_long_lines(void **state)
{
	(void)state;
	for (size_t members = 4000; members < 4200; members++) {
		char *text = NULL;
		size_t n = 0;
		FILE *f = open_memstream(&text, &n);
		assert_non_null(f);
		fputs("users:x:100:", f);
		for (size_t i = 0; i < members; i++)
			fputc('m', f);
		fputs(":x:3:\nsw-shop:x:70001:\nfew:x:8:", f);
		for (size_t i = 0; i < 3 * members; i++)
			fputc('m', f);
		assert_int_equal(fclose(f), 0);
		put(text, n);
		free(text);
		struct userdb db CLEANUP_USERDB;
		assert_int_equal(userdb_open(&db, path, &e), 0);
		expect(&db, "users", 100);
		expect(&db, "sw-shop", 70001);
		expect(&db, "few", 8);
		expect_end(&db);
	}
}

/* Who cannot read the users may not conclude that a name is free. */
static void a_failure_is_no_end(void **state)
{
	(void)state;
	struct userdb db CLEANUP_USERDB;
	struct userdb_entry u;
	assert_int_equal(userdb_open(&db, "/nonexistent/passwd", &e), -1);
	userdb_close(&db);
	assert_int_equal(userdb_open(&db, "/tmp", &e), 0);
	assert_int_equal(userdb_next(&db, &u, &e), -1);
	assert_int_equal(e.code, ERR_IO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(reads_what_is_an_entry),
	    cmocka_unit_test(reads_past_long_lines),
	    cmocka_unit_test(a_failure_is_no_end),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
