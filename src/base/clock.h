/* Time. Monotonic milliseconds for waiting and deadlines; wall-clock milliseconds since 1970 UTC for
 * what is stored or shown. Both come from base/io.h, so the simulator can own them. */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define DEADLINE_NEVER INT64_MAX

int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_wall_ms(void);
/* RFC 3339 in UTC with milliseconds, "2026-11-20T11:09:59.123Z". */
void clock_format(int64_t wall_ms, char out[32]);
bool clock_parse(struct str s, int64_t *ret_wall_ms) WARN_UNUSED; /* RFC 3339, any offset */
/* "3 minutes ago", "in 2 hours". */
void clock_ago(int64_t now_ms, int64_t then_ms, char out[48]);
