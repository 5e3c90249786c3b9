/* rooms: base store */
/* A small disk that is full, really: what is kept free for that, and what the store says. */
#include "store/reserve.h"

#include "base/fs.h"
#include "store/store.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

static char top[64], reserve[96], filler[96], base[96];
static bool mounted;
static unsigned told;

static int setup(void **state)
{
	(void)state;
	snprintf(top, sizeof(top), "/tmp/slipway-reserve-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	snprintf(reserve, sizeof(reserve), "%s/reserve", top);
	snprintf(filler, sizeof(filler), "%s/filler", top);
	snprintf(base, sizeof(base), "%s/base.db", top);
	mounted = mount("tmpfs", top, "tmpfs", 0, "size=8m,mode=700") == 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (mounted)
		(void)umount2(top, MNT_DETACH);
	return rmdir(top);
}

static uint64_t free_bytes(void)
{
	struct statvfs fs;
	assert_int_equal(statvfs(top, &fs), 0);
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

static uint64_t size_of_reserve(void)
{
	struct stat st;
	return stat(reserve, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

/* All but so much. */
static void fill(uint64_t but)
{
	CLEANUP_FD int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fallocate(fd, 0, 0, (off_t)(free_bytes() - but)), 0);
}

static void it_leaves_the_half(void **state)
{
	(void)state;
	if (!mounted)
		skip();
	uint64_t all = free_bytes();
	assert_true(reserve_make(reserve));
	assert_true(size_of_reserve() <= all / 2 && size_of_reserve() >= all / 2 - 4096);
	assert_false(reserve_give_below(reserve, free_bytes()));
	assert_true(reserve_give_below(reserve, free_bytes() + 1));
	assert_false(reserve_give_below(reserve, UINT64_MAX));
	assert_int_equal(size_of_reserve(), 0);
	fill((2u << 20) - 4096);
	assert_false(reserve_make(reserve));
	assert_false(reserve_give(reserve));
	assert_int_equal(unlink(filler), 0);
	/* One that was cut is made whole; one that is whole stays. */
	close(open(reserve, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_true(reserve_make(reserve));
	assert_true(size_of_reserve() >= all / 2 - 4096);
	assert_true(reserve_give(reserve));
	assert_false(reserve_give(reserve));
	assert_int_equal(free_bytes(), all);
}

static int unit_make(void *ctx, struct store_db *db, struct err *e)
{
	(void)ctx;
	return store_script(db, "CREATE TABLE IF NOT EXISTS a(b @blob) @strict", e);
}

static int unit_add(void *ctx, struct store_db *db, struct err *e)
{
	static char big[300000];
	struct store_stmt *q = store_prepare(db, "INSERT INTO a(b) VALUES ($b)", e);
	(void)ctx;
	if (!q)
		return -1;
	store_bind_blob(q, "$b", (struct str){big, sizeof(big)});
	return store_exec(q, e);
}

static void on_full(void *ctx)
{
	told++;
	assert_true(reserve_give(ctx));
}

static void the_store_asks_for_it(void **state)
{
	(void)state;
	if (!mounted)
		skip();
	const struct store_options o = {
	    .path = base, .readers = 1, .full = on_full, .full_ctx = reserve};
	struct err e = {0};
	struct store *s = store_open(&o, &e);
	assert_non_null(s);
	assert_int_equal(store_write(s, unit_make, NULL, &e), 0);
	assert_true(reserve_make(reserve));
	fill(0);
	assert_int_equal(store_write(s, unit_add, NULL, &e), -1);
	assert_int_equal(e.code, ERR_NO_SPACE);
	assert_int_equal(told, 1);
	assert_int_equal(store_write(s, unit_add, NULL, &e), 0);
	store_close(s);
	assert_int_equal(unlink(filler), 0);
	/* What readers and the writer share cannot be made: no I/O error, a full disk. */
	fill(0);
	assert_null(store_open(&o, &e));
	assert_int_equal(e.code, ERR_NO_SPACE);
	assert_int_equal(unlink(filler), 0);
	s = store_open(&o, &e);
	assert_non_null(s);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_leaves_the_half),
	    cmocka_unit_test(the_store_asks_for_it),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
