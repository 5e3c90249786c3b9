/* Lists a directory without asking for memory and without taking an error for the end: readdir(3)
 * does both. Entries that are added or removed meanwhile may or may not be seen. */
#pragma once

#include <dirent.h>
#include <stddef.h>

#define DIR_BYTES 2048u

struct dir {
	int fd;	   /* of this listing only; for openat and kin beneath it */
	int error; /* errno that ended the listing, 0 at its end */
	size_t at, n;
	_Alignas(struct dirent64) char bytes[DIR_BYTES];
};

#define CLEANUP_DIR __attribute__((cleanup(dir_close)))

/* `fd` stays the caller's and may be O_PATH. What fails here is told by d->error, and dir_next ends
 * at once. */
void dir_open(struct dir *d, int fd);
/* Takes `fd`, which is open for reading; or below 0, which fails with the caller's errno. */
void dir_take(struct dir *d, int fd);
/* The next entry but "." and "..", good until the next call; NULL at the end or on an error:
 * d->error says which. */
const struct dirent64 *dir_next(struct dir *d);
void dir_rewind(struct dir *d);
void dir_close(struct dir *d); /* may be repeated */
