#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

void dir_take(struct dir *d, int fd)
{
	d->fd = fd;
	d->error = fd < 0 ? errno : 0;
	d->at = d->n = 0;
}

void dir_open(struct dir *d, int fd)
{
	if (fd < 0)
		errno = EBADF;
	dir_take(d, fd < 0 ? -1 : openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

const struct dirent64 *dir_next(struct dir *d)
{
	while (d->error == 0) {
		if (d->at == d->n) {
			ssize_t n = getdents64(d->fd, d->bytes, sizeof(d->bytes));
			d->error = n < 0 ? errno : 0;
			d->at = 0;
			d->n = n < 0 ? 0 : (size_t)n;
			if (n <= 0)
				return NULL;
		}
		const struct dirent64 *entry = (const void *)(d->bytes + d->at);
		d->at += entry->d_reclen;
		if (!is_dots(entry->d_name))
			return entry;
	}
	return NULL;
}

void dir_rewind(struct dir *d)
{
	d->at = d->n = 0;
	if (d->error == 0 && lseek(d->fd, 0, SEEK_SET) != 0)
		d->error = errno;
}

void dir_close(struct dir *d)
{
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}
