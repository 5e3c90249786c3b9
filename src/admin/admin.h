/* What `slipway admin` does beyond showing: the administrator's own acts on a server made by
 * `slipway setup`, as root, in the command line's own process; they need no daemon. All block. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define ADMIN_PATH_SIZE 160

/* ERR_FORBIDDEN: not root; ERR_NOT_FOUND: no server was made of this machine. */
int admin_begin(struct err *e) WARN_UNUSED;

/* Brings back owners and modes: folders as slipway.tmpfiles says, below the daemon's own ones every
 * file its own and closed to others, secrets 0600. Files that have a second name are left alone:
 * one of them may be somebody else's. *ret_count: how many were mended. */
int admin_mend(size_t *ret_count, struct err *e) WARN_UNUSED;

/* Store and journal, and the keys apart from them, as archives below backups/manual, 0600. The
 * daemon is held while its files are copied (as long as that takes; who asks it something waits),
 * so the copy is what a power cut would leave, which it starts from. */
struct admin_archives {
	char state[ADMIN_PATH_SIZE], keys[ADMIN_PATH_SIZE];
};
int admin_backup(struct admin_archives *ret, struct err *e) WARN_UNUSED;

/* The inverse: store, journal and keys out of two such archives, in the place of what is there, while the daemon is
 * stopped. Both are read to their end before; what was there is archived first (ret_before). ERR_CONFLICT: there are
 * projects here, unless `over`. Files of projects are not in it: each comes back by its own archive. */
int admin_restore(const char *state, const char *keys, bool over,
    struct admin_archives *ret_before, struct err *e) WARN_UNUSED;

/* What Slipway's own users did as root in the last day: operations of the helper, which stands
 * where sudo stood elsewhere. */
#define ADMIN_USES_MAX 32u
struct admin_use {
	char name[32];
	size_t count;
};
struct admin_uses {
	struct admin_use v[ADMIN_USES_MAX]; /* the most frequent first */
	size_t count, performed, refused;
	char refusals[10][240]; /* the last ones */
	size_t refusal_count;
};
int admin_count_uses(struct admin_uses *ret, struct err *e) WARN_UNUSED;
