/* Kinds of devices that a project may be granted, beside the few pseudo devices that every program has, and the nodes below /dev that
 * they stand for. A set of kinds is a bit mask, 1u << kind.
 *
 *   gpu   nvidiaN nvidiactl nvidia-uvm nvidia-uvm-tools nvidia-caps/nvidia-capN   (NVIDIA's: to compute; not the display's nvidia-modeset)
 *         dri/renderDN                                                           (the kernel's own drivers': render nodes, never cardN)
 *         kfd                                                                    (AMD's: to compute) */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum device {
	DEVICE_GPU, /* processors of graphics cards */
	DEVICE_COUNT
};
#define DEVICE_ALL ((1u << DEVICE_COUNT) - 1)
#define DEVICE_NODES_MAX 40u /* of one program */
#define DEVICE_PATH_SIZE 40u

struct device_node {
	char path[DEVICE_PATH_SIZE]; /* "/dev/dri/renderD128" */
	gid_t group; /* of those who may open it, where not everybody may; 0: none is needed */
};

const char *device_name(enum device d); /* "gpu" */
/* ERR_INVALID. */
int device_parse(struct str s, enum device *ret, struct err *e) WARN_UNUSED;
/* Whether a kind of the set has nodes of that path. */
bool device_has_node(uint32_t devices, const char *path);
/* Where nodes are: "" for /dev itself, or a folder below it; NULL beyond the last. */
const char *device_folder(size_t i);
