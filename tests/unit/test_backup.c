/* rooms: base text crypto store model backup */
/* Archives of projects: what opens them, what is refused, and the shelf on which they lie. */
#include "backup/archive.h"
#include "backup/shelf.h"
#include "base/fs.h"
#include "base/mem.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define HEADER "{\"project\":\"shop\",\"number\":7,\"until_ms\":5000,\"reason\":\"destroy\"}"
#define SETTINGS "{\"secret\":\"hush\"}"

static char top_path[64];
static int top = -1;
static struct seal_key *key, *other_key;
static struct err e;

static int setup(void **state)
{
	(void)state;
	snprintf(top_path, sizeof(top_path), "/tmp/slipway-backup-XXXXXX");
	if (!mkdtemp(top_path))
		return -1;
	top = open(top_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	key = seal_key_load(top, "key", &e);
	other_key = seal_key_load(top, "other", &e);
	return top < 0 || !key || !other_key ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	seal_key_free(key);
	seal_key_free(other_key);
	fs_close_fd(&top);
	int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = fs_remove_tree(tmp, top_path + 5, &e);
	fs_close_fd(&tmp);
	return rc;
}

static int memory(const char *label)
{
	int fd = memfd_create(label, MFD_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* An archive whose files are `n` bytes of a pattern. */
static int make(size_t n, const char *passphrase)
{
	CLEANUP_BUF struct buf sealed, wrapped;
	buf_init(&sealed, 512);
	buf_init(&wrapped, 512);
	CLEANUP_FD int files = memory("files");
	char *p = mem_alloc(n + 1);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 7 + i / 251);
	assert_int_equal(fs_write_all(files, p, n, &e), 0);
	mem_free_ptr(&p);
	assert_int_equal(backup_key_make(key, str_c(passphrase), &sealed, &wrapped, &e), 0);
	const struct backup_source s = {.seal = key,
	    .slots = {buf_view(&sealed), buf_view(&wrapped)},
	    .header = STR(HEADER),
	    .settings = STR(SETTINGS),
	    .files = files};
	int fd = memory("archive");
	assert_int_equal(backup_write(fd, &s, &e), 0);
	return fd;
}

static int reads(int fd, const struct seal_key *by, const char *passphrase, int files)
{
	const struct backup_opening o = {
	    .seal = by, .passphrase = str_c(passphrase), .files = files};
	CLEANUP_BUF struct buf header, settings;
	buf_init(&header, BACKUP_HEADER_MAX);
	buf_init(&settings, BACKUP_SETTINGS_MAX);
	int rc = backup_read(fd, &o, &header, &settings, &e);
	if (rc == 0) {
		assert_true(str_eq_c(buf_view(&header), HEADER));
		assert_true(str_eq_c(buf_view(&settings), SETTINGS));
	} else {
		assert_int_equal(settings.n, 0);
	}
	return rc;
}

/* Around the ends of pieces: the first holds the settings too. */
static void what_goes_in_comes_out(void **state)
{
	(void)state;
	const size_t first = BACKUP_PIECE_BYTES - 4 - strlen(SETTINGS);
	const size_t sizes[] = {0, 1, first - 1, first, first + 1, first + BACKUP_PIECE_BYTES - 1,
	    first + BACKUP_PIECE_BYTES, 3 * BACKUP_PIECE_BYTES + 17};
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		CLEANUP_FD int fd = make(sizes[i], ""), out = memory("out");
		assert_int_equal(reads(fd, key, "", out), 0);
		struct stat st;
		assert_int_equal(fstat(out, &st), 0);
		assert_int_equal(st.st_size, sizes[i]);
		char *p = mem_alloc(sizes[i] + 1);
		assert_int_equal(pread(out, p, sizes[i], 0), sizes[i]);
		for (size_t k = 0; k < sizes[i]; k++)
			assert_int_equal(p[k], (char)(k * 7 + k / 251));
		mem_free_ptr(&p);
	}
}

static void only_who_may_opens_it(void **state)
{
	(void)state;
	CLEANUP_FD int fd = make(100, "correct horse");
	assert_int_equal(reads(fd, key, "", -1), 0);
	assert_int_equal(reads(fd, other_key, "", -1), -1);
	assert_int_equal(e.code, ERR_FORBIDDEN);
	assert_int_equal(reads(fd, other_key, "correct horse", -1), 0);
	assert_int_equal(reads(fd, other_key, "correct house", -1), -1);
	assert_non_null(strstr(e.msg, "passphrase"));
	CLEANUP_FD int plain = make(100, "");
	assert_int_equal(reads(plain, other_key, "correct horse", -1), -1);
	assert_non_null(strstr(e.msg, "without a passphrase"));
}

static void secrets_do_not_stand_in_it(void **state)
{
	(void)state;
	CLEANUP_FD int fd = make(5000, "correct horse");
	char all[16384];
	ssize_t n = pread(fd, all, sizeof(all), 0);
	assert_true(n > 5000);
	assert_non_null(memmem(all, (size_t)n, "shop", 4));
	assert_null(memmem(all, (size_t)n, "hush", 4));
	assert_null(memmem(all, (size_t)n, "horse", 5));
}

/* All of them, the header's and the slots' too. */
static void every_changed_byte_is_noticed(void **state)
{
	(void)state;
	CLEANUP_FD int fd = make(40, "");
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	for (off_t i = 0; i < st.st_size; i++) {
		uint8_t was, is;
		assert_int_equal(pread(fd, &was, 1, i), 1);
		is = was ^ (uint8_t)(1u << (i % 8));
		assert_int_equal(pwrite(fd, &is, 1, i), 1);
		if (reads(fd, key, "", -1) == 0)
			fail_msg("byte %lld of %lld", (long long)i, (long long)st.st_size);
		assert_int_equal(pwrite(fd, &was, 1, i), 1);
	}
	assert_int_equal(reads(fd, key, "", -1), 0);
}

static void what_was_cut_or_added_is_noticed(void **state)
{
	(void)state;
	const size_t n = 2 * BACKUP_PIECE_BYTES;
	struct stat st;
	CLEANUP_FD int fd = make(n, "");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), st.st_size);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(reads(fd, key, "", -1), -1);
	assert_int_equal(ftruncate(fd, st.st_size), 0);
	assert_int_equal(reads(fd, key, "", -1), 0);
	/* Behind a last piece that is full. */
	CLEANUP_FD int full = make(2 * BACKUP_PIECE_BYTES - 4 - strlen(SETTINGS), "");
	assert_int_equal(reads(full, key, "", -1), 0);
	assert_true(lseek(full, 0, SEEK_END) > 0);
	assert_int_equal(write(full, "x", 1), 1);
	assert_int_equal(reads(full, key, "", -1), -1);
	/* At the end of each piece, and everywhere in the last ones. */
	const off_t piece = BACKUP_PIECE_BYTES + STREAM_EXTRA_BYTES;
	off_t stream = st.st_size % piece,
	      cuts[] = {st.st_size - 1, st.st_size - 17, st.st_size - 18, piece + stream,
		  piece + stream - 1, stream, stream - 1, 30, 1, 0};
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		CLEANUP_FD int again = make(n, "");
		if (cuts[i] < 0 || cuts[i] >= st.st_size)
			continue;
		assert_int_equal(ftruncate(again, cuts[i]), 0);
		assert_int_equal(reads(again, key, "", -1), -1);
	}
}

/* A whole number of pieces, the last one missing: only its mark of being the last tells. */
static void a_last_piece_that_is_missing_is_noticed(void **state)
{
	(void)state;
	const size_t first = BACKUP_PIECE_BYTES - 4 - strlen(SETTINGS);
	struct stat st;
	CLEANUP_FD int fd = make(first + BACKUP_PIECE_BYTES, "");
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(
	    ftruncate(fd, st.st_size - (off_t)(BACKUP_PIECE_BYTES + STREAM_EXTRA_BYTES)), 0);
	assert_int_equal(reads(fd, key, "", -1), -1);
	assert_non_null(strstr(e.msg, "cut off"));
}

static void a_passphrase_becomes_this_servers_key(void **state)
{
	(void)state;
	CLEANUP_FD int fd = make(70000, "correct horse"), taken = memory("taken");
	assert_int_equal(backup_rekey(fd, taken, other_key, STR("wrong horse"), &e), -1);
	assert_int_equal(ftruncate(taken, 0), 0);
	assert_int_equal(backup_rekey(fd, taken, other_key, STR("correct horse"), &e), 0);
	assert_int_equal(reads(taken, other_key, "", -1), 0);
	assert_int_equal(reads(taken, key, "", -1), -1);
	assert_int_equal(reads(taken, other_key, "correct horse", -1), -1);
}

static void one_that_is_stopped_ends(void **state)
{
	(void)state;
	CLEANUP_FD int fd = make(70000, "");
	atomic_bool stop = true;
	const struct backup_opening o = {.seal = key, .stop = &stop, .files = -1};
	CLEANUP_BUF struct buf header, settings;
	buf_init(&header, BACKUP_HEADER_MAX);
	buf_init(&settings, BACKUP_SETTINGS_MAX);
	assert_int_equal(backup_read(fd, &o, &header, &settings, &e), -1);
	assert_int_equal(e.code, ERR_CANCELLED);
}

/* ---- the shelf ---- */

static void put_on(int64_t project, int64_t now_ms, struct shelf_new *n)
{
	CLEANUP_FD int made = make(10, "");
	char all[4096];
	assert_int_equal(shelf_begin(top_path, project, now_ms, n, &e), 0);
	ssize_t size = pread(made, all, sizeof(all), 0);
	assert_int_equal(fs_write_all(n->fd, all, (size_t)size, &e), 0);
	assert_int_equal(shelf_keep(n, &e), 0);
}

static void the_shelf_knows_whose_they_are(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct shelf_new older, newer, another;
	struct shelf_items all;
	struct shelf_item one;
	arena_init(&a, 8u << 20);
	put_on(7, 1000000, &older);
	put_on(7, 2000000, &newer);
	put_on(8, 1500000, &another);
	assert_int_equal(shelf_list(top_path, 7, &a, &all, &e), 0);
	assert_int_equal(all.n, 2);
	assert_true(str_eq_c(all.v[0].id, newer.id) && str_eq_c(all.v[1].id, older.id));
	assert_int_equal(shelf_list(top_path, 9, &a, &all, &e), 0);
	assert_int_equal(all.n, 0);
	assert_int_equal(shelf_find(top_path, 8, str_c(newer.id), &a, &one, &e), 0);
	assert_int_equal(shelf_find(top_path, 7, str_c(newer.id), &a, &one, &e), 1);
	/* The header says that it was destroyed as project 7: the other folder's is a copy. */
	assert_int_equal(shelf_list(top_path, 0, &a, &all, &e), 0);
	assert_int_equal(all.n, 2);
	char copy[SHELF_ID_SIZE];
	assert_int_equal(shelf_copy(top_path, 7, str_c(newer.id), 9, 2000000, copy, &e), 0);
	assert_int_equal(shelf_find(top_path, 9, str_c(copy), &a, &one, &e), 1);
	assert_int_equal(shelf_remove(top_path, 7, str_c(newer.id), &e), 0);
	assert_int_equal(shelf_remove(top_path, 7, str_c(newer.id), &e), -1);
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(shelf_find(top_path, 9, str_c(copy), &a, &one, &e), 1);
}

static void names_that_lead_elsewhere_are_none(void **state)
{
	(void)state;
	static const char *const names[] = {"../../key", "key", "", ".", "..",
	    "20261126T202408Z-1a2b3", "20261126T202408Z-1a2b3g", "20261126T202408Z-1a2b3c/",
	    "20261126T202408Z-1a2b3c4", "20261126t202408z-1a2b3c"};
	CLEANUP_FD int fd = openat(top, "stray.backup", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(shelf_open(top_path, 7, STR("../stray"), &e), -1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(shelf_open(top_path, 7, str_c(names[i]), &e), -1);
		assert_int_equal(e.code, ERR_NOT_FOUND);
		assert_int_equal(shelf_remove(top_path, 7, str_c(names[i]), &e), -1);
	}
}

static void what_is_over_goes(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct shelf_items all;
	struct shelf_new begun;
	size_t removed;
	arena_init(&a, 8u << 20);
	assert_int_equal(shelf_begin(top_path, 20, 1000, &begun, &e), 0);
	fs_close_fd(&begun.fd);
	fs_close_fd(&begun.dir);
	assert_int_equal(shelf_tidy(top_path, 4999, false, &removed, &e), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(shelf_tidy(top_path, 5000, true, &removed, &e), 0);
	assert_true(removed >= 3);
	assert_int_equal(shelf_list(top_path, 0, &a, &all, &e), 0);
	assert_int_equal(all.n, 0);
	assert_int_equal(faccessat(top, "p20", F_OK, 0), -1); /* its half file, and the folder */
	assert_int_equal(faccessat(top, "key", F_OK, 0), 0);
}

static void a_project_has_so_many(void **state)
{
	(void)state;
	struct shelf_new n;
	for (unsigned i = 0; i < SHELF_PER_PROJECT; i++)
		put_on(30, 1000, &n);
	assert_int_equal(shelf_begin(top_path, 30, 1000, &n, &e), -1);
	assert_int_equal(e.code, ERR_CONFLICT);
}

static void what_was_destroyed_leaves_what_is_kept_of_it(void **state)
{
	(void)state;
	struct arena a CLEANUP_ARENA;
	struct shelf_items all;
	struct shelf_new kept, made, begun;
	int64_t highest;
	arena_init(&a, 8u << 20);
	put_on(7, 1000000, &kept);
	/* Its header names another: what was taken in. */
	put_on(40, 1000000, &made);
	for (int64_t n = 7; n <= 40; n += 33) {
		assert_int_equal(shelf_begin(top_path, n, 1000, &begun, &e), 0);
		fs_close_fd(&begun.fd);
		fs_close_fd(&begun.dir);
		assert_int_equal(shelf_clear(top_path, n, true, &e), 0);
		assert_int_equal(shelf_list(top_path, n, &a, &all, &e), 0);
		assert_int_equal(all.n, n == 7);
	}
	assert_int_equal(faccessat(top, "p40", F_OK, 0), -1);
	assert_int_equal(shelf_highest(top_path, &highest, &e), 0);
	assert_int_equal(highest, 30);
	assert_int_equal(shelf_clear(top_path, 7, false, &e), 0);
	assert_int_equal(faccessat(top, "p7", F_OK, 0), -1);
	assert_int_equal(shelf_clear(top_path, 7, false, &e), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_goes_in_comes_out),
	    cmocka_unit_test(only_who_may_opens_it),
	    cmocka_unit_test(secrets_do_not_stand_in_it),
	    cmocka_unit_test(every_changed_byte_is_noticed),
	    cmocka_unit_test(what_was_cut_or_added_is_noticed),
	    cmocka_unit_test(a_last_piece_that_is_missing_is_noticed),
	    cmocka_unit_test(a_passphrase_becomes_this_servers_key),
	    cmocka_unit_test(one_that_is_stopped_ends),
	    cmocka_unit_test(the_shelf_knows_whose_they_are),
	    cmocka_unit_test(names_that_lead_elsewhere_are_none),
	    cmocka_unit_test(what_is_over_goes),
	    cmocka_unit_test(a_project_has_so_many),
	    cmocka_unit_test(what_was_destroyed_leaves_what_is_kept_of_it),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
