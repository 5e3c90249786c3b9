/* Whose ports are whose: a project's ten (base/limits.h) are its user's, and nftables lets nobody else connect there
 * (render/ports.h). Known from what is started with a port; forgotten with the project. One table of the process, no
 * allocation.
 *
 * Ports outside of projects' blocks are not guarded. Where there is no nft, or it refuses, one line says so, and projects
 * run all the same. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ports_options {
	const char *state; /* absolute; ports.nft is kept here, which only root may write */
	const char *table; /* of nftables; two platforms on one machine must not meet */
	bool root;	   /* else every project is one user, and nothing is done */
	bool units;	   /* nft runs as a unit of systemd: there is no network here */
};
/* Whatever an earlier process left is taken away with the next ports_tick; until then ports_adopt says what stays. */
void ports_open(const struct ports_options *o);
void ports_close(void);
/* The block that `port` lies in is this user's from now on; in force when it returns, or within 200 ms when another was just
 * put in force. ERR_CONFLICT: it is another's. Blocks, for some ten milliseconds, when it is new. */
int ports_claim(uid_t uid, uint16_t port, int64_t now_ms, struct err *e) WARN_UNUSED;
/* The same, after ports_open: what was in force stays so. */
void ports_adopt(uid_t uid, uint16_t port);
/* The user has none any more; in force with the next ports_tick. */
void ports_forget(uid_t uid);
/* What waits is put in force. When it wants to be called again. */
int64_t ports_tick(int64_t now_ms);
