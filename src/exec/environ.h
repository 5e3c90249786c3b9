/* The environment and the arguments of a tenant's program, from the packed lists of its release. */
#pragma once

#include "base/args.h"
#include "launch/guest.h"

struct environ_lists {
	char **argv, **envp; /* NULL-ended, in the arena */
	struct str path;     /* the value of PATH */
};

/* Directories of the instance, absolute. */
struct environ_dirs {
	char release[GUEST_PATH_MAX + 32]; /* or the project's, when release is 0 */
	char work[GUEST_PATH_MAX + 320];   /* with subdir; the project's for fetch */
	char home[GUEST_PATH_MAX + 32];
	char tmp[GUEST_PATH_MAX + 96];
};
void environ_dirs(const struct guest *g, struct environ_dirs *ret);

/* Reads the descriptors GUEST_FD_ARGV and GUEST_FD_ENV (limits of base/limits.h), and closes them.
 * Adds PATH, HOME, TMPDIR, LANG, PWD (the list may override all but PWD), PORT, LISTEN_FDS,
 * LISTEN_PID, LISTEN_FDNAMES, SLIPWAY_RELEASE, SLIPWAY_PROCESS, SLIPWAY_INSTANCE,
 * SLIPWAY_SECRET_FD, and for builds CI=true. PATH is, in front of the system's: SLIPWAY_PATH of the
 * list (colon-separated, relative to the release), .venv/bin and node_modules/.bin where they are.
 * With SLIPWAY_EXPAND=1 the arguments are expanded (launch/expand.h). Strings live in the arena. */
int environ_build(const struct guest *g, const struct environ_dirs *d, struct arena *a,
    struct environ_lists *ret, struct err *e) WARN_UNUSED;
