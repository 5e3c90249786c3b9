/* Where senders reach the hooks. Not for other rooms. */
#pragma once

#include "api/call.h"

struct api_host {
	char text[256]; /* HOST[:PORT], as in a Host header */
	struct str name;
	uint16_t port; /* 0: the scheme's own */
	bool tls;
	bool is_private; /* loopback, a private network, or a name that only this machine knows */
	bool is_here;	 /* an address of the loopback: the API's own port */
};
/* Of the context's public_url; an empty name when that is none. */
struct api_host api_public_host(const struct api_context *cx);
/* Asks that address, as a sender would: true when its certificate is not one that senders trust. Not
 * asked, or no answer in 4 s: false. On the pool; blocks. */
bool api_public_untrusted(const struct api_context *cx);
