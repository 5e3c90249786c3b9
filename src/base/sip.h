/* SipHash-2-4 with 128 bits (Aumasson and Bernstein, 2012; reference implementation's `siphash.c`):
 * a keyed hash whose collisions nobody without the key can find. */
#pragma once

#include "base/str.h"

struct sip_key {
	uint64_t k[2];
};
struct sip_hash {
	uint64_t h[2];
};
struct sip_hash sip_128(const struct sip_key *key, struct str s);
