/* The device nodes that are there (base/device.h has their names): character devices of root's. Links are not followed. */
#pragma once

#include "base/device.h"

/* Fills `out` by path; how many there are, at most DEVICE_NODES_MAX. `dir` is where they are seen: "/dev", or what is a window to it.
 * Looks only, allocates nothing. */
size_t nodes_find(const char *dir, uint32_t devices, struct device_node out[DEVICE_NODES_MAX]);
