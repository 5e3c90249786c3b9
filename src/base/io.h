/* What touches the world: clock, random and durable file operations. Everything that must survive a
 * crash goes through the current table, so the simulator and the fault sweeps can stand in its place. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/statvfs.h>
#include <sys/types.h>

struct io {
	int64_t (*mono_us)(void);
	int64_t (*wall_ms)(void);
	void (*random)(void *p, size_t n); /* never fails: aborts when the kernel has none */
	int (*openat)(int dir, const char *name, int flags, mode_t mode);
	ssize_t (*read)(int fd, void *p, size_t n);
	ssize_t (*write)(int fd, const void *p, size_t n);
	int (*fsync)(int fd);
	ssize_t (*pread)(int fd, void *p, size_t n, off_t at);
	ssize_t (*pwrite)(int fd, const void *p, size_t n, off_t at);
	int (*fdatasync)(int fd);
	int (*close)(int fd);
	int (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
	int (*unlinkat)(int dir, const char *name, int flags);
	int (*fstatvfs)(int fd, struct statvfs *ret);
};

extern const struct io io_real;
const struct io *io_get(void);
void io_set(const struct io *io); /* before threads start; NULL gives io_real back */
