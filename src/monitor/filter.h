/* What the monitor gives up before it reads its first byte, for good: every capability, and every system call but those in calls[].
 *
 * Another call ends the process (SECCOMP_RET_KILL_PROCESS): none of the others opens a file, starts a program, sends a signal or makes a
 * socket to anywhere. Written as classic BPF (seccomp(2), linux/filter.h), without a library. */
#pragma once

#include "base/err.h"

#include <stddef.h>

/* 0, or -1: ERR_UNSUPPORTED, and nothing may be read. */
int filter_enter(struct err *e) WARN_UNUSED;
/* How many calls are let through; for the budget (tests/unit/test_monitor.c). */
size_t filter_count(void);
