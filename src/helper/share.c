#include "helper/share.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/limits.h"
#include "base/name.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEPTH_MAX 64u
#define PASS_BITS 0010u
#define READ_BITS 0040u
#define SHARED_BITS (S_ISGID | 0050u)

struct share {
	const struct tenant_roots *t;
	size_t left; /* entries that may still be touched */
};

static int become(const struct tenant_roots *t, uint32_t number)
{
	uid_t uid = tenant_uid(t, number);
	gid_t gid = tenant_gid(t, number);
	if (!t->root)
		return 0;
	if (number == 0 || setgroups(1, &t->web_gid) != 0 || setresgid(gid, gid, gid) != 0)
		return -1;
	return setresuid(uid, uid, uid);
}

/* The group first: changing it takes the set-group-id bit away. */
static int give(const struct share *s, int fd, mode_t mode)
{
	if (s->t->root && fchown(fd, (uid_t)-1, s->t->web_gid) != 0)
		return -1;
	return fchmod(fd, mode & 07777);
}

static void share_below(struct share *s, int dir, unsigned depth);

/* What cannot be shared is the tenant's own doing; the web server will answer 403 there. */
static void share_entry(struct share *s, int dir, const char *name, unsigned depth)
{
	CLEANUP_FD int fd =
	    openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return;
	if (S_ISREG(st.st_mode))
		(void)give(s, fd, st.st_mode | READ_BITS);
	else if (S_ISDIR(st.st_mode) && give(s, fd, st.st_mode | SHARED_BITS) == 0)
		share_below(s, fd, depth + 1);
}

static void share_below(struct share *s, int dir, unsigned depth)
{
	struct dir d CLEANUP_DIR;
	dir_open(&d, depth < DEPTH_MAX ? dir : -1);
	for (const struct dirent64 *entry; s->left > 0 && (entry = dir_next(&d)); s->left--)
		share_entry(s, d.fd, entry->d_name, depth);
}

static bool is_shared(const struct share *s, const struct stat *st)
{
	return (!s->t->root || st->st_gid == s->t->web_gid) &&
	       (st->st_mode & SHARED_BITS) == SHARED_BITS;
}

/* One component: made when absent; on the way only passed through, at the end shared. */
static int step_into(struct share *s, int dir, const char *name, bool last)
{
	struct stat st;
	if (mkdirat(dir, name, 0700) != 0 && errno != EEXIST)
		return -1;
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		fs_close_fd(&fd);
		return -1;
	}
	if (is_shared(s, &st))
		return fd;
	mode_t mode = last ? st.st_mode | SHARED_BITS : (st.st_mode & ~00070u) | PASS_BITS;
	if (give(s, fd, mode) != 0)
		fs_close_fd(&fd);
	else if (last)
		share_below(s, fd, 0);
	return fd;
}

static int share_path(const struct tenant_roots *t, int project_dir, struct str path)
{
	struct share s = {.t = t, .left = LIMIT_TREE_FILES};
	struct str part;
	int at = openat(project_dir, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	while (at >= 0 && path.n > 0 && str_next(&path, '/', &part)) {
		char name[NAME_MAX + 1];
		int next = str_copy(part, name, sizeof(name))
			       ? step_into(&s, at, name, path.p == NULL)
			       : -1;
		close(at);
		at = next;
	}
	if (at < 0)
		return -1;
	close(at);
	return 0;
}

int share_data(
    const struct tenant_roots *t, uint32_t number, int project_dir, struct str path, struct err *e)
{
	if (name_subpath(path, e) != 0)
		return -1;
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not fork");
	if (pid == 0)
		_exit(become(t, number) == 0 && share_path(t, project_dir, path) == 0 ? 0 : 1);
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status == 0)
		return 0;
	(void)err_set(
	    e, ERR_INVALID, "cannot share '%.*s' of data/ with the web server", STR_ARG(path));
	return err_hint(e, "it must be a folder of the project's own, or absent");
}
