/* What passes between the daemon and the helper: one connection at a time, one message at hand in each direction.
 *
 *   daemon --- listen ---> monitor --- a socketpair for each connection, its end sent over `control` ---> helper
 *
 * Who connects is asked of the kernel (SO_PEERCRED). A request that breaks a rule (request.h) is answered and audited here; one that keeps
 * all goes on as it came, descriptors too. A message that is none, or the end of either side, ends the connection. Replies pass unread.
 * One thread, no allocation. */
#pragma once

#include "priv/priv.h"

#include <stdbool.h>
#include <sys/types.h>

#define PASS_CONNECT 0x1u

/* From the monitor to the helper, with the descriptor of a new connection's other end. */
struct pass_connection {
	uint32_t magic; /* PRIV_MAGIC */
	uint32_t what;	/* PASS_CONNECT */
};

struct pass {
	int listen, control; /* SOCK_SEQPACKET; not ours to close. control -1: the helper is gone */
	uid_t daemon_uid, own_uid;
	int daemon, helper; /* both ends of the connection; -1 */
	bool greeted;
	bool has_request, has_reply; /* what is at hand, with its descriptors */
	struct priv_request request;
	struct priv_reply reply;
	int request_fds[PRIV_FDS_MAX], reply_fds[PRIV_FDS_MAX];
	size_t request_fd_count, reply_fd_count;
};

void pass_open(struct pass *p, int listen, int control, uid_t daemon_uid, uid_t own_uid);
/* Waits at most wait_ms (-1: for ever), then does what there is to do. False: the helper has gone, and all that it said has been passed. */
bool pass_step(struct pass *p, int wait_ms);
void pass_close(struct pass *p);
