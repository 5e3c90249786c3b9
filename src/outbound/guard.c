#include "outbound/guard.h"

#include <ifaddrs.h>
#include <string.h>

static bool is_ours(const struct cidr_address *a)
{
	struct ifaddrs *list;
	bool found = false;
	if (getifaddrs(&list) != 0)
		return true; /* not knowing is no permission */
	for (const struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
		struct cidr_address own;
		found = i->ifa_addr && cidr_address_of(i->ifa_addr, &own) && own.size == a->size &&
			memcmp(own.bytes, a->bytes, a->size) == 0;
	}
	freeifaddrs(list);
	return found;
}

const char *guard_refuses(const struct guard *g, const struct cidr_address *a, uint16_t port)
{
	if (cidr_any_holds(g->allow, g->allow_count, a))
		return NULL;
	const char *why = cidr_not_public(a);
	if (why)
		return why;
	return port != 80 && port != 443 && is_ours(a) ? "an address of this machine itself" : NULL;
}

/* Scheme and authority. */
static struct str server_of(struct str url)
{
	size_t at = str_find(url, ':', 0), end = at == SIZE_MAX ? url.n : at + 3;
	while (end < url.n && url.p[end] != '/' && url.p[end] != '?' && url.p[end] != '#')
		end++;
	return str_slice(url, 0, end);
}

bool guard_same_server(struct str a, struct str b)
{
	return str_eq_nocase(server_of(a), server_of(b));
}

const char *guard_url_refuses(struct str url)
{
	size_t skip = str_starts(url, STR("https://"))	? 8
		      : str_starts(url, STR("http://")) ? 7
							: 0;
	if (!skip)
		return "is not http:// or https://";
	for (size_t i = 0; i < url.n; i++)
		if (url.p[i] <= ' ' || url.p[i] > '~' || url.p[i] == '\\')
			return "holds a blank, a backslash or something else than ASCII";
	struct str rest = str_from(url, skip);
	size_t end = 0;
	while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
		end++;
	struct str authority = str_slice(rest, 0, end);
	if (authority.n == 0 || authority.p[0] == ':')
		return "has no host";
	if (str_find(authority, '@', 0) != SIZE_MAX)
		return "holds a user name or password";
	if (str_find(url, '#', 0) != SIZE_MAX)
		return "holds a fragment";
	return NULL;
}
