#include "crypto/werkzeug.h"

#include "base/ct.h"
#include "base/hex.h"
#include "base/num.h"

#include <openssl/evp.h>

#define ROUNDS_MAX 10000000
#define SCRYPT_BYTES_MAX (256u << 20)
#define DIGEST_MAX_BYTES 64
#define PASSWORD_BYTES_MAX 1024

/* What stands between the dollars, and the method's parts between the colons. */
struct parts {
	struct str method[4];
	size_t method_count;
	struct str salt;
	uint8_t digest[DIGEST_MAX_BYTES];
	size_t digest_bytes;
};

static bool parse(struct str hash, struct parts *ret)
{
	struct str rest = hash, method, hex;
	if (!str_next(&rest, '$', &method) || !rest.p || !str_next(&rest, '$', &ret->salt) ||
	    !rest.p)
		return false;
	hex = rest;
	ret->method_count = 0;
	while (ret->method_count < 4 && str_next(&method, ':', &ret->method[ret->method_count]))
		ret->method_count++;
	ret->digest_bytes = hex.n / 2;
	return !method.p && ret->salt.n > 0 && hex.n > 0 && ret->digest_bytes <= DIGEST_MAX_BYTES &&
	       hex_decode(hex, ret->digest, ret->digest_bytes);
}

static bool matches(const struct parts *h, const uint8_t *got)
{
	return ct_eq((struct str){(const char *)got, h->digest_bytes},
	    (struct str){(const char *)h->digest, h->digest_bytes});
}

static bool pbkdf2(struct str password, const struct parts *h)
{
	static const struct {
		const char *name;
		size_t bytes;
		const EVP_MD *(*md)(void);
	} known[] = {
	    {"sha1", 20, EVP_sha1}, {"sha256", 32, EVP_sha256}, {"sha512", 64, EVP_sha512}};
	int64_t rounds;
	uint8_t got[DIGEST_MAX_BYTES];
	if (h->method_count != 3 || !num_i64(h->method[2], 1, ROUNDS_MAX, &rounds))
		return false;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eq_c(h->method[1], known[i].name))
			return h->digest_bytes == known[i].bytes &&
			       PKCS5_PBKDF2_HMAC(password.p, (int)password.n,
				   (const uint8_t *)h->salt.p, (int)h->salt.n, (int)rounds,
				   known[i].md(), (int)h->digest_bytes, got) == 1 &&
			       matches(h, got);
	return false;
}

static bool scrypt(struct str password, const struct parts *h)
{
	uint64_t n, r, p;
	uint8_t got[DIGEST_MAX_BYTES];
	if (h->method_count != 4 || h->digest_bytes != DIGEST_MAX_BYTES ||
	    !num_u64(h->method[1], 2, 1u << 20, &n) || !num_u64(h->method[2], 1, 64, &r) ||
	    !num_u64(h->method[3], 1, 64, &p) || 128 * n * r > SCRYPT_BYTES_MAX)
		return false;
	return EVP_PBE_scrypt(password.p, password.n, (const uint8_t *)h->salt.p, h->salt.n, n, r,
		   p, SCRYPT_BYTES_MAX + (32u << 20), got, h->digest_bytes) == 1 &&
	       matches(h, got);
}

bool werkzeug_is(struct str hash)
{
	return str_starts(hash, STR("pbkdf2:")) || str_starts(hash, STR("scrypt:"));
}

bool werkzeug_verify(struct str password, struct str hash)
{
	struct parts h;
	if (password.n > PASSWORD_BYTES_MAX || !werkzeug_is(hash) || !parse(hash, &h))
		return false;
	return str_eq_c(h.method[0], "pbkdf2")	 ? pbkdf2(password, &h)
	       : str_eq_c(h.method[0], "scrypt") ? scrypt(password, &h)
						 : false;
}
