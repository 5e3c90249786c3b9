/* A borrowed run of bytes that may hold anything, NUL included; never owns, never ends in NUL by promise. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){"" lit, sizeof(lit) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s). Only for values that were validated or go through log/escape. */
#define STR_ARG(s) (int)(s).n, (s).p

struct str str_c(const char *c); /* NULL gives an empty str */
bool str_eq(struct str a, struct str b);
bool str_eq_c(struct str a, const char *b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_contains(struct str s, struct str needle);
int str_cmp(struct str a, struct str b); /* bytewise, like memcmp then length */
struct str str_from(struct str s, size_t at);		    /* s[at..]; empty when at > n */
struct str str_slice(struct str s, size_t at, size_t n); /* clipped to s */
struct str str_trim(struct str s);			    /* ASCII blanks at both ends */
/* Finds the first `c` at or after `from`; returns its index or SIZE_MAX. */
size_t str_find(struct str s, char c, size_t from);
/* Cuts the next piece up to `sep` off *rest into *ret_piece. 1: a piece; 0: *rest was used up
 * (rest->p is NULL then). "a,,b" gives "a", "", "b"; "" gives one empty piece. */
int str_next(struct str *rest, char sep, struct str *ret_piece);
/* Copies with a final NUL into out[size]. False when it does not fit or holds a NUL. */
bool str_copy(struct str s, char *out, size_t size) __attribute__((warn_unused_result));
bool str_utf8_ok(struct str s); /* RFC 3629: no surrogates, no overlong forms */
/* The code point at the start of s; returns its length in bytes, 0 when s is empty or malformed there. */
size_t str_utf8_next(struct str s, uint32_t *ret_point);
