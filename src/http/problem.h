/* Problem documents (RFC 9457). */
#pragma once

#include "base/buf.h"

#include <stdint.h>

struct http_problem {
	int status;
	const char *type; /* last part of the URI, e.g. "not-found" */
	const char *title, *detail;
	const char *hint, *pointer; /* "" or NULL: none */
	uint64_t request_id;
};
/* {"type":"urn:slipway:problem:TYPE","title":…,"status":…,"detail":…,"hint":…,"request_id":…,"errors":[…]}
 */
void http_problem_write(struct buf *b, const struct http_problem *p);
