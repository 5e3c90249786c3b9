/* Numbers from text: the whole of `s` must be the number, within [min, max]. No sign games, no octal:
 * '+', "-0" and leading zeros are refused. On false *ret is untouched. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

bool num_i64(struct str s, int64_t min, int64_t max, int64_t *ret) WARN_UNUSED;
bool num_u64(struct str s, uint64_t min, uint64_t max, uint64_t *ret) WARN_UNUSED;
/* "1024", "4K", "512M", "2G", "1T": binary, 1M = 1,048,576. */
bool num_size(struct str s, uint64_t max_bytes, uint64_t *ret_bytes) WARN_UNUSED;
/* "250ms", "30s", "5m", "2h", "1d". A unit is required. */
bool num_duration(struct str s, int64_t max_ms, int64_t *ret_ms) WARN_UNUSED;
/* "1.5" -> 1500; up to three decimals. */
bool num_milli(struct str s, int64_t max_milli, int64_t *ret_milli) WARN_UNUSED;
/* "1.4 MB", "980 B" / "0.3 s", "2 m 5 s" for people; out of 32 bytes. */
void num_size_text(uint64_t bytes, char out[32]);
void num_duration_text(int64_t ms, char out[32]);
