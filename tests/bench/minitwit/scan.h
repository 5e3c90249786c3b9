/* The JSON that a MiniTwit answers, read strictly. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_TEXT_MAX 4096

struct scan {
	const char *p, *end;
	bool bad; /* stays */
};

struct scan_text {
	size_t n;
	char bytes[SCAN_TEXT_MAX];
};

struct scan_message {
	struct scan_text content, user;
	int64_t pub_date;
};

/* Skips blanks; true when c comes next, and takes it. */
bool scan_take(struct scan *s, char c);
bool scan_string(struct scan *s, struct scan_text *ret);
bool scan_i64(struct scan *s, int64_t *ret);
/* An object of exactly content, pub_date and user, in any order. */
bool scan_message(struct scan *s, struct scan_message *ret);
/* Between the elements of an array that was opened: true when another one follows; at the end the
 * bracket is taken. `n`: elements read so far. */
bool scan_more(struct scan *s, size_t n);
/* True when only blanks are left, and nothing was bad. */
bool scan_over(struct scan *s);
