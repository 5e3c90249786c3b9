#include "tree/unpack.h"
#include "base/fs.h"
#include "base/name.h"
#include "tree/say.h"
#include "tree/scan.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 65536u

struct unpack {
	struct archive *a;
	int into;
	uint64_t files, bytes, files_max, bytes_max;
	struct err *e;
};

/* The entry's name below the folder: no leading "./", no final '/'; false when it is the folder
 * itself. */
static int clean_name(struct unpack *u, const char *raw, char *out, size_t size)
{
	struct str s = str_c(raw), part, rest;
	while (str_starts(s, STR("./")))
		s = str_from(s, 2);
	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	if (s.n == 0 || str_eq_c(s, "."))
		return 0;
	struct err why;
	if (name_subpath(s, &why) || !str_copy(s, out, size))
		return say_fail(SAY_ENTRY, u->e,
		    "the archive holds a name that is not allowed: %.300s", why.msg);
	for (rest = s; str_next(&rest, '/', &part);)
		if (str_eq_nocase(part, STR(".git")))
			return say_fail(SAY_ENTRY, u->e,
			    "the archive holds an entry named '.git': '%.200s'", out);
	return 1;
}

/* Opens the folder that `name` stands in, making it; *ret_last is the last component. No link is
 * followed. */
static int open_parent(struct unpack *u, const char *name, const char **ret_last)
{
	int dir = openat(u->into, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0) {
		const char *slash = strchr(name, '/');
		*ret_last = name;
		if (!slash)
			return dir;
		char part[256];
		if (!str_copy((struct str){name, (size_t)(slash - name)}, part, sizeof(part)))
			part[0] = '\0';
		int next = fs_dir(dir, part, 0755, u->e);
		fs_close_fd(&dir);
		dir = next;
		name = slash + 1;
	}
	return -1;
}

static int archive_fault(struct unpack *u)
{
	const char *text = archive_error_string(u->a);
	return say_fail(
	    SAY_ARCHIVE, u->e, "the archive cannot be read: %.300s", text ? text : "unknown");
}

static int too_large(struct unpack *u)
{
	return say_fail(SAY_SIZE, u->e, "the archive holds more than %llu bytes",
	    (unsigned long long)u->bytes_max);
}

static int write_file(struct unpack *u, int dir, const char *name, mode_t mode)
{
	char part[BLOCK_BYTES];
	(void)unlinkat(dir, name, 0); /* a name that comes twice: the last one counts */
	int out CLEANUP_FD = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	    mode & 0100 ? 0755 : 0644);
	if (out < 0)
		return err_sys(u->e, ERR_IO, errno, "could not make '%s'", name);
	for (;;) {
		la_ssize_t n = archive_read_data(u->a, part, sizeof(part));
		if (n < 0)
			return archive_fault(u);
		if (n == 0)
			return 0;
		u->bytes += (uint64_t)n;
		if (u->bytes > u->bytes_max)
			return too_large(u);
		if (fs_write_all(out, part, (size_t)n, u->e))
			return -1;
	}
}

static int write_link(
    struct unpack *u, int dir, const char *last, const char *name, const char *target)
{
	if (!target || !*target)
		return say_fail(SAY_ARCHIVE, u->e, "the link '%.200s' has no target", name);
	if (scan_link_leads_out(name, target))
		return say_fail(SAY_LINK, u->e,
		    "the link '%.200s' points out of the tree, to '%.200s'", name, target);
	(void)unlinkat(dir, last, 0);
	if (symlinkat(target, dir, last) != 0)
		return err_sys(u->e, ERR_IO, errno, "could not make the link '%s'", last);
	return 0;
}

/* A second name of a file that the archive has brought already. */
static int write_hard_link(struct unpack *u, int dir, const char *last, const char *raw_target)
{
	char target[1100];
	const char *target_last;
	int rc = clean_name(u, raw_target, target, sizeof(target));
	if (rc <= 0)
		return rc < 0 ? -1
			      : say_fail(SAY_LINK, u->e,
				    "'%.200s' is a second name of the folder itself", last);
	int from CLEANUP_FD = open_parent(u, target, &target_last);
	struct stat st;
	if (from < 0)
		return -1;
	if (fstatat(from, target_last, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return say_fail(SAY_LINK, u->e,
		    "'%.200s' is a second name of '%.200s', which is no file of the archive", last,
		    target);
	(void)unlinkat(dir, last, 0);
	if (linkat(from, target_last, dir, last, 0) != 0)
		return err_sys(u->e, ERR_IO, errno, "could not make '%s'", last);
	return 0;
}

static int write_entry(struct unpack *u, struct archive_entry *entry, const char *name)
{
	const char *last, *hard = archive_entry_hardlink(entry);
	mode_t type = archive_entry_filetype(entry);
	int dir CLEANUP_FD = open_parent(u, name, &last);
	if (dir < 0)
		return -1;
	if (hard)
		return write_hard_link(u, dir, last, hard);
	if (type == AE_IFREG)
		return write_file(u, dir, last, archive_entry_perm(entry));
	if (type == AE_IFLNK)
		return write_link(u, dir, last, name, archive_entry_symlink(entry));
	if (type != AE_IFDIR)
		return say_fail(
		    SAY_ENTRY, u->e, "'%.200s' is neither a file, a folder nor a link", name);
	int made CLEANUP_FD = fs_dir(dir, last, 0755, u->e);
	return made < 0 ? -1 : 0;
}

static int unpack_entry(struct unpack *u, struct archive_entry *entry)
{
	char name[1100];
	const char *raw = archive_entry_pathname(entry);
	if (!raw)
		return say_fail(SAY_ENTRY, u->e, "the archive holds a name that cannot be read");
	if (++u->files > u->files_max)
		return say_fail(SAY_SIZE, u->e, "the archive has more than %llu entries",
		    (unsigned long long)u->files_max);
	if (archive_entry_size(entry) > 0 && (uint64_t)archive_entry_size(entry) > u->bytes_max)
		return too_large(u);
	int rc = clean_name(u, raw, name, sizeof(name));
	return rc <= 0 ? rc : write_entry(u, entry, name);
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "no memory for the archive");
}

/* Which of them there is no memory for is not found out by itself: each would be passed over. */
static bool formats_set(struct archive *a)
{
	return archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
	       archive_read_support_filter_bzip2(a) == ARCHIVE_OK &&
	       archive_read_support_filter_xz(a) == ARCHIVE_OK &&
	       archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
	       archive_read_support_format_tar(a) == ARCHIVE_OK &&
	       archive_read_support_format_gnutar(a) == ARCHIVE_OK &&
	       archive_read_support_format_zip_streamable(a) == ARCHIVE_OK;
}

/* `entry` is ours: the library does not look whether it had memory for its own. */
static int unpack_all(struct unpack *u, int fd, struct archive_entry *entry)
{
	if (!formats_set(u->a))
		return no_memory(u->e);
	if (archive_read_open_fd(u->a, fd, BLOCK_BYTES) != ARCHIVE_OK)
		return archive_fault(u);
	for (;;) {
		int rc = archive_read_next_header2(u->a, entry);
		if (rc == ARCHIVE_EOF)
			return u->files ? 0 : say_fail(SAY_ARCHIVE, u->e, "the archive is empty");
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return archive_fault(u);
		if (unpack_entry(u, entry))
			return -1;
	}
}

int unpack_archive(int fd, int into, uint64_t files_max, uint64_t bytes_max, struct err *e)
{
	struct unpack u = {.a = archive_read_new(),
	    .into = into,
	    .files_max = files_max,
	    .bytes_max = bytes_max,
	    .e = e};
	struct archive_entry *entry = u.a ? archive_entry_new2(u.a) : NULL;
	int rc = entry ? unpack_all(&u, fd, entry) : no_memory(e);
	archive_entry_free(entry);
	archive_read_free(u.a);
	return rc;
}
