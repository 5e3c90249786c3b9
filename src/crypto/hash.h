/* SHA-256, one shot and streaming; MD5 for names that others have built on it. */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define HASH_SHA256_BYTES 32

struct hash;
void hash_sha256(struct str s, uint8_t out[HASH_SHA256_BYTES]);
void hash_sha256_hex(struct str s, char out[65]);
struct hash *hash_new(void);
void hash_update(struct hash *h, struct str s);
void hash_finish(struct hash *h, uint8_t out[HASH_SHA256_BYTES]); /* then only hash_free */
void hash_free(struct hash *h);
/* MD5 (RFC 1321) in hexadecimal: the name of a picture at Gravatar, never a proof of anything. */
void hash_md5_hex(struct str s, char out[33]);
