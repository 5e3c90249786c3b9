/* The address of a git repository, taken apart the way git and ssh would, but strictly: https, http, ssh (also as
 * user@host:path) and absolute paths; no other transport, no password inside, nothing that a program could take for an option. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

enum source_scheme { SOURCE_HTTPS, SOURCE_HTTP, SOURCE_SSH, SOURCE_LOCAL, SOURCE_SCHEME_COUNT };

struct source_address {
	enum source_scheme scheme;
	struct str user; /* ssh only; may be empty */
	struct str host; /* without brackets; empty for SOURCE_LOCAL */
	bool ipv6;	 /* host was written in brackets */
	uint16_t port;	 /* the scheme's own when none was written; 0 for SOURCE_LOCAL */
	struct str path; /* with its '/', or as it stands after "host:" */
};

/* The pieces point into `url`. ERR_INVALID with a hint; an unknown transport is ERR_UNSUPPORTED. */
int source_address_parse(struct str url, struct source_address *ret, struct err *e) WARN_UNUSED;
/* "owner/repository" without the leading '/' and a final ".git". */
struct str source_address_repository(const struct source_address *a);
