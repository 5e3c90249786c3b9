/* Server-sent events, the receiving side (WHATWG HTML §9.2.6). Bytes go in as they come; whole
 * events come out. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#define SSE_EVENT_BYTES_MAX (2u << 20)
#define SSE_ID_SIZE 64

/* One event. id: the last one seen, also of an earlier event; event: "message" when none was said.
 * Valid during the call. Not 0: stop reading. */
typedef int sse_fn(void *ctx, struct str id, struct str event, struct str data);

struct sse {
	sse_fn *fn;
	void *ctx;
	struct buf line, data;
	char event[32];
	char id[SSE_ID_SIZE]; /* to be sent as Last-Event-ID when the stream breaks */
	bool skip_lf, begun;  /* a CR ended the last line; the first line was read */
};

void sse_init(struct sse *s, sse_fn *fn, void *ctx);
void sse_fini(struct sse *s);
/* A new connection: what was half there is dropped, the id stays. */
void sse_reset(struct sse *s);
/* 0; 1: fn said to stop; -1: an event is larger than SSE_EVENT_BYTES_MAX. */
int sse_feed(struct sse *s, struct str bytes, struct err *e) WARN_UNUSED;
