/* Who is asking, and how much of a list. Every getter and list for things of a project takes a
 * viewer, and the query itself joins the grants: what the viewer may not see is not found (0),
 * exactly like what is not there. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* In the order of power; stored as these numbers. */
enum model_role {
	MODEL_ROLE_NONE,
	MODEL_ROLE_VIEWER,
	MODEL_ROLE_DEPLOYER,
	MODEL_ROLE_ADMIN,
	MODEL_ROLE_OWNER,
	MODEL_ROLE_COUNT
};
const char *model_role_name(enum model_role r); /* "none", "viewer", … */
int model_role_parse(struct str s, enum model_role *ret, struct err *e) WARN_UNUSED;

/* `least` is the role needed, reached by the operator's global role or by a grant on the project;
 * MODEL_ROLE_NONE is read as MODEL_ROLE_VIEWER. A disabled operator sees nothing. */
struct model_viewer {
	int64_t operator_id;
	bool everything; /* the house's own work, or root over the Unix socket */
	enum model_role least;
};
#define MODEL_EVERYTHING ((struct model_viewer){.everything = true})

/* Lists of rows with a number come newest first. after: the last id of the page before, 0 for the
 * first page; limit: 1..500. */
#define MODEL_PAGE_MAX 500u
struct model_page {
	int64_t after;
	uint32_t limit;
};
