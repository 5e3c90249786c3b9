/* The table of everything that the keeper runs: services, restarted with a growing pause until
 * stopped, and jobs, run once. Fixed size, no allocation. One record per instance, found again by
 * its id (never reused in one incarnation).
 *
 * RUNNING is STARTING first for a program that says when it is ready.
 *
 *            start        exit, service           due            stop           exit
 *   (free) -------> RUNNING -----------> BACKOFF -----> RUNNING ------> STOPPING ----> ENDED
 * --forget--> (free)
 *                      \___________________ exit, job ____________________________________/
 *
 * A service that is put to sleep ends into ASLEEP instead; a knock at its socket, or at that of
 * another of its release, starts it again. What stands behind a relay sleeps once the relay does.
 *
 * Kept for a service between runs: the lists, the secret, the listening socket and both ends of the
 * output pipe. */
#pragma once

#include "base/err.h"
#include "helper/disk.h"
#include "helper/tenant.h"
#include "launch/cgroup.h"
#include "launch/supply.h"
#include "priv/priv.h"
#include "render/unit.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define INSTANCES_MAX 16384u
#define INSTANCES_BACKOFF_FIRST_MS 100
#define INSTANCES_BACKOFF_MAX_MS 30000
#define INSTANCES_STEADY_MS 10000 /* up this long: the next pause is the first again */
#define INSTANCES_STOP_DEFAULT_MS 10000

enum instance_fd {
	INSTANCE_ARGV,
	INSTANCE_ENV,
	INSTANCE_LISTEN,
	INSTANCE_SECRET,
	INSTANCE_STDIN,
	INSTANCE_STDOUT,
	INSTANCE_NOTIFY, /* where its program says that it is ready, and alive */
	INSTANCE_FD_COUNT
};

/* Of a service with a processor limit. */
struct instance_cpus {
	struct cgroup_turns seen;	/* at the last look */
	struct processors_range range;	/* that it is confined to */
	int64_t greedy_ms;		/* when it was last seen to use it up */
	int64_t again_ms;		/* no earlier is it confined again */
};

struct instance {
	struct priv_status st; /* st.id 0: free */
	struct priv_start spec;
	uint32_t user_number;
	int fd[INSTANCE_FD_COUNT]; /* -1: none; ours */
	int out_read, out_write;
	unsigned failures;  /* in a row, for the pause */
	int64_t restart_ms; /* BACKOFF: when */
	int64_t term_ms;    /* the time limit of a job, 0: none */
	int64_t kill_ms;    /* STOPPING: when SIGKILL follows */
	int64_t ready_by_ms, alive_by_ms; /* until when its program must say so; 0: it need not */
	bool stopping;	    /* somebody asked for the end */
	bool sleeping;	    /* at its end it is asleep */
	bool changed;	    /* the daemon has not heard of it yet */
	bool purged;	    /* its project is being removed: the record goes once it has ended */
	bool output_taken;  /* by the daemon that is connected */
	bool group;	    /* has a control group */
	bool group_left;    /* that is still to be removed */
	struct cgroup_events seen;
	struct disk_watch disk; /* jobs that fetch or build */
	struct instance_cpus cpus;
	/* As a unit of systemd: */
	bool unit;	   /* it was started, and has not told its end */
	bool supplied;	   /* what it needs was handed out, once per start */
	int64_t supply_ms; /* until when it should have asked */
	int64_t gone_ms;   /* since when its process is seen no more */
};

struct instances_options {
	const struct tenant_roots *roots;
	const char *exec, *tree; /* absolute paths of slipway-exec and slipway-tree */
	const char *label;	 /* names our control groups */
	const char *devices;	 /* where device nodes are seen: /dev, or a window to it */
	bool private_tmp;	 /* no program or project lies below /tmp */
	uint64_t incarnation;
	/* Instances are units of systemd; NULL: processes of ours. */
	const struct render_unit_roots *units;
};

struct instances;
/* The one table of the process. Where descriptors outlive a helper (helper/keep.h) it is the one of the helper before, and what
 * that started runs on; whatever nobody has taken of them by now is these instances', or let go of. */
struct instances *instances_open(const struct instances_options *o);
/* The options', or that of the helper whose table it was first. */
uint64_t instances_incarnation(const struct instances *t);
/* This helper did well with the table: the next one may take it over. Else a few that die soon after each other are enough. */
void instances_steady(struct instances *t);
/* stay: for the next helper, which takes them over; else all ends. */
void instances_close(struct instances *t, bool stay);

/* What services are started with is saved below state_dir from now on. Where the table is new, as after a boot, what was saved of live
 * releases listens again at once, and is started one after the other (instances_tick). */
void instances_boot_open(struct instances *t, const char *state_dir);
/* Whatever is stopped from now on ends with this helper, and is wanted again after the next start. */
void instances_boot_final(void);

/* Takes the descriptors (indices of spec's fd_… fields into fds) only on success. *ret_id names the
 * instance. */
int instances_start(struct instances *t, struct str project, const struct priv_start *spec,
    const int *fds, uint64_t *ret_id, struct err *e) WARN_UNUSED;
/* The same of a service that may wait for its turn: it is there and listens, and is started by instances_tick. */
int instances_start_soon(struct instances *t, struct str project, const struct priv_start *spec,
    const int *fds, uint64_t *ret_id, struct err *e) WARN_UNUSED;
/* NULL when there is none. Valid until it is forgotten. */
struct instance *instances_find(struct instances *t, uint64_t id);
/* In any order; *at starts at 0; NULL at the end. */
struct instance *instances_next(struct instances *t, size_t *at);
size_t instances_count(const struct instances *t);
size_t instances_alive(const struct instances *t); /* that have a process, or will have one again */

/* SIGTERM to all its processes, SIGKILL after timeout_ms (0: its own, or 10 s). Ended already:
 * nothing. */
void instances_stop(struct instances *t, struct instance *in, uint32_t timeout_ms);
/* Puts a service that listens to sleep; asleep already: nothing. ERR_CONFLICT when it does not
 * listen, or does not run. */
int instances_sleep(struct instances *t, struct instance *in, struct err *e) WARN_UNUSED;
/* Readable when somebody knocks at a sleeper's socket; then instances_knocked wakes it. */
int instances_knock_fd(const struct instances *t);
void instances_knocked(struct instances *t);
/* Readable when a program says something of itself; then instances_noticed hears it. */
int instances_notice_fd(const struct instances *t);
void instances_noticed(struct instances *t);
/* From its next start on it may open, of the devices that it was started with, only these. */
void instances_narrow(struct instance *in, uint32_t devices);
int instances_signal(
    struct instances *t, struct instance *in, int signal, struct err *e) WARN_UNUSED;
/* Drops the record of an instance that has ended. ERR_CONFLICT otherwise. */
int instances_forget(struct instances *t, struct instance *in, struct err *e) WARN_UNUSED;
/* The daemon has been told the present status. */
void instances_told(struct instances *t, struct instance *in);
/* The quota that a project's user has while one of these limits is asked for: the greatest of it
 * and of what his living processes were started with. 0 is no limit, the greatest. */
uint64_t instances_quota(struct instances *t, struct str project, uint64_t bytes);
/* Ends all of a project's instances at once and forgets them when they have ended. */
void instances_purge(struct instances *t, struct str project);

/* slipway-exec asks for what its instance was started with, or tells how it ended
 * (launch/supply.h). Checks that it is the tenant's, in the instance's unit, and the first to ask;
 * or root. Does not close conn. */
int instances_asked(struct instances *t, const struct supply_question *q, uid_t uid, pid_t pid,
    int conn, struct err *e) WARN_UNUSED;
/* A child was reaped: true when it was an instance's. */
bool instances_reaped(struct instances *t, pid_t pid, int wait_status, int64_t now_ms);
/* Restarts, limits, kills that are due; when nobody reads, old output is dropped. Returns when it
 * wants to be called again. */
int64_t instances_tick(struct instances *t, int64_t now_ms, bool daemon_reads);
