/* What instances.c (processes of our own, and what both have in common) and instances_unit.c (units
 * of systemd) share. Private to them. */
#pragma once

#include "helper/instances.h"
#include "launch/guest.h"
#include "launch/nodes.h"

/* Whether what an earlier helper left is laid out as ours is, see instances_keep.c. */
struct instances_mark {
	uint32_t layout, record_bytes;
	uint64_t bytes;
	uint32_t unsteady; /* helpers that took this over and have not run for long */
};

struct instances {
	struct instances_mark mark;
	struct instances_options o;
	struct cgroup_base groups;
	uint64_t next_serial;
	size_t used_end; /* no used slot at or above */
	size_t count;
	int64_t began_ms;  /* this helper */
	int64_t output_ms; /* next look at the pipes */
	int64_t cpus_ms;   /* next look at who uses up a processor limit, */
	size_t cpus_next;  /* which goes on with this one of them */
	int knocks;	   /* epoll of sleepers' sockets */
	int notices;	   /* epoll of sockets that programs speak to */
	struct instance v[INSTANCES_MAX];
};

void instance_close_kept(struct instance *in);
void instance_set_state(struct instance *in, enum priv_state state);
int instance_fill_guest(const struct instances *t, const struct instance *in, struct guest *g,
    struct err *e) WARN_UNUSED;
/* The nodes that it may open, at most DEVICE_NODES_MAX. ERR_UNAVAILABLE: it may, and there is none. */
int instance_nodes(const struct instances_options *o, const struct instance *in, struct device_node *out,
    size_t *ret_count, struct err *e) WARN_UNUSED;
/* It runs now, as pid; 0: not known yet. */
void instance_count_start(struct instance *in, pid_t pid);
/* Names of its own: of its control group, and of whatever it starts, in their environment. */
void instance_group_name(const struct instance *in, char out[24]);
const char *instance_key(const struct instances *t, const struct instance *in, char out[GUEST_KEY_MAX + 1]);
/* What it holds on disk; tmp is where its folder's name goes. */
struct disk_place instance_place(const struct instances *t, const struct instance *in, char tmp[GUEST_TMP_MAX]);

/* instances_end.c: it starts again after a pause. */
void instance_back_off(struct instance *in, int64_t now_ms);
/* It is over; its record stays until it is forgotten. */
void instance_finish(struct instances *t, struct instance *in);
/* A job's processes are gone; it has ended when what it holds on disk is known, too. */
void instance_finish_job(struct instances *t, struct instance *in, int64_t now_ms);
/* Nothing of it is left: it starts again after a pause, or is at its end. */
void instance_ended(
    struct instances *t, struct instance *in, int status, struct cgroup_events now, int64_t now_ms);

/* Ends all its processes at once. */
void instance_kill(struct instances *t, struct instance *in);
/* It starts again; when that fails, after a pause. */
void instance_restart(struct instances *t, struct instance *in, int64_t now_ms);
/* Asks it to end. */
void instance_ask_end(struct instance *in, int64_t kill_ms);

/* instances_sleep.c: it has ended to sleep; nobody may wake it any more. */
void instance_fall_asleep(struct instances *t, struct instance *in);
void instance_forget_knock(struct instances *t, const struct instance *in);
/* Who knocks at its socket is heard from now on; -1. */
int instance_hear_knock(struct instances *t, const struct instance *in) WARN_UNUSED;

/* instances_notice.c: where a program says that it is ready and alive, when its record wants that. */
int instance_notice_open(struct instances *t, struct instance *in, struct err *e) WARN_UNUSED;
/* It is heard again, after a time in which nobody listened. */
void instance_notice_adopt(struct instances *t, struct instance *in, int64_t now_ms);
/* The socket's path for the program; empty: it has none. */
int instance_notice_name(const struct instances *t, const struct instance *in, char out[GUEST_NOTIFY_MAX], struct err *e) WARN_UNUSED;
void instance_notice_close(struct instances *t, struct instance *in);
/* It starts now: nothing was said yet. */
void instance_notice_begin(struct instance *in);
/* Kills one that has been silent for too long. When to call again; 0: never. */
int64_t instance_notice_tick(struct instances *t, struct instance *in, int64_t now_ms);

/* instances_keep.c: the table, which outlives us where something is kept (helper/keep.h); *ret_adopted: an earlier helper's. */
struct instances *instances_table(bool *ret_adopted);
/* A new one may be taken over by the next helper from now on: nothing of before is left that it does not know. */
void instances_ready(struct instances *t);
/* What an earlier helper left goes on. */
void instances_adopt(struct instances *t);
/* Its descriptors outlive us from now on. */
void instance_keep(const struct instance *in);
/* They no longer do, but for out_read, and are somebody else's. */
void instance_forget_kept(struct instance *in);
/* One of them no longer does; closes it. Of the output pipe that is out_read; out_write comes from it. */
void instance_close(const struct instance *in, int *fd);

/* instances_boot.c: what it was started with is there for the next boot, or no longer. */
void instance_boot_put(const struct instance *in);
void instance_boot_drop(struct instances *t, const struct instance *in);

/* Sets the quota of its tenant's user, where there are quotas: the greatest limit that a living
 * process of his was started with. When none is alive it stays. */
void instance_keep_quota(struct instances *t, const struct instance *of);
/* Did it end because there was no room left in it? */
bool instance_met_quota(const struct instances *t, const struct instance *in, int wait_status);

/* instances_cpus.c */
void instances_cpus_open(struct instances *t);
/* When to call again; DEADLINE_NEVER: nobody has a limit. */
int64_t instances_cpus_tick(struct instances *t, int64_t now_ms);
/* Where it is to be started. */
struct processors_range instance_cpus(const struct instance *in);
/* It has ended for good. */
void instance_cpus_end(const struct instances *t, struct instance *in);

int instance_start_unit(struct instances *t, struct instance *in, struct err *e) WARN_UNUSED;
/* What a unit owes us: that it asks, and that it tells its end. */
void instance_look_after_unit(struct instances *t, struct instance *in, int64_t now_ms);
