/* clang-format off */
/* What a tenant's program may touch: Landlock (landlock(7)) over the file tree, and a deny-list of
 * system calls. The calling process and all it starts are bound for good; needs no rights
 * (PR_SET_NO_NEW_PRIVS is set here).
 *
 *                  /usr /lib* /opt  /etc /proc /sys  releases/N  data/  cache/ mirror/  tmp    other
 *   GUEST_RUN       read, execute    read             read, exec  write  -               write  -
 *   GUEST_BUILD     read, execute    read             write       -      write           write  -
 *   GUEST_FETCH     read, execute    read             write       -      write           write  read
 *   GUEST_STRANGER  read, execute    read             write       -      -               write  -
 *
 * (write includes read and execute.) Fetching reads everything its user may read, because a source
 * may be a folder of this machine; it runs our program and git with hooks and filters off, never a
 * tenant's file. */
/* clang-format on */
#pragma once

#include "launch/guest.h"

#include <stdbool.h>

struct sandbox_paths { /* absolute; NULL: none */
	const char *release, *data, *cache, *mirror, *tmp;
	const char *program; /* one more file that may be executed */
	bool private_tmp;    /* /tmp and /var/tmp are the instance's own */
	uint32_t devices;    /* base/device.h: their nodes may be read and written */
};

/* The Landlock version of this kernel, 0 when there is none. */
int sandbox_landlock_version(void);
/* Binds this process to the file tree above; success where the kernel has no Landlock. Paths that
 * are absent are left out. */
int sandbox_files(enum guest_sandbox s, const struct sandbox_paths *p, struct err *e) WARN_UNUSED;
/* EPERM for: mounting, namespaces of users, modules, kexec, bpf, perf, keys, ptrace, clock and host
 * settings, TIOCSTI; ENOSYS for io_uring and clone3 (programs then use what can be looked at).
 * Success where the kernel has no filters. */
int sandbox_calls(struct err *e) WARN_UNUSED;
