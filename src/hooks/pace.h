/* How many in a minute: token buckets, kept as the time at which one would be full again (the
 * generic cell rate algorithm of ITU-T I.371). */
#pragma once

#include "base/cidr.h"

#include <stdbool.h>
#include <stdint.h>

struct pace {
	int64_t per_minute, burst; /* 1 .. 60,000 each; per_minute 0: no limit */
};
/* 0: one was taken; else after how many ms there is one. *state begins at 0; any clock in ms. */
int64_t pace_take(const struct pace *p, int64_t *state, int64_t now_ms);

/* Refused requests by where they come from: 20 a minute, 50 at once. An IPv4 address, or the first
 * 64 bits of an IPv6 one, is a source. 16,384 are remembered; who has been quiet longest is
 * forgotten first. For one thread at a time. */
struct sources;
struct sources *sources_new(void);
void sources_free(struct sources *s);
/* Counts a refusal: 0, or when that source has too many: for how many ms still. */
int64_t sources_refuse(struct sources *s, const struct cidr_address *from, int64_t now_ms);
/* Each source that had too many since the last report, and how many; `from` NULL: of those that were
 * forgotten meanwhile. */
void sources_report(struct sources *s,
    void (*tell)(void *ctx, const struct cidr *from, uint32_t requests), void *ctx);
