#include "tree/place.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/name.h"
#include "tree/dump.h"
#include "tree/pack.h"
#include "tree/say.h"
#include "tree/script.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK_BYTES 65536u
#define HOLE_BYTES 4096u

/* ---- unpacking ---- */

struct place {
	struct archive *a;
	struct str prefix; /* "data/": the rest is passed over */
	int into;
	struct err *e;
};

static int fault(struct place *p)
{
	const char *text = archive_error_string(p->a);
	return say_fail(
	    SAY_ARCHIVE, p->e, "the archive cannot be read: %.300s", text ? text : "unknown");
}

static int cannot(struct place *p, const char *name)
{
	int sys = errno;
	if (sys == ENOSPC || sys == EDQUOT)
		return say_fail(
		    SAY_SIZE, p->e, "there is no room for '%.300s': %s", name, strerror(sys));
	return err_sys(p->e, ERR_IO, sys, "could not make '%.300s'", name);
}

/* The folder that `name` stands in, made when it is absent; *ret_last is the last component. No link is
 * followed. */
static int open_parent(struct place *p, const char *name, const char **ret_last)
{
	int dir = openat(p->into, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	while (dir >= 0) {
		const char *slash = strchr(name, '/');
		char part[NAME_MAX + 1];
		*ret_last = name;
		if (!slash)
			return dir;
		int next = -1;
		if (!str_copy((struct str){name, (size_t)(slash - name)}, part, sizeof(part)) ||
		    part[0] == '\0' || strcmp(part, ".") == 0 || strcmp(part, "..") == 0)
			errno = EINVAL;
		else if (mkdirat(dir, part, 0700) == 0 || errno == EEXIST)
			next = openat(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		int sys = errno;
		fs_close_fd(&dir);
		errno = sys;
		dir = next;
		name = slash + 1;
	}
	return cannot(p, name);
}

static struct timespec time_of(struct archive_entry *entry)
{
	return (struct timespec){
	    .tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry)};
}

static int set_facts(struct place *p, int fd, struct archive_entry *entry, mode_t allowed)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry)};
	if (fchmod(fd, archive_entry_perm(entry) & allowed) != 0 || futimens(fd, times) != 0)
		return cannot(p, archive_entry_pathname(entry));
	return 0;
}

/* Left out of the file, it reads the same and takes no room. */
static bool is_hole(const char *from, size_t n)
{
	return n >= HOLE_BYTES && from[0] == '\0' && memcmp(from, from + 1, n - 1) == 0;
}

static int write_block(
    struct place *p, int fd, const char *from, size_t n, off_t at, const char *name)
{
	while (n > 0 && !is_hole(from, n)) {
		ssize_t put = pwrite(fd, from, n, at);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return cannot(p, name);
		from += put;
		at += put;
		n -= (size_t)put;
	}
	return 0;
}

static int write_file(struct place *p, int dir, const char *last, struct archive_entry *entry)
{
	CLEANUP_FD int fd =
	    openat(dir, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return cannot(p, archive_entry_pathname(entry));
	for (;;) {
		const void *block;
		size_t n;
		la_int64_t at;
		int rc = archive_read_data_block(p->a, &block, &n, &at);
		if (rc == ARCHIVE_EOF)
			break;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return fault(p);
		if (write_block(p, fd, block, n, at, archive_entry_pathname(entry)) != 0)
			return -1;
	}
	if (ftruncate(fd, archive_entry_size(entry)) != 0)
		return cannot(p, archive_entry_pathname(entry));
	return set_facts(p, fd, entry, 0777);
}

static int write_folder(struct place *p, int dir, const char *last, struct archive_entry *entry)
{
	if (mkdirat(dir, last, 0700) != 0 && errno != EEXIST)
		return cannot(p, archive_entry_pathname(entry));
	CLEANUP_FD int fd = openat(dir, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? cannot(p, archive_entry_pathname(entry)) : set_facts(p, fd, entry, 03777);
}

static int write_link(struct place *p, int dir, const char *last, struct archive_entry *entry)
{
	const char *target = archive_entry_symlink(entry);
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, time_of(entry)};
	if (!target || symlinkat(target, dir, last) != 0 ||
	    utimensat(dir, last, times, AT_SYMLINK_NOFOLLOW) != 0)
		return cannot(p, archive_entry_pathname(entry));
	return 0;
}

static int place_entry(struct place *p, struct archive_entry *entry)
{
	const char *name = archive_entry_pathname(entry), *last = "";
	if (!name)
		return say_fail(SAY_ENTRY, p->e, "the archive holds a name that cannot be read");
	if (!str_starts(str_c(name), p->prefix))
		return 0;
	name += p->prefix.n;
	size_t n = strlen(name);
	char own[PATH_MAX];
	if (n > 0 && name[n - 1] == '/')
		n--;
	if (!str_copy((struct str){name, n}, own, sizeof(own)) || n == 0)
		return say_fail(SAY_ENTRY, p->e, "the archive holds a name that is not allowed");
	CLEANUP_FD int dir = open_parent(p, own, &last);
	if (dir < 0)
		return -1;
	if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return say_fail(SAY_ENTRY, p->e, "the archive holds a name that is not allowed");
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return write_file(p, dir, last, entry);
	case AE_IFDIR:
		return write_folder(p, dir, last, entry);
	case AE_IFLNK:
		return write_link(p, dir, last, entry);
	default:
		return say_fail(SAY_ENTRY, p->e, "'%.200s' is no file, folder or link", own);
	}
}

static int no_memory(struct err *e)
{
	return err_set(e, ERR_TOO_LARGE, "no memory for the archive");
}

static int place_all(struct place *p, struct archive_entry *entry)
{
	if (archive_read_support_filter_zstd(p->a) != ARCHIVE_OK ||
	    archive_read_support_format_tar(p->a) != ARCHIVE_OK)
		return no_memory(p->e);
	if (archive_read_open_fd(p->a, STDIN_FILENO, BLOCK_BYTES) != ARCHIVE_OK)
		return fault(p);
	for (;;) {
		int rc = archive_read_next_header2(p->a, entry);
		if (rc == ARCHIVE_EOF)
			return 0;
		if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
			return fault(p);
		if (place_entry(p, entry) != 0)
			return -1;
	}
}

static int place_into(int into, struct str prefix, struct err *e)
{
	struct place p = {.a = archive_read_new(), .prefix = prefix, .into = into, .e = e};
	struct archive_entry *entry = p.a ? archive_entry_new2(p.a) : NULL;
	int rc = entry ? place_all(&p, entry) : no_memory(e);
	archive_entry_free(entry);
	(void)archive_read_free(p.a);
	return rc;
}

/* A Python environment's scripts hold the path where it was made, perhaps on another machine. */
static int move_venv(const struct options *o, const char *release, int dir, struct err *e)
{
	char here[PATH_MAX], sub[PATH_MAX], path[2 * PATH_MAX + 16];
	const char *slash = o->top.n ? "/" : "";
	int n = snprintf(sub, sizeof(sub), "%.*s%s.venv", STR_ARG(o->top), slash);
	if (n < 0 || (size_t)n >= sizeof(sub) || !getcwd(here, sizeof(here)))
		return err_set(e, ERR_SETTINGS, "the path of the release is too long");
	CLEANUP_FD int venv = fs_open_beneath(dir, sub, O_RDONLY | O_DIRECTORY, 0);
	n = snprintf(path, sizeof(path), "%s/%s/%s", here, release, sub);
	if (venv < 0 || n < 0 || (size_t)n >= sizeof(path))
		return 0;
	return script_move(venv, str_c(path), e);
}

int place_release(const struct options *o, struct buf *report, struct err *e)
{
	char path[64];
	(void)report;
	snprintf(path, sizeof(path), "releases/%u", o->release);
	CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", path);
	return place_into(dir, STR("release/"), e) != 0 ? -1 : move_venv(o, path, dir, e);
}

/* ---- the folder beside ---- */

struct staging {
	int data, top, fresh, old; /* data/, .slipway-restore, its new/ and old/ */
};
#define CLEANUP_STAGING __attribute__((cleanup(staging_close)))

static void staging_close(struct staging *s)
{
	fs_close_fd(&s->old);
	fs_close_fd(&s->fresh);
	fs_close_fd(&s->top);
	fs_close_fd(&s->data);
}

static int staging_open(struct staging *s, struct err *e)
{
	*s = (struct staging){.top = -1, .fresh = -1, .old = -1};
	s->data = open(PACK_DATA, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->data < 0)
		return err_sys(e, ERR_IO, errno, "could not open data/");
	if ((s->top = fs_dir(s->data, PACK_STAGING, 0700, e)) < 0 ||
	    (s->fresh = fs_dir(s->top, "new", 0700, e)) < 0 ||
	    (s->old = fs_dir(s->top, "old", 0700, e)) < 0)
		return -1;
	return 0;
}

static bool marked(const struct staging *s, const char *mark)
{
	return faccessat(s->top, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Durable, after what came before it. */
static int mark(const struct staging *s, const char *name, struct err *e)
{
	CLEANUP_FD int fd = openat(s->top, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || syncfs(s->data) != 0)
		return err_sys(e, ERR_IO, errno, "could not write a mark beside the data");
	return 0;
}

int place_stage(const struct options *o, struct buf *report, struct err *e)
{
	struct staging s CLEANUP_STAGING;
	(void)o;
	(void)report;
	CLEANUP_FD int data = open(PACK_DATA, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	s = (struct staging){-1, -1, -1, -1};
	if (data < 0)
		return err_sys(e, ERR_IO, errno, "could not open data/");
	if (fs_remove_tree(data, PACK_STAGING, e) != 0 || staging_open(&s, e) != 0)
		return -1;
	return place_into(s.fresh, STR("data/"), e) != 0 ? -1 : mark(&s, "ready", e);
}

/* All entries of `from`, but the staging itself, into `to`. May be repeated. */
static int move_all(int from, int to, struct err *e)
{
	struct dir d CLEANUP_DIR;
	bool moved = true;
	dir_open(&d, from);
	while (moved && d.error == 0) { /* a listing that changes beneath may skip some */
		moved = false;
		dir_rewind(&d);
		for (const struct dirent64 *f; (f = dir_next(&d));) {
			if (strcmp(f->d_name, PACK_STAGING) == 0)
				continue;
			if (renameat(d.fd, f->d_name, to, f->d_name) != 0)
				return err_sys(
				    e, ERR_IO, errno, "could not move '%.200s'", f->d_name);
			moved = true;
		}
	}
	return d.error == 0 ? 0 : err_sys(e, ERR_IO, d.error, "could not list data/");
}

int place_swap(const struct options *o, struct buf *report, struct err *e)
{
	struct staging s CLEANUP_STAGING;
	(void)o;
	(void)report;
	if (staging_open(&s, e) != 0)
		return -1;
	if (!marked(&s, "ready"))
		return say_fail(SAY_ARCHIVE, e, "what was to come into the place of data/ is gone");
	if (!marked(&s, "out") && (move_all(s.data, s.old, e) != 0 || mark(&s, "out", e) != 0))
		return -1;
	if (move_all(s.fresh, s.data, e) != 0)
		return -1;
	return syncfs(s.data) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not sync data/");
}

int place_back(const struct options *o, struct buf *report, struct err *e)
{
	struct staging s CLEANUP_STAGING;
	(void)o;
	(void)report;
	if (staging_open(&s, e) != 0)
		return -1;
	if (marked(&s, "out") && !marked(&s, "back") &&
	    (move_all(s.data, s.fresh, e) != 0 || mark(&s, "back", e) != 0))
		return -1;
	if (move_all(s.old, s.data, e) != 0)
		return -1;
	return syncfs(s.data) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not sync data/");
}

int place_drop(const struct options *o, struct buf *report, struct err *e)
{
	(void)o;
	(void)report;
	CLEANUP_FD int data = open(PACK_DATA, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return data < 0 ? err_sys(e, ERR_IO, errno, "could not open data/")
			: fs_remove_tree(data, PACK_STAGING, e);
}

/* ---- dumps ---- */

#define DUMPS "restored-services"

static int load_each(const struct options *o, const char *tmp, struct err *e)
{
	char path[PATH_MAX];
	for (size_t i = 0; i < o->services_count; i++) {
		int n = snprintf(path, sizeof(path), "%s/" DUMPS "/%.*s.dump", tmp,
		    STR_ARG(o->services[i]));
		if (n < 0 || (size_t)n >= sizeof(path))
			return err_set(e, ERR_SETTINGS, "the path of the private tmp is too long");
		if (dump_load(o->services[i], path, e) != 0)
			return -1;
	}
	return 0;
}

int place_services(const struct options *o, struct buf *report, struct err *e)
{
	const char *tmp = getenv("TMPDIR");
	(void)report;
	CLEANUP_FD int top =
	    open(tmp ? tmp : "/tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return err_sys(e, ERR_IO, errno, "could not open the private tmp");
	if (fs_remove_tree(top, DUMPS, e) != 0)
		return -1;
	CLEANUP_FD int into = fs_dir(top, DUMPS, 0700, e);
	if (into < 0)
		return -1;
	int rc = place_into(into, STR("services/"), e) != 0 ? -1
							    : load_each(o, tmp ? tmp : "/tmp", e);
	if (fs_remove_tree(top, DUMPS, rc == 0 ? e : NULL) != 0)
		rc = -1;
	return rc;
}
