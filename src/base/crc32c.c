#include "base/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* bits reversed */

/* Four bits a step: the table fits into one line of cache, and only machines without the
 * instruction come here. */
uint32_t crc32c_plain(uint32_t before, struct str s)
{
	static uint32_t table[16];
	if (table[1] == 0)
		for (uint32_t i = 0; i < 16; i++) {
			uint32_t v = i;
			for (int bit = 0; bit < 4; bit++)
				v = v & 1 ? v >> 1 ^ POLYNOMIAL : v >> 1;
			__atomic_store_n(&table[i], v, __ATOMIC_RELAXED);
		}
	uint32_t c = ~before;
	for (size_t i = 0; i < s.n; i++) {
		c ^= (uint8_t)s.p[i];
		c = c >> 4 ^ table[c & 15];
		c = c >> 4 ^ table[c & 15];
	}
	return ~c;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t fast(uint32_t before, struct str s)
{
	uint64_t c = ~before;
	const char *p = s.p, *end = s.p + s.n;
	for (; end - p >= 8; p += 8) {
		uint64_t eight;
		memcpy(&eight, p, sizeof(eight));
		c = __builtin_ia32_crc32di(c, eight);
	}
	uint32_t low = (uint32_t)c;
	for (; p < end; p++)
		low = __builtin_ia32_crc32qi(low, (uint8_t)*p);
	return ~low;
}

uint32_t crc32c(uint32_t before, struct str s)
{
	return __builtin_cpu_supports("sse4.2") ? fast(before, s) : crc32c_plain(before, s);
}
#else
uint32_t crc32c(uint32_t before, struct str s)
{
	return crc32c_plain(before, s);
}
#endif
