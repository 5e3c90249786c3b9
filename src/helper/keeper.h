/* The keeper: one thread, one poll loop. Performs what the monitor lets through of one daemon at a time,
 * supervises instances and the edge, ends everything when told or when no daemon has come for a
 * while. */
#pragma once

#include "helper/door.h"
#include "helper/edge.h"
#include "helper/front.h"
#include "helper/instances.h"
#include "helper/worker.h"
#include "priv/priv.h"

#include <stdbool.h>
#include <stdint.h>

#define KEEPER_REPLIES_MAX                                                                         \
	64u			 /* built, not sent yet: no request is read while there is no room \
				  */
#define KEEPER_PENDING_MAX 384u	 /* requests whose answer comes later */
#define KEEPER_SHUTDOWN_MS 15000 /* then everything is killed */

struct keeper_options {
	const char *socket; /* path; mode 0600, the daemon's */
	const char *monitor; /* absolute path of slipway-monitor, which listens there */
	uid_t daemon_uid;
	gid_t daemon_gid;
	const char *supply; /* path of the socket for units; NULL: instances are ours */
	const char *boot;   /* where starts are saved for the next boot; NULL: they are not */
	bool sites;	    /* text of nginx-site projects is taken: root said so */
	int64_t orphan_ms;  /* without a daemon for so long: the end */
	struct tenant_roots roots;
	struct instances_options instances;
	struct edge_options edge;
};

struct keeper_reply {
	struct priv_reply r;
	int fd; /* goes with it, then closed; -1 */
};

struct keeper_pending {
	bool used;
	uint32_t connection; /* which one asked */
	uint32_t op;
	uint64_t seq, token, value; /* value: what its answer says besides success */
	char project[NAME_PROJECT_MAX + 3];
	uint32_t release;
};

struct keeper {
	struct keeper_options o;
	uint64_t incarnation;
	struct instances *instances;
	struct edge *edge;
	struct worker worker;
	struct door door;
	struct front front;
	struct users users;
	int epoll, listen, signals, daemon; /* daemon: the connection that the monitor let in, -1 */
	bool greeted;			    /* it said HELLO */
	uint32_t wanted;		    /* what its socket is watched for */
	uint32_t connection;		    /* number of the connection */
	int64_t alone_since_ms;
	bool ending;
	bool leaving; /* for the next helper, which goes on with all that runs */
	int64_t end_by_ms;
	struct keeper_reply replies[KEEPER_REPLIES_MAX]; /* a ring */
	unsigned reply_first, reply_count;
	struct keeper_pending pending[KEEPER_PENDING_MAX];
	uint64_t next_token;
};

/* Listens, watches signals. The struct is large and lives for the whole process. */
int keeper_open(struct keeper *k, const struct keeper_options *o, struct err *e) WARN_UNUSED;
/* Until it is told to end, and everything has. */
void keeper_run(struct keeper *k);
void keeper_close(struct keeper *k); /* removes the socket */

/* For ops.c. */
void keeper_end(struct keeper *k); /* begins the end */
/* Remembers who is to be answered later; NULL with ERR_UNAVAILABLE when too many wait. */
struct keeper_pending *keeper_defer(struct keeper *k, const struct priv_request *q, struct err *e);
