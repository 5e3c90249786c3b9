#include "store/segment.h"

#include "base/dir.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* So that a sync of the journal's never waits long behind them. */
#define ZEROS_BYTES (256u << 10)

void segment_name(uint32_t number, char out[SEGMENT_NAME_SIZE])
{
	(void)snprintf(out, SEGMENT_NAME_SIZE, "%08u", number);
}

static char *aligned(size_t n)
{
	void *p = NULL;
	if (posix_memalign(&p, RECORD_BLOCK_BYTES, n) != 0)
		abort();
	return memset(p, 0, n);
}

/* Some file systems (tmpfs of older kernels) know no O_DIRECT. */
static int open_direct(int dir, const char *name, int flags)
{
	int fd = io_get()->openat(dir, name, flags | O_DIRECT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 && errno == EINVAL)
		fd = io_get()->openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd;
}

static ssize_t read_at(int fd, void *p, size_t n, uint64_t at)
{
	size_t got = 0;
	while (got < n) {
		ssize_t r = io_get()->pread(fd, (char *)p + got, n - got, (off_t)(at + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -1 : (ssize_t)got;
		got += (size_t)r;
		if (got % RECORD_BLOCK_BYTES != 0)
			break; /* the file's end: O_DIRECT would refuse to go on from here */
	}
	return (ssize_t)got;
}

/* Both blocks; one that the disk cannot read is left as zeros, and the other one is its copy. */
static ssize_t read_heads(int fd, char *blocks)
{
	ssize_t n = read_at(fd, blocks, SEGMENT_RECORDS_AT, 0);
	if (n >= 0 || errno != EIO)
		return n;
	memset(blocks, 0, SEGMENT_RECORDS_AT);
	for (uint64_t at = 0; at < SEGMENT_RECORDS_AT; at += RECORD_BLOCK_BYTES)
		if (read_at(fd, blocks + at, RECORD_BLOCK_BYTES, at) < 0) {
			if (errno != EIO)
				return -1;
			memset(blocks + at, 0, RECORD_BLOCK_BYTES);
		}
	return SEGMENT_RECORDS_AT;
}

int segment_open(int dir, uint32_t number, struct segment_head *ret, struct err *e)
{
	char name[SEGMENT_NAME_SIZE];
	segment_name(number, name);
	int fd = open_direct(dir, name, O_RDWR);
	if (fd < 0)
		return errno == ENOENT
			   ? err_set(e, ERR_NOT_FOUND, "the journal has no segment %s", name)
			   : err_sys(e, ERR_IO, errno, "could not open segment %s", name);
	char *blocks = aligned(SEGMENT_RECORDS_AT);
	ssize_t n = read_heads(fd, blocks);
	int rc = n < 0 ? err_sys(e, ERR_IO, errno, "could not read segment %s", name)
		 : n < (ssize_t)SEGMENT_RECORDS_AT
		     ? err_set(e, ERR_INVALID, "segment %s is cut short", name)
		     : segment_unpack((const uint8_t *)blocks, ret, e);
	if (rc != 0 && n == (ssize_t)SEGMENT_RECORDS_AT)
		rc = segment_unpack((const uint8_t *)blocks + RECORD_BLOCK_BYTES, ret, e);
	if (rc == 0 && ret->number != number)
		rc = err_set(e, ERR_INVALID, "segment %s says that it is another", name);
	free(blocks);
	if (rc == 0)
		return fd;
	(void)io_get()->close(fd);
	return err_prefix(e, "the journal");
}

static int write_at(int fd, const char *p, size_t n, uint64_t at)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = io_get()->pwrite(fd, p + done, n - done, (off_t)(at + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return -1;
		done += (size_t)r;
	}
	return 0;
}

static int fill(int fd, const struct segment_head *h)
{
	char *zeros = aligned(ZEROS_BYTES);
	int rc = 0;
	for (uint64_t at = 0; rc == 0 && at < h->size_bytes; at += ZEROS_BYTES) {
		uint64_t left = h->size_bytes - at;
		if (at == 0) {
			segment_pack(h, (uint8_t *)zeros);
			segment_pack(h, (uint8_t *)zeros + RECORD_BLOCK_BYTES);
		}
		rc = write_at(fd, zeros, left < ZEROS_BYTES ? (size_t)left : ZEROS_BYTES, at);
		if (at == 0)
			memset(zeros, 0, SEGMENT_RECORDS_AT);
	}
	int sys = errno;
	free(zeros);
	errno = sys;
	return rc == 0 ? io_get()->fsync(fd) : -1;
}

/* The directory entry too. */
static int publish(int dir, const char *temporary, const char *name)
{
	if (io_get()->renameat(dir, temporary, dir, name) != 0)
		return -1;
	return io_get()->fsync(dir);
}

static int make(int dir, const char *temporary, const char *name, const struct segment_head *h)
{
	(void)io_get()->unlinkat(dir, temporary, 0);
	int fd = open_direct(dir, temporary, O_RDWR | O_CREAT | O_EXCL);
	if (fd < 0)
		return -1;
	int rc = fill(fd, h), sys = errno;
	(void)io_get()->close(fd);
	errno = sys;
	return rc == 0 ? publish(dir, temporary, name) : -1;
}

/* Looked at before, because who fills the disk to see whether there is room takes it from all others meanwhile. Where nobody can
 * say, the writing will. */
static bool has_room(int dir, uint64_t bytes)
{
	struct statvfs fs;
	return io_get()->fstatvfs(dir, &fs) != 0 || fs.f_frsize == 0 ||
	       fs.f_bavail >= (bytes + fs.f_frsize - 1) / fs.f_frsize;
}

int segment_make(int dir, uint32_t number, uint64_t size_bytes, uint64_t spare_bytes, struct err *e)
{
	char name[SEGMENT_NAME_SIZE], temporary[SEGMENT_NAME_SIZE + 4];
	struct segment_head h = {.number = number, .size_bytes = size_bytes};
	rand_bytes(&h.salt, sizeof(h.salt));
	segment_name(number, name);
	(void)snprintf(temporary, sizeof(temporary), "%s.new", name);
	bool room = has_room(dir, size_bytes + spare_bytes);
	if (room && make(dir, temporary, name, &h) == 0)
		return 0;
	int sys = room ? errno : ENOSPC;
	/* A file that could not be synced is never used. */
	(void)io_get()->unlinkat(dir, temporary, 0);
	(void)io_get()->unlinkat(dir, name, 0);
	err_sys(e, ERR_IO, sys, "could not make segment %s of the journal", name);
	return err_hint(e, "free some space on the disk that holds the journal");
}

int segment_remove(int dir, uint32_t number, struct err *e)
{
	char name[SEGMENT_NAME_SIZE];
	segment_name(number, name);
	if (io_get()->unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	return err_sys(e, ERR_IO, errno, "could not remove segment %s of the journal", name);
}

/* 0: it is not the name of a segment. */
static uint32_t number_of(const char *name)
{
	char same[SEGMENT_NAME_SIZE];
	uint64_t n;
	if (!num_u64(str_c(name + strspn(name, "0")), 1, UINT32_MAX, &n))
		return 0;
	segment_name((uint32_t)n, same);
	return strcmp(name, same) == 0 ? (uint32_t)n : 0;
}

uint32_t segment_lowest(int dir)
{
	struct dir d;
	const struct dirent64 *entry;
	uint32_t lowest = 0;
	dir_open(&d, dir);
	while ((entry = dir_next(&d))) {
		uint32_t n = number_of(entry->d_name);
		if (n && (!lowest || n < lowest))
			lowest = n;
	}
	dir_close(&d);
	return lowest;
}
