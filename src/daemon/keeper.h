/* The helper as this daemon's settings and folders want it: started, with what it is told for its life, or found. */
#pragma once

#include "access/access.h"
#include "access/trail.h"
#include "daemon/layout.h"
#include "run/run.h"

/* Before the way from root down. `o` has the loop and the callbacks. On a server nothing is started: process 1 does. Blocks; NULL on error. */
struct run *keeper_start(const struct settings *s, const struct layout *l, struct run_options *o, struct err *e);
/* Into the audit trail: what it did (why NULL), or would not do. Either part may not be there yet, or any more. */
void keeper_note(struct access *a, struct trail *t, const struct run_operation *o, const struct err *why);
