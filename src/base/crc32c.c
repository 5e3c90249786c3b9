#include "base/crc32c.h"

#include <stddef.h>
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
#include <immintrin.h>

/* The instruction takes one value after another, but three of them may be under way at once: a long
 * text is taken as three lanes behind each other, each of LANE_BYTES. A lane's value is moved past
 * the bytes of the lanes behind it by a multiplication without carries with x^(8n-33) modulo the
 * polynomial, which the instruction itself reduces (Gopal and others, Fast CRC Computation for
 * iSCSI Polynomial Using CRC32 Instruction, Intel, 2011). */
#define LANE_BYTES 512u

static uint64_t times_x(uint64_t v, unsigned count)
{
	for (; count > 0; count--)
		v = v & 1 ? v >> 1 ^ POLYNOMIAL : v >> 1;
	return v;
}

__attribute__((target("sse4.2,pclmul"))) static uint64_t past(uint64_t crc, uint64_t power)
{
	__m128i product = _mm_clmulepi64_si128(
	    _mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128((long long)power), 0);
	return _mm_crc32_u64(0, (unsigned long long)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2"))) static uint64_t eight(uint64_t crc, const char *p)
{
	unsigned long long v;
	memcpy(&v, p, sizeof(v));
	return _mm_crc32_u64(crc, v);
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t fast(uint32_t before, struct str s)
{
	static uint64_t one, two; /* lanes; both 0: not yet worked out */
	uint64_t c = ~before & UINT32_MAX;
	const char *p = s.p, *end = s.p + s.n;
	uint64_t past_one = __atomic_load_n(&one, __ATOMIC_RELAXED),
		 past_two = __atomic_load_n(&two, __ATOMIC_RELAXED);
	if (!past_one || !past_two) {
		past_one = times_x(1u << 31, 8 * LANE_BYTES - 33);
		past_two = times_x(1u << 31, 16 * LANE_BYTES - 33);
		__atomic_store_n(&one, past_one, __ATOMIC_RELAXED);
		__atomic_store_n(&two, past_two, __ATOMIC_RELAXED);
	}
	for (; end - p >= 3 * (ptrdiff_t)LANE_BYTES; p += 3 * (ptrdiff_t)LANE_BYTES) {
		uint64_t c1 = 0, c2 = 0;
		for (size_t i = 0; i < LANE_BYTES; i += 8) {
			c = eight(c, p + i);
			c1 = eight(c1, p + LANE_BYTES + i);
			c2 = eight(c2, p + (size_t)2 * LANE_BYTES + i);
		}
		c = past(c, past_two) ^ past(c1, past_one) ^ c2;
	}
	for (; end - p >= 8; p += 8)
		c = eight(c, p);
	uint32_t low = (uint32_t)c;
	for (; p < end; p++)
		low = _mm_crc32_u8(low, (uint8_t)*p);
	return ~low;
}

uint32_t crc32c(uint32_t before, struct str s)
{
	bool can = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
	return can ? fast(before, s) : crc32c_plain(before, s);
}
#else
uint32_t crc32c(uint32_t before, struct str s)
{
	return crc32c_plain(before, s);
}
#endif
