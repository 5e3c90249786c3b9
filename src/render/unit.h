/* Units of systemd for the processes of projects, from typed fields of fixed size, with the
 * guarantees of vhost.h: no allocation, no I/O, every field validated here again, and only
 * templates' own bytes beside inert values. For the helper only.
 *
 *   slipway-P.slice                 all that runs for a project, below slipway.slice
 *   slipway-PROJECT.PROCESS@.service        a process of the live release
 *   slipway-PROJECT.relay.PROCESS@.service  the relay to one that wants a port
 *   slipway-PROJECT.run.JOB@.service        the release command, one-off runs
 *   slipway-PROJECT.build.JOB@.service      fetch, build, check
 *
 * No name holds a dot, so each is told from every other. P is the project's name with each '-'
 * written "\x2d" (systemd.unit(5)): a plain dash would nest slices, and stopping `shop` would stop
 * `shop-eu`. Instances are called RELEASE.INSTANCE.KEY ("14.1.00000000000000a1"), the key the
 * keeper's own id: no two starts share a name, so systemd reads the file anew without a reload, and
 * a file is written only when limits change. */
#pragma once

#include "base/device.h"
#include "base/err.h"
#include "base/name.h"

#include <stdint.h>

#define RENDER_UNIT_TEXT_MAX 12288u
#define RENDER_UNIT_NAME_SIZE 256u /* systemd's own limit */
#define RENDER_UNIT_SECONDS_MAX 86400u

enum render_unit_kind {
	RENDER_UNIT_SLICE,
	RENDER_UNIT_SERVICE,
	RENDER_UNIT_RELAY,
	RENDER_UNIT_RUN,
	RENDER_UNIT_BUILD,
	RENDER_UNIT_KIND_COUNT
};

struct render_unit {
	enum render_unit_kind kind;
	char project[NAME_PROJECT_MAX + 1];
	char process[NAME_PROCESS_MAX + 1]; /* not for the slice */
	char user[NAME_PROJECT_MAX + 4];    /* of the helper's registry: "sw-…" */
	uint64_t memory_bytes, disk_bytes;  /* 0: no limit */
	uint32_t cpu_milli, tasks, files;
	uint32_t
	    cpu_share; /* percent of what others get when processors are short, 1 to 100; 0: as others */
	uint16_t cpu_first, cpu_last; /* processors that it may run on; 0 and 0: all */
	uint16_t port;		 /* of the project's block, on which it may listen; 0: none */
	uint32_t stop_timeout_s; /* 1 .. RENDER_UNIT_SECONDS_MAX */
	struct device_node nodes[DEVICE_NODES_MAX]; /* that it may open; not of a relay or a build */
	size_t node_count;
};

struct render_unit_roots {    /* absolute, from the helper's own start: [A-Za-z0-9._/-] only */
	const char *projects; /* /var/lib/slipway/projects */
	const char *exec;     /* slipway-exec */
	const char *supply;   /* the helper's socket */
};

/* Writes a unit's text and a final NUL; its length, or -1: ERR_INVALID, ERR_SETTINGS,
 * ERR_TOO_LARGE. */
long render_unit(const struct render_unit *u, const struct render_unit_roots *r, char *out,
    size_t size, struct err *e) WARN_UNUSED;
/* The file's name: "slipway-shop.web@.service". */
int render_unit_name(
    const struct render_unit *u, char out[RENDER_UNIT_NAME_SIZE], struct err *e) WARN_UNUSED;
/* "slipway-shop.web@14.1.00000000000000a1.service". Not for the slice. */
int render_unit_instance(const struct render_unit *u, uint32_t release, uint16_t instance,
    uint64_t key, char out[RENDER_UNIT_NAME_SIZE], struct err *e) WARN_UNUSED;
