/* Runs a distribution's program from a constant argument template (useradd, userdel) and waits for
 * it. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/* argv[0] is an absolute path. The environment is PATH and LANG=C; input is /dev/null; the end of
 * what it prints on both outputs lands in `out` (NUL-ended, cut at size, control bytes replaced),
 * *ret_exit is its exit status. -1: it could not be started, ended by a signal, or was still
 * running at the deadline and was killed. Blocks. */
int launch_tool(const char *const *argv, int64_t deadline_ms, int *ret_exit, char *out, size_t size,
    struct err *e) WARN_UNUSED;
/* The same, but the ends of lines stay. */
int launch_tool_lines(const char *const *argv, int64_t deadline_ms, int *ret_exit, char *out,
    size_t size, struct err *e) WARN_UNUSED;
