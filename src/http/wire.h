/* The one place that knows the packaged HTTP parser (http-parser 2.9 on Debian 12). It is the
 * second opinion on what the raw scan let through, and it decodes chunked bodies. One struct
 * http_wire is one message. */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* Room for the library's state, which only wire.c sees. */
struct http_wire {
	_Alignas(8) unsigned char state[64];
};

/* What the parser made of a head; to be compared with the scan. */
struct http_wire_head {
	struct str target;
	uint64_t content_length; /* 0 when chunked or absent */
	bool chunked, keep_alive, body;
};

/* Body bytes as they are decoded; -1 stops the message. */
typedef int http_wire_body_fn(void *ctx, const char *p, size_t n);

/* Starts a request with its complete head. -1 when the parser finds fault. */
int http_wire_head(struct http_wire *w, struct str method, const char *p, size_t n,
    struct http_wire_head *ret) __attribute__((warn_unused_result));
/* Further bytes of the same message, none beyond its end. -1 on a fault or when fn said so. */
int http_wire_body(struct http_wire *w, const char *p, size_t n, http_wire_body_fn *fn, void *ctx,
    bool *ret_done) __attribute__((warn_unused_result));

/* The first bytes of an answer: its final status (1xx are passed over) once the head is complete, 0
 * when more is needed, -1 when it is no HTTP/1 answer. */
int http_wire_answer(const char *p, size_t n) __attribute__((warn_unused_result));

const char *http_wire_reason(int status); /* "Not Found"; "Status" for numbers without a name */
