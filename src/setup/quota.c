/* Where the file system keeps quotas, the helper gets the right to set them: the one right beyond
 * those of its unit, and only there. */
#include "setup/parts.h"

#include "base/fs.h"
#include "launch/quota.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define UNITS "/etc/systemd/system"
#define FOLDER "slipway-helper.service.d"
#define FILE_NAME "quota.conf"

static const char text[] =
    "# Made by 'slipway setup': this file system keeps quotas, and setting one needs this.\n"
    "[Service]\n"
    "CapabilityBoundingSet=CAP_SYS_ADMIN\n"
    "SystemCallFilter=quotactl_fd\n";

static bool is_there(void)
{
	char have[sizeof(text)];
	CLEANUP_FD int fd = setup_dir(UNITS "/" FOLDER);
	CLEANUP_FD int file =
	    fd < 0 ? -1 : fs_open_beneath(fd, FILE_NAME, O_RDONLY | O_NOFOLLOW, 0);
	ssize_t n = file < 0 ? -1 : read(file, have, sizeof(have));
	return n == (ssize_t)sizeof(text) - 1 && memcmp(have, text, sizeof(text) - 1) == 0;
}

int setup_quota_look(struct setup *s, enum setup_state *ret, char *words, struct err *e)
{
	(void)s;
	/* the folder of projects may not be there yet */
	bool there = access(SETUP_STATE_DIR, F_OK) == 0;
	int enforced = quota_enforced(there ? SETUP_STATE_DIR : "/var/lib", e);
	if (enforced < 0)
		return -1;
	*ret = enforced && !is_there() ? SETUP_TO_DO : SETUP_DONE;
	(void)snprintf(words, SETUP_WORDS_SIZE, "%s",
	    enforced ? "limits.disk of a project is the quota of its user; the helper may set it"
		     : "none: the file system keeps none, so limits.disk is measured while "
		       "building");
	return 0;
}

int setup_quota_make(struct setup *s, struct err *e)
{
	CLEANUP_FD int units = setup_dir(UNITS);
	CLEANUP_FD int dir = fs_dir(units, FOLDER, 0755, e);
	if (dir < 0 || fs_write_atomic(dir, FILE_NAME, text, sizeof(text) - 1, 0644, e) != 0)
		return -1;
	s->restart = true;
	return 0;
}

/* What others put beside it stays. */
int setup_quota_undo(struct setup *s, char *words, struct err *e)
{
	(void)s;
	(void)e;
	CLEANUP_FD int units = setup_dir(UNITS);
	if (unlinkat(units, FOLDER "/" FILE_NAME, 0) != 0)
		return 0;
	(void)unlinkat(units, FOLDER, AT_REMOVEDIR);
	(void)snprintf(words, SETUP_WORDS_SIZE, UNITS "/" FOLDER "/" FILE_NAME);
	return 0;
}
