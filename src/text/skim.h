/* A few members of a JSON object (RFC 8259) without building a tree: what a hook needs of
 * a push body that may have 25 MB. The whole text is still checked: grammar, UTF-8, depth at most
 * 128, nothing behind the object. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum skim_type {
	SKIM_ABSENT,
	SKIM_STRING,
	SKIM_NUMBER,
	SKIM_TRUE,
	SKIM_FALSE,
	SKIM_NULL,
	SKIM_OTHER
};

struct skim_member {
	const char *key;
	enum skim_type type; /* filled */
	struct str value; /* filled for strings: decoded; points into the text, or the arena when it
			     had escapes */
};

/* 0, or ERR_INVALID with the byte where the text stops being JSON. A wanted key that comes twice is
 * an error. */
int skim_object(struct str json, struct skim_member *members, size_t count, struct arena *a,
    struct err *e) WARN_UNUSED;

/* The value at a JSON Pointer (RFC 6901) in a text that skim_object accepts; "" is the whole text.
 * ret->value is filled whatever the type: strings decoded, all else as it is written. Of a member
 * that comes twice it is the first. 0, or -1: not JSON up to there, or the arena is full. */
int skim_at(struct str json, struct str pointer, struct arena *a, struct skim_member *ret,
    struct err *e) WARN_UNUSED;
/* Cuts the next element off an array as skim_at gave it, or off what an earlier call left of it. 1;
 * 0 at its end or when it is none. */
int skim_each(struct str *rest, struct str *ret_element);
