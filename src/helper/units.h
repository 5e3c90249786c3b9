/* Instances as units of systemd, on a server: their files below /run/systemd/system, rendered here
 * from typed fields (render/unit.h), and systemctl. Each call of systemctl takes some ten
 * milliseconds, and blocks. */
#pragma once

#include "helper/instances.h"

/* Writes the files of the instance's unit and its slice where they differ, and has systemd start
 * it; returns before it runs. `nodes`: that it may open, at most DEVICE_NODES_MAX. */
int units_start(const struct instances_options *o, const struct instance *in,
    const struct device_node *nodes, size_t node_count, struct err *e) WARN_UNUSED;
/* SIGTERM to all its processes, later SIGKILL, as its file says; or SIGKILL at once. */
void units_stop(const struct instance *in);
void units_kill(const struct instance *in);
/* SIGTERM alone: how long it may take is not its file's to say; or any other signal. To all its processes. */
void units_end(const struct instance *in);
int units_signal(const struct instance *in, int signal, struct err *e) WARN_UNUSED;
/* Where it runs from now on; none: everywhere. */
int units_set_cpus(const struct instance *in, struct processors_range r, struct err *e) WARN_UNUSED;
/* It is gone: so is what systemd noted of that. */
void units_forget_cpus(const struct instance *in);
/* Zeros on control groups v1, where systemd does not confine. */
void units_read_turns(const struct instance *in, struct cgroup_turns *ret);
/* Whether the process is the one that systemd started for that unit. */
bool units_owns(const struct instance *in, pid_t pid);
/* Removes a project's files. */
void units_remove(struct str project);
/* Ends whatever of projects still runs, and removes all files. */
void units_clear(void);
