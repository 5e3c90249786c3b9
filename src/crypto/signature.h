/* Ed25519 (RFC 8032): checking what others signed with a key that we do not have. */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SIGNATURE_BYTES 64
#define SIGNATURE_KEY_BYTES 32

/* Whether it is a public key that a signature can be checked with: a point of the curve, and none of
 * small order, under which anything could be signed. */
bool signature_key_ok(const uint8_t key[SIGNATURE_KEY_BYTES]);
/* Of prefix + message. Copies both. */
bool signature_fits(const uint8_t signature[SIGNATURE_BYTES], struct str prefix, struct str message,
    const uint8_t key[SIGNATURE_KEY_BYTES]);
