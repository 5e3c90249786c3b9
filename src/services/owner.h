/* What every type of service has: whose it is, and where its server is found. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICES_HOST_SIZE 256

struct services_owner {
	const char *name; /* of role and database, of vhost and user */
	struct str mark, password;
};
struct services_place {
	char host[SERVICES_HOST_SIZE]; /* for the project */
	uint16_t port;
	bool fresh; /* it was made now */
};
