/* Who may reach the ports of projects, as text for nft(8), with the guarantees of vhost.h: no allocation, no I/O, every
 * field validated here, and only templates' own bytes beside inert values. For the helper only.
 *
 * A block of LIMIT_PORTS_PER_PROJECT ports of this machine belongs to one user. Nobody else's program gets a connection
 * there, from outside none comes, and what somebody else put there in its owner's place answers nobody. The text replaces
 * the whole table, at once. */
#pragma once

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define RENDER_PORTS_TABLE_SIZE 32u
#define RENDER_PORTS_TEXT_MAX 98304u /* with LIMIT_PORT_BLOCKS owners */

struct render_port_owner {
	uid_t uid;
	uint16_t first; /* LIMIT_PORT_FIRST and so on; none twice */
};

/* Writes the text and a final NUL; its length, or -1: ERR_INVALID, ERR_TOO_LARGE. No owners: there is no table.
 * `table`: [a-z][a-z0-9_]*. */
long render_ports(const char *table, const struct render_port_owner *v, size_t n, char *out,
    size_t size, struct err *e) WARN_UNUSED;
