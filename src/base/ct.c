#include "base/ct.h"

#include <string.h>

bool ct_eq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	/* volatile: no early way out for the compiler to find */
	volatile unsigned char differ = 0;
	for (size_t i = 0; i < a.n; i++)
		differ = (unsigned char)(differ | (unsigned char)(a.p[i] ^ b.p[i]));
	return differ == 0;
}

void ct_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}
