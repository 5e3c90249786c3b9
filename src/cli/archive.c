/* Chooses the files, then packs them through libarchive. */
#include "cli/archive.h"

#include "base/buf.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/mem.h"
#include "cli/git.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LIST_BYTES_MAX (64u << 20)
#define DEPTH_MAX 64
#define PATH_BYTES_MAX 4096

struct packing {
	int top;
	struct buf list; /* paths, each ended by NUL */
	size_t count;
	char **paths; /* sorted; into the list */
	struct archive *out;
	struct archive_made *made;
	struct err *e;
};

bool archive_link_inside(const char *path, const char *target)
{
	int depth = 0;
	if (target[0] == '/' || target[0] == '\0')
		return false;
	for (const char *p = path; (p = strchr(p, '/')); p++)
		depth++;
	struct str rest = str_c(target), part;
	while (str_next(&rest, '/', &part) == 1) {
		if (str_eq_c(part, ".."))
			depth--;
		else if (part.n && !str_eq_c(part, "."))
			depth++;
		if (depth < 0)
			return false;
	}
	return true;
}

static int add_path(struct packing *p, struct str path)
{
	if (path.n >= PATH_BYTES_MAX)
		return err_set(
		    p->e, ERR_TOO_LARGE, "a path is longer than %d bytes", PATH_BYTES_MAX);
	if (++p->count > LIMIT_TREE_FILES) {
		err_set(p->e, ERR_TOO_LARGE, "there are more than %u files", LIMIT_TREE_FILES);
		return err_hint(
		    p->e, "leave out what is built or installed: name it in .gitignore");
	}
	buf_put(&p->list, path.p, path.n);
	buf_char(&p->list, '\0');
	return buf_check(&p->list, "the list of files", p->e);
}

/* Everything below the directory `at` (a path, or "" for the top) but .git. */
static int walk(struct packing *p, const char *at, int depth)
{
	if (depth > DEPTH_MAX)
		return err_set(p->e, ERR_TOO_LARGE, "'%.200s' is nested too deep", at);
	int fd = fs_open_beneath(p->top, at[0] ? at : ".", O_RDONLY | O_DIRECTORY, 0);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	int rc = 0;
	if (!d) {
		rc = err_sys(p->e, ERR_IO, errno, "could not read the directory '%.200s'", at);
		fs_close_fd(&fd);
		return rc;
	}
	for (struct dirent *de; rc == 0 && (de = readdir(d));) {
		char path[PATH_BYTES_MAX];
		const char *name = de->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".git") == 0)
			continue;
		int n = snprintf(path, sizeof(path), "%s%s%s", at, at[0] ? "/" : "", name);
		if (n < 0 || (size_t)n >= sizeof(path)) {
			rc = err_set(p->e, ERR_TOO_LARGE, "a path below '%.200s' is too long", at);
		} else {
			struct stat st;
			bool dir = de->d_type == DT_DIR ||
				   (de->d_type == DT_UNKNOWN &&
				       fstatat(p->top, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
				       S_ISDIR(st.st_mode));
			rc = dir ? walk(p, path, depth + 1) : add_path(p, str_c(path));
		}
	}
	(void)closedir(d);
	return rc;
}

/* git's list: 1 taken, 0 there is none. A directory in it is a repository of its own. */
static int list_from_git(struct packing *p, const char *dir)
{
	static const char *const question[] = {
	    "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", NULL};
	CLEANUP_BUF struct buf text;
	struct str rest, path;
	buf_init(&text, LIST_BYTES_MAX);
	int rc = git_ask(dir, question, &text, p->e);
	if (rc <= 0 || text.n == 0)
		return rc < 0 ? -1 : 0;
	rest = buf_view(&text);
	while (str_next(&rest, '\0', &path) == 1) {
		char name[PATH_BYTES_MAX];
		struct stat st;
		if (str_ends(path, STR("/")))
			path.n--;
		if (path.n == 0 || !str_copy(path, name, sizeof(name)) ||
		    fstatat(p->top, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue; /* deleted, but not yet for git */
		if (S_ISDIR(st.st_mode) ? walk(p, name, 1) < 0 : add_path(p, path) < 0)
			return -1;
	}
	return 1;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_paths(struct packing *p)
{
	p->paths = mem_array(p->count + 1, sizeof(*p->paths));
	char *at = p->list.p;
	for (size_t i = 0; i < p->count; i++, at += strlen(at) + 1)
		p->paths[i] = at;
	if (p->count > 1)
		qsort(p->paths, p->count, sizeof(*p->paths), by_name);
}

/* A link may go through others; the kernel follows it all the way and never past the top. */
static bool leads_out(int top, const char *path)
{
	struct open_how how = {
	    .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	long fd = syscall(SYS_openat2, top, path, &how, sizeof(how));
	if (fd >= 0)
		(void)close((int)fd);
	return fd < 0 && (errno == EXDEV || errno == ELOOP);
}

static int write_link(struct packing *p, const char *path, struct archive_entry *entry)
{
	char target[PATH_BYTES_MAX];
	ssize_t n = readlinkat(p->top, path, target, sizeof(target));
	if (n < 0 || (size_t)n >= sizeof(target))
		return err_sys(p->e, ERR_IO, errno, "could not read the link '%.200s'", path);
	target[n] = '\0';
	if (!archive_link_inside(path, target) || leads_out(p->top, path)) {
		err_set(p->e, ERR_INVALID,
		    "the link '%.150s' points out of the directory, to '%.150s'", path, target);
		return err_hint(p->e, "copy what it points to, or name the link in .gitignore");
	}
	archive_entry_set_symlink(entry, target);
	if (archive_write_header(p->out, entry) != ARCHIVE_OK)
		return err_set(p->e, ERR_IO, "could not pack '%.200s': %.100s", path,
		    archive_error_string(p->out));
	return 0;
}

static int write_file(struct packing *p, const char *path, struct archive_entry *entry)
{
	struct stat st;
	char part[64 << 10];
	int fd CLEANUP_FD = fs_open_beneath(p->top, path, O_RDONLY | O_NONBLOCK, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(p->e, ERR_IO, errno, "could not read '%.200s'", path);
	p->made->tree_bytes += (uint64_t)st.st_size;
	if (p->made->tree_bytes > LIMIT_TREE_BYTES)
		return err_set(p->e, ERR_TOO_LARGE, "the files are larger than %llu GB together",
		    LIMIT_TREE_BYTES >> 30);
	archive_entry_set_size(entry, st.st_size);
	if (archive_write_header(p->out, entry) != ARCHIVE_OK)
		return err_set(p->e, ERR_IO, "could not pack '%.200s': %.100s", path,
		    archive_error_string(p->out));
	for (off_t left = st.st_size; left > 0;) {
		size_t want = left < (off_t)sizeof(part) ? (size_t)left : sizeof(part);
		ssize_t n = read(fd, part, want);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(p->e, ERR_IO, "'%.200s' changed while it was packed", path);
		if (archive_write_data(p->out, part, (size_t)n) < 0)
			return err_set(p->e, ERR_IO, "could not pack '%.200s': %.100s", path,
			    archive_error_string(p->out));
		left -= n;
	}
	return 0;
}

static int write_entry(struct packing *p, const char *path)
{
	struct stat st;
	if (fstatat(p->top, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT
			   ? 0
			   : err_sys(p->e, ERR_IO, errno, "could not read '%.200s'", path);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
		p->made->skipped++;
		return 0;
	}
	struct archive_entry *entry = archive_entry_new();
	if (!entry)
		return err_set(p->e, ERR_INTERNAL, "there is no memory");
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, S_ISREG(st.st_mode) ? AE_IFREG : AE_IFLNK);
	archive_entry_set_perm(
	    entry, S_ISREG(st.st_mode) ? (st.st_mode & 0111 ? 0755 : 0644) : 0777);
	archive_entry_set_mtime(entry, st.st_mtim.tv_sec, 0);
	int rc = S_ISREG(st.st_mode) ? write_file(p, path, entry) : write_link(p, path, entry);
	archive_entry_free(entry);
	p->made->files++;
	return rc;
}

static int temporary(struct err *e)
{
	char path[PATH_BYTES_MAX];
	const char *dir = getenv("TMPDIR");
	if (!dir || dir[0] != '/')
		dir = "/tmp";
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	(void)snprintf(path, sizeof(path), "%s/slipway-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return err_sys(
		    e, ERR_IO, errno, "could not make a temporary file in '%.200s'", dir);
	(void)unlink(path);
	return fd;
}

static int pack(struct packing *p)
{
	struct stat st;
	p->out = archive_write_new();
	if (!p->out || archive_write_set_format_pax_restricted(p->out) != ARCHIVE_OK ||
	    archive_write_add_filter_gzip(p->out) != ARCHIVE_OK ||
	    archive_write_set_options(p->out, "gzip:compression-level=6,gzip:!timestamp") <
		ARCHIVE_WARN ||
	    archive_write_open_fd(p->out, p->made->fd) != ARCHIVE_OK)
		return err_set(p->e, ERR_INTERNAL, "libarchive cannot write a tar.gz");
	for (size_t i = 0; i < p->count; i++) {
		if (write_entry(p, p->paths[i]) < 0)
			return -1;
		if ((uint64_t)archive_filter_bytes(p->out, -1) > LIMIT_ARCHIVE_BYTES)
			break;
	}
	if (archive_write_close(p->out) != ARCHIVE_OK)
		return err_set(p->e, ERR_IO, "could not write the archive: %.200s",
		    archive_error_string(p->out));
	if (fstat(p->made->fd, &st) < 0 || lseek(p->made->fd, 0, SEEK_SET) < 0)
		return err_sys(p->e, ERR_IO, errno, "could not read the archive again");
	p->made->bytes = st.st_size;
	if ((uint64_t)st.st_size > LIMIT_ARCHIVE_BYTES) {
		err_set(p->e, ERR_TOO_LARGE, "the archive is larger than %llu MB",
		    LIMIT_ARCHIVE_BYTES >> 20);
		return err_hint(
		    p->e, "leave out what is built or installed: name it in .gitignore");
	}
	return 0;
}

int archive_make(const char *dir, struct archive_made *ret, struct err *e)
{
	struct packing p = {.made = ret, .e = e};
	*ret = (struct archive_made){.fd = -1};
	buf_init(&p.list, LIST_BYTES_MAX);
	p.top = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p.top < 0)
		return err_sys(e, ERR_USAGE, errno, "cannot open the directory '%.200s'", dir);
	int rc = list_from_git(&p, dir);
	ret->ignored = rc == 1;
	/* Nothing: no work tree, or one that ignores this directory, which then is meant whole. */
	if (rc >= 0 && p.count == 0)
		rc = walk(&p, "", 0);
	if (rc >= 0 && p.count == 0)
		rc = err_set(e, ERR_INVALID, "there are no files in '%.200s'", dir);
	if (rc >= 0) {
		sort_paths(&p);
		ret->fd = temporary(e);
		rc = ret->fd < 0 ? -1 : pack(&p);
	}
	if (rc < 0)
		fs_close_fd(&ret->fd);
	if (p.out)
		(void)archive_write_free(p.out);
	mem_free_ptr(&p.paths);
	buf_fini(&p.list);
	(void)close(p.top);
	return rc < 0 ? -1 : 0;
}
