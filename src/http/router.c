#include "http/router.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

struct node {
	struct str literal;	/* of the edge that leads here */
	struct node **children; /* literal ones */
	size_t child_count;
	struct node *param; /* {name} */
	struct node *tail;  /* {name...} */
	const struct http_route *routes[HTTP_METHOD_COUNT];
};

struct http_router {
	struct node *root;
};

static bool is_param(struct str seg)
{
	return seg.n > 2 && seg.p[0] == '{' && seg.p[seg.n - 1] == '}';
}

static bool is_tail(struct str seg)
{
	return is_param(seg) && str_ends(seg, STR("...}"));
}

static struct str param_name(struct str seg)
{
	return str_slice(seg, 1, seg.n - (is_tail(seg) ? 5 : 2));
}

static struct node *node_slot(struct node **slot)
{
	if (*slot == NULL)
		*slot = mem_alloc(sizeof **slot);
	return *slot;
}

static struct node *literal_child(struct node *n, struct str seg)
{
	for (size_t i = 0; i < n->child_count; i++)
		if (str_eq(n->children[i]->literal, seg))
			return n->children[i];
	return NULL;
}

static struct node *node_child(struct node *n, struct str seg)
{
	if (is_tail(seg))
		return node_slot(&n->tail);
	if (is_param(seg))
		return node_slot(&n->param);
	struct node *found = literal_child(n, seg);
	if (found != NULL)
		return found;
	n->children =
	    mem_grow(n->children, n->child_count, n->child_count + 1, sizeof *n->children);
	struct node *child = mem_alloc(sizeof *child);
	child->literal = seg;
	return n->children[n->child_count++] = child;
}

static void add(struct http_router *r, const struct http_route *route)
{
	assert(
	    route->access != NULL && route->handler != NULL && route->method < HTTP_METHOD_COUNT);
	assert(route->pattern[0] == '/');
	struct str rest = str_c(route->pattern + 1), seg;
	struct node *n = r->root;
	size_t params = 0, segments = 0;
	while (str_next(&rest, '/', &seg)) {
		assert(!is_tail(seg) || rest.p == NULL);
		n = node_child(n, seg);
		params += is_param(seg);
		segments++;
	}
	assert(params <= HTTP_ROUTE_PARAMS_MAX && segments <= HTTP_ROUTE_SEGMENTS_MAX);
	assert(n->routes[route->method] == NULL);
	n->routes[route->method] = route;
}

struct http_router *http_router_new(const struct http_route *routes, size_t count)
{
	struct http_router *r = mem_alloc(sizeof *r);
	r->root = mem_alloc(sizeof *r->root);
	for (size_t i = 0; i < count; i++)
		add(r, &routes[i]);
	return r;
}

static void node_free(struct node *n)
{
	if (n == NULL)
		return;
	for (size_t i = 0; i < n->child_count; i++)
		node_free(n->children[i]);
	node_free(n->param);
	node_free(n->tail);
	free(n->children);
	free(n);
}

void http_router_free(struct http_router *r)
{
	if (r == NULL)
		return;
	node_free(r->root);
	free(r);
}

static bool has_routes(const struct node *n)
{
	for (size_t m = 0; m < HTTP_METHOD_COUNT; m++)
		if (n->routes[m] != NULL)
			return true;
	return false;
}

/* rest.p NULL: the path is used up. Depth is bounded by the deepest pattern, since each level
 * descends one node. */
static const struct node *walk(const struct node *n, struct str rest, struct http_match *m)
{
	if (rest.p == NULL)
		return has_routes(n) ? n : NULL;
	struct str all = rest, seg;
	(void)str_next(&rest, '/', &seg);
	for (size_t i = 0; i < n->child_count; i++) {
		if (!str_eq(n->children[i]->literal, seg))
			continue;
		const struct node *found = walk(n->children[i], rest, m);
		if (found != NULL)
			return found;
		break;
	}
	if (n->param != NULL && seg.n > 0) {
		m->values[m->param_count++] = seg;
		const struct node *found = walk(n->param, rest, m);
		if (found != NULL)
			return found;
		m->param_count--;
	}
	if (n->tail != NULL && has_routes(n->tail)) {
		m->values[m->param_count++] = all;
		return n->tail;
	}
	return NULL;
}

/* Two routes of one node may name their parameters differently, so names come from the route. */
static void name_params(struct http_match *m)
{
	struct str rest = str_c(m->route->pattern + 1), seg;
	size_t at = 0;
	while (at < m->param_count && str_next(&rest, '/', &seg))
		if (is_param(seg))
			m->names[at++] = param_name(seg);
}

void http_router_find(
    const struct http_router *r, enum http_method method, struct str path, struct http_match *ret)
{
	ret->route = NULL;
	ret->known = false;
	ret->methods = 0;
	ret->param_count = 0;
	const struct node *n = walk(r->root, str_from(path, 1), ret);
	if (n == NULL)
		return;
	ret->known = true;
	for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
		if (n->routes[m] != NULL)
			ret->methods |= 1u << m;
	if (ret->methods & 1u << HTTP_GET)
		ret->methods |= 1u << HTTP_HEAD;
	if (method == HTTP_METHOD_COUNT)
		return;
	ret->route = n->routes[method];
	if (ret->route == NULL && method == HTTP_HEAD)
		ret->route = n->routes[HTTP_GET];
	if (ret->route != NULL && ret->param_count > 0)
		name_params(ret);
}
