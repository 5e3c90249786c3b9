#include "crypto/seal.h"
#include "base/fs.h"
#include "base/rand.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define HEAD_BYTES (1 + NONCE_BYTES)

_Static_assert(KEY_BYTES == 32 && NONCE_BYTES == 24 && TAG_BYTES == 16 &&
		   SEAL_BYTES == HEAD_BYTES + TAG_BYTES,
    "the format in seal.h");

struct seal_key {
	uint8_t p[KEY_BYTES];
};

/* Memory with guard pages that stays out of swap and core dumps. */
static struct seal_key *key_new(void)
{
	if (sodium_init() < 0)
		abort();
	struct seal_key *k = sodium_malloc(sizeof(*k));
	if (!k)
		abort();
	return k;
}

static int key_read(struct seal_key *k, int dir, const char *name, struct err *e)
{
	struct buf text;
	buf_init(&text, KEY_BYTES);
	int rc = fs_read(dir, name, &text, e);
	if (rc != 0 && text.full)
		err_set(e, ERR_SETTINGS, "sealing key '%s' is longer than 32 bytes", name);
	if (rc == 0 && text.n != KEY_BYTES)
		rc = err_set(
		    e, ERR_SETTINGS, "sealing key '%s' has %zu bytes instead of 32", name, text.n);
	if (rc == 0)
		memcpy(k->p, text.p, KEY_BYTES);
	buf_wipe(&text);
	return rc;
}

/* Group may read: that is how a systemd credential's access list looks. */
static int key_guarded(int dir, const char *name, struct err *e)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || (st.st_mode & 027) == 0)
		return 0;
	err_set(
	    e, ERR_SETTINGS, "sealing key '%s' can be read by everyone or written by others", name);
	return err_hint(e, "set its mode to 0600");
}

static int key_make(struct seal_key *k, int dir, const char *name, struct err *e)
{
	rand_bytes(k->p, KEY_BYTES);
	return fs_write_atomic(dir, name, k->p, KEY_BYTES, 0600, e);
}

struct seal_key *seal_key_load(int dir, const char *name, struct err *e)
{
	struct seal_key *k = key_new();
	struct err local;
	int rc = key_guarded(dir, name, &local);
	if (rc == 0)
		rc = key_read(k, dir, name, &local);
	if (rc != 0 && local.code == ERR_NOT_FOUND)
		rc = key_make(k, dir, name, &local);
	if (rc == 0)
		return k;
	if (e)
		*e = local;
	seal_key_free(k);
	return NULL;
}

void seal_key_free(struct seal_key *k)
{
	sodium_free(k); /* wipes; NULL is fine */
}

void seal_into(const struct seal_key *k, struct str place, struct str clear, void *to)
{
	uint8_t *p = to;
	p[0] = VERSION;
	rand_bytes(p + 1, NONCE_BYTES);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p + HEAD_BYTES, NULL, (const uint8_t *)clear.p,
	    clear.n, (const uint8_t *)place.p, place.n, NULL, p + 1, k->p);
}

int seal_open_into(const struct seal_key *k, struct str place, struct str sealed, void *to,
    size_t *ret_n, struct err *e)
{
	if (sealed.n < SEAL_BYTES)
		return err_set(e, ERR_INVALID, "the sealed value is cut short");
	const uint8_t *from = (const uint8_t *)sealed.p;
	if (from[0] != VERSION)
		return err_set(e, ERR_UNSUPPORTED,
		    "the sealed value has version %d, which is not known", from[0]);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(to, NULL, NULL, from + HEAD_BYTES,
		sealed.n - HEAD_BYTES, (const uint8_t *)place.p, place.n, from + 1, k->p) != 0)
		return err_set(e, ERR_INVALID,
		    "the sealed value cannot be opened: wrong key, wrong place or damaged");
	*ret_n = sealed.n - SEAL_BYTES;
	return 0;
}

void seal(const struct seal_key *k, struct str place, struct str clear, struct buf *out)
{
	if (clear.n > SIZE_MAX - SEAL_BYTES) {
		out->full = true;
		return;
	}
	char *to = buf_reserve(out, clear.n + SEAL_BYTES);
	if (!to)
		return;
	seal_into(k, place, clear, to);
	buf_commit(out, clear.n + SEAL_BYTES);
}

int seal_open(
    const struct seal_key *k, struct str place, struct str sealed, struct buf *out, struct err *e)
{
	size_t n = sealed.n > SEAL_BYTES ? sealed.n - SEAL_BYTES : 0;
	char *to = buf_reserve(out, n);
	if (!to)
		return buf_check(out, "the opened value", e);
	if (seal_open_into(k, place, sealed, to, &n, e) != 0)
		return -1;
	buf_commit(out, n);
	return 0;
}
