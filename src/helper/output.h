/* The pipe that an instance's words come through. */
#pragma once

#include "helper/instances.h"

/* Both ends, the instance's; the program may open /dev/stdout again. */
int output_open(const struct tenant_roots *roots, struct instance *in, struct err *e) WARN_UNUSED;
/* When nobody reads and the pipe is nearly full, the older half goes and is counted: a program
 * never blocks on its own words. */
void output_drop_old(struct instance *in);
