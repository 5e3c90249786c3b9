#include "crypto/sshkey.h"
#include "base/ct.h"
#include "base/hex.h"
#include "base/rand.h"

#include <sodium.h>
#include <stdlib.h>

#define COMMENT_MAX_BYTES 255
#define BLOB_MAX_BYTES 1024
#define LINE_CHARS 70
#define BLOCK_BYTES 8 /* of the cipher "none" */

static const struct str kind = STR("ssh-ed25519");

struct pair {
	uint8_t public[crypto_sign_PUBLICKEYBYTES];
	uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* seed and public key, as OpenSSH has it too */
};

static void put_u32(struct buf *b, uint32_t v)
{
	const uint8_t p[4] = {
	    (uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
	buf_put(b, p, sizeof(p));
}

static void put_string(struct buf *b, const void *p, size_t n)
{
	put_u32(b, (uint32_t)n);
	buf_put(b, p, n);
}

/* RFC 8709 section 4: the public key's encoding. */
static void put_public(struct buf *b, const struct pair *k)
{
	put_string(b, kind.p, kind.n);
	put_string(b, k->public, sizeof(k->public));
}

/* PROTOCOL.key, "list of private keys": two equal numbers, the key, the comment, padding 1 2 3 … */
static void put_private(struct buf *b, const struct pair *k, struct str comment)
{
	uint32_t check;
	rand_bytes(&check, sizeof(check));
	put_u32(b, check);
	put_u32(b, check);
	put_public(b, k);
	put_string(b, k->secret, sizeof(k->secret));
	put_string(b, comment.p, comment.n);
	for (char pad = 1; b->n % BLOCK_BYTES != 0; pad++)
		buf_char(b, pad);
}

/* PROTOCOL.key: magic, cipher, kdf and its options, count, public key, private part. */
static void put_file(struct buf *b, const struct pair *k, struct str comment)
{
	struct buf part;
	buf_init(&part, BLOB_MAX_BYTES);
	(void)buf_reserve(
	    &part, BLOB_MAX_BYTES); /* grows never: no copies of the key are left behind */
	buf_put(b, "openssh-key-v1", sizeof("openssh-key-v1"));
	put_string(b, "none", 4);
	put_string(b, "none", 4);
	put_string(b, "", 0);
	put_u32(b, 1);
	put_public(&part, k);
	put_string(b, part.p, part.n);
	buf_clear(&part);
	put_private(&part, k, comment);
	put_string(b, part.p, part.n);
	buf_wipe(&part);
}

static void put_pem(struct buf *out, struct str text)
{
	buf_c(out, "-----BEGIN OPENSSH PRIVATE KEY-----\n");
	for (size_t at = 0; at < text.n; at += LINE_CHARS) {
		buf_str(out, str_slice(text, at, LINE_CHARS));
		buf_char(out, '\n');
	}
	buf_c(out, "-----END OPENSSH PRIVATE KEY-----\n");
}

static void write_private(const struct pair *k, struct str comment, struct buf *out)
{
	struct buf file, text;
	buf_init(&file, BLOB_MAX_BYTES);
	buf_init(&text, 2 * BLOB_MAX_BYTES);
	(void)buf_reserve(&file, BLOB_MAX_BYTES);
	(void)buf_reserve(&text, 2 * BLOB_MAX_BYTES);
	put_file(&file, k, comment);
	base64_encode(file.p, file.n, &text);
	(void)buf_reserve(out, text.n + text.n / LINE_CHARS + 128);
	put_pem(out, buf_view(&text));
	buf_wipe(&text);
	buf_wipe(&file);
}

static void write_public(const struct pair *k, struct str comment, struct buf *out)
{
	struct buf blob;
	buf_init(&blob, BLOB_MAX_BYTES);
	put_public(&blob, k);
	buf_str(out, kind);
	buf_char(out, ' ');
	base64_encode(blob.p, blob.n, out);
	buf_char(out, ' ');
	buf_str(out, comment);
	buf_fini(&blob);
}

static int check_comment(struct str comment, struct err *e)
{
	bool ok = comment.n > 0 && comment.n <= COMMENT_MAX_BYTES;
	for (size_t i = 0; ok && i < comment.n; i++)
		ok = comment.p[i] > ' ' && comment.p[i] < 0x7f;
	if (ok)
		return 0;
	return err_set(e, ERR_INVALID,
	    "the key's comment is not 1 to %d printable ASCII characters without blanks",
	    COMMENT_MAX_BYTES);
}

int sshkey_make(struct str comment, struct buf *public_line, struct buf *private_pem, struct err *e)
{
	if (check_comment(comment, e) != 0)
		return -1;
	if (sodium_init() < 0)
		abort();
	struct pair k;
	uint8_t seed[crypto_sign_SEEDBYTES];
	rand_bytes(seed, sizeof(seed));
	crypto_sign_seed_keypair(k.public, k.secret, seed);
	write_public(&k, comment, public_line);
	write_private(&k, comment, private_pem);
	ct_wipe(seed, sizeof(seed));
	ct_wipe(&k, sizeof(k));
	if (buf_check(public_line, "the public key", e) != 0)
		return -1;
	return buf_check(private_pem, "the private key", e);
}
