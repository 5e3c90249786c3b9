/* The monitor in front of the helper (monitor/): started with it, started anew when it dies, and what it lets in. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct front {
	const char *program; /* absolute path of slipway-monitor */
	int listen;	     /* borrowed */
	uid_t daemon_uid;
	pid_t pid;   /* 0: none now */
	int control; /* our end; -1 */
	int64_t started_ms, again_ms; /* again_ms: when the next is started, while there is none */
};

/* Starts the first. -1: ERR_SETTINGS when there is no such program, ERR_UNAVAILABLE. */
int front_open(struct front *f, const char *program, int listen, uid_t daemon_uid, struct err *e) WARN_UNUSED;
/* The next connection that it let in: a descriptor for the caller, non-blocking; -1: none now. */
int front_take(struct front *f);
/* True: the monitor it was, and control is closed. */
bool front_reaped(struct front *f, pid_t pid, int wait_status, int64_t now_ms);
/* Starts another where one is missing; true: control is a new one, to be watched. When it wants to be called again: *ret_due. */
bool front_tick(struct front *f, int64_t now_ms, int64_t *ret_due);
void front_close(struct front *f);
