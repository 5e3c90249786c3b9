#include "tree/host.h"
#include "tree/say.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>

struct net4 {
	uint32_t base;
	unsigned bits;
	bool always; /* refused even when private networks are allowed */
};

/* IANA's special-purpose registry (RFC 6890 and later). */
static const struct net4 nets4[] = {
    {0x00000000, 8, true},			      /* this network */
    {0x0a000000, 8, false},			      /* RFC 1918 */
    {0x64400000, 10, false},			      /* RFC 6598 */
    {0x7f000000, 8, false},			      /* loopback */
    {0xa9fe0000, 16, true},			      /* link-local, metadata services */
    {0xac100000, 12, false},			      /* RFC 1918 */
    {0xc0000000, 24, false},			      /* protocol assignments */
    {0xc0000200, 24, false},			      /* documentation */
    {0xc0a80000, 16, false},			      /* RFC 1918 */
    {0xc6120000, 15, false},			      /* benchmarks */
    {0xc6336400, 24, false}, {0xcb007100, 24, false}, /* documentation */
    {0xe0000000, 4, true},			      /* multicast */
    {0xf0000000, 4, true},			      /* reserved, broadcast */
};

static bool refused4(uint32_t a, bool allow_private)
{
	for (size_t i = 0; i < sizeof(nets4) / sizeof(*nets4); i++)
		if ((a ^ nets4[i].base) >> (32 - nets4[i].bits) == 0)
			return nets4[i].always || !allow_private;
	return false;
}

static uint32_t get4(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool refused6(const uint8_t a[16], bool allow_private)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
	static const uint8_t zero[15];
	if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0)
		return refused4(get4(a + 12), allow_private);
	if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 carries an IPv4 address */
		return refused4(get4(a + 2), allow_private);
	if (memcmp(a, zero, 15) == 0) /* ::1 is loopback, :: is nothing */
		return a[15] != 1 || !allow_private;
	if (memcmp(a, zero, 12) == 0) /* IPv4-compatible, long gone */
		return true;
	if (a[0] == 0xff || (a[0] == 0xfe && (a[1] & 0xc0u) == 0x80)) /* multicast, link-local */
		return true;
	static const uint8_t metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
	if (memcmp(a, metadata, 16) == 0)
		return true;
	bool unique_local = (a[0] & 0xfeu) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0u) == 0xc0);
	bool documentation = a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8;
	return (unique_local || documentation) && !allow_private;
}

bool host_address_refused(const struct sockaddr *a, bool allow_private)
{
	if (a->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, a, sizeof(in));
		return refused4(ntohl(in.sin_addr.s_addr), allow_private);
	}
	if (a->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, a, sizeof(in6));
		return refused6(in6.sin6_addr.s6_addr, allow_private);
	}
	return true;
}

static int add(const struct addrinfo *i, const char *host, bool allow_private,
    struct host_addresses *ret, struct err *e)
{
	if (ret->count == HOST_ADDRESSES_MAX)
		return 0;
	char *text = ret->text[ret->count];
	if (getnameinfo(i->ai_addr, i->ai_addrlen, text, INET6_ADDRSTRLEN, NULL, 0, NI_NUMERICHOST))
		return say_fail(SAY_HOST, e, "an address of '%s' cannot be shown", host);
	if (host_address_refused(i->ai_addr, allow_private))
		return say_fail(SAY_ADDRESS, e,
		    "'%s' has the address %s, which sources are not fetched from", host, text);
	ret->family[ret->count++] = i->ai_family;
	return 0;
}

int host_resolve(struct str host, bool allow_private, struct host_addresses *ret, struct err *e)
{
	char name[256];
	*ret = (struct host_addresses){0};
	if (!str_copy(host, name, sizeof(name)))
		return say_fail(SAY_HOST, e, "the host name is too long");
	/* Names below localhost are loopback, whatever a resolver says (RFC 6761 section 6.3). */
	const char *asked = str_ends(host, STR(".localhost")) ? "localhost" : name;
	struct addrinfo want = {.ai_socktype = SOCK_STREAM}, *list = NULL;
	int rc = getaddrinfo(asked, NULL, &want, &list);
	if (rc)
		return say_fail(
		    SAY_HOST, e, "could not find the address of '%s': %s", name, gai_strerror(rc));
	for (const struct addrinfo *i = list; rc == 0 && i; i = i->ai_next)
		rc = add(i, name, allow_private, ret, e);
	freeaddrinfo(list);
	return rc;
}
