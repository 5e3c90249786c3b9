#include "crypto/stream.h"
#include "base/rand.h"
#include "crypto/password.h"

#include <sodium.h>
#include <stdlib.h>

#define SALT_BYTES crypto_pwhash_argon2id_SALTBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define PASSES 2u
#define MEMORY_BYTES (64u << 20)

_Static_assert(STREAM_KEY_BYTES == crypto_secretstream_xchacha20poly1305_KEYBYTES &&
		   STREAM_HEAD_BYTES == crypto_secretstream_xchacha20poly1305_HEADERBYTES &&
		   STREAM_EXTRA_BYTES == crypto_secretstream_xchacha20poly1305_ABYTES &&
		   STREAM_WRAPPED_BYTES == SALT_BYTES + NONCE_BYTES + STREAM_KEY_BYTES + TAG_BYTES,
    "the formats in stream.h");

struct stream {
	crypto_secretstream_xchacha20poly1305_state s;
};

static struct stream *stream_new(void)
{
	if (sodium_init() < 0)
		abort();
	struct stream *s = sodium_malloc(sizeof(*s));
	if (!s)
		abort();
	return s;
}

struct stream *stream_seal_new(
    const uint8_t key[STREAM_KEY_BYTES], uint8_t ret_head[STREAM_HEAD_BYTES])
{
	struct stream *s = stream_new();
	crypto_secretstream_xchacha20poly1305_init_push(&s->s, ret_head, key);
	return s;
}

struct stream *stream_open_new(
    const uint8_t key[STREAM_KEY_BYTES], const uint8_t head[STREAM_HEAD_BYTES])
{
	struct stream *s = stream_new();
	if (crypto_secretstream_xchacha20poly1305_init_pull(&s->s, head, key) != 0)
		abort();
	return s;
}

void stream_free(struct stream *s)
{
	sodium_free(s);
}

void stream_seal(struct stream *s, struct str also, struct str clear, bool last, uint8_t *out)
{
	uint8_t tag = last ? crypto_secretstream_xchacha20poly1305_TAG_FINAL
			   : crypto_secretstream_xchacha20poly1305_TAG_MESSAGE;
	if (crypto_secretstream_xchacha20poly1305_push(&s->s, out, NULL, (const uint8_t *)clear.p,
		clear.n, (const uint8_t *)also.p, also.n, tag) != 0)
		abort();
}

int stream_open(struct stream *s, struct str also, struct str sealed, uint8_t *out, bool *ret_last,
    struct err *e)
{
	uint8_t tag = 0;
	if (sealed.n < STREAM_EXTRA_BYTES ||
	    crypto_secretstream_xchacha20poly1305_pull(&s->s, out, NULL, &tag,
		(const uint8_t *)sealed.p, sealed.n, (const uint8_t *)also.p, also.n) != 0)
		return err_set(e, ERR_INVALID, "a sealed piece is damaged or out of its place");
	*ret_last = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL;
	return 0;
}

static int derive(struct str passphrase, const uint8_t *salt, uint8_t *ret, struct err *e)
{
	if (sodium_init() < 0)
		abort();
	if (passphrase.n == 0 || passphrase.n > PASSWORD_MAX_BYTES)
		return err_set(
		    e, ERR_INVALID, "a passphrase has 1 to %u bytes", PASSWORD_MAX_BYTES);
	if (crypto_pwhash_argon2id(ret, STREAM_KEY_BYTES, passphrase.p, passphrase.n, salt, PASSES,
		MEMORY_BYTES, crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0)
		return err_set(e, ERR_UNAVAILABLE, "could not get memory for the passphrase");
	return 0;
}

int stream_key_wrap(const uint8_t key[STREAM_KEY_BYTES], struct str passphrase,
    uint8_t out[STREAM_WRAPPED_BYTES], struct err *e)
{
	uint8_t by[STREAM_KEY_BYTES];
	rand_bytes(out, SALT_BYTES + NONCE_BYTES);
	if (derive(passphrase, out, by, e) != 0)
		return -1;
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + SALT_BYTES + NONCE_BYTES, NULL, key,
	    STREAM_KEY_BYTES, NULL, 0, NULL, out + SALT_BYTES, by);
	sodium_memzero(by, sizeof(by));
	return 0;
}

int stream_key_unwrap(const uint8_t wrapped[STREAM_WRAPPED_BYTES], struct str passphrase,
    uint8_t ret_key[STREAM_KEY_BYTES], struct err *e)
{
	uint8_t by[STREAM_KEY_BYTES];
	if (derive(passphrase, wrapped, by, e) != 0)
		return -1;
	int rc = crypto_aead_xchacha20poly1305_ietf_decrypt(ret_key, NULL, NULL,
	    wrapped + SALT_BYTES + NONCE_BYTES, STREAM_KEY_BYTES + TAG_BYTES, NULL, 0,
	    wrapped + SALT_BYTES, by);
	sodium_memzero(by, sizeof(by));
	return rc == 0 ? 0 : err_set(e, ERR_INVALID, "the passphrase is not the right one");
}

void stream_mark(
    const uint8_t key[STREAM_KEY_BYTES], struct str over, uint8_t out[STREAM_MARK_BYTES])
{
	if (sodium_init() < 0)
		abort();
	crypto_generichash(
	    out, STREAM_MARK_BYTES, (const uint8_t *)over.p, over.n, key, STREAM_KEY_BYTES);
}
