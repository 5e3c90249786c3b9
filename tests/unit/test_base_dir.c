/* rooms: base */
/* Listing a directory: every entry once, through more than one buffer; an error is no end. */
#include "base/dir.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define ENTRIES 200u

static char top_path[64];
static int top = -1;

static void entry_name(unsigned i, char out[64])
{
	snprintf(out, 64, "an-entry-whose-name-is-not-short-%03u", i);
}

static int setup(void **state)
{
	(void)state;
	char name[64];
	snprintf(top_path, sizeof(top_path), "/tmp/slipway-dir-XXXXXX");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (unsigned i = 0; i < ENTRIES; i++) {
		entry_name(i, name);
		if (mkdirat(top, name, 0700) != 0)
			return -1;
	}
	return top >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	struct err e;
	fs_close_fd(&top);
	CLEANUP_FD int tmp = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fs_remove_tree(tmp, strrchr(top_path, '/') + 1, &e);
}

/* How often each was seen; anything else counts as a failure. */
static void count_all(struct dir *d, unsigned seen[ENTRIES])
{
	char name[64];
	for (const struct dirent64 *entry; (entry = dir_next(d));) {
		unsigned long i =
		    strtoul(entry->d_name + strlen("an-entry-whose-name-is-not-short-"), NULL, 10);
		assert_true(i < ENTRIES);
		entry_name((unsigned)i, name);
		assert_string_equal(entry->d_name, name);
		seen[i]++;
	}
	assert_int_equal(d->error, 0);
	assert_null(dir_next(d));
}

static void every_entry_once(void **state)
{
	(void)state;
	unsigned seen[ENTRIES] = {0};
	struct dir d CLEANUP_DIR;
	dir_open(&d, top);
	count_all(&d, seen);
	dir_rewind(&d);
	count_all(&d, seen);
	for (unsigned i = 0; i < ENTRIES; i++)
		assert_int_equal(seen[i], 2);
	assert_true(fcntl(top, F_GETFD) >= 0);
	assert_true(fcntl(d.fd, F_GETFD) & FD_CLOEXEC);
}

static void an_error_is_no_end(void **state)
{
	(void)state;
	struct dir d CLEANUP_DIR;
	dir_open(&d, -1);
	assert_null(dir_next(&d));
	assert_int_equal(d.error, EBADF);
	dir_take(&d, open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	assert_null(dir_next(&d));
	assert_int_equal(d.error, ENOTDIR);
	dir_close(&d);
	dir_close(&d);
	errno = EMFILE;
	dir_take(&d, -1);
	dir_rewind(&d);
	assert_null(dir_next(&d));
	assert_int_equal(d.error, EMFILE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_entry_once),
	    cmocka_unit_test(an_error_is_no_end),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
