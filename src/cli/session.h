/* The two ends of a one-off command, joined: the terminal here, frames there. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

struct session {
	void *curl; /* of net_raw_open; the caller's */
	int fd;
	bool terminal;	    /* raw mode, window size, keys as input */
	struct buf in, out; /* frames that came in part; frames to be sent */
	char why[512];	    /* what the server said of the end, as it came; may be empty */
};
void session_init(struct session *s); /* the buffers */
void session_fini(struct session *s);
/* Until the command has ended: its exit status in *ret_code. Signals go to the command; the
 * terminal is as before on return. -1: the connection broke. */
int session_run(struct session *s, int *ret_code, struct err *e) WARN_UNUSED;
