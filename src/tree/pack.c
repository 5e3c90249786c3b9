#include "tree/pack.h"
#include "base/dir.h"
#include "base/fs.h"
#include "tree/database.h"
#include "tree/dump.h"
#include "tree/say.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 128u
#define UNREADABLE_NOTED 5u
#define BLOCK_BYTES 65536u
#define NOTE_BYTES (256ull << 20)

struct pack {
	struct archive *a;
	struct archive_entry *entry;
	bool data; /* below data/, where databases are looked for */
	uint64_t files, bytes, databases, dumps, left_out, unreadable, noted;
	char copy[PATH_MAX]; /* where a database's copy goes */
	char path[PATH_MAX]; /* in the archive */
	size_t length;
	struct err *e;
};

static int fault(struct pack *p)
{
	int sys = archive_errno(p->a);
	if (sys == ENOSPC || sys == EDQUOT || sys == EFBIG)
		return say_fail(
		    SAY_SIZE, p->e, "there is no room for the archive: %s", strerror(sys));
	const char *text = archive_error_string(p->a);
	return say_fail(SAY_ARCHIVE, p->e, "the archive cannot be written at '%.300s': %.200s",
	    p->path, text ? text : "unknown");
}

static int put_header(struct pack *p, const struct stat *st, const char *target)
{
	archive_entry_set_pathname(p->entry, p->path);
	archive_entry_set_filetype(p->entry, st->st_mode & S_IFMT);
	archive_entry_set_perm(p->entry, st->st_mode & 07777);
	archive_entry_set_mtime(p->entry, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	if (target)
		archive_entry_set_symlink(p->entry, target);
	else if (S_ISREG(st->st_mode))
		archive_entry_set_size(p->entry, st->st_size);
	p->files++;
	int rc = archive_write_header(p->a, p->entry);
	archive_entry_clear(p->entry);
	return rc == ARCHIVE_OK || rc == ARCHIVE_WARN ? 0 : fault(p);
}

/* ---- a file's bytes ---- */

static int put_bytes(struct pack *p, const char *from, size_t n)
{
	while (n > 0) {
		la_ssize_t put = archive_write_data(p->a, from, n);
		if (put <= 0)
			return fault(p);
		from += put;
		n -= (size_t)put;
		p->bytes += (uint64_t)put;
	}
	if (p->bytes - p->noted >= NOTE_BYTES) {
		p->noted = p->bytes;
		say_note("%llu MB so far", (unsigned long long)(p->bytes >> 20));
	}
	return 0;
}

static int put_zeros(struct pack *p, off_t n)
{
	static const char zeros[BLOCK_BYTES];
	while (n > 0) {
		size_t part = n < (off_t)sizeof(zeros) ? (size_t)n : sizeof(zeros);
		if (put_bytes(p, zeros, part) != 0)
			return -1;
		n -= (off_t)part;
	}
	return 0;
}

/* A file that shrinks while it is read is filled up: its size was told already. */
static int put_range(struct pack *p, int fd, off_t at, off_t end)
{
	static char part[BLOCK_BYTES];
	while (at < end) {
		size_t want = end - at < (off_t)sizeof(part) ? (size_t)(end - at) : sizeof(part);
		ssize_t n = pread(fd, part, want, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(p->e, ERR_IO, errno, "could not read '%.300s'", p->path);
		if (n == 0)
			return put_zeros(p, end - at);
		if (put_bytes(p, part, (size_t)n) != 0)
			return -1;
		at += n;
	}
	return 0;
}

/* The parts that hold something; where the file system does not know, all of it. */
static bool next_part(int fd, off_t at, off_t size, off_t *ret_from, off_t *ret_to)
{
	off_t from = lseek(fd, at, SEEK_DATA);
	if (from < 0 || from >= size)
		return false;
	off_t to = lseek(fd, from, SEEK_HOLE);
	*ret_from = from;
	*ret_to = to < 0 || to > size ? size : to;
	return true;
}

static bool has_holes(int fd, off_t size)
{
	off_t hole = size > 0 ? lseek(fd, 0, SEEK_HOLE) : -1;
	return hole >= 0 && hole < size;
}

static void tell_parts(struct pack *p, int fd, off_t size)
{
	off_t from, to = 0;
	while (to < size && next_part(fd, to, size, &from, &to))
		archive_entry_sparse_add_entry(p->entry, from, to - from);
	if (archive_entry_sparse_count(p->entry) == 0)
		archive_entry_sparse_add_entry(p->entry, size, 0);
}

static int put_parts(struct pack *p, int fd, off_t size)
{
	off_t from, to = 0, at = 0;
	while (at < size && next_part(fd, at, size, &from, &to)) {
		if (put_zeros(p, from - at) != 0 || put_range(p, fd, from, to) != 0)
			return -1;
		at = to;
	}
	return put_zeros(p, size - at);
}

static int put_file(struct pack *p, int fd, const struct stat *st)
{
	bool holes = has_holes(fd, st->st_size);
	if (holes)
		tell_parts(p, fd, st->st_size);
	if (put_header(p, st, NULL) != 0)
		return -1;
	return holes ? put_parts(p, fd, st->st_size) : put_range(p, fd, 0, st->st_size);
}

/* ---- entries ---- */

/* As the database is now, with the file's own mode and time. 1: it is none after all. */
static int pack_database(struct pack *p, const struct stat *st)
{
	char from[PATH_MAX];
	int n = snprintf(from, sizeof(from), "../../%s", p->path);
	if (n < 0 || (size_t)n >= sizeof(from))
		return 1;
	int rc = database_copy(from, p->copy, p->e);
	if (rc != 0) {
		(void)unlink(p->copy);
		if (rc > 0)
			say_note("'%.300s' begins as a database and is none; it is kept as a file",
			    p->path);
		return rc;
	}
	struct stat as = *st, copied;
	CLEANUP_FD int fd = open(p->copy, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	(void)unlink(p->copy);
	if (fd < 0 || fstat(fd, &copied) != 0)
		return err_sys(p->e, ERR_IO, errno, "could not read the copy of '%.300s'", p->path);
	as.st_size = copied.st_size;
	p->databases++;
	return put_file(p, fd, &as);
}

/* What went meanwhile, or another came in its place; and what our user may not read, so that no program of the
 * project could either. */
static int passed_over(struct pack *p)
{
	if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == ENXIO)
		return 0;
	if (errno != EACCES && errno != EPERM)
		return err_sys(p->e, ERR_IO, errno, "could not read '%.300s'", p->path);
	if (++p->unreadable <= UNREADABLE_NOTED)
		say_note("the project's user may not read '%.300s'; it is left out", p->path);
	return 0;
}

static int pack_file(struct pack *p, int dir, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return passed_over(p);
	if (!S_ISREG(st.st_mode)) /* another came in its place */
		return 0;
	if (p->data && database_is_side_file(dir, name))
		return 0;
	int rc = p->data && database_is(dir, name) ? pack_database(p, &st) : 1;
	return rc > 0 ? put_file(p, fd, &st) : rc;
}

static int pack_link(struct pack *p, int dir, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
	if (n < 0)
		return errno == ENOENT ? 0
				       : err_sys(p->e, ERR_IO, errno,
					     "could not read the link '%.300s'", p->path);
	target[n] = '\0';
	return put_header(p, st, target);
}

static int pack_folder(struct pack *p, int dir, unsigned depth);

static int pack_below(struct pack *p, int dir, const char *name, unsigned depth)
{
	struct stat st;
	if (depth >= DEPTH_MAX)
		return say_fail(SAY_ENTRY, p->e, "'%.300s' is nested deeper than %u folders",
		    p->path, DEPTH_MAX);
	CLEANUP_FD int in = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0 || fstat(in, &st) != 0)
		return passed_over(p);
	return pack_folder(p, in, depth + 1) != 0 ? -1 : put_header(p, &st, NULL);
}

static int pack_entry(struct pack *p, int dir, const char *name, unsigned depth)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT
			   ? 0
			   : err_sys(p->e, ERR_IO, errno, "could not look at '%.300s'", p->path);
	if (S_ISDIR(st.st_mode))
		return pack_below(p, dir, name, depth);
	if (S_ISREG(st.st_mode))
		return pack_file(p, dir, name);
	if (S_ISLNK(st.st_mode))
		return pack_link(p, dir, name, &st);
	p->left_out++;
	return 0;
}

static int pack_folder(struct pack *p, int dir, unsigned depth)
{
	struct dir d CLEANUP_DIR;
	size_t top = p->length;
	dir_open(&d, dir);
	for (const struct dirent64 *f; (f = dir_next(&d));) {
		if (depth == 0 && strcmp(f->d_name, PACK_STAGING) == 0)
			continue;
		int n = snprintf(p->path + top, sizeof(p->path) - top, "/%s", f->d_name);
		if (n < 0 || (size_t)n >= sizeof(p->path) - top)
			return say_fail(
			    SAY_ENTRY, p->e, "a path is too long below '%.300s'", p->path);
		p->length = top + (size_t)n;
		if (pack_entry(p, d.fd, f->d_name, depth) != 0)
			return -1;
		p->length = top;
		p->path[top] = '\0';
	}
	return d.error == 0 ? 0
			    : err_sys(p->e, ERR_IO, d.error, "could not list '%.300s'", p->path);
}

static int pack_tree(struct pack *p, const char *from, const char *as)
{
	CLEANUP_FD int dir = open(from, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0
				       : err_sys(p->e, ERR_IO, errno, "could not open '%s'", from);
	p->length = (size_t)snprintf(p->path, sizeof(p->path), "%s", as);
	p->data = strcmp(as, "data") == 0;
	return pack_folder(p, dir, 0);
}

/* ---- the whole ---- */

static int no_memory(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "no memory for the archive");
}

static int begin(struct pack *p)
{
	const char *tmp = getenv("TMPDIR");
	int n = snprintf(p->copy, sizeof(p->copy), "%s/database", tmp ? tmp : "/tmp");
	if (n < 0 || (size_t)n >= sizeof(p->copy))
		return err_set(p->e, ERR_SETTINGS, "the path of the private tmp is too long");
	int zstd = archive_write_add_filter_zstd(p->a);
	if (zstd != ARCHIVE_OK || archive_write_set_format_pax(p->a) != ARCHIVE_OK ||
	    archive_write_set_options(p->a, "hdrcharset=BINARY") != ARCHIVE_OK)
		return no_memory(p->e);
	return archive_write_open_fd(p->a, STDIN_FILENO) == ARCHIVE_OK ? 0 : fault(p);
}

static int pack_dump(struct pack *p, struct str service)
{
	struct stat st;
	(void)unlink(p->copy);
	if (dump_take(service, p->copy, p->e) != 0) {
		(void)unlink(p->copy);
		return -1;
	}
	CLEANUP_FD int fd = open(p->copy, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	(void)unlink(p->copy);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(p->e, ERR_IO, errno, "could not read the dump");
	p->length = (size_t)snprintf(
	    p->path, sizeof(p->path), "services/%.*s.dump", STR_ARG(service));
	p->dumps++;
	return put_file(p, fd, &st);
}

static int pack_dumps(struct pack *p, const struct options *o)
{
	for (size_t i = 0; i < o->services_count; i++)
		if (pack_dump(p, o->services[i]) != 0)
			return -1;
	return 0;
}

static int pack_all(struct pack *p, const struct options *o, struct buf *report)
{
	if (begin(p) != 0 || pack_tree(p, PACK_DATA, "data") != 0 ||
	    pack_tree(p, ".", "release") != 0 || pack_dumps(p, o) != 0)
		return -1;
	if (archive_write_close(p->a) != ARCHIVE_OK)
		return fault(p);
	if (p->left_out > 0)
		say_note("%llu sockets, pipes or devices were left out",
		    (unsigned long long)p->left_out);
	buf_printf(report,
	    "files %llu\nbytes %llu\ndatabases %llu\ndumps %llu\nleft-out %llu\nunreadable %llu\n",
	    (unsigned long long)p->files, (unsigned long long)p->bytes,
	    (unsigned long long)p->databases, (unsigned long long)p->dumps, (unsigned long long)p->left_out,
	    (unsigned long long)p->unreadable);
	return 0;
}

int pack_project(const struct options *o, struct buf *report, struct err *e)
{
	static struct pack p;
	p = (struct pack){.a = archive_write_new(), .entry = archive_entry_new(), .e = e};
	int rc = p.a && p.entry ? pack_all(&p, o, report) : no_memory(e);
	archive_entry_free(p.entry);
	(void)archive_write_free(p.a);
	return rc;
}
