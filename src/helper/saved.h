/* What services were started with, sealed on disk: after a boot the helper starts them again, before any daemon has come
 * (instances_boot.c). One file for each below STATE/boot (ours, 0700), named by what it is of, so that the next start of the same takes
 * its place; under the key STATE/boot.key, and bound to that name (crypto/seal.h). Written without syncing: what a power cut takes is
 * started by the daemon. One store of the process, no allocation once it is open; while it is not, every call does nothing.
 *
 * Clear: struct saved_start, and after it the argument list, environment and secret as they were in their memory files. */
#pragma once

#include "base/dir.h"
#include "base/err.h"
#include "priv/priv.h"

#include <stdbool.h>

#define SAVED_LISTS 3u /* argument list, environment, secret */
#define SAVED_NONE UINT32_MAX
#define SAVED_NAME_SIZE 88u

struct saved_start {
	uint32_t version, size; /* PRIV_VERSION, and of this: what another helper wrote is not read */
	uint32_t user_number;
	uint32_t bytes[SAVED_LISTS]; /* SAVED_NONE: there is none */
	char project[NAME_PROJECT_MAX + 3];
	struct priv_start spec; /* its indices of descriptors mean nothing */
};

int saved_open(const char *state_dir, struct err *e) WARN_UNUSED;
bool saved_is_open(void);
/* Version, size and lengths are set here; lists: descriptors, -1 for none. */
int saved_put(struct saved_start *s, const int lists[SAVED_LISTS], struct err *e) WARN_UNUSED;
void saved_drop(const char *project, const struct priv_start *spec);
/* The lists as new sealed memory files, the caller's. ERR_NOT_FOUND, ERR_INVALID when it was not written by us under that name. */
int saved_get(const char *name, struct saved_start *ret, int lists[SAVED_LISTS], struct err *e) WARN_UNUSED;
/* All names; to be closed. */
void saved_list(struct dir *d);
void saved_forget(const char *name);
