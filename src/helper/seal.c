#include "helper/seal.h"
#include "helper/share.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 128u
#define ENTRIES_MAX (2u * LIMIT_TREE_FILES)

struct walk {
	const struct tenant_roots *t;
	uid_t tenant;
	gid_t gid;
	dev_t device;
	size_t entries;
	struct err *e;
};

/* chmod(2) of exactly the opened thing, also when it was opened without rights (O_PATH). */
static int set_mode(int fd, mode_t mode)
{
	char self[40];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return chmod(self, mode);
}

static int fail(const struct walk *w, const char *what)
{
	return err_sys(w->e, ERR_IO, errno, "could not %s", what);
}

static int elsewhere(const struct walk *w)
{
	return err_set(w->e, ERR_INVALID, "the release reaches into another file system");
}

/* Also what is mounted from the same file system is none of the release. */
static int open_entry(const struct walk *w, int dir, const char *name, struct stat *ret)
{
	int fd = fs_open_entry(dir, name);
	if (fd >= 0 && fstat(fd, ret) == 0)
		return fd;
	if (fd < 0 && errno == EXDEV)
		return elsewhere(w);
	(void)fail(w, "open a file of the release");
	fs_close_fd(&fd);
	return -1;
}

/* The tenant's own, or what an earlier sealing made of it. */
static int check_owner(const struct walk *w, const struct stat *st)
{
	if (st->st_dev != w->device)
		return elsewhere(w);
	bool sealed = w->t->root && st->st_uid == 0 && st->st_gid == w->gid &&
		      (st->st_mode & (S_ISLNK(st->st_mode) ? 0 : 06022)) == 0;
	if (st->st_uid != w->tenant && !sealed)
		return err_set(
		    w->e, ERR_INVALID, "the release holds something of user %u", st->st_uid);
	return 0;
}

static int take(const struct walk *w, int fd)
{
	if (!w->t->root)
		return 0;
	return fchownat(fd, "", 0, w->gid, AT_EMPTY_PATH) == 0 ? 0 : fail(w, "take over a file");
}

static int seal_dir(struct walk *w, int path_fd, unsigned depth);

static int seal_entry(struct walk *w, int dir, const char *name, unsigned depth)
{
	struct stat st;
	CLEANUP_FD int fd = open_entry(w, dir, name, &st);
	if (fd < 0)
		return -1;
	if (++w->entries > ENTRIES_MAX)
		return err_set(
		    w->e, ERR_TOO_LARGE, "the release has more than %u files", ENTRIES_MAX);
	if (check_owner(w, &st) != 0)
		return -1;
	if (S_ISDIR(st.st_mode))
		return seal_dir(w, fd, depth + 1);
	if (S_ISLNK(st.st_mode))
		return take(w, fd);
	if (!S_ISREG(st.st_mode))
		return unlinkat(dir, name, 0) == 0 ? 0 : fail(w, "remove a special file");
	if (take(w, fd) != 0)
		return -1;
	return set_mode(fd, st.st_mode & 0111 ? 0550 : 0440) == 0 ? 0 : fail(w, "set a mode");
}

typedef int entry_fn(struct walk *w, int dir, const char *name, unsigned depth, void *ctx);

static int each_entry(struct walk *w, int dir, unsigned depth, entry_fn *fn, void *ctx)
{
	if (depth > DEPTH_MAX)
		return err_set(
		    w->e, ERR_TOO_LARGE, "the release is deeper than %u folders", DEPTH_MAX);
	struct dir d CLEANUP_DIR;
	dir_open(&d, dir);
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		if (fn(w, d.fd, entry->d_name, depth, ctx) != 0)
			return -1;
	errno = d.error;
	return d.error == 0 ? 0 : fail(w, "list a folder of the release");
}

static int seal_each(struct walk *w, int dir, const char *name, unsigned depth, void *ctx)
{
	(void)ctx;
	return seal_entry(w, dir, name, depth);
}

/* First ours alone, so that nobody adds to what is being walked; read-only when all of it is done.
 */
static int seal_dir(struct walk *w, int path_fd, unsigned depth)
{
	if (take(w, path_fd) != 0)
		return -1;
	if (set_mode(path_fd, 0700) != 0)
		return fail(w, "set a mode");
	if (each_entry(w, path_fd, depth, seal_each, NULL) != 0)
		return -1;
	return set_mode(path_fd, 0550) == 0 ? 0 : fail(w, "set a mode");
}

/* ---- static files ---- */

static int public_dir(struct walk *w, int parent, const char *name)
{
	if (mkdirat(parent, name, 0750) != 0 && errno != EEXIST)
		return fail(w, "make a public folder");
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && (!w->t->root || fchown(fd, 0, w->t->web_gid) == 0) && fchmod(fd, 0750) == 0)
		return fd;
	fs_close_fd(&fd);
	return fail(w, "make a public folder");
}

static bool is_hidden(const char *name)
{
	return name[0] == '.' && strcmp(name, ".well-known") != 0;
}

static int link_file(struct walk *w, int fd, const struct stat *st, int to, const char *name)
{
	char self[40];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	/* The edge reads by "others"; the folders of the release and of public/ keep others out. */
	if (set_mode(fd, (st->st_mode & 0550) | 0444) != 0)
		return fail(w, "set a mode");
	if (linkat(AT_FDCWD, self, to, name, AT_SYMLINK_FOLLOW) != 0 && errno != EEXIST)
		return fail(w, "link a static file");
	return 0;
}

static int link_entry(struct walk *w, int dir, const char *name, unsigned depth, void *ctx)
{
	int to = *(int *)ctx;
	if (is_hidden(name))
		return 0;
	struct stat st;
	CLEANUP_FD int fd = open_entry(w, dir, name, &st);
	if (fd < 0 || check_owner(w, &st) != 0)
		return -1;
	if (S_ISREG(st.st_mode))
		return link_file(w, fd, &st, to, name);
	if (!S_ISDIR(st.st_mode))
		return 0;
	CLEANUP_FD int below = public_dir(w, to, name);
	return below < 0 ? -1 : each_entry(w, fd, depth + 1, link_entry, &below);
}

/* public/N and the folders of `url` below it; the descriptor of the last, or -1. */
static int open_url(struct walk *w, int top, struct str url)
{
	int at = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct str rest = str_from(url, 1), part;
	while (at >= 0 && rest.n > 0 && str_next(&rest, '/', &part)) {
		char name[NAME_MAX + 1];
		int next = str_copy(part, name, sizeof(name)) ? public_dir(w, at, name) : -1;
		close(at);
		at = next;
	}
	return at >= 0 ? at
		       : err_set(w->e, ERR_IO, "could not make the public folder of '%.*s'",
			     STR_ARG(url));
}

static int link_static(struct walk *w, int release, int top, struct str url, struct str subpath)
{
	bool whole = str_eq_c(subpath, ".");
	if (!str_eq_c(url, "/") && name_url_prefix(url, w->e) != 0)
		return -1;
	if (!whole && name_subpath(subpath, w->e) != 0)
		return -1;
	char path[1100];
	if (!str_copy(subpath, path, sizeof(path)))
		return err_set(w->e, ERR_INVALID, "static path is too long");
	CLEANUP_FD int from = whole ? openat(release, ".", O_PATH | O_DIRECTORY | O_CLOEXEC)
				    : fs_open_beneath(release, path, O_PATH | O_DIRECTORY, 0);
	if (from < 0)
		return err_sys(w->e,
		    errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_INVALID, errno,
		    "the static folder '%s' is not in the release", path);
	CLEANUP_FD int to = open_url(w, top, url);
	return to < 0 ? -1 : each_entry(w, from, 0, link_entry, &to);
}

/* One pair of the list: a URL with its files in the release, or no URL and a folder of data/. */
static int publish(struct walk *w, uint32_t number, int project, int release, int top,
    struct str url, struct str subpath)
{
	return url.n == 0 ? share_data(w->t, number, project, subpath, w->e)
			  : link_static(w, release, top, url, subpath);
}

static int link_statics(
    struct walk *w, uint32_t number, int project, int release, const char *n, struct str statics)
{
	CLEANUP_FD int public = tenant_open_public(w->t, project, w->e);
	if (public < 0 || fs_remove_tree(public, n, w->e) != 0)
		return -1;
	CLEANUP_FD int top = public_dir(w, public, n);
	if (top < 0)
		return -1;
	if (statics.n > 0 && statics.p[statics.n - 1] != '\0')
		return err_set(w->e, ERR_INVALID, "the list of static paths is not ended");
	struct str url, subpath;
	for (unsigned i = 0; statics.n > 0; i++) {
		(void)str_next(&statics, '\0', &url);
		if (i == LIMIT_STATICS || statics.n == 0)
			return err_set(
			    w->e, ERR_INVALID, "the list of static paths is too long or odd");
		(void)str_next(&statics, '\0', &subpath);
		if (publish(w, number, project, release, top, url, subpath) != 0)
			return -1;
	}
	return 0;
}

int seal_release(const struct tenant_roots *t, struct str project, uint32_t release,
    struct str statics, struct err *e)
{
	struct users_record r;
	int rc = users_find(t->users, project, &r, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "no project '%.*s'", STR_ARG(project));
	if (rc < 0)
		return -1;
	char n[16];
	snprintf(n, sizeof(n), "%u", release);
	CLEANUP_FD int projects = open(t->projects, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP_FD int dir =
	    fs_open_beneath(projects, r.project, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return err_sys(e, ERR_NOT_FOUND, errno, "could not open '%s'", r.project);
	CLEANUP_FD int releases = tenant_open_releases(t, dir, e);
	if (releases < 0)
		return -1;
	CLEANUP_FD int top = fs_open_beneath(releases, n, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;
	if (top < 0 || fstat(top, &st) != 0)
		return err_sys(e, ERR_NOT_FOUND, errno, "could not open release %u", release);
	struct walk w = {.t = t,
	    .tenant = tenant_uid(t, r.number),
	    .gid = tenant_gid(t, r.number),
	    .device = st.st_dev,
	    .e = e};
	if (check_owner(&w, &st) != 0 || seal_dir(&w, top, 0) != 0 ||
	    link_statics(&w, r.number, dir, top, n, statics) != 0)
		return -1;
	/* A release that is acknowledged as sealed survives a power cut. */
	CLEANUP_FD int sync = open(t->projects, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return sync >= 0 && syncfs(sync) == 0 ? 0 : fail(&w, "sync the release");
}
