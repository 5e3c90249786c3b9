/* A one-off command and the connection of whoever watches it. Loop thread. Not for other rooms. */
#pragma once

#include "api/api.h"
#include "base/args.h"

/* What was asked for; made on the pool, handed over with the connection. */
struct session_order {
	const struct api_context *cx;
	char project[NAME_PROJECT_MAX + 1];
	struct buf packed; /* argv, NUL-separated */
	bool terminal;
	uint16_t rows, cols;
};
void session_order_free(struct session_order *o);

/* http_hijacked_fn; ctx is the struct session_order, which it takes over. */
void session_begin(void *ctx, int fd, struct str early);
