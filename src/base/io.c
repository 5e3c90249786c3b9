#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static struct timespec now(clockid_t clock)
{
	struct timespec t;
	if (clock_gettime(clock, &t) != 0)
		abort();
	return t;
}

static int64_t real_mono_us(void)
{
	struct timespec t = now(CLOCK_MONOTONIC);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t real_wall_ms(void)
{
	struct timespec t = now(CLOCK_REALTIME);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void real_random(void *p, size_t n)
{
	char *to = p;
	while (n > 0) {
		ssize_t got = getrandom(to, n, 0);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort();
		to += got;
		n -= (size_t)got;
	}
}

static int real_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags, mode);
}

const struct io io_real = {
    .mono_us = real_mono_us,
    .wall_ms = real_wall_ms,
    .random = real_random,
    .openat = real_openat,
    .read = read,
    .write = write,
    .fsync = fsync,
    .pread = pread,
    .pwrite = pwrite,
    .fdatasync = fdatasync,
    .close = close,
    .renameat = renameat,
    .unlinkat = unlinkat,
    .fstatvfs = fstatvfs,
};

static const struct io *current = &io_real;

const struct io *io_get(void)
{
	return current;
}

void io_set(const struct io *io)
{
	current = io ? io : &io_real;
}
