#include "launch/rundir.h"

#include "base/fs.h"
#include "base/name.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096 /* cut to net.core.somaxconn */

static int names_ok(struct str project, uint32_t release, struct err *e)
{
	if (name_project(project, e) != 0)
		return -1;
	return release > 0 ? 0 : err_set(e, ERR_INVALID, "release 0 has no folder");
}

/* RUN/NAME, made by the helper as root; without one, by whoever comes first. */
static int open_project(const char *run_dir, struct str project, struct err *e)
{
	char name[NAME_PROJECT_MAX + 1];
	CLEANUP_FD int run = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run < 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", run_dir);
	if (!str_copy(project, name, sizeof(name)))
		return err_set(e, ERR_INVALID, "project name is too long");
	/* Looked at first: a service that may not set such bits may not even try to make it. */
	struct stat st;
	if (fstatat(run, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && mkdirat(run, name, 02750) != 0)
		return err_sys(e, ERR_IO, errno, "could not make '%s/%s'", run_dir, name);
	int fd = openat(run, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open '%s/%s'", run_dir, name);
}

int rundir_make(const char *run_dir, const char *projects_dir, struct str project,
    uint32_t release, struct err *e)
{
	char n[16], target[600];
	if (names_ok(project, release, e) != 0)
		return -1;
	CLEANUP_FD int dir = open_project(run_dir, project, e);
	if (dir < 0)
		return -1;
	snprintf(n, sizeof(n), "%u", release);
	/* The group comes from RUN/NAME by its set-group-id bit, which folders below inherit. */
	if (mkdirat(dir, n, 0750) != 0 && errno != EEXIST)
		return err_sys(
		    e, ERR_IO, errno, "could not make the run folder of release %u", release);
	CLEANUP_FD int own = openat(dir, n, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (own < 0)
		return err_sys(
		    e, ERR_IO, errno, "could not open the run folder of release %u", release);
	int len = snprintf(
	    target, sizeof(target), "%s/%.*s/public/%u", projects_dir, STR_ARG(project), release);
	if (len < 0 || (size_t)len >= sizeof(target))
		return err_set(e, ERR_SETTINGS, "'%s' is too long", projects_dir);
	/* Apache asks once which release is live, and then names its files by this */
	if (fs_write_atomic(own, "number", n, strlen(n), 0640, e) != 0)
		return -1;
	return fs_link_swap(own, "public", target, e);
}

int rundir_remove(const char *run_dir, struct str project, uint32_t release, struct err *e)
{
	char path[600], n[16];
	if (names_ok(project, release, e) != 0)
		return -1;
	int len = snprintf(path, sizeof(path), "%s/%.*s", run_dir, STR_ARG(project));
	if (len < 0 || (size_t)len >= sizeof(path))
		return err_set(e, ERR_SETTINGS, "'%s' is too long", run_dir);
	CLEANUP_FD int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_IO, errno, "could not open '%s'", path);
	snprintf(n, sizeof(n), "%u", release);
	return fs_remove_tree(dir, n, e);
}

bool rundir_socket_path(
    const struct rundir_place *p, enum rundir_socket which, char *out, size_t size)
{
	static const char *const before[RUNDIR_SOCKET_COUNT] = {"", ".", "."};
	static const char *const behind[RUNDIR_SOCKET_COUNT] = {"", "", ".old"};
	int n = snprintf(out, size, "%s/%.*s/%u/%s%.*s.%u%s.sock", p->run_dir, STR_ARG(p->project),
	    p->release, before[which], STR_ARG(p->process), p->instance, behind[which]);
	return n >= 0 && (size_t)n < size;
}

int rundir_listen(const struct rundir_place *p, enum rundir_socket which, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (names_ok(p->project, p->release, e) != 0 || name_process(p->process, e) != 0)
		return -1;
	if (!rundir_socket_path(p, which, a.sun_path, sizeof(a.sun_path)))
		return err_set(
		    e, ERR_SETTINGS, "'%s' is too long for a socket's path", p->run_dir);
	/* What is there is of an attempt that came to nothing: this release does not listen yet. */
	if (unlink(a.sun_path) != 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not remove '%s'", a.sun_path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not make a socket");
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || chmod(a.sun_path, 0660) != 0 ||
	    listen(fd, BACKLOG) != 0) {
		(void)err_sys(e, ERR_IO, errno, "could not listen at '%s'", a.sun_path);
		close(fd);
		return -1;
	}
	return fd;
}

struct paths {
	char of[RUNDIR_SOCKET_COUNT][PATH_MAX];
};

static bool find_paths(const struct rundir_place *p, struct paths *ret)
{
	*ret = (struct paths){0};
	for (int i = 0; i < RUNDIR_SOCKET_COUNT; i++)
		if (!rundir_socket_path(
			p, (enum rundir_socket)i, ret->of[i], sizeof(ret->of[i])))
			return false;
	return true;
}

int rundir_take_place(const struct rundir_place *p, struct err *e)
{
	struct paths at;
	if (!find_paths(p, &at))
		return err_set(e, ERR_SETTINGS, "'%s' is too long", p->run_dir);
	const char *before = at.of[RUNDIR_BEFORE], *serves = at.of[RUNDIR_SERVES];
	if ((unlink(before) != 0 && errno != ENOENT) || link(serves, before) != 0)
		return err_sys(e, ERR_IO, errno, "could not make '%s'", before);
	if (rename(at.of[RUNDIR_BESIDE], serves) != 0)
		return err_sys(e, ERR_IO, errno, "could not replace '%s'", serves);
	return 0;
}

bool rundir_place_was_taken(const struct rundir_place *p)
{
	struct paths at;
	struct stat before, serves;
	return find_paths(p, &at) && stat(at.of[RUNDIR_BEFORE], &before) == 0 &&
	       stat(at.of[RUNDIR_SERVES], &serves) == 0 && before.st_ino != serves.st_ino;
}

void rundir_forget_others(const struct rundir_place *p)
{
	struct paths at;
	if (!find_paths(p, &at))
		return;
	(void)unlink(at.of[RUNDIR_BESIDE]);
	(void)unlink(at.of[RUNDIR_BEFORE]);
}

bool rundir_release(const char *run_dir, struct str project, struct str path, uint32_t *ret)
{
	char prefix[600];
	uint64_t release;
	int n = snprintf(prefix, sizeof(prefix), "%s/%.*s/", run_dir, STR_ARG(project));
	if (n < 0 || (size_t)n >= sizeof(prefix) || !str_starts(path, str_c(prefix)) ||
	    !num_u64(str_from(path, (size_t)n), 1, UINT32_MAX, &release))
		return false;
	*ret = (uint32_t)release;
	return true;
}
