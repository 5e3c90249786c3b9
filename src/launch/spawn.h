/* Starts slipway-exec (or any fixed program) as a tenant: fork, session, control group, limits,
 * private /tmp, user, descriptors, exec. The child sees only what is placed; it dies with its
 * starter (PR_SET_PDEATHSIG).
 *
 * Blocks until the child has executed or failed, which takes milliseconds; no allocation. */
#pragma once

#include "base/device.h"
#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define LAUNCH_FDS 7 /* 0..2, then enum guest_fd */
#define LAUNCH_JOIN_MAX 4
#define LAUNCH_GROUPS_MAX DEVICE_NODES_MAX

struct launch_spec {
	const char *path;	 /* absolute */
	const char *const *argv; /* NULL-ended */
	bool drop; /* become uid and gid, with these other groups only; else stay who we are */
	uid_t uid;
	gid_t gid;
	gid_t groups[LAUNCH_GROUPS_MAX];
	size_t group_count;
	const int *join; /* cgroup.procs descriptors to write "0" into */
	size_t join_count;
	int fds[LAUNCH_FDS]; /* what becomes 0, 1, … 6; -1: /dev/null for 0..2, else closed.
				Borrowed */
	bool terminal;	     /* fds[0] becomes the controlling terminal, and 1 and 2 as well */
	uint64_t data_bytes; /* RLIMIT_DATA, where no control group bounds memory; 0: none */
	uint64_t file_bytes; /* RLIMIT_FSIZE; 0: none */
	uint32_t files;	     /* RLIMIT_NOFILE; 0: 65,536 or what we may */
	int tmp_parent; /* a directory of the tenant's in which tmp_name is made 0700; -1: none */
	const char *tmp_name;
	bool private_tmp; /* that directory becomes /tmp and /var/tmp, where we are allowed to;
			     quiet otherwise */
	bool keep_owners; /* chown, fchown and fchownat say that it is done, and do nothing */
};

/* The child's process id (also its session and group), or -1: ERR_UNAVAILABLE with which step
 * failed. */
pid_t launch_spawn(const struct launch_spec *s, struct err *e);
