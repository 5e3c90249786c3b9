/* Threads for what takes long and must delay no timeline: hashing passwords, and the log-ins and
 * registrations around it. A thread at the process's own priority, and one of low urgency that helps
 * while four or more wait; a bounded queue. */
#pragma once

#include "base/err.h"

struct jobs;
typedef void jobs_fn(void *ctx);
struct jobs *jobs_new(struct err *e); /* NULL on error */
/* Loop thread. fn runs on a thread of its own; -1 with ERR_UNAVAILABLE when 256 wait. */
int jobs_add(struct jobs *j, jobs_fn *fn, void *ctx, struct err *e) WARN_UNUSED;
void jobs_free(struct jobs *j); /* ends after what waits; NULL is fine */
