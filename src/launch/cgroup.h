/* Control groups of instances: limits on memory, processor and tasks, and a sure way to kill
 * everything that an instance left behind. Groups stand below the group we were started in (so they
 * keep its limits), in a folder slipway-LABEL: one folder per hierarchy, v2 where it has the
 * controllers, else the v1 hierarchies (memory, cpu, pids, cpuset). Whatever is not there or not writable
 * is left out; cgroup_abilities says what works. No allocation after cgroup_open.
 *
 * An instance's group is named by a component [a-z0-9.-]+; everything here is stateless but for the
 * folders. */
#pragma once

#include "base/err.h"
#include "launch/processors.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_FDS_MAX 5

struct cgroup_base {
	int v2;		       /* folder in the unified hierarchy, -1 */
	int memory, cpu, pids, cpuset; /* folders in v1 hierarchies, -1 */
	bool v2_memory, v2_cpu, v2_pids, v2_cpuset;
	char path[CGROUP_FDS_MAX][256]; /* of the folders, for their removal */
};

struct cgroup_limits {
	uint64_t memory_bytes;
	uint32_t cpu_milli, tasks;
	uint32_t
	    cpu_share; /* when processors are short, percent of what others get; 0: as others */
	struct processors_range cpus;
};

struct cgroup_events {
	uint64_t oom_kills, tasks_refused;
};

/* Periods (100 ms) in which it ran at all, and those of them in which its processor limit stopped it. */
struct cgroup_turns {
	uint64_t periods, throttled;
};

/* Finds what can be used and makes the folders; kills and removes what an earlier user of the label
 * left. Never fails. */
void cgroup_open(struct cgroup_base *b, const char *label);
/* Kills what is left in the groups and removes all of it; waits up to half a second for each that
 * is still dying. */
void cgroup_close(struct cgroup_base *b);
bool cgroup_has_memory(const struct cgroup_base *b);
bool cgroup_has_tasks(const struct cgroup_base *b);
bool cgroup_has_kill(const struct cgroup_base *b);

/* Makes the group with its limits (0: none); an existing one gets the new limits. -1 when a limit
 * could not be set. */
int cgroup_make(const struct cgroup_base *b, const char *name, const struct cgroup_limits *l,
    struct err *e) WARN_UNUSED;
/* Descriptors of the group's cgroup.procs: a process that writes "0" into each has joined.
 * Close-on-exec; returns how many. */
size_t cgroup_join_fds(const struct cgroup_base *b, const char *name, int fds[CGROUP_FDS_MAX]);
void cgroup_read_events(const struct cgroup_base *b, const char *name, struct cgroup_events *ret);
/* Zeros where there is no processor limit. */
void cgroup_read_turns(const struct cgroup_base *b, const char *name, struct cgroup_turns *ret);
/* The same of any group of v2, by its path below the top. Zeros where the machine has v1. */
void cgroup_read_turns_at(const char *path, struct cgroup_turns *ret);
/* All that is in it runs there from now on. False where the kernel does not do that. */
bool cgroup_set_cpus(const struct cgroup_base *b, const char *name, struct processors_range r);
/* Of the group that we are in, whoever made it. */
void cgroup_read_own_events(struct cgroup_events *ret);
/* SIGKILL to everything in the group; returns false when nothing was in it. */
bool cgroup_kill(const struct cgroup_base *b, const char *name);
/* Removes it; false while a dying process still holds it (call again). Absent is true. */
bool cgroup_remove(const struct cgroup_base *b, const char *name);
