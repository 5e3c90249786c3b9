#include "tree/copy.h"
#include "base/fs.h"
#include "tree/say.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 64u

struct copy {
	const struct copy_limits *limits;
	uint64_t files, bytes;
	struct stat target; /* the folder copied into, to be met nowhere below */
	struct err *e;
};

static int count(struct copy *c, uint64_t bytes)
{
	c->bytes += bytes;
	if (++c->files > c->limits->files_max)
		return say_fail(SAY_SIZE, c->e, "the folder has more than %llu files",
		    (unsigned long long)c->limits->files_max);
	if (c->bytes > c->limits->bytes_max)
		return say_fail(SAY_SIZE, c->e, "the folder is larger than %llu bytes",
		    (unsigned long long)c->limits->bytes_max);
	return 0;
}

/* By read and write, where the kernel cannot copy between the two. */
static int copy_slowly(int in, int out, struct err *e)
{
	static char part[1u << 17];
	for (;;) {
		ssize_t n = read(in, part, sizeof(part));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "could not read a file");
		if (n == 0)
			return 0;
		if (fs_write_all(out, part, (size_t)n, e))
			return -1;
	}
}

static int copy_bytes(int in, int out, uint64_t size, struct err *e)
{
	uint64_t done = 0;
	while (done < size) {
		ssize_t n = copy_file_range(in, NULL, out, NULL, (size_t)(size - done), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && done == 0 &&
		    (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
			return copy_slowly(in, out, e);
		if (n < 0)
			return err_sys(e, ERR_IO, errno, "could not copy a file");
		if (n == 0)
			return 0;
		done += (uint64_t)n;
	}
	return 0;
}

static int copy_file(struct copy *c, int from, int to, const char *name)
{
	int in CLEANUP_FD = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	if (in < 0 || fstat(in, &st) != 0)
		return errno == EACCES ? say_fail(SAY_DENIED, c->e, "cannot read '%s'", name)
				       : err_sys(c->e, ERR_IO, errno, "could not open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return say_fail(SAY_ENTRY, c->e, "'%s' changed while it was copied", name);
	if (count(c, (uint64_t)st.st_size))
		return -1;
	int out CLEANUP_FD = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    st.st_mode & 0100 ? 0755 : 0644);
	if (out < 0)
		return err_sys(c->e, ERR_IO, errno, "could not make '%s'", name);
	return copy_bytes(in, out, (uint64_t)st.st_size, c->e);
}

static int copy_link(struct copy *c, int from, int to, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(c->e, ERR_IO, errno, "could not read the link '%s'", name);
	target[n] = '\0';
	if (count(c, (uint64_t)n))
		return -1;
	if (symlinkat(target, to, name) != 0)
		return err_sys(c->e, ERR_IO, errno, "could not make the link '%s'", name);
	return 0;
}

static int copy_directory(struct copy *c, int from, int to, unsigned depth);

static int enter(struct copy *c, int from, int to, const char *name, unsigned depth)
{
	if (depth >= DEPTH_MAX)
		return say_fail(
		    SAY_ENTRY, c->e, "the tree is nested deeper than %u folders", DEPTH_MAX);
	int in CLEANUP_FD = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return errno == EACCES
			   ? say_fail(SAY_DENIED, c->e, "cannot read the folder '%s'", name)
			   : err_sys(c->e, ERR_IO, errno, "could not open '%s'", name);
	int out CLEANUP_FD = fs_dir(to, name, 0755, c->e);
	return out < 0 ? -1 : copy_directory(c, in, out, depth + 1);
}

static int copy_entry(struct copy *c, int from, int to, const char *name, unsigned depth)
{
	struct stat st;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return err_sys(c->e, ERR_IO, errno, "could not look at '%s'", name);
	if (S_ISDIR(st.st_mode))
		return enter(c, from, to, name, depth);
	if (S_ISREG(st.st_mode))
		return copy_file(c, from, to, name);
	if (S_ISLNK(st.st_mode))
		return copy_link(c, from, to, name);
	return say_fail(SAY_ENTRY, c->e, "'%s' is neither a file, a folder nor a link", name);
}

static int copy_directory(struct copy *c, int from, int to, unsigned depth)
{
	struct stat st;
	if (fstat(from, &st) == 0 && st.st_dev == c->target.st_dev && st.st_ino == c->target.st_ino)
		return say_fail(SAY_ENTRY, c->e, "the folder holds the one it is copied into");
	int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again < 0 ? NULL : fdopendir(again);
	if (!d) {
		fs_close_fd(&again);
		return err_sys(c->e, ERR_IO, errno, "could not read a folder");
	}
	int rc = 0;
	for (struct dirent *entry; rc == 0 && (entry = readdir(d));) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
		    (c->limits->skip_git && strcmp(name, ".git") == 0))
			continue;
		rc = copy_entry(c, from, to, name, depth);
	}
	closedir(d);
	return rc;
}

int copy_tree(int from, int to, const struct copy_limits *l, struct err *e)
{
	struct copy c = {.limits = l, .e = e};
	if (fstat(to, &c.target) != 0)
		return err_sys(e, ERR_IO, errno, "could not look at the target folder");
	return copy_directory(&c, from, to, 1);
}

int copy_remove(const char *path, struct err *e)
{
	char parent[4096];
	const char *slash = strrchr(path, '/');
	struct str folder = slash ? (struct str){path, (size_t)(slash - path)} : STR(".");
	if (!str_copy(folder, parent, sizeof(parent)))
		return err_set(e, ERR_TOO_LARGE, "a path is too long");
	int dir CLEANUP_FD = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 && errno == ENOENT)
		return 0;
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", parent);
	return fs_remove_tree(dir, slash ? slash + 1 : path, e);
}
