/* Address ranges (RFC 4632, RFC 4291 §2.3), strictly: "203.0.113.0/24", "2001:db8::/32", or one
 * address. Dotted decimal of four parts without leading zeros; no zone; bits behind the prefix must
 * be zero.
 *
 * An IPv4 address that came as a mapped IPv6 one (::ffff:a.b.c.d) counts as the IPv4 address
 * everywhere. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct sockaddr;

struct cidr_address {
	uint8_t bytes[16]; /* 4 of them for IPv4 */
	uint8_t size;	   /* 4 or 16 */
};
struct cidr {
	struct cidr_address base;
	uint8_t bits; /* 0..32 or 0..128 */
};

#define CIDR_TEXT_SIZE 52 /* of the longest text with its NUL */

/* ERR_INVALID naming what is wrong. */
int cidr_parse(struct str s, struct cidr *ret, struct err *e) WARN_UNUSED;
/* Ranges by commas, with blanks around each or none: ERR_INVALID naming what is wrong with the first
 * that is none. An empty text is one that is none. */
int cidr_list_check(struct str list, struct err *e) WARN_UNUSED;
/* An address alone. False when it is none. */
bool cidr_address_parse(struct str s, struct cidr_address *ret) WARN_UNUSED;
/* False for anything but AF_INET and AF_INET6. */
bool cidr_address_of(const struct sockaddr *a, struct cidr_address *ret) WARN_UNUSED;
bool cidr_holds(const struct cidr *range, const struct cidr_address *a);
bool cidr_any_holds(const struct cidr *ranges, size_t count, const struct cidr_address *a);
void cidr_address_text(const struct cidr_address *a, char out[CIDR_TEXT_SIZE]);
void cidr_text(const struct cidr *c, char out[CIDR_TEXT_SIZE]);

/* Why the address belongs to nobody on the public internet, as words ("a private network", "this
 * machine's loopback"), or NULL when it is public. The special-purpose registries of IANA (RFC 6890
 * and its successors); an address that carries an IPv4 one inside (mapped, translated, 6to4,
 * Teredo) is judged by that one, too. */
const char *cidr_not_public(const struct cidr_address *a);
