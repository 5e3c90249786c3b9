/* rooms: base */
/* covers: base/cidr.c */
/* Any text as an address range: what is accepted is written and read back as the same range, and
 * holds its own base. */
#include "base/cidr.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The same address as a socket's. */
static void by_socket(const struct cidr_address *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct cidr_address back;
	memcpy(&in.sin_addr, a->bytes, sizeof(in.sin_addr));
	memcpy(&in6.sin6_addr, a->bytes, sizeof(in6.sin6_addr));
	const void *p = a->size == 4 ? (const void *)&in : &in6;
	if (!cidr_address_of(p, &back) || memcmp(&back, a, sizeof(back)) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cidr c, again;
	struct err e = {.code = ERR_NONE};
	char text[CIDR_TEXT_SIZE];
	if (cidr_parse((struct str){(const char *)data, size}, &c, &e) != 0) {
		if (e.code != ERR_INVALID || e.msg[0] == '\0')
			abort();
		return 0;
	}
	cidr_text(&c, text);
	if (cidr_parse(str_c(text), &again, &e) != 0 || memcmp(&c, &again, sizeof(c)) != 0 ||
	    !cidr_any_holds(&c, 1, &c.base))
		abort();
	by_socket(&c.base);
	(void)cidr_not_public(&c.base);
	return 0;
}
