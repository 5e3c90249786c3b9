#include "base/rand.h"
#include "base/ct.h"
#include "base/hex.h"
#include "base/io.h"

#include <assert.h>

void rand_bytes(void *p, size_t n)
{
	io_get()->random(p, n);
}

uint64_t rand_below(uint64_t bound)
{
	assert(bound >= 1);
	/* Draws from the incomplete last stretch of 2^64 are thrown away: no value is likelier. */
	uint64_t skip = -bound % bound, v;
	do
		rand_bytes(&v, sizeof(v));
	while (v < skip);
	return v % bound;
}

void rand_token(char out[RAND_TOKEN_SIZE])
{
	uint8_t secret[32];
	struct buf text;
	buf_init(&text, RAND_TOKEN_SIZE);
	rand_bytes(secret, sizeof(secret));
	base64url_encode(secret, sizeof(secret), &text);
	bool fits = str_copy(buf_view(&text), out, RAND_TOKEN_SIZE);
	assert(fits && text.n == RAND_TOKEN_SIZE - 1);
	buf_wipe(&text);
	ct_wipe(secret, sizeof(secret));
}
