/* The folders and listening sockets of a release in RUN. Everything here is the daemon's own:
 * RUN/NAME belongs to it, with the web server's group and the set-group-id bit, so what is made
 * below gets that group. */
#include "base/fs.h"
#include "run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, PATH_SIZE = 512 };

/* RUN/NAME, opened. */
static int project_dir_open(const char *run_dir, struct str project, struct err *e)
{
	char path[PATH_SIZE];
	if (name_project(project, e) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/%.*s", run_dir, STR_ARG(project));
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(e, ERR_IO, errno, "could not open the run directory of '%.*s'",
		    STR_ARG(project));
	return fd;
}

static int release_dir_open(
    const char *run_dir, struct str project, uint32_t release, struct err *e)
{
	char number[16];
	CLEANUP_FD int top = project_dir_open(run_dir, project, e);
	if (top < 0)
		return -1;
	snprintf(number, sizeof(number), "%u", release);
	int fd = openat(top, number, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(
		    e, ERR_IO, errno, "could not open the run directory of release %u", release);
	return fd;
}

int run_dir_make(const char *run_dir, const char *projects_dir, struct str project,
    uint32_t release, struct err *e)
{
	char number[16], public[PATH_SIZE];
	CLEANUP_FD int top = project_dir_open(run_dir, project, e);
	if (top < 0)
		return -1;
	snprintf(number, sizeof(number), "%u", release);
	CLEANUP_FD int dir = fs_dir(top, number, 0750, e);
	if (dir < 0)
		return -1;
	snprintf(
	    public, sizeof(public), "%s/%.*s/public/%u", projects_dir, STR_ARG(project), release);
	return fs_link_swap(dir, "public", public, e);
}

int run_dir_remove(const char *run_dir, struct str project, uint32_t release, struct err *e)
{
	char number[16], path[PATH_SIZE];
	if (name_project(project, e) != 0)
		return -1;
	snprintf(path, sizeof(path), "%s/%.*s", run_dir, STR_ARG(project));
	CLEANUP_FD int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (top < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_IO, errno, "could not open '%s'", path);
	snprintf(number, sizeof(number), "%u", release);
	return fs_remove_tree(top, number, e);
}

int run_listen(const char *run_dir, struct str project, uint32_t release, struct str process,
    uint16_t instance, struct err *e)
{
	if (name_process(process, e) != 0)
		return -1;
	CLEANUP_FD int dir = release_dir_open(run_dir, project, release, e);
	if (dir < 0)
		return -1;
	char name[NAME_PROCESS_MAX + 16];
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(name, sizeof(name), "%.*s.%u.sock", STR_ARG(process), instance);
	/* Bound under its full name, as the edge connects to it: at most 40 + 29 + 10 + 27 bytes.
	 */
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%.*s/%u/%s", run_dir, STR_ARG(project),
	    release, name);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return err_set(
		    e, ERR_SETTINGS, "the path of socket '%s' is longer than 107 bytes", name);
	if (unlinkat(dir, name, 0) != 0 && errno != ENOENT)
		return err_sys(e, ERR_IO, errno, "could not remove the old socket '%s'", name);
	CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&a, sizeof(a)) != 0 ||
	    fchmodat(dir, name, 0660, 0) != 0 || listen(fd, BACKLOG) != 0)
		return err_sys(e, ERR_IO, errno, "could not listen on '%s'", a.sun_path);
	int kept = fd;
	fd = -1;
	return kept;
}
