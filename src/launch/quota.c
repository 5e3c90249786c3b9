#include "launch/quota.h"
#include "base/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <sys/quota.h>
#include <sys/syscall.h>
#include <unistd.h>

#define UNIT_BYTES 1024u  /* of a limit */
#define BLOCK_BYTES 4096u /* less is no room: a file grows by blocks */
#define NOBODY 65534	  /* whose quota is read to learn whether we may read others' */

/* glibc has no name for it. The kernel takes any file for the file system it lies on, so no device
 * node is needed. */
static int ask(int fd, int what, uid_t user, void *block)
{
	unsigned command = (unsigned)what << SUBCMDSHIFT | USRQUOTA; /* QCMD overflows an int */
	return (int)syscall(SYS_quotactl_fd, fd, command, user, block);
}

static int open_dir(const char *dir, struct err *e)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 ? fd : err_sys(e, ERR_IO, errno, "could not open '%s'", dir);
}

int quota_enforced(const char *dir, struct err *e)
{
	struct fs_quota_statv state = {.qs_version = FS_QSTATV_VERSION1};
	const uint16_t need = FS_QUOTA_UDQ_ACCT | FS_QUOTA_UDQ_ENFD;
	CLEANUP_FD int fd = open_dir(dir, e);
	if (fd < 0)
		return -1;
	return ask(fd, Q_XGETQSTATV, 0, &state) == 0 && (state.qs_flags & need) == need;
}

int quota_probe(const char *dir, struct err *e)
{
	struct dqblk block;
	int rc = quota_enforced(dir, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		(void)err_set(e, ERR_UNSUPPORTED, "the file system of '%s' keeps no quotas", dir);
		return err_hint(e, "limits.disk bounds each file, and what a build holds is "
				   "measured; ext4 keeps quotas with `tune2fs -O quota` and the "
				   "mount option usrquota");
	}
	CLEANUP_FD int fd = open_dir(dir, e);
	if (fd < 0)
		return -1;
	if (ask(fd, Q_GETQUOTA, NOBODY, &block) == 0 || errno == ENOENT)
		return 0;
	(void)err_sys(e, ERR_FORBIDDEN, errno, "the quotas of '%s' are not ours to set", dir);
	return err_hint(e, "that needs CAP_SYS_ADMIN; on a server `slipway setup` gives it");
}

int quota_set(const char *dir, uid_t user, uint64_t bytes, struct err *e)
{
	struct dqblk block = {.dqb_bhardlimit = bytes / UNIT_BYTES + (bytes % UNIT_BYTES != 0),
	    .dqb_valid = QIF_BLIMITS};
	CLEANUP_FD int fd = open_dir(dir, e);
	if (fd < 0)
		return -1;
	if (ask(fd, Q_SETQUOTA, user, &block) == 0)
		return 0;
	return err_sys(e, ERR_UNAVAILABLE, errno, "could not set the disk quota of user %u", user);
}

bool quota_is_full(const char *dir, uid_t user)
{
	struct dqblk block;
	struct err ignored;
	CLEANUP_FD int fd = open_dir(dir, &ignored);
	return fd >= 0 && ask(fd, Q_GETQUOTA, user, &block) == 0 && block.dqb_bhardlimit > 0 &&
	       block.dqb_curspace + BLOCK_BYTES > block.dqb_bhardlimit * UNIT_BYTES;
}
