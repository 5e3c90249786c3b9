/* Secrets at rest: XChaCha20-Poly1305 under the installation's key, bound to where they belong.
 *
 * Format of a sealed value:
 *   offset  size  field
 *        0     1  version, 1
 *        1    24  nonce, random
 *       25   n+16 ciphertext and tag
 * The associated data is a text that names the place ("env/42/DATABASE_URL"), so that a sealed value
 * copied to another row does not open there. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

struct seal_key;

/* Loads the 32-byte key from dir/name, making it (0600, durable) when absent. NULL on error. */
struct seal_key *seal_key_load(int dir, const char *name, struct err *e);
void seal_key_free(struct seal_key *k);
void seal(const struct seal_key *k, struct str place, struct str clear, struct buf *out);
int seal_open(const struct seal_key *k, struct str place, struct str sealed, struct buf *out, struct err *e) WARN_UNUSED;

/* The same where nothing may be allocated: into memory of the caller's, `to` has clear.n + SEAL_BYTES; and sealed.n bytes to open into, of
 * which *ret_n are it. */
#define SEAL_BYTES 41u
void seal_into(const struct seal_key *k, struct str place, struct str clear, void *to);
int seal_open_into(const struct seal_key *k, struct str place, struct str sealed, void *to, size_t *ret_n, struct err *e) WARN_UNUSED;
