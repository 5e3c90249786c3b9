/* What instances.c (processes of our own, and what both have in common) and instances_unit.c (units
 * of systemd) share. Private to them. */
#pragma once

#include "helper/instances.h"
#include "launch/guest.h"

struct instances {
	struct instances_options o;
	struct cgroup_base groups;
	uint64_t next_serial;
	size_t used_end; /* no used slot at or above */
	size_t count;
	int64_t output_ms; /* next look at the pipes */
	int knocks;	   /* epoll of sleepers' sockets */
	struct instance v[INSTANCES_MAX];
};

void instance_close_kept(struct instance *in);
void instance_set_state(struct instance *in, enum priv_state state);
int instance_fill_guest(const struct instances *t, const struct instance *in, struct guest *g,
    struct err *e) WARN_UNUSED;
/* It runs now, as pid; 0: not known yet. */
void instance_count_start(struct instance *in, pid_t pid);
/* Nothing of it is left: it starts again after a pause, or is at its end. */
void instance_ended(
    struct instances *t, struct instance *in, int status, struct cgroup_events now, int64_t now_ms);

/* It starts again; when that fails, after a pause. */
void instance_restart(struct instances *t, struct instance *in, int64_t now_ms);
/* Asks it to end. */
void instance_ask_end(struct instance *in, int64_t kill_ms);

/* instances_sleep.c: it has ended to sleep; nobody may wake it any more. */
void instance_fall_asleep(struct instances *t, struct instance *in);
void instance_forget_knock(struct instances *t, const struct instance *in);

/* Sets the quota of its tenant's user, where there are quotas: the greatest limit that a living
 * process of his was started with. When none is alive it stays. */
void instance_keep_quota(struct instances *t, const struct instance *of);
/* Did it end because there was no room left in it? */
bool instance_met_quota(const struct instances *t, const struct instance *in, int wait_status);

int instance_start_unit(struct instances *t, struct instance *in, struct err *e) WARN_UNUSED;
/* What a unit owes us: that it asks, and that it tells its end. */
void instance_look_after_unit(struct instances *t, struct instance *in, int64_t now_ms);
