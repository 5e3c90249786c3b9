/* On a server systemd starts the processes of projects, and knows nothing of them but the name of
 * their unit. slipway-exec, already the tenant, asks the helper's supply socket (SOCK_SEQPACKET)
 * for the rest: its command line and its descriptors. When the unit has ended slipway-exec runs
 * once more, as root, and tells how. One message each way on a connection:
 *
 *   question   struct supply_question
 *   answer     magic u32 | flags u32 | the command line of guest.h, each argument ended by NUL;
 * with it, by SCM_RIGHTS, the descriptors that flags name, in the order of the bits. Only to
 *              SUPPLY_TAKE, and once
 *
 * Numbers are the machine's: both ends are one build. Who asks is known by SO_PEERCRED. */
#pragma once

#include "launch/cgroup.h"
#include "launch/guest.h"

#include <stdbool.h>

#define SUPPLY_MAGIC 0x59505553u /* "SUPY" */

enum supply_fd {
	SUPPLY_STDIN,
	SUPPLY_STDOUT,
	SUPPLY_STDERR,
	SUPPLY_LISTEN,
	SUPPLY_ARGV,
	SUPPLY_ENV,
	SUPPLY_SECRET,
	SUPPLY_FD_COUNT
};

enum supply_op { SUPPLY_TAKE = 1, SUPPLY_ENDED };

struct supply_question {
	uint32_t magic, op;
	uint64_t key;	     /* names the instance */
	int32_t wait_status; /* ENDED: as from waitpid(2) */
	uint32_t zero;
	struct cgroup_events events; /* ENDED: of its control group */
};

struct supply {
	int fds[SUPPLY_FD_COUNT]; /* -1: none; the three first then are /dev/null */
	bool terminal;		  /* SUPPLY_STDIN is one, and becomes the controlling one */
};

/* The helper's end. Reads the question of a connection: 1, 0 not there yet, -1 with e: it is none,
 * or the peer has gone. */
int supply_read(int conn, struct supply_question *ret, struct err *e) WARN_UNUSED;
/* Answers; the descriptors stay the caller's. Does not block. */
int supply_give(int conn, const struct guest *g, const struct supply *s, struct err *e) WARN_UNUSED;

/* slipway-exec's end. `unit` is the instance part of the unit's name, which ends in '.' and the
 * key, 16 hexadecimal digits. Connects, asks, waits at most 10 s, puts descriptors where guest.h
 * and every program expects them, takes the terminal, and parses the command line. */
int supply_take(const char *path, const char *unit, struct guest *ret, struct err *e) WARN_UNUSED;
/* Tells that the unit has ended, from systemd.exec(5)'s $EXIT_CODE and $EXIT_STATUS; NULL: it never
 * started. */
int supply_tell_end(const char *path, const char *unit, const char *exit_code,
    const char *exit_status, struct err *e) WARN_UNUSED;
/* The wait status of these two. */
int supply_wait_status(const char *exit_code, const char *exit_status);
