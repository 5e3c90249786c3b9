/* Owners and modes. Root walks where the daemon may write meanwhile: everything goes by descriptor,
 * no link is followed, and a file that has a second name is not touched. */
#include "admin/admin.h"

#include "base/clock.h"
#include "base/dir.h"
#include "base/fs.h"
#include "launch/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_DIR "/var/lib/slipway"
#define DEPTH_MAX 16
#define TOOL_MS 60000

struct mending {
	uid_t uid;
	gid_t gid;
	size_t count;
	int failed; /* errno of the first that could not be mended */
};

static bool find_daemon(struct mending *m)
{
	FILE *f = fopen("/etc/passwd", "re");
	bool found = false;
	for (struct passwd *p; f && !found && (p = fgetpwent(f));) {
		found = strcmp(p->pw_name, "slipway") == 0;
		m->uid = p->pw_uid;
		m->gid = p->pw_gid;
	}
	if (f)
		(void)fclose(f);
	return found;
}

/* `fd` is O_PATH of the file itself; /proc names what it holds, whatever its name became. */
static void mend_one(struct mending *m, int fd, const struct stat *st, mode_t mode)
{
	char path[40];
	bool wrong = st->st_uid != m->uid || st->st_gid != m->gid || (st->st_mode & 07777) != mode;
	if (!wrong)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fchownat(fd, "", m->uid, m->gid, AT_EMPTY_PATH) != 0 || chmod(path, mode) != 0)
		m->failed = m->failed ? m->failed : errno;
	else
		m->count++;
}

static void mend_folder(struct mending *m, int fd, unsigned depth);

/* The bits that the owner's and the group's programs rely on stay; others get none. */
static void mend_entry(struct mending *m, int dir, const char *name, unsigned depth)
{
	struct stat st;
	CLEANUP_FD int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return;
	if (S_ISREG(st.st_mode) && st.st_nlink == 1)
		mend_one(m, fd, &st, st.st_mode & 0640);
	if (!S_ISDIR(st.st_mode) || depth == DEPTH_MAX)
		return;
	mend_one(m, fd, &st, (st.st_mode & 0750) | 0700);
	mend_folder(m, fd, depth + 1);
}

static void mend_folder(struct mending *m, int fd, unsigned depth)
{
	CLEANUP_DIR struct dir d;
	dir_open(&d, fd);
	for (const struct dirent64 *entry; (entry = dir_next(&d));)
		mend_entry(m, d.fd, entry->d_name, depth);
}

static void mend_secret(struct mending *m, int state, const char *name)
{
	struct stat st;
	CLEANUP_FD int fd = openat(state, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1)
		mend_one(m, fd, &st, 0600);
}

static int mend_folders(struct err *e)
{
	static const char *const tmpfiles[] = {
	    "/usr/bin/systemd-tmpfiles", "--create", "slipway.conf", NULL};
	char words[300];
	int status;
	if (launch_tool(tmpfiles, clock_mono_ms() + TOOL_MS, &status, words, sizeof(words), e) != 0)
		return -1;
	return status == 0 ? 0 : err_set(e, ERR_FAILED, "systemd-tmpfiles: %s", words);
}

int admin_mend(size_t *ret_count, struct err *e)
{
	static const char *const own[] = {"keys", "logs", "spool", "journal", "backups"};
	static const char *const secrets[] = {
	    "owner.token", "slipway.db", "slipway.db-wal", "slipway.db-shm", "reserve"};
	struct mending m = {0};
	if (!find_daemon(&m))
		return err_set(
		    e, ERR_NOT_FOUND, "there is no user 'slipway': slipway setup makes it");
	if (mend_folders(e) != 0)
		return -1;
	CLEANUP_FD int state = open(STATE_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (state < 0)
		return err_sys(e, ERR_NOT_FOUND, errno, "could not open %s", STATE_DIR);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		CLEANUP_FD int fd =
		    openat(state, own[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0)
			mend_folder(&m, fd, 0);
	}
	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++)
		mend_secret(&m, state, secrets[i]);
	*ret_count = m.count;
	return m.failed ? err_sys(e, ERR_IO, m.failed, "could not mend all of it") : 0;
}
