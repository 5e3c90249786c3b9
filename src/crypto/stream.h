/* Long secrets, piece by piece: XChaCha20-Poly1305 in libsodium's secretstream, under a key of its own
 * that is made for one stream and kept sealed (seal.h) or wrapped by a passphrase.
 *
 * A stream is a head of 24 bytes and pieces, each STREAM_EXTRA_BYTES longer than what it holds. No piece
 * can be changed, left out, put elsewhere or added; the last one says that it is the last, so that a
 * stream that was cut is noticed. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define STREAM_KEY_BYTES 32u
#define STREAM_HEAD_BYTES 24u
#define STREAM_EXTRA_BYTES 17u
#define STREAM_WRAPPED_BYTES 88u /* salt 16, nonce 24, ciphertext and tag 48 */
#define STREAM_MARK_BYTES 32u

struct stream;

/* Both live in guarded memory; stream_free wipes it (NULL is fine). */
struct stream *stream_seal_new(
    const uint8_t key[STREAM_KEY_BYTES], uint8_t ret_head[STREAM_HEAD_BYTES]);
struct stream *stream_open_new(
    const uint8_t key[STREAM_KEY_BYTES], const uint8_t head[STREAM_HEAD_BYTES]);
void stream_free(struct stream *s);

/* One piece; `also` is authenticated with it and has to be the same when it is opened. `out` has room for
 * clear.n + STREAM_EXTRA_BYTES. */
void stream_seal(struct stream *s, struct str also, struct str clear, bool last, uint8_t *out);
/* `out` has room for sealed.n - STREAM_EXTRA_BYTES. ERR_INVALID: it is not that piece, or was changed. */
int stream_open(struct stream *s, struct str also, struct str sealed, uint8_t *out, bool *ret_last,
    struct err *e) WARN_UNUSED;

/* The key under a passphrase, by Argon2id (64 MiB, two passes; about 74 ms: only where that may block).
 * ERR_INVALID: the passphrase is empty, longer than PASSWORD_MAX_BYTES, or (unwrap) not the right one;
 * ERR_UNAVAILABLE: no memory for it. */
int stream_key_wrap(const uint8_t key[STREAM_KEY_BYTES], struct str passphrase,
    uint8_t out[STREAM_WRAPPED_BYTES], struct err *e) WARN_UNUSED;
int stream_key_unwrap(const uint8_t wrapped[STREAM_WRAPPED_BYTES], struct str passphrase,
    uint8_t ret_key[STREAM_KEY_BYTES], struct err *e) WARN_UNUSED;

/* A keyed hash (BLAKE2b) of what stands in clear before the stream; compare with ct_eq. */
void stream_mark(
    const uint8_t key[STREAM_KEY_BYTES], struct str over, uint8_t out[STREAM_MARK_BYTES]);
