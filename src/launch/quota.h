/* The kernel's quota of a user: how much all his files may hold together on one file system,
 * whoever writes them. ext4 and xfs have it, when it was asked for at mkfs or mount;
 * quotactl_fd(2). What is not the user's does not count: sealed releases, logs. `dir` is any folder
 * on that file system. Nothing here blocks for long, allocates or logs. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* 1: quotas of users are counted and enforced; 0: they are not; -1: dir cannot be opened. */
int quota_enforced(const char *dir, struct err *e) WARN_UNUSED;
/* Are they, and may we set them? -1 says why not: ERR_UNSUPPORTED there are none, ERR_FORBIDDEN
 * they are not for us; the hint says what to do. */
int quota_probe(const char *dir, struct err *e) WARN_UNUSED;
/* bytes 0: none. Rounded up to 1,024. Repeating it changes nothing. */
int quota_set(const char *dir, uid_t user, uint64_t bytes, struct err *e) WARN_UNUSED;
/* Has the user a quota, and less room left in it than a block? False when that cannot be known. */
bool quota_is_full(const char *dir, uid_t user);
