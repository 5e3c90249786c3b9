/* The helper as this daemon's settings and folders want it: started, with what it is told for its life, or found. */
#pragma once

#include "daemon/layout.h"
#include "run/run.h"

/* Before the way from root down. `o` has the loop and the callbacks. On a server nothing is started: process 1 does. Blocks; NULL on error. */
struct run *keeper_start(const struct settings *s, const struct layout *l, struct run_options *o, struct err *e);
