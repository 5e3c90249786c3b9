/* When is an old listening socket done? When the kernel's socket diagnostics (sock_diag(7),
 * UNIX_DIAG) show an empty accept queue and no established peer twice, 200 ms apart, or at the
 * limit. */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

#include <stddef.h>

/* Counts for a bound path, found by the socket file's inode. -1 on error. */
int drain_look(const char *socket_path, unsigned *ret_queued, unsigned *ret_established,
    struct err *e) WARN_UNUSED;

struct drain;
/* `left` is how many connections were still there at the limit (0: drained). */
typedef void drain_fn(void *ctx, unsigned left, const struct err *e);
struct drain *drain_start(struct loop *l, const char *const *socket_paths, size_t count,
    int64_t deadline_ms, drain_fn *fn, void *ctx);
void drain_cancel(struct drain *d);
