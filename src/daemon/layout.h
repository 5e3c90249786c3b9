/* The folders of the installation and who may what in them; and the way from root to the daemon's
 * own user. */
#pragma once

#include "base/err.h"
#include "daemon/settings.h"

#include <stdbool.h>
#include <sys/types.h>

struct layout {
	bool root;	    /* started as root: tenants are real */
	uid_t uid, web_uid; /* the daemon's; the web server's */
	gid_t gid, web_gid;
	int lock; /* STATE/daemon.lock, held for life */
	int keys; /* STATE/keys, 0700 */
	char projects[SETTINGS_PATH_MAX + 32], edge[SETTINGS_PATH_MAX + 32],
	    logs[SETTINGS_PATH_MAX + 32], spool[SETTINGS_PATH_MAX + 32],
	    journal[SETTINGS_PATH_MAX + 32], backups[SETTINGS_PATH_MAX + 32];
	char store[SETTINGS_PATH_MAX + 32], reserve[SETTINGS_PATH_MAX + 32],
	    keeper_socket[SETTINGS_PATH_MAX + 32], api_socket[SETTINGS_PATH_MAX + 32];
	char edge_api_socket[SETTINGS_PATH_MAX + 32];
};

/* Makes what is missing, gives it the right owner and mode, takes the lock (ERR_CONFLICT: another
 * slipwayd runs here).
 *
 * - STATE: as root root's, of slipway's group, 01771 (sticky: what is root's below it stays); else
 * ours, 0751
 * - STATE/projects: root 0711, the helper's; STATE/edge: root 0755, the helper's; both ours when
 * not root
 * - STATE/keys: slipway 0700; STATE/logs: slipway 0750; STATE/spool, STATE/journal,
 * STATE/backups: slipway 0700
 * - RUN: slipway 0755; sockets in it as each says
 */
int layout_make(const struct settings *s, struct layout *ret, struct err *e) WARN_UNUSED;
/* Becomes the daemon's user for good: groups, ids, no new privileges. Does nothing when not root.
 */
int layout_drop(const struct layout *l, const struct settings *s, struct err *e) WARN_UNUSED;
