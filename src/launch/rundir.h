/* The folder of a release in RUN: RUN/NAME/N with `public` (a link to its static files), `number` and the sockets that its processes
 * listen at. A boot empties RUN; whoever brings the release back makes it again: the daemon, or before it the helper. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

/* RUN/NAME/N with its `public` link; and its removal with all sockets. */
int rundir_make(const char *run_dir, const char *projects_dir, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
int rundir_remove(const char *run_dir, struct str project, uint32_t release, struct err *e) WARN_UNUSED;
/* Listens at RUN/NAME/N/PROCESS.I.sock, mode 0660, group of the edge by the directory's set-group-id bit; what was there goes. The
 * descriptor or -1. */
int rundir_listen(const char *run_dir, struct str project, uint32_t release, struct str process, uint16_t instance, struct err *e) WARN_UNUSED;
/* Which release `path` is the folder of: what projects/NAME/live points at. False: of none of the project. */
bool rundir_release(const char *run_dir, struct str project, struct str path, uint32_t *ret);
