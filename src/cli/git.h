/* The person's own git, asked a few fixed questions about the person's own checkout. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Runs `git -C dir ARGS…` (at most 12, NULL-ended) and appends what it prints, up to out's maximum.
 * 1: it exited with 0; 0: there is no git, or it said no; -1: too much output or no process.
 * Blocks; git's own complaints are dropped. */
int git_ask(const char *dir, const char *const *args, struct buf *out, struct err *e) WARN_UNUSED;
/* Two addresses of one repository: compared without scheme, user, port, ".git" and final '/'. */
bool git_same_address(struct str a, struct str b);
