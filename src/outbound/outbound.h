/* Asking others: HTTP and mail out of the platform. A program of its own, slipway-outbound, speaks
 * foreign TLS and HTTP; it has no sealing key, may write nowhere, and may reach no address that is
 * not public, judged when the socket is opened, unless an operator named its range. It is started
 * with the first request and ended when nothing was asked for 30 s.
 *
 * Everything on the loop thread. */
#pragma once

#include "loop/loop.h"
#include "outbound/frame.h"

struct outbound;
struct outbound_options {
	struct loop *loop;
	const char *program;	  /* absolute path of slipway-outbound */
	const char *const *allow; /* NULL-ended: address ranges that may be reached though they are
				     not public; may be NULL */
	const char
	    *ca_file; /* NULL: the system's certificate authorities alone; else these as well */
};
/* Everything named is borrowed. NULL with ERR_SETTINGS when a range is none. */
struct outbound *outbound_new(const struct outbound_options *o, struct err *e);
/* What was asked and is not answered gets no answer any more. NULL is fine. */
void outbound_free(struct outbound *o);

#define OUTBOUND_IN_FLIGHT_MAX 64u

/* Called once, on the loop, later than the call that asked. When the program could not be started
 * or died the outcome is OUTBOUND_UNREACHABLE. Strings live until it returns. */
typedef void outbound_fn(void *ctx, const struct outbound_answer *a);
/* -1: ERR_UNAVAILABLE when OUTBOUND_IN_FLIGHT_MAX are under way, ERR_TOO_LARGE. The request is
 * copied. */
int outbound_ask(struct outbound *o, const struct outbound_request *r, outbound_fn *fn, void *ctx,
    struct err *e) WARN_UNUSED;
size_t outbound_in_flight(const struct outbound *o);
const char *outbound_outcome_name(enum outbound_outcome o); /* "answered", "blocked", … */
