/* A few top-level members of a JSON object (RFC 8259) without building a tree: what a hook needs of
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
