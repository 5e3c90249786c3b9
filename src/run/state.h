/* What the files of this room share. Private to them. */
#pragma once

#include "base/buf.h"
#include "run/run.h"

#include <stdbool.h>
#include <stddef.h>

#define RUN_OUT_MAX 1024u /* requests waiting for room in the socket */

/* Output of an instance, line by line. */
struct run_lines;
typedef void run_line_fn(void *ctx, struct str line);
typedef void run_end_fn(void *ctx);
/* Takes the descriptor. `end` runs once, when everybody closed the pipe; the object must then be
 * freed by its owner. */
struct run_lines *run_lines_new(
    struct loop *l, int fd, run_line_fn *line, run_end_fn *end, void *ctx);
/* Reads what is there now and hands over an unfinished last line; no callback of `end`. */
void run_lines_drain(struct run_lines *r);
void run_lines_free(struct run_lines *r);

struct run_record {
	struct priv_status st;
	struct run *run;
	struct run_lines *lines; /* of services */
	bool ours; /* a job that somebody here waits for: it is forgotten by run/job.c */
	bool taking, took, forgetting;
	int64_t ended_ms;
};

struct run_call {
	struct run_call *next;
	uint64_t seq;
	int64_t deadline_ms;
	uint32_t op;
	char project[NAME_PROJECT_MAX + 3];
	char process[NAME_PROCESS_MAX + 1];
	uint32_t release;
	uint16_t instance;
	run_done_fn *fn;
	void (*with_fd)(
	    void *ctx, int fd, const struct err *e); /* instead of fn: takes the descriptor */
	void *ctx;
	bool failed; /* could not be sent: e says why */
	struct err e;
};

struct run_stop_wait {
	struct run_stop_wait *next;
	struct run *run;
	uint64_t id;
	bool answered;
	run_done_fn *fn;
	void *ctx;
};

struct run_out {
	struct run_out *next;
	struct priv_request q;
	int fds[PRIV_FDS_MAX];
	size_t fd_count;
};

struct run {
	struct run_options o;
	int sock;
	struct loop_watch *watch;
	struct loop_timer *timer; /* deadlines, retries, first statuses */
	int64_t wake_ms;	  /* when it runs next */
	bool is_root, has_quota, lost, announced;
	uint64_t incarnation, seq;
	struct run_call *calls;
	struct run_stop_wait *stops;
	struct run_out *out, **out_end;
	size_t out_count;
	struct run_record **records;
	const struct priv_status **statuses; /* same order */
	size_t record_count, record_room;
	struct run_job *jobs;
};

/* Connects or starts the helper; the descriptor, non-blocking, or -1. Blocks. */
int run_connect(const struct run_options *o, struct err *e);

/* Like run_request for an operation that answers with a descriptor (-1 on error). */
void run_request_fd(struct run *r, const struct priv_request *q,
    void (*fn)(void *ctx, int fd, const struct err *e), void *ctx);
/* Fills the request of a spec; descriptors that were made for it are added to made[] and are the
 * caller's to close. */
int run_spec_request(const struct run_spec *s, int report_fd, struct priv_request *q,
    int fds[PRIV_FDS_MAX], size_t *ret_count, int made[3], struct err *e);
struct run_record *run_record_find(struct run *r, uint64_t id);
void run_forget(struct run *r, uint64_t id);

/* Jobs hear of every status, and of the end of the connection. */
void run_jobs_on_status(struct run *r, const struct priv_status *s);
void run_jobs_on_lost(struct run *r, const struct err *e);
void run_jobs_free(struct run *r);
