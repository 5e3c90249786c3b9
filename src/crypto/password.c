#include "crypto/password.h"

#include <sodium.h>
#include <stdlib.h>

#define PASSES 2

static const size_t memory_bytes[PASSWORD_COST_COUNT] = {
    [PASSWORD_OPERATOR] = 64u << 20, [PASSWORD_USER] = 19u << 20};

_Static_assert(PASSWORD_HASH_SIZE == crypto_pwhash_STRBYTES, "the hash as text");

int password_hash(struct str password, char out[PASSWORD_HASH_SIZE], struct err *e)
{
	return password_hash_at(PASSWORD_OPERATOR, password, out, e);
}

int password_hash_at(
    enum password_cost cost, struct str password, char out[PASSWORD_HASH_SIZE], struct err *e)
{
	if (password.n == 0 || password.n > PASSWORD_MAX_BYTES)
		return err_set(
		    e, ERR_INVALID, "the password is not 1 to %d bytes long", PASSWORD_MAX_BYTES);
	if (sodium_init() < 0)
		abort();
	if (crypto_pwhash_str(out, password.p, password.n, PASSES, memory_bytes[cost]) != 0)
		return err_set(e, ERR_UNAVAILABLE, "could not hash the password: out of memory");
	return 0;
}

bool password_verify(struct str password, const char *hash)
{
	if (password.n == 0 || password.n > PASSWORD_MAX_BYTES)
		return false;
	if (sodium_init() < 0)
		abort();
	return crypto_pwhash_str_verify(hash, password.p, password.n) == 0;
}
