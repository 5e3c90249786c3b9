#include "base/fs.h"
#include "base/dir.h"
#include "base/hex.h"
#include "base/io.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_STEP_BYTES 65536u
#define TEMP_SIZE 32
#define DEPTH_MAX 64 /* folders open at once */
#define PASSES_MAX 16

void fs_close_fd(int *fd)
{
	if (*fd >= 0)
		io_get()->close(*fd);
	*fd = -1;
}

static bool is_component(const char *name)
{
	return name[0] != '\0' && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0 && strlen(name) <= NAME_MAX;
}

static int not_component(const char *name, struct err *e)
{
	return err_set(e, ERR_INVALID, "'%s' is not one path component", name);
}

/* What a crash leaves behind is recognised by ".tmp-". */
static void temp_name(char out[TEMP_SIZE])
{
	uint8_t r[8];
	rand_bytes(r, sizeof(r));
	memcpy(out, ".tmp-", 5);
	hex_encode(r, sizeof(r), out + 5);
}

/* Makes the entries of dir durable. dir may be AT_FDCWD or a path descriptor, hence the open. */
static int sync_dir(int dir, struct err *e)
{
	CLEANUP_FD int fd = io_get()->openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open the directory to sync it");
	/* EINVAL: a file system that has nothing to sync for directories */
	if (io_get()->fsync(fd) != 0 && errno != EINVAL)
		return err_sys(e, ERR_IO, errno, "could not sync the directory");
	return 0;
}

int fs_write_all(int fd, const void *p, size_t n, struct err *e)
{
	const char *from = p;
	while (n > 0) {
		ssize_t put = io_get()->write(fd, from, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_sys(e, ERR_IO, put < 0 ? errno : EIO, "could not write");
		from += put;
		n -= (size_t)put;
	}
	return 0;
}

static int write_temp(
    int dir, const char *temp, const void *p, size_t n, mode_t mode, struct err *e)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	CLEANUP_FD int fd = io_get()->openat(dir, temp, flags, mode & 0700);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not create a file");
	if (fs_write_all(fd, p, n, e) != 0)
		return -1;
	/* not left to the umask */
	if (fchmod(fd, mode) != 0)
		return err_sys(e, ERR_IO, errno, "could not set the mode");
	if (io_get()->fsync(fd) != 0)
		return err_sys(e, ERR_IO, errno, "could not sync");
	return 0;
}

int fs_write_atomic(int dir, const char *name, const void *p, size_t n, mode_t mode, struct err *e)
{
	if (!is_component(name))
		return not_component(name, e);
	char temp[TEMP_SIZE];
	temp_name(temp);
	int rc = write_temp(dir, temp, p, n, mode, e);
	if (rc == 0 && io_get()->renameat(dir, temp, dir, name) != 0)
		rc = err_sys(e, ERR_IO, errno, "could not rename");
	if (rc != 0)
		(void)io_get()->unlinkat(dir, temp, 0);
	else
		rc = sync_dir(dir, e);
	return rc == 0 ? 0 : err_prefix(e, "'%s'", name);
}

static int read_rest(int fd, const char *name, struct buf *into, struct err *e)
{
	for (;;) {
		char probe = 0;
		size_t left = into->max - into->n,
		       step = left < READ_STEP_BYTES ? left : READ_STEP_BYTES;
		/* With the buffer exactly full one more byte tells whether the file ends here. */
		char *to = left ? buf_reserve(into, step) : &probe;
		if (!to)
			return buf_check(into, name, e);
		ssize_t got = io_get()->read(fd, to, left ? step : 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(e, ERR_IO, errno, "could not read '%s'", name);
		if (got == 0)
			return 0;
		if (left == 0) {
			into->full = true;
			return buf_check(into, name, e);
		}
		buf_commit(into, (size_t)got);
	}
}

int fs_read(int dir, const char *name, struct buf *into, struct err *e)
{
	/* O_NONBLOCK: a FIFO put there by somebody must not hold us; it has no effect on regular
	 * files. */
	int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	CLEANUP_FD int fd = io_get()->openat(dir, name, flags, 0);
	if (fd < 0)
		return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
		    "could not open '%s'", name);
	struct stat st;
	if (fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not examine '%s'", name);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INVALID, "'%s' is not a regular file", name);
	/* One allocation of the right size: growing would leave pieces of a secret in the heap. */
	if (st.st_size < 0 || !buf_reserve(into, (size_t)st.st_size))
		return buf_check(into, name, e);
	return read_rest(fd, name, into, e);
}

int fs_dir(int dir, const char *name, mode_t mode, struct err *e)
{
	bool made = mkdirat(dir, name, mode) == 0;
	if (!made && errno != EEXIST)
		return err_sys(e, ERR_IO, errno, "could not create directory '%s'", name);
	int fd = io_get()->openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open directory '%s'", name);
	if (!made)
		return fd;
	if (fchmod(fd, mode) != 0) {
		err_sys(e, ERR_IO, errno, "could not set the mode of '%s'", name);
		fs_close_fd(&fd);
	} else if (strchr(name, '/') == NULL && sync_dir(dir, e) != 0) {
		err_prefix(e, "'%s'", name);
		fs_close_fd(&fd);
	}
	return fd;
}

/* Makes one component below *dir, which then becomes the new directory. */
static int mkdirs_step(int *dir, const char *name, mode_t mode, struct err *e)
{
	bool made = mkdirat(*dir, name, mode) == 0;
	if (!made && errno != EEXIST)
		return err_sys(e, ERR_IO, errno, "could not create directory '%s'", name);
	if (made && sync_dir(*dir, e) != 0)
		return -1;
	/* O_PATH: folders on the way need not be readable */
	int next = openat(*dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (next < 0)
		return err_sys(e, ERR_IO, errno, "could not open directory '%s'", name);
	fs_close_fd(dir);
	*dir = next;
	return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *e)
{
	CLEANUP_FD int dir = open(path[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(
		    e, ERR_IO, errno, "could not open the first directory of '%s'", path);
	struct str rest = str_c(path), part;
	if (rest.n == 0)
		return err_set(e, ERR_INVALID, "path is empty");
	while (str_next(&rest, '/', &part)) {
		char name[NAME_MAX + 1];
		if (part.n == 0 || str_eq_c(part, "."))
			continue;
		if (!str_copy(part, name, sizeof(name)))
			return err_set(
			    e, ERR_INVALID, "'%s' has a component that is too long", path);
		if (mkdirs_step(&dir, name, mode, e) != 0)
			return err_prefix(e, "'%s'", path);
	}
	return 0;
}

static int open_resolved(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	bool makes = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
	struct open_how how = {
	    .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
	    .mode = makes ? mode : 0,
	    .resolve = resolve,
	};
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

int fs_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
	return open_resolved(
	    dir, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

int fs_open_entry(int dir, const char *name)
{
	return open_resolved(dir, name, O_PATH | O_NOFOLLOW, 0,
	    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV);
}

int fs_link_swap(int dir, const char *name, const char *target, struct err *e)
{
	if (!is_component(name))
		return not_component(name, e);
	char temp[TEMP_SIZE];
	temp_name(temp);
	if (symlinkat(target, dir, temp) != 0)
		return err_sys(e, ERR_IO, errno, "could not create a link for '%s'", name);
	if (io_get()->renameat(dir, temp, dir, name) != 0) {
		err_sys(e, ERR_IO, errno, "could not rename the link '%s'", name);
		(void)io_get()->unlinkat(dir, temp, 0);
		return -1;
	}
	return sync_dir(dir, e) == 0 ? 0 : err_prefix(e, "'%s'", name);
}

int fs_memfd(const char *label, const void *p, size_t n, struct err *e)
{
	int fd = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not create memory file '%s'", label);
	int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	if (fs_write_all(fd, p, n, e) != 0) {
		err_prefix(e, "memory file '%s'", label);
	} else if (lseek(fd, 0, SEEK_SET) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		err_sys(e, ERR_IO, errno, "could not seal memory file '%s'", label);
	} else {
		return fd;
	}
	fs_close_fd(&fd);
	return -1;
}

int fs_open_to_empty(int path)
{
	struct stat st;
	if (fstat(path, &st) != 0)
		return -1;
	if ((st.st_mode & 0700) != 0700 && st.st_uid == geteuid()) {
		char self[40];
		snprintf(self, sizeof(self), "/proc/self/fd/%d", path);
		if (chmod(self, 0700) != 0)
			return -1;
	}
	return openat(path, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A unit with RestrictSUIDSGID= has no openat2. Of one component, which a name is here, O_NOFOLLOW says
 * the same, but for what is mounted there: that is looked at. */
static int open_without_openat2(int dir, const char *name)
{
	struct statx above, x;
	CLEANUP_FD int fd = openat(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || statx(dir, "", AT_EMPTY_PATH, STATX_MNT_ID, &above) != 0 ||
	    statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) != 0)
		return -1;
	if (!(above.stx_mask & x.stx_mask & STATX_MNT_ID)) {
		errno = ENOSYS;
		return -1;
	}
	if (above.stx_mnt_id != x.stx_mnt_id) {
		errno = EXDEV;
		return -1;
	}
	int ret = fd;
	fd = -1;
	return ret;
}

static int open_to_empty(int dir, const char *name)
{
	uint64_t resolve =
	    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV;
	CLEANUP_FD int path =
	    open_resolved(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, resolve);
	if (path < 0 && errno == ENOSYS)
		path = open_without_openat2(dir, name);
	return path < 0 ? -1 : fs_open_to_empty(path);
}

/* What lies deeper than we go at once is moved up, below the tree's top, and is met there in the
 * next pass: no tree is too deep to go. */
struct removal {
	int top; /* -1: not opened yet */
	unsigned moved;
};

static int remove_entry(
    struct removal *r, int dir, const char *name, unsigned depth, struct err *e);

/* One pass over the entries; *ret_seen counts them. */
static int empty_pass(
    struct removal *r, struct dir *d, unsigned depth, size_t *ret_seen, struct err *e)
{
	*ret_seen = 0;
	dir_rewind(d);
	for (const struct dirent64 *entry; (entry = dir_next(d)); ++*ret_seen)
		if (remove_entry(r, d->fd, entry->d_name, depth, e) != 0)
			return -1;
	return d->error == 0 ? 0 : err_sys(e, ERR_IO, d->error, "could not list a directory");
}

static int empty_dir(struct removal *r, int fd, unsigned depth, struct err *e)
{
	struct dir d CLEANUP_DIR;
	dir_take(&d, fd);
	/* Removing while listing may skip entries on some file systems: again until nothing is
	 * left. */
	size_t seen = 1;
	int rc = 0;
	unsigned moved = 0;
	for (int pass = 0; rc == 0 && seen > 0 && (pass < PASSES_MAX || r->moved != moved);
	     pass++) {
		moved = r->moved;
		rc = empty_pass(r, &d, depth, &seen, e);
	}
	return rc;
}

static int move_up(struct removal *r, int dir, const char *name, int fd, struct err *e)
{
	char up[TEMP_SIZE];
	fs_close_fd(&fd); /* open, so it is no longer closed to us, and can be moved */
	temp_name(up);
	if (io_get()->renameat(dir, name, r->top, up) != 0)
		return err_sys(e, ERR_IO, errno, "could not move '%s' up", name);
	r->moved++;
	return 0;
}

static int remove_entry(struct removal *r, int dir, const char *name, unsigned depth, struct err *e)
{
	const struct io *io = io_get();
	if (io->unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* POSIX says EPERM, Linux EISDIR when the name is a directory. */
	if (errno != EISDIR && errno != EPERM)
		return err_sys(e, ERR_IO, errno, "could not remove '%s'", name);
	int fd = open_to_empty(dir, name);
	if (fd < 0)
		return errno == EXDEV
			   ? err_set(e, ERR_CONFLICT, "'%s' is on another file system", name)
			   : err_sys(e, ERR_IO, errno, "could not open '%s' to empty it", name);
	if (depth >= DEPTH_MAX)
		return move_up(r, dir, name, fd, e);
	if (r->top < 0)
		r->top = fd;
	if (empty_dir(r, fd, depth + 1, e) != 0)
		return err_prefix(e, "'%s'", name);
	if (io->unlinkat(dir, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not remove directory '%s'", name);
	return 0;
}

int fs_remove_tree(int dir, const char *name, struct err *e)
{
	struct removal r = {.top = -1};
	if (!is_component(name))
		return not_component(name, e);
	return remove_entry(&r, dir, name, 0, e);
}
