/* The closed table of operations: who performs each. What the monitor has judged is judged again
 * here (monitor/request.h), and against what is the case. */
#pragma once

#include "helper/keeper.h"

/* 0: *ret is the answer (value, and *ret_fd when not -1); 1: the answer comes later; -1: refused or
 * failed. Descriptors in fds stay the caller's, but those that are set to -1. Writes the audit line
 * unless the answer is 1. */
int ops_perform(struct keeper *k, const struct priv_request *q, int *fds, size_t fd_count,
    struct priv_reply *ret, int *ret_fd, struct err *e) WARN_UNUSED;
