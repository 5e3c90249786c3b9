/* Operations that take long (useradd, walking trees) run one at a time in a forked copy of the
 * keeper, so that it goes on supervising. They are finished even when the daemon that asked is
 * gone. */
#pragma once

#include "helper/tenant.h"
#include "priv/priv.h"

#include <stdint.h>
#include <sys/types.h>

#define WORKER_WAITING_MAX 64
#define WORKER_TIME_MAX_MS 900000

struct worker_job {
	enum priv_op op;
	char project[NAME_PROJECT_MAX + 1];
	char site[NAME_SITE_MAX + 1]; /* of SITE_CERT_SET */
	uint32_t release;
	int statics;	     /* memory file or -1, also of sites; the job's own */
	uint64_t disk_bytes; /* PROJECT_ENSURE: the quota, where there are quotas; 0: none */
	uint64_t token;
};

struct worker_result {
	int code, sys;
	uint64_t value;
	char msg[512], hint[384];
};

struct worker {
	const struct tenant_roots *roots;
	struct worker_job waiting[WORKER_WAITING_MAX]; /* a ring */
	unsigned first, count;
	struct worker_job now;
	pid_t pid;  /* 0: idle */
	int result; /* read end, -1 */
	int64_t deadline_ms;
};

void worker_init(struct worker *w, const struct tenant_roots *roots);
/* Takes the job, and its descriptor when it answers 0. ERR_UNAVAILABLE when too many wait. */
int worker_add(struct worker *w, const struct worker_job *j, struct err *e) WARN_UNUSED;
/* Starts the next job when idle, kills one that is past its deadline. */
void worker_tick(struct worker *w, int64_t now_ms);
/* The job that is next becomes the last. */
void worker_postpone(struct worker *w);
/* The running job's child was reaped: true when it was, with what it answered. */
bool worker_reaped(
    struct worker *w, pid_t pid, int wait_status, uint64_t *ret_token, struct worker_result *ret);
