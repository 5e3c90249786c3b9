/* Which hooks a secret in an address may mean: those of the table, sorted by what their secrets are under the key of this life, so that
 * a guess costs the same whether there is one hook or are ten thousand. Made anew when it is asked for after the table has changed; its
 * numbers are places in the table until then. */
#pragma once

#include "crypto/hmac.h"

#include <stdbool.h>
#include <stddef.h>

struct hooks_path {
	uint8_t of[HMAC_SHA256_BYTES];
	size_t hook, secret; /* places in the table, and among the hook's paths */
};
struct hooks_paths {
	struct hooks_path *v;
	size_t n;
	bool current;
};

struct table;
void hooks_paths_make(struct hooks_paths *p, const struct table *t);
/* The first of those that are `of`, or where they would be. What are equal stand in the table's order. */
size_t hooks_paths_find(const struct hooks_paths *p, const uint8_t of[HMAC_SHA256_BYTES]);
void hooks_paths_fini(struct hooks_paths *p);
