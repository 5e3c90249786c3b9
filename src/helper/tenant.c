#include "helper/tenant.h"
#include "launch/quota.h"
#include "helper/userdb.h"
#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "base/num.h"
#include "launch/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOOL_TIME_MS 30000
#define NUMBERS_TRIED_MAX 1000
#define KILL_TRIES_MAX 500
#define REMOVE_TRIES_MAX 20
#define USER_TRIES_MAX 100
#define EXIT_TAKEN 9  /* groupadd, useradd: the name is in use */
#define EXIT_ABSENT 6 /* userdel, groupdel */

int tenant_number(
    const struct tenant_roots *t, struct str project, uint32_t *ret, struct err *e)
{
	struct users_record r;
	int rc = users_find(t->users, project, &r, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || r.state != USERS_ACTIVE)
		return err_set(e, ERR_NOT_FOUND, "no project '%.*s'", STR_ARG(project));
	*ret = r.number;
	return 0;
}

uid_t tenant_uid(const struct tenant_roots *t, uint32_t number)
{
	return t->root ? t->uid_base + number : geteuid();
}

gid_t tenant_gid(const struct tenant_roots *t, uint32_t number)
{
	return t->root ? (gid_t)(t->uid_base + number) : getegid();
}

int tenant_become(const struct tenant_roots *t, uint32_t number, struct err *e)
{
	uid_t uid = tenant_uid(t, number);
	gid_t gid = tenant_gid(t, number);
	if (!t->root)
		return 0;
	if (number == 0 || setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 ||
	    setresuid(uid, uid, uid) != 0)
		return err_sys(e, ERR_INTERNAL, errno, "could not become user %u", uid);
	return 0;
}

/* Runs fn in a child as that tenant. */
static int as_tenant(const struct tenant_roots *t, uint32_t number, int (*fn)(void *ctx), void *ctx,
    const char *what, struct err *e)
{
	pid_t pid = fork();
	if (pid < 0)
		return err_sys(e, ERR_UNAVAILABLE, errno, "could not fork");
	if (pid == 0) {
		struct err ignored;
		_exit(tenant_become(t, number, &ignored) == 0 && fn(ctx) == 0 ? 0 : 1);
	}
	int status = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	if (status != 0)
		return err_set(e, ERR_FAILED, "could not %s", what);
	return 0;
}

/* ---- users ---- */

static int run_tool(const char *const *argv, int *ret_exit, char *out, size_t size, struct err *e)
{
	/* Somebody else may hold the lock of the user database: exit 1 or 10, "try again later". */
	for (int tries = 0; tries < 50; tries++) {
		if (launch_tool(argv, clock_mono_ms() + TOOL_TIME_MS, ret_exit, out, size, e) != 0)
			return -1;
		if (*ret_exit != 1 && *ret_exit != 10)
			return 0;
		usleep(200000);
	}
	return err_set(e, ERR_UNAVAILABLE, "'%s': %s", argv[0], out);
}

static int need_tool(const char *const *argv, int also_fine, struct err *e)
{
	char out[256];
	int status = 0;
	if (run_tool(argv, &status, out, sizeof(out), e) != 0)
		return -1;
	if (status != 0 && status != also_fine)
		return err_set(e, ERR_FAILED, "'%s' ended with %d: %s", argv[0], status, out);
	return 0;
}

enum taken { TAKEN_NOT, TAKEN_BY_US, TAKEN_NUMBER, TAKEN_NAME };

/* In one file. A number that somebody else has matters more than a name. */
static int who_has_in(
    const char *path, uint32_t number, const char *name, enum taken *found, struct err *e)
{
	struct userdb db CLEANUP_USERDB;
	struct userdb_entry u;
	int rc = userdb_open(&db, path, e);
	*found = TAKEN_NOT;
	while (rc == 0 && (rc = userdb_next(&db, &u, e)) > 0) {
		bool same_name = str_eq_c(u.name, name);
		if (u.number == number)
			*found = same_name ? TAKEN_BY_US : TAKEN_NUMBER;
		else if (same_name && *found == TAKEN_NOT)
			*found = TAKEN_NAME;
		rc = 0;
	}
	return rc;
}

/* Who has this number or name, by the local files: no name service is asked. A group of both that
 * has no user is what a crash between groupadd and useradd left. */
static int who_has(uid_t uid, const char *name, enum taken *found, struct err *e)
{
	int rc = who_has_in(USERDB_PASSWD, uid, name, found, e);
	if (rc == 0 && *found == TAKEN_NOT) {
		rc = who_has_in(USERDB_GROUP, uid, name, found, e);
		*found = *found == TAKEN_BY_US ? TAKEN_NOT : *found;
	}
	return rc;
}

static int make_user(uid_t uid, const char *name, struct err *e)
{
	char number[16];
	snprintf(number, sizeof(number), "%u", uid);
	const char *const group[] = {"/usr/sbin/groupadd", "--gid", number, name, NULL};
	const char *const user[] = {"/usr/sbin/useradd", "--uid", number, "--gid", number,
	    "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin",
	    "--no-log-init", "--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0", "--key",
	    "UID_MAX=4000000000", name, NULL};
	return need_tool(group, EXIT_TAKEN, e) != 0 || need_tool(user, EXIT_TAKEN, e) != 0 ? -1 : 0;
}

/* Finds a number and a name that nobody has, and writes them down before the user is made, so that
 * a crash in between is recognised as our own work. */
static int choose_user(const struct tenant_roots *t, struct users_record *r, struct err *e)
{
	for (int tries = 0; tries < NUMBERS_TRIED_MAX; tries++) {
		uid_t uid = tenant_uid(t, r->number);
		enum taken taken = TAKEN_NAME;
		if (r->user[0] != '\0' && who_has(uid, r->user, &taken, e) != 0)
			return -1;
		if (taken <= TAKEN_BY_US)
			return 0;
		snprintf(r->user, sizeof(r->user), "sw-%s", r->project);
		if (who_has(uid, r->user, &taken, e) != 0)
			return -1;
		if (taken == TAKEN_NAME) {
			/* another Slipway of this machine has a project of that name */
			snprintf(r->user, sizeof(r->user), "sw-%u", uid);
			if (who_has(uid, r->user, &taken, e) != 0)
				return -1;
		}
		if (taken == TAKEN_NOT)
			return users_put(t->users, r, e);
		struct str project = str_c(r->project);
		struct users_record next;
		r->state = USERS_RETIRED;
		if (users_put(t->users, r, e) != 0 || users_add(t->users, project, &next, e) != 0)
			return -1;
		*r = next;
	}
	return err_set(e, ERR_UNAVAILABLE, "%d user numbers in a row from %u on are in use",
	    NUMBERS_TRIED_MAX, t->uid_base + 1);
}

/* ---- trees ---- */

struct place {
	const char *name;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* Its owner's, or ours when a crash came before the change of owner; then it is closed still. What else is ours
 * stands there because the daemon, whose folder this is, put it there: `releases` for `data` must not become the
 * tenant's. */
static bool is_place(const struct tenant_roots *t, const struct place *p, const struct stat *st)
{
	mode_t mode = st->st_mode & 07777;
	if (st->st_uid != geteuid())
		return st->st_uid == p->uid;
	return !t->root || t->daemon_uid == 0 || mode == 0700 || (p->uid == 0 && mode == p->mode);
}

/* Makes the directory or accepts it. */
static int ensure_dir(
    const struct tenant_roots *t, int parent, const struct place *p, struct err *e)
{
	if (mkdirat(parent, p->name, 0700) != 0 && errno != EEXIST)
		return err_sys(e, ERR_IO, errno, "could not make '%s'", p->name);
	CLEANUP_FD int fd = fs_open_beneath(parent, p->name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not open '%s'", p->name);
	if (!is_place(t, p, &st))
		return err_set(e, ERR_CONFLICT, "'%s' belongs to user %u, mode %o", p->name, st.st_uid,
		    st.st_mode & 07777);
	if (t->root && fchownat(fd, "", p->uid, p->gid, AT_EMPTY_PATH) != 0)
		return err_sys(e, ERR_IO, errno, "could not give '%s' away", p->name);
	char self[40];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (chmod(self, p->mode) != 0)
		return err_sys(e, ERR_IO, errno, "could not set the mode of '%s'", p->name);
	return openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int ensure_place(
    const struct tenant_roots *t, int parent, const struct place *p, struct err *e)
{
	int fd = ensure_dir(t, parent, p, e);
	if (fd < 0)
		return -1;
	int rc = fsync(fd) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not sync '%s'", p->name);
	close(fd);
	return rc;
}

static int open_root(const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open '%s'", path);
}

int tenant_run_folder(const struct tenant_roots *t, const char *project, struct err *e)
{
	const struct place run = {project, t->root ? t->daemon_uid : geteuid(), t->web_gid, 02750};
	CLEANUP_FD int runs = open_root(t->run, e);
	return runs < 0 ? -1 : ensure_place(t, runs, &run, e);
}

void tenant_as_daemon(const struct tenant_roots *t, bool on)
{
	static mode_t before;
	if (on)
		before = umask(027);
	else
		(void)umask(before);
	if (!t->root)
		return;
	(void)setfsgid(on ? t->daemon_gid : getegid());
	(void)setfsuid(on ? t->daemon_uid : geteuid());
}

static int ensure_tree(
    const struct tenant_roots *t, const char *name, uint32_t number, struct err *e)
{
	uid_t us = geteuid(), tenant = tenant_uid(t, number);
	uid_t daemon_uid = t->root ? t->daemon_uid : us;
	gid_t gid = tenant_gid(t, number);
	const struct place top = {name, daemon_uid, t->daemon_gid, 0711};
	const struct place below[] = {
	    {"releases", us, 0, TENANT_RELEASES_MODE},
	    {"data", tenant, t->web_gid, 0710}, /* share.h says why */
	    {"cache", tenant, gid, 0700},
	    {"mirror", tenant, gid, 0700},
	    {"tmp", tenant, gid, 0700},
	    {"public", us, t->web_gid, TENANT_PUBLIC_MODE},
	};
	CLEANUP_FD int projects = open_root(t->projects, e);
	CLEANUP_FD int dir = projects < 0 ? -1 : ensure_dir(t, projects, &top, e);
	if (dir < 0)
		return -1;
	for (size_t i = 0; i < sizeof(below) / sizeof(*below); i++)
		if (ensure_place(t, dir, &below[i], e) != 0)
			return -1;
	if (tenant_run_folder(t, name, e) != 0)
		return -1;
	if (fsync(dir) != 0 || fsync(projects) != 0)
		return err_sys(e, ERR_IO, errno, "could not sync '%s'", t->projects);
	return 0;
}

int tenant_ensure(const struct tenant_roots *t, struct str project, uint64_t disk_bytes,
    uint64_t *ret_number, struct err *e)
{
	struct users_record r;
	int rc = users_find(t->users, project, &r, e);
	if (rc < 0 || (rc == 0 && users_add(t->users, project, &r, e) != 0))
		return -1;
	if (t->root && r.state != USERS_ACTIVE &&
	    (choose_user(t, &r, e) != 0 || make_user(tenant_uid(t, r.number), r.user, e) != 0))
		return -1;
	if (t->quota && quota_set(t->projects, tenant_uid(t, r.number), disk_bytes, e) != 0)
		return -1;
	if (ensure_tree(t, r.project, r.number, e) != 0)
		return -1;
	*ret_number = r.number;
	if (r.state == USERS_ACTIVE)
		return 0;
	r.state = USERS_ACTIVE;
	return users_put(t->users, &r, e);
}

/* ---- removal ---- */

/* The real user of a process, from proc(5); -1 when it is gone. */
static int64_t user_of(int proc, const char *pid)
{
	char path[32], text[1024];
	(void)snprintf(path, sizeof(path), "%.16s/status", pid);
	CLEANUP_FD int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	const char *uid = strstr(text, "\nUid:\t");
	return uid ? strtol(uid + 6, NULL, 10) : -1;
}

/* Processes of this user, the dying ones too, this one excepted. */
static int count_others(void)
{
	struct dir d CLEANUP_DIR;
	int count = 0;
	dir_take(&d, open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	for (const struct dirent64 *entry; (entry = dir_next(&d));) {
		uint64_t pid;
		if (num_u64(str_c(entry->d_name), 1, INT32_MAX, &pid) && (pid_t)pid != getpid())
			count += user_of(d.fd, entry->d_name) == (int64_t)getuid();
	}
	return d.error == 0 ? count : -1;
}

/* kill(-1) as the tenant reaches exactly his processes, this one excepted. Then we wait until none
 * of them is left, so that nothing writes into what is removed next. */
static int kill_all(void *ctx)
{
	(void)ctx;
	for (int i = 0; i < KILL_TRIES_MAX; i++) {
		(void)kill(-1, SIGKILL);
		int left = count_others();
		if (left <= 0)
			return left;
		usleep(10000);
	}
	return -1;
}

struct emptying {
	int dirs[8];
	size_t count;
	int releases; /* list of releases, or -1 */
	uid_t uid;
};

static int empty_dir(int fd)
{
	struct dir d CLEANUP_DIR;
	struct err ignored;
	int rc = 0;
	dir_take(&d, fs_open_to_empty(fd)); /* its owner may have closed it */
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		if (fs_remove_tree(d.fd, entry->d_name, &ignored) != 0)
			rc = -1;
	return d.error == 0 ? rc : -1;
}

static int empty_unsealed(int releases, uid_t uid)
{
	struct dir d CLEANUP_DIR;
	int rc = 0;
	/* The tenant may not open it; this process has no further use of it, and a try before may have read it. */
	dir_take(&d, releases);
	dir_rewind(&d);
	for (const struct dirent64 *entry; (entry = dir_next(&d));) {
		struct stat st;
		if (entry->d_name[0] == '.' ||
		    fstatat(releases, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
		    !S_ISDIR(st.st_mode) || st.st_uid != uid)
			continue;
		CLEANUP_FD int fd =
		    openat(releases, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || empty_dir(fd) != 0)
			rc = -1;
	}
	return d.error == 0 ? rc : -1;
}

static int empty_all(void *ctx)
{
	const struct emptying *m = ctx;
	int rc = 0;
	for (size_t i = 0; i < m->count; i++)
		if (m->dirs[i] >= 0 && empty_dir(m->dirs[i]) != 0)
			rc = -1;
	if (m->releases >= 0 && empty_unsealed(m->releases, m->uid) != 0)
		rc = -1;
	return rc;
}

/* What the tenant owns goes with his rights; what is left is ours and empty, or sealed. */
static int empty_tenant_dirs(
    const struct tenant_roots *t, const char *name, uint32_t number, struct err *e)
{
	static const char *const owned[] = {"data", "cache", "mirror", "tmp"};
	CLEANUP_FD int projects = open_root(t->projects, e);
	if (projects < 0)
		return -1;
	CLEANUP_FD int dir = fs_open_beneath(projects, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(e, ERR_IO, errno, "could not open '%s'", name);
	struct emptying m = {.uid = tenant_uid(t, number)};
	for (; m.count < sizeof(owned) / sizeof(*owned); m.count++)
		m.dirs[m.count] =
		    fs_open_beneath(dir, owned[m.count], O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	m.releases = fs_open_beneath(dir, "releases", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int rc;
	/* A process that was just killed may write its last file meanwhile, and its own folder is being taken away. */
	for (int tries = 0; (rc = as_tenant(t, number, empty_all, &m,
				 "remove the project's files as its user", e)) != 0 &&
			    tries < REMOVE_TRIES_MAX;
	     tries++)
		usleep(20000);
	for (size_t i = 0; i < m.count; i++)
		fs_close_fd(&m.dirs[i]);
	fs_close_fd(&m.releases);
	return rc;
}

static int remove_below(const char *path, const char *name, struct err *e)
{
	CLEANUP_FD int fd = open_root(path, e);
	if (fd < 0)
		return -1;
	/* A process that was just killed may write its last file meanwhile. */
	for (int tries = 0;; tries++) {
		if (fs_remove_tree(fd, name, e) == 0)
			break;
		if (tries == REMOVE_TRIES_MAX)
			return -1;
		usleep(20000);
	}
	return fsync(fd) == 0 ? 0 : err_sys(e, ERR_IO, errno, "could not sync '%s'", path);
}

static int remove_user(const char *user, struct err *e)
{
	const char *const userdel[] = {"/usr/sbin/userdel", user, NULL};
	const char *const groupdel[] = {"/usr/sbin/groupdel", user, NULL};
	/* A process that was just killed has its user until it is gone. */
	for (int tries = 0; need_tool(userdel, EXIT_ABSENT, e) != 0; tries++) {
		if (tries == USER_TRIES_MAX)
			return -1;
		usleep(20000);
	}
	return need_tool(groupdel, EXIT_ABSENT, e);
}

int tenant_remove(const struct tenant_roots *t, struct str project, struct err *e)
{
	struct users_record r;
	int rc = users_find(t->users, project, &r, e);
	if (rc <= 0)
		return rc;
	if (t->root &&
	    (as_tenant(t, r.number, kill_all, NULL, "end the project's processes", e) != 0 ||
		empty_tenant_dirs(t, r.project, r.number, e) != 0))
		return -1;
	if (remove_below(t->projects, r.project, e) != 0 || remove_below(t->run, r.project, e) != 0)
		return -1;
	if (t->quota && quota_set(t->projects, tenant_uid(t, r.number), 0, e) != 0)
		return -1;
	if (t->root && r.user[0] != '\0' && remove_user(r.user, e) != 0)
		return -1;
	r.state = USERS_RETIRED;
	return users_put(t->users, &r, e);
}

/* ---- releases ---- */

/* Opens the project's directory; 1, 0 when there is no such project, -1. */
static int open_project(const struct tenant_roots *t, struct str project, struct users_record *r,
    int *ret_dir, struct err *e)
{
	int rc = users_find(t->users, project, r, e);
	if (rc <= 0)
		return rc;
	CLEANUP_FD int projects = open_root(t->projects, e);
	if (projects < 0)
		return -1;
	*ret_dir = fs_open_beneath(projects, r->project, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (*ret_dir < 0)
		return errno == ENOENT
			   ? 0
			   : err_sys(e, ERR_IO, errno, "could not open '%s'", r->project);
	return 1;
}

static int open_ours(const struct tenant_roots *t, int project, const char *name, mode_t mode, struct err *e)
{
	struct stat st;
	int fd = fs_open_beneath(project, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0 || fstat(fd, &st) != 0)
		(void)err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "could not open '%s'", name);
	else if (!t->root || t->daemon_uid == 0 || (st.st_uid == 0 && (st.st_mode & 07777) == mode))
		return fd;
	else
		(void)err_set(e, ERR_CONFLICT, "'%s' belongs to user %u, mode %o", name, st.st_uid,
		    st.st_mode & 07777);
	fs_close_fd(&fd);
	return -1;
}

int tenant_open_releases(const struct tenant_roots *t, int project, struct err *e)
{
	return open_ours(t, project, "releases", TENANT_RELEASES_MODE, e);
}

int tenant_open_public(const struct tenant_roots *t, int project, struct err *e)
{
	return open_ours(t, project, "public", TENANT_PUBLIC_MODE, e);
}

static int empty_one(void *ctx)
{
	return empty_dir(*(int *)ctx);
}

/* Removes releases/N when it is not sealed; *ret_sealed says when it is. */
static int remove_unsealed(const struct tenant_roots *t, uint32_t number, int releases,
    const char *n, bool *ret_sealed, struct err *e)
{
	CLEANUP_FD int fd = fs_open_beneath(releases, n, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;
	*ret_sealed = false;
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_sys(e, ERR_IO, errno, "could not open release %s", n);
	bool tenants = t->root && st.st_uid == tenant_uid(t, number);
	*ret_sealed = !tenants && (st.st_mode & 0222) == 0;
	if (*ret_sealed)
		return 0;
	if (t->root &&
	    as_tenant(t, number, empty_one, &fd, "remove the release's files as its user", e))
		return -1;
	return fs_remove_tree(releases, n, e);
}

int tenant_prepare(
    const struct tenant_roots *t, struct str project, uint32_t release, struct err *e)
{
	struct users_record r;
	CLEANUP_FD int dir = -1;
	int rc = open_project(t, project, &r, &dir, e);
	if (rc == 0)
		return err_set(e, ERR_NOT_FOUND, "no project '%.*s'", STR_ARG(project));
	CLEANUP_FD int releases = rc < 0 ? -1 : tenant_open_releases(t, dir, e);
	if (releases < 0)
		return -1;
	char n[16];
	bool sealed;
	snprintf(n, sizeof(n), "%u", release);
	if (remove_unsealed(t, r.number, releases, n, &sealed, e) != 0)
		return -1;
	if (sealed)
		return err_set(e, ERR_CONFLICT, "release %u is sealed already", release);
	const struct place p = {n, tenant_uid(t, r.number), tenant_gid(t, r.number), 0700};
	return ensure_place(t, releases, &p, e);
}

int tenant_release_remove(
    const struct tenant_roots *t, struct str project, uint32_t release, struct err *e)
{
	struct users_record r;
	CLEANUP_FD int dir = -1;
	int rc = open_project(t, project, &r, &dir, e);
	if (rc <= 0)
		return rc;
	CLEANUP_FD int releases = tenant_open_releases(t, dir, e);
	CLEANUP_FD int public = releases < 0 ? -1 : tenant_open_public(t, dir, e);
	if (public < 0)
		return -1;
	char n[16];
	bool sealed;
	snprintf(n, sizeof(n), "%u", release);
	if (fs_remove_tree(public, n, e) != 0 ||
	    remove_unsealed(t, r.number, releases, n, &sealed, e) != 0)
		return -1;
	return sealed ? fs_remove_tree(releases, n, e) : 0;
}
