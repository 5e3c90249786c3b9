/* rooms: base */
/* covers: base/cidr.c */
/* Any text as an address range: what is accepted is written and read back as the same range, and
 * holds its own base. */
#include "base/cidr.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	    !cidr_holds(&c, &c.base))
		abort();
	(void)cidr_not_public(&c.base);
	return 0;
}
