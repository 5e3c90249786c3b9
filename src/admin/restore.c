/* The inverse of backup.c: store, journal and keys out of two archives, on a server that setup made. The files that
 * somebody brought are read by root, once, into a folder of root's that the daemon's user may read; all that happens
 * in the daemon's own folders is done as that user. */
#include "admin/act.h"
#include "admin/admin.h"
#include "base/dir.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define UNITS "slipwayd.socket", "slipwayd-edge.socket", "slipwayd-http.socket", "slipwayd.service"
#define STATE_NAME "state.tar.gz"
#define KEYS_NAME "keys.tar.gz"

struct inbox {
	char path[64];
	int fd;
	gid_t gid;
};

static bool has_projects(void)
{
	struct dir d CLEANUP_DIR;
	CLEANUP_FD int fd =
	    open(ADMIN_STATE_DIR "/projects", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	dir_open(&d, fd);
	return dir_next(&d) != NULL;
}

/* ---- what was brought ---- */

static int inbox_open(struct inbox *in, struct err *e)
{
	const struct group *g = getgrnam("slipway");
	*in = (struct inbox){.path = "/var/lib/slipway-restore-XXXXXX", .fd = -1};
	if (!g)
		return err_set(e, ERR_NOT_FOUND, "there is no group 'slipway'");
	in->gid = g->gr_gid;
	if (!mkdtemp(in->path)) {
		in->path[0] = '\0';
		return err_sys(e, ERR_IO, errno, "could not make a folder in /var/lib");
	}
	in->fd = open(in->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (in->fd < 0 || fchown(in->fd, 0, in->gid) != 0 || fchmod(in->fd, 0750) != 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", in->path);
	return 0;
}

static void inbox_close(struct inbox *in)
{
	if (in->fd >= 0) {
		(void)unlinkat(in->fd, STATE_NAME, 0);
		(void)unlinkat(in->fd, KEYS_NAME, 0);
	}
	fs_close_fd(&in->fd);
	if (in->path[0])
		(void)rmdir(in->path);
}

static int take(const struct inbox *in, const char *from, const char *name, struct err *e)
{
	struct stat st;
	ssize_t n = 1;
	CLEANUP_FD int source = open(from, O_RDONLY | O_CLOEXEC);
	if (source < 0 || fstat(source, &st) != 0 || !S_ISREG(st.st_mode))
		return err_sys(
		    e, ERR_USAGE, source < 0 ? errno : EINVAL, "could not read '%s'", from);
	CLEANUP_FD int to =
	    openat(in->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (to < 0 || fchown(to, 0, in->gid) != 0 || fchmod(to, 0640) != 0)
		return err_sys(e, ERR_IO, errno, "could not copy '%s'", from);
	while (n > 0)
		n = sendfile(to, source, NULL, 1u << 30);
	return n == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not copy '%s'", from);
}

static const char *member(char out[ADMIN_PATH_SIZE], const struct inbox *in, const char *name)
{
	(void)snprintf(out, ADMIN_PATH_SIZE, "%s/%s", in->path, name);
	return out;
}

/* Read to its end, and it holds what it should. */
static int prove(
    const struct inbox *in, const char *name, const char *from, const char *holds, struct err *e)
{
	char path[ADMIN_PATH_SIZE];
	const char *const argv[] = {AS_DAEMON, "/usr/bin/tar", "--list", "--gzip", "--file",
	    member(path, in, name), "--", holds, NULL};
	if (admin_tool(argv, e) == 0)
		return 0;
	(void)err_set(e, ERR_INVALID, "'%s' is not whole, or holds no '%s'", from, holds);
	return err_hint(e, "'slipway admin backup' makes both files");
}

/* ---- the exchange ---- */

static int units(const char *verb, struct err *e)
{
	const char *const argv[] = {"/usr/bin/systemctl", verb, UNITS, NULL};
	return admin_tool(argv, e);
}

static int clear(struct err *e)
{
	static const char *const files[] = {AS_DAEMON, "/usr/bin/rm", "--force", "--",
	    (ADMIN_STATE_DIR "/slipway.db"), (ADMIN_STATE_DIR "/slipway.db-wal"),
	    (ADMIN_STATE_DIR "/slipway.db-shm"), (ADMIN_STATE_DIR "/owner.token"), NULL};
	static const char *const folders[] = {AS_DAEMON, "/usr/bin/find",
	    (ADMIN_STATE_DIR "/journal"), (ADMIN_STATE_DIR "/keys"), "-mindepth", "1", "-delete",
	    NULL};
	return admin_tool(files, e) != 0 ? -1 : admin_tool(folders, e);
}

static int unpack(const struct inbox *in, const char *name, struct err *e)
{
	char path[ADMIN_PATH_SIZE];
	const char *const argv[] = {AS_DAEMON, "/usr/bin/tar", "--extract", "--gzip", "--file",
	    member(path, in, name), "--directory", ADMIN_STATE_DIR, NULL};
	return admin_tool(argv, e);
}

static int exchange(const struct inbox *in, struct err *e)
{
	struct err other;
	if (units("stop", e) != 0)
		return -1;
	int rc = clear(e) != 0 || unpack(in, KEYS_NAME, e) != 0 || unpack(in, STATE_NAME, e) != 0
		     ? -1
		     : 0;
	if (units("start", &other) != 0 && rc == 0) {
		*e = other;
		rc = -1;
	}
	return rc;
}

static int restore(struct inbox *in, const char *state, const char *keys,
    struct admin_archives *ret_before, struct err *e)
{
	if (inbox_open(in, e) != 0 || take(in, state, STATE_NAME, e) != 0 ||
	    take(in, keys, KEYS_NAME, e) != 0 ||
	    prove(in, STATE_NAME, state, "slipway.db", e) != 0 ||
	    prove(in, KEYS_NAME, keys, "keys/seal.key", e) != 0 || admin_backup(ret_before, e) != 0)
		return -1;
	if (exchange(in, e) == 0)
		return 0;
	return err_hint(e, "what was there is in %s and %s", ret_before->state, ret_before->keys);
}

int admin_restore(const char *state, const char *keys, bool over, struct admin_archives *ret_before,
    struct err *e)
{
	struct inbox in;
	if (!over && has_projects()) {
		(void)err_set(e, ERR_CONFLICT, "this server has projects");
		return err_hint(
		    e, "--yes puts what the archives say in the place of what it knows of them");
	}
	int rc = restore(&in, state, keys, ret_before, e);
	inbox_close(&in);
	return rc;
}
