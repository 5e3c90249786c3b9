/* Names of hosts to addresses, once, so that what was checked is what is connected to. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define HOST_ADDRESSES_MAX 8

struct host_addresses {
	char text[HOST_ADDRESSES_MAX][INET6_ADDRSTRLEN];
	int family[HOST_ADDRESSES_MAX];
	size_t count;
};

/* Is this address one that a source must not be fetched from? Link-local (which the metadata services of clouds are),
 * multicast and unspecified ones never; loopback and private networks (RFC 1918, 6598, 4193 …) unless allow_private. */
bool host_address_refused(const struct sockaddr *a, bool allow_private);
/* Resolves and checks every address: one that is refused refuses the host. Blocks for the resolver's own limit. */
int host_resolve(struct str host, bool allow_private, struct host_addresses *ret, struct err *e) WARN_UNUSED;
