/* Hexadecimal and base64 (RFC 4648), strict: no blanks, right padding, no other alphabet. */
#pragma once

#include "base/buf.h"

#include <stdint.h>

void hex_encode(const void *p, size_t n, char *out); /* 2n bytes and a NUL */
bool hex_decode(struct str s, void *out, size_t n) WARN_UNUSED; /* exactly n bytes; upper or lower case */
void base64_encode(const void *p, size_t n, struct buf *out);
void base64url_encode(const void *p, size_t n, struct buf *out); /* without padding */
bool base64_decode(struct str s, struct buf *out) WARN_UNUSED;
