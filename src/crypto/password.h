/* Argon2id (RFC 9106), 64 MiB, t=2: about 74 ms. Blocks; only on a pool thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define PASSWORD_HASH_SIZE 128
int password_hash(struct str password, char out[PASSWORD_HASH_SIZE], struct err *e) WARN_UNUSED;
bool password_verify(struct str password, const char *hash);
