/* Node on this machine: is the version there that a project asks for, and node_modules by the tool whose lock file is there. */
#pragma once

#include "base/buf.h"
#include "tree/options.h"

/* need-node: --also "20" or "20.11". */
int node_need(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
/* node-install: --lock yarn.lock or pnpm-lock.yaml, --top, --dev with what only building needs. The lock file is held to; the
 * tool's store is cache/ of the project, and node_modules shares no file with it. SAY_SETTINGS names what to install when the tool
 * is missing or of another generation than the lock file. */
int node_install(const struct options *o, struct buf *report, struct err *e) WARN_UNUSED;
