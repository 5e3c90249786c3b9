/* Files, by directory descriptor. Every descriptor is close-on-exec from birth. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/stat.h>

#define CLEANUP_FD __attribute__((cleanup(fs_close_fd)))
void fs_close_fd(int *fd); /* closes when >= 0 and sets -1 */

/* The one way a file is written: temporary in the same directory, write, fsync, rename, fsync the
 * directory. Durable on return. `name` is one path component. */
int fs_write_atomic(
    int dir, const char *name, const void *p, size_t n, mode_t mode, struct err *e) WARN_UNUSED;
/* Reads a regular file (never through a link in the last component) of at most buf's max. */
int fs_read(int dir, const char *name, struct buf *into, struct err *e) WARN_UNUSED;
int fs_write_all(int fd, const void *p, size_t n, struct err *e) WARN_UNUSED;
/* mkdir, or accept an existing directory; opens it without following links; returns the descriptor
 * or -1. */
int fs_dir(int dir, const char *name, mode_t mode, struct err *e) WARN_UNUSED;
/* All components of an absolute or relative path; 0 or -1. */
int fs_mkdirs(const char *path, mode_t mode, struct err *e) WARN_UNUSED;
/* openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: the descriptor or -1
 * with errno. */
int fs_open_beneath(int dir, const char *path, int flags, mode_t mode) WARN_UNUSED;
/* An entry of a directory as it stands there (O_PATH): a link itself, not what it points at; EXDEV
 * where something is mounted on it. The descriptor or -1 with errno. */
int fs_open_entry(int dir, const char *name) WARN_UNUSED;
/* Replaces the symbolic link dir/name by one that points at `target`, with one rename(2), then
 * syncs dir. */
int fs_link_swap(int dir, const char *name, const char *target, struct err *e) WARN_UNUSED;
/* Removes dir/name and all below without following links or crossing into other file systems.
 * Absent is success. Directories of our own that are closed to us are opened first. As deep as it
 * may be. */
int fs_remove_tree(int dir, const char *name, struct err *e) WARN_UNUSED;
/* The directory that `path` (O_PATH will do) is, open for listing and emptying: when it is our own
 * and closed to us it gets rwx for us first; nobody else's is touched. -1 with errno. */
int fs_open_to_empty(int path) WARN_UNUSED;
/* A sealed, read-only memory file holding the bytes (memfd, F_SEAL_*); the descriptor or -1. */
int fs_memfd(const char *label, const void *p, size_t n, struct err *e) WARN_UNUSED;
