/* The supervisor seam, from the daemon's side: starts, watches and stops a project's processes and
 * jobs. All calls and callbacks on the loop thread. Embedded: over the keeper's socket; the keeper
 * outlives the daemon, and run_open on a living one finds everything that runs. */
#pragma once

#include "base/args.h"
#include "base/err.h"
#include "loop/loop.h"
#include "priv/priv.h"

struct run;
struct run_job;

struct run_operation {
	const char *name;    /* "release-seal"; "unknown" */
	const char *project; /* may be empty, as may be the process */
	const char *process;
	uint32_t release; /* 0: of none */
	uint16_t instance;
};

struct run_options {
	struct loop *loop;
	const char *helper_path; /* started when nobody listens on socket_path; NULL: waited for */
	const char *const *helper_args; /* NULL-ended, after argv[0] */
	const char *socket_path;
	/* Every status record that changes, and all of them once in the first turn of the loop
	 * after run_open. Records of what has ended are forgotten by themselves once their last
	 * lines were handed over. */
	void (*on_status)(void *ctx, const struct priv_status *s);
	/* Output of services, line by line (at most LIMIT_LOG_LINE_BYTES, without the newline). */
	void (*on_line)(void *ctx, const struct priv_status *s, struct str line);
	/* An operation that changes something was performed (why NULL), or the helper would not have it as it was (not: it failed, or came at a
	 * bad moment). */
	void (*on_operation)(void *ctx, const struct run_operation *o, const struct err *why);
	void (*on_lost)(void *ctx, const struct err *e); /* the keeper is gone */
	void *ctx;
};

/* Connects, or starts the helper and connects (waits up to 10 s); blocks; at daemon start only. */
struct run *run_open(const struct run_options *o, struct err *e);
void run_close(struct run *r); /* leaves everything running */
bool run_is_root(const struct run *r);
/* The disk limit of a project is a quota that the kernel holds; any thread. */
bool run_has_quota(const struct run *r);
uint64_t run_incarnation(const struct run *r);

typedef void run_done_fn(void *ctx, uint64_t value, const struct err *e); /* e NULL: success */

/* A request without descriptors or with them (duplicated; the caller keeps its own). Deadline 60 s.
 */
void run_request(struct run *r, const struct priv_request *q, const int *fds, size_t fd_count,
    run_done_fn *fn, void *ctx);

struct run_spec {
	struct str project;
	uint32_t release;
	struct str process; /* or the job's name: "fetch", "build", "check", "release", "run" */
	uint16_t instance;
	enum priv_class class;
	enum priv_sandbox sandbox;
	enum priv_program program;
	struct str subdir;
	const struct args *argv;
	const struct args
	    *env; /* KEY=value; the sandbox adds HOME, PATH, TMPDIR, LANG, PORT, LISTEN_… */
	struct str
	    secret; /* given to the program on a descriptor ($SLIPWAY_SECRET_FD); may be empty */
	struct priv_limits limits;
	uint32_t stop_timeout_ms, time_limit_ms;
	uint32_t watchdog_ms; /* 0: none */
	uint32_t ready_ms;    /* it runs once it says so, which it must by then; 0: it need not */
	uint16_t port;
	int listen_fd;	 /* -1 none */
	int terminal_fd; /* -1 none */
	int stdin_fd;	 /* -1: /dev/null */
};

/* Starts a service; value is the instance id. */
void run_start(struct run *r, const struct run_spec *s, run_done_fn *fn, void *ctx);
void run_stop(struct run *r, uint64_t id, uint32_t stop_timeout_ms, run_done_fn *fn,
    void *ctx); /* done when it has ended */
void run_signal(struct run *r, uint64_t id, int signal);
/* A service that listens ends, and is started again by the keeper as soon as somebody knocks; the
 * program behind a relay likewise. */
void run_sleep(struct run *r, uint64_t id);
/* From its next start on it may open, of the devices that it was started with, only these. */
void run_narrow(struct run *r, uint64_t id, uint32_t devices);
/* The records as last heard; NULL-safe iteration: returns the count, *ret points at internal
 * storage until the next event. */
size_t run_statuses(struct run *r, const struct priv_status *const **ret);

/* A job: output (stdout and stderr together, or stdout alone into `report` when report_max > 0) and
 * its end. */
struct run_job_callbacks {
	void (*output)(void *ctx, struct str line);
	/* status as from waitpid(2); limit_hit says which limit ended it; e set when it could not
	 * run at all. */
	void (*ended)(void *ctx, int wait_status, enum priv_limit_hit limit_hit, struct str report,
	    const struct err *e);
	void *ctx;
	size_t report_max;
};
struct run_job *run_job_start(
    struct run *r, const struct run_spec *s, const struct run_job_callbacks *cb);
void run_job_cancel(struct run_job *j); /* kills; `ended` still comes */
/* To its process group; nothing when it does not run (yet). */
void run_job_signal(struct run_job *j, int signal);
