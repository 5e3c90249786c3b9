#include "crypto/hmac.h"
#include "base/mem.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>

/* The context keeps the key already mixed into both paddings; a new message only resets it. */
struct hmac_key {
	EVP_MAC_CTX *ctx;
};

static void must(int ok)
{
	if (ok != 1)
		abort();
}

struct hmac_key *hmac_key_new(struct str secret)
{
	assert(secret.n > 0);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	must(mac != NULL);
	struct hmac_key *k = mem_alloc(sizeof(*k));
	k->ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	must(k->ctx != NULL);
	must(EVP_MAC_init(k->ctx, (const unsigned char *)secret.p, secret.n, params));
	return k;
}

struct hmac_key *hmac_key_copy(const struct hmac_key *k)
{
	struct hmac_key *copy = mem_alloc(sizeof(*copy));
	copy->ctx = EVP_MAC_CTX_dup(k->ctx);
	must(copy->ctx != NULL);
	return copy;
}

void hmac_key_free(struct hmac_key *k)
{
	if (!k)
		return;
	EVP_MAC_CTX_free(k->ctx); /* wipes the key */
	free(k);
}

void hmac_sha256(struct hmac_key *k, struct str message, uint8_t out[HMAC_SHA256_BYTES])
{
	hmac_sha256_2(k, STR_NONE, message, out);
}

void hmac_sha256_2(
    struct hmac_key *k, struct str prefix, struct str message, uint8_t out[HMAC_SHA256_BYTES])
{
	size_t n = 0;
	must(EVP_MAC_init(k->ctx, NULL, 0, NULL));
	if (prefix.n)
		must(EVP_MAC_update(k->ctx, (const unsigned char *)prefix.p, prefix.n));
	if (message.n)
		must(EVP_MAC_update(k->ctx, (const unsigned char *)message.p, message.n));
	must(EVP_MAC_final(k->ctx, out, &n, HMAC_SHA256_BYTES));
	must(n == HMAC_SHA256_BYTES);
}
