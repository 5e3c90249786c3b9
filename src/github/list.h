/* The addresses that GitHub sends hooks from, as https://api.github.com/meta has them under "hooks".
 * What it says is believed only within bounds. Pure. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/cidr.h"

#define GITHUB_LIST_MAX 128u
#define GITHUB_LIST_BITS_MIN 12u  /* of an IPv4 range: nothing wider */
#define GITHUB_LIST_BITS6_MIN 20u /* of an IPv6 range */

struct github_list {
	struct cidr v[GITHUB_LIST_MAX];
	size_t n;
};
/* What it was when this was built. */
extern const struct github_list github_list_built_in;

/* GitHub's answer. ERR_INVALID, and *ret is not to be used: no JSON, no list, an empty or too long
 * one, without IPv4, a range that is none, too wide or not public. */
int github_list_read(struct str json, struct github_list *ret, struct err *e) WARN_UNUSED;
/* As stored: with single blanks between. */
int github_list_parse(struct str text, struct github_list *ret, struct err *e) WARN_UNUSED;
void github_list_write(const struct github_list *l, struct buf *out);
/* l NULL: the built-in one. */
bool github_list_holds(const struct github_list *l, const struct cidr_address *a);
