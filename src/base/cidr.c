#include "base/cidr.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { V4 = 4, V6 = 16, V4_BITS = 32, V6_BITS = 128 };

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void set_v4(struct cidr_address *ret, const void *four)
{
	*ret = (struct cidr_address){.size = V4};
	memcpy(ret->bytes, four, V4);
}

static void set_v6(struct cidr_address *ret, const void *sixteen)
{
	if (memcmp(sixteen, mapped_prefix, sizeof(mapped_prefix)) == 0) {
		set_v4(ret, (const uint8_t *)sixteen + sizeof(mapped_prefix));
		return;
	}
	*ret = (struct cidr_address){.size = V6};
	memcpy(ret->bytes, sixteen, V6);
}

bool cidr_address_parse(struct str s, struct cidr_address *ret)
{
	char text[CIDR_TEXT_SIZE];
	uint8_t raw[V6];
	if (!str_copy(s, text, sizeof(text)))
		return false;
	if (inet_pton(AF_INET, text, raw) == 1)
		set_v4(ret, raw);
	else if (inet_pton(AF_INET6, text, raw) == 1)
		set_v6(ret, raw);
	else
		return false;
	return true;
}

bool cidr_address_of(const struct sockaddr *a, struct cidr_address *ret)
{
	if (a->sa_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, a, sizeof(in));
		set_v4(ret, &in.sin_addr);
		return true;
	}
	if (a->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, a, sizeof(in6));
		set_v6(ret, &in6.sin6_addr);
		return true;
	}
	return false;
}

static bool bit(const struct cidr_address *a, unsigned i)
{
	return a->bytes[i / 8] & (0x80u >> (i % 8));
}

bool cidr_holds(const struct cidr *range, const struct cidr_address *a)
{
	if (range->base.size != a->size)
		return false;
	for (unsigned i = 0; i < range->bits; i++)
		if (bit(&range->base, i) != bit(a, i))
			return false;
	return true;
}

bool cidr_any_holds(const struct cidr *ranges, size_t count, const struct cidr_address *a)
{
	for (size_t i = 0; i < count; i++)
		if (cidr_holds(&ranges[i], a))
			return true;
	return false;
}

int cidr_parse(struct str s, struct cidr *ret, struct err *e)
{
	size_t slash = str_find(s, '/', 0);
	struct cidr_address a;
	if (!cidr_address_parse(str_slice(s, 0, slash), &a)) {
		err_set(e, ERR_INVALID, "an address range does not begin with an address");
		return err_hint(e, "write it as 203.0.113.0/24, 2001:db8::/32 or one address");
	}
	uint64_t most = a.size == V4 ? V4_BITS : V6_BITS, bits = most;
	if (slash != SIZE_MAX && !num_u64(str_from(s, slash + 1), 0, most, &bits))
		return err_set(
		    e, ERR_INVALID, "an address range's prefix is not 0 to %u", (unsigned)most);
	for (unsigned i = (unsigned)bits; i < most; i++)
		if (bit(&a, i)) {
			err_set(e, ERR_INVALID, "an address range has bits behind its prefix");
			return err_hint(e, "the bits behind /%u must be zero", (unsigned)bits);
		}
	*ret = (struct cidr){.base = a, .bits = (uint8_t)bits};
	return 0;
}

int cidr_list_check(struct str list, struct err *e)
{
	struct str item;
	struct cidr ignored;
	while (str_next(&list, ',', &item))
		if (cidr_parse(str_trim(item), &ignored, e) != 0)
			return -1;
	return 0;
}

void cidr_address_text(const struct cidr_address *a, char out[CIDR_TEXT_SIZE])
{
	if (!inet_ntop(a->size == V4 ? AF_INET : AF_INET6, a->bytes, out, CIDR_TEXT_SIZE))
		out[0] = '\0';
}

void cidr_text(const struct cidr *c, char out[CIDR_TEXT_SIZE])
{
	cidr_address_text(&c->base, out);
	size_t n = strlen(out);
	(void)snprintf(out + n, CIDR_TEXT_SIZE - n, "/%u", c->bits);
}

struct special {
	uint8_t bytes[V6];
	uint8_t size, bits;
	const char *why;
};

static const struct special specials[] = {
    {{0}, V4, 8, "an address of no network"},
    {{10}, V4, 8, "a private network"},
    {{100, 64}, V4, 10, "a carrier's inner network"},
    {{127}, V4, 8, "this machine's loopback"},
    {{169, 254}, V4, 16, "a link-local network, where clouds keep their metadata"},
    {{172, 16}, V4, 12, "a private network"},
    {{192, 0, 0}, V4, 24, "a network for protocols"},
    {{192, 0, 2}, V4, 24, "a network for documentation"},
    {{192, 31, 196}, V4, 24, "a network for protocols"},
    {{192, 52, 193}, V4, 24, "a network for protocols"},
    {{192, 88, 99}, V4, 24, "a network for protocols"},
    {{192, 168}, V4, 16, "a private network"},
    {{192, 175, 48}, V4, 24, "a network for protocols"},
    {{198, 18}, V4, 15, "a network for benchmarks"},
    {{198, 51, 100}, V4, 24, "a network for documentation"},
    {{203, 0, 113}, V4, 24, "a network for documentation"},
    {{224}, V4, 4, "a multicast group"},
    {{240}, V4, 4, "a reserved or broadcast address"},
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, V6, 48, "a private translation prefix"},
    {{0x01, 0x00}, V6, 64, "an address that discards"},
    {{0x20, 0x01}, V6, 23, "a network for protocols"},
    {{0x20, 0x01, 0x0d, 0xb8}, V6, 32, "a network for documentation"},
    {{0x3f, 0xff}, V6, 20, "a network for documentation"},
    {{0x5f, 0x00}, V6, 16, "a network for segment routing"},
    {{0xfc}, V6, 7, "a private network"},
    {{0xfe, 0x80}, V6, 10, "a link-local network"},
    {{0xfe, 0xc0}, V6, 10, "a site-local network"},
    {{0xff}, V6, 8, "a multicast group"},
    /* "::", "::1" and the IPv4-compatible ones, which nobody uses any more */
    {{0}, V6, 96, "this machine, or an address of no network"},
};

/* IPv4 addresses carried inside: where they begin. */
static const struct {
	uint8_t bytes[V6];
	uint8_t bits, at;
} carriers[] = {
    {{0x00, 0x64, 0xff, 0x9b}, 96, 12}, /* NAT64, RFC 6052 */
    {{0x20, 0x02}, 16, 2},		/* 6to4, RFC 3056 */
};

const char *cidr_not_public(const struct cidr_address *a)
{
	for (size_t i = 0; i < sizeof(specials) / sizeof(*specials); i++) {
		struct cidr range = {.bits = specials[i].bits};
		range.base.size = specials[i].size;
		memcpy(range.base.bytes, specials[i].bytes, V6);
		if (cidr_holds(&range, a))
			return specials[i].why;
	}
	for (size_t i = 0; i < sizeof(carriers) / sizeof(*carriers); i++) {
		struct cidr range = {.bits = carriers[i].bits};
		range.base.size = V6;
		memcpy(range.base.bytes, carriers[i].bytes, V6);
		struct cidr_address inner;
		if (!cidr_holds(&range, a))
			continue;
		set_v4(&inner, a->bytes + carriers[i].at);
		return cidr_not_public(&inner);
	}
	return NULL;
}
