/* Which addresses slipway-outbound may connect to, judged for the address itself when a socket is
 * opened: whatever the name said before, however the address was written, and whoever changed the
 * name's answer meanwhile. */
#pragma once

#include "base/cidr.h"

#include <stdint.h>

#define GUARD_RANGES_MAX 32u

struct guard {
	struct cidr allow[GUARD_RANGES_MAX];
	size_t allow_count;
};

/* NULL: it may be reached. Else why not, as words. Not public: only with a range of `allow` that
 * holds it. An address of this machine: the same, except on ports 80 and 443, where the edge
 * answers everybody. */
const char *guard_refuses(const struct guard *g, const struct cidr_address *a, uint16_t port);
/* Scheme http or https, a host, no user or password, no fragment, printable ASCII. NULL when good,
 * else why not. */
const char *guard_url_refuses(struct str url);
/* Whether two such urls begin with the same scheme, host and port, written the same but for case: what is sent to
 * one may be sent to the other. */
bool guard_same_server(struct str a, struct str b);
