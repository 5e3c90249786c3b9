/* A disk with little room left: base/io.h over a real one, whose free space a test says; for test_journal.c. */
#pragma once

#include <sys/statvfs.h>

static struct {
	_Atomic int64_t free, least; /* bytes; the least there ever were */
	atomic_uint fills;	     /* files that were begun */
	bool untold;		     /* a quota, of which fstatvfs knows nothing */
} room;

static void room_take(int64_t bytes)
{
	int64_t now = atomic_fetch_sub(&room.free, bytes) - bytes;
	if (now < atomic_load(&room.least))
		atomic_store(&room.least, now);
}

static void room_set(int64_t bytes)
{
	atomic_store(&room.free, bytes);
	atomic_store(&room.least, bytes);
	atomic_store(&room.fills, 0);
}

static ssize_t room_pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	off_t more = at + (off_t)n - st.st_size;
	if (more > 0 && atomic_load(&room.free) < more) {
		room_take(atomic_load(&room.free)); /* what does fit is written first */
		return errno = ENOSPC, -1;
	}
	if (more > 0)
		room_take(more);
	return pwrite(fd, p, n, at);
}

static int room_openat(int at, const char *name, int flags, mode_t mode)
{
	if (flags & O_EXCL)
		atomic_fetch_add(&room.fills, 1);
	return openat(at, name, flags, mode);
}

static int room_unlinkat(int at, const char *name, int flags)
{
	struct stat st;
	if (fstatat(at, name, &st, 0) == 0)
		atomic_fetch_add(&room.free, st.st_size);
	return unlinkat(at, name, flags);
}

static int room_fstatvfs(int fd, struct statvfs *ret)
{
	int rc = fstatvfs(fd, ret);
	ret->f_frsize = 1024;
	ret->f_bavail = room.untold ? 1u << 30 : (fsblkcnt_t)atomic_load(&room.free) / 1024;
	ret->f_bfree = ret->f_bavail + 4096; /* root's own */
	return rc;
}

static void room_use(int64_t bytes, bool untold)
{
	static struct io io;
	room_set(bytes);
	room.untold = untold;
	io = io_real;
	io.pwrite = room_pwrite;
	io.openat = room_openat;
	io.unlinkat = room_unlinkat;
	io.fstatvfs = room_fstatvfs;
	io_set(&io);
}

/* Small ones, each a group of 4 KiB, from number *n on; the code of the last. */
static enum err_code write_small(struct journal *j, unsigned *n, unsigned many)
{
	struct err e;
	struct one o = {0};
	sem_t told;
	sem_init(&told, 0, 0);
	for (unsigned i = 0; i < many; i++, ++*n) {
		told_later(&o, *n, &told);
		o.en.body = (struct str){bodies + *n, 1000};
		assert_int_equal(journal_append(j, &o.en, &e), 0);
		journal_go(j);
		sem_wait(&told);
	}
	sem_destroy(&told);
	return o.code;
}

/* Nothing is written to see whether there is room, somewhat stays free, and a small segment is taken where no large one fits. */
static void test_little_room(void **state)
{
	(void)state;
	struct err e = {0};
	unsigned n = 1;
	fresh("little");
	room_use(556 << 10, false);
	struct journal *j = open_at(&nothing, &e);
	room_set(300 << 10); /* for one of 256 KiB, and nobody waits for it */
	assert_int_equal(write_small(j, &n, 40), ERR_NONE);
	usleep(100000);
	assert_int_equal(atomic_load(&room.fills), 0);
	assert_int_equal(write_small(j, &n, 40), ERR_NO_SPACE); /* too little is left to others */
	assert_int_equal(atomic_load(&room.fills), 0);
	assert_int_equal(atomic_load(&room.least), 300 << 10);
	room_set(330 << 10);
	usleep(250000);
	assert_int_equal(write_small(j, &n, 20), ERR_NONE);
	assert_int_equal(atomic_load(&room.fills), 1);
	assert_int_equal(atomic_load(&room.least), 74 << 10);
	journal_close(j);
	io_set(NULL);
}

/* Where the disk is full without a word before it is filled once, not again and again. */
static void test_room_that_nobody_tells(void **state)
{
	(void)state;
	struct err e = {0};
	unsigned n = 1;
	fresh("untold");
	room_use(256 << 10, true);
	struct journal *j = open_at(&nothing, &e);
	room_set(200 << 10);
	assert_int_equal(write_small(j, &n, 20), ERR_NONE);
	for (unsigned i = 0; i < 24; i++) {
		usleep(50000);
		assert_int_equal(write_small(j, &n, 1), ERR_NONE);
	}
	assert_in_range(atomic_load(&room.fills), 1, 2); /* a large one, a small one */
	room_set(300 << 10);
	assert_int_equal(write_small(j, &n, 40), ERR_NONE); /* who waits asks at once */
	assert_in_range(atomic_load(&room.fills), 1, 2);
	journal_close(j);
	io_set(NULL);
}
