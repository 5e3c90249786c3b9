/* Argon2id (RFC 9106). Blocks; only on a thread that may. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

#define PASSWORD_HASH_SIZE 128
#define PASSWORD_MAX_BYTES 1024

/* For operators: 64 MiB, two passes, about 74 ms. For the many users of an application: 19 MiB, two
 * passes (the least that OWASP's password storage sheet allows), about 20 ms. */
enum password_cost { PASSWORD_OPERATOR, PASSWORD_USER, PASSWORD_COST_COUNT };

/* A password of 1 to PASSWORD_MAX_BYTES bytes (else ERR_INVALID) as
 * "$argon2id$v=19$m=65536,t=2,p=1$…"; ERR_UNAVAILABLE when there is no memory for it. */
int password_hash(struct str password, char out[PASSWORD_HASH_SIZE], struct err *e) WARN_UNUSED;
int password_hash_at(enum password_cost cost, struct str password, char out[PASSWORD_HASH_SIZE],
    struct err *e) WARN_UNUSED;
/* False as well for a hash that is malformed. */
bool password_verify(struct str password, const char *hash);
