/* What /metrics says: requests by handler, method and status, their durations and sizes. Any
 * thread. */
#pragma once

#include "base/buf.h"
#include "http/http.h"

/* Every route's handler; a route's access row is its row in metrics_handlers. */
enum handler {
	H_LATEST,
	H_REGISTER,
	H_MSGS,
	H_MSGS_USER,
	H_FLLWS_USER,
	H_TIMELINE,
	H_PUBLIC,
	H_USER,
	H_FOLLOW,
	H_UNFOLLOW,
	H_ADD_MESSAGE,
	H_LOGIN,
	H_LOGOUT,
	H_STYLE,
	H_HEALTH,
	H_METRICS,
	HANDLER_COUNT
};
struct metrics_handler {
	const char *name;
};
extern const struct metrics_handler metrics_handlers[HANDLER_COUNT];

struct metrics;
struct metrics *metrics_new(void);
void metrics_free(struct metrics *m); /* NULL is fine */
void metrics_count(
    struct metrics *m, const struct http_request *r, int status, int64_t us, size_t answer_bytes);
/* Prometheus' text format, version 0.0.4. */
void metrics_write(const struct metrics *m, struct buf *b);
