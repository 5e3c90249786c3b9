/* One HTTP/1.1 request to a Unix socket or loopback port from the loop thread: health checks, and a
 * hook's test. Never follows redirects, never TLS, never a name that needs resolving. */
#pragma once

#include "base/err.h"
#include "base/str.h"
#include "loop/loop.h"

struct http_probe_options {
	const char *unix_path; /* or NULL and a port on 127.0.0.1 */
	uint16_t port;
	const char *path;    /* "/healthz" */
	const char *host;    /* Host header */
	const char *proto;   /* X-Forwarded-Proto, "http" or "https" */
	const char *headers; /* more of them, complete lines; NULL: none */
	struct str body;     /* p not NULL: it is a POST */
	int64_t deadline_ms; /* absolute, monotonic */
};
/* status 100..599 with e NULL, or 0 with why it failed ("connection refused", "no answer in 5 s").
 */
typedef void http_probe_fn(void *ctx, int status, const struct err *e);
struct http_probe;
struct http_probe *http_probe_start(
    struct loop *l, const struct http_probe_options *o, http_probe_fn *fn, void *ctx);
void http_probe_cancel(struct http_probe *p); /* fn does not run after it */
