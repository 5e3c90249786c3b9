#include "crypto/hash.h"
#include "base/hex.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

struct hash {
	EVP_MD_CTX *ctx;
};

static EVP_MD *sha256, *md5;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Looked up once: EVP_sha256() would be looked up again at every message. Lives as long as the
 * process. */
static void fetch(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	md5 = EVP_MD_fetch(NULL, "MD5", NULL);
}

static void must(int ok)
{
	if (ok != 1)
		abort();
}

struct hash *hash_new(void)
{
	pthread_once(&once, fetch);
	struct hash *h = mem_alloc(sizeof(*h));
	h->ctx = EVP_MD_CTX_new();
	must(sha256 && h->ctx);
	must(EVP_DigestInit_ex2(h->ctx, sha256, NULL));
	return h;
}

void hash_update(struct hash *h, struct str s)
{
	must(EVP_DigestUpdate(h->ctx, s.p, s.n));
}

void hash_finish(struct hash *h, uint8_t out[HASH_SHA256_BYTES])
{
	must(EVP_DigestFinal_ex(h->ctx, out, NULL));
}

void hash_free(struct hash *h)
{
	if (!h)
		return;
	EVP_MD_CTX_free(h->ctx);
	free(h);
}

void hash_sha256(struct str s, uint8_t out[HASH_SHA256_BYTES])
{
	pthread_once(&once, fetch);
	must(sha256 && EVP_Digest(s.p, s.n, out, NULL, sha256, NULL));
}

void hash_sha256_hex(struct str s, char out[65])
{
	uint8_t digest[HASH_SHA256_BYTES];
	hash_sha256(s, digest);
	hex_encode(digest, sizeof(digest), out);
}

void hash_md5_hex(struct str s, char out[33])
{
	uint8_t digest[16];
	pthread_once(&once, fetch);
	must(md5 && EVP_Digest(s.p, s.n, digest, NULL, md5, NULL));
	hex_encode(digest, sizeof(digest), out);
}
