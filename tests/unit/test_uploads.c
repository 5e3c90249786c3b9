/* rooms: base loop crypto text store model queue access source priv render launch run outbound
 * notify edge observe kinds deploy */
/* Uploads in the spool: which goes when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fs.h"
#include "deploy/uploads.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEX "00112233445566778899aabbccddeeff"
#define NOW_MS 1800000000000

static char spool[64];
static int dir = -1;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(spool, sizeof(spool), "/tmp/slipway-uploads-XXXXXX");
	dir = mkdtemp(spool) ? open(spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return dir < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	CLEANUP_FD int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fs_close_fd(&dir);
	return fs_remove_tree(tmp, spool + 5, &e);
}

static void put(const char *name, int64_t age_ms)
{
	CLEANUP_FD int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const struct timespec at = {.tv_sec = (NOW_MS - age_ms) / 1000};
	assert_true(fd >= 0);
	assert_int_equal(futimens(fd, (const struct timespec[]){at, at}), 0);
}

static bool is_there(const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void the_old_ones_go(void **state)
{
	(void)state;
	size_t removed, left;
	put("1-" HEX ".tar", UPLOADS_KEPT_MS - 60000);
	put("1-" HEX ".part", 60000);
	put("12-" HEX ".tar", 0);
	put("1-00.tar", UPLOADS_KEPT_MS + 60000);
	put("1-00.part", UPLOADS_KEPT_MS + 60000);
	put("other", 10 * UPLOADS_KEPT_MS);
	assert_int_equal(uploads_tidy(spool, NOW_MS, false, 1, &removed, &left, &e), 0);
	assert_int_equal(removed, 2);
	assert_int_equal(left, 1);
	assert_true(is_there("1-" HEX ".part") && is_there("other"));
	/* Before anybody can write, whoever wrote is gone. */
	assert_int_equal(uploads_tidy(spool, NOW_MS, true, 12, &removed, &left, &e), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(left, 1);
	assert_false(is_there("1-" HEX ".part"));
}

static void one_goes(void **state)
{
	(void)state;
	put("1-" HEX ".tar", 0);
	put("victim.tar", 0);
	/* Of another project, of no shape. */
	assert_int_equal(uploads_drop(spool, 2, STR("1-" HEX), &e), 0);
	assert_int_equal(uploads_drop(spool, 1, STR("victim"), &e), 0);
	assert_int_equal(uploads_drop(spool, 1, STR("1-../victim"), &e), 0);
	assert_true(is_there("1-" HEX ".tar") && is_there("victim.tar"));
	assert_int_equal(uploads_drop(spool, 1, STR("1-" HEX), &e), 0);
	assert_false(is_there("1-" HEX ".tar"));
	assert_int_equal(uploads_drop(spool, 1, STR("1-" HEX), &e), 0);
	assert_int_equal(uploads_drop("/nowhere", 1, STR("1-" HEX), &e), -1);
}

static void all_of_a_project_go(void **state)
{
	(void)state;
	put("1-" HEX ".tar", 0);
	put("1-" HEX ".part", 0);
	put("12-" HEX ".tar", 0);
	assert_int_equal(uploads_clear(spool, 1, &e), 0);
	assert_false(is_there("1-" HEX ".tar") || is_there("1-" HEX ".part"));
	assert_true(is_there("12-" HEX ".tar") && is_there("victim.tar"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(the_old_ones_go),
	    cmocka_unit_test(one_goes),
	    cmocka_unit_test(all_of_a_project_go),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
