/* From a path to a route: a tree of segments, built once. Literal segments win over {name}, which
 * matches one non-empty segment; a last segment {name...} takes all that is left, slashes included,
 * even nothing. */
#pragma once

#include "http/http.h"

#define HTTP_ROUTE_PARAMS_MAX 8u
#define HTTP_ROUTE_SEGMENTS_MAX 24u

struct http_router;

/* Aborts on a table that a programmer got wrong: no access row, a pattern twice, too many
 * parameters. The table stays the caller's and must outlive the router. */
struct http_router *http_router_new(const struct http_route *routes, size_t count);
void http_router_free(struct http_router *r); /* NULL is fine */

struct http_match {
	const struct http_route *route; /* NULL when the path is known, but not with this method */
	bool known;			/* some method has this path */
	unsigned methods; /* bit m: method m has a route here; HEAD wherever GET has */
	struct str names[HTTP_ROUTE_PARAMS_MAX];
	struct str values[HTTP_ROUTE_PARAMS_MAX]; /* as received, still percent-encoded */
	size_t param_count;
};
/* `method` may be HTTP_METHOD_COUNT for one that the server does not speak. HEAD falls back to GET.
 */
void http_router_find(
    const struct http_router *r, enum http_method method, struct str path, struct http_match *ret);
