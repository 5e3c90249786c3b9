/* Is an instance well? Probes its socket until `need` answers in a row are right, or the deadline.
 */
#pragma once

#include "base/err.h"
#include "loop/loop.h"

struct health;
struct health_options {
	const char *socket_path;
	const char *path; /* "/" */
	const char *host, *proto;
	uint16_t status; /* 0: by path_set */
	bool path_set;	 /* 200–399 is right; otherwise any below 500 */
	unsigned need;	 /* 3 */
	int64_t interval_ms,
	    timeout_ms; /* 1,000 and 60,000; the first tries come faster: 20 ms doubling */
};
/* tries counts probes; e NULL: healthy. The message says what the last answer was. ERR_UNAVAILABLE:
 * there never was an answer; ERR_FAILED: a wrong one. */
typedef void health_fn(void *ctx, unsigned tries, const struct err *e);
struct health *health_start(
    struct loop *l, const struct health_options *o, health_fn *fn, void *ctx);
void health_cancel(struct health *h); /* fn does not run after it */
