#include "crypto/signature.h"

#include "base/mem.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(SIGNATURE_BYTES == crypto_sign_BYTES, "");
_Static_assert(SIGNATURE_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "");

bool signature_key_ok(const uint8_t key[SIGNATURE_KEY_BYTES])
{
	return crypto_core_ed25519_is_valid_point(key) == 1;
}

bool signature_fits(const uint8_t signature[SIGNATURE_BYTES], struct str prefix, struct str message,
    const uint8_t key[SIGNATURE_KEY_BYTES])
{
	uint8_t *whole = mem_alloc(prefix.n + message.n + 1);
	if (prefix.n)
		memcpy(whole, prefix.p, prefix.n);
	if (message.n)
		memcpy(whole + prefix.n, message.p, message.n);
	bool fits = crypto_sign_verify_detached(signature, whole, prefix.n + message.n, key) == 0;
	free(whole);
	return fits;
}
