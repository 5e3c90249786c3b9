#include "base/sip.h"

#include <string.h>

struct state {
	uint64_t v[4];
};

static uint64_t turn(uint64_t x, int by)
{
	return x << by | x >> (64 - by);
}

static void rounds(struct state *s, int count)
{
	uint64_t *v = s->v;
	for (int i = 0; i < count; i++) {
		v[0] += v[1], v[1] = turn(v[1], 13) ^ v[0], v[0] = turn(v[0], 32);
		v[2] += v[3], v[3] = turn(v[3], 16) ^ v[2];
		v[0] += v[3], v[3] = turn(v[3], 21) ^ v[0];
		v[2] += v[1], v[1] = turn(v[1], 17) ^ v[2], v[2] = turn(v[2], 32);
	}
}

static void word(struct state *s, uint64_t m)
{
	s->v[3] ^= m;
	rounds(s, 2);
	s->v[0] ^= m;
}

static uint64_t little(const char *p, size_t n)
{
	uint64_t m = 0;
	for (size_t i = 0; i < n; i++)
		m |= (uint64_t)(uint8_t)p[i] << (8 * i);
	return m;
}

struct sip_hash sip_128(const struct sip_key *key, struct str in)
{
	struct state s = {{key->k[0] ^ 0x736f6d6570736575u, key->k[1] ^ 0x646f72616e646f6du ^ 0xee,
	    key->k[0] ^ 0x6c7967656e657261u, key->k[1] ^ 0x7465646279746573u}};
	struct str left = in;
	for (; left.n >= 8; left = str_from(left, 8))
		word(&s, little(left.p, 8));
	word(&s, little(left.p, left.n) | (uint64_t)in.n << 56);
	struct sip_hash out;
	s.v[2] ^= 0xee;
	rounds(&s, 4);
	out.h[0] = s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
	s.v[1] ^= 0xdd;
	rounds(&s, 4);
	out.h[1] = s.v[0] ^ s.v[1] ^ s.v[2] ^ s.v[3];
	return out;
}
