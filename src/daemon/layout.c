#include "daemon/layout.h"

#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static int look_up_web(const struct settings *s, struct layout *l, struct err *e)
{
	const struct passwd *p = getpwnam(s->web_user);
	if (!p || p->pw_uid == 0)
		return err_set(
		    e, ERR_SETTINGS, "there is no user '%s' for the web server", s->web_user);
	l->web_uid = p->pw_uid;
	l->web_gid = p->pw_gid;
	return 0;
}

static int look_up_users(const struct settings *s, struct layout *l, struct err *e)
{
	l->root = geteuid() == 0;
	l->uid = l->web_uid = geteuid();
	l->gid = l->web_gid = getegid();
	if (s->system)
		return look_up_web(s, l, e);
	if (!l->root)
		return 0;
	const struct passwd *p = getpwnam(s->user);
	if (!p || p->pw_uid == 0) {
		err_set(e, ERR_SETTINGS, "there is no user '%s' to run as", s->user);
		return err_hint(e,
		    "useradd --system --user-group --no-create-home --shell /usr/sbin/nologin %s",
		    s->user);
	}
	l->uid = p->pw_uid;
	l->gid = p->pw_gid;
	return look_up_web(s, l, e);
}

/* Makes dir/name, owned by uid:gid with the mode, whatever was there before; returns its
 * descriptor. */
static int make_dir(int dir, const char *name, uid_t uid, gid_t gid, mode_t mode, struct err *e)
{
	int fd = fs_dir(dir, name, mode, e);
	if (fd < 0)
		return -1;
	if ((geteuid() == 0 && fchown(fd, uid, gid) != 0) || fchmod(fd, mode) != 0) {
		err_sys(e, ERR_SETTINGS, errno, "could not give '%s' its owner and mode", name);
		close(fd);
		return -1;
	}
	return fd;
}

static int take_lock(const struct settings *s, struct layout *l, int state, struct err *e)
{
	l->lock = openat(state, "daemon.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (l->lock < 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not open '%s/daemon.lock'", s->state);
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(l->lock, F_OFD_SETLK, &lock) != 0) {
		err_set(e, ERR_CONFLICT, "another slipwayd runs on '%s'", s->state);
		return err_hint(e, "end it first, or choose another --state");
	}
	return 0;
}

static int make_dirs(const struct settings *s, struct layout *l, struct err *e)
{
	/* As root: the daemon writes here, but cannot put something of its own in the place of
	 * projects/ and edge/, which are root's. */
	CLEANUP_FD int state =
	    make_dir(AT_FDCWD, s->state, l->root ? 0 : l->uid, l->gid, l->root ? 01771 : 0751, e);
	if (state < 0)
		return -1;
	uid_t top = geteuid();
	const struct {
		const char *name;
		uid_t uid;
		mode_t mode;
	} below[] = {{"logs", l->uid, 0750}, {"spool", l->uid, 0700}, {"journal", l->uid, 0700},
	    {"backups", l->uid, 0700}, {"projects", top, 0711}, {"edge", top, 0755}};
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		CLEANUP_FD int fd = make_dir(state, below[i].name, below[i].uid,
		    below[i].uid == top && l->root ? 0 : l->gid, below[i].mode, e);
		if (fd < 0)
			return -1;
	}
	CLEANUP_FD int run = make_dir(AT_FDCWD, s->run, l->uid, l->gid, 0755, e);
	if (run < 0)
		return -1;
	l->keys = make_dir(state, "keys", l->uid, l->gid, 0700, e);
	if (l->keys < 0)
		return -1;
	return take_lock(s, l, state, e);
}

/* In system mode systemd-tmpfiles made them all; who could write where he should not is refused. */
static int find_dirs(const struct settings *s, struct layout *l, struct err *e)
{
	const struct {
		const char *name;
		uid_t uid;
	} below[] = {
	    {"logs", l->uid}, {"spool", l->uid}, {"journal", l->uid}, {"backups", l->uid},
	    {"projects", 0}, {"edge", 0}};
	if (l->root)
		return err_set(
		    e, ERR_SETTINGS, "--system is for the daemon's own user, not for root");
	CLEANUP_FD int state = open(s->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (state < 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not open '%s'", s->state);
	for (size_t i = 0; i < sizeof(below) / sizeof(below[0]); i++) {
		struct stat st;
		if (fstatat(state, below[i].name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISDIR(st.st_mode) || st.st_uid != below[i].uid) {
			err_set(e, ERR_SETTINGS, "'%s/%s' is not there, or is not user %u's",
			    s->state, below[i].name, below[i].uid);
			return err_hint(e, "slipway setup makes what is missing");
		}
	}
	l->keys = openat(state, "keys", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (l->keys < 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not open '%s/keys'", s->state);
	return take_lock(s, l, state, e);
}

int layout_make(const struct settings *s, struct layout *l, struct err *e)
{
	*l = (struct layout){.lock = -1, .keys = -1};
	umask(027);
	if (look_up_users(s, l, e) != 0 ||
	    (s->system ? find_dirs(s, l, e) : make_dirs(s, l, e)) != 0)
		return -1;
	const struct {
		char *to;
		const char *dir, *name;
	} paths[] = {{l->projects, s->state, "projects"}, {l->edge, s->state, "edge"},
	    {l->logs, s->state, "logs"}, {l->spool, s->state, "spool"},
	    {l->journal, s->state, "journal"}, {l->backups, s->state, "backups"},
	    {l->store, s->state, "slipway.db"}, {l->reserve, s->state, "reserve"},
	    {l->keeper_socket, s->run, "keeper.sock"}, {l->api_socket, s->run, "api.sock"},
	    {l->edge_api_socket, s->run, "edge-api.sock"}};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		snprintf(paths[i].to, SETTINGS_PATH_MAX + 32, "%s/%s", paths[i].dir, paths[i].name);
	return 0;
}

int layout_drop(const struct layout *l, const struct settings *s, struct err *e)
{
	if (l->root) {
		if (setgroups(1, &l->web_gid) != 0 || setresgid(l->gid, l->gid, l->gid) != 0 ||
		    setresuid(l->uid, l->uid, l->uid) != 0)
			return err_sys(
			    e, ERR_SETTINGS, errno, "could not become user '%s'", s->user);
		if (setuid(0) == 0)
			return err_set(e, ERR_SETTINGS,
			    "could become root again after becoming '%s'", s->user);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return err_sys(e, ERR_SETTINGS, errno, "could not give up new privileges");
	return 0;
}
